/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * mbr.ByRows: a stretch of convolutions, each the only reader of the one before, runs through an image by bands of rows,
 * so that what lies between them is a few bands high. The pass `rows` makes it.
 *
 *     input X (n, height, width, channels), or with input_nchw = 1 (n, channels, height, width); output channels last
 *     rows: of a band; above: rows of padding in front, one number for each convolution
 *
 * Node k of the body is convolution k: it makes a band from input k of the body, the rows that the band needs, padding
 * included. In step i, convolution k makes band i - k: all that it reads has been made, and each band is made once.
 */
#include "engine/frame.h"
#include "engine/ops/buffer.h"
#include "engine/ops/control.h"

#include <string.h>

#define MOST_STAGES 64

/*
 * The rows that a convolution reads for a band: planes of rows, one where channels lie last. Between convolutions there
 * are two in turn: in one a band is made while the other is read.
 */
typedef struct rows_window {
    char *data[2];
    size_t planes, rows, row_bytes;
    size_t above, below; /* rows of its neighbours that a band needs */
} rows_window;

typedef struct rows_state {
    rows_window windows[MOST_STAGES + 1]; /* the last one takes the output's last band where that is not whole */
    mbr_buffer block;
    size_t height, band, bands, stages;
} rows_state;

static mbr_status infer(mbr_infer *c)
{
    mbr_ir_graph *g;
    size_t n;
    const int64_t *above = mbr_attr_ints(c->node, "above", &n);
    MBR_TRY(mbr_control_graph(c, "body", &g));
    if (!above || n != g->n_inputs || n != g->n_outputs || n < 1 || n > MOST_STAGES ||
        mbr_attr_int(c->node, "rows", 0) < 1)
        return mbr_infer_fail(c, MBR_ERR_MODEL, "the body does not fit the attributes");
    MBR_TRY(mbr_infer_subgraph(c, g));
    mbr_control_result(c, g, (uint32_t)n - 1, &c->out[0]);
    if (c->in[0].rank != 4 || c->out[0].rank != 4)
        return mbr_infer_fail(c, MBR_ERR_MODEL, "a band has four dimensions");
    c->out[0].dims[0] = c->in[0].dims[0];
    c->out[0].dims[1] = c->in[0].dims[mbr_attr_int(c->node, "input_nchw", 0) ? 2 : 1];
    c->out[0].content = NULL;
    return MBR_OK;
}

static size_t size_window(rows_window *w, const mbr_ir_type *t, bool planes)
{
    w->planes = planes ? (size_t)t->dims[1] : 1;
    w->rows = (size_t)t->dims[planes ? 2 : 1];
    w->row_bytes = (size_t)t->dims[3] * (planes ? 1 : (size_t)t->dims[2]) * sizeof(float);
    return w->planes * w->rows * w->row_bytes;
}

static mbr_status prepare(mbr_step *s, mbr_error *err)
{
    rows_state *st = s->state;
    const mbr_ir_graph *g = mbr_attr_graph(s->node, "body");
    const int64_t *above = mbr_attr_ints(s->node, "above", &st->stages);
    bool planes = mbr_attr_int(s->node, "input_nchw", 0) != 0;
    size_t bytes = 0;
    st->band = (size_t)mbr_attr_int(s->node, "rows", 0);
    st->height = (size_t)s->out[0]->dims[1];
    st->bands = (st->height + st->band - 1) / st->band;
    for (size_t k = 0; k <= st->stages; k++) {
        rows_window *w = &st->windows[k];
        bool between = k > 0 && k < st->stages;
        size_t one = size_window(w, k < st->stages ? &g->inputs[k]->type : &g->outputs[k - 1]->type, planes && k == 0);
        w->above = k < st->stages ? (size_t)above[k] : 0;
        w->below = w->rows - st->band - w->above;
        bytes += between ? 2 * one : one;
    }
    s->cost_ns = 1e6; /* the convolutions split themselves, among whoever the team has */
    MBR_TRY(mbr_buffer_reserve(s, &st->block, bytes, err));
    char *at = st->block.data;
    for (size_t k = 0; k <= st->stages; k++) {
        rows_window *w = &st->windows[k];
        for (int i = 0; i < 2; i++) {
            w->data[i] = at;
            at += i == 0 && (k == 0 || k == st->stages) ? 0 : w->planes * w->rows * w->row_bytes;
        }
    }
    return MBR_OK;
}

/* What convolution 0 reads for a band: in the image where all rows are, else a copy with zeros around it. */
static const void *first_rows(const rows_state *st, const char *image, size_t band)
{
    const rows_window *w = &st->windows[0];
    ptrdiff_t top = (ptrdiff_t)(band * st->band) - (ptrdiff_t)w->above, height = (ptrdiff_t)st->height;
    if (w->planes == 1 && top >= 0 && top + (ptrdiff_t)w->rows <= height)
        return image + (size_t)top * w->row_bytes;
    ptrdiff_t end = top + (ptrdiff_t)w->rows, from = top < 0 ? 0 : top, to = end > height ? height : end;
    memset(w->data[0], 0, w->planes * w->rows * w->row_bytes);
    for (size_t p = 0; p < w->planes && to > from; p++)
        memcpy(w->data[0] + (p * w->rows + (size_t)(from - top)) * w->row_bytes,
               image + (p * st->height + (size_t)from) * w->row_bytes, (size_t)(to - from) * w->row_bytes);
    return w->data[0];
}

