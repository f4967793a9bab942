#!/usr/bin/env python3
"""The official Python client of OpenAI against `verge serve`, unmodified, its strict response
validation on.

    python tests/clients/openai_client.py             # needs: pip install openai
"""
import json

import openai
import pydantic

import server

MODEL = "verge"
ASK = [{"role": "user", "content": "A story of a cat"}]
PARAMETERS = {
    "type": "object",
    "properties": {"city": {"type": "string", "maxLength": 12}, "days": {"enum": [1, 2, 3]}},
    "required": ["city", "days"],
    "additionalProperties": False,
}
TOOL = {"type": "function", "function": {"name": "weather", "parameters": PARAMETERS}}


class Place(pydantic.BaseModel):
    name: str = pydantic.Field(max_length=10)
    size: int = pydantic.Field(ge=1, le=9)


def chat(c):
    whole = c.chat.completions.create(model=MODEL, messages=ASK, max_tokens=12, seed=1, n=2)
    assert [x.finish_reason for x in whole.choices] == ["length", "length"], whole
    assert whole.usage.completion_tokens == 24 and whole.choices[0].message.content, whole
    parts = list(c.chat.completions.create(
        model=MODEL, messages=ASK, max_tokens=12, seed=1, stream=True,
        stream_options={"include_usage": True}))
    assert parts[-1].usage.completion_tokens == 12 and not parts[-1].choices
    text = "".join(p.choices[0].delta.content or "" for p in parts if p.choices)
    assert text == whole.choices[0].message.content
    told = c.chat.completions.create(
        model=MODEL, messages=ASK, max_tokens=5, logprobs=True, top_logprobs=3)
    tokens = told.choices[0].logprobs.content
    assert len(tokens) == 5 and all(len(t.top_logprobs) == 3 for t in tokens), told
    stopped = c.chat.completions.create(model=MODEL, messages=ASK, temperature=0, stop=["was"])
    assert "was" not in stopped.choices[0].message.content
    shaped = c.chat.completions.parse(model=MODEL, messages=ASK, response_format=Place)
    assert 1 <= shaped.choices[0].message.parsed.size <= 9


def tools(c):
    named = {"type": "function", "function": {"name": "weather"}}
    for choice in ("required", named):
        whole = c.chat.completions.create(
            model=MODEL, messages=ASK, tools=[TOOL], tool_choice=choice, parallel_tool_calls=False)
        call = whole.choices[0].message.tool_calls[0]
        assert whole.choices[0].finish_reason == "tool_calls" and call.function.name == "weather"
        assert json.loads(call.function.arguments)["days"] in (1, 2, 3)
    arguments = ""
    for part in c.chat.completions.create(
            model=MODEL, messages=ASK, tools=[TOOL], tool_choice="required",
            parallel_tool_calls=False, stream=True):
        for piece in part.choices[0].delta.tool_calls or []:
            arguments += piece.function.arguments
    assert json.loads(arguments)["days"] in (1, 2, 3)
    back = ASK + [whole.choices[0].message.model_dump(),
                  {"role": "tool", "tool_call_id": call.id, "content": "rain"}]
    assert c.chat.completions.create(model=MODEL, messages=back, tools=[TOOL], max_tokens=5).choices


def completions(c):
    whole = c.completions.create(
        model=MODEL, prompt=["Once", "There"], max_tokens=6, logprobs=2, seed=1)
    assert len(whole.choices) == 2 and len(whole.choices[0].logprobs.tokens) == 6, whole
    echoed = c.completions.create(model=MODEL, prompt="Once", max_tokens=4, echo=True)
    assert echoed.choices[0].text.startswith("Once")


def responses(c):
    whole = c.responses.create(model=MODEL, input="A cat", max_output_tokens=8)
    assert whole.status == "incomplete" and whole.output_text, whole
    kinds = [e.type for e in c.responses.create(
        model=MODEL, input="A cat", max_output_tokens=8, stream=True)]
    assert kinds[:2] == ["response.created", "response.in_progress"]
    assert kinds[-1] == "response.incomplete" and "response.output_text.done" in kinds, kinds
    called = c.responses.create(
        model=MODEL, input="Rain?", tool_choice="required", parallel_tool_calls=False,
        tools=[{"type": "function", "name": "weather", "parameters": PARAMETERS, "strict": True}])
    call = called.output[0]
    assert call.type == "function_call" and json.loads(call.arguments)["days"] in (1, 2, 3)
    items = [{"role": "user", "content": "Rain?"}, *called.output,
             {"type": "function_call_output", "call_id": call.call_id, "output": "rain"}]
    assert c.responses.create(model=MODEL, input=items, max_output_tokens=5).output
    shaped = c.responses.parse(model=MODEL, input="A cat", text_format=Place)
    assert 1 <= shaped.output_parsed.size <= 9


def others(c):
    assert MODEL in [m.id for m in c.models.list()]
    assert c.models.retrieve(MODEL).id == MODEL
    ask = {"model": MODEL, "input": ["a cat", "a dog"]}
    plain = c.embeddings.create(encoding_format="float", **ask)
    assert len(plain.data) == 2 and len(plain.data[0].embedding) > 8
    # What the client asks for by itself, base64, its own strict mode does not take.
    packed = c.with_options(_extra_kwargs={"_strict_response_validation": False})
    for one, other in zip(plain.data, packed.embeddings.create(**ask).data):
        assert max(abs(a - b) for a, b in zip(one.embedding, other.embedding)) < 1e-6


def errors(c):
    for wrong, param in (({"temperature": 9}, "temperature"), ({"n": 0}, "n"),
                         ({"extra_body": {"foo": 1}}, "foo"), ({"store": True}, "store")):
        try:
            c.chat.completions.create(model=MODEL, messages=ASK, **wrong)
        except openai.BadRequestError as e:
            assert e.param == param, e
        else:
            raise SystemExit(f"{wrong} was taken")
    try:
        c.chat.completions.create(model="no-such-model", messages=ASK)
    except openai.NotFoundError as e:
        assert e.code == "model_not_found", e


def main():
    with server.running() as url:
        c = openai.OpenAI(base_url=url + "/v1", api_key="none", max_retries=0,
                          _strict_response_validation=True)
        for part in (chat, tools, completions, responses, others, errors):
            part(c)
            print(f"openai {openai.__version__}: {part.__name__}")


main()
