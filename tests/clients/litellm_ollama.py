#!/usr/bin/env python3
"""LiteLLM's Ollama providers against `verge serve`, unmodified.

    python tests/clients/litellm_ollama.py            # needs: pip install litellm
"""
import os

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # it would fetch one

import litellm

import server


def main():
    messages = [{"role": "user", "content": "A story of a cat"}]
    with server.running() as url:
        for provider in ("ollama", "ollama_chat"):
            ask = {"model": f"{provider}/verge", "messages": messages, "api_base": url,
                   "max_tokens": 12, "seed": 1}
            whole = litellm.completion(**ask)
            text = whole.choices[0].message.content
            assert text and whole.usage.completion_tokens == 12, whole
            parts = litellm.completion(**ask, stream=True)
            streamed = "".join(p.choices[0].delta.content or "" for p in parts)
            assert streamed.strip() == text.strip(), (streamed, text)
            print(f"litellm: {provider}: OK")


main()
