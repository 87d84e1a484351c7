"""Bad input is one clear error naming the argument, what was expected and what came; unusual but good input is taken as it is."""
import subprocess
import sys

import numpy as np
import pytest

import vivace as vv
from vivace import nn, optim, prepare

X = np.random.default_rng(0).standard_normal((40, 5)).astype(np.float32)
Y = np.arange(40) % 3
T = X.sum(axis=1)


def trainer_of(loss=None, outputs=3, dtype=None, **options):
    vv.manual_seed(0)
    model = nn.Sequential(nn.Linear(5, 8, dtype=dtype), nn.Tanh(), nn.Linear(8, outputs, dtype=dtype))
    return vv.Trainer(model, loss or nn.CrossEntropyLoss(), optim.Adam(model.parameters()), **{"seed": 1, **options})


def with_value(value, row=3, column=2, dtype=np.float64):
    array = X.astype(dtype)
    array[row, column] = value
    return array


def hole(array, row, value=np.nan):
    array = np.array(array, np.float64)
    array[row] = value
    return array


def ragged():
    return [[1, 2, 3, 4, 5], [1, 2]]


BAD_X = [
    (X[0], ValueError, r"X must have shape \(N, features\), got \(5,\); use X.reshape\(-1, 1\) for one feature"),
    (X[None], ValueError, r"X must have shape \(N, features\), got \(1, 40, 5\)"),
    (3.0, ValueError, r"X must have shape \(N, features\), got \(\)"), (None, TypeError, "X must be numbers, got dtype object"),
    (X[:, :4], ValueError, r"X with 4 columns does not fit the model: .*\(N, 5\), got \(N, 4\)"),
    (X[:, :0], ValueError, r"X must have at least one column, got shape \(40, 0\)"),
    (X.astype(object), TypeError, "X must be numbers, got dtype object; vivace.estimators take text and categories"),
    (X.astype(complex), TypeError, "X must be numbers, got dtype complex128"),
    (X.astype(str), TypeError, "X must be numbers, got dtype <U"),
    (X.astype("S9"), TypeError, "X must be numbers, got dtype .S9"),
    (np.full((40, 5), "2020-01-01", "M8[D]"), TypeError, "X must be numbers"),
    (np.zeros((40, 5), [("a", "f4")]), TypeError, "X must be numbers"),
    (ragged(), ValueError, "X must be an array of numbers: .*inhomogeneous"),
    ([[10**30] * 5] * 40, TypeError, "X must be numbers, got dtype object"),
    (with_value(np.nan), ValueError, "X must be finite, got nan at row 3, column 2"),
    (with_value(np.inf), ValueError, "X must be finite, got inf at row 3, column 2"),
    (with_value(-np.inf, 39, 4, np.float32), ValueError, "X must be finite, got -inf at row 39, column 4"),
    (with_value(1e300), ValueError, r"X must be finite in float32, got 1e\+300 at row 3, column 2"),
    (np.ma.masked_array(X, X > 1), ValueError, r"X must have no masked values, got \d+: fill them, or leave their rows out"),
    ([X, X], ValueError, "takes|positional|forward"),
    ([X, X[:9]], ValueError, r"X must hold inputs of one length, got \[40, 9\]"),
    ((X, with_value(np.nan)), ValueError, r"X\[1\] must be finite, got nan at row 3, column 2"),
]


@pytest.mark.parametrize("x, kind, message", BAD_X, ids=range(len(BAD_X)))
def test_bad_x(x, kind, message):
    trainer = trainer_of()
    if message.startswith("takes"):
        kind = (TypeError, ValueError)
    for call in (lambda: trainer.fit(x, Y, verbose=0), lambda: trainer.predict(x), lambda: trainer.evaluate(x, Y),
                 lambda: trainer.make_step(64)(x, Y)):
        with pytest.raises(kind, match=message):
            call()
    with pytest.raises(kind, match=message):
        trainer.fit(X, Y, validation_data=(x, Y), verbose=0)
    assert trainer.step == trainer.epoch == 0


