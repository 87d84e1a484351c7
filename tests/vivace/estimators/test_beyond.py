"""What the estimators have beyond scikit-learn's."""
import functools
import os
import pickle
import signal
import subprocess
import sys
import warnings

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_diabetes, load_iris
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import log_loss
from sklearn.preprocessing import scale
from sklearn.utils.class_weight import compute_sample_weight

import vivace as vv
from vivace import nn, optim
from vivace.estimators import MLPClassifier, MLPRegressor
from vivace.estimators.solvers import NAMES
from vivace.objective import Objective
from vivace.optim import lr_scheduler

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X, Y = scale(load_iris().data), load_iris().target
XR, YR = load_diabetes().data[:150] * 10, scale(load_diabetes().target[:150].astype(float))


def classifier(**options):
    return MLPClassifier(**{"hidden_layer_sizes": (12, 12), "max_iter": 20, "random_state": 0, "learning_rate_init": 0.01, **options})


def regressor(**options):
    return MLPRegressor(**{"hidden_layer_sizes": (12,), "max_iter": 20, "random_state": 0, "learning_rate_init": 0.01, **options})


# --- the network and its training

@pytest.mark.parametrize("options", [
    dict(activation=["tanh", nn.SiLU]), dict(activation=nn.LeakyReLU(0.2)), dict(activation="gelu"), dict(dropout=0.2),
    dict(dropout=[0.0, 0.5]), dict(residual=True), dict(label_smoothing=0.1), dict(weight_decay=0.01), dict(clip_grad_norm=1.0),
    dict(solver="AdamW"), dict(solver=functools.partial(optim.SGD, momentum=0.9)), dict(solver=optim.Adam),
    dict(learning_rate=functools.partial(lr_scheduler.StepLR, step_size=5)), dict(n_jobs=2), dict(n_jobs=-1)], ids=str)
def test_options_train(options):
    model = classifier(**options)
    assert clone(model).set_params(max_iter=100).fit(X, Y).score(X, Y) > 0.8
    assert clone(model).get_params().keys() == model.get_params().keys()


def test_an_activation_of_each_layer():
    model = classifier(activation=["tanh", "logistic"]).fit(X, Y)
    h = np.tanh(X @ model.coefs_[0] + model.intercepts_[0])
    np.testing.assert_allclose(model.transform_hidden(X, 0), h, rtol=1e-12)
    h = 1 / (1 + np.exp(-(h @ model.coefs_[1] + model.intercepts_[1])))
    np.testing.assert_allclose(model.transform_hidden(X), h, rtol=1e-12)


def test_schedules_reach_the_optimizer():
    model = classifier(learning_rate=functools.partial(lr_scheduler.StepLR, step_size=5, gamma=0.1)).fit(X, Y)
    np.testing.assert_allclose(model.history_["lr"][::5], [1e-2, 1e-3, 1e-4, 1e-5])


@pytest.mark.parametrize("loss", ["absolute_error", "huber", "quantile", "tweedie", "gamma", nn.L1Loss()], ids=str)
def test_losses_of_a_regressor(loss):
    y = np.exp(YR)
    model = regressor(loss=loss, max_iter=60).fit(XR, y)
    assert model.loss_curve_[-1] < model.loss_curve_[0] and (loss not in ("tweedie", "gamma") or (model.predict(XR) > 0).all())


def test_class_weight_is_a_sample_weight():
    a = classifier(class_weight={0: 5.0, 1: 1.0, 2: 0.5}).fit(X, Y)
    b = classifier().fit(X, Y, compute_sample_weight({0: 5.0, 1: 1.0, 2: 0.5}, Y))
    np.testing.assert_array_equal(a.coefs_[0], b.coefs_[0])


@pytest.mark.parametrize("scoring", [None, "loss", "f1_macro"])
def test_given_validation_rows_steer_early_stopping(scoring):
    model = classifier(early_stopping=True, scoring=scoring, max_iter=300, n_iter_no_change=3)
    model.fit(X[::2], Y[::2], X_val=X[1::2], y_val=Y[1::2], sample_weight_val=np.ones(75))
    assert model.n_iter_ < 300 and len(model.validation_scores_) == len(model.validation_loss_curve_) == model.n_iter_
    if scoring == "loss":
        p = model.predict_proba(X[1::2])
        np.testing.assert_allclose(-np.log(p[np.arange(75), Y[1::2]]).mean(), -model.best_validation_score_, rtol=1e-9)


def test_exact_warm_start_goes_on_as_if_never_stopped():
    whole = classifier(max_iter=8, shuffle=False).fit(X, Y)
    parts = classifier(max_iter=4, shuffle=False, warm_start="exact").fit(X, Y).fit(X, Y)
    np.testing.assert_array_equal(whole.coefs_[0], parts.coefs_[0])
    assert parts.loss_curve_ == whole.loss_curve_ and len(parts.history_) == 8


