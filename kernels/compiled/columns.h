/* Sums over rows, a vector of columns at a time, and what normalisation makes of them (T, REAL, LANES as in matmul.h).

   Rows are summed in chunks of CHUNK; in a chunk, rows 4 k + r go to chain r, and the four chains are joined (0 + 2) + (1 + 3). Chunks
   are combined by the binary tree. So bits do not depend on threads, and four additions are under way at once. */
#include "lanes.h"

/* TERMS(r) adds row n + r to sum[r][0..SUMS-1]; the totals are in total[0..SUMS-1] */
#define SUM_ROWS(ROWS, SUMS, TERMS)                                                                                            \
    VEC total[SUMS], stack[56][SUMS];                                                                                          \
    int level = 0;                                                                                                             \
    for (int j = 0; j < SUMS; j++) total[j] = F(all)(0);                                                                       \
    for (ptrdiff_t start = 0, chunk = 0; start < (ROWS); start += CHUNK, chunk++) {                                            \
        const ptrdiff_t end = (ROWS) - start < CHUNK ? (ROWS) : start + CHUNK;                                                 \
        VEC sum[4][SUMS];                                                                                                      \
        for (int r = 0; r < 4; r++)                                                                                            \
            for (int j = 0; j < SUMS; j++) sum[r][j] = F(all)(0);                                                              \
        ptrdiff_t first = start;                                                                                               \
        for (; first + 4 <= end; first += 4)                                                                                   \
            for (int r = 0; r < 4; r++) { const ptrdiff_t n = first + r; TERMS(r); }                                           \
        for (int r = 0; r < 3; r++)                                                                                            \
            if (first + r < end) { const ptrdiff_t n = first + r; TERMS(r); }                                                  \
        for (int j = 0; j < SUMS; j++) stack[level][j] = (sum[0][j] + sum[2][j]) + (sum[1][j] + sum[3][j]);                    \
        level++;                                                                                                               \
        const int last = end == (ROWS);                                                                                        \
        for (ptrdiff_t join = chunk; level > 1 && ((join & 1) || last); join >>= 1, level--)                                   \
            for (int j = 0; j < SUMS; j++) stack[level - 2][j] += stack[level - 1][j];                                         \
        if (last) for (int j = 0; j < SUMS; j++) total[j] = stack[0][j];                                                       \
    }
#define AT(p) (left >= W ? F(load)((p) + n * O + i) : F(load_part)((p) + n * O + i, left))

/* BODY for each vector of columns i of o0..o1; `left` columns are there. The common case, a whole vector, is compiled on its own. */
#define EACH_COLUMN(BODY)                                                                                                      \
    for (ptrdiff_t i = o0; i < o1; i += W) {                                                                                   \
        if (o1 - i >= W) { const ptrdiff_t left = W; BODY; }                                                                   \
        else { const ptrdiff_t left = o1 - i; BODY; }                                                                          \
    }

INLINE void F(batch_statistics_column)(const REAL *x, ptrdiff_t N, ptrdiff_t O, ptrdiff_t i, const ptrdiff_t left, REAL *mean,
                                       REAL *rstd, REAL *var, REAL eps) {
    VEC m;
    {
#define TERMS(r) sum[r][0] += AT(x)
        SUM_ROWS(N, 1, TERMS)
#undef TERMS
        m = total[0] / (REAL)(N > 0 ? N : 1);
    }
#define TERMS(r) VEC d = AT(x) - m; sum[r][0] += d * d
    SUM_ROWS(N, 1, TERMS)
#undef TERMS
    STORE(mean + i, 0, left, m);
    STORE(rstd + i, 0, left, F(all)(1) / F(sqrt)(total[0] / (REAL)(N > 0 ? N : 1) + eps));
    STORE(var + i, 0, left, total[0] / (REAL)(N > 1 ? N - 1 : 1));
}
static void F(batch_statistics)(const REAL *x, ptrdiff_t N, ptrdiff_t O, ptrdiff_t o0, ptrdiff_t o1, REAL *mean, REAL *rstd, REAL *var,
                                REAL eps) {
    EACH_COLUMN(F(batch_statistics_column)(x, N, O, i, left, mean, rstd, var, eps))
}

