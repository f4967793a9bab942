#!/usr/bin/env python3
"""What quantising costs, by Verge and by llama.cpp, of the same weights at the same size.

    compress.py weights SOURCE.gguf --verge V --llama BIN    error of the weights, by type
    compress.py table SOURCE.gguf --calib TRAIN.txt --text HELDOUT.txt --verge V --llama BIN
    compress.py source CHECKPOINT.pt DATA OUT.gguf TRAIN.txt HELDOUT.txt
    compress.py inputs SOURCE.gguf --calib TEXT --tool build/tests/inputs --llama BIN

SOURCE.gguf holds F32 or F16 matrices.  BIN is the folder of llama-quantize, llama-perplexity and
llama-imatrix (v0.5.0).

weights: both programs write the files; the error is read out of them with the gguf package (0.17):
the root of the squared difference over the root of the squared weights.

table: a line for each type and way of making the file, all with the same bytes of tensors (checked).
Both calibrate on 16384 tokens of TRAIN.txt.  All figures are llama-perplexity's, over HELDOUT.txt in
pieces of the model's context, at most 512: the mean KL divergence from SOURCE.gguf, the mean of
ln(PPL / PPL of SOURCE.gguf), each with its standard error, and how often the likeliest token is the
same.

source: the default model before quantisation, of train.py's checkpoint, and the stories of prepare.py
as two texts.

inputs: the mean square of what each column of each matrix is multiplied with, by Verge's layers and
by llama-imatrix on the same tokens: the root of the squared difference over the root of the squares.
"""
import argparse
import json
import os
import re
import subprocess
import sys
import tempfile

import numpy as np
from gguf import GGMLQuantizationType, GGUFReader, GGUFWriter, quants

TYPES = ["Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q2_K", "Q3_K_M", "Q4_K_S", "Q4_K_M", "Q5_K_S",
         "Q5_K_M", "Q6_K", "IQ4_NL", "IQ4_XS"]
CALIB_TOKENS = 16384

# How a file is made: what the table calls it, and the options of `verge compress`.
WAYS = [
    ("plain", []),
    ("importance", ["--calib", "TEXT", "--no-feedback"]),
    ("AWQ", ["--calib", "TEXT", "--no-feedback", "--awq", "--no-importance"]),
    ("AWQ, importance", ["--calib", "TEXT", "--no-feedback", "--awq"]),
    ("feedback", ["--calib", "TEXT"]),
    ("feedback, AWQ", ["--calib", "TEXT", "--awq"]),
]


def run(command, libs=None):
    env = dict(os.environ, LD_LIBRARY_PATH=libs) if libs else None
    done = subprocess.run(command, env=env, capture_output=True)
    text = (done.stdout + done.stderr).decode(errors="replace")
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}: {text[-2000:]}")
    return text


def llama(a, tool, *args):
    return run([os.path.join(a.llama, tool), *map(str, args)], a.llama)


def tensors(path):
    return {t.name: t for t in GGUFReader(path).tensors}


def tensor_bytes(path):
    return sum(int(t.n_bytes) for t in GGUFReader(path).tensors)


# ---- errors of weights ----------------------------------------------------------------------------

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


def weights(a, folder):
    source = tensors(a.source)
    ours, theirs = os.path.join(folder, "verge.gguf"), os.path.join(folder, "llama.gguf")
    for kind in a.types.split(","):
        run([a.verge, "compress", "--force", a.source, "-o", ours, "--type", kind])
        llama(a, "llama-quantize", a.source, theirs, kind, 2)
        e, f = error(source, ours), error(source, theirs)
        print(f"{kind:7} {100 * e:.3f}% {100 * f:.3f}% {e / f:.3f}  bytes "
              f"{tensor_bytes(ours), tensor_bytes(theirs)}", flush=True)


# ---- perplexity and divergence --------------------------------------------------------------------

def context(path):
    fields = GGUFReader(path).fields
    arch = fields["general.architecture"].contents()
    return min(512, int(fields[f"{arch}.context_length"].contents()))


def divergence(a, path, base, ctx):
    """llama-perplexity may end before all of its output is written; then it runs again."""
    found = {}
    labels = {"kl": r"Mean\s+KLD", "ln": r"Mean ln\(PPL\(Q\)/PPL\(base\)\)", "ppl": r"Mean PPL\(Q\)",
              "top": "Same top p"}
    for _ in range(5):
        text = llama(a, "llama-perplexity", "-m", path, "-f", a.text, "-c", ctx, "-t", 1,
                     "--kl-divergence", "--kl-divergence-base", base)
        for key, label in labels.items():
            m = re.search(label + r"\s*:\s*(-?[0-9.]+) ±\s*([0-9.]+)", text)
            if m:
                found[key] = float(m[1]), float(m[2])
        if len(found) == len(labels):
            return found
    raise SystemExit(f"llama-perplexity: {text[-2000:]}")


def has_options(a, options):
    known = run([a.verge, "compress", "--help"])
    return all(o in known for o in options if o.startswith("--"))


def print_line(kind, way, r, best):
    kl = f"{r['kl'][0]:.5f}"
    print(f"| {kind} | {way} | {'**' + kl + '**' if best else kl} ± {r['kl'][1]:.5f} "
          f"| {100 * r['ln'][0]:+.2f}% ± {100 * r['ln'][1]:.2f} | {r['ppl'][0]:.3f} "
          f"| {r['top'][0]:.2f}% |", flush=True)


