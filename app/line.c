/* Faces libedit. Characters reach it through a reader of ours that waits for the terminal and for
 * signals at once, so that Ctrl-C, a new window size or SIGTERM are seen without a handler. Pasted
 * text (the terminal brackets it) goes into the line as it is, line ends included. A terminal that
 * cannot move its cursor, or a redirected stdout, gets plain lines. The history is a file that only
 * its owner may read; without a home directory there is none. */
#include "app/line.h"

#include <errno.h>
#include <fcntl.h>
#include <histedit.h>
#include <langinfo.h>
#include <locale.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <wchar.h>

enum { HISTORY_LINES = 1000, HISTORY_CAP_BYTES = 16 << 20, PASTE_CAP_BYTES = 4 << 20 };

struct line_reader {
    interrupt *it;
    EditLine *el; /* NULL: plain lines */
    HistoryW *history;
    char history_path[4096]; /* "": none */
    wchar_t prompt[16];
    line_got why; /* a read ended without a line */
    unsigned char in[4096];
    size_t n_in, at;
};

/* ---- characters ------------------------------------------------------------------------------ */

static void take_signal(line_reader *l)
{
    int s = interrupt_take(l->it);
    if (s == SIGINT) {
        l->why = LINE_INTERRUPTED;
        l->at = l->n_in = 0;
    } else if (s == SIGTERM || s == SIGHUP) {
        l->why = LINE_END;
        l->at = l->n_in = 0;
    } else if (s == SIGWINCH && l->el) {
        el_resize(l->el);
    } else if (s == SIGCONT && l->el) { /* the shell has changed the terminal's mode */
        el_wset(l->el, EL_PREP_TERM, 0);
        el_wset(l->el, EL_PREP_TERM, 1);
        el_wset(l->el, EL_REFRESH);
    }
}

/* The next byte, or -1 and l->why. */
static int next_byte(line_reader *l)
{
    l->why = LINE_TEXT;
    while (l->at == l->n_in) {
        struct pollfd p[2] = {{STDIN_FILENO, POLLIN, 0}, {l->it->fd, POLLIN, 0}};
        if (poll(p, 2, -1) < 0 && errno != EINTR) l->why = LINE_END;
        if (p[1].revents) take_signal(l);
        if (l->why != LINE_TEXT) return -1;
        if (!p[0].revents) continue;
        ssize_t n = read(STDIN_FILENO, l->in, sizeof l->in);
        if (n < 0 && (errno == EINTR || errno == EAGAIN)) continue;
        l->why = n <= 0 ? LINE_END : LINE_TEXT;
        if (n <= 0) return -1;
        l->n_in = (size_t)n;
        l->at = 0;
    }
    return l->in[l->at++];
}

/* One character for libedit: 1, or 0 for "no more". A byte that is no UTF-8 becomes U+FFFD. */
static int next_char(EditLine *el, wchar_t *out)
{
    line_reader *l = NULL;
    char s[4];
    size_t n = 0, want = 1;
    el_wget(el, EL_CLIENTDATA, &l);
    while (n < want) {
        int b = next_byte(l);
        if (b < 0) return 0;
        if (n > 0 && (b & 0xc0) != 0x80) { /* begins another character */
            l->at--;
            break;
        }
        s[n++] = (char)b;
        if (n == 1) want = b >= 0xf0 ? 4 : b >= 0xe0 ? 3 : b >= 0xc0 ? 2 : 1;
    }
    int32_t cp;
    vg_utf8_next(s, n, &cp);
    *out = cp < 0 ? 0xfffd : cp;
    return 1;
}

static void add_wide(vg_buf *out, const wchar_t *s, size_t n)
{
    for (size_t i = 0; i < n; i++) vg_buf_cp(out, (int32_t)s[i]);
}

/* Bound to the bracket ESC [200~: takes text up to ESC [201~ into the line, untouched by keys. */
static unsigned char paste(EditLine *el, wint_t key)
{
    static const wchar_t end[] = L"\033[201~";
    const size_t n_end = VG_COUNT(end) - 1;
    VG_UNUSED(key);
    vg_buf b;
    vg_buf_init(&b, PASTE_CAP_BYTES);
    size_t same = 0; /* characters of `end` just seen */
    wchar_t c = 0, last = 0;
    while (same < n_end && next_char(el, &c) == 1) {
        same = c == end[same] ? same + 1 : c == end[0];
        bool text = c == L'\n' || c == L'\t' || (c >= 0x20 && c != 0x7f);
        if (c == L'\r' || (c == L'\n' && last != L'\r')) vg_buf_add(&b, L"\n", sizeof c);
        else if (text && c != L'\n') vg_buf_add(&b, &c, sizeof c);
        last = c;
    }
    size_t n = b.n / sizeof c;
    n -= VG_MIN(n, n_end - 1); /* all of the bracket but its ESC, which was left out above */
    wchar_t *text = (wchar_t *)(void *)b.data;
    if (text) text[n] = L'\0';
    if (b.failed) fprintf(stderr, "\r\nmore than %d bytes cannot be pasted\r\n", PASTE_CAP_BYTES);
    else if (n > 0 && same == n_end) el_winsertstr(el, text);
    vg_buf_clear(&b);
    return same == n_end ? CC_REFRESH : CC_EOF;
}

static wchar_t *prompt_of(EditLine *el)
{
    line_reader *l = NULL;
    el_wget(el, EL_CLIENTDATA, &l);
    return l->prompt;
}

/* ---- the history ----------------------------------------------------------------------------- */

/* Makes the folders of a path, for the owner alone. */
static void make_folders(char *path)
{
    for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        mkdir(path, 0700);
        *slash = '/';
    }
}

