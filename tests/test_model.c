/* Tests of opening a model: hyperparameters, shapes and types that a hostile or broken file gets
 * wrong (files 21 to 24 of the list of hostile models), each with the words that its error must
 * have; memory that runs out at every point; damaged weights found at run time. */
#include <math.h>

#include "fault.h"
#include "gguf_make.h"
#include "model/model.h"
#include "test.h"

enum { WIDTH = 64, N_VOCAB = 32, N_FF = 96, N_HEADS = 4, N_KV = 2 };

/* What to change in an otherwise good llama. */
typedef struct lie {
    const char *what;
    const char *drop;         /* a key or tensor that is left out */
    const char *key;          /* a key whose value is another one ... */
    uint32_t u32;
    float f32;
    const char *str;          /* ... of the type that is set, u32 else */
    const char *tensor;       /* a tensor whose shape or type is another one */
    uint64_t dim[2];
    uint32_t type;
    vg_status status;
    const char *says;         /* part of the message */
} lie;

static bool dropped(const lie *l, const char *name)
{
    return l && l->drop && strcmp(l->drop, name) == 0;
}

static void put_u32(gguf_make *g, const lie *l, const char *key, uint32_t v)
{
    bool lies = l && l->key && strcmp(l->key, key) == 0;
    if (dropped(l, key)) return;
    if (lies && l->str) make_str(g, key, l->str);
    else make_u32(g, key, lies ? l->u32 : v);
}

static void put_f32(gguf_make *g, const lie *l, const char *key, float v)
{
    bool lies = l && l->key && strcmp(l->key, key) == 0;
    if (!dropped(l, key)) make_f32(g, key, lies ? l->f32 : v);
}

static void put_tensor(gguf_make *g, const lie *l, const char *name, uint64_t n_in, uint64_t n_rows)
{
    bool lies = l && l->tensor && strcmp(l->tensor, name) == 0;
    uint64_t dim[2] = {n_in, n_rows ? n_rows : 1};
    if (dropped(l, name)) return;
    if (lies && l->dim[0]) memcpy(dim, l->dim, sizeof dim);
    make_tensor(g, name, lies ? l->type : VG_F32, n_rows ? 2 : 1, dim, NULL);
}

static uint8_t *make_llama(const lie *l, size_t *n)
{
    gguf_make g;
    make_begin(&g);
    if (!dropped(l, "general.architecture"))
        make_str(&g, "general.architecture",
                 l && l->key && strcmp(l->key, "general.architecture") == 0 ? l->str : "llama");
    put_u32(&g, l, "llama.block_count", 1);
    put_u32(&g, l, "llama.embedding_length", WIDTH);
    put_u32(&g, l, "llama.context_length", 128);
    put_u32(&g, l, "llama.feed_forward_length", N_FF);
    put_u32(&g, l, "llama.attention.head_count", N_HEADS);
    put_u32(&g, l, "llama.attention.head_count_kv", N_KV);
    put_f32(&g, l, "llama.attention.layer_norm_rms_epsilon", 1e-5f);
    put_f32(&g, l, "llama.rope.freq_base", 10000);
    put_u32(&g, l, "llama.rope.dimension_count", WIDTH / N_HEADS);
    if (l && l->key && strcmp(l->key, "llama.rope.scaling.type") == 0)
        make_str(&g, l->key, l->str);
    if (l && l->key && strcmp(l->key, VG_KV_TYPE_KEY) == 0) put_u32(&g, l, VG_KV_TYPE_KEY, 0);
    put_tensor(&g, l, "token_embd.weight", WIDTH, N_VOCAB);
    put_tensor(&g, l, "output_norm.weight", WIDTH, 0);
    put_tensor(&g, l, "blk.0.attn_norm.weight", WIDTH, 0);
    put_tensor(&g, l, "blk.0.attn_q.weight", WIDTH, WIDTH);
    put_tensor(&g, l, "blk.0.attn_k.weight", WIDTH, WIDTH / N_HEADS * N_KV);
    put_tensor(&g, l, "blk.0.attn_v.weight", WIDTH, WIDTH / N_HEADS * N_KV);
    put_tensor(&g, l, "blk.0.attn_output.weight", WIDTH, WIDTH);
    put_tensor(&g, l, "blk.0.ffn_norm.weight", WIDTH, 0);
    put_tensor(&g, l, "blk.0.ffn_gate.weight", WIDTH, N_FF);
    put_tensor(&g, l, "blk.0.ffn_up.weight", WIDTH, N_FF);
    put_tensor(&g, l, "blk.0.ffn_down.weight", N_FF, WIDTH);
    return make_end(&g, n);
}

