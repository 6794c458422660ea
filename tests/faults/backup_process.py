"""A process of its own for the tests of backup and restore: `python backup_process.py` forks a child for each line
"backup|restore|purge DATA DIR K" that it reads. The child kills itself with SIGKILL at the K-th step that touches
files (an audit event: open, rename, remove, link, make or remove a folder); the zygote then says "killed", or "done" when the
child came to its end."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import numpy  # noqa: F401 - loaded before the steps are counted

from ragstone.assemble import open_knowledge_base
from ragstone.settings import at, load
from ragstone.storage.backup import backup
from ragstone.storage.restore import restore
from ragstone.storage.sqlite import SqliteStore
from ragstone.testing import HashEmbedder

SETTINGS = load(overrides={"embedding.background": False})
STEPS = {"open", "os.rename", "os.remove", "os.link", "os.mkdir", "os.rmdir", "os.truncate", "os.chmod"}


def kill_at(step: int) -> None:
    left = step

    def count(event: str, _arguments: object) -> None:
        nonlocal left
        if event in STEPS:
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(count)


def work(kind: str, data: Path, backups: Path) -> None:
    if kind == "backup":
        backup(data, backups, keep=2)
    elif kind == "restore":
        restore(backups, data, replace=True)
    else:
        with open_knowledge_base(at(data, SETTINGS), embedder=HashEmbedder()) as kb:
            kb.purge()


def main() -> None:
    for line in sys.stdin:
        kind, data, backups, step = line.split()
        child = os.fork()
        if child == 0:
            try:
                kill_at(int(step))
                work(kind, Path(data), Path(backups))
                os._exit(0)
            except BaseException as error:  # noqa: BLE001 - said aloud
                print(repr(error), file=sys.stderr, flush=True)
            finally:
                os._exit(1)
        _, status = os.waitpid(child, 0)
        killed = os.WIFSIGNALED(status)
        print("killed" if killed else "done" if status == 0 else "failed", flush=True)


def hold(folder: Path) -> None:
    """Has the folder open, idle, until it is told to end."""
    store = SqliteStore(folder)
    store.collections()
    print("open", flush=True)
    sys.stdin.readline()
    store.close()


if __name__ == "__main__":
    if sys.argv[1:]:
        hold(Path(sys.argv[1]))
    else:
        main()
