"""Trains the model: short copying documents first, then stories. Resumable: the same call goes on from the checkpoint.

Usage: train.py CORPUS_DIR CHECKPOINT --minutes M [--copying-tokens N] [--compile]
The clock counts training alone and is kept in the checkpoint; the learning rate follows it, since the machine is shared.
Writes CHECKPOINT, CHECKPOINT.log (one JSON object per line). Run it with OMP_WAIT_POLICY=passive: spinning threads cost a factor of six on a busy machine.
"""
import argparse
import json
import os
import time

import torch

from data import Corpus, worth
from model import Tiny
from muon import Muon

SEED = 1
BATCH_TOKENS = 6144
MUON_RATE, ADAM_RATE = 0.02, 4e-3
WARM_UP_STEPS = 100
# Share of the clock over which the rate falls linearly to almost nothing.
DECAY_SHARE = 0.4
LOG_SECONDS, SAVE_SECONDS = 30, 150
CLASS_NAMES = ('plain', 'first', 'later', 'users')


def optimizers(net):
    s = net.shape
    q, kv = s.heads * s.head_dim, s.kv_heads * s.head_dim
    matrices = []
    for block in net.blocks:
        matrices += [(block.qkv.weight, (q, kv, kv)), (block.out.weight, (s.width,)), (block.gate_up.weight, (s.ffn, s.ffn)), (block.down.weight, (s.width,))]
    hidden = {id(parameter) for parameter, _ in matrices}
    others = [p for p in net.parameters() if id(p) not in hidden]
    return [Muon(matrices, MUON_RATE), torch.optim.AdamW(others, ADAM_RATE, betas=(0.9, 0.98), weight_decay=0.0)]


def rate(step, share):
    """Factor on the learning rates: warm-up by steps, then constant, then down with the clock."""
    return min(1.0, (step + 1) / WARM_UP_STEPS) * min(1.0, max(0.01, (1 - share) / DECAY_SHARE))


class Meter:
    """Mean loss per class of token since the last reading."""

    def __init__(self):
        self.sums, self.counts = torch.zeros(4), torch.zeros(4)

    def add(self, losses, classes):
        for c in range(4):
            chosen = classes == c
            self.sums[c] += losses[chosen].sum()
            self.counts[c] += chosen.sum()

    def read(self):
        means = {name: round(float(s / n), 4) for name, s, n in zip(CLASS_NAMES, self.sums, self.counts) if n}
        self.__init__()
        return means


def precision():
    return torch.autocast('cpu', torch.bfloat16)


@torch.no_grad()
def held_out(net, corpus):
    meter = Meter()
    for length, rows in corpus.order(SEED, BATCH_TOKENS)[:6]:
        ids, targets, owners, classes = corpus.batch(length, rows)
        with precision():
            meter.add(net.token_losses(ids, targets, owners), classes)
    return meter.read()


class Run:
    """The whole state of a training: model, optimizers, place in the corpus, clock."""

    def __init__(self, args):
        self.args = args
        torch.manual_seed(SEED)
        self.net = Tiny()
        self.optimizers = optimizers(self.net)
        self.losses = torch.compile(self.net.token_losses, dynamic=False) if args.compile else self.net.token_losses
        self.state = dict(step=0, tokens=0, seconds=0.0, phase='copying', position=0, epoch=0)
        if os.path.exists(args.checkpoint):
            self.load()

    def load(self):
        saved = torch.load(self.args.checkpoint)
        self.net.load_state_dict(saved['model'])
        for optimizer, state in zip(self.optimizers, saved['optimizers']):
            optimizer.load_state_dict(state)
        self.state = saved['state']

    def save(self):
        saved = dict(model=self.net.state_dict(), optimizers=[o.state_dict() for o in self.optimizers], state=self.state)
        torch.save(saved, self.args.checkpoint + '.new')
        os.replace(self.args.checkpoint + '.new', self.args.checkpoint)

    def log(self, row):
        line = json.dumps(self.state | {'seconds': round(self.state['seconds'])} | row)
        print(line, flush=True)
        with open(self.args.checkpoint + '.log', 'a') as file:
            file.write(line + '\n')

    def step(self, batch):
        ids, targets, owners, classes = batch
        factor = rate(self.state['step'], self.state['seconds'] / (60 * self.args.minutes))
        for optimizer, base in zip(self.optimizers, (MUON_RATE, ADAM_RATE)):
            for group in optimizer.param_groups:
                group['lr'] = base * factor
            optimizer.zero_grad(set_to_none=True)
        with precision():
            losses = self.losses(ids, targets, owners)
        weights = worth(classes)
        ((losses * weights).sum() / weights.sum()).backward()
        torch.nn.utils.clip_grad_norm_(self.net.parameters(), 1.0)
        for optimizer in self.optimizers:
            optimizer.step()
        return losses.detach()

    def train(self):
        corpora = {name: Corpus(os.path.join(self.args.corpus, name + '.npz')) for name in ('copying', 'mixed', 'held')}
        meter, state = Meter(), self.state
        logged = saved = state['seconds']
        order = corpora[state['phase']].order(SEED + state['epoch'], BATCH_TOKENS)
        while state['seconds'] < 60 * self.args.minutes:
            begin = time.monotonic()
            if state['phase'] == 'copying' and state['tokens'] >= self.args.copying_tokens:
                state.update(phase='mixed', position=0, epoch=0)
                order = corpora['mixed'].order(SEED, BATCH_TOKENS)
            if state['position'] == len(order):
                state.update(position=0, epoch=state['epoch'] + 1)
                order = corpora[state['phase']].order(SEED + state['epoch'], BATCH_TOKENS)
            batch = corpora[state['phase']].batch(*order[state['position']])
            meter.add(self.step(batch), batch[3])
            state['step'] += 1
            state['position'] += 1
            state['tokens'] += int((batch[3] >= 0).sum())
            state['seconds'] += time.monotonic() - begin
            if state['seconds'] - logged > LOG_SECONDS:
                self.log({'train': meter.read()})
                logged = state['seconds']
            if state['seconds'] - saved > SAVE_SECONDS:
                self.save()
                self.log({'held': held_out(self.net, corpora['held'])})
                saved = state['seconds']
        self.save()
        self.log({'held': held_out(self.net, corpora['held'])})


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('corpus')
    parser.add_argument('checkpoint')
    parser.add_argument('--minutes', type=float, required=True)
    parser.add_argument('--copying-tokens', type=int, default=2_000_000)
    parser.add_argument('--compile', action='store_true')
    args = parser.parse_args()
    torch.set_num_threads(2)
    Run(args).train()


if __name__ == '__main__':
    main()
