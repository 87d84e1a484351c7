"""The losses beside MSE and cross-entropy: PyTorch's values, gradients by differences, plans, weights, extremes, refusals."""
import functools
import json

import mpmath
import numpy as np
import pytest
import vivace.nn.functional as F
from torch_traces import SOURCES, traces
from vivace.kernels import cases as kernel_cases

import vivace as vv
from vivace import nn, optim

LOSSES = nn.losses.TABLE


def cases_from(source):
    """What tests/data/make_loss_traces.py makes."""
    return traces(source, "make_loss_traces", "loss_traces")["cases"]


STORED = cases_from("stored")
EACH = pytest.mark.parametrize("case", STORED, ids=lambda c: f"{c['loss']} {c['options']}"[:60])


def made(case):
    return LOSSES[case["loss"]](**case["options"])


@pytest.mark.filterwarnings("ignore:reduction")
@pytest.mark.parametrize("source", SOURCES)
def test_values_and_gradients_equal_torch(source):
    cases = cases_from(source)
    assert {case["loss"] for case in cases} == set(LOSSES) - {"MSELoss", "BCELoss"}  # those are in test_losses.py
    for case in cases:
        x, what = nn.Tensor(np.array(case["input"]), requires_grad=True), f"{case['loss']} {case['options']}"
        value = made(case)(x, np.array(case["target"]))
        np.testing.assert_allclose(value.item(), case["value"], rtol=1e-10, err_msg=what)
        value.backward()
        np.testing.assert_allclose(x.grad.numpy(), case["grad"], rtol=1e-10, atol=1e-14, err_msg=what)


@EACH
def test_gradients_by_differences(case):
    """The stencil of five points; none of the inputs lies near a kink."""
    loss, x, t = made(case), np.array(case["input"]), np.array(case["target"])
    h, place = 1e-4, np.unravel_index(np.arange(0, x.size, 5), x.shape)
    leaf = nn.Tensor(x, requires_grad=True)
    loss(leaf, t).backward()
    for r, c in zip(*place):
        step = np.zeros_like(x)
        step[r, c] = h
        a, b, d, e = (loss(x + k * step, t).item() for k in (-2, -1, 1, 2))
        np.testing.assert_allclose(leaf.grad.numpy()[r, c], (a - 8 * b + 8 * d - e) / (12 * h), rtol=1e-6, atol=1e-9)


SMOOTH = ["poisson_error", "tweedie_error", "gaussian_nll", "kl_divergence", "weighted_binary_cross_entropy_logits", "sigmoid_focal",
          "softmax_focal"]


def loss_along(book, kernel, given, place, step):
    """The batch's loss by `kernel` with its first argument moved by `step`."""
    arguments, s = list(given), np.empty(2)
    arguments[0], arguments[place["l"] + 1] = given[0] + step, None
    getattr(book, kernel)(*arguments)
    book.mean_loss(given[place["l"]], given[place["w"]], s)
    return s[0] if not given[-1] else s[0] / s[1] if s[1] else 0.0


@pytest.mark.parametrize("kernel", SMOOTH)
def test_gradients_of_all_sizes(kernel):
    """Along a random direction, for rows and outputs around the widths of vectors and every option; losses with kinks are compared with
    the reference at these sizes (tests/kernels) and differentiated above."""
    book, rng, h = vv.kernels.get(), np.random.default_rng(0), 1e-4
    place = {a.name: i for i, a in enumerate(vv.kernels.reference.KERNELS[kernel].spec.arrays)}
    for n, o in ((0, 3), (1, 1), (1, 17), (15, 33), (16, 7), (17, 15), (31, 64), (129, 5), (300, 2)):
        for absent, scalars in kernel_cases.variants(kernel):
            if absent and absent != ("w",) or scalars.get("eps") == 0.5:  # a variance cut at eps keeps its slope: PyTorch's rule
                continue
            given = kernel_cases.make(kernel, {**kernel_cases.BASE, "N": n, "O": o, "C": o}, np.float64, absent, **scalars)
            getattr(book, kernel)(*given)
            u = rng.standard_normal(given[0].shape)
            a, b, middle, c, d = (loss_along(book, kernel, given, place, k * h * u) for k in (-2, -1, 0, 1, 2))
            terms = given[place["l"] + 1] * u
            assert abs((a - 8 * b + 8 * c - d) / (12 * h) - terms.sum()) <= 5e-6 * np.abs(terms).sum() + 1e-9 * abs(middle) / h, (
                n, o, absent, scalars)


