# --- optimizers
cdef extern from "kernels.h" nogil:
    void sgd_f32(const float*, float*, float*, Py_ssize_t, float, float, float, float, int, int)
    void sgd_f64(const double*, double*, double*, Py_ssize_t, double, double, double, double, int, int)
    void adam_f32(const float*, float*, float*, float*, Py_ssize_t, float, float, float, float, float, float, float, float, float, int)
    void adam_f64(const double*, double*, double*, double*, Py_ssize_t, double, double, double, double, double, double, double,
                  double, double, int)


cdef void sgd_update_entry(vv_args* a, Py_ssize_t lo, Py_ssize_t hi) noexcept nogil:
    cdef double lr = a.s[0], momentum = a.s[1], undamped = 1 - a.s[2], decay = a.s[3]
    cdef int nesterov = <int>a.k[4], first = <int>a.k[5]
    if a.real == 0:
        sgd_f32(<float*>a.buf[0] + lo, <float*>a.buf[1] + lo, <float*>a.buf[2] + lo, hi - lo, <float>lr, <float>momentum,
                <float>undamped, <float>decay, nesterov, first)
    else:
        sgd_f64(<double*>a.buf[0] + lo, <double*>a.buf[1] + lo, <double*>a.buf[2] + lo, hi - lo, lr, momentum, undamped, decay,
                nesterov, first)


cdef inline void adam_step(vv_args* a, Py_ssize_t lo, Py_ssize_t hi, double shrink, double decay, int coupled) noexcept nogil:
    cdef double beta1 = a.s[1], beta2 = a.s[2], eps = a.s[3], step = a.s[0] / a.s[5], root = 1 / sqrt(a.s[6])
    if a.real == 0:
        adam_f32(<float*>a.buf[0] + lo, <float*>a.buf[1] + lo, <float*>a.buf[2] + lo, <float*>a.buf[3] + lo, hi - lo, <float>shrink,
                 <float>decay, <float>beta1, <float>(1 - beta1), <float>beta2, <float>(1 - beta2), <float>eps, <float>step, <float>root,
                 coupled)
    else:
        adam_f64(<double*>a.buf[0] + lo, <double*>a.buf[1] + lo, <double*>a.buf[2] + lo, <double*>a.buf[3] + lo, hi - lo, shrink,
                 decay, beta1, 1 - beta1, beta2, 1 - beta2, eps, step, root, coupled)


cdef void adam_update_entry(vv_args* a, Py_ssize_t lo, Py_ssize_t hi) noexcept nogil:
    adam_step(a, lo, hi, 1.0, a.s[4], True)


cdef void adamw_update_entry(vv_args* a, Py_ssize_t lo, Py_ssize_t hi) noexcept nogil:
    adam_step(a, lo, hi, 1.0 - a.s[0] * a.s[4], 0.0, False)


cdef void clip_norm_entry(vv_args* a, Py_ssize_t lo, Py_ssize_t hi) noexcept nogil:
    cdef double* norm = <double*>a.buf[1]
    cdef Py_ssize_t n = a.dim[0]
    cdef double limit = a.s[0]
    if a.real == 0:
        norm[0] = sqrt(long_sum_f32(<float*>a.buf[0], <float*>a.buf[0], n))
        if norm[0] > limit:
            scale_loop(<float*>a.buf[0], <float*>a.buf[0], n, <float>(limit / (norm[0] + 1e-6)), <float>0)
    else:
        norm[0] = sqrt(long_sum_f64(<double*>a.buf[0], <double*>a.buf[0], n))
        if norm[0] > limit:
            scale_loop(<double*>a.buf[0], <double*>a.buf[0], n, limit / (norm[0] + 1e-6), <double>0)


cdef void accumulate_loop(const real* g, real* total, Py_ssize_t n, real share) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n):
        total[i] += share * g[i]


cdef void accumulate_entry(vv_args* a, Py_ssize_t lo, Py_ssize_t hi) noexcept nogil:
    if a.real == 0:
        accumulate_loop(<float*>a.buf[0] + lo, <float*>a.buf[1] + lo, hi - lo, <float>a.s[0])
    else:
        accumulate_loop(<double*>a.buf[0] + lo, <double*>a.buf[1] + lo, hi - lo, a.s[0])


define("accumulate", accumulate_entry)
define("clip_norm", clip_norm_entry)
define("sgd_update", sgd_update_entry)
define("adam_update", adam_update_entry)
define("adamw_update", adamw_update_entry)
