"""The shell that turns a recurrence into a language model: characters in, logits of the next character out."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn
from torch.nn import functional

from charpipe.errors import UsageError
from charpipe.models.contract import State
from charpipe.models.dropout import drop
from charpipe.models.embedding import embedding_width
from charpipe.models.initialisation import initialise_head
from charpipe.models.recurrence import TorchRecurrence
from charpipe.models.resets import end_token_of, in_stretches
from charpipe.plugin import ArchitectureConfig, RecurrentConfig


class LanguageModel(nn.Module):
    """A network that follows the model contract, around the plugin's module `recurrence(input_size)`.

    Characters enter one-hot, as in the blog, or through a trained embedding if `embedding_size` is set
    or the vocabulary is large; the softmax head reads the last layer's units, after dropout.
    """

    resets_itself = True

    def __init__(
        self, config: ArchitectureConfig, vocabulary_size: int, recurrence: Callable[[int], nn.Module]
    ) -> None:
        super().__init__()
        self.vocabulary_size = vocabulary_size
        self.dropout = config.dropout
        self.locked = isinstance(config, RecurrentConfig) and config.locked_dropout
        width = embedding_width(config, vocabulary_size)
        self.embedding = nn.Embedding(vocabulary_size, width) if width else None
        self.recurrence = recurrence(width or vocabulary_size)
        self.head = nn.Linear(config.hidden_size, vocabulary_size)
        if isinstance(config, RecurrentConfig):
            initialise_head(self.head, config.initialisation)
        if config.tie_weights:
            self._tie(config)

    def _tie(self, config: ArchitectureConfig) -> None:
        if self.embedding is None or config.embedding_size != config.hidden_size:
            raise UsageError(
                f"tie_weights needs embedding_size to equal hidden_size ({config.hidden_size}), "
                f"but it is {config.embedding_size}"
            )
        self.embedding.weight = self.head.weight

    def initial_state(self, batch_size: int) -> State:
        """The state before any character, [layers, B, H] each."""
        state: State = self.recurrence.initial_state(batch_size)  # type: ignore[operator]
        return state

    def forward(self, ids: Tensor, state: State) -> tuple[Tensor, State]:
        """ids int64 [T, B] -> logits [T, B, V] of the character after each, and the state after the last."""
        outputs, state = self._recur(ids, state)
        return self.head(drop(outputs, self.dropout, self.training, locked=self.locked)), state

    def _recur(self, ids: Tensor, state: State) -> tuple[Tensor, State]:
        """Outputs [T, B, H] of the last layer, and the state after. A stream that reads an end token starts anew."""
        inputs, token = self._look_up(ids), end_token_of(self)
        if token is None:
            found: tuple[Tensor, State] = self.recurrence(inputs, state)
            return found
        if isinstance(self.recurrence, TorchRecurrence):
            return self.recurrence(inputs, state, ids == token)  # type: ignore[no-any-return]
        return in_stretches(self.recurrence, self.initial_state, inputs, state, ids == token)

    def _look_up(self, ids: Tensor) -> Tensor:
        if self.embedding is not None:
            found: Tensor = self.embedding(ids)
            return found
        return functional.one_hot(ids, self.vocabulary_size).to(self.head.weight.dtype)


def parameter_count(network: nn.Module) -> int:
    """The number of trainable parameters, shared ones counted once."""
    return sum(values.numel() for values in network.parameters() if values.requires_grad)
