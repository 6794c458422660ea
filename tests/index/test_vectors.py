from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ragstone.errors import StoreDamaged, StoreError
from ragstone.index.vector_file import RowBuffer
from ragstone.index.vector_search import depth
from ragstone.index.vectors import FlatVectorIndex, inner_products
from ragstone.types import Space

DIMENSION = 16
SPACE = Space("model", "1", DIMENSION)
NONE = np.empty(0, np.int64)
MODES: dict[str, dict[str, Any]] = {
    "decoded": {},
    "scanned": {"decoded_rows": 0},
    "coded": {"decoded_rows": 0, "exact_rows": 0},
    "listed": {"decoded_rows": 0, "exact_rows": 0, "listed_rows": 0},
}
Array = np.ndarray[tuple[int, ...], np.dtype[np.float32]]


@pytest.fixture(params=MODES)
def mode(request: pytest.FixtureRequest) -> dict[str, Any]:
    return MODES[request.param]


def unit(count: int, seed: int = 0, *, dimension: int = DIMENSION, anisotropy: float = 0.0) -> Array:
    """Rows of length 1 whose mean cosine is about `anisotropy`."""
    generator = np.random.default_rng(seed)
    rows = generator.standard_normal((count, dimension)) * (1 + np.arange(dimension)) ** -0.3
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    common = np.random.default_rng(99).standard_normal(dimension)
    rows = np.sqrt(1 - anisotropy) * rows + np.sqrt(anisotropy) * common / np.linalg.norm(common)
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def best(ids: Any, vectors: Array, query: Array, k: int) -> tuple[list[int], list[float]]:
    """By sorting everything."""
    ids = np.asarray(ids, np.int64)
    scores = inner_products(vectors.astype(np.float16), query)
    order = np.lexsort((ids, -scores))[:k]
    return ids[order].tolist(), scores[order].tolist()


def found(index: FlatVectorIndex, query: Array, k: int, allow: Any = None) -> tuple[list[int], list[float]]:
    ids, scores = index.search(query[None], k, allow)[0]
    return ids.tolist(), scores.tolist()


# ---------------------------------------------------------------------- scores
@given(st.integers(0, 2**32), st.integers(1, 40), st.integers(1, 400))
@settings(max_examples=60, deadline=None)
def test_a_score_does_not_depend_on_the_other_rows(seed: int, count: int, dimension: int) -> None:
    rows = unit(count, seed, dimension=dimension).astype(np.float16)
    query = unit(1, seed + 1, dimension=dimension)[0]
    together = inner_products(rows, query)
    assert together.tolist() == [float(inner_products(rows[i : i + 1], query)[0]) for i in range(count)]
    assert together.tolist() == inner_products(rows.astype(np.float32), query).tolist()
    np.testing.assert_allclose(together, rows.astype(np.float64) @ query.astype(np.float64), rtol=0, atol=1e-7)


def test_the_smallest_float16_numbers_count(tmp_path: Path, mode: dict[str, Any]) -> None:
    tiny = np.full((3, DIMENSION), 2.0**-24, np.float32) * np.array([[1], [2], [3]], np.float32)
    index = FlatVectorIndex(SPACE, **mode)
    index.add([1, 2, 3], tiny)
    before = found(index, np.ones(DIMENSION, np.float32), 3)
    assert before == ([3, 2, 1], [n * 2.0**-20 for n in (3, 2, 1)])
    index.seal(tmp_path / "a.seg")
    assert found(index, np.ones(DIMENSION, np.float32), 3) == before


# ---------------------------------------------------------------------- exactness
@pytest.mark.parametrize("k", [1, 10, 60, 500])
def test_results_are_those_of_sorting_everything(tmp_path: Path, mode: dict[str, Any], k: int) -> None:
    vectors = unit(1500, anisotropy=0.8)
    vectors[700:760] = vectors[3]  # more equal ones than are asked for
    index = FlatVectorIndex(SPACE, **mode)
    index.add(range(600), vectors[:600])
    index.seal(tmp_path / "a.seg")
    index.add(range(600, 1200), vectors[600:1200])
    index.seal(tmp_path / "b.seg")
    index.add(range(1200, 1500), vectors[1200:])
    for query in (*unit(4, 7, anisotropy=0.8), vectors[3]):
        assert found(index, query, k) == best(range(1500), vectors, query, k)


