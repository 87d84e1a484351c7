"""Flat storage: parameters, gradients and each optimizer state of a model are one aligned vector each."""
import itertools

import numpy as np

ALIGNMENT = 64

PAGE = 4096
"""Bytes within which a core reads ahead of what it is asked for."""

MANY_PAGES = 1 << 20
"""Bytes of a vector from which pages no longer help: 784-512-256-10 at batch 128 1,206 us on pages, 1,195 so."""

moves = [0]
"""Parameters that came to live elsewhere so far: what was found out about places holds while this stands still."""


clock = itertools.count(1)
"""Numbers operations and writes of parameters in the order they happen: a backward sees which weights are no longer its own."""

last_write = [0]
"""When a parameter of any model was written last."""


def write_time():
    """The number of a write that happens now."""
    last_write[0] = now = next(clock)
    return now


def aligned(size, dtype):
    """Zeros (size,) that begin on a cache line, on a page where they fill one: several vectors gone through side by side then never meet in
    the lower bits of an address, by which a core tells whether to wait for what it has just written."""
    dtype = np.dtype(dtype)
    edge = PAGE if PAGE <= size * dtype.itemsize <= MANY_PAGES else ALIGNMENT
    raw = np.zeros(size * dtype.itemsize + edge, np.uint8)
    start = -raw.ctypes.data % edge
    return raw[start:start + size * dtype.itemsize].view(dtype)


class Store:
    """Vectors over the same segments. vectors["data"] and ["grad"] always; optimizers add theirs under "<their id>/<name>". Beside
    them, vectors["buffers"]: bytes, the buffers of the modules, each on a cache line of its own.

    Every parameter begins on a cache line; the gaps hold zeros. `version` counts writes from outside a plan, `changed` tells when the
    last one of all parameters was; `escaped` tells that a writable view was handed out, so that nobody can know of every write.
    """

    def __init__(self, params):
        params = list(dict.fromkeys(params))
        kinds = {p.dtype for p in params}
        if len(kinds) > 1:
            raise ValueError(f"parameters must have one dtype, got {' and '.join(sorted(map(str, kinds)))}: NumPy's arrays are float64 "
                             "unless told otherwise; model.float() or model.double() converts a model")
        self.dtype = kinds.pop() if kinds else np.dtype(np.float32)
        self.params = params
        self.version = self.changed = 0
        self.escaped = False
        self.packed = None
        self.packed_version = -1
        step = ALIGNMENT // self.dtype.itemsize
        offsets, size = [], 0
        for p in params:
            offsets.append(size)
            size += -(-p.size // step) * step
        self.size = size
        self.vectors = {"data": aligned(size, self.dtype), "grad": aligned(size, self.dtype)}
        self.buffers = []
        for p, offset in zip(params, offsets):
            self._adopt(p, offset)

    def written(self):
        """All parameters have changed."""
        self.version += 1
        self.changed = write_time()

    @classmethod
    def of(cls, params):
        """The store that holds all of `params`: the one they share, or a new one they move into, with all their vectors."""
        params = list(params)
        stores = {id(p._store): p._store for p in params}
        if len(stores) == 1 and None not in stores.values():
            return next(iter(stores.values()))
        return cls(params)

    def _adopt(self, p, offset):
        moves[0] += 1
        old, old_offset = p._store, p._offset
        here = slice(offset, offset + p.size)
        self.vectors["data"][here] = p._array.reshape(-1)
        if old is not None:
            self.escaped |= old.escaped
            for name, vector in old.vectors.items():
                if name not in ("data", "buffers"):
                    self.vector(name)[here] = vector[old_offset:old_offset + p.size]
        elif p._has_grad:
            self.vectors["grad"][here] = p._grad_array.reshape(-1)
        p._store, p._offset = self, offset
        p._array = self.vectors["data"][here].reshape(p._array.shape)
        p._grad_array = self.vectors["grad"][here].reshape(p._array.shape)

    def vector(self, name):
        """The vector `name`, made of zeros when asked for the first time."""
        if name not in self.vectors:
            self.vectors[name] = aligned(self.size, self.dtype)
        return self.vectors[name]

    def finite(self):
        """Whether all parameters are finite."""
        return bool(np.isfinite(self.vectors["data"]).all())

    def buffer_place(self, buffer):
        """Byte offset of `buffer` in vectors["buffers"], where it stands in its own dtype; a new one moves in behind the others."""
        if buffer._store is not self:
            held = self.vectors.get("buffers", np.empty(0, np.uint8))
            grown = aligned(held.size - (-buffer._array.nbytes // ALIGNMENT) * ALIGNMENT, np.uint8)
            grown[:held.size] = held
            self.vectors["buffers"] = grown
            self.buffers = [b for b in self.buffers if b._store is self]
            for b in self.buffers:
                b.rehome(b._array, self, b._offset)
            buffer.rehome(buffer._array, self, held.size)
            self.buffers.append(buffer)
        return buffer._offset

    def segment(self, name, p):
        """The part (P,) of vector `name` that belongs to parameter p."""
        return self.vector(name)[p._offset:p._offset + p.size]

    @classmethod
    def converted(cls, params, dtype):
        """A store of `dtype` into which `params` move with all their vectors, rounded."""
        params = list(dict.fromkeys(params))
        held = {(name, p): np.array(p._store.segment(name, p)) for p in params if p._store is not None for name in p._store.vectors
                if name != "buffers"}
        held |= {("grad", p): np.array(p._grad_array).reshape(-1) for p in params if p._store is None and p._has_grad}
        had = {p: p._has_grad for p in params}
        for p in params:
            p.convert(dtype)
        new = cls(params)
        for (name, p), values in held.items():
            new.segment(name, p)[...] = values
        for p in params:
            p._has_grad = had[p]
        return new
