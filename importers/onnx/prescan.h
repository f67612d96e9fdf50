/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The pre-scan of protobuf's wire format: the only code that looks at an ONNX file before it is known to be sound.
 *
 * One iterative pass, whatever the nesting, checks every tag, varint and length of the messages that the importer knows
 * against the bytes that are left, and writes a reduced copy for protobuf-c: unknown fields and documentation are
 * dropped, and every payload (raw_data, float_data, floats, ints, strings, ...) becomes the index of a span of
 * the original bytes, in the field `span` of onnx.proto. The copy has MBR_ONNX_DEPTH levels at most, so protobuf-c, which
 * recurses and copies, is safe on it. A payload's pages are touched only as far as finding its end needs.
 */
#ifndef MBR_IMPORTERS_ONNX_PRESCAN_H
#define MBR_IMPORTERS_ONNX_PRESCAN_H

#include "base/memory.h"

/* Messages inside messages at most; a graph inside a node's attribute takes three. */
#define MBR_ONNX_DEPTH 200

/* Fields that the reduced copy may hold: bounds what protobuf-c allocates for a file of empty messages. */
#define MBR_ONNX_MAX_FIELDS ((size_t)1 << 24)

/* The field number of `span` in onnx.proto. */
#define MBR_ONNX_SPAN_FIELD 100

typedef enum mbr_onnx_message {
    MBR_ONNX_MODEL,
    MBR_ONNX_GRAPH,
    MBR_ONNX_NODE,
    MBR_ONNX_ATTRIBUTE,
    MBR_ONNX_TENSOR,
    MBR_ONNX_SPARSE_TENSOR,
    MBR_ONNX_VALUE_INFO,
    MBR_ONNX_TYPE,
    MBR_ONNX_TYPE_TENSOR,
    MBR_ONNX_TYPE_SEQUENCE,
    MBR_ONNX_TYPE_MAP,
    MBR_ONNX_TYPE_OPTIONAL,
    MBR_ONNX_TYPE_OPAQUE,
    MBR_ONNX_SHAPE,
    MBR_ONNX_DIMENSION,
    MBR_ONNX_OPERATOR_SET,
    MBR_ONNX_FUNCTION,
    MBR_ONNX_STRING_PAIR,
    MBR_ONNX_SEQUENCE,
    MBR_ONNX_MAP,
    MBR_ONNX_OPTIONAL,
    MBR_ONNX_MESSAGES
} mbr_onnx_message;

/* How the elements of a span lie in the file. */
typedef enum mbr_onnx_form {
    MBR_ONNX_BYTES,        /* one payload (raw_data, s) */
    MBR_ONNX_PACKED,       /* numbers, one after the other */
    MBR_ONNX_VARINTS,      /* varints, with a one-byte tag between two of them */
    MBR_ONNX_FIXED32,      /* four bytes each, likewise */
    MBR_ONNX_FIXED64,      /* eight bytes each, likewise */
    MBR_ONNX_STRINGS       /* length and bytes each, likewise */
} mbr_onnx_form;

typedef struct mbr_onnx_span {
    const uint8_t *data; /* inside the bytes that were scanned; begins behind the first tag (and length) */
    size_t bytes;
    size_t count;        /* elements; 0 for packed varints, which are counted when they are wanted */
    uint8_t field;       /* ONNX's field number */
    uint8_t form;        /* mbr_onnx_form */
} mbr_onnx_span;

typedef struct mbr_onnx_scan {
    mbr_memory *memory;
    uint8_t *reduced;
    size_t reduced_size, reduced_room;
    mbr_onnx_span *spans;
    size_t span_count, span_room;
    size_t fields; /* kept so far */
} mbr_onnx_scan;

/*
 * Scans `size` bytes as one message of type `root`. The bytes have to stay for as long as the spans are used. On
 * failure (MBR_ERR_FORMAT, MBR_ERR_LIMIT, MBR_ERR_NO_MEMORY) the scan is empty; destroying it is harmless.
 */
mbr_status mbr_onnx_scan_run(mbr_onnx_scan *s, mbr_memory *memory, const uint8_t *bytes, size_t size,
                             mbr_onnx_message root, mbr_error *err);
void mbr_onnx_scan_destroy(mbr_onnx_scan *s);

/*
 * Reads a varint that has to end before `end`. Returns the place behind it, or NULL when it does not end there or takes
 * more than ten bytes.
 */
const uint8_t *mbr_onnx_varint(const uint8_t *at, const uint8_t *end, uint64_t *value);

/* True when the first bytes of a file (as many as are at hand) look like a serialised ModelProto, whole or cut short. */
bool mbr_onnx_sniff(const uint8_t *bytes, size_t size);

#endif
