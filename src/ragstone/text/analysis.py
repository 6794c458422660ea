"""From text to index terms, and from a question to weighted groups of terms.

A token is a run of word characters, with single joiners (`-`, `.`, `'`, `@`) inside it:

    word            Prüfungen, Straßen       stem of its language, folded: `prufung`, `strass`
    German compound Datenschutzgesetz        whole and stems of its parts: `datenschutzgesetz datenschutz gesetz`
    joined word     IT-Sicherheit, readFile  the whole without joiners, as a word, and its parts
    identifier      FB_Timer1, 6ES7-315      the whole without joiners, unstemmed, and its parts
    number          315, 1.5, 2024-01-31     as it stands, and its longer parts
    CJK run         東京大学                  pairs of neighbouring characters

`ä` is folded to `a`. German stems take `ae` for `ä` by themselves; in other languages a word with an umlaut is
indexed in both spellings.

An index knows a term by its 64-bit BLAKE2b hash alone (`term_key`). Among a million different terms the chance of one
collision is below 1e-7, and its effect would be a slightly wrong BM25 score; in return terms travel from the parser
worker through the store into the index as one block of bytes. What a token becomes is remembered, so that running
text costs one look-up per token.
"""

from __future__ import annotations

import hashlib
import re
import threading
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache, lru_cache
from itertools import chain, filterfalse
from typing import Final, TypeVar

import Stemmer

from ..protocols import QueryTerms
from ..types import Terms
from . import compounds
from .language import detect_query
from .stopwords import stop_words

ANALYSIS_VERSION: Final = 1
"""Raise it whenever the same text would give other terms: word indexes of another version are made again from the
stored texts when they are opened."""

PART_WEIGHT: Final = 0.6
"""Weight of a compound's or identifier's part in a question (the whole has 1); see docs/decisions/0002."""

REPEAT_POWER: Final = 0.6
"""A word that stands n times in a question weighs n to this power."""

MAX_TERM: Final = 64
_CACHE_TOKENS = 60_000  # per generation and language; two generations, about 250 bytes a token

_STEMMERS: Final = {
    "ar": "arabic", "ca": "catalan", "cs": "czech", "da": "danish", "de": "german", "el": "greek", "en": "english",
    "es": "spanish", "et": "estonian", "eu": "basque", "fi": "finnish", "fr": "french", "ga": "irish", "hi": "hindi",
    "hu": "hungarian", "hy": "armenian", "id": "indonesian", "it": "italian", "lt": "lithuanian", "nb": "norwegian",
    "ne": "nepali", "nl": "dutch", "nn": "norwegian", "no": "norwegian", "pl": "polish", "pt": "portuguese",
    "ro": "romanian", "ru": "russian", "sr": "serbian", "sv": "swedish", "ta": "tamil", "tr": "turkish",
}  # fmt: skip
_DEFAULT = "en"  # code, tables and texts too short to tell are analysed as English

# Combining marks, soft hyphen, zero-width and word joiners may stand inside a word.
_INVISIBLE = "\u00ad\u200b-\u200d\u2060\ufeff"
_WORD = rf"[\w\u0300-\u036f{_INVISIBLE}]+"
_TOKEN = re.compile(rf"{_WORD}+(?:[-.'’@]{_WORD}+)*+(?:\+\+|#(?!\w))?+")
_HIDDEN = re.compile(f"[{_INVISIBLE}]")
_JOINER = re.compile(r"[-.'’@_+#]+")
_UPPER = "A-ZÀ-ÖØ-Þ"
_LOWER = "a-zß-öø-ÿ"
_CAMEL = re.compile(rf"[{_UPPER}]+(?![{_LOWER}])|[{_UPPER}]?[^\W\d_{_UPPER}]+|\d+")
_SIMPLE_MIX = re.compile(r"([^\W\d_]{3,})(\d+)|(\d+)([^\W\d_]{2,})")
# Scripts written without spaces: Thai to Khmer, kana, Han, Hangul (whose words are pairs well enough).
_CJK = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff]+"
)
_LETTERS = str.maketrans({"ø": "o", "ł": "l", "æ": "ae", "œ": "oe", "đ": "d", "ð": "d", "þ": "th", "ı": "i"})
_UMLAUTS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue"})


