"""The metrics that plugins provide, computed from the facts of an update or an evaluation.

What is wrong with a metric harms only that metric: it is left out, and one warning names it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from math import isfinite
from types import MappingProxyType
from typing import Any, Literal

import torch
from torch import Tensor

from charpipe.events import Notice
from charpipe.plugin import Facts, Metric, resolve

REPORT_INTERVAL = 10
"""Updates between two reports."""


class Metrics:
    """Computes metrics by name, and collects the warnings about those that fail."""

    def __init__(self, metrics: Mapping[str, Metric] | None = None) -> None:
        self._metrics = dict(metrics or {})
        self._warned: set[str] = set()
        self._warnings: list[Notice] = []

    def compute(self, when: Literal["update", "evaluation"], facts: Facts) -> dict[str, float]:
        """`facts.metrics` and, added to them, the metrics that are due, by name."""
        found = dict(facts.metrics)
        facts = replace(facts, metrics=MappingProxyType(facts.metrics))
        for name, metric in self._metrics.items():
            if metric.when != when:
                continue
            if name in facts.metrics:
                self._warn(name, "has the name of one of charpipe's own")
                continue
            try:
                value = _number(_call(metric, facts))
            except (Exception, SystemExit) as error:
                self._warn(name, f"raised {type(error).__name__}: {error}")
                continue
            if value is not None and not isfinite(value):
                self._warn(name, f"returned {value}")
            elif value is not None:
                found[name] = value
        return found

    def warnings(self) -> Iterator[Notice]:
        """The warnings since the last call: one for each metric."""
        while self._warnings:
            yield self._warnings.pop(0)

    def _warn(self, name: str, problem: str) -> None:
        if name not in self._warned:
            self._warned.add(name)
            self._warnings.append(
                Notice(
                    f"the metric {name} {problem}; it is left out, and everything else continues", "warning"
                )
            )


def _call(metric: Metric, facts: Facts) -> Any:
    with torch.no_grad():  # on exit, it restores the mode that a metric may have changed
        return resolve(metric.function)(facts)


def _number(value: Any) -> float | None:
    """The value as a float. Raises TypeError where it is no number."""
    if value is None:
        return None
    number = value.item() if hasattr(value, "item") else value
    if isinstance(number, bool) or not isinstance(number, int | float):
        raise TypeError(f"{value!r:.80} is not a number")
    return float(number)


class Weights(Mapping[str, Tensor]):
    """A model's tensors by name. Each is copied when it is read, so that no reader can change the model."""

    def __init__(self, load: Callable[[], Mapping[str, Tensor]]) -> None:
        """`load()` returns the tensors; it is called when the first one is read."""
        self._load = load
        self._tensors: Mapping[str, Tensor] | None = None

    def __getitem__(self, name: str) -> Tensor:
        return self._all()[name].detach().clone()

    def __iter__(self) -> Iterator[str]:
        return iter(self._all())

    def __len__(self) -> int:
        return len(self._all())

    def _all(self) -> Mapping[str, Tensor]:
        if self._tensors is None:
            self._tensors = self._load()
        return self._tensors
