"""Encoded corpora to batches: whole documents packed into rows, each token knowing its document and what its loss is worth."""
import numpy as np
import torch

# What a token's loss is worth, by its class (tokenizer.classify). A later mention is given by the text and must be right;
# a first one is a free choice among a hundred words, which would only add noise to the gradient.
WORTH = np.array([1.0, 0.3, 2.5, 0.0], np.float32)
# Rows: nearly every document fits the first length; chats with two stories take the second.
ROW_LENGTHS = (192, 416)


class Corpus:
    def __init__(self, path):
        with np.load(path) as file:
            self.ids, self.classes, self.ends = file['ids'], file['classes'], file['ends']
        self.starts = np.concatenate(([0], self.ends[:-1]))

    def order(self, seed, batch_tokens):
        """One epoch as a list of (row length, rows of document numbers), shuffled."""
        rng = np.random.default_rng(seed)
        shuffled = rng.permutation(len(self.ends))
        lengths = (self.ends - self.starts)[shuffled] - 1  # the last token is only a target
        batches, shorter = [], 0
        for length in ROW_LENGTHS:
            chosen = (lengths > shorter) & (lengths <= length)
            rows = pack(shuffled[chosen], lengths[chosen], length)
            count = batch_tokens // length
            batches += [(length, rows[i : i + count]) for i in range(0, len(rows) - count + 1, count)]
            shorter = length
        return [batches[i] for i in rng.permutation(len(batches))]

    def batch(self, length, rows):
        """ids, targets, documents, classes: (rows, length) each; empty places have class -1 and document -1."""
        ids, targets, owners = (np.zeros((len(rows), length), np.int64) for _ in range(3))
        classes = np.full((len(rows), length), -1, np.int64)
        owners -= 1
        for r, row in enumerate(rows):
            at = 0
            for document in row:
                start, end = self.starts[document], self.ends[document]
                to = at + end - start - 1
                ids[r, at:to], targets[r, at:to] = self.ids[start : end - 1], self.ids[start + 1 : end]
                classes[r, at:to], owners[r, at:to] = self.classes[start + 1 : end], document
                at = to
        return tuple(torch.from_numpy(array) for array in (ids, targets, owners, classes))


def pack(documents, lengths, row_length, open_rows=64):
    """Puts each document into the fullest open row that has room for it; keeps at most `open_rows` rows open."""
    done, rows = [], []  # rows: [room, [documents]]
    for document, length in zip(documents.tolist(), lengths.tolist()):
        fitting = [row for row in rows if row[0] >= length]
        row = min(fitting, default=None, key=lambda r: r[0])
        if row is None:
            row = [row_length, []]
            rows.append(row)
        row[0] -= length
        row[1].append(document)
        if len(rows) > open_rows:
            fullest = min(rows, key=lambda r: r[0])
            rows.remove(fullest)
            done.append(fullest[1])
    return done + [row[1] for row in rows]


def worth(classes):
    """Loss weights (rows, tokens) f32; 0 in empty places."""
    weights = torch.from_numpy(WORTH)[classes.clamp_min(0)]
    return weights * (classes >= 0)
