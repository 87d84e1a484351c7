"""What a step computed, layer by layer: measured on the values and gradients that a watched plan leaves behind."""
import time

import numpy as np

from .kernels import record as R
from .nn.ops import Activation
from .nn.own import OwnActivationOp
from .nn.plan import Data

SAMPLE_ROWS, SAMPLE_VALUES = 512, 1 << 22
"""Rows of a sample; fewer where rows are so wide that they would hold more values than this."""

FLAT = 0.02
"""A slope below this part of the function's largest lets next to nothing of a gradient pass."""

STEEPEST = {"sigmoid": 0.25}
"""Largest slope of an activation function, where it is not 1."""

PIECE = 8192
"""Elements of a product of vectors that OpenBLAS computes on the thread that asks."""

SHARE = 0.01
"""Part of a run's time that recording may take, where its steps are not given."""


class Course:
    """first: the loss of the very first step, before any update; None of a training that began elsewhere, in a file. failure: what made
    the last fit fail, in words."""

    def __init__(self):
        self.first, self.failure = None, None

    def see(self, epoch, result):
        """result (steps, 2): summed loss and weight of the steps of `epoch` that ran."""
        if epoch == 0 and self.first is None and len(result) and result[0, 1]:
            self.first = float(result[0, 0] / result[0, 1])


