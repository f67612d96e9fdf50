# SPDX-License-Identifier: BSD-2-Clause
"""Random shapes, types and values, and the case that is made of them.

A case is one seed: the same seed gives the same model and the same inputs, whatever else the run tries.
"""
import random

import ml_dtypes
import numpy as np
import onnx
from onnx import TensorProto as T
from onnx import helper, numpy_helper

TYPES = {
    "float": np.float32, "double": np.float64, "float16": np.float16, "bfloat16": ml_dtypes.bfloat16,
    "int8": np.int8, "int16": np.int16, "int32": np.int32, "int64": np.int64,
    "uint8": np.uint8, "uint16": np.uint16, "uint32": np.uint32, "uint64": np.uint64,
    "bool": np.bool_, "string": np.object_,
}
# Types that are moved, cast and quantised to, but not computed with.
SMALL = {
    "float8e4m3fn": ml_dtypes.float8_e4m3fn, "float8e4m3fnuz": ml_dtypes.float8_e4m3fnuz,
    "float8e5m2": ml_dtypes.float8_e5m2, "float8e5m2fnuz": ml_dtypes.float8_e5m2fnuz,
    "float8e8m0": ml_dtypes.float8_e8m0fnu, "float4e2m1": ml_dtypes.float4_e2m1fn,
    "int4": ml_dtypes.int4, "uint4": ml_dtypes.uint4, "int2": ml_dtypes.int2, "uint2": ml_dtypes.uint2,
}
COMPLEX = {"complex64": np.complex64, "complex128": np.complex128}
MOVERS = ("Identity", "Reshape", "Transpose", "Squeeze", "Unsqueeze", "Flatten", "Expand", "Tile", "Concat", "Split", "Slice",
          "Gather", "GatherElements", "GatherND", "Pad", "Where", "Compress", "Shape", "Size", "DepthToSpace", "SpaceToDepth",
          "Cast", "CastLike", "ConcatFromSequence", "SplitToSequence", "ScatterElements", "ScatterND")
FLOATS = (np.float32, np.float64, np.float16, ml_dtypes.bfloat16)
SIZES = (1, 1, 2, 2, 3, 3, 4, 5, 6, 7, 8, 9, 15, 16, 17, 33)
WORDS = ("", "a", "b", "ab", "x y", "THE", "the", "longer than sixteen bytes")
# The reference sums bfloat16 in bfloat16: nothing to compare with.
ACCUMULATE = ("Reduce", "CumSum", "CumProd", "Softmax", "LogSoftmax", "MatMul", "Gemm", "Conv", "Sum", "Mean", "LayerNorm",
              "RMSNorm", "InstanceNorm", "GroupNorm", "BatchNorm", "LRN", "LpNorm", "LpPool", "AveragePool", "GlobalAverage",
              "GlobalLp", "Attention", "Pow", "MeanVar", "Swish", "Gelu", "Mish", "Softplus", "SkipL", "SkipS", "Fused", "BiasGelu", "FastGelu", "QuickGelu")
SPECIALS = (np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-40, -1e-42, 1.0, -1.0, 0.5, -0.5, 2.5, -1.5, 3e38, -3e38, 1e-30)

# Sums in f32 overflow and cancel where those in f64 do not: operators that add up get one large number at most.
FEWER = (np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-40, -1e-42, 1e-30, -1e-30, 1.0, -1.0, 0.5, -1.5)
LARGE = 1e12


def is_float(dtype):
    return dtype in FLOATS


