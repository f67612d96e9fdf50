#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Makes everything in this folder: synthetic card payments, a boosted-tree model of fraud, its pipeline.

    pip install numpy lightgbm scikit-learn onnx
    python3 train.py --mbr ../../build/mbr  # rewrites model.onnx, pipeline.yaml, model.drift, the CSV files, expected.json

world.py invents the payments. The model is trained on some issuers of cards, thresholds are chosen on others, and it
is judged on others again. What a card or a shop did in the last hour and day is computed from the stream alone, as the
pipeline computes it: from nothing at the first row of a file on.

Everything is seeded: two runs with the same library versions write the same files.
"""
import argparse
import collections
import csv
import json
import os
import subprocess
import tempfile
import textwrap

import lightgbm
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from sklearn.metrics import average_precision_score, roc_auc_score

from world import CATEGORIES, FX, Issuer, merge, write_rows

SEED = 20240229
HERE = os.path.dirname(os.path.abspath(__file__))
HOUR, DAY = 3600, 86400

# What is remembered of each card and shop: name, key, seconds, function, column. The row itself counts.
AGGREGATES = [
    ("card_tx_1h", "card", HOUR, "count", None), ("card_tx_1d", "card", DAY, "count", None),
    ("card_sum_1d", "card", DAY, "sum", "eur"), ("card_mean_1d", "card", DAY, "mean", "eur"),
    ("card_shops_1d", "card", DAY, "distinct", "merchant"), ("card_countries_1d", "card", DAY, "distinct", "country"),
    ("card_new_1d", "card", DAY, "sum", "new_device"), ("shop_tx_1h", "merchant", HOUR, "count", None),
    ("shop_cards_1h", "merchant", HOUR, "distinct", "card"), ("shop_mean_1d", "merchant", DAY, "mean", "eur"),
]
NAMES = ["log_amount", "hour", "weekday", "night", "card_present", "age", "age_missing", "log_account_age",
         "account_bucket", "abroad", "country_rank", "category_rate", "category_code", "channel_device_code",
         "new_device", "currency_code", "log_category_ratio", "log_card_ratio", "log_shop_ratio", "card_share_1d",
         "card_tx_1h", "card_tx_1d", "log_card_sum_1d", "log_card_mean_1d", "card_shops_1d", "card_countries_1d",
         "card_new_1d", "shop_tx_1h", "shop_cards_1h", "log_shop_mean_1d"]
REASONS = {
    "log_amount": "amount", "log_category_ratio": "amount for this kind of shop", "log_shop_ratio": "amount for this shop",
    "log_card_ratio": "amount for this card", "card_share_1d": "amount for this card", "hour": "time of day",
    "night": "time of day", "abroad": "country", "country_rank": "country", "category_rate": "kind of shop",
    "category_code": "kind of shop", "channel_device_code": "channel and device", "new_device": "device never seen",
    "currency_code": "currency", "log_account_age": "new account", "account_bucket": "new account",
    "card_tx_1h": "many payments within the hour", "card_tx_1d": "many payments within the day",
    "log_card_sum_1d": "sum within the day", "log_card_mean_1d": "sum within the day",
    "card_shops_1d": "many shops within the day", "card_countries_1d": "several countries within the day",
    "card_new_1d": "new devices within the day", "shop_tx_1h": "shop is unusually busy",
    "shop_cards_1h": "shop sees many cards", "log_shop_mean_1d": "shop's usual amount",
}
CROSSES = ["pos|", "atm|", "ecom|known", "ecom|new", "phone|new", "phone|known"]
EDGES = [30, 90, 365, 1095]


# ---- the features: numpy twins of the steps in pipeline.yaml ----

def aggregate(rows, key, seconds, what, column):
    """Of the rows with the same key no older than `seconds`: later than this row's time less the window."""
    out = np.empty(len(rows["timestamp"]))
    times, keys = rows["timestamp"].tolist(), rows[key]
    values = rows[column] if column else out
    values = values.tolist() if isinstance(values, np.ndarray) else values
    past = collections.defaultdict(collections.deque)
    for i, (t, k) in enumerate(zip(times, keys)):
        window = past[k]
        window.append((t, values[i]))
        while window[0][0] <= t - seconds:
            window.popleft()
        if what == "count":
            out[i] = len(window)
        elif what == "distinct":
            out[i] = len({v for _, v in window})
        else:
            out[i] = sum(v for _, v in window) / (len(window) if what == "mean" else 1)
    return out


