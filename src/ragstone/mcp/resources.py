"""Documents and parts of them as resources. Their addresses hold the document's uri percent-encoded."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, unquote

import msgspec
from mcp import types

from ..errors import InputError, NotFound
from ..types import Document
from .documents import span
from .rendering import flat, quoted
from .shapes import MOST_SPAN

if TYPE_CHECKING:
    from ..knowledge_base import KnowledgeBase

PAGE: Final = 100
"""Documents on one page of the list."""
DOCUMENT: Final = "ragstone://documents/{collection}/{uri}"
SPAN: Final = "ragstone://documents/{collection}/{uri}/{start}-{end}"
_ADDRESS = re.compile(r"ragstone://documents/([^/?#]{1,400})/([^/?#]{1,8192})(?:/(\d{1,12})-(\d{1,12}))?")

TEMPLATES: Final = (
    types.ResourceTemplate(
        name="document", title="Document", uri_template=DOCUMENT, mime_type="text/plain",
        description=f"The first {MOST_SPAN} characters of a document; uri percent-encoded. Quoted data.",
    ),
    types.ResourceTemplate(
        name="span", title="Part of a document", uri_template=SPAN, mime_type="text/plain",
        description=f"Characters start to end of a document, at most {MOST_SPAN}. Quoted data.",
    ),
)  # fmt: skip


def address(collection: str, uri: str) -> str:
    return f"ragstone://documents/{quote(collection, safe='')}/{quote(uri, safe='', errors='surrogatepass')}"


def read(kb: KnowledgeBase, asked: str) -> types.ReadResourceResult:
    """Raises NotFound, InputError."""
    match = _ADDRESS.fullmatch(asked)
    if match is None:
        raise NotFound("there is no such resource.", f"Addresses are {DOCUMENT} and {SPAN}.")
    collection, uri = (unquote(part, errors="surrogatepass") for part in match.group(1, 2))
    start, end = (None if part is None else int(part) for part in match.group(3, 4))
    found = span(kb, collection, uri, start or 0, end)
    more = "" if found["end"] >= found["characters"] else f"\n(The document has {found['characters']} characters.)"
    text = quoted(found["text"]) + more
    return types.ReadResourceResult(
        contents=[types.TextResourceContents(uri=asked, mime_type="text/plain", text=text)]
    )


def page(kb: KnowledgeBase, cursor: str | None) -> types.ListResourcesResult:
    """Documents by collection and uri. Raises InputError."""
    begin, after = _opened(cursor) if cursor else ("", "")
    listed: list[Document] = []
    for name in sorted(kb.store.collections()):
        if name < begin:
            continue
        try:
            listed += kb.store.document_page(name, PAGE + 1 - len(listed), after=after if name == begin else "")
        except NotFound:
            continue  # dropped meanwhile
        if len(listed) > PAGE:
            break
    shown = listed[:PAGE]
    last = shown[-1] if len(listed) > PAGE else None
    return types.ListResourcesResult(
        resources=_resources(shown), next_cursor=_cursor(last.collection, last.uri) if last else None
    )


def _resources(documents: Sequence[Document]) -> list[types.Resource]:
    return [
        types.Resource(
            uri=address(one.collection, one.uri), name=flat(one.uri), title=flat(one.title) or None,
            mime_type="text/plain", size=one.size,
        )
        for one in documents
    ]  # fmt: skip


def _cursor(collection: str, uri: str) -> str:
    raw = msgspec.json.encode([collection, uri.encode("utf-8", "surrogatepass")])
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _opened(cursor: str) -> tuple[str, str]:
    try:
        raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), b"-_", validate=True)
        collection, uri = msgspec.json.decode(raw, type=tuple[str, bytes])
        return collection, uri.decode("utf-8", "surrogatepass")
    except (binascii.Error, ValueError):
        raise InputError("the cursor is not one of this list.", "Begin without one.") from None
