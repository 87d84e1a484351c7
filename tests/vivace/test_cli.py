"""The command line: what is printed, what is written, how bad input ends."""
import io
import os
import re
import subprocess
import sys

import numpy as np
import pytest

import vivace as vv
from vivace import cli, datasets
from vivace.batches import batches
from vivace.progress import Progress


def run(capsys, *argv):
    """(exit status, standard output, standard error)."""
    status = cli.main([str(word) for word in argv])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def figure(name, text):
    """The number after `name`."""
    return float(re.search(rf"{name} (-?[\d.]+)", text)[1])


def files(folder):
    return ["--out", folder / "m.vivace", "--plot", folder / "c.png"]


def test_train_learns_and_saves_a_model_for_raw_rows(capsys, tmp_path):
    status, out, err = run(capsys, "train", "iris", *files(tmp_path))
    assert status == 0
    assert "iris: 150 rows, 4 inputs, 3 classes; 90 rows to train on, 30 to stop by, 30 untouched for the test" in out
    assert f"model: {tmp_path / 'm.vivace'}\ncurves: {tmp_path / 'c.png'}\n" in out
    assert re.match(r"epoch 1/100  loss \d.*  val_loss \d.*  val_accuracy \d.*  .* samples/s\n", err)
    assert (tmp_path / "c.png").read_bytes()[:4] == b"\x89PNG"
    data = datasets.load("iris")
    X, y = datasets.split(data.X, data.y, seed=0, stratify=True).test
    right = (vv.load(tmp_path / "m.vivace").predict(X).argmax(axis=1) == y).mean()
    assert right > 0.8 and figure("accuracy", out) == pytest.approx(right, abs=1e-4)


def test_train_regression_reports_original_units(capsys, tmp_path):
    status, out, _ = run(capsys, "train", "diabetes", "--quiet", "--hidden", "16", "--seed", 1, *files(tmp_path))
    data = datasets.load("diabetes")
    X, y = datasets.split(data.X, data.y, seed=1).test
    error = vv.load(tmp_path / "m.vivace").predict(X)[:, 0] - y
    assert status == 0 and figure("R2", out) > 0.2
    assert figure("MAE", out) == pytest.approx(np.abs(error).mean(), rel=1e-3)
    assert figure("RMSE", out) == pytest.approx(np.sqrt((error ** 2).mean()), rel=1e-3)


def test_train_with_every_option(capsys, tmp_path):
    status, out, err = run(
        capsys, "train", "wine", "--hidden", "8 6", "--epochs", 3, "--batch-size", 7, "--lr", "0.05", "--optimizer", "sgd",
        "--dropout", "0.2", "--seed", 3, "--seeds", 2, "--threads", 1, "--patience", 2, "--max-time", 60, "--quiet",
        *files(tmp_path))
    assert status == 0 and err == ""
    first, second, mean = (figure("accuracy", line) for line in out.splitlines()[1:4])
    assert out.splitlines()[1].startswith("seed 3: ") and mean == pytest.approx((first + second) / 2, abs=1e-4)
    shapes = [value.shape for value in vv.load(tmp_path / "m.vivace").model.state_dict().values()]
    assert shapes == [(8, 13), (8,), (6, 8), (6,), (3, 6), (3,)]


def test_train_is_repeatable(capsys, tmp_path):
    scores = []
    for hidden in ("none", "none"):
        out = run(capsys, "train", "breast_cancer", "--quiet", "--epochs", 5, "--hidden", hidden, *files(tmp_path))[1]
        state = vv.load(tmp_path / "m.vivace").model.state_dict()
        scores.append((figure("accuracy", out), [value.tobytes() for value in state.values()]))
    assert scores[0] == scores[1] and scores[0][0] > 0.8


