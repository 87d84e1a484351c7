"""Numerical derivatives, and random networks to take them of."""
import numpy as np
import vivace.nn.functional as F

import vivace as vv
from vivace import nn

RTOL, ATOL = 5e-6, 1e-10
SIZES = (0, 1, 15, 16, 17, 31, 32, 33, 63, 64, 65)
WEIGHTS = ((-2, 1 / 12), (-1, -8 / 12), (1, 8 / 12), (2, -1 / 12))
STEP = 1e-3


def close(analytic, numeric, what):
    """Assert |a - b| <= ATOL + RTOL |b|, naming the worst element."""
    analytic, numeric = np.asarray(analytic), np.asarray(numeric)
    assert analytic.shape == numeric.shape, what
    excess = np.abs(analytic - numeric) - ATOL - RTOL * np.abs(numeric)
    if analytic.size and not (excess <= 0).all():
        worst = np.unravel_index(np.argmax(np.where(np.isnan(excess), np.inf, excess)), excess.shape)
        raise AssertionError(f"{what}: at {worst} the derivative is {analytic[worst]!r}, the stencil gives {numeric[worst]!r}")


def along(function, x, direction, dy):
    """d/dh of the sum of dy * function(x + h direction); dy None: of function itself. Differences are taken before the sum."""
    total = 0.0
    for place, weight in WEIGHTS:
        total = total + weight * function(x + place * STEP * direction)
    return float((total if dy is None else total * dy).sum()) / STEP


def places(shape, rng, most=24):
    """Up to `most` elements of an array, corners included."""
    size = int(np.prod(shape))
    chosen = range(size) if size <= most else np.unique(np.concatenate([[0, size - 1], rng.integers(0, size, most - 2)]))
    return [np.unravel_index(int(i), shape) for i in chosen]


def check_gradient(function, x, gradient, dy, rng, what, most=24):
    """Compare `gradient` at single elements of x, and along two random directions that feel all of them."""
    assert gradient.shape == x.shape, what
    for place in places(x.shape, rng, most):
        direction = np.zeros(x.shape)
        direction[place] = 1.0
        close(gradient[place], along(function, x, direction, dy), f"{what}, element {place}")
    for _ in range(2 if x.size else 0):
        direction = rng.choice([-1.0, 1.0], x.shape) / np.sqrt(x.size)
        close((gradient * direction).sum(), along(function, x, direction, dy), f"{what}, along a direction")


class RandomNet(nn.Module):
    """A random graph over inputs (N, width): layers (some tied, some biases shared), activations, sums, products, slices, ...

    A kinked activation notes in `margin` how far its input stays from the kink. dropout: with dropout among the operations.
    """

    smooth = (F.sigmoid, F.tanh, F.gelu, F.silu, F.softplus, F.softmax)
    kinked = (F.relu, F.leaky_relu, F.elu)

    def __init__(self, seed, width=6, outputs=4, operations=14, dropout=False):
        super().__init__()
        self.margin = np.inf
        self.layers = nn.ModuleList()
        rng = np.random.default_rng(seed)
        widths, self.program = [width], []
        names = ["linear", "linear", "linear", "activation", "activation", "kinked", "add", "subtract", "multiply", "divide",
                 "concatenate", "slice", "scale", "power", "residual"] + (["dropout"] if dropout else [])
        for name in rng.permutation(names)[:operations].tolist() + ["last"]:
            i = int(rng.integers(max(0, len(widths) - 4), len(widths)))
            fits = [j for j, w in enumerate(widths) if w == widths[i]]
            step = {"name": name, "a": i, "b": int(rng.choice(fits)), "choice": int(rng.integers(1000))}
            widths.append(self._plan(step, rng, widths, outputs))
            self.program.append(step)

    def _plan(self, step, rng, widths, outputs):
        width = widths[step["a"]]
        if step["name"] == "last":
            step["a"], width = len(widths) - 1, widths[-1]
        if step["name"] in ("linear", "last", "residual"):
            out = outputs if step["name"] == "last" else width if step["name"] == "residual" else int(rng.integers(2, 9))
            step["layer"] = self._layer(rng, width, out)
            return out
        if step["name"] == "concatenate":
            step["b"] = int(rng.integers(len(widths)))
            return width + widths[step["b"]]
        if step["name"] == "slice":
            step["from"] = int(rng.integers(0, width))
            step["to"] = int(rng.integers(step["from"] + 1, width + 1))
            return step["to"] - step["from"]
        return width

    def _layer(self, rng, inputs, outputs):
        """A new layer, an earlier one of that shape, or a new one with an earlier bias."""
        same = [i for i, old in enumerate(self.layers) if (old.in_features, old.out_features) == (inputs, outputs)]
        if same and rng.random() < 0.5:
            return same[0]
        self.layers.append(nn.Linear(inputs, outputs, bias=bool(rng.random() < 0.8)))
        alike = [old for old in self.layers if old.out_features == outputs and old.bias is not None]
        if rng.random() < 0.3 and alike:
            self.layers[-1].bias = alike[0].bias
        return len(self.layers) - 1

    def forward(self, x):
        values = [x]
        for step in self.program:
            values.append(self._run(step, values[step["a"]], values[step["b"]]))
        return values[-1]

    def _run(self, step, a, b):
        name, choice = step["name"], step["choice"]
        if name in ("linear", "last"):
            return self.layers[step["layer"]](a)
        if name == "activation":
            return self.smooth[choice % len(self.smooth)](a)
        if name == "kinked":
            if not a.traced:
                distance = np.abs(a.numpy())
                # the zeros of a ReLU stay zeros
                self.margin = min(self.margin, float(distance.min(where=distance > 0, initial=np.inf)))
            return self.kinked[choice % len(self.kinked)](a)
        if name == "residual":
            return a + F.tanh(self.layers[step["layer"]](a))
        if name == "dropout":
            return F.dropout(a, 0.3, self.training)
        if name == "slice":
            return a[:, step["from"]:step["to"]]
        return {"add": lambda: a + b, "subtract": lambda: a - b, "multiply": lambda: F.tanh(a) * F.tanh(b),
                "divide": lambda: a / (F.sigmoid(b) + 0.5), "concatenate": lambda: F.cat([a, b]), "scale": lambda: 1.5 - 0.7 * a,
                "power": lambda: (F.sigmoid(a) + 0.5) ** 1.5}[name]()


def random_net(seed, dtype=np.float64, **options):
    """RandomNet with weights of its seed; a weight matrix is drawn larger than by default, so that no gradient is tiny."""
    vv.manual_seed(seed)
    model = RandomNet(seed, **options).to(dtype)
    rng = np.random.default_rng(seed)
    for p in model.parameters():
        p.copy_(rng.normal(0, 0.6, p.shape))
    return model
