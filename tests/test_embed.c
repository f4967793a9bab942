/* Embeddings: encoders against the vectors of transformers (tests/golden/encoder, made by
 * tools/oracle/encoders.py), other models against their own logits, the same bits in any company,
 * and what is refused. */
#include <math.h>

#include "fault.h"
#include "golden.h"
#include "model/model.h"

typedef struct vectors { /* one golden file */
    char *bytes;
    uint32_t n_texts, width;
    vg_tokens text[16];
    const float *want[16]; /* mean, cls and last, one behind the other */
} vectors;

static const char *const encoders[] = {"bert", "bert-f16", "bert-odd", "xlm-roberta", "nomic-bert"};

static vg_model *open_encoder(const char *name)
{
    char path[4096], file[256];
    snprintf(file, sizeof file, "golden/encoder/%s.gguf", name);
    test_path(path, file);
    vg_model *m = NULL;
    vg_err err;
    TEST_OK(vg_model_open(&m, path, NULL, &err));
    return m;
}

static void read_vectors(vectors *v, const char *name)
{
    char path[4096], file[256];
    snprintf(file, sizeof file, "golden/encoder/%s.golden", name);
    test_path(path, file);
    size_t n;
    v->bytes = test_read(path, &n);
    assert_memory_equal(v->bytes, "VGEM\1", 5);
    memcpy(&v->n_texts, v->bytes + 8, 4);
    memcpy(&v->width, v->bytes + 12, 4);
    assert_true(v->n_texts <= VG_COUNT(v->text));
    char *p = v->bytes + 16;
    for (uint32_t i = 0; i < v->n_texts; i++) {
        uint32_t n_tok;
        memcpy(&n_tok, p, 4);
        v->text[i] = (vg_tokens){(int32_t *)(void *)(p + 4), n_tok};
        v->want[i] = (const float *)(const void *)(p + 4 + 4 * (size_t)n_tok);
        p += 4 + 4 * (size_t)n_tok + 12 * (size_t)v->width;
    }
    assert_int_equal(p - v->bytes, n);
}

static vg_engine *new_engine(vg_model *m, const vg_engine_opts *opts)
{
    vg_engine *e = NULL;
    vg_err err;
    TEST_OK(vg_engine_new(&e, m, opts, &err));
    return e;
}

static float *new_floats(size_t n)
{
    float *x = calloc(n, sizeof *x);
    assert_non_null(x);
    return x;
}

/* ---- encoders against transformers ----------------------------------------------------------- */

typedef struct distance {
    double largest, cosine; /* of vectors of length 1 */
} distance;

static void measure(const float *ours, const float *want, size_t n, distance *d)
{
    double dot = 0, a = 0, b = 0;
    for (size_t i = 0; i < n; i++) {
        dot += (double)ours[i] * (double)want[i];
        a += (double)ours[i] * (double)ours[i];
        b += (double)want[i] * (double)want[i];
    }
    for (size_t i = 0; i < n; i++)
        d->largest = fmax(d->largest,
                          fabs((double)ours[i] / sqrt(a) - (double)want[i] / sqrt(b)));
    d->cosine = fmin(d->cosine, dot / sqrt(a * b));
}

/* Float rounding through the layers gives 2e-7 (measured); a step of 16 rows takes texts in
 * pieces. */
static void encoders_match(void **state)
{
    VG_UNUSED(state);
    static const uint32_t batches[] = {0, 16};
    for (size_t i = 0; i < VG_COUNT(encoders); i++) {
        distance d = {0, 1};
        vectors v;
        vg_err err;
        read_vectors(&v, encoders[i]);
        vg_model *m = open_encoder(encoders[i]);
        float *out = new_floats((size_t)v.n_texts * v.width);
        for (size_t k = 0; k < VG_COUNT(batches); k++) {
            vg_engine *e = new_engine(m, &(vg_engine_opts){.batch_tok = batches[k]});
            for (vg_pooling p = VG_POOL_MEAN; p <= VG_POOL_LAST; p++) {
                const vg_embed_opts opts = {.pooling = p, .raw = true};
                TEST_OK(vg_engine_embed(e, v.text, v.n_texts, &opts, out, &err));
                for (uint32_t t = 0; t < v.n_texts; t++)
                    measure(out + (size_t)t * v.width,
                            v.want[t] + (size_t)(p - VG_POOL_MEAN) * v.width, v.width, &d);
            }
            vg_engine_free(e);
        }
        printf("%-12s largest difference %.1e, least cosine 1 - %.1e\n", encoders[i], d.largest,
               1 - d.cosine);
        assert_true(d.largest < 2e-6 && d.cosine > 1 - 1e-10);
        free(out);
        free(v.bytes);
        vg_model_unref(m);
    }
}

