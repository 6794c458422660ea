"""`ragstone serve` as a person runs it: processes of its own on a free port, its log in a file."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

ROOT = Path(__file__).resolve().parent.parent
SAMPLES = ROOT / "samples"


@dataclass
class Served:
    url: str
    key: str
    data: Path
    process: subprocess.Popen[str]
    log: Path

    def ask(self, path: str, method: str = "GET", **options: Any) -> httpx2.Response:
        """On a connection of its own, so that requests reach all processes."""
        headers = {"Authorization": f"Bearer {self.key}", **options.pop("headers", {})}
        return httpx2.request(
            method, self.url + path, headers=headers, timeout=60, trust_env=False, **options
        )

    def search(self, query: str, **options: Any) -> httpx2.Response:
        return self.ask("/v1/search", "POST", json={"query": query}, **options)

    def put(self, texts: Sequence[tuple[str, str, str]], collection: str = "default") -> None:
        """Texts as (uri, title, text); they can be found when this returns."""
        documents = [{"uri": uri, "title": title, "text": text, "metadata": {"note": title}} for uri, title, text in texts]
        answer = self.ask(f"/v1/collections/{collection}/documents:batch?wait=60", "POST", json={"documents": documents})
        assert answer.json()["state"] == "done", answer.text


@contextlib.contextmanager
def served(data: Path, *arguments: str) -> Iterator[Served]:
    log = data.parent / "server.log"
    command = [sys.executable, "-m", "ragstone", "serve", "--port", "0", "--data", str(data), *arguments]
    command += ["--set", "log.level=info", "--set", "log.format=json"]
    environ = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    with log.open("w") as sink:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=sink, text=True, env=environ)
    try:
        assert process.stdout is not None
        address, _, token = process.stdout.readline().strip().partition("#token=")
        assert token, log.read_text()
        server = Served(address.rstrip("/"), token, data, process, log)
        assert server.ask("/ready").status_code == 200, log.read_text()
        yield server
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(40)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
