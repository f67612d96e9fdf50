/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Scan: runs its body once for each slice of its scan inputs. Body: (state..., slices...) -> (state..., slices...).
 *
 * Version 8 has a batch as first axis of everything, the sequence as second one, and the length of each sequence as an
 * optional first input. From 9 on there is no batch, and attributes choose the axes.
 */
#include "engine/ops/control.h"

#include <string.h>

/* How slices lie in a scan input or output: at (outer, t, inner) of a batch entry. */
typedef struct track {
    size_t outer, length, inner; /* elements */
    int axis;                    /* without the batch axis */
    bool backwards;
    mbr_value slice;             /* input: a window of the data, or a copy where slices are scattered */
} track;

typedef struct state {
    size_t n_state, n_in, n_out; /* loop state, scan inputs, scan outputs */
    mbr_value *sets[2];          /* (n_state) each, as in Loop */
    track *in, *out;             /* (n_in), (n_out) */
    bool opened;                 /* in this run: the scan outputs have their shapes */
} state;

/* Version 8: batch, and the input that tells lengths. */
static bool has_batch(const mbr_ir_node *n)
{
    return n->op->since == 8;
}

static int64_t listed(const mbr_ir_node *n, const char *attr, size_t i)
{
    size_t count;
    const int64_t *v = mbr_attr_ints(n, attr, &count);
    return i < count ? v[i] : 0;
}

/* The axis of the sequence in an input or output of that rank (the batch axis included). */
static mbr_status sequence_axis(const mbr_ir_node *n, const char *attr, size_t i, int rank, int *axis, mbr_error *err)
{
    int64_t a = has_batch(n) ? 1 : listed(n, attr, i);
    if (a < -rank || a >= rank)
        return mbr_ir_fail(n, err, MBR_ERR_MODEL, "axis %lld for a scan of rank %d", (long long)a, rank);
    *axis = (int)(a < 0 ? a + rank : a);
    return MBR_OK;
}

static mbr_status check(mbr_infer *c, const mbr_ir_graph *g, size_t *n_in, size_t *n_state)
{
    int64_t scans = mbr_attr_int(c->node, "num_scan_inputs", 0);
    size_t lead = has_batch(c->node) ? 1 : 0;
    if (scans < 1 || (uint64_t)scans + lead > c->node->n_formal)
        return mbr_infer_fail(c, MBR_ERR_MODEL, "num_scan_inputs is %lld with %u inputs", (long long)scans,
                              c->node->n_formal);
    if (g->n_inputs != c->node->n_formal - lead)
        return mbr_infer_fail(c, MBR_ERR_MODEL, "the body has %zu inputs, the node %u", g->n_inputs, c->node->n_formal);
    *n_in = (size_t)scans;
    *n_state = g->n_inputs - *n_in;
    if (g->n_outputs < *n_state || c->n_out > g->n_outputs)
        return mbr_infer_fail(c, MBR_ERR_MODEL, "the body has %zu outputs for %zu states and %u outputs of the node",
                              g->n_outputs, *n_state, c->n_out);
    for (size_t i = lead; i < c->node->n_formal; i++)
        if (!c->in[i].present || c->in[i].kind != MBR_KIND_TENSOR)
            return mbr_infer_fail(c, MBR_ERR_MODEL, "input %zu is missing or no tensor", i);
    return MBR_OK;
}

/* Takes an axis out of a shape, where the rank is known. */
static mbr_dim drop_axis(mbr_arg *a, int axis)
{
    mbr_dim size = a->dims[axis];
    memmove(a->dims + axis, a->dims + axis + 1, (size_t)(a->rank - axis - 1) * sizeof *a->dims);
    a->rank--;
    return size;
}

static mbr_status add_axis(mbr_infer *c, mbr_arg *a, int axis, mbr_dim size)
{
    if (a->rank == MBR_MAX_RANK)
        return mbr_infer_fail(c, MBR_ERR_LIMIT, "a scan output of more than %d axes", MBR_MAX_RANK);
    memmove(a->dims + axis + 1, a->dims + axis, (size_t)(a->rank - axis) * sizeof *a->dims);
    a->dims[axis] = size;
    a->rank++;
    return MBR_OK;
}

