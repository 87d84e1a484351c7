"""What this installation uses."""
import os

import numpy as np

from . import kernels, threads


def show_config(verbose=True):
    """Print and return a dict: backend, level, threads, precisions, versions."""
    import platform

    from . import __version__
    chosen = kernels.which()
    config = {
        "vivace": __version__, "backend": chosen["backend"], "isa": chosen["isa"], "available": chosen["available"],
        "threads": threads.get_num_threads(), "cores": threads.cores(), "precisions": ["float32", "float64"],
        "numpy": np.__version__, "python": platform.python_version(), "platform": platform.platform(),
        "environment": {name: value for name, value in os.environ.items() if name.startswith("VIVACE_") or name == "OMP_NUM_THREADS"},
    }
    if verbose:
        for name, value in config.items():
            print(f"{name:12} {value}")
    return config
