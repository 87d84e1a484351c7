"""The pictures of seeing_training.md: python docs/seeing_training.py writes them to docs/pictures."""
import pathlib

import numpy as np

import vivace as vv
from vivace import nn, optim, plots

HERE = pathlib.Path(__file__).resolve().parent


def data(rows=2000):
    """20 normal columns; the class depends on a product of two and on a third."""
    X = np.random.default_rng(0).standard_normal((rows, 20)).astype(np.float32)
    return X, (X[:, 0] * X[:, 1] + X[:, 2] > 0).astype(int)


def network(activation, depth, he=False):
    """`depth` hidden layers of 32 units."""
    vv.manual_seed(0)
    widths = [20] + [32] * depth
    layers = [layer for i, o in zip(widths, widths[1:]) for layer in (nn.Linear(i, o), activation())]
    model = nn.Sequential(*layers, nn.Linear(32, 2))
    for p in model.parameters() if he else ():
        nn.init.kaiming_normal_(p, nonlinearity="relu") if p.ndim == 2 else nn.init.zeros_(p)
    return model


def train(model, lr=1e-3, epochs=15, optimizer=optim.Adam):
    """A Trainer that recorded every 50th step."""
    trainer = vv.Trainer(model, nn.CrossEntropyLoss(), optimizer(model.parameters(), lr=lr), metrics=["accuracy"], seed=0)
    trainer.fit(*data(), epochs=epochs, batch_size=32, callbacks=[vv.callbacks.Statistics(50)], validation_split=0.2, verbose=0)
    return trainer


def main(folder=HERE / "pictures"):
    """Write every picture to `folder`; {name: what diagnose says}."""
    trainers = {"healthy": train(network(nn.ReLU, 8, he=True)), "vanishing": train(network(nn.Sigmoid, 20))}
    folder = pathlib.Path(folder)
    for name, trainer in trainers.items():
        save(plots.gradient_flow(trainer), folder / f"flow_{name}.png")
    save(plots.curves(trainers["healthy"]), folder / "curves_healthy.png")
    save(plots.weight_histograms(trainers["healthy"]), folder / "weights_healthy.png")
    return {name: str(vv.diagnose(trainer)) for name, trainer in trainers.items()}


def save(figure, path):
    """Without the version of the program, so that the same picture is the same file."""
    figure.savefig(path, dpi=70, metadata={"Software": None})


if __name__ == "__main__":
    for name, said in main().items():
        print(f"{name}: {said}")
