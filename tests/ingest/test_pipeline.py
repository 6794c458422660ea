from __future__ import annotations

import io
import os
import shutil
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from prepared import prepared
from ragstone.errors import DamagedFile, DiskFull
from ragstone.ingest import pipeline, roots
from ragstone.ingest.limits import ReadFailure
from ragstone.ingest.prepare import PrepareOptions
from ragstone.ingest.sandbox import Sandbox
from ragstone.ingest.sources import Changes, SourceOptions, discover
from ragstone.protocols import PutResult
from ragstone.storage.sqlite import SqliteStore
from ragstone.types import Blob, FileReport, IngestReport, Progress


class PlainReading:
    """Reads text (one chunk for each line) and archives of text, in this process. Counts what it was asked for."""

    def __init__(self) -> None:
        self.read: list[str] = []

    def run(self, blobs: Iterable[Blob]) -> Iterator[tuple[Blob, pipeline.Prepared]]:
        for blob in blobs:
            self.read.append(blob.uri)
            if blob.uri.endswith(".zip"):
                try:
                    yield blob, self._members(blob)
                except zipfile.BadZipFile:
                    yield blob, [ReadFailure.of(blob.uri, DamagedFile("it is not a ZIP file.", "Check it."))]
            else:
                yield blob, [self._text(blob.uri, blob.data)]

    def _members(self, blob: Blob) -> pipeline.Prepared:
        with zipfile.ZipFile(io.BytesIO(blob.data)) as archive:
            return [self._text(f"{blob.uri}!/{info.filename}", archive.read(info)) for info in archive.infolist()]

    def _text(self, uri: str, data: bytes):  # type: ignore[no-untyped-def]
        if data.startswith(b"\0"):
            return ReadFailure.of(uri, DamagedFile("it is not text.", "Leave it out."))
        return prepared(uri, data.decode().splitlines(keepends=True))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    opened = SqliteStore(tmp_path / "data")
    yield opened
    assert opened.check() == []
    opened.close()


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    root = tmp_path / "docs"
    root.mkdir()
    (root / "a.txt").write_text("one\ntwo\n")
    (root / "b.txt").write_text("three\n")
    return root


def add(store: SqliteStore, *paths: Path, reading: PlainReading | None = None, **options: object) -> IngestReport:
    return pipeline.ingest(store, reading or PlainReading(), list(discover(paths)), "c", **options)  # type: ignore[arg-type]


def states(report: IngestReport) -> dict[str, str]:
    return {Path(file.uri).name: file.state for file in report.files}


def zipped(path: Path, members: dict[str, str | bytes]) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in members.items():
            archive.writestr(name, text)


# ---------------------------------------------------------------------- adding
def test_files_are_added_and_then_known(store: SqliteStore, docs: Path) -> None:
    reading = PlainReading()
    report = add(store, docs, reading=reading)
    assert states(report) == {"a.txt": "added", "b.txt": "added"}
    assert (report.bytes_read, report.revision) == (14, store.revision("c"))
    assert report.files[0].chunks_added == 2
    assert report.files[0].characters == 8
    revision = store.revision("c")
    again = add(store, docs, reading=reading)
    assert states(again) == {"a.txt": "unchanged", "b.txt": "unchanged"}
    assert len(reading.read) == 2, "an unchanged file is not read into text again"
    assert store.revision("c") == revision


def test_an_edit_changes_only_its_chunk(store: SqliteStore, docs: Path) -> None:
    add(store, docs)
    (docs / "a.txt").write_text("one\n2\n")
    [edited] = [file for file in add(store, docs).files if file.state != "unchanged"]
    assert (edited.state, edited.chunks_added, edited.chunks_removed) == ("updated", 1, 1)
    # Back to what it was: known by its content, not by its time.
    os.utime(docs / "b.txt", (1, 1))
    assert states(add(store, docs))["b.txt"] == "unchanged"


