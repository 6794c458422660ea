"""Builds the web page: `ui/` → `src/ragstone/server/web/`, which is committed, so that nobody needs Node to use it.

    python tools/build_page.py           build, and note of which sources it is
    python tools/build_page.py --check   fail where the committed page is not what the sources build (needs Node)

Whether the note fits the sources is checked without Node, by the tests.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
UI = ROOT / "ui"
WEB = ROOT / "src" / "ragstone" / "server" / "web"
NOTE = "sources.sha256"
_LOOSE = ("index.html", "package.json", "package-lock.json", "tsconfig.json", "vite.config.js")


def sources_digest() -> str:
    """Of everything that the page is built from."""
    digest = hashlib.sha256()
    for path in [*(UI / name for name in _LOOSE), *sorted(p for p in (UI / "src").rglob("*") if p.is_file())]:
        digest.update(path.relative_to(UI).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def build(out: Path) -> None:
    """Raises CalledProcessError where the sources do not compile."""
    environ = {**os.environ, "RAGSTONE_PAGE_OUT": str(out)}
    if not (UI / "node_modules").is_dir():
        subprocess.run(["npm", "ci", "--no-audit", "--no-fund"], cwd=UI, check=True)
    subprocess.run(["npm", "run", "--silent", "build"], cwd=UI, check=True, env=environ)
    (out / NOTE).write_text(sources_digest() + "\n")


def contents(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def main(arguments: list[str]) -> int:
    if shutil.which("npm") is None:
        print("npm is not there: the page cannot be built.", file=sys.stderr)
        return 2
    if arguments != ["--check"]:
        build(WEB)
        return 0
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "web"
        build(out)
        if contents(out) == contents(WEB):
            return 0
    print("the committed page is not what ui/ builds: run tools/build_page.py.", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
