/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Convolutions in a row between which even one image leaves the second cache by far become one mbr.ByRows, which takes
 * bands of rows through all of them: memory holds a few bands in place of whole images. Their sums are the same.
 */
#include "engine/infer.h"
#include "engine/ops/op.h"
#include "engine/passes/pass.h"
#include "kernels/cpu.h"

#include <string.h>

#define MOST_STAGES 16
#define LEAST_BAND 4 /* rows: what the larger pieces of Winograd's algorithm are high */
#define MOST_BAND 16
#define LEAST_GAIN 4 /* of what two neighbours take in memory, over what stays whole; the time is about the same */

typedef struct rows_plan {
    mbr_ir_node *nodes[MOST_STAGES];
    int64_t above[MOST_STAGES], below[MOST_STAGES];
    size_t n;
    int64_t height, band;
} rows_plan;

static bool all_are(const mbr_ir_node *n, const char *name, int64_t want)
{
    size_t count;
    const int64_t *v = mbr_attr_ints(n, name, &count);
    for (size_t i = 0; i < count; i++)
        if (v[i] != want)
            return false;
    return true;
}

static bool is_weight(const mbr_ir_value *v)
{
    return v && v->constant && !v->has_default;
}

static int height_axis(const mbr_ir_node *n)
{
    return mbr_attr_int(n, "input_nchw", 0) ? 2 : 1;
}

/* A convolution of images in f32 that keeps their height, all sizes but the batch known. */
static bool fits(const mbr_ir_node *n, int64_t *above, int64_t *below)
{
    size_t count;
    if (!mbr_node_is(n, "mbr", "Conv") || n->n_inputs < 2 || n->n_inputs > 3 || n->n_inputs != n->n_formal ||
        !n->outputs[0] || !is_weight(n->inputs[1]) || (n->n_inputs > 2 && n->inputs[2] && !is_weight(n->inputs[2])))
        return false;
    const mbr_ir_type *x = &n->inputs[0]->type, *y = &n->outputs[0]->type;
    const mbr_value *w = n->inputs[1]->constant;
    const char *pad = mbr_attr_string(n, "auto_pad", "NOTSET");
    if (x->rank != 4 || y->rank != 4 || w->rank != 4 || x->dtype != MBR_DTYPE_F32 || !all_are(n, "strides", 1) ||
        (strcmp(pad, "NOTSET") != 0 && *pad))
        return false;
    for (int d = 1; d < 4; d++)
        if (!mbr_dim_is_const(x->dims[d]) || !mbr_dim_is_const(y->dims[d]))
            return false;
    const int64_t *pads = mbr_attr_ints(n, "pads", &count);
    *above = pads && count == 4 ? pads[0] : 0;
    *below = pads && count == 4 ? pads[2] : 0;
    const int64_t *dilations = mbr_attr_ints(n, "dilations", &count);
    int64_t reach = (w->dims[2] - 1) * (dilations && count == 2 ? dilations[0] : 1);
    return *above >= 0 && *below >= 0 && *above + *below == reach && x->dims[height_axis(n)] == y->dims[1];
}

/* Bytes of an image. */
static double image_bytes(const mbr_ir_value *v)
{
    return (double)v->type.dims[1] * (double)v->type.dims[2] * (double)v->type.dims[3] * sizeof(float);
}

static double row_bytes(const mbr_ir_value *v)
{
    return (double)v->type.dims[2] * (double)v->type.dims[3] * sizeof(float);
}

/* The longest stretch that begins with n. */
static bool plan_from(mbr_ir_node *n, rows_plan *p)
{
    mbr_cpu_caches caches = mbr_cpu_caches_get();
    double l2 = caches.l2 ? caches.l2 : 512 * 1024, widest = 0, pair = 0;
    int64_t reach = 0;
    p->n = 0;
    for (; n && p->n < MOST_STAGES && fits(n, &p->above[p->n], &p->below[p->n]); n = n->next) {
        const mbr_ir_value *y = n->outputs[0];
        if (p->n && (n->inputs[0] != p->nodes[p->n - 1]->outputs[0] || n->inputs[0]->uses != 1 || height_axis(n) != 1))
            break;
        widest = p->n && row_bytes(n->inputs[0]) > widest ? row_bytes(n->inputs[0]) : widest;
        double both = image_bytes(n->inputs[0]) + image_bytes(y);
        pair = both > pair ? both : pair;
        reach = p->above[p->n] > reach ? p->above[p->n] : reach;
        reach = p->below[p->n] > reach ? p->below[p->n] : reach;
        p->nodes[p->n++] = n;
        p->height = y->type.dims[1];
    }
    if (p->n < 2)
        return false;
    double outside = image_bytes(p->nodes[0]->inputs[0]) + image_bytes(p->nodes[p->n - 1]->outputs[0]);
    p->band = LEAST_BAND;
    while (p->band < reach && p->band <= MOST_BAND)
        p->band *= 2;
    return widest * (double)p->height > 8 * l2 && pair > LEAST_GAIN * outside && p->band <= MOST_BAND &&
           p->height >= 4 * p->band;
}

