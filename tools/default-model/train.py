#!/usr/bin/env python3
"""Train the small story model on the corpus made by prepare.py.

A `llama` network (RMSNorm, SwiGLU, rotary positions, tied embeddings) on one
CPU thread.  The corpus is small, so what counts is how much is learnt from a
few passes: Muon for the matrices, AdamW for the rest, dropout, weight decay,
and an averaged copy of the weights (EMA).  Part of the stories come with a
request in front (see `request`), made anew in every pass, so that the model
can also answer "tell me a story about ...".

The learning rate follows the clock: a run ends after --minutes (or --steps,
whichever comes first) and always gets its whole schedule, however busy the
machine is.  A run that was killed goes on with --resume.

On Linux with glibc, MALLOC_MMAP_THRESHOLD_=4294967296 and
MALLOC_TRIM_THRESHOLD_=17179869184 in the environment save a quarter of the
time: the large buffers are then kept instead of mapped anew in every step.

Output folder: last.pt (everything needed to resume), best.pt (best held-out
loss so far, plain or averaged weights), log.jsonl.
"""
import argparse
import json
import math
import random
import re
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from tokenizers import Tokenizer
from torch import nn

EOT = "<|endoftext|>"
CONTEXT = 512
IGNORE = -100


# ------------------------------------------------------------------- model

class Block(nn.Module):
    def __init__(self, c):
        super().__init__()
        d, kv, head = c["hidden"], c["kv_heads"] * c["head_dim"], c["heads"] * c["head_dim"]
        self.c = c
        self.attn_norm = nn.RMSNorm(d, eps=c["eps"])
        self.q = nn.Linear(d, head, bias=False)
        self.k = nn.Linear(d, kv, bias=False)
        self.v = nn.Linear(d, kv, bias=False)
        self.o = nn.Linear(head, d, bias=False)
        self.ffn_norm = nn.RMSNorm(d, eps=c["eps"])
        self.gate = nn.Linear(d, c["ffn"], bias=False)
        self.up = nn.Linear(d, c["ffn"], bias=False)
        self.down = nn.Linear(c["ffn"], d, bias=False)
        self.drop = Dropout(c["dropout"])

    def forward(self, x, cos, sin):
        b, t, _ = x.shape
        h = self.attn_norm(x)
        q = rotate(self.q(h).view(b, t, self.c["heads"], -1), cos, sin)
        k = rotate(self.k(h).view(b, t, self.c["kv_heads"], -1), cos, sin)
        v = self.v(h).view(b, t, self.c["kv_heads"], -1)
        x = x + self.drop(self.o(attention(q, k, v)))
        h = self.ffn_norm(x)
        return x + self.drop(self.down(F.silu(self.gate(h)) * self.up(h)))


def attention(q, k, v):
    """Causal attention, spelled out: for rows this short it is faster on a CPU
    than the fused kernel."""
    b, t, heads, size = q.shape
    share = heads // k.shape[2]
    q, k, v = (x.repeat_interleave(n, 2).transpose(1, 2).flatten(0, 1)
               for x, n in ((q, 1), (k, share), (v, share)))
    mask = torch.full((t, t), -torch.inf, dtype=q.dtype).triu(1)
    scores = torch.baddbmm(mask.expand(b * heads, t, t), q, k.transpose(1, 2), alpha=size ** -0.5)
    return (scores.softmax(-1) @ v).view(b, heads, t, size).transpose(1, 2).reshape(b, t, -1)


