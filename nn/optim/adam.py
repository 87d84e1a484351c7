"""Adam and AdamW."""
import numpy as np

from .optimizer import Optimizer, at_least


class Adam(Optimizer):
    """m = beta1 m + (1 - beta1) g ;  v = beta2 v + (1 - beta2) g² ;  p -= lr m' / (sqrt(v') + eps)   (kernels.reference.adam_update)

    m' = m / (1 - beta1^t), v' = v / (1 - beta2^t). weight_decay is added to the gradient (L2). Kingma and Ba 2015.
    """

    kernel = "adam_update"
    states = ("exp_avg", "exp_avg_sq")

    def __init__(self, params, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0):
        super().__init__(params, lr=lr, betas=betas, eps=eps, weight_decay=weight_decay)

    def check(self, group):
        for name in ("lr", "eps", "weight_decay"):
            at_least(name, group[name], 0)
        if not isinstance(group["betas"], (tuple, list)) or len(group["betas"]) != 2:
            raise ValueError(f"betas must be two numbers, got {group['betas']!r}")
        group["betas"] = tuple(group["betas"])
        for beta in group["betas"]:
            at_least("betas", beta, 0, 1)

    def scalars(self, group, t):
        beta1, beta2 = group["betas"]
        return {"lr": group["lr"], "beta1": beta1, "beta2": beta2, "eps": group["eps"], "weight_decay": group["weight_decay"],
                "correction1": 1 - np.power(beta1, t), "correction2": 1 - np.power(beta2, t)}


class AdamW(Adam):
    """Adam with decoupled weight decay: p *= 1 - lr weight_decay before the update. Loshchilov and Hutter 2019"""

    kernel = "adamw_update"

    def __init__(self, params, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=1e-2):
        super().__init__(params, lr, betas, eps, weight_decay)
