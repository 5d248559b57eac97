"""`charpipe plugins check`: the rules that a plugin keeps and breaks, a short training, and its speed."""

from __future__ import annotations

import os
import textwrap
from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from charpipe.cli.arguments import JsonArray
from charpipe.cli.environment import open_registry, settings
from charpipe.cli.output import for_output, print_json, terminal_width
from charpipe.errors import UsageError, near_match
from charpipe.plugin import Architecture
from charpipe.plugins.registry import KINDS, Provider, Registry

if TYPE_CHECKING:
    from charpipe.testing.rules import CheckedRule
    from charpipe.testing.trial import Trial

LOADED = "loaded"
CHECKED = ("architecture", "tokenizer", "decoder", "metric", "source", "pipeline")
"""The kinds of which more is checked than that they load."""
INDENT = 10


@dataclass
class Checked:
    """A plugin, or one thing that it provides, with its rules and its training."""

    plugin: str
    origin: str
    kind: str = ""
    name: str = ""
    rules: Sequence[CheckedRule] = ()
    trial: Trial | None = None
    problems: list[str] = field(default_factory=list)

    @property
    def is_broken(self) -> bool:
        """Whether it broke a rule, could not be loaded, or did not train."""
        broken = any(rule.seen is not None for rule in self.rules)
        return broken or bool(self.problems) or (self.trial is not None and self.trial.seen is not None)


def check(
    name: Annotated[
        str | None,
        typer.Argument(
            help="A plugin, or what it provides, by name.  [default: all plugins of the project's folders]"
        ),
    ] = None,
    beside: Annotated[
        str | None,
        typer.Option(
            metavar="ARCH",
            help="The architecture that the speed is compared with.  [default: plugins.beside]",
        ),
    ] = None,
    json: JsonArray = False,
) -> None:
    """Check plugins against charpipe's rules: which rule is broken, what was seen, and where.

    An architecture is then trained for 20 steps on a built-in text, and its speed measured. Exits with 1 if a rule is
    broken.
    """
    registry = open_registry()
    other = _beside(registry, beside)
    chosen = _chosen(registry, name)
    found = []
    for provider in chosen:
        for checked in _check(registry, provider, name, other):
            found.append(checked)
            if not json:
                for line in lines(checked, terminal_width()):
                    typer.echo(for_output(line))
    if json:
        print_json([_as_json(one) for one in found])
    if any(one.is_broken for one in found):
        raise typer.Exit(1)


def _chosen(registry: Registry, name: str | None) -> list[Provider]:
    """The plugins to check."""
    providers = registry.providers()
    if name is None:
        mine = [
            one
            for one in providers
            if any(Path(one.origin).is_relative_to(folder) for folder in registry.folders)
        ]
        if not mine:
            raise UsageError(
                "there are no plugins in this project's folders; to write one, type: charpipe plugins new cell NAME"
            )
        return mine
    wanted = {name, name.replace("-", "_"), f"charpipe_{name}"}
    found = [one for one in providers if one.module in wanted or name in _provided(one)]
    if not found:
        known = {each for one in providers for each in (one.module, *_provided(one, CHECKED))}
        raise UsageError(f"there is no plugin {name!r}{near_match(name, known)}")
    return found


def _provided(provider: Provider, kinds: Collection[str] = tuple(KINDS)) -> list[str]:
    return [name for kind, names in provider.provides.items() if kind in kinds for name in names]


def _beside(registry: Registry, given: str | None) -> Architecture | None:
    """The architecture to compare with; None if the settings name none that there is."""
    if given is not None:
        return registry.architecture(given)
    name = settings().config.plugins.beside
    return None if name is None else registry.all("architecture").get(name)


