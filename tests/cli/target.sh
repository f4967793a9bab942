#!/bin/sh
# verge compress --target: what verge plan advises for a device is carried out: what was made fits by
# verge plan's own account; what fits in no type is refused with the step that would be needed.
. "$(dirname "$0")/check.sh"
MODEL=$ROOT/models/default.gguf
"$VERGE" compress "$MODEL" -o "$TMP/f16.gguf" --type F16 >/dev/null || exit 1

# Every target that the program knows, with a model that is quantised and one that is not.
targets=$("$VERGE" plan --params 1e6 --json | tr ',' '\n' | sed -n 's/.*{"name": "\(.*\)"/\1/p')
[ "$(echo "$targets" | wc -l)" -ge 13 ] || fail "targets: $targets"
for model in "$MODEL" "$TMP/f16.gguf"; do
    for target in $targets; do
        want=0
        "$VERGE" plan "$model" --target $target --ctx 128 >"$TMP/plan" || want=1
        status $want compress --force "$model" -o "$TMP/o.gguf" --target $target --ctx 128
        if [ $want = 0 ]; then
            err_has "for $target: $(sed -n 's/  advice //p' "$TMP/plan" | cut -d'(' -f1)"
            status 0 plan "$TMP/o.gguf" --target $target --ctx 128
            out_has '^  file .*fits'
            status 0 run "$TMP/o.gguf" -n 2 --ctx 128 hi
            rm "$TMP/o.gguf"
        else
            err_has "the model fits $target in no type: int4 takes .* q8 cache of 128 tokens for 1 user"
            [ ! -e "$TMP/o.gguf" ] || fail "something was written"
        fi
    done
done

# The steps, one after the other, as the room shrinks. The weights are 8.5, 4.6, 2.8 and 2.6 MB.
step() { # MODEL_MB TYPES STEP
    echo '{"targets": [{"name": "mine", "title": "mine", "ram_mb": 1000, "model_mb": '$1', "types": ['$2']}]}' \
        >"$TMP/mine"
    want=0
    case $3 in prune | smaller) want=1 ;; esac
    status $want plan "$TMP/f16.gguf" --targets "$TMP/mine" --ctx 64 --json
    out_has "\"step\": \"$3\""
    status $want compress --force "$TMP/f16.gguf" -o "$TMP/o.gguf" --targets "$TMP/mine" --target mine \
        --ctx 64 --json
    [ $want = 1 ] || {
        out_has "\"target\": {\"name\": \"mine\", \"step\": \"$3\", .*\"ctx\": 64, \"users\": 1"
        "$VERGE" plan "$TMP/o.gguf" --targets "$TMP/mine" --ctx 64 >"$TMP/plan" || fail "no fit"
        grep -q '^  file .*fits' "$TMP/plan" || fail "what was made does not fit"
    }
}
ALL='"fp16", "int8", "int4"'
step 9 "$ALL" fp16
err_has 'keep 16 bits'
step 5 "$ALL" int8
err_has 'quantise to 8 bits (Q8_0): .*; fp16 would take'
step 3.4 "$ALL" int4
err_has 'quantise to 4 bits (Q4_K_M): .*; int8 would take'
step 2.75 "$ALL" int4
err_has 'into 2750000 bytes (--size)'
step 2.3 "$ALL" prune
err_has 'for weights 2.30 MB: prune [0-9]*%, heal, then'
step 1 "$ALL" smaller
err_has 'take a smaller model, of 1.* million weights'
step 9 '"int4"' int4
err_has 'int8 is no type of it'
step 5 '"fp16"' smaller
err_has 'fp16 takes .* take a smaller model'

# The cache and the context count, and the cache is the file's.
status 0 compress --force "$TMP/f16.gguf" -o "$TMP/o.gguf" --target jetson --ctx 100 --users 3 --kv f16
err_has 'with a f16 cache of 100 tokens for 3 users'
status 0 inspect "$TMP/o.gguf"
out_has 'verge.kv_type = f16'
rm "$TMP/o.gguf"
status 1 compress "$TMP/f16.gguf" -o "$TMP/o.gguf" --target raspberry_pi-classic --ctx 8192 --users 64
err_has '8192 tokens for 64 users, and there is room for 256 MB'
[ ! -e "$TMP/o.gguf" ] && [ ! -e "$TMP/o.gguf.part" ] || fail "something was written"

# Wrong usage.
for more in "--type Q4_0" "--size 3M" "--tensor a=Q8_0"; do
    status 2 compress "$MODEL" -o "$TMP/o.gguf" --target jetson $more
    err_has 'target chooses the types'
done
status 2 compress "$MODEL" -o "$TMP/o.gguf" --target toaster
err_has "'toaster' is none of all, android"
status 2 compress "$MODEL" -o "$TMP/o.gguf" --target all
err_has 'one of them'
status 2 compress "$MODEL" -o "$TMP/o.gguf" --ctx 512
err_has 'how a --target is used'
status 1 compress "$MODEL" -o "$TMP/o.gguf" --target mine --targets "$TMP/none"
err_has 'none: No such file'
exit 0
