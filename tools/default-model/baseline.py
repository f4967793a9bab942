#!/usr/bin/env python3
"""What an n-gram model reaches on the same split and vocabulary.

Interpolated Kneser-Ney of order 4 over the ids of tokenizer.json, counted on
the training stories, measured on the held-out ones as train.py measures:
every story starts afresh and its end is predicted too.
"""
import argparse
import math
from collections import Counter
from pathlib import Path

from tokenizers import Tokenizer

from train import Documents

DISCOUNT = 0.8


class KneserNey:
    def __init__(self, docs, order, vocab):
        self.order, self.vocab = order, vocab
        self.counts = [Counter(tuple(d[i - order + 1:i + 1])
                               for d in docs for i in range(order - 1, len(d)))]
        while order > 1:    # lower orders count distinct continuations, not occurrences
            order -= 1
            self.counts.insert(0, Counter(gram[1:] for gram in self.counts[0]))
        self.total = [Counter() for _ in self.counts]
        self.kinds = [Counter() for _ in self.counts]
        for counts, total, kinds in zip(self.counts, self.total, self.kinds):
            for gram, n in counts.items():
                total[gram[:-1]] += n
                kinds[gram[:-1]] += 1

    def probability(self, gram):
        p = 1 / self.vocab
        for n in range(1, self.order + 1):
            part = gram[-n:]
            counts, total, kinds = self.counts[n - 1], self.total[n - 1], self.kinds[n - 1]
            if total[part[:-1]]:
                keep = max(counts[part] - DISCOUNT, 0)
                p = (keep + DISCOUNT * kinds[part[:-1]] * p) / total[part[:-1]]
        return p


def main():
    ap = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    ap.add_argument("--data", type=Path, required=True, help="folder made by prepare.py")
    ap.add_argument("--order", type=int, default=4)
    args = ap.parse_args()
    tokenizer = Tokenizer.from_file(str(args.data / "tokenizer.json"))
    train, held = (Documents(args.data / f"{name}.jsonl", tokenizer, 0.0)
                   for name in ("train", "heldout"))
    pad = [train.eot] * (args.order - 1)
    model = KneserNey([pad + d + [train.eot] for d in train.plain], args.order,
                      tokenizer.get_vocab_size())
    nats = count = 0
    for doc in held.plain:
        ids = pad + doc + [held.eot]
        for i in range(args.order - 1, len(ids)):
            nats -= math.log(model.probability(tuple(ids[i - args.order + 1:i + 1])))
            count += 1
    length = sum(len(s["text"].encode()) for s in held.stories)
    print(f"order {args.order}: {nats / count:.4f} nats per token, "
          f"{nats / length / math.log(2):.4f} bits per byte")


if __name__ == "__main__":
    main()
