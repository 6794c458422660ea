"""Backups of a served folder: documents of every tenant, jobs with their uploads, and accounts come back together."""

from __future__ import annotations

import hashlib
import random
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from test_backup import bytes_of, flip, said, start, tell

from ragstone.assemble import open_knowledge_base
from ragstone.errors import BackupDamaged, RagstoneError, StoreBusy
from ragstone.jobs.intake import Text, submit_texts
from ragstone.jobs.queue import SqliteQueue
from ragstone.jobs.uploads import Uploads
from ragstone.jobs.worker import Worker
from ragstone.knowledge_base import KnowledgeBase
from ragstone.server.accounts import Accounts
from ragstone.settings import at, load
from ragstone.storage import archive
from ragstone.storage.backup import backup
from ragstone.storage.layout import TENANTS, own_bytes, tenant_folders
from ragstone.storage.mending import findings
from ragstone.storage.restore import restore
from ragstone.testing import HashEmbedder

TENANT = "a1b2c3d4e5f60718"
PLACES = {"": "", TENANT: f"{TENANTS}/{TENANT}"}
SETTINGS = load(overrides={"embedding.background": False})


def opened(folder: Path, tenant: str) -> KnowledgeBase:
    return open_knowledge_base(at(folder / PLACES[tenant], SETTINGS), embedder=HashEmbedder())


def word(uri: str, version: int) -> str:
    """In no other document."""
    digest = hashlib.sha256(f"{uri} {version}".encode()).hexdigest()
    return digest[:16].translate(str.maketrans("0123456789", "ghijklmnop"))


def submit(folder: Path, queue: SqliteQueue, tenant: str, uri: str, version: int) -> str:
    text = Text(uri, f"{word(uri, version)} body {version}")
    uploads = Uploads(folder / PLACES[tenant])
    return submit_texts(queue, uploads, [text], tenant=tenant, collection="c", most_bytes=1 << 20).id


def worker(folder: Path, queue: SqliteQueue, held: dict[str, KnowledgeBase]) -> Worker:
    from contextlib import nullcontext

    return Worker(queue, lambda tenant: nullcontext(held[tenant]), lambda tenant: Uploads(folder / PLACES[tenant]))


def finish(folder: Path) -> dict[str, dict[str, int]]:
    """Does what is left, then tells the version of each document, by tenant."""
    queue = SqliteQueue(folder)
    held = {tenant: opened(folder, tenant) for tenant in PLACES}
    try:
        doing = worker(folder, queue, held)
        until = time.monotonic() + 60
        while any(queue.counts()[state] for state in ("queued", "running")):
            assert time.monotonic() < until
            doing.one(wait=0.2)
        assert queue.counts()["failed"] == 0
        found: dict[str, dict[str, int]] = {}
        for tenant, kb in held.items():
            kb.store.create_collection("c")
            assert kb.store.check() == []
            documents = [document.uri for document in kb.documents("c")]
            assert len(documents) == len(set(documents))
            found[tenant] = {uri: int(kb.text(uri, "c").split()[2]) for uri in documents}
            for uri, version in found[tenant].items():
                hits = kb.search(word(uri, version), collections=["c"], mode="lexical").hits
                assert [hit.chunk.uri for hit in hits] == [uri]
        return found
    finally:
        for kb in held.values():
            kb.close()
        queue.close()


@pytest.fixture
def backups(tmp_path: Path) -> Path:
    return tmp_path / "backups"


@pytest.fixture
def served(tmp_path: Path) -> Path:
    """Two tenants, each with a document that is done and one that is queued; a key."""
    folder = tmp_path / "data"
    accounts = Accounts(folder)
    (folder / "key").write_text(accounts.create_key("backup", ["read"])[1])
    accounts.close()
    queue = SqliteQueue(folder)
    held = {tenant: opened(folder, tenant) for tenant in PLACES}
    doing = worker(folder, queue, held)
    for tenant in PLACES:
        submit(folder, queue, tenant, "/done", 1)
        assert doing.one() is not None
    for tenant in PLACES:
        submit(folder, queue, tenant, "/queued", 1)
    for kb in held.values():
        kb.close()
    queue.close()
    return folder


