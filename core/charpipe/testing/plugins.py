"""Check anything that a plugin provides: the rules of its kind, one after another."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from charpipe.errors import PluginError
from charpipe.plugin import Architecture, Decoder, Metric, Pipeline, Source, Tokenizer
from charpipe.testing import architectures, constraints, decoders, others, tokenizers
from charpipe.testing.lookup import find_provided
from charpipe.testing.rules import CheckedRule, check_rules

IMPORTED = ("imported", "Everything that it names by a string can be imported.")


def checked_rules(spec: Any) -> Iterator[CheckedRule]:
    """The rules for this kind of spec, kept or broken."""
    if isinstance(spec, Architecture):
        yield from architectures.checked_rules(spec)
        return
    imported = list(check_rules(IMPORTED, lambda: others.references(spec), (), None))
    yield from imported
    if imported[0].seen is not None:
        return
    if isinstance(spec, Tokenizer):
        origin = ("learn", "learn(counts, config) returns a JSON object, which load(vocabulary) accepts.")
        yield from check_rules(origin, lambda: tokenizers.learn(spec), tokenizers.RULES, spec.load)
    elif isinstance(spec, Decoder) and spec.choose is None:
        origin = ("constrain", "constrain(config, encoding) returns a constraint.")
        yield from check_rules(origin, lambda: constraints.constrain(spec), constraints.RULES, spec.constrain)
    elif isinstance(spec, Decoder):
        origin = ("choose", "choose(config, vocabulary_size) returns a function.")
        yield from check_rules(origin, lambda: decoders.choose(spec), decoders.RULES, spec.choose)
    elif isinstance(spec, Metric):
        yield from _of(spec, others.METRIC_RULES, spec.function)
    elif isinstance(spec, Source):
        yield from _of(spec, others.SOURCE_RULES, spec.fetch)
    elif isinstance(spec, Pipeline):
        yield from _of(spec, others.PIPELINE_RULES, spec.recipe)


def _of(spec: Any, rules: Any, code: Any) -> Iterator[CheckedRule]:
    yield from list(check_rules(IMPORTED, lambda: spec, rules, code))[1:]


def check_plugin(kind: str, name: str) -> None:
    """Raise PluginError naming the rules that an architecture, a tokenizer, a source, a decoder, a metric or a pipeline
    breaks, if there are any. It is looked up among the installed plugins and those of the current project."""
    broken = [rule for rule in checked_rules(find_provided(kind, name)) if rule.seen is not None]
    if broken:
        listed = "; ".join(f"{rule.rule}: {rule.seen}" for rule in broken)
        raise PluginError(f"{kind} {name!r} breaks {listed}")