class Case:
    """One model: nodes, inputs with their values, names of the outputs."""

    def __init__(self, name, opsets):
        self.name = name
        self.opsets = opsets
        self.nodes = []
        self.inputs = {}    # name -> array (or list: a sequence)
        self.constants = set()
        self.outputs = []
        self.dynamic = False  # inputs are declared with symbols for sizes
        self.atol = 0.0
        self.rtol = 0.0     # where the oracles are less exact than the type
        self.slack = 0      # how far integers may be off: roundings of quantised numbers

    def add(self, value, constant=False):
        name = f"i{len(self.inputs)}"
        self.inputs[name] = value
        if constant:
            self.constants.add(name)
        return name

    def node(self, op, inputs, outputs=1, domain="", **attrs):
        names = outputs if isinstance(outputs, list) else [f"v{len(self.nodes)}_{i}" for i in range(outputs)]
        attrs = {k: v for k, v in attrs.items() if v is not None}
        node = helper.make_node(op, inputs, names, domain=domain)
        for key, value in attrs.items():
            node.attribute.append(value if isinstance(value, onnx.AttributeProto) else helper.make_attribute(key, value))
        self.nodes.append(node)
        return names

    def runtime_inputs(self):
        return {k: v for k, v in self.inputs.items() if k not in self.constants}

    def model(self):
        infos, symbols = [], 0
        for name, value in self.runtime_inputs().items():
            if isinstance(value, list):
                item = helper.make_tensor_type_proto(elem_type(value[0]), None)
                infos.append(helper.make_value_info(name, helper.make_sequence_type_proto(item)))
                continue
            dims = list(value.shape)
            if self.dynamic:
                dims = [f"s{symbols + d}" for d in range(len(dims))]
                symbols += len(dims)
            infos.append(helper.make_tensor_value_info(name, elem_type(value), dims))
        constants = [to_proto(self.inputs[name], name) for name in self.inputs if name in self.constants]
        outputs = [onnx.ValueInfoProto(name=name) for name in self.outputs]
        graph = helper.make_graph(self.nodes, "g", infos, outputs, constants)
        newest = max([v for d, v in self.opsets if d == ""] or [20])
        ir = 3 if newest < 9 else 4 if newest < 10 else 10 if newest < 24 else 11
        # every constant is an input too before version 4
        if ir == 3:
            for c in constants:
                infos.append(helper.make_tensor_value_info(c.name, c.data_type, c.dims))
            graph = helper.make_graph(self.nodes, "g", infos, outputs, constants)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid(d, v) for d, v in self.opsets],
                                 ir_version=ir)


def elem_type(array):
    return T.STRING if array.dtype == np.object_ else helper.np_dtype_to_tensor_dtype(array.dtype)


def to_proto(array, name=""):
    if array.dtype == np.object_:
        return helper.make_tensor(name, T.STRING, array.shape, [str(s).encode() for s in array.reshape(-1)])
    return numpy_helper.from_array(np.ascontiguousarray(array).reshape(array.shape), name)


