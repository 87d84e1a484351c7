/* Matrix products by register tiles, for one type (T, REAL, LANES; template.h).

   C[m][p] = sum over k of A[m][k] B[k][p]: every element is ONE chain of fused multiply-adds, k ascending from zero, whatever the
   tile; a later k block takes the running value up from C. Tiles are MR rows by NP panels of 64 bytes; a tile streams panels of B
   and broadcasts elements of A. The three products differ in strides alone:

       forward   y  = x wᵀ    A = x  (row stride I, k stride 1)   B = packed w (k stride LANES, panel stride I LANES)
       input     dx = dy w    A = dy (row stride O, k stride 1)   B = w        (k stride I, panel stride LANES)
       weight    dw = dyᵀ x   A = dy (row stride 1, k stride O)   B = x        (k stride I, panel stride LANES) */
typedef struct {
    const REAL *a, *b;
    REAL *c;
    ptrdiff_t a_row, a_k, b_k, b_panel, c_row, depth; /* strides in elements; depth is the number of k */
    const REAL *bias;                                 /* added when the chain ends, or NULL */
    int relu;                                         /* then the negative become zero */
    const REAL *gate;                                 /* or: times [gate > 0], gate laid out as C; NULL where not */
    long last;                                        /* columns in the last panel, 1..LANES */
    int packed;                                       /* panels of B are whole in memory */
    int resume;                                       /* the chain goes on from C */
    const char *const *fetch;                         /* lines that will be needed soon, one asked for at each of the first k */
    int fetches;
} F(product);

/* The instances: accumulators fit the registers (24 of 32 on v4, 12 of 16 elsewhere), and at least as many chains run side by side
   as the multiply-add has latency. */
#if VV_AVX512
#define MAX_PANELS 4
#define MAX_ROWS 8
static const int F(tile_rows)[MAX_PANELS + 1] = {0, 8, 8, 8, 6};
#else
#define MAX_PANELS 1
#define MAX_ROWS 6
static const int F(tile_rows)[MAX_PANELS + 1] = {0, VV_BYTES == 32 ? 6 : 3};
#endif

/* `whole` panels of B may be read to their end even where fewer columns count */
INLINE void F(tile)(const F(product) * g, const int MR, const int NP, const int UNIT_K, const int WHOLE) {
    VEC acc[MAX_ROWS][MAX_PANELS * NV]; /* of constant size: an array of parameter size would stay in memory */
    const long last = g->last;
#define COLUMNS(v) ((v) >= (NP - 1) * NV ? (last - ((v) - (NP - 1) * NV) * W < 0 ? 0 : last - ((v) - (NP - 1) * NV) * W > W ? W : last - ((v) - (NP - 1) * NV) * W) : W)
#pragma GCC unroll 16
    for (int m = 0; m < MR; m++)
#pragma GCC unroll 16
        for (int v = 0; v < NP * NV; v++)
            acc[m][v] = g->resume ? F(load_part)(g->c + m * g->c_row + v * W, COLUMNS(v)) : (VEC){0};
    const REAL *restrict b = g->b, *restrict a = g->a;
    const ptrdiff_t a_row = g->a_row, a_k = UNIT_K ? 1 : g->a_k, b_k = g->b_k, b_panel = g->b_panel, depth = g->depth;
    for (ptrdiff_t k = 0; k < depth; k++) {
        VEC row[MAX_PANELS * NV];
#pragma GCC unroll 16
        for (int v = 0; v < NP * NV; v++) {
            const REAL *p = b + (v / NV) * b_panel + (v % NV) * W;
            row[v] = WHOLE || v < (NP - 1) * NV ? F(load)(p) : F(load_part)(p, COLUMNS(v));
        }
#pragma GCC unroll 16
        for (int m = 0; m < MR; m++) {
            VEC s = F(all)(a[m * (UNIT_K ? a_row : 1)]);
#pragma GCC unroll 16
            for (int v = 0; v < NP * NV; v++) acc[m][v] = F(fma)(s, row[v], acc[m][v]);
        }
        if (!UNIT_K && k < g->fetches) __builtin_prefetch(g->fetch[k], 1, 2);
        a += a_k;
        b += b_k;
    }
    if (g->bias)
#pragma GCC unroll 16
        for (int v = 0; v < NP * NV; v++) {
            VEC bias = F(load_part)(g->bias + v * W, COLUMNS(v));
#pragma GCC unroll 16
            for (int m = 0; m < MR; m++) acc[m][v] += bias;
        }
    if (g->relu)
#pragma GCC unroll 16
        for (int m = 0; m < MR; m++)
#pragma GCC unroll 16
            for (int v = 0; v < NP * NV; v++) acc[m][v] = F(relu)(acc[m][v]);
    if (g->gate)
#pragma GCC unroll 16
        for (int m = 0; m < MR; m++)
#pragma GCC unroll 16
            for (int v = 0; v < NP * NV; v++)
                acc[m][v] *= F(select)(F(load_part)(g->gate + m * g->c_row + v * W, COLUMNS(v)) > 0, F(all)(1), F(all)(0));
#pragma GCC unroll 16
    for (int m = 0; m < MR; m++)
#pragma GCC unroll 16
        for (int v = 0; v < NP * NV; v++) {
            if (v < (NP - 1) * NV) F(store)(g->c + m * g->c_row + v * W, acc[m][v]);
            else F(store_part)(g->c + m * g->c_row + v * W, acc[m][v], COLUMNS(v));
        }
#undef COLUMNS
}

