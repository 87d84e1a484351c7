"""NumPy, Numba and Cython side by side, per kernel and per training step: the table and the picture of docs/backends.md.

    python -m vivace.benchmarks.backends [--seconds 30]     measures, then writes benchmarks/backends.json, docs/backends.md and its picture
    python -m vivace.benchmarks.backends --report           writes page and picture anew from the file

First verified: each kernel of each backend against the reference in float64 (kernel_cases.py), and the losses of 20 steps of each backend
against numpy_mlp.py (step.py). What differs is not timed: the exit status is 1 and nothing is written. Kernels run in the thread that
calls them, NumPy's BLAS with one thread where threadpoolctl can say so; the time is the median over turns of the mean of many calls.
"""
import argparse
import contextlib
import importlib.metadata
import importlib.util
import json
import sys
import time
from statistics import median

from .. import kernels
from . import machine, report, step
from .kernel_cases import BACKENDS, CASES, check, sizes
from .picture import words

RESULTS = report.ROOT / "benchmarks" / "backends.json"
PAGE, PICTURE = report.ROOT / "docs" / "backends.md", report.ROOT / "docs" / "backends.svg"
MAKER = "python -m vivace.benchmarks.backends"
TITLES = {"numpy": "NumPy", "numba": "Numba", "cython": "Cython"}
COLORS = {"numpy": "#8d96a3", "numba": "#00798c", "cython": "#d1495b"}
TURNS = 5


# --- measuring
def present():
    """The backends that this machine has."""
    return [name for name in BACKENDS if kernels.available()[name]]


def measure_kernels(seconds, names=tuple(CASES)):
    """{kernel: {"sizes", "microseconds": {backend: us}, "compile": seconds of Numba's first call}}; AssertionError where one differs."""
    found, share = {}, seconds / len(names) / TURNS / len(present())
    for name in names:
        compiling = time.perf_counter()
        if "numba" in present():
            kernels.jit.warm_up([name], ["float32"], progress=False)
        compiling = time.perf_counter() - compiling
        calls = {}
        for backend in present():
            run, (arrays, scalars) = getattr(kernels.get(backend), name), CASES[name]()
            check(name, run)
            calls[backend] = lambda run=run, arrays=arrays, scalars=scalars: run(*arrays, **scalars)
        taken = {backend: [] for backend in calls}
        for _ in range(TURNS):
            for backend, call in calls.items():
                taken[backend].append(_mean_seconds(call, share))
        found[name] = {"sizes": sizes(name), "microseconds": {backend: median(turns) * 1e6 for backend, turns in taken.items()}}
        if "numba" in calls:
            found[name]["compile"] = compiling
    return found


