"""The plan: a graph, a loss and an optimizer as records for an engine, over one arena that is laid out before the first step."""
import math

import numpy as np

from .. import kernels
from ..kernels import record as R
from . import buffer
from .backward import backpropagate
from .recorder import BATCH, MATMULS, Buffer, Recorder, Slot
from .replicas import BLOCKS, FEW_WEIGHTS, MANY_WEIGHTS, find_replicas
from .schedule import (
    assign_phases,
    conflict,
    cores,
    drop_unread,
    fuse_activations,
    gather_ahead,
    goes_by_rows,
    in_halves,
    place_buffers,
    room_of,
    row_blocks,
    share_columns,
    share_rows,
)
from .shards import find_shards, flows, together
from .sparse import SparseRows, cut_count
from .store import aligned

LARGEST = float(np.finfo(np.float64).max)
"""A limit that clips no gradient, where only its norm is wanted."""

WEIGHT_GRADIENTS = ("linear_backward_weight", "sparse_backward_weight")
"""Kernels that make the gradient of a weight tile by tile, so that its update rides on them."""

TABLE_GRADIENTS = ("embedding_backward", "embedding_bag_backward")
"""Kernels that make the gradient of a table, most of whose rows have none: where the optimizer lets such rows rest, only those that
the batch names are written and updated."""

SHARE = 3e5
"""Work for each thread that takes part in a step: less of it costs more in barriers, and in lines that go from core to core, than
another thread brings. 32-64-10 at batch 32 (work 500,000): 6.8 us on one thread, 8.7 on two; 64-64-10 (820,000): 10.0 and 9.9;
4-16-3 at batch 16: 1.2, 2.4, and 20 on eight."""

SHARE_OF_REPLICAS = 1.5e5
"""The same where threads share rows with weights of their own. Batch 64, one thread and two: 8-24-24-2 5.5 and 4.7 us, 4-16-16-3 3.4 and
3.9."""

PIECE, PIECES = 1 << 12, 32
"""Elements of a piece of a weight whose squares are summed, and pieces at most: threads share them as they do its outputs."""


class SparseBuffers(SparseRows):
    """Sparse rows of a plan."""

    def room(self):
        return Buffer((BATCH, cut_count(self.width)), "int")


class Data:
    """How a plan meets its data: the dtypes of inputs, whether rows are gathered by an order, and what else comes along.

    targets: None, "int" or the width of real targets. weights: whether rows are weighted. sparse: places of the inputs that are
    SparseRows.
    """

    def __init__(self, sources=None, gather=False, targets=None, weights=False, sparse=()):
        self.sources, self.gather, self.targets, self.weights, self.sparse = sources, gather, targets, weights, tuple(sparse)

    def key(self):
        return (tuple(map(str, self.sources or ())), self.gather, self.targets, self.weights, self.sparse)


