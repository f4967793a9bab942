#!/usr/bin/env python3
"""Trains four tiny tokenizers on this project's own documents, one of each kind, and writes them as
GGUF with the ids that the original libraries give for a few hundred texts.

    python3 tools/vocab/small.py tests/golden/vocab

small-bpe (HF tokenizers, byte-level, the rules of Qwen2, form C), small-spm (SentencePiece BPE with
byte fallback), small-unigram (SentencePiece, with a character map of our own), small-wordpiece (HF,
as BERT uncased). The JSON is that of tools/oracle/vocab.py; "decode" here has, for ids of small-bpe,
what Python makes of the bytes with errors="replace".
"""
import io
import json
import pathlib
import random
import sys

import gguf
import sentencepiece
from gguf import TokenType
from sentencepiece import sentencepiece_model_pb2 as sp_pb
from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers

from pretok import FIXED, KINDS, texts

ROOT = pathlib.Path(__file__).resolve().parents[2]
# Full-width forms, a ligature, white space, and what vanishes.
RULES = ([(f"{0xFF01 + i:X}", f"{0x21 + i:X}") for i in range(94)]
         + [("3000", "20"), ("A0", "20"), ("9", "20"), ("A", "20"), ("FB01", "66 69"), ("AD", ""),
            ("65 301", "E9"), ("2026", "2E 2E 2E"), ("3D2", "3A5")])
SPECIAL_TEXTS = ["<|im_start|>user\nHi<|im_end|>\n", "a<|endoftext|>", "<tool>x<tool>s <tools>",
                 "<|im_start|", "[CLS] a [SEP][MASK]", "##ing [UNK]"]


def corpus():
    names = ["docs/DESIGN.md", "docs/STYLE.md", "docs/LIBRARIES.md", "include/verge.h"]
    lines = [line for n in names for line in (ROOT / n).read_text().splitlines()]
    return lines + FIXED[:16] * 3


def cases():
    rng = random.Random(2)
    return FIXED + SPECIAL_TEXTS + rng.sample(texts()[len(FIXED):], 150)


def writer(path, model, pre, tokens, types):
    w = gguf.GGUFWriter(path, "llama")
    w.add_tokenizer_model(model)
    w.add_tokenizer_pre(pre)
    w.add_token_list(tokens)
    w.add_token_types(types)
    return w


def finish(w):
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


def golden(out, name, oracle, prefix, suffix, entries, decode=()):
    head = {"vocab": name, "oracle": oracle, "prefix": prefix, "suffix": suffix}
    with open(out / f"{name}.json", "w") as f:
        f.write(json.dumps(head)[:-1] + ",\n\"cases\": [\n")
        f.write(",\n".join(json.dumps(e, separators=(",", ":")) for e in entries))
        f.write("\n],\n\"decode\": [\n")
        f.write(",\n".join(json.dumps(e, separators=(",", ":")) for e in decode))
        f.write("\n]}\n")


def hf_entries(t):
    entries = []
    for text in cases():
        t.encode_special_tokens = True
        e = {"text": text, "ids": t.encode(text, add_special_tokens=False).ids}
        t.encode_special_tokens = False
        special = t.encode(text, add_special_tokens=False).ids
        if special != e["ids"]:
            e["special"] = special
        entries.append(e)
    return entries


def hf_tokens(t, special):
    by_id = sorted(t.get_vocab().items(), key=lambda kv: kv[1])
    added = {i: a for i, a in t.get_added_tokens_decoder().items()}
    types = [TokenType.CONTROL if i in added and added[i].special
             else TokenType.USER_DEFINED if i in added else TokenType.NORMAL for _, i in by_id]
    assert special <= {tok for tok, _ in by_id}
    return [tok for tok, _ in by_id], types


