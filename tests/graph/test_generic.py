"""What says nothing of its texts: told from what texts at large speak of, and followed as texts come and go."""

from __future__ import annotations

import numpy as np

from graph_views import view_of
from ragstone.graph.codec import columns, encode
from ragstone.graph.communities import communities
from ragstone.graph.contents import Contents
from ragstone.graph.entities import Entities
from ragstone.graph.generic import general_words
from ragstone.graph.linking import linked
from ragstone.graph.overview import strongest
from ragstone.graph.sealing import sealed_of
from ragstone.graph.viewing import Frame, frame_of
from ragstone.graph.walk import walk
from ragstone.graph_types import Extraction, Mention, MentionKind


def said(*mentions: str, kind: MentionKind = "term") -> Extraction:
    return Extraction("1", tuple(Mention(0, 0, text, text.casefold(), kind, 0.5) for text in mentions))


def put(contents: Contents, chunks: dict[int, Extraction]) -> None:
    for chunk, extraction in chunks.items():
        contents.put(chunk, columns(encode(extraction, "en")))


def framed(contents: Contents) -> Frame:
    entities = Entities(contents)
    entities.follow()
    return frame_of(contents, entities, 1)


def sealed(contents: Contents) -> Contents:
    entities = Entities(contents)
    entities.resolve_all(())
    return Contents(sealed_of(contents, entities))


def told(frame: Frame) -> set[str]:
    return {frame.entity(int(number)).name for number in np.flatnonzero(frame.generic)}


def noise(first: int, count: int) -> dict[int, Extraction]:
    """Chunks that each mention twenty things of their own."""
    return {chunk: said(*(f"thing {chunk} {i}" for i in range(20))) for chunk in range(first, first + count)}


def test_a_general_word_is_generic_unless_the_texts_are_about_it_or_it_is_no_plain_noun() -> None:
    assert {"years", "people", "teil", "zeit"} <= general_words().keys()
    chunks = noise(0, 300)
    chunks[300] = said("years", "pump", "people of Lund", "Zeit")
    chunks |= {chunk: said("control", "years") for chunk in range(301, 341)}
    chunks[341] = said("TIME", "life")
    chunks[342] = said("Life", "Part", kind="name")
    chunks[343] = said("Life", kind="heading")
    for beside in (True, False):
        contents = Contents()
        put(contents, chunks)
        contents = contents if beside else sealed(contents)
        assert told(framed(contents)) == {"Zeit"}  # 41 of 344 chunks speak of years: these texts are about it
    put(contents, noise(1_000, 1_500))
    assert told(framed(contents)) == {"Zeit", "years", "control"}


def test_it_follows_what_comes_and_goes_beside_the_tables() -> None:
    contents = Contents()
    put(contents, noise(0, 300) | {300: said("people", "pump")})
    later = sealed(contents)
    assert told(framed(later)) == {"people"}
    put(later, {301: said("years", "valve"), 302: said("People", kind="name"), 303: said("People", kind="name")})
    assert told(framed(later)) == {"years"}
    later.drop([301, 302, 303])
    assert told(framed(later)) == {"people"}
    later.drop([300])
    assert told(framed(later)) == set()


def test_what_says_nothing_is_not_linked_and_leads_nowhere() -> None:
    contents = Contents()
    put(contents, noise(0, 300) | {300: said("people", "old pump"), 301: said("people"), 302: said("old pump")})
    frame = framed(contents)
    names = [frame.entity(link.entity).name for link in linked(frame, "Which people need the old pump?")]
    assert names == ["old pump"]
    places, shares = walk(frame, {}, {300: 1.0})
    assert set(places[shares > 0].tolist()) == {300, 302}


def test_what_says_nothing_is_in_no_community_and_last_of_all() -> None:
    edges = [(0, 1, 1.0), (1, 2, 1.0), (0, 2, 1.0), (3, 4, 1.0), (4, 5, 1.0), (3, 5, 1.0)]
    hub = [(6, other, 5.0) for other in range(6)]
    view = view_of([*edges, *hub], generic=(6,))
    labels = communities(view)
    assert labels[0] == labels[1] == labels[2]
    assert labels[3] == labels[4] == labels[5]
    assert len({labels[0], labels[3], labels[6]}) == 3
    assert strongest(view, 7).tolist()[-1] == 6
    assert strongest(view_of([*edges, *hub]), 1).tolist() == [6]
