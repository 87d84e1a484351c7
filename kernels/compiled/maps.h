/* Activations of one element of their input: the table. MAP(name, value, slope), as expressions of v (a vector of the input), the
   parameters a and b, one and zero. Loops: maps_rows.h; what is called: maps_entries.h; formulas and sources: reference/maps.py.

   Functions whose relative error would grow in float32 are computed in float64 and rounded once. */
#ifndef VV_MAPS_H
#define VV_MAPS_H
#include "vmath.h"

INLINE vec_f64 negative_f64(vec_f64 x) { return at_most_f64(all_f64(0), x); }
INLINE vec_f32 negative_f32(vec_f32 x) { return at_most_f32(all_f32(0), x); }

INLINE vec_f64 celu_f64(vec_f64 x, vec_f64 a) { return select_f64(x > 0, x, a * expm1_f64(negative_f64(x) / a)); }
INLINE vec_f64 celu_slope_f64(vec_f64 x, vec_f64 a) { return select_f64(x > 0, all_f64(1), exp_f64(negative_f64(x) / a)); }

INLINE vec_f64 softplus_beta_f64(vec_f64 x, vec_f64 a, vec_f64 b) { return select_f64(a * x > b, x, softplus_f64(a * x) / a); }
INLINE vec_f64 softplus_beta_slope_f64(vec_f64 x, vec_f64 a, vec_f64 b) {
    return select_f64(a * x > b, all_f64(1), sigmoid_f64(a * x));
}

/* beyond ±40 the function is x or 0 */
INLINE vec_f64 cut_f64(vec_f64 x, double low, double high) {
    return at_most_f64(all_f64(high), at_least_f64(all_f64(low), x));
}
INLINE vec_f64 gelu_tanh_sigmoid_f64(vec_f64 x) { return sigmoid_f64(2 * 0.79788456080286535588 * (x + 0.044715 * (x * x * x))); }
INLINE vec_f64 gelu_tanh_f64(vec_f64 x) {
    vec_f64 c = cut_f64(x, -40, 40);
    return select_f64(x > 40, x, c) * gelu_tanh_sigmoid_f64(c);
}
INLINE vec_f64 gelu_tanh_slope_f64(vec_f64 x) {
    x = cut_f64(x, -40, 40);
    vec_f64 s = gelu_tanh_sigmoid_f64(x);
    return s + x * s * (1 - s) * (2 * 0.79788456080286535588 * (1 + 3 * 0.044715 * (x * x)));
}

/* tanh(log(1 + exp x)) = n / d, n = q² + 2 q, d = n + 2, q = exp x; for x >= 0 both divided by q². e = exp(-|x|). */
INLINE vec_f64 mish_parts_f64(vec_f64 x, vec_f64 *e, vec_f64 *d) {
    int_f64 above = x >= 0;
    *e = exp_f64(-abs_f64(x));
    *d = select_f64(above, 1 + 2 * *e * (1 + *e), *e * (*e + 2) + 2);
    return select_f64(above, 1 + 2 * *e, *e * (*e + 2));
}
INLINE vec_f64 mish_f64(vec_f64 x) {
    vec_f64 e, d, c = at_least_f64(all_f64(-760), x), n = mish_parts_f64(c, &e, &d);
    return c * (n / d);
}
INLINE vec_f64 mish_slope_f64(vec_f64 x) {
    x = cut_f64(x, -760, 760);
    vec_f64 e, d, n = mish_parts_f64(x, &e, &d);
    return n / d + x * 4 * select_f64(x >= 0, e * e, e) * (1 + e) / (d * d);
}

/* Lambert's continued fraction: x - tanh x = x z / (D + z), D = 3 + z / (5 + ... / 31), z = x² <= 4: no difference of near numbers */
INLINE vec_f64 tanhshrink_f64(vec_f64 x) {
    vec_f64 a = abs_f64(x), z = x * x, top = all_f64(31), bottom = all_f64(1);
    z = at_most_f64(all_f64(4), z);
    for (int odd = 29; odd > 1; odd -= 2) {
        vec_f64 next = (double)odd * top + z * bottom;
        bottom = top;
        top = next;
    }
    return select_f64(a < 2, x * (z * bottom / (top + z * bottom)), x - tanh_f64(x));
}
INLINE vec_f64 tanhshrink_slope_f64(vec_f64 x) { vec_f64 t = tanh_f64(x); return t * t; }

