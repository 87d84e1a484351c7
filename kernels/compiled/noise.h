/* Noise by counter-based random numbers; see reference/noise.py for which bits an element takes. */
#ifndef VV_NOISE_H
#define VV_NOISE_H
#include "philox.h"
#include "vmath.h"

/* sin and cos of 2 pi t for 0 <= t < 1: t = q / 4 + r, |r| <= 1/8, Taylor series in 2 pi r (errors below 1e-17), then the quadrant */
INLINE void turn_f64(vec_f64 t, vec_f64 *sine, vec_f64 *cosine) {
    int_f64 q;
    const vec_f64 r = (t - 0.25 * round_f64(t * 4.0, &q)) * 6.283185307179586476925, z = r * r;
    static const double s[8] = {-1.0 / 1307674368000, 1.0 / 6227020800, -1.0 / 39916800, 1.0 / 362880, -1.0 / 5040, 1.0 / 120, -1.0 / 6, 1};
    static const double c[8] = {-1.0 / 87178291200, 1.0 / 479001600, -1.0 / 3628800, 1.0 / 40320, -1.0 / 720, 1.0 / 24, -0.5, 1};
    vec_f64 a = all_f64(s[0]), b = all_f64(c[0]);
    for (int i = 1; i < 8; i++) {
        a = fma_f64(a, z, all_f64(s[i]));
        b = fma_f64(b, z, all_f64(c[i]));
    }
    a *= r;
    const int_f64 odd = -(q & 1), flip_sine = -((q >> 1) & 1), flip_cosine = -(((q + 1) >> 1) & 1);
    const vec_f64 u = select_f64(odd, b, a), v = select_f64(odd, a, b);
    *sine = select_f64(flip_sine, -u, u);
    *cosine = select_f64(flip_cosine, -v, v);
}

/* 64 standard normal numbers from 16 counters, by Box and Muller; word w of counter i stands in bits[8 i + 2 w .. + 1] */
static void vv_normals(const uint16_t bits[128], double z[64]) {
    double first[32], second[32];
    for (int i = 0; i < 32; i++) {
        first[i] = (double)((uint32_t)bits[4 * i] | (uint32_t)bits[4 * i + 1] << 16);
        second[i] = (double)((uint32_t)bits[4 * i + 2] | (uint32_t)bits[4 * i + 3] << 16);
    }
    const double unit = 1.0 / 4294967296.0;
    for (int i = 0; i < 32; i += W_f64) {
        vec_f64 sine, cosine, radius = sqrt_f64(-2.0 * log_f64((load_f64(first + i) + 1.0) * unit));
        turn_f64(load_f64(second + i) * unit, &sine, &cosine);
        sine *= radius;
        cosine *= radius;
        for (int j = 0; j < W_f64; j++) { z[2 * (i + j)] = cosine[j]; z[2 * (i + j) + 1] = sine[j]; }
    }
}

#define DEFINE_NOISE(T, REAL)                                                                                                  \
    static void gaussian_noise_##T(const REAL *x, REAL *y, ptrdiff_t I, ptrdiff_t lo, ptrdiff_t hi, REAL std, uint64_t key,    \
                                   uint32_t op, uint32_t step) {                                                               \
        uint16_t bits[128];                                                                                                    \
        double z[64];                                                                                                          \
        for (ptrdiff_t n = lo; n < hi; n++)                                                                                    \
            for (ptrdiff_t i = 0; i < I; i += 64) {                                                                            \
                philox_columns(key, (uint32_t)(i / 4), (uint32_t)n, op, step, bits);                                           \
                vv_normals(bits, z);                                                                                           \
                const ptrdiff_t have = I - i < 64 ? I - i : 64;                                                                \
                for (ptrdiff_t j = 0; j < have; j++) y[n * I + i + j] = x[n * I + i + j] + std * (REAL)z[j];                   \
            }                                                                                                                  \
    }                                                                                                                          \
    /* the slope below 0 of each element; dy NULL: y = slope x, else y = dy slope */                                           \
    static void rrelu_##T(const REAL *x, const REAL *dy, REAL *y, ptrdiff_t I, ptrdiff_t lo, ptrdiff_t hi, double lower,       \
                          double upper, uint64_t key, uint32_t op, uint32_t step) {                                            \
        uint16_t bits[128];                                                                                                    \
        const REAL low = (REAL)lower, span = (REAL)(upper - lower);                                                            \
        for (ptrdiff_t n = lo; n < hi; n++)                                                                                    \
            for (ptrdiff_t i = 0; i < I; i += 128) {                                                                           \
                philox_columns(key, (uint32_t)(i / 8), (uint32_t)n, op, step, bits);                                           \
                const ptrdiff_t have = I - i < 128 ? I - i : 128, at = n * I + i;                                              \
                for (ptrdiff_t j = 0; j < have; j++) {                                                                         \
                    const REAL slope = low + span * (REAL)((bits[j] + 0.5) / 65536), v = x[at + j];                            \
                    y[at + j] = dy ? dy[at + j] * (v > 0 ? 1 : slope) : (v > 0 ? v : slope * v);                               \
                }                                                                                                              \
            }                                                                                                                  \
    }
DEFINE_NOISE(f32, float)
DEFINE_NOISE(f64, double)
#endif
