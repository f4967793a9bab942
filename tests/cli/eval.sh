#!/bin/sh
# verge eval: perplexity against the figure of another program, a model against itself and against
# kept logits, multiple choice, and what it says of wrong usage and wrong files.
. "$(dirname "$0")/check.sh"
MODEL=$ROOT/models/default.gguf

# A text that is the same everywhere.
for name in Tom Lily Max Anna Ben Mia Sam Sue; do
    for thing in ball dog cake tree boat hat; do
        echo "One day, $name found a big $thing in the park. $name was very happy."
        echo "\"Look, mom!\" said $name. \"I have a $thing. Can we take it home?\""
        echo "Mom smiled and said, \"Yes, $name, but you must share the $thing with your friends.\""
    done
done >"$TMP/text"

# value KEY: the number behind the first "KEY" of the JSON in $TMP/out.
value() { sed "s/.*\"$1\": \([-0-9.e]*\).*/\1/" "$TMP/out"; }
# close X Y SHARE: X is within the share of Y.
close() { awk "BEGIN { d = $1 - $2; exit !((d < 0 ? -d : d) <= $3 * $2) }" || fail "$1 is not $2"; }

# llama-perplexity (llama.cpp in llama-cpp-python 0.3.36) -c 128 and -c 224 -b 224 --ppl-stride 64 (its
# windows are then of 256 tokens).
status 0 eval "$MODEL" --text "$TMP/text" -c 128 --json
close "$(value perplexity)" 4.9698 0.001
out_has '"chunks": 22, '
status 0 eval "$MODEL" --text "$TMP/text" -c 256 --stride 64 --json
close "$(value perplexity)" 5.1418 0.001
status 0 eval "$MODEL" --text "$TMP/text" -c 64 --chunks 3
out_has 'perplexity .* (93 tokens in 3 chunks of 64)'
out_lacks 'KL'
err_is_empty

# A model is no distance from itself; the cache of 8 bits is a small one.
status 0 eval "$MODEL" "$MODEL" --text "$TMP/text" -c 128 --chunks 4 --reference "$MODEL"
out_has 'KL  *mean 0.000000 +/- 0.000000, median 0.000000, 99% 0.00000, max 0.0000$'
out_has 'same best *100.000%'
[ "$(grep -c KL "$TMP/out")" = 2 ] || fail "not every model was compared"
status 0 eval "$MODEL" --text "$TMP/text" -c 128 --chunks 4 --kv f32 --save-reference "$TMP/kept"
[ ! -e "$TMP/kept.part" ] || fail "a part is left"
status 0 eval "$MODEL" --text "$TMP/text" -c 128 --chunks 4 --kv f32 --reference-file "$TMP/kept"
out_has 'same best *100.000%'
out_has 'KL  *mean 0.000000 '
status 0 eval "$MODEL" --text "$TMP/text" -c 128 --chunks 4 --kv q8 --reference-file "$TMP/kept" --json
close "$(sed 's/.*"kl": {"mean": \([-0-9.e]*\).*/\1/' "$TMP/out")" 0.0003 0.9
for key in reference_perplexity error median p99 max delta_nats same_top tokens_per_s peak_bytes; do
    out_has "\"$key\": "
done

# A plot: every model, the text that another XML reader takes, no numbers that are none.
cp "$MODEL" "$TMP/a&b.gguf"
status 0 eval "$MODEL" "$TMP/a&b.gguf" --text "$TMP/text" -c 64 --chunks 2 --plot "$TMP/plot.svg"
grep -q '^</svg>$' "$TMP/plot.svg" || fail "the plot has no end"
grep -q '>a&amp;b.gguf<' "$TMP/plot.svg" || fail "the plot lacks a model"
grep -q '>Perplexity<' "$TMP/plot.svg" || fail "the plot says not what it shows"
! grep -q 'nan\|inf' "$TMP/plot.svg" || fail "the plot has numbers that are none"
status 0 eval "$MODEL" --text "$TMP/text" -c 64 --chunks 2 --reference "$MODEL" --plot "$TMP/plot.svg"
grep -q 'KL divergence' "$TMP/plot.svg" || fail "the plot is not of the divergence"
status 1 eval "$MODEL" --text "$TMP/text" -c 64 --chunks 2 --plot "$TMP/none/plot.svg"
err_has 'none/plot.svg'

