"""A program written for PyTorch, with only its imports changed: 100 inputs, 50 hidden units, 10 outputs, MSE, SGD, 1000 steps."""

import numpy as np

from vivace import nn, optim


class MyNet(nn.Module):
    def __init__(self, input_size, hidden_size, output_size):
        super(MyNet, self).__init__()  # noqa: UP008 - as such programs are written
        self.fc1 = nn.Linear(input_size, hidden_size)
        self.fc2 = nn.Linear(hidden_size, output_size)
        self.activation = nn.ReLU()

    def forward(self, x):
        return self.fc2(self.activation(self.fc1(x)))


def data():
    """The random inputs (64, 100) and targets (64, 10), from NumPy so that PyTorch can be given the same."""
    rng = np.random.default_rng(0)
    return rng.standard_normal((64, 100)).astype(np.float32), rng.standard_normal((64, 10)).astype(np.float32)


def main(state=None):
    """Train, from the weights in `state` (fc1.weight, fc1.bias, fc2.weight, fc2.bias) if given; {"losses": the 1000 losses}."""
    inputs, targets = data()
    model = MyNet(100, 50, 10)
    if state is not None:
        model.load_state_dict(state)
    criterion = nn.MSELoss()
    optimizer = optim.SGD(model.parameters(), lr=0.01)
    losses = []
    for _ in range(1000):
        outputs = model(inputs)
        loss = criterion(outputs, targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return {"losses": losses}


if __name__ == "__main__":
    losses = main()["losses"]
    for epoch in (1, 10, 100, 1000):
        print(f"epoch {epoch}: loss {losses[epoch - 1]:.6f}")
