"""The web page and its assets."""

from __future__ import annotations

from ..operations import Call, Operation, Reply, takes_gzip
from ..page import HEADERS, page_files

_USUAL = ("x-content-type-options", "referrer-policy")  # every answer has them


async def page(call: Call) -> Reply:
    file = page_files()[call.operation.path]
    headers = [
        (b"etag", file.etag.encode()),
        (b"cache-control", file.cache_control.encode()),
        (b"vary", b"Accept-Encoding"),
        *((name.encode(), value.encode()) for name, value in HEADERS.items() if name not in _USUAL),
    ]
    if call.headers.get("if-none-match") == file.etag:
        return Reply(None, 304, headers)
    if takes_gzip(call):
        return Reply(file.gzipped, 200, [*headers, (b"content-encoding", b"gzip")], file.media_type)
    return Reply(file.body, 200, headers, file.media_type)


OPERATIONS = [
    Operation("GET", path, "page", "A file of the web page.", page, scope=None, lane="loop", described=False)
    for path in page_files()
]
