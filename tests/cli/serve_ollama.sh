#!/bin/sh
# verge serve to clients of Ollama: answers, streams, models, and errors that name what is wrong.
. "$(dirname "$0")/serve_check.sh"
serve

asks 200 GET /
[ "$(cat "$TMP/out")" = "Ollama is running" ] || fail "not Ollama's sentence"
asks 200 GET /api/version
out_has '"version": "[0-9]'

# The same text whole and in pieces; counts; a conversation that goes on from its tokens.
O='"options": {"seed": 1, "num_predict": 12}'
asks 200 POST /api/generate "{\"model\": \"verge\", \"prompt\": \"x\", \"stream\": false, $O}"
out_has '"done": true, "done_reason": "length", "context": \['
out_has '"eval_count": 12'
sed 's/.*"response": "\([^"]*\)".*/\1/' "$TMP/out" >"$TMP/whole"
context=$(sed 's/.*"context": \(\[[^]]*\]\).*/\1/' "$TMP/out")
asks 200 POST /api/generate "{\"model\": \"verge\", \"prompt\": \"x\", $O}"
sed 's/.*"response": "\([^"]*\)".*/\1/' "$TMP/out" | tr -d '\n' >"$TMP/pieces"
[ "$(cat "$TMP/whole")" = "$(cat "$TMP/pieces")" ] || fail "the stream has another text"
asks 200 POST /api/generate "{\"model\": \"verge:latest\", \"prompt\": \"y\", \"context\": $context,
    \"stream\": false, $O}"
out_has '"done": true'
asks 200 POST /api/chat "{\"model\": \"verge\", \"messages\": [{\"role\": \"user\",
    \"content\": \"x\"}], $O}"
out_has '"message": {"role": "assistant", "content": '
asks 200 POST /api/embed '{"model": "verge", "input": ["a", "b"], "dimensions": 4}'
out_has '"embeddings": \[\[.*\], \[.*\]\], '

# Models; loading and unloading.
asks 200 GET /api/tags
out_has '"name": "verge"'
asks 200 POST /api/show '{"model": "verge"}'
out_has '"capabilities": \["completion"\]'
asks 200 POST /api/pull '{"model": "verge"}'
out_has '"status": "success"'
asks 200 POST /api/generate '{"model": "verge", "keep_alive": 0}'
out_has '"done_reason": "unload"'
asks 200 GET /api/ps
out_has '"models": \[\]'
asks 200 POST /api/chat '{"model": "verge", "messages": []}'
out_has '"done_reason": "load"'

# Errors: both numbers of a context that is too large; the name of what is not supported.
asks 400 POST /api/generate '{"model": "verge", "prompt": "x", "options": {"num_ctx": 99999}}'
out_has '99999 .* 512'
asks 400 POST /api/chat '{"model": "verge", "messages": [{"role": "user", "images": ["a"]}]}'
out_has 'messages\[0\].images'
asks 400 POST /api/generate '{"model": "verge", "prompt": "x", "options": {"tfs_z": 0.5}}'
out_has 'options.tfs_z'
asks 400 POST /api/generate '{"model": "verge", "prompt": "x", "think": true}'
out_has 'does not support thinking'
asks 200 POST /api/generate '{"model": "verge", "prompt": "x", "think": false, "stream": false}'
asks 404 POST /api/generate '{"model": "none", "prompt": "x"}'
out_has "'none'"
asks 404 POST /api/pull '{"model": "none"}'
asks 404 DELETE /api/delete '{"model": "none"}'
asks 400 POST /api/create '{"model": "x", "from": "verge"}'
out_has 'verge convert'
asks 405 GET /api/generate
asks 404 GET /api/nothing
stop_server
