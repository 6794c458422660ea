"""A local GGUF model in a managed child process (llama_child.py), started at the first question and kept warm.

Without `state` the child belongs to this process and ends with it. With `state` (a file in the data folder) it
outlives the process, later ones find it through that file (mode 0600: address, key, pid), and it ends after `idle`
seconds without use; beside the file lie two empty lock files, `.start` and `.use`, and the folder `.slots` (slots.py).
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import secrets
import select
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

import msgspec

from ..errors import ModelError, ModelMismatch, ModelMissing, ModelUnavailable, PromptTooLong
from ..types import Call, Delta, Message, ModelStatus
from .llama_server import Running
from .slots import forget, read, saved_bytes
from .warm import Warm, created, ended, listens, load, locked, save

CHILD = Path(__file__).with_name("llama_child.py")
DEFAULT_WINDOW = 8192  # tokens; cut to what the model was trained with
DEFAULT_SLOTS = 2  # a conversation keeps its own while another call is answered
SAVED_BYTES = 512 << 20
START_SECONDS = 180.0  # loading several gigabytes from a cold disk
IDLE_SECONDS = 600.0


class Order(msgspec.Struct, frozen=True):
    """What the child is told on its standard input. `context` is each slot's, `idle` in seconds; `threads` 0 means all
    it may use. What is saved of slots goes to `slots_folder`."""

    model: str
    context: int
    threads: int
    slots: int
    slots_folder: str
    key: str
    state: str
    idle: float


class LlamaServer:
    """LocalLLM over a child process of our own. Safe from several threads; the child answers `slots` calls at once,
    each in a window of `context` tokens. `saved_bytes` bounds the conversations that are kept on the disk, where there
    is a `state`; 0 keeps none."""

    def __init__(
        self,
        model: Path,
        *,
        context: int = 0,
        threads: int = 0,
        slots: int = DEFAULT_SLOTS,
        sha256: str = "",
        state: Path | None = None,
        idle: float = IDLE_SECONDS,
        saved_bytes: int = SAVED_BYTES,
    ) -> None:
        self._model = model
        self._wanted = context or DEFAULT_WINDOW
        self._threads = threads
        self._slots = slots
        self._sha256 = sha256
        self._state = state
        self._idle = idle
        self._saved_bytes = 0 if state is None else saved_bytes
        self._folder: Path | None = None if state is None else state.with_suffix(".slots")
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._running: Running | None = None

    @property
    def name(self) -> str:
        return self._model.stem

    @property
    def context(self) -> int:
        """Tokens. Starts the child, which is the one that knows."""
        with self._in_use():
            return self._ready().window

    @property
    def lanes(self) -> int:
        return self._slots

    def stream(self, messages: Sequence[Message], call: Call) -> Iterator[Delta]:
        """Raises PromptTooLong where prompt and answer do not fit the window: counted before, nothing is ever cut."""
        with self._in_use():
            running = self._ready()
            tokens = running.count(messages)
            if tokens + call.max_tokens > running.window:
                raise PromptTooLong(
                    f"The prompt has {tokens} tokens, and {running.window} is the window of {self.name} "
                    f"with {call.max_tokens} for the answer.",
                    "Ask for less, or raise answer.context.",
                )
            yield from running.stream(messages, call)

    def load(self, messages: Sequence[Message] = ()) -> float:
        with self._in_use():
            before = self._running
            began = time.perf_counter()
            running = self._ready()
            seconds = time.perf_counter() - began
            if messages:
                running.prepare(messages)
            return 0.0 if running is before or running.found else seconds

    def unload(self) -> bool:
        """Conversations are saved first, where they are kept at all."""
        with self._lock:
            if self._state is None:
                self._forget()
                return True
            with _alone(self._state.with_suffix(".use")) as alone:
                if not alone:
                    return False
                warm = load(self._state)
                if warm is not None and listens(warm):
                    self._join(warm).save()
                    ended(warm)
                self._forget()
                self._state.unlink(missing_ok=True)
                return True

    def end(self, conversation: str) -> None:
        with self._lock:
            warm = None if self._running is None else self._running.warm
            if self._state is not None:
                warm = load(self._state)
            if warm is not None and listens(warm):
                self._join(warm).slots.end(conversation)

    def status(self) -> ModelStatus:
        import psutil

        with self._lock:
            running = None if self._running is None else self._running.warm
            warm = running if self._state is None else load(self._state)
        size = self._model.stat().st_size if self._model.exists() else 0
        kept = 0 if self._folder is None else saved_bytes(self._folder)
        if warm is None or not listens(warm):
            return ModelStatus(self.name, "gguf", False, size, context=self._wanted, slots=self._slots, saved=kept)
        records = [r for r in read(self._folder) if r.child == warm.pid] if self._folder is not None else []
        used = self._state.stat().st_mtime if self._state is not None and self._state.exists() else None
        return ModelStatus(
            self.name,
            "gguf",
            True,
            size,
            ram=psutil.Process(warm.pid).memory_info().rss,
            context=warm.context,
            slots=warm.slots,
            last_used=max([used or 0.0, *(r.used for r in records)]) or None,
            expires=None if used is None else used + self._idle,
            load_seconds=warm.load_seconds,
            conversations=sum(1 for r in records if r.conversation),
            calls=sum(r.calls for r in records),
            prompt_tokens=sum(r.prompt_tokens for r in records),
            cached_tokens=sum(r.cached_tokens for r in records),
            saved=kept,
        )

    def close(self) -> None:
        """Ends a child of our own; one with a state file stays for the next process."""
        with self._lock:
            self._forget()

    def _ready(self) -> Running:
        with self._lock:
            if self._running is not None and self._alive():
                return self._running
            self._forget()
            _check_model(self._model, self._sha256)
            if self._state is None:
                warm, found = self._start(), False
            else:
                self._state.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                with locked(self._state.with_suffix(".start")):
                    old = self._find(self._state)
                    warm, found = old or self._start(), old is not None
                    save(self._state, warm)
            self._running = self._join(warm, found=found)
            return self._running

    def _join(self, warm: Warm, *, found: bool = True) -> Running:
        return Running(warm, self.name, self._place(), saved_bytes=self._saved_bytes, found=found)

    def _place(self) -> Path:
        if self._folder is None:  # locks alone: nothing is saved
            self._folder = Path(tempfile.mkdtemp(prefix="ragstone-slots-"))
        return self._folder

    def _forget(self) -> None:
        running, process, self._running, self._process = self._running, self._process, None, None
        if running is not None:
            running.close()
        if process is not None:
            _end(process)
        if self._state is None and self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    def _alive(self) -> bool:
        if self._process is not None:
            return self._process.poll() is None
        return self._running is not None and listens(self._running.warm)

    @contextlib.contextmanager
    def _in_use(self) -> Iterator[None]:
        """Keeps a shared server from ending as idle; its idle time begins when the last user leaves."""
        if self._state is None:
            yield
            return
        self._state.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with locked(self._state.with_suffix(".use"), shared=True):
            try:
                yield
            finally:
                with contextlib.suppress(FileNotFoundError):  # it was never started
                    os.utime(self._state)

    def _find(self, state: Path) -> Warm | None:
        """A warm server of this very model and shape."""
        warm = load(state)
        shape = (str(self._model), self._model.stat().st_mtime_ns, self._wanted, self._threads, self._slots)
        if warm is None or (warm.model, warm.stamp, warm.context, warm.threads, warm.slots) != shape:
            return None
        return warm if listens(warm) else None

    def _start(self) -> Warm:
        if importlib.util.find_spec("xllamacpp") is None:
            raise ModelMissing("Local models need the llama extra.", 'Install it: pip install "ragstone[llama]"')
        key = secrets.token_urlsafe(32)
        state = "" if self._state is None else str(self._state)
        folder = self._place()
        folder.mkdir(mode=0o700, exist_ok=True)  # the server refuses a folder that is not there
        order = Order(str(self._model), self._wanted, self._threads, self._slots, str(folder), key, state, self._idle)
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
            self._slots,
            hello["load_ms"] / 1000.0,
        )


def forget_prompts(folder: Path, *, erase: bool = False) -> int:
    """Documents were removed: nothing of the slots below `folder` (that of the state files) may be used again; what
    was saved is deleted, and returns its bytes. With `erase`, running servers forget at once, not at their next
    call."""
    gone = sum(forget(slots) for slots in folder.glob("*.slots"))
    for state in folder.glob("*.json") if erase else ():
        warm = load(state)
        if warm is not None and listens(warm):
            with locked(state.with_suffix(".use"), shared=True):
                Running(warm, "", state.with_suffix(".slots"), saved_bytes=0, found=True).erase()
    return gone


@contextlib.contextmanager
def _alone(lock: Path) -> Iterator[bool]:
    """Whether nobody uses the server; while inside, nobody begins to."""
    import fcntl

    lock.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(handle)


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
