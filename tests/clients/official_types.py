#!/usr/bin/env python3
"""The answers in tests/golden/api against the official clients' own types, strictly: every field of a
type has to be there with the type's type, and no event may be one that the client does not know.

    python tests/clients/official_types.py            # needs: pip install openai anthropic
"""
import base64
import json
import pathlib
import struct
import sys

import pydantic
from anthropic.types import Message, MessageTokensCount, ModelInfo, RawMessageStreamEvent
from anthropic.types.shared import ErrorResponse
from openai.types import Completion, CreateEmbeddingResponse, Model
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.responses import Response, ResponseStreamEvent

GOLDEN = pathlib.Path(__file__).parent.parent / "golden" / "api"
TYPES = {
    "openai_chat": (ChatCompletion, ChatCompletionChunk),
    "openai_completion": (Completion, Completion),
    "openai_embeddings": (CreateEmbeddingResponse, None),
    "openai_model.": (Model, None),
    "openai_response": (Response, ResponseStreamEvent),
    "anthropic_message": (Message, RawMessageStreamEvent),
    "anthropic_count": (MessageTokensCount, None),
    "anthropic_error": (ErrorResponse, None),
    "anthropic_model.": (ModelInfo, None),
}
# Answers may have more than the types say, but only this; `name` is in those of some versions.
EXTENSIONS = {"reasoning_content", "name"}


def extras(value, where):
    """Fields that a type does not have."""
    found = []
    if isinstance(value, pydantic.BaseModel):
        for name in value.model_extra or {}:
            if name not in EXTENSIONS:
                found.append(f"{where}.{name}")
        for name in value.model_fields_set:
            found += extras(getattr(value, name, None), f"{where}.{name}")
    elif isinstance(value, list):
        for i, item in enumerate(value):
            found += extras(item, f"{where}[{i}]")
    return found


def check(kind, value, where):
    out = pydantic.TypeAdapter(kind).validate_json(json.dumps(value), strict=True)
    bad = extras(out, where)
    if bad:
        raise SystemExit(f"{where}: unknown fields {bad}")
    return out


def events(text):
    """Server-sent events as (name, data), [DONE] left out."""
    for block in text.strip().split("\n\n"):
        lines = dict(line.split(": ", 1) for line in block.split("\n"))
        if lines["data"] == "[DONE]":
            continue
        data = json.loads(lines["data"])
        if "event" in lines and lines["event"] != data["type"]:
            raise SystemExit(f"event {lines['event']} with {data['type']}")
        if data.get("type") != "ping":  # which the client skips unread
            yield data


def main():
    n = 0
    for path in sorted(GOLDEN.iterdir()):
        kinds = next((k for name, k in TYPES.items() if path.name.startswith(name)), None)
        if kinds is None:
            continue
        text = path.read_text()
        stream = path.suffix == ".sse"
        values = list(events(text)) if stream else [json.loads(text)]
        if "base64" in path.name:
            for item in values[0]["data"]:
                raw = base64.b64decode(item["embedding"], validate=True)
                item["embedding"] = list(struct.unpack(f"<{len(raw) // 4}f", raw))
        for i, value in enumerate(values):
            # The type has no null here, which OpenAI's own server sends until the last chunk.
            if stream and kinds[0] is Completion:
                for choice in value["choices"]:
                    choice["finish_reason"] = choice["finish_reason"] or "stop"
            try:
                check(kinds[stream], value, f"{path.name}[{i}]")
            except pydantic.ValidationError as e:
                sys.exit(f"{path.name}: {json.dumps(value)}\n{e}")
            n += 1
        numbers = [v["sequence_number"] for v in values if "sequence_number" in v]
        if numbers != list(range(len(numbers))):
            sys.exit(f"{path.name}: sequence numbers {numbers}")
    print(f"{n} answers and events have the official types")


main()
