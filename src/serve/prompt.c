/* Prompts. The template's control tokens ("<|im_end|>") must count and the same characters in what
 * people wrote must not, or a text that someone pastes could end its message and speak for another.
 * The usual text holds no such characters: then the rendered conversation is tokenised as one
 * piece, exactly as the model was trained. In a text that does (it tokenises differently when
 * control tokens are recognised) all but the outer white space is replaced by a placeholder of
 * private-use characters found nowhere in the context, so that a template may still trim it; the
 * rendered conversation is cut there, the template's parts are tokenised with control tokens and
 * the text without. A message whose placeholder does not come back is refused. */
#include "serve/prompt.h"

#include <ctype.h>

#include "base/json_out.h"

enum {
    TEXT_CAP_BYTES = 256 << 20,
    PUA_FIRST = 0xf0000,
    PUA_LAST = 0xffffd,
    MAX_KEPT = 4096 /* texts with control tokens in one context */
};

/* A text that must stay text. */
typedef struct kept {
    vg_str text;   /* without the white space around it */
    size_t message;
    bool must, seen; /* it has to be in the rendered conversation, and it is */
} kept;

typedef struct work {
    const vg_prompt_style *style;
    kept *kept; /* [MAX_KEPT] */
    size_t n_kept;
    char mark[4];
    const vg_json *last; /* the text after which the prompt ends */
    vg_buf json;
    size_t message; /* being written; SIZE_MAX: none */
    bool must;
    vg_err *err;
} work;

