/* SPDX-License-Identifier: BSD-2-Clause */
/* For tests of threads; needs _GNU_SOURCE. */
#ifndef MBR_TESTS_THREADS_H
#define MBR_TESTS_THREADS_H

#include <sys/resource.h>
#include <time.h>

/* May a forked child start threads? Not under ThreadSanitizer. */
#if defined(__SANITIZE_THREAD__)
#define FORKS 0
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define FORKS 0
#endif
#endif
#ifndef FORKS
#define FORKS 1
#endif

static inline void rest_ms(long ms)
{
    nanosleep(&(struct timespec){ .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 }, NULL);
}

/* Of the whole process, so far. */
static inline double cpu_seconds(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) + 1e-6 * (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
}

#endif
