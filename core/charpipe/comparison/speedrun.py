"""The trials of a speedrun: every preset with every architecture and seed, all within one budget of time.

All configurations are trained with one seed before the next: what slows the machine down for a while slows them alike.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from charpipe.comparison.configurations import configured
from charpipe.comparison.trials import Comparison, Trial
from charpipe.config.layers import expand
from charpipe.config.load import BUILT_IN
from charpipe.errors import UsageError, near_match
from charpipe.events import StagesPlanned
from charpipe.stages import Context, StageOutput, check_here, stage
from charpipe.store.actions import flatten

COMMANDED = ("flag", "--set")
"""Origins of the settings that apply to all trials, whatever their preset says."""


@stage("plan", "Determine the settings of each training.")
def plan_speedrun(
    context: Context,
    corpus: str,
    presets: Sequence[str],
    archs: Sequence[str],
    seeds: int,
    tokens: StageOutput,
) -> Comparison:
    """The trials of a speedrun, seeds outermost. Raises UsageError for a corpus without validation text."""
    name, _ = context.corpus(corpus)
    if tokens.facts["tokens"]["val"] < 2:
        raise UsageError(
            f"{name} has no validation text, and a speedrun ranks by its loss; "
            "choose a longer text, or type --set corpus.split.val=0.1"
        )
    first = context.config.train.seed
    trials = [
        trial_of(context, preset, arch, first + number)
        for number in range(seeds)
        for preset in presets
        for arch in archs
    ]
    context.emit(StagesPlanned(tuple(trial.name for trial in trials)))
    return Comparison("", ", ".join([*presets, *archs]), name, "time", tuple(trials))


def trial_of(context: Context, preset: str, arch: str, seed: int) -> Trial:
    """The training of an architecture with the settings of a preset; flags, `--set` and the budget win over it.

    Raises UsageError for an unknown preset, or one that changes the text.
    """
    presets = context.config.presets
    if preset not in presets:
        raise UsageError(f"there is no preset {preset!r}{near_match(preset, presets)}")
    table = expand(presets[preset])
    if "corpus" in table:
        raise UsageError(
            f"preset {preset} changes the corpus, and a speedrun trains all on the same text; leave it out of --presets"
        )
    origins = context.resolved.origins
    own = {key: value for key, value in _settings(table, arch) if origins.get(key) not in COMMANDED}
    own |= {"train.steps": None, "train.budget": context.config.train.budget, "train.seed": seed}
    return Trial(arch, seed=seed, settings=tuple(own.items()), label=f"{preset} {arch}")


def _settings(table: Mapping[str, Any], arch: str) -> Iterator[tuple[str, Any]]:
    """The settings of a preset that decide what a model learns, by dotted key; lists become tuples."""
    network = {arch: table.get("architectures", {}).get(arch, {})}
    for key, value in flatten({"train": table.get("train", {}), "architectures": network}):
        yield key, tuple(value) if isinstance(value, list) else value


def check_speedrun(context: Context, corpus: str, presets: Sequence[str], archs: Sequence[str]) -> None:
    """Raise UsageError if a speedrun is asked for without a budget, or with settings that cannot be trained."""
    check_budget(context)
    for arch in archs:
        if context.registry.architecture(arch).counted:
            raise UsageError(f"{arch} is a count-based model, which no budget bounds; leave it out of --arch")
        for preset in presets:
            trial = trial_of(context, preset, arch, context.config.train.seed)
            check_here(configured(context, trial), corpus, arch)


def check_budget(context: Context) -> None:
    """Raise UsageError unless the settings say for how long to train."""
    origins = context.resolved.origins
    if context.config.train.steps is not None:
        raise UsageError(
            "a speedrun trains for a time, and the number of steps is fixed; type --budget 2m instead of --steps"
        )
    chosen = next((origin for origin in origins.values() if origin.startswith("preset ")), "")
    if chosen:
        name = chosen.removeprefix("preset ")
        raise UsageError(f"a speedrun compares presets; type --presets {name} instead of --preset {name}")
    if origins.get("train.budget", BUILT_IN) == BUILT_IN:
        raise UsageError("a speedrun needs the time that each training has; type --budget 2m")
