"""Writes tests/fixtures/schema_NNNN.db.gz: a small database of the present schema, for the tests of upgrades.

Run once when a migration was added, and keep the earlier files as they are: `python tools/make_schema_fixture.py`.
"""

from __future__ import annotations

import gzip
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "src"))

from ragstone.assemble import open_knowledge_base  # noqa: E402
from ragstone.settings import at, load  # noqa: E402
from ragstone.storage.connect import DATABASE  # noqa: E402
from ragstone.storage.migrations import newest  # noqa: E402
from ragstone.testing import HashEmbedder  # noqa: E402

TEXTS = {
    "manual/filter.md": "Der Luftfilter wird alle sechs Monate gewechselt.\n\nDer alte Filter kommt in den Restmüll.",
    "manual/boiler.txt": "The boiler is descaled every March. Its safety valve opens at 3.2 bar.",
    "notes/empty words.txt": "one two three four five six seven",
}
"""What every fixture holds, in the collection "default"; the last one has no vector. A fourth was removed."""


def main() -> None:
    target = ROOT / "tests" / "fixtures" / f"schema_{newest():04d}.db.gz"
    if target.exists():
        raise SystemExit(f"{target} is there already; a fixture is never made again")
    with TemporaryDirectory() as place:
        settings = at(Path(place), load(overrides={"embedding.background": False, "data.free_disk": 0}))
        with open_knowledge_base(settings, embedder=HashEmbedder()) as kb:
            items = [(uri, uri.rsplit("/", 1)[1], text, {"kind": "test"}) for uri, text in TEXTS.items()]
            kb.add_texts([*items[:2], ("notes/removed.txt", "", "this was removed", {})])
            kb.embed_pending()
            kb.remove(["**/removed.txt"])
            kb.add_texts(items[2:])
            kb.store.add_root("default", "/nowhere/manual")
            kb.store.create_collection("empty")
            kb.add_space(HashEmbedder(32), wait=False)
            for value in ("8080", "9090"):
                kb.memory.remember(kind="fact", key="port", value=value, project="boiler")
            kb.chats.ask(kb.chats.begin("boiler").id, "When is it descaled?")
            kb.graph.build()
            filters = kb.graph.find("filter")
            kb.graph.merge(filters[0].id, filters[1].id, by="test")
            kb.purge()
        data = (Path(place) / DATABASE).read_bytes()
    target.parent.mkdir(exist_ok=True)
    target.write_bytes(gzip.compress(data, 9, mtime=0))
    print(f"wrote {target} ({target.stat().st_size} bytes)")


if __name__ == "__main__":
    main()
