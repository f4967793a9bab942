/* Making an answer. The prompt is computed in pieces whose size follows the measured speed, so that
 * Ctrl-C and the progress line are never more than about half a second away on any device; pieces
 * change nothing in the result. Text that may become a stop text is held back until it is certain,
 * and is never printed if it does. */
#include "app/answer.h"
#include "app/progress.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "base/os.h"

enum {
    FIRST_PIECE_TOK = 16,
    PIECE_NS = 300000000,    /* how long a piece of the prompt should take */
    HELD_CAP_BYTES = 1 << 20 /* as long as a stop text may be */
};

const char *const answer_end_names[] = {"end", "length", "context", "stop", "cancelled"};

typedef struct work {
    const answer_maker *a;
    answer *out;
    answer_put *put;
    void *user;
    vg_decoder decoder;
    vg_buf held; /* text not yet handed out */
    uint64_t begin_ns;
    bool stopped;
} work;

static double ms_since(uint64_t ns)
{
    return (double)(vg_os_now_ns() - ns) / 1e6;
}

/* True once a signal came that ends the answer. */
static bool cancelled(work *w)
{
    while (w->a->it && w->out->signal == 0) {
        int s = interrupt_take(w->a->it);
        if (s == 0) break;
        if (s == SIGINT || s == SIGTERM || s == SIGHUP) w->out->signal = s;
    }
    return w->out->signal != 0;
}

/* ---- the prompt ------------------------------------------------------------------------------ */

static vg_status run_steps(work *w, vg_err *err)
{
    vg_session *s = w->a->session;
    while (vg_session_pending(s) > 0 && !cancelled(w))
        VG_TRY(vg_engine_step(w->a->engine, &s, 1, err));
    return VG_OK;
}

static vg_status compute_prompt(work *w, const vg_tokens *ids, vg_err *err)
{
    size_t done = 0, piece = FIRST_PIECE_TOK;
    vg_session *s = w->a->session;
    progress line;
    progress_begin(&line);
    VG_TRY(vg_session_sync(s, ids->id, ids->n, &done, err));
    w->out->n_prompt = ids->n;
    w->out->n_reused = done;
    while (done < ids->n && !cancelled(w)) {
        size_t end = VG_MIN(done + piece, ids->n);
        uint64_t begin = vg_os_now_ns();
        VG_TRY(vg_session_sync(s, ids->id, end, NULL, err));
        VG_TRY(run_steps(w, err));
        uint64_t each = (vg_os_now_ns() - begin) / (end - done) + 1;
        piece = (size_t)VG_MIN(VG_MAX(PIECE_NS / each, (uint64_t)FIRST_PIECE_TOK),
                               (uint64_t)w->a->batch_tok);
        done = end;
        if (w->a->progress)
            progress_show(&line, &(progress_now){.stage = "reading the prompt", .done = done,
                                                 .total = ids->n, .unit = " tokens"});
    }
    progress_end(&line);
    w->out->prompt_ms = ms_since(w->begin_ns);
    return VG_OK;
}

/* ---- the text -------------------------------------------------------------------------------- */

/* Where the first stop text in held begins; *partial: where a text begins that may become one. */
static size_t find_stop(const work *w, size_t *partial)
{
    const vg_buf *b = &w->held;
    size_t first = SIZE_MAX;
    *partial = b->n;
    for (size_t i = 0; w->a->stop && i < w->a->stop->n; i++) {
        const char *stop = w->a->stop->item[i];
        size_t n = strlen(stop);
        const char *at = b->n ? memmem(b->data, b->n, stop, n) : NULL;
        if (at) first = VG_MIN(first, (size_t)(at - b->data));
        size_t k = VG_MIN(n - 1, b->n);
        while (k > 0 && memcmp(b->data + b->n - k, stop, k) != 0) k--;
        *partial = VG_MIN(*partial, b->n - k);
    }
    return first;
}

/* Hands out what is certain; at the end of the answer that is all of it. */
static vg_status hand_out(work *w, bool at_end, vg_err *err)
{
    size_t partial, n = find_stop(w, &partial);
    if (n != SIZE_MAX) w->stopped = true;
    else n = at_end ? w->held.n : partial;
    if (n > 0) VG_TRY(w->put(w->user, w->held.data, n, err));
    if (n < w->held.n) memmove(w->held.data, w->held.data + n, w->held.n - n);
    w->held.n -= n;
    return VG_OK;
}