static void find_history(line_reader *l)
{
    const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    int n = 0;
    if (state && state[0] == '/')
        n = snprintf(l->history_path, sizeof l->history_path, "%s/verge/history", state);
    else if (home && home[0] == '/')
        n = snprintf(l->history_path, sizeof l->history_path, "%s/.local/state/verge/history",
                     home);
    if (n <= 0 || (size_t)n >= sizeof l->history_path - 8) l->history_path[0] = '\0';
}

static void load_history(line_reader *l)
{
    HistEventW ev;
    struct stat st;
    bool sane = stat(l->history_path, &st) == 0 && S_ISREG(st.st_mode) &&
                st.st_size <= HISTORY_CAP_BYTES;
    if (sane) history_w(l->history, &ev, H_LOAD, l->history_path);
}

/* A history that cannot be saved is no reason to complain at the end of a conversation. */
static void save_history(line_reader *l)
{
    HistEventW ev;
    char temp[sizeof l->history_path];
    if (!l->history_path[0] || history_w(l->history, &ev, H_FIRST) < 0) return;
    make_folders(l->history_path);
    snprintf(temp, sizeof temp, "%.*s.XXXXXX", (int)sizeof temp - 8, l->history_path);
    int fd = mkstemp(temp);
    FILE *f = fd >= 0 ? fdopen(fd, "w") : NULL;
    bool ok = f && history_w(l->history, &ev, H_SAVE_FP, f) >= 0;
    if (f) ok = fclose(f) == 0 && ok;
    if (ok) ok = rename(temp, l->history_path) == 0;
    if (!ok && fd >= 0) unlink(temp);
}

static void remember(line_reader *l, const wchar_t *line, size_t n)
{
    HistEventW ev;
    if (n > 1) history_w(l->history, &ev, H_ENTER, line);
}

/* ---- lines ----------------------------------------------------------------------------------- */

static bool can_edit(void)
{
    const char *term = getenv("TERM");
    return isatty(STDIN_FILENO) && isatty(STDOUT_FILENO) && term && *term &&
           strcmp(term, "dumb") != 0;
}

static void begin_editor(line_reader *l)
{
    HistEventW ev;
    /* The editor shows characters by the locale; the text is UTF-8 in any. */
    setlocale(LC_CTYPE, "");
    if (strcmp(nl_langinfo(CODESET), "UTF-8") != 0) setlocale(LC_CTYPE, "C.UTF-8");
    l->el = el_init("verge", stdin, stdout, stderr);
    l->history = history_winit();
    if (!l->el || !l->history) return;
    history_w(l->history, &ev, H_SETSIZE, HISTORY_LINES);
    history_w(l->history, &ev, H_SETUNIQUE, 1);
    el_wset(l->el, EL_CLIENTDATA, l);
    el_wset(l->el, EL_SIGNAL, 0);
    el_wset(l->el, EL_GETCFN, next_char);
    el_wset(l->el, EL_PROMPT, prompt_of);
    el_wset(l->el, EL_EDITOR, L"emacs");
    el_wset(l->el, EL_HIST, history_w, l->history);
    el_wset(l->el, EL_ADDFN, L"verge-paste", L"Inserts pasted text", paste);
    el_wset(l->el, EL_BIND, L"\033[200~", L"verge-paste", NULL);
    el_wset(l->el, EL_BIND, L"^R", L"em-inc-search-prev", NULL);
}

vg_status line_open(line_reader **out, interrupt *it, bool history, vg_err *err)
{
    line_reader *l = vg_mem_new(sizeof *l);
    if (!l) return VG_FAIL_MEMORY(err, sizeof *l);
    l->it = it;
    if (can_edit()) begin_editor(l);
    if (!l->history && l->el) { /* no memory for it: plain lines do as well */
        el_end(l->el);
        l->el = NULL;
    }
    if (history && l->el) {
        find_history(l);
        if (l->history_path[0]) load_history(l);
    }
    *out = l;
    return VG_OK;
}

void line_close(line_reader *l)
{
    if (!l) return;
    if (l->history) {
        save_history(l);
        history_wend(l->history);
    }
    if (l->el) el_end(l->el);
    vg_mem_free(l);
}

static line_got read_plain(line_reader *l, vg_buf *text)
{
    for (int b; (b = next_byte(l)) != '\n';) {
        if (b < 0) return l->why == LINE_END && text->n > 0 ? LINE_TEXT : l->why;
        vg_buf_char(text, (char)b);
    }
    return LINE_TEXT;
}

static line_got read_edited(line_reader *l, vg_buf *text)
{
    int n = 0;
    fputs("\033[?2004h", stdout);
    fflush(stdout);
    el_wset(l->el, EL_PREP_TERM, 1); /* before the prompt: what is typed then is not echoed twice */
    const wchar_t *line = el_wgets(l->el, &n);
    fputs("\033[?2004l", stdout);
    fflush(stdout);
    if (!line || n <= 0) {
        const LineInfoW *left = el_wline(l->el);
        if (l->why == LINE_INTERRUPTED)
            add_wide(text, left->buffer, (size_t)(left->lastchar - left->buffer));
        return l->why == LINE_INTERRUPTED ? LINE_INTERRUPTED : LINE_END;
    }
    remember(l, line, (size_t)n);
    add_wide(text, line, (size_t)n - (line[n - 1] == L'\n'));
    return LINE_TEXT;
}

line_got line_read(line_reader *l, const char *prompt, vg_buf *text)
{
    vg_buf_reset(text);
    size_t i = 0;
    for (; prompt[i] && i + 1 < VG_COUNT(l->prompt); i++) l->prompt[i] = (wchar_t)prompt[i];
    l->prompt[i] = L'\0';
    if (l->el) return read_edited(l, text);
    if (isatty(STDERR_FILENO)) fputs(prompt, stderr);
    return read_plain(l, text);
}
