"""Writes test/vectors/hf.json: logits of small random models of each architecture that we import, as transformers computes them.

Usage: parity.py OUT_JSON   (torch and transformers of requirements.txt; any recent versions give the same figures to five digits)
Weights are a function of their name that test/support/hf-folder.ts knows too, exact in bf16; so the vectors hold configurations and logits alone.
"""
import base64
import hashlib
import json
import sys

import numpy as np
import torch
import transformers

TOKENS = 40
# Rows whose logits are kept, and how many of the vocabulary's columns, evenly spread as the manifest's probe columns are.
ROWS, COLUMNS, TOP = (0, 7, 16, 24, 30, 37, 38, 39), 64, 8
BASE = dict(
    vocab_size=288, hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
    head_dim=16, max_position_embeddings=64, rms_norm_eps=1e-6, rope_theta=10000.0, tie_word_embeddings=False, bos_token_id=0, eos_token_id=1,
)
LLAMA3 = dict(rope_type='llama3', factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=32)
YARN = dict(rope_type='yarn', factor=4.0, original_max_position_embeddings=32, beta_fast=2.0, beta_slow=0.5)
MODELS = {
    'llama': ('Llama', {}),
    'llama, more key heads, tied': ('Llama', dict(num_key_value_heads=4, tie_word_embeddings=True)),
    'llama 3, stretched': ('Llama', dict(rope_theta=500000.0, rope_scaling=LLAMA3)),
    'llama, linear': ('Llama', dict(rope_scaling=dict(rope_type='linear', factor=2.0))),
    'mistral': ('Mistral', dict(sliding_window=8)),
    'qwen2': ('Qwen2', dict(tie_word_embeddings=True, rope_theta=1000000.0)),
    'qwen2, yarn': ('Qwen2', dict(rope_scaling=YARN)),
    'phi 3': ('Phi3', dict(sliding_window=12, pad_token_id=2)),
    'qwen3': ('Qwen3', dict(head_dim=32)),
}


def values(name, shape):
    """Bytes of SHAKE256 of the name: norms 0.5 to 1.5, biases and matrices -0.25 to 0.25 (the embedding -1 to 1)."""
    count = int(np.prod(shape))
    raw = np.frombuffer(hashlib.shake_256(name.encode()).digest(count), np.uint8).astype(np.float32)
    if name.endswith('norm.weight'):
        return ((np.floor(raw / 2) + 64) / 128).reshape(shape)
    return ((raw - 128) / (128 if 'embed' in name else 512)).reshape(shape)


def pack(array):
    return base64.b64encode(np.ascontiguousarray(array, '<f4').tobytes()).decode()


@torch.no_grad()
def logits(kind, change):
    settings = BASE | change
    config = getattr(transformers, kind + 'Config')(**settings)
    config._attn_implementation = 'eager'
    model = getattr(transformers, kind + 'ForCausalLM')(config).eval().float()
    for name, parameter in model.named_parameters():
        parameter.copy_(torch.from_numpy(values(name, tuple(parameter.shape))))
    model.tie_weights()
    ids = [(i * 37 + 11) % config.vocab_size for i in range(TOKENS)]
    return settings | {'architectures': [kind + 'ForCausalLM']}, ids, model(torch.tensor([ids])).logits[0].numpy()


def main(out):
    vectors = []
    columns = [int((i + 0.5) * BASE['vocab_size'] / COLUMNS) for i in range(COLUMNS)]
    for name, (kind, change) in MODELS.items():
        config, ids, table = logits(kind, change)
        order = np.argsort(-table, axis=1, kind='stable')[:, :TOP]
        vectors.append({
            'name': name, 'config': config, 'ids': ids,
            'rows': [{'at': at, 'probe': pack(table[at, columns]), 'top': order[at].tolist(), 'values': pack(table[at, order[at]])} for at in ROWS],
        })
    with open(out, 'w', encoding='utf-8') as file:
        made = f'scripts/model/parity.py, torch {torch.__version__}, transformers {transformers.__version__}'
        lines = ',\n'.join(json.dumps(vector) for vector in vectors)
        file.write(f'{{"made": {json.dumps(made)}, "models": [\n{lines}\n]}}\n')


if __name__ == '__main__':
    main(sys.argv[1])
