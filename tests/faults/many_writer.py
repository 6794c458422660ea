"""One of several processes that write at once. Run as `python many_writer.py DATA NAME PUTS`."""

from __future__ import annotations

import sys
from pathlib import Path

from prepared import prepared
from ragstone.storage.sqlite import SqliteStore


def main(folder: Path, name: str, puts: int) -> None:
    store = SqliteStore(folder)
    store.create_collection("c")
    for number in range(puts):
        store.put("c", [prepared(f"/{name}/{number}", [f"{name} {number}", "common"])])
        if number % 10 == 9:
            store.delete("c", [f"/{name}/{number - 5}"])
    store.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
