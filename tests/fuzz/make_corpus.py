#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Writes the seed corpus of fuzz_onnx.c into the folder beside it. Needs the PyPI packages onnx and numpy.

Each file begins with the target's two option bytes: what the rest is, and which allocation fails (255: none).
"""
import pathlib

import numpy as np
from onnx import OptionalProto, SequenceProto, TensorProto, helper, numpy_helper
from onnx.helper import make_graph, make_model, make_node, make_opsetid, make_tensor, make_tensor_value_info

FOLDER = pathlib.Path(__file__).parent / "corpus"
FLOAT = TensorProto.FLOAT
X = make_tensor_value_info("x", FLOAT, ["N", 3])
Y = make_tensor_value_info("y", FLOAT, None)
W = make_tensor("w", FLOAT, [3], [1, 2, 3])


def model(nodes, inputs=(X,), outputs=(Y,), initializers=(W,), opset=17, ir=8, **more):
    graph = make_graph(list(nodes), "g", list(inputs), list(outputs), list(initializers), **more)
    made = make_model(graph, opset_imports=[make_opsetid("", opset), make_opsetid("ai.onnx.ml", 3)], ir_version=ir)
    made.producer_name = "seed"
    return made


def branch(name, *nodes):
    return make_graph(list(nodes), name, [], [make_tensor_value_info("z", FLOAT, None)])


def models():
    yield "mlp", model([make_node("MatMul", ["x", "m"], ["a"]), make_node("Add", ["a", "w"], ["b"]),
                        make_node("Relu", ["b"], ["y"])],
                       initializers=[W, numpy_helper.from_array(np.eye(3, dtype=np.float32), "m")])
    yield "unsorted", model([make_node("Relu", ["a"], ["y"]), make_node("Add", ["x", "w"], ["a"])])
    condition = make_tensor("c", TensorProto.BOOL, [], [True])
    yield "if", model([make_node("If", ["c"], ["y"], then_branch=branch("t", make_node("Add", ["x", "w"], ["z"])),
                                 else_branch=branch("e", make_node("Identity", ["x"], ["z"])))],
                      initializers=[W, condition])
    body = make_graph([make_node("Identity", ["going"], ["still"]), make_node("Add", ["v", "w"], ["next"])], "body",
                      [make_tensor_value_info("i", TensorProto.INT64, []),
                       make_tensor_value_info("going", TensorProto.BOOL, []), make_tensor_value_info("v", FLOAT, None)],
                      [make_tensor_value_info("still", TensorProto.BOOL, []),
                       make_tensor_value_info("next", FLOAT, None)])
    yield "loop", model([make_node("Loop", ["n", "", "x"], ["y"], body=body)],
                        initializers=[W, make_tensor("n", TensorProto.INT64, [], [4])])
    leaky = make_node("LeakyRelu", ["a"], ["b"])
    leaky.attribute.add(name="alpha", ref_attr_name="slope", type=1)
    function = helper.make_function("local", "f", ["a"], ["b"], [leaky], [make_opsetid("", 17)], ["slope"])
    with_function = model([make_node("f", ["x"], ["y"], domain="local", slope=0.5)])
    with_function.opset_import.append(make_opsetid("local", 1))
    with_function.functions.append(function)
    yield "function", with_function
    values = make_tensor("s", FLOAT, [2], [1, 2])
    indices = make_tensor("", TensorProto.INT64, [2], [0, 4])
    yield "sparse", model([make_node("Add", ["x", "s"], ["y"])],
                          sparse_initializer=[helper.make_sparse_tensor(values, indices, [2, 3])])
    yield "constants", model([make_node("Constant", [], ["k"], value_floats=[1.0, 2.0, 3.0]),
                              make_node("Constant", [], ["s"], value_strings=["a", "b"]),
                              make_node("Add", ["x", "k"], ["y"])])
    yield "int4", model([make_node("DequantizeLinear", ["q", "scale"], ["d"]), make_node("Add", ["x", "d"], ["y"])],
                        initializers=[make_tensor("q", TensorProto.INT4, [3], [-8, 0, 7]),
                                      make_tensor("scale", FLOAT, [], [0.5])], opset=21, ir=10)
    yield "conv", model([make_node("Conv", ["x", "k"], ["y"], pads=[1, 1, 1, 1], strides=[2, 2])],
                        inputs=[make_tensor_value_info("x", FLOAT, [1, 1, 5, 5])],
                        initializers=[numpy_helper.from_array(np.ones((2, 1, 3, 3), np.float32), "k")])
    yield "shapes", model([make_node("Shape", ["x"], ["s"]), make_node("Reshape", ["x", "s"], ["r"]),
                           make_node("Transpose", ["r"], ["y"], perm=[1, 0])])
    external = make_tensor("w", FLOAT, [3], [1, 2, 3])
    external.ClearField("float_data")
    external.data_location = TensorProto.EXTERNAL
    for key, value in (("location", "data"), ("offset", "0"), ("length", "12")):
        external.external_data.add(key=key, value=value)
    yield "external", model([make_node("Add", ["x", "w"], ["y"])], initializers=[external])
    tree = dict(n_targets=1, post_transform="NONE", nodes_treeids=[0, 0, 0], nodes_nodeids=[0, 1, 2],
                nodes_featureids=[1, 0, 0], nodes_values=[0.5, 0.0, 0.0], nodes_modes=["BRANCH_LEQ", "LEAF", "LEAF"],
                nodes_truenodeids=[1, 0, 0], nodes_falsenodeids=[2, 0, 0], target_treeids=[0, 0],
                target_nodeids=[1, 2], target_ids=[0, 0], target_weights=[1.0, -1.0])
    yield "tree", model([make_node("TreeEnsembleRegressor", ["x"], ["y"], domain="ai.onnx.ml", **tree)])
    sequence = helper.make_tensor_sequence_value_info("q", FLOAT, None)
    optional = helper.make_value_info("o", helper.make_optional_type_proto(helper.make_tensor_type_proto(FLOAT, [2])))
    yield "containers", model([make_node("SequenceAt", ["q", "i"], ["y"]), make_node("OptionalHasElement", ["o"], ["h"])],
                              inputs=[sequence, optional],
                              outputs=[Y, make_tensor_value_info("h", TensorProto.BOOL, [])],
                              initializers=[make_tensor("i", TensorProto.INT64, [], [0])])
    yield "old", model([make_node("Add", ["x", "w"], ["y"], broadcast=1, axis=1)],
                       inputs=[X, make_tensor_value_info("w", FLOAT, [3])], opset=6, ir=3)


def messages():
    f = numpy_helper.from_array(np.arange(6, dtype=np.float32).reshape(2, 3), "t")
    yield 2, "float", f
    yield 2, "typed", make_tensor("t", FLOAT, [2, 2], [1, 2, 3, 4])
    yield 2, "strings", make_tensor("t", TensorProto.STRING, [2], [b"one", b""])
    yield 2, "half", make_tensor("t", TensorProto.FLOAT16, [2], [1.0, -2.0])
    yield 2, "uint2", make_tensor("t", TensorProto.UINT2, [5], [0, 1, 2, 3, 0])
    sequence = SequenceProto(name="q", elem_type=SequenceProto.TENSOR, tensor_values=[f, f])
    yield 3, "sequence", sequence
    maps = SequenceProto(name="m", elem_type=SequenceProto.MAP)
    maps.map_values.append(numpy_helper.from_dict({1: np.float32(2), 3: np.float32(4)}, "d"))
    yield 3, "maps", maps
    yield 4, "optional", OptionalProto(name="o", elem_type=OptionalProto.SEQUENCE, sequence_value=sequence)
    yield 4, "nothing", OptionalProto(name="o", elem_type=OptionalProto.TENSOR)
    words = numpy_helper.from_dict({1: np.float32(2)}, "d")
    words.ClearField("keys")
    words.key_type = TensorProto.STRING
    words.string_keys.append(b"k")
    yield 5, "map", words


def main():
    FOLDER.mkdir(exist_ok=True)
    for name, made in models():
        for mode, kind in ((0, "import"), (1, "infer")):
            (FOLDER / f"{kind}_{name}").write_bytes(bytes([mode, 255]) + made.SerializeToString())
    (FOLDER / "import_no_memory").write_bytes(bytes([0, 20]) + made.SerializeToString())
    for mode, name, made in messages():
        (FOLDER / f"value_{name}").write_bytes(bytes([mode, 255]) + made.SerializeToString())


main()
