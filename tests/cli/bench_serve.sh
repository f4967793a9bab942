#!/bin/sh
# verge bench serve against a server of ours that answers with known numbers of tokens or goes wrong
# in known ways (tests/sse_server.c): what is counted, what is said of errors, that JSON and SVG are
# whole. How fast anything was is no matter here.
. "$(dirname "$0")/check.sh"

mkfifo "$TMP/port" "$TMP/hold" || fail "no pipes"
"$SSE_SERVER" "$TMP/socket" <"$TMP/hold" >"$TMP/port" &
exec 9>"$TMP/hold" # the server ends when this does
read -r port <"$TMP/port" || fail "the server did not start"
URL=http://127.0.0.1:$port

# A table with a line for each level; the model is the first that the server has.
status 0 bench serve "$URL" --streams 1,4 --requests 8 --tokens 16
out_has '^Server  http.*chat, model ok of the tests'
out_has '^ *1     8      0 '
out_has '^ *4     8      0 '
out_has '100 prompt tokens a request'
err_is_empty

# JSON: tokens by the usage, times counted for each token.
status 0 bench serve "$URL/v1/" --streams 3 --requests 9 --tokens 16 --json --pid $$ --name ours \
    --plot "$TMP/plot.svg" --idle 5
out_has '"name": "ours"'
out_has '"requests": 9, "done": 9, "cancelled": 0, "errors": 0, "errors_by_kind": {}'
out_has '"generated_tokens": 144, "prompt_tokens": 900, "usage_told": 9, "events": 144'
out_has '"first_token_ms": {[^}]*"count": 9}'
out_has '"between_tokens_ms": {[^}]*"count": 135}'
out_has '"end_to_end_ms": {[^}]*"count": 9}'
out_has '"peak_rss_bytes": [1-9]'
out_has '"idle_connections": 5, "idle_connections_kept": 5'
grep -q '^</svg>$' "$TMP/plot.svg" || fail "the plot has no end"
grep -q 'End to end, p50' "$TMP/plot.svg" || fail "the plot has no title"
! grep -q 'nan\|inf' "$TMP/plot.svg" || fail "the plot has numbers that are none"
cp "$TMP/out" "$TMP/a.json"

# Streams in pieces of one to three bytes, connections that the server drops, a server that knows
# neither usage nor ignore_eos, the other route, a socket in the file system.
for args in '--model split' '--model stale' '--model ok --api completions' '--shared-prefix 9'; do
    # shellcheck disable=SC2086 # a list of options
    status 0 bench serve "$URL" --streams 2 --requests 6 --tokens 8-8 --json $args
    out_has '"done": 6, .*"generated_tokens": 48, .*"usage_told": 6, "events": 48'
done
status 0 bench serve "unix:$TMP/socket" --streams 2 --requests 6 --tokens 8 --json --model plain
out_has '"ignore_eos": false'
out_has '"done": 6, .*"generated_tokens": 48, "prompt_tokens": 0, "usage_told": 0, "events": 48'
status 0 bench serve "$URL" --streams 1 --requests 2 --model plain --tokens 4
out_has 'no usage is told'
status 0 bench serve "$URL" --streams 1 --requests 2 --model key --key secret --tokens 4

# Open loop; a file of prompts; a text.
printf '{"prompt": "one", "max_tokens": 3}\n\n{"prompt": "two"}\n' >"$TMP/prompts"
status 0 bench serve "$URL" --rate 500,1000 --requests 20 --prompts "$TMP/prompts" --tokens 5 --json
out_has '"requests_per_s": 500, "requests": 20, "done": 20, .*"generated_tokens": 80,'
out_has '"requests_per_s": 1000, "requests": 20, "done": 20,'
status 0 bench serve "$URL" --streams 2 --requests 4 --text "$ROOT/LICENSE" --tokens 4 --words 5-9
status 0 bench serve "$URL" --streams 2 --seconds 0.2 --every 0.1 --tokens 4
err_has 's  in flight .*tok/s'

