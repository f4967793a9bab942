#!/usr/bin/env python3
"""Tiny random encoders as GGUF, with the vectors Hugging Face transformers computes.

    encoders.py OUT_DIR [NAME ...]
    encoders.py --llama-cpp OUT_DIR    compares llama.cpp's vectors of the same files
    encoders.py --write DIR            tiny checkpoints that the tests convert

For each name below: build the model with random weights, write NAME.gguf with the names, keys and
layouts that GGUF files in the field have, and run it over random token sequences for NAME.golden:
the vector of the first token, of the last one, and the mean of all, as they come. The reference
runs wholly in float64 (see families.py).

--write makes NAME with NAME.crc (a line a tensor of the GGUF file: name, type, dimensions, CRC-32 of
the bytes) and NAME.ids (a line a text: its ids by the original tokenizer, a bar, the text).

Golden file, little endian: "VGEM", u32 version 1, u32 n_texts, u32 width; then for each text
u32 n_tokens, i32 tokens[n_tokens], float32 mean[width], cls[width], last[width].
"""
import argparse
import json
import pathlib
import string
import struct
import zlib

import numpy as np

VOCAB = 160
POOLING = {"mean": 1, "cls": 2, "last": 3}

# name: (Hugging Face model type, GGUF architecture, configuration, extras of this script)
ENCODERS = {
    "bert": ("bert", "bert", dict(
        hidden_size=32, num_attention_heads=2, intermediate_size=64, num_hidden_layers=2,
        max_position_embeddings=600), dict(pooling="mean", longest=600)),
    "bert-f16": ("bert", "bert", dict(
        hidden_size=64, num_attention_heads=2, intermediate_size=128, num_hidden_layers=2,
        max_position_embeddings=128), dict(pooling="cls", longest=128, weights="f16")),
    "bert-odd": ("bert", "bert", dict(
        hidden_size=40, num_attention_heads=5, intermediate_size=72, num_hidden_layers=3,
        max_position_embeddings=80, type_vocab_size=1), dict(longest=80)),
    # Positions begin behind the padding token's, which GGUF files leave out.
    "xlm-roberta": ("xlm-roberta", "bert", dict(
        hidden_size=48, num_attention_heads=3, intermediate_size=96, num_hidden_layers=2,
        max_position_embeddings=102, type_vocab_size=1, pad_token_id=1, layer_norm_eps=1e-5),
        dict(pooling="cls", longest=100, offset=2)),
    "nomic-bert": ("nomic_bert", "nomic-bert", dict(
        hidden_size=48, num_attention_heads=3, intermediate_size=96, num_hidden_layers=2,
        max_position_embeddings=600, pad_token_id=0,
        rope_parameters={"rope_type": "default", "rope_theta": 1000.0}),
        dict(pooling="mean", longest=600)),
}
BERT_NAMES = {
    "embeddings.word_embeddings.weight": "token_embd.weight",
    "embeddings.position_embeddings.weight": "position_embd.weight",
    "embeddings.token_type_embeddings.weight": "token_types.weight",
    "embeddings.LayerNorm": "token_embd_norm",
    "attention.self.query": "attn_q", "attention.self.key": "attn_k",
    "attention.self.value": "attn_v", "attention.output.dense": "attn_output",
    "attention.output.LayerNorm": "attn_output_norm", "intermediate.dense": "ffn_up",
    "output.dense": "ffn_down", "output.LayerNorm": "layer_output_norm",
    "self_attn.o_proj": "attn_output", "post_attention_layernorm": "attn_output_norm",
    "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down",
    "post_mlp_layernorm": "layer_output_norm",
}


def new_name(name):
    parts = name.removeprefix("encoder.").split(".")
    layer = ""
    if parts[0] in ("layer", "layers"):
        layer = f"blk.{parts[1]}."
        parts = parts[2:]
    rest = ".".join(parts)
    if rest in BERT_NAMES:
        return layer + BERT_NAMES[rest]
    stem, kind = rest.rsplit(".", 1)
    return f"{layer}{BERT_NAMES[stem]}.{kind}"


