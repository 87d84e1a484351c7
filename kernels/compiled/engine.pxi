# --- engine: runs the records of a plan, whole epochs in one call, without the interpreter. It knows phases and units, no layers.
#
# Records are sorted by phase; within a phase no thread reads what another one writes, so the team meets at a barrier only between
# phases. How threads share a record: each has units of its own (rows, blocks of outputs, elements); or all units and columns of its
# own (a layer's outputs stay with one core through forward, backward and update); or does all of it for itself, in room of its own.
# Records over rows are run block of rows after block of rows, so that a block's values are still in the cache when the next record
# reads them. Who runs what never enters a result.
cdef extern from "team.h" nogil:
    ctypedef struct vv_place:
        pass
    int vv_patience(int)
    void vv_arrive(vv_place*, int, int64_t)
    void vv_wait(vv_place*, int, int64_t, int)
    double vv_now()
    int vv_team(int, void (*)(void*, int) noexcept nogil, void*)

cdef extern from "shards.h" nogil:
    ctypedef struct vv_shard:
        int64_t room, mail, master, rows, count, unit, post, collect, through
    ctypedef struct vv_apart
    ctypedef struct vv_apart:
        vv_shard is_ "is"
        char *room
        char *mail
        char *master
        const vv_apart *carrier
        Py_ssize_t size
        int thread, threads
    Py_ssize_t vv_share(Py_ssize_t, int, int, Py_ssize_t)
    void vv_post(const vv_apart*, int64_t, Py_ssize_t, Py_ssize_t, Py_ssize_t)
    void vv_collect(const vv_apart*, int64_t, Py_ssize_t, Py_ssize_t)
    void vv_bring(const vv_apart*)
    void vv_ask(const vv_apart*, int64_t)
    void vv_take_back(const vv_apart*)

cdef extern from "replicas.h" nogil:
    enum:
        VV_REPLICAS
        VV_PAGE
    ctypedef struct vv_replicas:
        int64_t weights, sums, master, count, phase, ready
    ctypedef struct vv_replica:
        char *weights
        char *sums
        char *master
        char *theirs
        Py_ssize_t count, own, end, size
    void vv_update_own(const vv_replica*, vv_args*, Py_ssize_t, Py_ssize_t, Py_ssize_t, int)
    void vv_ask_sums(const vv_replica*)
    void vv_take_weights(const vv_replica*)
    void vv_bring_weights(const vv_replica*)
    void vv_return_weights(const vv_replica*)

cdef enum:
    RUNNING
    FINISHED
    OUT_OF_TIME
    NOT_FINITE

# What changes from step to step: scalar `place` of a record, from a column of the table; or its buffer `place`: column IN_STREAM, in a
# stream; IN_TURNS, one of two rooms of a thread's own, `lines` lines apart.
cdef enum:
    IN_STREAM = -1
    IN_TURNS = -2

cdef struct Move:
    int32_t record, place, column, lines

cdef struct Run:
    const vv_record* records
    vv_args* args          # threads x count
    Py_ssize_t count
    char** bases           # address of each space
    const Move* moves
    Py_ssize_t move_count
    const double* table    # steps x columns: hyperparameters
    Py_ssize_t columns
    uint64_t steady        # bit c: column c, one of the first 64, holds one value from the first step to steady_end
    Py_ssize_t steady_end
    Py_ssize_t rows, batch, row_block
    Py_ssize_t blocks      # of rows, whose gradients are summed apart (weight_parts); or 0
    Py_ssize_t largest     # elements of the largest weight of them
    Py_ssize_t first_step, first_phase, last_step
    int phases, loss_op, pack_op, patience
    int threads            # that take part; the team may be larger
    vv_entry forward
    Py_ssize_t private     # bytes of a thread's own room
    const vv_shard* shards
    Py_ssize_t shard_count
    vv_apart* apart        # threads x shard_count
    bint flows             # a step begins without a barrier before it
    const vv_replicas* replicas  # or NULL
    Py_ssize_t ahead       # first records, which make the next step's rows ready while a thread waits for the others; or 0
    double deadline
    vv_place* places       # of the threads at the barrier
    # written by thread 0 when the run ends:
    Py_ssize_t stop_at     # number of the barrier after which every thread stops; before it arrives there
    Py_ssize_t step, phase # where the run stands
    int status


