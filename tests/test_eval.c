/* Tests of what `verge eval` computes with: means, rows of logits, divergences that are known,
 * quantiles, intervals, the file of a reference's logits, and the logits that a session
 * hands over, against those of single steps. */
#include <math.h>

#include "app/eval.h"
#include "test_tmp.h"

static bool near(double x, double y, double tolerance)
{
    return fabs(x - y) <= tolerance * (1 + fabs(y));
}

static void means_have_errors(void **state)
{
    VG_UNUSED(state);
    eval_sum s = {0};
    assert_true(isnan(eval_mean(&s)) && isnan(eval_error(&s)));
    eval_add(&s, 1);
    assert_true(isnan(eval_error(&s)));
    eval_add(&s, 2);
    eval_add(&s, 3);
    eval_add(&s, 6);
    assert_true(near(eval_mean(&s), 3, 1e-12));
    /* The squares' mean is 12.5: variance 3.5, of the mean 3.5 / 3. */
    assert_true(near(eval_error(&s), sqrt(3.5 / 3), 1e-12));
    assert_true(near(eval_perplexity(&s), exp(3.0), 1e-12));
    assert_true(near(eval_perplexity_error(&s), exp(3.0) * sqrt(3.5 / 3), 1e-12));
}

static void rows_are_distributions(void **state)
{
    VG_UNUSED(state);
    enum { N = 1001 };
    float x[N], even[N];
    double sum = 0;
    for (int i = 0; i < N; i++) {
        x[i] = (float)((i * 37) % N) * 0.03f - 12;
        even[i] = -5;
        sum += exp((double)x[i]);
    }
    eval_row r = eval_row_of(x, N);
    assert_true(near((double)r.max + r.log_sum, log(sum), 1e-6));
    assert_true(x[r.top] >= r.max && x[r.top] <= r.max);
    for (int i = 0; i < N; i += 50)
        assert_true(near(eval_nll(&r, i), log(sum) - (double)x[i], 1e-6));
    /* The perplexity of a model that knows nothing is its vocabulary. */
    eval_row u = eval_row_of(even, N);
    eval_sum nll = {0};
    for (int i = 0; i < N; i += 10) eval_add(&nll, eval_nll(&u, i));
    assert_true(near(eval_perplexity(&nll), N, 1e-6));
    assert_int_equal(u.top, 0);
    float far[3] = {0, -200, 90};
    eval_row f = eval_row_of(far, 3);
    assert_true(near(eval_nll(&f, 1), 290, 1e-6) && near(eval_nll(&f, 2), 0, 1e-6));
}

static double kl_of(const float *p, const float *q, size_t n)
{
    float x[40], y[40];
    for (size_t i = 0; i < n; i++) {
        x[i] = logf(p[i]) + 3;
        y[i] = logf(q[i]) - 2;
    }
    eval_row a = eval_row_of(x, n), b = eval_row_of(y, n);
    return eval_kl(&a, &b, n);
}

static void divergences_are_known(void **state)
{
    VG_UNUSED(state);
    const float p[] = {0.5f, 0.25f, 0.25f}, q[] = {0.25f, 0.25f, 0.5f};
    assert_true(near(kl_of(p, q, 3), 0.25 * log(2.0), 1e-6));
    const float coin[] = {0.9f, 0.1f}, fair[] = {0.5f, 0.5f};
    assert_true(near(kl_of(coin, fair, 2), 0.9 * log(1.8) + 0.1 * log(0.2), 1e-6));
    assert_true(near(kl_of(fair, coin, 2), -0.5 * log(1.8) - 0.5 * log(0.2), 1e-6));
    assert_true(kl_of(p, p, 3) < 1e-12);
    /* Uniform over 40 from one that is twice as likely in the first half, as vectors see it. */
    float u[40], v[40];
    for (int i = 0; i < 40; i++) {
        u[i] = 1.0f / 40;
        v[i] = i < 20 ? 1.0f / 30 : 1.0f / 60;
    }
    assert_true(near(kl_of(u, v, 40), 0.5 * log(0.75) + 0.5 * log(1.5), 1e-6));
    /* Nearly the same: half the square of the difference, which a plain sum would lose. */
    float a[] = {0.5f, 0.5f}, b[] = {0.5005f, 0.4995f};
    assert_true(fabs(kl_of(a, b, 2) - 5e-7) < 1e-8);
}

