/* Losses beside cross-entropy and squared error, for one type (T, REAL, LANES as in matmul.h): sums over the columns of one expression,
   and those of a row of classes. Rows lo..hi; N is the whole batch, for the sum of the weights; c a vector over the outputs; dy may be
   NULL; s and k are the scalars in the order of the signature. Formulas: reference/column_losses.py, reference/row_losses.py. */
#define LOAD(p, i, n) ((n) - (i) >= W ? F(load)((p) + (i)) : F(load_part)((p) + (i), (n) - (i)))
#define STORE(p, i, n, v)                                                                                                      \
    do {                                                                                                                       \
        if ((n) - (i) >= W) F(store)((p) + (i), v);                                                                            \
        else F(store_part)((p) + (i), v, (n) - (i));                                                                           \
    } while (0)
#define FACTOR (w ? w[n] * common : common)
#define LOSS_ARGS const REAL *w, const REAL *c, REAL *l, REAL *dy, ptrdiff_t N, ptrdiff_t O, ptrdiff_t lo, ptrdiff_t hi, int mean, \
                  const double *s, const int64_t *k
#define EACH_COLUMN                                                                                                            \
    for (ptrdiff_t base = 0; base < O; base += LANES)                                                                          \
        for (int j = 0; j < NV; j++)                                                                                           \
            for (ptrdiff_t i = base + j * W; i < O; i = O)

INLINE VEC F(positive)(VEC x) { return F(at_least)(F(all)(0), x); }
/* m to the power gamma, m in 0..1 */
INLINE VEC F(power_of)(VEC m, REAL gamma) {
    if (gamma == 2) return m * m;
    if (gamma == 1) return m;
    if (gamma == 0) return F(all)(1);
    return F(exp)(F(all)(gamma) * F(log)(m));
}

/* p and q are prediction and target of W columns, v their part of c; BODY sets term and slope. AVERAGED: whether l is over O. */
#define COLUMN_LOSS(NAME, AVERAGED, CONSTANTS, BODY)                                                                           \
    static void F(NAME)(const REAL *y, const REAL *t, LOSS_ARGS) {                                                             \
        const ptrdiff_t divisor = mean && (AVERAGED) && O > 0 ? O : 1;                                                         \
        const REAL common = F(common_factor)(w, N, mean);                                                                      \
        const VEC one = F(all)(1), zero = F(all)(0);                                                                           \
        CONSTANTS                                                                                                              \
        if (O == 1) { /* W rows side by side, since a row alone would fill one lane */                                         \
            for (ptrdiff_t n = lo; n < hi; n += W) {                                                                           \
                const VEC f = w ? LOAD(w, n, hi) * F(all)(common) : F(all)(common), v = c ? F(all)(*c) : zero;                 \
                const VEC p = LOAD(y, n, hi), q = LOAD(t, n, hi);                                                              \
                VEC term, slope;                                                                                               \
                BODY                                                                                                           \
                STORE(l, n, hi, zero + term);                                                                                  \
                if (dy) STORE(dy, n, hi, slope * f);                                                                           \
                (void)v;                                                                                                       \
            }                                                                                                                  \
            (void)one;                                                                                                         \
            return;                                                                                                            \
        }                                                                                                                      \
        for (ptrdiff_t n = lo; n < hi; n++) {                                                                                  \
            const VEC f = F(all)(FACTOR * (REAL)(1.0 / divisor));                                                              \
            VEC acc[NV];                                                                                                       \
            for (int j = 0; j < NV; j++) acc[j] = zero;                                                                        \
            EACH_COLUMN {                                                                                                      \
                const VEC p = LOAD(y + n * O, i, O), q = LOAD(t + n * O, i, O), v = c ? LOAD(c, i, O) : zero;                  \
                VEC term, slope;                                                                                               \
                BODY                                                                                                           \
                acc[j] += F(select)(F(live)(O - i), term, zero);                                                               \
                if (dy) STORE(dy + n * O, i, O, slope * f);                                                                    \
                (void)v;                                                                                                       \
            }                                                                                                                  \
            l[n] = F(sum_panel)(acc) / (REAL)divisor;                                                                          \
        }                                                                                                                      \
        (void)one;                                                                                                             \
    }

COLUMN_LOSS(absolute_error, 1, , {
    const VEC d = p - q;
    term = F(abs)(d);
    slope = F(select)(d > 0, one, F(select)(d < 0, -one, d));
})

COLUMN_LOSS(huber_error, 1,
    const VEC delta = F(all)((REAL)s[0]); const VEC scale = F(all)((REAL)s[1]); const VEC half = F(all)((REAL)0.5);, {
    const VEC d = p - q;
    const VEC a = F(abs)(d);
    term = scale * F(select)(a <= delta, half * d * d, delta * (a - half * delta));
    slope = scale * F(select)(d > delta, delta, F(select)(d < -delta, -delta, d));
})

