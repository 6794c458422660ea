"""Backups: of one moment under writes, incremental, checked before anything is replaced, and safe from kills."""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import apsw
import msgspec
import pytest
from faults_document import document

from index_process import terms_of
from ragstone.errors import BackupDamaged, InputError, NotFound, RagstoneError, StoreBusy, StoreDamaged, StoreNewer
from ragstone.index.sync import CollectionIndex
from ragstone.storage import archive
from ragstone.storage.backup import backup, check_generations
from ragstone.storage.restore import restore
from ragstone.storage.sqlite import SqliteStore

HERE = Path(__file__).parent


def start(program: str, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, str(HERE / program), *arguments]
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environ)


def said(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def tell(process: subprocess.Popen[str], line: str) -> None:
    assert process.stdin is not None
    process.stdin.write(line + "\n")
    process.stdin.flush()


def fill(folder: Path, first: int, count: int) -> set[str]:
    store = SqliteStore(folder)
    store.create_collection("c")
    uris = [f"/b/{number}" for number in range(first, first + count)]
    store.put("c", [document(uri) for uri in uris])
    store.close()
    return set(uris)


def content(folder: Path) -> set[str]:
    """The uris of a whole store: every row checked, every text what it was."""
    store = SqliteStore(folder)
    try:
        assert store.check() == []
        uris = set(store.known("c"))
        for uri in uris:
            text = store.document_text(store.document("c", uri).id)
            _, name, number = uri.split("/")
            made = "".join(chunk.text for chunk in document(uri).chunks)
            assert text == (made if name == "b" else f"{name} {number}common")
        return uris
    finally:
        store.close()


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).digest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.endswith((".lock", "-shm")) and path.name != "lock"
    }


@pytest.fixture
def data(tmp_path: Path) -> Path:
    fill(tmp_path / "data", 0, 60)
    return tmp_path / "data"


@pytest.fixture
def backups(tmp_path: Path) -> Path:
    return tmp_path / "backups"


@pytest.fixture
def zygote() -> Iterator[subprocess.Popen[str]]:
    with start("backup_process.py") as process:
        yield process
        assert process.stdin is not None
        process.stdin.close()


def test_a_restored_folder_is_what_was_backed_up(data: Path, backups: Path, tmp_path: Path) -> None:
    store = SqliteStore(data)
    index = CollectionIndex(store, "c", terms_of=terms_of)
    index.seal(rows=1)
    index.close()
    store.close()
    before = content(data)
    report = backup(data, backups)
    assert report.generation == 1
    restored = tmp_path / "elsewhere"
    done = restore(backups, restored)
    assert (done.documents, content(restored)) == (60, before)
    store = SqliteStore(restored)
    index = CollectionIndex(store, "c", terms_of=terms_of)
    assert index.verify().clean
    assert index.notes == ()
    assert store.segments("c")
    index.close()
    store.close()
    assert (restored.stat().st_mode & 0o777, (restored / "ragstone.db").stat().st_mode & 0o777) == (0o700, 0o600)


def test_a_second_backup_stores_what_changed_and_old_generations_go(data: Path, backups: Path) -> None:
    fill(data, 1000, 1500)
    first = backup(data, backups, keep=2)
    assert first.stored == first.size
    again = backup(data, backups, keep=2)
    assert again.stored == 0
    fill(data, 100, 5)
    more = backup(data, backups, keep=2)
    assert 0 < more.stored < more.size / 5
    assert more.generations == (2, 3)
    assert check_generations(backups) == {2: [], 3: []}
    anew = backup(data, backups, keep=1, anew=True)
    assert anew.stored == anew.size
    assert anew.generations == (4,)
    kept = {path.stem for path in (backups / "packs").iterdir()}
    assert kept == {pack.name for pack in archive.read_manifest(backups, 4).packs}


def test_packs_that_are_mostly_old_do_not_stay_for_ever(data: Path, backups: Path) -> None:
    for round_ in range(8):
        fill(data, 1000 * (round_ + 1), 40)
        report = backup(data, backups, keep=1)
    held = sum(path.stat().st_size for path in (backups / "packs").iterdir())
    assert held < 2.5 * report.size