def test_metadata_given_is_stored_and_part_of_the_identity(store: SqliteStore, docs: Path) -> None:
    add(store, docs, metadata={"project": "x"})
    assert store.document("c", str(docs / "a.txt")).metadata == {"project": "x"}
    assert states(add(store, docs, metadata={"project": "x"}))["a.txt"] == "unchanged"
    assert states(add(store, docs, metadata={"project": "y"}))["a.txt"] == "updated"


def test_other_options_read_again(store: SqliteStore, docs: Path) -> None:
    reading = PlainReading()
    add(store, docs, reading=reading)
    add(store, docs, reading=reading, salt=b"other chunks")
    assert len(reading.read) == 4


def test_one_bad_file_does_not_stop_the_others(store: SqliteStore, docs: Path) -> None:
    (docs / "0bad.txt").write_bytes(b"\0\0")
    (docs / "1link").symlink_to("/etc/passwd")
    (docs / "2large.txt").write_text("x" * 1000)
    report = add(store, docs, max_bytes=100)
    assert states(report) == {
        "0bad.txt": "failed", "1link": "skipped", "2large.txt": "failed", "a.txt": "added", "b.txt": "added",
    }  # fmt: skip
    failed = {Path(file.uri).name: file for file in report.files}
    assert (failed["0bad.txt"].code, failed["0bad.txt"].reason) == ("DamagedFile", "it is not text. Leave it out.")
    assert failed["2large.txt"].code == "LimitExceeded"
    assert report.count("added") == 2


def test_a_file_that_became_unreadable_keeps_its_document(store: SqliteStore, docs: Path) -> None:
    add(store, docs)
    (docs / "a.txt").write_bytes(b"\0")
    assert states(add(store, docs))["a.txt"] == "failed"
    assert store.document_text(store.document("c", str(docs / "a.txt")).id) == "one\ntwo\n"
    (docs / "a.txt").write_text("one\ntwo\n")
    assert states(add(store, docs))["a.txt"] == "unchanged"


def test_a_vanished_file_is_reported(store: SqliteStore, docs: Path) -> None:
    found = list(discover([docs]))
    (docs / "a.txt").unlink()
    report = pipeline.ingest(store, PlainReading(), found, "c")
    assert states(report) == {"a.txt": "failed", "b.txt": "added"}


def test_text_that_is_not_unicode_fails_alone(store: SqliteStore, docs: Path) -> None:
    class Broken(PlainReading):
        def _text(self, uri: str, data: bytes):  # type: ignore[no-untyped-def]
            document = super()._text(uri, data)
            if uri.endswith("a.txt"):
                return replace(document, chunks=(replace(document.chunks[0], text="\ud800"),))
            return document

    assert states(add(store, docs, reading=Broken())) == {"a.txt": "failed", "b.txt": "added"}


def test_progress_is_told_after_the_fact(store: SqliteStore, docs: Path) -> None:
    steps: list[tuple[Progress, bool]] = []

    def note(step: Progress) -> None:
        steps.append((step, step.item in store.known("c")))

    add(store, docs, progress=note)
    assert [(step.done, step.total, step.state, durable) for step, durable in steps] == [
        (1, 2, "added", True), (2, 2, "added", True),
    ]  # fmt: skip


def test_many_documents_go_in_few_transactions(store: SqliteStore, tmp_path: Path) -> None:
    root = tmp_path / "many"
    root.mkdir()
    for number in range(300):
        (root / f"{number}.txt").write_text(f"text {number}\n")
    report = add(store, root)
    assert report.count("added") == 300
    assert store.revision("c") < 20


# ---------------------------------------------------------------------- archives
def test_members_of_an_archive_are_documents(store: SqliteStore, docs: Path) -> None:
    archive = docs / "x.zip"
    zipped(archive, {"in/a.txt": "inner\n", "b.txt": "other\n"})
    reading = PlainReading()
    assert states(add(store, archive, reading=reading)) == {"a.txt": "added", "b.txt": "added"}
    assert sorted(store.known("c")) == [f"{archive}!/b.txt", f"{archive}!/in/a.txt"]
    assert states(add(store, archive, reading=reading)) == {"x.zip": "unchanged"}
    assert len(reading.read) == 1


