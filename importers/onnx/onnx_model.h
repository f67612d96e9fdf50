/* SPDX-License-Identifier: BSD-2-Clause */
/* What onnx_graph.c asks of onnx_model.c: domains, functions, messages. */
#ifndef MBR_IMPORTERS_ONNX_ONNX_MODEL_H
#define MBR_IMPORTERS_ONNX_ONNX_MODEL_H

#include "importers/onnx/onnx_import.h"

/* "" for the default domain, whichever way it is written. */
const char *mbr_onnx_domain(const char *domain);

/* The model-local function that a node means; *out NULL: none. */
mbr_status mbr_onnx_find_function(mbr_onnx_importer *m, const char *domain, const char *name, const char *overload,
                                  const Mbr__Onnx__FunctionProto **out, mbr_error *err);

/* Puts "node 'NAME' (OP): " before a message that does not name this node already. */
mbr_status mbr_onnx_fail_at_node(const mbr_onnx_importer *m, const Mbr__Onnx__NodeProto *p, bool in_function,
                                 mbr_status status, mbr_error *err);

#endif
