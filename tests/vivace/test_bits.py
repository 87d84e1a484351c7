"""Bits depend on neither threads, level, fusion nor the batch a row came in: 20 configurations, 200 steps in the slow suite."""
import functools
import hashlib
import threading

import numpy as np
import pytest
import vivace.nn.functional as F
from vivace.kernels import cases
from vivace.nn.plan import Plan

import vivace as vv
from vivace import nn, optim

LEVELS = [level for level in ("v3", "v4") if level in cases.books()]
THREADS = (1, 2, 3, 4, 8)


# --- networks
def mlp(*widths, act=nn.ReLU, dropout=0.0, last=(), bias=True):
    """Linear layers with an activation, and dropout, between them."""
    layers = []
    for inputs, outputs in zip(widths[:-1], widths[1:]):
        layers += [nn.Linear(inputs, outputs, bias=bias), act(), *([nn.Dropout(dropout)] if dropout else [])]
    return nn.Sequential(*layers[:-2 if dropout else -1], *last)


class Residual(nn.Module):
    def __init__(self, inputs, width, outputs):
        super().__init__()
        self.a, self.b, self.c = nn.Linear(inputs, width), nn.Linear(width, width), nn.Linear(width, outputs)
        self.drop = nn.Dropout(0.2)

    def forward(self, x):
        h = F.silu(self.a(x))
        return self.c(h + 0.5 * self.drop(F.tanh(self.b(h))))


