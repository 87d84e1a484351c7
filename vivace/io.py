"""Saving and loading a Trainer: the typed description of model, optimizer and all state of training. files.py has the bytes."""
import math
import warnings

import numpy as np

from . import adversarial
from .files import FORMAT, FileError, count, number, parse, seal, seed, text_of, typed, write_whole
from .history import History
from .nn import activations, embedding, layers, losses, no_grad, normalisation, optim
from .nn.buffer import Buffer
from .nn.graph import trace
from .nn.graph_module import GraphModule
from .nn.module import Module
from .nn.ops import TABLE
from .nn.optim import lr_scheduler
from .nn.optim.own import OwnOptimizer
from .nn.own import OwnActivation, OwnLoss
from .nn.parameter import Parameter
from .own_functions import OwnFunctions
from .trainer import Trainer

MODULES = {name: cls for room in (layers, activations, normalisation, embedding) for name, cls in vars(room).items()
           if isinstance(cls, type) and cls.__module__ == room.__name__ and name[0] != "_" and cls is not layers.ModuleList}
"""Modules that a file may name; anything else is saved as its graph."""

def _same(*names, **others):
    return {name: name for name in names} | others


CYCLE = _same("cycle_momentum", base_momentum="low", max_momentum="high", max_lr="max_lrs")
SCHEDULERS = {
    "StepLR": _same("option", "step_size", "gamma"), "MultiStepLR": _same("option", "milestones", "gamma"),
    "ExponentialLR": _same("option", "gamma"), "InverseScalingLR": _same("option", "power"),
    "ConstantLR": _same("option", "total_iters", factor="multiplier"),
    "LinearLR": _same("option", "start_factor", "end_factor", "total_iters"), "PolynomialLR": _same("option", "total_iters", "power"),
    "CosineAnnealingLR": _same("option", "T_max", "eta_min"),
    "CosineAnnealingWarmRestarts": _same("option", "T_0", "T_mult", "eta_min"),
    "OneCycleLR": _same("total_steps", "pct_start", "anneal_strategy", "div_factor", "final_div_factor", "three_phase", **CYCLE),
    "CyclicLR": _same("mode", "gamma", "scale_mode", base_lr="low_lrs", step_size_up="up", step_size_down="down", **CYCLE),
    "SequentialLR": _same("milestones"), "ChainedScheduler": {},
    "ReduceLROnPlateau": _same("option", "mode", "patience", "threshold", "threshold_mode", "cooldown", "eps", "monitor",
                               factor="multiplier", min_lr="min_lrs"),
}
"""Schedules that a file may hold: what their constructors take, and the attribute that has it. Others hold functions or layers, or are
the caller's own, who gives them to `load`."""

ARGUMENTS = {**dict.fromkeys(("option", "mode", "threshold_mode", "anneal_strategy", "scale_mode"), str), "monitor": (None, str),
             **dict.fromkeys(("three_phase", "cycle_momentum"), bool), "milestones": [count],
             **dict.fromkeys(("min_lr", "max_lr", "base_lr", "base_momentum", "max_momentum"), [number]),
             **dict.fromkeys(("step_size", "total_iters", "total_steps", "T_max", "T_0", "T_mult", "patience", "cooldown"), count)}
"""Types of what they take, where it is not a number."""

SIZES = {"Linear": ("out_features", "in_features"), "Embedding": ("num_embeddings", "embedding_dim"),
         "EmbeddingBag": ("num_embeddings", "embedding_dim"), "BatchNorm1d": ("num_features",), "LayerNorm": ("normalized_shape",),
         "RMSNorm": ("normalized_shape",), "PReLU": ("num_parameters",)}
"""Modules that have arrays: which of their options are the shape of their weight (or running mean)."""

OPTIONAL = ("BatchNorm1d", "LayerNorm", "RMSNorm")
"""Those of them that may have no array at all."""

SIMPLE = (str, bool, number, None)
GRAPH = {"inputs": [count], "output": count,
         "nodes": [{"op": str, "attributes": {str: SIMPLE}, "inputs": [(count, str, None)], "out": count}]}
