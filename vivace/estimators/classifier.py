"""MLPClassifier."""
import numpy as np
from sklearn.base import ClassifierMixin, _fit_context
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils import column_or_1d
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import _check_partial_fit_first_call, type_of_target, unique_labels

from . import losses
from .base import MLP, Real


class MLPClassifier(ClassifierMixin, MLP):
    """A multi-layer perceptron that minimises the log-loss: sklearn.neural_network.MLPClassifier, several times faster, and more.

    Every parameter, attribute and method of scikit-learn's class is here with its default and meaning; an integer random_state gives
    its initial weights and shuffles. Beyond it, by keyword:

    activation: also a list with one for each hidden layer, each a name ("silu", "gelu", "leaky_relu", ... after the classes of nn),
        a Module class or a Module.
    solver: also an optimizer of vivace.optim by name or class, or a function of parameter groups that makes one (what a functools.partial
        fixes stays); alpha is then not used, weight_decay goes to the optimizer.
    learning_rate: also a function optimizer -> schedule, such as functools.partial(lr_scheduler.StepLR, step_size=10); per epoch.
    verbose: also "bar", a progress bar on standard error.
    warm_start: also "exact": a second fit goes on with the optimizer's state, as if the first had not ended.
    precision: "float32" or "float64"; None follows the input, as scikit-learn does. float32 is about twice as fast.
    dropout: probability of dropping a hidden unit in training, or a list of them. normalisation: "batch" or "layer", before each
        activation. residual: add its input to every hidden layer of equal width.
    weight_decay: decoupled weight decay with adam (Loshchilov and Hutter 2019), L2 in the gradient with sgd; takes alpha's place.
    clip_grad_norm: largest norm of the whole gradient. max_time: seconds of fit. callbacks: vivace.callbacks.
    scoring: what early stopping looks at: any scorer of scikit-learn, "loss" for the validation loss, None for accuracy.
    n_jobs: threads; None lets each run choose, -1 is all cores. Inside a worker of joblib its limit is obeyed.
    categorical_features: "from_dtype" takes a frame whose columns are numbers, texts, categories, booleans or dates, with missing
        values (vivace.table; table_encoder_ holds what it learned); numbers are left in their scale.
    class_weight: "balanced" or {class: weight}; multiplies sample_weight. label_smoothing: s of targets (1 - s) onehot + s / C.

    Attributes are scikit-learn's: coefs_, intercepts_, loss_, best_loss_, loss_curve_, validation_scores_, best_validation_score_,
    n_iter_, n_layers_, n_outputs_, out_activation_, t_, n_features_in_, feature_names_in_, classes_; and
    validation_loss_curve_ (loss of the held-out rows after each epoch, without the penalty), history_, trainer_.

    Ctrl-C ends a fit with a warning; the estimator holds what it has learnt. A loss that stops being finite raises ValueError and names
    the place; the weights are the last finite ones. With several outputs squared_error sums over them, so that the loss belongs to its
    gradient (scikit-learn reports their mean: its issue 8349). A pickle is only to be read from a source you trust.
    """

    _parameter_constraints = {**MLP._parameter_constraints, "class_weight": [StrOptions({"balanced"}), dict, list, None],
                              "label_smoothing": [Interval(Real, 0, 1, closed="both")]}
    _numeric, _stratifies = False, True
    loss = "log_loss"

    def __init__(self, hidden_layer_sizes=(100,), activation="relu", *, solver="adam", alpha=0.0001,
                 batch_size="auto", learning_rate="constant", learning_rate_init=0.001, power_t=0.5,
                 max_iter=200, shuffle=True, random_state=None, tol=1e-4, verbose=False, warm_start=False, momentum=0.9,
                 nesterovs_momentum=True, early_stopping=False, validation_fraction=0.1, beta_1=0.9, beta_2=0.999, epsilon=1e-8,
                 n_iter_no_change=10, max_fun=15000, precision=None, dropout=None, normalisation=None, residual=False,
                 weight_decay=None, clip_grad_norm=None, scoring=None, max_time=None, callbacks=None, n_jobs=None,
                 categorical_features=None,
                 class_weight=None, label_smoothing=0.0):
        self._set(locals())

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y, sample_weight=None, *, X_val=None, y_val=None, sample_weight_val=None):
        """Fit to X (N, features), dense or sparse, and labels y (N,), or yes-or-no labels (N, L).

        X_val, y_val, sample_weight_val: held-out rows for early stopping and validation_loss_curve_, in place of a split. Returns self.
        """
        return self._fit(X, y, sample_weight, validation=self._given_validation(X_val, y_val, sample_weight_val))

    @available_if(lambda self: self._check_solver())
    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X, y, sample_weight=None, classes=None):
        """One more epoch over X, y. classes: all labels there will be; needed by the first call. Returns self."""
        if _check_partial_fit_first_call(self, classes):
            self._label_binarizer = LabelBinarizer()
            self._label_binarizer.fit(y if type_of_target(y).startswith("multilabel") else classes)
        return self._fit(X, y, sample_weight, incremental=True)

    # --- labels

    def _encode(self, y, dtype, incremental):
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        if y.dtype == object and None in y:
            at = next(i for i, row in enumerate(y) if None in np.ravel(row))
            raise ValueError(f"Input y contains None, in row {at}: every row needs its label.")
        if not hasattr(self, "classes_") or (not self.warm_start and not incremental):
            self._label_binarizer = LabelBinarizer().fit(y)
            self.classes_ = self._label_binarizer.classes_
        else:
            self._same_classes(unique_labels(y))
        target = self._encode_known(y, dtype)
        self.n_outputs_ = len(self.classes_) if self._multiclass() else target.shape[1]
        return target

    def _same_classes(self, classes):
        if self.warm_start:
            if set(classes) != set(self.classes_):
                raise ValueError("warm_start can only be used where `y` has the same classes as in the previous call to fit. Previously "
                                 f"got {self.classes_}, `y` has {classes}")
        elif len(np.setdiff1d(classes, self.classes_, assume_unique=True)):
            raise ValueError(f"`y` has classes not in `self.classes_`. `self.classes_` has {self.classes_}. 'y' has {classes}.")

    def _encode_known(self, y, dtype):
        """Labels as the loss takes them: numbers of classes (N,), or 0 and 1 in (N, outputs)."""
        kind = self._label_binarizer.y_type_
        if kind.startswith("multilabel"):
            if y.ndim != 2 or y.shape[1] != len(self.classes_):
                raise ValueError(f"y_val must have shape (N, {len(self.classes_)}) of 0 and 1, like y of fit, got {y.shape}")
            return np.ascontiguousarray(self._label_binarizer.transform(y), dtype)
        y = column_or_1d(y)
        places = np.searchsorted(self.classes_, y)
        if (places >= len(self.classes_)).any() or (self.classes_[places] != y).any():
            raise ValueError(f"y_val must hold classes of fit, {self.classes_}, got {unique_labels(y)}")
        return places.astype(np.int64) if kind == "multiclass" else places.astype(dtype)[:, None]

    def _labels(self, target):
        if target.dtype == np.int64:
            return self.classes_[target]
        chosen = target.astype(np.int64)
        return chosen if self._label_binarizer.y_type_.startswith("multilabel") else self.classes_[chosen[:, 0]]

    def _smoothed(self, target):
        """Targets of yes-or-no outputs under label_smoothing; those of classes are smoothed by the loss."""
        s = self.label_smoothing
        return target * target.dtype.type(1 - s) + target.dtype.type(s / 2) if s and target.ndim == 2 else target

    def _multiclass(self):
        return self._label_binarizer.y_type_ == "multiclass"

    def _row_weights(self, y, weight):
        if self.class_weight is None:
            return weight
        by_class = compute_sample_weight(self.class_weight, y)
        if not (by_class >= 0).all():
            raise ValueError(f"class_weight must be weights >= 0, got {self.class_weight!r}")
        return by_class if weight is None else weight * by_class

    # --- what the fit asks for

    def _link(self):
        return "softmax" if self._multiclass() else "logistic"

    def _loss(self):
        return losses.of_classes(self.out_activation_ == "softmax", self.label_smoothing)

    def _constant(self, target, weight):
        return None

    def _score_raw(self, held, z):
        if len(self.classes_) == 1:  # predict knows no other
            return 1.0
        return held.accuracy(z) if np.isfinite(z).all() else float("nan")

    # --- prediction

    def predict(self, X):
        """Labels of the rows of X: (N,), or (N, L) of 0 and 1."""
        z = self._raw(X)
        if self.out_activation_ == "softmax":
            return self.classes_[z.argmax(axis=1)]
        if self._label_binarizer.y_type_.startswith("multilabel") or len(self.classes_) != 2:
            return self._label_binarizer.inverse_transform(self._probabilities(z) if z.shape[1] > 1 else self._probabilities(z).ravel())
        return self.classes_[(z[:, 0] > 0).astype(np.int64)]

    def predict_proba(self, X):
        """Probabilities (N, C) of the classes in the order of classes_; of each label for yes-or-no labels."""
        p = self._probabilities(self._raw(X))
        return np.hstack([1 - p, p]) if self.n_outputs_ == 1 else p

    def predict_log_proba(self, X):
        """Logarithms of predict_proba."""
        p = self.predict_proba(X)
        with np.errstate(divide="ignore"):
            return np.log(p, out=p)

    def _probabilities(self, z):
        p = np.empty_like(z)
        forward = "softmax_forward" if self.out_activation_ == "softmax" else "sigmoid_forward"
        getattr(self._trainer.book, forward)(z, p)
        return p

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags
