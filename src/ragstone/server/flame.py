"""Stacks as a flame graph: one SVG that needs nothing else. Below is who called, above who was called, and the width of
a box is how often it was seen; the order from left to right means nothing."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from html import escape
from typing import Final

WIDTH: Final = 1200
ROW: Final = 18
MARGIN: Final = 10
HEAD: Final = 54
CHARACTER: Final = 6.6
"""Pixels of one letter at 11 pixels of a fixed-width font."""
SMALLEST: Final = 0.4
"""Pixels; what is narrower is not drawn."""


@dataclass(slots=True)
class _Box:
    count: int = 0
    above: dict[str, _Box] = field(default_factory=dict)

    def depth(self) -> int:
        return 1 + max((box.depth() for box in self.above.values()), default=0)


def flame_graph(stacks: Mapping[tuple[str, ...], int], title: str, *, seconds: float) -> str:
    """An SVG; each box tells its name, samples and share when it is pointed at."""
    root = _Box()
    for stack, count in stacks.items():
        root.count += count
        box = root
        for name in stack:
            box = box.above.setdefault(name, _Box())
            box.count += count
    rows = root.depth()
    height = HEAD + rows * ROW + MARGIN
    told = f"{root.count:,} samples in {seconds:g} s; threads that waited are not shown"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
        f'font-family="ui-monospace, Menlo, Consolas, monospace" font-size="11" role="img" '
        f'aria-label="{escape(title)}">',
        f'<rect width="{WIDTH}" height="{height}" fill="#fbfaf7"/>',
        f'<text x="{MARGIN}" y="22" font-size="15" font-weight="bold" fill="#1f2933">{escape(title)}</text>',
        f'<text x="{MARGIN}" y="40" fill="#5f6c7b">{escape(told)}</text>',
    ]
    if root.count:
        _draw("all", root, float(MARGIN), (WIDTH - 2 * MARGIN) / root.count, height - MARGIN - ROW, root.count, parts)
    else:
        parts.append(f'<text x="{MARGIN}" y="{HEAD + 12}" fill="#1f2933">Nothing ran.</text>')
    parts.append("</svg>\n")
    return "\n".join(parts)


def _draw(name: str, box: _Box, x: float, scale: float, y: int, total: int, parts: list[str]) -> None:
    width = box.count * scale
    if width < SMALLEST:
        return
    shown = _short(name, int((width - 6) / CHARACTER))
    told = f"{name}: {box.count:,} samples, {box.count / total:.1%}"
    parts.append(
        f'<g><title>{escape(told)}</title><rect x="{x:.1f}" y="{y}" width="{max(width - 0.5, SMALLEST):.1f}" '
        f'height="{ROW - 1}" rx="1.5" fill="{_color(name)}"/>'
        + (f'<text x="{x + 3:.1f}" y="{y + 12}" fill="#1f2933">{escape(shown)}</text>' if shown else "")
        + "</g>"
    )
    for above, inner in sorted(box.above.items()):
        _draw(above, inner, x, scale, y - ROW, total, parts)
        x += inner.count * scale


def _short(name: str, room: int) -> str:
    """The function goes before the module, and three letters before nothing."""
    if len(name) <= room:
        return name
    function = name.rpartition(":")[2]
    if len(function) <= room:
        return function
    return function[: room - 1] + "…" if room >= 4 else ""


def _color(name: str) -> str:
    """Ragstone's own code is orange, a package of its own hue, all in the same lightness; equal names look equal."""
    module = name.partition(":")[0]
    shade = zlib.crc32(name.encode()) % 14
    if ":" not in name:
        return "#c9ced6"
    if module.startswith("ragstone"):
        return f"hsl({22 + shade} 85% {66 + shade % 7}%)"
    hue = 170 + zlib.crc32(module.partition("/")[0].encode()) % 110
    return f"hsl({hue} 42% {72 + shade % 7}%)"


def collapsed(text: str) -> dict[tuple[str, ...], int]:
    """Stacks from lines of `outer;inner;innermost COUNT`, as samplers write them."""
    found: dict[tuple[str, ...], int] = {}
    for line in text.splitlines():
        stack, _, count = line.rpartition(" ")
        if stack and count.isdigit():
            key = tuple(stack.split(";"))
            found[key] = found.get(key, 0) + int(count)
    return found


def lines(stacks: Mapping[tuple[str, ...], int]) -> str:
    """The same lines."""
    return "".join(f"{';'.join(name.replace(';', ',') for name in key)} {n}\n" for key, n in sorted(stacks.items()))