def _check(
    registry: Registry, provider: Provider, name: str | None, beside: Architecture | None
) -> Iterator[Checked]:
    """What a plugin provides, or the one thing of it with this name."""
    if provider.problems:
        yield Checked(provider.module, provider.origin, problems=provider.problems)
    for kind, names in provider.provides.items():
        known = registry.all(kind)
        for one in names:
            if one in known and (name not in _provided(provider) or one == name):
                yield _check_one(registry, provider, kind, one, beside)


def _check_one(
    registry: Registry, provider: Provider, kind: str, name: str, beside: Architecture | None
) -> Checked:
    from charpipe.testing.plugins import checked_rules
    from charpipe.testing.trial import try_training

    spec = registry.find(kind, name).spec
    rules, trial = list(checked_rules(spec)), None
    if isinstance(spec, Architecture) and rules[0].seen is None:
        trial = try_training(spec, beside)
    return Checked(provider.module, provider.origin, kind, name, rules, trial)


def _as_json(checked: Checked) -> dict[str, Any]:
    return {**asdict(checked), "broken": checked.is_broken}


def lines(checked: Checked, columns: int | None) -> Iterator[str]:
    """What was found, as lines of at most `columns`."""
    what = f"{checked.kind} {checked.name}" if checked.name else f"plugin {checked.plugin}"
    yield f"{what}  ({_place(checked.origin)})"
    for problem in checked.problems:
        yield from _wrapped("broken", f"it cannot be used: {problem}", columns)
    if kept := [rule.rule for rule in checked.rules if rule.seen is None]:
        yield from _wrapped(
            "ok", f"{len(kept)} rule{'' if len(kept) == 1 else 's'}: {', '.join(kept)}", columns
        )
    for rule in checked.rules:
        if rule.seen is not None:
            yield from _wrapped("broken", f"{rule.rule}: {rule.demands}", columns)
            yield from _wrapped("seen", rule.seen, columns)
            if rule.where is not None:
                yield from _wrapped("where", rule.where, columns)
    if checked.trial is not None:
        for word, text in _trial(checked.trial):
            yield from _wrapped(word, text, columns)
    yield ""


def _trial(trial: Trial) -> Iterator[tuple[str, str]]:
    if trial.first_loss is not None and trial.last_loss is not None:
        made = (
            f"{trial.steps} steps of {trial.model} ({trial.parameters:,} parameters) in {trial.seconds:.1f} s"
        )
        losses = f"loss {trial.first_loss:.3f} to {trial.last_loss:.3f} nats per character"
        yield "broken" if trial.seen else "ok", f"{made}: {losses}"
    elif trial.seen is None:
        yield "ok", f"fitted in {trial.seconds:.1f} s: {trial.parameters:,} numbers"
    if trial.seen is not None:
        yield "seen", trial.seen
    if trial.where is not None:
        yield "where", trial.where
    if trial.speed is not None:
        yield "speed", _speed(trial)


def _speed(trial: Trial) -> str:
    from charpipe.stages.units import size

    assert trial.speed is not None
    own = f"{size(trial.speed.tokens_per_second)} characters a second, engine {trial.speed.engine}"
    if trial.speed.engine_reason and trial.speed.engine != "fast":
        own += f" ({trial.speed.engine_reason})"
    if trial.beside_speed is None:
        return own
    ratio = trial.speed.tokens_per_second / trial.beside_speed.tokens_per_second
    return f"{own}; {trial.beside}: {size(trial.beside_speed.tokens_per_second)}, so {ratio:.2f} of its speed"


def _wrapped(word: str, text: str, columns: int | None) -> Iterator[str]:
    head = f"  {word:<{INDENT - 2}}"
    if columns is None:
        yield f"{head}{text}"
        return
    parts = textwrap.wrap(text, max(30, columns - INDENT), break_on_hyphens=False, break_long_words=False)
    for number, part in enumerate(parts or [""]):
        yield f"{head if number == 0 else ' ' * INDENT}{part}"


def _place(origin: str) -> str:
    return os.path.relpath(origin) if os.path.isabs(origin) else origin  # noqa: PTH117
