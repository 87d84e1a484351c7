"""Adam and its variants that keep the mean of gradients and of their squares: AdamW, NAdam, RAdam; and Adamax."""
import numpy as np

from ..checks import flag, not_negative, pair
from .optimizer import Optimizer


def correction(beta, t):
    """1 - beta^t at steps t >= 1. Where beta^t is below 2^-55 this is 1, and no power is taken: one that is subnormal takes 50 ns."""
    with np.errstate(divide="ignore"):
        enough = np.maximum(np.ceil(-55 / np.log2(beta)), 1)
    return 1 - np.power(beta, np.minimum(t, enough))


class _Moments(Optimizer):
    """What they share: betas, eps, weight_decay, and states by the names of PyTorch."""

    states = ("exp_avg", "exp_avg_sq")

    def check(self, group):
        for name in ("lr", "eps", "weight_decay"):
            not_negative(name, group[name])
        for name in ("amsgrad", "decoupled_weight_decay"):
            flag(name, group.get(name, False))
        pair("betas", group["betas"], low=0, below=1)

    @staticmethod
    def decays(group):
        """{"weight_decay": the coupled one, "shrink": what p is multiplied with for the decoupled one}"""
        apart = group["decoupled_weight_decay"]
        return {"weight_decay": 0.0 if apart else group["weight_decay"],
                "shrink": 1 - group["lr"] * group["weight_decay"] if apart else 1.0}


class Adam(_Moments):
    """m = beta1 m + (1 - beta1) g ;  v = beta2 v + (1 - beta2) g² ;  p -= lr m' / (sqrt(v') + eps)   (kernels.reference.adam_update)

    m' = m / (1 - beta1^t), v' = v / (1 - beta2^t). weight_decay is added to the gradient (L2); decoupled_weight_decay, for all groups
    alike and from the beginning: as in AdamW. amsgrad: the largest v so far in place of v. Kingma and Ba 2015; AMSGrad: Reddi et al. 2018.
    """

    kernel = "adam_update"
    states = ("exp_avg", "exp_avg_sq", "max_exp_avg_sq")

    def __init__(self, params, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0, amsgrad=False, decoupled_weight_decay=False,
                 **shared):
        super().__init__(params, dict(lr=lr, betas=betas, eps=eps, weight_decay=weight_decay, amsgrad=amsgrad,
                                      decoupled_weight_decay=decoupled_weight_decay), **shared)

    def check(self, group):
        super().check(group)
        kernel = "adamw_update" if group["decoupled_weight_decay"] else "adam_update"
        if self.param_groups and kernel != self.kernel:
            raise ValueError("decoupled_weight_decay must be the same in all groups, and stay")
        self.kernel = kernel

    def uses(self, group):
        return self.states if group["amsgrad"] else self.states[:2]

    def scalars(self, group, t):
        beta1, beta2 = group["betas"]
        return {"lr": group["lr"], "beta1": beta1, "beta2": beta2, "eps": group["eps"], "weight_decay": group["weight_decay"],
                "correction1": correction(beta1, t), "correction2": correction(beta2, t)}


class AdamW(Adam):
    """Adam with decoupled weight decay: p *= 1 - lr weight_decay before the update. Loshchilov and Hutter 2019"""

    def __init__(self, params, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=1e-2, amsgrad=False, **shared):
        super().__init__(params, lr, betas, eps, weight_decay, amsgrad, decoupled_weight_decay=True, **shared)


class Adamax(_Moments):
    """m = beta1 m + (1 - beta1) g ;  u = max(beta2 u, |g| + eps) ;  p -= lr / (1 - beta1^t) m / u   (kernels.reference.adamax_update)

    Adam with the largest gradient of late in place of the root of the mean square. Kingma and Ba 2015, section 7.
    """

    kernel = "adamax_update"
    states = ("exp_avg", "exp_inf")

    def __init__(self, params, lr=2e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0, **shared):
        super().__init__(params, dict(lr=lr, betas=betas, eps=eps, weight_decay=weight_decay), **shared)

    def scalars(self, group, t):
        beta1, beta2 = group["betas"]
        return {"lr": group["lr"], "beta1": beta1, "beta2": beta2, "eps": group["eps"], "weight_decay": group["weight_decay"],
                "correction1": correction(beta1, t)}


