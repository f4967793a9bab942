#!/usr/bin/env python3
"""Quantised checkpoints (AWQ, GPTQ) by the packages that people use, converted and compared.

    packed.py VERGE LOGITS [NAME ...] [--autoawq DIR] [--keep DIR]
    packed.py --write tests/golden/convert

VERGE and LOGITS are the built programs app/verge and tests/logits. Each case is a tiny model of
random weights, saved by transformers and quantised on the CPU:
  - by gptqmodel (7.7.0, its calibration, its own packing), with GPTQMODEL_CPU_WORKERS=2;
  - by llm-compressor (0.14.0.1, with compressed-tensors 0.20.0);
  - by the packing code of AutoGPTQ (0.7.1, QuantLinear.pack) and of AutoAWQ (0.2.9,
    WQLinear_GEMM.from_linear; --autoawq names its unpacked source, because neither package imports
    beside today's transformers), with the scales and zeros of their quantisers.
Compared are, for each tensor of the GGUF file, the weights that the gguf package restores with
those that gptqmodel's dequantize_model, AutoAWQ's dequantize_gemm or compressed-tensors' unpacking
give: equal to the bit where Verge says that codes and scales went over (Q4_0, Q8_0), to the
rounding of the minimum in Q4_1, and to the error that Verge reports where it quantised anew; and logits of transformers over the
restored model with Verge's over the file, with `--type f32` (tight) and as packed (loose: Verge
quantises activations).

--write makes the checkpoints that the tests convert, with NAME.crc as convert.py has it. Bytes of
blocks are made here from the codes, scales and zeros that gptqmodel's functions unpack.
"""
import argparse
import importlib.util
import json
import math
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import types
import zlib

os.environ.setdefault("GPTQMODEL_CPU_WORKERS", "2")

import gguf
import numpy as np
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, CONFIG_MAPPING

from convert import compare_logits, read, write_tokenizer
from families import EAGER, VOCAB, fill, gguf_tensors, rope

BASE = dict(vocab_size=VOCAB, max_position_embeddings=256, hidden_size=128, intermediate_size=256,
            num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
            tie_word_embeddings=False, rope_parameters=rope(10000.0), bos_token_id=0,
            eos_token_id=1, pad_token_id=1)
# AutoAWQ's clipping wants a multiple of 64 outputs.
SMALL = BASE | dict(hidden_size=64, intermediate_size=64, num_hidden_layers=1,
                    num_attention_heads=4, num_key_value_heads=4, tie_word_embeddings=True)
EXPERTS = dict(num_experts=4, num_experts_per_tok=2, moe_intermediate_size=64, norm_topk_prob=True,
               head_dim=32)
FAMILIES = {"llama": ("llama", {}), "qwen2": ("qwen2", {}), "qwen3": ("qwen3", dict(head_dim=32)),
            "qwen3moe": ("qwen3_moe", EXPERTS), "phi3": ("phi3", {})}

