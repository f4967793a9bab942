/* Tests of sessions: whatever the way to a timeline, its logits are bit for bit those of a fresh
 * session that computed it at once; a full context loses nothing; steps do not allocate; and each
 * failing allocation is an error (a leak shows under the address sanitizer). */
#include "fault.h"
#include "golden.h"

/* ---- what the tests share ------------------------------------------------------------------- */

enum { N_VOCAB = 160, CTX = 160 };

typedef struct rig {
    vg_model *m;
    vg_engine *e;
} rig;

static void rig_begin(rig *r, const char *model, const vg_engine_opts *opts)
{
    vg_err err;
    r->m = golden_model(model);
    TEST_OK(vg_engine_new(&r->e, r->m, opts, &err));
}

static void rig_end(rig *r)
{
    vg_engine_free(r->e);
    vg_model_unref(r->m);
}

static vg_session *session(vg_engine *e, const vg_session_opts *opts)
{
    vg_err err;
    vg_session *s = NULL;
    TEST_OK(vg_session_new(&s, e, opts, &err));
    return s;
}

static void compute(vg_engine *e, vg_session *s)
{
    vg_err err;
    while (vg_session_pending(s)) TEST_OK(vg_engine_step(e, &s, 1, &err));
}

static int32_t token(uint32_t i)
{
    return (int32_t)((i * 2654435761u >> 7) % N_VOCAB);
}

static void tokens(int32_t *out, size_t n, uint32_t from)
{
    for (size_t i = 0; i < n; i++) out[i] = token(from + (uint32_t)i);
}

/* s's logits are those of a fresh session of the same engine that computes its timeline anew. */
static void assert_as_fresh(vg_engine *e, vg_session *s)
{
    vg_err err;
    vg_session *fresh = session(e, NULL);
    TEST_OK(vg_session_append(fresh, vg_session_tokens(s), vg_session_length(s), &err));
    compute(e, fresh);
    compute(e, s);
    assert_non_null(vg_session_logits(s));
    assert_memory_equal(vg_session_logits(s), vg_session_logits(fresh), N_VOCAB * sizeof(float));
    vg_session_free(fresh);
}

/* ---- timelines ------------------------------------------------------------------------------ */

static void sync_keeps_the_longest_prefix(void **state)
{
    VG_UNUSED(state);
    static const char *const models[] = {"llama", "gemma3", "qwen3moe"};
    static const vg_kv_type kinds[] = {VG_KV_Q8, VG_KV_F16, VG_KV_F32};
    for (size_t k = 0; k < VG_COUNT(models); k++) {
        rig r;
        vg_err err;
        int32_t a[CTX], b[CTX];
        size_t kept;
        rig_begin(&r, models[k], &(vg_engine_opts){.ctx_tok = CTX, .n_sessions = 2,
                                                   .batch_tok = 17, .kv = kinds[k]});
        vg_session *s = session(r.e, NULL);
        tokens(a, CTX, 0);
        memcpy(b, a, sizeof a);
        tokens(b + 90, CTX - 90, 7777);
        TEST_OK(vg_session_sync(s, a, 130, &kept, &err));
        assert_int_equal(kept, 0);
        assert_as_fresh(r.e, s);
        static const struct {
            bool other;
            size_t n, kept;
        } moves[] = {{0, 130, 130}, {0, 150, 130}, {0, 100, 99}, {1, 120, 90}, {1, 121, 120},
                     {0, 91, 90},   {1, 90, 89},   {1, 1, 0},    {0, CTX, 1}, {1, CTX, 90}};
        for (size_t i = 0; i < VG_COUNT(moves); i++) {
            TEST_OK(vg_session_sync(s, moves[i].other ? b : a, moves[i].n, &kept, &err));
            assert_int_equal(kept, moves[i].kept);
            assert_int_equal(vg_session_length(s), moves[i].n);
            assert_int_equal(vg_session_pending(s), moves[i].n - kept);
            assert_true((vg_session_logits(s) != NULL) == (kept == moves[i].n));
            assert_as_fresh(r.e, s);
        }
        vg_session_free(s);
        rig_end(&r);
    }
}

