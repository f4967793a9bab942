/* line.h: lines from a person: with editing and history on a terminal that can, plain otherwise.
 *
 *     line_reader *l;
 *     VG_TRY(line_open(&l, &it, true, err));
 *     vg_buf text;
 *     vg_buf_init(&text, 1 << 20);
 *     while (line_read(l, "> ", &text) != LINE_END) use(text.data, text.n);
 *     line_close(l);
 */
#ifndef VG_LINE_H
#define VG_LINE_H

#include "app/interrupt.h"

typedef struct line_reader line_reader;

typedef enum line_got {
    LINE_TEXT,
    LINE_INTERRUPTED, /* Ctrl-C; the text so far is dropped */
    LINE_END          /* Ctrl-D, the terminal is gone, or a signal asks to leave */
} line_got;

/* `history`: kept in $XDG_STATE_HOME/verge/history (~/.local/state without the variable). */
VG_NODISCARD vg_status line_open(line_reader **out, interrupt *it, bool history, vg_err *err);
void line_close(line_reader *l); /* saves the history */

/* Replaces *text by a line without its end; pasted text may hold line ends of its own. After an
 * interruption *text is what was dropped. */
line_got line_read(line_reader *l, const char *prompt, vg_buf *text);
#endif
