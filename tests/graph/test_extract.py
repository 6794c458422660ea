"""Extraction without a model: what it finds, that it depends on its arguments alone, and that bad input is bounded."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor

import pytest

from ragstone.graph.extract import MOST_CHARACTERS, MOST_MENTIONS, RuleExtractor
from ragstone.graph.patterns import is_identifier
from ragstone.graph.tagger import BLOCK, Tagger, _spans, read_weights, shipped_tagger
from ragstone.graph_types import Extraction

GERMAN = """# 3.2 Timer-Bausteine

Ein Einschaltverzögerer ist ein Funktionsbaustein, der nach IEC 61131-3 genormt ist. FB_Timer1 startet den Motor M1, \
wenn %IX0.0 gesetzt ist. Unter Zykluszeit versteht man die Dauer eines Durchlaufs. Die Firma Siemens AG in München \
liefert die CPU 6ES7-315-2AH14 seit dem 12. Mai 2009 nach DIN EN 61131. Der Ausgang des Reglers steuert die Pumpe.

Spannung: 24 V
Baugruppe | Typ
Eingang | DI16
Ausgang | DO8
"""
ENGLISH = """The watchdog timer restarts the controller module when the heartbeat signal is lost. A function block is a \
unit of program organisation. Ada Lovelace worked with Charles Babbage in London, England. The parser uses os.path and \
readFile() to load files of 20 MB. Lovelace died in 1852."""


@pytest.fixture(scope="module")
def extractor() -> RuleExtractor:
    return RuleExtractor()


def found(extraction: Extraction) -> set[tuple[str, str]]:
    return {(m.text, m.kind) for m in extraction.mentions}


def related(extraction: Extraction) -> set[tuple[str, str, str]]:
    m = extraction.mentions
    return {(m[r.head].text, r.label, m[r.tail].text) for r in extraction.relations}


def test_german_technical_text(extractor: RuleExtractor) -> None:
    extraction = extractor.extract(GERMAN, "de")
    assert found(extraction) >= {
        ("Timer-Bausteine", "heading"), ("Einschaltverzögerer", "definition"), ("IEC 61131-3", "standard"),
        ("FB_Timer1", "identifier"), ("%IX0.0", "identifier"), ("Zykluszeit", "definition"), ("Siemens AG", "name"),
        ("München", "name"), ("6ES7-315-2AH14", "identifier"), ("12. Mai 2009", "date"), ("DIN EN 61131", "standard"),
        ("Pumpe", "term"), ("24 V", "number"), ("DI16", "identifier"),
    }  # fmt: skip
    assert related(extraction) >= {
        ("Einschaltverzögerer", "is a", "Funktionsbaustein"), ("FB_Timer1", "startet", "Motor"),
        ("FB_Timer1", "startet", "M1"), ("Zykluszeit", "is a", "Dauer"), ("Siemens AG", "in", "München"),
        ("Ausgang", "of", "Reglers"), ("Ausgang", "steuert", "Pumpe"), ("Spannung", ":", "24 V"),
        ("Eingang", "Typ", "DI16"), ("Ausgang", "Typ", "DO8"),
    }  # fmt: skip


def test_english_text(extractor: RuleExtractor) -> None:
    extraction = extractor.extract(ENGLISH, "en", headings=("2 Overview",))
    assert found(extraction) >= {
        ("watchdog timer", "term"), ("controller module", "term"), ("function block", "definition"),
        ("Ada Lovelace", "name"), ("Charles Babbage", "name"), ("London", "name"), ("os.path", "identifier"),
        ("readFile()", "identifier"), ("20 MB", "number"), ("1852", "date"), ("Overview", "heading"),
    }  # fmt: skip
    assert related(extraction) >= {
        ("watchdog timer", "restarts", "controller module"), ("function block", "is a", "unit"),
        ("Ada Lovelace", "worked with", "Charles Babbage"), ("Charles Babbage", "in", "London"),
    }  # fmt: skip
    # The name alone is the person: what stands with it is tied to her.
    dated = next(r for r in extraction.relations if extraction.mentions[r.tail].text == "1852")
    assert extraction.mentions[dated.head].text == "Lovelace"


@pytest.mark.parametrize("text", [GERMAN, ENGLISH, "", " \n", "...", "😀 \ud800 \x00\x01", "Ab" * 300])
def test_spans_stand_in_the_text(extractor: RuleExtractor, text: str) -> None:
    extraction = extractor.extract(text)
    for mention in extraction.mentions:
        assert text[mention.start : mention.end] == mention.text
        assert mention.norm
    keys = [(m.start, -m.end) for m in extraction.mentions]
    assert keys == sorted(keys)
    for relation in extraction.relations:
        assert relation.head != relation.tail
        assert 0 <= relation.start < relation.end <= len(text)
        assert 0 < relation.weight <= 1


def test_depends_on_its_arguments_alone(extractor: RuleExtractor) -> None:
    """What was read before, in which order, on how many threads: nothing changes."""
    rng = random.Random(7)
    words = (GERMAN + ENGLISH).split()
    texts = [" ".join(rng.choices(words, k=60)) + "." for _ in range(60)]
    first = [extractor.extract(text) for text in texts]
    fresh = RuleExtractor(Tagger(shipped_tagger()._weights))
    assert [fresh.extract(text) for text in reversed(texts)][::-1] == first
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(fresh.extract, texts)) == first


def test_sentences_do_not_see_each_other() -> None:
    tagger = shipped_tagger()
    one = ["Angela", "Merkel", "besuchte", "Paris", "."]
    alone = tagger.names([one])[0]
    assert alone == [(0, 2), (3, 4)]
    assert tagger.names([["x"] * 7, one, ["Berlin"], [], one])[1::3] == [alone, alone]
    # Longer than what is looked at at once.
    long = (["und"] * (BLOCK // 2) + one) * 3
    assert [(a % len(long[: len(long) // 3]), b - a) for a, b in tagger.names([long])[0]] == [
        (BLOCK // 2, 2), (BLOCK // 2 + 3, 1)
    ] * 3  # fmt: skip


def test_inside_follows_begin() -> None:
    """The best sequence, not the best tag of each word: an inside alone becomes a name that begins."""
    assert _spans([[-9.0, -9.0, 0.0], [-9.0, -9.0, 0.0]], [False, False]) == [(0, 2)]
    assert _spans([[0.0, -9.0, -9.0], [-0.7, -5.0, -0.7]], [True, False]) == []
    assert _spans([[-9.0, 0.0, -9.0], [-9.0, 0.0, -9.0], [0.0, -9.0, -9.0]], [False, False, True]) == [(0, 1), (1, 2)]


def test_weights_are_small() -> None:
    weights = read_weights(b"\0" * (2 * sum(w.size for w in shipped_tagger()._weights.values())))
    assert {k: v.shape for k, v in weights.items()} == {k: v.shape for k, v in shipped_tagger()._weights.items()}


@pytest.mark.parametrize("word", ["FB_Timer1", "readFile", "6ES7-315", "%IX0.0", "os.path", "main()", "T1", "a::b"])
def test_identifiers(word: str) -> None:
    assert is_identifier(word)


@pytest.mark.parametrize("word", ["GmbH", "Timer", "2nd", "1990s", "2024-01-31", "e-mail", "McDonald", "iPhone", "24"])
def test_no_identifiers(word: str) -> None:
    assert not is_identifier(word)


MEGABYTES = 5 << 20
BAD = {
    "one line of words": "Der Timer startet die Pumpe von Siemens und ",
    "one word": "a",
    "capitals": "Ab",
    "equal names": "Siemens ",
    "cells": "a|",
    "tabs": "x\t",
    "colons": "key: ",
    "underscores": "_a",
    "digits": "1.",
    "dots": ". ",
    "quotes": "„",
    "hashes": "# A\n",
    "definitions": "Unter X versteht man ",
    "brackets": "(A",
    "addresses": "a@b.",
    "standards": "DIN EN ",
}


@pytest.mark.parametrize("name", BAD)
def test_bad_text_is_bounded(extractor: RuleExtractor, name: str) -> None:
    """One line of 5 MB. Something that is not linear would not end before the suite's time limit."""
    text = BAD[name] * (MEGABYTES // len(BAD[name]))
    extraction = extractor.extract(text, "de")
    assert len(extraction.mentions) <= MOST_MENTIONS
    assert len(extraction.relations) <= 20 * MOST_MENTIONS
    assert all(m.end <= MOST_CHARACTERS for m in extraction.mentions)


def test_equal_names_are_one_node(extractor: RuleExtractor) -> None:
    extraction = extractor.extract("Angela Merkel besuchte Paris. " * 100_000, "de")
    assert {m.norm for m in extraction.mentions} == {"angela merkel", "paris"}
    assert len(extraction.relations) <= 4


def test_binary_text(extractor: RuleExtractor) -> None:
    rng = random.Random(3)
    text = "".join(map(chr, rng.choices([*range(256), *range(0x3000, 0x3100), 0xD800, 0x1F600], k=30_000)))
    extraction = extractor.extract(text)
    assert all(text[m.start : m.end] == m.text for m in extraction.mentions)
