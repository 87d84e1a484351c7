"""The L2 penalty on weights as a term of the loss."""
import numpy as np

from .nn import checks


class L2Penalty:
    """alpha / 2 * (sum of the squares of the weight matrices) / (sum of the row weights of the batch): a term of each batch's loss.

    It is scikit-learn's for its multi-layer perceptrons: per row it is worth less the larger the batch. Biases are left out. Its
    gradient, alpha w / sum, goes through the optimizer's weight_decay, so the optimizer must add that to the gradient (SGD, Adam) and
    hold the matrices in groups without biases.
    """

    def __init__(self, alpha, optimizer):
        if not checks.real(alpha) or alpha < 0:
            raise ValueError(f"l2_penalty must be a finite number >= 0, got {alpha!r}")
        self.alpha, self.groups, self.params, self._found = float(alpha), [], [], (None, ())
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

    def fill(self, table, columns, per_row):
        """Add alpha * per_row to the weight decay of the steps of `table`; per_row (steps,): inverse() of their batches' masses."""
        if self._found[0] is not columns:
            names = [(name.partition("/"), column) for name, column in columns.items()]
            self._found = columns, [column for (index, _, scalar), column in names
                                    if scalar.endswith("/weight_decay") and int(index) in self.groups]
        for column in self._found[1]:
            table[:, column] += self.alpha * per_row

    def total(self, squares, masses):
        """The sum over a few steps of masses times values(), from lists."""
        return 0.5 * self.alpha * sum(s for s, mass in zip(squares, masses) if mass)

    def values(self, squares, per_row):
        """The penalty of each step (steps,) from the sums of squares before it."""
        return 0.5 * self.alpha * squares * per_row


def inverse(masses):
    """1 / masses (steps,), the sums of batches' row weights; 0 for a batch that has none."""
    return np.divide(1.0, masses, out=np.zeros_like(masses), where=masses != 0)
