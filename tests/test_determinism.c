/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The same bits by default: for one, two and three threads, for a row alone and in a batch of any size, run after run,
 * and whatever other shapes a session saw in between. One graph for each kernel family and way through it.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#include "tests/ir_text.h"

#include <stdarg.h>

#define MOST_TEAMS 3
#define LARGEST 33 /* the batch */

static mbr_memory memory;
static mbr_team *teams[MOST_TEAMS];
static mbr_error err;

static void setup(void)
{
    mbr_memory_init(&memory);
    for (int i = 1; i < MOST_TEAMS; i++)
        ck_assert_int_eq(mbr_team_new(&memory, i + 1, &teams[i], &err), MBR_OK);
}

static void teardown(void)
{
    for (int i = 1; i < MOST_TEAMS; i++)
        mbr_team_free(teams[i]);
    ck_assert_uint_eq(memory.in_use, 0);
}

/*
 * Graphs: n is the batch, the other symbols get sizes of their own. `$f[2, 3]`, `$u[..]` and `$s[..]` become types with
 * random numbers behind them (f32, u8, s8), `$t` the attributes of a random forest on eight columns.
 */
typedef struct family {
    const char *name, *text;
    bool batch_changes; /* the operator's meaning mixes the rows: threads and runs only */
} family;

#define IN(dims) "graph \"g\"(%x: f32[" dims "]) -> (%y) {\n"
#define CONV(dims, made, weights, attrs)                                                                                \
    IN(dims) "const %w = " weights "\n%y: f32[" made "] = ai.onnx.Conv@11(%x, %w) {" attrs "}\n}\n"
#define PADS1 "pads = [1, 1, 1, 1]"

