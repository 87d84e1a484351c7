# --- checks of values, for the doors of nn and vivace: one pass that allocates nothing. kernels/checks.py has them in NumPy.
cdef bint labels_fit(const int64_t* t, Py_ssize_t n, Py_ssize_t classes) noexcept nogil:
    cdef uint64_t beyond = 0
    cdef Py_ssize_t i
    for i in range(n):
        beyond |= <uint64_t>t[i] >= <uint64_t>classes  # negative ones are large as unsigned
    return beyond == 0


cdef bint all_finite(cnp.ndarray x) noexcept nogil:
    """Whether no exponent has all its bits set; x float32 or float64, C-contiguous."""
    cdef Py_ssize_t i, n = cnp.PyArray_SIZE(x)
    cdef const uint32_t* single = <const uint32_t*>cnp.PyArray_DATA(x)
    cdef const uint64_t* wide = <const uint64_t*>cnp.PyArray_DATA(x)
    cdef uint32_t found = 0
    cdef uint64_t found_wide = 0
    if cnp.PyArray_TYPE(x) == cnp.NPY_FLOAT32:
        for i in range(n):
            found |= (single[i] & 0x7F800000u) == 0x7F800000u
        return found == 0
    for i in range(n):
        found_wide |= (wide[i] & 0x7FF0000000000000u) == 0x7FF0000000000000u
    return found_wide == 0


cdef bint plain(object x, int typenum):
    return (type(x) is cnp.ndarray and cnp.PyArray_TYPE(<cnp.ndarray>x) == typenum
            and cnp.PyArray_CHKFLAGS(<cnp.ndarray>x, cnp.NPY_ARRAY_CARRAY_RO) and cnp.PyArray_ISNOTSWAPPED(<cnp.ndarray>x))


def finite(cnp.ndarray x not None):
    """Whether every element of a C-contiguous float32 or float64 array is finite."""
    return all_finite(x)


def labels_within(cnp.ndarray t not None, Py_ssize_t classes):
    """Whether every element of a C-contiguous int64 array (N,) lies in 0..classes-1."""
    return labels_fit(<const int64_t*>cnp.PyArray_DATA(t), cnp.PyArray_SIZE(t), classes)


def ready_rows(x, Py_ssize_t columns, bint wide):
    """Whether x is a NumPy array that a plan may read as it is: (N, columns), float64 where `wide` else float32, C-contiguous, finite."""
    return (plain(x, cnp.NPY_FLOAT64 if wide else cnp.NPY_FLOAT32) and (<cnp.ndarray>x).ndim == 2
            and (<cnp.ndarray>x).shape[1] == columns and all_finite(<cnp.ndarray>x))


def ready_labels(t, Py_ssize_t classes):
    """Whether t is a NumPy array (N,) of int64, contiguous, all in 0..classes-1."""
    return (plain(t, cnp.NPY_INT64) and (<cnp.ndarray>t).ndim == 1
            and labels_fit(<const int64_t*>cnp.PyArray_DATA(<cnp.ndarray>t), (<cnp.ndarray>t).shape[0], classes))
