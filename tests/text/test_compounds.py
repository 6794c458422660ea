from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragstone.text.compounds import split

SIMPLE = """
    unternehmen verantwortung erfahrung verarbeitung minister mannschaft wirtschaft eigenschaften anforderungen
    anwendung geschwindigkeit wahrscheinlichkeit gesundheit universität organisation kommunikation konfiguration
    natürlich entsprechend eingabe verzeichnisse kontrolle parameter haus
"""


@pytest.mark.parametrize(
    ("word", "parts"),
    [
        ("sicherheitskonzept", "sicherheits konzept"),
        ("netzwerkkomponenten", "netzwerk komponenten"),
        ("prüfprotokoll", "prüf protokoll"),
        ("kinderspielplatz", "kinder spielplatz"),
        ("krankenhäuser", "kranken häuser"),
        ("verschlüsselungsverfahren", "verschlüsselungs verfahren"),
        ("notstromversorgung", "not strom versorgung"),
        ("dateisystem", "datei system"),
        ("donaudampfschifffahrtsgesellschaft", "donau dampf schifffahrts gesellschaft"),
        ("patientenakte", "patienten akte"),
    ],
)
def test_compounds_fall_into_parts(word: str, parts: str) -> None:
    assert split(word) == tuple(parts.split())


@pytest.mark.parametrize(
    "word",
    SIMPLE.split(),
)
def test_simple_words_stay_whole(word: str) -> None:
    assert split(word) == ()


@given(st.text(alphabet="abdeghiklmnorstuwzäöü", max_size=60))
def test_parts_make_the_word(word: str) -> None:
    parts = split(word)
    assert parts == () or ("".join(parts) == word and len(parts) > 1 and min(map(len, parts)) >= 3)
