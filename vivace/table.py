"""TableEncoder: a table of numbers, texts, booleans and dates as the float array a network takes, and a target as classes or values."""
import json
from collections import Counter

import numpy as np

from . import classes
from .files import FileError, number, typed
from .frame import READ, Column, as_kind, column, columns, require, whole

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
    "regression" or None; labels: the classes, sorted, exactly as they were given: Python values, or texts of a file such as 007.
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
        values, or of at most 20 which have 5 rows each on average. categories: names of columns to read as categories whatever they
        hold; the target's name among them makes its values classes.
        standardize=False leaves numbers and dates as they are (missing ones become the mean).
        Raises ValueError for no rows, columns without a value, infinite numbers, a target with missing values, of one value or one
        class, a column that is not there; TypeError for values that are no numbers, texts, booleans or dates.
        """
        table = columns(frame)
        rows = len(next(iter(table.values())).values) if table else 0
        described = None
        if target is not None:
            name, held = _pop_target(table, target)
            if table and len(held.values) != rows:
                raise ValueError(f"target must have N = {rows} values, one for each row, got {len(held.values)}")
            task, categories = task_of_categories(name, task, categories)
            described = describe_target(name, held, task) if table and rows else None
        empty = next((name for name, held in table.items() if rows and held.missing.all()), None)
        if empty is not None:
            raise ValueError(f"column {empty!r} has no values: leave it out")
        return cls.of_inputs(table, described, categories, standardize, max_categories)

    @classmethod
    def of_inputs(cls, table, described=None, categories=(), standardize=True, max_categories=64):
        """An encoder for {name: Column} of the inputs alone, and a target that `describe_target` has described, perhaps by more rows.

        As fit, but for columns without a value: these are left out, a part of the rows may have none by chance.
        """
        if not table:
            raise ValueError("the table has no columns to learn from")
        require(table, categories)
        if not len(next(iter(table.values())).values):
            raise ValueError("the table has no rows")
        blocks, left_out = [], {}
        for name, held in table.items():
            block, reason = _learn(name, as_kind(held, "category", name) if name in categories else held, standardize, max_categories)
            if block is None:
                left_out[name] = reason
            else:
                blocks.append(block)
        if not blocks:
            reasons = [f"{name} ({reason})" for name, reason in left_out.items()]
            raise ValueError(f"no column says anything about the rows: {', '.join(reasons[:20])}{', ...' * (len(reasons) > 20)}")
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
        codes = classes.codes(held, d["labels"])
        if (codes < 0).any():
            at = int(np.argmax(codes < 0))
            raise ValueError(f"the target {d['name']!r} has the unknown class {held.given()[at]!r} in row {at + 1}: "
                             f"known are {', '.join(map(repr, d['labels'][:8]))}{', ...' * (len(d['labels']) > 8)}")
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
        if d["target"] is not None:
            _check_target(d["target"])
        if not d["columns"]:
            raise FileError("the table's description has no columns")
        return cls(d["columns"], d["left_out"], d["target"])

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


def task_of_categories(name, task, categories):
    """(task, the other categories): a target named among the categories is one of classes."""
    if name not in categories:
        return task, categories
    if task == "regression":
        raise ValueError(f"the target {name!r} is among the categories, so it has classes: that is no regression")
    return "classification", [other for other in categories if other != name]


def describe_target(name, held, task=None):
    """{"name", "kind", "task", "labels"} of the target's Column, its task told by its values unless given; ValueError as fit says."""
    if task not in (None, *TASKS):
        raise ValueError(f'task must be "classification", "regression" or None, got {task!r}')
    held = _checked_target(name, held)
    if task is None:
        task = "classification" if held.kind in ("category", "boolean") or _few_wholes(held) else "regression"
    if held.kind == "date" and task != "classification":
        raise ValueError(f"the target {name!r} must hold numbers, got dates: only the task classification takes these")
    if task == "regression" and held.kind == "category":
        at = int(np.argmax(READ["number"](held.values)[1]))
        raise ValueError(f"the target {name!r} must hold numbers for regression, got {held.values[at]!r} in row {at + 1}")
    described = {"name": name, "kind": held.kind, "task": task, "labels": []}
    if task == "regression":
        if held.values.max() == held.values.min():
            raise ValueError(f"the target {name!r} is constant, {whole(held.values[0])}: there is nothing to learn")
        return described
    named = classes.as_names(held, name)
    labels = classes.labels(named)
    if len(labels) < 2:
        raise ValueError(f"the target {name!r} has only one class, {labels[0]!r}: there is nothing to learn")
    if held.kind == "number" and len(labels) > max(MAX_CLASSES, len(held.values) // 2):
        raise ValueError(f"the target {name!r} has {len(labels)} different numbers in {len(held.values)} rows: that is regression")
    return described | {"kind": named.kind, "labels": labels}


def _few_wholes(held):
    """Whether the values are numbers without fractions, and so few different ones that they are classes."""
    most = max(2, min(MAX_CLASSES, len(held.values) / FEW))
    if held.kind != "number" or (held.values != np.rint(held.values)).any() or len(np.unique(held.values)) > most:
        return False
    return 1 < len(classes.labels(classes.as_names(held, ""))) <= most


def _check_target(goal):
    """Raise FileError unless the parts of a target's description fit together."""
    labels = goal["labels"]
    fits = goal["kind"] in KINDS and goal["task"] in TASKS and (goal["task"] == "classification") == (len(labels) > 1)
    try:
        fits = fits and len({classes.key(goal["kind"], label) for label in labels}) == len(labels)
    except ValueError:
        fits = False
    if not fits:
        raise FileError(f"the target's description does not fit together: {goal['kind']}, {goal['task']}, {len(labels)} labels")


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
        return None, "no values"
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
