"""Files: damage is noticed, forged descriptions are refused, and what comes back is what went in."""
import copy
import json
import os
import sys
import time

import numpy as np
import pytest

import vivace as vv
from vivace import files, nn, optim
from vivace.io import describe, load

RNG = np.random.default_rng(0)


def trainer_of(width=8, fitted=True, custom=False):
    vv.manual_seed(0)
    model = Custom() if custom else nn.Sequential(nn.Linear(4, width), nn.LeakyReLU(0.1), nn.Dropout(0.2), nn.Linear(width, 3))
    optimizer = optim.Adam(model.parameters(), lr=0.01)
    trainer = vv.Trainer(model, nn.CrossEntropyLoss(), optimizer, metrics=["accuracy"], seed=1,
                         scheduler=optim.lr_scheduler.StepLR(optimizer, 2, 0.5))
    if fitted:
        def stop(t, *_):
            t.stop_training = t.step == 7
        X = np.random.default_rng(0).standard_normal((40, 4)).astype(np.float32)
        trainer.fit(X, np.arange(40) % 3, epochs=3, batch_size=8, verbose=0,
                    callbacks=[vv.callbacks.EarlyStopping(), vv.callbacks.LambdaCallback(on_batch_end=stop)])
    return trainer


class Custom(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(4, 4), nn.Linear(4, 3)
        self.c = nn.Linear(4, 4)
        self.c.weight = self.a.weight
        self.drop = nn.Dropout(0.3)

    def forward(self, x):
        h = nn.functional.relu(self.a(x)) * 0.5 + self.drop(self.c(x)[:, 0:4])
        return self.b(h / (nn.functional.sigmoid(x) + 1.0))


def raw_of(trainer):
    return files.seal(*describe(trainer))


def refused(path, raw):
    """Whether loading `raw` raises FileError; anything else that is raised fails the test."""
    path.write_bytes(raw)
    try:
        load(path)
    except vv.FileError as error:
        assert str(path) in str(error)
        return True
    return False


# --- damage

def header_size(raw):
    return 8 + int.from_bytes(raw[:8], "little")


def test_every_flipped_bit_is_noticed(tmp_path):
    """All bits of the first and last bytes, of the digest and of a sample of the rest; the long form takes all of 64 KiB."""
    raw = raw_of(trainer_of())
    digest = raw.index(files.MARK)
    places = {*range(16), *range(len(raw) - 8, len(raw)), *range(digest - 2, digest + 80),
              *RNG.integers(0, len(raw), 200).tolist(),
              *range(0, header_size(raw), 7)}
    flips(raw, [8 * place + int(bit) for place in sorted(places) for bit in RNG.choice(8, 2, replace=False)])
    for place in RNG.integers(0, 8 * len(raw), 20).tolist():
        assert refused(tmp_path / "m.vivace", flipped(raw, place))


def flipped(raw, bit):
    changed = bytearray(raw)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def flips(raw, bits):
    for bit in bits:
        with pytest.raises(vv.FileError):
            files.parse(flipped(raw, bit))


@pytest.mark.slow
def test_every_flipped_bit_and_every_truncation_of_64_kib_is_noticed():
    trainer = trainer_of(width=416)
    trainer.history.history = {"x": [1.0]}
    room = 65536 - len(raw_of(trainer))
    trainer.history.history = {"x" * (1 + room): [1.0]}  # what is missing to 64 KiB goes into a name
    raw = raw_of(trainer)
    assert len(raw) == 65536
    flips(raw, range(8 * len(raw)))
    for size in range(len(raw)):
        with pytest.raises(vv.FileError):
            files.parse(raw[:size])
    files.parse(raw)


def test_every_truncation_is_noticed(tmp_path):
    raw = raw_of(trainer_of())
    for size in {*range(0, header_size(raw) + 8, 3), *range(len(raw) - 9, len(raw)), *RNG.integers(0, len(raw), 100).tolist()}:
        with pytest.raises(vv.FileError):
            files.parse(raw[:size])
    for size in (0, 7, 8, 100, len(raw) - 1):
        assert refused(tmp_path / "m.vivace", raw[:size])
    assert refused(tmp_path / "m.vivace", raw + b"\0")
    assert not refused(tmp_path / "m.vivace", raw)


@pytest.mark.parametrize("raw", [
    b"", b"hello", b"PK\x03\x04" + b"x" * 100, (1 << 62).to_bytes(8, "little") + b"x" * 50, b"\xff" * 64,
    (2).to_bytes(8, "little") + b"{}", (20).to_bytes(8, "little") + b'{"__metadata__":{}}  ',
])
def test_other_files(raw, tmp_path):
    assert refused(tmp_path / "other", raw)


def test_a_plain_safetensors_file_is_not_ours(tmp_path):
    from safetensors.numpy import save_file
    save_file({"w": np.zeros(3, np.float32)}, tmp_path / "w.safetensors")
    with pytest.raises(vv.FileError, match="is not a Vivace file: it has no digest"):
        load(tmp_path / "w.safetensors")


# --- forged descriptions, under a digest that agrees

def sealed_header(header, data=b""):
    """A file with the header text `header`, which holds an empty digest, sealed by its true digest."""
    import hashlib
    raw = len(header).to_bytes(8, "little") + header + data
    digest = hashlib.sha256(raw).hexdigest().encode()
    at = raw.index(files.MARK + files.EMPTY) + len(files.MARK)
    return raw[:at] + digest + raw[at + 64:]


META = b'"__metadata__":{"digest":"' + files.EMPTY + b'","vivace":"{\\"format\\":1}"}'


@pytest.mark.parametrize("header", [
    b"{" + META + b',"w":{"dtype":"F32","shape":[9223372036854775808],"data_offsets":[0,4]}}',
    b"{" + META + b',"w":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,4]}}',
    b"{" + META + b',"w":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}',
    b"{" + META + b',"w":{"dtype":"F32","shape":[1],"data_offsets":[0,18446744073709551615]}}',
    b"{" + META + b',"w":{"dtype":"F99","shape":[1],"data_offsets":[0,4]}}',
    b"{" + META + b',"w":' + b"[" * 100000 + b"]" * 100000 + b"}",
    b"[" * 200000 + META,
    b'{"__metadata__":{"digest":"' + files.EMPTY + b'","vivace":"' + b"[" * 200000 + b'"}}',
    b'{"__metadata__":{"digest":"' + files.EMPTY + b'","vivace":"' + b"9" * 100000 + b'"}}',
    b'{"__metadata__":{"digest":"' + files.EMPTY + b'","vivace":7}}',
    b'{"__metadata__":{"digest":"' + files.EMPTY + b'"}}',
    b"{" + META + b"}",
    b"{" + META + b"} garbage",
    b"\xff\xfe" + META,
], ids=range(14))
def test_header_bombs(header, tmp_path):
    import tracemalloc
    raw = sealed_header(header, b"\0\0\0\0")
    tracemalloc.start()
    began = time.monotonic()
    assert refused(tmp_path / "m.vivace", raw)
    assert time.monotonic() - began < 5  # a watchdog: a bomb takes hours or the memory of the machine
    assert tracemalloc.get_traced_memory()[1] < 3 * len(raw) + (8 << 20)
    tracemalloc.stop()


def forged(trainer, change):
    tensors, d = describe(trainer)
    d = json.loads(json.dumps(d))
    result = change(d, tensors)
    return files.seal(tensors, d if result is None else result)


def put(path, value):
    """A change of the entry at `path`, such as "loss.name" or "optimizer.groups.0.lr"."""
    def change(d, tensors):
        *front, last = path.split(".")
        for key in front:
            d = d[int(key)] if isinstance(d, list) else d[key]
        d[int(last) if isinstance(d, list) else last] = value
    return change


def drop(path):
    def change(d, tensors):
        *front, last = path.split(".")
        for key in front:
            d = d[int(key)] if isinstance(d, list) else d[key]
        del d[int(last) if isinstance(d, list) else last]
    return change


LIES = [
    (put("format", 2), "has format 2, this version reads 1"), (put("format", True), "format True"),
    (put("format", "1"), "format '1'"),
    (put("dtype", "float16"), "dtype must be float32 or float64"), (put("dtype", "O"), "dtype must be float32"),
    (put("loss.name", "SuperLoss"), "unknown loss 'SuperLoss'"), (put("loss.name", "__import__"), "unknown loss"),
    (put("loss.config.label_smoothing", 7), "label_smoothing must lie in 0..1"), (put("loss.config.more", 1), "TypeError"),
    (put("loss.config.weight", [1, "2"]), r"loss.config.weight\[1\] must be number"),
    (put("optimizer.name", "os.system"), "unknown optimizer 'os.system'"),
    (put("optimizer.groups", []), "at least one parameter"),
    (put("optimizer.groups.0.lr", -1), "lr must be a finite number >= 0"), (put("optimizer.groups.0.lr", "big"), "TypeError"),
    (put("optimizer.groups.0.lr", 10**400), "must be"), (put("optimizer.groups.0.betas", [0.9]), "betas must be two numbers"),
    (put("optimizer.groups.0.params", ["0.weight", "nowhere"]), "nowhere"), (drop("optimizer.groups.0.eps"), "for each group"),
    (put("optimizer.groups.0.params", ["0.weight"]), "steps for its params"),
    (put("optimizer.groups.0.params", ["0.weight", "0.weight"]), "steps for|twice|two groups"),
    (lambda d, t: d["optimizer"]["steps"].update({"0.weight": -1}), "steps.0.weight must be count, got -1"),
    (put("optimizer.steps", {}), "steps for its params"),
    (put("model.module.name", "Linear"), "entries name, config"), (put("model.module", []), "model must|module must be dict"),
    (put("model.module.children.0.name", "subprocess.Popen"), "unknown module 'subprocess.Popen'"),
    (put("model.module.children.0.config.in_features", 10**15),
     r"0.weight must have shape \(8, 1000000000000000\), got \(8, 4\)"),
    (put("model.module.children.0.config.out_features", -8), "must have shape"),
    (put("model.module.children.0.config.device", "cuda"), "TypeError"),
    (put("model.module.children.2.config.p", 1.5), "p must lie in 0..1"),
    (put("model.module.children.1.config.negative_slope", "x"), "negative_slope|TypeError"),
    (drop("model.module.children.3"), "do not fit"),
    (put("model.module.children.1", {"name": "Sequential", "children": 3}), "children must be list"),
    (put("model.module.children.1.name", "GraphModule"), "unknown module"),
    (put("model.aliases", {"x": "0.weight"}), "unexpected"),
    (put("model.aliases", {"x": "nowhere"}), "nowhere"), (put("frozen", ["nowhere"]), "frozen must name parameters"),
    (put("frozen", [3]), r"frozen\[0\] must be str, got 3"), (put("training", 1), "training must be bool, got 1"),
    (put("model.module.children.0.config.dtype", "3,4"), "dtype of a Linear must be float32 or float64, got '3,4'"),
    (put("scheduler.name", "CycleLR"), "unknown scheduler"), (put("scheduler.config.step_size", 0), "step_size must be an int >= 1"),
    (put("scheduler.config.gamma", "1"), "gamma must be number"), (put("scheduler.state.base_lrs", []), "one entry for each"),
    (put("scheduler.config.more", 1), "scheduler.config must have the entries option, step_size, gamma"),
    (put("scheduler.state.last_epoch", 2**80), "last_epoch must be count"),
    (put("trainer.seed", -1), "seed must be seed"), (put("trainer.seed", 2**64), "seed"),
    (put("trainer.backend", "cuda"), "backend must be one of"),
    (put("trainer.num_threads", 10**9), "num_threads must be"), (put("trainer.clip_grad_norm", 0), "clip_grad_norm must be"),
    (put("trainer.scheduler_interval", "week"), "scheduler_interval must be"), (put("trainer.more", 1), "wrong or missing: more"),
    (put("metrics", ["os"]), "metrics must name some of"), (put("metrics", "accuracy"), "metrics must be list, got 'accuracy'"),
    (put("callbacks", [{"name": "EarlyStopping"}]), "wrong or missing: state"),
    (put("callbacks.0.state.weights", {"arrays": ["nowhere"]}), "callback.0.weights/nowhere|missing"),
    (put("state.epoch", -1), "state.epoch must be count, got -1"),
    (put("state.epoch", 1.0), "state.epoch must be count, got 1.0"),
    (put("state.step", 10**30), "state.step must be count"), (put("state.position", 9**9), "position in its steps"),
    (put("state.position", 1), "partial"), (put("state.partial", None), "position must be 0"),
    (put("state.partial.batch", 0), "0 < batch"), (put("state.partial.rows", 3), "0 < batch <= rows"),
    (put("state.history", {"loss": [1.0], "accuracy": []}), "columns of one length"),
    (put("state.history", {"loss": ["x"]}), "could not convert"),
    (put("state.history", []), "history must be dict"), (put("state.forwards", None), "forwards must be count, got None"),
    (drop("state"), "wrong or missing: state"), (put("extra", 1), "wrong or missing: extra"),
    (lambda d, t: [d], "format None"), (lambda d, t: 7, "format None"), (lambda d, t: t.clear(), "weight"),
    (lambda d, t: t.pop("model.0.weight") is None, "0.weight"),
    (lambda d, t: t.pop("optimizer.exp_avg.0.weight") is None, "exp_avg.0.weight is missing"),
    (lambda d, t: t.update(more=np.zeros(3)), "belong to nothing: more"),
    (lambda d, t: t.update({"model.0.bias": np.zeros(8, np.int8)}), "model.0.bias must be float32"),
    (lambda d, t: t.update({"model.0.bias": np.zeros((8, 1), np.float32)}), r"0.bias must have shape \(8,\), got \(8, 1\)"),
    (lambda d, t: t.update({"optimizer.exp_avg.0.bias": np.zeros(1, np.float32)}), "exp_avg.0.bias must be float32 of shape"),
    (lambda d, t: t.update({"partial.result": np.zeros((1, 2))}), "partial.result must be float64 of shape"),
    (lambda d, t: t.update({"partial.output": np.zeros((1, 3), np.float32)}), "partial.output must have the rows"),
]


@pytest.mark.parametrize("change, message", LIES, ids=range(len(LIES)))
def test_lies_are_named(change, message, tmp_path):
    trainer = trainer_of()

    def applied(d, tensors):
        result = change(d, tensors)
        return None if isinstance(result, bool) else result
    (tmp_path / "m.vivace").write_bytes(forged(trainer, applied))
    with pytest.raises(vv.FileError, match=message):
        load(tmp_path / "m.vivace")


def node(index, **changes):
    def change(d, tensors):
        for mode in ("train", "eval"):
            d["model"]["graphs"][mode]["nodes"][index].update(changes)
    return change


def graph(**changes):
    def change(d, tensors):
        for mode in ("train", "eval"):
            d["model"]["graphs"][mode].update(changes)
    return change


@pytest.mark.parametrize("change, message", [
    (node(0, op="eval"), "unknown operation 'eval'"), (node(0, inputs=["nowhere", None, None]), "'nowhere', which nothing makes"),
    (node(0, inputs=[99, "a.weight", "a.bias"]), "99, which nothing makes"),
    (node(0, inputs=[1, "a.weight", "a.bias"]), "nothing makes"),
    (node(0, inputs=[]), "make a trainer"), (node(0, inputs=[0, 0, 0]), "make a trainer"),
    (node(1, attributes={"function": "exec"}), "activation must"),
    (node(0, attributes={"code": "1"}), "make a trainer"),
    (node(1, attributes={"function": "relu", "alpha": 0.5}), "make a trainer"),
    (node(0, inputs=[True, "a.weight", "a.bias"]), "inputs"), (node(0, out=0.5), "out must be count"),
    (graph(output=99), "made by nothing"), (graph(inputs=[5]), "make a trainer"), (graph(inputs=[2**61]), "make a trainer"),
    (graph(inputs=[]), "nothing makes"), (graph(nodes=[]), "make a trainer|made"), (graph(more=1), "graphs|entries"),
    (lambda d, t: d["model"].pop("graphs") is None, "model"),
    (lambda d, t: d["model"]["graphs"].pop("eval") is None, "eval|entries"),
])
def test_forged_graphs(change, message, tmp_path):
    trainer = trainer_of(custom=True)

    def applied(d, tensors):
        change(d, tensors)
    (tmp_path / "m.vivace").write_bytes(forged(trainer, applied))
    with pytest.raises(vv.FileError, match=message):
        load(tmp_path / "m.vivace")


WATCHED = ("exec", "compile", "import", "os.system", "subprocess.Popen", "pickle.find_class", "socket.connect", "os.posix_spawn",
           "code.__new__",
           "marshal.loads", "ctypes.dlopen", "os.remove", "os.rename")
_watch = {"on": False, "seen": []}


def _hook(event, args):
    if _watch["on"] and event in WATCHED:
        _watch["seen"].append((event, str(args)[:200]))


def places(value, path=()):
    """Every path of a description."""
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from places(item, (*path, key))


JUNK = [None, True, -1, 0, 2**63, 1e300, "", "__import__('os').system('true')", "os.system", [], {}, [[]],
        {"name": "Linear", "config": {}},
        ["0.weight"], {"arrays": ["0.weight"]}, 3.5]


def mutated(d, rng):
    """A description with one or two entries replaced, dropped, doubled or swapped."""
    d = copy.deepcopy(d)
    for _ in range(rng.integers(1, 3)):
        paths = [p for p in places(d) if p]
        path = paths[rng.integers(len(paths))]
        at = d
        for key in path[:-1]:
            at = at[key]
        kind = rng.integers(4)
        if kind == 0:
            del at[path[-1]]
        elif kind == 1 and isinstance(at, dict):
            at[str(rng.integers(9))] = at[path[-1]]
        elif kind == 2:
            value = d
            for key in paths[rng.integers(len(paths))]:  # up to where an earlier change took it away
                known = key in value if isinstance(value, dict) else isinstance(value, list) and key < len(value)
                value = value[key] if known else value
            at[path[-1]] = copy.deepcopy(value)
        else:
            at[path[-1]] = copy.deepcopy(JUNK[rng.integers(len(JUNK))])
    return d


@pytest.mark.parametrize("custom", [False, True])
def test_fuzzed_descriptions_run_no_code(custom, tmp_path):
    fuzz(custom, tmp_path, 400)


@pytest.mark.slow
@pytest.mark.parametrize("custom", [False, True])
def test_many_fuzzed_descriptions_run_no_code(custom, tmp_path):
    fuzz(custom, tmp_path, 20000)


def fuzz(custom, tmp_path, times):
    trainer = trainer_of(custom=custom)
    tensors, d = describe(trainer)
    d, rng, loaded = json.loads(json.dumps(d)), np.random.default_rng(times), 0
    path = tmp_path / "m.vivace"
    path.write_bytes(files.seal(tensors, d))
    load(path)
    if not _watch.get("hooked"):
        sys.addaudithook(_hook)
        _watch["hooked"] = True
    for _ in range(times):
        raw = files.seal(tensors, mutated(d, rng))
        path.write_bytes(raw)
        _watch["on"], began = True, time.monotonic()
        try:
            load(path)
            loaded += 1
        except vv.FileError:
            pass
        except UserWarning as warning:  # a metric that is said to be a function
            assert "are functions" in str(warning)
        except ValueError as error:  # a scheduler without options reads as one that holds a function
            assert "holds a function" in str(error)
        finally:
            _watch["on"] = False
        assert time.monotonic() - began < 5
    assert not _watch["seen"] and loaded < times / 2


def test_the_hook_sees_what_it_should():
    """The fuzzing proves something only if the hook would have seen it."""
    if not _watch.get("hooked"):
        sys.addaudithook(_hook)
        _watch["hooked"] = True
    _watch["on"] = True
    try:
        eval("1 + 1")
    finally:
        _watch["on"] = False
    seen, _watch["seen"] = _watch["seen"], []
    assert {event for event, _ in seen} >= {"exec", "compile"}


# --- what is in a file

def test_fortran_ordered_and_strided_arrays_are_not_scrambled():
    rng = np.random.default_rng(0)
    tensors = {"f": np.asfortranarray(rng.standard_normal((5, 7))), "t": rng.standard_normal((3, 4)).T,
               "s": rng.standard_normal((6, 8))[::2, ::-3],
               "empty": np.zeros((0, 3), np.float32), "scalar": np.array(2.5)}
    found, description = files.parse(files.seal(tensors, {"format": 1}))
    assert description == {"format": 1} and all(np.array_equal(found[name], a) and found[name].shape == a.shape for name,
                                                a in tensors.items())


def test_a_fortran_ordered_callback_state_is_not_scrambled(tmp_path):
    class Keeps(vv.callbacks.Callback):
        held = None

        def state(self):
            return {"held": {"a": np.asfortranarray(np.arange(6.0).reshape(2, 3))}, "count": 3}

        def load_state(self, state):
            self.held = state
    trainer = trainer_of(fitted=False)
    X, y = np.zeros((4, 4), np.float32), np.zeros(4, int)
    trainer.fit(X, y, epochs=1, callbacks=Keeps(), verbose=0)
    trainer.save(tmp_path / "m.vivace")
    again = Keeps()
    load(tmp_path / "m.vivace").fit(X, y, epochs=1, callbacks=again, verbose=0)
    assert again.held["held"]["a"].tolist() == [[0, 1, 2], [3, 4, 5]] and again.held["count"] == 3


def test_the_same_state_gives_the_same_description():
    a, b = describe(trainer_of()), describe(trainer_of())
    a[1]["state"]["history"] = b[1]["state"]["history"] = {}  # it holds seconds
    assert a[1] == b[1] and all(np.array_equal(a[0][name], b[0][name]) for name in a[0])


def test_what_no_file_can_hold_is_said_when_saving(tmp_path):
    class MyLoss(nn.MSELoss):
        pass

    class MySGD(optim.SGD):
        pass

    class Odd(vv.callbacks.Callback):
        def state(self):
            return {"f": print}
    model = nn.Linear(4, 1)
    for loss, optimizer, message in ((MyLoss(), optim.SGD(model.parameters()), "loss must be one of .* to be saved, got MyLoss"),
                                     (nn.MSELoss(), MySGD(model.parameters()),
                                      "optimizer must be one of .* to be saved, got MySGD")):
        with pytest.raises(ValueError, match=message):
            vv.Trainer(model, loss, optimizer).save(tmp_path / "m.vivace")
    with pytest.raises(ValueError, match="a parameter that is not the model's"):
        vv.Trainer(nn.Linear(4, 1), nn.MSELoss(), optim.SGD(model.parameters())).save(tmp_path / "m.vivace")
    with pytest.raises(ValueError, match="a custom Module can be saved once it was fitted or predicted with"):
        trainer_of(fitted=False, custom=True).save(tmp_path / "m.vivace")
    trainer = trainer_of(fitted=False)
    trainer.fit(np.zeros((4, 4)), np.zeros(4, int), epochs=1, callbacks=Odd(), verbose=0)
    with pytest.raises(TypeError, match="a file holds numbers, text and lists of them, not builtin_function_or_method"):
        trainer.save(tmp_path / "m.vivace")
    assert not os.listdir(tmp_path)
