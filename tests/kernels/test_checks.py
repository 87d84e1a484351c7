"""The doors' checks of values, against NumPy."""
import numpy as np
import pytest
from vivace.kernels import checks


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_finite(dtype):
    extremes = np.array([0, -0.0, 1, np.finfo(dtype).max, np.finfo(dtype).min, np.finfo(dtype).smallest_subnormal], dtype)
    for size in (0, 1, 2, 15, 16, 17, 31, 33, 65):
        x = np.resize(extremes, size)
        assert checks.finite(x)
        for place in range(size):
            for bad in (np.nan, -np.nan, np.inf, -np.inf):
                broken = x.copy()
                broken[place] = bad
                assert not checks.finite(broken)
    assert checks.finite(np.ones((4, 6), dtype)[:, ::2]) and not checks.finite(np.full((4, 6), np.nan, dtype)[:, ::2])


@pytest.mark.parametrize("dtype", [np.int64, np.int32, np.uint8, np.uint64, np.float64])
def test_labels_within(dtype):
    t = np.arange(20).astype(dtype) % 5
    assert checks.labels_within(t, 5) and checks.labels_within(t[:0], 0) and not checks.labels_within(t, 4)
    for place in (0, 7, 19):
        for bad in (5, 200, -1) if np.dtype(dtype).kind in "if" else (5, 200):
            broken = t.copy()
            broken[place] = bad
            assert not checks.labels_within(broken, 5) and not checks.labels_within(broken[::-1], 5)