#define DEFINE_WIDE(NAME, PARAMETERS, LOW, HIGH, WIDEN)                                                                        \
    INLINE vec_f32 NAME##_f32 PARAMETERS {                                                                                     \
        vec_f64 lo, hi;                                                                                                        \
        widen(x, &lo, &hi);                                                                                                    \
        WIDEN;                                                                                                                 \
        return narrow(NAME##_f64 LOW, NAME##_f64 HIGH);                                                                        \
    }
#define DEFINE_WIDE_0(NAME) DEFINE_WIDE(NAME, (vec_f32 x), (lo), (hi), )
#define DEFINE_WIDE_1(NAME) DEFINE_WIDE(NAME, (vec_f32 x, vec_f32 a), (lo, p), (hi, p), vec_f64 p = all_f64(a[0]))
#define DEFINE_WIDE_2(NAME)                                                                                                    \
    DEFINE_WIDE(NAME, (vec_f32 x, vec_f32 a, vec_f32 b), (lo, p, q), (hi, p, q), vec_f64 p = all_f64(a[0]); vec_f64 q = all_f64(b[0]))
DEFINE_WIDE_1(celu)
DEFINE_WIDE_1(celu_slope)
DEFINE_WIDE_2(softplus_beta)
DEFINE_WIDE_2(softplus_beta_slope)
DEFINE_WIDE_0(gelu_tanh)
DEFINE_WIDE_0(gelu_tanh_slope)
DEFINE_WIDE_0(mish)
DEFINE_WIDE_0(mish_slope)
DEFINE_WIDE_0(tanhshrink)
DEFINE_WIDE_0(tanhshrink_slope)

#define SELU_SCALE ((REAL)1.0507009873554804934193349852946)
#define SELU_BELOW ((REAL)(1.0507009873554804934193349852946 * 1.6732632423543772848170429916717))
#define CUT(x, low, high) F(at_least)(low, F(at_most)(high, x))
#define SIX (zero + 6)

#define VV_MAPS(MAP)                                                                                                           \
    MAP(selu, F(select)(v > 0, SELU_SCALE * v, SELU_BELOW * F(expm1)(F(negative)(v))),                                         \
        F(select)(v > 0, zero + SELU_SCALE, SELU_BELOW * F(exp)(F(negative)(v))))                                              \
    MAP(celu, F(celu)(v, a), F(celu_slope)(v, a))                                                                              \
    MAP(gelu_tanh, F(gelu_tanh)(v), F(gelu_tanh_slope)(v))                                                                     \
    MAP(mish, F(mish)(v), F(mish_slope)(v))                                                                                    \
    MAP(hardswish, v * (CUT(v + 3, zero, SIX) / 6), F(select)(v <= -3, zero, F(select)(v >= 3, one, v / 3 + (REAL)0.5)))       \
    MAP(hardsigmoid, CUT(v + 3, zero, SIX) / 6, F(select)((v > -3) & (v < 3), one / 6, zero))                                  \
    MAP(hardtanh, CUT(v, a, b), F(select)((v > a) & (v < b), one, zero))                                                       \
    MAP(log_sigmoid, -F(softplus)(-v), F(sigmoid)(-v))                                                                         \
    MAP(softplus_beta, F(softplus_beta)(v, a, b), F(softplus_beta_slope)(v, a, b))                                             \
    MAP(softsign, v / (1 + F(abs)(v)), (one / (1 + F(abs)(v))) * (one / (1 + F(abs)(v))))                                      \
    MAP(softshrink, F(select)(F(abs)(v) <= a, zero, v - F(copysign)(a, v)), F(select)(F(abs)(v) <= a, zero, one))              \
    MAP(hardshrink, F(select)(F(abs)(v) <= a, zero, v), F(select)(F(abs)(v) <= a, zero, one))                                  \
    MAP(tanhshrink, F(tanhshrink)(v), F(tanhshrink_slope)(v))                                                                  \
    MAP(threshold, F(select)(v <= a, b, v), F(select)(v > a, one, zero))
#endif
