"""The picture of the results: an SVG written here, because its text must be the same wherever it is made (a test compares it)."""
import math
from html import escape

from .libraries import LIBRARIES

COLORS = {"vivace": "#d1495b", "numpy": "#8d96a3", "sklearn": "#edae49", "thinc": "#66a182", "torch": "#2e4057", "compile": "#5c7c9c",
          "jax": "#00798c"}
WIDTH, LEFT, BAR, GAP = 860, 190, 13, 14


def draw(results):
    """Times of a training step over vivace's, on a logarithmic axis: one group of bars per workload, the best number of threads of each."""
    from .report import best_of
    groups = []
    for name, entry in results["workloads"].items():
        base = best_of(entry, "vivace")
        if entry["group"] == "training" and base:
            rows = [(peer, best_of(entry, peer)) for peer in LIBRARIES]
            groups.append((name, entry["title"], [(p, r["microseconds"] / base["microseconds"], r["microseconds"]) for p, r in rows if r]))
    ratios = [ratio for _, _, bars in groups for _, ratio, _ in bars] or [1.0]
    low, high = math.log10(min(1.0, *ratios)) - 0.02, math.log10(max(10.0, *ratios)) + 0.02
    span = WIDTH - LEFT - 90

    def at(ratio):
        return LEFT + span * (math.log10(ratio) - low) / (high - low)
    top, out = 64, []
    for name, title, bars in groups:
        out.append(words(LEFT - 10, top + 12, name, "end", 14, "bold"))
        for line, part in enumerate(title.split(", ")):
            out.append(words(LEFT - 10, top + 28 + 13 * line, part, "end", 11))
        for row, (peer, ratio, microseconds) in enumerate(bars):
            y, x = top + row * (BAR + 2), at(ratio)
            out.append(f'<rect x="{LEFT}" y="{y}" width="{max(x - LEFT, 2):.1f}" height="{BAR}" fill="{COLORS[peer]}"/>')
            label = f"{ratio:.1f}x" if peer != "vivace" else f"{microseconds:,.3g} us" if microseconds < 1000 else f"{microseconds:,.0f} us"
            out.append(words(max(x, LEFT + 2) + 5, y + 11, f"{LIBRARIES[peer].title} {label}", "start", 11))
        top += max(len(bars) * (BAR + 2), 56) + GAP
    ticks = [10.0**k for k in range(math.ceil(low), math.floor(high) + 1)]
    axis = "".join(f'<line x1="{at(t):.1f}" y1="56" x2="{at(t):.1f}" y2="{top}" stroke="#d8dce0"/>'
                   + words(at(t), 50, f"{t:g}x", "middle", 11) for t in ticks)
    machine = results["machine"]
    foot = words(LEFT, top + 14, f"{machine['cpu']}, {machine['cores']} cores, {machine['date']}", "start", 11)
    title = words(LEFT, 28, "Time of a training step relative to Vivace's (shorter is faster)", "start", 15, "bold")
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {top + 26}" font-family="sans-serif">'
            f'<rect width="100%" height="100%" fill="white"/>{title}{axis}\n' + "\n".join(out) + f"\n{foot}</svg>\n")


def words(x, y, text, anchor, size, weight="normal"):
    return (f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" font-weight="{weight}" fill="#22282e">'
            f'{escape(text)}</text>')