static vg_status add_tokens(const vg_model *m, vg_tokens *all, vg_str text, unsigned flags,
                            vg_err *err)
{
    vg_tokens more = {0};
    if (text.n == 0) return VG_OK;
    VG_TRY(vg_tokenize(m, text.p, text.n, flags, &more, err));
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
static vg_status add_bos(const vg_model *m, vg_tokens *all, vg_err *err)
{
    vg_model_info info;
    vg_model_get_info(m, &info);
    if (!info.add_bos || info.bos < 0 || (all->n > 0 && all->id[0] == info.bos)) return VG_OK;
    int32_t *id = vg_mem_grow(all->id, all->n * sizeof *id, (all->n + 1) * sizeof *id);
    if (!id) return VG_FAIL_MEMORY(err, (all->n + 1) * sizeof *id);
    memmove(id + 1, id, all->n * sizeof *id);
    id[0] = info.bos;
    *all = (vg_tokens){id, all->n + 1};
    return VG_OK;
}

/* ---- what must stay text -------------------------------------------------------------------- */

static bool holds(const vg_json *j, const char *p, size_t n)
{
    if (j->kind == VG_JSON_STRING) return memmem(j->str.p, j->str.n, p, n) != NULL;
    for (size_t i = 0; (j->kind == VG_JSON_ARRAY || j->kind == VG_JSON_OBJECT) && i < j->n; i++) {
        if (holds(j->item[i], p, n)) return true; /* no deeper than VG_JSON_DEPTH */
        if (j->kind == VG_JSON_OBJECT && memmem(j->key[i].p, j->key[i].n, p, n)) return true;
    }
    return false;
}

/* The first private-use character that the context does not hold. */
static vg_status find_mark(const vg_json *context, char mark[4], vg_err *err)
{
    for (int32_t cp = PUA_FIRST; cp <= PUA_LAST; cp++)
        if (!holds(context, mark, vg_utf8_put(cp, mark))) return VG_OK;
    return VG_FAIL(err, VG_E_LIMIT, "the conversation holds every private-use character");
}

/* Whether a text means something else where control tokens count. */
static vg_status is_dangerous(const vg_model *m, vg_str text, bool *out, vg_err *err)
{
    vg_tokens plain = {0}, special = {0};
    vg_status st = vg_tokenize(m, text.p, text.n, 0, &plain, err);
    if (!st) st = vg_tokenize(m, text.p, text.n, VG_TOK_SPECIAL, &special, err);
    *out = st || plain.n != special.n ||
           (plain.n > 0 && memcmp(plain.id, special.id, plain.n * sizeof *plain.id) != 0);
    vg_tokens_free(&plain);
    vg_tokens_free(&special);
    return st;
}

static vg_status write_text(work *w, const vg_json *j)
{
    vg_str s = j->str;
    bool dangerous = false;
    if (j != w->last) VG_TRY(is_dangerous(w->style->model, s, &dangerous, w->err));
    if (!dangerous && j != w->last) {
        vg_json_put_str(&w->json, s);
        return VG_OK;
    }
    if (w->n_kept == MAX_KEPT)
        return VG_FAIL(w->err, VG_E_LIMIT, "more than %d texts hold control tokens", MAX_KEPT);
    size_t at = 0, end = s.n;
    while (end > 0 && isspace((unsigned char)s.p[end - 1])) end--;
    while (at < end && isspace((unsigned char)s.p[at])) at++;
    vg_buf text;
    vg_buf_init(&text, TEXT_CAP_BYTES);
    vg_buf_add(&text, s.p, at);
    vg_buf_fmt(&text, "%.4s%zu%.4s", w->mark, w->n_kept, w->mark);
    vg_buf_add(&text, s.p + end, j == w->last ? 0 : s.n - end);
    vg_json_put_str(&w->json, (vg_str){text.data, text.n});
    w->kept[w->n_kept++] = (kept){.text = {s.p + at, (j == w->last ? s.n : end) - at},
                                  .message = w->message, .must = w->must || j == w->last};
    vg_status st = vg_buf_check(&text, "a message", w->err);
    vg_buf_clear(&text);
    return st;
}

static vg_status write_json(work *w, const vg_json *j);

/* A message. A template may leave old answers out, but not what someone said. */
static vg_status write_message(work *w, const vg_json *m)
{
    const vg_json *role = vg_json_get(m, "role");
    bool said = !(role && role->kind == VG_JSON_STRING && vg_str_is(role->str, "assistant"));
    vg_buf_char(&w->json, '{');
    for (size_t i = 0; i < m->n; i++) {
        if (i > 0) vg_buf_text(&w->json, ", ");
        vg_json_put_str(&w->json, m->key[i]);
        vg_buf_text(&w->json, ": ");
        w->must = said && vg_str_is(m->key[i], "content");
        VG_TRY(write_json(w, m->item[i]));
    }
    w->must = false;
    vg_buf_char(&w->json, '}');
    return VG_OK;
}

static vg_status write_json(work *w, const vg_json *j)
{
    if (j->kind == VG_JSON_STRING) return write_text(w, j);
    if (j->kind != VG_JSON_ARRAY && j->kind != VG_JSON_OBJECT) {
        vg_json_put(&w->json, j);
        return VG_OK;
    }
    bool object = j->kind == VG_JSON_OBJECT;
    vg_buf_char(&w->json, object ? '{' : '[');
    for (size_t i = 0; i < j->n; i++) {
        if (i > 0) vg_buf_text(&w->json, ", ");
        if (object) {
            vg_json_put_str(&w->json, j->key[i]);
            vg_buf_text(&w->json, ": ");
        }
        VG_TRY(write_json(w, j->item[i]));
    }
    vg_buf_char(&w->json, object ? '}' : ']');
    return VG_OK;
}

static vg_status write_messages(work *w, const vg_json *messages)
{
    vg_buf_char(&w->json, '[');
    for (size_t i = 0; i < messages->n; i++) {
        const vg_json *m = messages->item[i];
        if (i > 0) vg_buf_text(&w->json, ", ");
        w->message = i;
        if (m->kind == VG_JSON_OBJECT) VG_TRY(write_message(w, m));
        else VG_TRY(write_json(w, m));
    }
    w->message = SIZE_MAX;
    vg_buf_char(&w->json, ']');
    return VG_OK;
}

static vg_status write_context(work *w, const vg_json *context)
{
    vg_buf_char(&w->json, '{');
    for (size_t i = 0; i < context->n; i++) {
        const vg_json *v = context->item[i];
        if (i > 0) vg_buf_text(&w->json, ", ");
        vg_json_put_str(&w->json, context->key[i]);
        vg_buf_text(&w->json, ": ");
        if (vg_str_is(context->key[i], "messages") && v->kind == VG_JSON_ARRAY)
            VG_TRY(write_messages(w, v));
        else VG_TRY(write_json(w, v));
    }
    vg_buf_char(&w->json, '}');
    return vg_buf_check(&w->json, "the conversation", w->err);
}

/* ---- the rendered conversation -------------------------------------------------------------- */

/* The text of a control token, as a template sees it. */
static vg_status name_of(const vg_model *m, int32_t id, vg_text *out, vg_err *err)
{
    return vg_detokenize(m, &id, id >= 0 ? 1 : 0, true, out, err);
}

static vg_status render(const vg_prompt_style *s, const vg_buf *json, vg_text *out, vg_err *err)
{
    if (s->tmpl.n == 0) return vg_chat_render(s->model, json->data, json->n, out, err);
    vg_model_info info;
    vg_text bos = {0}, eos = {0};
    vg_model_get_info(s->model, &info);
    vg_status st = name_of(s->model, info.bos, &bos, err);
    if (!st) st = name_of(s->model, info.eos, &eos, err);
    if (!st)
        st = vg_template_render(s->tmpl.p, s->tmpl.n, bos.data ? bos.data : "",
                                eos.data ? eos.data : "", json->data, json->n, out, err);
    vg_text_free(&bos);
    vg_text_free(&eos);
    return st;
}

/* Reads a placeholder at p: its length, and the text that it stands for; 0: there is none. */
static size_t read_mark(const work *w, vg_str p, size_t *i)
{
    size_t at = 4, v = 0;
    if (p.n < 4 || memcmp(p.p, w->mark, 4) != 0) return 0;
    while (at < p.n && isdigit((unsigned char)p.p[at]) && v < w->n_kept)
        v = 10 * v + (size_t)(p.p[at++] - '0');
    if (v >= w->n_kept || p.n - at < 4 || memcmp(p.p + at, w->mark, 4) != 0) return 0;
    *i = v;
    return at + 4;
}

static vg_status tokenise(work *w, vg_str text, vg_tokens *out)
{
    size_t begin = 0, i = 0;
    const vg_model *m = w->style->model;
    for (size_t at = 0; w->n_kept > 0 && at < text.n;) {
        size_t len = read_mark(w, (vg_str){text.p + at, text.n - at}, &i);
        if (len == 0) {
            at++;
            continue;
        }
        VG_TRY(add_tokens(m, out, (vg_str){text.p + begin, at - begin}, VG_TOK_SPECIAL, w->err));
        VG_TRY(add_tokens(m, out, w->kept[i].text, 0, w->err));
        w->kept[i].seen = true;
        begin = at += len;
        if (w->last && i == w->n_kept - 1) return VG_OK; /* what the template puts behind it */
    }
    return add_tokens(m, out, (vg_str){text.p + begin, text.n - begin}, VG_TOK_SPECIAL, w->err);
}

static vg_status check_seen(const work *w)
{
    for (size_t i = 0; i < w->n_kept; i++)
        if (w->kept[i].must && !w->kept[i].seen)
            return VG_FAIL(w->err, VG_E_TEMPLATE,
                           "message %zu %s, and the chat template does not pass it on unchanged",
                           w->kept[i].message + 1,
                           w->last && i == w->n_kept - 1
                               ? "is to be continued"
                               : "holds control tokens of the model as text");
    return VG_OK;
}

static bool ends_in_reasoning(vg_str s)
{
    vg_str tag = VG_STR("<think>");
    while (s.n > 0 && isspace((unsigned char)s.p[s.n - 1])) s.n--;
    return s.n >= tag.n && memcmp(s.p + s.n - tag.n, tag.p, tag.n) == 0;
}

/* The text of the last message, where the prompt is to end. */
static vg_status find_last(work *w, const vg_json *context)
{
    const vg_json *m = vg_json_get(context, "messages");
    const vg_json *text = m && m->kind == VG_JSON_ARRAY && m->n > 0
                              ? vg_json_get(m->item[m->n - 1], "content")
                              : NULL;
    if (!text || text->kind != VG_JSON_STRING || text->str.n == 0)
        return VG_FAIL(w->err, VG_E_USAGE, "the last message has no text to continue");
    w->last = text;
    return VG_OK;
}

static vg_status make(work *w, const vg_json *context, vg_tokens *out, bool *in_reasoning)
{
    vg_text text = {0};
    if (w->style->continue_last) VG_TRY(find_last(w, context));
    VG_TRY(find_mark(context, w->mark, w->err));
    VG_TRY(write_context(w, context));
    VG_TRY(render(w->style, &w->json, &text, w->err));
    vg_status st = tokenise(w, (vg_str){text.data, text.n}, out);
    if (in_reasoning) *in_reasoning = !w->last && ends_in_reasoning((vg_str){text.data, text.n});
    vg_text_free(&text);
    return st ? st : check_seen(w);
}

/* ---- from outside --------------------------------------------------------------------------- */

vg_status vg_prompt_chat(const vg_prompt_style *s, const vg_json *context, vg_tokens *out,
                         bool *in_reasoning, vg_err *err)
{
    vg_err own;
    work w = {.style = s, .message = SIZE_MAX, .err = err ? err : &own};
    *out = (vg_tokens){0};
    if (context->kind != VG_JSON_OBJECT)
        return VG_FAIL(err, VG_E_FORMAT, "the context of a chat template is an object");
    w.kept = vg_mem_new(MAX_KEPT * sizeof *w.kept);
    if (!w.kept) return VG_FAIL_MEMORY(err, MAX_KEPT * sizeof *w.kept);
    vg_buf_init(&w.json, TEXT_CAP_BYTES);
    vg_status st = make(&w, context, out, in_reasoning);
    if (!st) st = add_bos(s->model, out, err);
    if (!st && out->n == 0) st = VG_FAIL(err, VG_E_FORMAT, "the prompt is empty");
    vg_buf_clear(&w.json);
    vg_mem_free(w.kept);
    if (st) vg_tokens_free(out);
    return st;
}

vg_status vg_prompt_text(const vg_model *m, const vg_prompt *p, bool special, bool bos,
                         vg_tokens *out, vg_err *err)
{
    vg_status st = VG_OK;
    vg_model_info info;
    vg_model_get_info(m, &info);
    *out = (vg_tokens){0};
    for (size_t i = 0; i < p->n && !st; i++) {
        const vg_piece *piece = &p->piece[i];
        if (!piece->id) {
            st = add_tokens(m, out, piece->text, special ? VG_TOK_SPECIAL : 0, err);
            continue;
        }
        for (size_t k = 0; k < piece->n_id && !st; k++)
            if (piece->id[k] < 0 || (uint32_t)piece->id[k] >= info.n_vocab)
                st = VG_FAIL(err, VG_E_USAGE, "token %d is not within the vocabulary of %u",
                             piece->id[k], info.n_vocab);
        int32_t *id = st ? NULL
                         : vg_mem_grow(out->id, out->n * sizeof *id,
                                       (out->n + piece->n_id + 1) * sizeof *id);
        if (!st && !id) st = VG_FAIL_MEMORY(err, piece->n_id * sizeof *id);
        if (st) break;
        memcpy(id + out->n, piece->id, piece->n_id * sizeof *id);
        *out = (vg_tokens){id, out->n + piece->n_id};
    }
    if (!st && bos) st = add_bos(m, out, err);
    if (st) vg_tokens_free(out);
    return st;
}
