"""What PyTorch's nn.utils has for gradients and flat parameters."""
import numpy as np

from .. import kernels
from .optim.optimizer import at_least


def _held(parameters):
    return [p for p in ([parameters] if hasattr(parameters, "gradient_array") else parameters) if p.gradient_array() is not None]


def clip_grad_norm_(parameters, max_norm):
    """Scale all gradients by max_norm / (norm + 1e-6) where their norm, taken together, exceeds max_norm; returns the norm before."""
    at_least("max_norm", max_norm, 0)
    arrays = [p.gradient_array() for p in _held(parameters)]
    if not arrays:
        return 0.0
    flat, norm = np.concatenate([a.reshape(-1) for a in arrays]), np.empty(1)
    kernels.get().clip_norm(flat, norm, float(max_norm))
    start = 0
    for a in arrays:
        a.reshape(-1)[...] = flat[start:start + a.size]
        start += a.size
    return float(norm[0])


def clip_grad_value_(parameters, clip_value):
    """Cut every element of the gradients to -clip_value..clip_value."""
    at_least("clip_value", clip_value, 0)
    for p in _held(parameters):
        np.clip(p.gradient_array(), -clip_value, clip_value, out=p.gradient_array())


def parameters_to_vector(parameters):
    """All values one after the other (P,)."""
    return np.concatenate([p.numpy().reshape(-1) for p in parameters])


def vector_to_parameters(vec, parameters):
    """Write a vector (P,) into the parameters."""
    parameters, start = list(parameters), 0
    vec = np.asarray(vec)
    if vec.shape != (sum(p.size for p in parameters),):
        raise ValueError(f"vec must have shape ({sum(p.size for p in parameters)},), got {vec.shape}")
    for p in parameters:
        p.copy_(vec[start:start + p.size].reshape(p.shape))
        start += p.size
