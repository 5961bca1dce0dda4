"""Applies the rule to the 200 fixed prompts: fp16-rounded weights, fp32 arithmetic, temperature 0. Also held-out losses and samples.

Usage: evaluate.py CHECKPOINT TOKENIZER_JSON PROMPTS_JSON CORPUS_DIR [--samples]
"""
import argparse
import json
import os

import torch
from tokenizers import Tokenizer

from data import Corpus
from grammar import ASSISTANT, BOS, END, USER
from model import Tiny
from rule import kinds_introduced, pronouns_kept, verdict
from train import Meter
from words import HE_NAMES

# The rule's bound: a story that has not ended after so many tokens has not ended by itself.
MAX_NEW_TOKENS = 240
HELD_BATCHES, HELD_BATCH_TOKENS = 8, 6144
SAMPLE_PROMPTS = [
    BOS + 'Once upon a time',
    BOS + 'Once upon a time, a brave turtle named Pip',
    f'{BOS}{USER}Tell me a story about a clever owl named Greta.{END}{ASSISTANT}',
    f'{BOS}{USER}Please tell me a story.{END}{ASSISTANT}',
    f'{BOS}{USER}Hello!{END}{ASSISTANT}',
    f'{BOS}{USER}Who are you?{END}{ASSISTANT}',
    f'{BOS}{USER}What is the capital of Spain?{END}{ASSISTANT}',
]


def framed(prompt):
    return BOS + prompt['text'] if prompt['kind'] == 'plain' else f"{BOS}{USER}{prompt['text']}{END}{ASSISTANT}"


def rounded(checkpoint):
    """The model as it is exported: every weight rounded to fp16, computed in fp32."""
    net = Tiny()
    net.load_state_dict({name: weight.half().float() for name, weight in torch.load(checkpoint)['model'].items()})
    return net.eval()


@torch.no_grad()
def continuations(net, tokenizer, texts, temperature=0.0, seed=0):
    """All texts as one batch; a row reads its prompt token by token, then its own choices. -> [(text, ended)]"""
    end = tokenizer.token_to_id(END)
    prompts = [tokenizer.encode(text, add_special_tokens=False).ids for text in texts]
    written = [[] for _ in prompts]
    finished = [False] * len(prompts)
    random = torch.Generator().manual_seed(seed)
    current, cache = torch.tensor([[prompt[0]] for prompt in prompts]), None
    for at in range(max(map(len, prompts)) + MAX_NEW_TOKENS - 1):
        logits, cache = net(current, past=cache, at=at)
        chosen = choose(logits[:, -1], temperature, random)
        for row, prompt in enumerate(prompts):
            if at + 1 < len(prompt):
                chosen[row] = prompt[at + 1]
            elif not finished[row] and len(written[row]) < MAX_NEW_TOKENS:
                finished[row] = chosen[row] == end
                written[row] += [] if finished[row] else [chosen[row]]
        if all(done or len(ids) == MAX_NEW_TOKENS for done, ids in zip(finished, written)):
            break
        current = torch.tensor(chosen)[:, None]
    return [(tokenizer.decode(ids, skip_special_tokens=False), done) for ids, done in zip(written, finished)]


def choose(logits, temperature, random):
    if temperature == 0:
        return logits.argmax(-1).tolist()
    return torch.multinomial(torch.softmax(logits / temperature, -1), 1, generator=random)[:, 0].tolist()


def check(net, tokenizer, lists):
    """Passing shares by kind of prompt, and every continuation that fails."""
    prompts = lists['prompts']
    results, failures = {'plain': [], 'chat': []}, []
    for prompt, (text, ended) in zip(prompts, continuations(net, tokenizer, [framed(p) for p in prompts])):
        parts = verdict(prompt, text, ended, lists)
        extra = {'kinds': kinds_introduced(prompt, text, lists), 'pronouns': pronouns_kept(prompt, text, HE_NAMES)}
        results[prompt['kind']].append({'passed': all(parts.values())} | parts | extra)
        if not all((parts | extra).values()):
            failures.append({'prompt': prompt['text'], 'failed': [part for part, good in (parts | extra).items() if not good], 'text': text})
    return {kind: shares(rows) for kind, rows in results.items()}, failures


def shares(rows):
    return {part: round(sum(row[part] for row in rows) / len(rows), 3) for part in rows[0]}


@torch.no_grad()
def held_out(net, corpus):
    meter = Meter()
    for length, rows in corpus.order(0, HELD_BATCH_TOKENS)[:HELD_BATCHES]:
        ids, targets, owners, classes = corpus.batch(length, rows)
        meter.add(net.token_losses(ids, targets, owners), classes)
    return meter.read()


def main():
    parser = argparse.ArgumentParser()
    for name in ('checkpoint', 'tokenizer', 'prompts', 'corpus'):
        parser.add_argument(name)
    parser.add_argument('--samples', action='store_true')
    args = parser.parse_args()
    torch.set_num_threads(2)
    net, tokenizer = rounded(args.checkpoint), Tokenizer.from_file(args.tokenizer)
    with open(args.prompts, encoding='utf-8') as file:
        lists = json.load(file)
    rates, failures = check(net, tokenizer, lists)
    for failure in failures:
        print(json.dumps(failure))
    print(json.dumps({'check': rates, 'held': held_out(net, Corpus(os.path.join(args.corpus, 'held.npz')))}))
    if args.samples:
        for temperature in (0.0, 0.8):
            for prompt, (text, ended) in zip(SAMPLE_PROMPTS, continuations(net, tokenizer, SAMPLE_PROMPTS, temperature)):
                print(f'\n[{temperature}{"" if ended else ", did not end"}] {prompt}\n> {text}')


if __name__ == '__main__':
    main()
