/* Reads tokenizer.ggml.* and refuses what does not fit together: arrays of different lengths, ids
 * outside the vocabulary, scores that are no numbers, byte tokens that name no byte, text that is
 * no UTF-8. What a model kind takes for granted where a key is absent is decided here and nowhere
 * else. All memory is one arena whose cap follows from the sizes in the file. */
#include <math.h>

#include "model/unicode.h"
#include "model/vocab_int.h"

#define KEY(name) "tokenizer.ggml." name

enum { TOKENS_MAX = 1 << 24, MERGES_MAX = 1 << 25, BYTES_PER_ITEM = 160, BYTES_FIXED = 4 << 20 };

int vocab_byte_value(vg_str s)
{
    if (s.n != 6 || memcmp(s.p, "<0x", 3) != 0 || s.p[5] != '>') return -1;
    int value = 0;
    for (int i = 3; i < 5; i++) {
        char c = s.p[i];
        int digit = c >= '0' && c <= '9'   ? c - '0'
                    : c >= 'A' && c <= 'F' ? c - 'A' + 10
                    : c >= 'a' && c <= 'f' ? c - 'a' + 10
                                           : -1;
        if (digit < 0) return -1;
        value = value * 16 + digit;
    }
    return value;
}

/* ---- arrays --------------------------------------------------------------------------------- */

static bool is_number(vg_gguf_type t)
{
    return t != VG_GGUF_STRING && t != VG_GGUF_ARRAY && t != VG_GGUF_BOOL && t < VG_GGUF_N_TYPES;
}

/* The array `key` with one number a token; NULL where it is absent. */
static vg_status find_numbers(const vg_vocab *v, const vg_gguf *g, const char *key,
                              const vg_gguf_kv **out, vg_err *err)
{
    const vg_gguf_kv *kv = vg_gguf_find(g, key);
    *out = kv;
    if (!kv) return VG_OK;
    if (kv->type != VG_GGUF_ARRAY || !is_number(kv->item_type))
        return VG_FAIL(err, VG_E_FORMAT, "%s is no array of numbers", key);
    if (kv->n != v->n)
        return VG_FAIL(err, VG_E_FORMAT, "%s has %llu items for %zu tokens", key,
                       (unsigned long long)kv->n, v->n);
    return VG_OK;
}

static vg_status read_tokens(vg_vocab *v, const vg_gguf *g, vg_err *err)
{
    const vg_gguf_kv *kv = vg_gguf_find(g, KEY("tokens"));
    if (!kv) return VG_FAIL(err, VG_E_NOT_FOUND, "%s is missing", KEY("tokens"));
    if (kv->type != VG_GGUF_ARRAY || kv->item_type != VG_GGUF_STRING || kv->n == 0)
        return VG_FAIL(err, VG_E_FORMAT, "%s is no list of strings", KEY("tokens"));
    if (kv->n > TOKENS_MAX)
        return VG_FAIL(err, VG_E_LIMIT, "%s has %llu items; the limit is %d", KEY("tokens"),
                       (unsigned long long)kv->n, TOKENS_MAX);
    v->n = (size_t)kv->n;
    v->text = kv->strs;
    for (size_t i = 0; i < v->n; i++)
        if (vg_utf8_valid(v->text[i].p, v->text[i].n) != v->text[i].n)
            return VG_FAIL(err, VG_E_FORMAT, "%s[%zu] is not valid UTF-8", KEY("tokens"), i);
    return VG_OK;
}

