from __future__ import annotations

import re
import unicodedata
from concurrent.futures import ThreadPoolExecutor
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragstone.text import analysis
from ragstone.text.analysis import MAX_TERM, PART_WEIGHT, Analyzer, analyzer, fold, highlights, pack, query_terms


def terms(text: str, language: str = "de") -> list[str]:
    return analyzer(language).words(text)


def groups(query: str, *languages: str) -> dict[tuple[str, ...], float]:
    return {tuple(t for t, _ in group): group[0][1] for group in query_terms(query, languages or ("de",)).groups}


@pytest.mark.parametrize(
    ("one", "other", "language"),
    [
        ("Prüfung", "Pruefungen", "de"),
        ("Straße", "STRASSEN", "de"),
        ("Häuser", "Haus", "de"),
        ("retrieval", "Retrieval", "en"),
        ("engines", "engine", "en"),
        ("Pru\u0308fung", "Prüfung", "de"),
        ("Daten\u00adschutz", "Datenschutz", "de"),
        ("ﬁle", "files", "en"),
        ("IT-Sicherheit", "ITSicherheit", "de"),
        ("E-Mail", "email", "de"),
        ("FB_Timer1", "FBTimer1", "de"),
        ("6ES7-315", "6ES7315", "de"),
        ("Müller", "Mueller", "en"),
        ("Müller", "Muller", "en"),
        ("Peter's", "Peter", "en"),
        ("café", "cafe", "fr"),
    ],
)
def test_spellings_that_must_meet(one: str, other: str, language: str) -> None:
    assert set(terms(one, language)) & set(terms(other, language))


def test_compounds_are_kept_and_split() -> None:
    assert terms("Sicherheitskonzepte") == ["sicherheitskonzept", *terms("Sicherheit"), *terms("Konzept")]
    assert set(terms("Speicher Steuerung")) <= set(terms("Steuerungsspeicher Speichersteuerung"))


def test_identifiers_are_kept_and_split() -> None:
    assert terms("FB_Timer1", "en") == ["fbtimer1", "fb", "timer1", "timer", "1"]
    assert terms("readFileName", "en") == ["readfilenam", "read", "file", "name"]
    assert terms("6ES7-315-2AG10", "en") == ["6es73152ag10", "6es7", "315", "2ag10"]
    assert terms("os.path.join", "en") == ["ospathjoin", "os", "path", "join"]
    assert terms("C++ und C#", "en")[0] == "c++"
    assert "c#" in terms("C++ und C#", "en")


def test_numbers_stand_as_they_are() -> None:
    assert terms("315 1.5 2024-01-31") == ["315", "1.5", "2024-01-31", "2024"]


def test_scripts_without_spaces_become_pairs() -> None:
    assert terms("東京大学", "ja") == ["東京", "京大", "大学"]
    assert analyzer("ja").analyze("東京大学").length == 4
    assert set(terms("東京", "ja")) <= set(terms("私は東京大学に行く。", "ja"))
    assert terms("Python語", "ja") == [*terms("Python", "ja"), "語"]


def test_length_counts_positions_not_alternatives() -> None:
    assert analyzer("de").analyze("Das Sicherheitskonzept FB_Timer1").length == 3


def test_a_stem_that_looks_like_a_function_word_is_marked() -> None:
    assert terms("Sicherheit") == terms("sicher") == ["sich_"]
    assert terms("sich") == ["sich"]
    assert terms("Seiten") == ["seit_"]
    assert groups("Wie ist die Sicherheit?") == {("sich_",): 1.0}


def test_abbreviations_in_capitals_are_no_stop_words() -> None:
    assert groups("What is IT?", "en") == {("it",): 1.0}
    assert groups("WHAT IS A PUMP?", "en") == {("pump",): 1.0}


def test_stop_words_are_indexed_but_not_asked_for() -> None:
    assert "der" in terms("der Hund")
    assert groups("Wo ist der Hund?") == {("hund",): 1.0}
    assert groups("Was ist das?")
    assert groups("What is the dog doing?", "de", "en") == {("dog",): 1.0}
    assert groups("don't bark", "en") == {("bark",): 1.0}


