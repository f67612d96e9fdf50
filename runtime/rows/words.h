/* SPDX-License-Identifier: BSD-2-Clause */
/* Text that grows, for reports: JSON and HTML of it. Failed once memory is out. */
#ifndef MBR_RUNTIME_WORDS_H
#define MBR_RUNTIME_WORDS_H

#include "base/memory.h"

typedef struct mbr_words {
    mbr_memory *memory;
    char *text;
    size_t used, capacity;
    bool failed;
} mbr_words;

void mbr_words_add(mbr_words *w, const char *fmt, ...) MBR_PRINTF(2, 3);
void mbr_words_json(mbr_words *w, const char *text, size_t size); /* quoted, escaped */
void mbr_words_html(mbr_words *w, const char *text, size_t size); /* escaped */
void mbr_words_number(mbr_words *w, double x);                    /* null where JSON has no number */
void mbr_words_free(mbr_words *w);

#endif
