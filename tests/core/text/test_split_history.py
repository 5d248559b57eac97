"""What was divided before stays where it was, whatever is added, changed, renamed or removed."""

from pathlib import Path

import pyarrow.parquet as pq
from hypothesis import given
from hypothesis import strategies as st

from charpipe.corpus import CorpusConfig, ingest
from charpipe.plugin import Fetched
from charpipe.text import SplitConfig, encode
from charpipe.text.split_history import divided
from charpipe.text.tokens import open_tokens
from charpipe_byte.bytewise import ByteEncoding

SHARES = SplitConfig(train=0.8, val=0.1, test=0.1, by="contiguous")


def tokens(
    tmp: Path, name: str, texts: dict[str, str], split: SplitConfig, earlier: Path | None = None
) -> Path:
    source = tmp / f"{name}-in"
    source.mkdir()
    for path, text in texts.items():
        (source / path).write_text(text)
    documents, out = tmp / f"{name}-documents", tmp / name
    documents.mkdir()
    out.mkdir()
    ingest(Fetched("x", path=source), CorpusConfig(sources=["x"]), documents)
    encode(documents, ByteEncoding(), split, out, salt="s", earlier=earlier)
    return out


def text_of(folder: Path, split: str) -> str:
    return bytes(open_tokens(folder, split).tokens.tolist()).decode()


def splits(folder: Path) -> dict[str, str]:
    table = pq.read_table(folder / "splits.parquet")
    return dict(zip(table["path"].to_pylist(), table["split"].to_pylist(), strict=True))


def test_a_text_that_grows_keeps_its_cuts_and_divides_what_is_new(tmp_path: Path) -> None:
    old = "".join(chr(97 + at % 26) for at in range(1000))
    first = tokens(tmp_path, "one", {"a.txt": old}, SHARES)
    second = tokens(tmp_path, "two", {"a.txt": old + "0123456789" * 10}, SHARES, first)
    for split in ("train", "val", "test"):
        assert text_of(second, split).startswith(text_of(first, split))
    assert [len(text_of(second, split)) for split in ("train", "val", "test")] == [880, 110, 110]
    third = tokens(tmp_path, "three", {"a.txt": old + "0123456789" * 20}, SHARES, second)
    for split in ("train", "val", "test"):
        assert text_of(third, split).startswith(text_of(second, split))
    shorter = tokens(tmp_path, "four", {"a.txt": old[:500]}, SHARES, third)
    assert [len(text_of(shorter, split)) for split in ("train", "val", "test")] == [400, 50, 50]


def test_documents_keep_their_split_by_content_then_by_path(tmp_path: Path) -> None:
    by = SplitConfig(train=0.5, val=0.25, test=0.25, by="documents")
    texts = {f"{at:02}.txt": f"text number {at}" for at in range(40)}
    first = splits(tokens(tmp_path, "one", texts, by))
    changed = {f"renamed-{path}" if path < "10" else path: text for path, text in texts.items()}
    changed |= {f"{at:02}.txt": f"edited {at}" for at in range(10, 20)}
    changed |= {f"-{path}": text for path, text in texts.items() if path >= "30"}  # copies, sorted before
    del changed["25.txt"]
    second = splits(tokens(tmp_path, "two", changed, by, tmp_path / "one"))
    for path, split in second.items():
        assert split == first[path.removeprefix("renamed-").removeprefix("-")]
    pure = splits(tokens(tmp_path, "three", changed, by))
    assert pure != second  # by the hash of their paths alone some would have moved


def test_nothing_changed_gives_the_same_files(tmp_path: Path) -> None:
    for by in ("documents", "contiguous"):
        split = SplitConfig(by=by)
        texts = {f"{at}.txt": f"text number {at} " * at for at in range(1, 30)}
        one = tokens(tmp_path, f"one-{by}", texts, split)
        two = tokens(tmp_path, f"two-{by}", texts, split, one)
        for path in one.iterdir():
            assert (two / path.name).read_bytes() == path.read_bytes()


def test_an_earlier_division_of_another_kind_or_damaged_is_no_history(tmp_path: Path) -> None:
    texts = {f"{at}.txt": f"text number {at} " * at for at in range(1, 9)}
    one = tokens(tmp_path, "one", texts, SplitConfig(by="documents"))
    two = tokens(tmp_path, "two", texts, SHARES, one)
    plain = tokens(tmp_path, "plain", texts, SHARES)
    assert text_of(two, "train") == text_of(plain, "train")
    (one / "splits.parquet").write_bytes(b"no parquet")
    assert tokens(tmp_path, "four", texts, SplitConfig(by="documents"), one).is_dir()


@given(st.integers(0, 50), st.integers(0, 500))
def test_a_stretch_is_covered_without_gaps(start: int, length: int) -> None:
    pieces = divided(start, start + length, SHARES)
    at = start
    for _, low, high in pieces:
        assert low == at < high
        at = high
    assert at == start + length
