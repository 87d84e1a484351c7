"""The size of a run's team, chosen by measuring: bits do not depend on it, so a run may change it between slices."""

PROBE = 2e-3
"""Seconds of whole steps that measure a size, if a step is not longer."""

SLICE = 0.1
"""Seconds of any other slice: a run returns to Python at least this often."""

AGAIN = 10
"""Slices after which the sizes not in use are measured anew: 2% of the time."""


class Team:
    """Sizes a run may take: `most` threads, and one; or `most` alone where it was asked for (`fixed`). It outlives a run, so that a fit
    which follows another one knows.

    Two threads on two cores are nearly twice as fast, until another process takes one of the cores: then every barrier waits for the
    scheduler, and one thread is several times faster. So a run tries both, keeps the faster one and looks again now and then. Only
    whole steps are measured, twice each: the first time tells how many of them a measurement takes.
    """

    def __init__(self, most, fixed):
        self.sizes = [most] if fixed or most == 1 else [most, 1]
        self.seconds = {}  # size -> seconds of a step, when it was last measured
        self.size, self.until, self.probing = most, 0, False
        self.queue = self.sizes * 2 if len(self.sizes) > 1 else []
        self.begin()

    def begin(self):
        """A run begins: count its steps."""
        self.steps = dict.fromkeys(self.sizes, 0)
        return self

    def next(self, seconds, whole):
        """(threads, seconds, steps) for the next slice, at most; whole: it begins with a step, not in the middle of one."""
        self.probing = bool(self.queue) and whole
        if self.probing:
            self.size = self.queue[0]
            return self.size, min(seconds, SLICE), max(1, int(PROBE / self.seconds.get(self.size, PROBE)))
        if self.queue:  # to the end of the step
            return self.size, min(seconds, SLICE), 1
        self.size = min(self.sizes, key=lambda n: self.seconds.get(n, 0.0))
        return self.size, min(seconds, SLICE), None

    def rest(self):
        """Threads for what is left of a step, which is not measured."""
        self.probing = False
        return self.size

    def ran(self, steps, seconds):
        """The slice finished `steps` steps in `seconds`."""
        self.steps[self.size] += steps
        if len(self.sizes) == 1 or not (steps or self.probing):
            return
        each = seconds / steps if steps else SLICE
        before = self.seconds.get(self.size, each)
        if self.probing:
            self.queue.pop(0)
            self.seconds[self.size] = min(each, before)
            self.until = AGAIN
        elif not self.queue:
            self.seconds[self.size] = each
            self.until -= 1
            if self.until <= 0 or each > 1.5 * before:
                self.queue = self.sizes * 2
                self.seconds = {}

    @property
    def used(self):
        """The size that ran most steps."""
        return max(self.sizes, key=lambda n: self.steps[n])


def team_for(plan, before, most, fixed):
    """The team `before` (or None) of the last fit, which has measured its sizes, if it ran the same plan on as many threads; else a new one."""
    if before is None or before.plan is not plan or before.sizes != Team(most, fixed).sizes:
        before = Team(most, fixed)
        before.plan = plan
    return before.begin()
