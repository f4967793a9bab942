#!/usr/bin/env python3
"""Tiny random models of each family as GGUF, with the logits Hugging Face computes.

    families.py OUT_DIR [NAME ...]

For each name below: build the Hugging Face model with random weights, save it as
safetensors, read these back, write NAME.gguf with the names, keys and layouts that
GGUF files in the field have, and run the model over a random token sequence for
NAME.golden (two for LongRoPE: NAME-short.golden and NAME-long.golden).

The reference runs in float64 throughout: the model is loaded in float64 with eager
attention, and the places where its code casts to float32 (norms, softmax, RoPE)
are widened as well, so that the golden carries no rounding worth speaking of.
Stored logits are float32.

Golden file, little endian: "VGLG", u32 version 1, u32 n_tokens, u32 n_vocab,
u32 n_kept, i32 tokens[n_tokens], u32 positions[n_kept],
float32 logits[n_kept][n_vocab].
"""
import argparse
import contextlib
import math
import pathlib
import struct
import tempfile

import gguf
import numpy as np
import torch
from safetensors.numpy import load_file
from transformers import AutoModelForCausalLM, CONFIG_MAPPING

from bytelevel import byte_symbols

VOCAB = 160
MEDIUM = dict(hidden_size=64, intermediate_size=96, num_hidden_layers=2,
              num_attention_heads=4, num_key_value_heads=2)
# Heads times head size (64) differs from the hidden size (32).
WIDE_HEADS = dict(hidden_size=32, intermediate_size=64, num_hidden_layers=2,
                  num_attention_heads=4, num_key_value_heads=2, head_dim=16)


def rope(theta, **more):
    return {"rope_type": "default", "rope_theta": theta, **more}


def longrope(n, **more):
    """LongRoPE over n frequencies: 256 original positions stretched to 1024."""
    steps = np.arange(n) / max(1, n - 1)
    return rope(10000.0, **more) | {
        "rope_type": "longrope", "original_max_position_embeddings": 256,
        "short_factor": [round(float(x), 4) for x in 1.0 + 0.3 * steps],
        "long_factor": [round(float(x), 4) for x in 1.1 + 7.0 * steps ** 2]}


