"""Commands that measure the knowledge graph: what is found in texts, and what it adds to a search."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from .session import Session, command, commands
from .terminal import Column, flat

evaluation = commands()
"""Joined with `eval`."""
Kinds = Annotated[
    list[str] | None,
    typer.Option(metavar="KIND", help="Only questions of this type or category. Repeatable.", show_default=False),
]
Work = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="Keep the indexed texts here for the next time.", show_default=False),
]


@command(evaluation, "hops")
def eval_hops(
    session: Session,
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="Folder with contexts*.jsonl, qa*.jsonl and qrels*.tsv.")
    ],
    kind: Kinds = None,
    part: Annotated[
        Literal["tune", "held", "all"],
        typer.Option(help="Of the split: what weights are chosen on, the rest, or both."),
    ] = "all",
    work: Work = None,
) -> int:
    """How much of the evidence of questions is found with the knowledge graph and without, by kind of question.

    Contexts are JSON lines: id, text, title and conversation (both may be missing); questions: id, question,
    conversation, type or category. Each conversation is a collection of its own. The split has a fixed seed: half
    of the conversations, or of the questions where there is one conversation.
    """
    from ..measure.hops import evaluate_hops

    session.safe = "Evaluation works in a folder of its own; the data is untouched."
    with session.progress() as progress:
        result = evaluate_hops(
            folder, open_at=session.open_at, kinds=kind or (), part=None if part == "all" else part, work=work,
            progress=progress,
        )  # fmt: skip
    if session.terminal.as_json:
        session.terminal.json(result)
        return 0
    modes = result["recall"]
    columns = [Column("Kind"), Column("Part"), Column("Questions", "right"), *(Column(m, "right") for m in modes)]
    rows = [
        (flat(name), group, f"{cell['questions']:,}", *(f"{modes[m][name][group]['recall']:.4f}" for m in modes))
        for name, parts in modes["hybrid"].items()
        for group, cell in parts.items()
    ]
    session.terminal.table(columns, rows)
    stage = result["stage_ms"]
    session.terminal.note(f"recall@10 of the evidence; the graph: {stage['p50']:.1f} ms, p95 {stage['p95']:.1f} ms")
    return 0


@command(evaluation, "coverage")
def eval_coverage(
    session: Session,
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder with contexts*.jsonl and qa*.jsonl.")],
    kind: Kinds = None,
    part: Annotated[
        Literal["tune", "held", "all"],
        typer.Option(help="Half of the questions, with a fixed seed: what weights are chosen on, the rest, or both."),
    ] = "all",
    work: Work = None,
) -> int:
    """How much of what reference answers say stands in what hybrid, mixed and global mode find.

    Contexts are JSON lines: id, text, title (may be missing); questions: id, question, answers, type or category.
    Counted are the content words of the answers that are not in the question. cited: in the sentences that global
    cites of ten passages; as_long: in as many characters of the first passages of hybrid.
    """
    from ..measure.coverage import evaluate_coverage

    session.safe = "Evaluation works in a folder of its own; the data is untouched."
    with session.progress() as progress:
        result = evaluate_coverage(
            folder, open_at=session.open_at, kinds=kind or (), part=None if part == "all" else part, work=work,
            progress=progress,
        )  # fmt: skip
    if session.terminal.as_json:
        session.terminal.json(result)
        return 0
    shares = result["coverage"]
    columns = [Column("Kind"), Column("Questions", "right"), *(Column(name, "right") for name in shares)]
    rows = [
        (flat(name), f"{cell['questions']:,}", *(f"{of[name]['share']:.4f}" for of in shares.values()))
        for name, cell in shares["hybrid@10"].items()
    ]
    session.terminal.table(columns, rows)
    return 0


@command(evaluation, "graph")
def eval_graph(
    session: Session,
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="Folder with annotated sentences (*.jsonl, *.jsonl.gz).")
    ],
    language: Annotated[
        str | None,
        typer.Option(metavar="CODE", help="Language of the texts (ISO 639-1), else detected.", show_default=False),
    ] = None,
) -> int:
    """Names and relations that are found in texts without a language model, against those that people marked; with the
    models of graph.ner, where there are some.

    Files are JSON lines: id, tokens, tags (BIO) for names; id, sents, entities, relations for related pairs too.
    """
    from ..assemble import graph_extractor
    from ..measure.graph import evaluate_graph

    session.safe = "Nothing is stored."
    result = evaluate_graph(folder, extractor=graph_extractor(session.settings), language=language)
    if session.terminal.as_json:
        session.terminal.json(result)
        return 0
    names = ("File", "Texts", "Texts/s", "Precision", "Recall", "F1", "Related", "Recall of pairs", "Edges/text")
    columns = [Column(name, "right" if i else "left") for i, name in enumerate(names)]
    rows = []
    for name, m in result["mentions"].items():
        pairs = result["relations"].get(name)
        scores = (f"{m[key]:.3f}" for key in ("precision", "recall", "f1"))
        more = ("",) * 3
        if pairs:
            more = (f"{pairs['related']:,}", f"{pairs['recall']:.3f}", f"{pairs['per_text']['edges']:.0f}")
        rows.append((flat(name), f"{m['texts']:,}", f"{m['texts'] / max(m['seconds'], 1e-9):,.0f}", *scores, *more))
    session.terminal.table(columns, rows)
    return 0
