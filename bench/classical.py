#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Classical operators on many rows, side by side with ONNX Runtime.

    classical.py [--mbr build/mbr] [--rows 4096] [--threads N] [--seconds S] [--only TEXT]

A line for each operator: the median of either engine (the better of two rounds), how many times faster mbr is, and the
largest difference of their outputs.
"""
import argparse
import json
import os
import subprocess
import tempfile
import time

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

F, I = TensorProto.FLOAT, TensorProto.INT64
R = np.random.default_rng(3)


def floats(*dims):
    return [float(v) for v in R.normal(0, 0.5, dims).astype(np.float32).ravel()]


def svm(kernel, classes, vectors=200, features=20):
    counts = [vectors // classes] * classes
    n = sum(counts)
    pairs = classes * (classes - 1) // 2
    return dict(kernel_type=kernel, kernel_params=[0.1, 0.2, 3.0], coefficients=floats(classes - 1, n),
                support_vectors=floats(n, features), rho=floats(pairs), vectors_per_class=counts,
                classlabels_ints=list(range(classes)), prob_a=floats(pairs), prob_b=floats(pairs))


def cases(rows):
    x = R.normal(0, 1, [rows, 20]).astype(np.float32)
    gaps = np.where(R.random(x.shape) < 0.1, np.float32(np.nan), x)
    ids = R.integers(0, 50, [rows, 1])
    yield "linear regressor", "LinearRegressor", x, [(F, 2)], dict(coefficients=floats(20), intercepts=[0.5])
    for post in "NONE", "LOGISTIC":
        yield ("linear classifier 2 " + post, "LinearClassifier", x, [(I, 1), (F, 2)],
               dict(coefficients=floats(2, 20), intercepts=[0.1, -0.1], classlabels_ints=[0, 1], post_transform=post))
    yield ("linear classifier 10 SOFTMAX", "LinearClassifier", x, [(I, 1), (F, 2)],
           dict(coefficients=floats(10, 20), intercepts=floats(10), classlabels_ints=list(range(10)),
                post_transform="SOFTMAX"))
    for kernel in "LINEAR", "POLY", "RBF", "SIGMOID":
        yield "svc " + kernel, "SVMClassifier", x, [(I, 1), (F, 2)], svm(kernel, 2)
        yield ("svr " + kernel, "SVMRegressor", x, [(F, 2)],
               dict(kernel_type=kernel, kernel_params=[0.1, 0.2, 3.0], coefficients=floats(200),
                    support_vectors=floats(200, 20), rho=[0.3], n_supports=200))
    yield "svc 4 RBF", "SVMClassifier", x, [(I, 1), (F, 2)], svm("RBF", 4)
    yield "one hot", "OneHotEncoder", ids, [(F, 3)], dict(cats_int64s=list(range(50)))
    yield ("imputer NaN", "Imputer", gaps, [(F, 2)],
           dict(imputed_value_floats=floats(20), replaced_value_float=float("nan")))
    yield "imputer one", "Imputer", gaps, [(F, 2)], dict(imputed_value_floats=[0.5], replaced_value_float=float("nan"))
    yield ("label encoder int int", "LabelEncoder", ids, [(I, 2)],
           dict(keys_int64s=list(range(50)), values_int64s=[7 * i for i in range(50)], default_int64=-1))
    yield ("label encoder int float", "LabelEncoder", ids, [(F, 2)],
           dict(keys_int64s=list(range(50)), values_floats=floats(50), default_float=-1.0))
    for norm in "MAX", "L1", "L2":
        yield "normalizer " + norm, "Normalizer", x, [(F, 2)], dict(norm=norm)
    yield "scaler", "Scaler", x, [(F, 2)], dict(offset=floats(20), scale=floats(20))
    yield "binarizer", "Binarizer", x, [(F, 2)], dict(threshold=0.1)


def write(folder, op, x, outs, attributes):
    data = os.path.join(folder, "test_data_set_0")
    os.makedirs(data)
    names = ["y%d" % i for i in range(len(outs))]
    kind = helper.np_dtype_to_tensor_dtype(x.dtype)
    node = helper.make_node(op, ["x"], names, domain="ai.onnx.ml", **attributes)
    graph = helper.make_graph([node], op, [helper.make_tensor_value_info("x", kind, [None, x.shape[1]])],
                              [helper.make_tensor_value_info(n, t, [None] * r) for n, (t, r) in zip(names, outs)])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("ai.onnx.ml", 3), helper.make_opsetid("", 17)],
                              ir_version=8)
    path = os.path.join(folder, "model.onnx")
    onnx.save(model, path)
    with open(os.path.join(data, "input_0.pb"), "wb") as f:
        f.write(numpy_helper.from_array(x, "x").SerializeToString())
    return path, data


def theirs(path, x, threads, seconds):
    o = ort.SessionOptions()
    o.intra_op_num_threads = threads
    s = ort.InferenceSession(path, o, providers=["CPUExecutionProvider"])
    s.run(None, {"x": x})
    times, end = [], time.perf_counter() + seconds
    while time.perf_counter() < end or len(times) < 5:
        t = time.perf_counter()
        out = s.run(None, {"x": x})
        times.append(time.perf_counter() - t)
    return float(np.median(times)) * 1e3, out


def ours(mbr, path, data, threads, seconds, folder):
    out = os.path.join(folder, "out")
    text = subprocess.run([mbr, "bench", path, "--data", data, "--threads", str(threads), "--seconds", str(seconds),
                           "--json", "--save", out], check=True, capture_output=True, text=True).stdout
    values = []
    place = os.path.join(out, "test_data_set_0")
    for i in range(len(os.listdir(place))):
        t = TensorProto()
        with open(os.path.join(place, "output_%d.pb" % i), "rb") as f:
            t.ParseFromString(f.read())
        values.append(numpy_helper.to_array(t))
    return json.loads(text)["median_ms"], values


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--mbr", default="build/mbr")
    p.add_argument("--rows", type=int, default=4096)
    p.add_argument("--threads", type=int, default=1)
    p.add_argument("--seconds", type=float, default=0.3)
    p.add_argument("--only", default="")
    a = p.parse_args()
    print("| operator | mbr ms | ONNX Runtime ms | ratio | largest difference |\n| --- | --- | --- | --- | --- |")
    for name, op, x, outs, attributes in cases(a.rows):
        if a.only not in name:
            continue
        with tempfile.TemporaryDirectory() as folder:
            path, data = write(folder, op, x, outs, attributes)
            t = m = float("inf")
            for _ in range(2):
                one, expected = theirs(path, x, a.threads, a.seconds)
                t = min(t, one)
                one, got = ours(a.mbr, path, data, a.threads, a.seconds, folder)
                m = min(m, one)
        apart = max(float(np.max(np.abs(e.astype(np.float64) - g.astype(np.float64)))) for e, g in zip(expected, got))
        print("| %s | %.4f | %.4f | %.2f | %.2g |" % (name, m, t, t / m, apart), flush=True)


if __name__ == "__main__":
    main()