class NAdam(_Moments):
    """Adam with Nesterov's look ahead: p -= (lr (1 - mu_t) / (1 - M_t) g + lr mu_(t+1) / (1 - M_(t+1)) m) / (sqrt(v') + eps)

    mu_t = beta1 (1 - 0.5 * 0.96^(t momentum_decay)), M_t = mu_1 ... mu_t (kernels.reference.nadam_update). M_t is that of the betas in
    use; PyTorch's remembers those of earlier steps where betas were changed on the way. Dozat 2016.
    """

    kernel = "nadam_update"

    def __init__(self, params, lr=2e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0, momentum_decay=4e-3,
                 decoupled_weight_decay=False, **shared):
        super().__init__(params, dict(lr=lr, betas=betas, eps=eps, weight_decay=weight_decay, momentum_decay=momentum_decay,
                                      decoupled_weight_decay=decoupled_weight_decay), **shared)

    def check(self, group):
        super().check(group)
        not_negative("momentum_decay", group["momentum_decay"])

    def scalars(self, group, t):
        beta1, beta2 = group["betas"]
        lr, now, after = group["lr"], self._mu(group, t), self._mu(group, t + 1)
        product = self._product(group, t)
        return {"rate_d": lr * (1 - now) / (1 - product), "rate_m": lr * after / (1 - product * after), "beta1": beta1, "beta2": beta2,
                "eps": group["eps"], **self.decays(group), "correction2": correction(beta2, t)}

    @staticmethod
    def _mu(group, t):
        return group["betas"][0] * (1 - 0.5 * 0.96 ** (t * group["momentum_decay"]))

    def _product(self, group, t):
        """M_t for an array of steps; the products so far are kept, for twice as many steps each time they do not reach."""
        beta1, most = group["betas"][0], int(t.max())
        if np.ndim(beta1):  # a schedule's: each step by the value of its own
            return np.array([self._product({**group, "betas": (float(b), 0.0)}, t[i:i + 1])[0] for i, b in enumerate(beta1)])
        key = beta1, group["momentum_decay"]
        held = getattr(self, "_products", (None, ()))
        if held[0] != key or len(held[1]) < most:
            held = self._products = key, np.cumprod(self._mu(group, np.arange(1, 2 * most + 64)))
        return held[1][t.astype(np.int64) - 1]


class RAdam(_Moments):
    """Adam whose adaptive part waits until the variance of 1 / sqrt(v) is known well enough   (kernels.reference.radam_update)

    Until then p -= lr m'. Afterwards Adam's step times sqrt((rho - 4)(rho - 2) rho_inf / ((rho_inf - 4)(rho_inf - 2) rho)).
    Liu et al. 2020.
    """

    kernel = "radam_update"

    def __init__(self, params, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0, decoupled_weight_decay=False, **shared):
        super().__init__(params, dict(lr=lr, betas=betas, eps=eps, weight_decay=weight_decay,
                                      decoupled_weight_decay=decoupled_weight_decay), **shared)

    def scalars(self, group, t):
        beta1, beta2 = group["betas"]
        power = np.power(beta2, t)
        limit = 2 / (1 - beta2) - 1
        rho = limit - 2 * t * power / (1 - power)
        known = rho > 5
        safe = np.where(known, rho, 6.0)
        rectify = np.sqrt(np.abs((safe - 4) * (safe - 2) * limit / ((limit - 4) * (limit - 2) * safe))) if limit > 5 else 0 * safe
        rate = group["lr"] / correction(beta1, t)
        return {"rate": rate * np.where(known, np.sqrt(1 - power) * rectify, 1.0), "beta1": beta1, "beta2": beta2, "eps": group["eps"],
                **self.decays(group), "rectified": known.astype(np.float64)}