EXPECTED = {tenant: {"/done": 1, "/queued": 1} for tenant in PLACES}


def test_all_that_is_served_comes_back(served: Path, backups: Path, tmp_path: Path) -> None:
    key = (served / "key").read_text()
    report = backup(served, backups)
    assert backup(served, backups).stored == 0
    restored = tmp_path / "elsewhere"
    done = restore(backups, restored)
    assert (done.documents, report.stored) == (2, report.size)
    accounts = Accounts(restored)
    assert accounts.find(key) is not None
    accounts.close()
    assert not list(findings(restored))
    assert finish(restored) == EXPECTED
    assert not list((restored / "uploads").iterdir())
    assert not list((served / "scratch").glob("backup-*"))
    assert finish(served) == EXPECTED  # the served folder was only looked at


def test_what_came_after_the_backup_goes(served: Path, backups: Path) -> None:
    backup(served, backups)
    queue = SqliteQueue(served)
    submit(served, queue, "", "/later", 1)
    queue.close()
    with opened(served, TENANT) as kb:
        kb.add_texts([("/later", "", "later body", {})], collection="c")
    other = served / TENANTS / "0000000000000000"
    shutil.copytree(served / PLACES[TENANT], other)
    restore(backups, served, replace=True)
    assert tenant_folders(served) == [PLACES[TENANT]]
    assert finish(served) == EXPECTED


def test_a_tenant_in_use_is_not_replaced(served: Path, backups: Path) -> None:
    backup(served, backups)
    with opened(served, TENANT) as kb:
        kb.documents("c")
        with pytest.raises(StoreBusy, match="in use"):
            restore(backups, served, replace=True)
    accounts = Accounts(served)
    with pytest.raises(StoreBusy, match="in use"):
        restore(backups, served, replace=True)
    accounts.close()
    assert finish(served) == EXPECTED


@pytest.mark.parametrize("part", ["jobs.db", "server.db", "upload", "tenant"])
def test_a_damaged_part_is_refused_and_nothing_is_touched(served: Path, backups: Path, part: str) -> None:
    backup(served, backups)
    manifest = archive.read_manifest(backups, 1)
    wanted = {"tenant": ("ragstone.db", PLACES[TENANT])}.get(part, (part, ""))
    number = (
        manifest.uploads[0].pack
        if part == "upload"
        else next(int(d.table()["pack"][0]) for d in manifest.databases if (d.name, d.folder) == wanted)
    )
    flip(archive.pack_path(backups, manifest.packs[number].name))
    before = bytes_of(served)
    with pytest.raises(BackupDamaged):
        restore(backups, served, replace=True)
    assert bytes_of(served) == before
    assert backup(served, backups, check=True).generation == 2
    restore(backups, served, replace=True)
    assert finish(served) == EXPECTED


def test_uploads_under_way_end_up_searchable_once(tmp_path: Path, backups: Path) -> None:
    """Clients send versions of documents and a worker does them, while backups are made. Each restored folder holds,
    when its jobs are done, every document in the version that was acknowledged before, or a later one."""
    data = tmp_path / "data"
    queue, doing_queue = SqliteQueue(data), SqliteQueue(data)
    held = {tenant: opened(data, tenant) for tenant in PLACES}
    doing = worker(data, doing_queue, held)
    acknowledged: dict[str, dict[str, int]] = {tenant: {} for tenant in PLACES}
    sent: dict[str, dict[str, int]] = {tenant: {} for tenant in PLACES}
    stop = threading.Event()

    def send(tenant: str) -> None:
        chance = random.Random(tenant)
        while not stop.is_set():
            uri = f"/{chance.randrange(12)}"
            version = sent[tenant][uri] = sent[tenant].get(uri, 0) + 1
            submit(data, queue, tenant, uri, version)
            acknowledged[tenant][uri] = version
            time.sleep(0.03)

    threads = [threading.Thread(target=send, args=(tenant,)) for tenant in PLACES]
    threads.append(threading.Thread(target=doing.run))
    for thread in threads:
        thread.start()
    try:
        for number in range(4):
            time.sleep(0.4)
            before = {tenant: dict(versions) for tenant, versions in acknowledged.items()}
            backup(data, backups)
            after = {tenant: dict(versions) for tenant, versions in sent.items()}
            restored = tmp_path / f"restored{number}"
            restore(backups, restored)
            found = finish(restored)
            for tenant in PLACES:
                for uri, version in before[tenant].items():
                    assert version <= found[tenant][uri] <= after[tenant][uri], (number, uri)
            shutil.rmtree(restored)
    finally:
        stop.set()
        doing.stop()
        for thread in threads:
            thread.join()
        for kb in held.values():
            kb.close()
        queue.close()
        doing_queue.close()