static vg_status read_types(vg_vocab *v, const vg_gguf *g, vg_err *err)
{
    const vg_gguf_kv *kv;
    VG_TRY(find_numbers(v, g, KEY("token_type"), &kv, err));
    v->type = VG_ARENA_ARRAY(v->arena, uint8_t, v->n);
    if (!v->type) return VG_FAIL_MEMORY(err, v->n);
    for (size_t i = 0; i < v->n; i++) {
        int64_t t = kv ? vg_gguf_item_i64(kv, i) : TOKEN_NORMAL;
        if (t < 0 || t > TOKEN_BYTE)
            return VG_FAIL(err, VG_E_FORMAT, "%s[%zu] is %lld", KEY("token_type"), i,
                           (long long)t);
        v->type[i] = (uint8_t)(t ? t : TOKEN_NORMAL);
        int byte = vocab_byte_value(v->text[i]);
        /* Byte tokens of raw BPE are known by their text, as are those of files without types. */
        if (byte >= 0 && v->raw && v->type[i] == TOKEN_NORMAL && (!kv || v->kind == VOCAB_BPE))
            v->type[i] = TOKEN_BYTE;
        if (v->type[i] == TOKEN_BYTE && byte < 0)
            return VG_FAIL(err, VG_E_FORMAT, "%s[%zu]: '%.*s' is no byte token, as its type says",
                           KEY("tokens"), i, VG_STR_ARG(v->text[i]));
    }
    return VG_OK;
}

static vg_status read_scores(vg_vocab *v, const vg_gguf *g, vg_err *err)
{
    const vg_gguf_kv *kv;
    VG_TRY(find_numbers(v, g, KEY("scores"), &kv, err));
    if (v->kind != VOCAB_SPM && v->kind != VOCAB_UNIGRAM) return VG_OK;
    if (!kv) return VG_FAIL(err, VG_E_NOT_FOUND, "%s is missing", KEY("scores"));
    v->score = VG_ARENA_ARRAY(v->arena, float, v->n);
    if (!v->score) return VG_FAIL_MEMORY(err, v->n * sizeof *v->score);
    for (size_t i = 0; i < v->n; i++) {
        v->score[i] = (float)vg_gguf_item_f64(kv, i);
        if (!isfinite(v->score[i]))
            return VG_FAIL(err, VG_E_FORMAT, "%s[%zu] is not finite", KEY("scores"), i);
    }
    return VG_OK;
}

/* The bytes that tokens stand for. A token of byte-level BPE outside the alphabet of bytes, and one
 * that is no normal token, stands for its own text (as HF's decoder takes it). */
static vg_status make_keys(vg_vocab *v, vg_err *err)
{
    v->key = v->text;
    if (v->kind == VOCAB_BPE && !v->raw) {
        vg_str *key = VG_ARENA_ARRAY(v->arena, vg_str, v->n);
        size_t total = 0;
        for (size_t i = 0; i < v->n; i++) total += v->text[i].n;
        char *pool = vg_arena_alloc(v->arena, VG_MAX(total, (size_t)1), 1);
        if (!key || !pool) return VG_FAIL_MEMORY(err, total + v->n * sizeof *key);
        for (size_t i = 0; i < v->n; i++) {
            key[i] = v->text[i];
            size_t n;
            if (v->type[i] != TOKEN_NORMAL || !vocab_byte_text(v->text[i], pool, &n)) continue;
            key[i] = (vg_str){pool, n};
            pool += n;
        }
        v->key = key;
    }
    for (size_t i = 0; i < v->n; i++) {
        vg_str k = v->key[i];
        if (k.n > TOKEN_MAX_BYTES || (k.n > VG_DECODE_MAX / 4 && !vocab_decodes_within(k)))
            return VG_FAIL(err, VG_E_LIMIT, "%s[%zu] has %zu bytes", KEY("tokens"), i, k.n);
    }
    return VG_OK;
}

/* ---- single tokens -------------------------------------------------------------------------- */

/* The id under `key`, or `def` where the key is absent and def is a token. -1 in the file, of
 * whatever width, means none: writers pass a missing id on so. */
static vg_status read_id(const vg_vocab *v, const vg_gguf *g, const char *key, int64_t def,
                         int32_t *out, vg_err *err)
{
    const vg_gguf_kv *kv = vg_gguf_find(g, key);
    *out = def >= 0 && (uint64_t)def < v->n ? (int32_t)def : -1;
    if (!kv) return VG_OK;
    bool is_signed = kv->type == VG_GGUF_I8 || kv->type == VG_GGUF_I16 || kv->type == VG_GGUF_I32 ||
                     kv->type == VG_GGUF_I64;
    if (!is_number(kv->type) || kv->type == VG_GGUF_F32 || kv->type == VG_GGUF_F64)
        return VG_FAIL(err, VG_E_FORMAT, "%s is a %s", key, vg_gguf_type_name(kv->type));
    *out = -1;
    if (is_signed ? kv->v.i == -1 : kv->v.u == UINT32_MAX) return VG_OK;
    if ((is_signed && kv->v.i < 0) || kv->v.u >= v->n)
        return VG_FAIL(err, VG_E_FORMAT, "%s is %lld; the vocabulary has %zu tokens", key,
                       (long long)kv->v.i, v->n);
    *out = (int32_t)kv->v.u;
    return VG_OK;
}

