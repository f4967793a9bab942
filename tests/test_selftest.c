/* Tests of the kernels' proof at load: good kernels pass, a kernel that is wrong in a single bit is
 * found, named and replaced, and the engine's logits are then those of plain C. */
#include "fault.h"
#include "infer/infer_int.h"
#include "test.h"

/* ---- kernels that are wrong: plain C, and then something else -------------------------------- */

static void flip(void *p)
{
    *(uint8_t *)p ^= 1;
}

static const vg_kern *plain(void)
{
    return vg_kern_pick("c");
}

static void wrong_quantise(const float *x, vg_act *act, size_t n)
{
    plain()->quantise(x, act, n);
    flip(&act->q[3]);
}

/* Wrong for one type alone, and only with several columns. */
static void wrong_rows(vg_dtype type, const vg_rows *a)
{
    plain()->rows(type, a);
    if (type == VG_Q8_0 && a->n_cols > 1) flip(&a->out[a->n_rows - 1]);
}

static void wrong_rms_norm(const float *x, const float *w, float *out, size_t n, float eps)
{
    plain()->rms_norm(x, w, out, n, eps);
    flip(&out[n - 1]);
}

static void wrong_silu_mul(const float *gate, const float *up, float *out, size_t n)
{
    plain()->silu_mul(gate, up, out, n);
    flip(&out[0]);
}

static void wrong_rope(float *x, const float *cos, const float *sin, size_t n, bool interleaved)
{
    plain()->rope(x, cos, sin, n, interleaved);
    if (interleaved) flip(&x[1]);
}

static void wrong_store_key(vg_kv_kind kind, const float *x, void *tile, size_t t, size_t n)
{
    plain()->store_key(kind, x, tile, t, n);
    if (kind == VG_KVK_Q8) flip((uint8_t *)tile + 4 * t);
}

static void wrong_store_value(vg_kv_kind kind, const float *x, void *tile, size_t t, size_t n)
{
    plain()->store_value(kind, x, tile, t, n);
    if (kind == VG_KVK_F16 && t == 0) flip((uint8_t *)tile + 5);
}

static void wrong_attn_tile(const vg_attn_tile *a)
{
    plain()->attn_tile(a);
    a->state.acc[0] += 1; /* a bit might be lost when the next tile is taken in */
}

static void wrong_attn_merge(const vg_attn_state *to, const vg_attn_state *from, size_t n_q,
                             size_t dim_v)
{
    plain()->attn_merge(to, from, n_q, dim_v);
    flip(&to->l[n_q - 1]);
}

/* The best table of this CPU with some kernels that are wrong. */
static vg_kern broken_table(void)
{
    vg_kern k = *vg_kern_pick(NULL);
    k.quantise = wrong_quantise;
    k.rows = wrong_rows;
    k.rms_norm = wrong_rms_norm;
    k.silu_mul = wrong_silu_mul;
    k.rope = wrong_rope;
    k.store_key = wrong_store_key;
    k.store_value = wrong_store_value;
    k.attn_tile = wrong_attn_tile;
    k.attn_merge = wrong_attn_merge;
    return k;
}

/* ---- tests ----------------------------------------------------------------------------------- */

typedef struct told {
    size_t n, n_failed;
    char failed[400];
} told;

static void tell(void *user, const char *kernel, bool ok)
{
    told *t = user;
    size_t n = strlen(t->failed);
    t->n++;
    if (ok) return;
    t->n_failed++;
    snprintf(t->failed + n, sizeof t->failed - n, "%s%s", n ? ", " : "", kernel);
}

static void good_kernels_pass(void **state)
{
    VG_UNUSED(state);
    vg_err err;
    vg_selftest_set set = vg_selftest_all();
    for (const vg_kern *const *k = vg_kern_all(); *k; k++) {
        told t = {0};
        vg_kern table = **k;
        TEST_OK(vg_selftest(&table, &set, tell, &t, &err));
        if (t.n_failed) fail_msg("%s: %s", table.isa, t.failed);
        assert_true(t.n > 30);
        assert_memory_equal(&table, *k, sizeof table);
    }
}

