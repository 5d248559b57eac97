"""Takes the pictures of docs/tutorial.md again: runs its commands, and photographs the terminal and the pages.

python docs/pictures.py [--folder FOLDER] [--corpus CORPUS] [--flags='--budget 10m'] [PICTURE ...]

It needs Chromium, and no network. What FOLDER holds already is not made again, as always with charpipe; `train` needs a
training, so a folder where the model is trained already gives no new one.
"""

from __future__ import annotations

import argparse
import io
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

from PIL import Image
from playwright.sync_api import Page, sync_playwright
from rich import _export_format
from rich.console import Console
from rich.text import Text

from charpipe.cli import main, views
from charpipe.cli.views.live import LiveView
from charpipe.cli.views.progress import Progress
from charpipe.events import Event, Sampled
from charpipe.runs import Run, list_runs

HERE = Path(__file__).parent
IMAGES = HERE / "images"
CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "chrome")
FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking")
WIDTH, COLUMNS, COLORS = 1200, 112, 96
"""Pixels of a page, characters of the terminal, and colors of a picture."""
PATIENCE = 180_000
"""Milliseconds that a page may take on a busy machine."""
SETTLE = 1000
"""Milliseconds until a page has stopped moving."""
SVG = re.sub(r"@font-face \{\{.*?\}\}\s*", "", _export_format.CONSOLE_SVG_FORMAT, flags=re.DOTALL).replace(
    "Fira Code", "ui-monospace, SFMono-Regular, Menlo, DejaVu Sans Mono"
)
"""Rich's picture of a terminal, with fonts that are on the reader's machine."""


def commands(corpus: str, flags: str) -> tuple[list[str], list[str]]:
    """The words of the tutorial's training and of its comparison; of the training with `flags` after it."""
    text = (HERE / "tutorial.md").read_text(encoding="utf-8").replace("\\\n", " ")
    train, compare = (shlex.split(line) for line in re.findall(r"^charpipe (run .*)$", text, re.MULTILINE))
    for words in (train, compare):
        words[words.index("--corpus") + 1] = corpus
    return [*train, *shlex.split(flags)], compare


class PhotographedView(LiveView):
    """The live view, which writes a picture of itself to `file` at each sample of the second half of training."""

    def __init__(self, progress: Progress, words: list[str], file: Path) -> None:
        super().__init__(progress, Console(file=sys.stderr, force_terminal=True, width=COLUMNS))
        self._words, self._file = words, file

    def __call__(self, event: Event) -> None:
        super().__call__(event)
        if isinstance(event, Sampled) and 0.5 <= (self.progress.now.share or 0) < 1:
            terminal(self._file, [*prompt(self._words), self._draw()])


def prompt(words: list[str]) -> list[Text]:
    """The command as it was typed, in as many lines as it needs."""
    typed = textwrap.wrap(
        f"$ charpipe {shlex.join(words)}", COLUMNS - 2, break_on_hyphens=False, subsequent_indent="    "
    )
    return [Text(line, "bold green") for line in " \\\n".join(typed).splitlines()]


def terminal(file: Path, lines: list[Any]) -> None:
    """Write a picture of a terminal that shows `lines`."""
    console = Console(file=io.StringIO(), record=True, force_terminal=True, width=COLUMNS, highlight=False)
    for line in lines:
        console.print(line, no_wrap=True, overflow="crop")
    file.write_text(console.export_svg(title="charpipe", code_format=SVG), encoding="utf-8")


def train(words: list[str], file: Path | None) -> None:
    """Run the training in this process, and write a picture of its live view to `file`."""
    if file is None:
        run(words)
        return

    def open_view(*, pipeline: str, options: Any, stages: Any = (), **_: Any) -> PhotographedView:
        progress = Progress(pipeline, str(options.get("corpus", "")))
        progress.plan(stages)
        return PhotographedView(progress, words, file)

    with mock.patch.object(views, "open_view", open_view):
        if main(words):
            sys.exit("the training failed")


def run(words: list[str]) -> str:
    """What a command prints."""
    environment = {**os.environ, "COLUMNS": str(COLUMNS)}
    program = [sys.executable, "-m", "charpipe", *words]
    return subprocess.run(program, stdout=subprocess.PIPE, text=True, check=True, env=environment).stdout


def leaderboard(printed: str, words: list[str], file: Path) -> None:
    """Write a picture of the leaderboard that a comparison prints at its end."""
    lines = printed.rstrip().splitlines()
    start = next(number for number, line in enumerate(lines) if line.split()[:1] == ["configuration"])
    end = next(number for number, line in enumerate(lines) if number > start and "/comparisons/" in line)
    terminal(file, [*prompt(words), "", *map(Text, lines[start:end])])


@contextmanager
def browser() -> Iterator[Callable[..., Page]]:
    """Opens pages in a headless Chromium, in windows of a width and a height in pixels."""
    found = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if found is None:
        sys.exit("there is no Chromium on this machine (Debian, Ubuntu: apt install chromium)")
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=found, args=list(FLAGS))

        def visit(url: str, width: int, height: int) -> Page:
            page = opened.new_page(viewport={"width": width, "height": height}, color_scheme="light")
            page.set_default_timeout(PATIENCE)
            page.goto(url)
            return page

        yield visit
        opened.close()


