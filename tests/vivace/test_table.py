"""TableEncoder against scikit-learn's scalers, imputers and one-hot encoders, and what it refuses."""
import json
import subprocess
import sys

import numpy as np
import pytest
from sklearn.impute import MissingIndicator
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from vivace.files import FileError
from vivace.frame import column
from vivace.table import TableEncoder, describe_target

N = 240


def table(seed=0):
    r = np.random.default_rng(seed)
    age = np.where(r.random(N) < 0.1, np.nan, r.normal(40, 9, N))
    city = np.array(r.choice(["Rome", "Paris", "Oslo", "Bern"], N, p=[0.5, 0.3, 0.15, 0.05]), object)
    city[r.random(N) < 0.1] = None
    return {"age": age, "size": r.exponential(1e6, N), "city": city, "member": r.random(N) < 0.3,
            "since": np.datetime64("2019-05-01") + r.integers(0, 900, N), "y": r.choice(["no", "yes"], N)}


def test_equals_scikit_learn():
    train, new = table(0), table(1)
    encoder = TableEncoder.fit({name: values for name, values in train.items() if name != "since"}, "y")
    assert encoder.feature_names_out == ["age", "missingindicator_age", "size", "city_Bern", "city_Oslo", "city_Paris", "city_Rome",
                                         "missingindicator_city", "member"]
    numbers = lambda t: np.column_stack([t["age"], t["size"], t["member"]]).astype(float)
    texts = lambda t: np.array([["(none)" if v is None else v] for v in t["city"]], object)
    scaler, indicator = StandardScaler().fit(numbers(train)), MissingIndicator().fit(train["age"][:, None])
    hot = OneHotEncoder(sparse_output=False).fit(texts(train))
    for t in (train, new):
        scaled, cities = np.nan_to_num(scaler.transform(numbers(t))), hot.transform(texts(t))
        wanted = np.column_stack([scaled[:, 0], indicator.transform(t["age"][:, None]), scaled[:, 1], cities[:, 1:], cities[:, 0],
                                  scaled[:, 2]])
        np.testing.assert_allclose(encoder.transform(t, np.float64), wanted, rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(encoder.transform(t), wanted, rtol=1e-6, atol=1e-6)


def test_rare_and_unseen_categories_equal_scikit_learn():
    values = np.array([c for c, count in zip("abcdefg", (9, 8, 7, 6, 5, 1, 1)) for _ in range(count)], object)
    for unseen, most in (("z", 4), ("z", 5), ("z", 64)):
        encoder = TableEncoder.fit({"c": values}, max_categories=most)
        hot = OneHotEncoder(sparse_output=False, handle_unknown="infrequent_if_exist", max_categories=most + 1 if most < 7 else None)
        wanted = hot.fit(values[:, None]).transform(np.array([*values, unseen], object)[:, None])
        np.testing.assert_array_equal(encoder.transform({"c": np.array([*values, unseen], object)}), wanted)
        assert (encoder.feature_names_out[-1] == "c_infrequent") == (most < 7)
    seen_once = TableEncoder.fit({"c": values}, max_categories=6)
    assert seen_once.feature_names_out == ["c_a", "c_b", "c_c", "c_d", "c_e", "c_infrequent"]


def test_dates_are_a_trend_and_their_cycles():
    since = np.array(["2020-01-01", "2020-07-01T12:00", "NaT", "2021-01-02"], "datetime64[m]")
    encoder = TableEncoder.fit({"since": since}, standardize=False)
    X = dict(zip(encoder.feature_names_out, encoder.transform({"since": since}, np.float64).T))
    days = np.array([18262, 18444.5, np.nan, 18629])
    assert list(X) == ["since", *(f"since_{p}_{f}" for p in ("year", "week", "day") for f in ("sin", "cos")), "missingindicator_since"]
    days[2] = np.nanmean(days)
    np.testing.assert_allclose(X["since"], days, rtol=1e-15)
    np.testing.assert_allclose(X["since_week_sin"][[0, 1, 3]], np.sin(2 * np.pi * days / 7)[[0, 1, 3]], atol=1e-9)
    np.testing.assert_allclose(X["since_year_cos"][[0, 1, 3]], np.cos(2 * np.pi * days / 365.2425)[[0, 1, 3]], atol=1e-9)
    np.testing.assert_allclose(X["since_day_cos"][[0, 1, 3]], [1, -1, 1], atol=1e-9)
    np.testing.assert_array_equal(X["missingindicator_since"], [0, 0, 1, 0])
    no_times = TableEncoder.fit({"since": since.astype("datetime64[D]")})
    assert "since_day_sin" not in no_times.feature_names_out


def test_transform_does_not_depend_on_other_rows_or_columns():
    t = table()
    encoder = TableEncoder.fit(t, "y")
    X = encoder.transform(t)
    part = {name: t[name][7:9] for name in reversed(t) if name != "y"} | {"more": ["?", "!"]}
    assert encoder.transform(part).tobytes() == X[7:9].tobytes()
    assert encoder.transform({name: values[:0] for name, values in t.items()}).shape == (0, X.shape[1])
    assert np.isfinite(X).all() and X.dtype == np.float32 and X.flags.c_contiguous


def test_json_says_it_all():
    t = table()
    encoder = TableEncoder.fit(t | {"same": np.ones(N), "key": np.array([f"k{i}" for i in range(N)])}, "y", categories=["member"])
    again = TableEncoder.from_json(encoder.to_json())
    for name in ("feature_names_in", "feature_names_out", "left_out", "target", "task", "labels", "kinds"):
        assert getattr(again, name) == getattr(encoder, name), name
    assert again.transform(table(3)).tobytes() == encoder.transform(table(3)).tobytes() and again.to_json() == encoder.to_json()
    assert encoder.left_out == {"same": "constant", "key": f"{N} different texts in {N} rows"}
    assert encoder.kinds["member"] == "category" and "member_True" in encoder.feature_names_out


@pytest.mark.parametrize("change", [
    lambda d: d.pop("columns"), lambda d: d["columns"].clear(), lambda d: d.update(format=2), lambda d: d["columns"][0].update(kind="x"),
    lambda d: d["columns"][0]["mean"].append(1.0), lambda d: d["columns"][0]["names"].pop(), lambda d: d["columns"][0].update(scale=[-1.0]),
    lambda d: d["columns"][0].update(scale=["1"]), lambda d: d["columns"][2]["values"].append("q"), lambda d: d["target"].update(labels=[]),
    lambda d: d["target"].update(kind="number"), lambda d: d["target"].update(labels=["no", "no"]),
    lambda d: d["target"].update(kind="number", labels=[1, "1.0"]), lambda d: d["target"].update(kind="number", labels=[1, "inf"]),
    lambda d: d["columns"][0]["names"].__setitem__(0, "b"), lambda d: d["columns"][4]["names"].__setitem__(0, "b"),
    lambda d: d["target"].update(task="sorting"), lambda d: d["columns"][2].update(other=True), lambda d: d.update(more=1),
])
def test_json_that_does_not_fit_together(change):
    d = json.loads(TableEncoder.fit(table(), "y").to_json())
    change(d)
    with pytest.raises(FileError):
        TableEncoder.from_json(json.dumps(d))


def test_json_that_is_none():
    for described in ("", "[]", "null", "{", "[" * 100_000, '{"format": 1}', None):
        with pytest.raises(FileError):
            TableEncoder.from_json(described)


@pytest.mark.parametrize("values, task, labels", [
    (["b", "a", "b"], "classification", ["a", "b"]), ([True, False, True], "classification", [False, True]),
    ([0, 1, 1], "classification", [0, 1]), ([1.0, 2.0] * 9, "classification", [1, 2]), ([0.5, 1.0, 1.0], "regression", []),
    ([1, 2, 3] * 5, "classification", [1, 2, 3]), ([1, 2, 3] * 4, "regression", []),
    (list(range(20)) * 5, "classification", list(range(20))), (list(range(21)) * 9, "regression", []),
])
def test_the_task_is_told_by_the_target(values, task, labels):
    encoder = TableEncoder.fit({"x": np.arange(len(values))}, values)
    assert (encoder.target, encoder.task, encoder.labels) == ("target", task, labels)
    assert [type(label) for label in encoder.labels] == [type(label) for label in labels]
    codes = encoder.transform_target(values)
    if task == "classification":
        assert codes.dtype == np.int64 and [labels[code] for code in codes] == values
    else:
        assert codes.dtype == np.float64 and codes.tolist() == values


def test_classes_are_compared_exactly():
    y = [2**60 + 1, 2**60, 10**25, 10**25 + 1]
    encoder = TableEncoder.fit({"x": [1, 2, 3, 4]}, y, task="classification")
    assert encoder.labels == sorted(y) and encoder.transform_target(y[::-1]).tolist() == [3, 2, 0, 1]
    encoder = TableEncoder.fit({"x": [1, 2, 3, 4], "y": [1, 2, 1, 2], "z": [1.5, 1.5, 2.5, 2.5]}, "z", categories=["z", "y"])
    assert encoder.labels == [1.5, 2.5] and encoder.kinds == {"x": "number", "y": "category", "z": "number"}
    assert TableEncoder.from_json(encoder.to_json()).transform_target(["1.50", "25e-1"]).tolist() == [0, 1]
    with pytest.raises(ValueError, match="the target 'z' is among the categories"):
        TableEncoder.fit({"x": [1, 2], "z": [1, 2]}, "z", task="regression", categories=["z"])
    with pytest.raises(ValueError, match="column 'y' must hold finite numbers below 1e\\+300, got inf in row 2"):
        TableEncoder.fit({"x": [1, 2], "y": [1, 10**400]}, "y")


def test_the_task_can_be_given():
    y = [1, 2, 3] * 5
    assert TableEncoder.fit({"x": y}, y, task="regression").labels == []
    halves = TableEncoder.fit({"x": [1, 2, 3, 4]}, [0.5, 1.5, 0.5, 1.5], task="classification")
    assert halves.labels == [0.5, 1.5] and halves.transform_target([1.5]).tolist() == [1]
    assert describe_target("y", column(y), "classification")["labels"] == [1, 2, 3]


@pytest.mark.parametrize("change, target, message", [
    ({"age": [np.nan] * N}, "y", "column 'age' has no values"),
    ({"city": [None] * N}, "y", "column 'city' has no values"),
    ({"age": [np.inf] + [1.0] * (N - 1)}, "y", "column 'age' must hold finite numbers below 1e\\+300, got inf in row 1"),
    ({}, "price", "the column 'price' is missing: the table has 'age', 'size', 'city'"),
    ({"y": ["no"] * N}, "y", "the target 'y' has only one class, 'no'"),
    ({"y": [2.5] * N}, "y", "the target 'y' is constant, 2.5"),
    ({"y": [None] + ["a"] * (N - 1)}, "y", "the target 'y' has no value in 1 of 240 rows, first in row 1"),
    ({"y": [1.5, np.nan] * (N // 2)}, "y", "the target 'y' has no value in 120 of 240 rows, first in row 2"),
    ({"y": [1.5, -np.inf] * (N // 2)}, "y", "column 'y' must hold finite numbers"),
    ({}, "since", "the target 'since' must hold numbers, got dates"),
    ({}, ["a", "b"], "target must have N = 240 values, one for each row, got 2"),
])
def test_bad_tables_are_refused(change, target, message):
    with pytest.raises(ValueError, match=message):
        TableEncoder.fit(table() | change, target)


def test_other_refusals():
    t = table()
    for arguments, message in [({"task": "regression"}, "the target 'y' must hold numbers for regression, got '(yes|no)' in row 1"),
                               ({"task": "sorting"}, "task must be"), ({"categories": ["q"]}, "the column 'q' is missing")]:
        with pytest.raises(ValueError, match=message):
            TableEncoder.fit(t, "y", **arguments)
    with pytest.raises(ValueError, match="no rows"):
        TableEncoder.fit({name: values[:0] for name, values in t.items()})
    with pytest.raises(ValueError, match="no columns"):
        TableEncoder.fit({"y": t["y"]}, "y")
    with pytest.raises(ValueError, match=r"no column says anything about the rows: a \(constant\)"):
        TableEncoder.fit({"a": [1, 1]})
    with pytest.raises(ValueError, match="that is regression"):
        TableEncoder.fit({"a": range(30)}, np.arange(30) + 0.5, task="classification")
    encoder = TableEncoder.fit(t, "y")
    with pytest.raises(ValueError, match="the columns 'age', 'city' are missing: the table has 'size', 'member', 'since', 'y'"):
        encoder.transform({name: values for name, values in t.items() if name not in ("age", "city")})
    with pytest.raises(ValueError, match="unknown class 'maybe' in row 2: known are 'no', 'yes'"):
        encoder.transform_target(["no", "maybe"])
    with pytest.raises(ValueError, match="without a target"):
        TableEncoder.fit({"a": [1, 2]}).transform_target([1])


def test_values_of_any_size_stay_finite():
    encoder = TableEncoder.fit({"a": [1e299, -1e299, 5.0], "b": [1e-320, 2e-320, 0.0], "c": [1, 2, 3]})
    X = encoder.transform({"a": [9.9e299, 0, 0], "b": [1e299, 0, 0], "c": [1e200, 2, 3]})
    assert np.isfinite(X).all() and X[0, 1] == np.finfo(np.float32).max


def test_only_numpy_is_loaded():
    code = ("import sys, vivace.table as t; e = t.TableEncoder.fit({'a': [1, None, 3], 'b': ['x', 'y', 'x']}); e.from_json(e.to_json())"
            "; print(sorted({'pandas', 'polars', 'pyarrow', 'sklearn'} & set(sys.modules)))")
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
