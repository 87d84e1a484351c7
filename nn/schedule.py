"""From calls in the order of the mathematics to phases, a fused order and one arena."""
import os

from ..kernels import ACTIVATIONS
from ..kernels import record as R
from ..kernels.contract import CHUNK, chunk_rows
from .graph import BATCH
from .recorder import Buffer, Call
from .store import PAGE

LIMIT = 2e9
"""Operations that a phase may hold: a plan returns between phases, and has to at least every 100 ms."""


def drop_unread(calls):
    """Without the calls whose results nobody reads: those that write only arena buffers which no later call needs."""
    needed, kept = set(), []
    for call in reversed(calls):
        if any(b.place is not None or b.key() in needed for b in call.writes()):
            kept.append(call)
            needed.update(b.key() for b in call.reads())
    return kept[::-1]


def fuse_activations(calls):
    """Put an activation into the matmul before it, and its derivative into the matmul behind it, where nothing else reads between."""
    readers = {}
    for call in calls:
        for b in call.reads():
            readers.setdefault(b.key(), []).append(call)
    fused, gone = [], set()
    for call in calls:
        if id(call) in gone:
            continue
        fused.append(call)
        if call.name not in ("linear_forward", "linear_backward_input"):
            continue
        out = call.arrays[3]
        users = readers.get(out.key(), [])
        if out.place is not None or len(users) != 1:
            continue
        user, direction = users[0], "forward" if call.name == "linear_forward" else "backward"
        function = user.name.removesuffix(f"_{direction}")
        if function == user.name or function not in ACTIVATIONS or function == "identity":
            continue
        first = 0 if direction == "forward" else 1
        if user.arrays[first] is not out:
            continue
        if direction == "backward":
            call.arrays[2] = user.arrays[0]
        call.arrays[3] = user.arrays[-1]
        call.scalars = [function, user.scalars[0] if user.scalars else 0.0]
        gone.add(id(user))
    return fused


SHARED_OUTPUTS = 64
"""Outputs from which the columns of a layer are worth sharing out among threads instead of its rows."""

SHARED_WEIGHTS = 6000
"""Elements of such a layer's weight: below, the barriers that columns ask for cost more than the lines that need not move."""

CLOSE = 1 << 19
"""Bytes that a core keeps close: the second-level cache, with room for the rest."""

FEW = 1 << 15
"""Bytes of gathered rows up to which each thread gathers all of them for itself, even where it computes with its own alone: the gradient
of the weight reads all, and half of them would come from the other core. 17-64-64-6 in float64, two threads: 34.5 us without, 32.3 so."""


def share_columns(calls, rows, itemsize):
    """Choose, for each matmul of a step, whether threads share its rows or its columns: sets call.cut.

    With rows, every thread reads the whole weights that all others have just updated, and gradients of the weights read what others
    computed. With columns an output's weights, values and gradients stay with one core, but each layer has to wait for the one before,
    and where the gradient of its input is wanted, all of `dy` moves as well: then columns pay for weights larger than the values alone.
    Two threads: 64-256-256-256-2 at batch 256 1,130 us by columns, 1,050 so; 64-128-128-128-4 at 64 117 and 98.
    """
    makers = {b.key(): call for call in calls for b in call.writes()}
    readers = {}
    for call in calls:
        for b in call.reads():
            readers.setdefault(b.key(), []).append(call)

    def only_matmuls(b):
        return b.place is None and all(c.name.startswith("linear_") for c in readers.get(b.key(), ()))

    inner = {call.arrays[1].key() for call in calls if call.name == "linear_backward_input"}
    shared = {}  # key of a weight -> whether all its layers share columns
    for call in calls:
        if call.name == "linear_forward" and call.cut == "units":
            _, inputs, outputs, _ = call.dims
            weights, values = inputs * outputs, rows * (inputs + outputs)
            few = values < weights if call.arrays[1].key() in inner else values * itemsize <= CLOSE or values <= 2 * weights
            if outputs >= SHARED_OUTPUTS and weights >= SHARED_WEIGHTS and few and only_matmuls(call.arrays[3]):
                call.cut = "part"
            key = call.arrays[1].key()
            shared[key] = shared.get(key, True) and call.cut == "part"
        elif call.name == "linear_backward_input":
            _, w, x, dx = call.arrays
            maker = makers.get(x.key()) if x is not None else None
            if shared.get(w.key()) and maker is not None and maker.cut == "part" and only_matmuls(dx):
                call.cut = "part"
    for call in calls:
        if call.name == "gather_rows":
            out = call.arrays[2]
            users = readers.get(out.key(), ())
            whole = all(c.cut == "part" or c.name == "linear_backward_weight" for c in users)
            if users and only_matmuls(out) and out.elements(rows) * itemsize <= (CLOSE if whole else FEW):
                call.cut = "each"


