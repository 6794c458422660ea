"""Commands that measure how right it is."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from . import evaluating_graph
from .session import DefaultGroup, Session, before, command, commands
from .terminal import Column, flat

app = commands()

evaluation = commands(
    cls=DefaultGroup,
    no_args_is_help=True,
    help="Measure retrieval or answers on judged questions.\n\n"
    "`eval DIR` is `eval retrieval DIR`; a folder that is called like a command is written ./answers.",
)
evaluation.callback()(before())
evaluation.add_typer(evaluating_graph.evaluation)
app.add_typer(evaluation, name="eval")


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
    graph: Annotated[bool, typer.Option("--graph", help="Also mode mixed, with the knowledge graph.")] = False,
) -> int:
    """nDCG@10, recall, MRR and latency of lexical, dense and hybrid search.

    Documents are ranked, and for "of passages" those that the ten best passages belong to. Files may be gzipped;
    without --queries, --qrels and --corpus the usual names in DIR are taken.
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
            graph=graph,
            progress=progress,
        )
    if session.terminal.as_json:
        session.terminal.json(result)
        return 0
    names = ("nDCG@10", "of passages", "recall@10", "recall@100", "MRR", "p50 ms", "p95 ms")
    columns = [Column("Mode"), *(Column(name, "right") for name in names)]
    rows = [
        (
            name,
            *(f"{m[key]:.4f}" for key in ("ndcg@10", "passages_ndcg@10", "recall@10", "recall@100", "mrr")),
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


@command(evaluation, "memory")
def eval_memory(
    session: Session,
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="Folder with contexts*.jsonl, qa*.jsonl and qrels*.tsv.")
    ],
    work: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Keep what was remembered here.", show_default=False),
    ] = None,
) -> int:
    """How well memory finds the turns that answer a question, and knows what it does not know.

    Contexts are JSON lines: id, text, conversation and date (both may be missing); questions: id, question,
    conversation, type (Null: it has no answer). Each conversation is a project of its own.
    """
    from ..measure.memory import evaluate_memory

    session.safe = "Evaluation works in a folder of its own; the data is untouched."
    with session.progress() as progress:
        result = evaluate_memory(folder, open_at=session.open_at, work=work, progress=progress)
    if session.terminal.as_json:
        session.terminal.json(result)
        return 0
    columns = [Column("Questions"), *(Column(name, "right") for name in ("Count", "nDCG@10", "recall@10"))]
    groups = [("all", result), *((f"kind {name}", m) for name, m in result["by_kind"].items() if name)]
    groups += [(name, m) for name, m in result["by_conversation"].items() if name]
    session.terminal.table(
        columns,
        [(flat(name), f"{m['questions']:,}", f"{m['ndcg@10']:.4f}", f"{m['recall@10']:.4f}") for name, m in groups],
    )
    if result["answerable_auc"] is not None:
        session.terminal.line(
            f"AUC of answerable against {result['unanswerable']} unanswerable questions: {result['answerable_auc']:.3f}"
        )
    latency = result["latency_ms"]
    session.terminal.note(
        f"{result['turns']:,} turns, {result['merged']:,} merged; p50 {latency['p50']:.1f} ms, "
        f"p95 {latency['p95']:.1f} ms without embedding the question"
    )
    return 0


@command(evaluation, "merging")
def eval_merging(
    session: Session,
    files: Annotated[
        list[Path] | None,
        typer.Argument(metavar="FILE…", help="JSON lines: text or question, id; one id in two files: the same said."),
    ] = None,
) -> int:
    """Precision and recall of merging repetitions, over the similarity from which on they are merged.

    A stream is made of the texts, 30 % of which repeat another one (where there are so many pairs). What nobody has
    judged (two messages of one intent, two questions with one answer) is left out.
    """
    from ..measure.merging import evaluate_merging
    from ..models import ModelRegistry

    session.safe = "Nothing is stored."
    embedder = ModelRegistry(threads=session.settings.embedding.threads).load(session.settings.embedding.model)
    result = evaluate_merging(files or (), embedder=embedder)
    if session.terminal.as_json:
        session.terminal.json(result)
        return 0
    columns = [Column("Similarity", "right"), *(Column(name, "right") for name in ("Merged", "Precision", "Recall"))]
    session.terminal.table(
        columns,
        [
            (f"{m['threshold']:.2f}", f"{m['merged']:,}", _decimals(m["precision"]), _decimals(m["recall"]))
            for m in result["curve"]
        ],
    )
    session.terminal.note(
        f"{result['items']:,} texts, {result['repetitions']:,} repeat another; at {result['threshold']}, on the half "
        f"that nothing was fitted on: precision {_decimals(result['held_out']['precision'])}, recall "
        f"{_decimals(result['held_out']['recall'])}"
    )
    return 0


