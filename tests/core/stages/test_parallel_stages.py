"""Several processes make the same objects as one, bit for bit."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import golden_corpora
from charpipe import stages
from charpipe.config.settings.corpus import CorpusConfig
from charpipe.config.settings.text import SplitConfig, TokenizerConfig
from charpipe.corpus import document_writer
from charpipe.corpus.ingestion import ingest
from charpipe.corpus.limits import Limits
from charpipe.corpus.parallel_ingestion import ingest_in_parallel
from charpipe.errors import CorpusError, InterruptedRun, UsageError
from charpipe.parallel import Processes
from charpipe.plugin import Fetched, resolve
from charpipe.text import encode
from charpipe.text.token_tasks import StoredVocabulary

pytestmark = pytest.mark.e2e


class Machines(Processes):
    """Worker processes that write to no file together, as those of several machines."""

    shares_files = False


@pytest.fixture(scope="module")
def processes() -> Iterator[Processes]:
    with Processes(2) as found:
        yield found


@pytest.fixture(scope="module")
def machines() -> Iterator[Processes]:
    with Machines(2) as found:
        yield found


CORPORA = pytest.mark.parametrize(
    "name", ["folder", "tar-gz", "zip", "many", "large", "large-tar", "one-file", "text"]
)


@CORPORA
def test_two_processes_make_the_recorded_objects(name: str, processes: Processes, tmp_path: Path) -> None:
    alone = dict(golden_corpora.digests(name, tmp_path / "one"))
    assert dict(golden_corpora.digests(name, tmp_path / "two", processes)) == alone


@CORPORA
def test_two_machines_make_the_recorded_objects(name: str, machines: Processes, tmp_path: Path) -> None:
    alone = dict(golden_corpora.digests(name, tmp_path / "one"))
    assert dict(golden_corpora.digests(name, tmp_path / "two", machines)) == alone


@pytest.mark.parametrize("kind", ["processes", "machines"])
def test_two_make_the_same_later_versions(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    alone = dict(golden_corpora.versions(tmp_path / "one"))
    parallel = request.getfixturevalue(kind)
    assert dict(golden_corpora.versions(tmp_path / "two", parallel)) == alone


NAMES = st.text("ab/.é\udcff💡", min_size=1, max_size=5).filter(
    lambda name: all(part.strip(".") for part in name.split("/"))
)
TEXTS = st.one_of(
    st.text(max_size=20).map(lambda text: text.encode("utf-8", "replace")),
    st.sampled_from([b"", b"same", b"caf\xe9 latin", b"\0\xff binary", b"a\rb\r", "weiß\r\n".encode() * 90]),
)


@given(
    st.dictionaries(NAMES, TEXTS, max_size=30),
    st.sampled_from([1, 60, 10**6]),
    st.sampled_from([1, 3, 100]),
    st.sampled_from(list(golden_corpora.ENCODINGS.values())),
)
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_corpus_is_the_same_with_two_processes(
    processes: Processes,
    texts: dict[str, bytes],
    group: int,
    bundle: int,
    encoding: tuple[TokenizerConfig, SplitConfig],
) -> None:
    files = {f"{at}-{name}": data for at, (name, data) in enumerate(texts.items())} | {
        "one.txt": b"a document"
    }
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as folder:
        patch.setattr(document_writer, "GROUP_BYTES", group)
        patch.setattr(document_writer, "GROUP_ROWS", 4)
        patch.setattr(document_writer, "SHARD_BYTES", 90)
        patch.setattr("charpipe.corpus.bundles.MEMBERS", bundle)
        patch.setattr("charpipe.text.pieces.PIECE_BYTES", group)
        found = []
        for name, parallel in (("one", golden_corpora.DIRECT), ("two", processes)):
            at = golden_corpora.fresh(Path(folder) / name)
            documents = golden_corpora.fresh(at / "documents")
            facts = golden_corpora.ingested(golden_corpora.folder_of(files)(at), documents, parallel)
            found.append([golden_corpora.recorded(documents, facts)])
            made = golden_corpora.encoded(documents, at, *encoding, parallel=parallel)
            found[-1] += [digests for _, digests in made]
        assert found[0] == found[1]


def test_limits_hold_over_all_processes(processes: Processes, tmp_path: Path) -> None:
    import gzip

    (tmp_path / "in").mkdir()
    for at in range(40):
        (tmp_path / "in" / f"{at}.gz").write_bytes(gzip.compress(bytes(100_000)))
    limits = Limits(ratio_after=1_000_000)
    fetched, config = Fetched("x", path=tmp_path / "in"), CorpusConfig(sources=["x"])
    for parallel in (None, processes):
        out = golden_corpora.fresh(tmp_path / f"out-{parallel is None}")
        with pytest.raises(CorpusError, match="times its size"):
            if parallel is None:
                ingest(fetched, config, out, limits=limits)
            else:
                ingest_in_parallel(fetched, config, out, parallel, limits=limits)


@pytest.mark.parametrize("kind", ["processes", "machines"])
def test_an_error_of_a_process_names_the_document(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    processes = request.getfixturevalue(kind)
    documents = golden_corpora.fresh(tmp_path / "documents")
    files = {f"{at}.txt": b"abc" for at in range(120)} | {"odd.txt": "abcé".encode()}
    ingest(golden_corpora.folder_of(files)(tmp_path), CorpusConfig(sources=["x"]), documents)
    (tmp_path / "vocabulary.json").write_text(
        '{"schema": "charpipe.vocabulary/1", "tokenizer": "char", "characters": "abc", "nibbles": false}'
    )
    encoding = resolve(golden_corpora.TOKENIZERS["char"].load)({"characters": "abc", "nibbles": False})
    for by in ("documents", "contiguous"):
        out = golden_corpora.fresh(tmp_path / f"by-{by}")
        split = SplitConfig(by=by)  # type: ignore[arg-type]
        stored = StoredVocabulary(str(tmp_path / "vocabulary.json"))
        with pytest.raises(UsageError, match=r"'odd\.txt': the vocabulary has no 'é'"):
            encode(documents, encoding, split, out, salt="x", parallel=processes, vocabulary=stored)
        assert not list(out.glob(".work-*"))


def test_stages_use_as_many_processes_as_the_setting_says(open_context, project: Path) -> None:
    (project / "texts").mkdir()
    for at in range(150):
        (project / "texts" / f"{at}.txt").write_text(f"document {at} é\n" * (at % 5))
    made = []
    for count in (1, 2):
        context = open_context(corpus__processes=count)
        documents = stages.ingest(context, str(project / "texts"))
        vocabulary = stages.learn_vocabulary(context, str(project / "texts"), documents)
        tokens = stages.encode(context, str(project / "texts"), documents, vocabulary)
        made.append([documents.digest, vocabulary.digest, tokens.digest])
        reused = [documents.reused, vocabulary.reused, tokens.reused]
        assert reused == [count == 2] * 3  # the number of processes is part of no action
    assert made[0] == made[1]
    context = open_context(corpus__processes=2, force=frozenset({"ingest", "vocabulary", "encode"}))
    documents = stages.ingest(context, str(project / "texts"))
    vocabulary = stages.learn_vocabulary(context, str(project / "texts"), documents)
    tokens = stages.encode(context, str(project / "texts"), documents, vocabulary)
    assert [documents.digest, vocabulary.digest, tokens.digest] == made[0]


def test_an_interruption_of_several_processes_leaves_nothing(open_context, project: Path) -> None:
    (project / "texts").mkdir()
    for at in range(150):
        (project / "texts" / f"{at}.txt").write_text(f"document {at}\n")
    context = open_context(corpus__processes=2)
    context.stop.request(2)
    with pytest.raises(InterruptedRun, match="stopped while it worked on ingest"):
        stages.ingest(context, str(project / "texts"))
    assert not list((context.workspace.store / "making").iterdir())
