"""Lion."""
from ..checks import not_negative, pair
from .optimizer import Optimizer


class Lion(Optimizer):
    """p -= lr (sign(beta1 m + (1 - beta1) g) + weight_decay p) ;  m = beta2 m + (1 - beta2) g   (kernels.reference.lion_update)

    Every element moves by lr, so lr is 3 to 10 times smaller than Adam's and weight_decay as much larger. Half of Adam's state.
    Chen et al. 2023, arXiv:2302.06675.
    """

    kernel = "lion_update"
    states = ("exp_avg",)

    def __init__(self, params, lr=1e-4, betas=(0.9, 0.99), weight_decay=0.0, **shared):
        super().__init__(params, dict(lr=lr, betas=betas, weight_decay=weight_decay), **shared)

    def check(self, group):
        not_negative("lr", group["lr"])
        not_negative("weight_decay", group["weight_decay"])
        pair("betas", group["betas"], low=0, below=1)

    def scalars(self, group, t):
        beta1, beta2 = group["betas"]
        return {"lr": group["lr"], "beta1": beta1, "beta2": beta2, "shrink": 1 - group["lr"] * group["weight_decay"]}
