"""EPUB: the chapters in the order of the spine, headings from their markup, else from the table of contents."""

from __future__ import annotations

import posixpath

from ...errors import DamagedFile, EmptyFile, EncryptedFile, LimitExceeded
from ...types import Blob, Heading, MetadataValue, ParsedDocument
from ..limits import ReadLimits
from .html import read_html
from .package import Package, Properties, resolve
from .text import decode

MEDIA_TYPE = "application/epub+zip"
_PAGES = frozenset({"application/xhtml+xml", "text/html", "application/x-dtbook+xml", "text/x-oeb1-document"})
# obfuscated fonts are "encrypted" too, and no obstacle
_FONT_METHODS = ("http://www.idpf.org/2008/embedding", "http://ns.adobe.com/pdf/enc#RC")


def read(blob: Blob, limits: ReadLimits) -> ParsedDocument:
    """Raises DamagedFile, EncryptedFile, LimitExceeded, EmptyFile."""
    package = Package(blob, limits, "EPUB")
    book = _find_book(package)
    contents = _contents(package, book)
    parts: list[str] = []
    headings: list[Heading] = []
    length = 0
    for name in book.spine:
        data = package.read(name)
        if not data:
            continue
        chapter = read_html(decode(data)[0], limits)
        text = chapter.text.strip("\n")
        if not text.strip():
            continue
        if parts:
            parts.append("\n\n")
            length += 2
        shift = length - (len(chapter.text) - len(chapter.text.lstrip("\n")))
        if chapter.headings:
            headings.extend(Heading(h.level, h.title, max(length, h.start + shift)) for h in chapter.headings)
        elif name in contents:
            headings.append(Heading(1, contents[name], length))
        parts.append(text)
        length += len(text)
        if length > limits.text_characters:
            raise LimitExceeded(
                f"The EPUB has more than {limits.text_characters:,} characters.",
                "Split it, or raise ingest.text_characters.",
            )
    if not parts:
        raise EmptyFile("There is no text in the EPUB.")
    metadata: dict[str, MetadataValue] = dict(book.properties.metadata())
    title = book.properties.values.get("dc:title", "")
    return ParsedDocument("".join(parts), title, MEDIA_TYPE, book.properties.language, (), tuple(headings), metadata)


class _Book:
    """The OPF: manifest, spine and metadata. `spine` and `toc` are names of parts."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._items: dict[str, tuple[str, str]] = {}
        self._order: list[str] = []
        self._ncx = ""
        self.properties = Properties()
        self.nav = ""

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self.properties.start(name, attributes)
        local = name.rpartition(":")[2]
        if local == "item":
            part = resolve(self._folder, attributes.get("href", ""))
            self._items[attributes.get("id", "")] = (part, attributes.get("media-type", ""))
            if "nav" in attributes.get("properties", "").split():
                self.nav = part
        elif local == "itemref" and attributes.get("linear", "yes") != "no":
            self._order.append(attributes.get("idref", ""))
        elif local == "spine":
            self._ncx = attributes.get("toc", "")

    def end(self, name: str) -> None:
        self.properties.end(name)

    def data(self, text: str) -> None:
        self.properties.data(text)

    @property
    def spine(self) -> list[str]:
        ordered = [self._items[i] for i in dict.fromkeys(self._order) if i in self._items]
        chosen = [part for part, kind in ordered or self._items.values() if kind in _PAGES or not kind]
        return [part for part in chosen if part != self.nav]

    @property
    def ncx(self) -> str:
        by_id = self._items.get(self._ncx, ("", ""))[0]
        return by_id or next((p for p, kind in self._items.values() if kind == "application/x-dtbncx+xml"), "")


class _Container:
    def __init__(self) -> None:
        self.path = ""

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if name == "container:rootfile" and not self.path:
            self.path = resolve("", attributes.get("full-path", ""))

    def end(self, name: str) -> None:
        pass

    def data(self, text: str) -> None:
        pass


class _Encryption:
    def __init__(self) -> None:
        self.real = False

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if name.rpartition(":")[2] == "EncryptionMethod":
            self.real = self.real or not attributes.get("Algorithm", "").startswith(_FONT_METHODS)

    def end(self, name: str) -> None:
        pass

    def data(self, text: str) -> None:
        pass


def _find_book(package: Package) -> _Book:
    container = _Container()
    package.parse("META-INF/container.xml", container, doctype=True)
    path = container.path or next((n for n in package.names if n.lower().endswith(".opf")), "")
    if path not in package:
        raise DamagedFile("The EPUB has no list of its contents.", "Convert it again, for instance with Calibre.")
    encryption = _Encryption()
    package.parse("META-INF/encryption.xml", encryption, doctype=True)
    if encryption.real:
        raise EncryptedFile("The EPUB is protected (DRM) and cannot be read.", "Use a copy without protection.")
    book = _Book(posixpath.dirname(path))
    package.parse(path, book, doctype=True)
    return book


class _TableOfContents:
    """toc.ncx or the navigation page: label of each part, the first that points to it."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._text: list[str] | None = None
        self._label = ""
        self._target = ""
        self.labels: dict[str, str] = {}

    def start(self, name: str, attributes: dict[str, str]) -> None:
        local = name.rpartition(":")[2]
        if local == "text" or (local == "a" and "href" in attributes):
            self._text = []
            self._target = resolve(self._folder, attributes.get("href", "")) if local == "a" else ""
        elif local == "content" and self._label:
            self.labels.setdefault(resolve(self._folder, attributes.get("src", "")), self._label)
            self._label = ""

    def data(self, text: str) -> None:
        if self._text is not None:
            self._text.append(text)

    def end(self, name: str) -> None:
        local = name.rpartition(":")[2]
        if self._text is not None and local in ("text", "a"):
            self._label = " ".join("".join(self._text).split())
            if self._target and self._label:
                self.labels.setdefault(self._target, self._label)
            self._text = None


def _contents(package: Package, book: _Book) -> dict[str, str]:
    for part in (book.ncx, book.nav):
        if part and part in package:
            handler = _TableOfContents(posixpath.dirname(part))
            try:
                package.parse(part, handler, doctype=True)
            except DamagedFile:
                continue  # a broken table of contents does not make the book unreadable
            if handler.labels:
                return handler.labels
    return {}