@pytest.mark.slow
def test_backups_under_writes_hold_all_that_was_acknowledged(tmp_path: Path, backups: Path) -> None:
    data = tmp_path / "data"
    fill(data, 0, 5)
    writers = [start("many_writer.py", str(data), name, "150") for name in "vw"]
    rounds = 0
    while any(writer.poll() is None for writer in writers) or rounds < 3:
        store = SqliteStore(data)
        revision = store.revision("c")  # before what it is compared with: a write in between raises it
        acknowledged = set(store.known("c"))
        store.close()
        backup(data, backups, keep=3)
        restored = tmp_path / f"restored{rounds}"
        restore(backups, restored)
        uris = content(restored)
        store = SqliteStore(restored)
        if store.revision("c") == revision:
            assert uris == acknowledged
        store.close()
        # a writer deletes every tenth of its own again, nothing else
        assert all(int(uri.rsplit("/", 1)[1]) % 10 == 4 for uri in acknowledged - uris)
        shutil.rmtree(restored)
        rounds += 1
    for writer in writers:
        assert writer.wait() == 0
        for stream in (writer.stdin, writer.stdout):
            assert stream is not None
            stream.close()
    assert check_generations(backups)
    assert not any(check_generations(backups).values())


@pytest.mark.slow
def test_a_backup_killed_at_any_step_leaves_the_earlier_ones(
    data: Path, backups: Path, tmp_path: Path, zygote: subprocess.Popen[str]
) -> None:
    old = content(data)
    backup(data, backups, keep=2)
    backup(data, backups, keep=2)
    present = old | fill(data, 500, 30)
    step = 0
    while True:
        step += 1
        before = archive.generations(backups)
        tell(zygote, f"backup {data} {backups} {step}")
        outcome = said(zygote)
        assert outcome in ("killed", "done")
        found = check_generations(backups)
        assert set(found) & set(before)
        assert not any(found.values()), step
        restored = tmp_path / "restored"
        restore(backups, restored)
        assert content(restored) in (old, present)
        shutil.rmtree(restored)
        if outcome == "done":
            break
    assert step > 20
    assert content(data) == present
    restore(backups, tmp_path / "last")
    assert content(tmp_path / "last") == present
    backup(data, backups, keep=2)
    assert not list(backups.glob("*.db*")) + list(backups.glob("*/*.tmp"))


@pytest.mark.slow
@pytest.mark.parametrize("damage", [False, True])
def test_a_restore_killed_at_any_step_leaves_the_old_or_the_restored(
    data: Path, backups: Path, tmp_path: Path, zygote: subprocess.Popen[str], damage: bool
) -> None:
    restored = content(data)
    backup(data, backups)
    old = restored | fill(data, 500, 30)
    prepared = tmp_path / "prepared"
    shutil.copytree(data, prepared)
    if damage:
        (prepared / "ragstone.db").write_bytes(b"this is no database any more " * 1000)
        (prepared / "ragstone.db-wal").write_bytes(b"nor is this its log")
        with pytest.raises(StoreDamaged):  # SQLite throws away a log that it cannot read
            SqliteStore(prepared)
    was = bytes_of(prepared)
    step, outcomes = 0, []
    while True:
        step += 1
        folder = tmp_path / "victim"
        shutil.copytree(prepared, folder)
        tell(zygote, f"restore {folder} {backups} {step}")
        outcome = said(zygote)
        assert outcome in ("killed", "done")
        try:
            found = content(folder)
            assert found in (old, restored)
            outcomes.append("restored" if found == restored else "old")
        except StoreDamaged:
            assert damage
            assert bytes_of(folder) == was
            outcomes.append("old")
        assert not (folder / "restoring").exists()
        restore(backups, folder, replace=True)
        assert content(folder) == restored
        shutil.rmtree(folder)
        if outcome == "done":
            break
    assert outcomes[-1] == "restored"
    assert outcomes == sorted(outcomes)  # first always the old, from one step on always the restored
    assert "old" in outcomes


def flip(path: Path) -> None:
    path.chmod(0o600)
    with path.open("r+b") as file:
        at = random.Random(path.name).randrange(path.stat().st_size)
        file.seek(at)
        byte = file.read(1)
        file.seek(at)
        file.write(bytes([byte[0] ^ 1]))


