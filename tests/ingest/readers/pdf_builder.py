"""Writes small PDFs for the tests: text at places, outline, form fields, pictures. Text is Windows-1252."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field

FONTS = {"regular": "F1", "bold": "F2", "mono": "F3"}


def text(
    x: float, y: float, content: str, size: float = 10, font: str = "regular", *, color: str = "0 g", mode: int = 0
) -> bytes:
    """Content operators for one run of text with its baseline at (x, y), from the lower left, in points."""
    raw = content.encode("cp1252").replace(b"\\", b"\\\\").replace(b"(", b"\\(").replace(b")", b"\\)")
    head = f"BT {color} {mode} Tr /{FONTS[font]} {size} Tf 1 0 0 1 {x} {y} Tm (".encode()
    return head + raw + b") Tj ET\n"


def lines(
    x: float, y: float, contents: list[str], size: float = 10, leading: float = 12, font: str = "regular"
) -> bytes:
    return b"".join(text(x, y - i * leading, c, size, font) for i, c in enumerate(contents))


@dataclass
class PdfPage:
    content: bytes = b""
    width: float = 595
    height: float = 842
    rotate: int = 0
    picture: bool = False
    fields: list[tuple[str, str]] = field(default_factory=list)


def pdf(
    pages: list[PdfPage], *, title: str = "", outline: Sequence[tuple[str, int, float]] = (), info: str = ""
) -> bytes:
    """`outline` holds (title, page from 0, y from below)."""
    objects: list[bytes] = []

    def add(body: bytes) -> int:
        objects.append(body)
        return len(objects)

    catalog, tree = add(b""), add(b"")
    fonts = {
        name: add(f"<</Type/Font/Subtype/Type1/BaseFont/{base}/Encoding/WinAnsiEncoding>>".encode())
        for name, base in (("F1", "Helvetica"), ("F2", "Helvetica-Bold"), ("F3", "Courier"))
    }
    picture = add(
        _stream(
            zlib.compress(bytes(32 * 32)),
            "/Type/XObject/Subtype/Image/Width 32/Height 32"
            "/ColorSpace/DeviceGray/BitsPerComponent 8/Filter/FlateDecode",
        )
    )
    kids: list[int] = []
    for page in pages:
        operators = page.content
        if page.picture:
            operators += f"q {page.width} 0 0 {page.height} 0 0 cm /Im Do Q".encode()
        content = add(_stream(operators, ""))
        notes = [
            add(f"<</Type/Annot/Subtype/Widget/FT/Tx/Rect[10 10 90 30]/T({name})/V({value})>>".encode("cp1252"))
            for name, value in page.fields
        ]
        used = "".join(f"/{n} {i} 0 R" for n, i in fonts.items())
        kids.append(
            add(
                (
                    f"<</Type/Page/Parent {tree} 0 R/MediaBox[0 0 {page.width} {page.height}]/Rotate {page.rotate}"
                    f"/Resources<</Font<<{used}>>/XObject<</Im {picture} 0 R>>>>/Contents {content} 0 R"
                    f"/Annots[{' '.join(f'{n} 0 R' for n in notes)}]>>"
                ).encode()
            )
        )
    root = f"<</Type/Catalog/Pages {tree} 0 R"
    if outline:
        first = len(objects) + 2
        marks = add(
            f"<</Type/Outlines/First {first} 0 R/Last {first + len(outline) - 1} 0 R/Count {len(outline)}>>".encode()
        )
        for i, (name, page_index, y) in enumerate(outline):
            following = f"/Next {first + i + 1} 0 R" if i + 1 < len(outline) else ""
            before = f"/Prev {first + i - 1} 0 R" if i else ""
            target = f"/Dest[{kids[page_index]} 0 R/XYZ 0 {y} 0]"
            add(f"<</Title({name})/Parent {marks} 0 R{target}{following}{before}>>".encode("cp1252"))
        root += f"/Outlines {marks} 0 R"
    objects[catalog - 1] = f"{root}>>".encode()
    objects[tree - 1] = f"<</Type/Pages/Count {len(kids)}/Kids[{' '.join(f'{k} 0 R' for k in kids)}]>>".encode()
    about = add(f"<</Title({title}){info}>>".encode("cp1252"))
    return _file(objects, catalog, about)


def _stream(data: bytes, entries: str) -> bytes:
    return f"<<{entries}/Length {len(data)}>>stream\n".encode() + data + b"\nendstream"


def _file(objects: list[bytes], root: int, info: int) -> bytes:
    out = bytearray(b"%PDF-1.7\n")
    offsets = []
    for number, body in enumerate(objects, 1):
        offsets.append(len(out))
        out += f"{number} 0 obj\n".encode() + body + b"\nendobj\n"
    start = len(out)
    out += f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n".encode()
    out += b"".join(f"{o:010d} 00000 n \n".encode() for o in offsets)
    out += f"trailer<</Size {len(objects) + 1}/Root {root} 0 R/Info {info} 0 R>>\nstartxref\n{start}\n%%EOF".encode()
    return bytes(out)
