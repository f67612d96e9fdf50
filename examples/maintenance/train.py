#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Makes the files of this folder: sensors of fans that fail (world.py), and a network that sees it coming.

    pip install numpy scikit-learn jax optax onnx
    python3 train.py --mbr ../../build/mbr  # rewrites model.onnx, model.drift, sample.csv, changed.csv, expected.*

A temporal convolutional network reads the last 64 rows of a fan, four sensors, and tells the chance that the fan fails
within four minutes, and for how long it will run. It is judged on fans that it never saw.
"""
import argparse
import csv
import json
import os
import subprocess
import tempfile

import jax
import jax.numpy as jnp
import numpy as np
import onnx
import optax
from onnx import TensorProto, helper, numpy_helper
from sklearn.metrics import mean_absolute_error, roc_auc_score

from world import CHANNELS, park

SEED = 20240611
HERE = os.path.dirname(os.path.abspath(__file__))
WINDOW, STRIDE, WIDTH, DILATIONS = 64, 16, 20, (1, 2, 4, 8)
SOON = 240.0        # seconds
MEAN, SCALE = [0.0, 45.0, 7.5, 225.0], [0.8, 4.0, 1.5, 42.0]


# ---- the windows of a stream: the twin of the step `window` ----

def windows(times, assets, values):
    """Of each row whose window is due: the row's index, and the last WINDOW rows of its fan."""
    past, seen, at, out = {}, {}, [], []
    for i, (asset, row) in enumerate(zip(assets.tolist(), values)):
        kept = past.setdefault(asset, [])
        kept.append(row)
        seen[asset] = seen.get(asset, 0) + 1
        if len(kept) > WINDOW:
            kept.pop(0)
        if seen[asset] >= WINDOW and (seen[asset] - WINDOW) % STRIDE == 0:
            at.append(i)
            out.append(np.stack(kept))
    scaled = (np.array(out) - MEAN) / SCALE
    return np.array(at), scaled.astype(np.float32)


# ---- the network ----

def start(key):
    def weight(*shape):
        nonlocal key
        key, now = jax.random.split(key)
        return jax.random.normal(now, shape) * np.sqrt(2.0 / np.prod(shape[1:]))

    p = {}
    inputs = len(CHANNELS)
    for k in range(len(DILATIONS)):
        p["conv%d.weight" % k], p["conv%d.bias" % k] = weight(WIDTH, inputs, 3), jnp.zeros(WIDTH)
        inputs = WIDTH
    p["hidden.weight"], p["hidden.bias"] = weight(32, 3 * WIDTH).T, jnp.zeros(32)
    p["head.weight"], p["head.bias"] = 0.3 * weight(2, 32).T, jnp.zeros(2)
    return p


def network(p, x):
    """(rows, WINDOW, sensors) to the logit of failing soon, and the logarithm of the minutes left plus one."""
    h = jnp.transpose(x, (0, 2, 1))
    for k, d in enumerate(DILATIONS):
        y = jax.lax.conv_general_dilated(h, p["conv%d.weight" % k], (1,), [(2 * d, 0)], rhs_dilation=(d,))
        y = jax.nn.relu(y + p["conv%d.bias" % k][:, None])
        h = y + h if k else y
    h = jnp.concatenate([h[:, :, -1], h.mean(axis=2), h.max(axis=2)], axis=1)
    h = jax.nn.relu(h @ p["hidden.weight"] + p["hidden.bias"])
    return h @ p["head.weight"] + p["head.bias"]


def minutes(left):
    return np.log1p(np.minimum(left, 900.0) / 60)


