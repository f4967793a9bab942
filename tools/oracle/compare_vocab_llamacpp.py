#!/usr/bin/env python3
"""Compare the goldens of vocab.py with llama.cpp on the files of vocab_to_gguf.py.

    compare_vocab_llamacpp.py VOCAB_GGUF_DIR GOLDEN_DIR

Needs the llama-cpp-python package. Prints the texts that llama.cpp tokenises otherwise.
"""
import argparse
import ctypes
import json
import pathlib

import llama_cpp as lc


def open_vocab(path):
    params = lc.llama_model_default_params()
    params.vocab_only = True
    model = lc.llama_model_load_from_file(str(path).encode(), params)
    assert model, path
    return lc.llama_model_get_vocab(model)


def tokenize(vocab, text, special):
    data = text.encode()
    ids = (lc.llama_token * (len(data) + 16))()
    n = lc.llama_tokenize(vocab, data, len(data), ids, len(ids), False, special)
    assert n >= 0
    return ids[:n]


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("vocabularies", type=pathlib.Path)
    parser.add_argument("goldens", type=pathlib.Path)
    args = parser.parse_args()
    silent = lc.llama_log_callback(lambda level, text, data: None)
    lc.llama_log_set(silent, ctypes.c_void_p(0))
    for path in sorted(args.vocabularies.glob("*.gguf")):
        if path.stem == "tok105":  # has no byte tokens; llama.cpp ends the process over that
            continue
        vocab = open_vocab(path)
        cases = json.loads((args.goldens / f"{path.stem}.json").read_text())["cases"]
        unlike = []
        for case in cases:
            text = case["text"] if "text" in case else case["repeat"][0] * case["repeat"][1]
            for field, special in (("ids", False), ("special", True)):
                if field in case and tokenize(vocab, text, special) != case[field]:
                    unlike.append(f"    {field} {text[:60]!r}")
        print(f"{path.stem}: {len(unlike)} of {len(cases)} unlike", *unlike, sep="\n")


if __name__ == "__main__":
    main()