@pytest.mark.parametrize("part", ["pack", "manifest", "missing", "short"])
def test_a_damaged_backup_is_refused_and_nothing_is_touched(data: Path, backups: Path, part: str) -> None:
    backup(data, backups)
    fill(data, 100, 3)
    pack = next((backups / "packs").iterdir())
    if part == "pack":
        flip(pack)
    elif part == "manifest":
        flip(backups / "generations" / "00000001.manifest")
    elif part == "missing":
        pack.unlink()
    else:
        pack.chmod(0o600)
        os.truncate(pack, 1000)
    before = bytes_of(data)
    with pytest.raises(BackupDamaged):
        restore(backups, data, replace=True)
    assert bytes_of(data) == before
    assert check_generations(backups)[1]
    assert backup(data, backups, check=True).generation == 2  # does not rely on it
    assert check_generations(backups)[2] == []
    assert restore(backups, data, replace=True).documents == 63


def test_what_is_no_backup_of_ours_is_refused(data: Path, backups: Path, tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        restore(tmp_path / "nowhere", tmp_path / "new")
    other = tmp_path / "photos"
    other.mkdir()
    (other / "one.jpg").write_bytes(b"x")
    with pytest.raises(InputError, match="other files"):
        backup(data, other)
    with pytest.raises(NotFound):
        restore(other, tmp_path / "new")
    backup(data, backups)
    with pytest.raises(InputError, match="other files"):
        restore(backups, other, replace=True)
    with pytest.raises(InputError, match="holds data already"):
        restore(backups, data)
    with pytest.raises(InputError, match="lie in each other"):
        backup(data, data / "backups")
    with pytest.raises(NotFound, match="no generation 7"):
        restore(backups, data, replace=True, generation=7)
    assert not (tmp_path / "new").exists()
    fill(tmp_path / "second", 0, 2)
    store = SqliteStore(tmp_path / "second")
    store.set_state("identity", "another")
    store.close()
    with pytest.raises(InputError, match="another data folder"):
        backup(tmp_path / "second", backups)


def test_a_newer_schema_or_format_is_refused(data: Path, backups: Path) -> None:
    backup(data, backups)
    manifest = archive.read_manifest(backups, 1)
    replace = msgspec.structs.replace
    newer = archive.encode(replace(manifest, databases=[replace(manifest.databases[0], schema=999)]))
    (backups / "generations" / "00000002.manifest").write_bytes(newer)
    before = bytes_of(data)
    with pytest.raises(StoreNewer):
        restore(backups, data, replace=True)
    assert restore(backups, data, replace=True, generation=1).documents == 60
    (backups / "ragstone-backup").write_text("2\n")
    with pytest.raises(StoreNewer):
        restore(backups, data, replace=True)
    assert before


def test_a_folder_in_use_is_not_replaced(data: Path, backups: Path) -> None:
    backup(data, backups)
    fill(data, 100, 3)
    with start("backup_process.py", str(data)) as holder:
        assert said(holder) == "open"
        with pytest.raises(StoreBusy, match="in use"):
            restore(backups, data, replace=True)
        tell(holder, "")
    assert len(content(data)) == 63
    assert restore(backups, data, replace=True).documents == 60


def test_a_folder_open_in_this_process_is_not_replaced(data: Path, backups: Path) -> None:
    backup(data, backups)
    store = SqliteStore(data)
    store.put("c", [document("/b/900")])
    with pytest.raises(StoreBusy, match="in use"):
        restore(backups, data, replace=True)
    store.put("c", [document("/b/901")])
    store.close()
    assert len(content(data)) == 62


def test_a_damaged_database_does_not_displace_good_backups(data: Path, backups: Path) -> None:
    backup(data, backups, keep=1)
    connection = apsw.Connection(str(data / "ragstone.db"))
    page = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'chunks_of_hash'").get
    size = connection.pragma("page_size")
    connection.close()
    with (data / "ragstone.db").open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(b"\x0d" * 200)
    with pytest.raises(RagstoneError) as raised:
        backup(data, backups, keep=1)
    assert isinstance(raised.value, StoreDamaged)
    assert archive.generations(backups) == [1]
    assert restore(backups, data, replace=True).documents == 60
    assert len(content(data)) == 60


def test_two_backups_at_once_do_not_mix(data: Path, backups: Path) -> None:
    backup(data, backups)
    with archive.locked(backups), pytest.raises(StoreBusy):
        backup(data, backups)
