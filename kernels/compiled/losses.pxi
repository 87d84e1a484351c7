# --- losses
cdef extern from "kernels.h" nogil:
    void squared_error_f32(const float*, const float*, const float*, float*, float*, Py_ssize_t, Py_ssize_t, Py_ssize_t, Py_ssize_t, int)
    void squared_error_f64(const double*, const double*, const double*, double*, double*, Py_ssize_t, Py_ssize_t, Py_ssize_t, Py_ssize_t, int)
    void softmax_cross_entropy_soft_f32(const float*, const float*, const float*, float*, float*, Py_ssize_t, Py_ssize_t, Py_ssize_t, Py_ssize_t, int)
    void softmax_cross_entropy_soft_f64(const double*, const double*, const double*, double*, double*, Py_ssize_t, Py_ssize_t, Py_ssize_t, Py_ssize_t, int)
    void cross_entropy_f32(const float*, const int64_t*, const float*, float*, float*, Py_ssize_t, Py_ssize_t, Py_ssize_t, Py_ssize_t, int)
    void cross_entropy_f64(const double*, const int64_t*, const double*, double*, double*, Py_ssize_t, Py_ssize_t, Py_ssize_t, Py_ssize_t, int)
    void cross_entropy_soft_f32(const float*, const float*, const float*, float*, float*, Py_ssize_t, Py_ssize_t, Py_ssize_t, Py_ssize_t, int)
    void cross_entropy_soft_f64(const double*, const double*, const double*, double*, double*, Py_ssize_t, Py_ssize_t, Py_ssize_t, Py_ssize_t, int)
    void binary_cross_entropy_f32(const float*, const float*, const float*, float*, float*, Py_ssize_t, Py_ssize_t, Py_ssize_t, Py_ssize_t, int)
    void binary_cross_entropy_f64(const double*, const double*, const double*, double*, double*, Py_ssize_t, Py_ssize_t, Py_ssize_t, Py_ssize_t, int)
    void binary_cross_entropy_logits_f32(const float*, const float*, const float*, float*, float*, Py_ssize_t, Py_ssize_t, Py_ssize_t, Py_ssize_t, int)
    void binary_cross_entropy_logits_f64(const double*, const double*, const double*, double*, double*, Py_ssize_t, Py_ssize_t, Py_ssize_t, Py_ssize_t, int)
    void softmax_cross_entropy_f32(const float*, const int64_t*, const float*, const float*, float*, float*, Py_ssize_t, Py_ssize_t, Py_ssize_t, Py_ssize_t, float, int)
    void softmax_cross_entropy_f64(const double*, const int64_t*, const double*, const double*, double*, double*, Py_ssize_t, Py_ssize_t, Py_ssize_t, Py_ssize_t, double, int)


cdef void squared_error_entry(vv_args* a, Py_ssize_t lo, Py_ssize_t hi) noexcept nogil:
    if a.real == 0:
        squared_error_f32(<float*>a.buf[0], <float*>a.buf[1], <float*>a.buf[2], <float*>a.buf[3], <float*>a.buf[4],
            a.dim[0], a.dim[2], lo, hi, <int>a.k[0])
    else:
        squared_error_f64(<double*>a.buf[0], <double*>a.buf[1], <double*>a.buf[2], <double*>a.buf[3], <double*>a.buf[4],
            a.dim[0], a.dim[2], lo, hi, <int>a.k[0])


cdef void softmax_cross_entropy_soft_entry(vv_args* a, Py_ssize_t lo, Py_ssize_t hi) noexcept nogil:
    if a.real == 0:
        softmax_cross_entropy_soft_f32(<float*>a.buf[0], <float*>a.buf[1], <float*>a.buf[2], <float*>a.buf[3], <float*>a.buf[4],
            a.dim[0], a.dim[2], lo, hi, <int>a.k[0])
    else:
        softmax_cross_entropy_soft_f64(<double*>a.buf[0], <double*>a.buf[1], <double*>a.buf[2], <double*>a.buf[3], <double*>a.buf[4],
            a.dim[0], a.dim[2], lo, hi, <int>a.k[0])


cdef void cross_entropy_entry(vv_args* a, Py_ssize_t lo, Py_ssize_t hi) noexcept nogil:
    if a.real == 0:
        cross_entropy_f32(<float*>a.buf[0], <int64_t*>a.buf[1], <float*>a.buf[2], <float*>a.buf[3], <float*>a.buf[4],
            a.dim[0], a.dim[2], lo, hi, <int>a.k[0])
    else:
        cross_entropy_f64(<double*>a.buf[0], <int64_t*>a.buf[1], <double*>a.buf[2], <double*>a.buf[3], <double*>a.buf[4],
            a.dim[0], a.dim[2], lo, hi, <int>a.k[0])


