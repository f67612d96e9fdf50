/* SPDX-License-Identifier: BSD-2-Clause */
/* YAML to nodes, by libyaml's document loader, which neither recurses nor follows tags. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#include "runtime/pipeline/node.h"

#include <limits.h>
#include <string.h>

#ifdef HAVE_YAML

#include <yaml.h>

/* Open brackets at once: libyaml's time grows with the square of this. Brackets in texts and comments count as well. */
#define MAX_BRACKETS 200

static mbr_status check_brackets(const mbr_reading *r, const char *text, size_t bytes)
{
    int open = 0, line = 1;
    for (size_t i = 0; i < bytes; i++) {
        if (text[i] == '\n')
            line++;
        else if (text[i] == '[' || text[i] == '{')
            open++;
        else if ((text[i] == ']' || text[i] == '}') && open)
            open--;
        if (open > MAX_BRACKETS)
            return mbr_fail(r->err, MBR_ERR_FORMAT, "%s:%d: more than %d open brackets", r->file, line, MAX_BRACKETS);
    }
    return MBR_OK;
}

static int line_of(yaml_mark_t mark)
{
    return mark.line < INT_MAX ? (int)mark.line + 1 : INT_MAX;
}

static mbr_status loader_failure(const mbr_reading *r, const yaml_parser_t *parser)
{
    const char *problem = parser->problem ? parser->problem : "unreadable";
    switch (parser->error) {
    case YAML_MEMORY_ERROR:
        return mbr_fail(r->err, MBR_ERR_NO_MEMORY, "%s: out of memory while reading YAML", r->file);
    case YAML_READER_ERROR:
        return mbr_fail(r->err, MBR_ERR_FORMAT, "%s: %s at byte %zu; the file must be UTF-8 text", r->file, problem,
                        parser->problem_offset);
    default:
        return mbr_fail(r->err, MBR_ERR_FORMAT, "%s:%d: not valid YAML: %s%s%s", r->file,
                        line_of(parser->problem_mark), problem, parser->context ? " " : "",
                        parser->context ? parser->context : "");
    }
}

/* Links node number id under its parent; each node has one parent, which rules out anchors, and with them cycles. */
static mbr_status adopt(const mbr_reading *r, mbr_node *nodes, size_t count, bool *taken, int id,
                        const mbr_node *parent, mbr_node **out)
{
    if (id < 1 || (size_t)id > count)
        return mbr_node_fail(r, parent, "not valid YAML");
    if (taken[id - 1])
        return mbr_node_fail(r, parent, "anchors and aliases (&, *) are not read here; write the value out");
    taken[id - 1] = true;
    *out = &nodes[id - 1];
    return MBR_OK;
}

static mbr_status fill_list(const mbr_reading *r, const yaml_node_t *from, mbr_node *nodes, size_t count, bool *taken,
                            mbr_node *n)
{
    n->kind = MBR_NODE_LIST;
    n->count = (size_t)(from->data.sequence.items.top - from->data.sequence.items.start);
    n->items = mbr_arena_calloc(r->arena, n->count + 1, sizeof *n->items);
    if (!n->items)
        return mbr_no_memory(r->err, (n->count + 1) * sizeof *n->items);
    for (size_t i = 0; i < n->count; i++)
        MBR_TRY(adopt(r, nodes, count, taken, from->data.sequence.items.start[i], n, &n->items[i]));
    return MBR_OK;
}

static mbr_status fill_map(const mbr_reading *r, const yaml_node_t *from, mbr_node *nodes, size_t count, bool *taken,
                           mbr_node *n)
{
    const yaml_node_pair_t *pairs = from->data.mapping.pairs.start;
    n->kind = MBR_NODE_MAP;
    n->count = (size_t)(from->data.mapping.pairs.top - pairs);
    n->items = mbr_arena_calloc(r->arena, 2 * n->count + 1, sizeof *n->items);
    if (!n->items)
        return mbr_no_memory(r->err, (2 * n->count + 1) * sizeof *n->items);
    for (size_t i = 0; i < n->count; i++) {
        MBR_TRY(adopt(r, nodes, count, taken, pairs[i].key, n, &n->items[2 * i]));
        MBR_TRY(adopt(r, nodes, count, taken, pairs[i].value, n, &n->items[2 * i + 1]));
    }
    return MBR_OK;
}