class Plan:
    """Records of one step (training) or one pass (prediction), for batches of up to `rows` rows.

    book: the kernels that run it. `run` executes; the caller supplies data by space. `columns` names the columns of the table.
    With `gradients`, parameters, instead of an optimizer a step ends when their gradients stand in the flat vector; with `total` they
    are added up over the steps in the space TOTAL, each times the column "share" of the table. With `gradients` and no loss the stream
    TARGET_ROWS has the gradient of the output instead, and each step leaves the flat vector in the stream JACOBIAN: with batches of one
    row and gradients that are rows of the identity, a row of the Jacobian. norms: write the norm of every step's
    gradient, before clipping, to the space NORMS. penalized: parameters whose sum of squares is written to the stream SQUARES before
    each step. mixup: the label smoothing of mixed classes, or None: batches are not mixed. keep: the values of the forward stay in the
    arena to the end of the step, for `values`. alone: one thread will run it.
    """

    def __init__(self, graph, store, book, rows, data, loss=None, optimizer=None, seed=0, emit=True, fused=True,
                 clip_norm=None, gradients=(), total=False, clip_value=0.0, averages=False, norms=False, penalized=(), mixup=None,
                 keep=False, alone=False):
        self.alone = alone
        self.graph, self.store, self.book, self.rows, self.seed = graph, store, book, int(rows), seed
        if norms and clip_norm is None:
            clip_norm = LARGEST
        self.dtype, self.whole, self.norms = graph.dtype, clip_norm is not None or total, norms
        self.clip_value, self.averages = clip_value, averages
        self._buffers, self._packs, self.trained = {}, {}, []
        recorder = Recorder(self.dtype)
        self._read_data(recorder, data)
        if mixup is not None:
            self._mix(recorder, data, mixup)
        self._forward(recorder, optimizer)
        calls = recorder.calls
        if loss is not None:
            dz = self._loss(recorder, loss)
            self._squares(recorder, penalized)
        elif gradients:
            self._loss_input, dz = graph.output, self._stream(R.TARGET_ROWS, graph.output.shape[1])
        output = self._buffers[graph.output.index]
        if emit:
            recorder.identity_forward(output, self._stream(R.OUTPUT, output.shape[1]))
        if loss is not None or gradients:
            made = self._backward(recorder, dz, gradients or optimizer.steps)
            if gradients:
                self._add_up(recorder, total)
                self._lay_down(recorder, loss is None)
            else:
                self._update(recorder, made, optimizer, fused and clip_norm is None, clip_norm)
        calls = fuse_activations(drop_unread(recorder.calls))
        # a step changes the weights: packing them in passing was never slower than keeping packed forms up to date, but for sparse rows
        self.reads_packed, self.constants = loss is None or bool(self._sparse_weights()), recorder.constants
        self.keeps_weights = loss is None
        self._finish(calls, keep)

    def _finish(self, calls, keep=False):
        if self.reads_packed:
            self._use_packed(calls)
        self.shards, self.replicas = [], None
        if self.trained:
            calls = self._share(calls, keep)
        self.calls = assign_phases(calls, self.rows)
        kept = {id(self._buffers[node.out.index]) for node in self.graph.nodes} if keep else ()
        self.flows = bool(self.shards) and flows(self.calls, self.shards, conflict)
        self.arena_bytes, self.private_bytes = place_buffers(self.calls, self.rows, self.dtype.itemsize, kept,
                                                             [shard.mail for shard in self.shards if shard.mail is not None], self.flows,
                                                             self.replicas.bytes if self.replicas else 0)
        self.arena = aligned(self.arena_bytes, np.uint8)
        self.columns = self._columns()
        self.records = self._encode()
        self._engine = self._for_engine()
        self.row_block, self._fixed = 1 << 40 if self.replicas else self._row_block(self.calls), self._work(0)
        self._row = self._work(1) - self._fixed
        self._workspace, self._rooms = {}, {}

    def _share(self, calls, keep):
        """The calls as threads share them: rows with weights of their own, where few bytes of weights would have to move; else the units
        of a hidden layer; else what suits each call."""
        compiled, size = hasattr(self.book, "ENGINE_SIZES"), self.dtype.itemsize
        if compiled and not keep:
            halves = not self.alone and in_halves(self.rows)
            if halves:
                calls, self.replicas = find_replicas(calls, self.rows, self.dtype, FEW_WEIGHTS)
            if self.replicas is None:
                blocks = row_blocks(self.rows, self._row_block(calls))
                self.shards = find_shards(calls, self.rows, size, lambda call: goes_by_rows(call, self.rows, blocks))
                if halves and not self.shards and cores() == BLOCKS:
                    calls, self.replicas = find_replicas(calls, self.rows, self.dtype, MANY_WEIGHTS)
            if self.replicas is not None:
                return calls
        share_columns(calls, self.rows, size)
        if compiled:
            calls = share_rows(calls, self.rows, self._row_block(calls))
        if self.shards:
            gather_ahead(calls, self.rows, size)
        return calls

    # --- what is written down

    def _stream(self, space, width, kind="real", rows=True):
        size = (8 if kind != "real" else self.dtype.itemsize) * width
        return Buffer((BATCH, width) if rows else (width,), kind, (space, size))

    def _read_data(self, k, data):
        order = Buffer((BATCH,), "int", (R.ORDER, 8))
        self.target = self.weight = None
        for i, symbol in enumerate(self.graph.inputs):
            width = symbol.shape[1]
            self._buffers[symbol.index] = self._stream(R.INPUT_ROWS + i, width)
            if i in data.sparse:
                self._buffers[symbol.index] = self._sparse(k, i, width, order if data.gather else None)
            elif data.gather:
                self._buffers[symbol.index] = Buffer((BATCH, width))
                k.gather_rows(Buffer((0, width), "any", (R.INPUT + i, 0)), order, self._buffers[symbol.index])
                k.calls[-1].source = data.sources[i]
        if data.targets == "int":
            self.target = Buffer((BATCH,), "int", None if data.gather else (R.TARGET_ROWS, 8))
        elif data.targets is not None:
            self.target = Buffer((BATCH, data.targets)) if data.gather else self._stream(R.TARGET_ROWS, data.targets)
        if data.weights:
            self.weight = Buffer((BATCH,), "real", None if data.gather else (R.WEIGHT_ROWS, self.dtype.itemsize))
        if data.gather and self.target is not None:
            whole = Buffer((0, *self.target.shape[1:]), self.target.kind, (R.TARGET, 0))
            (k.gather_labels if data.targets == "int" else k.gather_rows)(whole, order, self.target)
            k.calls[-1].source = self.dtype
        if data.gather and self.weight is not None:
            k.gather_weights(Buffer((0,), "real", (R.WEIGHT, 0)), order, self.weight)
            k.calls[-1].source = self.dtype

    def _sparse(self, k, i, width, order):
        """Input i as sparse rows: those of the batch are picked by `order`, or stand in a stream."""
        rows = self._stream(R.INPUT_ROWS + i, 2, "int")
        if order is not None:
            rows = Buffer((BATCH, 2), "int")
            k.gather_spans(Buffer((0, 2), "int", (R.INPUT + i, 0)), order, rows)
        return SparseBuffers(rows, Buffer((0,), "int", (R.COLUMNS + i, 0)), Buffer((0,), "real", (R.VALUES + i, 0)), width)

    def _mix(self, k, data, smoothing):
        """Inputs and targets of the batch mixed with those of the batch turned round, by the share of the step."""
        if data.sparse:
            raise ValueError("X is sparse, which mixup does not take; it needs X.toarray()")
        if next(self.graph.index_columns(), None) is not None:
            raise ValueError("mixup cannot be combined with an embedding of the inputs: an index between two others names another row")
        for symbol in self.graph.inputs:
            x = self._buffers[symbol.index]
            self._buffers[symbol.index] = Buffer(x.shape)
            k.mix_rows(x, self._buffers[symbol.index], Slot("mixup"))
        target, width = self.target, self.graph.output.shape[1] if data.targets == "int" else data.targets
        self.target = Buffer((BATCH, width))
        if data.targets == "int":
            k.mix_labels(target, self.target, Slot("mixup"), smoothing)
        else:
            k.mix_rows(target, self.target, Slot("mixup"))

    def _array_of(self, t):
        if t.traced:
            return self._buffers[t.index]
        if isinstance(t, buffer.Buffer):
            return Buffer(t.shape, t.kind, (R.BUFFERS_SPACE, self.store.buffer_place(t)))
        return Buffer(t.shape, "real", (R.PARAMETERS, t._offset * self.dtype.itemsize))

    def _forward(self, k, optimizer):
        for node in self.graph.nodes:
            if node.op.random:
                node.op.seed, node.op.step = self.seed, Slot("step")
                node.op.slot = optimizer.slot_of_layer(node.op.layer, node.op.number) if optimizer is not None else None
            out = self._buffers[node.out.index] = Buffer(node.out.shape)
            arrays = [None if t is None else self._array_of(t) for t in node.inputs]
            if node.op.name != "linear" and any(isinstance(a, SparseRows) for a in arrays):
                raise ValueError(f"X is sparse, which only Linear takes as its input; {node.op.name} needs X.toarray()")
            shapes = [None if t is None else t.shape for t in node.inputs]
            if node.op.keeps is not None:
                node.op.kept = [Buffer(*kept) for kept in node.op.keeps(*shapes)]
            node.op.forward(k, out, *arrays)
        if isinstance(self._buffers[self.graph.output.index], SparseRows):
            raise ValueError("X is sparse, and the model hands it on as it is; it needs X.toarray()")

    def _loss(self, k, loss):
        op, self._loss_input = self._held = loss  # a loss of the user's holds the code that the records point to
        z = self._buffers[self._loss_input.index]
        l, dz = Buffer((BATCH,)), Buffer(z.shape)
        op.rows(k, z, self.target, self.weight, l, dz)
        loss = k.mean_loss(l, self.weight, Buffer((2,), "f64", (R.RESULT, 16)))
        running = [call for call in k.calls if call.name == "running_update"]
        for call in running:  # statistics that a forward keeps change once the loss is known to be finite, like weights
            k.calls.remove(call)
            k.calls.append(call)
            call.after = [loss]
        return dz

    def _squares(self, k, params):
        """The sum of squares of `params` before each step; the last layer first, since the backward updates that first."""
        before = None
        for i, p in enumerate(reversed(params), 1):
            parts = Buffer((min(max(p.size // PIECE, 1), PIECES),), "f64")
            s = Buffer((1,), "f64", (R.SQUARES, 8) if i == len(params) else None)
            k.sum_squares(Buffer((p.size,), "real", self._array_of(p).place), parts)
            k.sum_parts(parts, before, s)
            before = s

    def _backward(self, k, dz, params):
        """The chain rule; gradients of `params` go to the flat vector: parameter -> (the call that makes it, whether others read it)."""
        steps = [(n.op, [t if t is not None and t.requires_grad else None for t in n.inputs],
                  [None if t is None else self._array_of(t) for t in n.inputs], n.out, self._buffers[n.out.index])
                 for n in self.graph.nodes]
        gradients = {self._loss_input: dz}
        backpropagate(k, steps, gradients, lambda like: Buffer(like.shape))
        producers = {id(b): call for call in k.calls for b in call.writes()}
        made = {}
        for p in params:
            if p in gradients:
                g = gradients[p]
                g.place = (R.GRADIENTS, p._offset * self.dtype.itemsize)
                made[p] = producers[id(g)], any(b is g for call in k.calls for b in call.reads())
        self.trained = list(made)
        return made

    def _add_up(self, k, total):
        if total:
            made, everything = list(k.calls), (self.store.size,)
            k.accumulate(Buffer(everything, "real", (R.GRADIENTS, 0)), Buffer(everything, "real", (R.TOTAL, 0)), Slot("share")).after = made

    def _lay_down(self, k, jacobian):
        if jacobian:
            made, everything, size = list(k.calls), (self.store.size,), self.store.size * self.dtype.itemsize
            k.identity_forward(Buffer(everything, "real", (R.GRADIENTS, 0)), Buffer(everything, "real", (R.JACOBIAN, size))).after = made

    def _update(self, k, made, optimizer, fused, clip_norm):
        updates, clip = {}, None
        if clip_norm is not None:
            before = list(k.calls)
            norm = Buffer((1,), "f64", (R.NORMS, 8) if self.norms else None)
            clip = k.clip_norm(Buffer((self.store.size,), "real", (R.GRADIENTS, 0)), norm, clip_norm)
            clip.after = before
        for p, (producer, shared) in made.items():
            update, *after = optimizer.record(k, p, self.clip_value)
            update.after = [clip] if clip else []
            updates[p] = producer, update, shared or bool(after)
        for p, (producer, update, shared) in updates.items():
            if fused and not shared and producer.name in WEIGHT_GRADIENTS:
                place = 0 if p.ndim == 2 else 1
                producer.then[place], update.chained = update, True
            elif fused and not shared and producer.name in TABLE_GRADIENTS and hasattr(self.book, "ENGINE_SIZES"):
                if (slot := optimizer.resting(p)) is not None:
                    producer.scalars[-1], producer.then[0], update.chained = slot, update, True
        for p in self._sparse_weights():
            if p in updates:
                pack, producer = k.linear_pack(self._array_of(p), self._packed(p)), updates[p][0]
                if producer is not None and producer.then[0] is not None:
                    producer.then[2], pack.chained = pack, True
        if self.averages:
            whole = (self.store.size,)
            k.average_update(Buffer(whole, "real", (R.PARAMETERS, 0)), Buffer(whole, "real", (R.AVERAGE, 0)),
                             Slot("ema")).after = [update for _, update, _ in updates.values()]
        for call in k.calls:  # a bias whose weight is frozen has no tile of its own to ride on
            if call.name in WEIGHT_GRADIENTS and call.then[1] is not None and call.arrays[2] is not None and not call.then[0]:
                call.then[1].chained, call.then[1] = False, None

    def _forward_weights(self):
        return list(dict.fromkeys(n.inputs[1] for n in self.graph.nodes if n.op.name == "linear"))

    def _sparse_weights(self):
        """Weights of layers whose input is sparse: their packed forms follow every update."""
        return list(dict.fromkeys(n.inputs[1] for n in self.graph.nodes
                                  if n.op.name == "linear" and isinstance(self._buffers.get(n.inputs[0].index), SparseRows)))

    def _packed(self, p):
        """The packed form of weight p: one vector for the store, in the order of its weights."""
        if p not in self._packs:
            layout = packed_layout(self.store)
            self._packs[p] = Buffer(kernels.packed_shape(*p.shape, self.dtype), "real", (R.PACKED, layout[p] * self.dtype.itemsize))
        return self._packs[p]

    def _use_packed(self, calls):
        weights = {self._array_of(p).key(): p for p in self._forward_weights()}
        for call in calls:
            if call.name == "linear_forward" and self.keeps_weights:
                call.arrays[4] = self._packed(weights[call.arrays[1].key()])
            elif call.name == "sparse_linear_forward":
                call.arrays[7] = self._packed(weights[call.arrays[3].key()])

    # --- how it is encoded

    def _columns(self):
        names = [s.name for call in self.calls for s in call.scalars if isinstance(s, Slot)]
        return {name: index for index, name in enumerate(dict.fromkeys(names))}

    def _encode(self):
        places = {id(call): index for index, call in enumerate(self.calls)}
        records = np.zeros(len(self.calls), R.RECORD)
        rows = [self._fields(call, places) for call in self.calls]
        for name, column in zip(rows[0], zip(*(row.values() for row in rows))):  # field by field: one by one takes five times as long
            records[name] = column
        return records

    def _for_engine(self):
        """What the compiled engine is told besides: what changes from step to step, as (record, place, column, lines), where column is -1
        for a buffer in a stream and -2 for one of two rooms in turns, `lines` apart; the shards, and whether steps flow into each other."""
        if not hasattr(self.book, "ENGINE_SIZES"):
            return ()
        slots, streams = self.records["slot"], np.argwhere(self.records["buf"] >> 48 >= R.ROW_STREAM)
        turns = [(number, place, -2, room_of(b, self.rows, self.dtype.itemsize) // 64) for number, call in enumerate(self.calls)
                 for place, b in enumerate(call.arrays) if b is not None and b.twice]
        moves = [np.column_stack([np.argwhere(slots >= 0), slots[slots >= 0], np.zeros((slots >= 0).sum(), int)]),
                 np.column_stack([streams, np.tile((-1, 0), (len(streams), 1))]), np.reshape(turns, (-1, 4))]
        shards = np.array([shard.encode(self.shards, self.rows) for shard in self.shards], np.int64).reshape(len(self.shards), 9)
        replicas = np.array(self.replicas.encode() if self.replicas else (), np.int64)
        moves = np.ascontiguousarray(np.concatenate(moves), np.int32)  # argwhere's arrays stand column by column
        return moves, shards, self.flows, replicas

    def _fields(self, call, places):
        """The record of a call, by field; places: call -> its number."""
        arrays = [-1 if b is None else R.reference_to(*b.place) for b in call.arrays]
        s, k, slot = [0.0] * R.SCALARS, [0] * R.SCALARS, [-1] * R.SCALARS
        for i, value in enumerate(call.scalars):
            if isinstance(value, Slot):
                slot[i] = self.columns[value.name]
                continue
            value = kernels.ACTIVATIONS.index(value) if isinstance(value, str) else value
            whole = int(value) & (1 << 64) - 1
            s[i], k[i] = value, whole - (whole >> 63 << 64)
        return {"op": kernels.reference.OPS[call.name], "over": R.OVER.index(call.over), "phase": call.phase, "cut": R.CUT.index(call.cut),
                "chained": call.chained, "real": self.dtype == np.float64, "source": (call.source or self.dtype) == np.float64,
                "then": [-1 if t is None else places[id(t)] for t in call.then], "buf": arrays + [-1] * (R.BUFFERS - len(arrays)),
                "slot": slot, "dim": call.dims, "s": s, "k": k}

    def _row_block(self, calls):
        """Rows that go through all records of a phase together: small nets keep a block's values in the cache; a large net's weights
        would be read again for every block, so it takes all rows at once."""
        written = [b for call in calls if call.over == "rows" and call.cut == "units" for b in call.writes()]
        width = sum(b.elements(1) for b in written if b.shape[0] is BATCH)
        weights = sum(p.size for p in self._forward_weights()) * self.dtype.itemsize
        if weights > 1 << 18:
            return 1 << 40
        return max(32, (1 << 18) // max(width * self.dtype.itemsize, 1) // 16 * 16)

    # --- how it runs

    def flops(self, rows):
        """Floating-point operations of the matmuls of one step of `rows` rows."""
        return sum(call.flops(rows) for call in self.calls if call.name in MATMULS)

    def _work(self, rows):
        """Operations of the matmuls, and 8 for every element of anything else."""
        return sum(call.flops(rows) * (1 if call.name in MATMULS else 8) for call in self.calls)

    def worth(self, rows):
        """How many threads a step of `rows` rows has a SHARE of work for."""
        return max(1, int((self._fixed + self._row * rows) / (SHARE_OF_REPLICAS if self.replicas else SHARE)))

    def working(self, threads, rows):
        """How many of a team of `threads` take part in steps of `rows` rows; bits do not depend on it."""
        return min(threads, self.worth(rows)) if threads > 1 else 1

    def memory(self):
        """Bytes this plan works on, by use: arena with the threads' own rooms, parameters with optimizer state, packed weights; of a
        training plan also the gradients that are written down (a fused update leaves none) and the snapshot that a fit keeps of
        parameters and optimizer state."""
        vectors = sum(v.nbytes for name, v in self.store.vectors.items() if name != "grad")
        kept = sum(t.arrays[0].elements(0) for t in self.calls
                   if t.name.endswith("_update") and t.name != "running_update" and not t.chained)
        kept += sum(t.writes()[0].elements(0) for t in self.calls if t.name in TABLE_GRADIENTS and t.then[0] is not None)
        packed = self.store.packed.nbytes if self.store.packed is not None else 0
        arena = self.arena_bytes + sum(room.nbytes for room in self._rooms.values())
        held = {"arena": arena, "parameters": vectors, "packed": packed, "gradients": kept * self.dtype.itemsize,
                "snapshot": vectors if self.trained else 0}
        return {**held, "total": sum(held.values())}

    def enter(self):
        """Make the packed weights agree with the parameters, where they were written since."""
        if self.reads_packed:
            pack_store(self.store, self.book)
        if self.whole:  # the whole vector is read: no gradient of an earlier backward() may be left in it
            for p in set(self.store.params).difference(self.trained):
                p.grad = None
                p._grad_array[...] = 0

    def run(self, spaces, table, rows, batch, start, last_step, threads=1, seconds=0.1):
        """Run steps start..last_step of epochs of `rows` rows: (step, phase, status), as kernels.reference.engine.run_plan."""
        if table.shape[1] < len(self.columns):  # a forward that drops in evaluation too: as in the first step
            table = np.zeros((last_step, len(self.columns)))
        return self.launch(self.full(spaces), table, rows, batch, start, last_step, threads, seconds)

    def full(self, spaces):
        """One array or None per space: the plan's own, and those given by number. It holds while the parameters stay in their store."""
        full = [None] * R.SPACES
        full[R.ARENA], full[R.PARAMETERS], full[R.GRADIENTS] = self.arena, self.store.vectors["data"], self.store.vectors["grad"]
        full[R.PACKED], full[R.CONSTANTS] = self.store.packed, self.constants
        full[R.BUFFERS_SPACE] = self.store.vectors.get("buffers")
        for space, array in spaces.items():
            full[space] = array
        return full

    def launch(self, full, table, rows, batch, start, last_step, threads, seconds):
        """run() on spaces that full() gave. A team of `threads` is started; those for which there is no SHARE of the work leave at once."""
        team, threads = threads, self.working(threads, min(rows, batch))
        threads = min(threads, BLOCKS) if self.replicas else threads
        full[R.PRIVATE], self._ran = self._private(threads), threads
        workspace = self._workspace
        if hasattr(self.book, "ENGINE_SIZES"):
            if workspace.get("threads", 0) < threads:
                sizes = self.book.ENGINE_SIZES
                need = threads * (len(self.records) * sizes["args"] + len(self.shards) * sizes["apart"] + sizes["place"])
                workspace.update(threads=threads, array=aligned(need, np.uint8))
            workspace = workspace["array"]
        return self.book.run_plan(self.records, full, table, workspace, rows, batch, self.row_block, start, last_step, threads, team,
                                  seconds, *self._engine)

    def _private(self, threads):
        """The threads' own rooms, side by side."""
        size = self.private_bytes * threads
        if size and self._rooms.get(threads) is None:
            self._rooms[threads] = aligned(size, np.uint8)
        return self._rooms.get(threads)

    def values(self):
        """(name, array) of what the last step wrote, in the order of the forward: for naming where a value stopped being finite."""
        for node in self.graph.nodes:
            b = self._buffers[node.out.index]
            if b.place and b.place[0] == R.ARENA:
                yield node, self._array(self.arena, b)
            elif b.apart:
                rooms = np.split(self._rooms[self._ran], self._ran)
                yield node, together([self._array(room, b) for room in rooms], self.book.ENGINE_SIZES["grain"])

    def _array(self, room, b):
        """The array of reals that stands in `room` at the place of b."""
        offset = b.place[1]
        return room[offset:offset + b.elements(self.rows) * self.dtype.itemsize].view(self.dtype).reshape(self.rows, -1)

    def __str__(self):
        lines = [f"plan for up to {self.rows} rows, {self.dtype}, {self.memory()['total']:,} bytes"]
        for index, call in enumerate(self.calls):
            shapes = " ".join(f"{a.name}({', '.join(map(str, b.shape))})" for a, b in zip(call.spec.arrays, call.arrays) if b is not None)
            scalars = ", ".join(f"{name}={value.name if isinstance(value, Slot) else value}"
                                for (name, _), value in zip(call.spec.scalars, call.scalars))
            ride = " (with the tile before)" if call.chained else ""
            lines.append(f"{index:3}  phase {call.phase}  {call.over:7} {call.cut:5}  {call.name}  {shapes}  {scalars}{ride}".rstrip())
        return "\n".join(lines)


def packed_layout(store):
    """Parameter -> offset (elements) of its packed form in the store's packed vector; weights are its matrices."""
    layout, offset = {}, 0
    for p in store.params:
        if p.ndim == 2:
            layout[p] = offset
            offset += math.prod(kernels.packed_shape(*p.shape, store.dtype))
    if store.packed is None:
        store.packed = aligned(offset, store.dtype)
    return layout


def pack_store(store, book):
    """Bring the packed vector up to date; nothing to do when no weight was written since."""
    if store.packed_version == store.version and store.packed is not None and not store.escaped:
        return
    for p, offset in packed_layout(store).items():
        shape = kernels.packed_shape(*p.shape, store.dtype)
        book.linear_pack(p._array, store.packed[offset:offset + math.prod(shape)].reshape(shape))
    store.packed_version = store.version
