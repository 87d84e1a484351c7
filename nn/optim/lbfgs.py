"""L-BFGS with a strong Wolfe line search, over closures (PyTorch's way) or over functions of a flat vector."""
import math
from collections import deque

import numpy as np

from ..checks import choice, count, not_negative, number
from .optimizer import Optimizer


def cubic_minimum(a, fa, da, b, fb, db, low=None, high=None):
    """Where the cubic with values fa, fb and slopes da, db at a, b has its minimum, kept in low..high (None: between a and b).

    The middle of the interval where there is none. Nocedal and Wright 2006, equation 3.59.
    """
    low, high = (min(a, b), max(a, b)) if low is None else (low, high)
    if a > b:
        a, fa, da, b, fb, db = b, fb, db, a, fa, da
    d1 = da + db - 3 * (fa - fb) / (a - b)
    under = d1 * d1 - da * db
    if not under >= 0:
        return (low + high) / 2
    d2 = math.sqrt(under)
    bottom = db - da + 2 * d2
    return min(max(b - (b - a) * ((db + d2 - d1) / bottom), low), high) if bottom else (low + high) / 2


class Point:
    """A point of a line search: step t, value f, gradient g, slope along the direction."""

    def __init__(self, t, f, g, slope):
        self.t, self.f, self.g, self.slope = t, f, g, slope


def strong_wolfe(evaluate, start, t, longest, c1=1e-4, c2=0.9, tolerance_change=1e-9, max_ls=25):
    """A Point with f <= f0 + c1 t slope0 and |slope| <= -c2 slope0, or the best one met; and how many were evaluated.

    evaluate(t) -> Point; start: the Point at 0; longest: largest magnitude of the direction. Nocedal and Wright 2006, algorithms 3.5
    and 3.6, with the safeguards and limits of PyTorch's.
    """
    def too_high(p):
        return not p.f <= start.f + c1 * p.t * start.slope  # also where it is not a number

    def flat(p):
        return abs(p.slope) <= -c2 * start.slope

    before, now, tried = start, evaluate(t), 1
    bracket = None
    while tried <= max_ls:
        if too_high(now) or (tried > 2 and now.f >= before.f) or now.slope >= 0 and not flat(now):
            bracket = [before, now]
            break
        if flat(now):
            return now, tried
        step = cubic_minimum(before.t, before.f, before.slope, now.t, now.f, now.slope, now.t + 0.01 * (now.t - before.t), now.t * 10)
        before, now, tried = now, evaluate(step), tried + 1
    bracket = bracket or [start, now]
    stuck = False
    while tried <= max_ls:
        low, high = sorted(bracket, key=lambda p: p.f if math.isfinite(p.f) else math.inf)
        if abs(high.t - low.t) * longest < tolerance_change:
            break
        left, right = min(low.t, high.t), max(low.t, high.t)
        t = cubic_minimum(*(value for p in bracket for value in (p.t, p.f, p.slope))) if math.isfinite(high.f) else (left + right) / 2
        margin = 0.1 * (right - left)
        if min(right - t, t - left) < margin:  # near an end: once is allowed, twice would stall
            if stuck or t >= right or t <= left:
                t, stuck = (right - margin if abs(t - right) < abs(t - left) else left + margin), False
            else:
                stuck = True
        else:
            stuck = False
        new, tried = evaluate(t), tried + 1
        if too_high(new) or new.f >= low.f:
            bracket = [low, new]
        elif flat(new):
            return new, tried
        else:
            bracket = [low if new.slope * (high.t - low.t) >= 0 else high, new]
    return min(bracket, key=lambda p: p.f if math.isfinite(p.f) else math.inf), tried


class Memory:
    """The last pairs of steps and changes of the gradient, and the direction they give."""

    def __init__(self, size):
        self.pairs, self.scale = deque(maxlen=size), 1.0

    def add(self, s, y):
        """Keep a pair whose curvature is positive."""
        ys = float(y @ s)
        if ys > 1e-10:
            self.pairs.append((s, y, 1.0 / ys))
            self.scale = ys / float(y @ y)

    def direction(self, g):
        """-H g by the two loops of Nocedal and Wright 2006, algorithm 7.4."""
        q, weights = -g, []
        for s, y, rho in reversed(self.pairs):
            weights.append(rho * float(s @ q))
            q = q - weights[-1] * y
        q = q * self.scale
        for (s, y, rho), a in zip(self.pairs, reversed(weights)):
            q = q + (a - rho * float(y @ q)) * s
        return q