def test_no_rows():
    trainer = trainer_of()
    with pytest.raises(ValueError, match="X must have at least one row to train on, got 0"):
        trainer.fit(X[:0], Y[:0], verbose=0)
    with pytest.raises(ValueError, match=r"xb must have 1..batch_size = 8 rows, got 0"):
        trainer.make_step(8)(X[:0], Y[:0])
    with pytest.raises(ValueError, match=r"xb must have 1..batch_size = 8 rows, got 9"):
        trainer.make_step(8)(X[:9], Y[:9])
    assert trainer.predict(X[:0]).shape == (0, 3) and trainer.predict_classes(X[:0]).shape == (0,)


BAD_Y = [
    (Y[:9], ValueError, "y must have N = 40 rows like X, got 9"),
    (Y.astype(str), TypeError, "y must be numbers .*vivace.estimators encode text"),
    (np.array(["cat", "dog"] * 20, object), TypeError, "y must be numbers .*got dtype object; vivace.estimators encode text"),
    (Y.astype(complex), TypeError, "y must be numbers"), (Y + 1, ValueError, r"y must hold classes 0..2, got 3"),
    (Y - 1, ValueError, "y must hold classes 0..2, got -1"), (Y + 0.5, ValueError, "y must hold classes 0..2, got 0.5"),
    (hole(Y, 7), ValueError, "y must be finite, got nan at row 7"),
    (hole(Y, 7, np.inf), ValueError, "y must be finite, got inf at row 7"),
    (np.zeros((40, 2)), ValueError, r"y must have shape \(N,\) of classes or \(N, 3\) of probabilities, got \(40, 2\)"),
    (np.zeros((40, 3, 1)), ValueError, "y must have shape"), (None, TypeError, "y must be numbers"),
    ([[1], [2, 3]], ValueError, "y must be an array"),
    (3, ValueError, "y must"),
]
BAD_T = [
    (np.stack([T, T], axis=1), ValueError, r"y must have shape \(N, 1\) like the input, got \(40, 2\)"),
    (T[:39], ValueError, "y must have N = 40 rows"),
    (hole(T, 11), ValueError, "y must be finite, got nan at row 11"),
    (hole(T[:, None], (11, 0)), ValueError, "y must be finite, got nan at row 11, column 0"),
    (hole(T, 11, 1e300), ValueError, r"y must be finite in float32, got 1e\+300 at row 11"),
    (T.astype(str), TypeError, "y must be numbers"),
]


@pytest.mark.parametrize("y, kind, message, loss",
                         [(*case, nn.CrossEntropyLoss) for case in BAD_Y] + [(*case, nn.MSELoss) for case in BAD_T])
def test_bad_y(y, kind, message, loss):
    trainer = trainer_of(loss(), 3 if loss is nn.CrossEntropyLoss else 1)
    for call in (lambda: trainer.fit(X, y, verbose=0), lambda: trainer.evaluate(X, y), lambda: trainer.make_step(64)(X, y)):
        with pytest.raises(kind, match=message):
            call()


@pytest.mark.parametrize("y, message", [(Y, r"y must lie in 0..1, got 2"), (Y / 2 - 0.1, "y must lie in 0..1, got -0.1")])
def test_bad_binary_targets(y, message):
    with pytest.raises(ValueError, match=message):
        trainer_of(nn.BCEWithLogitsLoss(), 1).fit(X, y, verbose=0)


@pytest.mark.parametrize("weight, kind, message", [
    (np.ones(9), ValueError, r"sample_weight must have shape \(N,\) = \(40,\), got \(9,\)"),
    (np.ones((40, 1)), ValueError, r"sample_weight must have shape \(N,\) = \(40,\), got \(40, 1\)"),
    (2.0, ValueError, "sample_weight must have shape"),
    (-np.ones(40), ValueError, "sample_weight must be finite and not negative"),
    (hole(np.ones(40), 3), ValueError, "sample_weight must be finite"),
    (hole(np.ones(40), 3, np.inf), ValueError, "sample_weight must be finite"),
    (["a"] * 40, TypeError, "sample_weight must be numbers, got dtype <U1"),
])
def test_bad_sample_weight(weight, kind, message):
    trainer = trainer_of()
    for call in (lambda: trainer.fit(X, Y, sample_weight=weight, verbose=0), lambda: trainer.evaluate(X, Y, weight),
                 lambda: trainer.make_step(64)(X, Y, weight)):
        with pytest.raises(kind, match=message):
            call()


