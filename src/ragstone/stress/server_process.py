"""A server as it is shipped, with all its processes in a group of their own, to be killed as a whole or one by one."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Final

import httpx2
import psutil

from ..errors import StoreError

START_SECONDS: Final = 60.0
STOP_SECONDS: Final = 60.0
TIMEOUT_SECONDS: Final = 20.0


class ServerProcess:
    """A context manager: started at the beginning, ended (SIGTERM) at the end. Every start listens on the first one's
    port. Raises StoreError where it does not start or does not end."""

    def __init__(self, data: Path, config: Path) -> None:
        self._data = data
        self._config = config
        self._port = 0
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        command = [sys.executable, "-m", "ragstone", "serve", "--data", str(self._data), "--config", str(self._config)]
        process = subprocess.Popen(
            [*command, "--port", str(self._port), "--json"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, text=True, start_new_session=True,
        )  # fmt: skip
        assert process.stdout is not None  # noqa: S101 - it was asked for
        line = process.stdout.readline()
        if not line:
            process.wait()
            raise StoreError(f"the server did not start (exit code {process.returncode}).")
        self._port = int(json.loads(line)["url"].partition("#")[0].rstrip("/").rpartition(":")[2])
        with self._lock:
            self._process = process
        until = time.monotonic() + START_SECONDS
        while not self.ready():
            if time.monotonic() > until or process.poll() is not None:
                raise StoreError("the server does not answer.")
            time.sleep(0.05)

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self._port}{path}"

    def client(self) -> httpx2.Client:
        token = (self._data / "server.token").read_text(encoding="ascii").strip()
        return httpx2.Client(headers={"Authorization": f"Bearer {token}"}, timeout=TIMEOUT_SECONDS)

    def ready(self) -> bool:
        try:
            return httpx2.get(self.url("/ready"), timeout=2.0).status_code == 200
        except httpx2.HTTPError:
            return False

    def kill(self) -> None:
        """Every process of it, in the same moment."""
        process = self._taken()
        if process is not None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate()

    def kill_one(self, chance: random.Random) -> bool:
        """A process that answers, or one that works; the supervisor starts another one."""
        with self._lock:
            if self._process is None:
                return False
            children = psutil.Process(self._process.pid).children(recursive=True)
        workers = [child for child in children if "spawn_main" in " ".join(_command(child))]
        if not workers:
            return False
        with suppress(psutil.NoSuchProcess):
            chance.choice(workers).kill()
        return True

    def stop(self) -> None:
        process = self._taken()
        if process is None:
            return
        process.terminate()
        try:
            process.communicate(timeout=STOP_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            raise StoreError(f"the server did not end within {STOP_SECONDS:.0f} seconds.") from None

    def _taken(self) -> subprocess.Popen[str] | None:
        with self._lock:
            process, self._process = self._process, None
        return process

    def __enter__(self) -> ServerProcess:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.stop()
        else:
            self.kill()


def _command(process: psutil.Process) -> list[str]:
    try:
        return list(process.cmdline())
    except psutil.Error:
        return []
