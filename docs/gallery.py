"""The pictures and numbers of gallery.md: python docs/gallery.py writes them to docs/pictures."""
import pathlib

import numpy as np
from matplotlib.figure import Figure

import vivace as vv
from vivace import datasets, metrics, nn, optim

HERE = pathlib.Path(__file__).resolve().parent


def classifier(inputs, hidden, classes, seed=0, lr=3e-3, dropout=0.0):
    """A Trainer of a network with one hidden layer."""
    vv.manual_seed(seed)
    model = nn.Sequential(nn.Linear(inputs, hidden), nn.ReLU(), nn.Dropout(dropout), nn.Linear(hidden, classes))
    return vv.Trainer(model, nn.CrossEntropyLoss(), optim.AdamW(model.parameters(), lr=lr), metrics=["accuracy"], seed=seed)


def standardized(data, seed=0):
    """(training, validation, test) with X standardised by the training rows."""
    parts = datasets.split(data.X, data.y, seed=seed, stratify=data.task == "classification")
    scaler = datasets.Standardizer(parts.train[0])
    return [(scaler.transform(X), y) for X, y in parts]


def figure(columns, width=7.2, height=3.0):
    """A Figure and its axes, side by side."""
    drawing = Figure(figsize=(width, height), layout="constrained")
    return drawing, np.atleast_1d(drawing.subplots(1, columns))


def digits():
    """Curves, and the test images that the network gets wrong."""
    data = datasets.load("digits")
    parts = datasets.split(data.X, data.y, seed=0, stratify=True)
    train, validation, (X, y) = standardized(data)
    trainer = classifier(64, 128, 10, dropout=0.2)
    history = trainer.fit(*train, epochs=40, validation_data=validation, verbose=0,
                          callbacks=[vv.callbacks.EarlyStopping(patience=8)])
    found = trainer.predict_classes(X)
    drawing, (left, right) = figure(2)
    for name, label in (("loss", "training"), ("val_loss", "validation")):
        left.semilogy(range(1, len(history) + 1), history[name], label=label)
    left.set(title="digits: loss", xlabel="epoch")
    left.legend(frameon=False)
    wrong = np.flatnonzero(found != y)[:8]
    canvas = np.zeros((2 * 10, 4 * 10))
    for place, row in enumerate(wrong):
        top, at = place // 4 * 10 + 1, place % 4 * 10 + 1
        canvas[top:top + 8, at:at + 8] = parts.test[0][row].reshape(8, 8)
        right.text(at + 7.5, top + 0.5, f"{found[row]}", color="tab:red", ha="right", va="top")
    right.imshow(canvas, cmap="gray_r")
    right.set(title="errors on the test rows, prediction in red", xticks=[], yticks=[])
    return drawing, float((found == y).mean())


def iris():
    """The regions of three classes in the plane of two measurements."""
    data = datasets.load("iris")
    train, _, (X, y) = standardized(data._replace(X=np.ascontiguousarray(data.X[:, 2:])))
    trainer = classifier(2, 32, 3, lr=1e-2)
    trainer.fit(*train, epochs=100, batch_size=16, verbose=0)
    drawing, (axes,) = figure(1, 4.2, 3.4)
    grid = np.stack(np.meshgrid(np.linspace(-2, 2, 120), np.linspace(-2, 2, 120)), axis=-1).astype(np.float32)
    p = trainer.predict_proba(grid.reshape(-1, 2)).reshape(120, 120, 3)
    axes.imshow(0.4 + 0.6 * p, origin="lower", extent=(-2, 2, -2, 2), aspect="auto")
    for label, name in enumerate(data.target_names):
        axes.scatter(*train[0][train[1] == label].T, s=10, color=["darkred", "darkgreen", "darkblue"][label], label=name)
    axes.set(title="iris: probability of each class", xlabel="petal length (standardised)", ylabel="petal width (standardised)")
    axes.legend(frameon=False, fontsize=8)
    return drawing, float((trainer.predict_classes(X) == y).mean())


def wine():
    """The same network on columns as they come, and standardised."""
    data = datasets.load("wine")
    drawing, (axes,) = figure(1, 4.2, 3.0)
    scores = []
    for label, parts in (("as it comes", datasets.split(data.X, data.y, seed=0, stratify=True)), ("standardised", standardized(data))):
        train, validation, (X, y) = parts
        trainer = classifier(13, 32, 3)
        history = trainer.fit(*train, epochs=40, batch_size=16, validation_data=validation, verbose=0)
        axes.plot(range(1, 41), history["val_accuracy"], label=label)
        scores.append(float((trainer.predict_classes(X) == y).mean()))
    axes.set(title="wine: validation accuracy", xlabel="epoch", ylim=(0, 1.03))
    axes.legend(frameon=False)
    return drawing, scores[1]


def breast_cancer():
    """Probabilities given to the test rows of either class."""
    data = datasets.load("breast_cancer")
    train, validation, (X, y) = standardized(data)
    trainer = classifier(30, 32, 2, lr=1e-3)
    trainer.fit(*train, epochs=60, validation_data=validation, verbose=0, callbacks=[vv.callbacks.EarlyStopping(patience=8)])
    p = trainer.predict_proba(X)[:, 1]
    drawing, (axes,) = figure(1, 4.2, 3.0)
    axes.hist([p[y == 0], p[y == 1]], bins=np.linspace(0, 1, 11), label=list(data.target_names), color=["tab:red", "tab:green"])
    axes.set(title="breast cancer: test rows", xlabel="probability of a benign tumour", ylabel="rows")
    axes.legend(frameon=False)
    return drawing, float(((p > 0.5) == y).mean())


def diabetes():
    """Predictions against the truth, in the target's units."""
    data = datasets.load("diabetes")
    train, validation, (X, y) = standardized(data)
    scaler = datasets.Standardizer(train[1])
    vv.manual_seed(0)
    model = nn.Sequential(nn.Linear(10, 32), nn.ReLU(), nn.Linear(32, 1))
    trainer = vv.Trainer(model, nn.MSELoss(), optim.AdamW(model.parameters(), lr=2e-3, weight_decay=0.1), seed=0)
    trainer.fit(train[0], scaler.transform(train[1]), epochs=100, validation_data=(validation[0], scaler.transform(validation[1])),
                callbacks=[vv.callbacks.EarlyStopping(patience=10)], verbose=0)
    found = scaler.inverse(trainer.predict(X)[:, 0])
    drawing, (axes,) = figure(1, 3.4, 3.2)
    axes.scatter(y, found, s=12)
    axes.plot([0, 350], [0, 350], color="gray", linewidth=1)
    axes.set(title="diabetes: test rows", xlabel="truth", ylabel="prediction")
    return drawing, metrics.r2(found, y)


PICTURES = (digits, iris, wine, breast_cancer, diabetes)


def main(folder=HERE / "pictures"):
    """Write every picture to `folder`; {name: score on the test rows}."""
    scores = {}
    for make in PICTURES:
        drawing, scores[make.__name__] = make()
        drawing.savefig(pathlib.Path(folder) / f"{make.__name__}.png", dpi=80, metadata={"Software": None})
    return scores


if __name__ == "__main__":
    for name, score in main().items():
        print(f"{name}: {score:.3f}")
