# --- linear
cdef extern from "kernels.h" nogil:
    void linear_forward_f32(const float*, const float*, const float*, float*, const float*, Py_ssize_t, Py_ssize_t, Py_ssize_t,
                            Py_ssize_t, int, float)
    void linear_forward_f64(const double*, const double*, const double*, double*, const double*, Py_ssize_t, Py_ssize_t, Py_ssize_t,
                            Py_ssize_t, int, double)
    void linear_backward_input_f32(const float*, const float*, const float*, float*, Py_ssize_t, Py_ssize_t, Py_ssize_t, Py_ssize_t,
                                   int, float)
    void linear_backward_input_f64(const double*, const double*, const double*, double*, Py_ssize_t, Py_ssize_t, Py_ssize_t,
                                   Py_ssize_t, int, double)
    void weight_tile_f32(const float*, const float*, Py_ssize_t, Py_ssize_t, Py_ssize_t, Py_ssize_t, Py_ssize_t, Py_ssize_t,
                         Py_ssize_t, float*, Py_ssize_t)
    void weight_tile_f64(const double*, const double*, Py_ssize_t, Py_ssize_t, Py_ssize_t, Py_ssize_t, Py_ssize_t, Py_ssize_t,
                         Py_ssize_t, double*, Py_ssize_t)
    void bias_tile_f32(const float*, Py_ssize_t, Py_ssize_t, Py_ssize_t, Py_ssize_t, float*)
    void bias_tile_f64(const double*, Py_ssize_t, Py_ssize_t, Py_ssize_t, Py_ssize_t, double*)
    void pack_panel_f32(const float*, Py_ssize_t, Py_ssize_t, Py_ssize_t, Py_ssize_t, Py_ssize_t, float*)
    void pack_panel_f64(const double*, Py_ssize_t, Py_ssize_t, Py_ssize_t, Py_ssize_t, Py_ssize_t, double*)

cdef struct Tile:
    Py_ssize_t o0, o1, i0, i1


cdef inline Tile tile_at(Py_ssize_t t, const int64_t* dim) noexcept nogil:
    cdef Tile tile
    cdef Py_ssize_t columns = tile_columns_of(dim)
    tile.o0 = t // columns * TILE_ROWS
    tile.i0 = t % columns * TILE_COLUMNS
    tile.o1 = min(tile.o0 + TILE_ROWS, dim[2])
    tile.i1 = min(tile.i0 + TILE_COLUMNS, dim[1])
    return tile


