"""The L2 penalty on weights as a term of the loss."""
import numpy as np

from . import prepare


class L2Penalty:
    """alpha / 2 * (sum of the squares of the weight matrices) / (sum of the row weights of the batch): a term of each batch's loss.

    It is scikit-learn's for its multi-layer perceptrons: per row it is worth less the larger the batch. Biases are left out. Its
    gradient, alpha w / sum, goes through the optimizer's weight_decay, so the optimizer must add that to the gradient (SGD, Adam) and
    hold the matrices in groups without biases.
    """

    def __init__(self, alpha, optimizer):
        if not prepare.real(alpha) or alpha < 0:
            raise ValueError(f"l2_penalty must be a finite number >= 0, got {alpha!r}")
        self.alpha, self.groups, self.params = float(alpha), [], []
        for index, group in enumerate(optimizer.param_groups):
            kinds = {p.ndim == 2 for p in group["params"]}
            if kinds == {True}:
                self.groups.append(index)
                self.params += group["params"]
            elif len(kinds) > 1:
                raise ValueError("l2_penalty needs weight matrices and other parameters in groups of their own: "
                                 "optimizer(..., [{'params': matrices}, {'params': others}])")
        if "weight_decay" not in optimizer.defaults:
            raise ValueError(f"l2_penalty needs an optimizer with weight_decay, got {type(optimizer).__name__}")

    def fill(self, table, columns, masses):
        """Add alpha / masses to the weight decay of the steps of `table`; masses (steps,): each batch's sum of row weights."""
        for name, column in columns.items():
            index, _, scalar = name.partition("/")
            if scalar.endswith("/weight_decay") and int(index) in self.groups:
                table[:, column] += self.alpha * _inverse(masses)

    def values(self, squares, masses):
        """The penalty of each step (steps,) from the sums of squares before it."""
        return 0.5 * self.alpha * squares * _inverse(masses)


def _inverse(masses):
    return np.divide(1.0, masses, out=np.zeros_like(masses), where=masses != 0)