@EACH
def test_row_weights_equal_repeated_rows(case):
    """mean = sum of w l / sum of w: weights 1, 2, 3 count a row once, twice, three times."""
    x, t, counts = np.array(case["input"]), np.array(case["target"]), np.array([1, 2, 3, 1, 0, 2])
    results = []
    for rows, weight in ((np.arange(6), counts.astype(float)), (np.repeat(np.arange(6), counts), None)):
        leaf = nn.Tensor(x[rows], requires_grad=True)
        value = made(case)(leaf, t[rows], weight=weight)
        value.backward()
        total = np.zeros_like(x)
        np.add.at(total, rows, leaf.grad.numpy())
        results.append((value.item(), total))
    np.testing.assert_allclose(results[0][0], results[1][0], rtol=1e-12)
    np.testing.assert_allclose(results[0][1], results[1][1], rtol=1e-11, atol=1e-15)


def train_eagerly(model, loss, optimizer, X, y, w, epochs, batch, seed):
    order = np.empty(len(X), np.int64)
    for epoch in range(epochs):
        vv.kernels.permutation(order, seed, epoch)
        for start in range(0, len(X), batch):
            rows = order[start:start + batch]
            optimizer.zero_grad()
            loss(model(X[rows]), y[rows], weight=w[rows]).backward()
            optimizer.step()


def data_of(case, rows, dtype):
    """(X, targets, weights, width of the model's output) in the manner of a stored case."""
    rng = np.random.default_rng(1)
    targets = np.array(case["target"])
    return (rng.normal(size=(rows, 9)).astype(dtype), targets[rng.integers(0, 6, rows)], rng.uniform(0.5, 2, rows),
            len(case["input"][0]))


def _positive(case):
    """What ends a model whose outputs must be positive."""
    return [nn.Softplus()] if case["options"].get("log_input") is False or case["loss"] == "GaussianNLLLoss" else []


ONE_OF_EACH = list({case["loss"]: case for case in STORED if case["options"]["reduction"] == "mean"}.values())


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("case", ONE_OF_EACH, ids=lambda c: c["loss"])
def test_plans_equal_the_loop_bitwise(case, dtype):
    """Also for 1, 2 and 3 threads: the loss is part of the compiled epoch."""
    X, y, w, outputs = data_of(case, 150, dtype)
    found = set()
    for threads in (None, 1, 2, 3):
        vv.manual_seed(5)
        model = nn.Sequential(nn.Linear(9, 17), nn.Tanh(), nn.Linear(17, outputs), *_positive(case)).to(np.dtype(dtype))
        loss, optimizer = made(case), optim.SGD(model.parameters(), lr=1e-3, momentum=0.9)
        if threads is None:
            train_eagerly(model, loss, optimizer, X, y, w, 4, 40, 3)
        else:
            trainer = vv.Trainer(model, loss, optimizer, seed=3, num_threads=threads)
            trainer.fit(X, y, epochs=4, batch_size=40, sample_weight=w, verbose=0)
            assert trainer.last_run.threads == threads
            evaluated = trainer.evaluate(X, y, w)["loss"]
            assert np.isclose(evaluated, loss(model(X), y, weight=w).item(), rtol=1e-6 if dtype == "float32" else 1e-12)
        found.add(b"".join(p.numpy().tobytes() for p in model.parameters()))
    assert len(found) == 1