/* A timeline that changes while it is only partly computed. */
static void sync_of_pending_tokens(void **state)
{
    VG_UNUSED(state);
    rig r;
    vg_err err;
    int32_t a[CTX];
    size_t kept;
    rig_begin(&r, "llama", &(vg_engine_opts){.ctx_tok = CTX, .n_sessions = 2, .batch_tok = 10});
    vg_session *s = session(r.e, NULL);
    tokens(a, CTX, 1);
    TEST_OK(vg_session_append(s, a, 50, &err));
    TEST_OK(vg_engine_step(r.e, &s, 1, &err));
    assert_int_equal(vg_session_pending(s), 40);
    assert_null(vg_session_logits(s));
    TEST_OK(vg_session_sync(s, a, 40, &kept, &err));
    assert_int_equal(kept, 10);
    TEST_OK(vg_session_sync(s, a, 10, &kept, &err));
    assert_int_equal(kept, 9); /* the tenth is computed again for its logits */
    assert_as_fresh(r.e, s);
    TEST_OK(vg_session_sync(s, vg_session_tokens(s), 5, NULL, &err)); /* from its own tokens */
    assert_as_fresh(r.e, s);
    TEST_OK(vg_session_sync(s, NULL, 0, &kept, &err));
    assert_int_equal(kept, 0);
    assert_int_equal(vg_session_length(s), 0);
    assert_null(vg_session_logits(s));
    TEST_OK(vg_session_append(s, NULL, 0, &err));
    TEST_OK(vg_session_append(s, a + 3, 1, &err));
    assert_as_fresh(r.e, s);
    vg_session_free(s);
    rig_end(&r);
}

static void appending_in_pieces_changes_nothing(void **state)
{
    VG_UNUSED(state);
    for (uint32_t batch = 1; batch <= 64; batch = batch * 3 + 1) {
        rig r;
        vg_err err;
        int32_t a[CTX];
        rig_begin(&r, "gemma2", &(vg_engine_opts){.ctx_tok = CTX, .n_sessions = 2,
                                                  .batch_tok = batch, .n_threads = 1 + batch % 3});
        vg_session *s = session(r.e, NULL);
        tokens(a, CTX, 5);
        for (size_t n = 0, piece = 1; n + piece <= CTX; n += piece, piece = piece % 13 + 1) {
            TEST_OK(vg_session_append(s, a + n, piece, &err));
            if (piece % 3 == 0) compute(r.e, s);
            else if (piece % 3 == 1) TEST_OK(vg_engine_step(r.e, &s, 1, &err));
        }
        assert_as_fresh(r.e, s);
        vg_session_free(s);
        rig_end(&r);
    }
}

static void a_full_context_loses_nothing(void **state)
{
    VG_UNUSED(state);
    rig r;
    vg_err err;
    int32_t a[CTX + 1], id = -7, again;
    float before[N_VOCAB];
    vg_session_opts opts = {.sampling = {.temp = 1, .seed = 5}};
    rig_begin(&r, "llama", &(vg_engine_opts){.ctx_tok = CTX, .n_sessions = 2});
    vg_session *s = session(r.e, &opts), *twin = session(r.e, &opts);
    tokens(a, CTX + 1, 2);
    TEST_OK(vg_session_append(s, a, CTX - 1, &err));
    assert_int_equal(vg_session_append(s, a, 2, &err), VG_E_CONTEXT);
    assert_non_null(strstr(err.msg, "160"));
    assert_int_equal(vg_session_length(s), CTX - 1);
    TEST_OK(vg_session_append(s, a + CTX - 1, 1, &err));
    compute(r.e, s);
    memcpy(before, vg_session_logits(s), sizeof before);
    assert_int_equal(vg_session_sample(s, &id, &err), VG_E_CONTEXT);
    assert_int_equal(id, -7);
    assert_int_equal(vg_session_append(s, a, 1, &err), VG_E_CONTEXT);
    assert_int_equal(vg_session_sync(s, a, CTX + 1, NULL, &err), VG_E_CONTEXT);
    assert_int_equal(vg_session_length(s), CTX);
    assert_int_equal(vg_session_pending(s), 0);
    assert_int_equal(vg_session_shifts(s), 0);
    assert_memory_equal(vg_session_tokens(s), a, CTX * sizeof *a);
    assert_memory_equal(vg_session_logits(s), before, sizeof before);
    /* The refused draw has not moved the random state. */
    TEST_OK(vg_session_sync(s, a, 50, NULL, &err));
    TEST_OK(vg_session_append(twin, a, 50, &err));
    compute(r.e, s);
    compute(r.e, twin);
    TEST_OK(vg_session_sample(s, &id, &err));
    TEST_OK(vg_session_sample(twin, &again, &err));
    assert_int_equal(id, again);
    vg_session_free(s);
    vg_session_free(twin);
    rig_end(&r);
}

