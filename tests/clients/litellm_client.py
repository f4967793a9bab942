#!/usr/bin/env python3
"""LiteLLM against `verge serve`, unmodified, by its roads to OpenAI and to Anthropic.

    python tests/clients/litellm_client.py            # needs: pip install litellm mcp
"""
import json
import os

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # it would fetch one

import litellm

import server

ASK = [{"role": "user", "content": "A story of a cat"}]
TOOL = {"type": "function", "function": {"name": "weather", "parameters": {
    "type": "object", "properties": {"days": {"enum": [1, 2, 3]}}, "required": ["days"],
    "additionalProperties": False}}}


def check(model, base):
    where = {"model": model, "api_base": base, "api_key": "none", "messages": ASK}
    whole = litellm.completion(max_tokens=12, **where)
    assert whole.choices[0].message.content and whole.usage.completion_tokens == 12, whole
    parts = list(litellm.completion(max_tokens=12, stream=True, **where))
    assert "".join(p.choices[0].delta.content or "" for p in parts if p.choices)
    called = litellm.completion(max_tokens=200, tools=[TOOL], tool_choice="required", **where)
    call = called.choices[0].message.tool_calls[0]
    assert json.loads(call.function.arguments)["days"] in (1, 2, 3), called
    print(f"litellm: {model}")


def main():
    with server.running() as url:
        check("openai/verge", url + "/v1")
        check("anthropic/verge", url)


main()