static const lie lies[] = {
    {.what = "no architecture", .drop = "general.architecture", .status = VG_E_NOT_FOUND,
     .says = "general.architecture"},
    {.what = "unknown family", .key = "general.architecture", .str = "mamba\x1b[2J",
     .status = VG_E_UNSUPPORTED, .says = "'mamba?[2J' is not supported"},
    {.what = "no layers", .key = "llama.block_count", .u32 = 0, .status = VG_E_FORMAT,
     .says = "llama.block_count is 0"},
    {.what = "2^32-1 layers", .key = "llama.block_count", .u32 = UINT32_MAX, .status = VG_E_FORMAT,
     .says = "not within 1 to 1024"},
    {.what = "layers that are not there", .key = "llama.block_count", .u32 = 2,
     .status = VG_E_FORMAT, .says = "blk.1.attn_q.weight is missing"},
    {.what = "zero heads", .key = "llama.attention.head_count", .u32 = 0, .status = VG_E_FORMAT,
     .says = "head_count is 0"},
    {.what = "more key heads than heads", .key = "llama.attention.head_count_kv", .u32 = 8,
     .status = VG_E_FORMAT, .says = "head_count_kv is 8"},
    {.what = "uneven key heads", .key = "llama.attention.head_count_kv", .u32 = 3,
     .status = VG_E_FORMAT, .says = "4 query heads do not share 3 key heads"},
    {.what = "zero width", .key = "llama.embedding_length", .u32 = 0, .status = VG_E_FORMAT,
     .says = "embedding_length is 0"},
    {.what = "another width than the tensors'", .key = "llama.embedding_length", .u32 = 128,
     .status = VG_E_FORMAT, .says = "token_embd.weight has the shape [64, 32"},
    {.what = "heads wider than supported", .key = "llama.embedding_length", .u32 = 1 << 19,
     .status = VG_E_FORMAT, .says = "heads of 131072 dimensions"},
    {.what = "another inner width", .key = "llama.feed_forward_length", .u32 = 97,
     .status = VG_E_FORMAT, .says = "blk.0.ffn_gate.weight has the shape [64, 96"},
    {.what = "a context of 2^31", .key = "llama.context_length", .u32 = 1u << 31,
     .status = VG_E_FORMAT, .says = "context_length is 2147483648"},
    {.what = "a width that is text", .key = "llama.embedding_length", .str = "64",
     .status = VG_E_FORMAT, .says = "llama.embedding_length"},
    {.what = "odd RoPE", .key = "llama.rope.dimension_count", .u32 = 7, .status = VG_E_FORMAT,
     .says = "RoPE over 7 dimensions"},
    {.what = "RoPE past the head", .key = "llama.rope.dimension_count", .u32 = 18,
     .status = VG_E_FORMAT, .says = "dimension_count is 18"},
    {.what = "RoPE base NaN", .key = "llama.rope.freq_base", .f32 = NAN, .status = VG_E_FORMAT,
     .says = "freq_base is"},
    {.what = "RoPE base 0", .key = "llama.rope.freq_base", .f32 = 0, .status = VG_E_FORMAT,
     .says = "freq_base is 0"},
    {.what = "unknown RoPE scaling", .key = "llama.rope.scaling.type", .str = "yarn",
     .status = VG_E_UNSUPPORTED, .says = "'yarn'"},
    {.what = "negative epsilon", .key = "llama.attention.layer_norm_rms_epsilon", .f32 = -1,
     .status = VG_E_FORMAT, .says = "epsilon is -1"},
    {.what = "no epsilon", .drop = "llama.attention.layer_norm_rms_epsilon",
     .status = VG_E_NOT_FOUND, .says = "layer_norm_rms_epsilon is missing"},
    {.what = "no embedding", .drop = "token_embd.weight", .status = VG_E_FORMAT,
     .says = "token_embd.weight is missing"},
    {.what = "no norm", .drop = "output_norm.weight", .status = VG_E_FORMAT,
     .says = "output_norm.weight is missing"},
    {.what = "a norm in F16", .tensor = "blk.0.attn_norm.weight", .type = VG_F16,
     .status = VG_E_UNSUPPORTED, .says = "blk.0.attn_norm.weight is F16, only F32"},
    {.what = "transposed", .tensor = "blk.0.ffn_down.weight", .dim = {WIDTH, N_FF}, .type = VG_F32,
     .status = VG_E_FORMAT, .says = "blk.0.ffn_down.weight has the shape [64, 96"},
    {.what = "too few rows of v", .tensor = "blk.0.attn_v.weight", .dim = {WIDTH, 16},
     .type = VG_F32, .status = VG_E_FORMAT, .says = "blk.0.attn_v.weight has the shape [64, 16"},
};

