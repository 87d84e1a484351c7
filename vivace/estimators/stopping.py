"""scikit-learn's rules of an epoch's end: losses, validation, when to stop, and the learning rate."""
import numpy as np
from sklearn.metrics import r2_score

from .. import callbacks

LEAST_RATE = 1e-6
"""learning_rate="adaptive" stops instead of dividing a rate that is not above this."""


class Validation:
    """Held-out rows: X as the network takes it, the encoded target, weights, and the labels as users know them."""

    def __init__(self, X, target, weight, labels):
        self.X, self.target, self.weight, self.labels = X, target, weight, labels

    def accuracy(self, z):
        """Share of rows whose every class is right; z raw outputs."""
        if self.target.dtype == np.int64:
            right = z.argmax(axis=1) == self.target
        else:
            right = ((z > 0) == (self.target > 0.5)).all(axis=1)
        return float(np.average(right, weights=self.weight))

    def r2(self, prediction):
        """R² of predictions in the shape of the target."""
        if not np.isfinite(prediction).all():
            return float("nan")
        return float(r2_score(self.target, prediction, sample_weight=self.weight))


class Rules(callbacks.Callback):
    """The end of an epoch as scikit-learn's fit has it, written into the estimator's attributes.

    incremental: partial_fit, which stops after its epoch whatever happens.
    """

    def __init__(self, estimator, rows, validation, weighted, constant, incremental):
        self.e, self.rows, self.validation, self.constant, self.incremental = estimator, rows, validation, constant, incremental
        self.plain = estimator._optimizer.whole or (not weighted and constant is None)
        self.stopped = False

    def epochs_ahead(self, trainer):
        """Epochs without improvement that the next end, or change of an adaptive rate, is away."""
        e = self.e
        if self.validation is not None or e.learning_rate == "invscaling":
            return 1
        return e.n_iter_no_change + 1 - e._no_improvement_count

    def on_epoch_end(self, trainer, epoch, logs):
        e = self.e
        e.n_iter_ += 1
        e.t_ += self.rows
        e.loss_ = logs["loss"] if self.plain else self.loss(trainer.last_epoch)
        e.loss_curve_.append(e.loss_)
        if e.verbose and not isinstance(e.verbose, str):
            print(f"Iteration {e.n_iter_}, loss = {e.loss_:.8f}")
        self.validate(trainer)
        self.count()
        if e.solver == "sgd" and e.learning_rate == "invscaling":
            e._optimizer.change_rate(e.learning_rate_init / (e.t_ + 1) ** e.power_t)
        if e._no_improvement_count > e.n_iter_no_change:
            self.no_improvement(trainer)

    def loss(self, epoch):
        """Mean over the epoch's rows of each batch's loss, the penalty included: without row weights that of the logs."""
        total, mass = epoch.result.T
        batch = np.divide(total, mass, out=np.zeros_like(total), where=mass != 0)
        if epoch.penalty is not None:
            batch += epoch.penalty.values(epoch.squares[:, 0], epoch.per_row)
        if self.constant is not None:
            terms, weight = self.constant
            starts = np.arange(0, self.rows, len(epoch.order) if len(batch) == 1 else int(epoch.counts[0]))
            w = np.ones(self.rows) if weight is None else weight
            mean = np.add.reduceat((terms * w)[epoch.order], starts) / np.add.reduceat(w[epoch.order], starts)
            batch += mean
        return float(batch @ epoch.counts / self.rows)

    # --- validation

    def validate(self, trainer):
        """Score and loss of the held-out rows, where there are any; the weights of the best score are kept."""
        e, held = self.e, self.validation
        if held is None:
            return
        z = trainer.predict(held.X)
        loss = trainer.mean_loss(z, held.target, held.weight)
        e.validation_loss_curve_.append(loss)
        if not e.early_stopping:
            return
        score = self.score(z, loss)
        if np.isnan(score) and np.isfinite(z).all():
            raise ValueError(f"the validation score is not a number: {e.scoring or 'the score'} is not defined on these {len(held.target)} "
                             "held-out rows; give others, or another scoring")
        e.validation_scores_.append(score)
        if e.verbose and not isinstance(e.verbose, str):
            print(f"Validation score: {score:f}")

    def score(self, z, loss):
        """What early stopping looks at: higher is better."""
        e = self.e
        if e.scoring is None:
            return e._score_raw(self.validation, z)
        if e.scoring == "loss":
            return -loss
        view = object.__new__(type(e))  # without feature names: the held-out rows have become an array
        vars(view).update({name: value for name, value in vars(e).items() if name != "feature_names_in_"})
        held = self.validation
        vars(view).update(n_features_in_=held.X.shape[1], categorical_features=None)
        weight = {} if held.weight is None else {"sample_weight": held.weight}
        return float(e._scorer(view, held.X, held.labels, **weight))

    # --- stopping

    def count(self):
        """How many epochs in a row were no better than the best by tol."""
        e = self.e
        if e.early_stopping and self.validation is not None:
            score = e.validation_scores_[-1]
            e._no_improvement_count = e._no_improvement_count + 1 if score < e.best_validation_score_ + e.tol else 0
            if score > e.best_validation_score_:
                e.best_validation_score_ = score
                e._best_state = e._network.model.state_dict()
            return
        e._no_improvement_count = e._no_improvement_count + 1 if e.loss_ > e.best_loss_ - e.tol else 0
        e.best_loss_ = min(e.best_loss_, e.loss_)

    def no_improvement(self, trainer):
        """Stop, or divide an adaptive learning rate by 5."""
        e = self.e
        what = "Validation score" if e.early_stopping else "Training loss"
        message = f"{what} did not improve more than tol={e.tol:f} for {e.n_iter_no_change} consecutive epochs."
        if e.solver == "sgd" and e.learning_rate == "adaptive" and e._optimizer.learning_rate > LEAST_RATE:
            e._optimizer.change_rate(e._optimizer.learning_rate / 5.0)
            e._no_improvement_count = 0
            message += f" Setting learning rate to {e._optimizer.learning_rate:f}"
        else:
            trainer.stop_training = self.stopped = True
            message += " Learning rate too small. Stopping." if e.learning_rate == "adaptive" and e.solver == "sgd" else " Stopping."
        if e.verbose and not isinstance(e.verbose, str):
            print(message)
