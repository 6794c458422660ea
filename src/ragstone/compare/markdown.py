"""A report as Markdown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .tables import Table, changes, setup, tables


def markdown(report: Mapping[str, Any]) -> str:
    first, *rest = report["recommendation"]["text"]
    parts = ["# Comparison of language models", f"**{_cell(first)}**", "\n".join(f"- {_cell(line)}" for line in rest)]
    parts += [_table(table) for table in (*tables(report), changes(report)) if table is not None]
    parts += ["## How it was measured", "\n".join(f"- {name}: {_cell(value)}" for name, value in setup(report))]
    return "\n\n".join(part for part in parts if part).rstrip() + "\n"


def _table(table: Table) -> str:
    heads = "| " + " | ".join(map(_cell, table.heads)) + " |"
    rule = "|---|" + "--:|" * (len(table.heads) - 1)
    rows = ["| " + " | ".join(map(_cell, row)) + " |" for row in table.rows]
    return "\n".join((f"## {table.title}", "", heads, rule, *rows, *(("", table.note) if table.note else ())))


def _cell(text: str) -> str:
    """On one line, with nothing that Markdown or HTML would read as its own."""
    flat = " ".join(text.split())
    for mark in "\\|<*`":
        flat = flat.replace(mark, "\\" + mark)
    return flat
