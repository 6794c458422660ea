"""HTTP/1.1 as uvicorn speaks it, with problem documents also for what is no HTTP at all."""

from __future__ import annotations

from secrets import token_hex
from typing import Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from ..errors import InputError
from .problems import problem

HINT: Final = "Send the request as an HTTP library makes it; an address has at most 64 KiB."


class Protocol(HttpToolsProtocol):
    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        places = getattr(self.loop, "places", None)
        if places is not None and self.cycle is not None and places.too_many(len(self.connections)):
            self.cycle.keep_alive = False

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - uvicorn's shape
        """What cannot be read as a request is answered, and the connection is closed."""
        _, headers, body = problem(InputError("this is no HTTP request that can be read.", HINT), token_hex(8))
        headers += [(b"content-length", str(len(body)).encode()), (b"connection", b"close")]
        head = b"".join(name + b": " + value + b"\r\n" for name, value in headers)
        self.transport.write(b"HTTP/1.1 400 Bad Request\r\n" + head + b"\r\n" + body)
        self.transport.close()
