/* SPDX-License-Identifier: BSD-2-Clause */
/* ZipMap: each row of scores becomes a map from class label to score. All maps share one tensor of keys. */
#include "engine/ops/ml.h"

#include <string.h>

typedef struct state {
    mbr_ml_labels labels;
    mbr_value *keys;
} state;

static mbr_status infer(mbr_infer *c)
{
    mbr_ml_labels labels;
    MBR_TRY(mbr_ml_labels_read(c->node, "classlabels_int64s", &labels, c->err));
    if (c->in[0].dtype != MBR_DTYPE_UNDEFINED && c->in[0].dtype != MBR_DTYPE_F32)
        return mbr_infer_fail(c, MBR_ERR_UNSUPPORTED, "scores of %s; they must be f32", mbr_dtype_name(c->in[0].dtype));
    mbr_arg *out = &c->out[0];
    out->kind = MBR_KIND_SEQUENCE;
    out->dtype = MBR_DTYPE_F32;
    out->rank = -1;
    if (!c->arena)
        return MBR_OK;
    mbr_ir_type *map = mbr_arena_calloc(c->arena, 1, sizeof *map);
    if (!map)
        return mbr_no_memory(c->err, sizeof *map);
    *map = (mbr_ir_type){ .kind = MBR_KIND_MAP, .dtype = MBR_DTYPE_F32, .key = mbr_ml_labels_dtype(&labels), .rank = -1 };
    out->item = map;
    return MBR_OK;
}

static mbr_status init(mbr_step *s, mbr_error *err)
{
    state *t = s->state;
    MBR_TRY(mbr_ml_labels_read(s->node, "classlabels_int64s", &t->labels, err));
    const int64_t dims = (int64_t)t->labels.n;
    MBR_TRY(mbr_value_create_tensor(mbr_step_memory(s), mbr_ml_labels_dtype(&t->labels), 1, &dims, &t->keys, err));
    for (size_t i = 0; i < t->labels.n; i++)
        mbr_ml_labels_put(&t->labels, i, t->keys, i);
    return MBR_OK;
}

static void fini(mbr_step *s)
{
    mbr_value_drop(((state *)s->state)->keys);
}

/* A map of our keys and room for the scores. */
static mbr_status new_map(mbr_step *s, mbr_value **map, mbr_error *err)
{
    state *t = s->state;
    mbr_value *values;
    MBR_TRY(mbr_value_create(mbr_step_memory(s), MBR_KIND_MAP, MBR_DTYPE_F32, map, err));
    (*map)->key = t->keys->dtype;
    mbr_status st = mbr_value_push(*map, t->keys, err);
    if (st == MBR_OK)
        st = mbr_value_create_tensor(mbr_step_memory(s), MBR_DTYPE_F32, 1, t->keys->dims, &values, err);
    if (st == MBR_OK) {
        st = mbr_value_push(*map, values, err);
        mbr_value_drop(values);
    }
    if (st != MBR_OK)
        mbr_value_drop(*map);
    return st;
}

/* A map of an earlier run that nobody else holds. */
static bool is_ours(const state *t, mbr_value *map)
{
    return atomic_load(&map->refs) == 1 && map->n_items == 2 && map->items[0] == t->keys &&
           atomic_load(&map->items[1]->refs) == 1;
}

static mbr_status run(mbr_step *s, const mbr_job *job, mbr_error *err)
{
    (void)job;
    state *t = s->state;
    const mbr_value *x = s->in[0];
    mbr_value *out = s->out[0];
    size_t rows = mbr_ml_rows(x), n = t->labels.n;
    if (x->rank < 1 || x->rank > 2 || mbr_ml_columns(x) != n)
        return mbr_step_fail(s, err, MBR_ERR_INPUT, "%zu labels do not fit the scores' shape", n);
    for (size_t r = 0; r < rows; r++) {
        if (r < out->n_items && !is_ours(t, out->items[r]))
            while (out->n_items > r)
                mbr_value_drop(out->items[--out->n_items]);
        if (r == out->n_items) {
            mbr_value *map;
            MBR_TRY(new_map(s, &map, err));
            mbr_status st = mbr_value_push(out, map, err);
            mbr_value_drop(map);
            MBR_TRY(st);
        }
        memcpy(out->items[r]->items[1]->data, (const float *)x->data + r * n, n * sizeof(float));
    }
    while (out->n_items > rows)
        mbr_value_drop(out->items[--out->n_items]);
    return MBR_OK;
}

const mbr_op mbr_ops_zip_map[] = {
    { .domain = "ai.onnx.ml", .name = "ZipMap", .since = 1, .min_in = 1, .max_in = 1, .min_out = 1, .max_out = 1,
      .flags = MBR_OP_HOST | MBR_OP_ANY_KIND | MBR_OP_SIZED_BY_RUN, .infer = infer, .init = init, .run = run,
      .fini = fini, .state_size = sizeof(state) },
    { 0 },
};
