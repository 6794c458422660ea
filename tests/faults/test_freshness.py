"""Random adds, edits, deletes and questions from threads of several processes on one folder: nothing stale, ever."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from fresh_process import DOCUMENTS

HERE = Path(__file__).parent
PROCESSES = 3
THREADS = 2
OPERATIONS = int(os.environ.get("RAGSTONE_TEST_FRESHNESS", "10000"))
"""In all; a longer run sets the variable."""


@pytest.mark.slow
def test_no_result_and_no_answer_is_ever_stale(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    seed = int.from_bytes(os.urandom(4), "little")
    board = tmp_path / "board"
    board.write_bytes(bytes(2 * 8 * DOCUMENTS))
    command = [sys.executable, str(HERE / "fresh_process.py"), str(tmp_path / "data"), str(board)]
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    running = []
    for number in range(PROCESSES):
        figures = map(str, (number, PROCESSES, THREADS, -(-OPERATIONS // (PROCESSES * THREADS)), seed))
        process = subprocess.Popen(
            [*command, *figures], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environ
        )
        running.append(process)
    said = [process.communicate() for process in running]
    assert [process.returncode for process in running] == [0] * PROCESSES, said
    counts = [json.loads(out) for out, _ in said]
    total = {name: sum(count[name] for count in counts) for name in counts[0]}
    rate = total["hits"] / total["repeated"]
    with capsys.disabled():
        print(
            f"\nfreshness, seed {seed}: {total['operations']} operations, {total['writes']} of them writes; "
            f"{total['judged']} documents judged, {total['stale']} stale; "
            f"{rate:.1%} of {total['repeated']} repeated questions came from a cache"
        )
    assert total["stale"] == 0, (seed, said)
    assert total["operations"] >= OPERATIONS
    assert total["writes"] > OPERATIONS // 50
    assert rate >= 0.6