BAD_OPTIONS = [
    ({"epochs": -1}, "epochs must be an int >= 0, got -1"), ({"epochs": 1.5}, "epochs must be an int >= 0, got 1.5"),
    ({"epochs": True}, "epochs must be an int >= 0, got True"), ({"epochs": "3"}, "epochs must be an int >= 0, got '3'"),
    ({"batch_size": 0}, "batch_size must be an int >= 1, got 0"),
    ({"batch_size": None}, "batch_size must be an int >= 1, got None"),
    ({"validation_split": 1.0}, "validation_split must be a number >= 0 and < 1, got 1.0"),
    ({"validation_split": -0.1}, "validation_split must be"),
    ({"validation_split": "0.2"}, "validation_split must be a number >= 0 and < 1, got '0.2'"),
    ({"validation_split": np.nan}, "validation_split must be a number >= 0 and < 1, got nan"),
    ({"validation_split": 0.2, "validation_data": (X, Y)}, "give validation_data or validation_split, not both"),
    ({"validation_data": X}, r"validation_data must be \(X, y\) or \(X, y, sample_weight\)"),
    ({"validation_data": (X,)}, "validation_data must be"),
    ({"validation_data": (X, Y[:3])}, "validation_data: y must have N = 40 rows like X, got 3"),
    ({"validation_data": (X[:, :3], Y)}, "validation_data: X with 3 columns does not fit the model"),
    ({"shuffle": "yes"}, "shuffle must be True, False or an order of the 40 rows, got 'yes'"),
    ({"shuffle": None}, "shuffle must be .* got None"),
    ({"shuffle": np.arange(39)}, r"shuffle must be .* got an array of shape \(39,\)"),
    ({"shuffle": np.zeros(40, int)}, "shuffle must be"),
    ({"shuffle": np.arange(40.0)}, "shuffle must be .* dtype float64"),
    ({"max_time": 0}, "max_time must be a finite number > 0, got 0"),
    ({"max_time": "1"}, "max_time must be a finite number > 0, got '1'"),
    ({"max_time": np.nan}, "max_time must be a finite number > 0, got nan"),
    ({"callbacks": print}, "callbacks must be"),
    ({"callbacks": [print]}, "callbacks must be vivace.callbacks.Callback objects, got builtin"),
    ({"verbose": "loud"}, 'verbose must be "auto", 0, 1 or 2, got \'loud\''), ({"verbose": 3}, "verbose must be"),
]


@pytest.mark.parametrize("options, message", BAD_OPTIONS, ids=range(len(BAD_OPTIONS)))
def test_bad_options_of_fit(options, message):
    trainer = trainer_of()
    with pytest.raises((ValueError, TypeError), match=message):
        trainer.fit(X, Y, **{"verbose": 0, **options})
    assert trainer.step == 0
    trainer.fit(X, Y, epochs=1, verbose=0)  # the refusal left nothing behind
    assert trainer.epoch == 1


BAD_TRAINERS = [
    ({"seed": -1}, "seed must be an int >= 0, got -1"), ({"seed": 1.5}, "seed must be an int >= 0, got 1.5"),
    ({"seed": 2**64}, r"seed must be below 2\^64"),
    ({"num_threads": 0}, "num_threads must be None or an int in 1..1024, got 0"), ({"num_threads": 1.0}, "num_threads must be"),
    ({"num_threads": 10**6}, "num_threads must be None or an int in 1..1024, got 1000000"),
    ({"backend": "cuda"}, "backend must be one of cython, numba, numpy, got 'cuda'"),
    ({"precision": "float16"}, "precision must be None, 'float32' or"),
    ({"precision": 3}, "precision must be None, 'float32' or 'float64', got 3"),
    ({"metrics": ["acuracy"]}, "metrics must name some of accuracy, r2, .*acuracy"),
    ({"metrics": [3]}, "metrics must be names or functions, got int"),
    ({"metrics": ["mae", "mae"]}, "names of their own .* got 'mae' twice"),
    ({"scheduler_interval": "week"}, "scheduler_interval must be 'epoch' or 'step', got 'week'"),
    ({"clip_grad_norm": 0}, "clip_grad_norm must be a finite number > 0, got 0"),
    ({"clip_grad_norm": "1"}, "clip_grad_norm must be a finite number"),
    ({"clip_grad_norm": np.inf}, "clip_grad_norm must be a finite number > 0, got inf"),
]


