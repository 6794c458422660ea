"""A server that embeds goes away: words are searched, and whoever asks is told."""

from __future__ import annotations

from pathlib import Path

import pytest

import ragstone
from embedding_server import embedding_server
from ragstone.errors import ModelUnavailable

TEXT = "The filter of the pump is changed every two weeks."


def test_words_are_searched_while_the_server_that_embeds_is_away(tmp_path: Path) -> None:
    with embedding_server() as server:
        overrides = {"embedding.endpoint": server.url, "embedding.model": "counts", "embedding.background": False}
        with ragstone.open(tmp_path, overrides=overrides) as kb:
            kb.add_texts([("a", "", TEXT, {})])
            kb.embed_pending()
            whole = kb.search("When is the filter changed?")
            assert whole.complete
    with ragstone.open(tmp_path, overrides=overrides) as kb:  # the server is gone
        found = kb.search("Which pump has a filter?")
        assert [hit.chunk.uri for hit in found.hits] == ["a"]
        assert not found.complete
        assert "searched by words only" in found.notes[0]
        answer = kb.ask("When is the filter of the pump changed?")
        assert answer.citations[0].text == TEXT
        assert not answer.complete
        with pytest.raises(ModelUnavailable):
            kb.search("Which pump has a filter?", mode="dense")
