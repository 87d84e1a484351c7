/* Matrix products by register tiles, for one type (T, REAL, LANES; template.h).

   C[m][p] = sum over k of A[m][k] B[k][p]: every element is ONE chain of fused multiply-adds, k ascending from zero, whatever the
   tile; a later k block takes the running value up from C. Tiles are MR rows by NP panels of 64 bytes; a tile streams panels of B
   and broadcasts elements of A. The three products differ in strides alone:

       forward   y  = x wᵀ    A = x  (row stride I, k stride 1)   B = packed w (k stride LANES, panel stride I LANES)
       input     dx = dy w    A = dy (row stride O, k stride 1)   B = w        (k stride I, panel stride LANES)
       weight    dw = dyᵀ x   A = dy (row stride 1, k stride O)   B = x        (k stride I, panel stride LANES) */
#include "lanes.h"
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
    const REAL *joined;                               /* a tile to add at the end, rows joined_row apart, or NULL */
    ptrdiff_t joined_row;
} F(product);

/* `whole` panels of B may be read to their end even where fewer columns count */
INLINE void F(tile)(const F(product) * g, const int MR, const int NP, const int UNIT_K, const int WHOLE) {
    VEC acc[MAX_ROWS][MAX_PANELS * NV]; /* of constant size: an array of parameter size would stay in memory */
    const long last = g->last;
#define COLUMNS(v) ((v) >= (NP - 1) * NV ? (last - ((v) - (NP - 1) * NV) * W < 0 ? 0 : last - ((v) - (NP - 1) * NV) * W > W ? W : last - ((v) - (NP - 1) * NV) * W) : W)
#pragma GCC unroll 16
    for (int m = 0; m < MR; m++)
#pragma GCC unroll 16
        for (int v = 0; v < NP * NV; v++)
            acc[m][v] = UNIT_K && g->resume ? F(load_part)(g->c + m * g->c_row + v * W, COLUMNS(v)) : (VEC){0};
    const REAL *restrict b = g->b, *restrict a = g->a;
    const ptrdiff_t a_row = g->a_row, a_k = UNIT_K ? 1 : g->a_k, b_k = g->b_k, b_panel = UNIT_K ? g->b_panel : LANES, depth = g->depth;
    /* four k side by side: 256-256 at batch 256, gradient of the weight 153 GFLOP/s one by one and 166 so, of the input 170 and 183 */
#pragma GCC unroll 4
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
        a += a_k;
        b += b_k;
    }
    if (UNIT_K && g->bias)
#pragma GCC unroll 16
        for (int v = 0; v < NP * NV; v++) {
            VEC bias = F(load_part)(g->bias + v * W, COLUMNS(v));
#pragma GCC unroll 16
            for (int m = 0; m < MR; m++) acc[m][v] += bias;
        }
    if (!UNIT_K && g->joined)
#pragma GCC unroll 16
        for (int m = 0; m < MR; m++)
#pragma GCC unroll 16
            for (int v = 0; v < NP * NV; v++) acc[m][v] = F(load)(g->joined + m * g->joined_row + v * W) + acc[m][v];
    if (UNIT_K && g->relu)
#pragma GCC unroll 16
        for (int m = 0; m < MR; m++)
#pragma GCC unroll 16
            for (int v = 0; v < NP * NV; v++) acc[m][v] = F(relu)(acc[m][v]);
    if (UNIT_K && g->gate)
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
#define DEFINE_RUN(SUFFIX, UNIT, WHOLEP)                                                                                               \
    static __attribute__((noinline)) void F(run_##SUFFIX)(const F(product) * g, int rows, int panels) {                        \
        enum { unit = UNIT, whole = WHOLEP };                                                                                                  \
        switch (panels) {                                                                                                      \
        case 4: switch (rows) { CASES(4) } break;                                                                              \
        case 3: switch (rows) { CASES(3) ONE(7, 3) ONE(8, 3) } break;                                                          \
        case 2: switch (rows) { CASES(2) ONE(7, 2) ONE(8, 2) } break;                                                          \
        case 1: switch (rows) { CASES(1) ONE(7, 1) ONE(8, 1) } break;                                                          \
        }                                                                                                                      \
    }
#define RUN(g, unit, rows, panels)                                                                                             \
    (WHOLE_PANELS(g)                                                                                                           \
         ? ((unit) ? F(run_k_whole)(g, rows, panels) : F(run_m_whole)(g, rows, panels))                                           \
         : ((unit) ? F(run_k_part)(g, rows, panels) : F(run_m_part)(g, rows, panels)))
