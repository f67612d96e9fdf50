#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""
Compares the statistics of `mbr drift` with scipy's and evidently's, on windows kept whole (up to 100,000 values, to
1e-6) and on sketches (ranks to 0.5 %). Without evidently its definitions are computed in numpy instead (binned shares by
Sturges' rule over both samples, empty ones filled), which is said. The detectors are compared with river's.

    drift_compare.py MBR [--seed N] [--rounds N]
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile
import warnings

import numpy as np
from scipy import stats
from scipy.spatial import distance

warnings.filterwarnings("ignore")
os.environ.setdefault("DO_NOT_TRACK", "1")


def binned_shares(ref, cur, number, fill):
    """As evidently publishes it (calculations/stattests/utils.py, get_binned_data)."""
    if number and len(set(ref)) > 20:
        bins = np.histogram_bin_edges(np.concatenate([ref, cur]), bins="sturges")
        a, b = np.histogram(ref, bins)[0] / len(ref), np.histogram(cur, bins)[0] / len(cur)
    else:
        keys = sorted(set(ref) | set(cur))
        a = np.array([np.mean(ref == k) for k in keys])
        b = np.array([np.mean(cur == k) for k in keys])
    if fill:
        for x in (a, b):
            least = x[x != 0].min()
            x[x == 0] = least / 10**6 if least <= 0.0001 else 0.0001
    return a, b


def own_psi(ref, cur, number):
    a, b = binned_shares(ref, cur, number, True)
    return float(np.sum((a - b) * np.log(a / b)))


def own_js(ref, cur, number):
    a, b = binned_shares(ref, cur, number, False)
    return float(distance.jensenshannon(a, b))


def evidently_functions():
    """PSI, Jensen-Shannon, normed Wasserstein of evidently itself, or None."""
    try:
        import pandas as pd
        try:
            from evidently.legacy.calculations.stattests import registry  # noqa: F401
            from evidently.legacy.calculations.stattests.psi import _psi
            from evidently.legacy.calculations.stattests.jensenshannon import _jensenshannon
            from evidently.legacy.calculations.stattests.wasserstein_distance_norm import _wasserstein_distance_norm
            from evidently.legacy.core import ColumnType
        except ImportError:
            from evidently.calculations.stattests.psi import _psi
            from evidently.calculations.stattests.jensenshannon import _jensenshannon
            from evidently.calculations.stattests.wasserstein_distance_norm import _wasserstein_distance_norm
            from evidently.core import ColumnType
    except ImportError as why:
        print("evidently is not to be had (%s): its published definitions are computed here" % why)
        return None

    def call(f):
        def wrapped(ref, cur, number):
            kind = ColumnType.Numerical if number else ColumnType.Categorical
            return float(f(pd.Series(ref), pd.Series(cur), kind, 0.1)[0])
        return wrapped
    return call(_psi), call(_jensenshannon), call(_wasserstein_distance_norm)


def write_csv(path, columns):
    names = list(columns)
    with open(path, "w") as f:
        f.write(",".join(names) + "\n")
        for row in zip(*columns.values()):
            f.write(",".join(x if isinstance(x, str) else repr(float(x)) for x in row) + "\n")


def run(mbr, folder, ref, cur, fit, watch):
    write_csv(folder + "/ref.csv", ref)
    write_csv(folder + "/cur.csv", cur)
    subprocess.run([mbr, "drift", "fit", folder + "/ref.csv", "-o", folder + "/base", *fit], check=True,
                   stdout=subprocess.DEVNULL)
    out = subprocess.run([mbr, "drift", "watch", folder + "/base", folder + "/cur.csv", "--json", "--window", "0",
                          *watch], stdout=subprocess.PIPE)
    if out.returncode not in (0, 1):
        sys.exit("mbr drift watch ended with %d" % out.returncode)
    report = json.loads(out.stdout.splitlines()[-1])
    return {c["name"]: c for c in report["columns"]}, report


worst = {}
failed = False


def check(what, got, want, tolerance=1e-6, relative=True):
    global failed
    got = float("nan") if got is None else got
    scale = max(1.0, abs(want)) if relative else 1.0
    off = abs(got - want) / scale
    worst[what] = max(worst.get(what, 0.0), off)
    if not off <= tolerance:
        failed = True
        print("%s: %.12g, expected %.12g" % (what, got, want))


def numbers(rng, n, shift):
    return {
        "normal": rng.normal(shift, 1, n), "skewed": np.exp(rng.normal(shift, 1.5, n)),
        "integers": np.floor(rng.normal(50 + 10 * shift, 12, n)), "few": rng.integers(0, 6 + (shift > 0), n) * 0.5,
        "zeros": np.where(rng.random(n) < 0.7, 0.0, rng.gamma(2 + shift, 1, n)), "far": rng.uniform(1e9, 1e9 + 1, n),
        "heavy": np.clip(rng.standard_cauchy(n), -1e6, 1e6), "small": rng.normal(0, 1e-9, n) + shift * 1e-9,
    }


def whole_windows(mbr, folder, rng, evidently):
    n, m = int(rng.integers(30, 30000)), int(rng.integers(60, 30000))
    if rng.random() < 0.25:
        n = m = 100000
    shift = float(rng.choice([0.0, 0.1, 0.5, 3.0]))
    ref, cur = numbers(rng, n, 0.0), numbers(rng, m, shift)
    words = np.array(["a", "b", "c", "d", "e", "f, quoted".replace(", ", " "), "gg", "h"])
    ref["words"] = words[np.minimum((8 * rng.random(n) ** 2).astype(int), 6)]
    cur["words"] = words[np.minimum((8 * rng.random(m) ** (2 - shift / 3)).astype(int), 7 if shift else 6)]
    got, _ = run(mbr, folder, ref, cur, ["--whole", "100000"], ["--whole", "100000"])
    for name in ref:
        g, a, b = got[name], ref[name], cur[name]
        number = name != "words"
        if number:
            # Text and back is exact for doubles, so that both see the same numbers.
            ks = stats.ks_2samp(a, b, method="asymp")
            check("ks", g["ks"], ks.statistic)
            if n * m / (n + m) > 1000:
                check("ks p", g["ks_p"], ks.pvalue)
            w = stats.wasserstein_distance(a, b)
            spread = max(np.std(a), 1e-300)
            check("wasserstein, in deviations", g["wasserstein"] / spread, w / spread)
            check("mean", g["mean"], np.mean(b), 1e-9)
            check("deviation", g["deviation"] / np.std(b), 1.0, 1e-6)
        check("psi", g["psi"], own_psi(a, b, number))
        check("js", g["js"], own_js(a, b, number))
        if evidently:
            check("psi of evidently", g["psi"], evidently[0](a, b, number))
            check("js of evidently", g["js"], evidently[1](a, b, number))
            if number:
                norm = g["wasserstein"] / max(g["baseline"]["deviation"], 0.001)
                check("wasserstein of evidently", norm, evidently[2](a, b, number))
        if not number:
            keys = sorted(set(a) | set(b))
            table = np.array([[np.sum(a == k) for k in keys], [np.sum(b == k) for k in keys]])
            chi2 = stats.chi2_contingency(table, correction=False)
            check("chi2", g["chi2"], chi2[0])
            check("chi2 p", g["chi2_p"], chi2[1])
            if (table[0] > 0).all():
                # evidently's chi-squared test: scipy's chisquare against the baseline's shares
                expected = table[0] * (m / n)
                fit = stats.chisquare(table[1], expected)
                check("chi2 fit", g["chi2_fit"], fit[0])
                check("chi2 fit p", g["chi2_fit_p"], fit[1])


def sketches(mbr, folder, rng):
    """More values than are kept: the largest distance may be off by the stated rank error."""
    n, m = 150000, 250000
    shift = float(rng.choice([0.0, 0.1, 0.5]))
    ref, cur = numbers(rng, n, 0.0), numbers(rng, m, shift)
    got, _ = run(mbr, folder, ref, cur, [], [])
    for name in ref:
        ks = stats.ks_2samp(ref[name], cur[name], method="asymp").statistic
        # Both sides are sketches of 0.5 %, and the baseline keeps 2048 quantiles of its own.
        check("ks of two sketches", got[name]["ks"], ks, 0.005 + 0.005 + 0.0003, False)
    got, _ = run(mbr, folder, {k: v[:90000] for k, v in ref.items()}, cur, ["--whole", "100000"], [])
    for name in ref:
        ks = stats.ks_2samp(ref[name][:90000], cur[name], method="asymp").statistic
        check("ks of one sketch", got[name]["ks"], ks, 0.005, False)


def detectors(mbr, folder, rng):
    try:
        from river import drift
    except ImportError:
        print("river is not to be had: the detectors are not compared")
        return
    n, at = 20000, int(rng.integers(3000, 15000))
    rates = np.where(np.arange(n) < at, 0.1, float(rng.choice([0.1, 0.2, 0.4])))
    errors = (rng.random(n) < rates).astype(int)
    label = rng.integers(0, 2, n)
    score = np.where(errors == 1, 1 - label, label) * 0.5 + 0.25
    calm = {"x": rng.normal(0, 1, n), "score": rng.random(n), "label": rng.integers(0, 2, n)}
    live = {"x": rng.normal(0, 1, n), "score": score, "label": label}
    _, report = run(mbr, folder, calm, live, ["--score", "score", "--label", "label"], ["--label", "label"])
    for name, detector in (("adwin", drift.ADWIN()), ("ddm", drift.binary.DDM()),
                           ("page_hinkley", drift.PageHinkley())):
        found = 0
        for e in errors:
            detector.update(int(e))
            found += detector.drift_detected
        check("changes found by " + name, report["quality"][name], found, 0.0, False)
        if name == "adwin":
            check("estimate of adwin", report["quality"]["error_rate"], detector.estimation, 1e-9)


def performance(mbr, folder, rng):
    """Estimated accuracy against the realised one, where scores mean something else than they say."""
    def draw(n, mean):
        z = rng.normal(mean, 1, n)
        score = 1 / (1 + np.exp(-3 * z))
        return {"z": z, "score": score, "label": (rng.random(n) < 1 / (1 + np.exp(-1.2 * z))).astype(int)}
    ref, cur = draw(60000, 0.0), draw(40000, float(rng.choice([0.0, 0.5, 1.0])))
    _, report = run(mbr, folder, ref, cur, ["--score", "score", "--label", "label"], [])
    q, said = report["quality"], cur["score"] >= 0.5
    check("estimated accuracy", q["accuracy"], np.mean(said == cur["label"]), 0.015, False)
    check("estimated precision", q["precision"], np.mean(cur["label"][said]), 0.02, False)
    check("estimated recall", q["recall"], np.mean(said[cur["label"] == 1]), 0.02, False)
    ranks = stats.rankdata(cur["score"])
    yes = cur["label"] == 1
    auc = (ranks[yes].sum() - yes.sum() * (yes.sum() + 1) / 2) / (yes.sum() * (~yes).sum())
    check("estimated area under the curve", q["auc"], auc, 0.02, False)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("mbr")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=10)
    args = parser.parse_args()
    evidently = evidently_functions()
    with tempfile.TemporaryDirectory() as folder:
        for r in range(args.rounds):
            rng = np.random.default_rng([args.seed, r])
            whole_windows(args.mbr, folder, rng, evidently)
            detectors(args.mbr, folder, rng)
            performance(args.mbr, folder, rng)
            if r < 3:
                sketches(args.mbr, folder, rng)
    print("seed %d, %d rounds; the largest differences:" % (args.seed, args.rounds))
    for what in sorted(worst):
        print("  %-34s %.2e" % (what, worst[what]))
    print("FAILED" if failed else "all within their bounds")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
