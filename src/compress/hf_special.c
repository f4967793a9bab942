/* hf_special.c: the ids of the tokens with a role (begin, end, unknown, padding, ...), whether a
 * text is framed by them, and the chat template. tokenizer_config.json names a token by its text,
 * config.json by its id; the first counts. How a text is framed is what tokenizer.json's post-
 * processor does, because that is what the original runs; only where it is silent, the switches of
 * tokenizer_config.json count. */
#include <stdio.h>

#include "compress/hf_vocab_int.h"

static const struct {
    const char *role, *key; /* keys in the format's own spelling */
} roles[] = {{"bos", "bos_token_id"},     {"eos", "eos_token_id"},
             {"unk", "unknown_token_id"}, {"sep", "seperator_token_id"},
             {"pad", "padding_token_id"}, {"cls", "cls_token_id"},
             {"mask", "mask_token_id"}};

/* The text of a token in tokenizer_config.json, plain or as an object; p NULL: none. */
static vg_str named(const vocab *v, const char *role)
{
    char key[32];
    snprintf(key, sizeof key, "%s_token", role);
    const vg_json *j = hf_get(v->config, key);
    if (j && j->kind == VG_JSON_OBJECT) j = hf_get(j, "content");
    return j && j->kind == VG_JSON_STRING ? j->str : (vg_str){0};
}

static int64_t find_id(const vocab *v, const hf_config *c, const vg_json *root, const char *role)
{
    char key[32];
    vg_str text = named(v, role);
    for (size_t i = 0; text.p && i < v->t.n; i++)
        if (vg_str_eq(v->t.text[i], text)) return (int64_t)i;
    snprintf(key, sizeof key, "%s_token_id", role);
    const vg_json *id = hf_get(root, key);
    if (!id) id = hf_get(c->json, key);
    bool valid = id && id->kind == VG_JSON_INT && id->integer >= 0 &&
                 (uint64_t)id->integer < v->t.n;
    return valid ? id->integer : -1;
}

/* The special token at one end of a post-processor's template; p NULL: none there. */
static vg_str special_at(const vg_json *single, size_t i)
{
    const vg_json *id = hf_get(hf_get(single->item[i], "SpecialToken"), "id");
    return id && id->kind == VG_JSON_STRING ? id->str : (vg_str){0};
}

/* 1: a text is framed so, 0: it is not, -1: nothing is said. */
typedef struct frame {
    int bos, eos;
} frame;

static void read_processor(const vg_json *p, frame *f)
{
    const vg_json *type = hf_get(p, "type"), *single = hf_get(p, "single");
    if (type && vg_str_is(type->str, "ByteLevel")) {
        if (f->bos < 0) f->bos = 0;
        if (f->eos < 0) f->eos = 0;
    }
    if (type && (vg_str_is(type->str, "RobertaProcessing") ||
                 vg_str_is(type->str, "BertProcessing")))
        f->bos = f->eos = 1;
    if (!single || single->kind != VG_JSON_ARRAY || single->n < 2) return;
    if (special_at(single, 0).p) f->bos = 1;
    if (special_at(single, single->n - 1).p) f->eos = 1;
}

static vg_status put_frame(const vocab *v, vg_gguf_writer *w, vg_err *err)
{
    const vg_json *post = hf_get(v->json, "post_processor"), *list = hf_get(post, "processors");
    frame f = {v->is_wordpiece ? 1 : -1, v->is_wordpiece ? 1 : -1};
    if (!list) read_processor(post, &f);
    for (size_t i = 0; list && list->kind == VG_JSON_ARRAY && i < list->n; i++)
        read_processor(list->item[i], &f);
    bool bos = f.bos == 1, eos = f.eos == 1;
    bool says_bos = hf_get(v->config, "add_bos_token") != NULL;
    bool says_eos = hf_get(v->config, "add_eos_token") != NULL;
    if (f.bos < 0) VG_TRY(hf_bool(v->config, "add_bos_token", &bos, err));
    if (f.eos < 0) VG_TRY(hf_bool(v->config, "add_eos_token", &eos, err));
    /* Readers have their own idea of what a tokenizer adds that nobody speaks about: right for
     * Llama's, but Unigram makes them think of T5. */
    const vg_json *class = hf_get(v->config, "tokenizer_class");
    if (v->is_unigram && f.bos < 0 && !says_bos)
        bos = class && vg_str_starts(class->str, VG_STR("Llama"));
    if (f.bos >= 0 || says_bos || !v->is_spm || v->is_unigram)
        vg_gguf_put_bool(w, "tokenizer.ggml.add_bos_token", bos);
    if (f.eos >= 0 || says_eos || v->is_unigram)
        vg_gguf_put_bool(w, "tokenizer.ggml.add_eos_token", eos);
    return VG_OK;
}

