"""Adversarial examples: inputs moved by at most eps per feature so that the loss grows. Trainer(adversarial=PGD(...)) trains on them.

    attack = vv.adversarial.PGD(eps=0.1, clip=(0, 1))
    trainer = vv.Trainer(model, loss, optimizer, adversarial=attack)
    vv.adversarial.robust_accuracy(model, loss, X, y, attack)

Attacks look at the model in evaluation mode, change nothing in it, and are functions of their arguments alone.
"""
import math
import numbers

import numpy as np

from . import prepare
from .nn import checks
from .nn.loss_value import loss_value
from .nn.losses import Loss
from .nn.module import Module, evaluation
from .nn.sparse import SparseRows
from .nn.tape import Tape
from .nn.tensor import enable_grad, wrap


class Attack:
    """Base of attacks: attack(model, loss, X, y, seed=0) -> moved inputs (N, I) of the model's float type.

    eps >= 0: largest change of a feature, in the units of X. clip: None, or (low, high), the range that features keep to.
    """

    def __init__(self, eps, clip=None):
        self.eps = _number("eps", eps)
        if clip is not None:
            if not isinstance(clip, tuple | list) or len(clip) != 2 or not all(map(_real, clip)) or not clip[0] < clip[1]:
                raise ValueError(f"clip must be None or (low, high) with low < high, got {clip!r}")
            clip = float(clip[0]), float(clip[1])
        self.clip = clip

    def __call__(self, model, loss, X, y, seed=0):
        for name, value, kind in (("model", model, Module), ("loss", loss, Loss)):
            if not isinstance(value, kind):
                raise TypeError(f"{name} must be an nn.{kind.__name__}, got {type(value).__name__}")
        dtype = next(iter(model.parameters())).dtype
        X = np.ascontiguousarray(prepare.inputs([X], dtype)[0], dtype)
        with evaluation(model), enable_grad():
            outputs = model(X).shape[1]
        return self.moved(model, loss, X, prepare.targets(loss, y, outputs, dtype, len(X)), (seed,))

    def moved(self, model, loss, x, target, key):
        """x (N, I) moved, `target` being prepared by the loss; key: integers that random numbers are a function of."""
        raise NotImplementedError

    def within(self, moved, x):
        """`moved`, brought back to at most eps from x and into the range."""
        eps = x.dtype.type(self.eps)
        moved = np.clip(moved, x - eps, x + eps)
        return moved if self.clip is None else np.clip(moved, *map(x.dtype.type, self.clip))

    def config(self):
        """What the constructor needs to make it again."""
        return {"eps": self.eps, "clip": None if self.clip is None else list(self.clip)}

    def __eq__(self, other):
        return type(other) is type(self) and other.config() == self.config()

    __hash__ = None

    def __repr__(self):
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self.config().items())})"


class FGSM(Attack):
    """x + eps sign(dL/dx). Goodfellow et al. 2015, arXiv:1412.6572"""

    def moved(self, model, loss, x, target, key):
        return self.within(x + x.dtype.type(self.eps) * np.sign(input_gradient(model, loss, x, target)), x)


class PGD(Attack):
    """`steps` times: x <- within eps of the start: x + step_size sign(dL/dx). Madry et al. 2018, arXiv:1706.06083

    step_size: None is 2.5 eps / steps. random_start: begin anywhere within eps, drawn by the seed, not at the input itself.
    """

    def __init__(self, eps, clip=None, steps=10, step_size=None, random_start=True):
        super().__init__(eps, clip)
        self.steps = checks.count("steps", steps)
        self.step_size = 2.5 * self.eps / self.steps if step_size is None else _number("step_size", step_size)
        self.random_start = bool(random_start)

    def moved(self, model, loss, x, target, key):
        moved = x
        if self.random_start:
            noise = np.random.default_rng(key).uniform(-self.eps, self.eps, x.shape)
            moved = self.within((x + noise).astype(x.dtype), x)
        for _ in range(self.steps):
            gradient = input_gradient(model, loss, moved, target)
            moved = self.within(moved + x.dtype.type(self.step_size) * np.sign(gradient), x)
        return moved

    def config(self):
        return {**super().config(), "steps": self.steps, "step_size": self.step_size, "random_start": self.random_start}


TABLE = {cls.__name__: cls for cls in (FGSM, PGD)}
"""Attacks by name: what a saved trainer may hold."""


def input_gradient(model, loss, x, target):
    """dL/dx (N, I) of the batch's loss in evaluation mode; x (N, I) of the model's float type, `target` prepared by the loss."""
    leaf = wrap(np.ascontiguousarray(x).view())
    leaf.requires_grad = True
    with evaluation(model), enable_grad():
        z, logits = loss.source(loss.predictions(model(leaf)))
        value = loss_value(loss.operation(target.dtype == np.int64, logits), z, target, None)
    return Tape(value, [leaf]).pull(np.ones_like(value.numpy()))[0]


def robust_accuracy(model, loss, X, y, attack, seed=0):
    """Part of the rows whose class is still right after `attack`; y (N,) classes, outputs scores of which the largest (or, of a single
    one, the loss's threshold) decides."""
    moved = attack(model, loss, X, y, seed)
    with evaluation(model):
        z = model(moved).numpy()
    chosen = z.argmax(axis=1) if z.shape[1] > 1 else (z[:, 0] > loss.threshold)
    return float(np.mean(chosen == np.asarray(y).reshape(-1)))


class Moving:
    """The inputs of a fit under attack: before each step its rows are moved, against the weights of that moment."""

    def __init__(self, trainer, arrays, target):
        if len(arrays) != 1:
            raise ValueError(f"adversarial training needs a model of one input, got {len(arrays)}")
        if isinstance(arrays[0], SparseRows):
            raise ValueError("adversarial training moves every number of X, which is sparse; it needs X.toarray()")
        self.trainer, self.target = trainer, target
        self.inputs = np.ascontiguousarray(arrays[0], trainer.store.dtype)
        self.moved = self.inputs.copy()  # what the engine reads

    def move(self, rows):
        """Move the rows of the next step."""
        t = self.trainer
        self.moved[rows] = t.adversarial.moved(t.model, t.loss, self.inputs[rows], self.target[rows], (t.seed, t.step))


def _real(value):
    return isinstance(value, numbers.Real) and not isinstance(value, bool) and math.isfinite(value)


def _number(name, value):
    if not _real(value) or value < 0:
        raise ValueError(f"{name} must be a finite number >= 0, got {value!r}")
    return float(value)


__all__ = ["Attack", "FGSM", "PGD", "input_gradient", "robust_accuracy"]