/* Before a band is made between two convolutions: the rows above it. */
static void take_above(const rows_state *st, const rows_window *w, size_t band)
{
    char *to = w->data[band & 1];
    if (band == 0)
        memset(to, 0, w->above * w->row_bytes);
    else
        memcpy(to, w->data[~band & 1] + st->band * w->row_bytes, w->above * w->row_bytes);
}

/* When it is made, or lies behind the image: the rows that the band before it waits for. */
static void give_below(const rows_state *st, const rows_window *w, size_t band)
{
    size_t bytes = w->below * w->row_bytes;
    char *made = w->data[band & 1] + w->above * w->row_bytes;
    char *to = w->data[~band & 1] + (w->above + st->band) * w->row_bytes;
    size_t inside = band < st->bands ? st->height - band * st->band : 0;
    if (inside < st->band && inside)
        memset(made + inside * w->row_bytes, 0, (st->band - inside) * w->row_bytes);
    if (!inside)
        memset(to, 0, bytes);
    else if (band)
        memcpy(to, made, bytes);
}

/* Convolution k makes a band. */
static mbr_status make_band(mbr_step *s, struct mbr_frame *f, size_t k, size_t band, const char *image, char *output,
                            mbr_error *err)
{
    const rows_state *st = s->state;
    const rows_window *in = &st->windows[k], *out = &st->windows[k + 1];
    size_t whole = st->height - band * st->band;
    bool last = k + 1 == st->stages, straight = last && whole >= st->band;
    char *at = output + band * st->band * out->row_bytes;
    char *place = straight ? at : out->data[last ? 0 : band & 1] + out->above * out->row_bytes;
    if (!last)
        take_above(st, out, band);
    mbr_frame_point_input(f, k, k ? in->data[band & 1] : first_rows(st, image, band));
    mbr_frame_point_output(f, k, place);
    MBR_TRY(mbr_frame_round_step(f, (uint32_t)k, err));
    if (last && !straight)
        memcpy(at, place, whole * out->row_bytes);
    return MBR_OK;
}

static mbr_status run_sample(mbr_step *s, struct mbr_frame *f, const char *image, char *output, mbr_error *err)
{
    const rows_state *st = s->state;
    for (size_t i = 0; i < st->bands + st->stages - 1; i++) {
        if (mbr_step_cancelled(s))
            return MBR_ERR_CANCELLED;
        for (size_t k = 0; k < st->stages && k <= i; k++) {
            size_t band = i - k;
            if (band < st->bands)
                MBR_TRY(make_band(s, f, k, band, image, output, err));
            if (k + 1 < st->stages && band <= st->bands)
                give_below(st, &st->windows[k + 1], band);
        }
    }
    return MBR_OK;
}

static mbr_status run(mbr_step *s, const mbr_job *job, mbr_error *err)
{
    (void)job;
    const rows_state *st = s->state;
    const mbr_value *x = s->in[0], *y = s->out[0];
    struct mbr_frame *f = mbr_step_subframe(s, "body");
    const mbr_ir_graph *g = mbr_attr_graph(s->node, "body");
    size_t samples = (size_t)y->dims[0], n = mbr_value_count(x) && mbr_value_count(y) ? samples : 0;
    bool settled;
    for (size_t k = 0; k < st->stages && n; k++) {
        mbr_value v = *x;
        for (int d = 0; d < 4; d++)
            v.dims[d] = g->inputs[k]->type.dims[d];
        v.data = st->windows[k].data[0];
        v.capacity = mbr_value_bytes(&v);
        MBR_TRY(mbr_frame_bind(f, k, &v, err));
    }
    if (n) {
        MBR_TRY(mbr_frame_prepare(f, err));
        MBR_TRY(mbr_frame_settle(f, &settled, err)); /* all sizes are known: only a profile can say that it is not */
    }
    for (size_t at = 0; at < n; at++)
        MBR_TRY(run_sample(s, f, (const char *)x->data + at * (mbr_value_bytes(x) / n),
                           (char *)y->data + at * (mbr_value_bytes(y) / n), err));
    return MBR_OK;
}

static void fini(mbr_step *s)
{
    mbr_buffer_free(s, &((rows_state *)s->state)->block);
}

const mbr_op mbr_ops_by_rows[] = {
    { .domain = "mbr", .name = "ByRows", .since = 1, .min_in = 1, .max_in = 1, .min_out = 1, .max_out = 1,
      .flags = MBR_OP_CONTROL | MBR_OP_HOST | MBR_OP_BODY_FORGETS, .infer = infer, .prepare = prepare, .run = run,
      .fini = fini, .state_size = sizeof(rows_state) },
    { 0 },
};