static void lies_are_refused(void **state)
{
    VG_UNUSED(state);
    for (size_t i = 0; i < VG_COUNT(lies); i++) {
        vg_err err = {0};
        size_t n;
        uint8_t *file = make_llama(&lies[i], &n);
        vg_model *m = NULL;
        vg_status st = vg_model_open_memory(&m, file, n, NULL, &err);
        if (st != lies[i].status || m || !strstr(err.msg, lies[i].says))
            fail_msg("%s: %s \"%s\", expected %s \"...%s...\"", lies[i].what, vg_status_name(st),
                     err.msg, vg_status_name(lies[i].status), lies[i].says);
        free(file);
    }
}

static void the_truth_is_accepted(void **state)
{
    VG_UNUSED(state);
    vg_err err;
    size_t n;
    uint8_t *file = make_llama(NULL, &n);
    vg_model *m = NULL;
    TEST_OK(vg_model_open_memory(&m, file, n, NULL, &err));
    vg_model_info info;
    vg_model_get_info(m, &info);
    assert_string_equal(info.arch, "llama");
    assert_int_equal(info.n_vocab, N_VOCAB);
    vg_tokens ids = {0};
    assert_int_equal(vg_tokenize(m, "a", 1, 0, &ids, &err), VG_E_NOT_FOUND);
    assert_non_null(strstr(err.msg, "no tokenizer"));
    vg_text text = {0};
    assert_int_equal(vg_chat_render(m, "[]", 2, &text, &err), VG_E_NOT_FOUND);
    assert_true(vg_model_ref(m) == m);
    vg_model_unref(m);
    vg_model_unref(m);
    free(file);
}

/* A context that fits the file's format but no machine: an error with the bytes that are
 * missing. */
static void impossible_contexts_are_refused(void **state)
{
    VG_UNUSED(state);
    vg_err err;
    size_t n;
    uint8_t *file = make_llama(NULL, &n);
    vg_model *m = NULL;
    vg_engine *e = NULL;
    TEST_OK(vg_model_open_memory(&m, file, n, NULL, &err));
    vg_engine_opts huge = {.ctx_tok = 1u << 31};
    assert_int_equal(vg_engine_new(&e, m, &huge, &err), VG_E_USAGE);
    huge = (vg_engine_opts){.ctx_tok = 1 << 24, .n_sessions = 4096};
    assert_int_equal(vg_engine_new(&e, m, &huge, &err), VG_E_NO_MEMORY);
    assert_non_null(strstr(err.msg, "more than are free"));
    assert_null(e);
    vg_engine_opts unknown = {.isa = "sse9"};
    assert_int_equal(vg_engine_new(&e, m, &unknown, &err), VG_E_USAGE);
    assert_non_null(strstr(err.msg, "sse9"));
    vg_model_unref(m);
    free(file);
}

