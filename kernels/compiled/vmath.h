/* exp, expm1, log, log1p, erfc and what activations make of them, on vectors of one level.

   float32: exp, sigmoid, tanh, softplus and gelu are computed in float32; functions whose relative error would grow there (logarithms,
   erf) go through float64, which takes five times as long and gives the correctly rounded float but for rare ties.
   float64: within a few ULP. Accuracy measured by tests/kernels/test_accuracy.py; figures in docs/accuracy.md. */
#ifndef VV_VMATH_H
#define VV_VMATH_H
#include "simd.h"

/* --- exp: x = n ln 2 + r, |r| <= ln 2 / 2; exp x = 2^n (1 + r + r² p(r)). 2^n is applied in two halves, so that subnormal results
   are rounded once. Bounds keep n in range; NaN passes through the comparisons. Coefficients: Cephes expf; Taylor for double. */
INLINE vec_f32 round_f32(vec_f32 x, int_f32 *n) {
    const vec_f32 magic = all_f32(12582912.0f);  /* 1.5 2^23: adding it leaves the nearest integer in the low bits */
    vec_f32 t = x + magic;
    *n = (int_f32)t - (int_f32)magic;
    return t - magic;
}
INLINE vec_f64 round_f64(vec_f64 x, int_f64 *n) {
    const vec_f64 magic = all_f64(6755399441055744.0);
    vec_f64 t = x + magic;
    *n = (int_f64)t - (int_f64)magic;
    return t - magic;
}
INLINE vec_f32 expm1_near_f32(vec_f32 r) {
    vec_f32 p = all_f32(1.9875691500e-4f);
    p = fma_f32(p, r, all_f32(1.3981999507e-3f));
    p = fma_f32(p, r, all_f32(8.3334519073e-3f));
    p = fma_f32(p, r, all_f32(4.1665795894e-2f));
    p = fma_f32(p, r, all_f32(1.6666665459e-1f));
    p = fma_f32(p, r, all_f32(5.0000001201e-1f));
    return fma_f32(p, r * r, r);
}
INLINE vec_f32 expm1_core_f32(vec_f32 x, int_f32 *n) {
    vec_f32 k = round_f32(x * 1.44269504f, n);
    return expm1_near_f32(fma_f32(-k, all_f32(-2.12194440e-4f), fma_f32(-k, all_f32(0.693359375f), x)));
}
INLINE vec_f64 expm1_core_f64(vec_f64 x, int_f64 *n) {
    static const double c[12] = {1.0 / 6227020800, 1.0 / 479001600, 1.0 / 39916800, 1.0 / 3628800, 1.0 / 362880, 1.0 / 40320,
                                 1.0 / 5040, 1.0 / 720, 1.0 / 120, 1.0 / 24, 1.0 / 6, 1.0 / 2};
    vec_f64 k = round_f64(x * 1.4426950408889634, n);
    vec_f64 r = fma_f64(-k, all_f64(6.93147180369123816490e-01), x);
    r = fma_f64(-k, all_f64(1.90821492927058770002e-10), r);
    vec_f64 p = all_f64(c[0]);
    for (int i = 1; i < 12; i++) p = fma_f64(p, r, all_f64(c[i]));
    return fma_f64(p, r * r, r);
}
#define DEFINE_EXP(T, LOW, HIGH, BIAS, BITS)                                                                                   \
    INLINE vec_##T exp_parts_##T(vec_##T x, int_##T *n) { /* exp x = y 2^n */                                                  \
        x = at_least_##T(all_##T(LOW), x);                                                                                     \
        x = at_most_##T(all_##T(HIGH), x);                                                                                     \
        return all_##T(1) + expm1_core_##T(x, n);                                                                              \
    }                                                                                                                          \
    INLINE vec_##T times_power_##T(vec_##T y, int_##T n) { /* y 2^n */                                                         \
        int_##T half = n >> 1;                                                                                                 \
        return y * (vec_##T)((half + BIAS) << BITS) * (vec_##T)((n - half + BIAS) << BITS);                                    \
    }                                                                                                                          \
    INLINE vec_##T exp_##T(vec_##T x) {                                                                                        \
        int_##T n;                                                                                                             \
        vec_##T y = exp_parts_##T(x, &n);                                                                                      \
        return times_power_##T(y, n);                                                                                          \
    }                                                                                                                          \
    INLINE vec_##T silu_##T(vec_##T x) { /* x times sigmoid, scaled last: sigmoid may be subnormal where the product is not */ \
        x = at_least_##T(all_##T(LOW), x); /* there the product is -0 already */                                               \
        int_##T n, negative = x < 0;                                                                                           \
        vec_##T y = exp_parts_##T(-abs_##T(x), &n), e = times_power_##T(y, n);                                                 \
        vec_##T z = x * select_##T(negative, y, all_##T(1)) / (all_##T(1) + e);                                                \
        return times_power_##T(z, n & negative);                                                                               \
    }
