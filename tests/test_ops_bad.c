/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Nodes that make no sense, or that would ask for impossible sizes: a message with the node and the reason, whether the
 * numbers are known when the model is opened or only when it runs. Under the sanitizers, nothing undefined on the way.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#include "tests/ir_text.h"

#include <stdio.h>
#include <stdlib.h>

#define BIG "4611686018427387904" /* 2^62 */
#define F32_1 "const %a = f32[1] {1}\n"
#define F32_22 "const %a = f32[2, 2] {1, 2, 3, 4}\n"
#define IMAGE "const %a = f32[1, 4, 3, 3] {1, 2, 3, 4, 5, 6, 7, 8, 9, 1, 2, 3, 4, 5, 6, 7, 8, 9, " \
              "1, 2, 3, 4, 5, 6, 7, 8, 9, 1, 2, 3, 4, 5, 6, 7, 8, 9}\n"
#define WEIGHT "const %w = f32[1, 4, 1, 1] {1, 1, 1, 1}\n"

static const struct {
    const char *body;   /* one node on constants, after them */
    const char *reason; /* part of the message */
} rows[] = {
    /* attributes */
    { IMAGE WEIGHT "%r = ai.onnx.Conv@11(%a, %w) {strides = [0, 1]}", "stride" },
    { IMAGE WEIGHT "%r = ai.onnx.Conv@11(%a, %w) {strides = [-1, 1]}", "stride" },
    { IMAGE WEIGHT "%r = ai.onnx.Conv@11(%a, %w) {dilations = [0, 0]}", "dilation" },
    { IMAGE WEIGHT "%r = ai.onnx.Conv@11(%a, %w) {dilations = [" BIG ", 1]}", "" },
    { IMAGE WEIGHT "%r = ai.onnx.Conv@11(%a, %w) {pads = [" BIG ", 0, " BIG ", 0]}", "" },
    { IMAGE WEIGHT "%r = ai.onnx.Conv@11(%a, %w) {pads = [1, 1]}", "pads" },
    { IMAGE WEIGHT "%r = ai.onnx.Conv@11(%a, %w) {group = 0}", "group" },
    { IMAGE WEIGHT "%r = ai.onnx.Conv@11(%a, %w) {group = -4}", "group" },
    { IMAGE WEIGHT "%r = ai.onnx.Conv@11(%a, %w) {auto_pad = \"SAME\"}", "SAME" },
    { IMAGE WEIGHT "%r = ai.onnx.Conv@11(%a, %w) {kernel_shape = [3, 3]}", "kernel_shape" },
    { IMAGE "const %w = f32[4, 1, 1, 1] {1, 1, 1, 1}\n%r = ai.onnx.ConvTranspose@11(%a, %w) "
      "{strides = [" BIG ", 1]}", "" },
    { IMAGE "const %w = f32[4, 1, 1, 1] {1, 1, 1, 1}\n%r = ai.onnx.ConvTranspose@11(%a, %w) "
      "{output_shape = [-3, 3]}", "" },
    { IMAGE "%r = ai.onnx.MaxPool@12(%a) {kernel_shape = [0, 1]}", "kernel_shape" },
    { IMAGE "%r = ai.onnx.MaxPool@12(%a) {kernel_shape = [" BIG ", 1]}", "" },
    { IMAGE "%r = ai.onnx.AveragePool@19(%a) {kernel_shape = [2]}", "kernel_shape" },
    { IMAGE "%r = ai.onnx.LpPool@18(%a) {kernel_shape = [2, 2], p = 0}", "p" },
    { IMAGE "%r = ai.onnx.LRN@13(%a) {size = 0}", "size" },
    { IMAGE "%r = ai.onnx.DepthToSpace@13(%a) {blocksize = 0}", "block" },
    { IMAGE "%r = ai.onnx.DepthToSpace@13(%a) {blocksize = 4294967296}", "block" },
    { IMAGE "%r = ai.onnx.SpaceToDepth@13(%a) {blocksize = -3}", "block" },
    { IMAGE "const %s = f32[4] {1, 1, 1, 1}\n%r = ai.onnx.GroupNormalization@21(%a, %s, %s) {num_groups = 0}",
      "num_groups" },
    { IMAGE "const %s = f32[4] {1, 1, 1, 1}\n%r = ai.onnx.GroupNormalization@21(%a, %s, %s) {num_groups = 3}",
      "3 groups" },
    { F32_22 "%r = ai.onnx.Softmax@13(%a) {axis = 2}", "axis 2" },
    { F32_22 "%r = ai.onnx.Softmax@13(%a) {axis = -9223372036854775808}", "axis" },
    { F32_22 "%r = ai.onnx.ArgMax@13(%a) {axis = -3}", "axis -3" },
    { F32_22 "%r = ai.onnx.Concat@13(%a, %a) {axis = 5}", "axis 5" },
    { F32_22 "%r = ai.onnx.Transpose@13(%a) {perm = [0, 0]}", "perm" },
    { F32_22 "%r = ai.onnx.Transpose@13(%a) {perm = [0, 2]}", "axis 2" },
    { F32_22 "%r = ai.onnx.Transpose@13(%a) {perm = [1]}", "perm" },
    { F32_22 "%r = ai.onnx.Cast@13(%a) {to = 99}", "names no type" },
    { F32_22 "%r = ai.onnx.Flatten@13(%a) {axis = 3}", "axis 3" },
    { F32_22 "%r = ai.onnx.Einsum@12(%a) {equation = \"ij->k\"}", "" },
    { F32_22 "%r = ai.onnx.Einsum@12(%a) {equation = \"i\"}", "" },
    { F32_22 "%r = ai.onnx.Einsum@12(%a) {equation = \"\"}", "" },
    { F32_22 "%r = ai.onnx.LayerNormalization@17(%a, %a) {axis = 2}", "axis" },
    { F32_22 "%r = ai.onnx.LpNormalization@1(%a) {p = 7}", "p" },
    { "const %a = i8[1] {1}\n%r = ai.onnx.BitShift@11(%a, %a) {direction = \"UP\"}", "UP" },
    /* ranks and types */
    { F32_22 "%r = ai.onnx.Conv@11(%a, %a)", "rank" },
    { "const %a = f32[] {1}\n%r = ai.onnx.MatMul@13(%a, %a)", "" },
    { F32_22 "const %b = f32[3] {1, 2, 3}\n%r = ai.onnx.MatMul@13(%a, %b)", "" },
    { F32_1 "%r = ai.onnx.Gemm@13(%a, %a)", "rank" },
    { "const %a = f32[1, 2] {1, 2}\n%r = ai.onnx.Det@11(%a)", "square" },
    { F32_22 "const %b = f32[3] {1, 2, 3}\n%r = ai.onnx.Add@14(%a, %b)", "broadcast" },
    { F32_22 "%r = ai.onnx.And@7(%a, %a)", "" },
    { F32_22 "const %b = i64[1] {1}\n%r = ai.onnx.Add@14(%a, %b)", "" },
    { F32_1 "%r = ai.onnx.Squeeze@11(%a) {axes = [1]}", "axis 1" },
    { F32_22 "%r = ai.onnx.Squeeze@11(%a) {axes = [0]}", "" },
    { F32_1 "%r = ai.onnx.Unsqueeze@11(%a) {axes = [0, 0]}", "twice" },
    /* sizes that overflow, or that no machine has */
    { F32_1 "const %s = i64[2] {" BIG ", 4}\n%r = ai.onnx.Expand@13(%a, %s)", "" },
    { F32_1 "const %s = i64[1] {-7}\n%r = ai.onnx.Expand@13(%a, %s)", "" },
    { F32_1 "const %s = i64[1] {-1}\n%r = ai.onnx.Tile@13(%a, %s)", "-1" },
    { F32_22 "const %s = i64[2] {" BIG ", " BIG "}\n%r = ai.onnx.Tile@13(%a, %s)", "" },
    { F32_22 "const %s = i64[1] {2}\n%r = ai.onnx.Tile@13(%a, %s)", "" },
    { F32_1 "const %s = i64[2] {" BIG ", " BIG "}\n%r = ai.onnx.Pad@13(%a, %s)", "" },
    { F32_1 "const %s = i64[2] {-2, 0}\n%r = ai.onnx.Pad@13(%a, %s)", "" },
    { F32_1 "const %s = i64[3] {0, 0, 0}\n%r = ai.onnx.Pad@13(%a, %s)", "" },
    { "const %a = f32[0] {}\nconst %s = i64[2] {1, 0}\n%r = ai.onnx.Pad@13(%a, %s) {mode = \"edge\"}", "" },
    { F32_1 "const %s = i64[2] {0, 0}\n%r = ai.onnx.Pad@13(%a, %s) {mode = \"around\"}", "around" },
    { "const %s = i64[2] {" BIG ", " BIG "}\n%r = ai.onnx.ConstantOfShape@9(%s)", "" },
    { "const %s = i64[1] {-1}\n%r = ai.onnx.ConstantOfShape@9(%s)", "-1" },
    { F32_22 "const %s = i64[2] {-2, 2}\n%r = ai.onnx.Reshape@14(%a, %s)", "-2" },
    { F32_22 "const %s = i64[2] {-1, -1}\n%r = ai.onnx.Reshape@14(%a, %s)", "-1" },
    { F32_22 "const %s = i64[2] {3, -1}\n%r = ai.onnx.Reshape@14(%a, %s)", "" },
    { F32_22 "const %s = i64[2] {" BIG ", 4}\n%r = ai.onnx.Reshape@14(%a, %s)", "" },
    { F32_22 "const %s = i64[3] {2, 2, 0}\n%r = ai.onnx.Reshape@14(%a, %s)", "" },
    { F32_1 "const %s = i64[1] {0}\nconst %e = i64[1] {1}\n%r = ai.onnx.Slice@13(%a, %s, %e, %s, %s)", "step" },
    { F32_1 "const %s = i64[1] {0}\nconst %e = i64[1] {1}\nconst %x = i64[1] {4}\n"
      "%r = ai.onnx.Slice@13(%a, %s, %e, %x)", "axis 4" },
    { F32_1 "const %s = i64[2] {0, 0}\nconst %e = i64[1] {1}\n%r = ai.onnx.Slice@13(%a, %s, %e)", "" },
    { "const %s = f64[] {0}\nconst %l = f64[] {1e18}\nconst %d = f64[] {1e-3}\n%r = ai.onnx.Range@11(%s, %l, %d)", "" },
    { "const %s = f32[] {0}\nconst %l = f32[] {nan}\nconst %d = f32[] {1}\n%r = ai.onnx.Range@11(%s, %l, %d)", "" },
    { "const %s = i64[] {-9223372036854775808}\nconst %l = i64[] {9223372036854775807}\nconst %d = i64[] {1}\n"
      "%r = ai.onnx.Range@11(%s, %l, %d)", "" },
    { IMAGE "const %s = i64[4] {1, 4, 1099511627776, 1099511627776}\n%r = ai.onnx.Resize@19(%a, _, _, %s)", "" },
    { IMAGE "const %s = i64[4] {1, 4, -1, 3}\n%r = ai.onnx.Resize@19(%a, _, _, %s)", "" },
    { IMAGE "const %s = f32[4] {1, 1, 1e30, 1e30}\n%r = ai.onnx.Resize@19(%a, _, %s)", "" },
    { IMAGE "const %s = f32[4] {1, 1, nan, 1}\n%r = ai.onnx.Resize@19(%a, _, %s)", "" },
    { IMAGE "const %s = f32[4] {1, 1, -2, 1}\n%r = ai.onnx.Resize@19(%a, _, %s)", "" },
    { IMAGE "const %s = f32[3] {1, 1, 2}\n%r = ai.onnx.Resize@19(%a, _, %s)", "" },
    { IMAGE "const %s = f32[4] {1, 1, 2, 2}\n%r = ai.onnx.Resize@19(%a, _, %s) {mode = \"quick\"}", "quick" },
    { IMAGE "const %o = f32[1, 4] {0, 0, 1, 1}\nconst %b = i64[1] {7}\n%r = ai.onnx.RoiAlign@16(%a, %o, %b)", "7" },
    { IMAGE "const %o = f32[1, 4] {0, 0, 1, 1}\nconst %b = i64[1] {-1}\n%r = ai.onnx.RoiAlign@16(%a, %o, %b)", "-1" },
    { IMAGE "const %o = f32[1, 4] {0, 0, 1, 1}\nconst %b = i64[1] {0}\n"
      "%r = ai.onnx.RoiAlign@16(%a, %o, %b) {output_height = " BIG ", output_width = " BIG "}", "" },
    { IMAGE "const %o = f32[1, 4] {0, 0, 1, 1}\nconst %b = i64[1] {0}\n"
      "%r = ai.onnx.RoiAlign@16(%a, %o, %b) {sampling_ratio = -3}", "sampling_ratio" },
    { "const %a = f32[1, 4, 4] {1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 3, 4, 5, 6, 7, 8}\nconst %i = i64[2] {" BIG ", 3}\n"
      "const %k = i64[2] {2, 2}\n%r = ai.onnx.Col2Im@18(%a, %i, %k)", "" },
    { "const %a = f32[1, 4, 4] {1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 3, 4, 5, 6, 7, 8}\nconst %i = i64[2] {3, 3}\n"
      "const %k = i64[2] {0, 2}\n%r = ai.onnx.Col2Im@18(%a, %i, %k)", "" },
    { "const %a = f32[1, 4, 4] {1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 3, 4, 5, 6, 7, 8}\nconst %i = i64[2] {4, 3}\n"
      "const %k = i64[2] {2, 2}\n%r = ai.onnx.Col2Im@18(%a, %i, %k)", "" },
    { "const %a = i64[2] {0, 1}\nconst %d = i64[] {" BIG "}\nconst %v = f32[2] {0, 1}\n%r = ai.onnx.OneHot@11(%a, %d, %v)",
      "" },
    { "const %a = i64[2] {0, 1}\nconst %d = i64[] {-1}\nconst %v = f32[2] {0, 1}\n%r = ai.onnx.OneHot@11(%a, %d, %v)",
      "-1" },
    { "const %a = i64[2] {0, 1}\nconst %d = f32[] {nan}\nconst %v = f32[2] {0, 1}\n%r = ai.onnx.OneHot@11(%a, %d, %v)",
      "" },
    { "const %a = i64[2] {0, 1}\nconst %d = i64[] {3}\nconst %v = f32[3] {0, 1, 2}\n%r = ai.onnx.OneHot@11(%a, %d, %v)",
      "" },
    { F32_1 "const %k = i64[1] {2}\n%r = ai.onnx.TopK@11(%a, %k)", "2" },
    { F32_1 "const %k = i64[1] {-1}\n%r = ai.onnx.TopK@11(%a, %k)", "-1" },
    { "const %n = i64[] {-1}\n%r = ai.onnx.HannWindow@17(%n)", "-1" },
    { "const %n = i64[] {" BIG "}\n%r = ai.onnx.HannWindow@17(%n)", "" },
    { "const %a = f32[1, 4, 1] {1, 2, 3, 4}\nconst %n = i64[] {" BIG "}\n%r = ai.onnx.DFT@17(%a, %n)", "" },
    { "const %a = f32[1, 4, 1] {1, 2, 3, 4}\nconst %n = i64[] {0}\n%r = ai.onnx.DFT@17(%a, %n)", "" },
    { "const %a = f32[1, 4, 1] {1, 2, 3, 4}\nconst %s = i64[] {0}\nconst %n = i64[] {2}\n%r = ai.onnx.STFT@17(%a, %s, _, %n)",
      "step" },
    { "const %a = f32[1, 4, 1] {1, 2, 3, 4}\nconst %s = i64[] {1}\nconst %n = i64[] {9}\n%r = ai.onnx.STFT@17(%a, %s, _, %n)",
      "shorter" },
    { F32_22 "const %s = i64[2] {2, 3}\n%r, %q = ai.onnx.Split@13(%a, %s)", "" },
    { F32_22 "const %s = i64[2] {-1, 3}\n%r, %q = ai.onnx.Split@13(%a, %s)", "-1" },
    { F32_22 "const %s = i64[] {0}\n%r = ai.onnx.SplitToSequence@11(%a, %s)", "" },
    { "const %s = i64[4] {1, 1, " BIG ", 4}\nconst %a = f32[1, 2, 3] {1, 0, 0, 0, 1, 0}\n%r = ai.onnx.AffineGrid@20(%a, %s)",
      "" },
    { F32_22 "const %s = i64[2] {-1, 3}\n%r = ai.onnx.CenterCropPad@18(%a, %s)", "-1" },
    /* indices and divisors */
    { "const %a = i32[1] {1}\nconst %b = i32[1] {0}\n%r = ai.onnx.Div@14(%a, %b)", "zero" },
    { "const %a = u8[1] {1}\nconst %b = u8[1] {0}\n%r = ai.onnx.Mod@13(%a, %b)", "zero" },
    { F32_1 "const %i = i64[1] {-9223372036854775808}\n%r = ai.onnx.Gather@13(%a, %i)", "-9223372036854775808" },
    { F32_1 "const %i = i64[1] {1}\nconst %u = f32[1] {1}\n%r = ai.onnx.ScatterElements@18(%a, %i, %u)", "1" },
    { F32_22 "const %i = i64[1, 3] {0, 1, 0}\nconst %u = f32[1, 3] {1, 1, 1}\n%r = ai.onnx.ScatterElements@18(%a, %i, %u)",
      "" },
    { F32_22 "const %i = i64[1, 3] {0, 0, 0}\n%r = ai.onnx.GatherND@13(%a, %i)", "" },
    { F32_22 "const %i = i64[1, 1] {0}\n%r = ai.onnx.GatherND@13(%a, %i) {batch_dims = 2}", "batch_dims" },
    { F32_22 "const %l = i64[2] {3, 1}\n%r = ai.onnx.ReverseSequence@10(%a, %l)", "3" },
    { F32_22 "const %l = i64[2] {-1, 1}\n%r = ai.onnx.ReverseSequence@10(%a, %l)", "-1" },
    { "const %x = f32[1, 2] {1, 2}\nconst %t = i64[1] {5}\n%r = ai.onnx.NegativeLogLikelihoodLoss@13(%x, %t)", "5" },
    { F32_22 "const %i = i64[1] {2}\n%r = ai.onnx.ml.ArrayFeatureExtractor@1(%a, %i)", "2" },
    { "const %a = f32[1, 1, 1, 2] {1, 2}\nconst %i = i64[1, 1, 1, 2] {0, 9}\n"
      "%r = ai.onnx.MaxUnpool@11(%a, %i) {kernel_shape = [1, 1]}", "9" },
    { "const %s = f32[1] {1}\nconst %b = f32[1, 1, 3] {0, 0, 1}\nconst %c = f32[1, 1, 1] {1}\n"
      "%r = ai.onnx.NonMaxSuppression@11(%b, %c)", "" },
    { F32_22 "%r = ai.onnx.ml.Scaler@1(%a) {offset = f[1, 2, 3], scale = f[1, 2]}", "" },
    { F32_22 "%r = ai.onnx.ml.SVMRegressor@1(%a) {n_supports = 5, coefficients = f[1], support_vectors = f[1, 2]}", "" },
    { F32_22 "%r = ai.onnx.ml.SVMRegressor@1(%a) {n_supports = " BIG ", coefficients = f[1], support_vectors = f[1, 2]}",
      "" },
    { F32_22 "%r = ai.onnx.ml.LinearRegressor@1(%a) {coefficients = f[1, 2, 3], targets = 2}", "" },
    { F32_22 "%r = ai.onnx.ml.LinearRegressor@1(%a) {coefficients = f[1], targets = " BIG "}", "" },
    { F32_22 "%r = ai.onnx.ml.TreeEnsembleRegressor@3(%a) {nodes_treeids = [0], nodes_nodeids = [0], "
      "nodes_featureids = [9], nodes_values = f[0], nodes_modes = [\"BRANCH_LEQ\"], nodes_truenodeids = [5], "
      "nodes_falsenodeids = [6], target_treeids = [0], target_nodeids = [0], target_ids = [0], target_weights = f[1]}", "" },
    { F32_22 "%r = ai.onnx.ml.TreeEnsembleRegressor@3(%a) {nodes_treeids = [0], nodes_nodeids = [0], "
      "nodes_featureids = [0], nodes_values = f[0], nodes_modes = [\"LEAF\"], nodes_truenodeids = [0], "
      "nodes_falsenodeids = [0], target_treeids = [0], target_nodeids = [0], target_ids = [-2], target_weights = f[1]}",
      "" },
    { F32_22 "%r, %q = ai.onnx.ml.TreeEnsembleClassifier@3(%a) {nodes_treeids = [0], nodes_nodeids = [0], "
      "nodes_featureids = [0], nodes_values = f[0], nodes_modes = [\"LEAF\"], nodes_truenodeids = [0], "
      "nodes_falsenodeids = [0], class_treeids = [0], class_nodeids = [0], class_ids = [7], class_weights = f[1], "
      "classlabels_int64s = [0, 1]}", "" },
    { F32_22 "%r, %q = ai.onnx.ml.SVMClassifier@1(%a) {classlabels_ints = [0, 1], vectors_per_class = [5, 5], "
      "coefficients = f[1], support_vectors = f[1, 2], rho = f[0]}", "" },
    { F32_22 "%r, %q = ai.onnx.ml.SVMClassifier@1(%a) {classlabels_ints = [0, 1], vectors_per_class = [-1, 2], "
      "coefficients = f[1], support_vectors = f[1, 2], rho = f[0]}", "" },
    { IMAGE "const %s = f32[4] {1, 1, 1e30, 1}\n%r = ai.onnx.Upsample@9(%a, %s)", "" },
    { IMAGE "const %s = f32[4] {1, 1, 0, 1}\n%r = ai.onnx.Upsample@9(%a, %s)", "" },
    { IMAGE "const %o = f32[1, 5] {9, 0, 0, 1, 1}\n%r = ai.onnx.MaxRoiPool@1(%a, %o) {pooled_shape = [1, 1]}", "9" },
    { IMAGE "const %o = f32[1, 5] {0, 0, 0, 1, 1}\n%r = ai.onnx.MaxRoiPool@1(%a, %o) {pooled_shape = [" BIG ", 4]}", "" },
    { "const %a = f32[1, 2, 4] {1, 2, 3, 4, 5, 6, 7, 8}\n"
      "%r = ai.onnx.Attention@23(%a, %a, %a) {q_num_heads = 0, kv_num_heads = 0}", "" },
    { "const %a = f32[1, 2, 4] {1, 2, 3, 4, 5, 6, 7, 8}\n"
      "%r = ai.onnx.Attention@23(%a, %a, %a) {q_num_heads = 3, kv_num_heads = 2}", "" },
    { F32_22 "const %s = f32[2, 1] {1, 1}\n%r = ai.onnx.QuantizeLinear@21(%a, %s) {axis = 1, block_size = -2}", "" },
    { F32_22 "const %s = f32[2, 1] {1, 1}\n%r = ai.onnx.QuantizeLinear@21(%a, %s) {axis = 9, block_size = 2}", "9" },
    { "const %a = string[1] {\"x\"}\n%r = ai.onnx.ml.LabelEncoder@2(%a) {keys_strings = [\"x\"], values_int64s = [1, 2]}",
      "" },
};

