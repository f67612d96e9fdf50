#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Random rows through steps with state by key, in `mbr decide` and in pandas, numpy and scipy: values agree to 1e-7.

--rows N rows (default 1500). Without pandas and scipy it ends with status 77, a SKIP.
"""
import argparse
import json
import os
import random
import subprocess
import sys
import tempfile

try:
    import numpy as np
    import pandas as pd
    import scipy.signal
    import scipy.stats
except ImportError:
    print("SKIP: pandas or scipy is not there")
    sys.exit(77)


def field(number, payload):
    if isinstance(payload, int):
        return bytes([number << 3, payload])
    return bytes([number << 3 | 2, len(payload)]) + payload


def identity():
    """An ONNX model that copies x, f32[N, 1]."""
    dims = field(1, field(2, b"N")) + field(1, field(1, 1))
    kind = field(1, field(1, 1) + field(2, dims))
    node = field(1, b"x") + field(2, b"y") + field(4, b"Identity")
    graph = field(1, node) + field(2, b"g") + field(11, field(1, b"x") + field(2, kind))
    graph += field(12, field(1, b"y") + field(2, kind))
    return field(1, 8) + field(7, graph) + field(8, field(2, 13))


PIPELINE = """
version: 1
name: keyed
model: {path: identity.onnx}
inputs:
  key: {type: string}
  when: {type: time, format: epoch}
  x: {type: number, missing: keep}
  shop: {type: string}
  sample: {type: number}
  zero: {type: number}
  burst: {type: array}
features:
  - {name: b, kind: array, from: burst, dtype: f64, shape: [-1, 2]}
%s
tensors:
  - {input: x, from: zero}
outputs:
  - {name: y, output: y, column: 0}
scores: [y, %s]
rules:
  - {name: all, then: GO}