def table(a, folder):
    ctx = context(a.source)
    base, out = os.path.join(folder, "base"), os.path.join(folder, "out.gguf")
    matrix = os.path.join(folder, "imatrix.gguf")
    text = llama(a, "llama-perplexity", "-m", a.source, "-f", a.text, "-c", ctx, "-t", 1,
                 "--kl-divergence-base", base)
    print(f"{os.path.basename(a.source)}: PPL {re.search(r'PPL = ([0-9.]+)', text)[1]} "
          f"at {ctx} tokens of context\n")
    llama(a, "llama-imatrix", "-m", a.source, "-f", a.calib, "-c", ctx, "-o", matrix, "-t", 1,
          "--chunks", CALIB_TOKENS // ctx)
    print("| type | made by | KL | ln PPL | PPL | top-1 |\n|---|---|---|---|---|---|")
    for kind in a.types.split(","):
        results, sizes = {}, set()
        for way, options in [("llama.cpp", []), ("llama.cpp, imatrix", ["--imatrix", matrix])]:
            if a.ways and way not in a.ways.split(";"):
                continue
            llama(a, "llama-quantize", *options, a.source, out, kind, 2)
            results[way] = divergence(a, out, base, ctx)
            sizes.add(tensor_bytes(out))
        for way, options in WAYS:
            if not has_options(a, options) or a.ways and way not in a.ways.split(";"):
                continue
            options = [a.calib if o == "TEXT" else o for o in options]
            run([a.verge, "compress", "--force", a.source, "-o", out, "--type", kind, *options])
            results["Verge, " + way] = divergence(a, out, base, ctx)
            sizes.add(tensor_bytes(out))
        least = min(r["kl"][0] for r in results.values())
        for way, r in results.items():
            print_line(kind, way, r, r["kl"][0] == least)
        if len(sizes) > 1:
            print(f"{kind}: tensors of {sorted(sizes)} bytes", file=sys.stderr)


# ---- importances ----------------------------------------------------------------------------------

def inputs(a, folder):
    matrix, ctx = os.path.join(folder, "imatrix.gguf"), context(a.source)
    n_seq = CALIB_TOKENS // ctx
    llama(a, "llama-imatrix", "-m", a.source, "-f", a.calib, "-c", ctx, "-o", matrix, "-t", 1,
          "--chunks", n_seq)
    theirs = {t.name: t.data for t in GGUFReader(matrix).tensors}
    worst = 0.0
    for line in run([a.tool, a.source, a.calib, str(ctx), str(n_seq)]).splitlines():
        name, *sums = line.split()
        ours = np.array(sums, dtype=np.float64) / (ctx * n_seq)
        other = theirs[name + ".in_sum2"].ravel() / float(theirs[name + ".counts"].ravel()[0])
        off = float((((ours - other) ** 2).sum() / (other**2).sum()) ** 0.5)
        worst = max(worst, off)
        print(f"{name:28} {off:.2e}")
    print(f"largest {worst:.2e}")


# ---- the default model ----------------------------------------------------------------------------

def write_source(a):
    sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "default-model"))
    import export
    import torch

    class Writer(GGUFWriter):
        """Matrices that export.py has as Q8_0 stay F32."""

        def add_tensor(self, name, tensor, raw_dtype=None, **more):
            if raw_dtype == GGMLQuantizationType.Q8_0:
                tensor = export.f32[id(tensor)]
            super().add_tensor(name, tensor)

    def keep(w, kind):
        coded = quants.quantize(w, kind)
        export.f32[id(coded)] = np.array(w, dtype=np.float32)
        export.kept.append(coded)
        return coded

    export.f32, export.kept = {}, []
    export.gguf.GGUFWriter = Writer
    export.quants = type("", (), {"quantize": staticmethod(keep)})
    saved = torch.load(a.checkpoint)
    with open(os.path.join(a.data, "tokenizer.json"), encoding="utf-8") as f:
        export.write_gguf(a.out, saved["model"], saved["config"], json.load(f), "verge-default")
    for name, path in (("train", a.train), ("heldout", a.heldout)):
        with open(os.path.join(a.data, name + ".jsonl"), encoding="utf-8") as f:
            stories = [json.loads(line)["text"] for line in f]
        with open(path, "w", encoding="utf-8") as f:
            f.write("\n".join(stories))


def main():
    ap = argparse.ArgumentParser(description=__doc__, add_help=True,
                                 formatter_class=argparse.RawDescriptionHelpFormatter)
    sub = ap.add_subparsers(dest="what", required=True)
    for name in ("weights", "table"):
        p = sub.add_parser(name)
        p.add_argument("source")
        p.add_argument("--verge", required=True)
        p.add_argument("--llama", required=True)
        p.add_argument("--types", default=",".join(TYPES))
        if name == "table":
            p.add_argument("--calib", required=True)
            p.add_argument("--text", required=True)
            p.add_argument("--ways", help="some of them, with ';' between")
    p = sub.add_parser("inputs")
    p.add_argument("source")
    for name in ("--calib", "--tool", "--llama"):
        p.add_argument(name, required=True)
    p = sub.add_parser("source")
    for name in ("checkpoint", "data", "out", "train", "heldout"):
        p.add_argument(name)
    a = ap.parse_args()
    if a.what == "source":
        return write_source(a)
    with tempfile.TemporaryDirectory() as folder:
        {"weights": weights, "table": table, "inputs": inputs}[a.what](a, folder)


if __name__ == "__main__":
    main()
