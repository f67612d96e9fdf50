# SPDX-License-Identifier: BSD-2-Clause
"""Spoils a case: numbers that mean shapes, axes and counts become hostile."""
import numpy as np
import onnx

NUMBERS = (0, -1, 1, 2, 7, -7, 64, 255, 2**31 - 1, -2**31, 2**31, 2**32, 2**40, 2**62, 2**63 - 1, -2**63, -2**62, 1000003)
REALS = (0.0, -0.0, -1.0, 1e30, -1e30, float("nan"), float("inf"), float("-inf"), 1e-45, 0.5, 4e9)
TEXTS = (b"", b"SUM", b"constant", b"\xff\xfe", b"a,b->", b"...ij,jk", b"->", b"x" * 300)


def number(d):
    return d.pick(*NUMBERS)


def spoil_attribute(d, a):
    if a.type == onnx.AttributeProto.INT:
        a.i = number(d)
    elif a.type == onnx.AttributeProto.FLOAT:
        a.f = d.pick(*REALS)
    elif a.type == onnx.AttributeProto.STRING:
        a.s = d.pick(*TEXTS)
    elif a.type == onnx.AttributeProto.INTS and (len(a.ints) or d.chance(0.5)):
        how = d.int(0, 3)
        if how == 0 and len(a.ints):
            a.ints[d.int(0, len(a.ints) - 1)] = number(d)
        elif how == 1:
            a.ints.append(number(d))
        elif how == 2 and len(a.ints):
            del a.ints[-1]
        else:
            del a.ints[:]
    elif a.type == onnx.AttributeProto.FLOATS and len(a.floats):
        if d.chance(0.6):
            a.floats[d.int(0, len(a.floats) - 1)] = d.pick(*REALS)
        else:
            del a.floats[-1]


def spoil_value(d, x):
    """A hostile array instead of x."""
    if isinstance(x, list):
        return x[:-1] if len(x) > 1 and d.chance(0.5) else x
    how = d.int(0, 4)
    if how <= 1 and x.size and x.dtype != object:
        x = np.array(x)
        flat = x.reshape(-1)
        for _ in range(d.int(1, 2)):
            at = d.int(0, x.size - 1)
            with np.errstate(all="ignore"):
                if x.dtype.kind in "iu":
                    info = np.iinfo(x.dtype)
                    flat[at] = min(max(number(d), info.min), info.max)
                elif x.dtype != np.bool_:
                    flat[at] = np.array(d.pick(*REALS)).astype(x.dtype)
        return x
    if how == 2 and x.ndim:  # another size
        axis = d.int(0, x.ndim - 1)
        return np.ascontiguousarray(np.take(x, range(max(0, x.shape[axis] - 1)), axis=axis))
    if how == 3:  # another rank
        return x.reshape((1,) + x.shape) if x.ndim < 5 else x.reshape(-1)
    if how == 4 and x.size:
        return np.ascontiguousarray(x.reshape(-1)[0])
    return x


def spoil(case, d):
    if any(n.op_type == "Loop" for n in case.nodes):  # it may well run for ever then
        return
    for _ in range(d.int(1, 3)):
        node = d.pick(*case.nodes)
        kind = d.int(0, 5)
        if kind <= 1 and node.attribute:
            spoil_attribute(d, node.attribute[d.int(0, len(node.attribute) - 1)])
        elif kind <= 3 and case.inputs:
            name = d.pick(*case.inputs)
            case.inputs[name] = spoil_value(d, case.inputs[name])
            if d.chance(0.3) and not isinstance(case.inputs[name], list):
                case.constants.symmetric_difference_update({name})
        elif kind == 4 and node.input:
            if d.chance(0.5):
                del node.input[-1]
            else:
                node.input[d.int(0, len(node.input) - 1)] = d.pick("", *case.inputs)
        elif node.attribute and d.chance(0.5):
            del node.attribute[d.int(0, len(node.attribute) - 1)]
        elif len(node.output) > 1:
            del node.output[-1]
            case.outputs = [o for o in case.outputs if any(o in n.output for n in case.nodes)]
    case.dynamic = d.chance(0.5)
