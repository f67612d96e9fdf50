#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Writes the seed corpus of the fuzz targets and of test_alloc.c into the folder beside it. Needs the PyPI packages onnx and numpy.

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
    yield from control_flow()
    yield from containers_and_texts()
    yield from kernels()
    yield "old", model([make_node("Add", ["x", "w"], ["y"], broadcast=1, axis=1)],
                       inputs=[X, make_tensor_value_info("w", FLOAT, [3])], opset=6, ir=3)


def info(name, kind=FLOAT, dims=None):
    return make_tensor_value_info(name, kind, dims)


def weights(name, *dims):
    count = int(np.prod(dims))
    return numpy_helper.from_array((np.arange(count, dtype=np.float32).reshape(dims) % 7 - 3) / 4, name)


def control_flow():
    total = make_graph([make_node("Add", ["s", "e"], ["t"]), make_node("Identity", ["t"], ["o"])], "total",
                       [info("s", dims=[3]), info("e", dims=[3])], [info("t", dims=[3]), info("o", dims=[3])])
    yield "scan", model([make_node("Scan", ["w", "x"], ["last", "y"], body=total, num_scan_inputs=1)])
    grow = make_graph([make_node("Concat", ["v", "x"], ["more"], axis=0), make_node("Identity", ["going"], ["still"])],
                      "grow", [info("i", TensorProto.INT64, []), info("going", TensorProto.BOOL, []), info("v")],
                      [info("still", TensorProto.BOOL, []), info("more")])
    yield "grow", model([make_node("Loop", ["n", "c", "x"], ["y"], body=grow)],
                        initializers=[make_tensor("n", TensorProto.INT64, [], [3]),
                                      make_tensor("c", TensorProto.BOOL, [], [True])])
    inner = make_graph([make_node("Mul", ["u", "w"], ["q"]), make_node("Identity", ["g"], ["h"]),
                        make_node("Identity", ["q"], ["each"])], "inner",
                       [info("j", TensorProto.INT64, []), info("g", TensorProto.BOOL, []), info("u")],
                       [info("h", TensorProto.BOOL, []), info("q"), info("each")])
    outer = make_graph([make_node("Loop", ["n", "", "v"], ["p", "all"], body=inner),
                        make_node("If", ["going"], ["r"], then_branch=branch("t", make_node("Add", ["p", "x"], ["z"])),
                                  else_branch=branch("e", make_node("Identity", ["p"], ["z"]))),
                        make_node("Identity", ["going"], ["still"])], "outer",
                       [info("i", TensorProto.INT64, []), info("going", TensorProto.BOOL, []), info("v")],
                       [info("still", TensorProto.BOOL, []), info("r"), info("all")])
    yield "nested", model([make_node("Loop", ["n", "", "x"], ["y", "stack"], body=outer)],
                          outputs=[Y, info("stack")],
                          initializers=[W, make_tensor("n", TensorProto.INT64, [], [2])])


