"""The whole of it over real files and a real store; only the embedding model is replaced where it would be slow."""

from __future__ import annotations

import hashlib
import math
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ragstone.assemble import open_knowledge_base
from ragstone.errors import DamagedFile, NotFound, QueryError, StoreBusy, StoreError
from ragstone.ingest.prepare import PrepareOptions, prepare_parsed
from ragstone.knowledge_base import KnowledgeBase
from ragstone.protocols import Scores
from ragstone.search.retriever import Retriever
from ragstone.settings import load
from ragstone.storage.sqlite import SqliteStore
from ragstone.testing import HashEmbedder
from ragstone.types import Filter, ParsedDocument, SearchResult

WORDS = "pump filter valve motor oil weekly daily pressure sensor alarm bearing hose belt gauge".split()


@contextmanager
def opened(folder: Path, background: bool = False, **ingest: object) -> Iterator[KnowledgeBase]:
    values = {f"ingest.{name}": value for name, value in ingest.items()}
    chosen = load(overrides={"data.folder": str(folder), "embedding.background": background, **values})
    with open_knowledge_base(chosen, embedder=HashEmbedder()) as kb:
        yield kb


def embedded_at_last(kb: KnowledgeBase) -> None:
    for _ in range(200):
        if kb.collection("default").waiting == 0:
            break
        threading.Event().wait(0.05)
    assert kb.collection("default").waiting == 0


def seen(result: SearchResult) -> list[tuple[str, int, int, float, float | None, float | None]]:
    return [(h.chunk.uri, h.chunk.start, h.chunk.end, h.score, h.parts.lexical, h.parts.dense) for h in result.hits]


def by_content(result: SearchResult) -> dict[tuple[str, int], tuple[float, float | None, float | None]]:
    """Without the order of equal scores, which is by id, and ids tell the history."""
    return {(h.chunk.uri, h.chunk.start): (h.score, h.parts.lexical, h.parts.dense) for h in result.hits}


def test_a_write_is_found_at_once_and_a_delete_is_gone_at_once(tmp_path: Path) -> None:
    with opened(tmp_path / "data") as kb:
        kb.add_texts([("a", "Pump", "The pump runs at night.", {})])
        assert [h.chunk.uri for h in kb.search("pump night").hits] == ["a"]
        kb.add_texts([("a", "Pump", "The pump runs in the morning.", {})])
        assert kb.search("night").hits == ()
        assert kb.search("morning").hits[0].chunk.text == "The pump runs in the morning."
        kb.embed_pending()
        assert kb.search("morning").hits[0].parts.dense is not None
        assert kb.remove(["a"]) == ["a"]
        assert kb.search("morning").hits == ()
        with pytest.raises(NotFound):
            kb.remove(["a"])


def test_another_process_sees_it_too(tmp_path: Path) -> None:
    with opened(tmp_path / "data") as writer, opened(tmp_path / "data") as reader:
        writer.add_texts([("a", "", "alpha", {})])
        assert [h.chunk.uri for h in reader.search("alpha").hits] == ["a"]
        writer.add_texts([("b", "", "alpha beta", {})])
        assert {h.chunk.uri for h in reader.search("alpha").hits} == {"a", "b"}
        writer.remove(["a"])
        assert [h.chunk.uri for h in reader.search("alpha").hits] == ["b"]


