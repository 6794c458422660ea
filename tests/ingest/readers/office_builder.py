"""Writes small DOCX, PPTX, XLSX, ODT and EPUB files for the tests."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping

_W = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
_REL = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006/relationships"
CORE = (
    '<cp:coreProperties xmlns:cp="http://schemas.openxmlformats.org/package/2006/metadata/core-properties" '
    'xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:dcterms="http://purl.org/dc/terms/">'
    "<dc:title>{title}</dc:title><dc:creator>Ada</dc:creator><dcterms:created>2024-03-05T10:00:00Z</dcterms:created>"
    "</cp:coreProperties>"
)


def archive(members: Mapping[str, str | bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as out:
        for name, data in members.items():
            out.writestr(name, data)
    return buffer.getvalue()


def relations(*pairs: tuple[str, str]) -> str:
    """(kind, target) become relations r1, r2, …"""
    body = "".join(
        f'<Relationship Id="r{i}" Type="{_REL}/{kind}" Target="{target}"/>' for i, (kind, target) in enumerate(pairs, 1)
    )
    return f'<?xml version="1.0"?><Relationships xmlns="{_PACKAGE}">{body}</Relationships>'


def docx(body: str, *, title: str = "", prolog: str = "", **parts: str) -> bytes:
    """`parts` are further files under word/, by their name without ".xml"."""
    members = {
        "_rels/.rels": relations(("officeDocument", "word/document.xml"), ("core-properties", "docProps/core.xml")),
        "docProps/core.xml": CORE.format(title=title),
        "word/document.xml": f'<?xml version="1.0"?>{prolog}<w:document {_W}><w:body>{body}</w:body></w:document>',
        "word/_rels/document.xml.rels": relations(*((name, f"{name}.xml") for name in parts)),
    }
    for name, xml in parts.items():
        members[f"word/{name}.xml"] = f'<?xml version="1.0"?><w:{name} {_W}>{xml}</w:{name}>'
    return archive(members)


def paragraph(text: str, *, style: str = "", properties: str = "", run: str = "") -> str:
    style = f'<w:pStyle w:val="{style}"/>' if style else ""
    return f"<w:p><w:pPr>{style}{properties}</w:pPr><w:r><w:rPr>{run}</w:rPr><w:t>{text}</w:t></w:r></w:p>"


def pptx(*slides: str, notes: str = "") -> bytes:
    """Each slide is the inside of its shape tree."""
    spaces = (
        'xmlns:p="http://schemas.openxmlformats.org/presentationml/2006/main" '
        f'xmlns:a="http://schemas.openxmlformats.org/drawingml/2006/main" xmlns:r="{_REL}"'
    )
    order = "".join(f'<p:sldId id="{256 + i}" r:id="r{i}"/>' for i in range(1, len(slides) + 1))
    members = {
        "_rels/.rels": relations(("officeDocument", "ppt/presentation.xml")),
        "ppt/presentation.xml": f"<p:presentation {spaces}><p:sldIdLst>{order}</p:sldIdLst></p:presentation>",
        "ppt/_rels/presentation.xml.rels": relations(
            *(("slide", f"slides/slide{i + 1}.xml") for i in range(len(slides)))
        ),
    }
    for i, tree in enumerate(slides, 1):
        members[f"ppt/slides/slide{i}.xml"] = f"<p:sld {spaces}><p:cSld><p:spTree>{tree}</p:spTree></p:cSld></p:sld>"
    if notes:
        members["ppt/slides/_rels/slide1.xml.rels"] = relations(("notesSlide", "../notesSlides/n1.xml"))
        members["ppt/notesSlides/n1.xml"] = f"<p:notes {spaces}>{shape(notes, kind='body')}</p:notes>"
    return archive(members)


def shape(*texts: str, kind: str = "", x: int | None = None, y: int = 0) -> str:
    holder = f'<p:nvPr><p:ph type="{kind}"/></p:nvPr>' if kind else ""
    place = f'<a:xfrm><a:off x="{x}" y="{y}"/></a:xfrm>' if x is not None else ""
    body = "".join(f"<a:p><a:r><a:t>{t}</a:t></a:r></a:p>" for t in texts)
    return f"<p:sp>{holder}<p:spPr>{place}</p:spPr><p:txBody>{body}</p:txBody></p:sp>"


def xlsx(sheets: Mapping[str, list[list[str | float | None]]], *, dimension: str = "") -> bytes:
    space = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
    names = "".join(f'<sheet name="{n}" sheetId="{i}" r:id="r{i}"/>' for i, n in enumerate(sheets, 1))
    members = {
        "[Content_Types].xml": '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"/>',
        "_rels/.rels": relations(("officeDocument", "xl/workbook.xml")),
        "xl/workbook.xml": f'<workbook {space} xmlns:r="{_REL}"><sheets>{names}</sheets></workbook>',
        "xl/_rels/workbook.xml.rels": relations(
            *(("worksheet", f"worksheets/s{i + 1}.xml") for i in range(len(sheets)))
        ),
    }
    for number, rows in enumerate(sheets.values(), 1):
        body = ""
        for r, row in enumerate(rows, 1):
            cells = ""
            for c, value in enumerate(row):
                at = f"{chr(65 + c)}{r}"
                if isinstance(value, str):
                    cells += f'<c r="{at}" t="inlineStr"><is><t>{value}</t></is></c>'
                elif value is not None:
                    cells += f'<c r="{at}"><v>{value}</v></c>'
            body += f'<row r="{r}">{cells}</row>'
        head = f'<dimension ref="{dimension}"/>' if dimension else ""
        members[f"xl/worksheets/s{number}.xml"] = f"<worksheet {space}>{head}<sheetData>{body}</sheetData></worksheet>"
    return archive(members)


def odf(body: str, *, kind: str = "text", styles: str = "", meta: str = "", manifest: str = "") -> bytes:
    urn = "urn:oasis:names:tc:opendocument:xmlns"
    spaces = (
        " ".join(
            f'xmlns:{n}="{urn}:{u}:1.0"'
            for n, u in (
                ("office", "office"),
                ("text", "text"),
                ("table", "table"),
                ("draw", "drawing"),
                ("style", "style"),
                ("presentation", "presentation"),
                ("meta", "meta"),
                ("manifest", "manifest"),
            )
        )
        + ' xmlns:dc="http://purl.org/dc/elements/1.1/"'
    )
    return archive(
        {
            "mimetype": f"application/vnd.oasis.opendocument.{kind}",
            "META-INF/manifest.xml": f"<manifest:manifest {spaces}>{manifest}</manifest:manifest>",
            "meta.xml": f"<office:document-meta {spaces}><office:meta>{meta}</office:meta></office:document-meta>",
            "content.xml": (
                f"<office:document-content {spaces}><office:automatic-styles>{styles}</office:automatic-styles>"
                f"<office:body><office:{kind}>{body}</office:{kind}></office:body></office:document-content>"
            ),
        }
    )


def epub(
    chapters: Mapping[str, str], *, spine: list[str] | None = None, extra: Mapping[str, str] | None = None
) -> bytes:
    """`chapters` by file name; `spine` the names in reading order."""
    ids = {name: f"c{i}" for i, name in enumerate(chapters)}
    items = "".join(f'<item id="{i}" href="{n}" media-type="application/xhtml+xml"/>' for n, i in ids.items())
    order = "".join(f'<itemref idref="{ids[n]}"/>' for n in spine or chapters)
    container = (
        '<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container" version="1.0"><rootfiles>'
        '<rootfile full-path="OEBPS/book.opf"/></rootfiles></container>'
    )
    book = (
        '<package xmlns="http://www.idpf.org/2007/opf"><metadata xmlns:dc="http://purl.org/dc/elements/1.1/">'
        "<dc:title>Buch</dc:title><dc:language>de-DE</dc:language><dc:creator>Ada</dc:creator></metadata>"
        f'<manifest>{items}<item id="ncx" href="toc.ncx" media-type="application/x-dtbncx+xml"/></manifest>'
        f'<spine toc="ncx">{order}</spine></package>'
    )
    members = {"mimetype": "application/epub+zip", "META-INF/container.xml": container, "OEBPS/book.opf": book}
    members |= {f"OEBPS/{n}": t for n, t in chapters.items()}
    return archive(members | dict(extra or {}))
