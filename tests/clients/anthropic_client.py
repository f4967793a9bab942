#!/usr/bin/env python3
"""The official Python client of Anthropic against `verge serve`, unmodified, its strict response
validation on.

    python tests/clients/anthropic_client.py          # needs: pip install anthropic
"""
import anthropic

import server

MODEL = "verge"
ASK = [{"role": "user", "content": "A story of a cat"}]
TOOL = {
    "name": "weather",
    "input_schema": {
        "type": "object",
        "properties": {"city": {"type": "string", "maxLength": 12}, "days": {"enum": [1, 2, 3]}},
        "required": ["city", "days"],
        "additionalProperties": False,
    },
}
ANY = {"type": "any", "disable_parallel_tool_use": True}


def messages(c):
    whole = c.messages.create(model=MODEL, max_tokens=12, messages=ASK, system="Be brief.")
    assert whole.stop_reason == "max_tokens" and whole.usage.output_tokens == 12, whole
    assert whole.content[0].type == "text" and whole.content[0].text
    with c.messages.stream(model=MODEL, max_tokens=12, messages=ASK) as stream:
        text = "".join(stream.text_stream)
        last = stream.get_final_message()
    assert last.content[0].text == text and last.usage.output_tokens == 12, last
    count = c.messages.count_tokens(model=MODEL, messages=ASK)
    usage = last.usage
    assert count.input_tokens == usage.input_tokens + (usage.cache_read_input_tokens or 0)
    stopped = c.messages.create(model=MODEL, max_tokens=99, messages=ASK, stop_sequences=["was"])
    assert stopped.stop_reason in ("stop_sequence", "end_turn", "max_tokens"), stopped


def tools(c):
    whole = c.messages.create(
        model=MODEL, max_tokens=200, messages=ASK, tools=[TOOL], tool_choice=ANY)
    use = whole.content[0]
    assert whole.stop_reason == "tool_use" and use.input["days"] in (1, 2, 3), whole
    with c.messages.stream(model=MODEL, max_tokens=200, messages=ASK, tools=[TOOL],
                           tool_choice=ANY) as stream:
        last = stream.get_final_message()
    assert last.content[0].type == "tool_use" and last.content[0].input["days"] in (1, 2, 3)
    back = ASK + [{"role": "assistant", "content": whole.content}, {"role": "user", "content": [
        {"type": "tool_result", "tool_use_id": use.id, "content": "rain"}]}]
    assert c.messages.create(model=MODEL, max_tokens=5, messages=back, tools=[TOOL]).content


def errors(c):
    image = [{"role": "user", "content": [{"type": "image", "source": {
        "type": "base64", "media_type": "image/png", "data": "aaaa"}}]}]
    for wrong, word in (({"extra_body": {"foo": 1}}, "foo"), ({"messages": image}, "image")):
        try:
            c.messages.create(**{"model": MODEL, "max_tokens": 5, "messages": ASK, **wrong})
        except anthropic.BadRequestError as e:
            assert word in e.body["error"]["message"], e
        else:
            raise SystemExit(f"{wrong} was taken")
    try:
        c.messages.create(model="no-such-model", max_tokens=5, messages=ASK)
    except anthropic.NotFoundError as e:
        assert e.body["error"]["type"] == "not_found_error", e


def main():
    with server.running() as url:
        c = anthropic.Anthropic(base_url=url, api_key="none", max_retries=0,
                                _strict_response_validation=True)
        for part in (messages, tools, errors):
            part(c)
            print(f"anthropic {anthropic.__version__}: {part.__name__}")


main()