static const family families[] = {
    { "product, wide", IN("n, 300") "const %w = $f[300, 260]\nconst %b = $f[260]\n"
      "%p: f32[n, 260] = ai.onnx.MatMul@13(%x, %w)\n%q: f32[n, 260] = ai.onnx.Add@7(%p, %b)\n"
      "%y: f32[n, 260] = ai.onnx.Relu@14(%q)\n}\n", false },
    { "product, narrow", IN("n, 2000") "const %w = $f[2000, 5]\n"
      "%y: f32[n, 5] = ai.onnx.MatMul@13(%x, %w)\n}\n", false },
    { "product, few k", IN("n, 3") "const %w = $f[3, 700]\n%y: f32[n, 700] = ai.onnx.MatMul@13(%x, %w)\n}\n", false },
    { "product, transposed", IN("n, 257") "const %w = $f[130, 257]\nconst %b = $f[130]\n"
      "%y: f32[n, 130] = ai.onnx.Gemm@13(%x, %w, %b) {transB = 1, alpha = f0.5}\n}\n", false },
    { "product, rows of sequences", IN("n, s, 96") "const %w = $f[96, 200]\n"
      "%y: f32[n, s, 200] = ai.onnx.MatMul@13(%x, %w)\n}\n", false },
    { "product, both run-time", "graph \"g\"(%a: f32[n, 3, 40, 65], %b: f32[n, 3, 65, 50]) -> (%y) {\n"
      "%y: f32[n, 3, 40, 50] = ai.onnx.MatMul@13(%a, %b)\n}\n", false },
    { "product, gelu", IN("n, 64") "const %w = $f[64, 256]\n%p: f32[n, 256] = ai.onnx.MatMul@13(%x, %w)\n"
      "%y: f32[n, 256] = ai.onnx.Gelu@20(%p)\n}\n", false },
    { "product, norm behind", IN("n, 128") "const %w = $f[128, 128]\nconst %s = $f[128]\n"
      "%p: f32[n, 128] = ai.onnx.MatMul@13(%x, %w)\n%q: f32[n, 128] = ai.onnx.Add@7(%p, %x)\n"
      "%y: f32[n, 128] = ai.onnx.LayerNormalization@17(%q, %s) {axis = -1}\n}\n", false },
    { "einsum", "graph \"g\"(%a: f32[n, 20, 30], %b: f32[n, 40, 30]) -> (%y) {\n"
      "%y: f32[n, 20, 40] = ai.onnx.Einsum@12(%a, %b) {equation = \"bik,bjk->bij\"}\n}\n", false },
    { "convolution 3x3", CONV("n, 24, 28, 28", "n, 32, 28, 28", "$f[32, 24, 3, 3]", PADS1), false },
    { "convolution 3x3, deep", CONV("n, 64, 14, 14", "n, 72, 14, 14", "$f[72, 64, 3, 3]", PADS1), false },
    { "convolution 1x1", CONV("n, 32, 15, 15", "n, 48, 15, 15", "$f[48, 32, 1, 1]", "group = 1"), false },
    { "convolution 1x1 and what follows", "graph \"g\"(%x: f32[n, 16, 12, 12], %r: f32[n, 40, 12, 12]) -> (%y) {\n"
      "const %w = $f[40, 16, 1, 1]\nconst %b = $f[40]\n%p: f32[n, 40, 12, 12] = ai.onnx.Conv@11(%x, %w, %b)\n"
      "%q: f32[n, 40, 12, 12] = ai.onnx.Add@7(%p, %r)\n%y: f32[n, 40, 12, 12] = ai.onnx.HardSwish@14(%q)\n}\n", false },
    { "convolution 5x5, stride 2", CONV("n, 8, 31, 31", "n, 24, 16, 16", "$f[24, 8, 5, 5]",
      "pads = [2, 2, 2, 2], strides = [2, 2]"), false },
    { "convolution, first layer", CONV("n, 3, 48, 48", "n, 16, 24, 24",
      "$f[16, 3, 3, 3]", PADS1 ", strides = [2, 2]"), false },
    { "convolution, depthwise", CONV("n, 40, 20, 20", "n, 40, 20, 20",
      "$f[40, 1, 3, 3]", PADS1 ", group = 40"), false },
    { "convolution, grouped", CONV("n, 32, 12, 12", "n, 32, 12, 12", "$f[32, 8, 3, 3]", PADS1 ", group = 4"), false },
    { "convolution, dilated", CONV("n, 16, 20, 20", "n, 16, 20, 20", "$f[16, 16, 3, 3]",
      "pads = [2, 2, 2, 2], dilations = [2, 2]"), false },
    { "convolution, few filters", CONV("n, 16, 40, 40", "n, 2, 40, 40", "$f[2, 16, 3, 3]", PADS1), false },
    { "convolution, 1-D", CONV("n, 40, 200", "n, 64, 200", "$f[64, 40, 3]", "pads = [1, 1]"), false },
    { "convolution, 3-D", CONV("n, 4, 8, 9, 10", "n, 12, 8, 9, 10", "$f[12, 4, 3, 3, 3]",
      "pads = [1, 1, 1, 1, 1, 1]"), false },
    { "convolution, free size", CONV("n, 8, h, h", "n, 16, h, h", "$f[16, 8, 3, 3]", PADS1), false },
    { "transposed convolution", IN("n, 12, 10, 10") "const %w = $f[12, 20, 4, 4]\n%y: f32[n, 20, 20, 20] = "
      "ai.onnx.ConvTranspose@11(%x, %w) {" PADS1 ", strides = [2, 2]}\n}\n", false },
    { "pools", IN("n, 20, 17, 17") "%a: f32[n, 20, 8, 8] = ai.onnx.MaxPool@12(%x) {kernel_shape = [3, 3], strides = [2, 2]}\n"
      "%b: f32[n, 20, 7, 7] = ai.onnx.AveragePool@11(%a) {kernel_shape = [2, 2]}\n"
      "%y: f32[n, 20, 1, 1] = ai.onnx.GlobalAveragePool@1(%b)\n}\n", false },
    { "pools in parts", IN("n, 72, 72, 40") "%a: f32[n, 1, 1, 40] = mbr.GlobalAveragePool@1(%x)\n"
      "%b: f32[n, 1, 1, 40] = mbr.GlobalMaxPool@1(%x)\n%y: f32[n, 1, 1, 40] = ai.onnx.Add@14(%a, %b)\n}\n", false },
    { "pools of large windows", IN("n, 6, 40, 40") "%a: f32[n, 6, 40, 40] = ai.onnx.LpPool@11(%x) {kernel_shape = [5, 5], "
      "pads = [2, 2, 2, 2]}\n%y: f32[n, 6, 1, 1] = ai.onnx.GlobalMaxPool@1(%a)\n}\n", false },
    { "resize, linear", IN("n, 10, 13, 17") "const %s = f32[4] {1, 1, 2.5, 1.5}\n"
      "%y: f32[n, 10, 32, 25] = ai.onnx.Resize@13(%x, _, %s) {mode = \"linear\"}\n}\n", false },
    { "resize, cubic", IN("n, 3, 20, 20") "const %s = f32[4] {1, 1, 1.7, 2}\n"
      "%y: f32[n, 3, 34, 40] = ai.onnx.Resize@13(%x, _, %s) {mode = \"cubic\"}\n}\n", false },
    { "resize, nearest", IN("n, 12, 11, 11") "const %s = f32[4] {1, 1, 2, 2}\n"
      "%y: f32[n, 12, 22, 22] = ai.onnx.Resize@13(%x, _, %s) {mode = \"nearest\"}\n}\n", false },
    { "attention", "graph \"g\"(%q: f32[n, 4, s, 32], %k: f32[n, 4, t, 32], %v: f32[n, 4, t, 32]) -> (%y) {\n"
      "%y: f32[n, 4, s, 32], _, _ = ai.onnx.Attention@23(%q, %k, %v)\n}\n", false },
    { "attention, causal, grouped", "graph \"g\"(%q: f32[n, 6, s, 16], %k: f32[n, 2, s, 16], %v: f32[n, 2, s, 16]) -> (%y) "
      "{\n%y: f32[n, 6, s, 16], _, _ = ai.onnx.Attention@23(%q, %k, %v) {is_causal = 1}\n}\n", false },
    { "attention, spelled out", "graph \"g\"(%q: f32[n, 4, s, 32], %k: f32[n, 4, 32, s], %v: f32[n, 4, s, 32]) -> (%y) {\n"
      "const %r = f32[] {0.1767767}\n%p: f32[n, 4, s, s] = ai.onnx.MatMul@13(%q, %k)\n"
      "%m: f32[n, 4, s, s] = ai.onnx.Mul@7(%p, %r)\n%e: f32[n, 4, s, s] = ai.onnx.Softmax@13(%m)\n"
      "%y: f32[n, 4, s, 32] = ai.onnx.MatMul@13(%e, %v)\n}\n", false },
    { "softmax", IN("n, 9, 211") "%y: f32[n, 9, 211] = ai.onnx.Softmax@13(%x)\n}\n", false },
    { "softmax, inner axis", IN("n, 21, 50") "%y: f32[n, 21, 50] = ai.onnx.Softmax@13(%x) {axis = 1}\n}\n", false },
    { "log softmax", IN("n, 1000") "%y: f32[n, 1000] = ai.onnx.LogSoftmax@13(%x)\n}\n", false },
    { "layer norm", IN("n, 7, 300") "const %s = $f[300]\nconst %b = $f[300]\n"
      "%y: f32[n, 7, 300] = ai.onnx.LayerNormalization@17(%x, %s, %b) {axis = -1}\n}\n", false },
    { "layer norm of long rows", IN("n, 70000") "const %s = $f[1]\n"
      "%y: f32[n, 70000] = ai.onnx.LayerNormalization@17(%x, %s) {axis = -1}\n}\n", false },
    { "rms norm", IN("n, 513") "const %s = $f[513]\n"
      "%y: f32[n, 513] = ai.onnx.RMSNormalization@23(%x, %s) {axis = -1}\n}\n", false },
    { "group norm", IN("n, 24, 19, 19") "const %s = $f[24]\nconst %b = $f[24]\n"
      "%y: f32[n, 24, 19, 19] = ai.onnx.GroupNormalization@21(%x, %s, %b) {num_groups = 4}\n}\n", false },
    { "instance norm", IN("n, 8, 33, 33") "const %s = $f[8]\nconst %b = $f[8]\n"
      "%y: f32[n, 8, 33, 33] = ai.onnx.InstanceNormalization@6(%x, %s, %b)\n}\n", false },
    { "batch norm alone", IN("n, 8, 15, 15") "const %s = $f[8]\nconst %v = f32[8] {1, 2, 3, 4, 5, 6, 7, 8}\n"
      "%y: f32[n, 8, 15, 15] = ai.onnx.BatchNormalization@15(%x, %s, %s, %s, %v)\n}\n", false },
    { "local response", IN("n, 12, 14, 14") "%y: f32[n, 12, 14, 14] = ai.onnx.LRN@13(%x) {size = 5}\n}\n", false },
    { "LSTM", IN("s, n, 24") "const %w = $f[1, 128, 24]\nconst %r = $f[1, 128, 32]\nconst %b = $f[1, 256]\n"
      "%y: f32[s, 1, n, 32], _, _ = ai.onnx.LSTM@14(%x, %w, %r, %b) {hidden_size = 32}\n}\n", false },
    { "LSTM, both ways", IN("s, n, 10") "const %w = $f[2, 80, 10]\nconst %r = $f[2, 80, 20]\n"
      "%y: f32[s, 2, n, 20], _, _ = ai.onnx.LSTM@14(%x, %w, %r) {hidden_size = 20, "
      "direction = \"bidirectional\"}\n}\n", false },
    { "GRU", IN("s, n, 17") "const %w = $f[1, 96, 17]\nconst %r = $f[1, 96, 32]\n"
      "%y: f32[s, 1, n, 32], _ = ai.onnx.GRU@14(%x, %w, %r) {hidden_size = 32}\n}\n", false },
    { "RNN", IN("s, n, 17") "const %w = $f[1, 40, 17]\nconst %r = $f[1, 40, 40]\n"
      "%y: f32[s, 1, n, 40], _ = ai.onnx.RNN@14(%x, %w, %r) {hidden_size = 40}\n}\n", false },
    { "trees", IN("n, 8") "%y: f32[n, 1] = ai.onnx.ml.TreeEnsembleRegressor@1(%x) {$t}\n}\n", false },
    { "linear", IN("n, 6") "%y: f32[n, 2] = ai.onnx.ml.LinearRegressor@1(%x) {coefficients = f[1, -2, 0.5, 3, 0.25, 7, "
      "0.1, 0.2, 0.3, 0.4, 0.5, 0.6], intercepts = f[1, 2], targets = 2}\n}\n", false },
    { "support vectors", IN("n, 3") "%y: f32[n, 1] = ai.onnx.ml.SVMRegressor@1(%x) {kernel_type = \"RBF\", kernel_params = "
      "f[0.5, 0, 3], n_supports = 5, coefficients = f[1, -1, 2, 0.3, -0.7], support_vectors = f[1, 2, 3, 0.1, 0.2, 0.3, -1, "
      "0, 1, 0.4, 0.5, 0.6, 2, -2, 0], rho = f[0.25]}\n}\n", false },
    { "sums", IN("n, 30, 1000") "const %a = i64[1] {2}\n"
      "%y: f32[n, 30] = ai.onnx.ReduceSum@13(%x, %a) {keepdims = 0}\n}\n", false },
    { "sums of columns", IN("n, 300, 40") "const %a = i64[1] {1}\n"
      "%y: f32[n, 40] = ai.onnx.ReduceMean@18(%x, %a) {keepdims = 0}\n}\n", false },
    { "sums of all but the batch", IN("n, 60, 500") "const %a = i64[2] {1, 2}\n"
      "%y: f32[n] = ai.onnx.ReduceSumSquare@18(%x, %a) {keepdims = 0}\n}\n", false },
    { "a sum of everything", IN("n, 4000") "%y: f32[] = ai.onnx.ReduceSum@13(%x) {keepdims = 0}\n}\n", true },
    { "a running sum", IN("n, 5000") "const %a = i64[] {1}\n%y: f32[n, 5000] = ai.onnx.CumSum@14(%x, %a)\n}\n", false },
    { "the largest", IN("n, 3000") "const %k = i64[1] {7}\n%y: f32[n, 7], _ = ai.onnx.TopK@11(%x, %k)\n}\n", false },
    { "a chain", IN("n, 37, 41") "const %c = $f[41]\n%a: f32[n, 37, 41] = ai.onnx.Mul@14(%x, %c)\n"
      "%b: f32[n, 37, 41] = ai.onnx.Exp@13(%a)\n%d: f32[n, 37, 41] = ai.onnx.Tanh@13(%b)\n"
      "%e: f32[n, 37, 41] = ai.onnx.Erf@13(%d)\n%f: f32[n, 37, 41] = ai.onnx.Sin@7(%e)\n"
      "%y: f32[n, 37, 41] = ai.onnx.Pow@15(%f, %f)\n}\n", false },
    { "activations", IN("n, 5001") "%a: f32[n, 5001] = ai.onnx.Sigmoid@13(%x)\n%b: f32[n, 5001] = ai.onnx.Softplus@1(%a)\n"
      "%c: f32[n, 5001] = ai.onnx.Mish@18(%b)\n%y: f32[n, 5001] = ai.onnx.Log@13(%c)\n}\n", false },
    { "a transform", IN("n, 100, 1") "%y: f32[n, 51, 2] = ai.onnx.DFT@17(%x) {onesided = 1}\n}\n", false },
    { "8-bit convolution", "graph \"g\"(%x: u8[n, 16, 14, 14]) -> (%y) {\nconst %w = $s[32, 16, 3, 3]\nconst %s = f32[] {0.05}\n"
      "const %z = u8[] {3}\nconst %o = i8[] {0}\nconst %t = f32[] {0.9}\n%y: u8[n, 32, 14, 14] = "
      "ai.onnx.QLinearConv@10(%x, %s, %z, %w, %s, %o, %t, %z) {" PADS1 "}\n}\n", false },
    { "8-bit product", "graph \"g\"(%x: u8[n, 200]) -> (%y) {\nconst %w = $s[200, 90]\nconst %s = f32[] {0.05}\n"
      "const %z = u8[] {3}\nconst %o = i8[] {0}\nconst %t = f32[] {0.9}\n%y: u8[n, 90] = "
      "ai.onnx.QLinearMatMul@10(%x, %s, %z, %w, %s, %o, %t, %z)\n}\n", false },
    { "a product quantised on the way", IN("n, 128") "const %w = $s[128, 65]\nconst %o = i8[] {0}\nconst %s = f32[] {0.01}\n"
      "%q: u8[n, 128], %a: f32[], %z: u8[] = ai.onnx.DynamicQuantizeLinear@11(%x)\n"
      "%i: i32[n, 65] = ai.onnx.MatMulInteger@10(%q, %w, %z, %o)\n%f: f32[n, 65] = ai.onnx.Cast@13(%i) {to = 1}\n"
      "%m: f32[] = ai.onnx.Mul@14(%a, %s)\n%y: f32[n, 65] = ai.onnx.Mul@14(%f, %m)\n}\n", true },
    { "4-bit product", IN("n, 64") "const %w = $u[48, 2, 16]\nconst %s = $f[96]\n"
      "%y: f32[n, 48] = com.microsoft.MatMulNBits@1(%x, %w, %s) {K = 64, N = 48, bits = 4, "
      "block_size = 32}\n}\n", false },
};

