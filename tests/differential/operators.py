# SPDX-License-Identifier: BSD-2-Clause
"""Random nodes: one function for each family of operators.

A function takes a Draw and returns inputs (arrays, lists for sequences, None where absent), attributes, and how many
outputs there are. Inputs in `fixed` are numbers that say shapes or axes: more often constants than not.
"""
import numpy as np

from draw import FLOATS, TYPES, is_float

TABLE = {}  # name -> (domain, function)
F32 = np.float32


NO_TEXT = [t for t in TYPES.values() if t is not np.object_]


def op(*names, domain=""):
    def add(function):
        for name in names:
            TABLE[name] = (domain, function)
        return function
    return add


class Node:
    def __init__(self, inputs, attrs=None, outputs=1, fixed=(), slack=0):
        self.inputs, self.attrs, self.outputs = inputs, attrs or {}, outputs
        self.fixed, self.slack = fixed, slack


# --- elementwise ---

SIGNED = ("Abs", "Ceil", "Floor", "Neg", "Relu", "Round", "Sign", "Sin", "Sinh", "Asin", "Asinh", "Atan", "Atanh", "Tan", "Tanh",
          "Erf", "Sqrt", "Reciprocal", "Identity", "LeakyRelu", "Elu", "Clip", "Add", "Sub", "Mul", "Div", "Max", "Min",
          "Where", "PRelu", "Transpose", "Slice", "Concat", "Reshape", "Pad", "Gather", "Softsign", "ThresholdedRelu", "Selu",
          "HardSwish", "Mish", "Gelu", "Swish", "Shrink", "Sum", "ReduceMax", "ReduceMin", "Trilu", "Expand", "Tile")

@op("Abs", "Acos", "Acosh", "Asin", "Asinh", "Atan", "Atanh", "Ceil", "Cos", "Cosh", "Erf", "Exp", "Floor", "HardSwish",
    "IsNaN", "Log", "Mish", "Neg", "Not", "Reciprocal", "Relu", "Round", "Sigmoid", "Sign", "Sin", "Sinh",
    "Softplus", "Softsign", "Sqrt", "Tan", "Tanh", "BitwiseNot", "Identity", "Size")
def unary(d):
    return Node([d.tensor(d.shape(), d.input_type(0))])


@op("Elu", "LeakyRelu", "ThresholdedRelu", "Celu", "Swish")
def unary_alpha(d):
    return Node([d.tensor(d.shape(), d.input_type(0))], {"alpha": d.maybe(d.pick(0.25, 0.5, 1.0, 2.0))})


@op("Selu")
def selu(d):
    return Node([d.tensor(d.shape(), d.input_type(0))], {"alpha": d.maybe(1.5), "gamma": d.maybe(0.75)})


@op("HardSigmoid")
def hard_sigmoid(d):
    return Node([d.tensor(d.shape(), d.input_type(0))], {"alpha": d.maybe(0.25), "beta": d.maybe(0.375)})


@op("Gelu")
def gelu(d):
    return Node([d.tensor(d.shape(), d.input_type(0))], {"approximate": d.maybe(d.pick("none", "tanh"))})


@op("Shrink")
def shrink(d):
    return Node([d.tensor(d.shape(), d.input_type(0))], {"lambd": d.maybe(1.0), "bias": d.maybe(0.5)})


@op("IsInf")
def is_inf(d):
    return Node([d.tensor(d.shape(), d.input_type(0), kind="special")],
                {"detect_negative": d.maybe(d.int(0, 1)), "detect_positive": d.maybe(d.int(0, 1))})


@op("Clip")
def clip(d):
    t = d.input_type(0)
    x = d.tensor(d.shape(), t)
    low, high = (0, 2) if not is_float(t) else (-1.0, 1.5)
    if d.since < 11:
        return Node([x], {"min": d.maybe(low), "max": d.maybe(high)})
    return Node([x, d.maybe(np.array(low, t)), d.maybe(np.array(high, t))])


@op("Add", "Sub", "Mul", "And", "Or", "Xor", "Equal", "Greater", "Less", "GreaterOrEqual", "LessOrEqual",
    "BitwiseAnd", "BitwiseOr", "BitwiseXor")
def binary(d):
    a, b = d.pair()
    t = d.input_type(0)
    x, y = d.tensor(a, t), d.tensor(b, t)
    if d.since < 7 and d.schema.attributes.get("broadcast"):
        y = d.tensor(a, t)
    return Node([x, y])


@op("Div")
def divide(d):
    a, b = d.pair()
    t = d.input_type(0)
    y = d.tensor(b, t)
    if not is_float(t):
        y[y == 0] = 1
        if np.iinfo(t).min < 0:
            y[y == -1] = 2
    if d.since < 7:
        y = d.tensor(a, t)
        y[y == 0] = 1
    return Node([d.tensor(a, t), y])


@op("Mod")
def modulo(d):
    a, b = d.pair()
    t = d.input_type(0)
    y = d.tensor(b, t)
    y[y == 0] = 1
    if not is_float(t) and np.iinfo(t).min < 0:
        y[y == -1] = 2
    return Node([d.tensor(a, t), y], {"fmod": 1 if is_float(t) else d.maybe(d.int(0, 1))})


@op("Pow")
def power(d):
    a, b = d.pair()
    t = d.input_type(0)
    u = d.input_type(1) if d.since >= 12 else t
    x, y = d.tensor(a, t), d.tensor(b, u, -2, 3)
    if not is_float(t):
        x = d.tensor(a, t, -5, 5, "plain")
        y = np.abs(d.tensor(b, u, 0, 4, "plain"))
    if d.since < 7:
        y = d.tensor(a, t)
    return Node([x, y])