class Features:
    def __init__(self, rows):
        """Learns medians, scales, categories and rates from the training rows."""
        known = rows["customer_age"][~np.isnan(rows["customer_age"])]
        self.age_median, self.age_mean, self.age_scale = float(np.median(known)), 44.0, 16.0
        counts = collections.Counter(rows["country"])
        self.countries = sorted(counts, key=lambda c: (-counts[c], c))
        self.base_rate = round(float(rows["fraud"].mean()), 6)
        category = np.array(rows["merchant_category"], object)
        self.rates = {}
        for m in sorted(CATEGORIES):
            hit = rows["fraud"][category == m]
            self.rates[m] = round((hit.sum() + 200 * self.base_rate) / (len(hit) + 200), 6)     # smoothed
        self.typical = {m: float(CATEGORIES[m][1]) for m in sorted(CATEGORIES)}

    def columns(self, rows):
        code = lambda name, values: np.array([values.get(v, -1.0) for v in rows[name]])
        table = lambda name, values, unknown: np.array([values.get(v, unknown) for v in rows[name]])
        places = lambda values: {v: float(i) for i, v in enumerate(values)}
        c = {name: rows[name] for name in ("timestamp", "card", "merchant", "country")}
        c["eur"] = rows["amount"] * table("currency", FX, 1.0)
        c["new_device"] = np.array([1.0 if d == "new" else 0.0 for d in rows["device"]])
        for name, key, seconds, what, column in AGGREGATES:
            c[name] = aggregate(c, key, seconds, what, column)
        stamp, days = rows["timestamp"], rows["account_age_days"]
        c["log_amount"] = np.log(c["eur"] + 1)
        c["hour"] = (stamp // 3600 % 24).astype(float)
        c["weekday"] = ((stamp // 86400 + 3) % 7).astype(float)     # 1970-01-01 was a Thursday; Monday is 0
        c["night"] = (c["hour"] < 6).astype(float)
        c["card_present"] = rows["card_present"].astype(float)
        age = rows["customer_age"]
        c["age"] = (np.where(np.isnan(age), self.age_median, age) - self.age_mean) / self.age_scale
        c["age_missing"] = np.isnan(age).astype(float)
        c["log_account_age"] = np.log(days + 1)
        c["account_bucket"] = np.searchsorted(EDGES, days, side="right").astype(float)
        c["abroad"] = np.array([float(a != b) for a, b in zip(rows["country"], rows["home_country"])])
        c["country_rank"] = code("country", places(self.countries))
        c["category_rate"] = table("merchant_category", self.rates, self.base_rate)
        c["category_code"] = code("merchant_category", places(sorted(CATEGORIES)))
        pairs = places(CROSSES)
        c["channel_device_code"] = np.array([pairs.get(a + "|" + b, -1.0) for a, b in zip(rows["channel"],
                                                                                        rows["device"])])
        c["currency_code"] = code("currency", places(sorted(FX)))
        c["log_category_ratio"] = np.log(c["eur"] / table("merchant_category", self.typical, 40.0) + 1)
        c["log_card_ratio"] = np.log(c["eur"] / c["card_mean_1d"] + 1)
        c["log_shop_ratio"] = np.log(c["eur"] / c["shop_mean_1d"] + 1)
        c["card_share_1d"] = c["eur"] / c["card_sum_1d"]
        for name in ("card_sum_1d", "card_mean_1d", "shop_mean_1d"):
            c["log_" + name] = np.log(c[name] + 1)
        return c

    def matrix(self, rows):
        c = self.columns(rows)
        return np.stack([c[name] for name in NAMES], axis=1).astype(np.float32), c


# ---- the model ----

def export(booster, feature_count, path):
    """The booster as one TreeEnsembleRegressor and a Sigmoid.

    Features are float32, so a threshold may be rounded down to float32 without sending any value another way.
    """
    a = {k: [] for k in ("treeids", "nodeids", "featureids", "values", "modes", "truenodeids", "falsenodeids",
                         "missing_value_tracks_true")}
    t = {k: [] for k in ("treeids", "nodeids", "ids", "weights")}

    depth = [0]

    def below(x):
        f = np.float32(x)
        return f if float(f) <= x else np.nextafter(f, np.float32(-np.inf))

    def add(tree, node, next_id, level=0):
        me = next_id[0]
        depth[0] = max(depth[0], level)
        next_id[0] += 1
        at = len(a["nodeids"])
        for key in a:
            a[key].append(0)
        a["treeids"][at], a["nodeids"][at] = tree, me
        if "leaf_value" in node:
            a["modes"][at], a["values"][at] = "LEAF", 0.0
            t["treeids"].append(tree)
            t["nodeids"].append(me)
            t["ids"].append(0)
            t["weights"].append(float(np.float32(node["leaf_value"])))
            return me
        assert node["decision_type"] == "<="
        # LightGBM reads a missing value as 0 where training saw none in this feature.
        left = node["default_left"] if node["missing_type"] == "NaN" else 0.0 <= node["threshold"]
        a["modes"][at], a["featureids"][at] = "BRANCH_LEQ", node["split_feature"]
        a["values"][at] = float(below(node["threshold"]))
        a["missing_value_tracks_true"][at] = int(left)
        a["truenodeids"][at] = add(tree, node["left_child"], next_id, level + 1)
        a["falsenodeids"][at] = add(tree, node["right_child"], next_id, level + 1)
        return me

    for i, tree in enumerate(booster.dump_model()["tree_info"]):
        add(i, tree["tree_structure"], [0])
    attrs = {"nodes_" + k: v for k, v in a.items()} | {"target_" + k: v for k, v in t.items()}
    forest = helper.make_node("TreeEnsembleRegressor", ["features"], ["margin"], "forest", domain="ai.onnx.ml",
                              n_targets=1, aggregate_function="SUM", post_transform="NONE", **attrs)
    squash = helper.make_node("Sigmoid", ["margin"], ["probability"], "squash")
    graph = helper.make_graph([forest, squash], "card_fraud",
                              [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["rows", feature_count])],
                              [helper.make_tensor_value_info("probability", TensorProto.FLOAT, ["rows", 1])])
    model = helper.make_model(graph, producer_name="examples/fraud/train.py", ir_version=8,
                              opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)])
    onnx.checker.check_model(model)
    onnx.save(model, path)
    return len(a["nodeids"]), depth[0]