INLINE void F(batch_norm_backward_weight_column)(const REAL *x, const REAL *dy, ptrdiff_t N, ptrdiff_t O, ptrdiff_t i,
                                                 const ptrdiff_t left, const REAL *mean, const REAL *rstd, REAL *dw, REAL *db) {
    const VEC m = LOAD(mean + i, 0, left), s = LOAD(rstd + i, 0, left);
#define TERMS(r) VEC g = AT(dy); sum[r][0] += g * ((AT(x) - m) * s); sum[r][1] += g
    SUM_ROWS(N, 2, TERMS)
#undef TERMS
    STORE(dw + i, 0, left, total[0]);
    STORE(db + i, 0, left, total[1]);
}
static void F(batch_norm_backward_weight)(const REAL *x, const REAL *dy, ptrdiff_t N, ptrdiff_t O, ptrdiff_t o0, ptrdiff_t o1,
                                          const REAL *mean, const REAL *rstd, REAL *dw, REAL *db) {
    EACH_COLUMN(F(batch_norm_backward_weight_column)(x, dy, N, O, i, left, mean, rstd, dw, db))
}

INLINE void F(layer_norm_backward_weight_column)(const REAL *x, const REAL *dy, ptrdiff_t N, ptrdiff_t O, ptrdiff_t i,
                                                 const ptrdiff_t left, const REAL *mean, const REAL *rstd, REAL *dw, REAL *db) {
#define TERMS(r) VEC g = AT(dy); sum[r][0] += g * ((AT(x) - mean[n]) * rstd[n]); sum[r][1] += g
    SUM_ROWS(N, 2, TERMS)
#undef TERMS
    if (dw) STORE(dw + i, 0, left, total[0]);
    if (db) STORE(db + i, 0, left, total[1]);
}
static void F(layer_norm_backward_weight)(const REAL *x, const REAL *dy, ptrdiff_t N, ptrdiff_t O, ptrdiff_t o0, ptrdiff_t o1,
                                          const REAL *mean, const REAL *rstd, REAL *dw, REAL *db) {
    EACH_COLUMN(F(layer_norm_backward_weight_column)(x, dy, N, O, i, left, mean, rstd, dw, db))
}

INLINE void F(prelu_backward_weight_column)(const REAL *x, const REAL *dy, ptrdiff_t N, ptrdiff_t O, ptrdiff_t i, const ptrdiff_t left,
                                            REAL *dw) {
#define TERMS(r) VEC v = AT(x); sum[r][0] += F(select)(v > 0, F(all)(0), AT(dy) * v)
    SUM_ROWS(N, 1, TERMS)
#undef TERMS
    STORE(dw + i, 0, left, total[0]);
}
static void F(prelu_backward_weight)(const REAL *x, const REAL *dy, ptrdiff_t N, ptrdiff_t O, ptrdiff_t o0, ptrdiff_t o1, REAL *dw) {
    EACH_COLUMN(F(prelu_backward_weight_column)(x, dy, N, O, i, left, dw))
}

