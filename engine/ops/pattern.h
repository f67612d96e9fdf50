/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Regular expressions in RE2's syntax, matched against whole strings of UTF-8 in time linear in the text (a set of
 * states walks along; nothing is tried twice). Bytes that are no UTF-8 count as one character each.
 *
 * Understood: literals, ".", classes with ranges, escapes and [:names:], \d \w \s \b and their opposites, \A \z,
 * "^" and "$", groups (captures are of no use here), flags i, s, m and U, alternatives, "*", "+", "?", "{n,m}", lazy
 * forms of them. Not understood: \p classes, \Q..\E, \C.
 */
#ifndef MBR_ENGINE_OPS_PATTERN_H
#define MBR_ENGINE_OPS_PATTERN_H

#include "base/error.h"
#include "base/memory.h"

typedef struct mbr_pattern mbr_pattern;

/* Fails with MBR_ERR_MODEL and says where; *out is the caller's. */
mbr_status mbr_pattern_new(mbr_memory *memory, const char *text, size_t size, mbr_pattern **out, mbr_error *err);
void mbr_pattern_free(mbr_pattern *p); /* NULL is fine */

/* Bytes of room that a match needs. */
size_t mbr_pattern_room(const mbr_pattern *p);
bool mbr_pattern_matches(const mbr_pattern *p, const char *text, size_t size, void *room);
/* The longest match that begins at byte `at` of the text; false: none does. */
bool mbr_pattern_longest(const mbr_pattern *p, const char *text, size_t size, size_t at, size_t *length, void *room);

#endif
