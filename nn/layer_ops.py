"""Graph operations of layers with more than an activation in them: normalisation, learned slopes, noise, embedding."""
import numpy as np

from .ops import TABLE, Moving, Op


class BatchNorm(Op):
    """y = (x - mean) rstd w + b; statistics of the batch in training (and running ones brought up to date), else the running ones.

    Inputs x, w, b, running mean, running variance, count; all but x may be None.
    """

    name = "batch_norm"
    needs_rows = property(lambda self: self.training)

    def __init__(self, eps=1e-5, momentum=0.1, training=True):
        self.eps, self.momentum, self.training = float(eps), None if momentum is None else float(momentum), bool(training)

    def attributes(self):
        return {"eps": self.eps, "momentum": self.momentum, "training": self.training}

    def shape(self, x, w=None, *others):
        if len(x) != 2:
            raise ValueError(f"batch_norm needs an input of shape (N, features), got {x}")
        for other in (w, *others[:3]):
            if other is not None and other != (x[1],):
                raise ValueError(f"batch_norm: the input must have {other[0]} columns, got shape {x}")
        if self.training and x[0] == 1:
            raise ValueError("batch_norm needs more than 1 row per batch in training, got 1: the variance of one row is 0")
        return x

    def keeps(self, x, *_):
        return [((x[1],), "real")] * (3 if self.training else 1)

    def forward(self, k, y, x, w, b, running_mean, running_var, count):
        if self.training:
            mean, rstd, var = self.kept
            k.batch_statistics(x, mean, rstd, var, self.eps)
            if running_mean is not None and not x.shape[0] == 0:
                k.running_update(mean, var, running_mean, running_var, count.reshape(1), -1.0 if self.momentum is None else self.momentum)
        else:
            mean, (rstd,) = running_mean, self.kept
            k.inverse_deviation(running_var, rstd, self.eps)
        k.normalize_columns(x, mean, rstd, w, b, y)

    def backward(self, k, new, needs, dy, y, x, w, b, running_mean, running_var, count):
        mean, rstd = (self.kept if self.training else (running_mean, *self.kept))[:2]
        dx, dw, db = new(x) if needs[0] else None, new(mean), new(mean)
        if self.training or needs[1] or needs[2]:
            k.batch_norm_backward_weight(x, dy, mean, rstd, dw, db)
        if needs[0] and self.training:
            k.batch_norm_backward_input(x, dy, mean, rstd, w, dw, db, dx)
        elif needs[0]:
            k.scale_columns(dy, rstd, w, dx)
        return dx, dw if needs[1] else None, db if needs[2] else None, None, None, None


class LayerNorm(Op):
    """y = (x - mean) rstd w + b, statistics of each row; not centred: mean is 0 (RMS norm)"""

    name = "layer_norm"

    def __init__(self, eps=1e-5, centred=True):
        self.eps, self.centred = float(eps), bool(centred)

    def attributes(self):
        return {"eps": self.eps, "centred": self.centred}

    def shape(self, x, w=None, b=None):
        if len(x) != 2:
            raise ValueError(f"layer_norm needs an input of shape (N, features), got {x}")
        for other in (w, b):
            if other is not None and other != (x[1],):
                raise ValueError(f"layer_norm: the input must have {other[0]} columns, got shape {x}")
        return x

    def keeps(self, x, *_):
        return [((x[0],), "real")] * 2

    def forward(self, k, y, x, w, b):
        k.layer_norm_forward(x, w, b, y, *self.kept, self.eps, self.centred)

    def backward(self, k, new, needs, dy, y, x, w, b):
        mean, rstd = self.kept
        dx, dw, db = new(x) if needs[0] else None, new(w) if needs[1] else None, new(b) if needs[2] else None
        if needs[0]:
            k.layer_norm_backward_input(x, w, dy, mean, rstd, dx, self.centred)
        if needs[1] or needs[2]:
            k.layer_norm_backward_weight(x, dy, mean, rstd, dw, db)
        return dx, dw, db


