"""The conversations that templates.py renders: name -> what the template is given."""


def say(role, content, **more):
    return {"role": role, "content": content, **more}


def call(name, arguments, **more):
    return {"type": "function", "function": {"name": name, "arguments": arguments}, **more}


WEATHER = {"type": "function", "function": {
    "name": "get_weather",
    "description": "Weather at a place. Degrees as \"C\" or \"F\"; <b>today</b> only.",
    "parameters": {"type": "object", "required": ["place"], "properties": {
        "place": {"type": "string", "description": "City & country, e.g. Zürich"},
        "unit": {"type": "string", "enum": ["C", "F"], "default": "C"},
        "options": {"type": "object", "properties": {
            "hours": {"type": "array", "items": {"type": "integer", "minimum": 0}},
            "wind": {"type": ["boolean", "null"]}}}}}}}
LIGHT = {"type": "function", "function": {
    "name": "set_light", "description": "", "parameters": {
        "type": "object", "properties": {"level": {"type": "number", "maximum": 1.0}}}}}
TOOLS = [WEATHER, LIGHT]

HI = say("user", "Hi there!")
SYSTEM = say("system", "You are terse.")
TALK = [SYSTEM, say("user", "What is 2+2?"), say("assistant", "4."), say("user", "And 3+3?")]
ASK = say("user", "Weather in Paris?")
CALL = say("assistant", "", tool_calls=[call("get_weather", {"place": "Paris", "unit": "C"})])
RESULT = say("tool", "{\"temp\": 21.5}", name="get_weather")
TWO_CALLS = say("assistant", "Both at once.", tool_calls=[
    call("get_weather", {"place": "東京", "options": {"hours": [6, 18], "wind": None}}, id="c1"),
    call("set_light", {"level": 0.25}, id="c2")])
TWO_RESULTS = [say("tool", "sunny", tool_call_id="c1"), say("tool", "done", tool_call_id="c2")]

