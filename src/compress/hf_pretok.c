/* hf_pretok.c: which of the known pre-tokenizers a tokenizer.json has. Its regular expressions, one
 * a stage, are written one under the other, and that text is looked up: GGUF has names for what
 * tokenizers do, not the expressions. One that stands in no row is refused with its expressions,
 * because text cut in other places gives other tokens. The rows are facts of the models' own
 * tokenizer.json files. */
#include "compress/hf_int.h"

enum { TEXT_CAP_BYTES = 1 << 16 };

#define CONTRACTIONS "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
#define GPT2                                                                                       \
    "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+\n"
#define SPACES "|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+\n"
#define CHAT(digits)                                                                               \
    CONTRACTIONS "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|" digits "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*" SPACES
/* The same in the words of tiktoken. */
#define CL100K(digits)                                                                             \
    "'(?i:[sdmt]|ll|ve|re)|[^\\r\\n\\p{L}\\p{N}]?+\\p{L}+|" digits                                 \
    "| ?[^\\s\\p{L}\\p{N}]++[\\r\\n]*|\\s*[\\r\\n]|\\s+(?!\\S)|\\s+\n"
#define UPPER "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]"
#define LOWER "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]"
#define CASED(tail, digits)                                                                        \
    "[^\\r\\n\\p{L}\\p{N}]?" UPPER "*" LOWER "+" tail "|[^\\r\\n\\p{L}\\p{N}]?" UPPER "+" LOWER    \
    "*" tail "|" digits "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*" SPACES
#define DEEPSEEK3                                                                                  \
    "\\p{N}{1,3}\n[一-龥぀-ゟ゠-ヿ]+\n" \
    "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}"    \
    "\\p{M}]+| ?[\\p{P}\\p{S}]+[\\r\\n]*" SPACES
#define DEEPSEEK_CODER                                                                             \
    "[\\r\\n]\n\\s?\\p{L}+\n\\s?\\p{P}+\n[一-龥ࠀ-一가-퟿]+\n\\p{N}\n"
#define SEED_CODER                                                                                 \
    CONTRACTIONS "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1}| ?[^\\s\\p{L}\\p{N}\\r\\n]+" SPACES
#define QWEN35                                                                                     \
    CONTRACTIONS "|[^\\r\\n\\p{L}\\p{N}]?[\\p{L}\\p{M}]+|\\p{N}| ?[^\\s\\p{L}\\p{M}\\p{N}]+"       \
    "[\\r\\n]*" SPACES

static const struct {
    const char *stages;
    bool nfc, whole_words; /* normalised to form C; ignore_merges */
    const char *name;
} known[] = {
    {GPT2, false, false, "gpt-2"},
    {GPT2, true, false, "olmo"},
    {"\\p{N}\n" GPT2, false, false, "smollm"},
    {"\\p{N}\n" GPT2, true, false, "command-r"},
    {CHAT("\\p{N}{1,3}"), false, true, "llama-bpe"},
    {CHAT("\\p{N}{1,3}"), false, false, "dbrx"},
    {CL100K("\\p{N}{1,3}"), false, true, "llama-bpe"},
    {CL100K("\\p{N}{1,3}"), false, false, "dbrx"},
    {CHAT("\\p{N}"), true, false, "qwen2"},
    {CHAT("\\p{N}"), false, false, "deepseek-r1-qwen"},
    {SEED_CODER, false, false, "seed-coder"},
    {CL100K("\\p{N}"), false, false, "bailingmoe"},
    {QWEN35, true, false, "qwen35"},
    {CASED(CONTRACTIONS "?", "\\p{N}{1,3}"), false, false, "gpt-4o"},
    {CASED("", "\\p{N}"), false, true, "tekken"},
    {DEEPSEEK3, false, false, "deepseek-v3"},
    {DEEPSEEK_CODER, false, false, "deepseek-coder"},
};

static bool flag(const vg_json *j, const char *key, bool def)
{
    const vg_json *v = hf_get(j, key);
    return v && v->kind == VG_JSON_BOOL ? v->boolean : def;
}