def test_callbacks_max_time_and_bar(capsys):
    seen = []
    model = classifier(callbacks=vv.callbacks.LambdaCallback(on_epoch_end=lambda t, epoch, logs: seen.append(logs["loss"])), verbose="bar")
    model.fit(X, Y)
    assert seen == pytest.approx(model.loss_curve_) and "loss" in capsys.readouterr().err
    assert classifier(max_time=1e-6, max_iter=10**6).fit(X, Y).n_iter_ < 10


def test_weights_can_be_written():
    model = classifier(hidden_layer_sizes=(5,)).fit(X, Y)
    other = classifier(hidden_layer_sizes=(5,), random_state=1).fit(X, Y)
    model.coefs_ = other.coefs_
    model.intercepts_[0], model.intercepts_[1][...] = other.intercepts_[0].copy(), other.intercepts_[1]
    np.testing.assert_array_equal(model.predict_proba(X), other.predict_proba(X))


# --- interruption and errors

def test_ctrl_c_leaves_a_usable_estimator():
    def stop(trainer, epoch, logs):
        if epoch == 3:
            os.kill(os.getpid(), signal.SIGINT)
    model = regressor(max_iter=10**6, callbacks=vv.callbacks.LambdaCallback(on_epoch_end=stop))
    with pytest.warns(UserWarning, match="interrupted by user"):
        model.fit(XR, YR)
    assert np.isfinite(model.predict(XR)).all() and 4 <= model.n_iter_ < 10 and model.loss_ == model.loss_curve_[-1]


def test_ctrl_c_in_lbfgs_keeps_the_best_weights(monkeypatch):
    plain, calls = Objective.value_and_grad, []

    def interrupted(self, flat=None):
        calls.append(flat)
        if len(calls) == 12:
            os.kill(os.getpid(), signal.SIGINT)
        return plain(self, flat)
    monkeypatch.setattr(Objective, "value_and_grad", interrupted)
    model = regressor(solver="lbfgs", max_iter=500)
    with pytest.warns(UserWarning, match="interrupted by user"):
        model.fit(XR, YR)
    assert 0 < model.n_iter_ < 12 and model.loss_ == model.loss_curve_[-1]
    penalty = 0.5 * model.alpha / len(XR) * sum(np.sum(c * c) for c in model.coefs_)
    np.testing.assert_allclose(0.5 * np.mean((model.predict(XR) - YR) ** 2) + penalty, model.loss_, rtol=1e-9)


def test_divergence_names_its_place_and_keeps_finite_weights():
    model = regressor(solver="sgd", learning_rate_init=1e9, activation="identity")
    with pytest.raises(ValueError, match="non-finite parameter weights.*epoch .*learning rate"):
        model.fit(XR * 1e6, YR)
    assert all(np.isfinite(c).all() for c in model.coefs_)


@pytest.mark.parametrize("options, told", [
    (dict(activation="swish"), "activation"), (dict(solver="adagrid"), "solver"), (dict(dropout=[0.1]), "dropout"),
    (dict(activation=["relu"]), "activation"), (dict(n_jobs=0), "n_jobs"), (dict(n_jobs=10**6), "n_jobs must be at most 1024"),
    (dict(dropout=[0.1, "a"]), "dropout must lie in 0..1, .* got 'a'"), (dict(hidden_layer_sizes=("3",)), "hidden_layer_sizes .*'3'"),
    (dict(hidden_layer_sizes=(3.5,)), "hidden_layer_sizes"), (dict(solver=int), "solver must be an optimizer"),
    (dict(class_weight={0: -1.0}), "class_weight must be weights >= 0"), (dict(solver=optim.LevenbergMarquardt), "nn.MSELoss"),
    (dict(solver="lbfgs", weight_decay=0.1), "weight_decay needs a solver that trains in epochs"),
    (dict(solver="lbfgs", clip_grad_norm=1.0), "clip_grad_norm needs"), (dict(solver="lbfgs", learning_rate=len), "learning_rate needs"),
    (dict(solver="lbfgs", callbacks=[vv.callbacks.LambdaCallback()]), "callbacks needs")])
def test_bad_parameters_are_named(options, told):
    with pytest.raises(ValueError, match=told):
        classifier(**options).fit(X, Y)


@pytest.mark.parametrize("given, told", [
    (dict(sample_weight=-np.ones(150)), "^sample_weight must not be negative, got -1"),
    (dict(sample_weight_val=np.ones(3)), "sample_weight_val needs X_val and y_val"),
    (dict(X_val=X[:3], y_val=Y[:3], sample_weight_val=-np.ones(3)), "sample_weight_val must not be negative"),
    (dict(sample_weight=np.eye(150)[0]), "those of all held-out rows are 0"),
    (dict(y=np.array([*"ab" * 74, None, "a"], object)), "Input y contains None, in row 148"),
    (dict(X=np.where(X == X.max(), 1e300, X)), r"X must be finite in float32, got 1e\+300")], ids=lambda v: v if type(v) is str else None)
