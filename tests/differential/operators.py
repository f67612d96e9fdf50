# SPDX-License-Identifier: BSD-2-Clause
"""All random nodes: TABLE is filled by the files that are imported here."""
import nodes_elementwise  # noqa: F401
import nodes_movement  # noqa: F401
import nodes_others  # noqa: F401
import nodes_sums  # noqa: F401
import nodes_windows  # noqa: F401
from nodes import TABLE  # noqa: F401

# Those whose zeros have a sign worth looking at.
SIGNED = ("Abs", "Ceil", "Floor", "Neg", "Relu", "Round", "Sign", "Sin", "Sinh", "Asin", "Asinh", "Atan", "Atanh", "Tan", "Tanh",
          "Erf", "Sqrt", "Reciprocal", "Identity", "LeakyRelu", "Elu", "Clip", "Add", "Sub", "Mul", "Div", "Max", "Min",
          "Where", "PRelu", "Transpose", "Slice", "Concat", "Reshape", "Pad", "Gather", "Softsign", "ThresholdedRelu", "Selu",
          "HardSwish", "Mish", "Gelu", "Swish", "Shrink", "Sum", "ReduceMax", "ReduceMin", "Trilu", "Expand", "Tile")
