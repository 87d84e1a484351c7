# --- losses beside cross-entropy and squared error: one form for all, so each is an entry of two lines
ctypedef void (*loss_f32)(const float*, const void*, const float*, const float*, float*, float*, Py_ssize_t, Py_ssize_t, Py_ssize_t,
                          Py_ssize_t, int, const double*, const int64_t*) noexcept nogil
ctypedef void (*loss_f64)(const double*, const void*, const double*, const double*, double*, double*, Py_ssize_t, Py_ssize_t, Py_ssize_t,
                          Py_ssize_t, int, const double*, const int64_t*) noexcept nogil

cdef extern from "kernels.h" nogil:
    void absolute_error_f32()
    void absolute_error_f64()
    void huber_error_f32()
    void huber_error_f64()
    void quantile_error_f32()
    void quantile_error_f64()
    void poisson_error_f32()
    void poisson_error_f64()
    void tweedie_error_f32()
    void tweedie_error_f64()
    void hinge_error_f32()
    void hinge_error_f64()
    void hinge_embedding_error_f32()
    void hinge_embedding_error_f64()
    void kl_divergence_f32()
    void kl_divergence_f64()
    void weighted_binary_cross_entropy_logits_f32()
    void weighted_binary_cross_entropy_logits_f64()
    void sigmoid_focal_f32()
    void sigmoid_focal_f64()
    void gaussian_nll_f32()
    void gaussian_nll_f64()
    void softmax_focal_f32()
    void softmax_focal_f64()
    void multi_margin_f32()
    void multi_margin_f64()


cdef inline void row_losses(vv_args* a, Py_ssize_t lo, Py_ssize_t hi, void* single, void* wide, int mean, bint vector) noexcept nogil:
    """mean: the place of that scalar; vector: whether a vector over the outputs stands behind the row weights."""
    cdef void** out = a.buf + (4 if vector else 3)
    cdef void* c = a.buf[3] if vector else NULL
    if a.real == 0:
        (<loss_f32>single)(<float*>a.buf[0], a.buf[1], <float*>a.buf[2], <float*>c, <float*>out[0], <float*>out[1], a.dim[0], a.dim[2],
                           lo, hi, <int>a.k[mean], a.s, a.k)
    else:
        (<loss_f64>wide)(<double*>a.buf[0], a.buf[1], <double*>a.buf[2], <double*>c, <double*>out[0], <double*>out[1], a.dim[0], a.dim[2],
                         lo, hi, <int>a.k[mean], a.s, a.k)


cdef void absolute_error_entry(vv_args* a, Py_ssize_t lo, Py_ssize_t hi) noexcept nogil:
    row_losses(a, lo, hi, <void*>absolute_error_f32, <void*>absolute_error_f64, 0, False)


cdef void huber_error_entry(vv_args* a, Py_ssize_t lo, Py_ssize_t hi) noexcept nogil:
    row_losses(a, lo, hi, <void*>huber_error_f32, <void*>huber_error_f64, 2, False)


cdef void quantile_error_entry(vv_args* a, Py_ssize_t lo, Py_ssize_t hi) noexcept nogil:
    row_losses(a, lo, hi, <void*>quantile_error_f32, <void*>quantile_error_f64, 0, True)


cdef void poisson_error_entry(vv_args* a, Py_ssize_t lo, Py_ssize_t hi) noexcept nogil:
    row_losses(a, lo, hi, <void*>poisson_error_f32, <void*>poisson_error_f64, 3, False)


cdef void tweedie_error_entry(vv_args* a, Py_ssize_t lo, Py_ssize_t hi) noexcept nogil:
    row_losses(a, lo, hi, <void*>tweedie_error_f32, <void*>tweedie_error_f64, 3, False)


cdef void hinge_error_entry(vv_args* a, Py_ssize_t lo, Py_ssize_t hi) noexcept nogil:
    row_losses(a, lo, hi, <void*>hinge_error_f32, <void*>hinge_error_f64, 2, False)


cdef void hinge_embedding_error_entry(vv_args* a, Py_ssize_t lo, Py_ssize_t hi) noexcept nogil:
    row_losses(a, lo, hi, <void*>hinge_embedding_error_f32, <void*>hinge_embedding_error_f64, 1, False)


cdef void kl_divergence_entry(vv_args* a, Py_ssize_t lo, Py_ssize_t hi) noexcept nogil:
    row_losses(a, lo, hi, <void*>kl_divergence_f32, <void*>kl_divergence_f64, 2, False)


cdef void weighted_binary_cross_entropy_logits_entry(vv_args* a, Py_ssize_t lo, Py_ssize_t hi) noexcept nogil:
    row_losses(a, lo, hi, <void*>weighted_binary_cross_entropy_logits_f32, <void*>weighted_binary_cross_entropy_logits_f64, 0, True)


cdef void sigmoid_focal_entry(vv_args* a, Py_ssize_t lo, Py_ssize_t hi) noexcept nogil:
    row_losses(a, lo, hi, <void*>sigmoid_focal_f32, <void*>sigmoid_focal_f64, 2, False)


cdef void gaussian_nll_entry(vv_args* a, Py_ssize_t lo, Py_ssize_t hi) noexcept nogil:
    row_losses(a, lo, hi, <void*>gaussian_nll_f32, <void*>gaussian_nll_f64, 3, False)


cdef void softmax_focal_entry(vv_args* a, Py_ssize_t lo, Py_ssize_t hi) noexcept nogil:
    row_losses(a, lo, hi, <void*>softmax_focal_f32, <void*>softmax_focal_f64, 1, False)


cdef void multi_margin_entry(vv_args* a, Py_ssize_t lo, Py_ssize_t hi) noexcept nogil:
    row_losses(a, lo, hi, <void*>multi_margin_f32, <void*>multi_margin_f64, 2, True)


define("absolute_error", absolute_error_entry)
define("huber_error", huber_error_entry)
define("quantile_error", quantile_error_entry)
define("poisson_error", poisson_error_entry)
define("tweedie_error", tweedie_error_entry)
define("hinge_error", hinge_error_entry)
define("hinge_embedding_error", hinge_embedding_error_entry)
define("kl_divergence", kl_divergence_entry)
define("weighted_binary_cross_entropy_logits", weighted_binary_cross_entropy_logits_entry)
define("sigmoid_focal", sigmoid_focal_entry)
define("gaussian_nll", gaussian_nll_entry)
define("softmax_focal", softmax_focal_entry)
define("multi_margin", multi_margin_entry)