static mbr_status infer(mbr_infer *c)
{
    mbr_ir_graph *g;
    size_t n_in = 0, n_state = 0;
    bool batch = has_batch(c->node);
    MBR_TRY(mbr_control_graph(c, "body", &g));
    MBR_TRY(check(c, g, &n_in, &n_state));
    mbr_arg *first = c->in + batch; /* changed in place: nobody reads the inputs after this */
    mbr_dim entries = MBR_DIM_UNKNOWN, length = MBR_DIM_UNKNOWN;
    for (size_t i = 0; i < n_state + n_in; i++) {
        mbr_arg *a = &first[i];
        if (a->rank < 0)
            continue;
        if (i >= n_state) {
            int axis;
            MBR_TRY(sequence_axis(c->node, "scan_input_axes", i - n_state, a->rank, &axis, c->err));
            mbr_dim size = drop_axis(a, axis);
            length = mbr_dim_is_known(length) ? length : size;
        }
        if (batch && a->rank == 0)
            return mbr_infer_fail(c, MBR_ERR_MODEL, "input %zu has no batch axis", i + 1);
        if (batch)
            entries = drop_axis(a, 0);
    }
    for (size_t i = n_state; i < n_state + n_in; i++)
        MBR_TRY(mbr_infer_feed(c, g, i, &first[i]));
    MBR_TRY(mbr_control_fixpoint(c, g, first, n_state, 0, 0));
    for (uint32_t i = 0; i < c->n_out; i++) {
        mbr_arg *out = &c->out[i];
        if (!out->present)
            continue;
        mbr_control_result(c, g, i, out);
        out->content = NULL;
        if (out->kind != MBR_KIND_TENSOR)
            return mbr_infer_fail(c, MBR_ERR_MODEL, "output '%s' of the body is no tensor", g->outputs[i]->name);
        if (i < n_state) {
            bool changed = false; /* no iteration leaves the initial state */
            MBR_TRY(mbr_control_join(c, out, &first[i], g->outputs[i]->name, &changed));
        }
        if (out->rank < 0)
            continue;
        if (i >= n_state) {
            int axis;
            MBR_TRY(sequence_axis(c->node, "scan_output_axes", i - n_state, out->rank + 1 + batch, &axis, c->err));
            MBR_TRY(add_axis(c, out, axis - batch, length));
        }
        if (batch)
            MBR_TRY(add_axis(c, out, 0, entries));
    }
    return MBR_OK;
}

static mbr_status init(mbr_step *s, mbr_error *err)
{
    state *t = s->state;
    mbr_memory *memory = mbr_step_memory(s);
    const mbr_ir_graph *g = mbr_attr_graph(s->node, "body");
    size_t n_in = (size_t)mbr_attr_int(s->node, "num_scan_inputs", 0), n_state = g->n_inputs - n_in;
    size_t n_out = g->n_outputs - n_state;
    t->sets[0] = mbr_calloc(memory, 2 * n_state + 1, sizeof(mbr_value));
    t->in = mbr_calloc(memory, n_in + n_out, sizeof *t->in);
    if (!t->sets[0] || !t->in)
        return mbr_no_memory(err, 2 * n_state * sizeof(mbr_value));
    t->sets[1] = t->sets[0] + n_state;
    t->out = t->in + n_in;
    t->n_state = n_state;
    t->n_in = n_in;
    t->n_out = n_out;
    for (size_t i = 0; i < 2 * n_state; i++)
        mbr_value_init(&t->sets[0][i], memory, MBR_KIND_TENSOR, g->inputs[i % n_state]->type.dtype);
    for (size_t i = 0; i < n_in; i++)
        mbr_value_init(&t->in[i].slice, memory, MBR_KIND_TENSOR, g->inputs[n_state + i]->type.dtype);
    return MBR_OK;
}

