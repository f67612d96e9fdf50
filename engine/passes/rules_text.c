/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The rules; rules.h tells how to read them. One that begins with the same operator as another is tried after those
 * above it. Each has a test of its name: tests/passes/rules_NAME.txt.
 */
#include "engine/passes/rules.h"

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
