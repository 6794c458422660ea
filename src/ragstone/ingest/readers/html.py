"""HTML as a reader sees it: visible text in document order, headings, lists, tables as rows of cells. Bars of links
that the page calls navigation are left out, unless there is nothing else."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from selectolax.lexbor import LexborHTMLParser, LexborNode

from ...errors import LimitExceeded
from ...types import Blob, Heading, MetadataValue, ParsedDocument
from ..limits import ReadLimits
from .text import decode, decode_as, tidy

_INVISIBLE = frozenset(
    (
        *("script", "style", "template", "head", "noscript", "iframe", "object", "canvas", "audio", "video"),
        *("select", "datalist", "button", "input", "link", "meta", "base", "area", "map", "svg", "noembed"),
    )
)
_HEADINGS = {f"h{n}": n for n in range(1, 7)}
_PARAGRAPHS = frozenset(
    (
        *("p", "div", "section", "article", "main", "header", "footer", "nav", "aside", "blockquote", "figure"),
        *("figcaption", "ul", "ol", "dl", "table", "pre", "form", "fieldset", "address", "details", "hr"),
        *("hgroup", "search", "dialog", "center", "menu"),
    )
)
_LINES = frozenset(
    ("li", "tr", "dt", "dd", "br", "caption", "summary", "legend", "option", "thead", "tbody", "body", "html")
)
_CELLS = frozenset(("td", "th"))
# What tools that write manuals call the bars with "previous", "up" and "next", and paths to where the page is.
_NAVIGATION = frozenset(
    (
        *("navheader", "navfooter", "navigation", "navbar", "nav-bar", "breadcrumb", "breadcrumbs"),
        *("skip-link", "headerlink"),
    )
)
_HIDDEN_STYLE = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden", re.I)
_SPACE = re.compile(r"[ \t\n\r\x0c\xa0\u200b]+")
_CHARSET = re.compile(rb"<meta\s[^>]*?charset\s*=\s*[\"']?\s*([\w.:-]+)|<\?xml[^>]*?encoding=[\"']([\w.:-]+)", re.I)
_CONTAINER = re.compile(r"<(/?)(?:div|span|section|table|blockquote|ul|ol|font|b|i|u|em|strong|a|center|form)\b", re.I)
# lexbor looks through the stack of open elements for each new one: 20,000 open <div> cost 2 s, 200,000 cost 233 s
_DEEP_TIMES = 10
_LONG_CELL = 400  # characters
_MAX_LAYOUT = 8  # nested tables
_META = {"description", "author", "keywords", "date", "dc.date", "dc.creator", "article:published_time"}


def read(blob: Blob, limits: ReadLimits) -> ParsedDocument:
    return read_html(_decode(blob.data), limits)


def read_html(source: str, limits: ReadLimits) -> ParsedDocument:
    """The visible text of `source`. Raises LimitExceeded for nesting that no page has."""
    _refuse_depth(source, limits)
    tree = LexborHTMLParser(source)
    root = tree.root
    if root is None:
        return ParsedDocument(text="", media_type="text/html")
    metadata, language = _head(tree)
    walk = _walked(root, limits, navigation=False)
    if not walk.length:
        walk = _walked(root, limits, navigation=True)
    text = walk.text()
    title_node = tree.css_first("head > title") or tree.css_first("title")
    title = _SPACE.sub(" ", title_node.text()).strip() if title_node is not None else ""
    if not title:
        title = next((h.title for h in walk.headings if h.level == 1), "")
    return ParsedDocument(
        text=text,
        title=tidy(title),
        media_type="text/html",
        language=language,
        headings=tuple(walk.headings),
        metadata=metadata,
    )


def _walked(root: LexborNode, limits: ReadLimits, *, navigation: bool) -> _Walk:
    walk = _Walk(limits.element_depth * _DEEP_TIMES, navigation)
    walk.visit(root)
    return walk


def _decode(data: bytes) -> str:
    """Declared encoding where it holds, else as for plain text."""
    declared = _CHARSET.search(data[:2048])
    if declared is not None and not data.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")):
        name = (declared[1] or declared[2]).decode("ascii").lower()
        # a declaration of UTF-16 that could be read byte by byte is wrong
        text = decode_as(data, "utf-8" if name.startswith("utf-16") else name)
        if text is not None:
            return text
    return decode(data)[0]


def _refuse_depth(source: str, limits: ReadLimits) -> None:
    ceiling = limits.element_depth * _DEEP_TIMES
    if source.count("<") <= ceiling:
        return
    depth = 0
    for match in _CONTAINER.finditer(source):
        depth = max(0, depth - 1) if match[1] else depth + 1
        if depth > ceiling:
            raise LimitExceeded(f"Elements are nested more than {ceiling:,} deep.", "Flatten the document.")


def _head(tree: LexborHTMLParser) -> tuple[dict[str, MetadataValue], str]:
    metadata: dict[str, MetadataValue] = {}
    language = ""
    for node in tree.css("meta"):
        attributes = node.attributes
        name = (attributes.get("name") or attributes.get("property") or "").lower()
        content = attributes.get("content") or ""
        if name in _META and content.strip():
            metadata.setdefault(name.rpartition(":")[2].removeprefix("dc."), tidy(content.strip()))
        if (attributes.get("http-equiv") or "").lower() == "content-language":
            language = content
    for tag in ("html", "body"):
        found = tree.css_first(tag)
        if found is not None:
            language = found.attributes.get("lang") or found.attributes.get("xml:lang") or language
    language = language.strip()[:2].lower()
    return metadata, language if len(language) == 2 and language.isalpha() else ""


@dataclass(slots=True)
class _Walk:
    """The state of one pass over the tree. Text is built left to right; `gap` is what must stand between what is
    there and what comes: nothing, a space, a line break or an empty line."""

    max_depth: int
    navigation: bool  # whether bars of links are read too
    headings: list[Heading] = field(default_factory=list)
    parts: list[str] = field(default_factory=list)
    length: int = 0
    gap: str = ""
    pre: int = 0
    cells: list[int] = field(default_factory=list)  # per open row: length of the text when it began
    rows: list[bool] = field(default_factory=list)  # per open cell: its text stays in the row
    lists: list[int] = field(default_factory=list)
    marker: str = ""
    heading: tuple[int, int] | None = None  # level, index in parts

    def visit(self, root: LexborNode) -> None:
        """Pre-order without recursion: depth of the input is not depth of the stack."""
        node: LexborNode | None = root
        depth = 0
        while node is not None:
            child = self.enter(node)
            if child is not None:
                depth += 1
                if depth > self.max_depth:
                    raise LimitExceeded(f"Elements are nested more than {self.max_depth:,} deep.", "Flatten it.")
                node = child
                continue
            while node is not None and depth > 0 and node.next is None:
                node = node.parent
                depth -= 1
                if node is not None:
                    self.leave(node)
            node = node.next if node is not None and depth > 0 else None

    def enter(self, node: LexborNode) -> LexborNode | None:
        """Returns the first child to go on with, None where there is none to visit."""
        if node.is_text_node:
            self.add(node.text_content or "")
            return None
        tag = node.tag
        if not node.is_element_node:
            return node.child if node.is_document_node else None
        if tag in _INVISIBLE or self.is_hidden(node) or (not self.navigation and _is_navigation(node)):
            return None
        self.boundary(tag)
        if tag == "pre" or tag == "textarea":
            self.pre += 1
        elif tag in _HEADINGS and self.heading is None:
            self.heading = (_HEADINGS[tag], len(self.parts))
        elif tag in ("ul", "ol", "menu"):
            self.lists.append(0 if tag == "ol" else -1)
        elif tag == "li":
            self.start_item()
        elif tag == "tr":
            self.cells.append(self.length)
        elif tag in _CELLS and self.cells:
            self.start_cell(node)
        elif tag == "img":
            self.add(" " + (node.attributes.get("alt") or "") + " ")
        child = node.child
        if child is None:
            self.leave(node)
        return child

    def leave(self, node: LexborNode) -> None:
        tag = node.tag
        if tag == "pre" or tag == "textarea":
            self.pre = max(0, self.pre - 1)
        elif tag in _HEADINGS:
            self.end_heading()
        elif tag in ("ul", "ol", "menu") and self.lists:
            self.lists.pop()
        elif tag == "tr" and self.cells:
            self.cells.pop()
        elif tag in _CELLS and self.rows:
            self.rows.pop()
        elif tag == "a" and node.next is not None and node.next.tag == "a":
            self.gap = self.gap or " "  # menus: what style sheets keep apart
        elif tag == "dt":
            self.gap = "\n"
        if tag != "br":
            self.boundary(tag)

    @staticmethod
    def is_hidden(node: LexborNode) -> bool:
        attributes = node.attributes
        if not attributes:
            return False
        if "hidden" in attributes and attributes["hidden"] != "until-found":
            return True
        style = attributes.get("style")
        return style is not None and _HIDDEN_STYLE.search(style) is not None

    def boundary(self, tag: str | None) -> None:
        if tag in _HEADINGS or tag in _PARAGRAPHS:
            if self.rows and self.rows[-1]:
                self.gap = self.gap or " "
            elif self.lists and tag not in _HEADINGS:
                self.gap = "\n" if self.gap != "\n\n" else self.gap
            else:
                self.gap = "\n\n"
        elif tag in _LINES:
            if self.rows and self.rows[-1] and tag != "tr":
                self.gap = self.gap or " "
            elif tag == "br" and self.gap == "\n":
                self.gap = "\n\n"
            elif self.gap != "\n\n":
                self.gap = "\n"

    def start_cell(self, node: LexborNode) -> None:
        """Cells of data stand in their row; a long cell is layout, and its blocks are kept apart."""
        row = len(self.rows) >= _MAX_LAYOUT or len(node.text()) <= _LONG_CELL
        if self.length > self.cells[-1]:
            self.gap = " | " if row else "\n\n"
        self.rows.append(row)

    def start_item(self) -> None:
        indent = "  " * max(0, len(self.lists) - 1)
        if self.lists and self.lists[-1] >= 0:
            self.lists[-1] += 1
            self.marker = f"{indent}{self.lists[-1]}. "
        else:
            self.marker = f"{indent}- "

    def add(self, text: str) -> None:
        if self.pre:
            if text:
                self.emit(text.replace("\t", "    ") if not self.cells else _SPACE.sub(" ", text))
            return
        words = _SPACE.sub(" ", text)
        if words == " " or not words:
            self.gap = self.gap or words
            return
        if words[0] == " ":
            self.gap = self.gap or " "
        self.emit(words.strip(" "))
        if words[-1] == " ":
            self.gap = " "

    def emit(self, text: str) -> None:
        gap = self.gap if self.length else ""
        self.gap = ""
        if self.marker:
            gap = "\n" if gap == " " or (not gap and self.length) else gap
            text, self.marker = self.marker + text, ""
        if gap:
            self.parts.append(gap)
            self.length += len(gap)
        self.parts.append(text)
        self.length += len(text)

    def end_heading(self) -> None:
        if self.heading is None:
            return
        level, index = self.heading
        self.heading = None
        title = "".join(self.parts[index:])
        clean = " ".join(title.split())
        if clean:
            start = self.length - len(title) + (len(title) - len(title.lstrip()))
            self.headings.append(Heading(level, clean, start))

    def text(self) -> str:
        return "".join(self.parts).rstrip()


def _is_navigation(node: LexborNode) -> bool:
    """Whether the page itself calls it so."""
    if node.tag == "nav":
        return True
    attributes = node.attributes
    if not attributes:
        return False
    if attributes.get("role") == "navigation":
        return True
    names = attributes.get("class")
    return names is not None and not _NAVIGATION.isdisjoint(names.lower().split())
