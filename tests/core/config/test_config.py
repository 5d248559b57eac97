"""Later layers win, every value knows its origin, and a mistake is named with its key and a near match."""

from __future__ import annotations

from pathlib import Path

import pytest

from charpipe.config import load_config, resolve_corpus
from charpipe.config.layers import expand, parse_setting
from charpipe.errors import UsageError


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)

    def write(text: str) -> Path:
        (tmp_path / "pipelines.toml").write_text(text, encoding="utf-8")
        return tmp_path

    return write


def test_later_layers_win_and_say_so(project) -> None:
    project(
        """
        [train]
        learning_rate = 0.001
        window = 32
        batch_size = 8
        [pipelines.train-and-sample]
        train.window = 64
        arch = "gru"
        [presets.wide]
        architectures.lstm.hidden_size = 1024
        """
    )
    resolved = load_config(
        pipeline="train-and-sample",
        preset="wide",
        settings={"train.steps": 5},
        overrides=["train.learning_rate=2e-3"],
    )
    train = resolved.config.train
    assert (train.learning_rate, train.window, train.batch_size, train.steps) == (2e-3, 64, 8, 5)
    assert resolved.config.architectures["lstm"] == {"hidden_size": 1024}
    assert resolved.options == {"arch": "gru"}
    assert resolved.origins["train.batch_size"] == "pipelines.toml"
    assert resolved.origins["train.window"] == "[pipelines.train-and-sample]"
    assert resolved.origins["architectures.lstm.hidden_size"] == "preset wide"
    assert resolved.origins["train.steps"] == "flag"
    assert resolved.origins["train.learning_rate"] == "--set"


def test_the_catalogue_is_there_without_a_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    corpora = load_config().config.corpora
    assert {"linux_src", "tiny_shakespeare", "war_and_peace", "names", "python_stdlib", "hello"} <= set(
        corpora
    )


def test_a_project_changes_one_key_of_a_corpus(project) -> None:
    project('[corpora.linux_src]\ninclude = ["*.S"]')
    linux = load_config().config.corpora["linux_src"]
    assert linux.include == ["*.S"]
    assert linux.license == "GPL-2.0"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[train]\nlearning_rat = 1", "train.learning_rat is not a setting; did you mean 'learning_rate'?"),
        ('[train]\nwindow = "wide"', "pipelines.toml: train.window: input should be a valid integer"),
        ("[train]\nlearning_rate = nan", "train.learning_rate: input should be"),
        ("[train]\nwindow = 99999999999999999999999", "train.window: "),
        ("[trian]\nx = 1", "trian is not a setting; did you mean 'train'?"),
        ("[corpora.x]\nsource = ['a']", "corpora.x.source is not a setting; did you mean 'sources'?"),
        ("[train\n", "is not TOML"),
        ("[corpora.x]\nsources = ['a']\nsplit = {train = 0.5}", "corpora.x.split: the fractions"),
    ],
)
def test_a_mistake_names_its_key(project, text: str, said: str) -> None:
    project(text)
    with pytest.raises(UsageError) as caught:
        load_config()
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("train.learning_rate", "is not KEY=VALUE"),
        ("trains.steps=1", "did you mean 'train'?"),
        ("train.stepz=1", "train.stepz is not a setting; did you mean 'steps'?"),
    ],
)
def test_a_wrong_override_is_refused(project, override: str, said: str) -> None:
    project("")
    with pytest.raises(UsageError) as caught:
        load_config(overrides=[override])
    assert said in str(caught.value)


def test_an_unknown_preset_is_named(project) -> None:
    project("[presets.fast.train]\nbudget = '1m'")
    with pytest.raises(UsageError, match="no preset 'fsat'; did you mean 'fast'"):
        load_config(preset="fsat")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a.b=1", 1),
        ("a.b=1e-3", 1e-3),
        ("a.b=true", True),
        ("a.b=2m", "2m"),
        ('a.b="2m"', "2m"),
        ("a.b=[1, 2]", [1, 2]),
    ],
)
def test_set_values_are_toml_or_plain_text(text: str, value: object) -> None:
    assert parse_setting(text) == ("a.b", value)


def test_dotted_keys_become_tables() -> None:
    assert expand({"train.budget": "1m", "train": {"seed": 2}}) == {"train": {"budget": "1m", "seed": 2}}


def test_a_path_is_a_corpus_named_after_the_file(project) -> None:
    folder = project("")
    (folder / "tiny_shakespeare").write_text("to be")
    (folder / "mine.txt").write_text("to be")
    config = load_config(
        overrides=["corpus.split.train=1", "corpus.split.val=0", "corpus.split.test=0"]
    ).config
    name, corpus = resolve_corpus(config, "mine.txt")
    assert name == "./mine.txt"
    assert corpus.sources == [str(folder / "mine.txt")]
    assert corpus.split.train == 1
    assert resolve_corpus(config, "./tiny_shakespeare")[1].sources == [str(folder / "tiny_shakespeare")]


def test_relative_sources_belong_to_the_project_file(project, monkeypatch) -> None:
    folder = project("[corpora.mine]\nsources = ['texts/*.txt', '/abs/x', 'text:hello']")
    (folder / "below").mkdir()
    monkeypatch.chdir(folder / "below")
    assert load_config().config.corpora["mine"].sources == [
        str(folder / "texts/*.txt"),
        "/abs/x",
        "text:hello",
    ]


def test_an_unknown_corpus_has_a_near_match(project) -> None:
    project("")
    with pytest.raises(UsageError, match="did you mean 'linux_src'"):
        resolve_corpus(load_config().config, "linux_scr")


@pytest.mark.parametrize(
    "url",
    [
        "s3://key:hunter2@bucket/x",
        "s3://bucket/x?secret=hunter2",
        "https://host/x?sig=hunter2",
        "s3:/a:hunter2@b",
    ],
)
@pytest.mark.parametrize("key", ["url", "endpoint"])
def test_url_of_a_store_holds_no_secret(url: str, key: str) -> None:
    with pytest.raises(UsageError, match=f"store.{key}: .* give credentials in the environment") as caught:
        load_config(settings={f"store.{key}": url})
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("lease", ["0s", "0.5s", "2h", "soon", ""])
def test_lease_is_a_usable_duration(lease: str) -> None:
    with pytest.raises(UsageError, match=r"store\.lease"):
        load_config(settings={"store.lease": lease})


def test_store_is_unset_by_default() -> None:
    config = load_config().config.store
    assert (config.url, config.endpoint, config.lease_seconds) == (None, None, 30.0)
    assert load_config(settings={"store.url": ""}).config.store.url is None
