"""The estimators beside scikit-learn's, with equal parameters: scores verified, then whole fits, predictions and a grid search timed.

    python -m vivace.benchmarks.estimators [--repeats 5] [--only digits]

Both get random_state=0. In float64 their scores must agree to 1e-6, in float32 to 0.02, or nothing is timed. They take turns and the
best of the repeats counts on both sides. The wide net trains 3 epochs instead of 200: scikit-learn takes minutes for the whole.
"""
import argparse
import os
import sys
import threading
import time
import warnings

import numpy as np

TOLERANCE = {"float64": 1e-6, "float32": 0.02}
MUST = {"fit": {"float64": 3.0, "float32": 4.0}, "wide": {"float64": 3.0, "float32": 5.0}, "one row": 3.0, "many rows": 2.0, "grid": 1.4}


def data_sets():
    """name -> (kind, X, y, options)."""
    from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, make_classification
    X, y = make_classification(20000, 50, n_informative=20, n_classes=4, random_state=0)
    wide = dict(hidden_layer_sizes=(256, 256), max_iter=3)
    return {"digits": ("MLPClassifier", *load_digits(return_X_y=True), {}),
            "breast_cancer": ("MLPClassifier", *load_breast_cancer(return_X_y=True), {}),
            "diabetes": ("MLPRegressor", *load_diabetes(return_X_y=True), {}), "wide": ("MLPClassifier", X, y, wide)}


def best(functions, repeats):
    """Least seconds of each function, which take turns; idle threads of the one before spin on for tens of milliseconds."""
    times = [[] for _ in functions]
    for _ in range(repeats):
        for function, held in zip(functions, times):
            time.sleep(0.1)
            began = time.perf_counter()
            function()
            held.append(time.perf_counter() - began)
    return [min(held) for held in times]


def line(what, theirs, ours, must):
    """One row of the table; returns whether the ratio is what it must be."""
    ratio = theirs / ours
    told = "" if ratio >= must else "  BELOW"
    print(f"{what:38} {theirs * 1e3:11.3f} ms {ours * 1e3:11.3f} ms {ratio:8.2f}x  must {must}x{told}", flush=True)
    return ratio >= must


def fits(name, repeats):
    """Whole fits in both precisions."""
    import sklearn.neural_network as theirs

    from .. import estimators as ours
    kind, X, y, options = data_sets()[name]
    made = []
    for precision in ("float64", "float32"):
        a = getattr(theirs, kind)(random_state=0, **options).fit(X, y)
        b = getattr(ours, kind)(random_state=0, precision=precision, **options).fit(X, y)
        scores = a.score(X, y), b.score(X, y)
        if abs(scores[0] - scores[1]) > TOLERANCE[precision]:
            raise SystemExit(f"{name} in {precision}: scikit-learn scores {scores[0]}, vivace {scores[1]}: nothing is timed")
        seconds = best([lambda a=a: a.fit(X, y), lambda b=b: b.fit(X, y)], repeats)
        made.append(line(f"fit {name} {precision}", *seconds, MUST["wide" if name == "wide" else "fit"][precision]))
    return all(made)


def predictions(repeats):
    """One row, and 100,000 rows."""
    import sklearn.neural_network as theirs
    from sklearn.datasets import load_digits

    from .. import estimators as ours
    X, y = load_digits(return_X_y=True)
    pair = [module.MLPClassifier(random_state=0, max_iter=30).fit(X, y) for module in (theirs, ours)]
    many = np.ascontiguousarray(np.tile(X, (56, 1))[:100_000])
    if (pair[0].predict(many) != pair[1].predict(many)).any():
        raise SystemExit("predictions differ: nothing is timed")
    row = X[:1].copy()
    one = best([lambda e=e: [e.predict(row) for _ in range(200)] for e in pair], 5 * repeats)
    return line("predict 1 row", *(s / 200 for s in one), MUST["one row"]) & \
        line("predict 100,000 rows", *best([lambda e=e: e.predict(many) for e in pair], repeats), MUST["many rows"])


