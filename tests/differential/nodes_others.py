# SPDX-License-Identifier: BSD-2-Clause
"""Losses, sequences, text, ai.onnx.ml and com.microsoft."""
import numpy as np

from nodes import F32, Node, op


# --- losses ---

@op("NegativeLogLikelihoodLoss", "SoftmaxCrossEntropyLoss")
def loss(d):
    t = d.type("T", [np.float32, np.float64])
    c = d.int(1, 6)
    inner = d.shape(high=2, empty=0)
    n = d.int(1, 4)
    x = d.plain([n, c] + inner, t)
    y = d.n.integers(0, c, [n] + inner).astype(d.type("Tind"))
    ignore = d.maybe(d.int(0, c - 1), 0.3) if c > 1 else None
    return Node([x, y, d.maybe(np.abs(d.plain([c], t)) + t(0.5))],
                {"reduction": d.pick("none", "sum", "mean"), "ignore_index": ignore})


# --- sequences ---

@op("SplitToSequence")
def split_to_sequence(d):
    shape = d.shape(low=1, empty=0)
    axis = d.axis(len(shape))
    x = d.tensor(shape, d.type("T", [np.float32, np.int64]))
    if d.chance(0.4):
        return Node([x, None], {"axis": axis, "keepdims": d.maybe(d.int(0, 1))})
    return Node([x, np.array(d.int(1, shape[axis]), np.int64)], {"axis": axis}, fixed=(1,))


@op("ConcatFromSequence")
def concat_from_sequence(d):
    shape = d.shape(low=1, empty=0)
    items = [d.tensor(shape, F32) for _ in range(d.int(1, 4))]
    stack = d.int(0, 1)
    return Node([items], {"axis": d.int(-len(shape) - stack, len(shape) - 1 + stack), "new_axis": stack})


@op("SequenceAt", "SequenceErase")
def sequence_at(d):
    items = [d.tensor(d.shape(), F32) for _ in range(d.int(1, 4))]
    n = len(items)
    return Node([items, np.array(d.int(-n, n - 1), np.int64)], fixed=(1,))


@op("SequenceInsert")
def sequence_insert(d):
    items = [d.tensor(d.shape(), F32) for _ in range(d.int(1, 4))]
    n = len(items)
    return Node([items, d.tensor(d.shape(), F32), d.maybe(np.array(d.int(-n, n), np.int64))], fixed=(2,))


@op("SequenceLength")
def sequence_length(d):
    return Node([[d.tensor(d.shape(), F32) for _ in range(d.int(1, 4))]])


# --- text ---

@op("StringConcat")
def string_concat(d):
    a, b = d.pair()
    return Node([d.tensor(a, np.object_), d.tensor(b, np.object_)])


@op("StringSplit")
def string_split(d):
    x = d.tensor(d.shape(empty=0, low=1), np.object_)
    delimiter = d.maybe(d.pick(" ", "e", "the"))
    if delimiter:  # Python says that "" has one piece then, the runtime none
        x[x == ""] = "a"
    return Node([x], {"delimiter": delimiter, "maxsplit": d.maybe(d.int(0, 2))}, 2)


@op("StringNormalizer")
def string_normalizer(d):
    return Node([d.tensor([d.int(1, 6)], np.object_)],
                {"case_change_action": d.maybe(d.pick("LOWER", "UPPER", "NONE")), "is_case_sensitive": d.maybe(d.int(0, 1)),
                 "stopwords": d.maybe(["the", "a"]), "locale": "C"})


# --- ai.onnx.ml ---

@op("Normalizer", domain="ai.onnx.ml")
def normalizer(d):
    return Node([d.plain(d.pick([d.int(1, 5), d.int(1, 6)], [d.int(1, 6)]), d.type("T"))],
                {"norm": d.maybe(d.pick("MAX", "L1", "L2"))})


@op("Scaler", domain="ai.onnx.ml")
def scaler(d):
    n = d.int(1, 6)
    k = d.pick(1, n)
    return Node([d.plain([d.int(1, 5), n], d.type("T"))], {"offset": [d.r.uniform(-1, 1) for _ in range(k)],
                                                      "scale": [d.r.uniform(-1, 1) for _ in range(k)]})


@op("Binarizer", domain="ai.onnx.ml")
def binarizer(d):
    return Node([d.tensor(d.shape(), d.type("T"))], {"threshold": d.maybe(0.5)})


