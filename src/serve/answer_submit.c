/* From a request to jobs: its context through the template, texts to tokens, samplers with the
 * model's tokens in them, and one job for each answer. Where one job is refused, the whole request
 * is: those before it are cancelled with the answer. */
#include "serve/answer_int.h"
#include "serve/constraint.h"

/* ---- prompts --------------------------------------------------------------------------------- */

static const vg_json truth = {.kind = VG_JSON_BOOL, .boolean = true};
static const vg_json falsehood = {.kind = VG_JSON_BOOL};

/* The context of the chat template: messages, tools, what the client adds. */
static vg_json *context_of(const vg_request *r)
{
    size_t n_args = r->template_args ? r->template_args->n : 0, n = 0;
    vg_json *c = VG_ARENA_NEW(r->arena, vg_json);
    if (!c) return NULL;
    c->kind = VG_JSON_OBJECT;
    c->key = VG_ARENA_ARRAY(r->arena, vg_str, n_args + 3);
    c->item = VG_ARENA_ARRAY(r->arena, vg_json *, n_args + 3);
    if (!c->key || !c->item) return NULL;
    for (size_t i = 0; i < n_args; i++) {
        c->key[n] = r->template_args->key[i];
        c->item[n++] = r->template_args->item[i];
    }
    c->key[n] = VG_STR("messages");
    c->item[n++] = (vg_json *)(uintptr_t)r->messages;
    c->key[n] = VG_STR("add_generation_prompt");
    c->item[n++] = (vg_json *)(uintptr_t)(r->continue_last ? &falsehood : &truth);
    if (r->tools && r->tool_choice != VG_TOOLS_NONE) {
        c->key[n] = VG_STR("tools");
        c->item[n++] = (vg_json *)(uintptr_t)r->tools;
    }
    c->n = n;
    return c;
}

/* The control tokens of filling in, by the names that models have for them. */
enum { FIM_PREFIX, FIM_SUFFIX, FIM_MIDDLE, FIM_FILE, N_FIM, N_FIM_NAMES = 5 };
static const char *const fim_names[N_FIM][N_FIM_NAMES] = {
    {"<|fim_prefix|>", "<fim_prefix>", "<fim-prefix>", "<｜fim▁begin｜>", "▁<PRE>"},
    {"<|fim_suffix|>", "<fim_suffix>", "<fim-suffix>", "<｜fim▁hole｜>", "▁<SUF>"},
    {"<|fim_middle|>", "<fim_middle>", "<fim-middle>", "<｜fim▁end｜>", "▁<MID>"},
    {"<|file_sep|>", "<file_sep>", "<filename>", "<|file_separator|>", NULL},
};

/* The id of a control token by any of its names; -1: the model has none. */
static vg_status find_fim(const vg_model *m, const char *const *name, int32_t *id, vg_err *err)
{
    *id = -1;
    for (size_t i = 0; i < N_FIM_NAMES && name[i] && *id < 0; i++) {
        vg_tokens plain = {0}, special = {0};
        size_t n = strlen(name[i]);
        vg_status st = vg_tokenize(m, name[i], n, VG_TOK_SPECIAL, &special, err);
        if (!st) st = vg_tokenize(m, name[i], n, 0, &plain, err);
        if (!st && special.n == 1 && (plain.n != 1 || plain.id[0] != special.id[0]))
            *id = special.id[0];
        vg_tokens_free(&plain);
        vg_tokens_free(&special);
        if (st) return st;
    }
    return VG_OK;
}

