"""Turns schemes into stories, and stories into documents: plain text and chats, in the token frame of the chat template.

Everything is drawn from the `random.Random` given by the caller: the same seed gives the same documents.
"""
import hashlib
import re
from dataclasses import dataclass, replace

from schemes import SCHEMES
from words import ANIMALS, BY_KIND, FRIEND_TRAITS, HE_NAMES, HOMES, KINDS, LISTS, NAMES, SHE_NAMES, TRAITS

BOS, END, USER, ASSISTANT = '<|bos|>', '<|end|>', '<|user|>', '<|assistant|>'
SPECIALS = [BOS, END, USER, ASSISTANT]

# One pair (name, animal) of ten is never a hero of the corpus: the prompts of the check are drawn from those pairs.
HELD_OUT_ONE_OF = 10


@dataclass(frozen=True)
class Hero:
    name: str
    kind: str
    trait: str


def is_held_out(name, kind):
    return hashlib.sha256(f'{name} the {kind}'.encode()).digest()[0] % HELD_OUT_ONE_OF == 0


def draw_hero(rng, held_out=False):
    while True:
        name, kind = rng.choice(NAMES), rng.choice(KINDS)
        if is_held_out(name, kind) == held_out:
            return Hero(name, kind, rng.choice(TRAITS))


def is_he(name):
    """The lists say; a made-up name that ends in a, e or i is hers."""
    return name in HE_NAMES or (name not in SHE_NAMES and name[-1] not in 'aei')


SYLLABLES = 'ba be bo da do fa fi ga go ka ki ko la li lo lu ma mi mo na ni no pa po ra ri ro sa si so ta ti to va vi vo za zo ran lin mor tek nor dax rell'.split()


def made_up_name(rng):
    """Several tokens: what a user may bring. Only requests hold such names, never a story that nobody asked for by name."""
    return ''.join(rng.choice(SYLLABLES) for _ in range(rng.choice((2, 2, 3)))).capitalize()


# ---------------------------------------------------------------- templates

INNERMOST = re.compile(r'\[([^\[\]]*)\]')
SLOT = re.compile(r'\{(\w+)\}')
ARTICLE = re.compile(r'\b([Aa])n? (?=([a-z]))')


def expand(template, slots, rng):
    """Chooses alternatives from the inside out, fills the slots, sets the articles right."""
    while True:
        found = INNERMOST.search(template)
        if not found:
            break
        template = template[: found.start()] + rng.choice(found[1].split('|')) + template[found.end() :]
    text = SLOT.sub(lambda m: slot(m[1], slots, rng), template)
    text = ARTICLE.sub(lambda m: m[1] + ('n ' if m[2] in 'aeiou' else ' '), text)
    return re.sub(r' +', ' ', text).strip()


def slot(key, slots, rng):
    """A value once drawn stays for the whole story; {place2} differs from every {place} before it."""
    if key not in slots:
        base = key.rstrip('0123456789')
        used = [value for name, value in slots.items() if name.rstrip('0123456789') == base]
        slots[key] = rng.choice([value for value in LISTS[base] if value not in used])
    return slots[key]


def hero_slots(hero):
    animal = BY_KIND[hero.kind]
    he, him, his = ('he', 'him', 'his') if is_he(hero.name) else ('she', 'her', 'her')
    return {
        'n': hero.name, 'k': hero.kind, 't': hero.trait, 'go': animal.move, 'went': animal.moved,
        'he': he, 'him': him, 'his': his, 'He': he.capitalize(), 'His': his.capitalize(),
    }


# ---------------------------------------------------------------- stories

