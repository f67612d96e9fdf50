# SPDX-License-Identifier: BSD-2-Clause
"""What the files nodes_*.py fill: one function for each family of operators, which draws a random node.

A function takes a Draw and returns inputs (arrays, lists for sequences, None where absent), attributes, and how many
outputs there are. Inputs in `fixed` are numbers that say shapes or axes: more often constants than not. `slack` is how
far integers may be off, `rtol` a tolerance wider than that of the type.
"""
import numpy as np

from draw import TYPES

TABLE = {}  # name -> (domain, function)
F32 = np.float32
NO_TEXT = [t for t in TYPES.values() if t is not np.object_]


def op(*names, domain=""):
    def add(function):
        for name in names:
            TABLE[name] = (domain, function)
        return function
    return add


class Node:
    def __init__(self, inputs, attrs=None, outputs=1, fixed=(), slack=0, rtol=0.0):
        self.inputs, self.attrs, self.outputs = inputs, attrs or {}, outputs
        self.fixed, self.slack, self.rtol = fixed, slack, rtol