/* Other files, then prefix, suffix, and what the middle begins with (Bavarian 2022, "PSM"). */
static vg_status infill_tokens(const vg_request *r, const vg_model *m, vg_tokens *out, vg_err *err)
{
    static const vg_piece nothing;
    int32_t *id = VG_ARENA_ARRAY(r->arena, int32_t, N_FIM);
    const vg_prompt *begin = r->n_prompts > 0 ? &r->prompt[0] : &(vg_prompt){&nothing, 0};
    size_t n = 0, n_pieces = 4 * r->n_files + 5 + begin->n;
    vg_piece *p = VG_ARENA_ARRAY(r->arena, vg_piece, n_pieces);
    if (!id || !p) return VG_FAIL_MEMORY(err, n_pieces * sizeof *p);
    for (size_t i = 0; i < N_FIM; i++) VG_TRY(find_fim(m, fim_names[i], &id[i], err));
    if (id[FIM_PREFIX] < 0 || id[FIM_SUFFIX] < 0 || id[FIM_MIDDLE] < 0)
        return VG_FAIL(err, VG_E_UNSUPPORTED, "the model cannot fill in: its vocabulary has no "
                       "tokens for prefix, suffix and middle");
    for (size_t i = 0; i < r->n_files && id[FIM_FILE] >= 0; i++) {
        p[n++] = (vg_piece){.id = &id[FIM_FILE], .n_id = 1};
        p[n++] = (vg_piece){.text = r->file[i].name};
        p[n++] = (vg_piece){.text = VG_STR("\n")};
        p[n++] = (vg_piece){.text = r->file[i].text};
    }
    p[n++] = (vg_piece){.id = &id[FIM_PREFIX], .n_id = 1};
    p[n++] = (vg_piece){.text = r->prefix};
    p[n++] = (vg_piece){.id = &id[FIM_SUFFIX], .n_id = 1};
    p[n++] = (vg_piece){.text = r->suffix};
    p[n++] = (vg_piece){.id = &id[FIM_MIDDLE], .n_id = 1};
    for (size_t i = 0; i < begin->n; i++) p[n++] = begin->piece[i];
    return vg_prompt_text(m, &(vg_prompt){p, n}, false, true, out, err);
}

/* A conversation's tokens so far before those of the rendered messages. */
static vg_status add_context(const vg_request *r, const vg_model *m, vg_tokens *ids, vg_err *err)
{
    vg_model_info info;
    if (r->n_context == 0) return VG_OK;
    vg_model_get_info(m, &info);
    size_t skip = info.bos >= 0 && ids->n > 0 && ids->id[0] == info.bos; /* not in the middle */
    vg_piece p[] = {{.id = r->context, .n_id = r->n_context},
                    {.id = ids->id + skip, .n_id = ids->n - skip}};
    vg_tokens all = {0};
    vg_status st = vg_prompt_text(m, &(vg_prompt){p, 2}, false, false, &all, err);
    vg_tokens_free(ids);
    if (!st) *ids = all;
    return st;
}

vg_str vg_answer_template(const vg_request *r, const vg_model *m)
{
    vg_model_info info;
    if (r->tmpl.n) return r->tmpl;
    vg_model_get_info(m, &info);
    return (vg_str){info.chat_template, info.n_chat_template};
}

static bool mentions(vg_str text, const char *word)
{
    return text.n && memmem(text.p, text.n, word, strlen(word));
}

/* A variable that the template does not look at would be a wish that nobody hears. */
static vg_status check_thinking(const vg_request *r, vg_str tmpl, vg_err *err)
{
    if (!r->must_think || mentions(tmpl, "think") || mentions(tmpl, "reasoning")) return VG_OK;
    return VG_FAIL(err, VG_E_UNSUPPORTED,
                   "think: this model does not support thinking: its template knows none");
}

vg_status vg_answer_tokens(const vg_request *r, const vg_model *m, size_t prompt, vg_tokens *out,
                           bool *in_reasoning, vg_err *err)
{
    *in_reasoning = false;
    if (r->ask == VG_ASK_INFILL) return infill_tokens(r, m, out, err);
    if (r->ask != VG_ASK_CHAT) {
        VG_TRY(vg_prompt_text(m, &r->prompt[prompt], r->special, !r->no_bos, out, err));
        return add_context(r, m, out, err);
    }
    VG_TRY(check_thinking(r, vg_answer_template(r, m), err));
    vg_request taught = *r;
    VG_TRY(vg_tools_teach(&taught, vg_answer_template(r, m), err));
    vg_json *context = context_of(&taught);
    if (!context) return VG_FAIL_MEMORY(err, sizeof *context);
    vg_prompt_style style = {.model = m, .tmpl = r->tmpl, .continue_last = r->continue_last};
    VG_TRY(vg_prompt_chat(&style, context, out, in_reasoning, err));
    return add_context(r, m, out, err);
}

