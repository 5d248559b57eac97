"""The commands of the pages that no test runs, by how they begin, each with the reason. All others are run."""

from __future__ import annotations

NOT_RUN = {
    "make run": "fetches the kernel's source, and installs charpipe into a virtual environment",
    "make test": "runs this test",
    "python3 -m venv .venv": "makes an environment with charpipe in it, as .ci/run does",
    ".venv/bin/pip install": "installs charpipe, as .ci/run does",
    "source .venv/bin/activate": "the environment that make run makes",
    "charpipe ui": "starts two servers and opens a browser; tests/pipelines/test_commands.py does it",
    "charpipe deploy nightly-linux": "needs a Prefect server of one's own with a work pool",
    "charpipe deployments run": "needs charpipe serve, which runs for ever; tests/pipelines/deployments does both",
    "charpipe deployments pause": "needs charpipe serve, which runs for ever; tests/pipelines/deployments does both",
    "charpipe run reproduce-2015 --budget 30m": "trains 39 models; the line after it runs a part of the same grid",
    "mlflow models serve": "runs for ever; tests/core/champions does what it does",
    "curl": "needs the server of the line before",
    "pip install": "installs packages, as .ci/run does",
    "export AWS_ACCESS_KEY_ID": "the credentials of the server of the next line",
    "weed mini": "runs for ever; tests/core/store/backends starts one",
    "charpipe run train-and-sample --corpus hello --set store.url=s3": "needs the server of the line before",
    "pandoc": "another program, which not every machine has",
    "pdftotext": "another program, which not every machine has",
    "pytest": "runs tests that need a GPU",
    "python benchmarks/": "measures for minutes, or on a GPU",
    "python tests/soak/": "runs for an hour",
}


def reason(command: str) -> str | None:
    """Why a command is not run; None where it is."""
    return next((why for start, why in NOT_RUN.items() if command.startswith(start)), None)
