"""The program that measures set-up runs, and leaves the engine as it was."""
from vivace.benchmarks import setup_time
from vivace.nn.plan import Plan


def test_it_measures(monkeypatch):
    monkeypatch.setitem(setup_time.WORKLOADS, "tiny", ((4, 16, 3), 16, 64))
    run = Plan.run
    assert len([t for t in setup_time.measure("tiny", repeats=1) if t > 0]) == 3
    assert Plan.run is run
