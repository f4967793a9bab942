#!/usr/bin/env python3
"""Write a checkpoint of train.py as GGUF, with reference values for tests.

Matrices become Q8_0, norms stay F32.  The rows of the query and key matrices
are reordered from Hugging Face's rotary pairs (i, i + head_dim/2) to the
interleaved pairs (2i, 2i + 1) that the `llama` architecture has in GGUF.

The reference file (--golden) holds, computed in float32 from the weights as
they stand in the finished GGUF (dequantised):
  - prompts: ids (first the BOS), the next 48 ids by greedy choice, and for
    each the gap between the best and the second-best logit, so that a test
    knows which choices rounding could turn over;
  - sample: stories that the model makes up, as ids, in windows; in every window each id but the
    first is predicted from those before it, and `nats` is the mean loss.

--samples N prints stories sampled from the finished file, N for each prompt.
"""
import argparse
import json
import random
from pathlib import Path

import gguf
import numpy as np
import torch
import torch.nn.functional as F
from gguf import quants
from tokenizers import Tokenizer

from train import CONTEXT, EOT, Documents, Llama, evaluate

TEMPLATE = ("{{ bos_token }}{% for message in messages %}{% if loop.last %}"
            "{{ 'Story: ' + message['content'] | trim + '\\n' }}"
            "{% endif %}{% endfor %}")
PROMPTS = ["Once upon a time", "Story: Tell me a story about a cat named Tom\n",
           "One day, Lily and her mom went to"]
CHATS = ["Tell me a story about a cat named Tom.", "Write a story about a tree and a ball",
         "Once upon a time there was a boy who found a red box.", "hello, who are you?",
         "Tell me a story about a dragon named Zog and a cake."]
BLOCK = {"q": "attn_q", "k": "attn_k", "v": "attn_v", "o": "attn_output", "gate": "ffn_gate",
         "up": "ffn_up", "down": "ffn_down", "attn_norm": "attn_norm", "ffn_norm": "ffn_norm"}


def gguf_name(name):
    if name == "embed.weight":
        return "token_embd.weight"
    if name == "norm.weight":
        return "output_norm.weight"
    _, number, part, _ = name.split(".")
    return f"blk.{number}.{BLOCK[part]}.weight"


def heads_of(name, config):
    """Number of heads if the matrix has rotary pairs to reorder, else 0."""
    part = name.split(".")[-2]
    return {"q": config["heads"], "k": config["kv_heads"]}.get(part, 0)


def interleave(w, heads):
    return w.reshape(heads, 2, -1, w.shape[1]).swapaxes(1, 2).reshape(w.shape)


def deinterleave(w, heads):
    return w.reshape(heads, -1, 2, w.shape[1]).swapaxes(1, 2).reshape(w.shape)


def write_gguf(path, weights, config, tokenizer_json, name):
    out = gguf.GGUFWriter(path, "llama")
    count = sum(w.numel() for w in weights.values())
    out.add_type("model")
    out.add_name(name)
    out.add_author("The Verge authors")
    out.add_license("Apache-2.0")
    out.add_description("A teller of simple English children's stories, trained from scratch "
                        "on a sample of TinyStories (CDLA-Sharing-1.0)")
    out.add_languages(["en"])
    out.add_size_label(f"{count / 1e6:.1f}M")
    out.add_file_type(gguf.LlamaFileType.MOSTLY_Q8_0)
    out.add_quantization_version(gguf.GGML_QUANT_VERSION)
    out.add_vocab_size(config["vocab"])
    out.add_context_length(CONTEXT)
    out.add_embedding_length(config["hidden"])
    out.add_block_count(config["layers"])
    out.add_feed_forward_length(config["ffn"])
    out.add_head_count(config["heads"])
    out.add_head_count_kv(config["kv_heads"])
    out.add_key_length(config["head_dim"])
    out.add_value_length(config["head_dim"])
    out.add_layer_norm_rms_eps(config["eps"])
    out.add_rope_freq_base(config["theta"])
    out.add_rope_dimension_count(config["head_dim"])

    bpe = tokenizer_json["model"]
    tokens = sorted(bpe["vocab"], key=bpe["vocab"].get)
    end = bpe["vocab"][EOT]
    out.add_tokenizer_model("gpt2")
    out.add_tokenizer_pre("gpt-2")
    out.add_token_list(tokens)
    out.add_token_types([gguf.TokenType.CONTROL if i == end else gguf.TokenType.NORMAL
                         for i in range(len(tokens))])
    out.add_token_merges([m if isinstance(m, str) else " ".join(m) for m in bpe["merges"]])
    out.add_bos_token_id(end)
    out.add_eos_token_id(end)
    out.add_add_bos_token(True)
    out.add_add_eos_token(False)
    out.add_chat_template(TEMPLATE)

    for key, tensor in weights.items():
        w = tensor.numpy()
        if w.ndim == 1:
            out.add_tensor(gguf_name(key), w)
            continue
        if heads_of(key, config):
            w = interleave(w, heads_of(key, config))
        q8 = gguf.GGMLQuantizationType.Q8_0
        out.add_tensor(gguf_name(key), quants.quantize(np.ascontiguousarray(w), q8), raw_dtype=q8)
    out.write_header_to_file()
    out.write_kv_data_to_file()
    out.write_tensors_to_file()
    out.close()