class Runnable(threading.Thread):
    """Counts the runnable threads of this process and its children every few milliseconds; `most` is the largest count.

    Looking at all of them takes a millisecond or two: those found runnable are looked at once more, so that they are counted together
    only if they ran together. Not counted are the Python threads of this process beside the main one: this one, and the two in which
    joblib and the standard library pass tasks and results on, whatever the workers do. Nothing is computed in them.
    """

    def __init__(self):
        super().__init__(daemon=True)
        self.most, self.done = 0, threading.Event()
        self.main = f"/proc/{os.getpid()}/task/{threading.main_thread().native_id}/stat"

    def run(self):
        while not self.done.wait(0.005):
            found = [task for pid in [os.getpid(), *self._children(os.getpid())] for task in self._tasks(pid) if self._runs(task)]
            messengers = {f"/proc/{os.getpid()}/task/{t.native_id}/stat" for t in threading.enumerate()} - {self.main}
            self.most = max(self.most, sum(map(self._runs, set(found) - messengers)))

    def _children(self, pid):
        found = []
        for task in os.listdir(f"/proc/{pid}/task"):
            try:
                with open(f"/proc/{pid}/task/{task}/children") as f:
                    found += [int(child) for child in f.read().split()]
            except OSError:
                pass
        return found + [deeper for child in found for deeper in self._children(child)] if found else found

    def _tasks(self, pid):
        try:
            return [f"/proc/{pid}/task/{task}/stat" for task in os.listdir(f"/proc/{pid}/task")]
        except OSError:
            return []  # it has ended

    def _runs(self, task):
        try:
            with open(task) as f:
                return f.read().rpartition(")")[2].split()[0] == "R"
        except OSError:
            return False


def grid(repeats):
    """24 candidates on digits, with one and with two processes that are already there."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import GridSearchCV

    from ..estimators import MLPClassifier
    from ..threads import cores
    X, y = load_digits(return_X_y=True)
    candidates = {"alpha": [1e-5, 1e-4, 1e-3, 1e-2], "learning_rate_init": [1e-3, 3e-3, 1e-2], "hidden_layer_sizes": [(50,), (100,)]}

    def search(jobs):
        return GridSearchCV(MLPClassifier(random_state=0, max_iter=50), candidates, cv=3, n_jobs=jobs).fit(X, y)
    scores = [search(jobs).cv_results_["mean_test_score"] for jobs in (1, 2)]
    if not np.array_equal(*scores):
        raise SystemExit("scores depend on n_jobs: nothing is timed")
    one, two = best([lambda: search(1), lambda: search(2)], max(repeats // 2, 1))
    time.sleep(0.1)
    counter = Runnable()
    counter.start()
    search(2)
    counter.done.set()
    counter.join()
    print(f"runnable threads: at most {counter.most}, with {cores()} cores")
    return line("GridSearchCV of 24, n_jobs 1 and 2", one, two, MUST["grid"]) and counter.most <= cores() + 1


def main(argv=None):
    """Exit status 1 where something is slower than it must be."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--only", choices=["digits", "breast_cancer", "diabetes", "wide", "predict", "grid"], action="append")
    options = parser.parse_args(argv)
    warnings.simplefilter("ignore")
    os.environ["PYTHONWARNINGS"] = "ignore"  # for the workers of the grid search
    parts = {name: (lambda name=name: fits(name, options.repeats)) for name in ("digits", "breast_cancer", "diabetes", "wide")}
    parts |= {"predict": lambda: predictions(options.repeats), "grid": lambda: grid(options.repeats)}
    print(f"{'':38} {'scikit-learn':>14} {'vivace':>14}")
    return 0 if all([part() for name, part in parts.items() if not options.only or name in options.only]) else 1


if __name__ == "__main__":
    sys.exit(main())
