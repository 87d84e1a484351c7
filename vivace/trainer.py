"""Trainer: whole epochs in compiled code."""
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from . import callbacks as cb
from . import kernels, prepare, threads
from . import metrics as scores
from .adversarial import Attack, Moving
from .door import Door
from .history import History
from .kernels import record as R
from .last_run import LastRun
from .loop import Loop
from .measure import Course, Measure, Sample
from .nn import checks, random
from .nn.accumulated import AccumulatedPlan, UpdatePlan
from .nn.dtype import real_dtype
from .nn.graph import trace
from .nn.losses import CrossEntropyLoss, Loss
from .nn.module import Module
from .nn.optim import Optimizer
from .nn.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau
from .nn.own import OwnLoss
from .nn.plan import Data, Plan
from .nn.store import Store
from .order import given_order, order_from
from .penalty import L2Penalty
from .progress import Progress
from .run import Interrupts, NonFiniteError, Run, eval_outputs
from .team import team_for

SPLIT_EPOCH = (1 << 32) - 1
"""The permutation that draws the validation rows is that of an epoch no training reaches."""
PREDICT_ROWS, MOST_PREDICT_ROWS = 512, 8192
"""Rows per pass of predict: their values stay in the second-level cache between layers. A small model takes more, as many as are
worth a team (WORTH_A_PASS operations): else its threads would meet after every few microseconds, or there would be but one."""
WORTH_A_PASS = 4e6
NOT_STATE = {"book", "metrics", "last_epoch", "statistics", "sample", "spare", "_plans", "_traces", "_train_plan", "_order", "_lock",
             "_door", "_team", "_ended"}
"""Attributes that Trainer._begin makes."""
SURELY_A_TEAM = 1e9
"""Operations of a step that is not worth measuring on one thread: milliseconds, of which barriers are nothing."""


