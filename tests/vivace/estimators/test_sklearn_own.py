"""scikit-learn's own tests of its multi-layer perceptrons, with our classes in place of its.

The installed sklearn/neural_network/tests/test_mlp.py is read as it is:  pytest tests/vivace/estimators/test_sklearn_own.py
"""
import importlib.util
from pathlib import Path
from unittest import mock

import pytest
import sklearn.neural_network

from vivace.estimators import MLPClassifier, MLPRegressor

PRIVATE = {
    "test_gradient": "calls _loss_grad_lbfgs, a private method with work arrays; our gradients are tested in tests/nn and test_objective",
}
"""Tests that are left out, with the reason: at most 3, of private methods only."""


def load():
    """The test module of scikit-learn, imported with our classes under its names."""
    path = Path(sklearn.neural_network.__file__).parent / "tests" / "test_mlp.py"
    spec = importlib.util.spec_from_file_location("sklearn_test_mlp", path)
    module = importlib.util.module_from_spec(spec)
    with mock.patch.multiple(sklearn.neural_network, MLPClassifier=MLPClassifier, MLPRegressor=MLPRegressor):
        spec.loader.exec_module(module)
    assert module.MLPClassifier is MLPClassifier and module.MLPRegressor is MLPRegressor
    return module


FOUND = {name: value for name, value in vars(load()).items() if name.startswith("test_")}
globals().update({name: value for name, value in FOUND.items() if name not in PRIVATE})

pytestmark = pytest.mark.filterwarnings("default")


@pytest.fixture
def global_random_seed():
    """scikit-learn's fixture: one seed."""
    return 42


def test_the_list_of_exceptions_is_short_and_true():
    assert len(PRIVATE) <= 3
    assert set(PRIVATE) <= set(FOUND) and len(FOUND) > 30
