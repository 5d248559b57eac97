"""A context as JSON, and made again from it: how stages run in another process, also on another machine."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from charpipe.config import load_config
from charpipe.config.plugin_folders import open_plugins
from charpipe.config.schema import SETTINGS
from charpipe.config.settings.corpus import CorpusConfig
from charpipe.errors import PluginError, StoreError
from charpipe.events import Listener
from charpipe.runs import Run
from charpipe.stages.context import Context
from charpipe.stages.objects import StageOutput
from charpipe.stages.run_results import publish
from charpipe.stages.stop import Stop
from charpipe.store.manifest import NAME as MANIFEST
from charpipe.tracking import Location, locate
from charpipe.workspace import VARIABLE, Workspace, cached_workspace


def describe(
    context: Context,
    corpus: str,
    arch: str,
    tokens: StageOutput,
    vocabulary: StageOutput,
    forcible: Collection[str],
) -> dict[str, Any]:
    """What another process needs to train `arch` on `tokens`, as JSON; of `--force` it gets the stages `forcible`.

    The corpus is included as it is resolved here, because a path may exist on this machine only.
    """
    name, config = context.corpus(corpus)
    return {
        "corpus": [corpus, name, config.model_dump(mode="json")],
        "arch": arch,
        "tokens": asdict(tokens),
        "vocabulary": asdict(vocabulary),
        "settings": context.config.model_dump(mode="json", include=set(SETTINGS)),
        "origins": dict(context.resolved.origins),
        "force": sorted(context.force.intersection(forcible)),
        "home": str(context.workspace.root),
        "workspace": str(context.workspace.root),
        "folder": str(Path.cwd()),
        "plugin": context.registry.find("architecture", arch).provider.digest(),
        "flow_run": dict(context.flow_run),
    }


def open_described(request: Mapping[str, Any], emit: Listener, stop: Stop) -> Context:
    """The context of a request, in the process that carries it out; the tokens and the vocabulary are in its store.

    Raises PluginError if the architecture's code is not that of the process that made the request; StoreError if an
    object cannot be fetched.
    """
    resolved = replace(load_config(settings=request["settings"]), origins=request["origins"])
    wanted, name, corpus = request["corpus"]
    context = Context(
        Workspace(Path(request["workspace"])),
        resolved,
        open_plugins(resolved),
        emit=emit,
        stop=stop,
        force=frozenset(request["force"]),
        flow_run=request["flow_run"],
        corpora={wanted: (name, CorpusConfig.model_validate(corpus))},
    )
    if request["workspace"] != request["home"] and _mlflow(context).is_own:
        context.publishing.lose()  # the command publishes the run, in its own workspace's MLflow
    _check_plugin(context, request["arch"], request["plugin"])
    for made in inputs(request):
        if not (context.store.obtain(made.digest, "train") / MANIFEST).is_file():
            raise StoreError(
                f"the {made.stage} object {made.digest[:12]} of this training is neither in the workspace "
                f"{context.workspace.root} nor in the shared store; to make it again, type the same command again"
            )
    return context


def inputs(request: Mapping[str, Any]) -> tuple[StageOutput, StageOutput]:
    """The tokens and the vocabulary of a request."""
    return StageOutput(**request["tokens"]), StageOutput(**request["vocabulary"])


def placed(request: Mapping[str, Any]) -> dict[str, Any]:
    """The request as the machine that this process runs on can carry it out: with its own workspace and working folder.

    Without a shared store the workspace is the command's own. With one it is that of CHARPIPE_HOME on this machine;
    else the command's, if this machine sees it; else one in the user's cache folder.
    """
    found = dict(request)
    store = request["settings"]["store"]["url"]
    if store is not None:
        found["workspace"] = str(_own_workspace(store, Path(request["home"])).root)
    if not Path(request["folder"]).is_dir():
        found["folder"] = found["workspace"]
    return found


def fetch_run(context: Context, name: str) -> None:
    """Bring here what a process has trained in another workspace: the run, without its checkpoints. If it is not in
    MLflow, it is published there, with its best checkpoint."""
    run = Run(context.workspace.runs / name)
    context.runs.refresh(run)
    record = context.runs.record(run)
    if record is None or record.mine or context.publishing.is_lost or not context.config.tracking.enabled:
        return
    if not _mlflow(context).is_where(run.status.mlflow):
        context.runs.pull(run, "best")
        publish(context, run)


def _mlflow(context: Context) -> Location:
    return locate(context.config.tracking, context.workspace.mlflow)


def _own_workspace(store: str, wanted: Path) -> Workspace:
    home = os.environ.get(VARIABLE)
    if not home and wanted.is_dir():
        return Workspace(wanted)
    found = Workspace(Path(os.path.realpath(Path(home).expanduser()))) if home else cached_workspace(store)
    found.root.mkdir(parents=True, exist_ok=True)
    return found


def _check_plugin(context: Context, arch: str, wanted: str) -> None:
    found = context.registry.find("architecture", arch).provider.digest()
    if found != wanted:
        raise PluginError(
            f"the architecture {arch} on {os.uname().nodename} has other code (digest {found[:12]}) than where the "
            f"command was typed ({wanted[:12]}): install the same version of its plugin on both"
        )
