/* SPDX-License-Identifier: BSD-2-Clause */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif
#include "engine/team.h"
#include "base/checked.h"
#include "engine/numa.h"
#include "engine/topology.h"

#include <string.h>

#ifndef MBR_NO_THREADS
#include <pthread.h>
#include <time.h>
#endif

/* How long a helper spins for the next job before it parks: while nobody runs, and through a run's serial stretches. */
#define SPIN_NS 50000
#define RUN_SPIN_NS 500000

#define MOST_THREADS 1024

#ifndef MBR_NO_THREADS
typedef struct team_helper {
    pthread_t thread;
    mbr_team *team;
    int worker;
} team_helper;

/* A worker's own stretch of a job's tiles, on a cache line of its own. Others take from it when theirs is done. */
typedef struct team_share {
    _Alignas(64) atomic_size_t next;
    size_t end;
} team_share;
#endif

struct mbr_team {
    mbr_memory *memory;
    int size;
    mbr_numa *numa;            /* NULL: all on one node */
#ifndef MBR_NO_THREADS
    team_helper *helpers;      /* (size - 1) */
    team_share *shares;        /* (size) */
    int started;               /* helpers that run; -1: never started. For the holder only */
    unsigned born;             /* fork generation in which they were started */
    atomic_uint holder;        /* 0: nobody; else the fork generation + 1 of whoever runs a job */
    pthread_mutex_t lock;      /* for parking only */
    pthread_cond_t wake;
    int parked;
    unsigned calls;            /* how often a run called the parked ones; under lock */
    atomic_int runs;           /* between mbr_team_begin and mbr_team_end */
    atomic_uint job;           /* counts jobs: a change is the call to work */
    atomic_bool open;          /* the job may be joined */
    atomic_int active;         /* helpers that may look at the job's fields */
    atomic_bool quit;
    /* the job */
    int workers;
    size_t grain;
    atomic_bool stopped;
    mbr_team_fn fn;
    void *user;
    const atomic_bool *cancel;
    uint64_t float_mode;       /* of the caller: every thread computes as it does */
#endif
};

static bool stop_asked(const atomic_bool *cancel)
{
    return cancel && atomic_load_explicit(cancel, memory_order_relaxed);
}

static bool run_alone(size_t tiles, size_t grain, mbr_team_fn fn, void *user, const atomic_bool *cancel)
{
    for (size_t at = 0; at < tiles; at += grain) {
        size_t end = tiles - at < grain ? tiles : at + grain;
        if (stop_asked(cancel) || !fn(user, at, end, 0))
            return false;
    }
    return true;
}

#ifdef MBR_NO_THREADS

mbr_status mbr_team_new(mbr_memory *memory, int threads, mbr_team **out, mbr_error *err)
{
    (void)threads;
    *out = mbr_calloc(memory, 1, sizeof **out);
    if (!*out)
        return mbr_no_memory(err, sizeof **out);
    (*out)->memory = memory;
    (*out)->size = 1;
    return MBR_OK;
}

void mbr_team_free(mbr_team *team)
{
    if (team)
        mbr_free(team->memory, team);
}

bool mbr_team_run(mbr_team *team, int workers, size_t tiles, size_t grain, mbr_team_fn fn, void *user,
                  const atomic_bool *cancel)
{
    (void)team;
    (void)workers;
    return run_alone(tiles, grain ? grain : 1, fn, user, cancel);
}

void mbr_team_begin(mbr_team *team)
{
    (void)team;
}

void mbr_team_end(mbr_team *team)
{
    (void)team;
}

#else

/* Threads do not survive a fork: a team born before one starts its helpers anew. */
static atomic_uint fork_generation;
static pthread_once_t fork_once = PTHREAD_ONCE_INIT;

static void after_fork(void)
{
    atomic_fetch_add(&fork_generation, 1);
}

static void watch_forks(void)
{
    pthread_atfork(NULL, NULL, after_fork);
}

static void relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ __volatile__("isb" ::: "memory");
#endif
}

/* Rounding, denormals, traps: all of the control register but the flags of what happened. */
#if defined(__x86_64__)
#define FLOAT_FLAGS 0x3fu

static uint64_t float_mode(void)
{
    return __builtin_ia32_stmxcsr() & ~FLOAT_FLAGS;
}

static void set_float_mode(uint64_t mode)
{
    __builtin_ia32_ldmxcsr((unsigned)mode);
}
#elif defined(__aarch64__)
static uint64_t float_mode(void)
{
    uint64_t mode;
    __asm__ __volatile__("mrs %0, fpcr" : "=r"(mode));
    return mode;
}

