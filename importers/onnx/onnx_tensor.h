/* SPDX-License-Identifier: BSD-2-Clause */
/* TensorProto and SparseTensorProto to values: inline, raw and external data, every element type. */
#ifndef MBR_IMPORTERS_ONNX_ONNX_TENSOR_H
#define MBR_IMPORTERS_ONNX_ONNX_TENSOR_H

#include "base/filemap.h"
#include "engine/value.h"
#include "importers/onnx/onnx.pb-c.h"
#include "importers/onnx/onnx_spans.h"

/* A file of external data, open for as long as the model. */
typedef struct mbr_onnx_file {
    char *name; /* as the model gives it */
    mbr_filemap map;
} mbr_onnx_file;

/* The files that a model's constants point into. */
typedef struct mbr_onnx_source {
    mbr_memory *memory;
    mbr_filemap model;
    char *folder; /* where external data may lie; NULL: refused */
    mbr_onnx_file *files;
    size_t n_files, files_room;
} mbr_onnx_source;

mbr_status mbr_onnx_source_new(mbr_memory *memory, const char *folder, mbr_onnx_source **out, mbr_error *err);
void mbr_onnx_source_free(void *source);
/* Gives pages of any of the files back to the system. */
void mbr_onnx_source_give_back(void *source, const void *data, size_t bytes);
const mbr_filemap *mbr_onnx_source_file(const void *source, size_t i, const char **name);

typedef struct mbr_onnx_reader {
    mbr_memory *memory;
    const mbr_onnx_scan *scan;
    mbr_onnx_source *source; /* values may point into its files; NULL: everything is copied, external data refused */
    bool any_address;        /* large ones also where they are not aligned; for constants, see mbr_ir_align */
} mbr_onnx_reader;

/* On success *out is the caller's. Messages name the tensor, not the file. */
mbr_status mbr_onnx_tensor(const mbr_onnx_reader *r, const Mbr__Onnx__TensorProto *t, mbr_value **out, mbr_error *err);
mbr_status mbr_onnx_sparse_tensor(const mbr_onnx_reader *r, const Mbr__Onnx__SparseTensorProto *t, mbr_value **out,
                                  mbr_error *err); /* dense */

/* Bits that one element takes in raw_data: 2, 4, 8 ...; 0 for strings and unknown types. */
unsigned mbr_onnx_bits(mbr_dtype dtype);

/* Fields of TensorProto. */
enum {
    MBR_ONNX_FLOAT_DATA = 4,
    MBR_ONNX_INT32_DATA = 5,
    MBR_ONNX_STRING_DATA = 6,
    MBR_ONNX_INT64_DATA = 7,
    MBR_ONNX_RAW_DATA = 9,
    MBR_ONNX_DOUBLE_DATA = 10,
    MBR_ONNX_UINT64_DATA = 11
};

#endif
