/* SPDX-License-Identifier: BSD-2-Clause */
#include "importers/onnx/onnx_spans.h"

#include <assert.h>
#include <string.h>

static const mbr_onnx_span *span_at(const mbr_onnx_spans *s, size_t i)
{
    assert(s->index[i] < s->scan->span_count); /* the pre-scan itself wrote these numbers */
    return &s->scan->spans[s->index[i]];
}

static size_t count_varints(const uint8_t *at, size_t bytes)
{
    size_t n = 0;
    for (size_t i = 0; i < bytes; i++)
        n += at[i] < 0x80;
    return n;
}

size_t mbr_onnx_spans_count(const mbr_onnx_spans *s, unsigned field)
{
    size_t n = 0;
    for (size_t i = 0; i < s->n; i++) {
        const mbr_onnx_span *p = span_at(s, i);
        if (p->field == field)
            n += p->form == MBR_ONNX_PACKED && p->count == 0 ? count_varints(p->data, p->bytes) : p->count;
    }
    return n;
}

bool mbr_onnx_spans_has(const mbr_onnx_spans *s, unsigned field)
{
    for (size_t i = 0; i < s->n; i++)
        if (span_at(s, i)->field == field)
            return true;
    return false;
}

/* Both forms of varint arrays end with a byte below 0x80, so a varint always ends inside its span. */
static inline const uint8_t *take_varint(const uint8_t *at, uint64_t *value, bool *sound)
{
    uint64_t v = at[0];
    if (v < 0x80) {
        *value = v;
        return at + 1;
    }
    v = (v & 0x7f) | (uint64_t)(at[1] & 0x7f) << 7;
    if (at[1] < 0x80) {
        *value = v;
        return at + 2;
    }
    size_t i = 2;
    for (;; i++) {
        if (i < 10)
            v |= (uint64_t)(at[i] & 0x7f) << (7 * i);
        if (at[i] < 0x80)
            break;
    }
    *sound &= i < 10;
    *value = v;
    return at + i + 1;
}

/* The same loop for each width; the store narrows. */
#define DEFINE_VARINTS(name, type)                                                                                         \
    bool mbr_onnx_spans_##name(const mbr_onnx_spans *s, unsigned field, type *to)                                      \
    {                                                                                                                  \
        bool sound = true;                                                                                             \
        for (size_t i = 0; i < s->n; i++) {                                                                            \
            const mbr_onnx_span *p = span_at(s, i);                                                                    \
            if (p->field != field)                                                                                     \
                continue;                                                                                              \
            const uint8_t *at = p->data, *end = at + p->bytes;                                                         \
            size_t tag = p->form == MBR_ONNX_VARINTS; /* a byte between two elements */                                \
            for (;;) {                                                                                                 \
                uint64_t v;                                                                                            \
                at = take_varint(at, &v, &sound);                                                                      \
                *to++ = (type)v;                                                                                       \
                if (at == end)                                                                                         \
                    break;                                                                                             \
                at += tag;                                                                                             \
            }                                                                                                          \
        }                                                                                                              \
        return sound;                                                                                                  \
    }

DEFINE_VARINTS(i64, int64_t)
DEFINE_VARINTS(i32, int32_t)
DEFINE_VARINTS(i16, int16_t)
DEFINE_VARINTS(i8, int8_t)

static inline void take_fixed(const mbr_onnx_spans *s, unsigned field, uint8_t *to, size_t width)
{
    for (size_t i = 0; i < s->n; i++) {
        const mbr_onnx_span *p = span_at(s, i);
        if (p->field != field)
            continue;
        if (p->form == MBR_ONNX_PACKED) {
            memcpy(to, p->data, p->bytes);
            to += p->bytes;
            continue;
        }
        const uint8_t *at = p->data;
        for (size_t k = 0; k < p->count; k++, at += width + 1, to += width)
            memcpy(to, at, width);
    }
}

void mbr_onnx_spans_fixed32(const mbr_onnx_spans *s, unsigned field, void *to)
{
    take_fixed(s, field, to, 4);
}

void mbr_onnx_spans_fixed64(const mbr_onnx_spans *s, unsigned field, void *to)
{
    take_fixed(s, field, to, 8);
}

void mbr_onnx_spans_strings(const mbr_onnx_spans *s, unsigned field, mbr_string *to)
{
    for (size_t i = 0; i < s->n; i++) {
        const mbr_onnx_span *p = span_at(s, i);
        if (p->field != field)
            continue;
        if (p->form == MBR_ONNX_BYTES) {
            *to++ = (mbr_string){ (const char *)p->data, p->bytes };
            continue;
        }
        const uint8_t *at = p->data, *end = at + p->bytes;
        for (size_t k = 0; k < p->count; k++) {
            uint64_t length = 0;
            at = mbr_onnx_varint(k ? at + 1 : at, end, &length); /* the pre-scan has walked the same way */
            *to++ = (mbr_string){ (const char *)at, (size_t)length };
            at += length;
        }
    }
}

const mbr_onnx_span *mbr_onnx_spans_only(const mbr_onnx_spans *s, unsigned field)
{
    const mbr_onnx_span *only = NULL;
    for (size_t i = 0; i < s->n; i++) {
        const mbr_onnx_span *p = span_at(s, i);
        if (p->field == field && (only || p->form == MBR_ONNX_BYTES))
            return NULL;
        only = p->field == field ? p : only;
    }
    return only;
}

const uint8_t *mbr_onnx_spans_flat(const mbr_onnx_spans *s, unsigned field, size_t *bytes)
{
    const mbr_onnx_span *only = NULL;
    for (size_t i = 0; i < s->n; i++) {
        const mbr_onnx_span *p = span_at(s, i);
        if (p->field != field)
            continue;
        bool flat = p->form == MBR_ONNX_BYTES || (p->form == MBR_ONNX_PACKED && p->count);
        if (only || !flat)
            return NULL;
        only = p;
    }
    if (!only)
        return NULL;
    *bytes = only->bytes;
    return only->data;
}

bool mbr_onnx_spans_extent(const mbr_onnx_spans *s, unsigned field, const uint8_t **from, size_t *bytes)
{
    const uint8_t *first = NULL, *end = NULL;
    for (size_t i = 0; i < s->n; i++) {
        const mbr_onnx_span *p = span_at(s, i);
        if (p->field != field)
            continue;
        first = first ? first : p->data;
        end = p->data + p->bytes;
    }
    *from = first;
    *bytes = (size_t)(end - first);
    return first != NULL;
}