def gguf_tensors(model, extras):
    """The tensors under their GGUF names; q, k and v of nomic-bert stand in one."""
    fused = {}
    for name, p in model.state_dict().items():
        w = p.numpy().astype(np.float32)
        if name.startswith("pooler.") or name.endswith(("position_ids", "token_type_ids")):
            continue
        if "self_attn." in name and "o_proj" not in name:
            at, matrix = name.split(".self_attn.")
            fused.setdefault(at.split(".")[1], {})[matrix[0]] = w
            continue
        if "position_embeddings" in name:
            w = w[extras.get("offset", 0):]
        yield new_name(name), w
    for layer, parts in fused.items():
        yield f"blk.{layer}.attn_qkv.weight", np.concatenate([parts[k] for k in "qkv"])


def fill(torch, model, rng):
    """Random weights at which every term of the forward pass shows."""
    for name, p in model.named_parameters():
        noise = rng.standard_normal(p.shape)
        if "norm" in name.lower():
            values = 0.25 * noise + (1.0 if name.endswith("weight") else 0.0)
        elif name.endswith("bias"):
            values = 0.3 * noise
        elif "embeddings" in name:
            values = 0.5 * noise
        else:
            values = 1.4 / np.sqrt(p.shape[-1]) * noise
        p.data = torch.tensor(values, dtype=p.dtype)


def add_vocabulary(w):
    """A WordPiece vocabulary: letters, digits and marks, at the beginning of a word and in it."""
    import gguf
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    signs = string.ascii_lowercase + string.digits + string.punctuation
    tokens = special + ["\u2581" + c for c in signs] + list(string.ascii_lowercase + string.digits)
    tokens += [f"[unused{i}]" for i in range(VOCAB - len(tokens))]
    control, normal = gguf.TokenType.CONTROL, gguf.TokenType.NORMAL
    w.add_tokenizer_model("bert")
    w.add_tokenizer_pre("default")
    w.add_token_list(tokens)
    w.add_token_types([control] * len(special) + [normal] * (VOCAB - len(special)))
    w.add_pad_token_id(0)
    w.add_unk_token_id(1)
    w.add_bos_token_id(2)
    w.add_sep_token_id(3)
    w.add_mask_token_id(4)


def write_gguf(path, arch, cfg, model, extras):
    import gguf
    w = gguf.GGUFWriter(path, arch)
    w.add_name("verge oracle")
    w.add_file_type(1 if extras.get("weights") == "f16" else 0)
    w.add_context_length(cfg.max_position_embeddings - extras.get("offset", 0))
    w.add_embedding_length(cfg.hidden_size)
    w.add_block_count(cfg.num_hidden_layers)
    w.add_feed_forward_length(cfg.intermediate_size)
    w.add_head_count(cfg.num_attention_heads)
    w.add_layer_norm_eps(cfg.layer_norm_eps)
    w.add_causal_attention(False)
    w.add_token_type_count(cfg.type_vocab_size)
    if "pooling" in extras:
        w.add_pooling_type(gguf.PoolingType(POOLING[extras["pooling"]]))
    if arch == "nomic-bert":
        w.add_rope_freq_base(cfg.rope_parameters["rope_theta"])
    add_vocabulary(w)
    for name, values in gguf_tensors(model, extras):
        half = extras.get("weights") == "f16" and values.ndim > 1 and name.startswith("blk.")
        w.add_tensor(name, np.ascontiguousarray(values, np.float16 if half else np.float32))
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


# ---- checkpoints -------------------------------------------------------------------------------

