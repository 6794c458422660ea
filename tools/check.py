"""Every check of the project, in the order of their cost; the tests come last, so their closing line does too.

    python tools/check.py [PYTEST_ARGUMENT...]

Tests here start servers, kill processes, type on terminals and drive browsers, on machines that may be busy. Up to five
that fail are therefore run once more, alone in a fresh process; those that pass then are named as flaky, loudly, since
each is a defect still to be found. One that fails twice fails the check, and so does a sixth failure. Order and examples of the
tests are random but the same in every run; `--randomly-seed=default --hypothesis-profile=default` draws others.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SAME_EACH_TIME = ["--randomly-seed=20261121", "--hypothesis-profile=ci"]
RUN_AGAIN = 5

CHECKS = {
    "style": ["ruff", "check", "."],
    "generated documentation": ["tools/gen_docs.py", "--check"],
    "types": ["mypy"],
    "dependencies": ["deptry", "src"],
}


def main(arguments: list[str]) -> int:
    failed = []
    for name, command in CHECKS.items():
        print(f"== {name}: {' '.join(command)}", flush=True)
        script = [] if command[0].endswith(".py") else ["-m"]
        if subprocess.run([sys.executable, *script, *command], cwd=ROOT, check=False).returncode:
            failed.append(name)
    print("== tests", flush=True)
    tests = tested(arguments)
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return tests or bool(failed)


def tested(arguments: list[str]) -> int:
    """Exit status of the tests, with those few that failed run once more."""
    pytest = [sys.executable, "-m", "pytest", *SAME_EACH_TIME]
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "tests.xml"
        status = subprocess.run([*pytest, "-n", "2", f"--junit-xml={report}", *arguments], cwd=ROOT, check=False).returncode
        names = failures(report) if status == 1 else []
    if not 0 < len(names) <= RUN_AGAIN:
        return status
    print(f"== failed, run once more: {', '.join(names)}", flush=True)
    again = subprocess.run([*pytest, "--last-failed", "--last-failed-no-failures=none", *arguments], cwd=ROOT, check=False)
    if not again.returncode:
        print(f"FLAKY, passed alone: {', '.join(names)}", flush=True)
    return again.returncode


def failures(report: Path) -> list[str]:
    """Names of the tests that failed or could not be set up; none where a file could not be imported, whose tests
    nobody would run again."""
    if not report.exists():
        return []
    cases = ElementTree.parse(report).iter("testcase")  # noqa: S314 - pytest has just written it
    wrong = [case for case in cases if case.find("failure") is not None or case.find("error") is not None]
    if not all(case.get("classname") for case in wrong):
        return []
    return [f"{case.get('classname')}::{case.get('name')}" for case in wrong]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