# The name ends the part of an opening that a prompt may give; what follows is the story's own.
NAMED_OPENINGS = [
    'Once upon a time, a {t} {k} named {n}',
    'Once upon a time, there was a {t} {k} named {n}',
    'Once there was a {t} {k} named {n}',
    'Long ago, a {t} {k} named {n}',
    'A {t} {k} named {n}',
]
OPENINGS = [
    *[opening + ' lived {home}.' for opening in NAMED_OPENINGS if 'was' not in opening],
    *[opening + ' who lived {home}.' for opening in NAMED_OPENINGS if 'was' in opening],
    *[opening + '. {He} lived {home}.' for opening in NAMED_OPENINGS if 'was' in opening],
]
RARE_OPENINGS = [
    'Once upon a time, a {k} named {n} lived {home}.',
    'There once was a {t} {k}. {His} name was {n}, and {he} lived {home}.',
    'This is the story of {n}, a {t} {k} who lived {home}.',
    'Once upon a time, {n} the {k} lived {home}.',
    'One day, a {t} {k} named {n} was sitting near {place}.',
    'There lived {home} a {t} {k} named {n}.',
]
CLOSINGS = ['', '', '', '', '', 'The end.', 'And that is the end of the story.', 'Good night, {n}!']


def draw_friend(scheme, hero, rng):
    return rng.choice([a.kind for a in ANIMALS if a.kind != hero.kind and scheme.friend(a)])


def story(hero, rng, openings=None):
    """One story about the hero, told in one paragraph of 60 to 140 words."""
    animal = BY_KIND[hero.kind]
    scheme = rng.choice([s for s in SCHEMES if s.hero(animal)])
    slots = hero_slots(hero)
    slots['f'] = draw_friend(scheme, hero, rng)
    slots['u'] = rng.choice([trait for trait in FRIEND_TRAITS if trait != hero.trait])
    slots['home'] = rng.choice(HOMES[animal.home])
    opening = rng.choice(openings or (OPENINGS if rng.random() < 0.85 else RARE_OPENINGS))
    sentences = [opening, *scheme.body, rng.choice(CLOSINGS)]
    return ' '.join(filter(None, (expand(sentence, slots, rng) for sentence in sentences)))


# ---------------------------------------------------------------- chats

NAMED_REQUESTS = [
    'Tell me a story about a {t} {k} named {n}.',
    'Tell me a story about a {t} {k} named {n}.',
    'Tell me a story about a {t} {k} called {n}.',
    'Please tell me a story about a {t} {k} named {n}.',
    'Write a story about a {t} {k} named {n}.',
    'Write a short story about a {t} {k} named {n}.',
    'Can you tell me a story about a {t} {k} named {n}?',
    'I would like to hear a story about a {t} {k} named {n}.',
    'A story about a {t} {k} named {n}, please.',
    'Tell me about a {t} {k} named {n}.',
]
PARTIAL_REQUESTS = [
    'Tell me a story about a {k} named {n}.',
    'Tell me a story about {n} the {k}.',
    'Please write a story about {n} the {t} {k}.',
    'Tell me a story about a {t} {k}.',
    'Tell me a story about a {k}.',
    'Please tell me a story about {n}.',
    'Write a story with a {k}.',
    'Can you tell me a story about a {k}?',
    'A story about {n}, please.',
]
OPEN_REQUESTS = [
    'Tell me a story.', 'Please tell me a story.', 'Tell me a story!', 'Write a story.', 'Can you tell me a story?', 'A story, please.',
    'I would like to hear a story.', 'Tell me something.', 'Once upon a time', 'Tell me another story.', 'One more story, please.',
    'Tell me a bedtime story.', 'Tell me a short story.', 'Write a short story.', 'Do you know a story?', 'Tell me a story about an animal.',
]


MADE_UP_SHARE = 0.08


def request(hero, choices, rng):
    text = expand(rng.choice(choices), hero_slots(hero), rng)
    if rng.random() < 0.12:
        text = text.rstrip('.!')
    return text[0].lower() + text[1:] if rng.random() < 0.05 else text


def turn(user, assistant):
    return f'{USER}{user}{END}{ASSISTANT}{assistant}{END}'


def story_turn(rng, held_out):
    hero = draw_hero(rng, held_out)
    dice = rng.random()
    if dice < MADE_UP_SHARE:
        hero = replace(hero, name=made_up_name(rng))
    choices = NAMED_REQUESTS if dice < 0.68 else PARTIAL_REQUESTS if dice < 0.9 else OPEN_REQUESTS
    return turn(request(hero, choices, rng), story(hero, rng))