static void fini(mbr_step *s)
{
    state *t = s->state;
    for (size_t i = 0; i < 2 * t->n_state; i++)
        mbr_value_clear(&t->sets[0][i]);
    for (size_t i = 0; i < t->n_in; i++)
        mbr_value_clear(&t->in[i].slice);
    mbr_free(mbr_step_memory(s), t->sets[0]);
    mbr_free(mbr_step_memory(s), t->in);
}

/* Sizes of the scan inputs' tracks; all have one length. */
static mbr_status measure(mbr_step *s, size_t *entries, mbr_error *err)
{
    state *t = s->state;
    bool batch = has_batch(s->node);
    *entries = 1;
    for (size_t i = 0; i < t->n_in; i++) {
        const mbr_value *v = s->in[batch + t->n_state + i];
        track *k = &t->in[i];
        MBR_TRY(sequence_axis(s->node, "scan_input_axes", i, v->rank, &k->axis, err));
        k->backwards = listed(s->node, batch ? "directions" : "scan_input_directions", i) != 0;
        k->outer = k->inner = 1;
        for (int d = batch; d < k->axis; d++)
            k->outer *= (size_t)v->dims[d];
        for (int d = k->axis + 1; d < v->rank; d++)
            k->inner *= (size_t)v->dims[d];
        k->length = (size_t)v->dims[k->axis];
        if (batch)
            *entries = (size_t)v->dims[0];
        if (k->length != t->in[0].length || (batch && v->dims[0] != s->in[1 + t->n_state]->dims[0]))
            return mbr_step_fail(s, err, MBR_ERR_INPUT, "scan inputs of different lengths: %zu and %zu",
                                 t->in[0].length, k->length);
    }
    for (size_t i = 0; batch && i < t->n_state; i++)
        if (s->in[1 + i]->rank < 1 || (size_t)s->in[1 + i]->dims[0] != *entries)
            return mbr_step_fail(s, err, MBR_ERR_INPUT, "state %zu has another batch size than the scan inputs", i);
    return MBR_OK;
}

static const char *slice_at(const mbr_step *s, size_t i, size_t entry, size_t at)
{
    const state *t = s->state;
    const track *k = &t->in[i];
    const mbr_value *v = s->in[has_batch(s->node) + t->n_state + i];
    return (const char *)v->data + (entry * k->outer * k->length + at) * k->inner * mbr_dtype_size(v->dtype);
}

/* Slice `at` of scan input i in batch entry `entry`: a window where it is contiguous, else a copy. */
static mbr_status take(mbr_step *s, size_t i, size_t entry, size_t at, mbr_error *err)
{
    state *t = s->state;
    track *k = &t->in[i];
    bool batch = has_batch(s->node);
    const mbr_value *v = s->in[batch + t->n_state + i];
    size_t size = mbr_dtype_size(v->dtype);
    int64_t dims[MBR_MAX_RANK];
    int rank = 0;
    for (int d = batch; d < v->rank; d++)
        if (d != k->axis)
            dims[rank++] = v->dims[d];
    const char *from = slice_at(s, i, entry, at);
    if (k->outer == 1) {
        k->slice.dtype = v->dtype;
        k->slice.rank = rank;
        memcpy(k->slice.dims, dims, sizeof dims);
        k->slice.data = (void *)(uintptr_t)from; /* read only, as every input of a frame */
        k->slice.capacity = k->inner * size;
        return MBR_OK;
    }
    MBR_TRY(mbr_value_resize(&k->slice, v->dtype, rank, dims, err));
    for (size_t o = 0; o < k->outer; o++)
        memcpy((char *)k->slice.data + o * k->inner * size, from + o * k->length * k->inner * size, k->inner * size);
    return MBR_OK;
}

