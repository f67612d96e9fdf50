#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Makes the files of this folder: a tokenizer, a six-layer encoder, the answers' embeddings, messages (world.py).

    pip install numpy tokenizers jax optax onnx
    python3 train.py --mbr ../../build/mbr

The encoder learns two things from the same messages: which of the intents it is, and an embedding whose cosine with the
embedding of the right answer is the greatest. It is judged on phrasings that it never saw.
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
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

import world

SEED = 20240777
HERE = os.path.dirname(os.path.abspath(__file__))
LAYERS, WIDTH, HEADS, INNER, SPACE = 6, 80, 4, 160, 40
VOCABULARY, LENGTH = 2000, 32
SHARP = 12.0        # of the cosines in training
ANSWERS = world.answers()
INTENTS = list(world.ANSWERS) + ["other"]
INTENT_OF = [INTENTS.index(i) for _, i, _ in ANSWERS] + [len(INTENTS) - 1]


def make_tokenizer(texts):
    t = Tokenizer(models.WordPiece(unk_token="[UNK]", max_input_chars_per_word=40))
    t.normalizer = normalizers.BertNormalizer(lowercase=True)
    t.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    t.train_from_iterator(texts, trainers.WordPieceTrainer(vocab_size=VOCABULARY, min_frequency=1, show_progress=False,
                                                           special_tokens=["[PAD]", "[UNK]", "[CLS]"]))
    t.post_processor = processors.TemplateProcessing(single="[CLS] $A", special_tokens=[("[CLS]", t.token_to_id("[CLS]"))])
    t.enable_truncation(LENGTH)
    return t


def tokens(tokenizer, texts):
    """Ids and mask, padded with 0 to the longest."""
    lists = [e.ids for e in tokenizer.encode_batch(texts)]
    longest = max(map(len, lists))
    ids = np.zeros((len(lists), longest), np.int64)
    for row, values in zip(ids, lists):
        row[:len(values)] = values
    return ids, (np.arange(longest) < np.array([[len(v)] for v in lists])).astype(np.int64)


# ---- the encoder ----

def start(rng, vocabulary):
    normal = lambda *shape, scale: jnp.asarray(rng.normal(0, scale, shape), jnp.float32)
    p = {"words": normal(vocabulary, WIDTH, scale=0.08), "places": normal(LENGTH, WIDTH, scale=0.02)}
    for k in range(LAYERS):
        for name, a, b in (("query", WIDTH, WIDTH), ("key", WIDTH, WIDTH), ("value", WIDTH, WIDTH), ("mix", WIDTH, WIDTH),
                           ("inner", WIDTH, INNER), ("outer", INNER, WIDTH)):
            p["%d.%s.w" % (k, name)] = normal(a, b, scale=1 / np.sqrt(a) * (0.5 if name in ("mix", "outer") else 1))
            p["%d.%s.b" % (k, name)] = jnp.zeros(b)
        for name in ("before", "between"):
            p["%d.%s.scale" % (k, name)], p["%d.%s.bias" % (k, name)] = jnp.ones(WIDTH), jnp.zeros(WIDTH)
    p["last.scale"], p["last.bias"] = jnp.ones(WIDTH), jnp.zeros(WIDTH)
    p["intent.w"], p["intent.b"] = normal(WIDTH, len(INTENTS), scale=0.1), jnp.zeros(len(INTENTS))
    p["space.w"] = normal(WIDTH, SPACE, scale=0.15)
    p["answers"] = normal(len(ANSWERS), SPACE, scale=1.0)
    return p


def norm(p, name, x):
    x = x - x.mean(-1, keepdims=True)
    return x / jnp.sqrt((x * x).mean(-1, keepdims=True) + 1e-5) * p[name + ".scale"] + p[name + ".bias"]


def unit(x):
    return x / jnp.sqrt((x * x).sum(-1, keepdims=True) + 1e-12)


