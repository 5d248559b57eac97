"""The page that writes, in a real browser, offline: its step, its texts, and how it looks on a phone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings

from charpipe.cells import Cell
from charpipe.errors import UsageError
from charpipe.exports.page import quantisation_cost, writing_page
from charpipe.exports.quantised import Matrix, quantised_network
from charpipe.generation import SampleConfig, sample
from charpipe.models import NetworkPredictor
from charpipe.models.loaded import Loaded
from charpipe.models.model import Model
from charpipe.models.standard import modules_of
from charpipe_byte.bytewise import ByteEncoding
from charpipe_char.characters import CharEncoding
from letters import Letters
from recurrent_cells import CELLS, predictor_of, random_cells
from waiting import until

from exported_models import FACTS, NEURAL, loaded_of  # isort: skip
from float64_step import Float64Step, Mulberry32, draw  # isort: skip

EXACT = 1e-9
"""Both sides are float64; only the order of sums, and the last bit of exp and tanh, differ."""
COARSE = 0.05
"""What 8-bit weights may change of the logits, root mean square, as a part of their standard deviation."""
READ = "ids => { model.reset(); return ids.map(id => [...model.read(id)]); }"
WRITE = """([prompt, seed, temperature, count]) => {
    const writer = startWriting(prompt, seed);
    let text = writer.given + writer.begun;
    for (let n = 0; n < count; n++) text += writer.write(temperature);
    return text; }"""
IDS = [1, 4, 0, 6, 6, 2, 3, 5, 1, 1, 0, 2] * 4


@pytest.fixture(autouse=True)
def _short_measure(monkeypatch: pytest.MonkeyPatch) -> None:
    """The cost of 8-bit weights is measured over a short text: PyTorch steps through it twice."""
    monkeypatch.setattr("charpipe.exports.page.MEASURED", 300)


def of_network(predictor: NetworkPredictor) -> Loaded:
    """The network of a test's cell as a model of seven letters."""
    model = Model(predictor.network, "test", FACTS, {"tokenizer": "letters"}, 7)  # type: ignore[arg-type]
    return Loaded("a run", model, Letters())


def coarse(loaded: Loaded) -> Any:
    """The network with the page's weights."""
    return quantised_network(loaded.model.network)  # type: ignore[union-attr]


def assert_exact(page: Any, loaded: Loaded) -> None:
    """The page's logits are those of a float64 step with the same 8-bit weights."""
    step = Float64Step(modules_of(loaded.model.network))
    found = np.array(page.evaluate(READ, IDS))
    np.testing.assert_allclose(found, [step.read(token) for token in IDS], atol=EXACT, rtol=EXACT)


@pytest.mark.parametrize(
    "shape",
    [
        {"layers": 1},
        {"layers": 2, "embedding_size": 5},
        {"layers": 3, "embedding_size": 12, "tie_weights": True},
    ],
    ids=str,
)
@pytest.mark.parametrize("architecture", NEURAL)
def test_a_page_steps_exactly_with_its_weights(
    open_page: Any, architecture: str, shape: dict[str, Any]
) -> None:
    loaded = loaded_of(architecture, **shape)
    page = open_page(writing_page(loaded, FACTS).html)
    assert_exact(page, loaded)
    ours, state = loaded.model.predictor(), None
    logits, state = [], ours.initial_state(1)
    for token in IDS:
        one, state = ours.step(torch.tensor([token]), state)
        logits.append(one[0].numpy())
    difference = np.array(page.evaluate(READ, IDS)) - logits
    assert 0.001 < np.sqrt((difference**2).mean()) / np.std(logits) < COARSE


@pytest.mark.parametrize("name", sorted(set(CELLS) - {"NanInPadding"}))
def test_a_page_of_an_odd_cell_steps_exactly(open_page: Any, name: str) -> None:
    loaded = of_network(predictor_of(CELLS[name](), 7, layers=2))
    assert_exact(open_page(writing_page(loaded, FACTS).html), loaded)


def test_pages_of_any_cells_step_exactly(open_page: Any) -> None:
    @settings(max_examples=8)
    @given(random_cells())
    def check(cell: Cell) -> None:
        loaded = of_network(predictor_of(cell, 7, hidden_size=6, layers=2))
        assert_exact(open_page(writing_page(loaded, FACTS).html), loaded)

    check()


