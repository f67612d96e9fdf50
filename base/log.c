/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/log.h"

#include <stdio.h>

void mbr_log_at(const mbr_log *log, mbr_log_level level, const char *fmt, ...)
{
    if (!log || !log->fn || level > log->level)
        return;
    char text[1024];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    log->fn(log->user, level, text);
}