static mbr_memory memory;

static void setup(void)
{
    mbr_memory_init(&memory);
}

/* Opens and runs the row; with `late`, its constants are inputs that arrive when it runs. */
static mbr_status attempt(const char *body, bool late, mbr_error *err)
{
    char head[1024] = "", text[8192], rest[4096] = "";
    mbr_ir_module *m = NULL, *values = NULL;
    mbr_program *p = NULL;
    mbr_frame *f = NULL;
    mbr_run run = { 0 };
    bool started = false;
    const char *form = "module \"t\" ir 10 opset ai.onnx 21 opset ai.onnx.ml 3\ngraph g(%s) -> (%%r) {\n%s\n}\n";
    snprintf(text, sizeof text, form, "", body);
    mbr_status st = mbr_text_parse(&memory, NULL, text, strlen(text), &values, err);
    for (const char *line = body; late && *line;) {
        const char *end = strchr(line, '\n');
        int n = end ? (int)(end - line) : (int)strlen(line);
        if (strncmp(line, "const ", 6) == 0) { /* const %name = TYPE {...} */
            const char *equals = strstr(line, " = "), *brace = strstr(line, " {");
            snprintf(head + strlen(head), sizeof head - strlen(head), "%s%.*s: %.*s", *head ? ", " : "",
                     (int)(equals - line - 6), line + 6, (int)(brace - equals - 3), equals + 3);
        } else {
            snprintf(rest + strlen(rest), sizeof rest - strlen(rest), "%.*s\n", n, line);
        }
        line += n + (end != NULL);
    }
    if (late)
        snprintf(text, sizeof text, form, head, rest);
    if (st == MBR_OK)
        st = mbr_text_parse(&memory, NULL, text, strlen(text), &m, err);
    ck_assert_msg(st == MBR_OK, "%s\n%s", err->text, text);
    st = mbr_infer_graph(m->main, err);
    if (st == MBR_OK)
        st = mbr_program_new(m->main, &p, err);
    if (st == MBR_OK) {
        started = true;
        st = mbr_run_init(&run, &memory, NULL, 1, m, err);
    }
    if (st == MBR_OK)
        st = mbr_frame_new(p, &run, &f, err);
    for (size_t i = 0; i < m->main->n_inputs && st == MBR_OK; i++)
        st = mbr_frame_bind(f, i, mbr_ir_find(values->main, m->main->inputs[i]->name)->constant, err);
    if (st == MBR_OK)
        st = mbr_frame_run(f, err);
    mbr_frame_free(f);
    if (started)
        mbr_run_destroy(&run);
    mbr_program_free(p);
    mbr_ir_module_free(m);
    mbr_ir_module_free(values);
    return st;
}

START_TEST(refused)
{
    mbr_error err = { 0 };
    bool late = _i & 1;
    const char *body = rows[_i / 2].body, *reason = rows[_i / 2].reason;
    mbr_status st = attempt(body, late, &err);
    ck_assert_msg(st != MBR_OK, "%s was accepted (late: %d)", body, late);
    ck_assert_msg(st != MBR_ERR_INTERNAL, "%s: %s", body, err.text);
    ck_assert_msg(strstr(err.text, "node ") != NULL, "%s: no node in: %s", body, err.text);
    ck_assert_msg(strstr(err.text, reason) != NULL, "%s: '%s' is not in: %s", body, reason, err.text);
    if (getenv("SHOW"))
        printf("%d: %s\n", late, err.text);
    ck_assert_uint_eq(atomic_load(&memory.in_use), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("ops_bad");
    TCase *c = tcase_create("refused");
    tcase_add_checked_fixture(c, setup, NULL);
    tcase_add_loop_test(c, refused, 0, 2 * (int)(sizeof rows / sizeof *rows));
    suite_add_tcase(suite, c);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
