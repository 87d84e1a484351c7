/* What the faces and the engine call: each row of maps.h on rows lo..hi. */
#define DEFINE_ENTRIES(NAME, VALUE, SLOPE)                                                                                     \
    static void NAME##_forward_entry(vv_args *a, ptrdiff_t lo, ptrdiff_t hi) {                                                 \
        const ptrdiff_t width = a->dim[1], at = lo * width, n = (hi - lo) * width;                                             \
        if (a->real == 0) NAME##_map_f32((float *)a->buf[0] + at, (float *)a->buf[1] + at, n, (float)a->s[0], (float)a->s[1]); \
        else NAME##_map_f64((double *)a->buf[0] + at, (double *)a->buf[1] + at, n, a->s[0], a->s[1]);                          \
    }                                                                                                                          \
    static void NAME##_backward_entry(vv_args *a, ptrdiff_t lo, ptrdiff_t hi) {                                                \
        const ptrdiff_t width = a->dim[1], at = lo * width, n = (hi - lo) * width;                                             \
        if (a->real == 0)                                                                                                      \
            NAME##_slope_map_f32((float *)a->buf[0] + at, (float *)a->buf[1] + at, (float *)a->buf[2] + at, n, (float)a->s[0], \
                                 (float)a->s[1]);                                                                              \
        else                                                                                                                   \
            NAME##_slope_map_f64((double *)a->buf[0] + at, (double *)a->buf[1] + at, (double *)a->buf[2] + at, n, a->s[0],     \
                                 a->s[1]);                                                                                     \
    }
VV_MAPS(DEFINE_ENTRIES)
#undef DEFINE_ENTRIES
#define IN_THE_TABLE(NAME, VALUE, SLOPE) {#NAME, NAME##_forward_entry, NAME##_backward_entry},
static const struct vv_map { const char *name; vv_entry forward, backward; } vv_maps[] = {VV_MAPS(IN_THE_TABLE){NULL, NULL, NULL}};
#undef IN_THE_TABLE
