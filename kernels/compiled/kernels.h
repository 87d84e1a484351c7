/* The inner kernels of one level, for both types, and the form in which the faces and the engine call them. */
#ifndef VV_KERNELS_H
#define VV_KERNELS_H
#undef I /* complex.h, which NumPy includes, takes the letter; here it is the number of inputs */
#include "args.h"
#include "maps.h"
#include "noise.h"
#include "philox.h"
#include "simd.h"
#include "team.h"
#include "vmath.h"

enum { AHEAD = 1024 }; /* bytes after what is read of another core's, that are asked for meanwhile */
enum { CHUNK = 128, TILE_ROWS = 16, TILE_COLUMNS = 1024 }; /* contract.py has the same; a test compares them */

/* Whether this is one of Intel's cores: of those with AVX-512 they have the larger second-level cache, and what lies behind it is farther
   away, than AMD's. No bit depends on it. */
static inline int vv_intel(void) {
#if VV_AVX512
    return __builtin_cpu_is("intel") != 0;
#else
    return 0;
#endif
}

/* Rows of a chunk of the gradient of a weight of so many elements, over `rows` of them: contract.chunk_rows. */
static inline ptrdiff_t vv_chunk_rows(ptrdiff_t rows, ptrdiff_t elements) {
    return rows > CHUNK || elements >= 1 << 17 ? CHUNK : rows > CHUNK / 2 ? CHUNK / 2 : CHUNK / 4;
}

/* Rows of a block where at most `blocks` hold all: a power of two of chunks, so that a block's sum is a part of the tree over all of them. */
static inline ptrdiff_t vv_block_rows(ptrdiff_t rows, ptrdiff_t blocks, ptrdiff_t elements) {
    const ptrdiff_t chunk = vv_chunk_rows(rows, elements);
    ptrdiff_t size = 1;
    while (size * blocks < (rows + chunk - 1) / chunk) size *= 2;
    return size * chunk;
}

static void adam_update_entry(vv_args *, ptrdiff_t, ptrdiff_t), adamw_update_entry(vv_args *, ptrdiff_t, ptrdiff_t);

#define T f32
#define REAL float
#define LANES 16
#include "template.h"
#undef T
#undef REAL
#undef LANES
#define T f64
#define REAL double
#define LANES 8
#include "template.h"
#undef T
#undef REAL
#undef LANES

/* entries that read their arguments themselves */
#define ENTRY(NAME)                                                                                                            \
    static void NAME##_entry(vv_args *a, ptrdiff_t lo, ptrdiff_t hi) {                                                         \
        if (a->real == 0) NAME##_f32(a, lo, hi);                                                                               \
        else NAME##_f64(a, lo, hi);                                                                                            \
    }
ENTRY(sgd_update)
ENTRY(adagrad_update)
ENTRY(adadelta_update)
ENTRY(rmsprop_update)
ENTRY(rprop_update)
ENTRY(adam_update)
ENTRY(adamw_update)
ENTRY(adamax_update)
ENTRY(nadam_update)
ENTRY(radam_update)
ENTRY(lion_update)
ENTRY(average_update)
ENTRY(accumulate)
ENTRY(limit_rows)
ENTRY(weight_parts)
ENTRY(weight_join)
#undef ENTRY
#include "maps_entries.h"
#endif
