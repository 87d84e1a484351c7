"""Derivatives as functions, without .grad: gradients, Jacobians, per-sample gradients, products with Jacobians and Hessians.

f takes tensors and gives a tensor, by operations of nn: lambda x: loss(model(x), y). `inputs` says by what f is differentiated:

    an array                f is called with it as a tensor; a result is an array
    a tuple or list         f is called with all of them; a result is a tuple
    a Module                f is called without arguments, and is differentiated by the module's parameters that require gradients;
                            a result is a dictionary by their names. Where the caller gives a vector v (P,) instead of a
                            dictionary, the result is a vector: the parameters one after the other, in the order of parameters()

Results are NumPy arrays. Nothing is added to .grad. Names and results are those of torch.func (grad, grad_and_value) and of
torch.autograd.functional (vjp, jvp, jacobian, hvp, hessian).
"""
import numpy as np

from .losses import Loss
from .module import Module
from .parameter import Parameter
from .tape import Tape
from .tensor import Tensor, as_real, enable_grad, wrap

__all__ = ["batch_jacobian", "grad", "grad_and_value", "hessian", "hvp", "jacobian", "jvp", "per_sample_grad", "vjp"]


class _Inputs:
    """What f is differentiated by: leaves for the tape, the arguments of f, and how results are handed back."""

    def __init__(self, inputs):
        self.names = None
        if isinstance(inputs, Module):
            named = [(name, p) for name, p in inputs.named_parameters() if p.requires_grad]
            if not named:
                raise ValueError("inputs must be a Module with at least one parameter that requires gradients, got none")
            self.names, self.leaves = [name for name, _ in named], [p for _, p in named]
            self.arguments = []
        else:
            self.several = isinstance(inputs, tuple | list)
            self.leaves = [_leaf(x, f"inputs[{i}]" if self.several else "inputs")
                           for i, x in enumerate(inputs if self.several else [inputs])]
            self.arguments = self.leaves

    def run(self, f):
        """(f's result, its tape)"""
        with enable_grad():
            out = f(*self.arguments)
        if not isinstance(out, Tensor) or out.traced:
            raise TypeError(f"f must return a Tensor made of its inputs by operations of nn, got {type(out).__name__}")
        return out, Tape(out, self.leaves)

    def pack(self, arrays, flat=False):
        """Arrays, one per leaf, in the form of the inputs."""
        if self.names is not None:
            return np.concatenate([a.reshape(-1) for a in arrays]) if flat else dict(zip(self.names, arrays))
        return tuple(arrays) if self.several else arrays[0]

    def unpack(self, v, name="v"):
        """(v as one array per leaf, whether it was a vector of all parameters)."""
        if self.names is not None:
            return self._of_parameters(v, name)
        parts = list(v) if self.several and isinstance(v, tuple | list) else [v]
        if len(parts) != len(self.leaves):
            raise ValueError(f"{name} must have one array for each of the {len(self.leaves)} inputs, got {len(parts)}")
        names = [f"{name}[{i}]" for i in range(len(parts))] if self.several else [name]
        return [_alike(*each) for each in zip(parts, self.leaves, names)], False

    def _of_parameters(self, v, name):
        if isinstance(v, dict):
            if set(v) != set(self.names):
                raise ValueError(f"{name} must have the parameters' names {', '.join(self.names)}, got {', '.join(map(str, v))}")
            return [_alike(v[key], leaf, f"{name}[{key!r}]") for key, leaf in zip(self.names, self.leaves)], False
        v, total = np.asarray(v), sum(p.size for p in self.leaves)
        if v.shape != (total,):
            raise ValueError(f"{name} must be a dictionary by the parameters' names or a vector (P,) = ({total},), got shape {v.shape}")
        parts = np.split(v, np.cumsum([p.size for p in self.leaves])[:-1])
        return [_alike(part.reshape(p.shape), p, name) for part, p in zip(parts, self.leaves)], True


