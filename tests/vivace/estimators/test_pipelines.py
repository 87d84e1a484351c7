"""How the estimators live in scikit-learn's pipelines and tools, with frames, processes and pickles."""
import copy
import pickle

import joblib
import numpy as np
import pytest
import sklearn
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_iris
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.inspection import permutation_importance
from sklearn.model_selection import GridSearchCV, HalvingRandomSearchCV, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler, scale

import vivace as vv
from vivace import threads
from vivace.estimators import LossCurveDisplay, MLPClassifier

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X, Y = scale(load_iris().data), load_iris().target


def classifier(**options):
    return MLPClassifier(**{"hidden_layer_sizes": (12, 12), "max_iter": 20, "random_state": 0, "learning_rate_init": 0.01, **options})


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


@pytest.mark.parametrize("backend", ["threading", "loky"])
def test_halving_search(backend):
    found = []
    for jobs in (1, 2):
        with joblib.parallel_backend(backend, n_jobs=jobs):
            search = HalvingRandomSearchCV(classifier(max_iter=5), {"alpha": np.logspace(-5, 0, 50)}, random_state=0, cv=2).fit(X, Y)
        found.append(search.cv_results_["mean_test_score"])
    np.testing.assert_array_equal(*found)


def test_workers_share_the_cores():
    """A net that alone takes a team, in as many processes as there are cores: one thread in each."""
    rng = np.random.default_rng(0)
    A, y = rng.standard_normal((600, 64)), rng.integers(0, 3, 600)
    model, cores = MLPClassifier((256,), max_iter=2, batch_size=200, random_state=0), threads.cores()
    before = threads.asked()
    try:
        vv.set_num_threads(None)
        assert clone(model).fit(A, y).trainer_.plan.worth(200) > 1
        taken = lambda estimator, X, y: estimator.trainer_.last_run.threads  # noqa: E731  (a function of this module is not known there)
        found = cross_validate(model, A, y, cv=4, scoring=taken, n_jobs=max(cores, 2))
        assert found["test_score"].tolist() == [1] * 4
    finally:
        vv.set_num_threads(before)


def test_other_tools():
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


def test_polars_frames():
    polars = pytest.importorskip("polars")
    frame = polars.DataFrame(X, schema=list("abcd"))
    model = classifier().fit(frame, polars.Series(Y))
    assert list(model.feature_names_in_) == list("abcd")
    np.testing.assert_array_equal(model.predict_proba(frame), classifier().fit(X, Y).predict_proba(X))
    with pytest.raises(ValueError, match="feature names"):
        model.predict(frame.rename({"a": "z"}))
    colour = ["red" if v > 0 else None if v < -1 else "blue" for v in X[:, 0]]
    model = classifier(categorical_features="from_dtype").fit(frame.with_columns(polars.Series("colour", colour)), Y)
    assert list(model.feature_names_in_) == [*"abcd", "colour"] and model.coefs_[0].shape[0] == 7  # two colours, and none
    assert model.score(frame.with_columns(polars.Series("colour", colour)), Y) > 0.8


def test_arrow_tables():
    """Their `columns` are the data, not names."""
    arrow = pytest.importorskip("pyarrow")
    table = arrow.table({**dict(zip("abcd", X.T)), "colour": ["red" if v > 0 else "blue" for v in X[:, 0]]})
    model = classifier(categorical_features="from_dtype").fit(table, Y)
    assert list(model.feature_names_in_) == [*"abcd", "colour"] and model.score(table, Y) > 0.8


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
