"""Commands that measure speed and memory."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import InputError
from .session import DefaultGroup, Session, before, command, commands
from .terminal import Column, flat

app = commands()

benchmark = commands(
    cls=DefaultGroup,
    invoke_without_command=True,
    help="Measure speed and memory; compare two reports.\n\n`bench` is `bench run`.",
)
benchmark.callback()(before())
app.add_typer(benchmark, name="bench")

REGRESSED = 1
"""Exit code of `bench compare` where a figure became worse than the tolerance."""


@command(benchmark, "run")
def bench_run(
    session: Session,
    chunks: Annotated[int, typer.Option(min=100, metavar="N", help="Chunks of the searched collection.")] = 10_000,
    megabytes: Annotated[float, typer.Option(min=0.1, metavar="MB", help="Text that is added.")] = 10.0,
    pdfs: Annotated[
        Path | None, typer.Option(metavar="DIR", help="PDF files of your own to read.", show_default=False)
    ] = None,
    only: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Only this part; may be repeated.", show_default=False)
    ] = None,
    output: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Also write the report as JSON.", show_default=False)
    ] = None,
) -> int:
    """Measure speed and memory with the settings in force.

    Works in folders of its own with made text. The part `local_model` is there where answer.model is one of this
    machine. Other work on the machine moves seconds; ratios are steadier.
    """
    from ..measure import bench

    session.safe = "Measuring works in folders of its own; the data is untouched."
    with session.progress() as progress:
        report = bench.run(
            session.open_at,
            chunks=chunks,
            megabytes=megabytes,
            pdfs=pdfs,
            local=session.settings.answer.model.startswith(("gguf:", "ollama:")),
            only=frozenset(only or ()),
            progress=progress,
        )
    if output is not None:
        try:
            output.parent.mkdir(parents=True, exist_ok=True)
            output.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
        except OSError as error:
            raise InputError(f"{output} cannot be written: {error.strerror}.") from error
    if session.terminal.as_json:
        session.terminal.json(report)
        return 0
    rows = [
        (scenario, name, _figure(value))
        for scenario, figures in report["scenarios"].items()
        for name, value in _flat(figures).items()
    ]
    session.terminal.table([Column("Part"), Column("Figure", wrap=True), Column("Value", "right")], rows)
    return 0


@command(benchmark, "compare")
def bench_compare(
    session: Session,
    old: Annotated[Path, typer.Argument(metavar="OLD", help="A report of `bench run --output`.")],
    new: Annotated[Path, typer.Argument(metavar="NEW", help="Another one.")],
    tolerance: Annotated[float, typer.Option(min=0, metavar="SHARE", help="How much worse is still fine.")] = 0.10,
) -> int:
    """Compare two reports; exit code 1 where a figure became worse than the tolerance."""
    from ..measure import bench
    from ..records import SCHEMA_VERSION
    from .records.measures import ComparisonRecord

    rows, regressed = bench.compare(bench.load_report(old), bench.load_report(new), tolerance)
    if session.terminal.as_json:
        record: ComparisonRecord = {
            "schema_version": SCHEMA_VERSION,
            "tolerance": tolerance,
            "regressed": regressed,
            "rows": rows,  # type: ignore[typeddict-item]
        }
        session.terminal.json(record)
    else:
        columns = [Column("Figure", wrap=True), *(Column(n, "right") for n in ("Old", "New", "Change")), Column("")]
        table = [
            (r["name"], _figure(r["old"]), _figure(r["new"]), f"{r['change']:+.1%}", "worse" if r["regressed"] else "")
            for r in rows
        ]
        session.terminal.table(columns, table)
        if not rows:
            session.terminal.note("The reports have no figure in common.")
    return REGRESSED if regressed else 0


def _flat(value: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flattened: dict[str, Any] = {}
    for key, item in value.items():
        name = f"{prefix} {key}".strip()
        flattened.update(_flat(item, name) if isinstance(item, Mapping) else {name: item})
    return flattened


def _figure(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return flat(str(value))
    if isinstance(value, int) or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3f}" if abs(value) < 10 else f"{value:.1f}"