@pytest.mark.parametrize("options, message", BAD_TRAINERS, ids=range(len(BAD_TRAINERS)))
def test_bad_options_of_a_trainer(options, message):
    with pytest.raises((ValueError, TypeError), match=message):
        trainer_of(**options)


def test_bad_parts_of_a_trainer():
    model = nn.Linear(5, 3)
    optimizer, loss = optim.SGD(model.parameters()), nn.MSELoss()
    for args, message in (((None, loss, optimizer), "model must be a vivace.nn.Module, got NoneType"),
                          ((model, "mse", optimizer), "loss must be a vivace.nn.* got str"),
                          ((model, nn.MSELoss, optimizer), "loss must be a vivace.nn.* got type"),
                          ((model, loss, "adam"), "optimizer must be a vivace.nn.optim.* got str")):
        with pytest.raises(TypeError, match=message):
            vv.Trainer(*args)
    with pytest.raises(ValueError, match="no parameter of the model is trained"):
        vv.Trainer(nn.Linear(5, 3), loss, optimizer).fit(X, np.zeros((40, 3)), verbose=0)


def test_bad_batch_size_of_a_step():
    for size in (0, -1, 2.5, None):
        with pytest.raises(ValueError, match="batch_size must be an int >= 1"):
            trainer_of().make_step(size)


# --- unusual but right

def fitted(x, y=Y, dtype=None, **options):
    trainer = trainer_of(dtype=dtype, **options)
    trainer.fit(x, y, epochs=3, batch_size=16, verbose=0)
    return np.concatenate([p.numpy().ravel() for p in trainer.model.parameters()]), trainer.predict(x)


def strided(array, kind):
    if kind == "fortran":
        return np.asfortranarray(array)
    if kind == "negative strides":
        return np.flip(np.ascontiguousarray(np.flip(array)))
    if kind == "every second":
        wide = np.zeros([2 * size for size in array.shape], array.dtype)
        part = wide[tuple(slice(1, None, 2) for _ in array.shape)]
        part[...] = array
        return part
    if kind == "byte-swapped":
        return array.astype(array.dtype.newbyteorder())
    if kind == "misaligned":
        raw = np.zeros(array.nbytes + 1, np.uint8)
        view = raw[1:].view(array.dtype).reshape(array.shape)
        view[...] = array
        assert not view.flags.aligned
        return view
    if kind == "read-only":
        array = array.copy()
        array.flags.writeable = False
    if kind == "subclass":
        return array.view(np.matrix) if array.ndim == 2 else array
    if kind == "masked":
        return np.ma.MaskedArray(array)
    if kind == "list":
        return array.tolist()
    if kind == "broadcast":
        return np.broadcast_to(array, array.shape)
    if kind == "tensor":
        return vv.Tensor(array) if array.dtype.kind == "f" else array
    return array


@pytest.mark.filterwarnings("ignore:the matrix subclass:PendingDeprecationWarning")
@pytest.mark.parametrize("kind",
                         ["fortran", "negative strides", "every second", "byte-swapped", "misaligned", "read-only", "subclass",
                          "masked", "list",
                                  "broadcast", "tensor"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_layouts_do_not_matter(kind, dtype):
    """Values that both types hold, so that lists (float64) are the same numbers."""
    x = X.astype(dtype)
    expected = fitted(x, dtype=dtype)
    found = fitted(strided(x, kind), strided(Y, kind), dtype=dtype)
    assert all(np.array_equal(a, b) for a, b in zip(expected, found))


def test_what_passes_the_door_is_what_kernels_take():
    """Also where a processor would forgive: C-contiguous, aligned, native, and not copied when it is so already."""
    for kind in ("fortran", "negative strides", "every second", "byte-swapped", "misaligned", "read-only"):
        array = prepare.inputs(strided(X, kind), np.dtype(np.float32))[0]
        assert array.flags.c_contiguous and array.flags.aligned and array.dtype.isnative and np.array_equal(array, X), kind
    assert np.shares_memory(prepare.inputs(X, np.dtype(np.float32))[0], X)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int16, np.int32, np.int64, np.uint64, np.float16, np.longdouble, bool])
