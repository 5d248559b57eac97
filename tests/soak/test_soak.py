"""A short soak: ten scheduled runs, half of them struck, and the audit of what they left; drive.py makes longer."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import pytest

from charpipe.plugins.registry import Registry

HERE = Path(__file__).parent


@pytest.mark.e2e
@pytest.mark.timeout(600)
def test_ten_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(HERE))
    drive = runpy.run_path(str(HERE / "drive.py"))
    pipeline = "retrain" if "retrain" in Registry().all("pipeline") else "train-and-sample"
    folder = tmp_path / "soak"
    drive["live"](folder, runs=10, seed=7, pipeline=pipeline, steps=20, share=0.5)
    report, wrong = drive["audit"].report(folder)
    assert wrong == [], report
    assert (folder / "soak.jsonl").read_text().count('"soak": "fault"') >= 2


def test_the_audit_sees_what_is_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(HERE))
    import audit

    objects = tmp_path / ".charpipe" / "store" / "objects"
    (tmp_path / ".charpipe" / "store" / "actions").mkdir(parents=True)
    made = objects / ("0" * 64)
    made.mkdir(parents=True)
    (made / "tokens.json").write_text("{}")
    listed = {"tokens.json": {"bytes": 2, "sha256": "0" * 64}}
    (made / "manifest.json").write_text(
        '{"schema": "x", "facts": {}, "files": ' + repr(listed).replace("'", '"') + "}"
    )
    wrong: list[str] = []
    audit._store(tmp_path / ".charpipe", wrong)
    assert any("another digest" in one for one in wrong)
    assert any("is not what the manifest states" in one for one in wrong)
    line = {
        "champion": {"version": 1},
        "by": "retrain",
        "difference": 0.1,
        "probability": 0.99,
        "confidence": 0.95,
    }
    line |= {"validation": {"challenger": 2.0, "champion": 1.9}, "reason": ""}
    assert len(list(audit._unfounded(line))) == 2
    for name in ("audit", "models"):
        sys.modules.pop(name, None)
