"""Layers with parameters or state of their own, and containers."""
import numpy as np

from . import functional as F
from . import init
from .checks import count, flag, not_negative, number
from .dtype import real_dtype
from .module import Module
from .parameter import Parameter
from .tensor import as_tensor


class Linear(Module):
    """y = x wᵀ + b;  x (N, in_features) -> y (N, out_features).

    weight (out_features, in_features), bias (out_features,). Both start uniform in ±1/sqrt(in_features), as in PyTorch; nn.init
    has others. dtype None: the default.
    """

    def __init__(self, in_features, out_features, bias=True, dtype=None):
        super().__init__()
        self.in_features, self.out_features = count("in_features", in_features), count("out_features", out_features)
        dtype = real_dtype(dtype)
        self.weight = Parameter(np.zeros((out_features, in_features), dtype))
        self.bias = Parameter(np.zeros(out_features, dtype)) if flag("bias", bias) else None
        self.reset_parameters()

    def reset_parameters(self):
        """Draw weight and bias anew."""
        bound = 1 / np.sqrt(self.in_features)
        for p in self.parameters():
            init.uniform_(p, -bound, bound)

    def forward(self, x):
        return F.linear(x, self.weight, self.bias)

    def config(self):
        return {"in_features": self.in_features, "out_features": self.out_features, "bias": self.bias is not None,
                "dtype": str(self.weight.dtype)}

    def extra_repr(self):
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"


class Dropout(Module):
    """Drops each element with probability p (rounded to 1/65536) in training, and scales the others by 1 / (1 - p).

    A schedule moves p with option=(layer, "p"). inplace is there for programs written for PyTorch: results are the same.
    """

    scheduled = ("p",)

    def __init__(self, p=0.5, inplace=False):
        super().__init__()
        self.p = number("p", p, 0, 1)

    def forward(self, x):
        return F.dropout(x, self.p, self.training, layer=self)

    def config(self):
        return {"p": self.p}

    def extra_repr(self):
        return f"p={self.p}"


class _Places(Module):
    """Modules by place, and its sub-modules by name."""

    def __len__(self):
        return len(self._modules)

    def __iter__(self):
        return iter(self._modules.values())

    def __setitem__(self, index, module):
        """Put another module in the place `index`."""
        if not isinstance(module, Module):
            raise TypeError(f"{type(self).__name__} takes modules, got {type(module).__name__}")
        name = list(self._modules)[index]
        self._modules[name] = module
        if name in self.__dict__:
            self.__dict__[name] = module
        self._changes[0] += 1

    def append(self, module):
        """Add a module at the end; returns self."""
        if not isinstance(module, Module):
            raise TypeError(f"{type(self).__name__} takes modules, got {type(module).__name__}")
        self._modules[str(len(self))] = module
        self._changes[0] += 1
        return self


class Sequential(_Places):
    """Modules one after the other; or a dict of them, whose names then stand in state_dict."""

    def __init__(self, *modules):
        super().__init__()
        named = modules[0].items() if len(modules) == 1 and isinstance(modules[0], dict) else enumerate(modules)
        for name, module in named:
            if not isinstance(module, Module):
                raise TypeError(f"Sequential takes modules, got {type(module).__name__} at place {name}")
            self.append(module) if isinstance(name, int) else self.add_module(name, module)

    def forward(self, x):
        for module in self._modules.values():
            x = module(x)
        return x

    def __getitem__(self, index):
        modules = list(self._modules.values())
        return Sequential(*modules[index]) if isinstance(index, slice) else modules[index]


class Residual(Sequential):
    """y = x + f(x), f being the modules one after the other; f must keep the width of x. He et al. 2016, arXiv:1512.03385

    Where widths differ, a projection is yours to write: a Module whose forward is self.project(x) + self.f(x).
    """

    def forward(self, x):
        y = super().forward(x)
        if y.shape != as_tensor(x).shape:
            raise ValueError(f"Residual: f(x) must have the shape of x, {x.shape}, got {y.shape}; project x in a Module of your own")
        return F.add(as_tensor(x), y)


class Flatten(Module):
    """(N, ...) -> (N, features); nothing to do in a plan, where everything is (N, features)"""

    def forward(self, x):
        return F.flatten(x)

    def config(self):
        return {}


class GaussianNoise(Module):
    """y = x + std z in training, z standard normal for each element; y = x in evaluation. Noise on inputs or hidden values regularises.

    Counter-based: z is a function of (seed, place, step, element). Bishop 1995, "Training with noise is equivalent to Tikhonov
    regularization". A schedule moves std with option=(layer, "std").
    """

    scheduled = ("std",)

    def __init__(self, std=0.1):
        super().__init__()
        self.std = not_negative("std", std)

    def forward(self, x):
        return F.gaussian_noise(x, self.std, self.training, self)

    def config(self):
        return {"std": self.std}

    def extra_repr(self):
        return f"std={self.std}"


class ModuleList(_Places):
    """A list of modules, whose parameters are found."""

    def __init__(self, modules=()):
        super().__init__()
        for module in modules:
            self.append(module)

    def __getitem__(self, index):
        return list(self._modules.values())[index]
