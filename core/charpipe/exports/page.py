"""A model as one self-contained HTML page that writes by itself."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn.functional import log_softmax

from charpipe.corpus.ends import END
from charpipe.exports.characters import characters
from charpipe.exports.facts import Facts
from charpipe.exports.javascript import cell_function
from charpipe.exports.network import network_of
from charpipe.exports.quantised import pack_weights, quantised_network
from charpipe.generation import SampleConfig, sample, sample_documents
from charpipe.generation.sampling import line_break
from charpipe.kernels.modules import NetworkModules
from charpipe.models import Model, NetworkPredictor
from charpipe.models.loaded import Loaded
from charpipe.pages import embeddable, render
from charpipe.plugin import Encoding, end_token

MEASURED = 2000
"""Characters on which the cost of 8-bit weights is measured."""
DOCUMENTS = 50
"""Documents written for that at most."""
SCORES = {
    "test/bits_per_char": "bits per character, test",
    "val/bits_per_char": "bits per character, validation",
}


@dataclass(frozen=True)
class WritingPage:
    """The page, and what its 8-bit weights cost in bits per character."""

    html: str
    cost: float


def writing_page(loaded: Loaded, facts: Facts) -> WritingPage:
    """The page of a model. Raises UsageError for a model without equations, and for a tokenizer that is not one of
    characters or bytes."""
    modules = network_of(loaded, "html")
    tokens = characters(loaded.encoding, str(loaded.model.vocabulary.get("tokenizer")))
    packed = pack_weights(modules)
    cost = quantisation_cost(loaded)
    html = render(
        "writing.html",
        facts=facts,
        rows=_rows(facts, packed.size),
        ends=modules.end_token is not None,
        cost=cost,
        measured=MEASURED,
        cell=cell_function(modules.trace),
        data=embeddable(_data(loaded, modules, tokens, packed.layout)),
        weights=packed.data,
    )
    return WritingPage(html, cost)


@torch.no_grad()
def quantisation_cost(loaded: Loaded) -> float:
    """The bits per character that 8-bit weights cost: the Kullback-Leibler divergence of their predictions from the
    model's own, over a text that the model writes."""
    assert isinstance(loaded.model, Model)
    exact, encoding = loaded.model.network.eval(), loaded.encoding
    predictor = NetworkPredictor(exact, loaded.model.vocabulary_size)
    text = _written(predictor, encoding)
    ids = torch.from_numpy(encoding.encode(text).astype("int64"))[:, None]
    coarse = quantised_network(exact).eval()
    own, other = (
        log_softmax(network(ids, network.initial_state(1))[0].double(), -1)  # type: ignore[operator]
        for network in (exact, coarse)
    )
    divergence = (own.exp() * (own - other).nan_to_num()).sum(-1)
    return float(divergence.sum()) / math.log(2) / max(1, len(text))


def _written(predictor: NetworkPredictor, encoding: Encoding) -> str:
    """A text that the model writes, or documents with their ends."""
    wanted = SampleConfig(length=MEASURED, temperature=1.0, seed=1)
    if end_token(encoding) is None:
        return sample(predictor, encoding, wanted, {})
    wanted = wanted.model_copy(update={"length": MEASURED // DOCUMENTS * 2})
    documents = sample_documents(predictor, encoding, DOCUMENTS, wanted, {})
    return "".join(END + document.text for document in documents)[:MEASURED]


def _data(
    loaded: Loaded, modules: NetworkModules, tokens: list[Any], layout: dict[str, Any]
) -> dict[str, Any]:
    trace = modules.trace
    return {
        "tokens": tokens,
        "start": line_break(loaded.encoding) if modules.end_token is None else modules.end_token,
        "end": modules.end_token,
        "between": "\n\n" if "\n" in tokens else "\n",
        "size": modules.hidden_size,
        "states": list(trace.state),
        "gates": len(trace.gates),
        "inputGates": list(trace.input_gates),
        "hiddenGates": list(trace.hidden_gates),
        "weights": layout,
    }


def _rows(facts: Facts, size: int) -> list[tuple[str, str]]:
    """The facts below the text, as far as they are known."""
    rows = [
        ("model", facts.title),
        ("parameters", f"{facts.parameters:,}, in {size:,} bytes"),
        ("vocabulary", f"{facts.vocabulary_size:,} tokens"),
        ("corpus", ": ".join(each for each in (facts.corpus, facts.summary) if each)),
        ("licence of the corpus", facts.license),
        *((title, f"{facts.scores[name]:.3f}") for name, title in SCORES.items() if name in facts.scores),
        ("made with", f"charpipe {facts.charpipe}"),
    ]
    return [(name, value) for name, value in rows if value]
