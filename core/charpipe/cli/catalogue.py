"""`charpipe corpora`, `charpipe plugins`, `charpipe pipelines`: what there is to choose from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from charpipe.cli.defaults import spelled
from charpipe.cli.environment import open_registry, open_workspace, settings
from charpipe.cli.output import print_json, print_pairs, print_table
from charpipe.errors import PluginError, UsageError, near_match
from charpipe.plugins.registry import KINDS

corpora = typer.Typer(no_args_is_help=True)
plugins = typer.Typer(no_args_is_help=True)
pipelines = typer.Typer(no_args_is_help=True)

Json = Annotated[bool, typer.Option("--json", help="Print one JSON array.")]


@corpora.command("list")
def list_corpora(json: Json = False) -> None:
    """The corpora of the catalogue; those marked here need no network."""
    from charpipe.corpus import fetched_here

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


@corpora.command("show")
def show_corpus(
    name: str, json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False
) -> None:
    """A corpus: its sources, which of them have been fetched here, its settings, which of its files were rejected."""
    from charpipe.config import resolve_corpus
    from charpipe.config.load import leaves
    from charpipe.corpus import fetched_here

    found, corpus = resolve_corpus(settings().config, name, open_workspace().root, settings().project_file)
    here = fetched_here(corpus, open_workspace().root / "downloads", open_registry().all("source"))
    rejected, notes = _read_before(found)
    if json:
        sources = [{"source": source, "here": there} for source, there in here]
        files = {
            "rejected": [{"path": path, "reason": reason} for path, reason in rejected],
            "notes": [{"path": path, "note": note} for path, note in notes],
        }
        print_json({"name": found, **corpus.model_dump(), "sources": sources, **files})
        return
    typer.echo(f"{found}: {corpus.summary or 'a corpus of your own'}\n")
    for source, there in here:
        typer.echo(f"  {'here   ' if there else 'absent '} {source}")
    typer.echo("")
    settings_ = {key: value for key, value in leaves(corpus).items() if key not in ("summary", "sources")}
    print_pairs((key, spelled(value)) for key, value in settings_.items())
    for title, listed in (("rejected", rejected), ("read with a notice", notes)):
        if listed:
            typer.echo(f"\n{title}: {len(listed):,} files, when it was last read")
            for path, why in listed:
                typer.echo(f"  {path}: {why}")


def _read_before(corpus: str) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """Which files of the corpus were rejected when it was last ingested, and which were read with a notice."""
    from charpipe.store import Store

    store = Store(open_workspace().root / "store")
    folder = store.last(corpus, "ingest")
    if folder is None:
        return [], []
    from charpipe.corpus.documents import read_notes, read_rejected

    return read_rejected(folder), read_notes(folder)


@plugins.command("list")
def list_plugins(json: Json = False) -> None:
    """Every plugin that was found, what it provides, and what is wrong with it."""
    providers = open_registry().providers()
    if json:
        print_json([vars(provider) for provider in providers])
        return
    rows = []
    for provider in providers:
        provides = ", ".join(f"{kind} {name}" for kind, names in provider.provides.items() for name in names)
        rows.append((provider.module, provides, provider.origin, "; ".join(provider.problems) or "ok"))
    print_table(("plugin", "provides", "from", "state"), rows, "There are no plugins.", drop=("from",))


@plugins.command("info")
def plugin_info(
    name: str, json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False
) -> None:
    """A plugin, or an architecture, tokenizer, source or pipeline by name: its summary and settings."""
    registry = open_registry()
    found = [registry.find(kind, name) for kind in KINDS if name in registry.all(kind)]
    modules = {provider.module: provider for provider in registry.providers()}
    if name in modules and modules[name].problems:
        raise PluginError(
            f"the plugin {name} ({modules[name].origin}) is broken: {modules[name].problems[0]}"
        )
    if not found:
        given = modules[name].provides if name in modules else None
        if given is None:
            known = [*modules, *(known for kind in KINDS for known in registry.all(kind))]
            raise UsageError(f"there is no plugin {name!r}{near_match(name, known)}")
        found = [registry.find(kind, one) for kind, names in given.items() for one in names]
    described = [_describe(one) for one in found]
    if json:
        print_json(described)
        return
    for one in described:
        typer.echo(f"{one['kind']} {one['name']}: {one['summary']}\n  from {one['plugin']} ({one['origin']})")
        print_pairs(map(_setting, one["settings"]))


def _setting(setting: Mapping[str, Any]) -> tuple[str, str]:
    default = "needed" if setting["needed"] else spelled(setting["default"])
    return f"{setting['name']} = {default}", setting["description"]


def _describe(provided: Any) -> dict[str, Any]:
    spec, provider = provided.spec, provided.provider
    model = getattr(spec, "config", None) or getattr(spec, "options", None)
    fields = model.model_fields.items() if model else ()
    return {
        "kind": type(spec).__name__.lower(),
        "name": getattr(spec, "name", getattr(spec, "scheme", "")),
        "summary": spec.summary,
        "plugin": provider.module,
        "origin": provider.origin,
        "settings": [
            {
                "name": name,
                "default": None if field.is_required() else field.get_default(call_default_factory=True),
                "needed": field.is_required(),
                "description": field.description or "",
            }
            for name, field in fields
        ],
    }


@pipelines.command("list")
def list_pipelines(json: Json = False) -> None:
    """What `charpipe run` can run."""
    found = open_registry().all("pipeline")
    if json:
        print_json([{"name": name, "summary": spec.summary} for name, spec in found.items()])
        return
    print_table(
        ("pipeline", "what it does"),
        [(name, spec.summary) for name, spec in found.items()],
        "There are none.",
    )
