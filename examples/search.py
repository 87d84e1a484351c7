"""Grid and random search over learning rates and architectures, with scikit-learn's own searchers on vivace.estimators."""
import warnings

from scipy.stats import loguniform
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV, RandomizedSearchCV, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from vivace import estimators

RATE, HIDDEN = "mlpclassifier__learning_rate_init", "mlpclassifier__hidden_layer_sizes"
GRID = {RATE: [1e-4, 1e-3, 1e-2], HIDDEN: [(16,), (64,), (64, 32)]}
DISTRIBUTIONS = {RATE: loguniform(1e-4, 1e-1), HIDDEN: [(16,), (32,), (64,), (128,), (32, 32), (64, 32), (128, 64)],
                 "mlpclassifier__alpha": loguniform(1e-6, 1e-1)}


def main(epochs=15, candidates=9, n_jobs=None):
    """For each searcher the best parameters, its score by cross-validation and on the test rows; a grid of 9, as many at random.

    The rate matters most, and over several decades, so it is drawn on a logarithmic scale. Where a parameter matters little a grid
    tries the same few values of the others again and again; random candidates never do (Bergstra and Bengio 2012, JMLR 13:281).
    Scaling stands inside the pipeline, so that nothing is learned from a fold's held-out rows. n_jobs=-1 uses every core.
    """
    X, y = load_digits(return_X_y=True)
    X_train, X_test, y_train, y_test = train_test_split(X, y, train_size=600, stratify=y, random_state=0)
    network = make_pipeline(StandardScaler(), estimators.MLPClassifier(max_iter=epochs, batch_size=32, precision="float32", random_state=0))
    searches = {"grid": GridSearchCV(network, GRID, cv=3, n_jobs=n_jobs),
                "random": RandomizedSearchCV(network, DISTRIBUTIONS, n_iter=candidates, cv=3, n_jobs=n_jobs, random_state=0)}
    found = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)      # a few epochs are enough to compare candidates
        for name, search in searches.items():
            search.fit(X_train, y_train)
            found[name] = {"best": {key.partition("__")[2]: value for key, value in search.best_params_.items()},
                           "score": float(search.best_score_), "test_score": float(search.score(X_test, y_test)),
                           "scores": search.cv_results_["mean_test_score"].tolist()}
    return found


if __name__ == "__main__":
    for name, result in main().items():
        best = ", ".join(f"{key} {value:.2g}" if isinstance(value, float) else f"{key} {value}" for key, value in result["best"].items())
        print(f"{name}: {best}; cross-validation {result['score']:.3f}, test {result['test_score']:.3f} "
              f"({len(result['scores'])} candidates, {min(result['scores']):.3f} to {max(result['scores']):.3f})")
