"""Delete means gone: at once for every search in every process and thread, and after `purge` from the disk."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from ragstone.assemble import open_knowledge_base
from ragstone.errors import DiskFull, StoreBusy
from ragstone.knowledge_base import KnowledgeBase
from ragstone.settings import at, load
from ragstone.storage.connect import connect_reader
from ragstone.storage.purge import purge_database
from ragstone.testing import HashEmbedder
from ragstone.text.analysis import analyzer

HERE = Path(__file__).parent
SECRETS = [f"zorquath{number}x vembrilo{number}x geheimnis" for number in range(12)]
KEPT = [f"ordinary text number {number} about filters and boilers" for number in range(60)]


@contextmanager
def opened(folder: Path) -> Iterator[KnowledgeBase]:
    settings = at(folder, load(overrides={"embedding.background": False}))
    with open_knowledge_base(settings, embedder=HashEmbedder()) as kb:
        yield kb


def traces() -> dict[str, bytes]:
    """Everything by which the secret documents could be known again."""
    found: dict[str, bytes] = {}
    for number, text in enumerate(SECRETS):
        for word in text.split()[:2]:
            found[f"word {word}"] = word.encode()
            found[f"utf-16 {word}"] = word.encode("utf-16-le")
            found[f"term {word}"] = analyzer("en").analyze(word).keys[:8]
        vector = HashEmbedder().embed([f"titel{number}q\n{text}", text], "passage").astype("<f2")
        found[f"vector {number}"] = vector[1].tobytes()[:64]
        found[f"vector with title {number}"] = vector[0].tobytes()[:64]
        found[f"uri {number}"] = f"verborgen/akte{number}q.txt".encode()
        found[f"title {number}"] = f"titel{number}q".encode()
        found[f"metadata {number}"] = f"merkmal{number}q".encode()
    return found


def left(folder: Path, known: dict[str, bytes]) -> set[str]:
    """Names of the traces that any file of the data folder still holds."""
    files = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    return {f"{name} in {path.name}" for name, trace in known.items() for path, data in files.items() if trace in data}


def stored_vectors(kb: KnowledgeBase) -> dict[str, bytes]:
    """The bytes under which the secret chunks' vectors lie in the store."""
    found = {}
    for document in kb.documents():
        if "verborgen" in document.uri:
            ids = [chunk.id for chunk in kb.store.document_chunks(document.id)]
            _, vectors = kb.store.embeddings(HashEmbedder().space.id, ids)
            found[f"stored vector of {document.uri}"] = vectors.astype("<f2").tobytes()[:64]
    return found


def fill(folder: Path) -> dict[str, bytes]:
    """Documents of both kinds, embedded and sealed together; returns the traces of the secret ones."""
    with opened(folder) as kb:
        texts = [(f"plain/{number}.txt", "", text, {}) for number, text in enumerate(KEPT)]
        texts += [
            (f"verborgen/akte{number}q.txt", f"titel{number}q", text, {"m": f"merkmal{number}q"})
            for number, text in enumerate(SECRETS)
        ]
        kb.add_texts(texts[::2])
        kb.embed_pending()
        kb.index("default").seal(rows=1)
        kb.add_texts(texts[1::2])
        kb.embed_pending()
        kb.index("default").seal(rows=1)
        vectors = stored_vectors(kb)
        assert len(vectors) == len(SECRETS)
    known = traces() | vectors
    there = left(folder, known)
    assert {name.split(" in ")[0].split()[0] for name in there} >= {"word", "term", "uri", "title", "metadata", "stored"}
    return known


def remove_secrets(folder: Path) -> None:
    with opened(folder) as kb:
        kb.remove(["**/verborgen/*"])


def whole(folder: Path) -> None:
    with opened(folder) as kb:
        assert kb.verify().problems == ()
        assert {d.uri for d in kb.documents()} == {f"plain/{number}.txt" for number in range(len(KEPT))}
        assert kb.search("filters and boilers").hits
        assert not [hit for hit in kb.search(SECRETS[0]).hits if "verborgen" in hit.chunk.uri]