static mbr_status add_stage(mbr_ir_graph *body, const rows_plan *p, size_t k, mbr_error *err)
{
    const mbr_ir_node *n = p->nodes[k];
    mbr_ir_value *inputs[3] = { NULL };
    mbr_ir_node *copy;
    mbr_dim dims[4];
    size_t count;
    MBR_TRY(mbr_ir_value_new(body, NULL, &inputs[0], err));
    memcpy(dims, n->inputs[0]->type.dims, sizeof dims);
    dims[0] = mbr_dim_const(1);
    dims[height_axis(n)] = mbr_dim_const(p->band + p->above[k] + p->below[k]);
    MBR_TRY(mbr_ir_set_tensor_type(inputs[0], MBR_DTYPE_F32, 4, dims, err));
    MBR_TRY(mbr_ir_add_input(body, inputs[0], err));
    for (uint32_t i = 1; i < n->n_inputs; i++)
        if (n->inputs[i])
            MBR_TRY(mbr_ir_constant(body, mbr_value_retain((mbr_value *)(uintptr_t)n->inputs[i]->constant), &inputs[i],
                                    err));
    MBR_TRY(mbr_ir_node_new(body, NULL, n->op->domain, n->op->name, n->op->since, n->name, inputs, n->n_inputs, NULL, 1,
                            &copy, err));
    copy->opset = n->opset;
    copy->origin = n->origin;
    MBR_TRY(mbr_ir_attrs_copy(copy, n, err));
    const int64_t *pads = mbr_attr_ints(n, "pads", &count);
    if (pads && count == 4)
        MBR_TRY(mbr_ir_attr_ints(copy, "pads", (const int64_t[]){ 0, pads[1], 0, pads[3] }, 4, err));
    memcpy(dims, n->outputs[0]->type.dims, sizeof dims);
    dims[0] = mbr_dim_const(1);
    dims[1] = mbr_dim_const(p->band);
    MBR_TRY(mbr_ir_set_tensor_type(copy->outputs[0], MBR_DTYPE_F32, 4, dims, err));
    return mbr_ir_add_output(body, copy->outputs[0], err);
}

static mbr_status enclose(mbr_ir_graph *g, const rows_plan *p, mbr_error *err)
{
    mbr_ir_graph *body;
    mbr_ir_node *by_rows;
    MBR_TRY(mbr_ir_graph_new(g->module, "rows", &body, err));
    for (size_t k = 0; k < p->n; k++)
        MBR_TRY(add_stage(body, p, k, err));
    MBR_TRY(mbr_ir_node_new(g, p->nodes[0], "mbr", "ByRows", 1, NULL, &p->nodes[0]->inputs[0], 1, NULL, 1, &by_rows,
                            err));
    MBR_TRY(mbr_ir_attr_graph(by_rows, "body", body, err));
    MBR_TRY(mbr_ir_attr_int(by_rows, "rows", p->band, err));
    MBR_TRY(mbr_ir_attr_ints(by_rows, "above", p->above, p->n, err));
    if (height_axis(p->nodes[0]) == 2)
        MBR_TRY(mbr_ir_attr_int(by_rows, "input_nchw", 1, err));
    by_rows->origin = p->nodes[0]->origin;
    MBR_TRY(mbr_infer_node(by_rows, err));
    mbr_ir_replace_uses(p->nodes[p->n - 1]->outputs[0], by_rows->outputs[0]);
    for (size_t k = p->n; k-- > 0;)
        mbr_ir_node_remove(p->nodes[k]);
    return MBR_OK;
}

mbr_status mbr_pass_rows(mbr_ir_graph *g, bool *changed, mbr_error *err)
{
    if (g != g->module->main)
        return MBR_OK;
    for (mbr_ir_node *n = g->first, *next; n; n = next) {
        rows_plan p;
        next = n->next;
        if (!plan_from(n, &p))
            continue;
        next = p.nodes[p.n - 1]->next;
        MBR_TRY(enclose(g, &p, err));
        *changed = true;
    }
    return MBR_OK;
}
