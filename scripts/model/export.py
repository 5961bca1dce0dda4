"""Writes the Hugging Face folder of the model: fp16 weights, config, tokenizer, chat template. The folder is replaced at once.

Usage: export.py CHECKPOINT TOKENIZER_JSON OUT_DIR
A user's words must be encoded without special tokens; the template alone writes those.
"""
import json
import os
import shutil
import sys

import torch
from safetensors.torch import save_file

from grammar import ASSISTANT, BOS, END, USER
from model import TINY

# Longest story of the corpus with room to spare, in tokens.
MAX_NEW_TOKENS = 240
CHAT_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}"
    "{% if message['role'] == 'user' %}" + USER + "{{ message['content'] | trim }}" + END
    + "{% elif message['role'] == 'assistant' %}" + ASSISTANT + "{{ message['content'] | trim }}" + END
    + "{% endif %}{% endfor %}{% if add_generation_prompt %}" + ASSISTANT + "{% endif %}"
)


def tensors(state):
    """The names of transformers' LlamaForCausalLM; joint matrices are cut into their parts."""
    q, kv = TINY.heads * TINY.head_dim, TINY.kv_heads * TINY.head_dim
    named = {'model.embed_tokens.weight': state['embed.weight'], 'model.norm.weight': state['norm.weight']}
    for i in range(TINY.blocks):
        ours, theirs = f'blocks.{i}.', f'model.layers.{i}.'
        attention = dict(zip('qkv', state[ours + 'qkv.weight'].split([q, kv, kv])), o=state[ours + 'out.weight'])
        gate, up = state[ours + 'gate_up.weight'].chunk(2)
        named |= {f'{theirs}self_attn.{part}_proj.weight': weight for part, weight in attention.items()}
        named |= {f'{theirs}mlp.{part}_proj.weight': weight for part, weight in (('gate', gate), ('up', up), ('down', state[ours + 'down.weight']))}
        named[theirs + 'input_layernorm.weight'] = state[ours + 'attn_norm.weight']
        named[theirs + 'post_attention_layernorm.weight'] = state[ours + 'ffn_norm.weight']
    return {name: weight.half().contiguous() for name, weight in named.items()}


def config():
    return {
        'architectures': ['LlamaForCausalLM'], 'model_type': 'llama', 'vocab_size': TINY.vocab, 'hidden_size': TINY.width,
        'intermediate_size': TINY.ffn, 'num_hidden_layers': TINY.blocks, 'num_attention_heads': TINY.heads,
        'num_key_value_heads': TINY.kv_heads, 'head_dim': TINY.head_dim, 'hidden_act': 'silu', 'max_position_embeddings': TINY.context,
        'rms_norm_eps': TINY.eps, 'rope_theta': TINY.theta, 'rope_scaling': None, 'attention_bias': False, 'mlp_bias': False,
        'attention_dropout': 0.0, 'tie_word_embeddings': True, 'initializer_range': 0.02, 'bos_token_id': 0, 'eos_token_id': 1,
        'pad_token_id': 1, 'torch_dtype': 'float16', 'use_cache': True,
    }


def settings():
    specials = {'bos_token': BOS, 'eos_token': END, 'pad_token': END, 'additional_special_tokens': [USER, ASSISTANT]}
    return {
        'config.json': config(),
        'generation_config.json': {
            'bos_token_id': 0, 'eos_token_id': 1, 'pad_token_id': 1, 'do_sample': True, 'temperature': 0.8, 'top_p': 0.95, 'max_new_tokens': MAX_NEW_TOKENS,
        },
        'special_tokens_map.json': specials,
        'tokenizer_config.json': specials | {
            'tokenizer_class': 'PreTrainedTokenizerFast', 'model_max_length': TINY.context, 'add_bos_token': True,
            'clean_up_tokenization_spaces': False, 'chat_template': CHAT_TEMPLATE,
        },
    }


def main(checkpoint, tokenizer, out):
    fresh, old = out + '.new', out + '.old'
    shutil.rmtree(fresh, ignore_errors=True)
    os.makedirs(fresh)
    save_file(tensors(torch.load(checkpoint)['model']), os.path.join(fresh, 'model.safetensors'), metadata={'format': 'pt'})
    os.chmod(os.path.join(fresh, 'model.safetensors'), 0o644)
    shutil.copy(tokenizer, os.path.join(fresh, 'tokenizer.json'))
    for name, content in settings().items():
        with open(os.path.join(fresh, name), 'w', encoding='utf-8') as file:
            json.dump(content, file, indent=2)
            file.write('\n')
    shutil.rmtree(old, ignore_errors=True)
    if os.path.exists(out):
        os.rename(out, old)
    os.rename(fresh, out)
    shutil.rmtree(old, ignore_errors=True)


if __name__ == '__main__':
    main(*sys.argv[1:4])
