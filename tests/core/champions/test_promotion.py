"""The champion changes only for a model that is better on the same text, and then wholly or not at all."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from challenges import Lab, text

from charpipe import champions, stages
from charpipe.champions import audit, promotion
from charpipe.champions.state import champion_folder, read_state
from charpipe.errors import RunError, StoreError, UsageError
from charpipe.events import Decided
from charpipe.plugins.registry import Registry
from charpipe.runs import find_run
from charpipe.stages.rollback import roll_back
from charpipe.store import json_lines
from charpipe.tracking import TrackingConfig
from charpipe.tracking.models import find_model
from charpipe.workspace import find_workspace

CORPUS = "./mine.txt"


def test_the_first_finite_model_is_champion_then_only_a_better_one(lab: Lab, heard) -> None:
    first = lab.challenge(30)
    assert (first.promoted, first.version, first.reason) == (True, 1, "there was no champion")
    worse = lab.challenge(2)
    assert not worse.promoted
    assert worse.champion == first.run
    assert "bits per character worse" in worse.reason
    better = lab.challenge(150)
    assert (better.promoted, better.version) == (True, 2)
    found, before = champions.champion(lab.workspace, CORPUS), champions.previous(lab.workspace, CORPUS)
    assert found is not None
    assert before is not None
    assert (found.run, before.run) == (better.run, first.run)
    assert found.version.replaced == 1
    lines = champions.decisions(lab.workspace, CORPUS)
    assert [line["promoted"] for line in lines] == [True, False, True]
    assert lines[2]["champion"]["run"] == first.run
    assert lines[2]["probability"] >= 0.95
    assert lines[2]["validation"]["challenger"] < lines[2]["validation"]["champion"]
    assert lines[2]["test"]["passages"] > 0
    assert lines[2]["unseen_are"] == "the test split"
    assert [event.promoted for event in heard.of(Decided)] == [True, False, True]


def test_the_same_question_gets_the_same_answer_and_is_written_down_once(lab: Lab, heard) -> None:
    lab.challenge(30)
    declined = lab.challenge(2)
    again = lab.challenge(2)
    assert again.reused
    assert (again.promoted, again.reason, again.champion) == (False, declined.reason, declined.champion)
    assert lab.challenge(30).reused
    assert len(champions.decisions(lab.workspace, CORPUS)) == 2
    assert len(heard.of(Decided)) == 2


def spoil(lab: Lab, run: str) -> None:
    """Weights that are no numbers any more, as a run that went astray leaves them."""
    import torch
    from safetensors.torch import load_file, save_file

    path = lab.run(run).checkpoint() / "model.safetensors"
    save_file({name: torch.full_like(tensor, torch.nan) for name, tensor in load_file(path).items()}, path)


def test_a_model_whose_scores_are_no_numbers_is_never_champion(lab: Lab) -> None:
    trained, tokens = lab.train(3)
    spoil(lab, trained.run)
    assert not stages.promote(lab.context, trained, tokens).promoted
    assert champions.champion(lab.workspace, CORPUS) is None
    champion = lab.challenge(30)
    trained, tokens = lab.train(200)
    spoil(lab, trained.run)
    for anyway in (False, True):
        decided = stages.promote(lab.context, trained, tokens, anyway=anyway)
        assert (decided.promoted, decided.champion) == (False, champion.run)
        assert "not finite" in decided.reason
    assert all(line["validation"]["challenger"] is None for line in _declined(lab))


def _declined(lab: Lab) -> list[dict]:
    return [line for line in champions.decisions(lab.workspace, CORPUS) if not line["promoted"]]


def test_scores_on_another_text_decide_nothing(lab: Lab) -> None:
    """The champion's own score was of an easy text; on the text as it is now the challenger is better."""
    lab.challenge(60)
    path = champion_folder(lab.workspace, CORPUS) / "champion.json"
    state = json.loads(path.read_text())
    state["champion"]["scores"] = {"val/loss": 0.001, "val/bits_per_char": 0.001}
    path.write_text(json.dumps(state))
    assert lab.challenge(200).promoted


