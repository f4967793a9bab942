#!/usr/bin/env python3
"""Golden outputs of chat templates and of small pieces of Jinja.

    templates.py TEMPLATE_DIR OUT_DIR

Renders each TEMPLATE_DIR/*.jinja over the conversations of conversations.py with
transformers' own function, into OUT_DIR/<template>.json:
{"template_sha256", "now", "cases": [{"name", "context", "output" or "error"}]}.
Renders the pieces of snippets.py in the same environment into OUT_DIR/features.json:
{"now", "cases": [{"name", "template", "context", "output" or "error"}]}.

"context" holds all variables as the template sees them, after transformers filled them
in. "error" is {"class", "message"} of Python's exception. "now" is what strftime_now
sees, in seconds since 1970 (UTC). The template texts belong to their vendors and are
not copied, hence the hash.
"""
import argparse
import datetime
import hashlib
import json
import pathlib

from transformers.utils import chat_template_utils as chat

from conversations import CONVERSATIONS
from snippets import SNIPPETS

NOW = datetime.datetime(2026, 3, 4, 5, 6, 7)


class FixedClock(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return NOW


def attempt(render):
    try:
        return {"output": render()}
    except Exception as e:  # any error of a template is a result here
        return {"error": {"class": type(e).__name__, "message": str(e)}}


def template_case(text, name, given):
    given = {"bos_token": "<s>", "eos_token": "</s>", "add_generation_prompt": True, **given}
    given = {k: v for k, v in given.items() if v is not None}
    messages = given.pop("messages")
    tools = given.pop("tools", None)
    context = {"messages": chat._alias_reasoning_fields(messages), "tools": tools,
               "documents": None, **given}
    result = attempt(lambda: chat.render_jinja_template(
        [messages], tools=tools, chat_template=text, **given)[0][0])
    return {"name": name, "context": context, **result}


def write(path, head, cases):
    """One case a line, so that a change shows as a line."""
    lines = ",\n".join(json.dumps(c, ensure_ascii=False, separators=(",", ":")) for c in cases)
    fields = "".join(f"{json.dumps(k)}:{json.dumps(v)},\n" for k, v in head.items())
    path.write_text("{" + fields + '"cases":[\n' + lines + "\n]}\n", encoding="utf-8")
    failed = sum("error" in c for c in cases)
    print(f"{path.name}: {len(cases)} cases, {failed} of them errors, {path.stat().st_size} bytes")


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("templates", type=pathlib.Path)
    parser.add_argument("out", type=pathlib.Path)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    chat.datetime = FixedClock
    now = int(NOW.replace(tzinfo=datetime.timezone.utc).timestamp())
    for path in sorted(args.templates.glob("*.jinja")):
        data = path.read_bytes()
        cases = [template_case(data.decode(), *c) for c in CONVERSATIONS.items()]
        head = {"template_sha256": hashlib.sha256(data).hexdigest(), "now": now}
        write(args.out / f"{path.stem}.json", head, cases)
    cases = [{"name": name, "template": text, "context": context,
              **attempt(lambda: chat._compile_jinja_template(text).render(**context))}
             for name, text, context in SNIPPETS]
    write(args.out / "features.json", {"now": now}, cases)


if __name__ == "__main__":
    main()