static void a_shift_leaves_kept_tokens_and_the_newest(void **state)
{
    VG_UNUSED(state);
    static const uint32_t keeps[] = {0, 1, 40, 64, CTX - 1};
    for (size_t k = 0; k < VG_COUNT(keeps); k++) {
        rig r;
        vg_err err;
        int32_t all[4 * CTX], id;
        size_t n_all = CTX, keep = keeps[k], last_shifts = 0;
        rig_begin(&r, "gemma3", &(vg_engine_opts){.ctx_tok = CTX, .n_sessions = 2,
                                                  .batch_tok = 33});
        vg_session *s = session(r.e, &(vg_session_opts){.shift = true, .keep_tok = keeps[k]});
        tokens(all, CTX, 3);
        TEST_OK(vg_session_append(s, all, CTX, &err));
        while (n_all < 3 * CTX) {
            compute(r.e, s);
            TEST_OK(vg_session_sample(s, &id, &err));
            all[n_all++] = id;
            size_t n = vg_session_length(s);
            assert_true(n <= CTX && n > keep);
            assert_memory_equal(vg_session_tokens(s), all, keep * sizeof *all);
            assert_memory_equal(vg_session_tokens(s) + keep, all + n_all - (n - keep),
                                (n - keep) * sizeof *all);
            if (vg_session_shifts(s) > last_shifts) assert_as_fresh(r.e, s);
            last_shifts = vg_session_shifts(s);
        }
        assert_true(last_shifts >= 2);
        /* More at once than the room after a shift, up to all that is not kept. */
        if (keep < CTX - 1) TEST_OK(vg_session_append(s, all, CTX - keep, &err));
        assert_as_fresh(r.e, s);
        assert_int_equal(vg_session_append(s, all, CTX - keep + 1, &err), VG_E_CONTEXT);
        vg_session_free(s);
        rig_end(&r);
    }
}

/* ---- many sessions, errors ------------------------------------------------------------------- */

static void sessions_share_steps_without_a_trace(void **state)
{
    VG_UNUSED(state);
    enum { N = 5 };
    rig r;
    vg_err err;
    int32_t a[CTX], id;
    vg_session *s[N];
    rig_begin(&r, "qwen3", &(vg_engine_opts){.ctx_tok = CTX, .n_sessions = N + 1,
                                             .batch_tok = 12});
    for (uint32_t i = 0; i < N; i++) {
        s[i] = session(r.e, &(vg_session_opts){.sampling = {.temp = 1, .seed = i}});
        tokens(a, CTX, 100 * i);
        TEST_OK(vg_session_append(s[i], a, 3 + 20 * i, &err));
    }
    /* The shortest queue goes first: three tokens, then nine of the next one's. */
    TEST_OK(vg_engine_step(r.e, s, N, &err));
    assert_int_equal(vg_session_pending(s[0]), 0);
    assert_int_equal(vg_session_pending(s[1]), 14);
    assert_int_equal(vg_session_pending(s[2]), 43);
    for (int step = 0; step < 40; step++) {
        for (size_t i = 0; i < N; i++)
            if (vg_session_logits(s[i])) TEST_OK(vg_session_sample(s[i], &id, &err));
        TEST_OK(vg_engine_step(r.e, s, N, &err));
    }
    for (size_t i = 0; i < N; i++) assert_as_fresh(r.e, s[i]);
    vg_session_free(s[2]); /* its pages serve another one */
    s[2] = session(r.e, NULL);
    TEST_OK(vg_session_append(s[2], a, CTX, &err));
    assert_as_fresh(r.e, s[2]);
    for (size_t i = 0; i < N; i++) vg_session_free(s[i]);
    rig_end(&r);
}

