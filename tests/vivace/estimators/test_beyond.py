"""What the estimators have beyond scikit-learn's, and how they live in its pipelines."""
import copy
import functools
import os
import pickle
import signal
import subprocess
import sys

import joblib
import numpy as np
import pytest
import sklearn
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_diabetes, load_iris
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.inspection import permutation_importance
from sklearn.model_selection import GridSearchCV, HalvingRandomSearchCV, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler, scale
from sklearn.utils.class_weight import compute_sample_weight

import vivace as vv
from vivace import nn, optim
from vivace.estimators import LossCurveDisplay, MLPClassifier, MLPRegressor
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
    (dict(activation=["relu"]), "activation"), (dict(n_jobs=0), "n_jobs")])
def test_bad_parameters_are_named(options, told):
    with pytest.raises(ValueError, match=told):
        classifier(**options).fit(X, Y)


def test_without_scikit_learn_the_extra_is_named():
    code = ("import sys; sys.modules['sklearn'] = None\nimport vivace\n"
            "try:\n    vivace.MLPClassifier\nexcept ImportError as e:\n    print(e)")
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "vivace[sklearn]" in out


# --- pipelines

def test_copies_train_on_as_the_original(tmp_path):
    model = classifier(solver="sgd", learning_rate="invscaling").fit(X, Y)
    joblib.dump(model, tmp_path / "model")
    for other in (pickle.loads(pickle.dumps(model)), copy.deepcopy(model), joblib.load(tmp_path / "model")):
        np.testing.assert_array_equal(other.predict_proba(X), model.predict_proba(X))
        assert other.history_["loss"] == model.history_["loss"]
        np.testing.assert_array_equal(other.partial_fit(X, Y).coefs_[0], copy.deepcopy(model).partial_fit(X, Y).coefs_[0])


@pytest.mark.parametrize("backend", ["threading", "loky"])
def test_searches(backend):
    grid = {"alpha": [1e-4, 1e-2], "hidden_layer_sizes": [(4,), (8,)]}
    serial = GridSearchCV(classifier(), grid, cv=2).fit(X, Y)
    with joblib.parallel_backend(backend, n_jobs=2):
        parallel = GridSearchCV(classifier(), grid, cv=2).fit(X, Y)
    np.testing.assert_array_equal(serial.cv_results_["mean_test_score"], parallel.cv_results_["mean_test_score"])


def test_other_tools():
    HalvingRandomSearchCV(classifier(max_iter=5), {"alpha": np.logspace(-5, 0, 50)}, random_state=0, cv=2).fit(X, Y)
    assert CalibratedClassifierCV(classifier(), cv=2).fit(X, Y).score(X, Y) > 0.8
    assert permutation_importance(classifier().fit(X, Y), X, Y, n_repeats=2, random_state=0).importances_mean.max() > 0.1
    assert "MLPClassifier" in classifier().fit(X, Y)._repr_html_()


def test_frames_and_names():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(X, columns=list("abcd"))
    columns = ColumnTransformer([("scale", StandardScaler(), ["a", "b"])], remainder="passthrough").set_output(transform="pandas")
    pipe = make_pipeline(columns, classifier(early_stopping=True, scoring="accuracy")).fit(frame, Y)
    assert pipe.score(frame, Y) > 0.8 and list(pipe[-1].feature_names_in_)[0] == "scale__a"
    with pytest.raises(ValueError, match="feature names"):
        pipe[-1].predict(frame)
    np.testing.assert_array_equal(classifier().fit(X, Y).predict(X), classifier().fit(frame, Y).predict(frame))


def test_metadata_routing():
    weight = np.linspace(0.1, 2, len(Y))
    with sklearn.config_context(enable_metadata_routing=True):
        model = classifier().set_fit_request(sample_weight=True).set_score_request(sample_weight=False)
        found = cross_validate(model, X, Y, params={"sample_weight": weight}, cv=2, return_estimator=True)
        pipe = make_pipeline(StandardScaler(), classifier(early_stopping=True).set_fit_request(X_val=True, y_val=True))
        pipe.set_params(transform_input=["X_val"]).fit(X * 7, Y, X_val=X * 7, y_val=Y)
    assert len(found["test_score"]) == 2 and len(pipe[-1].validation_loss_curve_) == pipe[-1].n_iter_


def test_sparse_equals_dense():
    sparse = pytest.importorskip("scipy.sparse")
    A = np.where(X > 0.5, X, 0.0)
    a, b = classifier().fit(A, Y), classifier().fit(sparse.csc_array(A), Y)
    np.testing.assert_array_equal(a.coefs_[0], b.coefs_[0])
    np.testing.assert_array_equal(a.predict(A), b.predict(sparse.csr_array(A)))


def test_the_fast_door_finds_what_the_slow_one_finds():
    model = classifier().fit(X, Y)
    row = X[:1].copy()
    assert model.predict(row) == model.predict(row.tolist())
    row[0, 1] = np.nan
    with pytest.raises(ValueError, match="Input X contains NaN"):
        model.predict(row)
    with pytest.raises(ValueError, match="X has 3 features"):
        model.predict(X[:, :3])


def test_loss_curve_display():
    pytest.importorskip("matplotlib")
    model = classifier(early_stopping=True).fit(X, Y)
    display = LossCurveDisplay.from_estimator(model)
    training, validation = display.ax_.lines
    np.testing.assert_array_equal(training.get_ydata(), model.loss_curve_)
    np.testing.assert_array_equal(validation.get_ydata(), model.validation_loss_curve_)
    np.testing.assert_array_equal(display.score_ax_.lines[0].get_ydata(), model.validation_scores_)
    with pytest.raises(ValueError, match="fitted"):
        LossCurveDisplay.from_estimator(classifier())


def test_tables_of_categories():
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("vivace.table")
    rng = np.random.default_rng(0)
    frame = pandas.DataFrame({"size": rng.standard_normal(200), "colour": pandas.Categorical(rng.choice(["red", "blue", "green"], 200))})
    y = np.where(frame["colour"] == "red", "warm", np.where(frame["size"] > 0, "large", "small"))
    frame.loc[::17, "size"] = np.nan
    classifier(categorical_features="from_dtype", early_stopping=True, scoring="accuracy").fit(frame, y)
    model = classifier(categorical_features="from_dtype", max_iter=200).fit(frame, y)
    assert model.score(frame, y) > 0.9 and list(model.feature_names_in_) == ["size", "colour"] and model.n_features_in_ == 2
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(model)).predict_proba(frame[["colour", "size"]]), model.predict_proba(frame))
    with pytest.raises(ValueError, match="frame"):
        model.predict(np.zeros((3, 2)))
