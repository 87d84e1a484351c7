"""Networks that the tests train, by hand and by the Trainer. As a program: prints the hashes of both for this process's book."""
import hashlib
import json
import sys

import numpy as np
import vivace.nn.functional as F
from vivace.nn.plan import Plan

import vivace as vv
from vivace import nn, optim

FEATURES, CLASSES, ROWS, BATCH, EPOCHS = 13, 5, 107, 16, 15
"""15 epochs of 7 batches, the last of 11 rows: 105 steps."""


def mlp():
    """A Sequential with dropout; its last Softmax is merged into the loss."""
    return nn.Sequential(nn.Linear(FEATURES, 33), nn.ReLU(), nn.Dropout(0.3), nn.Linear(33, 20), nn.Sigmoid(), nn.Dropout(0.1),
                         nn.Linear(20, CLASSES), nn.Softmax())


class Residual(nn.Module):
    """A sum around a branch with dropout."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = nn.Linear(FEATURES, 17), nn.Linear(17, 17), nn.Linear(17, CLASSES)
        self.act, self.drop = nn.Tanh(), nn.Dropout(0.2)

    def forward(self, x):
        h = self.act(self.a(x))
        return self.c(h + 0.5 * self.drop(self.act(self.b(h))))


class Concatenating(nn.Module):
    """Two branches side by side, and slices of them."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = nn.Linear(FEATURES, 7), nn.Linear(FEATURES, 9, bias=False), nn.Linear(16, CLASSES)

    def forward(self, x):
        h = F.cat([F.gelu(self.a(x)), F.relu(self.b(x))])
        return self.c(h) - F.cat([h[:, 2:4], h[:, 0:3]])


class Tied(nn.Module):
    """One layer used twice, one bias in two layers."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = nn.Linear(FEATURES, FEATURES), nn.Linear(FEATURES, FEATURES), nn.Linear(FEATURES, CLASSES)
        self.b.bias = self.a.bias

    def forward(self, x):
        return self.c(F.leaky_relu(self.b(F.silu(self.a(F.elu(self.a(x)))))))


class Wide(nn.Module):
    """Layers of several tiles."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = nn.Linear(FEATURES, 261), nn.Linear(261, 35), nn.Linear(35, CLASSES)
        self.drop = nn.Dropout(0.25)

    def forward(self, x):
        return self.c(self.drop(F.relu(self.b(self.drop(F.softplus(self.a(x)))))))


def shared():
    """Layers wide enough for threads to share their columns, and one that is not."""
    return nn.Sequential(nn.Linear(FEATURES, 470), nn.ReLU(), nn.Linear(470, 130), nn.Tanh(), nn.Linear(130, 75), nn.ReLU(),
                         nn.Linear(75, CLASSES))


def one_shared():
    """A wide layer and one that is not."""
    return nn.Sequential(nn.Linear(FEATURES, 485), nn.LeakyReLU(), nn.Linear(485, CLASSES))


NETS = {"mlp": mlp, "residual": Residual, "concatenating": Concatenating, "tied": Tied}
OPTIMIZERS = {
    "sgd": (optim.SGD, {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 1e-3}, {"lr": 0.03, "momentum": 0.5,
                                                                                            "nesterov": False, "dampening": 0.2}),
    "adam": (optim.Adam, {"lr": 1e-2, "weight_decay": 1e-3}, {"lr": 2e-3, "betas": (0.8, 0.99)}),
    "adamw": (optim.AdamW, {"lr": 1e-2}, {"lr": 3e-3, "weight_decay": 0.1, "eps": 1e-6}),
}


def two_groups(name):
    """parameters -> optimizer: weights in the first group, biases in the second, which has options of its own."""
    kind, options, others = OPTIMIZERS[name]

    def make(parameters):
        parameters = [p for p in parameters]
        return kind([{"params": [p for p in parameters if p.ndim == 2]},
                     {"params": [p for p in parameters if p.ndim == 1], **others}], **options)
    return make


def data(dtype, rows=ROWS):
    """X, classes, row weights."""
    rng = np.random.default_rng(0)
    return (rng.standard_normal((rows, FEATURES)).astype(dtype), rng.integers(0, CLASSES, rows), rng.uniform(0.5, 2, rows))


