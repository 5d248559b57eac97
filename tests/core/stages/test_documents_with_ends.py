"""A corpus of names, from the file to whole names: stages, commands and their errors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from test_stages import pipeline, ran

import charpipe
from charpipe import stages
from charpipe.cli import main
from charpipe.config.settings.corpus import CorpusConfig
from charpipe.corpus.ends import END
from charpipe.errors import UsageError
from charpipe.events import Sampled

NAMES = [f"{a}{b}{c}a" for a in "klmn" for b in "aeiou" for c in ("r", "ss", "n", "lt", "m", "v")]
ENDS = {"corpus.documents": "line", "corpus.ends": True, "train.evaluate_every": 6}


@pytest.fixture
def names(project: Path) -> Path:
    path = project / "names.txt"
    path.write_text("\n".join(NAMES) + "\n")
    return path


@pytest.mark.parametrize("arch", ["rnn", "ngram"])
def test_names_become_documents_that_end(names: Path, open_context, heard, capsys, arch: str) -> None:
    _, scores, sample = pipeline(open_context(**ENDS), "names.txt", arch)
    assert {"val/bits_per_char", "test/bits_per_char"} <= set(scores.metrics)
    assert END not in sample.text
    assert all(END not in event.text for event in heard.of(Sampled))
    assert END not in "".join(scores.surprise["pieces"])
    capsys.readouterr()

    assert main(["sample", "last", "--documents", "3", "--json", "--prompt", "ka"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [sorted(document) for document in found["documents"]] == [["ended", "ended_by", "text"]] * 3
    assert all(document["text"].startswith("ka") for document in found["documents"])
    assert main(["sample", "last", "--json", "--length", "0"]) == 0
    assert json.loads(capsys.readouterr().out)["ended"] is False
    assert main(["sample", "last", "--documents", "2", "--length", "1", "--temperature", "0"]) == 0
    assert "--- 2 of 2" in capsys.readouterr().out
    assert main(["sample", "last", "--documents", "2", "--prompt", "k", "--regex", "a"]) == 0
    assert "--- 2 of 2, ended at a complete match\nka\n" in capsys.readouterr().out
    assert main(["sample", "last", "--documents", "2", "--stop", "a", "--regex", "[a]"]) == 0
    assert "--- 2 of 2, ended by a stop text (--stop)\n\n" in capsys.readouterr().out
    assert main(["sample", "last", "--documents", "2", "--count", "2"]) == 2
    assert "exclude each other" in capsys.readouterr().err

    assert main(["evaluate", "last", str(names), "--json"]) == 0
    scored = json.loads(capsys.readouterr().out)
    assert scored["characters"] == sum(map(len, NAMES))
    assert "skipped" not in scored
    assert [document.text[0] for document in charpipe.load("last").documents(2, "m")] == ["m", "m"]


def test_documents_of_a_model_without_ends_are_refused(names: Path, open_context, capsys) -> None:
    pipeline(open_context(), "names.txt")
    capsys.readouterr()
    assert main(["sample", "last", "--documents", "2"]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_corpus_without_ends_is_as_before(names: Path, open_context, heard) -> None:
    pipeline(open_context(), "names.txt")
    heard.clear()
    pipeline(open_context(**{"corpus.documents": "file", "corpus.ends": False}), "names.txt")
    assert ran(heard) == []
    pipeline(open_context(**ENDS), "names.txt")
    assert ran(heard)[:3] == ["ingest", "vocabulary", "encode"]
    context = open_context(**ENDS)
    documents = stages.ingest(context, "names.txt")
    vocabulary = stages.learn_vocabulary(context, "names.txt", documents)
    facts = stages.encode(context, "names.txt", documents, vocabulary).facts
    assert (documents.facts["documents"], facts["split_by"]) == (len(NAMES), "documents")


def test_an_end_character_in_the_text_is_refused(names: Path, open_context) -> None:
    names.write_text(f"anna\nb{END}en\n")
    with pytest.raises(UsageError, match=r"line 2, contains the character U\+0003"):
        pipeline(open_context(**ENDS), "names.txt")


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"ends": True, "split": {"train": "10 bytes"}}, "keeps them whole"),
        ({"documents": "line", "split": {"by": "files", "train": "*.train.txt"}}, "keep files whole"),
    ],
)
def test_given_splits_that_cut_documents_are_refused(settings: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        CorpusConfig(sources=["a"], **settings)
    CorpusConfig(sources=["a"], ends=True, split={"by": "files", "train": "*.train.txt"})  # type: ignore[arg-type]