# Kept logits of something else.
status 1 eval "$MODEL" --text "$TMP/text" -c 64 --chunks 4 --reference-file "$TMP/kept"
err_has 'give the same --ctx'
tail -n +2 "$TMP/text" >"$TMP/other"
status 1 eval "$MODEL" --text "$TMP/other" -c 128 --chunks 4 --reference-file "$TMP/kept"
err_has 'another text'
head -c 5000 "$TMP/kept" >"$TMP/cut"
status 1 eval "$MODEL" --text "$TMP/text" -c 128 --chunks 4 --reference-file "$TMP/cut"
err_has 'has 5000 bytes, its head speaks of'
status 1 eval "$MODEL" --text "$TMP/text" -c 128 --chunks 4 --reference-file "$MODEL"
err_has 'holds no logits'

# Multiple choice: what the model was trained on against what it never saw.
cat >"$TMP/choices" <<'END'
{"context": "Once upon a time, there was a little", "choices": ["girl", "quantum invoice"], "answer": 0}
{"context": "Once upon a", "choices": ["spreadsheet", "time, there was a dog."], "answer": "B"}

{"question": "What did Tom find?", "choices": {"text": ["zxqv wpk", "a ball"], "label": ["1", "2"]}, "answerKey": "2"}
{"ctx": "She was very", "endings": ["happy.", "hexadecimal.", "parliamentary."], "label": "0"}
END
status 0 eval "$MODEL" --choices "$TMP/choices"
out_has 'right  *100.00% of 4, between 51.01% and 100.00%'
out_has 'by length'
status 0 eval "$MODEL" --choices "$TMP/choices" --text "$TMP/text" -c 64 --chunks 2 --json
out_has '"questions": 4, "right": {"share": 1, '
out_has '"perplexity": '
bad_choices() { # LINE MESSAGE
    echo "$1" >"$TMP/bad"
    status 1 eval "$MODEL" --choices "$TMP/bad"
    err_has "line 1: $2"
}
bad_choices '{"question": "How many?", "answer": "72"}' '"choices" is no list of texts'
bad_choices '{"choices": ["a", "b"], "answer": 0}' 'neither "question" nor "context"'
bad_choices '{"context": "x", "choices": ["a"], "answer": 0}' '"choices" has fewer than 2'
bad_choices '{"context": "x", "choices": ["a", 3], "answer": 0}' 'an item of "choices" is no text'
bad_choices '{"context": "x", "choices": ["a", "b"], "answer": 2}' '"answer" names none'
bad_choices '{"context": "x", "choices": ["a", "b"]}' '"answer" names none'
bad_choices '{"context": ' ''
: >"$TMP/empty"
status 1 eval "$MODEL" --choices "$TMP/empty"
err_has 'holds no questions'

# Wrong usage, wrong files.
status 2 eval "$MODEL"
err_has 'Give a --text'
status 2 eval
status 2 eval "$MODEL" --text "$TMP/text" -c 128 --stride 128
status 2 eval "$MODEL" "$MODEL" --text "$TMP/text" --save-reference "$TMP/x"
status 2 eval "$MODEL" --text "$TMP/text" --reference "$MODEL" --reference-file "$TMP/kept"
status 2 eval "$MODEL" --choices "$TMP/choices" --reference "$MODEL"
status 2 eval "$MODEL" --text "$TMP/empty"
err_has 'less than one chunk of 512'
status 1 eval "$MODEL" --text "$TMP/none"
err_has 'none: No such file'
status 1 eval "$TMP/none.gguf" --text "$TMP/text"
status 1 eval "$MODEL" "$TMP/none.gguf" --text "$TMP/text" -c 64 --chunks 1
out_has 'perplexity' # of the model that was there

# Ctrl-C ends it; progress is for a terminal only.
on_terminal eval "$MODEL" --text "$TMP/text" -c 8 --stride 1 <<'END'
want model 1 of 1 [
want perplexity
send \x03
want cancelled
exit 1
END
exit 0
