/* Dense layers on sparse rows, for one type (T, REAL, LANES as in matmul.h). What is zero is left out of the dense kernels' chains. */

/* where each block of TILE_COLUMNS columns begins in rows lo..hi, and where the row ends: `count` cuts per row */
static void F(cut_rows)(const int64_t *rows, const int64_t *columns, int64_t *cuts, ptrdiff_t count, ptrdiff_t lo, ptrdiff_t hi) {
    for (ptrdiff_t n = lo; n < hi; n++) {
        int64_t k = rows[2 * n], *cut = cuts + n * count;
        const int64_t end = rows[2 * n + 1];
        ptrdiff_t block = 0;
        for (; k < end; k++)
            while (block * TILE_COLUMNS <= columns[k]) cut[block++] = k;
        while (block < count) cut[block++] = end;
    }
}

/* `panels` panels of outputs, whose chains hide each other's latency; lines of packed weights are asked for AHEAD elements early,
   because their order is that of the data. Without packed weights the lanes are gathered from w: the same chain, only slower. */
enum { F(AHEAD) = 12, F(ABREAST) = 4 };
INLINE void F(sparse_panels)(const int64_t *columns, const REAL *values, int64_t begin, int64_t end, const REAL *packed, ptrdiff_t panel,
                             int panels, VEC *acc) {
    for (int j = 0; j < panels * NV; j++) acc[j] = F(all)(0);
    for (int64_t k = begin; k < end; k++) {
        const VEC v = F(all)(values[k]);
        const REAL *at = packed + columns[k] * LANES;
        const REAL *next = packed + columns[k + F(AHEAD) < end ? k + F(AHEAD) : end - 1] * LANES;
#pragma GCC unroll 4
        for (int p = 0; p < panels; p++) {
            __builtin_prefetch(next + p * panel);
#pragma GCC unroll 4
            for (int j = 0; j < NV; j++) acc[p * NV + j] = F(fma)(v, F(load)(at + p * panel + j * W), acc[p * NV + j]);
        }
    }
}

static void F(sparse_linear_forward)(const int64_t *rows, const int64_t *columns, const REAL *values, const REAL *w, const REAL *b, REAL *y,
                                     const REAL *packed, ptrdiff_t I, ptrdiff_t O, ptrdiff_t lo, ptrdiff_t hi) {
    const ptrdiff_t panel = I * LANES;
    for (ptrdiff_t o = 0; o < O; o += F(ABREAST) * LANES)
        for (ptrdiff_t n = lo; n < hi; n++) {
            const int64_t begin = rows[2 * n], end = rows[2 * n + 1];
            const ptrdiff_t left = (O - o + LANES - 1) / LANES;
            const int panels = left < F(ABREAST) ? (int)left : F(ABREAST);
            VEC acc[F(ABREAST) * NV];
            if (packed && panels == F(ABREAST)) F(sparse_panels)(columns, values, begin, end, packed + o * I, panel, F(ABREAST), acc);
            else if (packed) F(sparse_panels)(columns, values, begin, end, packed + o * I, panel, panels, acc);
            else {
                for (int j = 0; j < panels * NV; j++) acc[j] = F(all)(0);
                for (int64_t k = begin; k < end; k++)
                    for (int j = 0; j < panels * NV; j++) {
                        VEC row = F(all)(0);
                        for (ptrdiff_t l = 0; l < W && o + j * W + l < O; l++) row[l] = w[(o + j * W + l) * I + columns[k]];
                        acc[j] = F(fma)(F(all)(values[k]), row, acc[j]);
                    }
            }
            for (int j = 0; j < panels * NV; j++) {
                const ptrdiff_t at = o + j * W, here = O - at < W ? O - at : W;
                if (here <= 0) break;
                VEC sum = acc[j];
                if (b) sum = sum + F(load_part)(b + at, here);
                F(store_part)(y + n * O + at, sum, here);
            }
        }
}

/* A square of W x W, row after row at `from` (TILE_ROWS apart), to `outputs` rows of `width` elements at `to` (ld apart). */
INLINE void F(turn_square)(const REAL *from, REAL *to, ptrdiff_t ld, ptrdiff_t outputs, ptrdiff_t width) {
    VEC row[W];
#pragma GCC unroll 16
    for (int i = 0; i < W; i++) row[i] = F(load)(from + i * TILE_ROWS);
    F(transpose)(row);
    if (outputs >= W && width >= W) {
#pragma GCC unroll 16
        for (int o = 0; o < W; o++) F(store)(to + o * ld, row[o]);
        return;
    }
    for (ptrdiff_t o = 0; o < W && o < outputs; o++) F(store_part)(to + o * ld, row[o], width < W ? width : W);
}

/* Outputs o0..o1 and columns i0..i1 of dw, rows in chunks of `most`. The tile is summed with its outputs side by side, so that an element of x is one vector
   instruction, and turned when it is whole. `sums` has room for one tile per level of the tree. */
static void F(sparse_weight_tile)(const int64_t *columns, const REAL *values, const int64_t *cuts, ptrdiff_t count, const REAL *dy,
                                  ptrdiff_t N, ptrdiff_t most, ptrdiff_t O, ptrdiff_t o0, ptrdiff_t o1, ptrdiff_t i0, ptrdiff_t i1, REAL *dw,
                                  ptrdiff_t ld) {
    const ptrdiff_t width = i1 - i0, outputs = o1 - o0, block = i0 / TILE_COLUMNS;
    int levels = 1;
    for (ptrdiff_t chunks = (N + most - 1) / most; chunks > 1; chunks = (chunks + 1) / 2) levels++;
    REAL sums[levels + 1][TILE_COLUMNS * TILE_ROWS] __attribute__((aligned(64)));
    int level = 0;
    for (ptrdiff_t first = 0, chunk = 0; first == 0 || first < N; first += most, chunk++) {
        const ptrdiff_t behind = N - first < most ? N : first + most;
        REAL *sum = sums[level];
        memset(sum, 0, width * TILE_ROWS * sizeof(REAL));
        for (ptrdiff_t n = first; n < behind; n++) {
            const int64_t begin = cuts[n * count + block], end = cuts[n * count + block + 1];
            if (begin == end) continue;
            VEC slope[TILE_ROWS / W];
            for (int j = 0; j < TILE_ROWS / W; j++) {
                const ptrdiff_t left = outputs - j * W;
                slope[j] = left > 0 ? F(load_part)(dy + n * O + o0 + j * W, left < W ? left : W) : F(all)(0);
            }
            for (int64_t k = begin; k < end; k++) {
                REAL *at = sum + (columns[k] - i0) * TILE_ROWS;
                const VEC v = F(all)(values[k]);
                for (int j = 0; j < TILE_ROWS / W; j++) F(store)(at + j * W, F(fma)(slope[j], v, F(load)(at + j * W)));
            }
        }
        level++;
        const int last = first + most >= N;
        for (ptrdiff_t join = chunk; level > 1 && ((join & 1) || last); join >>= 1) {
            level--;
            for (ptrdiff_t c = 0; c < width * TILE_ROWS; c++) sums[level - 1][c] += sums[level][c];
        }
    }
    for (ptrdiff_t i = 0; i < width; i += W)
        for (ptrdiff_t o = 0; o < outputs; o += W)
            F(turn_square)(sums[0] + i * TILE_ROWS + o, dw + o * ld + i, ld, outputs - o, width - i);
}
