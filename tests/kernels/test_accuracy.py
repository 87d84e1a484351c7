"""How far exp, log, erf and the activations are from the truth, in units in the last place (ULP) of float32.

The oracle is the float64 function of NumPy or SciPy: wrong by less than 1e-6 ULP of float32, which mpmath confirms at the worst
inputs. Results below the smallest normal number are measured in units of 2^-149. Figures: docs/accuracy.md, printed by

    pytest tests/kernels/test_accuracy.py -m slow -rP
"""
import os
from concurrent.futures import ThreadPoolExecutor

import mpmath
import numpy as np
import pytest
from scipy import special

BLOCK = 1 << 16


def softplus(x):
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


def times_or_zero(x, factor):
    return np.where(np.isneginf(x), -0.0, x * factor)


ORACLE = {"exp": (np.exp, 2), "log": (np.log, 2), "tanh_forward": (np.tanh, 2), "sigmoid_forward": (special.expit, 2),
          "softplus_forward": (softplus, 2), "erf": (special.erf, 4),
          "gelu_forward": (lambda x: times_or_zero(x, special.ndtr(x)), 4),
          "silu_forward": (lambda x: times_or_zero(x, special.expit(x)), 4)}
"""Kernel -> float64 function, bound in ULP."""

EXACT = {"exp": mpmath.exp, "log": mpmath.log, "tanh_forward": mpmath.tanh, "sigmoid_forward": lambda x: 1 / (1 + mpmath.exp(-x)),
         "softplus_forward": lambda x: mpmath.log1p(mpmath.exp(x)), "erf": mpmath.erf,
         "gelu_forward": lambda x: x * mpmath.erfc(-x / mpmath.sqrt(2)) / 2, "silu_forward": lambda x: x / (1 + mpmath.exp(-x))}

EDGES = (0.0, 1e-45, 1.17549435e-38, 2 ** -12, 0.25, 0.35, 0.5, 0.55, 0.625, 0.70710678, 1.0, 1.41421356, 2.0, 3.75, 4.0, 5.5, 8.0,
         9.01, 13.0, 14.2, 16.6, 17.33, 36.0, 64.0, 87.33, 88.02, 88.72284, 89.0, 100.0, 103.28, 103.97, 104.0, 110.0, 128.0,
         3.4028235e38)
"""Where formulas change, results leave the normal range, or functions become flat."""


class Truth:
    """The exact values at float32 inputs, and their ULP: below the smallest normal number that is 2^-149."""

    def __init__(self, oracle, x):
        with np.errstate(all="ignore"):
            exact = oracle(x.astype(np.float64))
        self.x, self.nan, self.small = x, np.isnan(exact), np.abs(exact) < 2.0 ** -126
        exponent = np.clip((exact.view(np.int64) >> 52) & 0x7FF, 1023 - 126, 1023 + 127)
        self.per_ulp = ((2 * 1023 + 23 - exponent) << 52).view(np.float64)
        self.exact = as_numbers(exact)

    def errors(self, y):
        """(largest error in ULP of normal results, its input, largest error of subnormal ones)."""
        wrong = np.isnan(y) != self.nan
        assert not wrong.any(), f"NaN in one of the two at x = {self.x[wrong][:3]}"
        error = np.abs(as_numbers(y.astype(np.float64)) - self.exact) * self.per_ulp
        error[self.nan] = 0
        small = error[self.small].max(initial=0)
        error[self.small] = 0
        worst = int(error.argmax())
        return float(error[worst]), float(self.x[worst]), float(small)


def as_numbers(y):
    """Infinity stands for the power of two beyond the largest float32."""
    return np.clip(y, -2.0 ** 128, 2.0 ** 128)


def measure(kernel, oracle, x):
    """Truth.errors of a kernel."""
    y = np.empty_like(x)
    kernel(x, y)
    return Truth(oracle, x).errors(y)


