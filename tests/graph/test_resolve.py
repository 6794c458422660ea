from __future__ import annotations

import random
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from ragstone.embedding.onnx import OnnxEmbedder
from ragstone.errors import InputError, ModelMissing, NotFound
from ragstone.graph.resolve import THRESHOLD, Resolved, Resolver
from ragstone.graph.resolve_clusters import Decision, cluster
from ragstone.graph.resolve_forms import Form, compare
from ragstone.graph.resolve_words import abbreviates, words
from ragstone.models import DEFAULT_MODEL, Loaded, LocalModel, ModelRegistry
from ragstone.protocols import Embedder
from ragstone.testing import HashEmbedder
from tiny_model import write_tiny_model

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
    assert keys_of(resolver(one, other)) == [("a", "b")], "a blocking puts them side by side"


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


def test_an_abbreviation_needs_a_context_or_a_definition() -> None:
    long = Form("long", "speicherprogrammierbare Steuerung", language="de", context="liest Eingänge zyklisch ein")
    short = Form("short", "SPS", language="de", context="Die SPS liest zyklisch alle Eingänge.")
    found = resolver(long, short)
    assert keys_of(found) == [("long", "short")]
    assert "initials" in str(found.explain("short", "long"))
    assert keys_of(resolver(long, replace(short, context="Die Partei wählt einen Vorsitzenden."))) == [
        ("long",), ("short",),
    ]  # fmt: skip
    given = replace(short, context="", aliases=("Speicherprogrammierbare Steuerung",))
    assert keys_of(resolver(long, given)) == [("long", "short")]


def test_a_misspelling_needs_a_neighbour_in_common() -> None:
    right = Form("1", "Frequenzumrichter", neighbours=frozenset({"motor", "schütz"}))
    wrong = Form("2", "Frequenzumrihcter", neighbours=frozenset({"motor", "schütz"}))
    assert keys_of(resolver(right, wrong)) == [("1", "2")]
    assert keys_of(resolver(right, replace(wrong, neighbours=frozenset()))) == [("1",), ("2",)]


def test_homonyms_are_kept_apart_by_their_context() -> None:
    registry = ModelRegistry(threads=2)
    forms = [
        Form("money-1", "Bank", language="de", context="Konto eröffnen, Zinsen zahlen, Überweisung ausführen"),
        Form("money-2", "Banken", language="de", context="Das Geldinstitut vergibt Kredite und Hypotheken an Kunden"),
        Form("bench", "Bank", language="de", context="Gartenmöbel aus Teakholz mit Lehne unter Bäumen im Park"),
    ]
    found = Resolver(lambda: registry.load(DEFAULT_MODEL))
    found.add(forms)
    assert keys_of(found) == [("bench",), ("money-1", "money-2")]
    assert "what the contexts are about" in str(found.explain("bench", "money-1"))


def test_the_order_of_input_does_not_matter() -> None:
    forms = some_forms(80)
    decisions = [Decision("split", "0", "40", 1), Decision("merge", "1", "7", 2), Decision("merge", "7", "13", 3)]
    wanted = resolver(*forms, decisions=decisions).entities()
    assert len(wanted) < len(forms)
    for seed in range(15):
        dice = random.Random(seed)
        mixed = dice.sample(forms, len(forms))
        found = Resolver()
        extra = [replace(f, key=f"x{f.key}") for f in mixed[:30]]
        cut = dice.randrange(len(mixed))
        # some come one by one, some go again, decisions fall in between
        for form in [*mixed[:cut], *extra]:
            found.add([form])
        found.decide(dice.sample(decisions, 3))
        found.remove(form.key for form in extra)
        found.add(mixed[cut:])
        assert found.entities() == wanted


def test_large_blocks_do_not_depend_on_the_order_either() -> None:
    forms = [Form(str(i), f"Steuerung{'en' * (i % 2)} {'abcdefghij'[i % 10]}{i // 10}", language="de") for i in range(90)]
    forms += [Form(f"s{i}", "Steuerung", language="de", context=f"Wort{i} steht hier") for i in range(60)]
    wanted = resolver(*forms).entities()
    for seed in range(3):
        found = Resolver()
        mixed = random.Random(seed).sample(forms, len(forms))
        found.add(mixed[:100])
        found.remove(form.key for form in mixed[:50])
        found.add(mixed[100:])
        found.add(mixed[:50])
        assert found.entities() == wanted


