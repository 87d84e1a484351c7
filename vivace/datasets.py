"""Built-in data (through scikit-learn), splitting and standardising."""
from typing import NamedTuple

import numpy as np

from . import kernels
from .extras import require

NAMES = {"digits": "classification", "iris": "classification", "wine": "classification", "breast_cancer": "classification",
         "diabetes": "regression"}
"""Known names and their tasks."""


class Dataset(NamedTuple):
    """X (N, I) float32; y (N,) int64 classes 0..C-1, or float32 values; target_names has one name per class, or is empty."""

    name: str
    X: np.ndarray
    y: np.ndarray
    task: str
    target_names: tuple


class Split(NamedTuple):
    """Three parts of a data set, each (X, y)."""

    train: tuple
    validation: tuple
    test: tuple


def load(name):
    """The data set `name` of NAMES. Raises ValueError for an unknown name, ImportError without scikit-learn."""
    if name not in NAMES:
        raise ValueError(f"unknown data set {name!r}: known are {', '.join(NAMES)}")
    source = getattr(require("sklearn.datasets", "sklearn", f"the data set {name}"), f"load_{name}")()
    classes = NAMES[name] == "classification"
    return Dataset(name, np.ascontiguousarray(source.data, np.float32), source.target.astype(np.int64 if classes else np.float32),
                   NAMES[name], tuple(map(str, source.target_names)) if classes else ())


def split(X, y, test=0.2, validation=0.2, seed=0, stratify=False):
    """Split of the rows at random: round(test N) and round(validation N) rows, the others for training.

    A function of (N, y if stratify, the fractions, seed) alone. stratify=True rounds within each class of y, so every part has
    the proportions of the whole. Rows keep their order. Raises ValueError for fractions that leave no training rows.
    """
    X, y = np.asarray(X), np.asarray(y)
    if len(X) != len(y):
        raise ValueError(f"y must have as many rows as X, {len(X)}, got {len(y)}")
    if not (test >= 0 and validation >= 0 and test + validation < 1):
        raise ValueError(f"test and validation must be fractions >= 0 that sum below 1, got {test} and {validation}")
    order = np.empty(len(X), np.int64)
    kernels.permutation(order, seed)
    groups = [order[y[order] == label] for label in np.unique(y)] if stratify else [order]
    parts = ([], [], [])
    for rows in groups:
        first = round(test * len(rows))
        second = first + round(validation * len(rows))
        for part, chosen in zip(parts, (rows[second:], rows[first:second], rows[:first])):
            part.append(chosen)
    indices = [np.sort(np.concatenate(part)) if part else order for part in parts]
    if not len(indices[0]):
        raise ValueError(f"X must have rows enough for training, got {len(X)} for test={test}, validation={validation}")
    return Split(*((X[index], y[index]) for index in indices))


class Standardizer:
    """x -> (x - mean) / scale by column, mean and standard deviation taken from the rows given; a constant column has scale 1."""

    def __init__(self, X):
        X = np.asarray(X)
        if not len(X):
            raise ValueError("X must have at least one row, got none")
        self.mean = X.mean(axis=0, dtype=np.float64)
        varies = X.max(axis=0) > X.min(axis=0)  # exact, where the deviation of a constant is only nearly 0
        self.scale = np.where(varies, X.std(axis=0, dtype=np.float64), 1.0)
        self.scale = np.where(self.scale > 0, self.scale, 1.0)  # a spread too small for float64 to square

    def transform(self, X):
        """(X - mean) / scale, in the float type of X."""
        X = np.asarray(X)
        return ((X - self.mean) / self.scale).astype(X.dtype if X.dtype.kind == "f" else np.float64)

    def inverse(self, X):
        """X scale + mean, in the float type of X."""
        X = np.asarray(X)
        return (X * self.scale + self.mean).astype(X.dtype if X.dtype.kind == "f" else np.float64)