static void errors_leave_sessions_as_they_were(void **state)
{
    VG_UNUSED(state);
    rig r, other;
    vg_err err;
    int32_t a[20], bad[3] = {1, N_VOCAB, 2}, id;
    vg_engine_opts opts = {.ctx_tok = CTX, .n_sessions = 2, .batch_tok = 8};
    rig_begin(&r, "llama", &opts);
    rig_begin(&other, "llama", &opts);
    vg_session *s = session(r.e, NULL), *foreign = session(other.e, NULL), *third = NULL;
    tokens(a, 20, 9);
    assert_int_equal(vg_session_sample(s, &id, &err), VG_E_USAGE); /* an empty timeline */
    TEST_OK(vg_session_append(s, a, 20, &err));
    TEST_OK(vg_session_append(foreign, a, 20, &err));
    assert_int_equal(vg_session_append(s, bad, 3, &err), VG_E_USAGE);
    assert_int_equal(vg_session_sync(s, bad, 3, NULL, &err), VG_E_USAGE);
    bad[1] = -1;
    assert_int_equal(vg_session_append(s, bad, 3, &err), VG_E_USAGE);
    assert_int_equal(vg_session_sample(s, &id, &err), VG_E_USAGE);
    vg_session *both[2] = {s, foreign};
    assert_int_equal(vg_engine_step(r.e, both, 2, &err), VG_E_USAGE);
    both[0] = foreign;
    both[1] = s;
    assert_int_equal(vg_engine_step(r.e, both, 2, &err), VG_E_USAGE);
    assert_int_equal(vg_session_pending(s), 20);
    assert_int_equal(vg_session_pending(foreign), 20);
    TEST_OK(vg_engine_step(r.e, NULL, 0, &err));
    vg_session *twice[4] = {s, s, s, s}; /* counts once */
    TEST_OK(vg_engine_step(r.e, twice, 4, &err));
    assert_int_equal(vg_session_pending(s), 12);
    TEST_OK(vg_engine_step(r.e, twice, 4, &err));
    TEST_OK(vg_engine_step(r.e, twice, 4, &err));
    assert_as_fresh(r.e, s);
    assert_int_equal(vg_session_new(&third, r.e, &(vg_session_opts){.keep_tok = CTX}, &err),
                     VG_E_USAGE);
    assert_int_equal(vg_session_new(&third, r.e, &(vg_session_opts){.sampling = {.temp = -1}},
                                    &err), VG_E_USAGE);
    assert_null(third);
    third = session(r.e, NULL);
    vg_session *fourth = NULL;
    assert_int_equal(vg_session_new(&fourth, r.e, NULL, &err), VG_E_LIMIT);
    vg_session_free(third);
    vg_session_free(foreign);
    vg_session_free(s);
    rig_end(&r);
    rig_end(&other);
}

static void set_sampling_starts_the_random_state_anew(void **state)
{
    VG_UNUSED(state);
    rig r;
    vg_err err;
    int32_t a[10], first[10], id;
    vg_bias bias = {token(0), -1};
    vg_sampling o = {.temp = 1.5f, .seed = 11, .bias = &bias, .n_bias = 1};
    rig_begin(&r, "llama", &(vg_engine_opts){.ctx_tok = CTX});
    vg_session *s = session(r.e, &(vg_session_opts){.sampling = o});
    tokens(a, 10, 0);
    for (int round = 0; round < 3; round++) {
        TEST_OK(vg_session_sync(s, a, 10, NULL, &err));
        for (int i = 0; i < 10; i++) {
            compute(r.e, s);
            TEST_OK(vg_session_sample(s, &id, &err));
            if (round == 0) first[i] = id;
            else assert_int_equal(id, first[i]);
        }
        TEST_OK(vg_session_set_sampling(s, &o, &err));
        vg_sampling wrong = {.top_p = 7};
        assert_int_equal(vg_session_set_sampling(s, &wrong, &err), VG_E_USAGE);
    }
    vg_session_free(s);
    rig_end(&r);
}

