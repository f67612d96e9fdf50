#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""What a step costs besides its arithmetic, side by side with ONNX Runtime on one thread.

    overhead.py [--mbr build/mbr] [--seconds S] [--make DIR]

  loop     a Loop of 1,000,000 iterations of three scalar nodes: x <- tanh(x a + b)
  scan     a Scan of a 16 x 16 state over 16,000 steps of two nodes: state <- state / 2 + x
  product  the same with a product in it: state <- tanh(state W + x)
  tiny     1,000 nodes on run-time inputs of one and of four elements, nothing fused

--make writes DIR/NAME/model.onnx and its data, and measures nothing.
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile
import time

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

F, I, B = TensorProto.FLOAT, TensorProto.INT64, TensorProto.BOOL


def info(name, kind, dims):
    return helper.make_tensor_value_info(name, kind, dims)


def model(graph):
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def loop():
    """Three scalar nodes and the condition that passes through."""
    body = helper.make_graph(
        [helper.make_node("Mul", ["x", "a"], ["p"]), helper.make_node("Add", ["p", "b"], ["q"]),
         helper.make_node("Tanh", ["q"], ["x_out"])],
        "body", [info("i", I, []), info("on", B, []), info("x", F, [])], [info("on", B, []), info("x_out", F, [])])
    graph = helper.make_graph([helper.make_node("Loop", ["trips", "", "x0"], ["y"], body=body)], "loop",
                              [info("trips", I, []), info("x0", F, []), info("a", F, []), info("b", F, [])],
                              [info("y", F, [])])
    return model(graph), {"trips": np.array(1_000_000, np.int64), "x0": np.array(0.5, np.float32),
                          "a": np.array(1.25, np.float32), "b": np.array(-0.125, np.float32)}


def scan():
    r = np.random.default_rng(1)
    body = helper.make_graph(
        [helper.make_node("Mul", ["s", "half"], ["p"]), helper.make_node("Add", ["p", "x"], ["s_out"])],
        "body", [info("s", F, [16, 16]), info("x", F, [16, 16])], [info("s_out", F, [16, 16])])
    graph = helper.make_graph([helper.make_node("Scan", ["s0", "xs"], ["y"], body=body, num_scan_inputs=1)], "scan",
                              [info("s0", F, [16, 16]), info("xs", F, ["steps", 16, 16])], [info("y", F, [16, 16])],
                              [numpy_helper.from_array(np.array(0.5, np.float32), "half")])
    return model(graph), {"s0": np.zeros([16, 16], np.float32),
                          "xs": r.normal(0, 0.1, [16000, 16, 16]).astype(np.float32)}


def product():
    r = np.random.default_rng(1)
    weights = numpy_helper.from_array(r.normal(0, 0.2, [16, 16]).astype(np.float32), "w")
    body = helper.make_graph(
        [helper.make_node("MatMul", ["s", "w"], ["p"]), helper.make_node("Add", ["p", "x"], ["q"]),
         helper.make_node("Tanh", ["q"], ["s_out"])],
        "body", [info("s", F, [16, 16]), info("x", F, [16])], [info("s_out", F, [16, 16])])
    graph = helper.make_graph([helper.make_node("Scan", ["s0", "xs"], ["y"], body=body, num_scan_inputs=1)], "product",
                              [info("s0", F, [16, 16]), info("xs", F, ["steps", 16])], [info("y", F, [16, 16])], [weights])
    return model(graph), {"s0": np.zeros([16, 16], np.float32), "xs": r.normal(0, 0.1, [16000, 16]).astype(np.float32)}


def tiny():
    nodes, names = [], {1: "a1", 4: "a4"}
    for i in range(1000):
        n = 1 if i % 2 else 4
        out = f"t{i}"
        nodes.append(helper.make_node("Mul" if i % 4 < 2 else "Add", [names[n], f"b{n}"], [out]))
        names[n] = out
    graph = helper.make_graph(nodes, "tiny", [info(f"{k}{n}", F, [n]) for k in "ab" for n in (1, 4)],
                              [info(names[1], F, [1]), info(names[4], F, [4])])
    ones = {f"{k}{n}": np.full([n], 0.999, np.float32) for k in "ab" for n in (1, 4)}
    return model(graph), ones


GRAPHS = {"loop": (loop, 1_000_000, "all"), "scan": (scan, 16_000, "all"),
          "product": (product, 16_000, "all"), "tiny": (tiny, 1000, "none")}


def write(folder, made, inputs):
    data = os.path.join(folder, "test_data_set_0")
    os.makedirs(data, exist_ok=True)
    onnx.save(made, os.path.join(folder, "model.onnx"))
    for k, (name, value) in enumerate(inputs.items()):
        with open(os.path.join(data, f"input_{k}.pb"), "wb") as f:
            f.write(numpy_helper.from_array(value, name).SerializeToString())


def time_runtime(made, inputs, seconds):
    import onnxruntime
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(made.SerializeToString(), options, providers=["CPUExecutionProvider"])
    best, outputs, end = 1e30, None, time.perf_counter() + seconds
    while best == 1e30 or time.perf_counter() < end:
        start = time.perf_counter()
        outputs = session.run(None, inputs)
        best = min(best, time.perf_counter() - start)
    return best * 1e3, outputs


def time_mbr(mbr, folder, passes, seconds):
    save = os.path.join(folder, "out")
    done = subprocess.run([mbr, "bench", os.path.join(folder, "model.onnx"), "--data",
                           os.path.join(folder, "test_data_set_0"), "--threads", "1", "--seconds", str(seconds), "--json",
                           "--save", save],
                          env=dict(os.environ, MBR_PASSES=passes), capture_output=True, text=True, check=True)
    outputs = []
    while os.path.exists(path := os.path.join(save, "test_data_set_0", f"output_{len(outputs)}.pb")):
        with open(path, "rb") as f:
            outputs.append(numpy_helper.to_array(TensorProto.FromString(f.read())))
    return json.loads(done.stdout)["min_ms"], outputs


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--mbr", default="build/mbr")
    p.add_argument("--seconds", type=float, default=2.0)
    p.add_argument("--make")
    p.add_argument("--only", choices=sorted(GRAPHS))
    o = p.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        for name, (draw, steps, passes) in GRAPHS.items():
            if o.only and o.only != name:
                continue
            made, inputs = draw()
            folder = os.path.join(o.make or temporary, name)
            write(folder, made, inputs)
            if o.make:
                continue
            ours, got = time_mbr(o.mbr, folder, passes, o.seconds)
            theirs, want = time_runtime(made, inputs, o.seconds)
            for g, w in zip(got, want):
                np.testing.assert_allclose(g, w, rtol=1e-4, atol=1e-5)
            print(f"{name}: mbr {ours:.3f} ms, {ours * 1e6 / steps:.1f} ns a step; ONNX Runtime {theirs:.3f} ms, "
                  f"{theirs * 1e6 / steps:.1f} ns; {theirs / ours:.1f} times")
    return 0


if __name__ == "__main__":
    sys.exit(main())
