"""Module: parameters and sub-modules by name, and a forward that is written once."""
from collections import namedtuple
from collections.abc import Mapping
from contextlib import contextmanager

import numpy as np

from . import root
from .buffer import Buffer
from .dtype import real_dtype
from .parameter import Parameter
from .store import Store
from .tensor import as_tensor, grad_enabled

IncompatibleKeys = namedtuple("IncompatibleKeys", "missing_keys unexpected_keys")
"""What load_state_dict found no array for, and what it left."""


class Module:
    """Base of everything that has parameters. A subclass sets parameters and modules as attributes and defines forward(*inputs)."""

    _changes = [0]  # attributes set on any module so far: what was traced holds while this stands still

    def __init__(self):
        object.__setattr__(self, "_parameters", {})
        object.__setattr__(self, "_buffers", {})
        object.__setattr__(self, "_modules", {})
        self.training = True
        self.forwards = 0

    def __setattr__(self, name, value):
        own = [self.__dict__.get(table, {}) for table in ("_parameters", "_buffers", "_modules")]
        if isinstance(value, (Parameter, Buffer, Module)):
            if "_parameters" not in self.__dict__:
                raise AttributeError(f"call super().__init__() before {name} is set")
            for table in own:
                table.pop(name, None)
            own[0 if isinstance(value, Parameter) else 1 if isinstance(value, Buffer) else 2][name] = value
        elif any(name in table for table in own):
            if value is not None:
                raise TypeError(f"{name} must be a Parameter, a Buffer, a Module or None, got {type(value).__name__} "
                                "(copy_ writes values)")
            for table in own:
                table.pop(name, None)
        object.__setattr__(self, name, value)
        if name not in ("training", "forwards"):  # these are not part of a trace: train and eval are traced apart
            self._changes[0] += 1

    def __delattr__(self, name):
        self._changes[0] += 1
        for table in (self._parameters, self._buffers, self._modules):
            table.pop(name, None)
        object.__delattr__(self, name)

    def __call__(self, *inputs, **kwargs):
        if root.running.root is not None:
            return self.forward(*inputs, **kwargs)
        inputs = [as_tensor(t) if isinstance(t, np.ndarray) else t for t in inputs]
        before = root.enter_root(self.forwards)
        if self.training and grad_enabled():
            self.__dict__["forwards"] += 1  # not by __setattr__: it costs what a small layer does
        try:
            return self.forward(*inputs, **kwargs)
        finally:
            root.leave_root(before)

    def forward(self, *inputs):
        """What the module computes."""
        raise TypeError(f"{type(self).__name__} must define forward")

    def __copy__(self):
        """The same parameters and sub-modules, in tables of its own."""
        other = type(self).__new__(type(self))
        other.__dict__.update(self.__dict__)
        for table in ("_parameters", "_buffers", "_modules"):
            other.__dict__[table] = dict(self.__dict__[table])
        return other

    def children(self):
        """The sub-modules."""
        return iter(self._modules.values())

    def named_children(self):
        """(name, sub-module)"""
        return iter(self._modules.items())

    def add_module(self, name, module):
        """Set a sub-module under a name that is made when the program runs."""
        setattr(self, self._free(name), module)

    def register_parameter(self, name, parameter):
        """Set a Parameter, or None, under a name that is made when the program runs."""
        setattr(self, self._free(name), parameter)

    def _free(self, name):
        if not isinstance(name, str) or not name or "." in name or hasattr(type(self), name):
            raise ValueError(f"name must be a text without a point that {type(self).__name__} has no method of, got {name!r}")
        return name

    def apply(self, function):
        """Call function(module) for every module below and for this one, as to initialise them; returns self."""
        for module in self.children():
            module.apply(function)
        function(self)
        return self

    def named_modules(self, prefix="", seen=None):
        """(name, module) of this module and all below, each once."""
        seen = set() if seen is None else seen
        if id(self) in seen:
            return
        seen.add(id(self))
        yield prefix, self
        for name, module in self._modules.items():
            yield from module.named_modules(f"{prefix}.{name}" if prefix else name, seen)

    def modules(self):
        """This module and all below, each once."""
        return (module for _, module in self.named_modules())

    def named_parameters(self):
        """(name, parameter), each parameter once, under its first name."""
        seen = set()
        for name, p in self._all_names():
            if id(p) not in seen:
                seen.add(id(p))
                yield name, p

    def register_buffer(self, name, value):
        """Keep an array that is not trained under `name`: None, a Buffer, or numbers that become one."""
        setattr(self, name, value if value is None or isinstance(value, Buffer) else Buffer(value))

    def named_buffers(self):
        """(name, buffer), each buffer once, under its first name."""
        seen = set()
        for name, b in self._all_buffers():
            if id(b) not in seen:
                seen.add(id(b))
                yield name, b

    def buffers(self):
        """The buffers, each once."""
        return (b for _, b in self.named_buffers())

    def state_names(self):
        """id -> first name, of every parameter and buffer."""
        return {id(t): name for name, t in reversed(list(self._all_state()))}

    def _all_buffers(self, prefix=""):
        for name, b in self._buffers.items():
            yield prefix + name, b
        for name, module in self._modules.items():
            yield from module._all_buffers(f"{prefix}{name}.")

    def _all_state(self, prefix=""):
        """Parameters and buffers in the order of PyTorch's state_dict."""
        for name, t in (*self._parameters.items(), *self._buffers.items()):
            yield prefix + name, t
        for name, module in self._modules.items():
            yield from module._all_state(f"{prefix}{name}.")

    def _all_names(self, prefix=""):
        for name, p in self._parameters.items():
            yield prefix + name, p
        for name, module in self._modules.items():
            yield from module._all_names(f"{prefix}{name}.")

    def parameters(self):
        """The parameters, each once."""
        return (p for _, p in self.named_parameters())

    def state_dict(self):
        """Name -> array (a copy) of parameters and buffers, PyTorch's names and layouts; what is shared stands under each name."""
        return {name: np.array(p.numpy()) for name, p in self._all_state()}

    def load_state_dict(self, state, strict=True):
        """Write the arrays of `state` into the parameters and buffers, converting their dtype.

        strict: names must agree. Names, shapes and types are checked before anything is written; raises KeyError, ValueError or TypeError
        naming what differs. Returns (missing_keys, unexpected_keys).
        """
        if not isinstance(state, Mapping):
            raise TypeError(f"state must be a dict of arrays by name, got {type(state).__name__}")
        own = dict(self._all_state())
        missing, unexpected = [n for n in own if n not in state], [n for n in state if n not in own]
        if strict and (missing or unexpected):
            raise KeyError(f"state_dict does not fit: missing {missing}, unexpected {unexpected}")
        found = {name: np.asarray(value) for name, value in state.items() if name in own}
        for name, value in found.items():
            if value.shape != own[name].shape:
                raise ValueError(f"{name} must have shape {own[name].shape}, got {value.shape}")
            if value.dtype.kind not in "fiub":
                raise TypeError(f"{name} must be numbers, got dtype {value.dtype}")
        for name, value in found.items():
            own[name].copy_(value)
        return IncompatibleKeys(missing, unexpected)

    def train(self, mode=True):
        """Training mode (dropout drops), for this module and all below."""
        for module in self.modules():
            module.training = bool(mode)
        return self

    def eval(self):
        """Evaluation mode."""
        return self.train(False)

    def requires_grad_(self, requires_grad=True):
        """Freeze (False) or release (True) all parameters."""
        for p in self.parameters():
            p.requires_grad_(requires_grad)
        return self

    def zero_grad(self, set_to_none=True):
        """Forget all gradients."""
        for p in self.parameters():
            p.grad = None

    def to(self, dtype):
        """Convert all parameters to `dtype`, in place, with their gradients and optimizer states, and all buffers but counters."""
        dtype = real_dtype(dtype)
        if any(p.dtype != dtype for p in self.parameters()):
            Store.converted(self.parameters(), dtype)
        for b in self.buffers():
            if b.kind == "real" and b.dtype != dtype:
                b.convert(dtype)
        return self

    def double(self):
        """Convert to float64."""
        return self.to(np.float64)

    def float(self):
        """Convert to float32."""
        return self.to(np.float32)

    def config(self):
        """What the constructor needs to make the module again; None for a module that only a saved graph can describe."""
        return None

    def extra_repr(self):
        """What stands between the brackets of the repr."""
        return ""

    def __repr__(self):
        lines = [f"({name}): {repr(module)}".replace("\n", "\n  ") for name, module in self._modules.items()]
        if not lines:
            return f"{type(self).__name__}({self.extra_repr()})"
        return f"{type(self).__name__}(\n  " + "\n  ".join(lines) + "\n)"

    def _table(self):
        rows = [(name or "(root)", type(m).__name__, ", ".join(f"{n} {tuple(p.shape)}" for n, p in m._parameters.items()),
                 sum(p.size for p in m._parameters.values())) for name, m in self.named_modules() if not m._modules or m._parameters]
        return rows, sum(p.size for p in self.parameters())

    def summary(self):
        """A table of layers, shapes and parameter counts, as text."""
        rows, total = self._table()
        cells = [("layer", "type", "parameters", "count"), *[(a, b, c, f"{n:,}") for a, b, c, n in rows]]
        widths = [max(len(row[i]) for row in cells) for i in range(4)]
        lines = ["  ".join(cell.ljust(w) for cell, w in zip(row, widths)).rstrip() for row in cells]
        return "\n".join([*lines, f"{total:,} parameters"])

    def _repr_html_(self):
        rows, total = self._table()
        body = "".join(f"<tr><td>{a}</td><td>{b}</td><td>{c}</td><td>{n:,}</td></tr>" for a, b, c, n in rows)
        return ("<table><tr><th>layer</th><th>type</th><th>parameters</th><th>count</th></tr>"
                f"{body}<tr><td colspan=3>all</td><td>{total:,}</td></tr></table>")


@contextmanager
def evaluation(model):
    """Within it, the model is in evaluation mode; then every module has the mode it had."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode
