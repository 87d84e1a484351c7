# --- the user's own functions: machine code that others compiled, called through the address in the scalars (reference/custom.py)
cdef extern from "kernels.h" nogil:
    float row_sum_f32(const float*, Py_ssize_t)
    double row_sum_f64(const double*, Py_ssize_t)
    float common_factor_f32(const float*, Py_ssize_t, int)
    double common_factor_f64(const double*, Py_ssize_t, int)

ctypedef void (*own_map)(const void*, void*, int64_t, const double*) noexcept nogil
ctypedef void (*own_chain)(const void*, const void*, void*, int64_t, const double*) noexcept nogil
ctypedef void (*own_loss)(const void*, const void*, void*, void*, int64_t, const double*) noexcept nogil
ctypedef void (*own_update)(const void*, void*, void*, void*, void*, void*, int64_t, const double*) noexcept nogil

cdef enum:
    OWN_BLOCK = 1024  # elements of a loss whose values wait on the stack for their sums


cdef inline char* place_in(vv_args* a, int i, Py_ssize_t element) noexcept nogil:
    """Where an element of array i stands; NULL where the array is absent."""
    return <char*>a.buf[i] + element * (4 if a.real == 0 else 8) if a.buf[i] != NULL else NULL


cdef void custom_forward_entry(vv_args* a, Py_ssize_t lo, Py_ssize_t hi) noexcept nogil:
    cdef Py_ssize_t W = a.dim[1], at = lo * W, n = (hi - lo) * W
    if a.k[0] == 0:
        memcpy(place_in(a, 1, at), place_in(a, 0, at), n * (4 if a.real == 0 else 8))
    else:
        (<own_map><uintptr_t>a.k[0])(place_in(a, 0, at), place_in(a, 1, at), n, a.s + 1)


cdef void custom_backward_entry(vv_args* a, Py_ssize_t lo, Py_ssize_t hi) noexcept nogil:
    cdef Py_ssize_t W = a.dim[1], at = lo * W, n = (hi - lo) * W
    if a.k[0] == 0:
        memcpy(place_in(a, 2, at), place_in(a, 1, at), n * (4 if a.real == 0 else 8))
    else:
        (<own_chain><uintptr_t>a.k[0])(place_in(a, 0, at), place_in(a, 1, at), place_in(a, 2, at), n, a.s + 1)


cdef inline real own_sum(const real* value, Py_ssize_t n) noexcept nogil:
    if n == 1:
        return value[0]
    if real is float:
        return row_sum_f32(value, n)
    else:
        return row_sum_f64(value, n)


cdef inline real own_common(const real* w, Py_ssize_t rows, int mean) noexcept nogil:
    if real is float:
        return common_factor_f32(w, rows, mean)
    else:
        return common_factor_f64(w, rows, mean)


cdef void own_loss_rows(vv_args* a, Py_ssize_t lo, Py_ssize_t hi, real* value, real* slope) noexcept nogil:
    """Several rows a call where they are short, pieces of OWN_BLOCK of a row that is long."""
    cdef own_loss f = <own_loss><uintptr_t>a.k[0]
    cdef const real* w = <const real*>a.buf[2]
    cdef real* l = <real*>a.buf[3]
    cdef real* dy = <real*>a.buf[4]
    cdef real factor
    cdef int mean = <int>a.k[9]
    cdef Py_ssize_t O = a.dim[2], outputs = O if mean and O > 0 else 1, rows, n, r, i, at, done, piece
    cdef real common = own_common[real](w, a.dim[0], mean)
    n = lo
    while n < hi:
        rows = min(max(OWN_BLOCK // max(O, 1), 1), hi - n)
        for r in range(rows):
            l[n + r] = 0
        done = 0
        while done < rows * O:
            at, piece = n * O + done, min(rows * O - done, OWN_BLOCK)
            if f == NULL:
                memset(value, 0, piece * sizeof(real))
                memset(dy + at if dy != NULL else slope, 0, piece * sizeof(real))
            else:
                f(<real*>a.buf[0] + at, <real*>a.buf[1] + at, value, dy + at if dy != NULL else slope, piece, a.s + 1)
            if rows > 1:
                for r in range(rows):
                    l[n + r] = own_sum[real](value + r * O, O)
            else:
                l[n] += own_sum[real](value, piece)
            done += piece
        for r in range(rows):
            l[n + r] = l[n + r] / <real>outputs
            if dy != NULL:
                factor = (w[n + r] * common if w != NULL else common) * <real>(1.0 / outputs)
                for i in range((n + r) * O, (n + r + 1) * O):
                    dy[i] = dy[i] * factor
        n += rows


cdef void custom_loss_entry(vv_args* a, Py_ssize_t lo, Py_ssize_t hi) noexcept nogil:
    cdef double value[OWN_BLOCK]
    cdef double slope[OWN_BLOCK]
    if a.real == 0:
        own_loss_rows[float](a, lo, hi, <float*>value, <float*>slope)
    else:
        own_loss_rows[double](a, lo, hi, value, slope)


cdef void custom_update_entry(vv_args* a, Py_ssize_t lo, Py_ssize_t hi) noexcept nogil:
    if a.k[0] != 0:
        (<own_update><uintptr_t>a.k[0])(place_in(a, 0, lo), place_in(a, 1, lo), place_in(a, 2, lo), place_in(a, 3, lo), place_in(a, 4, lo),
                                        place_in(a, 5, lo), hi - lo, a.s + 1)


define("custom_forward", custom_forward_entry)
define("custom_backward", custom_backward_entry)
define("custom_loss", custom_loss_entry)
define("custom_update", custom_update_entry)
