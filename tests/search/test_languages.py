"""An archive in two languages, with the model that ships."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ragstone.assemble import open_knowledge_base
from ragstone.knowledge_base import KnowledgeBase
from ragstone.settings import at, load

ENGLISH = {
    "pump": "The cooling pump in hall B is serviced every spring. Its seals are replaced by the fitter on duty.",
    "bees": "Honey bees dance to tell the other bees where flowers are. The angle of the dance shows the direction.",
    "treaty": "The treaty was signed in 1648 and ended thirty years of war. Both envoys received copies.",
    "violin": "The violin was built in Cremona by a pupil of Amati. It was restored after a fire.",
    "backup": "A backup is written every night at two o'clock. Copies older than ninety days are deleted.",
    "glacier": "The glacier has lost half of its ice since 1970. Its stream feeds a lake below the village.",
}
GERMAN = {
    "Kessel": "Der Kessel in Halle A wird im Herbst gereinigt. Die Pumpe des Kessels läuft mit halber Leistung.",
    "Vögel": "Zugvögel richten sich nach den Sternen. Junge Vögel lernen den Weg von den alten.",
    "Krieg": "Der Krieg begann mit dem Aufstand in Prag. Viele Städte wurden in den ersten Jahren zerstört.",
    "Klavier": "Das Klavier wurde in Leipzig gebaut und nach dem Umzug neu gestimmt.",
    "Passwort": "Das Passwort wird alle neunzig Tage geändert. Alte Kennwörter werden gelöscht.",
    "See": "Der See friert im Winter zu. Das Dorf liegt am Ufer und lebt vom Fischfang.",
}
CROSSING = {
    "Wann wird die Kühlpumpe gewartet?": "pump",
    "Wie zeigen Bienen anderen Bienen, wo Blumen sind?": "bees",
    "Wann wurde der Vertrag unterschrieben?": "treaty",
    "Wo wurde die Geige gebaut?": "violin",
    "Wann wird die Datensicherung geschrieben?": "backup",
    "Wie viel Eis hat der Gletscher verloren?": "glacier",
    "When is the boiler cleaned?": "Kessel",
    "How do migratory birds find their way?": "Vögel",
    "Where did the uprising begin?": "Krieg",
    "Where was the piano made?": "Klavier",
    "How often is the password changed?": "Passwort",
    "What happens to the lake in winter?": "See",
}
OWN = {
    "When is the cooling pump serviced?": "pump",
    "How long did the war last that the treaty ended?": "treaty",
    "Wann wird der Kessel gereinigt?": "Kessel",
    "Wie oft wird das Passwort geändert?": "Passwort",
}


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KnowledgeBase]:
    quiet = load(overrides={"graph.enabled": "false"})
    with open_knowledge_base(at(tmp_path_factory.mktemp("archive"), quiet)) as kb:
        kb.add_texts([(name, name, text, {}) for name, text in (ENGLISH | GERMAN).items()])
        kb.embed_pending()
        yield kb


def test_a_question_finds_the_passage_of_the_other_language(archive: KnowledgeBase) -> None:
    first = {question: archive.search(question, k=3).hits[0].chunk.uri for question in CROSSING}
    assert sum(first[question] == uri for question, uri in CROSSING.items()) >= 11, first
    assert {question: archive.search(question, k=1).hits[0].chunk.uri for question in OWN} == OWN


def test_it_is_answered_from_there(archive: KnowledgeBase) -> None:
    answers = {question: archive.ask(question, cache=False) for question in CROSSING | OWN}
    cited = {question: answer.citations[0].uri if answer.citations else "" for question, answer in answers.items()}
    assert all(cited[question] in (uri, "") for question, uri in CROSSING.items()), cited
    assert sum(cited[question] == uri for question, uri in CROSSING.items()) >= 3, cited
    assert {question: cited[question] for question in OWN} == OWN


def test_what_the_archive_does_not_hold_is_still_refused(archive: KnowledgeBase) -> None:
    for question in ("Wer gewann die Weltmeisterschaft im Eishockey?", "Which enzyme splits lactose?"):
        assert not archive.ask(question, cache=False).answered, question
