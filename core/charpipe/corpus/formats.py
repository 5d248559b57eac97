"""Recognize formats that must be converted to text first (office documents, books, archives), by content."""

from __future__ import annotations

import zipfile
from typing import BinaryIO

from charpipe.corpus.zip_directory import directory_parts

_OFFICE = "convert it to text first, for example with `pandoc FILE -t plain -o FILE.txt`"
_LEGACY = "convert it to text first, for example with `soffice --convert-to txt FILE`"
_BOOK = "convert it to text first, for example with Calibre's `ebook-convert FILE FILE.txt`"
_UNPACK = "unpack it and name the folder"
_PDF = "a PDF document: convert it to text first, for example with `pdftotext FILE FILE.txt`"
_STARTS = (
    (b"%PDF-", _PDF),
    (b"%!PS", "a PostScript document: convert it to text first, for example with `ps2txt FILE FILE.txt`"),
    (b"{\\rtf", f"an RTF document: {_OFFICE}"),
    (
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
        f"a document of an older office format (.doc, .xls, .ppt): {_LEGACY}",
    ),
    (b"ITSF\x03", f"a book (.chm): {_BOOK}"),
    (b"AT&TFORM", "a DjVu document: convert it to text first, for example with `djvutxt FILE FILE.txt`"),
    (b"7z\xbc\xaf\x27\x1c", f"a 7z archive: {_UNPACK}, for example with `7z x FILE`"),
    (b"Rar!\x1a\x07", f"a RAR archive: {_UNPACK}, for example with `unrar x FILE`"),
    (b"MSCF\0\0\0\0", f"a cabinet archive: {_UNPACK}, for example with `cabextract FILE`"),
    (b"\x04\x22\x4d\x18", "compressed with lz4: decompress it first, with `lz4 -d FILE`"),
    (b"LZIP\x01", "compressed with lzip: decompress it first, with `lzip -d FILE`"),
    (b"\x1f\x9d", "compressed with compress: decompress it first, with `uncompress FILE`"),
)
_MIMETYPES = (
    (b"application/epub+zip", f"a book (.epub): {_OFFICE}"),
    (b"application/vnd.oasis.opendocument", f"an OpenDocument file (.odt, .ods, .odp): {_OFFICE}"),
)
_PARTS = (
    ("word/", f"a Word document (.docx): {_OFFICE}"),
    ("xl/", "an Excel workbook (.xlsx): save it as CSV or text first"),
    ("ppt/", f"a PowerPoint presentation (.pptx): {_LEGACY}"),
    ("META-INF/container.xml", f"a book (.epub): {_OFFICE}"),
    ("META-INF/manifest.xml", f"an OpenDocument file (.odt, .ods, .odp): {_OFFICE}"),
)
_ENOUGH_NAMES = 10_000


def document_format(head: bytes) -> str:
    """The format of a file that needs conversion, and how to convert it, by its first 512 bytes; else empty."""
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip(b"\r\n\t ")
    for mark, what in _STARTS:
        if head.startswith(mark) or (mark == b"%PDF-" and start.startswith(mark)):
            return what
    if head[60:68] in (b"BOOKMOBI", b"TEXtREAd"):
        return f"a book (.mobi, .azw3, .prc): {_BOOK}"
    return _zipped(head) if head.startswith(b"PK\x03\x04") else ""


def zip_document(source: BinaryIO) -> str:
    """As `document_format`, for office documents and books in a zip file. The stream's position is restored."""
    position = source.tell()
    try:
        source.seek(0)
        if found := document_format(source.read(512)):
            return found
        archive = next(directory_parts(source))
        names = archive.namelist()[:_ENOUGH_NAMES]
    except (zipfile.BadZipFile, StopIteration, OSError, ValueError, NotImplementedError):
        return ""
    finally:
        source.seek(position)
    if "[Content_Types].xml" not in names and not any(name.startswith("META-INF/") for name in names):
        return ""
    return next((what for part, what in _PARTS if any(name.startswith(part) for name in names)), "")


def _zipped(head: bytes) -> str:
    """As `document_format`, by a zip's first member: `mimetype` (books, OpenDocument) or the content types (Office)."""
    name = head[30 : 30 + int.from_bytes(head[26:28], "little")]
    if name == b"mimetype":
        return next((what for mark, what in _MIMETYPES if mark in head[38:120]), "")
    if name in (b"[Content_Types].xml", b"_rels/.rels"):
        return f"an Office document (.docx, .xlsx, .pptx): {_OFFICE}"
    return ""
