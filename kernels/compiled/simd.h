/* Vectors of one level: the native width, the few operations that C's vector extensions lack, and nothing else.

   vec_f32 / vec_f64 are native vectors (64 bytes on v4, 32 on v3, 16 elsewhere); int_f32 / int_f64 the integer vectors of the
   same lanes, which comparisons give (all ones where true). A panel of 64 bytes is NV native vectors on every level: its lanes
   are the virtual width that lane reductions use, so their order of additions is the same on every level. */
#ifndef VV_SIMD_H
#define VV_SIMD_H
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512DQ__) && defined(__AVX512VL__)
#define VV_AVX512 1
#define VV_BYTES 64
#include <immintrin.h>
#elif defined(__AVX2__) && defined(__FMA__)
#define VV_AVX2 1
#define VV_BYTES 32
#include <immintrin.h>
#else
#define VV_BYTES 16
#if defined(__SSE2__)
#include <emmintrin.h>
#endif
#endif
#define NV (64 / VV_BYTES)
#define INLINE static inline __attribute__((always_inline))

typedef float vec_f32 __attribute__((vector_size(VV_BYTES)));
typedef double vec_f64 __attribute__((vector_size(VV_BYTES)));
typedef int32_t int_f32 __attribute__((vector_size(VV_BYTES)));
typedef int64_t int_f64 __attribute__((vector_size(VV_BYTES)));
typedef uint32_t bits_f32 __attribute__((vector_size(VV_BYTES)));
typedef uint64_t bits_f64 __attribute__((vector_size(VV_BYTES)));
typedef float half_f32 __attribute__((vector_size(VV_BYTES / 2)));
#define W_f32 (VV_BYTES / 4)
#define W_f64 (VV_BYTES / 8)

INLINE vec_f32 load_f32(const float *p) { vec_f32 v; memcpy(&v, p, VV_BYTES); return v; }
INLINE vec_f64 load_f64(const double *p) { vec_f64 v; memcpy(&v, p, VV_BYTES); return v; }
INLINE void store_f32(float *p, vec_f32 v) { memcpy(p, &v, VV_BYTES); }
INLINE void store_f64(double *p, vec_f64 v) { memcpy(p, &v, VV_BYTES); }
INLINE vec_f32 all_f32(float a) { return a - (vec_f32){0}; }
INLINE vec_f64 all_f64(double a) { return a - (vec_f64){0}; }

/* Part of a vector: the first n lanes, 0 <= n <= W; absent lanes read as zero and are not written. */
#if VV_AVX512
INLINE vec_f32 load_part_f32(const float *p, long n) { return (vec_f32)_mm512_maskz_loadu_ps((__mmask16)((1u << n) - 1), p); }
INLINE vec_f64 load_part_f64(const double *p, long n) { return (vec_f64)_mm512_maskz_loadu_pd((__mmask8)((1u << n) - 1), p); }
INLINE void store_part_f32(float *p, vec_f32 v, long n) { _mm512_mask_storeu_ps(p, (__mmask16)((1u << n) - 1), (__m512)v); }
INLINE void store_part_f64(double *p, vec_f64 v, long n) { _mm512_mask_storeu_pd(p, (__mmask8)((1u << n) - 1), (__m512d)v); }
#elif VV_AVX2
static const int32_t vv_lanes[16] = {-1, -1, -1, -1, -1, -1, -1, -1};
INLINE __m256i vv_mask(long words) { return _mm256_loadu_si256((const __m256i *)(vv_lanes + 8 - words)); }
INLINE vec_f32 load_part_f32(const float *p, long n) { return (vec_f32)_mm256_maskload_ps(p, vv_mask(n)); }
INLINE vec_f64 load_part_f64(const double *p, long n) { return (vec_f64)_mm256_maskload_pd(p, vv_mask(2 * n)); }
INLINE void store_part_f32(float *p, vec_f32 v, long n) { _mm256_maskstore_ps(p, vv_mask(n), (__m256)v); }
INLINE void store_part_f64(double *p, vec_f64 v, long n) { _mm256_maskstore_pd(p, vv_mask(2 * n), (__m256d)v); }
#else
INLINE vec_f32 load_part_f32(const float *p, long n) { vec_f32 v = {0}; for (long i = 0; i < n; i++) v[i] = p[i]; return v; }
INLINE vec_f64 load_part_f64(const double *p, long n) { vec_f64 v = {0}; for (long i = 0; i < n; i++) v[i] = p[i]; return v; }
INLINE void store_part_f32(float *p, vec_f32 v, long n) { for (long i = 0; i < n; i++) p[i] = v[i]; }
INLINE void store_part_f64(double *p, vec_f64 v, long n) { for (long i = 0; i < n; i++) p[i] = v[i]; }
#endif

