"""From raw CSV and Parquet to a file of predictions through the command line, and each bad input in one line."""
import csv
import gzip
import io
import json
import os
import re
import subprocess
import sys

import numpy as np
import pytest

import vivace as vv
from vivace import cli, tablefile
from vivace.files import parse
from vivace.table import TableEncoder

FEATURES = ("name", "age", "income", "city", "member", "joined")


def rows(n, seed, kind):
    """n dicts of texts: numbers and cities that are missing here and there, true and false, dates, and a target y that they decide."""
    r = np.random.default_rng(seed)
    age, income = r.normal(40, 12, n).round(1), r.exponential(30000, n).round(2)
    city, member, year = r.choice(["Rome", "Paris", "Oslo, north"], n), r.random(n) < 0.4, r.integers(2010, 2024, n)
    s = (age - 40) / 12 + 1.5 * (city == "Rome") - member + 0.1 * r.normal(size=n)
    y = np.where(s > 0.8, "high", np.where(s < -0.5, "low", "so-so")) if kind == "classes" else (100000 + 20000 * s).round(2)
    age, city = np.where(r.random(n) < 0.05, "", age.astype(str)), np.where(r.random(n) < 0.03, "NA", city)
    return [dict(zip((*FEATURES, "y"), (f"n{i} {seed}", age[i], income[i], city[i], str(member[i]).lower(), f"{year[i]}-03-{i % 28 + 1:02}",
                                        y[i]))) for i in range(n)]


