"""Linear regression y = X theta by batch, mini-batch and stochastic gradient descent.

The answer is theta = (1, 0). It fits every row exactly, so each row's own gradient vanishes there and the stochastic variants
need no falling learning rate. A step over rows B is theta -= lr g with

    L = sum over B of (x theta - y)² / |B|,  g = dL/dtheta = 2 / |B| X_Bᵀ (X_B theta - y_B)

and multiplies the error theta - (1, 0) by I - lr H_B, H_B = 2 / |B| X_Bᵀ X_B. It is stable while lr is below 2 / (largest
eigenvalue of H_B):

    all 4 rows        eigenvalues 41.881 and 0.119    lr < 0.0478
    rows 3 and 4      largest 65.985, the worst pair  lr < 0.0303
    row 4, (4, 5)     largest 82, the worst row       lr < 0.0244

Below the limit of its worst batch no step of a variant moves away from the answer. The ratio of the eigenvalues, 351, is why
thousands of steps are needed: along the flat direction the error shrinks by a factor 1 - 0.119 lr a step.
"""

import numpy as np

import vivace as vv
from vivace import nn, optim

X = np.array([[1, 2], [2, 3], [3, 4], [4, 5]], np.float64)
Y = np.array([[1], [2], [3], [4]], np.float64)
VARIANTS = {"batch": (4, 0.045), "mini-batch": (2, 0.028), "stochastic": (1, 0.022)}     # rows per step, learning rate
TOLERANCE = 1e-6


def descend(batch_size, lr, max_epochs=5000):
    """theta, and the steps until it is within the tolerance of the least-squares answer (looked at once an epoch)."""
    answer = np.linalg.lstsq(X, Y, rcond=None)[0].ravel()
    model = nn.Linear(2, 1, bias=False, dtype="float64")
    model.load_state_dict({"weight": np.zeros((1, 2))})
    criterion = nn.MSELoss()
    optimizer = optim.SGD(model.parameters(), lr=lr)
    steps = 0
    for epoch in range(max_epochs):
        for xb, yb in vv.batches(X, Y, batch_size=batch_size, shuffle=True, seed=epoch):
            loss = criterion(model(xb), yb)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            steps += 1
        theta = model.weight.numpy().ravel()
        if np.abs(theta - answer).max() < TOLERANCE:
            break
    return theta.tolist(), steps


def main():
    results = {}
    for name, (batch_size, lr) in VARIANTS.items():
        theta, steps = descend(batch_size, lr)
        results[name] = {"theta": theta, "steps": steps}
    return results


if __name__ == "__main__":
    for name, result in main().items():
        print(f"{name}: theta = ({result['theta'][0]:.7f}, {result['theta'][1]:.7f}) after {result['steps']} steps")
