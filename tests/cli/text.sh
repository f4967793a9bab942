#!/bin/sh
# verge tokenize and verge template: what they print, and what they say of wrong input.
. "$(dirname "$0")/check.sh"
MODEL=$ROOT/models/default.gguf

# Ids and back; stdin as well as an argument; control tokens only when asked for.
status 0 tokenize "$MODEL" "Once upon a time<|endoftext|>"
ids=$(cat "$TMP/out")
case " $ids " in *" 0 "*) fail "text became a control token" ;; esac
# shellcheck disable=SC2086 # a list of ids
status 0 tokenize "$MODEL" --decode $ids
[ "$(cat "$TMP/out")" = "Once upon a time<|endoftext|>" ] || fail "another text came back"
printf 'Once upon a time' | "$VERGE" tokenize "$MODEL" - >"$TMP/out" || fail "stdin"
cp "$TMP/out" "$TMP/stdin"
status 0 tokenize "$MODEL" "Once upon a time"
cmp -s "$TMP/out" "$TMP/stdin" || fail "stdin gave other ids"
status 0 tokenize "$MODEL" --special "<|endoftext|>"
[ "$(cat "$TMP/out")" = 0 ] || fail "--special did not take the control token"
status 0 tokenize "$MODEL" --pieces "a b"
[ "$(wc -l <"$TMP/out")" = 2 ] || fail "not a line a token"
status 0 tokenize "$MODEL" --json "a b"
out_has '"count": 2'
status 2 tokenize
err_has 'argument is missing of MODEL'
status 1 tokenize "$TMP/none.gguf" x
err_has 'none.gguf'
status 2 tokenize "$MODEL" --decode 999999
err_has '999999'

# A template from a file, with tools and variables; from a model; and its errors, with their line.
cat >"$TMP/t.jinja" <<'END'
{{ bos_token }}{% for m in messages %}
[{{ m.role }}] {{ m.content }}
{% endfor %}{% if tools %}{{ tools | length }} tools{% endif %}{{ mood }}{% if add_generation_prompt %}>{% endif %}
END
echo '[{"role":"user","content":"hi <b>"}]' >"$TMP/m.json"
echo '[{"type":"function"}]' >"$TMP/tools.json"
status 0 template "$TMP/t.jinja" "$TMP/m.json" --bos '<s>' --tools "$TMP/tools.json" \
    --set 'mood="calm"'
[ "$(cat "$TMP/out")" = "$(printf '<s>[user] hi <b>\n1 toolscalm>')" ] || fail "another prompt"
status 0 template "$TMP/t.jinja" "$TMP/m.json" --no-generation-prompt
[ "$(cat "$TMP/out")" = '[user] hi <b>' ] || fail "another prompt without a generation prompt"
status 0 template "$MODEL" "$TMP/m.json"
out_has 'Story: hi <b>'
status 0 template "$TMP/t.jinja" "$TMP/m.json" --json
out_has '"prompt": *"'
printf 'a\n{{ raise_exception("no " ~ messages[0].role) }}' >"$TMP/t.jinja"
status 1 template "$TMP/t.jinja" "$TMP/m.json"
err_has 'line 2.*no user'
printf '{%% for i in range(99999) %%}{%% for j in range(99999) %%}{%% endfor %%}{%% endfor %%}' \
    >"$TMP/t.jinja"
status 1 template "$TMP/t.jinja" "$TMP/m.json"
err_has 'step'
echo '[{"role":' >"$TMP/m.json"
status 1 template "$TMP/t.jinja" "$TMP/m.json"
err_has 'line'
echo '[]' >"$TMP/m.json"
status 1 template "$TMP/none.jinja" "$TMP/m.json"
err_has 'none.jinja'
exit 0
