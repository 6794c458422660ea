"""Charts as inline SVG. Nothing is fetched, no script runs; colours can be told apart by colour-blind eyes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7f7f7f")
PARTS = {"quality": "#0072b2", "speed": "#009e73", "switch": "#56b4e9", "memory": "#e69f00", "maintenance": "#cc79a7"}
GRID, INK, SOFT = "#dfe3e8", "#1f2933", "#5f6c7b"
WIDTH = 560
ROOM = 19
"""Characters of a name beside a bar."""


@dataclass(frozen=True, slots=True)
class Dot:
    """A model in the chart of speed and quality; `seconds` > 0, the others in [0, 1]."""

    name: str
    seconds: float
    quality: float
    low: float
    high: float
    color: str


def speed_quality(dots: Sequence[Dot]) -> str:
    """Quality over the time to the whole answer, on a logarithmic axis; whiskers are 95 % intervals."""
    height, left, right, top, bottom = 330, 56, 16, 14, 46
    low = math.floor(math.log10(min(d.seconds for d in dots)) - 0.05)
    high = max(math.ceil(math.log10(max(d.seconds for d in dots)) + 0.05), low + 1)

    def x(seconds: float) -> float:
        return left + (math.log10(seconds) - low) / (high - low) * (WIDTH - left - right)

    def y(quality: float) -> float:
        return top + (1.0 - quality) * (height - top - bottom)

    parts = []
    for tick in (0.0, 0.25, 0.5, 0.75, 1.0):
        parts += [
            _line(left, y(tick), WIDTH - right, y(tick), GRID),
            _text(left - 8, y(tick) + 4, f"{tick:.2f}", "end"),
        ]
    for power in range(low, high + 1):
        at = 10.0**power
        parts += [
            _line(x(at), top, x(at), height - bottom, GRID),
            _text(x(at), height - bottom + 18, _time(at), "middle"),
        ]
    parts.append(
        _text((left + WIDTH - right) / 2, height - 8, "time to the whole answer, median (left is faster)", "middle")
    )
    parts.append(_turned(14, (top + height - bottom) / 2, "quality (up is better)"))
    written: list[float] = []
    for dot in sorted(dots, key=lambda d: -d.quality):
        cx, cy = x(dot.seconds), y(dot.quality)
        parts.append(_line(cx, y(dot.low), cx, y(dot.high), dot.color, 2))
        parts.append(f'<circle cx="{cx:.1f}" cy="{cy:.1f}" r="7" fill="{dot.color}" stroke="#fff" stroke-width="1.5"/>')
        end = cx > (left + WIDTH) / 2
        beside = cy + 4
        while any(abs(beside - other) < 14 for other in written):
            beside += 4
        written.append(beside)
        parts.append(
            _text(cx + (-12 if end else 12), beside, short(dot.name), "end" if end else "start", INK, bold=True)
        )
    return _svg(height, parts, "Speed and quality of each model")


def bars(groups: Mapping[str, Mapping[str, float]], colors: Mapping[str, str], label: str) -> str:
    """One group of bars for each key, one bar for each model, values in [0, 1]."""
    height, left, right, top, bottom = 270, 46, 10, 30, 34
    parts = [_legend(colors, left)]
    for tick in (0.0, 0.5, 1.0):
        at = top + (1.0 - tick) * (height - top - bottom)
        parts += [_line(left, at, WIDTH - right, at, GRID), _text(left - 8, at + 4, f"{tick:.1f}", "end")]
    room = (WIDTH - left - right) / max(1, len(groups))
    width = min(44.0, room * 0.8 / max(1, len(colors)))
    for i, (group, values) in enumerate(groups.items()):
        middle = left + room * (i + 0.5)
        parts.append(_text(middle, height - bottom + 18, group, "middle"))
        for j, (name, color) in enumerate(colors.items()):
            value = values.get(name)
            if value is None:
                continue
            tall = value * (height - top - bottom)
            at, base = middle + (j - len(colors) / 2) * width, height - bottom
            parts.append(_rect(at + 1, base - tall, width - 2, max(tall, 1), color))
            parts.append(_text(at + width / 2, base - tall - 4, f"{value:.2f}", "middle", size=10))
    return _svg(height, parts, label)


def points(decision: Mapping[str, Mapping[str, Mapping[str, float]]], order: Sequence[str]) -> str:
    """The total of each model as a bar made of its criteria, with the interval of the total."""
    weights, rows, totals = decision["weights"], decision["points"], decision["totals"]
    left, right, top, step = 150, 52, 34, 46
    height = top + step * len(order) + 26
    scale = (WIDTH - left - right) / 100.0
    shown = {f"{name} {float(weights[name]):.0f}": PARTS[name] for name in PARTS}  # type: ignore[arg-type]
    parts = [_legend(shown, 4)]
    for tick in (0, 25, 50, 75, 100):
        parts.append(_line(left + tick * scale, top, left + tick * scale, height - 24, GRID))
        parts.append(_text(left + tick * scale, height - 8, str(tick), "middle"))
    for i, name in enumerate(order):
        y, at = top + step * i + 8, float(left)
        parts.append(_text(left - 10, y + 17, short(name), "end", INK, bold=True))
        for part, color in PARTS.items():
            long = float(weights[part]) * float(rows[name][part]) * scale  # type: ignore[arg-type]
            parts.append(_rect(at, y, max(long, 0), 24, color))
            at += long
        total = totals[name]
        middle = y + 12
        parts.append(_line(left + total["low"] * scale, middle, left + total["high"] * scale, middle, INK, 2))
        parts.append(
            _text(max(at, left + total["high"] * scale) + 8, y + 17, f"{total['total']:.0f}", "start", INK, bold=True)
        )
    return _svg(height, parts, "Points of each model by criterion")


def rates(rows: Sequence[tuple[str, str, float, float, float]]) -> str:
    """Win rates (model, against which, rate, low, high) with their intervals around the middle, where nobody leads."""
    left, right, top, step = 190, 56, 10, 46
    height = top + step * len(rows) + 28
    scale = WIDTH - left - right
    parts = []
    for tick in (0.0, 0.5, 1.0):
        at = left + tick * scale
        parts += [
            _line(at, top, at, height - 24, SOFT if tick == 0.5 else GRID),
            _text(at, height - 8, f"{tick:.0%}", "middle"),
        ]
    for i, (name, other, rate, low, high) in enumerate(rows):
        y = top + step * i + step / 2
        color = "#009e73" if low > 0.5 else "#d55e00" if high < 0.5 else SOFT
        parts.append(_text(left - 10, y - 3, short(name), "end", INK, bold=True))
        parts.append(_text(left - 10, y + 13, f"against {short(other)}", "end", size=11))
        parts.append(_line(left + low * scale, y, left + high * scale, y, color, 3))
        parts.append(f'<circle cx="{left + rate * scale:.1f}" cy="{y:.1f}" r="6" fill="{color}"/>')
        parts.append(_text(WIDTH - right + 12, y + 4, f"{rate:.0%}", "start", INK))
    return _svg(height, parts, "Win rates head to head")


def times(rows: Sequence[tuple[str, float, float, str]]) -> str:
    """(name, seconds to the first token, seconds to the whole answer, color) as bars on one axis."""
    left, right, top, step = 150, 92, 10, 40
    height = top + step * len(rows) + 8
    scale = (WIDTH - left - right) / max(whole for _, _, whole, _ in rows)
    parts = []
    for i, (name, first, whole, color) in enumerate(rows):
        y = top + step * i + 6
        parts.append(_text(left - 10, y + 17, short(name), "end", INK, bold=True))
        parts.append(_rect(left, y, max(whole * scale, 1.5), 24, color, 0.45))
        parts.append(_rect(left, y, max(first * scale, 1.5), 24, color))
        parts.append(_text(left + whole * scale + 8, y + 17, f"{_time(first)} / {_time(whole)}", "start"))
    return _svg(height, parts, "Time to the first token and to the whole answer")


def short(name: str) -> str:
    """A model's name where there is little room: its end, which tells versions apart, stays."""
    return name if len(name) <= ROOM else f"{name[: ROOM // 2]}…{name[-(ROOM - ROOM // 2 - 1) :]}"


