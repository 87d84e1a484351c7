"""Saving and loading a Trainer: the typed description of model, optimizer and all state of training. files.py has the bytes."""
import os
import warnings

import numpy as np

from .files import FORMAT, FileError, count, number, parse, seal, seed, typed, write_whole
from .history import History
from .nn import activations, layers, losses, no_grad, optim
from .nn.graph import trace
from .nn.graph_module import GraphModule
from .nn.ops import TABLE
from .nn.optim import lr_scheduler
from .nn.optim.own import OwnOptimizer
from .nn.own import OwnActivation, OwnLoss
from .nn.parameter import Parameter
from .own_functions import OwnFunctions
from .trainer import Trainer

MODULES = {cls.__name__: cls for cls in (
    layers.Linear, layers.Dropout, layers.Sequential, activations.Identity, activations.Sigmoid, activations.Tanh,
    activations.ReLU,
    activations.LeakyReLU, activations.ELU, activations.GELU, activations.SiLU, activations.Softplus, activations.Softmax)}
"""Modules that a file may name; anything else is saved as its graph."""

SCHEDULERS = {"StepLR": ("step_size", "gamma"), "ExponentialLR": ("gamma",)}
"""Schedules that a file may hold, and what their constructors take; others hold functions, which the caller gives to `load`."""

SIMPLE = (str, bool, number, None)
GRAPH = {"inputs": [count], "output": count,
         "nodes": [{"op": str, "attributes": {str: SIMPLE}, "inputs": [(count, str, None)], "out": count}]}
DESCRIPTION = {
    "format": count, "dtype": str, "training": bool, "frozen": [str],
    "model": ({"module": dict, "aliases": {str: str}}, {"graphs": {"train": GRAPH, "eval": GRAPH}, "aliases": {str: str}}),
    "loss": {"name": str, "config": {str: (*SIMPLE, [number])}},
    "optimizer": {"name": str, "steps": {str: count}, "groups": [{str: (*SIMPLE, [number], [str])}]},
    "scheduler": (None, {"name": str, "config": {str: number}, "state": {"last_epoch": count, "base_lrs": [number]}}),
    "trainer": {"seed": seed, "scheduler_interval": str, "clip_grad_norm": (None, number), "num_threads": (None, count),
                "backend": (None, str)},
    "metrics": [str], "functions": [str], "callbacks": [{"name": str, "state": dict}],
    "table": (None, str),
    "state": {"epoch": count, "step": count, "position": count, "forwards": count, "history": {str: [(number, str)]},
              "partial": (None, {"rows": count, "batch": count})},
}
LEAF = {"name": str, "config": {str: SIMPLE}}
BRANCH = {"name": str, "children": list}


# --- saving

def save(trainer, path):
    """Write model, optimizer and the whole state of training to `path`; vivace.load reads it.

    The file is the old one or the new one, whole, whatever happens.
    """
    with trainer._lock:
        write_whole(path, seal(*describe(trainer)))


Trainer.save = save


def describe(trainer):
    """(arrays by name, JSON-able description) of a trainer; ValueError names what no file can hold."""
    model, store, optimizer = trainer.model, trainer.store, trainer.optimizer
    names = {id(p): name for name, p in model.named_parameters()}
    if any(id(p) not in names for p in optimizer.steps):
        raise ValueError("the optimizer holds a parameter that is not the model's, so the trainer cannot be saved")
    for what, held, table in (("loss", trainer.loss, losses.TABLE), ("optimizer", optimizer, optim.TABLE)):
        if table.get(type(held).__name__) is not type(held) and not isinstance(held, (OwnLoss, OwnOptimizer)):
            raise ValueError(f"{what} must be one of {', '.join(table)} to be saved, got {type(held).__name__}")
    optimizer.home()
    tensors = {f"model.{name}": np.array(p.numpy()) for name, p in model.named_parameters()}
    for p in optimizer.steps:
        for s in optimizer.states:
            tensors[f"optimizer.{s}.{names[id(p)]}"] = store.segment(f"{optimizer._id}/{s}", p).reshape(p.shape).copy()
    partial = trainer.partial
    if partial is not None:
        tensors["partial.result"] = np.array(partial["result"])
        if partial["output"] is not None:
            tensors["partial.output"] = np.array(partial["output"])
    return tensors, {
        "format": FORMAT, "dtype": str(store.dtype), "model": _model(trainer, names), "training": model.training,
        "frozen": [name for name, p in model.named_parameters() if not p.requires_grad],
        "loss": {"name": "own" if isinstance(trainer.loss, OwnLoss) else type(trainer.loss).__name__, "config": trainer.loss.config()},
        "optimizer": {"name": _optimizer_name(optimizer), "steps": {names[id(p)]: t for p, t in optimizer.steps.items()},
                      "groups": [{k: [names[id(p)] for p in v] if k == "params" else v for k, v in g.items()}
                                 for g in optimizer.param_groups]},
        "scheduler": _scheduler(trainer.scheduler),
        "trainer": {"seed": trainer.seed, "scheduler_interval": trainer.scheduler_interval,
                    "clip_grad_norm": trainer.clip_grad_norm,
                    "num_threads": trainer.num_threads, "backend": trainer.backend},
        "metrics": [m for m in _list(trainer.metric_names) if isinstance(m, str)],
        "functions": [getattr(m, "__name__", type(m).__name__) for m in _list(trainer.metric_names) if not isinstance(m, str)],
        "callbacks": [{"name": name, "state": _callback(f"callback.{i}", state, tensors)}
                      for i, (name, state) in enumerate(trainer.callback_states())],
        "table": None if trainer.table is None else trainer.table.to_json(),
        "state": {"epoch": trainer.epoch, "step": trainer.step, "position": trainer.position, "forwards": model.forwards,
                  "partial": None if partial is None else {"rows": partial["rows"], "batch": partial["batch"]},
                  "history": trainer.history.state()},
    }


