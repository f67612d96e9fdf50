/* SPDX-License-Identifier: BSD-2-Clause */
#include "engine/snapshot_format.h"
#include "base/checked.h"
#include "engine/coded.h"

#include <string.h>

typedef struct reader {
    const uint8_t *start, *at, *end; /* of the image */
    const uint8_t *blocks;
    size_t block_bytes;
    const mbr_snapshot_files *files;
    mbr_ir_module *module;
    mbr_arena *arena;
    mbr_error *err;
    mbr_status status; /* the first failure: from then on all numbers are 0 */
    const mbr_op *ops[SNAPSHOT_OPS];
    size_t n_ops;
} reader;

static void stop(reader *r, mbr_status status)
{
    if (r->status == MBR_OK)
        r->status = status;
    r->at = r->end;
}

static void unfit(reader *r)
{
    if (r->status == MBR_OK)
        stop(r, mbr_fail(r->err, MBR_ERR_FORMAT, "the numbers in it do not belong together"));
}

/* --- bytes --- */

static uint64_t get_number(reader *r)
{
    uint64_t v = 0;
    for (unsigned shift = 0; r->at < r->end && shift < 64; shift += 7) {
        uint8_t byte = *r->at++;
        v |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80))
            return v;
    }
    unfit(r);
    return 0;
}

/* A number of at most `most`. */
static size_t get_below(reader *r, size_t most)
{
    uint64_t v = get_number(r);
    if (v > most) {
        unfit(r);
        return 0;
    }
    return (size_t)v;
}

/* A count of things that take at least a byte each. */
static size_t get_count(reader *r)
{
    return get_below(r, (size_t)(r->end - r->at));
}

static int64_t get_signed(reader *r)
{
    uint64_t v = get_number(r);
    return (int64_t)(v >> 1 ^ (v & 1 ? ~UINT64_C(0) : 0));
}

static const void *get_bytes(reader *r, size_t n)
{
    const uint8_t *p = r->at;
    if (n > (size_t)(r->end - r->at)) {
        unfit(r);
        return NULL;
    }
    r->at += n;
    return p;
}

static mbr_string get_string(reader *r)
{
    mbr_string s = { "", get_count(r) };
    const char *p = get_bytes(r, s.size < SIZE_MAX ? s.size + 1 : s.size);
    if (p && p[s.size] != '\0')
        unfit(r);
    else if (p)
        s.data = p;
    if (r->status != MBR_OK)
        s = (mbr_string){ "", 0 };
    return s;
}

static const char *get_text(reader *r)
{
    return get_string(r).data;
}

static const char *get_name(reader *r)
{
    return get_below(r, 1) ? get_text(r) : NULL;
}

static const void *get_block(reader *r, size_t bytes)
{
    size_t at = get_below(r, r->block_bytes);
    if (r->status != MBR_OK || bytes > r->block_bytes - at || at % MBR_ALIGN) {
        unfit(r);
        return NULL;
    }
    return r->blocks + at;
}

static const void *get_array(reader *r, size_t n, size_t size)
{
    size_t bytes;
    if (!mbr_mul_size(n, size, &bytes)) {
        unfit(r);
        return NULL;
    }
    if (bytes >= SNAPSHOT_SMALL)
        return get_block(r, bytes);
    (void)get_bytes(r, (8 - (size_t)(r->at - r->start) % 8) % 8);
    return get_bytes(r, bytes);
}

/* Zeroed memory of the module; NULL after a failure. */
static void *take(reader *r, size_t n, size_t size)
{
    if (r->status != MBR_OK)
        return NULL;
    void *p = mbr_arena_calloc(r->arena, n + 1, size);
    if (!p)
        stop(r, mbr_no_memory(r->err, n * size));
    return p;
}

/* --- parts of a graph --- */

static const mbr_op *get_op(reader *r)
{
    size_t i = get_below(r, r->n_ops);
    if (r->status != MBR_OK || i < r->n_ops)
        return r->status == MBR_OK ? r->ops[i] : NULL;
    const char *domain = get_text(r), *name = get_text(r);
    int since = (int)get_below(r, INT32_MAX);
    const mbr_op *op = r->n_ops < SNAPSHOT_OPS ? mbr_op_find(domain, name, since) : NULL;
    if (!op || op->since != since)
        unfit(r);
    else
        r->ops[r->n_ops++] = op;
    return op;
}

