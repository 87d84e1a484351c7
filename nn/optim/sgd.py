"""Stochastic gradient descent."""
import numpy as np

from ..checks import flag, not_negative, number
from .optimizer import Optimizer


class SGD(Optimizer):
    """d = g + weight_decay p ;  m = momentum m + (1 - dampening) d ;  p -= lr m   (kernels.reference.sgd_update)

    The conventions are PyTorch's: m starts as d; nesterov takes d + momentum m and needs momentum > 0 and dampening = 0.
    """

    kernel = "sgd_update"
    states = ("momentum_buffer",)

    def __init__(self, params, lr=1e-3, momentum=0.0, dampening=0.0, weight_decay=0.0, nesterov=False, **shared):
        super().__init__(params, dict(lr=lr, momentum=momentum, dampening=dampening, weight_decay=weight_decay, nesterov=nesterov),
                         **shared)

    def check(self, group):
        for name in ("lr", "momentum", "weight_decay"):
            not_negative(name, group[name])
        number("dampening", group["dampening"])
        flag("nesterov", group["nesterov"])
        if group["nesterov"] and (group["momentum"] <= 0 or group["dampening"] != 0):
            raise ValueError("nesterov needs momentum > 0 and dampening = 0")

    def uses(self, group):
        return self.states if group["momentum"] else ()

    def scalars(self, group, t):
        return {"lr": group["lr"], "momentum": group["momentum"], "dampening": group["dampening"],
                "weight_decay": group["weight_decay"], "nesterov": float(group["nesterov"]), "first": (t == 1).astype(np.float64)}

    def rests(self, group, t):
        """Without momentum and decay."""
        still = (group["momentum"] == 0) & (group["weight_decay"] == 0) & (group["l1_decay"] == 0) & (not group["maximize"])
        return np.float64(still) + 0.0 * t