/* at_least: x < low ? low : x ;  at_most: x > high ? high : x ;  NaN and the sign of a zero pass, as the instructions' second operand does.
   exp, tanh and sigmoid take a fifth less time with the instruction than with comparison and masks.

   fma: a b + c with one rounding where the level has it; baseline rounds twice and is exempt from bit promises. */
#if VV_AVX512
INLINE vec_f32 fma_f32(vec_f32 a, vec_f32 b, vec_f32 c) { return (vec_f32)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c); }
INLINE vec_f64 fma_f64(vec_f64 a, vec_f64 b, vec_f64 c) { return (vec_f64)_mm512_fmadd_pd((__m512d)a, (__m512d)b, (__m512d)c); }
INLINE vec_f32 sqrt_f32(vec_f32 a) { return (vec_f32)_mm512_sqrt_ps((__m512)a); }
INLINE vec_f64 sqrt_f64(vec_f64 a) { return (vec_f64)_mm512_sqrt_pd((__m512d)a); }
#define CUTS(T, BITS, UNIT) \
    INLINE vec_##T at_least_##T(vec_##T low, vec_##T x) { return (vec_##T)_mm512_max_##BITS((UNIT)low, (UNIT)x); } \
    INLINE vec_##T at_most_##T(vec_##T high, vec_##T x) { return (vec_##T)_mm512_min_##BITS((UNIT)high, (UNIT)x); }
CUTS(f32, ps, __m512)
CUTS(f64, pd, __m512d)
#elif VV_AVX2
INLINE vec_f32 fma_f32(vec_f32 a, vec_f32 b, vec_f32 c) { return (vec_f32)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c); }
INLINE vec_f64 fma_f64(vec_f64 a, vec_f64 b, vec_f64 c) { return (vec_f64)_mm256_fmadd_pd((__m256d)a, (__m256d)b, (__m256d)c); }
INLINE vec_f32 sqrt_f32(vec_f32 a) { return (vec_f32)_mm256_sqrt_ps((__m256)a); }
INLINE vec_f64 sqrt_f64(vec_f64 a) { return (vec_f64)_mm256_sqrt_pd((__m256d)a); }
#define CUTS(T, BITS, UNIT) \
    INLINE vec_##T at_least_##T(vec_##T low, vec_##T x) { return (vec_##T)_mm256_max_##BITS((UNIT)low, (UNIT)x); } \
    INLINE vec_##T at_most_##T(vec_##T high, vec_##T x) { return (vec_##T)_mm256_min_##BITS((UNIT)high, (UNIT)x); }