def _decimals(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


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


@command(evaluation, "intent")
def eval_intent(
    session: Session,
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder with train.jsonl {text, intent}.")],
    examples: Annotated[int, typer.Option(min=1, metavar="N", help="Examples of each intent.")] = 10,
    draws: Annotated[int, typer.Option(min=1, metavar="N", help="Draws of the examples.")] = 5,
    limit: Annotated[
        int, typer.Option(min=0, metavar="N", help="Most turns of each intent that are judged; 0: all.")
    ] = 0,
) -> int:
    """Accuracy, calibration and scope of intents learned from a few examples.

    Judged on val.jsonl, else on the rest of train.jsonl; oos*.jsonl are turns that belong to no intent.
    """
    from ..embedding_models import model_registry
    from ..measure.intents import evaluate_intents
    from ..models import DEFAULT_MODEL

    session.safe = "Evaluation changes nothing."
    embedder = model_registry(session.settings).load(DEFAULT_MODEL)
    with session.progress() as progress:
        result = evaluate_intents(
            folder, embedder, examples=examples, draws=draws, limit=limit, progress=progress
        )
    if session.terminal.as_json:
        session.terminal.json(result)
        return 0
    names = {
        "accuracy": "accuracy", "calibration_error": "calibration error", "auroc": "AUROC out of scope",
        "kept_in_scope": "taken as in scope: those that are", "kept_out_of_scope": "  those that are not",
    }  # fmt: skip
    rows = [
        (label, f"{result[name]['mean']:.4f} ± {result[name]['deviation']:.4f}")
        for name, label in names.items()
        if name in result
    ]
    for label, kind in (("p50 / p95 ms of a turn", "latency_ms"), ("  of the processor", "cpu_ms")):
        rows.append((label, f"{result[kind]['p50']:.1f} / {result[kind]['p95']:.1f}"))
    session.terminal.table([Column("Figure"), Column("Value", "right")], rows)
    session.terminal.note(
        f"{result['intents']} intents, {examples} examples of each, {draws} draws; {result['judged']:,} turns judged, "
        f"{result['out_of_scope']:,} out of scope"
    )
    return 0


@command(evaluation, "entities")
def eval_entities(
    session: Session,
    folders: Annotated[
        list[Path], typer.Argument(metavar="DIR…", help="Folders with records.jsonl and pairs.PART.tsv.")
    ],
    part: Annotated[Literal["train", "valid", "test"], typer.Option(help="Which pairs are judged.")] = "valid",
    threshold: Annotated[
        float, typer.Option(min=0.01, max=0.999, metavar="SHARE", help="Similarity from which on records are the same.")
    ] = 0.93,
    leave_one_out: Annotated[
        bool, typer.Option("--leave-one-out", help="Also with weights learned from the other sets.")
    ] = False,
) -> int:
    """Precision, recall and F1 of telling which records are the same thing; one setting for all sets.

    Records are JSON lines: id, source, fields; pairs are lines of left, right and match (0 or 1), between tabs.
    Ditto's figures, where a folder's name is that of its set, are of a model trained on that set's pairs.
    """
    from ..embedding_models import model_registry
    from ..measure.entities import evaluate_entities

    session.safe = "Evaluation changes nothing."
    embedder = model_registry(session.settings).load(session.settings.embedding.model)
    with session.progress() as progress:
        result = evaluate_entities(
            folders, embedder, part=part, threshold=threshold, leave_one_out=leave_one_out, progress=progress
        )
    if session.terminal.as_json:
        session.terminal.json(result)
        return 0
    names = ("Pairs", "Same", "Precision", "Recall", "F1", *(("Left out",) if leave_one_out else ()), "Ditto")
    left = result["left_out"]
    rows = []
    for one in result["sets"]:
        figures = [_decimals(one[name]) for name in ("precision", "recall", "f1")]
        figures += [_decimals(left["sets"][one["set"]]["f1"])] if left else []
        rows.append((flat(one["set"]), f"{one['pairs']:,}", f"{one['same']:,}", *figures, _decimals(one["supervised"])))
    mean = [_decimals(result["mean"][name]) for name in ("precision", "recall", "f1")]
    known = [one["supervised"] for one in result["sets"]]
    ditto = _decimals(None if None in known else sum(known) / len(known))
    rows.append(("mean", "", "", *mean, *([_decimals(left["f1"])] if left else []), ditto))
    session.terminal.table([Column("Set"), *(Column(name, "right") for name in names)], rows)
    curve = [(f"{p['threshold']:.2f}", *(_decimals(p[n]) for n in ("precision", "recall", "f1"))) for p in
             result["mean"]["curve"]]  # fmt: skip
    columns = [Column("Similarity", "right"), *(Column(n, "right") for n in ("Precision", "Recall", "F1"))]
    session.terminal.table(columns, curve)
    session.terminal.note(f"Means over {len(result['sets'])} sets; {part} pairs; the threshold is {threshold}")
    return 0


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"
