/* SPDX-License-Identifier: BSD-2-Clause */
#include "engine/ops/buffer.h"
#include "kernels/real.h"
#include "kernels/recurrence.h"

#include <math.h>
#include <string.h>

enum { IN_Q, IN_K, IN_V, IN_STATE, IN_DECAY, IN_BETA };

typedef struct linear_state {
    mbr_linear_attention_args args;
    mbr_dtype state_dtype;
    mbr_buffer work; /* (batch, kv_heads, dk, dv) */
    size_t tiles, per_tile;
} linear_state;

static mbr_status infer(mbr_infer *c)
{
    const mbr_arg *q = &c->in[IN_Q], *v = &c->in[IN_V];
    int64_t heads = mbr_attr_int(c->node, "q_num_heads", 0), kv = mbr_attr_int(c->node, "kv_num_heads", 0);
    if (heads < 1 || kv < 1 || heads % kv)
        return mbr_infer_fail(c, MBR_ERR_MODEL, "q_num_heads is %lld, kv_num_heads %lld", (long long)heads,
                              (long long)kv);
    for (uint32_t i = IN_Q; i <= IN_V; i++)
        if ((c->in[i].rank >= 0 && c->in[i].rank != 3) ||
            (c->in[i].dtype != MBR_DTYPE_UNDEFINED && !mbr_dtype_is_float(c->in[i].dtype)))
            return mbr_infer_fail(c, MBR_ERR_MODEL, "input %u has rank %d and type %s", i, c->in[i].rank,
                                  mbr_dtype_name(c->in[i].dtype));
    mbr_dim out[3] = { MBR_DIM_UNKNOWN, MBR_DIM_UNKNOWN, MBR_DIM_UNKNOWN };
    mbr_dim state[4] = { MBR_DIM_UNKNOWN, kv, MBR_DIM_UNKNOWN, MBR_DIM_UNKNOWN };
    if (q->rank == 3 && v->rank == 3) {
        state[0] = out[0] = q->dims[0];
        out[1] = q->dims[1];
        state[2] = mbr_dim_div(c->dims, q->dims[2], heads);
        state[3] = mbr_dim_div(c->dims, v->dims[2], kv);
        out[2] = mbr_dim_mul(c->dims, state[3], heads);
    }
    mbr_infer_out(c, 0, q->dtype, 3, out);
    if (c->n_out > 1)
        mbr_infer_out(c, 1, mbr_infer_has(c, IN_STATE) ? c->in[IN_STATE].dtype : q->dtype, 4, state);
    return MBR_OK;
}

