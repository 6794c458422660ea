from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

import pytest

from ragstone.graph.resolve import ALL_PAIRS, THRESHOLD, Explanation, explain, resolved
from ragstone.graph.resolve_clusters import Decision, cluster
from ragstone.graph.resolve_forms import Form, compare, compare_names, numbers
from ragstone.graph.resolve_words import abbreviates, words


class Held:
    """Forms, each by its place."""

    def __init__(self, forms: Iterable[Form], decisions: Sequence[Decision] = ()) -> None:
        self.forms = list(forms)
        self.decisions = decisions

    def form(self, node: int) -> Form:
        return self.forms[node]

    def numbers(self, node: int) -> tuple[int, ...]:
        return numbers(self.forms[node])

    def sharing(self, number: int) -> Collection[int]:
        return [place for place, form in enumerate(self.forms) if number in numbers(form)]

    def node_of_key(self, key: str) -> int | None:
        return next((place for place, form in enumerate(self.forms) if form.key == key), None)

    def decided(self, key: str) -> Collection[Decision]:
        return [decision for decision in self.decisions if key in (decision.a, decision.b)]


def keys_of(*forms: Form, decisions: Sequence[Decision] = ()) -> list[tuple[str, ...]]:
    return sorted(found.keys for found in resolved(Held(forms, decisions), range(len(forms))))


def told(a: str, b: str, *forms: Form, decisions: Sequence[Decision] = ()) -> Explanation:
    held = Held(forms, decisions)
    one, other = held.node_of_key(a), held.node_of_key(b)
    assert one is not None
    assert other is not None
    return explain(held, one, other)


SAME = [
    ("Steuerung", "Steuerungen"), ("Zeitbaustein", "Zeit-Baustein"), ("Pumpensteuerung", "Steuerung der Pumpe"),
    ("Straße", "Strasse"), ("Häuser", "Haus"), ("Müller", "Mueller"), ("Datenschutzgesetz", "Datenschutzgesetze"),
    ("function block", "function blocks"), ("6ES7-315", "6ES7 315"), ("Restart", "restart"),
    ("Anlaufverhalten", "Anlauf-Verhalten"), ("Antriebsregler", "Regler für den Antrieb"),
]  # fmt: skip
OTHERS = [
    ("Pumpensteuerung", "Steuerungspumpe"), ("Temperaturfühler", "Fühler"), ("DB1", "DB2"), ("Band", "BAND"),
    ("Windows 10", "Windows 11"), ("FB_Timer1", "FB_Timer2"), ("Datenschutzgesetz", "Datenschutz"),
    ("IEC 61131-3", "IEC 61131"), ("Motor", "Monitor"), ("Eingang", "Ausgang"), ("it", "IT"), ("TON", "TOF"),
    ("SPS", "speicherprogrammierbare Steuerung"),
]  # fmt: skip


@pytest.mark.parametrize(("a", "b"), SAME)
def test_inflections_and_compounds_are_the_same(a: str, b: str) -> None:
    one, other = Form("a", a, language="de"), Form("b", b, language="de")
    assert compare(one, other).similarity >= THRESHOLD
    assert compare(one, other).similarity == compare(other, one).similarity
    assert keys_of(one, other) == [("a", "b")], "a blocking puts them side by side"


@pytest.mark.parametrize(("a", "b"), OTHERS)
def test_names_alone_do_not_suffice(a: str, b: str) -> None:
    assert compare(Form("a", a, language="de"), Form("b", b, language="de")).similarity < THRESHOLD


@pytest.mark.parametrize(
    ("short", "long", "fits"),
    [
        ("SPS", "speicherprogrammierbare Steuerung", True),
        ("SPS", "Speicherprogrammierbaren Steuerungen", True),
        ("PLC", "programmable logic controller", True),
        ("DSGVO", "Datenschutz-Grundverordnung", True),
        ("BSI", "Bundesamt für Sicherheit in der Informationstechnik", True),
        ("PLC", "public library card catalogue", False),
        ("SPS", "Steuerung", False),
        ("SPS", "Sensor", False),
        ("in", "integrated network", False),
    ],
)
def test_abbreviations(short: str, long: str, fits: bool) -> None:
    assert abbreviates(short, long) is fits


def test_an_abbreviation_needs_a_definition() -> None:
    long, short = Form("long", "speicherprogrammierbare Steuerung", "de"), Form("short", "SPS", "de")
    assert keys_of(long, short) == [("long",), ("short",)]
    assert "initials" in str(told("short", "long", long, short))
    given = Form("short", "SPS", "de", ("Speicherprogrammierbare Steuerung",))
    assert keys_of(long, given) == [("long", "short")]


def test_a_misspelling_does_not_suffice() -> None:
    assert keys_of(Form("1", "Frequenzumrichter"), Form("2", "Frequenzumrihcter")) == [("1",), ("2",)]


