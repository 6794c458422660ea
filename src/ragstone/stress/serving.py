"""A server in a process of its own, for tests that speak to it over a real socket."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ..errors import RagstoneError

STOP_SECONDS: Final = 30.0


@dataclass(frozen=True, slots=True)
class Served:
    """`url` without a slash at its end; `key` is the local person's, which may do everything."""

    url: str
    key: str
    folder: Path
    log: Path
    process: int


@contextmanager
def served(folder: Path, settings: Mapping[str, str] | None = None) -> Iterator[Served]:
    """`ragstone serve` with its data in `folder`, on a free port of loopback, until the context ends. `settings` are
    by key. Raises RagstoneError where it does not start."""
    chosen = {
        "server.requests_per_minute": "0",
        "server.failures_per_minute": "0",
        "server.drain_seconds": "2",
        "log.level": "error",
        **(settings or {}),
    }
    flags = [flag for name, value in chosen.items() for flag in ("--set", f"{name}={value}")]
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    log = folder / "server.log"
    with log.open("ab") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-m", "ragstone", "--data", str(folder), "--json", *flags, "serve", "--port", "0"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=stderr, text=True,
        )  # fmt: skip
    try:
        assert process.stdout is not None  # noqa: S101 - it was asked for
        text = ""
        for line in process.stdout:
            text += line
            if line.startswith("}") or line.rstrip().endswith("}"):
                break
        if not text:
            raise RagstoneError(f"the server did not start: {log.read_text(errors='replace')[-500:]}")
        said = json.loads(text)
        url, _, key = said["url"].partition("/#token=")
        yield Served(url, key, folder, log, process.pid)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()