def test_a_new_form_compares_itself_alone() -> None:
    found = resolver(*(Form(str(i), f"Baustein {word}", language="de") for i, word in enumerate(WORDS)))
    before = found.compared
    found.add([Form("new", "Bausteine Ventil", language="de")])
    assert found.compared - before < 40
    assert len(found.entity("new").keys) == 2
    settled = found.compared
    found.add([Form("new", "Bausteine Ventil", language="de")])
    assert found.compared == settled


def test_what_is_gone_leaves_nothing() -> None:
    forms = some_forms(30)
    found = resolver(*forms)
    wanted = found.entities()
    found.add([Form("x", "Steuerungen", language="de"), Form("y", "SPS")])
    found.remove(["x", "y", "nothing"])
    assert found.entities() == wanted
    found.remove(form.key for form in forms)
    assert found.entities() == []
    assert len(found) == 0
    with pytest.raises(NotFound):
        found.entity("x")


def test_decisions_by_hand_win_and_can_be_taken_back() -> None:
    found = resolver(Form("a", "Motor"), Form("b", "Motors"), Form("c", "Antrieb"))
    assert keys_of(found) == [("a", "b"), ("c",)]
    found.decide([Decision("split", "a", "b", 1), Decision("merge", "a", "c", 2)])
    assert keys_of(found) == [("a", "c"), ("b",)]
    assert found.explain("a", "c").by_hand
    assert str(found.explain("a", "b")).startswith("different: decided by hand")
    found.remove(["a"])
    assert keys_of(found) == [("b",), ("c",)]
    found.add([Form("a", "Motor")])
    assert keys_of(found) == [("a", "c"), ("b",)], "a decision outlives the form"
    found.withdraw("a", "b")
    found.withdraw("c", "a")
    assert keys_of(found) == [("a", "b"), ("c",)]
    with pytest.raises(NotFound):
        found.withdraw("a", "c")
    with pytest.raises(InputError):
        found.decide([Decision("split", "a", "a")])


def test_merges_in_a_circle_and_contradictions_are_harmless() -> None:
    circle = [Decision("merge", a, b, i) for i, (a, b) in enumerate(CIRCLE)]
    found = resolver(*(Form(key, name) for key, name in zip("abc", ("Rad", "Welle", "Pumpe"), strict=True)))
    found.decide(circle)
    assert keys_of(found) == [("a", "b", "c")]
    found.decide([Decision("split", "a", "c", 9)])
    assert not found.explain("a", "c").same
    assert [d.order for d in found.decisions] == sorted(d.order for d in found.decisions)
    found.decide([Decision("merge", "c", "a", 10)])
    assert keys_of(found) == [("a", "b", "c")]


def test_no_chains() -> None:
    """a and c are each like b, and surely not the same."""
    likely = {("a", "b"): 0.97, ("b", "c"): 0.95}
    groups = cluster("abc", likely, [], lambda x, y: 0.1 if {x, y} == {"a", "c"} else 0.97)
    assert sorted(members for members, _ in groups) == [("a", "b"), ("c",)]
    forms = (Form("1", "IT-Sicherheit"), Form("2", "it Sicherheit"), Form("3", "DB 1"), Form("4", "DB 2"))
    assert ("3",) in keys_of(resolver(*forms))


def test_a_hundred_thousand_equal_forms() -> None:
    found = Resolver()
    found.add(Form(str(i), "Steuerung", context="liest Eingänge") for i in range(100_000))
    assert [len(entity.keys) for entity in found.entities()] == [100_000]
    assert found.compared == 0
    found.add([Form("another", "Steuerungen")])
    found.remove(str(i) for i in range(0, 100_000, 2))
    assert [len(entity.keys) for entity in found.entities()] == [50_001]
    assert found.entity("another").name == "Steuerung"


def test_odd_names() -> None:
    odd = ["", " ", "...", "\x00", "🙂", "東京", "東京都", "a" * 5000, "((((", "\ud800", "İstanbul", "1.000,00", "-" * 99]
    found = resolver(*(Form(str(i), name, context=name) for i, name in enumerate(odd)))
    assert sum(len(entity.keys) for entity in found.entities()) == len(odd)


