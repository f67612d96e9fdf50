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
 * Large constants print as {...} with a count and hash (--weights off) and cannot be parsed back.
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