def prepared(make, optimizer, dtype):
    """(model, loss, optimizer), the same ones every time."""
    vv.manual_seed(7)
    model = make().to(dtype)
    ends_in_softmax = isinstance(model, nn.Sequential) and isinstance(model[-1], nn.Softmax)
    return model, nn.CrossEntropyLoss(from_logits=not ends_in_softmax), optimizer(model.parameters())


def eager(make, optimizer, dtype, epochs=EPOCHS, batch=BATCH, rows=ROWS, seed=3, setup=None, after_backward=None):
    """The loop a user writes, over the batches of Trainer.fit: (model, steps). setup(model) comes before the first step."""
    model, loss, optimizer = prepared(make, optimizer, dtype)
    if setup:
        setup(model)
    X, y, w = data(dtype, rows)
    vv.manual_seed(seed)
    order, steps = np.empty(rows, np.int64), 0
    for epoch in range(epochs):
        vv.kernels.permutation(order, seed, epoch)
        for start in range(0, rows, batch):
            part = order[start:start + batch]
            value = loss(model(X[part]), y[part], w[part])
            optimizer.zero_grad()
            value.backward()
            if after_backward:
                after_backward(optimizer)
            optimizer.step()
            steps += 1
    return model, steps


def planned(make, optimizer, dtype, epochs=EPOCHS, batch=BATCH, rows=ROWS, seed=3, setup=None, callbacks=None, **options):
    """The same by the Trainer: (model, trainer)."""
    model, loss, optimizer = prepared(make, optimizer, dtype)
    if setup:
        setup(model)
    X, y, w = data(dtype, rows)
    trainer = vv.Trainer(model, loss, optimizer, seed=seed, **options)
    trainer.fit(X, y, epochs=epochs, batch_size=batch, sample_weight=w, callbacks=callbacks, verbose=0)
    return model, trainer


def digest(model):
    """SHA-256 of all weights."""
    return hashlib.sha256(b"".join(p.numpy().tobytes() for p in model.parameters())).hexdigest()


def compare(nets=tuple(NETS), optimizers=tuple(OPTIMIZERS), dtypes=("float32", "float64"), threads=(1, 2, 3), wide=True):
    """{configuration: [eager, planned with threads[0], ...]} of digests, by the process's own book."""
    found = {}
    for net in nets:
        for name in optimizers:
            for dtype in dtypes:
                found[f"{net} {name} {dtype}"] = _both(NETS[net], two_groups(name), dtype, threads)
    if wide:  # batches of three chunks of rows, the last batch short
        for dtype in dtypes:
            for make in (shared, one_shared):
                found[f"{make.__name__} adam {dtype}"] = _both(make, two_groups("adam"), dtype, (*threads, 5))
            found[f"wide adam {dtype}"] = _both(Wide, two_groups("adam"), dtype, threads, epochs=34, batch=300, rows=701)
    return found


def _both(make, optimizer, dtype, threads, **sizes):
    model, steps = eager(make, optimizer, np.dtype(dtype), **sizes)
    digests = [digest(model)]
    for n in threads:
        model, trainer = planned(make, optimizer, np.dtype(dtype), num_threads=n, **sizes)
        if vv.kernels.which()["backend"] == "cython" and trainer.last_run.threads != n:
            raise AssertionError(f"asked for {n} threads, ran on {trainer.last_run.threads}")
        if not trainer.step == steps >= 100:
            raise AssertionError(f"{trainer.step} steps instead of {steps}")
        digests.append(digest(model))
    return digests


class Halves(vv.callbacks.Callback):
    """Halves a weight between two steps."""

    def on_batch_end(self, trainer, batch, logs):
        for p in trainer.model.parameters():
            p.copy_(0.5 * p.numpy())


def hurried(monkeypatch):
    """Have no call of the engine any time; returns the list of where they ended."""
    run, ends = Plan.run, []

    def late(self, spaces, table, rows, batch, start, last_step, threads=1, seconds=0.1):
        ends.append(run(self, spaces, table, rows, batch, start, last_step, threads, 0.0))
        return ends[-1]
    monkeypatch.setattr(Plan, "run", late)
    return ends


if __name__ == "__main__":
    Plan.working = lambda plan, threads, rows: threads  # the nets are small: see conftest.py
    print(json.dumps({"which": vv.kernels.which(), "digests": compare(**json.loads(sys.argv[1]))}))
