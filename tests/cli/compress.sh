#!/bin/sh
# verge compress: what it writes, tells and refuses; a run that is killed goes on to the same bytes.
. "$(dirname "$0")/check.sh"
MODEL=$ROOT/models/default.gguf

# A mix, a rule, a size; the result runs, and threads do not change a byte.
status 0 compress "$MODEL" -o "$TMP/k.gguf" --type q4_k_m --threads 1
out_has 'token_embd.weight .* Q6_K'
out_has 'ffn_gate.weight .* Q4_K'
out_has 'k.gguf: .* of 4.56 MB'
err_is_empty
status 0 compress "$MODEL" -o "$TMP/k3.gguf" --threads 3
cmp -s "$TMP/k.gguf" "$TMP/k3.gguf" || fail "three threads gave other bytes"
status 0 inspect "$TMP/k.gguf"
out_has 'Q4_K'
status 0 run "$TMP/k.gguf" -n 8 --temp 0 "Once upon a time"
for t in Q4_0 Q4_1 Q5_0 Q5_1 Q8_0 Q5_K_S Q6_K IQ4_NL IQ4_XS Q3_K_M Q2_K F16; do
    status 0 compress --force "$MODEL" -o "$TMP/t.gguf" --type $t --json
    out_has '"name": "token_embd.weight"'
    status 0 inspect --check "$TMP/t.gguf"
done
status 0 compress --force "$MODEL" -o "$TMP/t.gguf" --type Q4_0 --tensor 'blk.?.attn_?.weight=Q5_K' \
    --tensor 'blk.*=Q4_1'
out_has 'attn_q.weight .* Q5_K'
out_has 'ffn_up.weight .* Q4_1'
out_has 'token_embd.weight .* Q6_K'
status 0 compress "$MODEL" -o "$TMP/s.gguf" --size 2600K
[ "$(wc -c <"$TMP/s.gguf")" -le 2600000 ] || fail "it is larger than asked"
[ "$(wc -c <"$TMP/s.gguf")" -ge 2500000 ] || fail "it leaves much room"

# The cache that the file prefers: written, shown, honoured, and overruled by --kv.
status 0 compress --force "$MODEL" -o "$TMP/t.gguf" --kv f16
status 0 inspect "$TMP/t.gguf"
out_has 'verge.kv_type = f16'
out_has 'f16 cache, as the file prefers'
status 0 plan "$TMP/t.gguf" --target jetson
out_has 'f16 cache'
status 0 plan "$TMP/t.gguf" --target jetson --kv q8
out_has 'q8 cache'
status 0 bench "$TMP/t.gguf" -p 4 -n 0 -r 1 --no-limits --json
out_has '"kv": "f16"'
status 0 run "$TMP/t.gguf" -n 8 --temp 0 "Once upon a time"
status 0 inspect "$TMP/k.gguf"
out_has 'verge.kv_type = q8_0'
status 2 compress --force "$MODEL" -o "$TMP/t.gguf" --kv q4

# A matrix that is small already stays; what is larger on purpose is a float type.
status 0 compress --force "$TMP/k.gguf" -o "$TMP/t.gguf" --type Q8_0
out_has 'kept: Q8_0 is not smaller'
cmp -s "$TMP/k.gguf" "$TMP/t.gguf" && fail "the file type stayed"

# Wrong usage.
rm "$TMP/t.gguf"
status 2 compress "$MODEL"
err_has 'where to'
status 2 compress "$MODEL" -o "$TMP/t.gguf" --type Q4_9
err_has "'Q4_9' is none of"
status 2 compress "$MODEL" -o "$TMP/t.gguf" --tensor 'a.b'
err_has 'PATTERN=TYPE'
status 2 compress "$MODEL" -o "$TMP/t.gguf" --tensor 'nothing*=Q8_0'
err_has 'meets no matrix'
status 2 compress "$MODEL" -o "$TMP/t.gguf" --size 1000
err_has 'smallest types'
cp "$MODEL" "$TMP/in.gguf"
status 1 compress "$MODEL" -o "$TMP/k.gguf"
err_has 'is there already; --force writes over it'
status 2 compress "$TMP/in.gguf" -o "$TMP/in.gguf"
err_has 'place of the input'
status 1 compress "$TMP/none.gguf" -o "$TMP/t.gguf"
err_has 'none.gguf'
status 1 compress "$MODEL" -o "$TMP/none/t.gguf"
err_has 'none/t.gguf'
[ ! -e "$TMP/none" ] || fail "it made a folder"

