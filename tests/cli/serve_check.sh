# What the tests of verge serve share. Sourced; ASK comes from the build (tests/ask.c).
. "$(dirname "$0")/check.sh"

# serve ARGUMENT...: a server with the built-in model on a free port, $PORT, until the script ends.
serve() {
    : >"$TMP/serve"
    "$VERGE" serve --port 0 "$@" >"$TMP/out" 2>>"$TMP/serve" </dev/null &
    SERVER=$!
    trap 'kill $SERVER 2>/dev/null; wait $SERVER 2>/dev/null; rm -rf "$TMP"' EXIT
    # Lines come when they are there: nothing here depends on how long that takes.
    until grep -q loaded "$TMP/serve"; do
        kill -0 $SERVER 2>/dev/null || { cp "$TMP/serve" "$TMP/err"; fail "no server"; }
        sleep 0.05
    done
    PORT=$(sed -n 's/.*listening on http:.*:\([0-9]*\)[^0-9]*$/\1/p' "$TMP/serve")
}

# asks CODE METHOD PATH [BODY]: the answer has that code; $TMP/out gets its body.
asks() {
    want=$1
    shift
    "$ASK" "$PORT" "$@" >"$TMP/reply" 2>"$TMP/err" || fail "$*: no answer"
    sed 1d "$TMP/reply" >"$TMP/out"
    got=$(sed 1q "$TMP/reply")
    [ "$got" = "$want" ] || fail "$*: $got, not $want"
}

# stop_server: it ends in order, having lost nothing.
stop_server() {
    kill $SERVER
    got=0
    wait $SERVER || got=$?
    [ $got = 0 ] || { cp "$TMP/serve" "$TMP/err"; fail "the server ended with $got"; }
}
