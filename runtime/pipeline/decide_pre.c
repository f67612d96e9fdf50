/* SPDX-License-Identifier: BSD-2-Clause */
/* The pre-processing of a pipeline alone: rows in, the tensors that the model would take out. */
#include "runtime/pipeline/decider.h"

struct mbr_pre {
    uint64_t row; /* 0: all */
    mbr_tensor_fn fn;
    void *user;
    bool given;
};

static mbr_status fail_row(const mbr_decider *d, int row, mbr_error *err)
{
    return mbr_fail(err, MBR_ERR_INPUT, "%s:%llu: %s", d->source_name, (unsigned long long)d->heads[row].line,
                    d->rows.fault[row]);
}

static mbr_status give(mbr_decider *d, const int *which, int n, mbr_error *err)
{
    const mbr_pipeline *p = d->pipeline;
    for (int i = 1; i < n; i++)
        if (!mbr_decider_alike(d, which[i], which[0]))
            return mbr_fail(err, MBR_ERR_INPUT, "the tensors of rows %llu and %llu differ in shape and cannot be one; "
                            "choose a single row, or pad them", (unsigned long long)d->heads[which[0]].row,
                            (unsigned long long)d->heads[which[i]].row);
    MBR_TRY(mbr_decider_fill(d, which, n, err));
    for (int i = 0; i < p->feed_count; i++) {
        mbr_status st = d->pre->fn(d->pre->user, p->feeds[i].port, p->feeds[i].name, d->tensors[i]);
        if (st != MBR_OK)
            return mbr_fail(err, st, "stopped by the caller at input '%s'", p->feeds[i].name);
    }
    d->pre->given = true;
    return MBR_OK;
}

mbr_status mbr_decider_pre_batch(mbr_decider *d, mbr_error *err)
{
    const mbr_pipeline *p = d->pipeline;
    mbr_pre *pre = d->pre;
    if (!pre->row && pre->given)
        return mbr_fail(err, MBR_ERR_LIMIT, "%s: more than %d rows do not fit into one run of the model; choose a "
                        "single row", d->source_name, d->batch);
    for (int i = 0; i < p->feature_count; i++)
        p->features[i].kind->run(&p->features[i], &d->rows);
    mbr_decider_check_feeds(d);
    for (int i = 0; i < d->rows.count; i++) {
        d->sound[i] = i;
        if (pre->row && d->heads[i].row != pre->row)
            continue;
        if (d->rows.fault[i])
            return fail_row(d, i, err);
        if (pre->row)
            return give(d, &i, 1, err);
    }
    return pre->row ? MBR_OK : give(d, d->sound, d->rows.count, err);
}

mbr_status mbr_decider_tensors(mbr_decider *d, const char *name, mbr_read_fn read, void *read_user,
                               mbr_rows_format format, uint64_t row, mbr_tensor_fn fn, void *user, mbr_error *err)
{
    mbr_pre pre = { .row = row, .fn = fn, .user = user };
    if (!d || !fn)
        return mbr_fail(err, MBR_ERR_ARGUMENT, "mbr_decider_tensors: the decider or the function is NULL");
    d->pre = &pre;
    mbr_status st = read ? mbr_decider_reader(d, name, read, read_user, format, NULL, NULL, NULL, err)
                         : mbr_decider_file(d, name, format, NULL, NULL, NULL, err);
    d->pre = NULL;
    if (st == MBR_OK && !pre.given)
        return row ? mbr_fail(err, MBR_ERR_INPUT, "%s: has no row %llu", name, (unsigned long long)row)
                   : mbr_fail(err, MBR_ERR_INPUT, "%s: has no rows", name);
    return st;
}
