#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Random operators and small graphs through mbr, compared with ONNX Runtime and ONNX's reference.

    differential.py --mbr build/mbr [--cases N] [--seed S] [--only NAME,...] [--keep DIR] [--hostile]

Case i of seed S is the same model whatever else runs: `--seed S --first i --cases 1` repeats it. A case passes when mbr
agrees with either of the two, with all passes, with none and with some. --hostile changes attributes, constants and shapes for the worse and only asks that mbr
ends in an orderly way, for a program built with sanitizers.
"""
import argparse
import collections
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile

try:
    import onnx
    from onnx import numpy_helper

    import graphs
    import hostile
    import operators
    import oracle
    from draw import Case, Draw, elem_type, to_proto
except ImportError as missing:
    print(f"SKIP: {missing}")
    sys.exit(77)

BATCH = 500
NEWEST = {"": min(26, onnx.defs.onnx_opset_version()), "ai.onnx.ml": 5, "com.microsoft": 1}


class Contrib:
    """What Draw asks of a schema, for a domain whose schemas are not in the onnx package."""
    since_version = 1
    type_constraints = ()
    attributes = {}
    inputs = ()

    def __init__(self, name):
        self.name = name


def history():
    """(domain, name) -> schemas by version."""
    known = collections.defaultdict(list)
    for schema in onnx.defs.get_all_schemas_with_history():
        known[schema.domain, schema.name].append(schema)
    return {k: sorted(v, key=lambda s: s.since_version) for k, v in known.items()}


HISTORY = history()


def single(seed, name, oldest):
    """A model of one node."""
    r = random.Random(seed)
    domain, function = operators.TABLE[name]
    if domain == "com.microsoft":
        schema, opset, opsets = Contrib(name), 1, [("", 17), (domain, 1)]
    else:
        versions = [s for s in HISTORY[domain, name] if s.since_version <= NEWEST[domain]]
        if not versions:
            return None
        low = oldest if domain == "" else 1
        fit = [s for i, s in enumerate(versions)
               if i + 1 == len(versions) or versions[i + 1].since_version > low]
        schema = fit[-1] if r.random() < 0.5 else r.choice(fit)
        if schema.deprecated:
            return None
        after = [s.since_version for s in versions if s.since_version > schema.since_version]
        opset = r.randint(max(schema.since_version, low), (after[0] - 1) if after else NEWEST[domain])
        opsets = [(domain, opset)] if domain == "" else [("", 17), (domain, opset)]
    d = Draw(seed, schema, opset)
    made = function(d)
    case = Case(name, opsets)
    names, all_constant = [], d.chance(0.1)
    for i, value in enumerate(made.inputs):
        if value is None:
            names.append("")
            continue
        constant = not isinstance(value, list) and (all_constant or d.chance(0.6 if i in made.fixed else 0.15))
        names.append(case.add(value, constant))
    while names and names[-1] == "":
        names.pop()
    case.outputs = case.node(name, names, made.outputs, domain, **made.attrs)
    first = made.inputs[0]
    if d.kind == "special" and name in operators.SIGNED and domain == "" and getattr(first, "dtype", None) == "float32":
        # the sign of a zero shows in what it divides
        case.outputs = case.outputs + case.node("Reciprocal", case.outputs[:1])
    case.slack, case.rtol = made.slack, made.rtol
    case.dynamic = d.chance(0.3)
    return case


def make_case(seed, index, only, oldest, hostile_mode):
    number = seed * 1_000_003 + index
    r = random.Random(number)
    names = only or sorted(operators.TABLE)
    if (not only and r.random() < 0.35) or only == ["graph"]:
        case = graphs.graph(Draw(number), "graph")
    else:
        case = single(number, r.choice([n for n in names if n != "graph"]), oldest)
    if case and hostile_mode:
        hostile.spoil(case, Draw(number))
    return case


def write_pb(path, value, name):
    if isinstance(value, list):
        proto = onnx.SequenceProto(name=name, elem_type=onnx.SequenceProto.TENSOR)
        proto.tensor_values.extend([to_proto(v) for v in value])
    else:
        proto = to_proto(value, name)
    with open(path, "wb") as f:
        f.write(proto.SerializeToString())


def write_case(folder, case, model, outputs):
    data = os.path.join(folder, "test_data_set_0")
    os.makedirs(data)
    with open(os.path.join(folder, "model.onnx"), "wb") as f:
        f.write(model.SerializeToString())
    for k, (name, value) in enumerate(case.runtime_inputs().items()):
        write_pb(os.path.join(data, f"input_{k}.pb"), value, name)
    for k, value in enumerate(outputs or []):
        write_pb(os.path.join(data, f"output_{k}.pb"), value, case.outputs[k])
    rtol, atol = oracle.tolerance(outputs or [], case.rtol)
    case.tolerances = rtol, atol = rtol, max(atol, case.atol)
    with open(os.path.join(folder, "tolerance.json"), "w", encoding="ascii") as f:
        json.dump({"rtol": rtol, "atol": atol}, f)


def to_arrays(outputs):
    """Outputs as write_pb wants them; None when one is of a kind that is not compared."""
    import numpy as np
    arrays = []
    for o in outputs:
        if isinstance(o, list):
            if not o or not all(isinstance(i, np.ndarray) for i in o):
                return None
            arrays.append([i.astype(np.object_) if i.dtype.kind in "US" else i for i in o])
        elif isinstance(o, dict) or o is None:
            return None
        else:
            o = np.asarray(o)
            arrays.append(o.astype(np.object_) if o.dtype.kind in "US" else o)
    return arrays


class Runner:
    def __init__(self, o):
        self.o = o
        self.count = collections.Counter()
        self.failures = []
        wrong = subprocess.run([o.mbr, "run", os.devnull, "--passes", "?"], capture_output=True, text=True, check=False)
        self.passes = wrong.stderr.partition("the passes are: ")[2].partition(";")[0].split()

    def test(self, folders, env):
        """folder -> None or the reason, by one process where it lives."""
        root = os.path.commonpath(folders) if len(folders) > 1 else folders[0]
        command = [self.o.mbr, "test", "--json", "--threads", "1"] + (["--memory", "256M"] if self.o.hostile else [])
        try:
            done = subprocess.run(command + ([root] if len(folders) > 1 else folders), env=env, capture_output=True,
                                  text=True, errors="replace", timeout=60 if self.o.hostile else 600)
        except subprocess.TimeoutExpired as e:
            done = subprocess.CompletedProcess(e.args, -1, "", "CRASH: it takes more than a minute")
        said = {}
        for line in done.stdout.splitlines():
            try:
                record = json.loads(line)
            except ValueError:
                continue
            if "case" in record:
                said[os.path.normpath(record["case"])] = None if record["passed"] else record.get("reason", "failed")
        if done.returncode in (0, 1, 3, 4) and all(f in said for f in folders):
            return said
        if len(folders) == 1:
            return {folders[0]: f"CRASH: status {done.returncode}: {done.stderr.strip()[-3000:]}"}
        half = {}
        for i, f in enumerate(folders):  # one of them took the process along: one at a time
            half.update(self.test([f], env))
        return half

    def outputs_of(self, folder, case, env):
        """What mbr makes of it, as arrays; or the text of its failure."""
        out = os.path.join(folder, "out")
        done = subprocess.run([self.o.mbr, "run", os.path.join(folder, "model.onnx"), "--data",
                               os.path.join(folder, "test_data_set_0"), "--save", out], env=env, capture_output=True,
                              text=True, errors="replace", timeout=120)
        if done.returncode:
            return done.stderr.strip()
        values = []
        for k in range(len(case.outputs)):
            with open(os.path.join(out, f"output_{k}.pb"), "rb") as f:
                data = f.read()
            try:
                tensor = onnx.TensorProto.FromString(data)
                if not tensor.data_type:
                    raise ValueError
                value = numpy_helper.to_array(tensor)
            except Exception:  # not a tensor then
                sequence = onnx.SequenceProto.FromString(data)
                value = [numpy_helper.to_array(t) for t in sequence.tensor_values]
            values.append(value)
        shutil.rmtree(out)
        return values

    def judge(self, folder, case, env, first):
        """A second look at a case that did not pass: the other oracle, and roundings."""
        got = self.outputs_of(folder, case, env)
        if isinstance(got, str):
            second = oracle.by_reference(case.proto, case.runtime_inputs()) if case.oracle == "runtime" else "-"
            return f"mbr refuses: {got} | {case.oracle} answers" + (f" | reference: {second}" if isinstance(second, str) else
                                                                " and so does the reference")
        rtol, atol = case.tolerances
        why = [oracle.differs(g, w, rtol, atol, case.slack) for g, w in zip(got, case.expected)]
        why = next((w for w in why if w), None)
        if why is None:
            self.count["within one rounding"] += 1
            return None
        if case.oracle == "runtime":
            second = oracle.by_reference(case.proto, case.runtime_inputs())
            if not isinstance(second, str):
                second = to_arrays(second)
            if second and not isinstance(second, str):
                other = [oracle.differs(g, w, rtol, atol, case.slack) for g, w in zip(got, second)]
                other = next((w for w in other if w), None)
                if other is None:
                    self.count["as the reference, not as the runtime"] += 1
                    return None
                return f"runtime: {why} | reference: {other}"
            return f"runtime: {why} | the reference fails"
        return f"reference: {why}"

    def batch(self, root, first, count):
        o = self.o
        cases = {}
        for index in range(first, first + count):
            try:
                case = make_case(o.seed, index, o.only, o.oldest, o.hostile)
                if case is None:
                    self.count["nothing drawn"] += 1
                    continue
                model = case.model()
            except Exception as e:
                if o.verbose:
                    print(f"draw {index}: {type(e).__name__}: {e}")
                self.count["not drawn"] += 1
                continue
            case.proto, case.expected, case.oracle = model, None, "none"
            if not o.hostile:
                # the runtime starts at opset 7
                first_try = "" if min(v for d, v in case.opsets if d == "") < 7 else \
                    oracle.by_runtime(model, case.runtime_inputs())
                case.oracle = "runtime"
                if isinstance(first_try, str):
                    case.oracle = "reference"
                    first_try = oracle.by_reference(model, case.runtime_inputs()) \
                        if not any(d == "com.microsoft" for d, _ in case.opsets) else "not known there"
                expected = None if isinstance(first_try, str) else to_arrays(first_try)
                if expected is None:
                    self.count["no oracle"] += 1
                    self.unanswered[case.name] += 1
                    if o.verbose:
                        print(f"no oracle {index} {case.name}: {str(first_try)[:300]}")
                    continue
                case.expected = expected
            folder = os.path.join(root, f"{index:09d}")
            write_case(folder, case, model, case.expected)
            cases[folder] = (index, case)
        self.count["cases"] += len(cases)
        if not cases:
            return
        r = random.Random(o.seed + first)
        some = ",".join("+" + name for name in self.passes if r.random() < 0.5)
        passes = [o.passes] if o.passes else ["all", "none", "none," + some]
        for setting in passes:
            env = dict(os.environ, MBR_PASSES=setting)
            if r.random() < 0.2:
                env["MBR_CPU"] = "base"
            said = self.test(list(cases), env)
            for folder, (index, case) in cases.items():
                reason = said.get(folder, "no word of it")
                if reason is None:
                    continue
                if o.hostile:
                    if not reason.startswith("CRASH"):
                        continue
                elif not reason.startswith("CRASH"):
                    reason = self.judge(folder, case, env, reason)
                    if reason is None:
                        continue
                if index not in self.failures:
                    self.report(index, case, setting, env.get("MBR_CPU", ""), reason, folder)

    def report(self, index, case, setting, tier, reason, folder):
        self.count["failed"] += 1
        nodes = " ".join(n.op_type for n in case.nodes) if case.name == "graph" else case.name
        opset = case.opsets[-1][1]
        print(f"FAIL --seed {self.o.seed} --first {index} [{nodes} @{opset}, passes {setting} {tier}]: {reason}", flush=True)
        if case.name != "graph":
            n = case.nodes[0]
            attrs = {a.name: onnx.helper.get_attribute_value(a) for a in n.attribute if a.type != a.GRAPH}
            shapes = [f"{'const ' if k in case.constants else ''}"
                      f"{'seq' if isinstance(v, list) else str(v.dtype) + str(list(v.shape))}"
                      for k, v in case.inputs.items()]
            print(f"     {list(n.input)} {shapes} {str(attrs)[:400]}", flush=True)
        if self.o.keep:
            target = os.path.join(self.o.keep, f"{self.o.seed}-{index}")
            if not os.path.exists(target):
                shutil.copytree(folder, target)
        self.failures.append(index)

    def run(self):
        o = self.o
        self.unanswered = collections.Counter()
        at, end = o.first, o.first + o.cases
        while at < end:
            n = min(BATCH, end - at)
            if o.hostile:
                n = min(n, 50)
            with tempfile.TemporaryDirectory(dir=o.tmp) as root:
                self.batch(root, at, n)
            at += n
            if o.verbose or at % 10000 == 0:
                print(f"... {at}: {dict(self.count)}", flush=True)
        print(f"seed {o.seed}, {o.first} to {end - 1}: " + ", ".join(f"{v} {k}" for k, v in sorted(self.count.items())))
        if self.unanswered:
            print("no oracle for: " + ", ".join(f"{k} {v}" for k, v in self.unanswered.most_common(60)))
        return 1 if self.count["failed"] else 0


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--mbr", default=os.environ.get("MBR", "./mbr"))
    p.add_argument("--cases", type=int, default=1000)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--first", type=int, default=0)
    p.add_argument("--only", type=lambda s: s.split(","))
    p.add_argument("--oldest", type=int, default=7, help="first version of ai.onnx to draw")
    p.add_argument("--passes", help="one setting of MBR_PASSES; without it each case runs with all, with none and with "
                   "some")
    p.add_argument("--keep", help="folder for the models that failed")
    p.add_argument("--hostile", action="store_true")
    p.add_argument("--tmp", default="/dev/shm" if os.path.isdir("/dev/shm") else None)
    p.add_argument("--verbose", action="store_true")
    o = p.parse_args()
    o.mbr = os.path.abspath(o.mbr)
    return Runner(o).run()


if __name__ == "__main__":
    sys.exit(main())
