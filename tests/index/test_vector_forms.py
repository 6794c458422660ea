"""Segments of which not all rows are scored: what they find, what filters leave, what `status` says of them."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from index_process import open_index
from prepared import prepared
from ragstone.errors import StoreDamaged
from ragstone.index import sealing, sync
from ragstone.index.files import file_checksum
from ragstone.index.sealing import MergePolicy, explained, segments_to_merge
from ragstone.index.vector_codes import components_of, form_of, list_count, principal_components, reduced
from ragstone.index.vector_file import VectorHead, head_of, open_vectors
from ragstone.index.vector_search import depth
from ragstone.index.vectors import FlatVectorIndex, SegmentInfo, inner_products
from ragstone.protocols import Segment
from ragstone.storage.sqlite import SqliteStore
from ragstone.types import Space

ROWS = 12_000
SPACE = Space("model", "1", 32)
NONE = np.empty(0, np.int64)
Array = np.ndarray[tuple[int, ...], np.dtype[np.float32]]


def unit(rows: Array) -> Array:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


@cache
def topics() -> tuple[Array, Array]:
    """Rows around 60 centres, and the centres."""
    random = np.random.default_rng(1)
    centres = unit(random.standard_normal((60, SPACE.dimension)).astype(np.float32))
    rows = centres[random.integers(60, size=ROWS)] + 0.12 * random.standard_normal((ROWS, SPACE.dimension))
    return unit(rows.astype(np.float32)), centres


FORMS: dict[str, dict[str, Any]] = {
    "lists": {"structure": "auto"},
    "graph": {"structure": "hnsw"},
    "codes of components": {"structure": "flat", "components": 24},
    "lists of components": {"structure": "auto", "components": 24},
}


def new_index(form: str) -> FlatVectorIndex:
    return FlatVectorIndex(SPACE, exact_rows=1000, listed_rows=5000, decoded_rows=500, **FORMS[form])


@pytest.fixture(scope="module", params=FORMS)
def form(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def built(form: str, tmp_path_factory: pytest.TempPathFactory) -> FlatVectorIndex:
    index = new_index(form)
    for first in range(0, ROWS, 4000):  # three segments become one
        index.add(range(first, first + 4000), topics()[0][first : first + 4000])
        index.seal(tmp_path_factory.mktemp("segments") / f"{first}.seg")
    index.merge(tmp_path_factory.mktemp("segments") / "all.seg")
    return index


def head(index: FlatVectorIndex) -> VectorHead:
    return head_of(index.segment_infos()[0].path)


def questions(count: int = 40) -> Array:
    random = np.random.default_rng(5)
    near = topics()[1][random.integers(60, size=count)] + 0.12 * random.standard_normal((count, SPACE.dimension))
    return unit(near.astype(np.float32))


def recall(index: FlatVectorIndex, allow: Any = None, asked: Array | None = None) -> float:
    """Of the first ten; every score is checked to be the exact one."""
    asked = questions() if asked is None else asked
    rows = topics()[0].astype(np.float16)
    here = index.ids() if allow is None else np.intersect1d(index.ids(), allow)
    hits = 0
    for query in asked:
        ids, scores = index.search(query[None], 10, allow)[0]
        assert scores.tolist() == inner_products(rows[ids], query).tolist()
        assert len(np.setdiff1d(ids, here)) == 0
        exact = inner_products(rows[here], query)
        hits += len(np.intersect1d(here[np.lexsort((here, -exact))[:10]], ids))
    return hits / (10 * len(asked))


def test_nearly_all_neighbours_are_found(built: FlatVectorIndex, form: str) -> None:
    assert 2 * depth(10) < ROWS
    components = FORMS[form].get("components", 0)
    lists = list_count(ROWS) if form.startswith("lists") else 0
    assert head(built) == VectorHead(form.split()[0], SPACE.dimension, lists, components)  # type: ignore[arg-type]
    assert recall(built) >= 0.97


@pytest.mark.parametrize("share", [0.001, 0.1, 0.5, 0.9])
def test_a_filter_loses_no_results(built: FlatVectorIndex, share: float) -> None:
    allow = np.flatnonzero(np.random.default_rng(3).random(ROWS) < share)
    assert recall(built, allow) >= (0.97 if len(allow) > 1200 else 1.0)


def test_a_filter_that_hides_the_nearest_loses_no_results(built: FlatVectorIndex) -> None:
    """What is allowed lies in lists that a question without a filter would not look at."""
    found = [
        recall(built, np.sort(np.argsort(topics()[0] @ query)[:9000]), query[None]) for query in questions(10)
    ]
    assert found == [1.0] * 10


def test_deleted_rows_are_never_found(built: FlatVectorIndex, form: str, tmp_path: Path) -> None:
    info = built.segment_infos()[0]
    dead = np.flatnonzero(np.random.default_rng(4).random(ROWS) < 0.1)
    index = new_index(form)
    index.open_segment(info.path, info.checksum, dead)
    assert recall(index) >= 0.97
    index.merge(tmp_path / "again.seg")
    assert index.ids().tolist() == np.setdiff1d(np.arange(ROWS), dead).tolist()
    assert recall(index) >= 0.97


def test_the_same_rows_give_the_same_file(built: FlatVectorIndex, form: str, tmp_path: Path) -> None:
    other = new_index(form)
    other.add(range(ROWS), topics()[0])
    assert other.seal(tmp_path / "a.seg")[0] == built.segment_infos()[0].checksum


def test_pages_that_were_given_back_are_read_again(built: FlatVectorIndex) -> None:
    info = built.segment_infos()[0]
    file = open_vectors(info.path, info.checksum, SPACE.id, SPACE.dimension)
    scanner, before = file.scanner(), file.halves.copy()
    query = questions(1)
    found = scanner.search(query, 5)
    file.forget_rows()
    assert np.array_equal(file.halves, before)
    assert np.array_equal(scanner.search(query, 5)[1], found[1])
    assert file.coded().search(reduced(query, file.principal), 5)[1].shape == (1, 5)  # type: ignore[union-attr]


def test_exact_passes_over_lists(built: FlatVectorIndex) -> None:
    info = built.segment_infos()[0]
    index = FlatVectorIndex(SPACE, structure="exact")
    index.open_segment(info.path, info.checksum, NONE)
    assert recall(index) == 1.0


@pytest.mark.parametrize(
    ("structure", "forms"),
    [
        ("auto", ["rows", "codes", "lists"]),
        ("exact", ["rows", "rows", "rows"]),
        ("flat", ["rows", "codes", "codes"]),
        ("ivf", ["rows", "lists", "lists"]),
        ("hnsw", ["rows", "graph", "graph"]),
    ],
)
def test_the_form_follows_rows_and_setting(structure: Any, forms: list[str]) -> None:
    assert [form_of(structure, rows) for rows in (10_240, 200_000, 200_001)] == forms


def test_what_is_said_of_a_segment(built: FlatVectorIndex, form: str, tmp_path: Path) -> None:
    path = built.segment_infos()[0].path
    (tmp_path / sealing.SEGMENTS).symlink_to(path.parent)
    components = FORMS[form].get("components", 0)

    def said(rows: int, structure: Any, components: int = components) -> dict[str, str]:
        segment = Segment("vector", SPACE.id, path.name, b"", 0, rows, 0)
        return explained(segment, tmp_path, structure, components)

    assert said(300_000 if form.startswith("lists") else 20_000, FORMS[form]["structure"]) == {
        "lists": {"search": "ivf", "why": "above 200,000 rows, 128 lists are searched in part"},
        "lists of components": {
            "search": "ivf",
            "why": "above 200,000 rows, 128 lists of 24 principal components are searched in part",
        },
        "graph": {
            "search": "hnsw",
            "why": "above 10,240 rows, links between near rows are followed (search.vector_index = hnsw)",
        },
        "codes of components": {
            "search": "flat",
            "why": "above 10,240 rows, 4-bit codes of 24 principal components choose what is scored "
            "(search.vector_index = flat)",
        },
    }[form]
    assert said(300_000, "exact")["search"] == "exact"
    assert "`ragstone rebuild`" in said(5, "auto")["why"]
    if components:
        assert "`ragstone rebuild`" in said(300_000, FORMS[form]["structure"], 16)["why"]
    gone = Segment("vector", SPACE.id, "gone.seg", b"", 0, 9, 0)
    assert explained(gone, tmp_path, "auto", 0) == {}


def test_a_file_of_another_version_is_refused(built: FlatVectorIndex, tmp_path: Path) -> None:
    """Its codes would be taken for something else."""
    data = bytearray(built.segment_infos()[0].path.read_bytes())
    data[7] = 9
    path = tmp_path / "other.seg"
    path.write_bytes(data)
    with pytest.raises(StoreDamaged, match="version"):
        head_of(path)
    with pytest.raises(StoreDamaged, match="version"):
        open_vectors(path, file_checksum(path), SPACE.id, SPACE.dimension)


def test_components_are_what_the_rows_differ_in_most() -> None:
    rows = topics()[0] * np.linspace(3, 1, SPACE.dimension, dtype=np.float32)
    found = principal_components(rows, 8)
    assert np.allclose(found @ found.T, np.eye(8), atol=1e-5)
    spread = (rows @ found.T).var(axis=0)
    assert (np.diff(spread) <= 1e-6).all()
    assert np.allclose(spread, np.linalg.svd(rows - rows.mean(axis=0), compute_uv=False)[:8] ** 2 / ROWS, rtol=1e-3)
    assert np.array_equal(found, principal_components(rows, 8))
    assert (found[np.arange(8), np.abs(found).argmax(axis=1)] > 0).all()


@pytest.mark.parametrize(
    ("dimension", "wanted", "taken"), [(384, 0, 0), (384, 256, 256), (384, 193, 192), (384, 384, 0), (33, 8, 8)]
)
def test_as_many_components_as_are_worth_it(dimension: int, wanted: int, taken: int) -> None:
    assert components_of(dimension, wanted) == taken


def test_a_growing_collection_has_few_segments_and_moves_each_row_seldom() -> None:
    policy = sealing.POLICIES["vector"]
    segments: list[SegmentInfo] = []
    moved = most = 0
    for number in range(500):
        segments.append(_segment(f"s{number}", 2000))
        while names := segments_to_merge(segments, policy):
            live = sum(info.live for info in segments if info.name in names)
            segments = [info for info in segments if info.name not in names]
            segments.append(_segment(f"m{number}-{live}", live))
            moved += live
        most = max(most, len(segments))
    assert most <= 3
    assert moved <= 12 * 1_000_000


def test_segments_of_a_policy_s_size_are_left_alone() -> None:
    policy = MergePolicy(1, 3.0, 10_000)
    assert segments_to_merge([_segment("a", 6000), _segment("b", 6000), _segment("c", 100)], policy) == []


def _segment(name: str, rows: int) -> SegmentInfo:
    return SegmentInfo(name, Path(name), b"", 0, rows, rows)


def test_who_must_not_wait_leaves_large_merges_to_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sync, "QUICK_ROWS", 5)
    with_store = SqliteStore(tmp_path / "data")
    with_store.create_collection("c")
    index = open_index(with_store, seal_rows=2)
    for number in range(8):
        with_store.put("c", [prepared(f"d{number}", [f"word{number} one", f"word{number} two"])])
        index.refresh()
        assert index.seal(quick=True)
    assert len(index.lexical.segment_infos()) > sealing.POLICIES["lexical"].most
    assert not index.seal(quick=True)
    assert index.seal()
    assert len(index.lexical.segment_infos()) <= sealing.POLICIES["lexical"].most
    assert index.verify().clean
    with_store.close()
