"""Prefect's engine for one flow run, with charpipe's settings only.

python -m charpipe_pipelines.deployments.engine FLOW-RUN-ID
"""

from __future__ import annotations

import runpy

from charpipe_pipelines.isolation import read_no_files

if __name__ == "__main__":
    read_no_files()  # the variables were chosen by `charpipe serve`; the files of the working directory are not meant
    runpy.run_module("prefect.engine", run_name="__main__", alter_sys=True)
