"""vivace beside NumPy, scikit-learn, thinc, PyTorch and JAX: their results are compared first, then they are timed in turns.

    python -m vivace.benchmarks.peers                       everything that is installed, about ten minutes
    python -m vivace.benchmarks.peers --only tiny,rl --peers vivace,jax --quick

A full run writes benchmarks/results.json; python -m vivace.benchmarks.report makes the tables and the picture of it. The exit status is
1 where a library's results differ from the others', or where anything beats the peak of the multiply-add units.
"""
import argparse
import json
import pathlib
import sys
import tempfile
import time
from statistics import median

import numpy as np

from .. import kernels
from . import machine, verify
from .libraries import LIBRARIES
from .peak import Peak
from .report import RESULTS, ROOT, best_of, threads_of
from .worker import Died, Worker
from .workloads import WORKLOADS

REST = 1.25
"""Times as long as it runs, a library's turn waits: OpenBLAS's threads look for work for 0.1 s after the last, on a core that the next
one needs."""


def measure(workload, workers, peak, turns, seconds):
    """{"rows": [...], "unsupported": {...}, "failed": {...}} of one workload; workers that cannot or must not take part are left out."""
    expected, found = {}, {"rows": [], "unsupported": {}, "failed": {}}
    taking_part = []
    for worker in workers:
        differences = _verified(workload, worker, expected, found)
        if differences is not None:
            taking_part.append((worker, {"differences": differences, "turns": []}))
    counts = sorted({worker.threads for worker in workers if worker.threads})
    for worker, _ in taking_part:
        _ask(worker, do="warm", seconds=seconds)
    for turn in range(turns):
        for worker, row in _rotated(taking_part, turn):
            time.sleep(REST * seconds)
            reply = _ask(worker, do="run")
            row["turns"].append(reply["microseconds"])
            row["ran"] = max(row.get("ran", 0), reply["ran"])  # a library that chooses may choose anew in every turn
        for threads in counts:
            peak.look(workload.dtype, threads)
    for worker, row in taking_part:
        found["rows"].append({"peer": worker.name, "threads": worker.threads, "microseconds": median(row["turns"]), **row})
    return found


def _rotated(items, by):
    by %= max(len(items), 1)
    return items[by:] + items[:by]


def _ask(worker, **message):
    reply = worker.ask(**message)
    if "error" in reply:
        raise Died(f"{worker.name}: {reply['error']}")
    return reply


def _verified(workload, worker, expected, found):
    """The differences to the oracle; None where it does not take part, and why is written down."""
    where = f"{worker.name}, {worker.threads or 'auto'} threads"
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/answer.npz"
        try:
            reply = _ask(worker, do="prepare", workload=workload.name, answer=path)
            if "unsupported" in reply:
                found["unsupported"][worker.name] = reply["unsupported"]
                return None
            outer = LIBRARIES[worker.name].outer_eps
            if outer not in expected:
                expected[outer] = verify.oracle(workload, outer)
            return verify.compare(workload, expected[outer], verify.Answer.read(path))
        except (verify.Failed, Died) as failure:
            found["failed"][where] = str(failure)
            return None


def matmul_speed(dtype, size=512, rounds=8):
    """GFLOP/s of one thread in our own packed matmul, the best of `rounds`: what must stay below the peak."""
    rng, best = np.random.default_rng(0), np.inf
    x, w = (rng.standard_normal((size, size)).astype(dtype) for _ in range(2))
    y, packed = np.empty_like(x), np.empty(kernels.packed_shape(size, size, w.dtype), dtype)
    kernels.linear_pack(w, packed)
    for _ in range(rounds):
        start = time.perf_counter()
        kernels.linear_forward(x, w, None, y, packed)
        best = min(best, time.perf_counter() - start)
    return 2 * size**3 / best / 1e9


def beaten(results):
    """What was faster than the peak of its threads, in words: the ruler would be wrong."""
    found = []
    for dtype, speed in results["matmul"].items():
        if speed > results["peak"][dtype]["1"]:
            found.append(f"a {dtype} matmul reaches {speed:.1f} GFLOP/s, the peak is {results['peak'][dtype]['1']:.1f}")
    for name, entry in results["workloads"].items():
        for row in entry["rows"]:
            speed, top = entry["flops"] / min(row["turns"]) / 1e3, results["peak"][entry["dtype"]].get(str(threads_of(row)))
            if top and speed > top:
                found.append(f"{row['peer']} on {name}, {threads_of(row)} threads, reaches {speed:.1f} GFLOP/s, the peak is {top:.1f}")
    return found


