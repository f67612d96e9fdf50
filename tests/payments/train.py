#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Makes everything in this folder: synthetic card transactions, a boosted-tree model of fraud, its pipeline.

    pip install numpy lightgbm scikit-learn onnx
    python3 train.py                # rewrites model.onnx, pipeline.yaml, sample.csv, expected.csv, test_data_set_0/

The data is invented, but the way a card portfolio behaves is taken seriously: customers have a home, an income, an
hour of the day and merchants they like; some travel; their phones change. Fraud comes in episodes of four kinds (card
testing followed by a cash-out, counterfeit cards used abroad, taken-over accounts, and single purchases that look like
any other, which no model finds). Labels have noise: some fraud is never reported, some purchases are disputed falsely.
Velocity columns (transactions in the last hour and day ...) are computed from each card's own past, as the
application would. Nothing in a feature looks at the future, and the model is judged on days after those it was
trained on.

Everything is seeded: two runs with the same library versions write the same files.
"""
import argparse
import bisect
import csv
import datetime
import os
import textwrap

import lightgbm
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from sklearn.metrics import average_precision_score, roc_auc_score

SEED = 20240229
START = datetime.datetime(2024, 3, 1, tzinfo=datetime.timezone.utc)
DAYS = 75
CUSTOMERS = 4000
TRAIN_DAYS = 50     # the model sees these
VALID_DAYS = 60     # early stopping and thresholds: days 50 to 59; the rest is the test

# country: (share of customers, currency, hours ahead of UTC)
COUNTRIES = {
    "DE": (0.26, "EUR", 1), "FR": (0.18, "EUR", 1), "GB": (0.16, "GBP", 0), "ES": (0.10, "EUR", 1),
    "NL": (0.08, "EUR", 1), "PL": (0.08, "PLN", 1), "SE": (0.06, "SEK", 1), "CH": (0.05, "CHF", 1),
    "US": (0.03, "USD", -5),
}
TRAVEL = ["ES", "FR", "IT", "GB", "US", "AT", "GR", "TR", "TH"]
FRAUD_ABROAD = ["US", "BR", "TH", "TR", "MX", "GB", "RO"]
CURRENCY_OF = {c: v[1] for c, v in COUNTRIES.items()}
CURRENCY_OF.update({"IT": "EUR", "AT": "EUR", "GR": "EUR", "TR": "TRY", "TH": "THB", "BR": "BRL", "MX": "MXN",
                    "RO": "RON"})
FX = {"EUR": 1.0, "GBP": 1.17, "USD": 0.92, "PLN": 0.23, "SEK": 0.088, "CHF": 1.04, "TRY": 0.029, "THB": 0.026,
      "BRL": 0.18, "MXN": 0.054, "RON": 0.2}

# merchant category: (share of legitimate use, typical EUR, spread of its logarithm, share bought online)
MERCHANTS = {
    "grocery": (0.30, 32, 0.7, 0.06), "restaurant": (0.16, 28, 0.6, 0.05), "fuel": (0.09, 55, 0.35, 0.0),
    "clothing": (0.08, 60, 0.7, 0.45), "electronics": (0.05, 140, 1.0, 0.6), "travel": (0.05, 210, 0.9, 0.8),
    "pharmacy": (0.06, 18, 0.6, 0.1), "cash": (0.06, 90, 0.6, 0.0), "digital_goods": (0.06, 12, 0.7, 1.0),
    "gift_cards": (0.015, 45, 0.6, 0.85), "jewellery": (0.01, 180, 1.0, 0.3), "household": (0.065, 48, 0.8, 0.35),
}
RAW = ["transaction_id", "timestamp", "amount", "currency", "country", "home_country", "merchant_category", "channel",
       "card_present", "device", "customer_age", "account_age_days", "tx_last_hour", "tx_last_day", "amount_last_day",
       "mean_amount_30d", "minutes_since_last"]


# ---- the world ----

def spend(rng, who, t, merchant, channel=None, country=None, factor=1.0, device=None, fraud=0):
    """One transaction, before the columns that depend on the card's past."""
    _, typical, spread, online = MERCHANTS[merchant]
    country = country or who["home"]
    if channel is None:
        channel = "atm" if merchant == "cash" else "ecom" if rng.random() < online else "pos"
        if channel == "ecom" and rng.random() < 0.04:
            channel = "phone"
    eur = max(0.5, typical * who["income"] * factor * rng.lognormal(0, spread))
    if channel == "atm":
        eur = max(10.0, round(eur / 10) * 10)
    if device is None and channel == "ecom":
        device = "new" if rng.random() < 0.05 else "known"
    currency = CURRENCY_OF[country] if channel != "ecom" or rng.random() < 0.3 else CURRENCY_OF[who["home"]]
    return {"card": who["card"], "t": t, "eur": eur, "amount": round(eur / FX[currency], 2), "currency": currency,
            "country": country, "merchant_category": merchant, "channel": channel,
            "card_present": channel in ("pos", "atm"), "device": device or "", "fraud": fraud}