/* ---- other models against their logits ------------------------------------------------------- */

static double logit(const vg_model *m, const float *h, size_t v, float *row)
{
    double sum = 0;
    vg_dequant_row(m->output.type, m->output.data, m->output.interleaved, m->output.n_rows, v, row,
                   m->hp.width);
    for (size_t i = 0; i < m->hp.width; i++) sum += (double)row[i] * (double)h[i];
    return sum;
}

/* The last token's vector times the output matrix is the logits of transformers; the first one's
 * is the last one's of a text of one token, and the mean is that of all prefixes. */
static void decoders_match(void **state)
{
    VG_UNUSED(state);
    static const char *const families[] = {"llama", "qwen3", "phi3-swa", "llama-bias"};
    for (size_t f = 0; f < VG_COUNT(families); f++) {
        golden g;
        vg_err err;
        golden_read(&g, families[f]);
        vg_model *m = golden_model(families[f]);
        const uint32_t width = m->hp.width;
        vg_engine *e = new_engine(m, &(vg_engine_opts){.kv = VG_KV_F32, .batch_tok = 50});
        vg_embed_opts opts = {.raw = true};
        vg_tokens text[128];
        float *out = new_floats(130 * (size_t)width), *row = out + 128 * (size_t)width;
        float *mean = row + width;
        assert_int_equal(g.n_tok, 128);
        for (size_t i = 0; i < 128; i++) text[i] = (vg_tokens){(int32_t *)(uintptr_t)g.tok, i + 1};
        TEST_OK(vg_engine_embed(e, text, 128, &opts, out, &err));
        for (uint32_t k = 0; k < g.n_kept; k++) {
            const float *want = g.logits + (size_t)k * g.n_vocab;
            double largest = 0, diff = 0;
            for (size_t v = 0; v < g.n_vocab; v++) {
                diff = fmax(diff, fabs(logit(m, out + g.kept[k] * (size_t)width, v, row) -
                                       (double)want[v]));
                largest = fmax(largest, fabs((double)want[v]));
            }
            assert_true(diff < 1e-4 * largest); /* as test_arch.c has it */
        }
        opts.pooling = VG_POOL_MEAN;
        TEST_OK(vg_engine_embed(e, &text[127], 1, &opts, mean, &err));
        for (uint32_t i = 0; i < width; i++) {
            double sum = 0;
            for (size_t k = 0; k < 128; k++) sum += (double)out[k * width + i];
            assert_true(fabs((double)mean[i] - sum / 128) < 1e-5);
        }
        opts.pooling = VG_POOL_CLS;
        TEST_OK(vg_engine_embed(e, &text[127], 1, &opts, mean, &err));
        assert_memory_equal(mean, out, width * sizeof *mean);
        vg_engine_free(e);
        vg_model_unref(m);
        golden_free(&g);
        free(out);
    }
}

/* ---- the same bits --------------------------------------------------------------------------- */

/* One text alone has the bits that it has among others. exact_model.c goes through the machine's
 * instruction sets, threads and steps. */
static void company_changes_nothing(void **state)
{
    VG_UNUSED(state);
    vectors v;
    vg_err err;
    read_vectors(&v, "bert");
    vg_model *m = open_encoder("bert");
    vg_engine *e = new_engine(m, NULL);
    float *all = new_floats((size_t)v.n_texts * v.width), one[32];
    TEST_OK(vg_engine_embed(e, v.text, v.n_texts, NULL, all, &err));
    for (uint32_t i = 0; i < v.n_texts; i++) {
        TEST_OK(vg_engine_embed(e, &v.text[i], 1, NULL, one, &err));
        assert_memory_equal(one, all + (size_t)i * v.width, sizeof one);
    }
    free(all);
    free(v.bytes);
    vg_engine_free(e);
    vg_model_unref(m);
}

