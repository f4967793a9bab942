#!/bin/sh
# verge serve to clients of llama-server: completions, tokens, what it says of itself, /metrics, and
# input that means harm; the server is still there afterwards.
. "$(dirname "$0")/serve_check.sh"
serve

asks 200 GET /health
out_has '"status": "ok"'
asks 200 POST /completion '{"prompt": "Once upon a time", "n_predict": 6, "seed": 1, "n_probs": 2}'
out_has '"stop_type": "limit"'
out_has '"tokens_predicted": 6, "tokens_evaluated": 5'
out_has '"completion_probabilities": \[{"id"'
sed 's/^{"index": 0, "content": "\([^"]*\)".*/\1/' "$TMP/out" >"$TMP/whole"
asks 200 POST /completions '{"prompt": "Once upon a time", "n_predict": 6, "seed": 1,
    "stream": true}'
sed -n 's/^data: .*"content": "\([^"]*\)".*/\1/p' "$TMP/out" | tr -d '\n' >"$TMP/pieces"
[ "$(cat "$TMP/whole")" = "$(cat "$TMP/pieces")" ] || fail "the stream has another text"
asks 200 POST /completion '{"prompt": ["a", ["b", 5]], "n_predict": 0, "response_fields":
    ["tokens_predicted"]}'
[ "$(cat "$TMP/out")" = '[{"tokens_predicted": 0}, {"tokens_predicted": 0}]' ] || fail "fields"

# Tokens and back; half a character has bytes.
asks 200 POST /tokenize '{"content": "Hello wörld"}'
ids=$(sed 's/.*\(\[.*\]\).*/\1/' "$TMP/out")
asks 200 POST /detokenize "{\"tokens\": $ids}"
[ "$(cat "$TMP/out")" = '{"content": "Hello wörld"}' ] || fail "another text came back"
asks 200 POST /tokenize '{"content": "ö", "with_pieces": true}'
out_has '"piece": \[195\]'
asks 200 POST /apply-template '{"messages": [{"role": "user", "content": "hi"}]}'
out_has '"prompt": ".*hi'
asks 200 GET /props
out_has '"total_slots": 16'
asks 200 GET /slots
out_has '"is_processing": false'
asks 200 GET /metrics
out_has '^llamacpp:tokens_predicted_total [0-9]'
out_has '^# TYPE gen_ai_server_time_to_first_token_seconds histogram$'

# Numbers of the wrong kind and size, nesting, too much of everything.
for body in '' '[]' '7' '{' '{"prompt": NaN}' '{"prompt": 1e999}' '{"prompt": "x", "seed": "1"}' \
    '{"prompt": "x", "temperature": -1}' '{"prompt": "x", "n_predict": 9223372036854775808}' \
    '{"prompt": "x", "logit_bias": [[99999999, 1]]}' '{"prompt": "x", "id_slot": 3}' \
    '{"prompt": [99999999]}' '{"prompt": [-1]}' '{"prompt": "x", "temprature": 1}' \
    '{"prompt": "x", "stream": true, "logit_bias": [[99999999, 1]]}'; do
    asks 400 POST /completion "$body"
    out_has '{"error": {"code": 400, "message": "'
done
awk 'BEGIN { for (i = 0; i < 60000; i++) printf "["; }' >"$TMP/body"
asks 400 POST /completion "@$TMP/body"
awk 'BEGIN { printf "{\"prompt\": \"x\", \"stop\": [\"a\""; for (i = 0; i < 10000; i++)
             printf ", \"s%d\"", i; print "]}" }' >"$TMP/body"
asks 400 POST /completion "@$TMP/body"
out_has '"message": "stop: 10001 texts; at most 64'
awk 'BEGIN { printf "{\"prompt\": \""; for (i = 0; i < 20000; i++) printf "a b "; print "\"}" }' \
    >"$TMP/body"
asks 400 POST /completion "@$TMP/body"
out_has 'exceed_context_size_error'
asks 400 POST /detokenize '{"tokens": [3000000]}'
asks 405 PUT /completion '{}'
asks 404 GET /nothing
asks 200 GET /health
stop_server