SMALL = dict(hidden_size=16, num_attention_heads=2, intermediate_size=24, num_hidden_layers=1)
# name: (model type, configuration, how the tokenizer is kept, 1_Pooling, rows of positions to skip)
CHECKPOINTS = {
    "bert": ("bert", dict(max_position_embeddings=20), "json", "pooling_mode_cls_token", 0),
    "bert-lines": ("bert", dict(max_position_embeddings=12, type_vocab_size=1), "lines", None, 0),
    "xlm-roberta": ("xlm-roberta", dict(max_position_embeddings=22, type_vocab_size=1,
                                        pad_token_id=1, layer_norm_eps=1e-5),
                    "unigram", "pooling_mode_mean_tokens", 2),
    "nomic-bert": ("nomic_bert", dict(max_position_embeddings=64, pad_token_id=0), "json",
                   "pooling_mode_mean_tokens", 0),
}
# nomic-ai's own spelling, which is that of the files in the field.
NOMIC_NAMES = {"layers.0.": "encoder.layers.0.", "embeddings.LayerNorm": "emb_ln",
               "self_attn.o_proj": "attn.out_proj", "post_attention_layernorm": "norm1",
               "mlp.gate_proj": "mlp.fc12", "mlp.up_proj": "mlp.fc11", "mlp.down_proj": "mlp.fc2",
               "post_mlp_layernorm": "norm2"}
TEXTS = ["abba", "Hello, World!", "caf\u00e9  x9?", "  two  words ", "\u4e2d a", ""]


def word_pieces():
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    signs = string.ascii_lowercase + string.digits + string.punctuation
    tokens = special + list(signs) + ["##" + c for c in string.ascii_lowercase + string.digits]
    return tokens + [f"[unused{i}]" for i in range(VOCAB - len(tokens))]


def write_tokenizer(folder, kind):
    from tokenizers import (AddedToken, Tokenizer, models, normalizers, pre_tokenizers,
                            processors)
    if kind == "unigram":
        signs = ["\u2581" + c for c in string.ascii_letters] + list(string.ascii_letters)
        pieces = ["<s>", "<pad>", "</s>", "<unk>", "\u2581", *signs, "ab", "ll", "\u2581two"]
        tok = Tokenizer(models.Unigram([(p, -1.0 - 0.01 * i) for i, p in enumerate(pieces)], 3))
        tok.pre_tokenizer = pre_tokenizers.Sequence([
            pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace(prepend_scheme="always")])
        ends, names = ("<s>", "</s>"), dict(bos_token="<s>", eos_token="</s>", sep_token="</s>",
                                            cls_token="<s>", unk_token="<unk>", pad_token="<pad>")
        special = ["<s>", "<pad>", "</s>", "<unk>"]
    else:
        pieces = word_pieces()
        tok = Tokenizer(models.WordPiece({t: i for i, t in enumerate(pieces)}, unk_token="[UNK]"))
        tok.normalizer = normalizers.BertNormalizer(lowercase=True)
        tok.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        ends, names = ("[CLS]", "[SEP]"), dict(cls_token="[CLS]", sep_token="[SEP]",
                                               unk_token="[UNK]", pad_token="[PAD]",
                                               mask_token="[MASK]", do_lower_case=True)
        special = pieces[:5]
    tok.add_special_tokens([AddedToken(t, normalized=False) for t in special])
    tok.post_processor = processors.TemplateProcessing(
        single=f"{ends[0]} $A {ends[1]}", pair=f"{ends[0]} $A {ends[1]} $B {ends[1]}",
        special_tokens=[(t, tok.token_to_id(t)) for t in ends])
    (folder / "tokenizer_config.json").write_text(json.dumps(names))
    if kind == "lines":
        (folder / "vocab.txt").write_text("".join(t + "\n" for t in pieces))
    else:
        tok.save(str(folder / "tokenizer.json"))
    return tok


