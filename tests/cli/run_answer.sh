#!/bin/sh
# verge run with a prompt: what goes where, how it ends, and that the same seed gives the same text.
. "$(dirname "$0")/check.sh"
MODEL=$ROOT/models/default.gguf

# The answer alone on stdout, ended by one line end; the rest on stderr.
status 0 run --seed 1 -n 20 "Once upon a time"
out_has '^Once upon a time'
err_has 'prompt: [0-9]* tokens.*answer: 20 tokens.*peak memory'
[ "$(wc -l <"$TMP/out")" = 1 ] || fail "not one line"
cp "$TMP/out" "$TMP/first"
status 0 run -q --seed 1 -n 20 "Once upon a time"
err_is_empty
cmp -s "$TMP/out" "$TMP/first" || fail "the same seed gave another text"

# Nor do threads, batch, the instruction set, or the way to the model and the prompt change it.
for more in "--threads 1" "--threads 3" "--batch 1" "--isa c" "--model $MODEL"; do
    status 0 run -q --seed 1 -n 20 $more "Once upon a time"
    cmp -s "$TMP/out" "$TMP/first" || fail "$more changed the text"
done
status 0 run "$MODEL" -q --seed 1 -n 20 "Once upon a time"
cmp -s "$TMP/out" "$TMP/first" || fail "the named model changed the text"
echo "Once upon a time" >"$TMP/prompt"
status 0 run -q --seed 1 -n 20 -f "$TMP/prompt"
cmp -s "$TMP/out" "$TMP/first" || fail "the prompt's file changed the text"
for dash in "" "-"; do
    "$VERGE" run -q --seed 1 -n 20 $dash <"$TMP/prompt" >"$TMP/out" 2>"$TMP/err" || fail "stdin"
    cmp -s "$TMP/out" "$TMP/first" || fail "stdin changed the text"
done
status 0 run -q --seed 2 -n 20 "Once upon a time"
! cmp -s "$TMP/out" "$TMP/first" || fail "another seed gave the same text"
status 0 run -q --greedy --seed 5 -n 9 hello
cp "$TMP/out" "$TMP/greedy"
status 0 run -q --temp 0 --seed 6 -n 9 hello
cmp -s "$TMP/out" "$TMP/greedy" || fail "greedy depends on the seed"

# JSON: one object, whose text is the streamed text; a drawn seed gives that text again.
json() { python3 -c "import json,sys; d=json.load(open('$TMP/out')); print(($1))"; }
if command -v python3 >/dev/null; then
    status 0 run --json -n 12 "A dog"
    err_is_empty
    cp "$TMP/out" "$TMP/object"
    text=$(json 'd["text"]') seed=$(json 'd["seed"]')
    [ "$(json 'd["tokens"], d["stop_reason"]')" = "(12, 'length')" ] || fail "tokens, stop_reason"
    [ "$(json 'sorted(d["timings"])')" = "['first_token_ms', 'generate_ms', 'prompt_ms', 'prompt_tokens_per_s', 'tokens_per_s']" ] || fail "timings"
    [ "$(json 'd["memory"]["peak_bytes"] > d["memory"]["kv_bytes"] > 0')" = True ] || fail "memory"
    status 0 run -q -n 12 --seed "$seed" "A dog"
    [ "$(cat "$TMP/out")" = "$text" ] || fail "the seed of the JSON gave another text"
    status 0 run --json --seed 1 "Once upon a time"
    [ "$(json 'd["stop_reason"]')" = end ] || fail "not ended by the model"
    status 0 run --json --seed 1 --stop "litt" "Once upon a time"
    [ "$(json 'd["stop_reason"], d["text"].endswith("a ")')" = "('stop', True)" ] || fail "stop"
fi

# A stop text that straddles tokens is never printed, and what only looked like one is.
status 0 run -q --seed 1 -n 20 --stop "upon a tower" --stop "a time, th" "Once upon a time"
[ "$(cat "$TMP/out")" = "Once upon " ] || fail "stop text"

# Grammars: each answer keeps to one, the option's text or file, and what cannot be kept is refused.
schema='{"type":"object","properties":{"name":{"type":"string","maxLength":20},"age":{"type":"integer"}},"required":["name","age"],"additionalProperties":false}'
status 0 run -q --temp 1 --seed 3 --json-schema "$schema" "Tell me of a dog."
out_has '"name": *".*", *$\|"name": *".*", *"age": *-*[0-9]'
cp "$TMP/out" "$TMP/first"
echo "$schema" >"$TMP/schema.json"
status 0 run -q --temp 1 --seed 3 --json-schema "$TMP/schema.json" "Tell me of a dog."
cmp -s "$TMP/out" "$TMP/first" || fail "the schema's file gave another text"
echo 'root ::= ("yes" | "no") "!"' >"$TMP/grammar"
status 0 run -q --grammar "$TMP/grammar" "Is it so?"
out_has '^\(yes\|no\)!$'
status 1 run -q --json-schema '{"not":{}}' hello
err_has '"not"'
status 1 run -q --grammar "$TMP/schema.json" hello
err_has 'schema.json: grammar, line 1, column 1'
status 1 run -q --grammar "$TMP/nowhere" hello
status 2 run --grammar "$TMP/grammar" --json-schema "$schema" hello
status 2 run --grammar "$TMP/grammar" --ignore-end hello

