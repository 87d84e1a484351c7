"""Optimizers with a step size of its own for every element: Adagrad, Adadelta, RMSprop, Rprop."""
import numpy as np

from ..checks import flag, not_negative, number, pair
from .optimizer import Optimizer


class Adagrad(Optimizer):
    """v = v + g² ;  p -= lr / (1 + (t - 1) lr_decay) g / (sqrt(v) + eps)   (kernels.reference.adagrad_update)

    v starts as initial_accumulator_value. Elements with rare gradients keep large steps. Duchi, Hazan and Singer 2011.
    """

    kernel = "adagrad_update"
    states = ("sum",)

    def __init__(self, params, lr=1e-2, lr_decay=0.0, weight_decay=0.0, initial_accumulator_value=0.0, eps=1e-10, **shared):
        super().__init__(params, dict(lr=lr, lr_decay=lr_decay, weight_decay=weight_decay,
                                      initial_accumulator_value=initial_accumulator_value, eps=eps), **shared)

    def check(self, group):
        for name in ("lr", "lr_decay", "weight_decay", "initial_accumulator_value", "eps"):
            not_negative(name, group[name])

    def scalars(self, group, t):
        return {"lr": group["lr"] / (1 + (t - 1) * group["lr_decay"]), "eps": group["eps"],
                "initial": group["initial_accumulator_value"], "weight_decay": group["weight_decay"],
                "first": (t == 1).astype(np.float64)}

    def rests(self, group, t):
        """From the second step on: the first one fills the sums. An eps of 0 would divide 0 by 0."""
        still = (group["weight_decay"] == 0) & (group["l1_decay"] == 0) & (group["eps"] != 0) & (not group["maximize"])
        return (t > 1) * np.float64(still)


class Adadelta(Optimizer):
    """v = rho v + (1 - rho) g² ;  e = sqrt(u + eps) / sqrt(v + eps) g ;  u = rho u + (1 - rho) e² ;  p -= lr e

    (kernels.reference.adadelta_update) Steps have the units of p, so lr = 1 fits many problems. Zeiler 2012.
    """

    kernel = "adadelta_update"
    states = ("square_avg", "acc_delta")

    def __init__(self, params, lr=1.0, rho=0.9, eps=1e-6, weight_decay=0.0, **shared):
        super().__init__(params, dict(lr=lr, rho=rho, eps=eps, weight_decay=weight_decay), **shared)

    def check(self, group):
        for name in ("lr", "eps", "weight_decay"):
            not_negative(name, group[name])
        number("rho", group["rho"], 0, 1)

    def scalars(self, group, t):
        return {"lr": group["lr"], "rho": group["rho"], "eps": group["eps"], "weight_decay": group["weight_decay"]}


class RMSprop(Optimizer):
    """v = alpha v + (1 - alpha) g² ;  p -= lr g / (sqrt(v) + eps)   (kernels.reference.rmsprop_update)

    centered: the mean of gradients m is kept too, and v - m² stands under the root. momentum: p -= lr b, b = momentum b + g / (...).
    Tieleman and Hinton 2012; centred: Graves 2013.
    """

    kernel = "rmsprop_update"
    states = ("square_avg", "grad_avg", "momentum_buffer")

    def __init__(self, params, lr=1e-2, alpha=0.99, eps=1e-8, weight_decay=0.0, momentum=0.0, centered=False, **shared):
        super().__init__(params, dict(lr=lr, alpha=alpha, eps=eps, weight_decay=weight_decay, momentum=momentum, centered=centered),
                         **shared)

    def check(self, group):
        for name in ("lr", "alpha", "eps", "weight_decay", "momentum"):
            not_negative(name, group[name])
        flag("centered", group["centered"])

    def uses(self, group):
        return ("square_avg",) + ("grad_avg",) * bool(group["centered"]) + ("momentum_buffer",) * bool(group["momentum"])

    def scalars(self, group, t):
        return {name: group[name] for name in ("lr", "alpha", "eps", "weight_decay", "momentum")}


class Rprop(Optimizer):
    """p -= sign(g) v, the step size v growing (etas[1]) while g keeps its sign and shrinking (etas[0]) where it turned

    (kernels.reference.rprop_update) v starts as lr and stays within step_sizes; after a turn the element rests for a step. For the
    whole data set as one batch: signs of small batches turn at random. Riedmiller and Braun 1993.
    """

    kernel = "rprop_update"
    states = ("prev", "step_size")

    def __init__(self, params, lr=1e-2, etas=(0.5, 1.2), step_sizes=(1e-6, 50), **shared):
        super().__init__(params, dict(lr=lr, etas=etas, step_sizes=step_sizes), **shared)

    def check(self, group):
        not_negative("lr", group["lr"])
        pair("etas", group["etas"])
        pair("step_sizes", group["step_sizes"], infinite=True)
        if not 0 < group["etas"][0] < 1 < group["etas"][1]:
            raise ValueError(f"etas must be 0 < etaminus < 1 < etaplus, got {group['etas']!r}")

    def scalars(self, group, t):
        less, more = group["etas"]
        low, high = group["step_sizes"]
        return {"lr": group["lr"], "etaminus": less, "etaplus": more, "smallest": low, "largest": high,
                "first": (t == 1).astype(np.float64)}
