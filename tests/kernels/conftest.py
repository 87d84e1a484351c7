"""Fixtures of the kernel tests: the implementations, each under a name of its own."""
import pathlib
import sys

import pytest
from vivace.kernels import cases

sys.path.append(str(pathlib.Path(__file__).resolve().parent))

LEVELS = [name for name in cases.books() if name not in ("reference", "numba")]


def pytest_generate_tests(metafunc):
    """`book` runs a test once per implementation besides the reference, `level` once per compiled level.

    Numba compiles for a second or so per kernel and type: a test that asks for `book` has its Numba form among the slow ones.
    """
    numba = [pytest.param("numba", marks=pytest.mark.slow)] if "numba" in cases.books() else []
    if "book" in metafunc.fixturenames:
        metafunc.parametrize("book", [*LEVELS, *numba], indirect=True)
    if "level" in metafunc.fixturenames:
        metafunc.parametrize("level", LEVELS)


@pytest.fixture
def book(request):
    return cases.load(request.param)


@pytest.fixture(scope="session")
def level_books():
    """The compiled book at every level of this CPU: name -> module."""
    return {level: cases.load(level) for level in LEVELS}