/* --- row by row. w and b may be NULL */
static void F(normalize_columns)(const REAL *x, const REAL *mean, const REAL *rstd, const REAL *w, const REAL *b, REAL *y, ptrdiff_t I,
                                 ptrdiff_t lo, ptrdiff_t hi) {
    for (ptrdiff_t n = lo; n < hi; n++)
        EACH(i, I) {
            VEC factor = LOAD(rstd, i, I);
            if (w) factor = factor * LOAD(w, i, I);
            VEC v = (LOAD(x + n * I, i, I) - LOAD(mean, i, I)) * factor;
            if (b) v += LOAD(b, i, I);
            STORE(y + n * I, i, I, v);
        }
}
static void F(batch_norm_backward_input)(const REAL *x, const REAL *dy, const REAL *mean, const REAL *rstd, const REAL *w, const REAL *dw,
                                         const REAL *db, REAL *dx, ptrdiff_t N, ptrdiff_t I, ptrdiff_t lo, ptrdiff_t hi) {
    const REAL rows = (REAL)(N > 0 ? N : 1);
    EACH(i, I) { /* a strip of columns at a time: its six coefficients are made once */
        const VEC s = LOAD(rstd, i, I), m = LOAD(mean, i, I), shift = LOAD(db, i, I) / rows, along = s * (LOAD(dw, i, I) / rows),
                  factor = w ? s * LOAD(w, i, I) : s;
        for (ptrdiff_t n = lo; n < hi; n++) {
            VEC v = (LOAD(dy + n * I, i, I) - shift) - (LOAD(x + n * I, i, I) - m) * along;
            STORE(dx + n * I, i, I, v * factor);
        }
    }
}
static void F(scale_columns)(const REAL *dy, const REAL *rstd, const REAL *w, REAL *dx, ptrdiff_t I, ptrdiff_t lo, ptrdiff_t hi) {
    for (ptrdiff_t n = lo; n < hi; n++)
        EACH(i, I) {
            VEC factor = LOAD(rstd, i, I);
            if (w) factor = factor * LOAD(w, i, I);
            STORE(dx + n * I, i, I, LOAD(dy + n * I, i, I) * factor);
        }
}
static void F(inverse_deviation)(const REAL *var, REAL *rstd, ptrdiff_t n, REAL eps) {
    EACH(i, n) STORE(rstd, i, n, F(all)(1) / F(sqrt)(LOAD(var, i, n) + eps));
}
static void F(running_update)(const REAL *mean, const REAL *var, REAL *running_mean, REAL *running_var, ptrdiff_t n, double m) {
    const VEC now = F(all)((REAL)m), old = F(all)((REAL)(1.0 - m));
    EACH(i, n) {
        STORE(running_mean, i, n, old * LOAD(running_mean, i, n) + now * LOAD(mean, i, n));
        STORE(running_var, i, n, old * LOAD(running_var, i, n) + now * LOAD(var, i, n));
    }
}

/* sum over a row of an expression of vector i, by the lanes' law: lane l of panel after panel to accumulator l */
#define SUM_ROW(TOTAL, EXPRESSION)                                                                                             \
    REAL TOTAL;                                                                                                                \
    {                                                                                                                          \
        VEC acc[NV];                                                                                                           \
        for (int j = 0; j < NV; j++) acc[j] = F(all)(0);                                                                       \
        for (ptrdiff_t base = 0; base < I; base += LANES)                                                                      \
            for (int j = 0; j < NV; j++) {                                                                                     \
                const ptrdiff_t i = base + j * W;                                                                              \
                if (i < I) acc[j] += F(select)(F(live)(I - i), EXPRESSION, F(all)(0));                                         \
            }                                                                                                                  \
        TOTAL = F(sum_panel)(acc);                                                                                             \
    }
INLINE VEC F(squared)(VEC d) { return d * d; }

