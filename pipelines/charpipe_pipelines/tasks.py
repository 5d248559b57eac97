"""The engine's stages as Prefect tasks. The store decides what is skipped: Prefect's own caching is off, and a task
whose work was done already ends in a state named Cached."""

from __future__ import annotations

from typing import Any

import prefect.runtime
from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.settings import PREFECT_CLIENT_MAX_RETRIES, temporary_settings
from prefect.states import Cancelled, Completed

from charpipe.errors import CharpipeError, InterruptedRun
from charpipe_pipelines.current import current, flow_run
from charpipe_pipelines.job import STAGES

DOWNLOAD_RETRIES = (5, 20)
"""Seconds before a download that the network failed is tried again."""
NETWORK = (ConnectionError, TimeoutError)


def _work(stage: str, *arguments: Any) -> Any:
    now = current.get()
    now.error = None
    now.page.enter(stage)
    try:
        if now.ahead is not None and now.ahead.has_begun(stage):
            result = now.ahead.take(now.page, flow_run())
        else:
            result = STAGES[stage](now.session, *arguments)
    except InterruptedRun as error:
        now.error = error
        return Cancelled(message=str(error))
    except BaseException as error:
        now.error = error
        raise
    told = now.page.latest  # a stage may be told under a name that says more
    summary = now.page.summaries.get(told, "")
    if told in now.page.failed:
        return Completed(name="Failed", message=summary, data=result)
    if told in now.page.skipped:
        return Completed(name="Cached", message=f"{summary}: was done already", data=result)
    return Completed(message=summary, data=result)


def _network_failed(_task: object, _run: object, state: Any) -> bool:
    """Whether what a task raised came, somewhere underneath, from a connection that failed."""
    error: BaseException | None = current.get().error
    while error is not None:
        if isinstance(error, NETWORK) or type(error).__module__.startswith(("requests.", "urllib3.")):
            return True
        error = error.__cause__
    return False


def _cell() -> str:
    """The name of the configuration that a task is about."""
    cell = prefect.runtime.task_run.parameters["arguments"][0]
    return str(cell.name)


def _task(stage: str, summary: str, named: Any = None, **options: Any) -> Any:
    settings: dict[str, Any] = {"name": stage, "task_run_name": named or stage, "description": summary}
    return task(**settings, **options, cache_policy=NO_CACHE, persist_result=False)(_work)


_DOWNLOADING: dict[str, Any] = {
    "retries": len(DOWNLOAD_RETRIES),
    "retry_delay_seconds": list(DOWNLOAD_RETRIES),
    "retry_condition_fn": _network_failed,
}
TASKS = {
    "refresh": _task(
        "refresh",
        "Ask the source for something newer; find the champion to start from, or a run that was cut off.",
        **_DOWNLOADING,
    ),
    "start": _task("start", "Find the run to go on from."),
    "ingest": _task(
        "ingest",
        "Fetch the source if need be, and read it into documents.",
        **_DOWNLOADING,
    ),
    "vocabulary": _task("vocabulary", "Learn the vocabulary of the documents."),
    "encode": _task("encode", "Turn the documents into tokens, divided into splits."),
    "train": _task("train", "Train the model, or find the run that did."),
    "evaluate": _task("evaluate", "Score the best checkpoint on whole splits."),
    "sample": _task("sample", "Let the best checkpoint write."),
    "promote": _task("promote", "Decide between champion and challenger, and promote the better one."),
    "skip": _task("skip", "Say that the content is unchanged."),
    "report": _task("report", "Remember and tell what was decided."),
    "match": _task("match", "Settle the configurations, and solve for their widths."),
    "compare": _task("compare", "Train and score one configuration, or find the run that did.", named=_cell),
    "leaderboard": _task("leaderboard", "Rank the configurations."),
    "divide": _task("divide", "Choose the experiments, and divide the budget over them."),
    "prepare": _task("prepare", "Make tokens of a text, and settle the widths.", named=_cell),
    "reproduce": _task("reproduce", "Train and score one model, or find the run that did.", named=_cell),
    "tabulate": _task("tabulate", "Put what was found beside what was published."),
}


def as_task(stage: str, *arguments: Any) -> Any:
    """Call a stage as its task; raises what the stage raised."""
    now = current.get()
    if not now.api.is_there():
        # let Prefect not wait for a server that is gone
        now.settings.enter_context(temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 0}))
        raise CharpipeError(f"the server at {now.api.url} does not answer any more")
    # the states of earlier tasks stand for their results, so that Prefect draws what came from what
    state = TASKS[stage](stage, *(now.states.get(id(argument), argument) for argument in arguments))
    if now.error is not None:
        raise now.error
    result = getattr(state.data, "result", state.data)  # Prefect wraps what a task returned in a record
    now.states[id(result)] = state
    return result
