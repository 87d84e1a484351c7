/* Two threads that share the rows of a batch, each with a copy of the weights and of their gradient in room of its own.

   Of the gradient each thread owns a part: there it adds what the other's rows made, and updates its weights. A core takes about 6 ns to get
   a line that another one has written, and as long to write one that another one has read; so lines go to and fro: what a thread finds in the
   other's gradient it replaces by the new weights, in the same lines, and the other finds those there, and writes its next gradient over
   them. 17-64-64-6 at batch 64: 11.1 us a step with rooms for gradients and weights apart, 9.6 so, the kernels alone 7.6. */
#ifndef VV_REPLICAS_H
#define VV_REPLICAS_H
#include "shards.h"

/* The plan's row (nn/replicas.py): references to a thread's copies and to the weights that outlive the run, how many elements they have, the
   phase whose update reads the sums, and how many records at the beginning of a step do nothing but make rows ready. */
typedef struct {
    int64_t weights, sums, master, count, phase, ready;
} vv_replicas;

/* What a thread knows of them: also the other's sums, which of all elements are its own, and their size. */
typedef struct {
    char *weights, *sums, *master, *theirs;
    ptrdiff_t count, own, end, size;
} vv_replica;

/* Bytes that threads do not share, since a core reads ahead to the end of a page. */
enum { VV_REPLICAS = 2, VV_PAGE = 4096 };

/* Update elements lo..hi of `update`, the first of which is number `first` of all, where `used` threads had rows: both, or the second alone. */
static void vv_update_own(const vv_replica *r, vv_args *update, ptrdiff_t first, ptrdiff_t lo, ptrdiff_t hi, int used) {
    char *const theirs = r->theirs + first * r->size, *const sums = r->sums + first * r->size;
    if (used == VV_REPLICAS) {
        if (r->size == 4) update_pair_f32(update, (float *)theirs, lo, hi);
        else update_pair_f64(update, (double *)theirs, lo, hi);
        return;
    }
    if (r->end < r->count) memcpy(sums + lo * r->size, theirs + lo * r->size, (hi - lo) * r->size);
    update->run(update, lo, hi);
    memcpy(theirs + lo * r->size, (char *)update->buf[1] + lo * r->size, (hi - lo) * r->size);
}

/* Ask for the first of the other's sums, while something else is done. */
static void vv_ask_sums(const vv_replica *r) {
    const char *const first = r->theirs + r->own * r->size;
    for (int i = 0; i < AHEAD; i += 64) __builtin_prefetch(first + i);
}

/* Elements begin..end of the weights that the other thread has laid down. */
static void vv_take(const vv_replica *r, ptrdiff_t begin, ptrdiff_t end) {
    typedef int32_t line __attribute__((vector_size(64), aligned(4)));
    ptrdiff_t i = begin * r->size;
    for (end *= r->size; i + 64 <= end; i += 64) {
        __builtin_prefetch(r->sums + i + AHEAD);
        *(line *)(r->weights + i) = *(const line *)(r->sums + i);
    }
    if (i < end) memcpy(r->weights + i, r->sums + i, end - i);
}
static void vv_take_weights(const vv_replica *r) {
    vv_take(r, 0, r->own);
    vv_take(r, r->end, r->count);
}

/* Bring the weights; also to where the other lays its own down, which it does not with those that are not trained. */
static void vv_bring_weights(const vv_replica *r) {
    memcpy(r->weights, r->master, r->count * r->size);
    memcpy(r->sums, r->master, r->count * r->size);
}
static void vv_return_weights(const vv_replica *r) {
    const ptrdiff_t own = r->own * r->size;
    memcpy(r->master + own, r->weights + own, r->end * r->size - own);
}
#endif