def test_train_without_matplotlib(capsys, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    status, out, _ = run(capsys, "train", "iris", "--quiet", "--epochs", 1, *files(tmp_path))
    assert status == 0 and "no picture: plotting needs matplotlib: pip install 'vivace[plot]'\n" in out
    assert not (tmp_path / "c.png").exists() and (tmp_path / "m.vivace").exists()


@pytest.mark.parametrize("argv, message", [
    (["train", "x"], "unknown data set 'x': known are digits, iris, wine, breast_cancer, diabetes"),
    (["train"], "the following arguments are required: DATA"),
    (["train", "iris", "--hidden", "a"], "--hidden: must be widths such as 128,64, or none, got 'a'"),
    (["train", "iris", "--hidden", "8,0"], "--hidden: must be widths such as 128,64, or none, got '8,0'"),
    (["train", "iris", "--epochs", "0"], "--epochs: must be above 0, got '0'"),
    (["train", "iris", "--epochs", "two"], "--epochs: must be an integer, got 'two'"),
    (["train", "iris", "--lr", "nan"], "--lr: must be above 0, got 'nan'"),
    (["train", "iris", "--dropout", "1"], "--dropout: must be in 0..1, below 1, got '1'"),
    (["train", "iris", "--seed", "-1"], "--seed: must be an integer in 0..2^63 - 1, got '-1'"),
    (["train", "iris", "--threads", "99999"], "--threads: must be an integer in 1..1024, got '99999'"),
    (["train", "iris", "--optimizer", "rprop"], "--optimizer: invalid choice: 'rprop'"),
    (["train", "iris", "--out", "no/such/folder/m.vivace"], "--out must name a file that can be written, got 'no/"),
    (["train", "iris", "--out", ""], "--out must name a file that can be written, got '': a name of a file is wanted"),
    (["train", "iris", "--out", os.devnull], f"got '{os.devnull}': not a regular file"),
    (["train", "iris", "--out", "m" * 300], "of 300 characters: File name too long"),
    (["train", "iris", "--out", os.curdir], "got '.': a folder stands where the file should go"),
    (["train", "iris", "--history", ""], "--history must name a file that can be written, got ''"),
    (["train", "iris", "--plot", "c" * 300 + ".png"], "--plot must name a file that can be written, got 'ccc"),
    (["train", "iris", "--plot", "curves.txt"], "--plot must end in .png, .pdf, .svg, .jpg, got 'curves.txt'"),
    (["train", "iris", "--out", "a.png", "--plot", "./a.png"], "--out and --plot must differ"),
    (["fly"], "invalid choice: 'fly'"),
    (["info", "--loud"], "unrecognized arguments: --loud"),
])
def test_bad_input_is_one_line(capsys, monkeypatch, tmp_path, argv, message):
    monkeypatch.chdir(tmp_path)
    status, out, err = run(capsys, *argv)
    assert (status, out) == (2, "") and err.startswith("vivace: ") and err.count("\n") == 1 and message in err
    assert list(tmp_path.iterdir()) == []


def test_a_network_beyond_the_memory_is_refused(capsys, tmp_path):
    status, _, err = run(capsys, "train", "iris", "--hidden", "9999999,9999999", *files(tmp_path))
    assert status == 2 and err.startswith("vivace: --hidden must be widths whose network fits into memory: 100,") and err.count("\n") == 1


def test_missing_scikit_learn_names_the_extra(capsys, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "sklearn", None)
    status, _, err = run(capsys, "train", "iris", *files(tmp_path))
    assert (status, err) == (2, "vivace: the data set iris needs scikit-learn: pip install 'vivace[sklearn]'\n")


def test_interrupt(capsys, monkeypatch, tmp_path):
    def fit(*args, **kwargs):
        raise KeyboardInterrupt
    monkeypatch.setattr(vv.Trainer, "fit", fit)
    status, _, err = run(capsys, "train", "iris", *files(tmp_path))
    assert (status, err) == (130, "vivace: interrupted, nothing was saved\n") and list(tmp_path.iterdir()) == []


def test_version_info_and_help(capsys):
    assert run(capsys, "--version") == (0, f"vivace {vv.__version__}\n", "")
    status, out, _ = run(capsys, "info")
    assert status == 0 and "numpy" in out.lower()
    for argv in ([], ["--help"], ["train", "--help"]):
        status, out, _ = run(capsys, *argv)
        assert status == 0 and "usage: vivace" in out


def test_bench_passes_its_time_on(capsys, monkeypatch):
    from vivace.benchmarks import step
    seen = []
    monkeypatch.setattr(step, "main", lambda argv: seen.append(argv) or 1)
    assert run(capsys, "bench", "--seconds", "3")[0] == 1 and seen == [["--seconds", "3.0"]]


def test_module_and_exit_status_in_a_process(tmp_path):
    command = [sys.executable, "-m", "vivace", "train", "data.csv", "--target", "y"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr == "vivace: there is no file 'data.csv'\n"


@pytest.mark.parametrize("words", [["info"], ["train", "iris"], ["predict", "m.vivace", "data.csv"], []])
@pytest.mark.parametrize("variable, value, of", [("VIVACE_BACKEND", "fortran", "cython, numba, numpy"),
                                                 ("VIVACE_ISA", "v5", "baseline, v3, v4")])
def test_a_backend_that_cannot_load_is_one_line(tmp_path, variable, value, of, words):
    """Before files are looked for; --version answers all the same."""
    environment = {**{k: v for k, v in os.environ.items() if not k.startswith("VIVACE_")}, variable: value}

    def run_with(*words):
        return subprocess.run([sys.executable, "-m", "vivace", *words], cwd=tmp_path, env=environment, capture_output=True, text=True,
                              timeout=120)

    done = run_with(*words)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"vivace: {variable} must be one of {of}, got {value!r}\n"
    assert run_with("--version").stdout == f"vivace {vv.__version__}\n"


@pytest.mark.parametrize("name", datasets.NAMES)
def test_split_is_a_partition(name):
    data = datasets.load(name)
    assert data.X.dtype == np.float32 and data.X.flags.c_contiguous and data.y.dtype in (np.int64, np.float32)
    rows = np.arange(len(data.X))
    classes = data.task == "classification"
    parts = [part[0][:, 0] for part in datasets.split(rows[:, None], data.y, seed=4, stratify=classes)]
    assert sorted(np.concatenate(parts)) == list(rows) and len(parts[1]) == pytest.approx(0.2 * len(rows), abs=5)
    again = [part[0][:, 0] for part in datasets.split(rows[:, None], data.y, seed=4, stratify=classes)]
    other = [part[0][:, 0] for part in datasets.split(rows[:, None], data.y, seed=5, stratify=classes)]
    assert all(np.array_equal(a, b) for a, b in zip(parts, again)) and not np.array_equal(parts[0], other[0])
    if classes:
        for part in parts:
            assert np.abs(np.bincount(data.y[part]) / len(part) - np.bincount(data.y) / len(rows)).max() < 0.02


def test_split_errors():
    for fractions in ((0.5, 0.5), (-0.1, 0.2), (float("nan"), 0.1)):
        with pytest.raises(ValueError, match="test and validation must be fractions"):
            datasets.split(np.zeros((9, 1)), np.zeros(9), *fractions)
    with pytest.raises(ValueError, match="X must have rows enough"):
        datasets.split(np.zeros((0, 1)), np.zeros(0))
    with pytest.raises(ValueError, match="y must have as many rows as X, 9, got 8"):
        datasets.split(np.zeros((9, 1)), np.zeros(8))


def test_standardizer():
    from sklearn.preprocessing import StandardScaler
    X = np.random.default_rng(0).normal(5e3, 30, (200, 4)).astype(np.float32)
    X[:, 2] = 0.1
    ours = datasets.Standardizer(X)
    Z = ours.transform(X)
    assert Z.dtype == np.float32 and ours.scale[2] == 1 and np.abs(Z[:, 2]).max() < 1e-6
    np.testing.assert_allclose(Z, StandardScaler().fit_transform(X.astype(np.float64)), atol=1e-5)
    np.testing.assert_allclose(ours.inverse(Z), X, rtol=1e-6)
    with pytest.raises(ValueError, match="at least one row"):
        datasets.Standardizer(X[:0])


@pytest.mark.parametrize("rows, size", [(0, 4), (1, 4), (8, 4), (10, 4), (3, 100)])
def test_batches_cover_every_row_once(rows, size):
    X, y = np.asfortranarray(np.arange(3.0 * rows).reshape(rows, 3)), np.arange(rows)
    pairs = list(batches(X, y, batch_size=size, seed=2, epoch=1))
    assert [len(xb) for xb, _ in pairs] == [size] * (rows // size) + [rows % size] * (rows % size > 0)
    for xb, yb in pairs:
        assert xb.flags.c_contiguous and np.array_equal(xb, X[yb]) and not np.shares_memory(xb, X)
    order = np.empty(rows, np.int64)
    vv.kernels.permutation(order, 2, 1)
    assert [label for _, yb in pairs for label in yb] == list(order)
    assert [label for _, yb in batches(X, y, batch_size=size, shuffle=False) for label in yb] == list(range(rows))


@pytest.mark.parametrize("argument, value, error", [
    ("y", np.zeros(3), "y must have as many rows as X, 4, got 3"),
    ("X", 3.0, "X must have rows, got a single value"),
    ("batch_size", 0, "batch_size must be an integer >= 1, got 0"),
    ("batch_size", 2.0, "batch_size must be an integer >= 1, got 2.0"),
    ("seed", -1, "seed must be an integer >= 0, got -1"),
    ("epoch", None, "epoch must be an integer >= 0, got None"),
])
def test_batches_errors_come_at_the_call(argument, value, error):
    arguments = {"X": np.zeros((4, 2)), "y": np.zeros(4), argument: value}
    with pytest.raises(ValueError, match=error):
        batches(**arguments)


class Terminal(io.StringIO):
    def isatty(self):
        return True


LOGS = {"loss": 0.12341, "accuracy": 0.9, "val_loss": 0.14, "val_accuracy": 0.9611, "lr": 0.1, "seconds": 1.0,
        "samples_per_second": 1.23e6}


def show(verbose, stream, monkeypatch, logs):
    monkeypatch.setattr(sys, "stderr", stream)
    with Progress(verbose, 20, 100) as progress:
        progress.update(2, 50, 0.5)
        progress.end_epoch(2, logs)
    return stream.getvalue()


@pytest.mark.parametrize("verbose", ["auto", 2])
def test_progress_is_a_line_per_epoch(verbose, monkeypatch):
    text = show(verbose, io.StringIO(), monkeypatch, LOGS)
    assert text == "epoch 3/20  loss 0.1234  val_loss 0.1400  val_accuracy 0.961  1.2M samples/s\n"
    training = {name: value for name, value in LOGS.items() if not name.startswith("val_")} | {"samples_per_second": 850.0}
    assert show(2, io.StringIO(), monkeypatch, training) == "epoch 3/20  loss 0.1234  accuracy 0.900  850 samples/s\n"


@pytest.mark.parametrize("verbose, stream", [("auto", Terminal()), (1, io.StringIO()), (True, io.StringIO())])
def test_progress_is_a_bar_on_a_terminal(verbose, stream, monkeypatch):
    text = show(verbose, stream, monkeypatch, LOGS)
    last = text.split("\r")[-1]
    assert "epoch 3/20" in last and "15%, loss 0.1234  val_loss 0.1400  val_accuracy 0.961" in last and "samples/s" in last


def test_progress_can_be_silent(monkeypatch):
    for verbose in (0, False):
        assert show(verbose, Terminal(), monkeypatch, LOGS) == ""
    monkeypatch.setattr(sys, "stderr", None)
    Progress(2, 20, 100).end_epoch(0, LOGS)
    for verbose in (3, "yes", None):
        with pytest.raises(ValueError, match='verbose must be "auto", 0, 1 or 2, got'):
            Progress(verbose, 1, 1)