@op("BitShift")
def bit_shift(d):
    a, b = d.pair()
    t = d.input_type(0)
    return Node([d.tensor(a, t, 0, 100), d.tensor(b, t, 0, 7, "plain")], {"direction": d.pick("LEFT", "RIGHT")})


@op("PRelu")
def prelu(d):
    t = d.input_type(0)
    full = d.shape(low=1)
    slope = d.broadcast(full) if d.since >= 7 else [1]
    return Node([d.tensor(full, t), d.plain(slope, t)])


@op("Max", "Min", "Sum", "Mean")
def variadic(d):
    t = d.input_type(0)
    full = d.shape()
    n = d.int(1, 4)
    shapes = [full if d.since < 8 or d.chance(0.5) else d.broadcast(full) for _ in range(n)]
    return Node([d.tensor(s, t) for s in shapes])


@op("Where")
def where(d):
    full = d.shape()
    t = d.type("T")
    parts = [full if d.chance(0.5) else d.broadcast(full) for _ in range(3)]
    return Node([d.tensor(parts[0], np.bool_), d.tensor(parts[1], t), d.tensor(parts[2], t)])


@op("Cast", "CastLike")
def cast(d):
    source = d.type("T1", [t for t in TYPES.values() if t is not np.object_])
    to = d.type("T2", [t for t in TYPES.values() if t is not np.object_])
    x = d.tensor(d.shape(), source, -120 if not is_float(to) else -3, 120, None if is_float(to) else "plain")
    if is_float(source) and not is_float(to) and to is not np.bool_ and np.iinfo(to).min == 0:
        x = np.abs(x)
    if d.schema.name == "CastLike":
        return Node([x, d.tensor([1], to, kind="plain")])
    from draw import elem_type
    number = elem_type(np.zeros(1, to))
    if d.since < 6:
        from onnx import TensorProto
        return Node([x], {"to": TensorProto.DataType.Name(number)})
    return Node([x], {"to": number})


@op("BitCast")
def bit_cast(d):
    from draw import elem_type
    t = d.type("T1", [np.float32, np.int32, np.uint32, np.float64, np.int64, np.float16, np.int16])
    same = [u for u in (np.float32, np.int32, np.uint32, np.float64, np.int64, np.uint64, np.float16, np.int16)
            if np.dtype(u).itemsize == np.dtype(t).itemsize]
    return Node([d.tensor(d.shape(), t)], {"to": elem_type(np.zeros(1, d.pick(*same)))})


# --- movement ---

@op("Transpose")
def transpose(d):
    x = d.tensor(d.shape(high=6), d.type("T"))
    perm = list(range(x.ndim))
    d.r.shuffle(perm)
    return Node([x], {"perm": d.maybe(perm, 0.85) if perm else None})