#define N_FAMILIES (int)(sizeof families / sizeof *families)

/* --- the text --- */

typedef struct builder {
    char *text;
    size_t size, room;
} builder;

MBR_PRINTF(2, 3) static void say(builder *b, const char *fmt, ...)
{
    va_list args;
    if (b->size + 65536 > b->room) {
        b->room = 2 * b->room + 131072;
        b->text = realloc(b->text, b->room);
        ck_assert_ptr_nonnull(b->text);
    }
    va_start(args, fmt);
    b->size += (size_t)vsnprintf(b->text + b->size, b->room - b->size, fmt, args);
    va_end(args);
}

/* "[2, 3]" behind a letter; returns where it ends. */
static const char *random_constant(builder *b, const char *at)
{
    char kind = *at++;
    const char *end = strchr(at, ']');
    long count = 1;
    for (const char *p = at + 1; p < end; p += strcspn(p, ",]") + 1)
        count *= strtol(p, NULL, 10);
    say(b, "%s%.*s {", kind == 'f' ? "f32" : kind == 'u' ? "u8" : "i8", (int)(end + 1 - at), at);
    for (long i = 0; i < count; i++) {
        if (kind == 'f')
            say(b, "%s%.5g", i ? ", " : "", (double)random_real() / 4);
        else
            say(b, "%s%d", i ? ", " : "", random_below(kind == 'u' ? 256 : 255) - (kind == 'u' ? 0 : 127));
    }
    say(b, "}");
    return end + 1;
}