def containers_and_texts():
    two = make_tensor("two", TensorProto.INT64, [2], [1, 2])
    yield "split", model([make_node("SplitToSequence", ["x", "two"], ["s"], axis=1),
                          make_node("SequenceInsert", ["s", "x"], ["t"]), make_node("SequenceErase", ["t", "zero"], ["u"]),
                          make_node("ConcatFromSequence", ["u"], ["y"], axis=1)],
                         initializers=[two, make_tensor("zero", TensorProto.INT64, [], [0])])
    text = info("x", TensorProto.STRING, ["N"])
    yield "texts", model([make_node("StringConcat", ["x", "tail"], ["a"]),
                          make_node("StringSplit", ["a"], ["parts", "many"], delimiter=" "),
                          make_node("LabelEncoder", ["a"], ["y"], domain="ai.onnx.ml", keys_strings=["one", " two"],
                                    values_int64s=[1, 2], default_int64=-1)],
                         inputs=[text], outputs=[info("y", TensorProto.INT64), info("parts", TensorProto.STRING)],
                         initializers=[make_tensor("tail", TensorProto.STRING, [1], [b" two"])], opset=20, ir=9)
    yield "words", model([make_node("StringNormalizer", ["x"], ["a"], case_change_action="LOWER", stopwords=["the"]),
                          make_node("TfIdfVectorizer", ["a"], ["y"], mode="TF", min_gram_length=1, max_gram_length=1,
                                    max_skip_count=0, ngram_counts=[0], ngram_indexes=[0, 1],
                                    pool_strings=["", "b"])], inputs=[text])
    classes = dict(nodes_treeids=[0, 0, 0], nodes_nodeids=[0, 1, 2], nodes_featureids=[1, 0, 0],
                   nodes_values=[0.5, 0.0, 0.0], nodes_modes=["BRANCH_LEQ", "LEAF", "LEAF"],
                   nodes_truenodeids=[1, 0, 0], nodes_falsenodeids=[2, 0, 0], class_treeids=[0, 0], class_nodeids=[1, 2],
                   class_ids=[0, 1], class_weights=[0.7, 0.9], classlabels_strings=["no", "yes"], post_transform="SOFTMAX")
    yield "classes", model([make_node("TreeEnsembleClassifier", ["x"], ["label", "p"], domain="ai.onnx.ml", **classes),
                            make_node("ZipMap", ["p"], ["y"], domain="ai.onnx.ml", classlabels_strings=["no", "yes"])],
                           outputs=[info("label", TensorProto.STRING),
                                    helper.make_value_info("y", helper.make_sequence_type_proto(
                                        helper.make_map_type_proto(TensorProto.STRING,
                                                                   helper.make_tensor_type_proto(FLOAT, []))))])
    yield "found", model([make_node("NonZero", ["x"], ["i"]), make_node("Transpose", ["i"], ["t"]),
                          make_node("GatherND", ["x", "t"], ["g"]), make_node("Unique", ["g"], ["y", "", "", "n"])],
                         outputs=[Y, info("n", TensorProto.INT64)])