def test_bad_rows_are_named(given, told):
    model = classifier(early_stopping=True, precision="float32")
    with pytest.raises(ValueError, match=told):
        model.fit(**{"X": X, "y": Y, **given})


def test_a_fit_draws_from_its_own_random_state_alone():
    vv.manual_seed(0)
    expected = nn.Linear(3, 3).weight.numpy().copy()
    vv.manual_seed(0)
    classifier(max_iter=1, normalisation="batch").fit(X, Y)
    np.testing.assert_array_equal(nn.Linear(3, 3).weight.numpy(), expected)


def test_a_single_class_is_always_right():
    """As in scikit-learn, whatever the sign of the only output."""
    model = classifier(early_stopping=True, hidden_layer_sizes=(50, 50), max_iter=3, random_state=3).fit(X * 9, np.ones(len(X)))
    assert model.validation_scores_ == [1.0] * 3


@pytest.mark.parametrize("layer", ["a", 0.0, True, 2])
def test_hidden_layers_go_by_number(layer):
    with pytest.raises(ValueError, match=r"layer must be an int in -2..1, got"):
        classifier(max_iter=1).fit(X, Y).transform_hidden(X, layer)


def test_without_scikit_learn_the_extra_is_named():
    code = ("import sys; sys.modules['sklearn'] = None\nimport vivace\n"
            "try:\n    vivace.MLPClassifier\nexcept ImportError as e:\n    print(e)")
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "vivace[sklearn]" in out


# --- solvers, schedules and networks

@pytest.mark.parametrize("name", sorted({name for name in NAMES if name.islower()} - {"lbfgs"}))
def test_every_named_solver_learns(name):
    rate = {"sgd": 0.1, "adadelta": 1.0, "adagrad": 0.05, "radam": 0.05}.get(name, 0.01)
    model = classifier(solver=name, learning_rate_init=rate, max_iter=60).fit(X, Y)
    assert model.loss_ < 0.6 * model.loss_curve_[0]


@pytest.mark.parametrize("solver", [optim.LBFGS, functools.partial(optim.LevenbergMarquardt, damping=0.1)], ids=["LBFGS", "LM"])
def test_solvers_on_all_rows_at_once(solver):
    model = regressor(solver=solver, loss=nn.MSELoss(), max_iter=15).fit(XR, YR)
    assert model.loss_ < 0.6 * model.loss_curve_[0] and model.n_iter_ == len(model.loss_curve_)


def test_what_a_partial_fixes_stays():
    model = classifier(solver=functools.partial(optim.SGD, lr=0.5, weight_decay=0.25), weight_decay=0.1, max_iter=1).fit(X, Y)
    group = model.trainer_.optimizer.param_groups[0]
    assert (group["lr"], group["weight_decay"]) == (0.5, 0.25)


@pytest.mark.parametrize("kind, options, rates", [
    ("ExponentialLR", dict(gamma=0.5), [1e-2, 5e-3, 2.5e-3]), ("MultiStepLR", dict(milestones=[1, 2]), [1e-2, 1e-3, 1e-4]),
    ("PolynomialLR", dict(total_iters=4), [1e-2, 7.5e-3, 5e-3]), ("CosineAnnealingLR", dict(T_max=2), [1e-2, 5e-3, 0]),
    ("ReduceLROnPlateau", dict(patience=0, threshold=100.0, threshold_mode="abs"), [1e-2, 1e-2, 1e-3]),
    ("LambdaLR", dict(lr_lambda=lambda epoch: 1 / (1 + epoch)), [1e-2, 5e-3, 1e-2 / 3])])
def test_schedules(kind, options, rates):
    model = classifier(learning_rate=functools.partial(getattr(lr_scheduler, kind), **options), max_iter=3).fit(X, Y)
    np.testing.assert_allclose(model.history_["lr"], rates, atol=1e-12)


def test_normalisation_stands_before_the_activation():
    model = classifier(normalisation="layer", activation="tanh", max_iter=60).fit(X, Y)
    z = X @ model.coefs_[0] + model.intercepts_[0]
    norm = next(m for m in model.trainer_.model if isinstance(m, nn.LayerNorm))
    z = (z - z.mean(axis=1, keepdims=True)) / np.sqrt(z.var(axis=1, keepdims=True) + norm.eps) * norm.weight.numpy() + norm.bias.numpy()
    np.testing.assert_allclose(model.transform_hidden(X, 0), np.tanh(z), rtol=1e-9)
    model = classifier(normalisation="batch", max_iter=60).fit(X, Y)
    assert model.score(X, Y) > 0.9
    np.testing.assert_array_equal(model.predict_proba(X)[:1], model.predict_proba(X[:1]))  # by running statistics, not the batch's
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(model)).predict_proba(X), model.predict_proba(X))


