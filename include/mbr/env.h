/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The environment: allocator, memory limit, log, and the thread team that all its sessions share.
 *
 *     mbr_env *env;
 *     mbr_error err;
 *     if (mbr_env_new(NULL, &env, &err) != MBR_OK)
 *         fprintf(stderr, "%s\n", err.text);
 *     ...
 *     mbr_env_release(&env);
 *
 * Threads: an environment may be used by any number of threads at once. Everything made from it (values, models,
 * sessions) must be released before it.
 */
#ifndef MBR_ENV_H
#define MBR_ENV_H

#include "mbr/status.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct mbr_env mbr_env;

typedef enum mbr_log_level {
    MBR_LOG_ERROR = 0,
    MBR_LOG_WARNING = 1,
    MBR_LOG_INFO = 2,
    MBR_LOG_DEBUG = 3
} mbr_log_level;

/* May be called from any thread of the library; text is terminated and without a newline. */
typedef void (*mbr_log_fn)(void *user, mbr_log_level level, const char *text);

/*
 * Option structs grow only at the end. `size` is sizeof the struct as the caller was compiled: fields beyond it take
 * their defaults, so that an old program runs with a new library. Zero is the default of every field.
 */
typedef struct mbr_env_options {
    size_t size;                                  /* sizeof(mbr_env_options) */
    int threads;                                  /* team size, the calling thread included; 0: what affinity mask
                                                     and cgroup quota allow */
    size_t memory_limit;                          /* bytes of the whole environment; 0: none */
    void *(*alloc)(void *user, size_t bytes);     /* both or neither; any thread; NULL: malloc and free */
    void (*release)(void *user, void *block);
    void *alloc_user;
    mbr_log_fn log;                               /* NULL: silent */
    void *log_user;
    mbr_log_level log_level;                      /* what is more detailed than this is not reported */
} mbr_env_options;

/* options may be NULL. On success *out is the caller's; on failure it is NULL. */
MBR_API mbr_status mbr_env_new(const mbr_env_options *options, mbr_env **out, mbr_error *err);

/* Ends the team, frees everything, sets *env to NULL. NULL and a pointer to NULL are fine. */
MBR_API void mbr_env_release(mbr_env **env);

/* The team size in force. */
MBR_API int mbr_env_threads(const mbr_env *env);

typedef struct mbr_memory_use {
    size_t in_use; /* bytes held now */
    size_t peak;   /* the most held so far */
    size_t allocations; /* successful allocations so far; a run at sizes seen before adds none */
} mbr_memory_use;

MBR_API void mbr_env_memory(const mbr_env *env, mbr_memory_use *use);

/*
 * What the processor does at most with the environment's team, measured on the spot: about a fifth of a second, and
 * memory of four times the last cache. What a session reaches can be read as a share of it (mbr/session.h, profiles).
 */
typedef struct mbr_limits {
    size_t size;            /* set by the caller to sizeof(mbr_limits) */
    const char *tier;       /* of instructions: "avx2" */
    int threads;
    double flops;           /* f32 operations a second; a fused multiply-add counts as two */
    double read[3];         /* bytes a second: from each core's own caches, from the shared one, from memory */
    size_t read_bytes[3];   /* data that was read; what is larger than [0] does not fit level 0 */
} mbr_limits;

MBR_API mbr_status mbr_env_measure(mbr_env *env, mbr_limits *limits, mbr_error *err);

/* "1.2.3" of the library that runs, which may be newer than the header. */
MBR_API const char *mbr_version(void);

#ifdef __cplusplus
}
#endif

#endif