class LBFGS(Optimizer):
    """p += t d, d = -H g, H the inverse Hessian that the last history_size steps tell   (Liu and Nocedal 1989)

    step(closure): closure() zeroes gradients, computes the loss, calls backward() and returns the loss; it is called several times, in
    a step at most max_eval times (None: max_iter * 5 / 4) and one more. One step makes up to max_iter iterations. line_search_fn: None
    takes t = lr (the first time min(1, 1 / sum|g|) lr), "strong_wolfe" searches t. It stops early when the largest |g| is <=
    tolerance_grad, or the step or the change of the loss is below tolerance_change. Names and meaning are PyTorch's. In a Trainer an
    epoch is one step over all rows.
    For smooth problems whose loss over all data is cheap: its steps are few and exact.
    """

    whole = True

    def __init__(self, params, lr=1.0, max_iter=20, max_eval=None, tolerance_grad=1e-7, tolerance_change=1e-9, history_size=100,
                 line_search_fn=None):
        max_eval = count("max_iter", max_iter) * 5 // 4 if max_eval is None else max_eval
        super().__init__(params, dict(lr=lr, max_iter=max_iter, max_eval=max_eval,
                                      tolerance_grad=tolerance_grad, tolerance_change=tolerance_change, history_size=history_size,
                                      line_search_fn=line_search_fn))
        if len(self.param_groups) > 1:
            raise ValueError("LBFGS takes one group of parameters: its direction is one vector")
        self.restart()

    def check(self, group):
        not_negative("lr", group["lr"])
        for name in ("max_iter", "max_eval", "history_size"):
            count(name, group[name])
        for name in ("tolerance_grad", "tolerance_change"):
            number(name, group[name])
        choice("line_search_fn", group["line_search_fn"], (None, "strong_wolfe"))

    def restart(self):
        """Forget the history."""
        self.memory, self.last, self.iterations = Memory(self.param_groups[0]["history_size"]), None, 0

    def uses(self, group):
        return ()

    def step(self, closure):
        """Up to max_iter iterations; returns the loss before them."""
        params = [p for p in self.param_groups[0]["params"] if p.requires_grad]

        def read(arrays):
            return np.concatenate([np.asarray(a, np.float64).reshape(-1) for a in arrays])

        def evaluate(x):
            start = 0
            for p in params:
                p.copy_(x[start:start + p.size].reshape(p.shape))
                start += p.size
            loss = float(closure())
            return loss, read([np.zeros(p.shape) if p.gradient_array() is None else p.gradient_array() for p in params])
        first, x = self.minimise(evaluate, read([p.numpy() for p in params]))
        start = 0
        for p in params:  # x need not be where the closure was called last
            p.copy_(x[start:start + p.size].reshape(p.shape))
            start += p.size
        return first

    def minimise(self, evaluate, x):
        """Up to max_iter iterations on evaluate(x) -> (value, gradient) from x (P,): (value at x, where it ended)."""
        group = self.param_groups[0]
        self._check(group)
        f, g = evaluate(x)
        first, evaluations = f, 1
        self.value = f
        if not np.abs(g).max() > group["tolerance_grad"]:
            return first, x
        for iteration in range(1, group["max_iter"] + 1):
            self.iterations += 1
            if self.last is not None:
                d, t, before = self.last
                self.memory.add(t * d, g - before)
            d = self.memory.direction(g)
            t = group["lr"] if self.iterations > 1 else min(1.0, 1.0 / np.abs(g).sum()) * group["lr"]
            slope = float(g @ d)
            self.last = d, t, g
            if slope > -group["tolerance_change"]:  # no step, so no change of the gradient: the next call learns nothing from it
                break
            if group["line_search_fn"]:
                def at(t, x=x, d=d):
                    value, gradient = evaluate(x + t * d)
                    return Point(t, value, gradient, float(gradient @ d))
                found, tried = strong_wolfe(at, Point(0.0, f, g, slope), t, np.abs(d).max(), max_ls=group["max_eval"] - evaluations)
                self.last = d, found.t, g
                moved, change = found.t * d, abs(found.f - f)
                x, f, g, evaluations = x + moved, found.f, found.g, evaluations + tried
            else:
                moved = t * d
                x = x + moved
                change = 0.0
                if iteration < group["max_iter"]:  # the last evaluation would serve nobody
                    before, (f, g) = f, evaluate(x)
                    change, evaluations = abs(f - before), evaluations + 1
            if iteration == group["max_iter"] or evaluations >= group["max_eval"] or np.abs(g).max() <= group["tolerance_grad"]:
                break
            if np.abs(moved).max() <= group["tolerance_change"] or change < group["tolerance_change"]:
                break
        self.value = f
        return first, x