def _mean_seconds(call, seconds):
    """Of calls that take about `seconds` together; a tenth of them come first, to warm up."""
    call()
    begin = time.perf_counter()
    call()
    rounds = max(2, int(seconds / max(time.perf_counter() - begin, 1e-7)))
    for _ in range(rounds // 10):
        call()
    begin = time.perf_counter()
    for _ in range(rounds):
        call()
    return (time.perf_counter() - begin) / rounds


def measure_steps(seconds, cases=step.CASES):
    """[{"title", "difference", "rows": [[name, threads, us], ...]}]; step.Failed where losses differ."""
    found = []
    for layers, batch_size, steps in cases:
        worst = step.verify(layers, batch_size)
        rows = step.measure(layers, batch_size, steps, seconds / len(cases))
        title = f"{'-'.join(map(str, layers))}, batch {batch_size}"
        found.append({"title": title, "difference": worst, "rows": [list(row) for row in rows]})
    return found


# --- the page
def _row(cells):
    return "| " + " | ".join(cells) + " |"


def kernel_table(results):
    """Microseconds of each kernel, speeds over NumPy, and what Numba's first call costs."""
    lines = [_row(["kernel", "arrays, float32", "NumPy", "Numba", "Cython", "Numba / NumPy", "Cython / NumPy", "compiling by Numba"]),
             _row(["---", "---", *["---:"] * 6])]
    for name, entry in results["kernels"].items():
        us = entry["microseconds"]
        cells = [f"{us[backend]:.1f}" if backend in us else "-" for backend in BACKENDS]
        speeds = [f"{us['numpy'] / us[backend]:.1f}x" if backend in us else "-" for backend in BACKENDS[1:]]
        compiling = f"{entry['compile']:.1f} s" if "compile" in entry else "-"
        lines.append(_row([f"`{name}`", f"`{entry['sizes']}`", *cells, *speeds, compiling]))
    return "\n".join(lines)


def step_table(results):
    """Microseconds of a training step, speed over the tuned program in NumPy."""
    lines = [_row(["network", "trained by", "threads", "us / step", "speed"]), _row(["---", "---", "---:", "---:", "---:"])]
    for entry in results["steps"]:
        base = entry["rows"][0][2]
        for at, (name, threads, us) in enumerate(entry["rows"]):
            what = "a tuned program in NumPy (`benchmarks/numpy_mlp.py`)" if not at else f"`backend=\"{name.split()[-1]}\"`"
            lines.append(_row([entry["title"] if not at else "", what, str(threads), f"{us:.1f}", f"{base / us:.2f}x"]))
    return "\n".join(lines)


def part(results):
    """The generated part of the page; results None: nothing has been measured."""
    if results is None:
        return f"Not measured yet: `{MAKER}` verifies, measures, and writes this part."
    worst = max(entry["difference"] for entry in results["steps"])
    return "\n".join([
        report.where(results), "", "Microseconds of a call, one thread:", "", kernel_table(results), "",
        "![Speed of each kernel over NumPy's](backends.svg)", "",
        "A training step: float32, Adam, cross-entropy, ReLU, shuffled batches; Cython and the program in NumPy at the better of 1 and 2 "
        f"threads. Losses of 20 steps agree to {worst:.0e}.", "", step_table(results)])


def draw(results):
    """Speeds over NumPy per kernel as an SVG, on a linear axis that is cut at the longest bar."""
    width, left, bar, top = 860, 210, 12, 60
    rows = [(name, backend, entry["microseconds"]["numpy"] / entry["microseconds"][backend])
            for name, entry in results["kernels"].items() for backend in BACKENDS if backend in entry["microseconds"]]
    longest = max(speed for *_, speed in rows)
    out, y, last = [], top, None
    for name, backend, speed in rows:
        if name != last:
            y += 10
            out.append(words(left - 10, y + 24, name, "end", 12))
            last = name
        length = max((width - left - 110) * speed / longest, 2)
        out.append(f'<rect x="{left}" y="{y}" width="{length:.1f}" height="{bar}" fill="{COLORS[backend]}"/>')
        out.append(words(left + length + 5, y + 10, f"{TITLES[backend]} {speed:.1f}x", "start", 10))
        y += bar + 2
    one = left + (width - left - 110) / longest
    axis = f'<line x1="{one:.1f}" y1="{top}" x2="{one:.1f}" y2="{y}" stroke="#d8dce0"/>'
    title = words(left, 28, "Speed of each kernel over NumPy's, one thread, float32 (longer is faster)", "start", 15, "bold")
    about = results["machine"]
    foot = words(left, y + 20, f"{about['cpu']}, {about['cores']} cores, {about['date']}", "start", 11)
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {y + 32}" font-family="sans-serif">'
            f'<rect width="100%" height="100%" fill="white"/>{title}{axis}\n' + "\n".join(out) + f"\n{foot}</svg>\n")


def generated(results):
    """{path: contents} of page and picture as they should be."""
    files = {PAGE: report.filled(PAGE.read_text(), "results", part(results), MAKER)}
    return files if results is None else {**files, PICTURE: draw(results)}


def load(path=RESULTS):
    """The results, or None where nothing has been measured."""
    return json.loads(path.read_text()) if path.exists() else None


def _write(results):
    if not PAGE.exists():
        raise SystemExit("the page is written into a checkout of vivace, and this is an installed package: give --out FILE")
    for path, text in generated(results).items():
        path.write_text(text)
        print(path.relative_to(report.ROOT))


def _about():
    about = machine.describe()
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        about["versions"]["numba"] = importlib.metadata.version("numba")
    keep = ("python", "vivace", "numpy", "numba")
    return {**about, "versions": {name: about["versions"].get(name) for name in keep}}


def main(argv=None):
    """Verify, measure, write; exit status 1 where results differ."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=30.0, help="time for measuring, compilation aside")
    parser.add_argument("--report", action="store_true", help="only write the page and the picture from the file")
    parser.add_argument("--out", type=argparse.FileType("w"), help="write the results there, and no page")
    options = parser.parse_args(argv)
    if options.report:
        _write(load())
        return 0
    blas = contextlib.nullcontext()
    if importlib.util.find_spec("threadpoolctl"):
        from threadpoolctl import threadpool_limits
        blas = threadpool_limits(1, user_api="blas")
    try:
        with blas:
            found = measure_kernels(options.seconds / 3)
        results = {"machine": _about(), "kernels": found, "steps": measure_steps(options.seconds * 2 / 3)}
    except (AssertionError, step.Failed) as failure:
        print(f"backends differ, nothing is timed or written: {failure}", file=sys.stderr)
        return 1
    print(kernel_table(results), step_table(results), sep="\n\n")
    if options.out:
        json.dump(results, options.out, indent=1)
        return 0
    RESULTS.write_text(json.dumps(results, indent=1) + "\n")
    _write(results)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