def fold(text: str) -> str:
    """NFKC, case folding (ß becomes ss), accents and umlaut dots removed."""
    if text.isascii():
        return text.lower()
    return _unaccented(unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold()))


def _unaccented(text: str) -> str:
    if text.isascii():
        return text
    latin = text.translate(_LATIN)
    return latin if latin.isascii() else _decomposed(text)


def _decomposed(text: str) -> str:
    parts = unicodedata.normalize("NFD", text.translate(_LETTERS))
    return "".join(c for c in parts if not unicodedata.combining(c)) or text


_LATIN = {code: _decomposed(chr(code)) for code in range(0xC0, 0x250)}  # five times as quick as to decompose a word


# What one token becomes: alternatives for the token itself, and what it is made of. For a run of a script without
# spaces the second alone.
Forms = tuple[tuple[str, ...], tuple[str, ...]]


def term_key(term: str) -> int:
    return int.from_bytes(_digest(term), "little")


def pack(terms: Iterable[str]) -> bytes:
    """The keys of the terms, as `Terms` has them."""
    return b"".join(map(_digest, terms))


def _digest(term: str) -> bytes:
    return hashlib.blake2b(term.encode("utf-8", "surrogatepass"), digest_size=8).digest()


def _distinct(wholes: Sequence[str], parts: Sequence[str]) -> Forms:
    kept = tuple(dict.fromkeys(w[:MAX_TERM] for w in wholes if w))
    return kept, tuple(p for p in dict.fromkeys(p[:MAX_TERM] for p in parts if p) if p not in kept)


Value = TypeVar("Value")


class _TokenCache(dict[str, Value]):
    """Token to what it becomes, in two generations: when the young one is full it becomes the old one."""

    def __init__(self, compute: Callable[[str], Value]) -> None:
        super().__init__()
        self._compute = compute
        self._old: dict[str, Value] = {}

    def __missing__(self, token: str) -> Value:
        terms = self._old.get(token)
        if terms is None:
            terms = self._compute(token)
        if len(token) <= MAX_TERM:
            if len(self) >= _CACHE_TOKENS:
                self._old = dict(self)
                self.clear()
            self[token] = terms
        return terms


class _TermCache(_TokenCache[tuple[str, ...]]):
    """Token to its terms, and from a term to the tokens held here that become it."""

    def __init__(self, compute: Callable[[str], tuple[str, ...]]) -> None:
        super().__init__(compute)
        self._tokens: defaultdict[str, list[str]] = defaultdict(list)
        self._old_tokens: Mapping[str, list[str]] = {}

    def __missing__(self, token: str) -> tuple[str, ...]:
        generation = self._old
        terms = super().__missing__(token)
        if self._old is not generation:
            self._old_tokens, self._tokens = self._tokens, defaultdict(list)
        if token in self:
            for term in terms:
                self._tokens[term].append(token)
        return terms

    def becoming(self, wanted: frozenset[str], tokens: set[str]) -> set[str]:
        """Those of `tokens` of which a term is wanted. Most were met before: then no token is looked at by itself."""
        found = {token for token in filterfalse(self.__contains__, tokens) if not wanted.isdisjoint(self[token])}
        for term in wanted:
            found.update(tokens.intersection(self._tokens.get(term, ())))
            found.update(tokens.intersection(self._old_tokens.get(term, ())))
        return found


