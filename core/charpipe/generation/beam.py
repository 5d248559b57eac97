"""Beam search (Lowerre 1976): the most probable texts after a prompt, not a draw."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from charpipe.config.settings.sampling import SampleConfig
from charpipe.errors import RunError, UsageError
from charpipe.generation.constraints import Progress
from charpipe.generation.decoding import DAMAGED, Decoding
from charpipe.generation.sampling import Decoders, read_prompt
from charpipe.generation.scored import log_softmax
from charpipe.generation.state import Position
from charpipe.models import Predictor, State
from charpipe.plugin import Encoding, end_token

IGNORED = {"temperature": 1.0, "top_k": None, "top_p": None, "min_p": None, "greedy": False}
"""Settings of draws, which beam search does not make."""
MOST_TOKENS = 8
"""Tokens of a character: as many as UTF-8 has half bytes."""


@dataclass(frozen=True)
class BeamText:
    """A text that beam search found, without the prompt.

    `log_probability` is the model's own, in nats, of everything that was chosen: the text, the text it stopped at or
    the end of its document, and the probability that a constrained text ends where it does; `characters` is the number
    of all characters that were chosen, without the end, which is none. `ended` is False where the text was cut at the
    length.
    """

    text: str
    log_probability: float
    characters: int
    ended: bool

    @property
    def per_character(self) -> float:
        """Nats per character that was chosen."""
        return self.log_probability / max(1, self.characters)


@dataclass(frozen=True)
class _Hypothesis:
    """A text in the making: its last token and what came before, its log probability, and its place in the
    constraints."""

    before: _Hypothesis | None
    token: int
    length: int
    score: float
    progress: Progress

    def last_tokens(self, count: int) -> list[int]:
        """The last `count` tokens, or all there are."""
        found, one = list[int](), self
        while one.before is not None and len(found) < count:
            found.append(one.token)
            one = one.before
        return found[::-1]


def beam_search(
    predictor: Predictor,
    encoding: Encoding,
    width: int,
    settings: SampleConfig,
    decoders: Decoders = None,
) -> list[BeamText]:
    """The `width` most probable texts that the search finds, the best first; those that ended before those that were
    cut at the length.

    The search ends at the length, or when no text in the making can become better than the `width` best ended ones.
    Of `settings` it uses prompt, length, stop and the decoders that constrain; it draws nothing, so temperature and the
    like do not apply. Raises UsageError for a beam wider than the vocabulary, and for decoders that only change draws.
    """
    check_width(width, encoding)
    settings = settings.model_copy(update=IGNORED)
    decoding = Decoding(settings, encoding.size, decoders, encoding=encoding)
    if decoding.choices:
        raise UsageError(
            "beam search ranks texts by the model's own probabilities; "
            "leave out the decoders that change them, and keep those that constrain, such as regex"
        )
    state, token = read_prompt(predictor, encoding, settings.prompt, Position())
    first = decoding.noise[0].any_token() if token is None else token
    return _Search(predictor, encoding, width, settings, decoding).run(state, first)


def check_width(width: int, encoding: Encoding) -> None:
    """Raise UsageError where the beam has no text, or is wider than the vocabulary."""
    if width < 1:
        raise UsageError(f"a beam of {width} has no room for a text; give 1 or more")
    if width > encoding.size:
        raise UsageError(
            f"a beam of {width} is wider than the vocabulary, which has {encoding.size} tokens; "
            f"give at most {encoding.size}"
        )


class _Search:
    def __init__(
        self,
        predictor: Predictor,
        encoding: Encoding,
        width: int,
        settings: SampleConfig,
        decoding: Decoding,
    ) -> None:
        self.predictor, self.encoding, self.width = predictor, encoding, width
        self.length, self.constrained = settings.length, bool(decoding.constraints)
        self.begin, self.end = decoding.progress[0], end_token(encoding)
        stop = settings.stop
        self.stops: Sequence[str] = [stop] if isinstance(stop, str) else stop or ()
        self.longest = max(map(len, self.stops), default=0)
        self.ended: list[BeamText] = []

    def run(self, state: State, token: int) -> list[BeamText]:
        """The best texts after a state, with the token that is read next."""
        beam, tokens = [_Hypothesis(None, -1, 0, 0.0, self.begin)], np.array([token])
        for _ in range(self.length):
            logits, state = self.predictor.step(torch.from_numpy(tokens), state)
            predictions = log_softmax(logits.float().cpu().numpy())
            if np.isnan(predictions).any():
                raise RunError(DAMAGED)
            beam, parents = self._extend(beam, predictions)
            if not beam or self._is_decided(beam):
                break
            chosen = torch.tensor(parents)
            state = {name: value.index_select(1, chosen.to(value.device)) for name, value in state.items()}
            tokens = np.array([each.token for each in beam])
        cut = [self._text(each, ended=False) for each in beam if self._may_end(each)]
        found = sorted(self.ended, key=_rank) + sorted(cut, key=_rank)
        return found[: self.width]

    def _extend(
        self, beam: list[_Hypothesis], predictions: NDArray[np.float64]
    ) -> tuple[list[_Hypothesis], list[int]]:
        """The best continuations by one token, and the hypothesis each comes from; those that end are kept apart."""
        scores = predictions + np.array([each.score for each in beam])[:, None]
        if self.constrained:
            self._apply_constraints(beam, predictions, scores)
        flat = scores.reshape(-1)
        order = np.argsort(-flat, kind="stable")
        extended, parents = list[_Hypothesis](), list[int]()
        for place in order.tolist():
            if len(extended) == self.width or flat[place] == -np.inf:
                break
            parent, token = divmod(place, self.encoding.size)
            one = self._with(beam[parent], token, float(flat[place]))
            if self._stopped(one):
                self.ended.append(self._text(one, ended=True))
            else:
                extended.append(one)
                parents.append(parent)
        return extended, parents

    def _apply_constraints(
        self, beam: list[_Hypothesis], predictions: NDArray[np.float64], scores: NDArray[np.float64]
    ) -> None:
        """Leave only allowed tokens; where a text may end, it does with the probability of all others."""
        for row, one in enumerate(beam):
            allowed = one.progress.allowed()
            if one.progress.complete:
                others = float(np.exp(predictions[row][~allowed]).sum()) if allowed.any() else 1.0
                if others > 0:
                    self.ended.append(self._text(one, ended=True, more=float(np.log(min(1.0, others)))))
            scores[row, ~allowed] = -np.inf

    def _with(self, one: _Hypothesis, token: int, score: float) -> _Hypothesis:
        progress = one.progress
        if self.constrained:
            progress = progress.copy()
            progress.read(token)
        return _Hypothesis(one, token, one.length + 1, score, progress)

    def _stopped(self, one: _Hypothesis) -> bool:
        if one.token == self.end:
            return True
        if not self.stops:
            return False
        tail = self._decoded(one.last_tokens(MOST_TOKENS * self.longest))
        return any(stop in tail for stop in self.stops)

    def _may_end(self, one: _Hypothesis) -> bool:
        return not self.constrained or one.progress.complete

    def _is_decided(self, beam: list[_Hypothesis]) -> bool:
        """Whether no text in the making can become one of the best: log probabilities only fall."""
        if len(self.ended) < self.width:
            return False
        kept = sorted(self.ended, key=_rank)[: self.width]
        self.ended = kept
        return kept[-1].log_probability >= max(each.score for each in beam)

    def _text(self, one: _Hypothesis, *, ended: bool, more: float = 0.0) -> BeamText:
        tokens = one.last_tokens(one.length)
        text = self._decoded(tokens[:-1] if tokens and tokens[-1] == self.end else tokens)
        count = len(text)
        places = [place for stop in self.stops if (place := text.find(stop)) >= 0]
        text = text[: min(places)] if places else text
        return BeamText(text, one.score + more, count, ended)

    def _decoded(self, tokens: Sequence[int]) -> str:
        return self.encoding.decoder().decode(tokens, final=True)


def _rank(text: BeamText) -> float:
    return -text.log_probability
