#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Resizes random images with `mbr image` and with Pillow and OpenCV, where those are installed: every byte is equal.

--cases N takes that many random sizes, each with a filter of each library; --side N goes up to N points a side.
Without either library it ends with status 77, a SKIP.
"""
import argparse
import os
import random
import subprocess
import sys
import tempfile


def libraries():
    found = {}
    try:
        import numpy
    except ImportError:
        return None, found
    try:
        from PIL import Image
        if int(Image.__version__.split(".")[0]) >= 13: # those before it choose the order of the passes otherwise
            found["pillow"] = Image
    except ImportError:
        pass
    try:
        import cv2
        cv2.setNumThreads(1)
        found["opencv"] = cv2
    except ImportError:
        pass
    return numpy, found


PILLOW = ["nearest", "box", "bilinear", "hamming", "bicubic", "lanczos"]
OPENCV = ["nearest", "linear", "area", "cubic"]


def peer(found, numpy, library, name, pixels, width, height, alpha):
    if library == "pillow":
        image = found["pillow"]
        modes = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA" if alpha else "CMYK"}
        h, w, c = pixels.shape
        picture = image.frombytes(modes[c], (w, h), pixels.tobytes())
        out = picture.resize((width, height), getattr(image.Resampling, name.upper()))
        return numpy.frombuffer(out.tobytes(), numpy.uint8).reshape(height, width, c)
    cv = found["opencv"]
    cv.ipp.setUseIPP(name != "cubic") # Intel's library, in wheels for x86, has a cubic of its own
    out = cv.resize(pixels, (width, height), interpolation=getattr(cv, "INTER_" + name.upper()))
    return out.reshape(height, width, pixels.shape[2])


def write_pnm(path, pixels):
    h, w, c = pixels.shape
    if c in (1, 3):
        head = "P%d\n%d %d\n255\n" % (5 if c == 1 else 6, w, h)
    else:
        head = "P7\nWIDTH %d\nHEIGHT %d\nDEPTH %d\nMAXVAL 255\nENDHDR\n" % (w, h, c)
    with open(path, "wb") as f:
        f.write(head.encode() + pixels.tobytes())


def points(path, numpy, count):
    with open(path, "rb") as f:
        data = f.read()
    return numpy.frombuffer(data[len(data) - count:], numpy.uint8)


def size(rng, side):
    return rng.choice([rng.randint(1, 12), rng.randint(1, min(side, 300)), rng.randint(1, side)])


def draw(rng, side):
    """Sizes before and after: any, whole scales, one side kept, the same."""
    w, h, x, y = (size(rng, side) for _ in range(4))
    kind = rng.randrange(8)
    if kind == 0:
        k, m = rng.randint(1, 6), rng.randint(1, 6)
        x, y = max(1, w // k), max(1, h // m)
        w, h = x * k, y * m
    elif kind == 1:
        x, y = max(1, w // 2), max(1, h // 2)
        w, h = x * 2, y * 2
    elif kind == 2:
        x = w
    elif kind == 3:
        y = h
    elif kind == 4:
        x, y = min(x, w), min(y, h)
    return w, h, x, y


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mbr", default=os.environ.get("MBR", "./mbr"))
    parser.add_argument("--cases", type=int, default=60)
    parser.add_argument("--side", type=int, default=400)
    parser.add_argument("--seed", type=int, default=int(os.environ.get("MBR_SEED") or random.randrange(1 << 30)))
    parser.add_argument("--all", action="store_true", help="every filter at each size instead of one of each library")
    parser.add_argument("--filter", help="only this one, such as opencv-area")
    options = parser.parse_args()
    numpy, found = libraries()
    if not found:
        print("SKIP: neither Pillow 13 nor OpenCV is there")
        return 77
    rng = random.Random(options.seed)
    print("seed %d, with %s" % (options.seed, " and ".join(sorted(found))))
    done, bad = {}, 0
    with tempfile.TemporaryDirectory() as folder:
        source, result = os.path.join(folder, "in.pnm"), os.path.join(folder, "out.pnm")
        for case in range(options.cases):
            w, h, x, y = draw(rng, options.side)
            c = rng.choice([1, 2, 3, 3, 4])
            noise = numpy.random.Generator(numpy.random.PCG64(rng.randrange(1 << 60)))
            pixels = noise.integers(0, 256, (h, w, c), dtype=numpy.uint8)
            if rng.random() < 0.3:
                pixels = (pixels // 128 * 255).astype(numpy.uint8)
            write_pnm(source, pixels)
            names = {"pillow": PILLOW, "opencv": OPENCV}
            for library in found:
                for name in names[library] if options.all or options.filter else [rng.choice(names[library])]:
                    full = library + "-" + name
                    if options.filter and full != options.filter:
                        continue
                    alpha = c == 2 or c == 4 and rng.random() < 0.5
                    command = [options.mbr, "image", source] + ["--alpha"] * alpha
                    command += ["--filter", full, "--resize", "%dx%d" % (x, y), "--save", result]
                    subprocess.run(command, check=True)
                    want = peer(found, numpy, library, name, pixels, x, y, alpha)
                    got = points(result, numpy, want.size).reshape(want.shape)
                    done[full] = done.get(full, 0) + 1
                    if not (want == got).all():
                        bad += 1
                        off = want != got
                        print("DIFFERS %s: %d x %d to %d x %d, %d channels%s: %d of %d bytes, first at %s: %s, due is %s" %
                              (full, w, h, x, y, c, " with alpha" if alpha else "", off.sum(), off.size,
                               tuple(int(i) for i in numpy.argwhere(off)[0]), got[off][0], want[off][0]))
                        if bad >= 20:
                            return 1
    print(", ".join("%s %d" % item for item in sorted(done.items())))
    print("%d resizes, %d differ" % (sum(done.values()), bad))
    return 1 if bad else 0


sys.exit(main())
