"""Tables and picture from benchmarks/results.json: parts of README.md and docs/performance.md between markers, and docs/performance.svg.

    python -m vivace.benchmarks.report            in a checkout, after python -m vivace.benchmarks.peers

Nothing in them is typed by hand: a test compares them with what this makes.
"""
import json
import pathlib
import re

from .libraries import LIBRARIES
from .picture import draw

ROOT = pathlib.Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results.json"
MAKER = "python -m vivace.benchmarks.report"


def best_of(entry, peer):
    """A library's fastest row, or None."""
    return min((row for row in entry["rows"] if row["peer"] == peer), key=lambda row: row["microseconds"], default=None)


def threads_of(row):
    """Threads that a row's speed is divided by: those that ran, where the library chose."""
    return row["threads"] or row.get("ran") or 1


def speed(entry, row):
    """GFLOP/s of the matmuls."""
    return entry["flops"] / row["microseconds"] / 1e3


def share(results, entry, row):
    """Part of the peak of its threads, in percent; None where that was not measured. A run that chooses may change its number from turn
    to turn: its part is that of all threads."""
    tops = results["peak"][entry["dtype"]]
    top = tops.get(str(threads_of(row))) if row["threads"] else max(tops.values(), default=None)
    return 100 * speed(entry, row) / top if top else None


def _table(head, rows):
    return "\n".join("| " + " | ".join(cells) + " |" for cells in [head, ["---"] + ["---:"] * (len(head) - 1), *rows])


def _figure(value):
    """Three significant digits, without powers of ten."""
    if value is None:
        return "-"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _group(results, group):
    return [(name, entry) for name, entry in results["workloads"].items() if entry["group"] == group]


def _peers(entries):
    present = {row["peer"] for _, entry in entries for row in entry["rows"]}
    return [name for name in LIBRARIES if name in present]


def times(results, group):
    """Microseconds of every library at its best number of threads, and the ratio of the best other one to vivace."""
    entries = _group(results, group)
    peers, rows = _peers(entries), []
    for name, entry in entries:
        best = {peer: best_of(entry, peer) for peer in peers}
        taken = {peer: row["microseconds"] for peer, row in best.items() if row}
        others = [t for peer, t in taken.items() if peer != "vivace"]
        ratio = f"{min(others) / taken['vivace']:.2f}x" if others and "vivace" in taken else "-"
        rows.append([f"{name}: {entry['title']}", *(_figure(taken.get(peer)) for peer in peers), ratio])
    return _table(["", *(LIBRARIES[peer].title for peer in peers), "best other / Vivace"], rows)


def rates(results, group):
    """GFLOP/s and percent of the peak at the best number of threads."""
    entries = _group(results, group)
    peers, rows = _peers(entries), []
    for name, entry in entries:
        cells = [f"{name}: {entry['title']}"]
        for peer in peers:
            row = best_of(entry, peer)
            part = share(results, entry, row) if row else None
            cells.append(_figure(speed(entry, row) if row else None) + (f" ({part:.1f}%)" if part is not None else ""))
        rows.append(cells)
    return _table(["", *(LIBRARIES[peer].title for peer in peers)], rows)


def threads(results):
    """Vivace at each number of threads."""
    rows = []
    for name, entry in results["workloads"].items():
        found = {row["threads"]: row["microseconds"] for row in entry["rows"] if row["peer"] == "vivace"}
        rows.append([f"{name}: {entry['title']}", *(_figure(found.get(n)) for n in (None, 1, 2))])
    return _table(["", "its own choice", "1 thread", "2 threads"], rows)


def differences(results):
    """The largest difference to the oracle that each library was found to have."""
    worst = {}
    for entry in results["workloads"].values():
        for row in entry["rows"]:
            for kind, value in row["differences"].items():
                key = row["peer"], entry["dtype"], kind
                worst[key] = max(value, worst.get(key, 0.0))
    columns = [(dtype, kind) for dtype, kinds in results["settings"]["tolerances"].items() for kind in kinds]
    rows = [[LIBRARIES[peer].title, *(f"{worst[peer, *column]:.0e}" if (peer, *column) in worst else "-" for column in columns)]
            for peer in LIBRARIES if any((peer, *column) in worst for column in columns)]
    allowed = ["allowed", *(f"{results['settings']['tolerances'][dtype][kind]:.0e}" for dtype, kind in columns)]
    return _table(["", *(f"{kind}, {dtype}" for dtype, kind in columns)], [allowed, *rows])


