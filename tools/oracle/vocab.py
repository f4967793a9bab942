#!/usr/bin/env python3
"""Golden token ids and decoded texts of several tokenizers.

    vocab.py DATA_DIR OUT_DIR

DATA_DIR as in vocab_to_gguf.py, with vocab/ggml-vocab-gpt-2.gguf besides. For each
vocabulary OUT_DIR/<name>.json:

{"vocab", "oracle", "prefix", "suffix", "cases", "decode"}

"prefix" and "suffix" are the ids around a text if the tokenizer is asked to add special
tokens; "ids" below are without them. A case:
  "text"     the input; "repeat": [text, n] stands for text n times
  "ids"      with the names of special tokens read as plain text
  "special"  with these names read as the tokens, if the ids differ (no such notion in
             SentencePiece, where the field is absent)
  "decoded"  what "ids" decode to, if it is not the input
"decode" has further id sequences: {"ids", "hex"}, the bytes of all tokens in a row, names
of special tokens included (byte-level vocabularies); or {"ids", "text"} (SentencePiece).
"""
import argparse
import json
import pathlib

import gguf
import sentencepiece
import tiktoken
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import AutoTokenizer

from bytelevel import to_bytes
from inputs import texts
from vocab_to_gguf import LLAMA3_SPECIAL, read_tiktoken, sentencepiece_models

# Llama 3's own splitting rule.
LLAMA3_SPLIT = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
                r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")


class Tiktoken:
    def __init__(self, data):
        ranks = read_tiktoken(data / "vocab/llama3/tokenizer.model")
        special = {t: len(ranks) + i for i, t in enumerate(LLAMA3_SPECIAL)}
        self.codec = tiktoken.Encoding("llama3", pat_str=LLAMA3_SPLIT, mergeable_ranks=ranks,
                                       special_tokens=special)
        self.oracle, self.prefix, self.suffix = "tiktoken", [128000], []
        self.special_ids = [128000, 128006, 128009]

    def plain(self, text):
        return self.codec.encode(text, disallowed_special=())

    def special(self, text):
        return self.codec.encode(text, allowed_special="all")

    def decode(self, ids):
        return self.codec.decode_bytes(ids).decode()

    def raw(self, ids):
        return self.codec.decode_bytes(ids)


class HuggingFace:
    """The tokenizers library, on a tokenizer that it or transformers can load."""

    def __init__(self, tokenizer, prefix, suffix, special_ids, byte_level=True):
        self.codec, self.prefix, self.suffix = tokenizer, prefix, suffix
        self.codec.no_truncation()
        self.codec.no_padding()
        self.oracle, self.special_ids, self.byte_level = "tokenizers", special_ids, byte_level
        self.added = {i for i in self.codec.get_added_tokens_decoder()}

    def encode(self, text, plain):
        self.codec.encode_special_tokens = plain
        return self.codec.encode(text, add_special_tokens=False).ids

    def plain(self, text):
        return self.encode(text, True)

    def special(self, text):
        return self.encode(text, False)

    def decode(self, ids):
        return self.codec.decode(ids, skip_special_tokens=False)

    def raw(self, ids):
        pieces = [(i, self.codec.id_to_token(i)) for i in ids]
        return b"".join(p.encode() if i in self.added else to_bytes(p) for i, p in pieces)


class SentencePiece:
    special = None

    def __init__(self, model):
        self.codec = sentencepiece.SentencePieceProcessor(model_proto=model.SerializeToString())
        self.oracle, unigram = "sentencepiece", model.trainer_spec.model_type == 1
        self.prefix = [] if unigram else [self.codec.bos_id()]
        self.suffix = [self.codec.eos_id()] if unigram else []

    def plain(self, text):
        return self.codec.encode(text)

    def decode(self, ids):
        return self.codec.decode(ids)


