"""What the commands share: refusing in one line, the values of options, and files that can be written."""
import argparse
import csv
import re

from .extras import require
from .files import check_place
from .tablefile import PARQUET


class Refused(Exception):
    """Bad input, in one line."""


class Parser(argparse.ArgumentParser):
    """A parser whose errors are Refused."""

    def error(self, message):
        raise Refused(f"{message} (see {self.prog} --help)")


def positive(kind):
    """A type of option: a finite int or float above 0."""
    def read(text):
        value = _number(kind, text)
        if not 0 < value < float("inf"):
            raise argparse.ArgumentTypeError(f"must be above 0, got {_short(text)}")
        return value
    return read


def integer(low, high, shown=None):
    """A type of option: an int in low..high; shown: how a message says `high`."""
    def read(text):
        value = _number(int, text)
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"must be an integer in {low}..{shown or high}, got {_short(text)}")
        return value
    return read


def fraction(text):
    """A float in 0..1, below 1."""
    value = _number(float, text)
    if not 0 <= value < 1:
        raise argparse.ArgumentTypeError(f"must be in 0..1, below 1, got {_short(text)}")
    return value


def _number(kind, text):
    try:
        return kind(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be {'an integer' if kind is int else 'a number'}, got {_short(text)}") from None


def widths(text):
    """(128, 64) from "128,64" or "128 64"; () from "none"."""
    if text.strip() == "none":
        return ()
    parts = re.split(r"[\s,]+", text.strip().strip(","))
    if not all(re.fullmatch(r"[1-9]\d{0,8}", part) for part in parts):
        raise argparse.ArgumentTypeError(f"must be widths such as 128,64, or none, got {_short(text)}")
    return tuple(map(int, parts))


def names(text):
    """["a", "b, c"] from 'a,"b, c"'."""
    return [name.strip() for name in next(csv.reader([text], skipinitialspace=True), ()) if name.strip()]


def check_writable(option, path):
    """Refused unless `path` can be a file: asked before the work, not after it."""
    try:
        check_place("" if path == "-" else path)
        if path.lower().endswith(PARQUET):
            require("pyarrow", "tables", "writing Parquet")
    except (OSError, ImportError) as error:
        reason = getattr(error, "strerror", None) or error
        raise Refused(f"{option} must name a file that can be written, got {_short(path)}: {reason}") from None


def _short(text):
    return repr(text) if len(text) <= 100 else f"{text[:100]!r}... of {len(text)} characters"
