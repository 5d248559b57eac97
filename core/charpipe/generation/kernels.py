"""The whole loop of writing, compiled: step, head, decoding, draw. Imported only where numba is.

The decoders here do what those of the plugins do that name them (`Decoder.native`), on float64 scores.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from charpipe.models.compiling import compiled
from charpipe.models.stepping.kernels import Carried, Team, Weights, parted, step

GREEDY, TEMPERATURE, TOP_K, NUCLEUS, MIN_P = range(5)
TINY = 1e-3
"""Temperatures up to which the greatest score is subtracted before they divide, so that nothing overflows."""


@compiled
def keep(scores: Any, threshold: Any) -> None:
    """What is below goes; NaN stays, and is seen later."""
    for j in range(scores.shape[0]):
        if scores[j] < threshold:
            scores[j] = -np.inf


@compiled
def nucleus(scores: Any, share: Any) -> Any:
    """The least score among the likeliest that together have `share` of the probability."""
    falling = -np.sort(-scores)
    total = 0.0
    for j in range(falling.shape[0]):
        total += np.exp(falling[j] - falling[0])
    reached = 0.0
    for j in range(falling.shape[0]):
        reached += np.exp(falling[j] - falling[0])
        if not reached < share * total:
            return falling[j]
    return falling[falling.shape[0] - 1]


@compiled
def divide(scores: Any, temperature: Any) -> None:
    """Scores over temperature."""
    greatest = scores.max() if temperature <= TINY else 0.0
    for j in range(scores.shape[0]):
        scores[j] = (scores[j] - greatest) / temperature


@compiled
def decode(scores: Any, which: Any, numbers: Any) -> None:
    """Apply the decoders `which` [n] with their numbers [n], in order."""
    for n in range(which.shape[0]):
        if which[n] == TEMPERATURE:
            divide(scores, numbers[n])
        elif which[n] == TOP_K:
            keep(scores, np.sort(scores)[scores.shape[0] - int(numbers[n])])
        elif which[n] == NUCLEUS:
            keep(scores, nucleus(scores, numbers[n]))
        elif which[n] == MIN_P:
            keep(scores, scores.max() + (np.log(numbers[n]) if numbers[n] > 0 else -np.inf))
        else:
            best = scores.argmax()
            for j in range(scores.shape[0]):
                if j != best:
                    scores[j] = -np.inf


@compiled
def draw(scores: Any, noise: Any) -> Any:
    """Where scores [V] and Gumbel noise [V] together are greatest; -1 if they are not numbers."""
    best, greatest = -1, -np.inf
    for j in range(scores.shape[0]):
        value = scores[j] + noise[j]
        if np.isnan(value):
            return -1
        if value > greatest:
            best, greatest = j, value
    return best


@compiled
def choose(logits: Any, scores: Any, which: Any, numbers: Any, noise: Any) -> Any:
    """A token from logits [P, W]."""
    for j in range(scores.shape[0]):
        scores[j] = logits[j // logits.shape[1], j % logits.shape[1]]
    decode(scores, which, numbers)
    return draw(scores, noise)


@compiled
def write(
    kind: Any,
    w: Weights,
    s: Carried,
    team: Team,
    token: Any,
    now: Any,
    which: Any,
    numbers: Any,
    noise: Any,
    out: Any,
) -> int:
    """Write a token to `out` for each row of `noise` [n, V] after `token`; how many became of it.

    Each thread of a team draws for itself, from the same logits and noise, so that none waits for another's draw.
    """
    scores = np.empty(noise.shape[1], np.float64)
    for i in range(noise.shape[0]):
        if team.first > 0 and parted(team):
            return i
        now = 1 - now
        step(kind, w, s, team, token, now, True)
        token = choose(s.logits, scores, which, numbers, noise[i])
        if token < 0:
            return i
        if team.first == 0:
            out[i] = token
    return noise.shape[0]  # type: ignore[no-any-return]