def photograph(page: Page, name: str, **settings: Any) -> None:
    """Write what the page shows to an image of WIDTH pixels with few colors, which is small."""
    shown = Image.open(io.BytesIO(page.screenshot(animations="disabled", **settings))).convert("RGB")
    if shown.width != WIDTH:
        size = (WIDTH, round(shown.height * WIDTH / shown.width))
        shown = shown.resize(size, Image.Resampling.LANCZOS)
    shown.quantize(COLORS, dither=Image.Dither.NONE).save(IMAGES / f"{name}.png", optimize=True)
    page.close()


def report(visit: Callable[..., Page], model: str, file: Path) -> None:
    """The top of the report: figures, surprise, and the first curve."""
    run(["report", model, "--output", str(file)])
    photograph(visit(file.as_uri(), WIDTH, 1345), "report")


def inspection(visit: Callable[..., Page], model: str, file: Path) -> None:
    """The gallery of the inspection: pieces of text, each coloured by a unit."""
    run(["inspect", model, "--output", str(file)])
    page = visit(file.as_uri(), WIDTH, 1600)
    page.locator(".gallery button, .chip").first.click()
    page.wait_for_timeout(SETTLE)  # it scrolls to the text
    page.evaluate("scrollTo({top: 0, behavior: 'instant'})")
    chips = page.locator(".chips").bounding_box() or {"y": 800, "height": 0}
    photograph(
        page, "inspection", clip={"x": 0, "y": 0, "width": WIDTH, "height": chips["y"] + chips["height"]}
    )


def mlflow(visit: Callable[..., Page], url: str) -> None:
    """The runs of the corpus in MLflow with their curves, without MLflow's panes for other purposes."""
    page = visit(url, 1500, 900)
    page.get_by_text("Relative Time").first.wait_for(state="attached")
    for pane in ("assistant.chat_panel.close", "experiment_page.shared_view.dismiss"):
        page.locator(f"[data-component-id='mlflow.{pane}']").click()
    page.get_by_label("Toggle sidebar").click()
    page.wait_for_function("document.querySelectorAll('.scatterlayer path.js-line').length >= 6")
    page.wait_for_timeout(3000)  # the charts grow into their places
    photograph(page, "mlflow")


def prefect(visit: Callable[..., Page], base: str, model: Run) -> None:
    """The graph of the training's flow run in Prefect, without the menu on the left."""
    page = visit(f"{base}/runs/flow-run/{model.status.prefect['flow_run_id']}", 256 + WIDTH, 700)
    page.get_by_text("Completed").first.wait_for()
    page.wait_for_timeout(3000)  # the graph draws itself
    page.get_by_title("Recenter graph").click()
    page.wait_for_timeout(2000)
    photograph(page, "prefect", clip={"x": 256, "y": 0, "width": WIDTH, "height": 505})


def take(wanted: set[str], corpus: str, flags: str, folder: Path) -> None:
    """Run the tutorial's commands in `folder` and take the wanted pictures."""
    os.chdir(folder)
    training, comparison = commands(corpus, flags)
    train(training, IMAGES / "train.svg" if "train" in wanted else None)
    runs = list_runs(folder / ".charpipe" / "runs")
    model = next(one for one in reversed(runs) if not one.status.comparison)
    if "leaderboard" in wanted:
        leaderboard(run(comparison), comparison, IMAGES / "leaderboard.svg")
    with browser() as visit:
        if "report" in wanted:
            report(visit, model.name, folder / "report.html")
        if "inspection" in wanted:
            inspection(visit, model.name, folder / "inspection.html")
        if wanted & {"mlflow", "prefect"}:
            served(visit, wanted, model)


def served(visit: Callable[..., Page], wanted: set[str], model: Run) -> None:
    """Take the wanted pictures of MLflow's and Prefect's pages, and stop the servers."""
    try:
        shown = run(["ui", "--no-browser", "--charts"])
        addresses = dict(re.findall(r"^(\w+) +(http\S+)", shown, re.MULTILINE))
        if "mlflow" in wanted:
            mlflow(visit, addresses["MLflow"])
        if "prefect" in wanted:
            prefect(visit, addresses["Prefect"].removesuffix("/runs"), model)
    finally:
        run(["down"])


PICTURES = ("train", "leaderboard", "report", "inspection", "mlflow", "prefect")

if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("pictures", nargs="*", metavar="PICTURE", help=f"which (all): {', '.join(PICTURES)}")
    parser.add_argument("--folder", type=Path, help="where to run the commands (a new folder)")
    parser.add_argument("--corpus", default="python_stdlib", help="what to train on (%(default)s)")
    parser.add_argument("--flags", default="", help="more flags of the training, for a slow machine")
    given = parser.parse_args()
    place = given.folder or Path(tempfile.mkdtemp(prefix="charpipe-"))
    place.mkdir(exist_ok=True)
    take(set(given.pictures or PICTURES), given.corpus, given.flags, place.resolve())
