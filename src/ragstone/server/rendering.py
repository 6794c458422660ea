"""Pictures of pages, drawn in confined processes of their own: a PDF from anybody may be hostile."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Final

from ..errors import NotFound, ReaderCrashed, ReadError
from ..ingest.frames import PageImage
from ..ingest.limits import ReadFailure, ReadLimits
from ..ingest.names import uri_of
from ..ingest.page_image import TASK, PageOptions, PageRequest, wanted
from ..ingest.sandbox import Sandbox
from ..ingest.sources import Source, load
from ..knowledge_base import KnowledgeBase
from ..storage.originals import Originals
from ..types import Document

AT_ONCE: Final = 2
"""Pages drawn at once in one process of the server; more wait."""


class Renderer:
    """Starts its processes with the first page. Thread-safe."""

    def __init__(self, limits: ReadLimits) -> None:
        self._sandbox = Sandbox(PageOptions(limits), AT_ONCE, task=TASK)
        self._turns = threading.BoundedSemaphore(AT_ONCE)

    def draw(self, data: bytes, request: PageRequest) -> PageImage:
        """Raises ReadError."""
        with self._turns:
            for _, results in self._sandbox.run([wanted(request, data)]):
                for result in results:
                    if isinstance(result, PageImage):
                        return result
                    if isinstance(result, ReadFailure):
                        raise result.error()
        raise ReaderCrashed("the page was not drawn.", "Try again.")

    def close(self) -> None:
        self._sandbox.close()


def original(kb: KnowledgeBase, document: Document, most_bytes: int) -> bytes:
    """The bytes that the document was read from: those that were uploaded, or a file below a folder that was added
    here, as long as it is as it was. Raises NotFound."""
    try:
        return Originals(kb.store.folder).read(document.collection, document.uri, document.content_hash)
    except NotFound:
        found = _local(kb, document, most_bytes)
        if found is None:
            raise
        return found


def _local(kb: KnowledgeBase, document: Document, most_bytes: int) -> bytes | None:
    """Only what was named by whoever runs this machine is looked at: a client names its documents as it likes."""
    path = Path(document.uri)
    if not path.is_absolute() or uri_of(os.fspath(path)) != document.uri:
        return None
    for root in kb.store.roots(document.collection):
        if path.is_relative_to(root):
            folder = root if Path(root).is_dir() else os.path.dirname(root)  # noqa: PTH120 - as `Source` has it
            try:
                blob = load(Source(os.fspath(path), document.uri, folder), most_bytes)
            except ReadError:
                return None
            unchanged = (len(blob.data), blob.modified) == (document.size, document.modified)
            return blob.data if unchanged else None
    return None
