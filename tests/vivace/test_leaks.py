"""Fits leave nothing behind: bytes, open files, threads, objects of Python."""
import json
import os
import platform
import subprocess
import sys

import pytest

needs_glibc = pytest.mark.skipif(platform.libc_ver()[0] != "glibc" or not os.path.isdir("/proc/self/task"), reason="mallinfo2 and /proc")

FITS = """
import ctypes, gc, json, os, sys
import numpy as np, vivace as vv
from vivace import nn, optim

class Mallinfo(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in
                "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost".split()]

mallinfo2 = ctypes.CDLL(None).mallinfo2
mallinfo2.restype = Mallinfo


def state():
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    info = mallinfo2()
    resident = int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return {"bytes": info.uordblks + info.hblkhd, "resident": resident, "files": len(os.listdir("/proc/self/fd")),
            "threads": len(os.listdir("/proc/self/task")), "objects": len(gc.get_objects())}


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.norm, self.b = nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Linear(8, 3)

    def forward(self, x):
        return self.b(nn.functional.tanh(self.norm(self.a(x))))


rng = np.random.default_rng(0)
X, y = rng.standard_normal((20, 6)).astype(np.float32), rng.integers(0, 3, 20)
path, leak = sys.argv[3], []


def plain(t): t.fit(X, y, epochs=1, batch_size=8, verbose=0)
def watched(t): t.fit(X, y, epochs=2, batch_size=8, verbose=0, validation_split=0.25, callbacks=vv.callbacks.EarlyStopping(patience=1))
def several(t):
    plain(t)
    step = t.make_step(8)
    step(X[:8], y[:8])
    t.predict(X), t.evaluate(X, y)
def saved(t):
    plain(t)
    t.save(path)
    plain(vv.load(path))
def refused(t):
    for wrong in (lambda: t.fit(X * np.nan, y, verbose=0), lambda: t.fit(X[:, :3], y, verbose=0), lambda: t.fit(X, y + 5, verbose=0)):
        try:
            wrong()
        except ValueError:
            pass
    plain(t)
def broken(t):
    t.optimizer.param_groups[0]["lr"] = 1e38
    try:
        t.fit(X * 1e20, y, epochs=3, batch_size=8, verbose=0)
    except vv.NonFiniteError:
        pass
    else:
        raise AssertionError("the loss was to become infinite")


def sequential(): return nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Dropout(0.2), nn.Linear(8, 3))
def adam(model): return optim.Adam(model.parameters(), lr=0.01)


KINDS = [(sequential, plain, {}), (Net, watched, dict(metrics=["accuracy"])), (sequential, several, dict(num_threads=2)), (Net, saved, {}),
         (sequential, plain, dict(clip_grad_norm=1.0, ema_decay=0.9)), (sequential, refused, {}), (sequential, broken, {}),
         (Net, plain, dict(num_threads=3))]


def fits(count):
    for i in range(count):
        make, run, options = KINDS[i % len(KINDS)]
        model = make()
        run(vv.Trainer(model, nn.CrossEntropyLoss(), adam(model), seed=i, **options))
        if int(sys.argv[4]):
            leak.append(bytes(int(sys.argv[4])))


fits(int(sys.argv[1]))
leak.clear()
before = state()
fits(int(sys.argv[2]))
print(json.dumps([before, state()]))
"""


def growth(folder, warm, fits, leaked=0):
    """What is there more after `fits` fits, `leaked` bytes being kept on purpose by each."""
    environment = os.environ | {"PYTHONMALLOC": "malloc"}  # every object of Python is counted, too
    done = subprocess.run([sys.executable, "-c", FITS, str(warm), str(fits), str(folder / "run.vivace"), str(leaked)], timeout=3600,
                          capture_output=True, text=True, cwd=folder, env=environment)
    assert done.returncode == 0, done.stderr
    before, after = json.loads(done.stdout)
    return {name: after[name] - before[name] for name in before}


@needs_glibc
def test_fits_leave_nothing_behind(tmp_path):
    """Fits of eight kinds: custom modules, teams of threads, callbacks, steps by hand, files, refused data, losses that become infinite."""
    check(growth(tmp_path, warm=400, fits=800), fits=800)


@needs_glibc
def test_a_leak_is_seen(tmp_path):
    """Bytes that each fit keeps on purpose."""
    assert growth(tmp_path, warm=40, fits=300, leaked=128)["bytes"] > 64 * 300


@pytest.mark.slow
@needs_glibc
def test_ten_thousand_fits_leave_nothing_behind(tmp_path):
    found = growth(tmp_path, warm=2000, fits=10_000)
    print(found)
    check(found, fits=10_000)
    assert found["resident"] < 64 * 10_000


def check(found, fits):
    assert found["bytes"] < 64 * fits, found
    assert {name: found[name] for name in ("files", "threads", "objects")} == {"files": 0, "threads": 0, "objects": 0}, found