DEFINE_EXP(f32, -110.0f, 100.0f, 127, 23)
DEFINE_EXP(f64, -760.0, 720.0, 1023, 52)

/* --- expm1 for x <= 0: 2^n (exp r - 1) + (2^n - 1) */
INLINE vec_f32 expm1_f32(vec_f32 x) {
    x = at_least_f32(all_f32(-60.0f), x);
    int_f32 n;
    vec_f32 q = expm1_core_f32(x, &n), s = (vec_f32)((n + 127) << 23);
    return fma_f32(s, q, s - 1.0f);
}
INLINE vec_f64 expm1_f64(vec_f64 x) {
    x = at_least_f64(all_f64(-60.0), x);
    int_f64 n;
    vec_f64 q = expm1_core_f64(x, &n), s = (vec_f64)((n + 1023) << 52);
    return fma_f64(s, q, s - 1.0);
}

/* --- sigmoid = (x >= 0 ? 1 : e) / (1 + e), e = exp(-|x|). For small e, e - e (e / (1 + e)) is equal and loses less to the rounding
   of 1 + e: 1.7 instead of 2.3 ULP. */
INLINE vec_f32 sigmoid_f32(vec_f32 x) {
    int_f32 negative = x < 0.0f;
    vec_f32 e = exp_f32(-abs_f32(x)), q = select_f32(negative, e, all_f32(1.0f)) / (1.0f + e);
    return select_f32(negative & (e < 0.4f), fma_f32(-e, q, e), q);
}
INLINE vec_f64 sigmoid_f64(vec_f64 x) {
    vec_f64 e = exp_f64(-abs_f64(x));
    return select_f64(x < 0.0, e, all_f64(1.0)) / (1.0 + e);
}

/* --- tanh. float: an odd polynomial (Cephes) below 0.625, 1 - 2 / (exp 2|x| + 1) above, which is 1 from 9.02 on: the bound leaves an
   exponent that one multiplication applies. double: -m / (2 + m), m = expm1(-2|x|) */
INLINE vec_f32 tanh_f32(vec_f32 x) {
    vec_f32 a = abs_f32(x), z = x * x;
    int_f32 n;
    vec_f32 most = at_most_f32(all_f32(9.5f), a), y = 1.0f + expm1_core_f32(most + most, &n);
    vec_f32 big = 1.0f - 2.0f / (y * (vec_f32)((n + 127) << 23) + 1.0f);
    vec_f32 p = all_f32(-5.70498872745e-3f);
    p = fma_f32(p, z, all_f32(2.06390887954e-2f));
    p = fma_f32(p, z, all_f32(-5.37397155531e-2f));
    p = fma_f32(p, z, all_f32(1.33314422036e-1f));
    p = fma_f32(p, z, all_f32(-3.33332819422e-1f));
    return copysign_f32(select_f32(a < 0.625f, fma_f32(p * z, x, x), big), x); /* the sign of x = -0 would be lost in the sum */
}
INLINE vec_f64 tanh_f64(vec_f64 x) {
    vec_f64 a = abs_f64(x), m = expm1_f64(-2.0 * a);
    return copysign_f64(-m / (2.0 + m), x);
}

