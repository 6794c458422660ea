"""Commands that measure: eval and bench."""

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

REGRESSED = 1
"""Exit code of `bench compare` where a figure became worse than the tolerance."""


evaluation = commands(
    cls=DefaultGroup,
    no_args_is_help=True,
        help="Measure retrieval or answers on judged questions.\n\n"
    "`eval DIR` is `eval retrieval DIR`; a folder that is called like a command is written ./answers.",
)
evaluation.callback()(before())
app.add_typer(evaluation, name="eval")

benchmark = commands(
    cls=DefaultGroup,
    invoke_without_command=True,
        help="Measure speed and memory; compare two reports.\n\n`bench` is `bench run`.",
)
benchmark.callback()(before())
app.add_typer(benchmark, name="bench")


@command(evaluation, "retrieval")
def eval_retrieval(
    session: Session,
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder in BEIR format.")],
    queries: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Questions (JSON lines: id, text).", show_default=False)
    ] = None,
    qrels: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Judgments (TSV: query-id, corpus-id, score).", show_default=False),
    ] = None,
    corpus: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Documents (JSON lines: id, title, text).", show_default=False),
    ] = None,
    run: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Also write the hybrid ranking as a TREC run.", show_default=False),
    ] = None,
    work: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Keep the indexed corpus here for the next time.", show_default=False),
    ] = None,
) -> int:
    """nDCG@10, recall, MRR and latency of lexical, dense and hybrid search.

    Files may be gzipped; without --queries, --qrels and --corpus the usual names in DIR are taken.
    """
    from ..measure.evaluate import evaluate_beir

    session.safe = "Evaluation works in a folder of its own; the data is untouched."
    with session.progress() as progress:
        result = evaluate_beir(
            folder,
            open_at=session.open_at,
            queries=queries,
            qrels=qrels,
            corpus=corpus,
            run_file=run,
            work=work,
            progress=progress,
        )
    if session.terminal.as_json:
        session.terminal.json(result)
        return 0
    columns = [
        Column("Mode"),
        *(Column(name, "right") for name in ("nDCG@10", "recall@10", "recall@100", "MRR", "p50 ms", "p95 ms")),
    ]
    rows = [
        (
            name,
            *(f"{m[key]:.4f}" for key in ("ndcg@10", "recall@10", "recall@100", "mrr")),
            *(f"{m['latency_ms'][key]:.1f}" for key in ("p50", "p95")),
        )
        for name, m in result["modes"].items()
    ]
    session.terminal.table(columns, rows)
    seconds = result["seconds"]
    session.terminal.note(
        f"{result['queries']:,} questions, {result['documents']:,} documents, {result['chunks']:,} chunks; "
        f"searchable in {seconds['searchable']:.1f} s, embedded in {seconds['embedded']:.1f} s"
    )
    return 0


@command(evaluation, "answers")
def eval_answers(
    session: Session,
    questions: Annotated[
        Path, typer.Argument(metavar="QA.jsonl", help="JSON lines: id, question, answers (none: unanswerable).")
    ],
    limit: Annotated[int | None, typer.Option(min=1, metavar="N", help="Only the first N.", show_default=False)] = None,
) -> int:
    """Share of questions whose cited spans contain a gold answer.

    Asks the documents in the data folder, so add them first. Tells how unanswerable questions were treated.
    """
    from ..measure.evaluate import evaluate_answers

    session.safe = "Asking changes nothing."
    with session.open(read_only=True) as kb, session.progress() as progress:
        result = evaluate_answers(
            questions, kb=kb, collections=session.collections, limit=limit, progress=progress
        )
    if session.terminal.as_json:
        session.terminal.json(result)
        return 0
    rows = [
        ("questions", f"{result['questions']}"),
        ("answerable", f"{result['answerable']}"),
        ("  answered", _share(result["answered"])),
        ("  cited spans contain a gold answer", _share(result["grounded"])),
        ("  citations in an answer", f"{result['citations_per_answer'] or 0:.2f}"),
        ("unanswerable", f"{result['unanswerable']}"),
        ("  not answered", _share(result["refused"])),
        ("p50 / p95 ms", f"{result['latency_ms']['p50']:.0f} / {result['latency_ms']['p95']:.0f}"),
    ]
    session.terminal.table([Column("Figure"), Column("Value", "right")], rows)
    return 0


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
    from .records import SCHEMA_VERSION, ComparisonRecord

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


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"
