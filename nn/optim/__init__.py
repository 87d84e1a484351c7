"""Optimizers, in PyTorch's names; `lr_scheduler` holds the schedules."""
from . import lr_scheduler
from .adam import Adam, Adamax, AdamW, NAdam, RAdam
from .adaptive import Adadelta, Adagrad, RMSprop, Rprop
from .lbfgs import LBFGS
from .levenberg_marquardt import LevenbergMarquardt
from .lion import Lion
from .optimizer import Optimizer
from .sgd import SGD

from .own import optimizer  # isort: skip  (last: the name is also that of a module here, which nobody needs by attribute)

TABLE = {cls.__name__: cls for cls in (SGD, Adagrad, Adadelta, RMSprop, Rprop, Adam, AdamW, Adamax, NAdam, RAdam, Lion)}
"""Optimizers by name: what a saved file may hold. LBFGS and LevenbergMarquardt, which work on all rows at once, are not in files."""

__all__ = ["Adadelta", "Adagrad", "Adam", "AdamW", "Adamax", "LBFGS", "LevenbergMarquardt", "Lion", "NAdam", "Optimizer", "RAdam",
           "RMSprop", "Rprop", "SGD", "lr_scheduler", "optimizer"]
