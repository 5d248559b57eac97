"""Base classes of the settings that plugins have: options, and the settings of architectures."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field


class Options(BaseModel):
    """The base of every options model: frozen, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


Dropout = Annotated[
    float, Field(ge=0, lt=1, description="dropout probability of each layer's outputs in training")
]
"""The type of such a setting: what to leave out differs between architectures, what it means does not."""

RecurrentDropout = Annotated[
    float,
    Field(
        ge=0,
        lt=1,
        description="dropout probability of the recurrent weights, a new mask each window (DropConnect)",
    ),
]


class ModelConfig(Options):
    """The base of every architecture's settings; a count-based one needs no more than this."""

    @property
    def title(self) -> str:
        """What tells two models of one architecture apart, in a word or two: `1x512`, `order 10`."""
        return ""


class ArchitectureConfig(ModelConfig):
    """What every recurrent architecture has. Subclass it to add settings of your own."""

    hidden_size: int = Field(512, ge=1, le=65536, description="units in each layer")
    layers: int = Field(1, ge=1, le=64, description="stacked recurrent layers")
    dropout: Dropout = 0.0
    embedding_size: int | None = Field(
        None,
        ge=0,
        le=65536,
        description="width of a trained input embedding; 0: one-hot, as in the blog; unset: one-hot up to 128 "
        "characters, 128 wide beyond",
    )
    tie_weights: bool = Field(
        False, description="share the embedding with the softmax head (needs equal widths)"
    )

    @property
    def title(self) -> str:
        """`1x512`: layers and hidden units."""
        return f"{self.layers}x{self.hidden_size}"


class RecurrentConfig(ArchitectureConfig):
    """What architectures have that `charpipe.models.TorchRecurrence` makes of PyTorch's layers."""

    locked_dropout: bool = Field(
        False,
        description="use one dropout mask for a whole window (variational dropout), not one for each step",
    )
    recurrent_dropout: RecurrentDropout = 0.0
    initialisation: Literal["usual", "orthogonal", "char-rnn", "min-char-rnn"] = Field(
        "usual",
        description="first weights: usual: uniform with 1/sqrt(units), and one-hot's normal with 1; orthogonal: "
        "recurrent ones so; char-rnn: all uniform within 0.08; min-char-rnn: normal with 0.01, one bias a unit",
    )
