"""The page carries everything, and nothing in a text can become markup."""

from __future__ import annotations

import base64
import json
import re
from html.parser import HTMLParser

import numpy as np

from charpipe.inspection.packing import pack
from charpipe.inspection.units import Group

from pages import LABELS, TEXT, UNITS, make  # isort: skip


class Tags(HTMLParser):
    """What a parser makes of a page: its tags in order, and the texts of its scripts by their id."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.scripts: dict[str, str] = {}
        self.words = ""
        self._script: str | None = None
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        if tag == "script":
            self._script = dict(attrs).get("id") or "code"

    def handle_endtag(self, tag):
        if tag == "script":
            self._script = None

    def handle_data(self, data):
        if self._script is not None:
            self.scripts[self._script] = self.scripts.get(self._script, "") + data
        else:
            self.words += f" {data} "


def test_a_hostile_text_stays_a_text() -> None:
    html = make()
    parsed = Tags(html)
    assert parsed.tags.count("script") == 3
    assert {"img", "i"} - set(parsed.tags) == {"img"}  # the legend has <i>, and no text has made an <img>
    data = json.loads(parsed.scripts["data"])
    assert "".join(data["cells"]) == TEXT
    assert data["labels"] == [*LABELS[:4], "⏎", LABELS[5]]
    assert "<1>" in parsed.words and "</title>& evil.c" in parsed.words
    assert html.isascii() or all(ord(c) < 0xD800 or ord(c) > 0xDFFF for c in html)


def test_lone_surrogates_can_be_written() -> None:
    html = make("a\ud800b" + "c" * 20)
    html.encode("utf-8")
    assert json.loads(Tags(html).scripts["data"])["cells"][1] == "\ud800"


def test_it_asks_for_nothing_from_outside() -> None:
    html = make().replace(json.dumps(TEXT), "")
    code = re.sub(r'(?s)<script type="application/json".*?</script>', "", html)
    assert not re.search(
        r"""https?:|(?:src|href)="(?!data:)|@import|url\(|fetch\(|XMLHttp|localStorage""", code
    )


def test_the_units_are_in_it() -> None:
    parsed = Tags(make())
    values = np.frombuffer(base64.b64decode(parsed.scripts["units"]), np.int8).reshape(2 * UNITS, -1)
    data = json.loads(parsed.scripts["data"])
    assert values.shape[1] == len(data["cells"]) == len(TEXT)
    assert set(values[0]) == {64} and set(values[1]) == {-127, 127}
    assert data["groups"][1] == {"name": "cell[0]", "size": UNITS, "first": UNITS, "shown": "tanh"}
    assert data["divisors"][UNITS + 3] > 100 and values[UNITS + 3].max() == 127
    assert data["bits"][:3] == [None, -1, 0.0]
    assert data["chances"][0] == [500, 200, 100, 50, 10]


def test_the_table_says_what_was_found_and_what_not() -> None:
    words = " ".join(Tags(make()).words.split())
    assert "inside double quotes cell[0] 3, falls" in words
    assert (
        "cell[0] 3 falls AUC 0.950 0.900 0.650 0.550 95 % / 5 % 20.0 % 12, 34 found hidden[0] 1 0.600"
        in words
    )
    assert "hidden[0] 1 rises rank correlation 0.300 0.200 0.300 0.100 – mean 4.0 9, 9 not above" in words
    assert "inside a URL (0, 1)." in words


def test_probes_and_ablations_have_tables() -> None:
    words = " ".join(Tags(make()).words.split())
    assert "inside double quotes AUC 0.900 0.970 0.700 cell[0] 3 falls, hidden[0] 1 rises" in words
    assert "cell[0] 3 −1.50 +0.2500 ± 0.0100 inside double quotes +1.5000 ± 0.1000 −0.0100 ± 0.0200" in words
    assert "hidden[0] 1 0.50 +0.0000 ± 0.0000" in words and "900 characters" in words


def test_a_counted_model_has_a_page_without_units() -> None:
    parsed = Tags(make(units=0))
    assert "It has no units" in " ".join(parsed.words.split())
    assert parsed.scripts.get("units", "") == "" and "select" not in parsed.tags


def test_values_are_brought_between_minus_one_and_one() -> None:
    units = np.array([[0.5, 2.0, 300.0], [-1.0, -0.1, 100.0], [np.nan, 0.0, 200.0]], np.float32)
    packed = pack(units, [Group("hidden", 0, 1, 0), Group("cell", 0, 2, 1)])
    values = np.frombuffer(base64.b64decode(packed.data), np.int8).reshape(3, 3)
    assert packed.shown == ("value", "tanh")
    assert values[0].tolist() == [64, -127, 0]
    assert values[1].tolist() == [round(127 * np.tanh(2.0)), round(127 * np.tanh(-0.1)), 0]
    assert packed.divisors[:2] == (0, 0) and 290 < packed.divisors[2] < 300
    assert values[2].tolist() == [127, 43, 85]
    switch = pack(np.array([[30.0], [-40.0], [50.0]], np.float32), [Group("cell", 0, 1, 0)])
    assert (switch.shown, switch.divisors) == (("tanh",), (0.0,))  # its sign is what it says
