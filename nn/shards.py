"""A hidden layer whose units threads share, with all that belongs to a unit in room of the thread's own."""
import numpy as np

from ..kernels import record as R
from .recorder import Buffer

LARGEST = 1 << 19
"""Bytes of the hidden values of a batch up to which threads share units."""

FEW_OUTPUTS = 4
"""The layer behind has at least so many times more inputs than outputs: what it sends back is little, and every thread reads all of it."""

UNITS = 64
"""Hidden units from which they are worth sharing out."""


TILE_ROWS = 16
"""Units that stay with one thread (kernels.h; a test compares them)."""


class Shard:
    """An array of which every thread has a copy in its own room, and in it a part that is its own: compiled/shards.h.

    room: the copies, rows of `count` parts to share out, of `unit` elements each. master: the array that outlives the run, or None.
    writers: the calls that write a thread's part; readers: those that need the parts of others.
    """

    def __init__(self, room, count, unit=1, master=None, writers=(), readers=()):
        self.room, self.count, self.unit, self.master, self.writers, self.readers = room, count, unit, master, writers, readers
        self.room.apart = True
        self.mail = Buffer(room.shape) if readers else None
        self.through = None  # the Shard whose mail brings this one's, where two threads take part
        if self.mail is not None and master is None:
            self.mail.twice = True

    def encode(self, shards, rows):
        """Its row of the engine's table, for batches of up to `rows` rows."""
        places = [-1 if b is None else R.reference_to(*b.place) for b in (self.room, self.mail, self.master)]
        through = shards.index(self.through) if self.through is not None and self._fits(rows) else -1
        return [*places, -rows if self.master is None else self._lines(), self.count, self.unit, *self.phases(), through]

    def _lines(self):
        """Rows of the array."""
        return self.room.elements(1) // (self.count * self.unit)

    def _fits(self, rows):
        """Whether what two threads lay down fits into the rows that each takes from the other's mail."""
        half = (-(-self.count // TILE_ROWS) // 2) * TILE_ROWS
        parts = half, self.count - half
        return all(self._lines() * parts[t] * self.unit <= (rows - rows * t // 2) * parts[1 - t] * self.through.unit for t in (0, 1))

    def phases(self):
        """After which phase a part is laid down for others, and before which they take it."""
        return max(c.phase for c in self.writers), min((c.phase for c in self.readers), default=-1)


class Hidden:
    """The calls of a hidden layer between the data and a layer of few outputs: both forwards, what is sent back, both gradients."""

    def __init__(self, first, second, back, gradient, sent):
        self.first, self.second, self.back, self.gradient, self.sent = first, second, back, gradient, sent

    def shards(self):
        """Share out the units, and give each thread room for what belongs to its own: values, what comes back to them, weights before and
        behind them, and the optimizer's state."""
        first, second, back, gradient, sent = self.first, self.second, self.back, self.gradient, self.sent
        first.cut = back.cut = sent.cut = "part"
        units, inputs, outputs = first.dims[2], first.dims[1], second.dims[2]
        found = [Shard(first.arrays[3], units, writers=[first], readers=[second]), Shard(back.arrays[3], units, writers=[back])]
        for call, users, unit, shape in ((gradient, [first], inputs, (units, inputs)), (sent, [second, back], 1, (outputs, units))):
            update = call.then[0]
            weight = update.arrays[1]
            for master in dict.fromkeys(update.writes()):
                readers = [second] if master is weight and call is sent else ()
                shard = Shard(Buffer(shape), units, unit, master, [call], readers)
                shard.through = found[0] if readers else None
                for user in [update, *users]:
                    user.arrays = [shard.room if b is not None and b.key() == master.key() else b for b in user.arrays]
                found.append(shard)
        return found


def find_shards(calls, rows, itemsize, by_rows):
    """The Shards of a step: of hidden layers of which nothing but their matmuls and updates uses what is theirs. by_rows: whether threads
    rather share the rows that a gradient is made from."""
    users = {}
    for call in calls:
        for b in call.reads() + call.writes():
            users.setdefault(b.key(), []).append(call)
    found = []
    for second in calls:
        if second.name == "linear_forward" and (hidden := _hidden(second, users)) is not None:
            values = hidden.first.arrays[3]
            masters = [b for c in (hidden.gradient, hidden.sent) for b in c.then[0].writes()]
            if values.elements(rows) * itemsize <= LARGEST and not by_rows(hidden.gradient) and not _seen(calls, hidden, masters, itemsize):
                found += hidden.shards()
    return found


def _hidden(second, users):
    """The Hidden layer before the forward `second`, or None."""
    h, w = second.arrays[:2]
    _, units, outputs, _ = second.dims
    before = users[h.key()]
    if h.place is not None or units < UNITS or FEW_OUTPUTS * outputs > units:
        return None
    if [c.name for c in before] != ["linear_forward", "linear_forward", "linear_backward_input", "linear_backward_weight"]:
        return None
    first, _, back, sent = before
    if first.arrays[3] is not h or back.arrays[1].key() != w.key() or back.arrays[3].place is not None or sent.then[0] is None:
        return None
    gradient = [c for c in users[back.arrays[3].key()] if c is not back]
    if [c.name for c in gradient] != ["linear_backward_weight"] or gradient[0].then[0] is None:
        return None
    return Hidden(first, second, back, gradient[0], sent)


def _seen(calls, hidden, masters, itemsize):
    """Whether any other call uses a part of the arrays `masters`."""
    own = {id(c) for c in (hidden.first, hidden.second, hidden.back, hidden.gradient.then[0], hidden.sent.then[0])}
    spans = [(b.place[0], b.place[1], b.place[1] + b.elements(1) * itemsize) for b in masters]
    for call in calls:
        for b in call.reads() + call.writes() if id(call) not in own else ():
            if b.place is not None and any(space == b.place[0] and b.place[1] < end and begin < b.place[1] + b.elements(1) * itemsize
                                           for space, begin, end in spans):
                return True
    return False


def together(rooms, grain):
    """The whole of an array from the threads' rooms, (rows, columns) each: of every one the columns that are its own. grain: columns that
    stay together, as the engine shares them."""
    whole = np.empty_like(rooms[0])
    blocks = -(-whole.shape[1] // grain)
    for thread, room in enumerate(rooms):
        own = slice(blocks * thread // len(rooms) * grain, blocks * (thread + 1) // len(rooms) * grain)
        whole[:, own] = room[:, own]
    return whole


def flows(calls, shards, conflict):
    """Whether a step may begin while other threads end the one before: its first phase and the last have nothing in common. conflict:
    whether two calls must not meet in a phase."""
    last = max(call.phase for call in calls)
    own = [[c for c in calls if c.phase == phase and not c.chained] for phase in (0, last)]
    mailed = [s.phases() for s in shards if s.mail is not None]
    return last > 0 and not any(collect == 0 or (post, collect) == (0, last) for post, collect in mailed) \
        and not any(conflict(a, b) for a in own[0] for b in own[1])
