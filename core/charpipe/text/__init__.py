"""Text: vocabularies, splits, and the token files that training reads.

Its settings are read without importing pyarrow, so what needs it is imported when it is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from charpipe.text.settings import SplitConfig, TokenizerConfig

if TYPE_CHECKING:
    from charpipe.text.counting import count
    from charpipe.text.encoding import encode
    from charpipe.text.splits import assign_splits
    from charpipe.text.tokens import SplitTokens, open_tokens
    from charpipe.text.vocabulary import learn_vocabulary, load_vocabulary

_ROOMS = {
    "SplitTokens": "tokens",
    "assign_splits": "splits",
    "count": "counting",
    "encode": "encoding",
    "learn_vocabulary": "vocabulary",
    "load_vocabulary": "vocabulary",
    "open_tokens": "tokens",
}


def __getattr__(name: str) -> Any:
    if name in _ROOMS:
        return getattr(import_module(f"{__name__}.{_ROOMS[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = [
    "SplitConfig",
    "SplitTokens",
    "TokenizerConfig",
    "assign_splits",
    "count",
    "encode",
    "learn_vocabulary",
    "load_vocabulary",
    "open_tokens",
]
