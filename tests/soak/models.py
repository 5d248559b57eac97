"""A plain recurrent network in numpy, read from a model's own files, to score text once more without charpipe."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as parquet
from numpy.typing import NDArray
from safetensors.numpy import load_file

BLOCK = 64
"""Characters that are drawn together when the comparison is resampled."""
RESAMPLES = 2000
LEAST = 0.8
"""A promotion at a confidence of 0.95 must be at least so sure here, where texts are cut elsewhere."""


class Network:
    """A one-layer tanh network over one-hot characters: h' = tanh(W x + U h + b), y = V h' + c."""

    def __init__(self, folder: Path) -> None:
        weights = load_file(folder / "model.safetensors")
        name = "recurrence.layer"
        self.into = weights[f"{name}.weight_ih_l0"].T.astype(np.float64)  # [V, H]
        self.again = weights[f"{name}.weight_hh_l0"].T.astype(np.float64)  # [H, H]
        self.bias = (weights[f"{name}.bias_ih_l0"] + weights[f"{name}.bias_hh_l0"]).astype(np.float64)
        self.head = weights["head.weight"].T.astype(np.float64)  # [H, V]
        self.offset = weights["head.bias"].astype(np.float64)
        vocabulary = json.loads((folder / "vocabulary.json").read_text(encoding="utf-8"))
        self.characters: str = vocabulary["characters"]
        self.ids = {character: number for number, character in enumerate(self.characters)}

    def nats(self, text: str) -> NDArray[np.float64] | None:
        """What each character but the first costs, [len(text) - 1]; None where one of them is unknown."""
        if not set(text) <= set(self.ids):
            return None
        ids = [self.ids[character] for character in text]
        state, states = np.zeros(len(self.bias)), []
        for one in ids[:-1]:
            state = np.tanh(self.into[one] + state @ self.again + self.bias)
            states.append(state)
        scores = np.array(states) @ self.head + self.offset
        top = scores.max(1)
        normaliser = top + np.log(np.exp(scores - top[:, None]).sum(1))
        found: NDArray[np.float64] = normaliser - scores[np.arange(len(states)), ids[1:]]
        return found


def held_out(tokens: Path, spelled_by: Network) -> list[str]:
    """The texts of the validation split of a folder of tokens."""
    ids = np.load(tokens / "val.npy")
    rows: list[dict[str, Any]] = parquet.read_table(tokens / "splits.parquet").to_pylist()
    found = []
    for row in rows:
        if row["split"] == "val" and row["tokens"] > 1:
            part = ids[row["offset"] : row["offset"] + row["tokens"]]
            found.append("".join(spelled_by.characters[one] for one in part))
    return found


def compare(challenger: Network, champion: Network, texts: list[str]) -> float:
    """The share of resamples in which the challenger needs fewer nats: a paired bootstrap over blocks of characters."""
    differences = []
    for text in texts:
        ours, theirs = challenger.nats(text), champion.nats(text)
        if ours is not None and theirs is not None:
            change = ours - theirs
            differences += [change[at : at + BLOCK].sum() for at in range(0, len(change), BLOCK)]
    blocks = np.array(differences)
    drawn = np.random.default_rng(7).integers(len(blocks), size=(RESAMPLES, len(blocks)))
    return float((blocks[drawn].sum(1) < 0).mean())
