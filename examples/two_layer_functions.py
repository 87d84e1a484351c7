"""A two-layer sigmoid network as separate forward, loss, backward and update functions, on Vivace's kernels.

    h = sigmoid(x w1ᵀ + b1)                      x (N, I), w1 (H, I), h (N, H)
    y = sigmoid(h w2ᵀ + b2)                      w2 (O, H), y (N, O)
    l = mean (y - t)²
    dz2 = dl/dy y (1 - y)                        dw2 = dz2ᵀ h, db2 = sum of dz2 over rows
    dz1 = (dz2 w2) h (1 - h)                     dw1 = dz1ᵀ x, db1 = sum of dz1 over rows

It learns exclusive or: two inputs, four hidden units, one output.
"""

import numpy as np

from vivace import kernels as k

X = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float64)
T = np.array([[0], [1], [1], [0]], np.float64)


def views(flat, inputs, hidden, outputs):
    """w1, b1, w2, b2 as views of one flat vector, so that the update is one call."""
    shapes, parts, at = ((hidden, inputs), (hidden,), (outputs, hidden), (outputs,)), [], 0
    for shape in shapes:
        size = int(np.prod(shape))
        parts.append(flat[at:at + size].reshape(shape))
        at += size
    return parts


def forward(x, parameters, h, y):
    w1, b1, w2, b2 = parameters
    k.linear_forward(x, w1, b1, h, activation="sigmoid")
    k.linear_forward(h, w2, b2, y, activation="sigmoid")


def loss(y, t, row_losses, dy):
    """Writes dl/dy, returns the mean loss."""
    k.squared_error(y, t, None, row_losses, dy)
    return float(row_losses.mean())


def backward(x, h, y, dy, parameters, gradients, dz1, dz2):
    w2 = parameters[2]
    dw1, db1, dw2, db2 = gradients
    k.sigmoid_backward(y, dy, dz2)
    k.linear_backward_weight(h, dz2, dw2, db2)
    k.linear_backward_input(dz2, w2, h, dz1, activation="sigmoid")
    k.linear_backward_weight(x, dz1, dw1, db1)


def update(p, g, lr):
    k.sgd_update(g, p, None, lr=lr)


def main(steps=5000, lr=2.0, hidden=4):
    inputs, outputs, rows = X.shape[1], T.shape[1], len(X)
    p = np.random.default_rng(0).standard_normal(hidden * (inputs + 1) + outputs * (hidden + 1))
    g = np.empty_like(p)
    parameters, gradients = views(p, inputs, hidden, outputs), views(g, inputs, hidden, outputs)
    h, dz1, y, dy, dz2, row_losses = (np.empty(shape) for shape in [(rows, hidden)] * 2 + [(rows, outputs)] * 3 + [(rows,)])
    losses = []
    for _ in range(steps):
        forward(X, parameters, h, y)
        losses.append(loss(y, T, row_losses, dy))
        backward(X, h, y, dy, parameters, gradients, dz1, dz2)
        update(p, g, lr)
    forward(X, parameters, h, y)
    accuracy = float(np.mean((y > 0.5) == T))
    return {"first_loss": losses[0], "last_loss": losses[-1], "outputs": y.ravel().tolist(), "accuracy": accuracy}


if __name__ == "__main__":
    for name, value in main().items():
        print(f"{name}: {value}")