/* Gives scan output i its shape, once its first slice is known. */
static mbr_status open_output(mbr_step *s, size_t i, const mbr_value *slice, size_t entries, mbr_error *err)
{
    state *t = s->state;
    track *k = &t->out[i];
    bool batch = has_batch(s->node);
    uint32_t o = (uint32_t)(t->n_state + i);
    int64_t dims[MBR_MAX_RANK];
    int rank = slice->rank + 1 + batch;
    if (rank > MBR_MAX_RANK)
        return mbr_step_fail(s, err, MBR_ERR_LIMIT, "a scan output of more than %d axes", MBR_MAX_RANK);
    if (slice->dtype != s->out[o]->dtype)
        return mbr_step_fail(s, err, MBR_ERR_MODEL, "scan output %zu is %s; it was to be %s", i,
                             mbr_dtype_name(slice->dtype), mbr_dtype_name(s->out[o]->dtype));
    MBR_TRY(sequence_axis(s->node, "scan_output_axes", i, rank, &k->axis, err));
    k->backwards = listed(s->node, "scan_output_directions", i) != 0;
    k->length = t->in[0].length;
    k->outer = k->inner = 1;
    if (batch)
        dims[0] = (int64_t)entries;
    for (int d = batch, j = 0; d < rank; d++) {
        dims[d] = d == k->axis ? (int64_t)k->length : slice->dims[j++];
        if (d < k->axis)
            k->outer *= (size_t)dims[d];
        else if (d > k->axis)
            k->inner *= (size_t)dims[d];
    }
    MBR_TRY(mbr_step_resize(s, o, rank, dims, err));
    size_t bytes = mbr_value_bytes(s->out[o]);
    if (bytes)
        memset(s->out[o]->data, 0, bytes); /* what is beyond the length of a sequence */
    return MBR_OK;
}

static mbr_status put(mbr_step *s, size_t i, size_t entry, size_t at, const mbr_value *slice, mbr_error *err)
{
    state *t = s->state;
    const track *k = &t->out[i];
    const mbr_value *out = s->out[t->n_state + i];
    size_t size = mbr_dtype_size(out->dtype);
    if (slice->dtype != out->dtype || mbr_value_count(slice) != k->outer * k->inner)
        return mbr_step_fail(s, err, MBR_ERR_INPUT, "a scan output changes its shape from one iteration to the next");
    if (k->backwards)
        at = k->length - 1 - at;
    char *to = (char *)out->data + (entry * k->outer * k->length + at) * k->inner * size;
    for (size_t o = 0; o < k->outer; o++)
        MBR_TRY(mbr_control_copy(s, out->dtype, to + o * k->length * k->inner * size,
                                 (const char *)slice->data + o * k->inner * size, k->inner, err));
    return MBR_OK;
}

/* The initial state of a batch entry as a window of the input. */
static mbr_status first_state(mbr_step *s, size_t i, size_t entry, mbr_value *to, mbr_error *err)
{
    const mbr_value *v = s->in[has_batch(s->node) + i];
    if (!has_batch(s->node))
        return mbr_value_assign(to, v, err);
    mbr_value window;
    mbr_value_init(&window, to->memory, MBR_KIND_TENSOR, v->dtype);
    window.rank = v->rank - 1;
    memcpy(window.dims, v->dims + 1, (size_t)window.rank * sizeof *window.dims);
    window.capacity = mbr_value_bytes(&window);
    window.data = v->data ? (char *)v->data + entry * window.capacity : NULL;
    return mbr_value_assign(to, &window, err);
}

