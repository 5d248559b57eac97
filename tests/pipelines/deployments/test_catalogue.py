from __future__ import annotations

import asyncio
import json
import shlex
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from charpipe.config import load_config
from charpipe.errors import CharpipeError, UsageError
from charpipe.plugins.registry import Registry
from charpipe.workspace import Workspace
from charpipe_pipelines.deployments.catalogue import Deployment, pick, read_deployments

GOOD = """
[corpora.mine]
sources = ["text:abcabcabc"]
[deployments.nightly]
pipeline = "train-and-sample"
corpus = "mine"
arch = "gru"
schedule = {cron = "0 3 * * *", timezone = "Europe/Berlin"}
settings = {"train.budget" = "30m"}
"""


def read(project: Path, text: str) -> list[Deployment]:
    (project / "pipelines.toml").write_text(text)
    return read_deployments(Workspace(project / ".charpipe"), Registry())


def test_a_deployment_is_its_pipeline_with_options_and_settings(project: Path) -> None:
    [nightly] = read(project, GOOD)
    assert (nightly.name, nightly.pipeline.name) == ("nightly", "train-and-sample")
    here = {"runner": "local", "workers": 1}
    assert nightly.options == {"corpus": "mine", "arch": "gru", "from_": None, "replay": None, **here}
    assert nightly.settings == {"train.budget": "30m"}
    assert str(nightly.config.schedule) == "0 3 * * * Europe/Berlin"
    assert (nightly.config.late, nightly.config.overlap) == ("once", "wait")
    assert nightly.subject == "mine gru"


def test_options_of_the_pipelines_table_hold_too(project: Path) -> None:
    text = GOOD.replace('arch = "gru"\n', "") + '[pipelines.train-and-sample]\narch = "rnn"\n'
    assert read(project, text)[0].options["arch"] == "rnn"


def test_a_folder_beside_the_project_file_is_a_corpus_wherever_one_stands(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project / "texts").mkdir()
    (project / "elsewhere").mkdir()
    (project / "pipelines.toml").write_text(GOOD.replace('corpus = "mine"', 'corpus = "texts"'))
    monkeypatch.chdir(project / "elsewhere")
    [nightly] = read_deployments(Workspace(project / ".charpipe"), Registry())
    assert nightly.options["corpus"] == str(project / "texts")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("0 3 * * *", "0 25 * * *", r"deployments\.nightly\.schedule\.cron.*ever comes due"),
        ("0 3 * * *", "0 0 30 2 *", r"deployments\.nightly\.schedule\.cron.*ever comes due"),
        ("0 3 * * *", "* * * * * *", r"deployments\.nightly\.schedule\.cron.*five fields.*not 6"),
        ("Europe/Berlin", "Europe/Berlim", r"schedule\.timezone.*no such time zone.*Europe/Berlin"),
        ('cron = "0 3 * * *"', 'interval = "2s"', r"schedule\.interval.*too short.*10 s"),
        ('cron = "0 3 * * *"', 'interval = "soon"', r"schedule\.interval.*not a duration"),
        ('cron = "0 3 * * *", ', "", r"deployments\.nightly\.schedule: give either cron"),
        ('cron = "', 'interval = "1h", cron = "', r"deployments\.nightly\.schedule: give either cron"),
        (
            'pipeline = "train-and-sample"',
            'pipeline = "train-and-sampel"',
            r"nightly\.pipeline: .*did you mean 'train-and-sample'",
        ),
        ('pipeline = "train-and-sample"', "", r"deployments\.nightly\.pipeline is needed"),
        ('corpus = "mine"', 'corpus = "mien"', r"nightly\.corpus: there is no corpus 'mien'.*'mine'"),
        ('corpus = "mine"', "", r"deployments\.nightly\.corpus is needed by the pipeline train-and-sample"),
        ('arch = "gru"', 'arch = "grru"', r"deployments\.nightly: there is no architecture 'grru'.*'gru'"),
        ("train.budget", "train.budgett", r"nightly\.settings: .*train\.budgett.*did you mean 'budget'"),
        ("train.budget", "trian.budget", r"nightly\.settings: trian is not a table.*'train'"),
        ('arch = "gru"', 'overlop = "skip"', r"nightly\.overlop is neither.*did you mean 'overlap'"),
        ('arch = "gru"', 'overlap = "jump"', r"deployments\.nightly\.overlap: .*'wait', 'skip' or 'replace'"),
        ('arch = "gru"', 'preset = "big"', r"nightly\.settings: there is no preset 'big'"),
        ("[deployments.nightly]", '[deployments."a/b"]', "neither / nor %"),
    ],
)
def test_what_cannot_run_is_refused_with_the_key_and_the_reason(
    project: Path, old: str, new: str, said: str
) -> None:
    assert old in GOOD
    with pytest.raises(CharpipeError, match=said) as caught:
        read(project, GOOD.replace(old, new))
    assert caught.value.exit_code == 2


