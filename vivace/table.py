"""TableEncoder: a table of numbers, texts, booleans and dates as the float array a network takes, and a target as classes or values."""
import json
from collections import Counter

import numpy as np

from .files import FileError, number, typed
from .frame import Column, as_kind, column, columns, require, text

PERIODS = {"year": 365.2425, "week": 7.0, "day": 1.0}
"""Cycles of a date, in days."""

MAX_CLASSES = 20
"""Whole numbers of two values, or of at most so many which have FEW rows each on average, are classes where no task is given."""
FEW = 5

LARGEST = 1e300
"""A file holds no larger numbers, and differences of smaller ones do not overflow."""

FORMAT = 1
COLUMN = {"name": str, "kind": str, "names": [str], "mean": [number], "scale": [number], "values": [str], "other": bool, "missing": bool}
TARGET = {"name": str, "kind": str, "task": str, "labels": [(str, bool, number)]}
DESCRIPTION = {"format": int, "columns": [COLUMN], "left_out": {str: str}, "target": (None, TARGET)}


class TableEncoder:
    """What `TableEncoder.fit` learned from a table; `transform` gives (N, len(feature_names_out)) floats without missing values.

    number, boolean: (x - mean) / scale, mean and standard deviation (ddof 0) of the values present; 0, the mean, where missing.
    date: days since 1970 so standardised, and the sine and cosine of its place in the year, the week and the day, where these vary.
    Each of them that had missing values gets a column `missingindicator_<name>` of 0 and 1.
    category: a column of 0 and 1 for each value, `<name>_<value>`; where there are more than `max_categories`, for the most frequent of
    those seen at least twice, and `<name>_infrequent` for all others. What fit did not see counts as infrequent too, or is all 0
    where there is no such column. Missing ones have their 1 in `missingindicator_<name>` if fit saw any.

    feature_names_in: names of the columns read. feature_names_out: names of the columns made. left_out: {name: reason} of columns that
    say nothing: constant ones, and texts that are nearly all different. target: name of the target or None; task: "classification",
    "regression" or None; labels: the classes, sorted, as Python values.
    """

    def __init__(self, blocks, left_out, target=None):
        self._blocks, self.left_out, self._target = blocks, left_out, target
        self.feature_names_in = [block["name"] for block in blocks]
        self.feature_names_out = [name for block in blocks for name in block["names"]]
        self.target, self.task, self.labels = (target["name"], target["task"], target["labels"]) if target else (None, None, [])

    # --- learning

    @classmethod
    def fit(cls, frame, target=None, *, task=None, categories=(), standardize=True, max_categories=64):
        """An encoder for tables like `frame`: pandas, polars or pyarrow, a dict of 1-D arrays, a 2-D array (columns x0, x1, ...).

        target: the name of the column to predict, or its values (N,); None for a table of inputs. task: "classification" or
        "regression"; None tells by the target: texts, booleans and categories are classes, and so are whole numbers of two
        values, or of at most 20 which have 5 rows each on average. categories: names of columns to read as categories whatever they hold.
        standardize=False leaves numbers and dates as they are (missing ones become the mean).
        Raises ValueError for no rows, columns without a value, infinite numbers, a target with missing values, of one value or one
        class, a column that is not there; TypeError for values that are no numbers, texts, booleans or dates.
        """
        table = columns(frame)
        goal = _pop_target(table, target)
        if not table:
            raise ValueError("the table has no columns to learn from")
        require(table, categories)
        rows = len(next(iter(table.values())).values)
        if rows == 0:
            raise ValueError("the table has no rows")
        described = None if target is None else describe_target(*goal, task)
        if target is not None and len(goal[1].values) != rows:
            raise ValueError(f"target must have N = {rows} values, one for each row, got {len(goal[1].values)}")
        blocks, left_out = [], {}
        for name, held in table.items():
            block, reason = _learn(name, as_kind(held, "category", name) if name in categories else held, standardize, max_categories)
            if block is None:
                left_out[name] = reason
            else:
                blocks.append(block)
        if not blocks:
            raise ValueError(f"no column says anything about the rows: {', '.join(f'{k} ({v})' for k, v in left_out.items())}")
        return cls(blocks, left_out, described)

    # --- using

    def transform(self, frame, dtype=np.float32):
        """(N, features) of `dtype`. Columns that fit did not see are not read.

        Raises ValueError naming the columns that lack; and with column, row (the first is 1) and value for what cannot be read as the
        kind of its column, and for infinite numbers.
        """
        table = columns(frame, self.feature_names_in)
        rows = len(next(iter(table.values())).values)
        X = np.empty((rows, len(self.feature_names_out)), dtype)
        at = 0
        for block in self._blocks:
            width = len(block["names"])
            _encode(block, as_kind(table[block["name"]], block["kind"], block["name"]), X[:, at:at + width])
            at += width
        return X

    def transform_target(self, frame):
        """The target of `frame`, or (N,) values: int64 places in `labels` for classification, float64 for regression.

        Raises ValueError for a column that lacks, missing values, labels that fit did not see, and infinite numbers.
        """
        if self._target is None:
            raise ValueError("this encoder was fitted without a target")
        d = self._target
        held = _pop_target(columns(frame, [d["name"]]), d["name"])[1] if _is_table(frame) else column(frame, d["name"])
        held = _checked_target(d["name"], as_kind(held, d["kind"], d["name"]))
        if d["task"] == "regression":
            return held.values
        place = {text(label): i for i, label in enumerate(d["labels"])}
        codes = np.array([place.get(text(value), -1) for value in _labels(held)], np.int64)
        if (codes < 0).any():
            at = int(np.argmax(codes < 0))
            raise ValueError(f"the target {d['name']!r} has the unknown class {_labels(held)[at]!r} in row {at + 1}: "
                             f"known are {', '.join(map(repr, d['labels'][:8]))}")
        return codes

    @property
    def kinds(self):
        """{name: "number", "boolean", "date" or "category"} of the columns read, the target's among them."""
        held = {block["name"]: block["kind"] for block in self._blocks}
        return held if self._target is None else held | {self._target["name"]: self._target["kind"]}

    # --- as text

    def to_json(self):
        """All of it as JSON text; from_json reads it. Two encoders that transform alike have the same text."""
        return json.dumps({"format": FORMAT, "columns": self._blocks, "left_out": self.left_out, "target": self._target},
                          allow_nan=False)

    @classmethod
    def from_json(cls, described):
        """The encoder that `to_json` described. Raises FileError (a ValueError) for any other text; runs no code from it."""
        try:
            d = json.loads(described)
        except (ValueError, TypeError, RecursionError) as error:
            raise FileError(f"the table's description is no JSON: {error}") from None
        typed(d, DESCRIPTION, "table")
        if d["format"] != FORMAT:
            raise FileError(f"the table's description has format {d['format']!r}, this version reads {FORMAT}")
        for block in d["columns"]:
            _check_block(block)
        goal = d["target"]
        if goal is not None and (goal["kind"] not in KINDS or goal["task"] not in TASKS
                                 or (goal["task"] == "classification") != (len(goal["labels"]) > 1)):
            raise FileError(f"the target's description does not fit together: {goal['kind']}, {goal['task']}, {len(goal['labels'])} labels")
        if not d["columns"]:
            raise FileError("the table's description has no columns")
        return cls(d["columns"], d["left_out"], goal)

    def __repr__(self):
        goal = f", target {self.target!r} ({self.task})" if self.target else ""
        return f"TableEncoder({len(self.feature_names_in)} columns -> {len(self.feature_names_out)} features{goal})"