@pytest.fixture
def zygote() -> Iterator[subprocess.Popen[str]]:
    with start("backup_process.py") as process:
        yield process
        assert process.stdin is not None
        process.stdin.close()


@pytest.mark.slow
def test_a_restore_killed_at_any_step_is_undone_or_finished(
    served: Path, backups: Path, tmp_path: Path, zygote: subprocess.Popen[str]
) -> None:
    """Whichever part is opened first: never some of the old and some of the restored."""
    backup(served, backups)
    accounts = Accounts(served)
    later = accounts.create_key("later", ["read"])[1]
    accounts.close()
    assert finish(served) == EXPECTED
    with opened(served, TENANT) as kb:
        kb.add_texts([("/later", "", "xv9 body", {})], collection="c")
    step, outcomes = 5, []
    while True:
        folder = tmp_path / "victim"
        shutil.copytree(served, folder)
        tell(zygote, f"restore {folder} {backups} {step}")
        outcome = said(zygote)
        assert outcome in ("killed", "done")
        first = step % 3
        if first == 0:
            SqliteQueue(folder).close()
        elif first == 1:
            opened(folder, TENANT).close()
        accounts = Accounts(folder)
        with_key = accounts.find(later) is not None
        accounts.close()
        queue = SqliteQueue(folder)
        done = queue.counts()["done"]
        queue.close()
        with opened(folder, TENANT) as kb:
            uris = {document.uri for document in kb.documents("c")}
        state = (with_key, done, "/later" in uris)
        assert state in ((True, 4, True), (False, 2, False)), (step, state)
        outcomes.append("old" if with_key else "restored")
        assert not (folder / "restoring").exists()
        shutil.rmtree(folder)
        if outcome == "done":
            break
        step += 11 if outcomes[-1] == "old" else 2  # what is built first touches nothing
    assert outcomes == sorted(outcomes)
    assert {"old", "restored"} == set(outcomes)


def test_doctor_looks_at_every_tenant_and_each_counts_its_own(served: Path) -> None:
    place = served / PLACES[TENANT]
    alone = own_bytes(served)
    (place / "scratch" / "large").write_bytes(bytes(100_000))
    assert own_bytes(served) == alone
    assert own_bytes(place) > 100_000
    with opened(served, "") as kb:
        assert abs(kb.status()["bytes"] - alone) < 300_000  # its own log and shared memory, nothing of the tenant's
    place.chmod(0o755)
    upload = next((served / "uploads").iterdir())
    upload.unlink()
    found = {finding.name: finding for finding in findings(served)}
    assert found["permissions"].detail.startswith(PLACES[TENANT])
    assert "uploads of 1 jobs are gone" in found["jobs.db"].detail
    mend = found["permissions"].mend
    assert mend is not None
    mend()
    assert place.stat().st_mode & 0o077 == 0
    (served / "server.db").write_bytes(b"no database" * 1000)
    assert "server.db" in {finding.name for finding in findings(served)}
    with pytest.raises(RagstoneError):
        Accounts(served)
