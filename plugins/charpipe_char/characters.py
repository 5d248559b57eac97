"""Characters as tokens. What the vocabulary leaves out is spelled as UTF-8, two nibbles (half bytes) a byte.

Token ids: the characters in the order of their code points, then, where some are left out, 16 nibbles. An extended
vocabulary has further characters at its end, those of each extension in the order of their code points.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from charpipe.plugin import CorpusError, UsageError
from charpipe_char import CharConfig

NIBBLES = 16
_UNKNOWN = 255
Tokens = np.ndarray[Any, Any]


def learn(counts: Mapping[str, int], config: CharConfig) -> dict[str, Any]:
    """The vocabulary of a corpus: characters at least `min_count` times in it, the most frequent first to stay."""
    kept = [character for character, count in counts.items() if count >= config.min_count]
    nibbles = len(kept) < len(counts)
    if config.max_size is not None and len(kept) + NIBBLES * nibbles > config.max_size:
        nibbles = True
        kept = sorted(kept, key=lambda character: (-counts[character], character))[
            : config.max_size - NIBBLES
        ]
    return {"characters": "".join(sorted(kept)), "nibbles": nibbles}


def extend(vocabulary: Mapping[str, Any], counts: Mapping[str, int], config: CharConfig) -> dict[str, Any]:
    """The same vocabulary with every new character at its end, however rare: it could not be spelled otherwise. One
    with nibbles stays as it is, since it spells everything. Raises UsageError beyond `max_size`."""
    known = load(vocabulary)
    if known.nibbles:
        return {"characters": known.characters, "nibbles": True}
    characters = known.characters + "".join(sorted(counts.keys() - set(known.characters)))
    if config.max_size is not None and len(characters) > config.max_size:
        raise UsageError(
            f"extended, the vocabulary would have {len(characters)} characters, more than its max_size of "
            f"{config.max_size}"
        )
    return {"characters": characters, "nibbles": False}


def load(vocabulary: Mapping[str, Any]) -> CharEncoding:
    """The encoding of a learnt vocabulary. Raises CorpusError where it is not one."""
    characters, nibbles = vocabulary.get("characters"), vocabulary.get("nibbles", False)
    if not isinstance(characters, str) or not isinstance(nibbles, bool):
        raise CorpusError("a char vocabulary needs 'characters', a string, and 'nibbles', true or false")
    if len(set(characters)) < len(characters):
        raise CorpusError("a char vocabulary lists each character once")
    if any("\ud800" <= character <= "\udfff" for character in characters):
        raise CorpusError("a char vocabulary holds a surrogate, which is no character")
    if not characters and not nibbles:
        raise CorpusError("a char vocabulary is empty")
    return CharEncoding(characters, nibbles)


class CharEncoding:
    """Tables both ways: code point to token, token to character."""

    def __init__(self, characters: str, nibbles: bool) -> None:
        self.characters = characters
        self.nibbles = nibbles
        self.size = len(characters) + NIBBLES * nibbles
        self.labels = [_label(character) for character in characters]
        self.labels += [f"<{nibble:x}>" for nibble in range(NIBBLES if nibbles else 0)]
        self.dtype = np.min_scalar_type(self.size - 1)
        points = np.array([ord(character) for character in characters], np.int64)
        self._table = np.full(max(int(points.max(initial=0)) + 1, 128), -1, np.int32)
        self._table[points] = np.arange(len(points))
        # the fast way is for ASCII characters whose token fits a byte with room for a mark: nearly always all of them
        known = (self._table[:128] >= 0) & (self._table[:128] < _UNKNOWN)
        self._complete = bool(known.all())
        self._ascii = bytes(np.where(known, self._table[:128], _UNKNOWN).astype(np.uint8)) + bytes(128)

    def encode(self, text: str) -> Tokens:
        """Tokens of a text. Raises UsageError that names the first character it cannot spell."""
        return self.encode_utf8(text.encode("utf-8", "surrogatepass"))

    def encode_utf8(self, data: bytes) -> Tokens:
        """Tokens of a text that is UTF-8 already: the fast way for ASCII, one table look-up a byte."""
        if data.isascii():
            tokens = data.translate(self._ascii)
            if self._complete or _UNKNOWN not in tokens:
                return np.frombuffer(tokens, np.uint8).astype(self.dtype, copy=False)
        return self._encode_points(_points(data))

    def count_tokens(self, characters: int, size: int) -> int | None:
        """How many tokens a text of so many characters and UTF-8 bytes has; None where it depends on the text."""
        return None if self.nibbles else characters

    def decoder(self) -> CharDecoder:
        """A fresh decoder."""
        return CharDecoder(self)

    def _encode_points(self, points: Tokens) -> Tokens:
        inside = points < len(self._table)
        ids = self._table[np.where(inside, points, 0)]
        unknown = ~inside | (ids < 0)
        if not unknown.any():
            return ids.astype(self.dtype)
        beyond = unknown & (points >= 0xD800) & (points < 0xE000) if self.nibbles else unknown
        if beyond.any():
            character = chr(int(points[int(np.argmax(beyond))]))
            raise UsageError(
                f"the vocabulary has no {character!r} (U+{ord(character):04X}); leave it out, or learn the "
                "vocabulary from a text that has it"
            )
        return self._spell(points, ids, unknown)

    def _spell(self, points: Tokens, ids: Tokens, unknown: Tokens) -> Tokens:
        """Put 2 to 8 nibbles in the place of each unknown character."""
        lengths = np.ones(len(points), np.int64)
        left_out = points[unknown]
        lengths[unknown] = 2 * (1 + (left_out >= 0x80) + (left_out >= 0x800) + (left_out >= 0x10000))
        ends = np.cumsum(lengths)
        tokens = np.empty(int(ends[-1]), self.dtype)
        tokens[(ends - lengths)[~unknown]] = ids[~unknown]
        spelled = left_out.astype("<u4").tobytes().decode("utf-32-le").encode()
        spelling = np.frombuffer(spelled, np.uint8)
        nibbles = np.stack([spelling >> 4, spelling & 15], 1).reshape(-1) + len(self.characters)
        tokens[np.repeat(unknown, lengths)] = nibbles
        return tokens


class CharDecoder:
    """Tokens to text as they come; nibbles wait until they spell a character, and nonsense becomes U+FFFD."""

    def __init__(self, encoding: CharEncoding) -> None:
        self._characters = encoding.characters
        self._size = encoding.size
        self._utf8 = codecs.getincrementaldecoder("utf-8")("replace")
        self._high: int | None = None

    def decode(self, ids: Iterable[int], final: bool = False) -> str:
        """The text that is certain after these tokens; with `final`, all of it."""
        pieces = [self._one(int(token)) for token in ids]
        if final:
            pieces.append(self._flush())
        return "".join(pieces)

    def _one(self, token: int) -> str:
        if not 0 <= token < self._size:
            raise UsageError(f"token {token} is not one of the vocabulary's {self._size}")
        nibble = token - len(self._characters)
        if nibble < 0:
            return self._flush() + self._characters[token]
        if self._high is None:
            self._high = nibble
            return ""
        byte, self._high = self._high << 4 | nibble, None
        return self._utf8.decode(bytes([byte]))

    def _flush(self) -> str:
        odd = "\ufffd" if self._high is not None else ""
        self._high = None
        text = self._utf8.decode(b"", True)
        self._utf8.reset()
        return text or odd


def _points(data: bytes) -> Tokens:
    text = data.decode("utf-8", "surrogatepass")
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)


def _label(character: str) -> str:
    if character == " ":
        return "␣"
    return character if character.isprintable() else repr(character)[1:-1]
