"""Facts, episodes and knowledge in a real store, with vectors of hashed words."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ragstone.assemble import open_knowledge_base
from ragstone.errors import InputError, NotFound, QueryError
from ragstone.knowledge_base import KnowledgeBase
from ragstone.memory_types import MEMORY, NewItem, SourceSpan
from ragstone.settings import at, load
from ragstone.storage.backup import backup
from ragstone.storage.restore import restore
from ragstone.testing import HashEmbedder

DAY = 86_400.0


def opened(folder: Path) -> KnowledgeBase:
    settings = at(folder, load(overrides={"embedding.background": False, "data.free_disk": 0}))
    return open_knowledge_base(settings, embedder=HashEmbedder(256))


@pytest.fixture
def kb(tmp_path: Path) -> Iterator[KnowledgeBase]:
    with opened(tmp_path / "data") as made:
        yield made
        assert made.verify().problems == ()


def test_what_is_told_is_found_and_stands_apart_from_documents(kb: KnowledgeBase) -> None:
    told = kb.memory.remember("We chose PostgreSQL for billing.", type="decision", who="Anna")
    assert told.outcome == "added"
    found = kb.memory.recall("what was chosen for billing?")
    assert [hit.item.id for hit in found.hits] == [told.item.id]
    assert found.hits[0].why["words"] > 0
    assert found.answerable > kb.memory.recall("who repaired the boiler in Hamburg?").answerable
    assert kb.collections() == [] == kb.store.collections()
    with pytest.raises(NotFound):
        kb.search("PostgreSQL")
    with pytest.raises(InputError):
        kb.add_texts([("a", "", "text", {})], collection=MEMORY)


def test_the_same_words_are_one_item_and_the_telling_is_counted(kb: KnowledgeBase) -> None:
    first = kb.memory.remember("The valve opens at 3.2 bar.")
    second = kb.memory.remember("the valve opens at 3.2 bar")
    assert (second.outcome, second.item.id, second.item.told) == ("merged", first.item.id, 2)
    assert kb.memory.remember("The valve opens at 3.2 bar?", type="question").outcome == "added"
    assert kb.memory.remember("The valve opens at 3.2 bar.", project="other").outcome == "added"
    assert kb.memory.statistics().merged == 1


def test_other_numbers_and_denial_contradict_and_the_newer_holds(kb: KnowledgeBase) -> None:
    old = kb.memory.remember("The safety valve of the boiler opens at 3 bar.", at=1000.0).item
    new = kb.memory.remember("The safety valve of the boiler opens at 5 bar.", at=2000.0)
    assert (new.outcome, new.contradicted) == ("added", (old.id,))
    assert kb.memory.get(old.id).state == "contradicted"
    assert kb.memory.get(old.id).valid_to == 2000.0
    assert kb.memory.get(old.id).contradicts == (new.item.id,)
    assert [hit.item.id for hit in kb.memory.recall("safety valve").hits] == [new.item.id]
    assert len(kb.memory.recall("safety valve", history=True).hits) == 2
    late = kb.memory.remember("The safety valve of the boiler does not open at 3 bar.", at=1500.0)
    assert late.contradicted == (old.id,)
    kb.memory.remember("The safety valve of the boiler opens at 3 bar.", at=3000.0)  # it is so after all
    assert [kb.memory.get(i).state for i in (old.id, new.item.id)] == ["valid", "contradicted"]
    kb.memory.forget(old.id)
    assert kb.memory.get(new.item.id).state == "valid"


def test_a_key_keeps_the_history_of_its_values(kb: KnowledgeBase) -> None:
    kb.memory.remember(kind="fact", key="Port", value="8080", at=100.0, who="Anna")
    assert kb.memory.remember(kind="fact", key="port", value="8080", at=150.0).outcome == "merged"
    assert kb.memory.remember(kind="fact", key="port", value="9090", at=200.0, who="Bob").outcome == "replaced"
    assert kb.memory.remember(kind="fact", key="port", value="7070", at=50.0).outcome == "added"  # told late
    back = kb.memory.remember(kind="fact", key="port", value="8080", at=300.0)
    assert back.outcome == "merged"
    history = kb.memory.history("PORT")
    assert [(item.value, item.state, item.told) for item in history] == [
        ("8080", "valid", 3), ("9090", "replaced", 1), ("7070", "replaced", 1),
    ]  # fmt: skip
    assert [item.valid_to for item in history] == [None, 200.0, 200.0]
    assert [item.replaced_by for item in history[1:]] == [item.id for item in history[:-1]]
    kb.memory.forget(back.item.id)
    assert kb.memory.history("port")[0].value == "9090"
    assert kb.memory.history("port")[0].state == "valid"


def test_one_idempotency_key_is_one_telling(kb: KnowledgeBase) -> None:
    first = kb.memory.remember("Restarted the pump.", kind="episode", idempotency_key="a-1")
    again = kb.memory.remember("Restarted the pump!", kind="episode", idempotency_key="a-1")
    assert (again.outcome, again.item.told) == ("unchanged", 1)
    assert again.item.id == first.item.id
    both = kb.memory.remember_many([NewItem("One.", idempotency_key="b"), NewItem("Other.", idempotency_key="b")])
    assert [told.outcome for told in both] == ["added", "unchanged"]


def test_episodes_are_found_by_time_by_speaker_and_by_what_was_said_before(kb: KnowledgeBase) -> None:
    now = 1_795_000_000.0
    kb.memory.remember_many(
        [
            NewItem("The release went out.", kind="episode", at=now - 20 * DAY),
            NewItem("Anna: Who found the parser bug?", kind="episode", at=now - 2 * DAY),
            NewItem("Bob: It was Carl.", kind="episode", at=now - 2 * DAY + 5),
            NewItem("Lunch at noon.", kind="episode", at=now - 30 * DAY, participants=("Bob",)),
        ]
    )
    texts = [hit.item.text for hit in kb.memory.recall("parser bug", now=now).hits]
    assert texts[:2] == ["Anna: Who found the parser bug?", "Bob: It was Carl."]  # found by what was asked before it
    assert kb.memory.recall("What did Bob say?", now=now).hits[0].item.who == "Bob"
    days = kb.memory.recall("was geschah vor zwei Tagen?", now=now)
    assert {hit.item.text for hit in days.hits[:2]} == set(texts[:2])
    assert days.since == days.until - DAY  # type: ignore[operator]
    before = kb.memory.recall("what happened before the release", now=now)
    assert before.until == now - 20 * DAY
    assert {hit.item.text for hit in before.hits[:2]} == {"Lunch at noon.", "The release went out."}
    assert kb.memory.recall("lunch yesterday", now=now).notes == ("nothing of that time is remembered",)
    assert [i.text for i in kb.memory.timeline(since=now - 25 * DAY, limit=1, before=now - 2 * DAY)] == [
        "The release went out."
    ]


def test_a_source_that_changes_makes_stale_and_one_that_goes_takes_along(kb: KnowledgeBase) -> None:
    kb.add_texts([("a.txt", "", "Karl services the pump. It is blue.", {}), ("b.txt", "", "Karl services it.", {})])
    alone = kb.memory.remember("The pump is blue.", sources=[SourceSpan("default", "a.txt", 24, 35)]).item
    both = kb.memory.remember("Karl services the pump.", sources=[SourceSpan("default", "a.txt", 0, 23)]).item
    kb.memory.remember("karl services the pump", sources=[SourceSpan("default", "b.txt")], at=5.0)
    free = kb.memory.remember("Pumps are loud.").item
    kb.add_texts([("a.txt", "", "Well. Karl services the pump. It is red.", {})])
    assert kb.memory.get(alone.id).state == "stale"
    moved = kb.memory.get(both.id)
    assert (moved.state, moved.told, moved.sources[0].start) == ("valid", 2, 6)
    kb.add_texts([("a.txt", "", "Karl services the pump. It is blue.", {})])
    assert kb.memory.get(alone.id).state == "valid"
    kb.remove(["a.txt"])
    with pytest.raises(NotFound):
        kb.memory.get(alone.id)
    left = kb.memory.get(both.id)
    assert (left.text, left.told, left.at) == ("karl services the pump", 1, 5.0)
    assert [source.uri for source in left.sources] == ["b.txt"]
    kb.drop_collection("default")
    assert [item.id for item in kb.memory.timeline()] == [free.id]


def test_what_was_forgotten_stands_nowhere_after_a_purge(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    with opened(folder) as kb:
        secret = kb.memory.remember("The codeword is xylophoneorange.", kind="episode", at=10.0)
        kb.memory.remember("Understood.", kind="episode", at=11.0)
        assert kb.memory.forget(secret.item.id)
        assert not kb.memory.forget(secret.item.id)
        kb.memory.remember("Whisper vermilionkettle", project="x")
        assert kb.memory.forget_matching(project="x") == 1
        kb.purge()
        assert [item.text for item in kb.memory.timeline()] == ["Understood."]
    for path in folder.rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            assert b"xylophoneorange" not in data
            assert b"vermilionkettle" not in data


def test_projects_are_apart_until_all_are_asked(kb: KnowledgeBase) -> None:
    kb.memory.create_project("web")
    kb.memory.switch_project("web")
    kb.memory.remember("Buttons are green.")
    kb.memory.remember("Buttons are blue.", project="app")
    assert [hit.item.text for hit in kb.memory.recall("buttons").hits] == ["Buttons are green."]
    assert len(kb.memory.recall("buttons", all_projects=True).hits) == 2
    kb.memory.archive_project("web")
    assert kb.memory.current_project() == ""
    assert [hit.item.text for hit in kb.memory.recall("buttons", all_projects=True).hits] == ["Buttons are blue."]
    assert [project.name for project in kb.memory.projects()] == ["", "app"]
    with pytest.raises(NotFound):
        kb.memory.switch_project("nowhere")


def test_knowledge_that_nobody_told_again_is_stale(kb: KnowledgeBase) -> None:
    old = kb.memory.remember("Is the cache too small?", type="question", at=time.time() - 60 * DAY).item
    assert old.state == "stale"
    assert kb.memory.statistics().by_state["stale"] == 1
    again = kb.memory.remember("Is the cache too small?", type="question")
    assert (again.outcome, again.item.state, again.item.told) == ("merged", "valid", 2)


@pytest.mark.parametrize(
    "wrong",
    [
        {"text": " ... "}, {"text": "x", "key": "k"}, {"kind": "fact", "key": "k"}, {"text": "x", "kind": "rumour"},
        {"text": "x", "confidence": 2.0}, {"text": "x" * 30_000}, {"text": "x", "at": float("nan")},
        {"text": "x", "project": "p" * 300},
    ],
)  # fmt: skip
def test_what_cannot_be_remembered_is_refused(kb: KnowledgeBase, wrong: dict[str, object]) -> None:
    with pytest.raises(InputError):
        kb.memory.remember(**wrong)  # type: ignore[arg-type]
    with pytest.raises(InputError):
        kb.memory.remember_many([NewItem("fine"), NewItem(**wrong)])  # type: ignore[arg-type]
    assert kb.memory.statistics().items == 0
    with pytest.raises(QueryError):
        kb.memory.recall("")


TELLING = """
import sys
sys.path.insert(0, sys.argv[2])
from pathlib import Path
from test_memories import opened
with opened(Path(sys.argv[1])) as kb:
    for number in range(12):
        kb.memory.remember(f"Gauge {number} shows green.", idempotency_key=f"key-{number}")
        kb.memory.remember("Everybody says this.")
