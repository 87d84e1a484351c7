"""How many threads a run takes, and who may say so."""
import os
import subprocess
import sys
import threading
import types

import numpy as np
import pytest
from vivace.nn.plan import Plan

import vivace as vv
from vivace import nn, optim, threads

WORKING = Plan.working
"""As it is outside of these tests (conftest.py)."""


@pytest.fixture(autouse=True)
def nothing_is_set(monkeypatch):
    for name in ("VIVACE_NUM_THREADS", "OMP_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    yield
    vv.set_num_threads(None)


def taken(asked=None, worth=1, rows=1 << 20):
    with threads.team(asked, worth, rows) as n:
        return n


def test_cores_are_those_this_process_may_use():
    assert threads.cores() >= 1
    if hasattr(os, "sched_getaffinity"):
        assert threads.cores() <= len(os.sched_getaffinity(0))


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system has no affinity masks")
def test_affinity_is_read():
    mask = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(mask)})
        assert threads.cores() == 1 and taken(worth=1000) == 1
    finally:
        os.sched_setaffinity(0, mask)


def test_small_steps_take_one_thread_and_large_ones_no_more_than_the_cores(monkeypatch):
    monkeypatch.setattr(threads, "cores", lambda: 8)
    assert [taken(worth=n) for n in (1, 2, 5)] == [1, 2, 5]
    assert taken(worth=1000) == 8 and taken(worth=1000, rows=32) == 4 and taken(worth=1000, rows=1) == 1
    monkeypatch.setattr(threads, "cores", lambda: 1)
    assert taken(worth=1000) == 1


@pytest.mark.parametrize("says, cores", [("150000 100000", 1), ("50000 100000", 1), ("300000 100000", 3), ("max 100000", 8),
                                         ("nonsense", 8)])
def test_the_quota_of_a_container_is_read(says, cores, tmp_path, monkeypatch):
    """Whole cores of it, at least one; again after a while, for it can change, but not for every fit."""
    clock = [1e6]
    monkeypatch.setattr(threads, "time", types.SimpleNamespace(monotonic=lambda: clock[0]))
    monkeypatch.setattr(threads.os, "sched_getaffinity", lambda pid: set(range(8)), raising=False)
    monkeypatch.setattr(threads, "QUOTA", str(tmp_path / "cpu.max"))
    monkeypatch.setitem(threads._state, "quota", 0)
    monkeypatch.setitem(threads._state, "quota until", 0.0)
    (tmp_path / "cpu.max").write_text(says)
    assert threads.cores() == cores
    (tmp_path / "cpu.max").write_text("200000 100000")
    assert threads.cores() == cores  # still believed
    clock[0] += 10
    assert threads.cores() == 2
    (tmp_path / "cpu.max").unlink()
    clock[0] += 10
    assert threads.cores() == 8


def test_a_number_is_obeyed_exactly(monkeypatch):
    monkeypatch.setattr(threads, "cores", lambda: 2)
    assert [taken(asked=n) for n in (1, 2, 3, 7)] == [1, 2, 3, 7]
    vv.set_num_threads(5)
    assert taken() == 5 == vv.get_num_threads() and taken(asked=2) == 2
    vv.set_num_threads(None)
    assert taken() == 1


