"""A trained model with the interface of Karpathy's 2015 essay: `rnn.step(x)` reads text, returns a prediction and
keeps the state.

rnn = charpipe.load("best:tiny_shakespeare")
print(rnn.step("h"))
print(rnn.sample("ROMEO:", length=200))
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from pydantic import ValidationError
from torch import Tensor

from charpipe.api.distribution import Distribution
from charpipe.errors import UsageError, near_match
from charpipe.evaluation import score_text
from charpipe.generation import (
    BeamText,
    Document,
    Position,
    SampleConfig,
    ScoredPiece,
    beam_search,
    generate,
    generate_scored,
    sample_documents,
    sample_prompts,
)
from charpipe.generation.documents import check_ends
from charpipe.generation.sampling import read_prompt
from charpipe.models import Model, Predictor
from charpipe.models.fitted import FittedModel
from charpipe.models.held_units import hold
from charpipe.models.loaded import Loaded
from charpipe.pages.notebook import escaped, shortened, table
from charpipe.plugin import Decoder, Encoding
from charpipe.text.coverage import fit

LENGTH = 200


class ModelState(Mapping[str, "Tensor"]):
    """The tensors of a model's state by name, with a batch of one in dimension 1: `state["hidden"][layer, 0, unit]`.

    It also stores the position in the text, so that a model set to this state continues exactly from there.
    """

    def __init__(self, values: Mapping[str, Tensor], position: Position | None = None) -> None:
        self._values = dict(values)
        self.position = position

    def __getitem__(self, name: str) -> Tensor:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        shapes = ", ".join(f"{name}: {list(value.shape)}" for name, value in self.items())
        return f"ModelState({shortened(shapes, 500)})"

    def copy(self) -> ModelState:
        """A deep copy, which can be changed and assigned back (`rnn.state = changed`)."""
        return ModelState({name: value.clone() for name, value in self.items()})


class LoadedModel:
    """A trained model that reads and writes one text, and keeps its state between calls.

    Works with any neural or count-based model: only its predictor is used. `name` is the run's name.
    """

    _after: dict[str, Tensor] | None
    """The state after the last character too, if it is known."""

    def __init__(
        self, loaded: Loaded, decoders: Mapping[str, Decoder] | None = None, device: str = "auto"
    ) -> None:
        self._loaded, self._decoders, self._device = loaded, decoders, device
        self._predictor = loaded.predictor(device)
        self._characters: list[str] | None = None
        self.reset()

    @property
    def name(self) -> str:
        """The run's name."""
        return self._loaded.name

    @property
    def model(self) -> Model | FittedModel:
        """The model with its settings."""
        return self._loaded.model

    @property
    def encoding(self) -> Encoding:
        """The model's vocabulary."""
        return self._loaded.encoding

    def predictor(self, device: str = "auto") -> Predictor:
        """A separate predictor, for batches: it does not share this object's state."""
        return self._loaded.predictor(device)

    def __repr__(self) -> str:
        title = shortened(self.model.title, 200)
        return f"<{shortened(self.name, 120)}: {title}, {self.model.parameters:,} parameters>"

    def _repr_html_(self) -> str:
        """The model and its current prediction, for notebooks."""
        model, encoding = self.model, self.encoding
        carried = ", ".join(f"{name} {list(value.shape)}" for name, value in self._read().items())
        rows = [
            ("model", model.title),
            ("parameters", f"{model.parameters:,}"),
            ("vocabulary", f"{encoding.size:,} tokens"),
            ("state", carried or "none"),
        ]
        return f"<p><b>{escaped(self.name)}</b></p>{table((), rows)}"

    def step(self, text: str, *, strict: bool = True) -> Distribution:
        """Read one or more characters; return the distribution of the next character.

        Raises UsageError for an empty text, and for a character that is not in the vocabulary, which the message
        names; unless `strict`, such characters are skipped with a warning.
        """
        text = self._known(text, strict)
        if not text:
            raise UsageError("there is nothing to read in an empty text; give step() at least one character")
        position = self._position
        before, token = read_prompt(self._predictor, self.encoding, text, position)
        assert token is not None
        logits, after = self._predictor.step(torch.tensor([token]), before)
        position.state, position.token, self._after = before, token, after
        return Distribution(logits[0].float().cpu().numpy(), self._names())

    def sample(
        self,
        prompt: str = "",
        length: int = LENGTH,
        *,
        strict: bool = True,
        clamp: Mapping[str, float] | None = None,
        **settings: Any,
    ) -> str:
        """Generate text after the prompt, continuing from the current state.

        Without a prompt, a new or reset model starts as after a line break. `settings` are those of `[sample]`:
        temperature, top_k, top_p, min_p, greedy, stop, seed ... Successive calls continue one sequence of random
        numbers, unless a call gives a seed. A character of the prompt that is not in the vocabulary raises
        UsageError; unless `strict`, it is skipped with a warning. `clamp` holds units of the state at a value
        meanwhile: `{"0.317": 1.5}` is unit 317 of layer 0, `"cell.0.317"` names the state too.
        """
        return "".join(self.stream(prompt, length, strict=strict, clamp=clamp, **settings))

    def stream(
        self,
        prompt: str = "",
        length: int = LENGTH,
        *,
        strict: bool = True,
        clamp: Mapping[str, float] | None = None,
        **settings: Any,
    ) -> Iterator[str]:
        """Like `sample`, but yields the text piece by piece; the model has read exactly the pieces that were taken."""
        wanted = _settings(prompt=prompt, length=length, **settings)
        if prompt:
            wanted = wanted.model_copy(update={"prompt": self._known(prompt, strict)})
        position = self._position
        if "seed" in settings:
            position.noise = ()
        self._after = None
        predictor = hold(self._predictor, clamp or {})
        return generate(predictor, self.encoding, wanted, decoders=self._decoders, position=position)

    def sample_many(self, prompts: Sequence[str], length: int = LENGTH, **settings: Any) -> list[str]:
        """A text after each prompt, prompt included, generated in batches from the initial state; the model's own state
        does not change. `settings` are those of `[sample]`. Raises UsageError as `sample` does."""
        known = [self._known(prompt, strict=True) for prompt in prompts]
        wanted = _settings(length=length, **settings)
        return list(sample_prompts(self._predictor, self.encoding, known, wanted, self._decoders))

    def scored(self, prompt: str = "", length: int = LENGTH, **settings: Any) -> list[ScoredPiece]:
        """The characters that are generated after the prompt from the initial state, each with its log probability in
        nats; the model's own state does not change. Raises UsageError as `sample` does."""
        wanted = _settings(prompt=self._known(prompt, strict=True), length=length, **settings)
        return list(generate_scored(self._predictor, self.encoding, wanted, self._decoders))

    def beam_search(
        self, prompt: str = "", width: int = 5, length: int = LENGTH, **settings: Any
    ) -> list[BeamText]:
        """The `width` most probable texts after the prompt that beam search finds from the initial state, the best
        first; the model's own state does not change.

        `settings`: `stop`, and `decoders` that constrain the text. Raises UsageError as `sample` does, and for a beam
        wider than the vocabulary.
        """
        wanted = _settings(prompt=self._known(prompt, strict=True), length=length, **settings)
        return beam_search(self._predictor, self.encoding, width, wanted, self._decoders)

    def documents(
        self, count: int = 1, prompt: str = "", *, strict: bool = True, **settings: Any
    ) -> list[Document]:
        """Whole documents, each begun with the prompt: `text`, whether the model `ended` it, and what it was
        `ended_by`: "model", "stop", "constraint" or "length" (1,000 tokens).

        The model's own state does not change. `settings` are those of `[sample]`. Raises UsageError for
        a model whose corpus had no ends.
        """
        check_ends(self.encoding)
        if count < 1:
            raise UsageError(f"documents() writes one document or more, not {count}")
        wanted = _settings(prompt=self._known(prompt, strict), **settings)
        return sample_documents(self._predictor, self.encoding, count, wanted, self._decoders)

    def bits_per_char(self, text: str, *, strict: bool = True) -> float:
        """Bits per character of a text, read from the initial state; the model's own state does not change.

        Raises UsageError for a text of fewer than two characters, and for a character that is not in the vocabulary,
        which the message names; unless `strict`, such characters are skipped with a warning, and are not scored.
        """
        text = self._known(text, strict)
        if len(text) < 2:
            raise UsageError(
                f"a text of {len(text)} characters leaves nothing to predict; "
                "give bits_per_char() two characters or more"
            )
        found = score_text(self._predictor, self.encoding, text, full=True).bits_per_char
        assert found is not None
        return found

    @property
    def state(self) -> ModelState:
        """The current state. Set it to continue from an earlier state, a changed copy, or tensors by name.

        A changed copy has no last character: after it, `sample` without a prompt starts as after a line break.
        """
        position = self._position.copy()
        return ModelState(self._read(), position)

    @state.setter
    def state(self, state: Mapping[str, Tensor]) -> None:
        position = state.position if isinstance(state, ModelState) else None
        if position is None:
            position = Position({name: value.clone() for name, value in self._checked(state).items()})
        self._position = position.copy()
        self._after = None

    def reset(self) -> None:
        """Return to the initial state and restart the random numbers."""
        self._position = Position()
        self._after = None

    def _known(self, text: str, strict: bool) -> str:
        """The text without characters that are not in the vocabulary. Raises UsageError if `strict`."""
        fitted = fit(text, self.encoding, "the text", strict=strict, typed=True)
        for notice in fitted.notices:
            warnings.warn(notice, UserWarning, stacklevel=3)
        return fitted.text

    def _read(self) -> dict[str, Tensor]:
        """The state after all characters, including the last."""
        position = self._position
        if position.state is None:
            return self._predictor.initial_state(1)
        if self._after is None and position.token is not None:
            _, self._after = self._predictor.step(torch.tensor([position.token]), position.state)
        found = position.state if self._after is None else self._after
        return {name: value.clone() for name, value in found.items()}

    def _checked(self, state: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        wanted = {name: tuple(value.shape) for name, value in self._predictor.initial_state(1).items()}
        found = {name: tuple(value.shape) for name, value in state.items()}
        if found != wanted:
            raise UsageError(f"the state of {self.model.title} is {wanted}, but the one given is {found}")
        return state

    def _names(self) -> list[str]:
        if self._characters is None:
            self._characters = [_name(self.encoding, token) for token in range(self.encoding.size)]
        return self._characters


def _settings(**given: Any) -> SampleConfig:
    try:
        return SampleConfig.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        near = near_match(key, SampleConfig.model_fields) if first["type"] == "extra_forbidden" else ""
        raise UsageError(f"sample: {key}: {first['msg']}, not {first['input']!r}{near}") from error


def _name(encoding: Encoding, token: int) -> str:
    """The character of a token; for a part of a character, its printable name."""
    text = encoding.decoder().decode([token], final=True)
    try:
        whole = len(text) > 0 and encoding.encode(text).tolist() == [token]
    except UsageError:
        whole = False
    return text if whole else encoding.labels[token]
