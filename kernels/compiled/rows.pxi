# --- rows
cdef extern from "kernels.h" nogil:
    void gather_rows_f32(const float*, const int64_t*, float*, Py_ssize_t, Py_ssize_t, Py_ssize_t)
    void gather_rows_f64(const double*, const int64_t*, double*, Py_ssize_t, Py_ssize_t, Py_ssize_t)


ctypedef fused any_real:
    float
    double


cdef void gather(const any_real* x, const int64_t* index, real* y, Py_ssize_t I, Py_ssize_t lo, Py_ssize_t hi) noexcept nogil:
    cdef Py_ssize_t n, i
    cdef const any_real* row
    for n in range(lo, hi):
        row = x + index[n] * I
        for i in range(I):
            y[n * I + i] = <real>row[i]


cdef inline void gather_wide(vv_args* a, Py_ssize_t I, Py_ssize_t lo, Py_ssize_t hi) noexcept nogil:
    cdef const int64_t* index = <const int64_t*>a.buf[1]
    if a.real == 0 and a.source == 0:
        gather_rows_f32(<float*>a.buf[0], index, <float*>a.buf[2], I, lo, hi)
    elif a.real == 0:
        gather(<double*>a.buf[0], index, <float*>a.buf[2], I, lo, hi)
    elif a.source == 0:
        gather(<float*>a.buf[0], index, <double*>a.buf[2], I, lo, hi)
    else:
        gather_rows_f64(<double*>a.buf[0], index, <double*>a.buf[2], I, lo, hi)


cdef void gather_rows_entry(vv_args* a, Py_ssize_t lo, Py_ssize_t hi) noexcept nogil:
    gather_wide(a, a.dim[1], lo, hi)


cdef void gather_weights_entry(vv_args* a, Py_ssize_t lo, Py_ssize_t hi) noexcept nogil:
    gather_wide(a, 1, lo, hi)


cdef void gather_labels_entry(vv_args* a, Py_ssize_t lo, Py_ssize_t hi) noexcept nogil:
    cdef Py_ssize_t n
    for n in range(lo, hi):
        (<int64_t*>a.buf[2])[n] = (<int64_t*>a.buf[0])[(<int64_t*>a.buf[1])[n]]


cdef int64_t argmax(const real* x, Py_ssize_t C) noexcept nogil:
    cdef Py_ssize_t c, best = 0
    for c in range(C):
        if x[c] != x[c]:
            return c
        if x[c] > x[best]:
            best = c
    return best


cdef void argmax_rows_entry(vv_args* a, Py_ssize_t lo, Py_ssize_t hi) noexcept nogil:
    cdef Py_ssize_t n, C = a.dim[2]
    cdef int64_t* y = <int64_t*>a.buf[1]
    for n in range(lo, hi):
        y[n] = argmax(<float*>a.buf[0] + n * C, C) if a.real == 0 else argmax(<double*>a.buf[0] + n * C, C)


cdef extern from "order.h" nogil:
    void vv_order(int64_t*, Py_ssize_t, uint64_t, uint32_t)


cdef void permutation_entry(vv_args* a, Py_ssize_t lo, Py_ssize_t hi) noexcept nogil:
    vv_order(<int64_t*>a.buf[0], a.dim[0], <uint64_t>a.k[0], <uint32_t>a.k[1])


define("gather_rows", gather_rows_entry)
define("gather_weights", gather_weights_entry)
define("gather_labels", gather_labels_entry)
define("argmax_rows", argmax_rows_entry)
define("permutation", permutation_entry)
