"""Every check of the project, in the order of their cost; the tests come last, so their closing line does too.

    python tools/check.py [PYTEST_ARGUMENT...]
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

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
    tests = subprocess.run([sys.executable, "-m", "pytest", "-n", "2", *arguments], cwd=ROOT, check=False).returncode
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return tests or bool(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
