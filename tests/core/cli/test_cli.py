"""Exit codes and sentences of the command line, and what its light commands import."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from charpipe import stages
from charpipe.cli import main
from charpipe.stages import TrainRequest
from charpipe_pipelines.training_result import TrainingResult


@pytest.fixture
def run(project: Path, open_context) -> str:
    """A finished run of the corpus hello in the project's workspace."""
    context = open_context(train__steps=5)
    documents = stages.ingest(context, "hello")
    vocabulary = stages.learn_vocabulary(context, "hello", documents)
    tokens = stages.encode(context, "hello", documents, vocabulary)
    return stages.train(context, TrainRequest("hello", "rnn"), tokens, vocabulary).run


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["run", "train-and-sampel"], 2, "train-and-sampel"),
        (["run", "train-and-sample", "--corpus", "linux_scr"], 2, "did you mean 'linux_src'?"),
        (["run", "train-and-sample", "--corpus", "hello", "--arch", "lsmt"], 2, "did you mean 'lstm'?"),
        (
            ["run", "train-and-sample", "--corpus", "hello", "--set", "train.stepz=1"],
            2,
            "did you mean 'steps'?",
        ),
        (
            ["run", "train-and-sample", "--corpus", "hello", "--steps", "5", "--budget", "1m"],
            2,
            "give one of them",
        ),
        (["run", "train-and-sample", "--corpus", "hello", "--budget", "soon"], 2, "charpipe: --budget"),
        (["run", "train-and-sample", "--corpus", "hello", "--device", "tpu"], 2, "charpipe: --device"),
        (["run", "train-and-sample", "--corpus", "hello", "--force", "trian"], 2, "did you mean 'train'?"),
        (["run", "train-and-sample"], 2, "--corpus is needed"),
        (["sample", "last"], 1, "there is no run yet; type:"),
        (["sample", "nothing"], 2, "there is no run 'nothing'"),
        (["resume"], 1, "there is no run yet"),
        (["evaluate", "nothing"], 2, "there is no run 'nothing'"),
        (["runs", "show", "nothing"], 2, "there is no run 'nothing'"),
        (["corpora", "show", "helo"], 2, "did you mean 'hello'?"),
        (["plugins", "info", "lsmt"], 2, "did you mean 'lstm'?"),
        (["config", "show", "--pipeline", "trian"], 2, "there is no pipeline 'trian'"),
        (["frobnicate"], 2, "frobnicate"),
        (["train"], 2, "type: charpipe run train-and-sample"),
        (["retrain"], 2, "type: charpipe run retrain --corpus CORPUS\n"),
        (["reproduce-2015"], 2, "type: charpipe run reproduce-2015\n"),
        (["generate"], 2, "type: charpipe sample"),
        (["list"], 2, "type: charpipe runs list"),
        (["sampel"], 2, "did you mean 'sample'?"),
        (["run", "train-and-sample", "--corpus", "hello", "--device", "cuda:99"], 2, "no device 'cuda:99'"),
    ],
)
def test_usage_errors(
    project: Path, capfd: pytest.CaptureFixture[str], words: list[str], code: int, said: str
) -> None:
    assert main(words) == code
    captured = capfd.readouterr()
    assert said in captured.err
    assert "Traceback" not in captured.err


