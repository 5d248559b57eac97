"""Decide whether a challenger is better than the champion: a paired bootstrap over texts that neither was trained on.

Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 16: the texts are resampled with replacement,
keeping both models' scores of a text together; the result is the share of resamples in which the challenger is
better.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from charpipe.champions.held_out import HeldOut, Passage
from charpipe.config.settings.promotion import PromotionConfig
from charpipe.errors import UsageError
from charpipe.evaluation.passages import passage_nats
from charpipe.models import Predictor
from charpipe.plugin import Encoding

CHUNK = 4_000_000
"""Indices drawn at once: 32 MB."""
SEED = 20151
"""A fixed seed: the same scores give the same resamples."""


@dataclass(frozen=True)
class Contestant:
    """A model in the comparison: its run's name, its predictor and its encoding."""

    name: str
    predictor: Predictor
    encoding: Encoding


@dataclass(frozen=True)
class PairedComparison:
    """Both models' bits per character over the texts that both vocabularies can encode: `passages` texts with
    `characters` characters; `unspelled` counts the texts that one of them cannot encode."""

    passages: int
    characters: int
    challenger: float | None
    champion: float | None
    unspelled: int = 0


@dataclass(frozen=True)
class Decision:
    """The decision and its reason. `validation` decides; `test` and `unseen` are only reported.

    `probability` is the share of resamples in which the challenger is better, `difference` its bits per character
    minus the champion's, and `interval` the central interval of that difference at the configured confidence.
    """

    promoted: bool
    reason: str
    confidence: float
    unit: str = ""
    probability: float | None = None
    difference: float | None = None
    interval: tuple[float, float] | None = None
    validation: PairedComparison | None = None
    test: PairedComparison | None = None
    unseen: PairedComparison | None = None
    unseen_are: str = ""
    finite: bool = True
    """Whether the challenger's scores are finite; if not, it cannot be promoted even by hand."""
    seen: int = 0
    """Held-out passages left out because the champion was trained on their text."""

    def to_json(self) -> dict[str, Any]:
        """The decision as the audit log stores it."""
        value = asdict(self)
        value["interval"] = list(self.interval) if self.interval else None
        return value


