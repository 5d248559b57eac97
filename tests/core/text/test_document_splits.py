"""Splits and order computed on disk are those that `assign_splits` and `shuffled` define."""

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charpipe.config.settings.text import SplitConfig
from charpipe.corpus.document_writer import DocumentWriter
from charpipe.corpus.documents import Part
from charpipe.text import columns, document_splits, ordering, outline
from charpipe.text.document_splits import shuffled_order
from charpipe.text.outline import write_outline
from charpipe.text.split_history import SplitHistory
from charpipe.text.splits import SPLITS, assign_splits, shuffled

PATHS = st.sampled_from(["a", "b", "a/b", "é", "\ue000", "\U0001f4a1", *(f"{at}.c" for at in range(20))])
CONTENTS = st.sampled_from([f"{at:064x}" for at in range(8)])
DOCUMENTS = st.lists(st.tuples(PATHS, CONTENTS, st.integers(1, 3)), min_size=1, max_size=40)
EARLIER = st.lists(st.tuples(PATHS, CONTENTS, st.sampled_from(SPLITS)), max_size=20)
CONFIG = SplitConfig(train=0.4, val=0.3, test=0.3)


def known_before(
    documents: list[tuple[str, str, int]], earlier: list[tuple[str, str, str]]
) -> dict[str, str]:
    """The split of each path in the earlier version: by content, else by path; the first that has it."""
    contents: dict[str, str] = {}
    paths: dict[str, str] = {}
    for path, content, split in earlier:
        contents.setdefault(content, split)
        paths.setdefault(path, split)
    found = ((path, contents.get(content) or paths.get(path)) for path, content, _ in documents)
    return {path: split for path, split in found if split is not None}


@given(DOCUMENTS, st.none() | EARLIER, st.integers(0, 3))
@settings(max_examples=60, deadline=None)
def test_any_documents_get_the_splits_and_order_that_are_defined(
    documents: list[tuple[str, str, int]], earlier: list[tuple[str, str, str]] | None, seed: int
) -> None:
    paths, contents = [path for path, _, _ in documents], [content for _, content, _ in documents]
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as folder:
        for module in (columns, document_splits, ordering, outline):
            patch.setattr(module, "CHUNK", 3)
        patch.setattr(ordering, "SORTED_AT_ONCE", 2)
        work = Path(folder)
        with DocumentWriter(work) as writer:
            for path, content, parts in documents:
                for part in range(parts):
                    writer.add(Part(path, part, content, 9, "utf-8", 3, b"abc"))
        written = write_outline(work, work)
        history = None
        if earlier is not None:
            history = SplitHistory(((*row, 0, 3) for row in earlier), work)
        order, hashes = shuffled_order(written, seed, work)
        found = document_splits.document_splits(written, CONFIG, "salt", work, history, hashes)
        previous = known_before(documents, earlier) if earlier is not None else None
        assert [SPLITS[code] for code in found] == assign_splits(paths, contents, CONFIG, "salt", previous)
        assert order.tolist() == shuffled(paths, seed)
        assert written.total == 3 * sum(parts for _, _, parts in documents)
        if history is not None:
            history.close()
