# SPDX-License-Identifier: BSD-2-Clause
"""Elementwise operators."""
import numpy as np

from draw import COMPLEX, SMALL, TYPES, elem_type, is_float
from nodes import F32, Node, op


@op("HardSwish")
def hard_swish(d):  # one sixth is an f32 attribute of its parts
    return Node([d.tensor(d.shape(), d.input_type(0))], rtol=1e-5)


@op("Erf")
def erf(d):  # the oracles have it in f32
    return Node([d.tensor(d.shape(), d.input_type(0))], rtol=1e-6)


@op("Abs", "Acos", "Acosh", "Asin", "Asinh", "Atan", "Atanh", "Ceil", "Cos", "Cosh", "Exp", "Floor",
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
    if source in SMALL.values() or to in SMALL.values():
        return cast_small(d, source, to)
    x = d.tensor(d.shape(), source, -120 if not is_float(to) else -3, 120, None if is_float(to) else "plain")
    if is_float(source) and not is_float(to) and to is not np.bool_ and np.iinfo(to).min == 0:
        x = np.abs(x)
    if d.schema.name == "CastLike":
        return Node([x, d.tensor([1], to, kind="plain")])
    number = elem_type(np.zeros(1, to))
    if d.since < 6:
        from onnx import TensorProto
        return Node([x], {"to": TensorProto.DataType.Name(number)})
    return Node([x], {"to": number})


def cast_small(d, source, to):
    """From or to a type of few bits, from numbers that fit somewhere near."""
    x = d.tensor(d.shape(), source, 0, 1, "plain") if source in COMPLEX.values() else d.tensor(d.shape(), source, -5, 5, "plain")
    if to in TYPES.values() and not is_float(to):  # no NaN, nothing negative
        x = np.abs(d.plain(list(x.shape), F32)).astype(source)
    if "uint" in np.dtype(to).name:
        x = np.abs(x.astype(np.float64)).astype(source)
    if d.schema.name == "CastLike":
        return Node([x, d.tensor([1], to, kind="plain")])
    saturate = d.maybe(d.int(0, 1)) if d.since >= 19 and "float8_e" in np.dtype(to).name else None
    return Node([x], {"to": elem_type(np.zeros(1, to)), "saturate": saturate})


@op("BitCast")
def bit_cast(d):
    t = d.type("T1", [np.float32, np.int32, np.uint32, np.float64, np.int64, np.float16, np.int16])
    same = [u for u in (np.float32, np.int32, np.uint32, np.float64, np.int64, np.uint64, np.float16, np.int16)
            if np.dtype(u).itemsize == np.dtype(t).itemsize]
    return Node([d.tensor(d.shape(), t)], {"to": elem_type(np.zeros(1, d.pick(*same)))})