def write_checkpoint(out, name):
    import torch
    from safetensors.torch import save_file
    from transformers import AutoModel, CONFIG_MAPPING
    model_type, more, tokenizer, pooling, skipped = CHECKPOINTS[name]
    folder = out / name
    folder.mkdir(exist_ok=True)
    cfg = CONFIG_MAPPING[model_type](**(dict(vocab_size=VOCAB) | SMALL | more))
    model = AutoModel.from_config(cfg, attn_implementation="eager")
    fill(torch, model, np.random.default_rng(sum(name.encode())))
    model = model.to(torch.bfloat16)
    model.save_pretrained(folder)
    if model_type == "nomic_bert":
        write_nomic(folder, model, cfg, save_file)
    if name == "bert-lines":
        old = {"bert." + k.replace("LayerNorm.weight", "LayerNorm.gamma").replace(
            "LayerNorm.bias", "LayerNorm.beta"): v for k, v in model.state_dict().items()}
        save_file({k: v.contiguous() for k, v in old.items()}, folder / "model.safetensors")
    tok = write_tokenizer(folder, tokenizer)
    if pooling:
        (folder / "1_Pooling").mkdir(exist_ok=True)
        (folder / "1_Pooling" / "config.json").write_text(json.dumps(
            {"word_embedding_dimension": 16, "pooling_mode_cls_token": False, pooling: True}))
        kinds = ["Transformer", "Pooling", "Normalize"]
        (folder / "modules.json").write_text(json.dumps(
            [{"idx": i, "name": str(i), "path": f"{i}_{k}" if i else "",
              "type": f"sentence_transformers.models.{k}"} for i, k in enumerate(kinds)]))
    lines = []
    for new, w in gguf_tensors(model.float(), dict(offset=skipped)):
        t = torch.from_numpy(np.ascontiguousarray(w))
        half = w.ndim > 1 and new not in ("position_embd.weight", "token_types.weight")
        data = (t.bfloat16().view(torch.int16) if half else t).numpy().tobytes()
        dims = "x".join(str(d) for d in reversed(w.shape))
        lines.append(f"{new} {'BF16' if half else 'F32'} {dims} {zlib.crc32(data):08x}")
    (out / f"{name}.crc").write_text("\n".join(lines) + "\n")
    (out / f"{name}.ids").write_text("".join(
        " ".join(str(i) for i in tok.encode(t).ids) + "|" + t + "\n" for t in TEXTS))


def write_nomic(folder, model, cfg, save_file):
    import torch
    out, state = {}, model.state_dict()
    for name, w in state.items():
        if "self_attn." in name and "o_proj" not in name:
            continue
        for old, new in NOMIC_NAMES.items():
            name = name.replace(old, new)
        out[name] = w.contiguous()
    out["encoder.layers.0.attn.Wqkv.weight"] = torch.cat(
        [state[f"layers.0.self_attn.{k}_proj.weight"] for k in "qkv"])
    save_file(out, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(dict(
        architectures=["NomicBertModel"], model_type="nomic_bert", vocab_size=VOCAB,
        n_embd=cfg.hidden_size, n_head=cfg.num_attention_heads, n_inner=cfg.intermediate_size,
        n_layer=cfg.num_hidden_layers, n_positions=cfg.max_position_embeddings,
        max_trained_positions=2048, layer_norm_epsilon=cfg.layer_norm_eps, type_vocab_size=2,
        rotary_emb_base=1000, rotary_emb_fraction=1.0, rotary_emb_interleaved=False,
        activation_function="swiglu", prenorm=False, qkv_proj_bias=False, mlp_fc1_bias=False,
        mlp_fc2_bias=False, causal=False, use_rms_norm=False, pad_token_id=0), indent=1))


# ---- goldens -----------------------------------------------------------------------------------

def lengths(longest):
    return [n for n in (1, 2, 7, 63, 64, 65, 100, 513, 600) if n <= longest]


