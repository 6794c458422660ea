"""Pages of a document: which there are, how one looks, and where on it a cited text stands. Pictures are of PDFs."""

from __future__ import annotations

from typing import Annotated, Any, Final, TypedDict

from msgspec import Meta, Struct

from ...errors import InputError, NotFound
from ...ingest.page_image import PageRequest
from ...knowledge_base import KnowledgeBase
from ...types import Document, Page
from ..operations import Call, Operation, Reply, unchanged
from ..rendering import original
from .documents import document_of

PDF: Final = "application/pdf"
WIDTH: Final = 1_200
MOST_WIDTH: Final = 3_000
QUOTED: Final = 20_000
"""Characters of a cited text that are looked for."""


class PageItem(TypedDict):
    number: int
    label: Annotated[str, "what is printed on it, where that differs"]
    start: Annotated[int, "where its text begins in the document's"]
    end: int


class PageList(TypedDict):
    items: list[PageItem]


class Rectangle(TypedDict):
    """As shares of the page, from its upper left corner."""

    left: float
    top: float
    right: float
    bottom: float


class PagePlaces(TypedDict):
    page: int
    rectangles: Annotated[list[Rectangle], "one for each line; none where the page has the text in another order"]


class ImageQuery(Struct, forbid_unknown_fields=True):
    width: Annotated[int, Meta(ge=50, le=MOST_WIDTH, description="in pixels")] = WIDTH


class PlaceQuery(Struct, forbid_unknown_fields=True):
    start: Annotated[int, Meta(ge=0, le=1 << 40, description="of the citation")]
    end: Annotated[int, Meta(ge=0, le=1 << 40)]


def list_pages(call: Call, kb: KnowledgeBase) -> Any:
    pages = document_of(call, kb).pages
    return {"items": [{"number": p.number, "label": p.label, "start": p.start, "end": p.end} for p in pages]}


def image(call: Call, kb: KnowledgeBase) -> Reply:
    document = document_of(call, kb)
    page = _page(document, call.path["page"])
    query: ImageQuery = call.query
    etag = f'"{document.content_hash.hex()[:32]}-{page.number}-{query.width}"'
    headers = [(b"etag", etag.encode()), (b"cache-control", b"private, no-cache")]
    if unchanged(call, etag):
        return Reply(None, 304, headers)
    drawn = _drawn(call, kb, document, PageRequest(page.number, query.width))
    return Reply(drawn.png, 200, headers, "image/png")


def places(call: Call, kb: KnowledgeBase) -> Any:
    document = document_of(call, kb)
    page = _page(document, call.path["page"])
    query: PlaceQuery = call.query
    if query.start > query.end:
        raise InputError("the span begins behind its end.", "Give start and end as a citation has them.")
    start, end = max(query.start, page.start), min(query.end, page.end)
    text = kb.store.document_text(document.id)[start : min(end, start + QUOTED)] if start < end else ""
    drawn = _drawn(call, kb, document, PageRequest(page.number, text=text)) if text.strip() else None
    found = [] if drawn is None else drawn.rectangles
    return {
        "page": page.number,
        "rectangles": [dict(zip(("left", "top", "right", "bottom"), corners, strict=True)) for corners in found],
    }


def _drawn(call: Call, kb: KnowledgeBase, document: Document, request: PageRequest) -> Any:
    data = original(kb, document, call.service.settings.ingest.file_bytes)
    return call.service.renderer.draw(data, request)


def _page(document: Document, text: str) -> Page:
    """Raises NotFound."""
    if document.media_type != PDF:
        raise NotFound("only pages of PDFs can be shown.", "Show the document's text instead.")
    number = int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else 0
    found = next((page for page in document.pages if page.number == number), None)
    if found is None:
        raise NotFound("the document has no such page.", f"Its pages are 1 to {len(document.pages)}.")
    return found


_ERRORS: Final = (404, 413, 422)

OPERATIONS = [
    Operation(
        "GET", "/v1/documents/{document}/pages", "documentPages", "The pages of a document and where their text is.",
        list_pages, result=PageList, group="documents", errors=(404,), conditional=True,
        links={
            name: {"document": "$request.path.document", "page": "$response.body#/items/0/number"}
            for name in ("pageImage", "pagePlaces")
        },
    ),
    Operation(
        "GET", "/v1/documents/{document}/pages/{page}/image", "pageImage", "A page of a PDF as a picture.", image,
        query=ImageQuery, media_type="image/png", result=bytes, group="documents", errors=_ERRORS, conditional=True,
        description="Drawn from the file as it was uploaded, where it was kept (setting server.keep_originals), or "
        "from the file below a folder that was added on the server's machine, as long as it did not change.",
    ),
    Operation(
        "GET", "/v1/documents/{document}/pages/{page}/places", "pagePlaces",
        "Where on a page of a PDF a cited text stands.", places, query=PlaceQuery, result=PagePlaces,
        group="documents", errors=_ERRORS,
    ),
]  # fmt: skip
