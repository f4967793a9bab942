#!/usr/bin/env python3
"""Compare our logits with llama.cpp's on the same GGUF and the same tokens.

    compare_verge.py BUILD/tests/logits MODEL.gguf [--tokens 200] [--kv f32]

Needs the llama-cpp-python package. The tokens are drawn at random (seeded), after the
model's first token. Prints the largest difference over the standard deviation of
llama.cpp's logits, the mean KL divergence, and how often the best token is the same.
"""
import argparse
import pathlib
import subprocess

import numpy as np

from compare_llamacpp import evaluate


def log_softmax(x):
    x = x.astype(np.float64)
    x = x - x.max(axis=1, keepdims=True)
    return x - np.log(np.exp(x).sum(axis=1, keepdims=True))


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("program", type=pathlib.Path)
    parser.add_argument("model", type=pathlib.Path)
    parser.add_argument("--tokens", type=int, default=200)
    parser.add_argument("--vocab", type=int, default=500, help="ids are drawn below this")
    parser.add_argument("--kv", default="f32", choices=["q8", "f16", "f32"])
    args = parser.parse_args()
    rng = np.random.default_rng(1)
    tokens = np.concatenate([[1], rng.integers(3, args.vocab, args.tokens - 1)])
    peer = evaluate(args.model, tokens, 512)
    out = subprocess.run([args.program, args.model, args.kv, *map(str, tokens)], check=True,
                         capture_output=True).stdout
    ours = np.frombuffer(out, "<f4").reshape(peer.shape)
    p, q = log_softmax(peer), log_softmax(ours)
    print(f"{args.model.name}: {len(tokens)} positions, {args.kv} cache")
    print(f"  largest difference / standard deviation: {np.abs(ours - peer).max() / peer.std():.2e}")
    print(f"  root mean square difference / standard deviation: "
          f"{np.sqrt(((ours - peer) ** 2).mean()) / peer.std():.2e}")
    print(f"  mean KL divergence: {(np.exp(p) * (p - q)).sum(axis=1).mean():.2e} nats")
    print(f"  same best token: {(ours.argmax(1) == peer.argmax(1)).mean():.3f}")


if __name__ == "__main__":
    main()
