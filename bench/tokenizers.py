#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Texts to tokens beside Hugging Face's Rust library (PyPI `tokenizers`), both on one thread.

    bench/tokenizers.py --bench build/bench/bench-tokenize [--lines 100000] [--rounds 3] [--only bert]

Trains the kinds of tests/tokenizer_equal.py, draws lines of words with a share of other scripts, symbols and long words,
and times by turns `encode_batch` of that library and bench-tokenize, in seconds of CPU; the fastest round of each counts.
Ratios above 1: ours takes less. encode_batch_fast, which leaves offsets out, is shown for comparison.
"""
import argparse
import os
import random
import subprocess
import sys
import tempfile
import time

os.environ['TOKENIZERS_PARALLELISM'] = 'false'
os.environ['RAYON_NUM_THREADS'] = '1'
HERE = os.path.dirname(os.path.abspath(__file__))
# This file's own name hides that of the package where its folder comes first.
sys.path[:] = [p for p in sys.path if os.path.abspath(p or '.') != HERE] + [os.path.join(HERE, '..', 'tests')]
import tokenizer_equal as equal  # noqa: E402

KINDS = ['bert', 'gpt2', 'llama3', 'bpe_metaspace', 'llama2', 'unigram']


def draw(rng, corpus, words, count):
    """Lines of the corpus and of its words, a tenth with what is rare."""
    lines = []
    while len(lines) < count:
        kind = rng.random()
        if kind < 0.5:
            line = rng.choice(corpus)
        elif kind < 0.9:
            line = ' '.join(rng.choice(words) for _ in range(rng.randrange(4, 24)))
        else:
            line = equal.draw_line(rng, words, '\n\r')
        lines.append(line.replace('\n', ' ').replace('\r', ' '))
    return lines


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--bench', default='./bench/bench-tokenize')
    parser.add_argument('--lines', type=int, default=100000)
    parser.add_argument('--rounds', type=int, default=3)
    parser.add_argument('--only', action='append')
    args = parser.parse_args()
    corpus, words = equal.read_words()
    lines = draw(random.Random(1), corpus, words, args.lines)
    text = '\n'.join(lines) + '\n'
    makers = equal.kinds(corpus)
    print('%d lines, %.1f MB' % (len(lines), len(text.encode()) / 1e6), flush=True)
    print('%-14s %12s %12s %12s %8s' % ('', 'mbr MB/s', 'theirs', 'theirs fast', 'ratio'))
    slower = 0
    with tempfile.TemporaryDirectory() as folder:
        source, model = os.path.join(folder, 'lines'), os.path.join(folder, 'tokenizer.json')
        with open(source, 'wb') as f:
            f.write(text.encode())
        for name in args.only or KINDS:
            makers[name]().save(model)
            t = equal.Tokenizer.from_file(model)
            t.no_truncation()
            t.no_padding()
            t.save(model)
            ours, theirs, fast = [], [], []
            for _ in range(args.rounds):
                out = subprocess.run([args.bench, model, source, '1'], check=True, stdout=subprocess.PIPE, text=True).stdout
                ours.append(float(out.split()[0]))
                for function, times in ((t.encode_batch, theirs), (t.encode_batch_fast, fast)):
                    begin = time.process_time()
                    done = function(lines)
                    times.append(time.process_time() - begin)
                    count = sum(len(e.ids) for e in done)
                    del done
            if count != int(out.split()[6]):
                print('%s: %s tokens, due: %d' % (name, out.split()[6], count))
                return 1
            size = len(text.encode()) / 1e6
            ratio = min(theirs) / min(ours)
            slower += ratio < 1
            print('%-14s %12.1f %12.1f %12.1f %8.2f' % (name, size / min(ours), size / min(theirs), size / min(fast), ratio),
                  flush=True)
    return 1 if slower else 0


if __name__ == '__main__':
    sys.exit(main())
