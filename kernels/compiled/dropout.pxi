# --- dropout
cdef extern from "kernels.h" nogil:
    void dropout_f32(const float*, float*, Py_ssize_t, Py_ssize_t, Py_ssize_t, double, uint64_t, uint32_t, uint32_t)
    void dropout_f64(const double*, double*, Py_ssize_t, Py_ssize_t, Py_ssize_t, double, uint64_t, uint32_t, uint32_t)
    void philox_words(uint64_t, uint32_t, uint32_t, uint32_t, uint32_t, uint64_t*)


cdef void dropout_entry(vv_args* a, Py_ssize_t lo, Py_ssize_t hi) noexcept nogil:
    if a.real == 0:
        dropout_f32(<float*>a.buf[0], <float*>a.buf[1], a.dim[1], lo, hi, a.s[0], <uint64_t>a.k[1], <uint32_t>a.k[2], <uint32_t>a.k[3])
    else:
        dropout_f64(<double*>a.buf[0], <double*>a.buf[1], a.dim[1], lo, hi, a.s[0], <uint64_t>a.k[1], <uint32_t>a.k[2], <uint32_t>a.k[3])


define("dropout_forward", dropout_entry)
define("dropout_backward", dropout_entry)
