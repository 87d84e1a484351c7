"""The network of an estimator: its modules, and scikit-learn's way of drawing the first weights."""
import copy
import inspect
import re
from numbers import Real

import numpy as np

from .. import nn
from ..nn import activations as table

ACTIVATIONS = {"identity": nn.Identity, "logistic": nn.Sigmoid, "tanh": nn.Tanh, "relu": nn.ReLU}
"""scikit-learn's names; the other activations of nn go by their class's name in small letters: "silu", "gelu", "leaky_relu"."""


class Residual(nn.Module):
    """y = x + f(x)"""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, x):
        return x + self.inner(x)


def per_layer(name, value, count):
    """`value` for each of `count` hidden layers: a list is taken apart, anything else repeated."""
    if not isinstance(value, (list, tuple)):
        return [value] * count
    if len(value) != count:
        raise ValueError(f"{name} must have one entry for each of the {count} hidden layers, got {len(value)}")
    return list(value)


def activation(value):
    """A new module for a name, a Module class or a Module (which is copied)."""
    if isinstance(value, nn.Module):
        return copy.deepcopy(value)
    if inspect.isclass(value) and issubclass(value, nn.Module):
        return value()
    if value not in NAMES:
        raise ValueError(f"activation must be a Module or one of {', '.join(sorted(NAMES))}, got {value!r}")
    return NAMES[value]()


def _snake(name):
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name.replace("ReLU", "Relu").replace("SiLU", "Silu")).lower()


def _by_name():
    """Activations that need no options and keep the width, under their names."""
    found = {}
    for name, kind in vars(table).items():
        if inspect.isclass(kind) and issubclass(kind, nn.Module) and kind.__module__ == table.__name__ and name[0] != "_":
            options = list(inspect.signature(kind.__init__).parameters.values())[1:]
            if kind is not nn.GLU and all(o.default is not o.empty or o.kind in (o.VAR_POSITIONAL, o.VAR_KEYWORD) for o in options):
                found[_snake(name)] = kind
    return found


NAMES = ACTIVATIONS | _by_name()
"""Every activation by name."""


def normalisation(name, width, dtype):
    """The module "batch" or "layer" stands for."""
    kind = {"batch": "BatchNorm1d", "layer": "LayerNorm"}[name]
    if not hasattr(nn, kind):
        raise ValueError(f"normalisation={name!r} needs nn.{kind}, which this version of vivace does not have")
    return getattr(nn, kind)(width, dtype=dtype)


class Network:
    """The module of an estimator with its linear layers, and where each hidden layer ends."""

    def __init__(self, sizes, activations, dtype, dropout=None, norm=None, residual=False):
        hidden = len(sizes) - 2
        blocks, self.linears = [], []
        rates, kinds = per_layer("dropout", dropout, hidden), per_layer("activation", activations, hidden)
        for rate in rates:
            if rate is not None and not (isinstance(rate, Real) and 0 <= rate < 1):
                raise ValueError(f"dropout must lie in 0..1, below 1, in each layer, got {rate!r}")
        for i in range(hidden):
            parts = [self._linear(sizes, i, dtype)]
            if norm:
                parts.append(normalisation(norm, sizes[i + 1], dtype))
            parts.append(activation(kinds[i]))
            if list(parts[-1].parameters()):  # a slope that is learned
                parts[-1].to(dtype)
            if rates[i]:
                parts.append(nn.Dropout(rates[i]))
            blocks.append(parts)
        last = self._linear(sizes, hidden, dtype)
        modules, self.ends = [], []
        for i, parts in enumerate(blocks):
            modules += [Residual(nn.Sequential(*parts))] if residual and sizes[i] == sizes[i + 1] else parts
            self.ends.append(len(modules))
        self.model = nn.Sequential(*modules, last)
        self.model.to(dtype)

    def _linear(self, sizes, i, dtype):
        self.linears.append(nn.utils.skip_init(nn.Linear, sizes[i], sizes[i + 1], dtype=dtype))
        return self.linears[-1]

    def draw(self, random, activations):
        """Glorot's uniform weights and biases, in the order in which scikit-learn takes them from `random`."""
        factors = [2.0 if name == "logistic" else 6.0 for name in per_layer("activation", activations, len(self.linears) - 1)]
        last = 2.0 if activations == "logistic" else 6.0
        for layer, factor in zip(self.linears, [*factors, last]):
            bound = np.sqrt(factor / (layer.in_features + layer.out_features))
            layer.weight.copy_(random.uniform(-bound, bound, (layer.in_features, layer.out_features)).T)
            layer.bias.copy_(random.uniform(-bound, bound, layer.out_features))
