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

# Packed integers: which type, and with what error.
status 0 convert "$FROM/packed-awq" -o "$TMP/p.gguf"
out_has 'ffn_up.weight  *1 AWQ 4-bit, 32 .* Q4_1 .* 0\.0[0-9]*%'
status 0 run "$TMP/p.gguf" -n 4 --temp 0 ab
status 0 convert "$FROM/packed-order" -o "$TMP/p.gguf" --force --json
out_has '"type": "Q8_0", "exact_codes": false, "bytes": [0-9]*, "error": 0\.00[1-9]'
status 0 convert "$FROM/packed-gptq" -o "$TMP/p.gguf" --force --json
out_has '"name": "attn_q.weight", "tensors": 1, "from": "GPTQ 4-bit, 32", "type": "Q4_0"'
out_has '"exact_codes": true, "bytes": [0-9]*, "error": 0}'

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