@op("Reshape")
def reshape(d):
    shape = d.shape(high=4)
    x = d.tensor(shape, d.type("T"))
    factors = [f for s in shape for f in ((2, s // 2) if s % 2 == 0 and s else (s,))]
    d.r.shuffle(factors)
    want = []
    while factors:
        n = d.int(1, 2)
        want.append(int(np.prod(factors[:n])))
        factors = factors[n:]
    if d.chance(0.2):
        want.insert(d.int(0, len(want)), 1)
    if x.size and want and d.chance(0.5):
        want[d.int(0, len(want) - 1)] = -1
    attrs = {}
    if 0 in want:
        if d.since < 14:
            want = shape
        else:
            attrs["allowzero"] = 1
    elif d.since >= 5 and d.chance(0.3):
        for i in range(min(len(want), len(shape))):
            if want[i] == shape[i]:
                want[i] = 0
    if d.since < 5:
        return Node([x], {"shape": want})
    return Node([x, d.ints(*want)], attrs, fixed=(1,))


@op("Flatten")
def flatten(d):
    x = d.tensor(d.shape(low=0 if d.since >= 13 else 1), d.type("T"))
    return Node([x], {"axis": d.maybe(d.int(-x.ndim if d.since >= 11 else 0, x.ndim))})


@op("Squeeze")
def squeeze(d):
    shape = d.shape(high=5)
    ones = [i for i in range(len(shape)) if d.chance(0.4)]
    for i in ones:
        shape[i] = 1
    x = d.tensor(shape, d.type("T"))
    axes = [i - len(shape) if d.since >= 11 and d.chance(0.3) else i for i in ones]
    if not ones or d.chance(0.2):
        return Node([x])
    if d.since < 13:
        return Node([x], {"axes": axes})
    return Node([x, d.ints(*axes)], fixed=(1,))


@op("Unsqueeze")
def unsqueeze(d):
    x = d.tensor(d.shape(high=3), d.type("T"))
    n = d.int(1, 2)
    axes = sorted(d.r.sample(range(x.ndim + n), n))
    if d.since >= 11:
        axes = [a - x.ndim - n if d.chance(0.3) else a for a in axes]
    if d.since >= 13:
        d.r.shuffle(axes)
        return Node([x, d.ints(*axes)], fixed=(1,))
    return Node([x], {"axes": axes})


@op("Expand")
def expand(d):
    full = d.shape()
    shape = d.broadcast(full)
    want = [1 if d.chance(0.2) else s for s in full]
    return Node([d.tensor(shape, d.type("T")), d.ints(*want)], fixed=(1,))


@op("Tile")
def tile(d):
    x = d.tensor(d.shape(most=256), d.type("T"))
    if d.since < 6:
        return Node([x, np.array(2, x.dtype), np.array(0, x.dtype)])
    return Node([x, d.ints(*[d.pick(0, 1, 1, 2, 3) for _ in range(x.ndim)])], fixed=(1,))


@op("Concat")
def concat(d):
    full = d.shape(low=1)
    axis = d.axis(len(full), d.since >= 11)
    parts = []
    for _ in range(d.int(1, 4)):
        s = list(full)
        s[axis] = d.size(0.05)
        parts.append(d.tensor(s, d.type("T")))
    return Node(parts, {"axis": axis if d.since >= 4 else d.maybe(axis)}) if d.since >= 4 or axis != 1 else Node(parts)


@op("Split")
def split(d):
    shape = d.shape(low=1)
    axis = d.axis(len(shape), d.since >= 11)
    n = d.int(1, 4)
    t = d.type("T")
    attrs = {"axis": axis}
    if d.since >= 18 and d.chance(0.5):
        shape[axis] = max(shape[axis], n)
        if -(-shape[axis] // n) * (n - 1) >= shape[axis]:
            shape[axis] = n * 3
        attrs["num_outputs"] = n
        return Node([d.tensor(shape, t)], attrs, n)
    if d.chance(0.5) and d.since < 18:
        shape[axis] = n * d.int(1, 4)
        return Node([d.tensor(shape, t)], attrs, n)
    sizes = [d.int(0 if d.since >= 13 else 1, 5) for _ in range(n)]
    shape[axis] = sum(sizes)
    if d.since < 13:
        return Node([d.tensor(shape, t)], {**attrs, "split": sizes}, n)
    return Node([d.tensor(shape, t), d.ints(*sizes)], attrs, n, fixed=(1,))


@op("Slice")
def slice_(d):
    shape = d.shape(low=1)
    x = d.tensor(shape, d.type("T"))
    axes = d.axes(len(shape), 1, d.since >= 10)
    starts, ends, steps = [], [], []
    for a in axes:
        s = shape[a]
        starts.append(d.pick(d.int(-s - 2, s + 2), d.int(-s - 2, s + 2), 0, -2**63 if d.since >= 10 else 0))
        ends.append(d.pick(d.int(-s - 2, s + 2), d.int(-s - 2, s + 2), s, 2**63 - 1))
        steps.append(d.pick(1, 1, 1, 2, 3, -1, -2))
    if d.since < 10:
        return Node([x], {"starts": starts, "ends": ends, "axes": axes})
    t = d.type("Tind")
    lim = np.iinfo(t)
    full = [np.array([min(max(v, lim.min), lim.max) for v in seq], t) for seq in (starts, ends)]
    return Node([x, *full, np.array(axes, t), d.maybe(np.array(steps, t), 0.6)], fixed=(1, 2, 3, 4))


@op("Gather")
def gather(d):
    shape = d.shape(low=1)
    axis = d.axis(len(shape))
    shape[axis] = max(shape[axis], 1)
    n = shape[axis]
    low = -n if d.since >= 11 else 0
    index = d.n.integers(low, n, d.shape(high=2)).astype(d.type("Tind"))
    return Node([d.tensor(shape, d.type("T")), np.asarray(index)], {"axis": axis}, fixed=(1,))


@op("GatherElements")
def gather_elements(d):
    shape = d.shape(low=1, empty=0)
    axis = d.axis(len(shape))
    n = shape[axis]
    other = [d.int(1, s) for s in shape]
    other[axis] = d.size()
    index = d.n.integers(-n, n, other).astype(d.type("Tind"))
    return Node([d.tensor(shape, d.type("T")), index], {"axis": d.maybe(axis) if axis == 0 else axis})


@op("GatherND")
def gather_nd(d):
    shape = d.shape(low=1, empty=0)
    batch = d.int(0, len(shape) - 1) if d.since >= 12 else 0
    k = d.int(1, len(shape) - batch)
    outer = d.shape(high=2)
    index = np.stack([d.n.integers(-s if d.since >= 11 else 0, s, shape[:batch] + outer)
                      for s in shape[batch:batch + k]], -1).astype(np.int64)
    return Node([d.tensor(shape, d.type("T")), index], {"batch_dims": d.maybe(batch) if not batch else batch})


def reduction_name(d):
    names = [None, None, "none", "add", "mul"] + (["min", "max"] if d.since >= 18 else [])
    return d.pick(*names) if d.since >= 16 else None


@op("ScatterElements", "Scatter")
def scatter_elements(d):
    shape = d.shape(low=1, empty=0)
    axis = d.axis(len(shape))
    other = [d.int(1, s) for s in shape]
    how = reduction_name(d)
    t = d.type("T")
    if how in ("add", "mul", "min", "max") and t in (np.bool_, np.object_):
        how = None
    if how in (None, "none"):  # no index twice
        index = np.argsort(d.n.random(shape), axis)
        index = index[tuple(slice(0, s) for s in other)]
    else:
        index = d.n.integers(-shape[axis], shape[axis], other)
    return Node([d.tensor(shape, t), index.astype(d.type("Tind")), d.tensor(other, t)], {"axis": axis, "reduction": how})


@op("ScatterND")
def scatter_nd(d):
    shape = d.shape(low=1, empty=0)
    k = d.int(1, len(shape))
    how = reduction_name(d)
    t = d.type("T")
    if how in ("add", "mul", "min", "max") and t in (np.bool_, np.object_):
        how = None
    cells = int(np.prod(shape[:k]))
    n = d.int(1, min(8, cells))
    flat = d.r.sample(range(cells), n) if how in (None, "none") else [d.int(0, cells - 1) for _ in range(n)]
    index = np.stack(np.unravel_index(flat, shape[:k]), -1).astype(np.int64)
    return Node([d.tensor(shape, t), index, d.tensor([n] + shape[k:], t)], {"reduction": how})


@op("TensorScatter")
def tensor_scatter(d):
    b, s, e = d.int(1, 3), d.int(3, 8), d.int(1, 5)
    n = d.int(1, s)
    t = d.type("T")
    circular = d.chance(0.3)
    index = d.n.integers(0, s if circular else s - n + 1, [b]).astype(np.int64)
    return Node([d.tensor([b, 2, s, e], t), d.tensor([b, 2, n, e], t), d.maybe(index)],
                {"mode": "circular" if circular else None})


@op("Pad")
def pad(d):
    mode = d.pick("constant", "reflect", "edge", *(["wrap"] if d.since >= 19 else []))
    x = d.tensor(d.shape(low=1, empty=0.02 if mode == "constant" else 0, most=512), d.type("T"))
    most = [3 if mode == "constant" else max(s - 1, 0) if mode == "reflect" else s for s in x.shape]
    low = -1 if d.chance(0.2) and mode in ("constant", "edge") else 0
    before = [d.int(max(low, -(s // 2)), min(m, 4)) for s, m in zip(x.shape, most)]
    after = [d.int(max(low, -(s // 2)), min(m, 4)) for s, m in zip(x.shape, most)]
    value = d.maybe(d.tensor([], x.dtype.type if x.dtype != object else np.object_, kind="plain"))
    if d.since < 11:
        attrs = {"mode": d.maybe(mode) if mode == "constant" else mode, "value": d.maybe(1.5)}
        return Node([x], {**attrs, ("pads" if d.since >= 2 else "paddings"): before + after})
    axes = None
    if d.since >= 18 and d.chance(0.4):
        chosen = d.axes(x.ndim, 1)
        before, after = [before[a] for a in chosen], [after[a] for a in chosen]
        axes = np.array(chosen, d.type("Tind"))
    return Node([x, d.ints(*before, *after), value if mode == "constant" else None, axes], {"mode": mode},
                fixed=(1, 3))


@op("Shape")
def shape_(d):
    x = d.tensor(d.shape(), d.type("T"))
    if d.since < 15:
        return Node([x])
    # below -rank the reference does not clamp
    return Node([x], {"start": d.maybe(d.int(-x.ndim, x.ndim + 1)), "end": d.maybe(d.int(-x.ndim, x.ndim + 1))})


@op("ConstantOfShape")
def constant_of_shape(d):
    from onnx import numpy_helper
    t = d.type("T2", [u for u in TYPES.values() if u is not np.object_])
    from onnx import helper
    value = helper.make_attribute("value", numpy_helper.from_array(d.tensor([1], t)))
    return Node([d.ints(*d.shape())], {"value": d.maybe(value)}, fixed=(0,))


@op("Range")
def range_(d):
    t = d.type("T")
    step = d.pick(1, 2, 3) if d.chance(0.6) else d.pick(-1, -2)
    if is_float(t):
        step *= d.pick(1, 0.5, 0.25)
    return Node([np.array(d.int(-5, 5), t), np.array(d.int(-20, 20), t), np.array(step, t)], fixed=(0, 1, 2))


@op("OneHot")
def one_hot(d):
    depth = d.int(1, 8)
    t = d.type("T3")
    index = d.tensor(d.shape(high=3), d.type("T1", [np.int64, np.int32, np.float32, np.uint8, np.int8]), -depth - 2,
                     depth + 2, "plain")
    index = np.trunc(index) if is_float(index.dtype.type) else index
    u = d.type("T2", [np.int64, np.int32, np.float32])
    return Node([index, np.array(depth, u), d.tensor([2], t, kind="plain")], {"axis": d.maybe(d.int(-index.ndim - 1, index.ndim))},
                fixed=(1,))


@op("NonZero")
def non_zero(d):
    return Node([d.tensor(d.shape(low=1), d.type("T", [t for t in TYPES.values() if t is not np.object_]))])


@op("Compress")
def compress(d):
    x = d.tensor(d.shape(low=1), d.type("T"))
    axis = d.maybe(d.axis(x.ndim), 0.7)
    n = x.shape[axis] if axis is not None else x.size
    return Node([x, d.tensor([d.int(0, n)], np.bool_)], {"axis": axis}, fixed=(1,))


@op("Unique")
def unique(d):
    shape = d.shape(low=1, empty=0)
    x = d.tensor(shape, d.type("T", [np.float32, np.float64, np.int64, np.int8, np.object_]), kind="ties")
    axis = d.maybe(d.axis(x.ndim)) if x.dtype != object else None
    return Node([x], {"axis": axis, "sorted": d.maybe(d.int(0, 1))}, d.int(1, 4))


@op("Trilu")
def trilu(d):
    x = d.tensor(d.shape(low=2), d.type("T", NO_TEXT))
    return Node([x, d.maybe(np.array(d.int(-4, 4), np.int64))], {"upper": d.maybe(d.int(0, 1))}, fixed=(1,))


@op("EyeLike")
def eye_like(d):
    return Node([d.tensor(d.shape(rank=2), d.type("T1"))], {"k": d.maybe(d.int(-4, 4)), "dtype": d.maybe(d.pick(1, 7, 6, 9, 11))})


@op("DepthToSpace")
def depth_to_space(d):
    b = d.int(1, 3)
    c, h, w = d.int(1, 3), d.int(1, 5), d.int(1, 5)
    return Node([d.tensor([d.int(1, 2), c * b * b, h, w], d.type("T"))],
                {"blocksize": b, "mode": d.maybe(d.pick("DCR", "CRD")) if d.since >= 11 else None})


@op("SpaceToDepth")
def space_to_depth(d):
    b = d.int(1, 3)
    return Node([d.tensor([d.int(1, 2), d.int(1, 3), b * d.int(1, 4), b * d.int(1, 4)], d.type("T"))], {"blocksize": b})


@op("ReverseSequence")
def reverse_sequence(d):
    shape = d.shape(low=2, empty=0)
    time = d.int(0, 1)
    lens = d.n.integers(0 if d.chance(0.3) else 1, shape[time] + 1, [shape[1 - time]])
    return Node([d.tensor(shape, d.type("T")), lens.astype(np.int64)], {"time_axis": time, "batch_axis": 1 - time})


@op("CenterCropPad")
def center_crop_pad(d):
    x = d.tensor(d.shape(low=1, empty=0), d.type("T", NO_TEXT))
    if d.chance(0.5):
        return Node([x, d.ints(*[d.int(1, 8) for _ in x.shape])], fixed=(1,))
    axes = d.axes(x.ndim, 1)
    return Node([x, d.ints(*[d.int(1, 8) for _ in axes])], {"axes": axes}, fixed=(1,))


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
    x = d.tensor(d.shape(rank=4, empty=0), d.type("T"))
    return Node([x], {"axes": d.maybe(sorted(d.axes(4, 1, False)))})


# --- normalisation ---

@op("LayerNormalization")
def layer_norm(d):
    x = d.tensor(d.shape(low=1, empty=0), d.type("T"))
    axis = d.axis(x.ndim)
    inner = list(x.shape[axis:])
    return Node([x, d.tensor(inner, d.type("T")), d.maybe(d.tensor(inner, d.type("T")))],
                {"axis": axis, "epsilon": d.maybe(1e-3)})


@op("RMSNormalization")
def rms_norm(d):
    x = d.tensor(d.shape(low=1, empty=0), d.type("T", [np.float32, np.float64, np.float16]))
    axis = d.axis(x.ndim)
    return Node([x, d.tensor(list(x.shape[axis:]), d.type("V", [d.type("T")]))], {"axis": axis, "epsilon": d.maybe(1e-3)})


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
    return Node([x, d.tensor([n], t), d.tensor([n], t)], {"num_groups": groups, "epsilon": d.maybe(1e-3)})


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

@op("QuantizeLinear")
def quantize(d):
    shape = d.shape(low=1, empty=0)
    t = d.type("T1", [np.float32, np.float16, np.int32]) if d.since >= 13 else F32
    names = [np.int8, np.uint8] + ([np.int16, np.uint16] if d.since >= 21 else [])
    q = d.pick(*names)
    axis = d.axis(len(shape), d.since >= 13)
    per = d.since >= 13 and d.chance(0.5)
    st = t if t is not np.int32 else F32
    if d.since < 19 or d.since >= 23:
        st = F32 if t is np.int32 else t
    scale = np.abs(d.plain([shape[axis]] if per else [], F32, 0.05, 0.3)).astype(st)
    zero = d.maybe(d.tensor(list(scale.shape), q, 0, 9, "plain"))
    attrs = {"axis": axis} if per else {}
    if zero is None and d.since >= 21 and d.chance(0.5):
        from draw import elem_type
        attrs["output_dtype"] = elem_type(np.zeros(1, q))
    kind = "plain" if d.kind in ("special", "large") else None
    return Node([d.tensor(shape, t, -20, 20, kind), scale, zero], attrs, slack=1)


@op("DequantizeLinear")
def dequantize(d):
    shape = d.shape(low=1, empty=0)
    names = [np.int8, np.uint8, np.int32] + ([np.int16, np.uint16] if d.since >= 21 else [])
    q = d.pick(*names)
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
    zero = None if q is np.int32 else d.maybe(d.tensor(s, q, 0, 9, "plain"))
    return Node([d.tensor(shape, q, -128, 255), scale, zero], attrs)


@op("DynamicQuantizeLinear")
def dynamic_quantize(d):
    return Node([d.plain(d.shape(low=1, empty=0), F32)], {}, 3, slack=1)


# --- windows ---

def window(d, dims, kernels=(1, 2, 3, 4), dilate=True, same=True):
    """Attributes of a window over sizes that fit it."""
    k = [d.pick(*kernels) for _ in range(dims)]
    strides = [d.pick(1, 1, 2, 3) for _ in range(dims)]
    dilations = [d.pick(1, 1, 2) if dilate else 1 for _ in range(dims)]
    auto = d.pick("NOTSET", "NOTSET", "NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER") if same else "NOTSET"
    reach = [(a - 1) * b + 1 for a, b in zip(k, dilations)]
    pads = [d.int(0, min(2, a - 1)) for a in k] + [d.int(0, min(2, a - 1)) for a in k]
    sizes = [r + d.int(0, 9) for r in reach]
    if auto.startswith("SAME"):  # engines differ where a window leaves something out
        strides = [min(s, r) for s, r in zip(strides, k)]
    attrs = {"kernel_shape": k, "strides": d.maybe(strides, 0.8) if strides == [1] * dims else strides,
             "auto_pad": auto if auto != "NOTSET" else None, "pads": pads if auto == "NOTSET" and d.chance(0.7) else None}
    if dilate:
        attrs["dilations"] = d.maybe(dilations) if dilations == [1] * dims else dilations
    return attrs, sizes


@op("Conv")
def conv(d):
    t = d.type("T")
    if t is not F32:  # the reference multiplies the padding, too
        d.kind = "plain"
    dims = d.pick(1, 2, 2, 2, 3)
    attrs, sizes = window(d, dims)
    if attrs.get("auto_pad") in ("SAME_UPPER", "SAME_LOWER"):
        attrs["dilations"] = None
    style = d.pick("plain", "plain", "grouped", "depthwise")
    group = 1 if style == "plain" else d.int(2, 4) if style == "grouped" else d.int(2, 17)
    each = 1 if style == "depthwise" else d.pick(1, 2, 3, 4, 8)
    m = group * d.pick(1, 1, 2, 3, 8) if style != "plain" else d.pick(1, 3, 8, 16, 17)
    x = d.tensor([d.int(1, 2), group * each] + sizes, t, -1, 1)
    w = d.tensor([m, each] + attrs["kernel_shape"], t, -1, 1, "plain")
    attrs["group"] = group if group > 1 else None
    if d.chance(0.3):
        attrs["kernel_shape"] = None
    return Node([x, w, d.maybe(d.tensor([m], t, kind="plain"))], attrs)


@op("ConvTranspose")
def conv_transpose(d):
    t = d.type("T")
    dims = d.pick(1, 2, 2, 3)
    attrs, sizes = window(d, dims, same=False)
    group = d.pick(1, 1, 2, 3)
    c, m = group * d.int(1, 3), d.int(1, 4)
    x = d.tensor([d.int(1, 2), c] + [d.int(1, 6) for _ in sizes], t, -1, 1)
    w = d.tensor([c, m] + attrs["kernel_shape"], t, -1, 1, "plain")
    attrs["group"] = group if group > 1 else None
    strides = attrs["strides"] or [1] * dims
    if d.chance(0.3):
        attrs["auto_pad"] = None
        attrs["output_padding"] = [d.int(0, max(s - 1, 0)) for s in strides]
    elif d.chance(0.2) and not attrs["pads"] and all(s <= k for s, k in zip(strides, attrs["kernel_shape"])):
        attrs["auto_pad"] = d.pick("SAME_UPPER", "SAME_LOWER", "VALID")
        if attrs["auto_pad"] != "VALID":
            attrs["dilations"] = None
    return Node([x, w, d.maybe(d.tensor([group * m], t, kind="plain"))], attrs)


@op("ConvInteger")
def conv_integer(d):
    a, b = d.type("T1"), d.type("T2")
    attrs, sizes = window(d, 2, same=False)
    group = d.pick(1, 1, 2)
    c, m = group * d.int(1, 4), group * d.int(1, 5)
    return Node([d.tensor([1, c] + sizes, a, -128, 255), d.tensor([m, c // group] + attrs["kernel_shape"], b, -128, 255),
                 d.maybe(d.tensor([], a, 0, 9, "plain")), d.maybe(d.tensor([], b, 0, 9, "plain"))],
                {**attrs, "group": group})


@op("QLinearConv")
def qlinear_conv(d):
    a = d.type("T1")
    b = d.type("T2", [np.int8] if a is np.int8 else [np.int8, np.uint8])
    c = d.type("T3", [a])
    attrs, sizes = window(d, 2, same=False)
    group = d.pick(1, 1, 2, 4)
    n, m = group * d.int(1, 4), group * d.int(1, 5)
    per = d.chance(0.5)
    scale = np.abs(d.plain([m] if per else [], F32, 0.005, 0.02))
    zero = np.zeros([m], b) if per else d.tensor([], b, 0, 9, "plain")
    s = lambda: np.array(d.pick(0.01, 0.02, 0.1), F32)
    bias = d.maybe(d.tensor([m], np.int32, -500, 500, "plain"))
    return Node([d.tensor([1, n] + sizes, a, -128, 255), s(), d.tensor([], a, 0, 9, "plain"),
                 d.tensor([m, n // group] + attrs["kernel_shape"], b, -128, 255), scale, zero, s(),
                 d.tensor([], c, 0, 9, "plain"), bias], {**attrs, "group": group}, slack=1)


@op("MaxPool")
def max_pool(d):
    t = d.type("T")
    dims = d.pick(1, 2, 2, 3)
    attrs, sizes = window(d, dims, dilate=d.since >= 10)
    if attrs.get("auto_pad") in ("SAME_UPPER", "SAME_LOWER"):
        attrs["dilations"] = None
    if d.since >= 10:
        attrs["ceil_mode"] = d.maybe(d.int(0, 1))
    outputs = 1
    if d.since >= 8 and d.chance(0.3):
        outputs, attrs["storage_order"] = 2, d.maybe(d.int(0, 1))
    x = d.tensor([d.int(1, 2), d.pick(1, 3, 8)] + sizes, t)
    steps = (attrs.get("strides") or [1]) + (attrs.get("dilations") or [1])
    if is_float(t) and max(steps) == 1:  # the reference pads with NaN there, and has no word for a window of NaN alone
        x[np.isnan(x)] = 1
    return Node([x], attrs, outputs)


@op("AveragePool")
def average_pool(d):
    t = d.type("T")
    attrs, sizes = window(d, d.pick(1, 2, 2, 3), dilate=d.since >= 19)
    if attrs.get("auto_pad") in ("SAME_UPPER", "SAME_LOWER"):
        attrs.pop("dilations", None)
    if d.since >= 10:
        attrs["ceil_mode"] = d.maybe(d.int(0, 1))
    if d.since >= 7:
        attrs["count_include_pad"] = d.maybe(d.int(0, 1))
    # the reference pads with NaN, and averages what is none
    return Node([d.tensor([d.int(1, 2), d.pick(1, 3, 8)] + sizes, t, kind=None if t is F32 else "plain")], attrs)


@op("LpPool")
def lp_pool(d):
    attrs, sizes = window(d, d.pick(1, 2, 3) if d.since >= 2 else 2, dilate=d.since >= 18)
    if attrs.get("auto_pad") in ("SAME_UPPER", "SAME_LOWER"):
        attrs.pop("dilations", None)
    t = d.type("T", [F32])
    return Node([d.tensor([d.int(1, 2), d.pick(1, 3)] + sizes, t)],
                {**attrs, "p": d.pick(1, 2, 3)})


@op("GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool")
def global_pool(d):
    x = d.tensor(d.shape(low=3, empty=0), d.type("T"))
    return Node([x], {"p": d.pick(1, 2, 3)} if d.schema.name == "GlobalLpPool" else {})


@op("Col2Im")
def col2im(d):
    t = d.type("T", [np.float32, np.float64])
    dims = 2
    k = [d.int(1, 3) for _ in range(dims)]
    pads = [d.int(0, 1) for _ in range(2 * dims)]
    strides = [d.int(1, 2) for _ in range(dims)]
    dilations = [d.int(1, 2) for _ in range(dims)]
    image = [(b - 1) * f + 1 + d.int(0, 6) for b, f in zip(k, dilations)]
    blocks = [(image[i] + pads[i] + pads[dims + i] - dilations[i] * (k[i] - 1) - 1) // strides[i] + 1 for i in range(dims)]
    c = d.int(1, 3)
    return Node([d.tensor([d.int(1, 2), c * int(np.prod(k)), int(np.prod(blocks))], t), d.ints(*image), d.ints(*k)],
                {"pads": pads, "strides": strides, "dilations": dilations}, fixed=(1, 2))


@op("RoiAlign")
def roi_align(d):
    t = d.type("T1", [np.float32, np.float64])
    n, c, h, w = d.int(1, 2), d.int(1, 3), d.int(2, 9), d.int(2, 9)
    r = d.int(0, 4)
    a = np.sort(d.n.uniform(0, 8, [r, 2, 2]), axis=1).reshape(r, 4).astype(t)
    return Node([d.plain([n, c, h, w], t), a, d.n.integers(0, n, [r]).astype(np.int64)],
                {"output_height": d.int(1, 4), "output_width": d.int(1, 4), "sampling_ratio": d.int(0, 3),
                 "spatial_scale": d.pick(1.0, 0.5), "mode": d.pick("avg", "max"),
                 "coordinate_transformation_mode": d.maybe(d.pick("half_pixel", "output_half_pixel"))
                 if d.since >= 16 else None})


@op("Resize")
def resize(d):
    shape = d.shape(rank=d.pick(2, 4, 4), empty=0, most=1024)
    if len(shape) == 4 and d.chance(0.8):
        keep = 2
    else:
        keep = 0
    if d.since < 11:
        scales = [1.0] * keep + [d.pick(0.5, 1.0, 2.0, 3.0) for _ in shape[keep:]]
        return Node([d.tensor(shape, d.type("T", [F32, np.int32, np.uint8])), np.array(scales, F32)],
                    {"mode": d.pick("nearest", "linear") if len(shape) in (2, 4) else "nearest"}, fixed=(1,))
    mode = d.pick("nearest", "linear", "cubic")
    t = d.type("T1", [np.float32, np.float64, np.int8, np.uint8, np.int32] if mode == "nearest" else [np.float32])
    how = d.pick("half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel")
    attrs = {"mode": mode, "coordinate_transformation_mode": how}
    if mode == "nearest":
        attrs["nearest_mode"] = d.maybe(d.pick("round_prefer_floor", "round_prefer_ceil", "floor", "ceil"))
    if mode == "cubic":
        attrs["cubic_coeff_a"] = d.maybe(-0.5)
        attrs["exclude_outside"] = d.maybe(d.int(0, 1))
    if d.since >= 18 and d.chance(0.3):
        attrs["antialias"] = 1 if mode != "nearest" else None
    x = d.plain(shape, t)
    roi = None if d.since >= 13 else np.zeros([0], F32)
    scales = None if d.since >= 13 else np.zeros([0], F32)
    if d.chance(0.5):
        full = [1.0] * keep + [d.pick(0.5, 0.75, 1.0, 1.5, 2.0, 3.0) for _ in shape[keep:]]
        return Node([x, roi, np.array(full, F32)], attrs, fixed=(1, 2))
    sizes = shape[:keep] + [d.int(1, 12) for _ in shape[keep:]]
    return Node([x, roi, scales, d.ints(*sizes)], attrs, fixed=(1, 2, 3))


@op("Upsample")
def upsample(d):
    shape = d.shape(rank=4, empty=0, most=256)
    scales = [1.0, 1.0, d.pick(1.0, 2.0, 3.0), d.pick(1.0, 2.0, 1.5)]
    mode = d.pick("nearest", "linear")
    x = d.plain(shape, d.type("T", [F32]))
    if d.since < 9:
        return Node([x], {"mode": mode, "scales": scales})
    return Node([x, np.array(scales, F32)], {"mode": mode}, fixed=(1,))


@op("GridSample")
def grid_sample(d):
    t = d.type("T1", [np.float32, np.float64]) if "T1" in [c.type_param_str for c in d.schema.type_constraints] else F32
    n, c, h, w = d.int(1, 2), d.int(1, 3), d.int(1, 7), d.int(1, 7)
    grid = d.plain([n, d.int(1, 5), d.int(1, 5), 2], d.type("T2", [t]), -1.3, 1.3)
    modes = ("bilinear", "nearest", "bicubic") if d.since < 20 else ("linear", "nearest", "cubic")
    return Node([d.plain([n, c, h, w], t), grid],
                {"mode": d.maybe(d.pick(*modes)), "padding_mode": d.maybe(d.pick("zeros", "border", "reflection")),
                 "align_corners": d.maybe(d.int(0, 1))})


@op("AffineGrid")
def affine_grid(d):
    n = d.int(1, 3)
    t = d.type("T1", [np.float32])
    if d.chance(0.6):
        return Node([d.plain([n, 2, 3], t), d.ints(n, d.int(1, 3), d.int(1, 5), d.int(1, 5))],
                    {"align_corners": d.maybe(d.int(0, 1))}, fixed=(1,))
    return Node([d.plain([n, 3, 4], t), d.ints(n, d.int(1, 3), d.int(1, 4), d.int(1, 4), d.int(1, 4))],
                {"align_corners": d.maybe(d.int(0, 1))}, fixed=(1,))


@op("NonMaxSuppression")
def nms(d):
    b, n, c = d.int(1, 2), d.int(0, 12), d.int(1, 3)
    a = np.sort(d.n.uniform(0, 4, [b, n, 2, 2]), axis=2).reshape(b, n, 4).astype(F32)
    scores = d.plain([b, c, n], F32, 0, 1)
    center = d.chance(0.3)
    return Node([a, scores, d.maybe(np.array([d.int(0, 5)], np.int64), 0.9), d.maybe(np.array([d.pick(0.0, 0.3, 0.5)], F32)),
                 d.maybe(np.array([0.25], F32))], {"center_point_box": 1 if center else None}, fixed=(2, 3, 4))


# --- sequences of steps ---

@op("RNN", "GRU", "LSTM")
def recurrent(d):
    t = d.type("T", [np.float32, np.float64])
    gates = {"RNN": 1, "GRU": 3, "LSTM": 4}[d.schema.name]
    steps, batch, size, hidden = d.int(1, 5), d.int(1, 3), d.int(1, 6), d.int(1, 6)
    direction = d.pick("forward", "reverse", "bidirectional")
    dirs = 2 if direction == "bidirectional" else 1
    layout = 0
    x = d.plain([steps, batch, size], t, -1, 1)
    state = [dirs, batch, hidden]
    lens = d.maybe(d.n.integers(1, steps + 1, [batch]).astype(np.int32), 0.3) if t is F32 else None
    inputs = [x, d.plain([dirs, gates * hidden, size], t, -1, 1), d.plain([dirs, gates * hidden, hidden], t, -1, 1),
              d.maybe(d.plain([dirs, 2 * gates * hidden], t, -1, 1)), lens, d.maybe(d.plain(state, t, -1, 1))]
    attrs = {"hidden_size": hidden, "direction": direction, "layout": layout if d.since >= 14 else None}
    if d.schema.name == "LSTM":
        inputs += [d.maybe(d.plain(state, t, -1, 1)), d.maybe(d.plain([dirs, 3 * hidden], t, -1, 1), 0.3)]
        attrs["input_forget"] = d.maybe(0)
    if d.schema.name == "GRU" and d.since >= 3:
        attrs["linear_before_reset"] = d.maybe(d.int(0, 1))
    if d.chance(0.2) and t is F32:  # the reference ignores it
        attrs["clip"] = 0.5
    return Node(inputs, attrs, 3 if d.schema.name == "LSTM" else 2)


@op("Attention")
def attention(d):
    t = d.type("T1", [np.float32, np.float16])
    b, hk, dk, dv = d.int(1, 2), d.int(1, 3), d.pick(2, 4, 8), d.pick(2, 4, 8)
    hq = hk * d.pick(1, 1, 2)
    sq, sk = d.int(1, 6), d.int(1, 9)
    dv = dk if d.chance(0.7) else dv
    attrs = {"is_causal": d.maybe(d.int(0, 1)), "scale": d.maybe(0.3), "softcap": d.maybe(2.0, 0.2)}
    q, k, v = d.plain([b, hq, sq, dk], t), d.plain([b, hk, sk, dk], t), d.plain([b, hk, sk, dv], t)
    if d.chance(0.4):
        q, k, v = (np.ascontiguousarray(a.transpose(0, 2, 1, 3)).reshape(b, a.shape[2], -1) for a in (q, k, v))
        attrs["q_num_heads"], attrs["kv_num_heads"] = hq, hk
    mask = None
    if d.chance(0.4):
        mask = d.tensor([sq, sk], np.bool_) if d.chance(0.4) else d.plain(d.pick([sq, sk], [b, 1, sq, sk]), t)
        if mask.dtype == np.bool_:
            mask[:, 0] = True
    return Node([q, k, v, mask], attrs)


@op("RotaryEmbedding")
def rotary(d):
    t = d.type("T", [np.float32])
    b, h, s, e = d.int(1, 2), d.int(1, 3), d.int(1, 5), d.pick(2, 4, 8)
    x = d.plain([b, h, s, e], t)
    if d.chance(0.5):
        cache = [d.plain([s + 3, e // 2], t, -1, 1) for _ in range(2)]
        return Node([x, *cache, d.n.integers(0, s + 3, [b, s]).astype(np.int64)], {"interleaved": d.maybe(d.int(0, 1))})
    return Node([x] + [d.plain([b, s, e // 2], t, -1, 1) for _ in range(2)], {"interleaved": d.maybe(d.int(0, 1))})


# --- signal ---

@op("DFT")
def dft(d):
    t = d.type("T1", [np.float32, np.float64])
    inverse = d.int(0, 1)
    shape = [d.int(1, 2), d.int(1, 9), d.int(1, 9), d.pick(1, 2)]
    x = d.plain(shape, t)
    axis = d.int(1, 2)
    onesided = 1 if shape[-1] == 1 and not inverse and d.chance(0.5) else None
    length = d.maybe(np.array(d.int(1, 12), np.int64), 0.3)
    if d.since < 20:
        return Node([x, length], {"axis": axis, "inverse": inverse, "onesided": onesided}, fixed=(1,))
    return Node([x, length, np.array(axis, np.int64)], {"inverse": inverse, "onesided": onesided}, fixed=(1, 2))


@op("STFT")
def stft(d):
    n, frame, step = d.int(8, 40), d.int(2, 8), d.int(1, 5)
    t = d.type("T1", [np.float32])
    with_window = d.chance(0.7)
    return Node([d.plain([d.int(1, 2), n, 1], t), np.array(step, np.int64), d.plain([frame], t) if with_window else None,
                 np.array(frame, np.int64)], {"onesided": d.maybe(d.int(0, 1))}, fixed=(1, 3))


@op("HannWindow", "HammingWindow", "BlackmanWindow")
def window_function(d):
    return Node([np.array(d.int(1, 20), d.type("T1"))], {"periodic": d.maybe(d.int(0, 1))}, fixed=(0,))


@op("MelWeightMatrix")
def mel(d):
    return Node([np.array(d.int(1, 8), np.int64), np.array(d.int(8, 64), np.int64), np.array(8000, np.int64),
                 np.array(100.0, F32), np.array(3900.0, F32)], {}, fixed=(0, 1, 2, 3, 4))


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
