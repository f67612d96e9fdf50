/* SPDX-License-Identifier: BSD-2-Clause */
#include "importers/onnx/onnx_names.h"
#include "base/hash.h"

#include <string.h>

/* Seeded with an address, so that a file cannot know which names collide. */
static size_t hash(const mbr_onnx_names *m, const char *name)
{
    return (size_t)mbr_hash_bytes(name, strlen(name), (mbr_hash){ (uintptr_t)m->arena, 0 }).a;
}

/* The slot that holds the name, or the free one where it belongs. There is always a free one. */
static mbr_onnx_name *slot_of(const mbr_onnx_names *m, const char *name)
{
    size_t i = hash(m, name);
    for (;; i++) {
        mbr_onnx_name *s = &m->slots[i & (m->room - 1)];
        if (!s->name || strcmp(s->name, name) == 0)
            return s;
    }
}

void *mbr_onnx_names_get(const mbr_onnx_names *m, const char *name)
{
    return m->n ? slot_of(m, name)->thing : NULL;
}

mbr_status mbr_onnx_names_put(mbr_onnx_names *m, const char *name, void *thing, mbr_error *err)
{
    if (m->n >= m->room / 2) {
        mbr_onnx_names bigger = { .arena = m->arena, .n = m->n, .room = m->room ? 2 * m->room : 16 };
        bigger.slots = mbr_arena_calloc(m->arena, bigger.room, sizeof *bigger.slots);
        if (!bigger.slots)
            return mbr_no_memory(err, bigger.room * sizeof *bigger.slots);
        for (size_t i = 0; i < m->room; i++)
            if (m->slots[i].name)
                *slot_of(&bigger, m->slots[i].name) = m->slots[i];
        *m = bigger;
    }
    mbr_onnx_name *s = slot_of(m, name);
    if (!s->name)
        m->n++;
    *s = (mbr_onnx_name){ name, thing };
    return MBR_OK;
}