def test_names_have_near_matches(project: Path) -> None:
    found = read(project, GOOD)
    assert pick(found, "nightly") is found[0]
    with pytest.raises(UsageError, match="did you mean 'nightly'"):
        pick(found, "nihgtly")
    with pytest.raises(UsageError, match=r"\[deployments\.nightly\]"):
        pick([], "nightly")


def due(project: Path, schedule: str, zone: str, after: datetime, count: int) -> list[datetime]:
    from charpipe_pipelines.deployments.registration import prefect_schedule

    config = read(project, GOOD.replace('cron = "0 3 * * *", timezone = "Europe/Berlin"', schedule))[0].config
    assert config.schedule is not None
    made = prefect_schedule(config.schedule)
    from prefect.server.schemas import schedules

    served = getattr(schedules, type(made).__name__).model_validate(made.model_dump())
    return [moment.astimezone(ZoneInfo(zone)) for moment in asyncio.run(served.get_dates(count, start=after))]


def test_a_cron_line_keeps_its_zones_clock_over_daylight_saving(project: Path) -> None:
    after = datetime(2026, 3, 28, tzinfo=ZoneInfo("Europe/Berlin"))
    moments = due(
        project, 'cron = "0 3 * * *", timezone = "Europe/Berlin"', "UTC", after, 3
    )  # clocks go forward on the 29th at 2
    assert [f"{moment:%d %H:%M}" for moment in moments] == ["28 02:00", "29 01:00", "30 01:00"]


def test_an_hour_that_daylight_saving_repeats_comes_due_once(project: Path) -> None:
    after = datetime(2026, 10, 24, 12, tzinfo=ZoneInfo("Europe/Berlin"))
    moments = due(project, 'cron = "30 2 * * *", timezone = "Europe/Berlin"', "Europe/Berlin", after, 3)
    assert [f"{moment:%d %H:%M}" for moment in moments] == ["25 02:30", "26 02:30", "27 02:30"]


def test_an_interval_counts_from_its_anchor(project: Path) -> None:
    after = datetime(2026, 7, 1, 1, tzinfo=ZoneInfo("UTC"))
    moments = due(project, 'interval = "6h", anchor = 2026-01-01T00:30:00Z', "UTC", after, 3)
    assert [f"{moment:%H:%M}" for moment in moments] == ["06:30", "12:30", "18:30"]
    assert moments[1] - moments[0] == timedelta(hours=6)


def test_command_for_running_here_keeps_options_preset_and_settings(project: Path) -> None:
    text = GOOD.replace(
        'settings = {"train.budget" = "30m"}',
        'preset = "small"\nsettings = {train.budget = "30m", train.deterministic = true, sample.prompt = "12"}',
    )
    [nightly] = read(project, text + "[presets.small]\ntrain.batch_size = 4\n")
    assert shlex.split(nightly.command) == [
        *("charpipe", "run", "train-and-sample", "--corpus", "mine", "--arch", "gru", "--preset", "small"),
        *("--set", "train.budget=30m", "--set", "train.deterministic=true", "--set", 'sample.prompt="12"'),
    ]


def test_a_presets_settings_reach_the_run_unless_the_table_overrides_them(project: Path) -> None:
    text = GOOD.replace(
        'settings = {"train.budget" = "30m"}', 'preset = "small"\nsettings = {train.window = 9}'
    )
    [nightly] = read(project, text + "[presets.small]\ntrain.batch_size = 4\ntrain.window = 7\n")
    parameters = nightly.parameters(Workspace(project / ".charpipe"))
    assert parameters["settings"] == {"train.batch_size": 4, "train.window": 9}
    config = load_config(pipeline="train-and-sample", settings=parameters["settings"]).config
    assert (config.train.batch_size, config.train.window) == (4, 9)


def test_a_pools_parameters_hold_no_path_of_this_machine(project: Path) -> None:
    (project / "texts").mkdir()
    (project / "one.txt").write_text("one")
    text = GOOD.replace('corpus = "mine"', 'corpus = "texts"').replace('"text:abcabcabc"', '"one.txt"')
    [nightly] = read(project, text)
    parameters = nightly.portable_parameters(Registry())
    assert set(parameters) == {"options", "settings", "project"}
    assert parameters["options"]["corpus"] == "./texts"
    assert str(project) not in json.dumps(parameters, ensure_ascii=False)
    assert str(project.parent) not in json.dumps(parameters, ensure_ascii=False)