CUTS(f32, ps, __m256)
CUTS(f64, pd, __m256d)
#else
#if defined(__FP_FAST_FMAF) /* a level that has the instruction without a name of ours: AArch64 */
INLINE vec_f32 fma_f32(vec_f32 a, vec_f32 b, vec_f32 c) { for (int i = 0; i < W_f32; i++) c[i] = __builtin_fmaf(a[i], b[i], c[i]); return c; }
INLINE vec_f64 fma_f64(vec_f64 a, vec_f64 b, vec_f64 c) { for (int i = 0; i < W_f64; i++) c[i] = __builtin_fma(a[i], b[i], c[i]); return c; }
#else
INLINE vec_f32 fma_f32(vec_f32 a, vec_f32 b, vec_f32 c) { return a * b + c; }
INLINE vec_f64 fma_f64(vec_f64 a, vec_f64 b, vec_f64 c) { return a * b + c; }
#endif
INLINE vec_f32 sqrt_f32(vec_f32 a) { for (int i = 0; i < W_f32; i++) a[i] = __builtin_sqrtf(a[i]); return a; }
INLINE vec_f64 sqrt_f64(vec_f64 a) { for (int i = 0; i < W_f64; i++) a[i] = __builtin_sqrt(a[i]); return a; }
#endif

/* m ? a : b for a mask of all ones or all zeros. */
INLINE vec_f32 select_f32(int_f32 m, vec_f32 a, vec_f32 b) { return (vec_f32)((m & (int_f32)a) | (~m & (int_f32)b)); }
INLINE vec_f64 select_f64(int_f64 m, vec_f64 a, vec_f64 b) { return (vec_f64)((m & (int_f64)a) | (~m & (int_f64)b)); }

/* y + t y, zero where x is infinite */
INLINE vec_f32 fma_unless_infinite_f32(vec_f32 x, vec_f32 t, vec_f32 y) {
#if VV_AVX512 /* GCC 12 makes two instructions of it */
    return (vec_f32)_mm512_maskz_fmadd_ps(_mm512_cmp_ps_mask((__m512)x, _mm512_set1_ps(INFINITY), _CMP_NEQ_UQ), (__m512)t, (__m512)y, (__m512)y);
#else
    return select_f32(x == INFINITY, (vec_f32){0}, fma_f32(t, y, y));
#endif
}
INLINE vec_f64 fma_unless_infinite_f64(vec_f64 x, vec_f64 t, vec_f64 y) { return select_f64(x == INFINITY, (vec_f64){0}, fma_f64(t, y, y)); }
#ifndef CUTS
#define CUTS(T)                                                                                                                \
    INLINE vec_##T at_least_##T(vec_##T low, vec_##T x) { return select_##T(x < low, low, x); }                                \
    INLINE vec_##T at_most_##T(vec_##T high, vec_##T x) { return select_##T(x > high, high, x); }
CUTS(f32)
CUTS(f64)
#endif
#undef CUTS
INLINE vec_f32 abs_f32(vec_f32 a) { return (vec_f32)((int_f32)a & 0x7fffffff); }
INLINE vec_f64 abs_f64(vec_f64 a) { return (vec_f64)((int_f64)a & 0x7fffffffffffffffLL); }
INLINE vec_f32 copysign_f32(vec_f32 a, vec_f32 s) { return (vec_f32)(((int_f32)a & 0x7fffffff) | ((int_f32)s & (int32_t)0x80000000)); }
INLINE vec_f64 copysign_f64(vec_f64 a, vec_f64 s) { return (vec_f64)(((int_f64)a & INT64_MAX) | ((int_f64)s & INT64_MIN)); }

/* a with zeros for subnormal numbers: by its bits, since processors take up to a hundred times as long to compute with them */
#if VV_AVX512
enum { VV_ZERO_OR_SUBNORMAL = 0x26 }; /* of vfpclass: either zero, or subnormal */
INLINE vec_f32 flushed_f32(vec_f32 a) {
    return (vec_f32)_mm512_mask_mov_ps((__m512)a, _mm512_fpclass_ps_mask((__m512)a, VV_ZERO_OR_SUBNORMAL), _mm512_setzero_ps());
}
INLINE vec_f64 flushed_f64(vec_f64 a) {
    return (vec_f64)_mm512_mask_mov_pd((__m512d)a, _mm512_fpclass_pd_mask((__m512d)a, VV_ZERO_OR_SUBNORMAL), _mm512_setzero_pd());
}
#else
INLINE vec_f32 flushed_f32(vec_f32 a) { return (vec_f32)((int_f32)a & ~(((int_f32)a & 0x7fffffff) < 0x00800000)); }
INLINE vec_f64 flushed_f64(vec_f64 a) { return (vec_f64)((int_f64)a & ~(((int_f64)a & INT64_MAX) < 0x0010000000000000LL)); }
#endif

