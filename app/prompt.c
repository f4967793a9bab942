/* Prompts. The template's control tokens ("<|im_end|>") must count and the same characters in what
 * people wrote must not, or a text that someone pastes could end its message and speak for another.
 * The usual message holds no such characters: then the rendered text is tokenised as one piece,
 * exactly as the model was trained. In a message that does (it tokenises differently when control
 * tokens are recognised) all but the outer white space is replaced by a placeholder of private-use
 * characters found nowhere in the conversation, so that a template may still trim it; the rendered
 * text is cut there, the template's parts are tokenised with control tokens and the message
 * without. A message whose placeholder does not come back is refused. */
#include "app/prompt.h"

#include <ctype.h>

#include "base/json.h"

enum { TEXT_CAP_BYTES = 256 << 20, PUA_FIRST = 0xf0000, PUA_LAST = 0xffffd };

/* A message's part that must stay text: its first byte and length; n 0: nothing to protect. */
typedef struct core {
    size_t at, n;
    bool seen; /* in the rendered text */
} core;

static vg_status add_tokens(const prompt_style *s, vg_tokens *all, vg_str text, unsigned flags,
                            vg_err *err)
{
    vg_tokens more = {0};
    if (text.n == 0) return VG_OK;
    VG_TRY(vg_tokenize(s->model, text.p, text.n, flags, &more, err));
    size_t n = all->n + more.n;
    int32_t *id = vg_mem_grow(all->id, all->n * sizeof *id, (n + 1) * sizeof *id);
    if (id) {
        if (more.n) memcpy(id + all->n, more.id, more.n * sizeof *id);
        *all = (vg_tokens){id, n};
    }
    vg_tokens_free(&more);
    return id ? VG_OK : VG_FAIL_MEMORY(err, n * sizeof *id);
}

/* Models that want a BOS get it, unless the template has written it. */
static vg_status add_bos(const prompt_style *s, vg_tokens *all, vg_err *err)
{
    vg_model_info info;
    vg_model_get_info(s->model, &info);
    if (!info.add_bos || info.bos < 0 || (all->n > 0 && all->id[0] == info.bos)) return VG_OK;
    int32_t *id = vg_mem_grow(all->id, all->n * sizeof *id, (all->n + 1) * sizeof *id);
    if (!id) return VG_FAIL_MEMORY(err, (all->n + 1) * sizeof *id);
    memmove(id + 1, id, all->n * sizeof *id);
    id[0] = info.bos;
    *all = (vg_tokens){id, all->n + 1};
    return VG_OK;
}

static vg_status make_raw(const prompt_style *s, const talk *t, vg_tokens *out, vg_err *err)
{
    vg_buf b;
    vg_buf_init(&b, TEXT_CAP_BYTES);
    for (size_t i = 0; i < t->n; i++) {
        /* An answer continues its message; the next message begins on a line of its own. */
        if (i > 0 && t->msg[i].role != TALK_ASSISTANT) vg_buf_char(&b, '\n');
        vg_buf_add(&b, t->msg[i].text, t->msg[i].n);
    }
    vg_status st = vg_buf_check(&b, "the prompt", err);
    if (!st) st = add_tokens(s, out, (vg_str){b.data, b.n}, 0, err);
    vg_buf_clear(&b);
    return st;
}

/* ---- templates ------------------------------------------------------------------------------- */

static vg_status find_core(const prompt_style *s, const talk_message *m, core *c, vg_err *err)
{
    vg_tokens plain = {0}, special = {0};
    *c = (core){0};
    vg_status st = vg_tokenize(s->model, m->text, m->n, 0, &plain, err);
    if (!st) st = vg_tokenize(s->model, m->text, m->n, VG_TOK_SPECIAL, &special, err);
    bool same = !st && plain.n == special.n &&
                (plain.n == 0 || memcmp(plain.id, special.id, plain.n * sizeof *plain.id) == 0);
    vg_tokens_free(&plain);
    vg_tokens_free(&special);
    if (st || same) return st;
    size_t end = m->n;
    while (end > 0 && isspace((unsigned char)m->text[end - 1])) end--;
    while (c->at < end && isspace((unsigned char)m->text[c->at])) c->at++;
    c->n = end - c->at;
    return VG_OK;
}

static bool contains(const talk *t, const char *p, size_t n)
{
    for (size_t i = 0; i < t->n; i++)
        if (memmem(t->msg[i].text, t->msg[i].n, p, n)) return true;
    return false;
}

/* The first private-use character that no message holds. */
static vg_status find_mark(const talk *t, char mark[4], vg_err *err)
{
    for (int32_t cp = PUA_FIRST; cp <= PUA_LAST; cp++)
        if (!contains(t, mark, vg_utf8_put(cp, mark))) return VG_OK;
    return VG_FAIL(err, VG_E_LIMIT, "the conversation holds every private-use character");
}

