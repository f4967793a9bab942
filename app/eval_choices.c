/* Multiple choice by log-likelihood. Of each question, the answer is chosen whose text the model
 * finds most likely after the question's, raw and divided by the text's bytes, so that long answers
 * are not at a disadvantage (as lm-evaluation-harness has acc and acc_norm). The question's tokens
 * are computed once for all its answers.
 *
 * A line of the file is an object: "question" (asked as "Question: ...\nAnswer:") or "context" (to
 * be continued), or both; "choices", texts; "answer", an index from 0, a letter, or the text. The
 * lines of ARC (choices.text, choices.label, answerKey) and HellaSwag (ctx, endings, label) are
 * understood as well. */
#include <math.h>

#include "app/cli.h"
#include "app/eval.h"
#include "base/json.h"

enum {
    FILE_CAP_BYTES = 1 << 28, LINE_CAP_BYTES = 1 << 26, TOKENS_CAP_BYTES = 1 << 30,
    CHOICES_MAX = 64, CHOICE_TOK_MAX = 1 << 20
};

typedef struct loader {
    eval_questions *q;
    const eval_model *m;
    const char *path;
    size_t line;
    vg_arena *arena; /* of one line */
} loader;

/* ---- a line --------------------------------------------------------------------------------- */

static const vg_json *first_of(const vg_json *o, const char *const *keys)
{
    const vg_json *v = NULL;
    for (; *keys && !v; keys++) v = vg_json_get(o, *keys);
    return v;
}

static vg_status bad_line(const loader *l, vg_err *err, const char *what)
{
    return VG_FAIL(err, VG_E_FORMAT, "%s, line %zu: %s", l->path, l->line, what);
}

/* The text that stands before an answer, into b. */
static vg_status put_question(const loader *l, const vg_json *line, vg_buf *b, vg_err *err)
{
    static const char *const contexts[] = {"context", "ctx", "prompt", NULL};
    const vg_json *context = first_of(line, contexts), *question = vg_json_get(line, "question");
    if (context && context->kind == VG_JSON_STRING) vg_buf_str(b, context->str);
    if (question && question->kind == VG_JSON_STRING) {
        vg_buf_text(b, b->n ? "\nQuestion: " : "Question: ");
        vg_buf_str(b, question->str);
        vg_buf_text(b, "\nAnswer:");
    }
    if (b->n == 0 && !b->failed)
        return bad_line(l, err, "neither \"question\" nor \"context\" is a text");
    return vg_buf_check(b, "the question", err);
}

static vg_status find_choices(const loader *l, const vg_json *line, const vg_json **out,
                              vg_err *err)
{
    static const char *const keys[] = {"choices", "endings", NULL};
    const vg_json *c = first_of(line, keys);
    if (c && c->kind == VG_JSON_OBJECT) c = vg_json_get(c, "text");
    if (!c || c->kind != VG_JSON_ARRAY)
        return bad_line(l, err, "\"choices\" is no list of texts");
    if (c->n < 2 || c->n > CHOICES_MAX)
        return bad_line(l, err, "\"choices\" has fewer than 2 or more than 64 texts");
    for (size_t i = 0; i < c->n; i++)
        if (c->item[i]->kind != VG_JSON_STRING || c->item[i]->str.n == 0)
            return bad_line(l, err, "an item of \"choices\" is no text, or empty");
    *out = c;
    return VG_OK;
}

/* Which item of a list of texts is this one; list->n: none. */
static size_t item_that_is(const vg_json *list, vg_str text)
{
    size_t i = 0;
    while (i < list->n &&
           !(list->item[i]->kind == VG_JSON_STRING && vg_str_eq(list->item[i]->str, text)))
        i++;
    return i;
}

static size_t answer_of_text(const vg_json *line, const vg_json *choices, vg_str s)
{
    const vg_json *labels = vg_json_get(vg_json_get(line, "choices"), "label");
    size_t n = choices->n, i = n;
    double number;
    if (labels && labels->kind == VG_JSON_ARRAY) i = item_that_is(labels, s);
    if (i >= n) i = item_that_is(choices, s);
    if (i < n) return i;
    if (s.n == 1 && s.p[0] >= 'A' && s.p[0] <= 'Z') return (size_t)(s.p[0] - 'A');
    if (vg_double_read(s, &number) && number >= 0 && number < (double)n) return (size_t)number;
    return n;
}

