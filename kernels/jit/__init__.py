"""The contract in Numba: a complete second implementation, imported only when asked for."""
import time

import numpy as np

try:
    import numba  # noqa: F401
except ImportError as error:
    raise ImportError("the numba backend needs the package numba: pip install 'vivace[numba]'", name="numba") from error

from ..reference import engine
from .activations import *  # noqa: F401,F403
from .column_losses import *  # noqa: F401,F403
from .custom import *  # noqa: F401,F403
from .dropout import *  # noqa: F401,F403
from .elementwise import *  # noqa: F401,F403
from .embedding import *  # noqa: F401,F403
from .linear import *  # noqa: F401,F403
from .losses import *  # noqa: F401,F403
from .maps import *  # noqa: F401,F403
from .noise import *  # noqa: F401,F403
from .normalisation import *  # noqa: F401,F403
from .optimizers import *  # noqa: F401,F403
from .prelu import *  # noqa: F401,F403
from .row_losses import *  # noqa: F401,F403
from .rows import *  # noqa: F401,F403
from .sparse import *  # noqa: F401,F403

KERNELS = {name: value for name, value in sorted(globals().items()) if hasattr(value, "spec")}
"""Every kernel by name, with the names and parameters of the reference."""

MISSING = ()
"""Kernels of the contract that this book does not have."""

__all__ = list(KERNELS)


def run_plan(*args):
    """reference.engine.run_plan with the kernels of this book."""
    return engine.run_plan(*args, book=KERNELS)


def warm_up(names=None, dtypes=("float32", "float64"), progress=True):
    """Compile the kernels ahead, which else happens at the first call of each; seconds taken.

    names: kernels, None for all. Numba compiles for each type and number of dimensions: arrays of any shape are compiled with two, as in
    training. Nothing is kept beyond the process. progress: whether a bar is shown.
    """
    from tqdm import tqdm

    from .. import cases
    begin = time.monotonic()
    names = list(KERNELS) if names is None else list(names)
    for name in names:
        if name not in KERNELS:
            raise ValueError(f"names must hold kernels, got {name!r}")
    with tqdm(total=len(names) * len(dtypes), desc="compiling", unit="kernel", disable=not progress) as bar:
        for name in names:
            for dtype in dtypes:
                KERNELS[name](*cases.make(name, {**cases.BASE, "*": (3, 5)}, np.dtype(dtype).type))
                bar.update()
    return time.monotonic() - begin