static vg_status read_ids(vg_vocab *v, const vg_gguf *g, vg_err *err)
{
    static const struct {
        int bos, eos, unk, sep;
    } def[] = {[VOCAB_BPE] = {-1, -1, -1, -1},
               [VOCAB_SPM] = {1, 2, 0, -1},
               [VOCAB_WORDPIECE] = {101, -1, 100, 102},
               [VOCAB_UNIGRAM] = {-1, 1, 2, -1}};
    VG_TRY(read_id(v, g, KEY("bos_token_id"), def[v->kind].bos, &v->bos, err));
    VG_TRY(read_id(v, g, KEY("eos_token_id"), def[v->kind].eos, &v->eos, err));
    VG_TRY(read_id(v, g, KEY("unknown_token_id"), def[v->kind].unk, &v->unk, err));
    if (v->kind != VOCAB_WORDPIECE) return VG_OK;
    /* The format's own spelling; BERT's frame is [CLS] text [SEP]. */
    VG_TRY(read_id(v, g, KEY("cls_token_id"), v->bos, &v->bos, err));
    return read_id(v, g, KEY("seperator_token_id"), def[v->kind].sep, &v->sep, err);
}

static bool named(const vg_vocab *v, size_t id, const char *const *names, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (vg_str_is(v->text[id], names[i])) return true;
    return false;
}

/* Marks the tokens that end an answer: those that the metadata names, and control tokens with a
 * name that models use for it. gpt-oss ends a message, not the answer, with <|end|>. */
static vg_status mark_ends(vg_vocab *v, const vg_gguf *g, vg_err *err)
{
    static const char *const names[] = {
        "<|eot_id|>", "<|im_end|>", "<|end|>", "<|return|>", "<|call|>", "<|flush|>", "<|calls|>",
        "<end_of_turn>", "<|endoftext|>", "<|end_of_text|>", "</s>", "<|eom_id|>", "<EOT>",
        "_<EOT>", "[EOT]", "[EOS]", "<end_of_utterance>", "<eos>", "<turn|>", "<|tool_response>",
        "<｜end▁of▁sentence｜>", "[e~[", "<|fim_pad|>", "<|repo_name|>", "<|file_sep|>"};
    static const char *const keys[] = {KEY("eot_token_id"), KEY("eom_token_id"),
                                       KEY("fim_pad_token_id"), KEY("fim_rep_token_id"),
                                       KEY("fim_sep_token_id")};
    static const char *const channel[] = {"<|return|>"}, *const message[] = {"<|end|>"};
    v->end = VG_ARENA_ARRAY(v->arena, uint8_t, v->n);
    if (!v->end) return VG_FAIL_MEMORY(err, v->n);
    bool channels = false;
    for (size_t id = 0; id < v->n; id++) {
        if (v->type[id] != TOKEN_CONTROL) continue;
        v->end[id] = named(v, id, names, VG_COUNT(names));
        channels |= named(v, id, channel, VG_COUNT(channel));
    }
    for (size_t id = 0; channels && id < v->n; id++)
        if (v->end[id] && named(v, id, message, VG_COUNT(message))) v->end[id] = 0;
    if (v->eos >= 0) v->end[v->eos] = 1;
    for (size_t i = 0; i < VG_COUNT(keys); i++) {
        int32_t id;
        VG_TRY(read_id(v, g, keys[i], -1, &id, err));
        if (id >= 0) v->end[id] = 1;
    }
    return VG_OK;
}

