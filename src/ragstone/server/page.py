"""The web page as files in memory, and the headers it is served with. `ui/` has its sources, `tools/build_page.py`
makes `web/` of them."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

WEB = Path(__file__).parent / "web"

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
)
"""Nothing inline, nothing from elsewhere: what a document smuggles into the page neither runs nor calls home."""

HEADERS: Mapping[str, str] = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
}

_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
}
_YEAR = 31_536_000


@dataclass(frozen=True, slots=True)
class PageFile:
    """`etag` is quoted as HTTP wants it. The name of an asset holds its hash, so it may be kept for a year; the page
    itself is asked for again each time."""

    body: bytes
    gzipped: bytes
    media_type: str
    etag: str
    cache_control: str


@cache
def page_files() -> Mapping[str, PageFile]:
    """By the path of the address: `/` and `/assets/…`."""
    files = {}
    for path in sorted(WEB.rglob("*")):
        media_type = _TYPES.get(path.suffix)
        if media_type is None or not path.is_file():
            continue
        name = path.relative_to(WEB).as_posix()
        body = path.read_bytes()
        lasting = f"public, max-age={_YEAR}, immutable" if name.startswith("assets/") else "no-cache"
        files["/" if name == "index.html" else f"/{name}"] = PageFile(
            body, gzip.compress(body, mtime=0), media_type, f'"{hashlib.sha256(body).hexdigest()[:32]}"', lasting
        )
    return files
