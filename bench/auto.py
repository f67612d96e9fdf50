#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Is --device auto as fast as the better of cpu and opencl? Each in a process of its own, in turn, on as many processors
as threads: a device that is the processor would take the others as well.

    bench/auto.py --mbr build/mbr MODEL_DIR... [--threads 1 2] [--seconds 0.5] [--rounds 3]

MODEL_DIR holds model.onnx and test_data_set_0/input_K.pb; a folder without model.onnx is searched for such folders. The
best median of the rounds counts for each. `behind` is by how much auto is slower than the better of the others; a model
misses the bar with more than 5 %, and, where the better takes less than 1 ms, more than 10 us. Other jobs on the
machine only ever add time: a model that misses gets more rounds, three times as many in all. A device that takes more than
twice the other's time is not asked again. Exit status 1: a model misses the bar.
"""
import argparse
import json
import os
import subprocess
import sys

DEVICES = ("cpu", "opencl", "auto")
HOPELESS = 2.0


def models(paths):
    for path in paths:
        if os.path.exists(os.path.join(path, "model.onnx")):
            yield os.path.normpath(path)
        elif os.path.isdir(path):
            yield from models(sorted(os.path.join(path, p) for p in os.listdir(path) if not p.startswith("test_data")))


def median_ms(args, folder, device, threads):
    done = subprocess.run([args.mbr, "bench", os.path.join(folder, "model.onnx"), "--data",
                           os.path.join(folder, "test_data_set_0"), "--json", "--device", device, "--threads",
                           str(threads), "--seconds", str(args.seconds)], capture_output=True, text=True)
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["it ended with %d" % done.returncode])[-1]
        if device != "opencl":
            sys.exit("--device %s failed: %s" % (device, reason))
        print("%s: no --device opencl: %s" % (os.path.basename(folder), reason), file=sys.stderr)
        return float("inf")
    return json.loads(done.stdout.strip().splitlines()[-1])["median_ms"]


def passes(best, args):
    better = min(best["cpu"], best["opencl"])
    slack = better * args.percent / 100
    return best["auto"] - better <= (max(slack, args.us / 1e3) if better < 1 else slack)


def measure(args, folder, threads):
    best = dict.fromkeys(DEVICES, float("inf"))
    asked = list(DEVICES)
    for turn in range(3 * args.rounds):
        if turn >= args.rounds and passes(best, args):
            break
        for device in asked if turn % 2 == 0 else asked[::-1]:
            best[device] = min(best[device], median_ms(args, folder, device, threads))
        for one, other in (("cpu", "opencl"), ("opencl", "cpu")):
            if one in asked and best[one] > HOPELESS * best[other]:
                asked.remove(one)
    return best


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", metavar="MODEL_DIR")
    parser.add_argument("--mbr", default="build/mbr")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--seconds", type=float, default=0.5)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--percent", type=float, default=5, help="how far auto may be behind")
    parser.add_argument("--us", type=float, default=10, help="... in microseconds, where the better takes less than 1 ms")
    args = parser.parse_args()
    missed = count = 0
    print("%-28s %7s %10s %10s %10s %8s" % ("model", "threads", "cpu ms", "opencl ms", "auto ms", "behind"))
    processors = sorted(os.sched_getaffinity(0))
    for folder in models(args.folders):
        for threads in args.threads:
            os.sched_setaffinity(0, processors[:threads])
            best = measure(args, folder, threads)
            good = passes(best, args)
            count += 1
            missed += not good
            print("%-28s %7d %10.4f %10.4f %10.4f %+7.1f%%%s" % (
                os.path.basename(folder), threads, best["cpu"], best["opencl"], best["auto"],
                100 * (best["auto"] / min(best["cpu"], best["opencl"]) - 1), "" if good else "  misses"), flush=True)
    print("%d of %d within the bar" % (count - missed, count))
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
