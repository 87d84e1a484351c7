/* The loops of maps.h for one type, and log-softmax. */
#include "lanes.h"
#define DEFINE_LOOPS(NAME, VALUE, SLOPE)                                                                                       \
    static void F(NAME##_map)(const REAL *x, REAL *y, ptrdiff_t n, REAL alpha, REAL beta) {                                    \
        const VEC a = F(all)(alpha), b = F(all)(beta), zero = F(all)(0), one = F(all)(1);                                      \
        (void)a, (void)b, (void)zero, (void)one;                                                                               \
        EACH(i, n) { VEC v = LOAD(x, i, n); STORE(y, i, n, VALUE); }                                                           \
    }                                                                                                                          \
    static void F(NAME##_slope_map)(const REAL *x, const REAL *dy, REAL *dx, ptrdiff_t n, REAL alpha, REAL beta) {             \
        const VEC a = F(all)(alpha), b = F(all)(beta), zero = F(all)(0), one = F(all)(1);                                      \
        (void)a, (void)b, (void)zero, (void)one;                                                                               \
        EACH(i, n) { VEC v = LOAD(x, i, n); STORE(dx, i, n, LOAD(dy, i, n) * (SLOPE)); }                                       \
    }
VV_MAPS(DEFINE_LOOPS)
#undef DEFINE_LOOPS

static void F(log_softmax_row)(const REAL *x, REAL *y, ptrdiff_t n) {
    const REAL m = F(row_max)(x, n), s = F(row_exp_sum)(x, m, NULL, n), logs = F(log_one)(s);
    EACH(i, n) STORE(y, i, n, (LOAD(x, i, n) - m) - logs);
}
static void F(log_softmax_backward_row)(const REAL *y, const REAL *dy, REAL *dx, ptrdiff_t n) {
    const REAL s = F(row_sum)(dy, n);
    EACH(i, n) STORE(dx, i, n, LOAD(dy, i, n) - F(exp)(LOAD(y, i, n)) * s);
}
#include "lanes_end.h"
