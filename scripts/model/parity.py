"""Writes test/vectors/hf.json, logits of small random models of each architecture that we import as transformers computes them, and
test/vectors/greedy.json, what transformers goes on with when it takes the likeliest token 64 times.

Usage: parity.py OUT_JSON GREEDY_JSON   (torch and transformers of requirements.txt; any recent versions give the same figures to five digits)
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
# Steps of a continuation; lengths of the prompts; a lead that no rounding of f32 turns over, in units of the RMS; different tokens that it has at least.
GREEDY, PROMPTS, NEAR_TIE, VARIED = 64, (3, 20, 47), 1e-3, 12
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


def build(kind, change):
    settings = BASE | change
    config = getattr(transformers, kind + 'Config')(**settings)
    config._attn_implementation = 'eager'
    model = getattr(transformers, kind + 'ForCausalLM')(config).eval().float()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(torch.from_numpy(values(name, tuple(parameter.shape))))
    model.tie_weights()
    model.generation_config.eos_token_id = None  # the end mark is a token like any other here
    return settings | {'architectures': [kind + 'ForCausalLM']}, model


@torch.no_grad()
def logits(kind, change):
    settings, model = build(kind, change)
    ids = [(i * 37 + 11) % settings['vocab_size'] for i in range(TOKENS)]
    return settings, ids, model(torch.tensor([ids])).logits[0].numpy()


@torch.no_grad()
def greedy(model, prompt):
    """The likeliest token 64 times, whatever it says, and how far ahead of the next one it was at least, in units of the logits' RMS."""
    out = model.generate(
        torch.tensor([prompt]), attention_mask=torch.ones(1, len(prompt), dtype=torch.long), do_sample=False, max_new_tokens=GREEDY,
        pad_token_id=0, return_dict_in_generate=True, output_logits=True,
    )
    ahead = min(float((best := row[0].topk(2).values)[0] - best[1]) / float(row[0].square().mean().sqrt()) for row in out.logits)
    return out.sequences[0, len(prompt):].tolist(), ahead


def continuations(kind, change):
    """Three prompts of different lengths; their seeds go up until no step is a near tie."""
    settings, model = build(kind, change | dict(num_hidden_layers=3, max_position_embeddings=160))
    found, seed = [], 0
    while len(found) < len(PROMPTS):
        length = PROMPTS[len(found)]
        prompt = [(i * i * 13 + i * 37 + seed * 101 + 11) % settings['vocab_size'] for i in range(length)]
        tokens, ahead = greedy(model, prompt)
        if ahead > NEAR_TIE and len(set(tokens)) >= VARIED:
            found.append({'prompt': prompt, 'tokens': tokens})
        seed += 1
        if seed > 3000:
            raise SystemExit(f'{kind}: {len(found)} prompts after {seed} seeds')
    return settings, found


def write(out, models):
    with open(out, 'w', encoding='utf-8') as file:
        made = f'scripts/model/parity.py, torch {torch.__version__}, transformers {transformers.__version__}'
        lines = ',\n'.join(json.dumps(model) for model in models)
        file.write(f'{{"made": {json.dumps(made)}, "models": [\n{lines}\n]}}\n')


def main(out, greedy_out):
    vectors, told = [], []
    columns = [int((i + 0.5) * BASE['vocab_size'] / COLUMNS) for i in range(COLUMNS)]
    for name, (kind, change) in MODELS.items():
        config, ids, table = logits(kind, change)
        order = np.argsort(-table, axis=1, kind='stable')[:, :TOP]
        vectors.append({
            'name': name, 'config': config, 'ids': ids,
            'rows': [{'at': at, 'probe': pack(table[at, columns]), 'top': order[at].tolist(), 'values': pack(table[at, order[at]])} for at in ROWS],
        })
        config, texts = continuations(kind, change)
        told.append({'name': name, 'config': config, 'texts': texts})
    write(out, vectors)
    write(greedy_out, told)


if __name__ == '__main__':
    main(*sys.argv[1:])
