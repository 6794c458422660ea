"""Parts of a ZIP-based document (DOCX, PPTX, ODT, EPUB), counted as they are unpacked, and their XML as events.

Nothing is unpacked to disk and nothing that a header claims is believed: sizes are counted while reading. XML is
read as a stream of events; a DOCTYPE or an entity declaration ends the reading, so neither expansion bombs nor
external references can happen.
"""

from __future__ import annotations

import io
import posixpath
import struct
import zipfile
import zlib
from collections.abc import Callable
from typing import Any, Protocol
from urllib.parse import unquote
from xml.parsers import expat

from ...errors import DamagedFile, EmptyFile, EncryptedFile, LimitExceeded
from ...types import Blob
from ..limits import MIB, ReadLimits

_STEP = 1 << 16
# small texts that repeat themselves compress well without being bombs
_RATIO_FROM = 10 * MIB
_BROKEN = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    NotImplementedError,
    EOFError,
    OSError,
    ValueError,
)
_REPAIR = "Open it in its own program and save it again."

_PREFIXES = {
    "http://schemas.openxmlformats.org/wordprocessingml/2006/main": "w",
    "http://purl.oclc.org/ooxml/wordprocessingml/main": "w",
    "http://schemas.openxmlformats.org/drawingml/2006/main": "a",
    "http://purl.oclc.org/ooxml/drawingml/main": "a",
    "http://schemas.openxmlformats.org/drawingml/2006/chart": "c",
    "http://purl.oclc.org/ooxml/drawingml/chart": "c",
    "http://schemas.openxmlformats.org/presentationml/2006/main": "p",
    "http://purl.oclc.org/ooxml/presentationml/main": "p",
    "http://schemas.openxmlformats.org/officeDocument/2006/relationships": "r",
    "http://purl.oclc.org/ooxml/officeDocument/relationships": "r",
    "http://schemas.openxmlformats.org/officeDocument/2006/math": "m",
    "http://purl.oclc.org/ooxml/officeDocument/math": "m",
    "http://schemas.openxmlformats.org/markup-compatibility/2006": "mc",
    "http://schemas.openxmlformats.org/package/2006/relationships": "rel",
    "http://schemas.openxmlformats.org/package/2006/metadata/core-properties": "cp",
    "http://purl.org/dc/elements/1.1/": "dc",
    "http://purl.org/dc/terms/": "dcterms",
    "urn:oasis:names:tc:opendocument:xmlns:office:1.0": "office",
    "urn:oasis:names:tc:opendocument:xmlns:text:1.0": "text",
    "urn:oasis:names:tc:opendocument:xmlns:table:1.0": "table",
    "urn:oasis:names:tc:opendocument:xmlns:drawing:1.0": "draw",
    "urn:oasis:names:tc:opendocument:xmlns:style:1.0": "style",
    "urn:oasis:names:tc:opendocument:xmlns:presentation:1.0": "presentation",
    "urn:oasis:names:tc:opendocument:xmlns:meta:1.0": "meta",
    "urn:oasis:names:tc:opendocument:xmlns:manifest:1.0": "manifest",
    "http://www.idpf.org/2007/opf": "opf",
    "urn:oasis:names:tc:opendocument:xmlns:container": "container",
    "http://www.w3.org/1999/xhtml": "html",
}


class XmlHandler(Protocol):
    """Takes the events of one XML part. Names are "prefix:local" with the prefixes of `package.py`; attributes
    without a namespace have no prefix."""

    def start(self, name: str, attributes: dict[str, str]) -> None: ...

    def end(self, name: str) -> None: ...

    def data(self, text: str) -> None: ...


