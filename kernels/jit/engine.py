"""The engine of the Numba book: the executor of the reference, calling this book's kernels."""
from ..reference import engine


def run_plan(*args):
    """As kernels.reference.engine.run_plan."""
    from . import KERNELS
    return engine.run_plan(*args, book=KERNELS)
