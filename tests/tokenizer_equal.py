#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Trains tokenizers of many kinds with Hugging Face's `tokenizers` (PyPI) and compares what `mbr tokenize` makes of
random lines with what that library makes of them: ids, types, masks, offsets, words, and the text that is decoded.

    tests/tokenizer_equal.py --mbr ./mbr [--lines 2000] [--seed 1] [--only NAME] [--keep DIR]

Exit status 77 where the package is not there.
"""
import argparse
import json
import os
import random
import subprocess
import sys
import tempfile

os.environ['TOKENIZERS_PARALLELISM'] = 'false'
try:
    from tokenizers import (AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors,
                            trainers)
except ImportError:
    print('SKIP: no PyPI package tokenizers')
    sys.exit(77)

GPT4 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
        r"|\s+(?!\S)|\s+")
GPT4O = (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
         r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
         r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")

# ---- lines

BLOCKS = [(0x20, 0x7f)] * 12 + [
    (0x00, 0x20), (0x7f, 0x100), (0x100, 0x250), (0x250, 0x370), (0x370, 0x400), (0x400, 0x530), (0x530, 0x600),
    (0x600, 0x780), (0x780, 0x900), (0x900, 0xe00), (0xe00, 0x1000), (0x1000, 0x1200), (0x1100, 0x1200),
    (0x1200, 0x1800), (0x1800, 0x1e00), (0x1ab0, 0x1b00), (0x1e00, 0x2000), (0x2000, 0x2070), (0x2070, 0x2c00),
    (0x2c00, 0x3000), (0x3000, 0x3100), (0x3100, 0x3400), (0x3400, 0x4e00), (0x4e00, 0xa000), (0xa000, 0xac00),
    (0xac00, 0xd7b0), (0xd7b0, 0xd800), (0xe000, 0xf900), (0xf900, 0xfb00), (0xfb00, 0x10000), (0x10000, 0x10400),
    (0x10400, 0x11000), (0x11000, 0x12000), (0x12000, 0x16000), (0x16000, 0x1b000), (0x1b000, 0x1d000),
    (0x1d000, 0x1e000), (0x1e000, 0x1f000), (0x1f000, 0x1f900), (0x1f600, 0x1f650), (0x1f900, 0x20000),
    (0x20000, 0x2fa20), (0x2fa20, 0x40000), (0x40000, 0xe0000), (0xe0000, 0xe0200), (0xe0200, 0x110000)]
SPECIAL = ['\u00a0', '\u200b', '\u200d', '\u2028', '\ufeff', '\ufffd', '\u0301', '\u0327', '\u1100\u1161\u11a8', '\u0130',
           '\u017f', '\u212a', '\ufb01', '\u2581', '\u3000', '\r', '\u0085', '\u180e', '  ', "'s", "'S", "'re", "'LL",
           "'\u017f", '\U0001f468\u200d\U0001f469\u200d\U0001f467', '\U0001f1e9\U0001f1ea', '\u00e9', 'e\u0301', '\u1e9b\u0323',
           '\u0958', '\u2126', '\ufdfa', '[MASK]', '<s>', '</s>', '<|end|>', 'added word', 'Added', '<tok>', '   <tok>  ',
           '<0x41>', '\x00', '\x1f', '\x7f', '123456', '12,345.67', '\u0663\u0664', '\u2160', '\u00bd']


def draw_word(r, words):
    kind = r.random()
    if kind < 0.62:
        return r.choice(words)
    if kind < 0.80:
        low, high = r.choice(BLOCKS)
        return ''.join(chr(r.randrange(low, high)) for _ in range(r.randrange(1, 7)))
    if kind < 0.92:
        return r.choice(SPECIAL)
    if kind < 0.96:
        word = r.choice(words)
        at = r.randrange(len(word) + 1)
        return word[:at] + r.choice(SPECIAL) + word[at:]
    if kind < 0.965:
        return r.choice(words) * r.randrange(2, 60)
    if kind < 0.975:
        return r.choice('=-a \u4e00e\u0301') * r.randrange(2, 120)
    c = r.randrange(0x110000)
    return '' if 0xd800 <= c < 0xe000 else chr(c)


def draw_line(r, words, forbidden):
    if r.random() < 0.01:
        return ''
    parts = []
    for _ in range(r.randrange(1, 24)):
        parts.append(draw_word(r, words))
        if r.random() < 0.8:
            parts.append(r.choice([' '] * 12 + ['', '\t', '  ', '\n', '\r\n', ' \n ', '.', ', ', '-', '/', '\u3000']))
    return ''.join(parts).translate({ord(c): None for c in forbidden})


def read_words():
    folder = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..')
    text = ''
    for name in ('docs', 'tests', 'include/mbr', 'runtime'):
        for root, _, files in os.walk(os.path.join(folder, name)):
            for f in sorted(files):
                if f.endswith(('.md', '.c', '.h', '.py')) and len(text) < 600000:
                    with open(os.path.join(root, f), encoding='utf-8') as file:
                        text += file.read()
    lines = [line.strip() for line in text.split('\n') if line.strip()]
    words = sorted(set(text.split()))
    return lines, [w for w in words if len(w) < 40] + ['Stra\u00dfe', 'na\u00efve', '\u00c9cole', '\u041f\u0440\u0438\u0432\u0435\u0442',
                                                      '\u4f60\u597d\u4e16\u754c', '\u3053\u3093\u306b\u3061\u306f', '\u30c6\u30b9\u30c8',
                                                      '\uc548\ub155', '\u0645\u0631\u062d\u0628\u0627', '\u0928\u092e\u0938\u094d\u0924\u0947']

# ---- tokenizers


def train(model, trainer, corpus, normalizer=None, pre=None, post=None, decoder=None, added=()):
    t = Tokenizer(model)
    if normalizer:
        t.normalizer = normalizer
    if pre:
        t.pre_tokenizer = pre
    t.train_from_iterator(corpus, trainer)
    if post:
        t.post_processor = post(t)
    if decoder:
        t.decoder = decoder
    if added:
        t.add_tokens(list(added))
    return t


ADDED = [AddedToken('added word', single_word=False, normalized=True), AddedToken('Added', single_word=True),
         AddedToken('<tok>', lstrip=True, rstrip=True, normalized=False), AddedToken('<|end|>', special=True),
         AddedToken('[MASK]', lstrip=True, special=True, normalized=False)]


def template(a, b):
    return lambda t: processors.TemplateProcessing(
        single='%s $A %s' % (a, b), pair='%s $A %s $B:1 %s:1' % (a, b, b),
        special_tokens=[(a, t.token_to_id(a)), (b, t.token_to_id(b))])


def kinds(corpus):
    bytes_of = pre_tokenizers.ByteLevel.alphabet()
    quiet = {'show_progress': False}

    def gpt2():
        return train(models.BPE(), trainers.BpeTrainer(vocab_size=3000, initial_alphabet=bytes_of, **quiet), corpus,
                     pre=pre_tokenizers.ByteLevel(add_prefix_space=False),
                     post=lambda t: processors.ByteLevel(trim_offsets=True), decoder=decoders.ByteLevel(), added=ADDED)

    def roberta():
        t = train(models.BPE(), trainers.BpeTrainer(vocab_size=3000, initial_alphabet=bytes_of,
                                                    special_tokens=['<s>', '<pad>', '</s>'], **quiet), corpus,
                  pre=pre_tokenizers.ByteLevel(add_prefix_space=True),
                  post=lambda t: processors.RobertaProcessing(('</s>', 2), ('<s>', 0)), decoder=decoders.ByteLevel())
        t.enable_truncation(24, stride=4)
        t.enable_padding(length=30, pad_id=1, pad_token='<pad>')
        return t

    def llama3():
        return train(models.BPE(ignore_merges=True),
                     trainers.BpeTrainer(vocab_size=3000, initial_alphabet=bytes_of,
                                         special_tokens=['<s>', '</s>'], **quiet), corpus,
                     pre=pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(GPT4), 'isolated'),
                                                  pre_tokenizers.ByteLevel(False, use_regex=False)]),
                     post=lambda t: processors.Sequence([processors.ByteLevel(trim_offsets=False),
                                                         template('<s>', '</s>')(t)]),
                     decoder=decoders.ByteLevel(), added=ADDED)

    def gpt4o():
        return train(models.BPE(), trainers.BpeTrainer(vocab_size=3000, initial_alphabet=bytes_of, **quiet), corpus,
                     normalizer=normalizers.NFC(),
                     pre=pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(GPT4O), 'isolated'),
                                                  pre_tokenizers.ByteLevel(False, use_regex=False)]),
                     decoder=decoders.ByteLevel())

    def llama2():
        byte_tokens = ['<0x%02X>' % i for i in range(256)]
        t = train(models.BPE(unk_token='<unk>', fuse_unk=True, byte_fallback=True),
                  trainers.BpeTrainer(vocab_size=3000, special_tokens=['<unk>', '<s>', '</s>'] + byte_tokens, **quiet),
                  corpus, pre=pre_tokenizers.Metaspace(),
                  post=template('<s>', '</s>'),
                  decoder=decoders.Sequence([decoders.Replace('\u2581', ' '), decoders.ByteFallback(), decoders.Fuse(),
                                             decoders.Strip(' ', 1, 0)]))
        t.pre_tokenizer = None
        t.normalizer = normalizers.Sequence([normalizers.Prepend('\u2581'), normalizers.Replace(' ', '\u2581')])
        return t

    def bpe_metaspace():
        t = train(models.BPE(unk_token='<unk>', fuse_unk=True),
                  trainers.BpeTrainer(vocab_size=3000, special_tokens=['<unk>', '<s>', '</s>'], **quiet), corpus,
                  pre=pre_tokenizers.Metaspace(prepend_scheme='first'), decoder=decoders.Metaspace(), added=ADDED)
        t.enable_truncation(20, stride=3, direction='left')
        return t

    def bpe_words():
        return train(models.BPE(unk_token='<unk>', end_of_word_suffix='</w>'),
                     trainers.BpeTrainer(vocab_size=3000, special_tokens=['<unk>'], end_of_word_suffix='</w>', **quiet),
                     corpus, normalizer=normalizers.Sequence([normalizers.NFD(), normalizers.StripAccents(),
                                                              normalizers.Lowercase(), normalizers.Strip()]),
                     pre=pre_tokenizers.Whitespace(), decoder=decoders.BPEDecoder('</w>'), added=ADDED)

    def bert():
        t = train(models.WordPiece(unk_token='[UNK]'),
                  trainers.WordPieceTrainer(vocab_size=3000, special_tokens=['[UNK]', '[CLS]', '[SEP]', '[PAD]', '[MASK]'],
                                            **quiet), corpus,
                  normalizer=normalizers.BertNormalizer(), pre=pre_tokenizers.BertPreTokenizer(),
                  post=template('[CLS]', '[SEP]'), decoder=decoders.WordPiece(), added=ADDED[:4])
        return t

    def bert_cased():
        t = train(models.WordPiece(unk_token='[UNK]', max_input_chars_per_word=20),
                  trainers.WordPieceTrainer(vocab_size=3000, special_tokens=['[UNK]', '[CLS]', '[SEP]', '[PAD]'],
                                            **quiet), corpus,
                  normalizer=normalizers.BertNormalizer(lowercase=False, strip_accents=False),
                  pre=pre_tokenizers.BertPreTokenizer(),
                  post=lambda t: processors.BertProcessing(('[SEP]', 2), ('[CLS]', 1)),
                  decoder=decoders.WordPiece(cleanup=False))
        t.enable_truncation(16, stride=2)
        t.enable_padding(pad_id=3, pad_token='[PAD]', pad_to_multiple_of=8, direction='left')
        return t

    def unigram():
        return train(models.Unigram(), trainers.UnigramTrainer(vocab_size=2000, unk_token='<unk>',
                                                               special_tokens=['<unk>', '<s>', '</s>'], **quiet), corpus,
                     normalizer=normalizers.Sequence([normalizers.Nmt(), normalizers.NFKC(),
                                                      normalizers.Replace(Regex(' {2,}'), ' ')]),
                     pre=pre_tokenizers.Metaspace(), post=template('<s>', '</s>'), decoder=decoders.Metaspace(),
                     added=ADDED)

    def unigram_bytes():
        t = unigram()
        j = json.loads(t.to_str())
        j['model']['vocab'] += [['<0x%02X>' % i, -12.5] for i in range(256)]
        j['model']['byte_fallback'] = True
        j['added_tokens'] = []
        j['post_processor'] = None
        j['normalizer'] = {'type': 'NFKD'}
        j['pre_tokenizer'] = {'type': 'Sequence', 'pretokenizers': [
            {'type': 'UnicodeScripts'}, {'type': 'WhitespaceSplit'},
            {'type': 'Metaspace', 'replacement': '\u2581', 'prepend_scheme': 'always', 'split': False}]}
        return Tokenizer.from_str(json.dumps(j))

    def spm():
        try:
            import sentencepiece
        except ImportError:
            return None
        with tempfile.TemporaryDirectory() as d:
            sentencepiece.SentencePieceTrainer.train(sentence_iterator=iter(corpus), model_prefix=d + '/m', vocab_size=500,
                                                     hard_vocab_limit=False, minloglevel=2)
            with open(d + '/m.model', 'rb') as f:
                blob = f.read()
        normalizer = None
        at = 0

        def varint(b, i):
            v = s = 0
            while True:
                v |= (b[i] & 127) << s
                s += 7
                i += 1
                if b[i - 1] < 128:
                    return v, i

        def fields(b):
            i = 0
            while i < len(b):
                tag, i = varint(b, i)
                if tag & 7 == 2:
                    n, i = varint(b, i)
                    yield tag >> 3, b[i:i + n]
                    i += n
                elif tag & 7 == 0:
                    v, i = varint(b, i)
                    yield tag >> 3, v
                else:
                    i += 4 if tag & 7 == 5 else 8
        charsmap = next(v for k, v in fields(next(v for k, v in fields(blob) if k == 3)) if k == 2)
        t = unigram()
        t.normalizer = normalizers.Sequence([normalizers.Precompiled(charsmap), normalizers.Replace(Regex(' {2,}'), ' ')])
        t.enable_truncation(12, stride=5, strategy='only_first')
        return t

    def wordlevel():
        return train(models.WordLevel(unk_token='[UNK]'), trainers.WordLevelTrainer(vocab_size=3000, min_frequency=1,
                                                                                   special_tokens=['[UNK]'], **quiet),
                     corpus, normalizer=normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()]),
                     pre=pre_tokenizers.Sequence([pre_tokenizers.CharDelimiterSplit('/'), pre_tokenizers.WhitespaceSplit(),
                                                  pre_tokenizers.Digits(False),
                                                  pre_tokenizers.Punctuation('merged_with_previous'),
                                                  pre_tokenizers.Digits(True)]))

    def regexes():
        steps = [pre_tokenizers.Split(Regex(r'\s+'), 'merged_with_next'), pre_tokenizers.Split(Regex(r'\d{2,3}+'), 'contiguous'),
                 pre_tokenizers.Split(Regex(r'[\p{Han}\p{Hiragana}\p{Katakana}]'), 'isolated'),
                 pre_tokenizers.Split(Regex(r'\b\w'), 'merged_with_next'),
                 pre_tokenizers.Split(Regex(r'[^\w\s]+|_'), 'merged_with_previous'),
                 pre_tokenizers.Split(Regex(r'(?<=e)(?=\p{Ll})'), 'removed'),
                 pre_tokenizers.Split('\u00e9', 'removed'), pre_tokenizers.Split(Regex(r'\p{Lu}|\P{L}'), 'isolated', True),
                 pre_tokenizers.Split(Regex(r'\p{M}'), 'merged_with_previous', True)]
        return train(models.BPE(unk_token='<unk>'), trainers.BpeTrainer(vocab_size=2500, special_tokens=['<unk>'], **quiet),
                     corpus, pre=pre_tokenizers.Sequence(steps))

    return {f.__name__: f for f in (gpt2, roberta, llama3, gpt4o, llama2, bpe_metaspace, bpe_words, bert, bert_cased,
                                    unigram, unigram_bytes, spm, wordlevel, regexes)}

# ---- comparison


def show(e):
    return {'ids': e.ids, 'type_ids': e.type_ids, 'attention_mask': e.attention_mask,
            'special_tokens_mask': e.special_tokens_mask, 'offsets': [list(o) for o in e.offsets], 'words': e.word_ids}


def compare(args, name, path, t, lines, pairs):
    ending = b'\0' if args.zero else b'\n'
    with tempfile.TemporaryDirectory() as folder:
        file = os.path.join(folder, 'lines')
        with open(file, 'wb') as f:
            for line in lines:
                f.write(('\t'.join(line) if pairs else line).encode() + ending)
        command = [args.mbr, 'tokenize', path, file, '--json'] + ['--zero'] * args.zero + ['--pairs'] * pairs
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False, timeout=args.timeout)
    got = done.stdout.decode().split('\n')[:-1]
    if done.returncode or len(got) != len(lines):
        print('%s: status %d, %d of %d lines: %s' % (name, done.returncode, len(got), len(lines), done.stderr.decode()))
        return len(lines)
    wrong = 0
    for line, mine in zip(lines, got):
        e = t.encode(*line) if pairs else t.encode(line)
        want = show(e)
        mine = json.loads(mine)
        over = mine.pop('overflowing', [])
        for part in [mine] + over:
            part.pop('tokens')
        if mine != want or over != [show(o) for o in e.overflowing]:
            wrong += 1
            if wrong <= args.show:
                print('%s: %r' % (name, line))
                for key in want:
                    if mine[key] != want[key]:
                        print('    %s: %s\n    due: %s' % (key, mine[key], want[key]))
                if mine == want:
                    print('    overflowing: %d, due: %d' % (len(over), len(e.overflowing)))
    return wrong


def compare_decoding(args, name, path, t, r, count):
    most = t.get_vocab_size() + 5
    ids = [[r.randrange(most) for _ in range(r.randrange(0, 20))] for _ in range(count)]
    done = subprocess.run([args.mbr, 'tokenize', path, '--decode', '--zero'], stdout=subprocess.PIPE, check=False,
                          input=b''.join(' '.join(map(str, i)).encode() + b'\0' for i in ids))
    got = done.stdout
    at = wrong = 0
    for one in ids:
        want = t.decode(one).encode() + b'\n'
        if got[at:at + len(want)] != want:
            wrong += 1
            print('%s: decode %s: %r, due: %r' % (name, one, got[at:at + len(want) + 10], want))
            break
        at += len(want)
    return wrong + (at != len(got) and not wrong)


def parts(lines, most=2000):
    """How many lines each run of the program gets: its answers are held in memory."""
    return [min(most, lines - at) for at in range(0, lines, most)]


def main():
    p = argparse.ArgumentParser()
    p.add_argument('--mbr', default=os.environ.get('MBR', './mbr'))
    p.add_argument('--lines', type=int, default=2000)
    p.add_argument('--seed', type=int, default=1)
    p.add_argument('--only', action='append')
    p.add_argument('--keep', help='write the tokenizers to this folder')
    p.add_argument('--timeout', type=int, default=1200, help='seconds for one run of the program')
    p.add_argument('--show', type=int, default=3)
    args = p.parse_args()
    corpus, words = read_words()
    failed = 0
    total = 0
    for name, make in kinds(corpus).items():
        if args.only and name not in args.only:
            continue
        r = random.Random('%d %s' % (args.seed, name))
        t = make()
        if t is None:
            print('%s: skipped, a package is not there' % name)
            continue
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(args.keep or folder, name + '.json')
            t.save(path)
            t = Tokenizer.from_file(path)
            wrong = 0
            for args.zero, forbidden in ((False, '\n'), (True, '\0')):
                for count in parts(args.lines // 2):
                    lines = [draw_line(r, words, forbidden) for _ in range(count)]
                    wrong += compare(args, name, path, t, lines, False)
                    total += len(lines)
            args.zero = True
            for count in parts(args.lines // 10 if name != 'spm' else 0):
                lines = [(draw_line(r, words, '\0\t'), draw_line(r, words, '\0')) for _ in range(count)]
                wrong += compare(args, name + ' pairs', path, t, lines, True)
                total += len(lines)
            if name != 'bpe_words':  # that library's BPEDecoder panics on no tokens
                wrong += compare_decoding(args, name, path, t, r, args.lines // 4)
        print('%-14s %s' % (name, 'ok' if not wrong else '%d wrong' % wrong), flush=True)
        failed += wrong > 0
    print('%d lines, %d tokenizers failed' % (total, failed))
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
