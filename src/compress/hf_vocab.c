/* hf_vocab.c: the tokens of a checkpoint. They come from tokenizer.model (SentencePiece), from
 * tokenizer.json, which holds byte-level BPE or the BPE or Unigram of a SentencePiece model, or
 * from older files; tokens that were added later, from whichever of three files, go over these.
 * An id that no token has gets a placeholder, so that there are as many as rows of the embedding.
 * Types and scores are those that llama.cpp's converter gives, with one difference: where the
 * pieces of a SentencePiece model come from tokenizer.json it gives all of them one score, here the
 * order of the merges is kept. */
#include <stdio.h>
#include <stdlib.h>

#include "compress/hf_vocab_int.h"

static const char space_symbol[] = "\xe2\x96\x81";

static bool ends_with(vg_str s, const char *end)
{
    size_t n = strlen(end);
    return s.n >= n && memcmp(s.p + s.n - n, end, n) == 0;
}

/* Added tokens that are special by their look, though no file says so (Gemma, DeepSeek). */
static bool looks_special(vg_str s)
{
    static const char *const names[] = {"<pad>", "<mask>", "<2mass>", "[@BOS@]"};
    for (size_t i = 0; i < VG_COUNT(names); i++)
        if (vg_str_is(s, names[i])) return true;
    return (vg_str_starts(s, VG_STR("<|")) && ends_with(s, "|>")) ||
           (vg_str_starts(s, VG_STR("<\xef\xbd\x9c")) && ends_with(s, "\xef\xbd\x9c>")) ||
           (vg_str_starts(s, VG_STR("<unused")) && ends_with(s, ">"));
}

/* Tokens that are found in plain text have spaces where SentencePiece has its symbol. */
static vg_status plain_spaces(vg_arena *a, vg_str *s, vg_err *err)
{
    if (!memmem(s->p, s->n, space_symbol, 3)) return VG_OK;
    char *out = vg_arena_alloc(a, s->n, 1);
    if (!out) return VG_FAIL_MEMORY(err, s->n);
    size_t n = 0;
    for (size_t i = 0; i < s->n; n++) {
        bool symbol = i + 3 <= s->n && memcmp(s->p + i, space_symbol, 3) == 0;
        out[n] = symbol ? ' ' : s->p[i];
        i += symbol ? 3 : 1;
    }
    *s = (vg_str){out, n};
    return VG_OK;
}

static vg_status add_token(vocab *v, uint64_t id, vg_str text, bool special, vg_err *err)
{
    if (id >= v->t.n) return VG_OK; /* files list tokens that the weights have no rows for */
    v->t.type[id] = VOCAB_CONTROL;
    if (!special && !looks_special(text)) {
        v->t.type[id] = VOCAB_USER_DEFINED;
        VG_TRY(plain_spaces(v->t.arena, &text, err));
    }
    v->t.text[id] = text;
    v->t.score[id] = -1000;
    return VG_OK;
}

static vg_status add_described(vocab *v, int64_t id, const vg_json *j, vg_err *err)
{
    const vg_json *text = hf_get(j, "content");
    bool special = false, rstrip = false;
    if (!text || text->kind != VG_JSON_STRING || id < 0)
        return VG_FAIL(err, VG_E_FORMAT, "an added token without a text or an id");
    VG_TRY(hf_bool(j, "special", &special, err));
    VG_TRY(hf_bool(j, "rstrip", &rstrip, err));
    v->rstrip |= rstrip;
    return add_token(v, (uint64_t)id, text->str, special, err);
}

