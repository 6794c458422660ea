"""The folder of a comparison: its plan, and one line for everything that was measured, durable when it is written."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ..errors import DamagedFile, InputError, NotFound

PLAN = "plan.json"
RUNS = "runs.jsonl"
RATINGS = "ratings.jsonl"


class Journal:
    """Lines of JSON in a file that only grows. A last line that a kill cut short is taken off before the next one."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> list[dict[str, Any]]:
        """Whole lines, in the order of writing. Raises DamagedFile for one in the middle that is no JSON object."""
        return list(self._lines())

    def _lines(self) -> Iterator[dict[str, Any]]:
        try:
            data = self._path.read_bytes()
        except FileNotFoundError:
            return
        except OSError as error:
            raise DamagedFile(f"{self._path} cannot be read: {error.strerror}.", "Check its permissions.") from error
        for number, line in enumerate(data[: data.rfind(b"\n") + 1].splitlines(), 1):
            try:
                record = json.loads(line)
            except ValueError:
                record = None
            if not isinstance(record, dict):
                raise DamagedFile(f"{self._path}, line {number} is damaged.", "Remove that line: it is asked again.")
            yield record

    def append(self, record: Mapping[str, Any]) -> None:
        try:
            with self._path.open("ab+") as file:
                fcntl.flock(file, fcntl.LOCK_EX)  # several people rate at once
                file.seek(0)
                whole = file.read().rfind(b"\n") + 1
                file.truncate(whole)
                file.write(json.dumps(record, ensure_ascii=False).encode("utf-8", "surrogatepass") + b"\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise InputError(f"{self._path} cannot be written: {error.strerror}.", "Free space, or move it.") from error


def begin(folder: Path, plan: Mapping[str, Any]) -> bool:
    """Makes the folder with this plan, or finds it there: then what was measured counts, and True is given. Raises
    InputError where the folder holds another comparison."""
    path = folder / PLAN
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if path.exists():
            known = read_plan(folder)
            if other := [key for key in plan["same"] if known["same"].get(key) != plan["same"][key]]:
                raise InputError(
                    f"{folder} holds another comparison: {', '.join(other)} differ.",
                    "Choose a new --output, or repeat the command with which it began.",
                )
            return True
        temporary = path.with_suffix(".new")
        temporary.write_text(json.dumps(plan, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
        temporary.replace(path)
    except OSError as error:
        raise InputError(f"{folder} cannot be written: {error.strerror}.", "Choose another --output.") from error
    return False


def read_plan(folder: Path) -> dict[str, Any]:
    """Raises NotFound, DamagedFile."""
    path = folder / PLAN
    try:
        plan = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(plan["same"], dict) or not isinstance(plan["questions"], list):
            raise ValueError
    except (FileNotFoundError, NotADirectoryError):
        raise NotFound(f"There is no comparison in {folder}.", "`ragstone compare` makes one.") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DamagedFile(f"{path} is not the plan of a comparison.", "Begin anew with another --output.") from error
    return dict(plan)
