"""The instruction-set level of this CPU, nothing else. Compiled without extensions, so it runs anywhere."""

cdef extern from *:
    """
    #if defined(__x86_64__)
    static int vv_cpu_level(void) {
        __builtin_cpu_init();  /* checks the operating system's support of the registers as well */
        if (!(__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2"))) return 0;
        if (!(__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512cd")
              && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))) return 3;
        return 4;
    }
    #else
    static int vv_cpu_level(void) { return 0; }
    #endif
    """
    int vv_cpu_level() nogil


def level():
    """0 (baseline), 3 (AVX2 and FMA) or 4 (AVX-512)."""
    return vv_cpu_level()