static void F(layer_norm_forward)(const REAL *x, const REAL *w, const REAL *b, REAL *y, REAL *mean, REAL *rstd, ptrdiff_t I, ptrdiff_t lo,
                                  ptrdiff_t hi, REAL eps, int centred) {
    const REAL width = (REAL)(I > 0 ? I : 1);
    for (ptrdiff_t n = lo; n < hi; n++) {
        const REAL *xn = x + n * I;
        REAL m = 0;
        if (centred) {
            SUM_ROW(sum, LOAD(xn, i, I))
            m = sum / width;
        }
        SUM_ROW(squares, F(squared)(LOAD(xn, i, I) - m))
        const REAL s = F(all)(1)[0] / F(sqrt)(F(all)(squares / width + eps))[0];
        mean[n] = m;
        rstd[n] = s;
        EACH(i, I) {
            VEC v = (LOAD(xn, i, I) - m) * s;
            if (w) v *= LOAD(w, i, I);
            if (b) v += LOAD(b, i, I);
            STORE(y + n * I, i, I, v);
        }
    }
}
static void F(layer_norm_backward_input)(const REAL *x, const REAL *w, const REAL *dy, const REAL *mean, const REAL *rstd, REAL *dx,
                                         ptrdiff_t I, ptrdiff_t lo, ptrdiff_t hi, int centred) {
    const REAL width = (REAL)(I > 0 ? I : 1);
    for (ptrdiff_t n = lo; n < hi; n++) {
        const REAL *xn = x + n * I, *dn = dy + n * I, m = mean[n], s = rstd[n];
#define SCALED_DY(i) (w ? LOAD(dn, i, I) * LOAD(w, i, I) : LOAD(dn, i, I))
        SUM_ROW(along, SCALED_DY(i) * ((LOAD(xn, i, I) - m) * s))
        REAL shift = 0;
        if (centred) {
            SUM_ROW(sum, SCALED_DY(i))
            shift = sum / width;
        }
        const REAL slope = along / width;
        EACH(i, I) STORE(dx + n * I, i, I, (SCALED_DY(i) - shift - ((LOAD(xn, i, I) - m) * s) * slope) * s);
#undef SCALED_DY
    }
}

static void F(prelu_forward)(const REAL *x, const REAL *w, REAL *y, ptrdiff_t I, ptrdiff_t lo, ptrdiff_t hi) {
    for (ptrdiff_t n = lo; n < hi; n++)
        EACH(i, I) {
            VEC v = LOAD(x + n * I, i, I);
            STORE(y + n * I, i, I, F(select)(v > 0, v, LOAD(w, i, I) * v));
        }
}
static void F(prelu_backward_input)(const REAL *x, const REAL *w, const REAL *dy, REAL *dx, ptrdiff_t I, ptrdiff_t lo, ptrdiff_t hi) {
    for (ptrdiff_t n = lo; n < hi; n++)
        EACH(i, I) {
            VEC v = LOAD(x + n * I, i, I);
            STORE(dx + n * I, i, I, LOAD(dy + n * I, i, I) * F(select)(v > 0, F(all)(1), LOAD(w, i, I)));
        }
}

