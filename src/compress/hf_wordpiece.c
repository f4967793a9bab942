/* hf_wordpiece.c: a WordPiece vocabulary (BERT), from tokenizer.json or from vocab.txt, a token a
 * line. GGUF marks what begins a word with U+2581 where BERT marks what continues one with "##".
 * What is done to a text first is BERT's normaliser, whose switches are passed on. */
#include "compress/hf_vocab_int.h"

static const char space_symbol[] = "\xe2\x96\x81";

static vg_status refuse(const char *what, vg_err *err)
{
    return VG_FAIL(err, VG_E_UNSUPPORTED, "a WordPiece tokenizer with %s is not supported", what);
}

/* "##ing" becomes "ing", and "play" gets the mark; special tokens stay. */
vg_status vocab_mark_words(vocab *v, vg_err *err)
{
    const size_t n_mark = sizeof space_symbol - 1;
    for (size_t i = 0; i < v->t.n; i++) {
        vg_str s = v->t.text[i];
        if (!s.p || v->t.type[i] != VOCAB_NORMAL) continue;
        if (vg_str_starts(s, VG_STR("##")) && s.n > 2) {
            v->t.text[i] = (vg_str){s.p + 2, s.n - 2};
            continue;
        }
        char *p = vg_arena_alloc(v->t.arena, s.n + n_mark, 1);
        if (!p) return VG_FAIL_MEMORY(err, s.n + n_mark);
        memcpy(p, space_symbol, n_mark);
        if (s.n) memcpy(p + n_mark, s.p, s.n);
        v->t.text[i] = (vg_str){p, s.n + n_mark};
    }
    return VG_OK;
}

static vg_status read_normalizer(vocab *v, vg_err *err)
{
    const vg_json *norm = hf_get(v->json, "normalizer"), *pre = hf_get(v->json, "pre_tokenizer");
    vg_str type = VG_STR("none"), cut = VG_STR("none");
    bool clean = true, chinese = true;
    VG_TRY(hf_str(norm, "type", &type, err));
    VG_TRY(hf_str(pre, "type", &cut, err));
    if (!vg_str_is(type, "BertNormalizer")) return refuse("a normalizer of its own", err);
    if (!vg_str_is(cut, "BertPreTokenizer")) return refuse("a pre-tokenizer of its own", err);
    VG_TRY(hf_bool(norm, "clean_text", &clean, err));
    VG_TRY(hf_bool(norm, "handle_chinese_chars", &chinese, err));
    if (!clean || !chinese) return refuse("clean_text or handle_chinese_chars off", err);
    VG_TRY(hf_bool(norm, "lowercase", &v->lowercase, err));
    v->strip_accents = v->lowercase;
    return hf_bool(norm, "strip_accents", &v->strip_accents, err);
}

vg_status vocab_read_wordpiece(vocab *v, vg_err *err)
{
    const vg_json *model = hf_get(v->json, "model");
    vg_str prefix = VG_STR("##");
    uint32_t longest = 100;
    v->is_wordpiece = v->lowercase = true;
    VG_TRY(hf_str(model, "continuing_subword_prefix", &prefix, err));
    VG_TRY(hf_u32(model, "max_input_chars_per_word", 0, UINT32_MAX, &longest, err));
    if (!vg_str_is(prefix, "##")) return refuse("another prefix than ##", err);
    if (longest != 100) return refuse("words of another length than 100", err);
    return read_normalizer(v, err);
}

vg_status vocab_read_lines(vocab *v, vg_str text, vg_err *err)
{
    bool chinese = true;
    size_t id = 0;
    v->is_wordpiece = v->lowercase = true;
    for (size_t at = 0; at < text.n && id < v->t.n; id++) {
        const char *line = text.p + at, *end = memchr(line, '\n', text.n - at);
        size_t n = end ? (size_t)(end - line) : text.n - at;
        at += n + 1;
        while (n > 0 && (line[n - 1] == '\r' || line[n - 1] == ' ')) n--;
        if (vg_utf8_valid(line, n) != n)
            return VG_FAIL(err, VG_E_FORMAT, "vocab.txt: line %zu is not valid UTF-8", id + 1);
        bool special = n > 2 && line[0] == '[' && line[n - 1] == ']';
        v->t.text[id] = (vg_str){line, n};
        v->t.type[id] = special ? VOCAB_CONTROL : VOCAB_NORMAL;
    }
    VG_TRY(hf_bool(v->config, "tokenize_chinese_chars", &chinese, err));
    if (!chinese) return refuse("tokenize_chinese_chars off", err);
    VG_TRY(hf_bool(v->config, "do_lower_case", &v->lowercase, err));
    v->strip_accents = v->lowercase;
    return hf_bool(v->config, "strip_accents", &v->strip_accents, err);
}
