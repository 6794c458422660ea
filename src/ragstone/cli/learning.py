"""Commands about conversations: learn, intent, trajectory."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import InputError
from ..learn_records import intent_record, learn_record, trajectory_record
from ..types import Progress
from .session import Session, command, commands
from .terminal import Column, duration, escape, flat, plural

if TYPE_CHECKING:
    from ..learn.gleaning import GleanReport
    from ..learn.learner import LearnReport
    from ..learn.turns import Turn

app = commands()

GLEAN_SECONDS = 5.0
"""For which an answer that is under way is waited for when the command is interrupted."""

Transcript = Annotated[str, typer.Argument(metavar="FILE|-", help="Transcript; - reads standard input.")]


@command(app)
def learn(
    session: Session,
    transcript: Transcript,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on as the file grows, over rotations, until interrupted.")
    ] = False,
    project: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Default: the folder that the transcript names, else the current project.",
                     show_default=False),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="What the stream is known by. Default: the file's path.", show_default=False),
    ] = None,
    intents: Annotated[
        bool,
        typer.Option(help="Weigh sentences against examples, and tell what they want; else words alone decide."),
    ] = True,
    model: Annotated[bool, typer.Option(help="Let the language model of memory.model find more.")] = True,
) -> int:
    """Remember decisions, facts, problems, solutions … of a transcript as it grows.

    JSON lines of common chat and agent formats, or plain text "user: …". A file is read on from where the last run
    stopped; what was remembered once is not remembered again, also after a kill. Broken lines are counted and
    skipped. A language model (memory.model) reads behind, and goes on in the next run where it was stopped.
    """
    from ..ingest.names import uri_of
    from ..learn.lines import pipe_blocks

    piped = transcript == "-"
    if piped and follow:
        raise InputError("a pipe is followed anyway.", "Leave --follow away.")
    path = Path(transcript)
    known = name or ("stdin" if piped else uri_of(str(path.absolute())))
    session.safe = "What was learned so far is remembered; the next run goes on behind it."
    stop = threading.Event()
    with session.open() as kb, session.progress() as progress:
        learner = kb.learner(known, project=project, with_intents=intents, progress=progress)
        gleaning = kb.gleaner(known, project=project) if model else None
        try:
            if piped:
                blocks = pipe_blocks(_standard_input, stop)
                report = learner.learn_stream(blocks if gleaning is None else gleaning.listen(blocks))
            else:
                if gleaning is not None:
                    gleaning.read(path, follow=follow, stop=stop)
                report = learner.learn_file(path, follow=follow, stop=stop)
            while gleaning is not None and gleaning.running(0.5):
                progress(Progress("learn", gleaning.done, None, "turns read by the language model"))
        finally:
            stop.set()
            if gleaning is not None:
                gleaning.stop()
                gleaning.running(GLEAN_SECONDS)
        gleaned = None if gleaning is None else gleaning.report()
    _show(session, report, gleaned)
    return 0


@command(app)
def intent(
    session: Session,
    text: Annotated[str, typer.Argument(help="A turn, in German or English.")],
) -> int:
    """Tell what a turn wants.

    Among the intents of `memory.intents`, with a confidence; or that it is none of them.
    """
    with session.open(read_only=True) as kb:
        found = kb.intents.classify(text)
    if session.terminal.as_json:
        session.terminal.json(intent_record(found))
        return 0
    if not found.in_scope:
        session.terminal.note("Probably none of the known intents; the nearest are:")
    rows = [(found.name, f"{found.confidence:.2f}"), *((n, f"{share:.2f}") for n, share in found.alternatives)]
    session.terminal.table([Column("Intent"), Column("Confidence", "right")], rows)
    return 0


@command(app)
def trajectory(
    session: Session,
    transcript: Transcript,
    intents: Annotated[bool, typer.Option(help="Let the classifier tell each turn's intent.")] = True,
) -> int:
    """Tell where a conversation goes: exploring, on track, stuck, looping or drifting.

    With the turns that say so.
    """
    from ..intent.trajectory import Said
    from ..intent.trajectory import trajectory as judged

    turns = _turns(transcript)
    names = [""] * len(turns)
    if intents and turns:
        spoken = [i for i, turn in enumerate(turns) if turn.role in ("user", "assistant")]
        with session.open(read_only=True) as kb:
            for i, wanted in zip(spoken, kb.intents.classify_many([turns[i].text for i in spoken]), strict=True):
                names[i] = wanted.name if wanted.in_scope else ""
    found = judged([Said(t.text, t.role, n, t.failed) for t, n in zip(turns, names, strict=True)])
    if session.terminal.as_json:
        session.terminal.json(trajectory_record(found, names))
        return 0
    session.terminal.line(found.course, style="bold")
    for evidence in found.evidence:
        session.terminal.line(f"  {evidence.reason}")
        for i in evidence.turns[-6:]:
            who = flat(turns[i].who or turns[i].role)
            session.terminal.line(f"    {i + 1:>4}  {who}: {escape(flat(turns[i].text)[:100])}")
    for course, evidence in found.others:
        session.terminal.note(f"Also {course}: {evidence.reason}")
    return 0


def _standard_input(size: int) -> bytes:
    return os.read(sys.stdin.fileno(), size)


def _turns(transcript: str) -> list[Turn]:
    """Raises NotFound, Unreadable."""
    from ..learn.learner import turns_of
    from ..learn.lines import pipe_blocks, whole_file

    if transcript == "-":
        return turns_of(pipe_blocks(_standard_input, threading.Event()))
    return turns_of(whole_file(Path(transcript)))


def _show(session: Session, report: LearnReport, gleaned: GleanReport | None) -> None:
    terminal = session.terminal
    if terminal.as_json:
        terminal.json(learn_record(report, gleaned))
        return
    rows = [(name, f"{count:,}") for name, count in sorted(report.by_type.items())]
    if rows:
        terminal.table([Column("Type"), Column("Items", "right")], rows)
    told = ", ".join(f"{count:,} {name}" for name, count in sorted(report.outcomes.items()))
    terminal.note(
        f"{plural(report.turns, 'turn')} in {duration(report.seconds)}: {plural(report.items, 'item')}"
        f"{f' ({told})' if told else ''}"
    )
    if gleaned is not None:
        terminal.note(
            f"The language model read {plural(gleaned.turns, 'turn')} and found {plural(gleaned.items, 'item')} more; "
            f"{gleaned.broken} of its {plural(gleaned.answers, 'answer')} were broken, {gleaned.refused} finds were "
            "refused because they do not stand there."
        )
        if gleaned.stopped:
            terminal.note(f"It stopped before the end ({gleaned.stopped}); the next run goes on there.")
    if report.broken:
        terminal.note(f"{plural(report.broken, 'line')} could not be read and were skipped:")
        for line, reason in report.problems:
            terminal.note(f"  {line}: {reason}")