COLUMN_LOSS(quantile_error, 1, , {
    const VEC d = q - p;
    term = F(select)(d > 0, v * d, (v - one) * d);
    slope = F(select)(d > 0, -v, F(select)(d < 0, one - v, d));
})

COLUMN_LOSS(poisson_error, 1,
    const VEC eps = F(all)((REAL)s[0]); const VEC half = F(all)((REAL)0.5); const VEC turn = F(all)((REAL)1.8378770664093453);
    const int log_input = k[1] != 0; const int full = k[2] != 0;, {
    if (log_input) {
        const VEC e = F(exp)(p);
        term = e - F(select)(q == 0, q, q * p);
        slope = e - q;
    } else {
        const VEC rate = p + eps;
        term = p - F(select)(q == 0, q, q * F(log)(rate));
        slope = one - q / rate;
    }
    if (full) {
        const VEC log_q = F(log)(q);
        term += F(select)(q > 1, (q * log_q - q) + half * (log_q + turn), zero);
    }
})

COLUMN_LOSS(tweedie_error, 1,
    const double power = s[0]; const VEC eps = F(all)((REAL)s[1]); const int log_input = k[2] != 0;
    const VEC a = F(all)((REAL)(2 - power)); const VEC b = F(all)((REAL)(1 - power));
    const VEC over_a = F(all)((REAL)(1 / (2 - power))); const VEC over_b = F(all)((REAL)(1 / (1 - power)));, {
    const VEC mu = log_input ? p : F(at_least)(eps, p);
    const VEC z = log_input ? p : F(log)(mu);
    const VEC up = F(exp)(a * z);
    const VEC down = F(exp)(b * z);
    const VEC pull = F(select)(q == 0, q, q * down);
    if (power == 1) term = up - F(select)(q == 0, q, q * z);
    else if (power == 2) term = z + pull;
    else term = up * over_a - pull * over_b;
    slope = up - pull;
    if (!log_input) slope = slope / mu;
})

COLUMN_LOSS(hinge_error, 1, const VEC margin = F(all)((REAL)s[0]); const int squared = k[1] != 0;, {
    const VEC h = F(positive)(margin - q * p);
    term = squared ? h * h : h;
    slope = F(select)(h > 0, squared ? -(h + h) * q : -q, zero);
})

COLUMN_LOSS(hinge_embedding_error, 1, const VEC margin = F(all)((REAL)s[0]);, {
    const VEC h = F(positive)(margin - p);
    term = F(select)(q > 0, p, h);
    slope = F(select)(q > 0, one, F(select)(h > 0, -one, zero));
})

COLUMN_LOSS(kl_divergence, !k[1], const int log_target = k[0] != 0;, {
    const VEC share = log_target ? F(exp)(q) : q;
    const VEC log_q = log_target ? q : F(log)(q);
    term = F(select)(share == 0, share, share * (log_q - p));
    slope = -share;
})

COLUMN_LOSS(weighted_binary_cross_entropy_logits, 1, , {
    const VEC rest = F(softplus_rest)(p);
    const VEC yes = v * q;
    const VEC no = one - q;
    term = yes * (F(positive)(-p) + rest) + no * (F(positive)(p) + rest);
    slope = no * F(sigmoid)(p) - yes * F(sigmoid)(-p);
})

COLUMN_LOSS(sigmoid_focal, 1,
    const REAL gamma = (REAL)s[0]; const int weighs = s[1] >= 0;
    const VEC alpha = F(all)((REAL)s[1]); const VEC beta = F(all)((REAL)(1 - s[1]));, {
    const VEC yes = F(sigmoid)(p);
    const VEC no = F(sigmoid)(-p);
    const VEC near = F(softplus_rest)(p);
    const VEC absent = one - q;
    const VEC b = q * (F(positive)(-p) + near) + absent * (F(positive)(p) + near);
    const VEC m = yes * absent + no * q;
    const VEC focus = (weighs ? alpha * q + beta * absent : one) * F(power_of)(m, gamma);
    const VEC ratio = F(select)(m > 0, yes * no / m, m);
    term = focus * b;
    slope = focus * ((absent * yes - q * no) + F(all)(gamma) * b * (one - (q + q)) * ratio);
})