/* ---- chat template ------------------------------------------------------------------------- */

/* Several templates: "default" is the model's, the others stand under their names. */
static vg_status put_named(vg_arena *a, const vg_json *list, vg_gguf_writer *w, vg_err *err)
{
    vg_str *names = VG_ARENA_ARRAY(a, vg_str, list->n);
    size_t n = 0;
    if (!names) return VG_FAIL_MEMORY(err, list->n * sizeof *names);
    for (size_t i = 0; i < list->n; i++) {
        vg_str name = {0}, text = {0};
        char key[128];
        VG_TRY(hf_str(list->item[i], "name", &name, err));
        VG_TRY(hf_str(list->item[i], "template", &text, err));
        if (!name.n || !text.n || name.n > 64) continue;
        if (vg_str_is(name, "default")) {
            vg_gguf_put_str(w, "tokenizer.chat_template", text);
            continue;
        }
        snprintf(key, sizeof key, "tokenizer.chat_template.%.*s", VG_STR_ARG(name));
        vg_gguf_put_str(w, key, text);
        names[n++] = name;
    }
    if (n) vg_gguf_put_strs(w, "tokenizer.chat_templates", names, n);
    return VG_OK;
}

static vg_status put_template(const vocab *v, const vg_checkpoint *ckpt, vg_gguf_writer *w,
                              vg_err *err)
{
    vg_arena *a = v->t.arena;
    vg_str text = {0};
    const vg_json *other = NULL, *in_config = hf_get(v->config, "chat_template");
    if (!in_config) VG_TRY(vg_checkpoint_text(ckpt, a, "chat_template.jinja", &text, err));
    if (!in_config && !text.p) {
        VG_TRY(vg_checkpoint_json(ckpt, a, "chat_template.json", &other, err));
        in_config = hf_get(other, "chat_template");
    }
    if (in_config && in_config->kind == VG_JSON_ARRAY) return put_named(a, in_config, w, err);
    if (in_config && in_config->kind == VG_JSON_STRING) text = in_config->str;
    if (text.p && vg_utf8_valid(text.p, text.n) != text.n)
        return VG_FAIL(err, VG_E_FORMAT, "chat_template.jinja is not valid UTF-8");
    if (text.n) vg_gguf_put_str(w, "tokenizer.chat_template", text);
    return VG_OK;
}

vg_status vocab_put_special(const vocab *v, const hf_config *c, const vg_checkpoint *ckpt,
                            vg_gguf_writer *w, vg_err *err)
{
    const vg_json *root = vg_checkpoint_config(ckpt);
    for (size_t i = 0; i < VG_COUNT(roles); i++) {
        char key[64];
        int64_t id = find_id(v, c, root, roles[i].role);
        snprintf(key, sizeof key, "tokenizer.ggml.%s", roles[i].key);
        if (id < 0 && v->is_wordpiece && strcmp(roles[i].role, "bos") == 0)
            id = find_id(v, c, root, "cls"); /* readers begin a text with it */
        if (id >= 0) vg_gguf_put_u32(w, key, (uint32_t)id);
    }
    VG_TRY(put_frame(v, w, err));
    return put_template(v, ckpt, w, err);
}
