/* One call of a kernel, as data. A face fills it from Python arguments, the engine from a record; the kernel sees no difference. */
#ifndef VV_ARGS_H
#define VV_ARGS_H
#include <stddef.h>
#include <stdint.h>

enum { VV_BUFFERS = 8, VV_SCALARS = 16, VV_DIMS = 4, VV_THEN = 3 };

typedef struct vv_args vv_args;
typedef void (*vv_entry)(vv_args *, ptrdiff_t lo, ptrdiff_t hi); /* units lo..hi of what the kernel is divided over */

struct vv_args {
    void *buf[VV_BUFFERS];    /* arrays in the order of the signature; NULL where absent */
    double s[VV_SCALARS];     /* scalars in order, as double ... */
    int64_t k[VV_SCALARS];    /* ... and as integers */
    int64_t dim[VV_DIMS];     /* [0] N or P, [1] I or the row width of (*), [2] O or C, [3] M */
    int64_t part[2];          /* a matmul's range of columns across the units; part[1] = 0: all of them */
    vv_args *then[VV_THEN];   /* calls made on each tile while it is hot: update of w, update of b, pack of w */
    vv_entry run;
    int32_t real, source;     /* 0 float32, 1 float64; source is the type of the ":any" array */
};

/* The same as a row of a plan: buffers are (space << 48 | byte offset), -1 where absent; dim -1 is the batch's rows. */
typedef struct {
    int32_t op, real, source, over; /* over: what its units are */
    int32_t cut, phase;             /* cut: how threads share it */
    int32_t chained;                /* run by another record's tiles, not by itself */
    int32_t then[VV_THEN];
    int64_t buf[VV_BUFFERS];
    int64_t dim[VV_DIMS];
    double s[VV_SCALARS];
    int64_t k[VV_SCALARS];
    int32_t slot[VV_SCALARS];       /* column of the hyperparameter table, or -1 */
} vv_record;

enum { VV_ROWS, VV_OUTPUTS, VV_FLAT, VV_ALL };
enum { VV_UNITS, VV_PART, VV_EACH };           /* each thread has units of its own, columns of its own, or does all by itself */
/* Spaces below VV_ROW_STREAM are fixed addresses; a row stream stands at (first row of the batch) * (offset bytes per row),
   a step stream at step * (offset bytes). */
enum { VV_ROW_STREAM = 32, VV_STEP_STREAM = 48, VV_SPACES = 56, VV_PRIVATE = 22 };
#endif
