/* Gradient of the weight, dw = dyᵀ x over N rows, and its update while a tile of it is hot; for one type, included by matmul.h.

   Chunks of rows (vv_chunk_rows) are chains of their own; a stack holds the partial tiles of the binary tree over chunks. What the products read
   is brought side by side first where that pays: columns of x, whose lines would stand I apart, and the columns of dy, which would
   stand O apart; for powers of two they all fall into a few sets of the first-level cache. */
enum { F(stack_levels) = 32, F(STRIP_TILES) = (TILE_ROWS + 2) / 3 };
enum { F(NEAR_X) = (1 << 18) / sizeof(REAL), F(NEAR_DY) = (1 << 18) / sizeof(REAL) };

/* Whether dy stays in the first-level cache as it is, so that its columns need not be brought together. */
INLINE int F(is_close)(ptrdiff_t N, ptrdiff_t O) { return N * O * sizeof(REAL) <= 1 << 14; }
/* Whether x does not fit the second-level cache: columns of it are copied then, for the FAR_OUTPUTS outputs of a block at once. */
INLINE int F(is_far)(ptrdiff_t N, ptrdiff_t I, ptrdiff_t O) { return !F(is_close)(N, O) && N * I * sizeof(REAL) > 1 << 20; }
enum { F(FAR_OUTPUTS) = 128, F(FAR_COLUMNS) = 4096 / sizeof(REAL), F(FEW_ROWS) = F(NEAR_DY) / F(FAR_OUTPUTS) };
/* Outputs that are gone through together: all, where dy is close; else blocks of TILE_ROWS walk along whole rows of weights, which suits
   their update. */
INLINE ptrdiff_t F(block_outputs)(ptrdiff_t N, ptrdiff_t I, ptrdiff_t O) {
    return F(is_close)(N, O) ? O : F(is_far)(N, I, O) ? F(FAR_OUTPUTS) : TILE_ROWS;
}

/* The joins that follow a chunk, of sums on a stack, each `rows` by `columns`, `size` elements apart, rows `across` apart; the last one goes
   to `out`, rows ld apart. up: the chunk's number after the joins that were made. Returns how many sums are left. */
INLINE int F(join_sums)(REAL *stack, ptrdiff_t size, ptrdiff_t across, ptrdiff_t rows, ptrdiff_t columns, REAL *out, ptrdiff_t ld, ptrdiff_t up,
                        int last, int level) {
    for (; level > 1 && ((up & 1) || last); up >>= 1) {
        level--;
        const REAL *const one = stack + (level - 1) * size, *const other = one + size;
        REAL *const to = last && level == 1 ? out : stack + (level - 1) * size;
        const ptrdiff_t apart = to == out ? ld : across;
        for (ptrdiff_t m = 0; m < rows; m++)
            for (ptrdiff_t c = 0; c < columns; c++) to[m * apart + c] = one[m * across + c] + other[m * across + c];
    }
    return level;
}

/* Rows of a chunk: by those of the batch, of which N may be a part (weight_parts). */
INLINE ptrdiff_t F(chunk_of)(const vv_args *a) { return vv_chunk_rows(a->dim[3] ? a->dim[3] : a->dim[0], a->dim[1] * a->dim[2]); }

/* Rows n.. of a tile of sums over N, `most` at most, a chunk; the whole goes to `out`, rows ld apart. A chunk's tile is joined to the one before as
   it leaves the registers; the last join of all writes to `out`. level: tiles on the stack; returns how many there are then. */
INLINE int F(weight_chunk)(F(product) * g, ptrdiff_t n, ptrdiff_t N, ptrdiff_t most, int rows, int panels, REAL *out, ptrdiff_t ld,
                           REAL (*stack)[MAX_ROWS * MAX_PANELS * LANES], int level) {
    const ptrdiff_t columns = (panels - 1) * LANES + g->last, chunk = n / most;
    const int last = n + most >= N, join = level > 0 && ((chunk & 1) || last), whole = last && level <= join;
    g->depth = N - n < most ? N - n : most;
    g->joined = join ? stack[level - 1] : NULL;
    g->joined_row = MAX_PANELS * LANES;
    g->c = whole ? out : stack[level - join];
    g->c_row = whole ? ld : MAX_PANELS * LANES;
    RUN(g, 0, rows, panels);
    level += !join;
    return F(join_sums)(stack[0], MAX_ROWS * MAX_PANELS * LANES, MAX_PANELS * LANES, rows, columns, out, ld, join ? chunk >> 1 : 0, last, level);
}

