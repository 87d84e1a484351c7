"""Estimators in scikit-learn's style: its multi-layer perceptrons, parameter by parameter, on Vivace's engine, and more.

    from vivace.estimators import MLPClassifier        # instead of sklearn.neural_network
    MLPClassifier(random_state=0).fit(X, y).score(X_test, y_test)

scikit-learn is imported here and nowhere else.
"""
from ..extras import require

require("sklearn", "sklearn", "vivace.estimators")

from .classifier import MLPClassifier  # noqa: E402
from .display import LossCurveDisplay  # noqa: E402
from .regressor import MLPRegressor  # noqa: E402

__all__ = ["LossCurveDisplay", "MLPClassifier", "MLPRegressor"]
