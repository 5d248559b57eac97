"""What the folder of a page holds when its commands are run: the texts and the project that it speaks of, in small."""

from __future__ import annotations

import gzip
import hashlib
from pathlib import Path

from documented import blocks

C = "".join(
    f"static int add_{n}(int a, int b)\n{{\n\tif (a > {n})\n\t\treturn b; /* the sum of {n} */\n\treturn a + b;\n}}\n\n"
    for n in range(120)
)
NOVEL = "".join(
    f"He said: “It is late, and the {n}th of them is a day like another.”\nShe went home.\n\n"
    for n in range(120)
)
PLAIN = NOVEL.replace("“", '"').replace("”", '"')

TRAIN = """
[train]
steps = 3
max_epochs = 0.01
patience = 1
evaluate_every = 1
learning_rate = 1e-12
batch_size = 8
window = 16
engine = "plain"
[sample]
length = 30
"""
"""Few updates, whatever a command says: `max_epochs` bounds a budget, and `patience` a number of steps, since at this
learning rate no validation is better than the first."""
PROJECT = (
    TRAIN
    + """
[tracking]
enabled = false
[architectures]
lstm = {hidden_size = 8}
gru = {hidden_size = 8}
rnn = {hidden_size = 8}
[corpora.linux_src]
sources = ["linux"]
[corpora.python_stdlib]
include = ["this.py", "keyword.py", "abc.py", "bisect.py"]
[pipelines.reproduce-2015]
train.max_epochs = 0.01
train.batch_size = 8
train.window = 16
train.evaluate_every = 1
"""
)
DIGESTS = """
[corpora.{corpus}]
sources = ["{file}"]
sha256 = "{digest}"
"""
FILES = {
    "linux/main.c": C[: len(C) // 2],
    "linux/kernel/fork.c": C[len(C) // 2 :],
    "linux/include/fork.h": C[:900],
    "main.c": C[:2000],
    "my_novel.txt": PLAIN,
    "mine.txt": PLAIN,
    "shakespeare.txt": PLAIN,
    "names.txt": "".join(f"anna{n % 7}\nberta{n % 11}\n" for n in range(200)),
    "warpeace_input.txt": PLAIN,
    "essays.txt": PLAIN,
    "texts/one.txt": NOVEL.encode("windows-1252"),
    "texts/two.txt": PLAIN,
    "letter.txt.gz": gzip.compress(PLAIN[:900].encode()),
    "letters/a.gz": gzip.compress(PLAIN[:900].replace("\n", "\r\n").encode()),
    "main.c.gz": gzip.compress(C[:2000].encode()),
}
"""The texts, by file; bytes are written as they are."""
CHECKED = {
    "tiny_shakespeare": "shakespeare.txt",
    "war_and_peace": "warpeace_input.txt",
    "names": "names.txt",
}
"""Corpora of the catalogue whose digest is checked, and the file that stands for each."""
BEFORE = {
    "champions.md": (
        "charpipe run retrain --corpus linux_src",
        "charpipe run retrain --corpus linux_src --set train.seed=2 --force train",
        "charpipe run train-and-sample --corpus linux_src --set train.seed=3",
        "charpipe models promote last --anyway",
        "charpipe run train-and-sample --corpus linux_src --set train.seed=4",
    ),
    "corpora.md": ("charpipe run train-and-sample --corpus my_novel.txt",),
    "housekeeping.md": ("charpipe run train-and-sample --corpus linux_src",),
    "inspecting.md": ("charpipe run train-and-sample --corpus linux_src",),
    "sampling.md": ("charpipe run train-and-sample --corpus linux_src",),
    "retraining.md": ("charpipe run retrain --corpus mine.txt",),
    "sharing.md": ("charpipe run train-and-sample --corpus my_novel.txt",),
    "seeing.md": (
        "charpipe run train-and-sample --corpus my_novel.txt",
        "charpipe run train-and-sample --corpus my_novel.txt --arch gru",
    ),
}
"""What the reader of a page has done before."""


def make(folder: Path, page: str) -> None:
    """Write what the page says that there is."""
    write_texts(folder)
    project = PROJECT + "".join(
        DIGESTS.format(corpus=corpus, file=file, digest=_digest(folder / file))
        for corpus, file in CHECKED.items()
    )
    if page in ("deployments.md", "documents.md"):
        project += "".join(block.text for block in blocks("toml") if block.page == page)
    if page == "plugins.md":
        project += "[architectures.minimal-gru]\nhidden_size = 8\n"
        project += "[architectures.minimal-gated]\nhidden_size = 8\n"
        write_plugins(folder)
    (folder / "pipelines.toml").write_text(project, encoding="utf-8")


def write_texts(folder: Path) -> None:
    """The texts alone."""
    for name, content in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())


def write_plugins(folder: Path) -> None:
    """The Python blocks of docs/plugins.md where the page says that they go."""
    cell, init, model, _test, counted, decoder, metric, command, check = (
        block.text
        for block in blocks("python")
        if block.page == "plugins.md" and "RowFormula" not in block.text  # a part of a plugin, no whole one
    )
    files = {"minimal_gru/__init__.py": init, "minimal_gru/model.py": model}
    files |= {
        "minimal_gated.py": cell,
        "frequencies.py": counted,
        "without.py": decoder,
        "weight_norm.py": metric,
        "greeting.py": command,
        "enough_memory.py": check,
    }
    for name, text in files.items():
        (folder / "plugins" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "plugins" / name).write_text(text, encoding="utf-8")


def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
