# --- activations
cdef extern from "kernels.h" nogil:
    enum:
        IDENTITY "IDENTITY_f32"
        SIGMOID "SIGMOID_f32"
        TANH "TANH_f32"
        RELU "RELU_f32"
        LEAKY_RELU "LEAKY_RELU_f32"
        ELU "ELU_f32"
        SOFTPLUS "SOFTPLUS_f32"
    void activate_f32(int, const float*, float*, Py_ssize_t, float)
    void activate_f64(int, const double*, double*, Py_ssize_t, double)
    void slope_times_f32(int, const float*, const float*, float*, Py_ssize_t, float)
    void slope_times_f64(int, const double*, const double*, double*, Py_ssize_t, double)
    void gelu_row_f32(const float*, float*, Py_ssize_t)
    void gelu_row_f64(const double*, double*, Py_ssize_t)
    void silu_row_f32(const float*, float*, Py_ssize_t)
    void silu_row_f64(const double*, double*, Py_ssize_t)
    void gelu_backward_row_f32(const float*, const float*, float*, Py_ssize_t)
    void gelu_backward_row_f64(const double*, const double*, double*, Py_ssize_t)
    void silu_backward_row_f32(const float*, const float*, float*, Py_ssize_t)
    void silu_backward_row_f64(const double*, const double*, double*, Py_ssize_t)
    void softmax_row_f32(const float*, float*, Py_ssize_t)
    void softmax_row_f64(const double*, double*, Py_ssize_t)
    void softmax_backward_row_f32(const float*, const float*, float*, Py_ssize_t)
    void softmax_backward_row_f64(const double*, const double*, double*, Py_ssize_t)


cdef inline void activated(vv_args* a, Py_ssize_t lo, Py_ssize_t hi, int code) noexcept nogil:
    cdef Py_ssize_t W = a.dim[1], at = lo * W, n = (hi - lo) * W
    if a.real == 0:
        activate_f32(code, <float*>a.buf[0] + at, <float*>a.buf[1] + at, n, <float>a.s[0])
    else:
        activate_f64(code, <double*>a.buf[0] + at, <double*>a.buf[1] + at, n, a.s[0])


cdef inline void sloped(vv_args* a, Py_ssize_t lo, Py_ssize_t hi, int code) noexcept nogil:
    cdef Py_ssize_t W = a.dim[1], at = lo * W, n = (hi - lo) * W
    if a.real == 0:
        slope_times_f32(code, <float*>a.buf[0] + at, <float*>a.buf[1] + at, <float*>a.buf[2] + at, n, <float>a.s[0])
    else:
        slope_times_f64(code, <double*>a.buf[0] + at, <double*>a.buf[1] + at, <double*>a.buf[2] + at, n, a.s[0])


cdef void sigmoid_forward_entry(vv_args* a, Py_ssize_t lo, Py_ssize_t hi) noexcept nogil:
    activated(a, lo, hi, SIGMOID)


cdef void sigmoid_backward_entry(vv_args* a, Py_ssize_t lo, Py_ssize_t hi) noexcept nogil:
    sloped(a, lo, hi, SIGMOID)


cdef void tanh_forward_entry(vv_args* a, Py_ssize_t lo, Py_ssize_t hi) noexcept nogil:
    activated(a, lo, hi, TANH)


cdef void tanh_backward_entry(vv_args* a, Py_ssize_t lo, Py_ssize_t hi) noexcept nogil:
    sloped(a, lo, hi, TANH)


cdef void relu_forward_entry(vv_args* a, Py_ssize_t lo, Py_ssize_t hi) noexcept nogil:
    activated(a, lo, hi, RELU)


cdef void relu_backward_entry(vv_args* a, Py_ssize_t lo, Py_ssize_t hi) noexcept nogil:
    sloped(a, lo, hi, RELU)


cdef void leaky_relu_forward_entry(vv_args* a, Py_ssize_t lo, Py_ssize_t hi) noexcept nogil:
    activated(a, lo, hi, LEAKY_RELU)


cdef void leaky_relu_backward_entry(vv_args* a, Py_ssize_t lo, Py_ssize_t hi) noexcept nogil:
    sloped(a, lo, hi, LEAKY_RELU)


