/* The chat. Each turn renders the whole conversation and hands it to the session, which computes
 * only what is new: the session is a cache of the conversation, never its only copy. What a person
 * reads besides the answers goes to stderr. Nothing here ends the program but leaving. */
#include "app/chat.h"

#include <stdio.h>

#include "app/line.h"
#include "base/os.h"

enum { MESSAGE_CAP_BYTES = 64 << 20, ANSWER_CAP_BYTES = 256 << 20 };

typedef struct chat {
    const cli_command *cmd;
    const chat_setup *s;
    line_reader *lines;
    talk t;
    size_t first; /* message that the model sees first, besides the system's */
    vg_buf line, message, text;
    answer last;
    size_t n_answers;
    bool leave;
    int status;
} chat;

static void tell(const vg_err *err)
{
    fprintf(stderr, "%s\n", err->msg);
}

/* ---- one turn -------------------------------------------------------------------------------- */

static vg_status put(void *user, const char *p, size_t n, vg_err *err)
{
    chat *c = user;
    vg_buf_add(&c->text, p, n);
    VG_TRY(vg_buf_check(&c->text, "the answer", err));
    return answer_print(NULL, p, n, err);
}

/* The tokens of the system message and of the messages from c->first on. */
static vg_status render(chat *c, vg_tokens *ids, vg_err *err)
{
    talk view = {.msg = vg_mem_new((c->t.n + 1) * sizeof *view.msg)};
    if (!view.msg) return VG_FAIL_MEMORY(err, c->t.n * sizeof *view.msg);
    for (size_t i = 0; i < c->t.n; i++)
        if (i >= c->first || (i == 0 && talk_system(&c->t))) view.msg[view.n++] = c->t.msg[i];
    vg_status st = prompt_make(&c->s->style, &view, ids, err);
    vg_mem_free(view.msg);
    return st;
}

/* Lets the oldest messages go, many at once where there is far too much; false: none is left. */
static bool drop_oldest(chat *c, size_t n_tok)
{
    size_t left = c->t.n - c->first;
    size_t next = c->first + (n_tok / 2 > c->s->plan.ctx_tok ? left / 2 : 1);
    while (next < c->t.n && c->t.msg[next].role != TALK_USER) next++;
    if (next >= c->t.n) return false;
    c->first = next;
    return true;
}

static vg_status make_prompt(chat *c, vg_tokens *ids, vg_err *err)
{
    size_t ctx = c->s->plan.ctx_tok, n_system = talk_system(&c->t) != NULL;
    size_t first = c->first = VG_MAX(c->first, n_system);
    VG_TRY(render(c, ids, err));
    /* A quarter is left to the answer, so that it does not push the beginning out itself. */
    while (c->s->shift && ids->n > ctx - ctx / 4 && drop_oldest(c, ids->n)) {
        vg_tokens_free(ids);
        VG_TRY(render(c, ids, err));
    }
    if (c->first > first && !c->s->quiet)
        fprintf(stderr, "(the %zu oldest messages are left out from here on)\n",
                c->first - n_system);
    if (ids->n < ctx) return VG_OK;
    vg_status st = VG_FAIL(err, VG_E_CONTEXT,
                           "the conversation has %zu tokens and the context of %zu leaves no room "
                           "for an answer: /reset starts a new one (or start with --ctx, --shift)",
                           ids->n, ctx);
    vg_tokens_free(ids);
    return st;
}

static void say_why(chat *c)
{
    if (c->last.end == ANSWER_CONTEXT)
        fprintf(stderr, "stopped: the context of %u tokens is full: /reset starts a new "
                "conversation (or start with --ctx, --shift)\n", c->s->plan.ctx_tok);
    if (c->last.end == ANSWER_CANCELLED) fprintf(stderr, "(stopped)\n");
    if (c->last.signal == SIGTERM || c->last.signal == SIGHUP) c->leave = true;
}

static vg_status answer_last(chat *c, vg_err *err)
{
    vg_tokens ids = {0};
    VG_TRY(make_prompt(c, &ids, err));
    vg_buf_reset(&c->text);
    vg_status st = answer_make(c->s->maker, &ids, put, c, &c->last, err);
    vg_tokens_free(&ids);
    if (c->text.n > 0 && c->text.data[c->text.n - 1] != '\n') putchar('\n');
    fflush(stdout);
    c->n_answers++;
    if (!st) say_why(c);
    bool none = c->text.n == 0 && c->last.end == ANSWER_CANCELLED;
    if (!st && !none) st = talk_add(&c->t, TALK_ASSISTANT, (vg_str){c->text.data, c->text.n}, err);
    else if (!st) talk_cut(&c->t, c->t.n - 1); /* the message stands as if it had not been sent */
    return st;
}

