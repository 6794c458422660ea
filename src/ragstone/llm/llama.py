"""A local GGUF model in a managed child process (llama_child.py), started at the first question and kept warm.

Without `state` the child belongs to this process and ends with it. With `state` (a file in the data folder) it
outlives the process, later ones find it through that file (mode 0600: address, key, pid), and it ends after `idle`
seconds without use; beside the file lie two empty lock files, `.start` and `.use`.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import secrets
import select
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

import msgspec

from ..errors import ModelError, ModelMismatch, ModelMissing, ModelUnavailable
from ..types import Call, Delta, Message
from .openai import OpenAIChat
from .transport import client, get_json
from .warm import Warm, created, listens, load, locked, save

CHILD = Path(__file__).with_name("llama_child.py")
DEFAULT_WINDOW = 8192  # tokens; cut to what the model was trained with
START_SECONDS = 180.0  # loading several gigabytes from a cold disk
IDLE_SECONDS = 600.0


class Order(msgspec.Struct, frozen=True):
    """What the child is told on its standard input. `idle` in seconds; `threads` 0 means all it may use."""

    model: str
    context: int
    threads: int
    key: str
    state: str
    idle: float


class LlamaServer:
    """LLM over a child process of our own. Safe from several threads; the child answers one request at a time."""

    def __init__(
        self,
        model: Path,
        *,
        context: int = 0,
        threads: int = 0,
        sha256: str = "",
        state: Path | None = None,
        idle: float = IDLE_SECONDS,
    ) -> None:
        self._model = model
        self._wanted = context or DEFAULT_WINDOW
        self._threads = threads
        self._sha256 = sha256
        self._state = state
        self._idle = idle
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._warm: Warm | None = None
        self._chat: OpenAIChat | None = None
        self._window = 0

    @property
    def name(self) -> str:
        return self._model.stem

    @property
    def context(self) -> int:
        """Tokens. Starts the child, which is the one that knows."""
        self._ready()
        return self._window

    def stream(self, messages: Sequence[Message], call: Call) -> Iterator[Delta]:
        with self._in_use():
            yield from self._ready().stream(messages, call)

    def close(self) -> None:
        """Ends a child of our own; one with a state file stays for the next process."""
        with self._lock:
            self._forget()

    def _ready(self) -> OpenAIChat:
        with self._lock:
            if self._chat is not None and self._alive():
                return self._chat
            self._forget()
            _check_model(self._model, self._sha256)
            if self._state is None:
                warm = self._start()
            else:
                with locked(self._state.with_suffix(".start")):
                    warm = self._find(self._state) or self._start()
                    save(self._state, warm)
            self._warm = warm
            self._window = _window(warm)
            self._chat = _chat(warm, self.name, self._window)
            return self._chat

    def _forget(self) -> None:
        if self._chat is not None:
            self._chat.close()
        process, self._chat, self._warm, self._process = self._process, None, None, None
        if process is not None:
            _end(process)

    def _alive(self) -> bool:
        if self._process is not None:
            return self._process.poll() is None
        return self._warm is not None and listens(self._warm)

    @contextlib.contextmanager
    def _in_use(self) -> Iterator[None]:
        """Keeps a shared server from ending as idle; its idle time begins when the last user leaves."""
        if self._state is None:
            yield
            return
        with locked(self._state.with_suffix(".use"), shared=True):
            try:
                yield
            finally:
                with contextlib.suppress(FileNotFoundError):  # it was never started
                    os.utime(self._state)

    def _find(self, state: Path) -> Warm | None:
        """A warm server of this very model and shape."""
        warm = load(state)
        shape = (str(self._model), self._model.stat().st_mtime_ns, self._wanted, self._threads)
        if warm is None or (warm.model, warm.stamp, warm.context, warm.threads) != shape:
            return None
        return warm if listens(warm) else None

    def _start(self) -> Warm:
        if importlib.util.find_spec("xllamacpp") is None:
            raise ModelMissing("Local models need the llama extra.", 'Install it: pip install "ragstone[llama]"')
        key = secrets.token_urlsafe(32)
        state = "" if self._state is None else str(self._state)
        order = Order(str(self._model), self._wanted, self._threads, key, state, self._idle)
        with tempfile.TemporaryFile() as log:
            process = subprocess.Popen(
                [sys.executable, "-P", str(CHILD)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,  # Ctrl-C in the terminal is for the command, not for the model
            )
            try:
                said = _hand_over(_pipes(process), msgspec.json.encode(order) + b"\n")
            except BaseException:
                _end(process)
                raise
            if not said:
                _end(process)
                raise ModelError(
                    f"llama.cpp could not load {self._model.name}: {_tail(log)}",
                    "Check that the file is a complete GGUF model and that it fits into memory.",
                )
        if self._state is None:
            self._process = process
        else:
            for pipe in _pipes(process):
                pipe.close()
            process.wait(timeout=10)  # the first child, which only forked
        hello = msgspec.json.decode(said, type=dict[str, int])
        return Warm(
            hello["pid"],
            created(hello["pid"]),
            hello["port"],
            key,
            str(self._model),
            self._model.stat().st_mtime_ns,
            self._wanted,
            self._threads,
        )


def _check_model(model: Path, sha256: str) -> None:
    try:
        with model.open("rb") as file:
            magic = file.read(4)
            if magic == b"GGUF" and sha256:
                import hashlib

                file.seek(0)
                found = hashlib.file_digest(file, "sha256").hexdigest()
                if found != sha256.lower():
                    raise ModelMismatch(
                        f"{model.name} is not the pinned file (sha256 {found}).", "Fetch it again, or correct the pin."
                    )
    except OSError as error:
        raise ModelMissing(
            f"The model file {model} cannot be read ({error.strerror}).",
            "Set answer.model to gguf:PATH.",
        ) from error
    if magic != b"GGUF":
        raise ModelMismatch(f"{model.name} is not a GGUF file.", "Set answer.model to gguf:PATH.")


def _pipes(process: subprocess.Popen[bytes]) -> list[IO[bytes]]:
    return [pipe for pipe in (process.stdin, process.stdout) if pipe is not None]


def _hand_over(pipes: Sequence[IO[bytes]], order: bytes) -> bytes:
    """Writes the order and waits for the child's line; b"" where it ended without one."""
    into, out = pipes
    try:
        into.write(order)
        into.flush()
    except BrokenPipeError:
        return b""
    ready, _, _ = select.select([out], [], [], START_SECONDS)
    if not ready:
        raise ModelUnavailable(f"The model did not load in {START_SECONDS:.0f} s.", "Use a smaller model.")
    return out.readline()


def _end(process: subprocess.Popen[bytes]) -> None:
    for pipe in _pipes(process):
        with contextlib.suppress(BrokenPipeError):
            pipe.close()
    try:
        process.wait(timeout=2)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _tail(log: IO[bytes]) -> str:
    log.seek(0)
    words = log.read().decode("utf-8", "replace").strip().splitlines()
    return words[-1][:300] if words else "it ended without a word"


def _chat(warm: Warm, name: str, window: int) -> OpenAIChat:
    return OpenAIChat(
        f"http://127.0.0.1:{warm.port}/v1", name, api_key=warm.key, context=window, label="The local model"
    )


def _window(warm: Warm) -> int:
    """The window that is there, never more than the model was trained with. Proves the key as well."""
    http = client({"authorization": f"Bearer {warm.key}"})
    try:
        answer = get_json(http, f"http://127.0.0.1:{warm.port}/v1/models", name="The local model", seconds=30)
    finally:
        http.close()
    meta = answer["data"][0]["meta"]
    return min(int(meta["n_ctx"]), int(meta["n_ctx_train"]))