static vg_status add_later_ones(vocab *v, vg_err *err)
{
    const vg_json *plain = v->added, *list = hf_get(v->json, "added_tokens");
    const vg_json *table = hf_get(v->config, "added_tokens_decoder");
    for (size_t i = 0; (v->is_spm || v->is_slow) && plain && i < plain->n; i++)
        if (plain->item[i]->kind == VG_JSON_INT && plain->item[i]->integer >= 0)
            VG_TRY(add_token(v, (uint64_t)plain->item[i]->integer, plain->key[i], false, err));
    for (size_t i = 0; list && list->kind == VG_JSON_ARRAY && i < list->n; i++) {
        const vg_json *id = hf_get(list->item[i], "id");
        VG_TRY(add_described(v, id && id->kind == VG_JSON_INT ? id->integer : -1, list->item[i],
                             err));
    }
    for (size_t i = 0; table && table->kind == VG_JSON_OBJECT && i < table->n; i++) {
        double id = -1;
        if (!vg_double_read(table->key[i], &id) || !(id >= 0) || id > INT32_MAX)
            return VG_FAIL(err, VG_E_FORMAT, "added_tokens_decoder has the id '%.*s'",
                           VG_STR_ARG(table->key[i]));
        VG_TRY(add_described(v, (int64_t)id, table->item[i], err));
    }
    return VG_OK;
}

/* ---- tokenizer.json ------------------------------------------------------------------------ */

bool vocab_is_byte(vg_str s)
{
    return s.n == 6 && memcmp(s.p, "<0x", 3) == 0 && s.p[5] == '>' &&
           strspn(s.p + 3, "0123456789abcdefABCDEF") >= 2;
}

static vg_status read_tokens(vocab *v, vg_err *err)
{
    const vg_json *model = hf_get(v->json, "model"), *tokens = hf_get(model, "vocab");
    vg_str unknown = {0};
    VG_TRY(hf_str(model, "unk_token", &unknown, err));
    if (!tokens || tokens->kind != VG_JSON_OBJECT || tokens->n == 0)
        return VG_FAIL(err, VG_E_FORMAT, "model.vocab is no object of tokens");
    for (size_t i = 0; i < tokens->n; i++) {
        const vg_json *id = tokens->item[i];
        vg_str text = tokens->key[i];
        if (id->kind != VG_JSON_INT || id->integer < 0)
            return VG_FAIL(err, VG_E_FORMAT, "the token '%.*s' has no id", VG_STR_ARG(text));
        if ((uint64_t)id->integer >= v->t.n) continue;
        if (v->t.text[id->integer].p)
            return VG_FAIL(err, VG_E_FORMAT, "two tokens have the id %lld", (long long)id->integer);
        v->t.text[id->integer] = text;
        v->t.type[id->integer] = !v->is_spm            ? VOCAB_NORMAL
                                 : vocab_is_byte(text) ? VOCAB_BYTE
                                 : unknown.n && vg_str_eq(text, unknown) ? VOCAB_UNKNOWN
                                                                         : VOCAB_NORMAL;
    }
    return VG_OK;
}

/* The two sides of a merge, which older files have as one text with a space between. */
static bool split_merge(const vg_json *m, vg_str *left, vg_str *right)
{
    if (m->kind == VG_JSON_STRING) {
        const char *space = m->str.n ? memchr(m->str.p, ' ', m->str.n) : NULL;
        if (!space) return false;
        *left = (vg_str){m->str.p, (size_t)(space - m->str.p)};
        *right = (vg_str){space + 1, m->str.n - left->n - 1};
        return true;
    }
    if (m->kind != VG_JSON_ARRAY || m->n != 2 || m->item[0]->kind != VG_JSON_STRING ||
        m->item[1]->kind != VG_JSON_STRING)
        return false;
    *left = m->item[0]->str;
    *right = m->item[1]->str;
    return true;
}

static vg_status join(vg_arena *a, vg_str left, const char *between, vg_str right, vg_str *out,
                      vg_err *err)
{
    size_t gap = strlen(between), n = left.n + gap + right.n;
    char *p = vg_arena_alloc(a, VG_MAX(n, (size_t)1), 1);
    if (!p) return VG_FAIL_MEMORY(err, n);
    if (left.n) memcpy(p, left.p, left.n);
    memcpy(p + left.n, between, gap);
    if (right.n) memcpy(p + left.n + gap, right.p, right.n);
    *out = (vg_str){p, n};
    return VG_OK;
}