def train(p, x, left, epochs, rng):
    soon, life = (left < SOON).astype(np.float32), minutes(left).astype(np.float32)
    batch = 256
    total = epochs * (len(x) // batch)
    rule = optax.adam(optax.cosine_decay_schedule(4e-3, total))
    state = rule.init(p)

    @jax.jit
    def step(p, state, x, soon, life):
        def loss(p):
            out = network(p, x)
            return optax.sigmoid_binary_cross_entropy(out[:, 0], soon).mean() + 0.3 * jnp.abs(out[:, 1] - life).mean()

        value, slope = jax.value_and_grad(loss)(p)
        change, state = rule.update(slope, state)
        return optax.apply_updates(p, change), state, value

    for epoch in range(epochs):
        order, sums = rng.permutation(len(x)), 0.0
        for k in range(len(x) // batch):
            at = order[k * batch:(k + 1) * batch]
            p, state, value = step(p, state, x[at], soon[at], life[at])
            sums += float(value)
        print("epoch %2d: loss %.4f" % (epoch + 1, sums / (len(x) // batch)), flush=True)
    return p


def predict(p, x):
    out = np.concatenate([np.asarray(jax.jit(network)(p, x[k:k + 2048])) for k in range(0, len(x), 2048)])
    return 1 / (1 + np.exp(-out[:, 0].astype(float))), 60 * np.expm1(out[:, 1].astype(float))


def export(p, path):
    constants = {name: np.asarray(v, np.float32) for name, v in p.items()}
    constants.update({"one": np.float32(1), "sixty": np.float32(60), "last": np.array([WINDOW - 1]),
                      "end": np.array([WINDOW]), "axis": np.array([2]), "both": np.array([1, 1])})
    nodes = [helper.make_node("Transpose", ["window"], ["h"], perm=[0, 2, 1])]
    h = "h"
    for k, d in enumerate(DILATIONS):
        nodes += [helper.make_node("Conv", [h, "conv%d.weight" % k, "conv%d.bias" % k], ["c%d" % k], kernel_shape=[3],
                                   dilations=[d], pads=[2 * d, 0]),
                  helper.make_node("Relu", ["c%d" % k], ["r%d" % k])]
        if k:
            nodes.append(helper.make_node("Add", ["r%d" % k, h], ["h%d" % k]))
        h = "h%d" % k if k else "r0"
    nodes += [
        helper.make_node("Slice", [h, "last", "end", "axis"], ["newest3"]),
        helper.make_node("Squeeze", ["newest3", "axis"], ["newest"]),
        helper.make_node("ReduceMean", [h, "axis"], ["mean"], keepdims=0),
        helper.make_node("ReduceMax", [h, "axis"], ["most"], keepdims=0),
        helper.make_node("Concat", ["newest", "mean", "most"], ["pooled"], axis=1),
        helper.make_node("Gemm", ["pooled", "hidden.weight", "hidden.bias"], ["hidden"]),
        helper.make_node("Relu", ["hidden"], ["bent"]),
        helper.make_node("Gemm", ["bent", "head.weight", "head.bias"], ["both_out"]),
        helper.make_node("Split", ["both_out", "both"], ["logit", "log_minutes"], axis=1),
        helper.make_node("Sigmoid", ["logit"], ["failing"]),
        helper.make_node("Exp", ["log_minutes"], ["more"]),
        helper.make_node("Sub", ["more", "one"], ["minutes"]),
        helper.make_node("Mul", ["minutes", "sixty"], ["seconds_left"]),
    ]
    value = lambda name, shape: helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
    graph = helper.make_graph(nodes, "fans", [value("window", ["rows", WINDOW, len(CHANNELS)])],
                              [value("failing", ["rows", 1]), value("seconds_left", ["rows", 1])],
                              [numpy_helper.from_array(np.asarray(v), name) for name, v in constants.items()])
    model = helper.make_model(graph, producer_name="examples/maintenance/train.py", ir_version=8,
                              opset_imports=[helper.make_opsetid("", 18)])
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)


# ---- files ----

def write_rows(path, t, asset, values):
    with open(path, "w", newline="", encoding="utf-8") as f:
        out = csv.writer(f, lineterminator="\n")
        out.writerow(["time", "fan"] + CHANNELS)
        for when, who, v in zip(t, asset, values):
            out.writerow([when, "F%03d" % who, "%.3f" % v[0], "%.2f" % v[1], "%.2f" % v[2], "%.1f" % v[3]])


def fit_baseline(mbr, path, values, scores, labels):
    with tempfile.TemporaryDirectory() as folder:
        table = os.path.join(folder, "baseline.csv")
        with open(table, "w", newline="", encoding="utf-8") as f:
            out = csv.writer(f, lineterminator="\n")
            out.writerow(CHANNELS + ["failing", "label"])
            for v, p, y in zip(values, scores, labels):
                out.writerow(["%.17g" % n for n in v] + ["%.17g" % p, int(y)])
        subprocess.run([mbr, "drift", "fit", table, "--score", "failing", "--label", "label", "-o", path], check=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", default=HERE, help="folder to write to")
    parser.add_argument("--mbr", default="mbr", help="the program, which fits the baseline of drift")
    parser.add_argument("--epochs", type=int, default=10)
    args = parser.parse_args()
    path = lambda name: os.path.join(args.out, name)
    t, asset, values, left = park(SEED, 260, 1500)
    at, x = windows(t, asset, values)
    print("%d windows, %.1f %% fail within %d s" % (len(at), 100 * (left[at] < SOON).mean(), SOON))
    p = train(start(jax.random.PRNGKey(SEED)), x, left[at], args.epochs, np.random.default_rng(SEED))
    export(p, path("model.onnx"))
    print("model.onnx: %d bytes" % os.path.getsize(path("model.onnx")))

    def judge(what, t, asset, values, left):
        at, x = windows(t, asset, values)
        score, life = predict(p, x)
        soon, known = left[at] < SOON, left[at] < 900
        swing, heat = (x[:, :, 0].std(axis=1), x[:, :, 1].mean(axis=1)) if len(x) else ([], [])
        marks = {"trainer": roc_auc_score(soon, score), "vibration": roc_auc_score(soon, swing),
                 "temperature": roc_auc_score(soon, heat)}
        print("%s: %d rows, %d windows, %.1f %% fail soon; ROC-AUC %.4f, of the vibration's deviation %.4f, of the mean "
              "temperature %.4f; life off by %.0f s (a constant %.0f s)" % (
                  what, len(t), len(at), 100 * soon.mean(), marks["trainer"], marks["vibration"],
                  marks["temperature"], mean_absolute_error(left[at][known], life[known]),
                  np.abs(left[at][known] - np.median(left[at][known])).mean()))
        return at, x, score, life, soon, marks

    judge("test", *park(SEED, 80, 1500, first=300))
    base_rows = park(SEED, 56, 1800, first=500)     # the fans of the sample, earlier
    at, _, score, _, soon, _ = judge("baseline", *base_rows)
    fit_baseline(args.mbr, path("model.drift"), base_rows[2][at], score, soon)
    rows = park(SEED, 56, 240, first=500, faults=2.0)
    at, x, score, life, soon, marks = judge("sample", *rows)
    write_rows(path("sample.csv"), *rows[:3])
    with open(path("expected.csv"), "w", newline="", encoding="utf-8") as f:
        out = csv.writer(f, lineterminator="\n")
        out.writerow(["row", "fan", "failing", "seconds_left", "fails_soon"])
        for i, s, l, y in zip(at, score, life, soon):
            out.writerow([i + 1, "F%03d" % rows[1][i], "%.7f" % s, "%.2f" % l, int(y)])
    with open(path("expected.json"), "w", encoding="utf-8") as f:
        json.dump({"measure": "roc_auc", "trainer": round(float(marks["trainer"]), 6), "trivial": round(
            float(max(marks["vibration"], marks["temperature"])), 6), "margin": 0.1, "tolerance": 0.002}, f, indent=1)
        f.write("\n")
    changed = park(SEED, 56, 200, first=500, changed=True)
    judge("changed", *changed)
    write_rows(path("changed.csv"), *changed[:3])
    os.makedirs(path("test_data_set_0"), exist_ok=True)
    for k, (name, array) in enumerate((("input_0", x[:8]), ("output_0", score[:8, None]), ("output_1", life[:8, None]))):
        label = ("window", "failing", "seconds_left")[k]
        with open(path(os.path.join("test_data_set_0", name + ".pb")), "wb") as f:
            f.write(numpy_helper.from_array(array.astype(np.float32), label).SerializeToString())


if __name__ == "__main__":
    main()