# A checkpoint folder: the same bytes as by way of convert, and nothing beside them.
"$SYNTH" SmolLM2-135M BF16 "$TMP/hf" --checkpoint --tiny || fail "no checkpoint"
status 0 convert "$TMP/hf" -o "$TMP/hf.gguf"
status 0 compress "$TMP/hf.gguf" -o "$TMP/c1.gguf"
status 0 compress "$TMP/hf" -o "$TMP/c2.gguf"
err_has 'goes through .*c2.gguf.source, about'
cmp -s "$TMP/c1.gguf" "$TMP/c2.gguf" || fail "a folder gives other bytes than its file"
[ "$(echo "$TMP"/c2.gguf*)" = "$TMP/c2.gguf" ] || fail "something stayed beside it"
status 1 compress "$TMP/hf" -o "$TMP/c2.gguf"
err_has 'is there already'
status 2 compress "$TMP/hf" -o "$TMP/hf" --force
err_has 'is a folder'
mkdir "$TMP/empty"
status 1 compress "$TMP/empty" -o "$TMP/c3.gguf"
err_has 'config.json'
status 2 compress "$TMP/hf" -o "$TMP/c3.gguf" --tensor 'nothing*=Q8_0'
[ "$(echo "$TMP"/c3*)" = "$TMP/c3*" ] || fail "a run that cannot go on left something"

# begin_until BYTES: starts a run and waits until so much of it is on the disk, or until it ended.
begin_until() {
    "$VERGE" compress --force "$TMP/big.gguf" -o "$TMP/b.gguf" --threads 1 >"$TMP/out" 2>"$TMP/err" &
    pid=$!
    while kill -0 $pid 2>/dev/null; do
        have=$(wc -c 2>/dev/null <"$TMP/b.gguf.part") || have=0
        [ "$have" -lt "$1" ] || break
    done
}

# Killed at any time and resumed: the same file, and nothing beside it.
"$SYNTH" SmolLM2-135M F16 "$TMP/big.gguf" --seed 3 || fail "no model"
status 0 compress "$TMP/big.gguf" -o "$TMP/whole.gguf" --threads 1
out_has 'Q4_K does not fit rows of 576'
for bytes in 1 3000000 20000000 40000000 70000000; do
    begin_until $bytes
    kill -9 $pid 2>/dev/null
    wait $pid 2>/dev/null
    status 0 compress "$TMP/big.gguf" -o "$TMP/b.gguf" --resume
    cmp -s "$TMP/whole.gguf" "$TMP/b.gguf" || fail "other bytes after a kill at $bytes"
    [ "$(echo "$TMP"/b.gguf*)" = "$TMP/b.gguf" ] || fail "something stayed beside it"
    rm "$TMP/b.gguf"
done

# Interrupted: it says how to go on, and what was done is not done again.
begin_until 40000000
kill -TERM $pid 2>/dev/null
wait $pid
[ ! -e "$TMP/b.gguf" ] || exit 0 # it was faster
err_has 'with --resume goes on'
[ -s "$TMP/b.gguf.journal" ] || fail "there is no journal"
status 1 compress "$TMP/big.gguf" -o "$TMP/b.gguf" --type Q4_0 --resume
err_has 'other options'
status 0 compress "$TMP/big.gguf" -o "$TMP/b.gguf" --resume
out_has 'were there from the run before'
cmp -s "$TMP/whole.gguf" "$TMP/b.gguf" || fail "other bytes after an interrupt"
exit 0
