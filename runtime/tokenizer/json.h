/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * JSON as a tree, for tokenizer.json. Three things that its readers rely on keep jansson from doing it: a key may hold
 * U+0000 (a vocabulary trained on any text does), numbers must become the doubles that the library which wrote the
 * scores reads (not the nearest ones), and the memory is the environment's.
 */
#ifndef MBR_RUNTIME_TOKENIZER_JSON_H
#define MBR_RUNTIME_TOKENIZER_JSON_H

#include "base/memory.h"
#include "mbr/dtype.h"

typedef enum mbr_json_type {
    MBR_JSON_NULL = 0,
    MBR_JSON_FALSE,
    MBR_JSON_TRUE,
    MBR_JSON_NUMBER, /* text is as written */
    MBR_JSON_STRING,
    MBR_JSON_ARRAY,
    MBR_JSON_OBJECT
} mbr_json_type;

typedef struct mbr_json_node {
    uint32_t key, key_size;   /* in an object; into the text of the document */
    uint32_t text, text_size; /* of a string (without escapes) or a number; of an array or object the number of members */
    uint32_t child;           /* first; 0: none */
    uint32_t next : 29;       /* 0: none */
    uint32_t type : 3;
} mbr_json_node;

typedef struct mbr_json {
    mbr_memory *memory;
    char *text;               /* the file, with strings unescaped in place; a terminator behind it */
    mbr_json_node *nodes;     /* (count) [0] is not used, [1] is the root */
    uint32_t count, capacity;
} mbr_json;

/* Takes over text, a block of memory with room for one byte more than size; on failure too. name is for messages. */
mbr_status mbr_json_parse(mbr_json *j, mbr_memory *memory, char *text, size_t size, const char *name, mbr_error *err);
void mbr_json_free_nodes(mbr_json *j); /* the text stays */

static inline const mbr_json_node *mbr_json_at(const mbr_json *j, uint32_t index)
{
    return index ? &j->nodes[index] : NULL;
}

static inline const mbr_json_node *mbr_json_first(const mbr_json *j, const mbr_json_node *n)
{
    return n ? mbr_json_at(j, n->child) : NULL;
}

static inline const mbr_json_node *mbr_json_next(const mbr_json *j, const mbr_json_node *n)
{
    return mbr_json_at(j, n->next);
}

static inline mbr_string mbr_json_string(const mbr_json *j, const mbr_json_node *n)
{
    return (mbr_string){ .data = j->text + n->text, .size = n->text_size };
}

static inline mbr_string mbr_json_key(const mbr_json *j, const mbr_json_node *n)
{
    return (mbr_string){ .data = j->text + n->key, .size = n->key_size };
}

/* The last member of that name, as the readers of these files take it; NULL where there is none, or n is no object. */
const mbr_json_node *mbr_json_get(const mbr_json *j, const mbr_json_node *n, const char *key);

/* False where the number is no integer from 0 to most. */
bool mbr_json_unsigned(const mbr_json *j, const mbr_json_node *n, uint64_t most, uint64_t *out);

/*
 * The double of a number as serde_json makes it: at most 19 digits, one rounding to double, one division or
 * multiplication by a power of ten. False on overflow.
 */
bool mbr_json_double(const mbr_json *j, const mbr_json_node *n, double *out);

#endif