def test_by_hand_a_worse_one_only_anyway_and_back_again(lab: Lab) -> None:
    first = lab.challenge(60)
    trained, tokens = lab.train(2)
    assert not stages.promote(lab.context, trained, tokens, by="user").promoted
    forced = stages.promote(lab.context, trained, tokens, by="user", anyway=True)
    assert (forced.promoted, forced.version) == (True, 2)
    assert forced.reason.startswith("by the user, although")
    assert roll_back(lab.context, CORPUS).run == first.run
    state = read_state(lab.workspace, CORPUS)
    assert state is not None
    assert state.previous is None
    assert state.withdrawn == (forced.line["model"],)
    with pytest.raises(UsageError, match="is its first; it stays"):
        roll_back(lab.context, CORPUS)
    with pytest.raises(UsageError, match="has no version 7; kept: 1, 2"):
        roll_back(lab.context, CORPUS, 7)
    assert roll_back(lab.context, CORPUS, 2).run == forced.run
    assert [line["by"] for line in champions.decisions(lab.workspace, CORPUS)][-2:] == ["user", "user"]


def test_what_a_person_rolled_back_does_not_come_back_at_night(lab: Lab) -> None:
    first, second = lab.challenge(20), lab.challenge(150)
    assert second.promoted
    roll_back(lab.context, CORPUS)
    again = lab.challenge(150)
    assert (again.promoted, again.champion) == (False, first.run)
    assert "rolled back" in again.reason


def test_a_gone_or_altered_champion_is_said_and_nothing_is_decided(lab: Lab) -> None:
    lab.challenge(20)
    second = lab.challenge(150)
    found = champions.champion(lab.workspace, CORPUS)
    assert found is not None
    weights = found.folder / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    with pytest.raises(RunError, match=r"model.safetensors has been changed.*models rollback ./mine.txt"):
        champions.champion(lab.workspace, CORPUS)
    with pytest.raises(RunError, match="damaged"):
        lab.challenge(160)
    with pytest.raises(RunError, match="damaged"):
        find_model("champion:mine.txt", lab.workspace, Registry(), TrackingConfig())
    assert read_state(lab.workspace, CORPUS).champion.run == second.run  # type: ignore[union-attr]
    weights.unlink()
    with pytest.raises(RunError, match=r"model.safetensors is gone"):
        champions.champion(lab.workspace, CORPUS)
    assert roll_back(lab.context, CORPUS).version.version == 1
    assert champions.champion(lab.workspace, CORPUS) is not None


def test_a_damaged_record_is_said_and_mended_by_naming_a_version(lab: Lab) -> None:
    lab.challenge(20)
    path = champion_folder(lab.workspace, CORPUS) / "champion.json"
    path.write_text("{")
    with pytest.raises(RunError, match=r"champion.json is damaged .* rollback ./mine.txt --to VERSION"):
        champions.champion(lab.workspace, CORPUS)
    roll_back(lab.context, CORPUS, 1)
    assert champions.champion(lab.workspace, CORPUS) is not None


def test_the_suggested_rollback_quotes_the_corpus(project: Path) -> None:
    folder = champion_folder(find_workspace(None), "./my texts")
    folder.mkdir(parents=True)
    (folder / "champion.json").write_text("{")
    with pytest.raises(RunError, match=r"charpipe models rollback './my texts' --to VERSION"):
        read_state(find_workspace(None), "./my texts")


def test_a_champion_outlives_its_run_and_a_moved_workspace(lab: Lab, project: Path) -> None:
    run = lab.challenge(20).run
    assert find_run(lab.workspace.runs, "champion:mine.txt").name == run
    shutil.rmtree(lab.workspace.runs / run)
    with pytest.raises(RunError, match=r"its model is kept; type: charpipe sample champion:mine.txt"):
        find_run(lab.workspace.runs, "champion:mine.txt")
    lab.workspace.root.rename(project / "elsewhere")
    moved = type(lab.workspace)(project / "elsewhere")
    assert champions.champion(moved, CORPUS).run == run  # type: ignore[union-attr]
    loaded = find_model("champion:mine.txt", moved, Registry(), TrackingConfig())
    assert loaded.name == run
    with pytest.raises(UsageError, match=r"'min.txt' has no champion; did you mean './mine.txt'"):
        find_model("champion:min.txt", moved, Registry(), TrackingConfig())
    with pytest.raises(UsageError, match="has no previous champion"):
        find_model("previous:mine.txt", moved, Registry(), TrackingConfig())