def read_gguf(path, config):
    """The weights of the finished file, dequantised, in train.py's order."""
    stored = {t.name: torch.from_numpy(np.array(quants.dequantize(t.data, t.tensor_type)))
              for t in gguf.GGUFReader(path).tensors}
    model = Llama(config)
    state = {}
    for key in model.state_dict():
        w = stored.pop(gguf_name(key))
        state[key] = deinterleave(w, heads_of(key, config)) if heads_of(key, config) else w
    assert not stored, f"tensors left over: {list(stored)}"
    model.load_state_dict(state)
    return model.eval()


@torch.no_grad()
def greedy(model, ids, count):
    new, gaps = [], []
    for _ in range(count):
        top = model(torch.tensor([ids + new]))[0, -1].topk(2)
        new.append(top.indices[0].item())
        gaps.append(round((top.values[0] - top.values[1]).item(), 4))
    return new, gaps


@torch.no_grad()
def sample(model, ids, end, temperature, rng):
    new = []
    while len(ids) + len(new) < CONTEXT and end not in new[-1:]:
        logits = model(torch.tensor([ids + new]))[0, -1]
        new.append(torch.multinomial(F.softmax(logits / temperature, 0), 1, generator=rng).item())
    return new


def own_text(model, end, size):
    """Stories that the model makes up itself, as one stream of `size` ids."""
    rng = torch.Generator().manual_seed(11)
    stream = []
    while len(stream) < size:
        new = sample(model, [end], end, 1.0, rng)
        stream += [end] + new[:-1]
    return stream[:size]


def golden(model, tokenizer, size):
    end = tokenizer.token_to_id(EOT)
    result = {"window": CONTEXT, "prompts": []}
    for text in PROMPTS:
        ids = [end] + tokenizer.encode(text).ids
        new, gaps = greedy(model, ids, 48)
        result["prompts"].append({"text": text, "ids": ids, "greedy": new, "gaps": gaps})
    stream = own_text(model, end, size)
    windows = torch.tensor(stream).view(-1, CONTEXT)
    with torch.no_grad():
        losses = F.cross_entropy(model(windows)[:, :-1].flatten(0, 1), windows[:, 1:].flatten(),
                                 reduction="none").view(len(windows), -1)
    result["sample"] = {"ids": stream, "nats": round(losses.mean().item(), 6),
                        "nats_by_window": [round(x, 6) for x in losses.mean(1).tolist()]}
    return result


def main():
    ap = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    ap.add_argument("--checkpoint", type=Path, required=True, help="best.pt of train.py")
    ap.add_argument("--data", type=Path, required=True, help="folder made by prepare.py")
    ap.add_argument("--out", type=Path, required=True, help="the GGUF file to write")
    ap.add_argument("--name", default="verge-default")
    ap.add_argument("--golden", type=Path, help="reference values to write (JSON)")
    ap.add_argument("--samples", type=int, default=0)
    ap.add_argument("--temperature", type=float, default=0.8)
    ap.add_argument("--threads", type=int, default=1)
    args = ap.parse_args()
    torch.set_num_threads(args.threads)

    saved = torch.load(args.checkpoint)
    config = saved["config"]
    tokenizer_json = json.loads((args.data / "tokenizer.json").read_text(encoding="utf-8"))
    tokenizer = Tokenizer.from_file(str(args.data / "tokenizer.json"))
    write_gguf(args.out, saved["model"], config, tokenizer_json, args.name)
    print(f"{args.out}: {args.out.stat().st_size} bytes")

    model = read_gguf(args.out, config)
    exact = Llama(config)
    exact.load_state_dict(saved["model"])
    heldout = Documents(args.data / "heldout.jsonl", tokenizer, 0.0)
    batches = heldout.batches(random.Random(0), 8192, 0.0)
    tokens = sum((t >= 0).sum().item() for _, t in batches)
    length = sum(len(s["text"].encode()) for s in heldout.stories)
    for label, m in (("as trained", exact), ("as stored", model)):
        nats = evaluate(m, batches, low=False)
        print(f"held-out, {label}: {nats:.4f} nats per token, "
              f"{nats * tokens / length / np.log(2):.4f} bits per byte")
    model.eval()
    if args.golden:
        text = json.dumps(golden(model, tokenizer, 2048), separators=(",", ":"))
        lines = text.replace('},{"', '},\n{"').replace('"sample"', '\n"sample"')
        args.golden.write_text(lines + "\n")
    rng = torch.Generator().manual_seed(7)
    end = tokenizer.token_to_id(EOT)
    prompts = [PROMPTS[0]] + [f"Story: {c}\n" for c in CHATS]
    for prompt in prompts * args.samples:
        new = sample(model, [end] + tokenizer.encode(prompt).ids, end, args.temperature, rng)
        print(f"\n--- {prompt}{tokenizer.decode(new)}")


if __name__ == "__main__":
    main()
