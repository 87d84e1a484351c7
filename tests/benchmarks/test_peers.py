"""The comparison with other libraries: what is verified, what is refused, what is counted. No time is asserted."""
import dataclasses
import itertools
import json
import os
import xml.etree.ElementTree

import numpy as np
import pytest
from vivace.benchmarks import peers, report, verify, worker
from vivace.benchmarks.libraries import LIBRARIES, NumPy, Unsupported, Vivace
from vivace.benchmarks.peak import Peak
from vivace.benchmarks.workloads import WORKLOADS, Workload

from vivace import kernels

NETS = [Workload("a", (5, 9, 3), 8, 6), Workload("b", (5, 9, 7, 2), 8, 6, dtype="float64"), Workload("c", (4, 6, 3), 20, 1, "tanh", "mse"),
        Workload("d", (5, 9, 3), 4, kind="predict")]


# --- verification

@pytest.mark.parametrize("name", [n for n in LIBRARIES if n != "compile"])
@pytest.mark.parametrize("net", NETS, ids=lambda net: net.name)
def test_every_library_computes_the_same(name, net):
    """Libraries that the suite does not ask for take part where they are; vivace, NumPy and scikit-learn always do."""
    cls = LIBRARIES[name]
    if name in ("thinc", "torch", "jax"):
        pytest.importorskip(cls.package)
    try:
        found = cls(net, 1)
    except Unsupported:
        assert name == "thinc" and net.dtype == "float64"
        return
    differences = verify.compare(net, verify.oracle(net, cls.outer_eps), verify.answer(found, net))
    assert set(differences) == ({"output"} if net.kind == "predict" else {"loss", "travel"})


def plain_adam(net):
    """What training is, once more, from the formulas alone: no flat vectors, no buffers, float64."""
    p = [a.astype(float) for pair in net.weights() for a in pair]
    m, v = [np.zeros_like(a) for a in p], [np.zeros_like(a) for a in p]
    X, y = net.data(net.verified_rows)
    losses, t = [], 0
    for order in net.orders(net.verified_rows, 0, net.verified_epochs):
        batch = []
        for at in range(0, len(order), net.batch):
            xb, yb = X[order[at:at + net.batch]].astype(float), y[order[at:at + net.batch]]
            hidden = np.maximum(z := xb @ p[0].T + p[1], 0)
            out = np.exp(hidden @ p[2].T + p[3])
            out /= out.sum(1, keepdims=True)
            batch.append(-np.log(out[np.arange(len(yb)), yb]).mean())
            d = (out - np.eye(3)[yb]) / len(yb)
            dz = d @ p[2] * (z > 0)
            t += 1
            for k, g in enumerate((dz.T @ xb, dz.sum(0), d.T @ hidden, d.sum(0))):
                m[k] = 0.9 * m[k] + 0.1 * g
                v[k] = 0.999 * v[k] + 0.001 * g * g
                p[k] = p[k] - 1e-3 * (m[k] / (1 - 0.9**t)) / (np.sqrt(v[k] / (1 - 0.999**t)) + 1e-8)
        losses.append(np.mean(batch))
    return losses, np.concatenate([a.ravel() for a in p])


def test_the_oracle_is_adam():
    losses, weights = plain_adam(NETS[0])
    found = verify.oracle(NETS[0])
    np.testing.assert_allclose(found.losses, losses, rtol=1e-13)
    np.testing.assert_allclose(found.weights, weights, rtol=0, atol=1e-13)


class HighRate(NumPy):
    def build(self, workload, weights):
        super().build(workload, weights)
        self.net.lr *= 1.05


class OtherOrder(NumPy):
    def train(self, orders):
        return super().train(orders[:, ::-1])


class LastBatchDropped(NumPy):
    def train(self, orders):
        return super().train(orders[:, :-self.workload.batch])


class StaleWeights(NumPy):
    def weights(self):
        return self.workload.weights()


class OtherBias(NumPy):
    def predict(self, X):
        self.net.b[-1][0] += 1e-3
        return super().predict(X)


@pytest.mark.parametrize("wrong", [HighRate, OtherOrder, LastBatchDropped, StaleWeights])
@pytest.mark.parametrize("net", NETS[:2], ids=lambda net: net.name)
def test_a_wrong_library_is_refused(wrong, net):
    with pytest.raises(verify.Failed, match=f"{net.name} .*(loss|travel) differs by"):
        verify.compare(net, verify.oracle(net), verify.answer(wrong(net, 1), net))


