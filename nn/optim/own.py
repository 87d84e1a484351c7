"""The user's own optimizers: plain Python on scalars, compiled by Numba and run by the engine like any update."""
from types import SimpleNamespace

from ..checks import not_negative
from .optimizer import Optimizer

MOST_STATES = 4
"""Vectors of its own that an update may keep beside a parameter."""


class OwnOptimizer(Optimizer):
    """Base of what optim.optimizer makes. params: parameters or groups; lr and the parameters of the function are options."""

    kernel = "custom_update"
    constrains = False
    own = None
    initial = ()

    def __init__(self, params, lr=1e-3, **options):
        unknown = set(options) - set(self.own.defaults)
        if unknown:
            raise TypeError(f"{type(self).__name__} has no option {', '.join(sorted(unknown))}")
        super().__init__(params, {"lr": lr, **self.own.values(options)})
        for name, value in zip(self.states, self.initial):
            for p in self.steps:
                self.home().segment(f"{self._id}/{name}", p)[...] = value
        self._dtype = self.store.dtype

    def check(self, group):
        not_negative("lr", group["lr"])
        if group["l1_decay"] or group["maximize"]:
            raise ValueError(f"{self.own.name} decides itself how a weight changes: l1_decay and maximize are not for it")
        for name in self.own.defaults:
            self.own.number(name, group[name])

    def scalars(self, group, t):
        values = [group[name] for name in self.own.defaults]
        return {"address": self.own.block("update", self.home().dtype), "lr": group["lr"], "step": t,
                **{f"p{i}": value for i, value in enumerate(values)}}

    def step(self):
        if self.home().dtype != self._dtype:  # the address is among the scalars
            self._ahead.clear()
            self._dtype = self.store.dtype
        super().step()

    def _arrays(self, store, p, used):
        return *super()._arrays(store, p, used), *[None] * (MOST_STATES - len(self.states))

    def record(self, k, p, clip=0.0):
        if clip:
            raise ValueError(f"clip_grad_value is not for {self.own.name}, which is given the gradient as it is")
        n = len(self.states)

        def update(gradient, parameter, *rest):
            return k.custom_update(gradient, parameter, *rest[:n], *[None] * (MOST_STATES - n), *rest[n:])
        return super().record(SimpleNamespace(custom_update=update, limit_rows=k.limit_rows), p)


def optimizer(function, state=None, **parameters):
    """A class of optimizers from a plain Python function of numbers.

        def sign_step(p, g, s, lr, step): return p - lr * np.sign(g), s
        SignStep = optim.optimizer(sign_step, state=0)
        optimizer = SignStep(model.parameters(), lr=1e-3)

    function(p, g, *states, lr, step, *parameters) -> (new p, *new states), or the new p alone without states; called for each element:
    p the weight, g its gradient, lr the group's rate, step = 1, 2, ... state: the initial value of the state, several in a tuple (at
    most 4), None for no state. parameters: defaults of the further arguments, options of the groups.
    Numba compiles it (ImportError names the extra where it is missing). TypeError: it cannot be compiled, or takes or returns
    something else; ValueError: it raises or returns NaN.
    """
    from ..own import OwnFunction
    initial = () if state is None else tuple(state) if isinstance(state, (tuple, list)) else (state,)
    if len(initial) > MOST_STATES:
        raise TypeError(f"optim.optimizer: state must hold at most {MOST_STATES} numbers, got {len(initial)}")
    n = len(initial)
    own = OwnFunction("optim.optimizer", function, None, parameters, 2 + n, states=n, reserved=2)
    initial = tuple(own.number("state", value) for value in initial)
    names = own.arguments
    if names[2 + n:4 + n] != ["lr", "step"]:
        raise TypeError(f"optim.optimizer: function={own.name} must take p, g, {n} state{'s' * (n != 1)}, lr, step and its parameters, "
                        f"got {', '.join(names)}")
    for p in (-1.3, 0.0, 0.7):
        for g in (-0.9, 0.0, 1.1):
            _check(own, (p, g, *initial, 1e-3, 1.0, *own.defaults.values()), n)
    return type(own.name, (OwnOptimizer,), {"own": own, "initial": initial, "states": tuple(names[2:2 + n]), "__doc__": function.__doc__,
                                            "__module__": function.__module__})


def _check(own, numbers, states):
    found = own.call("function", *numbers)
    results = found if isinstance(found, tuple) else (found,)
    if len(results) != 1 + states or isinstance(found, tuple) and not states:
        wanted = "the new p alone" if not states else f"the new p and {states} state{'s' * (states != 1)}"
        raise TypeError(f"optim.optimizer: function={own.name} must return {wanted}, got {len(results)} values")
    for value in results:
        own.check_result("function", value, numbers)


__all__ = ["OwnOptimizer", "optimizer"]