def test_the_environment_says_where_nobody_else_does(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert vv.get_num_threads() == 3 == taken()
    monkeypatch.setenv("VIVACE_NUM_THREADS", "2")
    assert vv.get_num_threads() == 2 == taken()
    vv.set_num_threads(4)
    assert vv.get_num_threads() == 4 == taken()
    vv.set_num_threads(None)
    monkeypatch.delenv("VIVACE_NUM_THREADS")
    monkeypatch.setenv("OMP_NUM_THREADS", "4,2")  # a list, by levels of nesting
    assert vv.get_num_threads() == 4
    for wrong in ("99999", "²", "0", "two", "-1", "1.5", "4,2"):
        monkeypatch.setenv("VIVACE_NUM_THREADS", wrong)
        with pytest.raises(ValueError, match=f"VIVACE_NUM_THREADS must be an int in 1..1024, got '{wrong}'"):
            vv.get_num_threads()


@pytest.mark.parametrize("wrong", [0, -1, 1.5, "2", True, 10**6])
def test_wrong_numbers_are_refused(wrong):
    with pytest.raises(ValueError, match="n must be None or an int in 1..1024"):
        vv.set_num_threads(wrong)
    assert threads.forced() is None


def test_runs_at_once_share_the_cores(monkeypatch):
    monkeypatch.setattr(threads, "cores", lambda: 4)
    with threads.team(3, 1000, 1000) as first, threads.team(None, 1000, 1000) as second, threads.team(None, 1000, 1000) as third:
        assert (first, second, third) == (3, 1, 1)
    assert taken(worth=1000) == 4  # all were given back
    with pytest.raises(ZeroDivisionError), threads.team(4, 1000, 1000):
        raise ZeroDivisionError
    assert taken(worth=1000) == 4


def test_a_fit_reports_what_it_took():
    X = np.random.default_rng(0).standard_normal((64, 4))
    for n in (1, 2, 5):
        model = nn.Linear(4, 1)
        trainer = vv.Trainer(model, nn.MSELoss(), optim.SGD(model.parameters()), num_threads=n)
        trainer.fit(X, X[:, 0], epochs=1, verbose=0)
        assert trainer.last_run.threads == n
    vv.set_num_threads(3)
    trainer.num_threads = None
    trainer.fit(X, X[:, 0], epochs=1, verbose=0)
    assert trainer.last_run.threads == 3


def test_threads_without_a_share_of_the_work_leave(monkeypatch):
    """A team is as large as was asked for; how many of it take part goes by the work of a step, which is not that of matmuls alone."""
    X = np.random.default_rng(0).standard_normal((512, 16)).astype(np.float32)
    found = []
    for working in (WORKING, Plan.working):
        monkeypatch.setattr(Plan, "working", working)
        vv.manual_seed(0)
        model = nn.Linear(16, 3)
        trainer = vv.Trainer(model, nn.MSELoss(), optim.Adam(model.parameters()), num_threads=8, seed=0)
        trainer.fit(X, X[:, :3], epochs=2, batch_size=16, verbose=0)
        assert trainer.last_run.threads == 8
        found.append(model.weight.numpy().tobytes())
        monkeypatch.undo()
    assert found[0] == found[1]
    monkeypatch.setattr(Plan, "working", WORKING)
    wide, rowwise = nn.Sequential(nn.Linear(64, 256), nn.Tanh(), nn.Linear(256, 10)), nn.LayerNorm(99)
    for net, width, expected in ((model, 16, [1, 1, 8]), (wide, 64, [1, 2, 8]), (rowwise, 99, [1, 1, 8])):
        plan = vv.Trainer(net, nn.MSELoss(), optim.SGD(net.parameters()))._prediction_plan([width])
        assert [plan.working(8, rows) for rows in (1, 16, 100_000)] == expected


@pytest.mark.parametrize("n", [64, 1024])
def test_far_more_threads_than_cores_still_train(n, tmp_path):
    """In a process of its own: a system that refuses threads would end it."""
    code = ("import numpy as np, vivace as vv; from vivace import nn, optim; m = nn.Linear(4, 1, dtype='float64'); "
            "m.load_state_dict({'weight': np.zeros((1, 4)), 'bias': np.zeros(1)}); "
            f"t = vv.Trainer(m, nn.MSELoss(), optim.SGD(m.parameters()), seed=0, num_threads={n}); "
            "X = np.arange(32.0).reshape(8, 4) / 32; "
            "t.fit(X, X[:, 0], epochs=1, batch_size=4, verbose=0); print(t.last_run.threads, m.weight.numpy().tobytes().hex())")
    runs = [subprocess.run([sys.executable, "-c", code.replace(f"num_threads={n}", f"num_threads={k}")], capture_output=True,
                           text=True,
                           cwd=tmp_path, timeout=120) for k in (1, n)]
    assert [r.returncode for r in runs] == [0, 0], runs[1].stderr
    assert runs[1].stdout.split() == [str(n), runs[0].stdout.split()[1]]


def test_teams_from_several_python_threads_are_counted_right(monkeypatch):
    monkeypatch.setattr(threads, "cores", lambda: 4)

    def work():
        for _ in range(300):
            taken(worth=1000)
    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert taken(worth=1000) == 4


# --- the same bits

def blobs(rows):
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, rows)
    return (rng.standard_normal((rows, 7)) + 0.7 * y[:, None]).astype(np.float32), y


def weights(trainer):
    return np.concatenate([p.numpy().ravel() for p in trainer.model.parameters()])


def same(a, b):
    return a.dtype == b.dtype and np.array_equal(a.view(np.uint8), b.view(np.uint8))


def untrained(threads, seed=5, width=64):
    vv.manual_seed(0)
    model = nn.Sequential(nn.Linear(7, width), nn.ReLU(), nn.Dropout(0.2), nn.Linear(width, 3))
    return vv.Trainer(model, nn.CrossEntropyLoss(), optim.AdamW(model.parameters()), seed=seed, num_threads=threads,
                      metrics=["accuracy"], clip_grad_norm=1.0)


def trained(threads, seed=5, trainer=None):
    X, y = blobs(rows=203)
    trainer = trainer or untrained(threads, seed)
    trainer.fit(X, y, epochs=3, batch_size=48, sample_weight=np.linspace(0.5, 1.5, 203), validation_split=0.1, verbose=0)
    assert threads is None or trainer.last_run.threads == threads
    return trainer


def test_same_seed_same_bits_for_any_number_of_threads():
    one = trained(1)
    for n in (2, 3, 4, None):
        other = trained(n)
        assert same(weights(one), weights(other)) and one.history["loss"] == other.history["loss"]
        assert one.history["val_loss"] == other.history["val_loss"]
    assert not same(weights(one), weights(trained(1, seed=6)))


def test_concurrent_fits_equal_serial_ones():
    serial = {(seed, n): weights(trained(n, seed)) for seed in (1, 2) for n in (1, 2)}
    found, errors = {}, []

    def work(seed, n, trainer):
        try:
            found[seed, n] = weights(trained(n, seed, trainer))
        except BaseException as error:  # shown below: a thread would swallow it
            errors.append(error)
    for _ in range(3):
        found.clear()
        workers = [threading.Thread(target=work, args=(*key, untrained(key[1], key[0]))) for key in serial]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join(60)
        assert not errors and all(same(found[key], serial[key]) for key in serial)


def test_one_trainer_can_be_asked_from_several_threads():
    X, y = blobs(103)
    trainer = trained(1)
    whole, found = trainer.predict(X), []
    workers = [threading.Thread(target=lambda: found.append(trainer.predict(X))) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert len(found) == 4 and all(same(whole, z) for z in found)