def test_an_archive_added_again_loses_members_it_no_longer_has(store: SqliteStore, docs: Path) -> None:
    archive = docs / "x.zip"
    zipped(archive, {"a.txt": "1\n", "b.txt": "2\n", "c.txt": "3\n"})
    add(store, archive)
    zipped(archive, {"a.txt": "1\n", "b.txt": "two\n", "d.txt": "4\n"})
    assert states(add(store, archive)) == {
        "a.txt": "unchanged", "b.txt": "updated", "d.txt": "added", "c.txt": "removed",
    }  # fmt: skip
    assert states(add(store, archive)) == {"x.zip": "unchanged"}


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_of_members_of_one_name_the_last_counts(store: SqliteStore, docs: Path) -> None:
    archive = docs / "x.zip"
    with zipfile.ZipFile(archive, "w") as pack:
        pack.writestr("a.txt", "first\n")
        pack.writestr("a.txt", "second\n")
    assert [file.state for file in add(store, archive).files] == ["added"]
    assert states(add(store, archive)) == {"x.zip": "unchanged"}
    assert store.document_text(store.document("c", f"{archive}!/a.txt").id) == "second\n"


def test_an_archive_with_a_missing_member_is_read_again(store: SqliteStore, docs: Path) -> None:
    archive = docs / "x.zip"
    zipped(archive, {"a.txt": "1\n", "b.txt": "2\n"})
    add(store, archive)
    store.delete("c", [f"{archive}!/b.txt"])
    assert states(add(store, archive)) == {"a.txt": "unchanged", "b.txt": "added"}


def test_a_member_that_cannot_be_read_is_tried_again(store: SqliteStore, docs: Path) -> None:
    archive = docs / "x.zip"
    zipped(archive, {"a.txt": "1\n", "b.txt": "2\n"})
    add(store, archive)
    zipped(archive, {"a.txt": "1\n", "b.txt": b"\0"})
    for _ in range(2):
        assert states(add(store, archive)) == {"a.txt": "unchanged", "b.txt": "failed"}
    assert f"{archive}!/b.txt" in store.known("c"), "its earlier version stays"


def test_a_damaged_archive_keeps_its_members(store: SqliteStore, docs: Path) -> None:
    archive = docs / "x.zip"
    zipped(archive, {"a.txt": "1\n"})
    add(store, archive)
    archive.write_bytes(b"PK nonsense")
    assert states(add(store, archive)) == {"x.zip": "failed"}
    assert list(store.known("c")) == [f"{archive}!/a.txt"]


# ---------------------------------------------------------------------- following folders
def sync(store: SqliteStore, reading: PlainReading | None = None) -> IngestReport:
    return roots.sync(store, reading or PlainReading(), "c", SourceOptions())


@pytest.fixture
def followed(store: SqliteStore, docs: Path) -> Path:
    add(store, docs)
    roots.remember(store, "c", str(docs), {})
    return docs


def test_sync_takes_over_what_changed(store: SqliteStore, followed: Path) -> None:
    (followed / "a.txt").unlink()
    (followed / "b.txt").write_text("3\n")
    (followed / "c.txt").write_text("new\n")
    report = sync(store)
    assert states(report) == {"a.txt": "removed", "b.txt": "updated", "c.txt": "added"}
    assert sorted(Path(uri).name for uri in store.known("c")) == ["b.txt", "c.txt"]
    assert report.revision == store.revision("c")


def test_sync_removes_the_members_of_a_vanished_archive(store: SqliteStore, followed: Path) -> None:
    zipped(followed / "x.zip", {"a.txt": "1\n"})
    sync(store)
    (followed / "x.zip").unlink()
    assert [(file.state, file.uri) for file in sync(store).files if file.state == "removed"] == [
        ("removed", f"{followed}/x.zip!/a.txt")
    ]


