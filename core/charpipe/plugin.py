"""All that a plugin author imports: the hook marker, the spec classes and the contracts behind them.

Specs are small and frozen. What is heavy is named by a string (`"charpipe_lstm.model:build"`) and imported only when it
is used, so that listing plugins imports no torch.
"""

from charpipe.cells import (
    BOTH,
    HIDDEN,
    INPUT,
    Cell,
    CellError,
    exp,
    log,
    maximum,
    minimum,
    relu,
    sigmoid,
    tanh,
    where,
)
from charpipe.errors import CharpipeError, CorpusError, PluginError, UsageError, near_match
from charpipe.events import Event, Notice, StageProgress
from charpipe.plugins.contracts import (
    Announcement,
    Constraint,
    Encoding,
    Facts,
    Fetched,
    Fetcher,
    Finding,
    IncrementalDecoder,
    PipelineResult,
    Table,
)
from charpipe.plugins.lists import NAME_LIST, NUMBER_LIST, comma_separated
from charpipe.plugins.options import (
    ArchitectureConfig,
    Dropout,
    ModelConfig,
    Options,
    RecurrentConfig,
    RecurrentDropout,
)
from charpipe.plugins.references import API, hookimpl, resolve
from charpipe.plugins.specs import (
    Architecture,
    Check,
    Command,
    Decoder,
    Metric,
    Pipeline,
    Runner,
    Source,
    StorageBackend,
    Tokenizer,
)
from charpipe.store.paths import existing, printable
from charpipe.store.secrets import redact

__all__ = [
    "API",
    "BOTH",
    "HIDDEN",
    "INPUT",
    "NAME_LIST",
    "NUMBER_LIST",
    "Announcement",
    "Architecture",
    "ArchitectureConfig",
    "Cell",
    "CellError",
    "CharpipeError",
    "Check",
    "Command",
    "Constraint",
    "CorpusError",
    "Decoder",
    "Dropout",
    "Encoding",
    "Event",
    "Facts",
    "Fetched",
    "Fetcher",
    "Finding",
    "IncrementalDecoder",
    "Metric",
    "ModelConfig",
    "Notice",
    "Options",
    "Pipeline",
    "PipelineResult",
    "PluginError",
    "RecurrentConfig",
    "RecurrentDropout",
    "Runner",
    "Source",
    "StageProgress",
    "StorageBackend",
    "Table",
    "Tokenizer",
    "UsageError",
    "comma_separated",
    "existing",
    "exp",
    "hookimpl",
    "log",
    "maximum",
    "minimum",
    "near_match",
    "printable",
    "redact",
    "relu",
    "resolve",
    "sigmoid",
    "tanh",
    "where",
]