/* The final state of a batch entry. */
static mbr_status last_state(mbr_step *s, size_t i, size_t entry, size_t entries, const mbr_value *v, mbr_error *err)
{
    if (!has_batch(s->node))
        return mbr_control_deliver(s, (uint32_t)i, v, err);
    if (!mbr_step_wants(s, (uint32_t)i))
        return MBR_OK;
    if (entry == 0) {
        int64_t dims[MBR_MAX_RANK];
        if (v->rank == MBR_MAX_RANK)
            return mbr_step_fail(s, err, MBR_ERR_LIMIT, "a state of more than %d axes", MBR_MAX_RANK);
        dims[0] = (int64_t)entries;
        memcpy(dims + 1, v->dims, (size_t)v->rank * sizeof *dims);
        MBR_TRY(mbr_step_resize(s, (uint32_t)i, v->rank + 1, dims, err));
    }
    size_t n = mbr_value_count(v);
    if (v->dtype != s->out[i]->dtype || n * entries != mbr_value_count(s->out[i]))
        return mbr_step_fail(s, err, MBR_ERR_INPUT, "state %zu ends in different shapes in a batch", i);
    return mbr_control_copy(s, v->dtype, (char *)s->out[i]->data + entry * mbr_value_bytes(v), v->data, n, err);
}

/*
 * The steps from `at` on where the body's shapes have settled, with nothing bound and nothing sized (see Loop). Slices
 * that lie in one piece are read and written in place.
 */
static mbr_status run_rounds(mbr_step *s, struct mbr_frame *f, size_t entry, size_t *at, size_t length, mbr_error *err)
{
    state *t = s->state;
    bool settled;
    MBR_TRY(mbr_control_rounds(t->sets[*at & 1], t->sets[(*at & 1) ^ 1], t->n_state, f, 0, &settled, err));
    for (; settled && *at < length; ++*at) {
        if (mbr_step_cancelled(s))
            return MBR_ERR_CANCELLED;
        for (size_t i = 0; i < t->n_in; i++) {
            track *k = &t->in[i];
            size_t here = k->backwards ? length - 1 - *at : *at;
            if (k->outer == 1)
                mbr_frame_point_input(f, t->n_state + i, slice_at(s, i, entry, here));
            else
                MBR_TRY(take(s, i, entry, here, err)); /* into the same buffer */
        }
        uint64_t placed = 0;
        for (size_t i = 0; i < t->n_out && i < 64; i++) {
            const track *k = &t->out[i];
            mbr_value *out = s->out[t->n_state + i];
            if (!mbr_step_wants(s, (uint32_t)(t->n_state + i)) || k->outer != 1)
                continue;
            char *to = (char *)out->data +
                       (entry * k->length + (k->backwards ? k->length - 1 - *at : *at)) * k->inner * mbr_dtype_size(out->dtype);
            if (mbr_frame_point_output(f, t->n_state + i, to))
                placed |= 1ull << i;
        }
        MBR_TRY(mbr_control_round(t->sets[*at & 1], t->sets[(*at & 1) ^ 1], t->n_state, f, 0, 0, err));
        for (size_t i = 0; i < t->n_out; i++)
            if (mbr_step_wants(s, (uint32_t)(t->n_state + i)) && (i > 63 || !(placed >> i & 1)))
                MBR_TRY(put(s, i, entry, *at, mbr_frame_made(f, t->n_state + i), err));
    }
    return MBR_OK;
}

static mbr_status run_entry(mbr_step *s, struct mbr_frame *f, size_t entry, size_t entries, size_t length,
                            mbr_error *err)
{
    state *t = s->state;
    for (size_t i = 0; i < t->n_state; i++)
        MBR_TRY(first_state(s, i, entry, &t->sets[0][i], err));
    for (size_t at = 0; at < length; at++) {
        if (at == 1 || at == 2) /* the second time where the initial state had other shapes */
            MBR_TRY(run_rounds(s, f, entry, &at, length, err));
        if (at == length)
            break;
        if (mbr_step_cancelled(s))
            return MBR_ERR_CANCELLED;
        mbr_value *from = t->sets[at & 1], *to = t->sets[(at & 1) ^ 1];
        for (size_t i = 0; i < t->n_state; i++)
            MBR_TRY(mbr_frame_bind(f, i, &from[i], err));
        for (size_t i = 0; i < t->n_in; i++) {
            MBR_TRY(take(s, i, entry, t->in[i].backwards ? length - 1 - at : at, err));
            MBR_TRY(mbr_frame_bind(f, t->n_state + i, &t->in[i].slice, err));
        }
        MBR_TRY(mbr_frame_run(f, err));
        for (size_t i = 0; i < t->n_state; i++)
            MBR_TRY(mbr_control_carry_output(&to[i], f, i, MBR_KIND_TENSOR, err));
        for (size_t i = 0; i < t->n_out; i++) {
            if (!mbr_step_wants(s, (uint32_t)(t->n_state + i)))
                continue;
            const mbr_value *v = mbr_frame_output(f, t->n_state + i);
            if (!t->opened)
                MBR_TRY(open_output(s, i, v, entries, err));
            MBR_TRY(put(s, i, entry, at, v, err));
        }
        t->opened = true;
    }
    for (size_t i = 0; i < t->n_state; i++)
        MBR_TRY(last_state(s, i, entry, entries, &t->sets[length & 1][i], err));
    return MBR_OK;
}

