"""The rules for tokenizers, decoders, metrics, sources and pipelines: each finds what it is there to find."""

from __future__ import annotations

import numpy as np
import pytest

from charpipe.errors import UsageError
from charpipe.plugin import Decoder, Metric, Options, Pipeline, Source, Tokenizer
from charpipe.plugins.registry import Registry
from charpipe.testing import check_plugin, checked_rules
from charpipe.testing.example_options import example


def broken(spec: object) -> dict[str, str]:
    return {rule.rule: rule.seen for rule in checked_rules(spec) if rule.seen is not None}


@pytest.mark.parametrize(
    ("kind", "name"),
    [(kind, name) for kind in ("tokenizer", "decoder", "metric", "pipeline") for name in Registry().all(kind)]
    + [("source", name) for name in ("file", "text", "python")],
)
def test_what_charpipe_provides_keeps_the_rules(kind: str, name: str) -> None:
    check_plugin(kind, name)


class Swapped:
    """Gives the tokens of a text in the wrong order, as signed numbers."""

    size, labels = 128, ["a"] * 127 + ["\n"]

    def encode(self, text):
        return np.array([ord(one) % 128 for one in reversed(text)], np.int64)

    def decoder(self):
        return self

    def decode(self, ids, final=False):
        return "".join(chr(one) for one in ids)


def test_the_rules_of_tokenizers() -> None:
    spec = Tokenizer("mine", "", learn=lambda counts, config: {}, load=lambda vocabulary: Swapped())
    assert set(broken(spec)) == {"labels", "unsigned_tokens", "round_trip", "in_pieces", "unknown"}


def test_a_vocabulary_that_is_no_json_is_found() -> None:
    spec = Tokenizer("mine", "", learn=lambda counts, config: {"a": {1}}, load=lambda vocabulary: Swapped())
    assert "not JSON serializable" in broken(spec)["learn"]


def in_place(scores):
    scores[..., 0] = -np.inf
    return scores


@pytest.mark.parametrize(
    ("function", "rule"),
    [
        (lambda scores: scores[..., :1], "form"),
        (lambda scores: scores.astype(np.float32), "form"),
        (in_place, "argument_kept"),
        (lambda scores: scores * np.nan, "drawable"),
        (lambda scores: np.where(scores > 1e9, scores, -np.inf), "drawable"),
        (lambda scores: scores - scores.max(initial=-9.0), "rows_independent"),
        (lambda scores: 1 / 0, "form"),
    ],
)
def test_the_rules_of_decoders(function, rule: str) -> None:
    assert rule in broken(Decoder("mine", "", choose=lambda config, size: function))


def test_the_place_of_an_error_is_named() -> None:
    def choose(config, size):
        raise ZeroDivisionError("oh")

    (rule,) = [one for one in checked_rules(Decoder("mine", "", choose=choose)) if one.seen]
    assert rule.seen == "ZeroDivisionError: oh"
    assert rule.where is not None
    assert "test_kinds.py:" in rule.where
    assert rule.where.endswith("in choose")


def test_the_rules_of_metrics() -> None:
    assert "nan" in broken(Metric("train/mine", "", lambda facts: float("nan")))["a_number"]
    assert "KeyError" in broken(Metric("train/mine", "", lambda facts: facts.metrics["x"]))["a_number"]
    assert broken(Metric("train/mine", "", lambda facts: None)) == {}


def test_the_rules_of_sources() -> None:
    spec = Source("mine", "", fetch=lambda spec, fetcher: "text", there=lambda spec, cache: None)
    assert set(broken(spec)) == {"there_answers", "fetch_answers"}


class Silent(Options):
    corpus: str


def test_the_rules_of_pipelines() -> None:
    spec = Pipeline("mine", "", recipe=lambda context: None, options=Silent)
    assert set(broken(spec)) == {"takes_context_and_options", "options_described"}


def test_a_reference_to_nothing_is_named() -> None:
    assert (
        "recipe: 'nowhere:recipe' cannot be imported"
        in broken(Pipeline("m", "", "nowhere:recipe"))["imported"]
    )


def test_examples_of_settings() -> None:
    class Needs(Options):
        count: int
        name: str
        size: float = 2.0

    found = example(Needs)
    assert (found.count, found.name, found.size) == (1, "a", 2.0)


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(UsageError, match="did you mean 'decoder'"):
        check_plugin("decoders", "greedy")