"""


def test_many_processes_and_threads_tell_the_same_and_nothing_is_double_or_lost(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    command = [sys.executable, "-c", TELLING, str(folder), str(Path(__file__).parent)]
    processes = [subprocess.Popen(command) for _ in range(3)]
    assert [process.wait(60) for process in processes] == [0, 0, 0]
    with opened(folder) as kb, ThreadPoolExecutor(4) as pool:
        list(pool.map(kb.memory.remember, ["Everybody says this."] * 8))
        (said,) = [item for item in kb.memory.timeline() if item.text == "Everybody says this."]
        assert said.told == 3 * 12 + 8
        assert kb.memory.statistics().items == 13
        assert kb.verify().problems == ()


def test_calls_for_documents_do_not_reach_what_is_remembered(kb: KnowledgeBase) -> None:
    item = kb.memory.remember("The sky is blue.").item
    kb.add_texts([("a.txt", "", "Grass is green.", {})])
    calls = [
        lambda: kb.search("sky", collections=[MEMORY]),
        lambda: kb.add_texts([("b.txt", "", "Text.", {})], collection=MEMORY),
        lambda: kb.remove(["*"], collection=MEMORY),
        lambda: kb.remove_documents([item.id], collection=MEMORY),
        lambda: kb.drop_collection(MEMORY),
        lambda: kb.documents(MEMORY),
        lambda: kb.document(item.id, MEMORY),
        lambda: kb.text(item.id, MEMORY),
        lambda: kb.collection(MEMORY),
        lambda: kb.export(kb.store.folder / "x.jsonl", collection=MEMORY),
        lambda: kb.sync(collection=MEMORY),
        lambda: kb.spaces(MEMORY),
        lambda: kb.rollback_space(collection=MEMORY),
    ]
    for call in calls:
        with pytest.raises(InputError):
            call()
    with pytest.raises(NotFound):
        kb.document_by_id(kb.store.memory.find([item.id])[0])
    assert [hit.item.id for hit in kb.memory.recall("sky").hits] == [item.id]


def test_a_backup_brings_back_what_was_remembered(tmp_path: Path) -> None:
    with opened(tmp_path / "data") as kb:
        kb.add_texts([("a.txt", "", "The boiler opens at 3 bar.", {})])
        kb.memory.remember("The boiler opens at 3 bar.", sources=[SourceSpan("default", "a.txt")])
        kb.memory.remember(kind="fact", key="port", value="80", at=1.0)
        kb.memory.remember(kind="fact", key="port", value="81", at=2.0)
        kb.embed_pending()
        before = kb.memory.timeline()
        backup(tmp_path / "data", tmp_path / "backup")
        kb.memory.forget(before[0].id)
    restore(tmp_path / "backup", tmp_path / "restored")
    with opened(tmp_path / "restored") as kb:
        assert kb.memory.timeline() == before
        assert kb.memory.recall("boiler").hits[0].item.text == "The boiler opens at 3 bar."
        kb.remove(["a.txt"])
        assert len(kb.memory.timeline()) == 2
        assert kb.verify().problems == ()


def test_commands(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from ragstone.cli.app import run

    def ask(*words: str) -> dict[str, object]:
        code = run(["--data", str(tmp_path / "data"), "--json", *words], {"HOME": str(tmp_path)})
        out = capsys.readouterr()
        assert code == 0, out.err
        return dict(json.loads(out.out))

    ask("remember", "--key", "port", "--value", "8080")
    assert ask("remember", "--key", "port", "--value", "9090")["outcome"] == "replaced"
    told = ask("remember", "Anna fixed it.", "--kind", "episode", "--who", "Anna", "--at", "2026-01-05")
    assert len(ask("timeline")["items"]) == 3  # type: ignore[arg-type]
    assert ask("recall", "port", "--kind", "fact")["hits"][0]["item"]["value"] == "9090"  # type: ignore[index]
    assert len(ask("memory", "history", "port")["items"]) == 2  # type: ignore[arg-type]
    ask("memory", "create", "web")
    assert ask("memory", "switch", "web")["projects"][0]["current"] is True  # type: ignore[index]
    assert ask("forget", told["item"]["id"])["forgotten"] == 1  # type: ignore[index]
    assert ask("memory", "stats")["items"] == 2
    assert run(["--data", str(tmp_path / "data"), "forget"], {"HOME": str(tmp_path)}) == 2


def test_recalls_see_one_state_while_others_remember(kb: KnowledgeBase) -> None:
    kb.memory.remember_many([NewItem(f"Pump {n} stands in hall {n * 7}.") for n in range(50)])

    def tell(thread: int) -> None:
        for n in range(40):
            kb.memory.remember(f"Valve {thread * 100 + n} is from {1900 + n}.")

    def ask(thread: int) -> None:
        for n in range(60):
            assert kb.memory.recall(f"hall of pump {(n + thread) % 50}", kinds=["knowledge"]).hits
            assert len(kb.memory.timeline(limit=20)) == 20

    switch = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        with ThreadPoolExecutor(6) as pool:
            for done in [pool.submit(tell, n) for n in range(2)] + [pool.submit(ask, n) for n in range(4)]:
                done.result()
    finally:
        sys.setswitchinterval(switch)