/* a row of y: O means, then O variances or their logarithms */
static void F(gaussian_nll)(const REAL *y, const REAL *t, LOSS_ARGS) {
    const ptrdiff_t divisor = mean && O > 0 ? O : 1;
    const REAL common = F(common_factor)(w, N, mean);
    const int full = k[1] != 0, log_variance = k[2] != 0;
    const VEC one = F(all)(1), zero = F(all)(0), half = F(all)((REAL)0.5), eps = F(all)((REAL)s[0]),
              rest = F(all)((REAL)(full ? 0.91893853320467267 : 0.0));
    for (ptrdiff_t n = lo; n < hi; n++) {
        const REAL *means = y + n * 2 * O, *variances = means + O;
        const VEC f = F(all)(FACTOR * (REAL)(1.0 / divisor));
        VEC acc[NV];
        for (int j = 0; j < NV; j++) acc[j] = zero;
        EACH_COLUMN {
            const VEC d = LOAD(means, i, O) - LOAD(t + n * O, i, O), given = LOAD(variances, i, O);
            const VEC v = F(at_least)(eps, given), precision = log_variance ? F(exp)(-given) : one / v;
            const VEC distance = F(select)(d == 0, d, d * (d * precision)), log_v = log_variance ? given : F(log)(v);
            VEC term = half * (log_v + distance), slope = half * (one - distance);
            if (full) term = term + rest;
            acc[j] += F(select)(F(live)(O - i), term, zero);
            if (!dy) continue;
            STORE(dy + n * 2 * O, i, O, F(select)(d == 0, d, d * precision) * f);
            STORE(dy + n * 2 * O + O, i, O, (log_variance ? slope : slope * precision) * f);
        }
        l[n] = F(sum_panel)(acc) / (REAL)divisor;
    }
    (void)c;
}

/* y = exp(x - m) except 0 at place `label`, and the sum of it */
INLINE REAL F(others_exp_sum)(const REAL *x, REAL m, ptrdiff_t label, REAL *y, ptrdiff_t O) {
    VEC acc[NV];
    for (int j = 0; j < NV; j++) acc[j] = F(all)(0);
    EACH_COLUMN {
        VEC e = F(select)(F(live)(O - i), F(exp)(LOAD(x, i, O) - m), F(all)(0));
        if (label >= i && label < i + W) e[label - i] = 0;
        if (y) STORE(y, i, O, e);
        acc[j] += e;
    }
    return F(sum_panel)(acc);
}

static void F(softmax_focal)(const REAL *y, const int64_t *t, LOSS_ARGS) {
    const REAL common = F(common_factor)(w, N, mean), gamma = (REAL)s[0];
    for (ptrdiff_t n = lo; n < hi; n++) {
        const REAL *z = y + n * O, m = F(row_max)(z, O), shift = z[t[n]] - m;
        REAL *d = dy ? dy + n * O : NULL;
        const REAL others = F(others_exp_sum)(z, m, t[n], d, O), own = F(exp)(F(all)(shift))[0], sum = own + others;
        const REAL log_p = shift == 0 ? -F(log1p)(F(all)(others))[0] : shift - F(log_one)(sum);
        const REAL chosen = own / sum, missed = others / sum, focus = F(power_of)(F(all)(missed), gamma)[0];
        l[n] = focus * -log_p;
        if (!d) continue;
        const REAL ratio = missed > 0 ? chosen * -log_p / missed : missed == missed ? 1 : missed;
        const REAL factor = focus * (1 + gamma * ratio) * FACTOR;
        const VEC f = F(all)(factor);
        EACH_COLUMN STORE(d, i, O, LOAD(d, i, O) / sum * f);
        d[t[n]] = -missed * factor;
    }
    (void)c; (void)k;
}

static void F(multi_margin)(const REAL *y, const int64_t *t, LOSS_ARGS) {
    const REAL common = F(common_factor)(w, N, mean), share = (REAL)(1.0 / (O > 0 ? O : 1));
    const VEC margin = F(all)((REAL)s[0]), zero = F(all)(0), one = F(all)(1);
    const int squared = k[1] == 2;
    for (ptrdiff_t n = lo; n < hi; n++) {
        const REAL *z = y + n * O, own = c ? c[t[n]] * share : share;
        const VEC start = margin - z[t[n]], f = F(all)(own * FACTOR);
        REAL *d = dy ? dy + n * O : NULL;
        VEC acc[NV], slopes[NV];
        for (int j = 0; j < NV; j++) acc[j] = slopes[j] = zero;
        EACH_COLUMN {
            VEC h = F(select)(F(live)(O - i), F(positive)(start + LOAD(z, i, O)), zero);
            if (t[n] >= i && t[n] < i + W) h[t[n] - i] = 0;
            const VEC slope = squared ? h + h : F(select)(h > 0, one, zero);
            acc[j] += squared ? h * h : h;
            slopes[j] += slope;
            if (d) STORE(d, i, O, slope * f);
        }
        l[n] = F(sum_panel)(acc) * own;
        if (d) d[t[n]] = -F(sum_panel)(slopes) * f[0];
    }
}
#undef LOAD
#undef STORE
#undef FACTOR
#undef LOSS_ARGS
#undef EACH_COLUMN
#undef COLUMN_LOSS