def test_entities_tell_how_they_are_written() -> None:
    found = resolver(Form("1", "Zeitbaustein"), Form("2", "Zeitbausteine"), Form("3", "Zeitbausteine"))
    (entity,) = found.entities()
    assert (entity.name, entity.aliases) == ("Zeitbausteine", ("Zeitbaustein",))
    assert entity.links
    assert found.entity("1").id == resolver(Form("1", "Zeitbaustein")).entity("1").id
    with pytest.raises(InputError):
        Resolver(threshold=0.2)


def test_the_model_is_loaded_once_for_all_resolvers(tmp_path: Path) -> None:
    opened = []

    class Counting(ModelRegistry):
        def _open(self, model: str | LocalModel) -> OnnxEmbedder:
            opened.append(model)
            time.sleep(0.2)  # others arrive meanwhile
            return super()._open(model)

    model = LocalModel(write_tiny_model(tmp_path / "tiny"))
    loaded = Loaded()
    barrier = threading.Barrier(16)
    forms = [
        Form("1", "Bank", context="Konto eröffnen, Zinsen zahlen, Überweisung ausführen"),
        Form("2", "Bank", context="Gartenmöbel aus Teakholz mit Lehne unter Bäumen im Park"),
    ]

    def resolve(_: int) -> int:
        found = Resolver(lambda: Counting(tmp_path, threads=1, loaded=loaded).load(model))
        barrier.wait()
        found.add(forms)
        assert any("cosine" in reason.about for reason in found.explain("1", "2").reasons)
        return len(found)

    with ThreadPoolExecutor(16) as pool:
        assert list(pool.map(resolve, range(16))) == [2] * 16
    assert opened == [model]


def test_the_model_is_not_loaded_where_names_and_words_decide() -> None:
    def refuse() -> OnnxEmbedder:
        raise AssertionError

    found = Resolver(refuse)
    found.add([Form("1", "Motor"), Form("2", "Motoren", context="dreht die Welle"), Form("3", "Welle")])
    assert keys_of(found) == [("1", "2"), ("3",)]


def test_a_model_that_fails_leaves_nothing_half_done() -> None:
    """The model comes up at the second call: what was added is resolved then."""
    calls = []

    def late() -> Embedder:
        calls.append(1)
        if len(calls) == 1:
            raise ModelMissing("not there yet.")
        return HashEmbedder()

    forms = [
        Form("1", "Bank", context="Konto eröffnen, Zinsen zahlen, Überweisung ausführen"),
        Form("2", "Bank", context="Gartenmöbel aus Teakholz mit Lehne unter Bäumen im Park"),
        Form("3", "Motor"),
    ]
    found = Resolver(late)
    with pytest.raises(ModelMissing):
        found.add(forms)
    wanted = Resolver(HashEmbedder)
    wanted.add(forms)
    assert found.entities() == wanted.entities()
    assert found.entity("3").keys == ("3",)


def test_words() -> None:
    assert words("Norton AntiVirus III 7.0 1,299.00 '", "en") == ("norton", "antivirus", "3", "7", "1299")
    assert words("6ES7-315 &amp; Häuser", "de") == ("6es7315", "haus")


CIRCLE = (("a", "b"), ("b", "c"), ("c", "a"), ("b", "a"), ("a", "a"))
WORDS = (
    "Ventil Pumpe Motor Sensor Filter Schalter Regler Antrieb Lager Getriebe Kessel Brenner Lüfter Zähler Taster Relais"
).split()


def some_forms(count: int) -> list[Form]:
    """Names of one to three words with other endings, some with contexts and neighbours."""
    dice = random.Random(5)
    forms = []
    for i in range(count):
        name = dice.choice(["", "Haupt", "Neben"]) + dice.choice(WORDS[:6]) + dice.choice(["", "steuerung", " Block"])
        forms.append(
            Form(
                str(i),
                name + dice.choice(["", "en", "s"]),
                language="de",
                context=" ".join(dice.sample(WORDS, 4)) if dice.random() < 0.5 else "",
                neighbours=frozenset(dice.sample(WORDS, 2)),
            )
        )
    return forms


def resolver(*forms: Form, decisions: Sequence[Decision] = ()) -> Resolver:
    found = Resolver(decisions=decisions)
    found.add(forms)
    return found


def keys_of(found: Resolver) -> list[tuple[str, ...]]:
    return sorted(entity_keys(entity) for entity in found.entities())


def entity_keys(entity: Resolved) -> tuple[str, ...]:
    return entity.keys