# Biases and end tokens.
status 0 run --greedy --ignore-end --ctx 200 "Once upon a time"
err_has 'the context of 200 tokens is full'
status 0 run --greedy --ignore-end --ctx 200 --shift -n 400 "Once upon a time"
err_has 'answer: 400 tokens'
status 0 run --raw -n 5 --bias 0=-inf --bias 5=2.5 "Story: "
for bad in x 3 3= =3 3=x 3=nan -1=2; do
    status 2 run --bias "$bad" hello
done
status 2 run --bias 999999=1 hello
err_has 'vocabulary'

# Each sampler.
status 0 run -q --seed 3 -n 30 --top-k 0 --top-p 1 --min-p 0.05 --typical 0.9 \
    --repeat-penalty 1.2 --presence-penalty 0.5 --frequency-penalty 0.5 --penalty-last-n 30 \
    --dry-multiplier 0.8 --dry-base 1.5 --dry-allowed 3 --dry-last-n 100 --dry-breaker x hello
status 0 run -q --seed 3 -n 30 --mirostat-tau 3 --mirostat-eta 0.2 hello

# What does not fit or does not exist is told, with the numbers.
status 1 run --ctx 8 "Once upon a time there was a little girl who had no name"
err_has 'the prompt has [0-9]* tokens and the context of 8'
[ ! -s "$TMP/out" ] || fail "something was printed"
status 2 run nowhere "a prompt"
status 1 run nowhere.gguf "a prompt"
err_has 'nowhere.gguf'
status 1 run "$TMP" hello
status 2 run --isa z80 hello
status 2 run --kv q4 hello
status 2 run --temp nan hello
status 2 run -n 0 hello
status 2 run --stop "" hello
status 2 run --raw --system x hello
status 2 run -f "$TMP/prompt" hello
status 1 run -f "$TMP/nowhere"
status 2 run # stdin is empty
err_has 'no prompt'
status 0 run -q --raw -n 3 "" # an empty text is a beginning too, if the model has a BOS

# Templates of the caller's; control tokens in a prompt stay text.
printf '%s' '{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}' >"$TMP/t.jinja"
status 0 run -q -n 3 --template "$TMP/t.jinja" --system "be brief" "<|endoftext|>hi"
printf '%s' '{{ raise_exception("no such thing") }}' >"$TMP/t.jinja"
status 1 run --template "$TMP/t.jinja" hello
err_has 'no such thing'
printf '%s' '{{ broken' >"$TMP/t.jinja"
status 1 run --template "$TMP/t.jinja" hello

# Output that is lost is an error, but a reader that has had enough is told nothing.
if [ -c /dev/full ]; then
    for form in "" --json; do
        ! "$VERGE" run -n 5 $form hello >/dev/full 2>"$TMP/err" || fail "a full disk is no error"
        err_has 'No space left'
    done
fi
{ "$VERGE" run -q --ignore-end --shift -n 100000 hello 2>"$TMP/err" || echo $? >"$TMP/status"; } |
    head -c 10 >/dev/null
[ "$(cat "$TMP/status")" = 1 ] || fail "a closed pipe ends with 1"
err_is_empty

# SIGTERM and SIGINT end an answer between tokens; what is there is printed. A fifo tells when
# the answer has begun.
signals=TERM
env --default-signal=INT true 2>/dev/null && signals="TERM INT"
mkfifo "$TMP/fifo"
for signal in $signals; do
    # A shell lets its background jobs ignore SIGINT: env gives it back, where it can.
    give_back=
    [ $signal = INT ] && give_back="env --default-signal=INT"
    $give_back "$VERGE" run --ignore-end --shift -n 100000000 hello >"$TMP/fifo" \
        2>"$TMP/err" &
    pid=$!
    {
        dd bs=1 count=5 >/dev/null 2>&1
        kill -"$signal" "$pid"
        cat >/dev/null
    } <"$TMP/fifo"
    got=0
    wait "$pid" || got=$?
    [ "$got" = 1 ] || fail "cancelled by $signal: status $got"
    err_has cancelled
done
