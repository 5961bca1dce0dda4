"""Short documents whose later words are given by the earlier ones: they teach the model to look back before it learns plots."""
from grammar import BOS, END, NAMED_REQUESTS, draw_hero, expand, hero_slots, made_up_name, turn
from words import BY_KIND, HOMES, KINDS, NAMES, TRAITS


def copying_document(rng):
    """For the first phase: half of them begin as a story does."""
    return rng.choice((repeated_words, repeated_words, questions, meeting, tiny_story, tiny_story, tiny_chat, tiny_chat))(rng)


def reminder(rng):
    """For the second phase: nothing that begins as a story, since there a story must follow."""
    return rng.choice((repeated_words, questions, meeting))(rng)


def repeated_words(rng):
    """The same row of words two to four times."""
    pool = rng.choice((NAMES, KINDS, NAMES + KINDS, NAMES + KINDS + TRAITS))
    words = rng.sample(pool, rng.randint(2, 12))
    if rng.random() < 0.15:
        words = [made_up_name(rng) for _ in words[:4]]
    row = ' '.join(words)
    times = max(2, min(4, 40 // len(row.split())))
    return BOS + ' ' + ' '.join([row] * times) + END


def distinct_heroes(rng, count):
    heroes = []
    while len(heroes) < count:
        hero = draw_hero(rng)
        if all(hero.name != other.name and hero.kind != other.kind for other in heroes):
            heroes.append(hero)
    return heroes


def questions(rng):
    """Facts, then questions about them in any order."""
    heroes = distinct_heroes(rng, rng.randint(1, 4))
    facts = [f'This is {h.name}. {h.name} is a {h.trait} {h.kind}.' for h in heroes]
    asked = rng.sample(heroes, len(heroes))
    answers = [rng.choice((f'Who is {h.name}? {h.name} is a {h.trait} {h.kind}.', f'Who is the {h.kind}? The {h.kind} is {h.name}.')) for h in asked]
    return BOS + expand(' '.join(facts + answers), {}, rng) + END


def meeting(rng):
    a, b = distinct_heroes(rng, 2)
    text = (
        f'The {a.kind} {a.name} met the {b.kind} {b.name}. [Hello, {b.name}, said the {a.kind}. Hello, {a.name}, said the {b.kind}.|The {a.kind} said hello to {b.name}. The {b.kind} said hello to {a.name}.] '
        f'[The {a.kind} and the {b.kind} played together.|The {b.kind} liked the {a.kind}, and {a.name} liked {b.name}.] [Then {a.name} went home.|Then {b.name} went home.|The {a.kind} went home.|The {b.kind} went home.]'
    )
    return BOS + expand(text, {}, rng) + END


TINY_STORIES = [
    '{n} was happy. The {k} liked {place}. One day {n} {went} there. {He} was a {t} {k}.',
    'One {weather} {time}, {n} {went} to {place}. The {k} found {food}. {n} ate the {food}. Then the {k} slept.',
    'Everybody liked {n}, because {n} was a {t} {k}. "Hello, {n}," they said. "Hello," said the {k}.',
    'The {k} had a {color} {thing}. {n} loved the {color} {thing}. {n} played near {place}. The {k} was {glad}.',
    '"I am a {t} {k}," said {n}. "Yes, {n}," said the others, "you are a {t} {k}." And {n} was {glad}.',
]


def tiny_text(hero, rng):
    slots = hero_slots(hero) | {'home': rng.choice(HOMES[BY_KIND[hero.kind].home])}
    opening = rng.choice(('Once upon a time, a {t} {k} named {n} lived {home}.', 'Once there was a {t} {k} named {n}.', 'A {t} {k} named {n} lived {home}.'))
    return expand(opening, slots, rng) + ' ' + expand(rng.choice(TINY_STORIES), slots, rng)


def tiny_story(rng):
    return BOS + tiny_text(draw_hero(rng), rng) + END


def tiny_chat(rng):
    hero = draw_hero(rng)
    return BOS + turn(expand(rng.choice(NAMED_REQUESTS), hero_slots(hero), rng), tiny_text(hero, rng))