/* Columns from..end of x, group of panels after group, row by row of all groups: long runs of lines come faster than short ones. */
static void F(copy_columns)(const REAL *x, ptrdiff_t N, ptrdiff_t I, ptrdiff_t from, ptrdiff_t end, REAL *to) {
    enum { ACROSS = MAX_PANELS * LANES };
    for (ptrdiff_t n = 0; n < N; n++)
        for (ptrdiff_t i = from; i < end; i += ACROSS) {
            const ptrdiff_t wide = end - i < ACROSS ? (end - i + LANES - 1) / LANES * LANES : ACROSS;
            for (ptrdiff_t c = 0; c < wide && i + c < end; c += W) F(store)(to + (i - from) * N + n * wide + c, LOAD(x + n * I, i + c, end));
        }
}
/* Columns o0..o1 of dy, TILE_ROWS side by side. */
static void F(copy_outputs)(const REAL *dy, ptrdiff_t N, ptrdiff_t O, ptrdiff_t o0, ptrdiff_t o1, REAL *to) {
    for (ptrdiff_t n = 0; n < N; n++)
        for (ptrdiff_t o = o0; o < o1; o += TILE_ROWS)
            for (ptrdiff_t c = 0; c < TILE_ROWS && o + c < o1; c += W) F(store)(to + (o - o0) * N + n * TILE_ROWS + c, LOAD(dy + n * O, o + c, o1));
}

/* Strips of TILE_ROWS outputs go through a chunk together, which stays in the first-level cache meanwhile: 1024-1024 at batch 512, one
   thread, 127 GFLOP/s tile by tile and 139 so, 512-512 at 2048 33 and 58. Wide runs of copies: 99. */
static __attribute__((noinline)) void F(weight_block)(const REAL *x, const REAL *dy, ptrdiff_t N, ptrdiff_t most, ptrdiff_t I, ptrdiff_t O,
                                                      ptrdiff_t o0, ptrdiff_t o1, ptrdiff_t i0, ptrdiff_t i1, REAL *dw, ptrdiff_t ld) {
    REAL stack[F(STRIP_TILES)][F(stack_levels)][MAX_ROWS * MAX_PANELS * LANES] __attribute__((aligned(64)));
    REAL near_dy[F(NEAR_DY)] __attribute__((aligned(64))), near_x[F(NEAR_X)] __attribute__((aligned(64)));
    const int close = F(is_close)(N, O), copied = F(is_far)(N, I, O) && o1 - o0 > TILE_ROWS && N <= F(FEW_ROWS);
    const ptrdiff_t blocks = (o1 - o0 + TILE_ROWS - 1) / TILE_ROWS;
    const ptrdiff_t stretch = copied ? F(NEAR_X) / N / (MAX_PANELS * LANES) * (MAX_PANELS * LANES) : 1;
    const int near = !close && N * blocks * TILE_ROWS <= F(NEAR_DY);
    if (near) F(copy_outputs)(dy, N, O, o0, o1, near_dy);
    for (ptrdiff_t i = i0; i < i1;) {
        F(product) g = {.a_row = 1, .a_k = near ? TILE_ROWS : O, .b_panel = LANES};
        const int panels = F(group)(i1 - i, &g.last);
        const ptrdiff_t columns = (panels - 1) * LANES + g.last;
        if (copied && (i - i0) % stretch == 0) F(copy_columns)(x, N, I, i, i1 - i < stretch ? i1 : i + stretch, near_x);
        const REAL *const b = copied ? near_x + (i - i0) % stretch * N : x + i;
        g.packed = copied;
        g.b_k = copied ? panels * LANES : I;
        for (ptrdiff_t o = o0, end; o < o1; o = end) {
            end = (close && N <= most) || o1 - o < TILE_ROWS ? o1 : o + TILE_ROWS;
            const REAL *const a = near ? near_dy + (o - o0) * N : dy + o;
            int level = 0, then = 0;
            for (ptrdiff_t n = 0; n == 0 || n < N; n += most, level = then)
                for (ptrdiff_t t = o, tile = 0, rows; t < end; t += rows, tile++) {
                    rows = F(rows_of)(end - t, F(tile_rows)[panels]);
                    g.a = a + (t - o) + n * g.a_k;
                    g.b = b + n * g.b_k;
                    then = F(weight_chunk)(&g, n, N, most, (int)rows, panels, dw + (t - o0) * ld + (i - i0), ld, stack[N > most ? tile : 0], level);
                }
        }
        i += columns;
    }
}

