"""Commands that compare language models: compare run, report and rate."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import InputError
from ..records import SCHEMA_VERSION
from .records.comparing import CompareRecord, RateRecord
from .session import DefaultGroup, Session, before, command, commands
from .terminal import Column, duration, escape, flat, plural

if TYPE_CHECKING:
    from ..budget.spending import Spending
    from ..compare.questions import Question
    from ..compare.run import Contestant
    from ..knowledge_base import KnowledgeBase

app = commands()

SETS = ("plc-de", "plant-en")

compare = commands(
    cls=DefaultGroup,
    no_args_is_help=True,
    help="Compare language models on your questions: quality, speed, memory, and a recommendation.\n\n"
    "`compare --model A --model B` is `compare run`.",
)
compare.callback()(before())
app.add_typer(compare, name="compare")

Before = Annotated[
    Path | None,
    typer.Option(
        "--before", metavar="FILE", help="An older report.json: tables of before and after.", show_default=False
    ),
]
Folder = Annotated[Path, typer.Argument(metavar="DIR", help="Folder of a comparison.")]
Keeping = Annotated[
    list[str] | None,
    typer.Option(
        metavar="MODEL=SCORE",
        help="How little upkeep a model needs, 0 to 1, in place of what its kind suggests; may be repeated.",
        show_default=False,
    ),
]


@command(compare, "run")
def compare_run(
    session: Session,
    model: Annotated[
        list[str],
        typer.Option(
            "--model",
            "-m",
            metavar="[NAME=]MODEL",
            help="extractive, gguf:PATH, ollama:NAME[@URL] or openai:NAME[@URL]; NAME= is what reports call it.",
            show_default=False,
        ),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="Where it is kept; goes on there.")],
    questions: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FILE",
            help=f"YAML, or a set that is shipped; may be repeated. Default: {' and '.join(SETS)}.",
            show_default=False,
        ),
    ] = None,
    documents: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="PATH",
            help="Ask these documents. Default: the samples for shipped sets, else what is in the data folder.",
            show_default=False,
        ),
    ] = None,
    repeats: Annotated[int, typer.Option(min=1, max=100, metavar="N", help="How often each question is asked.")] = 3,
    seed: Annotated[int, typer.Option(metavar="S", help="Decides the order.")] = 1,
    max_tokens: Annotated[int, typer.Option(min=8, max=4096, metavar="N", help="Longest answer in tokens.")] = 96,
    passages: Annotated[int, typer.Option(min=1, max=20, metavar="N", help="Passages that a model is given.")] = 3,
    limit: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="At most N of each set, evenly spread.", show_default=False),
    ] = None,
    older: Before = None,
    maintenance: Keeping = None,
) -> int:
    """Ask every model every question, and write a report.

    All get the same prompts, in shuffled order, each model loaded anew in each round. DIR receives report.html,
    report.md and report.json. What is interrupted goes on where it stopped when the same command is given again.
    """
    from ..compare import journal
    from ..compare.cases import fingerprint, prepare
    from ..compare.run import Limits, measure, windows
    from ..language_models import open_spending
    from ..measure.machine import machine

    session.safe = "Nothing was measured."
    names = questions or list(SETS)
    asked = _questions(names, limit)
    with closing(open_spending(session.settings)) as spending:
        contestants = _contestants(session, model, spending)
        session.terminal.note(f"Loading {plural(len(contestants), 'model')} once…")
        found = windows(contestants)
        context = min((w for w in found.values() if w), default=session.settings.answer.context)
        answer = session.settings.answer
        limits = Limits(repeats, seed, max_tokens, answer.deadline, answer.max_sentences)
        with _documents(session, names, documents) as kb:
            cases = prepare(
                kb, asked, passages=passages, context=context, max_tokens=max_tokens, collections=session.collections
            )
            plan = {
                "same": {
                    "models": {c.name: c.what for c in contestants},
                    "repeats": repeats,
                    "seed": seed,
                    "max_tokens": max_tokens,
                    "passages": passages,
                    "threads": answer.threads,
                    "prompts": fingerprint(cases),
                },
                **machine(),
                "sets": names,
                "windows": found,
                "kinds": {c.name: c.keep for c in contestants},
                "deadline": answer.deadline,
                "questions": [_question(case.question, case.found) for case in cases],
            }
            resumed = journal.begin(output, plan)
            session.safe = f"Answers so far are in {output}; the same command goes on."
            if resumed:
                session.terminal.note(f"Going on in {output}.")
            with session.progress() as progress:
                measure(output, contestants, cases, kb.embedder(), limits, progress)
    return _report(session, output, older, maintenance)


def _questions(names: list[str], limit: int | None) -> list[Question]:
    from ..compare.questions import join, load_questions

    sets = [load_questions(name) for name in names]
    return join([_spread(found, limit) for found in sets])


def _spread(found: list[Question], limit: int | None) -> list[Question]:
    """At most `limit`, evenly spread; a follow-up stays one when the question before it is left out."""
    if limit is None or limit >= len(found):
        return found
    step = (len(found) - 1) / max(1, limit - 1)
    return [found[round(i * step)] for i in range(limit)]


def _question(question: Question, found: tuple[bool, ...]) -> dict[str, Any]:
    return {
        "id": question.id,
        "question": question.text,
        "tier": question.tier,
        "language": question.language,
        "topics": [list(spellings) for spellings in question.topics],
        "answer": question.answer,
        "refuse": question.refuse,
        "after": question.after,
        "gold_in_passages": sum(found) / len(found) if found else None,
    }


def _contestants(session: Session, models: list[str], spending: Spending) -> list[Contestant]:
    from ..compare.run import Contestant
    from ..language_models import address, open_model
    from ..llm import OLLAMA_URL

    settings, made = session.settings, []
    for spec in models:
        label, named, model = spec.partition("=")
        if not named or ":" in label:
            label, model = "", spec
        kind, _, rest = model.partition(":")
        name, _, url = rest.partition("@")
        if (provider := settings.providers.get(model)) is not None:
            kind, name, url = provider.kind, model, address(provider)
            rest = provider.model
        elif kind == "gguf":
            name, url = Path(rest).stem, ""
        elif kind in ("ollama", "openai"):
            url = url or settings.answer.base_url or (OLLAMA_URL if kind == "ollama" else "")
        made.append(
            Contestant(
                label or name or kind,
                lambda model=model: open_model(settings, model, spending),  # type: ignore[misc]
                url=url,
                keep=_keep(kind, url),
                what=_what(kind, name, url, Path(rest)),
            )
        )
    twice = {c.name for c in made if [d.name for d in made].count(c.name) > 1}
    if twice:
        raise InputError(f"Two models are called {sorted(twice)[0]}.", "Give them names: --model NAME=MODEL.")
    return made


def _what(kind: str, name: str, url: str, path: Path) -> str:
    """What a report says of a model: of a file its name and size, never where it lies."""
    if kind != "gguf":
        return f"{kind}:{name}@{url}" if url else kind
    size = path.stat().st_size if path.is_file() else 0
    return f"gguf:{path.name} ({size:,} bytes)"


def _keep(kind: str, url: str) -> str:
    from ..llm import loopback

    if kind in ("extractive", "gguf"):
        return kind
    return "service" if loopback(url) else "remote"


@contextmanager
def _documents(session: Session, sets: list[str], documents: list[Path] | None) -> Iterator[KnowledgeBase]:
    """The knowledge base that is asked: of `documents` or of the samples in a folder that goes afterwards, or the
    data folder's."""
    from ..compare.questions import shipped
    from ..measure.samples import sample_folder

    if documents is None and not set(sets) <= set(shipped()):
        with session.open(read_only=True) as kb:
            yield kb
        return
    paths = [sample_folder()] if documents is None else documents
    for path in paths:
        if not path.exists():
            raise InputError(f"There is nothing at {path}.", "Check --documents.")
    with tempfile.TemporaryDirectory(prefix="ragstone-compare-") as place, session.open_at(Path(place)) as kb:
        kb.add([str(path) for path in paths])
        kb.embed_pending()
        yield kb


