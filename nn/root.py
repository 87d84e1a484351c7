"""The running forward of a root module: dropout takes its step and its place in it."""
import threading


class _Running(threading.local):
    root = None


running = _Running()
"""running.root: the root forward of this thread, or None."""


class _Root:
    """Counts operations of the running root forward, so that every dropout knows its place in it."""

    def __init__(self, step):
        self.step, self.place = step, 0


def enter_root(step):
    """Begin a root forward; returns the one that was running."""
    before, running.root = running.root, _Root(step)
    return before


def leave_root(before):
    """End it."""
    running.root = before


def current():
    """The root forward that is running in this thread, or one of its own."""
    return running.root or _Root(0)