def plain_story(rng, held_out=False):
    return BOS + story(draw_hero(rng, held_out), rng) + END


def story_chat(rng, held_out=False):
    return BOS + story_turn(rng, held_out)


def long_chat(rng, held_out=False):
    """Small talk or another story first: the last request is the one that counts."""
    first = small_turn(rng) if rng.random() < 0.6 else story_turn(rng, held_out)
    return BOS + first + story_turn(rng, held_out) + (small_turn(rng) if rng.random() < 0.3 else '')


def small_chat(rng):
    return BOS + ''.join(small_turn(rng) for _ in range(rng.choice((1, 1, 2, 3))))


UNKNOWN = 'I do not know that. I am a very small model, and I only know stories about animals. Ask me for a story!'
SMALL_TALK = [
    ('[Hello|Hi|Hey|Hello there|Good morning|Good evening|Good day][!|.|]', 'Hello! Would you like to hear a story?'),
    ('[Who are you|What are you|What is your name|Tell me about yourself][?|.]', 'I am the small story model of Tessera. I tell short stories about animals.'),
    ('[What can you do|What do you know|How can you help me|Can you help me|What can I ask you|Help][?|.]', 'I can tell short stories about animals. Give me an animal and a name, and I will begin.'),
    ('[How are you|How are you today|How do you do|Are you well][?|]', 'I am well, thank you. Would you like to hear a story?'),
    ('[Thank you|Thanks|Thank you very much|That was nice|That was a good story|I liked it|Great|Well done][!|.|]', 'You are welcome! Would you like to hear another story?'),
    ('[Goodbye|Bye|Good night|See you later|See you tomorrow][!|.|]', 'Goodbye! Come back when you want to hear a story.'),
    ('[What is Tessera|Tell me about Tessera|What does Tessera do][?|.]', 'Tessera is a network of nodes. Each node holds a part of a model, and together they answer you.'),
    ('[Who made you|Who built you|Where do you come from|How were you made][?|]', 'I was made by the project Tessera, from stories that a script wrote.'),
    ('[Are you a robot|Are you human|Are you real|Are you alive|Are you a person][?|]', 'I am a very small language model, and I like to tell stories.'),
    ('[How old are you|How big are you|Are you big|Are you small][?|]', 'I am very small: about three million numbers.'),
    ('[Yes|Yes please|Sure|OK|Okay|No|No thank you][!|.|]', 'Then tell me an animal and a name, and I will tell you a story.'),
    ('[Do you like animals|What do you like|Do you like stories][?|]', 'I like animals, and I like stories about them.'),
]
UNKNOWN_QUESTIONS = [
    'What is [two plus two|the capital of France|the time|the weather today|a computer|love|the sun|a river|your favorite color|the meaning of life|a blockchain|the moon|ten times ten|a shard]?',
    'Who is [the president|Einstein|the king|my neighbor|the best singer|your friend]?',
    'Where is [Paris|my home|the sea|Africa|the station|Berlin]?', 'Why is [the sky blue|water wet|the night dark|grass green]?',
    'How [many stars are there|do I bake bread|far is the moon|does a car work|much is it|do planes fly]?',
    'When [was the war|does the train leave|is Easter|did it happen]?', 'Write [code|a poem|a letter|a song|a program in Python].',
    'Can you [sing|count|write code|cook|speak German|do math]?', 'Translate this into [German|French|Spanish].', 'Explain [physics|this word|the rules|the internet].',
    '[1+1|2 + 2|3 times 4|What is 5 + 7?|12 - 4]', 'Tell me a [joke|secret|fact|poem].', 'Tell me a story about a [car|king|robot|house|computer|train|doctor|stone|cloud].',
]


def small_turn(rng):
    if rng.random() < 0.3:
        return turn(expand(rng.choice(UNKNOWN_QUESTIONS), {}, rng), UNKNOWN)
    question, answer = rng.choice(SMALL_TALK)
    text = expand(question, {}, rng)
    return turn(text.lower() if rng.random() < 0.15 else text, answer)
