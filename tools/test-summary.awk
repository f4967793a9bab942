# One line about a testlog.txt of meson: programs by meson's count, the tests inside them by cmocka's.
/^Ok: /      { ok = $2 }
/^Expected Fail: / { next }
/^Fail: |^Timeout: |^Unexpected Pass: / { bad += $NF }
/^Skipped: / { left_out = $2 }
/^\[       OK \] /   { tests++ }
/^\[  SKIPPED \] [^0-9].*/ { if (!/listed below/) tests_left_out[$0] = 1 }
END {
    for (t in tests_left_out) n++
    printf "%d programs passed, %d failed, %d left out; in them %d tests passed, %d left out",
           ok, bad, left_out, tests, n
}
