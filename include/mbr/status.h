/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Status codes and the error object.
 *
 * Every function that can fail returns an mbr_status. Its last parameter is an mbr_error that may be
 * NULL; on failure it receives the same status and a message that says what went wrong, where (file,
 * node, name) and what to do. On success it is left alone. The object is plain memory of the caller:
 * nothing has to be freed, and reporting a failure never allocates.
 */
#ifndef MBR_STATUS_H
#define MBR_STATUS_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(MBR_BUILDING) && (defined(__GNUC__) || defined(__clang__))
#define MBR_API __attribute__((visibility("default")))
#else
#define MBR_API
#endif

typedef enum mbr_status {
    MBR_OK = 0,
    MBR_ERR_ARGUMENT = 1,    /* the caller broke the contract of a function */
    MBR_ERR_NO_MEMORY = 2,   /* an allocation failed, or a memory limit was reached */
    MBR_ERR_IO = 3,          /* a file could not be opened, read, mapped or written */
    MBR_ERR_FORMAT = 4,      /* the bytes are not a (whole, valid) file of the format */
    MBR_ERR_MODEL = 5,       /* well-formed bytes, but the graph breaks a rule of its format */
    MBR_ERR_UNSUPPORTED = 6, /* a valid model that needs something this build does not have */
    MBR_ERR_INPUT = 7,       /* a tensor handed to a run has the wrong name, type or shape */
    MBR_ERR_RUN = 8,         /* a value met during a run makes an operator impossible (bad index ...) */
    MBR_ERR_CANCELLED = 9,   /* mbr_session_cancel was called, or the deadline passed */
    MBR_ERR_LIMIT = 10,      /* a limit set by the caller (memory, depth, size) would be exceeded */
    MBR_ERR_INTERNAL = 11    /* a mistake of the library's own; please report it */
} mbr_status;

/* Room for a message; longer ones are cut at the end of a UTF-8 character. */
#define MBR_ERROR_TEXT 504

typedef struct mbr_error {
    mbr_status status;
    int reserved; /* 0 */
    char text[MBR_ERROR_TEXT]; /* always terminated; "" after MBR_OK */
} mbr_error;

/* A short English name of a status, such as "no memory". Never NULL. Any thread. */
MBR_API const char *mbr_status_name(mbr_status status);

#ifdef __cplusplus
}
#endif

#endif