GPTQ = dict(quant_method="gptq", bits=4, group_size=32, act_group_aware=False)
AWQ = dict(quant_method="awq", format="gemm", bits=4, group_size=32)
ASYM = dict(sym=False)
# name: (family, how, settings, type that most matrices get)
CASES = {
    "gptq": ("llama", "gptqmodel", GPTQ, "Q4_0"),
    "gptq-zeros": ("llama", "gptqmodel", GPTQ | ASYM, "Q4_1"),
    "gptq-order": ("llama", "gptqmodel", GPTQ | dict(desc_act=True), "Q8_0"),
    "gptq-aware": ("llama", "gptqmodel", GPTQ | dict(act_group_aware=True), "Q4_0"),
    "gptq-row": ("llama", "gptqmodel", GPTQ | dict(group_size=-1), "Q4_0"),
    "gptq-16": ("llama", "gptqmodel", GPTQ | dict(group_size=16), "Q8_0"),
    "gptq-2": ("llama", "gptqmodel", GPTQ | dict(bits=2), "Q4_0"),
    "gptq-3": ("llama", "gptqmodel", GPTQ | ASYM | dict(bits=3), "Q4_0"),
    "gptq-8": ("llama", "gptqmodel", GPTQ | dict(bits=8), "Q8_0"),
    "gptq-8-zeros": ("llama", "gptqmodel", GPTQ | ASYM | dict(bits=8), "Q8_0"),
    "gptq-v2": ("llama", "gptqmodel", GPTQ | ASYM | dict(format="gptq_v2", group_size=64), "Q4_1"),
    "gptq-dynamic": ("llama", "gptqmodel", GPTQ | dict(dynamic={
        r"+:.*\.down_proj": dict(group_size=64), r"-:.*\.o_proj": {}}), "Q4_0"),
    "gptq-phi3": ("phi3", "gptqmodel", GPTQ | ASYM, "Q4_1"),
    "gptq-moe": ("qwen3moe", "gptqmodel", GPTQ, "Q4_0"),
    "awq": ("llama", "gptqmodel", AWQ | ASYM, "Q4_1"),
    "awq-centred": ("llama", "gptqmodel", AWQ, "Q4_0"),
    "awq-128": ("qwen2", "gptqmodel", AWQ | ASYM | dict(group_size=128), "Q4_1"),
    "awq-qwen3": ("qwen3", "gptqmodel", AWQ | ASYM, "Q4_1"),
    "awq-moe": ("qwen3moe", "gptqmodel", AWQ | ASYM, "Q4_1"),
    "compressed": ("llama", "llmcompressor", dict(scheme="W4A16"), "Q4_0"),
    "compressed-zeros": ("llama", "llmcompressor", dict(scheme="W4A16_ASYM"), "Q4_1"),
    "compressed-8": ("qwen2", "llmcompressor", dict(scheme="W8A16"), "Q8_0"),
    "compressed-gptq": ("llama", "llmcompressor", dict(scheme="W4A16", gptq=True,
                                                       actorder="static"), "Q4_0"),
    "autogptq": ("llama", "autogptq", dict(bits=4, group_size=32, sym=False), "Q4_1"),
    "autogptq-3": ("qwen2", "autogptq", dict(bits=3, group_size=64, sym=False), "Q4_0"),
    "autogptq-8": ("llama", "autogptq", dict(bits=8, group_size=32, sym=True), "Q8_0"),
    "autoawq": ("llama", "autoawq", dict(bits=4, group_size=32), "Q4_1"),
    "autoawq-128": ("qwen2", "autoawq", dict(bits=4, group_size=128), "Q4_1"),
}
WRITTEN = {"packed-awq": AWQ | ASYM, "packed-gptq": GPTQ, "packed-zeros": GPTQ | ASYM,
           "packed-order": GPTQ | dict(desc_act=True),
           "packed-compressed": dict(config_groups={"group_0": {
               "targets": ["Linear"], "weights": dict(num_bits=4, symmetric=False, strategy="group",
                                                      group_size=32)}})}


def make_source(folder, family, config):
    model_type, more = FAMILIES[family]
    cfg = CONFIG_MAPPING[model_type](**(BASE | more | config))
    model = AutoModelForCausalLM.from_config(cfg, **EAGER)
    fill(model, np.random.default_rng(sum(family.encode())), False)
    model.to(torch.float16).save_pretrained(folder)
    write_tokenizer(folder, family)
    return cfg


def by_gptqmodel(source, out, settings):
    from gptqmodel import GPTQModel, QuantizeConfig
    rng = np.random.default_rng(1)
    texts = [{"input_ids": rng.integers(2, VOCAB, 64).tolist(), "attention_mask": [1] * 64}
             for _ in range(16)]
    settings = dict(settings)
    if settings["quant_method"] != "gptq" or settings.get("act_group_aware") is None:
        settings.pop("act_group_aware", None)
    model = GPTQModel.load(str(source), QuantizeConfig(**settings), device="cpu")
    model.quantize(texts, batch_size=1)
    model.save(str(out))


def by_llmcompressor(source, out, settings):
    from datasets import Dataset
    from llmcompressor import oneshot
    from llmcompressor.modifiers.gptq import GPTQModifier
    from llmcompressor.modifiers.quantization import QuantizationModifier
    model = AutoModelForCausalLM.from_pretrained(source, dtype=torch.float16)
    settings = dict(settings)
    rng = np.random.default_rng(1)
    texts = Dataset.from_list([{"input_ids": rng.integers(2, VOCAB, 64).tolist()}
                               for _ in range(16)])
    if settings.pop("gptq", False):
        recipe = GPTQModifier(targets="Linear", ignore=["lm_head"], **settings)
        oneshot(model=model, recipe=recipe, dataset=texts, num_calibration_samples=16,
                max_seq_length=64)
    else:
        if "scheme" in settings:
            settings["targets"] = "Linear"
        recipe = QuantizationModifier(ignore=["lm_head"], **settings)
        oneshot(model=model, recipe=recipe)
    model.save_pretrained(out, save_compressed=True)
    for file in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(source / file, out)