def encode(p, ids, mask, noise=None):
    """Logits of the intents, and the embedding. noise: (rows, tokens), 0 where a token is left out in training."""
    rows, length = ids.shape
    x = p["words"][ids] + p["places"][:length]
    if noise is not None:
        x = x * noise[..., None]
    off = (1.0 - mask)[:, None, None, :] * -1e4
    heads = lambda y: y.reshape(rows, length, HEADS, WIDTH // HEADS).transpose(0, 2, 1, 3)
    for k in range(LAYERS):
        part = lambda name, y: y @ p["%d.%s.w" % (k, name)] + p["%d.%s.b" % (k, name)]
        y = norm(p, "%d.before" % k, x)
        q, key, v = (heads(part(n, y)) for n in ("query", "key", "value"))
        weight = jax.nn.softmax(q @ key.swapaxes(-1, -2) / np.sqrt(WIDTH // HEADS) + off, axis=-1)
        x = x + part("mix", (weight @ v).transpose(0, 2, 1, 3).reshape(rows, length, WIDTH))
        x = x + part("outer", jax.nn.gelu(part("inner", norm(p, "%d.between" % k, x)), approximate=False))
    x = norm(p, "last", x) * mask[..., None]
    mean = x.sum(1) / mask.sum(1, keepdims=True)
    return mean @ p["intent.w"] + p["intent.b"], unit(mean @ p["space.w"])


def train(p, ids, mask, answer, steps, batch, rng):
    rule = optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(
        optax.warmup_cosine_decay_schedule(1e-4, 3e-3, steps // 10, steps, 1e-5), weight_decay=0.02))
    state = rule.init(p)
    intent = np.array(INTENT_OF)[answer]

    @jax.jit
    def step(p, state, ids, mask, intent, answer, noise):
        def loss(p):
            logits, place = encode(p, ids, mask.astype(jnp.float32), noise)
            near = SHARP * place @ unit(p["answers"]).T
            known = answer < len(ANSWERS)
            right = optax.softmax_cross_entropy_with_integer_labels(near, jnp.minimum(answer, len(ANSWERS) - 1))
            far = jax.nn.relu(near - 0.2 * SHARP).max(axis=1)     # what is not for the bot is near to nothing
            wanted = optax.smooth_labels(jax.nn.one_hot(intent, len(INTENTS)), 0.05)
            return optax.softmax_cross_entropy(logits, wanted).mean() + jnp.where(known, right, 0.3 * far).mean()

        value, slope = jax.value_and_grad(loss)(p)
        change, state = rule.update(slope, state, p)
        return optax.apply_updates(p, change), state, value

    total = 0.0
    for k in range(steps):
        at = rng.integers(0, len(ids), batch)
        noise = (rng.random((batch, ids.shape[1])) > 0.12).astype(np.float32)
        p, state, value = step(p, state, ids[at], mask[at], intent[at], answer[at], noise)
        total += float(value)
        if k % 50 == 49:
            print("step %4d: loss %.4f" % (k + 1, total / 50), flush=True)
            total = 0.0
    return p


def predict(p, tokenizer, texts):
    """Chances of the intents, and the cosine with each answer."""
    chance, near, run = [], [], jax.jit(encode)
    for k in range(0, len(texts), 256):
        ids, mask = tokens(tokenizer, texts[k:k + 256])
        ids, mask = (np.pad(v, ((0, 0), (0, LENGTH - v.shape[1]))) for v in (ids, mask))
        logits, place = run(p, ids, mask.astype(np.float32))
        chance.append(np.asarray(jax.nn.softmax(logits)))
        near.append(np.asarray(place @ unit(p["answers"]).T))
    return np.concatenate(chance), np.concatenate(near)


def export(p, path):
    constants = {k: np.asarray(v, np.float32) for k, v in p.items() if k != "answers"}
    constants.update({"zero": np.array([0]), "two": np.array([2]), "one": np.float32(1), "far": np.float32(-1e4),
                      "tiny": np.float32(1e-12), "mid": np.array([1]), "last": np.array([-1]), "axes": np.array([1, 2]),
                      "split": np.array([0, 0, HEADS, WIDTH // HEADS]), "join": np.array([0, 0, WIDTH]),
                      "root": np.float32(1 / np.sqrt(WIDTH // HEADS)), "mid0": np.array(1)})
    nodes, made = [], 0

    def add(op, *inputs, out=None, **attributes):
        nonlocal made
        made += 1
        out = out or "t%d" % made
        nodes.append(helper.make_node(op, list(inputs), [out], **attributes))
        return out

    length = add("Gather", add("Shape", "ids"), "mid0", axis=0)
    places = add("Slice", "places", "zero", add("Unsqueeze", length, "zero"), "zero")
    x = add("Add", add("Gather", "words", "ids"), places)
    mask = add("Cast", "mask", to=TensorProto.FLOAT)
    off = add("Mul", add("Unsqueeze", add("Sub", "one", mask), "axes"), "far")
    for k in range(LAYERS):
        part = lambda name, y: add("Add", add("MatMul", y, "%d.%s.w" % (k, name)), "%d.%s.b" % (k, name))
        scaled = lambda name, y: add("LayerNormalization", y, name + ".scale", name + ".bias", epsilon=1e-5)
        heads = lambda y, perm: add("Transpose", add("Reshape", y, "split"), perm=perm)
        y = scaled("%d.before" % k, x)
        q, key, v = (heads(part(n, y), order) for n, order in (("query", [0, 2, 1, 3]), ("key", [0, 2, 3, 1]),
                                                               ("value", [0, 2, 1, 3])))
        weight = add("Softmax", add("Add", add("Mul", add("MatMul", q, key), "root"), off))
        mixed = add("Reshape", add("Transpose", add("MatMul", weight, v), perm=[0, 2, 1, 3]), "join")
        x = add("Add", x, part("mix", mixed))
        x = add("Add", x, part("outer", add("Gelu", part("inner", scaled("%d.between" % k, x)))))
    x = add("Mul", add("LayerNormalization", x, "last.scale", "last.bias", epsilon=1e-5), add("Unsqueeze", mask, "two"))
    mean = add("Div", add("ReduceSum", x, "mid", keepdims=0), add("ReduceSum", mask, "mid", keepdims=1))
    logits = add("Gemm", mean, "intent.w", "intent.b")
    add("Softmax", logits, out="intent")
    place = add("MatMul", mean, "space.w")
    add("Div", place, add("Sqrt", add("Add", add("ReduceSum", add("Mul", place, place), "last", keepdims=1), "tiny")),
        out="embedding")
    info = lambda name, kind, shape: helper.make_tensor_value_info(name, kind, shape)
    graph = helper.make_graph(nodes, "support", [info("ids", TensorProto.INT64, ["rows", "tokens"]),
                                                 info("mask", TensorProto.INT64, ["rows", "tokens"])],
                              [info("intent", TensorProto.FLOAT, ["rows", len(INTENTS)]),
                               info("embedding", TensorProto.FLOAT, ["rows", SPACE])],
                              [numpy_helper.from_array(np.asarray(v), name) for name, v in constants.items()])
    model = helper.make_model(graph, producer_name="examples/chatbot/train.py", ir_version=9,
                              opset_imports=[helper.make_opsetid("", 20)])
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)


# ---- files ----

def decide(chance, near):
    """The rules of pipeline.yaml."""
    best, top = chance.argmax(axis=1), near.argmax(axis=1)
    out = []
    for i, k in enumerate(best):
        sure = chance[i, k] >= SURE and near[i, top[i]] >= CLOSE and INTENTS[k] not in ("other", "agent")
        out.append("ANSWER" if sure and INTENT_OF[top[i]] == k else "HAND_OVER")
    return out


SURE, CLOSE = 0.9, 0.75


def write_csv(path, header, lines):
    with open(path, "w", newline="", encoding="utf-8") as f:
        out = csv.writer(f, lineterminator="\n")
        out.writerow(header)
        out.writerows(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", default=HERE, help="folder to write to")
    parser.add_argument("--mbr", default="mbr", help="the program, which fits the baseline of drift")
    parser.add_argument("--steps", type=int, default=700)
    parser.add_argument("--batch", type=int, default=48)
    args = parser.parse_args()
    path = lambda name: os.path.join(args.out, name)
    rng = np.random.default_rng(SEED)
    known, new = world.phrasings(False), world.phrasings(True)
    pick = [known[int(k)] for k in rng.integers(0, len(known), 16000)]
    texts = [world.say(rng, p) for p, _ in pick]
    answer = np.array([k for _, k in pick])
    tokenizer = make_tokenizer(texts)
    tokenizer.save(path("tokenizer.json"), pretty=False)
    ids, mask = tokens(tokenizer, texts)
    print("%d messages, %d tokens in the vocabulary, %.1f a message, at most %d" % (
        len(texts), tokenizer.get_vocab_size(), mask.sum(1).mean(), ids.shape[1]), flush=True)
    ids, mask = ids[:, :20], mask[:, :20]     # of what is longer the beginning is enough to learn from
    p = train(start(rng, tokenizer.get_vocab_size()), ids, mask, answer, args.steps, args.batch, rng)
    export(p, path("model.onnx"))
    print("model.onnx: %d bytes" % os.path.getsize(path("model.onnx")))
    np.save(path("answers.npy"), np.asarray(unit(p["answers"])).round(6).astype("<f4"))
    with open(path("answers.txt"), "w", encoding="utf-8") as f:
        f.writelines(name + "\n" for name, _, _ in ANSWERS)
    with open(path("replies.txt"), "w", encoding="utf-8") as f:
        f.writelines(text + "\n" for _, _, text in ANSWERS)
    write_csv(path("answers.csv"), ["answer", "intent", "text"], ANSWERS)

    def judge(what, rows):
        messages, truth = [t for t, _ in rows], np.array([k for _, k in rows])
        chance, near = predict(p, tokenizer, messages)
        intent = np.array(INTENT_OF)[truth]
        action = np.array(decide(chance, near))
        mine, top = truth < len(ANSWERS), near.argmax(axis=1)
        share = np.bincount(intent, minlength=len(INTENTS)) / len(intent)
        marks = {"trainer": float((chance.argmax(axis=1) == intent).mean()), "trivial": float(share.max())}
        print("%s: %d messages; intent right %.4f (the most frequent one %.4f), answer right %.4f; %.1f %% answered, of "
              "them right %.4f; of others handed over %.4f" % (
                  what, len(rows), marks["trainer"], marks["trivial"], (top == truth)[mine].mean(),
                  100 * (action == "ANSWER").mean(), (top == truth)[action == "ANSWER"].mean(),
                  (action[~mine] == "HAND_OVER").mean() if (~mine).any() else 1.0), flush=True)
        return chance, near, action, intent, marks

    draw = lambda choices, n, **how: [(world.say(rng, q, **how), k) for q, k in (
        choices[int(i)] for i in rng.integers(0, len(choices), n))]
    judge("known phrasings", draw(known, 1000))
    judge("new phrasings", draw(new, 1000))
    mixed = lambda n: [r for k in range(n // 4) for r in draw(known, 3) + draw(new, 1)]     # one in four is new
    rows = mixed(600)
    chance, near, action, intent, marks = judge("sample", rows)
    write_csv(path("sample.csv"), ["id", "text"], [["Q%04d" % i, t] for i, (t, _) in enumerate(rows)])
    write_csv(path("expected.csv"), ["id", "action", "intent", "sure", "answer", "similarity", "truth"], [
        ["Q%04d" % i, action[i], INTENTS[chance[i].argmax()], "%.6f" % chance[i].max(), ANSWERS[near[i].argmax()][0],
         "%.6f" % near[i].max(), INTENTS[intent[i]]] for i in range(len(rows))])
    with open(path("expected.json"), "w", encoding="utf-8") as f:
        json.dump({"measure": "accuracy", "trainer": round(marks["trainer"], 6), "trivial": round(marks["trivial"], 6),
                   "margin": 0.6, "tolerance": 0.002}, f, indent=1)
        f.write("\n")
    rows = mixed(3000)
    chance, near, *_ = judge("baseline", rows)
    with tempfile.TemporaryDirectory() as folder:
        table = os.path.join(folder, "baseline.csv")
        write_csv(table, ["characters", "sure", "similarity"], [
            [len(t.encode()), "%.6f" % c.max(), "%.6f" % n.max()] for (t, _), c, n in zip(rows, chance, near)])
        subprocess.run([args.mbr, "drift", "fit", table, "-o", path("model.drift")], check=True)
    odd = [(q, len(ANSWERS)) for q in world.CHANGED]
    rows = mixed(300) + draw(odd, 200)
    rows = [rows[int(k)] for k in rng.permutation(len(rows))]
    judge("changed", rows)
    write_csv(path("changed.csv"), ["id", "text"], [["C%04d" % i, t] for i, (t, _) in enumerate(rows)])


if __name__ == "__main__":
    main()