/* A session that stands in the middle goes on as if nothing had been. */
static void sessions_stay(void **state)
{
    VG_UNUSED(state);
    vg_err err;
    golden g;
    golden_read(&g, "llama");
    vg_model *m = golden_model("llama");
    vg_engine *e = new_engine(m, &(vg_engine_opts){.ctx_tok = 128, .n_sessions = 2});
    vg_session *s = NULL, *full = NULL;
    const vg_tokens text = {(int32_t *)(uintptr_t)g.tok, 128};
    float v[64], *logits = new_floats(2 * (size_t)g.n_vocab);
    for (int round = 0; round < 2; round++) {
        TEST_OK(vg_session_new(&s, e, NULL, &err));
        TEST_OK(vg_session_append(s, g.tok, 20, &err));
        while (vg_session_pending(s)) TEST_OK(vg_engine_step(e, &s, 1, &err));
        if (round == 1) TEST_OK(vg_engine_embed(e, &text, 1, NULL, v, &err));
        TEST_OK(vg_session_append(s, g.tok + 20, 20, &err));
        while (vg_session_pending(s)) TEST_OK(vg_engine_step(e, &s, 1, &err));
        memcpy(logits + (size_t)round * g.n_vocab, vg_session_logits(s),
               g.n_vocab * sizeof *logits);
        if (round == 0) vg_session_free(s);
    }
    assert_memory_equal(logits, logits + g.n_vocab, g.n_vocab * sizeof *logits);
    /* 1 of 4 pages is s's, 2 another session's: the one that is left is too few for 128 tokens. */
    TEST_OK(vg_session_new(&full, e, NULL, &err));
    TEST_OK(vg_session_append(full, g.tok, 128, &err));
    while (vg_session_pending(full)) TEST_OK(vg_engine_step(e, &full, 1, &err));
    assert_int_equal(vg_engine_embed(e, &text, 1, NULL, v, &err), VG_E_LIMIT);
    assert_string_equal(err.msg, "text 0 of 128 tokens needs 2 pages of the cache; the sessions "
                                 "that are open leave 1 of 4");
    const vg_tokens pair[2] = {{text.id, 64}, {text.id, 10}}; /* one after the other, then */
    float vs[2 * 64];
    TEST_OK(vg_engine_embed(e, pair, 2, NULL, vs, &err));
    vg_session_free(full);
    TEST_OK(vg_engine_embed(e, &text, 1, NULL, v, &err));
    vg_session_free(s);
    free(logits);
    vg_engine_free(e);
    vg_model_unref(m);
    golden_free(&g);
}

/* ---- options and what is refused ------------------------------------------------------------- */

static double length(const float *x, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += (double)x[i] * (double)x[i];
    return sqrt(sum);
}

static void options_hold(void **state)
{
    VG_UNUSED(state);
    vg_err err;
    vectors v;
    read_vectors(&v, "bert-f16");
    vg_model *m = open_encoder("bert-f16");
    vg_engine *e = new_engine(m, NULL);
    float unit[64], raw[64], part[40];
    vg_model_info info;
    vg_model_get_info(m, &info);
    assert_true(info.is_encoder && info.pooling == VG_POOL_CLS && info.width == 64 &&
                info.ctx_train_tok == 128 && info.add_bos);
    TEST_OK(vg_engine_embed(e, &v.text[3], 1, NULL, unit, &err));
    TEST_OK(vg_engine_embed(e, &v.text[3], 1, &(vg_embed_opts){.raw = true}, raw, &err));
    TEST_OK(vg_engine_embed(e, &v.text[3], 1, &(vg_embed_opts){.dimensions = 40}, part, &err));
    double l = length(raw, 64), l40 = length(raw, 40);
    assert_true(fabs(length(unit, 64) - 1) < 1e-6 && fabs(length(part, 40) - 1) < 1e-6);
    for (int i = 0; i < 64; i++) assert_true(fabs((double)unit[i] - (double)raw[i] / l) < 1e-6);
    for (int i = 0; i < 40; i++) assert_true(fabs((double)part[i] - (double)raw[i] / l40) < 1e-6);
    float cls[64];
    const vg_embed_opts named = {.pooling = VG_POOL_CLS, .raw = true};
    TEST_OK(vg_engine_embed(e, &v.text[3], 1, &named, cls, &err));
    assert_memory_equal(cls, raw, sizeof raw);
    TEST_OK(vg_engine_embed(e, NULL, 0, NULL, NULL, &err));
    vg_engine_free(e);
    vg_model_unref(m);
    free(v.bytes);
}

