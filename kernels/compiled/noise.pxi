# --- noise
cdef extern from "kernels.h" nogil:
    void gaussian_noise_f32(const float*, float*, Py_ssize_t, Py_ssize_t, Py_ssize_t, float, uint64_t, uint32_t, uint32_t)
    void gaussian_noise_f64(const double*, double*, Py_ssize_t, Py_ssize_t, Py_ssize_t, double, uint64_t, uint32_t, uint32_t)
    void mix_rows_f32(const float*, float*, Py_ssize_t, Py_ssize_t, Py_ssize_t, Py_ssize_t, double)
    void mix_rows_f64(const double*, double*, Py_ssize_t, Py_ssize_t, Py_ssize_t, Py_ssize_t, double)
    void mix_labels_f32(const int64_t*, float*, Py_ssize_t, Py_ssize_t, Py_ssize_t, Py_ssize_t, double, double)
    void rrelu_f32(const float*, const float*, float*, Py_ssize_t, Py_ssize_t, Py_ssize_t, double, double, uint64_t, uint32_t, uint32_t)
    void rrelu_f64(const double*, const double*, double*, Py_ssize_t, Py_ssize_t, Py_ssize_t, double, double, uint64_t, uint32_t, uint32_t)
    void mix_labels_f64(const int64_t*, double*, Py_ssize_t, Py_ssize_t, Py_ssize_t, Py_ssize_t, double, double)


cdef void gaussian_noise_entry(vv_args* a, Py_ssize_t lo, Py_ssize_t hi) noexcept nogil:
    if a.real == 0:
        gaussian_noise_f32(<float*>a.buf[0], <float*>a.buf[1], a.dim[1], lo, hi, <float>a.s[0], <uint64_t>a.k[1], <uint32_t>a.k[2],
                           <uint32_t>a.k[3])
    else:
        gaussian_noise_f64(<double*>a.buf[0], <double*>a.buf[1], a.dim[1], lo, hi, <double>a.s[0], <uint64_t>a.k[1], <uint32_t>a.k[2],
                           <uint32_t>a.k[3])


cdef void mix_rows_entry(vv_args* a, Py_ssize_t lo, Py_ssize_t hi) noexcept nogil:
    if a.real == 0:
        mix_rows_f32(<float*>a.buf[0], <float*>a.buf[1], a.dim[0], a.dim[1], lo, hi, a.s[0])
    else:
        mix_rows_f64(<double*>a.buf[0], <double*>a.buf[1], a.dim[0], a.dim[1], lo, hi, a.s[0])


cdef void mix_labels_entry(vv_args* a, Py_ssize_t lo, Py_ssize_t hi) noexcept nogil:
    if a.real == 0:
        mix_labels_f32(<int64_t*>a.buf[0], <float*>a.buf[1], a.dim[0], a.dim[2], lo, hi, a.s[0], a.s[1])
    else:
        mix_labels_f64(<int64_t*>a.buf[0], <double*>a.buf[1], a.dim[0], a.dim[2], lo, hi, a.s[0], a.s[1])


define("gaussian_noise", gaussian_noise_entry)
define("mix_rows", mix_rows_entry)
define("mix_labels", mix_labels_entry)


cdef inline void rrelu(vv_args* a, Py_ssize_t lo, Py_ssize_t hi, void* dy, void* y) noexcept nogil:
    if a.real == 0:
        rrelu_f32(<float*>a.buf[0], <float*>dy, <float*>y, a.dim[1], lo, hi, a.s[0], a.s[1], <uint64_t>a.k[2], <uint32_t>a.k[3],
                  <uint32_t>a.k[4])
    else:
        rrelu_f64(<double*>a.buf[0], <double*>dy, <double*>y, a.dim[1], lo, hi, a.s[0], a.s[1], <uint64_t>a.k[2], <uint32_t>a.k[3],
                  <uint32_t>a.k[4])


cdef void rrelu_forward_entry(vv_args* a, Py_ssize_t lo, Py_ssize_t hi) noexcept nogil:
    rrelu(a, lo, hi, NULL, a.buf[1])


cdef void rrelu_backward_entry(vv_args* a, Py_ssize_t lo, Py_ssize_t hi) noexcept nogil:
    rrelu(a, lo, hi, a.buf[1], a.buf[2])


define("rrelu_forward", rrelu_forward_entry)
define("rrelu_backward", rrelu_backward_entry)