static mbr_dim get_dim(reader *r)
{
    mbr_dim d = get_signed(r);
    if (mbr_dim_is_expr(d) && mbr_dim_index(d) >= r->module->dims.n)
        unfit(r);
    return r->status == MBR_OK ? d : MBR_DIM_UNKNOWN;
}

static mbr_dim *get_dims(reader *r, size_t n)
{
    mbr_dim *dims = take(r, n, sizeof *dims);
    for (size_t i = 0; dims && i < n; i++)
        dims[i] = get_dim(r);
    return dims;
}

static void get_type(reader *r, mbr_ir_type *t, int depth)
{
    t->kind = (mbr_kind)get_below(r, 255);
    t->dtype = (mbr_dtype)get_below(r, 255);
    t->key = (mbr_dtype)get_below(r, 255);
    int64_t rank = get_signed(r);
    if (rank < -1 || rank > MBR_MAX_RANK)
        unfit(r);
    t->rank = r->status == MBR_OK ? (int)rank : -1;
    if (get_below(r, 1))
        t->dims = get_dims(r, t->rank > 0 ? (size_t)t->rank : 0);
    if (!get_below(r, 1))
        return;
    mbr_ir_type *item = depth > SNAPSHOT_DEPTH ? NULL : take(r, 1, sizeof *item);
    if (!item) {
        unfit(r);
        return;
    }
    get_type(r, item, depth + 1);
    t->item = item;
}

static const void *data_in_file(reader *r, size_t bytes)
{
    size_t file = get_below(r, r->files->n - 1), at = get_below(r, SIZE_MAX);
    const mbr_filemap *map = &r->files->maps[file];
    if (r->status != MBR_OK || at > map->size || bytes > map->size - at) {
        unfit(r);
        return NULL;
    }
    return map->data + at;
}

static const mbr_string *get_strings(reader *r, size_t n)
{
    mbr_string *text = take(r, n, sizeof *text);
    for (size_t i = 0; text && i < n; i++)
        text[i] = get_string(r);
    return text;
}

/* The reference is the caller's; NULL after a failure. */
static mbr_value *get_tensor(reader *r)
{
    int64_t dims[MBR_MAX_RANK] = { 0 };
    size_t bytes = 0;
    mbr_dtype dtype = (mbr_dtype)get_below(r, 255);
    int rank = (int)get_below(r, MBR_MAX_RANK);
    for (int d = 0; d < rank; d++)
        dims[d] = (int64_t)get_below(r, PTRDIFF_MAX);
    const char *name = get_name(r);
    mbr_value *v = NULL;
    if (r->status != MBR_OK || mbr_shape_bytes(dtype, rank, dims, &bytes, NULL) != MBR_OK) {
        unfit(r);
        return NULL;
    }
    mbr_status st = mbr_value_create(r->module->memory, MBR_KIND_TENSOR, dtype, &v, r->err);
    if (st != MBR_OK) {
        stop(r, st);
        return NULL;
    }
    v->rank = rank;
    memcpy(v->dims, dims, sizeof dims);
    v->name = name;
    const void *data = NULL;
    switch (get_below(r, SNAPSHOT_TEXT)) {
    case SNAPSHOT_HERE:
        data = get_array(r, bytes, 1);
        break;
    case SNAPSHOT_IN_FILE:
        data = data_in_file(r, bytes);
        v->any_address = (uintptr_t)data % (mbr_dtype_size(dtype) ? mbr_dtype_size(dtype) : 1) != 0;
        break;
    case SNAPSHOT_TEXT:
        data = dtype == MBR_DTYPE_STRING ? get_strings(r, mbr_value_count(v)) : NULL;
        if (!data)
            unfit(r);
        break;
    default: /* packed: nobody reads it */
        break;
    }
    v->data = (void *)(uintptr_t)data; /* constants are never written */
    v->capacity = data ? bytes : 0;
    if (r->status != MBR_OK) {
        mbr_value_drop(v);
        v = NULL;
    }
    return v;
}