#define TREES 40
#define INNER 31 /* nodes above the leaves of a whole tree of depth 5 */
#define NODES (2 * INNER + 1)

static void numbers(builder *b, const char *name, bool leaves_only, int (*of)(int tree, int node))
{
    say(b, "%s%s = [", strcmp(name, "nodes_treeids") ? ", " : "", name);
    for (int t = 0, first = 1; t < TREES; t++)
        for (int i = leaves_only ? INNER : 0; i < NODES; i++, first = 0)
            say(b, "%s%d", first ? "" : ", ", of(t, i));
    say(b, "]");
}

static int tree_of(int t, int i)
{
    return t + 0 * i;
}

static int node_of(int t, int i)
{
    return i + 0 * t;
}

static int feature_of(int t, int i)
{
    return i < INNER ? (t * 7 + i * 5) % 8 : 0;
}

static int yes_of(int t, int i)
{
    return i < INNER ? 2 * i + 1 + 0 * t : 0;
}

static int no_of(int t, int i)
{
    return i < INNER ? 2 * i + 2 + 0 * t : 0;
}

static int zero_of(int t, int i)
{
    return 0 * (t + i);
}

static void forest(builder *b)
{
    numbers(b, "nodes_treeids", false, tree_of);
    numbers(b, "nodes_nodeids", false, node_of);
    numbers(b, "nodes_featureids", false, feature_of);
    numbers(b, "nodes_truenodeids", false, yes_of);
    numbers(b, "nodes_falsenodeids", false, no_of);
    numbers(b, "target_treeids", true, tree_of);
    numbers(b, "target_nodeids", true, node_of);
    numbers(b, "target_ids", true, zero_of);
    say(b, ", n_targets = 1, nodes_values = f[");
    for (int i = 0; i < TREES * NODES; i++)
        say(b, "%s%.4g", i ? ", " : "", (double)random_real() / 2);
    say(b, "], nodes_modes = [");
    for (int i = 0; i < TREES * NODES; i++)
        say(b, "%s\"%s\"", i ? ", " : "", i % NODES < INNER ? "BRANCH_LEQ" : "LEAF");
    say(b, "], target_weights = f[");
    for (int i = 0; i < TREES * (NODES - INNER); i++)
        say(b, "%s%.6g", i ? ", " : "", (double)random_real());
    say(b, "]");
}