@pytest.fixture(scope="module")
def sample():
    """Every 4099th float, and 2048 neighbours of each edge."""
    everywhere = np.arange(0, 1 << 32, 4099, dtype=np.uint32)
    edges = np.float32(EDGES).view(np.int32)[:, None] + np.arange(-1024, 1024, dtype=np.int32)
    edges = np.clip(edges, 0, 0x7F800000).astype(np.uint32).ravel()
    x = np.concatenate([everywhere, edges, edges | np.uint32(1 << 31), np.uint32([0x7FC00000, 0xFFC00000])]).view(np.float32)
    return x[:x.size // 64 * 64 + 17] if x.size % 64 >= 17 else np.append(x, np.float32([1] * 17))


@pytest.mark.parametrize("name", ORACLE)
def test_within_the_bound_on_a_sample(book, name, sample):
    oracle, bound = ORACLE[name]
    error, x, small = measure(getattr(book, name), oracle, sample)
    assert error <= bound, f"{error:.3f} ULP at {x!r}"
    assert small <= bound


@pytest.mark.parametrize("name", ORACLE)
def test_signs_and_limits(book, name):
    """Values that need no rounding: zeros keep their sign where the function is odd, NaN stays, infinities have their limits."""
    x = np.float32([0.0, -0.0, np.inf, -np.inf, np.nan])
    y, expected = np.empty_like(x), {
        "exp": [1, 1, np.inf, 0], "log": [-np.inf, -np.inf, np.inf, np.nan], "tanh_forward": [0.0, -0.0, 1, -1],
        "sigmoid_forward": [0.5, 0.5, 1, 0], "softplus_forward": [np.log(2), np.log(2), np.inf, 0], "erf": [0.0, -0.0, 1, -1],
        "gelu_forward": [0.0, -0.0, np.inf, -0.0], "silu_forward": [0.0, -0.0, np.inf, -0.0]}[name]
    getattr(book, name)(x, y)
    np.testing.assert_array_equal(y, np.float32([*expected, np.nan]))
    known = ~np.isnan(y)
    np.testing.assert_array_equal(np.signbit(y)[known], np.signbit(np.float32([*expected, np.nan]))[known])


@pytest.mark.parametrize("name", ORACLE)
def test_float64_within_the_bound(book, name):
    """A few hundred inputs against mpmath; float64 results below the normal range are not looked at."""
    rng = np.random.default_rng(5)
    x = np.concatenate([rng.normal(size=150), rng.uniform(-30, 30, 100), rng.uniform(-700, 700, 50), 10.0 ** rng.uniform(-300, 2, 50)])
    x = np.abs(x) if name == "log" else x
    y = np.empty_like(x)
    getattr(book, name)(x, y)
    with mpmath.workdps(60):
        for got, at in zip(y, x):
            exact = EXACT[name](mpmath.mpf(float(at)))
            if abs(exact) < np.finfo(float).tiny:
                continue
            ulp = mpmath.ldexp(1, int(mpmath.floor(mpmath.log(abs(exact), 2))) - 52)
            assert abs(mpmath.mpf(float(got)) - exact) <= FLOAT64_BOUND * ulp, f"{name}({at!r}) = {got!r}"


FLOAT64_BOUND = 6


@pytest.mark.slow
@pytest.mark.parametrize("name", ORACLE)
def test_within_the_bound_everywhere(level_books, name):
    """All 2^32 inputs, on every compiled level; the oracle itself is checked by mpmath at the worst inputs."""
    oracle, bound = ORACLE[name]

    def block(start):
        x = np.arange(start, start + BLOCK, dtype=np.uint32).view(np.float32)
        truth, known = Truth(oracle, x), {}
        for book in level_books.values():
            y = np.empty_like(x)
            getattr(book, name)(x, y)
            bits = y.tobytes()
            if bits not in known:  # v3 and v4 give the same bits
                known[bits] = truth.errors(y)
            yield known[bits]

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        results = list(pool.map(lambda start: list(block(start)), range(0, 1 << 32, BLOCK)))
    for level, found in zip(level_books, zip(*results)):
        error, x, _ = max(found)
        small = max(entry[2] for entry in found)
        print(f"{name:18} {level:9} {error:7.4f} ULP at {x!r}, {small:7.4f} of 2^-149 where subnormal")
        with mpmath.workdps(60), np.errstate(all="ignore"):
            exact, approximate = EXACT[name](mpmath.mpf(x)), float(oracle(np.float64(x)))
            assert abs(exact - mpmath.mpf(approximate)) <= abs(exact) * 2 ** -40
        assert error <= bound, f"{level}: {error:.4f} ULP at {x!r}"
        assert small <= bound
