"""What is told by its form alone: standards, identifiers, quantities, dates, definitions.

Every expression is linear: no part of one can match what a part beside it can.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

_BODIES: Final = (
    "DIN EN IEC ISO VDI VDE VDMA NAMUR IEEE ANSI ASTM RFC NIST ETSI ITU BSI UL NFPA PLCopen CISPR SAE ECMA FIPS PEP "
    "BGV DGUV TRBS ÖNORM ÖVE SN TIA ISA JIS GB"
)
STANDARD: Final = re.compile(
    rf"\b(?:{'|'.join(_BODIES.split())})"
    rf"(?:[ /-](?:{'|'.join(_BODIES.split())}|TR|TS|SP|PAS|Std|Reihe)){{0,3}}[ -]?\d[\w.:/–-]{{0,30}}"
)
_MONTHS: Final = (
    "January|February|March|April|May|June|July|August|September|October|November|December|Januar|Jänner|Februar|März|"
    "Mai|Juni|Juli|Oktober|Dezember"
)
DATE: Final = re.compile(
    rf"\b(?:\d{{1,2}}(?:\.|st|nd|rd|th)? ?)?(?:{_MONTHS})(?: \d{{1,2}}(?:st|nd|rd|th)?,?)?(?: \d{{4}})?\b"
    r"|\b\d{4}-\d{2}-\d{2}\b|\b\d{1,2}\.\d{1,2}\.(?:\d{4}|\d{2})\b|\b(?:1[0-9]|20)\d{2}s?\b"
)
_UNITS: Final = (
    "%|‰|°C|°F|°|K|mm²|mm³|mm|cm²|cm|dm|km²|km/h|km|m/s|m²|m³|m|µm|nm|kg|mg|µg|g|t|mV|kV|V|mA|µA|A|mW|kW|MW|GW|kWh|kVA|VA|W|Hz|kHz|MHz|"
    "GHz|ms|µs|ns|s|min|h|mbar|bar|hPa|kPa|MPa|Pa|kN|Nm|N|kJ|J|ml|l|kΩ|MΩ|Ω|Ohm|dB|rpm|[kKMGT]?i?B|[kMG]?bit/s|[Bb]it|Bytes?|"
    "Prozent|percent|Sekunden?|Minuten?|Stunden?|Tagen?|Tage|seconds?|minutes?|hours?|days?|Volt|Ampere|Watt|Euro|€|\\$|dollars?|"
    "Millionen|Milliarden|million|billion|Meter|Kilometer|metres?|kilomet(?:er|re)s?|miles?|feet"
)
QUANTITY: Final = re.compile(rf"(?<![\w.,])[-+±]?\d{{1,15}}(?:[.,]\d{{1,12}}){{0,4}} ?(?:{_UNITS})(?!\w)")
CODE: Final = re.compile(r"(?<![\w%@#])[%@#]?\w{1,64}(?:(?:[-./:\\]|::|->)\w{1,64}){0,8}(?:\(\))?")
"""Candidates: `is_identifier` decides."""
ADDRESS: Final = re.compile(r"\b(?:https?://|www\.)[^\s<>\"')\]]{1,500}|\b[\w.+-]{1,64}@\w[\w-]{0,62}(?:\.\w[\w-]{0,62}){1,5}")
_CAMEL = re.compile(r"[a-zäöüß][A-ZÄÖÜ]")
_MIXED = re.compile(r"[A-Za-zÄÖÜäöü]\d|\d[A-Za-z]")
_ORDINARY = re.compile(r"\d+(?:st|nd|rd|th|s|er|ern|ste|sten|x)|[\d.,:/-]+|[a-zäöüß]{1,3}|\d+[-./]\w+|v\d")
_NO_CAMEL = re.compile(r"(?:g?G?mbH|PhD|Mc[A-Z]|Mac[A-Z]|De[A-Z]|Di[A-Z]|[a-z][A-Z][a-z]+$)")
_PLC = re.compile(r"%[IQMWXBDL]{1,2}\d")

HEADING: Final = re.compile(r"^[ \t]{0,3}#{1,6}[ \t]+(\S[^\n]{0,200})$", re.MULTILINE)
NUMBERED: Final = re.compile(
    r"(?:\d+(?:\.\d+){0,8}\.?|[A-Z]\.|[IVX]+\.)\s+|(?:Kapitel|Chapter|Section|Abschnitt)\s+\d+[:.]?\s+"
)
FIELD: Final = re.compile(
    r"^[ \t]{0,40}(?:[-*•][ \t]{1,40})?(?:\*\*)?([^\W\d_][^\n:|*]{0,59}?)(?:\*\*)?[ \t]{0,40}:(?:\*\*)?[ \t]{1,40}"
    r"(\S[^\n]{0,200})$",
    re.MULTILINE,
)
ROW: Final = re.compile(
    r"^[^\n|\t]{0,400}(?:\|[^\n|]{0,400}){1,60}$|^[^\n\t]{1,400}(?:\t[^\n\t]{0,400}){1,60}$", re.MULTILINE
)
IS_A: Final = re.compile(
    r"\s+(?:(?:is|are|was|were|ist|sind|war|waren)\s+(?:also\s+)?(?:an?|the|one of the|eine?r?|das|der|die)|"
    r"bezeichnet(?:\s+man)?|bezeichnen|means|refers to|denotes|stands for|steht für|heißt)\s"
)
UNDER: Final = re.compile(
    r"\b[Uu]nter\s+(?:eine[mr]|de[mr]|dem Begriff)?\s?([^\n,;.:]{2,80}?)\s+(?:versteht|verstehen)\s+(?:man|wir)\b"
)


@lru_cache(maxsize=50_000)
def is_identifier(word: str) -> bool:
    """Whether a candidate of CODE is one: `FB_Timer1`, `readFile`, `6ES7-315`, `%IX0.0`, `os.path`, `main()`."""
    bare = word.removesuffix("()")
    if bare != word or "::" in word or "->" in word:
        return bool(bare)
    if _PLC.match(word):
        return True
    if _ORDINARY.fullmatch(word) or not any(c.isalpha() for c in word):
        return False
    if "_" in word.strip("_") or word[0] in "@#":
        return len(word) > 2
    pieces = re.split(r"[-./:\\]", word)
    if len(pieces) == 1:
        return bool(_MIXED.search(word)) or (bool(_CAMEL.search(word)) and not _NO_CAMEL.match(word))
    dotted = "." in word and word.islower() and all(len(p) > 1 for p in pieces)
    return dotted or any(_MIXED.search(p) for p in pieces)
