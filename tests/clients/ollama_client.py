#!/usr/bin/env python3
"""The official Python client of Ollama against `verge serve`, unmodified.

    python tests/clients/ollama_client.py             # needs: pip install ollama
"""
import asyncio
import json

import ollama

import server

MODEL = "verge"
OPTIONS = {"seed": 1, "num_predict": 12}
TOOL = {
    "type": "function",
    "function": {
        "name": "now",
        "description": "the time",
        "parameters": {"type": "object", "properties": {"zone": {"type": "string"}}},
    },
}


def check_counts(r, n=12):
    assert r.done and r.done_reason == "length", r
    assert r.eval_count == n and r.prompt_eval_count > 0, r
    assert r.total_duration >= r.eval_duration > 0 and r.created_at, r


def generate(c):
    whole = c.generate(MODEL, "Once upon a time", options=OPTIONS)
    check_counts(whole)
    parts = list(c.generate(MODEL, "Once upon a time", options=OPTIONS, stream=True))
    assert "".join(p.response for p in parts) == whole.response
    assert [p.done for p in parts] == [False] * (len(parts) - 1) + [True]
    check_counts(parts[-1])
    assert len(whole.context) == whole.prompt_eval_count + whole.eval_count
    more = c.generate(MODEL, "And then", context=whole.context, options=OPTIONS)
    assert more.prompt_eval_count > whole.prompt_eval_count + whole.eval_count
    raw = c.generate(MODEL, "Once upon a time", raw=True, options=OPTIONS)
    assert raw.context is None and raw.prompt_eval_count < whole.prompt_eval_count
    told = c.generate(MODEL, "Once", raw=True, options=OPTIONS, logprobs=True, top_logprobs=3)
    assert len(told.logprobs) == 12 and all(len(t.top_logprobs) == 3 for t in told.logprobs)
    assert "".join(t.token for t in told.logprobs) == told.response
    stopped = c.generate(MODEL, "Once", raw=True, options={"temperature": 0, "stop": ["time"]})
    assert stopped.done_reason == "stop" and "time" not in stopped.response


def chat(c):
    messages = [{"role": "user", "content": "A story of a cat"}]
    whole = c.chat(MODEL, messages, options=OPTIONS)
    check_counts(whole)
    assert whole.message.role == "assistant" and whole["message"]["content"]
    parts = list(c.chat(MODEL, messages, options=OPTIONS, stream=True))
    assert "".join(p.message.content for p in parts) == whole.message.content
    tools = c.chat(MODEL, messages, tools=[TOOL], options=OPTIONS)
    assert tools.message.tool_calls is None
    history = messages + [
        {"role": "assistant", "content": "", "tool_calls": [
            {"function": {"name": "now", "arguments": {"zone": "UTC"}}}]},
        {"role": "tool", "tool_name": "now", "content": "12:00"},
    ]
    check_counts(c.chat(MODEL, history, tools=[TOOL], options=OPTIONS))


def formats(c):
    schema = {"type": "object", "properties": {"cat": {"type": "boolean"}}, "required": ["cat"],
              "additionalProperties": False}
    options = {"temperature": 0, "num_predict": 60}
    r = c.generate(MODEL, "x", format=schema, options=options)
    assert isinstance(json.loads(r.response)["cat"], bool), r.response


def models(c):
    listed = c.list().models
    assert [m.model for m in listed] == [MODEL]
    assert listed[0].size > 1_000_000 and listed[0].details.family == "llama"
    assert listed[0].details.quantization_level == "Q8_0"
    assert listed[0].modified_at.year >= 2020 and len(listed[0].digest) == 64
    shown = c.show(MODEL + ":latest")
    assert "messages" in shown.template and shown.capabilities == ["completion"]
    assert shown.modelinfo["general.architecture"] == "llama"
    running = c.ps().models
    assert running[0].model == MODEL and running[0].context_length > 0
    assert running[0].expires_at.year > 2100
    assert c.pull(MODEL).status == "success"
    assert [p.status for p in c.pull(MODEL, stream=True)][-1] == "success"


def loading(c):
    assert c.generate(MODEL, keep_alive=0).done_reason == "unload"
    assert c.ps().models == []
    assert c.generate(MODEL).done_reason == "load"
    assert len(c.ps().models) == 1
    assert c.chat(MODEL, [], keep_alive="5m").done_reason == "load"


def refused(c):
    def fails(code, what, call, *args, **kwargs):
        try:
            call(*args, **kwargs)
        except ollama.ResponseError as e:
            assert e.status_code == code and what in e.error, e
        else:
            raise AssertionError(f"{what}: no error")

    fails(404, "no-such-model", c.generate, "no-such-model", "x")
    fails(404, "no-such-model", c.show, "no-such-model")
    fails(404, "no-such-model", c.pull, "no-such-model")
    fails(404, "no-such-model", c.delete, "no-such-model")
    fails(400, "512", c.generate, MODEL, "x", options={"num_ctx": 100000})
    fails(400, "100000", c.generate, MODEL, "x", options={"num_ctx": 100000})
    fails(400, "512", c.generate, MODEL, "x " * 5000)
    fails(400, "options.tfs_z", c.generate, MODEL, "x", options={"tfs_z": 0.5})
    fails(400, "images", c.generate, MODEL, "x", images=[b"png"])
    fails(400, "images", c.chat, MODEL,
          [{"role": "user", "content": "x", "images": [b"png"]}])
    fails(400, "copy", c.copy, MODEL, "other")
    fails(400, "create", c.create, "other", from_=MODEL)
    fails(400, "temperature", c.generate, MODEL, "x", options={"temperature": -1})


async def in_parallel(url):
    """Answers in a crowd are the answers alone."""
    c = ollama.AsyncClient(host=url)

    async def ask(i):
        return (await c.generate(MODEL, f"Story {i % 4}", options={"seed": i % 4,
                                                                   "num_predict": 40})).response

    alone = [await ask(i) for i in range(4)]
    crowd = await asyncio.gather(*(ask(i) for i in range(32)))
    assert crowd == alone * 8


def main():
    with server.running() as url:
        c = ollama.Client(host=url)
        for test in (generate, chat, models, loading, refused, formats):
            test(c)
            print(f"ollama: {test.__name__}: OK")
        asyncio.run(in_parallel(url))
        print("ollama: in_parallel: OK")


main()
