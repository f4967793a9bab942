#!/bin/sh
# What convert, compress, eval and plan do when they are interrupted, when the disk is full, and when
# names are wrong: a precise error, nothing damaged, and what --resume needs is there.
. "$(dirname "$0")/check.sh"
MODEL=$ROOT/models/default.gguf
FROM=$ROOT/tests/golden/convert/qwen2

leaves() { # NAME...: nothing else is in the folder of outputs
    [ "$(cd "$TMP/o" && echo *)" = "${*:-*}" ] || fail "left behind: $(ls "$TMP/o"), not $*"
}
mkdir "$TMP/o" "$TMP/dir"
cp "$MODEL" "$TMP/m.gguf"
cp -r "$FROM" "$TMP/hf"
for i in 1 2 3 4 5 6 7 8 9; do cat "$ROOT/README.md"; done >"$TMP/text"
sums=$(cat "$TMP/m.gguf" "$TMP/text" "$TMP"/hf/* | cksum)
inputs_are_safe() { [ "$sums" = "$(cat "$TMP/m.gguf" "$TMP/text" "$TMP"/hf/* | cksum)" ] || fail "$*"; }

# ---- names: an output that is an input, whatever it is called, a folder, nothing, a device
ln -s m.gguf "$TMP/soft.gguf"
ln "$TMP/m.gguf" "$TMP/hard.gguf"
for name in m.gguf soft.gguf hard.gguf dir/../m.gguf; do
    status 2 compress "$TMP/m.gguf" -o "$TMP/$name" --force
    err_has 'would take the place of the input;'
    status 2 eval "$TMP/m.gguf" --text "$TMP/text" --plot "$TMP/$name"
    err_has 'would take the place of the input;'
done
for name in model-00001-of-00002.safetensors config.json model.safetensors new.json; do
    status 2 convert "$TMP/hf" -o "$TMP/hf/$name" --force
    err_has "would take the place of the input's files"
    status 2 compress "$TMP/hf" -o "$TMP/hf/$name" --force
done
for again in 1 2; do status 0 convert "$TMP/hf" -o "$TMP/hf/made.gguf" --force; done
rm "$TMP/hf/made.gguf"
status 2 compress "$TMP/m.gguf" -o "$TMP/text" --calib "$TMP/text" --force
status 2 eval "$TMP/m.gguf" --text "$TMP/text" --save-reference "$TMP/text"
status 2 eval "$TMP/m.gguf" --text "$TMP/text" --save-reference "$TMP/m.gguf"
status 2 bench "$TMP/m.gguf" --plot "$TMP/soft.gguf"
inputs_are_safe "an input was written over"
for command in "compress $TMP/m.gguf" "convert $TMP/hf"; do
    status 2 $command -o "$TMP/dir" --force
    err_has 'is a folder'
    status 2 $command -o "$TMP/dir/"
    status 2 $command -o ""
    err_has 'is empty'
    status 2 $command -o /dev/zero --force
    err_has 'is a device or a pipe'
    status 1 $command -o "$TMP/none/o.gguf"
    err_has 'none/o.gguf.part: open: No such file'
    status 1 $command -o "$TMP/m.gguf/o.gguf"
    err_has 'Not a directory'
done
[ -c /dev/zero ] || fail "a device is gone"
if [ "$(id -u)" != 0 ]; then # everything is allowed to root
    chmod a-w "$TMP/dir"
    status 1 compress "$TMP/m.gguf" -o "$TMP/dir/o.gguf"
    err_has 'dir/o.gguf.part: open: Permission denied'
    status 1 convert "$TMP/hf" -o "$TMP/dir/o.gguf"
    err_has 'Permission denied'
fi
status 0 convert "$TMP/hf" -o "$TMP/hf/new.gguf"
rm "$TMP/hf/new.gguf"

# ---- an input that is not there, or of another kind
for command in "compress $TMP/none -o $TMP/o/a" "convert $TMP/none -o $TMP/o/a" "plan $TMP/none" \
    "eval $TMP/none --text $TMP/text" "eval $TMP/m.gguf --text $TMP/none" \
    "eval $TMP/m.gguf --choices $TMP/none" "plan $TMP/m.gguf --targets $TMP/none" \
    "compress $TMP/m.gguf -o $TMP/o/a --calib $TMP/none"; do
    status 1 $command
    err_has 'none: .*No such file'
done
for command in "plan $TMP/dir" "eval $TMP/dir --text $TMP/text" "eval $TMP/m.gguf --text $TMP/dir" \
    "eval $TMP/m.gguf --choices $TMP/dir" "plan $TMP/m.gguf --targets $TMP/dir" \
    "compress $TMP/m.gguf -o $TMP/o/a --calib $TMP/dir"; do
    status 1 $command
    err_has 'dir: .*s a directory'
done
status 1 compress "$TMP/dir" -o "$TMP/o/a"
err_has 'there is no config.json'
status 2 convert "$TMP/m.gguf" -o "$TMP/o/a"
err_has 'is no folder'
status 1 plan "$TMP/text"
err_has 'not a GGUF file'
leaves

# ---- a disk that is full: of the result that is printed, and of the file
no_room() { # COMMAND...
    got=0
    "$VERGE" "$@" >/dev/full 2>"$TMP/err" </dev/null || got=$?
    [ $got = 1 ] || fail "verge $* with a full disk: $got"
    err_has 'writing the output: No space left on device'
}
if [ -c /dev/full ]; then
    for json in "" --json; do
        no_room compress "$TMP/m.gguf" -o "$TMP/o/a" --force $json
        no_room convert "$TMP/hf" -o "$TMP/o/b" --force $json
        no_room plan "$TMP/m.gguf" $json
        no_room eval "$TMP/m.gguf" --text "$TMP/text" -c 64 --chunks 1 $json
    done
    leaves a b # the files themselves are whole
    status 0 inspect --check "$TMP/o/a"
    rm "$TMP/o/a" "$TMP/o/b"
fi
limited() { # BLOCKS COMMAND...: files have at most so many blocks
    blocks=$1
    shift
    got=0
    (trap '' XFSZ && ulimit -f "$blocks" && exec "$VERGE" "$@") >"$TMP/out" 2>"$TMP/err" || got=$?
    [ $got = 1 ] || fail "verge $* with $blocks blocks: $got"
    err_has 'File too large'
}
limited 2000 compress "$TMP/m.gguf" -o "$TMP/o/a" --type Q4_0
err_has 'what is done is kept; the same command with --resume goes on'
leaves a.journal a.part
status 0 compress "$TMP/m.gguf" -o "$TMP/o/a" --type Q4_0 --resume
status 0 compress "$TMP/m.gguf" -o "$TMP/o/b" --type Q4_0
cmp -s "$TMP/o/a" "$TMP/o/b" || fail "other bytes after a full disk"
rm "$TMP/o/a" "$TMP/o/b"
limited 8 convert "$TMP/hf" -o "$TMP/o/a"
leaves
limited 8 eval "$TMP/m.gguf" --text "$TMP/text" -c 64 --chunks 1 --save-reference "$TMP/o/a"
leaves
limited 1 eval "$TMP/m.gguf" --text "$TMP/text" -c 64 --chunks 1 --plot "$TMP/o/a"
out_has perplexity
leaves

# ---- nobody reads the result, or there is no place for it
"$VERGE" compress "$TMP/m.gguf" -o "$TMP/o/a" 2>"$TMP/err" | :
status 0 inspect --check "$TMP/o/a"
rm "$TMP/o/a"
"$VERGE" compress "$TMP/m.gguf" -o "$TMP/o/a" <&- >&- 2>&- && fail "no stdout, and no error"
status 0 inspect --check "$TMP/o/a"
rm "$TMP/o/a"

# ---- interrupted, in each stage
"$SYNTH" SmolLM2-135M F16 "$TMP/big" --checkpoint --seed 3 || fail "no checkpoint"
status 0 compress "$TMP/big" -o "$TMP/whole.gguf" --type Q4_0
interrupt_at() { # FILE SIGNAL ARGUMENT...: as soon as the file has something in it
    file=$1 signal=$2
    shift 2
    "$VERGE" "$@" >"$TMP/out" 2>"$TMP/err" &
    while kill -0 $! 2>/dev/null && [ ! -s "$file" ]; do :; done
    kill -"$signal" $! 2>/dev/null
    got=0
    wait $! || got=$?
    [ $got = 0 ] && echo "it was faster than signal $signal" >&2
    return $got
}
interrupt_at "$TMP/o/a.part" INT convert "$TMP/big" -o "$TMP/o/a" || {
    err_has 'cancelled'
    leaves
}
rm -f "$TMP/o/a"
for signal in TERM HUP; do
    interrupt_at "$TMP/o/a.source.part" $signal compress "$TMP/big" -o "$TMP/o/a" --type Q4_0 || {
        err_has '--resume goes on'
        status 0 compress "$TMP/big" -o "$TMP/o/a" --type Q4_0 --resume
    }
    leaves a
    cmp -s "$TMP/whole.gguf" "$TMP/o/a" || fail "other bytes after $signal while converting"
    rm "$TMP/o/a"
done
interrupt_at "$TMP/o/a.part" TERM compress "$TMP/big" -o "$TMP/o/a" --type Q4_0 || {
    err_has '--resume goes on'
    status 0 compress "$TMP/big" -o "$TMP/o/a" --type Q4_0 --resume
}
leaves a
cmp -s "$TMP/whole.gguf" "$TMP/o/a" || fail "other bytes after a signal while quantising"
rm "$TMP/o/a"
interrupt_at "$TMP/o/ref.part" TERM eval "$TMP/m.gguf" --text "$TMP/text" -c 256 \
    --save-reference "$TMP/o/ref" || { err_has 'cancelled' && leaves; }
rm -f "$TMP/o/ref"

# On a terminal: the line says what is done, Ctrl-C ends it, and the line is gone.
"$VERGE" convert "$TMP/big" -o "$TMP/big.gguf" >"$TMP/out" || fail "no model"
on_terminal compress "$TMP/big.gguf" -o "$TMP/o/a" --size 80M --threads 1 <<'END'
want choosing types [
want % 
send \x03
want verge compress: stopped; the same command with --resume goes on
exit 1
END
size=100
for width in 80 30; do
    on_terminal compress "$TMP/big.gguf" -o "$TMP/o/a" --threads 1 --force <<END
size $width
want quantising
want %
send \x03
want verge compress: stopped; the same command with --resume goes on
exit 1
END
    out_lacks "$(printf '\033')"
done
on_terminal compress "$TMP/big.gguf" -o "$TMP/o/a" --calib "$TMP/text" --calib-tokens 512 --threads 1 \
    --force <<'END'
want layer
send \x03
want with --resume goes on
exit 1
END
exit 0