def test_wrong_predictions_are_refused():
    with pytest.raises(verify.Failed, match="output differs by"):
        verify.compare(NETS[3], verify.oracle(NETS[3]), verify.answer(OtherBias(NETS[3], 1), NETS[3]))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_is_refused(value):
    expected = verify.oracle(NETS[0])
    for name in ("losses", "weights"):
        spoiled = getattr(expected, name).copy()
        spoiled[1] = value
        with pytest.raises(verify.Failed):
            verify.compare(NETS[0], expected, dataclasses.replace(expected, **{name: spoiled}))


def test_other_shapes_are_refused():
    expected = verify.oracle(NETS[0])
    for got in (dataclasses.replace(expected, losses=expected.losses[:-1]), dataclasses.replace(expected, weights=expected.weights[:-1])):
        with pytest.raises(verify.Failed):
            verify.compare(NETS[0], expected, got)


def test_an_answer_survives_its_file(tmp_path):
    for answer in (verify.oracle(NETS[0]), verify.oracle(NETS[3])):
        answer.save(tmp_path / "a.npz")
        again = verify.Answer.read(tmp_path / "a.npz")
        for name, value in vars(answer).items():
            assert (value is None) == (getattr(again, name) is None) and (value is None or np.array_equal(value, getattr(again, name)))


# --- workloads

def test_flops_are_those_of_the_products():
    """Counted by calling the products of a step with matrices that count."""
    net, count = Workload("w", (7, 5, 3), 4), 0
    for layer, (i, o) in enumerate(itertools.pairwise(net.sizes)):
        for rows, inner, columns in [(4, i, o), (o, 4, i)] + [(4, o, i)] * (layer > 0):
            count += 2 * rows * inner * columns
    assert net.flops == count
    assert dataclasses.replace(net, kind="predict").flops == 2 * 4 * (7 * 5 + 5 * 3)


def test_orders_are_the_trainers():
    net = NETS[0]
    trainer = Vivace(net, 1).trainer
    for epoch, order in enumerate(net.orders(48, 3, 4), 3):
        assert np.array_equal(order, trainer.order_of(epoch, 48)) and np.array_equal(np.sort(order), np.arange(48))


def test_every_workload_has_what_a_table_needs():
    assert {"tiny", "rl", "digits", "tabular", "mnist", "large", "fullbatch", "odd", "even", "predict-1", "predict-100k"} <= set(WORKLOADS)
    assert {w.group for w in WORKLOADS.values()} == {"training", "float64", "widths", "prediction"}
    assert WORKLOADS["fullbatch"].rows == 10_000 and not WORKLOADS["fullbatch"].shuffled and WORKLOADS["large"].shuffled


# --- the peak

def test_the_loop_runs_all_its_chains():
    """Each chain x <- x / 2 + 1 ends at 2, and the operations are two per lane, chain and round."""
    for level in kernels.available()["cython"]:
        book = __import__(f"vivace.kernels.compiled._{level}", fromlist=["_"])
        width = {"v4": 64, "v3": 32}.get(level, 16)
        for dtype, size in (("float32", 4), ("float64", 8)):
            work, end = book.multiply_adds(dtype, 100)
            chains = end / 2
            assert chains == int(chains) >= 8 and work == 100 * 2 * chains * width / size
            assert book.multiply_adds(dtype, 1)[1] != end
    with pytest.raises(ValueError, match="float16"):
        book.multiply_adds("float16", 1)


def test_the_peak_is_the_best_ever_seen():
    peak = Peak()
    assert peak.look(seconds=1e-4) > 0
    peak.best["float32", 1] = 1e9
    assert peak.look(seconds=1e-4) == 1e9 and peak.of("float32", 1) == 1e9 and peak.look("float64", 2, 1e-4) > 0


