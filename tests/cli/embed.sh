#!/bin/sh
# verge embed: what it prints, and what it says of wrong input.
. "$(dirname "$0")/check.sh"
ENCODER=$ROOT/tests/golden/encoder/bert.gguf
LLM=$ROOT/models/default.gguf

# One text and lines of texts give the same vectors, bit for bit; of length 1 unless told otherwise.
status 0 embed "$ENCODER" "hello world"
err_is_empty
[ "$(wc -l <"$TMP/out")" = 1 ] || fail "not a line a text"
[ "$(wc -w <"$TMP/out")" = 32 ] || fail "not a number a dimension"
cp "$TMP/out" "$TMP/one"
awk '{ for (i = 1; i <= NF; i++) s += $i * $i; exit !(s > 0.999999 && s < 1.000001) }' "$TMP/one" ||
    fail "not of length 1"
printf 'a first line\r\nhello world\n\nlast' | "$VERGE" embed "$ENCODER" - >"$TMP/out" 2>"$TMP/err" ||
    fail "lines"
[ "$(wc -l <"$TMP/out")" = 4 ] || fail "not a line for each of 4 texts"
sed -n 2p "$TMP/out" | cmp -s - "$TMP/one" || fail "another vector among others"
status 0 embed "$ENCODER" "hello world" --threads 1 --isa c
cmp -s "$TMP/out" "$TMP/one" || fail "another vector in plain C"
status 0 embed "$ENCODER" "hello world" --json
out_has '^{"index": 0, "tokens": 12, "embedding": \[-\?[0-9]'
status 0 embed "$ENCODER" "hello world" --dimensions 8
[ "$(wc -w <"$TMP/out")" = 8 ] || fail "not 8 dimensions"
for p in mean cls last; do
    status 0 embed "$ENCODER" "hello world" --no-normalize --pooling $p
    cp "$TMP/out" "$TMP/$p"
done
cmp -s "$TMP/mean" "$TMP/cls" && fail "pooling changes nothing"
status 0 embed "$LLM" "Once upon a time"
out_has '^-\?[0-9.e-]* '

status 2 embed "$ENCODER" x --dimensions 33
err_has '33 dimensions of vectors that have 32'
status 2 embed "$ENCODER" x --pooling max
status 2 embed
status 1 embed "$TMP/none.gguf" x
err_has 'none.gguf'
head -c 2000 /dev/zero | tr '\0' 'a' | sed 's/a/a /g' >"$TMP/long"
"$VERGE" embed "$ENCODER" - <"$TMP/long" >"$TMP/out" 2>"$TMP/err" && fail "a long text was cut"
err_has 'text 0 has 2002 tokens, the context 600'
status 1 run "$ENCODER" "hello"
err_has 'is an encoder (bert)'
exit 0
