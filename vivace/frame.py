"""Columns of a table as NumPy arrays of four kinds, whatever kind of frame holds them."""
import datetime as dt
import decimal
import re
from typing import NamedTuple

import numpy as np

DATE = re.compile(r"\d{4}-\d\d-\d\d($|[T ])")
"""How a text begins that is read as a date: 2024-05-31, 2024-05-31 12:30, 2024-05-31T12:30:00.25+02:00."""
TRUTHS = {"true": 1.0, "false": 0.0}


class Column(NamedTuple):
    """Values of a column, by kind:

    number: float64, NaN where missing. boolean: float64 0 or 1, NaN where missing. date: datetime64[us] in UTC, NaT where missing.
    category: object array of str, None where missing.
    exact: of values that may be names of classes or categories, what they were before: an array of integers, of Python numbers, or of
    texts as a file has them; None where `values` say it all.
    """

    kind: str
    values: np.ndarray
    exact: np.ndarray = None

    @property
    def missing(self):
        """(N,) bool."""
        if self.kind == "category":
            return np.equal(self.values, None).astype(bool)
        return np.isnat(self.values) if self.kind == "date" else np.isnan(self.values)

    def take(self, rows):
        """The Column of the rows given by an index or a mask."""
        return Column(self.kind, self.values[rows], None if self.exact is None else self.exact[rows])

    def given(self):
        """The values as Python objects: text, bool, int, or float where there is a fraction; None where missing."""
        if self.exact is not None:
            return self.exact.tolist()
        return [None if gone else bool(value) if self.kind == "boolean" else whole(value) if self.kind == "number" else value
                for value, gone in zip(self.values.tolist(), self.missing.tolist())]


def columns(frame, names=None):
    """{name: Column} of a pandas or polars frame, a pyarrow table, a dict of 1-D arrays or of Columns, or a 2-D array (x0, x1, ...).

    names: the columns wanted, in this order, None for all. Frames are read through their own public interfaces; none of their packages
    is imported. Names become text. Raises TypeError for what is not a table or has values that are no numbers, texts, booleans or dates,
    ValueError for names that appear twice or are not there, and for columns whose lengths differ.
    """
    parts = _parts(frame)
    found = [name for name, _ in parts]
    twice = next((name for at, name in enumerate(found) if name in found[:at]), None) if len(set(found)) < len(found) else None
    if twice is not None:
        raise ValueError(f"column names must differ, got {twice!r} twice")
    parts = dict(parts)
    require(parts, () if names is None else names)
    table = {name: _column(name, parts[name]) for name in (parts if names is None else names)}
    lengths = {len(column.values) for column in table.values()}
    if len(lengths) > 1:
        raise ValueError(f"columns must have one length, got {sorted(lengths)}")
    return table


def names(frame):
    """Names of the columns of whatever `columns` takes, as texts."""
    return [name for name, _ in _parts(frame)]


def column(values, name="target"):
    """The Column of one 1-D array, list or series."""
    return _column(name, values)


def require(table, names):
    """Raise ValueError unless `table` has all these columns."""
    lack = [name for name in names if name not in table]
    if lack:
        what = f"columns {some(lack)} are" if len(lack) > 1 else f"column {lack[0]!r} is"
        raise ValueError(f"the {what} missing: the table has {some(table) or 'none'}")


def some(names, most=20):
    """'a', 'b', ... and how many more there are: a table may have thousands of columns, a message is a line."""
    names = list(names)
    return ", ".join(map(repr, names[:most])) + (f" and {len(names) - most} more" if len(names) > most else "")


def _parts(frame):
    """[(name, what holds its values)]."""
    if isinstance(frame, dict):
        return [(str(name), values) for name, values in frame.items()]
    if hasattr(frame, "column_names") and hasattr(frame, "columns"):  # pyarrow: columns are the data themselves
        return list(zip(map(str, frame.column_names), frame.columns))
    if hasattr(frame, "columns") and hasattr(frame, "iloc"):  # pandas, by place: a name may stand twice
        return [(str(name), frame.iloc[:, i]) for i, name in enumerate(frame.columns)]
    if hasattr(frame, "columns") and hasattr(frame, "get_columns"):  # polars
        return list(zip(map(str, frame.columns), frame.get_columns()))
    array = np.asarray(frame)
    if array.ndim != 2:
        raise TypeError(f"a table must be a frame, a dict of columns or a 2-D array, got {type(frame).__name__} of shape {array.shape}")
    return [(f"x{i}", array[:, i]) for i in range(array.shape[1])]