cdef inline void* address(const Run* run, int64_t ref, Py_ssize_t step, Py_ssize_t row, int thread) noexcept nogil:
    cdef int space = <int>(ref >> 48)
    cdef int64_t offset = ref & ((<int64_t>1 << 48) - 1)
    if ref < 0 or run.bases[space] == NULL:
        return NULL
    if space >= VV_STEP_STREAM:
        offset *= step
    elif space >= VV_ROW_STREAM:
        offset *= row
    elif space == VV_PRIVATE:
        offset += thread * run.private
    return run.bases[space] + offset


cdef inline int64_t home(const Run* run, int64_t ref) noexcept nogil:
    """Where a thread finds an array: one that is alone has no need of a copy."""
    cdef Py_ssize_t i
    for i in range(run.shard_count if run.threads == 1 and ref >= 0 else 0):
        if run.shards[i].room == ref and run.shards[i].master >= 0:
            return run.shards[i].master
    if run.replicas != NULL and run.threads == 1 and run.replicas.weights <= ref < run.replicas.sums:
        return ref - run.replicas.weights + run.replicas.master
    return ref


cdef void resolve(const Run* run, vv_args* args, int thread) noexcept nogil:
    """Everything in a thread's calls that stays the same for the whole run."""
    cdef Py_ssize_t r, i
    cdef const vv_record* rec
    cdef vv_apart* shard
    for r in range(run.count):
        rec = &run.records[r]
        args[r].run = ENTRIES[rec.op]
        args[r].real, args[r].source = rec.real, rec.source
        memcpy(args[r].s, rec.s, sizeof(rec.s))
        memcpy(args[r].k, rec.k, sizeof(rec.k))
        memcpy(args[r].dim, rec.dim, sizeof(rec.dim))
        args[r].part[0] = args[r].part[1] = 0
        for i in range(VV_BUFFERS):
            args[r].buf[i] = address(run, home(run, rec.buf[i]), 0, 0, thread)
        for i in range(VV_THEN):
            args[r].then[i] = args + rec.then[i] if rec.then[i] >= 0 else NULL
    for r in range(run.shard_count):
        shard = &run.apart[thread * run.shard_count + r]
        shard.is_, shard.thread, shard.threads, shard.size = run.shards[r], thread, run.threads, 8 if run.records[0].real else 4
        shard.room = <char*>address(run, shard.is_.room, 0, 0, thread)
        shard.mail = <char*>address(run, shard.is_.mail, 0, 0, thread)
        shard.master = <char*>address(run, shard.is_.master, 0, 0, thread)
        shard.carrier = &run.apart[thread * run.shard_count + shard.is_.through] if shard.is_.through >= 0 and run.threads == 2 else NULL


cdef vv_replica replica_of(const Run* run, int thread) noexcept nogil:
    cdef vv_replica r
    cdef Py_ssize_t grain
    r.count, r.size = run.replicas.count, 8 if run.records[0].real else 4
    grain = VV_PAGE // r.size
    r.weights = <char*>address(run, run.replicas.weights, 0, 0, thread)
    r.sums = <char*>address(run, run.replicas.sums, 0, 0, thread)
    r.theirs = <char*>address(run, run.replicas.sums, 0, 0, run.threads - 1 - thread)
    r.master = <char*>address(run, run.replicas.master, 0, 0, thread)
    r.own, r.end = vv_share(r.count, thread, run.threads, grain), vv_share(r.count, thread + 1, run.threads, grain)
    return r


cdef void update_own(const Run* run, vv_args* a, Py_ssize_t count, int thread, int used) noexcept nogil:
    """The update `a` of `count` weights: of those that `thread` owns, from sums over the rows, of which `used` threads had some."""
    cdef vv_replica replica = replica_of(run, thread)
    cdef Py_ssize_t first = a.dim[1], lo = max(replica.own - first, 0), hi = min(replica.end - first, count)
    if run.threads == 1:
        a.run(a, 0, count)
    elif lo < hi:
        vv_update_own(&replica, a, first, lo, hi, used)


cdef enum:
    LOOK_AHEAD = 4096  # steps: to look through more would take longer than it saves, where the run ends before


