"""Optimizers and their schedules: `import vivace.optim as optim`."""
from ..nn.optim import SGD, Adam, AdamW, Optimizer, optimizer
from . import lr_scheduler

__all__ = ["Adam", "AdamW", "Optimizer", "SGD", "lr_scheduler", "optimizer"]