# ---- rules, files ----

def pick_limits(labels, scores):
    """DECLINE where at least nine in ten were fraud; REVIEW for the next 1.5 % of all payments."""
    order = np.argsort(-scores)
    precision = np.cumsum(labels[order]) / np.arange(1, len(order) + 1)
    decline = float(scores[order[np.flatnonzero(precision >= 0.9)[-1]]])
    review = float(scores[order[int((scores >= decline).sum() + 0.015 * len(order))]])
    return {"decline": float("%.3f" % decline), "review": float("%.4f" % review)}


def decide(c, rows, scores, limits):
    """The rules of pipeline.yaml."""
    out = []
    for i, p in enumerate(scores):
        if p >= limits["decline"]:
            out.append(("DECLINE", "certain"))
        elif p >= limits["review"]:
            out.append(("REVIEW", "suspicious"))
        elif c["shop_cards_1h"][i] >= 12 and c["eur"][i] < 10 and rows["device"][i] == "new":
            out.append(("REVIEW", "card_testing"))
        else:
            out.append(("APPROVE", "otherwise"))
    return out


def column(name):
    """A feature's name in the pipeline: the aggregates are columns of two steps."""
    return "of_" + name.replace("_", ".", 1) if name in [a[0] for a in AGGREGATES] else name