BLOCKS = 4
"""Blocks of rows for each core, where there are rows enough: so their shares are even, and the fewer, the less is added up. No bit
depends on it."""


UNEVEN = 1.15
"""Times its even share of the rows that a core may have."""


def cores():
    """Cores of this process's affinity mask."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def row_blocks(rows, most):
    """Blocks of at most `most` rows whose gradients of a weight are summed apart; 0 where the cores' shares of them would be uneven."""
    chunks, size, n = -(-rows // CHUNK), 1, cores()
    while -(-chunks // (2 * size)) >= BLOCKS * n and 2 * size * CHUNK <= most:
        size *= 2
    blocks = -(-chunks // size)
    share = min(-(-blocks // n) * size * CHUNK, rows)
    return blocks if blocks > 1 and share <= UNEVEN * rows / n else 0


def in_halves(rows):
    """Whether the rows are two chunks of about the same size, one for each of two threads."""
    chunk = chunk_rows(rows)
    return chunk < rows <= 2 * chunk and chunk <= UNEVEN * rows / 2 and cores() > 1


def goes_by_rows(gradient, rows, blocks):
    """Whether `blocks` sums of a weight's gradient are less to move than the rows they are made from."""
    _, inputs, outputs, _ = gradient.dims
    return 0 < 4 * blocks * inputs * outputs <= rows * (inputs + outputs)


def share_rows(calls, rows, together):
    """The calls with gradients of small weights over many rows in two parts: sums over blocks of rows, and their tree. together: rows that
    go through all calls of a phase together.

    linear_backward_weight has threads share its outputs: each reads what all others computed. With blocks of rows each reads what it has
    just computed itself, and blocks' gradients are all that moves. The bits are the same: a block's sum is a part of the tree over
    chunks. Two threads: 4-32-16-4 at 10,000 rows 680 us by outputs, 471 so; 8-32-32-1 at 256 rows 20 and 16.7.
    """
    parted = {b.key() for call in calls if call.cut == "part" for b in call.writes()}
    found, blocks = [], row_blocks(rows, together)
    for call in calls:
        x, dy, dw, db = call.arrays[:4] if call.name == "linear_backward_weight" else (None,) * 4
        if dw is None or not goes_by_rows(call, rows, blocks) or x.shape[0] is not BATCH or parted & {x.key(), dy.key()}:
            found.append(call)
            continue
        _, inputs, outputs, _ = call.dims
        parts, db_parts = Buffer((blocks, outputs, inputs)), None if db is None else Buffer((blocks, outputs))
        join = Call("weight_join", [parts, db_parts, dy, dw, db], [])
        join.then, join.after = call.then, call.after
        found += [Call("weight_parts", [x, dy, parts, db_parts], []), join]
    return found


def family(call):
    """What runs with a call, as (buffer, owner, written): its own uses, and those of the calls chained to its tiles."""
    yield from call.uses()
    for place, chained in enumerate(call.then):
        if chained is not None:
            owner = "outputs" if call.cut != "part" else "one" if place == 1 else "inputs"
            for b, _, written in chained.uses():
                yield b, owner, written


def apart(one, other):
    """Whether two uses of a buffer, at least one writing, are by different threads and must not meet in a phase."""
    return "mine" not in (one, other) and (one != other or one == "all")


def conflict(one, other):
    """Whether two calls use a buffer, at least one writing, in parts that may be different threads'."""
    used = {}
    for b, owner, written in family(one):
        used.setdefault(b.key(), []).append((owner, written))
    return any((written or before) and apart(owner, mine) for b, mine, written in family(other) for owner, before in used.get(b.key(), ()))


def assign_phases(calls, rows):
    """Set call.phase: calls that depend on each other share a phase only where each thread needs nothing of the others.
    Returns the calls in run order."""
    used, load, floor = {}, {}, 0  # buffer key -> [(call, owner, written)]
    for call in calls:
        if call.chained:
            continue
        members = [call, *[c for c in call.then if c is not None]]
        phase = 0
        for b, owner, written in family(call):
            for earlier, other, before in used.get(b.key(), ()):
                if written or before:
                    phase = max(phase, earlier.phase + apart(owner, other))
        phase = max([phase, *[c.phase + 1 for member in members for c in member.after]])
        if call.over == "rows":
            work = call.flops(rows)
            phase = max(phase, floor)
            if load.get(phase, 0) and load[phase] + work > LIMIT:
                phase += 1
            floor, load[phase] = phase, load.get(phase, 0) + work
        for member in members:
            member.phase = phase
        for b, owner, written in family(call):
            used.setdefault(b.key(), []).append((call, owner, written))
    order = sorted((c for c in calls if not c.chained), key=lambda c: (c.phase, _kind(c)))
    return [member for c in order for member in (c, *[t for t in c.then if t is not None])]


def _kind(call):
    """The order inside a phase: what each thread does for itself, rows block by block, all else."""
    return 0 if call.cut == "each" else 1 if call.over == "rows" and call.cut == "units" else 2


def room_of(b, rows, itemsize):
    """Bytes of a buffer's room, in whole lines."""
    return -(-b.elements(rows) * (8 if b.kind != "real" else itemsize) // 64) * 64


def gather_ahead(calls, rows, itemsize):
    """Give rows that each thread gathers for itself two rooms in turns, where they are few: those of the next step are gathered while a
    thread waits for the others. Two threads, 64-128-10 at batch 32: 10.3 us a step, 10.0 so."""
    gathered = [call.arrays[2] for call in calls if call.cut == "each"]
    if sum(room_of(b, rows, itemsize) for b in gathered) <= FEW:
        for b in gathered:
            b.twice = True


def place_buffers(calls, rows, itemsize, kept=(), mails=(), flows=False, room=0):
    """Give every buffer without a place its offset; returns the bytes of the arena and of a thread's own room.

    Lives are counted in whole phases: within a phase threads run apart, so a buffer's room is free only in the next one. Buffers
    whose id is among `kept` live to the end of the step, `mails` from its beginning to its end. flows: a step may begin while other
    threads end the one before, so that what its first phase writes has no room with what the last one reads. room: bytes of a
    thread's own that are taken.
    """
    end = max((call.phase for call in calls), default=0)
    lives, mine = {id(b): (0, end, b) for b in mails}, {}
    for call in calls:
        for b, owner, _ in call.uses():
            if b.place is None:
                if owner == "mine" or b.apart:
                    mine[id(b)] = b
                first, last, _ = lives.get(id(b), (call.phase, call.phase, b))
                first = min(first, call.phase)
                lives[id(b)] = (first, end if id(b) in kept or flows and first == 0 else max(last, call.phase), b)
    taken, sizes = [], {R.ARENA: 0, R.PRIVATE: room}
    for first, last, b in sorted(lives.values(), key=lambda life: (life[0], -life[2].elements(rows))):
        length = room_of(b, rows, itemsize) * (2 if b.twice else 1)
        if id(b) in mine:
            b.place = (R.PRIVATE, sizes[R.PRIVATE])
            sizes[R.PRIVATE] += length
            continue
        offset = 0
        for start, stop, f, l in sorted(taken):
            if f <= last and first <= l and start < offset + length and offset < stop:
                offset = stop
        taken.append((offset, offset + length, first, last))
        b.place = (R.ARENA, offset)
        sizes[R.ARENA] = max(sizes[R.ARENA], offset + length)
    return sizes[R.ARENA], -(-sizes[R.PRIVATE] // PAGE) * PAGE if room else sizes[R.PRIVATE]
