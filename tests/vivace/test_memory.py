"""Nothing is allocated per step, and a fit takes what plan.memory() says plus its data."""
import json
import os
import pathlib
import platform
import shutil
import subprocess
import sys

import pytest

HERE = pathlib.Path(__file__).resolve().parent
COMPILER = shutil.which(os.environ.get("CC", "cc")) or shutil.which("gcc")

needs_glibc = pytest.mark.skipif(platform.libc_ver()[0] != "glibc" or COMPILER is None, reason="LD_PRELOAD with glibc and a compiler")

COUNTING = """
import ctypes, json, sys
import numpy as np, vivace as vv
from vivace import nn, optim
from vivace.nn.plan import Plan

allocations = ctypes.CDLL(None).allocations
allocations.restype = ctypes.c_long
spare = []  # in the heap before: an allocation that the interpreter makes at its own pace would come in the middle of a count
before = allocations()
np.empty(1 << 24)
seen = allocations() - before
calls, run = [], Plan.run
Plan.run = lambda self, *args: calls.append((self, args)) or run(self, *args)


def counted(plan, args, steps, threads):
    spaces, table, rows, batch = args[:4]
    arguments = (plan, spaces, table, rows, batch, (0, 0), steps, threads, 1e9)
    before = allocations()
    place = run(*arguments)
    assert place == (steps, 0, "finished"), place
    return allocations() - before


found = {}
for name, dtype, threads, many, options in (("fused", "float32", 1, 1000, {}), ("fused, 3 threads", "float32", 3, 100, {}),
                                            ("deferred", "float64", 1, 1000, {"clip_grad_norm": 1.0})):
    model = nn.Sequential(nn.Linear(20, 70), nn.ReLU(), nn.Dropout(0.2), nn.Linear(70, 33), nn.GELU(), nn.Linear(33, 5)).to(dtype)
    trainer = vv.Trainer(model, nn.CrossEntropyLoss(), optim.Adam(model.parameters()), seed=0, num_threads=threads, **options)
    X, y = np.random.default_rng(0).standard_normal((8 * many, 20)).astype(dtype), np.arange(8 * many) % 5
    calls.clear()
    trainer.fit(X, y, epochs=1, batch_size=8, sample_weight=np.ones(8 * many), verbose=0)
    plan, args = calls[0]
    counted(plan, args, 10, threads)
    found[name] = [counted(plan, args, steps, threads) for steps in (10, many, 10, many)]
print(json.dumps([seen, found]))
"""


@needs_glibc
def test_steps_allocate_nothing(tmp_path):
    """As many allocations in a call of the engine for 1,000 steps (100 with more threads than cores) as in one for 10; the counter
    itself is seen to count."""
    library = tmp_path / "count_allocations.so"
    subprocess.run([COMPILER, "-shared", "-fPIC", "-O1", "-o", library, HERE / "count_allocations.c", "-ldl"], check=True)
    done = subprocess.run([sys.executable, "-c", COUNTING], env=os.environ | {"LD_PRELOAD": str(library)}, capture_output=True, text=True,
                          timeout=300, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    seen, found = json.loads(done.stdout)
    assert seen >= 1
    for name, counts in found.items():
        assert len(set(counts)) == 1 and counts[0] < 50, (name, counts)


PEAK = """
import json, sys
import numpy as np, vivace as vv
from vivace import nn, optim

sizes, batch, rows = json.loads(sys.argv[1])


def peak():
    # not getrusage: its figure is at least that of the process this one was started from
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) * 1024


def fit(sizes, X, y, batch):
    layers = [layer for i, o in zip(sizes[:-1], sizes[1:]) for layer in (nn.Linear(i, o), nn.ReLU())][:-1]
    model = nn.Sequential(*layers)
    trainer = vv.Trainer(model, nn.CrossEntropyLoss(), optim.Adam(model.parameters()), seed=0, num_threads=2)
    for _ in range(2):  # the first snapshot of the first fit is from before the optimizer's state
        trainer.fit(X, y, epochs=1, batch_size=batch, verbose=0)
    return trainer


fit((2, 2), np.zeros((4, 2), np.float32), np.arange(4) % 2, 2)  # what the package itself takes, threads included
before = peak()
X, y = np.zeros((rows, sizes[0]), np.float32), np.arange(rows) % sizes[-1]
X += 0.5
trainer = fit(sizes, X, y, batch)
print(json.dumps([peak() - before, trainer.plan.memory()["total"], X.nbytes + y.nbytes]))
"""


def peak_of(sizes, batch, rows, tmp_path):
    """(bytes that a fit took, bytes of its plan, bytes of its data), in a process of its own."""
    done = subprocess.run([sys.executable, "-c", PEAK, json.dumps([sizes, batch, rows])], capture_output=True, text=True, timeout=1800,
                          cwd=tmp_path, env=os.environ | {"OPENBLAS_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def check_peak(sizes, batch, rows, tmp_path):
    taken, plan, data = peak_of(sizes, batch, rows, tmp_path)
    # at most 10% more; a system short of memory takes pages back before the end, so less is less of a surprise
    assert 0.6 <= taken / (plan + data) <= 1.1, (taken, plan, data)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="read from /proc")
def test_peak_memory(tmp_path):
    """Within 10% of what the plan says and the data: with as much in weights as in data, and almost all in weights."""
    check_peak((784, 1024, 10), 128, 20000, tmp_path)
    check_peak((1024, 2048, 1024, 100), 256, 256, tmp_path)


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="read from /proc")
def test_peak_memory_of_the_large_workload(tmp_path):
    check_peak((1024, 4096, 4096, 1000), 512, 1024, tmp_path)