# name: (Hugging Face model type, GGUF architecture, configuration, extras of this script)
FAMILIES = {
    "llama": ("llama", "llama", MEDIUM | dict(rope_parameters=rope(10000.0)), {}),
    "llama-f16": ("llama", "llama", MEDIUM | dict(rope_parameters=rope(10000.0)),
                  dict(weights="f16")),
    "llama-bf16": ("llama", "llama", MEDIUM | dict(rope_parameters=rope(10000.0)),
                   dict(weights="bf16")),
    "llama-bias": ("llama", "llama", WIDE_HEADS | dict(
        attention_bias=True, mlp_bias=True, rope_parameters=rope(10000.0)), {}),
    "llama3": ("llama", "llama", MEDIUM | dict(
        tie_word_embeddings=True, rms_norm_eps=1e-5,
        rope_parameters=rope(10000.0) | dict(
            rope_type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
            original_max_position_embeddings=64)), dict(edge=64)),
    "mistral": ("mistral", "llama", WIDE_HEADS | dict(
        num_key_value_heads=1, sliding_window=None, rope_parameters=rope(1e6)), {}),
    "qwen2": ("qwen2", "qwen2", MEDIUM | dict(
        tie_word_embeddings=True, rope_parameters=rope(1e6)), {}),
    "qwen3": ("qwen3", "qwen3", WIDE_HEADS | dict(rope_parameters=rope(1e6)), {}),
    "qwen3moe": ("qwen3_moe", "qwen3moe", WIDE_HEADS | dict(
        num_experts=6, num_experts_per_tok=2, moe_intermediate_size=32, norm_topk_prob=True,
        decoder_sparse_step=1, mlp_only_layers=[], rope_parameters=rope(1e6)), {}),
    "gemma2": ("gemma2", "gemma2", WIDE_HEADS | dict(
        num_hidden_layers=4, sliding_window=24, query_pre_attn_scalar=16, tie_word_embeddings=True,
        attn_logit_softcapping=4.0, final_logit_softcapping=6.0,
        rope_parameters=rope(10000.0)), dict(edge=24)),
    "gemma3": ("gemma3_text", "gemma3", WIDE_HEADS | dict(
        num_hidden_layers=7, intermediate_size=48, tie_word_embeddings=True,
        sliding_window=24, query_pre_attn_scalar=16,
        rope_parameters={"full_attention": rope(1e6), "sliding_attention": rope(10000.0)}),
        dict(edge=24)),
    "gemma3-linear": ("gemma3_text", "gemma3", WIDE_HEADS | dict(
        num_hidden_layers=7, intermediate_size=48, num_attention_heads=2, num_key_value_heads=1,
        sliding_window=24, query_pre_attn_scalar=16, tie_word_embeddings=True,
        rope_parameters={"full_attention": rope(1e6, factor=8.0) | {"rope_type": "linear"},
                         "sliding_attention": rope(5000.0)}),
        dict(edge=24, freq_base_swa=5000.0)),
    "phi3-swa": ("phi3", "phi3", MEDIUM | dict(
        sliding_window=24, rope_parameters=rope(10000.0, partial_rotary_factor=1.0)),
        dict(edge=24)),
    "phi3-longrope": ("phi3", "phi3", MEDIUM | dict(
        max_position_embeddings=1024, original_max_position_embeddings=256,
        rope_parameters=longrope(8, partial_rotary_factor=1.0)), dict(edge=256)),
    # As Phi-4-mini: only 12 of 16 dimensions rotate, and the embedding is also the output.
    "phi4-longrope": ("phi3", "phi3", MEDIUM | dict(
        num_key_value_heads=1, tie_word_embeddings=True,
        max_position_embeddings=1024, original_max_position_embeddings=256,
        rope_parameters=longrope(6, partial_rotary_factor=0.75)), dict(edge=256)),
    "smollm3": ("smollm3", "smollm3", dict(
        hidden_size=32, intermediate_size=64, num_hidden_layers=4, num_attention_heads=2,
        num_key_value_heads=1, tie_word_embeddings=True, rope_parameters=rope(5e6)), {}),
    "granite": ("granite", "granite", MEDIUM | dict(
        tie_word_embeddings=True, embedding_multiplier=6.0, attention_multiplier=0.2,
        residual_multiplier=0.4, logits_scaling=2.0, rope_parameters=rope(10000.0)), {}),
}
COMMON = dict(vocab_size=VOCAB, max_position_embeddings=256, rms_norm_eps=1e-6,
              bos_token_id=0, eos_token_id=1, pad_token_id=1, tie_word_embeddings=False)
EAGER = dict(attn_implementation="eager", experts_implementation="eager")
GEMMA = ("gemma2", "gemma3")
# Architectures whose RoPE turns neighbouring pairs (2i, 2i+1): their q and k rows are reordered.
PAIRED_ROPE = ("llama", "granite", "smollm3")


@contextlib.contextmanager
def all_float64():
    """Make the model code's own casts to float32 casts to float64."""
    saved = torch.float32, torch.float, torch.Tensor.float
    torch.float32 = torch.float = torch.float64
    torch.Tensor.float = torch.Tensor.double
    try:
        yield
    finally:
        torch.float32, torch.float, torch.Tensor.float = saved


def fill(model, rng, gemma):
    """Random weights at which every term of the forward pass shows in the logits."""
    for name, p in model.named_parameters():
        noise = rng.standard_normal(p.shape)
        if "norm" in name:
            values = 0.25 * noise + (0.0 if gemma else 1.0)
        elif name.endswith("bias"):
            values = 0.3 * noise
        elif "embed_tokens" in name:
            values = 0.4 * noise
        else:
            gain = 2.0 if "lm_head" in name or "mlp.gate.weight" in name else 1.4
            values = gain / math.sqrt(p.shape[-1]) * noise
        p.data = torch.tensor(values, dtype=p.dtype)


def round_weights(model, kind):
    """Make all matrices exact in the 16-bit type that they will be stored in."""
    dtype = {"f16": torch.float16, "bf16": torch.bfloat16}[kind]
    for p in model.parameters():
        if p.dim() > 1:
            p.data = p.data.to(dtype).to(p.dtype)


def pair_rows(w, n_head):
    """Reorder the rows of each head from (first half, second half) to (2i, 2i+1) pairs."""
    half = w.shape[0] // n_head // 2
    return w.reshape(n_head, 2, half, -1).swapaxes(1, 2).reshape(w.shape)