static void set_float_mode(uint64_t mode)
{
    __asm__ __volatile__("msr fpcr, %0" ::"r"(mode));
}
#else
static uint64_t float_mode(void)
{
    return 0;
}

static void set_float_mode(uint64_t mode)
{
    (void)mode;
}
#endif

static int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/*
 * Stretches begin and end where grains do. The same worker has the same part of every job: what it wrote in one it finds
 * in its caches in the next.
 */
static void share_out(mbr_team *t, size_t tiles, size_t grain, int workers)
{
    size_t grains = (tiles + grain - 1) / grain, n = (size_t)workers;
    for (size_t w = 0; w < n; w++) {
        size_t first = grains / n * w + mbr_min_size(w, grains % n), count = grains / n + (w < grains % n);
        atomic_store_explicit(&t->shares[w].next, first * grain, memory_order_relaxed);
        t->shares[w].end = mbr_min_size((first + count) * grain, tiles);
    }
}

static void work(mbr_team *t, int worker)
{
    for (int i = 0; i < t->workers; i++) {
        team_share *s = &t->shares[(worker + i) % t->workers];
        while (atomic_load_explicit(&s->next, memory_order_relaxed) < s->end) {
            size_t at = atomic_fetch_add_explicit(&s->next, t->grain, memory_order_relaxed);
            if (at >= s->end)
                break;
            if (atomic_load_explicit(&t->stopped, memory_order_relaxed))
                return;
            if (stop_asked(t->cancel) || !t->fn(t->user, at, mbr_min_size(at + t->grain, s->end), worker)) {
                atomic_store(&t->stopped, true);
                return;
            }
        }
    }
}

static void park(mbr_team *t, unsigned seen)
{
    pthread_mutex_lock(&t->lock);
    unsigned call = t->calls;
    t->parked++;
    while (atomic_load(&t->job) == seen && t->calls == call && !atomic_load(&t->quit))
        pthread_cond_wait(&t->wake, &t->lock);
    t->parked--;
    pthread_mutex_unlock(&t->lock);
}

/* Waits for a job other than `seen`: spins a little, then parks until there is one or a run begins. */
static unsigned await_job(mbr_team *t, unsigned seen)
{
    int64_t begin = 0;
    for (unsigned spins = 0;; spins++) {
        unsigned job = atomic_load_explicit(&t->job, memory_order_acquire);
        if (job != seen || atomic_load_explicit(&t->quit, memory_order_relaxed))
            return job;
        relax();
        if ((spins & 63) == 63) {
            int64_t now = now_ns();
            if (begin == 0) {
                begin = now;
            } else if (now - begin > (atomic_load_explicit(&t->runs, memory_order_relaxed) > 0 ? RUN_SPIN_NS : SPIN_NS)) {
                park(t, seen);
                begin = 0;
            }
        }
    }
}

static void *helper(void *arg)
{
    const team_helper *self = arg;
    mbr_team *t = self->team;
    if (t->numa)
        mbr_numa_bind(t->numa, self->worker);
    unsigned seen = 0; /* the job counter starts at 0 and jobs at 1: one that was called while we start is not missed */
    while (!atomic_load(&t->quit)) {
        seen = await_job(t, seen);
        /* whoever counts itself active before it looks at `open` is waited for by the caller */
        atomic_fetch_add(&t->active, 1);
        if (atomic_load(&t->open) && self->worker < t->workers) {
            if (float_mode() != t->float_mode)
                set_float_mode(t->float_mode);
            work(t, self->worker);
        }
        atomic_fetch_sub(&t->active, 1);
    }
    return NULL;
}

static void start_helpers(mbr_team *t)
{
    t->born = atomic_load(&fork_generation);
    t->started = 0;
    t->parked = 0;
    atomic_store(&t->active, 0);
    atomic_store(&t->open, false);
    atomic_store(&t->job, 0);
    pthread_mutex_init(&t->lock, NULL);
    pthread_cond_init(&t->wake, NULL);
    /* fewer helpers than hoped for are fine: the caller works too */
    for (; t->started < t->size - 1; t->started++) {
        team_helper *h = &t->helpers[t->started];
        h->team = t;
        h->worker = t->started + 1;
        if (pthread_create(&h->thread, NULL, helper, h) != 0)
            break;
    }
}

