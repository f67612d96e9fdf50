/* SPDX-License-Identifier: BSD-2-Clause */
#include "engine/profile.h"

#include <stdlib.h>
#include <string.h>

#define MOST_HOPS 100

/* Entries by the address of their node. */
typedef struct place {
    const mbr_ir_node *node;
    size_t entry;
} place;

typedef struct search {
    const place *places; /* (n) sorted */
    size_t n;
} search;

static int by_node(const void *a, const void *b)
{
    uintptr_t x = (uintptr_t)((const place *)a)->node, y = (uintptr_t)((const place *)b)->node;
    return x < y ? -1 : x > y;
}

static size_t entry_of(const search *s, const mbr_ir_node *node)
{
    const place key = { node, 0 };
    const place *at = node ? bsearch(&key, s->places, s->n, sizeof key, by_node) : NULL;
    return at ? at->entry : MBR_NO_ENTRY;
}

static bool one_of(const char *name, const char *const *list)
{
    while (*list && !strstr(name, *list))
        list++;
    return *list != NULL;
}

/* What takes most of the time of a step that also does other things. */
static bool is_heavy(const mbr_ir_node *n)
{
    static const char *const names[] = { "Conv", "MatMul", "Gemm", "Attention", "Einsum", "LSTM", "GRU", "RNN",
                                         "TreeEnsemble", NULL };
    return one_of(n->op->name, names);
}

static bool does_nothing(const char *pass)
{
    return pass && (strcmp(pass, "identity") == 0 || strcmp(pass, "cse") == 0);
}

/* The passes on the way to the node that does its work, one after the other, each once. */
static mbr_status describe(mbr_arena *arena, const mbr_ir_node *n, const mbr_profile_entry *e, mbr_profile_origin *o,
                           mbr_error *err)
{
    char text[160];
    size_t at = 0;
    const char *before = "";
    text[0] = '\0';
    for (int hop = 0; n && n->removed && hop < MOST_HOPS; n = n->heir, hop++) {
        const char *by = n->taken_by ? n->taken_by : "dce";
        size_t length = strlen(by);
        if (hop && (strcmp(by, before) == 0 || at + length + 3 > sizeof text))
            continue;
        if (at) {
            memcpy(text + at, ", ", 2);
            at += 2;
        }
        memcpy(text + at, by, length);
        at += length;
        before = by;
    }
    if (at == 0 && n) {
        const char *why = !e ? "shape" : e->in_place ? "view" : "";
        at = strlen(why);
        memcpy(text, why, at);
    }
    o->how = mbr_arena_strndup(arena, text, at);
    return o->how ? MBR_OK : mbr_no_memory(err, at);
}

/* The entry that a step without nodes of its own was made for. */
static size_t served_by(const search *s, const mbr_ir_node *node, const double *weights)
{
    const mbr_ir_node *f = node->made_for;
    for (int hop = 0; f && hop < MOST_HOPS; f = f->made_for, hop++) {
        size_t e = entry_of(s, mbr_ir_heir(f));
        if (e != MBR_NO_ENTRY && weights[e] > 0)
            return e;
    }
    return MBR_NO_ENTRY;
}

size_t mbr_origins_count(const mbr_ir_module *m, size_t entries)
{
    size_t n = entries;
    for (const mbr_ir_node *o = m->originals; o; o = o->next_original)
        n++;
    return n;
}

mbr_status mbr_origins_find(mbr_arena *arena, const mbr_ir_module *m, const mbr_profile_entry *entries, size_t n,
                            mbr_profile_origin *rows, size_t *n_rows, size_t *with, mbr_error *err)
{
    place *places = mbr_arena_calloc(arena, n + 1, sizeof *places);
    double *weights = mbr_arena_calloc(arena, n + 1, sizeof *weights);
    bool *heavy = mbr_arena_calloc(arena, n + 1, sizeof *heavy);
    if (!places || !weights || !heavy)
        return mbr_no_memory(err, n * sizeof *places);
    for (size_t e = 0; e < n; e++)
        places[e] = (place){ entries[e].node, e };
    qsort(places, n, sizeof *places, by_node);
    search s = { places, n };
    size_t k = 0;
    for (size_t e = 0; !m->originals && e < n; e++) /* nobody noted them: what the program has */
        rows[k++] = (mbr_profile_origin){ .node = entries[e].node, .entry = e, .how = entries[e].in_place ? "view" : "" };
    for (const mbr_ir_node *o = m->originals; o; o = o->next_original) {
        mbr_profile_origin *r = &rows[k++];
        *r = (mbr_profile_origin){ .node = o, .entry = entry_of(&s, mbr_ir_heir(o)) };
        MBR_TRY(describe(arena, o, r->entry != MBR_NO_ENTRY ? &entries[r->entry] : NULL, r, err));
        if (r->entry != MBR_NO_ENTRY)
            heavy[r->entry] |= is_heavy(o);
    }
    for (int round = 0; round < 2; round++) /* the second: steps all of whose nodes do nothing */
        for (size_t i = 0; i < k; i++) {
            mbr_profile_origin *r = &rows[i];
            if (r->entry == MBR_NO_ENTRY || (round && (weights[r->entry] > 0)))
                continue;
            bool counts = heavy[r->entry] ? is_heavy(r->node) : !(r->node->removed && does_nothing(r->node->taken_by));
            r->part = counts || round;
            weights[r->entry] += r->part;
        }
    for (size_t i = 0; i < k; i++)
        if (rows[i].entry != MBR_NO_ENTRY && weights[rows[i].entry] > 0)
            rows[i].part /= weights[rows[i].entry];
    for (size_t e = 0; e < n; e++) {
        with[e] = weights[e] > 0 ? e : served_by(&s, entries[e].node, weights);
        if (with[e] == MBR_NO_ENTRY) {
            with[e] = e;
            rows[k++] = (mbr_profile_origin){ .entry = e, .how = "added", .part = 1 };
        }
    }
    *n_rows = k;
    return MBR_OK;
}
