"""Archives: ZIP, TAR, gzip. Members are handed on one by one, in memory; nothing is ever written to disk.

Sizes are counted while unpacking. Links, devices and names that point out of the archive are refused; such a member,
or an encrypted or damaged one, does not hide the others: the archive's own error comes after the last good member.
"""

from __future__ import annotations

import io
import lzma
import posixpath
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from gzip import GzipFile
from typing import IO, cast

from ...errors import DamagedFile, EncryptedFile, LimitExceeded, ReadError, Unreadable
from ...types import Blob
from ..limits import MIB, ReadLimits
from ..names import MEMBER, uri_of

_STEP = 1 << 18
# below this many unpacked bytes a high ratio is not a bomb
_RATIO_FROM = 10 * MIB
_JUNK = frozenset({".DS_Store", "Thumbs.db", "desktop.ini"})
# what zipfile and tarfile raise on damaged headers and data; ValueError for offsets before the beginning
_BROKEN = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    tarfile.TarError,
    NotImplementedError,
    EOFError,
    OSError,
    ValueError,
)


def read_members(blob: Blob, limits: ReadLimits) -> Iterator[tuple[str, Blob]]:
    """(uri, member) for every regular file, uri = "archive.zip!/inner/name". Raises LimitExceeded at once; Unreadable,
    EncryptedFile and DamagedFile after the members that could be read."""
    counter = _Counter(len(blob.data), limits)
    if blob.data.startswith(b"\x1f\x8b"):
        yield from _gzip(blob, limits, counter)
    elif blob.data[257:262] == b"ustar":
        yield from _tar(blob, io.BytesIO(blob.data), limits, counter)
    else:
        yield from _zip(blob, limits, counter)


class _Counter:
    """Bytes unpacked and members seen, of one archive."""

    def __init__(self, packed: int, limits: ReadLimits) -> None:
        self._packed, self._limits = packed, limits
        self._bytes = self._entries = 0

    def add(self, size: int) -> None:
        self._bytes += size
        if self._bytes > self._limits.archive_bytes:
            raise LimitExceeded(
                f"The archive unpacks to more than {self._limits.archive_bytes // MIB} MiB.",
                "Unpack it and add the folder, or raise ingest.archive_bytes.",
            )
        if self._bytes > max(_RATIO_FROM, self._limits.archive_ratio * self._packed):
            raise LimitExceeded(
                f"The archive unpacks to more than {self._limits.archive_ratio} times its size.",
                "It may be a bomb. If it is not, unpack it and add the folder, or raise ingest.archive_ratio.",
            )

    def entry(self) -> None:
        self._entries += 1
        if self._entries > self._limits.archive_entries:
            raise LimitExceeded(
                f"The archive has more than {self._limits.archive_entries:,} files.",
                "Unpack it and add the folder, or raise ingest.archive_entries.",
            )

    def take(self, read: Callable[[int], bytes], name: str) -> bytes:
        """A whole member, counted. Raises LimitExceeded."""
        pieces: list[bytes] = []
        size = 0
        while piece := read(_STEP):
            self.add(len(piece))
            size += len(piece)
            if size > self._limits.file_bytes:
                raise _TooLargeMember(
                    f"{name} in the archive has more than {self._limits.file_bytes // MIB} MiB.",
                    "Raise ingest.file_bytes.",
                )
            pieces.append(piece)
        return b"".join(pieces)


class _TooLargeMember(LimitExceeded):
    """One member is too large; the others may not be."""


class _Problems:
    """Members that were not given, and the error that says so at the end."""

    def __init__(self) -> None:
        self._refused: list[str] = []
        self._first: ReadError | None = None

    def refuse(self, name: str) -> None:
        self._refused.append(name)

    def note(self, error: ReadError) -> None:
        self._first = self._first or error

    def settle(self) -> None:
        if self._first is not None:
            error = self._first
            kind = LimitExceeded if isinstance(error, _TooLargeMember) else type(error)
            raise kind(error.message, error.hint)
        if self._refused:
            names = ", ".join(repr(n[:100]) for n in self._refused[:3]) + (" …" if len(self._refused) > 3 else "")
            raise Unreadable(
                f"Refused in the archive: {names} (links, devices, or names that point out of it).",
                "The other files of the archive were read.",
            )


def _safe(name: str) -> str | None:
    """The member's name with forward slashes; None where it points out of the archive."""
    name = name.replace("\\", "/")
    parts = name.split("/")
    if name.startswith("/") or ".." in parts or (len(parts[0]) == 2 and parts[0][1] == ":") or "\0" in name:
        return None
    return posixpath.normpath(name)


def _uri(archive: Blob, name: str) -> str:
    """Names of members come from strangers as well: escaped as those of files."""
    return f"{archive.uri}{MEMBER}{uri_of(name)}"


