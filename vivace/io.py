"""Files: one safetensors file with a typed JSON description and a digest; written whole or not at all, read without running code."""
import hashlib
import json
import os
import tempfile

import numpy as np

from .nn import activations, layers, losses, optim
from .nn.graph import trace
from .nn.graph_module import GraphModule
from .nn.parameter import Parameter
from .history import History

FORMAT = 1
EMPTY = "0" * 64
MODULES = {cls.__name__: cls for cls in (
    layers.Linear, layers.Dropout, layers.Sequential, activations.Identity, activations.Sigmoid, activations.Tanh, activations.ReLU,
    activations.LeakyReLU, activations.ELU, activations.GELU, activations.SiLU, activations.Softplus, activations.Softmax)}
"""Modules that a file may name; anything else is saved as its graph."""


class FileError(ValueError):
    """A file that is not what it should be: truncated, changed, or not ours."""


# --- saving

def save(trainer, path):
    """Write everything `load` needs; the file is the old one or the new one, whole, whatever happens."""
    from safetensors.numpy import save as to_bytes
    tensors, description = describe(trainer)
    meta = {"vivace": json.dumps(description, allow_nan=False), "digest": EMPTY}
    raw = to_bytes({name: np.ascontiguousarray(a) for name, a in tensors.items()}, metadata=meta)
    digest = hashlib.sha256(raw).hexdigest().encode()
    head = raw.index(b'"digest":"' + EMPTY.encode()) + len(b'"digest":"')
    write_whole(path, raw[:head] + digest + raw[head + len(digest):])


def write_whole(path, data):
    """Write `data` to `path` atomically and durably: a new file beside it, synced, renamed over it, the folder synced."""
    path = os.fspath(path)
    folder = os.path.dirname(os.path.abspath(path))
    handle, temporary = tempfile.mkstemp(prefix=os.path.basename(path) + ".", suffix=".part", dir=folder)
    try:
        with os.fdopen(handle, "wb") as f:
            f.write(data)
            f.flush()
            os.fsync(f.fileno())
        os.chmod(temporary, _mode(path))
        os.replace(temporary, path)
    except BaseException:
        if os.path.exists(temporary):
            os.unlink(temporary)
        raise
    directory = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _mode(path):
    """The permissions of the file that is replaced, or those a new file would get."""
    if os.path.exists(path):
        return os.stat(path).st_mode & 0o777
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask


def describe(trainer):
    """(arrays by name, JSON-able description) of a trainer."""
    model, store = trainer.model, trainer.store
    names = {id(p): name for name, p in model.named_parameters()}
    tensors = {f"model.{name}": np.array(p.numpy()) for name, p in model.named_parameters()}
    for p in trainer.optimizer.steps:
        for s in trainer.optimizer.states:
            tensors[f"optimizer.{s}.{names[id(p)]}"] = store.segment(f"{trainer.optimizer._id}/{s}", p).reshape(p.shape).copy()
    partial = trainer.partial
    if partial is not None:
        tensors["partial.result"] = np.array(partial["result"])
        if partial["output"] is not None:
            tensors["partial.output"] = np.array(partial["output"])
    optimizer, scheduler = trainer.optimizer, trainer.scheduler
    return tensors, {
        "format": FORMAT, "dtype": str(store.dtype), "model": _model(trainer, names),
        "frozen": [name for name, p in model.named_parameters() if not p.requires_grad],
        "loss": {"name": type(trainer.loss).__name__, "config": trainer.loss.config()},
        "optimizer": {"name": type(optimizer).__name__, "steps": {names[id(p)]: t for p, t in optimizer.steps.items()},
                      "groups": [{k: [names[id(p)] for p in v] if k == "params" else v for k, v in g.items()}
                                 for g in optimizer.param_groups]},
        "scheduler": None if scheduler is None else {"name": type(scheduler).__name__, "state": scheduler.state_dict()},
        "trainer": {"metrics": [m for m in _list(trainer.metric_names) if isinstance(m, str)], "seed": trainer.seed,
                    "scheduler_interval": trainer.scheduler_interval, "clip_grad_norm": trainer.clip_grad_norm,
                    "num_threads": trainer.num_threads, "backend": trainer.backend},
        "state": {"epoch": trainer.epoch, "step": trainer.step, "position": trainer.position, "forwards": model.forwards,
                  "partial": None if partial is None else {"rows": partial["rows"], "batch": partial["batch"]},
                  "history": trainer.history.state()},
    }


def _list(value):
    return [] if value is None else [value] if isinstance(value, str) or callable(value) else list(value)


def _model(trainer, names):
    model = trainer.model
    aliases = {name: names[id(p)] for name, p in model._all_names() if name != names[id(p)]}
    if isinstance(model, GraphModule):
        return {"graphs": model.graphs, "aliases": aliases}
    if _known(model):
        return {"module": _tree(model), "aliases": aliases}
    widths = trainer_widths(trainer)
    graphs = {mode: trace(model, widths, trainer.store.dtype, mode == "train").describe(names) for mode in ("train", "eval")}
    return {"graphs": graphs, "aliases": aliases}