def test_after_purge_no_file_holds_a_trace(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    known = fill(folder)
    remove_secrets(folder)
    assert left(folder, known)  # otherwise the test would show nothing
    with opened(folder) as kb:
        kb.purge()
        assert left(folder, known) == set()
    assert left(folder, known) == set()
    whole(folder)


def test_purge_while_another_thread_searches_and_adds(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    known = fill(folder)
    with opened(folder) as kb:
        done = threading.Event()
        failures: list[Exception] = []

        def work() -> None:
            number = 0
            try:
                while not done.is_set():
                    number += 1
                    kb.add_texts([(f"later/{number}", "", f"later text {number}", {})])
                    assert kb.search(f"later text {number}", cache=False).hits
            except Exception as error:  # noqa: BLE001 - the test shows it
                failures.append(error)

        thread = threading.Thread(target=work)
        thread.start()
        kb.remove(["**/verborgen/*"])
        kb.purge()
        assert {name for name in left(folder, known) if "-wal" not in name} == set()
        done.set()
        thread.join()
        assert failures == []
        kb.purge()
        assert left(folder, known) == set()
        assert kb.verify().problems == ()


def test_a_dropped_collection_and_forgotten_folder_leave_nothing(tmp_path: Path) -> None:
    folder, source = tmp_path / "data", tmp_path / "umschlagq"
    source.mkdir()
    (source / "zettelq.txt").write_text("vembrilo9x stands here")
    with opened(folder) as kb:
        kb.add([source], collection="other", metadata={"owner": "merkmalq"})
        kb.add([source], metadata={"owner": "merkmalq"})
        kb.embed_pending()
        kb.index("other").seal(rows=1)
        kb.drop_collection("other")
        kb.remove([str(source)])
        kb.purge()
        known = {name: name.encode() for name in ("umschlagq", "zettelq", "vembrilo9x", "merkmalq")}
        assert left(folder, known) == set()


@pytest.mark.slow
def test_a_purge_killed_at_any_step_loses_nothing_and_the_next_one_finishes(tmp_path: Path) -> None:
    prepared = tmp_path / "prepared"
    known = fill(prepared)
    remove_secrets(prepared)
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    command = [sys.executable, str(HERE / "backup_process.py")]
    killed = 0
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environ
    ) as zygote:
        assert zygote.stdin is not None
        assert zygote.stdout is not None
        step, outcome = 0, "killed"
        while outcome == "killed":
            step += 3
            folder = tmp_path / "victim"
            shutil.copytree(prepared, folder)
            zygote.stdin.write(f"purge {folder} - {step}\n")
            zygote.stdin.flush()
            outcome = zygote.stdout.readline().strip()
            assert outcome in ("killed", "done")
            killed += outcome == "killed"
            with opened(folder) as kb:
                kb.purge()
            assert left(folder, known) == set(), step
            whole(folder)
            shutil.rmtree(folder)
        zygote.stdin.close()
    assert killed > 5


def test_purge_says_when_a_reader_keeps_the_old_state(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    known = fill(folder)
    remove_secrets(folder)
    reader = connect_reader(folder)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM documents").fetchall()
    with pytest.raises(StoreBusy, match="reads an old state"):
        purge_database(folder, wait=0.3)
    reader.close()
    with opened(folder) as kb:
        kb.purge()
    assert left(folder, known) == set()
    whole(folder)


def test_purge_needs_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "data"
    fill(folder)
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: shutil._ntuple_diskusage(100, 100, 0))
    with pytest.raises(DiskFull, match="anew"):
        purge_database(folder)


def searcher(folder: Path, log: Path, say: Path) -> None:
    """Searches without end; what the log named before a search began must not be among its hits."""
    with opened(folder) as kb:
        count = 0
        say.touch()
        while True:
            gone = set(log.read_text().split("\n"))
            hits = kb.search("common words of all", k=100).hits + kb.search("common words of all", mode="lexical").hits
            shown = {hit.chunk.uri for hit in hits} & gone
            if shown:
                print(f"shown after it was deleted: {sorted(shown)}", flush=True)
                os._exit(3)
            count += 1
            if "end" in gone:
                print(count, flush=True)
                return


@pytest.mark.slow
def test_what_was_deleted_is_shown_by_no_search_that_begins_later(tmp_path: Path) -> None:
    folder, log = tmp_path / "data", tmp_path / "log"
    log.write_text("")
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join([*(path for path in sys.path if path), str(HERE)])}
    code = "import sys; from pathlib import Path; from test_purge import searcher; searcher(*map(Path, sys.argv[1:]))"
    chance = np.random.default_rng(7)
    with opened(folder) as kb:
        kb.add_texts([(f"d/{n}", "", f"common words of all, document {n}", {}) for n in range(150)])
        kb.embed_pending()
        ready = [tmp_path / f"ready{n}" for n in range(2)]
        command = [sys.executable, "-c", code, str(folder), str(log)]
        searchers = [
            subprocess.Popen([*command, str(path)], stdout=subprocess.PIPE, text=True, env=environ) for path in ready
        ]
        inside = threading.Thread(target=_search_inside, args=(kb, log, failures := []))
        inside.start()
        while not all(path.exists() for path in ready):
            assert all(process.poll() is None for process in searchers)
        present = list(range(150))
        with log.open("a") as said:
            for step in range(150):
                gone = f"d/{present.pop(int(chance.integers(len(present))))}"
                assert kb.store.delete("default", [gone]) == [gone]
                said.write(f"{gone}\n")
                said.flush()
                if step % 3:
                    kb.add_texts([(f"d/{1000 + step}", "", f"common words of all, document {1000 + step}", {})])
                    present.append(1000 + step)
                if step % 25 == 0:
                    kb.embed_pending()
                    kb.index("default").seal(rows=1)
            said.write("end\n")
        inside.join()
        assert failures == []
        for process in searchers:
            out, _ = process.communicate(timeout=60)
            assert process.returncode == 0, out
            assert int(out) > 20
        assert kb.verify().problems == ()


def _search_inside(kb: KnowledgeBase, log: Path, failures: list[object]) -> None:
    gone: set[str] = set()
    while "end" not in gone and not failures:
        gone = set(log.read_text().split("\n"))
        shown = {hit.chunk.uri for hit in kb.search("common words of all", k=100).hits} & gone
        failures.extend(shown)
