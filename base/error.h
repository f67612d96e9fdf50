/* SPDX-License-Identifier: BSD-2-Clause */
/* Filling an mbr_error, and the two macros that every fallible function uses. */
#ifndef MBR_BASE_ERROR_H
#define MBR_BASE_ERROR_H

#include "mbr/status.h"

#include <stdarg.h>

#if defined(__GNUC__) || defined(__clang__)
#define MBR_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#else
#define MBR_PRINTF(fmt, args)
#endif

/* Writes status and text into err (may be NULL) and returns the status, so that `return mbr_fail(...)` reads well. */
mbr_status mbr_fail(mbr_error *err, mbr_status status, const char *fmt, ...) MBR_PRINTF(3, 4);
mbr_status mbr_vfail(mbr_error *err, mbr_status status, const char *fmt, va_list args) MBR_PRINTF(3, 0);

/* Puts text before the message that err already holds ("model.onnx: node 'x': " ...). Keeps the status; returns it. */
mbr_status mbr_fail_at(mbr_error *err, mbr_status status, const char *fmt, ...) MBR_PRINTF(3, 4);

/* Forwards a failure to the caller. */
#define MBR_TRY(call)                                                                                                  \
    do {                                                                                                               \
        mbr_status mbr_try_status = (call);                                                                            \
        if (mbr_try_status != MBR_OK)                                                                                  \
            return mbr_try_status;                                                                                     \
    } while (0)

/* Forwards a failure through a clean-up label; needs a local `mbr_status st`. */
#define MBR_TRY_GOTO(call, label)                                                                                      \
    do {                                                                                                               \
        st = (call);                                                                                                   \
        if (st != MBR_OK)                                                                                              \
            goto label;                                                                                                \
    } while (0)

#define MBR_COUNT_OF(a) (sizeof(a) / sizeof((a)[0]))

#endif
