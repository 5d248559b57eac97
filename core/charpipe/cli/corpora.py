"""`charpipe corpora`: the corpora that charpipe knows, what was read of them, and adding one."""

from __future__ import annotations

from typing import Any

import typer

from charpipe.cli.arguments import JsonArray, JsonObject
from charpipe.cli.corpora_add import add
from charpipe.cli.defaults import spelled
from charpipe.cli.environment import open_registry, open_workspace, settings
from charpipe.cli.output import print_json, print_pairs, print_table
from charpipe.config import resolve_corpus
from charpipe.config.load import leaves
from charpipe.corpus import fetched_here
from charpipe.store import Store

app = typer.Typer(no_args_is_help=True)
app.command("add")(add)


@app.command("list")
def list_corpora(json: JsonArray = False) -> None:
    """List the corpora of the catalogue; those marked `here` need no network."""
    config, cache, sources = (
        settings().config,
        open_workspace().root / "downloads",
        open_registry().all("source"),
    )
    rows: list[dict[str, Any]] = []
    for name, corpus in sorted(config.corpora.items()):
        found = [source for source, here in fetched_here(corpus, cache, sources) if here]
        rows.append({"name": name, "summary": corpus.summary, "license": corpus.license, "here": found})
    if json:
        print_json(rows)
        return
    cells = [[row["name"], "here" if row["here"] else "", row["summary"], row["license"]] for row in rows]
    print_table(
        ("corpus", "fetched", "what it is", "licence"), cells, "There are no corpora.", drop=("licence",)
    )


@app.command("show")
def show_corpus(name: str, json: JsonObject = False) -> None:
    """Show a corpus: its sources, which of them are fetched, its settings, and the files that were rejected."""
    found, corpus = resolve_corpus(settings().config, name, open_workspace().root, settings().project_file)
    here = fetched_here(corpus, open_workspace().root / "downloads", open_registry().all("source"))
    rejected, notes = _read_before(found)
    splits = _splits_before(found)
    if json:
        sources = [{"source": source, "here": there} for source, there in here]
        files = {
            "rejected": [{"path": path, "reason": reason} for path, reason in rejected],
            "notes": [{"path": path, "note": note} for path, note in notes],
        }
        print_json({"name": found, **corpus.model_dump(), "sources": sources, **files, "splits": splits})
        return
    typer.echo(f"{found}: {corpus.summary or 'a corpus of your own'}\n")
    for source, there in here:
        typer.echo(f"  {'here   ' if there else 'absent '} {source}")
    typer.echo("")
    settings_ = {key: value for key, value in leaves(corpus).items() if key not in ("summary", "sources")}
    print_pairs((key, spelled(value)) for key, value in settings_.items())
    if splits is not None:
        typer.echo("\nsplits, when it was last encoded")
        counts = zip(*(splits[unit].items() for unit in ("characters", "bytes")), strict=True)
        print_pairs((name, f"{count:,} characters, {size:,} bytes") for (name, count), (_, size) in counts)
    for title, listed in (("rejected", rejected), ("read with a notice", notes)):
        if listed:
            typer.echo(
                f"\n{title}: {len(listed):,} file{'' if len(listed) == 1 else 's'}, when it was last read"
            )
            for path, why in listed:
                typer.echo(f"  {path}: {why}")


def _splits_before(corpus: str) -> dict[str, dict[str, int]] | None:
    """The characters and bytes of each split when the corpus was last encoded; None if it never was."""
    folder = Store(open_workspace().root / "store").last(corpus, "encode")
    if folder is None:
        return None
    from charpipe.text.tokens import read_facts

    facts = read_facts(folder)
    return {unit: facts[unit] for unit in ("characters", "bytes")}


def _read_before(corpus: str) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """Which files of the corpus were rejected when it was last ingested, and which were read with a notice."""
    store = Store(open_workspace().root / "store")
    folder = store.last(corpus, "ingest")
    if folder is None:
        return [], []
    from charpipe.corpus.file_lists import read_notes, read_rejected

    return list(read_rejected(folder)), list(read_notes(folder))
