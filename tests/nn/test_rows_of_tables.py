"""Tables in the compiled epoch: where the optimizer lets rows rest, only named rows are touched, with the bits of dense updates."""
import numpy as np
import pytest
import vivace.nn.functional as F

import vivace as vv
from vivace import nn, optim

ROWS, TABLE, WIDTH, BATCH, EPOCHS = 90, 500, 19, 16, 3
RNG = np.random.default_rng(0)
CODES = RNG.integers(0, TABLE // 3, (ROWS, 3)) * 3  # two thirds of the rows are never named; some are named twice in a batch
CODES[:, 2] = CODES[:, 1]
LABELS = RNG.integers(0, 2, ROWS)
KINDS = {
    "adagrad": lambda p: optim.Adagrad(p, lr=0.1), "adagrad decaying": lambda p: optim.Adagrad(p, lr=0.1, lr_decay=0.1, eps=1e-6),
    "adagrad begun": lambda p: optim.Adagrad(p, lr=0.1, initial_accumulator_value=0.3), "sgd": lambda p: optim.SGD(p, lr=0.1),
}
RESTLESS = {
    "decay": lambda p: optim.Adagrad(p, weight_decay=0.1), "l1": lambda p: optim.Adagrad(p, l1_decay=0.1),
    "eps": lambda p: optim.Adagrad(p, eps=0.0, initial_accumulator_value=0.1), "momentum": lambda p: optim.SGD(p, lr=0.1, momentum=0.9),
    "max norm": lambda p: optim.Adagrad(p, max_norm=1.0), "adam": lambda p: optim.Adam(p),
}


class Words(nn.Module):
    def __init__(self, mode):
        super().__init__()
        self.table = nn.Embedding(TABLE, WIDTH, padding_idx=6) if mode is None else nn.EmbeddingBag(TABLE, WIDTH, mode=mode, padding_idx=6)
        self.out = nn.Linear(3 * WIDTH if mode is None else WIDTH, 2)

    def forward(self, x):
        return self.out(F.flatten(self.table(x)))


def model_of(mode, dtype):
    vv.manual_seed(1)
    return Words(mode).to(np.dtype(dtype))


def eager(make, mode, dtype):
    """Dense gradients, updates of all rows."""
    model, loss = model_of(mode, dtype), nn.CrossEntropyLoss()
    optimizer = make(model.parameters())
    for _ in range(EPOCHS):
        for start in range(0, ROWS, BATCH):
            optimizer.zero_grad()
            loss(model(CODES[start:start + BATCH]), LABELS[start:start + BATCH]).backward()
            optimizer.step()
    return model, optimizer


def fitted(make, mode, dtype, threads=1, **options):
    model = model_of(mode, dtype)
    trainer = vv.Trainer(model, nn.CrossEntropyLoss(), make(model.parameters()), seed=0, num_threads=threads, **options)
    trainer.fit(CODES, LABELS, epochs=EPOCHS, batch_size=BATCH, shuffle=False, verbose=0)
    return trainer


def bits(model, optimizer):
    held = [value for states in optimizer.state_dict()["state"].values() for value in states.values()]
    return [p.numpy().tobytes() for p in model.parameters()], [v.tobytes() for v in held if isinstance(v, np.ndarray)]


def riding(trainer):
    """Whether the table's update rides on its gradient."""
    return any(call.name.startswith("embedding") and call.then[0] is not None for call in trainer.plan.calls)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("mode", [None, "sum", "mean", "max"])
@pytest.mark.parametrize("kind", KINDS)
def test_the_bits_of_dense_updates(kind, mode, dtype):
    """Weights and sums, for 1, 2 and 3 threads."""
    expected = bits(*eager(KINDS[kind], mode, dtype))
    for threads in (1, 2, 3):
        trainer = fitted(KINDS[kind], mode, dtype, threads)
        assert riding(trainer) and trainer.last_run.threads == threads
        assert bits(trainer.model, trainer.optimizer) == expected


@pytest.mark.parametrize("kind", RESTLESS)
def test_rows_that_do_not_rest_are_all_updated(kind):
    trainer = fitted(RESTLESS[kind], None, "float32")
    assert not riding(trainer)
    assert bits(trainer.model, trainer.optimizer) == bits(*eager(RESTLESS[kind], None, "float32"))


def test_clipping_by_norm_needs_the_whole_gradient():
    assert not riding(fitted(KINDS["adagrad"], None, "float32", clip_grad_norm=1.0))


def test_rows_without_an_index_are_not_written():
    """What stands in their gradients stays; their weights are those of the start, and their sums 0."""
    trainer = fitted(KINDS["adagrad"], None, "float32")
    table, start = trainer.model.table.weight, model_of(None, "float32").table.weight.numpy()
    table._grad_array[1] = 7.0
    trainer.fit(CODES, LABELS, epochs=1, batch_size=BATCH, shuffle=False, verbose=0)
    assert (table._grad_array[1] == 7.0).all()
    unnamed = np.setdiff1d(np.arange(TABLE), CODES)
    np.testing.assert_array_equal(table.numpy()[unnamed], start[unnamed])
    assert not trainer.optimizer.state_dict()["state"][0]["sum"][unnamed].any()


def test_a_decay_that_begins_later_reaches_all_rows():
    """A schedule, or a callback, may end the rest of the others at any step."""
    def decay(trainer, epoch):
        trainer.optimizer.param_groups[0]["weight_decay"] = 0.1 * (epoch > 0)
    model = model_of(None, "float32")
    trainer = vv.Trainer(model, nn.CrossEntropyLoss(), KINDS["adagrad"](model.parameters()), seed=0)
    start = model.table.weight.numpy().copy()
    trainer.fit(CODES, LABELS, epochs=2, batch_size=BATCH, verbose=0, callbacks=[vv.callbacks.LambdaCallback(on_epoch_begin=decay)])
    assert riding(trainer) and (model.table.weight.numpy() != start).all(axis=1).sum() > TABLE - 2


def test_named_rows_alone_in_every_book():
    """The scalar `named` of the kernels: rows with an index are overwritten, others are left."""
    index, dy = np.array([[1, 3], [3, 0]]), RNG.normal(size=(2, 8))
    for name in ("cython", "numpy", "numba"):
        if name not in vv.kernels.which()["available"]:
            continue
        book, dw, bag = vv.kernels.get(name), np.full((6, 4), 9.0), np.full((6, 8), 9.0)
        book.embedding_backward(index, dy, dw, named=True)
        book.embedding_bag_backward(index, np.zeros((6, 8)), dy, bag, named=True)
        np.testing.assert_allclose(dw, [dy[1, 4:], dy[0, :4], [9] * 4, dy[0, 4:] + dy[1, :4], [9] * 4, [9] * 4])
        np.testing.assert_allclose(bag, [dy[1], dy[0], [9] * 8, dy[0] + dy[1], [9] * 8, [9] * 8])
