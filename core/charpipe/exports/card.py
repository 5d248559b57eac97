"""The model card: a README.md with the header that the Hugging Face Hub reads."""

from __future__ import annotations

import json
from collections.abc import Iterator

from charpipe.exports.facts import Facts

NAMES = {
    "loss": "loss (nats per token)",
    "bits_per_char": "bits per character",
    "bits_per_byte": "bits per byte",
    "perplexity": "perplexity",
}
SPLITS = {"test": "test", "val": "validation"}


def card(facts: Facts) -> str:
    """The whole file: the header in YAML, what the model is, its scores, the corpus, and how to load it."""
    parts = [_header(facts), _introduction(facts), _scores(facts), _corpus(facts), _loading(facts)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _header(facts: Facts) -> str:
    """YAML, of which JSON's strings, numbers and lists are a part."""
    lines = [
        "library_name: charpipe",
        "pipeline_tag: text-generation",
        f"tags: {json.dumps(['charpipe', 'char-rnn', facts.title.split()[0]])}",
    ]
    if facts.scores:
        lines += ["model-index:", *_index(facts)]
    return "\n".join(["---", *lines, "---"])


def _index(facts: Facts) -> Iterator[str]:
    """The scores as the Hub's `model-index`, by split."""
    yield f"- name: {json.dumps(facts.run)}"
    yield "  results:"
    for split, title in SPLITS.items():
        scores = {name: value for name, value in facts.scores.items() if name.startswith(f"{split}/")}
        if not scores:
            continue
        yield "  - task: {type: text-generation}"
        name = json.dumps(facts.corpus or "unknown")
        yield f"    dataset: {{name: {name}, type: {name}, split: {title}}}"
        yield "    metrics:"
        for metric, value in scores.items():
            yield f"    - {{type: {metric.partition('/')[2]}, value: {value:.6g}}}"


def _introduction(facts: Facts) -> str:
    """What the model is, in a sentence or two."""
    steps = f", trained for {facts.steps:,} steps" if facts.steps else ""
    day = f" on {facts.trained}" if facts.trained else ""
    return (
        f"# {_plain(facts.run)}\n\n"
        f"A character-level language model, {_plain(facts.title)}: {facts.parameters:,} parameters, a vocabulary of "
        f"{facts.vocabulary_size:,} tokens{steps}{day}. It was made with charpipe {facts.charpipe}."
    )


def _scores(facts: Facts) -> str:
    if not facts.scores:
        return ""
    rows = [
        f"| {NAMES[score]} | {SPLITS[split]} | {value:.4f} |"
        for name, value in facts.scores.items()
        for split, _, score in [name.partition("/")]
    ]
    return "\n".join(["## Scores", "", "| score | split | value |", "| --- | --- | --- |", *rows])


def _corpus(facts: Facts) -> str:
    if not facts.corpus:
        return ""
    summary = f": {_plain(facts.summary)}" if facts.summary else ""
    stated = (
        f"Licence of the corpus: {_plain(facts.license)}."
        if facts.license
        else "The project does not state the licence of the corpus."
    )
    return (
        f"## Corpus and licence\n\nTrained on {_plain(facts.corpus)}{summary}. {stated}\n\n"
        "The licence of the model itself is for its owner to state, in the header of this file (`license:`)."
    )


def _loading(facts: Facts) -> str:
    needed = f" and its plugin `{facts.plugin}`" if facts.plugin else ""
    return f"""## How to load it

`model.safetensors` has the weights, `config.json` the architecture, `vocabulary.json` the tokens. Loading them executes
no code from this folder. It needs charpipe{needed}.

```python
import charpipe

model = charpipe.load("path/to/this/folder")
print(model.sample(length=500, seed=1))
```

```sh
charpipe sample path/to/this/folder --length 500
```"""


def _plain(text: str) -> str:
    """A name in Markdown: on one line, its marks escaped."""
    return "".join(f"\\{one}" if one in "\\`*_[]<>|#" else one for one in " ".join(text.split()))
