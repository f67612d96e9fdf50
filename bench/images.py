#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Resizing images beside Pillow and OpenCV (PyPI pillow, opencv-python-headless), all on one thread.

    bench/images.py --mbr build/mbr [--rounds 5]

Times by turns `mbr image --repeat` and those libraries' resize of the same points; the fastest of each counts. Ratios
above 1: ours takes less.
"""
import argparse
import os
import re
import subprocess
import sys
import tempfile
import time

import cv2
import numpy
from PIL import Image

CASES = [(1920, 1080, 224, 224), (500, 375, 256, 256)]
PILLOW = ['nearest', 'box', 'bilinear', 'bicubic', 'lanczos']
OPENCV = ['nearest', 'linear', 'area', 'cubic']


def fastest(function, seconds=0.3):
    best, end = 1e30, time.perf_counter() + seconds
    while time.perf_counter() < end:
        begin = time.perf_counter()
        function()
        best = min(best, time.perf_counter() - begin)
    return best


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--mbr', default='./mbr')
    parser.add_argument('--rounds', type=int, default=5)
    args = parser.parse_args()
    cv2.setNumThreads(1)
    slower = 0
    with tempfile.TemporaryDirectory() as folder:
        for w, h, x, y in CASES:
            # Smooth with some noise, as photos are: it changes nothing but what a JPEG of it takes.
            rng = numpy.random.default_rng(1)
            coarse = rng.integers(0, 256, (h // 16 + 1, w // 16 + 1, 3), dtype=numpy.uint8)
            pixels = numpy.ascontiguousarray(cv2.resize(coarse, (w, h), interpolation=cv2.INTER_LINEAR))
            source = os.path.join(folder, 'in.ppm')
            with open(source, 'wb') as f:
                f.write(b'P6\n%d %d\n255\n' % (w, h) + pixels.tobytes())
            picture = Image.fromarray(pixels)
            for library, names in (('pillow', PILLOW), ('opencv', OPENCV)):
                for name in names:
                    if library == 'pillow':
                        filter_ = getattr(Image.Resampling, name.upper())
                        peer = lambda f=filter_: picture.resize((x, y), f)
                    else:
                        filter_ = getattr(cv2, 'INTER_' + name.upper())
                        peer = lambda f=filter_: cv2.resize(pixels, (x, y), interpolation=f)
                    ours, theirs = [], []
                    for _ in range(args.rounds):
                        out = subprocess.run([args.mbr, 'image', source, '--filter', '%s-%s' % (library, name), '--resize',
                                              '%dx%d' % (x, y), '--repeat', '100'], check=True, stdout=subprocess.PIPE,
                                             stderr=subprocess.STDOUT, text=True).stdout
                        ours.append(float(re.search(r'([0-9.]+) ms', out).group(1)) * 1e-3)
                        theirs.append(fastest(peer))
                    ratio = min(theirs) / min(ours)
                    slower += ratio < 1
                    print('%4d x %4d to %d x %d  %-16s %9.3f ms %9.3f ms %6.2f' % (
                        w, h, x, y, library + '-' + name, min(ours) * 1e3, min(theirs) * 1e3, ratio), flush=True)
    return 1 if slower else 0


if __name__ == '__main__':
    sys.exit(main())
