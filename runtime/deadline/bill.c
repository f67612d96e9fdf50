/* SPDX-License-Identifier: BSD-2-Clause */
/* Caps of memory and threads, and the bill that is shown when they are not enough. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#include "runtime/deadline/deadline.h"

#include "base/checked.h"
#include "runtime/pipeline/decider.h"

#include <stdio.h>
#include <string.h>

#define TEXT_ROOM ((size_t)128 << 10) /* for texts of a batch and what is read ahead, at least */

static void *take(void *user, size_t bytes)
{
    return mbr_alloc(user, bytes);
}

static void give_back(void *user, void *block)
{
    mbr_free(user, block);
}

void mbr_meter_init(mbr_meter *m, mbr_memory *parent)
{
    memset(m, 0, sizeof *m);
    mbr_memory_init(&m->memory);
    m->memory.alloc = take;
    m->memory.release = give_back;
    m->memory.user = parent;
}

void mbr_meter_note(mbr_meter *m, mbr_bill_item item)
{
    size_t now = atomic_load(&m->memory.in_use);
    m->bytes[item] += now > m->noted ? now - m->noted : 0;
    m->noted = now;
}

mbr_status mbr_decider_threads(const mbr_decider *d, int asked, int *threads, mbr_error *err)
{
    int most = d->pipeline->resources.threads;
    if (most && asked > most)
        return mbr_fail(err, MBR_ERR_LIMIT, "%s: %d threads are asked for, and the pipeline's 'resources' allow %d",
                        d->pipeline->file, asked, most);
    *threads = most && !asked ? most : asked;
    return MBR_OK;
}

/* "12.5 MiB" */
static int print_size(char *text, size_t room, const char *before, size_t bytes)
{
    double x = (double)bytes;
    return x < 1048576.0 ? snprintf(text, room, "%s%.1f KiB", before, x / 1024.0)
                         : snprintf(text, room, "%s%.1f MiB", before, x / 1048576.0);
}

static mbr_status refuse(const mbr_decider *d, size_t total, size_t others, size_t cap, mbr_error *err)
{
    static const char *const names[MBR_BILL_ITEMS] = { "weights", "packed weights", "activations", "tensors",
                                                       "buffers", "state", "drift" };
    char items[320] = "", need[32], allowed[32];
    size_t used = 0;
    for (int i = 0; i < MBR_BILL_ITEMS; i++) {
        char before[32];
        snprintf(before, sizeof before, "%s%s ", used ? ", " : "", names[i]);
        if (d->meter.bytes[i] && used < sizeof items)
            used += (size_t)print_size(items + used, sizeof items - used, before, d->meter.bytes[i]);
    }
    if (others && used < sizeof items)
        print_size(items + used, sizeof items - used, ", other deciders ", others);
    print_size(need, sizeof need, "", total);
    print_size(allowed, sizeof allowed, "", cap);
    return mbr_fail(err, MBR_ERR_LIMIT, "%.100s: the pipeline needs %s, and its 'resources' allow %s: %s; allow more, or "
                    "take a smaller batch (%d rows now)", d->pipeline->file, need, allowed, items, d->batch);
}

mbr_status mbr_decider_bill(mbr_decider *d, mbr_error *err)
{
    mbr_pipeline *p = d->pipeline;
    size_t cap = p->resources.memory, mine = 0, *bytes = d->meter.bytes;
    mbr_bill bill = { .size = sizeof bill };
    if (!cap)
        return MBR_OK;
    for (int i = 0; i < p->feed_count && !p->tensor_feeds; i++) {
        MBR_TRY(mbr_session_bind_input(d->session, p->feeds[i].port, d->tensors[i], err));
        bytes[MBR_BILL_TENSORS] += mbr_tensor_count(d->tensors[i]) * mbr_max_size(mbr_dtype_size(p->feeds[i].dtype), 1);
    }
    if (p->tensor_feeds) { /* sizes are those of the data: a run that needs too much fails before it starts */
        mbr_model_facts facts = { .size = sizeof facts };
        MBR_TRY(mbr_model_get_facts(p->model, &facts, err));
        bill.weight_bytes = facts.weight_bytes;
        bill.packed_bytes = facts.packed_bytes;
    } else {
        MBR_TRY(mbr_session_get_bill(d->session, &bill, err));
    }
    bytes[MBR_BILL_WEIGHTS] = bill.weight_bytes;
    bytes[MBR_BILL_PACKED] = bill.packed_bytes;
    bytes[MBR_BILL_ACTIVATIONS] = bill.activation_bytes + bill.scratch_bytes;
    bytes[MBR_BILL_BUFFERS] += TEXT_ROOM;
    for (int i = MBR_BILL_ACTIVATIONS; i < MBR_BILL_ITEMS; i++)
        mine += bytes[i];
    size_t shared = bill.weight_bytes + bill.packed_bytes, others = atomic_fetch_add(&p->reserved, mine);
    d->meter.reserved = mine;
    if (shared + others + mine > cap)
        return refuse(d, shared + others + mine, others, cap, err);
    d->meter.memory.limit = atomic_load(&d->meter.memory.in_use) + TEXT_ROOM + (cap - shared - others - mine);
    return MBR_OK;
}

void mbr_decider_drop_bill(mbr_decider *d)
{
    atomic_fetch_sub(&d->pipeline->reserved, d->meter.reserved);
}
