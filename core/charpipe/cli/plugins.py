"""`charpipe plugins`: what was found, what it provides, and what is wrong with it; new ones, and checking them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import typer

from charpipe.cells import UncompilableError, equations, trace_of
from charpipe.cli.arguments import JsonArray, JsonObject
from charpipe.cli.defaults import spelled
from charpipe.cli.environment import open_registry
from charpipe.cli.output import print_json, print_pairs, print_table
from charpipe.cli.plugins_check import check
from charpipe.cli.plugins_new import new
from charpipe.errors import PluginError, UsageError, near_match
from charpipe.plugins.references import resolve
from charpipe.plugins.registry import KINDS

app = typer.Typer(no_args_is_help=True)
app.command("new")(new)
app.command("check")(check)


@app.command("list")
def list_plugins(json: JsonArray = False) -> None:
    """List the plugins, what each provides, and its problems."""
    providers = open_registry().providers()
    if json:
        print_json([vars(provider) for provider in providers])
        return
    rows = []
    for provider in providers:
        provides = "; ".join(
            f"{kind} {', '.join(names)}" for kind, names in provider.provides.items() if names
        )
        rows.append((provider.module, "broken" if provider.problems else "ok", provider.origin, provides))
    print_table(("plugin", "state", "from", "provides"), rows, "There are no plugins.", drop=("from",))
    for provider in providers:
        for problem in provider.problems:
            typer.echo(f"{provider.module}: {problem}")


@app.command("info")
def plugin_info(name: str, json: JsonObject = False) -> None:
    """A plugin (`charpipe_ngram`, or `ngram`), or an architecture, tokenizer, source or pipeline by name: its summary
    and settings."""
    registry = open_registry()
    found = [registry.find(kind, name) for kind in KINDS if name in registry.all(kind)]
    modules = {provider.module: provider for provider in registry.providers()}
    plugin = modules.get(name)
    if plugin is None and not found:
        plugin = modules.get(f"charpipe_{name}")
    if plugin is not None and plugin.problems:
        raise PluginError(f"the plugin {plugin.module} ({plugin.origin}) is broken: {plugin.problems[0]}")
    if not found:
        if plugin is None:
            known = [*modules, *(known for kind in KINDS for known in registry.all(kind))]
            raise UsageError(f"there is no plugin {name!r}{near_match(name, known)}")
        found = [registry.find(kind, one) for kind, names in plugin.provides.items() for one in names]
    described = [_describe(one) for one in found]
    if json:
        print_json(described)
        return
    for one in described:
        typer.echo(f"{one['kind']} {one['name']}: {one['summary']}\n  from {one['plugin']} ({one['origin']})")
        for line in one["equations"]:
            typer.echo(f"    {line}")
        print_pairs(map(_setting, one["settings"]))


def _setting(setting: Mapping[str, Any]) -> tuple[str, str]:
    default = "needed" if setting["needed"] else spelled(setting["default"])
    return f"{setting['name']} = {default}", setting["description"]


def _equations(spec: Any) -> list[str]:
    """The equations of an architecture's cell; why there are none where it cannot be compiled."""
    cell = getattr(spec, "cell", None)
    if cell is None:
        return []
    made = (resolve(cell) if isinstance(cell, str) else cell)(spec.config())
    try:
        return equations(trace_of(made))
    except UncompilableError as error:
        return [f"not compiled: {error}"]


def _describe(provided: Any) -> dict[str, Any]:
    spec, provider = provided.spec, provided.provider
    model = getattr(spec, "config", None) or getattr(spec, "options", None)
    fields = model.model_fields.items() if model else ()
    return {
        "kind": next(kind for kind, known in KINDS.items() if isinstance(spec, known)),
        "name": getattr(spec, "name", getattr(spec, "scheme", "")),
        "summary": spec.summary,
        "plugin": provider.module,
        "origin": provider.origin,
        "equations": _equations(spec),
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
