/* SPDX-License-Identifier: BSD-2-Clause */
/* The passes in running order: MBR_PASS(NAME, "what it does") stands for mbr_pass_NAME in engine/passes/NAME.c. */
MBR_PASS(fold, "evaluates nodes whose inputs are constants")
MBR_PASS(identity, "removes nodes that change nothing")
MBR_PASS(cse, "merges nodes that compute the same")
MBR_PASS(dce, "removes nodes whose outputs nobody reads")