def where(results):
    """One sentence: machine, versions, date."""
    m = results["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in m["versions"].items() if version)
    return f"Measured on {m['date']}: {m['cpu']}, {m['cores']} cores, level {m['level']}, {m['system']}; {versions}."


def parts(results):
    """{file: {marker: text}}; results None: nothing has been measured."""
    if results is None:
        nothing = "Not measured yet: `make bench` measures, verified, on a quiet machine, and writes this part."
        return {"README.md": {"speed": nothing}, "docs/performance.md": {"results": nothing}}
    unit = ("Microseconds a training step (Adam; cross-entropy and ReLU where nothing else is said; shuffled batches, float32), each "
            "library at the better number of threads.")
    short = [unit, "", times(results, "training"), "", "![Time of a training step relative to Vivace's](docs/performance.svg)", "",
             f"{where(results)} How, and more: [docs/performance.md](docs/performance.md)."]
    peak = "; ".join(f"{dtype}: " + ", ".join(f"{value:.1f} GFLOP/s on {n}" for n, value in by.items())
                     for dtype, by in results["peak"].items())
    sections = [("Training, float32", "training"), ("Training, float64", "float64"), ("Odd widths and their neighbours", "widths"),
                ("Prediction", "prediction")]
    long = [where(results), f"Peak of the multiply-add units in the same run, by threads: {peak}.", "",
            "![Time of a training step relative to Vivace's](performance.svg)"]
    for title, group in sections:
        if _group(results, group):
            unit = "Microseconds a call" if group == "prediction" else "Microseconds a step"
            long += ["", f"### {title}", "", f"{unit}:", "", times(results, group), "", "GFLOP/s of the matmuls and part of the peak:", "",
                     rates(results, group)]
    long += ["", "### Threads", "", "Vivace, microseconds:", "", threads(results), "", "### Equality",
             "", "Largest differences to NumPy in float64, found before anything was timed:", "", differences(results)]
    absent = [LIBRARIES[name].title for name in results["absent"]]
    if absent:
        long += ["", f"Not installed: {', '.join(absent)}."]
    return {"README.md": {"speed": "\n".join(short)}, "docs/performance.md": {"results": "\n".join(long)}}


def filled(page, marker, text, maker=MAKER):
    """The page with `text` between the lines of the marker."""
    begin, end = f"<!-- {marker}: written by {maker} -->", f"<!-- end of {marker} -->"
    found = re.findall(f"{re.escape(begin)}\n.*?{re.escape(end)}", page, re.DOTALL)
    if len(found) != 1:
        raise ValueError(f"the page must have one part from {begin!r} to {end!r}, it has {len(found)}")
    return page.replace(found[0], f"{begin}\n{text}\n{end}")


def generated(root, results):
    """{path: contents} of all generated files as they should be."""
    files = {}
    for name, markers in parts(results).items():
        page = (root / name).read_text()
        for marker, text in markers.items():
            page = filled(page, marker, text)
        files[root / name] = page
    if results is not None:
        files[root / "docs" / "performance.svg"] = draw(results)
    return files


def load(path=RESULTS):
    """The results, or None where nothing has been measured; those of a failed run raise ValueError."""
    if not path.exists():
        return None
    results = json.loads(path.read_text())
    failed = [where for entry in results["workloads"].values() for where in entry["failed"]]
    if failed:
        raise ValueError(f"{path.name} holds a failed run: {', '.join(failed)}")
    return results


def main():
    """Write all generated parts."""
    if not (ROOT / "README.md").exists():
        raise SystemExit("the report is written into a checkout of vivace, and this is an installed package")
    for path, text in generated(ROOT, load()).items():
        path.write_text(text)
        print(path.relative_to(ROOT))


if __name__ == "__main__":
    main()
