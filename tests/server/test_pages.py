"""Pages of several processes, some of which are gone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from ragstone.server.pages import Pages

SCRIPT = """
import sys; from pathlib import Path
from ragstone.observe.instruments import IN_FLIGHT, PAGE, SEARCHES, TOKENS
from ragstone.server.pages import Pages
pages = Pages(Path(sys.argv[1])); pages.join(PAGE)
TOKENS.add(5, "m", "prompt"); IN_FLIGHT.add(1.0); SEARCHES.observe(0.01, "no")
print("there", flush=True)
sys.stdin.read()
"""
TOKENS = ("ragstone_tokens_total", "m", "prompt")
IN_FLIGHT = ("ragstone_http_in_flight",)


def started(folder: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen([sys.executable, "-c", SCRIPT, str(folder)], stdin=-1, stdout=-1, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "there\n"
    return process


def ended(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate()


def test_counters_outlive_their_process_and_gauges_do_not(tmp_path: Path) -> None:
    pages = Pages(tmp_path)
    first, second = started(tmp_path), started(tmp_path)
    totals, living = pages.totals()
    assert (totals[TOKENS], totals[IN_FLIGHT]) == ((10.0,), (2.0,))
    assert sorted(living) == sorted([first.pid, second.pid])
    ended(first)
    totals, living = pages.totals()
    assert (totals[TOKENS], totals[IN_FLIGHT], living) == ((10.0,), (1.0,), [second.pid])
    third = started(tmp_path)  # puts away what the first one left
    assert len(list(tmp_path.glob("*.page"))) == 2
    totals, _ = pages.totals()
    assert (totals[TOKENS], totals[IN_FLIGHT]) == ((15.0,), (2.0,))
    assert totals["ragstone_search_seconds", "no"][-1] > 0.02
    ended(second)
    ended(third)
    last = started(tmp_path)  # nobody was left: it begins anew
    totals, living = pages.totals()
    assert (totals[TOKENS], living) == ((5.0,), [last.pid])
    ended(last)


def test_what_is_damaged_is_nothing(tmp_path: Path) -> None:
    (tmp_path / "ended.json").write_text("{")
    (tmp_path / "1-a.page").write_bytes(b"short")
    assert Pages(tmp_path).totals() == ({}, [])