def _optimizer_name(optimizer):
    """Its class, or "own/<function>/<hash of its source>"."""
    if isinstance(optimizer, OwnOptimizer):
        return f"own/{optimizer.own.name}/{optimizer.own.source}"
    return type(optimizer).__name__


def _list(value):
    return [] if value is None else [value] if isinstance(value, str) or callable(value) else list(value)


def _model(trainer, names):
    model = trainer.model
    aliases = {name: names[id(p)] for name, p in model._all_names() if name != names[id(p)]}
    if isinstance(model, GraphModule):
        return {"graphs": model.graphs, "aliases": aliases}
    if _known(model):
        return {"module": _tree(model), "aliases": aliases}
    if trainer.widths is None:
        raise ValueError("a custom Module can be saved once it was fitted or predicted with: its graph is not known before")
    graphs = {mode: trace(model, trainer.widths, trainer.store.dtype, mode == "train").describe(names) for mode in ("train",
                                                                                                                    "eval")}
    return {"graphs": graphs, "aliases": aliases}


def _known(module):
    if isinstance(module, OwnActivation):
        return True
    return MODULES.get(type(module).__name__) is type(module) and all(map(_known, module.children()))


def _tree(module):
    if isinstance(module, layers.Sequential):
        return {"name": "Sequential", "children": [_tree(child) for child in module.children()]}
    return {"name": "own" if isinstance(module, OwnActivation) else type(module).__name__, "config": module.config()}


def _scheduler(scheduler):
    if scheduler is None:
        return None
    name = type(scheduler).__name__
    takes = SCHEDULERS.get(name, ()) if getattr(lr_scheduler, name, None) is type(scheduler) else ()
    state = scheduler.state_dict()
    return {"name": name, "config": {key: getattr(scheduler, key) for key in takes},
            "state": {"last_epoch": state["last_epoch"], "base_lrs": list(state["base_lrs"])}}


def _callback(prefix, state, tensors):
    """A callback's state as JSON; a dict of arrays in it goes to the tensors and leaves their names."""
    described = {}
    for key, value in state.items():
        if isinstance(value, dict) and value and all(isinstance(a, np.ndarray) for a in value.values()):
            tensors |= {f"{prefix}.{key}/{name}": a for name, a in value.items()}
            value = {"arrays": list(value)}
        described[key] = value
    return described


# --- loading

def load(path, model=None, scheduler=None, metrics=None, functions=None):
    """The Trainer that `Trainer.save` wrote to `path`.

    model: a Module to fill instead of the saved one (its parameters' names and shapes must agree). scheduler: f(optimizer) -> the
    schedule, needed where the saved one is a function's (LambdaLR) or the caller's own class; it goes on where it stood. metrics:
    instead of the saved ones; functions are not in a file. functions: what nn.activation, nn.loss and optim.optimizer gave for the
    functions that the trainer uses, in a list or by name; a warning tells where a source is not the saved one. Raises
    FileNotFoundError, FileError with the reason for a file that is truncated, changed or not a Vivace file, ValueError for arguments
    that do not fit it. No code from the file is run.
    """
    path = os.fspath(path)
    with open(path, "rb") as f:
        raw = f.read()
    tensors, d = parse(raw, path)
    try:
        typed(d, DESCRIPTION)
    except FileError as error:
        raise FileError(f"{path}: {error}") from None
    if d["functions"] and metrics is None:
        named = ", ".join(d["functions"])
        warnings.warn(f"{path}: the metrics {named} are functions, which no file holds: give load(metrics=...)", stacklevel=2)
    try:
        arrays = _Arrays(tensors, d)
        own = OwnFunctions(functions, path, _Misfit)
        model = _fill(d, arrays, model, own)
        optimizer = _optimizer(d["optimizer"], dict(model.named_parameters()), arrays, own)
        loss = own.loss if d["loss"]["name"] == "own" else _named(losses.TABLE, "loss", d["loss"]["name"])
        loss = loss(**d["loss"]["config"])
        trainer = _trainer(d, model, loss, optimizer, metrics)
        _restore_scheduler(trainer, d["scheduler"], scheduler)
        _restore_state(trainer, d["state"], arrays)
        trainer.table = _table(d["table"])
        trainer.restored = [(c["name"], _callback_state(f"callback.{i}", c["state"], arrays)) for i,
                            c in enumerate(d["callbacks"])]
        arrays.all_taken()
    except FileError as error:
        raise FileError(f"{path}: {error}") from error.__cause__
    except _Misfit as error:
        raise ValueError(f"{path}: {error}") from error.__cause__
    except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError, MemoryError) as error:
        raise FileError(f"{path}: its description does not make a trainer: {type(error).__name__}: {error}") from error
    return trainer


