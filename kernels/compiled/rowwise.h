/* Row by row: activations, softmax, losses, and the reductions they need, for one type (T, REAL, LANES as in matmul.h).

   A row is walked in panels of 64 bytes, lane l of panel after panel going to accumulator l; the accumulators are joined by halves at
   the end. Sums begin a new accumulator every PARTIAL panels and add it to those before: a row of 100,000 classes in float32 in one
   chain loses 230 eps. So the order of additions depends on the row's length alone, not on the level. */
enum { F(PARTIAL) = 64 };

#define PART(i, n) ((n) - (i) < W ? (n) - (i) : W)
#define LOAD(p, i, n) ((n) - (i) >= W ? F(load)((p) + (i)) : F(load_part)((p) + (i), (n) - (i)))
#define STORE(p, i, n, v)                                                                                                      \
    do {                                                                                                                       \
        if ((n) - (i) >= W) F(store)((p) + (i), v);                                                                            \
        else F(store_part)((p) + (i), v, (n) - (i));                                                                           \
    } while (0)
#define EACH(i, n) for (ptrdiff_t i = 0; i < (n); i += W)

/* --- activations by code, in the order of contract.ACTIVATIONS */
enum { F(IDENTITY), F(SIGMOID), F(TANH), F(RELU), F(LEAKY_RELU), F(ELU), F(SOFTPLUS) };

INLINE VEC F(relu)(VEC x) { return F(at_least)(F(all)(0), x); }
INLINE VEC F(leaky_relu)(VEC x, VEC a) { return F(select)(x < 0, a * x, x); }
INLINE VEC F(elu)(VEC x, VEC a) { return F(select)(x < 0, a * F(expm1)(F(select)(x < 0, x, F(all)(0))), x); }

static void F(activate)(int code, const REAL *x, REAL *y, ptrdiff_t n, REAL alpha) {
    const VEC a = F(all)(alpha);
    switch (code) {
    case F(IDENTITY): if (x != y) memmove(y, x, n * sizeof(REAL)); break;
    case F(SIGMOID): EACH(i, n) STORE(y, i, n, F(sigmoid)(LOAD(x, i, n))); break;
    case F(TANH): EACH(i, n) STORE(y, i, n, F(tanh)(LOAD(x, i, n))); break;
    case F(RELU): EACH(i, n) STORE(y, i, n, F(relu)(LOAD(x, i, n))); break;
    case F(LEAKY_RELU): EACH(i, n) STORE(y, i, n, F(leaky_relu)(LOAD(x, i, n), a)); break;
    case F(ELU): EACH(i, n) STORE(y, i, n, F(elu)(LOAD(x, i, n), a)); break;
    case F(SOFTPLUS): EACH(i, n) STORE(y, i, n, F(softplus)(LOAD(x, i, n))); break;
    }
}

/* dx = dy * f'(z) from the output y = f(z) */
static void F(slope_times)(int code, const REAL *y, const REAL *dy, REAL *dx, ptrdiff_t n, REAL alpha) {
    const VEC a = F(all)(alpha), one = F(all)(1), zero = F(all)(0);
#define SLOPE(EXPRESSION)                                                                                                      \
    EACH(i, n) {                                                                                                               \
        VEC v = LOAD(y, i, n);                                                                                                 \
        STORE(dx, i, n, LOAD(dy, i, n) * (EXPRESSION));                                                                        \
    }                                                                                                                          \
    break
    switch (code) {
    case F(IDENTITY): if (dx != dy) memmove(dx, dy, n * sizeof(REAL)); break;
    case F(SIGMOID): SLOPE(v * (one - v));
    case F(TANH): SLOPE(one - v * v);
    case F(RELU): SLOPE(F(select)(v > 0, one, zero));
    case F(LEAKY_RELU): SLOPE(F(select)(v > 0, one, a));
    case F(ELU): SLOPE(F(select)(v > 0, one, v + a));
    case F(SOFTPLUS): SLOPE(-F(expm1)(-v));
    }
#undef SLOPE
}

