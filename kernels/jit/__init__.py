"""The contract in Numba: a complete second implementation, imported only when asked for."""
from ..reference import engine
from .activations import *  # noqa: F401,F403
from .custom import *  # noqa: F401,F403
from .dropout import *  # noqa: F401,F403
from .elementwise import *  # noqa: F401,F403
from .linear import *  # noqa: F401,F403
from .losses import *  # noqa: F401,F403
from .optimizers import *  # noqa: F401,F403
from .rows import *  # noqa: F401,F403

KERNELS = {name: value for name, value in sorted(globals().items()) if hasattr(value, "spec")}
"""Every kernel by name, with the names and parameters of the reference."""

MISSING = ()
"""Kernels of the contract that this book does not have."""

__all__ = list(KERNELS)


def run_plan(*args):
    """reference.engine.run_plan with the kernels of this book."""
    return engine.run_plan(*args, book=KERNELS)
