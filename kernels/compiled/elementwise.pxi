# --- elementwise
cdef extern from "kernels.h" nogil:
    void exp_row_f32(const float*, float*, Py_ssize_t)
    void exp_row_f64(const double*, double*, Py_ssize_t)
    void log_row_f32(const float*, float*, Py_ssize_t)
    void log_row_f64(const double*, double*, Py_ssize_t)
    void erf_row_f32(const float*, float*, Py_ssize_t)
    void erf_row_f64(const double*, double*, Py_ssize_t)
    double long_sum_f32(const float*, const float*, Py_ssize_t)
    double long_sum_f64(const double*, const double*, Py_ssize_t)


cdef void add_loop(const real* a, const real* b, real* y, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n):
        y[i] = a[i] + b[i]


cdef void subtract_loop(const real* a, const real* b, real* y, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n):
        y[i] = a[i] - b[i]


cdef void multiply_loop(const real* a, const real* b, real* y, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n):
        y[i] = a[i] * b[i]


cdef void divide_loop(const real* a, const real* b, real* y, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n):
        y[i] = a[i] / b[i]


cdef void scale_loop(const real* x, real* y, Py_ssize_t n, real factor, real offset) noexcept nogil:
    cdef Py_ssize_t i
    if offset == 0:
        for i in range(n):
            y[i] = factor * x[i]
    else:
        for i in range(n):
            y[i] = factor * x[i] + offset


cdef void fill_loop(real* y, Py_ssize_t n, real value) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n):
        y[i] = value


cdef void power_loop(const real* x, real* y, Py_ssize_t n, real exponent) noexcept nogil:
    cdef Py_ssize_t i
    if exponent == 2:
        for i in range(n):
            y[i] = x[i] * x[i]
    elif real is float:
        for i in range(n):
            y[i] = powf(x[i], exponent)
    else:
        for i in range(n):
            y[i] = pow(x[i], exponent)


cdef void columns_loop(const real* x, real* y, Py_ssize_t x_row, Py_ssize_t y_row, Py_ssize_t rows, Py_ssize_t width,
                       bint adds) noexcept nogil:
    cdef Py_ssize_t n, i
    for n in range(rows):
        if adds:
            for i in range(width):
                y[i] += x[i]
        else:
            memcpy(y, x, width * sizeof(real))
        x += x_row
        y += y_row


# One call over the elements of rows lo..hi: of one array to another, and of two arrays to a third.
ctypedef void (*map_f32)(const float*, float*, Py_ssize_t) noexcept nogil
ctypedef void (*map_f64)(const double*, double*, Py_ssize_t) noexcept nogil
ctypedef void (*pair_f32)(const float*, const float*, float*, Py_ssize_t) noexcept nogil
ctypedef void (*pair_f64)(const double*, const double*, double*, Py_ssize_t) noexcept nogil


cdef inline void mapped(vv_args* a, Py_ssize_t lo, Py_ssize_t hi, map_f32 single, map_f64 wide) noexcept nogil:
    cdef Py_ssize_t W = a.dim[1], at = lo * W, n = (hi - lo) * W
    if a.real == 0:
        single(<float*>a.buf[0] + at, <float*>a.buf[1] + at, n)
    else:
        wide(<double*>a.buf[0] + at, <double*>a.buf[1] + at, n)


cdef inline void pairwise(vv_args* a, Py_ssize_t lo, Py_ssize_t hi, pair_f32 single, pair_f64 wide) noexcept nogil:
    cdef Py_ssize_t W = a.dim[1], at = lo * W, n = (hi - lo) * W
    if a.real == 0:
        single(<float*>a.buf[0] + at, <float*>a.buf[1] + at, <float*>a.buf[2] + at, n)
    else:
        wide(<double*>a.buf[0] + at, <double*>a.buf[1] + at, <double*>a.buf[2] + at, n)


cdef void add_entry(vv_args* a, Py_ssize_t lo, Py_ssize_t hi) noexcept nogil:
    pairwise(a, lo, hi, add_loop[float], add_loop[double])


cdef void subtract_entry(vv_args* a, Py_ssize_t lo, Py_ssize_t hi) noexcept nogil:
    pairwise(a, lo, hi, subtract_loop[float], subtract_loop[double])


cdef void multiply_entry(vv_args* a, Py_ssize_t lo, Py_ssize_t hi) noexcept nogil:
    pairwise(a, lo, hi, multiply_loop[float], multiply_loop[double])


cdef void divide_entry(vv_args* a, Py_ssize_t lo, Py_ssize_t hi) noexcept nogil:
    pairwise(a, lo, hi, divide_loop[float], divide_loop[double])


