"""Pictures of estimators, in the style of scikit-learn's displays."""


class LossCurveDisplay:
    """The curves of a fit. Make it with LossCurveDisplay.from_estimator(estimator); figure_ and ax_ hold what was drawn.

    curves: name -> one value per epoch. validation_scores: a score per epoch, drawn on an axis of its own, or None.
    """

    def __init__(self, *, curves, validation_scores=None, estimator_name=None):
        self.curves, self.validation_scores, self.estimator_name = curves, validation_scores, estimator_name

    @classmethod
    def from_estimator(cls, estimator, *, name=None, ax=None, **kwargs):
        """Draw loss_curve_, the validation loss and the validation scores of a fitted estimator.

        ax: matplotlib axes, None makes new ones; kwargs go to the lines of the losses. Estimators of scikit-learn do as well.
        """
        if getattr(estimator, "loss_curve_", None) is None:
            raise ValueError(f"estimator must be fitted and have loss_curve_, got {estimator!r}")
        curves = {"training loss": list(estimator.loss_curve_)}
        if getattr(estimator, "validation_loss_curve_", None):
            curves["validation loss"] = list(estimator.validation_loss_curve_)
        scores = getattr(estimator, "validation_scores_", None)
        display = cls(curves=curves, validation_scores=list(scores) if scores else None,
                      estimator_name=name or type(estimator).__name__)
        return display.plot(ax=ax, **kwargs)

    def plot(self, ax=None, *, name=None, **kwargs):
        """Draw the curves; returns self."""
        from ..extras import require
        if ax is None:
            ax = require("matplotlib.figure", "plot", "LossCurveDisplay").Figure(layout="constrained").add_subplot()
        for place, (label, values) in enumerate(self.curves.items()):
            ax.plot(range(1, len(values) + 1), values, **{"label": label, "color": f"C{place}", **kwargs})
        ax.set(xlabel="epoch", ylabel="loss", title=name or self.estimator_name)
        handles, labels = ax.get_legend_handles_labels()
        if self.validation_scores:
            self.score_ax_ = ax.twinx()
            line, = self.score_ax_.plot(range(1, len(self.validation_scores) + 1), self.validation_scores, "--", color="C2")
            self.score_ax_.set_ylabel("validation score")
            handles, labels = [*handles, line], [*labels, "validation score"]
        ax.legend(handles, labels, frameon=False)
        self.ax_, self.figure_ = ax, ax.figure
        return self
