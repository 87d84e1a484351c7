"""MLPRegressor."""
import numpy as np
from sklearn.base import RegressorMixin, _fit_context
from sklearn.utils import column_or_1d
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.metaestimators import available_if

from ..nn import Loss
from . import losses
from .base import MLP


class MLPRegressor(RegressorMixin, MLP):
    """A multi-layer perceptron for real targets: sklearn.neural_network.MLPRegressor, several times faster, and more.

    Every parameter, attribute and method of scikit-learn's class is here with its default and meaning; an integer random_state gives
    its initial weights and shuffles. loss: "squared_error" and "poisson" as there (halves of the square and of the deviance, poisson with
    an exponential output); also "absolute_error", "huber", "quantile", "gamma", "tweedie", or a loss of nn. Beyond it, by keyword:

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
    scoring: what early stopping looks at: any scorer of scikit-learn, "loss" for the validation loss, None for R².
    n_jobs: threads; None lets each run choose, -1 is all cores. Inside a worker of joblib its limit is obeyed.
    categorical_features: "from_dtype" takes a frame whose columns are numbers, texts, categories, booleans or dates, with missing
        values (vivace.table; table_encoder_ holds what it learned); numbers are left in their scale.

    Attributes are scikit-learn's: coefs_, intercepts_, loss_, best_loss_, loss_curve_, validation_scores_, best_validation_score_,
    n_iter_, n_layers_, n_outputs_, out_activation_, t_, n_features_in_, feature_names_in_; and
    validation_loss_curve_ (loss of the held-out rows after each epoch, without the penalty), history_, trainer_.

    Ctrl-C ends a fit with a warning; the estimator holds what it has learnt. A loss that stops being finite raises ValueError and names
    the place; the weights are the last finite ones. With several outputs squared_error sums over them, so that the loss belongs to its
    gradient (scikit-learn reports their mean: its issue 8349). A pickle is only to be read from a source you trust.
    """

    _parameter_constraints = {**MLP._parameter_constraints, "loss": [StrOptions(set(losses.REAL)), Loss]}
    _numeric, _stratifies = True, False

    def __init__(self, loss="squared_error", hidden_layer_sizes=(100,), activation="relu", *, solver="adam", alpha=0.0001,
                 batch_size="auto", learning_rate="constant", learning_rate_init=0.001, power_t=0.5,
                 max_iter=200, shuffle=True, random_state=None, tol=1e-4, verbose=False, warm_start=False, momentum=0.9,
                 nesterovs_momentum=True, early_stopping=False, validation_fraction=0.1, beta_1=0.9, beta_2=0.999, epsilon=1e-8,
                 n_iter_no_change=10, max_fun=15000, precision=None, dropout=None, normalisation=None, residual=False,
                 weight_decay=None, clip_grad_norm=None, scoring=None, max_time=None, callbacks=None, n_jobs=None,
                 categorical_features=None):
        self._set(locals())

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y, sample_weight=None, *, X_val=None, y_val=None, sample_weight_val=None):
        """Fit to X (N, features), dense or sparse, and real targets y (N,) or (N, outputs).

        X_val, y_val, sample_weight_val: held-out rows for early stopping and validation_loss_curve_, in place of a split. Returns self.
        """
        return self._fit(X, y, sample_weight, validation=self._given_validation(X_val, y_val, sample_weight_val))

    @available_if(lambda self: self._check_solver())
    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X, y, sample_weight=None):
        """One more epoch over X, y. Returns self."""
        return self._fit(X, y, sample_weight, incremental=True)

    # --- what the fit asks for

    def _encode(self, y, dtype, incremental):
        target = self._encode_known(y, dtype)
        self.n_outputs_ = target.shape[1]
        return target

    def _encode_known(self, y, dtype):
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        return np.ascontiguousarray(y.reshape(len(y), -1), dtype)

    def _labels(self, target):
        return target[:, 0] if target.shape[1] == 1 else target

    def _smoothed(self, target):
        return target

    def _row_weights(self, y, weight):
        return weight

    def _link(self):
        return "exp" if self._logarithmic() else "identity"

    def _logarithmic(self):
        return self.loss in losses.LOG_LINK if isinstance(self.loss, str) else getattr(self.loss, "log_input", False)

    def _loss(self):
        return losses.of_numbers(self.loss)

    def _constant(self, target, weight):
        terms = losses.constant(self.loss, target)
        return None if terms is None else (terms, weight)

    def _score_raw(self, held, z):
        return held.r2(self._mean(z))

    # --- prediction

    def predict(self, X):
        """Predictions (N,), or (N, outputs)."""
        y = self._mean(self._raw(X))
        return y[:, 0] if y.shape[1] == 1 else y

    def _mean(self, z):
        return np.exp(z) if self.out_activation_ == "exp" else z

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
