/* Arrays that threads keep apart: every thread has a copy in room of its own, and in it a part that is its own.

   A core reads ahead of what it is asked for. Where a row of an array holds what two threads write, each takes lines from the other that way,
   without need, and to write a line that another core has read costs 8 ns, to read one that another has written 7 (Xeon, cores apart). So what
   others need of a part goes to a place where only that stands, the mail; all else stays where no other core looks. */
#ifndef VV_SHARDS_H
#define VV_SHARDS_H
#include "kernels.h"

/* A row of the plan's table (nn/shards.py). A row of the array has `count` parts to share out, of `unit` elements each. */
typedef struct {
    int64_t room, mail, master; /* references; -1 where there is none */
    int64_t rows;               /* -1: the batch's, of which a thread needs those that are its own */
    int64_t count, unit;
    int64_t post, collect;      /* the phase after which a thread lays down its part for the others, and the one before which it takes theirs */
} vv_shard;

/* What a thread knows of it. */
typedef struct {
    vv_shard is;
    char *room, *mail, *master;
    ptrdiff_t size; /* of an element */
    int thread, threads;
} vv_apart;

/* Where the part of `thread` begins when n units are cut into `threads` even parts at multiples of `grain`. */
static inline ptrdiff_t vv_share(ptrdiff_t n, int thread, int threads, ptrdiff_t grain) {
    const ptrdiff_t begin = (n + grain - 1) / grain * thread / threads * grain;
    return begin < n ? begin : n;
}
static inline ptrdiff_t vv_begin(const vv_apart *a, int thread) {
    return vv_share(a->is.count, thread, a->threads, TILE_ROWS) * a->is.unit * a->size;
}
static inline ptrdiff_t vv_across(const vv_apart *a) { return a->is.count * a->is.unit * a->size; }

/* Bytes of short rows, a multiple of 4: a call of memcpy for each takes as long as its copy. */
static inline void vv_copy_rows(char *to, ptrdiff_t to_row, const char *from, ptrdiff_t from_row, ptrdiff_t rows, ptrdiff_t bytes) {
    typedef int32_t line __attribute__((vector_size(VV_BYTES), aligned(4)));
    for (ptrdiff_t r = 0; r < rows; r++, to += to_row, from += from_row) {
        ptrdiff_t i = 0;
        for (; i + VV_BYTES <= bytes; i += VV_BYTES) *(line *)(to + i) = *(const line *)(from + i);
        for (; i < bytes; i += 4) *(int32_t *)(to + i) = *(const int32_t *)(from + i);
    }
}

/* Lay this thread's part down, of a batch of n rows those that are not its own, lo..hi. A part is a block of the mail. */
static void vv_post(const vv_apart *a, ptrdiff_t n, ptrdiff_t lo, ptrdiff_t hi) {
    const ptrdiff_t rows = a->is.rows < 0 ? n : a->is.rows, first = vv_begin(a, a->thread), wide = vv_begin(a, a->thread + 1) - first;
    char *const mail = a->mail + first * rows, *const room = a->room + first;
    if (a->is.rows >= 0) lo = hi = 0;
    vv_copy_rows(mail, wide, room, vv_across(a), lo, wide);
    vv_copy_rows(mail + hi * wide, wide, room + hi * vv_across(a), vv_across(a), rows - hi, wide);
}

/* Take the parts of the others. */
static void vv_collect(const vv_apart *a, ptrdiff_t n, ptrdiff_t lo, ptrdiff_t hi) {
    const ptrdiff_t rows = a->is.rows < 0 ? n : a->is.rows;
    if (a->is.rows >= 0) lo = 0, hi = rows;
    for (int other = 0; other < a->threads; other++) {
        const ptrdiff_t first = vv_begin(a, other), wide = vv_begin(a, other + 1) - first;
        if (other != a->thread)
            vv_copy_rows(a->room + lo * vv_across(a) + first, vv_across(a), a->mail + first * rows + lo * wide, wide, hi - lo, wide);
    }
}

/* Ask for the parts of the others, all rows of them. */
static void vv_ask(const vv_apart *a) {
    for (int other = 0; other < a->threads; other++) {
        const ptrdiff_t first = vv_begin(a, other) * a->is.rows, end = vv_begin(a, other + 1) * a->is.rows;
        for (ptrdiff_t i = first; other != a->thread && i < end; i += 64) __builtin_prefetch(a->mail + i);
    }
}

/* Bring what outlives the run into the room: all of it where others' parts are needed, else this thread's part; and take that back. */
static void vv_bring(const vv_apart *a) {
    const ptrdiff_t first = a->mail ? 0 : vv_begin(a, a->thread), end = a->mail ? vv_across(a) : vv_begin(a, a->thread + 1);
    if (a->master) vv_copy_rows(a->room + first, vv_across(a), a->master + first, vv_across(a), a->is.rows, end - first);
}
static void vv_take_back(const vv_apart *a) {
    const ptrdiff_t first = vv_begin(a, a->thread), end = vv_begin(a, a->thread + 1);
    if (a->master) vv_copy_rows(a->master + first, vv_across(a), a->room + first, vv_across(a), a->is.rows, end - first);
}
#endif
