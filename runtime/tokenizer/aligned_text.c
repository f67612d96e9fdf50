/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/checked.h"
#include "runtime/tokenizer/tokenizer_impl.h"

#include <string.h>

void mbr_text_clear(mbr_text *t, bool aligned, uint32_t base)
{
    t->size = 0;
    t->base = base;
    t->aligned = aligned;
    t->failed = t->too_long = false;
}

void mbr_text_destroy(mbr_text *t)
{
    if (t->memory) {
        mbr_free(t->memory, t->bytes);
        mbr_free(t->memory, t->at);
    }
    *t = (mbr_text){ .memory = t->memory };
}

static bool grow(mbr_text *t, void **block, uint32_t *capacity, size_t item, uint32_t least)
{
    if (least <= *capacity)
        return true;
    size_t wanted = mbr_max_size((size_t)*capacity + *capacity / 2, mbr_max_size(least, 256));
    void *bigger = mbr_grow(t->memory, *block, t->size * item, wanted * item);
    if (!bigger) {
        t->failed = true;
        return false;
    }
    *block = bigger;
    *capacity = (uint32_t)wanted;
    return true;
}

bool mbr_text_room(mbr_text *t, uint32_t more)
{
    if (t->failed || more > MBR_TEXT_MOST || t->size + more > MBR_TEXT_MOST) {
        t->too_long |= !t->failed;
        t->failed = true;
        return false;
    }
    void *bytes = t->bytes, *at = t->at;
    bool done = grow(t, &bytes, &t->capacity, 1, t->size + more + 8);
    t->bytes = bytes;
    if (done && t->aligned) {
        /* What was not aligned before has no content here that counts. */
        done = grow(t, &at, &t->at_capacity, sizeof *t->at, t->size + more);
        t->at = at;
    }
    return done;
}

void mbr_text_put(mbr_text *t, const char *bytes, uint32_t size, mbr_edge edge)
{
    if (!mbr_text_room(t, size))
        return;
    for (uint32_t i = 0; i < size; i++) {
        t->bytes[t->size] = bytes[i];
        t->at[t->size++] = edge;
    }
}

static void fill_edges(mbr_edge *at, const char *bytes, uint32_t size, uint32_t base)
{
    for (uint32_t i = 0; i < size;) {
        uint32_t n = mbr_utf8_size((unsigned char)bytes[i]);
        mbr_edge edge = { base + i, base + i + n };
        for (; n-- && i < size; i++)
            at[i] = edge;
    }
}

/* Writes down what was only implied. */
static void align(mbr_text *t)
{
    if (t->aligned)
        return;
    uint32_t size = t->size;
    t->aligned = true;
    t->size = 0; /* no edges to keep when the array grows */
    void *at = t->at;
    bool done = grow(t, &at, &t->at_capacity, sizeof *t->at, size);
    t->at = at;
    t->size = size;
    if (done)
        fill_edges(t->at, t->bytes, size, t->base);
}

void mbr_text_copy(mbr_text *t, const mbr_view *v, uint32_t from, uint32_t to)
{
    uint32_t size = to - from;
    if (!t->aligned && (v->at || t->base + t->size != v->base + from))
        align(t);
    if (size == 0 || !mbr_text_room(t, size))
        return;
    memcpy(t->bytes + t->size, v->bytes + from, size);
    if (t->aligned) {
        if (v->at)
            memcpy(t->at + t->size, v->at + from, size * sizeof *t->at);
        else
            fill_edges(t->at + t->size, v->bytes + from, size, v->base + from);
    }
    t->size += size;
}

mbr_edge mbr_view_span(const mbr_view *v, uint32_t from, uint32_t to)
{
    if (v->at)
        return (mbr_edge){ v->at[from].begin, v->at[to - 1].end };
    while (from > 0 && ((unsigned char)v->bytes[from] & 0xc0) == 0x80)
        from--;
    while (to < v->size && ((unsigned char)v->bytes[to] & 0xc0) == 0x80)
        to++;
    return (mbr_edge){ v->base + from, v->base + to };
}
