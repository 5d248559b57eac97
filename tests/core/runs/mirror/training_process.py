"""A machine as a process: trains in the working directory, slowly, and says where it is.

    python training_process.py ROOT STORE_URL LEASE PAUSE

PAUSE is how long each step takes, in seconds. Each line of its output is `step N`, `checkpoint N`, `notice TEXT`,
`finished RUN` or `error TEXT`.
"""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[3]))

from charpipe.config import load_config
from charpipe.errors import CharpipeError
from charpipe.events import Checkpointed, Event, Notice, Step, TrainingStarted
from charpipe.plugins.registry import Registry
from charpipe.stages import Context
from charpipe.workspace import Workspace
from run_machines import SETTINGS, train


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main() -> int:
    root, url, lease, pause = Path(sys.argv[1]), sys.argv[2], sys.argv[3], float(sys.argv[4])

    def listen(event: Event) -> None:
        match event:
            case TrainingStarted():
                say(f"started {event.step} {event.run}")
            case Step():
                say(f"step {event.step}")
                time.sleep(pause)
            case Checkpointed():
                say(f"checkpoint {event.step}")
            case Notice():
                say(f"notice {event.message}")
            case _:
                pass

    settings = SETTINGS | {"store.url": url, "store.lease": lease}
    context = Context(Workspace(root / ".charpipe"), load_config(settings=settings), Registry())
    try:
        trained = train(replace(context, emit=listen))
    except CharpipeError as error:
        say(f"error {error}")
        return error.exit_code
    say(f"finished {trained.run} {trained.reused}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