static void send(chat *c, vg_str message)
{
    vg_err err;
    size_t n = c->t.n;
    vg_status st = talk_add(&c->t, TALK_USER, message, &err);
    if (!st) st = answer_last(c, &err);
    if (!st) return;
    talk_cut(&c->t, n);
    c->first = VG_MIN(c->first, n);
    tell(&err);
    if (!ferror(stdout)) return;
    c->leave = true; /* nobody can read what comes */
    c->status = CLI_FAILED;
}

/* ---- commands -------------------------------------------------------------------------------- */

static void do_help(chat *c, vg_str arg);

static void do_system(chat *c, vg_str arg)
{
    vg_err err;
    const talk_message *now = talk_system(&c->t);
    if (arg.n > 0) {
        size_t n = c->t.n;
        if (talk_set_system(&c->t, arg, &err)) tell(&err);
        else c->first += c->t.n - n; /* the messages have moved up */
    } else if (now) {
        fprintf(stderr, "%.*s\n", (int)VG_MIN(now->n, (size_t)1 << 30), now->text);
    } else {
        fprintf(stderr, "there is no system message\n");
    }
}

static void do_save(chat *c, vg_str arg)
{
    vg_err err;
    if (arg.n == 0) fprintf(stderr, "/save needs the name of a file\n");
    else if (talk_save(&c->t, arg.p, &err)) tell(&err);
    else fprintf(stderr, "saved %zu messages\n", c->t.n);
}

static void do_load(chat *c, vg_str arg)
{
    vg_err err;
    if (arg.n == 0) {
        fprintf(stderr, "/load needs the name of a file\n");
    } else if (talk_load(&c->t, arg.p, &err)) {
        tell(&err);
    } else {
        c->first = 0;
        fprintf(stderr, "loaded %zu messages\n", c->t.n);
    }
}

static void do_stats(chat *c, vg_str arg)
{
    VG_UNUSED(arg);
    const chat_setup *s = c->s;
    const answer *a = &c->last;
    char peak[32], weights[32], cache[32], scratch[32];
    vg_model_info info;
    vg_model_get_info(s->maker->model, &info);
    fprintf(stderr, "context  %zu of %u tokens, %zu messages\n",
            vg_session_length(s->maker->session), s->plan.ctx_tok, c->t.n);
    if (c->n_answers > 0)
        fprintf(stderr,
                "prompt   %zu tokens, %zu reused, %zu computed at %.1f/s\n"
                "answer   %zu tokens at %.1f/s, the first after %.0f ms (%s)\n",
                a->n_prompt, a->n_reused, a->n_prompt - a->n_reused, answer_prompt_speed(a),
                a->n_tok, answer_speed(a), a->first_ms, answer_end_names[a->end]);
    fprintf(stderr, "memory   peak %s; weights %s, cache %s, scratch %s\n",
            cli_bytes(vg_os_peak_rss_bytes(), peak),
            cli_bytes(s->plan.mapped_bytes + s->plan.repacked_bytes, weights),
            cli_bytes(s->plan.kv_bytes, cache), cli_bytes(s->plan.scratch_bytes, scratch));
    fprintf(stderr, "seed     %llu\nengine   %s, %u threads\n", (unsigned long long)s->seed,
            vg_engine_isa(s->maker->engine), vg_engine_threads(s->maker->engine));
}

static void do_reset(chat *c, vg_str arg)
{
    VG_UNUSED(arg);
    talk_cut(&c->t, talk_system(&c->t) ? 1 : 0);
    c->first = 0;
    fprintf(stderr, "a new conversation\n");
}

static void do_exit(chat *c, vg_str arg)
{
    VG_UNUSED(arg);
    c->leave = true;
}

static const struct {
    const char *name, *help;
    void (*run)(chat *c, vg_str arg); /* arg is NUL-terminated */
} commands[] = {
    {"/help", "print this", do_help},
    {"/system", "[TEXT]  set the system message, or show it; the conversation stays", do_system},
    {"/save", "FILE  write the conversation as JSON", do_save},
    {"/load", "FILE  go on with a saved conversation", do_load},
    {"/stats", "tokens, speeds, memory, seed", do_stats},
    {"/reset", "begin a new conversation; the system message stays", do_reset},
    {"/exit", "leave; Ctrl-D does the same", do_exit},
};

static void do_help(chat *c, vg_str arg)
{
    VG_UNUSED(c);
    VG_UNUSED(arg);
    for (size_t i = 0; i < VG_COUNT(commands); i++)
        fprintf(stderr, "%-8s %s\n", commands[i].name, commands[i].help);
    fprintf(stderr, "\nCtrl-C stops an answer. A message of several lines stands between lines of "
            "\"\"\" or is\npasted. A message that begins with a slash is sent with a second one "
            "before it.\n");
}

