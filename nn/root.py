"""The running forward of a root module: dropout takes its step and its place in it."""
import threading


class _Running(threading.local):
    root = None


_running = _Running()


class _Root:
    """Counts operations of the running root forward, so that every dropout knows its place in it."""

    def __init__(self, step):
        self.step, self.place = step, 0


def enter_root(step):
    """Begin a root forward; returns the one that was running."""
    before, _running.root = _running.root, _Root(step)
    return before


def leave_root(before):
    """End it."""
    _running.root = before


def current():
    """The root forward that is running in this thread, or one of its own."""
    return _running.root or _Root(0)


def inside_root():
    """Whether a module's forward is running in this thread."""
    return _running.root is not None
