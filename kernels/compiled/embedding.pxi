# --- embedding
cdef extern from "kernels.h" nogil:
    void embedding_forward_f32(const int64_t*, const float*, float*, Py_ssize_t, Py_ssize_t, Py_ssize_t, Py_ssize_t, Py_ssize_t)
    void embedding_forward_f64(const int64_t*, const double*, double*, Py_ssize_t, Py_ssize_t, Py_ssize_t, Py_ssize_t, Py_ssize_t)
    void embedding_backward_f32(const int64_t*, const float*, float*, Py_ssize_t, Py_ssize_t, Py_ssize_t, Py_ssize_t, Py_ssize_t,
                               Py_ssize_t, int64_t)
    void embedding_backward_f64(const int64_t*, const double*, double*, Py_ssize_t, Py_ssize_t, Py_ssize_t, Py_ssize_t, Py_ssize_t,
                               Py_ssize_t, int64_t)
    void embedding_bag_forward_f32(const int64_t*, const float*, float*, Py_ssize_t, Py_ssize_t, Py_ssize_t, Py_ssize_t, Py_ssize_t,
                                  int, int64_t)
    void embedding_bag_forward_f64(const int64_t*, const double*, double*, Py_ssize_t, Py_ssize_t, Py_ssize_t, Py_ssize_t, Py_ssize_t,
                                  int, int64_t)
    void embedding_bag_backward_f32(const int64_t*, const float*, const float*, float*, Py_ssize_t, Py_ssize_t, Py_ssize_t, Py_ssize_t,
                                   Py_ssize_t, Py_ssize_t, int, int64_t)
    void embedding_bag_backward_f64(const int64_t*, const double*, const double*, double*, Py_ssize_t, Py_ssize_t, Py_ssize_t,
                                   Py_ssize_t, Py_ssize_t, Py_ssize_t, int, int64_t)