def _leaf(x, name):
    if isinstance(x, Parameter):
        raise TypeError(f"{name} must be an array; for derivatives by parameters give the Module as inputs")
    array = as_real(x)
    if array.dtype.kind != "f":
        raise TypeError(f"{name} must be float32 or float64, got {array.dtype}")
    leaf = wrap(array.view())  # a view of its own, so that one array given twice is two leaves
    leaf.requires_grad = True
    return leaf


def _alike(value, like, name):
    array = as_real(value, like.dtype)
    if array.shape != like.shape:
        raise ValueError(f"{name} must have shape {like.shape}, got {array.shape}")
    return array


def _scalar(out):
    if out.size != 1:
        raise ValueError(f"f must return one element, got shape {out.shape}; jacobian differentiates by elements")
    return np.ones_like(out._array)


def grad_and_value(f, argnums=0):
    """args -> (the gradient of the scalar f(*args) by argument number `argnums`, f(*args)); a tuple of numbers gives a tuple."""
    several = isinstance(argnums, tuple)

    def function(*args):
        numbers = argnums if several else (argnums,)
        for number in numbers:
            if not -len(args) <= number < len(args):
                raise ValueError(f"argnums must name one of the {len(args)} arguments, got {number}")
        places = [number % len(args) for number in numbers]
        inputs = _Inputs([args[i] for i in places])

        def of_leaves(*leaves):
            given = list(args)
            for place, leaf in zip(places, leaves):
                given[place] = leaf
            return f(*given)
        out, tape = inputs.run(of_leaves)
        gradients = tape.pull(_scalar(out))
        return tuple(gradients) if several else gradients[0], np.array(out._array)
    return function


def grad(f, argnums=0):
    """args -> the gradient of the scalar f(*args) by argument number `argnums`: grad(lambda x: loss(model(x), y))(X)."""
    function = grad_and_value(f, argnums)
    return lambda *args: function(*args)[0]


def vjp(f, inputs, v=None):
    """(f's value, v J): J the Jacobian of f at `inputs`, v of the shape of f's value (None: 1, for a scalar)."""
    inputs = _Inputs(inputs)
    out, tape = inputs.run(f)
    dout = _scalar(out) if v is None else _alike(v, out, "v")
    return np.array(out._array), inputs.pack(tape.pull(dout))


def jvp(f, inputs, v):
    """(f's value, J v): the derivative of f at `inputs` along v, which has the form of `inputs`."""
    inputs = _Inputs(inputs)
    tangents, _ = inputs.unpack(v)
    out, tape = inputs.run(f)
    return np.array(out._array), tape.push(tangents)


def jacobian(f, inputs):
    """The derivative of every element of f's value by every element of `inputs`: shape (*value, *input), one backward per element."""
    inputs = _Inputs(inputs)
    out, tape = inputs.run(f)
    rows = [np.empty((out.size, *leaf.shape), leaf.dtype) for leaf in inputs.leaves]
    for element in range(out.size):
        dout = np.zeros_like(out._array)
        dout.reshape(-1)[element] = 1
        for row, gradient in zip(rows, tape.pull(dout)):
            row[element] = gradient
    return inputs.pack([row.reshape(*out.shape, *leaf.shape) for row, leaf in zip(rows, inputs.leaves)])


def batch_jacobian(f, x):
    """Jacobians (N, O, I) of a batch's rows, for f: (N, I) -> (N, O) whose rows do not depend on each other; O backwards in all.

    jacobian(f, x) of such an f is (N, O, N, I), zero wherever the two rows differ.
    """
    inputs = _Inputs(x)
    out, tape = inputs.run(f)
    leaf = inputs.leaves[0]
    if inputs.names is not None or inputs.several or out.ndim != 2 or leaf.ndim != 2 or len(out) != len(leaf):
        raise ValueError(f"f must map x (N, I) to (N, O), got {tuple(leaf.shape)} to {tuple(out.shape)}")
    rows = np.empty((len(leaf), out.shape[1], leaf.shape[1]), leaf.dtype)
    for o in range(out.shape[1]):
        dout = np.zeros_like(out._array)
        dout[:, o] = 1
        rows[:, o] = tape.pull(dout)[0]
    return rows