cdef void linear_pack_entry(vv_args* a, Py_ssize_t lo, Py_ssize_t hi) noexcept nogil:
    cdef Py_ssize_t t, q, L = lanes_of(a.real), I = a.dim[1], O = a.dim[2]
    cdef Tile tile
    for t in range(lo, hi):
        tile = tile_at(t, a.dim)
        for q in range(tile.o0 // L, (tile.o1 + L - 1) // L):
            if a.real == 0:
                pack_panel_f32(<float*>a.buf[0], O, I, q, tile.i0, tile.i1, <float*>a.buf[1] + (q * I + tile.i0) * L)
            else:
                pack_panel_f64(<double*>a.buf[0], O, I, q, tile.i0, tile.i1, <double*>a.buf[1] + (q * I + tile.i0) * L)


cdef extern from *:
    """
    static inline void vv_fetch(const char *p, ptrdiff_t bytes) {
        for (ptrdiff_t i = 0; i < bytes; i += 64) __builtin_prefetch(p + i, 1, 2);
    }
    """
    void vv_fetch(const char*, Py_ssize_t) nogil


cdef inline void fetch(vv_args* update, Tile* t, Py_ssize_t I, Py_ssize_t size) noexcept nogil:
    """Ask for what a tile's update will read, parameter and states, while its gradient is being computed: about 8%
    of the step of 784-512-256-10, whose state is larger than the second-level cache."""
    cdef Py_ssize_t o, i
    for i in range(1, 4):
        if update.buf[i] != NULL:
            for o in range(t.o0, t.o1):
                vv_fetch(<char*>update.buf[i] + (o * I + t.i0) * size, (t.i1 - t.i0) * size)


cdef void linear_forward_entry(vv_args* a, Py_ssize_t lo, Py_ssize_t hi) noexcept nogil:
    if a.real == 0:
        linear_forward_f32(<float*>a.buf[0], <float*>a.buf[1], <float*>a.buf[2], <float*>a.buf[3], <float*>a.buf[4],
                           a.dim[1], a.dim[2], lo, hi, <int>a.k[0], <float>a.s[1])
    else:
        linear_forward_f64(<double*>a.buf[0], <double*>a.buf[1], <double*>a.buf[2], <double*>a.buf[3], <double*>a.buf[4],
                           a.dim[1], a.dim[2], lo, hi, <int>a.k[0], a.s[1])


cdef void linear_backward_input_entry(vv_args* a, Py_ssize_t lo, Py_ssize_t hi) noexcept nogil:
    if a.real == 0:
        linear_backward_input_f32(<float*>a.buf[0], <float*>a.buf[1], <float*>a.buf[2], <float*>a.buf[3], a.dim[1], a.dim[2],
                                  lo, hi, <int>a.k[0], <float>a.s[1])
    else:
        linear_backward_input_f64(<double*>a.buf[0], <double*>a.buf[1], <double*>a.buf[2], <double*>a.buf[3], a.dim[1], a.dim[2],
                                  lo, hi, <int>a.k[0], a.s[1])


cdef inline void weight_tile(vv_args* a, Tile* t, void* dw, Py_ssize_t ld) noexcept nogil:
    if a.real == 0:
        weight_tile_f32(<float*>a.buf[0], <float*>a.buf[1], a.dim[0], a.dim[1], a.dim[2], t.o0, t.o1, t.i0, t.i1, <float*>dw, ld)
    else:
        weight_tile_f64(<double*>a.buf[0], <double*>a.buf[1], a.dim[0], a.dim[1], a.dim[2], t.o0, t.o1, t.i0, t.i1, <double*>dw, ld)


cdef inline void update_from(vv_args* update, char* gradient, Py_ssize_t lo, Py_ssize_t hi, Py_ssize_t size) noexcept nogil:
    """An update of elements lo..hi whose gradient stands at `gradient` instead of in the flat vector."""
    update.buf[0] = gradient - lo * size
    update.run(update, lo, hi)


cdef void linear_backward_weight_entry(vv_args* a, Py_ssize_t lo, Py_ssize_t hi) noexcept nogil:
    """Tile by tile; where updates are chained, a tile's gradient goes through a scratch in the first-level cache straight into them."""
    cdef double scratch[TILE_ROWS * TILE_COLUMNS]
    cdef double bias[TILE_ROWS]
    cdef Py_ssize_t t, o, I = a.dim[1], size = 4 if a.real == 0 else 8, width
    cdef Tile tile
    cdef char* dw
    cdef char* db
    for t in range(lo, hi):
        tile = tile_at(t, a.dim)
        width = tile.i1 - tile.i0
        if a.then[0] != NULL:
            fetch(a.then[0], &tile, I, size)
            weight_tile(a, &tile, scratch, width)
            if width == I:
                update_from(a.then[0], <char*>scratch, tile.o0 * I, tile.o1 * I, size)
            else:
                for o in range(tile.o0, tile.o1):
                    update_from(a.then[0], <char*>scratch + (o - tile.o0) * width * size, o * I + tile.i0, o * I + tile.i1, size)
        elif a.buf[2] != NULL:
            dw = <char*>a.buf[2] + (tile.o0 * I + tile.i0) * size
            weight_tile(a, &tile, dw, I)
        if a.then[2] != NULL:
            a.then[2].run(a.then[2], t, t + 1)
        if tile.i0 == 0 and a.buf[3] != NULL:
            db = <char*>bias if a.then[1] != NULL else <char*>a.buf[3] + tile.o0 * size
            if a.real == 0:
                bias_tile_f32(<float*>a.buf[1], a.dim[0], a.dim[2], tile.o0, tile.o1, <float*>db)
            else:
                bias_tile_f64(<double*>a.buf[1], a.dim[0], a.dim[2], tile.o0, tile.o1, <double*>db)
            if a.then[1] != NULL:
                update_from(a.then[1], db, tile.o0, tile.o1, size)


define("linear_pack", linear_pack_entry)
define("linear_forward", linear_forward_entry)
define("linear_backward_input", linear_backward_input_entry)
define("linear_backward_weight", linear_backward_weight_entry)
