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
    void weight_tile_f32(const float*, const float*, Py_ssize_t, Py_ssize_t, Py_ssize_t, Py_ssize_t, Py_ssize_t, Py_ssize_t,
                         Py_ssize_t, float*, Py_ssize_t, const float**)
    void weight_tile_f64(const double*, const double*, Py_ssize_t, Py_ssize_t, Py_ssize_t, Py_ssize_t, Py_ssize_t, Py_ssize_t,
                         Py_ssize_t, double*, Py_ssize_t, const double**)
    void bias_gradient_f32(const float*, Py_ssize_t, Py_ssize_t, Py_ssize_t, Py_ssize_t, float*)
    void bias_gradient_f64(const double*, Py_ssize_t, Py_ssize_t, Py_ssize_t, Py_ssize_t, double*)
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


cdef struct Tile:
    Py_ssize_t o0, o1, i0, i1


cdef enum:
    FAR = 1 << 15  # elements of a weight from which its update finds parameter and state outside the second-level cache


cdef inline void weight_tile(vv_args* a, Tile* t, void* dw, Py_ssize_t ld, vv_args* update) noexcept nogil:
    """The gradient of one tile to `dw`. What its update will read is asked for meanwhile; fetching it all before the products
    cost the step of 784-512-256-10 4%, not at all 8%."""
    cdef void* soon[3]
    cdef Py_ssize_t i, I = a.dim[1], size = 4 if a.real == 0 else 8
    cdef bint ask = update != NULL and I * a.dim[2] >= FAR
    for i in range(3):
        soon[i] = <char*>update.buf[1 + i] + (t.o0 * I + t.i0) * size if ask and update.buf[1 + i] != NULL else NULL
    if a.real == 0:
        weight_tile_f32(<float*>a.buf[0], <float*>a.buf[1], a.dim[0], I, a.dim[2], t.o0, t.o1, t.i0, t.i1, <float*>dw, ld,
                        <const float**>soon)
    else:
        weight_tile_f64(<double*>a.buf[0], <double*>a.buf[1], a.dim[0], I, a.dim[2], t.o0, t.o1, t.i0, t.i1, <double*>dw, ld,
                        <const double**>soon)


cdef inline void update_from(vv_args* update, char* gradient, Py_ssize_t lo, Py_ssize_t hi, Py_ssize_t size) noexcept nogil:
    """An update of elements lo..hi whose gradient stands at `gradient` instead of in the flat vector."""
    update.buf[0] = gradient - lo * size
    update.run(update, lo, hi)


cdef inline void one_tile(vv_args* a, Tile* t) noexcept nogil:
    """A tile's gradient; where updates are chained it goes through a scratch in the first-level cache straight into them."""
    cdef double scratch[TILE_ROWS * TILE_COLUMNS]
    cdef Py_ssize_t o, I = a.dim[1], size = 4 if a.real == 0 else 8, width = t.i1 - t.i0
    cdef vv_args* update = a.then[0]
    if update == NULL:
        if a.buf[2] != NULL:
            weight_tile(a, t, <char*>a.buf[2] + (t.o0 * I + t.i0) * size, I, NULL)
        return
    weight_tile(a, t, scratch, width, update)
    if width == I:
        update_from(update, <char*>scratch, t.o0 * I, t.o1 * I, size)
    else:
        for o in range(t.o0, t.o1):
            update_from(update, <char*>scratch + (o - t.o0) * width * size, o * I + t.i0, o * I + t.i1, size)


cdef void bias_gradient(vv_args* a, void* dy, void* room, Py_ssize_t lo, Py_ssize_t hi) noexcept nogil:
    """The gradient of the bias of outputs lo..hi, into the update chained to it where there is one."""
    cdef double scratch[TILE_COLUMNS]
    cdef Py_ssize_t o = lo, end, size = 4 if a.real == 0 else 8
    cdef char* db
    while o < hi:
        end = min(o + TILE_COLUMNS, hi)
        db = <char*>scratch if a.then[1] != NULL else <char*>room + o * size
        if a.real == 0:
            bias_gradient_f32(<float*>dy, a.dim[0], a.dim[2], o, end, <float*>db)
        else:
            bias_gradient_f64(<double*>dy, a.dim[0], a.dim[2], o, end, <double*>db)
        if a.then[1] != NULL:
            update_from(a.then[1], db, o, end, size)
        o = end


cdef void linear_backward_weight_entry(vv_args* a, Py_ssize_t lo, Py_ssize_t hi) noexcept nogil:
    cdef Py_ssize_t o = lo, i0, first = a.part[0], end = part_end(a, a.dim[1])
    cdef Tile tile
    while o < hi:
        tile.o0, tile.o1 = o, min(o + TILE_ROWS, hi)
        i0 = first
        while i0 < end:
            tile.i0, tile.i1 = i0, min(i0 + TILE_COLUMNS, end)
            one_tile(a, &tile)
            i0 += TILE_COLUMNS
        o += TILE_ROWS
    if first == 0 and a.buf[3] != NULL:
        bias_gradient(a, a.buf[1], a.buf[3], lo, hi)


define("linear_pack", linear_pack_entry)
define("linear_forward", linear_forward_entry)
define("linear_backward_input", linear_backward_input_entry)
define("linear_backward_weight", linear_backward_weight_entry)
