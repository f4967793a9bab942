/* Tests of the planner's arithmetic, by hand, and of the file of targets. */
#include <math.h>

#include "app/plan.h"
#include "test.h"

static bool near(double x, double y)
{
    return fabs(x - y) <= 1e-9 * (1 + fabs(y));
}

/* Llama 2 7B. */
static const plan_shape llama = {.n_params = 6.74e9, .n_active = 6.6e9, .layers = 32, .width = 4096,
                                 .heads = 32, .kv_heads = 32, .head_dim = 128, .ff = 11008,
                                 .vocab = 32000};

static void bytes_are_counted(void **state)
{
    VG_UNUSED(state);
    plan_need n = plan_need_of(&llama, PLAN_FP16, 4096, 1, VG_KV_F16);
    assert_true(near(n.weight_bytes, 13.48e9));
    /* 2 * 32 layers * 4096 * 4096 positions * 2 bytes: 2 GiB. */
    assert_true(near(n.kv_bytes, 2147483648.0));
    assert_true(near(n.total_bytes, n.weight_bytes + n.kv_bytes + n.activation_bytes));
    assert_true(near(n.read_bytes, 13.2e9 + 2147483648.0));
    /* 256 rows of 4 widths, q and o, k and v, 2 inner widths; the logits. */
    double row = 4 * 4096 + 2 * 4096 + 2 * 4096 + 2 * 11008;
    assert_true(near(n.activation_bytes, 4 * (256 * row + 6 * 32000)));
    /* 8 bits with a scale for 32; 3 users; a page is 64 positions. */
    n = plan_need_of(&llama, PLAN_INT8, 65, 3, VG_KV_Q8);
    assert_true(near(n.kv_bytes, 3.0 * 2 * 32 * 4096 * 128 * 34 / 32));
    assert_true(near(n.weight_bytes, 6.74e9 * 34 / 32));
    assert_true(near(plan_need_of(&llama, PLAN_INT4, 64, 1, VG_KV_Q8).weight_bytes, 6.74e9 * 0.61));
    assert_true(near(plan_need_of(&llama, PLAN_FP32, 64, 1, VG_KV_F32).kv_bytes,
                     2.0 * 32 * 4096 * 64 * 4));
}

static void shapes_are_guessed(void **state)
{
    VG_UNUSED(state);
    const double sizes[] = {1.5e7, 1.1e9, 7e9, 7e10};
    for (size_t i = 0; i < VG_COUNT(sizes); i++) {
        plan_shape s = {.n_params = sizes[i]};
        plan_shape_guess(&s);
        double n = s.layers * (2 * s.width * s.head_dim * (s.heads + s.kv_heads) +
                               3 * s.width * s.ff) + 2 * s.vocab * s.width;
        assert_true(n >= sizes[i] && n < 1.4 * sizes[i]);
        assert_true(near(s.n_active, sizes[i]));
    }
    plan_shape s = {.n_params = 7e9, .layers = 10, .width = 100, .kv_heads = 3};
    plan_shape_guess(&s);
    assert_true(near(s.layers, 10) && near(s.width, 100) && near(s.kv_heads, 3));
}

/* A target with room for 0.8 * 0.9 of its memory. */
static plan_target target(double ram_bytes)
{
    return (plan_target){.ram_bytes = ram_bytes, .os = 0.2, .margin = 0.1, .bytes_per_s = 1e10,
                         .reach = 0.5, .has = {false, true, true, true}};
}

static plan_advice advise(const plan_target *t)
{
    plan_need need[PLAN_N_TYPES];
    for (int i = 0; i < PLAN_N_TYPES; i++)
        need[i] = plan_need_of(&llama, (plan_type)i, 512, 1, VG_KV_Q8);
    return plan_advise(t, need);
}

