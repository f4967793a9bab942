/* hf_slow.c: a tokenizer without tokenizer.json: vocab.json, the ids of the tokens, and merges.txt,
 * a merge a line. What cuts text first stands in no file; transformers has it in the code of the
 * class that tokenizer_config.json names, so the classes that are known are listed here. The result
 * is the tokenizer.json that transformers would make of them. */
#include "compress/hf_vocab_int.h"

#define LEVEL(regex)                                                                               \
    "{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"use_regex\":" regex "}"
#define QWEN2                                                                                      \
    "{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Split\",\"behavior\":\"Isolated\","     \
    "\"pattern\":{\"Regex\":\"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\\\r\\\\n\\\\p{L}\\\\p{N}]?\\\\p{L}" \
    "+|\\\\p{N}| ?[^\\\\s\\\\p{L}\\\\p{N}]+[\\\\r\\\\n]*|\\\\s*[\\\\r\\\\n]+|\\\\s+(?!\\\\S)|"     \
    "\\\\s+\"}}," LEVEL("false") "]}"

static const struct {
    const char *name, *normalizer, *pre; /* the class, with or without "Fast" */
} classes[] = {
    {"GPT2Tokenizer", "null", LEVEL("true")},
    {"Qwen2Tokenizer", "{\"type\":\"NFC\"}", QWEN2},
};

enum { TEXT_CAP_BYTES = 1 << 28 };

static bool is_class(vg_str s, const char *name)
{
    size_t n = strlen(name);
    return vg_str_is(s, name) ||
           (s.n == n + 4 && memcmp(s.p, name, n) == 0 && memcmp(s.p + n, "Fast", 4) == 0);
}

static void put_merges(vg_str lines, vg_buf *b)
{
    bool first = true;
    while (lines.n > 0) {
        const char *end = memchr(lines.p, '\n', lines.n);
        size_t n = end ? (size_t)(end - lines.p) : lines.n;
        vg_str line = {lines.p, n && lines.p[n - 1] == '\r' ? n - 1 : n};
        lines.p += n + (end != NULL);
        lines.n -= n + (end != NULL);
        if (line.n == 0 || vg_str_starts(line, VG_STR("#version"))) continue;
        if (!first) vg_buf_char(b, ',');
        vg_json_put_str(b, line);
        first = false;
    }
}

static const vg_json *find(const vg_json *ids, vg_str token)
{
    for (size_t i = 0; ids && i < ids->n; i++)
        if (vg_str_eq(ids->key[i], token)) return ids->item[i];
    return NULL;
}

/* A special token, with the id that one of two files gives it. */
static void put_special(const vocab *v, const vg_json *tokens, const vg_json *token, vg_buf *b)
{
    if (token && token->kind == VG_JSON_OBJECT) token = hf_get(token, "content");
    if (!token || token->kind != VG_JSON_STRING) return;
    const vg_json *id = find(tokens, token->str);
    if (!id) id = find(v->added, token->str);
    if (!id || id->kind != VG_JSON_INT || b->failed) return;
    vg_buf_fmt(b, "%s{\"id\":%lld,\"special\":true,\"content\":",
               b->data[b->n - 1] == '[' ? "" : ",", (long long)id->integer);
    vg_json_put_str(b, token->str);
    vg_buf_char(b, '}');
}

static void put_specials(const vocab *v, const vg_json *tokens, vg_buf *b)
{
    static const char *const roles[] = {"bos_token", "eos_token", "unk_token", "pad_token"};
    const vg_json *more = hf_get(v->config, "additional_special_tokens");
    vg_buf_text(b, "{\"added_tokens\":[");
    for (size_t i = 0; i < VG_COUNT(roles); i++)
        put_special(v, tokens, hf_get(v->config, roles[i]), b);
    for (size_t i = 0; more && more->kind == VG_JSON_ARRAY && i < more->n; i++)
        put_special(v, tokens, more->item[i], b);
}

static vg_status make(const vocab *v, const vg_json *tokens, vg_str merges, vg_buf *b,
                      vg_err *err)
{
    vg_str name = VG_STR("none");
    bool prefix = false;
    size_t k = 0;
    VG_TRY(hf_str(v->config, "tokenizer_class", &name, err));
    VG_TRY(hf_bool(v->config, "add_prefix_space", &prefix, err));
    while (k < VG_COUNT(classes) && !is_class(name, classes[k].name)) k++;
    if (k == VG_COUNT(classes) || prefix)
        return VG_FAIL(err, VG_E_UNSUPPORTED, "vocab.json and merges.txt of the class '%.*s'%s are "
                       "not supported without a tokenizer.json (AutoTokenizer's save_pretrained "
                       "makes one)", VG_STR_ARG(name), prefix ? " with add_prefix_space" : "");
    put_specials(v, tokens, b);
    vg_buf_fmt(b, "],\"normalizer\":%s,\"pre_tokenizer\":%s,\"post_processor\":%s,\"model\":{"
               "\"type\":\"BPE\",\"vocab\":", classes[k].normalizer, classes[k].pre,
               LEVEL("false"));
    vg_json_put(b, tokens);
    vg_buf_text(b, ",\"merges\":[");
    put_merges(merges, b);
    vg_buf_text(b, "]}}");
    return vg_buf_check(b, "the tokenizer", err);
}

vg_status vocab_read_slow(vocab *v, const vg_checkpoint *ckpt, vg_err *err)
{
    const vg_json *tokens = NULL;
    vg_json *doc = NULL;
    vg_str merges;
    vg_buf b;
    VG_TRY(vg_checkpoint_json(ckpt, v->t.arena, "vocab.json", &tokens, err));
    VG_TRY(vg_checkpoint_text(ckpt, v->t.arena, "merges.txt", &merges, err));
    if (!tokens || !merges.p)
        return VG_FAIL(err, VG_E_NOT_FOUND, "neither tokenizer.json nor tokenizer.model is there, "
                       "nor vocab.json with merges.txt");
    vg_buf_init(&b, TEXT_CAP_BYTES);
    vg_status st = make(v, tokens, merges, &b, err);
    if (!st) st = vg_json_parse(v->t.arena, b.data, b.n, &doc, err);
    vg_buf_clear(&b);
    v->json = doc;
    v->is_slow = true;
    return st;
}
