"""The 784-10-10 digits classifier of digits_train_step.py through nn.Sequential and Trainer.fit."""

import _digits28

import vivace as vv
from vivace import nn, optim


def main(state=None, seed=0, epochs=10, batch_size=32, shuffle=True):
    """Train, from the weights in `state` if given; the loss of each epoch and the test accuracy."""
    X_train, y_train, X_test, y_test = _digits28.load()
    vv.manual_seed(seed)
    model = nn.Sequential(nn.Linear(784, 10), nn.ReLU(), nn.Linear(10, 10), nn.Softmax(dim=1))
    if state is not None:
        model.load_state_dict(state)
    criterion = nn.CrossEntropyLoss(from_logits=False)      # the model ends in Softmax: see docs/textbook_programs.md
    trainer = vv.Trainer(model, criterion, optim.Adam(model.parameters()), metrics=["accuracy"], seed=seed)
    history = trainer.fit(X_train, y_train, epochs=epochs, batch_size=batch_size, shuffle=shuffle, verbose=0)
    return {"losses": list(history["loss"]), "test_accuracy": float(trainer.evaluate(X_test, y_test)["accuracy"])}


if __name__ == "__main__":
    result = main()
    for epoch, loss in enumerate(result["losses"], 1):
        print(f"epoch {epoch}: loss {loss:.4f}")
    print(f"test accuracy {result['test_accuracy']:.4f}")
