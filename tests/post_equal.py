#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Pipelines of `mbr decide` beside the libraries that they are twins of, where those are installed:

isotonic steps and scikit-learn's IsotonicRegression (1 ULP), temperature and softmax and numpy, nearest and numpy's own
search, reasons and XGBoost's pred_contribs(approx_contribs=True), with its covers as nodes_hitrates.
Without numpy and onnx it ends with status 77, a SKIP; a part whose library is missing is left out.
"""
import argparse
import itertools
import json
import os
import random
import subprocess
import sys
import tempfile

try:
    import numpy as np
    import onnx
    from onnx import TensorProto, helper
except ImportError as e:
    print("SKIP:", e)
    sys.exit(77)

failures = 0


def expect(fine, what):
    global failures
    print(("ok    " if fine else "WRONG ") + what)
    failures += not fine


def decide(mbr, folder, pipeline, rows, *options):
    with open(os.path.join(folder, "p.yaml"), "w") as f:
        json.dump(pipeline, f)
    with open(os.path.join(folder, "rows.csv"), "w") as f:
        f.write(",".join(rows) + "\n")
        for values in zip(*rows.values()):
            f.write(",".join(repr(float(v)) if v == v else "" for v in values) + "\n")
    r = subprocess.run([mbr, "decide", os.path.join(folder, "p.yaml"), os.path.join(folder, "rows.csv"), "--json",
                        *options], capture_output=True, text=True)
    if r.returncode:
        raise SystemExit("mbr decide: " + r.stderr)
    return [json.loads(line) for line in r.stdout.splitlines()]


def identity(folder, width, dtype=TensorProto.DOUBLE):
    x = helper.make_tensor_value_info("x", dtype, ["n", width])
    y = helper.make_tensor_value_info("y", dtype, ["n", width])
    g = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "g", [x], [y])
    onnx.save(helper.make_model(g, opset_imports=[helper.make_opsetid("", 17)]), os.path.join(folder, "model.onnx"))


def pipeline(columns, outputs, post, scores, **more):
    return {"version": 1, "name": "twin", "model": {"path": "model.onnx"},
            "inputs": {c: {"type": "number", "missing": "keep"} for c in columns["inputs"]},
            "tensors": [{"input": "x", "from": columns["tensor"]}], "outputs": outputs, "post": post, "scores": scores,
            "rules": [{"name": "all", "then": "DONE"}], **more}


def isotonic(mbr, folder, rng):
    try:
        from sklearn.isotonic import IsotonicRegression
    except ImportError:
        print("left out: scikit-learn is not installed")
        return
    worst = 0
    for _ in range(5):
        identity(folder, 1)
        score = rng.normal(size=400)
        label = (rng.random(400) < 1 / (1 + np.exp(-2 * score))).astype(float)
        r = IsotonicRegression(out_of_bounds="clip").fit(score, label)
        x = np.concatenate([rng.normal(size=500) * 1.5, r.X_thresholds_])
        want = r.predict(x)
        p = pipeline({"inputs": ["s", "want"], "tensor": ["s"]}, [{"name": "y", "output": "y", "column": 0}],
                     [{"name": "c", "kind": "isotonic", "from": "y", "x": r.X_thresholds_.tolist(),
                       "y": r.y_thresholds_.tolist()}, {"name": "d", "kind": "expr", "expr": "c - want"}], ["d"])
        got = np.array([d["scores"]["d"] for d in decide(mbr, folder, p, {"s": x, "want": want})])
        worst = max(worst, np.max(np.abs(got) / np.spacing(np.maximum(want, 1e-300))))
    expect(worst <= 1, f"isotonic: at most {worst:g} ULP from scikit-learn")


def temperature(mbr, folder, rng):
    identity(folder, 4)
    x = rng.normal(size=(300, 4)) * 4
    e = np.exp(x / 1.7 - np.max(x / 1.7, axis=1, keepdims=True))
    want = e / e.sum(axis=1, keepdims=True)
    names = ["a", "b", "c", "d"]
    p = pipeline({"inputs": names, "tensor": names}, [{"name": "y", "output": "y"}],
                 [{"name": "t", "kind": "temperature", "from": "y", "value": 1.7},
                  {"name": "p", "kind": "softmax", "from": "t"},
                  {"name": "best", "kind": "top_k", "from": "p", "k": 4}],
                 ["best.index_1", "best.score_1", "best.index_4", "best.score_4"])
    got = decide(mbr, folder, p, dict(zip(names, x.T)))
    order = np.argsort(-want, axis=1, kind="stable")
    fine = all(d["scores"]["best.index_1"] == o[0] and d["scores"]["best.index_4"] == o[3] and
               abs(d["scores"]["best.score_1"] - w[o[0]]) < 1e-8 and abs(d["scores"]["best.score_4"] - w[o[3]]) < 1e-8
               for d, o, w in zip(got, order, want))
    expect(fine, "temperature, softmax, top_k: as numpy")


def nearest(mbr, folder, rng):
    width, names = 24, [f"x{i}" for i in range(24)]
    identity(folder, width, TensorProto.FLOAT)
    table = rng.normal(size=(3000, width)).astype("<f4")
    np.save(os.path.join(folder, "table.npy"), table)
    x = rng.normal(size=(200, width)).astype("<f4")
    for metric in ("cosine", "dot", "euclidean"):
        p = pipeline({"inputs": names, "tensor": names}, [{"name": "y", "output": "y"}],
                     [{"name": "n", "kind": "nearest", "from": "y", "table": "table.npy", "k": 3, "metric": metric}],
                     ["n.index_1", "n.score_1", "n.index_3", "n.score_3"])
        got = decide(mbr, folder, p, dict(zip(names, x.T)))
        a, b = x.astype(float), table.astype(float)
        s = a @ b.T
        if metric == "cosine":
            s /= np.linalg.norm(a, axis=1)[:, None] * np.linalg.norm(b, axis=1)[None]
        elif metric == "euclidean":
            s = -np.linalg.norm(a[:, None] - b[None], axis=2)
        rank = -np.sort(-s, axis=1)
        worst = max(max(abs(d["scores"]["n.score_1"] - r[0]), abs(d["scores"]["n.score_3"] - r[2]),
                        abs(s[i, int(d["scores"]["n.index_1"])] - r[0])) for i, (d, r) in enumerate(zip(got, rank)))
        expect(worst < 1e-5, f"nearest by {metric}: as numpy, {worst:.1e}")


def arrays(mbr, folder, shapes, post, texts, rows):
    """Tensors of rows straight to post-processing; what the texts of each row say."""
    inputs = [helper.make_tensor_value_info(k, TensorProto.FLOAT, ["n"] + s) for k, s in shapes.items()]
    outputs = [helper.make_tensor_value_info("out_" + k, TensorProto.FLOAT, ["n"] + s) for k, s in shapes.items()]
    nodes = [helper.make_node("Identity", [k], ["out_" + k]) for k in shapes]
    g = helper.make_graph(nodes, "g", inputs, outputs)
    onnx.save(helper.make_model(g, opset_imports=[helper.make_opsetid("", 17)]), os.path.join(folder, "model.onnx"))
    p = {"version": 1, "name": "twin", "model": {"path": "model.onnx"}, "inputs": {k: {"type": "array"} for k in shapes},
         "features": [{"name": "x_" + k, "kind": "array", "from": k, "shape": s} for k, s in shapes.items()],
         "tensors": [{"input": k, "from": "x_" + k} for k in shapes],
         "outputs": [{"name": "y_" + k, "output": "out_" + k, "tensor": True} for k in shapes],
         "post": post, "texts": texts, "rules": [{"name": "all", "then": "DONE"}]}
    with open(os.path.join(folder, "p.yaml"), "w") as f:
        json.dump(p, f)
    with open(os.path.join(folder, "rows.jsonl"), "w") as f:
        for row in rows:
            f.write(json.dumps({k: v.tolist() for k, v in row.items()}) + "\n")
    r = subprocess.run([mbr, "decide", os.path.join(folder, "p.yaml"), os.path.join(folder, "rows.jsonl"), "--json"],
                       capture_output=True, text=True)
    if r.returncode:
        raise SystemExit("mbr decide: " + r.stderr + r.stdout[:1000])
    return [json.loads(line)["texts"] for line in r.stdout.splitlines()]


def ctc(mbr, folder, rng):
    frames, labels = 14, "-abcd"
    logits = rng.normal(size=(300, frames, len(labels))) * 1.5
    p = (np.exp(logits) / np.exp(logits).sum(axis=2, keepdims=True)).astype("<f4")
    short = p[:40, :6, :3] / p[:40, :6, :3].sum(axis=2, keepdims=True)

    def texts(x, width):
        step = {"name": "t", "kind": "ctc", "from": "y_p", "labels": list(labels[:x.shape[2]]), "input": "probabilities",
                "beam": width}
        return arrays(mbr, folder, {"p": list(x.shape[1:])}, [step], ["t", "t.score"], [{"p": row} for row in x])

    def collapse(path):
        return "".join(labels[s] for i, s in enumerate(path) if s and (i == 0 or path[i - 1] != s))

    worst, same = 0, 0
    for row, got in zip(short, texts(short, 1000)):  # all paths, one by one
        sums = {}
        for path in itertools.product(range(3), repeat=6):
            text = collapse(path)
            sums[text] = sums.get(text, 0) + float(np.prod(row[range(6), path].astype(float)))
        best = max(sums, key=sums.get)
        same += (got["t"] or "") == best
        worst = max(worst, abs(float(got["t.score"]) - np.log(sums[best])))
    expect(same == len(short) and worst < 1e-5, f"ctc, a wide beam: the sum over all alignments, {worst:.1e}")
    try:
        import fast_ctc_decode
    except ImportError:
        print("left out: fast-ctc-decode is not installed")
        return
    greedy = [(d["t"] or "") == fast_ctc_decode.viterbi_search(row, labels)[0] for row, d in zip(p, texts(p, 1))]
    expect(all(greedy), f"ctc, the best of each frame: as fast-ctc-decode in {sum(greedy)} of {len(greedy)} rows")
    beam = [(d["t"] or "") == fast_ctc_decode.beam_search(row, labels, beam_size=50, beam_cut_threshold=0.0)[0]
            for row, d in zip(p, texts(p, 50))]
    # its probabilities are f32, so that two that are nearly alike may change places
    expect(np.mean(beam) > 0.99, f"ctc, a beam of 50: as fast-ctc-decode in {sum(beam)} of {len(beam)} rows")


def boxes(mbr, folder, rng):
    try:
        import onnxruntime
    except ImportError:
        print("left out: onnxruntime is not installed")
        return
    count, classes = 40, 3
    constants = [helper.make_tensor("most", TensorProto.INT64, [1], [count]),
                 helper.make_tensor("iou", TensorProto.FLOAT, [1], [0.45]),
                 helper.make_tensor("least", TensorProto.FLOAT, [1], [0.3])]
    g = helper.make_graph([helper.make_node("NonMaxSuppression", ["b", "s", "most", "iou", "least"], ["i"])], "g",
                          [helper.make_tensor_value_info("b", TensorProto.FLOAT, [1, count, 4]),
                           helper.make_tensor_value_info("s", TensorProto.FLOAT, [1, classes, count])],
                          [helper.make_tensor_value_info("i", TensorProto.INT64, ["k", 3])], constants)
    ort = onnxruntime.InferenceSession(
        helper.make_model(g, opset_imports=[helper.make_opsetid("", 11)], ir_version=8).SerializeToString())
    rows, wants = [], []
    for _ in range(100):
        corner = rng.random((count, 2)) * 60
        b = np.concatenate([corner, corner + 5 + rng.random((count, 2)) * 40], axis=1).astype("<f4")
        s = rng.random((count, classes)).astype("<f4")
        rows.append({"b": b, "s": s})
        picked = ort.run(None, {"b": b[None], "s": s.T[None]})[0]
        wants.append(sorted((-float(s[k, c]), int(c), *map(float, b[k])) for _, c, k in picked))
    step = {"name": "d", "kind": "boxes", "from": ["y_b", "y_s"], "format": "corners", "score_threshold": 0.3,
            "iou_threshold": 0.45, "most": count * classes}
    got = arrays(mbr, folder, {"b": [count, 4], "s": [count, classes]},
                 [step, {"name": "v", "kind": "values", "from": "d", "width": 6 * count * classes}], ["d.count", "v"], rows)
    fine = 0
    for d, want in zip(got, wants):
        x = [float(d[f"v[{i}]"]) for i in range(6 * int(d["d.count"]))]
        have = sorted((-x[i + 4], int(x[i + 5]), *x[i:i + 4]) for i in range(0, len(x), 6))
        fine += len(have) == len(want) and np.allclose(have, want, atol=1e-5)
    expect(fine == len(rows), f"boxes: as onnxruntime's NonMaxSuppression in {fine} of {len(rows)} rows")


def forest(booster, features, hits):
    """XGBoost's trees as a TreeEnsembleRegressor."""
    columns = {k: [] for k in ("treeids", "nodeids", "featureids", "values", "modes", "truenodeids", "falsenodeids",
                               "missing_value_tracks_true", "hitrates")}
    leaf = {k: [] for k in ("treeids", "nodeids", "ids", "weights")}

    def walk(tree, n):
        is_leaf = "leaf" in n
        columns["treeids"].append(tree)
        columns["nodeids"].append(n["nodeid"])
        columns["featureids"].append(0 if is_leaf else int(n["split"][1:]))
        columns["values"].append(0.0 if is_leaf else float(np.float32(n["split_condition"])))
        columns["modes"].append("LEAF" if is_leaf else "BRANCH_LT")
        columns["truenodeids"].append(0 if is_leaf else n["yes"])
        columns["falsenodeids"].append(0 if is_leaf else n["no"])
        columns["missing_value_tracks_true"].append(int(not is_leaf and n["missing"] == n["yes"]))
        columns["hitrates"].append(float(n["cover"]))
        if is_leaf:
            for k, v in zip(leaf, (tree, n["nodeid"], 0, float(n["leaf"]))):
                leaf[k].append(v)
        for child in n.get("children", []):
            walk(tree, child)

    for i, text in enumerate(booster.get_dump(dump_format="json", with_stats=True)):
        walk(i, json.loads(text))
    if not hits:
        del columns["hitrates"]
    attributes = {"nodes_" + k: v for k, v in columns.items()}
    attributes.update({"target_" + k: v for k, v in leaf.items()})
    node = helper.make_node("TreeEnsembleRegressor", ["x"], ["y"], name="trees", domain="ai.onnx.ml", n_targets=1,
                            post_transform="NONE", **attributes)
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", features])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 1])
    g = helper.make_graph([node], "g", [x], [y])
    return helper.make_model(g, opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)])


