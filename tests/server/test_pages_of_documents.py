"""Pages of a PDF as pictures, and where cited text stands on them."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from ragstone.errors import BackupDamaged
from ragstone.storage import archive
from ragstone.storage.backup import check_generations
from ragstone.storage.restore import restore
from server.conftest import Running, serving
from server.test_routes import problem

PDF = next((Path(__file__).resolve().parents[2] / "samples").glob("*.pdf"))


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server of its own: these documents would be found by the questions of other tests."""
    with serving(tmp_path_factory.mktemp("pages")) as running:
        yield running


@pytest.fixture(scope="module")
def document(local_module: httpx2.Client) -> str:
    return uploaded(local_module, "manual.pdf", PDF.read_bytes())


@pytest.fixture(scope="module")
def local_module(pages: Running) -> Iterator[httpx2.Client]:
    with pages.local() as client:
        yield client


def uploaded(client: httpx2.Client, uri: str, data: bytes, collection: str = "pages") -> str:
    job = client.post(f"/v1/collections/{collection}/documents", params={"uri": uri, "wait": 60}, content=data).json()
    assert job["state"] == "done", job
    found = client.get(f"/v1/collections/{collection}/documents", params={"q": uri}).json()["items"]
    return found[0]["id"]


def size(png: bytes) -> tuple[int, int]:
    """Also that the picture is whole: its checksums and its lines."""
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    place, lines, header = 8, b"", b""
    while place < len(png):
        length, name = struct.unpack(">I4s", png[place : place + 8])
        data = png[place + 8 : place + 8 + length]
        assert struct.unpack(">I", png[place + 8 + length : place + 12 + length])[0] == zlib.crc32(name + data)
        header, lines = (data, lines) if name == b"IHDR" else (header, lines + data if name == b"IDAT" else lines)
        place += 12 + length
    width, height = struct.unpack(">II", header[:8])
    channels = {0: 1, 2: 3, 6: 4}[header[9]]
    pixels = zlib.decompress(lines)
    assert len(pixels) == height * (1 + width * channels)
    assert len(set(pixels)) > 2, "an empty page"
    return width, height


def test_a_page_is_drawn(local_module: httpx2.Client, document: str) -> None:
    pages = local_module.get(f"/v1/documents/{document}/pages").json()["items"]
    assert [p["number"] for p in pages] == list(range(1, len(pages) + 1))
    answer = local_module.get(f"/v1/documents/{document}/pages/1/image", params={"width": 400})
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "image/png"
    width, height = size(answer.content)
    assert (width, height > 400) == (400, True)
    again = local_module.get(
        f"/v1/documents/{document}/pages/1/image?width=400", headers={"If-None-Match": answer.headers["etag"]}
    )
    assert (again.status_code, again.content) == (304, b"")
    problem(local_module.get(f"/v1/documents/{document}/pages/{len(pages) + 1}/image"), 404, "NotFound")
    problem(local_module.get(f"/v1/documents/{document}/pages/one/image"), 404, "NotFound")
    problem(local_module.get(f"/v1/documents/{document}/pages/1/image?width=100000"), 400, "InputError")


def test_a_citation_has_rectangles(local_module: httpx2.Client, document: str) -> None:
    pages = local_module.get(f"/v1/documents/{document}/pages").json()["items"]
    text = local_module.get(f"/v1/documents/{document}/text").json()["text"]
    page = next(p for p in pages if p["end"] - p["start"] > 200)
    words = next(w for w in text[page["start"] : page["end"]].split("\n") if len(w) > 60)
    start = text.index(words, page["start"])
    cited = {"start": start, "end": start + len(words)}
    found = local_module.get(f"/v1/documents/{document}/pages/{page['number']}/places", params=cited).json()
    assert found["rectangles"], words
    for box in found["rectangles"]:
        assert 0 <= box["left"] < box["right"] <= 1
        assert 0 <= box["top"] < box["bottom"] <= 1
    tops = [box["top"] for box in found["rectangles"]]
    assert tops == sorted(tops)
    elsewhere = {"start": 0, "end": 0}
    assert local_module.get(f"/v1/documents/{document}/pages/1/places", params=elsewhere).json()["rectangles"] == []
    problem(local_module.get(f"/v1/documents/{document}/pages/1/places?start=5&end=2"), 400, "InputError")


