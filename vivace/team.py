"""The size of a run's team, chosen by measuring: bits do not depend on it, so a run may change it between slices."""

PROBE = 2e-3
"""Seconds of a slice that measures a size."""

SLICE = 0.1
"""Seconds of any other slice: a run returns to Python at least this often."""

AGAIN = 10
"""Slices after which the sizes not in use are measured anew: 2% of the time."""


class Team:
    """Sizes a run may take: `most` threads, and one; or `most` alone where it was asked for (`fixed`).

    Two threads on two cores are nearly twice as fast, until another process takes one of the cores: then every barrier waits for the
    scheduler, and one thread is several times faster. So a run tries both, keeps the faster one and looks again now and then.
    """

    def __init__(self, most, fixed):
        self.sizes = [most] if fixed or most == 1 else [most, 1]
        self.seconds = {}  # size -> seconds of a step, when it was last measured
        self.steps = dict.fromkeys(self.sizes, 0)
        self.size, self.until = most, 0
        self.queue = self.sizes * 2 if len(self.sizes) > 1 else []

    def next(self, seconds):
        """(threads, seconds) for the next slice, of at most `seconds`."""
        self.size = self.queue[0] if self.queue else min(self.sizes, key=lambda n: self.seconds.get(n, 0.0))
        return self.size, min(seconds, PROBE if self.queue else SLICE)

    def ran(self, steps, seconds):
        """The slice finished `steps` steps in `seconds`."""
        self.steps[self.size] += steps
        if len(self.sizes) == 1 or not steps:
            return
        each = seconds / steps
        before = self.seconds.get(self.size, each)
        self.seconds[self.size] = min(each, before) if self.queue else each
        if self.queue:
            self.queue.pop(0)
            self.until = AGAIN
            return
        self.until -= 1
        if self.until <= 0 or each > 1.5 * before:
            self.queue = list(self.sizes)
            self.seconds = {}

    @property
    def used(self):
        """The size that ran most steps."""
        return max(self.sizes, key=lambda n: self.steps[n])
