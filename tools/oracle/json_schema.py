"""JSON Schema against outside judges; docs/GRAMMAR.md has the numbers that this printed.

    python tools/oracle/json_schema.py build/tests/constrain suite JSON-SCHEMA-TEST-SUITE/tests/draft2020-12
    python tools/oracle/json_schema.py build/tests/constrain model models/default.gguf tests/golden/schemas.json SEEDS

`suite` runs the JSON Schema Test Suite (github.com/json-schema-org/JSON-Schema-Test-Suite, MIT): of
a schema that is accepted, no invalid instance may fit (exit status 1), and valid ones are counted.
An instance is written by json.dumps, with the keys of the outer object in any order. `model` lets
the model write texts at temperature 1, which must parse and satisfy jsonschema, formats included.
"""

import collections
import glob
import itertools
import json
import os
import re
import subprocess
import sys


class Constrain:
    def __init__(self, *args):
        self.p = subprocess.Popen(args, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8")

    def ask(self, line):
        self.p.stdin.write(line + "\n")
        self.p.stdin.flush()
        return self.p.stdout.readline().rstrip("\n")


def writings(data):
    """The texts of an instance: all orders of the outer keys."""
    if isinstance(data, dict) and 1 < len(data) <= 5:
        return [json.dumps(dict(p), ensure_ascii=False) for p in itertools.permutations(data.items())]
    return [json.dumps(data, ensure_ascii=False)]


def fits(c, data):
    return any(c.ask("T " + json.dumps(t)) == "1" for t in writings(data))


def refusal(answer):
    found = re.search(r'keyword "([^"]+)"|the (format) |(\$ref)|(pattern) ', answer)
    return next((g for g in found.groups() if g), answer) if found else answer.split(": ", 1)[-1]


def suite(program, folder, verbose):
    c = Constrain(program)
    count = collections.Counter()
    refused = collections.Counter()
    for path in sorted(glob.glob(folder + "/*.json") + glob.glob(folder + "/optional/format/*.json")):
        for case in json.load(open(path, encoding="utf-8")):
            answer = c.ask("S " + json.dumps(case["schema"]))
            name = os.path.relpath(path, folder) + ": " + case["description"]
            if answer != "ok":
                count["refused"] += 1
                refused[refusal(answer)] += 1
                if verbose:
                    print("refused", name, answer)
                continue
            count["accepted"] += 1
            for t in case["tests"]:
                ok = fits(c, t["data"])
                if t["valid"]:
                    count["valid, fits" if ok else "valid, is not written"] += 1
                    if verbose and not ok:
                        print("narrow", name, "|", t["description"], json.dumps(t["data"])[:80])
                elif "optional/format" in path and not isinstance(t["data"], str):
                    continue
                else:
                    count["INVALID, FITS" if ok else "invalid, does not fit"] += 1
                    if ok:
                        print("UNSOUND", name, "|", t["description"], json.dumps(t["data"])[:80])
    print(folder, dict(count))
    print("refused:", ", ".join(f"{k} {n}" for k, n in refused.most_common()))
    return count["INVALID, FITS"]


def model(program, path, schemas, seeds):
    import jsonschema

    c = Constrain(program, path)
    count = collections.Counter()
    checker = jsonschema.Draft202012Validator.FORMAT_CHECKER
    for i, schema in enumerate(json.load(open(schemas, encoding="utf-8"))):
        answer = c.ask("S " + json.dumps(schema))
        if answer != "ok":
            print("REFUSED", json.dumps(schema), answer)
            count["REFUSED"] += 1
            continue
        validator = jsonschema.Draft202012Validator(schema, format_checker=checker)
        for seed in range(1, seeds + 1):
            text = c.ask(f"M {1000 * i + seed} 3000")
            if text.endswith("..."):
                count["cut off"] += 1
                continue
            try:
                validator.validate(json.loads(json.loads(text)))
                count["valid"] += 1
            except Exception as e:
                count["INVALID"] += 1
                print("INVALID", json.dumps(schema), text, str(e)[:200])
    print(dict(count))
    return count["INVALID"] + count["REFUSED"]


if __name__ == "__main__":
    if sys.argv[2] == "suite":
        sys.exit(1 if suite(sys.argv[1], sys.argv[3], len(sys.argv) > 4) else 0)
    sys.exit(1 if model(sys.argv[1], sys.argv[3], sys.argv[4], int(sys.argv[5])) else 0)
