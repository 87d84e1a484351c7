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

/* A thread's place at the barrier: how often it has arrived. Two lines each, because neighbours are fetched in pairs. */
typedef struct {
    _Atomic int64_t turn;
    char apart[120];
} vv_place;

static inline void vv_pause(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
}

/* Tries of a waiting thread before it gives its core away: none where there are more threads than cores, since the one that is waited
   for may have none. 8 threads on 2 cores, 64-128-10: 500 us a step with the tries, 34 without. */
static inline int vv_patience(int threads) {
#ifdef _OPENMP
    if (threads > omp_get_num_procs()) return 0;
#endif
    return 2000;
}

/* Arrive at the barrier for the `turn`-th time, and wait there for all others. Each thread writes a line of its own and reads the others':
   one crossing, 50 ns between two cores where a shared counter took 200. Spin, then yield, then sleep: late, because a sleep of 50 us takes
   130, and threads that wait for a millisecond are common where the machine is shared. Yields from 200 to 5000: 784-512-256-10 1600 us a
   step to 1510, 64-128-10 20.3 to 18.6, and no more while another process computes on one of the cores, where 100,000 tries took 2.5 times
   as long. */
enum { VV_YIELDS = 5000 };
static inline void vv_arrive(vv_place *places, int thread, int64_t turn) {
    atomic_store_explicit(&places[thread].turn, turn, memory_order_release);
}
static inline void vv_wait(vv_place *places, int threads, int64_t turn, int patience) {
    for (int other = 0; other < threads; other++)
        for (int tries = 0; atomic_load_explicit(&places[other].turn, memory_order_acquire) < turn; tries++) {
            if (tries < patience) vv_pause();
            else if (tries < patience + VV_YIELDS) sched_yield();
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
            const int thread = omp_get_thread_num(), all = omp_get_num_threads(); /* no barrier here: nobody waits for a thread without work */
            if (thread == 0) ran = all;
            if (all == threads) work(context, thread);
        }
        return ran;
    }
#endif
    work(context, 0);
    return 1;
}
#endif
