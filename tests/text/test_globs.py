from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragstone.text.globs import has_magic, path_matcher


@pytest.mark.parametrize(
    ("pattern", "path", "fits"),
    [
        ("*.md", "/a/b.md", True),
        ("*.md", "/a/b.txt", False),
        ("/a/*.md", "/a/b/c.md", False),
        ("/a/**/*.md", "/a/c.md", True),
        ("/a/**/*.md", "/a/b/c/d.md", True),
        ("**/drafts/**", "/x/drafts/y", True),
        ("**/drafts/**", "/x/drafts", True),
        ("drafts/*", "/x/drafts/y", True),
        ("drafts/*", "/x/drafts/y/z", False),
        ("a?c", "/abc", True),
        ("a?c", "/a/c", False),
        ("[ab].txt", "/b.txt", True),
        ("[!ab].txt", "/b.txt", False),
        ("/a", "/a/b", True),
        ("/a", "/ab", False),
        ("/a/", "/a/b", True),
        ("/z.zip", "/z.zip!/in.txt", True),
        ("/z.zip!/in.txt", "/z.zip!/in.txt", True),
        ("*.txt", "/z.zip!/in.txt", True),
        ("mail://x/*", "mail://x/1", True),
        ("./a", "/b/a", True),
        ("a.b", "/axb", False),
    ],
)
def test_patterns(pattern: str, path: str, fits: bool) -> None:
    assert path_matcher(pattern)(path) is fits


def test_many_stars_stay_fast() -> None:
    assert not path_matcher("/" + "**/a*a*a*a/" * 30 + "b")("/" + "aaaaaaaa/" * 60)


@given(st.lists(st.text("ab.", min_size=1, max_size=3), min_size=1, max_size=4))
def test_a_path_without_wildcards_fits_itself_and_what_is_below(parts: list[str]) -> None:
    path = "/" + "/".join(part for part in parts if part != ".")
    assert not has_magic(path)
    assert path_matcher(path)(path)
    assert path_matcher(path)(path.rstrip("/") + "/below")
