/* SPDX-License-Identifier: BSD-2-Clause */
/* Rounds: steps of a frame that is laid out, run again and again with other data. */
#include "engine/frame_parts.h"

#include <string.h>

static mbr_status link_values(mbr_frame *f, uint32_t root, mbr_frame_link *link, mbr_error *err)
{
    const mbr_program *p = f->p;
    link->values = mbr_arena_calloc(&f->arena, (size_t)f->n_relinked + 1, sizeof *link->values);
    if (!link->values)
        return mbr_no_memory(err, sizeof *link->values);
    link->values[link->n++] = &f->values[root];
    for (uint32_t k = 0; k < f->n_relinked; k++) {
        if (mbr_program_root(p, f->relinked[k]) == root)
            link->values[link->n++] = &f->values[f->relinked[k]];
    }
    return MBR_OK;
}

static mbr_status make_links(mbr_frame *f, mbr_error *err)
{
    const mbr_program *p = f->p;
    const mbr_ir_graph *g = p->graph;
    mbr_frame_link *links = mbr_arena_calloc(&f->arena, g->n_inputs + g->n_outputs + 1, sizeof *links);
    f->round = mbr_arena_calloc(&f->arena, (size_t)p->n_steps + 1, sizeof *f->round);
    if (!links || !f->round)
        return mbr_no_memory(err, sizeof *links);
    for (size_t i = 0; i < g->n_inputs; i++)
        MBR_TRY(link_values(f, g->inputs[i]->id, &links[i], err));
    for (size_t i = 0; i < g->n_outputs; i++) {
        if (mbr_frame_in_storage(f, i))
            MBR_TRY(link_values(f, mbr_program_root(p, g->outputs[i]->id), &links[g->n_inputs + i], err));
    }
    f->n_round = 0;
    for (uint32_t k = 0; k < p->n_steps; k++)
        if (!p->steps[k].in_place)
            f->round[f->n_round++] = &f->steps[k];
    f->links = links;
    return MBR_OK;
}

mbr_status mbr_frame_settle(mbr_frame *f, bool *settled, mbr_error *err)
{
    const mbr_program *p = f->p;
    *settled = mbr_frame_laid_out(f) && !f->device;
    for (uint32_t k = 0; k < p->n_steps && *settled; k++)
        *settled = !p->steps[k].dynamic;
    for (size_t i = 0; i < p->graph->n_outputs && *settled; i++) {
        const mbr_value *v = &f->values[p->graph->outputs[i]->id];
        *settled = v->kind == MBR_KIND_TENSOR && v->dtype != MBR_DTYPE_STRING &&
                   f->outputs[i] == &f->own_outputs[i] && p->values[p->graph->outputs[i]->id].place != MBR_PLACE_OWN;
    }
    if (*settled && !f->links)
        MBR_TRY(make_links(f, err));
    *settled = *settled && !f->hook; /* which wants to see the steps of whole runs */
    return MBR_OK;
}

bool mbr_frame_fits(const mbr_frame *f, size_t i, const mbr_value *v)
{
    const mbr_value *slot = &f->values[f->p->graph->inputs[i]->id];
    return slot->kind == MBR_KIND_TENSOR && v->kind == MBR_KIND_TENSOR && slot->dtype == v->dtype &&
           slot->rank == v->rank && memcmp(slot->dims, v->dims, (size_t)v->rank * sizeof *v->dims) == 0;
}

void mbr_frame_point_input(mbr_frame *f, size_t i, const void *data)
{
    const mbr_frame_link *link = &f->links[i];
    for (uint32_t k = 0; k < link->n; k++)
        link->values[k]->data = (void *)(uintptr_t)data; /* read only, as every input of a frame */
}

bool mbr_frame_point_output(mbr_frame *f, size_t i, void *data)
{
    const mbr_frame_link *link = &f->links[f->p->graph->n_inputs + i];
    for (uint32_t k = 0; k < link->n; k++)
        link->values[k]->data = data;
    return link->n > 0;
}

static mbr_status round_step(mbr_frame *f, mbr_step *s, mbr_error *err)
{
    mbr_status st = MBR_OK;
    if (!s->op->run)
        mbr_frame_view_now(s);
    else if (s->phases == 1 && s->tiles[0] == 1)
        st = s->op->run(s, &(mbr_job){ 0, 0, 1, 0, f->run->scratch }, err);
    else
        st = mbr_frame_run_phases(f, s, err);
    return st == MBR_OK ? st : mbr_frame_blame(s, st, err);
}

mbr_status mbr_frame_round(mbr_frame *f, mbr_error *err)
{
    for (uint32_t k = 0; k < f->n_round; k++)
        MBR_TRY(round_step(f, f->round[k], err));
    return MBR_OK;
}

mbr_status mbr_frame_round_step(mbr_frame *f, uint32_t k, mbr_error *err)
{
    if (f->hook)
        f->hook(f->hook_user, f->round[k], true);
    mbr_status st = round_step(f, f->round[k], err);
    if (f->hook)
        f->hook(f->hook_user, f->round[k], false);
    return st;
}

const mbr_value *mbr_frame_made(const mbr_frame *f, size_t i)
{
    return &f->values[f->p->graph->outputs[i]->id];
}
