#!/bin/sh
# verge plan: where models fit, in words and in JSON, with the exit status; that the figure of a file
# is the engine's own plan.
. "$(dirname "$0")/check.sh"
MODEL=$ROOT/models/default.gguf

status 0 plan --params 7e9 --target raspberry_pi
out_has 'room   5.78 GB of 8.00 GB'
out_has '^  int8 .*too big'
out_has '^  int4 .*fits .*tokens/s'
out_has 'advice quantise to 4 bits'
err_is_empty
status 1 plan --params 7e10 --target android
out_has 'advice take a smaller model'
status 1 plan --params 7e9 --target android --ctx 100000 --kv f32 --users 4
status 0 plan --params 7B
out_has 'a model of 7000 million'
status 2 plan --params 7X
status 0 plan --params 7e9
for name in android ios raspberry_pi esp32 browser jetson jetson_agx edge_server android-classic \
    ios-classic raspberry_pi-classic esp32-classic browser-classic; do
    out_has "^$name: "
done
status 0 plan --params 3e10 --active 3e9 --layers 48 --width 2048 --heads 32 --kv-heads 4 \
    --head-dim 128 --ff 6144 --vocab 151936 --target edge_server --json
out_has '"active_weights": 3000000000, '
out_has '"name": "edge_server".*"fits": true'

# A file: what the engine plans.
for ctx in 128 512; do
    status 0 plan "$MODEL" --ctx $ctx --target raspberry_pi --json
    planned=$(sed 's/.*"file": {[^}]*"total_bytes": \([0-9]*\).*/\1/' "$TMP/out")
    status 0 bench "$MODEL" -p $((ctx - 2)) -n 0 -r 1 --no-limits --json
    own=$(sed 's/.*"planned_bytes": \([0-9]*\).*/\1/' "$TMP/out")
    [ "$planned" = "$own" ] || fail "plan says $planned, the engine $own"
done
"$ROOT/bench/plan-check" "${VERGE%/app/verge}" 512 "$MODEL" >"$TMP/out" 2>&1
out_has '^| default | 512 | [0-9.]* | [0-9.]* | [-+][0-9.]*% |$'
status 0 plan "$MODEL" --ctx 512 --target raspberry_pi-classic
out_has '^  file .*fits'

# Targets of one's own.
echo '{"targets": [{"name": "mine", "title": "a \u001b[31mbox", "ram_mb": 20, "types": ["int8"]}]}' \
    >"$TMP/mine"
status 0 plan "$MODEL" --ctx 64 --targets "$TMP/mine"
out_has '^mine: a ?\[31mbox$'
out_has '^  int8 *fits *$' # no bandwidth, no speed
status 1 plan --params 1e8 --targets "$TMP/mine" --target mine
status 2 plan --params 1e8 --targets "$TMP/mine" --target android
err_has "'android' is none of all, mine"
echo '{"targets": 3}' >"$TMP/mine"
status 1 plan --params 1e8 --targets "$TMP/mine"
err_has 'is no list of 1 to 64 targets'
status 1 plan --params 1e8 --targets "$TMP/none"

# Wrong usage.
status 2 plan
status 2 plan "$MODEL" --params 1e9
status 2 plan "$MODEL" --layers 3
status 2 plan --params x
status 1 plan "$TMP/none.gguf"
exit 0
