"""Plain text in any encoding, and the decoding that every reader of a text family uses."""

from __future__ import annotations

import codecs
import re
from collections import Counter
from collections.abc import Iterator

from ...errors import UnsupportedFormat
from ...types import Blob, Heading, ParsedDocument
from ..limits import ReadLimits
from .registry import BY_EXTENSION, BY_NAME, extension

_BOMS = (
    (b"\xef\xbb\xbf", "utf-8"),
    (b"\xff\xfe\x00\x00", "utf-32-le"),
    (b"\x00\x00\xfe\xff", "utf-32-be"),
    (b"\xff\xfe", "utf-16-le"),
    (b"\xfe\xff", "utf-16-be"),
)
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ufeff]")
_ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)")
_OVERSTRIKE = re.compile(r".\x08")
_CONTROL_BYTES = bytes([*range(7), *range(14, 27), *range(28, 32)])
_HIGH = re.compile(r"[^\x00-\x7f]")
_SAMPLE = 1 << 16

# Single-byte tables of languages in Latin letters, the likelier first: where two give the same text the first counts
_LATIN = ("cp1252", "iso8859-15", "mac_roman", "cp850", "cp1250", "iso8859-2", "cp1254")
# What such languages write beyond ASCII: German, French, Spanish and Portuguese, Italian, Nordic, Polish, Czech and
# Slovak, Hungarian, Turkish, Croatian and Slovene, Romanian
_ALPHABETS = tuple(
    frozenset(letters + letters.upper())
    for letters in (
        *("äöüßé", "éèêëàâçîïôûùœæ", "áéíóúñüãõâêôçà", "àèéìòù", "åäöæøé", "ąćęłńóśźż"),
        *("áčďéěíňóřšťúůýžľĺŕôä", "áéíóöőúüű", "çğıöşüİâ", "čćđšž", "ăâîșțşţ"),
    )
)
_COMMON = frozenset().union(*_ALPHABETS)
# Signs that print uses; whatever else a table puts into text counts against the table
_SIGNS = frozenset("„“”‚‘’–—…€§°²³µ·•«»©®™†×½¼¾±¿¡£´ºª¹\xa0")


def decode(data: bytes) -> tuple[str, str]:
    """Text and the name of its encoding. Line ends are `\\n`, control characters are gone. Raises UnsupportedFormat
    for binary data."""
    text, encoding = _decode_bytes(data)
    return tidy(text), encoding


def decode_as(data: bytes, declared: str) -> str | None:
    """Text in the encoding that a document declares; None where the declaration does not hold.

    As browsers do, Latin-1 means Windows-1252; and text that is valid UTF-8 beyond ASCII is UTF-8 whatever a
    single-byte declaration says: other text is never valid UTF-8 by chance.
    """
    name = declared.strip().lower()
    name = {"iso-8859-1": "cp1252", "latin1": "cp1252", "us-ascii": "cp1252", "gb2312": "gb18030"}.get(name, name)
    try:
        if name.startswith(("cp125", "iso-8859", "windows-125", "iso8859")):
            try:
                return tidy(data.decode("utf-8"))
            except UnicodeDecodeError:
                pass
        return tidy(data.decode(name))
    except (LookupError, UnicodeDecodeError, ValueError):
        return None


def tidy(text: str) -> str:
    """Line ends to `\\n`; terminal escapes, overstrikes, byte order marks and control characters removed."""
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    if _CONTROLS.search(text) is None:
        return text
    text = text.replace("\x85", "\n").replace("\x0c", "\n").replace("\x0b", "\n")
    if "\x1b" in text:
        text = _ANSI.sub("", text)
    if "\x08" in text:
        text = _OVERSTRIKE.sub("", text)
    return _CONTROLS.sub("", text)


def _decode_bytes(data: bytes) -> tuple[str, str]:
    for mark, encoding in _BOMS:
        if data.startswith(mark):
            return data[len(mark) :].decode(encoding, "replace"), encoding
    if b"\x00" in data:
        return _decode_wide(data)
    if _has_controls(data):
        return _decode_wide(data)  # UTF-16 of East Asian text may be without any zero byte
    if b"\x1b$" in data[:_SAMPLE]:
        try:
            return data.decode("iso2022_jp"), "iso2022-jp"
        except UnicodeDecodeError:
            pass  # an escape sequence of another kind
    try:
        return data.decode("utf-8"), "utf-8"
    except UnicodeDecodeError:
        pass
    text = data.decode("utf-8", "replace")
    bad = text.count("\ufffd")
    good = sum(1 for _ in _HIGH.finditer(text)) - bad
    if good > 20 * bad:
        return text, "utf-8"  # a few damaged places, or cut off in the middle of a character
    if good >= 5 and good * 2 >= bad:
        return data.decode("utf-8", "ragstone-mixed"), "utf-8"
    return _decode_narrow(data)


