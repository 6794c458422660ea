"""Where sentences stand, by rules: quick enough for whole documents, the same result on every machine."""

from __future__ import annotations

import re
from typing import Final

from .stopwords import STOP_WORDS

# A possible end: closing marks after a terminator before white space, a full-width terminator, or a line end.
_ENDS = re.compile(r"(?<![.!?…])[.!?…]++[\"'»«”“’‘)\]]*+(?=\s)|[。！？]++[」』”）]*+|\n[ \t\r\f\v]*(\n\s*)?")
_NEXT = re.compile(r"\s*[\"'»«„“‚‘(\[*_¿¡]*(\S?)(\w*)")
# Bullets, numbered items, headings, quotes, table rows, definitions, fences.
_LINE_MARK = re.compile(r"[ \t]*(?:[-*+•–·▪◦‣]\s|#{1,6}\s|\||>|```|\(?(?:\d{1,3}(?:\.\d{1,3})*[.)]|[a-zA-Z][.)])\s)")
_OWN_LINE = re.compile(r"[ \t]*(?:#{1,6}\s|\||```|={3,}|-{3,})|[^\n]*\t")
# A named value: rows of a table, fields of a record. Two lines that begin so are two rows, however long.
_FIELD = re.compile(r"[ \t]*[^\W\d_][^\n:;.!?]{0,39}: \S")
_WRAPPED = 55  # characters: a shorter line that ends without punctuation is a heading, an item or a row

_ABBREVIATIONS: Final = (
    "abb abk abs abschn allg anm art aufl bd bes bez bsp bspw bzgl bzw ca chr co cf corp d.h d.i dept dgl dipl dr ebd "
    "ed eds e.g e.v eq etc evtl exkl fa fig figs ff f fr geb gem ggf ggfs ggü h hg hl hr hrsg hs i.a i.d.r i.e i.h.v "
    "i.v.m inc incl ing inkl inst int jh jr kap lfd ltd m.a.w m.e max mind min mio mr mrd mrs ms mt mwst n.chr no nr "
    "nrn o.ä o.g op p pp pos prof proz ref resp rd s sec s.o s.u sog spp sr st std str tab tel u.a u.ä u.u usf usw "
    "univ v.a v.chr verf vgl vol vs vs z z.b z.t z.zt zit zw zzgl al approx ch est etw gal jan feb apr jun jul aug sep "
    "sept okt oct nov dez dec mon tue wed thu fri sat sun di mi do sa so bgbl rn rz tz ziff"
)
_ORDINAL_NOUNS: Final = (
    "januar jänner februar märz april mai juni juli august september oktober november dezember jahrhundert "
    "jahrhunderts jahrtausend jh weltkrieg weltkriegs klasse platz quartal halbjahr auflage stock tag monat jahr "
    "kapitel teil ebene stufe generation bundesliga liga etage semester geburtstag juli wahl wahlperiode"
)
ABBREVIATIONS: Final = frozenset(_ABBREVIATIONS.split())
_AFTER_ORDINAL: Final = frozenset(_ORDINAL_NOUNS.split())
_PLAIN_WORD: Final = 5
_LONG_ABBREVIATIONS: Final = tuple(a for a in ABBREVIATIONS if len(a) >= _PLAIN_WORD)
_STARTERS: Final = STOP_WORDS["de"] | STOP_WORDS["en"]
_FINAL_WORDS: Final = frozenset(("etc", "usw"))


def sentence_spans(text: str) -> list[tuple[int, int]]:
    """Spans (start, end) in order, without the white space around them; together they cover all that is not white
    space. A heading, list item or table row is a sentence of its own; a hard-wrapped line is not."""
    spans: list[tuple[int, int]] = []
    start = 0
    for match in _ENDS.finditer(text):
        if _is_plain_end(text, *match.span()) or _is_end(text, start, match):
            _append(spans, text, start, match.end())
            start = match.end()
    _append(spans, text, start, len(text))
    return spans


def _append(spans: list[tuple[int, int]], text: str, start: int, end: int) -> None:
    part = text[start:end]
    visible = part.lstrip()
    if visible:
        first = start + len(part) - len(visible)
        spans.append((first, first + len(visible.rstrip())))


def _is_plain_end(text: str, start: int, end: int) -> bool:
    """The usual case, told in less time: a long word, one mark, a space and a capital letter."""
    before = text[start - _PLAIN_WORD : start] if start >= _PLAIN_WORD else ""
    return (
        end - start == 1
        and before.isalpha()
        and text[end : end + 1] == " "
        and text[end + 1 : end + 2].isupper()
        and not text[max(0, start - 20) : start].lower().endswith(_LONG_ABBREVIATIONS)
    )


def _is_end(text: str, start: int, match: re.Match[str]) -> bool:
    mark = text[match.start()]
    if mark == "\n":
        return match.group(1) is not None or _is_line_end(text, start, match)
    if mark in "。！？!?…":
        following = _NEXT.match(text, match.end())
        # "wirklich?" sagte er; "..." in the middle
        return mark in "。！？" or following is None or not following.group(1).islower()
    following = _NEXT.match(text, match.end())
    first, rest = (following.group(1), following.group(2)) if following else ("", "")
    if first.islower():
        return False
    before = text[max(start, match.start() - 40) : match.start()]
    last = before.rsplit(None, 1)[-1] if before and not before[-1].isspace() else ""
    word = last.lstrip("(\"'„“»«‚[")
    if not first:
        return True
    following_word = (first + rest).casefold()
    if word.isdigit():
        if len(word) > 2:
            return True
        # A list number at the start of a line, "3. Mai", "2. Weltkrieg" go on; "im Kapitel 3. Danach" does not.
        if len(last) == match.start() - start or following_word in _AFTER_ORDINAL:
            return False
        return following_word in _STARTERS
    lowered = word.casefold()
    if lowered in _FINAL_WORDS:
        return following_word in _STARTERS
    if lowered in ABBREVIATIONS:
        return False
    # Initials ("J. Meyer"), unless the sentence plainly ends with a letter ("Vitamin C. Der").
    return not (len(word) == 1 and word.isalpha()) or following_word in _STARTERS


def _is_line_end(text: str, start: int, match: re.Match[str]) -> bool:
    end, following = match.start(), match.end()
    line_start = text.rfind("\n", start, end) + 1 or start
    before = text[end - 1] if end > start else ""
    if before in ":{};" or (
        before not in ",-–(&/" and end - line_start < _WRAPPED and not text[following : following + 1].islower()
    ):
        return True
    return bool(
        _LINE_MARK.match(text, following)
        or _OWN_LINE.match(text, line_start, end)
        or _OWN_LINE.match(text, following, min(len(text), following + 400))
        or (_FIELD.match(text, line_start, end) and _FIELD.match(text, following))
    )
