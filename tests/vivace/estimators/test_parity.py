"""Losses, weights and predictions equal scikit-learn's, from the same random state, in float64."""
import warnings

import numpy as np
import pytest
import sklearn.neural_network as theirs
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_iris, make_multilabel_classification
from sklearn.exceptions import ConvergenceWarning
from sklearn.preprocessing import scale

from vivace import estimators as ours

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def few(loaded, rows=300):
    """Every k-th row, so that all classes stay; features of unit variance."""
    step = max(len(loaded.data) // rows, 1)
    return scale(loaded.data[::step].astype(float)), loaded.target[::step]


DATA = {
    "digits": ("MLPClassifier", *few(load_digits())), "iris": ("MLPClassifier", *few(load_iris())),
    "breast_cancer": ("MLPClassifier", *few(load_breast_cancer())),
    "diabetes": ("MLPRegressor", few(load_diabetes())[0], scale(few(load_diabetes())[1].astype(float))),
}
SETTINGS = {
    "adam": dict(solver="adam"), "momentum": dict(solver="sgd", nesterovs_momentum=False), "nesterov": dict(solver="sgd"),
    "invscaling": dict(solver="sgd", learning_rate="invscaling", learning_rate_init=0.1),
    "adaptive": dict(solver="sgd", learning_rate="adaptive", tol=0.05, n_iter_no_change=2, learning_rate_init=0.01),
    "plain": dict(solver="sgd", momentum=0.0, shuffle=False, batch_size=64), "stopping": dict(solver="adam", early_stopping=True),
    "tanh": dict(solver="adam", activation="tanh", hidden_layer_sizes=(16, 8), alpha=1.0), "logistic": dict(activation="logistic"),
}


def both(kind, X, y, fit=None, **options):
    options = {"random_state": 0, "max_iter": 50, "hidden_layer_sizes": (20,), **options}
    return [getattr(module, kind)(**options).fit(X, y, **(fit or {})) for module in (theirs, ours)]


def same(a, b):
    assert a.n_iter_ == b.n_iter_ and a.t_ == b.t_
    np.testing.assert_allclose(b.loss_curve_, a.loss_curve_, rtol=1e-8, atol=0)
    for name in ("coefs_", "intercepts_"):
        for p, q in zip(getattr(a, name), getattr(b, name)):
            np.testing.assert_allclose(q, p, rtol=1e-6, atol=1e-8)
    assert a._no_improvement_count == b._no_improvement_count
    for name in ("best_loss_", "best_validation_score_", "loss_"):
        assert (getattr(a, name) is None) == (getattr(b, name) is None)
        if getattr(a, name) is not None:
            np.testing.assert_allclose(getattr(b, name), getattr(a, name), rtol=1e-8)


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("name", DATA)
def test_epochs(name, setting):
    kind, X, y = DATA[name]
    a, b = both(kind, X, y, **SETTINGS[setting])
    same(a, b)
    if kind == "MLPClassifier":
        np.testing.assert_array_equal(a.predict(X), b.predict(X))
        np.testing.assert_allclose(b.predict_proba(X), a.predict_proba(X), rtol=1e-6, atol=1e-9)
    else:
        np.testing.assert_allclose(b.predict(X), a.predict(X), rtol=1e-6, atol=1e-9)


WHOLE = {"digits": ("MLPClassifier", load_digits()), "iris": ("MLPClassifier", load_iris()),
         "breast_cancer": ("MLPClassifier", load_breast_cancer()), "diabetes": ("MLPRegressor", load_diabetes())}


@pytest.mark.parametrize("scaled", [False, True], ids=["as it is", "scaled"])
@pytest.mark.parametrize("setting", ["adam", "momentum", "nesterov", "invscaling", "adaptive"])
@pytest.mark.parametrize("name", WHOLE)
def test_curves_of_whole_data_sets(name, setting, scaled):
    """Defaults but for the solver. Unscaled breast_cancer makes a net that is sure and wrong: the loss is that of rounded 1 - p."""
    kind, loaded = WHOLE[name]
    options = {"adam": {}, "adaptive": {"solver": "sgd", "learning_rate": "adaptive"},
               "invscaling": {"solver": "sgd", "learning_rate": "invscaling"}}.get(setting, SETTINGS[setting])
    y = scale(loaded.target.astype(float)) if scaled and kind == "MLPRegressor" else loaded.target
    a, b = both(kind, scale(loaded.data) if scaled else loaded.data, y, hidden_layer_sizes=(100,), **options)
    assert a.n_iter_ == b.n_iter_
    np.testing.assert_allclose(b.loss_curve_, a.loss_curve_, rtol=0, atol=1e-8)


@pytest.mark.parametrize("name", WHOLE)
def test_lbfgs_by_its_defaults(name):
    kind, loaded = WHOLE[name]
    y = scale(loaded.target.astype(float)) if kind == "MLPRegressor" else loaded.target
    a, b = both(kind, scale(loaded.data), y, solver="lbfgs", hidden_layer_sizes=(100,))
    assert a.n_iter_ == b.n_iter_
    np.testing.assert_allclose(b.loss_, a.loss_, rtol=1e-8)
    for p, q in zip(a.coefs_, b.coefs_):
        np.testing.assert_allclose(q, p, atol=1e-6)


@pytest.mark.parametrize("name", DATA)
def test_lbfgs(name):
    kind, X, y = DATA[name]
    # a penalty that makes the minimum unique, so that a last bit of difference does not grow from step to step
    a, b = both(kind, X, y, solver="lbfgs", alpha=10.0, activation="tanh", max_iter=30)
    assert a.n_iter_ == b.n_iter_
    np.testing.assert_allclose(b.loss_, a.loss_, rtol=1e-9)
    for p, q in zip(a.coefs_, b.coefs_):
        np.testing.assert_allclose(q, p, atol=1e-6)


@pytest.mark.parametrize("early", [False, True])
@pytest.mark.parametrize("name", ["iris", "diabetes"])
def test_sample_weight(name, early):
    kind, X, y = DATA[name]
    weight = np.random.default_rng(0).uniform(0.2, 3.0, len(y))
    same(*both(kind, X, y, dict(sample_weight=weight), early_stopping=early, batch_size=32))


@pytest.mark.parametrize("name", ["digits", "breast_cancer", "multilabel"])
def test_losses_that_saturate_end_where_scikit_learn_ends_them(name):
    X, y = make_multilabel_classification(n_samples=300, n_classes=4, random_state=0) if name == "multilabel" else DATA[name][1:]
    a, b = both("MLPClassifier", 60 * X, y, max_iter=3)
    assert max(a.loss_curve_) > (5 if name != "breast_cancer" else 1)
    same(a, b)


def test_multilabel():
    X, y = make_multilabel_classification(n_samples=80, n_classes=4, random_state=0)
    a, b = both("MLPClassifier", X, y)
    same(a, b)
    np.testing.assert_array_equal(a.predict(X), b.predict(X))
    np.testing.assert_allclose(b.predict_proba(X), a.predict_proba(X), rtol=1e-6)


def test_poisson():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((120, 4))
    y = rng.poisson(np.exp(0.5 * X[:, 0] + 1)).astype(float)
    for fit in ({}, {"sample_weight": rng.uniform(0.5, 2, 120)}):
        a, b = both("MLPRegressor", X, y, fit, loss="poisson", batch_size=50)
        same(a, b)
        np.testing.assert_allclose(b.predict(X), a.predict(X), rtol=1e-8)


def test_several_outputs_follow_the_gradient():
    """The steps are scikit-learn's; its loss is the mean over outputs of a sum's gradient (its issue 8349), ours the sum."""
    _, X, y = DATA["diabetes"]
    a, b = both("MLPRegressor", X, np.column_stack([y, -y, y * y]), alpha=0.0)
    np.testing.assert_allclose(b.coefs_[0], a.coefs_[0], rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(b.loss_curve_[:5], np.multiply(3, a.loss_curve_[:5]), rtol=1e-9)


@pytest.mark.parametrize("options", [dict(solver="adam"), dict(solver="sgd", learning_rate="invscaling")], ids=str)
def test_partial_fit_and_warm_start(options):
    kind, X, y = DATA["iris"]
    pair = [getattr(m, kind)(random_state=0, hidden_layer_sizes=(8,), **options) for m in (theirs, ours)]
    for _ in range(5):
        for e in pair:
            e.partial_fit(X, y, classes=np.unique(y))
    same(*pair)
    for e in pair:
        e.set_params(warm_start=True, max_iter=4).fit(X, y)
        e.fit(X, y)
    same(*pair)


def test_random_state_objects_are_used_up_alike():
    kind, X, y = DATA["iris"]
    states = [np.random.RandomState(7), np.random.RandomState(7)]
    for module, state in zip((theirs, ours), states):
        getattr(module, kind)(random_state=state, max_iter=5).fit(X, y)
    assert states[0].randint(1 << 30) == states[1].randint(1 << 30)


def test_float32_is_followed_and_forced():
    kind, X, y = DATA["digits"]
    a, b = both(kind, X.astype(np.float32), y, max_iter=10)
    assert b.coefs_[0].dtype == np.float32 and b.predict_proba(X.astype(np.float32)).dtype == np.float32
    np.testing.assert_allclose(b.loss_curve_, a.loss_curve_, rtol=1e-4)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        assert ours.MLPClassifier(precision="float32", max_iter=2).fit(X, y).coefs_[0].dtype == np.float32
        assert ours.MLPClassifier(max_iter=2).fit(X, y).coefs_[0].dtype == np.float64
