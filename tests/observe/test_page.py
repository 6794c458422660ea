"""A page is read by others as it is written, and survives its process."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from ragstone.observe.instruments import BOUNDS, quantile
from ragstone.observe.page import NAMES, SIZE, SLOTS, Page, owner, parse


def test_what_was_counted_before_it_was_shared_is_kept(tmp_path: Path) -> None:
    page = Page()
    slot = page.slot(("m", "a"), 1)
    page.add(slot, 2.0)
    page.share(tmp_path / "page")
    page.add(slot, 1.5)
    page.add_two(page.slot(("h",), 3), page.slot(("h",), 3) + 2, 0.25)
    found = parse(memoryview((tmp_path / "page").read_bytes()))
    assert found == {("m", "a"): (3.5,), ("h",): (1.0, 0.0, 0.25)} == page.read()
    assert (tmp_path / "page").stat().st_mode & 0o777 == 0o600


def test_a_page_that_is_there_is_not_taken(tmp_path: Path) -> None:
    (tmp_path / "page").touch()
    with pytest.raises(FileExistsError):
        Page().share(tmp_path / "page")


def test_threads_lose_nothing() -> None:
    page = Page()

    def count() -> None:
        for i in range(5_000):
            page.add(page.slot(("m", str(i % 7)), 1), 1.0)

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(value for (value,) in page.read().values()) == 20_000


def test_a_full_page_goes_on_counting_what_it_has() -> None:
    page = Page()
    first = page.slot(("m", "first"), 1)
    slots = {page.slot(("m", str(i)), 64) for i in range(SLOTS)}
    assert 0 in slots
    assert len(slots) == (SLOTS - 2) // 64 + 1
    page.add(0, 1.0)
    page.add(first, 1.0)
    assert page.read()["m", "first"] == (1.0,)


def test_names_have_no_end() -> None:
    page = Page()
    for i in range(NAMES // 64):
        page.slot(("m", f"{i}".rjust(100, "x")), 1)
    assert page.slot(("m", "y" * 100), 1) == 0


def test_labels_cannot_break_a_line() -> None:
    page = Page()
    page.add(page.slot(("m", "a\tb\nc" + "x" * 500), 1), 1.0)
    ((name, label),) = page.read()
    assert name == "m"
    assert label.startswith("a b c")
    assert len(label) <= 120


def test_what_is_no_page_has_no_figures() -> None:
    assert parse(memoryview(b"")) == {}
    assert parse(memoryview(bytes(SIZE))) == {}


def test_the_page_of_a_killed_process_is_readable(tmp_path: Path) -> None:
    script = (
        "import os, signal, sys; from pathlib import Path\n"
        "from ragstone.observe.instruments import PAGE, TOKENS\n"
        "TOKENS.add(5, 'm', 'prompt'); PAGE.share(Path(sys.argv[1])); TOKENS.add(7, 'm', 'prompt')\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    process = subprocess.Popen([sys.executable, "-c", script, str(tmp_path / "page")])
    assert process.wait() == -9
    memory = memoryview((tmp_path / "page").read_bytes())
    assert parse(memory) == {("ragstone_tokens_total", "m", "prompt"): (12.0,)}
    assert owner(memory) == process.pid


def test_quantiles_lie_in_their_bucket() -> None:
    buckets = [0.0] * (len(BOUNDS) + 1)
    assert quantile(buckets, 0.5) == 0.0
    buckets[BOUNDS.index(0.1)] = 99
    buckets[BOUNDS.index(1.0)] = 1
    assert 0.063 < quantile(buckets, 0.5) < 0.1
    assert 0.063 < quantile(buckets, 0.99) <= 0.1
    assert 0.63 < quantile(buckets, 0.999) <= 1.0
    buckets[-1] = 1000
    assert quantile(buckets, 0.9) == BOUNDS[-1]
