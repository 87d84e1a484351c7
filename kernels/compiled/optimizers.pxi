# --- optimizers: the updates stand in optimizers.h
cdef extern from "kernels.h" nogil:
    void sgd_update_entry(vv_args*, Py_ssize_t, Py_ssize_t) noexcept
    void adagrad_update_entry(vv_args*, Py_ssize_t, Py_ssize_t) noexcept
    void adadelta_update_entry(vv_args*, Py_ssize_t, Py_ssize_t) noexcept
    void rmsprop_update_entry(vv_args*, Py_ssize_t, Py_ssize_t) noexcept
    void rprop_update_entry(vv_args*, Py_ssize_t, Py_ssize_t) noexcept
    void adam_update_entry(vv_args*, Py_ssize_t, Py_ssize_t) noexcept
    void adamw_update_entry(vv_args*, Py_ssize_t, Py_ssize_t) noexcept
    void adamax_update_entry(vv_args*, Py_ssize_t, Py_ssize_t) noexcept
    void nadam_update_entry(vv_args*, Py_ssize_t, Py_ssize_t) noexcept
    void radam_update_entry(vv_args*, Py_ssize_t, Py_ssize_t) noexcept
    void lion_update_entry(vv_args*, Py_ssize_t, Py_ssize_t) noexcept
    void average_update_entry(vv_args*, Py_ssize_t, Py_ssize_t) noexcept
    void accumulate_entry(vv_args*, Py_ssize_t, Py_ssize_t) noexcept
    void limit_rows_entry(vv_args*, Py_ssize_t, Py_ssize_t) noexcept


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


define("clip_norm", clip_norm_entry)
define("sgd_update", sgd_update_entry)
define("adagrad_update", adagrad_update_entry)
define("adadelta_update", adadelta_update_entry)
define("rmsprop_update", rmsprop_update_entry)
define("rprop_update", rprop_update_entry)
define("adam_update", adam_update_entry)
define("adamw_update", adamw_update_entry)
define("adamax_update", adamax_update_entry)
define("nadam_update", nadam_update_entry)
define("radam_update", radam_update_entry)
define("lion_update", lion_update_entry)
define("average_update", average_update_entry)
define("accumulate", accumulate_entry)
define("limit_rows", limit_rows_entry)
