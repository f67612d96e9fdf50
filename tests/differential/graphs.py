# SPDX-License-Identifier: BSD-2-Clause
"""Random small graphs: values that several nodes share, chains, transpositions, reductions, convolutions with what
follows them, quantised stretches, shapes computed from shapes, and subgraphs."""
import numpy as np
from onnx import TensorProto, helper

from draw import Case

F32 = np.float32
UNARY = ("Relu", "Sigmoid", "Tanh", "Abs", "Neg", "Exp", "Floor", "Softplus", "HardSwish", "Erf", "Sqrt", "Ceil",
         "LeakyRelu", "Elu", "Sign", "Round", "HardSigmoid", "Mish", "Identity", "Gelu")
JUMPS = ("Floor", "Ceil", "Round", "Sign")  # a last digit more or less makes a step of one
BINARY = ("Add", "Sub", "Mul", "Div", "Max", "Min", "Add", "Mul", "Pow", "PRelu")


class Graph:
    def __init__(self, d, name):
        self.d = d
        self.opset = d.pick(13, 17, 18, 20, 21, 22, 23)
        self.case = Case(name, [("", self.opset)])
        self.values = []  # (name, shape) of f32 tensors
        self.dead = set()

    def node(self, op, inputs, shape, **attrs):
        out = self.case.node(op, inputs, 1, **attrs)[0]
        self.values.append((out, list(shape)))
        return out

    def constant(self, shape, dtype=F32, low=-1.0, high=1.0):
        return self.case.add(self.d.plain(shape, dtype, low, high), constant=self.d.chance(0.85))

    def numbers(self, *values):
        return self.case.add(np.array(values, np.int64), constant=True)

    def some(self, rank=None):
        values = [v for v in self.values if rank is None or len(v[1]) == rank]
        if not values:
            return None
        return values[-1] if self.d.chance(0.6) else self.d.pick(*values)

    def exact(self, name):
        """Does every engine have the same bits there?"""
        node = next((n for n in self.case.nodes if name in n.output), None)
        return node is None or (node.op_type in ("Neg", "Abs", "Relu", "Transpose", "Identity", "Clip", "Max", "Min", "Slice",
                                                 "Reshape", "Concat", "Gather") and all(self.exact(i) for i in node.input if i))

    # --- what a step may be ---

    def unary(self):
        x, s = self.some()
        op = self.d.pick(*UNARY)
        if op in JUMPS and not self.exact(x):
            op = "Neg"
        if op == "Gelu" and self.opset < 20 or op == "Mish" and self.opset < 18 or op == "HardSwish" and self.opset < 14:
            op = "Relu"
        if op in ("Exp", "Softplus", "Mish"):
            x = self.node("Clip", [x, self.case.add(np.array(-4, F32), True), self.case.add(np.array(4, F32), True)], s)
        if op == "Sqrt":
            x = self.node("Abs", [x], s)
        self.node(op, [x], s)

    def binary(self):
        x, s = self.some()
        op = self.d.pick(*BINARY)
        same = [v for v in self.values if v[1] == s]
        if op in ("Pow", "PRelu"):
            y = self.case.add(np.array([2.0], F32) if op == "Pow" else self.d.plain(s[-1:], F32), True)
            self.node(op, [x, y], s)
            return
        if self.d.chance(0.5) and len(same) > 1:
            y, t = self.d.pick(*same)
        else:
            t = self.d.broadcast(s)
            y = self.constant(t, low=0.5, high=2.0)
        pair = [x, y] if self.d.chance(0.6) else [y, x]
        if op == "Div":
            divisor = self.node("Abs", [pair[1]], t if pair[1] == y else s)
            divisor = self.node("Add", [divisor, self.case.add(np.array([0.5], F32), True)], t if pair[1] == y else s)
            if not (t if pair[1] == y else s):  # a scalar plus [1] has one axis
                self.values.pop()
                divisor = self.node("Add", [pair[1], self.case.add(np.array(3.5, F32), True)], [])
            pair[1] = divisor
        self.node(op, pair, s)

    def transpose(self):
        x, s = self.some()
        perm = list(range(len(s)))
        self.d.r.shuffle(perm)
        self.node("Transpose", [x], [s[p] for p in perm], perm=perm)

    def reduce(self):
        x, s = self.some()
        if not s:
            return
        axes = [a % len(s) for a in self.d.axes(len(s), 1)]
        keep = self.d.int(0, 1)
        op = self.d.pick("ReduceMean", "ReduceMax", "ReduceSum", "ReduceMin", "ReduceL2", "ReduceSumSquare")
        shape = [1 if i in axes else n for i, n in enumerate(s) if keep or i not in axes]
        if self.opset < 18 and op != "ReduceSum":
            self.node(op, [x], shape, axes=axes, keepdims=keep)
        else:
            self.node(op, [x, self.numbers(*axes)], shape, keepdims=keep)
        if keep and self.d.chance(0.6):
            self.node(self.d.pick("Sub", "Mul", "Add"), [x, self.values[-1][0]], s)

    def softmax(self):
        x, s = self.some()
        if s:
            self.node(self.d.pick("Softmax", "LogSoftmax"), [x], s, axis=self.d.axis(len(s)))

    def norm(self):
        x, s = self.some()
        if not s or 0 in s:
            return
        if self.opset >= 17 and self.d.chance(0.5):
            self.node("LayerNormalization", [x, self.constant(s[-1:]), self.constant(s[-1:])], s, axis=-1, epsilon=1e-2)
            return
        last = [len(s) - 1]  # the same, spelled out
        axes = {"axes": last} if self.opset < 18 else {}
        tail = [] if self.opset < 18 else [self.numbers(*last)]
        thin = s[:-1] + [1]
        mean = self.node("ReduceMean", [x, *tail], thin, keepdims=1, **axes)
        centred = self.node("Sub", [x, mean], s)
        square = self.node("Pow", [centred, self.case.add(np.array(2, F32), True)], s)
        variance = self.node("ReduceMean", [square, *tail], thin, keepdims=1, **axes)
        root = self.node("Sqrt", [self.node("Add", [variance, self.case.add(np.array(0.01, F32), True)], thin)], thin)
        y = self.node("Div", [centred, root], s)
        self.node("Add", [self.node("Mul", [y, self.constant(s[-1:])], s), self.constant(s[-1:])], s)

    def matmul(self):
        x, s = self.some()
        if len(s) < 2:
            return
        n = self.d.size()
        w = self.constant([s[-1], n])
        self.node("MatMul", [x, w], s[:-1] + [n])
        if self.d.chance(0.5):
            self.node("Add", [self.values[-1][0], self.constant([n])], s[:-1] + [n])
        if self.d.chance(0.4):
            self.node(self.d.pick("Relu", "Sigmoid", "Tanh"), [self.values[-1][0]], s[:-1] + [n])

    def conv(self):
        picked = self.some(4)
        if not picked:
            return
        x, s = picked
        k = self.d.pick(1, 1, 3, 3, 5)
        pad = self.d.int(0, k // 2)
        stride = self.d.pick(1, 1, 2)
        if min(s[2], s[3]) + 2 * pad < k or 0 in s:
            return
        depthwise = self.d.chance(0.3)
        m = s[1] if depthwise else self.d.pick(1, 4, 8, 16)
        w = self.constant([m, 1 if depthwise else s[1], k, k])
        shape = [s[0], m] + [(n + 2 * pad - k) // stride + 1 for n in s[2:]]
        bias = [self.constant([m])] if self.d.chance(0.5) else []
        self.node("Conv", [x, w, *bias], shape, pads=[pad] * 4, strides=[stride] * 2, group=s[1] if depthwise else 1)
        if self.d.chance(0.4):
            parts = [self.constant([m]), self.constant([m]), self.constant([m]),
                     self.case.add(np.abs(self.d.plain([m], F32)) + F32(0.5), True)]
            self.node("BatchNormalization", [self.values[-1][0], *parts], shape)
        same = [v for v in self.values[:-1] if v[1] == shape]
        if same and self.d.chance(0.7):
            self.node("Add", [self.values[-1][0], self.d.pick(*same)[0]], shape)
        if self.d.chance(0.6):
            op = self.d.pick("Relu", "Sigmoid", "HardSigmoid", "LeakyRelu", "Clip")
            if op == "Clip":
                limits = [self.case.add(np.array(v, F32), True) for v in (0, 6)]
                self.node("Clip", [self.values[-1][0], *limits], shape)
            else:
                last = self.values[-1][0]
                self.node(op, [last], shape)
                if op == "Sigmoid":
                    self.node("Mul", [last, self.values[-1][0]], shape)

    def pool(self):
        picked = self.some(4)
        if not picked or min(picked[1][2:]) < 2 or 0 in picked[1]:
            return
        x, s = picked
        if self.d.chance(0.2):
            self.node("GlobalAveragePool", [x], s[:2] + [1, 1])
            return
        self.node(self.d.pick("MaxPool", "AveragePool"), [x], s[:2] + [(n - 2) // 2 + 1 for n in s[2:]],
                  kernel_shape=[2, 2], strides=[2, 2])

    def reshape(self):
        x, s = self.some()
        if len(s) < 2 or 0 in s:
            return
        i = self.d.int(0, len(s) - 2)
        shape = s[:i] + [s[i] * s[i + 1]] + s[i + 2:]
        if self.d.chance(0.5):
            self.node("Reshape", [x, self.numbers(*[-1 if j == i else n for j, n in enumerate(shape)])], shape)
            return
        # the shape as exporters write it: pieces of Shape, glued
        dims = self.case.node("Shape", [x])[0]
        parts = []
        for j in range(len(shape)):
            if j == i:
                parts.append(self.numbers(-1))
                continue
            at = self.numbers(j if j < i else j + 1)
            parts.append(self.case.node("Gather", [dims, at], 1, axis=0)[0])
        self.node("Reshape", [x, self.case.node("Concat", parts, 1, axis=0)[0]], shape)

    def axis_play(self):
        x, s = self.some()
        kind = self.d.pick("Unsqueeze", "Squeeze", "Slice", "Concat", "Split", "Gather", "Expand", "Pad")
        if kind == "Unsqueeze" and len(s) < 5:
            a = self.d.int(0, len(s))
            self.node("Unsqueeze", [x, self.numbers(a)], s[:a] + [1] + s[a:])
        elif kind == "Squeeze" and 1 in s:
            a = s.index(1)
            self.node("Squeeze", [x, self.numbers(a)], s[:a] + s[a + 1:])
        elif kind == "Slice" and s:
            a = self.d.int(0, len(s) - 1)
            low = self.d.int(0, s[a])
            step = self.d.pick(1, 1, 2)
            self.node("Slice", [x, self.numbers(low), self.numbers(2**40), self.numbers(a), self.numbers(step)],
                      s[:a] + [-(-(s[a] - low) // step)] + s[a + 1:])
        elif kind == "Concat" and s:
            a = self.d.int(0, len(s) - 1)
            fit = [v for v in self.values if len(v[1]) == len(s) and
                   all(m == n for i, (m, n) in enumerate(zip(v[1], s)) if i != a)]
            parts = [self.d.pick(*fit) for _ in range(self.d.int(1, 3))]
            self.node("Concat", [p[0] for p in parts], s[:a] + [sum(p[1][a] for p in parts)] + s[a + 1:], axis=a)
        elif kind == "Split" and s and max(s) > 1:
            a = s.index(max(s))
            n = self.d.int(1, s[a] - 1)
            outs = self.case.node("Split", [x, self.numbers(n, s[a] - n)], 2, axis=a)
            for o, size in zip(outs, (n, s[a] - n)):
                self.values.append((o, s[:a] + [size] + s[a + 1:]))
        elif kind == "Gather" and s and s[0]:
            index = self.d.n.integers(-s[0], s[0], self.d.shape(high=1)).astype(np.int64)
            name = self.case.add(np.asarray(index), self.d.chance(0.7))
            self.node("Gather", [x, name], list(np.shape(index)) + s[1:], axis=0)
        elif kind == "Expand" and s:
            want = [self.d.int(1, 4) if n == 1 else n for n in s]
            self.node("Expand", [x, self.numbers(*want)], want)
        elif kind == "Pad" and s and 0 not in s:
            before, after = [self.d.int(0, 1) for _ in s], [self.d.int(0, 2) for _ in s]
            self.node("Pad", [x, self.numbers(*before, *after)], [n + p + q for n, p, q in zip(s, before, after)])

    def quantise(self):
        """x -> q -> dq, so that what comes after reads a quantised value."""
        x, s = self.some()
        t = self.d.pick(np.int8, np.uint8)
        scale = self.case.add(np.array(0.0625, F32), True)
        zero = self.case.add(np.array(3, t), True)
        x = self.node("Clip", [x, self.case.add(np.array(-6.02, F32), True), self.case.add(np.array(7.01, F32), True)], s)
        q = self.case.node("QuantizeLinear", [x, scale, zero])[0]
        self.node("DequantizeLinear", [q, scale, zero], s)
        # a rounding that falls the other way is a step of 1/16, and grows on its way
        self.case.atol = max(self.case.atol, 0.3)
        self.case.rtol = 0.1

    def choose(self):
        x, s = self.some()
        y, t = self.some()
        if not self.exact(x) or not self.exact(y):
            return
        if s != t:
            y = self.node("Mul", [x, self.case.add(np.array(0.5, F32), True)], s)
        mask = self.case.node(self.d.pick("Greater", "Less", "Equal"), [x, y])[0]
        if self.d.chance(0.3):
            mask = self.case.node("Not", [mask])[0]
        self.node("Where", [mask, x, self.constant(self.d.broadcast(s))], s)

    def cast(self):
        x, s = self.some()
        to = self.d.pick(TensorProto.DOUBLE, TensorProto.INT32, TensorProto.FLOAT16, TensorProto.INT64)
        if to in (TensorProto.INT32, TensorProto.INT64):
            if not self.exact(x):
                return
            x = self.node("Clip", [x, self.case.add(np.array(-99.5, F32), True), self.case.add(np.array(99.5, F32), True)], s)
        y = self.case.node("Cast", [x], 1, to=to)[0]
        if to in (TensorProto.DOUBLE, TensorProto.INT32) and self.d.chance(0.5):
            y = self.case.node("Add", [y, y])[0]
        self.node("Cast", [y], s, to=TensorProto.FLOAT)

    def branch(self):
        x, s = self.some()
        flag = self.case.add(np.array(self.d.chance(0.5)), self.d.chance(0.3))
        bodies = []
        for _ in range(2):
            op = self.d.pick("Relu", "Neg", "Abs", "Tanh")
            inner = helper.make_node(op, [x], ["r"])
            nodes = [inner]
            if self.d.chance(0.5):
                other = self.d.pick(*self.values)[0]
                nodes = [inner, helper.make_node("Shape", [other], ["unused"])]
            bodies.append(helper.make_graph(nodes, "b", [], [helper.make_tensor_value_info("r", TensorProto.FLOAT, None)]))
        self.node("If", [flag], s, then_branch=bodies[0], else_branch=bodies[1])

    def loop(self):
        x, s = self.some()
        trips = self.case.add(np.array(self.d.int(0, 4), np.int64), self.d.chance(0.5))
        keep = self.case.add(np.array(True), True)
        op = self.d.pick("Add", "Sub", "Max")
        captured = self.d.pick(*[v for v in self.values if v[1] == s])[0] if self.d.chance(0.5) else "state"
        nodes = [helper.make_node("Identity", ["on"], ["on_out"]), helper.make_node(op, ["state", captured], ["a"]),
                 helper.make_node("Tanh", ["a"], ["state_out"])]
        if self.d.chance(0.3):  # uses its iteration
            nodes[2:] = [helper.make_node("Cast", ["i"], ["f"], to=1), helper.make_node("Add", ["a", "f"], ["b"]),
                         helper.make_node("Tanh", ["b"], ["state_out"])]
        info = helper.make_tensor_value_info
        body = helper.make_graph(nodes, "b", [info("i", TensorProto.INT64, []), info("on", TensorProto.BOOL, []),
                                              info("state", TensorProto.FLOAT, None)],
                                 [info("on_out", TensorProto.BOOL, []), info("state_out", TensorProto.FLOAT, None)])
        self.node("Loop", [trips, keep, x], s, body=body)

    def scan(self):
        x, s = self.some()
        if len(s) < 1 or s[0] == 0:
            return
        first = self.node("ReduceMax", [x, self.numbers(0)] if self.opset >= 18 else [x], s[1:], keepdims=0,
                          **({} if self.opset >= 18 else {"axes": [0]}))
        info = helper.make_tensor_value_info
        nodes = [helper.make_node(self.d.pick("Add", "Mul", "Max"), ["state", "slice"], ["a"]),
                 helper.make_node("Tanh", ["a"], ["state_out"]), helper.make_node("Neg", ["state_out"], ["out"])]
        body = helper.make_graph(nodes, "b", [info("state", TensorProto.FLOAT, None), info("slice", TensorProto.FLOAT, None)],
                                 [info("state_out", TensorProto.FLOAT, None), info("out", TensorProto.FLOAT, None)])
        outs = self.case.node("Scan", [first, x], 2, body=body, num_scan_inputs=1,
                              scan_input_directions=[self.d.int(0, 1)], scan_output_directions=[self.d.int(0, 1)])
        self.values += [(outs[0], s[1:]), (outs[1], list(s))]

    STEPS = ("unary", "unary", "unary", "binary", "binary", "binary", "transpose", "reduce", "softmax", "norm", "matmul",
             "conv", "conv", "pool", "reshape", "axis_play", "axis_play", "quantise", "choose", "cast", "branch", "loop",
             "scan")


def graph(d, name):
    g = Graph(d, name)
    if d.kind in ("special", "large"):
        d.kind = "plain"
    for _ in range(d.int(1, 2)):
        shape = [d.int(1, 2), d.pick(1, 3, 4, 8, 16), d.int(2, 9), d.int(2, 9)] if d.chance(0.5) else \
            d.shape(low=1, empty=0.01, most=2048)
        g.values.append((g.case.add(d.tensor(shape, F32)), shape))
    for _ in range(d.int(2, 12)):
        getattr(g, d.pick(*Graph.STEPS))()
        if len(g.values[-1][1]) > 5 or np.prod(g.values[-1][1]) > 20000:
            g.values.pop()
    made = {o for n in g.case.nodes for o in n.output}
    used = {i for n in g.case.nodes for i in n.input}
    outputs = [v for v, _ in g.values if v in made and v not in used]
    extra = [v for v, _ in g.values if v in made and v in used]
    if extra and d.chance(0.3):
        outputs.append(d.pick(*extra))
    if not outputs:
        return None
    g.case.outputs = list(dict.fromkeys(outputs))
    g.case.dynamic = d.chance(0.4)
    # everything was f32 with values of a few units; sums of many nodes lose some digits
    return g.case
