"""From calls in the order of the mathematics to phases, a fused order and one arena."""
from ..kernels import ACTIVATIONS
from ..kernels import record as R

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


def assign_phases(calls, rows):
    """Set call.phase: calls that depend on each other share a phase only when both go row by row. Returns the calls in run order."""
    written, read = {}, {}
    floor, load = 0, 0.0
    for call in calls:
        if call.chained:
            continue
        family = [call, *[c for c in call.then if c is not None]]
        reads = [b for c in family for b in c.reads()]
        writes = [b for c in family for b in c.writes()]
        before = [c for b in reads + writes for c in written.get(b.key(), ())]
        before += [c for b in writes for c in read.get(b.key(), ())]
        before += [c for member in family for c in member.after]
        phase, whole = floor if call.over == "rows" else 0, call.reads_whole()
        for earlier in before:
            together = call.over == earlier.over == "rows" and not whole.intersection(b.key() for b in earlier.writes())
            phase = max(phase, earlier.phase + (0 if together else 1))
        if call.over == "rows":
            work = call.flops(rows)
            if phase == floor and load + work > LIMIT and load:
                phase = floor = phase + 1
                load = 0.0
            elif phase > floor:
                floor, load = phase, 0.0
            load += work
        for c in family:
            c.phase = phase
            for b in c.reads():
                read.setdefault(b.key(), []).append(c)
            for b in c.writes():
                written.setdefault(b.key(), []).append(c)
    order = sorted((c for c in calls if not c.chained), key=lambda c: (c.phase, c.over != "rows"))
    return [member for c in order for member in (c, *[t for t in c.then if t is not None])]


def place_buffers(calls, rows, itemsize):
    """Give every arena buffer its offset; returns the arena's size in bytes.

    Lives are counted in whole phases: within a phase threads run apart, so a buffer's room is free only in the next one.
    """
    lives = {}
    for call in calls:
        for b in call.reads() + call.writes():
            if b.place is None:
                first, last, _ = lives.get(id(b), (call.phase, call.phase, b))
                lives[id(b)] = (min(first, call.phase), max(last, call.phase), b)
    taken, size = [], 0
    for first, last, b in sorted(lives.values(), key=lambda life: (life[0], -life[2].elements(rows))):
        length = -(-b.elements(rows) * (8 if b.kind != "real" else itemsize) // 64) * 64
        offset = 0
        for start, end, f, l in sorted(taken):
            if f <= last and first <= l and start < offset + length and offset < end:
                offset = end
        taken.append((offset, offset + length, first, last))
        b.place = (R.ARENA, offset)
        size = max(size, offset + length)
    return size
