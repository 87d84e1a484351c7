"""Levenberg and Marquardt's method for sums of squares of small networks."""
import numpy as np

from ..checks import choice, count, not_negative, number
from ..jacobian import EagerJacobian
from .optimizer import Optimizer


class LevenbergMarquardt(Optimizer):
    """p -= (JᵀJ + damping diag) ⁻¹ Jᵀ r for the sum of squares of r = model(X) - t, J = dr / dp

    step(model, X, t, weight=None) makes one accepted step and returns the mean of squares before it; X, t and weight are rounded to the
    parameters' type. The damping falls by `down` when a step lowers the sum and grows by `up` until one does, at most `max_tries`
    times. scale: "identity" (Levenberg) or "diagonal", the diagonal of JᵀJ (Marquardt). Levenberg 1944; Marquardt 1963,
    doi:10.1137/0111030.
    In a Trainer, with MSELoss, an epoch is one step over all rows; outputs and J then come from compiled records, with the same bits.
    J takes N O P numbers in float64 (N rows, O outputs, P parameters), and the P x P system is solved by Cholesky's method (LAPACK
    through NumPy) in float64: for up to a few thousand parameters, where it needs far fewer iterations than anything of first order.
    The model may have any layers whose rows do not depend on each other; batch norm in training and sparse inputs are refused. With
    dropout in training every row has one mask for the whole step, in J and in all tries.
    """

    whole = True

    def __init__(self, params, damping=1e-3, up=10.0, down=10.0, scale="identity", max_tries=20):
        super().__init__(params, dict(lr=1.0, damping=damping, up=up, down=down, scale=scale, max_tries=max_tries))
        if len(self.param_groups) > 1:
            raise ValueError("LevenbergMarquardt takes one group of parameters: its system is one matrix")

    def check(self, group):
        not_negative("damping", group["damping"])
        for name in ("up", "down"):
            number(name, group[name], low=1)
        count("max_tries", group["max_tries"])
        choice("scale", group["scale"], ("identity", "diagonal"))

    def uses(self, group):
        return ()

    def step(self, model, X, t, weight=None):
        """One accepted step, or none where no damping lowers the sum; returns the mean of squares (by weight) before it."""
        dtype = self.param_groups[0]["params"][0].dtype
        function = EagerJacobian(model, X, dtype)
        value = self.minimise(function, np.asarray(t, dtype), None if weight is None else np.asarray(weight, dtype))
        function.end()
        return value

    def minimise(self, function, t, weight=None):
        """step() on a `function` with outputs() (N, O) and jacobian(params) (N O, P), which read the parameters where they stand."""
        group = self.param_groups[0]
        self._check(group)
        params = [p for p in group["params"] if p.requires_grad]
        t = np.asarray(t, np.float64)
        t = t[:, None] if t.ndim == 1 else t
        root = None if weight is None else np.sqrt(np.asarray(weight, np.float64))[:, None]
        y = function.outputs()
        if y.shape != t.shape:
            raise ValueError(f"t must have shape {y.shape} like the model's output, got {t.shape}")

        def residual(y):
            return ((y - t) if root is None else (y - t) * root).reshape(-1)
        J = function.jacobian(params)
        J = J if root is None else J * np.repeat(root[:, 0], y.shape[1])[:, None]
        r = residual(y)
        total, A, b = float(r @ r), J.T @ J, J.T @ r
        mass = (len(t) if weight is None else float(np.sum(weight, dtype=np.float64))) * t.shape[1]
        base = np.ones(len(b)) if group["scale"] == "identity" else np.maximum(A.diagonal(), 1e-12)
        start = np.concatenate([p.numpy().reshape(-1) for p in params]).astype(np.float64)
        self.value = total / mass
        for _ in range(group["max_tries"]):
            step = _solve(A + np.diag(group["damping"] * base), b)
            if step is not None:
                _write(params, start - step)
                r = residual(function.outputs())
                new = float(r @ r)
                if new < total:
                    group["damping"] = max(group["damping"] / group["down"], 1e-15)
                    self.value = new / mass
                    return total / mass
            group["damping"] = max(group["damping"] * group["up"], 1e-15)
        _write(params, start)
        group["damping"] = min(group["damping"], 1e10)
        return total / mass


def _solve(A, b):
    """A⁻¹ b by Cholesky's method; None where A is not positive definite."""
    try:
        L = np.linalg.cholesky(A)
    except np.linalg.LinAlgError:
        return None
    return np.linalg.solve(L.T, np.linalg.solve(L, b))


def _write(params, flat):
    start = 0
    for p in params:
        p.copy_(flat[start:start + p.size].reshape(p.shape))
        start += p.size