def in_package(package, folder, module):
    """A module of a package whose __init__ does not run here."""
    for i, part in enumerate(module.split(".")[:-1]):
        name = ".".join([package, *module.split(".")[:i + 1]])
        sys.modules.setdefault(name, types.ModuleType(name)).__path__ = [
            str(folder.joinpath(*module.split(".")[:i + 1]))]
    sys.modules.setdefault(package, types.ModuleType(package)).__path__ = [str(folder)]
    return importlib.import_module(f"{package}.{module}")


def pack_all(source, out, config, pack):
    """Each linear layer of the layers' through `pack`, which gives the tensors that replace it."""
    shutil.copytree(source, out)
    tensors = {}
    weights = load_file(source / "model.safetensors")
    for name, w in weights.items():
        if ".layers." in name and w.dim() == 2:
            base = name.removesuffix(".weight")
            tensors |= {f"{base}.{k}": v.contiguous() for k, v in pack(w).items()}
        else:
            tensors[name] = w
    save_file(tensors, out / "model.safetensors", metadata={"format": "pt"})
    described = json.loads((out / "config.json").read_text())
    described["quantization_config"] = config
    (out / "config.json").write_text(json.dumps(described))


def linear_of(w):
    linear = torch.nn.Linear(w.shape[1], w.shape[0], bias=False, dtype=w.dtype)
    linear.weight.data = w.clone()
    return linear


def by_autogptq(source, out, settings):
    sys.modules.pop("auto_gptq", None) # what in_package put there for a case before
    folder = pathlib.Path(importlib.util.find_spec("auto_gptq").submodule_search_locations[0])
    layer = in_package("auto_gptq", folder, "nn_modules.qlinear.qlinear_cuda_old").QuantLinear
    quantizer = in_package("auto_gptq", folder, "quantization.quantizer").Quantizer

    def pack(w):
        scales, zeros = [], []
        for at in range(0, w.shape[1], settings["group_size"]):
            q = quantizer()
            q.configure(settings["bits"], perchannel=True, sym=settings["sym"])
            q.find_params(w[:, at:at + settings["group_size"]].float(), weight=True)
            scales.append(q.scale)
            zeros.append(q.zero)
        packed = layer(settings["bits"], settings["group_size"], w.shape[1], w.shape[0], False)
        packed.pack(linear_of(w), torch.cat(scales, 1).half(), torch.cat(zeros, 1), None)
        return {k: getattr(packed, k) for k in ("qweight", "qzeros", "scales", "g_idx")}

    pack_all(source, out, settings | dict(quant_method="gptq", desc_act=False), pack)


def by_autoawq(source, out, settings, folder):
    layer = in_package("awq", folder / "awq", "modules.linear.gemm").WQLinear_GEMM

    def pack(w):
        # AwqQuantizer.pseudo_quantize_tensor with zero points
        group = settings["group_size"]
        parts = w.float().reshape(-1, group)
        high, low = parts.amax(1, keepdim=True), parts.amin(1, keepdim=True)
        scales = (high - low).clamp(min=1e-5) / 15
        zeros = (-torch.round(low / scales)).clamp_(0, 15)
        scales, zeros = (t.reshape(w.shape[0], -1).t().contiguous() for t in (scales.half(), zeros))
        packed = layer.from_linear(linear_of(w), 4, group, False, scales, zeros)
        return {k: getattr(packed, k) for k in ("qweight", "qzeros", "scales")}

    pack_all(source, out, dict(quant_method="awq", zero_point=True, group_size=settings[
        "group_size"], bits=4, version="gemm", modules_to_not_convert=None), pack)


