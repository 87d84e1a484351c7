"""Optimizers, in PyTorch's names; `lr_scheduler` holds the schedules."""
from . import lr_scheduler
from .adam import Adam, AdamW
from .optimizer import Optimizer
from .sgd import SGD

from .own import optimizer  # isort: skip  (last: the name is also that of a module here, which nobody needs by attribute)

TABLE = {cls.__name__: cls for cls in (SGD, Adam, AdamW)}
"""Optimizers by name: what a saved file may hold."""

__all__ = ["Adam", "AdamW", "Optimizer", "SGD", "lr_scheduler", "optimizer"]
