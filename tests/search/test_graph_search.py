"""The knowledge graph as a part of search: mixed and graph mode over a real store and real indexes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ragstone import Filter, KnowledgeBase
from ragstone.assemble import open_knowledge_base
from ragstone.search.talk import is_turn, tells, turns_beside
from ragstone.settings import at, load
from ragstone.testing import HashEmbedder
from ragstone.types import Mode

TURNS = [
    ("t1", "Mira: Guess what, I started something new at the Ostberg workshop."),
    ("t2", "Jon: Really? What did you make there?"),
    ("t3", "Mira: Bowls and a blue vase on the wheel."),
    ("t4", "Jon: Lovely. My week was only tax forms."),
    ("t5", "Jon: The Ostberg workshop is run by Helga Brandt."),
]
OTHER = [(f"x{i}", f"Note {i}: the harbour office opened at {i} and the ferry left on time.") for i in range(30)]


def opened(folder: Path, **overrides: object) -> KnowledgeBase:
    off = {"embedding.background": False, "cache.persistent": False}
    return open_knowledge_base(at(folder, load(overrides={**off, **overrides})), embedder=HashEmbedder())


@pytest.fixture
def kb(tmp_path: Path) -> Iterator[KnowledgeBase]:
    with opened(tmp_path / "kb") as kb:
        kb.add_texts([(uri, "session 1", text, {}) for uri, text in TURNS])
        kb.add_texts([(uri, "", text, {}) for uri, text in OTHER])
        kb.graph.build()
        yield kb


def uris(kb: KnowledgeBase, query: str, mode: str, **options: object) -> list[str]:
    return [hit.chunk.uri for hit in kb.search(query, mode=mode, **options).hits]  # type: ignore[arg-type]


def test_mixed_brings_what_stands_beside_a_hit_and_what_its_rare_names_lead_to(kb: KnowledgeBase) -> None:
    query = "What did Mira start at the workshop?"
    assert set(uris(kb, query, "lexical")) == {"t1", "t3", "t5"}
    found = uris(kb, query, "mixed")
    assert found[0] == "t1"
    assert {"t2", "t3", "t5"} <= set(found[:5])
    assert not {"t2", "t3"} & set(uris(kb, "Who runs the Ostberg workshop?", "lexical"))
    assert {"t1", "t5"} <= set(uris(kb, "Who is Helga Brandt?", "mixed")[:5])


def test_each_hit_by_the_graph_tells_its_way(kb: KnowledgeBase) -> None:
    hits = kb.search("Who is Helga Brandt?", mode="graph").hits
    assert hits[0].chunk.uri == "t5"
    assert hits[0].parts.graph == pytest.approx(1.0)
    assert "Helga Brandt" in hits[0].reason
    assert hits[0].reason.endswith(", t5")
    assert all(hit.reason == "" for hit in kb.search("Who is Helga Brandt?", mode="hybrid").hits)


def test_a_filter_holds_for_what_the_graph_leads_to(kb: KnowledgeBase) -> None:
    only = Filter(path=("t1", "t5"))
    for mode in ("mixed", "graph"):
        assert set(uris(kb, "Mira at the Ostberg workshop", mode, filter=only)) <= {"t1", "t5"}


def test_what_is_kept_follows_the_graph(kb: KnowledgeBase) -> None:
    query = "Helga Brandt"
    assert "t9" not in uris(kb, query, "mixed")
    kb.add_texts([("t9", "", "Helga Brandt was born in Lund.", {})])
    before = kb.search(query, mode="mixed")
    kb.graph.build()
    after = kb.search(query, mode="mixed")
    assert after.revision > before.revision
    assert "t9" in [hit.chunk.uri for hit in after.hits]
    kb.remove(["t5"])
    assert "t5" not in uris(kb, query, "mixed")
    assert kb.search(query, mode="mixed") is kb.search(query, mode="mixed")


def test_a_deadline_that_passed_leaves_the_graph_out(kb: KnowledgeBase) -> None:
    result = kb.search("Helga Brandt", mode="mixed", deadline=time.monotonic())
    assert any("without the graph" in note for note in result.notes)
    assert not result.complete
    assert "graph" not in result.timings


def test_a_question_that_names_nothing_is_hybrid(kb: KnowledgeBase) -> None:
    query = "ferries leaving?"
    assert uris(kb, query, "mixed") == uris(kb, query, "hybrid")


MODES: tuple[Mode, Mode] = ("mixed", "hybrid")
PLANT = [
    "The pump P3 feeds the boiler K1 with water.", "The boiler K1 heats the water of pump P3.",
    "The valve V7 closes the boiler K1 and the pump P3.",
]
CHOIR = [
    "Anna Weber leads the Riverside Choir in Lund.", "The Riverside Choir sings with Anna Weber and Tom Berg.",
    "Tom Berg wrote a mass for the Riverside Choir.",
]


def test_global_gives_a_passage_of_each_community_with_the_sentences_that_stand_for_it(tmp_path: Path) -> None:
    with opened(tmp_path / "kb") as kb:
        kb.add_texts([(f"p{i}", "", text, {}) for i, text in enumerate(PLANT)])
        kb.add_texts([(f"c{i}", "", text, {}) for i, text in enumerate(CHOIR)])
        notes = kb.search("What is all this about?", mode="global").notes
        assert any("no communities" in note for note in notes)
        kb.graph.build()
        hits = kb.search("What is all this about?", mode="global").hits
        assert {hit.chunk.uri[0] for hit in hits[:2]} == {"p", "c"}
        for hit in hits:
            (start, end), *_ = hit.highlights
            assert hit.chunk.text[start:end] in {*PLANT, *CHOIR}
            assert "entities)" in hit.reason
        assert kb.search("Who sings in the choir of Anna Weber?", mode="global").hits[0].chunk.uri[0] == "c"
        only = kb.search("What is all this about?", mode="global", filter=Filter(path=("p*",)))
        assert {hit.chunk.uri[0] for hit in only.hits} == {"p"}
        for community in kb.graph.communities():
            assert community.summary == " ".join(one.text for one in community.sentences)
        kb.remove(["c0", "c1", "c2"])
        assert {hit.chunk.uri[0] for hit in kb.search("What is all this about?", mode="global").hits} == {"p"}


def test_an_answer_in_mode_global_cites_a_sentence_of_each_community(tmp_path: Path) -> None:
    with opened(tmp_path / "kb") as kb:
        kb.add_texts([(f"p{i}", "", text, {}) for i, text in enumerate(PLANT)])
        kb.add_texts([(f"c{i}", "", text, {}) for i, text in enumerate(CHOIR)])
        kb.graph.build()
        answer = kb.ask("What are the main topics?", mode="global")
        assert answer.answered
        assert {citation.uri[0] for citation in answer.citations} == {"p", "c"}
        assert all(citation.text in {*PLANT, *CHOIR} for citation in answer.citations)
        again = kb.ask("What are the main topics?", mode="global")
        assert again.citations == answer.citations
        assert "cache" in again.timings
        assert not kb.ask("What are the main topics?").answered


def test_an_edited_turn_keeps_its_neighbours(kb: KnowledgeBase) -> None:
    query = "What did Mira start at the workshop?"
    kb.add_texts([("t2", "session 1", "Jon: Oh! And what came out of it?", {})])
    kb.graph.build()
    assert "t2" in uris(kb, query, "mixed")[:5]
    kb.add_texts([("t1", "session 1", "Mira: Guess what, I started anew at the Ostberg workshop.", {})])
    kb.graph.build()
    assert {"t1", "t2"} <= set(uris(kb, query, "mixed")[:5])


FILMS = [
    ("f1", "Silver Harbour", "Silver Harbour is a film directed by Edna Kilroy."),
    ("f2", "Edna Kilroy", "Edna Kilroy grew up in Tromso, the daughter of a baker."),
]


def test_a_name_in_the_first_hit_leads_to_the_passage_about_it(tmp_path: Path) -> None:
    with opened(tmp_path / "kb") as kb:
        kb.add_texts([(uri, title, text, {}) for uri, title, text in FILMS])
        kb.add_texts([(f"n{i}", f"Film {i}", f"The director of film {i} was told of a birth.", {}) for i in range(30)])
        kb.graph.build()
        query = "Where was the director of Silver Harbour born?"
        for each in (False, True):
            assert "f2" not in uris(kb, query, "hybrid", one_per_document=each)
            assert {"f1", "f2"} <= set(uris(kb, query, "mixed", one_per_document=each)[:5])
        unnamed = "Why did it happen so early?"
        for each in (False, True):
            one, other = (kb.search(unnamed, mode=mode, one_per_document=each).hits for mode in MODES)
            assert one == other


def test_in_prose_a_question_by_noun_phrases_alone_is_hybrid(tmp_path: Path) -> None:
    with opened(tmp_path / "kb") as kb:
        kb.add_texts([("p", "", "The circulation pump feeds a boiler.", {}), ("b", "", "Steam of a boiler heats it.", {})])
        kb.add_texts([("k", "", "A boiler of Edna Kilroy was sold.", {}), *((f"n{i}", "", f"Rain {i}.", {}) for i in range(9))])
        kb.graph.build()
        phrase, name = "Which circulation pump is there?", "What did Edna Kilroy own?"
        assert [hit.parts.graph for hit in kb.search(phrase, mode="mixed").hits if hit.parts.graph is not None] == []
        assert uris(kb, phrase, "mixed") == uris(kb, phrase, "hybrid")
        assert {"p", "b"} & set(uris(kb, name, "mixed")[:3])


def test_the_walk_lifts_nothing_above_the_first_three_hits(tmp_path: Path) -> None:
    with opened(tmp_path / "kb") as kb:
        kb.add_texts([(uri, title, text, {}) for uri, title, text in FILMS])
        kb.add_texts([(f"n{i}", f"Film {i}", f"The director of film {i} was told of a birth.", {}) for i in range(30)])
        kb.graph.build()
        query = "Where was the director of Silver Harbour born?"
        for each in (False, True):
            one, other = (uris(kb, query, mode, one_per_document=each) for mode in MODES)
            assert one[:3] == other[:3]
            assert one[3] == "f2"


def test_in_prose_another_document_comes_before_more_of_one_that_was_shown_behind_the_first_three_hits(tmp_path: Path) -> None:
    name = "Edna Kilroy"
    dull = "".join(f"The harbour of day {day} was dull and the ferry left on time, as it did on any other day. " for day in range(9))
    long = "".join(f"# Part {n}\n\n{name}, and {name} of the harbour {n}.\n\n{dull}\n\n" for n in range(14))
    with opened(tmp_path / "kb") as kb:
        kb.add_texts([("long", "", long, {})])
        kb.add_texts([(f"s{i}", "", f"{name} came to town {i}. {dull} {dull[:200]}", {}) for i in range(4)])
        kb.add_texts([(uri, "", text, {}) for uri, text in OTHER])
        kb.graph.build()
        one, other = (uris(kb, f"What did {name} do?", mode) for mode in MODES)
        assert other[:5] == ["long"] * 5
        assert one[:3] == other[:3]
        assert set(one[3:7]) == {"s0", "s1", "s2", "s3"}
        scores = [hit.score for hit in kb.search(f"What did {name} do?", mode="mixed", k=40).hits]
        assert scores == sorted(scores, reverse=True)
        assert scores[0] == 1.0
        assert scores[-1] >= 0.0


def test_which_passages_are_turns(tmp_path: Path) -> None:
    with opened(tmp_path / "kb") as kb:
        kb.add_texts([(uri, "", text, {}) for uri, text in TURNS[:2]])
        kb.add_texts([("prose", "", "The boiler: K1. It is heated by gas.\nIt holds water.\nIt is old.", {})])
        kb.add_texts([("code", "", "x = {'a': 1}\nreturn x[a:b]", {})])
        chunks = {c.uri: c for c in kb.store.chunks(kb.store.chunk_ids("default").tolist())}
        assert {uri for uri, chunk in chunks.items() if is_turn(chunk)} == {"t1", "t2"}


def test_the_turn_after_a_question_gains_more_than_one_after_a_statement(tmp_path: Path) -> None:
    after = ("Mira: Two goats and one old pony.", "Mira: Rain and one cold wind, still.")
    for first, second in (after, after[::-1]):
        said = ["Jon: Animals at the Ostberg farm?", first, "Jon: Animals at the Ostberg farm!", second]
        with opened(tmp_path / first[6:9]) as kb:
            kb.add_texts([(f"t{i}", f"session {i // 2}", text, {}) for i, text in enumerate(said)])
            kb.add_texts([(uri, "", text, {}) for uri, text in OTHER])
            kb.graph.build()
            found = uris(kb, "Which animals live at the Ostberg farm?", "mixed")
            assert found.index("t1") < found.index("t3")


def test_of_two_turns_the_one_that_tells_more_comes_first(tmp_path: Path) -> None:
    asked = "Jon: Was the mill of Ostberg loud in those days?"
    told = "Mira: The mill of Ostberg was loud, so loud that all of Ostberg heard it at night and nobody slept there."
    with opened(tmp_path / "kb") as kb:
        kb.add_texts([("asked", "one", asked, {}), ("told", "two", told, {})])
        kb.add_texts([(f"x{i}", "", f"Jon: Note {i}: the ferry left on time.", {}) for i in range(30)])
        kb.graph.build()
        assert uris(kb, "Was the mill of Ostberg loud?", "mixed")[0] == "told"
        assert uris(kb, "Was the mill of Ostberg loud?", "hybrid")[0] == "asked"


def test_what_a_turn_tells_and_what_is_beside_it(tmp_path: Path) -> None:
    texts = {"long": f"Jon: {'It rained. ' * 40}", "asks": "Jon: Rain? Again?", "both": "Jon: It rained. And you?"}
    with opened(tmp_path / "kb") as kb:
        kb.add_texts([(uri, "session", text, {}) for uri, text in texts.items()])
        kb.add_texts([("lines", "", "Jon: Rain?\nMira: Rain.", {})])
        chunks = {c.uri: c for c in kb.store.chunks(kb.store.chunk_ids("default").tolist())}
        told = {uri: tells(chunk) for uri, chunk in chunks.items()}
        assert (told["long"], told["lines"], told["asks"]) == (1.0, 1.0, 0.0)
        assert told["both"] == pytest.approx(len("It rained.") / 200)
        ids = {uri: chunk.id for uri, chunk in chunks.items()}
        assert turns_beside(kb.store, [chunks["asks"]]) == {ids["asks"]: [(ids["long"], -1), (ids["both"], 1)]}


def test_a_line_that_is_left_of_a_chat_gains_nothing_by_its_speaker(tmp_path: Path) -> None:
    chat = "Ann: Is the mill of Ostberg open?\nJon: The mill of Ostberg is open on Sundays.\n"
    with opened(tmp_path / "kb") as kb:
        kb.add_texts([("chat", "", chat, {}), ("line", "", "Mira: The mill is old.", {})])
        kb.add_texts([(f"x{i}", "", f"Mira: Note {i}?\nJon: The ferry of day {i} left.\n", {}) for i in range(30)])
        kb.graph.build()
        chat_, line, *_ = kb.search("Did Mira say that the mill is open?", mode="mixed").hits
        assert (chat_.chunk.uri, line.chunk.uri) == ("chat", "line")
        assert line.score < 0.6  # half of the words of the best hit; a speaker who is named counts .3 in other talk


def test_off_is_hybrid(tmp_path: Path) -> None:
    with opened(tmp_path / "kb", **{"search.graph": "off"}) as kb:
        kb.add_texts([(uri, "session 1", text, {}) for uri, text in TURNS])
        kb.graph.build()
        for mode in ("mixed", "graph"):
            assert uris(kb, "Who is Helga Brandt?", mode) == uris(kb, "Who is Helga Brandt?", "hybrid")


def test_turns_of_a_day_that_the_question_names_come_first(tmp_path: Path) -> None:
    days = {"d0": "8.5.2023", "d1": "20230608", "d2": "2023-07-08", "d3": "2023-08-01"}
    things = ("door", "roof", "wheel", "gate")
    said = [(uri, f"session {day}", f"Mira: I painted the {thing} of the mill.", {})
            for (uri, day), thing in zip(days.items(), things, strict=True)]  # fmt: skip
    with opened(tmp_path / "kb") as kb:
        kb.add_texts(said)
        kb.graph.build()
        for month, at in (("June", "d1"), ("August", "d3"), ("July 2023", "d2"), ("Mai", "d0")):
            assert uris(kb, f"What did Mira paint at the mill in {month}?", "mixed")[0] == at
        other, without = (uris(kb, f"What did Mira paint at the mill{when}?", "mixed") for when in (" in June 2021", ""))
        assert other == without


def test_what_else_a_document_says_of_it_speaks_for_its_best_passage(tmp_path: Path) -> None:
    once = "Mira: The mill has a new wheel.\n"
    filler = "".join(f"Jon: On day {day} the weather at the harbour was dull and I read the papers.\n" for day in range(25))
    often = f"{once}{filler}Mira: The wheel of the mill turns again.\n{filler}Jon: I heard of the wheel at the mill.\n"
    with opened(tmp_path / "kb") as kb:
        kb.add_texts([("once", "", once + filler, {}), ("often", "", often, {})])
        kb.add_texts([(f"x{i}", "", f"Jon: Note {i}: the ferry left on time.", {}) for i in range(30)])
        kb.graph.build()
        assert uris(kb, "Has Mira seen the wheel of the mill?", "mixed")[0] == "often"