static void nan_weights_are_an_error_of_the_step(void **state)
{
    VG_UNUSED(state);
    vg_err err;
    size_t n;
    uint8_t *file = make_llama(NULL, &n);
    vg_gguf *g = NULL;
    TEST_OK(vg_gguf_open_memory(&g, file, n, NULL, &err));
    size_t at = (size_t)(vg_gguf_tensor_find(g, "blk.0.ffn_norm.weight")->data - file);
    vg_gguf_close(g);
    memcpy(file + at, &(float){NAN}, sizeof(float));
    memcpy(file + at + 4, &(float){INFINITY}, sizeof(float));
    vg_model *m = NULL;
    vg_engine *e = NULL;
    vg_session *s = NULL;
    TEST_OK(vg_model_open_memory(&m, file, n, NULL, &err));
    TEST_OK(vg_engine_new(&e, m, NULL, &err));
    TEST_OK(vg_session_new(&s, e, NULL, &err));
    TEST_OK(vg_session_append(s, &(int32_t){1}, 1, &err));
    assert_int_equal(vg_engine_step(e, &s, 1, &err), VG_E_NUMERIC);
    assert_non_null(strstr(err.msg, "NaN"));
    assert_int_equal(vg_session_pending(s), 1);
    assert_null(vg_session_logits(s));
    vg_session_free(s);
    vg_engine_free(e);
    vg_model_unref(m);
    free(file);
}

/* Opens a model from a file and makes an engine with a session; VG_OK or the first failure. */
static vg_status open_all(const char *path, vg_err *err)
{
    vg_model *m = NULL;
    vg_engine *e = NULL;
    vg_session *s = NULL;
    const vg_engine_opts opts = {.n_threads = 2};
    vg_status st = vg_model_open(&m, path, NULL, err);
    if (!st) st = vg_engine_new(&e, m, &opts, err);
    if (!st) st = vg_session_new(&s, e, NULL, err);
    vg_session_free(s);
    vg_engine_free(e);
    vg_model_unref(m);
    return st;
}

static void every_failure_of_the_system_is_an_error(void **state)
{
    VG_UNUSED(state);
    char path[4096];
    test_path(path, "golden/arch/qwen2.gguf");
    for (fault_kind kind = FAULT_ALLOC; kind <= FAULT_IO; kind++) {
        unsigned n = 1;
        for (;; n++) {
            vg_err err = {0};
            fault_arm(kind, n);
            vg_status st = open_all(path, &err);
            if (!fault_disarm()) break;
            /* What only asks how much memory is free may fail without harm, and so may the
             * threads that share out the loading. */
            if (st && kind == FAULT_ALLOC) assert_int_equal(st, VG_E_NO_MEMORY);
            if (st) assert_true(err.code == st && err.msg[0] != '\0');
        }
        assert_true(n > 3);
    }
}

static void the_file_has_a_say_in_its_cache(void **state)
{
    static const struct {
        const char *says;
        vg_kv_type asked, got;
        bool noted;
    } cases[] = {{NULL, VG_KV_AUTO, VG_KV_Q8, true}, /* a number */
                 {"q8_0", VG_KV_AUTO, VG_KV_Q8, false},
                 {"f16", VG_KV_AUTO, VG_KV_F16, false},
                 {"f32", VG_KV_AUTO, VG_KV_F32, false},
                 {"f32", VG_KV_Q8, VG_KV_Q8, false},
                 {"f32", VG_KV_F16, VG_KV_F16, false},
                 {"q4_0\x1b[2J", VG_KV_AUTO, VG_KV_Q8, true},
                 {"", VG_KV_AUTO, VG_KV_Q8, true}};
    (void)state;
    for (size_t i = 0; i < VG_COUNT(cases); i++) {
        lie l = {.key = VG_KV_TYPE_KEY, .str = cases[i].says, .u32 = 1};
        size_t n;
        uint8_t *file = make_llama(&l, &n);
        vg_err err;
        vg_model *m = NULL;
        vg_model_info info;
        vg_plan plan;
        TEST_OK(vg_model_open_memory(&m, file, n, NULL, &err));
        vg_model_get_info(m, &info);
        assert_int_equal(info.note != NULL, cases[i].noted);
        TEST_OK(vg_plan_make(m, &(vg_engine_opts){.kv = cases[i].asked}, &plan, &err));
        assert_int_equal(plan.kv, cases[i].got);
        vg_model_unref(m);
        free(file);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_truth_is_accepted),
        cmocka_unit_test(lies_are_refused),
        cmocka_unit_test(the_file_has_a_say_in_its_cache),
        cmocka_unit_test(impossible_contexts_are_refused),
        cmocka_unit_test(every_failure_of_the_system_is_an_error),
        cmocka_unit_test(nan_weights_are_an_error_of_the_step),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