/* The expression of one stage, with a line end; nothing for a stage that cuts nothing. */
static vg_status put_stage(const vg_json *stage, vg_buf *b, vg_err *err)
{
    vg_str type = {0}, behavior = VG_STR("Isolated");
    VG_TRY(hf_str(stage, "type", &type, err));
    VG_TRY(hf_str(stage, "behavior", &behavior, err));
    if (vg_str_is(type, "ByteLevel")) {
        if (flag(stage, "add_prefix_space", false))
            return VG_FAIL(err, VG_E_UNSUPPORTED, "tokenizer.json: byte-level BPE with "
                           "add_prefix_space is not supported");
        if (flag(stage, "use_regex", true)) vg_buf_text(b, GPT2);
        return VG_OK;
    }
    if (vg_str_is(type, "Digits")) {
        vg_buf_text(b, flag(stage, "individual_digits", false) ? "\\p{N}\n" : "\\p{N}+\n");
        return VG_OK;
    }
    const vg_json *pattern = hf_get(hf_get(stage, "pattern"), "Regex");
    /* Of expressions that meet every character nothing is left between two matches. */
    bool between = vg_str_is(behavior, "Removed") && flag(stage, "invert", false);
    if (!vg_str_is(type, "Split") || !pattern || pattern->kind != VG_JSON_STRING ||
        (!vg_str_is(behavior, "Isolated") && !between))
        return VG_FAIL(err, VG_E_UNSUPPORTED, "tokenizer.json: the pre-tokenizer '%.*s' is not "
                       "supported", VG_STR_ARG(type));
    vg_buf_str(b, pattern->str);
    vg_buf_char(b, '\n');
    return VG_OK;
}

static bool wants_nfc(const vg_json *normalizer)
{
    const vg_json *list = hf_get(normalizer, "normalizers"), *type = hf_get(normalizer, "type");
    if (list && list->kind == VG_JSON_ARRAY && list->n == 1) type = hf_get(list->item[0], "type");
    return type && vg_str_is(type->str, "NFC");
}

static vg_status look_up(const vg_json *tokenizer, vg_str stages, const char *arch,
                         const char **name, vg_err *err)
{
    bool nfc = wants_nfc(hf_get(tokenizer, "normalizer"));
    bool whole = flag(hf_get(tokenizer, "model"), "ignore_merges", false);
    for (size_t i = 0; i < VG_COUNT(known); i++) {
        if (!vg_str_is(stages, known[i].stages) || known[i].nfc != nfc ||
            known[i].whole_words != whole)
            continue;
        *name = known[i].name;
        /* The same under another name. */
        if (strcmp(arch, "granite") == 0 && strcmp(*name, "smollm") == 0) *name = "refact";
        return VG_OK;
    }
    return VG_FAIL(err, VG_E_UNSUPPORTED,
                   "tokenizer.json: a pre-tokenizer that is not known%s%s: %.*s",
                   nfc ? ", over NFC" : "", whole ? ", with ignore_merges" : "",
                   VG_STR_ARG(stages));
}

vg_status hf_pretok_name(const vg_json *tokenizer, const char *arch, const char **name, vg_err *err)
{
    const vg_json *pre = hf_get(tokenizer, "pre_tokenizer"), *list = hf_get(pre, "pretokenizers");
    const vg_json *normalizer = hf_get(tokenizer, "normalizer");
    if (normalizer && !wants_nfc(normalizer))
        return VG_FAIL(err, VG_E_UNSUPPORTED, "tokenizer.json: a normalizer other than NFC is not "
                       "supported for byte-level BPE");
    vg_buf b;
    vg_buf_init(&b, TEXT_CAP_BYTES);
    vg_status st = VG_OK;
    if (list && list->kind == VG_JSON_ARRAY)
        for (size_t i = 0; !st && i < list->n; i++) st = put_stage(list->item[i], &b, err);
    else if (pre)
        st = put_stage(pre, &b, err);
    if (!st) st = vg_buf_check(&b, "the pre-tokenizer", err);
    if (!st) st = look_up(tokenizer, (vg_str){b.data, b.n}, arch, name, err);
    vg_buf_clear(&b);
    return st;
}