def test_a_text_changed_in_what_the_champion_was_trained_on_is_refused(lab: Lab) -> None:
    first = lab.challenge(10)
    lab.write("X" + text(1))
    changed = lab.challenge(150)
    assert (changed.promoted, changed.champion) == (False, first.run)
    assert "0 held-out texts, without 1 on which the champion was trained" in changed.reason


@pytest.fixture
def folder(lab: Lab, project: Path) -> Path:
    """A corpus of 150 documents."""
    made = project / "many"
    made.mkdir()
    for number in range(150):
        (made / f"{number:03}.txt").write_text(text(number, 60))
    lab.corpus = "many"
    return made


def test_documents_divided_otherwise_are_refused(lab: Lab, folder: Path) -> None:
    settings = {"corpus__split__train": 0.5, "corpus__split__val": 0.25, "corpus__split__test": 0.25}
    first = lab.challenge(10, **settings)
    salted = lab.challenge(150, **settings, corpus__split__salt="other")
    assert (salted.promoted, salted.champion) == (False, first.run)
    assert (
        "the corpus has other splits than for the champion (by documents, salt ./many -> by documents"
        in salted.reason
    )


def test_new_documents_of_the_test_split_are_reported_beside_it(lab: Lab, folder: Path) -> None:
    settings = {"corpus__split__train": 0.5, "corpus__split__val": 0.25, "corpus__split__test": 0.25}
    lab.challenge(10, **settings)
    for number in range(150, 190):
        (folder / f"{number:03}.txt").write_text(text(number, 60))
    # what the champion was trained on does not judge it, even under another name
    (folder / "again.txt").write_bytes((folder / "000.txt").read_bytes())
    better = lab.challenge(150, **settings)
    assert better.promoted, better.reason
    line = better.line
    assert line["unit"] == "documents"
    assert line["unseen_are"] == "new documents of the test split"
    assert 0 < line["unseen"]["passages"] < line["test"]["passages"]


def test_corpora_of_one_name_in_two_places_have_champions_of_their_own(lab: Lab, project: Path) -> None:
    for place, seed in (("x", 1), ("y", 2)):
        (project / place / "data").mkdir(parents=True)
        (project / place / "data" / f"{place}.txt").write_text(text(seed))
    lab.corpus = "x/data"
    first = lab.challenge(20)
    lab.corpus = "y/data"
    second = lab.challenge(150)
    assert first.promoted and second.promoted
    runs = {corpus: champions.champion(lab.workspace, corpus) for corpus in ("./x/data", "./y/data")}
    assert {corpus: champion and champion.run for corpus, champion in runs.items()} == {
        "./x/data": first.run,
        "./y/data": second.run,
    }


def test_a_corpus_whose_text_was_replaced_is_refused(lab: Lab, project: Path) -> None:
    (project / "data").mkdir()
    lab.corpus = "data"
    (project / "data" / "x.txt").write_text(text(1))
    assert lab.challenge(20).promoted
    (project / "data" / "x.txt").unlink()
    (project / "data" / "y.txt").write_text(text(2))
    refused = lab.challenge(150)
    assert not refused.promoted
    assert "no document in common" in refused.reason


def test_models_of_other_vocabularies_are_compared_per_character(lab: Lab) -> None:
    assert lab.challenge(10).promoted
    better = lab.challenge(200, corpus__tokenizer__name="byte")
    assert better.promoted, better.reason
    lab.write(text(1) + "§ " + text(3, 1500))
    grown = lab.challenge(220)
    assert grown.line["seen"] == 0
    assert grown.line["validation"]["passages"] >= 15