def decide(
    challenger: Contestant,
    champion: Contestant | None,
    held: HeldOut,
    config: PromotionConfig,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Decision:
    """Compare both models on the same held-out text; without a champion, any challenger with finite scores is
    promoted."""
    if champion is None:
        return _first(challenger, held, config, progress)
    ours, theirs, characters, unspelled = _both(challenger, champion, held.validation, progress)
    validation = _compared(ours, theirs, characters, unspelled)
    test = _report(challenger, champion, held.test)
    unseen = _report(challenger, champion, held.unseen)
    fields: dict[str, Any] = {
        "validation": validation,
        "test": test,
        "unseen": unseen,
        "unseen_are": held.unseen_are,
    }
    fields |= {"confidence": config.confidence, "unit": held.unit, "seen": held.seen}
    fields["finite"] = bool(np.isfinite(ours).all())
    if (refusal := _refusal(ours, held, validation, config)) is not None:
        return Decision(promoted=False, reason=refusal, **fields)
    if not np.isfinite(theirs).all():
        reason = "the champion's score of the text as it is now is not finite"
        return Decision(promoted=True, reason=reason, probability=1.0, **fields)
    probability, interval = bootstrap(ours - theirs, characters, config)
    difference = float((ours - theirs).sum() / characters.sum() / math.log(2))
    better = difference < 0 and probability >= config.confidence
    fields |= {"probability": probability, "interval": interval, "difference": difference}
    return Decision(better, _reason(better, difference, probability, config), **fields)


def min_passages(confidence: float) -> int:
    """The minimum number of texts for this confidence: if both models were equal, one would be better on all n texts
    with a probability of 2^-n."""
    return max(2, math.ceil(math.log2(1 / (1 - confidence))))


def bootstrap(
    differences: NDArray[np.float64], characters: NDArray[np.int64], config: PromotionConfig
) -> tuple[float, tuple[float, float]]:
    """The share of resamples whose sum of `differences` (nats, challenger minus champion) is below zero, and the
    central interval of the difference in bits per character."""
    generator, count = np.random.default_rng(SEED), len(differences)
    means = np.empty(config.resamples)
    step = max(1, CHUNK // count)
    for start in range(0, config.resamples, step):
        drawn = generator.integers(count, size=(min(step, config.resamples - start), count))
        means[start : start + step] = differences[drawn].sum(1) / characters[drawn].sum(1)
    edge = (1 - config.confidence) / 2
    low, high = np.quantile(means / math.log(2), [edge, 1 - edge])
    return float((means < 0).mean()), (float(low), float(high))


def _first(
    challenger: Contestant, held: HeldOut, config: PromotionConfig, progress: Callable[[int, int], None]
) -> Decision:
    ours, counts, unspelled = _scored(challenger, held.validation, progress)
    spelled = ~np.isnan(counts)
    validation = _compared(ours[spelled], None, counts[spelled], unspelled)
    finite = bool(np.isfinite(ours[spelled]).all())
    reason = "there was no champion" if finite else "its scores are not finite"
    return Decision(finite, reason, config.confidence, held.unit, validation=validation, finite=finite)


def _refusal(
    ours: NDArray[np.float64], held: HeldOut, validation: PairedComparison, config: PromotionConfig
) -> str | None:
    if not np.isfinite(ours).all():
        return "the challenger's scores are not finite"
    least = min_passages(config.confidence)
    if validation.passages >= least:
        return None
    left_out = [f"{held.seen} on which the champion was trained"] if held.seen else []
    left_out += [f"{validation.unspelled} one of the models cannot encode"] if validation.unspelled else []
    without = f", without {' and '.join(left_out)}" if left_out else ""
    return (
        f"too few texts to compare them: {validation.passages} held-out texts{without}; at least {least} are needed "
        f"at confidence {config.confidence:g}"
    )


def _reason(better: bool, difference: float, probability: float, config: PromotionConfig) -> str:
    amount = f"{abs(difference):.4f} bits per character {'better' if difference < 0 else 'worse'}"
    if difference == 0:
        return "it is no better: the scores are equal"
    sure = f"{probability:.1%} of resamples, {config.confidence:.1%} required"
    return f"{amount} ({sure})" if better or difference > 0 else f"{amount}, but not significantly ({sure})"


def _report(
    challenger: Contestant, champion: Contestant, passages: Sequence[Passage]
) -> PairedComparison | None:
    if not passages:
        return None
    return _compared(*_both(challenger, champion, passages, lambda done, total: None))


def _compared(
    ours: NDArray[np.float64], theirs: NDArray[np.float64] | None, characters: NDArray[Any], unspelled: int
) -> PairedComparison:
    def bits(nats: NDArray[np.float64] | None) -> float | None:
        total = float(nats.sum()) if nats is not None and len(nats) else math.nan
        return total / float(characters.sum()) / math.log(2) if math.isfinite(total) else None

    return PairedComparison(len(characters), int(characters.sum()), bits(ours), bits(theirs), unspelled)


def _both(
    challenger: Contestant,
    champion: Contestant,
    passages: Sequence[Passage],
    progress: Callable[[int, int], None],
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64], int]:
    """Both models' nats for the passages that both can encode, the characters of these, and the number left out."""
    ours, first, _ = _scored(challenger, passages, lambda done, total: progress(done, 2 * total))
    theirs, second, _ = _scored(champion, passages, lambda done, total: progress(total + done, 2 * total))
    both = ~(np.isnan(first) | np.isnan(second))
    return ours[both], theirs[both], first[both].astype(np.int64), int((~both).sum())


def _scored(
    contestant: Contestant, passages: Sequence[Passage], progress: Callable[[int, int], None]
) -> tuple[NDArray[np.float64], NDArray[np.float64], int]:
    """Nats and characters of each passage, and the number of passages that the vocabulary cannot encode; their
    characters are NaN."""
    tokens, places = [], []
    characters = np.full(len(passages), math.nan)
    for at, passage in enumerate(passages):
        try:
            before, text = (contestant.encoding.encode(part) for part in (passage.run_up, passage.text))
        except UsageError:
            continue
        tokens.append((np.concatenate([before, text]), len(before)))
        places.append(at)
        characters[at] = len(passage.text)
    nats = np.zeros(len(passages))
    nats[places] = passage_nats(contestant.predictor, tokens, progress)
    return nats, characters, len(passages) - len(places)
