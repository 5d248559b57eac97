"""`charpipe models`: each corpus's champion, what was kept before it, and every decision about it."""

from __future__ import annotations

from shlex import quote
from typing import Annotated, Any

import typer

from charpipe.champions import Champion, corpora, decisions, kept, versions
from charpipe.champions.records import damage, meant
from charpipe.champions.references import corpus_of
from charpipe.champions.state import read_state
from charpipe.cli.arguments import JsonArray, JsonObject
from charpipe.cli.defaults import with_default
from charpipe.cli.environment import open_registry, open_runs, open_workspace, print_notice, settings
from charpipe.cli.output import print_json, print_pairs, print_table
from charpipe.config.settings.training import TrainConfig
from charpipe.errors import RunError, UsageError, near_match
from charpipe.runs.library import RunLibrary

app = typer.Typer(no_args_is_help=True)

Corpus = Annotated[str, typer.Argument(help="A corpus that has a champion.")]
COLUMNS = (
    "run",
    "is",
    "corpus",
    "version",
    "val/bits_per_char",
    "test/bits_per_char",
    "kept",
    "by",
    "files",
)
LINES = 10
"""Decisions that `show` lists."""


@app.command("list")
def show_all(
    corpus: Annotated[str | None, typer.Option(help="Only models of this corpus.  [default: of all]")] = None,
    json: JsonArray = False,
) -> None:
    """List the models that became champion of their corpus and are kept."""
    workspace = open_workspace()
    runs = open_runs()
    runs.refresh_champions()
    known = corpora(workspace)
    corpus = meant(workspace, corpus) if corpus is not None else None
    if corpus is not None and corpus not in known:
        raise UsageError(f"{corpus!r} has no champion{near_match(corpus, known)}")
    rows = [row for name in known if corpus in (None, name) for row in _rows(runs, name)]
    if json:
        print_json(rows)
        return
    cells = [[row.get(column) for column in COLUMNS] for row in rows]
    empty = "No corpus has a champion yet; type: charpipe models promote RUN"
    print_table(COLUMNS, cells, empty, drop=("by", "kept", "val/bits_per_char", "files"), whole=("corpus",))


def _rows(runs: RunLibrary, corpus: str) -> list[dict[str, Any]]:
    workspace = runs.workspace
    try:
        state = read_state(workspace, corpus)
    except RunError as error:
        state = None
        typer.echo(f"charpipe: {error}", err=True)
    roles = {state.champion.version: "champion"} if state else {}
    if state and state.previous:
        roles[state.previous.version] = "previous"
    return [
        {
            "corpus": version.corpus,
            "version": version.version,
            "is": roles.get(version.version),
            "run": version.run,
            "arch": version.architecture,
            "kept": version.kept[:19],
            "by": version.by,
            "files": _files(runs, kept(workspace, version)),
            "model": version.model,
            **version.scores,
        }
        for version in versions(workspace, corpus)
    ]


def _files(runs: RunLibrary, version: Champion) -> str:
    """Whether a version's files are whole, or only in the shared store."""
    if runs.champions is not None and not version.folder.is_dir():
        return "in the store"
    return damage(version) or "whole"


@app.command("show")
def show(corpus: Corpus, json: JsonObject = False) -> None:
    """Show the champion of a corpus: its run, its scores, and the decisions that led to it."""
    workspace, runs = open_workspace(), open_runs()
    runs.refresh_champions()
    corpus = meant(workspace, corpus_of(corpus))
    state = read_state(workspace, corpus)
    if state is None:
        raise UsageError(f"{corpus!r} has no champion{near_match(corpus, corpora(workspace))}")
    lines = decisions(workspace, corpus)
    rows = _rows(runs, corpus)
    if json:
        print_json({**state.model_dump(mode="json", by_alias=True), "versions": rows, "decisions": lines})
        return
    version = state.champion
    typer.echo(f"champion:{corpus} is version {version.version}, {version.run}, since {state.since[:19]}\n")
    facts = {"architecture": version.architecture, "by": state.by, "why": state.decision.get("reason")}
    facts |= {"previous": state.previous.version if state.previous else None}
    facts |= {"files": next((row["files"] for row in rows if row["version"] == version.version), "gone")}
    print_pairs({**facts, **version.scores}.items())
    typer.echo("\nlineage (content digests)")
    lineage = {"model": version.model, **version.inputs, "settings": version.action}
    print_pairs({**lineage, **{f"code of {name}": code for name, code in version.code.items()}}.items())
    typer.echo(f"\nthe last of {len(lines)} decisions")
    for line in lines[-LINES:]:
        outcome = f"version {line['version']}" if line.get("promoted") else "declined"
        typer.echo(f"  {line['time'][:19]}  {outcome:<10} {line['run']}  by {line['by']}: {line['reason']}")


@app.command("promote")
def promote(
    run: Annotated[
        str, typer.Argument(help="A finished run: name, unique prefix, short name, `last`, `best:CORPUS`.")
    ],
    anyway: Annotated[
        bool,
        typer.Option(
            "--anyway", help="Promote it even if the comparison says no (never if its scores are not finite)."
        ),
    ] = False,
    device: Annotated[
        str | None, typer.Option(help=with_default("auto, cpu, cuda, cuda:N or mps.", TrainConfig, "device"))
    ] = None,
    json: JsonObject = False,
) -> None:
    """Compare a run with its corpus's champion, and promote it if it is better."""
    from charpipe.stages.promote import promote_run

    context = _context(device)
    found = context.runs.find(run, use="model", checkpoint="best")
    tokens = context.store.obtain(found.info.inputs.get("tokens", ""), "promote")
    if not (tokens / "splits.parquet").is_file():
        raise RunError(
            f"the tokens of {found.name}, on which it would be compared, are gone; the champion stays; make them "
            "again with the command that trained it, and --force encode"
        )
    decided = promote_run(context, found, tokens, by="user", anyway=anyway)
    if json:
        print_json(dict(decided.line))
    if not decided.promoted:
        finite = decided.line.get("finite", True)
        hint = f"; to promote it anyway: charpipe models promote {found.name} --anyway" if finite else ""
        raise RunError(f"{found.name} is not promoted: {decided.reason}; the champion stays{hint}")
    if not json:
        typer.echo(
            f"champion:{decided.corpus} is version {decided.version}, {decided.run}: {decided.reason}\n"
            f"To go back, type: charpipe models rollback {quote(decided.corpus)}"
        )


@app.command("rollback")
def rollback(
    corpus: Corpus,
    to: Annotated[int | None, typer.Option(help="A kept version.  [default: the previous one]")] = None,
    json: JsonObject = False,
) -> None:
    """Make the previous champion the champion again. The model rolled back from is not promoted again
    automatically."""
    from charpipe.stages.rollback import roll_back

    context = _context(None)
    context.runs.refresh_champions()
    corpus, known = meant(context.workspace, corpus_of(corpus)), corpora(context.workspace)
    if corpus not in known:
        raise UsageError(f"{corpus!r} has no champion{near_match(corpus, known)}")
    found = roll_back(context, corpus, to)
    if json:
        print_json(found.version.model_dump(mode="json"))
        return
    typer.echo(f"champion:{corpus} is version {found.version.version} again, {found.run}")


def _context(device: str | None) -> Any:
    from charpipe.stages import Context

    resolved = settings(train__device=device)
    return Context(open_workspace(), resolved, open_registry(), emit=print_notice)