def results(**rows):
    """Of one workload of 10^6 operations: peer -> microseconds."""
    entries = [{"peer": peer, "threads": 1, "microseconds": us, "ran": 1, "turns": [us, us], "differences": {"loss": 1e-7, "travel": 1e-6}}
               for peer, us in rows.items()]
    entry = {"title": "4-16-3, batch 16", "group": "training", "dtype": "float32", "batch": 16, "kind": "train", "flops": 1_000_000,
             "rows": entries, "unsupported": {}, "failed": {}}
    return {"machine": {"cpu": "A < B", "cores": 2, "level": "v3", "system": "Linux x86_64", "date": "2020-01-02",
                        "versions": {"python": "3.11", "thinc": None}},
            "settings": {"turns": 2, "seconds": 0.1, "tolerances": verify.TOLERANCES},
            "peak": {"float32": {"1": 100.0, "2": 200.0}}, "matmul": {"float32": 90.0}, "workloads": {"tiny": entry}, "absent": ["thinc"]}


def test_what_beats_the_peak_is_an_error():
    fine = results(vivace=10.1, numpy=50.0)  # 99 GFLOP/s
    assert peers.beaten(fine) == []
    assert "vivace on tiny" in peers.beaten(results(vivace=9.9))[0]
    fine["matmul"]["float32"] = 100.1
    assert "a float32 matmul" in peers.beaten(fine)[0]


# --- the run

class Here:
    """A Worker without a process."""

    def __init__(self, name, cls, threads=1):
        self.name, self.threads, self.cls = name, threads, cls
        self.runner = worker.Runner(name, threads)

    def ask(self, do, **message):
        with pytest.MonkeyPatch.context() as patch:
            patch.setitem(LIBRARIES, self.name, self.cls)
            return getattr(self.runner, do)(**message)


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(worker, "SETTLE", 0.0)
    monkeypatch.setitem(WORKLOADS, "a", NETS[0])
    monkeypatch.setitem(WORKLOADS, "d", NETS[3])


@pytest.mark.parametrize("net", [NETS[0], NETS[3]], ids=lambda net: net.name)
def test_a_wrong_library_is_not_timed(quick, net):
    wrong = {"train": HighRate, "predict": OtherBias}[net.kind]
    found = peers.measure(net, [Here("vivace", Vivace), Here("numpy", NumPy), Here("jax", wrong)], Peak(), 3, 1e-3)
    assert [row["peer"] for row in found["rows"]] == ["vivace", "numpy"] and list(found["failed"]) == ["jax, 1 threads"]
    for row in found["rows"]:
        assert len(row["turns"]) == 3 and np.median(row["turns"]) == row["microseconds"] > 0 and row["ran"] == 1


def test_threads_that_ran_in_any_turn_count(quick):
    """A library that chooses its threads may end on one of them; its fastest turn had more."""
    library, ran = Here("vivace", Vivace, None), iter((2, 2, 1))
    ask = library.ask
    library.ask = lambda do, **message: {**ask(do, **message), "ran": next(ran)} if do == "run" else ask(do, **message)
    assert [row["ran"] for row in peers.measure(NETS[0], [library], Peak(), 3, 1e-3)["rows"]] == [2]


def test_a_library_that_lacks_the_network_says_so(quick):
    class Lacking(NumPy):
        def build(self, workload, weights):
            raise Unsupported("no such thing")
    assert peers.measure(NETS[0], [Here("thinc", Lacking)], Peak(), 1, 1e-3) == {
        "rows": [], "unsupported": {"thinc": "no such thing"}, "failed": {}}


def test_the_command_in_processes(tmp_path, capsys, monkeypatch):
    """Two processes, their pipes, the file; a library that is not installed is named and left out."""
    monkeypatch.setattr(LIBRARIES["jax"], "package", "no_such_package")
    out = tmp_path / "results.json"
    status = peers.main(["--quick", "--only", "tiny,predict-1", "--peers", "vivace,numpy,jax", "--out", str(out)])
    printed = capsys.readouterr().out
    found = json.loads(out.read_text())
    assert status == (1 if peers.beaten(found) else 0)
    assert "JAX: not installed (package no_such_package), left out" in printed and found["absent"] == ["jax"]
    for name in ("tiny", "predict-1"):
        rows = found["workloads"][name]["rows"]
        assert [(row["peer"], row["threads"]) for row in rows] == [("vivace", n) for n in (None, 1, 2)] + [("numpy", n) for n in (1, 2)]
        assert f"{name}: {WORKLOADS[name].title}" in printed
    assert {row["ran"] for row in found["workloads"]["tiny"]["rows"] if row["threads"] == 2} == {2}


