/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What was measured on this machine, kept as text between processes: a file each in MBR_CACHE, $XDG_CACHE_HOME/mbr or
 * ~/.cache/mbr. Its name follows from its kind and key; the key is its first line, the checksum of the rest the second.
 * A file that is damaged or cannot be written is no failure: it is measured again.
 */
#ifndef MBR_ENGINE_SCHEDULE_KEPT_H
#define MBR_ENGINE_SCHEDULE_KEPT_H

#include "base/log.h"

#include <stdbool.h>
#include <stddef.h>

typedef struct mbr_kept {
    char key[200];
    char path[1100]; /* "": nowhere */
} mbr_kept;

/* folder: as MBR_CACHE; NULL: where that says. "off": nowhere. */
void mbr_kept_find(mbr_kept *k, const char *kind, const char *key, const char *folder);
/* Nothing is to be kept, nor to be measured for one process. */
bool mbr_kept_off(const char *folder);
/* Seconds since it was kept; without end where it is not, or where the clock was set back. */
double mbr_kept_age(const mbr_kept *k);
/* The text that was kept, with a terminator. */
bool mbr_kept_read(const mbr_kept *k, char *text, size_t room);
void mbr_kept_write(const mbr_kept *k, const char *text, const mbr_log *log);

#endif
