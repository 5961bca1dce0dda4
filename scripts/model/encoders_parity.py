"""Writes test/vectors/encoders.json: embeddings of small random encoders, as transformers and sentence-transformers compute them.

Usage: encoders_parity.py OUT_JSON   (torch, transformers, tokenizers, sentence-transformers 5 or later)
Weights are a function of their name that test/support/hf-encoder-folder.ts knows too; so the vectors hold configurations, ids and embeddings alone.
"""
import base64
import hashlib
import json
import sys

import numpy as np
import sentence_transformers
import torch
import transformers
from sentence_transformers.sentence_transformer.modules import Dense, Normalize, Pooling
from tokenizers import Tokenizer

# Ragged on purpose; the last is one token long.
LENGTHS = (7, 24, 13, 1)
VOCAB = 104
BERT = dict(
    vocab_size=VOCAB, hidden_size=64, num_hidden_layers=3, num_attention_heads=4, intermediate_size=96, max_position_embeddings=40,
    type_vocab_size=2, layer_norm_eps=1e-12, hidden_act='gelu', pad_token_id=0,
)
ROBERTA = BERT | dict(pad_token_id=1, type_vocab_size=1, max_position_embeddings=42, layer_norm_eps=1e-5)
DISTIL = dict(vocab_size=VOCAB, dim=64, n_layers=3, n_heads=4, hidden_dim=96, max_position_embeddings=40, activation='gelu')
MPNET = dict(
    vocab_size=VOCAB, hidden_size=64, num_hidden_layers=3, num_attention_heads=4, intermediate_size=96, max_position_embeddings=300,
    layer_norm_eps=1e-5, pad_token_id=1,
)
MEAN, CLS = dict(pooling_mode_mean_tokens=True), dict(pooling_mode_cls_token=True, pooling_mode_mean_tokens=False)
MODELS = {
    'bert, mean, normalised': ('Bert', BERT, MEAN, ['Normalize'], LENGTHS),
    'bert, cls, tanh gelu': ('Bert', BERT | dict(hidden_act='gelu_new', layer_norm_eps=1e-5), CLS, [], LENGTHS),
    'bert, max, relu': ('Bert', BERT | dict(hidden_act='relu'), dict(pooling_mode_max_tokens=True, pooling_mode_mean_tokens=False), [], LENGTHS),
    'bert, three poolings, dense': (
        'Bert', BERT, MEAN | dict(pooling_mode_cls_token=True, pooling_mode_mean_sqrt_len_tokens=True),
        [('Dense', 192, 48, True, 'Tanh'), ('Dense', 48, 32, False, 'Identity'), 'Normalize'], LENGTHS,
    ),
    'roberta, mean': ('Roberta', ROBERTA, MEAN, [], LENGTHS),
    'xlm-roberta, cls, normalised': ('XLMRoberta', ROBERTA, CLS, ['Normalize'], LENGTHS),
    'distilbert, mean': ('DistilBert', DISTIL, MEAN, [], LENGTHS),
    'mpnet, mean, normalised': ('MPNet', MPNET, MEAN, ['Normalize'], (7, 290, 13, 1)),
}
WORDS = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]'] + list('abcdefghijklmnopqrstuvwxyz.,!?\'') + ['##' + c for c in 'abcdefghijklmnopqrstuvwxyz'] + [
    'the', 'fox', 'jump', '##ed', '##ing', 'over', '你', '好', 'cafe', 'naive', '##ly', '1', '2', '##1', '##2', '-', '𠃓', 'ο', '##δ', '##ο', '##σ', '##ς', 'ς',
]
TEXTS = [
    'The fox jumped over', '', '  Café naïvely,   jumping! ', '你好 fox', 'zzz' * 40, 'fox [MASK] fox', 'a\tb\nc', 'ÀÉ 12-21?', '😀 fox', "don't", 'fox𠃓𠃸fox', 'ΟΔΟΣ ς',
]


def values(name, shape):
    """Bytes of SHAKE256 of the name: norms 0.5 to 1.5, biases -0.25 to 0.25, tables -1 to 1, matrices -0.25 to 0.25."""
    count = int(np.prod(shape))
    raw = np.frombuffer(hashlib.shake_256(name.encode()).digest(count), np.uint8).astype(np.float32)
    if 'norm' in name.lower() and name.endswith('weight'):
        return ((np.floor(raw / 2) + 64) / 128).reshape(shape)
    return ((raw - 128) / (128 if 'embeddings' in name and len(shape) == 2 else 512)).reshape(shape)


def fill(module, prefix=''):
    for name, parameter in module.named_parameters():
        parameter.copy_(torch.from_numpy(values(prefix + name, tuple(parameter.shape))))