def test_a_worker_that_dies_or_raises_is_told():
    process = worker.Worker("numpy", 1)
    try:
        assert "KeyError" in process.ask(do="prepare", workload="none", answer="x")["error"]
        process.process.kill()
        with pytest.raises(worker.Died, match="numpy with 1 threads ended"):
            for _ in range(2):
                process.ask(do="run")
    finally:
        process.close()


def test_the_environment_says_how_many_threads():
    given = {"OMP_NUM_THREADS": "7", "HOME": "/", "XLA_FLAGS": "--a"}
    assert worker.environment(None, given).keys() == {"HOME", "XLA_FLAGS", "TORCHINDUCTOR_COMPILE_THREADS"}
    two = worker.environment(2, given)
    assert {two[name] for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NPROC")} == {"2"}
    assert two["XLA_FLAGS"] == "--a"
    assert worker.environment(1, given)["XLA_FLAGS"] == "--a --xla_cpu_multi_thread_eigen=false" and given["OMP_NUM_THREADS"] == "7"


@pytest.mark.parametrize("argv", [["--only", "tiny,none"], ["--peers", "cobol"], ["--only", ""]])
def test_unknown_names_are_refused(argv, capsys):
    with pytest.raises(SystemExit) as done:
        peers.main(argv)
    assert done.value.code == 2 and "known are" in capsys.readouterr().err


# --- tables and picture

def test_tables():
    text = report.parts(results(vivace=20.0, numpy=50.0, torch=1234.5))
    readme, long = text["README.md"]["speed"], text["docs/performance.md"]["results"]
    assert "| tiny: 4-16-3, batch 16 | 20 | 50 | 1,234 | 2.50x |" in readme
    assert "| tiny: 4-16-3, batch 16 | 50 (50.0%) | 20 (20.0%) | 0.81 (0.8%) |" in long
    assert "Measured on 2020-01-02: A < B, 2 cores, level v3, Linux x86_64; python 3.11." in readme and "Not installed: thinc." in long
    assert "| NumPy | 1e-07 | 1e-06 |" in long


def test_a_library_stands_at_its_best_number_of_threads():
    held = results(vivace=20.0, numpy=50.0)
    rows = held["workloads"]["tiny"]["rows"]
    rows.append({**rows[1], "threads": 2, "microseconds": 25.0})
    assert "| 20 | 25 | 1.25x |" in report.parts(held)["README.md"]["speed"]
    assert "| 40 (20.0%) |" in report.rates(held, "training")  # 40 GFLOP/s of the 200 of two threads


def test_the_picture_is_xml_and_names_all():
    text = report.draw(results(vivace=20.0, numpy=50.0, jax=10.0))
    assert xml.etree.ElementTree.fromstring(text).tag.endswith("svg")
    for part in ("Vivace 20 us", "NumPy 2.5x", "JAX 0.5x", "A &lt; B, 2 cores, 2020-01-02"):
        assert part in text


def test_only_the_marked_part_changes():
    page = f"a\n<!-- x: written by {report.MAKER} -->\nold\n<!-- end of x -->\nb\n"
    assert report.filled(page, "x", "new") == page.replace("old", "new")
    assert report.filled(report.filled(page, "x", "new"), "x", "old") == page
    for broken in ("a\n", page + page):
        with pytest.raises(ValueError, match="must have one part"):
            report.filled(broken, "x", "new")


def test_a_failed_run_is_not_reported(tmp_path):
    held = results(vivace=20.0)
    held["workloads"]["tiny"]["failed"]["jax, 1 threads"] = "differs"
    (tmp_path / "r.json").write_text(json.dumps(held))
    with pytest.raises(ValueError, match="failed run: jax, 1 threads"):
        report.load(tmp_path / "r.json")
    assert report.load(tmp_path / "none.json") is None


@pytest.mark.skipif(not (report.ROOT / "README.md").exists(), reason="an installed package has no pages")
def test_pages_are_what_the_results_make_them():
    held = report.load()
    for path, text in report.generated(report.ROOT, held).items():
        assert path.read_text() == text, f"{os.path.relpath(path, report.ROOT)} is not what {report.MAKER} makes of results.json"
    assert (report.ROOT / "docs" / "performance.svg").exists() == (held is not None)
