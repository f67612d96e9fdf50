/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The rules; rules.h tells how to read them. One that begins with the same operator as another is tried after those
 * above it. Each has a test of its name: tests/passes/rules_NAME.txt.
 */
#include "engine/passes/rules.h"

/* scale q k^T: the factor on the scores, or on the turned keys; on q or k it is found afterwards */
#define SCORES                                                                                                         \
    "  %t = Transpose(%k) {perm = %p}"                                                                                 \
    "  %kt = Mul(%t, number %kby) | Div(%t, number %kover) | %t"                                                       \
    "  %s = MatMul(%q: f32, %kt)"                                                                                      \
    "  %c = Mul(%s, number %by) | Div(%s, number %over) | %s"
#define MASK "  %m = Add(%c, %mask) | %c"

/* x with each element of axis 1 several times in a row, an axis of its own meanwhile */
#define REPEATED(x, e, y)                                                                                              \
    e ".rank = 5, " e ".0 = " x ".0, " e ".1 = " x ".1, " e ".3 = " x ".2, " e ".4 = " x ".3, "                        \
    y ".rank = 4, " y ".0 = " x ".0, " y ".2 = " x ".2, " y ".3 = " x ".3"

const char *const mbr_rule_texts[] = {
    /* --- activations --- */

    "rule sigmoid"
    "  %n = Neg(%x: float) | Mul(%x: float, -1)"
    "  %e = Exp(%n)"
    "  %a = Add(%e, 1)"
    "  %y = Reciprocal(%a) | Div(1, %a)"
    "=>"
    "  %y = Sigmoid@13(%x)",

    "rule silu"
    "  %s = Sigmoid(%x: float)"
    "  %y = Mul(%x, %s)"
    "=>"
    "  %y = Swish@24(%x)",

    "rule swish"
    "  %a = Mul(%x: float, number %alpha)"
    "  %s = Sigmoid(%a)"
    "  %y = Mul(%x, %s)"
    "=>"
    "  %y = Swish@24(%x) {alpha = %alpha}",

    /* x / (1 + e^-x), the division by the sum in place of the product */
    "rule silu_div"
    "  %n = Neg(%x: float) | Mul(%x: float, -1)"
    "  %e = Exp(%n)"
    "  %a = Add(%e, 1)"
    "  %y = Div(%x, %a)"
    "=>"
    "  %y = Swish@24(%x)",

    "rule quick_gelu"
    "  %y = com.microsoft.QuickGelu(%x) {alpha = 1.702?}"
    "=>"
    "  %y = Swish@24(%x) {alpha = 1.702}",

    "rule quick_gelu_silu" /* what ONNX Runtime makes of SiLU */
    "  %y = com.microsoft.QuickGelu(%x) {alpha = 1}"
    "=>"
    "  %y = Swish@24(%x)",

    "rule relu6"
    "  %r = Relu(%x: float)"
    "  %y = Min(%r, 6)"
    "=>"
    "  %y = Clip@13(%x, 0, 6)",

    "rule hard_sigmoid"
    "  %a = Add(%x: float, 3)"
    "  %r = Relu(%a)"
    "  %c = Clip(%a, 0, 6) | Min(%r, 6)"
    "  %y = Div(%c, 6) | Mul(%c, 0.16666667)"
    "=>"
    "  %y = HardSigmoid@6(%x) {alpha = 0.16666667, beta = 0.5}",

    "rule hard_swish"
    "  %h = HardSigmoid(%x: float) {alpha = 0.16666667, beta = 0.5?}"
    "  %a = Add(%x: float, 3)"
    "  %r = Relu(%a)"
    "  %c = Clip(%a, 0, 6) | Min(%r, 6)"
    "  %d = Div(%c, 6)"
    "  %p = Mul(%x, %c)"
    "  %y = Mul(%x, %h) | Div(%p, 6) | Mul(%x, %c, 0.16666667) | Mul(%x, %d)"
    "=>"
    "  %y = HardSwish@14(%x)",

    "rule softplus" /* without the overflow of e^x */
    "  %e = Exp(%x: float)"
    "  %a = Add(%e, 1)"
    "  %y = Log(%a)"
    "=>"
    "  %y = Softplus@1(%x)",

    "rule mish"
    "  %s = Softplus(%x: float)"
    "  %t = Tanh(%s)"
    "  %y = Mul(%x, %t)"
    "=>"
    "  %y = Mish@18(%x)",

    "rule leaky_relu" /* one slope for all */
    "  %y = PRelu(%x: float, number %slope)"
    "=>"
    "  %y = LeakyRelu@16(%x) {alpha = %slope}",

    /* --- GELU --- */

    "rule gelu"
    "  %d = Div(%x: float, 1.41421356) | Mul(%x: float, 0.70710678)"
    "  %e = Erf(%d)"
    "  %a = Add(%e, 1)"
    "  %y = Mul(%x, 0.5, %a)"
    "=>"
    "  %y = Gelu@20(%x)",

    "rule gelu_half" /* the half shared out in the sum */
    "  %d = Div(%x: float, 1.41421356) | Mul(%x: float, 0.70710678)"
    "  %e = Erf(%d)"
    "  %h = Mul(%e, 0.5)"
    "  %a = Add(%h, 0.5)"
    "  %y = Mul(%x, %a)"
    "=>"
    "  %y = Gelu@20(%x)",

    "rule gelu_div" /* halved by a division: of the product, of x or of the sum */
    "  %d = Div(%x: float, 1.41421356) | Mul(%x: float, 0.70710678)"
    "  %e = Erf(%d)"
    "  %a = Add(%e, 1)"
    "  %p = Mul(%x, %a)"
    "  %hx = Div(%x, 2)"
    "  %ha = Div(%a, 2)"
    "  %y = Div(%p, 2) | Mul(%hx, %a) | Mul(%x, %ha)"
    "=>"
    "  %y = Gelu@20(%x)",

    "rule gelu_tanh"
    "  %p3 = Pow(%x: float, 3)"
    "  %p2 = Pow(%x, 2)"
    "  %c = Mul(%p3, 0.044715) | Mul(%x, %x, %x, 0.044715) | Mul(%x, %p2, 0.044715)"
    "  %s = Add(%x, %c)"
    "  %f = Mul(%p2, 0.044715) | Mul(%x, %x, 0.044715)"
    "  %g = Add(%f, 1)"
    "  %u = Mul(%s, 0.79788456) | Mul(%x, %g, 0.79788456)"
    "  %t = Tanh(%u)"
    "  %a = Add(%t, 1)"
    "  %y = Mul(%x, 0.5, %a)"
    "=>"
    "  %y = Gelu@20(%x) {approximate = 'tanh'}",

    "rule gelu_microsoft"
    "  %y = com.microsoft.Gelu(%x)"
    "=>"
    "  %y = Gelu@20(%x)",

    "rule bias_gelu" /* the addition joins the product before it */
    "  %y = com.microsoft.BiasGelu(%x, %b)"
    "=>"
    "  %s = Add@14(%x, %b)"
    "  %y = Gelu@20(%s)",

    "rule fast_gelu"
    "  %y = com.microsoft.FastGelu(%x)"
    "=>"
    "  %y = Gelu@20(%x) {approximate = 'tanh'}",

    "rule fast_gelu_bias"
    "  %y = com.microsoft.FastGelu(%x, %b)"
    "=>"
    "  %s = Add@14(%x, %b)"
    "  %y = Gelu@20(%s) {approximate = 'tanh'}",

    /* --- normalisation over the last axis --- */

    "rule softmax"
    "  %m = ReduceMax(%x: f32, last) {keepdims = 1?}"
    "  %d = Sub(%x, %m)"
    "  %e = Exp(%d)"
    "  %s = ReduceSum(%e, last) {keepdims = 1?}"
    "  %y = Div(%e, %s)"
    "=>"
    "  %y = Softmax@13(%x) {axis = -1}",

    "rule layer_norm"
    "  %m = ReduceMean(%x: f32, last) {keepdims = 1?}"
    "  %d = Sub(%x, %m)"
    "  %q = Pow(%d, 2) | Mul(%d, %d)"
    "  %v = ReduceMean(%q, last) {keepdims = 1?}"
    "  %e = Add(%v, number %epsilon)"
    "  %s = Sqrt(%e) | Pow(%e, 0.5)"
    "  %r = Reciprocal(%s) | Div(1, %s) | Pow(%e, -0.5)"
    "  %n = Div(%d, %s)"
    "  %g = Mul(%n, %w) | Mul(%d, %r, %w)"
    "  %y = Add(%g, %b)"
    "  where row(%w, %x), row(%b, %x)"
    "=>"
    "  %y = LayerNormalization@17(%x, %w, %b) {axis = -1, epsilon = %epsilon}",

    "rule layer_norm_no_bias"
    "  %m = ReduceMean(%x: f32, last) {keepdims = 1?}"
    "  %d = Sub(%x, %m)"
    "  %q = Pow(%d, 2) | Mul(%d, %d)"
    "  %v = ReduceMean(%q, last) {keepdims = 1?}"
    "  %e = Add(%v, number %epsilon)"
    "  %s = Sqrt(%e) | Pow(%e, 0.5)"
    "  %r = Reciprocal(%s) | Div(1, %s) | Pow(%e, -0.5)"
    "  %n = Div(%d, %s)"
    "  %y = Mul(%n, %w) | Mul(%d, %r, %w)"
    "  where row(%w, %x)"
    "=>"
    "  %y = LayerNormalization@17(%x, %w) {axis = -1, epsilon = %epsilon}",

    "rule layer_norm_factored" /* x k + (b - mean k) with k = w / sqrt(variance + epsilon), as TensorFlow writes it */
    "  %m = ReduceMean(%x: f32, last) {keepdims = 1?}"
    "  %d = Sub(%x, %m)"
    "  %q = Pow(%d, 2) | Mul(%d, %d)"
    "  %v = ReduceMean(%q, last) {keepdims = 1?}"
    "  %e = Add(%v, number %epsilon)"
    "  %s = Sqrt(%e)"
    "  %r = Reciprocal(%s) | Div(1, %s) | Pow(%e, -0.5)"
    "  %k = Mul(%r, %w) | Div(%w, %s)"
    "  %a = Mul(%x, %k)"
    "  %c = Mul(%m, %k)"
    "  %t = Sub(%b, %c)"
    "  %y = Add(%a, %t)"
    "  where row(%w, %x), row(%b, %x)"
    "=>"
    "  %y = LayerNormalization@17(%x, %w, %b) {axis = -1, epsilon = %epsilon}",

    "rule rms_norm"
    "  %q = Pow(%x: f32, 2) | Mul(%x: f32, %x)"
    "  %v = ReduceMean(%q, last) {keepdims = 1?}"
    "  %e = Add(%v, number %epsilon)"
    "  %s = Sqrt(%e) | Pow(%e, 0.5)"
    "  %r = Reciprocal(%s) | Div(1, %s) | Pow(%e, -0.5)"
    "  %n = Div(%x, %s)"
    "  %y = Mul(%n, %w) | Mul(%x, %r, %w)"
    "  where row(%w, %x)"
    "=>"
    "  %y = RMSNormalization@23(%x, %w) {axis = -1, epsilon = %epsilon}",

    /* --- products: between a Reshape to rows and one back they need neither, and what follows can join them --- */

    "rule gemm"
    "  %y = Gemm(%a: f32, %b) {transA = 0?, transB = 0?, alpha = 1?}"
    "=>"
    "  %y = MatMul@13(%a, %b)",

    "rule gemm_transposed" /* the Transpose becomes an attribute of the product */
    "  %y = Gemm(%a: f32, %b) {transA = 0?, transB = 1, alpha = 1?}"
    "=>"
    "  %t = Transpose@13(%b)"
    "  %y = MatMul@13(%a, %t)",

    "rule gemm_bias"
    "  %y = Gemm(%a: f32, %b, %c) {transA = 0?, transB = 0?, alpha = 1?, beta = 1?}"
    "=>"
    "  %p = MatMul@13(%a, %b)"
    "  %y = Add@14(%p, %c)",

    "rule gemm_bias_transposed"
    "  %y = Gemm(%a: f32, %b, %c) {transA = 0?, transB = 1, alpha = 1?, beta = 1?}"
    "=>"
    "  %t = Transpose@13(%b)"
    "  %p = MatMul@13(%a, %t)"
    "  %y = Add@14(%p, %c)",

    "rule rows_matmul"
    "  %r = Reshape(%x: f32, %to)"
    "  %p = MatMul(%r, %w)"
    "  %y = Reshape(%p, %back)"
    "  where columns(%x, %r), matrix(%w)"
    "=>"
    "  %y = MatMul@13(%x, %w)",

    "rule rows_matmul_bias"
    "  %r = Reshape(%x: f32, %to)"
    "  %p = MatMul(%r, %w)"
    "  %s = Add(%p, %b)"
    "  %y = Reshape(%s, %back)"
    "  where columns(%x, %r), matrix(%w), row(%b, %y)"
    "=>"
    "  %m = MatMul@13(%x, %w)"
    "  %y = Add@14(%m, %b)",

    /*
     * --- attention: the products around a softmax become mbr.Attention, which takes in the Transposes and factors of
     * its inputs and the Transpose behind it, one by one ---
     */

    "rule attention" SCORES MASK
    "  %w = Softmax(%m) {axis = last}"
    "  %y = MatMul(%w, %v)"
    "=>"
    "  %y = mbr.Attention@1(%q, %k, %v, %mask?) {scale = %by / %over * %kby / %kover, k_axes = %p}",

    "rule attention_clean" SCORES MASK /* PyTorch's: a row without any key becomes zeros */
    "  %s1 = Softmax(%m) {axis = last}"
    "  %nan = IsNaN(%s1)"
    "  %w = Where(%nan, 0, %s1)"
    "  %y = MatMul(%w, %v)"
    "=>"
    "  %y = mbr.Attention@1(%q, %k, %v, %mask?)"
    "         {scale = %by / %over * %kby / %kover, k_axes = %p, clean = 1}",

    "rule attention_two_masks" SCORES
    "  %m1 = Add(%c, %mask)"
    "  %m = Add(%m1, %more)"
    "  %w = Softmax(%m) {axis = last}"
    "  %y = MatMul(%w, %v)"
    "=>"
    "  %both = Add@14(%mask, %more)"
    "  %y = mbr.Attention@1(%q, %k, %v, %both) {scale = %by / %over * %kby / %kover, k_axes = %p}",

    "rule attention_where" SCORES /* a number so low that what it replaces does not count could as well be added */
    "  %m = Where(%seen, %c, number %low)"
    "  %w = Softmax(%m) {axis = last}"
    "  %y = MatMul(%w, %v)"
    "  where low(%low)"
    "=>"
    "  %mask = Where@16(%seen, 0, %low)"
    "  %y = mbr.Attention@1(%q, %k, %v, %mask) {scale = %by / %over * %kby / %kover, k_axes = %p}",

    "rule attention_where_mask" SCORES
    "  %m1 = Where(%seen, %c, number %low)"
    "  %m = Add(%m1, %more)"
    "  %w = Softmax(%m) {axis = last}"
    "  %y = MatMul(%w, %v)"
    "  where low(%low)"
    "=>"
    "  %mask = Where@16(%seen, 0, %low)"
    "  %both = Add@14(%mask, %more)"
    "  %y = mbr.Attention@1(%q, %k, %v, %both) {scale = %by / %over * %kby / %kover, k_axes = %p}",

    "rule attention_filled" SCORES
    "  %m = Where(%hidden, number %low, %c)"
    "  %w = Softmax(%m) {axis = last}"
    "  %y = MatMul(%w, %v)"
    "  where low(%low)"
    "=>"
    "  %mask = Where@16(%hidden, %low, 0)"
    "  %y = mbr.Attention@1(%q, %k, %v, %mask) {scale = %by / %over * %kby / %kover, k_axes = %p}",

    "rule attention_q"
    "  %q = Transpose(%x) {perm = %p}"
    "  %y = mbr.Attention(%q, %k, ...) {q_axes = %a?}"
    "=>"
    "  %y = mbr.Attention@1(%x, %k, ...) {..., q_axes = %p[%a]}",

    "rule attention_k"
    "  %k = Transpose(%x) {perm = %p}"
    "  %y = mbr.Attention(%q, %k, ...) {k_axes = %a?}"
    "=>"
    "  %y = mbr.Attention@1(%q, %x, ...) {..., k_axes = %p[%a]}",

    "rule attention_v"
    "  %v = Transpose(%x) {perm = %p}"
    "  %y = mbr.Attention(%q, %k, %v, ...) {v_axes = %a?}"
    "=>"
    "  %y = mbr.Attention@1(%q, %k, %x, ...) {..., v_axes = %p[%a]}",

    "rule attention_y"
    "  %t = mbr.Attention(%q, ...) {y_axes = %a?}"
    "  %y = Transpose(%t) {perm = %p}"
    "=>"
    "  %y = mbr.Attention@1(%q, ...) {..., y_axes = %a[%p]}",

    "rule attention_scaled_q"
    "  %q = Mul(%x, number %by) | Div(%x, number %over)"
    "  %y = mbr.Attention(%q, %k, ...) {scale = %s}"
    "=>"
    "  %y = mbr.Attention@1(%x, %k, ...) {..., scale = %s * %by / %over}",

    "rule attention_scaled_rows" /* before the heads were told apart */
    "  %m = Mul(%x, number %by) | Div(%x, number %over)"
    "  %q = Reshape(%m, %to)"
    "  %y = mbr.Attention(%q, %k, ...) {scale = %s}"
    "=>"
    "  %r = Reshape@14(%x, %to)"
    "  %y = mbr.Attention@1(%r, %k, ...) {..., scale = %s * %by / %over}",

    "rule attention_scaled_k"
    "  %k = Mul(%x, number %by) | Div(%x, number %over)"
    "  %y = mbr.Attention(%q, %k, ...) {scale = %s}"
    "=>"
    "  %y = mbr.Attention@1(%q, %x, ...) {..., scale = %s * %by / %over}",

    "rule attention_groups" /* keys and values that were repeated for the query heads that share them */
    "  %u = Unsqueeze(%x, 2)"
    "  %e = Expand(%u, %shape)"
    "  %k = Reshape(%e, %to)"
    "  %t = Unsqueeze(%z, 2)"
    "  %f = Expand(%t, %shape2)"
    "  %v = Reshape(%f, %to2)"
    "  %y = mbr.Attention(%q, %k, %v, ...)"
    "  where" REPEATED("%x", "%e", "%k") "," REPEATED("%z", "%f", "%v")
    "=>"
    "  %y = mbr.Attention@1(%q, %x, %z, ...) {...}",

    /* --- rotary positions: the halves of each head change places, one of them negated --- */

    "rule rotary"
    "  %lo = Slice(%x: f32, 0, %middle, %axis, 1) | Slice(%x: f32, 0, %middle, %axis)"
    "  %hi = Slice(%x, %middle, %end, %axis, 1) | Slice(%x, %middle, %end, %axis)"
    "  %n = Neg(%hi)"
    "  %h = Concat(%n, %lo) {axis = last}"
    "  %a = Mul(%x, %cos)"
    "  %b = Mul(%h, %sin)"
    "  %y = Add(%a, %b)"
    "  where %lo.-1 = %hi.-1, %h.-1 = %x.-1"
    "=>"
    "  %y = mbr.Rotary@1(%x, %cos, %sin)",

    "rule rotary_pairs" /* ... or neighbours, as GPT-J and RoFormer have it */
    "  %even = Slice(%x: f32, 0, %end, last, 2)"
    "  %odd = Slice(%x, 1, %end2, last, 2)"
    "  %n = Neg(%odd)"
    "  %u = Unsqueeze(%n, %at) | Unsqueeze(%n)"
    "  %v = Unsqueeze(%even, %at2) | Unsqueeze(%even)"
    "  %p = Concat(%u, %v) {axis = last}"
    "  %h = Reshape(%p, %to)"
    "  %a = Mul(%x, %cos)"
    "  %b = Mul(%h, %sin)"
    "  %y = Add(%a, %b)"
    "  where %p.-1 = 2, %p.-2 = %odd.-1, %even.-1 = %odd.-1, %h.-1 = %x.-1"
    "=>"
    "  %y = mbr.Rotary@1(%x, %cos, %sin) {interleaved = 1}",

    "rule rotary_x"
    "  %x = Transpose(%t) {perm = %p}"
    "  %y = mbr.Rotary(%x, %c, ...) {axes = %a?}"
    "=>"
    "  %y = mbr.Rotary@1(%t, %c, ...) {..., axes = %p[%a]}",

    /* --- Transposes --- */

    "rule transposes"
    "  %t = Transpose(%x) {perm = %p}"
    "  %y = Transpose(%t) {perm = %r}"
    "=>"
    "  %y = Transpose@13(%x) {perm = %p[%r]}",

    "rule transposed_matrices" /* PyTorch's way to swap the last two axes, all others made one meanwhile */
    "  %r = Reshape(%x, %to)"
    "  %t = Transpose(%r) {perm = [0, 2, 1]}"
    "  %y = Reshape(%t, %back)"
    "  where %x.rank = 4, %x.-1 = %r.-1, %x.-2 = %r.-2"
    "=>"
    "  %y = Transpose@13(%x) {perm = [0, 1, 3, 2]}",

    "rule split_heads" /* (rows, batch x heads, size) to (batch, heads, rows, size) */
    "  %t = Transpose(%x) {perm = [1, 0, 2]}"
    "  %y = Reshape(%t, %to)"
    "  where %y.rank = 4, %y.-1 = %t.-1, %y.-2 = %t.-2"
    "=>"
    "  %r = Reshape@14(%x, [0, -1, %y.1, %y.3])"
    "  %y = Transpose@13(%r) {perm = [1, 2, 0, 3]}",

    "rule split_heads_last" /* ... to (batch, heads, size, rows) */
    "  %t = Transpose(%x) {perm = [1, 2, 0]}"
    "  %y = Reshape(%t, %to)"
    "  where %y.rank = 4, %y.-1 = %t.-1, %y.-2 = %t.-2"
    "=>"
    "  %r = Reshape@14(%x, [0, -1, %y.1, %y.2])"
    "  %y = Transpose@13(%r) {perm = [1, 2, 3, 0]}",

    /* --- what changes nothing --- */

    "rule one"
    "  %y = Mul(%x, 1) | Div(%x, 1) | Pow(%x, 1)"
    "=>"
    "  %y = %x",

    "rule zero" /* x + 0 may change the sign of zero */
    "  %y = Sub(%x, 0)"
    "=>"
    "  %y = %x",

    NULL
};
