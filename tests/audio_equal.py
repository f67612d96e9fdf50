#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Compares `mbr audio` with librosa, scipy and soundfile, where those are installed, on random sounds and parameters.

--cases N takes that many random sounds, each through the reader, a resampler, features, and the features of a stream in
pieces. torchaudio's resampler is compared with torchaudio where that is there, else with its formula in numpy. Differences
are relative to the largest value of the peer's. Without librosa it ends with status 77, a SKIP.
"""
import argparse
import math
import os
import random
import subprocess
import sys
import tempfile
import time

try:
    import librosa
    import numpy
    import scipy.signal
    import soundfile
except ImportError as missing:
    print("SKIP: %s" % missing)
    sys.exit(77)
try:
    import torch
    import torchaudio
except ImportError:
    torchaudio = None

RATES = [8000, 11025, 16000, 22050, 24000, 44100, 48000]
CODINGS = ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"]


def mbr(options, folder, path, *more):
    out = os.path.join(folder, "out.npy")
    command = [options.mbr, "audio", path, "--save", out] + [str(m) for m in more]
    subprocess.run(command, check=True)
    return numpy.load(out), " ".join(command[2:])


def draw_sound(rng, noise, frames, channels, rate):
    """Noise, tones and silence, never quite without noise: logarithms of rounding errors compare nothing."""
    t = numpy.arange(frames) / rate
    x = noise.standard_normal((frames, channels)) * rng.choice([0.3, 0.05, 0.003])
    for _ in range(rng.randint(0, 4)):
        x += (rng.random() * 0.3 * numpy.sin(2 * math.pi * rng.random() * rate / 2 * t + rng.random()))[:, None]
    if rng.random() < 0.3:
        x[frames // 3:frames // 2] *= 1e-3
    return numpy.clip(x, -0.99, 0.99)


def torchaudio_resample(x, old, new, width, rolloff, beta, kaiser):
    """The formula of torchaudio.functional.resample; kernel in double, sums in double."""
    if torchaudio:
        method = "sinc_interp_kaiser" if kaiser else "sinc_interp_hann"
        y = torchaudio.functional.resample(torch.from_numpy(x), old, new, width, rolloff, method, beta)
        return y.numpy()
    common = math.gcd(old, new)
    old, new = old // common, new // common
    base = min(old, new) * rolloff
    reach = math.ceil(width * old / base)
    index = numpy.arange(-reach, reach + old)[None, :] / old
    t = numpy.clip((numpy.arange(0, -new, -1)[:, None] / new + index) * base, -width, width)
    if kaiser:
        window = numpy.i0(beta * numpy.sqrt(1 - (t / width) ** 2)) / numpy.i0(beta)
    else:
        window = numpy.cos(t * math.pi / width / 2) ** 2
    kernels = numpy.sinc(t) * window * (base / old)
    padded = numpy.pad(x.astype(numpy.float64), (reach, reach + old))
    blocks = numpy.lib.stride_tricks.sliding_window_view(padded, kernels.shape[1])[::old]
    return (blocks @ kernels.T).reshape(-1)[:math.ceil(new * len(x) / old)]


class Judge:
    def __init__(self):
        self.worst, self.count, self.bad = {}, {}, 0

    def check(self, what, got, want, limit, told):
        want = numpy.asarray(want)
        self.count[what] = self.count.get(what, 0) + 1
        if got.shape != want.shape:
            self.bad += 1
            print("DIFFERS %s: shape %s, due is %s\n  %s" % (what, got.shape, want.shape, told))
            return
        scale = float(numpy.abs(want).max()) if want.size else 0
        off = float(numpy.abs(got - want).max()) / (scale or 1) if want.size else 0
        self.worst[what] = max(self.worst.get(what, 0), off)
        if not off <= limit:
            self.bad += 1
            print("DIFFERS %s: by %.3g of the largest value\n  %s" % (what, off, told))


def check_reader(options, judge, rng, folder, path, coding, rate, channels):
    want, _ = soundfile.read(path, dtype="float32", always_2d=True)
    got, told = mbr(options, folder, path)
    judge.check("wav " + coding, got, want.T, 0, told)
    got, told = mbr(options, folder, path, "--mono")
    judge.check("mono", got[0], librosa.to_mono(want.T), 1e-7, told)
    return librosa.to_mono(want.T)


def check_resample(options, judge, rng, folder, path, x, rate):
    new = rng.choice([r for r in RATES if r != rate] + [rng.randint(4000, 50000) // 100 * 100 + 100])
    if new == rate:
        return
    got, told = mbr(options, folder, path, "--mono", "--resample", new)
    common = math.gcd(rate, new)
    judge.check("resample_poly", got[0], scipy.signal.resample_poly(x, new // common, rate // common), 1e-5, told)
    judge.check("librosa polyphase", got[0], librosa.resample(x, orig_sr=rate, target_sr=new, res_type="polyphase"),
                1e-5, told)
    kaiser = rng.random() < 0.5
    width, rolloff, beta = rng.choice([(6, 0.99, 14.769656459379492), (64, 0.9475937167399596, 14.769656459379492),
                                       (16, 0.85, 8.555504641634386)])
    got, told = mbr(options, folder, path, "--mono", "--resample", new, "--resampler",
                    "torchaudio-kaiser" if kaiser else "torchaudio", "--width", width, "--rolloff", repr(rolloff),
                    "--beta", repr(beta))
    judge.check("torchaudio", got[0], torchaudio_resample(x, rate, new, width, rolloff, beta, kaiser), 1e-5, told)


def check_features(options, judge, rng, folder, path, x, rate):
    n = rng.choice([400, 512, 1024, 2048, 480, 640, 300, 1103, 2 * rng.randint(32, 700), rng.randint(33, 600)])
    win = n if rng.random() < 0.6 else rng.randint(n // 2, n)
    hop = rng.choice([160, n // 4, n // 2, rng.randint(40, n)])
    window = rng.choice(["hann", "hamming", "blackman", "ones"])
    pad = rng.choice(["zero", "reflect", "edge", "none"])
    if pad == "none" and len(x) < n:
        pad = "zero"
    mode = {"zero": "constant", "none": "constant"}.get(pad, pad)
    args = ["--n-fft", n, "--hop", hop, "--win", win, "--window", window, "--pad", pad]
    stft = dict(n_fft=n, hop_length=hop, win_length=win, window="boxcar" if window == "ones" else window,
                center=pad != "none", pad_mode=mode)
    spectrum = librosa.stft(x, **stft)
    got, told = mbr(options, folder, path, "--features", "stft", *args)
    judge.check("stft", got[..., 0] + 1j * got[..., 1], spectrum, 1e-5, told)
    got, told = mbr(options, folder, path, "--features", "magnitude", *args)
    judge.check("magnitude", got, numpy.abs(spectrum), 1e-5, told)
    got, told = mbr(options, folder, path, "--features", "power", *args)
    judge.check("power", got, numpy.abs(spectrum) ** 2, 1e-5, told)
    if pad == "none":
        got, told = mbr(options, folder, path, "--features", "frames", "--n-fft", n, "--hop", hop, "--pad", "none")
        judge.check("frames", got, librosa.util.frame(x, frame_length=n, hop_length=hop), 0, told)

    mels, htk = rng.choice([20, 40, 64, 80, 128]), rng.random() < 0.5
    norm = None if rng.random() < 0.5 else "slaney"
    low, high = rng.choice([0, 20, 125.5]), rng.choice([None, rate / 2 * 0.9])
    power = rng.choice([1.0, 2.0])
    args += ["--mels", mels, "--scale", "htk" if htk else "slaney", "--norm", norm or "none", "--low", low,
             "--exponent", power] + (["--high", repr(high)] if high else [])
    with_mel = dict(stft, sr=rate, n_mels=mels, htk=htk, norm=norm, fmin=low, fmax=high, power=power)
    mel = librosa.feature.melspectrogram(y=x, **with_mel)
    got, told = mbr(options, folder, path, "--features", "mel", *args)
    judge.check("mel", got, mel, 1e-4, told)
    top = rng.choice([80, 40, None])
    reference = rng.choice([1, 0.5, -1])
    got, told = mbr(options, folder, path, "--features", "mel", "--log", "db", "--reference", reference, "--top-db",
                    top or -1, *args)
    judge.check("mel dB", got, librosa.power_to_db(mel, ref=numpy.max if reference < 0 else reference, top_db=top), 1e-4,
                told)
    got, told = mbr(options, folder, path, "--features", "mel", "--log", "ln-plus", "--floor", 2.0 ** -24, *args)
    judge.check("mel ln", got, numpy.log(mel + 2.0 ** -24), 1e-4, told)
    if mel.shape[1] > 1: # Whisper's features leave out the last frame
        got, told = mbr(options, folder, path, "--features", "mel", "--log", "whisper", *args)
        logs = numpy.log10(numpy.maximum(mel[:, :-1], 1e-10))
        judge.check("mel Whisper", got, (numpy.maximum(logs, logs.max() - 8) + 4) / 4, 1e-4, told)
    count, lifter = rng.randint(1, min(mels, 40)), rng.choice([0, 22, 12.5])
    got, told = mbr(options, folder, path, "--features", "mfcc", "--mfcc", count, "--lifter", lifter, *args)
    judge.check("mfcc", got, librosa.feature.mfcc(S=librosa.power_to_db(mel), n_mfcc=count, lifter=lifter), 1e-4, told)
    kind = rng.choice(["mel", "mfcc", "stft", "frames", "power"])
    if kind == "frames":
        args = ["--n-fft", n, "--hop", hop, "--pad", pad]
    elif kind in ("mel", "mfcc"):
        args += ["--log", "db", "--top-db", -1]
    whole, _ = mbr(options, folder, path, "--features", kind, "--frames-first", *args)
    got, told = mbr(options, folder, path, "--features", kind, "--chunk", rng.choice([1, 7, 160, n, 5000]), *args)
    judge.check("stream", got, whole, 0, told)
    other = rng.choice(RATES)
    args = ["--features", kind, *args, "--resample", other, "--resampler", rng.choice(["scipy", "torchaudio"])]
    if pad != "none" and min(1, other / rate) * len(x) > 2 * n and (high or low) <= other / 2:
        whole, _ = mbr(options, folder, path, "--frames-first", *args)
        got, told = mbr(options, folder, path, "--chunk", rng.choice([1, 7, 160, n, 5000]), *args)
        judge.check("resampled stream", got, whole, 0, told)
    whole, _ = mbr(options, folder, path, *args[-4:])
    got, told = mbr(options, folder, path, "--chunk", rng.choice([1, 7, 160, n, 5000]), *args[-4:])
    judge.check("resampled pieces", got, whole, 0, told)


def check_defaults(options, judge, folder, path, x, rate):
    """librosa's defaults are ours."""
    got, told = mbr(options, folder, path, "--features", "mel")
    judge.check("mel, defaults", got, librosa.feature.melspectrogram(y=x, sr=rate), 1e-4, told)
    got, told = mbr(options, folder, path, "--features", "mfcc")
    judge.check("mfcc, defaults", got, librosa.feature.mfcc(y=x, sr=rate), 1e-4, told)


