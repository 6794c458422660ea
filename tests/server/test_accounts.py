"""server.db as several processes open it."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

from ragstone.server.accounts import FIRST, Accounts

AT_ONCE = 8


def test_those_who_come_first_at_once_make_one_file(tmp_path: Path) -> None:
    """A connection that changes the journal's mode is told of a lock at once, whatever its timeout."""
    for number in range(25):
        together = Barrier(AT_ONCE)

        def secret(folder: Path = tmp_path / str(number), together: Barrier = together) -> bytes:
            together.wait(30)
            accounts = Accounts(folder)
            try:
                return accounts.secret
            finally:
                accounts.close()

        with ThreadPoolExecutor(AT_ONCE) as pool:
            assert len(set(pool.map(lambda _, secret=secret: secret(), range(AT_ONCE)))) == 1


def test_processes_that_come_and_go_at_once_are_never_told_of_a_lock(tmp_path: Path) -> None:
    """Also while one that is the last to leave removes the log."""
    code = (
        "import sys; from pathlib import Path; from ragstone.server.accounts import Accounts\n"
        "for folder in sys.argv[1:]:\n"
        "    for _ in range(3):\n"
        "        accounts = Accounts(Path(folder)); accounts.record('default', 'key', 'came'); accounts.close()\n"
    )
    folders = [str(tmp_path / str(number)) for number in range(8)]
    started = [subprocess.Popen([sys.executable, "-c", code, *folders], stderr=subprocess.PIPE) for _ in range(3)]
    assert [(one.communicate(timeout=120)[1], one.returncode) for one in started] == [(b"", 0)] * 3
    accounts = Accounts(Path(folders[0]))
    assert len(accounts.audit("default", 0, 100)) == 9
    accounts.close()


def test_keys_and_tenants_come_in_pages(tmp_path: Path) -> None:
    accounts = Accounts(tmp_path)
    made = [accounts.create_key(str(number), ["read"])[0] for number in range(5)]
    seen: list[str] = []
    after = FIRST
    while found := accounts.list_keys(after=after, limit=2):
        seen += [key.id for key in found]
        after = (found[-1].created, found[-1].id)
    assert seen == [key.id for key in made]
    accounts.close()
