"""History: aligned columns, the JSON round trip, the picture."""
import json
import math
import sys

import pytest

from vivace.history import History


def filled():
    history = History()
    history.append({"loss": 2.0, "accuracy": 0.5})
    history.append({"loss": 0.01, "accuracy": 0.75, "val_loss": 1.5, "lr": 0.1})
    history.append({"loss": 0.005, "val_loss": math.inf})
    return history


def test_columns_stay_aligned():
    history = filled()
    assert len(history) == 3 and history.epoch == [0, 1, 2] and list(history.keys()) == ["loss", "accuracy", "val_loss", "lr"]
    assert history["loss"] == [2.0, 0.01, 0.005] and history.history["loss"] is history["loss"]
    assert history["accuracy"][:2] == [0.5, 0.75] and math.isnan(history["accuracy"][2])
    assert math.isnan(history["val_loss"][0]) and history["val_loss"][1:] == [1.5, math.inf]
    assert "val_loss" in history and "r2" not in history
    assert repr(history) == "History(3 epochs: loss 2 -> 0.005, val_loss nan -> inf)" and repr(History()) == "History(0 epochs)"
    with pytest.raises(KeyError, match="no column 'r2': it has loss, accuracy, val_loss, lr"):
        history["r2"]


def test_state_survives_strict_json():
    history = filled()
    again = History.from_state(json.loads(json.dumps(history.state(), allow_nan=False)))
    assert again.epoch == history.epoch and list(again.keys()) == list(history.keys())
    for name in history.keys():
        assert all(a == b or (math.isnan(a) and math.isnan(b)) for a, b in zip(again[name], history[name]))
    again.append({"loss": 1.0})
    assert len(again) == 4 and len(again["lr"]) == 4
    assert len(History.from_state(History().state())) == 0
    with pytest.raises(ValueError, match=r"one length, got lengths \[1, 2\]"):
        History.from_state({"loss": [1.0], "val_loss": [1.0, 2.0]})


def test_to_frame():
    frame = filled().to_frame()
    assert frame.shape == (3, 4) and frame.index.name == "epoch" and frame["loss"].tolist() == [2.0, 0.01, 0.005]
    assert len(History().to_frame()) == 0


def test_plot(tmp_path):
    path = tmp_path / "curves.png"
    figure = filled().plot(path)
    assert path.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    losses, metrics = figure.axes
    assert losses.get_yscale() == "log" and [line.get_label() for line in losses.lines] == ["training", "validation"]
    assert list(losses.lines[0].get_xdata()) == [1, 2, 3] and list(losses.lines[0].get_ydata()) == [2.0, 0.01, 0.005]
    assert metrics.get_title() == "accuracy" and len(metrics.lines) == 1
    assert "matplotlib.pyplot" not in sys.modules or not sys.modules["matplotlib.pyplot"].get_fignums()


def test_plot_stays_linear_for_a_small_range():
    history = History()
    for loss in (3.0, 0.04):
        history.append({"loss": loss, "seconds": 1.0})
    figure = history.plot()
    assert len(figure.axes) == 1 and figure.axes[0].get_yscale() == "linear"


def test_plot_errors(monkeypatch):
    with pytest.raises(ValueError, match="at least one epoch to plot, got none"):
        History().plot()
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r"plotting needs matplotlib: pip install 'vivace\[plot\]'"):
        filled().plot()
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match=r"to_frame needs pandas: pip install 'vivace\[tables\]'"):
        filled().to_frame()
