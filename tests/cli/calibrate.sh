#!/bin/sh
# verge compress with a text: what it tells, that threads do not change a byte, what it refuses, and
# that a run that is killed goes on to the same bytes.
. "$(dirname "$0")/check.sh"
MODEL=$ROOT/models/default.gguf TEXT=$ROOT/LICENSE

HOW="--type Q4_0 --calib $TEXT --calib-tokens 1024"

status 0 compress "$MODEL" -o "$TMP/a.gguf" $HOW --threads 1
out_has 'tensors .* plain .* error'
out_has 'calibrated with 1024 tokens'
err_is_empty
status 0 compress "$MODEL" -o "$TMP/b.gguf" $HOW --threads 3 --json
out_has '"calib_tokens": 1024'
out_has '"plain_error": 0.0'
cmp -s "$TMP/a.gguf" "$TMP/b.gguf" || fail "three threads gave other bytes"
status 0 run "$TMP/a.gguf" -n 8 --temp 0 "Once upon a time"
status 0 inspect --check "$TMP/a.gguf"

status 0 compress "$MODEL" -o "$TMP/w.gguf" $HOW --awq
out_has 'AWQ  *layers scaled clipped'
out_has 'attn_q, attn_k, attn_v  *4 '
out_has 'ffn_down  *4 '
status 0 compress --force "$MODEL" -o "$TMP/b.gguf" --type Q4_0 --calib "$TEXT" --awq --no-importance \
    --calib-tokens 512 --json
out_has '"awq": \['
out_has '"tensors": "attn_output"'
status 0 run "$TMP/w.gguf" -n 8 --temp 0 "Once upon a time"
status 0 compress --force "$MODEL" -o "$TMP/b.gguf" --size 2600K --calib "$TEXT" --calib-tokens 512
[ "$(wc -c <"$TMP/b.gguf")" -le 2600000 ] || fail "it is larger than asked"

# Refused, and nothing is left behind.
status 2 compress "$MODEL" -o "$TMP/n.gguf" --awq
err_has '--awq needs a text'
status 2 compress "$MODEL" -o "$TMP/n.gguf" --calib "$TEXT" --no-importance
err_has 'goes with --awq'
status 1 compress "$MODEL" -o "$TMP/n.gguf" --calib "$TMP/none.txt"
err_has 'none.txt'
status 1 compress "$MODEL" -o "$TMP/n.gguf" --calib "$MODEL"
err_has 'not a text'
printf 'short' >"$TMP/short.txt"
status 2 compress "$MODEL" -o "$TMP/n.gguf" --calib "$TMP/short.txt"
err_has 'it takes thousands'
[ "$(echo "$TMP"/n.gguf*)" = "$TMP/n.gguf*" ] || fail "something was left behind"

# Killed in the calibration, it goes on to the same bytes.
for i in 1 2 3; do
    "$VERGE" compress "$MODEL" -o "$TMP/k.gguf" $HOW --awq --resume >/dev/null 2>&1 &
    pid=$!
    n=0
    while kill -0 $pid 2>/dev/null && [ ! -e "$TMP/k.gguf.calib" ] && [ $n -lt 200000 ]; do
        n=$((n + 1))
    done
    kill -9 $pid 2>/dev/null || true
    wait $pid 2>/dev/null || true
done
status 0 compress "$MODEL" -o "$TMP/k.gguf" $HOW --awq --resume --force
cmp -s "$TMP/k.gguf" "$TMP/w.gguf" || fail "a run that was killed gave other bytes"
[ "$(echo "$TMP"/k.gguf*)" = "$TMP/k.gguf" ] || fail "something stayed beside the output"
