"""Levenberg-Marquardt by hand and by the Trainer, as a program: digests of weights by one backend, for test_levenberg_marquardt.py."""
import hashlib
import json

import numpy as np
import vivace.nn.functional as F
from vivace.nn.plan import Plan

import vivace as vv
from vivace import nn, optim

RNG = np.random.default_rng(5)
ROWS, INPUTS, OUTPUTS, STEPS = 60, 4, 3, 5
X = RNG.normal(size=(ROWS, INPUTS))
T = np.sin(X @ RNG.normal(size=(INPUTS, OUTPUTS)))
W = RNG.uniform(0.5, 2, ROWS)


class Residual(nn.Module):
    """One dense layer, read twice."""

    def __init__(self):
        super().__init__()
        self.into, self.twice, self.out = nn.Linear(INPUTS, 9), nn.Linear(9, 9, bias=False), nn.Linear(9, OUTPUTS)

    def forward(self, x):
        h = self.into(x)
        return self.out(h + self.twice(F.tanh(self.twice(h))))


NETS = {
    "dense": lambda: nn.Sequential(nn.Linear(INPUTS, 20), nn.ReLU(), nn.Linear(20, 8), nn.Tanh(), nn.Linear(8, OUTPUTS)),
    "residual": Residual,
    "normalised": lambda: nn.Sequential(nn.Linear(INPUTS, 8), nn.LayerNorm(8), nn.PReLU(), nn.Linear(8, OUTPUTS)),
    "dropping": lambda: nn.Sequential(nn.Dropout(0.2), nn.Linear(INPUTS, 8), nn.Tanh(), nn.Dropout(0.3), nn.Linear(8, OUTPUTS)),
}


def parts(name, dtype):
    """(model, optimizer), the same ones every time."""
    vv.manual_seed(3)
    model = NETS[name]().to(dtype)
    return model, optim.LevenbergMarquardt(model.parameters(), damping=0.1)


def digest(model, losses):
    return hashlib.sha256(b"".join(p.numpy().tobytes() for p in model.parameters()) + np.array(losses).tobytes()).hexdigest()


def by_hand(name, dtype, weight):
    model, optimizer = parts(name, dtype)
    vv.manual_seed(11)
    return digest(model, [optimizer.step(model, X, T, weight) for _ in range(STEPS)])


def trained(name, dtype, weight, threads, backend=None):
    model, optimizer = parts(name, dtype)
    trainer = vv.Trainer(model, nn.MSELoss(), optimizer, seed=11, num_threads=threads, backend=backend)
    return digest(model, trainer.fit(X, T, epochs=STEPS, sample_weight=weight, verbose=0)["loss"])


if __name__ == "__main__":
    Plan.working = lambda plan, threads, rows: threads  # the nets are small: see conftest.py
    compiled = vv.kernels.which()["backend"] == "cython"
    teams, dtypes = ((1, 2, 3), ("float32", "float64")) if compiled else ((1,), ("float64",))
    found = {f"{name} {dtype} {weight is not None}": [by_hand(name, dtype, weight), *(trained(name, dtype, weight, n) for n in teams)]
             for name in NETS for dtype in dtypes for weight in (None, W)}
    print(json.dumps({"which": vv.kernels.which(), "digests": found}))