def test_a_broken_project_file_is_said_in_a_sentence(
    project: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (project / "pipelines.toml").write_text("[train\n")
    assert main(["config", "show"]) == 2
    assert "pipelines.toml is not TOML" in capfd.readouterr().err
    assert main(["plugins", "list"]) == 0


def test_debug_shows_the_traceback(project: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["sample", "nothing", "--debug"]) == 2
    assert "Traceback" in capfd.readouterr().err


def test_lists_are_json_arrays(run: str, capfd: pytest.CaptureFixture[str]) -> None:
    def rows(*words: str) -> list[dict[str, object]]:
        assert main([*words, "--json"]) == 0
        return json.loads(capfd.readouterr().out)

    assert [row["run"] for row in rows("runs", "list")] == [run]
    corpora = {row["name"]: row["here"] for row in rows("corpora", "list")}
    assert corpora["hello"] == ["text:hello"]
    assert corpora["python_stdlib"] == ["python:stdlib"]
    assert corpora["names"] == []
    assert {"charpipe_lstm", "charpipe_sources"} <= {row["module"] for row in rows("plugins", "list")}
    assert "train-and-sample" in [row["name"] for row in rows("pipelines", "list")]
    settings = {row["key"]: row for row in rows("config", "show", "--set", "train.window=9")}
    assert settings["train.window"] == {"key": "train.window", "value": 9, "origin": "--set"}
    assert settings["architectures.lstm.layers"]["origin"] == "default"


def test_tables_are_for_people(run: str, capfd: pytest.CaptureFixture[str]) -> None:
    for words in (["runs", "list"], ["runs", "show"], ["corpora", "list"], ["corpora", "show", "hello"]):
        assert main(words) == 0
    for words in (
        ["plugins", "list"],
        ["plugins", "info", "lstm"],
        ["pipelines", "list"],
        ["config", "show"],
    ):
        assert main(words) == 0
    out = capfd.readouterr().out
    assert run in out
    assert "here    text:hello" in out
    assert "hidden_size = 512" in out


def test_runs_show_tells_the_engine_and_why(run: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["runs", "show", run, "--json"]) == 0
    status = json.loads(capfd.readouterr().out)["status"]
    assert status["engine"] in ("fast", "plain")
    assert status["engine_reason"]
    assert main(["runs", "show", run]) == 0
    out = capfd.readouterr().out
    assert re.search(rf"^  engine +{status['engine']}: {re.escape(status['engine_reason'])}$", out, re.M)
    assert re.search(r"^  device +cpu$", out, re.M)


def test_sampling(run: str, capfd: pytest.CaptureFixture[str]) -> None:
    words = ["sample", run, "--prompt", "he", "--length", "30", "--seed", "7"]
    assert main(words) == 0
    first = capfd.readouterr().out
    assert main([*words, "--json"]) == 0
    value = json.loads(capfd.readouterr().out)
    assert value["text"] + "\n" == first
    assert len(value["text"]) == 32
    assert set(value["text"]) <= set("helo")
    assert main(["sample", run, "--prompt", "hex"]) == 2
    assert "'x'" in capfd.readouterr().err
    assert main(["sample", run, "--temperature", "-1"]) == 2
    assert "--temperature" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--prompt", ""], "the prompt is empty"),
        (["--prompt-file", "empty.txt"], "the prompt is empty"),
        (["--prompt-file", "missing.txt"], "cannot be read"),
        (["--prompt", "he", "--prompt-file", "empty.txt"], "exclude each other"),
        (["--temperature", "nan"], "--temperature"),
        (["--top-k", "99"], "top-k is 99, but the vocabulary has 4 tokens"),
        (["--top-k", "0"], "--top-k"),
        (["--top-p", "0"], "--top-p"),
        (["--min-p", "2"], "--min-p"),
        (["--count", "0"], "count"),
        (["--count", "2", "--top-k", "99"], "top-k is 99"),
        (["--set", "sample.decoders.nuclear.p=0.5"], "did you mean 'nucleus'?"),
    ],
    ids=" ".join,
)
def test_sampling_says_what_it_cannot_do(
    run: str, project: Path, capfd: pytest.CaptureFixture[str], flags: list[str], said: str
) -> None:
    (project / "empty.txt").write_text("")
    assert main(["sample", run, *flags]) == 2
    captured = capfd.readouterr()
    assert said in captured.err
    assert captured.out == ""


def test_ways_to_sample(run: str, project: Path, capfd: pytest.CaptureFixture[str]) -> None:
    def written(*flags: str) -> dict[str, object]:
        assert main(["sample", run, "--length", "30", "--json", *flags]) == 0
        return json.loads(capfd.readouterr().out)

    (project / "prompt.txt").write_text("hel")
    assert str(written("--prompt-file", "prompt.txt")["text"]).startswith("hel")
    likeliest = written("--prompt", "h", "--greedy")["text"]
    for flags in (["--top-k", "1"], ["--min-p", "1"], ["--top-p", "0.0001"], ["--temperature", "0"]):
        assert written("--prompt", "h", "--seed", "3", *flags)["text"] == likeliest
    assert "l" not in str(written("--prompt", "h", "--stop", "l", "--temperature", "9")["text"])
    texts = written("--prompt", "h", "--count", "3")["texts"]
    assert isinstance(texts, list)
    assert texts[0] == written("--prompt", "h")["text"]
    assert main(["sample", run, "--length", "5", "--count", "2"]) == 0
    assert "--- 2 of 2\n" in capfd.readouterr().out


