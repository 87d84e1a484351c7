"""Draws pictures/saddle.png and pictures/gradient_norms.png, computed by Vivace. python docs/gradients.py [folder]"""
import pathlib
import sys

import numpy as np

import vivace as vv
from vivace import nn, optim

LAYERS, WIDTH, ROWS = 20, 64, 256


def descend(f, start, steps, **options):
    """The path (steps + 1, P) of gradient descent on f, a function of a Parameter (P,)."""
    p = nn.Parameter(np.array(start, np.float64))
    optimizer, path = optim.SGD([p], **options), [np.array(start, np.float64)]
    for _ in range(steps):
        optimizer.zero_grad()
        f(p).backward()
        optimizer.step()
        path.append(p.numpy().copy())
    return np.array(path)


def saddle(p):
    """x² - y² + y⁴ / 4: a saddle at (0, 0), minima at y = ±sqrt 2."""
    return (p ** 2 * np.array([1.0, -1.0]) + p ** 4 * np.array([0.0, 0.25])).sum()


def two_wells(p):
    """(x² - 1)² + 0.3 x: a local minimum near 0.96, the global one near -1.04."""
    return ((p ** 2 - 1.0) ** 2 + 0.3 * p).sum()


def saddle_paths():
    """{name: path} from a point almost on the ridge."""
    return {f"momentum {m}": descend(saddle, (1.0, 1e-4), 400, lr=0.02, momentum=m) for m in (0.0, 0.9)}


def well_paths():
    """{name: path} into one well or the other."""
    return {f"momentum {m}": descend(two_wells, (2.0,), 200, lr=0.01, momentum=m) for m in (0.0, 0.9)}


def network(block, start):
    """LAYERS blocks of width WIDTH and ten outputs; start(weight) draws the weights of the blocks."""
    vv.manual_seed(0)
    layers = [nn.Linear(WIDTH, WIDTH, dtype="float64") for _ in range(LAYERS)]
    for layer in layers:
        start(layer.weight)
    return layers, nn.Sequential(*[m for layer in layers for m in block(layer)], nn.Linear(WIDTH, 10, dtype="float64"))


def kinds():
    """{name: (block, start)}"""
    relu, keep = lambda layer: (layer, nn.ReLU()), lambda w: None
    return {"sigmoid": (lambda layer: (layer, nn.Sigmoid()), nn.init.xavier_uniform_),
            "sigmoid, BatchNorm": (lambda layer: (layer, nn.BatchNorm1d(WIDTH, dtype="float64"), nn.Sigmoid()),
                                   nn.init.xavier_uniform_),
            "ReLU, default start": (relu, keep), "ReLU, He": (relu, nn.init.kaiming_normal_),
            "ReLU, 3 x He": (relu, lambda w: w.copy_(3 * nn.init.kaiming_normal_(w).numpy())),
            "ReLU, residual": (lambda layer: (nn.Residual(layer, nn.ReLU()),), keep)}


def gradient_norms():
    """{name: norm of the gradient of each block's weight} at the start of training, by one batch."""
    rng = np.random.default_rng(0)
    X, y, found = rng.standard_normal((ROWS, WIDTH)), rng.integers(0, 10, ROWS), {}
    for name, (block, start) in kinds().items():
        layers, model = network(block, start)
        nn.CrossEntropyLoss()(model(X), y).backward()
        found[name] = np.array([np.linalg.norm(layer.weight.grad.numpy()) for layer in layers])
    return found


def draw(folder):
    """Write both pictures into `folder`."""
    import matplotlib
    matplotlib.use("Agg")
    from matplotlib import pyplot as plt
    figure, (left, right, wells) = plt.subplots(1, 3, figsize=(13, 4))
    x, y = np.meshgrid(np.linspace(-1.2, 1.2, 100), np.linspace(-0.3, 2, 100))
    left.contour(x, y, x ** 2 - y ** 2 + y ** 4 / 4, 20, colors="0.8", linewidths=0.7)
    for name, path in saddle_paths().items():
        left.plot(*path.T, ".-", markersize=3, label=name)
        right.plot(path[:, 0] ** 2 - path[:, 1] ** 2 + path[:, 1] ** 4 / 4, label=name)
    left.set(xlabel="x", ylabel="y", title="x² - y² + y⁴/4 from (1, 0.0001)")
    right.set(xlabel="step", title="the loss on the way")
    line = np.linspace(-1.6, 2.05, 200)
    wells.plot(line, (line ** 2 - 1) ** 2 + 0.3 * line, color="0.7")
    for name, path in well_paths().items():
        wells.plot(path, (path ** 2 - 1) ** 2 + 0.3 * path, ".", markersize=4, label=f"{name}: ends at {path[-1, 0]:.2f}")
    wells.set(xlabel="x", title="(x² - 1)² + 0.3 x from 2", ylim=(-0.5, 4))
    for axis in (left, right, wells):
        axis.legend(frameon=False)
    figure.tight_layout()
    figure.savefig(pathlib.Path(folder) / "saddle.png", dpi=90)
    figure, axis = plt.subplots(figsize=(8, 4.5))
    for name, norms in gradient_norms().items():
        axis.semilogy(np.arange(1, LAYERS + 1), norms, ".-", label=name)
    axis.set(xlabel="layer, 1 nearest to the input", ylabel="norm of the weight's gradient", xticks=range(1, LAYERS + 1))
    axis.legend(frameon=False, ncols=2)
    figure.tight_layout()
    figure.savefig(pathlib.Path(folder) / "gradient_norms.png", dpi=90)
    plt.close("all")


if __name__ == "__main__":
    draw(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parent / "pictures")
