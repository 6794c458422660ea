"""The command of the first minute: demo."""

from __future__ import annotations

import shutil
import tempfile
import time
from pathlib import Path
from typing import Annotated

import typer

from ..measure.samples import sample_folder
from ..records import SCHEMA_VERSION, answer_record
from .questions import answer, show_answer
from .records.documents import DemoRecord, ingest_record
from .session import Session, command, commands
from .terminal import duration, flat, plural

app = commands()

QUESTIONS = (
    "Wie oft muss das Öl der Kreiselpumpe gewechselt werden?",
    "At which pressure does the safety valve of the compressor open?",
)
"""One in each language of the samples."""


@command(app)
def demo(
    session: Session,
    keep: Annotated[bool, typer.Option("--keep", help="Keep the data folder and print its path.")] = False,
) -> int:
    """Ask the bundled sample documents two questions.

    Adds German and English documents of several formats to a throw-away data folder, embeds them, and asks one
    question in each language. Every answer shows the spans that it rests on.
    """
    session.safe = "The demo works in a folder of its own."
    samples = sample_folder()
    folder = Path(tempfile.mkdtemp(prefix="ragstone-demo-"))
    try:
        _run(session, samples, folder)
    finally:
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)
    if keep:
        session.terminal.note(f"\nKept. Go on with: ragstone ask \"…\" --data {folder}")
    elif not session.terminal.as_json:
        session.terminal.note("\nNow your own: ragstone add PATH, then ragstone ask \"…\"")
    return 0


def _run(session: Session, samples: Path, folder: Path) -> None:
    terminal = session.terminal
    with session.open_at(folder) as kb:
        with session.progress() as progress:
            report = kb.add([str(samples)], progress=progress)
            started = time.monotonic()
            embedded = kb.embed_pending(progress=progress)
            seconds = time.monotonic() - started
        if not terminal.as_json:
            terminal.line(
                f"{plural(report.count('added'), 'document')} from {flat(str(samples))} searchable in "
                f"{duration(report.seconds)}; {plural(embedded, 'chunk')} embedded in {duration(seconds)}."
            )
        answers = []
        for question in QUESTIONS:
            deadline = time.monotonic() + session.settings.answer.deadline
            answers.append(answer(session, kb, question, None, deadline))
            if not terminal.as_json:
                terminal.line()
                terminal.line(f"? {question}", style="bold green" if terminal.color_out else "")
                show_answer(session, answers[-1])
    if terminal.as_json:
        record: DemoRecord = {
            "schema_version": SCHEMA_VERSION,
            "ingest": ingest_record(report, "default", embedded),
            "answers": [answer_record(a) for a in answers],
        }
        terminal.json(record)