def test_scoring_a_file(run: str, project: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (project / "other.txt").write_text("hellohello")
    assert main(["evaluate", run, "other.txt", "--json"]) == 0
    metrics = json.loads(capfd.readouterr().out)["metrics"]
    compressors = {"text/xz_bits_per_char", "text/zstd_bits_per_char"}
    assert set(metrics) == {"text/loss", "text/bits_per_char", "text/bits_per_byte"} | compressors
    assert main(["evaluate", run, "other.txt", "--dynamic", "--json"]) == 0
    dynamic = json.loads(capfd.readouterr().out)["metrics"]
    assert {**metrics, **dynamic} == dynamic, "adapting does not change the static scores"
    assert {name for name in dynamic if "dynamic" in name} == {
        "text/dynamic_loss",
        "text/dynamic_static_loss",
        "text/dynamic_bits_per_char",
    }
    (project / "other.txt").write_bytes(b"hello\xff")
    assert main(["evaluate", run, "other.txt", "--set", "corpus.encoding=utf-8"]) == 2
    assert "byte 0xFF at offset 5" in capfd.readouterr().err
    (project / "other.txt").write_text("h")
    assert main(["evaluate", run, "other.txt"]) == 2
    assert main(["evaluate", run, "missing.txt"]) == 2
    assert "cannot be read" in capfd.readouterr().err


def test_a_dry_run_does_nothing(project: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "train-and-sample", "--corpus", "hello", "--dry-run"]) == 0
    out = capfd.readouterr().out
    assert "ingest: would run (first time), and all after it" in out
    assert "Nothing was done" in out
    assert not (project / ".charpipe" / "store" / "objects").exists()


def test_a_finished_run_is_not_resumed(run: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["resume", run]) == 1
    assert "is finished (5 steps)" in capfd.readouterr().err


@pytest.mark.parametrize(
    "words",
    [
        ["--help"],
        ["plugins", "list"],
        ["pipelines", "list"],
        ["run", "--help"],
        ["run", "train-and-sample", "--help"],
    ],
)
def test_light_commands_import_nothing_heavy(project: Path, words: list[str]) -> None:
    script = (
        "import sys\nfrom charpipe.cli import main\n"
        f"code = main({words!r})\n"
        "heavy = [name for name in ('torch', 'prefect', 'mlflow', 'pyarrow', 'numpy') if name in sys.modules]\n"
        "print(heavy, file=sys.stderr)\nsys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr.strip() == "[]"


def test_completion_imports_nothing_heavy(project: Path) -> None:
    script = (
        "import atexit, sys\n"
        "heavy = lambda: [name for name in ('torch', 'prefect', 'mlflow', 'pyarrow') if name in sys.modules]\n"
        "atexit.register(lambda: print(heavy(), file=sys.stderr))\n"
        "from charpipe.cli import main\nsys.exit(main([]))"
    )
    environment = {"_CHARPIPE_COMPLETE": "complete_bash", "COMP_WORDS": "charpipe ru", "COMP_CWORD": "1"}
    import os

    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        env=os.environ | environment,
        check=False,
    )
    assert "run" in done.stdout.split()
    assert done.stderr.strip() == "[]"