def test_a_full_disk_leaves_the_champion(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    first = lab.challenge(10)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    complaint = f"No space left on device; the champion is still {first.run}"
    with monkeypatch.context() as patch:
        patch.setattr(promotion.shutil, "copytree", full)
        with pytest.raises(RunError, match=complaint):
            lab.challenge(150)
    assert champions.champion(lab.workspace, CORPUS).run == first.run  # type: ignore[union-attr]
    assert not list((champion_folder(lab.workspace, CORPUS) / "versions").glob(".*"))
    assert lab.challenge(150).promoted


KILL = """
import os, signal, sys
from pathlib import Path
from charpipe.champions import promotion
from charpipe.store import json_lines
from charpipe.champions.promotion import deciding, promote
from charpipe.stages.candidates import candidate_of
from charpipe.runs import Run
from charpipe.workspace import Workspace

workspace, run, point = Workspace(Path(sys.argv[1])), sys.argv[2], sys.argv[3]
def die(*_, **__): os.kill(os.getpid(), signal.SIGKILL)
def before(module, name):
    setattr(module, name, die)
def after(module, name):
    real = getattr(module, name)
    def then(*a, **k):
        real(*a, **k)
        die()
    setattr(module, name, then)
{"copying": lambda: after(promotion.shutil, "copytree"), "kept": lambda: after(promotion, "publish_folder"),
 "publishing": lambda: before(promotion, "publish_folder"), "switched": lambda: after(promotion, "_switch"),
 "writing": lambda: before(json_lines.os, "fsync"), "written": lambda: before(promotion, "kept")}[point]()
candidate = candidate_of(Run(workspace.runs / run))
with deciding(workspace, candidate.corpus):
    promote(workspace, candidate, {"promoted": True, "reason": "a test"}, by="test")
"""


@pytest.mark.parametrize("point", ["copying", "publishing", "kept", "switched", "writing", "written"])
def test_a_kill_at_any_point_leaves_the_old_champion_or_the_new_one(lab: Lab, point: str) -> None:
    first = lab.challenge(10)
    trained, tokens = lab.train(150)
    words = [sys.executable, "-c", KILL, str(lab.workspace.root), trained.run, point]
    killed = subprocess.run(words, capture_output=True, text=True, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    found = champions.champion(lab.workspace, CORPUS)
    assert found is not None
    switched = point in ("switched", "written")  # the audit's own fsync is not the switch's
    assert found.run == (trained.run if switched or found.version.version == 2 else first.run)
    if point in ("copying", "publishing", "kept"):
        assert found.run == first.run
    lines = champions.decisions(lab.workspace, CORPUS)
    assert lines[-1]["run"] == found.run
    again = stages.promote(lab.context, trained, tokens)
    assert again.promoted
    assert champions.champion(lab.workspace, CORPUS).run == trained.run  # type: ignore[union-attr]
    written = audit._lines(champion_folder(lab.workspace, CORPUS) / "audit.jsonl")
    assert [line["run"] for line in written] == [first.run, trained.run]
    numbers = [version.version for version in champions.versions(lab.workspace, CORPUS)]
    assert numbers == [line["version"] for line in written]


def test_a_torn_line_of_the_audit_harms_only_itself(lab: Lab) -> None:
    lab.challenge(10)
    path = champion_folder(lab.workspace, CORPUS) / "audit.jsonl"
    with path.open("ab") as file:
        file.write(b'{"time": "2026-')
    lab.challenge(2)
    assert [line["promoted"] for line in champions.decisions(lab.workspace, CORPUS)] == [True, False]


def test_two_that_decide_at_once_wait_for_one_another(lab: Lab) -> None:
    lab.challenge(10)
    trained, tokens = lab.train(150)
    waited = []
    with promotion.deciding(lab.workspace, CORPUS):
        context = replace(lab.context, emit=waited.append)
        context.stop.request(15)  # the wait ends as any stage does
        with pytest.raises(Exception, match="stopped while it worked on promote"):
            stages.promote(context, trained, tokens)
    assert any("waiting for" in getattr(event, "message", "") for event in waited)


def test_an_audit_that_cannot_be_written_is_an_error(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    lab.challenge(10)

    def refuse(handle: int) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(json_lines.os, "fsync", refuse)
    with pytest.raises(StoreError, match="No space left"):
        audit.append(lab.workspace, CORPUS, {"digest": "x"})
