"""How soon the web page is there: first paint and bytes, in Chromium over loopback, from `ragstone serve`.

    python benchmarks/page.py [--runs 10] [--chromium /usr/bin/chromium] [--json]

Each run is a new browser profile (nothing is kept from the run before) that opens the printed address, signs in, and
waits until the page can be asked something. Times are the browser's own, in milliseconds from the start of navigation;
bytes are what came over the connection, headers included. Needs playwright and a Chromium.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, sync_playwright

ROOT = Path(__file__).resolve().parent.parent
PAINTS = """() => Object.fromEntries([
    ...performance.getEntriesByType("paint").map(e => [e.name, e.startTime]),
    ["loaded", performance.getEntriesByType("navigation")[0].loadEventEnd]])"""


def opened(browser: Browser, address: str) -> dict[str, float]:
    """One first visit."""
    context = browser.new_context()
    try:
        page = context.new_page()
        network = context.new_cdp_session(page)
        network.send("Network.enable")
        sizes: list[float] = []
        network.on("Network.loadingFinished", lambda event: sizes.append(event["encodedDataLength"]))
        page.goto(address)
        page.locator("textarea").wait_for()
        ready = page.evaluate("performance.now()")
        page.wait_for_load_state("networkidle")
        paints = page.evaluate(PAINTS)
        return {
            "first_paint_ms": paints["first-paint"],
            "first_contentful_paint_ms": paints["first-contentful-paint"],
            "ready_ms": ready,
            "bytes": sum(sizes),
            "requests": len(sizes),
        }
    finally:
        context.close()


def summary(runs: list[dict[str, float]]) -> dict[str, Any]:
    return {
        name: {
            "median": round(statistics.median(run[name] for run in runs), 1),
            "worst": round(max(run[name] for run in runs), 1),
        }
        for name in runs[0]
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--chromium", default=shutil.which("chromium") or shutil.which("chromium-browser"))
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        command = [sys.executable, "-m", "ragstone", "serve", "--port", "0", "--data", f"{folder}/data"]
        environ = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
        server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environ)
        try:
            assert server.stdout is not None  # noqa: S101 - it is a pipe
            address = server.stdout.readline().strip()
            browser = playwright.chromium.launch(executable_path=given.chromium, args=["--no-sandbox"])
            opened(browser, address)  # the browser's own first start is no property of the page
            figures = summary([opened(browser, address) for _ in range(given.runs)])
            browser.close()
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait(40)
    lines = [f"{'':26}{'median':>10}{'worst':>10}"]
    lines += [f"{name:26}{value['median']:>10,}{value['worst']:>10,}" for name, value in figures.items()]
    sys.stdout.write((json.dumps(figures) if given.json else "\n".join(lines)) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
