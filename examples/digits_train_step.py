"""A 784-10-10 digits classifier with its own training loop: ReLU, then Softmax, and cross-entropy on the probabilities."""

import _digits28
import numpy as np

import vivace as vv
from vivace import nn, optim


class Classifier(nn.Module):
    def __init__(self):
        super().__init__()
        self.hidden = nn.Linear(784, 10)
        self.relu = nn.ReLU()
        self.output = nn.Linear(10, 10)
        self.softmax = nn.Softmax(dim=1)

    def forward(self, x):
        return self.softmax(self.output(self.relu(self.hidden(x))))


def train_step(model, criterion, optimizer, xb, yb):
    """One update; the mean loss of the batch before it."""
    loss = criterion(model(xb), yb)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item()


def main(state=None, seed=0, epochs=10, batch_size=32, shuffle=True):
    """Train, from the weights in `state` if given; the loss of each epoch and the test accuracy."""
    X_train, y_train, X_test, y_test = _digits28.load()
    vv.manual_seed(seed)
    model = Classifier()
    if state is not None:
        model.load_state_dict(state)
    criterion = nn.CrossEntropyLoss(from_logits=False)      # the model ends in Softmax: see docs/textbook_programs.md
    optimizer = optim.Adam(model.parameters())
    losses = []
    for epoch in range(epochs):
        total = 0.0
        for xb, yb in vv.batches(X_train, y_train, batch_size=batch_size, shuffle=shuffle, seed=seed * epochs + epoch):
            total += train_step(model, criterion, optimizer, xb, yb) * len(xb)
        losses.append(total / len(X_train))
    with vv.no_grad():
        classes = model(X_test).numpy().argmax(axis=1)
    return {"losses": losses, "test_accuracy": float(np.mean(classes == y_test))}


if __name__ == "__main__":
    result = main()
    for epoch, loss in enumerate(result["losses"], 1):
        print(f"epoch {epoch}: loss {loss:.4f}")
    print(f"test accuracy {result['test_accuracy']:.4f}")
