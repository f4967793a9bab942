/* Tests of shared prefixes: what a session computes is bit for bit the same whether its beginning
 * was computed here, taken over from others, or copied; pages are neither lost nor promised twice;
 * and what was admitted finishes. */
#include <math.h>

#include "golden.h"
#include "infer/infer_int.h"

enum { N_VOCAB = 160, CTX = 640, N_SLOTS = 6 };

typedef struct rig {
    vg_model *m;
    vg_engine *e;     /* shares */
    vg_engine *alone; /* does not */
    uint64_t random;
} rig;

static uint32_t roll(rig *r, uint32_t n)
{
    r->random = r->random * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(r->random >> 33) % n;
}

static int setup(void **state)
{
    vg_err err;
    rig *r = calloc(1, sizeof *r);
    r->m = golden_model("llama");
    r->random = 7;
    vg_engine_opts shared = {.n_threads = 2, .ctx_tok = CTX, .n_sessions = N_SLOTS,
                             .batch_tok = 96, .kv_tok = 26 * VG_TILE, .share_prefix = true};
    vg_engine_opts one = {.n_threads = 1, .ctx_tok = CTX, .batch_tok = 64};
    TEST_OK(vg_engine_new(&r->e, r->m, &shared, &err));
    TEST_OK(vg_engine_new(&r->alone, r->m, &one, &err));
    *state = r;
    return 0;
}

static int teardown(void **state)
{
    rig *r = *state;
    vg_page_count n;
    vg_engine_get_pages(r->e, &n);
    assert_int_equal(n.n_held, 0);
    assert_int_equal(n.n_promised, 0);
    vg_engine_free(r->e);
    vg_engine_free(r->alone);
    vg_model_unref(r->m);
    free(r);
    return 0;
}

/* A timeline that shares its beginning with others: each 50 tokens, one of two goes on. */
static size_t prompt(rig *r, int32_t *out, size_t n)
{
    uint32_t way = 1;
    for (size_t i = 0; i < n; i++) {
        if (i % 50 == 0) way = 2 * way + roll(r, 2);
        out[i] = (int32_t)(((uint32_t)i * 31 + way * 2654435761u % 8191) % N_VOCAB);
    }
    return n;
}

static void compute(vg_engine *e, vg_session *s)
{
    vg_err err;
    while (vg_session_pending(s)) TEST_OK(vg_engine_step(e, &s, 1, &err));
}

static void assert_as_alone(rig *r, vg_session *s)
{
    vg_err err;
    vg_session *a = NULL;
    TEST_OK(vg_session_new(&a, r->alone, NULL, &err));
    TEST_OK(vg_session_append(a, vg_session_tokens(s), vg_session_length(s), &err));
    compute(r->alone, a);
    compute(r->e, s);
    assert_memory_equal(vg_session_logits(a), vg_session_logits(s), N_VOCAB * sizeof(float));
    vg_session_free(a);
}

static vg_session *open(rig *r, uint32_t reserve_tok)
{
    vg_err err;
    vg_session *s = NULL;
    TEST_OK(vg_session_new(&s, r->e, &(vg_session_opts){.reserve_tok = reserve_tok}, &err));
    return s;
}

static void sync(vg_session *s, const int32_t *tok, size_t n, size_t *kept)
{
    vg_err err;
    TEST_OK(vg_session_sync(s, tok, n, kept, &err));
}

/* A second request of the same prompt computes one token, a longer one the rest, one that turns
 * off within a page what is behind the turn. */
static void test_takes_over(void **state)
{
    rig *r = *state;
    int32_t tok[400];
    size_t kept;
    prompt(r, tok, 400);
    vg_session *s = open(r, 300);
    sync(s, tok, 200, &kept);
    assert_int_equal(kept, 0);
    assert_as_alone(r, s);
    vg_session_free(s);

    s = open(r, 300);
    sync(s, tok, 200, &kept);
    assert_int_equal(kept, 199);
    assert_as_alone(r, s);
    sync(s, tok, 300, &kept);
    assert_int_equal(kept, 200);
    assert_as_alone(r, s);
    vg_session *t = open(r, 300);
    tok[150]++;
    sync(t, tok, 290, &kept);
    assert_int_equal(kept, 150);
    assert_as_alone(r, t);
    tok[150]--;
    assert_as_alone(r, s); /* the copy left the original alone */
    sync(s, tok, 130, &kept); /* back within a page that the tree has */
    tok[130] = 5;
    sync(s, tok, 140, &kept);
    assert_as_alone(r, s);
    vg_session_free(s);
    vg_session_free(t);
}

/* Two sessions with one prompt in one step: the second one waits and takes over. */
static void test_computed_once(void **state)
{
    rig *r = *state;
    vg_err err;
    int32_t tok[330];
    prompt(r, tok, 330);
    vg_session *s[3];
    for (size_t i = 0; i < 3; i++) {
        s[i] = open(r, 340);
        sync(s[i], tok, 320 + i, NULL);
    }
    size_t n_steps = 0;
    for (size_t left = 1; left > 0;) {
        size_t before = 0;
        for (size_t i = 0; i < 3; i++) before += vg_session_pending(s[i]);
        TEST_OK(vg_engine_step(r->e, s, 3, &err));
        left = 0;
        for (size_t i = 0; i < 3; i++) left += vg_session_pending(s[i]);
        assert_true(left < before);
        n_steps++;
    }
    vg_page_count n;
    vg_engine_get_pages(r->e, &n);
    assert_int_equal(n.n_held, 5 + 2); /* five full pages once, and what two have behind them */
    assert_in_range(n_steps, 4, 6);    /* 320 tokens in steps of 96, and what is left of each */
    for (size_t i = 0; i < 3; i++) assert_as_alone(r, s[i]);
    for (size_t i = 0; i < 3; i++) vg_session_free(s[i]);
}

