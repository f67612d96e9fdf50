/* SPDX-License-Identifier: BSD-2-Clause */
/* The sections `latency` and `resources`, and the public interface of clocks. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#include "runtime/deadline/deadline.h"

#include "base/checked.h"
#include "runtime/pipeline/decider.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- quantities ---- */

typedef struct unit {
    const char *name;
    double factor;
} unit;

static const unit times[] = { { "ns", 1.0 }, { "us", 1e3 }, { "ms", 1e6 }, { "s", 1e9 }, { "min", 60e9 } };
static const unit sizes[] = { { "B", 1.0 },         { "KB", 1e3 },          { "KiB", 1024.0 },  { "MB", 1e6 },
                              { "MiB", 1048576.0 }, { "GB", 1e9 },          { "GiB", 1073741824.0 } };

/* "25 ms": a number above zero and a unit. */
static mbr_status read_quantity(const mbr_reading *r, const mbr_node *n, const char *what, const unit *units,
                                size_t count, const char *due, double most, uint64_t *out)
{
    double x;
    *out = 0;
    if (!n)
        return MBR_OK;
    MBR_TRY(mbr_node_expect(r, n, MBR_NODE_SCALAR, what));
    mbr_string s = mbr_text_trim(n->text.data, n->text.size);
    size_t digits = s.size;
    while (digits > 0 && ((s.data[digits - 1] | 32) >= 'a' && (s.data[digits - 1] | 32) <= 'z'))
        digits--;
    mbr_string number = mbr_text_trim(s.data, digits);
    size_t i = 0;
    while (i < count && !mbr_text_is(s.data + digits, s.size - digits, units[i].name))
        i++;
    if (i == count || !mbr_text_number(number.data, number.size, &x) || isnan(x))
        return mbr_node_fail(r, n, "%s must be %s, not '%.60s'", what, due, n->text.data);
    x *= units[i].factor;
    if (!(x >= 1.0 && x <= most))
        return mbr_node_fail(r, n, "%s: '%.60s' is out of bounds; it must be above zero and no more than %.4g %s", what,
                             n->text.data, most / units[count - 1].factor, units[count - 1].name);
    *out = (uint64_t)x;
    return MBR_OK;
}

static mbr_status read_time(const mbr_reading *r, const mbr_node *n, const char *what, uint64_t *out)
{
    return read_quantity(r, n, what, times, MBR_COUNT_OF(times), "a time with its unit, such as 25 ms (ns, us, ms, s, min)",
                         3600e9, out);
}

/* ---- sections ---- */

static const char *const stage_names[MBR_STAGE_COUNT] = { "read", "features", "model", "post",
                                                          "rules", "log",      "drift", "call" };

typedef struct latency_keys {
    const mbr_node *budget, *per_row, *stages;
    double quantile;
    bool enforce;
} latency_keys;

static const mbr_param latency_params[] = {
    { .name = "budget", .type = MBR_PARAM_NODE, .offset = offsetof(latency_keys, budget) },
    { .name = "per_row", .type = MBR_PARAM_NODE, .offset = offsetof(latency_keys, per_row) },
    { .name = "stages", .type = MBR_PARAM_NODE, .offset = offsetof(latency_keys, stages) },
    { .name = "quantile", .type = MBR_PARAM_NUMBER, .offset = offsetof(latency_keys, quantile), .preset = 0.99 },
    { .name = "enforce", .type = MBR_PARAM_BOOL, .offset = offsetof(latency_keys, enforce), .preset = 1 },
    { .name = NULL }
};

mbr_status mbr_pipeline_read_latency(mbr_pipeline *p, const mbr_reading *r, const mbr_node *n)
{
    mbr_latency *l = &p->latency;
    latency_keys keys;
    const mbr_node *stages[MBR_STAGE_CALL];
    mbr_param params[MBR_STAGE_CALL + 1] = { { .name = NULL } };
    l->quantile = 0.99;
    if (!n)
        return MBR_OK;
    MBR_TRY(mbr_node_read(r, n, "'latency'", latency_params, NULL, &keys));
    MBR_TRY(read_time(r, keys.budget, "'budget' of 'latency'", &l->budget));
    MBR_TRY(read_time(r, keys.per_row, "'per_row' of 'latency'", &l->per_row));
    if (!(keys.quantile >= 0.5 && keys.quantile < 1.0))
        return mbr_node_fail(r, n, "'quantile' of 'latency' must be at least 0.5 and below 1, not %g", keys.quantile);
    l->present = true;
    l->quantile = keys.quantile;
    l->measure_only = !keys.enforce;
    if (!keys.stages)
        return MBR_OK;
    for (int i = 0; i < MBR_STAGE_CALL; i++)
        params[i] = (mbr_param){ .name = stage_names[i], .type = MBR_PARAM_NODE, .offset = (size_t)i * sizeof *stages };
    MBR_TRY(mbr_node_read(r, keys.stages, "'stages' of 'latency'", params, NULL, stages));
    for (int i = 0; i < MBR_STAGE_CALL; i++) {
        char what[64];
        snprintf(what, sizeof what, "stage '%s' of 'latency'", stage_names[i]);
        MBR_TRY(read_time(r, stages[i], what, &l->stages[i]));
    }
    return MBR_OK;
}

