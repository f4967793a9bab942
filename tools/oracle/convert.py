#!/usr/bin/env python3
"""Convert tiny checkpoints of every family and compare with three others.

    convert.py VERGE LOGITS GOLDEN [NAME ...] [--llama-cpp DIR] [--keep DIR]
    convert.py --write tests/golden/convert

VERGE and LOGITS are the built programs app/verge and tests/logits, GOLDEN is
tests/golden/arch. The checkpoints are those that families.py makes the goldens of,
saved by Hugging Face transformers, every second one in shards. Compared are
  - tensors, bit for bit, with GOLDEN/NAME.gguf (rope_freqs: one unit in the last place);
  - logits of the converted file with GOLDEN/NAME.golden, which transformers computed;
  - tensors and keys with llama.cpp's convert_hf_to_gguf.py, where --llama-cpp names its
    source folder (F32, F16, BF16 and auto).

--write makes the checkpoints that the tests convert, smaller ones, in BF16, with NAME.crc: a line
a tensor of the GGUF file (name, type, dimensions, CRC-32 of the bytes) by the mapping of
families.py.
"""
import argparse
import json
import pathlib
import struct
import subprocess
import sys
import tempfile
import zlib

import gguf
import numpy as np
import torch
from transformers import AutoModelForCausalLM, CONFIG_MAPPING

from bytelevel import byte_symbols
from families import COMMON, EAGER, FAMILIES, GEMMA, VOCAB, fill, gguf_tensors, longrope

# Keys that describe a file and do not steer a model, and those that repeat a reader's default.
DESCRIBING = {"general.name", "general.size_label", "general.basename", "general.finetune",
              "general.type", "general.license", "general.tags", "general.languages"}
DEFAULTS = {"attention.key_length", "attention.value_length", "vocab_size", "rope.freq_base",
            "rope.dimension_count", "rope.freq_base_swa"}


def write_tokenizer(folder, arch):
    """The vocabulary of families.py as tokenizer.json."""
    tokens = ["<s>", "</s>", *byte_symbols()[:VOCAB - 3], "ab"]
    added = [{"id": i, "content": t, "single_word": False, "lstrip": False, "rstrip": False,
              "normalized": False, "special": True} for i, t in enumerate(tokens[:2])]
    level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True,
             "use_regex": True}
    (folder / "tokenizer.json").write_text(json.dumps({
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": added,
        "normalizer": None, "pre_tokenizer": level, "post_processor": level, "decoder": level,
        "model": {"type": "BPE", "dropout": None, "unk_token": None,
                  "continuing_subword_prefix": None, "end_of_word_suffix": None,
                  "fuse_unk": False, "byte_fallback": False, "ignore_merges": False,
                  "vocab": {t: i for i, t in enumerate(tokens)}, "merges": [["a", "b"]]}}))
    # llama.cpp takes byte-level BPE in Phi-3 for this class alone.
    (folder / "tokenizer_config.json").write_text(json.dumps({
        "bos_token": "<s>", "eos_token": "</s>", "unk_token": "</s>",
        "tokenizer_class": "GPT2Tokenizer" if arch == "phi3" else "PreTrainedTokenizerFast",
        "chat_template": "{{ messages[0].content }}"}))


# Of one or two layers, 16 wide.
SMALL = dict(hidden_size=16, intermediate_size=24, num_hidden_layers=1, num_attention_heads=2,
             num_key_value_heads=1, head_dim=8)
SMALL_NAMES = {"llama3": {}, "qwen2": {}, "gemma3": dict(num_hidden_layers=2), "qwen3moe": dict(
    num_experts=3, num_experts_per_tok=2, moe_intermediate_size=8), "phi4-longrope": dict(
        rope_parameters=longrope(3, partial_rotary_factor=0.75)), "llama-bias": {}, "mistral": {},
    "qwen3": {}, "gemma2": dict(num_hidden_layers=2), "phi3-swa": {}, "granite": {},
    "smollm3": dict(num_hidden_layers=4)}


