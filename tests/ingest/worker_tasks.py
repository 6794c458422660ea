"""What a worker may be made to do by a hostile file, and tasks that do it: the name of the blob tells which."""

from __future__ import annotations

import ctypes
import fcntl
import os
import platform
import signal
import socket
import struct
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from ragstone.errors import EmptyFile
from ragstone.ingest.limits import ReadFailure, ReadLimits
from ragstone.text.analysis import pack
from ragstone.text.passage import chunk_hash
from ragstone.types import Blob, ChunkSpan, PreparedChunk, PreparedDocument, Terms


@dataclass(frozen=True, slots=True)
class TaskOptions:
    limits: ReadLimits = field(default_factory=ReadLimits)
    forbidden: str = ""


def said(uri: str, text: str) -> list[PreparedDocument | ReadFailure]:
    chunk = PreparedChunk(ChunkSpan(0, len(text)), text, "", chunk_hash("", text, "de"), Terms(pack(["term"]), 1))
    return [PreparedDocument(uri, b"\x00" * 32, 1, 2.5, "Title", "text/plain", "de", {"n": 1, "b": True}, (), (chunk,))]


def task(blob: Blob, options: TaskOptions) -> list[PreparedDocument | ReadFailure]:
    deed, _, other = blob.uri.partition("-")
    if deed in SIGNALS:
        return said(blob.uri, str(SIGNALS[deed](int(other))))
    act = globals().get(f"do_{deed}")
    if act is None:
        return said(blob.uri, blob.data.decode())
    return said(blob.uri, str(act(options)))


def do_exit(_: TaskOptions) -> None:
    os._exit(3)


def do_segfault(_: TaskOptions) -> None:
    ctypes.string_at(0)


def do_abort(_: TaskOptions) -> None:
    os.abort()


def do_spin(_: TaskOptions) -> None:
    while True:
        pass


def do_work(_: TaskOptions) -> str:
    while time.process_time() < 0.9:
        pass
    return "done"


def do_sleep(_: TaskOptions) -> None:
    time.sleep(1_000)


def do_memory(_: TaskOptions) -> int:
    return len(bytearray(1 << 30))


def do_leak(_: TaskOptions) -> int:
    kept.append(bytearray(150 << 20))
    return len(kept)


kept: list[bytearray] = []


def do_raise(_: TaskOptions) -> None:
    raise KeyError("something nobody expected")


def do_empty(_: TaskOptions) -> None:
    raise EmptyFile("Nothing in it.")


def do_recurse(options: TaskOptions) -> None:
    do_recurse(options)


def do_garbage(_: TaskOptions) -> None:
    print("noise on stdout", flush=True)
    print("noise on stderr", file=sys.stderr, flush=True)
    for descriptor in range(3, 64):
        try:
            os.write(descriptor, b"\xff" * 64)
        except OSError:
            continue


def do_print(_: TaskOptions) -> str:
    print("noise on stdout", flush=True)
    return "printed"


def do_huge(_: TaskOptions) -> str:
    return "x" * (4 << 20)


def do_page(_: TaskOptions) -> str:
    return f"{time.monotonic()} " + "x" * (1 << 20)


def tried(act: object) -> str:
    try:
        return f"done: {act()!r}"  # type: ignore[operator]
    except OSError as error:
        return f"refused: {type(error).__name__}"


def do_socket(_: TaskOptions) -> str:
    return tried(lambda: socket.create_connection(("127.0.0.1", 9)))


def do_nativesocket(_: TaskOptions) -> int:
    return int(ctypes.CDLL(None).socket(socket.AF_INET, socket.SOCK_STREAM, 0))


def do_program(_: TaskOptions) -> str:
    return tried(lambda: subprocess.run(["true"], check=True))


def do_nativefork(_: TaskOptions) -> int:
    pid = int(ctypes.CDLL(None).fork())
    if pid == 0:
        os._exit(0)
    return pid


def do_kill(_: TaskOptions) -> int:
    return int(ctypes.CDLL(None).kill(os.getppid(), 0))


# Numbers of system calls that have no name in libc: pidfd_open is the same everywhere, the other is not.
PIDFD_OPEN = 434
RT_TGSIGQUEUEINFO = 297 if platform.machine() == "x86_64" else 240


def do_pidfd(_: TaskOptions) -> int:
    return int(ctypes.CDLL(None).syscall(PIDFD_OPEN, os.getppid(), 0))


def queued_signal(pid: int) -> int:
    queued = -1  # SI_QUEUE: with a code below zero the kernel asks for no more than the same user
    info = ctypes.create_string_buffer(struct.pack("iii", signal.SIGKILL, 0, queued), 128)
    return int(ctypes.CDLL(None).syscall(RT_TGSIGQUEUEINFO, pid, pid, signal.SIGKILL, info))


def owned_signal(pid: int) -> int:
    """The kernel signals the owner of a pipe when there is something to read."""
    libc = ctypes.CDLL(None)
    reading, writing = os.pipe()
    done = int(libc.fcntl(reading, fcntl.F_SETOWN, pid))
    libc.fcntl(reading, 10, signal.SIGKILL)  # F_SETSIG
    libc.fcntl(reading, fcntl.F_SETFL, os.O_ASYNC)
    os.write(writing, b"x")
    return done


def owned_signal_of_socket(pid: int) -> int:
    """The same by the worker's own socket and another system call (FIOSETOWN)."""
    sockets = [n for n in range(3, 64) if Path(f"/proc/self/fd/{n}").is_socket()]
    return int(ctypes.CDLL(None).ioctl(sockets[0], 0x8901, ctypes.byref(ctypes.c_int(pid))))


SIGNALS = {"queuedsignal": queued_signal, "ownedsignal": owned_signal, "socketsignal": owned_signal_of_socket}


def do_nativemode(options: TaskOptions) -> int:
    return int(ctypes.CDLL(None).chmod(os.fsencode(Path(options.forbidden).with_name("keep")), 0o777))


def do_nativetime(options: TaskOptions) -> int:
    return int(ctypes.CDLL(None).utimes(os.fsencode(Path(options.forbidden).with_name("keep")), None))


def do_write(options: TaskOptions) -> str:
    return tried(lambda: Path(options.forbidden).write_text("x"))


def do_remove(options: TaskOptions) -> str:
    return tried(lambda: Path(options.forbidden).with_name("keep").unlink())


def do_nativewrite(options: TaskOptions) -> int:
    libc = ctypes.CDLL(None)
    return int(libc.open(options.forbidden.encode(), os.O_WRONLY | os.O_CREAT, 0o600))


def do_link(options: TaskOptions) -> str:
    return tried(lambda: Path("way-out").symlink_to(options.forbidden))


def do_scratch(_: TaskOptions) -> str:
    Path("inside.txt").write_text("scratch")
    return Path("inside.txt").read_text()


def do_where(_: TaskOptions) -> str:
    return os.getcwd()


def do_environment(_: TaskOptions) -> str:
    return repr(sorted(os.environ))


def do_pid(_: TaskOptions) -> int:
    return os.getpid()


def do_descriptors(_: TaskOptions) -> str:
    return repr(sorted(os.readlink(f"/proc/self/fd/{n}") for n in os.listdir("/proc/self/fd") if int(n) < 1_000))