class Concatenating(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.a, self.b, self.c = nn.Linear(inputs, 19), nn.Linear(inputs, 14, bias=False), nn.Linear(33, outputs)

    def forward(self, x):
        h = F.cat([F.gelu(self.a(x)), F.relu(self.b(x))])
        return self.c(h) - F.cat([h[:, 2:4], h[:, 0:outputs_of(self.c) - 2]])


def outputs_of(layer):
    return layer.weight.shape[0]


class Tied(nn.Module):
    """One layer used twice, one bias in two layers."""

    def __init__(self, width, outputs):
        super().__init__()
        self.a, self.b, self.c = nn.Linear(width, width), nn.Linear(width, width), nn.Linear(width, outputs)
        self.b.bias = self.a.bias

    def forward(self, x):
        return self.c(F.leaky_relu(self.b(F.softplus(self.a(F.elu(self.a(x)))))))


class TwoInputs(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.a, self.b, self.c = nn.Linear(inputs, 21), nn.Linear(inputs, 21), nn.Linear(21, outputs)

    def forward(self, x, y):
        return self.c(F.sigmoid(self.a(x)) * F.tanh(self.b(y)))


class Config:
    """A network, what it learns, and how. target: "class", "real", "share" (0..1) or "soft"."""

    def __init__(self, model, inputs, outputs, loss, target, optimizer, rows, batch, dtype="float32", weighted=False, schedule=False,
                 two=False, **trainer):
        self.model, self.inputs, self.outputs, self.loss, self.target, self.optimizer = model, inputs, outputs, loss, target, optimizer
        self.rows, self.batch, self.dtype, self.weighted, self.schedule, self.two = rows, batch, dtype, weighted, schedule, two
        self.trainer = trainer


SGD = functools.partial(optim.SGD, lr=0.05, momentum=0.9, nesterov=True, weight_decay=1e-3)
PLAIN = functools.partial(optim.SGD, lr=0.05)
ADAM = functools.partial(optim.Adam, lr=3e-3)
DECAY = functools.partial(optim.Adam, lr=3e-3, weight_decay=1e-2, betas=(0.8, 0.99))
ADAMW = functools.partial(optim.AdamW, lr=3e-3)
CE, MSE, LOGITS = nn.CrossEntropyLoss, nn.MSELoss, nn.BCEWithLogitsLoss

CONFIGS = {
    "tiny": Config(lambda: mlp(4, 16, 3), 4, 3, CE(), "class", ADAM, 150, 16),
    "odd widths": Config(lambda: mlp(37, 129, 65, 33, 7), 37, 7, CE(), "class", ADAM, 263, 50),
    "odd widths, float64": Config(lambda: mlp(37, 129, 65, 33, 7, act=nn.Tanh), 37, 7, CE(), "class", SGD, 263, 50, "float64"),
    "chunks of rows": Config(lambda: mlp(20, 64, 5, act=nn.GELU), 20, 5, CE(), "class", ADAMW, 700, 300),
    "many rows": Config(lambda: mlp(4, 32, 16, 4, act=nn.Tanh), 4, 4, MSE(), "real", ADAM, 4000, 2500),
    "chunks, float64": Config(lambda: mlp(9, 31, 17, act=nn.ELU), 9, 17, LOGITS(), "share", SGD, 600, 257, "float64"),
    "dropout": Config(lambda: mlp(13, 48, 33, 5, dropout=0.5), 13, 5, CE(label_smoothing=0.1), "class", ADAM, 203, 32),
    "residual": Config(lambda: Residual(13, 35, 5), 13, 5, CE(), "class", ADAMW, 203, 48, clip_grad_norm=1.0),
    "concatenation": Config(lambda: Concatenating(13, 5), 13, 5, MSE(), "real", DECAY, 310, 130),
    "tied": Config(lambda: Tied(18, 4), 18, 4, CE(), "soft", SGD, 107, 16),
    "probabilities": Config(lambda: mlp(13, 33, 5, act=nn.Sigmoid, last=[nn.Softmax()]), 13, 5, CE(from_logits=False), "class", ADAM, 107,
                            32, weighted=True),
    "one output": Config(lambda: mlp(13, 20, 1, act=nn.LeakyReLU, last=[nn.Sigmoid()]), 13, 1, nn.BCELoss(), "share", ADAMW, 140, 64,
                         weighted=True),
    "width one": Config(lambda: mlp(1, 1, 1, act=nn.Softplus), 1, 1, MSE(), "real", PLAIN, 40, 3),
    "deep": Config(lambda: mlp(*[17] * 9, act=nn.SiLU), 17, 17, MSE(), "real", ADAM, 150, 40),
    "class weights": Config(lambda: mlp(13, 40, 3), 13, 3, CE(weight=[1.0, 0.0, 2.5], label_smoothing=0.2), "class", ADAM, 333, 150,
                            weighted=True),
    "clipped, float64": Config(lambda: mlp(13, 65, 3), 13, 3, CE(), "class", DECAY, 203, 48, "float64", weighted=True, clip_grad_norm=0.05),
    "several tiles": Config(lambda: mlp(300, 273, 35, dropout=0.2), 300, 35, CE(), "class", ADAM, 300, 140),
    "schedule": Config(lambda: mlp(13, 64, 3, act=nn.SiLU), 13, 3, CE(), "class", SGD, 107, 16, schedule=True),
    "one row": Config(lambda: mlp(13, 33, 3), 13, 3, CE(), "class", PLAIN, 60, 1),
    "two inputs, sums": Config(lambda: TwoInputs(13, 6), 13, 6, MSE("sum"), "real", functools.partial(optim.SGD, lr=1e-4), 333, 140,
                               "float64", weighted=True, two=True),
}


# --- training them
@functools.cache
def data(name):
    config, rng = CONFIGS[name], np.random.default_rng(0)
    X = rng.standard_normal((config.rows, config.inputs)).astype(config.dtype)
    shape = (config.rows, config.outputs)
    y = {"class": rng.integers(0, config.outputs, config.rows), "real": rng.standard_normal(shape), "share": rng.uniform(0, 1, shape),
         "soft": rng.dirichlet(np.ones(config.outputs), config.rows)}[config.target]
    return ([X, X[::-1].copy()] if config.two else X), y, rng.uniform(0.5, 2, config.rows) if config.weighted else None


def untrained(name, threads, level):
    """The trainer before its first step, on one level."""
    config = CONFIGS[name]
    vv.manual_seed(7)
    model = config.model().to(config.dtype)
    optimizer = config.optimizer(model.parameters())
    schedule = optim.lr_scheduler.ExponentialLR(optimizer, 0.999) if config.schedule else None
    trainer = vv.Trainer(model, config.loss, optimizer, seed=3, num_threads=threads, scheduler=schedule, scheduler_interval="step",
                         backend="cython", **config.trainer)
    trainer.book = cases.load(level)
    return trainer


def train(trainer, name, steps):
    """At least `steps` steps."""
    config, (X, y, w) = CONFIGS[name], data(name)
    trainer.fit(X, y, epochs=-(-steps // -(-config.rows // config.batch)), batch_size=config.batch, sample_weight=w, verbose=0)
    assert trainer.last_run.threads == trainer.num_threads and trainer.step >= steps
    return trainer


def trained(name, steps, threads, level):
    """A trainer after at least `steps` steps."""
    return train(untrained(name, threads, level), name, steps)


def digest(trainer):
    found = hashlib.sha256()
    for p in trainer.model.parameters():
        assert np.isfinite(p.numpy()).all()
        found.update(p.numpy().tobytes())
    return found.hexdigest()


def unfused(monkeypatch):
    """Every training plan from here on updates after the whole backward pass."""
    original = Plan.__init__
    monkeypatch.setattr(Plan, "__init__", lambda self, *args, **options: original(self, *args, **{**options, "fused": False}))


def prove(name, steps, threads, monkeypatch):
    """One digest for all of `threads` on every level, fused and deferred; then predictions in any batch."""
    first = trained(name, steps, threads[0], LEVELS[-1])
    found = {(level, n): digest(trained(name, steps, n, level)) for level in LEVELS for n in threads}
    with monkeypatch.context() as patch:
        unfused(patch)
        deferred = trained(name, steps, threads[-1], LEVELS[-1])
        assert not any(call.chained for call in deferred.plan.calls)
        found["deferred"] = digest(deferred)
    assert set(found.values()) == {digest(first)}, found
    batches(first, data(name)[0])


def batches(trainer, X):
    """Rows alone, in chunks and permuted give the bits of the whole."""
    whole, rows = trainer.predict(X), len(X[0]) if isinstance(X, list) else len(X)

    def part(index):
        return trainer.predict([x[index] for x in X] if isinstance(X, list) else X[index])
    for size in (1, 7, 16, 130):
        for start in range(0, min(rows, 12 * size), size):
            assert np.array_equal(part(slice(start, start + size)), whole[start:start + size])
    order = np.random.default_rng(1).permutation(rows)
    assert np.array_equal(part(order), whole[order])


needs_a_level = pytest.mark.skipif(not LEVELS, reason="baseline and other architectures make no promise of bits")


@needs_a_level
@pytest.mark.parametrize("name", CONFIGS)
def test_bits(name, monkeypatch):
    prove(name, 12, (1, 3, 8), monkeypatch)


@needs_a_level
@pytest.mark.slow
@pytest.mark.parametrize("name", CONFIGS)
def test_bits_after_200_steps(name, monkeypatch):
    prove(name, 200, THREADS, monkeypatch)


@needs_a_level
def test_the_configurations_differ():
    """No two train to the same weights, and each goes on from epoch to epoch."""
    assert len(CONFIGS) == 20
    found = {digest(trained(name, epochs * -(-config.rows // config.batch), 1, LEVELS[-1])) for name, config in CONFIGS.items()
             for epochs in (1, 2)}
    assert len(found) == 40


def concurrent(steps, rounds):
    """16 Python threads, each with another configuration and a team of one to three, against the same fits one after the other."""
    names, level = list(CONFIGS)[:16], LEVELS[-1]
    serial = {name: digest(trained(name, steps, 1, level)) for name in names}
    for _ in range(rounds):
        trainers = {name: untrained(name, 1 + place % 3, level) for place, name in enumerate(names)}
        start, errors = threading.Barrier(len(names)), []

        def work(name, trainer, start=start, errors=errors):
            try:
                start.wait(60)
                train(trainer, name, steps)
            except BaseException as error:  # shown below: a thread would swallow it
                errors.append(error)
        workers = [threading.Thread(target=work, args=item) for item in trainers.items()]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join(600)
        assert not errors and {name: digest(trainer) for name, trainer in trainers.items()} == serial


@needs_a_level
def test_sixteen_models_at_once_equal_serial_fits():
    concurrent(12, 1)


@needs_a_level
@pytest.mark.slow
def test_sixteen_models_at_once_many_times():
    concurrent(200, 20)
