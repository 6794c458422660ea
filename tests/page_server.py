"""The page over a real socket and a real knowledge base, as far as the page asks: what `ragstone serve` answers."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import secrets
import socket
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
import pypdfium2
import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from ragstone.cli.records import answer_record, collection_record, document_record, search_record
from ragstone.errors import NotFound, RagstoneError
from ragstone.knowledge_base import KnowledgeBase
from ragstone.server.page import HEADERS, page_files
from ragstone.types import Document, Filter

TOKEN = "token-of-the-printed-address"


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")


class PageServer:
    """One tenant, one process. `url` is the printed address without its token."""

    def __init__(self, kb: KnowledgeBase, folder: Path) -> None:
        self.kb = kb
        self.store: Any = kb._store
        self.uploads = folder
        self.sessions: dict[str, str] = {}
        self.jobs: dict[str, dict[str, Any]] = {}
        self.keys: list[dict[str, Any]] = []
        self.tenants: list[dict[str, Any]] = [{"id": "default", "name": "default", "created": _time(time.time())}]
        self.feedback: list[Any] = []
        self.asked: deque[tuple[float, dict[str, float]]] = deque(maxlen=5000)
        self.series: deque[dict[str, Any]] = deque(maxlen=720)
        self.url = ""

    # ------------------------------------------------------------------ who
    def _allowed(self, request: Request) -> None:
        csrf = self.sessions.get(request.cookies.get("session", ""))
        if csrf is None:
            raise HTTPException(401, "you are not signed in.")
        if request.method not in ("GET", "HEAD") and request.headers.get("x-csrf-token") != csrf:
            raise HTTPException(403, "the request does not come from the page.")

    async def sign_in(self, request: Request) -> Response:
        if request.headers.get("authorization") != f"Bearer {TOKEN}":
            raise HTTPException(401, "this token is not valid.")
        name, csrf = secrets.token_urlsafe(), secrets.token_urlsafe()
        self.sessions[name] = csrf
        response = JSONResponse(self._session(csrf), 201)
        response.set_cookie("session", name, httponly=True, samesite="strict", path="/")
        return response

    def _session(self, csrf: str) -> dict[str, Any]:
        return {"csrf": csrf, "scopes": ["read", "write", "admin"], "tenant": "default", "name": "loopback"}

    async def session(self, request: Request) -> Response:
        csrf = self.sessions.get(request.cookies.get("session", ""))
        if csrf is None:
            raise HTTPException(401, "you are not signed in.")
        if request.method == "DELETE":
            self.sessions.pop(request.cookies["session"])
            return Response(status_code=204)
        return JSONResponse(self._session(csrf))

    # ------------------------------------------------------------------ what is there
    def _document(self, id: int) -> Document:
        for name in self.store.collections():
            for document in self.store.documents(name):
                if document.id == id:
                    return document
        raise NotFound("there is no such document.")

    def _shown(self, document: Document) -> dict[str, Any]:
        record = document_record(document)
        times = {"added": _time(document.added), "modified": _time(document.modified)}
        return {**record, "id": document.id, "size": document.size, **times}

    def collections(self, request: Request) -> Response:
        return JSONResponse({"items": [collection_record(c) for c in self.kb.collections()]})

    async def new_collection(self, request: Request) -> Response:
        name = (await request.json())["name"]
        self.store.create_collection(name)
        return JSONResponse({"name": name}, 201)

    def drop_collection(self, request: Request) -> Response:
        self.kb.drop_collection(request.path_params["name"])
        return Response(status_code=204)

    def documents(self, request: Request) -> Response:
        wanted, limit = request.query_params.get("q", "").lower(), int(request.query_params.get("limit", 50))
        after = int(request.query_params.get("cursor", 0))
        found = [
            d for d in self.store.documents(request.path_params["name"])
            if wanted in d.uri.lower() or wanted in d.title.lower()
        ]  # fmt: skip
        more = str(after + limit) if len(found) > after + limit else None
        return JSONResponse({"items": [self._shown(d) for d in found[after : after + limit]], "next": more})

    def document(self, request: Request) -> Response:
        document = self._document(request.path_params["id"])
        if request.method == "DELETE":
            self.kb.remove([document.uri], collection=document.collection)
            return Response(status_code=204)
        return JSONResponse(self._shown(document))

    def text(self, request: Request) -> Response:
        text = self.store.document_text(self._document(request.path_params["id"]).id)
        start = max(0, int(request.query_params.get("start", 0)))
        end = min(len(text), int(request.query_params.get("end", len(text))))
        return JSONResponse({"start": start, "end": end, "text": text[start:end]})

    def chunks(self, request: Request) -> Response:
        chunks = self.store.document_chunks(self._document(request.path_params["id"]).id)
        names = ("id", "start", "end", "text", "page", "line", "section")
        return JSONResponse({"items": [{n: getattr(c, n) for n in names} for c in chunks], "next": None})

    def page_image(self, request: Request) -> Response:
        document = self._document(request.path_params["id"])
        pdf = pypdfium2.PdfDocument(document.uri.removeprefix("file://"))
        page = pdf[request.path_params["page"] - 1]
        picture = io.BytesIO()
        page.render(scale=1.6).to_pil().save(picture, "PNG")
        return Response(picture.getvalue(), media_type="image/png")

    # ------------------------------------------------------------------ questions
    async def search(self, request: Request) -> Response:
        asked = await request.json()
        given = asked.get("filter") or {}
        for name in ("modified_after", "modified_before"):
            if name in given:
                given[name] = datetime.fromisoformat(given[name]).timestamp()
        filter = Filter(**{k: tuple(v) if isinstance(v, list) else v for k, v in given.items()})
        result = await asyncio.to_thread(
            self.kb.search, asked["query"], collections=asked.get("collections"), k=asked.get("k", 10),
            mode=asked.get("mode", "hybrid"), diversity=asked.get("diversity"), filter=filter,
        )  # fmt: skip
        self.asked.append((time.time(), dict(result.timings)))
        return JSONResponse(search_record(result))

    async def ask(self, request: Request) -> Response:
        asked = await request.json()

        def events() -> Iterator[str]:
            number = 0
            try:
                for event in self.kb.ask_stream(asked["question"], collections=asked.get("collections")):
                    number += 1
                    if event.answer is not None:
                        self.asked.append((time.time(), dict(event.answer.timings)))
                        yield _event(number, "final", answer_record(event.answer))
                    else:
                        name = "name" if event.kind == "stage" else "text"
                        yield ": alive\n\n" + _event(number, event.kind, {name: event.text})
            except RagstoneError as error:
                yield _event(number, "error", {"status": 503, "detail": error.message, "hint": error.hint})

        return StreamingResponse(events(), media_type="text/event-stream")

    async def rate(self, request: Request) -> Response:
        self.feedback.append(await request.json())
        return Response(status_code=204)

    # ------------------------------------------------------------------ uploads
    async def upload(self, request: Request) -> Response:
        form = await request.form()
        file: Any = form["files"]
        path = self.uploads / secrets.token_hex(8) / Path(file.filename).name
        path.parent.mkdir(parents=True)
        path.write_bytes(await file.read())
        job: dict[str, Any] = {
            "id": secrets.token_hex(8), "kind": "ingest", "state": "queued", "progress": None, "result": None,
            "failures": [], "created": _time(time.time()), "attempts": 1,
        }  # fmt: skip
        self.jobs[job["id"]] = job
        threading.Thread(target=self._ingest, args=(job, path, request.path_params["name"]), daemon=True).start()
        return JSONResponse({"job": job}, 202, headers={"location": f"/v1/jobs/{job['id']}"})

    def _ingest(self, job: dict[str, Any], path: Path, collection: str) -> None:
        job["state"] = "running"
        try:
            report = self.kb.add([path], collection=collection, remember=False)
            files = [{"state": f.state, "reason": f.reason} for f in report.files]
            job.update(result={"files": files}, state="failed" if files[0]["state"] == "failed" else "done")
            job["failures"] = [{"code": "DamagedFile", "message": files[0]["reason"]}] if job["state"] == "failed" else []
        except RagstoneError as error:
            job.update(failures=[{"code": error.code, "message": error.message, "hint": error.hint}], state="failed")

    def job_list(self, request: Request) -> Response:
        return JSONResponse({"items": [*reversed(self.jobs.values())], "next": None})

    def job(self, request: Request) -> Response:
        return JSONResponse(self.jobs[request.path_params["id"]])

    async def job_events(self, request: Request) -> Response:
        job = self.jobs[request.path_params["id"]]

        async def events() -> Any:
            number, last = 0, ""
            while last not in ("done", "failed"):
                if job["state"] != last:
                    last = job["state"]
                    number += 1
                    yield _event(number, "job", job)
                await asyncio.sleep(0.02)

        return StreamingResponse(events(), media_type="text/event-stream")

    # ------------------------------------------------------------------ the machine, keys, tenants
    def status(self, request: Request) -> Response:
        return JSONResponse(self.kb.status())

    def metrics(self, request: Request) -> Response:
        return JSONResponse(_series(list(self.series)))

    def measure(self) -> None:
        """A point of the series."""
        now = time.time()
        recent = [timings for at, timings in self.asked if at > now - 5]
        stages: dict[str, list[float]] = {}
        for timings in recent:
            for stage, value in timings.items():
                stages.setdefault(stage, []).append(value)
        results = self.kb.status()["caches"]["results"]
        self.series.append(
            {
                "time": now, "requests_per_second": len(recent) / 5, "hit_rate": results.get("hit_rate"),
                "cpu_percent": psutil.cpu_percent(), "memory_bytes": psutil.Process().memory_info().rss,
                "stages": {stage: sorted(values) for stage, values in stages.items()},
            }
        )  # fmt: skip

    def budget(self, request: Request) -> Response:
        amounts = {"limit": 20.0, "spent": 6.31, "held": 0.05, "left": 13.64, "renews": time.time() + 86400}
        return JSONResponse({"items": [{"budget": "month", **amounts}]})

    async def key_list(self, request: Request) -> Response:
        if request.method == "GET":
            return JSONResponse({"items": [{k: v for k, v in key.items() if k != "key"} for key in self.keys]})
        asked = await request.json()
        key = {
            "id": secrets.token_hex(6), "created": _time(time.time()), "used": None, "revoked": None,
            "key": "rgs_" + secrets.token_urlsafe(32), "tenant": "default", "expires": None, **asked,
        }  # fmt: skip
        self.keys.append(key)
        return JSONResponse(key, 201)

    def revoke(self, request: Request) -> Response:
        for key in self.keys:
            if key["id"] == request.path_params["id"]:
                key["revoked"] = _time(time.time())
        return Response(status_code=204)

    async def tenant_list(self, request: Request) -> Response:
        if request.method == "GET":
            return JSONResponse({"items": self.tenants})
        made = {"id": secrets.token_hex(6), "name": (await request.json())["name"], "created": _time(time.time())}
        self.tenants.append(made)
        return JSONResponse(made, 201)

    # ------------------------------------------------------------------ the page
    def page(self, request: Request) -> Response:
        file = page_files().get(request.url.path)
        if file is None:
            raise HTTPException(404, "there is no such page.")
        headers = {"etag": file.etag, "cache-control": file.cache_control, "content-encoding": "gzip"}
        return Response(file.gzipped, media_type=file.media_type, headers=headers)

    def app(self) -> Any:
        def route(path: str, endpoint: Any, *methods: str, open: bool = False) -> Route:
            async def checked(request: Request) -> Response:
                if not open:
                    self._allowed(request)
                called = endpoint if asyncio.iscoroutinefunction(endpoint) else None
                return await (called(request) if called else asyncio.to_thread(endpoint, request))

            return Route(path, checked, methods=list(methods or ("GET",)))

        app = Starlette(
            routes=[
                route("/v1/session", self.sign_in, "POST", open=True),
                route("/v1/session", self.session, "GET", "DELETE", open=True),
                route("/v1/collections", self.collections),
                route("/v1/collections", self.new_collection, "POST"),
                route("/v1/collections/{name}", self.drop_collection, "DELETE"),
                route("/v1/collections/{name}/documents", self.documents),
                route("/v1/collections/{name}/documents", self.upload, "POST"),
                route("/v1/documents/{id:int}", self.document, "GET", "DELETE"),
                route("/v1/documents/{id:int}/text", self.text),
                route("/v1/documents/{id:int}/chunks", self.chunks),
                route("/v1/documents/{id:int}/pages/{page:int}.png", self.page_image),
                route("/v1/search", self.search, "POST"),
                route("/v1/ask", self.ask, "POST"),
                route("/v1/feedback", self.rate, "POST"),
                route("/v1/jobs", self.job_list),
                route("/v1/jobs/{id}", self.job),
                route("/v1/jobs/{id}/events", self.job_events),
                route("/v1/status", self.status),
                route("/v1/metrics/series", self.metrics),
                route("/v1/budget", self.budget),
                route("/v1/keys", self.key_list, "GET", "POST"),
                route("/v1/keys/{id}", self.revoke, "DELETE"),
                route("/v1/tenants", self.tenant_list, "GET", "POST"),
                route("/", self.page, open=True),
                route("/assets/{name}", self.page, open=True),
            ],
            exception_handlers={HTTPException: _refused, RagstoneError: _failed},
        )

        async def with_headers(scope: Any, receive: Any, send: Any) -> None:
            async def sending(message: Any) -> None:
                if message["type"] == "http.response.start":
                    message["headers"] = [*message["headers"], *((k.encode(), v.encode()) for k, v in HEADERS.items())]
                await send(message)

            await app(scope, receive, sending)

        return with_headers


def _event(number: int, name: str, data: Any) -> str:
    return f"id: {number}\nevent: {name}\ndata: {json.dumps(data)}\n\n"


def _refused(request: Request, error: Any) -> Response:
    told = {"status": error.status_code, "title": "refused", "detail": error.detail, "hint": "", "id": "0"}
    return JSONResponse(told, error.status_code, media_type="application/problem+json")


def _failed(request: Request, error: Any) -> Response:
    status = 404 if isinstance(error, NotFound) else 400
    told = {"status": status, "title": "failed", "detail": error.message, "hint": error.hint, "id": "0"}
    return JSONResponse(told, status, media_type="application/problem+json")


def _series(points: list[Mapping[str, Any]]) -> dict[str, Any]:
    def percentile(values: list[float] | None, share: float) -> float | None:
        return values[min(len(values) - 1, int(share * len(values)))] if values else None

    stages = sorted({stage for point in points for stage in point["stages"]}, key=lambda s: (s != "total", s))
    latency = {
        stage: {
            name: [percentile(p["stages"].get(stage), share) for p in points]
            for name, share in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99))
        }
        for stage in stages
    }
    names = ("requests_per_second", "hit_rate", "cpu_percent", "memory_bytes")
    return {"times": [p["time"] for p in points], **{n: [p[n] for p in points] for n in names}, "latency_ms": latency}


@contextmanager
def page_server(kb: KnowledgeBase, folder: Path) -> Iterator[PageServer]:
    server = PageServer(kb, folder)
    listening = socket.create_server(("127.0.0.1", 0))
    server.url = f"http://127.0.0.1:{listening.getsockname()[1]}/"
    runner = uvicorn.Server(uvicorn.Config(server.app(), log_level="warning", lifespan="off"))
    thread = threading.Thread(target=lambda: runner.run(sockets=[listening]), daemon=True)
    thread.start()
    while not runner.started:
        time.sleep(0.01)
    try:
        yield server
    finally:
        runner.should_exit = True
        with contextlib.suppress(RuntimeError):
            thread.join(10)
