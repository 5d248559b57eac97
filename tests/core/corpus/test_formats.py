"""Documents of office and book formats are told by their content, and refused with a way to get their text."""

import io
import zipfile
from pathlib import Path

import pytest

from charpipe.corpus import CorpusConfig, ingest
from charpipe.corpus.formats import document_format, zip_document
from charpipe.errors import CorpusError
from charpipe.plugin import Fetched


def zipped(*names: str, mimetype: str = "") -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        if mimetype:
            archive.writestr("mimetype", mimetype)
        for name in names:
            archive.writestr(name, "<xml>not text</xml>")
    return held.getvalue()


DOCUMENTS = {
    "docx": (zipped("word/numbering.xml", "word/document.xml", "[Content_Types].xml"), "pandoc"),
    "xlsx": (zipped("[Content_Types].xml", "xl/workbook.xml"), "Excel|Office"),
    "pptx": (zipped("ppt/slides/slide1.xml", "[Content_Types].xml"), "PowerPoint"),
    "epub": (zipped("META-INF/container.xml", mimetype="application/epub+zip"), "book"),
    "odt": (zipped("content.xml", mimetype="application/vnd.oasis.opendocument.text"), "OpenDocument"),
    "pdf": (b"%PDF-1.7\n1 0 obj", "pdftotext"),
    "doc": (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), "soffice"),
    "rtf": (b"{\\rtf1\\ansi text}", "pandoc"),
    "mobi": (b"A book".ljust(60, b"\0") + b"BOOKMOBI" + bytes(99), "ebook-convert"),
    "7z": (b"7z\xbc\xaf\x27\x1c" + bytes(99), "7z x"),
    "rar": (b"Rar!\x1a\x07\x01\0" + bytes(99), "unrar"),
}


@pytest.mark.parametrize("kind", DOCUMENTS)
def test_document_alone_under_any_name_is_refused(kind: str, tmp_path: Path) -> None:
    data, way = DOCUMENTS[kind]
    path = tmp_path / "input.txt"
    path.write_bytes(data)
    (tmp_path / "out").mkdir()
    with pytest.raises(CorpusError, match=way):
        ingest(Fetched("x", path=path), CorpusConfig(sources=["x"]), tmp_path / "out")


def test_text_and_plain_archives_are_no_documents() -> None:
    assert document_format(b"PDF is a format: %PDF-1.7") == ""
    assert document_format(b"<html><body>text</body></html>") == ""
    assert zip_document(io.BytesIO(zipped("a.txt", "word/b.txt"))) == ""
    assert zip_document(io.BytesIO(b"PK\x03\x04 damaged")) == ""