def llama3_factors(p, dim):
    """The divisor of each RoPE frequency under Llama 3 scaling."""
    factors = []
    for i in range(0, dim, 2):
        wavelength = 2 * math.pi * p["rope_theta"] ** (i / dim)
        share = p["original_max_position_embeddings"] / wavelength
        smooth = (share - p["low_freq_factor"]) / (p["high_freq_factor"] - p["low_freq_factor"])
        smooth = min(1.0, max(0.0, smooth))
        factors.append(1.0 / ((1.0 - smooth) / p["factor"] + smooth))
    return np.array(factors, np.float32)


def gguf_tensors(folder, arch, cfg):
    """The saved tensors under their GGUF names, transformed as GGUF wants them."""
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH[arch.upper()], cfg.num_hidden_layers)
    experts = {}
    for name, w in load_file(folder / "model.safetensors").items():
        if ".experts." in name:
            at, rest = name.split(".experts.")
            i, matrix = rest.split(".", 1)
            experts.setdefault((at, matrix), {})[int(i)] = w
            continue
        if arch in GEMMA and "norm" in name:
            w = w + 1.0
        if arch in PAIRED_ROPE and ".q_proj." in name:
            w = pair_rows(w, cfg.num_attention_heads)
        if arch in PAIRED_ROPE and ".k_proj." in name:
            w = pair_rows(w, cfg.num_key_value_heads)
        new_name = names.get_name(name, try_suffixes=(".weight", ".bias"))
        assert new_name, name
        yield new_name, w
    for (at, matrix), parts in experts.items():
        stacked = np.stack([parts[i] for i in range(len(parts))])
        yield names.get_name(f"{at}.experts.{matrix}", try_suffixes=(".weight",)), stacked
    rope_parameters = cfg.rope_parameters
    if rope_parameters.get("rope_type") == "llama3":
        yield "rope_freqs.weight", llama3_factors(rope_parameters, cfg.head_dim)
    if rope_parameters.get("rope_type") == "longrope":
        for length in ("long", "short"):
            factors = rope_parameters[f"{length}_factor"]
            yield f"rope_factors_{length}.weight", np.array(factors, np.float32)


def add_hparams(w, arch, cfg, extras):
    """The metadata keys of each architecture; FAMILIES.md lists them."""
    dim = getattr(cfg, "head_dim", None) or cfg.hidden_size // cfg.num_attention_heads
    w.add_context_length(cfg.max_position_embeddings)
    w.add_embedding_length(cfg.hidden_size)
    w.add_block_count(cfg.num_hidden_layers)
    w.add_feed_forward_length(cfg.intermediate_size)
    w.add_head_count(cfg.num_attention_heads)
    w.add_head_count_kv(cfg.num_key_value_heads)
    w.add_layer_norm_rms_eps(cfg.rms_norm_eps)
    if getattr(cfg, "head_dim", None) and arch != "granite":
        w.add_key_length(dim)
        w.add_value_length(dim)
    full = cfg.rope_parameters.get("full_attention", cfg.rope_parameters)
    if arch != "gemma2":
        w.add_rope_freq_base(full["rope_theta"])
    if arch in PAIRED_ROPE:
        w.add_vocab_size(cfg.vocab_size)
        w.add_rope_dimension_count(dim)
    if arch == "qwen3moe":
        w.add_expert_count(cfg.num_experts)
        w.add_expert_used_count(cfg.num_experts_per_tok)
        w.add_expert_feed_forward_length(cfg.moe_intermediate_size)
    if arch in GEMMA:
        w.add_sliding_window(cfg.sliding_window)
    if arch == "gemma2":
        w.add_attn_logit_softcapping(cfg.attn_logit_softcapping)
        w.add_final_logit_softcapping(cfg.final_logit_softcapping)
    if full["rope_type"] == "linear":
        w.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        w.add_rope_scaling_factor(full["factor"])
    if "freq_base_swa" in extras:
        w.add_rope_freq_base_swa(extras["freq_base_swa"])
    if arch == "phi3":
        original = full.get("original_max_position_embeddings", cfg.max_position_embeddings)
        w.add_rope_scaling_orig_ctx_len(original)
        w.add_rope_dimension_count(int(full["partial_rotary_factor"] * dim))
        w.add_sliding_window(cfg.sliding_window or 0)
        if full["rope_type"] == "longrope":
            stretch = math.log(cfg.max_position_embeddings / original) / math.log(original)
            w.add_rope_scaling_attn_factors(math.sqrt(1.0 + stretch))
    if arch == "granite":
        w.add_attention_scale(cfg.attention_multiplier)
        w.add_embedding_scale(cfg.embedding_multiplier)
        w.add_residual_scale(cfg.residual_multiplier)
        w.add_logit_scale(cfg.logits_scaling)


