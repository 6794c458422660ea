"""The k-th largest value, against sorting."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ragstone.index.largest import kth_largest


@given(
    count=st.integers(1, 20_000), different=st.integers(1, 5_000), share=st.floats(0, 1), seed=st.integers(0, 2**32 - 1)
)
def test_it_is_the_one_that_sorting_puts_there(count: int, different: int, share: float, seed: int) -> None:
    random = np.random.default_rng(seed)
    values = (random.integers(-different, different, count) / 7).astype(np.float32)
    for k in {1, max(1, int(share * count)), max(1, count // 100), count}:
        assert kth_largest(values, k) == np.sort(values)[count - k]


def test_of_values_in_any_order() -> None:
    rising = np.arange(100_000, dtype=np.float32)
    for values in (rising, rising[::-1].copy(), np.roll(rising, 31), np.zeros_like(rising)):
        assert [kth_largest(values, k) for k in (1, 10, 5_000)] == [np.sort(values)[-k] for k in (1, 10, 5_000)]