def hvp(f, inputs, v):
    """(f's value, H v): H the matrix of second derivatives of the scalar f at `inputs`, v in the form of `inputs`.

    Forward over reverse: forward and backward run once on pairs of values and tangents (Pearlmutter 1994), exact to rounding, for
    about the cost of two gradients whatever the size of H. Dropout draws one mask for both. At kinks (ReLU at 0) the one-sided
    derivatives are those of the backward.
    """
    inputs = _Inputs(inputs)
    tangents, flat = inputs.unpack(v)
    out, tape = inputs.run(f)
    _, products = tape.push_pull(tangents, _scalar(out))
    return np.array(out._array), inputs.pack(products, flat)


def hessian(f, inputs):
    """All second derivatives of the scalar f: shape (*input, *input) of an array; (P, P) over the parameters of a Module.

    One hvp per element. Several inputs are refused: put them into one array.
    """
    inputs = _Inputs(inputs)
    if inputs.names is None and inputs.several:
        raise TypeError("inputs must be one array or a Module, got several arrays")
    out, tape = inputs.run(f)
    dout, sizes = _scalar(out), [leaf.size for leaf in inputs.leaves]
    total = sum(sizes)
    rows = np.empty((total, total), inputs.leaves[0].dtype)
    for element in range(total):
        v = np.zeros(total, rows.dtype)
        v[element] = 1
        parts = [part.reshape(leaf.shape) for part, leaf in zip(np.split(v, np.cumsum(sizes)[:-1]), inputs.leaves)]
        rows[element] = np.concatenate([p.reshape(-1) for p in tape.push_pull(parts, dout)[1]])
    return rows if inputs.names is not None else rows.reshape(inputs.leaves[0].shape * 2)


# --- per-sample gradients

def per_sample_grad(model, loss, X, y):
    """{name: (N, *shape)}: for each row n the gradient of loss(model(X[n:n+1]), y[n:n+1]) by each parameter that requires gradients.

    X (N, I), y as the loss takes it. A network of dense layers and row-wise operations takes one forward and one backward for all
    rows; any other is run row by row. With dropout in training mode each row has a mask of its own.
    """
    for name, value, kind in (("model", model, Module), ("loss", loss, Loss)):
        if not isinstance(value, kind):
            raise TypeError(f"{name} must be an nn.{kind.__name__}, got {type(value).__name__}")
    inputs, X, y = _Inputs(model), as_real(X), np.asarray(y)
    if X.ndim != 2 or y.ndim < 1 or len(X) != len(y):
        raise ValueError(f"X must have shape (N, I) and y N rows, got {X.shape} and {y.shape}")
    with enable_grad():
        z = loss.predictions(model(X))
        op, z, target, weight = loss.plan(z, y, None)
    tape = Tape(z, inputs.leaves)
    if not tape.keeps_rows(len(X)):
        return _row_by_row(inputs, model, loss, X, y)
    if op.mean:
        weight = None  # a row alone is its own mean, whatever it weighs
    dz = np.empty_like(z._array)
    op.rows(tape.book, z._array, target, weight, np.empty(len(X), z.dtype), dz)
    if op.mean:
        dz *= len(X)
    return inputs.pack(tape.pull_rows(dz))


def _row_by_row(inputs, model, loss, X, y):
    rows = [np.zeros((len(X), *leaf.shape), leaf.dtype) for leaf in inputs.leaves]
    for n in range(len(X)):
        out, tape = inputs.run(lambda n=n: loss(model(X[n:n + 1]), y[n:n + 1]))
        for row, gradient in zip(rows, tape.pull(_scalar(out))):
            row[n] = gradient
    return inputs.pack(rows)
