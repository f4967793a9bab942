#!/usr/bin/env python3
"""Turn raw tokenizer files into GGUF files that hold a vocabulary and no tensors.

    vocab_to_gguf.py DATA_DIR OUT_DIR

DATA_DIR has vocab/llama3/tokenizer.model (tiktoken), vocab/qwen2/{vocab.json,merges.txt},
vocab/whisper/tokenizer.json, vocab/minilm/tokenizer.json, vocab/sentencepiece/*.model,
llm/stories260K/{tokenizer.model,tok512.bin} and llm/babyllama/tok105.model. The keys and
the spelling of tokens are those that llama.cpp reads. The results carry the vendors'
vocabularies and do not belong in the tree; tests look for them outside.
"""
import argparse
import base64
import json
import pathlib
import struct

import gguf
from gguf import TokenType
from sentencepiece import sentencepiece_model_pb2 as sp_pb

from bytelevel import to_symbols

LLAMA3_SPECIAL = [
    "<|begin_of_text|>", "<|end_of_text|>", *(f"<|reserved_special_token_{i}|>" for i in range(4)),
    "<|start_header_id|>", "<|end_header_id|>", "<|reserved_special_token_4|>", "<|eot_id|>",
    *(f"<|reserved_special_token_{i}|>" for i in range(5, 251))]


def start(path, arch="llama"):
    """A writer with the few hyperparameters that readers insist on."""
    w = gguf.GGUFWriter(path, arch)
    w.add_name("vocabulary")
    w.add_context_length(512)
    w.add_embedding_length(64)
    w.add_block_count(1)
    w.add_feed_forward_length(64)
    w.add_head_count(1)
    w.add_layer_norm_rms_eps(1e-6)
    w.add_layer_norm_eps(1e-6)
    return w


def finish(w):
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


def tokens_and_types(vocab, added):
    """Lists by id from {token: id} and tokenizers' added tokens."""
    size = 1 + max([*vocab.values(), *(a["id"] for a in added)])
    tokens = [f"[PAD{i}]" for i in range(size)]
    types = [TokenType.UNUSED] * size
    for token, i in vocab.items():
        tokens[i], types[i] = token, TokenType.NORMAL
    for a in added:
        tokens[a["id"]] = a["content"]
        types[a["id"]] = TokenType.CONTROL if a["special"] else TokenType.USER_DEFINED
    return tokens, types


def byte_bpe(path, pre, tokens, types, merges, bos, eos, add_bos):
    w = start(path)
    w.add_tokenizer_model("gpt2")
    w.add_tokenizer_pre(pre)
    w.add_token_list(tokens)
    w.add_token_types(types)
    w.add_token_merges(merges)
    if bos is not None:
        w.add_bos_token_id(bos)
    w.add_eos_token_id(eos)
    w.add_add_bos_token(add_bos)
    finish(w)


def read_tiktoken(path):
    """{token bytes: rank} of a tiktoken file."""
    lines = (line.split() for line in path.read_text().splitlines() if line)
    return {base64.b64decode(token): int(rank) for token, rank in lines}


def merges_of(token, ranks):
    """All pairs of tokens that make up this one, as files in the field list them.

    tiktoken joins any neighbours whose concatenation is a token, lowest rank of the result
    first; merge lists name pairs, so each way to split the token is an entry.
    """
    splits = [(token[:i], token[i:]) for i in range(1, len(token))]
    pairs = [(a, b) for a, b in splits if a in ranks and b in ranks]
    return sorted(pairs, key=lambda pair: (ranks[pair[0]], ranks[pair[1]]))


def llama3(data, path):
    ranks = read_tiktoken(data / "vocab/llama3/tokenizer.model")
    by_rank = sorted(ranks, key=ranks.get)
    merges = [f"{to_symbols(a)} {to_symbols(b)}" for t in by_rank for a, b in merges_of(t, ranks)]
    tokens = [to_symbols(t) for t in by_rank] + LLAMA3_SPECIAL
    types = [TokenType.NORMAL] * len(by_rank) + [TokenType.CONTROL] * len(LLAMA3_SPECIAL)
    byte_bpe(path, "llama-bpe", tokens, types, merges, 128000, 128009, True)


def qwen2(data, path):
    folder = data / "vocab/qwen2"
    config = json.loads((folder / "tokenizer_config.json").read_text())
    added = [{"id": int(i), **a} for i, a in config["added_tokens_decoder"].items()]
    tokens, types = tokens_and_types(json.loads((folder / "vocab.json").read_text()), added)
    merges = (folder / "merges.txt").read_text().splitlines()
    merges = [m for m in merges if m and not m.startswith("#version")]
    byte_bpe(path, "qwen2", tokens, types, merges, None, 151645, False)


