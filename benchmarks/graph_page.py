"""How the page of a graph does with 10,000 entities: its first picture, and frames while it is moved, in Chromium.

    python benchmarks/graph_page.py DATA COLLECTION [--runs 3] [--shots DIR] [--json]

DATA is a data folder whose collection has a graph (`ragstone graph build`). Each run opens the whole graph in a new
browser profile, then drags it and zooms in and out with the mouse. Times are the browser's own, in milliseconds:
`picture` from the request for the page of the graph to the first frame after everything has its place; frames are the
differences of requestAnimationFrame while the mouse moves; `worst` is the longest of these and of the second after, in
which a page may draw what it left out. Software rendering: what a machine without a graphics card does. The first run
finds a server that has read the graph and has placed nothing yet. `cpu` is the processor time of server and browser
until the first picture, or for the whole movement: what other work on the machine changes least. Needs playwright and a
Chromium.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright

ROOT = Path(__file__).resolve().parent.parent
PLACED = "() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now()))))"
FRAMES = """() => { window.frames_ = []; let last = performance.now(); window.going = true;
    const next = now => { frames_.push(now - last); last = now; if (going) requestAnimationFrame(next); };
    requestAnimationFrame(now => { last = now; requestAnimationFrame(next); }); }"""
STEPS = 40
SETTLING = 1_200
"""Milliseconds after the last move in which the page draws what it left out meanwhile."""


def spent() -> float:
    """Processor time of the server and the browser, in milliseconds: of all that descends from this process (Linux)."""
    stats: dict[int, tuple[int, int]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = path.read_text().rpartition(") ")[2].split()
            stats[int(path.parent.name)] = int(fields[1]), int(fields[11]) + int(fields[12])
    ours: set[int] = set()
    more = {os.getpid()}
    while more:
        ours |= more
        more = {pid for pid, (parent, _) in stats.items() if parent in ours} - ours
    ticks = sum(stats[pid][1] for pid in ours if pid in stats and pid != os.getpid())
    return 1000 * ticks / os.sysconf("SC_CLK_TCK")


def drag(page: Page, x: float, y: float) -> None:
    page.mouse.move(x, y)
    page.mouse.down()
    for step in range(1, STEPS + 1):
        page.mouse.move(x + 5 * step, y + 3 * step)
        page.wait_for_timeout(16)
    page.mouse.up()


def wheel(page: Page, x: float, y: float) -> None:
    page.mouse.move(x, y)
    for step in range(STEPS):
        page.mouse.wheel(0, -60 if step < STEPS // 2 else 60)
        page.wait_for_timeout(16)


def measured(
    browser: Browser, address: str, collection: str, shots: Path | None, *, whole: bool = True
) -> dict[str, float]:
    context = browser.new_context(viewport={"width": 1280, "height": 800}, locale="en-US")
    try:
        page = context.new_page()
        network = context.new_cdp_session(page)
        network.send("Network.enable")
        page.goto(address)
        page.wait_for_selector("nav")
        page.goto("about:blank")
        sizes: list[float] = []
        network.on("Network.loadingFinished", lambda event: sizes.append(event["encodedDataLength"]))
        before = spent()
        page.goto(f"{address.partition('#')[0]}#/graph/{collection}{'?all=1' * whole}")
        page.wait_for_selector(".drawing[data-placed]", timeout=300_000)
        figures = {"picture_ms": page.evaluate(PLACED), "picture_cpu_ms": spent() - before, "bytes": sum(sizes)}
        box = page.locator(".drawing").bounding_box() or {"x": 0, "y": 0, "width": 0, "height": 0}
        if shots:
            page.wait_for_timeout(SETTLING)
            page.screenshot(path=shots / "whole.png")
        middle = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        for name, move in (("pan", drag), ("zoom", wheel)):
            page.wait_for_timeout(SETTLING)
            page.evaluate(FRAMES)
            before = spent()
            move(page, *(middle if name == "zoom" else (box["x"] + 12, box["y"] + 12)))
            frames = sorted(page.evaluate("() => [...frames_]"))
            page.wait_for_timeout(SETTLING)
            worst = max(page.evaluate("() => { going = false; return frames_; }"))
            figures |= {
                f"{name}_median_ms": statistics.median(frames),
                f"{name}_p95_ms": frames[int(0.95 * (len(frames) - 1))],
                f"{name}_worst_ms": worst,
                f"{name}_cpu_ms": spent() - before,
            }
        return figures
    finally:
        context.close()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("collection")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--shots", type=Path)
    parser.add_argument("--chromium", default=shutil.which("chromium") or shutil.which("chromium-browser"))
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    command = [sys.executable, "-m", "ragstone", "serve", "--port", "0", "--data", str(given.data)]
    command += ["--set", "embedding.background=false", "--set", "server.requests_per_minute=0"]
    environ = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    with sync_playwright() as playwright:
        server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environ)
        try:
            assert server.stdout is not None  # noqa: S101 - it is a pipe
            address = server.stdout.readline().strip()
            browser = playwright.chromium.launch(executable_path=given.chromium, args=["--no-sandbox"])
            measured(browser, address, given.collection, None, whole=False)
            runs = [measured(browser, address, given.collection, given.shots) for _ in range(given.runs)]
            browser.close()
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait(40)
    figures: dict[str, Any] = {
        name: {
            "first": round(runs[0][name], 1),
            "median": round(statistics.median(run[name] for run in runs), 1),
            "worst": round(max(run[name] for run in runs), 1),
        }
        for name in runs[0]
    }
    lines = [f"{'':18}{'first':>12}{'median':>12}{'worst':>12}"]
    lines += [f"{name:18}" + "".join(f"{value:>12,}" for value in found.values()) for name, found in figures.items()]
    sys.stdout.write((json.dumps(figures) if given.json else "\n".join(lines)) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
