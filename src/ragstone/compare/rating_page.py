"""Blind rating on a page of this machine: loopback only, behind a random address, no file but its own."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from html import escape
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import parse_qs

from . import rating
from .figures import CRITERIA

MOST_BYTES = 4096
"""Of a form: six numbers and a name."""
TIMEOUT = 10.0
"""Seconds for one request: a browser's idle connection must not keep the next one waiting."""

_STYLE = """body{margin:0;background:#f5f7f9;color:#1f2933;font:16px/1.5 system-ui,sans-serif}
main{max-width:820px;margin:0 auto;padding:28px 20px}
.card{background:#fff;border:1px solid #dfe3e8;border-radius:10px;padding:18px 20px;margin:0 0 16px}
h1{font-size:20px;margin:0 0 6px}p{margin:4px 0}.soft{color:#5f6c7b;font-size:14px}
.text{white-space:pre-wrap;overflow-wrap:anywhere;font-size:17px}
fieldset{border:0;border-top:1px solid #dfe3e8;margin:0;padding:8px 0;display:grid;
grid-template-columns:190px auto;gap:2px 12px;align-items:center}
legend{float:left;padding:0;font-weight:600}label{margin-right:14px;cursor:pointer}
small{grid-column:1/3;color:#5f6c7b}
button{font:inherit;padding:8px 18px;border-radius:8px;border:1px solid #0072b2;background:#0072b2;color:#fff;
cursor:pointer;margin:10px 10px 0 0}button.second{background:#fff;color:#0072b2}"""


def serve(folder: Path, rater: str, *, tell: Callable[[str], None]) -> tuple[int, int]:
    """Serves until everything is rated, the rater ends it on the page, or Ctrl-C; (rated answers, answers)."""
    waiting, total = rating.pending(folder, rater)
    if not waiting:
        return total, total
    server = make_server(folder, rater)
    try:
        tell(f"Rate at {address(server)} (Ctrl-C ends; what was rated is kept).")
        while not server.RequestHandlerClass.ended:  # type: ignore[attr-defined]
            server.handle_request()
    finally:
        server.server_close()
    waiting, total = rating.pending(folder, rater)
    return total - len(waiting), total


def make_server(folder: Path, rater: str) -> HTTPServer:
    """On a free port of 127.0.0.1; its only address is `address(server)`."""
    token = secrets.token_urlsafe(24)
    bound = type("Bound", (_Handler,), {"folder": folder, "rater": rater, "token": token, "skipped": set()})
    return HTTPServer(("127.0.0.1", 0), bound)


def address(server: HTTPServer) -> str:
    return f"http://127.0.0.1:{server.server_port}/{server.RequestHandlerClass.token}/"  # type: ignore[attr-defined]


class _Handler(BaseHTTPRequestHandler):
    folder: ClassVar[Path]
    rater: ClassVar[str]
    token: ClassVar[str]
    skipped: ClassVar[set[str]]
    ended: ClassVar[bool] = False
    timeout = TIMEOUT

    def log_message(self, format: str, *args: object) -> None:
        """The address holds the token, which belongs in no log."""

    def do_GET(self) -> None:
        if self._allowed():
            self._send(200, self._page())

    def do_POST(self) -> None:
        if not self._allowed():
            return
        length = self.headers.get("content-length") or ""
        if not length.isdecimal() or int(length) > MOST_BYTES:
            self._send(413, "too much")
            return
        form = {k: v[-1] for k, v in parse_qs(self.rfile.read(int(length)).decode("utf-8", "replace")).items()}
        if not self._take(form):
            self._send(400, _whole("<p>A number from 1 to 5 is missing. Go back and choose one in each line.</p>"))
            return
        if type(self).ended:
            self._send(200, _whole("<p>Thank you. What you rated is kept; you may close this page.</p>"))
            return
        self.send_response(303)
        self.send_header("location", f"/{self.token}/")
        self.send_header("content-length", "0")
        self.end_headers()

    def _allowed(self) -> bool:
        """Only under the random path, and only for this host's own name (another one would be a page elsewhere that
        has this address resolved to it)."""
        port = self.server.server_port  # type: ignore[attr-defined]
        known = self.headers.get("host") == f"127.0.0.1:{port}"
        if known and secrets.compare_digest(self.path.encode(), f"/{self.token}/".encode()):
            return True
        self._send(404, "nothing here")
        return False

    def _take(self, form: dict[str, str]) -> bool:
        waiting = self._waiting()
        item = next((i for i in waiting if i.id == form.get("item")), None)
        if form.get("do") == "end":
            type(self).ended = True
        elif item is None:  # sent twice: it is rated already
            return True
        elif form.get("do") == "skip":
            self.skipped.add(item.id)
        else:
            scores = {c: form.get(c, "") for c in CRITERIA}
            if not all(s in ("1", "2", "3", "4", "5") for s in scores.values()):
                return False
            rating.keep(self.folder, self.rater, item, {c: int(s) for c, s in scores.items()})
        if not self._waiting():
            type(self).ended = True
        return True

    def _waiting(self) -> list[rating.Item]:
        waiting, _ = rating.pending(self.folder, self.rater)
        return [item for item in waiting if item.id not in self.skipped]

    def _page(self) -> str:
        waiting, total = rating.pending(self.folder, self.rater)
        shown = [item for item in waiting if item.id not in self.skipped]
        if not shown:
            return _whole("<p>Everything is rated.</p>")
        return _whole(_form(shown[0], total - len(waiting), total))

    def _send(self, status: int, text: str) -> None:
        data = text.encode("utf-8", "backslashreplace")
        self.send_response(status)
        self.send_header("content-type", "text/html; charset=utf-8")
        self.send_header("content-length", str(len(data)))
        self.send_header("cache-control", "no-store")
        self.send_header("referrer-policy", "no-referrer")
        self.send_header("content-security-policy", "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'")
        self.end_headers()
        self.wfile.write(data)


def _whole(body: str) -> str:
    return (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>Rating</title>'
        f"<style>{_STYLE}</style></head><body><main>{body}</main></body></html>"
    )


def _form(item: rating.Item, done: int, total: int) -> str:
    question: dict[str, Any] = dict(item.question)
    expected = "the documents do not tell" if question["refuse"] else question["answer"]
    cited = "".join(
        f'<p class="soft">[{n}] {escape(c["document"])}: {escape(" ".join(c["text"].split()))}</p>'
        for n, c in enumerate(item.citations, 1)
    )
    rows = "".join(_row(criterion) for criterion in CRITERIA)
    return (
        f'<p class="soft">{done} of {total} rated</p>'
        f'<div class="card"><h1>{escape(question["question"])}</h1>'
        f'<p class="soft">{"Expected: " + escape(expected) if expected else ""}</p></div>'
        f'<div class="card"><p class="soft">Answer {item.label} of {item.answers}</p>'
        f'<p class="text">{escape(item.text) or "(no answer)"}</p>{cited}</div>'
        f'<form class="card" method="post"><input type="hidden" name="item" value="{escape(item.id)}">{rows}'
        '<button name="do" value="rate">Keep and go on</button>'
        '<button class="second" name="do" value="skip">Skip</button>'
        '<button class="second" name="do" value="end">End</button></form>'
    )


def _row(criterion: str) -> str:
    choices = "".join(
        f'<label><input type="radio" name="{criterion}" value="{n}"> {n}</label>'
        for n in range(rating.LOWEST, rating.HIGHEST + 1)
    )
    meaning = f"<small>{rating.RUBRIC[criterion]}</small>"
    return f"<fieldset><legend>{criterion}</legend><div>{choices}</div>{meaning}</fieldset>"