def write_pipeline(path, features, limits):
    def flow(parts):    # a YAML list or table, folded
        keep = ", ".join(p.replace(" ", "\0") for p in parts)
        return textwrap.fill(keep, 105, subsequent_indent=" " * 14).replace("\0", " ")

    pairs = lambda table: flow("%s: %s" % kv for kv in table.items())
    values = {
        "fx": pairs(FX), "countries": flow(features.countries), "rates": pairs(features.rates),
        "base_rate": str(features.base_rate), "typical": pairs(features.typical),
        "categories": flow(sorted(CATEGORIES)), "currencies": flow(sorted(FX)),
        "crosses": flow('"%s"' % v for v in CROSSES), "age_median": str(features.age_median),
        "tensor": textwrap.fill(", ".join(map(column, NAMES)), 105, subsequent_indent=" " * 11),
        "reasons": "\n".join("    %s: %s" % (column(n), why) for n, why in REASONS.items()),
        "decline": str(limits["decline"]), "review": str(limits["review"]),
    }
    with open(os.path.join(HERE, "pipeline.template.yaml"), encoding="utf-8") as f:
        text = f.read()
    for name, value in values.items():
        text = text.replace("@%s@" % name, value)
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)


WATCHED = ["log_amount", "abroad", "channel_device_code", "category_code", "log_card_ratio", "card_share_1d",
           "card_tx_1h", "card_tx_1d", "log_card_sum_1d", "card_countries_1d", "card_new_1d", "shop_tx_1h",
           "shop_cards_1h", "log_shop_mean_1d", "log_shop_ratio"]