documents = st.dictionaries(
    st.sampled_from("abcdef"), st.lists(st.sampled_from(WORDS), min_size=1, max_size=12).map(" ".join), max_size=5
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(stays=documents, goes=documents, question=st.lists(st.sampled_from(WORDS), min_size=1, max_size=4))
def test_adding_and_deleting_leaves_what_was_never_there(
    tmp_path_factory: pytest.TempPathFactory, stays: dict[str, str], goes: dict[str, str], question: list[str]
) -> None:
    """Rebuild equivalence: add A and B, delete A == add B; in hits, scores, vectors and what is cached."""
    place = tmp_path_factory.mktemp("equal")
    asked = " ".join(question)
    with opened(place / "long") as long, opened(place / "short") as short:
        long.add_texts((f"x{uri}", "", text, {}) for uri, text in goes.items())
        long.embed_pending()
        if goes:
            long.search(asked)
        long.add_texts((uri, "", text, {}) for uri, text in stays.items())
        if goes:
            long.remove([f"x{uri}" for uri in goes])
        long.embed_pending()
        short.add_texts((uri, "", text, {}) for uri, text in stays.items())
        short.embed_pending()
        assert by_content(long.search(asked)) == by_content(short.search(asked))
        assert by_content(long.search(asked, mode="dense")) == by_content(short.search(asked, mode="dense"))
        assert long.collection("default").chunks == short.collection("default").chunks
        assert vectors(long) == vectors(short)
        assert long.verify().problems == ()


def vectors(kb: KnowledgeBase) -> dict[str, bytes]:
    ids = [int(i) for i in kb.store.chunk_ids("default")]
    found, rows = kb.store.embeddings(kb.collection("default").space, ids)
    texts = {c.id: c.uri for c in kb.store.chunks(ids)}
    return {texts[int(i)]: row.tobytes() for i, row in zip(found, rows, strict=True)}


def test_a_cached_result_is_never_stale(tmp_path: Path) -> None:
    with opened(tmp_path / "data") as kb:
        kb.add_texts([("a", "", "alpha one", {})])
        first = kb.search("alpha")
        assert kb.search("alpha") is first
        kb.embed_pending()
        assert kb.search("alpha").hits[0].parts.dense is not None
        kb.add_texts([("b", "", "alpha two", {})])
        assert len(kb.search("alpha").hits) == 2
        assert kb.status()["caches"]["results"]["hits"] == 1


def together(kb: KnowledgeBase, text: str) -> None:
    """Both documents in one transaction."""
    documents = []
    for uri in ("a", "b"):
        content_hash = hashlib.blake2b((uri + text).encode(), digest_size=32).digest()
        parsed = ParsedDocument(text=text)
        documents.append(prepare_parsed(uri, parsed, content_hash, len(text), 0.0, PrepareOptions()))
    kb.store.put("default", documents)


def test_search_while_others_write_is_always_one_state(tmp_path: Path) -> None:
    """Two documents that are always written together are always found together."""
    with opened(tmp_path / "data") as kb:
        kb.store.create_collection("default")
        together(kb, "version 0")
        stop = threading.Event()
        failures: list[str] = []

        def write() -> None:
            for number in range(1, 30):
                together(kb, f"version {number}")
            stop.set()

        writer = threading.Thread(target=write)
        writer.start()
        while not stop.is_set():
            hits = kb.search("version", highlights=False).hits
            texts = {h.chunk.text for h in hits}
            if len(hits) != 2 or len(texts) != 1:
                failures.append(repr([h.chunk.text for h in hits]))
        writer.join()
        assert failures == []


def test_filters_modes_and_diversity(tmp_path: Path) -> None:
    with opened(tmp_path / "data") as kb:
        kb.add_texts(
            [
                ("docs/a", "", "pump filter weekly check", {"year": 2024}),
                ("docs/b", "", "pump filter weekly check", {"year": 2025}),
                ("docs/deep/c", "", "pump bearing grease", {"year": 2025}),
            ]
        )
        kb.embed_pending()
        assert {h.chunk.uri for h in kb.search("pump", filter=Filter(path=("docs/*",))).hits} == {"docs/a", "docs/b"}
        assert {h.chunk.uri for h in kb.search("pump", filter=Filter(metadata=(("year", 2025),))).hits} == {
            "docs/b",
            "docs/deep/c",
        }
        for mode in ("lexical", "dense", "hybrid"):
            assert len(kb.search("pump filter", mode=mode).hits) == 3  # type: ignore[arg-type]
        assert [h.chunk.uri for h in kb.search("pump filter", k=2, diversity=0.7).hits] == ["docs/a", "docs/deep/c"]
        batch = kb.search_batch(["pump", "bearing grease"])
        assert [seen(r) for r in batch] == [seen(kb.search("pump")), seen(kb.search("bearing grease"))]


def test_questions_that_cannot_be_asked(tmp_path: Path) -> None:
    with opened(tmp_path / "data") as kb:
        with pytest.raises(NotFound, match="no documents"):
            kb.search("x")
        kb.add_texts([("a", "", "alpha", {})])
        for query, k in ((" ", 10), ("x" * 9000, 10), ("x", 0)):
            with pytest.raises(QueryError):
                kb.search(query, k=k)
        with pytest.raises(NotFound):
            kb.search("x", collections=["elsewhere"])


def test_export_and_import_give_the_same_hits(tmp_path: Path) -> None:
    with opened(tmp_path / "one") as one, opened(tmp_path / "two") as two:
        one.add_texts([("a", "Ä", "Größe der Pumpe.\n\nZweiter Absatz.", {"year": 2024}), ("b", "", "pump", {})])
        one.embed_pending()
        assert one.export(tmp_path / "all.jsonl") == 2
        assert two.import_(tmp_path / "all.jsonl") == 2
        two.embed_pending()
        assert by_content(one.search("Pumpe")) == by_content(two.search("Pumpe"))
        assert one.text("a") == two.text("a")


def test_background_embedding_follows_the_writes(tmp_path: Path) -> None:
    with opened(tmp_path / "data", background=True) as kb:
        kb.add_texts((f"d{i}", "", f"pump {i}", {}) for i in range(20))
        embedded_at_last(kb)


def test_background_embedding_outlives_a_busy_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    failed = threading.Event()

    def busy(_: SqliteStore) -> list[str]:
        failed.set()
        raise StoreBusy("another process holds it.")

    with opened(tmp_path / "data", background=True) as kb:
        with monkeypatch.context() as patch:
            patch.setattr(SqliteStore, "every_collection", busy)
            kb.add_texts([("a", "", "alpha", {})])
            assert failed.wait(10)
        kb.add_texts([("b", "", "beta", {})])
        embedded_at_last(kb)


def test_ask_cites_exact_spans_or_says_that_there_is_nothing(tmp_path: Path) -> None:
    with opened(tmp_path / "data") as kb:
        kb.add_texts([("plan", "Wartung", "Der Filter wird jährlich gewechselt. Das Öl wird wöchentlich geprüft.", {})])
        kb.embed_pending()
        answer = kb.ask("Wie oft wird das Öl geprüft?")
        assert answer.answered
        assert answer.language == "de"
        text = kb.text("plan")
        assert all(text[c.start : c.end] == c.text for c in answer.citations)
        assert any("wöchentlich" in c.text for c in answer.citations)
        assert answer.model == "extractive"
        nothing = kb.ask("Wer gewann 1998 die Weltmeisterschaft?")
        assert not nothing.answered
        assert nothing.citations == ()


def test_one_hit_for_each_document_scored_over_the_whole_document(tmp_path: Path) -> None:
    """Two words of the question in two chunks of one document weigh more than one of them twice in another."""
    filler = " ".join(f"Sentence number {i} tells of nothing in particular." for i in range(60))
    with opened(tmp_path / "data") as kb:
        kb.add_texts(
            [
                ("both", "", f"The pump is old. {filler} The gasket is new.", {}),
                ("one", "", f"The pump is old. {filler} A word about the weather.", {}),
            ]
        )
        kb.embed_pending()
        assert kb.collection("default").chunks > 4
        for mode in ("lexical", "hybrid", "dense"):
            hits = kb.search("pump gasket", mode=mode, one_per_document=True).hits  # type: ignore[arg-type]
            assert sorted(h.chunk.uri for h in hits) == ["both", "one"]
        assert kb.search("pump gasket", mode="lexical", one_per_document=True).hits[0].chunk.uri == "both"


def test_a_filter_for_true_is_not_one_for_the_number_one(tmp_path: Path) -> None:
    with opened(tmp_path / "data") as kb:
        kb.add_texts([("bool", "", "alpha", {"draft": True}), ("number", "", "alpha", {"draft": 1})])
        for value, uri in ((True, "bool"), (1, "number"), (True, "bool")):
            found = kb.search("alpha", filter=Filter(metadata=(("draft", value),)))
            assert [hit.chunk.uri for hit in found.hits] == [uri]


def test_no_questions_give_no_results(tmp_path: Path) -> None:
    with opened(tmp_path / "data") as kb:
        kb.add_texts([("a", "", "alpha", {})])
        assert kb.search_batch([]) == []


def test_documents_are_removed_by_path_folder_and_glob(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    docs = tmp_path / "docs"
    (docs / "sub").mkdir(parents=True)
    for name in ("a.md", "b.md", "sub/c.md", "d.txt"):
        (docs / name).write_text(f"alpha {name}")
    (tmp_path / "link").symlink_to(docs)
    monkeypatch.chdir(docs / "sub")
    with opened(tmp_path / "data") as kb:
        kb.add([docs])
        assert kb.document(str(tmp_path / "link" / "a.md")).uri == str(docs / "a.md")
        assert kb.remove([str(tmp_path / "link" / "a.md")]) == [str(docs / "a.md")]
        assert kb.remove(["../*.md"]) == [str(docs / "b.md")], "a star stays inside a folder"
        assert kb.remove(["*.txt"]) == [str(docs / "d.txt")], "a bare name fits anywhere"
        assert kb.store.roots("default") == [str(docs)]
        assert kb.remove([".."]) == [str(docs / "sub" / "c.md")]
        assert kb.store.roots("default") == []


def test_closing_lets_go_of_everything_although_a_part_fails(tmp_path: Path) -> None:
    with opened(tmp_path / "data") as kb:
        kb.add_texts([("a", "", "alpha", {})])
        index = kb.index("default")
        close, index.close = index.close, lambda: 1 / 0  # type: ignore[method-assign,assignment]
        with pytest.raises(ZeroDivisionError):
            kb.close()
        close()
        with pytest.raises(StoreError):
            kb.store.collections()


@pytest.mark.parametrize(
    "damage",
    [
        ("content_hash", "xyz"),
        ("content_hash", "00"),
        ("format", "ragstone-export-99"),
        ("chunks", [{"start": 0, "end": 9}, {"start": 9, "end": 5}]),
        ("chunks", [{"start": 0, "end": 4}]),
        ("chunks", [{"start": 0, "end": 5, "page": 2**63}]),
        ("chunks", [{"start": 0, "end": 5, "line": -4}]),
        ("pages", [{"number": 1, "start": -5, "end": 700}]),
        ("size", 2**63),
    ],
)
def test_a_damaged_export_is_refused(tmp_path: Path, damage: tuple[str, object]) -> None:
    with opened(tmp_path / "data") as kb:
        kb.add_texts([("a", "", "alpha", {})])
        kb.export(tmp_path / "out.jsonl")
        line = msgspec.json.decode((tmp_path / "out.jsonl").read_bytes())
        (tmp_path / "bad.jsonl").write_bytes(msgspec.json.encode({**line, damage[0]: damage[1]}))
        with pytest.raises(DamagedFile):
            kb.import_(tmp_path / "bad.jsonl")


@pytest.mark.parametrize("line", [b'{"format": "\xff"}', b'{"x": ' + b"[" * 100_000])
def test_what_is_no_export_is_refused(tmp_path: Path, line: bytes) -> None:
    (tmp_path / "bad.jsonl").write_bytes(line)
    with opened(tmp_path / "data") as kb, pytest.raises(DamagedFile):
        kb.import_(tmp_path / "bad.jsonl")


def test_a_text_that_cannot_be_stored_fails_alone(tmp_path: Path) -> None:
    with opened(tmp_path / "data") as kb:
        report = kb.add_texts([
            ("a", "", "good", {}), ("b", "", "a lone \ud800", {}), ("c", "\ud800", "x", {}),
            ("d", "", "x", {"n": math.nan}), ("e", "", "x", {"k": "\ud800"}), ("f", "", "Größe", {}),
        ])  # fmt: skip
        assert {file.uri: file.state for file in report.files} == {
            "a": "added", "b": "failed", "c": "failed", "d": "failed", "e": "failed", "f": "added",
        }  # fmt: skip
        assert {file.code for file in report.files if file.state == "failed"} == {"InputError"}
        assert sorted(document.uri for document in kb.documents()) == ["a", "f"]
        assert kb.document("f").size == len("Größe".encode())


def test_texts_are_cut_again_when_the_settings_want_other_chunks(tmp_path: Path) -> None:
    text = [("a", "", "Alpha beta gamma delta. " * 200, {})]
    counts = []
    for tokens in (200, 50):
        with opened(tmp_path, chunk_tokens=tokens) as kb:
            kb.add_texts(text)
            counts.append(kb.document("a").chunks)
    assert counts[0] < counts[1]


class Contrary:
    """A cross-encoder whose logits are all negative; short texts are best."""

    def score(self, query: str, texts: Sequence[str]) -> Scores:
        return np.array([-float(len(text)) for text in texts], dtype=np.float32)


def test_reranked_scores_lie_where_fused_ones_do(tmp_path: Path) -> None:
    with opened(tmp_path / "data") as kb:
        kb.add_texts([("a", "", "alpha alpha alpha", {}), ("b", "", "alpha alpha", {}), ("c", "", "alpha", {})])
        retriever = Retriever(kb.store, kb.index, kb.embedder, reranker=Contrary)
        hits = retriever.search(["alpha"], ["default"])[0].hits
        assert [(hit.chunk.uri, hit.parts.rerank) for hit in hits] == [("c", -5.0), ("b", -11.0), ("a", -17.0)]
        assert all(0 < hit.score < 1 for hit in hits)