/* --- log: x = 2^k m, sqrt(1/2) <= m < sqrt 2, f = m - 1, s = f / (2 + f); log m = f - f²/2 + s (f²/2 + R(s²)). Coefficients: fdlibm */
INLINE vec_f64 log_f64(vec_f64 x) {
    int_f64 tiny = x < 2.2250738585072014e-308;
    vec_f64 scaled = select_f64(tiny, x * 18014398509481984.0, x);  /* 2^54 brings subnormals into range */
    int_f64 bits = (int_f64)((bits_f64)scaled - 0x3fe6a09e667f3bcdULL);  /* sqrt(1/2); unsigned: those of a negative x would overflow */
    int_f64 k = (bits >> 52) - (tiny & 54);
    vec_f64 f = (vec_f64)((bits & 0x000fffffffffffffLL) + 0x3fe6a09e667f3bcdLL) - 1.0;
    vec_f64 s = f / (2.0 + f), z = s * s, h = 0.5 * f * f;
    static const double c[7] = {1.479819860511658591e-01, 1.531383769920937332e-01, 1.818357216161805012e-01, 2.222219843214978396e-01,
                                2.857142874366239149e-01, 3.999999999940941908e-01, 6.666666666666735130e-01};
    vec_f64 r = all_f64(c[0]);
    for (int i = 1; i < 7; i++) r = fma_f64(r, z, all_f64(c[i]));
    vec_f64 n = __builtin_convertvector(k, vec_f64);
    vec_f64 y = n * 6.93147180369123816490e-01 - ((h - fma_f64(s, h + r * z, n * 1.90821492927058770002e-10)) - f);
    y = select_f64(x == 0.0, all_f64(-INFINITY), y);
    y = select_f64(x == INFINITY, x, y);
    return select_f64((x < 0.0) | (x != x), all_f64(NAN), y);
}
/* log(1 + x) for x >= -1: the rounding of 1 + x is given back */
INLINE vec_f64 log1p_f64(vec_f64 x) {
    vec_f64 u = 1.0 + x;
    vec_f64 lost = (x - (u - 1.0)) / u;
    return log_f64(u) + select_f64((u == 0.0) | (u == INFINITY), all_f64(0.0), lost);
}
/* --- softplus = max(x, 0) + log(1 + e), e = exp(-|x|). float: with s = e / (2 + e) the logarithm is e - s (e - R(s²)), whose error is that
   of e where e is small; R by least squares, 6e-10 of the result. `lost`: what e lost to the rounding of 1 + q, to first order. */
INLINE vec_f64 softplus_rest_f64(vec_f64 x) { return log1p_f64(exp_f64(-abs_f64(x))); }
INLINE vec_f32 softplus_on_f32(vec_f32 base, vec_f32 x) { /* base + log(1 + e), the larger e added last */
    int_f32 n;
    vec_f32 q = expm1_core_f32(at_least_f32(all_f32(-110.0f), -abs_f32(x)), &n), y = 1.0f + q, e = times_power_f32(y, n);
    vec_f32 s = e / (2.0f + e), z = s * s, r = all_f32(0.232456237f);
    r = fma_f32(r, z, all_f32(0.21701853f));
    r = fma_f32(r, z, all_f32(0.285926849f));
    r = fma_f32(r, z, all_f32(0.399996996f));
    r = fma_f32(r, z, all_f32(0.666666687f));
    vec_f32 lost = (q - (y - 1.0f)) * e * (2.0f - y) * (1.0f - 0.5f * e);
    return e + (base - fma_f32(s, fma_f32(-r, z, e), -lost));
}
INLINE vec_f32 softplus_rest_f32(vec_f32 x) { return softplus_on_f32(all_f32(0), x); }
INLINE vec_f64 softplus_f64(vec_f64 x) { return at_least_f64(all_f64(0), x) + softplus_rest_f64(x); }
INLINE vec_f32 softplus_f32(vec_f32 x) { return softplus_on_f32(at_least_f32(all_f32(0), x), x); }

/* --- erfc x = exp(-x²) P(t) / (1 + 2x), t = (x - 3.75) / (x + 3.75), for x >= 0. The form: Shepherd and Laframboise 1981; P of degree 22
   is the Chebyshev interpolant on 0..28, relative error 1.2e-16. `square` is x² as a sum high + low. */
