"""Chunks by language are counted as documents come, change and go."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import apsw
from hypothesis import given, settings
from hypothesis import strategies as st

from prepared import prepared
from ragstone.storage.sqlite import SqliteStore

CHANGES = st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["de", "en", "", None]), st.integers(1, 3)), max_size=12)


@given(CHANGES)
@settings(max_examples=30, deadline=None)
def test_counts_are_those_of_the_documents(tmp_path_factory, changes) -> None:
    store = SqliteStore(tmp_path_factory.mktemp("languages"))
    store.create_collection("c")
    there: dict[str, tuple[str, int]] = {}
    for uri, language, chunks in changes:
        if language is None:
            store.delete("c", [uri])
            there.pop(uri, None)
        else:
            document = prepared(uri, [f"{uri} {language} {n} of {chunks}. " for n in range(chunks)])
            store.put("c", [replace(document, language=language)])
            there[uri] = language, chunks
        counted: dict[str, int] = {}
        for spoken, number in there.values():
            counted[spoken] = counted.get(spoken, 0) + number
        assert store.languages("c") == counted
    assert store.check() == []
    store.close()


def test_a_wrong_count_is_told(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path)
    store.create_collection("c")
    store.put("c", [prepared("a", ["one", "two"])])
    connection = apsw.Connection(str(tmp_path / "ragstone.db"))
    connection.execute("UPDATE language_chunks SET chunks = 3")
    connection.close()
    assert store.check() == ["1 languages of a collection have other chunks than are counted"]
    store.close()
