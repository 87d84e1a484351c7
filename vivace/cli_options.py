"""What the commands share: refusing in one line, the values of options, and files that can be written."""
import argparse
import os
import re


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
            raise argparse.ArgumentTypeError(f"must be above 0, got {text!r}")
        return value
    return read


def natural(text):
    """An int in 0..2^63 - 1."""
    value = _number(int, text)
    if not 0 <= value < 2**63:
        raise argparse.ArgumentTypeError(f"must be an integer in 0..2^63 - 1, got {text!r}")
    return value


def fraction(text):
    """A float in 0..1, below 1."""
    value = _number(float, text)
    if not 0 <= value < 1:
        raise argparse.ArgumentTypeError(f"must be in 0..1, below 1, got {text!r}")
    return value


def _number(kind, text):
    try:
        return kind(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be {'an integer' if kind is int else 'a number'}, got {text!r}") from None


def widths(text):
    """(128, 64) from "128,64" or "128 64"; () from "none"."""
    if text.strip() == "none":
        return ()
    parts = re.split(r"[\s,]+", text.strip().strip(","))
    if not all(re.fullmatch(r"[1-9]\d{0,8}", part) for part in parts):
        raise argparse.ArgumentTypeError(f"must be widths such as 128,64, or none, got {text!r}")
    return tuple(map(int, parts))


def names(text):
    """["a", "b"] from "a,b"."""
    return [name.strip() for name in text.split(",") if name.strip()]


def check_writable(option, path):
    """Refused unless `path` can be a file: asked before the work, not after it."""
    folder = os.path.dirname(path) or "."
    if not os.path.isdir(folder) or not os.access(folder, os.W_OK) or os.path.isdir(path):
        raise Refused(f"{option} must name a file in a folder that can be written to, got {path!r}")