/* Blocks of a far weight over many rows: a chunk of x and dy after the other, each copied for the whole block, whose sums are on a stack.
   One thread, GFLOP/s of weight_block and so: 2048-2048 at batch 2048 74 and 125, 512-512 at 4096 73 and 124, 256-256 at 10,000 63 and 120. */
enum { F(FAR_STACK) = 640 * 1024 / sizeof(REAL) };
static __attribute__((noinline)) void F(weight_far)(const REAL *x, const REAL *dy, ptrdiff_t N, ptrdiff_t I, ptrdiff_t O, ptrdiff_t o0,
                                                    ptrdiff_t o1, ptrdiff_t i0, ptrdiff_t i1, REAL *dw, ptrdiff_t ld) {
    enum { ACROSS = MAX_PANELS * LANES, MOST = 1024 / sizeof(REAL) };
    REAL stack[F(FAR_STACK)] __attribute__((aligned(64))), near_x[CHUNK * MOST] __attribute__((aligned(64)));
    REAL near_dy[CHUNK * F(FAR_OUTPUTS)] __attribute__((aligned(64)));
    ptrdiff_t levels = 2, across;
    while (N >> levels > CHUNK) levels++;
    across = F(FAR_STACK) / F(FAR_OUTPUTS) / (levels + 1) / ACROSS * ACROSS;
    if (across > MOST) across = MOST;
    for (ptrdiff_t i = i0; i < i1; i += across) {
        const ptrdiff_t wide = i1 - i < across ? i1 - i : across, size = F(FAR_OUTPUTS) * across;
        int level = 0;
        for (ptrdiff_t n = 0; n < N; n += CHUNK) {
            const ptrdiff_t depth = N - n < CHUNK ? N - n : CHUNK, chunk = n / CHUNK;
            const int last = n + CHUNK >= N, join = level > 0 && ((chunk & 1) || last), whole = last && level <= join;
            F(copy_columns)(x + n * I, depth, I, i, i + wide, near_x);
            F(copy_outputs)(dy + n * O, depth, O, o0, o1, near_dy);
            F(product) g = {.a_row = 1, .a_k = TILE_ROWS, .b_panel = LANES, .packed = 1, .depth = depth, .joined_row = across};
            REAL *const to = whole ? dw + (i - i0) : stack + (level - join) * size;
            g.c_row = whole ? ld : across;
            for (ptrdiff_t c = 0, columns; c < wide; c += columns) {
                const int panels = F(group)(wide - c, &g.last);
                columns = (panels - 1) * LANES + g.last;
                g.b = near_x + c * depth;
                g.b_k = panels * LANES;
                for (ptrdiff_t o = o0; o < o1; o += TILE_ROWS)
                    for (ptrdiff_t t = o, end = o1 - o < TILE_ROWS ? o1 : o + TILE_ROWS, rows; t < end; t += rows) {
                        rows = F(rows_of)(end - t, F(tile_rows)[panels]);
                        g.a = near_dy + (o - o0) * depth + (t - o);
                        g.c = to + (t - o0) * g.c_row + c;
                        g.joined = join ? stack + (level - 1) * size + (t - o0) * across + c : NULL;
                        RUN(&g, 0, (int)rows, panels);
                    }
            }
            level += !join;
            level = F(join_sums)(stack, size, across, o1 - o0, wide, dw + (i - i0), ld, join ? chunk >> 1 : 0, last, level);
        }
    }
}

/* The update of elements first..first + n, whose gradient stands at `g` instead of in the flat vector. */
INLINE void F(update_from)(vv_args *update, const REAL *g, ptrdiff_t first, ptrdiff_t n) {
    update->buf[0] = (void *)(g - first);
    update->run(update, first, first + n);
}

