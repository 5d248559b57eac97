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


RUSSIAN = (
    "Все счастливые семьи похожи друг на друга, каждая несчастливая семья несчастлива по-своему. "
    "Всё смешалось в доме Облонских.\n"
)
POLISH = (
    "Litwo! Ojczyzno moja! ty jesteś jak zdrowie; Ile cię trzeba cenić, ten tylko się dowie, Kto cię stracił. "
    "Dziś piękność twą w całej ozdobie Widzę i opisuję, bo tęsknię po tobie.\n"
)
TURKISH = "Bütün insanlar hür, haysiyet ve haklar bakımından eşit doğarlar. Akıl ve vicdana sahiptirler.\n"
GREEK = "Όλοι οι άνθρωποι γεννιούνται ελεύθεροι και ίσοι στην αξιοπρέπεια και τα δικαιώματα.\n"
HEBREW = "כל בני האדם נולדו בני חורין ושווים בערכם ובזכויותיהם. כולם חוננו בתבונה ובמצפון.\n"
ARABIC = "يولد جميع الناس أحرارا متساوين في الكرامة والحقوق. وقد وهبوا عقلا وضميرا.\n"
CHINESE = "道可道，非常道。名可名，非常名。无名天地之始；有名万物之母。\n"
TAIWANESE = "道可道，非常道。名可名，非常名。無名天地之始；有名萬物之母。\n"
KOREAN = "모든 인간은 태어날 때부터 자유로우며 그 존엄과 권리에 있어 동등하다.\n"
JAPANESE = "吾輩は猫である。名前はまだ無い。どこで生れたかとんと見当がつかぬ。\n"
FRENCH = "C’est l’été, à l’école, où les élèves étaient déjà fatigués ; « ça va » dit-il, cœur brisé…\n"


@pytest.mark.parametrize("length", [1000, 200_000])
@pytest.mark.parametrize(
    ("text", "codec"),
    [
        *(
            (RUSSIAN, codec)
            for codec in ("cp1251", "koi8_r", "iso8859_5", "cp866", "mac_cyrillic", "utf-16-le")
        ),
        *((POLISH, codec) for codec in ("cp1250", "iso8859_2")),
        *((GREEK, codec) for codec in ("cp1253", "iso8859_7")),
        (TURKISH, "cp1254"),
        (HEBREW, "cp1255"),
        (ARABIC, "cp1256"),
        *((FRENCH, codec) for codec in ("cp1252", "mac_roman")),
        *((CHINESE, codec) for codec in ("gb18030", "gb2312", "utf-16-be")),
        (TAIWANESE, "big5"),
        *((KOREAN, codec) for codec in ("euc_kr", "cp949")),
        *((JAPANESE, codec) for codec in ("shift_jis", "euc_jp", "iso2022_jp", "utf-16-le", "utf-32-be")),
    ],
)
def test_the_text_of_each_usual_encoding_comes_back(text: str, codec: str, length: int) -> None:
    text = (text * (length // len(text) + 1))[:length]
    data = text.encode(codec)
    verdict = classify(data)
    assert verdict.note == f"read as {verdict.encoding}"
    assert b"".join(to_utf8([data], verdict.encoding)).decode() == text


@given(st.binary(max_size=200))
def test_no_bytes_become_c1_control_characters_unless_utf8_has_them(data: bytes) -> None:
    verdict = classify(data)
    if verdict.encoding in ("", "utf-8") or verdict.encoding.startswith(("utf-", "iso2022")):
        return
    try:
        text = b"".join(to_utf8([data], verdict.encoding)).decode()
    except UnicodeDecodeError:
        return
    assert not any("\x80" <= character <= "\x9f" for character in text)


@given(st.binary(max_size=300), st.sampled_from(["strict", "replace"]))
def test_what_is_classified_can_be_decoded(data: bytes, errors: str) -> None:
    verdict = classify(data, errors=errors)
    if verdict.encoding:
        b"".join(to_utf8([data], verdict.encoding, errors=errors))


def test_binary_formats_stay_binary() -> None:
    png = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(range(256)) * 4
    assert "binary" in classify(png).why_not
    assert "binary" in classify(b"SQLite format 3\0" + bytes(4000)).why_not
    assert classify(b"log line\0\n" * 3 + b"more text " * 20).note == "holds NUL characters"


def test_a_stated_encoding_names_the_first_bad_byte() -> None:
    verdict = classify(b"caf\xe9 here", "utf-8")
    assert "byte 0xE9 at offset 3" in verdict.why_not
    assert "corpus.errors=replace" in verdict.why_not
    assert b"".join(to_utf8([b"caf\xe9 here"], "utf-8", errors="replace")).decode() == "caf\ufffd here"


def test_utf16_by_name_without_a_mark_says_what_to_name() -> None:
    assert "utf-16-le" in classify("plain".encode("utf-16-le"), "utf-16").why_not
    assert classify("plain".encode("utf-16"), "utf-16").encoding == "utf-16"


def test_a_bad_unit_after_a_byte_order_mark_is_named_or_replaced() -> None:
    data = "\ufeffwide text\n".encode("utf-16-le") + b"\x00\xd8a\0"
    assert "byte 0x00 at offset 22" in classify(data).why_not
    verdict = classify(data, errors="replace")
    assert verdict.encoding == "utf-16-le"
    assert "\ufffd" in b"".join(to_utf8([data], verdict.encoding, errors="replace")).decode()
