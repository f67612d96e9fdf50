# SPDX-License-Identifier: BSD-2-Clause
"""Convolutions, pools, resizing, recurrent cells, attention and signals."""
import numpy as np

from draw import is_float
from nodes import F32, Node, op


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
    if is_float(t) and (max(steps) == 1 or attrs.get("auto_pad")):  # the reference pads with NaN there, and has no word for a window of NaN alone
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
    copies = d.chance(0.2)  # of any type
    typed = "T1" in [c.type_param_str for c in d.schema.type_constraints]
    t = F32 if not typed else d.type("T1", None if copies else [np.float32, np.float64])
    n, c, h, w = d.int(1, 2), d.int(1, 3), d.int(1, 7), d.int(1, 7)
    grid = d.plain([n, d.int(1, 5), d.int(1, 5), 2], d.type("T2", [F32 if copies else t]), -1.3, 1.3)
    modes = ("bilinear", "nearest", "bicubic") if d.since < 20 else ("linear", "nearest", "cubic")
    x = d.tensor([n, c, h, w], t) if copies else d.plain([n, c, h, w], t)
    return Node([x, grid],
                {"mode": "nearest" if copies else d.maybe(d.pick(*modes)),
                 "padding_mode": "border" if t is np.object_ else d.maybe(d.pick("zeros", "border", "reflection")),
                 "align_corners": d.maybe(d.int(0, 1))}, rtol=1e-6)  # the reference weighs in f32, and pads texts with 0


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
