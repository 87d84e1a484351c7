"""The user's own functions on the tabular workload: losses are those of the program in NumPy, and what is wrong is refused."""
import dataclasses

import numpy as np
import pytest
from vivace.benchmarks import own_functions
from vivace.benchmarks.workloads import WORKLOADS

from vivace import nn

SMALL = dataclasses.replace(WORKLOADS["tabular"], sizes=(6, 40, 30, 2), batch=16)


@pytest.fixture(scope="module")
def cases():
    return {case.name: case for case in own_functions.cases()}


NAMES = ["Swish(beta=2) / SiLU", "Swish(beta=2), derivative given / SiLU", "LeakyReLU / LeakyReLU", "pinball loss / MSELoss", "Lion / Adam"]


@pytest.mark.parametrize("name", NAMES)
def test_losses_on_the_tabular_workload_are_numpys(name, cases):
    """64-256-256-256-2, batch 256: 20 steps, step by step and by epochs of fit, to a relative 1e-5."""
    found = own_functions.verify(own_functions.WORKLOAD, cases[name])
    assert found["float32"] <= 1e-5 and found.get("float64", 0) <= 1e-11


def test_every_case_is_verified(cases):
    assert list(cases) == NAMES
    assert own_functions.WORKLOAD.sizes == (64, 256, 256, 256, 2) and own_functions.WORKLOAD.batch == 256
    assert own_functions.TOLERANCES == {"float32": 1e-5, "float64": 1e-11}


@pytest.mark.parametrize("wrong", ["activation", "loss", "update"])
def test_what_differs_is_refused(wrong, cases):
    case = cases["Swish(beta=2) / SiLU"]
    own_functions.verify(SMALL, case)
    activation, loss, optimizer = case.own
    parts = {"activation": (lambda: activation(beta=2.05), loss, optimizer),
             "loss": (activation, lambda: nn.CrossEntropyLoss(label_smoothing=0.01), optimizer),
             "update": (activation, loss, lambda p: own_functions.optim.Adam(p, lr=1.01e-3))}[wrong]
    spoiled = own_functions.Case(case.name, case.bound, parts, case.builtin, case.activation)
    with pytest.raises(own_functions.Failed, match="losses differ from NumPy's by"):
        own_functions.verify(SMALL, spoiled)


def test_slopes_of_the_program_in_numpy_are_differences():
    rng = np.random.default_rng(0)
    for f, point in ((own_functions.numpy_swish, rng.normal(size=9)), (own_functions.numpy_leaky, rng.normal(size=9))):
        np.testing.assert_allclose(f(point)[1], (f(point + 1e-6)[0] - f(point - 1e-6)[0]) / 2e-6, rtol=1e-8)
    z, t = rng.normal(size=(5, 2)), rng.normal(size=(5, 2))
    for loss, target in ((own_functions.numpy_pinball, t), (own_functions.numpy_cross_entropy, np.arange(5) % 2)):
        for place in np.ndindex(z.shape):
            moved = [z.copy(), z.copy()]
            moved[0][place] += 1e-6
            moved[1][place] -= 1e-6
            slope = (loss(moved[0], target)[0] - loss(moved[1], target)[0]) / 2e-6
            assert loss(z, target)[1][place] == pytest.approx(slope, rel=1e-6)