"""


def steps():
    """(name, yaml, function of the rows of one key that gives a column)"""
    made = []

    def add(name, text, twin):
        made.append((name, "  - {name: %s, %s}" % (name, text), twin))

    def rolled(g, window, current, what):
        r = g.set_index(pd.to_datetime(g.when, unit="s")).x.rolling(window, closed="right" if current else "left",
                                                                   min_periods=0)
        return getattr(r, what)().to_numpy()

    base = "kind: aggregate, key: key, time: when, events: 512"
    for window, text in (("60s", "1m"), ("600s", "10m"), ("7200s", "2h")):
        for what, op in (("count", "count"), ("sum", "sum"), ("mean", "mean"), ("std", "std"), ("min", "min"),
                         ("max", "max")):
            add("%s_%s" % (op, text), "%s, op: %s, value: x, window: %s" % (base, op, text),
                lambda g, w=window, f=what: rolled(g, w, True, f))


    def distinct_rows(g, seconds):
        shops, times = g.shop.to_numpy(), g.when.to_numpy()
        return np.array([len({shops[k] for k in range(i + 1) if times[k] > times[i] - seconds}) for i in
                         range(len(times))], float)

    add("shops", base + ", op: distinct, value: shop, window: 10m", lambda g: distinct_rows(g, 600))
    add("pause", base + ", op: since_last", lambda g: g.when.diff().to_numpy())
    add("before", base + ", op: last, value: x", lambda g: g.x.ffill().shift().to_numpy())
    add("lag3", "kind: lag, from: x, key: key, lags: [3]", lambda g: g.x.shift(3).to_numpy())

    def roll(g, what, n=20, least=5):
        r = g.x.rolling(n, min_periods=least)
        if what == "slope":
            def line(v):
                there = ~np.isnan(v)
                return np.polyfit(np.arange(len(v))[there], v[there], 1)[0]
            return r.apply(line, raw=True).to_numpy()
        if what == "rms":
            return np.sqrt((g.x ** 2).rolling(n, min_periods=least).mean()).to_numpy()
        return getattr(r, {"kurtosis": "kurt"}.get(what, what))().to_numpy()

    for what in ("mean", "std", "min", "max", "median", "slope", "rms", "kurtosis"):
        add("roll_" + what, "kind: rolling, from: x, key: key, length: 20, min_samples: 5, ops: [%s]" % what,
            lambda g, f=what: roll(g, f))
    for taper in ("none", "hann", "hamming", "blackman"):
        def power(g, name=taper):
            out = np.full(len(g), np.nan)
            for i in range(31, len(g), 4):
                v = g["sample"].to_numpy()[i - 31:i + 1]
                f, p = scipy.signal.periodogram(v, 100.0, window="boxcar" if name == "none" else name,
                                                detrend="constant", scaling="density")
                out[i] = p[(f >= 10) & (f < 30)].sum() * 100.0 / 32
            return out
        add("fft_" + taper, "kind: fft_bands, from: sample, key: key, length: 32, hop: 4, rate: 100, bands: [10, 30], "
            "taper: %s" % taper, power)

    def on_grid(g, method):
        """The value at the latest point of the grid, one period of which is 5 seconds."""
        t, v, out = g.when.to_numpy(), g["sample"].to_numpy(), np.full(len(g), np.nan)
        begin, last = 0, np.nan
        for i in range(len(t)):
            if i and t[i] - t[i - 1] > 120:
                begin, last = i, np.nan
            elif i and t[i] <= t[i - 1]:
                out[i] = last
                continue
            point = np.floor(t[i] / 5) * 5
            if point >= t[begin]:
                if method == "linear":
                    last = np.interp(point, t[begin:i + 1], v[begin:i + 1])
                else:
                    last = v[begin:i + 1][t[begin:i + 1] <= point][-1]
            out[i] = last
        return out

    for method in ("linear", "previous"):
        add("grid_" + method, "kind: lag, from: sample, key: key, time: when, period: 5s, max_gap: 2m, method: %s, "
            "lags: [0]" % method, lambda g, m=method: on_grid(g, m))
    return made + burst_steps()


def burst_steps():
    """The same for the samples in a tensor, whose channel 0 lacks some: how a score is made of a step, and its twin."""
    made = []

    def add(name, step, score, twin):
        made.append((name, "  - {name: of_%s, %s}\n  - {name: %s, %s}" %
                     (name, step, name, score.replace("IT", "of_" + name)),
                     lambda g: np.array([twin(b) for b in g.burst], float)))

    def first(index):
        return 'kind: expr, expr: "IT[%d]"' % index

    def at(index):
        return "kind: values, from: IT, at: %d, width: 1" % index

    def whole(b, what):
        there = ~np.isnan(b[:, 0])
        v = b[there, 0]
        if len(v) < 9:
            return np.nan
        return {"mean": np.mean, "std": lambda v: np.std(v, ddof=1), "min": np.min, "max": np.max,
                "median": np.median, "rms": lambda v: np.sqrt(np.mean(v * v)),
                "slope": lambda v: np.polyfit(np.arange(len(b))[there], v, 1)[0],
                "kurtosis": lambda v: scipy.stats.kurtosis(v, bias=False)}[what](v)

    def rolled(b, what, index):
        r = pd.DataFrame(b).rolling(12, min_periods=4)
        values = getattr(r, {"kurtosis": "kurt"}.get(what, what))().to_numpy()[11::3].ravel()
        return values[index] if index < len(values) else np.nan

    def power(v, taper):
        if len(v) < 16:
            return np.nan
        f, p = scipy.signal.periodogram(v, 100.0, window="boxcar" if taper == "none" else taper, detrend="constant",
                                        scaling="density")
        return p[(f >= 10) & (f < 30)].sum() * 100.0 / 16

    def windows(b, index):
        if len(b) < 4:
            return np.nan
        values = np.lib.stride_tricks.sliding_window_view(b, 4, axis=0)[::2].ravel()
        return values[index] if index < len(values) else np.nan

    for what in ("mean", "std", "min", "max", "median", "slope", "rms", "kurtosis"):
        add("burst_" + what, "kind: rolling, from: b, min_samples: 9, ops: [%s]" % what, first(0),
            lambda b, f=what: whole(b, f))
    for what in ("mean", "std", "max", "median", "kurtosis"):
        for index in (0, 5):
            add("frames_%s_%d" % (what, index), "kind: rolling, from: b, length: 12, min_samples: 4, hop: 3, ops: [%s]" %
                what, at(index), lambda b, f=what, i=index: rolled(b, f, i))
    for taper in ("none", "hann", "hamming", "blackman"):
        fft = "kind: fft_bands, from: b, length: 16, rate: 100, bands: [10, 30], taper: " + taper
        add("burst_fft_" + taper, fft, first(1), lambda b, t=taper: power(b[-16:, 1], t))
        add("frames_fft_" + taper, fft + ", hop: 2", at(7), lambda b, t=taper: power(b[6:22, 1], t))
    add("burst_lag", "kind: lag, from: b, lags: [7]", first(1), lambda b: b[-8, 1] if len(b) >= 8 else np.nan)
    add("burst_window", "kind: window, from: b, length: 4, hop: 2, layout: channels_first, dtype: f64", at(9),
        lambda b: windows(b, 9))
    return made


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mbr", default=os.environ.get("MBR", "./mbr"))
    parser.add_argument("--rows", type=int, default=1500)
    parser.add_argument("--seed", type=int, default=int(os.environ.get("MBR_SEED") or random.randrange(1 << 30)))
    options = parser.parse_args()
    rng = np.random.default_rng(options.seed)
    print("seed %d, pandas %s" % (options.seed, pd.__version__))
    n = options.rows
    gaps = rng.choice([0.5, 1, 2.5, 40], n)
    rows = pd.DataFrame({
        "key": rng.choice(["a", "bb", "ccc", "d d"], n), "when": 1.7e9 + np.cumsum(gaps),
        "x": np.where(rng.random(n) < 0.1, np.nan, 1000 + rng.normal(size=n)), "shop": rng.choice(list("pqrstuvw"), n),
        "sample": np.sin(np.arange(n) / 3) + rng.normal(size=n) / 5, "zero": 0.0})
    bursts = [np.where(rng.random((k, 2)) < [0.2, 0], np.nan, 50 + rng.normal(size=(k, 2)))
              for k in rng.integers(1, 40, n)]
    rows["burst"] = [json.dumps(b.tolist()).replace("NaN", "null") for b in bursts]
    made, bad = steps(), 0
    with tempfile.TemporaryDirectory() as folder:
        with open(os.path.join(folder, "identity.onnx"), "wb") as f:
            f.write(identity())
        with open(os.path.join(folder, "p.yaml"), "w") as f:
            f.write(PIPELINE % ("\n".join(s[1] for s in made), ", ".join(s[0] for s in made)))
        rows.to_csv(os.path.join(folder, "rows.csv"), index=False, float_format="%.17g")
        out = subprocess.run([options.mbr, "decide", os.path.join(folder, "p.yaml"), os.path.join(folder, "rows.csv"),
                              "--json"], check=True, stdout=subprocess.PIPE, universal_newlines=True).stdout
    rows["burst"] = bursts
    decisions = [json.loads(line) for line in out.splitlines() if '"scores"' in line]
    if len(decisions) != n:
        print("%d decisions for %d rows" % (len(decisions), n))
        return 1
    for name, _, twin in made:
        want = np.full(n, np.nan)
        for _, g in rows.groupby("key"):
            want[g.index.to_numpy()] = twin(g)
        got = np.array([np.nan if d["scores"][name] is None else d["scores"][name] for d in decisions], float)
        off = ~(np.isclose(got, want, rtol=1e-7, atol=1e-7, equal_nan=True))
        if off.any():
            bad += 1
            i = int(np.argmax(off))
            print("DIFFERS %s: %d rows, first %d: %r, due is %r" % (name, off.sum(), i, got[i], want[i]))
    print("%d columns of %d rows, %d differ" % (len(made), n, bad))
    return 1 if bad else 0


sys.exit(main())