/* ---- samplers -------------------------------------------------------------------------------- */

enum { MAX_BIASES = 4096, SCHEMA_CAP_BYTES = 8 << 20 };

static vg_status tokens_of(const vg_model *m, vg_str text, vg_tokens *out, vg_err *err)
{
    return vg_tokenize(m, text.p, text.n, 0, out, err);
}

static vg_status make_bias(vg_answer *a, vg_sampling *o, vg_err *err)
{
    const vg_request *r = &a->request;
    if (r->n_bias == 0) return VG_OK;
    vg_bias *bias = VG_ARENA_ARRAY(a->arena, vg_bias, MAX_BIASES);
    if (!bias) return VG_FAIL_MEMORY(err, MAX_BIASES * sizeof *bias);
    vg_model_info info;
    vg_model_get_info(vg_use_model(a->use), &info);
    size_t n = 0;
    for (size_t i = 0; i < r->n_bias; i++) {
        const vg_ask_bias *b = &r->bias[i];
        vg_tokens ids = {0};
        if (b->id >= 0 && (uint32_t)b->id >= info.n_vocab)
            return VG_FAIL(err, VG_E_USAGE, "logit_bias: token %d is not within the vocabulary of "
                           "%u", b->id, info.n_vocab);
        if (b->id < 0) VG_TRY(tokens_of(vg_use_model(a->use), b->text, &ids, err));
        size_t n_ids = b->id < 0 ? ids.n : 1;
        bool fits = n + n_ids <= MAX_BIASES;
        for (size_t k = 0; fits && k < n_ids; k++)
            bias[n++] = (vg_bias){b->id < 0 ? ids.id[k] : b->id, b->add};
        vg_tokens_free(&ids);
        if (!fits) return VG_FAIL(err, VG_E_LIMIT, "logit_bias: more than %d tokens", MAX_BIASES);
    }
    o->bias = bias;
    o->n_bias = n;
    return VG_OK;
}

/* A text breaks repetitions by the tokens that it ends with, as far as one token can tell. */
static vg_status make_breakers(vg_answer *a, vg_sampling *o, vg_err *err)
{
    const vg_request *r = &a->request;
    if (r->n_dry_breakers == 0) return VG_OK;
    int32_t *id = VG_ARENA_ARRAY(a->arena, int32_t, r->n_dry_breakers);
    if (!id) return VG_FAIL_MEMORY(err, r->n_dry_breakers * sizeof *id);
    size_t n = 0;
    for (size_t i = 0; i < r->n_dry_breakers; i++) {
        vg_tokens ids = {0};
        VG_TRY(tokens_of(vg_use_model(a->use), r->dry_breaker[i], &ids, err));
        if (ids.n > 0) id[n++] = ids.id[ids.n - 1];
        vg_tokens_free(&ids);
    }
    o->dry_breakers = id;
    o->n_dry_breakers = n;
    return VG_OK;
}

/* ---- grammars ------------------------------------------------------------------------------- */

static vg_status make_grammar(vg_answer *a, bool in_reasoning, vg_err *err)
{
    const vg_request *r = &a->request;
    vg_buf b;
    vg_buf_init(&b, SCHEMA_CAP_BYTES);
    vg_status st = vg_constraint(r, vg_answer_template(r, vg_use_model(a->use)), in_reasoning, &b,
                                 err);
    if (!st && b.n)
        st = vg_grammars_get(vg_use_grammars(a->use), vg_use_model(a->use), false,
                             (vg_str){b.data, b.n}, &a->grammar, err);
    vg_buf_clear(&b);
    /* Any fault of a grammar is the request's. */
    return st == VG_E_LIMIT ? vg_err_context(err, VG_E_USAGE, "the grammar") : st;
}

