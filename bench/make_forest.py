#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Writes a model of one large TreeEnsembleRegressor, to time how forests are loaded and walked.

    make_forest.py OUT.onnx [--nodes 3000000] [--trees 300] [--features 50] [--seed 1]

Trees are grown at random, as a fully grown random forest is shaped: the rows of a node are cut at a random place. The
wire format is written here, for onnx.helper takes minutes for arrays of this size.
"""
import argparse
import random
import struct


def varint(n):
    out = bytearray()
    while n > 127:
        out.append(n & 127 | 128)
        n >>= 7
    out.append(n)
    return bytes(out)


def field(number, payload):
    return varint(number << 3 | 2) + varint(len(payload)) + payload


def attribute(name, kind, payload):
    return field(5, field(1, name.encode()) + payload + varint(20 << 3) + varint(kind))


def ints(name, values):
    tag = varint(8 << 3)
    return attribute(name, 7, b"".join(tag + varint(v) for v in values))


def floats(name, values):
    tag = varint(7 << 3 | 5)
    return attribute(name, 6, b"".join(tag + struct.pack("<f", v) for v in values))


def strings(name, values):
    return attribute(name, 8, b"".join(field(9, v) for v in values))


def grow(random_, leaves, features):
    """Lists of (feature, value, yes, no), depth first; None for a leaf."""
    nodes = [None]
    todo = [(0, leaves)]
    while todo:
        at, n = todo.pop()
        if n == 1:
            continue
        left = max(1, min(n - 1, int(n * random_.betavariate(2, 2))))
        nodes[at] = (random_.randrange(features), random_.random(), len(nodes), len(nodes) + 1)
        nodes += [None, None]
        todo += [(nodes[at][3], n - left), (nodes[at][2], left)]
    return nodes


def value_info(name, columns):
    dims = field(1, field(2, b"N")) + field(1, varint(1 << 3) + varint(columns))
    return field(1, name.encode()) + field(2, field(1, varint(1 << 3) + varint(1) + field(2, dims)))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out")
    parser.add_argument("--nodes", type=int, default=3000000)
    parser.add_argument("--trees", type=int, default=300)
    parser.add_argument("--features", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    random_ = random.Random(args.seed)
    tree, node, feature, value, mode, yes, no = [], [], [], [], [], [], []
    leaf_tree, leaf_node, weight = [], [], []
    for t in range(args.trees):
        nodes = grow(random_, args.nodes // args.trees // 2, args.features)
        for k, n in enumerate(nodes):
            tree.append(t)
            node.append(k)
            f, v, y, o = n or (0, 0.0, 0, 0)
            feature.append(f)
            value.append(v)
            yes.append(y)
            no.append(o)
            mode.append(b"BRANCH_LEQ" if n else b"LEAF")
            if not n:
                leaf_tree.append(t)
                leaf_node.append(k)
                weight.append(random_.gauss(0, 1))
    op = field(1, b"X") + field(2, b"Y") + field(4, b"TreeEnsembleRegressor") + field(7, b"ai.onnx.ml")
    op += attribute("n_targets", 2, varint(3 << 3) + varint(1))
    op += ints("nodes_treeids", tree) + ints("nodes_nodeids", node) + ints("nodes_featureids", feature)
    op += floats("nodes_values", value) + floats("nodes_hitrates", [1.0] * len(node)) + strings("nodes_modes", mode)
    op += ints("nodes_truenodeids", yes) + ints("nodes_falsenodeids", no)
    op += ints("nodes_missing_value_tracks_true", [0] * len(node))
    op += ints("target_treeids", leaf_tree) + ints("target_nodeids", leaf_node)
    op += ints("target_ids", [0] * len(leaf_node)) + floats("target_weights", weight)
    graph = field(1, op) + field(2, b"forest") + field(11, value_info("X", args.features)) + field(12, value_info("Y", 1))
    opsets = field(8, varint(2 << 3) + varint(17)) + field(8, field(1, b"ai.onnx.ml") + varint(2 << 3) + varint(3))
    with open(args.out, "wb") as f:
        f.write(varint(1 << 3) + varint(8) + field(7, graph) + opsets)
    print(f"{args.out}: {len(node)} nodes, {args.trees} trees")


if __name__ == "__main__":
    main()
