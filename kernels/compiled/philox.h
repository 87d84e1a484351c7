/* Philox4x32-10 (Salmon et al. 2011): random bits as a function of a key and a counter. */
#ifndef VV_PHILOX_H
#define VV_PHILOX_H
#include "simd.h"

INLINE void philox(uint64_t key, uint32_t c[4]) {
    uint32_t k0 = (uint32_t)key, k1 = (uint32_t)(key >> 32);
    for (int round = 0; round < 10; round++) {
        uint64_t a = (uint64_t)c[0] * 0xD2511F53u, b = (uint64_t)c[2] * 0xCD9E8D57u;
        uint32_t c0 = (uint32_t)(b >> 32) ^ c[1] ^ k0, c2 = (uint32_t)(a >> 32) ^ c[3] ^ k1;
        c[1] = (uint32_t)b;
        c[3] = (uint32_t)a;
        c[0] = c0;
        c[2] = c2;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
}

/* The counters first..first+15 (in word 0) at once, as 128 values of 16 bits in the order of dropout's columns: the loops over 16
   counters have a form that compilers turn into vector code. */
static void philox_columns(uint64_t key, uint32_t first, uint32_t row, uint32_t op, uint32_t step, uint16_t bits[128]) {
    uint32_t c0[16], c1[16], c2[16], c3[16];
    uint32_t k0 = (uint32_t)key, k1 = (uint32_t)(key >> 32);
    for (int i = 0; i < 16; i++) { c0[i] = first + i; c1[i] = row; c2[i] = op; c3[i] = step; }
    for (int round = 0; round < 10; round++) {
        for (int i = 0; i < 16; i++) {
            uint64_t a = (uint64_t)c0[i] * 0xD2511F53u, b = (uint64_t)c2[i] * 0xCD9E8D57u;
            c0[i] = (uint32_t)(b >> 32) ^ c1[i] ^ k0;
            c2[i] = (uint32_t)(a >> 32) ^ c3[i] ^ k1;
            c1[i] = (uint32_t)b;
            c3[i] = (uint32_t)a;
        }
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    for (int i = 0; i < 16; i++) {
        bits[8 * i + 0] = (uint16_t)c0[i]; bits[8 * i + 1] = (uint16_t)(c0[i] >> 16);
        bits[8 * i + 2] = (uint16_t)c1[i]; bits[8 * i + 3] = (uint16_t)(c1[i] >> 16);
        bits[8 * i + 4] = (uint16_t)c2[i]; bits[8 * i + 5] = (uint16_t)(c2[i] >> 16);
        bits[8 * i + 6] = (uint16_t)c3[i]; bits[8 * i + 7] = (uint16_t)(c3[i] >> 16);
    }
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
