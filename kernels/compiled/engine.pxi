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
    void vv_wait(vv_place*, int, int, int64_t, int)
    double vv_now()
    int vv_team(int, void (*)(void*, int) noexcept nogil, void*)

cdef enum:
    RUNNING
    FINISHED
    OUT_OF_TIME
    NOT_FINITE

cdef struct Run:
    const vv_record* records
    vv_args* args          # threads x count
    Py_ssize_t count
    char** bases           # address of each space
    const double* table    # steps x columns: hyperparameters
    Py_ssize_t columns
    Py_ssize_t rows, batch, row_block
    Py_ssize_t blocks      # of rows, whose gradients are summed apart (weight_parts); or 0
    Py_ssize_t first_step, first_phase, last_step
    int phases, loss_op, pack_op, patience
    int threads            # that take part; the team may be larger
    vv_entry forward
    Py_ssize_t private     # bytes of a thread's own room
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


cdef void resolve(const Run* run, vv_args* args, int thread) noexcept nogil:
    """Everything in a thread's calls that stays the same for the whole run."""
    cdef Py_ssize_t r, i
    cdef const vv_record* rec
    for r in range(run.count):
        rec = &run.records[r]
        args[r].run = ENTRIES[rec.op]
        args[r].real, args[r].source = rec.real, rec.source
        memcpy(args[r].s, rec.s, sizeof(rec.s))
        memcpy(args[r].k, rec.k, sizeof(rec.k))
        memcpy(args[r].dim, rec.dim, sizeof(rec.dim))
        args[r].part[0] = args[r].part[1] = 0
        for i in range(VV_BUFFERS):
            args[r].buf[i] = address(run, rec.buf[i], 0, 0, thread)
        for i in range(VV_THEN):
            args[r].then[i] = args + rec.then[i] if rec.then[i] >= 0 else NULL


cdef void prepare(const Run* run, vv_args* args, Py_ssize_t step, Py_ssize_t row, Py_ssize_t n) noexcept nogil:
    """What changes with the step: rows of the batch, places in streams, hyperparameters."""
    cdef Py_ssize_t r, i
    cdef const vv_record* rec
    cdef const double* now = run.table + step * run.columns
    for r in range(run.count):
        rec = &run.records[r]
        if rec.dim[0] < 0:
            args[r].dim[0] = n
        if not rec.moving:
            continue
        for i in range(VV_BUFFERS):
            if rec.buf[i] >= (<int64_t>VV_ROW_STREAM << 48):
                args[r].buf[i] = address(run, rec.buf[i], step, row, 0)
        for i in range(VV_SCALARS):
            if rec.slot[i] >= 0:
                args[r].s[i] = now[rec.slot[i]]
                args[r].k[i] = <int64_t>now[rec.slot[i]]