class _Misfit(Exception):
    """What the caller gave does not fit the file."""


class _Arrays:
    """The arrays of a file: each is of the expected shape and type when it is taken, and none is left over."""

    def __init__(self, tensors, d):
        if d["dtype"] not in ("float32", "float64"):
            raise FileError(f"dtype must be float32 or float64, got {d['dtype']!r}")
        self.tensors, self.dtype, self.taken = tensors, np.dtype(d["dtype"]), set()

    def take(self, name, shape=None, dtype=None):
        """The array `name`, of `shape` where that is known; dtype None: the model's, False: any."""
        if name not in self.tensors:
            raise FileError(f"the array {name} is missing")
        array = self.tensors[name]
        wanted = self.dtype if dtype is None else np.dtype(dtype) if dtype else array.dtype
        if array.dtype != wanted or (shape is not None and array.shape != tuple(shape)):
            raise FileError(f"{name} must be {wanted} of shape {shape or 'its own'}, got {array.dtype} of shape {array.shape}")
        self.taken.add(name)
        return array

    def named(self, prefix):
        """{rest of the name: array} of those whose name begins with `prefix`."""
        return {name.removeprefix(prefix): self.take(name) for name in sorted(self.tensors) if name.startswith(prefix)}

    def all_taken(self):
        left = sorted(set(self.tensors) - self.taken)
        if left:
            raise FileError(f"arrays that belong to nothing: {', '.join(left[:3])}")


def _named(table, what, name):
    if name not in table:
        raise FileError(f"the file names an unknown {what} {name!r}; known are {', '.join(table)}")
    return table[name]


def _fill(d, arrays, given, own):
    model = _make_model(d, arrays, own) if given is None else given
    held = arrays.named("model.")
    state = {**held, **{alias: held[name] for alias, name in d["model"]["aliases"].items()}}
    try:
        model.to(arrays.dtype)
        model.load_state_dict(state)
    except (KeyError, ValueError) as error:
        raise (FileError if given is None else _Misfit)(f"model and arrays do not fit: {error.args[0]}") from error
    params = dict(model.named_parameters())
    for name, p in params.items():
        p.requires_grad_(name not in d["frozen"])
    if not set(d["frozen"]) <= set(params):
        raise FileError(f"frozen must name parameters, got {', '.join(d['frozen'])}")
    model.forwards = d["state"]["forwards"]
    return model.train(d["training"])


def _make_model(d, arrays, own):
    held, described = arrays.named("model."), d["model"]
    if "module" in described:
        return _make_module(described["module"], held, "", own)
    parameters = {name: Parameter(a) for name, a in held.items()}
    parameters |= {alias: parameters[name] for alias, name in described["aliases"].items()}
    model = GraphModule(described["graphs"], parameters, {**TABLE, "own": own.operation})
    with no_grad():  # no rows: shapes and attributes are checked by the operations themselves
        for mode, graph in described["graphs"].items():
            model.train(mode == "train")
            model(*[np.zeros((0, width), arrays.dtype) for width in graph["inputs"]])
            trace(model, graph["inputs"], arrays.dtype, mode == "train")
    return model