/* Admission is by pages: the one that does not fit is refused, and fits when another one ends. */
static void test_admits_by_pages(void **state)
{
    rig *r = *state;
    vg_err err;
    vg_session *a = open(r, 640), *b = open(r, 640), *c = NULL;
    vg_session_opts big = {.reserve_tok = 640};
    assert_int_equal(vg_session_new(&c, r->e, &big, &err), VG_E_LIMIT);
    assert_non_null(strstr(err.msg, "pages"));
    assert_null(c);
    c = open(r, 6 * VG_TILE);
    int32_t tok[640];
    sync(a, tok, prompt(r, tok, 640), NULL);
    assert_as_alone(r, a);
    sync(b, tok, prompt(r, tok, 640), NULL);
    assert_as_alone(r, b);
    sync(c, tok, prompt(r, tok, 6 * VG_TILE), NULL);
    assert_as_alone(r, c);
    assert_int_equal(vg_session_append(c, tok, 1, &err), VG_E_CONTEXT);
    vg_session_free(b);
    b = open(r, 640);
    vg_session_free(a);
    vg_session_free(b);
    vg_session_free(c);
}

/* Anything in any order, in a cache that is always short. */
static void test_random(void **state)
{
    rig *r = *state;
    vg_err err;
    vg_session *s[N_SLOTS] = {0};
    int32_t tok[CTX];
    for (int i = 0; i < 600; i++) {
        uint32_t k = roll(r, N_SLOTS), what = roll(r, 8);
        if (!s[k]) {
            vg_session_opts o = {.reserve_tok = 64 + roll(r, 420),
                                 .sampling = {.temp = 1, .seed = roll(r, 1000)}};
            vg_status st = vg_session_new(&s[k], r->e, &o, &err);
            if (st) assert_int_equal(st, VG_E_LIMIT);
            else sync(s[k], tok, prompt(r, tok, 1 + roll(r, o.reserve_tok - 20)), NULL);
        } else if (what == 0) {
            vg_session_free(s[k]);
            s[k] = NULL;
        } else if (what == 1) {
            assert_as_alone(r, s[k]);
        } else if (what < 4) {
            int32_t id;
            compute(r->e, s[k]);
            if (vg_session_length(s[k]) + 1 < s[k]->cap_tok)
                TEST_OK(vg_session_sample(s[k], &id, &err));
        } else {
            vg_session *list[N_SLOTS];
            size_t n = 0;
            for (uint32_t j = 0; j < N_SLOTS; j++)
                if (s[(j + k) % N_SLOTS]) list[n++] = s[(j + k) % N_SLOTS];
            TEST_OK(vg_engine_step(r->e, list, n, &err));
        }
    }
    for (size_t k = 0; k < N_SLOTS; k++) {
        if (s[k]) assert_as_alone(r, s[k]);
        vg_session_free(s[k]);
    }
}

/* Many sessions drawn at once draw what each draws alone; log-probabilities are those of a
 * softmax in double. */
static void test_samples_many(void **state)
{
    rig *r = *state;
    vg_err err;
    int32_t tok[100], alone[N_SLOTS];
    vg_session *s[N_SLOTS];
    vg_top top[N_SLOTS][4];
    vg_drawn d[N_SLOTS];
    prompt(r, tok, 100);
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < N_SLOTS; i++) {
            vg_session_opts o = {.reserve_tok = 64, .sampling = {.temp = 1, .seed = i}};
            TEST_OK(vg_session_new(&s[i], r->e, &o, &err));
            sync(s[i], tok + i, 30, NULL);
            compute(r->e, s[i]);
            d[i] = (vg_drawn){.session = s[i], .n_top = 4, .top = top[i], .err = &err};
            if (round == 0) TEST_OK(vg_session_sample(s[i], &alone[i], &err));
        }
        if (round == 1) {
            float logits[N_VOCAB];
            memcpy(logits, vg_session_logits(s[2]), sizeof logits);
            vg_engine_sample(r->e, d, N_SLOTS);
            double sum = 0;
            for (size_t i = 0; i < N_VOCAB; i++) sum += exp((double)logits[i]);
            double want = (double)logits[d[2].id] - log(sum);
            assert_true(fabs((double)d[2].logprob - want) < 1e-5);
            for (size_t i = 0; i + 1 < 4; i++)
                assert_true(top[2][i].logprob >= top[2][i + 1].logprob);
            for (size_t i = 0; i < N_VOCAB; i++)
                assert_true((double)logits[i] - log(sum) <= (double)top[2][0].logprob + 1e-5);
        }
        for (size_t i = 0; i < N_SLOTS; i++) {
            if (round == 1) assert_int_equal(d[i].id, alone[i]);
            vg_session_free(s[i]);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_takes_over, setup, teardown),
        cmocka_unit_test_setup_teardown(test_computed_once, setup, teardown),
        cmocka_unit_test_setup_teardown(test_admits_by_pages, setup, teardown),
        cmocka_unit_test_setup_teardown(test_random, setup, teardown),
        cmocka_unit_test_setup_teardown(test_samples_many, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