static const vg_json *merges_of(const vocab *v)
{
    const vg_json *m = hf_get(hf_get(v->json, "model"), "merges");
    return m && m->kind == VG_JSON_ARRAY ? m : NULL;
}

static vg_status put_merges(const vocab *v, vg_gguf_writer *w, vg_err *err)
{
    const vg_json *merges = merges_of(v);
    if (!merges) return VG_FAIL(err, VG_E_FORMAT, "model.merges is no list");
    vg_str *list = VG_ARENA_ARRAY(v->t.arena, vg_str, merges->n), left, right;
    if (!list) return VG_FAIL_MEMORY(err, merges->n * sizeof *list);
    for (size_t i = 0; i < merges->n; i++) {
        const vg_json *m = merges->item[i];
        if (!split_merge(m, &left, &right))
            return VG_FAIL(err, VG_E_FORMAT, "model.merges[%zu] is no pair", i);
        if (m->kind == VG_JSON_STRING) list[i] = m->str;
        else VG_TRY(join(v->t.arena, left, " ", right, &list[i], err));
    }
    vg_gguf_put_strs(w, "tokenizer.ggml.merges", list, merges->n);
    return VG_OK;
}

typedef struct by_text {
    vg_str text;
    size_t id;
} by_text;

static int compare_texts(const void *a, const void *b)
{
    const by_text *x = a, *y = b;
    size_t n = VG_MIN(x->text.n, y->text.n);
    int c = n ? memcmp(x->text.p, y->text.p, n) : 0;
    return c ? c : x->text.n < y->text.n ? -1 : x->text.n > y->text.n;
}

/* SentencePiece merges the pair whose token has the highest score: that which is merged first. */
static vg_status score_by_merges(vocab *v, vg_err *err)
{
    const vg_json *merges = merges_of(v);
    size_t n = 0;
    if (!merges) return VG_FAIL(err, VG_E_FORMAT, "model.merges is no list");
    by_text *sorted = VG_ARENA_ARRAY(v->t.arena, by_text, v->t.n);
    if (!sorted) return VG_FAIL_MEMORY(err, v->t.n * sizeof *sorted);
    for (size_t i = 0; i < v->t.n; i++) {
        v->t.score[i] = -(float)merges->n - 1;
        if (v->t.text[i].p) sorted[n++] = (by_text){v->t.text[i], i};
    }
    qsort(sorted, n, sizeof *sorted, compare_texts);
    for (size_t i = merges->n; i-- > 0;) {
        vg_str left, right;
        char text[1024];
        if (!split_merge(merges->item[i], &left, &right))
            return VG_FAIL(err, VG_E_FORMAT, "model.merges[%zu] is no pair", i);
        if (left.n + right.n > sizeof text) continue;
        memcpy(text, left.p, left.n);
        memcpy(text + left.n, right.p, right.n);
        by_text key = {.text = {text, left.n + right.n}};
        const by_text *found = bsearch(&key, sorted, n, sizeof *sorted, compare_texts);
        if (found) v->t.score[found->id] = -(float)i;
    }
    return VG_OK;
}

/* A space before the text: by a normaliser, or by the pre-tokenizer that newer files have. */
static bool adds_space(const vg_json *tokenizer)
{
    const vg_json *norm = hf_get(tokenizer, "normalizer");
    const vg_json *pre = hf_get(tokenizer, "pre_tokenizer");
    const vg_json *list = hf_get(norm, "normalizers"), *scheme = hf_get(pre, "prepend_scheme");
    for (size_t i = 0; list && list->kind == VG_JSON_ARRAY && i < list->n; i++)
        if (hf_get(list->item[i], "prepend")) return true;
    return hf_get(norm, "prepend") || (scheme && !vg_str_is(scheme->str, "never"));
}

static bool has_byte_level(const vg_json *tokenizer)
{
    const vg_json *pre = hf_get(tokenizer, "pre_tokenizer"), *list = hf_get(pre, "pretokenizers");
    const vg_json *type = hf_get(pre, "type");
    if (type && vg_str_is(type->str, "ByteLevel")) return true;
    for (size_t i = 0; list && list->kind == VG_JSON_ARRAY && i < list->n; i++) {
        type = hf_get(list->item[i], "type");
        if (type && vg_str_is(type->str, "ByteLevel")) return true;
    }
    return false;
}

