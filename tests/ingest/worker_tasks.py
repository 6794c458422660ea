"""What a worker may be made to do by a hostile file, and tasks that do it: the name of the blob tells which."""

from __future__ import annotations

import ctypes
import os
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from ragstone.errors import EmptyFile
from ragstone.ingest.limits import ReadFailure, ReadLimits
from ragstone.text.analysis import pack
from ragstone.types import Blob, ChunkSpan, PreparedChunk, PreparedDocument, Terms


@dataclass(frozen=True, slots=True)
class TaskOptions:
    limits: ReadLimits = field(default_factory=ReadLimits)
    forbidden: str = ""


def said(uri: str, text: str) -> list[PreparedDocument | ReadFailure]:
    chunk = PreparedChunk(ChunkSpan(0, len(text)), text, "", b"\x01" * 16, Terms(pack(["term"]), 1))
    return [PreparedDocument(uri, b"\x00" * 32, 1, 2.5, "Title", "text/plain", "de", {"n": 1, "b": True}, (), (chunk,))]


def task(blob: Blob, options: TaskOptions) -> list[PreparedDocument | ReadFailure]:
    deed = blob.uri.partition("-")[0]
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