static char *text_of(const char *text)
{
    builder b = { 0 };
    say(&b, "module \"m\" ir 10 opset ai.onnx 23\n");
    while (*text) {
        size_t plain = strcspn(text, "$");
        say(&b, "%.*s", (int)plain, text);
        text += plain;
        if (*text != '$')
            break;
        if (text[1] == 't') {
            forest(&b);
            text += 2;
        } else {
            text = random_constant(&b, text + 1);
        }
    }
    return b.text;
}

/* --- runs --- */

#define MOST_INPUTS 3

static const ir_size sizes[] = { { "n", LARGEST }, { "s", 19 }, { "t", 70 }, { "h", 21 }, { 0 } };
static const ir_size others[] = { { "n", 5 }, { "s", 40 }, { "t", 11 }, { "h", 30 }, { 0 } };

/* The axis whose size is the symbol n; -1: none. */
static int batch_axis(const mbr_ir_module *m, const mbr_ir_value *v)
{
    char text[64];
    for (int d = 0; d < v->type.rank; d++) {
        mbr_dim_print(&m->dims, v->type.dims[d], text, sizeof text);
        if (strcmp(text, "n") == 0)
            return d;
    }
    return -1;
}

/* Rows first ... first + n of the batch axis, as a new value. */
static mbr_value *rows_of(const mbr_value *v, int axis, int64_t first, int64_t n)
{
    int64_t dims[MBR_MAX_RANK];
    mbr_value *out;
    memcpy(dims, v->dims, sizeof dims);
    dims[axis] = n;
    ck_assert_int_eq(mbr_value_create_tensor(&memory, v->dtype, v->rank, dims, &out, &err), MBR_OK);
    size_t outer = 1, inner = mbr_dtype_size(v->dtype);
    for (int d = 0; d < v->rank; d++)
        *(d < axis ? &outer : &inner) *= d == axis ? 1 : (size_t)v->dims[d];
    for (size_t o = 0; o < outer; o++)
        memcpy((char *)out->data + o * (size_t)n * inner,
               (const char *)v->data + (o * (size_t)v->dims[axis] + (size_t)first) * inner, (size_t)n * inner);
    return out;
}