def test_a_moved_file_keeps_its_vectors(store: SqliteStore, followed: Path) -> None:
    import numpy as np

    vector = np.ones(2, "<f2").tobytes()
    store.put_embeddings("s", {pending.content_hash: vector for pending in store.pending("c", "s", 10)})
    (followed / "a.txt").rename(followed / "moved.txt")
    sync(store)
    assert store.count_pending("c", "s") == 0


def test_a_root_that_is_gone_removes_nothing(store: SqliteStore, followed: Path) -> None:
    shutil.move(followed, followed.with_name("elsewhere"))
    [report] = sync(store).files
    assert (report.state, report.code, report.uri) == ("skipped", "NotFound", str(followed))
    assert len(store.known("c")) == 2


def test_an_empty_root_removes_nothing(store: SqliteStore, followed: Path) -> None:
    for path in followed.iterdir():
        path.unlink()
    [report] = sync(store).files
    assert report.state == "skipped"
    assert "empty" in report.reason
    assert len(store.known("c")) == 2


def test_one_lost_root_does_not_stop_the_other(store: SqliteStore, followed: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "x.txt").write_text("x\n")
    roots.remember(store, "c", str(other), {"from": "other"})
    shutil.rmtree(followed)
    assert states(sync(store)) == {"docs": "skipped", "x.txt": "added"}
    assert store.document("c", str(other / "x.txt")).metadata == {"from": "other"}


def test_documents_beside_the_roots_are_left_alone(store: SqliteStore, followed: Path, tmp_path: Path) -> None:
    beside = tmp_path / "docs-beside.txt"
    beside.write_text("x\n")
    add(store, beside)
    beside.unlink()
    assert "docs-beside.txt" not in states(sync(store))
    assert len(store.known("c")) == 3


def test_sync_keeps_the_metadata_of_its_root(store: SqliteStore, docs: Path) -> None:
    add(store, docs, metadata={"project": "x"})
    roots.remember(store, "c", str(docs), {"project": "x"})
    (docs / "new.txt").write_text("new\n")
    assert states(sync(store)) == {"a.txt": "unchanged", "b.txt": "unchanged", "new.txt": "added"}
    assert store.document("c", str(docs / "new.txt")).metadata == {"project": "x"}


def changes(root: Path, changed: Sequence[str], removed: Sequence[str]) -> Changes:
    there, gone = (tuple(str(root / name) for name in given) for given in (changed, removed))
    return Changes((str(root),), there, gone)


def test_watched_changes_are_applied(store: SqliteStore, followed: Path) -> None:
    (followed / "sub").mkdir()
    (followed / "sub" / "x.txt").write_text("x\n")
    (followed / "sub2.txt").write_text("y\n")
    sync(store)
    shutil.rmtree(followed / "sub")
    (followed / "a.txt").write_text("edited\n")
    report = roots.apply_changes(
        store, PlainReading(), "c", changes(followed, ["a.txt"], ["sub", "b.txt"]), SourceOptions()
    )
    assert states(report) == {"a.txt": "updated", "x.txt": "removed"}, "b.txt is still there, so it stays"


def test_watching_a_root_that_goes_away_removes_nothing(store: SqliteStore, followed: Path) -> None:
    names = [path.name for path in followed.iterdir()]
    shutil.rmtree(followed)
    report = roots.apply_changes(store, PlainReading(), "c", changes(followed, [], names), SourceOptions())
    assert report.files == ()
    followed.mkdir()
    roots.apply_changes(store, PlainReading(), "c", changes(followed, [], names), SourceOptions())
    assert len(store.known("c")) == 2


# ---------------------------------------------------------------------- a store that gives up, a person who does
class FullAfter(SqliteStore):
    """A disk that is full after `left` batches."""

    left = 1

    def put(self, collection, documents, *, guard=None):  # type: ignore[no-untyped-def]
        if not self.left:
            self._writer.run(lambda connection: connection.pragma("max_page_count", 1))
        self.left -= 1
        return super().put(collection, documents, guard=guard)


