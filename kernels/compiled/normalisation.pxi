# --- normalisation and learned slopes. Units of the sums over rows are columns.
cdef extern from "kernels.h" nogil:
    void batch_statistics_f32(const float*, Py_ssize_t, Py_ssize_t, Py_ssize_t, Py_ssize_t, float*, float*, float*, float)
    void batch_statistics_f64(const double*, Py_ssize_t, Py_ssize_t, Py_ssize_t, Py_ssize_t, double*, double*, double*, double)
    void batch_norm_backward_weight_f32(const float*, const float*, Py_ssize_t, Py_ssize_t, Py_ssize_t, Py_ssize_t, const float*,
                                       const float*, float*, float*)
    void batch_norm_backward_weight_f64(const double*, const double*, Py_ssize_t, Py_ssize_t, Py_ssize_t, Py_ssize_t, const double*,
                                       const double*, double*, double*)
    void layer_norm_backward_weight_f32(const float*, const float*, Py_ssize_t, Py_ssize_t, Py_ssize_t, Py_ssize_t, const float*,
                                       const float*, float*, float*)
    void layer_norm_backward_weight_f64(const double*, const double*, Py_ssize_t, Py_ssize_t, Py_ssize_t, Py_ssize_t, const double*,
                                       const double*, double*, double*)
    void prelu_backward_weight_f32(const float*, const float*, Py_ssize_t, Py_ssize_t, Py_ssize_t, Py_ssize_t, float*)
    void prelu_backward_weight_f64(const double*, const double*, Py_ssize_t, Py_ssize_t, Py_ssize_t, Py_ssize_t, double*)
    void normalize_columns_f32(const float*, const float*, const float*, const float*, const float*, float*, Py_ssize_t, Py_ssize_t,
                              Py_ssize_t)
    void normalize_columns_f64(const double*, const double*, const double*, const double*, const double*, double*, Py_ssize_t,
                              Py_ssize_t, Py_ssize_t)
    void batch_norm_backward_input_f32(const float*, const float*, const float*, const float*, const float*, const float*,
                                      const float*, float*, Py_ssize_t, Py_ssize_t, Py_ssize_t, Py_ssize_t)
    void batch_norm_backward_input_f64(const double*, const double*, const double*, const double*, const double*, const double*,
                                      const double*, double*, Py_ssize_t, Py_ssize_t, Py_ssize_t, Py_ssize_t)
    void scale_columns_f32(const float*, const float*, const float*, float*, Py_ssize_t, Py_ssize_t, Py_ssize_t)
    void scale_columns_f64(const double*, const double*, const double*, double*, Py_ssize_t, Py_ssize_t, Py_ssize_t)
    void layer_norm_forward_f32(const float*, const float*, const float*, float*, float*, float*, Py_ssize_t, Py_ssize_t, Py_ssize_t,
                               float, int)
    void layer_norm_forward_f64(const double*, const double*, const double*, double*, double*, double*, Py_ssize_t, Py_ssize_t,
                               Py_ssize_t, double, int)
    void layer_norm_backward_input_f32(const float*, const float*, const float*, const float*, const float*, float*, Py_ssize_t,
                                      Py_ssize_t, Py_ssize_t, int)
    void layer_norm_backward_input_f64(const double*, const double*, const double*, const double*, const double*, double*, Py_ssize_t,
                                      Py_ssize_t, Py_ssize_t, int)
    void prelu_forward_f32(const float*, const float*, float*, Py_ssize_t, Py_ssize_t, Py_ssize_t)
    void prelu_forward_f64(const double*, const double*, double*, Py_ssize_t, Py_ssize_t, Py_ssize_t)
    void prelu_backward_input_f32(const float*, const float*, const float*, float*, Py_ssize_t, Py_ssize_t, Py_ssize_t)
    void inverse_deviation_f32(const float*, float*, Py_ssize_t, float)
    void inverse_deviation_f64(const double*, double*, Py_ssize_t, double)
    void running_update_f32(const float*, const float*, float*, float*, Py_ssize_t, double)
    void running_update_f64(const double*, const double*, double*, double*, Py_ssize_t, double)
    void prelu_backward_input_f64(const double*, const double*, const double*, double*, Py_ssize_t, Py_ssize_t, Py_ssize_t)


cdef void batch_statistics_entry(vv_args* a, Py_ssize_t lo, Py_ssize_t hi) noexcept nogil:
    if a.real == 0:
        batch_statistics_f32(<float*>a.buf[0], a.dim[0], a.dim[2], lo, hi, <float*>a.buf[1], <float*>a.buf[2], <float*>a.buf[3],
                             <float>a.s[0])
    else:
        batch_statistics_f64(<double*>a.buf[0], a.dim[0], a.dim[2], lo, hi, <double*>a.buf[1], <double*>a.buf[2], <double*>a.buf[3],
                             <double>a.s[0])