KINDS = ("number", "boolean", "date", "category")
TASKS = ("classification", "regression")


# --- the target

def _is_table(frame):
    return isinstance(frame, dict) or hasattr(frame, "columns") or np.ndim(frame) == 2


def _pop_target(table, target):
    """(name, Column) of the target, taken out of the table where it stands there."""
    if target is None:
        return None
    if isinstance(target, str):
        require(table, [target])
        return target, table.pop(target)
    return "target", column(target)


def _checked_target(name, held):
    missing = held.missing
    if missing.any():
        raise ValueError(f"the target {name!r} has no value in {int(missing.sum())} of {len(missing)} rows, first in row "
                         f"{int(np.argmax(missing)) + 1}: leave these rows out")
    if held.kind in ("number", "boolean"):
        _finite(name, held.values)
    return held


def describe_target(name, held, task=None):
    """{"name", "kind", "task", "labels"} of the target's Column, its task told by its values unless given; ValueError as fit says."""
    if task not in (None, *TASKS):
        raise ValueError(f'task must be "classification", "regression" or None, got {task!r}')
    held = _checked_target(name, held)
    values = _labels(held)
    different = sorted(set(values))
    if task is None:
        whole = held.kind == "number" and all(isinstance(value, int) for value in different)
        few = len(different) <= max(2, min(MAX_CLASSES, len(values) / FEW))
        task = "classification" if held.kind in ("category", "boolean") or (whole and few and len(different) > 1) else "regression"
    if held.kind == "date" or (task == "regression" and held.kind == "category"):
        raise ValueError(f"the target {name!r} must hold numbers{'' if held.kind == 'date' else ' for regression'}, got "
                         f"{'dates' if held.kind == 'date' else repr(different[0])}")
    if len(different) < 2:
        what = "has only one class" if task == "classification" else "is constant"
        raise ValueError(f"the target {name!r} {what}, {different[0]!r}: there is nothing to learn")
    if task == "classification" and held.kind == "number" and len(different) > max(MAX_CLASSES, len(values) // 2):
        raise ValueError(f"the target {name!r} has {len(different)} different numbers in {len(values)} rows: that is regression")
    return {"name": name, "kind": held.kind, "task": task, "labels": different if task == "classification" else []}


def _labels(held):
    """Python values: text, bool, int, or float where there is a fraction."""
    if held.kind == "boolean":
        return [bool(value) for value in held.values]
    if held.kind == "number":
        return [int(value) if value.is_integer() else value for value in held.values.tolist()]
    return held.values.tolist()


def _finite(name, values):
    wrong = np.abs(values) >= LARGEST
    if wrong.any():
        at = int(np.argmax(wrong))
        raise ValueError(f"column {name!r} must hold finite numbers below {LARGEST:g}, got {values[at]:g} in row {at + 1}")


# --- one column

def _learn(name, held, standardize, max_categories):
    """(block, None), or (None, why the column says nothing)."""
    missing = held.missing
    if missing.all():
        raise ValueError(f"column {name!r} has no values: leave it out")
    block = {"name": name, "kind": held.kind, "names": [], "mean": [], "scale": [], "values": [], "other": False,
             "missing": bool(missing.any())}
    indicator = [f"missingindicator_{name}"] if block["missing"] else []
    if held.kind == "category":
        return _learn_categories(block, held.values[~missing], indicator, max_categories)
    features = _features(name, held)
    for feature, values in features.items():
        values = values[~missing]
        if values.max() > values.min():  # exact, where the deviation of a constant is only nearly 0
            mean, scale = _moments(values)
            block["names"].append(feature)
            block["mean"].append(mean)
            block["scale"].append(scale if standardize else 0.0)
    if not block["names"] and not indicator:
        return None, "constant"
    block["names"] += indicator
    return block, None


def _moments(values):
    """Mean and standard deviation, without overflow in the squares."""
    size = float(np.abs(values).max())
    scaled = values / size
    scale = float(scaled.std()) * size
    return float(scaled.mean()) * size, scale if scale > 0 else 1.0


def _features(name, held):
    """{feature: float64 (N,)} of a number, boolean or date column."""
    if held.kind != "date":
        _finite(name, held.values)
        return {name: held.values}
    days = held.values.astype(np.int64) / 86_400e6
    days[held.missing] = np.nan
    found = {name: days}
    for period, length in PERIODS.items():
        turn = 2 * np.pi * ((days / length) % 1.0)
        found |= {f"{name}_{period}_sin": np.sin(turn), f"{name}_{period}_cos": np.cos(turn)}
    return found


def _learn_categories(block, values, indicator, max_categories):
    name = block["name"]
    counts = Counter(values.tolist())  # NumPy's texts take the room of the longest, each
    often = sorted(sorted(counts, key=lambda value: (-counts[value], value))[:max_categories])
    if len(counts) > max_categories:
        often = [value for value in often if counts[value] > 1]
        if sum(counts[value] for value in often) < len(values) / 2:
            return None, f"{len(counts)} different texts in {len(values)} rows"
    block["values"], block["other"] = often, len(often) < len(counts)
    if len(counts) == 1 and not indicator:
        return None, "constant"
    block["names"] = [f"{name}_{value}" for value in block["values"]] + [f"{name}_infrequent"] * block["other"] + indicator
    return block, None


def _encode(block, held, out):
    """Write the features of one column into `out` (N, len(names))."""
    missing = held.missing
    if block["missing"]:
        out[:, -1] = missing
    if held.kind == "category":
        out[:, :out.shape[1] - block["missing"]] = 0
        place = {value: i for i, value in enumerate(block["values"])}
        other = len(place) if block["other"] else -1
        codes = np.array([-1 if value is None else place.get(value, other) for value in held.values], np.int64)
        rows = np.flatnonzero(codes >= 0)
        out[rows, codes[rows]] = 1
        return
    features, limit = _features(block["name"], held), float(np.finfo(out.dtype).max)
    for i, (feature, mean, scale) in enumerate(zip(block["names"], block["mean"], block["scale"])):
        values = np.where(missing, mean, features[feature])
        if scale:
            with np.errstate(over="ignore"):  # what is far beyond all that fit saw becomes the largest float
                values = (values - mean) / scale
        out[:, i] = np.clip(values, -limit, limit)


def _check_block(block):
    """Raise FileError unless the parts of a block fit together: transform trusts them."""
    kind, names, count = block["kind"], block["names"], len(block["mean"])
    features = count
    if kind == "category":
        features = len(block["values"]) + block["other"]
    elif kind in ("number", "boolean"):
        features = count if names[:count] in ([], [block["name"]]) else -1
    elif kind == "date":
        known = _features(block["name"], Column("date", np.empty(0, "datetime64[us]")))
        features = count if set(names[:count]) <= set(known) else -1
    if (kind not in KINDS or count != len(block["scale"]) or (kind == "category" and count) or len(names) != features + block["missing"]
            or not names or any(scale < 0 for scale in block["scale"])):
        raise FileError(f"the description of column {block['name']!r} does not fit together")