typedef struct resource_keys {
    const mbr_node *memory;
    int64_t threads;
} resource_keys;

static const mbr_param resource_params[] = {
    { .name = "memory", .type = MBR_PARAM_NODE, .offset = offsetof(resource_keys, memory) },
    { .name = "threads", .type = MBR_PARAM_INT, .offset = offsetof(resource_keys, threads), .preset = 0 },
    { .name = NULL }
};

mbr_status mbr_pipeline_read_resources(mbr_pipeline *p, const mbr_reading *r, const mbr_node *n)
{
    resource_keys keys;
    uint64_t bytes;
    if (!n)
        return MBR_OK;
    MBR_TRY(mbr_node_read(r, n, "'resources'", resource_params, NULL, &keys));
    MBR_TRY(read_quantity(r, keys.memory, "'memory' of 'resources'", sizes, MBR_COUNT_OF(sizes),
                          "a size with its unit, such as 64 MiB (B, KB, KiB, MB, MiB, GB, GiB)", 1048576.0 * 1073741824.0,
                          &bytes));
    if (mbr_node_get(n, "threads") && (keys.threads < 1 || keys.threads > 4096))
        return mbr_node_fail(r, mbr_node_get(n, "threads"), "'threads' of 'resources' must be 1 to 4096, not %lld",
                             (long long)keys.threads);
    p->resources.memory = bytes < SIZE_MAX ? (size_t)bytes : SIZE_MAX;
    p->resources.threads = (int)keys.threads;
    return MBR_OK;
}

/* ---- clocks of deciders ---- */

static mbr_status start_clock(mbr_decider *d, mbr_error *err)
{
    d->clock = d->clock ? d->clock : mbr_clock_new(d->memory, &d->pipeline->latency);
    return d->clock ? MBR_OK : mbr_no_memory(err, sizeof *d->clock);
}

mbr_status mbr_decider_begin_clock(mbr_decider *d, int times_wanted, mbr_error *err)
{
    return d->pipeline->latency.present || times_wanted ? start_clock(d, err) : MBR_OK;
}

static const char *late_text(mbr_decider *d, const char *why)
{
    const mbr_clock *c = d->clock;
    char text[160];
    uint64_t budget = c->budget ? c->budget : c->latency.stages[MBR_STAGE_MODEL];
    int n = snprintf(text, sizeof text, "late: %s within %.6g ms", why, (double)budget / 1e6);
    char *kept = mbr_pool_alloc(&d->rows.pool, (size_t)n + 1);
    return kept ? memcpy(kept, text, (size_t)n + 1) : "late";
}

/* Rows that the model has run for stay as they are: what it remembers of them has gone on. */
static void refuse_rest(mbr_decider *d, const char *why)
{
    const char *late = late_text(d, why);
    for (int i = 0; i < d->rows.count; i++)
        if (!d->rows.fault[i] && !d->done[i] && !d->skipped[i]) {
            d->rows.fault[i] = late;
            d->heads[i].cause = MBR_CAUSE_LATE;
        }
}

void mbr_decider_refuse(mbr_decider *d, const char *why)
{
    mbr_rows *rows = &d->rows;
    const mbr_pipeline *p = d->pipeline;
    if (why)
        d->late = late_text(d, why);
    for (int i = 0; i < rows->count; i++)
        if (!rows->fault[i]) {
            rows->fault[i] = d->late;
            d->heads[i].cause = MBR_CAUSE_LATE;
        }
    for (int i = 0; i < p->score_count; i++)
        for (int k = 0; k < rows->count; k++)
            rows->lanes[p->scores[i]].num[k] = NAN;
}

