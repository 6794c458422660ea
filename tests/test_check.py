"""What `tools/check.py` runs once more, and what it does not."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))
from check import failures  # noqa: E402

FAILS = "def test_a():\n    assert False\n\ndef test_b():\n    pass\n"
BREAKS = "import pytest\n\n@pytest.fixture\ndef broken():\n    raise ValueError\n\ndef test_c(broken):\n    pass\n"


@pytest.mark.parametrize(
    ("texts", "found"),
    [
        ({"test_one.py": FAILS, "test_two.py": BREAKS}, ["test_one::test_a", "test_two::test_c"]),
        ({"test_one.py": FAILS, "test_two.py": "import nothing_of_this_name\n"}, []),
        ({"test_one.py": "def test_b():\n    pass\n"}, []),
    ],
)
def test_only_tests_are_run_once_more(texts: dict[str, str], found: list[str], tmp_path: Path) -> None:
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    report = tmp_path / "report.xml"
    command = [sys.executable, "-m", "pytest", "-p", "no:randomly", "-p", "no:cacheprovider", f"--junit-xml={report}", str(tmp_path)]
    subprocess.run(command, cwd=tmp_path, check=False, capture_output=True)
    assert failures(report) == found


def test_without_a_report_nothing_is_run_once_more(tmp_path: Path) -> None:
    assert failures(tmp_path / "report.xml") == []
