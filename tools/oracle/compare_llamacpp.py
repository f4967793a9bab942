#!/usr/bin/env python3
"""Compare the goldens of families.py with what llama.cpp computes from the same GGUF.

    compare_llamacpp.py ARCH_DIR [NAME ...]

Needs the llama-cpp-python package. The key-value cache is float32 and flash attention
is off, so that only the order of float32 operations differs. Prints per golden the
largest difference over the standard deviation of the logits. A context of 256 (what
the -short goldens of LongRoPE need) makes llama.cpp take the short factors.
"""
import argparse
import ctypes
import pathlib
import struct

import llama_cpp as lc
import numpy as np


def read_golden(path):
    data = path.read_bytes()
    magic, version, n_tokens, n_vocab, n_kept = struct.unpack_from("<4s4I", data)
    assert magic == b"VGLG" and version == 1
    at = 20
    tokens = np.frombuffer(data, "<i4", n_tokens, at)
    kept = np.frombuffer(data, "<u4", n_kept, at + 4 * n_tokens)
    logits = np.frombuffer(data, "<f4", n_kept * n_vocab, at + 4 * (n_tokens + n_kept))
    return tokens, kept, logits.reshape(n_kept, n_vocab)


def evaluate(model_path, tokens, n_ctx):
    """Logits of llama.cpp at every position, [n_tokens, n_vocab]."""
    model = lc.llama_model_load_from_file(str(model_path).encode(), lc.llama_model_default_params())
    assert model, model_path
    params = lc.llama_context_default_params()
    params.n_ctx = params.n_batch = params.n_ubatch = n_ctx
    params.n_threads = params.n_threads_batch = 1
    params.type_k = params.type_v = lc.GGML_TYPE_F32
    params.flash_attn_type = lc.LLAMA_FLASH_ATTN_TYPE_DISABLED
    context = lc.llama_init_from_model(model, params)
    batch = lc.llama_batch_init(len(tokens), 0, 1)
    batch.n_tokens = len(tokens)
    for i, token in enumerate(tokens):
        batch.token[i], batch.pos[i] = int(token), i
        batch.n_seq_id[i], batch.seq_id[i][0], batch.logits[i] = 1, 0, 1
    assert lc.llama_decode(context, batch) == 0
    n_vocab = lc.llama_vocab_n_tokens(lc.llama_model_get_vocab(model))
    rows = np.ctypeslib.as_array(lc.llama_get_logits(context), (len(tokens), n_vocab)).copy()
    lc.llama_batch_free(batch)
    lc.llama_free(context)
    lc.llama_model_free(model)
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("names", nargs="*", metavar="NAME")
    args = parser.parse_args()
    silent = lc.llama_log_callback(lambda level, text, data: None)
    lc.llama_log_set(silent, ctypes.c_void_p(0))
    lc.llama_backend_init()
    for golden in sorted(args.folder.glob("*.golden")):
        name = golden.stem.removesuffix("-short").removesuffix("-long")
        if args.names and name not in args.names:
            continue
        tokens, kept, expected = read_golden(golden)
        n_ctx = 256 if len(tokens) <= 256 else 512
        found = evaluate(args.folder / f"{name}.gguf", tokens, n_ctx)[kept]
        worst = np.abs(found - expected).max(axis=1) / expected.std()
        print(f"{golden.stem:22} largest difference {worst.max():.2e} "
              f"at position {kept[worst.argmax()]}")


if __name__ == "__main__":
    main()
