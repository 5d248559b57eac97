from __future__ import annotations

import json
from html.parser import HTMLParser

import pytest

from charpipe.errors import RunError
from charpipe.reports.history import read_history
from charpipe.reports.report import report


class Elements(HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.handlers: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.ids += [value for name, value in attrs if name == "id"]
        self.handlers += [name for name, _ in attrs if name.startswith("on")]


def test_a_report_has_curves_evolution_settings_lineage_and_the_final_sample(make_run):
    page = report(make_run())
    found = Elements(page)
    assert found.tags.count("svg") == 3  # bits by step and by time, loss; no learning rate was recorded
    assert page.count('class="sample"') == 3 and "text after 10" in page
    assert {"curves", "evolution", "made", "final", "beside"} <= set(found.ids)
    for told in ("lstm 1x8", "train.steps", "flag", "d" * 64, "torch", "1,234", "2.200"):
        assert told in page


def test_what_was_not_measured_is_left_out(make_run):
    run = make_run()
    run.samples_file.unlink()
    run.update(metrics={"val/bits_per_char": 2.1})
    found = Elements(report(run))
    assert not {"evolution", "final", "beside", "novel"} & set(found.ids)


def test_texts_and_names_are_never_markup(make_run, evil):
    run = make_run(
        corpus=evil, origins={"train.steps": evil}, settings={"train.steps": evil}, versions={evil: evil}
    )
    run.samples_file.write_text(json.dumps({"step": 20, "prompt": evil, "text": evil}) + "\n")
    run.update(error=evil)
    page = report(run)
    found = Elements(page)
    assert found.tags.count("script") == 1 and "img" not in found.tags and not found.handlers
    assert "<script>document" not in page


def test_a_list_tells_how_new_its_lines_are(make_run):
    run = make_run()
    run.update(metrics={"sample/novel_share": 0.853, "sample/duplicate_share": 0.01, "sample/lines": 1119.0})
    run.keep_result("evaluate", "x", {"novelty": {"examples": ["zorbel"]}})
    page = report(run)
    assert "85.3" in page and "1,119" in page and "zorbel" in page


def test_a_run_that_measured_nothing_says_what_to_type(make_run):
    run = make_run()
    run.metrics_file.unlink()
    run.samples_file.unlink()
    with pytest.raises(RunError, match=r"measured nothing yet.*charpipe resume"):
        report(run)


def test_a_run_of_another_schema_is_refused(make_run):
    run = make_run()
    path = run.folder / "run.json"
    path.write_text(path.read_text().replace("charpipe.run/1", "charpipe.run/9"))
    with pytest.raises(RunError, match="schema"):
        report(run)


def test_numbers_that_are_none_draw_no_curve_and_raise_nothing(make_run):
    run = make_run()
    run.metrics_file.write_text(
        '{"step": 1, "val/bits_per_char": NaN, "train/loss": Infinity, "time": 1}\n'
        '{"step": 2, "val/bits_per_char": 3.0}\n'
    )
    assert Elements(report(run)).tags.count("svg") >= 1


def test_the_first_score_at_a_step_makes_the_curve_and_pauses_take_no_time(make_run):
    run = make_run()
    assert read_history(run).curve("val/bits_per_char")[-1].value == 2.0  # 9.0 came of the whole split
    with run.metrics_file.open("a") as file:
        file.write(json.dumps({"step": 21, "val/bits_per_char": 1.9, "time": 1e9 + 90_000}) + "\n")
    history = read_history(run)
    assert history.paused and history.curve("val/bits_per_char")[-1].seconds < 60


def test_the_final_sample_stands_once_and_each_step_once(make_run):
    run = make_run()
    with run.samples_file.open("a") as file:
        file.write(json.dumps({"step": 20, "prompt": "h", "text": "the final one"}) + "\n")
    page = report(run)
    assert page.count("the final one") == 1 and page.count("Step 20<") == 1
    assert "text after 20" not in page


def test_compressors_after_training_are_in_the_chart(make_run):
    run = make_run()
    scores = {"test/xz_bits_per_char": 2.9, "test/xz_after_training_bits_per_char": 2.4}
    run.update(metrics=scores | {"val/zstd_after_training_bits_per_char": 1.0})
    chart = report(run).partition("<svg")[2].partition("</svg>")[0]
    assert ">xz<" in chart and ">xz after training<" in chart and ">zstd after training<" not in chart


def test_held_out_text_is_coloured_by_surprise_at_the_top(make_run, evil):
    run = make_run()
    pieces, bits = ["W", "h", "\n", evil], [None, 2.0, 9.5, None]
    run.keep_result("evaluate", "x", {"surprise": {"split": "val", "pieces": pieces, "bits": bits}})
    page = report(run)
    found = Elements(page)
    assert page.index('id="surprise"') < page.index('id="curves"')
    assert (
        "validation text, on which the model was not trained" in page
        and "8 bits of surprise, or more" in page
    )
    assert '<span style="--a:0%" title="first character: not predicted">W</span>' in page
    assert '<span style="--a:25%" title="2.00 bits">h</span>' in page
    assert '<span style="--a:100%" title="9.50 bits">\n</span>' in page
    assert '<span style="--a:100%" title="probability 0">&lt;/pre&gt;' in page
    assert found.tags.count("script") == 1 and "img" not in found.tags and not found.handlers


@pytest.mark.parametrize("kept", [{}, {"surprise": None}, {"surprise": {"split": "val", "bits": [1]}}])
def test_a_run_without_surprise_has_no_such_section(make_run, kept):
    run = make_run()
    run.keep_result("evaluate", "x", kept)
    assert "surprise" not in Elements(report(run)).ids


def test_captions_give_the_score_that_is_shown(make_run):
    """Evaluated again, with another score than training recorded: the final sample and the chart say the new one."""
    run = make_run()
    run.update(metrics={**run.status.metrics, "val/bits_per_char": 1.987})
    page = " ".join(report(run).split())
    assert "<h3>Step 20<small>1.987 bits per character</small></h3>" in page
    assert "<h3>Step 10<small>3.000 bits per character</small></h3>" in page
    assert "the whole split after training: 1.987" in page
    assert "<dt>bits per character, validation</dt><dd>1.987</dd>" in page


def test_the_last_sample_of_a_run_that_goes_on_has_the_score_of_its_step(make_run):
    run = make_run()
    run.update(state="interrupted", step=20, steps=40, metrics={})
    page = " ".join(report(run).split())
    assert "<h3>Step 20<small>2.000 bits per character</small></h3>" in page
    assert "the whole split" not in page


def test_every_other_metric_with_a_curve_has_a_chart(make_run):
    run = make_run()
    with run.metrics_file.open("a") as file:
        for step in (1, 2, 3):
            line = {"step": step, "mine/norm": 1.0 / step, "<b>/x": float(step), "mine/nan": float("nan")}
            file.write(json.dumps(line | ({"mine/once": 1.0} if step == 3 else {})) + "\n")
    page = report(run)
    found = Elements(page)
    assert found.tags.count("svg") == 3 + 2
    assert "mine/norm." in page
    assert "&lt;b&gt;/x." in page
    assert "<b>/x" not in page
    assert "mine/once." not in page