@pytest.mark.parametrize("share", [0.002, 0.05, 0.3, 0.9])
def test_filters_are_exact(tmp_path: Path, mode: dict[str, Any], share: float) -> None:
    vectors = unit(3000, anisotropy=0.8)
    index = FlatVectorIndex(SPACE, **mode)
    index.add(range(3000), vectors)
    index.seal(tmp_path / "a.seg")
    allow = np.sort(np.random.default_rng(5).choice(3000, int(3000 * share), replace=False))
    unknown = np.sort(np.concatenate([allow, [5000, 6000]]))
    query = unit(1, 8, anisotropy=0.8)[0]
    assert found(index, query, 10, unknown) == best(allow, vectors[allow], query, 10)


def test_a_filter_that_hides_the_best_is_exact(tmp_path: Path, mode: dict[str, Any]) -> None:
    vectors = unit(6000, anisotropy=0.5)
    query = unit(1, 8, anisotropy=0.5)[0]
    allow = np.sort(np.argsort(vectors @ query)[:3000])
    index = FlatVectorIndex(SPACE, **mode)
    index.add(range(6000), vectors)
    index.seal(tmp_path / "a.seg")
    assert found(index, query, 10, allow) == best(allow, vectors[allow], query, 10)
    index.delete(np.setdiff1d(np.arange(6000), allow).tolist())
    assert found(index, query, 10) == best(allow, vectors[allow], query, 10)


def test_a_filter_that_leaves_more_rows_than_a_buffer_is_kept_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """faiss reads the rows that are copied for it, and does not hold them: they must be there until it has."""

    class Overwritten(RowBuffer):
        def __del__(self) -> None:
            self._halves[:] = unit(len(self._halves), 3)

    monkeypatch.setattr("ragstone.index.vector_search.RowBuffer", Overwritten)
    vectors = unit(30_000, anisotropy=0.8)
    index = FlatVectorIndex(SPACE, **MODES["scanned"])
    index.add(range(30_000), vectors)
    index.seal(tmp_path / "a.seg")
    allow = np.arange(0, 30_000, 6)
    query = unit(1, 8, anisotropy=0.8)[0]
    assert found(index, query, 10, allow) == best(allow, vectors[allow], query, 10)


def test_codes_find_nearly_all_neighbours(tmp_path: Path) -> None:
    space = Space("model", "1", 64)
    vectors = unit(6000, dimension=64, anisotropy=0.8)
    index = FlatVectorIndex(space, decoded_rows=0, exact_rows=0)
    assert len(vectors) > 2 * depth(10)
    index.add(range(6000), vectors)
    index.seal(tmp_path / "a.seg")
    hits = 0
    for query in unit(50, 3, dimension=64, anisotropy=0.8):
        ids, scores = found(index, query, 10)
        true_ids, _ = best(range(6000), vectors, query, 10)
        hits += len(set(ids) & set(true_ids))
        assert scores == inner_products(vectors[ids].astype(np.float16), query).tolist()
    assert hits >= 0.98 * 500


def test_an_odd_dimension_and_long_vectors_are_exact(tmp_path: Path, mode: dict[str, Any]) -> None:
    space = Space("model", "1", 7, normalised=False)
    vectors = unit(300, dimension=7) * np.linspace(1, 900, 300, dtype=np.float32)[:, None]
    index = FlatVectorIndex(space, **mode)
    index.add(range(300), vectors)
    index.seal(tmp_path / "a.seg")
    for query in unit(5, 2, dimension=7) * 30:
        assert found(index, query, 20) == best(range(300), vectors, query, 20)