def make(out, name):
    import torch
    from transformers import AutoModel, CONFIG_MAPPING
    from families import all_float64
    torch.set_num_threads(1)
    model_type, arch, config, extras = ENCODERS[name]
    rng = np.random.default_rng(sum(name.encode()))
    cfg = CONFIG_MAPPING[model_type](**(dict(vocab_size=VOCAB) | config))
    model = AutoModel.from_config(cfg, attn_implementation="eager")
    fill(torch, model, rng)
    if extras.get("weights") == "f16":
        for p in model.parameters():
            if p.dim() > 1:
                p.data = p.data.half().float()
    write_gguf(out / f"{name}.gguf", arch, cfg, model, extras)
    weights = model.state_dict()
    with all_float64():
        model = AutoModel.from_config(cfg, dtype=torch.float64, attn_implementation="eager").eval()
    model.load_state_dict(weights)
    texts = [rng.integers(5, VOCAB, n) for n in lengths(extras["longest"])]
    data = struct.pack("<4s3I", b"VGEM", 1, len(texts), cfg.hidden_size)
    for tokens in texts:
        with torch.no_grad(), all_float64():
            h = model(input_ids=torch.tensor(tokens)[None]).last_hidden_state[0]
        assert h.dtype == torch.float64 and torch.isfinite(h).all()
        data += struct.pack("<I", len(tokens)) + tokens.astype("<i4").tobytes()
        for v in (h.mean(0), h[0], h[-1]):
            data += v.numpy().astype("<f4").tobytes()
    (out / f"{name}.golden").write_bytes(data)
    print(f"{name:12} {len(texts)} texts, standard deviation {h.std():.2f}")


def read_golden(path):
    """[(tokens, {"mean": v, "cls": v, "last": v})]"""
    data = path.read_bytes()
    magic, version, n_texts, width = struct.unpack_from("<4s3I", data)
    assert magic == b"VGEM" and version == 1
    at, texts = 16, []
    for _ in range(n_texts):
        n, = struct.unpack_from("<I", data, at)
        tokens = np.frombuffer(data, "<i4", n, at + 4)
        vectors = np.frombuffer(data, "<f4", 3 * width, at + 4 + 4 * n).reshape(3, width)
        texts.append((tokens, dict(zip(("mean", "cls", "last"), vectors))))
        at += 4 + 4 * n + 12 * width
    return texts


def compare_llama_cpp(folder):
    """Largest difference of a number of a vector of length 1, and least cosine."""
    import llama_cpp as cpp
    cpp.llama_backend_init()
    for name in ENCODERS:
        path = str(folder / f"{name}.gguf").encode()
        model = cpp.llama_model_load_from_file(path, cpp.llama_model_default_params())
        for pooling, number in POOLING.items():
            p = cpp.llama_context_default_params()
            p.n_ctx = p.n_batch = p.n_ubatch = 1024
            p.n_threads = p.n_threads_batch = 1
            p.embeddings, p.pooling_type = True, number
            ctx = cpp.llama_init_from_model(model, p)
            far, near = 0.0, 1.0
            for tokens, want in read_golden(folder / f"{name}.golden"):
                v = want[pooling] / np.linalg.norm(want[pooling])
                ids = (cpp.llama_token * len(tokens))(*tokens.tolist())
                cpp.llama_memory_clear(cpp.llama_get_memory(ctx), True)
                assert cpp.llama_encode(ctx, cpp.llama_batch_get_one(ids, len(tokens))) == 0
                got = np.array(cpp.llama_get_embeddings_seq(ctx, 0)[:len(v)], np.float64)
                got /= np.linalg.norm(got)
                far = max(far, np.abs(got - v).max())
                near = min(near, float(got @ v))
            print(f"{name:12} {pooling:5} largest difference {far:.1e}, least cosine {near:.8f}")
            cpp.llama_free(ctx)


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--llama-cpp", action="store_true")
    parser.add_argument("--write", action="store_true")
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("names", nargs="*", default=list(ENCODERS), metavar="NAME")
    args = parser.parse_args()
    if args.llama_cpp:
        return compare_llama_cpp(args.out)
    args.out.mkdir(parents=True, exist_ok=True)
    if args.write:
        for name in CHECKPOINTS:
            write_checkpoint(args.out, name)
        return None
    for name in args.names:
        make(args.out, name)
    return None


if __name__ == "__main__":
    main()