def gpt2(data):
    """GPT-2's tokenizer from the tokens and merges in a GGUF file."""
    fields = gguf.GGUFReader(data / "vocab/ggml-vocab-gpt-2.gguf").fields
    tokens = fields["tokenizer.ggml.tokens"].contents()
    merges = [tuple(m.split(" ")) for m in fields["tokenizer.ggml.merges"].contents()]
    codec = Tokenizer(models.BPE({t: i for i, t in enumerate(tokens)}, merges))
    codec.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    codec.decoder = decoders.ByteLevel()
    codec.add_special_tokens(["<|endoftext|>"])
    return codec


def oracles(data):
    yield "llama3", Tiktoken(data)
    qwen2 = AutoTokenizer.from_pretrained(data / "vocab/qwen2").backend_tokenizer
    yield "qwen2", HuggingFace(qwen2, [], [], [151644, 151645])
    yield "gpt2", HuggingFace(gpt2(data), [], [], [50256])
    whisper = Tokenizer.from_file(str(data / "vocab/whisper/tokenizer.json"))
    yield "whisper", HuggingFace(whisper, [50258, 50363], [50257], [50258, 50259, 50400])
    minilm = Tokenizer.from_file(str(data / "vocab/minilm/tokenizer.json"))
    minilm.decoder = decoders.WordPiece(cleanup=False)
    yield "minilm", HuggingFace(minilm, [101], [102], [101, 102], byte_level=False)
    for name, model in sentencepiece_models(data).items():
        yield name, SentencePiece(model)


def case(oracle, given):
    text, field = given, {"text": given}
    if isinstance(given, tuple):
        text, field = given[0] * given[1], {"repeat": list(given)}
    ids = oracle.plain(text)
    out = {**field, "ids": ids}
    if oracle.special and oracle.special(text) != ids:
        out["special"] = oracle.special(text)
    decoded = oracle.decode(ids)
    if decoded != text:
        out["decoded"] = decoded
    return out


def decode_cases(oracle):
    """Sequences that no text encodes to: cut characters, special tokens in the middle."""
    if isinstance(oracle, SentencePiece):
        codec = oracle.codec
        hello, fox = codec.encode("Hello a"), codec.encode("\U0001F98A\u4e16")
        some = [hello, [codec.bos_id(), *hello, codec.eos_id()], hello + hello, fox, fox[:3],
                fox[2:], [codec.unk_id()], [*hello, codec.unk_id(), codec.unk_id(), *hello], []]
        if codec.is_byte(3):
            some += [[3 + 0xE4, 3 + 0xB8], [3 + 0xFF, *hello], [3 + 0x41], [*hello, 3 + 0xF0]]
        return [{"ids": ids, "text": codec.decode(ids)} for ids in some]
    if not getattr(oracle, "byte_level", True):
        return []
    fox = oracle.plain("x\U0001F98A\u4e16\u0301 y")
    some = [[i] for i in fox] + [fox[1:], fox[:-2], []]
    for i in oracle.special_ids:
        some += [[i], [*fox[:2], i, *fox[2:]], [i, i]]
    return [{"ids": ids, "hex": oracle.raw(ids).hex()} for ids in some]


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("data", type=pathlib.Path)
    parser.add_argument("out", type=pathlib.Path)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    for name, oracle in oracles(args.data):
        head = {"vocab": name, "oracle": oracle.oracle, "prefix": oracle.prefix,
                "suffix": oracle.suffix}
        rows = {"cases": [case(oracle, t) for t in texts()], "decode": decode_cases(oracle)}
        lines = [json.dumps(head, ensure_ascii=False)[1:-1]]
        for key, values in rows.items():
            body = ",\n".join(json.dumps(v, separators=(",", ":")) for v in values)
            lines.append(f"\"{key}\": [\n{body}\n]")
        path = args.out / f"{name}.json"
        path.write_text("{" + ",\n".join(lines) + "}\n", encoding="utf-8")
        json.loads(path.read_text(encoding="utf-8"))
        print(f"{path.name}: {len(rows['cases'])} cases, {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