cdef uint64_t steady_columns(const double* table, Py_ssize_t columns, Py_ssize_t first, Py_ssize_t last) noexcept nogil:
    """Which of the first 64 columns hold the same value in all rows first..last. Most do, and are set once: 4-16-3 at batch 16 takes 3% less."""
    cdef uint64_t steady = ~<uint64_t>0
    cdef const uint64_t* one = <const uint64_t*>(table + first * columns)
    cdef const uint64_t* row = one
    cdef Py_ssize_t step, c
    for step in range(first + 1, last):
        row += columns
        for c in range(min(columns, 64)):
            steady &= ~(<uint64_t>(row[c] != one[c]) << c)
    return steady


cdef inline void* moved(const Run* run, const Move* m, Py_ssize_t step, Py_ssize_t row, int thread) noexcept nogil:
    cdef char* place = <char*>address(run, run.records[m.record].buf[m.place], step, row, thread)
    return place + 64 * m.lines if m.column == IN_TURNS and run.ahead > 0 and step & 1 else place


cdef void prepare(const Run* run, vv_args* args, Py_ssize_t step, Py_ssize_t row, int thread) noexcept nogil:
    """What changes with the step: places in streams, hyperparameters."""
    cdef uint64_t known = run.steady if run.first_step < step < run.steady_end else 0
    cdef Py_ssize_t i
    cdef const Move* m
    cdef vv_args* a
    cdef double value
    for i in range(run.move_count):
        m = &run.moves[i]
        if 0 <= m.column < 64 and known >> m.column & 1:
            continue
        a = &args[m.record]
        if m.column < 0:
            a.buf[m.place] = moved(run, m, step, row, thread)
        else:
            value = run.table[step * run.columns + m.column]
            a.s[m.place], a.k[m.place] = value, <int64_t>value


cdef void gather_ahead(const Run* run, vv_args* args, Py_ssize_t step, Py_ssize_t row, Py_ssize_t n, int thread) noexcept nogil:
    """Make the n rows of a step to come ready, in the room that the step of now does not use."""
    cdef Py_ssize_t i, r
    cdef const Move* m
    for i in range(run.move_count):
        m = &run.moves[i]
        if m.record < run.ahead and m.column < 0:
            args[m.record].buf[m.place] = moved(run, m, step, row, thread)
    for r in range(run.ahead):
        args[r].run(&args[r], 0, n)


cdef void make_ready(const Run* run, vv_args* args, Py_ssize_t n, int thread) noexcept nogil:
    """Make a thread's own of the step's n rows ready: it needs nothing of the others for it."""
    cdef Py_ssize_t r, grain = vv_block_rows(n, run.blocks, run.largest)
    for r in range(run.replicas.ready):
        args[r].run(&args[r], vv_share(n, thread, run.threads, grain), vv_share(n, thread + 1, run.threads, grain))


cdef void set_rows(const Run* run, vv_args* args, Py_ssize_t n) noexcept nogil:
    """Every call over the rows of a batch goes over n."""
    cdef Py_ssize_t r
    for r in range(run.count):
        if run.records[r].dim[0] < 0:
            args[r].dim[0] = n


cdef inline bint cut_columns(vv_args* a, vv_entry forward, int thread, int threads) noexcept nogil:
    """Set a matmul's part to the columns of `thread`; False where it has none. What a thread owns is the same in every record: it
    writes those outputs of a layer in forward, their gradients in backward, and updates the weights before them, so that they
    stay in its core's cache."""
    cdef Py_ssize_t width = a.dim[2] if a.run == forward else a.dim[1]
    a.part[0], a.part[1] = vv_share(width, thread, threads, TILE_ROWS), vv_share(width, thread + 1, threads, TILE_ROWS)
    return a.part[1] > a.part[0]


cdef bint batch_loss(vv_args* a, int thread) noexcept nogil:
    """Every thread sums the batch's loss, so that all of them see whether it is finite and none has to wait."""
    cdef double s[2]
    cdef void* result = a.buf[2]
    a.buf[2] = s
    a.run(a, 0, 1)
    a.buf[2] = result
    if thread == 0:
        memcpy(result, s, sizeof(s))
    return isfinite(s[0])