static void quantiles_and_intervals(void **state)
{
    VG_UNUSED(state);
    float x[] = {5, 1, 4, 2, 3};
    eval_sort(x, 5);
    assert_true(near(eval_quantile(x, 5, 0.5), 3, 0) && near(eval_quantile(x, 5, 1), 5, 0));
    assert_true(near(eval_quantile(x, 5, 0), 1, 0) && near(eval_quantile(x, 5, 0.9), 4.6, 1e-9));
    assert_true(near(eval_quantile(x, 4, 0.5), 2.5, 1e-9));
    assert_true(isnan(eval_quantile(x, 0, 0.5)));
    /* Wilson 1927: 8 of 10, 95%: 0.490 to 0.943; none of 10: 0 to 0.278. */
    eval_interval w = eval_wilson(8, 10);
    assert_true(fabs(w.low - 0.4902) < 1e-4 && fabs(w.high - 0.9433) < 1e-4);
    w = eval_wilson(0, 10);
    assert_true(w.low < 1e-12 && fabs(w.high - 0.2775) < 1e-4);
    w = eval_wilson(0, 0);
    assert_true(w.low <= 0 && w.high >= 1);
}

/* ---- the file of a reference ---------------------------------------------------------------- */

enum { VOCAB = 100, ROWS = 3 };

static const eval_reference_head head = {.magic = "VGLOGITS", .version = 1, .n_vocab = VOCAB,
                                         .ctx_tok = 8, .n_chunks = 1, .n_rows = ROWS,
                                         .token_hash = 42};

static void make_row(float *x, int row)
{
    for (int i = 0; i < VOCAB; i++) x[i] = row == 2 ? 7 : (float)((i * (7 + row)) % VOCAB) * 0.2f;
}

static void stored_logits_come_back(void **state)
{
    VG_UNUSED(state);
    test_tmp tmp;
    vg_err err;
    char path[2048];
    float x[VOCAB];
    eval_reference r;
    eval_row back;
    test_tmp_begin(&tmp);
    snprintf(path, sizeof path, "%s/logits", tmp.dir);
    TEST_OK(eval_reference_create(&r, path, &head, &err));
    for (int row = 0; row < ROWS; row++) {
        make_row(x, row);
        eval_row q = eval_row_of(x, VOCAB);
        TEST_OK(eval_reference_put(&r, &q, &err));
    }
    TEST_OK(eval_reference_finish(&r, &err));
    eval_reference_close(&r);
    TEST_OK(eval_reference_open(&r, path, &head, &err));
    for (int row = 0; row < ROWS; row++) {
        make_row(x, row);
        eval_row q = eval_row_of(x, VOCAB);
        TEST_OK(eval_reference_next(&r, &back, &err));
        assert_int_equal(back.top, q.top);
        for (int i = 0; i < VOCAB; i++)
            assert_true(fabs(eval_nll(&back, i) - eval_nll(&q, i)) < 20.0 / 65535);
        assert_true(eval_kl(&back, &q, VOCAB) < 1e-7);
    }
    assert_int_equal(eval_reference_next(&r, &back, &err), VG_E_IO);
    eval_reference_close(&r);

    /* What does not fit is refused, and why. */
    eval_reference_head other = head;
    other.n_vocab = 101;
    assert_int_equal(eval_reference_open(&r, path, &other, &err), VG_E_FORMAT);
    assert_non_null(strstr(err.msg, "vocabulary of 100 tokens"));
    eval_reference_close(&r);
    other = head;
    other.token_hash = 43;
    assert_int_equal(eval_reference_open(&r, path, &other, &err), VG_E_FORMAT);
    assert_non_null(strstr(err.msg, "another text"));
    eval_reference_close(&r);
    other = head;
    other.ctx_tok = 16;
    assert_int_equal(eval_reference_open(&r, path, &other, &err), VG_E_FORMAT);
    assert_non_null(strstr(err.msg, "--ctx"));
    eval_reference_close(&r);
    assert_int_equal(truncate(path, 200), 0);
    assert_int_equal(eval_reference_open(&r, path, &head, &err), VG_E_FORMAT);
    assert_non_null(strstr(err.msg, "200 bytes"));
    eval_reference_close(&r);
    assert_int_equal(truncate(path, 10), 0);
    assert_int_equal(eval_reference_open(&r, path, &head, &err), VG_E_FORMAT);
    eval_reference_close(&r);
    test_tmp_end(&tmp);
}

