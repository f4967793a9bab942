#!/bin/sh
# verge run on a terminal: the line editor, Ctrl-C, commands, conversations in files, the history.
. "$(dirname "$0")/check.sh"

# A conversation. The second turn computes only what is new.
printf '%s' '{% for m in messages %}{{ m.role }}: {{ m.content }}
{% endfor %}' >"$TMP/t.jinja"
on_terminal run --seed 1 -n 8 --template "$TMP/t.jinja" --no-history <<END
want a context of
want > 
send Once upon a time\n
want > 
send /stats\n
want 0 reused
want > 
send and then?\n
want > 
send /stats\n
want 4 messages
want engine
want > 
send /nonsense\n
want no command /nonsense
want > 
send /help\n
want /reset
want > 
send \x04
exit 0
END
[ "$(grep -c ' 0 reused' "$TMP/out")" = 1 ] || fail "nothing was reused"
[ ! -e "$TMP/state" ] || fail "--no-history left something behind"

# Ctrl-C stops an answer, drops a line, and tells how to leave; the program goes on.
on_terminal run --seed 1 --ignore-end --shift <<END
want > 
send Once\n
want upon
send \x03
want (stopped)
want > 
send half a line
want half a line
send \x03
want > 
send \x03
want leaves
want > 
send /save $TMP/talk.json\n
want saved 2 messages
want > 
send /exit\n
exit 0
END

# Pasted lines are one message, and so are lines between quotes; editing keys and sizes work.
on_terminal run --seed 1 -n 3 <<END
want > 
send \x1b[200~one\x0dtwo \xc3\xa9\x1b[201~
want two
size 30
send !\n
want > 
send """three\n
want ... 
send \n
want ... 
send four"""\n
want > 
send xve\x1b[D\x1b[D\x7ffi\x05\n
want five
want > 
send //six\n
want > 
send  /seven\n
want > 
send \x1b[A\x1b[A\n
want //six
want > 
send /save $TMP/lines.json\n
want saved 12 messages
want > 
send \x04
exit 0
END
for line in 'one\\ntwo é!' 'three\\n\\nfour' 'five' '/six' '/seven'; do
    grep -q "\"user\", \"content\": \"$line\"" "$TMP/lines.json" || fail "no message $line"
done

# Files and the system message. An error changes nothing.
echo '{"messages": [{"role": "user"}]}' >"$TMP/bad.json"
on_terminal run -n 3 --system "be brief" <<END
want > 
send /system\n
want be brief
want > 
send /load $TMP/lines.json\n
want loaded 12 messages
want > 
send /load $TMP/bad.json\n
want bad.json
want > 
send /load $TMP/nowhere.json\n
want nowhere.json
want > 
send /load $TMP\n
want directory
want > 
send /save $TMP/no/where.json\n
want No such file
want > 
send /load\n
want needs
want > 
send /system be long\n
want > 
send /system\n
want be long
want > 
send /save $TMP/again.json\n
want saved 13 messages
want > 
send /reset\n
want new
want > 
send /save $TMP/reset.json\n
want saved 1 messages
want > 
signal 15
exit 0
END
grep -q '"system", "content": "be long"' "$TMP/reset.json" || fail "the system message is gone"

# The history is there again, for its owner alone.
[ "$(ls -l "$TMP/state/verge/history" | cut -c1-10)" = -rw------- ] || fail "mode of the history"
on_terminal run -n 3 <<END
want > 
send \x1b[A\n
want saved 0 messages
want > 
send \x04
exit 0
END

# A context that is too small: told, and the conversation goes on after /reset.
on_terminal run --ctx 40 --ignore-end --template "$TMP/t.jinja" <<END
want > 
send Once upon a time\n
want the context of 40 tokens is full
want > 
send And then?\n
want leaves no room
want > 
send /reset\n
want > 
send Hello\n
want the context of 40 tokens is full
want > 
send \x04
exit 0
END
on_terminal run --ctx 60 --shift -n 30 --template "$TMP/t.jinja" <<END
want > 
send Once upon a time\n
want > 
send There was a dog\n
want > 
send And then it went home\n
want oldest messages are left out
want > 
send /stats\n
want 6 messages
want > 
send \x04
exit 0
END

# Terminals without a cursor, and output that goes elsewhere, get plain lines and no codes.
TERM=dumb
on_terminal run -n 3 <<END
want > 
send Hello\n
want > 
send \x03
want leaves
want > 
send /exit\n
exit 0
END
! grep -q "$(printf '\033')" "$TMP/out" || fail "codes on a dumb terminal"
TERM=xterm
"$PTY" sh -c "exec '$VERGE' run -q --seed 1 -n 20 >'$TMP/answer'" >"$TMP/out" 2>"$TMP/err" <<END || fail pty
want > 
send Once upon a time\n
want > 
send \x04
exit 0
END
grep -q '^Once upon a time' "$TMP/answer" || fail "the answer is not in the file"
! grep -q '>' "$TMP/answer" || fail "the prompt is in the file"

# A terminal that goes away ends the program.
on_terminal run -n 3 --no-history <<END
want > 
signal 1
exit 0
END
