"""Several vector spaces for one collection: built in the shadow, searched together, switched, rolled back, dropped."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ragstone.assemble import open_knowledge_base
from ragstone.embedding.workers import EmbeddingWorker, Job
from ragstone.embedding_models import default_recipe
from ragstone.errors import InputError, ModelMissing, ModelUnavailable, NotFound, RagstoneError, SettingsError
from ragstone.knowledge_base import KnowledgeBase
from ragstone.protocols import Embedder, Role, Vectors
from ragstone.settings import load
from ragstone.testing import HashEmbedder
from ragstone.types import Progress, Recipe, SearchResult, Space

OLD = HashEmbedder(32)
NEW = HashEmbedder(48)
WORDS = "pump filter valve motor oil weekly daily pressure sensor alarm bearing hose belt gauge".split()


@dataclass
class Counting:
    """Another model, which counts what it embeds."""

    dimension: int = 24
    pause: float = 0.0
    passages: int = 0
    broken: bool = False

    @property
    def space(self) -> Space:
        return Space("counting", "1", self.dimension)

    def embed(self, texts: Sequence[str], role: Role) -> Vectors:
        if self.broken:
            raise ModelUnavailable("it does not answer.", "Start it.")
        if role == "passage":
            self.passages += len(texts)
            time.sleep(self.pause)
        return HashEmbedder(self.dimension).embed(texts, role)


@contextmanager
def opened(folder: Path, *others: Embedder, background: bool = False, read_only: bool = False) -> Iterator[KnowledgeBase]:
    chosen = load(overrides={"data.folder": str(folder), "embedding.background": background})
    with open_knowledge_base(chosen, embedder=OLD, embedders=others, read_only=read_only) as kb:
        yield kb


def items(count: int, prefix: str = "d") -> list[tuple[str, str, str, dict[str, str | int | float | bool]]]:
    chance = np.random.default_rng(len(prefix) + count)
    return [(f"{prefix}{n}", "", " ".join(chance.choice(WORDS, 8)) + f" number{n}", {}) for n in range(count)]


def fill(kb: KnowledgeBase, count: int = 30, prefix: str = "d") -> None:
    kb.add_texts(items(count, prefix))
    kb.embed_pending()


def roles(kb: KnowledgeBase) -> dict[str, str]:
    return {status.space: status.role for status in kb.spaces("default")}


def seen(result: SearchResult) -> list[tuple[str, float, float | None]]:
    return [(hit.chunk.uri, hit.score, hit.parts.dense) for hit in result.hits]


def rows_of(kb: KnowledgeBase, space: str) -> int:
    return len(kb.store.embeddings(space, kb.store.chunk_ids("default").tolist())[0])


# ---------------------------------------------------------------------- roles
def test_a_space_is_built_switched_to_rolled_back_and_dropped(tmp_path: Path) -> None:
    with opened(tmp_path / "data") as kb:
        fill(kb)
        before = kb.search("pump filter", mode="dense")
        assert before.spaces == {"default": (OLD.space.id,)}
        kb.add_space(NEW, wait=False)
        assert roles(kb) == {OLD.space.id: "active", NEW.space.id: "building"}
        with pytest.raises(InputError, match="30 chunks have no vector"):
            kb.switch_space()
        assert seen(kb.search("pump filter", mode="dense", cache=False)) == seen(before)
        assert kb.add_space(NEW).waiting == 0
        assert kb.switch_space().role == "active"
        assert roles(kb) == {NEW.space.id: "active", OLD.space.id: "kept"}
        after = kb.search("pump filter", mode="dense")
        assert after.spaces == {"default": (NEW.space.id,)}
        assert seen(after) != seen(before)
        assert kb.collection("default").space == NEW.space.id
        assert kb.rollback_space().space == OLD.space.id
        assert seen(kb.search("pump filter", mode="dense")) == seen(before)
        assert kb.rollback_space().space == NEW.space.id
        with pytest.raises(InputError, match="Switch to another"):
            kb.drop_space(NEW.space.id)
        kb.drop_space(OLD.space.id)
        assert roles(kb) == {NEW.space.id: "active"}
        assert rows_of(kb, OLD.space.id) == 0
        assert kb.verify().problems == ()
        with pytest.raises(InputError, match="nothing to go back"):
            kb.rollback_space()


def test_roles_are_known_to_the_next_process_and_to_one_that_is_open(tmp_path: Path) -> None:
    with opened(tmp_path / "data", NEW) as here, opened(tmp_path / "data", NEW) as there:
        fill(here)
        assert there.search("pump").spaces == {"default": (OLD.space.id,)}
        here.add_space(NEW)
        here.switch_space()
        assert there.search("pump").spaces == {"default": (NEW.space.id,)}
        there.rollback_space()
        assert here.search("pump").spaces == {"default": (OLD.space.id,)}
        there.rollback_space()
    with opened(tmp_path / "data", NEW, read_only=True) as kb:
        assert kb.search("pump").spaces == {"default": (NEW.space.id,)}


def test_a_space_whose_model_nobody_can_make_is_named(tmp_path: Path) -> None:
    with opened(tmp_path / "data") as kb:
        fill(kb)
        kb.add_space(NEW)
        kb.switch_space()
    with opened(tmp_path / "data") as kb:
        assert kb.search("pump", mode="lexical").hits
        with pytest.raises(ModelMissing, match="a program gave"):
            kb.search("pump")
        kb.rollback_space()
        assert kb.search("pump").hits


def test_the_settings_name_the_model_only_until_one_is_recorded(tmp_path: Path) -> None:
    with opened(tmp_path / "data") as kb:
        kb.add_texts(items(3))
        assert [s.recorded for s in kb.spaces()] == [False]
        kb.embed_pending()
        assert [s.recorded for s in kb.spaces()] == [True]
    chosen = load(overrides={"data.folder": str(tmp_path / "data"), "embedding.background": False})
    with open_knowledge_base(chosen, embedder=NEW, embedders=[OLD]) as kb:
        assert kb.search("pump").spaces == {"default": (OLD.space.id,)}
        kb.add_texts(items(2, "later"))
        kb.embed_pending()
        assert rows_of(kb, OLD.space.id) == 5


def test_changes_that_make_no_sense_are_refused(tmp_path: Path) -> None:
    with opened(tmp_path / "data") as kb:
        fill(kb, 3)
        with pytest.raises(NotFound, match="no space"):
            kb.switch_space("unknown")
        with pytest.raises(NotFound, match="is being built"):
            kb.switch_space()
        with pytest.raises(NotFound):
            kb.add_space(NEW, collection="unknown")
        with pytest.raises(InputError, match="is active"):
            kb.prefer_space(OLD.space.id)
        with pytest.raises(NotFound):
            kb.search("pump", space=NEW.space.id)
        kb.add_space(NEW)
        with pytest.raises(InputError, match="several"):
            kb.drop_space("hash")
        with pytest.raises(ModelMissing):
            kb.add_space(Recipe("packaged", "no-such-model"))


def test_a_key_of_a_server_is_never_recorded(tmp_path: Path) -> None:
    overrides = {"embedding.endpoint": "http://127.0.0.1:1", "embedding.model": "m", "embedding.api_key": "secret-key"}
    chosen = load(overrides={"data.folder": str(tmp_path / "data"), "embedding.background": False, **overrides})
    recipe = replace(default_recipe(chosen), dimension=8)
    assert "secret-key" not in repr(recipe)
    with opened(tmp_path / "data") as kb, pytest.raises(SettingsError, match="MY_KEY"):
        fill(kb, 2)
        kb.add_space(replace(recipe, api_key_env="MY_KEY"))


# ---------------------------------------------------------------------- together
def test_a_preferred_space_ranks_what_it_has_and_the_active_one_the_rest(tmp_path: Path) -> None:
    with opened(tmp_path / "data") as kb:
        fill(kb, 10, "old")
        kb.add_space(NEW)
        kb.add_texts(items(10, "newer"))
        with_vector = EmbeddingWorker(kb.store, lambda _: [Job(OLD.space.id, lambda: OLD)])
        with_vector.run("default")
        kb.prefer_space(NEW.space.id)
        result = kb.search("pump filter valve", mode="dense", k=20)
        assert result.spaces == {"default": (NEW.space.id, OLD.space.id)}
        assert {hit.chunk.uri for hit in result.hits} == {f"{p}{n}" for p in ("old", "newer") for n in range(10)}
        alone = {s: kb.search("pump filter valve", mode="dense", k=20, space=s.space.id) for s in (OLD, NEW)}
        order = {s: [hit.chunk.uri for hit in found.hits] for s, found in alone.items()}
        mixed = [hit.chunk.uri for hit in result.hits]
        assert [uri for uri in mixed if uri.startswith("old")] == order[NEW]
        assert [uri for uri in mixed if uri.startswith("newer")] == [u for u in order[OLD] if u.startswith("newer")]
        assert kb.search("pump filter valve", k=20, diversity=0.5).hits
        kb.embed_pending()
        assert seen(kb.search("pump filter", mode="dense")) == seen(
            kb.search("pump filter", mode="dense", space=NEW.space.id)
        )
        kb.switch_space(NEW.space.id)
        assert roles(kb) == {NEW.space.id: "active", OLD.space.id: "kept"}
        assert kb.verify().problems == ()


def test_nothing_is_preferred_where_nothing_is_recorded(tmp_path: Path) -> None:
    with opened(tmp_path / "data") as kb:
        kb.store.create_collection("default")
        assert kb.prefer_space(None).space == OLD.space.id


def test_a_partial_switch_prefers(tmp_path: Path) -> None:
    with opened(tmp_path / "data") as kb:
        fill(kb)
        kb.add_space(NEW, wait=False)
        assert kb.switch_space(partial=True).role == "preferred"
        assert kb.search("pump").spaces == {"default": (OLD.space.id,)}  # nothing is there to search in yet
        kb.embed_pending()
        assert kb.search("pump").spaces == {"default": (NEW.space.id, OLD.space.id)}
        kb.prefer_space(None)
        assert roles(kb)[NEW.space.id] == "building"


def test_collections_of_different_spaces_are_searched_together(tmp_path: Path) -> None:
    with opened(tmp_path / "data") as kb:
        for name in ("a", "b"):
            kb.add_texts(items(20, name), collection=name)
        kb.embed_pending()
        kb.add_space(NEW, collection="b")
        kb.switch_space(collection="b")
        result = kb.search("pump filter", mode="dense", k=40)
        assert result.spaces == {"a": (OLD.space.id,), "b": (NEW.space.id,)}
        assert {hit.chunk.collection for hit in result.hits[:6]} == {"a", "b"}
        assert all(0.0 <= hit.score <= 1.0 for hit in result.hits)
        assert kb.search("pump filter", diversity=0.7).hits


def test_a_text_shared_with_another_collection_keeps_the_vector_that_one_needs(tmp_path: Path) -> None:
    with opened(tmp_path / "data") as kb:
        for name in ("a", "b"):
            kb.add_texts(items(5), collection=name)
        kb.embed_pending()
        counting = Counting()
        kb.add_space(counting, collection="a")
        kb.add_space(counting, collection="b")
        assert counting.passages == 5  # the texts are the same
        assert kb.spaces("b")[1].waiting == 0
        kb.drop_space("counting", collection="a")
        assert rows_of_collection(kb, "b", counting.space.id) == 5
        kb.switch_space(collection="b")
        assert kb.search("pump", collections=["b"], mode="dense").hits
        assert kb.verify().problems == ()


def rows_of_collection(kb: KnowledgeBase, name: str, space: str) -> int:
    return len(kb.store.embeddings(space, kb.store.chunk_ids(name).tolist())[0])


documents = st.dictionaries(
    st.sampled_from("abcdef"), st.lists(st.sampled_from(WORDS), min_size=1, max_size=12).map(" ".join), min_size=1,
    max_size=5,
)  # fmt: skip


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(first=documents, later=documents, question=st.lists(st.sampled_from(WORDS), min_size=1, max_size=4))
def test_adding_switching_and_dropping_is_like_building_with_the_new_model_from_the_start(
    tmp_path_factory: pytest.TempPathFactory, first: dict[str, str], later: dict[str, str], question: list[str]
) -> None:
    place, asked = tmp_path_factory.mktemp("equal"), " ".join(question)
    chosen = load(overrides={"data.folder": str(place / "short"), "embedding.background": False})
    with opened(place / "long") as long, open_knowledge_base(chosen, embedder=NEW) as short:
        for kb in (long, short):
            kb.add_texts((uri, "", text, {}) for uri, text in first.items())
        long.embed_pending()
        long.add_space(NEW)
        for kb in (long, short):
            kb.add_texts((f"x{uri}", "", text, {}) for uri, text in later.items())
            kb.remove([next(iter(first))])
            kb.embed_pending()
        long.switch_space()
        long.drop_space(OLD.space.id)
        for mode in ("hybrid", "dense", "lexical"):
            one, other = long.search(asked, mode=mode, k=20), short.search(asked, mode=mode, k=20)  # type: ignore[arg-type]
            assert sorted(seen(one)) == sorted(seen(other))
            assert one.spaces == other.spaces
        assert long.verify().problems == short.verify().problems == ()
        long.rebuild()
        long.purge()
        assert long.verify().problems == ()
        assert sorted(seen(long.search(asked))) == sorted(seen(short.search(asked)))


# ---------------------------------------------------------------------- embedding
def test_new_documents_go_before_the_shadow(tmp_path: Path) -> None:
    order: list[tuple[str, int]] = []

    class Noting(Counting):
        def embed(self, texts: Sequence[str], role: Role) -> Vectors:
            if role == "passage":
                order.append(("shadow", len(texts)))
                if len(order) == 2:
                    kb.add_texts(items(3, "urgent"))
            return super().embed(texts, role)

    with opened(tmp_path / "data") as kb:
        fill(kb, 200)
        shadow = Noting(pause=0.02)
        kb.add_space(shadow, wait=False)

        def searched() -> Embedder:
            order.append(("searched", 3))
            return OLD

        jobs = [Job(OLD.space.id, searched), Job(shadow.space.id, lambda: shadow, shadow=True)]
        worker = EmbeddingWorker(kb.store, lambda _: jobs, memory_mb=1)
        assert worker.run("default") == 3 + 203
        at = order.index(("searched", 3))
        assert 0 < at < len(order) - 1
        assert kb.verify().problems == ()


def test_a_shadow_gives_way_to_questions(tmp_path: Path) -> None:
    with opened(tmp_path / "data") as kb:
        fill(kb, 100)
        shadow = Counting()
        kb.add_space(shadow, wait=False)
        serving = threading.Event()
        serving.set()
        jobs = [Job(OLD.space.id, lambda: OLD), Job(shadow.space.id, lambda: shadow, shadow=True)]
        worker = EmbeddingWorker(kb.store, lambda _: jobs, share=0.0, serving=serving.is_set)
        stop, done = threading.Event(), []
        thread = threading.Thread(target=lambda: done.append(worker.run("default", stop=stop)))
        thread.start()
        time.sleep(0.5)
        assert shadow.passages == 0
        kb.add_texts(items(2, "urgent"))  # embedded meanwhile all the same
        for _ in range(100):
            if kb.store.count_pending("default", OLD.space.id) == 0:
                break
            time.sleep(0.05)
        assert kb.store.count_pending("default", OLD.space.id) == 0
        assert shadow.passages == 0
        serving.clear()
        thread.join(20)
        assert done == [104]
        assert kb.spaces()[1].waiting == 0


def test_a_shadow_that_fails_holds_up_nobody(tmp_path: Path) -> None:
    with opened(tmp_path / "data") as kb:
        fill(kb, 5)
        shadow = Counting(broken=True)
        with pytest.raises(ModelUnavailable):
            kb.add_space(shadow)
        kb.add_texts(items(5, "later"))
        assert kb.embed_pending() == 5
        assert [(s.role, s.waiting) for s in kb.spaces()] == [("active", 0), ("building", 10)]
        shadow.broken = False
        assert kb.embed_pending() == 10


def test_what_is_left_to_whoever_embeds_is_embedded_by_an_open_process(tmp_path: Path) -> None:
    with opened(tmp_path / "data", NEW, background=True) as serving:
        fill(serving)
        with opened(tmp_path / "data") as command:
            command.add_space(NEW, wait=False)
        for _ in range(200):
            if serving.spaces()[1].waiting == 0:
                break
            time.sleep(0.05)
        assert serving.spaces()[1].waiting == 0


def test_a_space_that_another_process_drops_while_it_is_built_is_named(tmp_path: Path) -> None:
    with opened(tmp_path, NEW) as kb, opened(tmp_path, NEW) as other:
        kb.add_texts([(f"/{n}", "", WORDS[n], {}) for n in range(4)])
        kb.embed_pending()

        def drop(step: Progress) -> None:
            if step.done == step.total and len(other.spaces()) == 2:
                other.drop_space(NEW.space.id)

        with pytest.raises(NotFound, match="was dropped from default meanwhile"):
            kb.add_space(NEW, progress=drop)
        assert [s.space for s in kb.spaces()] == [OLD.space.id]


def test_an_interrupted_drop_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ragstone.spaces.DROPPED", 4)
    with opened(tmp_path / "data") as kb:
        fill(kb)
        kb.add_space(NEW)

        def interrupt(step: Progress) -> None:
            if step.done >= 8:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            kb.drop_space(NEW.space.id, progress=interrupt)
        assert 0 < rows_of(kb, NEW.space.id) < 30
        assert roles(kb)[NEW.space.id] == "dropping"
        assert kb.verify().problems == ()
        kb.embed_pending()
        assert roles(kb) == {OLD.space.id: "active"}
        assert rows_of(kb, NEW.space.id) == 0


def test_a_space_that_is_being_dropped_can_be_added_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ragstone.spaces.DROPPED", 4)
    with opened(tmp_path / "data") as kb:
        fill(kb)
        kb.add_space(NEW)
        kb.index("default").seal(rows=1)

        def interrupt(_: Progress) -> None:
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            kb.drop_space(NEW.space.id, progress=interrupt)
        assert kb.add_space(NEW).waiting == 0
        assert kb.verify().problems == ()
    with opened(tmp_path / "data", NEW) as kb:
        assert kb.verify().problems == ()


# ---------------------------------------------------------------------- under load, and killed
ASKING = """
import sys, time
from pathlib import Path
from ragstone.assemble import open_knowledge_base
from ragstone.settings import load
from ragstone.testing import HashEmbedder
chosen = load(overrides={"data.folder": sys.argv[1], "embedding.background": False})
with open_knowledge_base(chosen, embedder=HashEmbedder(32), embedders=[HashEmbedder(48)]) as kb:
    expected = {s.space: [h.chunk.id for h in kb.search("pump filter", mode="dense", space=s.space).hits]
                for s in kb.spaces()}
    print("ready", flush=True)
    asked, used = 0, set()
    while not Path(sys.argv[1], "stop").exists():
        found = kb.search("pump filter", mode="dense", cache=asked % 2 == 0)
        (space,) = found.spaces["default"]
        assert [h.chunk.id for h in found.hits] == expected[space], found
        used.add(space)
        asked += 1
    print(asked, len(used), flush=True)
