# SPDX-License-Identifier: BSD-2-Clause
"""Reductions, norms, products and quantisation."""
import numpy as np

from draw import SMALL, elem_type, is_float
from nodes import F32, Node, op


# --- reductions and the like ---

def plain_types(d):
    """None: all; on integers everybody rounds and wraps on another way."""
    if d.schema.name in ("ReduceSum", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL1"):
        return None
    return [np.float32, np.float64, np.float16]


@op("ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL1", "ReduceL2", "ReduceSumSquare",
    "ReduceLogSum", "ReduceLogSumExp")
def reduce(d):
    shape = d.shape(high=5)
    x = d.tensor(shape, d.type("T", plain_types(d)))
    if d.schema.name == "ReduceLogSum":
        x = np.abs(x)
    if d.schema.name == "ReduceProd":  # in which order nothing meets infinity is nobody's promise
        x = d.plain(shape, d.type("T"), -1.5, 1.5)
    axes = d.axes(x.ndim, 0, d.since >= 11)
    attrs = {"keepdims": d.maybe(d.int(0, 1))}
    as_input = d.since >= (13 if d.schema.name == "ReduceSum" else 18)
    if not as_input:
        return Node([x], {**attrs, "axes": d.maybe(axes, 0.8) if axes else None})
    attrs["noop_with_empty_axes"] = d.maybe(d.int(0, 1), 0.2)
    return Node([x, d.maybe(d.ints(*axes), 0.8)], attrs, fixed=(1,))


@op("ArgMax", "ArgMin")
def arg(d):
    x = d.tensor(d.shape(low=1, empty=0), d.type("T"), kind=d.pick("plain", "ties"))
    return Node([x], {"axis": d.axis(x.ndim, d.since >= 11), "keepdims": d.maybe(d.int(0, 1)),
                      "select_last_index": d.maybe(d.int(0, 1)) if d.since >= 12 else None})


@op("TopK")
def top_k(d):
    shape = d.shape(low=1, empty=0)
    axis = d.axis(len(shape), d.since >= 11)
    k = d.int(0 if d.since >= 10 else 1, shape[axis])
    x = d.tensor(shape, d.type("T"), kind="plain")
    if d.since < 10:
        return Node([x], {"axis": axis, "k": k}, 2)
    attrs = {"largest": d.maybe(d.int(0, 1))} if d.since >= 11 else {}
    return Node([x, d.ints(k)], {"axis": axis, **attrs}, 2, fixed=(1,))


@op("CumSum", "CumProd")
def cumulative(d):
    shape = d.shape(low=1)
    x = d.tensor(shape, d.type("T"), -1.5, 1.5)
    return Node([x, np.array(d.axis(x.ndim), d.type("T2"))],
                {"exclusive": d.maybe(d.int(0, 1)), "reverse": d.maybe(d.int(0, 1))}, fixed=(1,))


@op("Softmax", "LogSoftmax", "Hardmax")
def softmax(d):
    # the reference knows version 13 only, the runtime no doubles there
    x = d.tensor(d.shape(low=1), d.type("T", None if d.since >= 13 else [F32]), -8, 8,
                 "plain" if d.schema.name == "Hardmax" else None)
    return Node([x], {"axis": d.maybe(d.axis(x.ndim, d.since >= 11)) if x.ndim > 1 or d.since >= 13 else 0})


@op("LpNormalization")
def lp_normalization(d):
    x = d.tensor(d.shape(low=1), d.type("T"))
    return Node([x], {"axis": d.axis(x.ndim), "p": d.pick(1, 2)})


@op("MeanVarianceNormalization")
def mvn(d):
    if d.kind != "plain":  # the runtime's halves lose variances of zero
        d.type("T", [F32, np.float64])
    x = d.tensor(d.shape(rank=4, empty=0), d.type("T"))
    return Node([x], {"axes": d.maybe(sorted(d.axes(4, 1, False)))})


# --- normalisation ---

def stash(d, t, attrs):
    """The attributes with a stash_type, and what it costs: it is f32 unless somebody says otherwise."""
    if t is not np.float64:
        return {"attrs": attrs}
    exact = d.chance(0.5)
    return {"attrs": {**attrs, "stash_type": 11 if exact else None}, "rtol": 0.0 if exact else 1e-5}


@op("LayerNormalization")
def layer_norm(d):
    t = d.type("T")
    x = d.tensor(d.shape(low=1, empty=0), t)
    axis = d.axis(x.ndim)
    inner = list(x.shape[axis:])
    return Node([x, d.tensor(inner, t), d.maybe(d.tensor(inner, t))],
                **stash(d, t, {"axis": axis, "epsilon": d.maybe(1e-3)}))


@op("RMSNormalization")
def rms_norm(d):
    x = d.tensor(d.shape(low=1, empty=0), d.type("T", [np.float32, np.float64, np.float16]))
    axis = d.axis(x.ndim)
    return Node([x, d.tensor(list(x.shape[axis:]), d.type("V", [d.type("T")]))],
                **stash(d, d.type("T"), {"axis": axis, "epsilon": d.maybe(1e-3)}))


@op("InstanceNormalization")
def instance_norm(d):
    x = d.tensor(d.shape(low=3, empty=0), d.type("T"))
    return Node([x, d.tensor([x.shape[1]], d.type("T")), d.tensor([x.shape[1]], d.type("T"))], {"epsilon": d.maybe(1e-3)})


@op("GroupNormalization")
def group_norm(d):
    groups, each = d.int(1, 4), d.int(1, 4)
    c = groups * each
    t = d.type("T")
    x = d.tensor([d.int(1, 3), c] + d.shape(low=1, high=2, empty=0), t)
    n = c if d.since >= 21 else groups
    attrs = {"num_groups": groups, "epsilon": d.maybe(1e-3)}
    made = stash(d, t, attrs) if d.since >= 21 else {"attrs": attrs}
    return Node([x, d.tensor([n], t), d.tensor([n], t)], **made)


@op("BatchNormalization")
def batch_norm(d):
    t = d.type("T")
    x = d.tensor(d.shape(low=2, empty=0), t)
    c = x.shape[1]
    u = d.type("T1", [t]) if d.since >= 15 else t
    v = d.type("T2", [t]) if d.since >= 15 else t
    attrs = {"epsilon": d.maybe(1e-3)}
    if d.since < 7:
        attrs["is_test"] = 1
    return Node([x, d.tensor([c], u), d.tensor([c], u), d.tensor([c], v), np.abs(d.tensor([c], v)) + v(0.25)], attrs)


@op("LRN")
def lrn(d):
    x = d.plain(d.shape(rank=4, empty=0), d.type("T", [F32]))  # the reference mixes up its axes
    return Node([x], {"size": d.pick(1, 3, 5), "alpha": d.maybe(0.01), "beta": d.maybe(0.5), "bias": d.maybe(2.0)})


# --- products ---

@op("MatMul")
def matmul(d):
    t = d.type("T")
    m, k, n = d.size(0.02), d.size(0.02), d.size(0.02)
    a, b = d.pair(high=2, most=16)
    kind = d.pick("both", "both", "both", "left", "right", "dot")
    x = a + [m, k] if kind in ("both", "left") else [k]
    y = b + [k, n] if kind in ("both", "right") else [k]
    return Node([d.tensor(x, t), d.tensor(y, t)])


@op("Gemm")
def gemm(d):
    t = d.type("T")
    if not is_float(t):  # the reference goes through floats
        d.kind = "plain"
    m, k, n = d.size(0.02), d.size(), d.size(0.02)
    ta, tb = d.int(0, 1), d.int(0, 1)
    c = d.tensor(d.broadcast([m, n]) if d.since >= 7 else [m, n], t)
    attrs = {"transA": ta, "transB": tb, "alpha": d.maybe(d.pick(0.5, 2.0)), "beta": d.maybe(d.pick(0.5, 2.0))}
    if not is_float(t):
        attrs["alpha"] = attrs["beta"] = None
    return Node([d.tensor([k, m] if ta else [m, k], t), d.tensor([n, k] if tb else [k, n], t),
                 d.maybe(c) if d.since >= 11 else c], attrs)


@op("Einsum")
def einsum(d):
    t = d.type("T", [np.float32, np.float64, np.int32, np.int64])
    sizes = {c: d.int(1, 6) for c in "abcde"}
    terms = ["".join(d.r.sample("abcde", d.int(0, 3))) for _ in range(d.int(1, 3))]
    seen = sorted(set("".join(terms)))
    out = "".join(d.r.sample(seen, d.int(0, len(seen))))
    equation = ",".join(terms) + d.pick("->" + out, "->" + out, "")
    # a factor may go inside the sum or stay outside: infinities tell the two apart
    return Node([d.plain([sizes[c] for c in s], t) for s in terms], {"equation": equation})


@op("Det")
def det(d):
    n = d.int(1, 5)
    return Node([d.plain(d.shape(high=2, empty=0) + [n, n], d.type("T", [np.float32, np.float64]))])


@op("MatMulInteger")
def matmul_integer(d):
    a, b = d.type("T1"), d.type("T2")
    m, k, n = d.size(), d.size(), d.size()
    batch = d.shape(high=1)
    x, w = d.tensor(batch + [m, k], a, -128, 255), d.tensor([k, n], b, -128, 255)
    zx = d.maybe(d.tensor(d.pick([], [1]), a, 0, 20, "plain"))
    zw = d.maybe(d.tensor(d.pick([], [n]), b, 0, 20, "plain"))
    return Node([x, w, zx, zw])


@op("QLinearMatMul")
def qlinear_matmul(d):
    a, b, c = d.type("T1", [np.int8, np.uint8]), d.type("T2", [np.int8, np.uint8]), d.type("T3", [np.int8, np.uint8])
    m, k, n = d.size(), d.size(), d.size()
    f = d.type("TS", [F32]) if d.since >= 21 else F32
    s = lambda: np.array(d.pick(0.01, 0.02, 0.1), f)
    per = d.chance(0.3)
    sb = np.abs(d.plain([n], f, 0.01, 0.1)) if per else s()
    zb = d.tensor([n] if per else [], b, 0, 9, "plain")
    return Node([d.tensor([m, k], a, -128, 255), s(), d.tensor([], a, 0, 9, "plain"), d.tensor([k, n], b, -128, 255), sb,
                 zb, s() * f(5), d.tensor([], c, 0, 9, "plain")], slack=1)


# --- quantisation ---

def quantised(d):
    """The types that later versions added."""
    types = list(SMALL.values())
    return (types[:4] if d.since >= 19 else []) + ([np.int16, np.uint16, *types[6:8]] if d.since >= 21 else []) + \
        (types[5:6] if d.since >= 23 else []) + (types[8:] if d.since >= 25 else [])


def zeros(d, shape, q):
    """Zero points: only 0 for floats."""
    return np.zeros(shape, q) if "float" in np.dtype(q).name else d.tensor(shape, q, 0, 9, "plain")


@op("QuantizeLinear")
def quantize(d):
    shape = d.shape(low=1, empty=0)
    t = d.type("T1", [np.float32, np.float16, np.int32]) if d.since >= 13 else F32
    q = d.pick(np.int8, np.uint8, *quantised(d))
    axis = d.axis(len(shape), d.since >= 13)
    per = d.since >= 13 and d.chance(0.5)
    st = t if t is not np.int32 else F32
    if d.since < 19 or d.since >= 23:
        st = F32 if t is np.int32 else t
    scale = np.abs(d.plain([shape[axis]] if per else [], F32, 0.05, 0.3)).astype(st)
    zero = d.maybe(zeros(d, list(scale.shape), q))
    attrs = {"axis": axis} if per else {}
    if zero is None and d.since >= 21 and d.chance(0.5):
            attrs["output_dtype"] = elem_type(np.zeros(1, q))
    kind = "plain" if d.kind in ("special", "large") else None
    return Node([d.tensor(shape, t, -20, 20, kind), scale, zero], attrs, slack=1)


@op("DequantizeLinear")
def dequantize(d):
    shape = d.shape(low=1, empty=0)
    q = d.pick(np.int8, np.uint8, np.int32, *quantised(d))
    axis = d.axis(len(shape), d.since >= 13)
    mode = d.pick("tensor", "axis", "block") if d.since >= 21 else d.pick("tensor", "axis") if d.since >= 13 else "tensor"
    attrs = {}
    if mode == "block":
        b = d.int(1, 4)
        shape[axis] = b * d.int(1, 4)
        s = list(shape)
        s[axis] //= b
        attrs = {"axis": axis, "block_size": b}
    elif mode == "axis":
        s, attrs = [shape[axis]], {"axis": axis}
    else:
        s = []
    t = d.pick(np.float32, np.float16) if d.since >= 19 else F32
    scale = np.abs(d.plain(s, F32, 0.05, 0.3)).astype(t)
    zero = None if q is np.int32 else d.maybe(zeros(d, s, q))
    return Node([d.tensor(shape, q, -128, 255), scale, zero], attrs)


@op("DynamicQuantizeLinear")
def dynamic_quantize(d):
    return Node([d.plain(d.shape(low=1, empty=0), F32)], {}, 3, slack=1)
