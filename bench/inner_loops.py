#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""What the inner loops of compiled kernels are made of.

    bench/inner_loops.py [--objdump aarch64-linux-gnu-objdump] [--least 8] OBJECT...

For each function with a loop (one that holds no other) of at least --least multiply-adds: how many instructions one
round takes, how many of them multiply and add, load, prefetch, store, move between registers, and the rest (addresses,
count, branch). `share` is that of the multiply-adds; `bound` what it would be with multiply-adds and loads alone. Works
for AArch64 and x86-64. To make the objects for the former without a whole build:

    aarch64-linux-gnu-gcc -std=c11 -O3 -ffp-contract=off -fno-math-errno -I. -Iinclude -c kernels/arm/gemm_neon.c
"""
import argparse
import os
import re
import subprocess

MULTIPLY = re.compile(r"^(fmla|fmls|fmadd|sdot|udot|usdot|smmla|ummla|usmmla|sml[as]l2?|uml[as]l2?|smull2?|umull2?|vfn?m(add|sub)\d*[ps]s|"
                      r"vpdpbusds?|vpdpwssds?|vpmaddwd|vpmaddubsw|vdpbf16ps|bfdot|bfmmla)$")
LOAD = re.compile(r"^(ld[a-z0-9]*|vbroadcasts[sd])$")
STORE = re.compile(r"^st[a-z0-9]*$")
PREFETCH = re.compile(r"^(prfm|prfum|prefetch\w*)$")
MOVE = re.compile(r"^(v?mov\w*|dup|ins|umov|ext|zip\d|uzp\d|trn\d|vpshuf\w*|vperm\w*)$")
BRANCH = re.compile(r"^(b|b\.\w+|cbn?z|tbn?z|j\w+)$")


def functions(objdump, path):
    """name, [(address, mnemonic, operands)] of each function."""
    text = subprocess.run([objdump, "-d", "--no-show-raw-insn", path], capture_output=True, text=True, check=True).stdout
    name, code = None, []
    for line in text.splitlines():
        head = re.match(r"^[0-9a-f]+ <(.+)>:$", line)
        if head:
            if name:
                yield name, code
            name, code = head.group(1), []
            continue
        row = re.match(r"^\s*([0-9a-f]+):\s+(\S+)\s*(.*)$", line)
        if row and name:
            code.append((int(row.group(1), 16), row.group(2), row.group(3)))
    if name:
        yield name, code


def loops(code):
    """Bodies between the target of a backward branch and the branch, that hold no other such."""
    spans, at = [], {address: i for i, (address, _, _) in enumerate(code)}
    for i, (address, op, rest) in enumerate(code):
        target = re.search(r"\b([0-9a-f]+) <", rest)
        if BRANCH.match(op) and target and int(target.group(1), 16) <= address:
            first = at.get(int(target.group(1), 16))
            if first is not None:
                spans.append((first, i))
    for first, last in spans:
        if not any(a >= first and b <= last and (a, b) != (first, last) for a, b in spans):
            yield code[first:last + 1]


def kind(op, rest):
    if MULTIPLY.match(op):
        return "multiply"
    if PREFETCH.match(op):
        return "prefetch"
    if STORE.match(op):
        return "store"
    if LOAD.match(op):
        return "load"
    if op.startswith("vmov") or op.startswith("mov"): # x86: a load where memory is the source
        return "load" if re.match(r"^[^,]*\(", rest) else "move" if op.startswith("v") else "other"
    return "move" if MOVE.match(op) else "other"


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("objects", nargs="+")
    p.add_argument("--objdump", default="objdump")
    p.add_argument("--least", type=int, default=8)
    o = p.parse_args()
    print("| object | function | instructions | multiply-adds | loads | prefetch | store | moves | other | share | bound |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for path in o.objects:
        for name, code in functions(o.objdump, path):
            for body in loops(code):
                n = {k: 0 for k in ("multiply", "load", "prefetch", "store", "move", "other")}
                for _, op, rest in body:
                    n[kind(op, rest)] += 1
                if n["multiply"] < o.least:
                    continue
                print("| %s | %s | %d | %d | %d | %d | %d | %d | %d | %.0f %% | %.0f %% |" % (
                    os.path.basename(path), name, len(body), n["multiply"], n["load"], n["prefetch"], n["store"],
                    n["move"], n["other"], 100 * n["multiply"] / len(body),
                    100 * n["multiply"] / (n["multiply"] + n["load"])))


if __name__ == "__main__":
    main()
