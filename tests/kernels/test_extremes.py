"""Softmax and cross-entropy at the ends of the number range, against mpmath; what optimizers keep there."""
import mpmath
import numpy as np
import pytest

EXTREMES = [0.0, -0.0, 1e-45, -1e-45, 88.7, -88.7, 1e3, -1e3, 1e20, -1e20, 3.4e38, -3.4e38]

ROWS = {
    "zeros": [0.0] * 5, "smallest": [1e-45, 0.0, -1e-45], "overflow of exp": [88.7, 88.8, 0.0, -88.7],
    "thousands": [1e3, 999.5, -1e3],
    "huge": [1e20, 1e20, 0.0, -1e20], "largest": [3.4e38, 3.4e38, 3.39e38], "both ends": [3.4e38, -3.4e38, 0.0],
    "ties": [7.25] * 33, "two ties below one": [1.0, 0.0, 0.0], "one class": [3.4e38], "one class, small": [-1e3],
    "all": EXTREMES, "seventeen": [1e3] + [0.0] * 16, "underflow": [0.0, -103.0, -104.0, -150.0], "all negative": [-3.4e38] * 18,
}


def exact(row, label):
    """softmax, and log sum exp - z[label], of the floats in `row`."""
    with mpmath.workdps(60):
        z = [mpmath.mpf(float(v)) for v in row]
        top = max(z)
        total = mpmath.fsum(mpmath.exp(v - top) for v in z)
        return [mpmath.exp(v - top) / total for v in z], mpmath.log(total) + top - z[label]


def assert_close(got, expected, dtype, scale=0.0):
    """Relative 8 eps, absolute 4 eps times `scale`, and the smallest number."""
    eps = float(np.finfo(dtype).eps)
    assert np.isfinite(got), got
    limit = abs(float(expected)) * 8 * eps + 4 * eps * scale + 2 * float(np.finfo(dtype).smallest_subnormal)
    assert abs(float(got) - float(expected)) <= limit, (got, float(expected))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", ROWS)
def test_softmax_and_cross_entropy(book, name, dtype):
    z = np.array([ROWS[name]], dtype)
    y = np.full_like(z, np.nan)
    book.softmax_forward(z, y)
    for label in range(z.shape[1]):
        p, loss = exact(z[0], label)
        for got, expected, at in zip(y[0], p, z[0]):
            span = min(float(z.max()) - float(at), 800.0)  # exp turns the rounding of z - max into a relative error
            assert_close(got, expected, dtype, scale=span * float(expected))
        check_loss(book, z, label, p, loss, dtype)