/* Scan outputs of a scan that never ran. */
static mbr_status nothing_scanned(mbr_step *s, size_t entries, mbr_error *err)
{
    state *t = s->state;
    bool batch = has_batch(s->node);
    for (size_t i = 0; i < t->n_out; i++) {
        if (!mbr_step_wants(s, (uint32_t)(t->n_state + i)))
            continue;
        const mbr_ir_type *type = &s->node->outputs[t->n_state + i]->type;
        int axis = 0;
        mbr_value slice; /* what the plan knows of one */
        mbr_value_init(&slice, mbr_step_memory(s), MBR_KIND_TENSOR, type->dtype);
        if (type->rank > 0)
            MBR_TRY(sequence_axis(s->node, "scan_output_axes", i, type->rank, &axis, err));
        for (int d = batch; d < type->rank; d++)
            if (d != axis)
                slice.dims[slice.rank++] = mbr_step_size(s, type->dims[d], 0);
        MBR_TRY(open_output(s, i, &slice, entries, err));
    }
    return MBR_OK;
}

static mbr_status run(mbr_step *s, const mbr_job *job, mbr_error *err)
{
    (void)job;
    state *t = s->state;
    size_t entries;
    t->opened = false;
    MBR_TRY(measure(s, &entries, err));
    const mbr_value *lengths = has_batch(s->node) && mbr_step_has(s, 0) ? s->in[0] : NULL;
    if (lengths && mbr_value_count(lengths) != entries)
        return mbr_step_fail(s, err, MBR_ERR_INPUT, "%zu sequence lengths for a batch of %zu",
                             mbr_value_count(lengths), entries);
    struct mbr_frame *f = mbr_step_subframe(s, "body");
    MBR_TRY(mbr_subframe_bind_captures(s, f, err));
    for (size_t e = 0; e < entries; e++) {
        int64_t length = lengths ? mbr_value_int(lengths, e) : (int64_t)t->in[0].length;
        if (length < 0 || (uint64_t)length > t->in[0].length)
            return mbr_step_fail(s, err, MBR_ERR_INPUT, "a sequence length of %lld; the scan inputs have %zu",
                                 (long long)length, t->in[0].length);
        MBR_TRY(run_entry(s, f, e, entries, (size_t)length, err));
    }
    return t->opened ? MBR_OK : nothing_scanned(s, entries, err);
}

/* No input need be there for the table: the lengths of version 8 are optional, and infer checks the rest. */
#define ROW(version)                                                                                                   \
    { .domain = "", .name = "Scan", .since = version, .min_in = 0, .max_in = MBR_OP_MANY, .min_out = 1,                \
      .max_out = MBR_OP_MANY, .flags = MBR_CONTROL_FLAGS, .infer = infer, .init = init, .run = run, .fini = fini,      \
      .state_size = sizeof(state) }

const mbr_op mbr_ops_scan[] = {
    ROW(8),
    ROW(9),
    ROW(11), /* negative axes */
    { 0 },
};