cdef void power_entry(vv_args* a, Py_ssize_t lo, Py_ssize_t hi) noexcept nogil:
    cdef Py_ssize_t W = a.dim[1], at = lo * W, n = (hi - lo) * W
    if a.real == 0:
        power_loop(<float*>a.buf[0] + at, <float*>a.buf[1] + at, n, <float>a.s[0])
    else:
        power_loop(<double*>a.buf[0] + at, <double*>a.buf[1] + at, n, a.s[0])


cdef void scale_entry(vv_args* a, Py_ssize_t lo, Py_ssize_t hi) noexcept nogil:
    cdef Py_ssize_t W = a.dim[1], at = lo * W, n = (hi - lo) * W
    if a.real == 0:
        scale_loop(<float*>a.buf[0] + at, <float*>a.buf[1] + at, n, <float>a.s[0], <float>a.s[1])
    else:
        scale_loop(<double*>a.buf[0] + at, <double*>a.buf[1] + at, n, a.s[0], a.s[1])


cdef void fill_entry(vv_args* a, Py_ssize_t lo, Py_ssize_t hi) noexcept nogil:
    cdef Py_ssize_t W = a.dim[1], at = lo * W, n = (hi - lo) * W
    if a.real == 0:
        fill_loop(<float*>a.buf[0] + at, n, <float>a.s[0])
    else:
        fill_loop(<double*>a.buf[0] + at, n, a.s[0])


cdef void exp_entry(vv_args* a, Py_ssize_t lo, Py_ssize_t hi) noexcept nogil:
    mapped(a, lo, hi, exp_row_f32, exp_row_f64)


cdef void log_entry(vv_args* a, Py_ssize_t lo, Py_ssize_t hi) noexcept nogil:
    mapped(a, lo, hi, log_row_f32, log_row_f64)


cdef void erf_entry(vv_args* a, Py_ssize_t lo, Py_ssize_t hi) noexcept nogil:
    mapped(a, lo, hi, erf_row_f32, erf_row_f64)


cdef inline void move_columns(vv_args* a, Py_ssize_t lo, Py_ssize_t hi, bint adds) noexcept nogil:
    cdef Py_ssize_t from_ = lo * a.dim[1] + a.k[0], to = lo * a.dim[2] + a.k[1]
    if a.real == 0:
        columns_loop(<float*>a.buf[0] + from_, <float*>a.buf[1] + to, a.dim[1], a.dim[2], hi - lo, a.k[2], adds)
    else:
        columns_loop(<double*>a.buf[0] + from_, <double*>a.buf[1] + to, a.dim[1], a.dim[2], hi - lo, a.k[2], adds)


cdef void copy_columns_entry(vv_args* a, Py_ssize_t lo, Py_ssize_t hi) noexcept nogil:
    move_columns(a, lo, hi, False)


cdef void add_columns_entry(vv_args* a, Py_ssize_t lo, Py_ssize_t hi) noexcept nogil:
    move_columns(a, lo, hi, True)


cdef void total_entry(vv_args* a, Py_ssize_t lo, Py_ssize_t hi) noexcept nogil:
    cdef Py_ssize_t n = a.dim[0] * a.dim[1]
    cdef double* s = <double*>a.buf[1]
    s[0] = long_sum_f32(<float*>a.buf[0], NULL, n) if a.real == 0 else long_sum_f64(<double*>a.buf[0], NULL, n)


cdef void sum_squares_entry(vv_args* a, Py_ssize_t lo, Py_ssize_t hi) noexcept nogil:
    cdef Py_ssize_t n = a.dim[0], chunks = (n + CHUNK - 1) // CHUNK, count = a.dim[2], o, begin, end
    cdef double* s = <double*>a.buf[1]
    for o in range(lo, hi):
        begin, end = min(chunks * o // count * CHUNK, n), min(chunks * (o + 1) // count * CHUNK, n)
        if a.real == 0:
            s[o] = long_sum_f32(<float*>a.buf[0] + begin, <float*>a.buf[0] + begin, end - begin)
        else:
            s[o] = long_sum_f64(<double*>a.buf[0] + begin, <double*>a.buf[0] + begin, end - begin)


cdef void sum_parts_entry(vv_args* a, Py_ssize_t lo, Py_ssize_t hi) noexcept nogil:
    cdef Py_ssize_t o
    cdef double* parts = <double*>a.buf[0]
    cdef double* before = <double*>a.buf[1]
    cdef double* s = <double*>a.buf[2]
    cdef double sum = before[0] if before != NULL else 0.0
    for o in range(a.dim[2]):
        sum += parts[o]
    s[0] = sum


define("add", add_entry)
define("subtract", subtract_entry)
define("multiply", multiply_entry)
define("divide", divide_entry)
define("power", power_entry)
define("scale", scale_entry)
define("fill", fill_entry)
define("exp", exp_entry)
define("log", log_entry)
define("erf", erf_entry)
define("copy_columns", copy_columns_entry)
define("add_columns", add_columns_entry)
define("total", total_entry)
define("sum_squares", sum_squares_entry)
define("sum_parts", sum_parts_entry)