@command(compare, "report")
def compare_report(session: Session, folder: Folder, older: Before = None, maintenance: Keeping = None) -> int:
    """Write the report anew: after ratings, with other weights, or of a comparison that was interrupted."""
    session.safe = "Reports are written whole or not at all."
    return _report(session, folder, older, maintenance)


def _report(session: Session, folder: Path, older: Path | None, maintenance: list[str] | None) -> int:
    from ..compare.report import build, load_report, write

    chosen = session.settings.compare
    weights = {
        "quality": chosen.quality,
        "speed": chosen.speed,
        "switch": chosen.switch,
        "memory": chosen.memory,
        "maintenance": chosen.maintenance,
    }
    report = build(
        folder,
        weights=weights,
        upkeep=dict(map(_upkeep, maintenance or ())),
        before=None if older is None else load_report(older),
    )
    files = write(folder, report)
    if session.terminal.as_json:
        record: CompareRecord = {"schema_version": SCHEMA_VERSION, **report}  # type: ignore[typeddict-item]
        session.terminal.json(record)
        return 0
    rows = [
        (
            flat(m["name"]),
            f"{m['quality']['mean']:.2f}",
            "-" if m["seconds"] is None else duration(m["seconds"]["p50"]),
            f"{m['failures']}",
            f"{report['decision']['totals'][m['name']]['total']:.0f}",
        )
        for m in report["models"]
    ]
    right = [Column(title, "right") for title in ("Quality", "Answer", "Failures", "Points")]
    session.terminal.table([Column("Model"), *right], rows)
    for sentence in report["recommendation"]["text"]:
        session.terminal.line(flat(sentence))
    session.terminal.note(f"\nThe report: {files[0]}")
    return 0


def _upkeep(pair: str) -> tuple[str, float]:
    name, _, value = pair.rpartition("=")
    try:
        score = float(value)
    except ValueError:
        score = -1.0
    if not name or not 0.0 <= score <= 1.0:
        raise InputError(f"--maintenance {pair} is not MODEL=SCORE.", "Write a score from 0 to 1, e.g. small=0.5.")
    return name, score


@command(compare, "rate")
def compare_rate(
    session: Session,
    folder: Folder,
    rater: Annotated[str, typer.Option(metavar="NAME", help="Who rates.")] = "anonymous",
    browser: Annotated[bool, typer.Option("--browser", help="On a local page instead of here.")] = False,
) -> int:
    """Rate answers from 1 to 5 without knowing whose they are.

    Fluency, accuracy, completeness, coherence, instruction following and citation quality. Each answer is kept as
    soon as it is rated, so you may stop at any time and go on later; several people may rate.
    """
    from ..compare import rating

    session.safe = "Ratings so far are kept; the same command goes on."
    if browser:
        from ..compare.rating_page import serve

        done, total = serve(folder, rater, tell=session.terminal.note)
    else:
        done, total = rating.ask(folder, rater, write=lambda text: session.terminal.line(escape(text)))
    if session.terminal.as_json:
        record: RateRecord = {"schema_version": SCHEMA_VERSION, "rater": rater, "rated": done, "answers": total}
        session.terminal.json(record)
    else:
        session.terminal.note(
            f"Rated {done} of {plural(total, 'answer')}. `ragstone compare report {folder}` counts them."
        )
    return 0
