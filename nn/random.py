"""The one source of randomness of a process: initialisation and eager dropout draw from it, nothing from NumPy's or Python's own."""
import threading

import numpy as np

_lock = threading.Lock()
_state = {"seed": None, "generator": None}


def manual_seed(seed):
    """Start the generator anew from `seed` (an int >= 0); the same seed gives the same weights and the same eager dropout."""
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or seed < 0:
        raise ValueError(f"seed must be an int >= 0, got {seed!r}")
    with _lock:
        _state["seed"] = int(seed) & (1 << 64) - 1
        _state["generator"] = np.random.default_rng(int(seed))


def generator():
    """The generator of initialisers."""
    if _state["generator"] is None:
        manual_seed(int(np.random.SeedSequence().generate_state(1, np.uint64)[0] >> np.uint64(2)))
    return _state["generator"]


def eager_seed():
    """The key of eager dropout."""
    generator()
    return _state["seed"]


def draw_seed():
    """A new seed, drawn once: what Trainer(seed=None) uses."""
    source = generator()
    with _lock:
        return int(source.integers(1 << 62))