def test_every_loss_is_saved(tmp_path):
    for case in ONE_OF_EACH:
        X, y, _, outputs = data_of(case, 20, "float32")
        loss = made(case)
        assert type(loss)(**json.loads(json.dumps(loss.config()))).config() == loss.config()
        model = nn.Sequential(nn.Linear(9, outputs), *_positive(case))
        trainer = vv.Trainer(model, loss, optim.SGD(model.parameters(), lr=1e-4), seed=0)
        trainer.save(tmp_path / "run.vivace")
        again = vv.load(tmp_path / "run.vivace")
        assert type(again.loss) is type(loss) and again.loss.config() == loss.config()
        assert again.evaluate(X, y) == trainer.evaluate(X, y)


# --- what each of them is for

def test_a_constant_finds_the_quantile():
    """The minimum over constants is the quantile of the targets, for three outputs at once from one target."""
    t = np.random.default_rng(0).exponential(size=4001)
    loss = nn.QuantileLoss([0.1, 0.5, 0.9])
    at = np.quantile(t, [0.1, 0.5, 0.9])
    best = loss(np.tile(at, (4001, 1)), t).item()
    for shift in (-0.02, 0.02):
        assert loss(np.tile(at + shift, (4001, 1)), t).item() > best


def test_families_of_tweedie():
    z, t = np.random.default_rng(0).normal(size=(50, 2)), np.random.default_rng(1).poisson(2, (50, 2)).astype(float)
    tweedie = lambda p, x, **o: nn.TweedieLoss(p, **o)(x, t).item()  # noqa: E731
    assert tweedie(1.0, z) == nn.PoissonNLLLoss()(z, t).item()
    assert np.isclose(tweedie(0.0, z), (nn.MSELoss()(np.exp(z), t).item() - (t ** 2).mean()) / 2)
    for power in (0.0, 1.0, 1.5):
        assert np.isclose(tweedie(power, z), tweedie(power, np.exp(z), log_input=False))
    # the minimum over constants is the logarithm of the mean
    for power in (1.0, 1.2, 1.9):
        values = [tweedie(power, np.full_like(z, np.log(t.mean()) + d)) for d in (-0.01, 0, 0.01)]
        assert min(values) == values[1]


def test_gaussian_takes_variances_as_torch_does():
    rng = np.random.default_rng(0)
    m, t, v, w = rng.normal(size=(6, 2)), rng.normal(size=(6, 2)), rng.uniform(0.5, 2, (6, 2)), rng.uniform(0, 1, 6)
    loss = nn.GaussianNLLLoss()
    mean, var = nn.Tensor(m, requires_grad=True), nn.Tensor(v, requires_grad=True)
    apart, joined = loss(mean, t, var, w), nn.Tensor(np.hstack([m, v]), requires_grad=True)
    together = loss(joined, t, weight=w)
    apart.backward()
    together.backward()
    assert apart.item() == together.item()
    np.testing.assert_array_equal(np.hstack([mean.grad.numpy(), var.grad.numpy()]), joined.grad.numpy())
    assert F.gaussian_nll_loss(m, t, v).item() == loss(m, t, v).item()
    assert np.isclose(loss(m, t, 2.0).item(), loss(m, t, np.full((6, 2), 2.0)).item())
    column = rng.uniform(0.5, 2, (6, 1))
    assert np.isclose(loss(m, t, column).item(), loss(m, t, np.hstack([column, column])).item())
    assert np.isclose(nn.GaussianNLLLoss(log_variance=True)(np.hstack([m, np.log(v)]), t).item(), loss(m, t, v).item())


