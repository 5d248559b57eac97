"""Names as data: every mapping of a name keeps different things apart and is legal where it goes."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from charpipe.config import identity
from charpipe.errors import UsageError
from charpipe.store.paths import existing, printable
from charpipe.tracking.model_names import model_name

FOLDER = Path("/project")
BYTES = st.binary(min_size=1, max_size=255).filter(
    lambda raw: b"/" not in raw and b"\0" not in raw and raw not in (b".", b"..")
)
NASTY = st.sampled_from(
    [
        b"a{0}.txt",
        b"a_0_.txt",
        b"100%.txt",
        b"x?y#z",
        b"'\"`",
        b"\xff\xfe",
        b"a\nb",
        b"-f",
        b"[bold]x",
        b"e" * 255,
    ]
)
NAMES = (
    BYTES | NASTY | st.text(min_size=1, max_size=60).map(lambda text: text.encode("utf-8", "replace"))
).filter(lambda raw: b"/" not in raw and b"\0" not in raw and len(raw) < 256 and raw not in (b".", b".."))


@given(NAMES)
def test_identity_of_any_file_name_is_short_printable_text(raw: bytes) -> None:
    for base in (FOLDER, None):
        found = identity.of_path(FOLDER / os.fsdecode(raw), base)
        assert len(found.encode("utf-8")) <= 160
        assert not set(found) & set("{}[]<>'\"`|\\%?#*&;$\n\t\r\x00")
        assert found == found.strip() or base is not None
        assert json.loads(json.dumps(found)) == found


@given(NAMES, NAMES)
def test_identities_of_two_names_differ(one: bytes, other: bytes) -> None:
    assume(one != other)
    for base in (FOLDER, None):
        first, second = (identity.of_path(FOLDER / os.fsdecode(raw), base) for raw in (one, other))
        assert first != second


@given(NAMES, NAMES)
def test_file_names_and_model_names_are_injective_and_legal(one: bytes, other: bytes) -> None:
    assume(one != other)
    first, second = (os.fsdecode(raw) for raw in (one, other))
    for text in (first, second):
        assert len(os.fsencode(identity.file_name(text))) <= 120
        assert "/" not in identity.file_name(text) and not identity.file_name(text).startswith(".")
    assert identity.file_name(first) != identity.file_name(second)


@given(st.text(min_size=1), st.text(min_size=1))
def test_registered_model_names_are_injective(one: str, other: str) -> None:
    assume(one != other)
    assert model_name(one) != model_name(other)
    assert model_name(one, "workspace") not in (model_name(one), model_name(one, "another"))


def test_registered_models_of_names_that_sanitise_alike_differ() -> None:
    assert len({model_name(name) for name in ("my song.abc", "my_song.abc", "my_song_abc")}) == 3
    assert model_name("linux_src") == "charpipe-linux_src"


@given(NAMES)
def test_printable_spells_any_file_name(raw: bytes) -> None:
    printable(os.fsdecode(raw)).encode("utf-8")


def test_escaped_name_finds_its_file(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"bad\xff{0}.txt")
    path.write_text("text")
    assert existing(printable(str(path))) == path
    assert existing(str(path)) == path
    assert existing("x" * 5000) is None


def test_identity_of_a_file_stays_when_its_project_moves(tmp_path: Path) -> None:
    found = set()
    for name in ("before", "after"):
        (tmp_path / name / "A").mkdir(parents=True)
        found.add(identity.of_path(tmp_path / name / "A" / "input.txt", tmp_path / name))
    assert found == {"./A/input.txt"}


def test_identity_of_a_url_ignores_credentials_and_keeps_the_query() -> None:
    plain = identity.of_url("https://host/a/input.txt?x=1")
    assert plain == identity.of_url("https://me:secret@host/a/input.txt?x=1")
    assert plain.startswith("input.txt@")
    assert plain != identity.of_url("https://host/a/input.txt?x=2")


def test_spoken_takes_identity_path_and_unique_file_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in "AB":
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "input.txt").write_text("text")
    known, workspace = ["./A/input.txt", "./B/input.txt", "linux_src"], tmp_path / ".charpipe"
    assert identity.spoken("B/input.txt", known, workspace, None) == "./B/input.txt"
    assert identity.spoken(str(tmp_path / "A/input.txt"), known, workspace, None) == "./A/input.txt"
    assert identity.spoken("linux_src", known, workspace, None) == "linux_src"
    assert identity.spoken("input.txt", known[:1], workspace, None) == "./A/input.txt"
    with pytest.raises(UsageError, match=r"\./A/input\.txt, \./B/input\.txt"):
        identity.spoken("input.txt", known, workspace, None)


def test_spoken_lists_a_name_and_a_path_that_look_alike(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "input.txt").write_text("text")
    known, workspace = ["./input.txt", "input.txt"], tmp_path / ".charpipe"
    with pytest.raises(UsageError, match=r"\./input\.txt, name:input\.txt"):
        identity.spoken("input.txt", known, workspace, None)
    assert identity.spoken("name:input.txt", known, workspace, None) == "input.txt"
    assert identity.spoken("./input.txt", known, workspace, None) == "./input.txt"


def _earlier_run(workspace: Path, name: str, corpus: str) -> None:
    folder = workspace / "runs" / name
    folder.mkdir(parents=True)
    info = {"name": name, "corpus": "input.txt", "request": {"options": {"corpus": corpus}}}
    (folder / "run.json").write_text(json.dumps(info))


def test_earlier_workspace_keeps_the_name_of_its_only_corpus(tmp_path: Path) -> None:
    workspace = tmp_path / ".charpipe"
    _earlier_run(workspace, "20260101-0000-input.txt-lstm-aaaa", "A/input.txt")
    assert identity.earlier_name(workspace, tmp_path / "A/input.txt", tmp_path) == "input.txt"
    assert identity.earlier_name(workspace, tmp_path / "B/input.txt", tmp_path) is None


def test_earlier_name_of_two_corpora_is_the_champions(tmp_path: Path) -> None:
    workspace = tmp_path / ".charpipe"
    for letter in "AB":
        _earlier_run(workspace, f"20260101-0000-input.txt-lstm-{letter}", f"{letter}/input.txt")
    folder = workspace / "champions" / "input.txt"
    folder.mkdir(parents=True)
    champion = {"champion": {"run": "20260101-0000-input.txt-lstm-B"}}
    (folder / "champion.json").write_text(json.dumps(champion))
    assert identity.earlier_name(workspace, tmp_path / "B/input.txt", tmp_path) == "input.txt"
    assert identity.earlier_name(workspace, tmp_path / "A/input.txt", tmp_path) is None


def test_called_takes_a_file_name_the_end_of_a_path_and_the_beginning_of_a_digest() -> None:
    known = ["./A/input.txt", "./B/input.txt", "song.abc@3f2a91c07b", "song.abc@77aa91c07b", "linux_src"]
    assert identity.called("input.txt", known) == known[:2]
    assert identity.called("A/input.txt", known) == identity.called("./A/input.txt", known) == known[:1]
    assert identity.called("song.abc", known) == known[2:4]
    assert identity.called("song.abc@3f", known) == known[2:3]
    assert identity.called("nput.txt", known) == identity.called("", known) == []


@given(NAMES)
def test_an_identity_is_called_by_itself_and_by_its_last_part(raw: bytes) -> None:
    found = identity.of_path(FOLDER / "A" / os.fsdecode(raw), FOLDER)
    assert identity.called(found, [found]) == [found]


def test_a_path_that_is_there_never_means_another_file_of_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "input.txt").write_text("text")
    assert identity.spoken("input.txt", ["./A/input.txt"], tmp_path / ".charpipe", None) == "./input.txt"
