"""The closed lists of the corpus: names, animals with what their bodies can do, traits, things. Every name and animal is one token."""
from dataclasses import dataclass

HE_NAMES = """Pip Tom Max Finn Oscar Leo Ben Sam Jack Toby Milo Hugo Felix Otto Theo Bruno Barney Charlie Ernie Freddy
George Harry Jasper Kip Louie Monty Ned Ollie Percy Ralph Rufus Sid Teddy Walter Albert Arlo Basil Bert Casper Chester
Dexter Edgar Elmer Emil Gus Henry Ivan Jonas Linus Magnus Nico Noah Omar Paul Peter Quentin Remy Simon Stanley Victor""".split()
SHE_NAMES = """Mia Lily Rosie Bella Luna Ruby Molly Nora Ella Ada Alma Amy Anna Bonnie Clara Cora Dora Edith Elsa Emma
Flora Frida Gina Greta Hanna Heidi Holly Ida Iris Jenny Josie Julia Kate Lena Lola Lotte Lucy Mabel Maggie Maya
Mimi Nelly Nina Olga Paula Petra Pia Polly Rita Rosa Sally Selma Stella Susie Tara Tess Thea Vera Wanda Zoe""".split()
NAMES = HE_NAMES + SHE_NAMES


@dataclass(frozen=True)
class Animal:
    """What a kind of animal can do; `moved`, `move` are its way of going somewhere; `home` names a list of HOMES."""

    kind: str
    home: str
    move: str
    moved: str
    flies: bool = False
    swims: bool = False
    digs: bool = False
    climbs: bool = False
    strong: bool = False


def _animals(kinds, home, move, moved, **can):
    return [Animal(kind, home, move, moved, **can) for kind in kinds.split()]


ANIMALS = [
    *_animals('fox badger dog rabbit hare', 'den', 'run', 'ran', digs=True),
    *_animals('mole', 'den', 'walk', 'walked', digs=True),
    *_animals('hedgehog hamster ferret', 'den', 'run', 'ran'),
    *_animals('mouse squirrel raccoon', 'den', 'run', 'ran', climbs=True),
    *_animals('cat', 'land', 'run', 'ran', climbs=True),
    *_animals('lamb deer goat pony zebra', 'land', 'run', 'ran'),
    *_animals('pig giraffe', 'land', 'walk', 'walked'),
    *_animals('wolf lion tiger horse donkey', 'land', 'run', 'ran', strong=True),
    *_animals('bear cow elephant camel moose panda', 'land', 'walk', 'walked', strong=True),
    *_animals('monkey koala', 'land', 'walk', 'walked', climbs=True),
    *_animals('kangaroo', 'land', 'hop', 'hopped', strong=True),
    *_animals('owl robin sparrow crow raven eagle parrot pigeon dove', 'nest', 'fly', 'flew', flies=True),
    *_animals('duck goose swan', 'water', 'fly', 'flew', flies=True, swims=True),
    *_animals('penguin', 'sea', 'walk', 'walked', swims=True),
    *_animals('turtle otter beaver', 'water', 'walk', 'walked', swims=True),
    *_animals('frog toad', 'water', 'hop', 'hopped', swims=True),
    *_animals('ant beetle snail spider', 'tiny', 'crawl', 'crawled'),
    *_animals('cricket', 'tiny', 'hop', 'hopped'),
    *_animals('bee butterfly', 'tiny', 'fly', 'flew', flies=True),
]
KINDS = [animal.kind for animal in ANIMALS]
BY_KIND = {animal.kind: animal for animal in ANIMALS}

TRAITS = """brave kind clever quiet cheerful gentle curious young happy patient friendly shy careful funny hungry sleepy
silly wise lonely busy calm polite proud poor loyal merry dreamy helpful playful hopeful little small stubborn""".split()
FRIEND_TRAITS = 'old young kind wise friendly gentle cheerful quiet shy tired'.split()

HOMES = {
    'den': ['under an old oak tree', 'at the edge of a quiet forest', 'in a cozy den near the forest', 'on a green hill', 'in a sunny valley'],
    'land': ['at the edge of a quiet forest', 'on a green hill', 'in a sunny valley', 'near a small village', 'beside a wide meadow'],
    'nest': ['in a tall pine tree', 'in an old oak tree', 'in a warm nest near the forest', 'on the roof of an old barn', 'in a sunny valley'],
    'water': ['beside a clear pond', 'on the bank of a slow river', 'beside a blue lake', 'near a small stream'],
    'sea': ['near the sea', 'on a rocky shore', 'on a small island', 'beside a quiet bay'],
    'tiny': ['in a sunny garden', 'under a flat stone', 'in the tall grass', 'under a red mushroom'],
}

LISTS = {
    'place': 'the old mill|the river|the hill|the meadow|the pond|the bridge|the old well|the lake|the garden|the barn|the cave|the orchard|the big rock|the windmill|the old tower|the field|the stream|the hollow tree|the stone wall',
    'weather': 'rainy|sunny|windy|cold|foggy|warm|cloudy|bright|gray|cool|quiet',
    'time': 'morning|afternoon|day',
    'color': 'red|blue|green|yellow|golden|silver|white|purple',
    'thing': 'ball|bell|kite|hat|scarf|ribbon|button|feather|shell|stone|whistle|cup|spoon|key',
    'food': 'berries|nuts|apples|pears|cherries|plums|carrots|seeds',
    'flower': 'daisy|rose|tulip|sunflower|violet|poppy',
    'season': 'spring|summer|autumn',
    'glad': 'happy|glad|cheerful',
    'sad': 'sad|worried|unhappy|upset',
    'fear': 'the dark|thunder|loud noises|strangers|the cold wind|shadows',
    'skill': 'sing|whistle|dance|count to ten|tell jokes|make up rhymes',
    'guide': 'moon|stream|evening star',
    'number': 'two|three|four|five',
}
LISTS = {slot: values.split('|') for slot, values in LISTS.items()}
