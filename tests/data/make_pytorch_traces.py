"""Writes the PyTorch results that the examples are compared with: pytorch_program.json and digits28.json, beside this file.

Run with torch and scikit-learn installed: python tests/data/make_pytorch_traces.py (some minutes). Numbers are the shortest
decimal forms that give the same float32.

pytorch_program.json  "state": initial weights by torch.manual_seed(0), "losses": 1000 losses, "data_sha256": of the data
digits28.json         test accuracies of the 784-10-10 network: "fixed_order" from _digits28.initial_state(0..4) without
                      shuffling, which another program repeats up to rounding; "shuffled" from initial_state(0..99),
                      shuffled by torch, which it can meet on average only; each with its mean ("shuffled" also with that
                      of the first five)
"""

import hashlib
import json
import pathlib
import sys

import numpy as np
import torch

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "examples"))
import _digits28  # noqa: E402


def short(array):
    """Nested lists of the shortest decimals that round to the same float32."""
    array = np.asarray(array, np.float32)
    return [short(row) for row in array] if array.ndim > 1 else [float(str(value)) for value in array]


class MyNet(torch.nn.Module):
    def __init__(self, input_size, hidden_size, output_size):
        super().__init__()
        self.fc1 = torch.nn.Linear(input_size, hidden_size)
        self.fc2 = torch.nn.Linear(hidden_size, output_size)
        self.activation = torch.nn.ReLU()

    def forward(self, x):
        return self.fc2(self.activation(self.fc1(x)))


def pytorch_program():
    """examples/pytorch_program.py with PyTorch's imports."""
    rng = np.random.default_rng(0)
    inputs, targets = rng.standard_normal((64, 100)).astype(np.float32), rng.standard_normal((64, 10)).astype(np.float32)
    digest = hashlib.sha256(inputs.tobytes() + targets.tobytes()).hexdigest()
    torch.manual_seed(0)
    model = MyNet(100, 50, 10)
    state = {name: short(value.numpy()) for name, value in model.state_dict().items()}
    criterion = torch.nn.MSELoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    inputs, targets, losses = torch.from_numpy(inputs), torch.from_numpy(targets), []
    for _ in range(1000):
        loss = criterion(model(inputs), targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return {"torch": torch.__version__, "data_sha256": digest, "state": state, "losses": short(losses)}


def digits_accuracy(seed, shuffle, epochs=10, batch_size=32):
    """examples/digits_train_step.py in PyTorch: ReLU, Softmax, the negative logarithm of the probabilities, Adam."""
    X, y, X_test, y_test = (torch.from_numpy(part) for part in _digits28.load())
    model = torch.nn.Sequential(torch.nn.Linear(784, 10), torch.nn.ReLU(), torch.nn.Linear(10, 10), torch.nn.Softmax(dim=1))
    model.load_state_dict({name: torch.from_numpy(value) for name, value in _digits28.initial_state(seed, "0", "2").items()})
    optimizer = torch.optim.Adam(model.parameters())
    torch.manual_seed(seed)
    for _ in range(epochs):
        order = torch.randperm(len(X)) if shuffle else torch.arange(len(X))
        for rows in order.split(batch_size):
            loss = torch.nn.functional.nll_loss(torch.log(model(X[rows])), y[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    with torch.no_grad():
        return (model(X_test).argmax(1) == y_test).float().mean().item()


def digits28():
    fixed = [digits_accuracy(seed, shuffle=False) for seed in range(5)]
    shuffled = [digits_accuracy(seed, shuffle=True) for seed in range(100)]
    mean = {"fixed_order_mean": fixed, "shuffled_mean": shuffled, "shuffled_mean_of_5": shuffled[:5]}
    return {"torch": torch.__version__, "fixed_order": short(fixed), "shuffled": short(shuffled),
            **{name: float(np.mean(values)) for name, values in mean.items()}}


if __name__ == "__main__":
    torch.set_num_threads(1)
    for make in (pytorch_program, digits28):
        (HERE / f"{make.__name__}.json").write_text(json.dumps(make()) + "\n")