def test_ignored_rows_count_nothing():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(60, 5)).astype(np.float32), rng.integers(0, 3, 60)
    some = np.where(np.arange(60) % 4 == 1, -100, y)
    kept, before = some != -100, some.copy()
    for loss in (nn.CrossEntropyLoss(), nn.FocalLoss(), nn.CrossEntropyLoss(weight=[1, 2, 3])):
        models = []
        for rows, t in ((slice(None), some), (kept, y)):
            vv.manual_seed(0)
            model = nn.Sequential(nn.Linear(5, 3))
            trainer = vv.Trainer(model, loss, optim.SGD(model.parameters(), lr=0.1), metrics=["accuracy"], seed=0)
            history = trainer.fit(X[rows], t[rows], epochs=3, batch_size=60, shuffle=False, verbose=0)
            models.append((model[0].weight.numpy(), history["loss"], history["accuracy"]))
        np.testing.assert_allclose(models[0][0], models[1][0], rtol=1e-5)
        np.testing.assert_allclose(models[0][1], models[1][1], rtol=1e-6)
        np.testing.assert_allclose(models[0][2], models[1][2], rtol=1e-6)
    assert np.array_equal(some, before)
    z = nn.Tensor(X[:, :3], requires_grad=True)
    value = nn.CrossEntropyLoss()(z, np.full(60, -100))
    value.backward()
    assert value.item() == 0 and not z.grad.numpy().any()
    assert nn.CrossEntropyLoss(ignore_index=255)(X[:, :3], np.where(kept, y, 255)).item() == nn.CrossEntropyLoss()(X[:, :3], some).item()


def test_hinge_has_classes():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 2)).astype(np.float32)
    y = (X[:, 0] + X[:, 1] > 0).astype(int)
    models = []
    for target in (y, 2 * y - 1):
        vv.manual_seed(0)
        model = nn.Sequential(nn.Linear(2, 1))
        trainer = vv.Trainer(model, nn.HingeLoss(), optim.SGD(model.parameters(), lr=0.1), metrics=["accuracy"], seed=0)
        history = trainer.fit(X, target, epochs=30, verbose=0)
        assert history["accuracy"][-1] > 0.97 and (trainer.predict_classes(X) == y).mean() > 0.97
        models.append(model[0].weight.numpy())
    assert np.array_equal(*models)


def test_positives_count_more():
    """pos_weight c equals c copies of every positive, when a row is all positive or all negative."""
    z = np.random.default_rng(0).normal(size=(8, 3))
    t = np.repeat([[1.0], [0.0]], 4, axis=0) * np.ones(3)
    weighted = nn.BCEWithLogitsLoss("sum", pos_weight=3)(z, t).item()
    assert np.isclose(weighted, nn.BCEWithLogitsLoss("sum")(z, t, np.repeat([3.0, 1.0], 4)).item(), rtol=1e-13)


# --- extremes

HUGE = np.array([[1e30, -1e30], [0.0, 1e30], [-1e30, 0.0], [88.7, -104.0]])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("loss, targets", [
    (nn.CrossEntropyLoss(), [0, 1]), (nn.CrossEntropyLoss(label_smoothing=0.1), [0, 1]), (nn.FocalLoss(), [0, 1]),
    (nn.FocalLoss(0.5), [0, 1]), (nn.BCEWithLogitsLoss(), [0.0, 0.5, 1.0]), (nn.BCEWithLogitsLoss(pos_weight=3), [0.0, 0.5, 1.0]),
    (nn.BinaryFocalLoss(), [0.0, 0.5, 1.0]), (nn.BinaryFocalLoss(0.5), [0.0, 1.0]), (nn.L1Loss(), [-1e30, 0.0, 1e30]),
    (nn.HuberLoss(), [-1e30, 0.0, 1e30]), (nn.SmoothL1Loss(beta=0.1), [0.0, 1e30]), (nn.QuantileLoss(0.9), [0.0, 1e30]),
    (nn.HingeLoss(), [-1.0, 1.0]), (nn.HingeEmbeddingLoss(), [-1.0, 1.0]), (nn.MultiMarginLoss(), [0, 1])])