mbr_status mbr_decider_run_model_in_time(mbr_decider *d, mbr_error *err)
{
    mbr_clock *c = d->clock;
    mbr_error why = { 0 };
    if (!c)
        return mbr_decider_run_model(d, err);
    if (!mbr_clock_admit_model(c)) {
        mbr_decider_refuse(d, "the model was not begun: it would not be done");
        return MBR_OK;
    }
    bool enforced = c->deadline && !c->latency.measure_only;
    mbr_session_set_deadline(d->session, enforced ? c->deadline : 0);
    mbr_status st = mbr_decider_run_model(d, &why);
    if (st == MBR_ERR_CANCELLED && enforced) {
        mbr_clock_cut(c);
        refuse_rest(d, "the model was not done");
        st = MBR_OK;
    }
    mbr_clock_lap(c, MBR_STAGE_MODEL);
    return st == MBR_OK ? MBR_OK : mbr_fail(err, st, "%s", why.text);
}

mbr_status mbr_decider_set_budget(mbr_decider *d, uint64_t nanoseconds, mbr_error *err)
{
    if (!d)
        return mbr_fail(err, MBR_ERR_ARGUMENT, "mbr_decider_set_budget: the decider is NULL");
    if (nanoseconds > (uint64_t)3600 * 1000000000u)
        return mbr_fail(err, MBR_ERR_ARGUMENT, "a budget of %llu ns: it must be an hour at most, or 0 for the pipeline's",
                        (unsigned long long)nanoseconds);
    if (nanoseconds)
        MBR_TRY(start_clock(d, err));
    if (d->clock)
        d->clock->own_budget = nanoseconds;
    return MBR_OK;
}

static mbr_status need_clock(const mbr_decider *d, mbr_error *err)
{
    return d && d->clock ? MBR_OK
                         : mbr_fail(err, d ? MBR_ERR_INPUT : MBR_ERR_ARGUMENT, "this decider times nothing: its pipeline "
                                    "needs a section 'latency', or the decider's options 'times'");
}

mbr_status mbr_decider_stage_times(const mbr_decider *d, mbr_stage stage, mbr_stage_times *out, mbr_error *err)
{
    MBR_TRY(need_clock(d, err));
    if (!out || out->size < sizeof(size_t) || (unsigned)stage >= MBR_STAGE_COUNT)
        return mbr_fail(err, MBR_ERR_ARGUMENT, "there is no stage %d, or mbr_stage_times.size is not set", (int)stage);
    const mbr_clock *c = d->clock;
    const mbr_hdr *h = &c->stage[stage];
    mbr_stage_times t = { .size = out->size, .name = stage_names[stage], .calls = h->count,
                          .mean = h->count ? h->total / (double)h->count : (double)NAN,
                          .p50 = mbr_hdr_quantile(h, 0.5), .p90 = mbr_hdr_quantile(h, 0.9),
                          .p99 = mbr_hdr_quantile(h, 0.99), .p999 = mbr_hdr_quantile(h, 0.999), .max = h->greatest,
                          .budget = stage == MBR_STAGE_CALL ? mbr_latency_budget(&c->latency, 1)
                                                            : c->latency.stages[stage],
                          .misses = c->misses[stage] };
    memcpy(out, &t, mbr_min_size(out->size, sizeof t));
    return MBR_OK;
}

mbr_status mbr_decider_call_counts(const mbr_decider *d, mbr_call_counts *out, mbr_error *err)
{
    MBR_TRY(need_clock(d, err));
    if (!out || out->size < sizeof(size_t))
        return mbr_fail(err, MBR_ERR_ARGUMENT, "mbr_call_counts.size is not set");
    const mbr_clock *c = d->clock;
    mbr_call_counts n = { .size = out->size, .calls = c->calls, .rows = c->rows, .refused = c->refused, .cut = c->cut,
                          .over = c->over };
    memcpy(out, &n, mbr_min_size(out->size, sizeof n));
    return MBR_OK;
}

mbr_status mbr_decider_merge_times(mbr_decider *d, const mbr_decider *from, mbr_error *err)
{
    MBR_TRY(need_clock(from, err));
    if (!d || d == from)
        return mbr_fail(err, MBR_ERR_ARGUMENT, "mbr_decider_merge_times: the decider is NULL or the same");
    MBR_TRY(start_clock(d, err));
    mbr_clock_merge(d->clock, from->clock);
    return MBR_OK;
}
