"""What a folder of backups looks like, and how it is read.

    DIR/ragstone-backup          marker with the format's number
    DIR/lock                     one backup or restore at a time
    DIR/packs/HEX.pack           parts, named by the BLAKE2b-256 of their bytes: pages of a database one after the
                                 other, or one index file, or files one after the other
    DIR/generations/N.manifest   which pages, in which packs, make the databases of generation N

Packs are shared between generations and never changed. A manifest is written when all that it names is durable, and
carries its own checksum: a generation is either complete or not there.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from ..errors import BackupDamaged, InputError, NotFound, StoreBusy, StoreNewer
from .connect import DATABASE, os_error
from .layout import SHARED, is_place

FORMAT: Final = 1
MARKER: Final = "ragstone-backup"
LOCK: Final = "lock"
PACKS: Final = "packs"
GENERATIONS: Final = "generations"
MAGIC: Final = b"RGSBACK1"
PLACE: Final = np.dtype([("high", "<u8"), ("low", "<u8"), ("pack", "<u4"), ("slot", "<u4")])
"""Of one page: its BLAKE2b-128, the pack (by its number in the manifest) and the place in it."""
Table = NDArray[np.void]
"""PLACE of every page of a database, in order."""
READ_BYTES: Final = 4 << 20
_UPLOAD = re.compile(r"[0-9a-f]{32}")
_ORIGINAL = re.compile(r"[0-9a-f]{32}/[0-9a-f]{32}\.[0-9a-f]{1,128}")
_MANIFEST = re.compile(r"(\d{8})\.manifest")


class Pack(msgspec.Struct, frozen=True):
    """`name` is the BLAKE2b-256 of the file's bytes, in hexadecimal."""

    name: str
    size: int


class SegmentPart(msgspec.Struct, frozen=True):
    """An index file, which is a pack of its own."""

    name: str
    pack: int


class DatabasePart(msgspec.Struct, frozen=True):
    """A database with its index files. `folder` is "" or a tenant's, `digest` the BLAKE2b-256 of the whole file,
    `places` one PLACE for each of its pages."""

    folder: str
    name: str
    schema: int
    page_size: int
    digest: bytes
    places: bytes
    segments: list[SegmentPart] = []

    def table(self) -> Table:
        return np.frombuffer(self.places, dtype=PLACE)

    @property
    def size(self) -> int:
        return len(self.places) // PLACE.itemsize * self.page_size


class FilePart(msgspec.Struct, frozen=True):
    """A file that is kept as it came: so many bytes of a pack."""

    folder: str
    name: str
    pack: int
    offset: int
    size: int


class Manifest(msgspec.Struct, frozen=True):
    """The first of `databases` is the default tenant's. `uploads` are files that a job has still to read, `originals`
    those whose pages are shown; backups of earlier versions have none of these."""

    format: int
    generation: int
    created: float
    version: str
    identity: str
    packs: list[Pack]
    databases: list[DatabasePart]
    uploads: list[FilePart]
    originals: list[FilePart] = []

    @property
    def schema(self) -> int:
        """Of the default tenant's documents."""
        return self.databases[0].schema

    @property
    def total(self) -> int:
        """Bytes of databases, index files, uploads and originals."""
        databases = sum(
            part.size + sum(self.packs[segment.pack].size for segment in part.segments) for part in self.databases
        )
        return databases + sum(part.size for part in (*self.uploads, *self.originals))


def require(folder: Path) -> None:
    """Raises NotFound where the folder holds no backup, StoreNewer where its format is not known here."""
    try:
        text = (folder / MARKER).read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        raise NotFound(
            f"{folder} holds no backup of Ragstone.", "Name the folder that `ragstone backup` wrote."
        ) from None
    if not text.isdigit():
        raise BackupDamaged(f"{folder / MARKER} is damaged.", f"Write the line {FORMAT} into it.")
    if int(text) > FORMAT:
        raise StoreNewer(
            f"the backup in {folder} was written by a newer version (format {text}, this one knows {FORMAT}).",
            "Install the newer version of Ragstone.",
        )


@contextmanager
def locked(folder: Path, *, writing: bool = True) -> Iterator[None]:
    """Raises StoreBusy where another backup or restore is at work in this folder. Where nobody can write, reading
    needs no lock."""
    try:
        descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        if not writing and error.errno in (errno.EROFS, errno.EACCES):
            yield
            return
        raise os_error(error, folder) from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise StoreBusy(f"another backup or restore works in {folder}.", "Try again when it is done.") from error
        yield
    finally:
        os.close(descriptor)


def generations(folder: Path) -> list[int]:
    """Numbers of the generations that are there, rising."""
    matches = (_MANIFEST.fullmatch(path.name) for path in (folder / GENERATIONS).glob("*.manifest"))
    return sorted(int(match[1]) for match in matches if match)