def test_the_file_goes_with_its_document(pages: Running, local_module: httpx2.Client) -> None:
    kept = pages.data / "originals"
    before = set(kept.rglob("*.*"))
    uploaded(local_module, "short-lived.pdf", PDF.read_bytes(), "gone")
    assert len(set(kept.rglob("*.*")) - before) == 1
    changed = uploaded(local_module, "short-lived.pdf", PDF.read_bytes() + b"\n", "gone")
    assert len(set(kept.rglob("*.*")) - before) == 1, "the former version stayed"
    assert local_module.get(f"/v1/documents/{changed}/pages/1/image?width=60").status_code == 200
    assert local_module.delete(f"/v1/documents/{changed}", headers={"If-Match": '"another"'}).status_code == 412
    assert local_module.delete(f"/v1/documents/{changed}").status_code == 204
    assert set(kept.rglob("*.*")) == before


def test_what_is_no_pdf_has_no_picture(filled: httpx2.Client) -> None:
    document = filled.get("/v1/collections/default/documents").json()["items"][0]["id"]
    problem(filled.get(f"/v1/documents/{document}/pages/1/image"), 404, "NotFound")
    assert filled.get(f"/v1/documents/{document}/pages").json()["items"] == []


def test_a_file_of_this_machine_is_shown_only_below_a_folder_that_was_added_and_unchanged(
    pages: Running, local_module: httpx2.Client, tmp_path: Path
) -> None:
    folder = tmp_path / "added"
    folder.mkdir()
    (folder / "here.pdf").write_bytes(PDF.read_bytes())
    with pages.service.tenants.use("default") as kb:
        kb.add([folder], collection="machine")
    document = local_module.get("/v1/collections/machine/documents").json()["items"][0]["id"]
    address = f"/v1/documents/{document}/pages/1/image?width=60"
    assert local_module.get(address).status_code == 200
    (folder / "here.pdf").write_bytes(PDF.read_bytes() + b"changed")
    problem(local_module.get(address), 404, "NotFound")
    outside = tmp_path / "outside.pdf"
    outside.write_bytes(PDF.read_bytes())
    kept = set((pages.data / "originals").rglob("*.*"))
    named = uploaded(local_module, str(outside), PDF.read_bytes(), "machine")
    (own,) = set((pages.data / "originals").rglob("*.*")) - kept
    own.unlink()
    problem(local_module.get(f"/v1/documents/{named}/pages/1/image"), 404, "NotFound")


def test_a_restore_brings_the_pictures_back(tmp_path: Path) -> None:
    """Files are stored once, and of what was removed meanwhile none comes back."""
    backups, restored = tmp_path / "backups", tmp_path / "restored"
    with serving(tmp_path / "data") as running, running.local() as client:
        document = uploaded(client, "manual.pdf", PDF.read_bytes())
        shown = client.get(f"/v1/documents/{document}/pages/1/image")
        assert shown.status_code == 200
        uploaded(client, "other.pdf", PDF.read_bytes() + b"\n%other")
        with running.service.tenants.use("default") as kb:
            first = kb.backup(backups)
            removed = client.get("/v1/collections/pages/documents", params={"q": "other.pdf"}).json()["items"][0]["id"]
            assert client.delete(f"/v1/documents/{removed}").status_code == 204
            second = kb.backup(backups)
    assert first.stored > PDF.stat().st_size
    manifest = archive.read_manifest(backups, second.generation)
    assert [part.size for part in manifest.originals] == [PDF.stat().st_size]
    assert [part.size for part in archive.read_manifest(backups, first.generation).uploads] == []
    assert check_generations(backups) == {first.generation: [], second.generation: []}
    restore(backups, restored)
    with serving(restored) as running, running.local() as client:
        again = client.get(f"/v1/documents/{document}/pages/1/image")
        assert (again.status_code, again.content) == (200, shown.content)
    pack = next(archive.pack_path(backups, manifest.packs[part.pack].name) for part in manifest.originals)
    pack.chmod(0o600)
    pack.write_bytes(bytes(len(pack.read_bytes())))
    with pytest.raises(BackupDamaged):
        restore(backups, tmp_path / "broken")


def test_files_are_stored_once_and_again_where_little_of_their_pack_is_needed(tmp_path: Path) -> None:
    backups = tmp_path / "backups"
    with serving(tmp_path / "data") as running, running.local() as client:
        uris = [f"{number}.pdf" for number in range(3)]
        for number, uri in enumerate(uris):
            uploaded(client, uri, PDF.read_bytes() + b"\n%" + str(number).encode())
        with running.service.tenants.use("default") as kb:
            kb.backup(backups)
            packs = packs_of_originals(backups)
            assert len(packs) == 1
            kb.backup(backups)
            assert packs_of_originals(backups) == packs
            kb.remove_documents(uris[:2], collection="pages")
            kb.backup(backups)
            assert packs_of_originals(backups).isdisjoint(packs)


def packs_of_originals(backups: Path) -> set[str]:
    manifest = archive.read_manifest(backups, archive.generations(backups)[-1])
    return {manifest.packs[part.pack].name for part in manifest.originals}