def test_number_types_are_converted(dtype):
    x = (X > 0).astype(dtype)
    expected, found = fitted(x.astype(np.float32)), fitted(x)
    assert all(np.array_equal(a, b) for a, b in zip(expected, found))
    y = (Y % 2).astype(dtype)
    assert all(np.array_equal(a, b) for a, b in zip(fitted(X, Y % 2), fitted(X, y)))


def test_huge_integers_that_floats_hold():
    x = np.full((40, 5), 2**62) * np.array([1, -1, 1, -1, 1])
    trainer = trainer_of()
    assert trainer.predict(x).shape == (40, 3) and np.isfinite(trainer.predict(x)).all()


def test_float64_data_trains_a_float32_model_and_the_reverse():
    x = X.astype(np.float64)
    assert all(np.array_equal(a, b) for a, b in zip(fitted(X), fitted(x)))
    assert all(np.array_equal(a, b) for a, b in zip(fitted(X, dtype=np.float64), fitted(x, dtype=np.float64)))


def test_a_frame_gives_its_values():
    import pandas
    frame = pandas.DataFrame(X, columns=list("abcde"))
    expected = fitted(X)
    assert all(np.array_equal(a, b) for a, b in zip(expected, fitted(frame, pandas.Series(Y))))
    with pytest.raises(TypeError, match="X must be numbers, got dtype object"):
        trainer_of().fit(frame.assign(a="x"), Y, verbose=0)


def test_targets_of_one_column():
    for loss in (nn.MSELoss, nn.BCEWithLogitsLoss):
        y = (T > 0).astype(np.float32)
        a, b = (fitted(X, t, loss=loss(), outputs=1) for t in (y, y[:, None]))
        assert all(np.array_equal(p, q) for p, q in zip(a, b))
    a, b = (fitted(X, t) for t in (Y, Y[:, None]))
    assert all(np.array_equal(p, q) for p, q in zip(a, b))


def test_more_rows_a_batch_than_there_are_and_one_row():
    a, b = trainer_of(), trainer_of()
    a.fit(X, Y, epochs=2, batch_size=10**9, verbose=0)
    b.fit(X, Y, epochs=2, batch_size=40, verbose=0)
    assert np.array_equal(a.predict(X), b.predict(X))
    a.fit(X[:1], Y[:1], epochs=1, verbose=0)
    assert a.predict(X[:1]).shape == (1, 3)


def test_numpy_integers_are_integers():
    trainer = trainer_of(seed=None)
    trainer.fit(X, Y, epochs=np.int64(1), batch_size=np.int32(8), shuffle=np.bool_(False), verbose=0)
    assert trainer.step == 5


# --- packages that are not there

WITHOUT = """
import sys
class Without:
    def __init__(self, finder):
        self.finder = finder
    def find_spec(self, name, path=None, target=None):
        return None if name.partition(".")[0] == sys.argv[1] else self.finder.find_spec(name, path, target)
sys.meta_path[:] = [Without(finder) for finder in sys.meta_path]
import numpy as np
import vivace as vv
from vivace import nn, optim
model = nn.Linear(2, 1)
trainer = vv.Trainer(model, nn.MSELoss(), optim.SGD(model.parameters()))
history = trainer.fit(np.ones((4, 2)), np.ones(4), epochs=1, verbose=0)
try:
    exec(sys.argv[2])
except ImportError as error:
    print(type(error).__name__, error)
"""