INLINE vec_f64 erfc_scaled_f64(vec_f64 x) {
    static const double c[23] = {
        -2.4108215365422332e-09, -8.782125734803521e-10, 3.285083556233316e-08, 1.5996335215573707e-08, -2.5261465267715506e-07,
        -4.815839621672849e-08, 1.7481190468391965e-06, -9.801666755858578e-07, -1.1442990926805438e-05, 2.2387259638230133e-05,
        5.1648913469599865e-05, -0.00029015496529570924, 0.00029371366631088616, 0.001755626017152004, -0.009746579553431873,
        0.028362277400457724, -0.05869339859030941, 0.09230432116153116, -0.10880393014171236, 0.08227673849011204,
        0.003585415485463779, -0.1402405985855467, 1.2375126308378275};
    x = select_f64(x > 28.0, all_f64(28.0), x);
    vec_f64 t = (x - 3.75) / (x + 3.75), p = all_f64(c[0]);
    for (int i = 1; i < 23; i++) p = fma_f64(p, t, all_f64(c[i]));
    return p / (1.0 + 2.0 * x);
}
/* x² - h, where h is x² rounded */
#if VV_AVX512 || VV_AVX2 || defined(__FP_FAST_FMA)
INLINE vec_f64 square_rest_f64(vec_f64 x, vec_f64 h) { return fma_f64(x, x, -h); }
INLINE vec_f32 square_rest_f32(vec_f32 x, vec_f32 h) { return fma_f32(x, x, -h); }
#else /* Veltkamp's splitting */
#define SPLIT_SQUARE(T, FACTOR)                                                                                                \
    INLINE vec_##T square_rest_##T(vec_##T x, vec_##T h) {                                                                     \
        vec_##T c = x * FACTOR, hi = c - (c - x), lo = x - hi;                                                                 \
        return ((hi * hi - h) + 2 * hi * lo) + lo * lo;                                                                        \
    }
SPLIT_SQUARE(f64, 134217729.0)
SPLIT_SQUARE(f32, 4097.0f)
#undef SPLIT_SQUARE
#endif
/* exp(-scale x²) for scale 1 or 1/2 */
INLINE vec_f64 gauss_f64(vec_f64 x, double scale) {
    x = select_f64(abs_f64(x) > 40.0, all_f64(40.0), x);
    vec_f64 h = x * x;
    return exp_f64(-scale * h) * (1.0 - scale * square_rest_f64(x, h));
}
INLINE vec_f64 erf_f64(vec_f64 x) {
    static const double c[13] = {5.957176147748911e-11, -1.1372848856791674e-09, 1.4659775274047436e-08, -1.6350312701054695e-07,
                                 1.6461000484121368e-06, -1.4925595266831182e-05, 0.0001205533111164271, -0.000854832698083379,
                                 0.0052239776248180145, -0.026866170645076792, 0.11283791670954879, -0.3761263890318375, 1.1283791670955126};
    vec_f64 a = abs_f64(x), z = x * x, p = all_f64(c[0]);
    for (int i = 1; i < 13; i++) p = fma_f64(p, z, all_f64(c[i]));
    vec_f64 big = copysign_f64(1.0 - gauss_f64(a, 1.0) * erfc_scaled_f64(a), x);
    return select_f64(x != x, x, select_f64(a < 1.0, x * p, big));
}
/* the normal distribution: its integral up to x, and its density */
INLINE vec_f64 normal_cdf_f64(vec_f64 x) {
    vec_f64 tail = 0.5 * gauss_f64(x, 0.5) * erfc_scaled_f64(abs_f64(x) * 0.70710678118654752440);
    return select_f64(x != x, x, select_f64(x < 0.0, tail, 1.0 - tail));
}
INLINE vec_f64 normal_pdf_f64(vec_f64 x) { return gauss_f64(x, 0.5) * 0.39894228040143267794; }