def _svg(height: float, parts: Sequence[str], label: str) -> str:
    inner = "".join(parts)
    return f'<svg viewBox="0 0 {WIDTH} {height:.0f}" role="img" aria-label="{escape(label)}">{inner}</svg>'


def _legend(colors: Mapping[str, str], left: float) -> str:
    parts, at = [], left
    for name, color in colors.items():
        parts += [_rect(at, 6, 11, 11, color), _text(at + 15, 16, name, "start", size=11)]
        at += 15 + 7.0 * len(name) + 12
    return "".join(parts)


def _line(x1: float, y1: float, x2: float, y2: float, color: str, width: float = 1) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{color}" stroke-width="{width}"/>'


def _rect(x: float, y: float, width: float, height: float, color: str, opacity: float = 1) -> str:
    return (
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" fill="{color}" '
        f'fill-opacity="{opacity}" rx="2"/>'
    )


def _text(x: float, y: float, text: str, anchor: str, color: str = SOFT, *, bold: bool = False, size: int = 12) -> str:
    weight = ' font-weight="600"' if bold else ""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{color}" font-size="{size}"{weight}>'
        f"{escape(text)}</text>"
    )


def _turned(x: float, y: float, text: str) -> str:
    return (
        f'<text x="{x}" y="{y:.1f}" transform="rotate(-90 {x} {y:.1f})" text-anchor="middle" fill="{SOFT}" '
        f'font-size="12">{escape(text)}</text>'
    )


def _time(seconds: float) -> str:
    if seconds < 1:
        return f"{seconds * 1000:.3g} ms"
    return f"{seconds:.3g} s"
