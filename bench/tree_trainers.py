#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""How mbr's scores differ from those of the library that trained a forest.

    tree_trainers.py --mbr build/mbr [--rows 20000]

Trains XGBoost, LightGBM and scikit-learn (those that are installed), writes the trees as ONNX twice, with thresholds and
weights in f32 as converters do, and in f64, and compares with the library's own prediction for f32 rows, many of them
with values on thresholds.
"""
import argparse
import json
import os
import subprocess
import tempfile

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


class Forest:
    def __init__(self, mode, base=0.0, scale=1.0):
        self.mode, self.base, self.scale = mode, base, scale
        self.nodes, self.trees = [], 0  # (tree, id, feature, value, mode, yes, no, missing, weight)

    def add(self, nodes):
        """One tree: (feature, value, yes, no, missing goes to yes) for a branch, a weight for a leaf; by node id."""
        for k, n in enumerate(nodes):
            if isinstance(n, tuple):
                self.nodes.append((self.trees, k, n[0], n[1], self.mode, n[2], n[3], int(n[4]), 0.0))
            else:
                self.nodes.append((self.trees, k, 0, 0.0, "LEAF", 0, 0, 0, n * self.scale))
        self.trees += 1

    def thresholds(self):
        return [(n[2], n[3]) for n in self.nodes if n[4] != "LEAF"]

    def write(self, path, features, wide):
        tree, node, feature, value, mode, yes, no, missing, _ = map(list, zip(*self.nodes))
        leaves = [n for n in self.nodes if n[4] == "LEAF"]
        weight = [n[8] for n in leaves]
        attrs = dict(n_targets=1, nodes_treeids=tree, nodes_nodeids=node, nodes_featureids=feature, nodes_modes=mode,
                     nodes_truenodeids=yes, nodes_falsenodeids=no, nodes_missing_value_tracks_true=missing,
                     target_treeids=[n[0] for n in leaves], target_nodeids=[n[1] for n in leaves],
                     target_ids=[0] * len(leaves))
        for name, v in dict(nodes_values=value, target_weights=weight, base_values=[self.base]).items():
            if wide:
                attrs[name + "_as_tensor"] = numpy_helper.from_array(np.array(v, np.float64), name)
            else:
                attrs[name] = [float(np.float32(x)) for x in v]
        op = helper.make_node("TreeEnsembleRegressor", ["X"], ["Y"], domain="ai.onnx.ml", **attrs)
        graph = helper.make_graph([op], "forest",
                                  [helper.make_tensor_value_info("X", TensorProto.FLOAT, [None, features])],
                                  [helper.make_tensor_value_info("Y", TensorProto.FLOAT, [None, 1])])
        opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
        onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), path)


def xgboost_forest(x, y):
    import xgboost
    model = xgboost.XGBRegressor(n_estimators=100, max_depth=6, n_jobs=1).fit(x, y)
    dump = json.loads(model.get_booster().save_raw("json"))["learner"]
    base = float(np.float32(json.loads(dump["learner_model_param"]["base_score"].strip("[]"))))
    forest = Forest("BRANCH_LT", base)
    for t in dump["gradient_booster"]["model"]["trees"]:
        forest.add([(t["split_indices"][k], float(np.float32(v)), t["left_children"][k], t["right_children"][k],
                     t["default_left"][k]) if t["left_children"][k] >= 0 else float(np.float32(v))
                    for k, v in enumerate(t["split_conditions"])])
    return forest, model.predict


def lightgbm_forest(x, y):
    import lightgbm
    model = lightgbm.LGBMRegressor(n_estimators=100, num_leaves=63, n_jobs=1, verbose=-1).fit(x, y)
    forest = Forest("BRANCH_LEQ")
    for t in model.booster_.dump_model()["tree_info"]:
        nodes, todo = [None], [(0, t["tree_structure"])]
        while todo:
            k, n = todo.pop()
            if "leaf_value" in n:
                nodes[k] = n["leaf_value"]
                continue
            nodes[k] = (n["split_feature"], n["threshold"], len(nodes), len(nodes) + 1,
                        n["missing_type"] == "NaN" and n["default_left"])
            todo += [(len(nodes), n["left_child"]), (len(nodes) + 1, n["right_child"])]
            nodes += [None, None]
        forest.add(nodes)
    return forest, model.predict


def sklearn_forest(x, y):
    from sklearn.ensemble import RandomForestRegressor
    model = RandomForestRegressor(n_estimators=50, min_samples_leaf=5, n_jobs=1, random_state=1).fit(x, y)
    forest = Forest("BRANCH_LEQ", scale=1 / 50)
    for e in model.estimators_:
        t = e.tree_
        forest.add([(int(t.feature[k]), float(t.threshold[k]), int(t.children_left[k]), int(t.children_right[k]),
                     bool(t.missing_go_to_left[k])) if t.children_left[k] >= 0 else float(t.value[k].ravel()[0])
                    for k in range(t.node_count)])
    return forest, model.predict


def run(mbr, path, rows):
    with tempfile.TemporaryDirectory() as d:
        with open(os.path.join(d, "input_0.pb"), "wb") as f:
            f.write(numpy_helper.from_array(rows, "X").SerializeToString())
        subprocess.run([mbr, "run", path, "--data", d, "--save", d], check=True, stdout=subprocess.DEVNULL)
        return numpy_helper.to_array(onnx.load_tensor(os.path.join(d, "output_0.pb"))).ravel()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mbr", required=True)
    parser.add_argument("--rows", type=int, default=20000)
    args = parser.parse_args()
    random_ = np.random.default_rng(1)
    x = random_.normal(size=(4000, 10)).astype(np.float32)
    y = x[:, 0] * x[:, 1] + np.sin(3 * x[:, 2]) + 0.1 * random_.normal(size=4000)
    print("| trainer | numbers in the file | scores that differ | by more than 2 units | largest difference, units |")
    print("| --- | --- | --- | --- | --- |")
    for name, train in (("XGBoost", xgboost_forest), ("LightGBM", lightgbm_forest), ("scikit-learn", sklearn_forest)):
        try:
            forest, predict = train(x, y)
        except ImportError as e:
            print(f"| {name} | {e} |  |  |  |")
            continue
        rows = random_.normal(size=(args.rows, 10)).astype(np.float32)
        cuts = forest.thresholds()
        for r in rows:
            for _ in range(3):
                f, v = cuts[random_.integers(len(cuts))]
                r[f] = np.float32(v)
        own = np.asarray(predict(rows), np.float64).ravel()
        for wide in (False, True):
            with tempfile.TemporaryDirectory() as d:
                path = os.path.join(d, "model.onnx")
                forest.write(path, 10, wide)
                got = run(args.mbr, path, rows)
            unit = np.spacing(np.maximum(np.abs(own), 0.1).astype(np.float32)).astype(np.float64)
            off = np.abs(got - own.astype(np.float32)) / unit
            print(f"| {name} | {'f64' if wide else 'f32'} | {np.mean(off > 0):.2%} | {np.mean(off > 2):.2%} "
                  f"| {off.max():.3g} |", flush=True)


if __name__ == "__main__":
    main()
