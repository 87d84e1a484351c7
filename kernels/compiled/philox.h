/* Philox4x32-10 (Salmon et al. 2011): random bits as a function of a key and a counter. */
#ifndef VV_PHILOX_H
#define VV_PHILOX_H
#include "simd.h"

/* The product of the low 32 bits of each lane; what stands above them does not matter. */
#if VV_AVX512
INLINE int_f64 low_product(int_f64 a, int_f64 b) { return (int_f64)_mm512_mul_epu32((__m512i)a, (__m512i)b); }
#elif VV_AVX2
INLINE int_f64 low_product(int_f64 a, int_f64 b) { return (int_f64)_mm256_mul_epu32((__m256i)a, (__m256i)b); }
#elif defined(__SSE2__)
INLINE int_f64 low_product(int_f64 a, int_f64 b) { return (int_f64)_mm_mul_epu32((__m128i)a, (__m128i)b); }
#else
INLINE int_f64 low_product(int_f64 a, int_f64 b) { return (a & 0xffffffffLL) * (b & 0xffffffffLL); }
#endif
INLINE int_f64 high_half(int_f64 a) { return (int_f64)((bits_f64)a >> 32); }

/* The counters first..first+15 (in word 0) at once: of counter i words 0 and 1 in [2 i], 2 and 3 in [2 i + 1], the first of each below.
   A counter's words stay in lanes of 64 bits, whose upper halves are left dirty: narrowing them every round took four fifths of the time. */
static void philox_words(uint64_t key, uint32_t first, uint32_t row, uint32_t op, uint32_t step, uint64_t words[32]) {
    enum { SETS = 16 / W_f64 < 4 ? 16 / W_f64 : 4 }; /* side by side: a product takes five cycles */
    const int_f64 m0 = (int_f64){0} + 0xD2511F53LL, m1 = (int_f64){0} + 0xCD9E8D57LL;
    for (int i = 0; i < 16; i += SETS * W_f64) {
        int_f64 c0[SETS], c1[SETS], c2[SETS], c3[SETS];
        for (int s = 0; s < SETS; s++) {
            for (int j = 0; j < W_f64; j++) c0[s][j] = (uint32_t)(first + i + s * W_f64 + j);
            c1[s] = (int_f64){0} + (int64_t)row, c2[s] = (int_f64){0} + (int64_t)op, c3[s] = (int_f64){0} + (int64_t)step;
        }
        uint32_t k0 = (uint32_t)key, k1 = (uint32_t)(key >> 32);
        for (int round = 0; round < 10; round++) {
#pragma GCC unroll 4
            for (int s = 0; s < SETS; s++) {
                const int_f64 a = low_product(c0[s], m0), b = low_product(c2[s], m1);
                c0[s] = high_half(b) ^ c1[s] ^ (int64_t)k0;
                c2[s] = high_half(a) ^ c3[s] ^ (int64_t)k1;
                c1[s] = b;
                c3[s] = a;
            }
            k0 += 0x9E3779B9u;
            k1 += 0xBB67AE85u;
        }
        for (int s = 0; s < SETS; s++) {
            const int_f64 low = (c0[s] & 0xffffffffLL) | (c1[s] << 32), high = (c2[s] & 0xffffffffLL) | (c3[s] << 32);
            uint64_t *const to = words + 2 * (i + s * W_f64);
            for (int j = 0; j < W_f64; j++) { to[2 * j] = (uint64_t)low[j]; to[2 * j + 1] = (uint64_t)high[j]; }
        }
    }
}

/* The same as 128 values of 16 bits, in the order of dropout's columns. */
static void philox_columns(uint64_t key, uint32_t first, uint32_t row, uint32_t op, uint32_t step, uint16_t bits[128]) {
    uint64_t words[32];
    philox_words(key, first, row, op, step, words);
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    memcpy(bits, words, sizeof words);
#else
    for (int i = 0; i < 128; i++) bits[i] = (uint16_t)(words[i / 4] >> (16 * (i % 4)));
#endif
}

/* y = x times 65536 / (65536 - threshold) where 16 random bits reach the threshold, else 0; rows lo..hi of width I */
#define DEFINE_DROPOUT(T, REAL)                                                                                                \
    static void dropout_##T(const REAL *x, REAL *y, ptrdiff_t I, ptrdiff_t lo, ptrdiff_t hi, double p, uint64_t key,           \
                            uint32_t op, uint32_t step) {                                                                      \
        const uint32_t threshold = (uint32_t)floor(65536.0 * p + 0.5);                                                         \
        const REAL factor = threshold < 65536 ? (REAL)(65536.0 / (65536 - threshold)) : 0;                                     \
        uint16_t bits[128];                                                                                                    \
        for (ptrdiff_t n = lo; n < hi; n++)                                                                                    \
            for (ptrdiff_t i = 0; i < I; i += 128) {                                                                           \
                philox_columns(key, (uint32_t)(i / 8), (uint32_t)n, op, step, bits);                                           \
                const ptrdiff_t have = I - i < 128 ? I - i : 128;                                                              \
                const REAL *from = x + n * I + i;                                                                              \
                REAL *to = y + n * I + i;                                                                                      \
                for (ptrdiff_t j = 0; j < have; j++) to[j] = bits[j] >= threshold ? from[j] * factor : 0;                      \
            }                                                                                                                  \
    }
DEFINE_DROPOUT(f32, float)
DEFINE_DROPOUT(f64, double)
#endif