/* The same of `lines` runs of n elements, `apart` from one to the next. */
INLINE void F(update_lines)(vv_args *update, const REAL *g, ptrdiff_t first, ptrdiff_t n, ptrdiff_t lines, ptrdiff_t apart) {
    if (update->run == adam_update_entry) F(adam)(F(adam_step_for)(update), g, first, n, lines, apart);
    else if (update->run == adamw_update_entry) F(adam)(F(adamw_step_for)(update), g, first, n, lines, apart);
    else
        for (ptrdiff_t line = 0; line < lines; line++) F(update_from)(update, g + line * n, first + line * apart, n);
}

/* An update of elements lo..hi with the sum of its gradient and `other`, another thread's, where the new weights are left. */
static void F(update_pair)(vv_args *update, REAL *other, ptrdiff_t lo, ptrdiff_t hi) {
    enum { STRIP = 256 };
    REAL *const g = update->buf[0];
    if (update->run == adam_update_entry) F(adam_pair)(F(adam_step_for)(update), g, other, lo, hi);
    else if (update->run == adamw_update_entry) F(adam_pair)(F(adamw_step_for)(update), g, other, lo, hi);
    else
        for (ptrdiff_t end; lo < hi; lo = end) {
            end = hi - lo < STRIP ? hi : lo + STRIP;
            for (ptrdiff_t i = lo; i < end; i += W) STORE(g, i, end, LOAD(g, i, end) + LOAD(other, i, end));
            for (ptrdiff_t i = lo; i < end; i += 64 / (ptrdiff_t)sizeof(REAL)) __builtin_prefetch((const char *)(other + i) + STRIP * sizeof(REAL));
            update->run(update, lo, end);
            memcpy(other + lo, (REAL *)update->buf[1] + lo, (end - lo) * sizeof(REAL));
        }
}

/* A layer of few inputs and more outputs: vectors along the outputs, then turned. The chains are the same. It pays where more lanes are
   full so (17-64 at batch 64: 3.5 us by panels of inputs, 2 so), and with whole chunks of rows where about as many are, for what comes
   after the products is then little, and is made line by line (64-256 at batch 256: 89 us and 83). */
enum { F(NARROW) = 64 };
INLINE int F(is_narrow)(ptrdiff_t N, ptrdiff_t I, ptrdiff_t O) {
    const ptrdiff_t by_inputs = O * ((I + LANES - 1) / LANES), by_outputs = I * ((O + LANES - 1) / LANES);
    return I <= F(NARROW) && (N < CHUNK ? 4 * by_inputs > 5 * by_outputs : 5 * by_inputs > 4 * by_outputs);
}
static void F(weight_narrow)(vv_args *a, ptrdiff_t o0, ptrdiff_t o1) {
    enum { ACROSS = MAX_PANELS * LANES };
    REAL stack[F(stack_levels)][MAX_ROWS * ACROSS] __attribute__((aligned(64)));
    REAL turned[F(NARROW) * ACROSS] __attribute__((aligned(64))), panel[ACROSS * LANES] __attribute__((aligned(64)));
    REAL room[ACROSS * F(NARROW)];
    const ptrdiff_t N = a->dim[0], I = a->dim[1], O = a->dim[2], most = F(chunk_of)(a);
    for (ptrdiff_t o = o0, columns; o < o1; o += columns) {
        F(product) g = {.a_row = 1, .a_k = I, .b_k = O, .b_panel = LANES};
        const int panels = F(group)(o1 - o, &g.last);
        columns = (panels - 1) * LANES + g.last;
        for (ptrdiff_t i = 0, rows; i < I; i += rows) {
            rows = F(rows_of)(I - i, F(tile_rows)[panels]);
            g.a = (REAL *)a->buf[0] + i;
            g.b = (REAL *)a->buf[1] + o;
            int level = 0;
            for (ptrdiff_t n = 0; n == 0 || n < N; n += most, g.a += most * I, g.b += most * O)
                level = F(weight_chunk)(&g, n, N, most, (int)rows, panels, turned + i * ACROSS, ACROSS, stack, level);
        }
        REAL *const to = a->then[0] ? room : (REAL *)a->buf[2] + o * I;
        for (ptrdiff_t i = 0; i < I; i += LANES) {
            F(pack_panel)(turned, I, ACROSS, i / LANES, 0, columns, panel);
            for (ptrdiff_t c = 0; c < columns; c++)
                for (ptrdiff_t l = 0; l < LANES && i + l < I; l += W)
                    F(store_part)(to + c * I + i + l, F(load)(panel + c * LANES + l), I - i - l < W ? I - i - l : W);
        }
        if (a->then[0]) F(update_from)(a->then[0], room, o * I, columns * I);
    }
}