"""


def test_switching_under_load_fails_no_search_and_mixes_no_result(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    problems: list[str] = []
    counts: dict[str, int] = {}
    stop = threading.Event()
    with opened(folder, NEW) as kb, opened(folder, NEW) as other:
        fill(kb, 200)
        kb.add_space(NEW)
        kb.switch_space()
        expected = {
            s: {m: seen(kb.search("pump filter", mode=m, space=s, cache=False)) for m in ("dense", "hybrid")}  # type: ignore[arg-type]
            for s in (OLD.space.id, NEW.space.id)
        }

        def ask(base: KnowledgeBase, number: int) -> None:
            while not stop.is_set():
                mode = "dense" if number % 2 else "hybrid"
                try:
                    found = base.search("pump filter", mode=mode, cache=number % 3 == 0)  # type: ignore[arg-type]
                except RagstoneError as error:
                    problems.append(f"{error.code}: {error}")
                    return
                (space,) = found.spaces["default"]
                if seen(found) != expected[space][mode]:
                    problems.append(f"mixed: {found.spaces}")
                counts[space] = counts.get(space, 0) + 1

        process = subprocess.Popen([sys.executable, "-c", ASKING, str(folder)], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        threads = [threading.Thread(target=ask, args=(kb if n % 2 else other, n)) for n in range(4)]
        for thread in threads:
            thread.start()
        took = []
        for _ in range(20):
            started = time.perf_counter()
            kb.rollback_space()
            took.append(1000.0 * (time.perf_counter() - started))
            time.sleep(0.03)
            kb.switch_space(NEW.space.id)
            time.sleep(0.03)
        stop.set()
        for thread in threads:
            thread.join()
        (folder / "stop").touch()
        asked, used = map(int, process.communicate(timeout=60)[0].split())
        assert process.returncode == 0
        print(f"rollback under load: median {sorted(took)[10]:.1f} ms, slowest {max(took):.1f} ms; ", end="")
        print(f"{sum(counts.values())} searches by threads, {asked} by a process")
        assert problems == []
        assert set(counts) == {OLD.space.id, NEW.space.id}
        assert (asked > 0, used) == (True, 2)
        assert kb.verify().problems == ()


BUILDING = """
import sys, time
from ragstone.assemble import open_knowledge_base
from ragstone.settings import load
from ragstone.testing import HashEmbedder
sys.path.insert(0, sys.argv[2])
from test_spaces import Counting
chosen = load(overrides={"data.folder": sys.argv[1], "embedding.background": False, "embedding.memory_mb": 256})
with open_knowledge_base(chosen, embedder=HashEmbedder(32)) as kb:
    kb.add_space(Counting(pause=0.05), progress=lambda step: print(step.done, flush=True))
"""


def test_a_build_that_is_killed_goes_on_where_it_was(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    with opened(folder) as kb:
        fill(kb, 1500)
    process = subprocess.Popen(
        [sys.executable, "-c", BUILDING, str(folder), str(Path(__file__).parent)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    told = 0
    while told < 100:
        told = int(process.stdout.readline())
    process.send_signal(signal.SIGKILL)
    process.wait()
    counting = Counting()
    with opened(folder, counting) as kb:
        waiting = kb.spaces()[1].waiting
        assert 0 < waiting <= 1500 - told
        assert kb.search("pump").spaces == {"default": (OLD.space.id,)}
        assert kb.add_space(counting).waiting == 0
        assert counting.passages == waiting
        kb.switch_space()
        assert kb.verify().problems == ()
