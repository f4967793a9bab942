#!/bin/sh
# bench/against: with programs of a few lines in the place of both, so that the numbers are known; and
# with the real verge.
. "$(dirname "$0")/check.sh"
MODEL=$ROOT/models/default.gguf

# against_is N ARGUMENT...
against_is() {
    want=$1
    shift
    got=0
    "$AGAINST" "$@" >"$TMP/out" 2>"$TMP/err" || got=$?
    [ "$got" = "$want" ] || fail "against $*: status $got, not $want"
}

# A Verge that decodes 30, 10, 20 tokens a second; a peer that does 10 and says how it was called.
cat >"$TMP/verge" <<END
#!/bin/sh
n=\$(cat "$TMP/n" 2>/dev/null || echo 30)
echo \$(((n + 10) % 30 + 10)) >"$TMP/n"
echo '{"version": "9", "isa": "x", "results": [{"tokens_per_s": '\$n'}]}'
END
cat >"$TMP/peer" <<END
#!/bin/sh
case "\$*" in *--help*) echo "  -gp <pp,tg>"; exit ;; esac
echo "\$*" >>"$TMP/calls"
echo 'a line of talk'
echo '[{"build_commit": "ab\\"c", "avg_ts": 99}, {"build_commit": "ab\\"c", "avg_ts": 10.0}]'
END
cat >"$TMP/batched" <<'END'
#!/bin/sh
echo '| PP | TG | B | N_KV | T_PP s | S_PP t/s | T_TG s | S_TG t/s | T s | S t/s |'
echo '|----|----|---|------|--------|----------|--------|----------|-----|-------|'
echo '|  1 |  8 | 4 |   36 |  0.001 |  1000.00 |  0.002 |    80.00 | 0.1 | 10.00 |'
END
chmod +x "$TMP/verge" "$TMP/peer" "$TMP/batched"
against_is 0 "$TMP/verge" "$TMP/peer" m.gguf --runs 3 --threads 1 --peer-args "-fa 1" tg8@d32
out_has '^tg8@d32 *tok/s *20.0 (10.0 to 30.0) *10.0 (10.0 to 10.0) *2.00$'
out_has 'verge 9, x, q8 cache; peer: commit ab?c, -fa 1; 1 threads on 1 processors'
[ "$(wc -l <"$TMP/calls")" = 3 ] || fail "not three runs"
grep -q -e '-m m.gguf -t 1 -o json -r 1 -p 0 -n 0 -gp 32,8 -fa 1$' "$TMP/calls" || fail "another call"
against_is 0 "$TMP/verge" "$TMP/peer" m.gguf --runs 1 --threads 1 --json pp8 load mem8
out_has '"work": "pp8", "unit": "tok/s", "verge": {"median": '
out_has '"work": "mem8", "unit": "MB"'
against_is 0 "$TMP/verge" "$TMP/peer" m.gguf --runs 1 --batched "$TMP/batched" tg8@b4
out_has '80.0 (80.0 to 80.0)'

# A peer that cannot do the work, fails, or is not there: told, and the rest is measured.
against_is 1 "$TMP/verge" "$TMP/peer" m.gguf --runs 2 tg8@b4 pp8
err_has 'needs --batched'
out_has '^pp8 .*\.[0-9][0-9]$'
against_is 1 "$TMP/verge" "$TMP/none" m.gguf --runs 2 pp8
err_has 'none cannot be started'
against_is 1 "$TMP/verge" false m.gguf --runs 2 pp8
err_has 'false failed'
against_is 1 "$TMP/verge" true m.gguf --runs 2 pp8
err_has 'printed no result'

# The real program.
rm "$TMP/calls"
against_is 0 "$VERGE" "$TMP/peer" "$MODEL" --runs 1 --threads 1 pp8 tg4@d8@b2 load mem8 \
    --batched "$TMP/batched"
err_is_empty

# Wrong usage.
against_is 2
against_is 2 a b
against_is 2 a b c tg
against_is 2 a b c xx8
against_is 2 a b c pp8@d4
against_is 2 a b c --runs 0
against_is 2 a b c --cpus x
against_is 2 a b c --nonsense
exit 0