static void get_value(reader *r, mbr_ir_value *v)
{
    v->name = get_text(r);
    get_type(r, &v->type, 0);
    v->uses = (uint32_t)get_below(r, UINT32_MAX);
    unsigned flags = (unsigned)get_below(r, 63);
    v->is_input = flags & 1;
    v->is_output = flags >> 1 & 1;
    v->is_capture = flags >> 2 & 1;
    v->has_default = flags >> 3 & 1;
    v->space = (mbr_space)get_below(r, 255);
    v->storage = (mbr_storage)get_below(r, 255);
    size_t n = get_below(r, (size_t)(r->end - r->at) + 1);
    if (n) {
        v->content = get_dims(r, n - 1);
        v->n_content = n - 1;
    }
    if (flags & 16) {
        mbr_value *data = get_tensor(r);
        mbr_status st = data ? mbr_ir_set_constant(v, data, r->err) : r->status;
        if (st != MBR_OK)
            stop(r, st);
    }
    if (flags & 32) {
        const char **names = take(r, v->type.rank > 0 ? (size_t)v->type.rank : 0, sizeof *names);
        for (int d = 0; names && d < v->type.rank; d++)
            names[d] = get_name(r);
        v->axis_names = names;
    }
}

static mbr_ir_graph *get_graph(reader *r, mbr_ir_node *owner, int depth);

static const mbr_coded *get_coded(reader *r)
{
    mbr_coded *a = take(r, 1, sizeof *a);
    mbr_code code = (mbr_code)get_below(r, MBR_CODE_STRINGS);
    size_t gap = get_below(r, 1), bytes = get_below(r, PTRDIFF_MAX);
    bool there = get_below(r, SNAPSHOT_IN_FILE) == SNAPSHOT_IN_FILE;
    const uint8_t *data = there ? data_in_file(r, bytes) : get_array(r, bytes, 1);
    if (!a || !data || bytes < gap) {
        unfit(r);
        return NULL;
    }
    *a = (mbr_coded){ .data = data + gap, .bytes = bytes - gap, .code = code, .gap = (unsigned)gap };
    return a;
}

static void get_attr(reader *r, mbr_ir_attr *a, mbr_ir_node *node, int depth)
{
    a->name = get_text(r);
    a->kind = (mbr_attr_kind)get_below(r, MBR_ATTR_CODED);
    a->n = get_below(r, PTRDIFF_MAX);
    switch (a->kind) {
    case MBR_ATTR_INT:
        a->i = get_signed(r);
        break;
    case MBR_ATTR_FLOAT: {
        const void *f = get_bytes(r, sizeof a->f);
        if (f)
            memcpy(&a->f, f, sizeof a->f);
        break;
    }
    case MBR_ATTR_STRING:
        a->s = get_string(r);
        break;
    case MBR_ATTR_GRAPH:
        a->graph = get_graph(r, node, depth + 1);
        break;
    case MBR_ATTR_TYPE: {
        mbr_ir_type *t = take(r, 1, sizeof *t);
        if (t)
            get_type(r, t, 0);
        a->type = t;
        break;
    }
    case MBR_ATTR_INTS:
        a->ints = get_array(r, a->n, sizeof *a->ints);
        break;
    case MBR_ATTR_CODED:
        a->coded = get_coded(r);
        break;
    case MBR_ATTR_FLOATS:
        a->floats = get_array(r, a->n, sizeof *a->floats);
        break;
    case MBR_ATTR_STRINGS:
        if (a->n > (size_t)(r->end - r->at))
            unfit(r);
        a->strings = get_strings(r, a->n);
        break;
    case MBR_ATTR_GRAPHS: /* the writer leaves such models alone */
        unfit(r);
        break;
    case MBR_ATTR_TENSOR:
    case MBR_ATTR_TENSORS: {
        bool one = a->kind == MBR_ATTR_TENSOR;
        if (a->n > (size_t)(r->end - r->at))
            unfit(r);
        const mbr_value **tensors = take(r, a->n, sizeof *tensors);
        for (size_t i = 0; tensors && i < (one ? 1 : a->n); i++) {
            mbr_value *v = get_tensor(r);
            mbr_status st = v ? mbr_ir_own(r->module, v, r->err) : r->status;
            if (st != MBR_OK)
                stop(r, st);
            tensors[i] = v;
        }
        if (one)
            a->tensor = tensors ? tensors[0] : NULL;
        else
            a->tensors = tensors;
    }
    }
}