static mbr_status prepare(mbr_step *s, mbr_error *err)
{
    linear_state *st = s->state;
    mbr_linear_attention_args *a = &st->args;
    const mbr_value *q = s->in[IN_Q], *k = s->in[IN_K], *v = s->in[IN_V];
    const char *rule = mbr_attr_string(s->node, "update_rule", "gated_delta");
    bool gated = strncmp(rule, "gated", 5) == 0;
    memset(a, 0, sizeof *a);
    a->delta = strcmp(rule, "delta") == 0 || strcmp(rule, "gated_delta") == 0;
    if (!gated && !a->delta && strcmp(rule, "linear") != 0)
        return mbr_step_fail(s, err, MBR_ERR_MODEL, "update_rule '%s'", rule);
    if (gated != mbr_step_has(s, IN_DECAY) || a->delta != mbr_step_has(s, IN_BETA))
        return mbr_step_fail(s, err, MBR_ERR_MODEL, "update_rule '%s' does not go with these inputs", rule);
    a->dtype = q->dtype;
    a->batch = (size_t)q->dims[0];
    a->steps = (size_t)q->dims[1];
    a->heads = (size_t)mbr_attr_int(s->node, "q_num_heads", 1);
    a->kv_heads = (size_t)mbr_attr_int(s->node, "kv_num_heads", 1);
    a->dk = (size_t)q->dims[2] / a->heads;
    a->dv = (size_t)v->dims[2] / a->kv_heads;
    size_t tokens = a->batch * a->steps;
    if ((size_t)q->dims[2] != a->dk * a->heads || mbr_value_count(k) != tokens * a->kv_heads * a->dk ||
        mbr_value_count(v) != tokens * a->kv_heads * a->dv || k->dtype != q->dtype || v->dtype != q->dtype)
        return mbr_step_fail(s, err, MBR_ERR_INPUT, "the shapes or types of query, key and value do not fit together");
    if (gated) {
        const mbr_value *decay = s->in[IN_DECAY];
        a->decay_each = (size_t)decay->dims[decay->rank ? decay->rank - 1 : 0] == a->kv_heads ? 1 : a->dk;
        if (mbr_value_count(decay) != tokens * a->kv_heads * a->decay_each || decay->dtype != q->dtype)
            return mbr_step_fail(s, err, MBR_ERR_INPUT, "the decay does not fit");
    }
    if (a->delta) {
        const mbr_value *beta = s->in[IN_BETA];
        a->beta_heads = tokens ? mbr_value_count(beta) / tokens : 1;
        if ((a->beta_heads != 1 && a->beta_heads != a->kv_heads) ||
            mbr_value_count(beta) != tokens * a->beta_heads || beta->dtype != q->dtype)
            return mbr_step_fail(s, err, MBR_ERR_INPUT, "beta does not fit");
    }
    size_t states = a->batch * a->kv_heads * a->dk * a->dv;
    if (mbr_step_has(s, IN_STATE) && (mbr_value_count(s->in[IN_STATE]) != states ||
                                      !mbr_dtype_is_float(s->in[IN_STATE]->dtype)))
        return mbr_step_fail(s, err, MBR_ERR_INPUT, "the past state does not fit");
    a->scale = mbr_attr_float(s->node, "scale", 0);
    if (a->scale == 0)
        a->scale = a->dk ? (float)(1 / sqrt((double)a->dk)) : 1;
    MBR_TRY(mbr_buffer_reserve(s, &st->work, states * sizeof(float), err));
    st->tiles = a->batch * a->kv_heads;
    s->scratch = (a->dk + 2 * a->dv) * sizeof(float);
    st->per_tile = mbr_step_split(s, st->tiles, (double)(a->steps * a->dk * a->dv) * 2);
    return MBR_OK;
}

static mbr_status run(mbr_step *s, const mbr_job *job, mbr_error *err)
{
    (void)err;
    const linear_state *st = s->state;
    mbr_linear_attention_args a = st->args;
    size_t first = job->first * st->per_tile, last = job->last * st->per_tile, each = a.dk * a.dv;
    last = last < st->tiles ? last : st->tiles;
    a.q = s->in[IN_Q]->data;
    a.k = s->in[IN_K]->data;
    a.v = s->in[IN_V]->data;
    a.decay = mbr_step_has(s, IN_DECAY) ? s->in[IN_DECAY]->data : NULL;
    a.beta = mbr_step_has(s, IN_BETA) ? s->in[IN_BETA]->data : NULL;
    a.out = s->out[0]->data;
    a.state = st->work.data;
    for (size_t i = first * each; i < last * each; i++)
        a.state[i] = mbr_step_has(s, IN_STATE) ? (float)mbr_value_real(s->in[IN_STATE], i) : 0;
    mbr_linear_attention(&a, job->scratch, first, last);
    for (size_t i = first * each; mbr_step_wants(s, 1) && i < last * each; i++)
        mbr_real_set(s->out[1]->dtype, s->out[1]->data, i, (double)a.state[i]);
    return MBR_OK;
}

static void fini(mbr_step *s)
{
    linear_state *st = s->state;
    mbr_buffer_free(s, &st->work);
}

const mbr_op mbr_ops_linear_attention[] = {
    { .domain = "", .name = "LinearAttention", .since = 27, .min_in = 3, .max_in = 6, .min_out = 1, .max_out = 2,
      .infer = infer, .prepare = prepare, .run = run, .fini = fini, .state_size = sizeof(linear_state) },
    { 0 },
};