class Package:
    """An open document package. Raises DamagedFile, EncryptedFile, LimitExceeded, EmptyFile."""

    def __init__(self, blob: Blob, limits: ReadLimits, kind: str) -> None:
        if not blob.data:
            raise EmptyFile("The file is empty (0 bytes).")
        self._kind = kind
        self._limits = limits
        self._packed = len(blob.data)
        self._unpacked = 0
        try:
            self._zip = zipfile.ZipFile(io.BytesIO(blob.data))
        except _BROKEN as error:
            raise DamagedFile(f"This is not a {kind} file, or it is cut off or damaged.", _REPAIR) from error
        self._infos = {i.filename.replace("\\", "/").lstrip("/"): i for i in self._zip.infolist()}
        if len(self._infos) > limits.archive_entries:
            raise LimitExceeded(
                f"The {kind} file has {len(self._infos):,} parts; the limit is {limits.archive_entries:,}.",
                "Split it, or raise ingest.archive_entries.",
            )

    @property
    def names(self) -> list[str]:
        return list(self._infos)

    def __contains__(self, name: str) -> bool:
        return name in self._infos

    def read(self, name: str) -> bytes:
        """A whole part; b"" where it is not there."""
        pieces: list[bytes] = []
        self._feed(name, pieces.append)
        return b"".join(pieces)

    def head(self, name: str, size: int) -> bytes:
        """The first bytes of a part."""
        try:
            with self._zip.open(self._infos[name]) as part:
                return part.read(size)
        except _BROKEN as error:
            raise DamagedFile(f"The {self._kind} file is damaged ({name}: {error}).", _REPAIR) from error

    def count(self, name: str) -> None:
        """Unpacks a part only to count it (before another library unpacks it without counting)."""
        self._feed(name, lambda _: None)

    def parse(self, name: str, handler: XmlHandler, *, doctype: bool = False) -> bool:
        """Feeds a part's XML to `handler`; False where the part is not there. `doctype` allows a DOCTYPE that
        declares nothing (EPUB has them)."""
        if name not in self._infos:
            return False
        parser = _parser(handler, self._limits.element_depth, doctype, self._kind)
        try:
            self._feed(name, lambda piece: parser.Parse(piece, False))
            parser.Parse(b"", True)
        except expat.ExpatError as error:
            raise DamagedFile(f"The {self._kind} file is damaged: {name} is not XML ({error}).", _REPAIR) from error
        return True

    def _feed(self, name: str, take: Callable[[bytes], object]) -> None:
        info = self._infos.get(name)
        if info is None:
            return
        if info.flag_bits & 1:
            raise EncryptedFile(f"The {self._kind} file is encrypted.", "Save it without a password.")
        try:
            with self._zip.open(info) as part:
                while piece := part.read(_STEP):
                    self._unpacked += len(piece)
                    if self._unpacked > self._limits.archive_bytes:
                        raise self._too_large(f"more than {self._limits.archive_bytes // MIB} MiB", "archive_bytes")
                    if self._unpacked > max(_RATIO_FROM, self._limits.archive_ratio * self._packed):
                        raise self._too_large(f"{self._limits.archive_ratio} times its size", "archive_ratio")
                    take(piece)
        except _BROKEN as error:
            raise DamagedFile(f"The {self._kind} file is damaged ({name}: {error}).", _REPAIR) from error

    def _too_large(self, what: str, setting: str) -> LimitExceeded:
        return LimitExceeded(f"The {self._kind} file unpacks to {what}.", f"Split it, or raise ingest.{setting}.")

    def relations(self, part: str) -> list[Relation]:
        """Targets of an OOXML part (absolute names), "" for the package itself."""
        folder, name = posixpath.split(part)
        handler = _Relations(folder)
        self.parse(posixpath.join(folder, "_rels", f"{name}.rels"), handler)
        return handler.found


class Relation:
    """`kind` is the last word of the relation's type ("slide", "footnotes")."""

    __slots__ = ("id", "kind", "target")

    def __init__(self, id: str, kind: str, target: str) -> None:
        self.id, self.kind, self.target = id, kind, target