class Dropout(nn.Module):
    """Dropout decided by random bytes, eight from one draw: a twelfth of the
    time that nn.Dropout takes on one thread.  Widths are multiples of 8."""

    def __init__(self, share):
        super().__init__()
        self.limit = round(share * 256)

    def forward(self, x):
        if not self.training or not self.limit:
            return x
        draw = torch.empty(x.numel() // 8, dtype=torch.int64).random_(-2**63, None)
        draw = draw.view(torch.uint8).view(x.shape)
        return x * (draw >= self.limit).to(x.dtype).mul_(256 / (256 - self.limit))


def rotate(x, cos, sin):
    """Rotary positions, Hugging Face order: pairs (i, i + head_dim / 2)."""
    a, b = x.chunk(2, -1)
    return torch.cat((a * cos - b * sin, b * cos + a * sin), -1)


class Llama(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.c = c
        self.embed = nn.Embedding(c["vocab"], c["hidden"])
        self.blocks = nn.ModuleList(Block(c) for _ in range(c["layers"]))
        self.norm = nn.RMSNorm(c["hidden"], eps=c["eps"])
        self.drop = Dropout(c["dropout"])
        half = c["head_dim"] // 2
        angle = torch.outer(torch.arange(CONTEXT).float(),
                            c["theta"] ** (-torch.arange(half).float() / half))
        self.register_buffer("cos", angle.cos()[:, None], persistent=False)
        self.register_buffer("sin", angle.sin()[:, None], persistent=False)
        for name, p in self.named_parameters():
            if p.dim() == 2:
                last = name.endswith(("o.weight", "down.weight"))
                nn.init.normal_(p, std=0.02 / math.sqrt(2 * c["layers"] if last else 1))

    def forward(self, ids):
        t = ids.shape[1]
        low = torch.is_autocast_enabled("cpu")
        cos, sin = ((f[:t].bfloat16() if low else f[:t]) for f in (self.cos, self.sin))
        x = self.drop(self.embed(ids))
        for block in self.blocks:
            x = block(x, cos, sin)
        return F.linear(self.norm(x), self.embed.weight)


# --------------------------------------------------------------- documents

ASK = ["Tell me a story about {}", "Write a story about {}", "Story about {}",
       "A story about {}", "Please tell me a story about {}", "{}",
       "Can you tell me a story about {}?", "Write a short story about {}",
       "I want to hear a story about {}", "Make up a story about {}", "About {}"]


def request(story, rng):
    """The line in front of a story: `Story: <what a user may have said>`.

    The chat template of the exported model puts the user's last message at
    the same place.  The message is one of: a wish that names a hero or some
    nouns of the story ("Tell me a story about a cat named Tom and a ball."),
    the bare topics ("a tree and a ball"), or the beginning of the story.
    """
    topics = []
    if story["heroes"] and rng.random() < 0.75:
        kind, name = story["heroes"][0]
        topics.append(f"{kind} {rng.choice(['named', 'named', 'called'])} {name}" if kind else name)
        topics += [n for k, n in story["heroes"][1:2] if rng.random() < 0.4]
    nouns = story["nouns"]
    if nouns:
        count = rng.choice((0, 1, 1, 2) if topics else (1, 1, 2, 2, 3))
        for noun in rng.sample(nouns[:5], min(count, len(nouns[:5]))):
            article = "" if noun.endswith("s") else "an " if noun[0] in "aeiou" else "a "
            topics.append(article + noun)
    if not topics or rng.random() < 0.2:
        words = re.split(r"(?<=[.!?])\s", story["text"])[0].split(" ")
        if rng.random() < 0.5 and len(words) > 6:
            words = words[:rng.randint(5, len(words))]
        message = " ".join(words)
    else:
        listed = topics[0] if len(topics) == 1 else ", ".join(topics[:-1]) + " and " + topics[-1]
        message = rng.choice(ASK).format(listed)
        if message[-1] != "?" and rng.random() < 0.5:
            message += "."
        message = message[0].upper() + message[1:]
    if rng.random() < 0.15:
        message = message.lower()
    return f"Story: {message}\n"


def renamed(story, pools, rng):
    """The same story with another name for its hero, so that the name in the
    request has to be read and not guessed."""
    if not story["heroes"] or not story["heroes"][0][0]:
        return story
    kind, old = story["heroes"][0]
    new = rng.choice(pools[pool_of(kind)])
    if re.search(rf"\b{new}\b", story["text"]):
        return story
    return {"text": re.sub(rf"\b{old}\b", new, story["text"]),
            "heroes": [[kind, new]] + story["heroes"][1:], "nouns": story["nouns"]}


def pool_of(kind):
    return kind.split()[-1] if kind.split()[-1] in ("girl", "boy") else "other"


class Documents:
    """Token ids and targets of a pass over the stories."""

    def __init__(self, path, tokenizer, share):
        self.stories = [json.loads(line) for line in open(path, encoding="utf-8")]
        self.tokenizer, self.share = tokenizer, share
        self.eot = tokenizer.token_to_id(EOT)
        self.plain = [self._ids(s["text"]) for s in self.stories]
        self.pools = {"girl": [], "boy": [], "other": []}
        for kind, name in (h for s in self.stories for h in s["heroes"]):
            if kind and name not in self.pools[pool_of(kind)]:
                self.pools[pool_of(kind)].append(name)

    def _ids(self, text):
        return self.tokenizer.encode(text, add_special_tokens=False).ids

    def document(self, index, rng):
        """(ids, targets): <EOT> [request] story <EOT>; the request is read,
        not predicted."""
        if rng.random() >= self.share:
            ids = [self.eot] + self.plain[index] + [self.eot]
            return ids[:-1], ids[1:]
        story = self.stories[index]
        if rng.random() < 0.4:
            story = renamed(story, self.pools, rng)
        head = self._ids(request(story, rng))
        ids = [self.eot] + head + self._ids(story["text"]) + [self.eot]
        return ids[:-1], [IGNORE] * len(head) + ids[1 + len(head):]

    def batches(self, rng, size, chained):
        """Batches of about `size` tokens.

        Most rows hold one story, next to stories of like length (no padding
        worth mentioning, short attention).  A share `chained` of the stories
        is strung together into full rows of the whole context instead, as
        in any running text.
        """
        docs = [self.document(i, rng) for i in rng.sample(range(len(self.plain)), len(self.plain))]
        cut = int(len(docs) * chained)
        rows = []
        ids = [i for d in docs[:cut] for i in d[0]]
        targets = [t for d in docs[:cut] for t in d[1]]
        for at in range(0, len(ids) - CONTEXT, CONTEXT):
            rows.append((ids[at:at + CONTEXT], targets[at:at + CONTEXT]))
        rows += [(d[0][:CONTEXT], d[1][:CONTEXT]) for d in docs[cut:]]
        rows.sort(key=lambda r: len(r[0]) + rng.random() * 8)
        out, batch = [], []
        for row in rows:
            if batch and (len(batch) + 1) * max(len(row[0]), len(batch[-1][0])) > size:
                out.append(batch)
                batch = []
            batch.append(row)
        out.append(batch)
        rng.shuffle(out)
        return [self.tensors(b) for b in out]

    def tensors(self, rows):
        width = max(len(r[0]) for r in rows)
        ids = [r[0] + [self.eot] * (width - len(r[0])) for r in rows]
        targets = [r[1] + [IGNORE] * (width - len(r[1])) for r in rows]
        return torch.tensor(ids), torch.tensor(targets)


def evaluate(model, batches, low):
    """Mean loss in nats a token over documents that each start afresh."""
    model.eval()
    nats = count = 0
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=low):
        for ids, targets in batches:
            logits = model(ids).float()
            nats += F.cross_entropy(logits.flatten(0, 1), targets.flatten(),
                                    ignore_index=IGNORE, reduction="sum").item()
            count += (targets != IGNORE).sum().item()
    model.train()
    return nats / count


# ---------------------------------------------------------------- training

def rate(progress, warm=0.02, floor=0.02):
    """Factor of the learning rate: short warm-up, then a cosine."""
    if progress < warm:
        return progress / warm
    cosine = 0.5 + 0.5 * math.cos(math.pi * min(1, (progress - warm) / (1 - warm)))
    return floor + (1 - floor) * cosine


def options():
    ap = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    ap.add_argument("--data", type=Path, required=True, help="folder made by prepare.py")
    ap.add_argument("--out", type=Path, required=True)
    ap.add_argument("--minutes", type=float, default=60)
    ap.add_argument("--steps", type=int, default=10**9)
    ap.add_argument("--hidden", type=int, default=256)
    ap.add_argument("--ffn", type=int, default=768)
    ap.add_argument("--layers", type=int, default=4)
    ap.add_argument("--head-dim", type=int, default=64)
    ap.add_argument("--kv-heads", type=int, default=4)
    ap.add_argument("--dropout", type=float, default=0.1)
    ap.add_argument("--muon-lr", type=float, default=0.03)
    ap.add_argument("--adam-lr", type=float, default=0.006)
    ap.add_argument("--weight-decay", type=float, default=0.1)
    ap.add_argument("--ema", type=float, default=0.995)
    ap.add_argument("--batch", type=int, default=4096, help="tokens a batch")
    ap.add_argument("--share", type=float, default=0.4, help="share of stories with a request")
    ap.add_argument("--chained", type=float, default=0.15, help="share of chained stories")
    ap.add_argument("--eval-minutes", type=float, default=4)
    ap.add_argument("--eval-stories", type=int, default=120)
    ap.add_argument("--fp32", action="store_true", help="no bfloat16")
    ap.add_argument("--threads", type=int, default=1)
    ap.add_argument("--seed", type=int, default=1)
    ap.add_argument("--resume", action="store_true")
    ap.add_argument("--init", type=Path, help="begin from the weights of this best.pt")
    return ap.parse_args()


class Training:
    """The weights, their average, the optimisers and how far the run is."""

    def __init__(self, config, args):
        self.args = args
        self.model, self.ema = Llama(config), Llama(config)
        self.ema.load_state_dict(self.model.state_dict())
        self.matrices, self.other = [], []
        for name, p in self.model.named_parameters():
            inner = name.startswith("blocks") and p.dim() == 2
            (self.matrices if inner else self.other).append(p)
        self.optimisers = [
            torch.optim.Muon(self.matrices, weight_decay=args.weight_decay),
            torch.optim.AdamW(self.other, betas=(0.9, 0.95), weight_decay=0.01)]
        self.step, self.passes, self.spent, self.tokens, self.best = 0, 0, 0.0, 0, 1e9

    def load(self, path):
        state = torch.load(path)
        self.model.load_state_dict(state["model"])
        self.ema.load_state_dict(state["ema"])
        for optimiser, saved in zip(self.optimisers, state["optimisers"]):
            optimiser.load_state_dict(saved)
        self.step, self.passes, self.spent, self.tokens, self.best = state["counters"]

    def save(self, path):
        part = path.with_suffix(".tmp")
        torch.save({"model": self.model.state_dict(), "ema": self.ema.state_dict(),
                    "optimisers": [o.state_dict() for o in self.optimisers],
                    "counters": (self.step, self.passes, self.spent, self.tokens, self.best)}, part)
        part.rename(path)

    def progress(self):
        return max(self.step / self.args.steps, self.spent / (60 * self.args.minutes))

    def update(self, ids, targets):
        factor = rate(self.progress())
        for optimiser, lr in zip(self.optimisers, (self.args.muon_lr, self.args.adam_lr)):
            optimiser.param_groups[0]["lr"] = lr * factor
        with torch.autocast("cpu", torch.bfloat16, enabled=not self.args.fp32):
            logits = self.model(ids)
        loss = F.cross_entropy(logits.float().flatten(0, 1), targets.flatten(),
                               ignore_index=IGNORE)
        loss.backward()
        nn.utils.clip_grad_norm_(self.other, 1.0)
        for optimiser in self.optimisers:
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
        keep = min(self.args.ema, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            torch._foreach_lerp_(list(self.ema.parameters()), list(self.model.parameters()),
                                 1 - keep)
        self.step += 1
        self.tokens += ids.numel()
        return loss.item()


def main():
    args = options()
    args.out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    tokenizer = Tokenizer.from_file(str(args.data / "tokenizer.json"))
    config = {"vocab": tokenizer.get_vocab_size(), "hidden": args.hidden, "ffn": args.ffn,
              "layers": args.layers, "head_dim": args.head_dim,
              "heads": args.hidden // args.head_dim, "kv_heads": args.kv_heads,
              "eps": 1e-5, "theta": 10000.0, "dropout": args.dropout}
    train = Documents(args.data / "train.jsonl", tokenizer, args.share)
    checks = []
    for share in (0.0, 1.0):    # plain stories, stories after a request
        held = Documents(args.data / "heldout.jsonl", tokenizer, share)
        held.plain = held.plain[:args.eval_stories]
        checks.append(held.batches(random.Random(0), 8192, 0.0))

    run = Training(config, args)
    if args.init:
        for model in (run.model, run.ema):
            model.load_state_dict(torch.load(args.init)["model"])
    if args.resume and (args.out / "last.pt").exists():
        run.load(args.out / "last.pt")
    print(f"{sum(p.numel() for p in run.model.parameters())} parameters, "
          f"{sum(map(len, train.plain))} training tokens a pass", flush=True)
    log = open(args.out / "log.jsonl", "a" if args.resume else "w")
    before, start = run.spent, time.time()
    last_check, queue, losses = start, [], []
    while run.progress() < 1:
        if not queue:
            run.passes += 1
            seed = args.seed * 1000 + run.passes
            queue = train.batches(random.Random(seed), args.batch, args.chained)
        losses.append(run.update(*queue.pop()))
        run.spent = before + time.time() - start
        if time.time() - last_check < 60 * args.eval_minutes and run.progress() < 1:
            continue
        last_check = time.time()
        plain, averaged, asked = (
            evaluate(m, batches, not args.fp32)
            for m, batches in ((run.model, checks[0]), (run.ema, checks[0]), (run.ema, checks[1])))
        row = {"step": run.step, "passes": run.passes, "minutes": round(run.spent / 60, 2),
               "tokens": run.tokens, "tokens_per_second": round(run.tokens / run.spent),
               "train": round(sum(losses) / len(losses), 4), "heldout": round(plain, 4),
               "heldout_ema": round(averaged, 4), "asked_ema": round(asked, 4)}
        print(row, flush=True)
        log.write(json.dumps(row) + "\n")
        log.flush()
        losses = []
        if min(plain, averaged) < run.best:
            run.best = min(plain, averaged)
            better = run.ema if averaged <= plain else run.model
            torch.save({"config": config, "model": better.state_dict(), "row": row},
                       args.out / "best.pt")
        run.save(args.out / "last.pt")


if __name__ == "__main__":
    main()