def kernels():
    image = info("x", dims=["N", 4, 8, 8])
    yield "block", model([make_node("Conv", ["x", "k"], ["a"], pads=[1, 1, 1, 1]),
                          make_node("BatchNormalization", ["a", "s", "b", "m", "v"], ["n"]),
                          make_node("Relu", ["n"], ["r"]), make_node("Conv", ["r", "d"], ["e"], group=4, pads=[1] * 4),
                          make_node("Add", ["e", "x"], ["f"]), make_node("MaxPool", ["f"], ["g"], kernel_shape=[2, 2]),
                          make_node("GlobalAveragePool", ["g"], ["h"]), make_node("Flatten", ["h"], ["l"]),
                          make_node("Gemm", ["l", "w"], ["o"], transB=1), make_node("Softmax", ["o"], ["y"])],
                         inputs=[image], initializers=[weights("k", 4, 4, 3, 3), weights("d", 4, 1, 3, 3),
                                                       weights("s", 4), weights("b", 4), weights("m", 4),
                                                       make_tensor("v", FLOAT, [4], [1, 2, 1, 2]), weights("w", 3, 4)])
    yield "lstm", model([make_node("LSTM", ["x", "w", "r", "b"], ["y", "h", "c"], hidden_size=4,
                                   direction="bidirectional"),
                         make_node("GRU", ["x", "gw", "gr"], ["", "g"], hidden_size=2)],
                        inputs=[info("x", dims=["T", "N", 3])], outputs=[Y, info("h"), info("c"), info("g")],
                        initializers=[weights("w", 2, 16, 3), weights("r", 2, 16, 4), weights("b", 2, 32),
                                      weights("gw", 1, 6, 3), weights("gr", 1, 6, 2)])
    shape = make_tensor("heads", TensorProto.INT64, [4], [0, 0, 2, 4])
    yield "attention", model([make_node("MatMul", ["x", "wq"], ["q0"]), make_node("MatMul", ["x", "wk"], ["k0"]),
                              make_node("Reshape", ["q0", "heads"], ["q1"]), make_node("Reshape", ["k0", "heads"], ["k1"]),
                              make_node("Transpose", ["q1"], ["q"], perm=[0, 2, 1, 3]),
                              make_node("Transpose", ["k1"], ["k"], perm=[0, 2, 3, 1]),
                              make_node("Transpose", ["k1"], ["v"], perm=[0, 2, 1, 3]),
                              make_node("MatMul", ["q", "k"], ["s"]), make_node("Mul", ["s", "half"], ["t"]),
                              make_node("Softmax", ["t"], ["p"], axis=-1), make_node("MatMul", ["p", "v"], ["o"]),
                              make_node("LayerNormalization", ["o", "g"], ["n"]), make_node("Gelu", ["n"], ["y"])],
                             inputs=[info("x", dims=["N", "T", 8])], opset=20, ir=9,
                             initializers=[weights("wq", 8, 8), weights("wk", 8, 8), shape, weights("g", 4),
                                           make_tensor("half", FLOAT, [], [0.5])])
    yield "cache", model([make_node("Attention", ["q", "k", "v", "", "pk", "pv"], ["y", "ck", "cv"], is_causal=1)],
                         inputs=[info(n, dims=["N", 2, "T", 4]) for n in "qkv"] +
                                [info(n, dims=["N", 2, "P", 4]) for n in ("pk", "pv")],
                         outputs=[Y, info("ck"), info("cv")], initializers=[], opset=23, ir=11)
    scale, zero = make_tensor("s", FLOAT, [], [0.5]), make_tensor("z", TensorProto.UINT8, [], [3])
    bytes_ = numpy_helper.from_array((np.arange(36) % 11 - 5).astype(np.int8).reshape(4, 1, 3, 3), "k")
    yield "bytes", model([make_node("QuantizeLinear", ["x", "s", "z"], ["q"]),
                          make_node("QLinearConv", ["q", "s", "z", "k", "s", "kz", "s", "z"], ["c"], pads=[1] * 4),
                          make_node("DequantizeLinear", ["c", "s", "z"], ["f"]), make_node("Relu", ["f"], ["r"]),
                          make_node("QuantizeLinear", ["r", "s", "z"], ["p"]),
                          make_node("DequantizeLinear", ["p", "s", "z"], ["d"]),
                          make_node("DynamicQuantizeLinear", ["d"], ["i", "is", "iz"]),
                          make_node("MatMulInteger", ["i", "b", "iz"], ["m"]), make_node("Cast", ["m"], ["y"], to=FLOAT)],
                         inputs=[info("x", dims=["N", 1, 4, 4])],
                         initializers=[scale, zero, bytes_, make_tensor("kz", TensorProto.INT8, [], [0]),
                                       numpy_helper.from_array(np.arange(8, dtype=np.int8).reshape(4, 2), "b")])
    packed = numpy_helper.from_array((np.arange(32) * 7).astype(np.uint8).reshape(4, 1, 8), "b")
    with_nbits = model([make_node("MatMulNBits", ["x", "b", "s"], ["y"], domain="com.microsoft", K=16, N=4, bits=4,
                                  block_size=16)], inputs=[info("x", dims=["N", 16])],
                       initializers=[packed, weights("s", 4)])
    with_nbits.opset_import.append(make_opsetid("com.microsoft", 1))
    yield "nbits", with_nbits
    yield "resize", model([make_node("Resize", ["x", "", "by"], ["a"], mode="linear"),
                           make_node("TopK", ["a", "k"], ["t", "i"]), make_node("CumSum", ["t", "axis"], ["c"]),
                           make_node("Einsum", ["c", "c"], ["y"], equation="nchw,nchw->nc")], inputs=[image],
                          initializers=[make_tensor("by", FLOAT, [4], [1, 1, 2, 0.5]),
                                        make_tensor("k", TensorProto.INT64, [1], [3]),
                                        make_tensor("axis", TensorProto.INT64, [], [2])])


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
