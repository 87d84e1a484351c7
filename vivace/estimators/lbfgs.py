"""scipy's L-BFGS-B over the loss of all rows, as scikit-learn uses it."""
import time
import warnings

import numpy as np
from scipy.optimize import minimize
from sklearn.exceptions import ConvergenceWarning


def fit(estimator, X, target, weight, constant):
    """Minimise the loss of all rows; the estimator's network holds the result. KeyboardInterrupt leaves the best weights so far."""
    e = estimator
    mass = len(target) if weight is None else float(np.sum(weight))
    objective = e._trainer.objective(X, target, weight, l2=e.alpha / mass)
    order = _order(e._network.linears, objective)
    shift = 0.0 if constant is None else float(np.average(constant[0], weights=constant[1]))

    def value_and_grad(flat):
        ours = np.empty_like(flat)
        ours[order] = flat
        value, gradient = objective.value_and_grad(ours)
        return value + shift, gradient[order]

    curve, end = [], np.inf if e.max_time is None else time.monotonic() + e.max_time

    def report(intermediate_result):
        curve.append(float(intermediate_result.fun))
        if e.verbose and not isinstance(e.verbose, str):
            print(f"Iteration {len(curve)}, loss = {curve[-1]:.8f}")
        value_and_grad.best = intermediate_result.x.copy()
        if time.monotonic() > end:
            raise StopIteration  # which SciPy takes for the end of a minimisation
    value_and_grad.best = start = objective.flat()[order]
    e.loss_curve_, e.n_iter_ = curve, 0
    try:
        result = minimize(value_and_grad, start, method="L-BFGS-B", jac=True, callback=report,
                          options={"maxfun": e.max_fun, "maxiter": e.max_iter, "gtol": e.tol})
    except KeyboardInterrupt:
        e.n_iter_ = len(curve)
        e.loss_ = curve[-1] if curve else value_and_grad(start)[0]
        _write(objective, order, value_and_grad.best)
        raise
    e.n_iter_, e.loss_ = min(result.nit, e.max_iter), result.fun
    _write(objective, order, result.x)
    if result.status != 0 and time.monotonic() <= end:
        message = f"lbfgs failed to converge after {result.nit} iteration(s) (status={result.status}):\n{result.message}"
        advice = "\n\nIncrease the number of iterations (max_iter) to improve the convergence, or scale the data." \
            if result.status == 1 else "\n\nYou might want to scale the data."
        warnings.warn(message + advice, ConvergenceWarning, stacklevel=4)


def _write(objective, order, flat):
    ours = np.empty_like(flat)
    ours[order] = flat
    objective.set_flat(ours)


def _order(linears, objective):
    """Places in our vector of scikit-learn's: all weights (inputs, outputs) first, then all biases, then what only we have."""
    starts, at = {}, 0
    for p in objective.params:
        starts[p] = at
        at += p.size
    weights = [starts[l.weight] + np.arange(l.weight.size).reshape(l.weight.shape).T.reshape(-1) for l in linears]
    biases = [starts[l.bias] + np.arange(l.bias.size) for l in linears]
    known = {p for l in linears for p in (l.weight, l.bias)}
    others = [starts[p] + np.arange(p.size) for p in objective.params if p not in known]
    return np.concatenate(weights + biases + others)
