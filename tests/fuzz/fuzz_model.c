/* The whole way of a model file: what opens must also run, whatever its numbers say: tokenise, a
 * vector, a step, a sample, decode. Errors are fine; damage is not. */
#include "fuzz.h"

static void speak(vg_model *m, vg_session *s, vg_engine *e)
{
    vg_err err;
    vg_tokens ids = {0};
    int32_t next = 0;
    if (vg_tokenize(m, "hello \xff", 7, VG_TOK_BOS, &ids, &err) == VG_OK && ids.n && ids.n < 32) {
        if (vg_session_append(s, ids.id, ids.n, &err)) goto out;
    } else if (vg_session_append(s, &next, 1, &err)) {
        goto out;
    }
    while (vg_session_pending(s))
        if (vg_engine_step(e, &s, 1, &err)) goto out;
    if (vg_session_sample(s, &next, &err)) goto out;
    vg_text text = {0};
    if (vg_detokenize(m, &next, 1, true, &text, &err) == VG_OK) vg_text_free(&text);
out:
    vg_tokens_free(&ids);
}

/* One short text, and one of two pieces. */
static void embed(const vg_model *m, vg_engine *e)
{
    enum { MAX_WIDTH = 4096 };
    vg_err err;
    vg_model_info info;
    int32_t id[40] = {0};
    const vg_tokens text[2] = {{id, 3}, {id, 40}};
    float out[2 * MAX_WIDTH];
    vg_model_get_info(m, &info);
    if (info.width > MAX_WIDTH) return;
    for (vg_pooling p = VG_POOL_AUTO; p <= VG_POOL_LAST; p++)
        if (vg_engine_embed(e, text, 2, &(vg_embed_opts){.pooling = p}, out, &err)) return;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    vg_err err;
    vg_model *m = NULL;
    vg_engine *e = NULL;
    vg_session *s = NULL;
    vg_engine_opts opts = {.n_threads = 1, .ctx_tok = 64, .batch_tok = 16};
    uint8_t *file = fuzz_aligned(data, n);
    if (vg_model_open_memory(&m, file, n, NULL, &err) == VG_OK &&
        vg_engine_new(&e, m, &opts, &err) == VG_OK) {
        embed(m, e);
        if (vg_session_new(&s, e, NULL, &err) == VG_OK) speak(m, s, e);
    }
    vg_session_free(s);
    vg_engine_free(e);
    vg_model_unref(m);
    free(file);
    return 0;
}