cdef void cross_entropy_soft_entry(vv_args* a, Py_ssize_t lo, Py_ssize_t hi) noexcept nogil:
    if a.real == 0:
        cross_entropy_soft_f32(<float*>a.buf[0], <float*>a.buf[1], <float*>a.buf[2], <float*>a.buf[3], <float*>a.buf[4],
            a.dim[0], a.dim[2], lo, hi, <int>a.k[0])
    else:
        cross_entropy_soft_f64(<double*>a.buf[0], <double*>a.buf[1], <double*>a.buf[2], <double*>a.buf[3], <double*>a.buf[4],
            a.dim[0], a.dim[2], lo, hi, <int>a.k[0])


cdef void binary_cross_entropy_entry(vv_args* a, Py_ssize_t lo, Py_ssize_t hi) noexcept nogil:
    if a.real == 0:
        binary_cross_entropy_f32(<float*>a.buf[0], <float*>a.buf[1], <float*>a.buf[2], <float*>a.buf[3], <float*>a.buf[4],
            a.dim[0], a.dim[2], lo, hi, <int>a.k[0])
    else:
        binary_cross_entropy_f64(<double*>a.buf[0], <double*>a.buf[1], <double*>a.buf[2], <double*>a.buf[3], <double*>a.buf[4],
            a.dim[0], a.dim[2], lo, hi, <int>a.k[0])


cdef void binary_cross_entropy_logits_entry(vv_args* a, Py_ssize_t lo, Py_ssize_t hi) noexcept nogil:
    if a.real == 0:
        binary_cross_entropy_logits_f32(<float*>a.buf[0], <float*>a.buf[1], <float*>a.buf[2], <float*>a.buf[3], <float*>a.buf[4],
            a.dim[0], a.dim[2], lo, hi, <int>a.k[0])
    else:
        binary_cross_entropy_logits_f64(<double*>a.buf[0], <double*>a.buf[1], <double*>a.buf[2], <double*>a.buf[3], <double*>a.buf[4],
            a.dim[0], a.dim[2], lo, hi, <int>a.k[0])


cdef void softmax_cross_entropy_entry(vv_args* a, Py_ssize_t lo, Py_ssize_t hi) noexcept nogil:
    if a.real == 0:
        softmax_cross_entropy_f32(<float*>a.buf[0], <int64_t*>a.buf[1], <float*>a.buf[2], NULL, <float*>a.buf[3], <float*>a.buf[4],
                                  a.dim[0], a.dim[2], lo, hi, <float>a.s[0], <int>a.k[1])
    else:
        softmax_cross_entropy_f64(<double*>a.buf[0], <int64_t*>a.buf[1], <double*>a.buf[2], NULL, <double*>a.buf[3], <double*>a.buf[4],
                                  a.dim[0], a.dim[2], lo, hi, a.s[0], <int>a.k[1])


cdef void softmax_cross_entropy_weighted_entry(vv_args* a, Py_ssize_t lo, Py_ssize_t hi) noexcept nogil:
    if a.real == 0:
        softmax_cross_entropy_f32(<float*>a.buf[0], <int64_t*>a.buf[1], <float*>a.buf[2], <float*>a.buf[3], <float*>a.buf[4],
                                  <float*>a.buf[5], a.dim[0], a.dim[2], lo, hi, <float>a.s[0], <int>a.k[1])
    else:
        softmax_cross_entropy_f64(<double*>a.buf[0], <int64_t*>a.buf[1], <double*>a.buf[2], <double*>a.buf[3], <double*>a.buf[4],
                                  <double*>a.buf[5], a.dim[0], a.dim[2], lo, hi, a.s[0], <int>a.k[1])


cdef void mean_loss_entry(vv_args* a, Py_ssize_t lo, Py_ssize_t hi) noexcept nogil:
    cdef double* s = <double*>a.buf[2]
    if a.real == 0:
        s[0] = long_sum_f32(<float*>a.buf[0], <float*>a.buf[1], a.dim[0])
        s[1] = long_sum_f32(<float*>a.buf[1], NULL, a.dim[0]) if a.buf[1] != NULL else <double>a.dim[0]
    else:
        s[0] = long_sum_f64(<double*>a.buf[0], <double*>a.buf[1], a.dim[0])
        s[1] = long_sum_f64(<double*>a.buf[1], NULL, a.dim[0]) if a.buf[1] != NULL else <double>a.dim[0]


define("squared_error", squared_error_entry)
define("softmax_cross_entropy_soft", softmax_cross_entropy_soft_entry)
define("cross_entropy", cross_entropy_entry)
define("cross_entropy_soft", cross_entropy_soft_entry)
define("binary_cross_entropy", binary_cross_entropy_entry)
define("binary_cross_entropy_logits", binary_cross_entropy_logits_entry)
define("softmax_cross_entropy", softmax_cross_entropy_entry)
define("softmax_cross_entropy_weighted", softmax_cross_entropy_weighted_entry)
define("mean_loss", mean_loss_entry)
