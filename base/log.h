/* SPDX-License-Identifier: BSD-2-Clause */
/* The logging hook: the library never prints, it calls the environment's function. */
#ifndef MBR_BASE_LOG_H
#define MBR_BASE_LOG_H

#include "base/error.h"
#include "mbr/env.h"

typedef struct mbr_log {
    mbr_log_fn fn; /* NULL: silent */
    void *user;
    mbr_log_level level;
} mbr_log;

void mbr_log_at(const mbr_log *log, mbr_log_level level, const char *fmt, ...) MBR_PRINTF(3, 4);

#endif