static void refuses(vg_engine *e, const vg_tokens *t, size_t n, const vg_embed_opts *o,
                    vg_status st, const char *msg)
{
    float out[128];
    vg_err err;
    assert_int_equal(vg_engine_embed(e, t, n, o, out, &err), st);
    assert_string_equal(err.msg, msg);
}

static void bad_requests_fail(void **state)
{
    VG_UNUSED(state);
    vg_err err;
    vg_model *m = open_encoder("bert-odd");
    vg_engine *e = new_engine(m, &(vg_engine_opts){.ctx_tok = 4096}); /* the table ends at 80 */
    vg_session *s = NULL;
    int32_t id[81] = {0}, high = 160, low = -1;
    const vg_tokens one = {id, 1}, longest = {id, 80}, more = {id, 81};
    const vg_tokens with_empty[2] = {{id, 3}, {NULL, 0}};
    float out[40];
    TEST_OK(vg_engine_embed(e, &longest, 1, NULL, out, &err));
    refuses(e, &more, 1, NULL, VG_E_CONTEXT, "text 0 has 81 tokens, the context 80");
    refuses(e, with_empty, 2, NULL, VG_E_USAGE, "text 1 has no tokens");
    refuses(e, &(vg_tokens){&high, 1}, 1, NULL, VG_E_USAGE,
            "text 0: token 160 is not within the vocabulary of 160");
    refuses(e, &(vg_tokens){&low, 1}, 1, NULL, VG_E_USAGE,
            "text 0: token -1 is not within the vocabulary of 160");
    refuses(e, &one, 1, &(vg_embed_opts){.dimensions = 41}, VG_E_USAGE,
            "41 dimensions of vectors that have 40");
    refuses(e, &one, 1, &(vg_embed_opts){.pooling = 9}, VG_E_USAGE, "9 is no kind of pooling");
    assert_int_equal(vg_session_new(&s, e, NULL, &err), VG_E_UNSUPPORTED);
    assert_string_equal(err.msg, "model verge oracle is an encoder (bert): it gives embeddings and "
                                 "has no sessions");
    vg_plan plan;
    TEST_OK(vg_plan_make(m, NULL, &plan, &err));
    assert_true(plan.kv_bytes == 0 && plan.n_pages == 0 && plan.ctx_tok == 80);
    vg_engine_free(e);
    vg_model_unref(m);
}

/* The first byte of a key's value becomes another one; `skip` bytes behind the key, of which 4 are
 * its type. */
static vg_status open_patched(const char *key, size_t skip, char byte, vg_model **m, vg_err *err)
{
    char path[4096];
    size_t n;
    test_path(path, "golden/encoder/bert.gguf");
    char *bytes = test_read(path, &n), *file = aligned_alloc(64, (n + 63) / 64 * 64);
    assert_non_null(file);
    memcpy(file, bytes, n);
    free(bytes);
    char *at = memmem(file, n, key, strlen(key));
    assert_non_null(at);
    at[strlen(key) + skip] = byte;
    vg_status st = vg_model_open_memory(m, file, n, NULL, err);
    if (!st) {
        vg_engine *e = new_engine(*m, NULL);
        int32_t id = 5;
        float out[32];
        st = vg_engine_embed(e, &(vg_tokens){&id, 1}, 1, NULL, out, err);
        vg_engine_free(e);
        vg_model_unref(*m);
    }
    free(file);
    return st;
}