def test_a_question_asks_in_every_language_of_the_collection() -> None:
    assert ("maschin", "machin") not in groups("machines", "en")
    both = groups("Operationen", "de", "en")
    assert any(len(forms) == 2 for forms in both)


def test_parts_weigh_less_than_wholes() -> None:
    asked = groups("Sicherheitskonzept")
    assert asked[("sicherheitskonzept",)] == 1.0
    assert asked[("konzept",)] == PART_WEIGHT


def test_repeated_words_weigh_more() -> None:
    asked = groups("boundary layer and layer", "en")
    assert asked[("boundari",)] == 1.0
    assert 1.0 < asked[("layer",)] < 2.0


@pytest.mark.parametrize("query", ["", "   ", "?!", "___"])
def test_a_question_without_words_has_no_terms(query: str) -> None:
    assert query_terms(query, ["de"]).groups == ()


def test_an_unknown_language_is_analysed_as_english() -> None:
    assert terms("machines", "") == terms("machines", "xx") == terms("machines", "en")
    assert query_terms("machines", []) == query_terms("machines", ["en"])


def test_marked_words_are_the_same_whatever_was_met_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(analysis, "_CACHE_TOKENS", 7)
    random = Random(5)
    pool = "Haus Häuser Hauses Tür Haustür Türen timer Timers TIMER FB_Timer1 restart restarts go goes gone".split()
    one = Analyzer("de")
    for _ in range(300):
        tokens = set(random.sample(pool, 6))
        wanted = frozenset(Analyzer("de").words(" ".join(random.sample(pool, 3))))
        alone = {token for token in tokens if not wanted.isdisjoint(Analyzer("de").words(token))}
        assert one.becoming(wanted, tokens) == alone


def test_highlight_marks_words_that_matched() -> None:
    text = "Das Datenschutzkonzept schützt Daten; Konzepte für den Schutz."
    (marked,) = highlights([text], "Welches Konzept gibt es?", ["de"])
    found = [text[a:b] for a, b in marked]
    assert found == ["Datenschutzkonzept", "Konzepte"]
    assert highlights([text, "Zebra: das Zebra"], "Zebra", ["de"]) == [[], [(0, 5), (11, 16)]]


def test_fold() -> None:
    assert fold("ÄÖÜ Straße Ångström ﬁ Œuvre") == "aou strasse angstrom fi oeuvre"


def test_one_analyser_serves_many_threads() -> None:
    texts = [f"Prüfprotokoll {n} der Temperaturregler und Messwerte Nummer{n}" for n in range(300)]
    fresh = Analyzer("de")
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(fresh.analyze, texts))
    alone = Analyzer("de")
    assert together == [alone.analyze(text) for text in texts]


@given(st.text(max_size=200), st.sampled_from(["de", "en", "fr", "ja", ""]))
def test_terms_of_any_text(text: str, language: str) -> None:
    words = analyzer(language).words(text)
    assert all(word and not re.search(r"\s", word) and len(word) <= MAX_TERM for word in words)
    result = analyzer(language).analyze(text)
    assert result.keys == pack(words)
    assert analyzer(language).analyze(text) == result
    assert result.length >= 0
    query_terms(text, [language])
    for start, end in highlights([text], text, [language])[0]:
        assert 0 <= start < end <= len(text)


@given(st.text(alphabet=st.characters(categories=["L", "N", "M"]), min_size=1, max_size=30))
def test_composed_and_decomposed_text_have_the_same_terms(text: str) -> None:
    composed = unicodedata.normalize("NFKC", text)
    decomposed = unicodedata.normalize("NFD", composed)
    if unicodedata.normalize("NFKC", decomposed) == composed and all(
        "\u0300" <= c <= "\u036f" for c in decomposed if unicodedata.combining(c)
    ):
        assert set(terms(decomposed, "de")) == set(terms(composed, "de"))


def test_one_giant_token_is_bounded() -> None:
    assert terms("x" * 1_000_000, "de") == ["x" * MAX_TERM]
    assert len(terms(".".join(["ab"] * 100_000), "de")) < 1000
