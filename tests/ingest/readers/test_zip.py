from __future__ import annotations

import gzip
import io
import os
import tarfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from office_builder import archive

from ragstone.errors import DamagedFile, LimitExceeded, ReadError, Unreadable
from ragstone.ingest.limits import ReadLimits
from ragstone.ingest.readers import read as read_any
from ragstone.ingest.readers.zip_ import read_members
from ragstone.types import Blob, ParsedDocument


def members(data: bytes, name: str = "/a/x.zip", limits: ReadLimits | None = None) -> dict[str, bytes]:
    return {uri: blob.data for uri, blob in read_members(Blob(name, data), limits or ReadLimits())}


def some(
    data: bytes, name: str = "/a/x.zip", limits: ReadLimits | None = None
) -> tuple[dict[str, bytes], ReadError | None]:
    found: dict[str, bytes] = {}
    try:
        for uri, blob in read_members(Blob(name, data), limits or ReadLimits()):
            found[uri] = blob.data
    except ReadError as error:
        return found, error
    return found, None


def tar(*entries: tuple[tarfile.TarInfo, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as out:
        for info, data in entries:
            info.size = len(data)
            out.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def test_names_and_bytes() -> None:
    data = archive({"a.txt": "A", "ordner/ü.txt": "Ü", "leer/": "", "__MACOSX/._a.txt": "x", "ordner/.DS_Store": "x"})
    assert members(data) == {"/a/x.zip!/a.txt": b"A", "/a/x.zip!/ordner/ü.txt": "Ü".encode()}


def test_names_in_utf8_that_do_not_say_so() -> None:
    data = archive({"Grosse.txt": "A"}).replace(b"Grosse.txt", "Größ.txt".encode())
    assert list(members(data)) == ["/a/x.zip!/Größ.txt"]


def test_names_that_point_out_are_refused_and_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    link = zipfile.ZipInfo("link")
    link.external_attr = 0o120777 << 16
    buffer = io.BytesIO(
        archive({"../../x.txt": "x", "/abs.txt": "x", "..\\..\\w.txt": "x", "C:/w.txt": "x", "ok.txt": "ok"})
    )
    with zipfile.ZipFile(buffer, "a") as out:
        out.writestr(link, "/etc/passwd")
    found, error = some(buffer.getvalue())
    assert found == {"/a/x.zip!/ok.txt": b"ok"}
    assert isinstance(error, Unreadable)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("packed", [False, True])
def test_tar(packed: bool) -> None:
    link = tarfile.TarInfo("link")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    data = tar(
        (tarfile.TarInfo("a/b.txt"), b"B"),
        (link, b""),
        (tarfile.TarInfo("../evil"), b"x"),
        (tarfile.TarInfo("c"), b"C"),
    )
    name = "/a/x.tar.gz" if packed else "/a/x.tar"
    found, error = some(gzip.compress(data) if packed else data, name)
    assert found == {f"{name}!/a/b.txt": b"B", f"{name}!/c": b"C"}
    assert isinstance(error, Unreadable)


def test_gzip_of_one_file() -> None:
    assert members(gzip.compress(b"Text"), "/a/ls.1.gz") == {"/a/ls.1.gz!/ls.1": b"Text"}


def test_limits_are_counted() -> None:
    with pytest.raises(LimitExceeded, match="100 times"):
        members(archive({"a.txt": bytes(30_000_000)}))
    with pytest.raises(LimitExceeded, match="100 times"):
        members(gzip.compress(bytes(30_000_000)), "/a/x.gz")
    with pytest.raises(LimitExceeded, match="3 files"):
        members(archive({f"{i}.txt": "x" for i in range(9)}), limits=ReadLimits(archive_entries=3))
    with pytest.raises(LimitExceeded, match="MiB"):
        members(archive({"a": os.urandom(3 << 20)}), limits=ReadLimits(archive_bytes=2 << 20))


def test_one_large_member_does_not_hide_the_others() -> None:
    found, error = some(archive({"a": os.urandom(5000), "b": "B"}), limits=ReadLimits(file_bytes=1000))
    assert found == {"/a/x.zip!/b": b"B"}
    assert type(error) is LimitExceeded


def test_a_size_that_lies() -> None:
    data = bytearray(archive({"a.txt": b"x" * 5000, "b.txt": "B"}))
    at = data.index(b"PK\x01\x02")
    data[at + 24 : at + 28] = (10).to_bytes(4, "little")
    found, error = some(bytes(data))
    assert found.get("/a/x.zip!/b.txt") == b"B"
    assert len(found.get("/a/x.zip!/a.txt", b"")) <= 10
    assert error is None or isinstance(error, DamagedFile)


def test_damaged_and_nested() -> None:
    with pytest.raises(DamagedFile):
        members(b"PK\x03\x04" + bytes(100))
    deep = archive({"a.txt": "A"})
    for _ in range(3):
        deep = archive({"in.zip": deep, "b.txt": "Ebene"})
    results = read_any(Blob("/a/x.zip", deep), ReadLimits())
    assert [type(r).__name__ for _, r in results].count("ParsedDocument") == 2
    assert any(isinstance(r, LimitExceeded) for _, r in results)
    assert all(isinstance(r, ParsedDocument | ReadError) for _, r in results)


GOOD = archive({"a.txt": "Text eins", "b.txt": "Text zwei"})


@settings(max_examples=80, deadline=None)
@given(at=st.integers(0, len(GOOD) - 1), byte=st.integers(0, 255))
def test_damage_gives_members_or_a_typed_error(at: int, byte: int) -> None:
    some(GOOD[:at] + bytes([byte]) + GOOD[at + 1 :])


def test_names_of_members_are_escaped_as_those_of_files() -> None:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr("odd\x1b[2J!/name.txt", b"A")
    assert list(members(data.getvalue())) == ["/a/x.zip!/odd\\x1b[2J\\x21/name.txt"]
