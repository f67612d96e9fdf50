/* SPDX-License-Identifier: BSD-2-Clause */
#include "engine/replicas.h"

#include "base/checked.h"
#include "engine/spans.h"

#include <string.h>

#define WAIT_NS 20000000 /* for threads of the other nodes to come */

struct mbr_replicas {
    const mbr_program *program; /* whose they are; those of its bodies refer to them */
    int nodes;      /* node 0 reads what was packed */
    char *blocks[]; /* (nodes) [0] is NULL */
};

typedef struct copy_job {
    const mbr_program *program;
    mbr_replicas *replicas;
    mbr_team *team;
    uint64_t end;                         /* nobody waits any longer */
    atomic_int left;                      /* nodes whose copy nobody has begun */
    atomic_bool *begun;                   /* (nodes) */
} copy_job;

/* Gives each step its place in a block, bodies included; 0 says that it has none, so the first place is not used. */
static bool lay_out(mbr_program *p, size_t *size)
{
    for (uint32_t i = 0; i < p->n_steps; i++) {
        mbr_program_step *s = &p->steps[i];
        s->replica_at = 0;
        for (uint32_t k = 0; s->packed && k < i; k++)
            if (p->steps[k].packed == s->packed)
                s->replica_at = p->steps[k].replica_at;
        if (s->packed && !s->replica_at && !s->op->thaw) {
            size_t bytes;
            s->replica_at = *size;
            if (!mbr_add_size(s->packed_bytes, MBR_ALIGN - 1, &bytes) ||
                !mbr_add_size(*size, bytes / MBR_ALIGN * MBR_ALIGN, size))
                return false;
        }
        for (uint32_t b = 0; b < s->n_bodies; b++)
            if (!lay_out(s->bodies[b].program, size))
                return false;
    }
    return true;
}

static void copy_to(const mbr_program *p, char *block)
{
    for (uint32_t i = 0; i < p->n_steps; i++) {
        const mbr_program_step *s = &p->steps[i];
        if (s->replica_at)
            memcpy(block + s->replica_at, s->packed, s->packed_bytes);
        for (uint32_t b = 0; b < s->n_bodies; b++)
            copy_to(s->bodies[b].program, block);
    }
}

/* One for each thread: makes the copy of the thread's node, or waits until each node has somebody at it. */
static bool copy_here(void *user, size_t first, size_t last, int worker)
{
    copy_job *job = user;
    int node = mbr_team_node(job->team, worker);
    (void)first, (void)last;
    if (node > 0 && !atomic_exchange(&job->begun[node], true)) {
        atomic_fetch_sub(&job->left, 1);
        copy_to(job->program, job->replicas->blocks[node]);
    }
    while (atomic_load(&job->left) > 0 && mbr_spans_now() < job->end)
        continue;
    return true;
}

static void attach(mbr_program *p, const mbr_replicas *replicas)
{
    p->replicas = replicas;
    for (uint32_t i = 0; i < p->n_steps; i++)
        for (uint32_t b = 0; b < p->steps[i].n_bodies; b++)
            attach(p->steps[i].bodies[b].program, replicas);
}

mbr_status mbr_replicas_make(mbr_program *p, mbr_team *team, size_t budget, size_t *bytes, mbr_error *err)
{
    int nodes = mbr_team_nodes(team);
    size_t size = MBR_ALIGN;
    *bytes = 0;
    if (nodes < 2 || p->replicas || !lay_out(p, &size) || size == MBR_ALIGN || size > budget / (size_t)(nodes - 1))
        return MBR_OK;
    mbr_replicas *r = mbr_calloc(p->memory, 1, sizeof *r + (size_t)nodes * sizeof *r->blocks);
    atomic_bool *begun = mbr_calloc(p->memory, (size_t)nodes, sizeof *begun);
    bool enough = r && begun;
    if (enough) {
        r->program = p;
        r->nodes = nodes;
    }
    for (int node = 1; enough && node < nodes; node++)
        enough = (r->blocks[node] = mbr_alloc(p->memory, size)) != NULL;
    if (enough) {
        copy_job job = { .program = p, .replicas = r, .team = team, .end = mbr_spans_now() + WAIT_NS, .begun = begun };
        atomic_init(&job.left, nodes - 1);
        mbr_team_run(team, mbr_team_size(team), (size_t)mbr_team_size(team), 1, copy_here, &job, NULL);
        for (int node = 1; node < nodes; node++)
            if (!atomic_load(&begun[node])) /* the team was busy: far from its readers, but right */
                copy_to(p, r->blocks[node]);
        attach(p, r);
        *bytes = size * (size_t)(nodes - 1);
    }
    mbr_free(p->memory, begun);
    if (enough)
        return MBR_OK;
    for (int node = 1; r && node < nodes; node++)
        mbr_free(p->memory, r->blocks[node]);
    mbr_free(p->memory, r);
    return mbr_no_memory(err, size);
}

void mbr_replicas_free(mbr_program *p)
{
    mbr_replicas *r = (mbr_replicas *)(uintptr_t)p->replicas;
    if (!r || r->program != p)
        return;
    for (int node = 1; node < r->nodes; node++)
        mbr_free(p->memory, r->blocks[node]);
    mbr_free(p->memory, r);
}

const void *mbr_replica(const mbr_program *p, const mbr_program_step *s, int node)
{
    const mbr_replicas *r = p->replicas;
    return node > 0 && r && node < r->nodes && s->replica_at ? r->blocks[node] + s->replica_at : s->packed;
}
