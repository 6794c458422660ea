"""Commands that keep the data and bring it back: backup, restore."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..errors import BackupDamaged, InputError
from ..records import SCHEMA_VERSION
from .records.upkeep import BackupRecord, BackupsRecord, RestoreRecord
from .session import Session, command, commands
from .terminal import Column, duration, flat, instant, plural, size

app = commands()


@command(app)
def backup(
    session: Session,
    path: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of backups; made where it is not there.")],
    keep: Annotated[int, typer.Option("--keep", metavar="N", min=1, help="Generations to keep.")] = 5,
    anew: Annotated[bool, typer.Option("--anew", help="Store everything again, not only what changed.")] = False,
    check: Annotated[bool, typer.Option("--check", help="Also read and check what was stored before.")] = False,
    list_: Annotated[bool, typer.Option("--list", help="Only list (with --check: and check) what is there.")] = False,
) -> int:
    """Store what changed since the last backup.

    Other processes may read and write meanwhile; the backup is the state of one moment. Every part carries its
    checksum. Run it from cron as often as you like, with a folder of backups for each data folder. What was removed
    and purged stays in older backups: --anew --keep 1 leaves only the present state.
    """
    if list_:
        return _list(session, path, check)
    session.safe = "The backups made before are whole; run the same command again."
    if not (session.settings.data.folder / "ragstone.db").exists():
        raise InputError(f"there is no data in {session.settings.data.folder}.", "Choose its folder with --data.")
    with session.open() as kb, session.progress() as progress:
        report = kb.backup(path, keep=keep, anew=anew, check=check, progress=progress)
    terminal = session.terminal
    if terminal.as_json:
        record: BackupRecord = {
            "schema_version": SCHEMA_VERSION,
            "path": str(path),
            "generation": report.generation,
            "bytes": report.size,
            "stored": report.stored,
            "generations": list(report.generations),
            "removed": list(report.removed),
            "seconds": report.seconds,
        }
        terminal.json(record)
        return 0
    terminal.line(
        f"Generation {report.generation} in {flat(str(path))}: {size(report.size)}, of which {size(report.stored)} "
        f"were new, in {duration(report.seconds)}. {plural(len(report.generations), 'generation')} kept."
    )
    return 0


def _list(session: Session, path: Path, check: bool) -> int:
    from ..storage.backup import check_generations, list_generations

    problems: dict[int, list[str]] = {}
    if check:
        with session.progress() as progress:
            problems = check_generations(path, progress)
    found, unreadable = list_generations(path)
    terminal = session.terminal
    if terminal.as_json:
        record: BackupsRecord = {
            "schema_version": SCHEMA_VERSION,
            "path": str(path),
            "generations": [
                {
                    "generation": m.generation,
                    "created": m.created,
                    "bytes": m.total,
                    "schema": m.schema,
                    "version": m.version,
                    "problems": problems.get(m.generation, []),
                }
                for m in found
            ],
            "unreadable": unreadable,
        }
        terminal.json(record)
    else:
        columns = [Column("Generation", "right"), Column("Made"), Column("Size", "right"), Column("State", wrap=True)]
        terminal.table(
            columns,
            [
                (f"{m.generation}", instant(m.created), size(m.total), _state(problems.get(m.generation), check))
                for m in found
            ],
        )
        for generation in unreadable:
            terminal.note(f"Generation {generation} is damaged: its manifest is not what was written.")
    return BackupDamaged.exit_code if unreadable or any(problems.values()) else 0


def _state(problems: list[str] | None, check: bool) -> str:
    if not check:
        return "not checked"
    return "; ".join(problems) if problems else "whole"


@command(app)
def restore(
    session: Session,
    path: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of backups.")],
    generation: Annotated[
        int | None, typer.Option("--generation", metavar="N", help="Which one. Default: the newest.")
    ] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Put it in the place of data that is there.")] = False,
) -> int:
    """Make the data what it was at a backup.

    Every part and the whole database are checked before anything is touched. The data folder (--data) must not be in
    use; data that is there is replaced only with --replace, and at once: an interrupted restore leaves it as it was.
    """
    from ..storage.restore import restore as restore_

    session.safe = "The data folder is as it was, or restored whole; run the same command again."
    folder = session.settings.data.folder
    with session.progress() as progress:
        report = restore_(path, folder, generation=generation, replace=replace, progress=progress)
    terminal = session.terminal
    if terminal.as_json:
        record: RestoreRecord = {
            "schema_version": SCHEMA_VERSION,
            "path": str(path),
            "folder": str(folder),
            "generation": report.generation,
            "created": report.created,
            "bytes": report.size,
            "documents": report.documents,
            "seconds": report.seconds,
        }
        terminal.json(record)
        return 0
    terminal.line(
        f"Restored generation {report.generation} of {instant(report.created)} to {flat(str(folder))}: "
        f"{plural(report.documents, 'document')}, {size(report.size)}, in {duration(report.seconds)}."
    )
    return 0