def save(path, table, without=()):
    fields = [name for name in table[0] if name not in without]
    with open(path, "w", newline="") as f:
        writer = csv.DictWriter(f, fields, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(table)
    return path


def vivace(folder, *argv):
    """Output of the command in a process of its own, run in `folder`."""
    done = subprocess.run([sys.executable, "-m", "vivace", *map(str, argv)], cwd=folder, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


def run(capsys, *argv):
    """(exit status, standard output, standard error)."""
    status = cli.main([str(word) for word in argv])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


@pytest.mark.parametrize("kind", ["classes", "values"])
def test_from_raw_csv_to_predictions(tmp_path, kind):
    new = rows(150, 1, kind)
    save(tmp_path / "data.csv", rows(600, 0, kind))
    save(tmp_path / "new.csv", new, without=["y"])
    out = vivace(tmp_path, "train", "data.csv", "--target", "y", "--history", "epochs.csv")
    what = "3 classes of 'y'" if kind == "classes" else "regression on 'y'"
    assert f"data.csv: 600 rows, 5 columns as 13 inputs, {what}; 36" in out and "untouched for the test" in out
    assert re.search(r"left out: name \(3\d\d different texts in 3\d\d rows\)", out) and "curves: curves.png" in out
    assert (tmp_path / "curves.png").read_bytes()[:4] == b"\x89PNG"
    with open(tmp_path / "epochs.csv") as f:
        epochs = list(csv.DictReader(f))
    history = vv.load(tmp_path / "model.vivace").history
    assert [float(row["val_loss"]) for row in epochs] == history["val_loss"] and epochs[0]["epoch"] == "1"

    assert vivace(tmp_path, "predict", "model.vivace", "new.csv", "--output", "p.csv") == "predictions: p.csv (150 rows)\n"
    with open(tmp_path / "p.csv") as f:
        found = list(csv.DictReader(f))
    assert len(found) == 150
    y = [row["y"] for row in new]
    if kind == "classes":
        labels = ["high", "low", "so-so"]
        assert list(found[0]) == ["prediction", *(f"probability_{label}" for label in labels)]
        p = np.array([[float(row[f"probability_{label}"]) for label in labels] for row in found])
        np.testing.assert_allclose(p.sum(axis=1), 1, atol=1e-5)
        assert [labels[i] for i in p.argmax(axis=1)] == [row["prediction"] for row in found]
        right = np.mean([row["prediction"] == label for row, label in zip(found, y)])
        assert right > 0.8
    else:
        error = np.array([float(row["prediction"]) for row in found]) - np.array(y, float)
        assert list(found[0]) == ["prediction"] and (error**2).mean() < 0.15 * np.var(np.array(y, float))
    # with the answers in the file the score is printed, and it is that of the predictions written
    save(tmp_path / "known.csv", new)
    out = vivace(tmp_path, "predict", "model.vivace", "known.csv", "--output", "again.csv")
    assert (tmp_path / "again.csv").read_text() == (tmp_path / "p.csv").read_text()
    score = float(re.search(r"score on these rows: (?:accuracy|.*RMSE) ([\d.]+)", out)[1])
    assert score == pytest.approx(right if kind == "classes" else np.sqrt((error**2).mean()), rel=1e-3)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with data.csv and the model trained on it."""
    folder = tmp_path_factory.mktemp("trained")
    save(folder / "data.csv", rows(300, 0, "classes"))
    assert cli.main(["train", str(folder / "data.csv"), "--target", "y", "--quiet", "--epochs", "5", *files(folder)]) == 0
    return folder


def files(folder):
    return ["--out", str(folder / "m.vivace"), "--plot", str(folder / "c.png")]


def test_training_learns_nothing_from_rows_it_is_tested_on(trained):
    encoder = vv.load(trained / "m.vivace").table
    held = tablefile.read(trained / "data.csv")["age"].values
    whole = TableEncoder.fit({"age": held})._blocks[0]
    block = next(block for block in encoder._blocks if block["name"] == "age")
    assert block["mean"] != whole["mean"] and block["mean"] == pytest.approx(whole["mean"], rel=0.05)


def test_the_file_is_safe_and_says_what_it_holds(trained):
    raw = (trained / "m.vivace").read_bytes()
    header = json.loads(raw[8:8 + int.from_bytes(raw[:8], "little")])
    table = json.loads(json.loads(header["__metadata__"]["vivace"])["table"])
    assert table["target"] == {"name": "y", "kind": "category", "task": "classification", "labels": ["high", "low", "so-so"]}
    trainer = vv.load(trained / "m.vivace")
    trainer.save(trained / "again.vivace")
    assert parse((trained / "again.vivace").read_bytes())[1] == parse(raw)[1]


def test_predictions_to_standard_output_and_parquet(trained, capsys):
    status, out, err = run(capsys, "predict", trained / "m.vivace", trained / "data.csv", "--out", "-")
    assert (status, err) == (0, "") and out.startswith("prediction,probability_high,") and out.count("\n") == 301
    parquet = pytest.importorskip("pyarrow.parquet")
    assert run(capsys, "predict", trained / "m.vivace", trained / "data.csv", "--out", trained / "p.parquet")[0] == 0
    found = parquet.read_table(trained / "p.parquet").to_pydict()
    assert found["prediction"] == [line.split(",")[0] for line in out.splitlines()[1:]]


def test_parquet_in(trained, capsys):
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    frame = pandas.read_csv(trained / "data.csv", parse_dates=["joined"])
    frame["city"] = frame["city"].astype("category")
    frame.index = frame.index**2  # pandas stores it as a column of its own, which is none of the table's
    frame.to_parquet(trained / "data.parquet")
    argv = ["train", trained / "data.parquet", "--target", "y", "--quiet", "--epochs", 2]
    assert run(capsys, *argv, "--out", trained / "q.vivace", "--plot", trained / "q.png")[0] == 0
    assert vv.load(trained / "q.vivace").table.feature_names_in == ["age", "income", "city", "member", "joined"]
    outs = [run(capsys, "predict", trained / "m.vivace", trained / f"data.{kind}", "--out", "-")[1] for kind in ("csv", "parquet")]
    assert outs[0] == outs[1] != ""


def test_without_pyarrow(trained, capsys, monkeypatch):
    """CSV is read by the standard library, to the same model and predictions; Parquet names the extra."""
    folder = trained / "plain"
    folder.mkdir()
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert run(capsys, "train", trained / "data.csv", "--target", "y", "--quiet", "--epochs", 5, *files(folder))[0] == 0
    ours, theirs = vv.load(folder / "m.vivace"), vv.load(trained / "m.vivace")
    assert ours.table.to_json() == theirs.table.to_json()
    (trained / "some.parquet").write_bytes(b"PAR1")
    status, _, err = run(capsys, "train", trained / "some.parquet", "--target", "y")
    assert (status, err) == (2, "vivace: reading Parquet needs pyarrow: pip install 'vivace[tables]'\n")


def test_a_table_is_the_same_with_pyarrow_and_without_and_in_chunks_of_any_size(tmp_path, monkeypatch):
    path = tmp_path / "t.csv"
    path.write_text('\ufeff;id; name ;x;yes;day;at;zip;none;q\n0;1; Anna;1.5;true;2020-01-01;09:05;007;;"a;b"\n\n'
                    '1;2;?;NA;;2020-01-02 12:00;10:00;A7;;c\n2;3;Bo; 2e3 ;FALSE;;;08;;"x ""y"" \nline2"\n')
    wanted = {"id": [1, 2, 3], "x": [1.5, np.nan, 2000], "yes": [1, np.nan, 0], "name": ["Anna", None, "Bo"],
              "day": np.array(["2020-01-01", "2020-01-02T12:00", "NaT"], "datetime64[us]"), "at": ["09:05", "10:00", None],
              "zip": ["007", "A7", "08"], "none": [None] * 3, "q": ["a;b", "c", 'x "y" \nline2']}
    kinds = {"id": "number", "x": "number", "yes": "boolean", "day": "date"}
    odd = tmp_path / "odd.csv"
    odd.write_text('"a;b|c,d",hex,nan,true,plus,names,zone,ctrl,under,last\r\n0x1A,0x1A,NAN,tRuE,+5,Nan,2020-01-01T01:00+01:00,\x1a,1_0,nan\r'
                   '"1,5",16,1,FALSE,-.5e1,Ann,2020-01-01,b,2,-nAn\n\r\n2,,inf,,,Nan,2020-01-01 02:00-01:30,c,3,x')
    wanted |= {"a;b|c,d": ["0x1A", "1,5", "2"], "hex": ["0x1A", "16", None], "nan": [np.nan, 1, np.inf], "true": [1, 0, np.nan],
               "plus": [5, -5, np.nan], "names": ["Nan", "Ann", "Nan"], "ctrl": ["\x1a", "b", "c"], "under": ["1_0", "2", "3"],
               "last": [None, "-nAn", "x"],
               "zone": np.array(["2020-01-01T00:00", "2020-01-01T00:00", "2020-01-01T03:30"], "datetime64[us]")}
    kinds |= {"nan": "number", "true": "boolean", "plus": "number", "zone": "date"}
    for missing, chunk in [("another", 10_000), ("pyarrow", 10_000), ("another", 1), ("another", 2)]:
        monkeypatch.setitem(sys.modules, missing, None)
        monkeypatch.setattr(tablefile, "CHUNK", chunk)
        found = tablefile.read(path) | tablefile.read(odd)
        assert set(found) == set(wanted)
        for name, held in found.items():
            assert held.kind == kinds.get(name, "category"), name
            np.testing.assert_array_equal(held.values, np.array(wanted[name], held.values.dtype), name)
        assert tablefile.read(path, texts=["id"])["id"].values.tolist() == ["1", "2", "3"]


def test_a_type_is_told_by_all_rows(tmp_path):
    """Not by those of the first megabyte, which pyarrow reads at a time."""
    (tmp_path / "t.csv").write_text("a,b\n" + "1,1234567890123456\n" * 70_000 + "x,2.5\n")
    found = tablefile.read(tmp_path / "t.csv")
    assert found["a"].kind == "category" and found["a"].values[[0, -1]].tolist() == ["1", "x"]
    assert found["b"].kind == "number" and found["b"].values[-1] == 2.5


@pytest.mark.parametrize("content, message", [
    (b"", "is empty"), (b"\n\n", "is empty"), (b"a,b\n", "has no rows"), (b"a,b\n1\n", "xpected"), (b"a,b\n1,2,3\n", "xpected"),
    (b"a,b,a\n1,2,3\n", "must have a name of its own for each column, got 'a' twice"),
    (b"a,\n1,2\n", "must have a name of its own for each column, got ''"), (b"a,b\n1,\xff\n", "must be UTF-8 text, got byte 0xff at 6"),
])
def test_files_that_are_no_tables(tmp_path, capsys, content, message):
    (tmp_path / "t.csv").write_bytes(content)
    status, out, err = run(capsys, "train", tmp_path / "t.csv", "--target", "a", *files(tmp_path))
    assert (status, out) == (2, "") and err.startswith("vivace: ") and err.count("\n") == err.count("t.csv") == 1 and message in err


def table(**columns):
    """CSV text of 40 rows: x, z and y, or other columns in their place; None is no column."""
    held = {"x": [i * 0.5 for i in range(40)], "z": ["a", "b"] * 20, "y": ["no", "yes"] * 20} | columns
    held = {name: values for name, values in held.items() if values is not None}
    return ",".join(held) + "\n" + "".join(",".join(map(str, row)) + "\n" for row in zip(*held.values()))


@pytest.mark.parametrize("content, options, message", [
    (None, (), "there is no file"), (table(), ("--target", "price"), "the column 'price' is missing: the table has 'x', 'z', 'y'"),
    (table(y=[3.5] * 40), (), "the target 'y' is constant, 3.5"), (table(y=["a"] * 40), (), "the target 'y' has only one class, 'a'"),
    (table(x=[""] * 40), (), "column 'x' has no values: leave it out with --drop x"),
    (table(y=["a", "b", ""] + ["a"] * 37), (), "the target 'y' has no value in 1 of 40 rows, first in row 3"),
    (table(y=[1.5, "nan"] * 20), (), "the target 'y' has no value in 20 of 40 rows, first in row 2"),
    (table(y=["1", "x"] * 20), ("--task", "regression"), "the target 'y' must hold numbers for regression, got 'x' in row 2"),
    (table(x=["inf"] + [1] * 39), (), "column 'x' must hold finite numbers below 1e+300, got inf in row 1"),
    (table(x=None, z=None), (), "the table has no columns to learn from"), (table(x=[1] * 40, z=None), (), "no column says anything"),
    (table(), ("--drop", "q"), "the column 'q' is missing"), (table(), ("--drop", "y"), "the target 'y' is no input"),
    ("x,y\n1,a\n2,b\n3,a\n", (), "the largest of the 2 classes of 'y', 'a', has only 2 of 3 rows: a training"),
    ("x,y\n1,.5\n2,.7\n", (), "2 rows are too few: a training, a validation and a test part take 3 at least"),
    (table(y=[f"n{i // 2}" for i in range(40)]), (), "the largest of the 20 classes of 'y', 'n0', has only 2 of 40 rows"),
    (table(), ("--categories", "y", "--task", "regression"), "--categories names the target 'y', so it has classes: --task"),
    (table(y=[f"{i}.5e38" for i in range(40)]), (), "the target 'y' must have values below 1e+37 that differ by 1e-30 at least, got"),
    (table(y=[f"{i}.5e-40" for i in range(40)]), (), "differ by 1e-30 at least, got 5e-41 to 3.95e-39: predictions are float32"),
    (table(), ("--categories", "x", "--drop", "x"), "--drop leaves the column 'x' out: --keep and --categories cannot name it"),
    (table(), ("--task", "sorting"), "--task: invalid choice: 'sorting'"), (table(), ("--target", ""), "the column '' is missing"),
])
def test_each_bad_input_is_one_line(tmp_path, capsys, content, options, message):
    if content is not None:
        (tmp_path / "t.csv").write_text(content)
    status, out, err = run(capsys, "train", tmp_path / "t.csv", "--target", "y", *options, *files(tmp_path))
    assert (status, out) == (2, "") and err.startswith("vivace: ") and err.count("\n") == 1 and message in err
    assert not (tmp_path / "m.vivace").exists()


def test_refusals_of_arguments(tmp_path, capsys):
    (tmp_path / "t.csv").write_text(table())
    for argv, message in [
            (["train", tmp_path / "t.csv"], "--target must name the column of"),
            (["train", "t.xls", "--target", "y"], "unknown data set 't.xls'"),
            (["train", "iris", "--target", "y"], "--target, --task, --drop, --keep and --categories are for files"),
            (["train", tmp_path / "t.csv", "--target", "y", "--history", tmp_path / "t.csv"], "must differ, and from the data"),
            (["train", tmp_path / "t.csv", "--target", "y", "--history", tmp_path / "no" / "h.csv"], "--history must name a file"),
            (["train", tmp_path / "t.csv", "--target", "y", "--history", os.devnull], "--history must name a file"),
            (["train", tmp_path / "t.csv", "--target", "y", "--out", "-"], "--out must name a file that can be written, got '-'"),
            (["train", tmp_path, "--target", "y"], "unknown data set")]:
        status, out, err = run(capsys, *argv)
        assert (status, out) == (2, "") and err.count("\n") == 1 and message in err


@pytest.mark.parametrize("content, message", [
    (None, "there is no file"), ("age,city\n1,Rome\n", "the columns 'income', 'member', 'joined' are missing: the table has 'age', 'city'"),
    ("age,income,city,member,joined\n", "has no rows"),
    ("age,income,city,member,joined\n1,2,Rome,true,2020-01-01\nold,2,Rome,true,2020-01-01\n",
     "column 'age' must hold numbers, got 'old' in row 2"),
    ("age,income,city,member,joined\n1,2,Rome,maybe,2020-01-01\n", "column 'member' must hold booleans, got 'maybe' in row 1"),
    ("age,income,city,member,joined\n1,2,Rome,true,yesterday\n", "column 'joined' must hold dates, got 'yesterday' in row 1"),
])
def test_each_bad_input_of_predict_is_one_line(trained, tmp_path, capsys, content, message):
    if content is not None:
        (tmp_path / "n.csv").write_text(content)
    status, out, err = run(capsys, "predict", trained / "m.vivace", tmp_path / "n.csv", "--out", tmp_path / "p.csv")
    assert (status, out) == (2, "") and err.startswith("vivace: ") and err.count("\n") == 1 and message in err
    assert not (tmp_path / "p.csv").exists()


def test_predict_needs_a_model_of_a_table(trained, tmp_path, capsys):
    model = vv.nn.Sequential(vv.nn.Linear(2, 1))
    vv.Trainer(model, vv.nn.MSELoss(), vv.optim.SGD(model.parameters(), lr=0.1)).save(tmp_path / "m.vivace")
    (tmp_path / "n.csv").write_text("a\n1\n")
    (tmp_path / "broken.vivace").write_bytes((trained / "m.vivace").read_bytes()[:-1])
    for argv, message in [((tmp_path / "m.vivace", tmp_path / "n.csv"), "was not trained on a table"),
                          ((tmp_path / "n.csv", tmp_path / "n.csv"), "is not a Vivace file"),
                          ((tmp_path / "broken.vivace", tmp_path / "n.csv"), "is damaged or truncated"),
                          ((tmp_path / "gone.vivace", tmp_path / "n.csv"), "there is no file"),
                          ((tmp_path / "m.vivace", tmp_path / "n.csv", "--out", tmp_path / "n.csv"), "--out must differ from the model"),
                          ((tmp_path / "m.vivace", tmp_path / "n.csv", "--out", tmp_path / "no" / "p.csv"), "--out must name a file"),
                          ((tmp_path / "m.vivace", tmp_path / "n.csv", "--out", ""), "--out must name a file"),
                          ((tmp_path / "m.vivace", tmp_path / "n.csv", "--out", os.devnull), "--out must name a file")]:
        status, out, err = run(capsys, "predict", *argv)
        assert (status, out) == (2, "") and err.count("\n") == 1 and message in err, err


@pytest.mark.parametrize("target, outputs, loss, header", [
    ("y", 1, "BCEWithLogitsLoss", "prediction,probability_no,probability_yes"), ("x", 1, "MSELoss", "prediction"),
    (None, 2, "MSELoss", "prediction_0,prediction_1")])
def test_predictions_of_models_made_in_python(tmp_path, capsys, target, outputs, loss, header):
    data = {"x": np.arange(40.0), "z": ["a", "b"] * 20, "y": ["no", "yes"] * 20}
    encoder = TableEncoder.fit(data, target)
    model = vv.nn.Sequential(vv.nn.Linear(len(encoder.feature_names_out), outputs))
    trainer = vv.Trainer(model, getattr(vv.nn, loss)(), vv.optim.SGD(model.parameters(), lr=0.1))
    trainer.table = encoder
    trainer.save(tmp_path / "m.vivace")
    (tmp_path / "t.csv").write_text(table(x=range(40)))
    status, out, err = run(capsys, "predict", tmp_path / "m.vivace", tmp_path / "t.csv", "--out", tmp_path / "p.csv")
    assert (status, err) == (0, "") and ("score" in out) == (target is not None)
    found = tablefile.read(tmp_path / "p.csv")
    assert ",".join(found) == header
    raw = trainer.predict(encoder.transform(data))
    if target == "y":
        right = found["prediction"].values == data["y"]
        assert f"accuracy {right.mean():.4f}" in out and ((raw[:, 0] > 0) == (found["prediction"].values == "yes")).all()
    else:
        np.testing.assert_allclose(np.column_stack([held.values for held in found.values()]), raw, rtol=1e-6)


def test_missing_and_unseen_values_are_predicted(trained, tmp_path, capsys):
    (tmp_path / "n.csv").write_text("joined,member,city,income,age,more\n,,Atlantis,,,1\n,,NA,,,2\n,,Rome,,,3\n")
    status, out, _ = run(capsys, "predict", trained / "m.vivace", tmp_path / "n.csv", "--out", "-")
    p = np.array([[float(value) for value in line.split(",")[1:]] for line in out.splitlines()[1:]])
    assert status == 0 and np.isfinite(p).all() and len({tuple(row) for row in p}) == 3


def test_task_drop_and_categories(tmp_path, capsys):
    (tmp_path / "t.csv").write_text(table(x=[7, 8, 9, 7] * 10, n=[0.5 * i for i in range(40)], y=[1, 2, 3, 1] * 10))
    argv = ["train", tmp_path / "t.csv", "--target", "y", "--quiet", "--epochs", 2, "--categories", "x", "--drop", "z,n", *files(tmp_path)]
    assert "3 classes of 'y'" in run(capsys, *argv)[1]
    encoder = vv.load(tmp_path / "m.vivace").table
    assert encoder.feature_names_out == ["x_7", "x_8", "x_9"] and encoder.labels == [1, 2, 3]
    assert "regression on 'y'" in run(capsys, *argv, "--task", "regression")[1]
    (tmp_path / "n.csv").write_text("x\n7\n8\n")
    out = run(capsys, "predict", tmp_path / "m.vivace", tmp_path / "n.csv", "--out", "-")[1]
    assert out.startswith("prediction\n") and out.count("\n") == 3


def test_a_column_that_numbers_the_rows_gives_no_class_away(tmp_path, capsys):
    """Rows sorted by class, numbered: the numbers tell the class of every row of this file, and of none in another."""
    noise = np.random.default_rng(0).normal(size=60).round(2)
    (tmp_path / "t.csv").write_text(table(Id=range(1, 61), x=noise, z=["a"] * 60, y=["no"] * 30 + ["yes"] * 30))
    argv = ["train", tmp_path / "t.csv", "--target", "y", "--quiet", "--epochs", 2, *files(tmp_path)]
    out = run(capsys, *argv)[1]
    assert "left out: Id (it numbers the rows; --keep Id learns from it)\nleft out: z (constant)\n" in out
    assert vv.load(tmp_path / "m.vivace").table.feature_names_in == ["x"]
    assert "it numbers" not in run(capsys, *argv, "--keep", "Id")[1]
    assert vv.load(tmp_path / "m.vivace").table.feature_names_in == ["x", "Id"]


def answers(capsys, monkeypatch, folder, path, *options):
    """The model trained on `path` and its predictions for the same rows, as the reader of a CSV finds them."""
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    argv = ["--target", "y", "--quiet", "--epochs", 20, "--lr", 0.05, "--hidden", "none", "--drop", "z", *options]
    assert run(capsys, "train", path, *argv, *files(folder))[0] == 0
    out = run(capsys, "predict", folder / "m.vivace", path, "--out", folder / "p.csv")[1]
    with open(folder / "p.csv") as f:
        return vv.load(folder / "m.vivace"), [row["prediction"] for row in csv.DictReader(f)], out


@pytest.mark.parametrize("low, high, labels", [
    ("007", "7", ["007", "7"]), ("007", "042", ["007", "042"]), ("0", "1", [0, 1]), ("1.0", "2.0", [1.0, 2.0]), ("2", "10", [2, 10]),
    ("1.50", "2", ["1.50", "2"]), ("-1", "+1", ["-1", "+1"]), ("9007199254740993", "9007199254740992", [2**53, 2**53 + 1]),
    ("1" * 26, "1" * 25 + "2", [int("1" * 26), int("1" * 26) + 1]), ("true", "false", ["false", "true"]),
    ("True", "False", [False, True]), ("2020-01-01", "2020-06-01 12:00", ["2020-01-01", "2020-06-01 12:00"]),
    ("ja, klar", "n\u00e9", ["ja, klar", "n\u00e9"]),
])
def test_labels_come_back_as_they_were_written(capsys, monkeypatch, tmp_path, low, high, labels):
    written = [low if i < 20 else high for i in range(40)]
    (tmp_path / "t.csv").write_text(table(y=[f'"{label}"' for label in written], x=[i // 20 + 0.01 * (i % 7) for i in range(40)]))
    given = ["--task", "classification"] if "." in low or "-01" in low else []
    trainer, found, out = answers(capsys, monkeypatch, tmp_path, tmp_path / "t.csv", *given)
    assert found == written and "accuracy 1.0000" in out
    assert list(map(repr, trainer.table.labels)) == list(map(repr, labels))
    assert run(capsys, "predict", tmp_path / "m.vivace", tmp_path / "t.csv", "--out", tmp_path / "p.parquet")[0] == 0


def test_one_number_is_one_class_however_it_is_written(capsys, monkeypatch, tmp_path):
    values = ["1", "1.0", "1e0", "+1"] * 5 + ["2", "2.00"] * 10
    (tmp_path / "t.csv").write_text(table(y=values, x=[i // 20 + 0.01 * (i % 7) for i in range(40)]))
    trainer, found, out = answers(capsys, monkeypatch, tmp_path, tmp_path / "t.csv")
    assert found == ["1"] * 20 + ["2"] * 20 and "accuracy 1.0000" in out and trainer.table.labels == [1, 2]


def test_integers_of_parquet_are_exact_labels(capsys, monkeypatch, tmp_path):
    pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    y = [2**62 + i // 10 for i in range(40)]
    parquet.write_table(pyarrow.table({"x": [i // 10 * 3.0 + 0.01 * (i % 7) for i in range(40)], "z": y, "y": y}), tmp_path / "t.parquet")
    trainer, found, out = answers(capsys, monkeypatch, tmp_path, tmp_path / "t.parquet", "--epochs", 100)
    assert trainer.table.labels == sorted(set(y)) and found == list(map(str, y)) and "accuracy 1.0000" in out
    assert run(capsys, "predict", tmp_path / "m.vivace", tmp_path / "t.parquet", "--out", tmp_path / "p.parquet")[0] == 0
    assert parquet.read_table(tmp_path / "p.parquet")["prediction"].to_pylist() == y


def test_a_target_among_the_categories_has_classes(capsys, monkeypatch, tmp_path):
    (tmp_path / "t.csv").write_text(table(y=[0.5 * (i % 4) for i in range(40)]))
    trainer = answers(capsys, monkeypatch, tmp_path, tmp_path / "t.csv", "--categories", "y,x")[0]
    assert trainer.table.labels == [0.0, 0.5, 1.0, 1.5] and trainer.table.kinds["x"] == "category"


def test_classes_that_are_too_small_to_be_tested_are_named(capsys, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    (tmp_path / "t.csv").write_text(table(y=["a", "b"] * 17 + ["c", "c", "c", "d", "e", "e"]))
    out = run(capsys, "train", tmp_path / "t.csv", "--target", "y", "--quiet", "--epochs", 1, *files(tmp_path))[1]
    assert "trained on, not tested: 'd', 'e' (fewer than 3 rows)\n" in out


def test_a_column_with_a_value_in_one_row(capsys, monkeypatch, tmp_path):
    """It has none in the training rows of some seeds."""
    (tmp_path / "t.csv").write_text(table(w=[3.5] + [""] * 39))
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    argv = ["train", tmp_path / "t.csv", "--target", "y", "--quiet", "--epochs", 1, *files(tmp_path)]
    out = "".join(run(capsys, *argv, "--seed", seed)[1] for seed in (0, 1))
    assert "3 columns as 4 inputs" in out and "2 columns as 3 inputs" in out and "left out: w (no values)" in out


def test_names_that_a_terminal_cannot_show(trained, tmp_path, monkeypatch):
    """Predictions are UTF-8 as in a file; a message names what it can."""
    (tmp_path / "t.csv").write_text(table(y=["h\u00e9", "no"] * 20))
    shown = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", shown)
    model = str(tmp_path / "\u00fc.vivace")
    assert cli.main(["train", str(tmp_path / "t.csv"), "--target", "y", "--quiet", "--epochs", "1", *files(tmp_path), "--out", model]) == 0
    assert cli.main(["predict", model, str(tmp_path / "t.csv"), "--out", "-"]) == 0
    out = shown.buffer.getvalue().decode()
    assert "\\xfc.vivace\n" in out and "\nprediction,probability_h\u00e9,probability_no\n" in out


@pytest.mark.parametrize("ending, opened", [("tsv", open), ("csv.gz", gzip.open), ("TSV.GZ", gzip.open)])
def test_predictions_are_written_as_their_ending_says(trained, tmp_path, capsys, ending, opened):
    path = tmp_path / f"p.{ending}"
    assert run(capsys, "predict", trained / "m.vivace", trained / "data.csv", "--out", path)[0] == 0
    with opened(path, "rt") as f:
        assert f.readline().split("\t" if "tsv" in ending.lower() else ",")[:2] == ["prediction", "probability_high"]
    assert list(tablefile.read(path)) == ["prediction", "probability_high", "probability_low", "probability_so-so"]


def test_parquet_with_a_name_twice_is_one_line(tmp_path, capsys):
    pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    parquet.write_table(pyarrow.Table.from_arrays([pyarrow.array([1, 2])] * 3, ["x", "x", "y"]), tmp_path / "t.parquet")
    status, out, err = run(capsys, "train", tmp_path / "t.parquet", "--target", "y", *files(tmp_path))
    assert (status, out) == (2, "") and err == f"vivace: {tmp_path / 't.parquet'}: column names must differ, got 'x' twice\n"


def test_a_column_of_lists_is_one_line(tmp_path):
    """As the table to train on, and as a column that predict does not need."""
    pandas, _ = pytest.importorskip("pandas"), pytest.importorskip("pyarrow")
    path = tmp_path / "lists.parquet"
    pandas.DataFrame({"a": np.arange(20.0), "y": np.arange(20.0), "l": [[1]] * 20}).to_parquet(path)
    done = subprocess.run([sys.executable, "-m", "vivace", "train", str(path), "--target", "y"], capture_output=True, text=True,
                          cwd=tmp_path)
    assert done.returncode == 2 and done.stderr.count("\n") == 1 and "column 'l' must hold numbers, texts" in done.stderr