static void run_command(chat *c, char *text, size_t n)
{
    while (n > 0 && (text[n - 1] == ' ' || text[n - 1] == '\t')) text[--n] = '\0';
    size_t len = strcspn(text, " \t");
    vg_str name = {text, len}, arg = {text + len, n - len};
    while (arg.n > 0 && (*arg.p == ' ' || *arg.p == '\t')) arg = (vg_str){arg.p + 1, arg.n - 1};
    for (size_t i = 0; i < VG_COUNT(commands); i++)
        if (vg_str_is(name, commands[i].name)) {
            commands[i].run(c, arg);
            return;
        }
    fprintf(stderr, "there is no command %.*s; /help lists them, and /%.*s sends it as a message\n",
            VG_STR_ARG(name), VG_STR_ARG(name));
}

/* ---- input ----------------------------------------------------------------------------------- */

/* Reads the rest of a message that began with """ up to the line that ends with it. */
static line_got read_block(chat *c)
{
    static const char quotes[] = "\"\"\"";
    const char *p = c->line.data + 3;
    size_t n = c->line.n - 3;
    vg_buf_reset(&c->message);
    for (bool begun = false;; begun = true) {
        bool ends = n >= 3 && memcmp(p + n - 3, quotes, 3) == 0;
        if (ends) n -= 3;
        if (c->message.n > 0 && (n > 0 || !ends)) vg_buf_char(&c->message, '\n');
        /* The line of the opening quotes counts only if something stands on it. */
        if (n > 0 || begun) vg_buf_add(&c->message, p, n);
        if (ends) return LINE_TEXT;
        line_got got = line_read(c->lines, "... ", &c->line);
        if (got != LINE_TEXT) return got;
        p = c->line.n ? c->line.data : "";
        n = c->line.n;
    }
}

static bool is_blank(const vg_buf *b)
{
    for (size_t i = 0; i < b->n; i++)
        if (!strchr(" \t\r\n", b->data[i])) return false;
    return true;
}

static void take_line(chat *c)
{
    vg_buf *b = &c->line;
    if (is_blank(b)) return;
    if (b->n >= 3 && memcmp(b->data, "\"\"\"", 3) == 0) {
        line_got got = read_block(c);
        if (got == LINE_TEXT && c->message.failed) fprintf(stderr, "the message is too long\n");
        else if (got == LINE_TEXT && !is_blank(&c->message))
            send(c, (vg_str){c->message.data, c->message.n});
        c->leave = c->leave || got == LINE_END;
        return;
    }
    bool one_line = !memchr(b->data, '\n', b->n), slash = b->data[0] == '/';
    bool hidden = b->n > 1 && (slash || b->data[0] == ' ') && b->data[1] == '/';
    if (slash && !hidden && one_line) run_command(c, b->data, b->n);
    else send(c, (vg_str){b->data + hidden, b->n - hidden});
}

static void greet(const chat *c)
{
    vg_model_info info;
    vg_model_get_info(c->s->maker->model, &info);
    if (c->s->quiet) return;
    fprintf(stderr, "%.200s, a context of %u tokens. /help lists the commands, Ctrl-D leaves.\n",
            info.name, c->s->plan.ctx_tok);
    if (!info.has_template && !c->s->style.tmpl.data)
        fprintf(stderr, "The model has no chat template: it continues your text as it is.\n");
}

static void talk_on(chat *c)
{
    while (!c->leave) {
        line_got got = line_read(c->lines, "> ", &c->line);
        if (got == LINE_END) break;
        if (c->line.failed) {
            fprintf(stderr, "the line is too long\n");
            vg_buf_clear(&c->line);
            vg_buf_init(&c->line, MESSAGE_CAP_BYTES);
        } else if (got == LINE_TEXT) {
            take_line(c);
        } else {
            fprintf(stderr, "%s", c->line.n ? "\n" : "\n(Ctrl-D or /exit leaves)\n");
        }
    }
    if (!c->leave) fprintf(stderr, "\n");
}

int chat_run(const cli_command *cmd, const chat_setup *s)
{
    chat c = {.cmd = cmd, .s = s, .status = CLI_DONE};
    vg_err err;
    vg_buf_init(&c.line, MESSAGE_CAP_BYTES);
    vg_buf_init(&c.message, MESSAGE_CAP_BYTES);
    vg_buf_init(&c.text, ANSWER_CAP_BYTES);
    vg_status st = s->system ? talk_add(&c.t, TALK_SYSTEM, vg_str_from(s->system), &err) : VG_OK;
    if (!st) st = line_open(&c.lines, s->maker->it, s->history, &err);
    if (st) {
        c.status = cli_fail(cmd, &err);
    } else {
        greet(&c);
        talk_on(&c);
    }
    line_close(c.lines);
    talk_clear(&c.t);
    vg_buf_clear(&c.line);
    vg_buf_clear(&c.message);
    vg_buf_clear(&c.text);
    return c.status;
}
