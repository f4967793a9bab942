#!/usr/bin/env python3
"""What quantising costs, by Verge and by llama.cpp, of the same weights at the same size.

    compress.py weights SOURCE.gguf --verge V --llama BIN         error of the weights, by type
    compress.py text SOURCE.gguf TEXT --verge V --llama BIN       perplexity and KL, by llama.cpp

SOURCE.gguf holds F32 or F16 matrices.  BIN is the folder of llama-quantize and llama-perplexity
(v0.5.0).  Both programs write the files; the error is read out of them with the gguf package
(0.17): the root of the squared difference over the root of the squared weights.  Perplexities and
divergences of both are llama.cpp's.
"""
import argparse
import os
import re
import subprocess
import tempfile

import numpy as np
from gguf import GGUFReader, quants

TYPES = ["Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q2_K", "Q3_K_M", "Q4_K_S", "Q4_K_M", "Q5_K_S",
         "Q5_K_M", "Q6_K", "IQ4_NL", "IQ4_XS"]


def run(command, libs=None):
    env = dict(os.environ, LD_LIBRARY_PATH=libs) if libs else None
    done = subprocess.run(command, env=env, capture_output=True)
    text = (done.stdout + done.stderr).decode(errors="replace")
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}: {text[-2000:]}")
    return text


def tensors(path):
    return {t.name: t for t in GGUFReader(path).tensors}


def error(source, path):
    """Of all matrices that are quantised in the file."""
    lost = norm = 0.0
    for name, t in tensors(path).items():
        if t.tensor_type.name in ("F32", "F16"):
            continue
        s = source[name]
        x = quants.dequantize(s.data, s.tensor_type).astype(np.float64).ravel()
        y = quants.dequantize(t.data, t.tensor_type).astype(np.float64).ravel()
        lost += float(((x - y) ** 2).sum())
        norm += float((x**2).sum())
    return (lost / norm) ** 0.5


def make(a, kind, folder):
    ours, theirs = os.path.join(folder, "verge.gguf"), os.path.join(folder, "llama.gguf")
    run([a.verge, "compress", "--force", a.source, "-o", ours, "--type", kind])
    run([os.path.join(a.llama, "llama-quantize"), a.source, theirs, kind, "2"], a.llama)
    return ours, theirs


def number(pattern, text):
    found = re.findall(pattern, text)
    return float(found[-1]) if found else float("nan")


def divergence(a, path, base):
    text = run([os.path.join(a.llama, "llama-perplexity"), "-m", path, "-f", a.text, "-c", "512",
                "-t", "2", "--kl-divergence", "--kl-divergence-base", base], a.llama)
    return (number(r"Mean PPL\(Q\)\s*:\s*([0-9.]+)", text),
            number(r"Mean\s+KLD:\s*([0-9.]+)", text),
            number(r"Same top p:\s*([0-9.]+)", text))


def main():
    ap = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    ap.add_argument("what", choices=["weights", "text"])
    ap.add_argument("source")
    ap.add_argument("text", nargs="?")
    ap.add_argument("--verge", required=True)
    ap.add_argument("--llama", required=True)
    ap.add_argument("--types", default=",".join(TYPES))
    a = ap.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        base = os.path.join(folder, "base")
        if a.what == "text":
            text = run([os.path.join(a.llama, "llama-perplexity"), "-m", a.source, "-f", a.text,
                        "-c", "512", "-t", "2", "--kl-divergence-base", base], a.llama)
            print("source: PPL", number(r"PPL = ([0-9.]+)", text))
        source = tensors(a.source)
        for kind in a.types.split(","):
            ours, theirs = make(a, kind, folder)
            sizes = os.path.getsize(ours), os.path.getsize(theirs)
            if a.what == "weights":
                e, f = error(source, ours), error(source, theirs)
                print(f"{kind:7} {100 * e:.3f}% {100 * f:.3f}% {e / f:.3f}  bytes {sizes}", flush=True)
            else:
                print(f"{kind:7} verge PPL %.4f KL %.5f top1 %.2f%%" % divergence(a, ours, base),
                      "  llama.cpp PPL %.4f KL %.5f top1 %.2f%%" % divergence(a, theirs, base),
                      f"  bytes {sizes}", flush=True)


if __name__ == "__main__":
    main()
