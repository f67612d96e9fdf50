/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/error.h"

#include <stdio.h>
#include <string.h>

const char *mbr_status_name(mbr_status status)
{
    static const char *const names[] = {
        [MBR_OK] = "ok",
        [MBR_ERR_ARGUMENT] = "bad argument",
        [MBR_ERR_NO_MEMORY] = "no memory",
        [MBR_ERR_IO] = "input/output",
        [MBR_ERR_FORMAT] = "bad format",
        [MBR_ERR_MODEL] = "bad model",
        [MBR_ERR_UNSUPPORTED] = "unsupported",
        [MBR_ERR_INPUT] = "bad input",
        [MBR_ERR_RUN] = "run failed",
        [MBR_ERR_CANCELLED] = "cancelled",
        [MBR_ERR_LIMIT] = "limit reached",
        [MBR_ERR_INTERNAL] = "internal error",
    };
    size_t i = (size_t)status;
    return i < MBR_COUNT_OF(names) ? names[i] : "unknown status";
}

/* Cuts a text that was truncated in the middle of a UTF-8 sequence back to whole characters. */
static void trim_utf8(char *text)
{
    size_t n = strlen(text), back = 0;
    while (back < 4 && back < n && ((unsigned char)text[n - 1 - back] & 0xC0) == 0x80)
        back++;
    if (back == n)
        return;
    unsigned char lead = (unsigned char)text[n - 1 - back];
    size_t due = lead >= 0xF0 ? 3 : lead >= 0xE0 ? 2 : lead >= 0xC0 ? 1 : 0;
    if (back < due)
        text[n - 1 - back] = '\0';
}

mbr_status mbr_vfail(mbr_error *err, mbr_status status, const char *fmt, va_list args)
{
    if (err) {
        err->status = status;
        err->reserved = 0;
        int n = vsnprintf(err->text, sizeof err->text, fmt, args);
        if (n < 0)
            err->text[0] = '\0';
        else if ((size_t)n >= sizeof err->text)
            trim_utf8(err->text);
    }
    return status;
}

mbr_status mbr_fail(mbr_error *err, mbr_status status, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    mbr_vfail(err, status, fmt, args);
    va_end(args);
    return status;
}

mbr_status mbr_fail_at(mbr_error *err, mbr_status status, const char *fmt, ...)
{
    if (err) {
        char old[MBR_ERROR_TEXT];
        memcpy(old, err->text, sizeof old);
        old[sizeof old - 1] = '\0';
        va_list args;
        va_start(args, fmt);
        mbr_vfail(err, status, fmt, args);
        va_end(args);
        size_t n = strlen(err->text);
        int m = snprintf(err->text + n, sizeof err->text - n, "%s", old);
        if (m > 0 && (size_t)m >= sizeof err->text - n)
            trim_utf8(err->text);
    }
    return status;
}