def trainer_widths(trainer):
    """Input widths of the model, from the plans it ran in."""
    for plan in trainer._plans.values():
        return [t.shape[1] for t in plan.graph.inputs]
    raise ValueError("a custom Module can be saved once it was fitted or predicted with: its graph is not known before")


def _known(module):
    return type(module).__name__ in MODULES and type(module) is MODULES[type(module).__name__] and all(map(_known, module.children()))


def _tree(module):
    if isinstance(module, layers.Sequential):
        return {"name": "Sequential", "children": [_tree(child) for child in module.children()]}
    return {"name": type(module).__name__, "config": module.config()}


# --- loading

def load(path, model=None):
    """The Trainer that `Trainer.save` wrote to `path`.

    model: a Module to fill instead of the saved one (its parameters' names and shapes must agree). Raises FileNotFoundError, or
    FileError with the reason for a file that is truncated, changed or not a Vivace file. No code from the file is run.
    """
    path = os.fspath(path)
    with open(path, "rb") as f:
        raw = f.read()
    tensors, description = parse(raw, path)
    try:
        return _build(tensors, description, model)
    except (KeyError, IndexError, AttributeError) as error:
        raise FileError(f"{path}: its description lacks or misnames {error}") from error


def parse(raw, path="file"):
    """(arrays, description) of a file's bytes, after its digest was compared."""
    from safetensors import SafetensorError
    from safetensors.numpy import load as from_bytes
    size = int.from_bytes(raw[:8], "little") if len(raw) >= 8 else 1 << 63
    if size > len(raw) - 8:
        raise FileError(f"{path} is not a Vivace file, or it is truncated: {len(raw)} bytes")
    mark = b'"digest":"'
    at = raw.find(mark, 8, 8 + size)
    if at < 0:
        raise FileError(f"{path} is not a Vivace file: it has no digest")
    at += len(mark)
    if hashlib.sha256(raw[:at] + EMPTY.encode() + raw[at + 64:]).hexdigest().encode() != raw[at:at + 64]:
        raise FileError(f"{path} is damaged or truncated: its digest does not match")
    try:
        description = json.loads(json.loads(raw[8:8 + size])["__metadata__"]["vivace"])
        tensors = from_bytes(raw)
    except (ValueError, KeyError, TypeError, RecursionError, SafetensorError) as error:
        raise FileError(f"{path} cannot be read: {error}") from error
    if not isinstance(description, dict) or description.get("format") != FORMAT:
        found = description.get("format") if isinstance(description, dict) else None
        raise FileError(f"{path} has format {found!r}, this version reads {FORMAT}")
    return tensors, description


def _build(tensors, d, model):
    from .trainer import Trainer
    arrays = {name.removeprefix("model."): a for name, a in tensors.items() if name.startswith("model.")}
    state = {**arrays, **{alias: arrays[name] for alias, name in d["model"]["aliases"].items()}}
    if model is None:
        model = _make_model(d, arrays)
    model.to(np.dtype(d["dtype"]))
    model.load_state_dict(state)
    params = dict(model.named_parameters())
    for name in d["frozen"]:
        params[name].requires_grad_(False)
    model.forwards = d["state"]["forwards"]
    optimizer = _optimizer(d["optimizer"], params, tensors)
    loss = d["loss"]
    if loss["name"] not in losses.TABLE:
        raise FileError(f"the file names an unknown loss {loss['name']!r}")
    settings = dict(d["trainer"])
    trainer = Trainer(model, losses.TABLE[loss["name"]](**loss["config"]), optimizer, **settings)
    if d["scheduler"] is not None:
        trainer.pending_scheduler = d["scheduler"]
    held = d["state"]
    trainer.epoch, trainer.step, trainer.position = held["epoch"], held["step"], held["position"]
    trainer.history = History.from_state(held["history"])
    if held["partial"] is not None:
        trainer.partial = {**held["partial"], "result": tensors["partial.result"], "output": tensors.get("partial.output")}
    return trainer


def _make_model(d, arrays):
    if "module" in d["model"]:
        return _make_module(d["model"]["module"])
    parameters = {name: Parameter(a) for name, a in arrays.items()}
    parameters |= {alias: parameters[name] for alias, name in d["model"]["aliases"].items()}
    return GraphModule(d["model"]["graphs"], parameters)


def _make_module(tree, depth=0):
    if tree["name"] not in MODULES or depth > 100:
        raise FileError(f"the file names an unknown module {tree['name']!r}")
    if tree["name"] == "Sequential":
        return layers.Sequential(*[_make_module(child, depth + 1) for child in tree["children"]])
    return MODULES[tree["name"]](**tree["config"])


def _optimizer(d, params, tensors):
    if d["name"] not in optim.TABLE:
        raise FileError(f"the file names an unknown optimizer {d['name']!r}")
    groups = [{k: [params[n] for n in v] if k == "params" else tuple(v) if isinstance(v, list) else v for k, v in g.items()}
              for g in d["groups"]]
    optimizer = optim.TABLE[d["name"]](groups)
    for name, t in d["steps"].items():
        optimizer.steps[params[name]] = int(t)
        for s in optimizer.states:
            optimizer.store.segment(f"{optimizer._id}/{s}", params[name])[...] = tensors[f"optimizer.{s}.{name}"].reshape(-1)
    return optimizer