/* functions of the input that no matmul applies itself, and their gradients */
#define DEFINE_MAP(NAME, EXPRESSION)                                                                                           \
    static void F(NAME##_row)(const REAL *x, REAL *y, ptrdiff_t n) {                                                           \
        EACH(i, n) { VEC v = LOAD(x, i, n); STORE(y, i, n, EXPRESSION); }                                                      \
    }
DEFINE_MAP(exp, F(exp)(v))
DEFINE_MAP(log, F(log)(v))
DEFINE_MAP(erf, F(erf)(v))
DEFINE_MAP(gelu, F(gelu)(v))
DEFINE_MAP(silu, F(silu)(v))
#define DEFINE_SLOPE(NAME)                                                                                                     \
    static void F(NAME##_backward_row)(const REAL *x, const REAL *dy, REAL *dx, ptrdiff_t n) {                                 \
        EACH(i, n) { VEC v = LOAD(x, i, n); STORE(dx, i, n, LOAD(dy, i, n) * F(NAME##_slope)(v)); }                            \
    }
DEFINE_SLOPE(gelu)
DEFINE_SLOPE(silu)

/* --- reductions of a row. Absent lanes of a last, partial vector are masked: LIVE is all ones where lane i + l < n. */
INLINE F(int) F(live)(ptrdiff_t left) {
    F(int) lane;
    for (int l = 0; l < W; l++) lane[l] = l;
    return lane < (F(int)){0} + (__typeof__(lane[0]))(left > W ? W : left);
}
static REAL F(row_max)(const REAL *x, ptrdiff_t n) {
    VEC acc[NV];
    for (int j = 0; j < NV; j++) acc[j] = F(all)(-INFINITY);
    for (ptrdiff_t base = 0; base < n; base += LANES)
        for (int j = 0; j < NV; j++) {
            const ptrdiff_t i = base + j * W;
            if (i >= n) continue;
            VEC v = LOAD(x, i, n);
            acc[j] = F(select)(((v > acc[j]) | (v != v)) & F(live)(n - i), v, acc[j]);
        }
    return F(max_panel)(acc);
}
/* leaves the sum of a row in acc[NV]: the statement adds the terms at i to part[j] */
#define SUM_PANELS(n, ...)                                                                                                     \
    VEC acc[NV], part[NV];                                                                                                     \
    for (int j = 0; j < NV; j++) acc[j] = part[j] = F(all)(0);                                                                 \
    for (ptrdiff_t base = 0; base < (n); base += LANES) {                                                                      \
        for (int j = 0; j < NV; j++) {                                                                                         \
            const ptrdiff_t i = base + j * W;                                                                                  \
            if (i < (n)) { __VA_ARGS__; }                                                                                      \
        }                                                                                                                      \
        if (base / LANES % F(PARTIAL) == F(PARTIAL) - 1)                                                                       \
            for (int j = 0; j < NV; j++) acc[j] += part[j], part[j] = F(all)(0);                                               \
    }                                                                                                                          \
    for (int j = 0; j < NV; j++) acc[j] += part[j];
/* y = exp(x - m), and the sum of it */
static REAL F(row_exp_sum)(const REAL *x, REAL m, REAL *y, ptrdiff_t n) {
    SUM_PANELS(n, {
        VEC e = F(exp)(LOAD(x, i, n) - m);
        e = F(select)(F(live)(n - i), e, F(all)(0));
        if (y) STORE(y, i, n, e);
        part[j] += e;
    })
    return F(sum_panel)(acc);
}
static REAL F(row_dot)(const REAL *a, const REAL *b, ptrdiff_t n) {
    SUM_PANELS(n, part[j] += LOAD(a, i, n) * LOAD(b, i, n))
    return F(sum_panel)(acc);
}
static REAL F(row_sum)(const REAL *a, ptrdiff_t n) {
    SUM_PANELS(n, part[j] += LOAD(a, i, n))
    return F(sum_panel)(acc);
}
/* sum of v (m - x), v NULL for ones; an infinite term with v = 0 counts as nothing */
static REAL F(row_fall)(const REAL *x, REAL m, const REAL *v, ptrdiff_t n) {
    SUM_PANELS(n, {
        VEC d = m - LOAD(x, i, n), c = v ? LOAD(v, i, n) : F(all)(1);
        part[j] += F(select)(F(live)(n - i) & (c != 0), c * d, F(all)(0));
    })
    return F(sum_panel)(acc);
}

static void F(softmax_row)(const REAL *x, REAL *y, ptrdiff_t n) {
    const REAL m = F(row_max)(x, n), s = F(row_exp_sum)(x, m, y, n);
    EACH(i, n) STORE(y, i, n, LOAD(y, i, n) / s);
}
static void F(softmax_backward_row)(const REAL *y, const REAL *dy, REAL *dx, ptrdiff_t n) {
    const VEC s = F(all)(F(row_dot)(dy, y, n));
    EACH(i, n) STORE(dx, i, n, LOAD(y, i, n) * (LOAD(dy, i, n) - s));
}

INLINE REAL F(log_one)(REAL x) { return F(log)(F(all)(x))[0]; }

/* --- sums over rows in double: chunks of CHUNK elements on 8 lanes, chunks combined by the binary tree. b may be NULL (ones).
   The lanes of a chunk are vectors, and chunks overlap: 79,104 squares take 6 us, element by element 84. */
INLINE double F(chunk_sum)(const REAL *a, const REAL *b, ptrdiff_t n) {
    enum { PARTS = W / W_f64 };
    vec_f64 sum[NV] = {{0}}, x[PARTS], y[PARTS];
    if (n == CHUNK)
        for (int i = 0; i < CHUNK; i += W) {
            F(doubles)(a + i, x);
            if (b && b != a) F(doubles)(b + i, y);
            for (int j = 0; j < PARTS; j++) sum[(i / W_f64 + j) % NV] += b == a ? x[j] * x[j] : b ? x[j] * y[j] : x[j];
        }
    else {
        double lane[8] = {0};
        for (ptrdiff_t i = 0; i < n; i++) lane[i & 7] += b ? (double)a[i] * (double)b[i] : (double)a[i];
        memcpy(sum, lane, sizeof(sum));
    }
    return sum_panel_f64(sum);
}
static double F(long_sum)(const REAL *a, const REAL *b, ptrdiff_t n) {
    double stack[64];
    int level = 0;
    for (ptrdiff_t start = 0, chunk = 0; start < n; start += CHUNK, chunk++) {
        const int last = n - start <= CHUNK;
        stack[level++] = F(chunk_sum)(a + start, b ? b + start : NULL, last ? n - start : CHUNK);
        for (ptrdiff_t join = chunk; level > 1 && ((join & 1) || last); join >>= 1, level--) stack[level - 2] += stack[level - 1];
    }
    return n > 0 ? stack[0] : 0.0;
}
/* what dl/dy is multiplied with: w[n] / sum of w, or w[n]; this is the part common to all rows */
INLINE REAL F(common_factor)(const REAL *w, ptrdiff_t rows, int mean) {
    if (!mean) return 1;
    const double total = w ? F(long_sum)(w, NULL, rows) : (double)rows;
    return (REAL)(total != 0 ? 1.0 / total : 0.0);
}

/* y[n] = x[index[n]] for rows of I; the line of a row to come is asked for, since their order has no pattern */
static void F(gather_rows)(const REAL *x, const int64_t *index, REAL *y, ptrdiff_t I, ptrdiff_t lo, ptrdiff_t hi) {
    for (ptrdiff_t n = lo; n < hi; n++) {
        const REAL *row = x + index[n] * I;
        __builtin_prefetch(x + index[n + 8 < hi ? n + 8 : hi - 1] * I);
        EACH(i, I) STORE(y + n * I, i, I, LOAD(row, i, I));
    }
}

/* --- losses of rows lo..hi. N is the whole batch (for the weights' sum); dy may be NULL. */
#define LOSS_ROWS                                                                                                              \
    const REAL common = F(common_factor)(w, N, mean);                                                                          \
    for (ptrdiff_t n = lo; n < hi; n++)
#define FACTOR (w ? w[n] * common : common)
/* One output: W rows side by side, since a row alone would fill one lane (200 rows of binary cross-entropy: 9 us row by row). BODY sets term
   and slope from p and q. A row's sum is its term, plus the zeros of the other lanes. */
#define ROWS_ASIDE(SCALE, ...)                                                                                                 \
    const REAL common = F(common_factor)(w, N, mean);                                                                          \
    for (ptrdiff_t n = lo; n < hi; n += W) {                                                                                   \
        const VEC f = (w ? LOAD(w, n, hi) * F(all)(common) : F(all)(common)) * F(all)((REAL)(SCALE));                          \
        VEC p = LOAD(y, n, hi), q = LOAD(t, n, hi), term, slope;                                                               \
        __VA_ARGS__;                                                                                                           \
        STORE(l, n, hi, F(all)(0) + term);                                                                                     \
        if (dy) STORE(dy, n, hi, slope * f);                                                                                   \
    }

static void F(squared_error)(const REAL *y, const REAL *t, const REAL *w, REAL *l, REAL *dy, ptrdiff_t N, ptrdiff_t O, ptrdiff_t lo,
                             ptrdiff_t hi, int mean) {
    const ptrdiff_t outputs = mean && O > 0 ? O : 1; /* a sum is over all elements */
    if (O == 1) {
        ROWS_ASIDE(2, const VEC d = p - q; term = d * d; slope = d)
        return;
    }
    LOSS_ROWS {
        const REAL *yn = y + n * O, *tn = t + n * O;
        const VEC f = F(all)(FACTOR * (REAL)(2.0 / outputs));
        SUM_PANELS(O, {
            VEC d = LOAD(yn, i, O) - LOAD(tn, i, O);
            part[j] += d * d;
            if (dy) STORE(dy + n * O, i, O, d * f);
        })
        l[n] = F(sum_panel)(acc) / (REAL)outputs;
    }
}

/* W rows of at most FEW classes, turned so that a vector holds one class of all rows: every lane works, and no sum goes across lanes. The
   bits are those of the loop below: a sum over classes is the same tree, whose absent terms are zeros. */
enum { F(FEW) = 2 * W };
static void F(few_classes)(const REAL *z, const int64_t *t, const REAL *w, REAL common, REAL *l, REAL *dz, ptrdiff_t C, ptrdiff_t first,
                           int rows) {
    VEC e[F(FEW)], sum[LANES], chosen = F(all)(0), f = F(all)(common);
    F(int) label;
    REAL factor[W];
    __typeof__(label[0]) labels[W];
    for (int r = 0; r < W; r++) {
        labels[r] = r < rows ? t[first + r] : 0;
        factor[r] = w && r < rows ? w[first + r] * common : common;
    }
    memcpy(&label, labels, sizeof(label));
    if (w) f = F(load)(factor);
    for (ptrdiff_t c = 0; c < C; c += W) {
        for (int r = 0; r < W; r++) e[c + r] = r < rows ? LOAD(z + (first + r) * C, c, C) : F(all)(0);
        F(transpose)(e + c);
    }
    VEC m = e[0];
    for (ptrdiff_t c = 1; c < C; c++) m = F(select)((e[c] > m) | (e[c] != e[c]), e[c], m);
    for (ptrdiff_t c = 0; c < C; c++) {
        const VEC d = e[c] - m;
        chosen = F(select)(label == (__typeof__(labels[0]))c, d, chosen);
        e[c] = F(exp)(d);
        sum[c % LANES] = c < LANES ? e[c] : sum[c % LANES] + e[c];
    }
    for (ptrdiff_t h = LANES / 2; h > 0; h /= 2)
        for (ptrdiff_t c = 0; c < h && c + h < C; c++) sum[c] += sum[c + h];
    const VEC losses = F(log)(sum[0]) - chosen;
    F(store_part)(l + first, losses, rows);
    if (!dz) return;
    for (ptrdiff_t c = 0; c < C; c++) {
        const VEC p = e[c] / sum[0];
        e[c] = F(select)(label == (__typeof__(labels[0]))c, p - 1, p) * f;
    }
    for (ptrdiff_t c = 0; c < C; c += W) {
        F(transpose)(e + c);
        for (int r = 0; r < rows; r++) STORE(dz + (first + r) * C, c, C, e[c + r]);
    }
}

/* W rows at a time, so that their logarithms are taken together. v (C): class weights, NULL for ones; they enter the smoothed target
   as v[c] / v[t], for the row weights hold v[t] already. */
static void F(softmax_cross_entropy)(const REAL *z, const int64_t *t, const REAL *w, const REAL *v, REAL *l, REAL *dz, ptrdiff_t N,
                                     ptrdiff_t C, ptrdiff_t lo, ptrdiff_t hi, REAL smoothing, int mean) {
    const REAL share = smoothing / (REAL)C, keep = (REAL)1 - smoothing, common = F(common_factor)(w, N, mean);
    const REAL classes = v ? F(row_sum)(v, C) : (REAL)C;
    for (ptrdiff_t first = lo; first < hi; first += W) {
        const int rows = hi - first < W ? (int)(hi - first) : W;
        if (C <= F(FEW) && smoothing == 0 && !v) {
            F(few_classes)(z, t, w, common, l, dz, C, first, rows);
            continue;
        }
        REAL s[W], chosen[W], others[W], rest[W];
        for (int r = 0; r < W; r++) s[r] = 1;
        for (int r = 0; r < rows; r++) {
            const ptrdiff_t n = first + r;
            const REAL *zn = z + n * C;
            const REAL m = F(row_max)(zn, C);
            REAL *d = dz ? dz + n * C : NULL;
            s[r] = F(row_exp_sum)(zn, m, d, C);
            chosen[r] = zn[t[n]] - m;
            others[r] = smoothing != 0 ? F(row_fall)(zn, m, v, C) : 0;
            rest[r] = v ? share / v[t[n]] : share;
            if (!d) continue;
            const REAL factor = FACTOR, mass = v ? keep + rest[r] * classes : 1;
            const REAL at = d[t[n]] / s[r] * mass - (keep + share);
            const VEC f = F(all)(factor), q = F(all)(rest[r]);
            if (v) EACH(i, C) STORE(d, i, C, (LOAD(d, i, C) / s[r] * mass - q * LOAD(v, i, C)) * f);
            else EACH(i, C) STORE(d, i, C, (LOAD(d, i, C) / s[r] - q) * f);
            d[t[n]] = at * factor;
        }
        const VEC logs = F(log)(F(load)(s));
        for (int r = 0; r < rows; r++) {
            const REAL loss = logs[r] - chosen[r];
            l[first + r] = smoothing != 0 || v ? keep * loss + rest[r] * (classes * logs[r] + others[r]) : loss;
        }
    }
}

static void F(softmax_cross_entropy_soft)(const REAL *z, const REAL *t, const REAL *w, REAL *l, REAL *dz, ptrdiff_t N, ptrdiff_t C,
                                          ptrdiff_t lo, ptrdiff_t hi, int mean) {
    LOSS_ROWS {
        const REAL *zn = z + n * C, *tn = t + n * C;
        REAL *d = dz ? dz + n * C : NULL;
        const REAL m = F(row_max)(zn, C), s = F(row_exp_sum)(zn, m, d, C), log_s = F(log_one)(s), mass = F(row_sum)(tn, C);
        const VEC f = F(all)(FACTOR);
        SUM_PANELS(C, {
            VEC q = LOAD(tn, i, C), term = q * (log_s - (LOAD(zn, i, C) - m));
            part[j] += F(select)(q == 0, F(all)(0), term);
            if (d) STORE(d, i, C, (LOAD(d, i, C) / s * mass - q) * f);
        })
        l[n] = F(sum_panel)(acc);
    }
}

#define SMALLEST ((REAL)(sizeof(REAL) == 4 ? 1.17549435e-38 : 2.2250738585072014e-308))
static void F(cross_entropy)(const REAL *p, const int64_t *t, const REAL *w, REAL *l, REAL *dp, ptrdiff_t N, ptrdiff_t C, ptrdiff_t lo,
                             ptrdiff_t hi, int mean) {
    LOSS_ROWS {
        const REAL given = p[n * C + t[n]], chosen = given < SMALLEST ? SMALLEST : given;
        l[n] = -F(log_one)(chosen);
        if (!dp) continue;
        memset(dp + n * C, 0, C * sizeof(REAL));
        dp[n * C + t[n]] = -(FACTOR) / chosen;
    }
}

/* losses that are a sum over the columns of one expression, with a gradient of one expression */
#define DEFINE_COLUMN_LOSS(NAME, DIVISOR, BEFORE, TERM, SLOPE)                                                                 \
    static void F(NAME)(const REAL *y, const REAL *t, const REAL *w, REAL *l, REAL *dy, ptrdiff_t N, ptrdiff_t O,              \
                        ptrdiff_t lo, ptrdiff_t hi, int mean) {                                                                \
        const ptrdiff_t divisor = mean && (DIVISOR) > 0 ? (DIVISOR) : 1;                                                               \
        if (O == 1) {                                                                                                          \
            const VEC one = F(all)(1), zero = F(all)(0);                                                                       \
            ROWS_ASIDE(1, BEFORE; term = TERM; slope = SLOPE)                                                                  \
            (void)one, (void)zero;                                                                                             \
            return;                                                                                                            \
        }                                                                                                                      \
        LOSS_ROWS {                                                                                                            \
            const VEC f = F(all)(FACTOR * (REAL)(1.0 / divisor)), one = F(all)(1), zero = F(all)(0);                           \
            SUM_PANELS(O, {                                                                                                    \
                VEC p = LOAD(y + n * O, i, O), q = LOAD(t + n * O, i, O);                                                      \
                BEFORE;                                                                                                        \
                VEC term = TERM;                                                                                               \
                part[j] += F(select)(F(live)(O - i), term, zero);                                                              \
                if (dy) STORE(dy + n * O, i, O, (SLOPE) * f);                                                                  \
            })                                                                                                                 \
            l[n] = F(sum_panel)(acc) / (REAL)divisor;                                                                          \
            (void)one;                                                                                                         \
        }                                                                                                                      \
    }
DEFINE_COLUMN_LOSS(cross_entropy_soft, 1, p = F(at_least)(F(all)(SMALLEST), p), -(q * F(log)(p)), -q / p)
DEFINE_COLUMN_LOSS(binary_cross_entropy, O,
                   VEC yes = F(log)(p); VEC no = F(log1p)(-p); VEC cut = F(all)(-100); VEC room = (one - p) * p;
                   VEC least = F(all)((REAL)1e-12); yes = F(at_least)(cut, yes); no = F(at_least)(cut, no),
                   -(q * yes + (one - q) * no), (p - q) / F(at_least)(least, room))
DEFINE_COLUMN_LOSS(binary_cross_entropy_logits, O, , F(select)(p > 0, p, zero) - p * q + F(softplus_rest)(p),
                   F(sigmoid)(p) - q)

#include "optimizers.h"
#undef PART
#undef LOAD
#undef STORE
#undef EACH
#undef DEFINE_MAP
#undef DEFINE_SLOPE
#undef SUM_PANELS
#undef LOSS_ROWS
#undef ROWS_ASIDE
#undef FACTOR
#undef SMALLEST
#undef DEFINE_COLUMN_LOSS
