"""Trains the byte-level BPE and encodes the corpus. Every name and animal ends as one token with its leading space.

Usage: tokenizer.py CORPUS_DIR TOKENIZER_JSON
Beside each text file it writes NAME.npz: ids, ends (of documents), classes (what a token's loss is worth; see classify).
"""
import json
import os
import sys

import numpy as np
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

from grammar import ASSISTANT, BOS, END, SPECIALS, USER
from words import KINDS, NAMES

VOCAB = 2048
SAMPLE_DOCUMENTS = 40_000
# Repetitions of each list word in the text that the merges are learned from: more than any merge inside them needs.
WORD_WEIGHT = 3_000
PLAIN, FIRST, LATER, USERS = 0, 1, 2, 3


def documents(path):
    with open(path, encoding='utf-8') as file:
        for line in file:
            yield line.rstrip('\n')


def training_text(path):
    for number, line in enumerate(documents(path)):
        if number == SAMPLE_DOCUMENTS:
            break
        for special in SPECIALS:
            line = line.replace(special, '\n')
        yield line
    for word in NAMES + KINDS:
        yield f' {word}' * WORD_WEIGHT
    # A prompt may begin with the name: the word without its space is a token too.
    for word in NAMES:
        for _ in range(WORD_WEIGHT // 10):
            yield word


def train(path):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=VOCAB, special_tokens=SPECIALS, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(training_text(path), trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f'{BOS} $A', pair=f'{BOS} $A $B', special_tokens=[(BOS, SPECIALS.index(BOS))]
    )
    return tokenizer


def check(tokenizer):
    assert tokenizer.get_vocab_size() == VOCAB
    assert [tokenizer.token_to_id(special) for special in SPECIALS] == [0, 1, 2, 3]
    for word in NAMES + KINDS:
        assert len(tokenizer.encode(f' {word}', add_special_tokens=False).ids) == 1, word


def classify(ids, tracked, user, assistant):
    """PLAIN; FIRST or LATER mention of a list word in its document; USERS: a user's words, which the model need not say."""
    classes, seen, by_user = [], set(), False
    for token in ids:
        if by_user and token != assistant:
            classes.append(USERS)
        elif token in tracked:
            classes.append(LATER if token in seen else FIRST)
        else:
            classes.append(PLAIN)
        if token in tracked:
            seen.add(token)
        by_user = token == user or (by_user and token != assistant)
    return classes


def encode(tokenizer, source, target):
    tracked = {tokenizer.token_to_id(f'Ġ{word}') for word in NAMES + KINDS}
    user, assistant = tokenizer.token_to_id(USER), tokenizer.token_to_id(ASSISTANT)
    ids, classes, ends = [], [], []
    lines = list(documents(source))
    for start in range(0, len(lines), 5_000):
        for encoding in tokenizer.encode_batch(lines[start : start + 5_000], add_special_tokens=False):
            ids.append(np.array(encoding.ids, np.uint16))
            classes.append(np.array(classify(encoding.ids, tracked, user, assistant), np.uint8))
            ends.append(len(encoding.ids))
    np.savez(target, ids=np.concatenate(ids), classes=np.concatenate(classes), ends=np.cumsum(ends))
    report(os.path.basename(source), np.array(ends), np.concatenate(classes))


def report(name, lengths, classes):
    shares = np.bincount(classes, minlength=4) / len(classes)
    print(json.dumps({
        'file': name, 'documents': len(lengths), 'tokens': int(lengths.sum()), 'mean': round(float(lengths.mean()), 1), 'longest': int(lengths.max()),
        'plain': round(shares[PLAIN], 3), 'first': round(shares[FIRST], 3), 'later': round(shares[LATER], 3), 'users': round(shares[USERS], 3),
    }), flush=True)


def main(corpus, out):
    tokenizer = train(os.path.join(corpus, 'mixed.txt'))
    check(tokenizer)
    tokenizer.save(out)
    for name in ('held', 'copying', 'mixed'):
        encode(tokenizer, os.path.join(corpus, name + '.txt'), os.path.join(corpus, name + '.npz'))


if __name__ == '__main__':
    main(sys.argv[1], sys.argv[2])