def add_vocabulary(w):
    """The least byte-level vocabulary that readers accept: bytes 0 to 156 and one merge."""
    tokens = ["<s>", "</s>", *byte_symbols()[:VOCAB - 3], "ab"]
    control, normal = gguf.TokenType.CONTROL, gguf.TokenType.NORMAL
    w.add_tokenizer_model("gpt2")
    w.add_tokenizer_pre("gpt-2")
    w.add_token_list(tokens)
    w.add_token_types([control, control] + [normal] * (VOCAB - 2))
    w.add_token_merges(["a b"])
    w.add_bos_token_id(0)
    w.add_eos_token_id(1)


def write_gguf(path, arch, cfg, folder, extras):
    kind = extras.get("weights")
    w = gguf.GGUFWriter(path, arch)
    # Not the family's name: llama.cpp looks for "phi3" in it and then wants Phi-3's vocabulary.
    w.add_name("verge oracle")
    w.add_file_type({None: 0, "f16": 1, "bf16": 32}[kind])
    w.add_quantization_version(2)
    add_hparams(w, arch, cfg, extras)
    add_vocabulary(w)
    for tensor_name, values in gguf_tensors(folder, arch, cfg):
        values = np.ascontiguousarray(values, np.float32)
        if kind == "f16" and values.ndim > 1:
            w.add_tensor(tensor_name, values.astype(np.float16))
        elif kind == "bf16" and values.ndim > 1:
            raw = gguf.quants.quantize(values, gguf.GGMLQuantizationType.BF16)
            w.add_tensor(tensor_name, raw, raw_dtype=gguf.GGMLQuantizationType.BF16)
        else:
            w.add_tensor(tensor_name, values)
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


def kept_positions(n, edge):
    near = [p for p in range(edge - 4, edge + 5)] if edge else []
    spread = np.linspace(4, n - 1, 12 if edge else 20).astype(int)
    return sorted({p for p in [0, 1, 2, 3, *near, *spread, n - 1] if 0 <= p < n})


def write_golden(path, model, rng, n_tokens, edge):
    tokens = rng.integers(0, VOCAB, n_tokens)
    tokens[0] = 0
    with torch.no_grad(), all_float64():
        logits = model(torch.tensor(tokens)[None]).logits[0]
    assert logits.dtype == torch.float64 and torch.isfinite(logits).all()
    kept = kept_positions(n_tokens, edge)
    head = struct.pack("<4s4I", b"VGLG", 1, n_tokens, VOCAB, len(kept))
    path.write_bytes(head + tokens.astype("<i4").tobytes() + np.array(kept, "<u4").tobytes()
                     + logits[kept].numpy().astype("<f4").tobytes())
    print(f"{path.name:24} {n_tokens} tokens, {len(kept)} kept, "
          f"standard deviation {logits.std():.2f}, largest {logits.abs().max():.2f}")


def make(out, name):
    model_type, arch, config, extras = FAMILIES[name]
    rng = np.random.default_rng(sum(name.encode()))
    cfg = CONFIG_MAPPING[model_type](**(COMMON | config))
    model = AutoModelForCausalLM.from_config(cfg, **EAGER)
    fill(model, rng, arch in GEMMA)
    if "weights" in extras:
        round_weights(model, extras["weights"])
    with tempfile.TemporaryDirectory() as temp:
        folder = pathlib.Path(temp)
        model.save_pretrained(folder)
        write_gguf(out / f"{name}.gguf", arch, cfg, folder, extras)
        weights = AutoModelForCausalLM.from_pretrained(folder).state_dict()
    # Built under all_float64, so that the RoPE frequencies are float64 too.
    with all_float64():
        model = AutoModelForCausalLM.from_config(
            cfg, dtype=torch.float64, **EAGER).eval()
    model.load_state_dict(weights)
    edge = extras.get("edge", 0)
    if "longrope" in name:
        write_golden(out / f"{name}-short.golden", model, rng, 128, 0)
        write_golden(out / f"{name}-long.golden", model, rng, 288, edge)
    else:
        write_golden(out / f"{name}.golden", model, rng, 128, edge)


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("names", nargs="*", default=list(FAMILIES), metavar="NAME")
    args = parser.parse_args()
    torch.set_num_threads(1)
    args.out.mkdir(parents=True, exist_ok=True)
    for name in args.names:
        make(args.out, name)


if __name__ == "__main__":
    main()
