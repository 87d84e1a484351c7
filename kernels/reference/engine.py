"""The engine in plain Python: runs the records of a plan, one kernel call after the other. The compiled engine does the same."""
import time

import numpy as np

from ..contract import ACTIVATIONS, lanes
from ..record import ROW_STREAM, STEP_STREAM
from .sparse import cut_count

_REALS = (np.dtype(np.float32), np.dtype(np.float64))


def run_plan(records, spaces, table, workspace, rows, batch, row_block, start, last_step, threads, team, seconds, book):
    """Run steps start..last_step: (step, phase, status); status "finished", "time" or "not finite". After ceil(rows / batch) of them a
    new epoch begins, whose rows and results follow those of the one before.

    records: record.RECORD array sorted by phase. spaces: one array or None per space. table: (steps, columns) hyperparameters.
    workspace: a dict that lives as long as the plan; calls prepared once are kept in it. start: (step, phase). book: kernels by name,
    in the order of their numbers.
    """
    step, phase = start
    steps = -(-rows // batch)
    deadline = time.monotonic() + seconds
    phases = int(records["phase"][-1]) + 1
    while step < last_step:
        begun, row = step // steps * rows, step % steps * batch
        calls = _calls(records, spaces, workspace, min(batch, rows - row), book)
        while phase < phases:
            if (step, phase) != tuple(start) and time.monotonic() >= deadline:
                return step, phase, "time"
            for call in calls[phase]:
                loss = call.run(spaces, table, step, begun + row)
                if loss is not None and not np.isfinite(loss[0]):
                    return step, phase, "not finite"
            phase += 1
        step, phase = step + 1, 0
    return last_step, 0, "finished"


def _calls(records, spaces, workspace, n, book):
    """The calls of every phase for a batch of n rows, prepared once per n and kept while the spaces are the same arrays."""
    key = (n, tuple(map(id, spaces)))
    if key not in workspace:
        names = tuple(book)
        while len(workspace) >= 4:
            workspace.pop(next(iter(workspace)))
        phases = [[] for _ in range(int(records["phase"][-1]) + 1)]
        for record in records:
            phases[record["phase"]].append(_Call(record, names[record["op"]], book, spaces, n))
        workspace[key] = phases, list(spaces)
    return workspace[key][0]


class _Call:
    """One record bound to arrays: what does not change from step to step is looked up once."""

    def __init__(self, record, name, book, spaces, n):
        self.spec, self.function = book[name].spec, book[name].plain
        self.is_loss = name == "mean_loss"
        sizes = dict(zip("NIOM", (int(d) for d in record["dim"])))
        sizes["N"] = n if sizes["N"] < 0 else sizes["N"]
        sizes.update(P=sizes["N"], C=sizes["O"], V=sizes["M"], L=lanes(_REALS[record["real"]]))
        sizes["Q"], sizes["B"] = -(-sizes["O"] // sizes["L"]), cut_count(sizes["I"])
        sizes["K"] = sizes["I"] // sizes["O"] if sizes["O"] else 0
        self.arguments, self.streams, self.slots = [], [], []
        for place, array in enumerate(self.spec.arrays):
            if "M" in array.dims:  # a whole data set: it has its own shape and type
                self.arguments.append(spaces[int(record["buf"][place]) >> 48])
                continue
            shape = (sizes["N"], sizes["I"]) if array.dims == ("*",) else tuple(sizes.get(d) if d in sizes else int(d) for d in array.dims)
            self._bind(int(record["buf"][place]), place, shape, self._dtype(array, record), spaces)
        for index, (_, default) in enumerate(self.spec.scalars):
            if record["slot"][index] >= 0:
                self.slots.append((len(self.arguments), int(record["slot"][index]), type(default)))
            self.arguments.append(_scalar(record, index, default))

    @staticmethod
    def _dtype(array, record):
        if array.type in ("int", "f64"):
            return np.dtype(np.int64 if array.type == "int" else np.float64)
        return _REALS[record["source" if array.type == "any" else "real"]]

    def _bind(self, ref, place, shape, dtype, spaces):
        space, offset = ref >> 48, ref & ((1 << 48) - 1)
        if ref < 0 or spaces[space] is None:
            self.arguments.append(None)
        elif space < ROW_STREAM:
            self.arguments.append(_view(spaces[space], offset, shape, dtype))
        else:
            self.arguments.append(None)
            self.streams.append((place, space, offset, space < STEP_STREAM, shape, dtype))

    def run(self, spaces, table, step, row):
        arguments = self.arguments
        for place, space, offset, by_rows, shape, dtype in self.streams:
            arguments[place] = _view(spaces[space], offset * (row if by_rows else step), shape, dtype)
        for place, column, kind in self.slots:
            arguments[place] = kind(table[step, column])
        self.function(*arguments)
        return arguments[2] if self.is_loss else None


def _view(array, offset, shape, dtype):
    raw = array.reshape(-1).view(np.uint8)
    return raw[offset:offset + int(np.prod(shape)) * dtype.itemsize].view(dtype).reshape(shape)


def _scalar(record, index, default):
    if isinstance(default, str):
        return ACTIVATIONS[record["k"][index]]
    return type(default)(record["k"][index] if isinstance(default, int) else record["s"][index])