def test_forms_that_share_no_number_are_not_the_same() -> None:
    """Nothing else is compared: every pair that names make one shares a number in the language of both."""
    names = [name for pair in (*SAME, *OTHERS) for name in pair]
    forms = [Form(str(place), name, "de") for place, name in enumerate(names)]
    for one in forms:
        for other in forms:
            if compare(one, other).similarity >= THRESHOLD:
                assert set(numbers(one)) & set(numbers(other)), (one.name, other.name)


def test_many_forms_of_one_name_are_compared_with_their_neighbours_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    compared = []
    monkeypatch.setattr("ragstone.graph.resolve.compare", lambda a, b: compared.append((a, b)) or compare(a, b))
    forms = [Form(f"{place:03d}", "Band" + "-" * place) for place in range(4 * ALL_PAIRS)]
    assert keys_of(*forms) == [tuple(form.key for form in forms)]
    assert len(compared) < len(forms) ** 2 / 4


def test_decisions_by_hand_win() -> None:
    forms = Form("a", "Motor"), Form("b", "Motors"), Form("c", "Antrieb")
    assert keys_of(*forms) == [("a", "b"), ("c",)]
    decisions = [Decision("split", "a", "b", 1), Decision("merge", "a", "c", 2)]
    assert keys_of(*forms, decisions=decisions) == [("a", "c"), ("b",)]
    assert told("a", "c", *forms, decisions=decisions).by_hand
    assert str(told("a", "b", *forms, decisions=decisions)).startswith("different: decided by hand")
    assert keys_of(*forms[1:], decisions=decisions) == [("b",), ("c",)]


def test_two_entities_that_are_merged_keep_all_their_forms() -> None:
    """Though forms of the one are unlike those of the other."""
    similar = {("a1", "a2"): 0.99, ("a1", "a3"): 0.98, ("a2", "a3"): 0.97, ("b1", "b2"): 0.99, ("b2", "b3"): 0.96}

    def alike(x: str, y: str) -> float:
        return similar.get((min(x, y), max(x, y)), 0.9 if x[0] == y[0] else 0.01)

    ids = ["a1", "a2", "a3", "b1", "b2", "b3", "c"]
    assert {found for found, _ in cluster(ids, similar, [], alike)} == {("a1", "a2", "a3"), ("b1", "b2", "b3"), ("c",)}
    merged = cluster(ids, similar, [Decision("merge", "a2", "b3")], alike)
    assert {found for found, _ in merged} == {("a1", "a2", "a3", "b1", "b2", "b3"), ("c",)}
    again = cluster(ids, similar, [Decision("merge", "a2", "b3"), Decision("split", "a1", "b1", 1)], alike)
    assert not any({"a1", "b1"} <= set(found) for found, _ in again)


def test_merges_in_a_circle_and_contradictions_are_harmless() -> None:
    circle = [Decision("merge", a, b, i) for i, (a, b) in enumerate(CIRCLE)]
    forms = [Form(key, name) for key, name in zip("abc", ("Rad", "Welle", "Pumpe"), strict=True)]
    assert keys_of(*forms, decisions=circle) == [("a", "b", "c")]
    apart = [*circle, Decision("split", "a", "c", 9)]
    assert not told("a", "c", *forms, decisions=apart).same
    assert keys_of(*forms, decisions=[*apart, Decision("merge", "c", "a", 10)]) == [("a", "b", "c")]


def test_a_way_of_several_pairs_is_told() -> None:
    forms = [Form("a", "Zeit-Bausteine", "de"), Form("b", "Zeitbausteine", "de"), Form("c", "Zeitbaustein", "de")]
    assert keys_of(*forms) == [("a", "b", "c")]
    found = told("a", "c", *forms)
    assert found.same
    assert [link.a < link.b for link in found.path] == [True] * len(found.path)


def test_no_chains() -> None:
    """a and c are each like b, and surely not the same."""
    likely = {("a", "b"): 0.97, ("b", "c"): 0.95}
    groups = cluster("abc", likely, [], lambda x, y: 0.1 if {x, y} == {"a", "c"} else 0.97)
    assert sorted(members for members, _ in groups) == [("a", "b"), ("c",)]
    forms = (Form("1", "IT-Sicherheit"), Form("2", "it Sicherheit"), Form("3", "DB 1"), Form("4", "DB 2"))
    assert ("3",) in keys_of(*forms)


def test_odd_names() -> None:
    odd = ["", " ", "...", "\x00", "🙂", "東京", "東京都", "a" * 5000, "((((", "\ud800", "İstanbul", "1.000,00", "-" * 99]
    found = keys_of(*(Form(str(i), name) for i, name in enumerate(odd)))
    assert found == sorted((str(i),) for i in range(len(odd))), "names without letters are not one name"
    assert compare_names(Form("a", "..."), Form("b", "((")).odds < 0


def test_words() -> None:
    assert words("Norton AntiVirus III 7.0 1,299.00 '", "en") == ("norton", "antivirus", "3", "7", "1299")
    assert words("6ES7-315 &amp; Häuser", "de") == ("6es7315", "haus")


CIRCLE = (("a", "b"), ("b", "c"), ("c", "a"), ("b", "a"))