/* --- activations of their input, one vector at a time. An infinite x times a vanishing factor is zero, not NaN. */
INLINE vec_f64 gelu_f64(vec_f64 x) { return select_f64(x == -INFINITY, all_f64(-0.0), x * normal_cdf_f64(x)); }
INLINE vec_f64 gelu_slope_f64(vec_f64 x) {
    vec_f64 bump = x * normal_pdf_f64(x);
    return normal_cdf_f64(x) + select_f64(abs_f64(x) == INFINITY, all_f64(0.0), bump);
}
/* float: 1 - Φ(a) = E a top / bottom for 0 <= a <= 16, E = exp(-a²/2) = (1 + q) 2^n. top and bottom share a top, so that its rounding
   is nothing where bottom is nearly sqrt(2π) a top; least squares, 1e-9 relative. What a² loses to rounding is given back to q. */
typedef struct { vec_f32 a, q, top, scaled, bottom; int_f32 n; } normal_tail;
INLINE normal_tail normal_tail_f32(vec_f32 x) {
    normal_tail t;
    const vec_f32 a = at_most_f32(all_f32(16), abs_f32(x)), h = a * a, k = round_f32(h * -0.72134752f, &t.n);
    vec_f32 r = fma_f32(-k, all_f32(0.693359375f), -0.5f * h);
    r = fma_f32(-k, all_f32(-2.12194440e-4f), r);
    t.q = expm1_near_f32(fma_f32(all_f32(-0.5f), square_rest_f32(a, h), r));
    vec_f32 p = all_f32(0.00125893485f), b = all_f32(0.00315597304f);
    p = fma_f32(p, a, all_f32(0.0150225954f));
    p = fma_f32(p, a, all_f32(0.0858117491f));
    p = fma_f32(p, a, all_f32(0.283878654f));
    p = fma_f32(p, a, all_f32(0.543730974f));
    b = fma_f32(b, a, all_f32(0.0376411974f));
    b = fma_f32(b, a, all_f32(0.20911555f));
    b = fma_f32(b, a, all_f32(0.632032275f));
    t.a = a, t.top = fma_f32(p, a, all_f32(0.5f)), t.scaled = fma_f32(p, h, 0.5f * a);
    t.bottom = 1.0f + fma_f32(t.scaled, all_f32(2.50662827f), a * b);
    return t;
}
/* max(x, 0) - a (1 - Φ(a)), a = |x|: at most 3.1 ULP, and a fifth of the time that the way through double takes */
INLINE vec_f32 gelu_f32(vec_f32 x) {
    normal_tail t = normal_tail_f32(x);
    vec_f32 m = t.scaled / t.bottom;
    return copysign_f32(at_least_f32(all_f32(0), x) - times_power_f32(fma_f32(t.q, m, m), t.n), x);
}
INLINE vec_f32 gelu_slope_f32(vec_f32 x) {
    normal_tail t = normal_tail_f32(x);
    vec_f32 m = fma_f32(all_f32(-0.39894228f), t.a, t.top / t.bottom), rest = times_power_f32(fma_f32(t.q, m, m), t.n);
    return select_f32(x < 0, rest, 1.0f - rest);
}
INLINE vec_f64 silu_slope_f64(vec_f64 x) {
    vec_f64 s = sigmoid_f64(x);
    return select_f64(abs_f64(x) == INFINITY, s, s * (1.0 + x * (1.0 - s)));
}
INLINE vec_f32 silu_slope_f32(vec_f32 x) {
    vec_f32 s = sigmoid_f32(x);
    return select_f32(abs_f32(x) == INFINITY, s, s * (1.0f + x * (1.0f - s)));
}
#define DEFINE_THROUGH_DOUBLE(NAME)                                                                                            \
    INLINE vec_f32 NAME##_f32(vec_f32 x) {                                                                                     \
        vec_f64 lo, hi;                                                                                                        \
        widen(x, &lo, &hi);                                                                                                    \
        return narrow(NAME##_f64(lo), NAME##_f64(hi));                                                                         \
    }
DEFINE_THROUGH_DOUBLE(log)
DEFINE_THROUGH_DOUBLE(log1p)
DEFINE_THROUGH_DOUBLE(erf)
#endif
