"""Nights: only a changed source is worked on, from the champion, further in the data; what was cut off is gone on with;
whatever goes wrong, the champion stands."""

import json
import threading
from dataclasses import asdict, replace
from functools import partial
from http.server import ThreadingHTTPServer
from pathlib import Path

import pytest

from charpipe import stages
from charpipe.champions import champion
from charpipe.config.identity import of_url
from charpipe.errors import CorpusError, InterruptedRun, RunError
from charpipe.events import Decided, Notice, StageFinished, Step
from charpipe.runs import find_run, list_runs
from charpipe.stages import Context, TrainRequest
from quiet_server import QuietHandler

WORDS = ["the", "quick", "brown", "fox", "jumps", "over", "the", "lazy", "dog", "and", "runs", "away"]


def write(folder: Path, names: range, salt: int = 0) -> None:
    folder.mkdir(exist_ok=True)
    for at in names:
        text = " ".join(WORDS[(at * 7 + k * (salt + 3)) % len(WORDS)] for k in range(60))
        (folder / f"{at:03}.txt").write_text(text)


def night(context: Context, corpus: str = "corpus", arch: str = "rnn", start: str = "champion"):
    begun = stages.refresh(context, corpus, arch, start)
    context = begun.resuming(context)
    documents = stages.ingest(context, corpus)
    if begun.is_decided(documents):
        return {"skipped": True, **asdict(stages.skip(context, begun, documents))}
    vocabulary = stages.learn_vocabulary(context, corpus, documents, begun.warm_start)
    tokens = stages.encode(context, corpus, documents, vocabulary)
    options = {"corpus": corpus, "arch": arch, "start": start}
    request = TrainRequest(corpus, arch, "retrain", options, begun.warm_start)
    trained = stages.train(context, request, tokens, vocabulary)
    decided = stages.promote(context, trained, tokens)
    return {"run": trained.run, **asdict(stages.report(context, begun, documents, trained, decided))}


@pytest.fixture
def corpus(project: Path) -> Path:
    folder = project / "corpus"
    write(folder, range(120))
    return folder


def test_the_first_night_makes_a_champion_and_the_next_has_nothing_to_do(corpus, open_context, heard) -> None:
    first = night(open_context())
    assert first["promoted"] and first["started_from"] is None
    again = night(open_context())
    assert again["skipped"] and "unchanged" in again["reason"]
    assert again["champion"] == first["run"]
    assert len(list_runs(open_context().workspace.runs)) == 1


def test_changed_content_is_trained_on_from_the_champion_at_another_place(
    corpus, open_context, heard
) -> None:
    first = night(open_context())
    write(corpus, range(110, 130), salt=1)
    (corpus / "new.txt").write_text("Zzz! " * 20)
    heard.clear()
    second = night(open_context())
    assert second["started_from"] == first["run"]
    [ingested] = [event for event in heard.of(StageFinished) if event.stage == "ingest"]
    assert "21 read, the others unchanged" in ingested.summary
    workspace = open_context().workspace
    assert find_run(workspace.runs, second["run"]).info.facts["start"]["offset"] == 12
    (corpus / "new.txt").write_text("Yyy? " * 20)
    third = night(open_context())
    # whoever is champion, the place in the data is after all that was read so far
    assert find_run(workspace.runs, third["run"]).info.facts["start"]["offset"] == 24
    assert len(heard.of(Decided)) == 2


def test_a_change_of_settings_is_worked_on_and_another_size_begins_afresh(
    corpus, open_context, heard
) -> None:
    first = night(open_context())
    second = night(open_context(train__seed=2))
    assert second["started_from"] == first["run"]
    third = night(open_context(architectures__rnn__hidden_size=10))
    assert third["started_from"] is None
    assert any(
        "trains from new weights" in notice.message and "hidden_size 8 -> 10" in notice.message
        for notice in heard.of(Notice)
    )
    fourth = night(open_context(architectures__gru__hidden_size=8), arch="gru")
    assert fourth["started_from"] is None
    fifth = night(open_context(train__seed=3), start="fresh")
    assert fifth["started_from"] is None


def test_a_night_that_was_cut_off_is_gone_on_with(corpus, open_context, heard) -> None:
    first = night(open_context())
    write(corpus, range(100, 125), salt=2)
    context = open_context()

    def stop_at_five(event) -> None:
        if isinstance(event, Step) and event.step == 5:
            context.stop.request(15)

    context = replace(context, emit=stop_at_five)
    with pytest.raises(InterruptedRun):
        night(context)
    cut = list_runs(context.workspace.runs)[-1]
    assert cut.status.state == "interrupted"
    write(corpus, range(40, 60), salt=5)  # what has come meanwhile is for the night after
    resumed = night(open_context())
    assert resumed["run"] == cut.name and resumed["resumed"] and resumed["started_from"] == first["run"]
    steps = [event.step for event in heard.of(Step)]
    assert steps[-7:] == [6, 7, 8, 9, 10, 11, 12]
    after = night(open_context())
    assert after["run"] not in (first["run"], cut.name)
    assert night(open_context())["skipped"]


def test_one_that_was_cut_off_under_other_settings_is_left(corpus, open_context) -> None:
    context = open_context()
    stop = context.stop
    context = replace(context, emit=lambda event: stop.request(2) if isinstance(event, Step) else None)
    with pytest.raises(InterruptedRun):
        night(context)
    cut = list_runs(context.workspace.runs)[-1]
    other = night(open_context(train__learning_rate=1e-3))
    assert other["run"] != cut.name


def test_a_source_that_cannot_be_reached_leaves_the_champion(
    project: Path, open_context, monkeypatch
) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    (project / "served").mkdir()
    (project / "served" / "text.txt").write_text(" ".join(WORDS * 60))

    with ThreadingHTTPServer(
        ("127.0.0.1", 0), partial(QuietHandler, directory=str(project / "served"))
    ) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        url = f"http://127.0.0.1:{server.server_address[1]}/text.txt"
        first = night(open_context(), url)
        assert night(open_context(), url)["skipped"]
        server.shutdown()
        thread.join()
    with pytest.raises(CorpusError, match=f"{first['run']} stays champion") as failed:
        night(open_context(), url)
    assert "cannot check whether" in str(failed.value)
    present = champion(open_context().workspace, of_url(url))
    assert present is not None and present.run == first["run"]


def test_an_altered_champion_is_neither_started_from_nor_replaced(corpus, open_context) -> None:
    night(open_context())
    write(corpus, range(10), salt=4)
    present = champion(open_context().workspace, "./corpus")
    assert present is not None
    path = present.folder / "model.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(RunError, match="damaged"):
        night(open_context())
    assert len(list_runs(open_context().workspace.runs)) == 1


def test_a_damaged_record_of_the_last_night_costs_a_decision_and_no_more(corpus, open_context) -> None:
    first = night(open_context())
    [record] = (open_context().workspace.root / "retraining").glob("*.json")
    assert json.loads(record.read_text())["run"] == first["run"]
    record.write_text("{")
    second = night(open_context())
    assert not second.get("skipped")
    assert night(open_context())["skipped"]