/* Values by number; at most `most` of them. */
static mbr_ir_value **get_links(reader *r, const mbr_ir_graph *g, size_t *n, bool holes)
{
    *n = get_count(r);
    mbr_ir_value **links = take(r, *n, sizeof *links);
    for (size_t i = 0; links && i < *n; i++) {
        size_t k = get_below(r, g->n_values);
        if (k)
            links[i] = g->values[k - 1];
        else if (!holes)
            unfit(r);
    }
    return links;
}

static void get_node(reader *r, mbr_ir_graph *g, mbr_ir_node *n, int depth)
{
    size_t inputs, outputs;
    n->graph = g;
    n->op = get_op(r);
    n->name = get_text(r);
    n->origin = get_name(r);
    n->opset = (int)get_below(r, INT32_MAX);
    n->n_formal = (uint32_t)get_below(r, UINT32_MAX);
    n->inputs = get_links(r, g, &inputs, true);
    n->outputs = get_links(r, g, &outputs, true);
    n->n_inputs = (uint32_t)inputs;
    n->n_outputs = (uint32_t)outputs;
    for (uint32_t i = 0; r->status == MBR_OK && i < n->n_outputs; i++)
        if (n->outputs[i]) {
            n->outputs[i]->producer = n;
            n->outputs[i]->producer_slot = i;
        }
    size_t n_attrs = get_count(r);
    n->attrs = take(r, n_attrs, sizeof *n->attrs);
    n->n_attrs = (uint32_t)n_attrs;
    for (size_t i = 0; r->status == MBR_OK && i < n_attrs; i++)
        get_attr(r, &n->attrs[i], n, depth);
    n->packed_bytes = get_below(r, r->block_bytes);
    if (n->packed_bytes) {
        n->packed_inputs = (uint32_t)get_below(r, UINT32_MAX);
        n->packed = get_block(r, n->packed_bytes);
    }
    if (r->status == MBR_OK && (n->n_formal > inputs || inputs < n->op->min_in || (n->packed && !n->op->pack)))
        unfit(r);
}

static void get_nodes(reader *r, mbr_ir_graph *g, int depth)
{
    size_t n = get_count(r);
    mbr_ir_node *nodes = take(r, n, sizeof *nodes);
    for (size_t i = 0; nodes && r->status == MBR_OK && i < n; i++) {
        mbr_ir_node *node = &nodes[i];
        get_node(r, g, node, depth);
        node->prev = g->last;
        if (g->last)
            g->last->next = node;
        else
            g->first = node;
        g->last = node;
    }
}

static void get_values(reader *r, mbr_ir_graph *g)
{
    size_t n = get_count(r);
    mbr_ir_value *values = take(r, n, sizeof *values);
    g->values = take(r, n, sizeof *g->values);
    g->n_values = g->values_capacity = values && g->values ? n : 0;
    for (size_t i = 0; i < g->n_values; i++) {
        g->values[i] = &values[i];
        values[i].id = (uint32_t)i;
        values[i].graph = g;
    }
    for (size_t i = 0; i < g->n_values && r->status == MBR_OK; i++)
        get_value(r, &values[i]);
}

static mbr_ir_graph *get_graph(reader *r, mbr_ir_node *owner, int depth)
{
    mbr_ir_graph *g;
    const char *name = get_text(r);
    if (depth > SNAPSHOT_DEPTH)
        unfit(r);
    mbr_status st = r->status == MBR_OK ? mbr_ir_graph_new(r->module, name, &g, r->err) : r->status;
    if (st != MBR_OK) {
        stop(r, st);
        return NULL;
    }
    size_t n;
    g->owner = owner;
    g->scope = (uint32_t)get_below(r, UINT32_MAX);
    get_values(r, g);
    g->inputs = get_links(r, g, &g->n_inputs, false);
    g->outputs = get_links(r, g, &g->n_outputs, false);
    if (get_below(r, 1)) {
        const char **names = take(r, g->n_outputs, sizeof *names);
        for (size_t i = 0; names && i < g->n_outputs; i++)
            names[i] = get_name(r);
        g->output_names = names;
    }
    g->captures = get_links(r, g, &n, false);
    g->n_captures = g->captures_capacity = n;
    g->capture_slots = take(r, n, sizeof *g->capture_slots);
    for (size_t i = 0; g->capture_slots && i < n; i++)
        g->capture_slots[i] = (uint32_t)get_below(r, owner && owner->n_inputs ? owner->n_inputs - 1 : 0);
    get_nodes(r, g, depth);
    return g;
}