/* ---- jobs ----------------------------------------------------------------------------------- */

static vg_status submit_prompt(vg_answer *a, size_t prompt, const vg_job_ask *like, vg_err *err)
{
    const vg_request *r = &a->request;
    vg_tokens ids = {0};
    bool in_reasoning;
    VG_TRY(vg_answer_tokens(r, vg_use_model(a->use), prompt, &ids, &in_reasoning, err));
    int32_t *kept = VG_ARENA_ARRAY(a->arena, int32_t, ids.n + 1);
    vg_status st = kept ? VG_OK : VG_FAIL_MEMORY(err, ids.n * sizeof *kept);
    if (!st && ids.n) memcpy(kept, ids.id, ids.n * sizeof *kept);
    size_t n = ids.n;
    vg_tokens_free(&ids);
    if (!st && !a->grammar) st = make_grammar(a, in_reasoning, err);
    uint32_t max_tok = like->max_tok;
    if (!st && r->ctx_tok > 0) {
        if (n >= r->ctx_tok)
            st = VG_FAIL(err, VG_E_CONTEXT, "the prompt has %zu tokens, and the context that was "
                         "asked for %u, one of them for the answer", n, r->ctx_tok);
        else if (max_tok == 0 || max_tok > r->ctx_tok - n) max_tok = r->ctx_tok - (uint32_t)n;
    }
    for (uint32_t k = 0; k < r->n && !st; k++) {
        vg_line *l = &a->line[prompt * r->n + k];
        vg_job_ask ask = *like;
        ask.max_tok = max_tok;
        ask.grammar = a->grammar;
        ask.prompt = l->choice->prompt_id = kept;
        ask.n_prompt = l->choice->n_prompt = n;
        ask.sampling.seed = like->sampling.seed + k;
        l->choice->prompt = prompt;
        st = vg_line_init(l, in_reasoning, err);
        if (!st) st = vg_sched_submit(vg_use_sched(a->use), &ask, &l->job, err);
    }
    return st;
}

vg_status vg_answer_submit(vg_answer *a, vg_err *err)
{
    vg_request *r = &a->request;
    size_t n_prompts = r->ask == VG_ASK_CHAT || r->ask == VG_ASK_INFILL ? 1 : r->n_prompts;
    uint32_t ctx = vg_sched_ctx_tok(vg_use_sched(a->use));
    if (r->ctx_tok > ctx)
        return VG_FAIL(err, VG_E_CONTEXT, "a context of %u tokens was asked for, and this server "
                       "has one of %u", r->ctx_tok, ctx);
    size_t n = n_prompts * r->n;
    if (n == 0 || n > VG_MAX_CHOICES)
        return VG_FAIL(err, VG_E_LIMIT, "%zu answers at once, of 1 to %d", n, VG_MAX_CHOICES);
    a->line = VG_ARENA_ARRAY(a->arena, vg_line, n);
    a->reply.choice = VG_ARENA_ARRAY(a->arena, vg_choice, n);
    if (!a->line || !a->reply.choice) return VG_FAIL_MEMORY(err, n * sizeof(vg_choice));
    a->reply.n_choices = n;
    vg_str tmpl = vg_answer_template(r, vg_use_model(a->use));
    bool by_name = r->ask == VG_ASK_CHAT && vg_parts_by_name(tmpl);
    for (size_t i = 0; i < n; i++) {
        a->line[i] = (vg_line){.answer = a, .choice = &a->reply.choice[i], .i = i,
                               .decoder = {.special = by_name}};
    }
    vg_job_ask ask = {.sampling = r->sampling,
                      /* Of 0 tokens the first one is made, and not told. */
                      .max_tok = r->has_max_tok ? VG_MAX(r->max_tok, 1U) : a->all->max_tok,
                      .ignore_end = r->ignore_end,
                      .logprobs = r->logprobs,
                      .n_top = r->logprobs ? r->n_top : 0,
                      .priority = a->client.priority,
                      .key = a->client.key};
    if (!r->has_seed) ask.sampling.seed = a->all->random ^ vg_hash(a->reply.id.p, a->reply.id.n);
    VG_TRY(make_bias(a, &ask.sampling, err));
    VG_TRY(make_breakers(a, &ask.sampling, err));
    for (size_t i = 0; i < n_prompts; i++) VG_TRY(submit_prompt(a, i, &ask, err));
    return VG_OK;
}

