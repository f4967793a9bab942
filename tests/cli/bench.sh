#!/bin/sh
# verge bench: what it prints, that its JSON and SVG are whole, and what it says of wrong usage. How
# fast anything was is no matter here.
. "$(dirname "$0")/check.sh"
MODEL=$ROOT/models/default.gguf

# The built-in model, small work: a table with a line for each row, and the memory beside the plan.
status 0 bench -p 8,16 -n 4 -d 0,20 -b 1,2 -r 2 -t 1 --no-limits
out_has '^Prefill  tokens'
out_has '^ *16 .*ms$'
out_has '^ *20     2 '
out_has 'planned'
out_has '^Energy   not measured\|^Energy   J/token'
out_lacks 'Limits'
err_is_empty

# JSON with the fields that scripts read. The counters of energy are files that the test makes.
mkdir -p "$TMP/powercap/intel-rapl:0/intel-rapl:0:0" "$TMP/powercap/intel-rapl"
echo 1000000 >"$TMP/powercap/intel-rapl:0/energy_uj"
echo 262143328850 >"$TMP/powercap/intel-rapl:0/max_energy_range_uj"
status 0 bench "$MODEL" -p 8 -n 4 -r 2 -t 2 --cold --json --powercap "$TMP/powercap" \
    --plot "$TMP/plot.svg"
for key in version model path family file_bytes isa threads kv load cold_first_token_ms warm_ms \
    warm_first_token_ms memory peak_bytes planned_bytes results work tokens depth batch runs \
    tokens_per_s tokens_per_s_min tokens_per_s_max first_token_ms step_ms_p50 step_ms_p95 \
    step_ms_p99 share_of_limit limit energy_measured cancelled limits read_gb_per_s \
    int8_gop_per_s fp32_gflop_per_s; do
    out_has "\"$key\": "
done
out_has '"energy_measured": true'
out_has '"joules_per_token": 0[,}]' # the counter stood still
out_has '"cancelled": false'
grep -q '^</svg>$' "$TMP/plot.svg" || fail "the plot has no end"
grep -q 'Prefill, tokens/s' "$TMP/plot.svg" || fail "the plot has no prefill"
! grep -q 'nan\|inf' "$TMP/plot.svg" || fail "the plot has numbers that are none"

status 0 bench --limits -t 1
out_has '^ *1 .*GB/s .*GOP/s .*GFLOP/s'
status 0 bench --limits -t 1 --isa c --json
out_has '"isa": "c", "limits": \[{"threads": 1, '

# Only prefill, only decode, and nothing but loading.
status 0 bench -p 8 -n 0 -r 1 --no-limits
out_lacks '^Decode'
status 0 bench -p 0 -n 2 -r 1 --no-limits
out_lacks '^Prefill'
status 0 bench -p 0 -n 0 -r 1 --no-limits --no-repack
out_has '^Load     warm'

# Wrong usage, wrong files.
for args in '-p x' '-p 8,,9' '-p -1' '-p 99999999' '-b 0' '-d 1,' '-r 0' '--kv q9' '--cold' \
    '--limits --no-limits' '--limits --plot x.svg' '--nonsense' \
    '-p 1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17'; do
    # shellcheck disable=SC2086 # a list of options
    status 2 bench $args
done
status 2 bench "$MODEL" --limits
err_has '\-\-limits measures no model'
status 1 bench "$TMP/none.gguf"
err_has 'none.gguf'
printf 'GGUF' >"$TMP/bad.gguf"
status 1 bench "$TMP/bad.gguf" --json
[ ! -s "$TMP/out" ] || fail "results of a file that is no model"
status 1 bench -p 8 -n 0 -r 1 --no-limits --plot "$TMP/none/plot.svg"
err_has 'none/plot.svg'

# Ctrl-C ends it, and what was measured until then is printed; progress is for a terminal only.
on_terminal bench -p 8 -n 100000 -r 3 --no-limits <<'END'
want prefill of 8 [
want decode at depth 0, batch 1 [>
send \x03
want Prefill  tokens
want Cancelled: what was measured until then.
want cancelled
exit 1
END
exit 0