def _make_module(tree, held, prefix, own):
    if not isinstance(tree, dict) or tree.get("name") != "Sequential":
        typed(tree, LEAF, "module")
        cls = own.activation if tree["name"] == "own" else _named(MODULES, "module", tree["name"])
        if cls is layers.Linear:  # before anything is allocated: the file's size bounds the model's
            if tree["config"].get("dtype") not in ("float32", "float64"):  # NumPy parses other texts as Python literals
                raise FileError(f"dtype of a Linear must be float32 or float64, got {tree['config'].get('dtype')!r}")
            shape = (tree["config"].get("out_features"), tree["config"].get("in_features"))
            if held[f"{prefix}weight"].shape != shape:
                raise FileError(f"{prefix}weight must have shape {shape}, got {held[f'{prefix}weight'].shape}")
        return cls(**tree["config"])
    typed(tree, BRANCH, "module")
    return layers.Sequential(*[_make_module(child, held, f"{prefix}{i}.", own) for i, child in enumerate(tree["children"])])


def _optimizer(d, params, arrays, own):
    cls = own.optimizer(d["name"]) if d["name"].startswith("own/") else _named(optim.TABLE, "optimizer", d["name"])
    groups = [{k: [params[n] for n in v] if k == "params" else tuple(v) if isinstance(v, list) else v for k, v in g.items()}
              for g in d["groups"]]
    optimizer = cls(groups)
    held = {name for g in d["groups"] for name in g["params"]}
    if any(set(g) != {"params", *optimizer.defaults} for g in d["groups"]) or set(d["steps"]) != held:
        raise FileError(f"optimizer must have for each group {', '.join(optimizer.defaults)}, and steps for its params")
    for name, t in d["steps"].items():
        p = params[name]
        optimizer.steps[p] = t
        for s in optimizer.states:
            optimizer.store.segment(f"{optimizer._id}/{s}", p)[...] = arrays.take(f"optimizer.{s}.{name}", p.shape).reshape(-1)
    return optimizer


def _trainer(d, model, loss, optimizer, metrics):
    trainer = Trainer(model, loss, optimizer, metrics=d["metrics"] if metrics is None else metrics, **d["trainer"])
    trainer.widths = d["model"]["graphs"]["eval"]["inputs"] if "graphs" in d["model"] else None
    return trainer


def _table(described):
    if described is None:
        return None
    from .table import TableEncoder  # only where a table is in the file
    return TableEncoder.from_json(described)


def _restore_scheduler(trainer, d, make):
    if d is None:
        if make is not None:
            raise _Misfit("scheduler is given, but the file holds none")
        return
    if make is None and not d["config"]:
        raise _Misfit(f"its {d['name']} holds a function, which no file does: give load(scheduler=lambda optimizer: ...)")
    if make is None:
        takes = _named(SCHEDULERS, "scheduler", d["name"])
        typed(d["config"], dict.fromkeys(takes, number), "scheduler.config")
        if not d["config"].get("step_size", 1) >= 1:
            raise FileError(f"scheduler.config.step_size must be >= 1, got {d['config']['step_size']}")
        config = {name: float(value) if name == "gamma" else value for name, value in d["config"].items()}
        make = lambda optimizer: getattr(lr_scheduler, d["name"])(optimizer, **config)
    rates = [group["lr"] for group in trainer.optimizer.param_groups]
    if len(d["state"]["base_lrs"]) != len(rates):
        raise FileError(f"scheduler.state.base_lrs must have one entry for each of the {len(rates)} groups")
    trainer.scheduler = make(trainer.optimizer)
    trainer.scheduler.load_state_dict(d["state"])
    for group, rate in zip(trainer.optimizer.param_groups, rates):
        group["lr"] = rate  # as saved, also where someone changed it since the schedule last did


def _restore_state(trainer, d, arrays):
    trainer.epoch, trainer.step, trainer.position = d["epoch"], d["step"], d["position"]
    trainer.history = History.from_state(d["history"])
    partial = d["partial"]
    if partial is None:
        if d["position"]:
            raise FileError("state.position must be 0 where no epoch is under way")
        return
    rows, batch = partial["rows"], partial["batch"]
    done = d["position"]
    if not 0 < batch <= rows or done > -(-rows // batch):
        raise FileError(f"state.partial must have 0 < batch <= rows and position in its steps, got {batch}, {rows}, {done}")
    output = None
    if "partial.output" in arrays.tensors:
        output = arrays.take("partial.output")
        if output.ndim != 2 or len(output) != min(d["position"] * batch, rows):
            raise FileError(f"partial.output must have the rows of {d['position']} steps, got shape {output.shape}")
    trainer.partial = {"rows": rows, "batch": batch, "output": output,
                       "result": arrays.take("partial.result", (d["position"], 2), np.float64)}


def _callback_state(prefix, state, arrays):
    found = {}
    for key, value in state.items():
        if isinstance(value, dict) and set(value) == {"arrays"}:
            typed(value["arrays"], [str], f"{prefix}.{key}")
            value = {name: arrays.take(f"{prefix}.{key}/{name}", dtype=False) for name in value["arrays"]}
        found[key] = value
    return found