class Draw:
    """Random decisions of one case."""

    def __init__(self, seed, schema=None, opset=0):
        self.r = random.Random(seed)
        self.n = np.random.default_rng(seed)
        self.schema = schema
        self.opset = opset
        self.since = schema.since_version if schema else 0
        self.bound = {}     # type parameter -> dtype
        self.sums = schema is not None and schema.name.startswith(ACCUMULATE)
        self.kind = self.r.choices(("plain", "special", "ties", "large"), (60, 20, 15, 5))[0]

    # --- choices ---
    def chance(self, p):
        return self.r.random() < p

    def pick(self, *options):
        return self.r.choice(options)

    def maybe(self, value, p=0.5):
        """The value, or None: the attribute is left out."""
        return value if self.chance(p) else None

    def int(self, low, high):
        return self.r.randint(low, high)

    # --- types ---
    def type(self, parameter, only=None):
        """A numpy type for a type parameter of the schema; the same one each time."""
        if parameter in self.bound:
            return self.bound[parameter]
        allowed = next((list(c.allowed_type_strs) for c in self.schema.type_constraints
                        if c.type_param_str == parameter), [parameter])
        names = [a[7:-1] for a in allowed if a.startswith("tensor(")]
        if self.schema.name in MOVERS and self.chance(0.3):
            types = [(SMALL | COMPLEX)[name] for name in names if name in SMALL or name in COMPLEX]
            if types:
                self.bound[parameter] = self.r.choice(types)
                return self.bound[parameter]
        types = [TYPES[name] for name in names if name in TYPES]
        if ml_dtypes.bfloat16 in types and self.schema.name.startswith(ACCUMULATE):
            types.remove(ml_dtypes.bfloat16)
        if only:
            types = [t for t in types if t in only]
        if np.float32 in types and self.chance(0.45):
            chosen = np.float32
        else:
            chosen = self.r.choice(types)
        self.bound[parameter] = chosen
        return chosen

    def input_type(self, i, only=None):
        """The type of input i of the schema."""
        formal = self.schema.inputs[min(i, len(self.schema.inputs) - 1)]
        return self.type(formal.type_str, only)

    # --- shapes ---
    def size(self, empty=0.0):
        return 0 if self.chance(empty) else self.r.choice(SIZES)

    def shape(self, rank=None, low=0, high=4, empty=0.01, most=4096):
        rank = self.int(low, high) if rank is None else rank
        dims = [self.size(empty) for _ in range(rank)]
        while int(np.prod([max(d, 1) for d in dims], dtype=np.int64)) > most:
            dims[dims.index(max(dims))] = self.r.choice((1, 2, 3, 4))
        return dims

    def broadcast(self, shape):
        """A shape that broadcasts to `shape`."""
        dims = [1 if self.chance(0.2) else d for d in shape]
        if self.chance(0.4):
            dims = dims[self.int(0, len(dims)):]
        return dims

    def pair(self, **kw):
        """Two shapes that broadcast to each other."""
        full = self.shape(**kw)
        a, b = (full, full) if self.chance(0.4) else (full, self.broadcast(full))
        if self.chance(0.2):
            a = [1 if self.chance(0.2) else d for d in full]
        return (a, b) if self.chance(0.5) else (b, a)

    def axis(self, rank, negative=True):
        return self.int(-rank if negative else 0, rank - 1) if rank else 0

    def axes(self, rank, low=0, negative=True):
        chosen = self.r.sample(range(rank), self.int(min(low, rank), rank))
        return [a - rank if negative and self.chance(0.3) else a for a in chosen]

    # --- values ---
    def tensor(self, shape, dtype, low=-3.0, high=3.0, kind=None):
        kind = kind or self.kind
        count = int(np.prod(shape, dtype=np.int64))
        if dtype is np.object_:
            return np.array([self.r.choice(WORDS) for _ in range(count)], dtype=np.object_).reshape(shape)
        if dtype is np.bool_:
            return self.n.integers(0, 2, shape).astype(np.bool_)
        if dtype in SMALL.values():
            return self.small(shape, dtype, kind)
        if dtype in COMPLEX.values():
            return (self.plain(shape, np.float32, low, high) + 1j * self.plain(shape, np.float32, low, high)).astype(dtype)
        if is_float(dtype):
            if kind == "ties":
                x = self.n.integers(int(low), int(high) + 1, shape).astype(np.float64) / self.r.choice((1, 2))
            else:
                x = self.n.uniform(low, high, shape)
            if kind == "large":
                x = x * 10.0 ** self.n.integers(-4, 5, shape)
            if kind == "special" and count:
                flat = x.reshape(-1).copy()
                for _ in range(self.int(1, max(1, min(count, 8)))):
                    flat[self.int(0, count - 1)] = self.r.choice(FEWER if self.sums else SPECIALS)
                if self.sums and self.chance(0.3):
                    flat[self.int(0, count - 1)] = self.r.choice((LARGE, -LARGE))
                x = flat.reshape(shape)
            with np.errstate(all="ignore"):
                return np.asarray(x).astype(dtype)
        info = np.iinfo(dtype)
        low, high = max(int(low), info.min), min(max(int(high), 1), info.max)
        if kind == "large":
            low, high = max(info.min, -2**31), min(info.max, 2**31)
        if kind == "special" and not self.sums:
            x = self.n.integers(info.min, info.max, shape, dtype=dtype, endpoint=True)
            return np.asarray(x).astype(dtype).reshape(shape)
        return np.asarray(self.n.integers(low, high, shape, endpoint=True)).astype(dtype)

    def small(self, shape, dtype, kind):
        if dtype is SMALL["float8e8m0"]:
            return (2.0 ** self.n.integers(-3, 4, shape)).astype(dtype)
        if "int" in np.dtype(dtype).name:
            info = ml_dtypes.iinfo(dtype)
            return self.n.integers(int(info.min), int(info.max), shape, endpoint=True).astype(dtype)
        x = self.n.uniform(-6, 6, shape)
        if kind == "special" and x.size and dtype is not SMALL["float4e2m1"]:
            x = np.where(self.n.random(shape) < 0.2, np.nan, x)
        return np.asarray(x).astype(np.float32).astype(dtype)

    def plain(self, shape, dtype, low=-3.0, high=3.0):
        return self.tensor(shape, dtype, low, high, "plain")

    def ints(self, *values):
        return np.array(values, dtype=np.int64)
