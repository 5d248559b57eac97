"""No table cuts or breaks a name, however narrow the terminal and however long the names."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charpipe import stages
from charpipe.cli import main
from charpipe.cli.output import cell_len, table_lines
from charpipe.cli.views.progress import shortened
from charpipe.runs.folder import Run
from charpipe.runs.titles import run_title
from charpipe.stages import TrainRequest

WIDTHS = [60, 80, 100, 200]
NAMES = st.text(st.sampled_from("abcxyz0189_.-ßЖ文"), min_size=1, max_size=90)
PROSE = st.text(st.sampled_from("ab cd ef"), max_size=120)


@given(
    st.integers(20, 220),
    st.lists(st.tuples(NAMES, PROSE, NAMES, st.floats(0, 10).map("{:.4f}".format)), min_size=1, max_size=4),
)
def test_no_name_is_cut_and_no_line_is_too_wide(width: int, rows: list[tuple[str, ...]]) -> None:
    columns = ("run", "why", "corpus", "score")
    lines = table_lines(columns, rows, width, numbers=["score"], drop=["score"], whole=["corpus"])
    text = "\n".join(lines)
    words = {word for line in lines for word in line.split()}
    assert all(name in words for name, *_ in rows)
    if "corpus" in words:
        assert all(corpus in words for _, _, corpus, _ in rows)
    if max(len(line) for line in lines) > width:  # the names alone
        assert text.splitlines() == [name for name, *_ in rows]
    else:
        assert all(cell_len(line) <= width or line in {row[0] for row in rows} for line in lines)


def test_column_that_fits_is_shown_where_a_wider_one_does_not() -> None:
    lines = table_lines(("run", "state", "test/bits_per_char"), [("n" * 60, "finished", "2.1234")], 80)
    assert lines[-1].split() == ["n" * 60, "finished"]


@given(st.text(st.sampled_from("ab c文 "), max_size=60), st.integers(8, 100))
def test_words_of_a_stage_line_are_whole(text: str, width: int) -> None:
    line = shortened(text, width)
    assert cell_len(line) <= width
    if cell_len(text) > width and line.endswith(" …"):
        assert text.startswith(line.removesuffix(" …"))
        assert text[len(line) - 2 : len(line) - 1] in ("", " ")


def test_run_names_of_a_stage_line_become_short_names() -> None:
    one, two = "20261129-0217-tiny_shakespeare-lstm-31a4", "20261129-0218-tiny_shakespeare-lstm-7f3a"
    assert shortened(f"{one} against {two}", 100) == f"{one} against {two}"
    assert shortened(f"{one} against {two}", 60) == "31a4 against 7f3a"


CORPUS = "a_collection_of_letters_and_diaries_of_1890"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("place")


@pytest.fixture
def runs(project: Path, open_context, capsys: pytest.CaptureFixture[str]) -> list[Run]:
    """Three finished runs whose names differ only in their last characters, of a corpus with a long name."""
    (project / f"{CORPUS}.txt").write_text("say (go) and [come]\n" * 200, encoding="utf-8")
    found = []
    for seed in (1, 2, 3):
        context = open_context(train__steps=3, train__seed=seed)
        documents = stages.ingest(context, f"{CORPUS}.txt")
        vocabulary = stages.learn_vocabulary(context, f"{CORPUS}.txt", documents)
        tokens = stages.encode(context, f"{CORPUS}.txt", documents, vocabulary)
        request = TrainRequest(f"{CORPUS}.txt", "rnn", options={"corpus": f"{CORPUS}.txt"})
        trained = stages.train(context, request, tokens, vocabulary)
        stages.evaluate(context, trained, tokens)
        found.append(Run(context.workspace.runs / trained.run))
    assert main(["models", "promote", found[0].name]) == 0
    capsys.readouterr()
    return found


COMMANDS = (
    ["runs", "list"],
    ["models", "list"],
    ["runs", "compare"],
    ["inspect", "last", "--search", "4000"],
    ["corpora", "list"],
    ["plugins", "list"],
    ["pipelines", "list"],
    ["gc", "--dry-run"],
    ["config", "show", "--all"],
)


def test_tables_of_commands_fit_and_keep_names(
    runs: list[Run], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    for width in WIDTHS:
        monkeypatch.setenv("COLUMNS", str(width))
        said = {}
        for words in COMMANDS:
            more = [run.name for run in runs] if words[-1] == "compare" else []
            assert main([*words, *more]) == 0
            said[tuple(words[:2])] = capsys.readouterr().out
        assert all(run.name in said["runs", "list"].split() for run in runs)
        assert runs[0].name in said["models", "list"].split()
        assert all(run_title(run.info) in said["runs", "compare"] for run in runs)
        for words, text in said.items():
            for line in text.splitlines():
                names = re.findall(
                    r"\S*\d{8}-\d{4}-\S*", line
                )  # a path or name may be wider than the terminal
                assert cell_len(line) <= width or names or words[0] == "inspect", (words, width, line)