/* Outputs o0..o1 and inputs i0..i1 of dw: written down, or straight into the update of then[0]. */
static void F(weight_gradient)(vv_args *a, ptrdiff_t o0, ptrdiff_t o1, ptrdiff_t i0, ptrdiff_t i1) {
    const REAL *x = a->buf[0], *dy = a->buf[1];
    const ptrdiff_t N = a->dim[0], I = a->dim[1], O = a->dim[2];
    vv_args *update = a->then[0];
    if (!update && !a->buf[2]) return;
    if (i0 == 0 && i1 == I && F(is_narrow)(N, I, O)) {
        F(weight_narrow)(a, o0, o1);
        return;
    }
    const int far = F(is_far)(N, I, O), many = far && N > F(FEW_ROWS) && N < (ptrdiff_t)CHUNK << 18; /* weight_far has room for the sums of so many */
    /* a gradient that stays in the first-level cache is updated at once: 64-64 at batch 32 and its update 2.8 us by blocks, 2.6 so */
    const int small = (o1 - o0) * I * (ptrdiff_t)sizeof(REAL) <= 1 << 15;
    const ptrdiff_t down = !update || far ? F(block_outputs)(N, I, O) : small ? o1 - o0 : TILE_ROWS;
    const ptrdiff_t along = !update ? i1 - i0 : far ? F(FAR_COLUMNS) : TILE_COLUMNS;
    REAL room[F(FAR_OUTPUTS) * F(FAR_COLUMNS)] __attribute__((aligned(64)));
    _Static_assert(F(FAR_OUTPUTS) * F(FAR_COLUMNS) >= TILE_ROWS * TILE_COLUMNS, "room for either block");
    for (ptrdiff_t o = o0; o < o1; o += down)
        for (ptrdiff_t i = i0; i < i1; i += along) {
            const ptrdiff_t oe = o1 - o < down ? o1 : o + down, ie = i1 - i < along ? i1 : i + along, first = o * I + i;
            REAL *const to = update ? room : (REAL *)a->buf[2] + first;
            const ptrdiff_t ld = update ? ie - i : I;
            if (many) F(weight_far)(x, dy, N, I, O, o, oe, i, ie, to, ld);
            else F(weight_block)(x, dy, N, F(chunk_of)(a), I, O, o, oe, i, ie, to, ld);
            if (!update) continue;
            const ptrdiff_t lines = ld == I ? 1 : oe - o, length = ld == I ? (oe - o) * I : ld;
            F(update_lines)(update, room, first, length, lines, I);
        }
}

/* --- gradient of the bias: db[o0:o1] = sum over N of dy, chunks and tree as above. BIAS_PANELS panels side by side: each sum is one
   chain of additions, which a core would otherwise wait for. */
enum { F(BIAS_PANELS) = 4 };
static void F(bias_gradient)(const REAL *dy, ptrdiff_t N, ptrdiff_t most, ptrdiff_t O, ptrdiff_t o0, ptrdiff_t o1, REAL *db) {
    enum { WIDTH = F(BIAS_PANELS) * LANES };
    REAL stack[F(stack_levels)][WIDTH];
    for (ptrdiff_t o = o0; o < o1; o += WIDTH) {
        const ptrdiff_t columns = o1 - o < WIDTH ? o1 - o : WIDTH;
        const int vectors = (int)((columns + W - 1) / W);
        int level = 0;
        for (ptrdiff_t n = 0, chunk = 0; n == 0 || n < N; n += most, chunk++) {
            const ptrdiff_t end = N - n < most ? N : n + most;
            REAL *sum = stack[level++];
            for (int v = 0; v < vectors; v += 4) {
                VEC acc[4] = {{0}};
                long part[4];
                for (int j = 0; j < 4; j++) {
                    const ptrdiff_t left = columns - (v + j) * W;
                    part[j] = left < 0 ? 0 : left > W ? W : left;
                }
                for (ptrdiff_t r = n; r < end; r++)
                    for (int j = 0; j < 4; j++) acc[j] += F(load_part)(dy + r * O + o + (v + j) * W, part[j]);
                for (int j = 0; j < 4; j++) F(store_part)(sum + (v + j) * W, acc[j], part[j]);
            }
            int last = n + most >= N;
            for (ptrdiff_t join = chunk; level > 1 && ((join & 1) || last); join >>= 1) {
                level--;
                for (ptrdiff_t c = 0; c < columns; c++) stack[level - 1][c] += stack[level][c];
            }
        }
        memcpy(db + (o - o0), stack[0], columns * sizeof(REAL));
    }
}