@op("Imputer", domain="ai.onnx.ml")
def imputer(d):
    n = d.int(1, 5)
    x = d.plain([d.int(1, 4), n], d.type("T", [np.float32, np.int64]))
    if x.dtype == np.float32:
        x[d.n.random(x.shape) < 0.3] = np.nan
        return Node([x], {"imputed_value_floats": [0.5] * d.pick(1, n), "replaced_value_float": float("nan")})
    return Node([x], {"imputed_value_int64s": [7] * d.pick(1, n), "replaced_value_int64": 1})


@op("ArrayFeatureExtractor", domain="ai.onnx.ml")
def array_feature(d):
    n = d.int(1, 6)
    return Node([d.tensor([d.int(1, 4), n], d.type("T")), d.n.integers(0, n, [d.int(1, 5)]).astype(np.int64)])


@op("LabelEncoder", domain="ai.onnx.ml")
def label_encoder(d):
    x = d.tensor(d.shape(), np.int64)
    return Node([x], {"keys_int64s": [0, 1, 2], "values_strings": ["a", "b", "c"], "default_string": d.maybe("?")}
                if d.chance(0.5) else
                {"keys_int64s": [0, 1, 2], "values_floats": [0.5, 1.5, 2.5], "default_float": d.maybe(7.0)})


@op("LinearRegressor", domain="ai.onnx.ml")
def linear_regressor(d):
    n, k = d.int(1, 6), d.int(1, 4)
    return Node([d.plain([d.int(1, 5), n], F32)],
                {"coefficients": [d.r.uniform(-1, 1) for _ in range(n * k)], "targets": k,
                 "intercepts": d.maybe([d.r.uniform(-1, 1) for _ in range(k)]),
                 "post_transform": d.maybe(d.pick("NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO"))})


@op("LinearClassifier", domain="ai.onnx.ml")
def linear_classifier(d):
    n, k = d.int(1, 6), d.int(2, 4)
    return Node([d.plain([d.int(1, 5), n], F32)],
                {"coefficients": [d.r.uniform(-1, 1) for _ in range(n * k)], "classlabels_ints": list(range(k)),
                 "intercepts": [d.r.uniform(-1, 1) for _ in range(k)], "multi_class": d.maybe(d.int(0, 1)),
                 "post_transform": d.maybe(d.pick("NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO"))}, 2)


@op("TreeEnsembleRegressor", domain="ai.onnx.ml")
def tree_regressor(d):
    features, trees = d.int(1, 5), d.int(1, 4)
    modes = ["BRANCH_LEQ"] if d.chance(0.5) else ["BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ"]
    a = {k: [] for k in ("treeids", "nodeids", "featureids", "values", "modes", "truenodeids", "falsenodeids",
                         "missing_value_tracks_true")}
    targets = {k: [] for k in ("treeids", "nodeids", "ids", "weights")}
    for tree in range(trees):
        depth = d.int(0, 3)
        inner = 2 ** depth - 1
        for n in range(2 * inner + 1):
            leaf = n >= inner
            a["treeids"].append(tree)
            a["nodeids"].append(n)
            a["featureids"].append(0 if leaf else d.int(0, features - 1))
            a["values"].append(0.0 if leaf else d.pick(0.0, 1.0, d.r.uniform(-2, 2)))
            a["modes"].append("LEAF" if leaf else d.pick(*modes))
            a["truenodeids"].append(0 if leaf else 2 * n + 1)
            a["falsenodeids"].append(0 if leaf else 2 * n + 2)
            a["missing_value_tracks_true"].append(d.int(0, 1))
            if leaf:
                targets["treeids"].append(tree)
                targets["nodeids"].append(n)
                targets["ids"].append(0)
                targets["weights"].append(d.r.uniform(-1, 1))
    attrs = {"nodes_" + k: v for k, v in a.items()}
    attrs.update({"target_" + k: v for k, v in targets.items()})
    attrs["n_targets"] = 1
    attrs["aggregate_function"] = d.maybe(d.pick("SUM", "AVERAGE", "MIN", "MAX"))
    attrs["base_values"] = d.maybe([0.5])
    if d.since >= 5:
        attrs = {k: v for k, v in attrs.items() if v is not None}
    return Node([d.tensor([d.int(1, 40), features], F32)], attrs)


# --- com.microsoft ---

def contrib(*names):
    return op(*names, domain="com.microsoft")


@contrib("Gelu", "FastGelu", "QuickGelu")
def ms_gelu(d):
    return Node([d.tensor(d.shape(low=1), F32)], {"alpha": d.maybe(1.5)} if d.schema.name == "QuickGelu" else {})


