"""Checks of what users give as options. Each returns the value, or raises TypeError or ValueError that names the option, what was
expected and what came."""
import math

import numpy as np

NUMBERS = int, float, np.integer, np.floating


def real(value):
    """Whether `value` is a finite number; True and False are none."""
    return isinstance(value, NUMBERS) and not isinstance(value, bool) and math.isfinite(_float(value))


def _float(value):
    """`value` as a float; an int that none holds is infinite."""
    try:
        return float(value)
    except OverflowError:
        return math.inf


def number(name, value, low=None, high=None, above=None, below=None, infinite=False):
    """A number as a float, finite unless `infinite`: low <= value <= high, above < value < below, where these are given."""
    kind = type(value) is float or isinstance(value, NUMBERS) and not isinstance(value, bool)
    x = _float(value) if kind else math.nan
    if ((math.isfinite(x) or infinite and not math.isnan(x)) and (low is None or x >= low) and (high is None or x <= high)
            and (above is None or x > above) and (below is None or x < below)):
        return x
    limits = ((">=", low), (">", above), ("<=", high), ("<", below))
    said = " and ".join(f"{sign} {limit}" for sign, limit in limits if limit is not None)
    what = f"be a {'' if infinite else 'finite '}number{said and ' '}{said}" if None in (low, high) else f"lie in {low}..{high}"
    raise (ValueError if kind else TypeError)(f"{name} must {what}, got {value!r}")


def not_negative(name, value):
    """A finite number >= 0. Functions of tensors ask in every call, so a float that is one passes first."""
    return value if type(value) is float and 0 <= value < math.inf else number(name, value, low=0)


def positive(name, value):
    """A finite number > 0, as quickly."""
    return value if type(value) is float and 0 < value < math.inf else number(name, value, above=0)


def pair(name, value, low=None, high=None, above=None, below=None, infinite=False):
    """Two numbers in a tuple or a list, each as number() takes it."""
    if not isinstance(value, (tuple, list)) or len(value) != 2:
        raise ValueError(f"{name} must be two numbers, got {value!r}")
    for item in value:
        number(f"each of {name}", item, low, high, above, below, infinite)
    return value


def count(name, value, low=1):
    """An int >= low."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < low:
        raise ValueError(f"{name} must be an int >= {low}, got {value!r}")
    return int(value)


def flag(name, value):
    """True or False, or 1 or 0."""
    if value is True or value is False:
        return value
    if not isinstance(value, (int, np.bool_, np.integer)) or value not in (0, 1):
        raise TypeError(f"{name} must be True or False, got {value!r}")
    return bool(value)


def choice(name, value, choices):
    """One of the texts `choices`, among which may be None."""
    if (type(value) is str or value is None) and value in choices:
        return value
    *others, last = map(repr, choices)
    raise ValueError(f"{name} must be {', '.join(others)} or {last}, got {value!r}")


def weights(name, value, letters="(C,)"):
    """Finite weights that are not negative, as an array; one number is one weight for all."""
    try:
        array = np.atleast_1d(np.asarray(value, np.float64))
    except (TypeError, ValueError):  # texts, lists of lists of several lengths
        array = np.empty((0, 0))
    if array.ndim != 1 or not (np.isfinite(array) & (array >= 0)).all():
        raise ValueError(f"{name} must be weights {letters}, finite and not negative, got {value!r}")
    return array


def entries(what, state, names):
    """Raise ValueError unless `state` is a dict that has all these entries."""
    missing = [name for name in names if name not in state] if isinstance(state, dict) else names
    if missing:
        got = ", ".join(map(str, state)) or "none" if isinstance(state, dict) else type(state).__name__
        raise ValueError(f"{what} must have the entries {', '.join(names)}, as state_dict() gives them, got {got}")
