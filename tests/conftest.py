"""Fixtures of all tests: the books of kernels, each under a name of its own."""
import pytest

from vivace import kernels
from vivace.kernels import cases

BOOKS = cases.books()
LEVELS = kernels.available()["cython"]


def pytest_generate_tests(metafunc):
    """`book` runs a test once per book that this machine can load: the reference, the compiled levels, Numba."""
    if "book" in metafunc.fixturenames:
        metafunc.parametrize("book", BOOKS, indirect=True)


@pytest.fixture
def book(request):
    return cases.load(request.param)


@pytest.fixture(scope="session")
def level_books():
    """The compiled book at every level of this CPU: name -> module."""
    return {level: cases.load(level) for level in LEVELS}