#else
#if VV_BYTES == 32
#define CASES(NP) ONE(1, NP) ONE(2, NP) ONE(3, NP) ONE(4, NP) ONE(5, NP) ONE(6, NP)
#else
#define CASES(NP) ONE(1, NP) ONE(2, NP) ONE(3, NP)
#endif
#define DEFINE_RUN(SUFFIX, UNIT, WHOLEP)                                                                                               \
    static __attribute__((noinline)) void F(run_##SUFFIX)(const F(product) * g, int rows) {                                    \
        enum { unit = UNIT, whole = WHOLEP };                                                                                                  \
        switch (rows) { CASES(1) }                                                                                             \
    }
#define RUN(g, unit, rows, panels)                                                                                             \
    (WHOLE_PANELS(g)                                                                                                           \
         ? ((unit) ? F(run_k_whole)(g, rows) : F(run_m_whole)(g, rows))                                                         \
         : ((unit) ? F(run_k_part)(g, rows) : F(run_m_part)(g, rows)))
#endif
DEFINE_RUN(k_whole, 1, 1)
DEFINE_RUN(k_part, 1, 0)
DEFINE_RUN(m_whole, 0, 1)
DEFINE_RUN(m_part, 0, 0)
/* A masked load takes one of the two ports of the multiply-adds on Intel's cores: 24 of them with one 200 GFLOP/s, without 210. */
#define WHOLE_PANELS(g) ((g)->packed || (g)->last == LANES)

/* Rows of the next tile where `left` are left: two even tiles beat a full and a thin one. */
INLINE int F(rows_of)(ptrdiff_t left, ptrdiff_t step) { return (int)(left <= step ? left : left < 2 * step ? (left + 1) / 2 : step); }

