"""What the classifier and the regressor share: the door, the fit, the raw outputs, the weights under scikit-learn's names, and pickling."""
import warnings
from numbers import Integral, Real

import numpy as np
from scipy import sparse
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import check_scoring
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import HasMethods, Interval, Options, StrOptions
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, check_X_y, validate_data

from .. import frame, threads
from ..nn import Module, no_grad
from ..trainer import NonFiniteError, Trainer
from . import lbfgs, solvers
from .network import NAMES, Network
from .stopping import Rules, Validation
from .weights import Weights

SPARSE_ROWS = 4096
"""Rows of a sparse matrix that predict makes dense at a time."""

STATE_OF_A_PROCESS = ("_trainer", "_optimizer", "_handed", "_scorer", "_random_state")
"""Attributes that a pickle leaves out; all but the scorer come back as they were."""


class MLP(Weights, BaseEstimator):
    """Base of the estimators. Use MLPClassifier or MLPRegressor."""

    _parameter_constraints = {
        "hidden_layer_sizes": ["array-like", Interval(Integral, 1, None, closed="left")],
        "activation": [StrOptions(set(NAMES)), list, tuple, Module, type],
        "solver": [StrOptions(solvers.NAMES), callable],
        "alpha": [Interval(Real, 0, None, closed="left")],
        "batch_size": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
        "learning_rate": [StrOptions({"constant", "invscaling", "adaptive"}), callable],
        "learning_rate_init": [Interval(Real, 0, None, closed="neither")],
        "power_t": [Interval(Real, 0, None, closed="left")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "shuffle": ["boolean"],
        "random_state": ["random_state"],
        "tol": [Interval(Real, 0, None, closed="left")],
        "verbose": ["verbose", StrOptions({"bar"})],
        "warm_start": ["boolean", StrOptions({"exact"})],
        "momentum": [Interval(Real, 0, 1, closed="both")],
        "nesterovs_momentum": ["boolean"],
        "early_stopping": ["boolean"],
        "validation_fraction": [Interval(Real, 0, 1, closed="left")],
        "beta_1": [Interval(Real, 0, 1, closed="left")],
        "beta_2": [Interval(Real, 0, 1, closed="left")],
        "epsilon": [Interval(Real, 0, None, closed="neither")],
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left"), Options(Real, {np.inf})],
        "max_fun": [Interval(Integral, 1, None, closed="left")],
        "precision": [StrOptions({"float32", "float64"}), None],
        "dropout": [Interval(Real, 0, 1, closed="left"), list, tuple, None],
        "normalisation": [StrOptions({"batch", "layer"}), None],
        "residual": ["boolean"],
        "weight_decay": [Interval(Real, 0, None, closed="left"), None],
        "clip_grad_norm": [Interval(Real, 0, None, closed="neither"), None],
        "scoring": [str, callable, None],
        "max_time": [Interval(Real, 0, None, closed="neither"), None],
        "callbacks": [HasMethods("on_epoch_end"), list, tuple, None],
        "n_jobs": [Integral, None],
        "categorical_features": [StrOptions({"from_dtype"}), None],
    }

    def _set(self, given):
        """Store the arguments of a constructor, from its locals()."""
        for name, value in given.items():
            if name not in ("self", "__class__"):
                setattr(self, name, value)

    # --- the door

    def _checked(self, X, y="no_validation", reset=False):
        """X, or X and y, as scikit-learn checks them; a table of categories becomes numbers first."""
        alone = isinstance(y, str) and y == "no_validation"  # scikit-learn's own word; None is a y that was forgotten
        options = {} if alone else {"multi_output": True, "y_numeric": self._numeric, "dtype": (np.float64, np.float32)}
        if self.categorical_features is None:
            return validate_data(self, X, y, accept_sparse=["csr", "csc"], reset=reset, **options)
        X = self._encoded(X, reset)
        return X if alone else check_X_y(X, y, **options)

    def _encoded(self, X, reset):
        """The columns of a frame as numbers: categories by their values, missing ones by a column of their own (vivace.table)."""
        from ..table import TableEncoder
        if not hasattr(X, "columns"):
            raise ValueError(f'categorical_features="from_dtype" needs a frame with named columns, got {type(X).__name__}')
        if reset:
            self.table_encoder_ = TableEncoder.fit(X, standardize=False)
            self.feature_names_in_ = np.array(frame.names(X), dtype=object)
            self.n_features_in_ = len(self.feature_names_in_)
        return self.table_encoder_.transform(X, np.float64)

    # --- fit

    def _fit(self, X, y, sample_weight=None, incremental=False, validation=None):
        sizes = self._sizes()
        self._refuse_for_lbfgs(validation)
        first = not hasattr(self, "coefs_") or (not self.warm_start and not incremental)
        X, y = self._checked(X, y, first)
        dtype = np.dtype(self.precision or X.dtype)
        target = self._encode(y, dtype, incremental)
        sample_weight = self._row_weights(y, _weights("sample_weight", sample_weight, X))
        X = _dense(X, dtype)
        self._random_state = check_random_state(self.random_state)
        if first:
            self._begin([X.shape[1], *sizes, self.n_outputs_], dtype)
        else:
            self._go_on()
        if incremental and self.early_stopping and self.solver != "lbfgs":
            raise ValueError("partial_fit does not support early_stopping=True")
        if self.solver == "lbfgs":
            self._start()
            self._guarded(lambda: lbfgs.fit(self, X, self._smoothed(target), sample_weight, self._constant(target, sample_weight)))
        else:
            self._fit_stochastic(X, target, sample_weight, incremental, validation)
        if not all(np.isfinite(p.numpy()).all() for p in self._network.model.parameters()):
            raise ValueError(NOT_FINITE)
        return self

    def _sizes(self):
        """Units of the hidden layers, as a list."""
        sizes = [self.hidden_layer_sizes] if not hasattr(self.hidden_layer_sizes, "__iter__") else list(self.hidden_layer_sizes)
        if not all(isinstance(size, Integral) and not isinstance(size, bool) for size in sizes):
            raise ValueError(f"hidden_layer_sizes must be ints, got {sizes}.")
        if any(size <= 0 for size in sizes):
            raise ValueError(f"hidden_layer_sizes must be > 0, got {sizes}.")
        return sizes

    def _refuse_for_lbfgs(self, validation):
        """Raise ValueError where lbfgs would take no notice of something that was asked for beyond scikit-learn's parameters."""
        if self.solver != "lbfgs":
            return
        asked = {"X_val": validation is not None, "callbacks": bool(_listed(self.callbacks)), "weight_decay": bool(self.weight_decay),
                 "clip_grad_norm": self.clip_grad_norm is not None, "learning_rate": callable(self.learning_rate)}
        for name, given in asked.items():
            if given:
                raise ValueError(f"{name} needs a solver that trains in epochs, such as 'adam', got solver='lbfgs', which would take no "
                                 "notice of it")

    def _begin(self, units, dtype):
        """A new network with the weights scikit-learn would draw, and counters at their beginning."""
        self.n_layers_, self.n_iter_, self.t_ = len(units), 0, 0
        self.out_activation_ = self._link()
        self._build(units, dtype)
        self._network.draw(self._random_state, self.activation)
        self._reset_curves()

    def _build(self, units, dtype):
        for name in ("_given", "_handed", "_trainer", "_optimizer"):
            vars(self).pop(name, None)
        self._network = Network(units, self.activation, dtype, self.dropout, self.normalisation, self.residual)
        self._best_state = None

    def _reset_curves(self):
        vars(self).pop("loss_curve_", None)
        self.validation_loss_curve_, self._no_improvement_count = [], 0
        if self.solver == "lbfgs":
            return
        self.loss_curve_ = []
        self.validation_scores_ = [] if self.early_stopping else None
        self.best_validation_score_ = -np.inf if self.early_stopping else None
        self.best_loss_ = None if self.early_stopping else np.inf

    def _go_on(self):
        """Further training of weights that are there: those of a fit, or those that somebody has set."""
        self._ready()
        self._same_network()
        if not hasattr(self, "_no_improvement_count"):
            self._reset_curves()
        if self.solver != "lbfgs" and not hasattr(self, "loss_curve_"):
            self._reset_curves()
        if self.early_stopping and self.validation_scores_ is None:
            self.validation_scores_, self.best_validation_score_ = [], -np.inf
        elif not self.early_stopping and self.best_loss_ is None if hasattr(self, "best_loss_") else False:
            self.best_loss_ = np.inf

    def _same_network(self):
        """Raise ValueError where a parameter that made the network was changed: the network would not follow it."""
        for name, before in vars(self).get("_began", {}).items():
            now = getattr(self, name)
            if name in OF_THE_NETWORK and repr(np.ravel(before).tolist()) != repr(np.ravel(now).tolist()):
                raise ValueError(f"{name} made the network that is trained further, and cannot change from {before!r} to {now!r}: "
                                 "fit anew, with warm_start=False")

    def _start(self):
        """A trainer with a new optimizer for the network as it stands; history and counters of an earlier one go on."""
        before, self._began = vars(self).get("_trainer"), self.get_params(deep=False)
        self._optimizer = solvers.make(self, self._network.model)
        plain = self.solver in ("adam", "sgd") and not self.weight_decay
        scheduler = self.learning_rate(self._optimizer) if callable(self.learning_rate) else None
        self._trainer = Trainer(
            self._network.model, self._loss(), self._optimizer, scheduler=scheduler, clip_grad_norm=self.clip_grad_norm,
            l2_penalty=self.alpha if plain else None, num_threads=_threads(self.n_jobs), seed=self._seed())
        if before is not None:
            self._trainer.history, self._trainer.epoch, self._trainer.step = before.history, before.epoch, before.step

    def _seed(self):
        """The key of dropout's masks; drawn only where it is needed, so that shuffles stay those of scikit-learn."""
        return int(self._random_state.randint(1 << 31)) if self.dropout else 0

    def _fit_stochastic(self, X, target, weight, incremental, validation):
        if "_optimizer" not in vars(self) or not (incremental or self.warm_start == "exact"):
            self._start()
        if validation is not None:
            held = self._validation(*validation)
        elif self.early_stopping:
            X, target, weight, held = self._split(X, target, weight)
        else:
            held = None
        rows = len(target)
        trainer = self._trainer
        trainer.position, trainer.partial = 0, None  # an epoch that an interrupt cut short is not gone on with
        batch = min(200, rows) if self.batch_size == "auto" else self.batch_size
        if batch > rows:
            warnings.warn("Got `batch_size` less than 1 or larger than sample size. It is going to be clipped", stacklevel=3)
        if self.early_stopping:
            self._best_state = self._best_state or self._network.model.state_dict()
            if self.scoring not in (None, "loss"):
                self._scorer = check_scoring(self, self.scoring)
        rules = Rules(self, rows, held, weight is not None, self._constant(target, weight), incremental)
        self.n_iter_ = 0
        self._guarded(lambda: trainer.fit(
            X, self._smoothed(target), epochs=1 if incremental else self.max_iter, batch_size=min(batch, rows), sample_weight=weight,
            shuffle=solvers.Shuffles(self._random_state, rows, trainer.epoch) if self.shuffle else False,
            callbacks=[rules, *_listed(self.callbacks)], verbose=int(self.verbose == "bar"), max_time=self.max_time))
        if self.n_iter_ == 0 and trainer.stop_reason == "max_time":
            self.loss_ = np.nan
            warnings.warn(f"max_time ({self.max_time} s) was over before the first epoch ended.", ConvergenceWarning, stacklevel=3)
        if self.n_iter_ == self.max_iter and not rules.stopped and not incremental:
            warnings.warn(f"Stochastic Optimizer: Maximum iterations ({self.max_iter}) reached and the optimization hasn't converged yet.",
                          ConvergenceWarning, stacklevel=3)
        if self.early_stopping:
            self._network.model.load_state_dict(self._best_state)

    def _guarded(self, run):
        """Run; Ctrl-C warns and leaves what was learnt, as scikit-learn does; a loss that is not finite names its cause."""
        vars(self).pop("_handed", None)
        try:
            run()
        except KeyboardInterrupt:
            if not hasattr(self, "loss_"):
                self.loss_ = np.nan
            warnings.warn("Training interrupted by user.", stacklevel=4)
        except NonFiniteError as error:
            if not self.early_stopping:
                raise ValueError(f"{NOT_FINITE} {error}") from error
            self.n_iter_ += 1
            self.loss_curve_.append(float("nan"))
            self.validation_scores_.append(float("nan"))
            warnings.warn(f"{error} Early stopping goes back to the weights of the best validation score.", ConvergenceWarning,
                          stacklevel=4)

    def _split(self, X, target, weight):
        """Held-out rows by validation_fraction, drawn as scikit-learn draws them."""
        stratify = target.astype(bool) if self._stratifies and target.ndim == 2 and target.shape[1] == 1 else None
        arrays = [X, target] if weight is None else [X, target, weight]
        parts = train_test_split(*arrays, random_state=self._random_state, test_size=self.validation_fraction, stratify=stratify)
        train, held = parts[::2], parts[1::2]
        if len(held[0]) < 2:
            raise ValueError("The validation set is too small. Increase 'validation_fraction' or the size of your dataset.")
        weights = (None, None) if weight is None else (train[2], held[2])
        return train[0], train[1], weights[0], self._held(held[0], held[1], weights[1])

    def _validation(self, X, y, weight):
        X, y = self._checked(X, y, False)
        weight = _weights("sample_weight_val", weight, X)
        dtype = self._dtype()
        return self._held(_dense(X, dtype), self._encode_known(y, dtype), weight)

    def _held(self, X, target, weight):
        if weight is not None and not weight.any():
            raise ValueError("Sample weights must contain at least one non-zero number: those of all held-out rows are 0.")
        return Validation(X, target, weight, self._labels(target))

    @staticmethod
    def _given_validation(X_val, y_val, sample_weight_val):
        if (X_val is None) != (y_val is None):
            raise ValueError("X_val and y_val must be given together")
        if X_val is None and sample_weight_val is not None:
            raise ValueError("sample_weight_val needs X_val and y_val, whose rows it weights")
        return None if X_val is None else (X_val, y_val, sample_weight_val)

    # --- raw outputs

    def _dtype(self):
        return self._network.linears[0].weight.dtype

    def _ready(self):
        """Network and trainer as the attributes stand: after unpickling, or after coefs_ or intercepts_ were set."""
        if "_network" not in vars(self):
            self._take_given()
        self._sync()
        if "_trainer" not in vars(self):
            self._random_state = check_random_state(self.random_state)
            self._start()
        return self._trainer

    def _raw(self, X):
        """Raw outputs (N, outputs) of the network."""
        if "_trainer" not in vars(self):
            check_is_fitted(self)
        if "_handed" in vars(self) or "_trainer" not in vars(self):
            self._ready()
        trainer = self._trainer
        # a NumPy array as it was in fit needs no more than a look at its shape: the trainer looks whether it is finite
        if type(X) is np.ndarray and X.dtype == trainer.store.dtype and X.ndim == 2 and X.shape[1] == self.n_features_in_ and len(X) \
                and "feature_names_in_" not in vars(self):
            try:
                return trainer.predict(X)
            except ValueError:
                pass  # what is wrong is told below, in scikit-learn's words
        X = self._checked(X)
        if sparse.issparse(X):
            X = X.tocsr()
            return np.concatenate([trainer.predict(_dense(X[i:i + SPARSE_ROWS], self._dtype())) for i in range(0, X.shape[0], SPARSE_ROWS)])
        return trainer.predict(_dense(X, self._dtype()))

    def transform_hidden(self, X, layer=-1):
        """Outputs of a hidden layer, (N, units): layer 0, 1, ... from the input, or -1, -2, ... from the output."""
        check_is_fitted(self)
        self._ready()
        X = _dense(self._checked(X), self._dtype())
        ends = self._network.ends
        if not isinstance(layer, Integral) or isinstance(layer, bool) or not -len(ends) <= layer < len(ends):
            raise ValueError(f"layer must be an int in {-len(ends)}..{len(ends) - 1}, got {layer!r}")
        model = self._network.model
        training = model.training
        try:
            with no_grad():
                return np.array(model.eval()[:ends[layer]](X).numpy())
        finally:
            model.train(training)

    # --- what a fit leaves

    @property
    def trainer_(self):
        """The Trainer that holds the network: trainer_.save(...), trainer_.last_run, trainer_.plan."""
        check_is_fitted(self)
        return self._ready()

    @property
    def history_(self):
        """The History of all epochs: loss, learning rate, seconds, samples per second."""
        return self.trainer_.history

    def _check_solver(self):
        if self.solver == "lbfgs":
            raise AttributeError("partial_fit is only available for stochastic optimizers. lbfgs is not stochastic.")
        return True

    def __getstate__(self):
        self._sync()
        state = {name: value for name, value in super().__getstate__().items() if name not in STATE_OF_A_PROCESS}
        if "_random_state" in vars(self):
            state["_random_state"] = self._random_state
        if "_trainer" in vars(self):
            t = self._trainer
            state["_training"] = {"optimizer": self._optimizer.state_dict(), "history": t.history, "epoch": t.epoch, "step": t.step,
                                  "seed": t.seed, "scheduler": t.scheduler and t.scheduler.state_dict()}
        return state

    def __setstate__(self, state):
        training = state.pop("_training", None)
        super().__setstate__(state)
        if training is not None:
            now = {name: vars(self)[name] for name in self._began}
            vars(self).update(self._began)  # the optimizer is that of the last fit, whatever set_params() has said since
            self._start()
            vars(self).update(now)
            t = self._trainer
            self._optimizer.load_state_dict(training["optimizer"])
            t.history, t.epoch, t.step, t.seed = training["history"], training["epoch"], training["step"], training["seed"]
            if t.scheduler is not None:
                t.scheduler.load_state_dict(training["scheduler"])

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags


OF_THE_NETWORK = ("hidden_layer_sizes", "activation", "dropout", "normalisation", "residual", "precision", "loss")
NOT_FINITE = ("Solver produced non-finite parameter weights. The input data may contain large values and need to be preprocessed.")


def _dense(X, dtype):
    """X, finite, as an array of `dtype`."""
    X = X.toarray() if sparse.issparse(X) else X
    try:
        with np.errstate(over="raise"):
            return np.ascontiguousarray(X, dtype)
    except FloatingPointError:
        raise ValueError(f"X must be finite in {dtype}, got {X.flat[np.abs(X).argmax()]:g}") from None


def _weights(name, given, X):
    """Row weights (N,), or None."""
    if given is None:
        return None
    weights = _check_sample_weight(given, X)
    if (weights < 0).any():
        raise ValueError(f"{name} must not be negative, got {weights.min():g}")
    return weights


def _listed(value):
    return [] if value is None else list(value) if isinstance(value, (list, tuple)) else [value]


def _threads(n_jobs):
    """num_threads of a Trainer: None leaves the choice to the run; -1 is all cores, -2 all but one."""
    if n_jobs is not None and n_jobs > threads.MOST:
        raise ValueError(f"n_jobs must be at most {threads.MOST}, got {n_jobs}")
    if n_jobs is None or n_jobs > 0:
        return n_jobs
    if n_jobs == 0:
        raise ValueError("n_jobs must not be 0")
    return max(1, threads.cores() + 1 + n_jobs)
