#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Times mbr and ONNX Runtime on the same models in turn, each in a process of its own.

    bench/peers.py --mbr build/mbr MODEL_DIR... [--threads 1] [--seconds 1] [--rounds 3]

MODEL_DIR holds model.onnx and test_data_set_0/input_K.pb, as `mbr test` wants it. The best median of the rounds counts
for each; `ratio` above 1 means that mbr is faster. `start` is loading plus what the first run took beyond the median.
Needs the Python packages onnx and onnxruntime.
"""
import argparse
import glob
import json
import os
import subprocess
import sys
import time


def inputs_of(folder):
    import onnx
    from onnx import numpy_helper

    feed = []
    for path in sorted(glob.glob(os.path.join(folder, "input_*.pb"))):
        tensor = onnx.TensorProto()
        with open(path, "rb") as f:
            tensor.ParseFromString(f.read())
        feed.append((tensor.name, numpy_helper.to_array(tensor)))
    return feed


def onnxruntime_once(model, data, threads, seconds):
    """Runs in a child process; prints one line of JSON."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    feed = inputs_of(data)
    began = time.perf_counter()
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    load = time.perf_counter() - began
    names = {i.name for i in session.get_inputs()}
    given = {name: value for name, value in feed if name in names}
    if len(given) < len(feed):
        given = {i.name: value for i, (_, value) in zip(session.get_inputs(), feed)}
    times = []
    end = None
    while end is None or time.perf_counter() < end or len(times) < 6:
        began = time.perf_counter()
        session.run(None, given)
        times.append(time.perf_counter() - began)
        end = end or time.perf_counter() + seconds
    median = sorted(times[1:])[len(times[1:]) // 2]
    print(json.dumps({"median_ms": median * 1e3, "load_ms": load * 1e3, "first_ms": times[0] * 1e3}))


def child(command):
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit("%s failed: %s" % (command[0], (done.stderr.strip().splitlines() or ["no reason given"])[-1]))
    return json.loads(done.stdout.strip().splitlines()[-1])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", metavar="MODEL_DIR")
    parser.add_argument("--mbr", default="build/mbr")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--cache", default="off", metavar="DIR",
                        help="MBR_CACHE of mbr; with a folder the first round fills it, the best start counts")
    parser.add_argument("--onnxruntime-child", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.onnxruntime_child:
        folder = args.folders[0]
        onnxruntime_once(os.path.join(folder, "model.onnx"), os.path.join(folder, "test_data_set_0"), args.threads,
                         args.seconds)
        return
    os.environ["MBR_CACHE"] = args.cache
    print("%-28s %10s %10s %6s %20s" % ("model", "mbr ms", "ort ms", "ratio", "start ms, mbr / ort"))
    for folder in args.folders:
        best = {}
        for turn in range(args.rounds):
            for who in ("mbr", "ort") if turn % 2 == 0 else ("ort", "mbr"):
                common = ["--threads", str(args.threads), "--seconds", str(args.seconds)]
                if who == "mbr":
                    got = child([args.mbr, "bench", os.path.join(folder, "model.onnx"), "--data",
                                 os.path.join(folder, "test_data_set_0"), "--json"] + common)
                else:
                    got = child([sys.executable, os.path.abspath(__file__), "--onnxruntime-child", folder] + common)
                got["start_ms"] = got["load_ms"] + max(0.0, got["first_ms"] - got["median_ms"])
                for key in ("median_ms", "start_ms"):
                    best[who, key] = min(best.get((who, key), got[key]), got[key])
        print("%-28s %10.3f %10.3f %6.2f %9.1f / %8.1f" % (
            os.path.basename(os.path.normpath(folder)), best["mbr", "median_ms"], best["ort", "median_ms"],
            best["ort", "median_ms"] / best["mbr", "median_ms"], best["mbr", "start_ms"], best["ort", "start_ms"]))


if __name__ == "__main__":
    main()