mbr_status mbr_team_new(mbr_memory *memory, int threads, mbr_team **out, mbr_error *err)
{
    *out = NULL;
    if (threads < 0 || threads > MOST_THREADS)
        return mbr_fail(err, MBR_ERR_ARGUMENT, "%d threads; 1 to %d are possible, 0 means as many as allowed", threads,
                        MOST_THREADS);
    pthread_once(&fork_once, watch_forks);
    mbr_team *t = mbr_calloc(memory, 1, sizeof *t);
    if (!t)
        return mbr_no_memory(err, sizeof *t);
    t->memory = memory;
    t->size = threads ? threads : mbr_topology_cores();
    t->helpers = mbr_calloc(memory, (size_t)t->size, sizeof *t->helpers);
    t->shares = mbr_alloc(memory, (size_t)t->size * sizeof *t->shares);
    if (!t->helpers || !t->shares) {
        size_t bytes = (size_t)t->size * (sizeof *t->helpers + sizeof *t->shares);
        mbr_free(memory, t->shares);
        mbr_free(memory, t->helpers);
        mbr_free(memory, t);
        return mbr_no_memory(err, bytes);
    }
    t->started = -1;
    t->numa = mbr_numa_new(memory, t->size);
    *out = t;
    return MBR_OK;
}

void mbr_team_free(mbr_team *t)
{
    if (!t)
        return;
    if (t->started >= 0 && t->born == atomic_load(&fork_generation)) {
        pthread_mutex_lock(&t->lock);
        atomic_store(&t->quit, true);
        pthread_cond_broadcast(&t->wake);
        pthread_mutex_unlock(&t->lock);
        for (int i = 0; i < t->started; i++)
            pthread_join(t->helpers[i].thread, NULL);
        pthread_cond_destroy(&t->wake);
        pthread_mutex_destroy(&t->lock);
    }
    mbr_numa_free(t->memory, t->numa);
    mbr_free(t->memory, t->shares);
    mbr_free(t->memory, t->helpers);
    mbr_free(t->memory, t);
}

/* Makes the caller the one that may use the helpers; false while somebody else is. */
static bool take(mbr_team *t)
{
    unsigned mine = atomic_load(&fork_generation) + 1, held = atomic_load_explicit(&t->holder, memory_order_relaxed);
    /* who held it before a fork did not survive */
    return held != mine && atomic_compare_exchange_strong_explicit(&t->holder, &held, mine, memory_order_acquire,
                                                                    memory_order_relaxed);
}

void mbr_team_begin(mbr_team *t)
{
    if (t->size < 2)
        return;
    atomic_fetch_add(&t->runs, 1);
    if (!take(t))
        return;
    if (t->started < 0 || t->born != atomic_load(&fork_generation))
        start_helpers(t);
    pthread_mutex_lock(&t->lock);
    t->calls++;
    if (t->parked)
        pthread_cond_broadcast(&t->wake);
    pthread_mutex_unlock(&t->lock);
    atomic_store_explicit(&t->holder, 0, memory_order_release);
}

void mbr_team_end(mbr_team *t)
{
    if (t->size >= 2)
        atomic_fetch_sub(&t->runs, 1);
}

bool mbr_team_run(mbr_team *t, int workers, size_t tiles, size_t grain, mbr_team_fn fn, void *user,
                  const atomic_bool *cancel)
{
    if (grain == 0)
        grain = 1;
    if (workers > t->size)
        workers = t->size;
    if ((size_t)workers > (tiles + grain - 1) / grain)
        workers = (int)((tiles + grain - 1) / grain);
    if (workers <= 1 || !take(t))
        return run_alone(tiles, grain, fn, user, cancel);
    if (t->started < 0 || t->born != atomic_load(&fork_generation))
        start_helpers(t);
    t->workers = workers;
    t->grain = grain;
    share_out(t, tiles, grain, workers);
    t->fn = fn;
    t->user = user;
    t->cancel = cancel;
    t->float_mode = float_mode();
    atomic_store_explicit(&t->stopped, false, memory_order_relaxed);
    atomic_store(&t->open, true);
    atomic_fetch_add(&t->job, 1);
    pthread_mutex_lock(&t->lock);
    if (t->parked)
        pthread_cond_broadcast(&t->wake);
    pthread_mutex_unlock(&t->lock);
    work(t, 0);
    atomic_store(&t->open, false);
    while (atomic_load(&t->active))
        relax();
    bool all = !atomic_load(&t->stopped);
    atomic_store_explicit(&t->holder, 0, memory_order_release);
    return all;
}

#endif

int mbr_team_size(const mbr_team *team)
{
    return team->size;
}

int mbr_team_nodes(const mbr_team *team)
{
    return mbr_numa_nodes(team->numa);
}

int mbr_team_node(const mbr_team *team, int worker)
{
    return mbr_numa_node(team->numa, worker);
}
