"""Tables of vectors picked by indices."""
import numpy as np

from . import functional as F
from . import init
from .checks import choice, count
from .dtype import real_dtype
from .layer_functions import MODES
from .module import Module
from .parameter import Parameter


class _Table(Module):
    def __init__(self, num_embeddings, embedding_dim, padding_idx, max_norm, scale_grad_by_freq, sparse, dtype):
        super().__init__()
        for name, value in (("max_norm", max_norm), ("scale_grad_by_freq", scale_grad_by_freq), ("sparse", sparse)):
            if value not in (None, False):
                why = {"sparse": "a compiled epoch updates only the rows that a batch names by itself, with Adagrad and plain SGD"}
                raise ValueError(f"{name} is not supported: {why.get(name, 'rows keep their length and gradients their size')}, "
                                 f"got {value!r}")
        self.num_embeddings, self.embedding_dim = count("num_embeddings", num_embeddings), count("embedding_dim", embedding_dim)
        if padding_idx is not None and count("padding_idx", padding_idx, -num_embeddings) >= num_embeddings:
            raise ValueError(f"padding_idx must lie in {-num_embeddings}..{num_embeddings - 1}, got {padding_idx!r}")
        self.padding_idx = None if padding_idx is None else int(padding_idx) % self.num_embeddings
        self.weight = Parameter(np.zeros((num_embeddings, embedding_dim), real_dtype(dtype)))
        self.reset_parameters()

    def reset_parameters(self):
        """Draw the table anew from the standard normal distribution; the row padding_idx is zero."""
        init.normal_(self.weight)
        if self.padding_idx is not None:
            table = np.array(self.weight.numpy())
            table[self.padding_idx] = 0
            self.weight.copy_(table)

    def config(self):
        return {"num_embeddings": self.num_embeddings, "embedding_dim": self.embedding_dim, "padding_idx": self.padding_idx,
                "dtype": str(self.weight.dtype)}

    def extra_repr(self):
        padding = "" if self.padding_idx is None else f", padding_idx={self.padding_idx}"
        return f"{self.num_embeddings}, {self.embedding_dim}{padding}"


class Embedding(_Table):
    """y = weight[x]: the rows of a table (num_embeddings, embedding_dim) that the indices x name; x (...) int64 -> (..., embedding_dim).

    In a plan x is (N, K), columns of the data that hold whole numbers 0..num_embeddings-1, and y (N, K embedding_dim): follow it with
    Flatten, and both speeds agree. The table starts standard normal. The row padding_idx starts as zeros and gets no gradient.
    An element of the gradient is summed in the order of the rows, so that bits do not depend on threads. With Adagrad and with SGD
    without momentum or decay, a compiled epoch writes and updates only the rows that a batch names: the bits of the dense update.
    """

    def __init__(self, num_embeddings, embedding_dim, padding_idx=None, max_norm=None, scale_grad_by_freq=False, sparse=False, dtype=None):
        super().__init__(num_embeddings, embedding_dim, padding_idx, max_norm, scale_grad_by_freq, sparse, dtype)

    def forward(self, x):
        return F.embedding(x, self.weight, self.padding_idx)


class EmbeddingBag(_Table):
    """y[n] = sum, mean or elementwise largest (mode) of the rows weight[x[n, k]] over k; x (N, K) -> (N, embedding_dim).

    Or x (L,) with offsets (N,), where each bag begins (custom loops only). The index padding_idx is absent from bags; an empty bag
    gives 0. "max" sends its gradient to the first of equal rows.
    """

    def __init__(self, num_embeddings, embedding_dim, max_norm=None, scale_grad_by_freq=False, mode="mean", sparse=False,
                 padding_idx=None, dtype=None):
        choice("mode", mode, MODES)
        super().__init__(num_embeddings, embedding_dim, padding_idx, max_norm, scale_grad_by_freq, sparse, dtype)
        self.mode = mode

    def forward(self, x, offsets=None):
        return F.embedding_bag(x, self.weight, offsets, self.mode, self.padding_idx)

    def config(self):
        return {**super().config(), "mode": self.mode}

    def extra_repr(self):
        return f"{super().extra_repr()}, mode={self.mode!r}"
