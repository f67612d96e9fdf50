#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Turns fitted scikit-learn transformers into the `features` of a pipeline (docs/pipeline.md).

    from sklearn_steps import features
    steps, columns = features(column_transformer, ["amount", "country", ...])   # the columns that it was fitted on

or, for an object that joblib or pickle has saved (load only files that you trust),

    sklearn_steps.py fitted.joblib amount country ... > features.yaml

prints the sections `features` and `tensors`. Known: ColumnTransformer, Pipeline, FunctionTransformer(log, log1p),
SimpleImputer, StandardScaler, MinMaxScaler, MaxAbsScaler, RobustScaler, QuantileTransformer, PowerTransformer,
KBinsDiscretizer, PolynomialFeatures, OneHotEncoder, OrdinalEncoder, TargetEncoder. What a step cannot say is an error.
"""
import json
import math
import sys


class Unsupported(Exception):
    pass


def number(x):
    x = float(x)
    if not math.isfinite(x):
        raise Unsupported("a parameter is %r" % x)
    return x


def is_missing(x):
    return x is None or (isinstance(x, float) and math.isnan(x))


def known(categories):
    """A fitted list of categories without the missing one, and whether that is there."""
    values = [v.item() if hasattr(v, "item") else v for v in categories]
    return [v for v in values if not is_missing(v)], any(is_missing(v) for v in values)


class Writer:
    """Steps so far; every one makes a column of a new name."""

    def __init__(self, taken):
        self.steps, self.taken = [], set(taken)

    def add(self, kind, source, **params):
        first = source if isinstance(source, str) else source[0]
        base = name = "%s_%s" % (first, kind)
        count = 1
        while name in self.taken:
            count += 1
            name = "%s_%d" % (base, count)
        self.taken.add(name)
        self.steps.append(dict(name=name, kind=kind, **({"from": source}), **params))
        return name


def each(make):
    """A transformer that takes column by column."""
    def run(w, t, columns):
        return [out for i, c in enumerate(columns) for out in [make(w, t, c, i)] if out is not None]
    return run


def standard_scaler(w, t, c, i):
    return w.add("standardize", c, mean=number(t.mean_[i]) if t.with_mean else 0,
                 scale=number(t.scale_[i]) if t.with_std else 1)


def robust_scaler(w, t, c, i):
    return w.add("standardize", c, mean=number(t.center_[i]) if t.with_centering else 0,
                 scale=number(t.scale_[i]) if t.with_scaling else 1)


def max_abs_scaler(w, t, c, i):
    return w.add("standardize", c, mean=0, scale=number(t.scale_[i]))


def min_max_scaler(w, t, c, i):
    out = w.add("affine", c, multiply=number(t.scale_[i]), add=number(t.min_[i]))
    return w.add("clip", out, min=number(t.feature_range[0]), max=number(t.feature_range[1])) if t.clip else out


def quantile_transformer(w, t, c, i):
    return w.add("quantile", c, quantiles=[number(q) for q in t.quantiles_[:, i]], output=t.output_distribution)


def power_transformer(w, t, c, i):
    scaler = getattr(t, "_scaler", None) if t.standardize else None
    return w.add("power", c, method=t.method.replace("-", "_"), **{"lambda": number(t.lambdas_[i])},
                 **({"mean": number(scaler.mean_[i]), "scale": number(scaler.scale_[i])} if scaler else {}))


def k_bins(w, t, columns):
    out = []
    for i, c in enumerate(columns):
        edges = [number(e) for e in t.bin_edges_[i][1:-1]]
        place = w.add("bucket", c, edges=edges) if edges else w.add("affine", c, multiply=0)
        if t.encode != "ordinal":
            place = w.add("one_hot", place, values=list(range(int(t.n_bins_[i]))))
        out.append(place)
    return out


def simple_imputer(w, t, columns):
    out, flags = [], []
    for i, c in enumerate(columns):
        value = t.statistics_[i]
        value = value.item() if hasattr(value, "item") else value
        if is_missing(value):
            if not t.keep_empty_features:
                continue # scikit-learn drops a column that was always missing
            value = 0
        out.append(w.add("impute", c, value=value))
    if t.add_indicator:
        flags = [w.add("is_missing", columns[i]) for i in t.indicator_.features_]
    return out + flags


def rare(t, i):
    """Infrequent categories of a column without the missing one, whether that is one, and whether there are any."""
    every = getattr(t, "infrequent_categories_", None)
    if not every or every[i] is None:
        return [], False, False
    return known(every[i]) + (True,)


def grouped_one_hot(w, t, c, i):
    """One column for all infrequent categories, behind the frequent ones and a missing one that is frequent."""
    values, missing = known(t.categories_[i])
    few, rare_missing, _ = rare(t, i)
    values = [v for v in values if v not in few]
    if t.drop_idx_ is not None and t.drop_idx_[i] is not None:
        raise Unsupported("infrequent categories of a OneHotEncoder that drops one")
    if not values:
        raise Unsupported("a OneHotEncoder whose categories are all infrequent")
    unknown = {"error": "error", "ignore": "zeros", "warn": "infrequent"}.get(t.handle_unknown, "infrequent")
    if not missing or rare_missing:
        return [w.add("one_hot", c, values=values, **({"infrequent": few} if few else {}), unknown=unknown,
                      missing="infrequent" if rare_missing else "zeros" if unknown == "zeros" else unknown)]
    if any(not isinstance(v, str) for v in values + few):
        raise Unsupported("infrequent categories of numbers, of which a missing one is frequent")
    table = {**{v: 0 for v in values}, **{v: 1 for v in few}}
    return [w.add("one_hot", c, values=values, unknown="zeros", missing="zeros"), w.add("is_missing", c),
            w.add("lookup", c, table=table, unknown={"error": "error", "zeros": 0, "infrequent": 1}[unknown], missing=0)]


def one_hot(w, t, columns):
    out = []
    for i, c in enumerate(columns):
        if rare(t, i)[2]:
            out += grouped_one_hot(w, t, c, i)
            continue
        values, missing = known(t.categories_[i])
        dropped = t.drop_idx_[i] if t.drop_idx_ is not None else None
        unknown = "error" if t.handle_unknown == "error" and dropped is None else "zeros"
        if dropped is not None and dropped < len(values):
            del values[dropped]
            dropped = None
        if values:
            out.append(w.add("one_hot", c, values=values, unknown=unknown, missing="zeros"))
        if missing and dropped is None:
            out.append(w.add("is_missing", c))
    return out


def ordinal(w, t, c, i):
    values, missing = known(t.categories_[i])
    few, rare_missing, _ = rare(t, i)
    values = [v for v in values if v not in few]
    if few and not values:
        raise Unsupported("an OrdinalEncoder whose categories are all infrequent")
    unknown, lost = "error", "error"
    if t.handle_unknown == "use_encoded_value":
        unknown = "missing" if is_missing(t.unknown_value) else number(t.unknown_value)
        lost = unknown # to a fit that has not seen it, a missing value is just unknown
    if missing and any(v is None for v in t.categories_[i]):
        lost = len(values) # None is a category like others, the last; NaN has a code of its own
        if few and not rare_missing:
            raise Unsupported("infrequent categories of an OrdinalEncoder, of which None is a frequent one")
    elif missing:
        lost = "missing" if is_missing(t.encoded_missing_value) else number(t.encoded_missing_value)
    return w.add("ordinal", c, values=values, unknown=unknown, missing=lost, **({"infrequent": few} if few else {}))


def target(w, t, columns):
    out, classes = [], len(t.classes_) if t.target_type_ == "multiclass" else 1
    for i, c in ((i, c) for i in range(len(columns) * classes) for c in [columns[i // classes]]):
        mean = number(t.target_mean_[i % classes] if classes > 1 else t.target_mean_)
        table, lost = {}, mean
        for value, code in zip(t.categories_[i // classes], t.encodings_[i]):
            if is_missing(value):
                lost = number(code)
            elif not isinstance(value, str):
                raise Unsupported("a TargetEncoder of numbers; look-ups read texts")
            else:
                table[value] = number(code)
        out.append(w.add("lookup", c, table=table, unknown=mean, missing=lost))
    return out


def polynomial(w, t, columns):
    degree = t.degree
    if not isinstance(degree, int):
        least, degree = degree
        if least > 1:
            raise Unsupported("PolynomialFeatures from degree %d on" % least)
    return [w.add("polynomial", list(columns), degree=degree, interaction_only=t.interaction_only, bias=t.include_bias)]


def function(w, t, columns):
    name = getattr(t.func, "__name__", None)
    if t.func is None:
        return list(columns)
    if name not in ("log", "log1p") or t.kw_args:
        raise Unsupported("a FunctionTransformer of %s" % name)
    return [w.add("log", c, offset=1 if name == "log1p" else 0) for c in columns]


def chain(w, t, columns):
    for _, part in t.steps:
        columns = convert(w, part, columns)
    return columns


def column_transformer(w, t, columns):
    out = []
    for name, part, chosen in t.transformers_:
        if isinstance(chosen, str) or isinstance(chosen, int):
            chosen = [chosen]
        elif isinstance(chosen, slice):
            chosen = list(range(len(columns)))[chosen]
        chosen = list(chosen)
        if chosen and all(isinstance(c, bool) or type(c).__name__ == "bool_" for c in chosen):
            chosen = [i for i, take in enumerate(chosen) if take]
        out += convert(w, part, [c if isinstance(c, str) else columns[int(c)] for c in chosen])
    return out


KNOWN = {
    "ColumnTransformer": column_transformer, "Pipeline": chain, "FunctionTransformer": function,
    "SimpleImputer": simple_imputer, "StandardScaler": each(standard_scaler), "RobustScaler": each(robust_scaler),
    "MaxAbsScaler": each(max_abs_scaler), "MinMaxScaler": each(min_max_scaler),
    "QuantileTransformer": each(quantile_transformer), "PowerTransformer": each(power_transformer),
    "KBinsDiscretizer": k_bins, "PolynomialFeatures": polynomial, "OneHotEncoder": one_hot,
    "OrdinalEncoder": each(ordinal), "TargetEncoder": target,
}


def convert(w, transformer, columns):
    if transformer == "passthrough":
        return list(columns)
    if transformer == "drop" or not columns:
        return []
    kind = type(transformer).__name__
    if kind not in KNOWN:
        raise Unsupported("a %s; known are %s" % (kind, ", ".join(sorted(KNOWN))))
    return KNOWN[kind](w, transformer, columns)


def features(transformer, columns):
    """Steps, and the columns that side by side are the transformer's output."""
    w = Writer(columns)
    return w.steps, convert(w, transformer, list(columns))


def yaml(steps):
    """JSON is YAML: a step a line."""
    return "".join("  - %s\n" % json.dumps(s, allow_nan=False, ensure_ascii=False) for s in steps)


def main():
    if len(sys.argv) < 3:
        print(__doc__, file=sys.stderr)
        return 2
    import joblib
    try:
        steps, out = features(joblib.load(sys.argv[1]), sys.argv[2:])
    except Unsupported as why:
        print("sklearn_steps: no step for %s" % why, file=sys.stderr)
        return 3
    print("features:\n%stensors:\n  - {input: input, from: %s}" % (yaml(steps), json.dumps(out)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