#define ONE(MR, NP) case MR: F(tile)(g, MR, NP, unit, whole); break;
#if VV_AVX512
#define CASES(NP) ONE(1, NP) ONE(2, NP) ONE(3, NP) ONE(4, NP) ONE(5, NP) ONE(6, NP)
#define DEFINE_RUN(SUFFIX, UNIT, WHOLEP)                                                                                       \
    static __attribute__((noinline)) void F(run_##SUFFIX)(const F(product) * g, int rows, int panels) {                        \
        enum { unit = UNIT, whole = WHOLEP };                                                                                  \
        switch (panels) {                                                                                                      \
        case 4: switch (rows) { CASES(4) } break;                                                                              \
        case 3: switch (rows) { CASES(3) ONE(7, 3) ONE(8, 3) } break;                                                          \
        case 2: switch (rows) { CASES(2) ONE(7, 2) ONE(8, 2) } break;                                                          \
        case 1: switch (rows) { CASES(1) ONE(7, 1) ONE(8, 1) } break;                                                          \
        }                                                                                                                      \
    }
DEFINE_RUN(k, 1, 0) /* a masked load costs what a full one does here */
DEFINE_RUN(m, 0, 0)
#define RUN(g, unit, rows, panels) ((unit) ? F(run_k)(g, rows, panels) : F(run_m)(g, rows, panels))
#else
#if VV_BYTES == 32
#define CASES(NP) ONE(1, NP) ONE(2, NP) ONE(3, NP) ONE(4, NP) ONE(5, NP) ONE(6, NP)
#else
#define CASES(NP) ONE(1, NP) ONE(2, NP) ONE(3, NP)
#endif
#define DEFINE_RUN(SUFFIX, UNIT, WHOLEP)                                                                                       \
    static __attribute__((noinline)) void F(run_##SUFFIX)(const F(product) * g, int rows) {                                    \
        enum { unit = UNIT, whole = WHOLEP };                                                                                  \
        switch (rows) { CASES(1) }                                                                                             \
    }
DEFINE_RUN(k_whole, 1, 1)
DEFINE_RUN(k_part, 1, 0)
DEFINE_RUN(m_whole, 0, 1)
DEFINE_RUN(m_part, 0, 0)
#define RUN(g, unit, rows, panels)                                                                                             \
    ((g)->packed || (g)->last == LANES ? ((unit) ? F(run_k_whole)(g, rows) : F(run_m_whole)(g, rows))                          \
                                       : ((unit) ? F(run_k_part)(g, rows) : F(run_m_part)(g, rows)))
#endif

