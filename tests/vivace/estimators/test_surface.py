"""What users of scikit-learn's classes see of them: parameters, attributes, methods, warnings and errors."""
import inspect
import numbers
import warnings

import numpy as np
import pytest
import sklearn.neural_network as theirs
from sklearn.base import clone
from sklearn.datasets import load_diabetes, load_iris

from vivace import estimators as ours
from vivace.estimators.network import NAMES

KINDS = ("MLPClassifier", "MLPRegressor")
X, Y = load_iris(return_X_y=True)
XR, YR = load_diabetes(return_X_y=True)
DATA = {"MLPClassifier": (X, Y), "MLPRegressor": (XR, YR)}
HOLED = np.where(np.arange(X.size).reshape(X.shape) == 13, np.nan, X)


@pytest.mark.parametrize("kind", KINDS)
def test_parameters_have_their_order_kind_and_default(kind):
    a, b = [list(inspect.signature(getattr(module, kind)).parameters.values()) for module in (theirs, ours)]
    assert [(p.name, p.kind, p.default) for p in b[:len(a)]] == [(p.name, p.kind, p.default) for p in a]
    assert all(p.kind is p.KEYWORD_ONLY for p in b[len(a):]) and len(b) > len(a)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("options", [{}, {"solver": "sgd"}, {"early_stopping": True}, {"solver": "lbfgs"}], ids=str)
@pytest.mark.parametrize("kind", KINDS)
def test_attributes_and_methods(kind, options):
    a, b = [getattr(module, kind)(max_iter=3, random_state=0, **options).fit(*DATA[kind]) for module in (theirs, ours)]
    for name in dir(a):
        if name.startswith("_") or (name, options.get("solver")) == ("partial_fit", "lbfgs"):
            continue  # its regressor has partial_fit with lbfgs too: a check that it forgets to call
        assert hasattr(b, name), name
        value, other = getattr(a, name), getattr(b, name)
        if callable(value):
            parameters = inspect.signature(value).parameters
            assert [name for name in inspect.signature(other).parameters if name in parameters] == list(parameters), name
        elif name in ("coefs_", "intercepts_"):
            assert [w.shape for w in other] == [w.shape for w in value] and isinstance(other, list)
        elif isinstance(value, numbers.Number):
            assert isinstance(other, numbers.Number), name
        else:
            assert isinstance(other, type(value)) and np.shape(other) == np.shape(value), name


def few(module, **options):
    return module.MLPClassifier(max_iter=3, random_state=0, **options).fit(X, Y)


SAID = {
    "too few epochs": lambda m: m.MLPClassifier(max_iter=2).fit(X, Y),
    "too few steps of lbfgs": lambda m: m.MLPClassifier(max_iter=2, solver="lbfgs").fit(X, Y),
    "a batch beyond the rows": lambda m: m.MLPClassifier(max_iter=300, batch_size=1000, tol=1).fit(X, Y),
    "a column of labels": lambda m: m.MLPClassifier(max_iter=300, tol=1).fit(X, Y[:, None]),
    "not a number": lambda m: m.MLPClassifier().fit(HOLED, Y), "infinite": lambda m: m.MLPClassifier().fit(X * np.inf, Y),
    "text": lambda m: m.MLPClassifier().fit(np.array([["a"] * 4] * 150), Y), "complex": lambda m: m.MLPClassifier().fit(X + 1j, Y),
    "no rows": lambda m: m.MLPClassifier().fit(X[:0], Y[:0]), "three axes": lambda m: m.MLPClassifier().fit(X[:, :, None], Y),
    "no y": lambda m: m.MLPClassifier().fit(X, None), "short y": lambda m: m.MLPClassifier().fit(X, Y[:-1]),
    "short weights": lambda m: m.MLPClassifier().fit(X, Y, sample_weight=np.ones(3)),
    "real labels": lambda m: m.MLPClassifier().fit(XR, YR + 0.5),
    "two columns of labels": lambda m: m.MLPClassifier().fit(X, np.column_stack([Y, Y])),
    "a layer of none": lambda m: m.MLPClassifier(hidden_layer_sizes=(0,)).fit(X, Y),
    "a layer of less": lambda m: m.MLPClassifier(hidden_layer_sizes=-1).fit(X, Y),
    "alpha": lambda m: m.MLPClassifier(alpha=-1).fit(X, Y), "momentum": lambda m: m.MLPClassifier(momentum=2).fit(X, Y),
    "shuffle": lambda m: m.MLPClassifier(shuffle="yes").fit(X, Y), "random_state": lambda m: m.MLPClassifier(random_state="a").fit(X, Y),
    "solver": lambda m: m.MLPClassifier(solver="ghost").fit(X, Y), "activation": lambda m: m.MLPClassifier(activation="ghost").fit(X, Y),
    "learning_rate": lambda m: m.MLPClassifier(learning_rate="ghost").fit(X, Y), "loss": lambda m: m.MLPRegressor(loss="ghost").fit(XR, YR),
    "labels before fit": lambda m: m.MLPClassifier().predict(X), "probabilities before fit": lambda m: m.MLPClassifier().predict_proba(X),
    "values before fit": lambda m: m.MLPRegressor().predict(XR), "other columns": lambda m: few(m).predict(X[:, :2]),
    "not a number to predict": lambda m: few(m).predict(HOLED), "one row as a vector": lambda m: few(m).predict(X[0]),
    "a class never seen": lambda m: few(m).partial_fit(X, np.where(Y == 2, 7, Y)),
    "no classes": lambda m: m.MLPClassifier().partial_fit(X, Y), "lbfgs by parts": lambda m: m.MLPClassifier(solver="lbfgs").partial_fit,
    "other classes": lambda m: m.MLPClassifier().partial_fit(X, Y, classes=[0, 1, 2]).partial_fit(X, Y, classes=[0, 1]),
    "stopping by parts": lambda m: m.MLPClassifier(early_stopping=True).partial_fit(X, Y, classes=[0, 1, 2]),
    "nothing held out": lambda m: m.MLPClassifier(early_stopping=True).fit(X[:100][::10], Y[:100][::10]),
    "warm with fewer classes": lambda m: few(m, warm_start=True).fit(X[:100], Y[:100]),
}


def said(call, module):
    """[(class, first words)] of the warnings and the error of a call."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            call(module)
        except Exception as error:
            caught.append(warnings.WarningMessage(str(error), type(error), "", 0))
    return [(w.category, str(w.message).split(" a str among ")[0][:100]) for w in caught]


@pytest.mark.parametrize("case", SAID)
def test_warnings_and_errors_are_those_of_scikit_learn(case):
    a, b = said(SAID[case], theirs), said(SAID[case], ours)
    assert a == b and a


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("name", sorted(NAMES))
def test_every_named_activation_trains(name):
    assert name == name.lower() and not name.startswith("_")
    model = ours.MLPClassifier((8,), activation=name, max_iter=3, random_state=0)
    assert np.isfinite(clone(model).fit(X, Y).loss_)