def lines(entry, peak):
    """The printed table of one workload: each library at its best number of threads."""
    base = best_of(entry, "vivace")
    yield f"  {'library':<15}{'threads':>8}{'us':>13}{'to vivace':>11}{'GFLOP/s':>9}{'% of peak':>11}   all"
    for name in dict.fromkeys(row["peer"] for row in entry["rows"]):
        row = best_of(entry, name)
        speed = entry["flops"] / row["microseconds"] / 1e3
        ratio = f"{row['microseconds'] / base['microseconds']:.2f}x" if base else "-"
        top = peak[entry["dtype"]].get(str(threads_of(row)))
        share = f"{100 * speed / top:.1f}%" if top else "-"
        each = ", ".join(f"{r['threads'] or 'auto'}: {r['microseconds']:.4g}" for r in entry["rows"] if r["peer"] == name)
        yield (f"  {LIBRARIES[name].title:<15}{row['threads'] or 'auto':>8}{row['microseconds']:>13.4g}{ratio:>11}{speed:>9.1f}"
               f"{share:>11}   {each}")


def run(workloads, names, counts, turns, seconds, say=print):
    """Measure all; the results as they are written."""
    peak, workers = Peak(), []
    dtypes = sorted({w.dtype for w in workloads})
    results = {"machine": machine.describe(), "settings": {"turns": turns, "seconds": seconds, "tolerances": verify.TOLERANCES},
               "peak": {}, "matmul": {}, "workloads": {}, "absent": [n for n in names if not LIBRARIES[n].installed()]}
    for name in results["absent"]:
        say(f"{LIBRARIES[name].title}: not installed (package {LIBRARIES[name].package}), left out")
    try:
        for name in names:
            if name not in results["absent"]:
                workers += [Worker(name, n) for n in LIBRARIES[name].threads if n is None or n in counts]
        for workload in workloads:
            began = time.monotonic()
            entry = measure(workload, workers, peak, min(turns, workload.turns), seconds)
            entry = {"title": workload.title, "group": workload.group, "dtype": workload.dtype, "batch": workload.batch,
                     "kind": workload.kind, "flops": workload.flops, **entry}
            results["workloads"][workload.name] = entry
            results["peak"] = {d: {str(n): peak.of(d, n) for n in counts} for d in dtypes}
            say(f"\n{workload.name}: {workload.title}, {workload.dtype} ({time.monotonic() - began:.0f} s)")
            for line in lines(entry, results["peak"]):
                say(line)
            for name, why in entry["unsupported"].items():
                say(f"  {LIBRARIES[name].title}: {why}")
            for where, why in entry["failed"].items():
                say(f"  {where}: FAILED: {why}")
    finally:
        for worker in workers:
            worker.close()
    results["matmul"] = {d: matmul_speed(d) for d in dtypes}
    for _ in range(5 if beaten(results) else 0):  # before it is called wrong, the ruler gets more of the machine's good moments
        results["peak"] = {d: {str(n): peak.look(d, n, times=20) for n in counts} for d in dtypes}
    return results


def _names(known):
    def read(text):
        names = text.split(",")
        unknown = [name for name in names if name not in known]
        if unknown:
            raise argparse.ArgumentTypeError(f"unknown: {', '.join(unknown)}; known are {', '.join(known)}")
        return names
    return read


def main(argv=None):
    """Parse, run, print, write; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m vivace.benchmarks.peers", description=__doc__.splitlines()[0])
    option = parser.add_argument
    option("--only", type=_names(WORKLOADS), metavar="WORKLOADS", help=f"of {', '.join(WORKLOADS)}")
    option("--peers", type=_names(LIBRARIES), metavar="NAMES", help=f"of {', '.join(LIBRARIES)}")
    option("--quick", action="store_true", help="two short turns instead of five")
    option("--out", type=pathlib.Path, metavar="FILE", help="where the results go; a full run: benchmarks/results.json")
    args = parser.parse_args(argv)
    began, full = time.monotonic(), not (args.only or args.peers or args.quick)
    workloads = [WORKLOADS[name] for name in args.only or WORKLOADS]
    turns, seconds = (2, 0.03) if args.quick else (5, 0.12)
    results = run(workloads, args.peers or list(LIBRARIES), (1, 2), turns, seconds, lambda line: print(line, flush=True))
    print(f"\npeak of the multiply-add units, GFLOP/s on 1 and 2 threads: {_speeds(results['peak'])}")
    print("our matmul of 512 x 512 x 512 on 1: " + ", ".join(f"{d} {speed:.0f}" for d, speed in results["matmul"].items()))
    problems = beaten(results)
    problems += [f"{name}: {where}: {why}" for name, entry in results["workloads"].items() for where, why in entry["failed"].items()]
    checkout = (ROOT / "README.md").exists()  # an installed package is no place for results
    if path := args.out or ((RESULTS if checkout else pathlib.Path("results.json")) if full else None):
        path.write_text(json.dumps(results, indent=1) + "\n")
        print(f"results: {path}")
    print(f"{time.monotonic() - began:.0f} s")
    for problem in problems:
        print(f"ERROR: {problem}", file=sys.stderr)
    return 1 if problems else 0


def _speeds(peak):
    return ", ".join(f"{dtype} " + ", ".join(f"{speed:.0f} on {n}" for n, speed in by.items()) for dtype, by in peak.items())


if __name__ == "__main__":
    raise SystemExit(main())
