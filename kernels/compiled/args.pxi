# The C side of args.h and kernels.h.
cdef extern from "args.h":
    enum:
        VV_BUFFERS
        VV_SCALARS
        VV_DIMS
        VV_THEN
        VV_ROWS
        VV_OUTPUTS
        VV_FLAT
        VV_ALL
        VV_UNITS
        VV_PART
        VV_EACH
        VV_PRIVATE
        VV_ROW_STREAM
        VV_STEP_STREAM
        VV_SPACES
    ctypedef struct vv_args
    ctypedef void (*vv_entry)(vv_args*, Py_ssize_t, Py_ssize_t) noexcept nogil
    ctypedef struct vv_args:
        void* buf[8]
        double s[16]
        int64_t k[16]
        int64_t dim[4]
        int64_t part[2]
        vv_args* then[3]
        vv_entry run
        int32_t real
        int32_t source
    ctypedef struct vv_record:
        int32_t op
        int32_t real
        int32_t source
        int32_t over
        int32_t cut
        int32_t phase
        int32_t chained
        int32_t then[3]
        int64_t buf[8]
        int64_t dim[4]
        double s[16]
        int64_t k[16]
        int32_t slot[16]

cdef extern from "kernels.h":
    enum:
        TILE_ROWS
        TILE_COLUMNS
        CHUNK
        PANEL_f32 "16"
        PANEL_f64 "8"
    Py_ssize_t vv_block_rows(Py_ssize_t, Py_ssize_t, Py_ssize_t) nogil