def test_a_full_disk_stops_and_what_was_reported_stays(tmp_path: Path, docs: Path) -> None:
    store = FullAfter(tmp_path / "full")
    for number in range(200):
        (docs / f"{number}.txt").write_text(f"{number} text " * 2000 + "\n")
    reported: list[str] = []
    with pytest.raises(DiskFull) as caught:
        add(store, docs, progress=lambda step: reported.append(step.item) if step.state == "added" else None)
    assert f"{len(reported)} documents were stored before" in caught.value.hint
    assert 0 < len(reported) < 200
    assert set(reported) == set(store.known("c"))
    assert store.check() == []
    store.close()


def test_an_interrupt_keeps_what_was_prepared(store: SqliteStore, docs: Path) -> None:
    class Interrupted(PlainReading):
        def run(self, blobs: Iterable[Blob]) -> Iterator[tuple[Blob, pipeline.Prepared]]:
            results = super().run(blobs)
            yield next(results)
            raise KeyboardInterrupt

    reported: list[FileReport] = []
    with pytest.raises(KeyboardInterrupt):
        add(store, docs, reading=Interrupted(), progress=lambda step: reported.append(step))  # type: ignore[arg-type]
    assert [Path(uri).name for uri in store.known("c")] == ["a.txt"]
    assert len(reported) == 1
    assert states(add(store, docs)) == {"a.txt": "unchanged", "b.txt": "added"}


# ---------------------------------------------------------------------- with the real readers
def test_real_files_through_the_sandbox(store: SqliteStore, docs: Path) -> None:
    (docs / "c.md").write_text("# Title\n\nA paragraph about stones.\n\n## Part\n\nAnother one about rags.\n")
    (docs / "empty.txt").touch()
    zipped(docs / "x.zip", {"in/d.txt": "Text inside of an archive.\n"})
    with Sandbox(PrepareOptions(), 1) as sandbox:
        report = pipeline.ingest(store, sandbox, list(discover([docs])), "c")
        assert states(report) == {
            "a.txt": "added", "b.txt": "added", "c.md": "added", "empty.txt": "failed", "d.txt": "added",
        }  # fmt: skip
        again = pipeline.ingest(store, sandbox, list(discover([docs])), "c")
    assert {file.state for file in again.files} == {"unchanged", "failed"}
    assert store.document_text(store.document("c", f"{docs}/x.zip!/in/d.txt").id) == "Text inside of an archive.\n"
    assert store.document("c", str(docs / "c.md")).modified == pytest.approx((docs / "c.md").stat().st_mtime)


# ---------------------------------------------------------------------- documents that are text already
def test_prepared_documents_are_made_only_when_new(store: SqliteStore) -> None:
    made: list[str] = []

    def ready(uri: str, text: str) -> pipeline.Ready:
        document = prepared(uri, [text])

        def make() -> object:
            made.append(uri)
            if text == "bad":
                raise DamagedFile("no good.", "Leave it.")
            return document

        return pipeline.Ready(uri, document.content_hash, len(text), make)  # type: ignore[arg-type]

    first = pipeline.ingest_prepared(store, [ready("m:1", "x"), ready("m:2", "bad")], "c")
    assert [(file.uri, file.state) for file in first.files] == [("m:2", "failed"), ("m:1", "added")]
    pipeline.ingest_prepared(store, iter([ready("m:1", "x")]), "c")
    assert made == ["m:1", "m:2"]
    assert isinstance(store.put("c", [prepared("m:1", ["x"])])[0], PutResult)


def test_a_reader_cannot_touch_another_document(store: SqliteStore, docs: Path) -> None:
    class TakenOver(PlainReading):
        def run(self, blobs: Iterable[Blob]) -> Iterator[tuple[Blob, pipeline.Prepared]]:
            for blob in blobs:
                yield blob, [self._text(str(docs / "b.txt"), b"forged\n")]

    add(store, docs)
    before = store.known("c")
    (docs / "a.txt").write_text("changed\n")
    report = add(store, docs, reading=TakenOver())
    assert [(Path(f.uri).name, f.state, f.code) for f in report.files if f.state == "failed"] == [
        ("a.txt", "failed", "ReaderCrashed")
    ]
    assert store.known("c") == before
