"""What a load test measured, as JSON and as one page of tables and charts that needs nothing else."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from typing import Any, Final

from .load import Measured, figures, quantile

WIDTH: Final = 900
HEIGHT: Final = 220
LEFT: Final = 60
"""Room for the numbers beside a chart."""
BOTTOM: Final = 24
TICKS: Final = 4
LEAST: Final = 0.1
"""Milliseconds, where the scale of latencies begins at the lowest."""
COUNTS: Final = frozenset(("requests", "refused", "errors"))
_STYLE: Final = (
    ":root{color-scheme:light dark}body{font:15px system-ui,sans-serif;max-width:960px;margin:2rem auto;padding:0 1rem}"
    "h2{font-size:1.05rem;margin:2rem 0 .3rem}div{overflow-x:auto}table{border-collapse:collapse}"
    "td,th{padding:.25rem .45rem;text-align:right;white-space:nowrap;font-variant-numeric:tabular-nums}"
    "th{font-weight:600}tr+tr{border-top:1px solid #8884}td:first-child,th:first-child{text-align:left}"
    "polyline{fill:none;stroke-width:1.8;stroke-linejoin:round}line{stroke:#8884}"
    "svg{min-width:560px}text{font-size:12px;fill:currentColor}p.key{margin:.2rem 0 0 60px}"
    "p.key span{margin-right:1.2rem;display:inline-block}"
    "p.key span::before{content:'';display:inline-block;width:1.1em;height:3px;margin-right:.4em;"
    "vertical-align:middle;background:var(--c)}"
)
Line = tuple[str, str, list[float]]
"""Name, colour, values from left to right."""
_LATENCIES: Final = (("p50", "#29a36a"), ("p95", "#d98200"), ("p99", "#d43c3c"))
_ANSWERS: Final = (("per second", "#2f7dd1"), ("refused", "#d98200"), ("errors", "#d43c3c"))


def as_json(measured: Measured) -> dict[str, Any]:
    load = measured.load
    return {
        "rate": load.rate,
        "seconds": measured.seconds,
        "mix": list(load.mix),
        "clients": load.clients,
        "fresh": load.fresh,
        "machine_load": list(measured.machine_load),
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
        f"<tr><td>{escape(kind)}</td>" + "".join(f"<td>{_figure(name, row[name])}</td>" for name in columns) + "</tr>"
        for kind, row in table.items()
    )
    seconds = by_second(measured)
    good = sorted(s.latency * 1000 for s in measured.samples if 0 < s.status < 400)
    spread = [quantile(good, share / 200) for share in range(1, 201)]
    statuses = ", ".join(f"{status}: {count:,}" for status, count in measured.statuses().items())
    ends = f"{measured.load.seconds:,.0f} s"
    loads = "–".join(f"{load:.1f}" for load in measured.machine_load)
    return (
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>"
        f"<title>Load test</title><style>{_STYLE}</style><h1>Load test</h1>"
        f"<p>{measured.load.rate:,.0f} requests a second for {measured.load.seconds:,.0f} s. Latency in milliseconds "
        f"counts from when a request was due. Answers by status: {escape(statuses)}. Load of this machine: {loads}.</p>"
        f"<div><table><tr>{head}</tr>{rows}</table></div>"
        f"<h2>Latency of answers by second (ms)</h2>{_chart(_lines(_LATENCIES, seconds), '0 s', ends, log=True)}"
        f"<h2>Answers by second</h2>{_chart(_lines(_ANSWERS, seconds), '0 s', ends)}"
        f"<h2>Latency that a share of answers stays below (ms)</h2>"
        f"{_chart([('all answers', '#2f7dd1', spread)], '0 %', '100 %', log=True)}</html>\n"
    )


def _lines(named: Sequence[tuple[str, str]], seconds: Sequence[dict[str, float]]) -> list[Line]:
    return [(name, colour, [row[name] for row in seconds]) for name, colour in named]


def _figure(name: str, value: float) -> str:
    return f"{value:,.0f}" if name in COUNTS or value >= 1_000 else f"{value:,.1f}"


def _chart(lines: Sequence[Line], first: str, last: str, *, log: bool = False) -> str:
    """`log`: a logarithmic scale, so that a line at 5 can be read beside one at 5,000; zeros lie at its foot."""
    values = [value for _, _, values in lines for value in values]
    low, high = 0.0, _round_up(max(values, default=0.0) or 1.0)
    if log:
        low = math.floor(math.log10(max(LEAST, min((v for v in values if v > 0), default=LEAST))))
        high = max(math.ceil(math.log10(max(values, default=1.0) or 1.0)), low + 1)
    ticks = range(int(low), int(high) + 1) if log else [high * n / TICKS for n in range(TICKS + 1)]

    def up(value: float) -> float:
        place = math.log10(max(value, 10**low)) if log else value
        return HEIGHT - (place - low) / (high - low) * (HEIGHT - 10)

    parts = []
    for tick in ticks:
        value = 10.0**tick if log else float(tick)
        parts.append(f'<line x1="{LEFT}" x2="{WIDTH}" y1="{up(value):.1f}" y2="{up(value):.1f}"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{up(value) + 4:.1f}" text-anchor="end">{value:,g}</text>')
    for _, colour, line in lines:
        step = (WIDTH - LEFT) / max(len(line) - 1, 1)
        points = [f"{LEFT + n * step:.1f},{up(value):.1f}" for n, value in enumerate(line)]
        parts.append(f'<polyline points="{" ".join(points)}" stroke="{colour}"/>')
    parts.append(f'<text x="{LEFT}" y="{HEIGHT + BOTTOM - 6}">{escape(first)}</text>')
    parts.append(f'<text x="{WIDTH}" y="{HEIGHT + BOTTOM - 6}" text-anchor="end">{escape(last)}</text>')
    key = "".join(f'<span style="--c:{colour}">{escape(name)}</span>' for name, colour, _ in lines)
    names = escape(", ".join(name for name, _, _ in lines))
    return (
        f'<p class="key">{key}</p><div><svg viewBox="0 0 {WIDTH} {HEIGHT + BOTTOM}" width="100%" role="img" '
        f'aria-label="{names}">{"".join(parts)}</svg></div>'
    )


def _round_up(value: float) -> float:
    """To 1, 2, 4 or 8 times a power of ten: quarters of it are round as well."""
    power: float = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 2, 4, 8, 10) if step * power >= value * 0.999)
