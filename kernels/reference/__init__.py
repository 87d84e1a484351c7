"""The contract: every kernel in plain NumPy, written to be read. Oracle of the tests and the implementation that always works."""
from . import engine
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
"""Every kernel by name; the other books and the tests enumerate it."""

OPS = {name: number for number, name in enumerate(KERNELS)}
"""The number of each kernel in the records of a plan."""

__all__ = list(KERNELS)


def run_plan(*args):
    """engine.run_plan with the kernels of this book."""
    return engine.run_plan(*args, book=KERNELS)
