#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Makes the files of this folder: a two-tower model that scores all items of a shop for a request (world.py).

    pip install numpy tokenizers jax optax onnx
    python3 train.py --mbr ../../build/mbr

One tower reads the person (age, country, hour, the items looked at, the latest with most weight), the other one each item
(its own embedding, its category's, its price); a score is the product of the two and the item's fame. The items looked at
come as one text, which a tokenizer of whole words makes into numbers. What the rules of the business bar, by category, and
what was looked at already goes to the end. It is judged on people that it never saw.
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
from tokenizers import Tokenizer, models, pre_tokenizers

from world import ADULT, CATEGORIES, COUNTRIES, ITEMS, RECENT, Shop

SEED = 20240808
HERE = os.path.dirname(os.path.abspath(__file__))
WIDTH, TOP = 32, 10
FAR = 1000.0


# ---- features: twins of the steps in pipeline.yaml ----

def person(rows):
    """Age, sine and cosine of the hour, one-hot country."""
    age = (np.array([r[0] for r in rows], float) - 38) / 15
    angle = 2 * np.pi * np.array([r[2] for r in rows]) / 24
    country = np.array([[r[1] == c for c in COUNTRIES] for r in rows], float)
    return np.concatenate([age[:, None], np.sin(angle)[:, None], np.cos(angle)[:, None], country], axis=1).astype(np.float32)


def recent(rows):
    """Items as the tokenizer numbers them: 0 is padding, 1 unknown; the mask beside them."""
    ids = np.zeros((len(rows), RECENT), np.int64)
    for line, r in zip(ids, rows):
        line[:len(r[3])] = np.array(r[3]) + 2
    return ids, (ids > 0).astype(np.int64)


# ---- the model ----

def start(rng, shop):
    normal = lambda *shape, scale: jnp.asarray(rng.normal(0, scale, shape), jnp.float32)
    return {
        "looked": normal(ITEMS + 2, WIDTH, scale=0.1), "item": normal(ITEMS, WIDTH, scale=0.1),
        "category": normal(len(CATEGORIES), WIDTH, scale=0.1), "price": normal(1, WIDTH, scale=0.1),
        "fame": jnp.zeros(ITEMS),
        "user1.w": normal(2 * WIDTH + 3 + len(COUNTRIES), 64, scale=0.12), "user1.b": jnp.zeros(64),
        "user2.w": normal(64, WIDTH, scale=0.15), "user2.b": jnp.zeros(WIDTH),
    }


def items(p, category, price):
    return p["item"] + p["category"][category] + price @ p["price"]


def user(p, about, ids, mask):
    m = mask.astype(jnp.float32)
    looked = p["looked"][ids] * m[..., None]
    mean = looked.sum(1) / jnp.maximum(m.sum(1, keepdims=True), 1)
    # How long ago counts, so places are from the end: the mask says where that is.
    back = jnp.cumsum(m[:, ::-1], axis=1)[:, ::-1] * m
    late = (looked * (m / jnp.maximum(back, 1) ** 2)[..., None]).sum(1)
    h = jax.nn.relu(jnp.concatenate([mean, late, about], axis=1) @ p["user1.w"] + p["user1.b"])
    return h @ p["user2.w"] + p["user2.b"]


def scores(p, about, ids, mask, category, price):
    return user(p, about, ids, mask) @ items(p, category, price).T + p["fame"]


def train(p, rows, shop, epochs, rng):
    about, (ids, mask), wanted = person(rows), recent(rows), np.array([r[4] for r in rows])
    category, price = shop.category, price_of(shop)
    batch = 512
    total = epochs * (len(rows) // batch)
    rule = optax.adamw(optax.cosine_decay_schedule(6e-3, total), weight_decay=0.03)
    state = rule.init(p)

    @jax.jit
    def step(p, state, about, ids, mask, wanted):
        loss = lambda p: optax.softmax_cross_entropy_with_integer_labels(
            scores(p, about, ids, mask, category, price), wanted).mean()
        value, slope = jax.value_and_grad(loss)(p)
        change, state = rule.update(slope, state, p)
        return optax.apply_updates(p, change), state, value

    for epoch in range(epochs):
        order, sums = rng.permutation(len(rows)), 0.0
        for k in range(len(rows) // batch):
            at = order[k * batch:(k + 1) * batch]
            p, state, value = step(p, state, about[at], ids[at], mask[at], wanted[at])
            sums += float(value)
        print("epoch %2d: loss %.4f" % (epoch + 1, sums / (len(rows) // batch)), flush=True)
    return p


def price_of(shop):
    return (np.log(shop.price[:, None]) - 3.3).astype(np.float32)


def barred(rows):
    """The rules of the business: a 1 for each category that the visitor must not be shown."""
    out = np.zeros((len(rows), len(CATEGORIES)), np.float32)
    out[:, CATEGORIES.index(ADULT)] = [r[0] < 18 for r in rows]
    out[:, CATEGORIES.index("cameras")] = [r[1] == "SE" for r in rows]     # not delivered there
    return out


def predict(p, rows, shop):
    """Scores, with what is barred and what was looked at already far below."""
    run = jax.jit(lambda about, ids, mask: scores(p, about, ids, mask, shop.category, price_of(shop)))
    out = np.concatenate([np.array(run(person(rows[k:k + 1000]), *recent(rows[k:k + 1000])))
                          for k in range(0, len(rows), 1000)])
    for line, r in zip(out, rows):
        line[r[3]] -= FAR
    return out - FAR * barred(rows)[:, shop.category]


def export(p, shop, path):
    constants = {k: np.asarray(v, np.float32) for k, v in p.items()}
    constants.update({"categories": shop.category.astype(np.int64), "prices": price_of(shop), "one": np.float32(1),
                      "time": np.array([1]), "two": np.array([2]), "places": np.array(1), "power": np.float32(2),
                      "numbers": np.arange(2, ITEMS + 2), "distance": np.float32(FAR)})
    nodes, made = [], 0

    def add(op, *inputs, out=None, **attributes):
        nonlocal made
        made += 1
        out = out or "t%d" % made
        nodes.append(helper.make_node(op, list(inputs), [out], **attributes))
        return out

    m = add("Cast", "mask", to=TensorProto.FLOAT)
    looked = add("Mul", add("Gather", "looked", "recent"), add("Unsqueeze", m, "two"))
    mean = add("Div", add("ReduceSum", looked, "time", keepdims=0), add("Max", add("ReduceSum", m, "time"), "one"))
    back = add("Mul", add("CumSum", m, "places", reverse=1), m)
    near = add("Div", m, add("Pow", add("Max", back, "one"), "power"))
    late = add("ReduceSum", add("Mul", looked, add("Unsqueeze", near, "two")), "time", keepdims=0)
    h = add("Relu", add("Gemm", add("Concat", mean, late, "person", axis=1), "user1.w", "user1.b"))
    mine = add("Gemm", h, "user2.w", "user2.b", out="user_tower")
    shelf = add("Add", add("Add", "item", add("Gather", "category", "categories")), add("MatMul", "prices", "price"),
                out="item_tower")
    liked = add("Add", add("MatMul", mine, add("Transpose", shelf, perm=[1, 0])), "fame")
    seen = add("Cast", add("Equal", add("Unsqueeze", "recent", "two"), "numbers"), to=TensorProto.FLOAT)
    seen = add("ReduceMax", seen, axes=[1], keepdims=0)
    never = add("Add", seen, add("Gather", "barred", "categories", axis=1))
    add("Sub", liked, add("Mul", never, "distance"), out="scores")
    info = lambda name, kind, shape: helper.make_tensor_value_info(name, kind, shape)
    graph = helper.make_graph(nodes, "shop", [
        info("person", TensorProto.FLOAT, ["rows", 3 + len(COUNTRIES)]), info("recent", TensorProto.INT64, ["rows", "looked_at"]),
        info("mask", TensorProto.INT64, ["rows", "looked_at"]),
        info("barred", TensorProto.FLOAT, ["rows", len(CATEGORIES)])], [info("scores", TensorProto.FLOAT, ["rows", ITEMS])],
        [numpy_helper.from_array(np.asarray(v), name) for name, v in constants.items()])
    model = helper.make_model(graph, producer_name="examples/recommendation/train.py", ir_version=8,
                              opset_imports=[helper.make_opsetid("", 17)])
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)


# ---- files ----

def ndcg(ranked, wanted):
    """Of the ten best, where one item is right."""
    place = [list(r).index(w) if w in r else -1 for r, w in zip(ranked, wanted)]
    return float(np.mean([1 / np.log2(k + 2) if k >= 0 else 0.0 for k in place]))


def ranked(score):
    return np.argsort(-score, axis=1, kind="stable")[:, :TOP]


def write_csv(path, header, lines):
    with open(path, "w", newline="", encoding="utf-8") as f:
        out = csv.writer(f, lineterminator="\n")
        out.writerow(header)
        out.writerows(lines)


def raw(rows, shop, letter):
    return [["%s%05d" % (letter, i), r[0], r[1], r[2], " ".join(shop.names[k] for k in r[3])] for i, r in enumerate(rows)]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", default=HERE, help="folder to write to")
    parser.add_argument("--mbr", default="mbr", help="the program, which fits the baseline of drift")
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--requests", type=int, default=60000)
    args = parser.parse_args()
    path = lambda name: os.path.join(args.out, name)
    rng, shop = np.random.default_rng(SEED), Shop(SEED)
    rows = [r for _ in range(args.requests // 2000) for r in shop.requests(rng, 2000)]
    p = train(start(rng, shop), rows, shop, args.epochs, rng)
    export(p, shop, path("model.onnx"))
    print("model.onnx: %d bytes" % os.path.getsize(path("model.onnx")))
    t = Tokenizer(models.WordLevel({w: i for i, w in enumerate(["[PAD]", "[UNK]"] + shop.names)}, unk_token="[UNK]"))
    t.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    t.enable_truncation(RECENT, direction="left")
    t.save(path("tokenizer.json"), pretty=False)
    write_csv(path("items.csv"), ["item", "category", "price", "adult"], [
        [shop.names[i], CATEGORIES[c], "%.2f" % shop.price[i], int(CATEGORIES[c] == ADULT)]
        for i, c in enumerate(shop.category)])

    with open(path("items.txt"), "w", encoding="utf-8") as f:
        f.writelines(name + "\n" for name in shop.names)

    popular = np.argsort(-np.bincount([r[4] for r in rows], minlength=ITEMS), kind="stable")[:TOP]

    def judge(what, rows):
        score, wanted = predict(p, rows, shop), [r[4] for r in rows]
        best = ranked(score)
        marks = {"trainer": ndcg(best, wanted), "trivial": ndcg([popular] * len(rows), wanted)}
        print("%s: %d requests, NDCG@10 %.4f (most looked at: %.4f), hit rate %.4f" % (
            what, len(rows), marks["trainer"], marks["trivial"], np.mean([w in b for b, w in zip(best, wanted)])))
        return score, best, wanted, marks

    rows = shop.requests(rng, 2000)
    score, best, wanted, marks = judge("sample", rows)
    write_csv(path("sample.csv"), ["request", "age", "country", "hour", "looked_at"], raw(rows, shop, "R"))
    write_csv(path("expected.csv"), ["request", "best", "wanted"], [
        ["R%05d" % i, " ".join(shop.names[k] for k in b), shop.names[w]] for i, (b, w) in enumerate(zip(best, wanted))])
    with open(path("expected.json"), "w", encoding="utf-8") as f:
        json.dump({"measure": "ndcg@10", "trainer": round(marks["trainer"], 6), "trivial": round(marks["trivial"], 6),
                   "margin": round(0.6 * (marks["trainer"] - marks["trivial"]), 3), "tolerance": 0.002}, f, indent=1)
        f.write("\n")
    rows = shop.requests(rng, 4000)
    score, *_ = judge("baseline", rows)
    with tempfile.TemporaryDirectory() as folder:
        table = os.path.join(folder, "baseline.csv")
        write_csv(table, ["age", "country", "hour", "best_score"], [
            [r[0], r[1], r[2], "%.6f" % s.max()] for r, s in zip(rows, score)])
        subprocess.run([args.mbr, "drift", "fit", table, "--score", "best_score", "-o", path("model.drift")], check=True)
    rows = shop.requests(rng, 1000, changed=True)
    judge("changed", rows)
    write_csv(path("changed.csv"), ["request", "age", "country", "hour", "looked_at"], raw(rows, shop, "N"))


if __name__ == "__main__":
    main()
