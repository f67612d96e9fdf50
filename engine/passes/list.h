/* SPDX-License-Identifier: BSD-2-Clause */
/* The passes in running order: MBR_PASS(NAME, "what it does") stands for mbr_pass_NAME in engine/passes/NAME.c. */
MBR_PASS(qdq, "turns operators between DequantizeLinear and QuantizeLinear into ones on bytes")
MBR_PASS(fold, "evaluates nodes whose inputs are constants")
MBR_PASS(identity, "removes nodes that change nothing")
MBR_PASS(cse, "merges nodes that compute the same")
MBR_PASS(dce, "removes nodes whose outputs nobody reads")
MBR_PASS(batchnorm, "folds batch normalisation into convolutions")
MBR_PASS(rules, "replaces what the patterns of engine/passes/rules_text.c find: SiLU, GELU, norms ...")
MBR_PASS(layout, "lets convolutions and what lies between them work with channels last")
MBR_PASS(epilogue, "lets products and convolutions apply what follows them: bias, addition, activation")
MBR_PASS(chain, "lets elementwise nodes of one shape run tile by tile in cache")
MBR_PASS(batch, "carries each sample of a batch through the nodes between which the batch would leave the cache")
MBR_PASS(clean, "removes what the fusions left behind")