def bench(options, folder):
    x = numpy.random.default_rng(1).standard_normal(60 * 16000).astype(numpy.float32) * 0.1
    path = os.path.join(folder, "minute.wav")
    soundfile.write(path, x, 16000, subtype="FLOAT")
    for n, hop, mels in [(400, 160, 80), (512, 160, 80), (2048, 512, 128)]:
        ours = subprocess.run([options.mbr, "audio", path, "--features", "mel", "--log", "db", "--n-fft", str(n), "--hop",
                               str(hop), "--mels", str(mels), "--repeat", "9"], check=True, capture_output=True, text=True)
        best = min(timed(x, n, hop, mels) for _ in range(5))
        print("mel dB, n_fft %d, hop %d, %d mels: ours %s; librosa %.3f ms, %.0f times real time" %
              (n, hop, mels, ours.stdout.strip(), best * 1000, 60 / best))


def timed(x, n, hop, mels):
    start = time.perf_counter()
    librosa.power_to_db(librosa.feature.melspectrogram(y=x, sr=16000, n_fft=n, hop_length=hop, n_mels=mels))
    return time.perf_counter() - start


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mbr", default=os.environ.get("MBR", "./mbr"))
    parser.add_argument("--cases", type=int, default=20)
    parser.add_argument("--seed", type=int, default=int(os.environ.get("MBR_SEED") or random.randrange(1 << 30)))
    parser.add_argument("--bench", action="store_true", help="compare speeds instead")
    options = parser.parse_args()
    rng = random.Random(options.seed)
    judge = Judge()
    print("seed %d, with librosa %s, %s" % (options.seed, librosa.__version__, "torchaudio " + torchaudio.__version__
                                            if torchaudio else "torchaudio's formula"))
    with tempfile.TemporaryDirectory() as folder:
        if options.bench:
            bench(options, folder)
            return 0
        path = os.path.join(folder, "in.wav")
        for case in range(options.cases):
            noise = numpy.random.Generator(numpy.random.PCG64(rng.randrange(1 << 60)))
            rate, channels, coding = rng.choice(RATES), rng.choice([1, 1, 2, 3, 6]), rng.choice(CODINGS)
            frames = rng.choice([rng.randint(2100, 4000), rng.randint(4000, 60000)])
            sound = draw_sound(rng, noise, frames, channels, rate)
            soundfile.write(path, sound, rate, subtype=coding, format=rng.choice(["WAV", "WAVEX"]))
            x = check_reader(options, judge, rng, folder, path, coding, rate, channels)
            check_resample(options, judge, rng, folder, path, x, rate)
            check_features(options, judge, rng, folder, path, x, rate)
            check_defaults(options, judge, folder, path, x, rate)
            if judge.bad >= 20:
                break
    for what in sorted(judge.count):
        print("%-18s %4d compared, %.2g off at worst" % (what, judge.count[what], judge.worst.get(what, 0)))
    print("%d comparisons, %d differ" % (sum(judge.count.values()), judge.bad))
    return 1 if judge.bad else 0


sys.exit(main())
