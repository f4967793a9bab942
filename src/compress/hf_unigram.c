/* hf_unigram.c: a Unigram tokenizer.json, which is a SentencePiece model in other words: pieces
 * with their logarithms, a character map in base64, and what is done to spaces. Only what those
 * words can say of SentencePiece is taken; other normalisers are refused by name. */
#include "compress/hf_vocab_int.h"

/* The 6 bits of a character of base64; -1: none. */
static int six_bits(char c)
{
    if (c >= 'A' && c <= 'Z') return c - 'A';
    if (c >= 'a' && c <= 'z') return c - 'a' + 26;
    if (c >= '0' && c <= '9') return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

static vg_status read_base64(vg_str s, vg_arena *a, vg_str *out, vg_err *err)
{
    char *p = vg_arena_alloc(a, s.n / 4 * 3 + 3, 1);
    size_t n = 0;
    uint32_t held = 0;
    if (!p) return VG_FAIL_MEMORY(err, s.n);
    while (s.n > 0 && s.p[s.n - 1] == '=') s.n--;
    for (size_t i = 0; i < s.n; i++) {
        int v = six_bits(s.p[i]);
        if (v < 0) return VG_FAIL(err, VG_E_FORMAT, "precompiled_charsmap is no base64");
        held = held << 6 | (uint32_t)v;
        if (i % 4) p[n++] = (char)(held >> (6 - 2 * (i % 4)) & 0xff);
    }
    *out = (vg_str){p, n};
    return VG_OK;
}

static vg_status refuse(const char *what, vg_str type, vg_err *err)
{
    return VG_FAIL(err, VG_E_UNSUPPORTED, "a Unigram tokenizer with the %s '%.*s' is not supported",
                   what, VG_STR_ARG(type));
}

/* "Precompiled" is the map; a Replace of runs of spaces is how SentencePiece merges them, a Strip
 * goes with it. */
static vg_status read_normalizer(vocab *v, const vg_json *j, vg_err *err)
{
    vg_str type = {0}, map = {0};
    VG_TRY(hf_str(j, "type", &type, err));
    if (vg_str_is(type, "Precompiled")) {
        VG_TRY(hf_str(j, "precompiled_charsmap", &map, err));
        return map.n ? read_base64(map, v->t.arena, &v->charsmap, err) : VG_OK;
    }
    if (vg_str_is(type, "Strip")) return VG_OK;
    const vg_json *runs = hf_get(hf_get(j, "pattern"), "Regex");
    const vg_json *each = hf_get(hf_get(j, "pattern"), "String");
    bool merges = vg_str_is(type, "Replace") && runs && vg_str_is(runs->str, " {2,}");
    bool spells = vg_str_is(type, "Replace") && each && vg_str_is(each->str, " ");
    bool prepends = vg_str_is(type, "Prepend");
    v->merge_spaces |= merges;
    v->add_space |= prepends;
    if (merges || spells || prepends) return VG_OK;
    return refuse("normalizer", type, err);
}

static vg_status read_normalizers(vocab *v, vg_err *err)
{
    const vg_json *norm = hf_get(v->json, "normalizer"), *list = hf_get(norm, "normalizers");
    if (!norm) return VG_OK;
    if (!list || list->kind != VG_JSON_ARRAY) return read_normalizer(v, norm, err);
    for (size_t i = 0; i < list->n; i++) VG_TRY(read_normalizer(v, list->item[i], err));
    return VG_OK;
}

static vg_status read_spaces(vocab *v, vg_err *err)
{
    const vg_json *pre = hf_get(v->json, "pre_tokenizer");
    const vg_json *list = hf_get(pre, "pretokenizers");
    if (list && list->kind == VG_JSON_ARRAY && list->n == 1) pre = list->item[0];
    /* XLM-RoBERTa's: what cuts at white space leaves no runs of it. */
    if (list && list->kind == VG_JSON_ARRAY && list->n == 2) {
        const vg_json *first = hf_get(list->item[0], "type");
        if (first && vg_str_is(first->str, "WhitespaceSplit")) {
            v->merge_spaces = true;
            pre = list->item[1];
        }
    }
    vg_str type = {0}, scheme = VG_STR("always");
    VG_TRY(hf_str(pre, "type", &type, err));
    if (!pre) return VG_OK;
    if (!vg_str_is(type, "Metaspace")) return refuse("pre-tokenizer", type, err);
    v->add_space = true;
    VG_TRY(hf_bool(pre, "add_prefix_space", &v->add_space, err));
    VG_TRY(hf_str(pre, "prepend_scheme", &scheme, err));
    if (vg_str_is(scheme, "never")) v->add_space = false;
    return VG_OK;
}

vg_status vocab_read_unigram(vocab *v, vg_err *err)
{
    const vg_json *model = hf_get(v->json, "model"), *list = hf_get(model, "vocab");
    uint32_t unknown = UINT32_MAX;
    v->is_spm = v->is_unigram = true;
    VG_TRY(hf_u32(model, "unk_id", 0, INT32_MAX, &unknown, err));
    if (!list || list->kind != VG_JSON_ARRAY || list->n == 0)
        return VG_FAIL(err, VG_E_FORMAT, "model.vocab is no list of pieces");
    for (size_t i = 0; i < list->n && i < v->t.n; i++) {
        const vg_json *pair = list->item[i];
        bool ok = pair->kind == VG_JSON_ARRAY && pair->n == 2 &&
                  pair->item[0]->kind == VG_JSON_STRING &&
                  (pair->item[1]->kind == VG_JSON_INT || pair->item[1]->kind == VG_JSON_FLOAT);
        if (!ok) return VG_FAIL(err, VG_E_FORMAT, "model.vocab[%zu] is no piece and score", i);
        v->t.text[i] = pair->item[0]->str;
        v->t.score[i] = (float)pair->item[1]->number;
        v->t.type[i] = i == unknown ? VOCAB_UNKNOWN
                       : vocab_is_byte(pair->item[0]->str) ? VOCAB_BYTE : VOCAB_NORMAL;
    }
    VG_TRY(read_normalizers(v, err));
    return read_spaces(v, err);
}