/* ---- logits of every position --------------------------------------------------------------- */

enum { N_TOK = 70 };

typedef struct seen {
    float *logits; /* [N_TOK, n_vocab] */
    size_t n_vocab, n;
} seen;

static void look(void *user, size_t pos, const float *logits)
{
    seen *s = user;
    assert_true(pos < N_TOK);
    memcpy(s->logits + pos * s->n_vocab, logits, s->n_vocab * sizeof *logits);
    s->n++;
}

static void run(vg_model *m, const vg_engine_opts *o, size_t from, size_t at_once, seen *s)
{
    vg_err err;
    vg_engine *e;
    vg_session *one;
    s->n = 0;
    TEST_OK(vg_engine_new(&e, m, o, &err));
    TEST_OK(vg_session_new(&one, e, NULL, &err));
    vg_session_watch(one, from, look, s);
    for (int32_t i = 0; i < N_TOK; i += (int32_t)at_once) {
        int32_t id[N_TOK];
        size_t n = VG_MIN(at_once, (size_t)(N_TOK - i));
        for (size_t k = 0; k < n; k++) id[k] = 10 + (i + (int32_t)k) * 13 % 200;
        TEST_OK(vg_session_append(one, id, n, &err));
        while (vg_session_pending(one)) TEST_OK(vg_engine_step(e, &one, 1, &err));
    }
    assert_memory_equal(vg_session_logits(one), s->logits + (N_TOK - 1) * s->n_vocab,
                        s->n_vocab * sizeof(float));
    vg_session_free(one);
    vg_engine_free(e);
}

static void watched_logits_are_those_of_single_steps(void **state)
{
    VG_UNUSED(state);
    char path[4096];
    vg_err err;
    vg_model *m;
    vg_model_info info;
    test_path(path, "../models/default.gguf");
    TEST_OK(vg_model_open(&m, path, NULL, &err));
    vg_model_get_info(m, &info);
    size_t n = N_TOK * (size_t)info.n_vocab;
    seen single = {calloc(n, sizeof(float)), info.n_vocab, 0}, many = single;
    many.logits = calloc(n, sizeof(float));
    assert_true(single.logits && many.logits);
    run(m, &(vg_engine_opts){.ctx_tok = 128}, 0, 1, &single);
    assert_int_equal(single.n, N_TOK);
    /* Rows that fill the engine's once, more than once and in part; steps that cut the tokens. */
    const uint32_t rows[] = {0, 7, 32, 256}, batch[] = {0, 16};
    for (size_t i = 0; i < VG_COUNT(rows); i++)
        for (size_t k = 0; k < VG_COUNT(batch); k++) {
            vg_engine_opts o = {.ctx_tok = 128, .logit_rows = rows[i], .batch_tok = batch[k]};
            memset(many.logits, 0, n * sizeof(float));
            run(m, &o, 0, N_TOK, &many);
            assert_int_equal(many.n, N_TOK);
            assert_memory_equal(many.logits, single.logits, n * sizeof(float));
        }
    run(m, &(vg_engine_opts){.ctx_tok = 128, .logit_rows = 8}, 40, N_TOK, &many);
    assert_int_equal(many.n, N_TOK - 40);
    free(single.logits);
    free(many.logits);
    vg_model_unref(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(means_have_errors),
        cmocka_unit_test(rows_are_distributions),
        cmocka_unit_test(divergences_are_known),
        cmocka_unit_test(quantiles_and_intervals),
        cmocka_unit_test(stored_logits_come_back),
        cmocka_unit_test(watched_logits_are_those_of_single_steps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