# Each: messages, and further variables. add_generation_prompt is true unless named.
CONVERSATIONS = {
    "single user": dict(messages=[HI]),
    "single user without prompt": dict(messages=[HI], add_generation_prompt=False),
    "two turns": dict(messages=TALK[1:]),
    "several turns": dict(messages=TALK),
    "several turns without prompt": dict(messages=TALK, add_generation_prompt=False),
    "ends with assistant": dict(messages=TALK[:3], add_generation_prompt=False),
    "no bos token": dict(messages=[HI], bos_token=None, eos_token=None),
    "tools": dict(messages=[ASK], tools=TOOLS),
    "tools with system": dict(messages=[SYSTEM, ASK], tools=TOOLS),
    "tools without prompt": dict(messages=[ASK], tools=[LIGHT], add_generation_prompt=False),
    "tools empty list": dict(messages=[HI], tools=[]),
    "tool call and result": dict(messages=[ASK, CALL, RESULT], tools=TOOLS),
    "tool call, result, user": dict(
        messages=[ASK, CALL, RESULT, say("assistant", "21.5 °C."), say("user", "Thanks")],
        tools=[LIGHT]),
    "parallel tool calls": dict(messages=[ASK, TWO_CALLS, *TWO_RESULTS], tools=[LIGHT]),
    "parallel tool calls, then user": dict(
        messages=[ASK, TWO_CALLS, *TWO_RESULTS, say("assistant", "Done."), HI]),
    "tool arguments as text": dict(messages=[
        ASK, say("assistant", "", tool_calls=[call("get_weather", "{\"place\": \"Rome\"}")]),
        RESULT]),
    "tool arguments of all kinds": dict(messages=[ASK, say("assistant", "", tool_calls=[call("f", {
        "text": "a\"b\\c\n<é>&'", "int": -3, "float": 1.0, "tiny": 1e-7, "yes": True, "nil": None,
        "list": [1, "x", [], {}], "map": {"k": {"z": 0, "a": 1}}, "": "empty key"})]), RESULT]),
    "tool arguments empty": dict(messages=[ASK, say("assistant", "", tool_calls=[call("f", {})])]),
    "tool call without wrapper": dict(messages=[
        ASK, say("assistant", "", tool_calls=[{"name": "f", "arguments": {"a": 1}}])]),
    "tool call with null content": dict(messages=[
        ASK, say("assistant", None, tool_calls=[call("set_light", {"level": 1})]), RESULT]),
    "tool call without content": dict(messages=[
        ASK, {"role": "assistant", "tool_calls": [call("set_light", {"level": 1})]}, RESULT]),
    "tool result as object": dict(messages=[
        ASK, CALL, say("tool", {"temp": 21.5, "sky": "clear"})]),
    "tool result first": dict(messages=[RESULT, HI]),
    "tool role ipython": dict(messages=[ASK, CALL, say("ipython", "21")]),
    "unicode": dict(messages=[
        say("user", "Grüße, 世界! 🦊 \U0001F469\u200d\U0001F467 é עברית \u200b\u00a0\u2028x"),
        say("assistant", "नमस्ते"),
        say("user", "ﷺ\U0001F1EA\U0001F1FA")]),
    "quotes and html": dict(messages=[say("system", "<b>\"&'</b> {{ x }} {% if %} {# #}"),
                                      say("user", "a \\ b / `c` $d %s {0} </s><|im_end|>")]),
    "newlines and spaces": dict(messages=[
        say("user", "\n\n  first\n\n\tsecond \r\n third  \n"),
        say("assistant", "\n\n answer \n"), say("user", "   ")]),
    "control characters": dict(messages=[say("user", "a\u0000b\u0001\u001b\u007f\u0085")]),
    "empty contents": dict(messages=[say("system", ""), say("user", ""), say("assistant", ""),
                                     say("user", "")]),
    "thinking off": dict(messages=TALK, enable_thinking=False),
    "thinking on": dict(messages=TALK, enable_thinking=True),
    "thinking off with tools": dict(messages=[SYSTEM, ASK], tools=[LIGHT], enable_thinking=False),
    "system switches thinking off": dict(messages=[say("system", "Be short. /no_think"), HI,
                                                   say("assistant", "Hello."), HI]),
    "system switches thinking on": dict(messages=[say("system", "/think  \n"), HI],
                                        enable_thinking=False),
    "reasoning in earlier turns": dict(messages=[
        HI, say("assistant", "Answer one.", reasoning_content="Plan one."), HI,
        say("assistant", "Answer two.", reasoning_content="\nPlan two.\n"), HI]),
    "reasoning in last turn": dict(messages=[
        HI, say("assistant", "\n\nAnswer.", reasoning_content="\nPlan.\n")],
        add_generation_prompt=False),
    "reasoning before tool call": dict(
        messages=[ASK, CALL | {"reasoning_content": "I should look."}, RESULT], tools=[LIGHT]),
    "reasoning inside content": dict(messages=[
        HI, say("assistant", "<think>\nPlan\n</think>\n\nAnswer."), HI,
        say("assistant", "x</think>y<think>z</think>\n\nEnd")], add_generation_prompt=False),
    "reasoning is null": dict(messages=[HI, say("assistant", "A.", reasoning_content=None), HI]),
    "content parts": dict(messages=[
        say("user", [{"type": "text", "text": "One "}, {"type": "text", "text": "two"}])]),
    "content parts in system": dict(messages=[
        say("system", [{"type": "text", "text": "Sys"}]), HI]),
    "content parts with image": dict(messages=[
        say("user", [{"type": "image"}, {"type": "text", "text": "What is it?"}])]),
    "content part of unknown type": dict(messages=[say("user", [{"type": "audio"}])]),
    "content is a number": dict(messages=[say("user", 5)]),
    "two users": dict(messages=[HI, HI]),
    "assistant first": dict(messages=[say("assistant", "Hello!"), HI]),
    "system in the middle": dict(messages=[HI, say("assistant", "Yes?"), SYSTEM, HI]),
    "system only": dict(messages=[SYSTEM]),
    "unknown role": dict(messages=[HI, say("narrator", "Silence.")]),
    "no role": dict(messages=[{"content": "x"}]),
    "no messages": dict(messages=[]),
    "tool response as user text": dict(messages=[
        HI, say("assistant", "a"), say("user", "<tool_response>x</tool_response>")]),
    "fixed date": dict(messages=[HI], date_string="01 Jan 2030"),
    "tools in system": dict(messages=[SYSTEM, ASK], tools=TOOLS, tools_in_user_message=False),
    "custom tools": dict(messages=[ASK], custom_tools=[LIGHT]),
    "numbered pictures": dict(messages=[
        say("user", [{"type": "image"}, {"type": "text", "text": "a"}, {"type": "image"}]),
        say("assistant", "Two."), say("user", [{"type": "video"}])], add_vision_id=True),
}
