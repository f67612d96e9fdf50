/* SPDX-License-Identifier: BSD-2-Clause */
/* mbr/aggregates.h: one plan of aggregates over one store of keys. */
#include "mbr/aggregates.h"

#include "base/checked.h"
#include "base/env.h"
#include "runtime/keyed/aggregate.h"

#include <math.h>
#include <string.h>

#define DEFAULT_KEYS 10000
#define DEFAULT_EVENTS 64
#define MOST_KEY_BYTES 4096

struct mbr_aggregates {
    mbr_memory *memory;
    mbr_aggregate plan;    /* the store's states point to it */
    mbr_aggregate looking; /* the same, of which no row counts itself */
    mbr_store store;
    size_t bytes;
    void *copy;            /* (plan.bytes), of a state that is looked at */
};

/* ---- making ---- */

static mbr_status read_columns(const mbr_aggregates_options *o, mbr_aggregate_want *wants, mbr_error *err)
{
    for (int i = 0; i < o->column_count; i++) {
        const mbr_aggregate_column *c = &o->columns[i];
        int most = c->op == MBR_AGGREGATE_DISTINCT ? o->texts : o->numbers;
        if ((unsigned)c->op > MBR_AGGREGATE_RATE || c->value < -1 || c->value >= most)
            return mbr_fail(err, MBR_ERR_ARGUMENT, "column %d of the aggregates: no such op, or value %d where a row "
                            "has %d", i, c->value, most);
        if (!(c->window >= 0) || isinf(c->window))
            return mbr_fail(err, MBR_ERR_ARGUMENT, "column %d of the aggregates: a window of %g seconds; 0 or more are "
                            "due, where 0 is any time", i, c->window);
        wants[i] = (mbr_aggregate_want){ c->op, c->value, c->window > 0 ? c->window : INFINITY, !c->earlier };
    }
    return MBR_OK;
}

static mbr_status plan(mbr_aggregates *a, const mbr_aggregates_options *o, mbr_error *err)
{
    mbr_aggregate_want wants[MBR_AGGREGATE_MOST];
    if (!o->columns || o->column_count < 1 || o->column_count > MBR_AGGREGATE_MOST || o->numbers < 0 ||
        o->numbers > MBR_AGGREGATE_VALUES || o->texts < 0 || o->texts > MBR_AGGREGATE_VALUES)
        return mbr_fail(err, MBR_ERR_ARGUMENT, "aggregates: 1 to %d columns over 0 to %d numbers and texts are due, "
                        "not %d over %d and %d", MBR_AGGREGATE_MOST, MBR_AGGREGATE_VALUES, o->column_count, o->numbers,
                        o->texts);
    MBR_TRY(read_columns(o, wants, err));
    int events = o->events ? o->events : DEFAULT_EVENTS;
    MBR_TRY(mbr_aggregate_plan(&a->plan, wants, o->column_count, o->numbers, o->texts, events, err));
    for (int i = 0; i < o->column_count; i++)
        wants[i].current = false;
    return mbr_aggregate_plan(&a->looking, wants, o->column_count, o->numbers, o->texts, events, err);
}

mbr_status mbr_aggregates_new(mbr_env *env, const mbr_aggregates_options *options, mbr_aggregates **out, mbr_error *err)
{
    mbr_aggregates_options o = { 0 };
    if (!out)
        return mbr_fail(err, MBR_ERR_ARGUMENT, "mbr_aggregates_new: out is NULL");
    *out = NULL;
    if (!env || !options || options->size < sizeof(size_t))
        return mbr_fail(err, MBR_ERR_ARGUMENT, "mbr_aggregates_new: no environment, no options, or their size is not "
                        "set; set it to sizeof(mbr_aggregates_options)");
    memcpy(&o, options, mbr_min_size(options->size, sizeof o));
    if (o.key_bytes > MOST_KEY_BYTES || o.events < 0 || !(o.expiry >= 0))
        return mbr_fail(err, MBR_ERR_ARGUMENT, "aggregates: keys of at most %d bytes, no negative events, and an "
                        "expiry of 0 or more seconds are due", MOST_KEY_BYTES);
    mbr_memory *memory = mbr_env_heap(env);
    mbr_aggregates *a = mbr_calloc(memory, 1, sizeof *a);
    if (!a)
        return mbr_no_memory(err, sizeof *a);
    a->memory = memory;
    mbr_store_limits limits = { .keys = o.keys ? o.keys : DEFAULT_KEYS, .bytes = o.bytes, .expiry = o.expiry,
                                .key_bytes = o.key_bytes ? o.key_bytes : MBR_STORE_KEY_BYTES };
    mbr_status st = plan(a, &o, err);
    if (st == MBR_OK)
        st = mbr_store_open(&a->store, memory, &a->plan.kind, &limits, err);
    if (st == MBR_OK && !(a->copy = mbr_alloc(memory, a->plan.kind.state_bytes)))
        st = mbr_no_memory(err, a->plan.kind.state_bytes);
    if (st == MBR_OK) {
        size_t keys;
        a->bytes = mbr_store_bytes(&a->plan.kind, &limits, &keys) + sizeof *a + a->plan.kind.state_bytes;
        *out = a;
    } else {
        mbr_aggregates_release(&a);
    }
    return st;
}