static vg_status read_json(vocab *v, vg_err *err)
{
    const vg_json *model = hf_get(v->json, "model");
    vg_str type = {0};
    bool bytes = false;
    VG_TRY(hf_str(model, "type", &type, err));
    VG_TRY(hf_bool(model, "byte_fallback", &bytes, err));
    if (vg_str_is(type, "Unigram")) return vocab_read_unigram(v, err);
    if (vg_str_is(type, "WordPiece")) {
        VG_TRY(vocab_read_wordpiece(v, err));
        return read_tokens(v, err);
    }
    if (type.n && !vg_str_is(type, "BPE"))
        return VG_FAIL(err, VG_E_UNSUPPORTED, "a tokenizer of the type '%.*s' is not supported",
                       VG_STR_ARG(type));
    bool byte_level = has_byte_level(v->json);
    if (!byte_level && !bytes)
        return VG_FAIL(err, VG_E_UNSUPPORTED, "a BPE tokenizer that is neither byte-level nor has "
                       "tokens of bytes is not supported");
    v->is_spm = !byte_level;
    v->add_space = adds_space(v->json);
    VG_TRY(read_tokens(v, err));
    return v->is_spm ? score_by_merges(v, err) : VG_OK;
}

/* ---- both ---------------------------------------------------------------------------------- */

static vg_status read_model(vocab *v, vg_str bytes, vg_err *err)
{
    hf_spm spm;
    VG_TRY(hf_spm_read(bytes, &v->t, &spm, err));
    v->is_unigram = !spm.kind_is_bpe;
    for (size_t i = 0; i < v->t.n; i++)
        if (v->t.text[i].p && v->t.type[i] == VOCAB_USER_DEFINED)
            VG_TRY(plain_spaces(v->t.arena, &v->t.text[i], err));
    v->is_spm = true;
    v->add_space = spm.add_space;
    v->merge_spaces = spm.merge_spaces;
    v->charsmap = spm.charsmap;
    return VG_OK;
}

static vg_status fill_gaps(vocab *v, vg_err *err)
{
    for (size_t i = 0; i < v->t.n; i++) {
        char text[32];
        if (v->t.text[i].p) continue;
        int n = snprintf(text, sizeof text, "[PAD%zu]", i);
        char *copy = vg_arena_text(v->t.arena, (vg_str){text, (size_t)n});
        if (!copy) return VG_FAIL_MEMORY(err, n);
        v->t.text[i] = (vg_str){copy, (size_t)n};
        v->t.type[i] = VOCAB_UNUSED;
        v->t.score[i] = -10000;
    }
    return VG_OK;
}

static vg_status put_words(vocab *v, vg_gguf_writer *w, vg_err *err)
{
    VG_TRY(vocab_mark_words(v, err));
    vg_gguf_put_str(w, "tokenizer.ggml.model", VG_STR("bert"));
    vg_gguf_put_str(w, "tokenizer.ggml.pre", VG_STR("default"));
    vg_gguf_put_strs(w, "tokenizer.ggml.tokens", v->t.text, v->t.n);
    vg_gguf_put_i32s(w, "tokenizer.ggml.token_type", v->t.type, v->t.n);
    vg_gguf_put_bool(w, "tokenizer.ggml.normalizer.lowercase", v->lowercase);
    vg_gguf_put_bool(w, "tokenizer.ggml.normalizer.strip_accents", v->strip_accents);
    return VG_OK;
}

