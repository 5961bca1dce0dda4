"""Writes test/vectors/tokenizers.json: small tokenizers of the kinds that models of the Llama family have, and what the tokenizers library makes of texts.

Usage: tokenizers_parity.py OUT_JSON
"""
import json
import sys

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

# What Qwen 2 and Llama 3 split at before merging (their tokenizer.json); digits one by one, or in threes.
PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,DIGITS}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
CORPUS = [
    'Once upon a time there was a small fox who lived near the river. The fox looked at the river every day.',
    "It's 2024, and they've seen 1234567 things; we'll see what I'd do.\n\nA new line, then another one.",
    'def run(self, x): return [x + 1 for y in range(10)]  # code with   spaces',
    'Die Füchse schlafen. Le garçon est là. Привет, мир! 你好，世界。',
]
TEXTS = CORPUS + [
    '', ' ', 'a', '  two spaces first', 'trailing   ', 'tabs\tand\r\nreturns', 'émigré cafe\u0301', '😀 emoji 👩‍👩‍👧 family', 'I\'LL SHOUT', '42 4242 42424242',
    '<s>not special</s>', '\u0000\u0001', 'ﬁ ligature', 'x' * 50,
]


def llama2():
    """Spaces as U+2581 with one in front, bytes for what is unknown: Llama 2, TinyLlama, Mistral."""
    tokenizer = Tokenizer(models.BPE(byte_fallback=True, unk_token='<unk>', fuse_unk=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend('▁'), normalizers.Replace(' ', '▁')])
    specials = ['<unk>', '<s>', '</s>']
    alphabet = sorted(set('▁' + ''.join(c for text in CORPUS[:3] for c in text if c.isascii() and c != ' ' and c.isprintable())))
    trainer = trainers.BpeTrainer(
        vocab_size=500, special_tokens=specials + [f'<0x{byte:02X}>' for byte in range(256)], initial_alphabet=alphabet, limit_alphabet=len(alphabet), show_progress=False
    )
    tokenizer.train_from_iterator(CORPUS[:3] * 3, trainer)
    tokenizer.decoder = decoders.Sequence([decoders.Replace('▁', ' '), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(' ', 1, 0)])
    spec = json.loads(tokenizer.to_str())
    # Trainers make every token of the list special; the byte tokens of real models are not.
    spec['added_tokens'] = [token for token in spec['added_tokens'] if token['content'] in specials]
    return spec


def byte_level(digits, normalize):
    """Bytes as characters after a split by a pattern: Qwen 2 and 3 (with NFC), Llama 3."""
    tokenizer = Tokenizer(models.BPE())
    if normalize:
        tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(PATTERN.replace('DIGITS', str(digits))), 'isolated'), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
    ])
    trainer = trainers.BpeTrainer(vocab_size=400, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False)
    tokenizer.train_from_iterator(CORPUS * 3, trainer)
    tokenizer.decoder = decoders.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.add_special_tokens([AddedToken(text, special=True, normalized=False) for text in ('<|endoftext|>', '<|im_start|>', '<|im_end|>')])
    return json.loads(tokenizer.to_str())


def main(out):
    vectors = []
    for name, spec in (('llama 2', llama2()), ('qwen', byte_level(1, True)), ('llama 3', byte_level(3, False))):
        # As text of people: no special token is looked for, and none is put in front.
        plain = Tokenizer.from_str(json.dumps(spec | {'added_tokens': [], 'post_processor': None}))
        cases = []
        for text in TEXTS:
            ids = plain.encode(text, add_special_tokens=False).ids
            cases.append({'text': text, 'ids': ids, 'decoded': plain.decode(ids, skip_special_tokens=False)})
        vectors.append({'name': name, 'tokenizer': spec, 'cases': cases})
    with open(out, 'w', encoding='utf-8') as file:
        file.write('[\n' + ',\n'.join(json.dumps(vector, ensure_ascii=True) for vector in vectors) + '\n]\n')


if __name__ == '__main__':
    main(sys.argv[1])
