"""Flipped bytes in index files, between two openings: noticed and made again, or without any effect on results."""

from __future__ import annotations

import random
import shutil
from pathlib import Path
from typing import Any, Final

from ..errors import RagstoneError
from ..knowledge_base import KnowledgeBase
from ..storage.connect import SEGMENTS
from .checker import check
from .history import History, Journal
from .report import Report, Run
from .workload import MAIN, Workload, open_folder

DOCUMENTS: Final = 60
QUESTIONS: Final = ("the pressure valve", "a filter of the water pump", "alarm relay and fuse", "length of the cable")


def flips(run: Run) -> Report:
    """One to three bytes in a cycle, of one file of the published indexes."""
    data = run.folder / "data"
    shutil.rmtree(data, ignore_errors=True)
    history = History()
    path = run.folder / "journal"
    path.unlink(missing_ok=True)
    journal = Journal(path)
    with open_folder(data) as kb:
        work = Workload(kb, journal, random.Random(f"{run.seed} base"), administers=False)
        while len(kb.documents(MAIN) if MAIN in kb.store.collections() else ()) < DOCUMENTS:
            work.put()
        work.embed()
        work.extract()
        work.seal()
        before = _results(kb)
    journal.close()
    history.read(path)

    def cycle(number: int, report: Report) -> None:
        chance = random.Random(f"{run.seed} {number}")
        files = sorted((data / SEGMENTS).glob("*.seg"))
        damaged = chance.choice(files)
        content = bytearray(damaged.read_bytes())
        for _ in range(chance.randint(1, 3)):
            content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
        damaged.write_bytes(content)
        problems: list[str] = []
        try:
            with open_folder(data) as kb:
                if _results(kb) != before:
                    problems.append("a search gives other results than before")
                noticed = any(damaged.name in note for note in _notes(kb))
                report.add("damage noticed and index made again", noticed)
                problems += check(kb, history, chance, notes_expected=True)
                kb.index(MAIN).seal(rows=1)
                kb.graph.seal(MAIN, changed=1)
            with open_folder(data) as kb:
                problems += [f"opened again: {note}" for note in _notes(kb)]
        except RagstoneError as error:
            problems.append(f"{error.code}: {error}")
        _tidy(data)
        if problems:
            report.fail(number, f"bytes flipped in {damaged.name}", problems)

    return run.go("flip", cycle, first=run.only or 0)


def _results(kb: KnowledgeBase) -> Any:
    return [
        [(hit.chunk.id, hit.score, hit.parts) for hit in kb.search(question, mode=mode, cache=False).hits]
        for question in QUESTIONS
        for mode in ("lexical", "dense", "hybrid", "graph")
    ]


def _notes(kb: KnowledgeBase) -> tuple[str, ...]:
    kb.graph.view(MAIN)
    return (*kb.index(MAIN).notes, *kb.graph.notes(MAIN))


def _tidy(data: Path) -> None:
    """Damage should hit files that are in use."""
    with open_folder(data) as kb:
        used = {segment.name for segment in kb.store.segments(MAIN)}
    for path in (data / SEGMENTS).iterdir():
        if path.name not in used:
            path.unlink()
