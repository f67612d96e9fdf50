/* SPDX-License-Identifier: BSD-2-Clause */
#include "api/env.h"

#include <string.h>

mbr_status mbr_session_profile_start(mbr_session *s, mbr_error *err)
{
    if (!s->profile)
        return mbr_profile_new(s->frame, &s->profile, err);
    mbr_profile_reset(s->profile);
    return MBR_OK;
}

void mbr_session_profile_stop(mbr_session *s)
{
    mbr_profile_free(s->profile);
    s->profile = NULL;
}

int mbr_session_profile_count(const mbr_session *s)
{
    return s->profile ? (int)mbr_profile_count(s->profile) : 0;
}

static mbr_status check_row(const mbr_session *s, size_t size, int index, int count, const char *what, mbr_error *err)
{
    if (!s->profile)
        return mbr_fail(err, MBR_ERR_ARGUMENT, "there is no profile; start it with mbr_session_profile_start");
    if (index < 0 || index >= count)
        return mbr_fail(err, MBR_ERR_ARGUMENT, "%s %d of a profile that has %d", what, index, count);
    if (size < sizeof size)
        return mbr_fail(err, MBR_ERR_ARGUMENT, "the size of a profile's %s is not set", what);
    return MBR_OK;
}

static const char *domain_of(const mbr_ir_node *n)
{
    return n->op->domain[0] ? n->op->domain : "ai.onnx";
}

mbr_status mbr_session_profile_row(const mbr_session *s, int index, mbr_profile_row *row, mbr_error *err)
{
    MBR_TRY(check_row(s, row->size, index, mbr_session_profile_count(s), "row", err));
    const mbr_profile_entry *e = mbr_profile_at(s->profile, (size_t)index);
    mbr_profile_row r = { .size = row->size, .domain = domain_of(e->node), .op = e->node->op->name,
                          .node = e->node->name ? e->node->name : "", .kernel = e->kernel ? e->kernel : "",
                          .calls = e->calls, .ns = e->cost.ns, .flop = e->cost.flop, .bytes = e->cost.bytes,
                          .rank = e->rank, .dims = e->dims, .weight_bytes = e->cost.weight_bytes, .least_ns = e->least_ns,
                          .device = e->where ? e->where : "cpu" };
    memcpy(row, &r, row->size < sizeof r ? row->size : sizeof r);
    return MBR_OK;
}

int mbr_session_profile_node_count(const mbr_session *s)
{
    return s->profile ? (int)mbr_profile_origins(s->profile) : 0;
}

mbr_status mbr_session_profile_node(const mbr_session *s, int index, mbr_profile_node *node, mbr_error *err)
{
    int count = s->profile ? (int)mbr_profile_origin_count(s->profile) : 0;
    MBR_TRY(check_row(s, node->size, index, count, "node", err));
    if (index == 0) /* what follows is of one state */
        mbr_profile_origins(s->profile);
    const mbr_profile_origin *o = mbr_profile_origin_at(s->profile, (size_t)index);
    const mbr_ir_node *n = o->node;
    mbr_profile_node r = { .size = node->size, .domain = "", .op = "", .node = "", .how = o->how,
                           .row = o->entry == MBR_NO_ENTRY ? -1 : (int)o->entry, .ns = o->cost.ns,
                           .flop = o->cost.flop, .bytes = o->cost.bytes, .weight_bytes = o->cost.weight_bytes };
    if (n) {
        r.domain = domain_of(n);
        r.op = n->op->name;
        r.node = *n->name ? n->name : n->n_outputs && n->outputs[0] ? n->outputs[0]->name : "";
    }
    memcpy(node, &r, node->size < sizeof r ? node->size : sizeof r);
    return MBR_OK;
}

mbr_status mbr_session_profile_spans(mbr_session *s, size_t most, mbr_error *err)
{
    if (!s->profile)
        return mbr_fail(err, MBR_ERR_ARGUMENT, "there is no profile; start it with mbr_session_profile_start");
    return mbr_profile_record(s->profile, most, err);
}

int mbr_session_profile_span_count(const mbr_session *s)
{
    const mbr_spans *all = s->profile ? mbr_profile_spans(s->profile) : NULL;
    size_t n = 0;
    for (int row = 0; all && row < all->rows; row++)
        n += all->n[row];
    return (int)n;
}

mbr_status mbr_session_profile_span(const mbr_session *s, int index, mbr_profile_span *span, mbr_error *err)
{
    MBR_TRY(check_row(s, span->size, index, mbr_session_profile_span_count(s), "span", err));
    const mbr_spans *all = mbr_profile_spans(s->profile);
    size_t at = (size_t)index;
    int row = 0;
    while (at >= all->n[row])
        at -= all->n[row++];
    const mbr_span *x = &all->spans[(size_t)row * all->room + at];
    bool thread = row < all->rows - MBR_SPANS_DEVICE;
    mbr_profile_span r = { .size = span->size, .row = (int)x->entry, .worker = thread ? row : row - all->rows, .phase = x->phase,
                           .tiles = x->tiles, .begin_ns = (double)x->begin, .end_ns = (double)x->end };
    memcpy(span, &r, span->size < sizeof r ? span->size : sizeof r);
    return MBR_OK;
}
