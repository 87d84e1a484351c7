# --- linear
cdef extern from "kernels.h" nogil:
    void linear_forward_f32(const float*, const float*, const float*, float*, const float*, Py_ssize_t, Py_ssize_t, Py_ssize_t,
                            Py_ssize_t, Py_ssize_t, Py_ssize_t, int, float)
    void linear_forward_f64(const double*, const double*, const double*, double*, const double*, Py_ssize_t, Py_ssize_t, Py_ssize_t,
                            Py_ssize_t, Py_ssize_t, Py_ssize_t, int, double)
    void linear_backward_input_f32(const float*, const float*, const float*, float*, Py_ssize_t, Py_ssize_t, Py_ssize_t, Py_ssize_t,
                                   Py_ssize_t, Py_ssize_t, int, float)
    void linear_backward_input_f64(const double*, const double*, const double*, double*, Py_ssize_t, Py_ssize_t, Py_ssize_t,
                                   Py_ssize_t, Py_ssize_t, Py_ssize_t, int, double)
    void weight_gradient_f32(vv_args*, Py_ssize_t, Py_ssize_t, Py_ssize_t, Py_ssize_t)
    void weight_gradient_f64(vv_args*, Py_ssize_t, Py_ssize_t, Py_ssize_t, Py_ssize_t)
    void weight_parts_entry(vv_args*, Py_ssize_t, Py_ssize_t)
    void weight_join_entry(vv_args*, Py_ssize_t, Py_ssize_t)
    void bias_gradient_f32(const float*, Py_ssize_t, Py_ssize_t, Py_ssize_t, Py_ssize_t, Py_ssize_t, float*)
    void bias_gradient_f64(const double*, Py_ssize_t, Py_ssize_t, Py_ssize_t, Py_ssize_t, Py_ssize_t, double*)
    Py_ssize_t vv_chunk_rows(Py_ssize_t, Py_ssize_t)
    void pack_panel_f32(const float*, Py_ssize_t, Py_ssize_t, Py_ssize_t, Py_ssize_t, Py_ssize_t, float*)
    void pack_panel_f64(const double*, Py_ssize_t, Py_ssize_t, Py_ssize_t, Py_ssize_t, Py_ssize_t, double*)


# Units of a weight's kernels are outputs, those of linear_pack whole panels; args.part is their range of inputs. Units of forward and
# backward_input are rows; args.part is the range of columns written.
cdef inline Py_ssize_t part_end(vv_args* a, Py_ssize_t width) noexcept nogil:
    return a.part[1] if a.part[1] > 0 else width


cdef void linear_pack_entry(vv_args* a, Py_ssize_t lo, Py_ssize_t hi) noexcept nogil:
    cdef Py_ssize_t q, L = lanes_of(a.real), I = a.dim[1], O = a.dim[2], i0 = a.part[0], i1 = part_end(a, I)
    for q in range(lo // L, (hi + L - 1) // L):
        if a.real == 0:
            pack_panel_f32(<float*>a.buf[0], O, I, q, i0, i1, <float*>a.buf[1] + (q * I + i0) * L)
        else:
            pack_panel_f64(<double*>a.buf[0], O, I, q, i0, i1, <double*>a.buf[1] + (q * I + i0) * L)


cdef void linear_forward_entry(vv_args* a, Py_ssize_t lo, Py_ssize_t hi) noexcept nogil:
    if a.real == 0:
        linear_forward_f32(<float*>a.buf[0], <float*>a.buf[1], <float*>a.buf[2], <float*>a.buf[3], <float*>a.buf[4],
                           a.dim[1], a.dim[2], lo, hi, a.part[0], part_end(a, a.dim[2]), <int>a.k[0], <float>a.s[1])
    else:
        linear_forward_f64(<double*>a.buf[0], <double*>a.buf[1], <double*>a.buf[2], <double*>a.buf[3], <double*>a.buf[4],
                           a.dim[1], a.dim[2], lo, hi, a.part[0], part_end(a, a.dim[2]), <int>a.k[0], a.s[1])


cdef void linear_backward_input_entry(vv_args* a, Py_ssize_t lo, Py_ssize_t hi) noexcept nogil:
    if a.real == 0:
        linear_backward_input_f32(<float*>a.buf[0], <float*>a.buf[1], <float*>a.buf[2], <float*>a.buf[3], a.dim[1], a.dim[2],
                                  lo, hi, a.part[0], part_end(a, a.dim[1]), <int>a.k[0], <float>a.s[1])
    else:
        linear_backward_input_f64(<double*>a.buf[0], <double*>a.buf[1], <double*>a.buf[2], <double*>a.buf[3], a.dim[1], a.dim[2],
                                  lo, hi, a.part[0], part_end(a, a.dim[1]), <int>a.k[0], a.s[1])


cdef inline void update_from(vv_args* update, char* gradient, Py_ssize_t lo, Py_ssize_t hi, Py_ssize_t size) noexcept nogil:
    """An update of elements lo..hi whose gradient stands at `gradient` instead of in the flat vector."""
    update.buf[0] = gradient - lo * size
    update.run(update, lo, hi)


cdef void bias_gradient(vv_args* a, void* dy, void* room, Py_ssize_t lo, Py_ssize_t hi) noexcept nogil:
    """The gradient of the bias of outputs lo..hi, into the update chained to it where there is one."""
    cdef double scratch[TILE_COLUMNS]
    cdef Py_ssize_t o = lo, end, size = 4 if a.real == 0 else 8
    cdef char* db
    while o < hi:
        end = min(o + TILE_COLUMNS, hi)
        db = <char*>scratch if a.then[1] != NULL else <char*>room + o * size
        if a.real == 0:
            bias_gradient_f32(<float*>dy, a.dim[0], vv_chunk_rows(a.dim[0], a.dim[1] * a.dim[2]), a.dim[2], o, end, <float*>db)
        else:
            bias_gradient_f64(<double*>dy, a.dim[0], vv_chunk_rows(a.dim[0], a.dim[1] * a.dim[2]), a.dim[2], o, end, <double*>db)
        if a.then[1] != NULL:
            update_from(a.then[1], db, o, end, size)
        o = end


cdef void linear_backward_weight_entry(vv_args* a, Py_ssize_t lo, Py_ssize_t hi) noexcept nogil:
    cdef Py_ssize_t first = a.part[0], end = part_end(a, a.dim[1])
    if a.real == 0:
        weight_gradient_f32(a, lo, hi, first, end)
    else:
        weight_gradient_f64(a, lo, hi, first, end)
    if first == 0 and a.buf[3] != NULL:
        bias_gradient(a, a.buf[1], a.buf[3], lo, hi)


define("linear_pack", linear_pack_entry)
define("linear_forward", linear_forward_entry)
define("linear_backward_input", linear_backward_input_entry)
define("linear_backward_weight", linear_backward_weight_entry)
define("weight_parts", weight_parts_entry)
define("weight_join", weight_join_entry)
