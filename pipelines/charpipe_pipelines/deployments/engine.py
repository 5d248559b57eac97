"""Prefect's engine for one flow run, with charpipe's settings only.

python -m charpipe_pipelines.deployments.engine FLOW-RUN-ID
"""

from __future__ import annotations

import runpy

from charpipe_pipelines.isolation import read_no_files

if __name__ == "__main__":
    read_no_files()  # `charpipe serve` chose the variables; files in the working directory are ignored
    runpy.run_module("prefect.engine", run_name="__main__", alter_sys=True)