static void a_wrong_kernel_is_replaced(void **state)
{
    VG_UNUSED(state);
    vg_err err;
    told t = {0};
    vg_selftest_set set = vg_selftest_all();
    vg_kern k = broken_table();
    TEST_OK(vg_selftest(&k, &set, tell, &t, &err));
    char want[sizeof t.failed];
    snprintf(want, sizeof want, "quantise, rms_norm, silu_mul, rope, rows Q8_0, %sstore_key q8, "
             "attn_tile q8, attn_merge q8, store_value f16, attn_tile f16, attn_merge f16, "
             "attn_tile f32, attn_merge f32",
             vg_interleaves(VG_Q8_0) ? "rows Q8_0 interleaved, " : "");
    assert_string_equal(t.failed, want);
    vg_kern wanted = *vg_kern_pick(NULL);
    wanted.quantise = plain()->quantise;
    wanted.rows = plain()->rows;
    wanted.rms_norm = plain()->rms_norm;
    wanted.silu_mul = plain()->silu_mul;
    wanted.rope = plain()->rope;
    wanted.store_key = plain()->store_key;
    wanted.store_value = plain()->store_value;
    wanted.attn_tile = plain()->attn_tile;
    wanted.attn_merge = plain()->attn_merge;
    assert_memory_equal(&k, &wanted, sizeof k);
}

/* What is not used is not looked at. */
static void only_what_is_used_is_tested(void **state)
{
    VG_UNUSED(state);
    vg_err err;
    told t = {0};
    vg_selftest_set set = {.rows[VG_Q4_0] = true, .kv[VG_KVK_F16] = true};
    vg_kern k = *vg_kern_pick(NULL);
    k.rows = wrong_rows;
    k.store_key = wrong_store_key;
    TEST_OK(vg_selftest(&k, &set, tell, &t, &err));
    assert_string_equal(t.failed, "");
    for (unsigned n = 1;; n++) {
        fault_arm(FAULT_ALLOC, n);
        vg_status st = vg_selftest(&k, &set, NULL, NULL, &err);
        if (!fault_disarm()) break;
        assert_int_equal(st, VG_E_NO_MEMORY);
    }
}

/* Logits of a few tokens; the caller frees them. */
static float *compute(vg_model *m, const vg_engine_opts *opts, const vg_kern *kern, size_t *n,
                      vg_health *health)
{
    vg_err err;
    vg_engine *e = NULL;
    vg_session *s = NULL;
    vg_model_info info;
    const int32_t ids[] = {1, 5, 9, 2, 7};
    vg_model_get_info(m, &info);
    TEST_OK(vg_engine_new_with(&e, m, opts, kern, &err));
    vg_engine_health(e, health);
    TEST_OK(vg_session_new(&s, e, NULL, &err));
    TEST_OK(vg_session_append(s, ids, VG_COUNT(ids), &err));
    while (vg_session_pending(s) > 0) TEST_OK(vg_engine_step(e, &s, 1, &err));
    *n = info.n_vocab * sizeof(float);
    float *copy = malloc(*n);
    assert_non_null(copy);
    memcpy(copy, vg_session_logits(s), *n);
    vg_session_free(s);
    vg_engine_free(e);
    return copy;
}

static void an_engine_falls_back(void **state)
{
    VG_UNUSED(state);
    vg_err err;
    vg_model *m = NULL;
    vg_health good, bad;
    size_t n;
    char path[4096];
    const vg_kern broken = broken_table();
    const vg_engine_opts one = {.n_threads = 1}, slow = {.n_threads = 1, .isa = "c"};
    test_path(path, "golden/arch/qwen2.gguf");
    TEST_OK(vg_model_open(&m, path, NULL, &err));
    float *wanted = compute(m, &slow, NULL, &n, &good);
    assert_string_equal(good.isa, "c");
    assert_int_equal(good.n_failed, 0);
    assert_true(good.n_checked > 10);
    assert_string_equal(good.failed, "");
    float *got = compute(m, &one, &broken, &n, &bad);
    assert_string_equal(bad.isa, vg_kern_pick(NULL)->isa);
    assert_int_equal(bad.n_checked, good.n_checked);
    assert_true(bad.n_failed >= 6);
    assert_non_null(strstr(bad.failed, "rms_norm, silu_mul, rope"));
    assert_memory_equal(got, wanted, n);
    free(got);
    free(wanted);
    vg_model_unref(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_kernels_pass),
        cmocka_unit_test(a_wrong_kernel_is_replaced),
        cmocka_unit_test(only_what_is_used_is_tested),
        cmocka_unit_test(an_engine_falls_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
