"""Kernels of the three books side by side: equality with the reference in float64 first, then the time.

    pytest benchmarks/bench_kernels.py -o python_files=bench_*.py --benchmark-enable
"""
import contextlib
import importlib.util

import pytest
from vivace.benchmarks.kernel_cases import BACKENDS, CASES, check

from vivace import kernels


@pytest.fixture(autouse=True)
def one_blas_thread():
    """A kernel uses one thread, so NumPy's products do too where threadpoolctl can say so."""
    limit = contextlib.nullcontext()
    if importlib.util.find_spec("threadpoolctl"):
        from threadpoolctl import threadpool_limits
        limit = threadpool_limits(1, user_api="blas")
    with limit:
        yield


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", CASES)
def test_kernel(benchmark, name, backend):
    if backend == "numba":
        pytest.importorskip("numba")
    run = getattr(kernels.get(backend), name)
    check(name, run)
    benchmark.group = name
    arrays, scalars = CASES[name]()
    benchmark(run, *arrays, **scalars)
