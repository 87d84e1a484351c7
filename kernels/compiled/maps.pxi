# --- maps: the rows of maps.h, and log-softmax
cdef extern from "kernels.h" nogil:
    struct vv_map:
        const char* name
        vv_entry forward
        vv_entry backward
    vv_map vv_maps[1]
    void log_softmax_row_f32(const float*, float*, Py_ssize_t)
    void log_softmax_row_f64(const double*, double*, Py_ssize_t)
    void log_softmax_backward_row_f32(const float*, const float*, float*, Py_ssize_t)
    void log_softmax_backward_row_f64(const double*, const double*, double*, Py_ssize_t)


cdef define_maps():
    cdef int i = 0
    while vv_maps[i].name != NULL:
        name = vv_maps[i].name.decode()
        define(f"{name}_forward", vv_maps[i].forward)
        define(f"{name}_backward", vv_maps[i].backward)
        i += 1


cdef void log_softmax_forward_entry(vv_args* a, Py_ssize_t lo, Py_ssize_t hi) noexcept nogil:
    cdef Py_ssize_t n, C = a.dim[2]
    for n in range(lo, hi):
        if a.real == 0:
            log_softmax_row_f32(<float*>a.buf[0] + n * C, <float*>a.buf[1] + n * C, C)
        else:
            log_softmax_row_f64(<double*>a.buf[0] + n * C, <double*>a.buf[1] + n * C, C)


cdef void log_softmax_backward_entry(vv_args* a, Py_ssize_t lo, Py_ssize_t hi) noexcept nogil:
    cdef Py_ssize_t n, at, C = a.dim[2]
    for n in range(lo, hi):
        at = n * C
        if a.real == 0:
            log_softmax_backward_row_f32(<float*>a.buf[0] + at, <float*>a.buf[1] + at, <float*>a.buf[2] + at, C)
        else:
            log_softmax_backward_row_f64(<double*>a.buf[0] + at, <double*>a.buf[1] + at, <double*>a.buf[2] + at, C)


define_maps()
define("log_softmax_forward", log_softmax_forward_entry)
define("log_softmax_backward", log_softmax_backward_entry)
