/* The most multiply-adds that one core does: independent chains in registers, no memory, nothing else. The ruler of the benchmarks.

   Chains side by side: more than the multiply-add's latency times its pipes (4 cycles x 2 on Zen 4 and on Intel's server cores),
   fewer than the registers. x <- a x + b with 0 <= a < 1 stays finite and normal, and the compiler may neither drop nor join chains,
   because they start differently and all of them count in the result. */
#if VV_AVX512
#define CHAINS 24
#else
#define CHAINS 12
#endif
static __attribute__((noinline)) REAL F(multiply_adds)(ptrdiff_t rounds, REAL a, REAL b) {
    VEC x[CHAINS], va = F(all)(a), vb = F(all)(b);
#pragma GCC unroll 32
    for (int i = 0; i < CHAINS; i++) x[i] = F(all)((REAL)i);
    for (ptrdiff_t k = 0; k < rounds; k++)
#pragma GCC unroll 32
        for (int i = 0; i < CHAINS; i++) x[i] = F(fma)(x[i], va, vb);
#pragma GCC unroll 32
    for (int i = 1; i < CHAINS; i++) x[0] += x[i];
    return x[0][0];
}
/* Floating-point operations of a round: a multiplication and an addition per lane and chain. */
enum { F(round_flops) = 2 * CHAINS * VV_BYTES / (int)sizeof(REAL) };
#undef CHAINS
