"""`charpipe inspect` from a trained run to a page; what is wrong is said in a sentence."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import charpipe
from charpipe import stages
from charpipe.cli import main
from charpipe.runs import Run
from charpipe.stages import TrainRequest

TEXT = "".join(f'say "{n}" and (go [{n}]) if (a{n}) {{ /* {n} */ }}\n' for n in range(400))


@pytest.fixture
def run(project: Path, open_context) -> Run:
    """A finished run over a text with quotes, brackets and comments."""
    (project / "text.txt").write_text(TEXT, encoding="utf-8")
    context = open_context(train__steps=5, corpus__split={"train": 0.6, "val": 0.2, "test": 0.2})
    documents = stages.ingest(context, "text.txt")
    vocabulary = stages.learn_vocabulary(context, "text.txt", documents)
    tokens = stages.encode(context, "text.txt", documents, vocabulary)
    trained = stages.train(context, TrainRequest("text.txt", "rnn"), tokens, vocabulary)
    return Run(context.workspace.runs / trained.run)


def printed(capfd: pytest.CaptureFixture[str], *words: str) -> dict:
    assert main(["inspect", *words, "--json"]) == 0
    return json.loads(capfd.readouterr().out)


def test_the_runs_own_texts_are_inspected(run: Run, capfd: pytest.CaptureFixture[str]) -> None:
    found = printed(capfd, "last", "--search", "4096", "--length", "500")
    assert Path(found["page"]) == run.folder / "inspection.html"
    assert found["run"] == run.name
    assert run.name in (run.folder / "inspection.html").read_text(encoding="utf-8")
    assert (found["characters"], found["units"], found["artifact"]) == (500, 8, None)
    assert found["source"].endswith("validation text")
    rows = {row["signal"]: row for row in found["search"]["findings"]}
    assert rows["url"]["verdict"] == "too rare" and rows["url"]["spans"] == {"choosing": 0, "held_out": 0}
    quotes = rows["double_quotes"]
    assert quotes["metric"] == "AUC" and quotes["unit"]["tensor"] == "hidden"
    assert all(0 <= quotes[key] <= 1 for key in ("choosing", "held_out", "untrained", "shuffled", "hits"))
    assert found["search"]["controls"] == {"untrained_networks": 2, "shuffles": 20}


def test_every_unit_is_ablated_and_probed(run: Run, capfd: pytest.CaptureFixture[str]) -> None:
    found = printed(capfd, "last", "--search", "4096", "--ablate", "--probe-units", "2")
    units = found["ablations"]["units"]
    assert {row["unit"]["number"] for row in units} == set(range(8)) and found["ablations"][
        "held_within_step"
    ]
    rises = [row["all"]["nats_per_char"] for row in units]
    assert rises == sorted(rises, reverse=True) and rises[0] > 0
    probes = [row["probe"] for row in found["search"]["findings"] if row.get("probe")]
    assert probes and all(1 <= len(probe["units"]) <= 2 for probe in probes)
    html = (run.folder / "inspection.html").read_text(encoding="utf-8")
    assert "What a unit is worth" in html and "Several units together" in html
    assert main(["inspect", "last", "--search", "4096", "--ablate", "--probe-units", "0"]) == 0
    said = capfd.readouterr().out
    assert "rise of the loss with a unit held at its mean" in said and "units together" not in said


def test_a_person_reads_a_table_and_where_the_page_is(
    run: Run, project: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["inspect", run.name[:13], "text.txt", "--search", "4096", "--output", "my page.html"]) == 0
    said = capfd.readouterr().out
    assert "inside double quotes" in said and "untrained" in said and "too rare to say" in said
    assert "note: the first 5,000 characters of text.txt are shown, and its first 4,096 searched" in said
    assert "page    my page.html" in said
    assert (project / "my page.html").is_file()


def test_a_text_that_does_not_fit_the_model_is_warned_of(run: Run, project: Path, capfd) -> None:
    (project / "given.txt").write_text(("Ω" * 9 + "a") * 10_000, encoding="utf-8")
    *_, shown, warning, _ = printed(capfd, run.name, "given.txt", "--length", "300", "--search", "4096")[
        "notices"
    ]
    assert shown == (
        "the first 300 characters of given.txt that the vocabulary has are shown, and its first 409 searched; "
        "it has 100,000 characters, of which 4,096 were read"
    )
    assert (
        "does not fit the model: the vocabulary lacks 3,687 of the 4,096 characters that were read" in warning
    )
    (project / "given.txt").write_text("aΩ" * 50, encoding="utf-8")
    (skipped, *_) = printed(capfd, run.name, "given.txt", "--search", "0")["notices"]
    assert "skipped 50 characters" in skipped


def test_python_does_the_same(run: Run, project: Path) -> None:
    found = charpipe.inspect(run.name, project / "text.txt", length=50, searched=0)
    assert found.search is None and len(found.reading.pieces) == 50
    assert found.reading.text == TEXT[:50] and found.page.is_file()


@pytest.mark.parametrize(
    ("content", "words", "code", "said"),
    [
        (b"a", [], 2, "the text has 1 character;"),
        (b"", [], 2, "the text has 0 characters;"),
        ("say Ω".encode(), ["--strict"], 2, "'Ω' (U+03A9)"),
        (b"say \xff\xfe", ["--set", "corpus.encoding=utf-8"], 2, "byte 0xFF at offset 4"),
        (b"say a", ["--length", "20001"], 2, "not between 2 and 20,000"),
        (b"say a", ["--length", "1"], 2, "not between 2 and 20,000"),
        (b"say a", ["--search", "7"], 2, "a search needs 1,024 characters; 0 leaves it out"),
        (b"say a", ["--output", "nowhere/page.html"], 2, "there is no folder nowhere"),
        (b"say a", ["--checkpoint", "first"], 2, "neither best nor last"),
        (None, [], 2, "given.txt cannot be read"),
    ],
)
def test_bad_input_gets_a_sentence(
    run: Run,
    project: Path,
    capfd: pytest.CaptureFixture[str],
    content: bytes | None,
    words: list[str],
    code: int,
    said: str,
) -> None:
    if content is not None:
        (project / "given.txt").write_bytes(content)
    assert main(["inspect", run.name, "given.txt", *words]) == code
    error = capfd.readouterr().err
    assert said in error and "Traceback" not in error


def test_a_short_text_is_shown_and_not_searched(run: Run, project: Path, capfd) -> None:
    (project / "given.txt").write_text(TEXT[:300], encoding="utf-8")
    found = printed(capfd, run.name, "given.txt")
    assert found["search"] is None and found["characters"] == 300
    assert found["notices"] == ["too little text to search for units: 1,024 characters are needed"]


def test_runs_that_cannot_be_inspected_say_why(run: Run, capfd: pytest.CaptureFixture[str]) -> None:
    info = json.loads((run.folder / "run.json").read_text(encoding="utf-8"))
    (run.folder / "run.json").write_text(
        json.dumps(info | {"inputs": {"tokens": "0" * 64}}), encoding="utf-8"
    )
    assert main(["inspect", run.name]) == 1
    assert f"are gone; give a file: charpipe inspect {run.name} FILE" in capfd.readouterr().err
    (run.folder / "run.json").write_text(json.dumps(info | {"schema": "charpipe.run/9"}), encoding="utf-8")
    assert main(["inspect", run.name, "text.txt"]) == 1
    assert "schema 'charpipe.run/9'" in capfd.readouterr().err
    (run.folder / "run.json").write_text(json.dumps(info), encoding="utf-8")
    run.update(best=None, last=None)
    assert main(["inspect", run.name]) == 1
    assert "has no checkpoint yet" in capfd.readouterr().err


def test_a_person_can_say_what_kind_of_text_it_is(run: Run, capfd: pytest.CaptureFixture[str]) -> None:
    """The text is code; taken for verse it is held against the signals of verse, and those of code are left out."""
    told = printed(capfd, "last", "--search", "4096")["search"]
    assert (told["kind"], told["kind_was_given"]) == ("code", False)
    asked = printed(capfd, "last", "--search", "4096", "--kind", "verse")["search"]
    assert (asked["kind"], asked["kind_was_given"]) == ("verse", True)
    verdicts = {row["signal"]: row["verdict"] for row in asked["findings"]}
    assert verdicts["block_comment"] == "not of this kind of text"
    assert {row["signal"]: row["verdict"] for row in told["findings"]}["block_comment"] != verdicts[
        "block_comment"
    ]
    assert "signals of verse were tried, as requested" in " ".join(
        (run.folder / "inspection.html").read_text(encoding="utf-8").lower().split()
    )
    assert charpipe.inspect("last", searched=4096, kind="mixed").search.kind == "mixed"


def test_the_table_says_how_to_name_another_kind(run: Run, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", "last", "--search", "4096"]) == 0
    assert "looks like code" in (said := capfd.readouterr().out) and "--kind" in said
    assert main(["inspect", "last", "--search", "4096", "--kind", "mixed"]) == 0
    assert "signals of all kinds were tried, as requested" in capfd.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--kind", "poetry"), "there is no kind of text 'poetry'; known: code, mixed, prose, verse"),
        (("--kind", "verse", "--search", "0"), "nothing is searched"),
        (("--ablate", "--search", "0"), "nothing is searched"),
        (("--probe-units", "65"), "less than or equal to 64"),
    ],
)
def test_a_kind_that_cannot_be_used_is_a_sentence(
    run: Run, capfd: pytest.CaptureFixture[str], words: tuple[str, ...], said: str
) -> None:
    assert main(["inspect", "last", *words]) == 2
    assert said in capfd.readouterr().err


def test_passages_of_the_corpus_are_printed(run: Run, capfd: pytest.CaptureFixture[str]) -> None:
    found = printed(capfd, "last", "--passage", "3:3", "--threshold", "0.01", "--matches", "3")
    text = charpipe.inspect("last", length=100, searched=0).reading.text
    capfd.readouterr()
    assert found["passage"] == text[2] and (found["first"], found["last"]) == (3, 3)
    assert found["searched"] == found["tokens"] and found["units"]
    for one in found["matches"]:
        assert 0 < one["score"] <= 1 and 1 <= one["through"] <= len(found["units"])
        assert len(one["passage"]) == 1 and one["before"] + one["passage"] + one["after"] in TEXT
    assert 1 <= len(found["matches"]) <= 3
    unit = found["units"][0]["number"]
    words = ("--passage", "3:3", "--threshold", "0.01", "--units", f"0.{unit}")
    assert main(["inspect", "last", *words]) == 0
    said = capfd.readouterr().out
    assert f"on throughout: hidden[0] {unit} " in said and "1 of 1" in said and "searched" in said


def test_pattern_that_is_not_in_the_text_is_read_by_itself(run: Run) -> None:
    found = charpipe.find_passages("last", pattern="sayay", threshold=0.05)
    assert (found.source, found.passage) == ("the pattern by itself", "sayay")
    assert "PassageMatches of 'sayay'" in repr(found) and "score" in found._repr_html_()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--passage", "3"), "is not of the form START:END"),
        (("--passage", "9:3"), "the passage 9:3 is backwards; give its first character before its last"),
        (("--passage", "0:3"), "is not within the"),
        (("--passage", "3:99999"), "is not within the"),
        (("--pattern", ""), "the pattern is empty"),
        (("--pattern", "Ω("), "'Ω' (U+03A9)"),
        (("--pattern", "Ω"), "'Ω' (U+03A9)"),
        (("--passage", "3:6", "--pattern", "a"), "one of the two"),
        (("--passage", "3:6", "--threshold", "0"), "not above 0 and at most 1"),
        (("--passage", "3:6", "--matches", "0"), "between 1 and 1,000"),
        (("--passage", "3:6", "--units", "first"), "names no unit"),
        (
            ("--passage", "3:6", "--units", "0.99"),
            "the model has no unit 0.99; its units are hidden[0] 0 to 7",
        ),
        (("--passage", "1:1900", "--threshold", "1"), "up to 1,000"),
        (("--passage", "1:900", "--threshold", "1"), "no unit is on throughout the passage"),
        (("--passage", "3:6", "--output", "page.html"), "write none; leave it out"),
        (("--units", "0.1"), "is for --passage and --pattern"),
    ],
)
def test_passages_that_cannot_be_found_are_a_sentence(
    run: Run, capfd: pytest.CaptureFixture[str], words: tuple[str, ...], said: str
) -> None:
    assert main(["inspect", "last", *words]) == 2
    assert said in capfd.readouterr().err