@contrib("BiasGelu")
def bias_gelu(d):
    x = d.tensor(d.shape(low=1), F32)
    return Node([x, d.tensor([x.shape[-1]], F32)])


@contrib("FusedMatMul")
def fused_matmul(d):
    m, k, n = d.size(), d.size(), d.size()
    ta, tb = d.int(0, 1), d.int(0, 1)
    batch = d.shape(high=2, most=16, empty=0)
    return Node([d.tensor(batch + ([k, m] if ta else [m, k]), F32), d.tensor(batch + ([n, k] if tb else [k, n]), F32)],
                {"transA": ta, "transB": tb, "alpha": d.maybe(0.5)})


@contrib("FusedGemm")
def fused_gemm(d):
    m, k, n = d.size(), d.size(), d.size()
    return Node([d.tensor([m, k], F32), d.tensor([k, n], F32), d.tensor(d.broadcast([m, n]), F32)],
                {"activation": d.pick("Relu", "Sigmoid", "Tanh")})


@contrib("SkipLayerNormalization", "SkipSimplifiedLayerNormalization")
def skip_layer_norm(d):
    b, s, e = d.int(1, 3), d.int(1, 5), d.size()
    simple = d.schema.name != "SkipLayerNormalization"
    x = [d.tensor([b, s, e], F32), d.tensor([b, s, e], F32), d.tensor([e], F32)]
    if not simple:
        x.append(d.maybe(d.tensor([e], F32)))
        x.append(d.maybe(d.tensor([e], F32)))
    return Node(x, {"epsilon": 1e-3})


@contrib("QLinearAdd", "QLinearMul")
def qlinear_binary(d):
    t = d.pick(np.int8, np.uint8)
    a, b = d.pair()
    s = lambda: np.array(d.pick(0.01, 0.02, 0.1), F32)
    z = lambda: d.tensor([], t, 0, 9, "plain")
    return Node([d.tensor(a, t, -128, 255), s(), z(), d.tensor(b, t, -128, 255), s(), z(), s(), z()], slack=1)


@contrib("QLinearSigmoid", "QLinearLeakyRelu")
def qlinear_unary(d):
    t = d.pick(np.int8, np.uint8)
    s = lambda: np.array(d.pick(0.01, 0.02, 0.1), F32)
    z = lambda: d.tensor([], t, 0, 9, "plain")
    return Node([d.tensor(d.shape(), t, -128, 255), s(), z(), s(), z()], slack=1)


@contrib("DynamicQuantizeMatMul")
def dynamic_quantize_matmul(d):
    m, k, n = d.size(), d.size(), d.size()
    b = d.pick(np.int8, np.uint8)
    per = d.chance(0.5)
    return Node([d.plain([m, k], F32), d.tensor([k, n], b, -63, 63, "plain"), np.abs(d.plain([n] if per else [], F32, 0.01, 0.1)),
                 d.maybe(d.tensor([n] if per else [], b, 0, 9, "plain")), d.maybe(d.plain([n], F32))])


@contrib("MatMulIntegerToFloat")
def matmul_integer_to_float(d):
    m, k, n = d.size(), d.size(), d.size()
    a, b = np.uint8, d.pick(np.int8, np.uint8)
    # seven bits: without VNNI the runtime's sums of two products saturate
    return Node([d.tensor([m, k], a, 0, 255, "plain"), d.tensor([k, n], b, -63, 63, "plain"), np.array(0.02, F32), np.array(0.03, F32),
                 d.maybe(d.tensor([], a, 0, 9, "plain")), d.maybe(d.tensor([], b, 0, 9, "plain")), d.maybe(d.plain([n], F32))])


@contrib("MatMulNBits")
def matmul_nbits(d):
    k, n, block = d.pick(16, 32, 48, 64), d.int(1, 20), d.pick(16, 32)
    blocks = -(-k // block)
    b = d.tensor([n, blocks, block // 2], np.uint8, 0, 255, "special")
    scales = np.abs(d.plain([n * blocks], F32, 0.01, 0.1))
    zero = d.maybe(d.tensor([n * (-(-blocks // 2))], np.uint8, 0, 255, "special"))
    return Node([d.plain([d.int(1, 5), k], F32), b, scales, zero], {"K": k, "N": n, "bits": 4, "block_size": block},
                fixed=(1, 2, 3))