def test_a_flag_that_equals_a_default_still_wins(
    project: Path, capfd: pytest.CaptureFixture[str], monkeypatch
) -> None:
    seen = []
    told = "charpipe_pipelines.orchestration.run"
    nothing = TrainingResult("a-run", "hello", {}, None, (), "")
    monkeypatch.setattr(told, lambda pipeline, options, context: seen.append(options) or nothing)
    (project / "pipelines.toml").write_text('[pipelines.train-and-sample]\narch = "gru"\ncorpus = "hello"')
    assert main(["run", "train-and-sample"]) == 0
    assert main(["run", "train-and-sample", "--arch", "lstm"]) == 0
    assert [(options.corpus, options.arch) for options in seen] == [("hello", "gru"), ("hello", "lstm")]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[pipelines.train-and-sample]\ncorpsu = "x"', "corpsu is not a setting; did you mean 'corpus'?"),
        ('[pipelines.train-and-sampel]\narch = "rnn"', "did you mean 'train-and-sample'?"),
        ("[architectures.lstm]\nhiden = 3", "architectures.lstm.hiden is not a setting"),
        ("[architectures.foo]\nx = 3", "there is no architecture 'foo'"),
        ("pipelines = 3", "pipelines"),
        ("[pipelines]\ntrain-and-sample = 3", "which is no table"),
        ("train = 3", "train"),
    ],
)
def test_a_wrong_table_is_named(
    project: Path, capfd: pytest.CaptureFixture[str], text: str, said: str
) -> None:
    (project / "pipelines.toml").write_text(text)
    assert main(["run", "train-and-sample", "--corpus", "hello", "--dry-run"]) == 2
    error = capfd.readouterr().err
    assert said in error
    assert "Error:" not in error


@pytest.mark.parametrize(
    "plugin",
    [
        "@hookimpl\ndef charpipe_commands():\n    return [Command('x', '', 'nosuch.module:x')]",
        "import sys\n@hookimpl\ndef charpipe_commands():\n    sys.exit(3)",
        "@hookimpl\ndef charpipe_architectures():\n    return [Architecture('x', '', api='2')]",
        "@hookimpl\ndef charpipe_architectures():\n    return [Architecture(3, '')]",
        "@hookimpl\ndef charpipe_pipelines():\n    return [Pipeline('x', '', 'm:x', options=None)]",
        "raise KeyboardInterrupt",
        "@hookimpl\ndef charpipe_commands():\n    return [Command('sample', '', print)]",
    ],
)
def test_a_broken_plugin_leaves_the_command_line_whole(project: Path, plugin: str) -> None:
    (project / "plugins").mkdir()
    (project / "plugins" / "broken_one.py").write_text(f"from charpipe.plugin import *\n{plugin}\n")
    script = "import sys; from charpipe.cli import main; sys.exit(main(sys.argv[1:]))"

    def run(*words: str) -> str:
        done = subprocess.run(
            [sys.executable, "-c", script, *words], capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    assert "Generate text with a trained model" in run("--help")
    listed = {row["module"]: row for row in json.loads(run("plugins", "list", "--json"))}
    assert listed["charpipe_lstm"]["problems"] == []


def test_plugins_list_says_what_is_wrong_below_the_table(
    project: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (project / "plugins").mkdir()
    (project / "plugins" / "broken_one.py").write_text("import no_such_module_anywhere\n")
    assert main(["plugins", "list"]) == 0
    head, *lines = capfd.readouterr().out.splitlines()
    assert head.split() == ["plugin", "state", "from", "provides"]
    states = {line.split()[0]: line.split()[1] for line in lines if line.startswith("broken_one  ")}
    assert states == {"broken_one": "broken"}
    assert lines[-1].startswith("broken_one: ModuleNotFoundError")
    [provides] = [line for line in lines if line.startswith("charpipe_decoding")]
    assert "decoder greedy, temperature, top-k" in provides
    [short] = [line for line in lines if line.startswith("charpipe_byte")]
    assert short.endswith("tokenizer byte")
    assert lines[0] == "─" * len(head)  # not as wide as the widest row


def test_json_ends_with_a_line_about_a_failure(project: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "train-and-sample", "--corpus", "hello", "--arch", "nope", "--json"]) == 2
    last = json.loads(capfd.readouterr().out.splitlines()[-1])
    assert (last["event"], last["exit_code"]) == ("failed", 2)
    assert main(["run", "train-and-sample", "--corpus", "hello", "--dry-run", "--json"]) == 0
    last = json.loads(capfd.readouterr().out.splitlines()[-1])
    assert last["event"] == "dry_run"
    assert last["would"].startswith("ingest: would run")