def write_small(out, name):
    model_type, arch, config, _ = FAMILIES[name]
    cfg = CONFIG_MAPPING[model_type](**(COMMON | config | SMALL | SMALL_NAMES[name]))
    model = AutoModelForCausalLM.from_config(cfg, **EAGER)
    fill(model, np.random.default_rng(sum(name.encode())), arch in GEMMA)
    model = model.to(torch.bfloat16)
    folder = out / name
    with tempfile.TemporaryDirectory() as temp:
        one = pathlib.Path(temp)
        model.to(torch.float32).save_pretrained(one)
        lines = []
        for tensor, values in gguf_tensors(one, arch, cfg):
            kind, data = "F32", np.ascontiguousarray(values, "<f4")
            if data.ndim > 1 and not tensor.endswith("gate_inp.weight"):
                kind, data = "BF16", (data.view("<u4") >> 16).astype("<u2")
            dims = "x".join(str(n) for n in reversed(data.shape))
            lines.append(f"{tensor} {kind} {dims} {zlib.crc32(data.tobytes()):08x}\n")
    model.to(torch.bfloat16).save_pretrained(
        folder, max_shard_size="8KB" if name == "qwen2" else "5GB")
    (folder / "generation_config.json").unlink(missing_ok=True)
    write_tokenizer(folder, arch)
    (out / f"{name}.crc").write_text("".join(sorted(lines)))


def make_checkpoint(folder, name, sharded):
    model_type, arch, config, extras = FAMILIES[name]
    cfg = CONFIG_MAPPING[model_type](**(COMMON | config))
    model = AutoModelForCausalLM.from_config(cfg, **EAGER)
    fill(model, np.random.default_rng(sum(name.encode())), arch in GEMMA)
    weights = model.state_dict()
    kind = {"f16": torch.float16, "bf16": torch.bfloat16}.get(extras.get("weights"))
    if kind: # vectors stay as they are, as in the goldens
        weights = {k: w.to(kind) if w.dim() > 1 else w for k, w in weights.items()}
    model.save_pretrained(folder, state_dict=weights,
                          max_shard_size="60KB" if sharded else "5GB")
    write_tokenizer(folder, arch)


def field_value(field):
    return field.contents()


def read(path):
    r = gguf.GGUFReader(path)
    keys = {k: field_value(f) for k, f in r.fields.items() if not k.startswith("GGUF.")}
    return keys, {t.name: (t.tensor_type, tuple(t.shape), np.array(t.data)) for t in r.tensors}


def compare_tensors(what, ours, theirs):
    assert ours.keys() == theirs.keys(), (what, sorted(ours.keys() ^ theirs.keys()))
    for name, (kind, shape, data) in theirs.items():
        k, s, d = ours[name]
        assert (k, s) == (kind, shape), (what, name, k, s, kind, shape)
        if name == "rope_freqs.weight":
            assert np.allclose(d, data, rtol=3e-7, atol=0), (what, name)
        else:
            assert d.tobytes() == data.tobytes(), (what, name)


def compare_keys(what, ours, theirs):
    arch = theirs["general.architecture"]
    for key in sorted(ours.keys() | theirs.keys()):
        a, b = ours.get(key), theirs.get(key)
        suffix = key.removeprefix(arch + ".")
        if key in DESCRIBING or (b is None and suffix in DEFAULTS):
            continue
        same = np.float32(a) == np.float32(b) if isinstance(a, float) and b is not None else a == b
        assert same, (what, key, a, b)


def compare_logits(program, path, golden):
    raw = golden.read_bytes()
    _, _, n, n_vocab, n_kept = struct.unpack_from("<4s4I", raw)
    tokens = np.frombuffer(raw, "<i4", n, 20)
    kept = np.frombuffer(raw, "<u4", n_kept, 20 + 4 * n)
    want = np.frombuffer(raw, "<f4", n_kept * n_vocab, 20 + 4 * (n + n_kept))
    out = subprocess.run([program, path, "f32", *map(str, tokens)], check=True,
                         capture_output=True).stdout
    ours = np.frombuffer(out, "<f4").reshape(n, n_vocab)[kept]
    return np.abs(ours - want.reshape(n_kept, n_vocab)).max() / want.std()