def _as_cp1252(error: UnicodeError) -> tuple[str, int]:
    """Codec error handler for files put together from UTF-8 and Windows-1252 parts."""
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return error.object[error.start : error.end].decode("cp1252", "replace"), error.end


codecs.register_error("ragstone-mixed", _as_cp1252)


def _decode_wide(data: bytes) -> tuple[str, str]:
    """UTF-16 or UTF-32 without a mark, recognised by where the zero bytes stand. A stray NUL in plain text is let
    through (one in a thousand bytes), anything else is binary."""
    head = data[: _SAMPLE // 4 * 4]
    quarter = max(1, len(head) // 4)
    zeros = [head[i::4].count(0) / quarter for i in range(4)]
    guesses = []
    if len(data) % 4 == 0 and zeros[2] > 0.9 and zeros[3] > 0.9 and zeros[0] < 0.5:
        guesses.append("utf-32-le")
    if len(data) % 4 == 0 and zeros[0] > 0.9 and zeros[1] > 0.9 and zeros[3] < 0.5:
        guesses.append("utf-32-be")
    even, odd = (zeros[0] + zeros[2]) / 2, (zeros[1] + zeros[3]) / 2
    guesses += ["utf-16-le", "utf-16-be"] if odd >= even else ["utf-16-be", "utf-16-le"]
    for encoding in guesses:
        try:
            text = data[: len(data) // 2 * 2].decode(encoding)
        except UnicodeDecodeError:
            continue
        if _readable(text[:_SAMPLE]):
            return text, encoding
    zeros_in_all = data.count(0)
    if zeros_in_all and not _has_controls(data.replace(b"\x00", b"")):
        if zeros_in_all * 1000 <= len(data):
            return _decode_bytes(data.replace(b"\x00", b""))
        if zeros_in_all * 3 <= len(data) and b"\x00\x00" not in data:
            return _decode_bytes(data.replace(b"\x00", b"\n"))  # a list whose separator is NUL
    raise _binary()


def _readable(text: str) -> bool:
    """Nearly everything printable, and some white space or ASCII in between: random pairs of bytes are mostly
    unassigned or ideographs without a space."""
    if not text:
        return False
    odd = sum(not (c.isprintable() or c in "\t\n\r\x0c\ufeff") for c in text)
    plain = sum(c < "\u0250" for c in text)
    spaced = sum(c in " \n\t\u3000。、，" for c in text)
    return odd * 50 <= len(text) and (plain * 2 > len(text) or spaced * 100 > len(text))


def _has_controls(data: bytes) -> bool:
    """More control characters than text has (2 %); bell, backspace and escape are what
    terminals were sent, and text."""
    head = data[:_SAMPLE]
    return (len(head) - len(head.translate(None, _CONTROL_BYTES))) * 50 > len(head)


def _binary() -> UnsupportedFormat:
    return UnsupportedFormat("It is binary data of a kind that is not read.", "Convert it to text or PDF.")


def _decode_narrow(data: bytes) -> tuple[str, str]:
    """A single-byte or East Asian encoding. Western tables are judged by the letters they give; where none fits,
    charset-normalizer decides."""
    sample = data[:_SAMPLE]
    best, best_score = "", 0.0
    for encoding in _LATIN:
        score = _latin_score(sample, encoding)
        if score > best_score + 1e-9:
            best, best_score = encoding, score
    if best_score < 0.55 and sum(byte > 127 for byte in sample) > 2:  # one umlaut proves nothing
        cyrillic = max(_CYRILLIC, key=lambda encoding: _cyrillic_score(sample, encoding))
        if _cyrillic_score(sample, cyrillic) > 0.8:
            return data.decode(cyrillic, "replace"), cyrillic
        from charset_normalizer import from_bytes

        match = from_bytes(sample, steps=5, chunk_size=2048).best()
        if match is not None and (match.encoding not in ("ascii", "utf_8") or not best):
            try:
                return data.decode(match.encoding), match.encoding.replace("_", "-")
            except (UnicodeDecodeError, LookupError):
                pass
    chosen = best or "cp1252"
    return data.decode(chosen, "replace"), chosen


def _latin_score(sample: bytes, encoding: str) -> float:
    """At most 1: how far the characters above ASCII are those of one language, in places where it has them. 0 for
    text where they outnumber a third of the letters (that is another script)."""
    text = sample.decode(encoding, "replace")
    total, points = 0, 0.0
    letters_seen: Counter[str] = Counter()
    for match in _HIGH.finditer(text):
        total += 1
        char = match.group()
        before = text[match.start() - 1] if match.start() else " "
        after = text[match.end()] if match.end() < len(text) else " "
        in_word = before.isalpha() or after.isalpha()
        if char in _COMMON:
            letters_seen[char] += 1
            points += 0.25 if in_word else -0.15
            if (char.isupper() and before.islower()) or (char.islower() and before.isupper() and after.isupper()):
                points -= 1.5
        elif char in _SIGNS:
            points += -1.0 if before.isalpha() and after.isalpha() and char not in "’·\xa0" else 0.7
        elif char.isalpha() and in_word:
            points += 0.0
        else:
            points -= 1.0
        if total >= 4000:
            break
    letters = sum(c.isalpha() for c in text[:_SAMPLE])
    if not total or total * 3 > letters + total:
        return 0.0
    covered = max(sum(letters_seen[letter] for letter in alphabet) for alphabet in _ALPHABETS)
    return (points + 0.75 * covered) / total


_CYRILLIC = ("cp1251", "koi8-r", "iso8859-5", "cp866", "mac_cyrillic")


def _cyrillic_score(sample: bytes, encoding: str) -> float:
    """In [0, 1]: share of small Cyrillic letters among the characters above ASCII, if the frequent ones among them
    are frequent. (KOI8-R read as Windows-1251 has its capitals and small letters exchanged.)"""
    high = [c for c in sample.decode(encoding, "replace") if c > "\x7f"]
    small = [c for c in high if "а" <= c <= "я"]
    frequent = sum(c in "оеаинтсрвл" for c in small)
    return len(small) / len(high) if frequent * 2 > len(high) else 0.0


_STARS = re.compile(r"^(\*{1,20})[ \t](?:TODO |DONE )?(.+)$", re.M)
_EQUALS = re.compile(r"^(={1,6})[ \t](.+)$", re.M)
_WIKI = re.compile(r"^(={1,6})([^=\n][^\n]*=)[ \t]*$|^h([1-6])\.[ \t](.+)$", re.M)
_TAGS = re.compile(r"[ \t]:[\w:@]+:$")
_UNDERLINED = re.compile(r"(?:^|(?<=\n\n))([^\s=~*#+-][^\n]{0,98})\n(={3,}|-{3,}|~{3,})[ \t]*$", re.M)
_ORG_TITLE = re.compile(r"^#\+(\w+):[ \t]*(.+)$", re.M)
_ADOC_ATTRIBUTE = re.compile(r"^:(author|email|revdate|lang|description|keywords):[ \t]*(.+)$", re.M)


def read(blob: Blob, _limits: ReadLimits) -> ParsedDocument:
    text, encoding = decode(blob.data)
    kind = BY_EXTENSION.get(extension(blob.uri), BY_NAME["text"])
    if kind.module != "text":
        kind = BY_NAME["text"]
    metadata: dict[str, str | int | float | bool] = {}
    if encoding != "utf-8":
        metadata["encoding"] = encoding
    title = ""
    if kind.name == "org":
        headings = [Heading(len(m[1]), _TAGS.sub("", m[2].strip()), m.start()) for m in _STARS.finditer(text)]
        keys = {m[1].lower(): m[2].strip() for m in _ORG_TITLE.finditer(text[:4096])}
        title = keys.get("title", "")
        metadata.update({k: v for k, v in keys.items() if k in ("author", "date", "language", "email")})
    elif kind.name == "asciidoc":
        headings = [Heading(len(m[1]), m[2].strip().rstrip("=").rstrip(), m.start()) for m in _outside_listings(text)]
        metadata.update({m[1]: m[2].strip() for m in _ADOC_ATTRIBUTE.finditer(text[:4096])})
    elif kind.name == "textile":
        headings = [
            Heading(len(m[1] or "") or int(m[3]), (m[2] or m[4]).rstrip("= \t").strip(), m.start())
            for m in _WIKI.finditer(text)
        ]
    else:
        headings = [Heading(1 if m[2][0] == "=" else 2, m[1].strip(), m.start()) for m in _UNDERLINED.finditer(text)]
    if not title and headings and headings[0].level == 1:
        title = headings[0].title
    language = str(metadata.pop("language", "") or metadata.pop("lang", ""))[:2].lower()
    return ParsedDocument(
        text=text,
        title=title,
        media_type=kind.media_type,
        language=language if language.isalpha() else "",
        headings=tuple(headings),
        metadata=metadata,
    )


def _outside_listings(text: str) -> Iterator[re.Match[str]]:
    """AsciiDoc headings that do not stand between a pair of delimiter lines (----, ...., ====)."""
    listings = re.finditer(r"^(-{4,}|\.{4,}|={4,})$.*?^\1$", text, re.M | re.S)
    listing = next(listings, None)
    for match in _EQUALS.finditer(text):
        while listing is not None and listing.end() <= match.start():
            listing = next(listings, None)
        if listing is None or match.start() < listing.start():
            yield match