def manifest_path(folder: Path, generation: int) -> Path:
    return folder / GENERATIONS / f"{generation:08d}.manifest"


def pack_path(folder: Path, name: str) -> Path:
    return folder / PACKS / f"{name}.pack"


def encode(manifest: Manifest) -> bytes:
    body = msgspec.msgpack.encode(manifest)
    return MAGIC + hashlib.blake2b(body, digest_size=32).digest() + body


def read_manifest(folder: Path, generation: int) -> Manifest:
    """Raises NotFound, BackupDamaged, StoreNewer."""
    path = manifest_path(folder, generation)
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise NotFound(
            f"{folder} holds no generation {generation}.", "`ragstone backup DIR --list` shows them."
        ) from None
    except OSError as error:
        raise os_error(error, folder) from error
    head, body = data[:40], data[40:]
    if head != MAGIC + hashlib.blake2b(body, digest_size=32).digest():
        raise damaged(folder, generation, f"{path.name} is not what was written")
    try:
        manifest = msgspec.msgpack.decode(body, type=Manifest)
    except msgspec.MsgspecError as error:
        raise damaged(folder, generation, f"{path.name} cannot be understood ({error})") from error
    if manifest.format > FORMAT:
        raise StoreNewer(
            f"generation {generation} in {folder} was written by a newer version.", "Install that version."
        )
    wrong = _wrong(manifest)
    if wrong:
        raise damaged(folder, generation, f"{path.name} names {wrong}")
    return manifest


def _wrong(manifest: Manifest) -> str:
    """What no backup writes, or ""."""
    packs = len(manifest.packs)
    if not manifest.databases or (manifest.databases[0].folder, manifest.databases[0].name) != ("", DATABASE):
        return "no database"
    for part in manifest.databases:
        places = part.table()
        if not len(places) or int(places["pack"].max()) >= packs or any(s.pack >= packs for s in part.segments):
            return "parts that it does not list"
        if not is_place(part.folder) or part.name not in ((DATABASE,) if part.folder else (DATABASE, *SHARED)):
            return f"{part.folder}/{part.name}, which is no place of a database"
        if any(Path(segment.name).name != segment.name for segment in part.segments):
            return "something that is no name of an index file"
    for parts, name in ((manifest.uploads, _UPLOAD), (manifest.originals, _ORIGINAL)):
        for kept in parts:
            if not is_place(kept.folder) or not name.fullmatch(kept.name):
                return "something that is no name of a file"
            if kept.pack >= packs or min(kept.pack, kept.offset, kept.size) < 0:
                return "parts that it does not list"
            if kept.offset + kept.size > manifest.packs[kept.pack].size:
                return "a file that its part does not hold"
    return ""


def damaged(folder: Path, generation: int, what: str) -> BackupDamaged:
    return BackupDamaged(
        f"generation {generation} in {folder} cannot be restored: {what}.",
        "Choose another with --generation; `ragstone backup DIR --check` tells which are whole.",
    )


def unsound(folder: Path, pack: Pack, *, read: bool) -> str:
    """What is wrong with a pack, or "". Without `read` only its size is looked at."""
    path = pack_path(folder, pack.name)
    try:
        if path.stat().st_size != pack.size:
            return f"{path.name} has {path.stat().st_size} bytes instead of {pack.size}"
        if read and file_digest(path).hex() != pack.name:
            return f"{path.name} is not what was written"
    except FileNotFoundError:
        return f"{path.name} is missing"
    except OSError as error:
        return f"{path.name} cannot be read ({error.strerror})"
    return ""


def file_digest(path: Path) -> bytes:
    """BLAKE2b-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=32)).digest()


def page_digests(path: Path, page_size: int) -> Table:
    """PLACE for each page of a database file, with the digests filled in. 8 µs a page."""
    pieces = []
    with path.open("rb") as file:
        while block := memoryview(file.read(READ_BYTES - READ_BYTES % page_size)):
            for first in range(0, len(block), page_size):
                pieces.append(hashlib.blake2b(block[first : first + page_size], digest_size=16).digest())
    found = np.zeros(len(pieces), dtype=PLACE)
    halves = np.frombuffer(b"".join(pieces), dtype="<u8").reshape(-1, 2)
    found["high"], found["low"] = halves[:, 0], halves[:, 1]
    return found


def sync_folder(folder: Path) -> None:
    """Names in the folder survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def require_apart(folder: Path, destination: Path) -> None:
    """Raises InputError where one lies in the other."""
    data, backups = folder.resolve(), destination.resolve()
    if data == backups or data in backups.parents or backups in data.parents:
        raise InputError(
            f"the backups ({destination}) and the data folder ({folder}) lie in each other.",
            "Choose another folder for the backups, best on another disk.",
        )