def head_of(steps):
    modules = []
    for i, step in enumerate(steps):
        if step == 'Normalize':
            modules.append(Normalize())
            continue
        _, inputs, outputs, bias, activation = step
        modules.append(Dense(inputs, outputs, bias, getattr(torch.nn, activation)()))
        fill(modules[-1], f'{i}/')
    return modules


@torch.no_grad()
def vector(kind, settings, pooling, steps, lengths):
    config = getattr(transformers, kind + 'Config')(**settings)
    config._attn_implementation = 'eager'
    model = getattr(transformers, kind + 'Model')(config).eval().float()
    fill(model)
    longest = max(lengths)
    pad = settings.get('pad_token_id', 0)
    ids = [[(i * 37 + row * 11) % (VOCAB - 5) + 5 for i in range(length)] for row, length in enumerate(lengths)]
    types = settings.get('type_vocab_size', 0)
    segments = [[1 if types > 1 and row == 1 and i > 9 else 0 for i in range(length)] for row, length in enumerate(lengths)]
    padded = torch.tensor([row + [pad] * (longest - len(row)) for row in ids])
    mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in ids])
    more = {'token_type_ids': torch.tensor([row + [0] * (longest - len(row)) for row in segments])} if types > 1 else {}
    hidden = model(input_ids=padded, attention_mask=mask, **more).last_hidden_state
    features = {'token_embeddings': hidden, 'attention_mask': mask}
    for module in [Pooling(hidden.shape[-1], **pooling), *head_of(steps)]:
        features = module(features)
    found = features['sentence_embedding'].numpy()
    return config.model_type, ids, segments, [base64.b64encode(np.ascontiguousarray(row, '<f4').tobytes()).decode() for row in found]


def word_piece():
    special = [dict(id=i, content=word, single_word=False, lstrip=False, rstrip=False, normalized=False, special=True) for i, word in enumerate(WORDS[:5])]
    mark = lambda word: {'SpecialToken': {'id': word, 'type_id': 0}}
    frame = {word: {'id': word, 'ids': [WORDS.index(word)], 'tokens': [word]} for word in ('[CLS]', '[SEP]')}
    return {
        'version': '1.0', 'truncation': {'max_length': 8, 'strategy': 'LongestFirst', 'stride': 0, 'direction': 'Right'},
        'padding': {'strategy': {'Fixed': 8}, 'direction': 'Right', 'pad_to_multiple_of': None, 'pad_id': 0, 'pad_type_id': 0, 'pad_token': '[PAD]'},
        'added_tokens': special,
        'normalizer': {'type': 'BertNormalizer', 'clean_text': True, 'handle_chinese_chars': True, 'strip_accents': None, 'lowercase': True},
        'pre_tokenizer': {'type': 'BertPreTokenizer'},
        'post_processor': {
            'type': 'TemplateProcessing', 'single': [mark('[CLS]'), {'Sequence': {'id': 'A', 'type_id': 0}}, mark('[SEP]')],
            'pair': [mark('[CLS]'), {'Sequence': {'id': 'A', 'type_id': 0}}, mark('[SEP]'), {'Sequence': {'id': 'B', 'type_id': 1}}, mark('[SEP]')],
            'special_tokens': frame,
        },
        'decoder': {'type': 'WordPiece', 'prefix': '##', 'cleanup': True},
        'model': {
            'type': 'WordPiece', 'unk_token': '[UNK]', 'continuing_subword_prefix': '##', 'max_input_chars_per_word': 100,
            'vocab': {word: i for i, word in enumerate(WORDS)},
        },
    }


def main(out):
    models = []
    for name, (kind, settings, pooling, steps, lengths) in MODELS.items():
        model_type, ids, segments, vectors = vector(kind, settings, pooling, steps, lengths)
        config = settings | {'model_type': model_type, 'architectures': [kind + 'Model']}
        models.append({'name': name, 'config': config, 'pooling': pooling, 'head': steps, 'ids': ids, 'segments': segments, 'vectors': vectors})
    json_ = word_piece()
    tokenizer = Tokenizer.from_str(json.dumps(json_))
    tokenizer.no_padding()
    limit = 12
    tokenizer.enable_truncation(limit)
    texts = [{'text': text, 'ids': tokenizer.encode(text).ids} for text in TEXTS]
    made = f'scripts/model/encoders_parity.py, torch {torch.__version__}, transformers {transformers.__version__}, sentence-transformers {sentence_transformers.__version__}'
    with open(out, 'w', encoding='utf-8') as file:
        lines = ',\n'.join(json.dumps(model) for model in models)
        file.write(f'{{"made": {json.dumps(made)}, "maxTokens": {limit}, "tokenizer": {json.dumps(json_, ensure_ascii=False)},\n')
        file.write(f'"texts": {json.dumps(texts, ensure_ascii=False)},\n"models": [\n{lines}\n]}}\n')


if __name__ == '__main__':
    main(sys.argv[1])