class _Relations:
    def __init__(self, folder: str) -> None:
        self._folder = folder
        self.found: list[Relation] = []

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if name == "rel:Relationship" and attributes.get("TargetMode") != "External":
            kind = attributes.get("Type", "").rpartition("/")[2]
            target = resolve(self._folder, attributes.get("Target", ""))
            self.found.append(Relation(attributes.get("Id", ""), kind, target))

    def end(self, name: str) -> None:
        pass

    def data(self, text: str) -> None:
        pass


def resolve(folder: str, target: str) -> str:
    """A reference inside of a package as the name of a part. It cannot leave the package: names are only looked up."""
    target = unquote(target.split("#", 1)[0])
    joined = target if target.startswith("/") else posixpath.join("/", folder, target)
    return posixpath.normpath(joined).lstrip("/")


class Properties:
    """Title, author and the like from core.xml, meta.xml or the metadata of an OPF, as plain text by element."""

    _WANTED = frozenset(
        [
            "dc:title",
            "dc:creator",
            "dc:subject",
            "dc:language",
            "dc:description",
            "dc:date",
            "cp:keywords",
            "dcterms:created",
            "meta:keyword",
            "meta:creation-date",
            "meta:initial-creator",
        ]
    )

    def __init__(self) -> None:
        self.values: dict[str, str] = {}
        self._name = ""
        self._text: list[str] = []

    def start(self, name: str, attributes: dict[str, str]) -> None:  # noqa: ARG002 - XmlHandler
        if name in self._WANTED:
            self._name, self._text = name, []

    def data(self, text: str) -> None:
        if self._name:
            self._text.append(text)

    def end(self, name: str) -> None:
        if name == self._name:
            value = " ".join("".join(self._text).split())
            if value:
                known = self.values.get(name)
                self.values[name] = f"{known}, {value}" if known and name != "dc:title" else known or value
            self._name = ""

    def metadata(self) -> dict[str, str]:
        """author, subject, keywords, created."""
        v = self.values
        pairs = {
            "author": v.get("dc:creator") or v.get("meta:initial-creator", ""),
            "subject": v.get("dc:subject", ""),
            "keywords": v.get("cp:keywords") or v.get("meta:keyword", ""),
            "created": (v.get("dcterms:created") or v.get("meta:creation-date") or v.get("dc:date", ""))[:10],
        }
        return {key: value for key, value in pairs.items() if value}

    @property
    def language(self) -> str:
        code = self.values.get("dc:language", "").replace("_", "-").split("-")[0].split(",")[0].lower()
        return code if len(code) == 2 else ""


def _parser(handler: XmlHandler, max_depth: int, doctype: bool, kind: str) -> Any:
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True
    parser.buffer_size = _STEP
    names: dict[str, str] = {}
    depth = 0

    def short(name: str) -> str:
        known = names.get(name)
        if known is None:
            uri, _, local = name.rpartition(" ")
            known = f"{_PREFIXES.get(uri, '?')}:{local}" if uri else local
            if len(names) < 10_000:
                names[name] = known
        return known

    def start(name: str, attributes: dict[str, str]) -> None:
        nonlocal depth
        depth += 1
        if depth > max_depth:
            raise LimitExceeded(f"The {kind} file is nested more than {max_depth} deep.", "Flatten it.")
        handler.start(short(name), {short(k): v for k, v in attributes.items()} if attributes else attributes)

    def end(name: str) -> None:
        nonlocal depth
        depth -= 1
        handler.end(short(name))

    def refuse(*_: object) -> int:
        raise DamagedFile(
            f"The {kind} file declares a document type or entities, which such files do not have.",
            "It may be an attack. Open it in its own program and save it again.",
        )

    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = handler.data
    if not doctype:
        parser.StartDoctypeDeclHandler = refuse
    parser.EntityDeclHandler = refuse
    parser.UnparsedEntityDeclHandler = refuse
    parser.ExternalEntityRefHandler = refuse
    return parser
