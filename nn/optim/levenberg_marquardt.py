"""Levenberg and Marquardt's method for sums of squares of small networks."""
import numpy as np

from ... import kernels
from ..backward import backpropagate
from ..tensor import no_grad
from .optimizer import Optimizer, at_least


class LevenbergMarquardt(Optimizer):
    """p -= (JᵀJ + damping diag) ⁻¹ Jᵀ r for the sum of squares of r = model(X) - t, J = dr / dp

    step(model, X, t, weight=None) makes one accepted step and returns the mean of squares before it. The damping falls by `down` when a
    step lowers the sum and grows by `up` until one does, at most `max_tries` times. scale: "identity" (Levenberg) or "diagonal", the
    diagonal of JᵀJ (Marquardt). The system is P x P, solved by Cholesky's method (LAPACK through NumPy) in float64: for up to a few
    thousand parameters, where it needs far fewer iterations than anything of first order. Levenberg 1944; Marquardt 1963,
    doi:10.1137/0111030. In a Trainer, with MSELoss, an epoch is one step over all rows.
    """

    whole = True

    def __init__(self, params, damping=1e-3, up=10.0, down=10.0, scale="identity", max_tries=20):
        super().__init__(params, dict(lr=1.0, damping=damping, up=up, down=down, scale=scale, max_tries=max_tries))
        if len(self.param_groups) > 1:
            raise ValueError("LevenbergMarquardt takes one group of parameters: its system is one matrix")

    def check(self, group):
        at_least("damping", group["damping"], 0)
        for name in ("up", "down", "max_tries"):
            at_least(name, group[name], 1)
        if group["scale"] not in ("identity", "diagonal"):
            raise ValueError(f"scale must be 'identity' or 'diagonal', got {group['scale']!r}")

    def uses(self, group):
        return ()

    def step(self, model, X, t, weight=None):
        """One accepted step, or none where no damping lowers the sum; returns the mean of squares (by weight) before it."""
        group = self.param_groups[0]
        params = [p for p in group["params"] if p.requires_grad]
        t = np.asarray(t, np.float64)
        t = t[:, None] if t.ndim == 1 else t
        root = None if weight is None else np.sqrt(np.asarray(weight, np.float64))[:, None]
        y, J = jacobian(model, X, params)
        if y.shape != t.shape:
            raise ValueError(f"t must have shape {y.shape} like the model's output, got {t.shape}")

        def residual(y):
            return ((y - t) if root is None else (y - t) * root).reshape(-1)
        J = J if root is None else J * np.repeat(root[:, 0], y.shape[1])[:, None]
        r = residual(y)
        total, A, b = float(r @ r), J.T @ J, J.T @ r
        mass = (len(t) if weight is None else float(np.sum(weight))) * t.shape[1]
        base = np.ones(len(b)) if group["scale"] == "identity" else np.maximum(A.diagonal(), 1e-12)
        start = np.concatenate([p.numpy().reshape(-1) for p in params]).astype(np.float64)
        self.value = total / mass
        for _ in range(group["max_tries"]):
            step = _solve(A + np.diag(group["damping"] * base), b)
            if step is not None:
                _write(params, start - step)
                r = residual(outputs(model, X))
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


def outputs(model, X):
    """model(X) in float64."""
    with no_grad():
        return np.asarray(model(X).numpy(), np.float64)


class _Rows:
    """A book of kernels in which the gradient of a Linear's weights keeps its rows apart: dw (N, O, I), db (N, O)."""

    def __init__(self, book):
        self.book = book

    def __getattr__(self, name):
        return getattr(self.book, name)

    def linear_backward_weight(self, x, dy, dw, db):
        if dw is not None:
            np.multiply(dy[:, :, None], x[:, None, :], out=dw)
        if db is not None:
            db[...] = dy


def jacobian(model, X, params):
    """(y (N, O), J (N O, P)): the outputs, and the derivatives of each by every element of `params`, row by row of y.

    One backward pass through the kernels for each output. The parameters must be those of Linear layers.
    """
    tensor = model(X)
    y = np.asarray(tensor.numpy(), np.float64)
    nodes, stack = {}, [tensor]
    while stack:
        node = stack.pop().node
        if node is not None and id(node) not in nodes:
            nodes[id(node)] = node
            stack.extend(t for t in node.inputs if t is not None)
    steps = sorted(nodes.values(), key=lambda node: node.index)
    for node in steps:
        if node.op.name != "linear" and any(t is not None and any(t is p for p in params) for t in node.inputs):
            raise ValueError(f"LevenbergMarquardt needs parameters of Linear layers, got one of the operation {node.op.name}")
    N, O = y.shape
    J, own = np.zeros((N, O, sum(p.size for p in params))), {id(p._array) for p in params}

    def key(t):
        return id(t if t.node is None else t.node) if t is not None and t.requires_grad else None

    def new(like):
        return np.empty((N, *like.shape) if id(like) in own else like.shape, like.dtype)
    for o in range(O):
        seed = np.zeros(y.shape, tensor.dtype)
        seed[:, o] = 1
        gradients = {id(tensor.node): seed}
        backpropagate(_Rows(kernels.get()), [(n.op, [key(t) for t in n.inputs], n.arrays, id(n), n.out) for n in steps], gradients, new)
        start = 0
        for p in params:
            if id(p) in gradients:
                J[:, o, start:start + p.size] = gradients[id(p)].reshape(N, -1)
            start += p.size
    return y, J.reshape(N * O, -1)