cdef void batch_norm_backward_weight_entry(vv_args* a, Py_ssize_t lo, Py_ssize_t hi) noexcept nogil:
    if a.real == 0:
        batch_norm_backward_weight_f32(<float*>a.buf[0], <float*>a.buf[1], a.dim[0], a.dim[2], lo, hi, <float*>a.buf[2], <float*>a.buf[3],
                                       <float*>a.buf[4], <float*>a.buf[5])
    else:
        batch_norm_backward_weight_f64(<double*>a.buf[0], <double*>a.buf[1], a.dim[0], a.dim[2], lo, hi, <double*>a.buf[2],
                                       <double*>a.buf[3], <double*>a.buf[4], <double*>a.buf[5])


cdef void layer_norm_backward_weight_entry(vv_args* a, Py_ssize_t lo, Py_ssize_t hi) noexcept nogil:
    if a.real == 0:
        layer_norm_backward_weight_f32(<float*>a.buf[0], <float*>a.buf[1], a.dim[0], a.dim[2], lo, hi, <float*>a.buf[2], <float*>a.buf[3],
                                       <float*>a.buf[4], <float*>a.buf[5])
    else:
        layer_norm_backward_weight_f64(<double*>a.buf[0], <double*>a.buf[1], a.dim[0], a.dim[2], lo, hi, <double*>a.buf[2],
                                       <double*>a.buf[3], <double*>a.buf[4], <double*>a.buf[5])


cdef void prelu_backward_weight_entry(vv_args* a, Py_ssize_t lo, Py_ssize_t hi) noexcept nogil:
    if a.real == 0:
        prelu_backward_weight_f32(<float*>a.buf[0], <float*>a.buf[1], a.dim[0], a.dim[2], lo, hi, <float*>a.buf[2])
    else:
        prelu_backward_weight_f64(<double*>a.buf[0], <double*>a.buf[1], a.dim[0], a.dim[2], lo, hi, <double*>a.buf[2])


cdef void normalize_columns_entry(vv_args* a, Py_ssize_t lo, Py_ssize_t hi) noexcept nogil:
    if a.real == 0:
        normalize_columns_f32(<float*>a.buf[0], <float*>a.buf[1], <float*>a.buf[2], <float*>a.buf[3], <float*>a.buf[4], <float*>a.buf[5],
                              a.dim[1], lo, hi)
    else:
        normalize_columns_f64(<double*>a.buf[0], <double*>a.buf[1], <double*>a.buf[2], <double*>a.buf[3], <double*>a.buf[4],
                              <double*>a.buf[5], a.dim[1], lo, hi)


cdef void batch_norm_backward_input_entry(vv_args* a, Py_ssize_t lo, Py_ssize_t hi) noexcept nogil:
    if a.real == 0:
        batch_norm_backward_input_f32(<float*>a.buf[0], <float*>a.buf[1], <float*>a.buf[2], <float*>a.buf[3], <float*>a.buf[4],
                                      <float*>a.buf[5], <float*>a.buf[6], <float*>a.buf[7], a.dim[0], a.dim[1], lo, hi)
    else:
        batch_norm_backward_input_f64(<double*>a.buf[0], <double*>a.buf[1], <double*>a.buf[2], <double*>a.buf[3], <double*>a.buf[4],
                                      <double*>a.buf[5], <double*>a.buf[6], <double*>a.buf[7], a.dim[0], a.dim[1], lo, hi)


cdef void scale_columns_entry(vv_args* a, Py_ssize_t lo, Py_ssize_t hi) noexcept nogil:
    if a.real == 0:
        scale_columns_f32(<float*>a.buf[0], <float*>a.buf[1], <float*>a.buf[2], <float*>a.buf[3], a.dim[1], lo, hi)
    else:
        scale_columns_f64(<double*>a.buf[0], <double*>a.buf[1], <double*>a.buf[2], <double*>a.buf[3], a.dim[1], lo, hi)


cdef void layer_norm_forward_entry(vv_args* a, Py_ssize_t lo, Py_ssize_t hi) noexcept nogil:
    if a.real == 0:
        layer_norm_forward_f32(<float*>a.buf[0], <float*>a.buf[1], <float*>a.buf[2], <float*>a.buf[3], <float*>a.buf[4], <float*>a.buf[5],
                               a.dim[1], lo, hi, <float>a.s[0], <int>a.k[1])
    else:
        layer_norm_forward_f64(<double*>a.buf[0], <double*>a.buf[1], <double*>a.buf[2], <double*>a.buf[3], <double*>a.buf[4],
                               <double*>a.buf[5], a.dim[1], lo, hi, <double>a.s[0], <int>a.k[1])