static vg_status find_answer(const loader *l, const vg_json *line, const vg_json *choices,
                             size_t *out, vg_err *err)
{
    static const char *const keys[] = {"answer", "answerKey", "label", "gold", NULL};
    const vg_json *a = first_of(line, keys);
    size_t i = choices->n;
    if (a && a->kind == VG_JSON_INT && a->integer >= 0) i = (size_t)a->integer;
    if (a && a->kind == VG_JSON_STRING) i = answer_of_text(line, choices, a->str);
    if (i >= choices->n) return bad_line(l, err, "\"answer\" names none of the choices");
    *out = i;
    return VG_OK;
}

/* ---- its tokens ----------------------------------------------------------------------------- */

static vg_status tokenize(const loader *l, const vg_buf *text, vg_tokens *out, vg_err *err)
{
    return vg_tokenize(l->m->model, text->data, text->n, 0, out, err);
}

/* The tokens of question and answer together, since a token may reach over the border: those that
 * the question alone has as well are given. */
static vg_status keep_tokens(const loader *l, const vg_tokens *question, const vg_tokens *whole,
                             eval_choice *c, vg_err *err)
{
    int32_t bos = l->m->info.bos;
    bool begin = l->m->info.add_bos && bos >= 0;
    size_t same = 0;
    while (same < question->n && same + 1 < whole->n && question->id[same] == whole->id[same])
        same++;
    begin = begin || (same == 0 && bos >= 0);
    if (whole->n == 0 || same + begin == 0)
        return bad_line(l, err, "the question or an answer has no tokens");
    if (whole->n >= CHOICE_TOK_MAX)
        return bad_line(l, err, "question and answer are longer than a million tokens");
    int32_t *id = VG_ARENA_ARRAY(l->q->arena, int32_t, whole->n + begin);
    if (!id) return VG_FAIL(err, VG_E_LIMIT, "%s: too many tokens for 1 GB", l->path);
    if (begin) id[0] = bos;
    memcpy(id + begin, whole->id, whole->n * sizeof *id);
    c->id = id;
    c->n = whole->n + begin;
    c->n_common = same + begin;
    l->q->longest_tok = VG_MAX(l->q->longest_tok, c->n);
    return VG_OK;
}

static vg_status load_choice(const loader *l, vg_buf *text, const vg_tokens *question,
                             vg_str choice, eval_choice *out, vg_err *err)
{
    size_t n = text->n;
    vg_tokens whole = {0};
    char last = text->data[n - 1], first = choice.p[0];
    bool apart = last == ' ' || last == '\n' || first == ' ' || first == '\n';
    if (!apart) vg_buf_char(text, ' ');
    vg_buf_str(text, choice);
    vg_status st = vg_buf_check(text, "an answer", err);
    if (!st) st = tokenize(l, text, &whole, err);
    if (!st) st = keep_tokens(l, question, &whole, out, err);
    out->n_bytes = choice.n;
    vg_tokens_free(&whole);
    text->n = n;
    return st;
}

static vg_status load_line(loader *l, vg_str line, eval_question *out, vg_err *err)
{
    vg_json *doc;
    const vg_json *choices = NULL;
    vg_tokens question = {0};
    vg_buf text;
    vg_status st = vg_json_parse(l->arena, line.p, line.n, &doc, err);
    if (st) return vg_err_context(err, st, "%s, line %zu", l->path, l->line);
    vg_buf_init(&text, LINE_CAP_BYTES);
    st = put_question(l, doc, &text, err);
    if (!st) st = find_choices(l, doc, &choices, err);
    if (!st) st = find_answer(l, doc, choices, &out->right, err);
    if (!st) st = tokenize(l, &text, &question, err);
    if (!st) {
        out->n = choices->n;
        out->choice = VG_ARENA_ARRAY(l->q->arena, eval_choice, choices->n);
        if (!out->choice) st = VG_FAIL(err, VG_E_LIMIT, "%s: too many questions", l->path);
    }
    for (size_t i = 0; !st && i < out->n; i++)
        st = load_choice(l, &text, &question, choices->item[i]->str, &out->choice[i], err);
    vg_tokens_free(&question);
    vg_buf_clear(&text);
    return st;
}