/* All rows of C against one group of panels, tile by tile. */
INLINE void F(sweep)(F(product) * g, ptrdiff_t rows, int panels, const int unit) {
    const int step = F(tile_rows)[panels];
    const REAL *a = g->a, *gate = g->gate;
    REAL *c = g->c;
    for (ptrdiff_t m = 0; m < rows;) {
        int now = rows - m < step ? (int)(rows - m) : step;
        if (rows - m > step && rows - m < 2 * step) now = (int)(rows - m + 1) / 2; /* two even tiles beat a full and a thin one */
        g->a = a + m * (unit ? g->a_row : 1);
        g->c = c + m * g->c_row;
        g->gate = gate ? gate + m * g->c_row : NULL;
        RUN(g, unit, now, panels);
        m += now;
    }
    g->a = a;
    g->c = c;
    g->gate = gate;
}

/* One panel group after the other: panels at most MAX_PANELS, the last one cut to the columns that are left. */
INLINE int F(group)(ptrdiff_t columns, long *last) {
    ptrdiff_t panels = (columns + LANES - 1) / LANES;
    if (panels > MAX_PANELS) panels = MAX_PANELS;
    *last = columns < panels * LANES ? columns - (panels - 1) * LANES : LANES;
    return (int)panels;
}

/* --- pack: panel q of w (O, I) in rows of LANES outputs, zeros where there is no output; inputs i0..i1 of it, to `to`.
   Squares of W by W are transposed in registers: in step s, lanes whose bit s differs from the row's change places. A loop that
   gathers element by element took nearly three times as long. */
INLINE void F(exchange)(VEC r[W], const int s) {
    F(int) low, high;
    for (int j = 0; j < W; j++) {
        low[j] = j & s ? W + j - s : j;
        high[j] = j & s ? W + j : j + s;
    }
#pragma GCC unroll 16
    for (int i = 0; i < W; i++)
        if (!(i & s)) {
            VEC a = r[i], b = r[i + s];
            r[i] = __builtin_shuffle(a, b, low);
            r[i + s] = __builtin_shuffle(a, b, high);
        }
}
INLINE void F(transpose)(VEC r[W]) { /* steps written out: as a loop the masks would not be constants */
    F(exchange)(r, 1);
    if (W > 2) F(exchange)(r, 2);
    if (W > 4) F(exchange)(r, 4);
    if (W > 8) F(exchange)(r, 8);
}
static void F(pack_panel)(const REAL *w, ptrdiff_t O, ptrdiff_t I, ptrdiff_t q, ptrdiff_t i0, ptrdiff_t i1, REAL *to) {
    for (int part = 0; part < NV; part++) {
        const ptrdiff_t first = q * LANES + part * W;
        const REAL *from = w + first * I;
        ptrdiff_t i = i0;
        REAL *out = to + part * W;
        VEC r[W];
        if (first + W <= O)
            for (; i + W <= i1; i += W, out += W * LANES) {
#pragma GCC unroll 16
                for (int l = 0; l < W; l++) r[l] = F(load)(from + l * I + i);
                F(transpose)(r);
#pragma GCC unroll 16
                for (int j = 0; j < W; j++) F(store)(out + j * LANES, r[j]);
            }
        for (; i < i1; i += W, out += W * LANES) { /* a last, partial panel or column block */
            const ptrdiff_t n = i1 - i < W ? i1 - i : W;
            for (int l = 0; l < W; l++) r[l] = first + l < O ? F(load_part)(from + l * I + i, n) : (VEC){0};
            F(transpose)(r);
            for (ptrdiff_t j = 0; j < n; j++) F(store)(out + j * LANES, r[j]);
        }
    }
}

enum { F(depth_block) = 256 }; /* k per block: a group of packed panels stays within half of the second-level cache */