static vg_status write_json(const talk *t, const core *c, const char mark[4], vg_buf *json,
                            vg_err *err)
{
    vg_buf text;
    vg_buf_init(&text, TEXT_CAP_BYTES);
    vg_buf_text(json, "{\"add_generation_prompt\": true, \"messages\": [");
    for (size_t i = 0; i < t->n; i++) {
        const talk_message *m = &t->msg[i];
        vg_buf_reset(&text);
        vg_buf_add(&text, m->text, c[i].n ? c[i].at : m->n);
        if (c[i].n) {
            vg_buf_fmt(&text, "%.4s%zu%.4s", mark, i, mark);
            vg_buf_add(&text, m->text + c[i].at + c[i].n, m->n - c[i].at - c[i].n);
        }
        vg_buf_fmt(json, "%s{\"role\": \"%s\", \"content\": ", i ? ", " : "",
                   talk_role_names[m->role]);
        vg_json_put_str(json, (vg_str){text.data, text.n});
        vg_buf_char(json, '}');
    }
    vg_buf_text(json, "]}");
    vg_status st = vg_buf_check(&text, "a message", err);
    vg_buf_clear(&text);
    return st ? st : vg_buf_check(json, "the conversation", err);
}

/* The text of a control token, as a template sees it. */
static vg_status name_of(const vg_model *m, int32_t id, vg_text *out, vg_err *err)
{
    return vg_detokenize(m, &id, id >= 0 ? 1 : 0, true, out, err);
}

static vg_status render(const prompt_style *s, const vg_buf *json, vg_text *out, vg_err *err)
{
    if (!s->tmpl.data) return vg_chat_render(s->model, json->data, json->n, out, err);
    vg_model_info info;
    vg_text bos = {0}, eos = {0};
    vg_model_get_info(s->model, &info);
    vg_status st = name_of(s->model, info.bos, &bos, err);
    if (!st) st = name_of(s->model, info.eos, &eos, err);
    if (!st)
        st = vg_template_render(s->tmpl.data, s->tmpl.n, bos.data ? bos.data : "",
                                eos.data ? eos.data : "", json->data, json->n, out, err);
    vg_text_free(&bos);
    vg_text_free(&eos);
    return st;
}

/* Reads a placeholder at p: its length, and the message it stands for; 0: there is none. */
static size_t read_mark(vg_str p, const char mark[4], size_t n_msg, size_t *i)
{
    size_t at = 4, v = 0;
    if (p.n < 4 || memcmp(p.p, mark, 4) != 0) return 0;
    while (at < p.n && isdigit((unsigned char)p.p[at]) && v < n_msg)
        v = 10 * v + (size_t)(p.p[at++] - '0');
    if (v >= n_msg || p.n - at < 4 || memcmp(p.p + at, mark, 4) != 0) return 0;
    *i = v;
    return at + 4;
}

static vg_status tokenise(const prompt_style *s, const talk *t, core *c, const char mark[4],
                          vg_str text, vg_tokens *out, vg_err *err)
{
    size_t begin = 0, i = 0;
    for (size_t at = 0; at < text.n;) {
        size_t len = read_mark((vg_str){text.p + at, text.n - at}, mark, t->n, &i);
        if (len == 0 || c[i].n == 0) {
            at++;
            continue;
        }
        vg_str before = {text.p + begin, at - begin}, content = {t->msg[i].text + c[i].at, c[i].n};
        VG_TRY(add_tokens(s, out, before, VG_TOK_SPECIAL, err));
        VG_TRY(add_tokens(s, out, content, 0, err));
        c[i].seen = true;
        begin = at += len;
    }
    return add_tokens(s, out, (vg_str){text.p + begin, text.n - begin}, VG_TOK_SPECIAL, err);
}

/* A template may leave old answers out, but not what someone said. */
static vg_status check_seen(const talk *t, const core *c, vg_err *err)
{
    for (size_t i = 0; i < t->n; i++)
        if (c[i].n > 0 && !c[i].seen && t->msg[i].role != TALK_ASSISTANT)
            return VG_FAIL(err, VG_E_TEMPLATE, "message %zu holds control tokens of the model as "
                           "text, and the chat template does not pass it on unchanged", i + 1);
    return VG_OK;
}

static vg_status make_chat(const prompt_style *s, const talk *t, vg_tokens *out, vg_err *err)
{
    core *c = vg_mem_new((t->n + 1) * sizeof *c);
    if (!c) return VG_FAIL_MEMORY(err, t->n * sizeof *c);
    vg_buf json;
    vg_text text = {0};
    char mark[4] = {0};
    vg_buf_init(&json, TEXT_CAP_BYTES);
    vg_status st = VG_OK;
    for (size_t i = 0; i < t->n && !st; i++) st = find_core(s, &t->msg[i], &c[i], err);
    if (!st) st = find_mark(t, mark, err);
    if (!st) st = write_json(t, c, mark, &json, err);
    if (!st) st = render(s, &json, &text, err);
    if (!st) st = tokenise(s, t, c, mark, (vg_str){text.data, text.n}, out, err);
    if (!st) st = check_seen(t, c, err);
    vg_text_free(&text);
    vg_buf_clear(&json);
    vg_mem_free(c);
    return st;
}

vg_status prompt_make(const prompt_style *s, const talk *t, vg_tokens *out, vg_err *err)
{
    *out = (vg_tokens){0};
    vg_status st = s->raw ? make_raw(s, t, out, err) : make_chat(s, t, out, err);
    if (!st) st = add_bos(s, out, err);
    if (!st && out->n == 0) st = VG_FAIL(err, VG_E_FORMAT, "the prompt is empty");
    if (st) vg_tokens_free(out);
    return st;
}