def test_logits_of_1e30(loss, targets, dtype):
    """Values that a float holds are given, with finite gradients."""
    for t in targets:
        x = nn.Tensor(HUGE.astype(dtype), requires_grad=True)
        value = loss(x, np.full((4, 2), t) if isinstance(t, float) else np.full(4, t))
        value.backward()
        assert np.isfinite(value.item()) and np.isfinite(x.grad.numpy()).all(), t


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_probabilities_and_rates_of_zero(dtype):
    zero, one = np.zeros((2, 2), dtype), np.ones((2, 2), dtype)
    for loss, x, t in ((nn.KLDivLoss(), -1e30 * one, zero), (nn.KLDivLoss("batchmean"), 0 * one, one / 2), (nn.BCELoss(), zero, one),
                       (nn.BCELoss(), one, zero), (nn.CrossEntropyLoss(from_logits=False), zero, np.array([0, 1])),
                       (nn.PoissonNLLLoss(log_input=False), zero, one), (nn.PoissonNLLLoss(full=True), -1e30 * one, zero),
                       (nn.TweedieLoss(1.5), -1e30 * one, zero), (nn.GammaLoss(log_input=False), zero, one),
                       (nn.TweedieLoss(1.5, log_input=False), -1 * one, one), (nn.GaussianNLLLoss(), np.hstack([one, zero]), zero),
                       (nn.GaussianNLLLoss(log_variance=True), np.hstack([one, 1e30 * one]), zero)):
        leaf = nn.Tensor(x, requires_grad=True)
        value = loss(leaf, t)
        value.backward()
        assert np.isfinite(value.item()) and np.isfinite(leaf.grad.numpy()).all(), loss.config()


def test_what_no_float_holds_is_infinite_and_named():
    """exp(1e30) is beyond every float: the loss says inf, not NaN, and a fit stops there by name."""
    assert nn.PoissonNLLLoss()(np.full((1, 1), 1e30), np.ones((1, 1))).item() == np.inf
    assert nn.GammaLoss()(np.full((1, 1), -1e30), np.ones((1, 1))).item() == np.inf
    model = nn.Sequential(nn.Linear(1, 1))
    model[0].weight.copy_([[1e30]])
    with pytest.raises(vv.trainer.NonFiniteError, match="epoch 1, step 1"):
        vv.Trainer(model, nn.PoissonNLLLoss(), optim.SGD(model.parameters()), seed=0).fit(np.ones((4, 1)), np.ones(4), verbose=0)


def exact_focal(t, x):
    p = 1 / (1 + mpmath.exp(-x if t else x))
    return -(1 - p) ** 2 * mpmath.log(p)


@pytest.mark.parametrize("z", [-700.0, -40.0, -1.0, 0.0, 1e-9, 2.0, 40.0, 700.0])
def test_focal_against_mpmath(z):
    """Where a probability of 1 is near, what was missed keeps its digits."""
    with mpmath.workdps(60):
        x = mpmath.mpf(z)
        for t in (0, 1):
            value = exact_focal(t, x)
            slope = mpmath.diff(functools.partial(exact_focal, t), x) if abs(z) <= 2 else None
            binary = nn.Tensor(np.array([[z]]), requires_grad=True)
            classes = nn.Tensor(np.array([[0.0, z]]), requires_grad=True)
            for loss, leaf, target in ((nn.BinaryFocalLoss(alpha=None), binary, np.array([[float(t)]])), (nn.FocalLoss(), classes, [t])):
                got = loss(leaf, target)
                got.backward()
                np.testing.assert_allclose(got.item(), float(value), rtol=1e-12, atol=1e-320)
                if slope is not None:
                    np.testing.assert_allclose(leaf.grad.numpy()[0, -1], float(slope), rtol=1e-12)


# --- refusals

Z = np.zeros((4, 2))


