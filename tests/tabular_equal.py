#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Fits scikit-learn's transformers on random data, writes their steps with scripts/sklearn_steps.py, and compares what
those make of other data: random, missing, tiny, huge, unknown. Every value is within one ULP.

Also compares `hash` with FeatureHasher, `lookup` with a table, and the ISO weeks of `date_part` with Python's. Without
scikit-learn it ends with status 77, a SKIP.
"""
import argparse
import datetime
import json
import math
import os
import random
import subprocess
import sys
import tempfile
import warnings

try:
    import numpy
    import sklearn
    from sklearn import compose, feature_extraction, impute, pipeline, preprocessing
except ImportError as missing:
    print("SKIP: %s" % missing)
    sys.exit(77)

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "scripts"))
import sklearn_steps # noqa: E402

CITIES = ["Rome", "Oslo", "Bonn", "Zürich", "São Paulo", "東京", "a", "x,y", "it's", "0", "ABCDE", "ABCDEFGHI"]


def run(runner, folder, steps, columns, wanted):
    """The wanted columns side by side; columns: name -> array of doubles or list of texts (None: missing)."""
    with open(os.path.join(folder, "steps.yaml"), "w", encoding="utf-8") as f:
        f.write(sklearn_steps.yaml(steps))
    with open(os.path.join(folder, "columns"), "wb") as f:
        for name, values in columns.items():
            if isinstance(values, list):
                f.write(("string %s 1 %d\n" % (name, len(values))).encode())
                f.write("".join("%s\n" % ("\x01" if v is None else v) for v in values).encode())
            else:
                kind = "time" if name.startswith("time") else "number"
                f.write(("%s %s 1 %d\n" % (kind, name, len(values))).encode())
                f.write(numpy.ascontiguousarray(values, "<f8").tobytes())
    out = os.path.join(folder, "out")
    done = subprocess.run([runner, os.path.join(folder, "steps.yaml"), os.path.join(folder, "columns"), out],
                          capture_output=True, text=True)
    if done.returncode == 77:
        print("SKIP: " + done.stdout.strip())
        sys.exit(77)
    if done.returncode:
        raise SystemExit("%s\n%s" % (done.stderr, sklearn_steps.yaml(steps)))
    rows = len(next(iter(columns.values())))
    made = {n: numpy.asarray(v, dtype=float).reshape(rows, 1) for n, v in columns.items() if not isinstance(v, list)}
    with open(out, "rb") as f:
        while line := f.readline():
            name, width = line.decode().split()
            made[name] = numpy.frombuffer(f.read(8 * rows * int(width)), "<f8").reshape(rows, int(width))
    return numpy.hstack([made[n] for n in wanted]), done.stdout


class Judge:
    def __init__(self):
        self.count, self.worst, self.bad = {}, {}, 0

    def check(self, what, got, want, limit=1):
        want = numpy.asarray(want.toarray() if hasattr(want, "toarray") else want, dtype=float)
        self.count[what] = self.count.get(what, 0) + want.size
        if got.shape != want.shape:
            self.bad += 1
            print("DIFFERS %s: shape %s, due is %s" % (what, got.shape, want.shape))
            return
        with numpy.errstate(all="ignore"):
            ulps = numpy.abs(got - want) / numpy.spacing(numpy.abs(want))
        same = (got == want) | (numpy.isnan(got) & numpy.isnan(want))
        ulps = numpy.where(same, 0, numpy.where(numpy.isnan(ulps), math.inf, ulps))
        if ulps.size:
            self.worst[what] = max(self.worst.get(what, 0), float(ulps.max()))
        if (ulps > limit).any():
            self.bad += 1
            at = tuple(int(i) for i in numpy.argwhere(ulps > limit)[0])
            print("DIFFERS %s at %s: %r, due is %r (%.3g ULP)" % (what, at, got[at], want[at], ulps[at]))


def draw_numbers(rng, noise, rows, positive=False):
    """A column: of some distribution, with ties, missing values and, where not for fitting, extremes."""
    kind = rng.randrange(6)
    x = [lambda: noise.standard_normal(rows) * 10.0 ** rng.randint(-3, 5), lambda: noise.lognormal(0, 2, rows),
         lambda: noise.integers(-4, 5, rows).astype(float), lambda: noise.random(rows) * 1e-4 + 1e3,
         lambda: noise.standard_t(2, rows), lambda: numpy.full(rows, 3.25)][kind]()
    return numpy.abs(x) + 1e-6 if positive else x


def extremes(noise, x, positive, mild):
    x = x.copy()
    edges = [0.0, -0.0, 5e-324, -1e-300, 1e-9, -1e-9, 1.0, -1.0, 1e6, -1e6] + ([] if mild else [1e150, -1e150, 1.7e308])
    if positive:
        edges = [abs(e) or 1e-3 for e in edges]
    x[noise.integers(0, len(x), len(edges))] = edges
    return x


def check_scalers(options, judge, rng, noise, folder):
    rows, k = rng.choice([50, 400]), rng.randint(1, 3)
    fit = numpy.column_stack([draw_numbers(rng, noise, rows) for _ in range(k)])
    # half of it as it was fitted, half with extremes; exact hits of quantiles and edges among them
    data = numpy.vstack([fit, numpy.column_stack([extremes(noise, fit[:, i] * rng.choice([1, 1.5]), False, False)
                                                  for i in range(k)])])
    holes = data.copy()
    holes[noise.random(holes.shape) < 0.1] = numpy.nan
    some = fit.copy()
    some[noise.random(some.shape) < 0.05] = numpy.nan
    positive = numpy.abs(fit) + 0.01
    n_bins = rng.choice([2, 5, 10])
    cases = [
        ("StandardScaler", preprocessing.StandardScaler(with_mean=rng.random() < 0.8, with_std=rng.random() < 0.8), some,
         holes),
        ("MinMaxScaler", preprocessing.MinMaxScaler(feature_range=rng.choice([(0, 1), (-1, 1), (0.1, 7.3)]),
                                                    clip=rng.random() < 0.5), some, holes),
        ("MaxAbsScaler", preprocessing.MaxAbsScaler(), some, holes),
        ("RobustScaler", preprocessing.RobustScaler(quantile_range=rng.choice([(25, 75), (10, 90)]),
                                                    unit_variance=rng.random() < 0.3), some, holes),
        ("QuantileTransformer uniform", preprocessing.QuantileTransformer(n_quantiles=rng.choice([2, 10, 50])), some,
         holes),
        ("QuantileTransformer normal", preprocessing.QuantileTransformer(n_quantiles=rng.choice([10, 50]),
                                                                         output_distribution="normal"), some, holes),
        ("PowerTransformer Yeo-Johnson", preprocessing.PowerTransformer(standardize=rng.random() < 0.5),
         numpy.clip(fit, -50, 50), numpy.vstack([numpy.clip(fit, -60, 60), numpy.full((1, k), numpy.nan)])),
        ("PowerTransformer Box-Cox", preprocessing.PowerTransformer("box-cox", standardize=rng.random() < 0.5),
         numpy.clip(positive, 0.01, 50), numpy.vstack([numpy.clip(positive, 0.01, 60), numpy.full((1, k), numpy.nan)])),
        ("KBinsDiscretizer", preprocessing.KBinsDiscretizer(n_bins, encode=rng.choice(["ordinal", "onehot-dense"]),
                                                            strategy=rng.choice(["uniform", "quantile", "kmeans"])), fit,
         data),
        ("PolynomialFeatures", preprocessing.PolynomialFeatures(rng.randint(1, 4), interaction_only=rng.random() < 0.5,
                                                                include_bias=rng.random() < 0.5), fit,
         numpy.clip(data, -1e60, 1e60)),
        ("SimpleImputer", impute.SimpleImputer(strategy=rng.choice(["mean", "median", "most_frequent"]),
                                               add_indicator=rng.random() < 0.5), some, holes),
    ]
    for what, transformer, train, test in cases:
        try:
            transformer.fit(train)
            with numpy.errstate(all="ignore"):
                want = transformer.transform(test.copy())
            names = ["c%d" % i for i in range(k)]
            steps, wanted = sklearn_steps.features(transformer, names)
        except (ValueError, sklearn_steps.Unsupported) as why: # lambdas that are none, data that scikit-learn refuses
            judge.count["(not fitted)"] = judge.count.get("(not fitted)", 0) + 1
            if options.verbose:
                print(what, why)
            continue
        got, _ = run(options.runner, folder, steps, dict(zip(names, test.T)), wanted)
        judge.check(what, got, want)


def texts(rng, noise, rows, known, missing):
    values = CITIES[:known]
    return [None if rng.random() < missing else rng.choice(values) for _ in range(rows)]


def as_objects(columns):
    return numpy.array(columns, dtype=object).T


def check_encoders(options, judge, rng, noise, folder):
    rows = 120
    known, k = rng.randint(2, 10), rng.randint(1, 3)
    missing = rng.choice([0, 0.1])
    names = ["t%d" % i for i in range(k)]
    train = [texts(rng, noise, rows, known, missing) for _ in names]
    test = [texts(rng, noise, rows, len(CITIES), 0.1) for _ in names]
    y = [noise.random(rows) < 0.4, noise.standard_normal(rows), noise.integers(0, 3, rows)][rng.randrange(3)]
    few = rng.choice([{"min_frequency": rng.randint(2, 40)}, {"max_categories": rng.randint(2, 5)}])
    cases = [
        ("OneHotEncoder", preprocessing.OneHotEncoder(handle_unknown="ignore", drop=rng.choice([None, "first"])), test),
        ("OrdinalEncoder", preprocessing.OrdinalEncoder(handle_unknown="use_encoded_value",
                                                        unknown_value=rng.choice([-1, numpy.nan]),
                                                        encoded_missing_value=rng.choice([numpy.nan, -2])), test),
        ("OneHotEncoder, infrequent",
         preprocessing.OneHotEncoder(handle_unknown=rng.choice(["ignore", "infrequent_if_exist"]), **few), test),
        ("OrdinalEncoder, infrequent",
         preprocessing.OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1, **few), test),
        ("TargetEncoder", preprocessing.TargetEncoder(random_state=0, smooth=rng.choice(["auto", 5.0])), test),
    ]
    for what, transformer, data in cases:
        transformer.fit(as_objects(train), y)
        want = transformer.transform(as_objects(data))
        try:
            steps, wanted = sklearn_steps.features(transformer, names)
        except sklearn_steps.Unsupported:
            continue
        got, _ = run(options.runner, folder, steps, dict(zip(names, data)), wanted)
        judge.check(what, got, want)
    numbers = noise.integers(-3, 4, (rows, k)) / 4
    others = noise.integers(-6, 7, (rows, k)) / 4
    others[noise.random(others.shape) < 0.1] = numpy.nan
    for what, transformer in [("OneHotEncoder of numbers", preprocessing.OneHotEncoder(handle_unknown="ignore")),
                              ("OrdinalEncoder of numbers",
                               preprocessing.OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1))]:
        transformer.fit(numbers)
        steps, wanted = sklearn_steps.features(transformer, names)
        got, _ = run(options.runner, folder, steps, dict(zip(names, others.T)), wanted)
        judge.check(what, got, transformer.transform(others))
    check_hash(options, judge, rng, folder, test, names)


def check_hash(options, judge, rng, folder, test, names):
    buckets, alternate = rng.choice([1, 7, 16, 1024, 60000]), rng.random() < 0.5
    rows = range(len(test[0]))
    tokens = [[c[i] for c in test if c[i] is not None] for i in rows]
    hasher = feature_extraction.FeatureHasher(buckets, input_type="string", alternate_sign=alternate)
    step = {"name": "h", "kind": "hash", "from": names, "buckets": buckets, "alternate_sign": alternate}
    got, _ = run(options.runner, folder, [step], dict(zip(names, test)), ["h"])
    judge.check("FeatureHasher of texts", got, hasher.transform(tokens), 0)
    named = [{n: c[i] for n, c in zip(names, test) if c[i] is not None} for i in rows]
    hasher = feature_extraction.FeatureHasher(buckets, alternate_sign=alternate)
    got, _ = run(options.runner, folder, [dict(step, tokens="named")], dict(zip(names, test)), ["h"])
    judge.check("FeatureHasher of dicts", got, hasher.transform(named), 0)


def check_columns(options, judge, rng, noise, folder):
    """A ColumnTransformer of pipelines, end to end."""
    rows = 150
    numbers = numpy.column_stack([draw_numbers(rng, noise, rows) for _ in range(3)])
    numbers[noise.random(numbers.shape) < 0.1] = numpy.nan
    table = numpy.hstack([numbers.astype(object), as_objects([texts(rng, noise, rows, 6, 0)])])
    whole = compose.ColumnTransformer([
        ("a", pipeline.make_pipeline(impute.SimpleImputer(strategy="median", add_indicator=True),
                                     preprocessing.StandardScaler()), [0, 1]),
        ("b", pipeline.make_pipeline(impute.SimpleImputer(), preprocessing.QuantileTransformer(n_quantiles=20),
                                     preprocessing.PolynomialFeatures(2)), [2, 0]),
        ("c", preprocessing.OneHotEncoder(handle_unknown="ignore", sparse_output=False), [3]),
        ("d", "passthrough", [1]),
    ], sparse_threshold=0)
    want = whole.fit_transform(table)
    names = ["a", "b", "c", "city"]
    steps, wanted = sklearn_steps.features(whole, names)
    columns = dict(zip(names, [numbers[:, 0], numbers[:, 1], numbers[:, 2], list(table[:, 3])]))
    got, _ = run(options.runner, folder, steps, columns, wanted)
    judge.check("ColumnTransformer", got, want, 4) # steps after one another


def check_tables_and_dates(options, judge, rng, noise, folder):
    table = {c: [rng.gauss(0, 100), rng.choice([None, rng.random()])] for c in CITIES[:7]}
    with open(os.path.join(folder, "rates.csv"), "w", encoding="utf-8") as f:
        f.write("city,unused,rate,other\n")
        for c, (a, b) in table.items():
            f.write('"%s",x,%r,%s\n' % (c, a, "" if b is None else repr(b)))
    data = texts(rng, noise, 80, len(CITIES), 0.1)
    step = {"name": "l", "kind": "lookup", "from": "t", "file": "rates.csv", "key": "city", "value": ["rate", "other"],
            "unknown": -1, "missing": "missing"}
    got, _ = run(options.runner, folder, [step], {"t": data}, ["l"])
    lost = [math.nan, math.nan]
    want = [lost if c is None else [math.nan if v is None else v for v in table.get(c, [-1, -1])] for c in data]
    judge.check("lookup in a file", got, want, 0)
    times = noise.integers(-62135596800 + 90000, 253402300799 - 90000, 100).astype(float)
    times[::7] = numpy.array([datetime.datetime(y, m, d, tzinfo=datetime.timezone.utc).timestamp()
                              for y, m, d in [(2020, 12, 31), (2021, 1, 3), (2021, 1, 4), (2024, 12, 30), (2026, 1, 1)] * 3])
    offset = rng.choice([0, 330, -480, 60])
    parts = ["iso_week", "iso_year", "quarter", "days_in_month", "hour", "weekday"]
    steps = [{"name": p, "kind": "date_part", "from": "time", "part": p, "utc_offset": offset} for p in parts]
    got, _ = run(options.runner, folder, steps, {"time": times}, parts)
    want = []
    for t in times:
        d = datetime.datetime(1970, 1, 1) + datetime.timedelta(seconds=t, minutes=offset)
        following = datetime.date(d.year + d.month // 12, d.month % 12 + 1, 1) if d.year < 9999 else None
        days = (following - datetime.date(d.year, d.month, 1)).days if following else [31, 28, 31, 30, 31, 30, 31, 31, 30,
                                                                                        31, 30, 31][d.month - 1]
        want.append([d.isocalendar()[1], d.isocalendar()[0], (d.month + 2) // 3, days,
                     d.hour, d.weekday()])
    judge.check("date_part", got, want, 0)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runner", default="tests/run_steps")
    parser.add_argument("--cases", type=int, default=20)
    parser.add_argument("--seed", type=int, default=int(os.environ.get("MBR_SEED") or random.randrange(1 << 30)))
    parser.add_argument("--verbose", action="store_true")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    rng = random.Random(options.seed)
    judge = Judge()
    print("seed %d, with scikit-learn %s" % (options.seed, sklearn.__version__))
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(options.cases):
            noise = numpy.random.Generator(numpy.random.PCG64(rng.randrange(1 << 60)))
            for check in (check_scalers, check_encoders, check_columns, check_tables_and_dates):
                check(options, judge, rng, noise, folder)
            if judge.bad >= 20:
                break
    for what in sorted(judge.count):
        print("%-28s %8d values, %.3g ULP off at worst" % (what, judge.count[what], judge.worst.get(what, 0)))
    print("%d differ" % judge.bad)
    return 1 if judge.bad else 0


sys.exit(main())