def restored_awq(t, dequantize):
    """All tensors, packed ones through a package's dequantize_gemm."""
    plain = {}
    for k, v in t.items():
        base, end = k.rsplit(".", 1)
        if end == "qweight":
            zeros, scales = t[f"{base}.qzeros"], t[f"{base}.scales"].float()
            group = v.shape[0] // scales.shape[0]
            plain[f"{base}.weight"] = dequantize(v, zeros, scales, 4, group).t()
        elif end not in ("qzeros", "scales"):
            plain[k] = v
    return plain


def restored_compressed(t):
    """All tensors, packed ones by compressed-tensors' own unpacking."""
    from compressed_tensors.compressors.pack_quantized.helpers import unpack_from_int32
    plain = {}
    for k, v in t.items():
        base, end = k.rsplit(".", 1)
        if end == "weight_packed":
            shape = torch.Size(t[f"{base}.weight_shape"].tolist())
            scales = t[f"{base}.weight_scale"].float()
            bits = v.shape[1] * 32 // shape[1]
            codes = unpack_from_int32(v, bits, shape).float()
            group = torch.arange(shape[1]) // (shape[1] // scales.shape[1])
            group = t.get(f"{base}.weight_g_idx", group).long()
            zeros = torch.zeros_like(scales)
            if f"{base}.weight_zero_point" in t:
                zeros = unpack_from_int32(t[f"{base}.weight_zero_point"], bits, scales.shape,
                                          packed_dim=0).float()
            plain[f"{base}.weight"] = (codes - zeros[:, group]) * scales[:, group]
        elif not end.startswith("weight_"):
            plain[k] = v
    return plain


def restore(packed, out):
    """The whole model in plain weights, by the reference. (dequantize_model of gptqmodel 7.7.0
    leaves AWQ's outputs in the order of the words, so its dequantize_gemm does it.)"""
    from gptqmodel.quantization.awq.utils.packing_utils import dequantize_gemm
    from gptqmodel.utils.model_dequant import dequantize_model
    config = json.loads((packed / "config.json").read_text())
    method = config.pop("quantization_config")["quant_method"]
    if method == "awq":
        out.mkdir()
        model = restored_awq(load_file(packed / "model.safetensors"), dequantize_gemm)
    elif method == "compressed-tensors":
        out.mkdir()
        model = restored_compressed(load_file(packed / "model.safetensors"))
    else:
        dequantize_model(packed, out, target_dtype=torch.float32)
        model = load_file(out / "model.safetensors")
    for k in [k for k in model if config["model_type"] == "phi3" and ".gate_proj." in k]:
        halves = [model.pop(k), model.pop(k.replace("gate_proj", "up_proj"))]
        model[k.replace("gate_proj", "gate_up_proj")] = torch.cat(halves)
    save_file({k: v.float().contiguous() for k, v in model.items()}, out / "model.safetensors",
              metadata={"format": "pt"})
    config["dtype"] = "float32"
    (out / "config.json").write_text(json.dumps(config))


def compare_weights(name, path, want, reported, kind):
    keys, tensors = read(path)
    errors = {g["name"]: g for g in reported}
    worst, seen = 0.0, set()
    for tensor, values in want:
        k, _, data = tensors.pop(tensor)
        ours = gguf.quants.dequantize(data, k).reshape(values.shape)
        short = tensor.split(".", 2)[2] if tensor.startswith("blk.") else tensor
        if short not in errors:
            assert np.array_equal(ours, values.astype(np.float32)), (name, tensor)
            continue
        far = np.linalg.norm(ours - values) / np.linalg.norm(values)
        worst = max(worst, far)
        seen.add(k.name)
        group = next(g for g in reported if g["name"] == short and g["type"] == k.name)
        if group["exact_codes"] and k.name != "Q4_1":
            assert far < 1e-7, (name, tensor, far)
        elif group["exact_codes"]: # half a unit of F16 in a minimum of at most 15 steps
            assert np.abs(ours - values).max() <= 2.0 ** -11 * np.abs(values).max(), (name, tensor)
        assert far <= 1.5 * group["error"] + 1e-7, (name, tensor, far, group["error"])
    assert not tensors, (name, sorted(tensors))
    assert kind in seen, (name, seen)
    return worst, seen


