# SPDX-License-Identifier: BSD-2-Clause
"""Operators that move elements."""
import numpy as np

from draw import TYPES, is_float
from nodes import NO_TEXT, Node, op


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
