# SPDX-License-Identifier: BSD-2-Clause
"""What ONNX Runtime and ONNX's reference say of a case."""
import warnings

import ml_dtypes
import numpy as np
import onnxruntime
from onnx.reference import ReferenceEvaluator

warnings.filterwarnings("ignore")
np.seterr(all="ignore")

OPTIONS = onnxruntime.SessionOptions()
OPTIONS.intra_op_num_threads = 1
OPTIONS.inter_op_num_threads = 1
OPTIONS.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
OPTIONS.log_severity_level = 4
OPTIONS.enable_mem_pattern = False
onnxruntime.set_default_logger_severity(4)


def by_runtime(model, inputs):
    """Outputs, or the text of the failure."""
    if any(not isinstance(v, list) and v.dtype == ml_dtypes.bfloat16 for v in inputs.values()):
        return "bfloat16 does not pass through numpy"
    try:
        session = onnxruntime.InferenceSession(model.SerializeToString(), OPTIONS,
                                               providers=["CPUExecutionProvider"])
        return session.run(None, inputs)
    except Exception as e:  # whatever it does not like
        return str(e) or "failed"


def by_reference(model, inputs):
    try:
        # it writes into its inputs now and then
        copies = {k: [a.copy() for a in v] if isinstance(v, list) else v.copy() for k, v in inputs.items()}
        outputs = ReferenceEvaluator(model).run(None, copies)
        return [o if isinstance(o, list) else np.asarray(o) for o in outputs]
    except Exception as e:
        return (str(e) or type(e).__name__)[:300]


def is_float(dtype):
    return dtype.kind == "f" or dtype == ml_dtypes.bfloat16


def tolerance(outputs, least=0.0):
    """Relative and absolute, from the types and sizes of what is due."""
    rtol, atol = 0.0, 0.0
    for o in outputs:
        if not isinstance(o, np.ndarray) or not (is_float(o.dtype) or o.dtype.kind == "c"):
            continue
        r = 1e-3 if o.dtype == np.float32 else 1e-11 if o.dtype == np.float64 else \
            1e-3 if o.dtype.kind == "c" else 4e-2 if o.dtype == ml_dtypes.bfloat16 else 1e-2
        r = max(r, least)
        finite = np.abs(o[np.isfinite(o)]).astype(np.float64) if o.size else np.zeros(0)
        rtol = max(rtol, r)
        atol = max(atol, r * 0.02 * min(float(finite.max()) if finite.size else 0.0, 1e30), r * 0.01)
    return rtol, atol


def differs(got, want, rtol, atol, slack):
    """None, or a few words."""
    if isinstance(want, list) or isinstance(got, list):
        if not isinstance(want, list) or not isinstance(got, list) or len(got) != len(want):
            return "another kind, or another number of items"
        return next((d for g, w in zip(got, want) if (d := differs(g, w, rtol, atol, slack))), None)
    got, want = np.asarray(got), np.asarray(want)
    if want.dtype.kind in "US":
        want = want.astype(np.object_)
    if got.dtype != want.dtype:
        return f"type {got.dtype}, {want.dtype} is due"
    if got.shape != want.shape:
        return f"shape {got.shape}, {want.shape} is due"
    if want.dtype.name in ml_dtypes.__all__ and want.dtype != ml_dtypes.bfloat16:
        close = np.isclose(got.astype(np.float32), want.astype(np.float32), rtol=0, atol=0, equal_nan=True)
    elif is_float(want.dtype) or want.dtype.kind == "c":
        kind = np.complex128 if want.dtype.kind == "c" else np.float64
        g, w = got.astype(kind), want.astype(kind)
        close = np.isclose(g, w, rtol=rtol, atol=atol, equal_nan=True) | (g == w)
    elif slack and want.dtype.kind in "iu":
        close = np.abs(got.astype(np.float64) - want.astype(np.float64)) <= slack
    else:
        close = got == want
    if np.all(close):
        return None
    at = int(np.argmin(np.asarray(close).reshape(-1)))
    return f"{int(np.sum(~np.asarray(close)))} of {want.size} values off, the first at {at}: " \
           f"{got.reshape(-1)[at]}, {want.reshape(-1)[at]} is due"