def test_a_page_starts_documents_anew_and_breaks_lines_between_them(open_page: Any) -> None:
    loaded = loaded_of("lstm", Letters("\x03abcdef"), std=1.0, layers=2)
    loaded.encoding.end_token = loaded.model.network.end_token = 0  # type: ignore
    page = open_page(writing_page(loaded, FACTS).html)
    ours = coarse(loaded)
    logits, _ = ours(torch.tensor(IDS)[:, None], ours.initial_state(1))
    np.testing.assert_allclose(page.evaluate(READ, IDS), logits[:, 0].detach(), atol=1e-4, rtol=1e-4)
    text = page.evaluate(WRITE, ["", 1, 1.5, 400])
    assert "\n" in text
    assert "\x03" not in text
    greedy = SampleConfig(length=200, greedy=True)
    for prompt in ("", "abc"):
        wanted = sample(
            NetworkPredictor(ours, 7), loaded.encoding, greedy.model_copy(update={"prompt": prompt})
        )
        assert page.evaluate(WRITE, [prompt, 1, 0, 200]).partition("\n")[0] == wanted


def test_a_page_writes_the_greedy_sample_of_its_weights(open_page: Any) -> None:
    loaded = loaded_of("rnn", std=1.0, layers=2)
    page = open_page(writing_page(loaded, FACTS).html)
    ours = NetworkPredictor(coarse(loaded), 7)
    for prompt in ("", "abc"):
        wanted = sample(ours, loaded.encoding, SampleConfig(prompt=prompt, length=200, greedy=True))
        assert page.evaluate(WRITE, [prompt, 1, 0, 200]) == wanted
        assert len(set(wanted)) > 2


@pytest.mark.parametrize(("prompt", "seed", "temperature"), [("", 1, 0.8), ("fab", 4294967295, 1.2)])
def test_a_page_draws_as_the_same_numbers_in_python(
    open_page: Any, prompt: str, seed: int, temperature: float
) -> None:
    loaded = loaded_of("gru")
    page = open_page(writing_page(loaded, FACTS).html)
    step, random, text = Float64Step(modules_of(loaded.model.network)), Mulberry32(seed), prompt
    for token in loaded.encoding.encode(prompt or "\n").tolist():
        logits = step.read(token)
    for _ in range(300):
        token = draw(logits, temperature, random)
        text += loaded.encoding.labels[token]
        logits = step.read(token)
    assert page.evaluate(WRITE, [prompt, seed, temperature, 300]) == text


def test_a_vocabulary_without_a_line_break_starts_with_a_random_character(open_page: Any) -> None:
    page = open_page(writing_page(loaded_of("rnn", Letters("abc")), FACTS).html)
    texts = {page.evaluate(WRITE, ["", seed, 0, 4]) for seed in range(20)}
    assert {text[0] for text in texts} == set("abc")
    assert {len(text) for text in texts} == {5}


@pytest.mark.parametrize(
    "encoding",
    [ByteEncoding(), CharEncoding("\n abc\u00e9\ufeff\ufffd🙂", False), CharEncoding("\n abc", True)],
)
def test_a_page_reads_and_writes_text_as_the_vocabulary_does(open_page: Any, encoding: Any) -> None:
    page = open_page(writing_page(loaded_of("rnn", encoding), FACTS).html)
    decode = "ids => { const decode = characters.decoder(); return ids.map(decode).join(''); }"
    for text in ("a\nc b", "\u00e9🙂\ufeffa", "\ufffd", "שלום"):
        try:
            ids = encoding.encode(text).tolist()
        except UsageError:
            unknown = [letter for letter in dict.fromkeys(text) if letter not in encoding.characters]
            assert page.evaluate("text => characters.encode(text).unknown", text) == unknown
            continue
        assert page.evaluate("text => characters.encode(text).ids", text) == ids
        assert page.evaluate(decode, ids) == text
    generator = np.random.default_rng(2)
    ids = [*generator.integers(0, encoding.size, 300).tolist(), int(encoding.encode("a")[0])]
    assert page.evaluate(decode, ids) == encoding.decoder().decode(ids)