@pytest.mark.parametrize("make, says", [
    (lambda: nn.HuberLoss(delta=0), "delta must be a finite number > 0, got 0"),
    (lambda: nn.SmoothL1Loss(beta=-1), "beta must be a finite number >= 0, got -1"),
    (lambda: nn.QuantileLoss(1.5), "quantile must be a number in 0..1 or one per output, got 1.5"),
    (lambda: nn.QuantileLoss([0.1, 0.5, 0.9])(Z, Z), r"quantile must be a number or one per output \(2\), got 3 of them"),
    (lambda: nn.PoissonNLLLoss()(Z, Z - 1), "target must be >= 0, got -1"),
    (lambda: nn.GammaLoss()(Z, Z), "target must be > 0, got 0"),
    (lambda: nn.TweedieLoss(0.5), "power must be 0 or at least 1: there is no Tweedie distribution between, got 0.5"),
    (lambda: nn.GaussianNLLLoss()(np.zeros((4, 3)), Z), r"needs an input \(N, 2 D\) of means and variances, got 3 columns"),
    (lambda: nn.GaussianNLLLoss()(Z, Z), r"target must have shape \(N, 1\) like the input, got \(4, 2\)"),
    (lambda: nn.GaussianNLLLoss()(Z, Z, Z - 1), "var must not be negative, got -1"),
    (lambda: nn.GaussianNLLLoss()(Z, Z, np.ones((4, 3))), r"var must have shape \(4, 2\) like the input.*got \(4, 3\)"),
    (lambda: nn.HingeLoss()(Z, Z + 2), r"target must be 1 or -1 \(or 1 and 0\), got 2"),
    (lambda: nn.HingeEmbeddingLoss()(Z, Z), "target must be 1 or -1, got 0"),
    (lambda: nn.MultiMarginLoss(p=3), "p must be 1 or 2, got 3"),
    (lambda: nn.MultiMarginLoss()(Z, [0, 1, 2, 0]), "target must hold classes 0..1, got 2"),
    (lambda: nn.MultiMarginLoss(weight=[1, 2, 3])(Z, [0, 1, 1, 0]), r"weight must have shape \(C,\) = \(2,\), got \(3,\)"),
    (lambda: nn.FocalLoss(gamma=-1), "gamma must be a finite number >= 0, got -1"),
    (lambda: nn.BinaryFocalLoss(alpha=2), "alpha must lie in 0..1, got 2"),
    (lambda: nn.KLDivLoss()(Z, Z - 1), "target must be >= 0, got -1"),
    (lambda: nn.L1Loss("batchmean"), "reduction must be 'mean' or 'sum', got 'batchmean'"),
    (lambda: nn.CrossEntropyLoss(ignore_index=0.5), "ignore_index must be an int, got 0.5"),
    (lambda: nn.CrossEntropyLoss()(Z, [0, 1, -1, -100]), "target must hold classes 0..1, got -1"),
    (lambda: nn.BCEWithLogitsLoss(pos_weight=-1), r"pos_weight must be weights \(O,\), finite and not negative, got -1"),
    (lambda: nn.BCEWithLogitsLoss(pos_weight=[1, 2, 3])(Z, Z), r"pos_weight must have shape \(O,\) = \(2,\), got \(3,\)")])
def test_refusals(make, says):
    with pytest.raises(ValueError, match=says):
        make()


def test_functions_equal_modules():
    rng = np.random.default_rng(0)
    z, t, labels, w = rng.normal(size=(5, 3)), rng.uniform(0, 1, (5, 3)), rng.integers(0, 3, 5), rng.uniform(1, 2, 5)
    signs = rng.choice([-1.0, 1.0], (5, 3))
    for a, b in [(F.l1_loss(z, t, weight=w), nn.L1Loss()(z, t, w)), (F.huber_loss(z, t, "sum", 0.5), nn.HuberLoss("sum", 0.5)(z, t)),
                 (F.smooth_l1_loss(z, t, beta=0.5), nn.SmoothL1Loss(beta=0.5)(z, t)),
                 (F.poisson_nll_loss(z, t, full=True), nn.PoissonNLLLoss(full=True)(z, t)),
                 (F.kl_div(z, t, "batchmean"), nn.KLDivLoss("batchmean")(z, t)),
                 (F.hinge_embedding_loss(z, signs, 2.0), nn.HingeEmbeddingLoss(2.0)(z, signs)),
                 (F.multi_margin_loss(z, labels, 2), nn.MultiMarginLoss(2)(z, labels)),
                 (F.cross_entropy(z, labels, ignore_index=1), nn.CrossEntropyLoss(ignore_index=1)(z, labels)),
                 (F.binary_cross_entropy_with_logits(z, t, pos_weight=2), nn.BCEWithLogitsLoss(pos_weight=2)(z, t))]:
        assert a.item() == b.item()
