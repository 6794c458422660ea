"""Which conversation has which slot of a llama.cpp server, and what of the others is kept on the disk.

A slot holds the computed state of one prompt. The next question of a conversation begins with the same tokens, so in
its own slot only what is new has to be computed. A conversation that has to leave its slot is saved to a file and
restored when it comes back. The state is text in another form, so the files follow the text: mode 0600 in the data
folder, bounded in bytes and age, and worthless as soon as anything is removed from the documents (`forget`).

Several processes share one server. For each slot there is a file: its lock is held while the slot is used (the kernel
frees it with the holder's death), and it says what is in the slot.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import logging
import os
import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from ..errors import ModelError
from ..types import Call, Usage
from .transport import late

POLL_SECONDS = 0.01
PATIENCE_SECONDS = 30.0
"""A call in the background that has waited so long no longer lets questions go first."""
SAVED_SECONDS = 7 * 86_400.0
"""A saved slot that nobody came back for is removed."""
SAVED = ".kv"
COPY = f"copy{SAVED}"
GENERATION = "generation"

Act = Callable[[int, str, str], None]
"""(slot, "save" | "restore" | "erase", file name): asks the server; raises ModelError."""

log = logging.getLogger(__name__)


class Record(msgspec.Struct):
    """What a slot's file says. `child` is the server's pid: with another server the slot is empty. `file` is where the
    conversation would be saved; "" where it is not to be. Tokens and calls count since the server began."""

    child: int = 0
    conversation: str = ""
    generation: str = ""
    file: str = ""
    used: float = 0.0
    calls: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    saves: int = 0
    restores: int = 0


@dataclass(slots=True)
class Held:
    """A slot that this call has for itself."""

    number: int
    handle: int
    record: Record

    def count(self, usage: Usage) -> None:
        self.record.calls += 1
        self.record.prompt_tokens += usage.prompt_tokens
        self.record.cached_tokens += usage.cached_tokens


class Slots:
    """The slots of the server `child` (its pid). `model` tells files of different weights apart; `saved_bytes` bounds
    what is kept on the disk, 0 keeps nothing. Safe from several threads and processes."""

    def __init__(self, folder: Path, count: int, *, child: int, model: str, act: Act, saved_bytes: int) -> None:
        self._folder = folder
        self._count = count
        self._child = child
        self._model = model
        self._act = act
        self._saved_bytes = saved_bytes
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    @contextlib.contextmanager
    def hold(self, call: Call) -> Iterator[Held]:
        """A slot for one call, with its conversation in it where there is a trace of it. Questions go before work in
        the background, which shares the last slot where there are several. Raises DeadlineExceeded."""
        held = self._take(call)
        try:
            self._bring(held, call.conversation)
            yield held
        finally:
            held.record.used = time.time()
            _write(held.handle, held.record)
            os.close(held.handle)

    def end(self, conversation: str) -> None:
        """The conversation is over: its saved file goes, and its slot is erased unless it is in use."""
        (self._folder / self._file(conversation, _generation(self._folder))).unlink(missing_ok=True)
        for number in range(self._count):
            held = self._lock(number)
            if held is None:
                continue
            try:
                if held.record.conversation == conversation:
                    self._empty(held)
                    _write(held.handle, held.record)
            finally:
                os.close(held.handle)

    def save(self) -> None:
        """Saves every conversation that is in a slot now and not in use."""
        for number in range(self._count):
            held = self._lock(number)
            if held is not None:
                try:
                    self._save(held, _generation(self._folder))
                finally:
                    os.close(held.handle)

    @contextlib.contextmanager
    def copying(self, number: int) -> Iterator[None]:
        """While inside, `copied_to` gives other slots what this one holds."""
        file = self._folder / COPY
        with contextlib.suppress(ModelError):
            self._act(number, "save", COPY)
        try:
            yield
        finally:
            file.unlink(missing_ok=True)

    def copied_to(self, number: int) -> bool:
        """Whether the slot holds the copy now."""
        if not (self._folder / COPY).exists():
            return False
        try:
            self._act(number, "restore", COPY)
        except ModelError:
            return False
        return True

    def records(self) -> list[Record]:
        return [record for record in read(self._folder) if record.child == self._child]

    def _take(self, call: Call) -> Held:
        background = call.purpose != "chat"
        began = time.monotonic()
        with contextlib.nullcontext() if background else _announced(self._folder):
            while True:
                patient = background and time.monotonic() - began < PATIENCE_SECONDS
                if not (patient and _questions_wait(self._folder)):
                    for number in self._order(call):
                        held = self._lock(number)
                        if held is not None:
                            return held
                if call.deadline is not None and time.monotonic() >= call.deadline:
                    raise late("The local model")
                time.sleep(POLL_SECONDS)

    def _order(self, call: Call) -> list[int]:
        """Slots to try: that of the conversation alone, whoever uses it now; else the one that costs least to lose."""
        if call.purpose != "chat":
            return [self._count - 1]
        records = [self._record(number) for number in range(self._count)]
        own = [n for n, r in enumerate(records) if call.conversation and r.conversation == call.conversation]
        return own or sorted(range(self._count), key=lambda n: (bool(records[n].conversation), records[n].used, n))

    def _bring(self, held: Held, conversation: str) -> None:
        record, generation = held.record, _generation(self._folder)
        if conversation == record.conversation and generation == record.generation:
            return
        if record.generation != generation:
            self._empty(held)  # something was removed meanwhile: what it held must not come back
        elif record.conversation:
            self._save(held, generation)
        record.conversation, record.generation = conversation, generation
        record.file = self._file(conversation, generation) if conversation and self._saved_bytes else ""
        saved = self._folder / record.file
        if record.file and saved.exists():
            try:
                self._act(held.number, "restore", record.file)
                record.restores += 1
            except ModelError as error:
                log.debug("a saved slot could not be restored: %s", error)  # it is computed again
            saved.unlink(missing_ok=True)  # it grows in the slot from here on

    def _save(self, held: Held, generation: str) -> None:
        if not held.record.file or held.record.generation != generation:
            return
        target = self._folder / held.record.file
        try:
            self._act(held.number, "save", held.record.file)
            held.record.saves += 1
        except ModelError as error:
            log.debug("a slot could not be saved: %s", error)  # it is computed again when it comes back
            target.unlink(missing_ok=True)
        if _generation(self._folder) != generation:  # whoever removes looks for files after it said so
            target.unlink(missing_ok=True)
        bound(self._folder, self._saved_bytes)

    def _empty(self, held: Held) -> None:
        if held.record.calls:
            self._act(held.number, "erase", "")
        held.record.conversation = held.record.file = ""

    def _file(self, conversation: str, generation: str) -> str:
        key = "\0".join((self._model, generation, conversation))
        return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()[:40] + SAVED

    def _path(self, number: int) -> Path:
        return self._folder / f"{number}.slot"

    def _record(self, number: int) -> Record:
        record = _read(self._path(number))
        return record if record.child == self._child else Record(child=self._child)

    def _lock(self, number: int) -> Held | None:
        """None where the slot is in use."""
        handle = _open(self._path(number))
        if not _flock(handle, fcntl.LOCK_EX):
            os.close(handle)
            return None
        return Held(number, handle, self._record(number))


def read(folder: Path) -> list[Record]:
    """What the files of all slots say, whichever server they are of."""
    return [_read(path) for path in sorted(folder.glob("*.slot"))]


def forget(folder: Path) -> int:
    """Makes everything that any slot holds worthless, because documents it may quote were removed, and deletes what
    was saved; returns the bytes. What a server still has in memory is erased before the slot is used again."""
    if not folder.is_dir():
        return 0
    temporary = folder / f"{GENERATION}.{secrets.token_hex(4)}"
    temporary.write_text(secrets.token_hex(8), encoding="ascii")
    temporary.replace(folder / GENERATION)
    return bound(folder, 0)


def bound(folder: Path, most: int) -> int:
    """Removes saved slots, the longest unused first, until at most `most` bytes are left; returns what went."""
    files = []
    for path in folder.glob(f"*{SAVED}"):
        with contextlib.suppress(FileNotFoundError):
            status = path.stat()
            files.append((status.st_mtime, status.st_size, path))
    total = gone = 0
    for used, size, path in sorted(files, reverse=True):
        total += size
        if total > most or time.time() - used > SAVED_SECONDS:
            path.unlink(missing_ok=True)
            gone += size
    return gone


def saved_bytes(folder: Path) -> int:
    total = 0
    for path in folder.glob(f"*{SAVED}"):
        with contextlib.suppress(FileNotFoundError):
            total += path.stat().st_size
    return total


def _generation(folder: Path) -> str:
    try:
        return (folder / GENERATION).read_text(encoding="ascii")
    except FileNotFoundError:
        return ""


@contextlib.contextmanager
def _announced(folder: Path) -> Iterator[None]:
    """While inside, calls in the background of every process know that a question waits."""
    handle = _open(folder / "questions")
    try:
        fcntl.flock(handle, fcntl.LOCK_SH)
        yield
    finally:
        os.close(handle)


def _questions_wait(folder: Path) -> bool:
    handle = _open(folder / "questions")
    try:
        return not _flock(handle, fcntl.LOCK_EX)
    finally:
        os.close(handle)


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)


def _flock(handle: int, kind: int) -> bool:
    try:
        fcntl.flock(handle, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _read(path: Path) -> Record:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Record)
    except (FileNotFoundError, msgspec.MsgspecError):  # new, or being written now
        return Record()


def _write(handle: int, record: Record) -> None:
    data = msgspec.json.encode(record)
    os.pwrite(handle, data, 0)
    os.ftruncate(handle, len(data))
