/* SPDX-License-Identifier: BSD-2-Clause */
/* What the readers of the parts of a tokenizer.json share. */
#ifndef MBR_RUNTIME_TOKENIZER_LOAD_H
#define MBR_RUNTIME_TOKENIZER_LOAD_H

#include "runtime/tokenizer/tokenizer_impl.h"

typedef struct mbr_loader {
    mbr_tokenizer *t;
    const mbr_json *j;
    const char *part; /* "normalizer", for messages */
    mbr_error *err;
} mbr_loader;

/* "FILE: PART: ..." */
mbr_status mbr_load_fail(const mbr_loader *l, mbr_status status, const char *fmt, ...) MBR_PRINTF(3, 4);

/* Members of an object. Where one is missing or null, *out is what it was before; `due` makes that a failure. */
mbr_status mbr_load_bool(const mbr_loader *l, const mbr_json_node *n, const char *key, bool due, bool *out);
mbr_status mbr_load_u32(const mbr_loader *l, const mbr_json_node *n, const char *key, bool due, uint32_t *out);
mbr_status mbr_load_string(const mbr_loader *l, const mbr_json_node *n, const char *key, bool due, mbr_string *out);

static inline bool mbr_json_null(const mbr_json_node *n)
{
    return !n || n->type == MBR_JSON_NULL;
}

bool mbr_string_is(mbr_string s, const char *word);

#endif