def reference_logits(folder, out):
    import struct
    tokens = np.random.default_rng(5).integers(2, VOCAB, 24)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, **EAGER).eval()
    with torch.no_grad():
        logits = model(torch.tensor([tokens.tolist()])).logits[0].numpy().astype("<f4")
    out.write_bytes(struct.pack("<4s4I", b"VGLG", 1, len(tokens), VOCAB, len(tokens)) +
                    tokens.astype("<i4").tobytes() +
                    np.arange(len(tokens), dtype="<u4").tobytes() + logits.tobytes())


def check(args, name, folder):
    family, how, settings, kind = CASES[name]
    cfg = make_source(folder / "source", family, {})
    packed = folder / "packed"
    if how == "gptqmodel":
        by_gptqmodel(folder / "source", packed, settings)
    elif how == "llmcompressor":
        by_llmcompressor(folder / "source", packed, settings)
    elif how == "autogptq":
        by_autogptq(folder / "source", packed, settings)
    else:
        by_autoawq(folder / "source", packed, settings, args.autoawq)
    restore(packed, folder / "plain")
    if how == "autoawq":
        ours = load_file(folder / "plain" / "model.safetensors")
        own = in_package("awq", args.autoawq / "awq", "utils.packing_utils").dequantize_gemm
        for k, w in restored_awq(load_file(packed / "model.safetensors"), own).items():
            assert torch.equal(w.float(), ours[k]), k
    out = folder / "out.gguf"
    said = subprocess.run([args.verge, "convert", packed, "-o", out, "--json"], check=True,
                          capture_output=True, text=True).stdout
    worst, kinds = compare_weights(name, out, gguf_tensors(folder / "plain", family, cfg),
                                   json.loads(said)["packed"], kind)
    reference_logits(folder / "plain", folder / "logits")
    loose = compare_logits(args.logits, out, folder / "logits")
    subprocess.run([args.verge, "convert", packed, "-o", folder / "f32.gguf", "--type", "f32"],
                   check=True, capture_output=True)
    tight = compare_logits(args.logits, folder / "f32.gguf", folder / "logits")
    print(f"{name:14} {family:9} {how:10} {'+'.join(sorted(kinds)):10} weights {worst:.1e}, logits "
          f"{tight:.1e} in F32, {loose:.1e} as packed", flush=True)
    # An expert more or less is no rounding.
    assert tight < 1e-3 and (loose < 0.2 or family == "qwen3moe"), name


# ---- goldens --------------------------------------------------------------------------------------