/* ---- the file ------------------------------------------------------------------------------- */

static bool is_blank(vg_str s)
{
    size_t i = 0;
    while (i < s.n && (s.p[i] == ' ' || s.p[i] == '\t' || s.p[i] == '\r')) i++;
    return i == s.n;
}

static vg_status load_lines(loader *l, vg_str text, vg_err *err)
{
    size_t n_lines = 1;
    for (size_t i = 0; i < text.n; i++) n_lines += text.p[i] == '\n';
    l->q->question = VG_ARENA_ARRAY(l->q->arena, eval_question, n_lines);
    if (!l->q->question) return VG_FAIL_MEMORY(err, n_lines * sizeof *l->q->question);
    for (size_t at = 0; at < text.n;) {
        const char *end = memchr(text.p + at, '\n', text.n - at);
        size_t n = end ? (size_t)(end - text.p) - at : text.n - at;
        vg_str line = {text.p + at, n};
        l->line++;
        vg_arena_reset(l->arena);
        if (!is_blank(line)) VG_TRY(load_line(l, line, &l->q->question[l->q->n++], err));
        at += n + 1;
    }
    return l->q->n ? VG_OK : VG_FAIL(err, VG_E_FORMAT, "%s holds no questions", l->path);
}

vg_status eval_questions_load(eval_questions *q, const eval_model *m, const char *path, vg_err *err)
{
    loader l = {.q = q, .m = m, .path = path};
    vg_text text = {0};
    *q = (eval_questions){0};
    vg_status st = vg_arena_new(&q->arena, TOKENS_CAP_BYTES, err);
    if (!st) st = vg_arena_new(&l.arena, LINE_CAP_BYTES, err);
    if (!st) st = cli_read(path, FILE_CAP_BYTES, &text, err);
    if (!st) st = load_lines(&l, (vg_str){text.data, text.n}, err);
    vg_arena_free(l.arena);
    vg_text_free(&text);
    return st;
}

void eval_questions_clear(eval_questions *q)
{
    vg_arena_free(q->arena);
    *q = (eval_questions){0};
}

/* ---- the run -------------------------------------------------------------------------------- */

typedef struct sum {
    const eval_choice *choice;
    size_t n_vocab;
    double nll;
} sum;

static void add_row(void *user, size_t pos, const float *logits)
{
    sum *s = user;
    eval_row r = eval_row_of(logits, s->n_vocab);
    s->nll += eval_nll(&r, s->choice->id[pos + 1]);
}

/* The last given token is computed again, because it predicts the answer's first. */
static vg_status run_question(eval_model *m, const eval_question *q, eval_score *out, vg_err *err)
{
    size_t best = 0, best_by_length = 0;
    double least = INFINITY, least_by_length = INFINITY;
    for (size_t i = 0; i < q->n; i++) {
        const eval_choice *c = &q->choice[i];
        sum s = {.choice = c, .n_vocab = m->info.n_vocab};
        vg_session_watch(m->session, c->n_common - 1, add_row, &s);
        VG_TRY(vg_session_sync(m->session, c->id, c->n_common - 1, NULL, err));
        VG_TRY(eval_model_advance(m, c->id, c->n - 1, err));
        double by_length = s.nll / (double)c->n_bytes;
        if (s.nll < least) best = i;
        if (by_length < least_by_length) best_by_length = i;
        least = VG_MIN(least, s.nll);
        least_by_length = VG_MIN(least_by_length, by_length);
    }
    out->n_questions++;
    out->n_right += best == q->right;
    out->n_right_by_length += best_by_length == q->right;
    return VG_OK;
}

vg_status eval_questions_run(eval_model *m, const eval_questions *q, eval_score *out, vg_err *err)
{
    for (size_t i = 0; i < q->n; i++) {
        char result[48];
        VG_TRY(run_question(m, &q->question[i], out, err));
        snprintf(result, sizeof result, "%.1f%% right",
                 100 * (double)out->n_right / (double)(i + 1));
        eval_progress(m->ev, i + 1, q->n, result);
    }
    progress_end(&m->ev->line);
    return VG_OK;
}
