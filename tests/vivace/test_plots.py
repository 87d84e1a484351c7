"""vivace.plots: what a figure shows is what was recorded."""
import subprocess
import sys

import numpy as np
import pytest

import vivace as vv
from vivace import nn, optim, plots

X = np.random.default_rng(0).standard_normal((64, 5)).astype(np.float32)


@pytest.fixture(scope="module")
def trainer():
    pytest.importorskip("matplotlib")
    vv.manual_seed(0)
    model = nn.Sequential(nn.Linear(5, 8), nn.ReLU(), nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 2))
    trainer = vv.Trainer(model, nn.CrossEntropyLoss(), optim.SGD(model.parameters(), lr=0.1), seed=0)
    trainer.fit(X, (X[:, 0] > 0).astype(int), epochs=2, batch_size=16, callbacks=[vv.callbacks.Statistics(2)], verbose=0)
    return trainer


def test_gradient_flow(trainer, tmp_path):
    figure = plots.gradient_flow(trainer, tmp_path / "flow.png")
    flow, ratio = figure.axes
    lines = flow.get_lines()
    np.testing.assert_array_equal([line.get_ydata() for line in lines], trainer.statistics["grad_rms"])
    assert [line.get_label() for line in lines] == ["step 0", "step 2", "step 4", "step 6"]
    assert [t.get_text() for t in flow.get_xticklabels()] == ["0", "2", "4"]
    np.testing.assert_array_equal([line.get_ydata() for line in ratio.get_lines()[:3]], trainer.statistics["update_ratio"].T)
    assert (tmp_path / "flow.png").read_bytes()[:4] == b"\x89PNG"
    assert len(plots.gradient_flow(trainer.statistics).axes) == 2


def test_weight_histograms(trainer, tmp_path):
    figure = plots.weight_histograms(trainer, tmp_path / "weights.png", bins=7)
    weights = [p.numpy() for p in trainer.model.parameters() if p.ndim == 2]
    assert [sum(bar.get_height() for bar in axes.patches) for axes in figure.axes] == [w.size for w in weights]
    assert figure.axes[0].get_title().startswith("0.weight 8x5") and (tmp_path / "weights.png").exists()
    heights = [bar.get_height() for bar in figure.axes[1].patches]
    np.testing.assert_array_equal(heights, np.histogram(weights[1], 7)[0])


def test_curves(trainer):
    for source in (trainer, trainer.history):
        np.testing.assert_array_equal(plots.curves(source).axes[0].get_lines()[0].get_ydata(), trainer.history["loss"])


def test_bad_arguments(trainer):
    for call, text in ((lambda: plots.curves(3), "Trainer or a History"), (lambda: plots.gradient_flow(3), "callbacks.Statistics or a"),
                       (lambda: plots.weight_histograms(3), "Module or a Trainer")):
        with pytest.raises(TypeError, match=text):
            call()
    with pytest.raises(ValueError, match="at least one record"):
        plots.gradient_flow(vv.callbacks.Statistics())
    plain = vv.Trainer(trainer.model, trainer.loss, trainer.optimizer)
    with pytest.raises(ValueError, match="recorded no statistics"):
        plots.gradient_flow(plain)


def test_without_matplotlib_the_extra_is_named():
    code = ("import sys; sys.modules['matplotlib'] = None\nimport vivace as vv\nfrom vivace import nn, plots\n"
            "try: plots.weight_histograms(nn.Sequential(nn.Linear(2, 2)))\n"
            "except ImportError as error: print(error)")
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "vivace[plot]" in out


def test_importing_loads_no_matplotlib():
    code = "import sys, vivace.plots; print('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "False"
