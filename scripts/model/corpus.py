"""Writes the corpus and the fixed prompts of the check. No dependencies; seeded: the same call gives the same bytes.

Usage: corpus.py OUT_DIR PROMPTS_JSON
OUT_DIR: copying.txt (first phase), mixed.txt (second phase), held.txt (heroes that training never meets); one document per line.
"""
import json
import os
import random
import re
import sys

from copying import copying_document, reminder
from grammar import ASSISTANT, BOS, END, NAMED_OPENINGS, NAMED_REQUESTS, draw_hero, expand, hero_slots, long_chat, plain_story, small_chat, story_chat
from words import KINDS, NAMES

SEED = 7
COPYING_DOCUMENTS = 90_000
MIXED_DOCUMENTS = 180_000
HELD_DOCUMENTS = 1_000
PROMPTS = 200
STARTS_DOCUMENTS = 20_000

# Shares of documents in the second phase. Short copying documents stay in, so that what the first phase taught is not lost.
MIXTURE = [(plain_story, 0.38), (story_chat, 0.33), (long_chat, 0.06), (small_chat, 0.08), (reminder, 0.15)]


def mixed_document(rng):
    writers, shares = zip(*MIXTURE)
    return rng.choices(writers, shares)[0](rng)


def held_document(rng):
    return rng.choice((plain_story, story_chat))(rng, held_out=True)


def write(path, writer, count, seed):
    rng = random.Random(seed)
    with open(path, 'w', encoding='utf-8') as file:
        for _ in range(count):
            file.write(writer(rng) + '\n')


def prompt(kind, rng):
    hero = draw_hero(rng, held_out=True)
    template = rng.choice(NAMED_OPENINGS if kind == 'plain' else NAMED_REQUESTS)
    return {'text': expand(template, hero_slots(hero), rng), 'kind': kind, 'name': hero.name, 'animal': hero.kind}


def sentence_starts():
    """Every capitalised word of many stories and small talks that is no name: what may begin a sentence, or stand in one as "I"."""
    rng = random.Random(SEED)
    words = set()
    for _ in range(STARTS_DOCUMENTS):
        answers = re.findall(re.escape(ASSISTANT) + '(.*?)' + re.escape(END), small_chat(rng))
        words.update(re.findall(r'\b[A-Z][a-z]*\b', ' '.join([plain_story(rng).replace(BOS, ''), *answers])))
    return sorted(words - set(NAMES))


def write_prompts(path):
    rng = random.Random(SEED)
    prompts = [prompt('plain' if i % 2 == 0 else 'chat', rng) for i in range(PROMPTS)]
    with open(path, 'w', encoding='utf-8') as file:
        json.dump({'prompts': prompts, 'names': NAMES, 'animals': KINDS, 'sentenceStarts': sentence_starts()}, file, indent=1)
        file.write('\n')


def main(out, prompts_path):
    os.makedirs(out, exist_ok=True)
    copying, mixed, held = (os.path.join(out, name) for name in ('copying.txt', 'mixed.txt', 'held.txt'))
    write(copying, copying_document, COPYING_DOCUMENTS, SEED + 1)
    write(mixed, mixed_document, MIXED_DOCUMENTS, SEED + 2)
    write(held, held_document, HELD_DOCUMENTS, SEED + 3)
    write_prompts(prompts_path)


if __name__ == '__main__':
    main(sys.argv[1], sys.argv[2])
