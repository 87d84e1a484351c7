"""Equality before speed: every library's losses, weights and predictions against numpy_mlp.py in float64."""
import math
from dataclasses import dataclass

import numpy as np

from .libraries import BETA2, EPS, NumPy
from .numpy_mlp import NumpyMLP

TOLERANCES = {"float32": {"loss": 1e-4, "travel": 2e-2, "output": 1e-5}, "float64": {"loss": 1e-12, "travel": 1e-9, "output": 1e-13}}
"""Largest differences: of an epoch's loss, relative; of the way that all weights together have gone from their start, relative in the
2-norm (a unit near its kink may fall on the other side, and Adam turns a rounding error of a tiny gradient into a whole step); of an
output, relative to the largest one."""


class Failed(Exception):
    """A library does not compute what the others do."""


class _OuterEps(NumpyMLP):
    """eps stands where scikit-learn and thinc have it: NumpyMLP's eps over sqrt(1 - beta2^k)."""
    eps = property(lambda self: EPS / math.sqrt(1 - BETA2**self.steps), lambda self, value: None)


class _Oracle(NumPy):
    def build(self, workload, weights, outer_eps=False):
        wide = [tuple(a.astype(np.float64) for a in pair) for pair in weights]
        self.net = (_OuterEps if self.threads == "outer eps" else NumpyMLP)(
            workload.sizes, workload.activation, workload.loss, dtype="float64", weights=wide)


@dataclass
class Answer:
    """What training from the common start gave: losses of epochs, all weights flat; or outputs."""

    losses: list | None = None
    weights: np.ndarray | None = None
    outputs: np.ndarray | None = None

    def save(self, path):
        np.savez(path, **{name: value for name, value in vars(self).items() if value is not None})

    @classmethod
    def read(cls, path):
        with np.load(path) as held:
            return cls(**held)


def flat(weights):
    return np.concatenate([np.ravel(a) for pair in weights for a in pair])


def answer(library, workload):
    """Let a freshly built library train, or predict, what is compared."""
    if workload.kind == "predict":
        return Answer(outputs=np.asarray(library.predict(workload.data(workload.batch)[0])))
    library.load(*workload.data(workload.verified_rows))
    losses = library.train(workload.orders(workload.verified_rows, 0, workload.verified_epochs))
    return Answer(losses=np.asarray(losses, np.float64), weights=flat(library.weights()))


def oracle(workload, outer_eps=False):
    """The same by numpy_mlp.py in float64."""
    return answer(_Oracle(workload, "outer eps" if outer_eps else None), workload)


def compare(workload, expected, got):
    """{"loss", "travel"} or {"output"}: the differences; raises Failed above TOLERANCES."""
    if workload.kind == "predict":
        found = {"output": _worst(got.outputs, expected.outputs, np.abs(expected.outputs).max())}
    else:
        start = flat(workload.weights()).astype(np.float64)
        way = np.linalg.norm(expected.weights - start)
        found = {"loss": _worst(got.losses, expected.losses, np.abs(expected.losses)), "travel": math.inf}
        if _same_shape(got.weights, expected.weights):
            found["travel"] = float(np.linalg.norm(got.weights - expected.weights) / way)
    for name, difference in found.items():
        allowed = TOLERANCES[workload.dtype][name]
        if not difference <= allowed:
            raise Failed(f"{workload.name} ({workload.title}): {name} differs by {difference:.1e}, allowed are {allowed:.0e}")
    return found


def _same_shape(a, b):
    return np.shape(a) == np.shape(b)


def _worst(got, expected, scale):
    return float(np.max(np.abs(got - expected) / scale)) if _same_shape(got, expected) else math.inf