/* ---- vectors --------------------------------------------------------------------------------- */

/* The tokens of a text; one that is too long is cut where the client allows it. */
static vg_status text_tokens(vg_answer *a, size_t i, vg_tokens *out, vg_err *err)
{
    const vg_request *r = &a->request;
    const vg_model *m = vg_use_model(a->use);
    const vg_prompt *p = &r->prompt[i];
    size_t ctx = vg_sched_ctx_tok(vg_use_sched(a->use));
    vg_tokens ids = {0};
    if (p->n == 1 && !p->piece[0].id) /* with what the model wants around a text */
        VG_TRY(vg_tokenize(m, p->piece[0].text.p, p->piece[0].text.n, VG_TOK_BOS, &ids, err));
    else VG_TRY(vg_prompt_text(m, p, false, true, &ids, err));
    vg_status st = VG_OK;
    if (ids.n > ctx && r->truncate) {
        ids.id[ctx - 1] = ids.id[ids.n - 1]; /* the mark at the end stays */
        ids.n = ctx;
    } else if (ids.n > ctx) {
        st = VG_FAIL(err, VG_E_CONTEXT, "text %zu has %zu tokens, and the model takes %zu", i + 1,
                     ids.n, ctx);
    } else if (ids.n == 0) {
        st = VG_FAIL(err, VG_E_USAGE, "text %zu is empty: it has not one token", i + 1);
    }
    int32_t *id = st ? NULL : VG_ARENA_ARRAY(a->arena, int32_t, ids.n);
    if (!st && !id) st = VG_FAIL_MEMORY(err, ids.n * sizeof *id);
    if (!st) memcpy(id, ids.id, ids.n * sizeof *id);
    *out = (vg_tokens){id, ids.n};
    vg_tokens_free(&ids);
    return st;
}

vg_status vg_answer_submit_texts(vg_answer *a, vg_err *err)
{
    const vg_request *r = &a->request;
    vg_model_info info;
    vg_model_get_info(vg_use_model(a->use), &info);
    a->reply.choice = VG_ARENA_ARRAY(a->arena, vg_choice, r->n_prompts);
    vg_tokens *text = VG_ARENA_ARRAY(a->arena, vg_tokens, r->n_prompts);
    if (!a->reply.choice || !text) return VG_FAIL_MEMORY(err, r->n_prompts * sizeof(vg_choice));
    a->reply.n_choices = r->n_prompts;
    a->reply.width = r->n_dimensions ? r->n_dimensions : info.width;
    for (size_t i = 0; i < r->n_prompts; i++) {
        VG_TRY(text_tokens(a, i, &text[i], err));
        a->reply.choice[i].prompt = i;
        a->reply.choice[i].n_prompt = text[i].n;
        a->reply.choice[i].prompt_id = text[i].id;
        a->reply.choice[i].finish = VG_FINISH_END;
    }
    vg_job_ask ask = {.text = text, .n_text = r->n_prompts,
                      .embed = {.dimensions = r->n_dimensions},
                      .priority = a->client.priority, .key = a->client.key};
    return vg_sched_submit(vg_use_sched(a->use), &ask, &a->job, err);
}