def _is_junk(name: str) -> bool:
    parts = name.split("/")
    return parts[0] == "__MACOSX" or parts[-1] in _JUNK


def _zip(blob: Blob, limits: ReadLimits, counter: _Counter) -> Iterator[tuple[str, Blob]]:
    problems = _Problems()
    try:
        archive = zipfile.ZipFile(io.BytesIO(blob.data))
    except _BROKEN as error:
        raise DamagedFile(
            "The ZIP archive is cut off or damaged.", "Pack it again, or unpack what is left and add the folder."
        ) from error
    for info in archive.infolist():
        if info.is_dir():
            continue
        counter.entry()
        name = _safe(_zip_name(info))
        kind = stat.S_IFMT(info.external_attr >> 16)
        if name is None or kind not in (0, stat.S_IFREG):
            problems.refuse(_zip_name(info))
        elif not _is_junk(name):
            try:
                data = _zip_member(archive, info, name, limits, counter)
            except (EncryptedFile, DamagedFile, _TooLargeMember) as error:
                problems.note(error)
            else:
                yield _uri(blob, name), Blob(name, data, "", blob.modified)
    problems.settle()


def _zip_name(info: zipfile.ZipInfo) -> str:
    """Many tools write UTF-8 without saying so."""
    if not info.flag_bits & 0x800:
        try:
            return info.filename.encode("cp437").decode("utf-8")
        except UnicodeError:
            return info.filename
    return info.filename


def _zip_member(
    archive: zipfile.ZipFile, info: zipfile.ZipInfo, name: str, limits: ReadLimits, counter: _Counter
) -> bytes:
    encrypted = bool(info.flag_bits & 1)
    for password in limits.passwords if encrypted else ("",):
        try:
            with archive.open(info, pwd=password.encode() if encrypted else None) as member:
                return counter.take(member.read, name)
        except RuntimeError as error:  # a wrong password; NotImplementedError is one too
            if not encrypted or isinstance(error, NotImplementedError):
                raise _damaged(name, error) from error
        except _BROKEN as error:
            if not encrypted:  # a wrong password that passed the one-byte check fails here
                raise _damaged(name, error) from error
    raise EncryptedFile(
        f"{name} in the archive is encrypted.",
        "Put its password into the setting ingest.passwords, or unpack the archive.",
    )


def _damaged(name: str, error: Exception) -> DamagedFile:
    return DamagedFile(f"{name} in the archive is damaged ({error}).", "Pack the archive again.")


def _gzip(blob: Blob, limits: ReadLimits, counter: _Counter) -> Iterator[tuple[str, Blob]]:
    with GzipFile(fileobj=io.BytesIO(blob.data)) as stream:
        try:
            head = stream.read(512)
            stream.seek(0)
            if head[257:262] == b"ustar":
                yield from _tar(blob, stream, limits, counter)
                return
            counter.entry()
            name = _gzip_name(blob.uri)
            data = counter.take(stream.read, name)
        except _TooLargeMember as error:
            raise LimitExceeded(error.message, error.hint) from error
        except _BROKEN as error:
            raise _damaged(_gzip_name(blob.uri), error) from error
    yield _uri(blob, name), Blob(name, data, "", blob.modified)


def _gzip_name(uri: str) -> str:
    name = uri.replace("\\", "/").rpartition("/")[2]
    if name.lower().endswith(".tgz"):
        return name[:-4] + ".tar"
    return name[:-3] if name.lower().endswith(".gz") else name


def _tar(
    blob: Blob, stream: io.BytesIO | GzipFile, limits: ReadLimits, counter: _Counter
) -> Iterator[tuple[str, Blob]]:
    problems = _Problems()
    try:
        counted = cast("IO[bytes]", _CountedStream(stream, counter))  # all that tarfile asks of it is read
        with tarfile.open(fileobj=counted, mode="r|") as archive:
            for info in archive:
                if info.isdir():
                    continue
                counter.entry()
                name = _safe(info.name)
                member = archive.extractfile(info) if info.isreg() and name is not None else None
                if name is None or member is None:
                    problems.refuse(info.name)
                elif not _is_junk(name):
                    if info.size > limits.file_bytes:
                        problems.note(
                            _TooLargeMember(
                                f"{name} in the archive has more than {limits.file_bytes // MIB} MiB.",
                                "Raise ingest.file_bytes.",
                            )
                        )
                        continue
                    yield _uri(blob, name), Blob(name, member.read(), "", blob.modified)
    except _BROKEN as error:
        problems.note(_damaged("A file", error))
    problems.settle()


class _CountedStream:
    """What tarfile reads, counted."""

    def __init__(self, stream: io.BytesIO | GzipFile, counter: _Counter) -> None:
        self._stream, self._counter = stream, counter

    def read(self, size: int) -> bytes:
        piece = self._stream.read(size)
        self._counter.add(len(piece))
        return piece
