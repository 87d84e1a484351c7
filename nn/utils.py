"""What PyTorch's nn.utils has for gradients and flat parameters."""
import math

import numpy as np

from .. import kernels
from .checks import flag, not_negative, number
from .parameter import Parameter


def _held(parameters):
    """The gradients that there are, as arrays."""
    try:
        found = [p.gradient_array() for p in ([parameters] if isinstance(parameters, Parameter) else parameters)]
    except (TypeError, AttributeError):
        raise TypeError(f"parameters must be one Parameter or several, as model.parameters() gives, got {parameters!r}") from None
    return [gradient for gradient in found if gradient is not None]


def clip_grad_norm_(parameters, max_norm, norm_type=2.0, error_if_nonfinite=False):
    """Scale all gradients by max_norm / (norm + 1e-6) where their norm, taken together, exceeds max_norm; returns the norm before.

    norm = (sum of |g|^norm_type)^(1 / norm_type); norm_type inf: the largest |g|. max_norm inf scales nothing, as does a norm of NaN;
    error_if_nonfinite: a norm that is NaN or infinite raises RuntimeError instead. Pascanu et al. 2013, arXiv:1211.5063
    """
    max_norm = max_norm if max_norm == math.inf else not_negative("max_norm", max_norm)
    if norm_type != 2:
        number("norm_type", norm_type, above=0, infinite=True)
    arrays = _held(parameters)
    if not arrays:
        return 0.0
    flat, norm = np.concatenate([a.reshape(-1) for a in arrays]), np.empty(1)
    if norm_type == 2:
        kernels.get().clip_norm(flat, norm, float(max_norm))
    else:
        norm[0] = _norm(flat, norm_type)
        if norm[0] > max_norm:
            kernels.get().scale(flat, flat, max_norm / (norm[0] + 1e-6), 0.0)
    if flag("error_if_nonfinite", error_if_nonfinite) and not math.isfinite(norm[0]):
        raise RuntimeError(f"the norm of order {norm_type} of the gradients is {norm[0]}, so nothing was clipped; "
                           "with error_if_nonfinite=False they are scaled by it")
    start = 0
    for a in arrays if norm[0] > max_norm else ():
        a.reshape(-1)[...] = flat[start:start + a.size]
        start += a.size
    return float(norm[0])


def _norm(flat, order):
    """(sum of |g|^order)^(1 / order) in float64: the largest |g| times what is left, so that no power leaves the range."""
    size = np.abs(flat, dtype=np.float64)
    largest = size.max(initial=0.0)
    return largest if math.isinf(order) or not 0 < largest < math.inf else largest * ((size / largest) ** order).sum() ** (1 / order)


def clip_grad_value_(parameters, clip_value):
    """Cut every element of the gradients to -clip_value..clip_value."""
    not_negative("clip_value", clip_value)
    for gradient in _held(parameters):
        np.clip(gradient, -clip_value, clip_value, out=gradient)


def skip_init(module_cls, *args, **kwargs):
    """module_cls(*args, **kwargs) without its reset_parameters(): nothing is drawn, the values are for you to write."""
    undrawn = type(module_cls.__name__, (module_cls,), {"reset_parameters": lambda self: None})
    module = undrawn(*args, **kwargs)
    module.__class__ = module_cls
    return module


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
