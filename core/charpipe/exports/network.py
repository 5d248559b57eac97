"""The network of a model whose step is known as equations: what a page and an ONNX graph are made of."""

from __future__ import annotations

from charpipe.cells import Trace
from charpipe.errors import UsageError
from charpipe.kernels.modules import NetworkModules
from charpipe.models.fitted import FittedModel
from charpipe.models.loaded import Loaded
from charpipe.models.standard import modules_of, trace_of_network

INSTEAD = "--to folder takes any model"


def network_of(loaded: Loaded, form: str) -> NetworkModules:
    """The modules of the model. Raises UsageError for one without a step of equations: it counts, or its cell cannot
    be traced."""
    model = loaded.model
    if isinstance(model, FittedModel):
        raise UsageError(
            f"{loaded.name} cannot be exported to {form}: {model.title} is a count-based model, which has tables and "
            f"no step of equations; {INSTEAD}"
        )
    trace = trace_of_network(model.network)
    if not isinstance(trace, Trace):
        raise UsageError(f"{loaded.name} cannot be exported to {form}: {trace}; {INSTEAD}")
    network = model.network.to("cpu").eval()
    return modules_of(network)  # type: ignore[arg-type]
