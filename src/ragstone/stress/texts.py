"""Texts of stress tests: the same for the same uri and version on every machine, so that a checker can tell from a
name what must be stored."""

from __future__ import annotations

import hashlib
import random
from typing import Final

_SENTENCE: Final = """the of and to in is that for it was on are as with be at by this from or have an they which one
were all filter valve pump boiler pressure sensor cable wall roof window door pipe tank motor gear shaft bearing oil
water steam heat cold air flow rate level alarm relay switch fuse panel battery charger meter scale length"""
_WORDS: Final = tuple(_SENTENCE.split())
_LETTERS: Final = "bcdfghjkmnpqrtvw"
"""No vowels: what is written with them is one index term in every language."""
_MOST_PARAGRAPHS: Final = 6


def mark(uri: str, version: int) -> str:
    """A word that stands in this version of this document and nowhere else."""
    digest = hashlib.blake2b(f"{uri} {version}".encode(), digest_size=8).digest()
    return "x" + "".join(_LETTERS[byte >> 4] + _LETTERS[byte & 15] for byte in digest)


def text(uri: str, version: int) -> str:
    """One paragraph of its own, one that every document has, and up to six of which another version of the document
    has about half as well."""
    chance = random.Random(f"{uri} {version}")
    count = random.Random(uri).randint(0, _MOST_PARAGRAPHS)
    kept = [random.Random(f"{uri} paragraph {n}") for n in range(count)]
    paragraphs = [_paragraph(steady if chance.random() < 0.5 else chance) for steady in kept]
    paragraphs.insert(chance.randint(0, count), f"The mark of this version is {mark(uri, version)} and no other one.")
    paragraphs.append(_paragraph(random.Random("shared by all")))
    return "\n\n".join(paragraphs)


def _paragraph(chance: random.Random) -> str:
    return " ".join(chance.choices(_WORDS, k=chance.randint(8, 40))).capitalize() + "."
