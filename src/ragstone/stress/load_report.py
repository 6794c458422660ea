"""What a load test measured, as JSON and as one page of tables and charts that needs nothing else."""

from __future__ import annotations

from html import escape
from typing import Any, Final

from .load import Measured, figures, quantile

WIDTH: Final = 720
HEIGHT: Final = 200
_STYLE: Final = (
    "body{font:15px system-ui;max-width:760px;margin:2rem auto;color-scheme:light dark}"
    "td,th{padding:.2rem .6rem;text-align:right}td:first-child,th:first-child{text-align:left}"
    "polyline{fill:none;stroke-width:1.5}text{font-size:11px;fill:currentColor}"
)
_LINES: Final = (("p50", "#2a7"), ("p95", "#e90"), ("p99", "#d33"))


def as_json(measured: Measured) -> dict[str, Any]:
    load = measured.load
    return {
        "rate": load.rate,
        "seconds": measured.seconds,
        "mix": list(load.mix),
        "fresh": load.fresh,
        "statuses": measured.statuses(),
        "figures": measured.table(),
        "by_second": by_second(measured),
    }


def by_second(measured: Measured) -> list[dict[str, float]]:
    """Figures of the requests that were due in each second."""
    groups: dict[int, list[Any]] = {}
    for sample in measured.samples:
        groups.setdefault(int(sample.due), []).append(sample)
    return [{"second": float(second), **figures(group, 1.0)} for second, group in sorted(groups.items())]


def page(measured: Measured) -> str:
    table = measured.table()
    columns = list(next(iter(table.values()), {}))
    head = "".join(f"<th>{escape(name)}</th>" for name in ["", *columns])
    rows = "".join(
        f"<tr><td>{escape(kind)}</td>" + "".join(f"<td>{row[name]:,.1f}</td>" for name in columns) + "</tr>"
        for kind, row in table.items()
    )
    seconds = by_second(measured)
    latency = [(name, colour, [row[name] for row in seconds]) for name, colour in _LINES]
    good = sorted(s.latency * 1000 for s in measured.samples if 0 < s.status < 400)
    spread = [quantile(good, share / 200) for share in range(1, 201)]
    statuses = ", ".join(f"{status}: {count:,}" for status, count in measured.statuses().items())
    return (
        "<!doctype html><html lang=en><meta charset=utf-8><title>Load test</title>"
        f"<style>{_STYLE}</style><h1>Load test</h1>"
        f"<p>{measured.load.rate:,.0f} requests a second for {measured.load.seconds:,.0f} s. Latency in milliseconds "
        f"counts from when a request was due. Answers by status: {escape(statuses)}.</p>"
        f"<table><tr>{head}</tr>{rows}</table>"
        f"<h2>Latency by second (ms)</h2>{_chart(latency)}"
        f"<h2>Answers by second</h2>{_chart([('per second', '#27c', [row['per second'] for row in seconds])])}"
        f"<h2>Latency by share of requests, 0.5 % to 100 % (ms)</h2>{_chart([('all', '#27c', spread)])}</html>\n"
    )


def _chart(lines: list[tuple[str, str, list[float]]]) -> str:
    top = max((value for _, _, values in lines for value in values), default=0.0) or 1.0
    parts = [f'<text x="0" y="12">{top:,.1f}</text>', f'<text x="0" y="{HEIGHT}">0</text>']
    for place, (name, colour, values) in enumerate(lines):
        step = WIDTH / max(len(values) - 1, 1)
        points = " ".join(
            f"{n * step:.1f},{HEIGHT - value / top * (HEIGHT - 20):.1f}" for n, value in enumerate(values)
        )
        parts.append(f'<polyline points="{points}" stroke="{colour}"/>')
        parts.append(f'<text x="{WIDTH - 60}" y="{12 + 14 * place}" style="fill:{colour}">{escape(name)}</text>')
    return f'<svg viewBox="0 -5 {WIDTH} {HEIGHT + 15}" width="100%" role="img">{"".join(parts)}</svg>'
