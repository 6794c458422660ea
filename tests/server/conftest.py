"""A server on a real socket, in a thread of the test's process, with a knowledge base of hashed words."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx2
import pytest
import uvicorn

from ragstone.assemble import open_knowledge_base
from ragstone.jobs.queue import SqliteQueue
from ragstone.jobs.uploads import Uploads
from ragstone.jobs.worker import Worker
from ragstone.knowledge_base import KnowledgeBase
from ragstone.measure.judge import JOBS
from ragstone.server.accounts import DEFAULT_TENANT
from ragstone.server.app import create_app
from ragstone.server.protocol import Protocol
from ragstone.server.service import ServerParts
from ragstone.server.tenants import tenant_folder
from ragstone.settings import AnswerSettings, EmbeddingSettings, OidcSettings, ServerSettings, at
from ragstone.testing import HashEmbedder


@dataclass
class Running:
    url: str
    app: Any
    data: Path

    @property
    def service(self) -> Any:
        return self.app._service

    @property
    def port(self) -> int:
        return int(self.url.rsplit(":", 1)[1])

    def key(self, *scopes: str, tenant: str = DEFAULT_TENANT, expires: float | None = None) -> str:
        return self.service.accounts.create_key("test", scopes, tenant=tenant, expires=expires)[1]

    def client(self, key: str = "") -> httpx2.Client:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        return httpx2.Client(base_url=self.url, headers=headers, timeout=30)

    def local(self) -> httpx2.Client:
        return self.client((self.data / "server.token").read_text().strip())


def free_port() -> int:
    """One that was free a moment ago."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


@contextlib.contextmanager
def serving(
    folder: Path, *, port: int = 0, oidc: OidcSettings | None = None, answer: AnswerSettings | None = None, **chosen: Any
) -> Iterator[Running]:
    settings = replace(
        at(folder), server=ServerSettings(**chosen), oidc=oidc or OidcSettings(),
        embedding=EmbeddingSettings(background=False), answer=answer or AnswerSettings(),
    )

    def opened(place: Path) -> KnowledgeBase:
        return open_knowledge_base(at(place, settings), embedder=HashEmbedder())

    parts = ServerParts(settings, opened, opened, lambda: SqliteQueue(folder))
    app = create_app(parts)
    listening = socket.create_server(("127.0.0.1", port))
    config = uvicorn.Config(app, http=Protocol, log_config=None, ws="none", lifespan="on", timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=lambda: asyncio.run(server.serve([listening])), daemon=True)
    thread.start()
    running = Running(f"http://127.0.0.1:{listening.getsockname()[1]}", app, folder)
    until = time.monotonic() + 30
    while not server.started and thread.is_alive() and time.monotonic() < until:
        time.sleep(0.01)
    assert server.started
    service = running.service
    worker = Worker(
        service.queue,
        lambda tenant: service.tenants.use(tenant or DEFAULT_TENANT),
        lambda tenant: Uploads(tenant_folder(folder, tenant or DEFAULT_TENANT)),
        handlers=JOBS,
    )
    working = threading.Thread(target=worker.run, daemon=True)
    working.start()
    try:
        yield running
    finally:
        worker.stop()
        working.join(30)
        server.should_exit = True
        thread.join(30)
        assert not thread.is_alive()


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One for all tests that change no settings."""
    with serving(tmp_path_factory.mktemp("server"), requests_per_minute=0, failures_per_minute=0) as server:
        yield server


@pytest.fixture
def local(running: Running) -> Iterator[httpx2.Client]:
    with running.local() as client:
        yield client


@pytest.fixture(scope="session")
def filled(running: Running) -> Iterator[httpx2.Client]:
    """With three documents in the default collection."""
    with running.local() as client:
        texts = {
            "pump": "The pump in hall B needs new seals every spring. Its motor takes five kilowatts.",
            "battery": "The battery lasts eleven hours. It charges in two hours.",
            "boat": "The boat has a red sail and a small cabin.",
        }
        documents = [{"uri": f"notes/{name}", "title": name, "text": text} for name, text in texts.items()]
        answer = client.post("/v1/collections/default/documents:batch?wait=30", json={"documents": documents})
        assert answer.status_code == 202, answer.text
        assert answer.json()["state"] == "done", answer.text
        yield client