static void hostile_files_are_refused(void **state)
{
    VG_UNUSED(state);
    static const struct {
        const char *key;
        size_t skip;
        char byte;
        vg_status status;
        const char *says;
    } bad[] = {
        {"bert.attention.causal", 4, 1, VG_E_UNSUPPORTED, "bert.attention.causal is true"},
        {"bert.pooling_type", 4, 5, VG_E_FORMAT, "bert.pooling_type is 5"},
        {"bert.pooling_type", 4, 4, VG_E_UNSUPPORTED, "ranks pairs of texts"},
        {"bert.context_length", 4, 'W', VG_E_FORMAT, "position_embd.weight has the shape"},
        {"bert.embedding_length", 4, 33, VG_E_FORMAT, "the shape"},
        {"bert.attention.head_count", 4, 3, VG_E_FORMAT, "attn_q.weight has the shape"},
        {"bert.attention.head_count", 4, 0, VG_E_FORMAT, "head_count is 0"},
        {"bert.feed_forward_length", 4, 65, VG_E_FORMAT, "ffn_up.weight has the shape"},
        {"bert.block_count", 4, 3, VG_E_FORMAT, "blk.2.attn_q.weight is missing"},
        {"bert.attention.layer_norm_epsilon", 7, (char)0xbf, VG_E_FORMAT, "epsilon is -"},
        {"bert.attention.layer_norm_epsilo", 0, 'm', VG_E_NOT_FOUND, "epsilon is missing"},
        {"position_emb", 0, '_', VG_E_FORMAT, "position_embd.weight is missing"},
        {"token_embd_norm.bia", 0, '_', VG_E_FORMAT, "token_embd_norm.bias is missing"},
        {"blk.1.layer_output_norm.bia", 0, '_', VG_E_FORMAT, "norm.bias is missing"},
    };
    for (size_t i = 0; i < VG_COUNT(bad); i++) {
        vg_err err;
        vg_model *m = NULL;
        vg_status st = open_patched(bad[i].key, bad[i].skip, bad[i].byte, &m, &err);
        if (st != bad[i].status || !strstr(err.msg, bad[i].says))
            fail_msg("case %zu: %s %s", i, vg_status_name(st), st ? err.msg : "");
    }
}

/* Weights that are no numbers end in an error, and nothing is left taken. */
static void damage_is_reported(void **state)
{
    VG_UNUSED(state);
    vg_err err;
    vg_model *m = open_encoder("bert");
    vg_engine *e = new_engine(m, &(vg_engine_opts){.n_threads = 1});
    int32_t id[3] = {5, 6, 7};
    const vg_tokens text = {id, 3};
    float out[32], nan = (float)NAN, good[32];
    TEST_OK(vg_engine_embed(e, &text, 1, NULL, good, &err));
    const float *was = vg_tensor_f32(&m->embed_norm_bias);
    float bias[32];
    memcpy(bias, was, sizeof bias);
    bias[3] = nan;
    m->embed_norm_bias.data = (const uint8_t *)bias;
    assert_int_equal(vg_engine_embed(e, &text, 1, NULL, out, &err), VG_E_NUMERIC);
    m->embed_norm_bias.data = (const uint8_t *)was;
    TEST_OK(vg_engine_embed(e, &text, 1, NULL, out, &err));
    assert_memory_equal(out, good, sizeof out);
    vg_engine_free(e);
    vg_model_unref(m);
}

/* An engine of an encoder under every allocation that fails; embedding itself makes none. */
static void faults_are_reported(void **state)
{
    VG_UNUSED(state);
    vg_err err;
    vg_model *m = open_encoder("bert-odd");
    int32_t id[70] = {5, 6, 7};
    const vg_tokens text = {id, 70};
    float out[40];
    bool more = true;
    for (unsigned n = 1; more; n++) {
        vg_engine *e = NULL;
        fault_arm(FAULT_ALLOC, n);
        vg_status st = vg_engine_new(&e, m, &(vg_engine_opts){.n_threads = 1}, &err);
        more = fault_disarm();
        if (more) assert_int_equal(st, VG_E_NO_MEMORY);
        else TEST_OK(st);
        if (!st) {
            fault_arm(FAULT_ALLOC, 1);
            TEST_OK(vg_engine_embed(e, &text, 1, NULL, out, &err));
            assert_false(fault_disarm());
        }
        vg_engine_free(e);
    }
    vg_model_unref(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(encoders_match),
        cmocka_unit_test(decoders_match),
        cmocka_unit_test(company_changes_nothing),
        cmocka_unit_test(sessions_stay),
        cmocka_unit_test(options_hold),
        cmocka_unit_test(bad_requests_fail),
        cmocka_unit_test(hostile_files_are_refused),
        cmocka_unit_test(damage_is_reported),
        cmocka_unit_test(faults_are_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