static void steps_go_in_order(void **state)
{
    VG_UNUSED(state);
    plan_need n = plan_need_of(&llama, PLAN_INT8, 512, 1, VG_KV_Q8);
    plan_target t = target(n.total_bytes / 0.72 + 1);
    assert_true(near(plan_budget(&t), t.ram_bytes * 0.72));
    assert_true(plan_fits(&t, &n));
    assert_int_equal(advise(&t).step, STEP_INT8);
    t = target(n.total_bytes / 0.72 - 1e3);
    assert_false(plan_fits(&t, &n));
    assert_int_equal(advise(&t).step, STEP_INT4);
    t = target(1e11);
    assert_int_equal(advise(&t).step, STEP_FP16);
    t.has[PLAN_FP16] = t.has[PLAN_INT8] = false;
    assert_int_equal(advise(&t).step, STEP_INT4);
    t = target(1e11);
    t.model_bytes = 1; /* no room for weights */
    assert_int_equal(advise(&t).step, STEP_SMALLER);

    /* Too little for Q4_K_M, but not for 4.25 bits: that size. A tenth too little for these: prune
     * a tenth. Half: a model of half the size. */
    n = plan_need_of(&llama, PLAN_INT4, 512, 1, VG_KV_Q8);
    double rest = n.total_bytes - n.weight_bytes;
    assert_true(near(n.least_bytes, 6.74e9 * 4.25 / 8));
    t = target((n.total_bytes - 1e6) / 0.72);
    plan_advice a = advise(&t);
    assert_int_equal(a.step, STEP_INT4);
    assert_true(fabs(a.size_bytes - (n.weight_bytes - 1e6)) < 2);
    t = target((rest + n.least_bytes - 1) / 0.72);
    assert_int_equal(advise(&t).step, STEP_PRUNE);
    t = target((rest + 0.9 * n.least_bytes) / 0.72);
    a = advise(&t);
    assert_int_equal(a.step, STEP_PRUNE);
    assert_true(fabs(a.prune_share - 0.1) < 1e-6);
    t = target((n.total_bytes - n.weight_bytes / 2) / 0.72);
    a = advise(&t);
    assert_int_equal(a.step, STEP_SMALLER);
    assert_true(fabs(a.max_params / (6.74e9 / 2) - 1) < 1e-6);
}

static void speed_is_bandwidth(void **state)
{
    VG_UNUSED(state);
    plan_target t = target(1e11);
    plan_need n = plan_need_of(&llama, PLAN_INT4, 4096, 1, VG_KV_Q8);
    assert_true(near(plan_speed(&t, &n, 1), 5e9 / (6.6e9 * 0.61 + n.kv_bytes)));
    n = plan_need_of(&llama, PLAN_INT4, 4096, 4, VG_KV_Q8);
    assert_true(near(plan_speed(&t, &n, 4), 4 * 5e9 / (6.6e9 * 0.61 + n.kv_bytes)));
    t.bytes_per_s = 0;
    assert_true(plan_speed(&t, &n, 1) <= 0);
}

#define FIRST "{\"targets\": [{\"name\": \"a\", \"title\": \"A\", "

static void bad_targets_are_refused(void **state)
{
    VG_UNUSED(state);
    static const char *const good = FIRST "\"ram_mb\": 100,"
                                    " \"os\": 0.5, \"margin\": 0.2, \"types\": [\"int8\"]}]}";
    static const char *const bad[] = {
        "", "[]", "{\"targets\": []}", "{\"targets\": [1]}", "{\"targets\": {}}",
        "{\"targets\": [{\"name\": \"\", \"title\": \"A\", \"ram_mb\": 1, \"types\": [\"int8\"]}]}",
        FIRST "\"types\": [\"int8\"]}]}",
        FIRST "\"ram_mb\": -1, \"types\": [\"int8\"]}]}",
        FIRST "\"ram_mb\": 1, \"os\": 2, \"types\": []}]}",
        FIRST "\"ram_mb\": 1, \"types\": [\"int3\"]}]}",
        FIRST "\"ram_mb\": 1, \"types\": [\"int8\"]},"
        "{\"name\": \"a\", \"title\": \"A\", \"ram_mb\": 1, \"types\": [\"int8\"]}]}",
    };
    vg_err err;
    plan_targets t;
    TEST_OK(plan_targets_read(&t, "test", vg_str_from(good), &err));
    assert_int_equal(t.n, 1);
    assert_true(near(plan_budget(&t.at[0]), 40e6));
    assert_true(t.at[0].has[PLAN_INT8] && !t.at[0].has[PLAN_INT4]);
    for (size_t i = 0; i < VG_COUNT(bad); i++)
        assert_int_equal(plan_targets_read(&t, "test", vg_str_from(bad[i]), &err), VG_E_FORMAT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_are_counted),    cmocka_unit_test(shapes_are_guessed),
        cmocka_unit_test(steps_go_in_order),    cmocka_unit_test(speed_is_bandwidth),
        cmocka_unit_test(bad_targets_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
