"""How many threads a run takes: what the caller says, or what the work is worth and the machine has free."""
import os
import threading
import time
from contextlib import contextmanager

from .nn import schedule

_state = {"threads": None, "busy": 0, "forked": False, "quota": 0, "quota until": 0.0}
_lock = threading.Lock()


def _after_fork():
    """In a forked child: the lock may have been held by a thread that is not here."""
    global _lock
    _lock = threading.Lock()
    _state.update(forked=True, busy=0)


os.register_at_fork(after_in_child=_after_fork)

MOST = 1024
"""Threads of a run, at most: what the system refuses beyond ends the process instead of raising."""


def cores():
    """Cores this process may use: its affinity mask, cut by the container's CPU quota."""
    return min(schedule.cores(), _quota())


QUOTA = "/sys/fs/cgroup/cpu.max"
QUOTA_HOLDS = 1.0
"""Seconds for which a quota that was read is believed: it can change while a process runs, and reading it costs as much as a small fit."""


def _quota():
    """Whole cores of the container's CPU quota, MOST where there is none."""
    now = time.monotonic()
    if now >= _state["quota until"]:
        cores = MOST
        try:
            with open(QUOTA) as f:
                quota, period = f.read().split()
            if quota != "max":
                cores = max(1, int(quota) // int(period))
        except (OSError, ValueError):
            pass
        _state.update({"quota": cores, "quota until": now + QUOTA_HOLDS})
    return _state["quota"]


def set_num_threads(n):
    """Threads of every run that does not say otherwise; None lets each run choose."""
    if n is not None:
        check(n, "n")
    _state["threads"] = n


def asked():
    """What set_num_threads said last, or None."""
    return _state["threads"]


def get_num_threads():
    """What set_num_threads, VIVACE_NUM_THREADS or OMP_NUM_THREADS say, else the cores of this process."""
    return forced() or cores()


def forced():
    """The number asked for in this process or its environment, or None."""
    if _state["threads"] is not None:
        return _state["threads"]
    for name in ("VIVACE_NUM_THREADS", "OMP_NUM_THREADS"):
        value = os.environ.get(name)
        if value:
            if name == "OMP_NUM_THREADS":  # OpenMP takes a list, a number for every level of nesting
                value = value.split(",")[0].strip()
            if not value.isdecimal() or not 1 <= int(value) <= MOST:
                raise ValueError(f"{name} must be an int in 1..{MOST}, got {value!r}")
            return int(value)
    return None


def check(n, name="num_threads"):
    """Raise ValueError unless n is None or an int >= 1."""
    if n is not None and (isinstance(n, bool) or not isinstance(n, int) or not 1 <= n <= MOST):
        raise ValueError(f"{name} must be None or an int in 1..{MOST}, got {n!r}")


@contextmanager
def team(asked, worth, rows):
    """The number of threads for a run whose step is worth that of `worth`; holds its share of the cores while it runs.

    asked: obeyed exactly, above the core count as well; None: what a step is worth, with 8 rows for each at least, and never more than the
    cores that other runs of this process leave free. A forked child runs alone: a team does not survive a fork.
    """
    with _lock:
        if _state["forked"]:
            n = 1
        elif asked is not None or forced() is not None:
            n = asked or forced()
        else:
            n = max(1, min(worth, rows // 8))
            n = n if n == 1 else max(1, min(n, cores() - _state["busy"]))
        _state["busy"] += n
    try:
        yield n
    finally:
        with _lock:
            _state["busy"] -= n