class PReLU(Op):
    """y = x where x > 0, w x elsewhere; w (1,) is shared by all columns, w (I,) one for each"""

    name = "prelu"

    def shape(self, x, w):
        if len(x) != 2 or w not in ((1,), (x[1],)):
            raise ValueError(f"prelu needs an input of shape (N, {w[0] if w[0] != 1 else 'features'}), got {x}")
        return x

    def keeps(self, x, w):
        return [((x[1],), "real")] if w != (x[1],) else ()

    def _wide(self, w):
        return self.kept[0] if self.kept else w

    def forward(self, k, y, x, w):
        wide = self._wide(w)
        if wide is not w:
            k.spread(w, wide)
        k.prelu_forward(x, wide, y)

    def backward(self, k, new, needs, dy, y, x, w):
        wide = self._wide(w)
        dx, dw = new(x) if needs[0] else None, new(w) if needs[1] else None
        if needs[0]:
            k.prelu_backward_input(x, wide, dy, dx)
        if needs[1]:
            columns = dw if wide is w else new(wide)
            k.prelu_backward_weight(x, dy, columns)
            if wide is not w:
                k.sum_all(columns, dw)
        return dx, dw


class _Random(Op):
    random = True
    seed = place = step = layer = slot = number = None

    def _draw(self):
        return self.seed, self.place, self.step


class GaussianNoise(_Random):
    """y = x + std z, z standard normal"""

    name, number = "gaussian_noise", "std"

    def __init__(self, std=1.0, place=None, layer=None):
        self.std, self.place, self.layer = float(std), place, layer

    def attributes(self):
        return {"std": self.std, "place": self.place}

    def forward(self, k, y, x):
        k.gaussian_noise(x, y, self.slot or self.std, *self._draw())

    def backward(self, k, new, needs, dy, y, x):
        return (dy,)


class RReLU(_Random):
    """y = x where x > 0, a x elsewhere, a uniform in lower..upper for each element"""

    name = "rrelu"

    def __init__(self, lower=0.125, upper=1 / 3, place=None):
        self.lower, self.upper, self.place = float(lower), float(upper), place

    def attributes(self):
        return {"lower": self.lower, "upper": self.upper, "place": self.place}

    def forward(self, k, y, x):
        k.rrelu_forward(x, y, self.lower, self.upper, *self._draw())

    def backward(self, k, new, needs, dy, y, x):
        dx = new(x)
        k.rrelu_backward(x, dy, dx, self.lower, self.upper, *self._draw())
        return (dx,)


class _Lookup(Moving):
    """Indices x (N, K), int64 or whole numbers held in floats, and a table w (V, O)."""

    absent = 0  # the smallest index

    def keeps(self, x, w):
        return [(x, "int")]

    def _indices(self, x, k=None):
        """x, or the indices made of it: by k, in the forward pass."""
        if getattr(x, "kind", None) == "int" or getattr(x, "dtype", None) == np.int64:
            return x
        if k is not None:
            k.whole_numbers(x, self.kept[0])
        return self.kept[0]


class Embedding(_Lookup):
    """y = the rows w[x[n, 0]], w[x[n, 1]], ... side by side: (N, K O)"""

    name = "embedding"

    def __init__(self, padding=-1):
        self.padding = int(padding)

    def attributes(self):
        return {"padding": self.padding}

    def shape(self, x, w):
        if len(x) != 2:
            raise ValueError(f"embedding needs indices of shape (N, K), got {x}")
        return (x[0], x[1] * w[1])

    def forward(self, k, y, x, w):
        k.embedding_forward(self._indices(x, k), w, y)

    def backward(self, k, new, needs, dy, y, x, w):
        dw = new(w)
        k.embedding_backward(self._indices(x), dy, dw, self.padding)
        return None, dw


class EmbeddingBag(_Lookup):
    """y[n] = sum (mode 0), mean (1) or largest (2) of the rows w[x[n, k]] over k; -1 and padding are absent"""

    name, absent = "embedding_bag", -1

    def __init__(self, mode=1, padding=-1):
        self.mode, self.padding = int(mode), int(padding)

    def attributes(self):
        return {"mode": self.mode, "padding": self.padding}

    def shape(self, x, w):
        if len(x) != 2:
            raise ValueError(f"embedding_bag needs indices of shape (N, K), got {x}")
        return (x[0], w[1])

    def forward(self, k, y, x, w):
        k.embedding_bag_forward(self._indices(x, k), w, y, self.mode, self.padding)

    def backward(self, k, new, needs, dy, y, x, w):
        dw = new(w)
        k.embedding_bag_backward(self._indices(x), w, dy, dw, self.mode, self.padding)
        return None, dw


TABLE |= {op.name: op for op in (BatchNorm, LayerNorm, PReLU, GaussianNoise, RReLU, Embedding, EmbeddingBag)}
