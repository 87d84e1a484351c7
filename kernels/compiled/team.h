/* One team of threads for a whole run, and the barrier between its phases. */
#ifndef VV_TEAM_H
#define VV_TEAM_H
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <time.h>
#ifdef _OPENMP
#include <omp.h>
#endif

typedef struct {
    _Atomic int arrived;
    _Atomic int turn;
    int size;
} vv_barrier;

static inline void vv_pause(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
}

/* Spin briefly (0.1 us when every thread has a core), then yield, then sleep: with more threads than cores a pure spin costs
   milliseconds, because the thread that is waited for gets no time. */
static inline void vv_wait(vv_barrier *b) {
    if (b->size == 1) return;
    const int turn = atomic_load_explicit(&b->turn, memory_order_acquire);
    if (atomic_fetch_add_explicit(&b->arrived, 1, memory_order_acq_rel) == b->size - 1) {
        atomic_store_explicit(&b->arrived, 0, memory_order_relaxed);
        atomic_store_explicit(&b->turn, turn + 1, memory_order_release);
        return;
    }
    for (int tries = 0; atomic_load_explicit(&b->turn, memory_order_acquire) == turn; tries++) {
        if (tries < 2000) vv_pause();
        else if (tries < 2200) sched_yield();
        else nanosleep(&(struct timespec){0, 50000}, NULL);
    }
}

static inline double vv_now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Call work(context, thread) on `threads` threads at once, exactly that many. Returns how many ran. */
static inline int vv_team(int threads, void (*work)(void *, int), void *context) {
#ifdef _OPENMP
    if (threads > 1) {
        int ran = 0;
        omp_set_dynamic(0);
#pragma omp parallel num_threads(threads)
        {
#pragma omp single
            ran = omp_get_num_threads();
            if (ran == threads) work(context, omp_get_thread_num());
        }
        return ran;
    }
#endif
    work(context, 0);
    return 1;
}
#endif
