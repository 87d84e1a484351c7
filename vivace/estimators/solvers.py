"""Optimizers with scikit-learn's conventions, and orders of rows from its random states."""
import inspect

import numpy as np

from ..nn import MSELoss, optim

NAMES = {"adam", "sgd", "lbfgs"} | set(optim.TABLE) | {name.lower() for name in optim.TABLE}
"""Solvers by name: scikit-learn's three, and the optimizers by their classes' names, also in small letters."""


class _Rate:
    """The current learning rate under scikit-learn's name."""

    @property
    def learning_rate(self):
        return self.param_groups[0]["lr"]


class SklearnAdam(_Rate, optim.Adam):
    """Adam with epsilon outside of the bias correction: p -= lr sqrt(c2) / c1 * m / (sqrt(v) + eps), c = 1 - beta^t

    That is Adam's own update with eps / sqrt(c2): Kingma and Ba 2015, the reformulation at the end of their section 2.
    """

    def scalars(self, group, t):
        found = super().scalars(group, t)
        return {**found, "eps": group["eps"] / np.sqrt(found["correction2"])}


class SklearnSGD(_Rate, optim.SGD):
    """Momentum as a velocity: u = momentum u + lr d ;  p -= u   (with Nesterov p -= momentum u + lr d)

    The state of SGD is u / lr, so it is rescaled when the rate changes.
    """

    def change_rate(self, rate):
        """Go on with learning rate `rate`."""
        if self.param_groups[0]["momentum"]:
            self.state_vector("momentum_buffer")[...] *= self.learning_rate / rate
        for group in self.param_groups:
            group["lr"] = rate


def make(estimator, model):
    """The optimizer that the parameters of `estimator` describe; weight matrices are its first group."""
    matrices = [p for p in model.parameters() if p.ndim == 2]
    groups = [{"params": matrices}, {"params": [p for p in model.parameters() if p.ndim != 2]}]
    e = estimator
    adam = dict(lr=e.learning_rate_init, betas=(e.beta_1, e.beta_2), eps=e.epsilon)
    if isinstance(e.solver, str) and e.solver in ("adam", "sgd"):
        if e.solver == "adam":
            return optim.AdamW(groups, weight_decay=e.weight_decay, **adam) if e.weight_decay else SklearnAdam(groups, **adam)
        groups[0]["weight_decay"] = e.weight_decay or 0.0
        return SklearnSGD(groups, lr=e.learning_rate_init, momentum=e.momentum, nesterov=bool(e.nesterovs_momentum and e.momentum))
    if e.solver == "lbfgs":
        return optim.SGD(groups)  # holds the parameters; scipy makes the steps
    kind = named(e.solver)
    if getattr(kind, "func", kind) is optim.LevenbergMarquardt and not isinstance(e.loss, MSELoss):
        raise ValueError(f"solver LevenbergMarquardt needs a regressor of loss=nn.MSELoss(), whose squares it minimises, got {e.loss!r}")
    if getattr(getattr(kind, "func", kind), "whole", False):  # it works on one vector, and finds the length of a step by itself
        return kind(list(model.parameters()))
    if inspect.isclass(kind) and not issubclass(kind, optim.Optimizer):
        raise ValueError(f"solver must be an optimizer of vivace.optim, or a function that makes one, got {kind!r}")
    takes = inspect.signature(kind).parameters.keys() - getattr(kind, "keywords", {}).keys()  # what a partial fixes stays
    options = {"lr": e.learning_rate_init} if "lr" in takes else {}
    if "weight_decay" in takes and e.weight_decay is not None:
        options["weight_decay"] = e.weight_decay
    return kind(groups, **options)


def named(solver):
    """The optimizer class of a name; a class or function of groups is taken as it is."""
    return {name.lower(): kind for name, kind in optim.TABLE.items()}[solver.lower()] if isinstance(solver, str) else solver


class Shuffles:
    """Orders of rows for epochs first, first + 1, ...: each a shuffle of the one before, drawn as scikit-learn draws it.

    An epoch asked for again, as a run that returns to its last good state does, gets the same order.
    """

    ahead = True  # orders do not depend on what the epochs before them did

    def __init__(self, random, rows, first):
        self.random, self.rows, self.first = random, rows, first
        self.began = random.get_state()
        self.epoch, self.order = first - 1, np.arange(rows)

    def __call__(self, epoch):
        if epoch < self.epoch:
            again = np.random.RandomState()
            again.set_state(self.began)
            order = np.arange(self.rows)
            for _ in range(self.first, epoch + 1):
                order = order[again.permutation(self.rows)]
            return order
        while self.epoch < epoch:
            self.order = self.order[self.random.permutation(self.rows)]
            self.epoch += 1
        return self.order
