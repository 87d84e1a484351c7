"""Schedules of hyperparameters; they live in vivace.nn.optim.lr_scheduler."""
from ..nn.optim.lr_scheduler import ExponentialLR, LambdaLR, LRScheduler, StepLR

__all__ = ["ExponentialLR", "LRScheduler", "LambdaLR", "StepLR"]