cdef void whole_numbers_loop(const real* x, int64_t* index, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i
    cdef int64_t whole
    for i in range(n):
        index[i] = -(<int64_t>1 << 62)
        if x[i] >= -1 and x[i] < 4611686018427387904.0:
            whole = <int64_t>x[i]
            if <real>whole == x[i]:
                index[i] = whole


cdef void whole_numbers_entry(vv_args* a, Py_ssize_t lo, Py_ssize_t hi) noexcept nogil:
    cdef Py_ssize_t at = lo * a.dim[1], n = (hi - lo) * a.dim[1]
    if a.real == 0:
        whole_numbers_loop(<float*>a.buf[0] + at, <int64_t*>a.buf[1] + at, n)
    else:
        whole_numbers_loop(<double*>a.buf[0] + at, <int64_t*>a.buf[1] + at, n)


cdef void embedding_forward_entry(vv_args* a, Py_ssize_t lo, Py_ssize_t hi) noexcept nogil:
    cdef Py_ssize_t K = a.dim[1] // a.dim[2] if a.dim[2] > 0 else 0
    if a.real == 0:
        embedding_forward_f32(<int64_t*>a.buf[0], <float*>a.buf[1], <float*>a.buf[2], K, a.dim[2], a.dim[3], lo, hi)
    else:
        embedding_forward_f64(<int64_t*>a.buf[0], <double*>a.buf[1], <double*>a.buf[2], K, a.dim[2], a.dim[3], lo, hi)


cdef inline bint in_table(const int64_t* index, Py_ssize_t at, vv_args* a) noexcept nogil:
    return 0 <= index[at] < a.dim[3]


cdef void clear_table(vv_args* a, void* dw, Py_ssize_t count, Py_ssize_t lo, Py_ssize_t hi, bint named) noexcept nogil:
    """Columns lo..hi of a table's gradient to 0: of all its rows, or of those that the `count` indices name."""
    cdef const int64_t* index = <int64_t*>a.buf[0]
    cdef Py_ssize_t at, O = a.dim[2], size = 4 if a.real == 0 else 8
    if named:
        for at in range(count):
            if in_table(index, at, a):
                memset(<char*>dw + (index[at] * O + lo) * size, 0, (hi - lo) * size)
    elif lo == 0 and hi == O:
        memset(dw, 0, a.dim[3] * O * size)
    else:
        for at in range(a.dim[3]):
            memset(<char*>dw + (at * O + lo) * size, 0, (hi - lo) * size)


cdef void update_table(vv_args* a, void* dw, Py_ssize_t count, Py_ssize_t lo, Py_ssize_t hi, bint named) noexcept nogil:
    """The chained update of columns lo..hi, of all rows or of those that are named. A row's gradient is 0 once it was used: where
    the row comes again, the update changes nothing (Optimizer.rests)."""
    cdef const int64_t* index = <int64_t*>a.buf[0]
    cdef vv_args* update = a.then[0]
    cdef Py_ssize_t at, O = a.dim[2], size = 4 if a.real == 0 else 8
    if update == NULL:
        return
    if named:
        for at in range(count):
            if in_table(index, at, a):
                update.run(update, index[at] * O + lo, index[at] * O + hi)
                memset(<char*>dw + (index[at] * O + lo) * size, 0, (hi - lo) * size)
    elif lo == 0 and hi == O:
        update.run(update, 0, a.dim[3] * O)
    else:
        for at in range(a.dim[3]):
            update.run(update, at * O + lo, at * O + hi)


cdef void embedding_backward_entry(vv_args* a, Py_ssize_t lo, Py_ssize_t hi) noexcept nogil:
    cdef Py_ssize_t K = a.dim[1] // a.dim[2] if a.dim[2] > 0 else 0
    clear_table(a, a.buf[2], a.dim[0] * K, lo, hi, a.k[1] != 0)
    if a.real == 0:
        embedding_backward_f32(<int64_t*>a.buf[0], <float*>a.buf[1], <float*>a.buf[2], a.dim[0], K, a.dim[2], a.dim[3], lo, hi, a.k[0])
    else:
        embedding_backward_f64(<int64_t*>a.buf[0], <double*>a.buf[1], <double*>a.buf[2], a.dim[0], K, a.dim[2], a.dim[3], lo, hi, a.k[0])
    update_table(a, a.buf[2], a.dim[0] * K, lo, hi, a.k[1] != 0)


cdef void embedding_bag_forward_entry(vv_args* a, Py_ssize_t lo, Py_ssize_t hi) noexcept nogil:
    if a.real == 0:
        embedding_bag_forward_f32(<int64_t*>a.buf[0], <float*>a.buf[1], <float*>a.buf[2], a.dim[1], a.dim[2], a.dim[3], lo, hi,
                                  <int>a.k[0], a.k[1])
    else:
        embedding_bag_forward_f64(<int64_t*>a.buf[0], <double*>a.buf[1], <double*>a.buf[2], a.dim[1], a.dim[2], a.dim[3], lo, hi,
                                  <int>a.k[0], a.k[1])


cdef void embedding_bag_backward_entry(vv_args* a, Py_ssize_t lo, Py_ssize_t hi) noexcept nogil:
    clear_table(a, a.buf[3], a.dim[0] * a.dim[1], lo, hi, a.k[2] != 0)
    if a.real == 0:
        embedding_bag_backward_f32(<int64_t*>a.buf[0], <float*>a.buf[1], <float*>a.buf[2], <float*>a.buf[3], a.dim[0], a.dim[1], a.dim[2],
                                   a.dim[3], lo, hi, <int>a.k[0], a.k[1])
    else:
        embedding_bag_backward_f64(<int64_t*>a.buf[0], <double*>a.buf[1], <double*>a.buf[2], <double*>a.buf[3], a.dim[0], a.dim[1],
                                   a.dim[2], a.dim[3], lo, hi, <int>a.k[0], a.k[1])
    update_table(a, a.buf[3], a.dim[0] * a.dim[1], lo, hi, a.k[2] != 0)


define("embedding_forward", embedding_forward_entry)
define("embedding_backward", embedding_backward_entry)
define("embedding_bag_forward", embedding_bag_forward_entry)
define("embedding_bag_backward", embedding_bag_backward_entry)
define("whole_numbers", whole_numbers_entry)
