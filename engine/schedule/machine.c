/* SPDX-License-Identifier: BSD-2-Clause */
#include "engine/schedule/machine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

mbr_status mbr_machine_add(mbr_memory *memory, mbr_machine *m, const mbr_core *core, mbr_error *err)
{
    size_t n = (size_t)m->n_cores;
    if ((n & (n - 1)) == 0) { /* full at powers of two */
        mbr_core *more = mbr_grow(memory, m->cores, n * sizeof *more, (n ? 2 * n : 1) * sizeof *more);
        if (!more)
            return mbr_no_memory(err, n * sizeof *more);
        m->cores = more;
    }
    m->cores[m->n_cores++] = *core;
    return MBR_OK;
}

static int in_order(const void *a, const void *b)
{
    const mbr_core *x = a, *y = b;
    int difference = x->kind != y->kind ? x->kind - y->kind : x->node != y->node ? x->node - y->node :
                     x->package != y->package ? x->package - y->package : x->group - y->group;
    return difference ? difference : x->cpu - y->cpu;
}

static int *field_of(const mbr_machine *m, int core, size_t field)
{
    return (int *)((char *)&m->cores[core] + field);
}

/* Puts 0, 1, ... in the place of the numbers that stand at `field` of each core; returns how many there are. */
static int make_dense(mbr_machine *m, size_t field)
{
    for (int count = 0;; count++) {
        int least = -1;
        for (int i = 0; i < m->n_cores; i++) {
            int x = *field_of(m, i, field);
            least = x >= 0 && (least < 0 || x < least) ? x : least;
        }
        for (int i = 0; i < m->n_cores; i++) { /* those that are done are negative until all are */
            int *x = field_of(m, i, field);
            if (least < 0)
                *x = -1 - *x;
            else if (*x == least)
                *x = -1 - count;
        }
        if (least < 0)
            return count;
    }
}

void mbr_machine_finish(mbr_machine *m)
{
    m->packages = make_dense(m, offsetof(mbr_core, package));
    m->nodes = make_dense(m, offsetof(mbr_core, node));
    m->groups = make_dense(m, offsetof(mbr_core, group));
    m->kinds = make_dense(m, offsetof(mbr_core, kind));
    qsort(m->cores, (size_t)m->n_cores, sizeof *m->cores, in_order);
    double fastest = 0;
    for (int i = 0; i < m->n_cores; i++)
        fastest = m->cores[i].speed > fastest ? m->cores[i].speed : fastest;
    for (int i = 0; i < m->n_cores; i++)
        m->cores[i].speed = fastest > 0 ? m->cores[i].speed / fastest : 1;
    m->all_cores = m->all_cores > m->n_cores ? m->all_cores : m->n_cores;
}

mbr_status mbr_machine_read(mbr_memory *memory, const char *description, mbr_machine *m, mbr_error *err)
{
    mbr_status st = MBR_OK;
    memset(m, 0, sizeof *m);
    bool hwloc = mbr_machine_from_hwloc(memory, description, m, &st, err);
    if (!hwloc && description)
        return mbr_fail(err, MBR_ERR_UNSUPPORTED, "%s: a described machine needs hwloc, which this build or this system "
                        "does not have", description);
    if (!hwloc)
        st = mbr_machine_from_system(memory, m, err);
    if (st == MBR_OK && m->n_cores == 0)
        st = mbr_fail(err, MBR_ERR_INPUT, "%s: it has no core that may be used", description ? description : "machine");
    if (st != MBR_OK) {
        mbr_machine_free(memory, m);
        return st;
    }
    mbr_machine_finish(m);
    if (!description) {
        int quota = mbr_topology_quota(m->n_cores);
        m->quota = quota < m->n_cores ? quota : 0;
    }
    return MBR_OK;
}

void mbr_machine_free(mbr_memory *memory, mbr_machine *m)
{
    mbr_free(memory, m->cores);
    m->cores = NULL;
    m->n_cores = 0;
}

int mbr_machine_threads(const mbr_machine *m)
{
    return m->quota > 0 && m->quota < m->n_cores ? m->quota : m->n_cores;
}

void mbr_machine_text(const mbr_machine *m, char *text, size_t size)
{
    int of_kind[4] = { 0 }, smt = 1;
    size_t at = 0;
    for (int i = 0; i < m->n_cores; i++) {
        of_kind[m->cores[i].kind < 3 ? m->cores[i].kind : 3]++;
        smt = m->cores[i].threads > smt ? m->cores[i].threads : smt;
    }
    at += (size_t)snprintf(text, size, "%d package%s, %d NUMA node%s, %d last-level cache%s, %d core%s", m->packages,
                           m->packages == 1 ? "" : "s", m->nodes, m->nodes == 1 ? "" : "s", m->groups,
                           m->groups == 1 ? "" : "s", m->n_cores, m->n_cores == 1 ? "" : "s");
    if (at < size && m->kinds > 1)
        at += (size_t)snprintf(text + at, size - at, " (%d performance, %d efficiency)", of_kind[0],
                               m->n_cores - of_kind[0]);
    if (at < size && smt > 1)
        at += (size_t)snprintf(text + at, size - at, " of %d threads", smt);
    if (at < size && m->all_cores > m->n_cores)
        at += (size_t)snprintf(text + at, size - at, ", %d more may not be used", m->all_cores - m->n_cores);
    if (at < size && m->quota)
        at += (size_t)snprintf(text + at, size - at, ", time for %d by the cgroup", m->quota);
    if (at < size && m->l2)
        at += (size_t)snprintf(text + at, size - at, ", L2 %zu KiB", m->l2 >> 10);
    if (at < size && m->l3)
        snprintf(text + at, size - at, ", L3 %zu MiB", m->l3 >> 20);
}