# ---------------------------------------------------------------------- history
@given(data=st.data())
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_only_what_is_there_counts_not_how_it_came(
    tmp_path_factory: pytest.TempPathFactory, mode: dict[str, Any], data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("segments")
    vectors = unit(60, anisotropy=0.8)
    index = FlatVectorIndex(SPACE, **mode)
    model: set[int] = set()
    steps = st.sampled_from(["add", "delete", "seal", "merge", "reopen"])
    for number, step in enumerate(data.draw(st.lists(steps, max_size=14))):
        path = folder / f"{number}.seg"
        ids = sorted(data.draw(st.sets(st.integers(0, 59), max_size=20))) if step in ("add", "delete") else []
        if step == "add":
            index.add(ids, vectors[ids])
            model |= set(ids)
        elif step == "delete":
            index.delete(ids)
            model -= set(ids)
        elif step == "seal":
            index.seal(path)
        elif step == "merge":
            index.merge(path, [info.name for info in index.segment_infos()])
        else:
            index.seal(path)
            fresh = FlatVectorIndex(SPACE, **mode)
            for info in index.segment_infos():
                fresh.open_segment(info.path, info.checksum, index.dead_ids(info.name))
            index = fresh
    here = sorted(model)
    assert index.ids().tolist() == here
    assert index.size() == len(here)
    for query in unit(2, 4, anisotropy=0.8):
        assert found(index, query, 10) == best(here, vectors[here], query, 10)
    held, rows = index.stored(np.arange(60))
    assert held.tolist() == here
    assert np.array_equal(rows, vectors[here].astype(np.float16))


def test_searches_and_changes_go_on_while_a_file_is_written(tmp_path: Path) -> None:
    vectors = unit(4000)
    index = FlatVectorIndex(SPACE, decoded_rows=0)
    index.add(range(2000), vectors[:2000])
    failures: list[BaseException] = []
    stop = threading.Event()

    def search() -> None:
        try:
            while not stop.is_set():
                ids, scores = index.search(vectors[:1], 5)[0]
                assert ids[0] == 0
                assert scores.tolist() == inner_products(vectors[ids].astype(np.float16), vectors[0]).tolist()
        except BaseException as error:  # noqa: BLE001 - shown by the test's own thread
            failures.append(error)

    def change() -> None:
        try:
            for first in range(2000, 4000, 100):
                index.add(range(first, first + 100), vectors[first : first + 100])
                index.delete(range(first - 1900, first - 1850))
        except BaseException as error:  # noqa: BLE001 - shown by the test's own thread
            failures.append(error)

    threads = [threading.Thread(target=search), threading.Thread(target=change)]
    for thread in threads:
        thread.start()
    for number in range(6):
        index.seal(tmp_path / f"{number}.seg")
    index.merge(tmp_path / "all.seg")
    threads[1].join()
    stop.set()
    threads[0].join()
    assert not failures
    gone = {i for first in range(2000, 4000, 100) for i in range(first - 1900, first - 1850)}
    assert index.ids().tolist() == sorted(set(range(4000)) - gone)


# ---------------------------------------------------------------------- files
def test_every_changed_byte_of_a_file_is_noticed(tmp_path: Path) -> None:
    index = FlatVectorIndex(SPACE, exact_rows=0)
    index.add(range(20), unit(20))
    path = tmp_path / "a.seg"
    checksum, _ = index.seal(path)
    good = path.read_bytes()
    for place in range(0, len(good), 7):
        path.write_bytes(good[:place] + bytes([good[place] ^ 0x10]) + good[place + 1 :])
        with pytest.raises(StoreDamaged):
            FlatVectorIndex(SPACE).open_segment(path, checksum, NONE)
    for size in (0, 10, len(good) - 1):
        path.write_bytes(good[:size])
        with pytest.raises(StoreDamaged):
            FlatVectorIndex(SPACE).open_segment(path, checksum, NONE)
    path.unlink()
    with pytest.raises(StoreDamaged):
        FlatVectorIndex(SPACE).open_segment(path, checksum, NONE)


def test_searching_never_writes_to_the_file(tmp_path: Path) -> None:
    index = FlatVectorIndex(SPACE, decoded_rows=0)
    index.add(range(20), unit(20))
    index.seal(tmp_path / "a.seg")
    before = (tmp_path / "a.seg").read_bytes()
    found(index, unit(1)[0], 5)
    assert (tmp_path / "a.seg").read_bytes() == before


def test_vectors_of_another_space_are_refused(tmp_path: Path) -> None:
    index = FlatVectorIndex(SPACE)
    index.add([1], unit(1))
    checksum, _ = index.seal(tmp_path / "a.seg")
    for other in (Space("model", "2", DIMENSION), Space("model", "1", DIMENSION, prefix="query: ")):
        with pytest.raises(StoreDamaged, match="another space"):
            FlatVectorIndex(other).open_segment(tmp_path / "a.seg", checksum, NONE)


def test_a_file_that_cannot_be_written_changes_nothing(tmp_path: Path) -> None:
    index = FlatVectorIndex(SPACE)
    index.add(range(5), unit(5))
    with pytest.raises(StoreError):
        index.seal(tmp_path / "missing" / "a.seg")
    index.add([7], unit(1, 9))
    assert index.tail_size() == 6
    assert found(index, unit(1, 9)[0], 1)[0] == [7]
    index.seal(tmp_path / "a.seg")
    assert index.tail_size() == 0
    assert index.ids().tolist() == [0, 1, 2, 3, 4, 7]
