"""What is verified before the cost of recording is measured. No time is asserted."""
import dataclasses

import pytest
from vivace.benchmarks import recording
from vivace.benchmarks.workloads import WORKLOADS

SMALL = dataclasses.replace(WORKLOADS["tabular"], sizes=(6, 40, 30, 2), batch=16)


def test_recording_that_changes_nothing_is_let_through():
    recording.verify(SMALL)


@pytest.mark.parametrize("wrong", ["a bit", "nothing"])
def test_recording_that_changes_a_bit_or_does_not_happen_is_refused(wrong, monkeypatch):
    run = recording.Fit.run

    def spoiled(self, X, y, epochs):
        found = run(self, X, y, epochs)
        if wrong == "nothing":
            return found[0], 0.0
        if self.every == 7:
            bias = self.trainer.model[0].bias
            bias.copy_(bias.numpy() * (1 + 1e-6))
        return found
    monkeypatch.setattr(recording.Fit, "run", spoiled)
    with pytest.raises(recording.Failed, match=r"Statistics\((1|7)\) changes the weights, or recorded nothing"):
        recording.verify(SMALL)


def test_the_workloads_are_those_of_the_bound():
    assert recording.NAMES == ("tabular", "mnist") and recording.EVERY == 100


def test_costs_are_counted(monkeypatch):
    """Steps of 1 ms, 3 ms where recorded: 2 ms of one step in a hundred are 2% of the time."""
    def run(self, X, y, epochs):
        share = {0: 0.0, 1: 1.0, recording.EVERY: 0.01, None: 0.005}[self.every]
        return 1e-3 + 2e-3 * share, share
    monkeypatch.setattr(recording.Fit, "run", run)
    found = recording.measure(SMALL, 0)
    for every, cost in ((0, 0), (1, 2), (recording.EVERY, 0.02), (None, 0.01)):
        assert found[every] == pytest.approx((1000 * (1 + cost), cost, cost))
