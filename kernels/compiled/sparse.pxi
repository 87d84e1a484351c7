# --- dense layers on sparse rows
cdef extern from "kernels.h" nogil:
    void cut_rows_f32(const int64_t*, const int64_t*, int64_t*, Py_ssize_t, Py_ssize_t, Py_ssize_t)
    void sparse_linear_forward_f32(const int64_t*, const int64_t*, const float*, const float*, const float*, float*, const float*,
                                   Py_ssize_t, Py_ssize_t, Py_ssize_t, Py_ssize_t)
    void sparse_linear_forward_f64(const int64_t*, const int64_t*, const double*, const double*, const double*, double*, const double*,
                                   Py_ssize_t, Py_ssize_t, Py_ssize_t, Py_ssize_t)
    void sparse_weight_tile_f32(const int64_t*, const float*, const int64_t*, Py_ssize_t, const float*, Py_ssize_t, Py_ssize_t, Py_ssize_t,
                                Py_ssize_t, Py_ssize_t, Py_ssize_t, Py_ssize_t, float*, Py_ssize_t)
    void sparse_weight_tile_f64(const int64_t*, const double*, const int64_t*, Py_ssize_t, const double*, Py_ssize_t, Py_ssize_t, Py_ssize_t,
                                Py_ssize_t, Py_ssize_t, Py_ssize_t, Py_ssize_t, double*, Py_ssize_t)


cdef void gather_spans_entry(vv_args* a, Py_ssize_t lo, Py_ssize_t hi) noexcept nogil:
    cdef const int64_t* rows = <int64_t*>a.buf[0]
    cdef const int64_t* index = <int64_t*>a.buf[1]
    cdef int64_t* y = <int64_t*>a.buf[2]
    cdef Py_ssize_t n
    for n in range(lo, hi):
        y[2 * n], y[2 * n + 1] = rows[2 * index[n]], rows[2 * index[n] + 1]


cdef void sparse_linear_forward_entry(vv_args* a, Py_ssize_t lo, Py_ssize_t hi) noexcept nogil:
    cdef const int64_t* rows = <int64_t*>a.buf[0]
    cdef const int64_t* columns = <int64_t*>a.buf[1]
    if a.buf[6] != NULL:
        cut_rows_f32(rows, columns, <int64_t*>a.buf[6], tile_columns_of(a.dim) + 1, lo, hi)
    if a.real == 0:
        sparse_linear_forward_f32(rows, columns, <float*>a.buf[2], <float*>a.buf[3], <float*>a.buf[4], <float*>a.buf[5],
                                  <float*>a.buf[7], a.dim[1], a.dim[2], lo, hi)
    else:
        sparse_linear_forward_f64(rows, columns, <double*>a.buf[2], <double*>a.buf[3], <double*>a.buf[4], <double*>a.buf[5],
                                  <double*>a.buf[7], a.dim[1], a.dim[2], lo, hi)


cdef inline Py_ssize_t tile_columns_of(const int64_t* dim) noexcept nogil:
    return max((dim[1] + TILE_COLUMNS - 1) // TILE_COLUMNS, 1)


cdef struct Tile:
    Py_ssize_t o0, o1, i0, i1


cdef inline void sparse_weight_tile(vv_args* a, Tile* t, void* dw, Py_ssize_t ld) noexcept nogil:
    cdef const int64_t* columns = <int64_t*>a.buf[0]
    cdef const int64_t* cuts = <int64_t*>a.buf[2]
    cdef Py_ssize_t count = tile_columns_of(a.dim) + 1, most = vv_chunk_rows(a.dim[0], a.dim[1] * a.dim[2])
    if a.real == 0:
        sparse_weight_tile_f32(columns, <float*>a.buf[1], cuts, count, <float*>a.buf[3], a.dim[0], most, a.dim[2], t.o0, t.o1, t.i0, t.i1,
                               <float*>dw, ld)
    else:
        sparse_weight_tile_f64(columns, <double*>a.buf[1], cuts, count, <double*>a.buf[3], a.dim[0], most, a.dim[2], t.o0, t.o1, t.i0, t.i1,
                               <double*>dw, ld)


cdef void sparse_backward_weight_entry(vv_args* a, Py_ssize_t lo, Py_ssize_t hi) noexcept nogil:
    """Tile by tile, with the chained updates of linear_backward_weight, and the packed form of what was updated: the next forward reads
    few of its lines, so that packing in passing would cost more than all the rest."""
    cdef double scratch[TILE_ROWS * TILE_COLUMNS]
    cdef Py_ssize_t o, row, i0, I = a.dim[1], size = 4 if a.real == 0 else 8, width
    cdef Tile tile
    cdef vv_args* update = a.then[0]
    o = lo
    while o < hi:
        tile.o0, tile.o1 = o, min(o + TILE_ROWS, hi)
        i0 = 0
        while i0 < I:
            tile.i0, tile.i1 = i0, min(i0 + TILE_COLUMNS, I)
            width = tile.i1 - i0
            if update == NULL:
                sparse_weight_tile(a, &tile, <char*>a.buf[4] + (o * I + i0) * size, I)
            else:
                sparse_weight_tile(a, &tile, scratch, width)
                for row in range(o, tile.o1):
                    update_from(update, <char*>scratch + (row - o) * width * size, row * I + i0, row * I + tile.i1, size)
            i0 += TILE_COLUMNS
        if a.then[2] != NULL:
            a.then[2].run(a.then[2], tile.o0, tile.o1)
        o += TILE_ROWS
    if a.buf[5] != NULL:
        bias_gradient(a, a.buf[3], a.buf[5], lo, hi)


define("gather_spans", gather_spans_entry)
define("sparse_linear_forward", sparse_linear_forward_entry)
define("sparse_backward_weight", sparse_backward_weight_entry)
