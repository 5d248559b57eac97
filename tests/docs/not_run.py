"""The commands that the tests of the pages do not run, by how they begin, each with the reason. All others are run."""

from __future__ import annotations

TEAM = "starts a server of a team or needs one; tests/e2e/test_team_in_five_steps.py runs it"
NOT_RUN = {
    "make run": "fetches the kernel's source, and installs charpipe into a virtual environment",
    "make test": "runs this test",
    "python3 -m venv .venv": "makes an environment with charpipe in it, as .ci/run does",
    ".venv/bin/pip install": "installs charpipe, as .ci/run does",
    "source .venv/bin/activate": "the environment that make run makes",
    "charpipe ui": "starts two servers and opens a browser; tests/pipelines/test_commands.py does it",
    "charpipe sample last --web": "serves a page until Ctrl-C; tests/core/playground does what it does",
    "charpipe deploy nightly-linux": TEAM,
    "initdb": TEAM,
    "pg_ctl": TEAM,
    "createdb": TEAM,
    "weed mini": TEAM,
    "mlflow server": TEAM,
    "prefect server start": TEAM,
    "prefect work-pool create": TEAM,
    "prefect worker start": TEAM,
    "charpipe deployments run": "needs charpipe serve, which runs for ever; tests/pipelines/deployments does both",
    "charpipe deployments pause": "needs charpipe serve, which runs for ever; tests/pipelines/deployments does both",
    "charpipe run reproduce-2015 --budget 30m": "trains 39 models; the line after it runs a part of the same grid",
    "mlflow models serve": "runs for ever; tests/core/champions does what it does",
    "curl": "needs the server of the line before",
    "uv ": "installs packages, as .ci/run does by pip",
    "pip install": "installs packages, as .ci/run does",
    "export AWS_ACCESS_KEY_ID": "the credentials of the server of the next line",
    "export AWS_SECRET_ACCESS_KEY": "the credentials of the server of the next line",
    "charpipe run compare-architectures --corpus linux_src --arch rnn,lstm,gru --seeds 3 --steps 5000 --runner": (
        "needs a Ray cluster; tests/pipelines/test_ray_trials.py does it"
    ),
    "charpipe run speedrun": "trains 12 models for two minutes each; tests/pipelines/test_speedrun.py trains tiny ones",
    "charpipe run sweep --corpus linux_src": "trains 20 models; tests/pipelines/test_sweep_flows.py trains few",
    "charpipe run train-and-sample --corpus hello --set store.url=s3": "needs the server of the line before",
    "charpipe inspect last --passage": "names units of one model; tests/core/cli/test_inspect.py does it",
    "charpipe inspect last --pattern": "names a text of one corpus; tests/core/cli/test_inspect.py does it",
    "hf auth login": "asks for a token of the Hugging Face Hub",
    "charpipe export last --push OWNER/NAME": "uploads to the Hugging Face Hub; tests/core/exports/test_hub.py has one",
    "charpipe corpora add mine mine.tgz": "needs a corpus in three files; tests/core/projects/test_adding.py adds one",
    "charpipe corpora add wiki enwik8": "needs 100 MB; tests/core/projects/test_adding.py adds such a text",
    "pandoc": "another program, which not every machine has",
    "pdftotext": "another program, which not every machine has",
    "torchrun": "starts processes of its own; tests/e2e/test_torchrun.py does it",
    "OMP_NUM_THREADS=4 torchrun": "starts processes of its own; tests/e2e/test_torchrun.py does it",
    "charpipe run train-and-sample --corpus tiny_shakespeare --set train.shards=4 --runner ray": "needs a Ray cluster; "
    "tests/pipelines/test_ray_training.py does it",
    "pytest": "runs tests that need a GPU",
    "python benchmarks/": "measures for minutes, or on a GPU",
    "python tests/soak/": "runs for an hour",
}


def reason(command: str) -> str | None:
    """Why a command is not run; None where it is."""
    return next((why for start, why in NOT_RUN.items() if command.startswith(start)), None)
