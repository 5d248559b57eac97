"""A folder that another machine loads: the same text for the same seed, a card, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

import charpipe
from charpipe.cli import main
from charpipe.errors import RunError, UsageError
from charpipe.exports.card import card
from charpipe.exports.facts import Facts

from exported_models import FACTS  # isort: skip

TEXT = "".join(f"He said it {n} times.\nShe went home.\n" for n in range(60))
PROJECT = """
[corpora.novel]
sources = ["novel.txt"]
summary = "a novel | of `mine`"
license = "CC0-1.0"
[train]
steps = 4
batch_size = 4
window = 8
engine = "plain"
[sample]
length = 60
[tracking]
enabled = false
[architectures]
lstm = {hidden_size = 8, layers = 2}
ngram = {order = 3}
"""


@pytest.fixture
def run(project: Path) -> str:
    (project / "novel.txt").write_text(TEXT, encoding="utf-8")
    (project / "pipelines.toml").write_text(PROJECT, encoding="utf-8")
    return charpipe.train("novel", progress=False).name


def printed(words: list[str], capsys: pytest.CaptureFixture[str], code: int = 0) -> str:
    capsys.readouterr()
    assert main(words) == code
    told = capsys.readouterr()
    return told.out if code == 0 else told.err


def header(folder: Path) -> dict[str, Any]:
    found = yaml.safe_load((folder / "README.md").read_text(encoding="utf-8").split("---\n")[1])
    assert isinstance(found, dict)
    return found


def test_a_folder_writes_what_its_run_writes(
    run: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    wanted = printed(["sample", run, "--length", "80", "--seed", "3"], capsys)
    folder = charpipe.export(run, out=tmp_path / "a model")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)  # no workspace, no project file
    assert printed(["sample", str(folder), "--length", "80", "--seed", "3"], capsys) == wanted
    model = charpipe.load(str(folder))
    assert model.sample(length=80, seed=3, temperature=0.8) == wanted.rstrip("\n")
    assert model.name == "a model"


def test_a_bare_name_is_a_run_first_and_else_a_folder(run: str, capsys: pytest.CaptureFixture[str]) -> None:
    charpipe.export(run, out="model")
    assert charpipe.load("model").name == "model"
    Path("model").rename(run)
    other = charpipe.train("novel", settings={"train.seed": 2}, progress=False).name
    charpipe.export(other, out=run, force=True)
    of_run, of_folder = (
        torch.cat([*map(torch.flatten, charpipe.load(name).model.network.parameters())])
        for name in (run, f"./{run}")
    )  # type: ignore[union-attr]
    assert not torch.equal(of_run, of_folder)


def test_a_folder_holds_the_card_with_scores_and_licence(run: str) -> None:
    folder = charpipe.export(run)
    assert folder == Path(run)
    assert {path.name for path in folder.iterdir()} == {
        "README.md",
        "config.json",
        "model.safetensors",
        "vocabulary.json",
    }
    text, config = (
        (folder / "README.md").read_text(encoding="utf-8"),
        json.loads((folder / "config.json").read_text()),
    )
    scores = config["about"]["scores"]
    assert f"| bits per character | test | {scores['test/bits_per_char']:.4f} |" in text
    assert "Licence of the corpus: CC0-1.0." in text
    assert "a novel \\| of \\`mine\\`" in text
    assert "plugin `charpipe_lstm" in text
    told = header(folder)
    assert told["library_name"] == "charpipe"
    assert told["model-index"][0]["name"] == run
    metrics = told["model-index"][0]["results"][0]["metrics"]
    assert {"type": "bits_per_char", "value": float(f"{scores['test/bits_per_char']:.6g}")} in metrics


def test_a_folder_can_be_exported_again_with_its_facts(run: str) -> None:
    first = charpipe.export(run, out="first")
    second = charpipe.export("./first", out="second")
    for name in ("README.md", "config.json", "vocabulary.json", "model.safetensors"):
        assert (first / name).read_bytes() == (second / name).read_bytes()


def test_what_is_there_is_replaced_only_on_demand(run: str, capsys: pytest.CaptureFixture[str]) -> None:
    charpipe.export(run, out="model")
    Path("model/README.md").write_text("mine")
    Path("model/notes.txt").write_text("mine")
    assert "exists already" in printed(["export", run, "--out", "model"], capsys, 2)
    assert Path("model/README.md").read_text() == "mine"
    printed(["export", run, "--out", "model", "--force"], capsys)
    assert Path("model/README.md").read_text() != "mine"
    assert Path("model/notes.txt").read_text() == "mine"
    assert [path for path in Path().iterdir() if path.name.startswith(".model")] == []
    Path("file").write_text("")
    assert "is a file" in printed(["export", run, "--out", "file", "--force"], capsys, 2)


def test_a_count_based_model_is_a_folder_and_nothing_else(
    project: Path, run: str, capsys: pytest.CaptureFixture[str]
) -> None:
    counted = charpipe.train("novel", arch="ngram", progress=False).name
    folder = charpipe.export(counted)
    text = charpipe.load(counted).sample(length=50, seed=4)
    assert charpipe.load(f"./{folder}").sample(length=50, seed=4) == text
    for form in ("html", "onnx"):
        assert "count-based model" in printed(["export", counted, "--to", form], capsys, 2)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--to", "htm"], "there is no form 'htm'; did you mean 'html'?"),
        (["--to", "onnx", "--opset", "9"], "opset 9 is too old"),
        (["--opset", "17"], "an opset is ONNX's"),
        (["--to", "html", "--push", "me/it"], "only a folder can be pushed"),
        (["--push", "no such/name"], "is no repository of the Hub"),
        (["--checkpoint", "worst"], "there is no 'worst' checkpoint"),
    ],
)
def test_a_wrong_option_is_one_sentence(
    run: str, words: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    told = printed(["export", run, *words], capsys, 2)
    assert sentence in told and told.count("\n") == 1
    assert not Path(run).exists()


def test_a_place_that_cannot_be_written_is_one_sentence(run: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("file").write_text("")
    for form in ("folder", "html", "onnx"):
        told = printed(["export", run, "--to", form, "--out", "file/below"], capsys, 2)
        assert "file/below cannot be written" in told and told.count("\n") == 1


@pytest.mark.parametrize("name", ["model.safetensors", "vocabulary.json"])
def test_an_incomplete_or_damaged_folder_is_refused(run: str, name: str) -> None:
    folder = charpipe.export(run, out="model")
    (folder / name).write_bytes((folder / name).read_bytes()[:40])
    with pytest.raises(charpipe.CharpipeError):
        charpipe.load("./model")
    (folder / name).unlink()
    with pytest.raises(RunError, match=f"it has no {name}"):
        charpipe.load("./model")


def test_a_path_without_a_model_says_what_to_type(run: str) -> None:
    with pytest.raises(
        UsageError, match=r"no exported model at nowhere/at/all: it is no folder; type: charpipe export"
    ):
        charpipe.load("nowhere/at/all")
    with pytest.raises(UsageError, match=r"it has no config\.json"):
        charpipe.load("./")


def test_an_exported_model_is_evaluated_on_a_file_only(run: str, capsys: pytest.CaptureFixture[str]) -> None:
    charpipe.export(run, out="model")
    assert "give a file: charpipe evaluate ./model FILE" in printed(["evaluate", "./model"], capsys, 2)
    assert "text/bits_per_char" in printed(["evaluate", "./model", "novel.txt"], capsys)


@pytest.mark.parametrize("command", ["evaluate", "inspect"])
def test_the_suggestion_for_an_exported_model_can_be_typed(
    run: str, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    charpipe.export(run, out="a b ñ")
    said = printed([command, "./a b ñ"], capsys, 2)
    assert f"no held-out text; give a file: charpipe {command} './a b ñ' FILE" in said


def test_the_page_of_an_exported_model_names_its_folder(run: str) -> None:
    charpipe.export(run, out="a b ñ")
    page = charpipe.inspect("./a b ñ", "novel.txt", searched=0).page.read_text(encoding="utf-8")
    assert "charpipe inspect './a b ñ' novel.txt" in page.replace("\\u00f1", "ñ")


def test_the_folder_to_export_to_is_quoted(project: Path) -> None:
    with pytest.raises(UsageError, match=r"--to folder --out 'no/such folder'"):
        charpipe.load("no/such folder")


def test_a_page_and_a_graph_are_written(run: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert "8-bit weights cost" in printed(["export", run, "--to", "html"], capsys)
    assert "writes</title>" in Path(f"{run}.html").read_text(encoding="utf-8")
    told = json.loads(printed(["export", run, "--to", "onnx", "--json"], capsys))
    assert (told["path"], told["to"]) == (f"{run}.onnx", "onnx")
    assert Path(told["path"]).stat().st_size > 1000


def test_names_in_a_card_are_text() -> None:
    hostile = FACTS.model_copy(
        update={"run": "a: [b]\n---\n# x", "corpus": 'c"d: {', "scores": {"test/loss": 1.5}}
    )
    text = card(hostile)
    told = yaml.safe_load(text.split("\n---\n")[0])
    assert told["model-index"][0]["name"] == hostile.run
    assert "\n# a: \\[b\\] --- \\# x\n" in text
    assert "Scores" not in card(Facts(run="r", title="t", parameters=1, vocabulary_size=1))