class Sample:
    """A copy of rows of the training data, evenly spread: what a trainer is looked at with after a fit."""

    def __init__(self, arrays, target, weight):
        rows = min(len(target), SAMPLE_ROWS, max(SAMPLE_VALUES // max(sum(a.shape[1] for a in arrays), 1), 1))
        index = np.arange(rows) * len(target) // rows
        self.arrays, self.target = [a[index] for a in arrays], target[index]
        self.weight = None if weight is None else weight[index]


class Record:
    """The statistics of one step: step and epoch (0, 1, ...), loss before the update, values: name -> array over layers or activations."""

    __slots__ = ("step", "epoch", "loss", "values")

    def __init__(self, step, epoch, loss, values):
        self.step, self.epoch, self.loss, self.values = step, epoch, loss, values


class Measure:
    """Runs single steps of a watched plan and measures them; the records go to `statistics`."""

    def __init__(self, trainer, plan, statistics=None):
        self.trainer, self.plan, self.statistics = trainer, plan, statistics
        names = {id(p): name for name, p in trainer.model.named_parameters()}
        layers = {}
        for p in sorted(plan.trained, key=lambda p: p._offset):
            layers.setdefault(_layer(names[id(p)]), []).append(p)
        self.layers, self.parameters = list(layers), list(layers.values())
        self.nodes = [n for n in plan.graph.nodes if n.out is not plan.graph.output and _seen(n, plan.graph)]
        self.activations = [f"{layer_of(plan.graph, n, names) or 'input'} {n.op.function}" for n in self.nodes]
        self.before = np.empty_like(plan.store.vectors["data"])
        self.began, self.spent, self.seen = None, 0.0, 0

    # --- which steps

    def due(self):
        """Whether the next step is to be recorded."""
        if self.statistics.every is not None:
            return self.trainer.step % self.statistics.every == 0
        return self.began is None or (time.monotonic() - self.began) * SHARE >= self.spent / self.seen * (self.seen + 1)  # with this one

    def until(self):
        """Steps up to the next one that is to be recorded, as far as that is known."""
        every = self.statistics.every
        return 1 << 60 if every is None else every - self.trainer.step % every

    # --- a step

    def step(self, spaces, rows, batch, step, threads, epoch):
        """Run step `step` of an epoch; (step, phase, status) as Plan.run. Nothing is recorded of a step whose loss is not finite."""
        began = time.monotonic()
        plan, store = self.plan, self.plan.store
        plan.enter()
        np.copyto(self.before, store.vectors["data"])
        launched = time.monotonic()
        place = plan.run(spaces, self._table(step + 1), rows, batch, (step, 0), step + 1, threads, np.inf)
        launched = time.monotonic() - launched
        if place[2] != "not finite":
            total, mass = spaces[R.RESULT][step].tolist()
            self.record = Record(self.trainer.step, epoch, total / mass if mass else 0.0, self._values(min(batch, rows - step * batch)))
            if self.statistics is not None:
                self.statistics.add(self.record, self.layers, self.activations)
        now = time.monotonic()
        # the step itself is part of the training; with its update apart and more to write it takes about a third more
        self.spent, self.seen = self.spent + now - began - 0.7 * launched, self.seen + 1
        self.began = began if self.began is None else self.began
        return place

    def _table(self, rows):
        """Hyperparameters of the trainer's next step, in the last of `rows` rows."""
        plan, trainer = self.plan, self.trainer
        table = np.zeros((rows, max(len(plan.columns), 1)))
        trainer.optimizer.fill(table[-1:], plan.columns, trainer.optimizer.steps[plan.trained[0]] - plan.first_step)
        if "step" in plan.columns:
            table[-1, plan.columns["step"]] = trainer.step
        return table

    def _values(self, rows):
        store = self.plan.store
        data, grad = store.vectors["data"], store.vectors["grad"]
        sizes = np.array([sum(p.size for p in group) for group in self.parameters])

        def norms(vector):
            return np.array([np.hypot.reduce([norm(vector[p._offset:p._offset + p.size]) for p in group]) for group in self.parameters])
        grad_norm, weight_norm = norms(grad), norms(self.before)
        update_norm = norms(np.subtract(data, self.before, out=self.before))
        with np.errstate(divide="ignore", invalid="ignore"):  # a layer of zeros has none
            ratio = update_norm / weight_norm
        values = {"grad_norm": grad_norm, "grad_rms": grad_norm / np.sqrt(sizes), "weight_norm": weight_norm, "update_norm": update_norm,
                  "update_ratio": ratio}
        held = {node.out.index: array[:rows] for node, array in self.plan.values()}
        found = np.array([self._activation(node, held) for node in self.nodes]).reshape(-1, 4)
        return values | dict(zip(("mean", "std", "saturation", "dead"), found.T))

    def _activation(self, node, held):
        """(mean, std, saturation, dead) of an activation's output; its slope is what its own derivative makes of ones."""
        y = held[node.out.index]
        x = held.get(node.inputs[0].index, y)  # fused into the matmul before it, a function whose derivative takes its output has no input
        slope, = node.op.backward(self.plan.book, np.empty_like, [True], np.ones_like(y), y, x)
        flat = np.abs(slope, out=slope) < FLAT * STEEPEST.get(node.op.function, 1.0)
        mean = y.mean(dtype=np.float64)
        spread = norm(np.subtract(y, y.dtype.type(mean), out=slope).reshape(-1)) / max(y.size, 1) ** 0.5
        return mean, spread, np.count_nonzero(flat) / max(y.size, 1), flat.all(axis=0).mean()


def _seen(node, graph):
    """Whether the node is an activation function whose slope can be told from what a watched plan keeps: no inputs of the model."""
    if isinstance(node.op, OwnActivationOp):
        return node.inputs[0].index in graph.makers
    return isinstance(node.op, Activation) and node.op.function not in ("softmax", "identity")


def now(trainer, sample):
    """The Measure of one step on `sample` from where `trainer` stands, which is then put back; None where its loss is not finite."""
    arrays = [np.ascontiguousarray(a, trainer.store.dtype) for a in sample.arrays]
    target, weight = sample.target, sample.weight
    data = Data(None, False, "int" if target.dtype == np.int64 else target.shape[1], weight is not None)
    plan = trainer._training_plan([a.shape[1] for a in arrays], len(target), data, False, watched=True)
    measure, store = Measure(trainer, plan), plan.store
    spaces = {R.RESULT: np.zeros((1, 2)), **trainer.optimizer.spaces(), **{R.INPUT_ROWS + i: a for i, a in enumerate(arrays)},
              R.TARGET_ROWS: target, R.WEIGHT_ROWS: weight}
    kept = {name: vector.copy() for name, vector in store.vectors.items()}
    try:
        place = measure.step(spaces, len(target), len(target), 0, 1, trainer.epoch)
    finally:
        for name, vector in kept.items():
            store.vectors[name][...] = vector
        store.written()
    return None if place[2] == "not finite" else measure


def blank_loss(trainer, sample):
    """The loss on `sample` of outputs that say nothing about any row: scores and real outputs 0, probabilities all alike."""
    book, loss, target = trainer.book, trainer.loss, sample.target
    z = np.zeros((len(target), trainer._outputs([a.shape[1] for a in sample.arrays])), trainer.store.dtype)
    probabilities = loss.link is not None and trainer._gives_probabilities()
    if probabilities:
        z += 1 / z.shape[1] if loss.link == "softmax" else 0.5
    l, s = np.empty(len(z), z.dtype), np.empty(2)
    loss.operation(target.dtype == np.int64, not probabilities).rows(book, z, target, sample.weight, l, None)
    book.mean_loss(l, sample.weight, s)
    return float(s[0] / s[1]) if s[1] else 0.0


def norm(x):
    """The Euclidean norm of a vector, also where squares would leave the range of its type.

    In pieces: the product of long vectors wakes the threads of NumPy's BLAS, which then spin for a while beside the run's own.
    """
    with np.errstate(over="ignore"):
        square = sum(float(np.dot(piece, piece)) for piece in (x[i:i + PIECE] for i in range(0, len(x), PIECE)))
    if 1e-20 < square < 1e30:
        return square ** 0.5
    top = float(np.abs(x).max(initial=0))
    return top * float(np.linalg.norm(x.astype(np.float64) / top)) if 0 < top < np.inf else top


def layer_of(graph, node, names):
    """The layer whose output `node` is, through operations without parameters of their own; None before the first one.

    names: id of a parameter -> its name.
    """
    while node is not None:
        for t in node.inputs:
            if t is not None and not t.traced:
                return _layer(names[id(t)])
        node = graph.makers.get(node.inputs[0].index)
    return None


def _layer(name):
    return name.rpartition(".")[0] or "the model"
