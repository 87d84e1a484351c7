"""Derivatives as functions: gradients by inputs, Jacobians, per-sample gradients, products with Hessians (nn/func.py)."""
from .nn.func import __all__ as __all__
from .nn.func import batch_jacobian, grad, grad_and_value, hessian, hvp, jacobian, jvp, per_sample_grad, vjp  # noqa: F401