void mbr_aggregates_release(mbr_aggregates **aggregates)
{
    if (!aggregates || !*aggregates)
        return;
    mbr_aggregates *a = *aggregates;
    *aggregates = NULL;
    mbr_store_close(&a->store);
    mbr_free(a->memory, a->copy);
    mbr_free(a->memory, a);
}

/* ---- rows ---- */

static mbr_status check_key(const mbr_aggregates *a, const void *key, size_t size, double time, mbr_error *err)
{
    if (!a || (!key && size))
        return mbr_fail(err, MBR_ERR_ARGUMENT, "aggregates: the handle or the key is NULL");
    if (size > a->store.key_bytes)
        return mbr_fail(err, MBR_ERR_INPUT, "aggregates: a key of %zu bytes, and at most %zu are kept; set key_bytes",
                        size, a->store.key_bytes);
    if (!isfinite(time))
        return mbr_fail(err, MBR_ERR_INPUT, "aggregates: a row needs a time that is finite");
    return MBR_OK;
}

mbr_status mbr_aggregates_row(mbr_aggregates *a, const void *key, size_t key_size, double time, const double *numbers,
                              const mbr_aggregate_text *texts, double *results, mbr_error *err)
{
    uint64_t marks[MBR_AGGREGATE_VALUES];
    double nobody[MBR_AGGREGATE_MOST];
    MBR_TRY(check_key(a, key, key_size, time, err));
    if ((!numbers && a->plan.number_count) || (!texts && a->plan.mark_count))
        return mbr_fail(err, MBR_ERR_ARGUMENT, "mbr_aggregates_row: numbers or texts are NULL");
    for (int i = 0; i < a->plan.number_count; i++)
        if (isinf(numbers[i]))
            return mbr_fail(err, MBR_ERR_INPUT, "aggregates: number %d of the row is infinite; NaN is missing", i);
    for (int i = 0; i < a->plan.mark_count; i++)
        marks[i] = texts[i].data ? mbr_store_hash(&a->store, texts[i].data, texts[i].size).a | 1 : 0;
    void *state = mbr_store_take(&a->store, key, key_size, mbr_store_hash(&a->store, key, key_size), time);
    mbr_aggregate_row(&a->plan, state, time, numbers, marks, results ? results : nobody);
    return MBR_OK;
}

mbr_status mbr_aggregates_look(mbr_aggregates *a, const void *key, size_t key_size, double time, double *results,
                               mbr_error *err)
{
    static const uint64_t no_marks[MBR_AGGREGATE_VALUES];
    double missing[MBR_AGGREGATE_VALUES];
    MBR_TRY(check_key(a, key, key_size, time, err));
    if (!results)
        return mbr_fail(err, MBR_ERR_ARGUMENT, "mbr_aggregates_look: results is NULL");
    for (int i = 0; i < a->plan.number_count; i++)
        missing[i] = NAN;
    const void *state = mbr_store_peek(&a->store, key, key_size, mbr_store_hash(&a->store, key, key_size));
    if (state)
        memcpy(a->copy, state, a->plan.kind.state_bytes);
    else
        a->plan.kind.begin(&a->plan, a->copy);
    mbr_aggregate_row(&a->looking, a->copy, time, missing, no_marks, results);
    return MBR_OK;
}

/* ---- keys ---- */

int mbr_aggregates_forget(mbr_aggregates *a, const void *key, size_t key_size)
{
    return a && (key || !key_size) && key_size <= a->store.key_bytes && mbr_store_forget(&a->store, key, key_size);
}

void mbr_aggregates_clear(mbr_aggregates *a)
{
    if (!a)
        return;
    mbr_store_clear(&a->store);
    a->store.evicted = a->store.expired = 0;
}

void mbr_aggregates_tell(const mbr_aggregates *a, mbr_aggregates_info *info)
{
    if (!a || !info || info->size < sizeof(size_t))
        return;
    mbr_aggregates_info f = { .size = info->size, .keys = a->store.used, .most_keys = a->store.capacity,
                              .bytes = a->bytes, .evicted = a->store.evicted, .expired = a->store.expired };
    memcpy(info, &f, mbr_min_size(f.size, sizeof f));
}

mbr_status mbr_aggregates_save(const mbr_aggregates *a, const char *path, mbr_error *err)
{
    if (!a || !path)
        return mbr_fail(err, MBR_ERR_ARGUMENT, "mbr_aggregates_save: the handle or the path is NULL");
    return mbr_store_save(&a->store, path, true, err);
}

mbr_status mbr_aggregates_restore(mbr_aggregates *a, const char *path, mbr_error *err)
{
    if (!a || !path)
        return mbr_fail(err, MBR_ERR_ARGUMENT, "mbr_aggregates_restore: the handle or the path is NULL");
    mbr_status st = mbr_store_load(&a->store, path, err);
    if (st != MBR_OK)
        mbr_aggregates_clear(a);
    return st;
}
