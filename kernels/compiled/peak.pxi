# --- peak: what the benchmarks measure speeds against; no kernel, and nothing of training calls it.
cdef extern from "kernels.h" nogil:
    float multiply_adds_f32(Py_ssize_t, float, float)
    double multiply_adds_f64(Py_ssize_t, double, double)
    enum:
        round_flops_f32
        round_flops_f64


def multiply_adds(dtype, Py_ssize_t rounds):
    """`rounds` rounds of multiply-adds in registers, without the GIL: (floating-point operations done, the sum of the chains' ends).

    Every chain is x <- x / 2 + 1, which goes to 2: the sum is twice the number of chains when they have all been run.
    """
    cdef bint single = dtype == "float32"
    cdef double end
    if not single and dtype != "float64":
        raise ValueError(f"dtype must be 'float32' or 'float64', got {dtype!r}")
    with nogil:
        end = multiply_adds_f32(rounds, 0.5, 1.0) if single else multiply_adds_f64(rounds, 0.5, 1.0)
    return rounds * (round_flops_f32 if single else round_flops_f64), end
