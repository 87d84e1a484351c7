"""Columns of frames: what pandas, polars, pyarrow and NumPy hold becomes numbers, booleans, dates and categories."""
import datetime as dt
import decimal

import numpy as np
import pytest

from vivace.frame import Column, as_kind, column, columns

DAY = dt.date(2020, 2, 29)
SUMMER = dt.datetime(2021, 7, 1, 12, 30, tzinfo=dt.timezone(dt.timedelta(hours=2)))
WANTED = {
    "whole": ("number", [1.0, np.nan, 3.0]), "half": ("number", [0.5, np.nan, -2.5]), "exact": ("number", [1.25, np.nan, 2.0]),
    "yes": ("boolean", [1.0, np.nan, 0.0]), "full": ("boolean", [1.0, 0.0, 0.0]), "name": ("category", ["b", None, "a"]),
    "class": ("category", ["x", None, "y"]), "code": ("category", ["7", None, "8"]),
    "day": ("date", ["2020-02-29", "NaT", "2020-03-01"]), "when": ("date", ["2021-07-01T10:30", "NaT", "2021-07-01T10:30"]),
    "long": ("number", [60.0, np.nan, 0.25]),
}
"""Three rows of every kind of column, the second missing; `when` in UTC."""


def plain():
    return {"whole": [1, None, 3], "half": [0.5, None, -2.5], "exact": [decimal.Decimal("1.25"), None, decimal.Decimal(2)],
            "yes": [True, None, False], "full": [True, False, False], "name": ["b", None, "a"], "class": ["x", None, "y"],
            "day": [DAY, None, DAY + dt.timedelta(1)], "when": [SUMMER, None, SUMMER],
            "long": [dt.timedelta(minutes=1), None, dt.timedelta(milliseconds=250)]}


def pandas_objects():
    pandas = pytest.importorskip("pandas")
    return pandas.DataFrame({name: pandas.Series(values, dtype=object) for name, values in plain().items()})


def pandas_types():
    pandas = pytest.importorskip("pandas")
    p = plain()
    kinds = {"whole": "Int64", "half": "float32", "exact": object, "yes": "boolean", "full": bool, "name": "string", "class": "category",
             "day": "datetime64[s]", "when": "datetime64[us, UTC]", "long": "timedelta64[ms]"}
    p["when"] = [SUMMER.astimezone(dt.UTC), None, SUMMER.astimezone(dt.UTC)]
    frame = pandas.DataFrame({name: pandas.Series(p[name], dtype=kind) for name, kind in kinds.items()})
    return frame.assign(code=pandas.Categorical([7, None, 8]))


def pandas_arrow():
    pandas = pytest.importorskip("pandas")
    return arrow().to_pandas(types_mapper=pandas.ArrowDtype)


def arrow():
    pyarrow = pytest.importorskip("pyarrow")
    table = pyarrow.table(plain() | {"code": pyarrow.array([7, None, 8]).dictionary_encode()})
    return table.set_column(table.column_names.index("class"), "class", table["class"].dictionary_encode())


def polars_frame():
    polars = pytest.importorskip("polars")
    return polars.DataFrame(plain()).with_columns(polars.col("class").cast(polars.Categorical))


@pytest.mark.parametrize("make", [plain, pandas_objects, pandas_types, pandas_arrow, arrow, polars_frame], ids=lambda f: f.__name__)
def test_every_frame_gives_the_same_columns(make):
    found = columns(make())
    assert set(WANTED) - {"code"} <= set(found) <= set(WANTED)
    for name, held in found.items():
        kind, values = WANTED[name]
        assert held.kind == kind, name
        if kind == "category":
            assert held.values.tolist() == values, name
        else:
            np.testing.assert_array_equal(held.values, np.array(values, "datetime64[us]" if kind == "date" else float), name)
        assert held.missing.tolist() == ([False, True, False] if name != "full" else [False] * 3), name


def test_arrays():
    found = columns(np.array([[1, 2], [3, 4]], np.int8))
    assert list(found) == ["x0", "x1"] and found["x1"].values.tolist() == [2.0, 4.0]
    assert columns(np.array([[1, "a"], [None, "b"]], object))["x0"].kind == "number"
    assert column(np.array(["a", "b"])).kind == "category" and column(np.array([True])).kind == "boolean"
    mixed = column([1, "a", 2.0, 2.5, True, dt.time(9, 5)])
    assert mixed.values.tolist() == ["1", "a", "2", "2.5", "True", "09:05:00"]
    assert list(columns({"a": [1], 2: [3]}, ["2"])) == ["2"]