/* --- embedding: columns o0..o1 of the table's gradient, row after row of the batch, added to what stands there */
static void F(embedding_forward)(const int64_t *index, const REAL *w, REAL *y, ptrdiff_t K, ptrdiff_t O, ptrdiff_t V, ptrdiff_t lo,
                                 ptrdiff_t hi) {
    for (ptrdiff_t at = lo * K; at < hi * K; at++) {
        const int64_t v = index[at];
        if (v >= 0 && v < V) memcpy(y + at * O, w + v * O, O * sizeof(REAL));
        else for (ptrdiff_t o = 0; o < O; o++) y[at * O + o] = NAN;
    }
}
static void F(add_row)(REAL *to, const REAL *from, ptrdiff_t n, REAL divisor) {
    if (divisor == 1) EACH(i, n) STORE(to, i, n, LOAD(to, i, n) + LOAD(from, i, n));
    else EACH(i, n) STORE(to, i, n, LOAD(to, i, n) + LOAD(from, i, n) / divisor);
}
static void F(embedding_backward)(const int64_t *index, const REAL *dy, REAL *dw, ptrdiff_t N, ptrdiff_t K, ptrdiff_t O, ptrdiff_t V,
                                  ptrdiff_t o0, ptrdiff_t o1, int64_t padding) {
    for (ptrdiff_t at = 0; at < N * K; at++) {
        const int64_t v = index[at];
        if (v >= 0 && v < V && v != padding) F(add_row)(dw + v * O + o0, dy + at * O + o0, o1 - o0, 1);
    }
}
/* how many of a bag's indices count; -1 where one is no row of the table */
static ptrdiff_t F(bag_size)(const int64_t *index, ptrdiff_t K, ptrdiff_t V, int64_t padding) {
    ptrdiff_t size = 0;
    for (ptrdiff_t k = 0; k < K; k++) {
        if (index[k] == -1 || index[k] == padding) continue;
        if (index[k] < 0 || index[k] >= V) return -1;
        size++;
    }
    return size;
}
static void F(embedding_bag_forward)(const int64_t *index, const REAL *w, REAL *y, ptrdiff_t K, ptrdiff_t O, ptrdiff_t V, ptrdiff_t lo,
                                     ptrdiff_t hi, int mode, int64_t padding) {
    for (ptrdiff_t n = lo; n < hi; n++) {
        const int64_t *bag = index + n * K;
        REAL *yn = y + n * O;
        const ptrdiff_t size = F(bag_size)(bag, K, V, padding);
        for (ptrdiff_t o = 0; o < O; o++) yn[o] = size < 0 ? NAN : 0;
        if (size <= 0) continue;
        int first = 1;
        for (ptrdiff_t k = 0; k < K; k++) {
            if (bag[k] == -1 || bag[k] == padding) continue;
            const REAL *row = w + bag[k] * O;
            if (first) memcpy(yn, row, O * sizeof(REAL));
            else if (mode != 2) F(add_row)(yn, row, O, 1);
            else EACH(i, O) { VEC v = LOAD(row, i, O), u = LOAD(yn, i, O); STORE(yn, i, O, F(select)((v > u) | (v != v), v, u)); }
            first = 0;
        }
        if (mode == 1) EACH(i, O) STORE(yn, i, O, LOAD(yn, i, O) / (REAL)size);
    }
}
static void F(embedding_bag_backward)(const int64_t *index, const REAL *w, const REAL *dy, REAL *dw, ptrdiff_t N, ptrdiff_t K, ptrdiff_t O,
                                      ptrdiff_t V, ptrdiff_t o0, ptrdiff_t o1, int mode, int64_t padding) {
    for (ptrdiff_t n = 0; n < N; n++) {
        const int64_t *bag = index + n * K;
        const ptrdiff_t size = F(bag_size)(bag, K, V, padding);
        if (size <= 0) continue;
        if (mode != 2) {
            for (ptrdiff_t k = 0; k < K; k++)
                if (bag[k] != -1 && bag[k] != padding)
                    F(add_row)(dw + bag[k] * O + o0, dy + n * O + o0, o1 - o0, mode == 1 ? (REAL)size : 1);
            continue;
        }
        for (ptrdiff_t o = o0; o < o1; o++) {
            int64_t best = -1;
            for (ptrdiff_t k = 0; k < K; k++) {
                if (bag[k] == -1 || bag[k] == padding) continue;
                const REAL v = w[bag[k] * O + o];
                if (best < 0 || v > w[best * O + o] || (v != v && w[best * O + o] == w[best * O + o])) best = bag[k];
            }
            dw[best * O + o] += dy[n * O + o];
        }
    }
}

/* --- mixing a batch with itself turned round */
static void F(mix_rows)(const REAL *x, REAL *y, ptrdiff_t N, ptrdiff_t I, ptrdiff_t lo, ptrdiff_t hi, double lam) {
    const REAL a = (REAL)lam, b = (REAL)(1.0 - lam);
    for (ptrdiff_t n = lo; n < hi; n++)
        EACH(i, I) STORE(y + n * I, i, I, a * LOAD(x + n * I, i, I) + b * LOAD(x + (N - 1 - n) * I, i, I));
}
static void F(mix_labels)(const int64_t *t, REAL *y, ptrdiff_t N, ptrdiff_t C, ptrdiff_t lo, ptrdiff_t hi, double lam, double smoothing) {
    for (ptrdiff_t n = lo; n < hi; n++) {
        for (ptrdiff_t c = 0; c < C; c++) y[n * C + c] = (REAL)(smoothing / (double)C);
        y[n * C + t[n]] += (REAL)((1 - smoothing) * lam);
        y[n * C + t[N - 1 - n]] += (REAL)((1 - smoothing) * (1 - lam));
    }
}
#undef SUM_ROWS
#undef AT
#undef EACH_COLUMN
#undef SUM_ROW
#include "lanes_end.h"
