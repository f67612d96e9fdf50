#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""What denormal numbers cost: the same small models with ordinary and with denormal weights, or inputs, in turn.

    bench/denormals.py [--mbr build/mbr] [--threads 1] [--seconds 0.3] [--rounds 5]

The library leaves the floating-point mode as its caller has it, and computes with denormals unless that flushes them.
Needs the Python packages numpy and onnx.
"""
import argparse
import json
import os
import subprocess
import tempfile

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

F = TensorProto.FLOAT


def graph(op, x, weights, y, **attributes):
    names = [name for name, _ in weights]
    node = helper.make_node(op, ["x"] + names, ["y"], **attributes)
    made = helper.make_graph([node], "g", [helper.make_tensor_value_info("x", F, x)],
                             [helper.make_tensor_value_info("y", F, y)],
                             [numpy_helper.from_array(w, name) for name, w in weights])
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


CASES = {
    "product 512 x 512 x 512": ("MatMul", [512, 512], {"w": [512, 512]}, [512, 512], {}),
    "product 1 x 2048 x 2048": ("MatMul", [1, 2048], {"w": [2048, 2048]}, [1, 2048], {}),
    "convolution 3x3 (Winograd)": ("Conv", [1, 64, 56, 56], {"w": [64, 64, 3, 3]}, [1, 64, 56, 56],
                                   {"pads": [1, 1, 1, 1]}),
    "convolution 1x1": ("Conv", [1, 128, 28, 28], {"w": [256, 128, 1, 1]}, [1, 256, 28, 28], {}),
    "convolution, depthwise": ("Conv", [1, 128, 56, 56], {"w": [128, 1, 3, 3]}, [1, 128, 56, 56],
                               {"pads": [1, 1, 1, 1], "group": 128}),
    "elementwise product": ("Mul", [1, 262144], {"w": [262144]}, [1, 262144], {}),
}


def write(folder, case, small_weights, small_inputs):
    r = np.random.default_rng(1)
    op, x, weights, y, attributes = CASES[case]

    def draw(dims, small):
        return (r.normal(0, 1, dims) * (1e-39 if small else 1)).astype(np.float32)

    made = graph(op, x, [(n, draw(d, small_weights)) for n, d in weights.items()], y, **attributes)
    os.makedirs(folder)
    onnx.save(made, os.path.join(folder, "model.onnx"))
    with open(os.path.join(folder, "input_0.pb"), "wb") as f:
        f.write(numpy_helper.from_array(draw(x, small_inputs), "x").SerializeToString())


def run(o, folder):
    done = subprocess.run([o.mbr, "bench", os.path.join(folder, "model.onnx"), "--data", folder, "--threads",
                           str(o.threads), "--seconds", str(o.seconds), "--json"], capture_output=True, text=True,
                          check=True)
    return json.loads(done.stdout)["min_ms"]


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--mbr", default="build/mbr")
    p.add_argument("--threads", type=int, default=1)
    p.add_argument("--seconds", type=float, default=0.3)
    p.add_argument("--rounds", type=int, default=5)
    o = p.parse_args()
    print("| what | ordinary, ms | denormal weights | denormal inputs |")
    print("| --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as top:
        for at, case in enumerate(CASES):
            kinds = ((False, False), (True, False), (False, True))
            folders = [os.path.join(top, f"{at}-{k}") for k in range(3)]
            for folder, kind in zip(folders, kinds):
                write(folder, case, *kind)
            best = [min(times) for times in zip(*[[run(o, f) for f in folders] for _ in range(o.rounds)])]
            print(f"| {case} | {best[0]:.3f} | {best[1] / best[0]:.2f} times | {best[2] / best[0]:.2f} times |")


if __name__ == "__main__":
    main()