cdef bint phase_of(Run* run, vv_args* args, Py_ssize_t start, Py_ssize_t end, Py_ssize_t n, int thread, Py_ssize_t step, bint ready) noexcept nogil:
    """One thread's part of the records start..end, a phase: first those that each thread does alone (not where they are `ready`), then
    those over rows, block of rows after block, then the others. False when the loss is not finite."""
    cdef Py_ssize_t grain = vv_block_rows(n, run.blocks, run.largest) if run.blocks > 0 else 8, together = max(run.row_block // grain * grain, grain)
    cdef Py_ssize_t lo = vv_share(n, thread, run.threads, grain), hi = vv_share(n, thread + 1, run.threads, grain)
    cdef Py_ssize_t block, r, first = start, last, units, phase = run.records[start].phase
    cdef const vv_record* rec
    cdef const vv_apart* apart = run.apart + thread * run.shard_count
    cdef Py_ssize_t exchanged = run.shard_count if run.threads > 1 else 0
    cdef vv_replica replica
    cdef bint replicas = run.replicas != NULL and run.threads > 1
    if replicas and phase == run.replicas.phase:
        replica = replica_of(run, thread)
        vv_ask_sums(&replica)
    if replicas and phase == 0 and step > run.first_step:
        replica = replica_of(run, thread)
        vv_take_weights(&replica)
    for r in range(exchanged):
        if apart[r].mail != NULL and apart[r].is_.collect == phase and (apart[r].is_.post < phase or step > run.first_step):
            vv_collect(&apart[r], step, lo, hi)
    while first < end and run.records[first].cut == VV_EACH:
        if not ready:
            args[first].run(&args[first], 0, n)
        first += 1
    if ready and replicas and start == 0:
        first = run.replicas.ready
    last = first
    while last < end and run.records[last].over == VV_ROWS and run.records[last].cut == VV_UNITS:
        last += 1
    block = lo
    while block < hi:
        for r in range(first, last):
            args[r].run(&args[r], block, min(block + together, hi))
        block += together
    for r in range(last, end):
        rec = &run.records[r]
        if rec.chained:
            continue
        units = n if rec.over == VV_ROWS else units_of(rec.over, args[r].dim)
        if rec.op == run.loss_op:
            if not batch_loss(&args[r], thread):
                return False
        elif rec.over == VV_ALL:
            if thread == 0:
                args[r].run(&args[r], 0, 1)
        elif rec.cut == VV_PART:
            if cut_columns(&args[r], run.forward, thread, run.threads):
                args[r].run(&args[r], 0, units)
        elif rec.over == VV_FLAT and run.replicas != NULL:  # of the weights of all, those from dim[1] on
            update_own(run, &args[r], units, thread, <int>min((n + grain - 1) // grain, run.threads))
        elif rec.over == VV_FLAT:
            args[r].run(&args[r], vv_share(units, thread, run.threads, 64), vv_share(units, thread + 1, run.threads, 64))
        else:
            grain = TILE_ROWS if units >= 4 * TILE_ROWS or rec.then[2] >= 0 or rec.op == run.pack_op else 1  # panels stay whole
            args[r].run(&args[r], vv_share(units, thread, run.threads, grain), vv_share(units, thread + 1, run.threads, grain))
    for r in range(exchanged):
        if apart[r].is_.post == phase and apart[r].mail != NULL:
            vv_post(&apart[r], step, n, lo, hi)
    return True


cdef inline bint late(Run* run, int* until_look, int* look_every, double* looked, bint first) noexcept nogil:
    """Whether the time is over. The clock costs 25 ns: look less often while phases are short."""
    cdef double now
    until_look[0] -= 1
    if until_look[0] > 0:
        return False
    now = vv_now()
    if first:
        look_every[0] = 1
    elif now - looked[0] < 1e-4:
        look_every[0] = min(2 * look_every[0], 1024)
    else:
        look_every[0] = max(look_every[0] // 2, 1) if now - looked[0] < 2e-3 else 1
    until_look[0], looked[0] = look_every[0], now
    return now >= run.deadline and not first


cdef void work(void* context, int thread) noexcept nogil:
    """What one thread of the team does."""
    cdef Run* run = <Run*>context
    cdef vv_apart* apart = run.apart + thread * run.shard_count
    cdef Py_ssize_t i, apart_count = run.shard_count if run.threads > 1 else 0
    cdef bint replicas = run.replicas != NULL and run.threads > 1
    cdef vv_replica replica
    if thread >= run.threads:
        return
    resolve(run, run.args + thread * run.count, thread)
    for i in range(apart_count):
        vv_bring(&apart[i])
    if replicas:
        replica = replica_of(run, thread)
        vv_bring_weights(&replica)
    steps_of(run, run.args + thread * run.count, thread)
    for i in range(apart_count):
        vv_take_back(&apart[i])
    if replicas:
        vv_return_weights(&replica)


cdef void steps_of(Run* run, vv_args* args, int thread) noexcept nogil:
    """Its part of all steps, phase by phase, until the run ends."""
    cdef Py_ssize_t step, steps, row, end_row, n, rows = -1, start, end, passed = 0, ready = -1, planned = run.last_step, left, i
    cdef int phase, until_look = 1, look_every = 1
    cdef double looked = vv_now()
    cdef bint whole = run.shard_count > 0 or run.replicas != NULL  # rooms hold values from phase to phase: the run ends between steps
    step, phase = run.first_step, <int>run.first_phase
    steps = (run.rows + run.batch - 1) // run.batch
    row, end_row = step // steps * run.rows + step % steps * run.batch, (step // steps + 1) * run.rows
    while step < run.last_step:
        n = min(run.batch, end_row - row)
        if n != rows:
            rows = n
            set_rows(run, args, n)
        prepare(run, args, step, row, thread)
        start = 0
        while start < run.count and run.records[start].phase < phase:
            if run.records[start].cut == VV_EACH:  # the step was begun by a team whose rooms may have been others
                args[start].run(&args[start], 0, n)
            start += 1
        while phase < run.phases:
            if phase > 0 or not run.flows or step == run.first_step:
                passed += 1
                if thread == 0 and (phase == 1 or not whole) and late(run, &until_look, &look_every, &looked, passed == 1):
                    run.status = OUT_OF_TIME
                    run.step, run.phase = step, phase
                    if whole:
                        run.last_step = step + 1  # all see it behind this barrier
                    else:
                        run.stop_at = passed
                vv_arrive(run.places, thread, passed)
                if phase == 1 and run.ahead > 0 and step + 1 < planned:
                    left = end_row - row - n if row + n < end_row else run.rows
                    gather_ahead(run, args, step + 1, row + n, min(run.batch, left), thread)
                    ready = step + 1
                    for i in range(run.shard_count):
                        if run.shards[i].mail >= 0 and run.shards[i].rows >= 0 and run.shards[i].collect == 1:
                            vv_ask(&run.apart[thread * run.shard_count + i], step)
                if phase == 0 and run.replicas != NULL and run.threads > 1:
                    make_ready(run, args, n, thread)
                    ready = step
                vv_wait(run.places, run.threads, passed, run.patience)
                if run.stop_at == passed:
                    return
            end = start
            while end < run.count and run.records[end].phase == phase:
                end += 1
            if not phase_of(run, args, start, end, n, thread, step, ready == step):
                if thread == 0:
                    run.status = NOT_FINITE
                    run.step, run.phase = step, phase
                return
            start = end
            phase += 1
        phase = 0
        step += 1
        row += n
        if row == end_row:
            end_row += run.rows
    if thread == 0:
        if run.status == RUNNING:
            run.status = FINISHED
        run.step, run.phase = step, 0


ENGINE_SIZES = {"args": sizeof(vv_args), "place": sizeof(vv_place), "record": sizeof(vv_record), "apart": sizeof(vv_apart),
                "move": sizeof(Move), "shard": sizeof(vv_shard), "replicas": sizeof(vv_replicas), "grain": TILE_ROWS, "page": VV_PAGE}


def record_layout():
    """Byte offset of every field of a record as C has it; the plan's NumPy type is compared with it."""
    cdef vv_record r
    cdef char* base = <char*>&r
    return {"op": <char*>&r.op - base, "real": <char*>&r.real - base, "source": <char*>&r.source - base,
            "over": <char*>&r.over - base, "cut": <char*>&r.cut - base, "phase": <char*>&r.phase - base,
            "chained": <char*>&r.chained - base,
            "then": <char*>&r.then - base, "buf": <char*>&r.buf - base,
            "dim": <char*>&r.dim - base, "s": <char*>&r.s - base, "k": <char*>&r.k - base, "slot": <char*>&r.slot - base,
            "size": sizeof(vv_record)}


cdef int LOSS = OPS["mean_loss"], PACK = OPS["linear_pack"], PARTS = OPS["weight_parts"], FORWARD = OPS["linear_forward"]


def run_plan(records, spaces, double[:, ::1] table, cnp.ndarray workspace, Py_ssize_t rows, Py_ssize_t batch, Py_ssize_t row_block,
             start, Py_ssize_t last_step, int threads, int team, double seconds, cnp.ndarray moves, cnp.ndarray shards, bint flows, cnp.ndarray replicas):
    """Run steps start..last_step: (step, phase, status); status "finished", "time" or "not finite". After ceil(rows / batch) of them a
    new epoch begins, whose rows and results follow those of the one before.

    records: plan.RECORD array, sorted by phase. spaces: one array or None per space. table: (steps, columns). workspace: at least
    threads * (len(records) * ENGINE_SIZES["args"] + len(shards) * ENGINE_SIZES["apart"] + ENGINE_SIZES["place"]) bytes. start: (step,
    phase). team: threads that are started, of which the first `threads` take part. moves, shards: rows of Move and of vv_shard; flows: a step may
    begin while other threads end the one before. Returns between phases, with shards between steps, once `seconds` are over, after at least one. The
    plan has checked everything; nothing is checked here.
    """
    cdef Run run
    cdef cnp.ndarray rec = records
    cdef char* bases[VV_SPACES]
    cdef int ran, i = 0
    memset(&run, 0, sizeof(Run))
    run.records, run.count = <const vv_record*>cnp.PyArray_DATA(rec), rec.shape[0]
    for space in spaces:
        bases[i] = <char*>cnp.PyArray_DATA(<cnp.ndarray>space) if space is not None else NULL
        i += 1
    run.bases = bases
    run.moves, run.move_count = <const Move*>cnp.PyArray_DATA(moves), moves.shape[0]
    run.shards, run.shard_count, run.flows = <const vv_shard*>cnp.PyArray_DATA(shards), shards.shape[0], flows
    if cnp.PyArray_NBYTES(workspace) < threads * <Py_ssize_t>(run.count * sizeof(vv_args) + run.shard_count * sizeof(vv_apart) + sizeof(vv_place)):
        raise ValueError("workspace is smaller than threads * (records + shards)")
    run.places = <vv_place*>cnp.PyArray_DATA(workspace)
    run.args = <vv_args*>(run.places + threads)
    run.apart = <vv_apart*>(run.args + threads * run.count)
    memset(run.places, 0, threads * sizeof(vv_place))
    if table.shape[0] > 0 and table.shape[1] > 0:
        run.table, run.columns = &table[0, 0], table.shape[1]
        run.steady_end = min(last_step, table.shape[0], <Py_ssize_t>start[0] + LOOK_AHEAD)
        run.steady = steady_columns(run.table, run.columns, start[0], run.steady_end)
    run.rows, run.batch, run.row_block = rows, batch, row_block
    run.first_step, run.first_phase, run.last_step = start[0], start[1], last_step
    run.replicas = <const vv_replicas*>cnp.PyArray_DATA(replicas) if replicas.shape[0] else NULL
    run.phases = 1 + run.records[run.count - 1].phase
    run.loss_op, run.pack_op, run.threads = LOSS, PACK, threads
    run.patience = vv_patience(threads)
    for i in range(run.count):
        if run.records[i].op == PARTS:
            run.blocks = VV_REPLICAS if run.replicas != NULL else run.records[i].dim[3]
            run.largest = max(run.largest, run.records[i].dim[1] * run.records[i].dim[2])
    run.forward = ENTRIES[FORWARD]
    for i in range(run.move_count if threads > 1 else 0):
        if run.moves[i].column == IN_TURNS:
            run.ahead = max(run.ahead, run.moves[i].record + 1 if run.records[run.moves[i].record].cut == VV_EACH else 0)
    if spaces[VV_PRIVATE] is not None:
        run.private = spaces[VV_PRIVATE].nbytes // threads // 64 * 64
    run.stop_at, run.status, run.step, run.phase = -1, RUNNING, start[0], start[1]
    with nogil:
        run.deadline = vv_now() + seconds
        ran = vv_team(team, work, &run)
    if ran != team:
        raise RuntimeError(f"{team} threads were asked for and the OpenMP runtime gave {ran}")
    return run.step, run.phase, {FINISHED: "finished", OUT_OF_TIME: "time", NOT_FINITE: "not finite"}[run.status]
