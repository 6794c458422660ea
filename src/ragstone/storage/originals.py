"""Files as they came, for documents whose pages are shown: DATA/originals/<collection>/<uri>.<version>, all hashes.

A document that is removed, or comes in another version, takes its file with it. What a killed process left over is
removed with `sweep`.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterable
from hashlib import blake2b
from pathlib import Path
from typing import Final

from ..errors import NotFound
from ..protocols import Store
from .connect import os_error
from .layout import ORIGINALS

_DIGEST: Final = 16
NEW: Final = ".new"
"""Ends the name of a file that is just being kept."""


class Originals:
    """Of one data folder."""

    def __init__(self, data: Path) -> None:
        self._data = data
        self._folder = data / ORIGINALS

    def keep(self, source: Path, collection: str, uri: str, version: bytes) -> None:
        """The file at `source`, which may be on another disk, as that of this version of the document; others go.
        Durable on return. Raises DiskFull, StoreReadOnly."""
        kept = self._path(collection, uri, version)
        if kept.exists():
            return
        try:
            kept.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            temporary = kept.with_suffix(NEW)
            temporary.unlink(missing_ok=True)
            try:
                os.link(source, temporary)
            except OSError:
                shutil.copyfile(source, temporary)
                _sync(temporary)
            temporary.replace(kept)
            for folder in (kept.parent, self._folder, self._data):
                _sync(folder)
        except OSError as error:
            raise os_error(error, self._data) from error
        self._remove(path for path in self._versions(collection, uri) if path != kept)

    def read(self, collection: str, uri: str, version: bytes) -> bytes:
        """Raises NotFound."""
        try:
            return self._path(collection, uri, version).read_bytes()
        except OSError:
            raise NotFound(
                "the file of this document was not kept.", "Upload it again; server.keep_originals has to be on."
            ) from None

    def forget(self, collection: str, uris: Iterable[str]) -> None:
        """Of documents that were removed."""
        if self._folder.is_dir():
            for uri in uris:
                self._remove(self._versions(collection, uri))

    def forget_collection(self, collection: str) -> None:
        shutil.rmtree(self._folder / _hashed(collection), ignore_errors=True)

    def sweep(self, store: Store) -> None:
        """Removes all but those of documents that are stored."""
        if self._folder.is_dir():
            stay = {
                self._path(collection, uri, known.content_hash)
                for collection in store.collections()
                for uri, known in store.known(collection).items()
            }
            self._remove(path for path in self._folder.glob("*/*") if path not in stay)

    def _path(self, collection: str, uri: str, version: bytes) -> Path:
        return self._folder / _hashed(collection) / f"{_hashed(uri)}.{version.hex()}"

    def _versions(self, collection: str, uri: str) -> list[Path]:
        return list((self._folder / _hashed(collection)).glob(f"{_hashed(uri)}.*"))

    def _remove(self, paths: Iterable[Path]) -> None:
        for path in paths:
            with contextlib.suppress(OSError):  # `sweep` comes again
                path.unlink(missing_ok=True)


def _hashed(text: str) -> str:
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=_DIGEST).hexdigest()


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
