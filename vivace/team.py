"""The size of a run's team, chosen by measuring: bits do not depend on it, so a run may change it between slices."""

PROBE = 2e-3
"""Seconds of whole steps that measure a size, if a step is not longer."""

SLICE = 0.1
"""Seconds of any other slice: a run returns to Python at least this often."""

AGAIN = 1.0
"""Seconds after which the sizes not in use are measured anew: 2% of the time, where they are not far slower."""

SOON, SURER = 0.02, 4
"""But so soon where one thread was found to be faster, and SURER times as long after every time it is found again: what disturbs a
measurement of all threads should not count for long. One of six fits of 64-128-10, beside nothing but the system's own work, kept one
thread for a second, 18 us a step instead of 12.5."""

MARGIN = 1.1
"""All threads have to be so many times as fast as one: near the even they swing by a fifth from one moment to the next, one does not."""

COST = 25
"""And at least so many times as long as the slower sizes took more: 4% of the time, where their steps take long; twice as long where
all threads ran for WARM."""

WARM, DOUBT = 0.05, 1.15
"""Seconds for which all threads run before one of them is preferred, where they seemed less than DOUBT times as slow: a core that had
nothing to do reaches its speed after tens of milliseconds only. 64-128-10 at batch 32: 14 to 20 us a step in the first of them, 10.5 from
then on; one thread 14.5."""


class Team:
    """Sizes a run may take: `most` threads, and one; or `most` alone where it was asked for (`fixed`). It outlives a run, so that a fit
    which follows another one knows.

    Two threads on two cores are nearly twice as fast, until another process takes one of the cores: then every barrier waits for the
    scheduler, and one thread is several times faster. So a run tries both, keeps the faster one and looks again now and then. Only
    whole steps are measured, twice each: the first time tells how many of them a measurement takes. A slice ends with its epoch, and
    may be far shorter than a measurement: what is judged, and when, goes by steps and seconds, never by slices.
    """

    def __init__(self, most, fixed):
        self.sizes = [most] if fixed or most == 1 else [most, 1]
        self.seconds, self.best = {}, None  # size -> seconds of a step, when it was last measured; the fastest
        self.size, self.until, self.wait, self.probing = most, 0.0, AGAIN, False
        self.warm, self.warmed = 0.0, False  # seconds that all threads still have to run unjudged; whether they had them in this round
        self.spent = dict.fromkeys(self.sizes, 0.0)  # size -> seconds of the measurements of this round
        self.held = [0, 0.0]  # steps and seconds of the size in use that were not judged yet
        self.queue = self.sizes * 2 if len(self.sizes) > 1 else []
        self.begin()

    def begin(self, idle=0.0):
        """A run begins, `idle` seconds after the last one: count its steps. What disturbed a measurement may be over by now."""
        self.steps = dict.fromkeys(self.sizes, 0)
        self.until -= idle
        if len(self.sizes) > 1 and self.until <= 0 and not self.queue and self.warm <= 0:
            self._anew()
        return self

    def _anew(self):
        self.queue, self.seconds, self.held = self.sizes * 2, {}, [0, 0.0]

    def _wanted(self):
        """Steps of a measurement."""
        return max(1, int(PROBE / self.seconds.get(self.queue[0], PROBE)))

    def next(self, seconds, whole):
        """(threads, seconds, steps) for the next slice, at most; whole: it begins with a step, not in the middle of one."""
        if self.warm > 0:
            self.probing, self.size = False, self.sizes[0]
            return self.size, min(seconds, self.warm), None
        self.probing = bool(self.queue) and whole
        if self.probing:
            self.size = self.queue[0]
            return self.size, min(seconds, SLICE), max(1, self._wanted() - self.held[0])
        if self.queue:  # to the end of the step
            return self.size, min(seconds, SLICE), 1
        self.size = min(self.sizes, key=self._dear)
        return self.size, min(seconds, SLICE), None

    def _dear(self, size):
        """The seconds of a step by which sizes are compared; those of several threads count for more."""
        return self.seconds.get(size, 0.0) * (1 if size == 1 else MARGIN)

    def _settle(self):
        """All sizes were measured."""
        best = min(self.sizes, key=self._dear)
        if best != self.sizes[0] and not self.warmed and self.seconds[self.sizes[0]] < DOUBT * self.seconds[best]:
            self.warm, self.warmed, self.queue = WARM, True, self.sizes * 2
            return
        self.wait = AGAIN if best == self.sizes[0] else SOON if best != self.best else min(SURER * self.wait, AGAIN)
        lost = sum(spent * (1 - self.seconds[best] / self.seconds[size]) for size, spent in self.spent.items())
        self.until = max(self.wait, (2 if self.warmed else 1) * COST * lost)
        self.best, self.warmed, self.spent = best, False, dict.fromkeys(self.sizes, 0.0)

    def rest(self):
        """Threads for what is left of a step, which is not measured."""
        self.probing = False
        return self.size

    def ran(self, steps, seconds):
        """The slice finished `steps` steps in `seconds`."""
        self.steps[self.size] += steps
        if self.warm > 0:
            self.warm -= seconds
            self.spent[self.size] += seconds
            return
        if len(self.sizes) == 1 or (self.queue and not self.probing):
            return
        self.held = [self.held[0] + steps, self.held[1] + seconds]
        if self.probing and steps and self.held[0] < self._wanted() or not self.probing and (not self.held[0] or self.held[1] < PROBE):
            return
        (steps, seconds), self.held = self.held, [0, 0.0]
        each = seconds / steps if steps else SLICE
        before = self.seconds.get(self.size, each)
        if self.probing:
            self.seconds[self.size] = min(each, before)
            self.spent[self.size] += seconds
            self.queue.pop(0)
            if not self.queue:
                self._settle()
            return
        self.seconds[self.size] = each
        self.until -= seconds
        if self.until <= 0 or each > 1.5 * before:
            self._anew()

    @property
    def used(self):
        """The size that ran most steps."""
        return max(self.sizes, key=lambda n: self.steps[n])


def team_for(plan, before, most, fixed, idle=0.0):
    """`before`, the team of the last fit, which ended `idle` seconds ago and has measured its sizes, if it ran the same plan on as many
    threads; else a new one."""
    if before is None or before.plan is not plan or before.sizes != Team(most, fixed).sizes:
        before = Team(most, fixed)
        before.plan = plan
    return before.begin(idle)