/* One float vector as two double vectors, and back: functions whose accuracy in float needs the wider type. */
#if VV_AVX512 /* GCC 12 converts halves of halves */
INLINE void widen(vec_f32 x, vec_f64 *lo, vec_f64 *hi) {
    *lo = (vec_f64)_mm512_cvtps_pd(_mm512_castps512_ps256((__m512)x));
    *hi = (vec_f64)_mm512_cvtps_pd(_mm512_extractf32x8_ps((__m512)x, 1));
}
INLINE vec_f32 narrow(vec_f64 lo, vec_f64 hi) {
    return (vec_f32)_mm512_insertf32x8(_mm512_castps256_ps512(_mm512_cvtpd_ps((__m512d)lo)), _mm512_cvtpd_ps((__m512d)hi), 1);
}
#else
INLINE void widen(vec_f32 x, vec_f64 *lo, vec_f64 *hi) {
    half_f32 h[2];
    memcpy(h, &x, VV_BYTES);
    *lo = __builtin_convertvector(h[0], vec_f64);
    *hi = __builtin_convertvector(h[1], vec_f64);
}
INLINE vec_f32 narrow(vec_f64 lo, vec_f64 hi) {
    half_f32 h[2] = {__builtin_convertvector(lo, half_f32), __builtin_convertvector(hi, half_f32)};
    vec_f32 x;
    memcpy(&x, h, VV_BYTES);
    return x;
}
#endif
/* a vector of either type, in double */
INLINE void doubles_f32(const float *p, vec_f64 *d) { widen(load_f32(p), d, d + 1); }
INLINE void doubles_f64(const double *p, vec_f64 *d) { *d = load_f64(p); }

/* Sum or maximum over one panel of 64 bytes held as NV vectors: halves are joined until one lane is left, so the tree over the
   lanes is the same whatever the native width. NaN wins the maximum. */
#define SUM_OF(T, a, b) ((a) + (b))
#define MAX_OF(T, a, b) select_##T(((a) > (b)) | ((a) != (a)), a, b)
#define JOIN_LANES(T, STEP, JOIN)                                                                                              \
    if (W_##T > STEP) {                                                                                                        \
        int_##T up;                                                                                                            \
        for (int i = 0; i < W_##T; i++) up[i] = (i + STEP) % W_##T;                                                            \
        vec_##T b = __builtin_shuffle(a, up);                                                                                  \
        a = JOIN(T, a, b);                                                                                                     \
    }
#define DEFINE_REDUCE(T, REAL, NAME, JOIN)                                                                                     \
    INLINE REAL NAME##_panel_##T(const vec_##T *v) {                                                                           \
        vec_##T part[NV];                                                                                                      \
        for (int j = 0; j < NV; j++) part[j] = v[j];                                                                           \
        for (int h = NV / 2; h > 0; h /= 2)                                                                                    \
            for (int j = 0; j < h; j++) part[j] = JOIN(T, part[j], part[j + h]);                                               \
        vec_##T a = part[0];                                                                                                   \
        JOIN_LANES(T, 8, JOIN)                                                                                                 \
        JOIN_LANES(T, 4, JOIN)                                                                                                 \
        JOIN_LANES(T, 2, JOIN)                                                                                                 \
        JOIN_LANES(T, 1, JOIN)                                                                                                 \
        return a[0];                                                                                                           \
    }
DEFINE_REDUCE(f32, float, sum, SUM_OF)
DEFINE_REDUCE(f64, double, sum, SUM_OF)
DEFINE_REDUCE(f32, float, max, MAX_OF)
DEFINE_REDUCE(f64, double, max, MAX_OF)
#endif
