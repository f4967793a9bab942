# What the tests of the program share. Sourced; VERGE and PTY come from the build.

ROOT=$(cd "$(dirname "$0")/../.." && pwd)
TMP=$(mktemp -d) || exit 1
trap 'rm -rf "$TMP"' EXIT
export HOME="$TMP" XDG_STATE_HOME="$TMP/state" TERM=xterm LC_ALL=C.UTF-8

fail() {
    echo "FAILED: $*" >&2
    echo "--- stdout" >&2; cat "$TMP/out" >&2
    echo "--- stderr" >&2; cat "$TMP/err" >&2
    exit 1
}

# status N ARGUMENT...: runs the program, checks its exit status; $TMP/out and $TMP/err keep the rest.
status() {
    want=$1
    shift
    got=0
    "$VERGE" "$@" >"$TMP/out" 2>"$TMP/err" </dev/null || got=$?
    [ "$got" = "$want" ] || fail "verge $*: status $got, not $want"
}

out_has() { grep -q -e "$1" "$TMP/out" || fail "stdout lacks: $1"; }
out_lacks() { ! grep -q -e "$1" "$TMP/out" || fail "stdout has: $1"; }
err_has() { grep -q -e "$1" "$TMP/err" || fail "stderr lacks: $1"; }
err_is_empty() { [ ! -s "$TMP/err" ] || fail "stderr is not empty"; }

# on_terminal ARGUMENT... <script: the program on a pseudo terminal (see tests/pty.c).
on_terminal() {
    : >"$TMP/err"
    got=0
    "$PTY" "$VERGE" "$@" >"$TMP/out" 2>"$TMP/err" || got=$?
    if [ $got = 77 ]; then
        echo "skipped: this machine has no pseudo terminals"
        exit 77 # counted as left out
    fi
    [ $got = 0 ] || fail "on a terminal: verge $*"
}