cdef void elu_forward_entry(vv_args* a, Py_ssize_t lo, Py_ssize_t hi) noexcept nogil:
    activated(a, lo, hi, ELU)


cdef void elu_backward_entry(vv_args* a, Py_ssize_t lo, Py_ssize_t hi) noexcept nogil:
    sloped(a, lo, hi, ELU)


cdef void softplus_forward_entry(vv_args* a, Py_ssize_t lo, Py_ssize_t hi) noexcept nogil:
    activated(a, lo, hi, SOFTPLUS)


cdef void softplus_backward_entry(vv_args* a, Py_ssize_t lo, Py_ssize_t hi) noexcept nogil:
    sloped(a, lo, hi, SOFTPLUS)


cdef void identity_forward_entry(vv_args* a, Py_ssize_t lo, Py_ssize_t hi) noexcept nogil:
    activated(a, lo, hi, IDENTITY)


cdef void identity_backward_entry(vv_args* a, Py_ssize_t lo, Py_ssize_t hi) noexcept nogil:
    sloped(a, lo, hi, IDENTITY)


cdef void gelu_forward_entry(vv_args* a, Py_ssize_t lo, Py_ssize_t hi) noexcept nogil:
    mapped(a, lo, hi, gelu_row_f32, gelu_row_f64)


cdef void gelu_backward_entry(vv_args* a, Py_ssize_t lo, Py_ssize_t hi) noexcept nogil:
    pairwise(a, lo, hi, gelu_backward_row_f32, gelu_backward_row_f64)


cdef void silu_forward_entry(vv_args* a, Py_ssize_t lo, Py_ssize_t hi) noexcept nogil:
    mapped(a, lo, hi, silu_row_f32, silu_row_f64)


cdef void silu_backward_entry(vv_args* a, Py_ssize_t lo, Py_ssize_t hi) noexcept nogil:
    pairwise(a, lo, hi, silu_backward_row_f32, silu_backward_row_f64)


cdef void softmax_forward_entry(vv_args* a, Py_ssize_t lo, Py_ssize_t hi) noexcept nogil:
    cdef Py_ssize_t n, C = a.dim[2]
    for n in range(lo, hi):
        if a.real == 0:
            softmax_row_f32(<float*>a.buf[0] + n * C, <float*>a.buf[1] + n * C, C)
        else:
            softmax_row_f64(<double*>a.buf[0] + n * C, <double*>a.buf[1] + n * C, C)


cdef void softmax_backward_entry(vv_args* a, Py_ssize_t lo, Py_ssize_t hi) noexcept nogil:
    cdef Py_ssize_t n, at, C = a.dim[2]
    for n in range(lo, hi):
        at = n * C
        if a.real == 0:
            softmax_backward_row_f32(<float*>a.buf[0] + at, <float*>a.buf[1] + at, <float*>a.buf[2] + at, C)
        else:
            softmax_backward_row_f64(<double*>a.buf[0] + at, <double*>a.buf[1] + at, <double*>a.buf[2] + at, C)


define("sigmoid_forward", sigmoid_forward_entry)
define("sigmoid_backward", sigmoid_backward_entry)
define("tanh_forward", tanh_forward_entry)
define("tanh_backward", tanh_backward_entry)
define("relu_forward", relu_forward_entry)
define("relu_backward", relu_backward_entry)
define("leaky_relu_forward", leaky_relu_forward_entry)
define("leaky_relu_backward", leaky_relu_backward_entry)
define("elu_forward", elu_forward_entry)
define("elu_backward", elu_backward_entry)
define("softplus_forward", softplus_forward_entry)
define("softplus_backward", softplus_backward_entry)
define("identity_forward", identity_forward_entry)
define("identity_backward", identity_backward_entry)
define("gelu_forward", gelu_forward_entry)
define("gelu_backward", gelu_backward_entry)
define("silu_forward", silu_forward_entry)
define("silu_backward", silu_backward_entry)
define("softmax_forward", softmax_forward_entry)
define("softmax_backward", softmax_backward_entry)
