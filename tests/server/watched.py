"""A small server on real data with everything that watches it, in as many processes as wanted, on one real socket.

    python watched.py DATA FD [TRACES_ENDPOINT]
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx2

SAMPLES = Path(__file__).resolve().parent.parent.parent / "samples"


def main(data: Path, descriptor: int, endpoint: str) -> None:
    import uvicorn
    from fastapi import FastAPI
    from fastapi.responses import PlainTextResponse, StreamingResponse

    from ragstone.assemble import open_knowledge_base
    from ragstone.cli.logs import configure
    from ragstone.server import gauges
    from ragstone.server.exposition import CONTENT_TYPE
    from ragstone.server.flame import lines
    from ragstone.server.metrics import Metrics
    from ragstone.server.sampling import sample
    from ragstone.server.tracing import tracing
    from ragstone.server.watching import middleware
    from ragstone.settings import TracingSettings, at

    configure("info", "json")
    knowledge_base = open_knowledge_base(at(data))
    metrics = Metrics(data / "metrics", {"data": gauges.data(knowledge_base)})

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI):  # type: ignore[no-untyped-def]
        with tracing(TracingSettings(endpoint=endpoint)):
            async with metrics.running():
                yield
        await asyncio.to_thread(knowledge_base.close)

    app = FastAPI(lifespan=lifespan)

    @app.get("/v1/search")
    def search(q: str) -> dict[str, object]:
        return {"hits": len(knowledge_base.search(q).hits), "process": os.getpid()}

    @app.get("/v1/ask")
    def ask(q: str) -> StreamingResponse:
        return StreamingResponse((event.text for event in knowledge_base.ask_stream(q)), media_type="text/plain")

    @app.get("/v1/documents/{id}")
    def document(id: str) -> dict[str, str]:
        return {"id": id, "process": str(os.getpid())}

    @app.get("/broken")
    def broken() -> None:
        raise RuntimeError("nobody expected this")

    @app.get("/metrics")
    def exposed() -> PlainTextResponse:
        return PlainTextResponse(metrics.render(), media_type=CONTENT_TYPE)

    @app.get("/v1/metrics/series")
    def series() -> dict[str, object]:
        metrics.step()
        return metrics.series()

    @app.get("/v1/profile")
    def profile(seconds: float, idle: bool = False) -> PlainTextResponse:
        return PlainTextResponse(lines(sample(seconds, idle=idle)))

    uvicorn.run(middleware(app), fd=descriptor, log_config=None, access_log=False)


@dataclass
class Server:
    url: str
    processes: list[subprocess.Popen[bytes]]
    log: Path

    def get(self, path: str, **options: object) -> httpx2.Response:
        # a connection for each request: they are to reach all processes
        return httpx2.get(self.url + path, timeout=60, trust_env=False, **options)  # type: ignore[arg-type]


@contextlib.contextmanager
def serving(data: Path, *, processes: int = 1, endpoint: str = "") -> Iterator[Server]:
    listening = socket.create_server(("127.0.0.1", 0), backlog=512)
    listening.set_inheritable(True)
    log = data.parent / "server.log"
    running = []
    with log.open("wb") as sink:
        for _ in range(processes):
            command = [sys.executable, __file__, str(data), str(listening.fileno()), endpoint]
            running.append(subprocess.Popen(command, stderr=sink, pass_fds=[listening.fileno()]))
    server = Server(f"http://127.0.0.1:{listening.getsockname()[1]}", running, log)
    listening.close()
    try:
        _wait(server, processes)
        yield server
    finally:
        for process in running:
            process.terminate()
        for process in running:
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()


def _wait(server: Server, processes: int) -> None:
    """Until all have started."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        with contextlib.suppress(httpx2.HTTPError):
            if f"ragstone_processes {processes}\n" in server.get("/metrics").text:
                return
        assert all(process.poll() is None for process in server.processes), server.log.read_text()
        time.sleep(0.1)
    raise AssertionError(server.log.read_text())


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