def _column(name, values):
    if isinstance(values, Column):
        return values
    array, categorical = _array(values)
    if array.ndim != 1:
        raise ValueError(f"column {name!r} must have one value per row, got shape {array.shape}")
    kind = array.dtype.kind
    if categorical or kind in "USTO":
        return _objects(name, array.astype(object), categorical)
    if kind == "b":
        return Column("boolean", array.astype(np.float64))
    if kind in "fiu":
        return Column("number", array.astype(np.float64), None if kind == "f" else array)
    if kind == "M":
        return Column("date", array.astype("datetime64[us]"))
    if kind == "m":  # a length of time, in seconds
        return Column("number", array / np.timedelta64(1, "s"))
    raise TypeError(f"column {name!r} must hold numbers, texts, booleans or dates, got {array.dtype}")


def _array(values):
    """(NumPy array, whether its type says that it holds categories)."""
    if hasattr(values, "to_numpy") and hasattr(values, "isna"):  # pandas
        kind = values.dtype.kind
        if kind in "iu" and not values.isna().any():
            return values.to_numpy(dtype=np.int64 if kind == "i" else np.uint64), False
        if kind in "iuf":
            return _all_digits(values.to_numpy(dtype=np.float64, na_value=np.nan), kind in "iu", values.tolist), False
        if kind in "mMb" and isinstance(values.dtype, np.dtype):
            return values.to_numpy(), False
        return values.to_numpy(dtype=object), str(values.dtype).startswith(("category", "dictionary"))
    if hasattr(values, "to_pylist"):  # pyarrow: its own conversion loses nulls of dictionaries
        categorical = str(values.type).startswith("dictionary")
        if categorical:
            values = values.cast(values.type.value_type)
        array = values.to_numpy(**({} if hasattr(values, "num_chunks") else {"zero_copy_only": False}))
        return _all_digits(array, "int" in str(values.type), values.to_pylist), categorical
    if hasattr(values, "to_numpy") and hasattr(values, "dtype"):  # polars
        kind = type(values.dtype).__name__
        return _all_digits(values.to_numpy(), "Int" in kind, values.to_list), kind in ("Categorical", "Enum")
    return np.asarray(values if not _ragged(values) else np.array([*values, None], object)[:-1]), False


def _all_digits(array, integers, as_list):
    """The array, or the Python objects where integers with gaps among them were made floats that cannot hold all of their digits."""
    if integers and array.dtype.kind == "f" and (np.abs(array) >= 2**53).any():
        return np.array([*as_list(), None], object)[:-1]
    return array


def _ragged(values):
    """Whether NumPy would turn a list of numbers and texts, or of numbers and None, into something else than it holds."""
    return isinstance(values, (list, tuple)) and len({type(value) for value in values}) > 1


def _objects(name, values, categorical):
    """The Column of an object array: of the kind all of its values have, else of texts."""
    values = values.copy()
    values[np.fromiter((_is_missing(value) for value in values), bool, len(values))] = None
    types = {type(value) for value in values if value is not None}
    if categorical or not types or all(issubclass(t, str) for t in types):
        return Column("category", _texts(values))
    if types <= {bool, np.bool_}:
        return Column("boolean", np.array([np.nan if value is None else float(value) for value in values], np.float64))
    if all(issubclass(t, (int, float, np.number, decimal.Decimal)) and not issubclass(t, bool) for t in types):
        return Column("number", np.array([np.nan if value is None else _float(value) for value in values], np.float64), _wholes(values))
    if all(issubclass(t, (dt.date, np.datetime64)) for t in types):
        return Column("date", np.array([_utc(value) for value in values], "datetime64[us]"))
    if all(issubclass(t, dt.timedelta) for t in types):
        return Column("number", np.array([np.nan if value is None else value.total_seconds() for value in values], np.float64))
    odd = next((t for t in types if not issubclass(t, (str, bool, int, float, np.generic, decimal.Decimal, dt.date, dt.time))), None)
    if odd is not None:
        raise TypeError(f"column {name!r} must hold numbers, texts, booleans or dates, got {odd.__name__}")
    return Column("category", _texts(values))


def _float(value):
    try:
        return float(value)
    except OverflowError:  # an integer of hundreds of digits; as infinity it is refused by its column and row
        return float("inf") if value > 0 else float("-inf")


def _wholes(values):
    found = np.empty(len(values), object)
    found[:] = [None if value is None else whole(value) for value in values]
    return found


