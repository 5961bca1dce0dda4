"""The plots. A scheme is a list of sentences in a small template language, expanded by grammar.py.

[a|b]      one of the alternatives; may be empty, may nest
{slot}     a list of words.py, drawn once per story; a digit makes a second, different value: {place} {place2}
{n} {k}    the hero's name and kind; {he} {him} {his} {He} {His} follow the name; {go} {went} are the hero's way of moving
{f} {u}    the friend's kind and trait; a friend has no name, so that every name in a story is the hero's

"a" becomes "an" where the next word asks for it. A scheme names who may play: `hero` and `friend` are rules on an Animal.
Every scheme says "the {k}" twice or more, and never puts a name right behind a quotation mark (the name's token begins with a space).
"""
from dataclasses import dataclass
from typing import Callable

from words import Animal


def anyone(_animal):
    return True


@dataclass(frozen=True)
class Scheme:
    title: str
    body: list[str]
    hero: Callable[[Animal], bool] = anyone
    friend: Callable[[Animal], bool] = anyone


SCHEMES = [
    Scheme('lost thing', [
        '{n} had a {color} {thing} and loved it [very much|more than anything].',
        'One {weather} {time}, the {thing} was gone!',
        '[{n} looked behind the trees and under the leaves, but it was not there.|The {k} looked here and there, but {n} could not find it.]',
        'Then a {u} {f} came by. "What are you looking for?" asked the {f}.',
        '"I have lost my {color} {thing}," said {n}.',
        '"I saw a {color} {thing} near {place}," said the {f}.',
        '{n} and the {f} went to {place}. [And there it was!|And there lay the {thing}!]',
        '"Thank you!" said {n}.',
        'From that day on, the {k} [took good care of the {thing}|never lost the {thing} again].',
        '[And {n} and the {f} became good friends.|The {k} and the {f} played together until the evening.]',
    ]),
    Scheme('storm', [
        'One evening a great storm came. {n} was far from home, and the rain was cold.',
        '[The {k} {went} as fast as {he} could.|The poor {k} was wet from head to toe.]',
        'Then {n} saw a light near {place}. {He} called, "Is anyone there?"',
        '"Come in, come in!" said a {u} {f}.',
        '{n} thanked the {f} and sat down by the warm fire.',
        '[All night the wind shook the walls, but {n} was safe.|All night it rained, but the {k} was warm and dry.]',
        'In the morning the sun was shining. "You are always welcome here," said the {f}.',
        'The {k} never forgot it, and {n} came back [every week|many times] with [a gift|some {food}] for the {f}.',
    ], hero=lambda a: a.home != 'sea' and not a.swims),
    Scheme('heavy log', [
        'One {weather} {time}, {n} {went} along a narrow path. A big log lay across it.',
        '{n} pushed and pushed, but the log did not move.',
        '"What is the matter?" asked a {u} {f}. "This log is too heavy for me," said {n}.',
        '"Let me help," said the {f}. The {k} and the {f} pushed together. [Still the log did not move.|The log moved a little, but not enough.]',
        '"We must push at the same time," said {n}. "One, two, three!" called the {k}.',
        'And the log rolled away! "We did it!" said the {f}.',
        '{n} was very {glad}. Two friends are stronger than one[, thought the {k}|].',
    ], hero=lambda a: not a.flies and not a.strong and a.home in ('den', 'land'), friend=lambda a: a.strong),
    Scheme('kite in a tree', [
        'One windy day, {n} was playing with a {color} kite near {place}.',
        'Suddenly the wind took the kite and put it in a tall tree.',
        '"Oh no!" said {n}. The {k} could not climb so high.',
        '[{n} waited and waited, but the kite did not come down.|{n} called to the kite, but a kite has no ears.]',
        'Then a {u} {f} came by. "Why are you so {sad}?" asked the {f}.',
        '"My kite is in the tree," said {n}. The {f} [went up|was up there] in no time and brought the kite down.',
        '"How kind of you!" said {n}.',
        'The {k} and the {f} played with the {color} kite until the sun went down.',
    ], hero=lambda a: not a.flies and not a.climbs and a.home in ('den', 'land', 'water'), friend=lambda a: (a.flies and a.home == 'nest') or a.kind in ('monkey', 'squirrel')),
    Scheme('river', [
        '{n} wanted to visit {his} [grandmother|aunt|cousin] on the other side of the river.',
        'But the water was deep, and the {k} could not swim.',
        '{n} sat down on the bank and was {sad}.',
        'A {u} {f} looked out of the water. "Do you want to cross the river?" asked the {f}.',
        '"Yes," said {n}, "but I cannot swim."',
        '"There is an old bridge near {place}," said the {f}. "Come, I will show you the way."',
        'The {f} swam along the bank, and {n} followed. Soon the {k} saw the bridge.',
        '"Thank you!" called {n}. {He} crossed the river and was very {glad}.',
    ], hero=lambda a: not a.swims and not a.flies and a.home in ('den', 'land'), friend=lambda a: a.swims and a.home == 'water'),
    Scheme('lost way', [
        'One day {n} {went} far into the forest. The trees looked all the same, and it was getting dark.',
        '"Where is my home?" asked the {k}, but nobody answered.',
        '[{n} was afraid, but {he} did not cry.|{n} sat down under a tree and thought.]',
        'High up in the tree sat an old owl. "Why are you still awake?" asked the owl.',
        '"I have lost my way," said {n}.',
        '"Follow the {guide}," said the owl. "It will bring you home."',
        '{n} thanked the owl and followed the {guide}.',
        'When the {k} saw [{his} home|the old oak tree], {he} was very {glad}. That night {n} slept deep and well.',
    ], hero=lambda a: a.kind != 'owl' and a.home in ('den', 'land')),
    Scheme('sharing', [
        'One {weather} {time}, {n} found {number} {food} near {place}. "What a good meal!" said the {k}.',
        'Then {n} saw a {u} {f}. The {f} had not eaten all day.',
        '[{n} looked at the {food} and thought for a moment.|{n} was hungry too, but {he} felt sorry for the {f}.]',
        '"Take half of it," said {n}. "Thank you," said the {f}, and the two ate together.',
        'Many days later, the winter came, and the {k} had nothing to eat.',
        'Then the {f} came with a basket full of {food}. "You helped me," said the {f}. "Now I help you."',
        '[{n} was very {glad}.|{n} smiled.] Since then the {k} and the {f} have shared everything.',
    ]),
    Scheme('fear', [
        '{n} was afraid of {fear}. [Nobody knew it.|The {k} told nobody about it.]',
        'One evening {n} sat at home and could not sleep. {He} was thinking of {fear}.',
        'A {u} {f} came to visit. "Why are you shaking?" asked the {f}.',
        '"I am afraid of {fear}," said {n} very quietly.',
        '"I was afraid too when I was little," said the {f}. "It helps to sing a song."',
        'So the {k} and the {f} sang a song, and then another one.',
        'Little by little, {n} felt better. "I am not afraid any more," said the {k}.',
        '[Now {n} sings whenever {he} is afraid.|And when {n} is afraid now, {he} sings that song.]',
    ]),
    Scheme('seed', [
        'One day {n} found a small seed near {place}. "What are you?" asked the {k}, but the seed said nothing.',
        '{n} put the seed into the soft ground and gave it some water.',
        'Every morning {n} {went} there to look. Nothing happened.',
        '"It will never grow," said a {u} {f}. "Wait and see," said {n}.',
        '[One week went by, and then another.|The sun shone and the rain fell.]',
        'Then one {weather} morning, the {k} saw a little green leaf!',
        'In {season} it was a beautiful {flower}. "You were right," said the {f}.',
        '{n} was {glad}. Good things need time[, thought the {k}|].',
    ]),
    Scheme('song', [
        '{n} loved to sing, but {his} voice was [very loud|not beautiful].',
        '"Please be quiet!" called the birds in the trees. That made the {k} {sad}.',
        'So {n} {went} to {place}, where nobody could hear, and sang there alone.',
        'But somebody was listening. It was a {u} {f}. "I like your song," said the {f}.',
        '"Do you really?" asked {n}. "Yes," said the {f}, "let us sing it together."',
        'Every evening {n} and the {f} met and sang. Bit by bit it sounded better.',
        'In summer there was a party, and the {k} sang for everyone.',
        '[Even the birds were quiet.|The birds came to listen.] "What a lovely song!" they said. {n} was very proud.',
    ], hero=lambda a: not a.flies),
    Scheme('race', [
        'One day a proud {f} said, "I am the fastest of all. Nobody can beat me!"',
        '"Let us have a race to {place}," said {n}. [Everyone laughed.|The {f} laughed.]',
        'The race began. The {f} was soon far ahead, and the {k} was far behind.',
        '"I have so much time," thought the {f}, and lay down under a tree to sleep.',
        'But {n} did not stop. Step by step, the {k} came nearer to {place}.',
        'When the {f} woke up, {n} was already there. "I have won!" called {n}.',
        '"You are slow, but you never give up," said the {f}. [And the two became friends.|And the {k} smiled.]',
    ], hero=lambda a: a.kind in ('turtle', 'snail', 'mole', 'hedgehog', 'pig', 'beetle', 'ant', 'frog', 'toad', 'koala', 'panda', 'hamster', 'beaver', 'penguin', 'mouse', 'lamb'),
        friend=lambda a: a.kind in ('hare', 'fox', 'horse', 'deer', 'rabbit', 'dog', 'pony', 'zebra')),
    Scheme('birthday', [
        'It was the birthday of {n}, but nobody seemed to know it.',
        '"Good morning," said the {k} to a {u} {f}. "Good morning," said the {f}, and hurried away.',
        '[{n} felt very lonely.|{n} was {sad}.] "They have all forgotten me," {he} thought.',
        'In the evening {n} {went} to {place}. It was dark and quiet there.',
        'Suddenly there were lights everywhere. "Surprise!" called the {f} and all the others.',
        'There was a big cake with {food} on it and a {color} {thing} for {n}.',
        'The {k} laughed and [danced|cried with joy]. It was the best birthday of all.',
    ]),
    Scheme('wish', [
        'One night {n} saw a falling star above {place}. "I wish for a friend," said the {k}.',
        'The next morning nothing had changed. {n} looked around, but there was no friend.',
        'So {n} {went} to {place2}. There {he} met a {u} {f}, who was looking for a {color} {thing}.',
        '"May I help you?" asked {n}. "Oh yes, please," said the {f}.',
        'The two looked everywhere. At last the {k} found the {thing} in the grass.',
        '"Thank you," said the {f}. "Do you want to play with me tomorrow?"',
        '"Yes!" said {n}. And that night the {k} looked up at the stars and said, "Thank you."',
    ]),
    Scheme('noise', [
        'One night {n} woke up. There was a strange noise near {place}.',
        '"What was that?" said the {k}. Then it was quiet, and then it came again.',
        '[{n} was afraid and woke up a {u} {f}.|{n} called for help, and a {u} {f} came.] "It is a ghost!" said {n}.',
        '"There are no ghosts," said the {f}. "Let us go and look."',
        'Very slowly they went on. The {k} stayed close to the {f}.',
        'And what did they find? [It was only a {color} {thing} that was moving in the wind!|It was only a loose board in the wind!|It was only a little cricket with a loud voice!]',
        '{n} laughed and laughed. "Things sound bigger at night," said the {f}. Then the {k} went back to sleep.',
    ], hero=lambda a: a.kind != 'cricket', friend=lambda a: a.kind != 'cricket'),
    Scheme('winter', [
        'All summer long, {n} collected {food} for the winter. "Come and play!" called a {u} {f}.',
        '"Later," said {n}. "The winter will be long." [But the {f} only laughed.|The {f} played all day.]',
        'Then the snow came. The {k} had enough to eat and was warm.',
        'One cold evening somebody came to the door of the {k}. It was the {f}.',
        '"I am so hungry," said the {f}. "I should have listened to you."',
        '{n} did not laugh. "Come in," said {n}, "there is enough for two."',
        'Next year the {k} and the {f} collected the {food} together[, and then they played|].',
    ], hero=lambda a: a.home == 'den'),
    Scheme('honesty', [
        'One day {n} visited a {u} {f}. On the table stood a beautiful {color} cup.',
        '{n} wanted to look at it. But the {k} was not careful, and the cup fell down and broke.',
        'Nobody had seen it. "Shall I run away?" thought {n}. [{His} heart was beating fast.|{He} felt very bad.]',
        'Then the {f} came back. "I have broken your cup," said {n}. "I am very sorry."',
        'The {f} was quiet for a moment. "It was only a cup," said the {f}. "I am glad that you told me the truth."',
        'The next day {n} brought some {food} to the {f}. And the {k} was always careful after that.',
    ], hero=lambda a: a.home in ('den', 'land', 'nest')),
    Scheme('new neighbor', [
        'One day a {u} {f} came to live near {place}. Nobody spoke to the {f}.',
        '"The {f} looks so lonely," thought {n}. So the {k} took some {food} and {went} there.',
        '"Good {time}," said {n}. "I have brought you something." [The {f} could not believe it.|The {f} was very surprised.]',
        '"You are the first one who is kind to me," said the {f}.',
        'They ate the {food} and told each other stories until the moon was high.',
        'The next day {n} showed the {f} {place2} and {place3}. Soon everybody liked the {f}.',
        'A good neighbor is a treasure, and the {k} had found one.',
    ]),
    Scheme('learning', [
        'Everybody could {skill}, but {n} could not. [That made the {k} {sad}.|The {k} was {sad} about it.]',
        'One {weather} {time}, {n} {went} to a {u} {f}. "Can you teach me to {skill}?" asked {n}.',
        '"Of course," said the {f}. "But you must be patient."',
        'The first day it was terrible. The second day it was only bad.',
        '"I will never learn it," said {n}. "Try again," said the {f}.',
        'The {k} tried again and again. And after {number} weeks, {n} could {skill}!',
        '"I am proud of you," said the {f}. [{n} was proud too.|And the {k} was very {glad}.]',
    ]),
    Scheme('lost child', [
        'Near {place} {n} heard somebody crying. It was a little {f}.',
        '"Why are you crying?" asked {n}. "I cannot find my mother," said the little {f}.',
        '"Do not worry," said the {k}. "I will help you."',
        'So {n} and the little {f} looked near {place2}. [Nobody was there.|There was no mother there.]',
        'They looked near {place3} too. Then the {k} heard a voice. "My child, where are you?"',
        '"Here I am!" called the little {f}. The mother came and was very {glad}.',
        '"Thank you, {n}," said the mother. "You are a true friend." And {n} {went} home with a warm heart.',
    ]),
    Scheme('rain at the picnic', [
        '{n} had asked everyone to come to a picnic near {place}. There were {food} and a big cake.',
        'But when they sat down, it began to rain. "Now everything is lost," said the {k}.',
        '[{n} was very {sad}.|{n} looked at the wet cake.] Then a {u} {f} said, "I know a dry cave. Follow me!"',
        'They all carried the food to the cave. It was warm and dry there, and {n} was very surprised.',
        'Outside it rained, and inside they ate and sang. The {f} told a funny story.',
        '"This is better than any picnic in the sun," said {n}. And the {k} was glad that it had rained.',
    ], hero=lambda a: a.home in ('den', 'land')),
    Scheme('reflection', [
        'One {weather} morning, {n} looked into the water near {place} and was surprised. Another {k} was looking back!',
        '"Hello," said {n}. The other {k} moved its mouth, but said nothing. "Are you shy?" asked {n}.',
        '[{n} smiled, and the {k} in the water smiled too.|When {n} nodded, the {k} in the water nodded too.]',
        'A {u} {f} saw it and laughed. "That is you!" said the {f}. "The water shows you your own face."',
        'Now {n} laughed too. "Then I am never alone," {he} said.',
        '"You are not alone," said the {f}, "because I am here." And the {k} and the {f} went home together.',
    ]),
    Scheme('rainbow', [
        'After the rain there was a rainbow above {place}. "At its end there is gold," said {n}. "I will find it!"',
        'The {k} {went} and {went}, but the rainbow was always far away.',
        'Near {place2} {n} met a {u} {f}. "Where are you going?" asked the {f}.',
        '"To the end of the rainbow," said {n}. "May I come with you?" asked the {f}.',
        'They went on together and talked about many things. Then the rainbow was gone.',
        '"Now we have found no gold," said the {f}. "No," said {n}, "but I have found a friend."',
        '[And that was better than gold.|The {k} was glad, because a friend is better than gold.] The {k} and the {f} went home together.',
    ]),
    Scheme('echo', [
        'One day {n} {went} up a high hill. "Hello!" called the {k}. "Hello!" said a voice.',
        '"Who are you?" called {n}. "Who are you?" said the voice.',
        '[The {k} became angry.|{n} did not like that.] "Go away!" called {n}. "Go away!" said the voice.',
        '{n} {went} home and told it to a {u} {f}. The {f} smiled.',
        '"Go back and say something kind," said the {f}.',
        'So the {k} {went} up the hill again. "I like you!" called {n}. "I like you!" said the voice.',
        'Now {n} was {glad}. What you call into the world comes back to you[, thought the {k}|].',
    ], hero=lambda a: a.home in ('den', 'land', 'nest')),
    Scheme('sick friend', [
        'One {time} {n} heard that a {u} {f} was ill. "I must do something," said the {k}.',
        'So {n} took some {food} and a {color} {flower} and {went} to the {f}.',
        'The {f} lay in bed and looked very {sad}. "Nobody comes to see me," said the {f}.',
        '"I am here," said {n}. [The {k} told the {f} a funny story.|The {k} sang a little song.] The {f} began to laugh.',
        'Every day {n} came back, and every day the {f} felt better.',
        'After a week the {f} was well again. "You are better than any medicine," said the {f} to the {k}.',
    ]),
    Scheme('moon in the pond', [
        'One clear night, {n} looked into a pond and saw the moon in it. "The moon has fallen into the water!" called the {k}.',
        '{n} wanted to save the moon. [{He} tried to catch it, but the moon broke into many pieces.|{He} reached for it, but it slipped away.]',
        '"What are you doing?" asked a {u} {f}. "I am saving the moon," said {n}.',
        '"Look up," said the {f}. The {k} looked up. There was the moon, round and bright in the sky.',
        '"Oh," said {n}, "then there are two of them." The {f} laughed. "No, the other one is only a picture in the water."',
        '{n} was glad that the moon was safe. And the {k} slept well that night.',
    ]),
    Scheme('promise', [
        'A {u} {f} was going on a long journey. "Will you water my {flower} every day?" asked the {f}.',
        '"I promise," said {n}. Every morning the {k} {went} to the garden of the {f}.',
        'One day it was very hot. "Come to the pond with us!" called the others. "Later," said {n}. "First I must water the {flower}."',
        '[The {k} was tired, but {he} kept {his} promise.|It was hard for the {k}, but a promise is a promise.]',
        'At last the {f} came back. The {flower} was bigger and more beautiful than before.',
        '"You kept your promise," said the {f}. "I can always trust you." And {n} was very {glad}.',
    ]),
    Scheme('message', [
        'An old {f} had lost a {color} {thing} and could not walk far. "I will find it for you," said {n}.',
        'The {k} {went} to {place}, but the {thing} was not there.',
        'Then {n} {went} to {place2}. There was [only grass|nothing but stones]. But the {k} did not give up.',
        'At last, near {place3}, {n} saw something {color} in the grass. It was the {thing}!',
        '{n} brought it to the old {f}. "How can I thank you?" asked the {f}.',
        '"Tell me a story," said {n}. So they sat down, and the old {f} told a story about the time when the {f} was young.',
        'The {k} listened until the stars came out.',
    ]),
]