cdef inline Py_ssize_t share(Py_ssize_t n, int thread, int threads, Py_ssize_t grain) noexcept nogil:
    """Where the part of `thread` begins when n units are cut into `threads` even parts at multiples of `grain`."""
    return min((n + grain - 1) // grain * thread // threads * grain, n)


cdef inline bint cut_columns(vv_args* a, vv_entry forward, int thread, int threads) noexcept nogil:
    """Set a matmul's part to the columns of `thread`; False where it has none. What a thread owns is the same in every record: it
    writes those outputs of a layer in forward, their gradients in backward, and updates the weights before them, so that they
    stay in its core's cache."""
    cdef Py_ssize_t width = a.dim[2] if a.run == forward else a.dim[1]
    a.part[0], a.part[1] = share(width, thread, threads, TILE_ROWS), share(width, thread + 1, threads, TILE_ROWS)
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


cdef bint phase_of(Run* run, vv_args* args, Py_ssize_t start, Py_ssize_t end, Py_ssize_t n, int thread) noexcept nogil:
    """One thread's part of the records start..end, a phase: first those that each thread does alone, then those over rows, block of
    rows after block, then the others. False when the loss is not finite."""
    cdef Py_ssize_t grain = vv_block_rows(n, run.blocks) if run.blocks > 0 else 8, together = max(run.row_block // grain * grain, grain)
    cdef Py_ssize_t lo = share(n, thread, run.threads, grain), hi = share(n, thread + 1, run.threads, grain)
    cdef Py_ssize_t block, r, first = start, last, units
    cdef const vv_record* rec
    while first < end and run.records[first].cut == VV_EACH:
        args[first].run(&args[first], 0, n)
        first += 1
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
        elif rec.over == VV_FLAT:
            args[r].run(&args[r], share(units, thread, run.threads, 64), share(units, thread + 1, run.threads, 64))
        else:
            grain = TILE_ROWS if units >= 4 * TILE_ROWS or rec.then[2] >= 0 or rec.op == run.pack_op else 1  # panels stay whole
            args[r].run(&args[r], share(units, thread, run.threads, grain), share(units, thread + 1, run.threads, grain))
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
    cdef Run* run = <Run*>context
    cdef vv_args* args = run.args + thread * run.count
    cdef Py_ssize_t step, steps, row, end_row, n, start, end, passed = 0
    cdef int phase, until_look = 1, look_every = 1
    cdef double looked = vv_now()
    if thread >= run.threads:
        return
    resolve(run, args, thread)
    step, phase = run.first_step, <int>run.first_phase
    steps = (run.rows + run.batch - 1) // run.batch
    row, end_row = step // steps * run.rows + step % steps * run.batch, (step // steps + 1) * run.rows
    while step < run.last_step:
        n = min(run.batch, end_row - row)
        prepare(run, args, step, row, n)
        start = 0
        while start < run.count and run.records[start].phase < phase:
            if run.records[start].cut == VV_EACH:  # the step was begun by a team whose rooms may have been others
                args[start].run(&args[start], 0, n)
            start += 1
        while phase < run.phases:
            passed += 1
            if thread == 0 and late(run, &until_look, &look_every, &looked, passed == 1):
                run.status = OUT_OF_TIME
                run.step, run.phase = step, phase
                run.stop_at = passed
            vv_wait(run.places, run.threads, thread, passed, run.patience)
            if run.stop_at == passed:
                return
            end = start
            while end < run.count and run.records[end].phase == phase:
                end += 1
            if not phase_of(run, args, start, end, n, thread):
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
        run.status = FINISHED
        run.step, run.phase = run.last_step, 0


ENGINE_SIZES = {"args": sizeof(vv_args), "place": sizeof(vv_place), "record": sizeof(vv_record)}


def record_layout():
    """Byte offset of every field of a record as C has it; the plan's NumPy type is compared with it."""
    cdef vv_record r
    cdef char* base = <char*>&r
    return {"op": <char*>&r.op - base, "real": <char*>&r.real - base, "source": <char*>&r.source - base,
            "over": <char*>&r.over - base, "cut": <char*>&r.cut - base, "phase": <char*>&r.phase - base,
            "chained": <char*>&r.chained - base,
            "then": <char*>&r.then - base, "moving": <char*>&r.moving - base, "buf": <char*>&r.buf - base,
            "dim": <char*>&r.dim - base, "s": <char*>&r.s - base, "k": <char*>&r.k - base, "slot": <char*>&r.slot - base,
            "size": sizeof(vv_record)}


cdef int LOSS = OPS["mean_loss"], PACK = OPS["linear_pack"], PARTS = OPS["weight_parts"], FORWARD = OPS["linear_forward"]


def run_plan(records, spaces, double[:, ::1] table, cnp.ndarray workspace, Py_ssize_t rows, Py_ssize_t batch, Py_ssize_t row_block,
             start, Py_ssize_t last_step, int threads, int team, double seconds):
    """Run steps start..last_step: (step, phase, status); status "finished", "time" or "not finite". After ceil(rows / batch) of them a
    new epoch begins, whose rows and results follow those of the one before.

    records: plan.RECORD array, sorted by phase. spaces: one array or None per space. table: (steps, columns). workspace: at least
    threads * (len(records) * ENGINE_SIZES["args"] + ENGINE_SIZES["place"]) bytes. start: (step, phase). team: threads that are started,
    of which the first `threads` take part. Returns between phases once `seconds` are over, after at least one. The plan has checked
    everything; nothing is checked here.
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
    if cnp.PyArray_NBYTES(workspace) < threads * <Py_ssize_t>(run.count * sizeof(vv_args) + sizeof(vv_place)):
        raise ValueError("workspace is smaller than threads * records")
    run.places = <vv_place*>cnp.PyArray_DATA(workspace)
    run.args = <vv_args*>(run.places + threads)
    memset(run.places, 0, threads * sizeof(vv_place))
    if table.shape[0] > 0 and table.shape[1] > 0:
        run.table, run.columns = &table[0, 0], table.shape[1]
    run.rows, run.batch, run.row_block = rows, batch, row_block
    run.first_step, run.first_phase, run.last_step = start[0], start[1], last_step
    run.phases = 1 + run.records[run.count - 1].phase
    run.loss_op, run.pack_op, run.threads = LOSS, PACK, threads
    run.patience = vv_patience(threads)
    for i in range(run.count):
        if run.records[i].op == PARTS:
            run.blocks = run.records[i].dim[3]
    run.forward = ENTRIES[FORWARD]
    if spaces[VV_PRIVATE] is not None:
        run.private = spaces[VV_PRIVATE].nbytes // threads // 64 * 64
    run.stop_at, run.status, run.step, run.phase = -1, RUNNING, start[0], start[1]
    with nogil:
        run.deadline = vv_now() + seconds
        ran = vv_team(team, work, &run)
    if ran != team:
        raise RuntimeError(f"{team} threads were asked for and the OpenMP runtime gave {ran}")
    return run.step, run.phase, {FINISHED: "finished", OUT_OF_TIME: "time", NOT_FINITE: "not finite"}[run.status]