def reasons(mbr, folder, rng):
    try:
        import xgboost
    except ImportError:
        print("left out: XGBoost is not installed")
        return
    width, names = 8, [f"f{i}" for i in range(8)]
    x = rng.normal(size=(3000, width)).astype(np.float32)
    x[rng.random(x.shape) < 0.1] = np.nan
    label = (np.nansum(x[:, :3], axis=1) + np.nan_to_num(x[:, 3] * x[:, 4]) + rng.normal(size=3000) > 0).astype(int)
    data = xgboost.DMatrix(x, label, feature_names=names)
    booster = xgboost.train({"max_depth": 5, "eta": 0.2, "objective": "binary:logistic", "base_score": 0.5,
                             "tree_method": "hist", "nthread": 1}, data, 60)
    onnx.save(forest(booster, width, True), os.path.join(folder, "model.onnx"))
    rows = x[:300]
    want = booster.predict(xgboost.DMatrix(rows, feature_names=names), pred_contribs=True, approx_contribs=True)
    margin = booster.predict(xgboost.DMatrix(rows, feature_names=names), output_margin=True)
    p = pipeline({"inputs": names, "tensor": names}, [{"name": "y", "output": "y", "column": 0}], [], ["y"],
                 reasons={"top": 64, "direction": "both"})
    got = decide(mbr, folder, p, dict(zip(names, rows.T)),
                 "--reasons")
    worst = score = 0
    for d, w, m in zip(got, want, margin):
        r = {e["name"]: e["contribution"] for e in d.get("reasons", [])}
        worst = max(worst, max(abs(r.get(n, 0) - w[i]) for i, n in enumerate(names)))
        score = max(score, abs(d["scores"]["y"] - m))
    expect(score < 1e-5, f"XGBoost's trees: the margin within {score:.1e}")
    expect(worst < 2e-5, f"reasons: XGBoost's approximate contributions within {worst:.1e}")
    exact = booster.predict(xgboost.DMatrix(rows, feature_names=names), pred_contribs=True)[:, :-1]
    same = sum(max(d["reasons"], key=lambda e: e["contribution"])["name"] == names[int(np.argmax(e))]
               for d, e in zip(got, exact) if d.get("reasons"))
    print(f"      the first reason is that of TreeSHAP in {same} of {len(got)} rows")


def main():
    a = argparse.ArgumentParser()
    a.add_argument("--mbr", default="./mbr")
    a.add_argument("--seed", type=int, default=int(os.environ.get("MBR_SEED") or random.randrange(10**6)))
    a = a.parse_args()
    print("seed", a.seed)
    rng = np.random.default_rng(a.seed)
    for part in (isotonic, temperature, nearest, ctc, boxes, reasons):
        with tempfile.TemporaryDirectory() as folder:
            part(a.mbr, folder, rng)
    sys.exit(failures > 0)


main()