def bpe(out):
    t = Tokenizer(models.BPE())
    t.normalizer = normalizers.NFC()
    t.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(KINDS["qwen2"][0]), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    t.train_from_iterator(corpus(), trainers.BpeTrainer(
        vocab_size=512, show_progress=False, special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    t.add_tokens([AddedToken("<tool>", normalized=False), AddedToken("<tool>s", normalized=False)])
    tokens, types = hf_tokens(t, set(special))
    merges = json.loads(t.to_str())["model"]["merges"]
    w = writer(out / "small-bpe.gguf", "gpt2", "qwen2", tokens, types)
    w.add_token_merges([" ".join(m) if isinstance(m, list) else m for m in merges])
    w.add_eos_token_id(2)
    w.add_add_bos_token(False)
    finish(w)

    entries = hf_entries(t)
    for e in entries:
        if normalizers.NFC().normalize_str(e["text"]) != e["text"]:
            e["decoded"] = normalizers.NFC().normalize_str(e["text"])
    byte_of = {s: b for b, s in enumerate_bytes()}
    rng, decode = random.Random(3), []
    byte_ids = [i for i, tok in enumerate(tokens) if len(tok) == 1]
    for n in [1, 2, 3, 4, 5, 8] * 40:
        ids = [rng.choice(byte_ids if rng.random() < .9 else range(3, len(tokens) - 2))
               for _ in range(n)]
        if rng.random() < .7:  # mostly broken characters
            ids = [i for i in byte_ids if rng.random() < .04
                   and byte_of[tokens[i]] > 0x7F][:n] + ids[:2]
            rng.shuffle(ids)
        raw = bytes(byte_of[c] for i in ids for c in tokens[i])
        decode.append({"ids": ids, "text": raw.decode("utf-8", "replace")})
    golden(out, "small-bpe", "tokenizers", [], [], entries, decode)


def enumerate_bytes():
    """GPT-2's alphabet: (byte, symbol)."""
    plain = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [b for b in range(256) if b not in plain]
    return [(b, chr(b)) for b in plain] + [(b, chr(256 + i)) for i, b in enumerate(others)]


def train_sp(**options):
    buf = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(corpus()), model_writer=buf, minloglevel=2, num_threads=1,
        hard_vocab_limit=False, **options)
    model = sp_pb.ModelProto()
    model.ParseFromString(buf.getvalue())
    return model


def sp_write(out, name, kind, model):
    n = model.normalizer_spec
    w = writer(out / f"{name}.gguf", kind, "default", [p.piece.encode() for p in model.pieces],
               [TokenType(p.type) for p in model.pieces])
    w.add_token_scores([p.score for p in model.pieces])
    w.add_add_space_prefix(n.add_dummy_prefix)
    w.add_remove_extra_whitespaces(n.remove_extra_whitespaces)
    if n.precompiled_charsmap:
        w.add_precompiled_charsmap(n.precompiled_charsmap)
    w.add_bos_token_id(1)
    w.add_eos_token_id(2)
    w.add_unk_token_id(0)
    w.add_add_bos_token(kind == "llama")
    w.add_add_eos_token(kind == "t5")
    finish(w)

    sp = sentencepiece.SentencePieceProcessor(model_proto=model.SerializeToString())
    entries = []
    for text in cases():
        e = {"text": text, "ids": sp.encode(text)}
        if sp.decode(e["ids"]) != text:
            e["decoded"] = sp.decode(e["ids"])
        entries.append(e)
    golden(out, name, "sentencepiece", [1] if kind == "llama" else [],
           [2] if kind == "t5" else [], entries)


def sentencepieces(out):
    sp_write(out, "small-spm", "llama", train_sp(
        model_type="bpe", vocab_size=700, byte_fallback=True, normalization_rule_name="identity",
        remove_extra_whitespaces=False, allow_whitespace_only_pieces=True,
        character_coverage=0.995))
    rules = out / "rules.tsv"
    rules.write_text("".join(f"{a}\t{b}\n" for a, b in RULES))
    sp_write(out, "small-unigram", "t5", train_sp(
        model_type="unigram", vocab_size=500, normalization_rule_tsv=str(rules),
        character_coverage=0.99))
    rules.unlink()


def wordpiece(out):
    t = Tokenizer(models.WordPiece(unk_token="[UNK]", max_input_chars_per_word=100))
    t.normalizer = normalizers.BertNormalizer(lowercase=True)
    t.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    t.train_from_iterator(corpus(), trainers.WordPieceTrainer(
        vocab_size=600, show_progress=False, special_tokens=special))
    tokens, types = hf_tokens(t, set(special))
    spelt = [s if k == TokenType.CONTROL else s[2:] if s.startswith("##") else "\u2581" + s
             for s, k in zip(tokens, types)]
    w = writer(out / "small-wordpiece.gguf", "bert", "bert-bge", spelt, types)
    w.add_unk_token_id(1)
    w.add_bos_token_id(2)
    w.add_sep_token_id(3)
    finish(w)
    entries = hf_entries(t)
    for e in entries:
        e["decoded"] = ""
    golden(out, "small-wordpiece", "tokenizers", [2], [3], entries)


def main():
    out = pathlib.Path(sys.argv[1])
    bpe(out)
    sentencepieces(out)
    wordpiece(out)


if __name__ == "__main__":
    sys.exit(main())
