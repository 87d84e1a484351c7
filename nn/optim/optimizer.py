"""What all optimizers share: groups, state in the flat store, and one description of an update for the eager step and the plan."""
import itertools

import numpy as np

from ... import kernels
from ...kernels import record as R
from ..checks import entries, flag, not_negative, number
from ..parameter import Parameter
from ..recorder import Buffer, Slot
from ..store import Store, write_time
from .lr_scheduler import write

_ids = itertools.count()

_CONSTANTS = (int, float, str, tuple, np.generic, type(None))

AHEAD = 64
"""Steps whose scalars an eager step computes at once: for one step alone NumPy's calls cost more than a small layer."""

MANY = 256
"""Steps from which a run's scalars are computed when it asks for them: fewer are kept ready, some more each time."""


class Optimizer:
    """Base. A subclass names its kernel and states, and gives the kernel's scalars for a step.

    params: parameters, or dicts {"params": [...], option: value} as in PyTorch, each a group with options of its own. Options of every
    optimizer: maximize (go up instead of down), l1_decay (l1_decay * sign(p) is added to the gradient, as weight_decay * p is) and
    max_norm (after an update, rows of a weight matrix whose norm exceeds it are scaled down to it; None: no limit).
    """

    kernel = ""
    states = ()
    constrains = True  # whether its kernel takes l1_decay, maximize and a bound of the gradient's elements
    whole = False  # whether it works on all rows at once instead of on gradients of batches

    def __init__(self, params, defaults, *, maximize=False, l1_decay=0.0, max_norm=None):
        self.defaults = {**defaults, "maximize": maximize, "l1_decay": l1_decay, "max_norm": max_norm}
        if isinstance(params, Parameter) or not hasattr(params, "__iter__"):
            raise TypeError(f"params must be parameters, as model.parameters() gives, or groups, got {type(params).__name__}")
        groups = list(params)
        if not groups:
            raise ValueError("params must hold at least one parameter, got none")
        if not isinstance(groups[0], dict):
            groups = [{"params": groups}]
        self.param_groups, self.initial_options = [], {}  # (group, option) -> its value before the first schedule of it
        for group in groups:
            self._add(group)
        self.steps = {p: 0 for group in self.param_groups for p in group["params"]}
        self.layers = []  # (layer, name): numbers of layers that schedules of this optimizer move
        self._settle()

    def _settle(self):
        """Take room for states in the parameters' store, under a name of this optimizer's own."""
        self.store = Store.of(self.steps)
        self._id = f"{type(self).__name__}{next(_ids)}"
        self._views = {}  # parameter -> what step() hands to the kernel, while it stays where it is
        self._ahead = {}  # index of a group -> its options, and the scalars of the steps from one on
        self._rows = None  # what fill() computed last: columns, options, their places, first step, rows of a table

    def __getstate__(self):
        """For pickle and deepcopy: states with the parameters that they belong to, instead of places in a store."""
        kept = {name: value for name, value in self.__dict__.items() if name not in ("store", "_id", "_views", "_ahead")}
        held = [(p, s, self.home().segment(f"{self._id}/{s}", p).copy()) for p in self.steps for s in self.states_of(p)]
        return {**kept, "held": held}

    def __setstate__(self, state):
        held = state.pop("held")
        self.__dict__.update(state)
        self._settle()
        for p, s, values in held:
            self.store.segment(f"{self._id}/{s}", p)[...] = values

    def _add(self, group):
        if not isinstance(group, dict) or "params" not in group:
            got = ", ".join(group) or "none" if isinstance(group, dict) else type(group).__name__
            raise ValueError(f"params must hold parameters, or groups {{'params': [...], option: value}}, got a group of {got}")
        unknown = set(group) - set(self.defaults) - {"params"}
        if unknown:
            raise TypeError(f"{type(self).__name__} has no option {', '.join(sorted(unknown))}")
        group = {**self.defaults, **group, "params": [group["params"]] if isinstance(group["params"], Parameter) else list(group["params"])}
        for p in group["params"]:
            if not isinstance(p, Parameter):
                raise TypeError(f"params must hold Parameters, got {type(p).__name__}")
            if any(p is q for other in self.param_groups for q in other["params"]):
                raise ValueError("params: a parameter stands in two groups")
        if len(set(map(id, group["params"]))) < len(group["params"]):
            raise ValueError("params: a parameter stands twice in a group")
        self._check(group)
        self.param_groups.append({name: tuple(value) if isinstance(value, list) and name != "params" else value
                                  for name, value in group.items()})

    def _check(self, group):
        """Raise TypeError or ValueError for options that are none: of a new group, and of one whose options were changed."""
        flag("maximize", group["maximize"])
        not_negative("l1_decay", group["l1_decay"])
        if group["max_norm"] is not None:
            number("max_norm", group["max_norm"], low=0, infinite=True)
        self.check(group)

    def check(self, group):
        """_check() for the options of a subclass."""

    def scalars(self, group, t):
        """The kernel's scalars by name for step t = 1, 2, ... (a float array: values may be arrays like it)."""
        raise NotImplementedError

    def rests(self, group, t):
        """For each step t 1 where an element whose gradient is 0 stays as it is, states included, else 0."""
        return 0.0 * t

    def uses(self, group):
        """The states this group needs."""
        return self.states

    def states_of(self, p):
        """The states that parameter p needs."""
        return self.uses(self._group_of(p)[1])

    def _scalars(self, group, t):
        """scalars(group, t) and what every kernel takes after them."""
        return {**self.scalars(group, t), "l1": group["l1_decay"]} if self.constrains else self.scalars(group, t)

    def home(self):
        """The store in which the parameters live now."""
        for p in self.steps:
            if p._store is not self.store:
                self.store = Store.of(self.steps)
                break
        return self.store

    def state_vector(self, name):
        """The flat vector of one state."""
        return self.home().vector(f"{self._id}/{name}")

    def step(self):
        """Update every parameter that has a gradient."""
        store = self.home()
        k = kernels.get()
        run = getattr(k, self.kernel)
        for index, group in enumerate(self.param_groups):
            used, before = self.uses(group), 0
            for p in group["params"]:
                if not p._has_grad or not p.requires_grad:
                    continue
                t = self.steps[p] = self.steps[p] + 1
                if t != before:
                    scalars, before = self._scalars_of(index, group, t), t
                held = self._views.get(p)
                if held is None or held[0] is not p._array or held[1] != used:
                    held = self._views[p] = p._array, used, self._arrays(store, p, used)
                run(*held[2], *scalars)
                p._changed = write_time()
                if group["max_norm"] is not None and p.ndim == 2:
                    k.limit_rows(p._array, group["max_norm"])
        store.version += 1

    def _arrays(self, store, p, used):
        """Gradient, parameter and states as vectors (P,)."""
        states = [store.segment(f"{self._id}/{s}", p) if s in used else None for s in self.states]
        return p._grad_array.reshape(-1), p._array.reshape(-1), *states

    def _scalars_of(self, index, group, t):
        """The kernel's scalars for step t, from a table of the next AHEAD steps that holds while the options stay."""
        first, options, table = self._ahead.get(index, (0, None, ()))
        if not 0 <= t - first < len(table) or group != options:
            if group != options:
                self._check(group)
            steps = np.arange(t, t + AHEAD, dtype=np.float64)
            columns = [v.tolist() if isinstance(v, np.ndarray) and v.ndim else [v] * AHEAD for v in self._scalars(group, steps).values()]
            if self.constrains:
                columns.append([group["maximize"]] * AHEAD)
            first, table = t, list(zip(*columns))
            self._ahead[index] = first, _copied(group), table
        return table[t - first]

    def options(self):
        """The options of all groups, to compare param_groups with later."""
        return [_copied(group) for group in self.param_groups]

    def zero_grad(self, set_to_none=True):
        """Forget all gradients."""
        for p in self.steps:
            p._has_grad = False

    def record(self, k, p, clip=0.0):
        """Write the update of parameter p down on recorder k; its scalars become slots of the plan's table. clip: largest magnitude of
        an element of the gradient (0: any). Returns the calls."""
        index, group = self._group_of(p)
        size = p.dtype.itemsize
        used = self.uses(group)
        states = [Buffer((p.size,), "real", (R.STATE + i, p._offset * size)) if s in used else None for i, s in enumerate(self.states)]
        names = self._scalars(group, np.array([1.0]))
        slots = [Slot(f"{index}/{self.steps[p]}/{name}") for name in names]
        place = R.PARAMETERS, p._offset * size
        more = [group["maximize"], clip] if self.constrains else []
        calls = [getattr(k, self.kernel)(Buffer((p.size,), "real", (R.GRADIENTS, p._offset * size)), Buffer((p.size,), "real", place),
                                         *states, *slots, *more)]
        if group["max_norm"] is not None and p.ndim == 2:
            calls.append(k.limit_rows(Buffer(p.shape, "real", place), float(group["max_norm"])))
        return calls

    def resting(self, p):
        """The slot of rests() for parameter p; None where it is 0 by the options of now."""
        index, group = self._group_of(p)
        return Slot(f"{index}/{self.steps[p]}/rests") if self.rests(group, np.array([2.0])).any() else None

    def _group_of(self, p):
        return next((i, g) for i, g in enumerate(self.param_groups) if any(p is q for q in g["params"]))

    def spaces(self):
        """The state vectors that are in use, by the plan's spaces."""
        used = {s for group in self.param_groups for s in self.uses(group)}
        return {R.STATE + i: self.state_vector(s) for i, s in enumerate(self.states) if s in used}

    def fill(self, table, columns, done, ahead=None):
        """Write the scalars of the next len(table) steps into a plan's table; `done` steps ran since the plan was made. ahead: for each
        group {option: array, one value a step} of what a schedule changes on the way.

        Without a schedule the rows of further steps are computed too, more each time they run out: a short epoch costs a copy of some.
        Numbers of layers are read each time: they stand in no options that could be compared.
        """
        if ahead or self.layers or len(table) >= MANY:
            for group in self.param_groups:
                self._check(group)
            self._write(table, columns, done, ahead)
            return
        steps = len(table)
        held_columns, options, places, first, rows = self._rows or (None, None, None, 0, ())
        same = held_columns is columns and self.param_groups == options
        for group in () if same else self.param_groups:
            self._check(group)
        if not (same and first <= done and done + steps <= first + len(rows)):
            rows = np.zeros((max(steps, min(2 * len(rows), 2 * MANY)) if same else steps, table.shape[1]))
            self._write(rows, columns, done)
            places = [column for name, column in columns.items() if name.count("/") == 2]
            places = slice(None) if len(places) == table.shape[1] else places
            first, self._rows = done, (columns, self.options(), places, done, rows)
        table[:, places] = rows[done - first:done - first + steps, places]

    def _write(self, table, columns, done, ahead=None):
        """fill(), computed anew."""
        cached = {}
        for name, column in columns.items():
            if name.startswith("layer/"):
                place = self.layers[int(name[6:])]
                table[:, column] = ahead[0].get(place, getattr(*place)) if ahead else getattr(*place)
            if name.count("/") != 2:
                continue
            index, before, scalar = name.split("/")
            if (index, before) not in cached:
                t = int(before) + done + 1 + np.arange(len(table), dtype=np.float64)
                group = self.param_groups[int(index)]
                if ahead:
                    group = dict(group)
                    write(group, {option: values for option, values in ahead[int(index)].items() if not isinstance(option, tuple)})
                cached[index, before] = {**self._scalars(group, t), "rests": self.rests(group, t)}
            table[:, column] = cached[index, before][scalar]

    def signature(self):
        """What a plan depends on: the parameters of each group, which of them are trained, which states are in use, and options that a
        plan has no slot for."""
        return tuple((tuple((id(p), p.requires_grad) for p in group["params"]), self.uses(group), bool(group["maximize"]),
                      group["max_norm"]) for group in self.param_groups) + tuple((id(layer), name) for layer, name in self.layers)

    def schedule_layer(self, layer, name):
        """Have plans read the number `name` of a layer step by step: schedules call it for an option (layer, name)."""
        if name not in getattr(layer, "scheduled", ()):
            raise ValueError(f"option must name a number of a layer that a plan has a slot for (p of Dropout, std of GaussianNoise), "
                             f"got {name!r} of {layer!r}")
        if (layer, name) not in self.layers:
            self.layers.append((layer, name))

    def slot_of_layer(self, layer, name):
        """Its slot in plans, or None where no schedule moves it."""
        return Slot(f"layer/{self.layers.index((layer, name))}") if (layer, name) in self.layers else None

    def state_dict(self):
        """{"state": per parameter its step count and states, "param_groups": options}, parameters numbered in order."""
        number = {p: i for i, p in enumerate(self.steps)}
        state = {i: {"step": self.steps[p],
                     **{s: self.home().segment(f"{self._id}/{s}", p).reshape(p.shape).copy() for s in self.states_of(p)}}
                 for p, i in number.items()}
        groups = [{**{k: v for k, v in g.items() if k != "params"}, "params": [number[p] for p in g["params"]]} for g in self.param_groups]
        return {"state": state, "param_groups": groups}

    def load_state_dict(self, state):
        """Take over what state_dict() gave; raises ValueError where it does not fit, and then nothing has changed.

        Options that this optimizer does not have, as `foreach` of PyTorch's, are left out.
        """
        entries("state_dict", state, ("state", "param_groups"))
        for saved in state["param_groups"]:
            entries("state_dict: a group", saved, ("params",))
        if [len(g["params"]) for g in state["param_groups"]] != [len(g["params"]) for g in self.param_groups]:
            raise ValueError("state_dict has other parameter groups than this optimizer")
        groups = [{**group, **{k: tuple(v) if isinstance(v, list) else v for k, v in saved.items() if k in self.defaults}}
                  for group, saved in zip(self.param_groups, state["param_groups"])]
        steps, held = {}, []
        for i, p in enumerate(self.steps):
            found = state["state"].get(i, state["state"].get(str(i)))
            if found is None:
                continue
            names = self.uses(groups[self._group_of(p)[0]])
            entries(f"state_dict: the state of parameter {i}", found, ("step", *names))
            steps[p] = int(found["step"])
            for s in names:
                array = np.asarray(found[s])
                if array.shape != p.shape:
                    raise ValueError(f"state_dict: {s} of parameter {i} must have shape {p.shape}, got {array.shape}")
                held.append((s, p, array.reshape(-1)))
        for group in groups:
            self._check(group)
        for group, loaded in zip(self.param_groups, groups):
            group.update(loaded)
        self.steps.update(steps)
        for s, p, array in held:
            self.home().segment(f"{self._id}/{s}", p)[...] = array

    def __repr__(self):
        options = ", ".join(f"{k}={v}" for k, v in self.param_groups[0].items() if k != "params")
        return f"{type(self).__name__}({options})"


def _copied(group):
    """A copy of a group's options; None, which equals nothing, where one may change without being set."""
    return dict(group) if all(isinstance(v, _CONSTANTS) for k, v in group.items() if k != "params") else None