static vg_status find_bytes(vg_vocab *v, vg_err *err)
{
    for (int b = 0; b < 256; b++) v->byte_id[b] = -1;
    for (size_t id = 0; id < v->n; id++) {
        int b = v->type[id] == TOKEN_BYTE ? vocab_byte_value(v->text[id]) : -1;
        if (b < 0) continue;
        if (v->byte_id[b] >= 0)
            return VG_FAIL(err, VG_E_FORMAT, "tokens %d and %zu both are the byte 0x%02x",
                           v->byte_id[b], id, (unsigned)b);
        v->byte_id[b] = (int32_t)id;
    }
    v->has_bytes = true;
    for (int b = 0; b < 256; b++) {
        char c = (char)(unsigned char)b;
        if (v->byte_id[b] < 0 && v->kind == VOCAB_BPE && !v->raw)
            v->byte_id[b] = vocab_find(v, (vg_str){&c, 1});
        v->has_bytes &= v->byte_id[b] >= 0;
    }
    return VG_OK;
}

/* ---- the kinds ------------------------------------------------------------------------------ */

static vg_status read_kind(vg_vocab *v, const vg_gguf *g, vg_err *err)
{
    vg_str model, pre = VG_STR("");
    VG_TRY(vg_gguf_str(g, KEY("model"), &model, err));
    VG_TRY(vg_gguf_opt_str(g, KEY("pre"), &pre, err));
    if (vg_str_is(model, "llama")) v->kind = VOCAB_SPM;
    else if (vg_str_is(model, "bert")) v->kind = VOCAB_WORDPIECE;
    else if (vg_str_is(model, "t5")) v->kind = VOCAB_UNIGRAM;
    else if (vg_str_is(model, "gpt2") || vg_str_is(model, "gemma4")) v->kind = VOCAB_BPE;
    else
        return VG_FAIL(err, VG_E_UNSUPPORTED, "%s is '%.*s'", KEY("model"), VG_STR_ARG(model));
    v->raw = v->kind != VOCAB_BPE;
    v->add_bos = v->kind == VOCAB_SPM || v->kind == VOCAB_WORDPIECE;
    v->add_eos = v->kind == VOCAB_UNIGRAM || v->kind == VOCAB_WORDPIECE;
    v->space_prefix = v->kind == VOCAB_SPM || v->kind == VOCAB_UNIGRAM;
    if (v->kind != VOCAB_BPE) return VG_OK;
    if (vg_str_is(model, "gemma4")) pre = model;
    v->pretok = vg_pretok_find(pre);
    if (!v->pretok)
        return VG_FAIL(err, VG_E_UNSUPPORTED, "%s is '%.*s'", KEY("pre"), VG_STR_ARG(pre));
    v->raw = vg_pretok_is_raw(v->pretok);
    v->add_bos = vg_pretok_adds_bos(v->pretok);
    return VG_OK;
}

/* Phi-3's special tokens are made with rstrip, which GGUF has no key for; as llama.cpp, go by the
 * model's name. */
static bool is_phi3(const vg_vocab *v, const vg_gguf *g)
{
    const vg_gguf_kv *kv = vg_gguf_find(g, "general.name");
    if (v->kind != VOCAB_SPM || !kv || kv->type != VG_GGUF_STRING) return false;
    for (size_t i = 0; i + 4 <= kv->str.n; i++) {
        const char *p = kv->str.p + i;
        bool phi = (p[0] | 32) == 'p' && (p[1] | 32) == 'h' && (p[2] | 32) == 'i';
        if (phi && (p[3] == '3' || (p[3] == '-' && i + 5 <= kv->str.n && p[4] == '3'))) return true;
    }
    return false;
}

static vg_status read_flags(vg_vocab *v, const vg_gguf *g, vg_err *err)
{
    v->lowercase = v->kind == VOCAB_WORDPIECE;
    v->phi3 = is_phi3(v, g);
    VG_TRY(vg_gguf_opt_bool(g, KEY("add_bos_token"), &v->add_bos, err));
    VG_TRY(vg_gguf_opt_bool(g, KEY("add_eos_token"), &v->add_eos, err));
    VG_TRY(vg_gguf_opt_bool(g, KEY("add_space_prefix"), &v->space_prefix, err));
    VG_TRY(vg_gguf_opt_bool(g, KEY("remove_extra_whitespaces"), &v->merge_spaces, err));
    VG_TRY(vg_gguf_opt_bool(g, KEY("normalizer.lowercase"), &v->lowercase, err));
    v->strip_accents = v->lowercase;
    VG_TRY(vg_gguf_opt_bool(g, KEY("normalizer.strip_accents"), &v->strip_accents, err));
    return VG_OK;
}