class Trainer:
    """Trains `model` for `loss` with `optimizer`, in place. save(path) writes the whole state of training (io.py); vivace.load reads it.

    metrics: names (accuracy, r2, mae, rmse) or functions f(prediction, target). precision: None follows the model; "float32" or
    "float64" convert it in place. scheduler: an optim.lr_scheduler, stepped per "epoch" or per "step" (scheduler_interval).
    clip_grad_norm: largest norm of the whole gradient; clip_grad_value: largest magnitude of each of its elements, after
    that. accumulate: batches whose gradients are added up for one update, which is that of a batch of all their rows. ema_decay d:
    keep average = d average + (1 - d) weights after every update; `with trainer.averaged():` puts it in place.
    l2_penalty: alpha of a term alpha / 2 * sum of squares of the weight matrices / sum of row weights in each batch's loss (penalty.py).
    num_threads: None chooses; n is obeyed exactly, but a step too small for n shares is made by fewer. backend: "cython", "numba",
    "numpy"; None is the process default. seed feeds shuffling, splitting, dropout and mixup; None draws one from manual_seed's
    generator. mixup: alpha of Zhang et al. 2018 (arXiv:1710.09412): each batch is mixed with itself turned round, inputs and targets,
    x[n] becomes s x[n] + (1 - s) x[N-1-n], s drawn from Beta(alpha, alpha) for each step; the loss and metrics of training are then those
    of mixed rows (metrics against the rows' own targets). It takes no row or class weights, and classes need CrossEntropyLoss.
    adversarial: None, or an attack of vivace.adversarial (FGSM, PGD): each step then trains on its batch moved by the attack
    against the weights of that moment, in evaluation mode; losses and metrics of training are those of the moved batches, validation
    and evaluate see inputs as they are.
    table: None, or the vivace.table.TableEncoder that makes the model's inputs; it is saved with the trainer.
    """

    def __init__(self, model, loss, optimizer, *, metrics=None, precision=None, scheduler=None, scheduler_interval="epoch",
                 clip_grad_norm=None, num_threads=None, backend=None, seed=None, clip_grad_value=None,
                 accumulate=1, ema_decay=None, l2_penalty=None, adversarial=None, mixup=None):
        if isinstance(loss, type) and issubclass(loss, OwnLoss):  # what nn.loss gives, without its brackets
            loss = loss()
        for name, value, kind in (("model", model, Module), ("loss", loss, Loss), ("optimizer", optimizer, Optimizer)):
            if not isinstance(value, kind):
                raise TypeError(f"{name} must be a {kind.__module__.removesuffix('.module')}.{kind.__name__}, got {type(value).__name__}")
        if scheduler_interval not in ("epoch", "step"):
            raise ValueError(f"scheduler_interval must be 'epoch' or 'step', got {scheduler_interval!r}")
        if scheduler is not None and not isinstance(scheduler, LRScheduler):
            got = f"the class {scheduler.__name__}" if isinstance(scheduler, type) else type(scheduler).__name__
            raise TypeError(f"scheduler must be None or a schedule of vivace.optim.lr_scheduler made for the optimizer, got {got}")
        if scheduler is not None and scheduler.optimizer is not optimizer:
            raise ValueError("scheduler must be made for the optimizer that the trainer is given, it is for another")
        for name, value in (("clip_grad_norm", clip_grad_norm), ("clip_grad_value", clip_grad_value)):
            if value is not None:
                prepare.positive(name, value)
        if mixup is not None:
            prepare.positive("mixup", mixup)
            if optimizer.whole:
                raise ValueError(f"mixup needs an optimizer that steps by batches, got {type(optimizer).__name__}")
        if isinstance(scheduler, ReduceLROnPlateau) and scheduler_interval == "step":
            raise ValueError("ReduceLROnPlateau needs scheduler_interval='epoch': it goes by the epoch's logs")
        if seed is not None and checks.count("seed", seed, 0) >= 1 << 64:
            raise ValueError(f"seed must be below 2^64, got {seed!r}")
        threads.check(num_threads)
        if l2_penalty not in (None, 0) and accumulate != 1:
            raise ValueError("l2_penalty and accumulate cannot be combined: the penalty goes by the rows of a batch")
        self.penalty = L2Penalty(l2_penalty, optimizer) if l2_penalty not in (None, 0) else None
        if adversarial is not None and not isinstance(adversarial, Attack):
            raise TypeError(f"adversarial must be None or a vivace.adversarial.Attack, got {type(adversarial).__name__}")
        if adversarial is not None and optimizer.whole:
            raise TypeError(f"adversarial needs steps on batches, and {type(optimizer).__name__} works on all rows at once")
        self.adversarial = adversarial
        self.model, self.loss, self.optimizer, self.scheduler = model, loss, optimizer, scheduler
        self.metric_names = metrics
        self.scheduler_interval, self.clip_grad_norm, self.num_threads = scheduler_interval, clip_grad_norm, num_threads
        self.clip_grad_value, self.accumulate, self.ema_decay = clip_grad_value, checks.count("accumulate", accumulate), ema_decay
        if ema_decay is not None and not (checks.real(ema_decay) and 0 <= ema_decay < 1):
            raise ValueError(f"ema_decay must be None or a number >= 0 and < 1, got {ema_decay!r}")
        self.backend, self.mixup = backend, mixup
        self.seed = random.draw_seed() if seed is None else int(seed)
        if precision is not None:
            model.to(_precision(precision))
        self.history, self.last_run, self.stop_training, self.stop_reason = History(), LastRun(), False, None
        self.epoch, self.step, self.position = 0, 0, 0
        self.partial, self.watchers, self.restored, self.widths = None, [], [], None
        self.table, self.course = None, Course()
        self._begin()

    def _begin(self):
        """What is found out or made room for on the way, and no part of the state."""
        self.book, self.metrics = kernels.get(self.backend), scores.resolve(self.metric_names)
        self.last_epoch = None  # the Span of the last epoch: its steps' results, for those who count losses in their own way
        self.statistics, self.sample = None, None
        self.spare = {}  # room of the last snapshot
        self._plans, self._traces, self._lock = {}, {}, threading.RLock()
        self._train_plan = self._order = self._door = self._team = None
        self._ended = 0.0  # when a fit ended

    def __getstate__(self):
        """For pickle and deepcopy: the state as it is saved; a fit of the copy goes on, its callbacks from where these stand."""
        with self._lock:
            ema = None if self.ema_decay is None else [self.store.segment("ema", p).copy() for p in self.model.parameters()]
            kept = {name: value for name, value in self.__dict__.items() if name not in NOT_STATE}
            return {**kept, "watchers": [], "restored": self.callback_states(), "ema": ema}

    def __setstate__(self, state):
        ema = state.pop("ema")
        self.__dict__.update(state)
        self._begin()
        for p, values in zip(self.model.parameters(), ema or ()):
            self.store.segment("ema", p)[...] = values

    # --- storage and plans

    @property
    def store(self):
        """The flat store of the model's parameters."""
        return Store.of(self.model.parameters())

    @property
    def plan(self):
        """The plan of the last fit; print it, or ask plan.memory()."""
        if self._train_plan is None:
            raise RuntimeError("there is no plan before the first fit or make_step")
        return self._train_plan

    def _cached(self, key, make):
        key = (*key, id(self.store), str(self.store.dtype))
        if key not in self._plans:
            while len(self._plans) >= 8:
                self._plans.pop(next(iter(self._plans)))
            self._plans[key] = make()
        return self._plans[key]

    def _training_plan(self, widths, batch, data, emits, accumulate=1, norms=False, watched=False):
        """The plan of a step. watched: one of the same bits that keeps the forward's values and writes gradients down."""
        if self.optimizer.whole:
            raise TypeError(f"{type(self.optimizer).__name__} works on all rows at once, not in steps on batches: use fit")
        self.optimizer.home()
        store = self.store
        graph, text = self._traced(widths, True)
        key = ("train", text, batch, data.key(), emits, self.optimizer.signature(), str(self.loss.config()), self.seed,
               self.clip_grad_norm, self.clip_grad_value, self.ema_decay is None, accumulate, norms, bool(self.penalty), self.mixup,
               watched, self.num_threads == 1)
        mixes = self._mixes(data)

        def make():
            z, logits = self.loss.source(graph.output)
            loss = self.loss.operation(data.targets == "int" and mixes is None, logits), z
            last = dict(clip_norm=self.clip_grad_norm, clip_value=float(self.clip_grad_value or 0), averages=self.ema_decay is not None)
            if accumulate == 1:
                plan = Plan(graph, store, self.book, batch, data, loss, self.optimizer, self.seed, emits, norms=norms, fused=not watched,
                            penalized=self.penalty.params if self.penalty else (), mixup=mixes, keep=watched,
                            alone=self.num_threads == 1, **last)
            elif self.optimizer.layers:
                raise ValueError("accumulate and a schedule of a layer's number cannot be combined: a step has several batches")
            else:
                params = [p for p in self.optimizer.steps if p.requires_grad]
                inner = Plan(graph, store, self.book, batch, data, loss, None, self.seed, emits, gradients=params, total=True,
                             mixup=mixes)
                updates = UpdatePlan(inner, self.optimizer, norms=norms, **last)
                plan = AccumulatedPlan(inner, updates, accumulate, self.loss.reduction == "mean")
            if not plan.trained:
                raise ValueError("no parameter of the model is trained: all are frozen, or the optimizer holds none of them")
            plan.first_steps = {p: self.optimizer.steps[p] for p in plan.trained}
            plan.first_step = plan.first_steps[plan.trained[0]]
            return plan
        plan = self._cached(key, make)
        if len({self.optimizer.steps[p] - t for p, t in plan.first_steps.items()}) > 1:
            # what was frozen for a while has a step count of its own, and the plan's table would give it another's
            self._plans = {k: held for k, held in self._plans.items() if held is not plan}
            plan = self._cached(key, make)
        if not watched:
            self._train_plan = plan
        return plan

    def _mixes(self, data):
        """The label smoothing of mixed classes, or None where batches are not mixed."""
        if self.mixup is None:
            return None
        if data.weights:
            raise ValueError("mixup cannot be combined with sample_weight, class weights or ignore_index: a mixed row has two weights")
        if data.targets == "int" and not isinstance(self.loss, CrossEntropyLoss):
            raise ValueError(f"mixup of classes needs CrossEntropyLoss, got {type(self.loss).__name__}")
        return getattr(self.loss, "label_smoothing", 0.0)

    def gradient_plan(self, widths, batch, data, total):
        """The plan of a step that ends with the gradients of all trained parameters in the flat vector (nn.plan.Plan, `gradients`)."""
        store = self.store
        params = [p for p in store.params if p.requires_grad]
        if not params:
            raise ValueError("no parameter of the model is trained: all are frozen")
        graph, text = self._traced(widths, True)

        def make():
            z, logits = self.loss.source(graph.output)
            loss = self.loss.operation(data.targets == "int", logits), z
            return Plan(graph, store, self.book, batch, data, loss, None, self.seed, False, gradients=params, total=total)
        return self._cached(("gradients", text, batch, data.key(), str(self.loss.config()), self.seed, total), make)

    def _prediction_plan(self, widths, sparse=()):
        store = self.store
        graph, text = self._traced(widths, False)
        rows = min(max(PREDICT_ROWS, int(WORTH_A_PASS / (2 * max(store.size, 1)))), MOST_PREDICT_ROWS)
        return self._cached(("predict", text, sparse), lambda: Plan(graph, store, self.book, rows, Data(sparse=sparse)))

    def _outputs(self, widths):
        return self._traced(widths, True)[0].output.shape[1]

    def _traced(self, widths, training):
        """(graph, what it says): traced anew after an attribute of any module was set, a parameter was frozen, or fit was called."""
        store = self.store
        key = (tuple(widths), training, id(store), tuple(p.requires_grad for p in store.params))
        held = self._traces.get(key)
        if held is None or held[0] != Module._changes[0]:
            graph = self._trace(widths, training)
            if len(self._traces) >= 8:
                self._traces.clear()
            names = {id(t): f"p{id(t)}" for t in (*store.params, *self.model.buffers())}
            held = self._traces[key] = (Module._changes[0], graph, str(graph.describe(names)))
        return held[1:]

    def _trace(self, widths, training):
        try:
            graph = trace(self.model, widths, self.store.dtype, training)
        except ValueError as error:
            raise ValueError(f"X with {' and '.join(map(str, widths))} columns does not fit the model: {error}") from error
        self.widths = list(widths)
        return graph

    # --- training

    def order_of(self, epoch, rows, out=None):
        """The rows in the order of `epoch`: a function of (seed, epoch), what fit was given, or as they stand when it does not shuffle.
        out: int64 (rows,) to write it to."""
        if self._order is None:
            out = np.empty(rows, np.int64) if out is None else out
            self.book.permutation(out, self.seed, epoch)
            return out
        order = order_from(self._order, epoch, rows) if callable(self._order) else self._order
        if out is None:
            return order
        out[...] = order
        return out

    def fit(self, X, y, epochs=10, batch_size=32, validation_data=None, validation_split=0.0, sample_weight=None, shuffle=True,
            callbacks=None, verbose="auto", max_time=None):
        """Train for `epochs` more epochs; returns the History.

        X (N, features) numbers, or a list of them for a model of several inputs (a sparse matrix of SciPy is not made dense); y classes
        0..C-1 or real targets. shuffle: True, False, an array (N,) that gives the order of every epoch, or a function epoch -> array (N,)
        of row numbers, which must give the same for the same epoch. validation_split: part of the rows, drawn by the seed, that is not
        trained on; validation_data (X, y) or (X, y, sample_weight). max_time: seconds. A second fit continues: epochs, optimizer and
        history go on; an epoch that was cut short is finished first when rows and batch_size are the same.
        Raises NonFiniteError when loss or weights stop being finite, the model then holding the last finite weights; Ctrl-C raises
        KeyboardInterrupt after at most a step, the model being usable.
        """
        with self._lock:
            self._traces.clear()
            epochs, batch_size = checks.count("epochs", epochs, 0), checks.count("batch_size", batch_size)
            arrays, target, weight = self._data(X, y, sample_weight)
            arrays, target, weight, validation = self._validation(arrays, target, weight, validation_data, validation_split)
            rows = len(target)
            if rows == 0:
                raise ValueError("X must have at least one row to train on, got 0")
            self._order = given_order(shuffle, rows)
            if max_time is not None:
                prepare.positive("max_time", max_time)
            self._check_weights()
            prepare.probabilities(self, arrays)
            watchers = self._watchers(callbacks)
            return self._fit(arrays, target, weight, validation, epochs, min(batch_size, rows), watchers, verbose, max_time)

    def _check_weights(self):
        for name, p in self.model.named_parameters():
            if not prepare.finite(p.numpy()):
                raise ValueError(f"the model's weights must be finite to train, {name} is not")

    def _watchers(self, callbacks):
        """The callbacks of a fit; after a load, they go on from the states in the file, told apart by class and order."""
        watchers, states = cb.watchers(callbacks), list(self.restored)
        for watcher in watchers:
            found = next((item for item in states if item[0] == type(watcher).__name__), None)
            if found is not None:
                states.remove(found)
                watcher.load_state(found[1])
        self.watchers, self.restored = watchers, []
        return watchers

    def callback_states(self):
        """[(class name, state)] of the callbacks of the running or last fit, or of those a file held until there is one."""
        return [(type(w).__name__, w.state()) for w in self.watchers] or self.restored

    def _data(self, X, y, sample_weight):
        dtype = self.store.dtype
        arrays = prepare.inputs(X, dtype)
        outputs = self._outputs([a.shape[1] for a in arrays])
        prepare.indices(self._traced([a.shape[1] for a in arrays], True)[0], arrays, dtype)
        target = prepare.targets(self.loss, y, outputs, dtype, len(arrays[0]))
        return arrays, target, prepare.weights(self.loss, target, sample_weight, dtype)

    def _validation(self, arrays, target, weight, given, split):
        if given is not None and split:
            raise ValueError("give validation_data or validation_split, not both")
        if given is not None:
            if not isinstance(given, (tuple, list)) or len(given) not in (2, 3):
                raise ValueError("validation_data must be (X, y) or (X, y, sample_weight)")
            try:
                held = self._data(*given, *[None] * (3 - len(given)))
                if not len(held[1]):
                    raise ValueError("X must have at least one row, got 0")
                return arrays, target, weight, held
            except (TypeError, ValueError) as error:
                raise type(error)(f"validation_data: {error}") from error
        if not checks.real(split) or not 0 <= split < 1:
            raise ValueError(f"validation_split must be a number >= 0 and < 1, got {split!r}")
        held = int(len(target) * split)
        if split and not held:
            raise ValueError(f"validation_split must leave a row to validate on, got {split!r} of {len(target)} rows")
        if not held:
            return arrays, target, weight, None
        order = np.empty(len(target), np.int64)
        self.book.permutation(order, self.seed, SPLIT_EPOCH)

        def rows(index):
            return [a[index] for a in arrays], target[index], None if weight is None else weight[index]
        return *rows(np.sort(order[held:])), rows(np.sort(order[:held]))

    def _fit(self, arrays, target, weight, validation, epochs, batch, watchers, verbose, max_time):
        if self.optimizer.whole:
            from .whole import fit_whole
            return fit_whole(self, arrays, target, weight, validation, epochs, watchers, verbose, max_time)
        moving = None if self.adversarial is None else Moving(self, arrays, target)
        if moving is not None:
            arrays = [moving.moved]
        data = Data([a.dtype for a in arrays], True, "int" if target.dtype == np.int64 else target.shape[1], weight is not None,
                    prepare.sparse_places(arrays))
        norms = self.clip_grad_norm is not None or any(watcher.needs_grad_norm for watcher in watchers)
        plan = self._training_plan([a.shape[1] for a in arrays], batch, data, bool(self.metrics), self.accumulate, norms)
        plan.graph.check_batches(len(target), batch)
        batch = min(batch * self.accumulate, len(target))
        rows, first = len(target), self.epoch
        spaces = prepare.input_spaces(arrays, R.INPUT) | {R.TARGET: target, R.WEIGHT: weight}
        begin = time.monotonic()
        deadline = np.inf if max_time is None else begin + max_time
        self.stop_training, self.stop_reason = False, None
        steps_before, self._seconds = self.step, 0.0
        self.sample, self.course.failure = Sample(arrays, target, weight), None
        with threads.team(self._threads(), plan.worth(batch), batch) as team, Progress(verbose, first + epochs, rows) as progress, \
                Interrupts() as interrupts:
            fixed = self.num_threads is not None or threads.forced() is not None
            self._team = team = team_for(plan, self._team, team, fixed or plan.flops(batch) > SURELY_A_TEAM, begin - self._ended)
            run = Run(self, plan, spaces, rows, batch, plan.graph.output.shape[1], bool(self.metrics), team, interrupts, moving)
            self.statistics = next((w for w in watchers if isinstance(w, cb.Statistics)), None)
            if self.statistics is not None:
                if self.accumulate != 1:
                    raise ValueError("callbacks.Statistics and accumulate cannot be combined: a step has several batches")
                widths = [a.shape[1] for a in arrays]
                watched = self._training_plan(widths, batch, data, bool(self.metrics), norms=norms, watched=True)
                run.measure = Measure(self, watched, self.statistics)
            for watcher in watchers:
                watcher.on_train_begin(self)
            try:
                Loop(self, run, target, weight, validation, watchers, progress, deadline).train(first + epochs)
            finally:
                self._ended = time.monotonic()
                self._report(team.used, self.step - steps_before, plan.flops(batch), rows / -(-rows // batch))
            for watcher in watchers:
                watcher.on_train_end(self)
        return self.history

    def _threads(self):
        return self.num_threads if hasattr(self.book, "ENGINE_SIZES") else 1

    def _report(self, team, steps, flops, rows_per_step):
        seconds = max(self._seconds, 1e-9)
        self.last_run = LastRun(team, steps, self._seconds, steps * rows_per_step / seconds, steps * flops / seconds / 1e9)

    def _keep(self, epoch, done):
        """Where the epoch stands: part of the state that is saved."""
        self.position, self.partial = done, epoch.kept(done) if done else None

    def scheduled_ahead(self):
        """Whether the schedule goes by steps and knows its values ahead, so that a run need not stop for it."""
        return self.scheduler is not None and self.scheduler_interval == "step" and self.scheduler.ahead

    def _step_scheduler(self, logs):
        if not isinstance(self.scheduler, ReduceLROnPlateau):
            self.scheduler.step()
            return
        name = self.scheduler.monitor or ("val_loss" if "val_loss" in logs else "loss")
        if name not in logs:
            raise ValueError(f"monitor must name an entry of the logs, which are {', '.join(logs)}, got {name!r}")
        self.scheduler.step(logs[name])

    def _scores(self, prediction, target, weight):
        return {name: metric(prediction, target, weight, self._threshold(prediction)) for name, metric in self.metrics}

    def _threshold(self, prediction):
        return self.loss.threshold if self.loss.binary else None

    def make_step(self, batch_size=32):
        """step(xb, yb, sample_weight=None) -> loss: one compiled step on a batch of at most `batch_size` rows, for custom loops."""
        from .step import Step
        return Step(self, checks.count("batch_size", batch_size))

    @contextmanager
    def averaged(self):
        """Within it the model holds the moving average of its weights (Trainer(ema_decay=)): evaluate, predict or copy them."""
        if self.ema_decay is None or not self.step:
            raise RuntimeError("there is no average of weights: give Trainer(ema_decay=) and fit")
        store = self.store
        with self._lock:
            kept = store.vectors["data"].copy()
            store.vectors["data"][...] = store.vector("ema")
            store.written()
            try:
                yield self.model
            finally:
                store.vectors["data"][...] = kept
                store.written()

    if TYPE_CHECKING:  # io.py gives it
        def save(self, path): ...

    def objective(self, X, y, sample_weight=None, *, l2=0.0, batch_size=None):
        """The loss over X, y as a function of the flat weights, with value_and_grad(flat): see vivace.objective.Objective."""
        from .objective import objective
        return objective(self, X, y, sample_weight, l2=l2, batch_size=batch_size)

    # --- prediction

    def predict(self, X):
        """Raw outputs of the model in evaluation mode, (N, outputs). A row's output does not depend on the rows around it."""
        with self._lock:
            if self._door is not None and self._door.takes(X):
                return self._door.predict(X)
            arrays = prepare.inputs(X, self.store.dtype)
            prepare.indices(self._traced([a.shape[1] for a in arrays], False)[0], arrays, self.store.dtype)
            out = self._predict(arrays)
            if len(out) <= PREDICT_ROWS:
                self._door = Door.of(self, arrays)
            return out

    def _predict(self, arrays):
        arrays = prepare.as_type(arrays, self.store.dtype)
        plan = self._prediction_plan([a.shape[1] for a in arrays], prepare.sparse_places(arrays))
        rows = len(arrays[0])
        with threads.team(self._threads(), plan.worth(min(rows, plan.rows)), rows) as team:
            return eval_outputs(plan, arrays, rows, team)

    def predict_proba(self, X):
        """Probabilities (N, C) by the loss's link: softmax or sigmoid of raw scores; outputs that are probabilities stay."""
        if self.loss.link is None:
            raise ValueError(f"{type(self.loss).__name__} has no probabilities; use predict")
        z = self.predict(X)
        if self._gives_probabilities():
            return z
        p = np.empty_like(z)
        getattr(self.book, f"{self.loss.link}_forward")(z, p)
        return p

    def _gives_probabilities(self):
        return not getattr(self.loss, "from_logits", self.loss.threshold == 0.0)

    def predict_classes(self, X):
        """Classes (N,): argmax over outputs, or whether a single output exceeds its threshold; (N, O) for several binary outputs."""
        z = self.predict(X)
        if self.loss.binary:
            chosen = (z > self.loss.threshold).astype(np.int64)
            return chosen[:, 0] if chosen.shape[1] == 1 else chosen
        return z.argmax(axis=1)

    def evaluate(self, X, y, sample_weight=None):
        """{"loss": ..., and each metric} on X, y, in evaluation mode."""
        with self._lock:
            return self._evaluate(*self._data(X, y, sample_weight))

    def _evaluate(self, arrays, target, weight):
        z = self._predict(arrays)
        return {"loss": self.mean_loss(z, target, weight), **self._scores(z, target, weight)}

    def mean_loss(self, z, target, weight=None):
        """The loss (mean by row weight) of raw outputs z for a target and weights in the form the loss takes (Loss.target)."""
        l, s = np.empty(len(z), z.dtype), np.empty(2)
        op = self.loss.operation(target.dtype == np.int64, not self._gives_probabilities())
        op.rows(self.book, z, target, weight, l, None)
        self.book.mean_loss(l, weight, s)
        return float(s[0] / s[1]) if s[1] else 0.0

    def __repr__(self):
        return f"Trainer({self.model!r}, {self.loss!r}, {self.optimizer!r}, epoch={self.epoch})"


def _precision(precision):
    try:
        return real_dtype(precision)
    except ValueError:
        raise ValueError(f"precision must be None, 'float32' or 'float64', got {precision!r}") from None


__all__ = ["LastRun", "NonFiniteError", "Trainer"]
