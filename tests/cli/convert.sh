#!/bin/sh
# verge convert: what it writes, what it says, and what is left when it fails.
. "$(dirname "$0")/check.sh"
FROM=$ROOT/tests/golden/convert

status 0 convert "$FROM/qwen2" -o "$TMP/out.gguf"
out_has 'qwen2, .* tensors as BF16'
err_is_empty
status 0 tokenize "$TMP/out.gguf" abba
out_has '^159 '
cp "$TMP/out.gguf" "$TMP/first.gguf"

# A file that is there stays, unless it may go; the same checkpoint gives the same bytes.
status 1 convert "$FROM/qwen2" -o "$TMP/out.gguf"
err_has 'is there already'
status 0 convert "$FROM/qwen2" -o "$TMP/out.gguf" --force
cmp -s "$TMP/out.gguf" "$TMP/first.gguf" || fail "other bytes the second time"

status 0 convert "$FROM/gemma3" -o "$TMP/g.gguf" --type f32 --name 'A "B"' --json
out_has '"name": "A \\"B\\"", "architecture": "gemma3", "type": "F32"'
status 0 inspect "$TMP/g.gguf"
out_has 'A "B"'

status 2 convert "$FROM/qwen2"
err_has '-o OUT.gguf'
status 2 convert "$FROM/qwen2" -o "$TMP/x.gguf" --type q9
status 1 convert "$TMP/none" -o "$TMP/x.gguf"
err_has 'none'
status 2 convert "$FROM/llama3.crc" -o "$TMP/x.gguf"
err_has 'is no folder'
mkdir "$TMP/cut"
cp "$FROM/llama3/"*.json "$TMP/cut"
head -c 9000 "$FROM/llama3/model.safetensors" >"$TMP/cut/model.safetensors"
status 1 convert "$TMP/cut" -o "$TMP/x.gguf"
err_has 'is it complete'
status 1 convert "$FROM/qwen2" -o "$TMP/no/where.gguf"
err_has 'no/where.gguf'
[ ! -e "$TMP/x.gguf" ] && [ ! -e "$TMP/x.gguf.part" ] || fail "something was left behind"

status 0 convert --help
out_has 'OUT.gguf'
exit 0
