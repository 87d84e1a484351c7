/* Arrays that threads keep apart: every thread has a copy in room of its own, and in it a part that is its own.

   A core reads ahead of what it is asked for. Where a row of an array holds what two threads write, each takes lines from the other that way,
   without need, and to write a line that another core has read costs 8 ns, to read one that another has written 7 (Xeon, cores apart). So what
   others need of a part goes to a place where only that stands, the mail; all else stays where no other core looks.

   Lines that one thread writes and another reads cost both, step after step, but where the reader answers in the same lines: it has them, and
   the other will have them when it has read the answer and writes anew. So with two threads weights go through the mail that brought
   values. 64-128-10 at batch 32: 8.3 us a step with a mail for each, 7.4 so. */
#ifndef VV_SHARDS_H
#define VV_SHARDS_H
#include "kernels.h"

/* A row of the plan's table (nn/shards.py). A row of the array has `count` parts to share out, of `unit` elements each. */
typedef struct {
    int64_t room, mail, master; /* references; -1 where there is none */
    int64_t rows;               /* -most: the batch's, so many at most, of which a thread needs those that are its own */
    int64_t count, unit;
    int64_t post, collect;      /* the phase after which a thread lays down its part for the others, and the one before which it takes theirs */
    int64_t through;            /* number of the shard whose mail brings this one's with two threads, or -1 */
} vv_shard;

/* What a thread knows of it. */
typedef struct vv_apart vv_apart;
struct vv_apart {
    vv_shard is;
    char *room, *mail, *master;
    const vv_apart *carrier; /* or NULL */
    ptrdiff_t size;          /* of an element */
    int thread, threads;
};

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

/* Where the part of thread `from` is laid down in a step: a block of the mail. Values of a batch have two mails in turns: the one of the step
   before may hold an answer that was not taken yet. */
static char *vv_letter(const vv_apart *a, int from, int64_t step) {
    const vv_apart *const c = a->carrier ? a->carrier : a;
    const ptrdiff_t most = c->is.rows < 0 ? -c->is.rows : c->is.rows;
    char *const mail = c->is.rows < 0 && step & 1 ? c->mail + most * vv_across(c) : c->mail;
    if (c == a) return mail + vv_begin(a, from) * most;
    const ptrdiff_t first = vv_begin(c, 1 - from), wide = vv_begin(c, 2 - from) - first;
    return mail + first * most + most * from / 2 * wide; /* the rows that it has taken */
}

/* Lay this thread's part down, of a batch of n rows those that are not its own, lo..hi. */
static void vv_post(const vv_apart *a, int64_t step, ptrdiff_t n, ptrdiff_t lo, ptrdiff_t hi) {
    const ptrdiff_t rows = a->is.rows < 0 ? n : a->is.rows, first = vv_begin(a, a->thread), wide = vv_begin(a, a->thread + 1) - first;
    char *const mail = vv_letter(a, a->thread, step), *const room = a->room + first;
    if (a->is.rows >= 0) lo = hi = 0;
    vv_copy_rows(mail, wide, room, vv_across(a), lo, wide);
    vv_copy_rows(mail + hi * wide, wide, room + hi * vv_across(a), vv_across(a), rows - hi, wide);
}

/* Take the parts of the others, which they laid down in this step or in the one before. */
static void vv_collect(const vv_apart *a, int64_t step, ptrdiff_t lo, ptrdiff_t hi) {
    if (a->is.rows >= 0) lo = 0, hi = a->is.rows;
    if (a->is.post >= a->is.collect) step--;
    for (int other = 0; other < a->threads; other++) {
        const ptrdiff_t first = vv_begin(a, other), wide = vv_begin(a, other + 1) - first;
        if (other != a->thread)
            vv_copy_rows(a->room + lo * vv_across(a) + first, vv_across(a), vv_letter(a, other, step) + lo * wide, wide, hi - lo, wide);
    }
}

/* Ask for the parts that the others laid down in the step before. */
static void vv_ask(const vv_apart *a, int64_t step) {
    for (int other = 0; other < a->threads; other++) {
        const ptrdiff_t bytes = (vv_begin(a, other + 1) - vv_begin(a, other)) * a->is.rows;
        const char *const from = vv_letter(a, other, step - 1);
        for (ptrdiff_t i = 0; other != a->thread && i < bytes; i += 64) __builtin_prefetch(from + i);
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