def test_a_tokenizer_of_words_is_refused() -> None:
    with pytest.raises(UsageError, match=r"tokens that are neither, such as 'word'"):
        writing_page(loaded_of("rnn", Letters(["\n", "word"])), FACTS)


def test_a_page_writes_by_itself_pauses_and_starts_again(open_page: Any) -> None:
    page = open_page(writing_page(loaded_of("lstm"), FACTS).html, moving=True)
    written = page.locator("#written")
    until(lambda: len(written.inner_text()) > 20, written.inner_text)
    page.click("#write")
    held = page.text_content("#written")
    assert page.inner_text("#write") == "Write on"
    assert f"{len(held):,} characters, paused" == page.inner_text("#status")
    page.select_option("#speed", "0")
    page.press("#write", "Enter")
    until(lambda: "stopped" in page.inner_text("#status"), lambda: page.inner_text("#status"))
    text = page.text_content("#written")
    assert text.startswith(held)
    assert text == page.evaluate(WRITE, ["", 1, 0.8, len(text)])
    page.fill("#prompt", "fax")
    page.fill("#seed", "7")
    page.click("#again")
    until(lambda: "stopped" in page.inner_text("#status"), lambda: page.inner_text("#status"))
    assert page.inner_text("#notice") == "The model does not know x; left out."
    shown = page.text_content("#text")
    assert shown.startswith("fa") and shown == page.evaluate(WRITE, ["fa", 7, 0.8, len(shown) - 2])
    assert page.locator("#next li").count() == 5


def test_a_page_waits_where_motion_is_unwanted(open_page: Any) -> None:
    page = open_page(writing_page(loaded_of("lstm"), FACTS).html)
    assert (page.text_content("#written"), page.inner_text("#write")) == ("", "Write")
    assert page.locator("#next li").count() == 5


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_never_scrolls_sideways(open_page: Any, scheme: str) -> None:
    facts = FACTS.model_copy(update={"run": "a-very-long-name-" * 8, "corpus": "longname" * 12})
    page = open_page(
        writing_page(loaded_of("lstm"), facts).html,
        viewport={"width": 390, "height": 844},
        is_mobile=True,
        has_touch=True,
        color_scheme=scheme,
    )
    page.tap("#write")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    paper, ink = page.evaluate(
        "[getComputedStyle(document.body).backgroundColor, getComputedStyle(document.body).color]"
    )
    light, dark = "rgb(252, 251, 249)", "rgb(23, 22, 20)"
    assert paper == (light if scheme == "light" else dark) and ink != paper


def test_names_are_text_and_no_markup(open_page: Any) -> None:
    hostile = "</script><script>window.broken = 1</script><img src=x onerror='window.broken = 2'>"
    facts = FACTS.model_copy(
        update={"run": hostile, "corpus": hostile, "license": hostile, "summary": hostile}
    )
    loaded = loaded_of("rnn", Letters([*"\n<>&", "\u2028", "'"]))
    page = open_page(writing_page(replace(loaded, name=hostile), facts).html)
    assert page.evaluate("window.broken") is None
    assert hostile in page.inner_text("h1")


def test_the_cost_of_the_weights_is_measured() -> None:
    loaded = loaded_of("lstm")
    assert 0 < quantisation_cost(loaded) < 0.001
    with torch.no_grad():  # one weight of each row leaves few steps to the others
        for values in loaded.model.network.parameters():  # type: ignore[union-attr]
            if values.ndim == 2:
                values[:, 0] = 30
    assert quantisation_cost(loaded) > 0.01


def test_a_matrix_in_8_bits_is_within_half_a_step() -> None:
    values = torch.randn(5, 40, generator=torch.Generator().manual_seed(1))
    values[2] = 0
    matrix = Matrix.of(values)
    assert matrix.numbers.dtype == np.int8
    steps = values.abs().amax(1, keepdim=True) / 127
    assert ((matrix.values() - values).abs() <= 0.5001 * steps).all()
    assert torch.equal(Matrix.of(matrix.values()).values(), matrix.values())