def q4_block_bytes(codes, scales, zeros, kind):
    """codes [out, in], scales and zeros [out, blocks] of 32 columns."""
    n_out, n_in = codes.shape
    d = scales.astype("<f2")
    m = (-zeros.astype(np.float32) * scales.astype(np.float32)).astype("<f2")
    shift = 0 if kind == "Q4_1" else 8 - zeros.repeat(32, 1).astype(int)
    q = (codes.astype(int) + shift).reshape(n_out, n_in // 32, 2, 16)
    nibbles = (q[:, :, 0] | q[:, :, 1] << 4).astype(np.uint8)
    head = [d.view(np.uint8).reshape(n_out, -1, 2)]
    if kind == "Q4_1":
        head.append(m.view(np.uint8).reshape(n_out, -1, 2))
    return np.concatenate([*head, nibbles], axis=2).tobytes()


def unpacked_compressed(tensors, base):
    from compressed_tensors.compressors.pack_quantized.helpers import unpack_from_int32
    scales = tensors[f"{base}.weight_scale"].float()
    shape = torch.Size(tensors[f"{base}.weight_shape"].tolist())
    codes = unpack_from_int32(tensors[f"{base}.weight_packed"], 4, shape)
    zeros = unpack_from_int32(tensors[f"{base}.weight_zero_point"], 4, scales.shape, packed_dim=0)
    return codes.numpy() + 8, scales.numpy(), zeros.numpy() + 8


def unpacked(tensors, base, awq):
    """Codes, scales and zeros of one matrix by gptqmodel's functions, [out, in] and [out, groups]."""
    from gptqmodel.quantization.awq.utils.packing_utils import reverse_awq_order, unpack_awq
    from gptqmodel.utils import model_dequant
    words, zeros = tensors[f"{base}.qweight"], tensors[f"{base}.qzeros"]
    if awq:
        codes, zeros = reverse_awq_order(*unpack_awq(words, zeros, 4), 4)
        codes, zeros = codes & 15, zeros & 15
    else:
        codes = model_dequant.unpack_rows(words, 4)
        zeros = model_dequant.unpack_cols(model_dequant._correct_gptq_v1_qzeros(zeros, 4), 4)
    return codes.t().numpy(), tensors[f"{base}.scales"].float().t().numpy(), zeros.t().numpy()


def write_golden(out, name, settings):
    with tempfile.TemporaryDirectory() as temp:
        temp = pathlib.Path(temp)
        cfg = make_source(temp / "source", "llama", SMALL)
        compressed = "config_groups" in settings
        (by_llmcompressor if compressed else by_gptqmodel)(temp / "source", temp / "packed",
                                                           settings)
        restore(temp / "packed", temp / "plain")
        folder = out / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        tensors = {k: v.contiguous() for k, v in
                   load_file(temp / "packed" / "model.safetensors").items()}
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
        for file in ("tokenizer.json", "tokenizer_config.json"):
            shutil.copy(temp / "source" / file, folder)
        config = json.loads((temp / "packed" / "config.json").read_text())
        config["quantization_config"].pop("meta", None)
        (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
        # Codes and zeros travel as matrices of their own through the mapping of families.py.
        lines = []
        end = ".weight_packed" if compressed else ".qweight"
        names = [k.removesuffix(end) for k in tensors if k.endswith(end)]
        maps = []
        for part in range(3):
            plain = load_file(temp / "plain" / "model.safetensors")
            for base in names:
                w = (unpacked_compressed(tensors, base) if compressed else
                     unpacked(tensors, base, settings["quant_method"] == "awq"))[part]
                plain[f"{base}.weight"] = torch.tensor(np.ascontiguousarray(w, np.float32))
            save_file(plain, temp / "model.safetensors")
            maps.append(dict(gguf_tensors(temp, "llama", cfg)))
        packed = {k for k in maps[0] if maps[0][k].shape != maps[1][k].shape}
        for tensor, values in maps[0].items():
            dims = "x".join(str(n) for n in reversed(values.shape))
            kind, data = "F32", np.ascontiguousarray(values, "<f4").tobytes()
            if tensor in packed:
                zeros = maps[2][tensor]
                kind = "Q4_0" if (zeros == 8).all() else "Q4_1"
                per = 32 * maps[1][tensor].shape[1] // values.shape[1]
                assert per == 1, tensor
                data = q4_block_bytes(values, maps[1][tensor], zeros, kind)
                if settings.get("desc_act"):
                    kind, data = "Q8_0", None # quantised anew: the report tells the error
            elif values.ndim > 1:
                kind = str(next(v.dtype for k, v in tensors.items() if "embed" in k))
                kind = {"torch.bfloat16": "BF16", "torch.float16": "F16"}[kind]
                data = (values.astype("<f2") if kind == "F16" else
                        (np.ascontiguousarray(values, "<f4").view("<u4") >> 16).astype("<u2"))
                data = data.tobytes()
            crc = f"{zlib.crc32(data):08x}" if data else "-"
            lines.append(f"{tensor} {kind} {dims} {crc}\n")
    (out / f"{name}.crc").write_text("".join(sorted(lines)))


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("verge", type=pathlib.Path, nargs="?")
    parser.add_argument("logits", type=pathlib.Path, nargs="?")
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--autoawq", type=pathlib.Path, metavar="DIR")
    parser.add_argument("--keep", type=pathlib.Path)
    parser.add_argument("--write", type=pathlib.Path, metavar="DIR")
    args = parser.parse_args()
    for key in ("verge", "logits", "autoawq", "keep", "write"):
        if getattr(args, key):
            setattr(args, key, getattr(args, key).resolve())
    os.chdir(tempfile.gettempdir()) # gptqmodel leaves a folder of logs
    torch.set_num_threads(1)
    if args.write:
        for name, settings in WRITTEN.items():
            if not args.names or name in args.names:
                write_golden(args.write, name, settings)
        return
    names = args.names or [n for n in CASES if args.autoawq or not n.startswith("autoawq")]
    for name in names:
        with tempfile.TemporaryDirectory() as temp:
            check(args, name, (args.keep or pathlib.Path(temp)) / name)


if __name__ == "__main__":
    main()
