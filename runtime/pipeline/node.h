/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A configuration file as a tree, and reading it against a schema. Every complaint is MBR_ERR_FORMAT and reads
 * "file:line: what is wrong; what to do". The tree has no cycles and no shared nodes, scalars keep their text.
 */
#ifndef MBR_RUNTIME_NODE_H
#define MBR_RUNTIME_NODE_H

#include "runtime/rows/text.h"

typedef enum mbr_node_kind {
    MBR_NODE_SCALAR,
    MBR_NODE_LIST,
    MBR_NODE_MAP
} mbr_node_kind;

typedef struct mbr_node mbr_node;
struct mbr_node {
    mbr_node_kind kind;
    int line;           /* from 1 */
    bool quoted;        /* scalar: text even when it looks like a number */
    mbr_string text;    /* scalar; terminated */
    mbr_node **items;   /* (count) of a list; (2 * count) of a map: key, value, key, value */
    size_t count;
};

/* What reading needs: where objects go and what the file is called. */
typedef struct mbr_reading {
    mbr_arena *arena;
    const char *file;
    mbr_error *err;
} mbr_reading;

/* The largest pipeline file. */
#define MBR_PIPELINE_BYTES ((size_t)1 << 20)

/* Parses YAML 1.1 (of which JSON is nearly a part): one document, no anchors, keys are unique scalars. */
mbr_status mbr_yaml_read(const mbr_reading *r, const void *text, size_t bytes, mbr_node **out);

/* Fills r->err with "file:line: ..." */
mbr_status mbr_node_fail(const mbr_reading *r, const mbr_node *at, const char *fmt, ...) MBR_PRINTF(3, 4);

/* The same with another status: the file is well-formed, but does not fit the model, say. */
mbr_status mbr_node_refuse(const mbr_reading *r, const mbr_node *at, mbr_status status, const char *fmt, ...)
    MBR_PRINTF(4, 5);

/* The value of a key; NULL where the map does not have it. */
const mbr_node *mbr_node_get(const mbr_node *map, const char *key);

/* Fails unless the node is of the kind; what is said of it ("'inputs'") goes into the message. */
mbr_status mbr_node_expect(const mbr_reading *r, const mbr_node *n, mbr_node_kind kind, const char *what);

/* ---- maps with known keys ---- */

typedef enum mbr_param_type {
    MBR_PARAM_NODE,    /* const mbr_node *: read by hand */
    MBR_PARAM_STRING,  /* mbr_string */
    MBR_PARAM_NUMBER,  /* double; NaN where it is left out and has no default */
    MBR_PARAM_INT,     /* int64_t */
    MBR_PARAM_BOOL,    /* bool */
    MBR_PARAM_CHOICE,  /* int: index into words */
    MBR_PARAM_POLICY,  /* mbr_policy: one of words, or a number */
    MBR_PARAM_NUMBERS, /* mbr_numbers: a list, at least one */
    MBR_PARAM_STRINGS, /* mbr_strings: a list, or one text; at least one */
    MBR_PARAM_TABLE    /* mbr_table: a map from text to number, at least one entry */
} mbr_param_type;

typedef struct mbr_policy {
    int word; /* index into words; -1: the number */
    double number;
} mbr_policy;

typedef struct mbr_numbers {
    double *items;
    size_t count;
} mbr_numbers;

typedef struct mbr_strings {
    mbr_string *items;
    size_t count;
} mbr_strings;

typedef struct mbr_table {
    mbr_string *keys;
    double *values;
    size_t count;
} mbr_table;

typedef struct mbr_param {
    const char *name; /* NULL ends a list of them */
    mbr_param_type type;
    bool required;
    size_t offset;     /* into the struct that is filled */
    const char *words; /* of a choice or policy: "a|b|c" */
    double preset;     /* default of number, int, bool, choice; of a policy: the word's index */
} mbr_param;

/*
 * Fills the struct at `to` from a map. A key that is neither in params nor in extra (may be NULL) is an error that
 * names the nearest known one. what: of the message, "step 'hour'".
 */
mbr_status mbr_node_read(const mbr_reading *r, const mbr_node *map, const char *what, const mbr_param *params,
                         const mbr_param *extra, void *to);

/* One value, as mbr_node_read reads it. */
mbr_status mbr_node_number(const mbr_reading *r, const mbr_node *n, const char *what, double *out);
mbr_status mbr_node_string(const mbr_reading *r, const mbr_node *n, const char *what, mbr_string *out);
mbr_status mbr_node_strings(const mbr_reading *r, const mbr_node *n, const char *what, mbr_strings *out);

/* A name that expressions can say: a letter or _, then letters, digits and _; no word of the expression language. */
mbr_status mbr_node_name(const mbr_reading *r, const mbr_node *n, const char *what, const char **out);

#endif