/* --- many rows and few weights: gradients of blocks of rows, then their tree. Threads share the rows, so that each reads what it has
   just computed itself. Rows lo..hi begin with a block. */
static void F(weight_parts)(vv_args *a, ptrdiff_t lo, ptrdiff_t hi) {
    const ptrdiff_t N = a->dim[0], I = a->dim[1], O = a->dim[2], M = a->dim[3], step = vv_block_rows(N, M, I * O), end = (N + step - 1) / step;
    REAL *const parts = a->buf[2], *const db_parts = a->buf[3];
    vv_args one = *a;
    one.then[0] = one.then[1] = one.then[2] = NULL;
    one.dim[3] = N;
    for (ptrdiff_t n = lo; n < hi; n += step) {
        const ptrdiff_t m = n / step, rows = hi - n < step ? hi - n : step;
        const REAL *const dy = (REAL *)a->buf[1] + n * O;
        one.buf[0] = (REAL *)a->buf[0] + n * I, one.buf[1] = (REAL *)dy, one.buf[2] = parts + m * O * I, one.dim[0] = rows;
        F(weight_gradient)(&one, 0, O, 0, I);
        if (db_parts) F(bias_gradient)(dy, rows, vv_chunk_rows(N, I * O), O, 0, O, db_parts + m * O);
    }
    if (hi < N) return;
    memset(parts + end * O * I, 0, (M - end) * O * I * sizeof(REAL));
    if (db_parts) memset(db_parts + end * O, 0, (M - end) * O * sizeof(REAL));
}

/* Elements lo..hi of the tree over `blocks` blocks, `size` elements apart: to `out`, or into the update. */
static void F(join_blocks)(const REAL *parts, ptrdiff_t blocks, ptrdiff_t size, ptrdiff_t lo, ptrdiff_t hi, REAL *out, vv_args *update) {
    enum { STRIP = MAX_PANELS * LANES };
    REAL stack[F(stack_levels)][STRIP] __attribute__((aligned(64)));
    for (ptrdiff_t e = lo; e < hi; e += STRIP) {
        const ptrdiff_t n = hi - e < STRIP ? hi - e : STRIP;
        int level = 0;
        if (!blocks) memset(stack[0], 0, n * sizeof(REAL));
        for (ptrdiff_t m = 0; m < blocks; m++) {
            memcpy(stack[level++], parts + m * size + e, n * sizeof(REAL));
            for (ptrdiff_t join = m; level > 1 && ((join & 1) || m + 1 == blocks); join >>= 1) {
                level--;
                for (ptrdiff_t c = 0; c < n; c++) stack[level - 1][c] += stack[level][c];
            }
        }
        if (update) F(update_from)(update, stack[0], e, n);
        else memcpy(out + e, stack[0], n * sizeof(REAL));
    }
}
static void F(weight_join)(vv_args *a, ptrdiff_t lo, ptrdiff_t hi) {
    const ptrdiff_t N = a->dim[0], I = a->dim[1], O = a->dim[2], M = a->dim[3], step = vv_block_rows(N, M, I * O), blocks = (N + step - 1) / step;
    if (a->buf[3] || a->then[0]) F(join_blocks)(a->buf[0], blocks, O * I, lo * I, hi * I, a->buf[3], a->then[0]);
    if (!a->buf[1] && a->buf[4]) memset((REAL *)a->buf[4] + lo, 0, (hi - lo) * sizeof(REAL));
    else if (a->buf[4] || a->then[1]) F(join_blocks)(a->buf[1], blocks, O, lo, hi, a->buf[4], a->then[1]);
}
