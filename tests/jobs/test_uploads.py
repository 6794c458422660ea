"""Files on their way in: whole and durable, or not there."""

from __future__ import annotations

import fcntl
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ragstone.errors import InputError, LimitExceeded, StoreError
from ragstone.jobs.uploads import Uploads
from ragstone.storage.layout import UPLOADS


def there(data: Path) -> list[str]:
    return sorted(path.name for path in (data / UPLOADS).iterdir())


def test_a_sealed_file_stays_and_is_private(tmp_path: Path) -> None:
    uploads = Uploads(tmp_path)
    with uploads.incoming(100) as incoming:
        incoming.write(b"one ")
        incoming.write(b"two")
        name = incoming.seal()
    path = uploads.path(name)
    assert path.read_bytes() == b"one two"
    assert incoming.size == 7
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    uploads.remove(name)
    uploads.remove(name)
    assert there(tmp_path) == []


def test_what_ends_early_or_is_too_large_leaves_nothing(tmp_path: Path) -> None:
    uploads = Uploads(tmp_path)
    with pytest.raises(ConnectionError), uploads.incoming(100) as incoming:
        incoming.write(b"half")
        raise ConnectionError
    with pytest.raises(LimitExceeded), uploads.incoming(10) as incoming:
        incoming.write(b"x" * 11)
    with uploads.incoming(10) as incoming:
        incoming.write(b"not wanted")
        incoming.seal()
        incoming.discard()
    assert there(tmp_path) == []


def test_only_names_that_were_given_are_paths(tmp_path: Path) -> None:
    for name in ("../ragstone.db", "", "a" * 31, "A" * 32, "/etc/passwd"):
        with pytest.raises(InputError):
            Uploads(tmp_path).path(name)


def test_left_overs_are_swept_but_not_what_is_sent_or_needed(tmp_path: Path) -> None:
    uploads = Uploads(tmp_path)
    code = (
        "import sys, pathlib, ragstone.jobs.uploads as u\n"
        f"i = u.Uploads(pathlib.Path({str(tmp_path)!r})).incoming(100)\n"
        "i.write(b'half'); print(i.name, flush=True); sys.stdin.read()"
    )
    sender = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert sender.stdout is not None
    name = sender.stdout.readline().strip()
    with uploads.incoming(100) as needed:
        needed.seal()
    assert uploads.sweep(lambda n: n == needed.name) == 0
    assert there(tmp_path) == sorted([name, needed.name])
    sender.send_signal(signal.SIGKILL)
    sender.wait()
    assert uploads.sweep(lambda n: n == needed.name) == 1
    assert there(tmp_path) == [needed.name]


def test_a_file_that_is_swept_before_it_is_locked_is_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between making a file and locking it nothing tells it from one that is left over."""
    uploads = Uploads(tmp_path)
    lock, swept = fcntl.flock, []

    def late(file: int, operation: int) -> None:
        if operation == fcntl.LOCK_EX and not swept:
            swept.append(uploads.sweep(lambda _: False))
        lock(file, operation)

    monkeypatch.setattr(fcntl, "flock", late)
    with uploads.incoming(100) as incoming:
        incoming.write(b"whole")
        name = incoming.seal()
    assert swept == [1]
    assert there(tmp_path) == [name]


def test_what_was_given_up_is_not_sealed_any_more(tmp_path: Path) -> None:
    uploads = Uploads(tmp_path)
    with uploads.incoming(100) as incoming:
        incoming.write(b"late")
    with pytest.raises(StoreError, match="removed while it came"):
        incoming.seal()
    with uploads.incoming(100) as incoming:
        uploads.remove(incoming.name)
        with pytest.raises(StoreError):
            incoming.seal()