/* ---- memory ---------------------------------------------------------------------------------- */

static void the_token_path_does_not_allocate(void **state)
{
    VG_UNUSED(state);
    rig r;
    vg_err err;
    int32_t a[CTX], id, breaker = 4;
    vg_sampling o = {.temp = 1, .top_k = 40, .top_p = 0.9f, .typical_p = 0.9f, .min_p = 0.01f,
                     .repeat_penalty = 1.1f, .dry_multiplier = 1, .dry_breakers = &breaker,
                     .n_dry_breakers = 1};
    rig_begin(&r, "qwen3moe", &(vg_engine_opts){.ctx_tok = CTX, .n_sessions = 2, .batch_tok = 32});
    vg_session *s[2] = {session(r.e, &(vg_session_opts){.sampling = o, .shift = true}),
                        session(r.e, &(vg_session_opts){.shift = true})};
    tokens(a, CTX, 0);
    fault_arm(FAULT_ALLOC, 1); /* the first one would fail */
    TEST_OK(vg_session_append(s[0], a, 100, &err));
    TEST_OK(vg_session_append(s[1], a, 50, &err));
    for (int i = 0; i < 200; i++) {
        TEST_OK(vg_engine_step(r.e, s, 2, &err));
        for (size_t k = 0; k < 2; k++)
            if (vg_session_logits(s[k])) TEST_OK(vg_session_sample(s[k], &id, &err));
    }
    assert_true(vg_session_shifts(s[0]) > 0);
    TEST_OK(vg_session_sync(s[0], a, CTX, NULL, &err));
    compute(r.e, s[0]);
    assert_false(fault_disarm());
    vg_session_free(s[0]);
    vg_session_free(s[1]);
    rig_end(&r);
}

static void each_failing_allocation_is_an_error(void **state)
{
    VG_UNUSED(state);
    vg_err err;
    vg_model *m = golden_model("llama");
    vg_bias bias[3] = {{1, 1}, {2, 1}, {3, 1}};
    vg_session_opts opts = {.sampling = {.temp = 1, .bias = bias, .n_bias = 3,
                                         .dry_breakers = &bias[0].id, .n_dry_breakers = 1}};
    bool more = true;
    for (unsigned n = 1; more; n++) {
        vg_engine *e = NULL;
        vg_session *s = NULL;
        vg_engine_opts small = {.ctx_tok = 64, .n_threads = 3};
        fault_arm(FAULT_ALLOC, n);
        vg_status st = vg_engine_new(&e, m, &small, &err);
        if (!st) st = vg_session_new(&s, e, &opts, &err);
        if (!st) st = vg_session_set_sampling(s, &opts.sampling, &err);
        more = fault_disarm();
        if (more) assert_int_equal(st, VG_E_NO_MEMORY);
        else TEST_OK(st);
        if (more) assert_true(strlen(err.msg) > 0);
        vg_session_free(s);
        vg_engine_free(e);
    }
    vg_model_unref(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sync_keeps_the_longest_prefix),
        cmocka_unit_test(sync_of_pending_tokens),
        cmocka_unit_test(appending_in_pieces_changes_nothing),
        cmocka_unit_test(a_full_context_loses_nothing),
        cmocka_unit_test(a_shift_leaves_kept_tokens_and_the_newest),
        cmocka_unit_test(sessions_share_steps_without_a_trace),
        cmocka_unit_test(errors_leave_sessions_as_they_were),
        cmocka_unit_test(set_sampling_starts_the_random_state_anew),
        cmocka_unit_test(the_token_path_does_not_allocate),
        cmocka_unit_test(each_failing_allocation_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
