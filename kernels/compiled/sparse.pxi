# --- dense layers on sparse rows
cdef extern from "kernels.h" nogil:
    void cut_rows_f32(const int64_t*, const int64_t*, int64_t*, Py_ssize_t, Py_ssize_t, Py_ssize_t)
    void sparse_linear_forward_f32(const int64_t*, const int64_t*, const float*, const float*, const float*, float*, const float*,
                                   Py_ssize_t, Py_ssize_t, Py_ssize_t, Py_ssize_t)
    void sparse_linear_forward_f64(const int64_t*, const int64_t*, const double*, const double*, const double*, double*, const double*,
                                   Py_ssize_t, Py_ssize_t, Py_ssize_t, Py_ssize_t)
    void sparse_weight_tile_f32(const int64_t*, const float*, const int64_t*, Py_ssize_t, const float*, Py_ssize_t, Py_ssize_t,
                                Py_ssize_t, Py_ssize_t, Py_ssize_t, Py_ssize_t, float*, Py_ssize_t)
    void sparse_weight_tile_f64(const int64_t*, const double*, const int64_t*, Py_ssize_t, const double*, Py_ssize_t, Py_ssize_t,
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


cdef inline void sparse_weight_tile(vv_args* a, Tile* t, void* dw, Py_ssize_t ld) noexcept nogil:
    cdef const int64_t* columns = <int64_t*>a.buf[0]
    cdef const int64_t* cuts = <int64_t*>a.buf[2]
    cdef Py_ssize_t count = tile_columns_of(a.dim) + 1
    if a.real == 0:
        sparse_weight_tile_f32(columns, <float*>a.buf[1], cuts, count, <float*>a.buf[3], a.dim[0], a.dim[2], t.o0, t.o1, t.i0, t.i1,
                               <float*>dw, ld)
    else:
        sparse_weight_tile_f64(columns, <double*>a.buf[1], cuts, count, <double*>a.buf[3], a.dim[0], a.dim[2], t.o0, t.o1, t.i0, t.i1,
                               <double*>dw, ld)


cdef void sparse_backward_weight_entry(vv_args* a, Py_ssize_t lo, Py_ssize_t hi) noexcept nogil:
    """Tile by tile, with the chained updates of linear_backward_weight."""
    cdef double scratch[TILE_ROWS * TILE_COLUMNS]
    cdef double bias[TILE_ROWS]
    cdef Py_ssize_t t, o, I = a.dim[1], size = 4 if a.real == 0 else 8, width
    cdef Tile tile
    cdef char* db
    for t in range(lo, hi):
        tile = tile_at(t, a.dim)
        width = tile.i1 - tile.i0
        if a.then[0] != NULL:
            fetch(a.then[0], &tile, I, size)
            sparse_weight_tile(a, &tile, scratch, width)
            for o in range(tile.o0, tile.o1):
                update_from(a.then[0], <char*>scratch + (o - tile.o0) * width * size, o * I + tile.i0, o * I + tile.i1, size)
        else:
            sparse_weight_tile(a, &tile, <char*>a.buf[4] + (tile.o0 * I + tile.i0) * size, I)
        if a.then[2] != NULL:
            a.then[2].run(a.then[2], t, t + 1)
        if tile.i0 == 0 and a.buf[5] != NULL:
            db = <char*>bias if a.then[1] != NULL else <char*>a.buf[5] + tile.o0 * size
            if a.real == 0:
                bias_tile_f32(<float*>a.buf[3], a.dim[0], a.dim[2], tile.o0, tile.o1, <float*>db)
            else:
                bias_tile_f64(<double*>a.buf[3], a.dim[0], a.dim[2], tile.o0, tile.o1, <double*>db)
            if a.then[1] != NULL:
                update_from(a.then[1], db, tile.o0, tile.o1, size)


define("gather_spans", gather_spans_entry)
define("sparse_linear_forward", sparse_linear_forward_entry)
define("sparse_backward_weight", sparse_backward_weight_entry)
