from __future__ import annotations

import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from ragstone.server.page import WEB, page_files

ROOT = Path(__file__).parents[2]


def test_the_committed_page_is_built_from_these_sources() -> None:
    tool = runpy.run_path(str(ROOT / "tools" / "build_page.py"))
    assert (WEB / "sources.sha256").read_text().strip() == tool["sources_digest"](), "run tools/build_page.py"


def test_the_build_gives_the_committed_page() -> None:
    if not (ROOT / "ui" / "node_modules").is_dir():
        pytest.skip("the page's own packages are not installed here (npm ci in ui/)")
    command = [sys.executable, "tools/build_page.py", "--check"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr


def test_nothing_is_inline_and_nothing_is_from_elsewhere() -> None:
    html = page_files()["/"].body.decode()
    assert not re.findall(r"<script(?![^>]*\ssrc=)|\sstyle=|\son\w+=|<style", html)
    for address in re.findall(r'(?:src|href)="([^"]+)"', html):
        assert address in page_files()