/* Keys are scalars, each once. Runs when all nodes are filled. */
static mbr_status check_keys(const mbr_reading *r, const mbr_node *n)
{
    mbr_string *keys = mbr_arena_calloc(r->arena, n->count + 1, sizeof *keys);
    mbr_names names;
    size_t twin;
    if (!keys)
        return mbr_no_memory(r->err, (n->count + 1) * sizeof *keys);
    for (size_t i = 0; i < n->count; i++) {
        if (n->items[2 * i]->kind != MBR_NODE_SCALAR)
            return mbr_node_fail(r, n->items[2 * i], "a key must be plain text");
        keys[i] = n->items[2 * i]->text;
    }
    MBR_TRY(mbr_names_build(&names, r->arena, keys, n->count, &twin, r->err));
    if (twin != SIZE_MAX)
        return mbr_node_fail(r, n->items[2 * twin], "'%s' stands here twice; remove one", keys[twin].data);
    return MBR_OK;
}

static mbr_status convert(const mbr_reading *r, yaml_document_t *doc, mbr_node **out)
{
    size_t count = (size_t)(doc->nodes.top - doc->nodes.start);
    mbr_node *nodes = mbr_arena_calloc(r->arena, count + 1, sizeof *nodes);
    bool *taken = mbr_arena_calloc(r->arena, count + 1, sizeof *taken);
    if (!nodes || !taken)
        return mbr_no_memory(r->err, (count + 1) * sizeof *nodes);
    if (!count)
        return mbr_fail(r->err, MBR_ERR_FORMAT, "%s:1: the file is empty; a pipeline begins with 'version: 1'",
                        r->file);
    for (size_t i = 0; i < count; i++)
        nodes[i].line = line_of(doc->nodes.start[i].start_mark);
    taken[0] = true; /* the root */
    for (size_t i = 0; i < count; i++) {
        const yaml_node_t *from = &doc->nodes.start[i];
        mbr_node *n = &nodes[i];
        if (from->type == YAML_SCALAR_NODE) {
            const char *text = (const char *)from->data.scalar.value;
            n->kind = MBR_NODE_SCALAR;
            n->quoted = from->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
            n->text.size = from->data.scalar.length;
            if (memchr(text, 0, n->text.size))
                return mbr_node_fail(r, n, "text with a zero byte");
            n->text.data = mbr_arena_strndup(r->arena, text, n->text.size);
            if (!n->text.data)
                return mbr_no_memory(r->err, n->text.size);
        } else if (from->type == YAML_SEQUENCE_NODE) {
            MBR_TRY(fill_list(r, from, nodes, count, taken, n));
        } else if (from->type == YAML_MAPPING_NODE) {
            MBR_TRY(fill_map(r, from, nodes, count, taken, n));
        } else {
            return mbr_node_fail(r, n, "not valid YAML");
        }
    }
    for (size_t i = 0; i < count; i++)
        if (nodes[i].kind == MBR_NODE_MAP)
            MBR_TRY(check_keys(r, &nodes[i]));
    *out = &nodes[0];
    return MBR_OK;
}

mbr_status mbr_yaml_read(const mbr_reading *r, const void *text, size_t bytes, mbr_node **out)
{
    yaml_parser_t parser;
    yaml_document_t doc, second;
    mbr_status st;
    *out = NULL;
    if (bytes > MBR_PIPELINE_BYTES)
        return mbr_fail(r->err, MBR_ERR_LIMIT, "%s: %zu bytes; a pipeline file may have %zu", r->file, bytes,
                        MBR_PIPELINE_BYTES);
    MBR_TRY(check_brackets(r, text, bytes));
    if (!yaml_parser_initialize(&parser))
        return mbr_fail(r->err, MBR_ERR_NO_MEMORY, "%s: out of memory while reading YAML", r->file);
    yaml_parser_set_input_string(&parser, text, bytes);
    if (!yaml_parser_load(&parser, &doc)) {
        st = loader_failure(r, &parser);
        yaml_parser_delete(&parser);
        return st;
    }
    st = convert(r, &doc, out);
    if (st == MBR_OK) {
        if (!yaml_parser_load(&parser, &second)) {
            st = loader_failure(r, &parser);
        } else {
            if (yaml_document_get_root_node(&second))
                st = mbr_fail(r->err, MBR_ERR_FORMAT, "%s:%d: a second document begins; a pipeline file holds one",
                              r->file, line_of(second.start_mark));
            yaml_document_delete(&second);
        }
    }
    yaml_document_delete(&doc);
    yaml_parser_delete(&parser);
    return st;
}

#else

mbr_status mbr_yaml_read(const mbr_reading *r, const void *text, size_t bytes, mbr_node **out)
{
    (void)text;
    (void)bytes;
    *out = NULL;
    return mbr_fail(r->err, MBR_ERR_UNSUPPORTED, "%s: this build cannot read pipeline files; build with libyaml",
                    r->file);
}

#endif