/* --- forward: y = f(x wᵀ + b) for rows lo..hi and outputs o0..o1; packed may be NULL, then panels are packed here, once per call */
static void F(linear_forward)(const REAL *x, const REAL *w, const REAL *b, REAL *y, const REAL *packed, ptrdiff_t I, ptrdiff_t O,
                              ptrdiff_t lo, ptrdiff_t hi, ptrdiff_t o0, ptrdiff_t o1, int activation, REAL alpha) {
    REAL own[MAX_PANELS * F(depth_block) * LANES] __attribute__((aligned(64)));
    for (ptrdiff_t o = o0; o < o1;) {
        F(product) g = {.a_row = I, .a_k = 1, .b_k = LANES, .c = y + lo * O + o, .c_row = O, .packed = 1};
        const int panels = F(group)(o1 - o, &g.last);
        for (ptrdiff_t k = 0; k == 0 || k < I; k += F(depth_block)) {
            g.depth = I - k < F(depth_block) ? I - k : F(depth_block);
            g.a = x + lo * I + k;
            g.resume = k > 0;
            const int ends = k + g.depth >= I;
            g.bias = b && ends ? b + o : NULL;
            g.relu = ends && activation == F(RELU);
            if (packed) {
                g.b = packed + (o / LANES) * I * LANES + k * LANES;
                g.b_panel = I * LANES;
            } else {
                g.b = own;
                g.b_panel = g.depth * LANES;
                for (int p = 0; p < panels; p++) F(pack_panel)(w, O, I, o / LANES + p, k, k + g.depth, own + p * g.b_panel);
            }
            F(sweep)(&g, hi - lo, panels, 1);
        }
        const ptrdiff_t columns = (panels - 1) * LANES + g.last;
        if (activation && activation != F(RELU))
            for (ptrdiff_t n = lo; n < hi; n++) F(activate)(activation, y + n * O + o, y + n * O + o, columns, alpha);
        o += columns;
    }
}

/* --- gradient of the input: dx = (dy w) * f'(x) for rows lo..hi and inputs i0..i1 */
static void F(linear_backward_input)(const REAL *dy, const REAL *w, const REAL *x, REAL *dx, ptrdiff_t I, ptrdiff_t O, ptrdiff_t lo,
                                     ptrdiff_t hi, ptrdiff_t i0, ptrdiff_t i1, int activation, REAL alpha) {
    for (ptrdiff_t i = i0; i < i1;) {
        F(product) g = {.a_row = O, .a_k = 1, .b_k = I, .b_panel = LANES, .c = dx + lo * I + i, .c_row = I};
        const int panels = F(group)(i1 - i, &g.last);
        for (ptrdiff_t k = 0; k == 0 || k < O; k += F(depth_block)) {
            g.depth = O - k < F(depth_block) ? O - k : F(depth_block);
            g.a = dy + lo * O + k;
            g.b = w + k * I + i;
            g.resume = k > 0;
            g.gate = activation == F(RELU) && k + g.depth >= O ? x + lo * I + i : NULL;
            F(sweep)(&g, hi - lo, panels, 1);
        }
        const ptrdiff_t columns = (panels - 1) * LANES + g.last;
        if (activation && activation != F(RELU))
            for (ptrdiff_t n = lo; n < hi; n++)
                F(slope_times)(activation, x + n * I + i, dx + n * I + i, dx + n * I + i, columns, alpha);
        i += columns;
    }
}

/* --- gradient of the weight, one tile: dw[o0:o1, i0:i1] = dyᵀ x over N rows, to `dw` with row stride ld.
   Chunks of CHUNK rows are chains of their own; `stack` holds the partial tiles of the binary tree over chunks. `soon` are up to
   SOON vectors laid out as dw, elements of this tile first: they are asked for while the products run. */