static vg_status find_merges(const vg_vocab *v, const vg_gguf *g, const vg_gguf_kv **out,
                             vg_err *err)
{
    const vg_gguf_kv *kv = vg_gguf_find(g, KEY("merges"));
    *out = kv;
    if (v->kind != VOCAB_BPE) {
        *out = NULL;
        return VG_OK;
    }
    if (!kv) return VG_FAIL(err, VG_E_NOT_FOUND, "%s is missing", KEY("merges"));
    if (kv->type != VG_GGUF_ARRAY || kv->item_type != VG_GGUF_STRING)
        return VG_FAIL(err, VG_E_FORMAT, "%s is no list of strings", KEY("merges"));
    if (kv->n > MERGES_MAX)
        return VG_FAIL(err, VG_E_LIMIT, "%s has %llu items; the limit is %d", KEY("merges"),
                       (unsigned long long)kv->n, MERGES_MAX);
    return VG_OK;
}

static vg_status make_arena(vg_vocab *v, const vg_gguf_kv *merges, const vg_gguf_kv *map,
                            vg_err *err)
{
    size_t text = 0, items = v->n + (merges ? (size_t)merges->n : 0);
    for (size_t i = 0; i < v->n; i++)
        if (!vg_add(text, v->text[i].n, &text)) return VG_FAIL(err, VG_E_LIMIT, "tokens' text");
    if (map && !vg_add(text, map->n < SIZE_MAX ? (size_t)map->n : SIZE_MAX, &text))
        return VG_FAIL(err, VG_E_LIMIT, "the charsmap");
    size_t cap;
    if (!vg_mul(items, BYTES_PER_ITEM, &cap) || !vg_add(cap, BYTES_FIXED, &cap) ||
        !vg_mul(text, 2, &text) || !vg_add(cap, text, &cap))
        return VG_FAIL(err, VG_E_LIMIT, "%zu tokens and merges", items);
    return vg_arena_new(&v->arena, cap, err);
}

vg_status vocab_load(vg_vocab *v, const vg_gguf *g, vg_err *err)
{
    const vg_gguf_kv *merges, *map = vg_gguf_find(g, KEY("precompiled_charsmap"));
    VG_TRY(read_kind(v, g, err));
    VG_TRY(read_tokens(v, g, err));
    VG_TRY(find_merges(v, g, &merges, err));
    VG_TRY(make_arena(v, merges, map, err));
    VG_TRY(read_types(v, g, err));
    VG_TRY(read_scores(v, g, err));
    VG_TRY(read_ids(v, g, err));
    VG_TRY(read_flags(v, g, err));
    VG_TRY(mark_ends(v, g, err));
    VG_TRY(make_keys(v, err));
    VG_TRY(vocab_map_tokens(v, err));
    VG_TRY(find_bytes(v, err));
    VG_TRY(vocab_map_specials(v, err));
    if (v->kind == VOCAB_BPE) VG_TRY(vocab_map_merges(v, merges, err));
    if (v->raw) VG_TRY(vocab_map_joins(v, err));
    if (map && v->kind != VOCAB_BPE) VG_TRY(vocab_read_charsmap(v, map, err));
    if (v->kind == VOCAB_WORDPIECE) VG_TRY(vocab_prepare_wordpiece(v, err));
    if (v->kind == VOCAB_UNIGRAM) VG_TRY(vocab_prepare_unigram(v, err));
    if (v->kind != VOCAB_BPE && v->unk < 0 && !v->has_bytes)
        return VG_FAIL(err, VG_E_FORMAT, "%s is missing, and there is no token for every byte",
                       KEY("unknown_token_id"));
    return VG_OK;
}
