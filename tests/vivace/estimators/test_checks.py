"""scikit-learn's checks of estimators: none fails, none is expected to fail."""
import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from vivace.estimators import MLPClassifier, MLPRegressor

SOLVERS = ("adam", "sgd", "lbfgs")
FEW = dict(max_iter=100)
"""As scikit-learn sets its own estimators for these checks."""


@pytest.mark.filterwarnings("default")
@parametrize_with_checks([kind(solver=solver, **FEW) for kind in (MLPClassifier, MLPRegressor) for solver in SOLVERS])
def test_estimator_checks(estimator, check):
    check(estimator)