# --- validation

def test_the_validation_curve_is_the_loss_of_the_given_rows():
    weight = np.linspace(0.1, 2, 75)
    model = classifier(max_iter=5).fit(X[::2], Y[::2], X_val=X[1::2], y_val=Y[1::2], sample_weight_val=weight)
    assert len(model.validation_loss_curve_) == 5 and model.validation_scores_ is None
    found = log_loss(Y[1::2], model.predict_proba(X[1::2]), sample_weight=weight)
    assert model.validation_loss_curve_[-1] == pytest.approx(found, rel=1e-12)


@pytest.mark.parametrize("kind", ["classifier", "regressor"])
def test_the_best_weights_are_kept_and_scored_by_weight(kind):
    make, A, y = (classifier, X, Y) if kind == "classifier" else (regressor, XR, YR)
    weight = np.linspace(0.1, 2, len(y[1::2]))
    model = make(early_stopping=True, learning_rate_init=0.1, max_iter=60, n_iter_no_change=60)
    model.fit(A[::2], y[::2], X_val=A[1::2], y_val=y[1::2], sample_weight_val=weight)
    assert model.best_validation_score_ == max(model.validation_scores_) > model.validation_scores_[-1]
    assert model.score(A[1::2], y[1::2], weight) == pytest.approx(model.best_validation_score_, rel=1e-12)


def test_validation_rows_must_be_whole_and_of_known_classes():
    with pytest.raises(ValueError, match="X_val and y_val must be given together"):
        classifier().fit(X, Y, X_val=X)
    with pytest.raises(ValueError, match="y_val must hold classes of fit"):
        classifier().fit(X, Y, X_val=X, y_val=Y + 5)


# --- what changes between fits

@pytest.mark.parametrize("change", [dict(solver="sgd"), dict(solver="lbfgs"), dict(learning_rate_init=0.5, alpha=0.1),
                                    dict(activation="tanh")])
def test_a_pickle_holds_the_fit_whatever_was_set_since(change):
    X, y = load_iris(return_X_y=True)
    fitted = MLPClassifier(max_iter=3, random_state=0).fit(X, y).set_params(**change)
    again = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(again.predict_proba(X), fitted.predict_proba(X))
    assert {name: again.get_params()[name] for name in change} == change


@pytest.mark.parametrize("change", [dict(loss="poisson"), dict(activation="tanh"), dict(hidden_layer_sizes=(7,)), dict(dropout=0.5)])
def test_warm_start_refuses_another_network(change):
    X, y = load_diabetes(return_X_y=True)
    fitted = MLPRegressor(hidden_layer_sizes=(6,), max_iter=2, warm_start=True, random_state=0).fit(X, y)
    fitted.set_params(hidden_layer_sizes=[6]).fit(X, y)  # the same, written in another way
    with pytest.raises(ValueError, match=f"{next(iter(change))} made the network"):
        fitted.set_params(**change).fit(X, y)


def test_validation_that_says_nothing_is_refused():
    X, y = load_diabetes(return_X_y=True)
    with pytest.raises(ValueError, match="the validation score is not a number: .* these 1 held-out rows"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        MLPRegressor(early_stopping=True, max_iter=5).fit(X, y, X_val=X[:1], y_val=y[:1])
    labels = np.stack([y > 100, y > 150, y > 200], axis=1).astype(int)
    with pytest.raises(ValueError, match=r"y_val must have shape \(N, 3\) of 0 and 1, like y of fit, got"):
        MLPClassifier(max_iter=2).fit(X, labels, X_val=X, y_val=labels[:, 0])


def test_max_time_before_the_first_epoch_ends():
    X, y = load_diabetes(return_X_y=True)
    with pytest.warns(ConvergenceWarning, match="max_time .* was over before the first epoch ended"):
        fitted = MLPRegressor(max_time=1e-9, random_state=0).fit(X, y)
    assert np.isnan(fitted.loss_) and fitted.n_iter_ == 0 and np.isfinite(fitted.predict(X)).all()


def test_max_time_ends_lbfgs():
    """After an iteration, without a word, like the other solvers; the weights are those of the last one."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = regressor(solver="lbfgs", max_iter=10**6, max_fun=10**6, tol=0, max_time=1e-9).fit(XR, YR)
    assert model.n_iter_ == len(model.loss_curve_) == 1 and model.loss_ == model.loss_curve_[0]
    penalty = 0.5 * model.alpha / len(XR) * sum(np.sum(c * c) for c in model.coefs_)
    np.testing.assert_allclose(0.5 * np.mean((model.predict(XR) - YR) ** 2) + penalty, model.loss_, rtol=1e-9)