class Analyzer:
    """The chain for texts of one language (ISO 639-1; unknown ones and "" as English). Safe for several threads."""

    def __init__(self, language: str) -> None:
        self.language = language if language in _STEMMERS else _DEFAULT
        self._stemmer = Stemmer.Stemmer(_STEMMERS[self.language], 0)
        self._function_words = stop_words(self.language)
        self._words = _TermCache(lambda token: tuple(chain(*self.forms(token))))
        self._keys = _TokenCache(self._key)
        self._lock = threading.Lock()  # a stemmer has one buffer

    def analyze(self, text: str) -> Terms:
        tokens = _TOKEN.findall(text)
        with self._lock:
            keys = b"".join(map(self._keys.__getitem__, tokens))
        length = len(tokens)
        if not text.isascii():
            length += sum(len(run) - 1 for run in _CJK.findall(text))
        return Terms(keys, length)

    def words(self, text: str) -> list[str]:
        """The terms of `text` themselves, in order with repeats; they contain no white space."""
        tokens = _TOKEN.findall(text)
        with self._lock:
            return list(chain.from_iterable(map(self._words.__getitem__, tokens)))

    def _key(self, token: str) -> bytes:
        """The keys of the token's forms. Most have one form, told here in half the time."""
        usual = len(token) <= MAX_TERM and token.isascii() and token.isalpha()
        if usual and self.language != "de" and (token[1:].islower() or token.isupper() or len(token) == 1):
            return _digest(self._stem(token.lower()))
        return pack(chain(*self.forms(token)))

    def forms(self, token: str, split: bool = True) -> Forms:
        """`token` as it stands in a text; without `split` what it is made of is not looked for. The caller does not
        share this analyser with another thread meanwhile."""
        plain = token
        if not token.isascii():
            plain = _HIDDEN.sub("", unicodedata.normalize("NFKC", token))
            if _CJK.search(plain):
                return (), tuple(self._pairs(plain))
        if plain.isalpha() and (plain[1:].islower() or plain.isupper() or len(plain) == 1):
            return self._word(plain.casefold(), split)
        if plain.endswith(("'s", "’s")):
            plain = plain[:-2]
        segments = [s for s in _JOINER.split(plain[: 16 * MAX_TERM]) if s]
        if not segments:
            return (), ()
        if not any(map(str.isalpha, plain)):
            return _distinct((plain,), [s for s in segments if len(s) > 2])
        pieces = [p for s in segments for p in self._pieces(s)]
        joined = "".join(segments)
        whole: tuple[str, ...]
        if len(plain) <= 3 and plain.endswith(("#", "++")):
            whole = (fold(plain),)  # C#, C++
        elif joined.isalpha():
            whole = self._word(joined.casefold(), split=split and len(pieces) == 1)[0]
        else:
            whole = (fold(joined),)
        parts: list[str] = []
        for piece in pieces if split else ():
            if piece.isalpha() and len(piece) > 1:
                for terms in self._word(piece.casefold()):
                    parts += terms
            elif not piece.isalpha():
                parts.append(fold(piece))
        return _distinct(whole, parts)

    def _word(self, word: str, split: bool = True) -> Forms:
        """`word` is casefolded letters."""
        if len(word) > MAX_TERM:
            return (_unaccented(word[:MAX_TERM])[:MAX_TERM],), ()
        if self.language == "de":
            parts = compounds.split(word) if split else ()
            if not parts:
                return (self._stem(word),), ()
            return _distinct((self._stem(word),), [self._stem(p) for p in parts])
        if word.isascii():
            return (self._stem(word),), ()
        stem = self._stem(_unaccented(word) if self.language == "en" else word)
        spelled = word.translate(_UMLAUTS)
        return _distinct((stem, self._stem(spelled)), ()) if spelled != word else ((stem,), ())

    def _stem(self, word: str) -> str:
        """Function words stay as they are, and a stem that looks like one is marked: `Sicherheit` and `sicher` have
        the stem `sich`, `Seiten` has `seit`, and must not drown in the pronoun and the preposition."""
        plain = word if word.isascii() else _unaccented(word)
        if plain in self._function_words:
            return plain
        stem = self._stemmer.stemWord(word)
        if not stem.isascii():
            stem = _unaccented(stem)
        return f"{stem}_" if stem in self._function_words else stem

    def _pieces(self, segment: str) -> list[str]:
        """Parts of an identifier between its joiners: humps of camel case, a word and its number."""
        if segment.isalpha():
            return _CAMEL.findall(segment) or [segment]
        mixed = _SIMPLE_MIX.fullmatch(segment)
        if mixed:
            return [segment, *(g for g in mixed.groups() if g)]
        humps = _CAMEL.findall(segment)
        long = [h for h in humps if h.isalpha() and len(h) > 2]
        return [segment, *long] if len(long) > 1 else [segment]

    def _pairs(self, text: str) -> list[str]:
        """Pairs of neighbouring characters of each run of a script without spaces; what is between as usual."""
        terms: list[str] = []
        last = 0
        for run in (*_CJK.finditer(text), None):
            for token in _TOKEN.findall(text[last : run.start() if run else len(text)]):
                for forms in self.forms(token):
                    terms += forms
            if run:
                characters = fold(run.group())
                terms += [characters[i : i + 2] for i in range(len(characters) - 1)] or [characters]
                last = run.end()
        return terms

    def query_forms(self, token: str) -> Forms:
        with self._lock:
            return self.forms(token)

    def whole(self, token: str) -> str:
        """The first form of the token itself; the token where it has none."""
        with self._lock:
            found, _ = self.forms(token, split=False)
        return found[0] if found else token

    def becoming(self, wanted: frozenset[str], tokens: set[str]) -> set[str]:
        """Those of `tokens` of which a term is wanted."""
        with self._lock:
            return self._words.becoming(wanted, tokens)