@pytest.mark.parametrize("package, use, message", [
    ("matplotlib", "history.plot()", "ImportError plotting needs matplotlib: pip install 'vivace[plot]'"),
    ("pandas", "history.to_frame()", "ImportError to_frame needs pandas: pip install 'vivace[tables]'"),
    ("numba", "vv.Trainer(model, nn.MSELoss(), optim.SGD(model.parameters()), backend='numba')",
     "ImportError the numba backend needs the package numba: pip install 'vivace[numba]'"),
    ("sklearn", "from vivace import datasets; datasets.load('digits')", "scikit-learn: pip install 'vivace[sklearn]'"),
])
def test_a_missing_package_is_named_with_its_extra(package, use, message, tmp_path):
    done = subprocess.run([sys.executable, "-c", WITHOUT, package, use], capture_output=True, text=True, cwd=tmp_path,
                          timeout=120)
    assert done.returncode == 0 and message in done.stdout, done.stderr


def test_an_array_that_could_be_masked_is_taken():
    assert trainer_of().predict(np.ma.masked_array(X)).tobytes() == trainer_of().predict(X).tobytes()
    with pytest.raises(ValueError, match="y must have no masked values, got 1"):
        trainer_of().fit(X, np.ma.masked_array(Y, np.arange(40) == 3), verbose=0)


def test_validation_data_without_rows_are_refused():
    """A score of nothing would be the best there is."""
    with pytest.raises(ValueError, match="validation_data: X must have at least one row, got 0"):
        trainer_of().fit(X, Y, validation_data=(X[:0], Y[:0]), verbose=0)


def test_what_is_no_schedule_is_refused_before_the_fit():
    model = nn.Linear(5, 3)
    optimizer, other = (optim.SGD(model.parameters(), lr=0.1) for _ in range(2))
    make = lambda scheduler: vv.Trainer(model, nn.CrossEntropyLoss(), optimizer, scheduler=scheduler)
    for wrong, got in (("cosine", "str"), (optim.lr_scheduler.StepLR, "the class StepLR"), (lambda epoch: 0.1, "function")):
        with pytest.raises(TypeError, match=f"scheduler must be None or a schedule of vivace.optim.lr_scheduler .*, got {got}"):
            make(wrong)
    with pytest.raises(ValueError, match="scheduler must be made for the optimizer that the trainer is given"):
        make(optim.lr_scheduler.StepLR(other, 1))


def test_a_class_is_no_model_to_fill(tmp_path):
    trainer = trainer_of()
    trainer.save(tmp_path / "m.vivace")
    for wrong, got in ((nn.Linear, "the class Linear"), ("m", "str")):
        with pytest.raises(TypeError, match=f"model must be a vivace.nn.Module to fill, got {got}"):
            vv.load(tmp_path / "m.vivace", model=wrong)


def test_frames_of_several_kinds_of_numbers_are_numbers():
    """Booleans, floats and nullable integers side by side, which NumPy alone makes objects of; text stays refused."""
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"a": [1.0, 2.0, 3.0, 4.0], "b": [True, False, True, True], "c": pandas.array([1, 2, 3, 4], dtype="Int64")})
    model = nn.Linear(3, 1)
    trainer = vv.Trainer(model, nn.MSELoss(), optim.SGD(model.parameters(), lr=0.01))
    trainer.fit(frame, np.ones((4, 1)), epochs=1, verbose=0)
    np.testing.assert_array_equal(model(frame).numpy(), model(frame.to_numpy(np.float64)).numpy())
    with pytest.raises(TypeError, match="X must be numbers, got dtype object"):
        trainer.fit(frame.assign(c=list("abcd")), np.ones((4, 1)), epochs=1, verbose=0)


def test_a_validation_split_of_no_rows_is_refused():
    model = nn.Linear(3, 1)
    trainer = vv.Trainer(model, nn.MSELoss(), optim.SGD(model.parameters(), lr=0.01))
    with pytest.raises(ValueError, match="validation_split must leave a row to validate on, got 0.1 of 8 rows"):
        trainer.fit(np.ones((8, 3)), np.ones((8, 1)), validation_split=0.1, verbose=0)