# Cancelled requests are no errors, and their number depends on the seed alone.
status 0 bench serve "$URL" --streams 4 --requests 40 --cancel 0.5 --tokens 16 --json
done=$(sed 's/.*"done": \([0-9]*\), "cancelled": \([0-9]*\), "errors": 0.*/\1 \2/' "$TMP/out")
status 0 bench serve "$URL" --streams 3 --requests 40 --cancel 0.5 --tokens 16 --json
out_has "\"done\": ${done% *}, \"cancelled\": ${done#* }, \"errors\": 0"
[ $((${done% *} + ${done#* })) = 40 ] || fail "requests were lost: $done"
[ "${done#* }" -gt 5 ] || fail "hardly any was cancelled: $done"

# What goes wrong, by kind, with the first message of each.
wrong() { # MODEL KIND MESSAGE OPTION...
    model=$1 kind=$2 message=$3
    shift 3
    status 1 bench serve "$URL" --model "$model" --streams 2 --requests 4 --tokens 8 --json "$@"
    out_has "\"done\": 0, \"cancelled\": 0, \"errors\": 4, \"errors_by_kind\": {\"$kind\": 4}"
    out_has "\"first_error\": {\"$kind\": \"[^\"]*$message"
}
wrong busy http_429 'HTTP 429: too many requests'
wrong broken http_5xx 'HTTP 500: <h1>Oops</h1>'
wrong cut cut 'closed the connection within its answer'
wrong noend cut 'ended without \[DONE\]'
wrong badjson format 'no JSON object'
wrong badchunk format 'no size of a chunk'
wrong error error_event 'the cache is full'
wrong garbage format 'no HTTP/1.1: it begins with .SSH-2.0'
wrong silent timeout 'nothing came in time' --timeout 0.1
status 1 bench serve "$URL" --model busy --streams 1 --requests 2 --tokens 8
out_has '2 http_429: HTTP 429: too many requests'

# Servers that cannot be measured are told at once.
status 1 bench serve "$URL/none"
err_has '/none/v1/chat/completions answers with HTTP 404: no route'
status 1 bench serve "$URL" --model key
err_has 'HTTP 401: the key is wrong'
status 1 bench serve "$URL" --model json
err_has 'no stream of events'
status 1 bench serve "unix:$TMP/none"
err_has 'No such file'
exec 8>&-
for args in "https://127.0.0.1:$port" 'http://' 'http://x:99999999' 'http://[::1' 'ftp://x' 'unix:' \
    "$URL --streams 0" "$URL --streams 1,,2" "$URL --rate 0" "$URL --words 9-3" \
    "$URL --tokens 0" "$URL --cancel 2" "$URL --api x" "$URL --prompts a --text b" \
    "$URL --compare $TMP/a.json" '' "$URL more"; do
    # shellcheck disable=SC2086 # a list of options
    status 2 bench serve $args
done
printf '{"prompt": 1}\n' >"$TMP/bad"
status 1 bench serve "$URL" --prompts "$TMP/bad"
err_has 'bad, line 1: no text "prompt"'
status 1 bench serve "$URL" --prompts "$TMP/missing"
err_has 'missing'

# Several results on one picture.
sed 's/"name": "ours"/"name": "<theirs>"/' "$TMP/a.json" >"$TMP/b.json"
status 0 bench serve --compare "$TMP/a.json,$TMP/b.json" --plot "$TMP/both.svg"
grep -q '&lt;theirs&gt;' "$TMP/both.svg" || fail "the plot lacks a curve"
status 1 bench serve --compare "$TMP/plot.svg" --plot "$TMP/both.svg"
status 2 bench serve --compare "$TMP/a.json" --plot "$TMP/a.json"
echo '{"levels": 3}' >"$TMP/bad"
status 1 bench serve --compare "$TMP/bad" --plot "$TMP/both.svg"
err_has 'is no result of verge bench serve'

# Ctrl-C: what was measured is printed.
on_terminal bench serve "$URL" --streams 2 --seconds 1000 --tokens 8 <<'END'
want 2 streams [
send \x03
want Server  http
want Cancelled: what was measured until then.
want cancelled
exit 1
END
exit 0
