"""Classes of a target: which of its values are one class, and what the class is called."""
import re
from decimal import Decimal, InvalidOperation

import numpy as np

from .frame import as_kind, text, whole

CODE = re.compile(r"[+-]?0\d")
"""How a text begins that is a code and no number, though it could be read as one: 007 and 7 are two classes."""


def as_names(held, name):
    """The Column of a target of classes: codes and dates are texts, whatever they could be read as."""
    codes = held.kind == "date" or held.kind == "number" and any(isinstance(value, str) and CODE.match(value) for value in held.given())
    return as_kind(held, "category", name) if codes else held


def labels(held):
    """The classes of a Column, sorted: Python values where these are written just as the column has them, else its texts.

    Numbers are compared exactly, 1, 1.0 and 1e0 are one class, 2^53 and 2^53 + 1 two; true and TRUE are one. Of several ways to write
    a class the first one is its label.
    """
    first = {}
    for value in dict.fromkeys(held.given()):
        first.setdefault(key(held.kind, value), value)
    found = [first[at] for at in sorted(first)]
    read = PYTHON.get(held.kind)
    if read is None or not isinstance(found[0], str):
        return found
    values = [read(value) for value in found]
    return values if list(map(str, values)) == found else found


def codes(held, known):
    """(N,) int64 places of a Column's values among the labels `known`, -1 for those that are none of them."""
    place = {key(held.kind, label): i for i, label in enumerate(known)}
    given = held.given()
    places = {value: place.get(key(held.kind, value), -1) for value in dict.fromkeys(given)}
    return np.fromiter((places[value] for value in given), np.int64, len(given))


def key(kind, label):
    """What is equal for values of one class. Raises ValueError for a label that is none of its kind."""
    if kind == "boolean":
        return str(label).lower()
    if kind != "number":
        return text(label)
    try:
        found = Decimal(label.strip() if isinstance(label, str) else str(whole(label)))
    except InvalidOperation:
        raise ValueError(f"{label!r} is no number") from None
    if not found.is_finite():
        raise ValueError(f"{label!r} is no finite number")
    return found


PYTHON = {"number": lambda written: int(written) if re.fullmatch(r"-?\d+", written) else float(written),
          "boolean": lambda written: written.lower() == "true"}