static vg_status put_tokens(vocab *v, const hf_config *c, vg_gguf_writer *w, vg_err *err)
{
    const char *pre = "default";
    if (v->is_wordpiece) return put_words(v, w, err);
    if (!v->is_spm) VG_TRY(hf_pretok_name(v->json, c->arch, &pre, err));
    vg_gguf_put_str(w, "tokenizer.ggml.model", v->is_unigram ? VG_STR("t5")
                                               : v->is_spm   ? VG_STR("llama") : VG_STR("gpt2"));
    vg_gguf_put_str(w, "tokenizer.ggml.pre", vg_str_from(pre));
    vg_gguf_put_strs(w, "tokenizer.ggml.tokens", v->t.text, v->t.n);
    if (v->is_spm) vg_gguf_put_f32s(w, "tokenizer.ggml.scores", v->t.score, v->t.n);
    vg_gguf_put_i32s(w, "tokenizer.ggml.token_type", v->t.type, v->t.n);
    if (!v->is_spm) return put_merges(v, w, err);
    VG_TRY(hf_bool(v->config, "add_prefix_space", &v->add_space, err));
    vg_gguf_put_bool(w, "tokenizer.ggml.add_space_prefix", v->add_space);
    if (v->merge_spaces || v->is_unigram)
        vg_gguf_put_bool(w, "tokenizer.ggml.remove_extra_whitespaces", v->merge_spaces);
    const vg_gguf_kv map = {.key = VG_STR("tokenizer.ggml.precompiled_charsmap"),
                            .type = VG_GGUF_ARRAY, .item_type = VG_GGUF_U8, .n = v->charsmap.n,
                            .items = (const uint8_t *)v->charsmap.p};
    if (map.n) vg_gguf_put_kv(w, &map);
    return VG_OK;
}

/* *lines gets vocab.txt where it is all there is. */
static vg_status read_files(vocab *v, const vg_checkpoint *ckpt, vg_str *model, vg_str *lines,
                            vg_err *err)
{
    vg_arena *a = v->t.arena;
    hf_spm spm;
    VG_TRY(vg_checkpoint_json(ckpt, a, "tokenizer_config.json", &v->config, err));
    VG_TRY(vg_checkpoint_json(ckpt, a, "tokenizer.json", &v->json, err));
    VG_TRY(vg_checkpoint_json(ckpt, a, "added_tokens.json", &v->added, err));
    VG_TRY(vg_checkpoint_text(ckpt, a, "tokenizer.model", model, err));
    /* Some folders keep another kind of file under that name, beside a tokenizer.json. */
    if (v->json && model->p && hf_spm_read(*model, NULL, &spm, NULL)) *model = (vg_str){0};
    if (!v->json && !model->p)
        VG_TRY(vg_checkpoint_text(ckpt, a, "sentencepiece.bpe.model", model, err));
    if (!v->json && !model->p) VG_TRY(vg_checkpoint_text(ckpt, a, "vocab.txt", lines, err));
    return v->json || model->p || lines->p ? VG_OK : vocab_read_slow(v, ckpt, err);
}

vg_status hf_vocab_put(const hf_config *c, const vg_checkpoint *ckpt, vg_arena *a,
                       vg_gguf_writer *w, bool *rstrip, vg_err *err)
{
    vocab v = {.t = {.arena = a, .n = c->n_vocab}};
    vg_str model, lines = {0};
    v.t.text = VG_ARENA_ARRAY(a, vg_str, v.t.n);
    v.t.score = VG_ARENA_ARRAY(a, float, v.t.n);
    v.t.type = VG_ARENA_ARRAY(a, int32_t, v.t.n);
    if (!v.t.text || !v.t.score || !v.t.type) return VG_FAIL_MEMORY(err, v.t.n * 24);
    VG_TRY(read_files(&v, ckpt, &model, &lines, err));
    if (lines.p) VG_TRY(vocab_read_lines(&v, lines, err));
    vg_status st = model.p ? read_model(&v, model, err) : lines.p ? VG_OK : read_json(&v, err);
    if (st) return model.p ? st : vg_err_context(err, st, "tokenizer.json");
    VG_TRY(add_later_ones(&v, err));
    VG_TRY(fill_gaps(&v, err));
    VG_TRY(put_tokens(&v, c, w, err));
    *rstrip = v.rstrip && v.is_spm && (c->flags & A_FUSED);
    return vocab_put_special(&v, c, ckpt, w, err);
}
