"""Which language a text or a question is in."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from functools import cache
from typing import Any, Final

from .stopwords import STOP_WORDS, stop_words

LANGUAGES: Final = (
    "ar", "bg", "ca", "cs", "da", "de", "el", "en", "es", "et", "fi", "fr", "he", "hi", "hr", "hu", "id", "it", "ja",
    "ko", "lt", "lv", "nl", "no", "pl", "pt", "ro", "ru", "sk", "sl", "sr", "sv", "th", "tr", "uk", "vi", "zh",
)  # fmt: skip
_SAMPLE = 400  # characters of one sample; three samples (start, middle, end)
_MIN_LETTERS = 20
_CONFIDENT = 0.9
# Function words decide where they are frequent, or fewer but of one language: (least share of words, least ratio to
# the next language). Running German or English has 35-50 %, tables of parameters still 10 %, code almost none.
_DECISIVE: Final = ((0.2, 1.5), (0.07, 2.5))
_LEAST_HITS = 4

_WORDS = re.compile(r"[^\W\d_]+")
_FOLD = str.maketrans({"ä": "a", "ö": "o", "ü": "u", "ß": "ss", "é": "e", "è": "e", "à": "a", "ê": "e", "ç": "c"})
_MARKS: Final = {"de": "äöüß", "fr": "çêèàùœ", "es": "ñ¿¡óí", "pt": "ãõ", "nl": "ĳ", "it": "òì"}


def detect(text: str) -> str:
    """ISO 639-1, or "" when unsure (too short, a table, code, a mixture). Looks at a bounded sample."""
    sample = _sample(text)
    words = _WORDS.findall(sample)
    if sum(map(len, words)) < _MIN_LETTERS:
        return ""
    speakers = _speakers()
    hits = Counter(la for w in _WORDS.findall(_folded(sample)) for la in speakers.get(w, ()))
    (first, most), (_, next_most) = (*hits.most_common(2), ("", 0), ("", 0))[:2]
    for share, ratio in _DECISIVE:
        if most >= max(_LEAST_HITS, share * len(words)) and most >= ratio * next_most:
            return first
    language, confidence = _classify(" ".join(words))
    return language if confidence >= _CONFIDENT else ""


def detect_query(text: str, among: Sequence[str]) -> str:
    """The most likely of `among` for a short question, or "" when nothing speaks for one of them. Loads nothing."""
    if len(among) == 1:
        return among[0]
    lowered = text.casefold()
    words = _WORDS.findall(_folded(text))
    scores = sorted(((_evidence(lowered, words, language), language) for language in among), reverse=True)
    if not scores or not scores[0][0] or scores[0][0] == scores[1][0]:
        return ""
    return scores[0][1]


def _evidence(text: str, words: Sequence[str], language: str) -> float:
    """Function words, and letters that few other languages have."""
    stops = stop_words(language)
    return sum(w in stops for w in words) + 1.5 * any(mark in text for mark in _MARKS.get(language, ""))


def _folded(text: str) -> str:
    return text.casefold().translate(_FOLD)


@cache
def _speakers() -> dict[str, tuple[str, ...]]:
    """Languages of each function word; without single letters, which in code are names."""
    languages: dict[str, list[str]] = {}
    for language, words in STOP_WORDS.items():
        for word in (w for w in words if len(w) > 1):
            languages.setdefault(word, []).append(language)
    return {word: tuple(names) for word, names in languages.items()}


def _sample(text: str) -> str:
    if len(text) <= 3 * _SAMPLE:
        return text
    middle = len(text) // 2
    return " ".join((text[:_SAMPLE], text[middle : middle + _SAMPLE], text[-_SAMPLE:]))


@cache
def _classifier() -> Any:
    """Takes a second and 100 MB: only for texts whose function words do not decide."""
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    identifier.set_languages(LANGUAGES)
    return identifier


def _classify(text: str) -> tuple[str, float]:
    language, confidence = _classifier().classify(text)
    return str(language), float(confidence)
