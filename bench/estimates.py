# SPDX-License-Identifier: BSD-2-Clause
"""Estimated against measured time: what `mbr plan` says about models, and the shortest run that `mbr bench` sees.

    estimates.py [--mbr MBR] [--threads N] [--cache DIR] [--rounds N] [--keep FILE] MODEL_FOLDER...

A model folder has model.onnx and test_data_set_0; a folder of such folders is searched. Rates are those that are kept in
--cache, or are measured first. Other jobs on the machine only ever add time, so rounds repeat and the least counts;
--keep FILE remembers the least of earlier calls."""
import argparse
import json
import os
import statistics
import subprocess
import sys


def call(mbr, *args):
    r = subprocess.run([mbr, *args, "--json"], capture_output=True, text=True)
    if r.returncode:
        print(r.stderr.strip(), file=sys.stderr)
        return None
    return json.loads(r.stdout)


def models(paths):
    for path in paths:
        if os.path.exists(os.path.join(path, "model.onnx")):
            yield path
        else:
            yield from models(sorted(os.path.join(path, p) for p in os.listdir(path)
                                     if os.path.isdir(os.path.join(path, p)) and not p.startswith("test_data")))


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("--mbr", default="./mbr")
    a.add_argument("--threads", default="1")
    a.add_argument("--cache", default="rates")
    a.add_argument("--rounds", type=int, default=2)
    a.add_argument("--seconds", default="0.5")
    a.add_argument("--keep")
    a.add_argument("paths", nargs="+")
    o = a.parse_args()
    kept = json.load(open(o.keep)) if o.keep and os.path.exists(o.keep) else {}
    errors = []
    print("%-28s %12s %12s %8s" % ("model", "estimate ms", "measured ms", "error"))
    for path in models(o.paths):
        name = os.path.basename(path) + " " + o.threads
        common = [os.path.join(path, "model.onnx"), "--data", os.path.join(path, "test_data_set_0"), "--threads", o.threads]
        plan = call(o.mbr, "plan", *common, "--cache", o.cache)
        for _ in range(o.rounds):
            run = call(o.mbr, "bench", *common, "--cache", "off", "--seconds", o.seconds)
            if run:
                kept[name] = min(kept.get(name, 1e9), run["min_ms"])
        if not plan or name not in kept:
            continue
        error = plan["us"] / 1e3 / kept[name] - 1
        errors.append(abs(error))
        print("%-28s %12.4f %12.4f %+7.0f%%" % (name, plan["us"] / 1e3, kept[name], 100 * error), flush=True)
    if o.keep:
        json.dump(kept, open(o.keep, "w"))
    if errors:
        print("error: median %.0f%%, worst %.0f%%" % (100 * statistics.median(errors), 100 * max(errors)))


main()
