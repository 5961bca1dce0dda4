"""What a continuation must do to pass the check; models/tiny/README.md states it, and `npm run model:check` applies the same."""
import re

CAPITALISED = re.compile(r'\b[A-Z][A-Za-z]*')
WORD = re.compile(r'[A-Za-z]+')


def verdict(prompt, text, ended, lists):
    """The four parts of the rule, each true or false; `text` is the continuation alone, `lists` the content of prompts.json."""
    capitalised = set(CAPITALISED.findall(text)) - {prompt['name']}
    return {
        'name': prompt['name'] in WORD.findall(text),
        'animal': prompt['animal'] in WORD.findall(text),
        'no other hero': not (capitalised & set(lists['names'])) and capitalised <= set(lists['sentenceStarts']),
        'ended': ended,
    }


def kinds_introduced(prompt, text, lists):
    """Stricter, not part of the rule: "the owl" only after "an old owl", for every animal but the hero's."""
    words = WORD.findall(text)
    known = {prompt['animal']}
    for i, word in enumerate(words):
        if word in lists['animals'] and word not in known:
            if not {'a', 'an', 'another', 'An', 'A'} & set(words[max(0, i - 2) : i]):
                return False
            known.add(word)
    return True


def pronouns_kept(prompt, text, he_names):
    """Stricter, not part of the rule: no pronoun of the other sex. The corpus speaks of friends without pronouns."""
    wrong = {'she', 'her', 'She', 'Her', 'hers'} if prompt['name'] in he_names else {'he', 'him', 'his', 'He', 'His', 'Him'}
    return not wrong & set(WORD.findall(text))