cdef void layer_norm_backward_input_entry(vv_args* a, Py_ssize_t lo, Py_ssize_t hi) noexcept nogil:
    if a.real == 0:
        layer_norm_backward_input_f32(<float*>a.buf[0], <float*>a.buf[1], <float*>a.buf[2], <float*>a.buf[3], <float*>a.buf[4],
                                      <float*>a.buf[5], a.dim[1], lo, hi, <int>a.k[0])
    else:
        layer_norm_backward_input_f64(<double*>a.buf[0], <double*>a.buf[1], <double*>a.buf[2], <double*>a.buf[3], <double*>a.buf[4],
                                      <double*>a.buf[5], a.dim[1], lo, hi, <int>a.k[0])


cdef void prelu_forward_entry(vv_args* a, Py_ssize_t lo, Py_ssize_t hi) noexcept nogil:
    if a.real == 0:
        prelu_forward_f32(<float*>a.buf[0], <float*>a.buf[1], <float*>a.buf[2], a.dim[1], lo, hi)
    else:
        prelu_forward_f64(<double*>a.buf[0], <double*>a.buf[1], <double*>a.buf[2], a.dim[1], lo, hi)


cdef void prelu_backward_input_entry(vv_args* a, Py_ssize_t lo, Py_ssize_t hi) noexcept nogil:
    if a.real == 0:
        prelu_backward_input_f32(<float*>a.buf[0], <float*>a.buf[1], <float*>a.buf[2], <float*>a.buf[3], a.dim[1], lo, hi)
    else:
        prelu_backward_input_f64(<double*>a.buf[0], <double*>a.buf[1], <double*>a.buf[2], <double*>a.buf[3], a.dim[1], lo, hi)


define("batch_statistics", batch_statistics_entry)
define("batch_norm_backward_weight", batch_norm_backward_weight_entry)
define("layer_norm_backward_weight", layer_norm_backward_weight_entry)
define("prelu_backward_weight", prelu_backward_weight_entry)
define("normalize_columns", normalize_columns_entry)
define("batch_norm_backward_input", batch_norm_backward_input_entry)
define("scale_columns", scale_columns_entry)
define("layer_norm_forward", layer_norm_forward_entry)
define("layer_norm_backward_input", layer_norm_backward_input_entry)
define("prelu_forward", prelu_forward_entry)
define("prelu_backward_input", prelu_backward_input_entry)


cdef void inverse_deviation_entry(vv_args* a, Py_ssize_t lo, Py_ssize_t hi) noexcept nogil:
    if a.real == 0:
        inverse_deviation_f32(<float*>a.buf[0] + lo, <float*>a.buf[1] + lo, hi - lo, <float>a.s[0])
    else:
        inverse_deviation_f64(<double*>a.buf[0] + lo, <double*>a.buf[1] + lo, hi - lo, a.s[0])


cdef void running_update_entry(vv_args* a, Py_ssize_t lo, Py_ssize_t hi) noexcept nogil:
    cdef int64_t* count = <int64_t*>a.buf[4]
    cdef double m = a.s[0]
    count[0] += 1
    if m < 0:
        m = 1.0 / <double>count[0]
    if a.real == 0:
        running_update_f32(<float*>a.buf[0], <float*>a.buf[1], <float*>a.buf[2], <float*>a.buf[3], a.dim[2], m)
    else:
        running_update_f64(<double*>a.buf[0], <double*>a.buf[1], <double*>a.buf[2], <double*>a.buf[3], a.dim[2], m)


cdef void spread_entry(vv_args* a, Py_ssize_t lo, Py_ssize_t hi) noexcept nogil:
    if a.real == 0:
        fill_loop(<float*>a.buf[1] + lo, hi - lo, (<float*>a.buf[0])[0])
    else:
        fill_loop(<double*>a.buf[1] + lo, hi - lo, (<double*>a.buf[0])[0])


cdef void sum_all_entry(vv_args* a, Py_ssize_t lo, Py_ssize_t hi) noexcept nogil:
    if a.real == 0:
        (<float*>a.buf[1])[0] = <float>long_sum_f32(<float*>a.buf[0], NULL, a.dim[0])
    else:
        (<double*>a.buf[1])[0] = long_sum_f64(<double*>a.buf[0], NULL, a.dim[0])


define("inverse_deviation", inverse_deviation_entry)
define("running_update", running_update_entry)
define("spread", spread_entry)
define("sum_all", sum_all_entry)
