#!/usr/bin/env python3
"""Tokenizers as checkpoints carry them, with the ids that HF tokenizers gives.

    checkpoint_vocab.py tests/golden/convert/tokenizers.json tests/golden/convert/unigram

One small byte-level vocabulary, trained on this project's documents, under the pre-tokenizers of
published models: the stages of their tokenizer.json files, in the words of those files (facts).
"name" is what GGUF calls them. "whole" lists tokens that no merge makes, which only ignore_merges
finds. tests/test_tokenizers.c puts each together again as a tokenizer.json, converts it and
compares ids. GPT-2's and Qwen2's also stand for vocab.json and merges.txt without a
tokenizer.json, which transformers cuts the same way.

The second name is of a folder for a SentencePiece Unigram model: tokenizer.model, the tokenizer.json
that transformers' converter makes of such, and ids.json: what sentencepiece gives ("model_ids"), and
the texts that tokenizers cuts the same ("texts").
"""
import io
import json
import pathlib
import random
import sys

import sentencepiece
from sentencepiece import sentencepiece_model_pb2 as sp_pb

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "vocab"))
from pretok import (CONTR, DEEPSEEK3, DEEPSEEK_ASIAN, FIXED, GPT2, KINDS, cased, chat,  # noqa: E402
                    texts)
from small import RULES  # noqa: E402
from tokenizers import (Regex, Tokenizer, decoders, models, normalizers,  # noqa: E402
                        pre_tokenizers, trainers)

ROOT = pathlib.Path(__file__).resolve().parents[2]
CL100K = (r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]++[\r\n]*"
          r"|\s*[\r\n]|\s+(?!\S)|\s+")


def split(regex, behavior="Isolated", invert=False):
    return {"type": "Split", "pattern": {"Regex": regex}, "behavior": behavior, "invert": invert}


def level(use_regex):
    return {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True,
            "use_regex": use_regex}


def stages(*parts):
    return {"type": "Sequence", "pretokenizers": list(parts)}


DIGITS = {"type": "Digits", "individual_digits": True}
# what the file is like: GGUF's name, the pre-tokenizer, form C, ignore_merges
CASES = {
    "GPT-2": ("gpt-2", level(True), False, False),
    "OLMo": ("olmo", level(True), True, False),
    "SmolLM2": ("smollm", stages(DIGITS, level(True)), False, False),
    "Command R": ("command-r", stages(DIGITS, level(True)), True, False),
    "Llama 3": ("llama-bpe", stages(split(chat(r"\p{N}{1,3}")), level(False)), False, True),
    "DBRX, Phi-4": ("dbrx", stages(split(chat(r"\p{N}{1,3}"), "Removed", True), level(False)),
                    False, False),
    "tiktoken's words": ("llama-bpe", stages(split(CL100K), level(False)), False, True),
    "tiktoken's words, merged": ("dbrx", stages(split(CL100K), level(False)), False, False),
    "Qwen2": ("qwen2", stages(split(chat(r"\p{N}")), level(False)), True, False),
    "DeepSeek R1 Distill Qwen": ("deepseek-r1-qwen", stages(split(chat(r"\p{N}")), level(False)),
                                 False, False),
    "Ling": ("bailingmoe", stages(split(KINDS["bailingmoe"][0]), level(False)), False, False),
    "Seed-Coder": ("seed-coder", stages(split(KINDS["seed-coder"][0]), level(False)), False, False),
    "Qwen3.5": ("qwen35", stages(split(KINDS["qwen35"][0]), level(False)), True, False),
    "GPT-4o, Phi-4-mini": ("gpt-4o", stages(split(cased(CONTR + "?", r"\p{N}{1,3}"), "Removed",
                                                  True), level(False)), False, False),
    "Mistral Nemo": ("tekken", stages(split(cased("", r"\p{N}")), level(False)), False, True),
    "DeepSeek V3": ("deepseek-v3", stages(*(split(s.replace('\\"', '"')) for s in DEEPSEEK3),
                                          level(False)), False, False),
    "DeepSeek Coder": ("deepseek-coder", stages(
        split(r"[\r\n]"), split(r"\s?\p{L}+"), split(r"\s?\p{P}+"), split(DEEPSEEK_ASIAN), DIGITS,
        level(False)), False, False),
}