DESCRIPTION = {
    "format": count, "dtype": str, "training": bool, "frozen": [str], "buffers": [str],
    "model": ({"module": dict, "aliases": {str: str}}, {"graphs": {"train": GRAPH, "eval": GRAPH}, "aliases": {str: str}}),
    "loss": {"name": str, "config": {str: (*SIMPLE, [number])}},
    "optimizer": {"name": str, "steps": {str: count}, "groups": [{str: (*SIMPLE, [number], [str])}]},
    "scheduler": (None, dict),
    "trainer": {"seed": seed, "scheduler_interval": str, "clip_grad_norm": (None, number), "clip_grad_value": (None, number),
                "accumulate": count, "ema_decay": (None, number), "l2_penalty": (None, number), "mixup": (None, number),
                "num_threads": (None, count), "backend": (None, str)},
    "adversarial": (None, {"name": str, "config": {str: (*SIMPLE, [number])}}),
    "metrics": [str], "functions": [str], "callbacks": [{"name": str, "state": dict}],
    "table": (None, str),
    "state": {"epoch": count, "step": count, "position": count, "forwards": count, "history": {str: [(number, str)]},
              "partial": (None, {"rows": count, "batch": count})},
}
SCHEDULE = {"name": str, "config": (None, {str: (*SIMPLE, [number])}), "state": {str: (number, [number])}}
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
    names = model.state_names()
    if any(id(p) not in names for p in optimizer.steps):
        raise ValueError("the optimizer holds a parameter that is not the model's, so the trainer cannot be saved")
    for what, held, table in (("loss", trainer.loss, losses.TABLE), ("optimizer", optimizer, optim.TABLE)):
        if table.get(type(held).__name__) is not type(held) and not isinstance(held, (OwnLoss, OwnOptimizer)):
            raise ValueError(f"{what} must be one of {', '.join(table)} to be saved, got {type(held).__name__}")
    optimizer.home()
    tensors = {f"model.{name}": np.array(p.numpy()) for named in (model.named_parameters(), model.named_buffers()) for name, p in named}
    for p in optimizer.steps:
        for s in optimizer.states_of(p):
            tensors[f"optimizer.{s}.{names[id(p)]}"] = store.segment(f"{optimizer._id}/{s}", p).reshape(p.shape).copy()
    if trainer.ema_decay is not None:
        tensors |= {f"ema.{name}": store.segment("ema", p).reshape(p.shape).copy() for name, p in model.named_parameters()}
    partial = trainer.partial
    if partial is not None:
        tensors["partial.result"] = np.array(partial["result"])
        if partial["norms"] is not None:
            tensors["partial.norms"] = np.array(partial["norms"])
        if partial["output"] is not None:
            tensors["partial.output"] = np.array(partial["output"])
    return tensors, {
        "format": FORMAT, "dtype": str(store.dtype), "model": _model(trainer, names), "training": model.training,
        "frozen": [name for name, p in model.named_parameters() if not p.requires_grad],
        "buffers": [name for name, _ in model.named_buffers()],
        "loss": {"name": "own" if isinstance(trainer.loss, OwnLoss) else type(trainer.loss).__name__, "config": trainer.loss.config()},
        "optimizer": {"name": _optimizer_name(optimizer), "steps": {names[id(p)]: t for p, t in optimizer.steps.items()},
                      "groups": [{k: [names[id(p)] for p in v] if k == "params" else v for k, v in g.items()}
                                 for g in optimizer.param_groups]},
        "scheduler": _scheduler(trainer.scheduler),
        "trainer": {"seed": trainer.seed, "scheduler_interval": trainer.scheduler_interval,
                    "clip_grad_norm": trainer.clip_grad_norm, "clip_grad_value": trainer.clip_grad_value,
                    "accumulate": trainer.accumulate, "ema_decay": trainer.ema_decay, "mixup": trainer.mixup,
                    "l2_penalty": trainer.penalty and trainer.penalty.alpha,
                    "num_threads": trainer.num_threads, "backend": trainer.backend},
        "adversarial": _adversarial(trainer.adversarial),
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
    aliases = {name: names[id(p)] for name, p in model._all_state() if name != names[id(p)]}
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
    if isinstance(module, layers.Sequential) and list(module._modules) != [str(i) for i in range(len(module))]:
        return False  # names of its own are kept by its graph
    return MODULES.get(type(module).__name__) is type(module) and all(map(_known, module.children()))


def _tree(module):
    if isinstance(module, layers.Sequential):
        return {"name": type(module).__name__, "children": [_tree(child) for child in module.children()]}
    return {"name": "own" if isinstance(module, OwnActivation) else type(module).__name__, "config": module.config()}


def _adversarial(attack):
    if attack is None:
        return None
    if adversarial.TABLE.get(type(attack).__name__) is not type(attack):
        raise ValueError(f"adversarial must be one of {', '.join(adversarial.TABLE)} to be saved, got {type(attack).__name__}")
    return {"name": type(attack).__name__, "config": attack.config()}


def _scheduler(scheduler):
    """A schedule as JSON; its config is None where it cannot be made from a file. One of several has theirs in it."""
    if scheduler is None:
        return None
    name, state = type(scheduler).__name__, scheduler.state_dict()
    takes = SCHEDULERS.get(name) if getattr(lr_scheduler, name, None) is type(scheduler) else None
    if isinstance(scheduler.option, tuple) or getattr(scheduler, "scale_fn", None) is not None:
        takes = None
    parts = {"schedulers": [_scheduler(part) for part in scheduler.schedulers]} if state.pop("schedulers", None) is not None else {}
    if not math.isfinite(state.get("best", 0.0)):
        del state["best"]  # JSON has no infinity: nothing was seen yet
    return {"name": name, "config": None if takes is None else {key: getattr(scheduler, held) for key, held in takes.items()},
            "state": state, **parts}


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
    schedule, needed where the saved one holds a function (LambdaLR) or a layer or is a class of the caller's; it goes on where it stood.
    metrics: instead of the saved ones; functions are not in a file. functions: what nn.activation, nn.loss and optim.optimizer gave for the
    functions that the trainer uses, in a list or by name; a warning tells where a source is not the saved one. Raises
    FileNotFoundError, FileError with the reason for a file that is truncated, changed or not a Vivace file, ValueError for arguments
    that do not fit it. No code from the file is run.
    """
    if model is not None and not isinstance(model, Module):
        got = f"the class {model.__name__}" if isinstance(model, type) else type(model).__name__
        raise TypeError(f"model must be a vivace.nn.Module to fill, got {got}")
    path = text_of(path)
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
        if trainer.ema_decay is not None:
            for name, p in model.named_parameters():
                trainer.store.segment("ema", p)[...] = arrays.take(f"ema.{name}", p.shape).reshape(-1)
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

    def model(self, buffers):
        """{name: array} of the model's parameters and `buffers`, of which those of int64 are counters."""
        names = {name: name.removeprefix("model.") for name in sorted(self.tensors) if name.startswith("model.")}
        counts = {name for name in names if names[name] in buffers and self.tensors[name].dtype == np.int64}
        return {short: self.take(name, dtype=np.int64 if name in counts else None) for name, short in names.items()}

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
    held = arrays.model(d["buffers"])
    state = {**held, **{alias: held[name] for alias, name in d["model"]["aliases"].items()}}
    try:
        model.to(arrays.dtype)
        model.load_state_dict(state)
    except (KeyError, ValueError) as error:
        raise (FileError if given is None else _Misfit)(f"model and arrays do not fit: {error.args[0]}") from error
    params = dict(model.named_parameters())
    if {name for name, _ in model.named_buffers()} != set(d["buffers"]):
        raise (FileError if given is None else _Misfit)(f"model and arrays do not fit: its buffers are {', '.join(d['buffers']) or 'none'}")
    for name, p in params.items():
        p.requires_grad_(name not in d["frozen"])
    if not set(d["frozen"]) <= set(params):
        raise FileError(f"frozen must name parameters, got {', '.join(d['frozen'])}")
    model.forwards = d["state"]["forwards"]
    return model.train(d["training"])


def _make_model(d, arrays, own):
    held, described = arrays.model(d["buffers"]), d["model"]
    if "module" in described:
        return _make_module(described["module"], held, "", own)
    parameters = {name: Buffer(a) if name in d["buffers"] else Parameter(a) for name, a in held.items()}
    parameters |= {alias: parameters[name] for alias, name in described["aliases"].items()}
    model = GraphModule(described["graphs"], parameters, {**TABLE, "own": own.operation})
    with no_grad():  # no rows: shapes and attributes are checked by the operations themselves
        for mode, graph in described["graphs"].items():
            model.train(mode == "train")
            model(*[np.zeros((0, width), arrays.dtype) for width in graph["inputs"]])
            trace(model, graph["inputs"], arrays.dtype, mode == "train")
    return model


def _make_module(tree, held, prefix, own):
    if not isinstance(tree, dict) or tree.get("name") not in ("Sequential", "Residual"):
        typed(tree, LEAF, "module")
        cls = own.activation if tree["name"] == "own" else _named(MODULES, "module", tree["name"])
        config = tree["config"]
        if tree["name"] in SIZES:  # before anything is allocated: the file's size bounds the model's
            bare = tree["name"] in OPTIONAL and config.get("dtype") is None
            if not bare and config.get("dtype") not in ("float32", "float64"):  # NumPy parses other texts as Python literals
                raise FileError(f"dtype of a {tree['name']} must be float32 or float64, got {config.get('dtype')!r}")
            shape = tuple(config.get(size) for size in SIZES[tree["name"]])
            array = next((name for name in ("weight", "running_mean") if f"{prefix}{name}" in held), None)
            if array is None and not bare:
                raise FileError(f"the array {prefix}weight is missing")
            if array is not None and held[f"{prefix}{array}"].shape != shape:
                raise FileError(f"{prefix}{array} must have shape {shape}, got {held[f'{prefix}{array}'].shape}")
        return cls(**config)
    typed(tree, BRANCH, "module")
    return MODULES[tree["name"]](*[_make_module(child, held, f"{prefix}{i}.", own) for i, child in enumerate(tree["children"])])


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
        for s in optimizer.states_of(p):
            optimizer.store.segment(f"{optimizer._id}/{s}", p)[...] = arrays.take(f"optimizer.{s}.{name}", p.shape).reshape(-1)
    return optimizer


def _trainer(d, model, loss, optimizer, metrics):
    trainer = Trainer(model, loss, optimizer, metrics=d["metrics"] if metrics is None else metrics, **d["trainer"])
    if d["adversarial"] is not None:
        trainer.adversarial = _named(adversarial.TABLE, "attack", d["adversarial"]["name"])(**d["adversarial"]["config"])
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
    optimizer = trainer.optimizer
    rates = [dict(group) for group in optimizer.param_groups]
    state = _schedule_state(d, len(rates))
    trainer.scheduler = _make_scheduler(d, optimizer, "scheduler") if make is None else make(optimizer)
    try:
        trainer.scheduler.load_state_dict(_merged(trainer.scheduler.state_dict(), state))
    except ValueError as error:
        raise (FileError if make is None else _Misfit)(f"the schedule and its state do not fit: {error}") from error
    for group, saved in zip(optimizer.param_groups, rates):
        group.update(saved)  # as saved, also where someone changed it since the schedule last did


def _schedule_state(d, groups, where="scheduler"):
    """The state of a schedule, and of those in it, after the types of all that stands in `d` were checked."""
    parts = d.get("schedulers")
    typed(d, SCHEDULE if parts is None else {**SCHEDULE, "schedulers": [dict]}, where)
    kinds = {"last_epoch": count, "base_lrs": [number]}
    typed({key: d["state"].get(key) for key in kinds}, kinds, f"{where}.state")
    if len(d["state"]["base_lrs"]) != groups:
        raise FileError(f"{where}.state.base_lrs must have one entry for each of the {groups} groups")
    inner = {} if parts is None else {"schedulers": [_schedule_state(part, groups, f"{where}.schedulers[{i}]")
                                                     for i, part in enumerate(parts)]}
    return {**d["state"], **inner}


def _make_scheduler(d, optimizer, where):
    name, config = d["name"], d["config"]
    if not config and name != "ChainedScheduler":
        raise _Misfit(f"its {name} holds a function or a layer, or is a class of its own, which no file holds: "
                      "give load(scheduler=lambda optimizer: ...)")
    takes = _named(SCHEDULERS, "scheduler", name)
    typed(config, {key: ARGUMENTS.get(key, number) for key in takes}, f"{where}.config")
    if ("schedulers" in d) != (name in ("SequentialLR", "ChainedScheduler")):
        raise FileError(f"{where} must have schedulers where it is a SequentialLR or ChainedScheduler, and nowhere else")
    parts = [_make_scheduler(part, optimizer, f"{where}.schedulers[{i}]") for i, part in enumerate(d.get("schedulers", ()))]
    if name == "ChainedScheduler":
        return lr_scheduler.ChainedScheduler(parts)
    return getattr(lr_scheduler, name)(optimizer, **config, **({"schedulers": parts} if parts else {}))


def _merged(known, state):
    """`state` over what a new schedule has: its best value, say, which is in no file before it was seen."""
    inner = [_merged(one, other) for one, other in zip(known.get("schedulers", ()), state.get("schedulers", ()))]
    return {**known, **state, **({"schedulers": inner} if inner and len(inner) == len(state["schedulers"]) else {})}


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
    norms = arrays.take("partial.norms", (d["position"],), np.float64) if "partial.norms" in arrays.tensors else None
    trainer.partial = {"rows": rows, "batch": batch, "output": output, "norms": norms,
                       "result": arrays.take("partial.result", (d["position"], 3), np.float64)}


def _callback_state(prefix, state, arrays):
    found = {}
    for key, value in state.items():
        if isinstance(value, dict) and set(value) == {"arrays"}:
            typed(value["arrays"], [str], f"{prefix}.{key}")
            value = {name: arrays.take(f"{prefix}.{key}/{name}", dtype=False) for name in value["arrays"]}
        found[key] = value
    return found
