"""Runs a pipeline as a Prefect flow, and without Prefect where Prefect does not take part: the work comes first."""

from __future__ import annotations

import dataclasses
import threading
from contextlib import suppress
from typing import Any

from charpipe import comparison, stages
from charpipe.errors import InterruptedRun
from charpipe.plugin import Options, resolve
from charpipe.stages import Session
from charpipe_pipelines import job
from charpipe_pipelines.ahead import Ahead
from charpipe_pipelines.deployments.strays import mark_killed_runs
from charpipe_pipelines.options import CompareOptions, ReproduceOptions, RetrainOptions, TrainAndSampleOptions
from charpipe_pipelines.server import Api, become_client, choose, point_client_at

SETTLE_SECONDS = 10.0
POLL_SECONDS = 0.1
SOON_SECONDS = 1.0
"""How long a server that runs already may take to answer before the work begins without it."""
WITHOUT = "going on without its page; nothing else changes"


def train_and_sample(options: TrainAndSampleOptions, session: Session) -> dict[str, Any]:
    """The pipeline `train-and-sample`, as `charpipe run` calls it."""
    stages.check_here(session, options.corpus, options.arch, options.from_, options.replay)
    flow = "charpipe_pipelines.train_and_sample:train_and_sample"
    return carry_out(job.train_and_sample, flow, options, session, f"{options.corpus} {options.arch}")


def retrain(options: RetrainOptions, session: Session) -> dict[str, Any]:
    """The pipeline `retrain`, as `charpipe run` calls it."""
    stages.check_here(session, options.corpus, options.arch)
    flow = "charpipe_pipelines.retrain:retrain"
    return carry_out(job.retrain, flow, options, session, f"{options.corpus} {options.arch}")


def compare_architectures(options: CompareOptions, session: Session) -> dict[str, Any]:
    """The pipeline `compare-architectures`, as `charpipe run` calls it."""
    comparison.check_match(session, options.match)
    for arch in options.archs:
        stages.check_here(session, options.corpus, arch)
    flow = "charpipe_pipelines.compare_architectures:compare_architectures"
    title = f"{options.corpus} {', '.join(options.archs)}"
    return carry_out(job.compare_architectures, flow, options, session, title)


def reproduce_2015(options: ReproduceOptions, session: Session) -> dict[str, Any]:
    """The pipeline `reproduce-2015`, as `charpipe run` calls it."""
    comparison.check_reproduction(session, options.sources, options.widths, options.depths, options.copies)
    flow = "charpipe_pipelines.reproduce_2015:reproduce_2015"
    return carry_out(job.reproduce_2015, flow, options, session, f"2015: {options.experiments}")


def carry_out(work: job.Work, flow: str, options: Options, session: Session, title: str) -> dict[str, Any]:
    """Do a pipeline's work as its Prefect `flow`, whose run is named `title`; without Prefect where it does not take
    part."""
    if session.dry_run:
        return work(job.directly(session), options)
    ahead = Ahead(work, options, session)
    try:
        api = _open_prefect(session, ahead)
    except InterruptedRun:
        raise
    except Exception as error:  # a Prefect that cannot even be imported included
        session.notice(f"Prefect does not take part: {_first_line(error)}; {WITHOUT}", level="warning")
        ahead.start()
        return ahead.result()
    return _as_flow(work, flow, options, session, api, title, ahead)


def _open_prefect(session: Session, ahead: Ahead) -> Api:
    """Make this process a client of a server that answers.

    Prefect is imported while the server starts; the first stages are then carried out `ahead` until it answers.
    Raises InterruptedRun where they were stopped before.
    """
    become_client(session.workspace)
    api = choose(session.workspace, session.config.prefect.api_url, session.emit)
    runs = api.server is None or api.server.running() is not None
    if not runs:
        session.notice("starting this workspace's Prefect server; the work begins meanwhile")
    outcome: list[str | Exception] = []
    starting = threading.Thread(target=lambda: outcome.append(_answering(api)), daemon=True)
    starting.start()
    import prefect.flow_engine
    import prefect.task_engine  # noqa: F401

    starting.join(SOON_SECONDS if runs else 0)
    if starting.is_alive():
        ahead.start()
    while starting.is_alive():
        starting.join(POLL_SECONDS)
        if (stopped := ahead.was_stopped()) is not None:
            raise stopped
    if isinstance(outcome[0], Exception):
        raise outcome[0]
    point_client_at(outcome[0])
    if api.server is not None:
        mark_killed_runs(outcome[0])
    ahead.hand_over()  # last: after it, there must be a flow that goes on
    return dataclasses.replace(api, url=outcome[0])


def _answering(api: Api) -> str | Exception:
    try:
        return api.reach()
    except Exception as error:  # raised in the thread that waits
        return error


def _as_flow(
    work: job.Work, flow: str, options: Options, session: Session, api: Api, title: str, ahead: Ahead
) -> dict[str, Any]:
    from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings

    from charpipe_pipelines.cold import linked
    from charpipe_pipelines.current import Current, current
    from charpipe_pipelines.page import Page

    page = Page(session.stop)
    now = Current(linked(session, page), page, api, ahead)
    token = current.set(now)
    flows: Any = resolve(flow)
    named = flows.with_options(flow_run_name=lambda: title)  # a text would be a template: names hold braces
    settings = {key: _plain(session, key) for key in session.resolved.origins}
    asked = options.model_dump(mode="json")
    try:
        with temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}):  # its thread ends a second late
            named(options=asked, settings=settings, workspace=str(session.workspace.root))
    except BaseException as error:
        if now.error is not None:
            raise now.error from None  # the engine's own: Prefect's account of it adds nothing
        if isinstance(error, KeyboardInterrupt | SystemExit):
            raise
        session.notice(f"Prefect was lost in mid-run ({_first_line(error)}); {WITHOUT}", level="warning")
    finally:
        ahead.wait()
        current.reset(token)
        _settle(api)
    if now.error is not None:
        raise now.error
    return now.result or work(job.directly(session), options)


def _settle(api: Api) -> None:
    """Send what Prefect still has to tell its server now, and not while the process ends; drop it if that is gone."""
    from prefect.events.worker import EventsWorker
    from prefect.logging.handlers import APILogWorker

    there = api.is_there()
    services: tuple[Any, ...] = (EventsWorker, APILogWorker)
    for service in services:
        if there:
            service.drain_all(timeout=SETTLE_SECONDS, at_exit=False)
            continue
        for worker in list(service._instances.values()):
            with suppress(Exception):  # it would try to reach the server for a minute while the process ends
                worker._loop.call_soon_threadsafe(worker._task.cancel)


def _plain(session: Session, key: str) -> Any:
    value: Any = session.config.model_dump(mode="json")
    for part in key.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:160]
