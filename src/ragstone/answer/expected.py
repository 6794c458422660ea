"""What kind of answer a question asks for, German and English, and whether a sentence holds something of that kind.

Hints only: they raise a sentence that has a number for "how many", they never exclude one.
"""

from __future__ import annotations

import re
from typing import Literal

Kind = Literal["number", "time", "person", "place", "reason", ""]

# The first pattern that matches decides, so "wie viele Jahre" is a number and "in which year" a time.
_QUESTIONS: tuple[tuple[Kind, str], ...] = (
    (
        "number",
        r"\bhow (many|much|old|tall|high|long|far|large|big|deep|fast|often|heavy|wide|close)\b"
        r"|\b(what|which) (\w+ )?(percent\w*|number|amount|share|proportion|portion|fraction|size|score|rate)\b"
        r"|\bwie ?(viele?[nrs]?|hoch|lange?|groß|alt|weit|oft|tief|schnell|schwer|breit|stark)\b"
        r"|\bwelche[rnms]? (\w+ )?(anzahl|prozent\w*|anteil|zahl|summe|höhe|größe|wert)\b|\bprozent\w*\b.*\?",
    ),
    (
        "time",
        r"\bwhen\b|\b(what|which) (\w+ )?(years?|dates?|day|month|century|decade|time)\b|\bsince when\b"
        r"|\bwann\b|\bwelche[rnms]? (\w+ )?(jahr\w*|datum|tag\w*|monat\w*|zeit\w*|epoche)\b",
    ),
    ("person", r"\b(who|whom|whose)\b|\b(wer|wen|wem|wessen)\b"),
    ("reason", r"\bwhy\b|\bwhat (reason|cause[sd]?|motivated)\b|\b(warum|weshalb|wieso|weswegen|wodurch)\b"),
    (
        "place",
        r"\bwhere\b|\b(what|which) (\w+ )?(city|town|country|state|place|region|area|street|river|continent)\b"
        r"|\b(wo|woher|wohin)\b|\bwelche[rnms]? (\w+ )?(stadt|land|staat|ort\w*|region|gebiet\w*|fluss|kontinent)\b",
    ),
)
_COMPILED = tuple((kind, re.compile(pattern, re.IGNORECASE)) for kind, pattern in _QUESTIONS)

_NUMBER_WORDS = (
    r"one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|twenty|thirty|forty|fifty|hundred|thousand"
    r"|million|billion|half|third|quarter|dozen|once|twice|none|"
    r"zwei|drei|vier|fünf|sechs|sieben|acht|neun|zehn|elf|zwölf|zwanzig|dreißig|vierzig|fünfzig|hundert|tausend"
    r"|millionen?|milliarden?|hälfte|drittel|viertel|dutzend|einmal|zweimal|dreimal"
)
_NUMBER = re.compile(rf"\d|\b({_NUMBER_WORDS})\b", re.IGNORECASE)
_MONTHS = (
    r"january|february|march|april|june|july|august|september|october|november|december|monday|tuesday|wednesday"
    r"|thursday|friday|saturday|sunday|januar|februar|märz|mai|juni|juli|oktober|dezember|montag|dienstag|mittwoch"
    r"|donnerstag|freitag|samstag|sonntag|yesterday|tomorrow|gestern|morgen"
)
_TIME = re.compile(
    rf"\b(1\d{{3}}|20\d{{2}})\b|\b\d{{1,2}}[:.]\d{{2}}\b|\b\d{{1,2}}\.\s?\w|\b({_MONTHS})\b"
    r"|\bcentur|jahrhundert|\b\d+ ?(bc|ad|v\. ?chr)",
    re.IGNORECASE,
)
_NAME = re.compile(r"\b[A-ZÄÖÜ][\w'’-]+")
_PAIR = re.compile(r"\b[A-ZÄÖÜ][\w'’.-]+(?:\s+(?:von|van|de|of|the|der|und|and))*\s+[A-ZÄÖÜ][\w'’-]+")
_REASON = re.compile(
    r"\b(because|since|due to|so that|in order to|therefore|as a result|caused|reason|to \w+"
    r"|weil|denn|da|damit|um|wegen|aufgrund|daher|deshalb|dadurch|grund|somit)\b",
    re.IGNORECASE,
)
_PLACE = re.compile(r"\b(in|at|near|from|to|aus|bei|nach|im|am|an|auf|zwischen)\s+(?:the |der |den |dem )?[A-ZÄÖÜ]\w+")


def expected(question: str) -> Kind:
    """The kind of answer the question asks for; "" where no question word tells."""
    return next((kind for kind, pattern in _COMPILED if pattern.search(question)), "")


def holds(kind: Kind, sentence: str, question: str) -> bool:
    """Whether the sentence has something of that kind that is not in the question already."""
    match kind:
        case "number":
            return _new(_NUMBER, r"\w*\d(?:[\w.,]*\w)?|\w+", sentence, question)
        case "time":
            return _TIME.search(sentence) is not None
        case "person":
            rest = sentence.lstrip("„“\"'(*-• ")[1:]  # a capital at the start says nothing
            names = {m.group() for m in (*_PAIR.finditer(sentence), *_NAME.finditer(rest))}
            return any(n.casefold() not in question.casefold() for n in names)
        case "reason":
            return _REASON.search(sentence) is not None
        case "place":
            return _PLACE.search(sentence) is not None
    return False


def _new(pattern: re.Pattern[str], word: str, sentence: str, question: str) -> bool:
    known = set(re.findall(word, question.casefold()))
    return any(pattern.search(w) and w not in known for w in re.findall(word, sentence.casefold()))