/* --- the whole --- */

static void get_dim_table(reader *r)
{
    size_t n = get_count(r);
    mbr_dim_table *t = &r->module->dims;
    for (size_t i = 0; i < n && r->status == MBR_OK; i++) {
        mbr_dim_expr e = { .op = (mbr_dim_op)get_below(r, MBR_DIM_BROADCAST) };
        e.scope = (uint32_t)get_below(r, UINT32_MAX);
        if (e.op == MBR_DIM_SYMBOL) {
            e.name = get_name(r);
        } else {
            e.a = get_dim(r);
            e.b = get_dim(r);
        }
        e.low = get_signed(r);
        if (r->status == MBR_OK && !mbr_dim_table_restore(t, &e))
            stop(r, mbr_no_memory(r->err, sizeof e));
    }
}

static void get_module(reader *r, mbr_op_use **uses, size_t *n_uses)
{
    mbr_ir_module *m = r->module;
    for (size_t n = get_count(r); n > 0 && r->status == MBR_OK; n--)
        (void)get_text(r); /* the files: see mbr_snapshot_file */
    m->producer = get_text(r);
    m->ir_version = (int)get_signed(r);
    m->n_nodes_in_file = get_below(r, SIZE_MAX);
    m->next_scope = (uint32_t)get_below(r, UINT32_MAX);
    for (size_t n = get_count(r); n > 0 && r->status == MBR_OK; n--) {
        const char *domain = get_text(r);
        mbr_status st = mbr_ir_add_opset(m, domain, (int)get_below(r, INT32_MAX), r->err);
        if (st != MBR_OK)
            stop(r, st);
    }
    *n_uses = get_count(r);
    *uses = mbr_calloc(m->memory, *n_uses + 1, sizeof **uses);
    if (!*uses) {
        stop(r, mbr_no_memory(r->err, *n_uses * sizeof **uses));
        return;
    }
    for (size_t i = 0; i < *n_uses; i++) {
        (*uses)[i].op = get_op(r);
        (*uses)[i].nodes = get_below(r, SIZE_MAX);
    }
    get_dim_table(r);
    (void)get_graph(r, NULL, 0);
    if (r->status == MBR_OK && r->at != r->end)
        unfit(r);
}

const char *mbr_snapshot_file(const uint8_t *image, size_t bytes, size_t i)
{
    reader r = { .start = image, .at = image, .end = image + bytes };
    if (i >= get_count(&r))
        return NULL;
    const char *name = get_text(&r);
    while (i-- > 0)
        name = get_text(&r);
    return r.status == MBR_OK ? name : NULL;
}

mbr_status mbr_snapshot_read(mbr_memory *memory, const mbr_log *log, const char *file, const uint8_t *bytes,
                             size_t image_bytes, size_t all_bytes, const mbr_snapshot_files *files,
                             mbr_ir_module **out, mbr_op_use **uses, size_t *n_uses, mbr_error *err)
{
    size_t blocks = (image_bytes + MBR_SNAPSHOT_PAGE - 1) / MBR_SNAPSHOT_PAGE * MBR_SNAPSHOT_PAGE;
    reader r = { .start = bytes, .at = bytes, .end = bytes + image_bytes, .files = files, .err = err };
    *out = NULL;
    *uses = NULL;
    *n_uses = 0;
    if (blocks < all_bytes) {
        r.blocks = bytes + blocks;
        r.block_bytes = all_bytes - blocks;
    }
    MBR_TRY(mbr_ir_module_new(memory, log, file, &r.module, err));
    r.arena = &r.module->arena;
    get_module(&r, uses, n_uses);
    if (r.status != MBR_OK) {
        mbr_ir_module_free(r.module);
        mbr_free(memory, *uses);
        *uses = NULL;
        *n_uses = 0;
        return r.status;
    }
    *out = r.module;
    return MBR_OK;
}