/* id -1: no more tokens come. */
static vg_status take_token(work *w, int32_t id, vg_err *err)
{
    char piece[VG_DECODE_MAX];
    size_t n = 0;
    VG_TRY(vg_decode(w->a->model, &w->decoder, id, piece, sizeof piece, &n, err));
    vg_buf_add(&w->held, piece, n);
    VG_TRY(vg_buf_check(&w->held, "a stop text", err));
    return hand_out(w, id < 0, err);
}

/* ---- the tokens ------------------------------------------------------------------------------ */

static vg_status draw_tokens(work *w, vg_err *err)
{
    answer *out = w->out;
    uint64_t first_ns = 0;
    for (;;) {
        int32_t id = -1;
        out->end = ANSWER_CANCELLED;
        if (cancelled(w)) break;
        out->end = ANSWER_CONTEXT;
        vg_status st = vg_session_sample(w->a->session, &id, err);
        if (st == VG_E_CONTEXT) break;
        if (st) return st;
        if (out->n_tok == 0) {
            first_ns = vg_os_now_ns();
            out->first_ms = ms_since(w->begin_ns);
        }
        out->end = ANSWER_END;
        if (vg_token_is_end(w->a->model, id)) break;
        out->n_tok++;
        out->generate_ms = ms_since(first_ns);
        VG_TRY(take_token(w, id, err));
        out->end = ANSWER_STOP;
        if (w->stopped) break;
        out->end = ANSWER_LENGTH;
        if (w->a->max_tok > 0 && out->n_tok >= w->a->max_tok) break;
        VG_TRY(run_steps(w, err));
    }
    return VG_OK;
}

vg_status answer_make(const answer_maker *a, const vg_tokens *prompt, answer_put *put, void *user,
                      answer *out, vg_err *err)
{
    *out = (answer){.end = ANSWER_CANCELLED};
    work w = {.a = a, .out = out, .put = put, .user = user, .begin_ns = vg_os_now_ns(),
              .decoder = {.special = a->special, .begun = a->grammar != NULL}};
    vg_buf_init(&w.held, HELD_CAP_BYTES);
    vg_status st = compute_prompt(&w, prompt, err);
    if (!st && a->grammar) st = vg_session_constrain(a->session, a->grammar, err);
    if (!st) st = draw_tokens(&w, err);
    if (!st && !w.stopped) {
        st = take_token(&w, -1, err);
        if (w.stopped) out->end = ANSWER_STOP;
    }
    vg_buf_clear(&w.held);
    return st;
}

/* ---- what callers do with it ----------------------------------------------------------------- */

static vg_status write_out(const char *p, size_t n, vg_err *err)
{
    if (fwrite(p, 1, n, stdout) == n) return VG_OK;
    return VG_FAIL(err, VG_E_IO, "writing the output: %s", strerror(errno));
}

static bool is_harmless(int32_t cp)
{
    return cp == '\n' || cp == '\t' || (cp >= 0x20 && cp != 0x7f && !(cp >= 0x80 && cp < 0xa0));
}

vg_status answer_print(void *user, const char *p, size_t n, vg_err *err)
{
    bool clean = isatty(STDOUT_FILENO);
    if (!clean) VG_TRY(write_out(p, n, err));
    for (size_t i = 0; clean && i < n;) {
        int32_t cp;
        size_t len = vg_utf8_next(p + i, n - i, &cp);
        if (is_harmless(cp)) VG_TRY(write_out(p + i, len, err));
        i += len;
    }
    if (fflush(stdout)) return VG_FAIL(err, VG_E_IO, "writing the output: %s", strerror(errno));
    if (user) *(char *)user = p[n - 1];
    return VG_OK;
}

double answer_prompt_speed(const answer *a)
{
    return a->prompt_ms > 0 ? (double)(a->n_prompt - a->n_reused) * 1000 / a->prompt_ms : 0;
}

double answer_speed(const answer *a)
{
    return a->n_tok > 1 && a->generate_ms > 0 ? (double)(a->n_tok - 1) * 1000 / a->generate_ms : 0;
}