def train():
    t = Tokenizer(models.BPE())
    t.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(chat(r"\p{N}{1,3}")), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    names = ["docs/DESIGN.md", "docs/STYLE.md", "docs/LIBRARIES.md", "include/verge.h"]
    lines = [line for n in names for line in (ROOT / n).read_text().splitlines()] + FIXED * 3
    t.train_from_iterator(lines, trainers.BpeTrainer(
        vocab_size=900, initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    model = json.loads(t.to_str())["model"]
    return model["vocab"], model["merges"]


def unigram(folder, chosen):
    folder.mkdir(exist_ok=True)
    rules = folder / "rules.tsv"
    rules.write_text("".join(f"{a}\t{b}\n" for a, b in RULES))
    names = ["docs/DESIGN.md", "docs/STYLE.md", "include/verge.h"]
    lines = [line for n in names for line in (ROOT / n).read_text().splitlines()]
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines), model_writer=model, model_type="unigram", vocab_size=700,
        byte_fallback=True, normalization_rule_tsv=str(rules), minloglevel=2, num_threads=1,
        hard_vocab_limit=False)
    rules.unlink()
    (folder / "tokenizer.model").write_bytes(model.getvalue())
    sp = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
    proto = sp_pb.ModelProto()
    proto.ParseFromString(model.getvalue())
    t = Tokenizer(models.Unigram([(p.piece, p.score) for p in proto.pieces], 0, True))
    t.normalizer = normalizers.Sequence([
        normalizers.Precompiled(proto.normalizer_spec.precompiled_charsmap),
        normalizers.Strip(left=False, right=True), normalizers.Replace(Regex(" {2,}"), "\u2581")])
    t.pre_tokenizer = pre_tokenizers.Metaspace("\u2581", "always")
    t.decoder = decoders.Metaspace("\u2581", "always")
    t.save(str(folder / "tokenizer.json"), pretty=False)
    # Of the texts those that both cut alike: the two differ in spaces at the ends.
    both = [x for x in chosen if sp.encode(x) == t.encode(x, add_special_tokens=False).ids]
    print(f"unigram: {len(both)} of {len(chosen)} texts are the same to both")
    (folder / "ids.json").write_text(json.dumps(
        {"texts": both, "ids": [sp.encode(x) for x in both],
         "model_texts": chosen, "model_ids": [sp.encode(x) for x in chosen]},
        separators=(",", ":")) + "\n")


def main():
    vocab, merges = train()
    whole = ["Zebraic", "987", "\u0120quokka", "xyloph"]
    for i, token in enumerate(whole):
        assert token not in vocab
        vocab[token] = 900 + i
    rng = random.Random(3)
    chosen = [t for t in FIXED if len(t) < 200] + [
        "a quokka  quokka Zebraic Zebraics 987 9876 987987 xyloph Xyloph"]
    chosen += rng.sample(texts()[len(FIXED):], 40)
    cases = []
    for like, (name, pre, nfc, ignore) in CASES.items():
        head = {"version": "1.0", "truncation": None, "padding": None, "added_tokens": [],
                "normalizer": {"type": "NFC"} if nfc else None, "pre_tokenizer": pre,
                "post_processor": level(False), "decoder": level(True)}
        model = {"type": "BPE", "dropout": None, "unk_token": None,
                 "continuing_subword_prefix": None, "end_of_word_suffix": None, "fuse_unk": False,
                 "byte_fallback": False, "ignore_merges": ignore}
        t = Tokenizer.from_str(json.dumps(head | {"model": model | {"vocab": vocab,
                                                                     "merges": merges}}))
        cases.append({"like": like, "name": name, "head": head, "model": model,
                      "ids": [t.encode(x, add_special_tokens=False).ids for x in chosen]})
    with open(sys.argv[1], "w") as f:
        f.write(json.dumps({"vocab": vocab}, ensure_ascii=False)[:-1] + ",\n\"merges\": "
                + json.dumps(merges, ensure_ascii=False, separators=(",", ":"))
                + ",\n\"texts\": " + json.dumps(chosen) + ",\n\"cases\": [\n"
                + ",\n".join(json.dumps(c, separators=(",", ":")) for c in cases) + "\n]}\n")
    unigram(pathlib.Path(sys.argv[2]), chosen)


if __name__ == "__main__":
    main()