def ordinary_life(rng, who):
    names = list(MERCHANTS)
    share = np.array([MERCHANTS[m][0] for m in names]) * who["taste"]
    share /= share.sum()
    trips = []
    for _ in range(rng.poisson(0.25)):
        start = rng.uniform(0, DAYS)
        trips.append((start, start + rng.uniform(2, 12), str(rng.choice(TRAVEL))))
    rows = []
    for _ in range(rng.poisson(who["rate"] * DAYS)):
        day = int(rng.integers(DAYS))
        hour = float(rng.normal(who["hour"], 3.6)) % 24
        t = day * 86400 + (hour - COUNTRIES[who["home"]][2]) * 3600
        if not 0 <= t < DAYS * 86400:
            continue
        merchant = str(rng.choice(names, p=share))
        abroad = next((c for a, b, c in trips if a <= t / 86400 < b), None)
        rows.append(spend(rng, who, t, merchant, country=abroad))
        while rng.random() < 0.07:      # shops lie next to each other
            t += rng.uniform(120, 2400)
            rows.append(spend(rng, who, t, str(rng.choice(names, p=share)), country=abroad))
    return rows


def fraud_episode(rng, who):
    t = rng.uniform(0, DAYS - 1) * 86400
    kind = rng.choice(["testing", "counterfeit", "takeover", "single"], p=[0.3, 0.25, 0.25, 0.2])
    rows = []
    if kind == "testing":           # a few tiny purchases to see whether the card lives, then as much as it gives
        for _ in range(rng.integers(2, 6)):
            rows.append(spend(rng, who, t, "digital_goods", "ecom", factor=0.2, device="new", fraud=1))
            t += rng.uniform(20, 400)
        for _ in range(rng.integers(1, 4)):
            t += rng.uniform(60, 3000)
            goods = str(rng.choice(["electronics", "gift_cards", "jewellery", "digital_goods"]))
            rows.append(spend(rng, who, t, goods, "ecom", factor=rng.uniform(1.2, 5), device="new", fraud=1))
    elif kind == "counterfeit":     # a copied stripe, far from home
        country = str(rng.choice(FRAUD_ABROAD))
        for _ in range(rng.integers(1, 6)):
            goods = str(rng.choice(["cash", "electronics", "clothing", "fuel", "jewellery"], p=[.4, .2, .15, .15, .1]))
            rows.append(spend(rng, who, t, goods, "atm" if goods == "cash" else "pos", country,
                              rng.uniform(0.8, 3), fraud=1))
            t += rng.uniform(200, 9000)
    elif kind == "takeover":        # somebody else's phone, at night
        t = (t // 86400) * 86400 + rng.uniform(-1, 5) * 3600
        for _ in range(rng.integers(1, 5)):
            goods = str(rng.choice(["electronics", "gift_cards", "travel", "clothing", "jewellery"]))
            rows.append(spend(rng, who, t, goods, str(rng.choice(["ecom", "phone"], p=[0.85, 0.15])),
                              factor=rng.uniform(0.7, 4), device="new" if rng.random() < 0.85 else "known", fraud=1))
            t += rng.uniform(100, 5000)
    else:                           # not to be told from the rest
        rows.append(spend(rng, who, t, str(rng.choice(list(MERCHANTS))), fraud=1))
    return [r for r in rows if 0 <= r["t"] < DAYS * 86400]


def make_world(rng):
    homes = list(COUNTRIES)
    shares = np.array([COUNTRIES[c][0] for c in homes])
    rows = []
    for card in range(CUSTOMERS):
        age = int(np.clip(rng.normal(44, 16), 18, 92))
        who = {"card": card, "age": age, "home": str(rng.choice(homes, p=shares / shares.sum())),
               "opened": float(-rng.gamma(1.4, 700)) if rng.random() < 0.9 else float(rng.uniform(-60, DAYS * 0.6)),
               "income": float(rng.lognormal(0, 0.45)), "rate": float(rng.gamma(2.0, 0.2)),
               "hour": float(rng.normal(14.5, 2.0)), "taste": rng.gamma(2.0, 0.5, len(MERCHANTS)),
               "age_known": rng.random() > 0.04}
        life = ordinary_life(rng, who)
        # New accounts and busy online buyers are hit more often; most cards are never hit.
        risk = 0.035 * (2.2 if who["opened"] > -90 else 1.0) * (1.3 if age > 70 else 1.0)
        while rng.random() < risk:
            life += fraud_episode(rng, who)
        rows += with_history(rng, who, [r for r in life if r["t"] / 86400 >= who["opened"]])
    rows.sort(key=lambda r: (r["t"], r["card"]))
    for i, r in enumerate(rows):
        r["transaction_id"] = "T%07d" % (1000001 + i)
        noise = rng.random()
        r["label"] = int(noise > 0.04) if r["fraud"] else int(noise < 0.0004)
    return rows


def with_history(rng, who, life):
    """Adds the columns that the application computes from the card's past."""
    life.sort(key=lambda r: r["t"])
    times = [r["t"] for r in life]
    for i, r in enumerate(life):
        hour, day, month = (bisect.bisect_left(times, r["t"] - s) for s in (3600, 86400, 30 * 86400))
        past = [x["eur"] for x in life[month:i]]
        r["tx_last_hour"] = i - hour
        r["tx_last_day"] = i - day
        r["amount_last_day"] = round(sum(x["eur"] for x in life[day:i]), 2)
        r["mean_amount_30d"] = round(sum(past) / len(past), 2) if past else None
        r["minutes_since_last"] = round((r["t"] - times[i - 1]) / 60, 1) if i else None
        r["account_age_days"] = int(r["t"] / 86400 - who["opened"])
        r["customer_age"] = who["age"] if who["age_known"] else None
        r["home_country"] = who["home"]
        r["timestamp"] = int(START.timestamp() + r["t"])
        if rng.random() < 0.006:        # the application does not always know
            r["merchant_category"] = ""
    return life


# ---- the features: numpy twins of the steps in pipeline.yaml ----

class Features:
    def __init__(self, rows):
        """Learns medians, scales, categories and rates from the training rows."""
        ages = np.array([r["customer_age"] for r in rows if r["customer_age"] is not None], float)
        self.age_median = float(np.median(ages))
        self.age_mean = round(float(ages.mean()), 4)
        self.age_scale = round(float(ages.std()), 4)
        self.categories = sorted({r["merchant_category"] for r in rows} - {""})
        self.channels = ["pos", "ecom", "atm", "phone"]
        counts = {}
        for r in rows:
            counts[r["country"]] = counts.get(r["country"], 0) + 1
        self.countries = sorted(counts, key=lambda c: (-counts[c], c))
        self.base_rate = round(float(np.mean([r["label"] for r in rows])), 6)
        self.rates = {}
        for m in self.categories:
            hits = [r["label"] for r in rows if r["merchant_category"] == m]
            self.rates[m] = round((sum(hits) + 200 * self.base_rate) / (len(hits) + 200), 6)    # smoothed
        self.edges = [30, 90, 365, 1095]
        self.names = (["log_amount", "log_ratio", "log_amount_last_day", "hour", "weekday", "hour_sin", "hour_cos",
                       "night", "tx_last_hour", "tx_last_day", "log_minutes", "age", "age_missing", "log_account_age",
                       "account_bucket", "abroad", "country_rank", "card_present", "category_rate", "channel_device"]
                      + ["category=" + m for m in self.categories] + ["channel=" + c for c in self.channels]
                      + ["device=known", "device=new"])
        self.crosses = ["pos|", "atm|", "ecom|known", "ecom|new", "phone|", "phone|new", "phone|known"]

    def matrix(self, rows):
        nan = float("nan")
        number = lambda name: np.array([nan if r[name] is None else r[name] for r in rows], float)
        text = lambda name: [r[name] for r in rows]
        eur = number("amount") * np.array([FX.get(c, 1.0) for c in text("currency")])
        mean = number("mean_amount_30d")
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = np.where(mean == 0, nan, eur / mean)
        stamp = number("timestamp")
        hour = np.floor(stamp / 3600) % 24
        weekday = (np.floor(stamp / 86400) + 3) % 7     # 1970-01-01 was a Thursday; Monday is 0
        angle = 2 * np.pi * hour / 24
        age = number("customer_age")
        days = number("account_age_days")
        onehot = lambda name, values: [np.array([r[name] == v for r in rows], float) for v in values]
        rank = {c: i for i, c in enumerate(self.countries)}
        cross = {c: i for i, c in enumerate(self.crosses)}
        columns = [
            np.log1p(eur), np.log1p(ratio), np.log1p(number("amount_last_day")), hour, weekday, np.sin(angle),
            np.cos(angle), (hour < 6).astype(float), np.clip(number("tx_last_hour"), 0, 20),
            np.clip(number("tx_last_day"), 0, 50), np.log1p(number("minutes_since_last")),
            (np.where(np.isnan(age), self.age_median, age) - self.age_mean) / self.age_scale,
            np.isnan(age).astype(float), np.log1p(days), np.searchsorted(self.edges, days, side="right").astype(float),
            np.array([r["country"] != r["home_country"] for r in rows], float),
            np.array([rank.get(c, -1) for c in text("country")], float), number("card_present"),
            np.array([self.rates.get(m, self.base_rate) for m in text("merchant_category")]),
            np.array([cross.get(r["channel"] + "|" + r["device"], -1) for r in rows], float),
        ]
        columns += onehot("merchant_category", self.categories) + onehot("channel", self.channels)
        columns += onehot("device", ["known", "new"])
        return np.stack(columns, axis=1).astype(np.float32), eur


# ---- the model ----

def export(booster, feature_count, path):
    """The booster as one TreeEnsembleRegressor and a Sigmoid.

    Features are float32, so a threshold may be rounded down to float32 without sending any value another way.
    """
    a = {k: [] for k in ("treeids", "nodeids", "featureids", "values", "modes", "truenodeids", "falsenodeids",
                         "missing_value_tracks_true")}
    t = {k: [] for k in ("treeids", "nodeids", "ids", "weights")}

    def below(x):
        f = np.float32(x)
        return f if float(f) <= x else np.nextafter(f, np.float32(-np.inf))

    def add(tree, node, next_id):
        me = next_id[0]
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
        a["truenodeids"][at] = add(tree, node["left_child"], next_id)
        a["falsenodeids"][at] = add(tree, node["right_child"], next_id)
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
    return model


PIPELINE = """\
# SPDX-License-Identifier: BSD-2-Clause
# Card fraud: a transaction in, APPROVE, REVIEW or DECLINE out. Written by train.py; try
#     mbr decide tests/payments/pipeline.yaml tests/payments/sample.csv
version: 1
name: card-fraud
model: {{path: model.onnx}}

# What the application has. A row that breaks a line of this list gets the fallback action and a message.
inputs:
  transaction_id:     {{type: string, role: id}}
  timestamp:          {{type: time, min: 2000-01-01, max: 2100-01-01}}
  amount:             {{type: number, min: 0, max: 1000000000}}
  currency:           {{type: string}}
  country:            {{type: string}}
  home_country:       {{type: string}}
  merchant_category:  {{type: string, missing: keep}}
  channel:            {{type: string}}
  card_present:       {{type: bool}}
  device:             {{type: string, missing: keep}}
  customer_age:       {{type: number, missing: keep, min: 0, max: 130}}
  account_age_days:   {{type: number, default: 0, min: 0}}
  tx_last_hour:       {{type: number, default: 0, min: 0}}
  tx_last_day:        {{type: number, default: 0, min: 0}}
  amount_last_day:    {{type: number, default: 0, min: 0}}
  mean_amount_30d:    {{type: number, missing: keep, min: 0}}
  minutes_since_last: {{type: number, missing: keep, min: 0}}

# Each step makes a column that later steps, tensors and rules may name.
features:
  - {{name: fx, kind: lookup, from: currency, unknown: 1,
     table: {{{fx}}}}}
  - {{name: eur, kind: expr, expr: "amount * fx"}}
  - {{name: log_amount, kind: log, from: eur, offset: 1}}
  - {{name: ratio, kind: ratio, from: [eur, mean_amount_30d]}}       # missing where the mean is missing or 0
  - {{name: log_ratio, kind: log, from: ratio, offset: 1}}
  - {{name: log_amount_last_day, kind: log, from: amount_last_day, offset: 1}}
  - {{name: hour, kind: date_part, from: timestamp, part: hour}}     # UTC
  - {{name: weekday, kind: date_part, from: timestamp, part: weekday}}
  - {{name: hour_circle, kind: cyclic, from: hour, period: 24}}      # sine and cosine
  - {{name: night, kind: expr, expr: "hour < 6"}}
  - {{name: tx_hour, kind: clip, from: tx_last_hour, min: 0, max: 20}}
  - {{name: tx_day, kind: clip, from: tx_last_day, min: 0, max: 50}}
  - {{name: log_minutes, kind: log, from: minutes_since_last, offset: 1}}
  - {{name: age_known, kind: impute, from: customer_age, value: {age_median}}}
  - {{name: age, kind: standardize, from: age_known, mean: {age_mean}, scale: {age_scale}}}
  - {{name: age_missing, kind: is_missing, from: customer_age}}
  - {{name: log_account_age, kind: log, from: account_age_days, offset: 1}}
  - {{name: account_bucket, kind: bucket, from: account_age_days, edges: {edges}}}
  - {{name: abroad, kind: expr, expr: "country != home_country"}}
  - {{name: country_rank, kind: ordinal, from: country, unknown: -1,
     values: [{countries}]}}
  - {{name: category_rate, kind: lookup, from: merchant_category, unknown: {base_rate}, missing: {base_rate},
     table: {{{rates}}}}}
  - {{name: channel_device, kind: cross, from: [channel, device]}}   # "ecom|new"; a missing part is empty
  - {{name: channel_device_code, kind: ordinal, from: channel_device, unknown: -1,
     values: [{crosses}]}}
  - {{name: category, kind: one_hot, from: merchant_category, unknown: zeros,
     values: [{categories}]}}
  - {{name: channel_is, kind: one_hot, from: channel, unknown: zeros, values: [{channels}]}}
  - {{name: device_is, kind: one_hot, from: device, unknown: zeros, values: [known, new]}}

# One entry for each input of the model.
tensors:
  - input: features
    from: [log_amount, log_ratio, log_amount_last_day, hour, weekday, hour_circle, night, tx_hour, tx_day,
           log_minutes, age, age_missing, log_account_age, account_bucket, abroad, country_rank, card_present,
           category_rate, channel_device_code, category, channel_is, device_is]

# What to read from the model. The first is the score that is shown.
outputs:
  - {{name: fraud, output: probability, column: 0}}

# The first rule whose condition holds decides; the last has none.
rules:
  - {{name: certain, when: "fraud >= {decline}", then: DECLINE}}
  - {{name: suspicious, when: "fraud >= {review}", then: REVIEW}}
  - {{name: large_abroad, when: "abroad and not card_present and eur > 1500 and fraud >= {large}", then: REVIEW}}
  - {{name: card_testing, when: "tx_last_hour >= 6 and eur / max(amount_last_day, 1) < 0.05", then: REVIEW}}
  - {{name: otherwise, then: APPROVE}}

# The action for a row that cannot be decided by the rules.
fallback: REVIEW
"""


def decide(rows, scores, eur, limits):
    """The rules of pipeline.yaml."""
    out = []
    for r, p, e in zip(rows, scores, eur):
        if p >= limits["decline"]:
            out.append(("DECLINE", "certain"))
        elif p >= limits["review"]:
            out.append(("REVIEW", "suspicious"))
        elif r["country"] != r["home_country"] and not r["card_present"] and e > 1500 and p >= limits["large"]:
            out.append(("REVIEW", "large_abroad"))
        elif r["tx_last_hour"] >= 6 and e / max(r["amount_last_day"], 1) < 0.05:
            out.append(("REVIEW", "card_testing"))
        else:
            out.append(("APPROVE", "otherwise"))
    return out


def pick_limits(labels, scores):
    """DECLINE where at least nine in ten were fraud; REVIEW for the next 1.5 % of all transactions."""
    order = np.argsort(-scores)
    precision = np.cumsum(labels[order]) / np.arange(1, len(order) + 1)
    good = np.flatnonzero(precision >= 0.9)
    decline = float(scores[order[good[-1]]])
    declined = int((scores >= decline).sum())
    review = float(scores[order[min(len(order) - 1, declined + int(0.015 * len(order)))]])
    return {"decline": round(decline, 3), "review": round(review, 4), "large": round(review / 3, 4)}


def write_csv(path, header, lines):
    with open(path, "w", newline="", encoding="utf-8") as f:
        out = csv.writer(f, lineterminator="\n")
        out.writerow(header)
        out.writerows(lines)


def raw_line(r):
    show = dict(r)
    show["timestamp"] = datetime.datetime.fromtimestamp(r["timestamp"], datetime.timezone.utc).strftime(
        "%Y-%m-%dT%H:%M:%SZ")
    show["card_present"] = "true" if r["card_present"] else "false"
    return ["" if show[c] is None else show[c] for c in RAW]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", default=os.path.dirname(os.path.abspath(__file__)), help="folder to write to")
    parser.add_argument("--trees", type=int, default=120)
    parser.add_argument("--leaves", type=int, default=20)
    args = parser.parse_args()
    rng = np.random.default_rng(SEED)
    rows = make_world(rng)
    train = [r for r in rows if r["t"] < TRAIN_DAYS * 86400]
    valid = [r for r in rows if TRAIN_DAYS * 86400 <= r["t"] < VALID_DAYS * 86400]
    test = [r for r in rows if r["t"] >= VALID_DAYS * 86400]
    features = Features(train)
    x, _ = features.matrix(train)
    y = np.array([r["label"] for r in train])
    xv, _ = features.matrix(valid)
    yv = np.array([r["label"] for r in valid])
    xt, eur_t = features.matrix(test)
    yt = np.array([r["label"] for r in test])
    print("transactions: train %d, validation %d, test %d; fraud %.2f %%" % (
        len(train), len(valid), len(test), 100 * np.mean([r["label"] for r in rows])))

    settings = dict(objective="binary", learning_rate=0.06, num_leaves=args.leaves, max_depth=7, min_data_in_leaf=40,
                    feature_fraction=0.8, bagging_fraction=0.8, bagging_freq=1, lambda_l2=5.0, seed=SEED,
                    deterministic=True, force_row_wise=True, num_threads=1, verbose=-1)
    booster = lightgbm.train(settings, lightgbm.Dataset(x, y, feature_name=features.names), args.trees,
                             valid_sets=[lightgbm.Dataset(xv, yv)],
                             callbacks=[lightgbm.early_stopping(30, verbose=False)])
    model_path = os.path.join(args.out, "model.onnx")
    export(booster, x.shape[1], model_path)

    score = booster.predict(xt)
    print("trees: %d; features: %d; %s: %d bytes" % (booster.num_trees(), x.shape[1], "model.onnx",
                                                     os.path.getsize(model_path)))
    print("test ROC-AUC: %.4f, average precision: %.4f" % (roc_auc_score(yt, score),
                                                           average_precision_score(yt, score)))
    print("trivial baselines, ROC-AUC: amount %.4f, abroad %.4f, transactions in the last hour %.4f" % tuple(
        roc_auc_score(yt, v) for v in (eur_t, xt[:, features.names.index("abroad")],
                                       xt[:, features.names.index("tx_last_hour")])))
    limits = pick_limits(yv, booster.predict(xv))
    actions = decide(test, score, eur_t, limits)
    for action in ("DECLINE", "REVIEW", "APPROVE"):
        hit = np.array([a == action for a, _ in actions])
        print("%-8s %6.2f %% of the test, %5.1f %% of them fraud, %5.1f %% of all fraud" % (
            action, 100 * hit.mean(), 100 * yt[hit].mean() if hit.any() else 0, 100 * yt[hit].sum() / yt.sum()))

    def flow(parts):    # a YAML list or table, folded
        keep = ", ".join(p.replace(" ", "\0") for p in parts)
        return textwrap.fill(keep, 105, subsequent_indent=" " * 14).replace("\0", " ")

    pairs = lambda table: flow("%s: %s" % kv for kv in table.items())
    with open(os.path.join(args.out, "pipeline.yaml"), "w", encoding="utf-8") as f:
        f.write(PIPELINE.format(
            fx=pairs(FX), countries=flow(features.countries), rates=pairs(features.rates),
            base_rate=features.base_rate, categories=flow(features.categories), channels=flow(features.channels),
            crosses=flow('"%s"' % v for v in features.crosses), edges=features.edges, age_median=features.age_median,
            age_mean=features.age_mean, age_scale=features.age_scale, **limits))

    # The sample: test days only; all kinds of decisions, so fraud is far more frequent than in life.
    fraud = [i for i in range(len(test)) if yt[i]]
    clean = [i for i in range(len(test)) if not yt[i]]
    picked = sorted([int(i) for i in rng.choice(fraud, min(120, len(fraud)), replace=False)]
                    + [int(i) for i in rng.choice(clean, 480, replace=False)])
    sample = [dict(test[i]) for i in picked]
    for k in range(5, len(sample), 60):     # what training never saw
        sample[k]["merchant_category"] = "space_tourism"
    for k in range(7, len(sample), 75):
        sample[k]["country"] = "Atlantis, \"sunken\" part"
    for k in range(11, len(sample), 90):
        sample[k]["device"] = "toaster"
    xs, eur = features.matrix(sample)
    scores = booster.predict(xs)
    result = decide(sample, scores, eur, limits)
    labels = [test[i]["label"] for i in picked]
    write_csv(os.path.join(args.out, "sample.csv"), RAW, [raw_line(r) for r in sample])
    write_csv(os.path.join(args.out, "expected.csv"), ["transaction_id", "action", "rule", "score", "fraud"],
              [[r["transaction_id"], a, rule, "%.9f" % p, y] for r, (a, rule), p, y in
               zip(sample, result, scores, labels)])
    near = min(abs(p - limits[k]) for p in scores for k in limits)
    print("sample: %d rows, ROC-AUC %.4f, nearest score to a limit %.1e" % (
        len(sample), roc_auc_score(labels, scores), near))

    data = os.path.join(args.out, "test_data_set_0")
    os.makedirs(data, exist_ok=True)
    for name, array, file in (("features", xs[:32], "input_0.pb"),
                              ("probability", scores[:32, None].astype(np.float32), "output_0.pb")):
        with open(os.path.join(data, file), "wb") as f:
            f.write(numpy_helper.from_array(array, name).SerializeToString())


if __name__ == "__main__":
    main()