def llama_cpp(source, folder, out, kind):
    """Runs the converter with this vocabulary's pre-tokenizer made known to it."""
    code = ("import sys, runpy; from conversion.base import TextModel; "
            "TextModel.get_vocab_base_pre = lambda self, tokenizer: 'gpt-2'; "
            "import transformers; "
            "transformers.AutoTokenizer = transformers.PreTrainedTokenizerFast; "
            "sys.argv = ['convert_hf_to_gguf.py', *sys.argv[1:]]; "
            f"runpy.run_path({str(source / 'convert_hf_to_gguf.py')!r}, run_name='__main__')")
    env = {"PYTHONPATH": f"{source}:{source / 'gguf-py'}", "PATH": "/usr/bin:/bin", "HOME": "/tmp"}
    done = subprocess.run([sys.executable, "-c", code, folder, "--outfile", out, "--outtype", kind],
                          env=env, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"llama.cpp's converter failed:\n{done.stderr[-3000:]}")


def check(args, name, folder, i):
    arch = FAMILIES[name][1]
    make_checkpoint(folder, name, i % 2 == 1)
    golden = {"f16": "f16", "bf16": "bf16"}.get(FAMILIES[name][3].get("weights"), "f32")
    out = folder / "ours.gguf"
    for kind in ["f16", "bf16", "auto", "f32"] if args.llama_cpp else []:
        subprocess.run([args.verge, "convert", folder, "-o", out, "--type", kind, "--force"],
                       check=True, capture_output=True)
        llama_cpp(args.llama_cpp, folder, folder / "theirs.gguf", kind)
        ours, theirs = read(out), read(folder / "theirs.gguf")
        # llama.cpp leaves out Gemma 2's RoPE and writes Phi-3's rotation from a rounded share.
        compare_tensors(f"{name} {kind} llama.cpp", ours[1], theirs[1])
        compare_keys(f"{name} {kind} llama.cpp", ours[0], theirs[0])
    subprocess.run([args.verge, "convert", folder, "-o", out, "--type", golden, "--force"],
                   check=True, stdout=subprocess.DEVNULL)
    compare_tensors(name, read(out)[1], read(args.golden / f"{name}.gguf")[1])
    ends = ["-short", "-long"] if "longrope" in name else [""]
    far = max(compare_logits(args.logits, out, args.golden / f"{name}{end}.golden")
              for end in ends)
    print(f"{name:16} {arch:9} tensors equal{', llama.cpp too' if args.llama_cpp else ''}; "
          f"largest difference of logits / deviation {far:.1e}", flush=True)
    assert far < (1e-2 if golden != "f32" else 1e-3), far


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("verge", type=pathlib.Path, nargs="?")
    parser.add_argument("logits", type=pathlib.Path, nargs="?")
    parser.add_argument("golden", type=pathlib.Path, nargs="?")
    parser.add_argument("names", nargs="*", default=list(FAMILIES), metavar="NAME")
    parser.add_argument("--llama-cpp", type=pathlib.Path)
    parser.add_argument("--keep", type=pathlib.Path)
    parser.add_argument("--write", type=pathlib.Path, metavar="DIR")
    args = parser.parse_args()
    torch.set_num_threads(1)
    if args.write:
        for name in SMALL_NAMES:
            write_small(args.write, name)
        return
    for i, name in enumerate(args.names):
        with tempfile.TemporaryDirectory() as temp:
            folder = (args.keep or pathlib.Path(temp)) / name
            folder.mkdir(parents=True)
            check(args, name, folder, i)


if __name__ == "__main__":
    main()
