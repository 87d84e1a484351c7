"""Which book and which instruction-set level: chosen once, at import, visibly.

VIVACE_BACKEND=cython|numba|numpy and VIVACE_ISA=baseline|v3|v4 force a choice; without them the compiled book at the highest level of
the CPU is taken. A choice that cannot load raises with the reason where the book is first asked for; the import of the package
passes, so that the command line can say it in one line.
"""
import contextlib
import importlib
import os

from . import _cpu, reference

BACKENDS = ("cython", "numba", "numpy")
LEVELS = {"baseline": 0, "v3": 3, "v4": 4}

_books = {}


def _level():
    """The level to load: the forced one, or the best this CPU runs."""
    here = _cpu.level()
    forced = os.environ.get("VIVACE_ISA")
    if not forced:
        return max((name for name, needed in LEVELS.items() if needed <= here), key=LEVELS.get)
    if forced not in LEVELS:
        raise ImportError(f"VIVACE_ISA must be one of {', '.join(LEVELS)}, got {forced!r}")
    if LEVELS[forced] > here:
        raise ImportError(f"VIVACE_ISA={forced} asks for instructions that this CPU or its system does not offer")
    return forced


def _load(backend):
    if backend == "numpy":
        return reference
    if backend == "cython":
        return importlib.import_module(f".compiled._{_level()}", __package__)
    if importlib.util.find_spec("numba") is None:
        raise ImportError("the numba backend needs the package numba: pip install 'vivace[numba]'")
    return importlib.import_module(".jit", __package__)


def get(backend=None):
    """The book of kernels `backend`: "cython", "numba", "numpy"; None is the process default.

    Raises ValueError for another name and ImportError with the reason for a book that cannot load.
    """
    if backend is None:
        backend = DEFAULT
        if backend in _books:
            return _books[backend]
        if backend not in BACKENDS:
            raise ImportError(f"VIVACE_BACKEND must be one of {', '.join(BACKENDS)}, got {backend!r}")
    if backend not in BACKENDS:
        raise ValueError(f"backend must be one of {', '.join(BACKENDS)}, got {backend!r}")
    if backend not in _books:
        _books[backend] = _load(backend)
    return _books[backend]


def name_of(book):
    """The backend name of a loaded book."""
    return next(name for name, loaded in _books.items() if loaded is book)


def which():
    """What this process uses: {"backend", "isa", "available", "missing"}; missing names kernels a book lacks (none in the default)."""
    book = get()
    return {"backend": DEFAULT, "isa": getattr(book, "LEVEL", None), "available": available(),
            "missing": list(getattr(book, "MISSING", ()))}


def available():
    """The backends and levels that this machine can use."""
    here = _cpu.level()
    levels = [name for name, needed in LEVELS.items() if needed <= here and _built(name)]
    return {"cython": levels, "numba": importlib.util.find_spec("numba") is not None, "numpy": True}


def _built(level):
    return importlib.util.find_spec(f"{__package__}.compiled._{level}") is not None


DEFAULT = os.environ.get("VIVACE_BACKEND") or "cython"
with contextlib.suppress(ImportError):  # said again, and then raised, where the book is asked for
    get()