enum { F(stack_levels) = 40, F(near_rows) = 512, F(SOON) = 3 };
static void F(weight_tile)(const REAL *x, const REAL *dy, ptrdiff_t N, ptrdiff_t I, ptrdiff_t O, ptrdiff_t o0, ptrdiff_t o1, ptrdiff_t i0,
                           ptrdiff_t i1, REAL *dw, ptrdiff_t ld, const REAL *const *soon) {
    REAL stack[F(stack_levels)][MAX_ROWS * MAX_PANELS * LANES] __attribute__((aligned(64)));
    /* The tile's columns of dy side by side, where they fit: read in place their lines stand O apart, which for O a power of two puts
       them all into a few sets of the first-level cache. */
    REAL near[F(near_rows) * TILE_ROWS] __attribute__((aligned(64)));
    const char *fetch[F(SOON) * MAX_ROWS * MAX_PANELS];
    ptrdiff_t stride = O;
    if (N <= F(near_rows)) {
        for (ptrdiff_t n = 0; n < N; n++) memcpy(near + n * TILE_ROWS, dy + n * O + o0, (o1 - o0) * sizeof(REAL));
        dy = near - o0;
        stride = TILE_ROWS;
    }
    for (ptrdiff_t i = i0; i < i1;) {
        F(product) g = {.a_row = 1, .a_k = stride, .b_k = I, .b_panel = LANES};
        const int panels = F(group)(i1 - i, &g.last), step = F(tile_rows)[panels];
        const ptrdiff_t columns = (panels - 1) * LANES + g.last;
        for (ptrdiff_t o = o0; o < o1; o += step) {
            const int rows = o1 - o < step ? (int)(o1 - o) : step;
            REAL *out = dw + (o - o0) * ld + (i - i0);
            int level = 0;
            g.fetch = fetch, g.fetches = 0;
            for (int j = 0; soon && j < F(SOON); j++)
                for (int m = 0; soon[j] && m < rows; m++)
                    for (int p = 0; p < panels; p++) fetch[g.fetches++] = (const char *)(soon[j] + (o - o0 + m) * I + (i - i0) + p * LANES);
            for (ptrdiff_t n = 0, chunk = 0; n == 0 || n < N; n += CHUNK, chunk++) {
                const int only = N <= CHUNK;
                g.a = dy + n * stride + o;
                g.b = x + n * I + i;
                g.depth = N - n < CHUNK ? N - n : CHUNK;
                g.c = only ? out : stack[level];
                g.c_row = only ? ld : MAX_PANELS * LANES;
                RUN(&g, 0, rows, panels);
                g.fetches = 0;
                if (only) continue;
                level++;
                int last = n + CHUNK >= N;
                for (ptrdiff_t join = chunk; level > 1 && ((join & 1) || last); join >>= 1) {
                    level--;
                    for (int m = 0; m < rows; m++)
                        for (ptrdiff_t c = 0; c < columns; c++)
                            stack[level - 1][m * MAX_PANELS * LANES + c] += stack[level][m * MAX_PANELS * LANES + c];
                }
            }
            if (N > CHUNK)
                for (int m = 0; m < rows; m++) memcpy(out + m * ld, stack[0] + m * MAX_PANELS * LANES, columns * sizeof(REAL));
        }
        i += columns;
    }
}

/* --- gradient of the bias: db[o0:o1] = sum over N of dy, chunks and tree as above. BIAS_PANELS panels side by side: each sum is one
   chain of additions, which a core would otherwise wait for. */
enum { F(BIAS_PANELS) = 4 };
static void F(bias_gradient)(const REAL *dy, ptrdiff_t N, ptrdiff_t O, ptrdiff_t o0, ptrdiff_t o1, REAL *db) {
    enum { WIDTH = F(BIAS_PANELS) * LANES };
    REAL stack[F(stack_levels)][WIDTH];
    for (ptrdiff_t o = o0; o < o1; o += WIDTH) {
        const ptrdiff_t columns = o1 - o < WIDTH ? o1 - o : WIDTH;
        const int vectors = (int)((columns + W - 1) / W);
        int level = 0;
        for (ptrdiff_t n = 0, chunk = 0; n == 0 || n < N; n += CHUNK, chunk++) {
            const ptrdiff_t end = N - n < CHUNK ? N : n + CHUNK;
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
            int last = n + CHUNK >= N;
            for (ptrdiff_t join = chunk; level > 1 && ((join & 1) || last); join >>= 1) {
                level--;
                for (ptrdiff_t c = 0; c < columns; c++) stack[level - 1][c] += stack[level][c];
            }
        }
        memcpy(db + (o - o0), stack[0], columns * sizeof(REAL));
    }
}
#undef ONE
#undef CASES
#undef DEFINE_RUN
#undef RUN
#undef MAX_PANELS
#undef MAX_ROWS