/* All rows of C against one group of panels, tile by tile. */
INLINE void F(sweep)(F(product) * g, ptrdiff_t rows, int panels, const int unit) {
    const int step = F(tile_rows)[panels];
    const REAL *a = g->a, *gate = g->gate;
    REAL *c = g->c;
    for (ptrdiff_t m = 0; m < rows;) {
        const int now = F(rows_of)(rows - m, step);
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
   A loop that gathers element by element took nearly three times as long as squares transposed in registers. */
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

/* k per block: a group of packed panels stays within an eighth of the second-level cache, on Intel's cores, from which C is farther
   away, within a quarter: 4096-4096 at batch 512, one thread, forward 152 GFLOP/s with 512 and 159 so,
   gradient of the input 140 and 155. Blocks are even, since every one takes C up again; an empty sum is one empty block. Copying the rows
   of A as well, block by block, never paid, not even for rows of 16 KiB. */
enum { F(depth_most) = 2048 };
INLINE ptrdiff_t F(depth_of)(ptrdiff_t depth) {
    const ptrdiff_t most = vv_intel() ? F(depth_most) : F(depth_most) / 4;
    const ptrdiff_t blocks = (depth + most - 1) / most;
    return blocks <= 1 ? (depth > 0 ? depth : 1) : ((depth + blocks - 1) / blocks + LANES - 1) / LANES * LANES;
}

/* --- forward of few outputs: a panel would fill few of its lanes. W rows side by side: squares of x are turned, so that a vector holds
   one input of W rows, and every lane is the chain of a tile. Returns the first row that is left. 256-2 at batch 256: 18 us by a
   panel, 8 so. */
enum { F(FEW_OUTPUTS) = W / 2 };
static ptrdiff_t F(forward_few)(const REAL *x, const REAL *w, const REAL *b, REAL *y, ptrdiff_t I, ptrdiff_t O, ptrdiff_t lo, ptrdiff_t hi,
                                int relu) {
    for (; lo + W <= hi; lo += W) {
        VEC sum[F(FEW_OUTPUTS)] = {{0}}, e[W];
        for (ptrdiff_t i = 0; i < I; i += W) {
            for (int r = 0; r < W; r++) e[r] = LOAD(x + (lo + r) * I, i, I);
            F(transpose)(e);
            if (I - i >= W)
                for (ptrdiff_t o = 0; o < O; o++)
#pragma GCC unroll 16
                    for (int k = 0; k < W; k++) sum[o] = F(fma)(F(all)(w[o * I + i + k]), e[k], sum[o]);
            else
                for (ptrdiff_t o = 0; o < O; o++)
                    for (ptrdiff_t k = i; k < I; k++) sum[o] = F(fma)(F(all)(w[o * I + k]), e[k - i], sum[o]);
        }
        REAL lane[F(FEW_OUTPUTS)][W];
        for (ptrdiff_t o = 0; o < O; o++) {
            if (b) sum[o] += F(all)(b[o]);
            if (relu) sum[o] = F(relu)(sum[o]);
            F(store)(lane[o], sum[o]);
        }
        for (int r = 0; r < W; r++)
            for (ptrdiff_t o = 0; o < O; o++) y[(lo + r) * O + o] = lane[o][r];
    }
    return lo;
}

/* --- forward: y = f(x wᵀ + b) for rows lo..hi and outputs o0..o1; packed may be NULL, then panels are packed here, once per call */
static void F(linear_forward)(const REAL *x, const REAL *w, const REAL *b, REAL *y, const REAL *packed, ptrdiff_t I, ptrdiff_t O,
                              ptrdiff_t lo, ptrdiff_t hi, ptrdiff_t o0, ptrdiff_t o1, int activation, REAL alpha) {
    REAL own[MAX_PANELS * F(depth_most) * LANES] __attribute__((aligned(64)));
    const ptrdiff_t block = F(depth_of)(I), first = lo;
    if (O <= F(FEW_OUTPUTS) && o0 == 0 && o1 == O) lo = F(forward_few)(x, w, b, y, I, O, lo, hi, activation == F(RELU));
    for (ptrdiff_t o = o0; o < o1;) {
        F(product) g = {.a_row = I, .a_k = 1, .b_k = LANES, .c = y + lo * O + o, .c_row = O, .packed = 1};
        const int panels = F(group)(o1 - o, &g.last);
        for (ptrdiff_t k = 0; lo < hi && (k == 0 || k < I); k += block) {
            g.depth = I - k < block ? I - k : block;
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
        if (activation && activation != F(RELU)) { /* whole rows are one long one: a short one waits for each of its vectors */
            const ptrdiff_t lines = columns == O ? hi > first : hi - first, length = columns == O ? (hi - first) * O : columns;
            for (REAL *at = y + first * O + o, *end = at + lines * O; at < end; at += O) F(activate)(activation, at, at, length, alpha);
        }
        o += columns;
    }
}

/* --- gradient of the input: dx = (dy w) * f'(x) for rows lo..hi and inputs i0..i1 */
static void F(linear_backward_input)(const REAL *dy, const REAL *w, const REAL *x, REAL *dx, ptrdiff_t I, ptrdiff_t O, ptrdiff_t lo,
                                     ptrdiff_t hi, ptrdiff_t i0, ptrdiff_t i1, int activation, REAL alpha) {
    REAL own[MAX_PANELS * F(depth_most) * LANES] __attribute__((aligned(64)));
    /* Rows of w that stand a page apart meet in a few sets of the caches: a block of them is copied, for many rows of dy. 4096-4096 at
       batch 512: 72 GFLOP/s without, 97 so. */
    const int far = I * sizeof(REAL) >= 4096 && hi - lo >= 4 * TILE_ROWS;
    const ptrdiff_t block = F(depth_of)(O);
    for (ptrdiff_t i = i0; i < i1;) {
        F(product) g = {.a_row = O, .a_k = 1, .b_k = I, .b_panel = LANES, .c = dx + lo * I + i, .c_row = I, .packed = far};
        const int panels = F(group)(i1 - i, &g.last);
        const ptrdiff_t columns = (panels - 1) * LANES + g.last;
        for (ptrdiff_t k = 0; k == 0 || k < O; k += block) {
            g.depth = O - k < block ? O - k : block;
            g.a = dy + lo * O + k;
            g.b = w + k * I + i;
            if (far) {
                g.b_k = panels * LANES;
                for (ptrdiff_t r = 0; r < g.depth; r++)
                    for (ptrdiff_t c = 0; c < columns; c += W) F(store)(own + r * g.b_k + c, LOAD(g.b + r * I, c, columns));
                g.b = own;
            }
            g.resume = k > 0;
            g.gate = activation == F(RELU) && k + g.depth >= O ? x + lo * I + i : NULL;
            F(sweep)(&g, hi - lo, panels, 1);
        }
        if (activation && activation != F(RELU))
            for (ptrdiff_t n = 0, lines = columns == I ? hi > lo : hi - lo; n < lines; n++) {
                REAL *at = dx + (lo + n) * I + i;
                F(slope_times)(activation, x + (lo + n) * I + i, at, at, columns == I ? (hi - lo) * I : columns, alpha);
            }
        i += columns;
    }
}

#include "weight.h"
#include "lanes_end.h"
#undef ONE
#undef CASES
#undef DEFINE_RUN
#undef RUN
#undef WHOLE_PANELS
#undef MAX_PANELS
#undef MAX_ROWS
