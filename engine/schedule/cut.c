/* SPDX-License-Identifier: BSD-2-Clause */
/* Least cuts by greatest flows: Dinic's way, with stacks of its own, for chains of thousands of steps are deep. */
#include "engine/schedule/place.h"

#include <string.h>

#define NEVER 1e30  /* dearer than any run */
#define LITTLE 1e-6 /* nanoseconds: less than that is nothing */

typedef struct edge {
    uint32_t to, next; /* of those that leave the same node */
    double room;       /* edge i ^ 1 is the way back */
} edge;

struct mbr_cut {
    mbr_memory *memory;
    uint32_t n, n_edges;
    uint32_t *first, *at; /* (n) edges: the first that leaves a node, and the one to try next */
    uint32_t *level;      /* (n) steps from the source; 0: not reached, else one more */
    uint32_t *queue;      /* (n) nodes, or the edges of a path */
    edge *edges;
};

mbr_status mbr_cut_new(mbr_memory *memory, uint32_t nodes, uint32_t edges, mbr_cut **out, mbr_error *err)
{
    mbr_cut *c = mbr_calloc(memory, 1, sizeof *c);
    *out = c;
    if (!c)
        return mbr_no_memory(err, sizeof *c);
    c->memory = memory;
    c->n = nodes;
    c->first = mbr_calloc(memory, (size_t)nodes * 4 + 4, sizeof *c->first);
    c->edges = mbr_calloc(memory, (size_t)edges * 2 + 2, sizeof *c->edges);
    if (!c->first || !c->edges) {
        mbr_cut_free(c);
        *out = NULL;
        return mbr_no_memory(err, edges * sizeof *c->edges);
    }
    c->at = c->first + nodes + 1;
    c->level = c->at + nodes + 1;
    c->queue = c->level + nodes + 1;
    c->n_edges = 2; /* edge 0 ends the lists */
    return MBR_OK;
}

void mbr_cut_free(mbr_cut *c)
{
    if (!c)
        return;
    mbr_free(c->memory, c->first);
    mbr_free(c->memory, c->edges);
    mbr_free(c->memory, c);
}

void mbr_cut_edge(mbr_cut *c, uint32_t from, uint32_t to, double price, double back)
{
    c->edges[c->n_edges] = (edge){ to, c->first[from], price < 0 ? NEVER : price };
    c->first[from] = c->n_edges++;
    c->edges[c->n_edges] = (edge){ from, c->first[to], back < 0 ? NEVER : back };
    c->first[to] = c->n_edges++;
}

static bool reach(mbr_cut *c, uint32_t source, uint32_t target)
{
    uint32_t head = 0, tail = 0;
    memset(c->level, 0, c->n * sizeof *c->level);
    c->level[source] = 1;
    c->queue[tail++] = source;
    while (head < tail) {
        uint32_t v = c->queue[head++];
        for (uint32_t e = c->first[v]; e; e = c->edges[e].next) {
            uint32_t to = c->edges[e].to;
            if (c->edges[e].room > LITTLE && !c->level[to]) {
                c->level[to] = c->level[v] + 1;
                c->queue[tail++] = to;
            }
        }
    }
    return c->level[target] != 0;
}

/* Fills every path of the levels. The path so far lies in the queue, which nobody needs now. */
static void fill_paths(mbr_cut *c, uint32_t source, uint32_t target)
{
    uint32_t *path = c->queue, depth = 0, v = source;
    memcpy(c->at, c->first, c->n * sizeof *c->at);
    for (;;) {
        if (v == target) {
            double room = NEVER;
            uint32_t narrow = 0;
            for (uint32_t i = 0; i < depth; i++)
                if (c->edges[path[i]].room < room) {
                    room = c->edges[path[i]].room;
                    narrow = i;
                }
            for (uint32_t i = 0; i < depth; i++) {
                c->edges[path[i]].room -= room;
                c->edges[path[i] ^ 1].room += room;
            }
            depth = narrow; /* back to where it was narrowest */
            v = c->edges[path[depth] ^ 1].to;
            continue;
        }
        uint32_t e = c->at[v];
        while (e && (c->edges[e].room <= LITTLE || c->level[c->edges[e].to] != c->level[v] + 1))
            e = c->edges[e].next;
        c->at[v] = e;
        if (e) {
            path[depth++] = e;
            v = c->edges[e].to;
        } else if (depth) {
            e = path[--depth];
            v = c->edges[e ^ 1].to;
            c->at[v] = c->edges[e].next;
        } else {
            return;
        }
    }
}

void mbr_cut_least(mbr_cut *c, uint32_t source, uint32_t target, bool *sides)
{
    while (reach(c, source, target))
        fill_paths(c, source, target);
    for (uint32_t i = 0; i < c->n; i++)
        sides[i] = c->level[i] == 0;
}