def whole(value):
    """A number as Python's int, or float where there is a fraction."""
    if isinstance(value, (int, np.integer)):
        return int(value)
    if isinstance(value, decimal.Decimal):
        return int(value) if value.is_finite() and value == value.to_integral_value() else float(value)
    return int(value) if float(value).is_integer() else float(value)


def _is_missing(value):
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return True
    return isinstance(value, (float, np.floating, np.datetime64, decimal.Decimal)) and bool(value != value)


def _utc(value):
    if isinstance(value, dt.datetime) and value.tzinfo is not None:
        value = value.astimezone(dt.UTC).replace(tzinfo=None)
    return np.datetime64("NaT") if value is None else np.datetime64(value, "us")


def _texts(values):
    found = np.empty(len(values), object)
    found[:] = [None if value is None else value if type(value) is str else text(value) for value in values]
    return found


def text(value):
    """The text of a category: 3 and 3.0 are "3", True is "True", a date is in ISO form."""
    if isinstance(value, (float, np.floating)) and float(value).is_integer():
        value = int(value)
    return str(value.isoformat() if isinstance(value, (dt.date, dt.time)) else value)


# --- from one kind to another

def as_kind(given, kind, name):
    """`given` as a Column of `kind`: texts are read, numbers become texts. ValueError names column `name`, row (from 1) and value."""
    if given.kind == kind:
        return given
    if given.missing.all():
        empty = {"category": None, "date": np.datetime64("NaT", "us")}.get(kind, np.nan)
        return Column(kind, np.full(len(given.values), empty, {"category": object, "date": "datetime64[us]"}.get(kind, np.float64)))
    if kind == "category":
        return Column(kind, _texts(_days(given) if given.kind == "date" and given.exact is None else given.given()))
    if kind == "number" and given.kind == "boolean":
        return Column(kind, given.values)
    if kind == "boolean" and given.kind == "number":
        _refuse(name, kind, given.values, ~np.isin(given.values, (0.0, 1.0)) & ~given.missing)
        return Column(kind, given.values)
    if given.kind == "category":
        values, wrong = READ[kind](given.values)
        _refuse(name, kind, given.values, wrong)
        return Column(kind, values, given.values)
    raise ValueError(f"column {name!r} must hold {PLURAL[kind]}, got {PLURAL[given.kind]}")


PLURAL = {"number": "numbers", "boolean": "booleans", "date": "dates", "category": "categories"}


def _days(column):
    """Python's datetimes of a date column, None where missing."""
    values = column.values.astype(object)
    values[column.missing] = None
    return values


def _refuse(name, kind, values, wrong):
    if wrong.any():
        at = int(np.argmax(wrong))
        got = repr(values[at]) if values.dtype == object else f"{values[at]:g}"
        raise ValueError(f"column {name!r} must hold {PLURAL[kind]}, got {got} in row {at + 1}")


def numbers(texts):
    """(float64 array, mask of the texts that are no numbers) of an object array of str and None; nan in any letters is missing."""
    wrong = np.zeros(len(texts), bool)
    try:
        values = np.array([np.nan if item is None else float(item) for item in texts], np.float64)
    except ValueError:
        values = np.full(len(texts), np.nan)
        for i, item in enumerate(texts):
            try:
                values[i] = np.nan if item is None else float(item)
            except ValueError:
                wrong[i] = True
    if "_" in "".join(filter(None, texts)):  # float reads 1_000
        wrong |= np.fromiter((item is not None and "_" in item for item in texts), bool, len(texts))
    return values, wrong


def booleans(texts):
    """(float64 array, mask of the texts that are neither true nor false)."""
    values = np.array([np.nan if item is None else TRUTHS.get(item.lower(), 2.0) for item in texts], np.float64)
    return values, values == 2.0


def dates(texts):
    """(datetime64[us] array, mask of the texts that are no ISO dates); a time without a zone is UTC."""
    values = np.full(len(texts), "NaT", "datetime64[us]")
    wrong = np.zeros(len(texts), bool)
    for i, item in enumerate(texts):
        if item is not None:
            try:
                wrong[i] = DATE.match(item) is None
                values[i] = np.datetime64("NaT") if wrong[i] else _utc(dt.datetime.fromisoformat(item))
            except (ValueError, OverflowError):  # the 31st of February; the year 1 in a zone ahead of UTC
                wrong[i] = True
    return values, wrong


READ = {"number": numbers, "boolean": booleans, "date": dates}
