from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragstone.errors import ModelError
from ragstone.llm import sse
from ragstone.llm.sse import events, lines

texts = st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]), min_size=1, max_size=12)


def cut(data: bytes, at: list[int]) -> list[bytes]:
    places = sorted({0, len(data), *(i % (len(data) + 1) for i in at)})
    return [data[a:b] for a, b in pairwise(places)]


@given(st.lists(texts, min_size=1, max_size=5), st.sampled_from(["\n", "\r\n", "\r"]), st.lists(st.integers(0, 400)))
def test_events_are_the_same_however_the_bytes_come(sent: list[str], end: str, at: list[int]) -> None:
    body = "".join(f": note{end}event: x{end}data: {text}{end}{end}" for text in sent).encode()
    assert list(events(cut(body, at))) == sent


@given(st.lists(texts, max_size=6), st.lists(st.integers(0, 200)))
def test_lines_are_the_same_however_the_bytes_come(sent: list[str], at: list[int]) -> None:
    assert list(lines(cut("\n".join(sent).encode(), at))) == sent


def test_several_data_lines_make_one_event_and_the_last_blank_line_may_be_missing() -> None:
    assert list(events([b"\xef\xbb\xbfdata:a\ndata: b\n\ndata: c"])) == ["a\nb", "c"]


def test_bytes_that_are_not_utf8_do_not_stop_the_stream() -> None:
    assert list(lines([b"a\xffb\n"])) == ["a�b"]


def test_an_endless_line_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "MAX_LINE", 100)
    with pytest.raises(ModelError, match="without a line end"):
        list(lines([b"x" * 60] * 3))