def whisper(data, path):
    d = json.loads((data / "vocab/whisper/tokenizer.json").read_text())
    tokens, types = tokens_and_types(d["model"]["vocab"], d["added_tokens"])
    merges = [m if isinstance(m, str) else " ".join(m) for m in d["model"]["merges"]]
    byte_bpe(path, "gpt-2", tokens, types, merges, None, 50257, False)


def minilm(data, path):
    """WordPiece in GGUF: word starts carry U+2581, continuations lose their ##."""
    d = json.loads((data / "vocab/minilm/tokenizer.json").read_text())
    tokens, types = tokens_and_types(d["model"]["vocab"], d["added_tokens"])
    tokens = [t if kind == TokenType.CONTROL or t.startswith("[unused")
              else t[2:] if t.startswith("##") else "\u2581" + t
              for t, kind in zip(tokens, types)]
    w = start(path, "bert")
    w.add_tokenizer_model("bert")
    w.add_tokenizer_pre("bert-bge")
    w.add_token_list(tokens)
    w.add_token_types(types)
    w.add_token_type_count(2)
    w.add_pad_token_id(0)
    w.add_unk_token_id(100)
    # Older files name the classification token apart, newer ones as the beginning of text.
    w.add_uint32("tokenizer.ggml.cls_token_id", 101)
    w.add_bos_token_id(101)
    w.add_sep_token_id(102)
    w.add_mask_token_id(103)
    finish(w)


def sentencepiece(model, path):
    """A ModelProto of either kind: Unigram is "t5" in GGUF, BPE is "llama"."""
    trainer, normalizer = model.trainer_spec, model.normalizer_spec
    unigram = trainer.model_type == sp_pb.TrainerSpec.UNIGRAM
    w = start(path, "t5" if unigram else "llama")
    w.add_tokenizer_model("t5" if unigram else "llama")
    w.add_tokenizer_pre("default")
    w.add_token_list([p.piece.encode() for p in model.pieces])
    w.add_token_scores([p.score for p in model.pieces])
    w.add_token_types([TokenType(p.type) for p in model.pieces])
    w.add_add_space_prefix(normalizer.add_dummy_prefix)
    w.add_remove_extra_whitespaces(normalizer.remove_extra_whitespaces)
    if normalizer.precompiled_charsmap:
        w.add_precompiled_charsmap(normalizer.precompiled_charsmap)
    w.add_bos_token_id(trainer.bos_id)
    w.add_eos_token_id(trainer.eos_id)
    w.add_unk_token_id(trainer.unk_id)
    w.add_add_bos_token(not unigram)
    w.add_add_eos_token(unigram)
    finish(w)


def read_model(path):
    model = sp_pb.ModelProto()
    model.ParseFromString(path.read_bytes())
    return model


def read_llama2c(path):
    """A vocabulary of llama2.c as a SentencePiece BPE model, which it was exported from.

    The file: i32 longest token, then of each token f32 score, i32 bytes, the bytes. The
    first three are <unk>, <s>, </s>, then come 256 byte tokens; U+2581 stands as a space.
    """
    data, at, model = path.read_bytes(), 4, sp_pb.ModelProto()
    kinds = sp_pb.ModelProto.SentencePiece
    while at < len(data):
        score, n = struct.unpack_from("<fi", data, at)
        text = data[at + 8:at + 8 + n].decode().replace(" ", "\u2581")
        at += 8 + n
        i = len(model.pieces)
        kind = (kinds.UNKNOWN if i == 0 else kinds.CONTROL if i < 3
                else kinds.BYTE if i < 259 else kinds.NORMAL)
        piece = text.strip("\n") if i < 3 else text
        model.pieces.add(piece=piece, score=score, type=kind)
    model.trainer_spec.model_type = sp_pb.TrainerSpec.BPE
    model.trainer_spec.vocab_size = len(model.pieces)
    model.trainer_spec.byte_fallback = True
    model.normalizer_spec.name = "identity"
    model.normalizer_spec.add_dummy_prefix = True
    model.normalizer_spec.remove_extra_whitespaces = False
    return model


def sentencepiece_models(data):
    """{name: ModelProto}, shared with vocab.py."""
    return {
        "unigram-en": read_model(data / "vocab/sentencepiece/test_model.model"),
        "unigram-ja": read_model(data / "vocab/sentencepiece/test_ja_model.model"),
        "llama2": read_model(data / "llm/stories260K/tokenizer.model"),
        "tok105": read_model(data / "llm/babyllama/tok105.model"),
        "tok512": read_llama2c(data / "llm/stories260K/tok512.bin"),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("data", type=pathlib.Path)
    parser.add_argument("out", type=pathlib.Path)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    for make in (llama3, qwen2, whisper, minilm):
        make(args.data, args.out / f"{make.__name__}.gguf")
    for name, model in sentencepiece_models(args.data).items():
        sentencepiece(model, args.out / f"{name}.gguf")
    for path in sorted(args.out.glob("*.gguf")):
        print(path.name, path.stat().st_size, "bytes")


if __name__ == "__main__":
    main()
