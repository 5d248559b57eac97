"""Bytes to text, exactly, or a reason why not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charpipe.corpus.decoding import Classifier, classify, to_utf8


@pytest.mark.parametrize(
    ("data", "encoding"),
    [
        (b"", "utf-8"),
        (b"plain", "utf-8"),
        (b"nul\0inside", "utf-8"),
        ("naïve 💡 e\u0301".encode(), "utf-8"),
        ("\ufeffmarked".encode(), "utf-8"),
        ("\ufeffwide ü".encode("utf-16-le"), "utf-16-le"),
        ("\ufeffwide ü".encode("utf-16-be"), "utf-16-be"),
        ("caf\xe9 \xa3".encode("latin-1"), "latin-1"),
    ],
)
def test_encodings(data: bytes, encoding: str) -> None:
    assert classify(data).encoding == encoding


@pytest.mark.parametrize(
    ("data", "reason"),
    [(b"\x7fELF\0\xff\xfe", "NUL"), (bytes(range(1, 256)), "control"), (b"\xff\xfe\x00\xd8a\0", "NUL")],
)
def test_binary(data: bytes, reason: str) -> None:
    verdict = classify(data)
    assert not verdict.encoding
    assert reason in verdict.why_not


def test_a_stated_encoding_is_kept_to() -> None:
    assert classify("ü".encode("cp1252"), "cp1252").encoding == "cp1252"
    assert "not utf-8" in classify(b"\xff", "utf-8").why_not


@given(st.text(), st.sampled_from(["utf-8", "utf-16-le", "shift_jis", "latin-1"]), st.integers(1, 7))
def test_text_comes_back_however_it_is_cut(text: str, encoding: str, step: int) -> None:
    data = text.encode(encoding, "ignore")
    text = data.decode(encoding)
    chunks = [data[at : at + step] for at in range(0, len(data), step)]
    assert b"".join(to_utf8(chunks, encoding)).decode() == text
    lf = b"".join(to_utf8(chunks, encoding, "lf")).decode()
    assert lf == text.replace("\r\n", "\n").replace("\r", "\n")


@given(st.binary(), st.integers(1, 5))
def test_chunks_make_no_difference_to_the_verdict(data: bytes, step: int) -> None:
    classifier = Classifier()
    for at in range(0, len(data), max(step, 2)):
        classifier.update(data[at : at + max(step, 2)])
    assert classifier.verdict() == classify(data)


QUOTED = "“It’s late.”\n" * 50


def test_incomplete_last_character_is_left_out_and_told() -> None:
    data = QUOTED.strip().encode()[:-1]
    verdict = classify(data)
    assert verdict.encoding == "utf-8"
    assert "cut off" in verdict.note
    assert b"".join(to_utf8([data], "utf-8")).decode() == QUOTED.strip()[:-1]


def test_one_bad_byte_is_named() -> None:
    data = bytearray(QUOTED.encode())
    data[3] = 0xFF
    verdict = classify(bytes(data))
    assert not verdict.encoding
    assert "0xFF at offset 3" in verdict.why_not
    assert "corpus.encoding" in verdict.why_not
    assert classify(bytes(data), errors="replace").encoding == "utf-8"


def test_one_bad_byte_far_from_the_start_is_named() -> None:
    good = QUOTED.encode() * 1000
    verdict = classify(good + b"\xff" + good)
    assert f"0xFF at offset {len(good):,}" in verdict.why_not


@pytest.mark.parametrize(
    ("text", "codec"),
    [
        (QUOTED, "windows-1252"),
        ("mostly plain text, " * 99 + "it’s late", "windows-1252"),
        ("plain text\n" * 9, "utf-16-le"),
        ("plain text\n" * 9, "utf-16-be"),
        ("plain text\n" * 9, "utf-32-le"),
        ("吾輩は猫である。名前はまだ無い。\n" * 9, "utf-16-le"),
        ("吾輩は猫である。名前はまだ無い。\n" * 9, "euc_jp"),
        ("Все счастливые семьи похожи друг на друга.\n" * 9, "windows-1251"),
        ("Все счастливые семьи похожи друг на друга.\n" * 9, "koi8_r"),
    ],
)
def test_text_without_a_mark_is_read_as_what_it_is(text: str, codec: str) -> None:
    data = text.encode(codec)
    verdict = classify(data)
    assert verdict.encoding == codec
    assert verdict.note == f"read as {codec}"
    assert b"".join(to_utf8([data], verdict.encoding)).decode() == text
