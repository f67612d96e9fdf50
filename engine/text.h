/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The IR's text form: prints any module and parses what it prints, so that a pass is tested on ten lines of text.
 *
 *     module "fraud.onnx" ir 8 opset ai.onnx 17
 *     graph main(%x: f32[batch, 30]) -> (%y) {
 *       const %w: f32[2] = {1.5, -0}
 *       %t: f32[batch, 30] = ai.onnx.Gemm@13(%x, %w, _) {transB = 1, alpha = 1.5} "node name"
 *       %y: f32[batch, 30] = ai.onnx.Relu@14(%t)
 *     }
 *
 * A name that is not plain stands in quotes; _ is an input or output that is absent. A subgraph is an attribute's value:
 *
 *       %r: f32[batch] = ai.onnx.If@16(%c) {then_branch = graph "t"() -> (%s) {
 *         capture %w = %w
 *         %s = ai.onnx.Neg@13(%w)
 *       }, else_branch = ...}
 *
 * Constants and lists of more than 64 elements print as {... count}, [first, ... count]: what is left out is parsed
 * as zeros. Complex numbers print as ? and are parsed as zeros. # begins a comment.
 */
#ifndef MBR_ENGINE_TEXT_H
#define MBR_ENGINE_TEXT_H

#include "engine/ir.h"
#include "mbr/model.h"

mbr_status mbr_text_print(const mbr_ir_module *m, mbr_write_fn write, void *user, mbr_error *err);

/* On success *out is the caller's. Messages name line and column. */
mbr_status mbr_text_parse(mbr_memory *memory, const mbr_log *log, const char *text, size_t size, mbr_ir_module **out,
                          mbr_error *err);

#endif