def check_loss(book, z, label, p, loss, dtype):
    l, dz = np.full(1, np.nan, dtype), np.full_like(z, np.nan)
    largest = float(np.finfo(dtype).max)
    one_hot = np.zeros_like(z)
    one_hot[0, label] = 1
    for call in (lambda: book.softmax_cross_entropy(z, np.array([label]), None, l, dz),
                 lambda: book.softmax_cross_entropy_soft(z, one_hot, None, l, dz)):
        l[...], dz[...] = np.nan, np.nan
        call()
        if loss <= largest:
            assert_close(l[0], loss, dtype, scale=1.0)
        else:
            assert l[0] == np.inf  # z[label] lies further below the maximum than a float can say
        for c, (got, expected) in enumerate(zip(dz[0], p)):
            span = min(float(z.max()) - float(z[0, c]), 800.0)
            assert_close(got, expected - (c == label), dtype, scale=1 + span * float(expected))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_hundred_thousand_classes(book, dtype):
    classes, rng = 100_000, np.random.default_rng(8)
    z = rng.normal(0, 3, (1, classes)).astype(dtype)
    z[0, 77] = 20
    y, l, dz = np.empty_like(z), np.empty(1, dtype), np.empty_like(z)
    book.softmax_forward(z, y)
    book.softmax_cross_entropy(z, np.array([5]), None, l, dz)
    wide = np.exp(z[0].astype(np.longdouble) - 20)
    p, loss = wide / wide.sum(), np.log(wide.sum()) + 20 - z[0, 5]
    terms = 2  # partial sums of 64 panels: one chain of 6250 terms per lane would lose 230 eps here
    assert_close(l[0], loss, dtype, scale=terms)
    for c in (0, 5, 77, classes - 1):
        assert_close(y[0, c], p[c], dtype, scale=terms * float(p[c]))
        assert_close(dz[0, c], p[c] - (c == 5), dtype, scale=terms * float(p[c]) + 1)

    z[...] = 0
    book.softmax_cross_entropy(z, np.array([classes - 1]), None, l, dz)
    assert_close(l[0], np.log(classes), dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("z, t, loss, slope", [
    (0.0, 1, mpmath.log(2), -0.5), (1e3, 1, 0, 0), (1e3, 0, 1000, 1), (-1e3, 1, 1000, -1), (1e20, 0, 1e20, 1), (3e38, 0, 3e38, 1),
    (-3e38, 1, 3e38, -1), (-3e38, 0, 0, 0), (88.7, 1, mpmath.exp(-88.7), 0)])
def test_binary_cross_entropy_from_logits(book, dtype, z, t, loss, slope):
    z, t = np.array([[z]], dtype), np.array([[t]], dtype)
    l, dz = np.empty(1, dtype), np.empty_like(z)
    book.binary_cross_entropy_logits(z, t, None, l, dz)
    np.testing.assert_allclose(float(l[0]), float(loss), rtol=2e-5 if 80 < z[0, 0] < 90 else 4e-7, atol=0)
    assert abs(dz[0, 0] - slope) <= 1e-38 + (3e-39 if dtype == np.float32 else 4e-39)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_probabilities_of_zero_and_one(book, dtype):
    """Losses on probabilities stay finite where the logarithm does not."""
    p = np.array([[0.0, 1.0], [1.0, 0.0]], dtype)
    l, dp = np.empty(2, dtype), np.empty_like(p)
    tiny = np.finfo(dtype).tiny
    book.cross_entropy(p, np.array([0, 0]), None, l, dp)
    assert l[1] == 0 and np.isclose(l[0], -np.log(tiny), rtol=1e-6)
    assert np.isfinite(l).all() and dp[1, 0] == -0.5 and dp[0, 1] == 0
    book.cross_entropy_soft(p, p[::-1].copy(), None, l, dp)
    assert np.allclose(l, -np.log(tiny), rtol=1e-6)
    book.binary_cross_entropy(p, p[::-1].copy(), None, l, dp)
    assert l.tolist() == [100, 100] and np.isfinite(dp).all()
    book.binary_cross_entropy(p, p, None, l, dp)
    assert l.tolist() == [0, 0] and (dp == 0).all()


AVERAGES = {
    "sgd_update": ("m",), "adadelta_update": ("v", "u"), "rmsprop_update": ("v", "m", "b"), "adam_update": ("m", "v", "top"),
    "adamw_update": ("m", "v", "top"), "adamax_update": ("m", "u"), "nadam_update": ("m", "v"), "radam_update": ("m", "v")}
"""Optimizers, and the states among which their running averages are."""


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", AVERAGES)
def test_averages_of_gradients_that_ended_become_zero(book, name, dtype):
    """Not subnormal numbers, which would stay; normal ones do while they can, and what is not finite does."""
    tiny, size = np.finfo(dtype).tiny, 37  # more than a vector, and not whole ones
    state = {s: np.zeros(size, dtype) for s in AVERAGES[name]}
    for held in state.values():
        held[:] = np.resize(np.array([tiny, 4 * tiny, tiny / 2, np.nan, np.inf, np.nextafter(0, 1, dtype=dtype)], dtype), size)
    options = {"momentum": 0.75} if name in ("sgd_update", "rmsprop_update") else {}
    weights = np.ones(size, dtype)
    getattr(book, name)(np.zeros(size, dtype), weights, *state.values(), **options)
    for s, held in state.items():
        if s == "top" or (name, s) == ("adamax_update", "u"):  # maxima, not averages; u is at least eps
            continue
        small = np.abs(held) < tiny
        assert (held[small] == 0).all() and small[::6].all() and small[2::6].all() and small[5::6].all()
        assert (held[1::6] >= tiny).all() and not np.isfinite(held[3::6]).any() and not np.isfinite(held[4::6]).any()
