"""The graph as a file: what is read from it is what the store says, whatever came since and whatever happens to it."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from graphs import SENTENCES, told
from ragstone.assemble import open_knowledge_base
from ragstone.graph import follow, sealed, sealing
from ragstone.graph import graph as graphs
from ragstone.graph.entities import stem_number
from ragstone.graph.packed import strings
from ragstone.graph.resolve_forms import Form, compare, hashed, numbers
from ragstone.knowledge_base import KnowledgeBase
from ragstone.settings import at, load
from ragstone.storage.backup import backup
from ragstone.storage.mending import findings
from ragstone.storage.restore import restore
from ragstone.testing import HashEmbedder

COLLECTION = "default"


def opened(folder: Path, **overrides: object) -> KnowledgeBase:
    chosen = load(overrides={"embedding.background": False, "cache.persistent": False, **overrides})
    return open_knowledge_base(at(folder, chosen), embedder=HashEmbedder())


@pytest.fixture
def kb(tmp_path: Path) -> Iterator[KnowledgeBase]:
    with opened(tmp_path / "data") as kb:
        kb.add_texts([(f"doc:{i}", "", text, {}) for i, text in enumerate(SENTENCES)])
        kb.graph.build()
        assert kb.graph.seal(COLLECTION, changed=1)
        yield kb


def file_of(kb: KnowledgeBase) -> Path:
    found = sealing.published(kb.store, COLLECTION)
    assert found is not None
    return kb.store.folder / "segments" / found.name


def from_file(kb: KnowledgeBase) -> bool:
    return kb.graph._graph(COLLECTION).file == file_of(kb).name


def from_store(kb: KnowledgeBase) -> dict[str, object]:
    """What a process says that looks at no file."""
    kb.graph._held[COLLECTION] = follow.CollectionGraph(kb.store, COLLECTION, from_store=True)
    found = told(kb)
    kb.graph.forget(COLLECTION)
    return found


def test_a_file_and_what_came_since_say_what_the_store_says(kb: KnowledgeBase) -> None:
    with opened(kb.store.folder) as other:
        assert told(other) == told(kb)
        assert from_file(other)
        kb.add_texts([("doc:2", "", SENTENCES[9], {}), ("doc:99", "", "Die Zeitglieder steuert Bosch in Stuttgart.", {})])
        kb.remove(["doc:0"])
        kb.graph.build()
        assert told(other) == told(kb)
        assert from_file(other), "a change is followed, not read with all the rest"
        assert told(other) == from_store(other)
        assert other.graph.seal(COLLECTION, changed=1)
        assert not other.graph.seal(COLLECTION, changed=1), "nothing changed since"
        assert told(other) == told(kb) == from_store(other)
        assert kb.verify().problems == ()


def test_a_decision_that_was_taken_back_leaves_no_trace_in_what_a_file_gives(kb: KnowledgeBase) -> None:
    before = told(kb)
    first, second = (kb.graph.find(name)[0].id for name in ("anna schneider", "paul weber"))
    kb.graph.merge(first, second)
    merged = told(kb)
    assert kb.graph.seal(COLLECTION, changed=0)
    with opened(kb.store.folder) as other:
        assert told(other) == merged != before
        assert from_file(other)
    (decision,) = kb.graph.decisions()
    kb.graph.withdraw(decision.a, decision.b)
    with opened(kb.store.folder) as other:
        assert told(other) == before
        assert from_file(other), "which still has the decision"


@pytest.mark.parametrize("place", [0, 9, 200, 0.3, 0.6, 0.9, -1])
def test_a_flipped_byte_is_noticed(kb: KnowledgeBase, place: float) -> None:
    wanted, path = told(kb), file_of(kb)
    content = bytearray(path.read_bytes())
    content[int(place * len(content)) if isinstance(place, float) else place] ^= 4
    path.write_bytes(content)
    with opened(kb.store.folder) as other:
        assert any("index files" in found.name for found in findings(kb.store.folder))
        assert told(other) == wanted
        assert other.graph._graph(COLLECTION).file == ""
        assert other.verify().problems == (), "nobody else reads the damaged file"
        assert any(path.name in note for note in other.graph.notes(COLLECTION))
        assert other.graph.seal(COLLECTION, changed=1), "it is written anew, though nothing changed"
        assert told(other) == wanted
        assert from_file(other)


def test_a_file_of_other_rules_is_made_again(kb: KnowledgeBase, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = told(kb)
    monkeypatch.setattr(sealed, "RULES", sealed.RULES + 1)
    with opened(kb.store.folder) as other:
        assert told(other) == wanted
        assert not from_file(other)


def test_what_names_become_is_that_of_these_rules() -> None:
    """When this fails, what files hold is no longer what the code makes of the same texts: raise `sealed.RULES`, and
    take the new number in here."""
    names = [word for sentence in SENTENCES for word in sentence.split()]
    names += ["Pumpen-Steuerung", "Steuerung der Pumpe", "6ES7-315", "Häuser", "Straße II", "1.299,00 mm", "SPS", "..."]
    seen: list[object] = []
    for name in names:
        for language in ("de", "en"):
            form = Form("", name, language, ("Speicherprogrammierbare Steuerung",))
            seen += [*numbers(form), stem_number(name.casefold(), language)]
        seen += [round(compare(Form("", name, "de"), Form("", other, "de")).similarity, 6) for other in names]
    assert (sealed.RULES, hashed(repr(seen))) == (2, NAMES)


NAMES = 18_322_743_731_975_633_464


def test_purging_takes_what_was_removed_out_of_the_file(kb: KnowledgeBase) -> None:
    assert b"schneider" in file_of(kb).read_bytes()
    kb.remove(["doc:6", "doc:7"])
    kb.purge()
    assert b"schneider" not in file_of(kb).read_bytes()
    assert [path.name for path in (kb.store.folder / "segments").glob("graph-*")] == [file_of(kb).name]
    assert told(kb) == from_store(kb)


def test_a_backup_leaves_the_file_out(kb: KnowledgeBase, tmp_path: Path) -> None:
    wanted = told(kb)
    backup(kb.store.folder, tmp_path / "backups")
    restore(tmp_path / "backups", tmp_path / "back")
    assert not list((tmp_path / "back" / "segments").glob("graph-*"))
    assert not any("index files" in found.name for found in findings(tmp_path / "back"))
    with opened(tmp_path / "back") as back:
        assert told(back) == wanted
        assert back.graph.notes(COLLECTION) == ()
        assert back.verify().problems == ()


def test_another_process_goes_on_from_a_newer_file(kb: KnowledgeBase, monkeypatch: pytest.MonkeyPatch) -> None:
    told(kb)
    monkeypatch.setattr(follow, "MOST_CHANGED", 2)
    monkeypatch.setattr(follow, "MOST_SHARE", 10.0)
    kb.add_texts([(f"more:{i}", "", text, {}) for i, text in enumerate(SENTENCES)])
    kb.graph.build()
    before = file_of(kb).name
    sealing_ = (
        "import sys; sys.path[:0] = sys.argv[1:2]; from test_sealed import opened; from pathlib import Path\n"
        "with opened(Path(sys.argv[2])) as kb: print(kb.graph.seal('default', changed=1))"
    )
    done = subprocess.run(
        [sys.executable, "-c", sealing_, str(Path(__file__).parent), str(kb.store.folder)],
        capture_output=True, text=True, check=True, env={"PYTHONPATH": ":".join(sys.path)},
    )  # fmt: skip
    assert done.stdout == "True\n"
    assert file_of(kb).name != before
    kb.remove(["doc:1"])
    assert told(kb) == told(opened(kb.store.folder))
    assert from_file(kb)


def test_what_was_extracted_in_the_background_is_sealed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sealed_ = threading.Event()
    publish = sealing.publish

    def telling(*given: object, **more: object) -> bool:
        made = publish(*given, **more)  # type: ignore[arg-type]
        sealed_.set()
        return made

    monkeypatch.setattr(sealing, "publish", telling)
    monkeypatch.setattr(graphs.KnowledgeGraph.seal, "__kwdefaults__", {"changed": 5, "wait_seconds": 0.0})
    with opened(tmp_path / "data", **{"embedding.background": True}) as kb:
        kb.add_texts([(f"doc:{i}", "", text, {}) for i, text in enumerate(SENTENCES)])
        assert sealed_.wait(120)
    with opened(tmp_path / "data") as other:
        assert len(told(other)["entities"]) > len(SENTENCES)
        assert from_file(other)
        assert told(other) == from_store(other)


def test_questions_are_answered_while_a_thread_follows_much(
    kb: KnowledgeBase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(graphs, "MOST_WAITED", 3)
    ask = "Was steuert die SPS der Siemens AG?"
    assert kb.search(ask, mode="graph", cache=False).hits
    before = kb.graph.current(COLLECTION)
    entered, go = threading.Event(), threading.Event()
    read = follow.CollectionGraph._read

    def held_up(graph: follow.CollectionGraph, ids: list[int]) -> None:
        entered.set()
        assert go.wait(60)
        read(graph, ids)

    monkeypatch.setattr(follow.CollectionGraph, "_read", held_up)
    kb.add_texts([(f"more:{i}", "", f"{text} Auch {i}.", {}) for i, text in enumerate(SENTENCES)])
    kb.remove(["doc:2"])
    found = kb.search(ask, mode="graph", cache=False)
    assert entered.wait(60)
    assert any("graph" in note for note in found.notes), "that it was left out is told"
    assert all(hit.chunk.uri != "doc:2" for hit in found.hits)
    (thread,) = kb.graph._following.values()
    closing = threading.Thread(target=kb.graph.close)
    closing.start()
    closing.join(0.2)
    assert closing.is_alive(), "closing waits for the thread"
    go.set()
    closing.join(60)
    assert not thread.is_alive()
    assert kb.graph._following == {}
    after = kb.graph.current(COLLECTION)
    assert before is not None
    assert after is not None
    assert after.revision == kb.store.revision(COLLECTION) > before.revision


def test_strings() -> None:
    texts = ["", "Häuser", "\ud800", "a" * 5_000, ""]
    packed = strings([text.encode("utf-8", "surrogatepass") for text in texts])
    assert [packed[place] for place in range(len(packed))] == list(packed.all()) == texts
    assert packed.raw(np.array([1, 4]))[0].decode() == "Häuser"
    assert json.dumps(len(packed)) == "5"
