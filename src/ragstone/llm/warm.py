"""The state file of a warm model server: how one process proves to itself that a server left by another is its own."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import msgspec


class Warm(msgspec.Struct, frozen=True):
    """A running server and what it was started with. `stamp` is the model file's modification time (ns), `created`
    the start of the process (POSIX seconds), which tells it from a later one with the same pid. `load_seconds` is
    what loading the model took."""

    pid: int
    created: float
    port: int
    key: str
    model: str
    stamp: int
    context: int
    threads: int
    slots: int = 1
    load_seconds: float = 0.0


def created(pid: int) -> float:
    import psutil

    return float(psutil.Process(pid).create_time())


def listens(warm: Warm) -> bool:
    """Whether the process of the state file still runs and holds its port: the key is sent to nobody else, also when
    the pid or the port went to a stranger meanwhile."""
    import psutil

    try:
        process = psutil.Process(warm.pid)
        if abs(process.create_time() - warm.created) > 0.01 or process.status() == psutil.STATUS_ZOMBIE:
            return False
        listening = [c for c in process.net_connections("tcp4") if c.status == psutil.CONN_LISTEN]
    except psutil.Error:
        return False
    return any(c.laddr.ip == "127.0.0.1" and c.laddr.port == warm.port for c in listening)


def ended(warm: Warm) -> None:
    """Ends the process of the state file and waits until its memory is free; only after `listens` said it is ours."""
    import psutil

    with contextlib.suppress(psutil.NoSuchProcess):
        process = psutil.Process(warm.pid)
        process.kill()
        with contextlib.suppress(psutil.TimeoutExpired):
            process.wait(10)


@contextlib.contextmanager
def locked(lock: Path, *, shared: bool = False) -> Iterator[None]:
    """Holds a lock between processes; the kernel releases it with the holder's death. Exclusive while a server is
    looked for or started, shared while it is used: the server ends only when it can have that one for itself."""
    import fcntl

    handle = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def load(path: Path) -> Warm | None:
    """What the file says; None where there is none to trust."""
    raw = _read_private(path)
    if raw is None:
        return None
    try:
        return msgspec.json.decode(raw, type=Warm)
    except ValueError:  # of another version, or damaged: a new server replaces it
        return None


def _read_private(path: Path) -> bytes | None:
    """None where the file is missing, a link, of another user, or open to others: what it says is then not ours."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return None
    with open(handle, "rb") as file:
        status = os.fstat(file.fileno())
        return file.read(65536) if status.st_uid == os.getuid() and not status.st_mode & 0o077 else None


def save(path: Path, warm: Warm) -> None:
    """Replaces the file in one step; mode 0600."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}")
    temporary.unlink(missing_ok=True)
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    with open(handle, "wb") as file:
        file.write(msgspec.json.encode(warm))
    temporary.replace(path)