@cache
def analyzer(language: str) -> Analyzer:
    """One analyser per language and process."""
    return Analyzer(language)


@lru_cache(maxsize=256)
def _query_terms(query: str, languages: tuple[str, ...]) -> QueryTerms:
    tokens = Counter(_TOKEN.findall(query))
    asked_in = detect_query(query, [language for language in languages if language])
    stops = stop_words(asked_in) if asked_in else frozenset().union(*(stop_words(la) for la in languages or ("en",)))
    shouted = query.isupper()
    kept = [t for t in tokens if (len(t) > 1 and t.isupper() and not shouted) or _bare(t) not in stops] or list(tokens)
    analyzers = _analyzers(languages)
    weights: dict[tuple[str, ...], float] = {}
    for token in kept:
        forms = [a.query_forms(token) for a in analyzers]
        wholes = tuple(dict.fromkeys(w for f, _ in forms for w in f))
        parts = dict.fromkeys(p for _, f in forms for p in f if p not in wholes)
        if wholes:
            weights[wholes] = weights.get(wholes, 0.0) + tokens[token]
        for part in parts:
            weights[(part,)] = weights.get((part,), 0.0) + tokens[token] * (PART_WEIGHT if wholes else 1.0)
    return QueryTerms(tuple(tuple((term, _damped(weight)) for term in terms) for terms, weight in weights.items()))


def _bare(token: str) -> str:
    """As lists of stop words have it: `don't` is `dont`."""
    return fold(token).replace("'", "").replace("’", "")


def _damped(weight: float) -> float:
    """A word that a long question repeats counts more, but not in proportion (see docs/decisions/0002)."""
    return weight if weight <= 1 else weight**REPEAT_POWER


def _analyzers(languages: Sequence[str]) -> list[Analyzer]:
    return list({a.language: a for a in map(analyzer, languages or ("",))}.values())


def query_terms(query: str, languages: Sequence[str]) -> QueryTerms:
    """The question's terms as `languages` (those of the collection) would have indexed them. Stop words of the
    question's language are left out, unless it has no other words."""
    return _query_terms(query, tuple(languages))


def highlights(texts: Sequence[str], query: str, languages: Sequence[str]) -> list[list[tuple[int, int]]]:
    """For each text the spans of its words that share a term with the question."""
    wanted = frozenset(term for group in query_terms(query, languages).groups for term, _ in group)
    tokens = set(chain.from_iterable(map(_TOKEN.findall, texts)))
    found = set[str]().union(*(a.becoming(wanted, tokens) for a in _analyzers(languages)))
    return [[match.span() for match in _TOKEN.finditer(text) if match[0] in found] for text in texts]