static mbr_value *copy_of(const mbr_value *v)
{
    mbr_value *out;
    ck_assert_int_eq(mbr_value_create(&memory, v->kind, v->dtype, &out, &err), MBR_OK);
    ck_assert_int_eq(mbr_value_assign(out, v, &err), MBR_OK);
    return out;
}

/* The output; the caller's. */
static mbr_value *run(ir_session *s, mbr_value *const *inputs)
{
    for (size_t i = 0; i < s->m->main->n_inputs; i++)
        ck_assert_msg(mbr_frame_bind(s->f, i, inputs[i], &err) == MBR_OK, "%s", err.text);
    ck_assert_msg(mbr_frame_run(s->f, &err) == MBR_OK, "%s", err.text);
    return copy_of(mbr_frame_output(s->f, 0));
}

static bool same_bits(const mbr_value *a, const mbr_value *b)
{
    return a->rank == b->rank && memcmp(a->dims, b->dims, (size_t)a->rank * sizeof *a->dims) == 0 &&
           memcmp(a->data, b->data, mbr_value_bytes(a)) == 0;
}

/* Runs rows [first, first + n) alone and compares with what they were in the whole batch. */
static void check_rows(ir_session *s, const family *f, mbr_value *const *inputs, const mbr_value *due, int64_t first,
                       int64_t n, int threads)
{
    const mbr_ir_graph *g = s->m->main;
    mbr_value *part[MOST_INPUTS];
    int axis = batch_axis(s->m, g->outputs[0]);
    ck_assert_int_ge(axis, 0);
    for (size_t i = 0; i < g->n_inputs; i++)
        part[i] = rows_of(inputs[i], batch_axis(s->m, g->inputs[i]), first, n);
    mbr_value *got = run(s, part), *want = rows_of(due, axis, first, n);
    ck_assert_msg(same_bits(got, want), "%s: %lld rows from %lld are not what they are in a batch of %d (%d threads)",
                  f->name, (long long)n, (long long)first, LARGEST, threads);
    mbr_value_drop(got);
    mbr_value_drop(want);
    for (size_t i = 0; i < g->n_inputs; i++)
        mbr_value_drop(part[i]);
}

