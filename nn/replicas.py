"""A step whose rows threads share, each with weights and gradients of its own: what moves between them is gradients and weights, no values.

In the terms of distributed training: data parallelism, the gradient reduced and scattered, the update sharded, the weights gathered.
"""
from ..kernels import record as R
from ..kernels.contract import chunk_rows
from .recorder import BATCH, Buffer, Call, Slot
from .store import PAGE

BLOCKS = 2
"""Threads that share the rows: a batch of 33 to 256 has two chunks, and the gradient is the sum of theirs."""

FEW_WEIGHTS, MANY_WEIGHTS = 1 << 17, 3 << 19
"""Bytes of weights up to which nothing else is faster, and up to which only units of a hidden layer are: all of their gradient and all new
weights go from core to core in every step. With more cores than two, others share the many with more of them. Two threads at batch 64,
by rows and without: 17-64-64-6 12.0 and 27.0 us, 64-128-128-4 41 and 62, 64-128-10 15.0 and 16.0 (by units), 64-256-256-256-2 266 and 310,
64-320-320-320-2 429 and 448; 784-128-10 136 and 119 (by units), 784-512-256-10 at 128 1469 and 1326."""

ROWWISE = ("linear_backward_weight", "mean_loss")
"""Kernels besides those over rows and updates that a step may have."""


class Replicas:
    """The weights of a step as copies in the threads' rooms, beside gradients. master: (space, offset) of the weights that outlive the run;
    count: their elements, those of the gaps between them included."""

    def __init__(self, master, count, dtype):
        self.master, self.count, self.itemsize = master, count, dtype.itemsize
        self.room = -(-count * self.itemsize // PAGE) * PAGE  # so no core reads ahead into what another one writes
        self.weights, self.sums = (R.PRIVATE, 0), (R.PRIVATE, self.room)
        self.updates, self.ready = (), 0  # ready: first calls, which only make rows ready, in room of the thread's own

    @property
    def bytes(self):
        """Of a thread's room, from its beginning."""
        return 2 * self.room

    def weight(self, b):
        """The thread's own copy in place of buffer b, where b is one of the weights; else b."""
        if b is None or b.place is None or b.place[0] != self.master[0]:
            return b
        offset = b.place[1] - self.master[1]
        return Buffer(b.shape, b.kind, (R.PRIVATE, self.weights[1] + offset)) if 0 <= offset < self.count * self.itemsize else b

    def sum(self, weight, *shape):
        """Room for the gradient of the buffer `weight`, in the same place among the sums."""
        return Buffer(shape, "real", (R.PRIVATE, self.sums[1] + weight.place[1] - self.master[1]))

    def encode(self):
        """Its row of the engine's table."""
        places = [R.reference_to(*place) for place in (self.weights, self.sums, self.master)]
        return [*places, self.count, self.updates[0].phase, self.ready]


def find_replicas(calls, rows, dtype, most):
    """(the calls of such a step, its Replicas), or (calls, None) where the step does not allow it: where anything but matmuls, the loss,
    their updates and kernels over rows is in it, or the weights take more than `most` bytes or make one chunk of the rows."""
    made = [call for call in calls if call.name == "linear_backward_weight"]
    updates = sorted((u for call in made for u in call.then if u is not None), key=lambda u: u.arrays[1].place)
    if not made or not all(call.over == "rows" or call.name in ROWWISE or call in updates for call in calls):
        return calls, None
    if not all(c.arrays[0].shape[:1] == (BATCH,) and c.then[0] and not c.then[2] and bool(c.arrays[3]) == bool(c.then[1]) for c in made):
        return calls, None
    first, last = updates[0].arrays[1], updates[-1].arrays[1]
    count = (last.place[1] - first.place[1]) // dtype.itemsize + last.elements(1)
    sizes = {chunk_rows(rows, c.dims[1] * c.dims[2]) for c in made}
    if count * dtype.itemsize > most or sizes != {chunk_rows(rows)}:
        return calls, None
    replicas = Replicas(first.place, count, dtype)
    return _by_rows(calls, replicas, updates), replicas


def _by_rows(calls, replicas, updates):
    """The calls with weights and gradients in the threads' rooms, and `updates` of weights that follow each other as one."""
    found = []
    for call in calls:
        if call.name == "linear_backward_weight":
            x, dy, _, db = call.arrays
            weight, bias = (None if u is None else u.arrays[1] for u in call.then[:2])
            _, inputs, outputs, _ = call.dims
            parts = replicas.sum(weight, 1, outputs, inputs)
            call = Call("weight_parts", [x, dy, parts, None if db is None else replicas.sum(bias, 1, outputs)], [])
        if not call.chained:
            call.arrays = [replicas.weight(b) for b in call.arrays]
            found.append(call)
    rowwise = [call for call in found if call.over == "rows"]
    others = {b.key() for call in found if call.over != "rows" for b in (*call.reads(), *call.writes())}
    others.update(key for call in rowwise for key in call.reads_whole())
    for b in (b for call in rowwise for b in call.writes() if b.place is None):
        b.apart = b.key() not in others  # a row of it is of no use to the other thread
    while found[replicas.ready].name.startswith("gather_") and all(b.apart for b in found[replicas.ready].writes()):
        replicas.ready += 1
    replicas.updates = [_one(group, replicas, rowwise) for group in _groups(updates, replicas.itemsize)]
    return found + replicas.updates


def _groups(updates, itemsize):
    """Updates in the order of their weights, those together that make one: of the same form, with no gap between their weights."""
    groups, end, before = [], None, None
    for update in updates:
        place, form = update.arrays[1].place, _form(update)
        if place != end or form != before:
            groups.append([])
        groups[-1].append(update)
        end, before = (place[0], place[1] + update.arrays[1].elements(1) * itemsize), form
    return groups


def _form(update):
    return update.name, [s.name if isinstance(s, Slot) else s for s in update.scalars], [b is None for b in update.arrays]


def _one(group, replicas, before):
    """The update of all weights of a group, from the sums, once the calls `before` have ended."""
    first, size = group[0].arrays[1], sum(u.arrays[1].elements(1) for u in group)
    arrays = [None if b is None else Buffer((size,), "real", b.place) for b in group[0].arrays]
    arrays[:2] = replicas.sum(first, size), replicas.weight(arrays[1])
    call = Call(group[0].name, arrays, group[0].scalars)
    call.dims[1] = (first.place[1] - replicas.master[1]) // replicas.itemsize  # so the engine knows which of them a thread owns
    call.after = before
    return call
