"""Text: vocabularies, splits, and the token files that training reads.

Imports that need pyarrow are lazy, so that the settings load without it.
"""

from typing import TYPE_CHECKING

from charpipe.config.settings.text import SplitConfig, TokenizerConfig
from charpipe.lazy import names

if TYPE_CHECKING:
    from charpipe.text.character_counts import count
    from charpipe.text.encoding import encode
    from charpipe.text.splits import assign_splits
    from charpipe.text.tokens import SplitTokens, open_tokens
    from charpipe.text.vocabulary import learn_vocabulary, load_vocabulary

__getattr__ = names(
    __name__,
    {
        "SplitTokens": "tokens",
        "assign_splits": "splits",
        "count": "character_counts",
        "encode": "encoding",
        "learn_vocabulary": "vocabulary",
        "load_vocabulary": "vocabulary",
        "open_tokens": "tokens",
    },
)


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