static void check_same(mbr_value *got, const mbr_value *due, const family *f, const char *what, int threads)
{
    ck_assert_msg(same_bits(got, due), "%s: other bits %s (%d threads)", f->name, what, threads);
    mbr_value_drop(got);
}

static void check_family(const family *f, const char *passes)
{
    char *text = text_of(f->text);
    mbr_value *inputs[MOST_INPUTS] = { 0 }, *other[MOST_INPUTS] = { 0 }, *due = NULL;
    size_t n_inputs = 0;
    for (int t = 0; t < MOST_TEAMS; t++) {
        ir_session s;
        ir_open(&s, &memory, teams[t], text, passes);
        if (!due) {
            n_inputs = s.m->main->n_inputs;
            ck_assert_uint_le(n_inputs, MOST_INPUTS);
            for (size_t i = 0; i < n_inputs; i++) {
                inputs[i] = ir_input(&memory, &s, i, sizes, 1);
                other[i] = ir_input(&memory, &s, i, others, 1);
                for (size_t k = 0; inputs[i]->dtype == MBR_DTYPE_U8 && k < mbr_value_count(inputs[i]); k++)
                    ((uint8_t *)inputs[i]->data)[k] = (uint8_t)random_below(256);
            }
            due = run(&s, inputs);
        } else {
            check_same(run(&s, inputs), due, f, "than of one thread", t + 1);
        }
        for (int i = 0; i < 3; i++)
            check_same(run(&s, inputs), due, f, "the next time", t + 1);
        mbr_value_drop(run(&s, other));
        check_same(run(&s, inputs), due, f, "after a run at other sizes", t + 1);
        for (int64_t i = 0; i < LARGEST && !f->batch_changes; i += 16)
            check_rows(&s, f, inputs, due, i, 1, t + 1);
        for (int64_t n = 2; n < LARGEST && !f->batch_changes; n = n * 2 + 1)
            check_rows(&s, f, inputs, due, LARGEST - n, n, t + 1);
        ir_close(&s);
    }
    for (size_t i = 0; i < n_inputs; i++) {
        mbr_value_drop(inputs[i]);
        mbr_value_drop(other[i]);
    }
    mbr_value_drop(due);
    free(text);
}

START_TEST(fused)
{
    random_seed(families[_i].name);
    check_family(&families[_i], "all");
}
END_TEST

START_TEST(as_it_is)
{
    random_seed(families[_i].name);
    check_family(&families[_i], "none");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("determinism");
    TCase *t = tcase_create("determinism");
    tcase_set_timeout(t, 120);
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_loop_test(t, fused, 0, N_FAMILIES);
    tcase_add_loop_test(t, as_it_is, 0, N_FAMILIES);
    suite_add_tcase(suite, t);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
