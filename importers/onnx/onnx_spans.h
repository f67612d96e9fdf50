/* SPDX-License-Identifier: BSD-2-Clause */
/* Reading the payloads that the pre-scan lifted out: one repeated field is the list of its spans, in file order. */
#ifndef MBR_IMPORTERS_ONNX_ONNX_SPANS_H
#define MBR_IMPORTERS_ONNX_ONNX_SPANS_H

#include "importers/onnx/prescan.h"
#include "mbr/dtype.h"

/* The `span` field of a reduced message: indices into scan->spans, of all its lifted fields. */
typedef struct mbr_onnx_spans {
    const mbr_onnx_scan *scan;
    const uint32_t *index; /* (n) */
    size_t n;
} mbr_onnx_spans;

/* Elements of a field; 0 when it is absent. Counts packed varints. */
size_t mbr_onnx_spans_count(const mbr_onnx_spans *s, unsigned field);
bool mbr_onnx_spans_has(const mbr_onnx_spans *s, unsigned field);

/* Decodes all of a field: `to` has room for the count above. False: a varint of more than ten bytes. */
bool mbr_onnx_spans_i64(const mbr_onnx_spans *s, unsigned field, int64_t *to);
bool mbr_onnx_spans_i32(const mbr_onnx_spans *s, unsigned field, int32_t *to); /* the low 32 bits of each */
bool mbr_onnx_spans_i16(const mbr_onnx_spans *s, unsigned field, int16_t *to); /* the low 16 bits of each */
bool mbr_onnx_spans_i8(const mbr_onnx_spans *s, unsigned field, int8_t *to);   /* the low 8 bits of each */
void mbr_onnx_spans_fixed32(const mbr_onnx_spans *s, unsigned field, void *to);
void mbr_onnx_spans_fixed64(const mbr_onnx_spans *s, unsigned field, void *to);
void mbr_onnx_spans_strings(const mbr_onnx_spans *s, unsigned field, mbr_string *to); /* they point into the file */

/* The field's only span, which holds more than one payload; NULL: it is in several pieces. */
const mbr_onnx_span *mbr_onnx_spans_only(const mbr_onnx_spans *s, unsigned field);

/*
 * The whole field as it lies in the file, when that is one run of bytes without tags (raw data, packed numbers of fixed
 * width); NULL otherwise.
 */
const uint8_t *mbr_onnx_spans_flat(const mbr_onnx_spans *s, unsigned field, size_t *bytes);

/* The first and last byte of a field's spans: what may be given back to the system once it is decoded. */
bool mbr_onnx_spans_extent(const mbr_onnx_spans *s, unsigned field, const uint8_t **from, size_t *bytes);

#endif
