/* SPDX-License-Identifier: BSD-2-Clause */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif
#include "engine/numa.h"
#include "engine/schedule/machine.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct mbr_numa {
    int nodes, n_cores;
    struct {
        int cpu, node;
    } cores[]; /* (n_cores) in the order in which threads take them; nodes are numbered in that order */
};

#ifdef __linux__
/* Says the system that there are several nodes, or does the environment describe another machine? */
static const char *several_nodes(bool *several)
{
    const char *other = getenv("MBR_TOPOLOGY");
    if (other && *other) {
        *several = true;
        return other;
    }
    char text[64] = "";
    FILE *f = fopen("/sys/devices/system/node/online", "re");
    if (f) {
        if (!fgets(text, sizeof text, f))
            text[0] = '\0';
        fclose(f);
    }
    *several = strpbrk(text, "-,") != NULL;
    return NULL;
}

/* The system's own files are read: hwloc would take longer than a small model does to load. */
static bool read_machine(mbr_memory *memory, const char *other, mbr_machine *m)
{
    mbr_error unsaid;
    if (other)
        return mbr_machine_read(memory, other, m, &unsaid) == MBR_OK;
    memset(m, 0, sizeof *m);
    if (mbr_machine_from_system(memory, m, &unsaid) == MBR_OK && m->n_cores) {
        mbr_machine_finish(m);
        return true;
    }
    mbr_machine_free(memory, m);
    return false;
}

/* Cores are named by their first processor; on another one the node is the system's, whose numbers are mostly dense. */
static int node_of_caller(const mbr_machine *m)
{
    unsigned cpu = 0, node = 0;
    if (getcpu(&cpu, &node) != 0)
        return 0;
    for (int i = 0; i < m->n_cores; i++)
        if (m->cores[i].cpu == (int)cpu)
            return m->cores[i].node;
    return (int)node < m->nodes ? (int)node : 0;
}

mbr_numa *mbr_numa_new(mbr_memory *memory, int threads)
{
    bool several;
    const char *other = several_nodes(&several);
    mbr_machine m;
    if (!several || threads < 2 || !read_machine(memory, other, &m))
        return NULL;
    mbr_numa *numa = m.nodes > 1 ? mbr_calloc(memory, 1, sizeof *numa + (size_t)m.n_cores * sizeof *numa->cores) : NULL;
    if (numa) {
        int first = node_of_caller(&m), dense[MBR_MACHINE_NODES];
        memset(dense, -1, sizeof dense);
        for (int step = 0; step < m.nodes; step++)
            for (int i = 0; i < m.n_cores; i++) {
                int node = m.cores[i].node;
                if (node != (first + step) % m.nodes)
                    continue;
                if (dense[node] < 0 && numa->n_cores < threads)
                    dense[node] = numa->nodes++;
                numa->cores[numa->n_cores].cpu = m.cores[i].cpu;
                numa->cores[numa->n_cores++].node = dense[node];
            }
    }
    mbr_machine_free(memory, &m);
    return numa;
}

void mbr_numa_bind(const mbr_numa *numa, int thread)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    for (int i = 0; i < numa->n_cores; i++)
        if (numa->cores[i].node == mbr_numa_node(numa, thread) && numa->cores[i].cpu < CPU_SETSIZE)
            CPU_SET(numa->cores[i].cpu, &set);
    sched_setaffinity(0, sizeof set, &set);
}
#else
mbr_numa *mbr_numa_new(mbr_memory *memory, int threads)
{
    (void)memory;
    (void)threads;
    return NULL;
}

void mbr_numa_bind(const mbr_numa *numa, int thread)
{
    (void)numa;
    (void)thread;
}
#endif

void mbr_numa_free(mbr_memory *memory, mbr_numa *numa)
{
    mbr_free(memory, numa);
}

int mbr_numa_nodes(const mbr_numa *numa)
{
    return numa ? numa->nodes : 1;
}

int mbr_numa_node(const mbr_numa *numa, int thread)
{
    return numa ? numa->cores[thread % numa->n_cores].node : 0;
}