@pytest.mark.parametrize("package", ["numpy", "pandas", "pyarrow", "polars"])
def test_integers_as_names_keep_all_their_digits(package):
    module, big = pytest.importorskip(package), 2**53
    make = {"numpy": lambda values: values if None in values else np.array(values),
            "pandas": lambda values: module.Series(values, dtype="Int64"),
            "pyarrow": lambda values: module.array(values), "polars": lambda values: module.Series(values)}[package]
    for values in ([big, big + 1], [big + 1, None, 7]):
        held = column(make(values))
        assert held.kind == "number" and held.given() == values
        assert as_kind(held, "category", "c").values.tolist() == [None if value is None else str(value) for value in values]
    assert column(np.array([2**63, 2**63 + 1], np.uint64)).given() == [2**63, 2**63 + 1]


@pytest.mark.parametrize("frame, error, message", [
    (3.0, TypeError, "a table must be a frame, a dict of columns or a 2-D array, got float"),
    (np.zeros(3), TypeError, r"got ndarray of shape \(3,\)"),
    ({"a": [1, 2], "b": [1]}, ValueError, "columns must have one length"),
    ({"a": [1], "b": [{}]}, TypeError, "column 'b' must hold numbers, texts, booleans or dates, got dict"),
    ({"a": np.zeros(2, complex)}, TypeError, "column 'a' must hold numbers, texts, booleans or dates, got complex128"),
    ({"a": np.zeros((2, 2))}, ValueError, "column 'a' must have one value per row"),
    ({"1": [1], 1: [1]}, ValueError, "column names must differ, got '1' twice"),
])
def test_what_is_no_table(frame, error, message):
    with pytest.raises(error, match=message):
        columns(frame)


def test_a_column_that_lacks_is_named():
    with pytest.raises(ValueError, match="the columns 'c', 'd' are missing: the table has 'a', 'b'"):
        columns({"a": [1], "b": [2]}, ["a", "c", "d"])


@pytest.mark.parametrize("values, kind, wanted", [
    (["1", " 2.5e3", None, "-NaN"], "number", [1, 2500, np.nan, np.nan]), (["TRUE", "false", None], "boolean", [1, 0, np.nan]),
    ([0, 1, None], "boolean", [0, 1, np.nan]), ([True, False], "number", [1, 0]), ([1.0, 2.5, None], "category", ["1", "2.5", None]),
    ([True, None], "category", ["True", None]), ([None, None], "number", [np.nan, np.nan]), ([None], "category", [None]),
    (["2020-02-29", "2020-02-29 12:30", None], "date", ["2020-02-29", "2020-02-29T12:30", "NaT"]),
])
def test_as_kind(values, kind, wanted):
    found = as_kind(column(values), kind, "c")
    assert isinstance(found, Column) and found.kind == kind
    if kind == "category":
        assert found.values.tolist() == wanted
    else:
        np.testing.assert_array_equal(found.values, np.array(wanted, "datetime64[us]" if kind == "date" else float))


@pytest.mark.parametrize("values, kind, message", [
    (["1", "x"], "number", "column 'c' must hold numbers, got 'x' in row 2"),
    (["1_000"], "number", "got '1_000' in row 1"),
    ([0, 2.5], "boolean", "column 'c' must hold booleans, got 2.5 in row 2"),
    (["yes"], "boolean", "got 'yes' in row 1"),
    (["2021-02-29"], "date", "column 'c' must hold dates, got '2021-02-29' in row 1"),
    (["0001-01-01T00:00+05:00"], "date", r"got '0001-01-01T00:00\+05:00' in row 1"),
    (["5"], "date", "got '5' in row 1"),
    ([5], "date", "column 'c' must hold dates, got numbers"),
    ([DAY], "number", "column 'c' must hold numbers, got dates"),
])
def test_as_kind_names_the_first_wrong_value(values, kind, message):
    with pytest.raises(ValueError, match=message):
        as_kind(column(values), kind, "c")