def fit_baseline(mbr, path, columns, scores, labels):
    """What `mbr drift` holds live rows against, columns of the pipeline by their names."""
    with tempfile.TemporaryDirectory() as folder:
        table = os.path.join(folder, "baseline.csv")
        with open(table, "w", newline="", encoding="utf-8") as f:
            out = csv.writer(f, lineterminator="\n")
            out.writerow([column(n) for n in WATCHED] + ["fraud", "label"])
            for i, p in enumerate(scores):
                out.writerow(["%.17g" % columns[n][i] for n in WATCHED] + ["%.17g" % p, labels[i]])
        subprocess.run([mbr, "drift", "fit", table, "--score", "fraud", "--label", "label", "-o", path], check=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", default=HERE, help="folder to write to")
    parser.add_argument("--mbr", default="mbr", help="the program, which fits the baseline of drift")
    parser.add_argument("--trees", type=int, default=320)
    args = parser.parse_args()
    path = lambda name: os.path.join(args.out, name)
    train, valid, test = (merge([Issuer(SEED, 1000, 10, k).stream() for k in range(a, b)])
                          for a, b in ((0, 40), (40, 50), (50, 60)))
    features = Features(train)
    (x, _), (xv, _), (xt, ct) = features.matrix(train), features.matrix(valid), features.matrix(test)
    y, yv, yt = train["fraud"], valid["fraud"], test["fraud"]
    print("payments: train %d, validation %d, test %d; fraud %.2f %%" % (len(y), len(yv), len(yt), 100 * y.mean()))

    settings = dict(objective="binary", learning_rate=0.03, num_leaves=40, max_depth=6, min_data_in_leaf=60,
                    feature_fraction=0.7, bagging_fraction=0.8, bagging_freq=1, lambda_l2=8.0, seed=SEED,
                    deterministic=True, force_row_wise=True, num_threads=1, verbose=-1)
    booster = lightgbm.train(settings, lightgbm.Dataset(x, y, feature_name=NAMES), args.trees)
    nodes, depth = export(booster, len(NAMES), path("model.onnx"))
    print("%d trees, depth %d, %d nodes, %d features; model.onnx: %d bytes" % (
        booster.num_trees(), depth, nodes, len(NAMES), os.path.getsize(path("model.onnx"))))
    score = booster.predict(xt)
    print("test ROC-AUC %.4f (validation %.4f), average precision %.4f" % (
        roc_auc_score(yt, score), roc_auc_score(yv, booster.predict(xv)), average_precision_score(yt, score)))
    print("trivial baselines, ROC-AUC: amount %.4f, payments of the card in the last hour %.4f, abroad %.4f" % tuple(
        roc_auc_score(yt, ct[n]) for n in ("eur", "card_tx_1h", "abroad")))
    limits = pick_limits(yv, booster.predict(xv))
    actions = decide(ct, test, score, limits)
    for action in ("DECLINE", "REVIEW", "APPROVE"):
        hit = np.array([a == action for a, _ in actions])
        print("%-8s %6.2f %% of the test, %5.1f %% of them fraud, %5.1f %% of all fraud" % (
            action, 100 * hit.mean(), 100 * yt[hit].mean() if hit.any() else 0, 100 * yt[hit].sum() / yt.sum()))
    for name, gain in sorted(zip(NAMES, booster.feature_importance("gain")), key=lambda g: -g[1])[:12]:
        print("    %-20s %9.0f" % (name, gain))
    write_pipeline(path("pipeline.yaml"), features, limits)

    # One more issuer: ten days for the baseline of drift, then three days as a sample, then the same in a changed world.
    issuer = dict(cards=1200, number=90)
    base = Issuer(SEED, days=10, **issuer).stream()
    xb, cb = features.matrix(base)
    fit_baseline(args.mbr, path("model.drift"), cb, booster.predict(xb), base["fraud"])
    for name, how in (("sample", dict(first=10, fraud=8.0)), ("changed", dict(first=13, fraud=3.0, changed=True))):
        rows = Issuer(SEED, days=3, **issuer, **how).stream()
        if name == "sample":
            for k in range(5, len(rows["card"]), 300):      # what training never saw
                rows["merchant_category"][k] = "space_tourism"
            for k in range(7, len(rows["card"]), 375):
                rows["country"][k] = "Atlantis, \"sunken\" part"
        xs, cs = features.matrix(rows)
        scores = booster.predict(xs)
        print("%s.csv: %d rows, %d fraud, ROC-AUC %.4f, of the amount alone %.4f" % (
            name, len(scores), rows["fraud"].sum(), roc_auc_score(rows["fraud"], scores),
            roc_auc_score(rows["fraud"], cs["eur"])))
        write_rows(path(name + ".csv"), rows)
        if name == "changed":
            continue
        result = decide(cs, rows, scores, limits)
        with open(path("expected.csv"), "w", newline="", encoding="utf-8") as f:
            out = csv.writer(f, lineterminator="\n")
            out.writerow(["transaction_id", "action", "rule", "score", "fraud"])
            for i, (action, rule) in enumerate(result):
                out.writerow([rows["transaction_id"][i], action, rule, "%.9f" % scores[i], rows["fraud"][i]])
        trivial = max(roc_auc_score(rows["fraud"], cs[n]) for n in ("eur", "card_tx_1h", "abroad"))
        with open(path("expected.json"), "w", encoding="utf-8") as f:
            json.dump({"measure": "roc_auc", "trainer": round(float(roc_auc_score(rows["fraud"], scores)), 6),
                       "trivial": round(float(trivial), 6), "margin": 0.1, "tolerance": 0.002}, f, indent=1)
            f.write("\n")
        os.makedirs(path("test_data_set_0"), exist_ok=True)
        for tensor, array, file in (("features", xs[:32], "input_0.pb"),
                                    ("probability", scores[:32, None].astype(np.float32), "output_0.pb")):
            with open(path(os.path.join("test_data_set_0", file)), "wb") as f:
                f.write(numpy_helper.from_array(array, tensor).SerializeToString())


if __name__ == "__main__":
    main()
