/* compress/quantise.h, feedback.h and mix.h: every type on every instruction set gives the same
 * bytes, loses no more than rounding does, keeps its promises at the edges of floats; what columns
 * lose, others make up for; and the mixes' rules. */
#include <math.h>

#include "compress/mix.h"
#include "compress/quantise.h"
#include "kern_data.h"
#include "test.h"

enum { N_IN = 512, N_ROWS = 12, N = N_IN * N_ROWS, N_INPUTS = 600 };

static const vg_dtype types[] = {VG_Q4_0, VG_Q4_1, VG_Q5_0, VG_Q5_1, VG_Q8_0,   VG_Q2_K,
                                 VG_Q3_K, VG_Q4_K, VG_Q5_K, VG_Q6_K, VG_IQ4_NL, VG_IQ4_XS};
static const char *const isas[] = {"c", "avx2", "avx512", "neon"};

typedef struct matrix {
    float x[N], y[N], importance[N_IN];
    float input[N_INPUTS * N_IN], feedback[VG_FEEDBACK_COLS * N_IN];
    uint8_t out[4 * N], other[4 * N];
    vg_quantise_loss loss;
} matrix;

static size_t out_bytes(vg_dtype type, size_t n_rows, size_t n_in)
{
    uint64_t n = 0;
    assert_true(vg_dtype_row_bytes(type, n_in, &n));
    return (size_t)n * n_rows;
}

/* Sums of 4 numbers are near enough to trained weights: most small, some large. */
static void fill(matrix *m, uint64_t seed)
{
    kern_random r = {seed};
    for (size_t i = 0; i < N; i++) {
        m->x[i] = 0;
        for (int k = 0; k < 4; k++) m->x[i] += 0.02f * kern_uniform(&r);
    }
    for (size_t i = 0; i < N_IN; i++) m->importance[i] = 1.01f + kern_uniform(&r);
}

static void quantise(matrix *m, const char *isa, vg_dtype type, bool weigh, uint8_t *out)
{
    const vg_quantiser *q = vg_quantiser_pick(isa);
    m->loss = (vg_quantise_loss){0};
    vg_quantise a = {.type = type, .src = m->x, .dst = out, .n_rows = N_ROWS, .n_in = N_IN,
                     .importance = weigh ? m->importance : NULL};
    q->rows(&a, &m->loss);
}

static double error_of(const matrix *m, bool weigh)
{
    double e = 0;
    for (size_t i = 0; i < N; i++) {
        double off = (double)m->x[i] - (double)m->y[i];
        e += off * off * (weigh ? (double)m->importance[i % N_IN] : 1.0);
    }
    return e;
}

static void test_same_everywhere(void **state)
{
    matrix *m = *state;
    for (size_t t = 0; t < VG_COUNT(types) * 2; t++) {
        vg_dtype type = types[t / 2];
        fill(m, t);
        for (int temper = -1; temper < KERN_HOLES; temper++) {
            kern_random r = {t};
            if (temper >= 0) kern_fill_floats(&r, m->x, N, (kern_temper)temper);
            quantise(m, "c", type, t % 2, m->out);
            vg_quantise_loss loss = m->loss;
            for (size_t i = 1; i < VG_COUNT(isas); i++) {
                if (!vg_quantiser_pick(isas[i])) continue;
                quantise(m, isas[i], type, t % 2, m->other);
                assert_memory_equal(m->out, m->other, out_bytes(type, N_ROWS, N_IN));
                assert_memory_equal(&loss, &m->loss, sizeof loss);
            }
        }
    }
}

/* Codes by rounding alone, with the scale that just covers the range. */
static double rounded_error(const matrix *m, bool weigh, int bits, bool lines)
{
    double e = 0, codes = (double)(1 << bits);
    for (size_t b = 0; b < N; b += 32) {
        double low = 0, high = 0;
        for (size_t i = b; i < b + 32; i++) {
            low = fmin(low, (double)m->x[i]);
            high = fmax(high, (double)m->x[i]);
        }
        double d = lines ? (high - low) / (codes - 1) : fmax(high, -low) / (codes / 2 - 1);
        for (size_t i = b; i < b + 32; i++) {
            double w = weigh ? (double)m->importance[i % N_IN] : 1.0;
            double from = lines ? low : 0, x = (double)m->x[i];
            double off = x - (round((x - from) / d) * d + from);
            e += w * off * off;
        }
    }
    return e;
}

static void test_better_than_rounding(void **state)
{
    static const struct { vg_dtype type; int bits; bool lines; double most; } rows[] = {
        {VG_Q4_0, 4, false, 0.8}, {VG_Q4_1, 4, true, 0.85}, {VG_Q5_0, 5, false, 0.85},
        {VG_Q5_1, 5, true, 0.85}, {VG_Q8_0, 8, false, 1.0}, {VG_Q4_K, 4, true, 0.95},
        {VG_Q5_K, 5, true, 0.95}, {VG_Q6_K, 6, false, 0.9}, {VG_IQ4_NL, 4, false, 0.8},
        {VG_IQ4_XS, 4, false, 0.8}, {VG_Q3_K, 3, false, 0.7}, {VG_Q2_K, 2, true, 0.7},
    };
    matrix *m = *state;
    for (size_t t = 0; t < VG_COUNT(rows) * 2; t++) {
        bool weigh = t % 2;
        fill(m, t);
        quantise(m, NULL, rows[t / 2].type, weigh, m->out);
        vg_dequant(rows[t / 2].type, m->out, m->y, N);
        double e = error_of(m, weigh);
        double rounded = rounded_error(m, weigh, rows[t / 2].bits, rows[t / 2].lines);
        if (e > rows[t / 2].most * rounded)
            fail_msg("%s: %g of rounding's error", vg_dtype_get(rows[t / 2].type)->name,
                     e / rounded);
        assert_true(fabs(m->loss.error - e) < 1e-3 * e);
    }
}

/* Importance must help what it is about: the same bytes lose less by its measure. */
static void test_importance_counts(void **state)
{
    matrix *m = *state;
    for (size_t t = 0; t < VG_COUNT(types); t++) {
        fill(m, 77 + t);
        quantise(m, NULL, types[t], false, m->out);
        vg_dequant(types[t], m->out, m->y, N);
        double plain = error_of(m, true);
        quantise(m, NULL, types[t], true, m->out);
        vg_dequant(types[t], m->out, m->y, N);
        assert_true(error_of(m, true) < plain);
    }
}

static void check_finite(const matrix *m)
{
    for (size_t i = 0; i < N; i++) assert_true(isfinite(m->y[i]));
}

static void test_edges(void **state)
{
    matrix *m = *state;
    for (size_t t = 0; t < VG_COUNT(types); t++) {
        for (int temper = KERN_TAME; temper < KERN_HOLES; temper++) {
            kern_random r = {t + 1};
            kern_fill_floats(&r, m->x, N, (kern_temper)temper);
            quantise(m, NULL, types[t], false, m->out);
            vg_dequant(types[t], m->out, m->y, N);
            check_finite(m);
            if (temper != KERN_ZERO) continue;
            for (size_t i = 0; i < N; i++) assert_true(m->y[i] == 0.0f);
        }
        for (size_t i = 0; i < N; i++) m->x[i] = i / 256 % 2 ? 0.375f : -0.375f; /* constant */
        quantise(m, NULL, types[t], false, m->out);
        vg_dequant(types[t], m->out, m->y, N);
        for (size_t i = 0; i < N; i++) assert_true(fabsf(m->y[i] - m->x[i]) < 0.008f);
        memset(m->x, 0, sizeof m->x);
        for (size_t i = 5; i < N; i += 256) m->x[i] = i % 512 == 5 ? -3.0f : 3.0f; /* alone */
        quantise(m, NULL, types[t], false, m->out);
        vg_dequant(types[t], m->out, m->y, N);
        for (size_t i = 5; i < N; i += 256) assert_true(fabsf(m->y[i] - m->x[i]) < 0.02f);
    }
}

/* Rows by themselves, and a matrix whose blocks are no multiple of eight. */
static void test_split_and_tail(void **state)
{
    matrix *m = *state;
    fill(m, 3);
    for (size_t t = 0; t < VG_COUNT(types); t++) {
        size_t n_in = vg_dtype_get(types[t])->block == 32 ? 96 : 256;
        size_t bytes = out_bytes(types[t], 1, n_in);
        vg_quantise_loss loss = {0};
        vg_quantise all = {.type = types[t], .src = m->x, .dst = m->out, .n_rows = 7, .n_in = n_in,
                           .importance = m->importance};
        memset(m->out, 0xa5, sizeof m->out);
        vg_quantiser_pick(NULL)->rows(&all, &loss);
        assert_int_equal(m->out[7 * bytes], 0xa5);
        for (size_t r = 0; r < 7; r++) {
            vg_quantise one = all;
            one.src = m->x + r * n_in;
            one.dst = m->other;
            one.n_rows = 1;
            vg_quantiser_pick("c")->rows(&one, &loss);
            assert_memory_equal(m->other, m->out + r * bytes, bytes);
        }
    }
}

static void test_floats(void **state)
{
    static const vg_dtype float_types[] = {VG_F32, VG_F16, VG_BF16};
    matrix *m = *state;
    fill(m, 9);
    m->x[3] = 1e30f; /* F16 has nothing like it */
    m->x[4] = 3.4e38f;
    for (size_t t = 0; t < VG_COUNT(float_types); t++) {
        quantise(m, NULL, float_types[t], false, m->out);
        assert_true(vg_quantiser_pick(NULL)->widen(float_types[t], m->out, m->y, N - 3));
        check_finite(m);
        for (size_t i = 5; i < N - 3; i++) assert_true(fabsf(m->y[i] - m->x[i]) < 0.0005f);
    }
    const float holes[] = {INFINITY, -INFINITY, NAN};
    for (size_t i = 0; i < VG_COUNT(holes); i++)
        for (size_t at = 0; at < 17; at++) {
            fill(m, 1);
            m->x[at] = holes[i];
            assert_false(vg_quantiser_pick(NULL)->widen(VG_F32, m->x, m->y, 17));
            assert_true(vg_quantiser_pick(NULL)->widen(VG_F32, m->x + 17, m->y, 17));
        }
}

static void test_mixes(void **state)
{
    VG_UNUSED(state);
    const vg_mix_facts f = {.n_layers = 16, .n_heads = 32, .n_kv_heads = 8, .tied = true};
    const vg_mix *mix = vg_mix_find("q4_k_m");
    assert_non_null(mix);
    assert_null(vg_mix_find("Q4_K_X"));
    assert_int_equal(vg_mix_type(mix, &f, VG_STR("token_embd.weight")), VG_Q6_K);
    assert_int_equal(vg_mix_type(mix, &f, VG_STR("blk.3.attn_q.weight")), VG_Q4_K);
    const char *const more = "1100100100100111"; /* 2 first, 2 last, every third between */
    for (size_t il = 0; il < 16; il++) {
        char name[64];
        int n = snprintf(name, sizeof name, "blk.%zu.ffn_down.weight", il);
        vg_dtype want = more[il] == '1' ? VG_Q6_K : VG_Q4_K;
        assert_int_equal(vg_mix_type(mix, &f, (vg_str){name, (size_t)n}), want);
    }
    assert_int_equal(vg_mix_fit(VG_Q4_K, 288), VG_Q5_0);
    assert_int_equal(vg_mix_fit(VG_Q6_K, 288), VG_Q8_0);
    assert_int_equal(vg_mix_fit(VG_Q4_0, 65), VG_F16);
    assert_int_equal(vg_mix_fit(VG_Q4_K, 512), VG_Q4_K);
}

static void test_glob(void **state)
{
    VG_UNUSED(state);
    static const struct { const char *pattern, *name; bool meets; } rows[] = {
        {"*", "a", true}, {"*", "", true}, {"", "", true}, {"", "a", false}, {"a?c", "abc", true},
        {"a?c", "ac", false}, {"blk.*.attn_v.weight", "blk.12.attn_v.weight", true},
        {"blk.?.attn_v*", "blk.12.attn_v.weight", false}, {"*a*a*b", "aaaaaaaab", true},
        {"*a*a*c", "aaaaaaaab", false}, {"x*", "yx", false}, {"*.weight", "a.weight", true},
    };
    for (size_t i = 0; i < VG_COUNT(rows); i++)
        assert_int_equal(vg_glob(vg_str_from(rows[i].pattern), vg_str_from(rows[i].name)),
                         rows[i].meets);
}

/* ---- feedback -------------------------------------------------------------------------------- */

/* Inputs of which 12 causes explain most, as in trained models; some columns are always 0. */
static void fill_inputs(matrix *m, size_t n_in, uint64_t seed)
{
    enum { N_CAUSES = 12 };
    static const size_t dead = 17;
    kern_random r = {seed};
    float mixing[N_CAUSES][N_IN], cause[N_CAUSES];
    for (size_t c = 0; c < N_CAUSES; c++)
        for (size_t i = 0; i < n_in; i++) mixing[c][i] = kern_uniform(&r);
    for (size_t t = 0; t < N_INPUTS; t++) {
        for (size_t c = 0; c < N_CAUSES; c++) cause[c] = kern_uniform(&r);
        for (size_t i = 0; i < n_in; i++) {
            float x = 0.5f * kern_uniform(&r);
            for (size_t c = 0; c < N_CAUSES; c++) x += cause[c] * mixing[c][i];
            m->input[t * n_in + i] = i % dead ? x * (1.0f + (float)(i % 5)) : 0.0f;
        }
    }
    double mean = 0;
    for (size_t i = 0; i < n_in; i++) {
        double sum = 0;
        for (size_t t = 0; t < N_INPUTS; t++)
            sum += (double)m->input[t * n_in + i] * (double)m->input[t * n_in + i];
        m->importance[i] = (float)sum;
        mean += sum / (double)n_in;
    }
    for (size_t i = 0; i < n_in; i++)
        m->importance[i] = fmaxf(m->importance[i] / (float)mean, 1e-6f);
    memset(m->feedback, 0, sizeof m->feedback);
    for (size_t run = 0; run * VG_FEEDBACK_COLS < n_in; run++) {
        vg_feedback_add(m->feedback, run, m->input, n_in, 37);
        vg_feedback_add(m->feedback, run, m->input + 37 * n_in, n_in, N_INPUTS - 37);
    }
    assert_int_equal(vg_feedback_make(m->feedback, n_in, NULL), VG_OK);
}

/* Of the products with the inputs. */
static double output_error(const matrix *m, size_t n_rows, size_t n_in)
{
    double sum = 0;
    for (size_t r = 0; r < n_rows; r++)
        for (size_t t = 0; t < N_INPUTS; t++) {
            double off = 0;
            for (size_t i = 0; i < n_in; i++)
                off += (double)(m->x[r * n_in + i] - m->y[r * n_in + i]) *
                       (double)m->input[t * n_in + i];
            sum += off * off;
        }
    return sum;
}

static void test_feedback_makes_up(void **state)
{
    matrix *m = *state;
    for (size_t t = 0; t < VG_COUNT(types); t++) {
        fill(m, 90 + t);
        fill_inputs(m, N_IN, t);
        quantise(m, NULL, types[t], true, m->out);
        vg_dequant(types[t], m->out, m->y, N);
        double before = output_error(m, N_ROWS, N_IN);
        vg_quantise job = {.type = types[t], .src = m->x, .dst = m->out, .n_rows = N_ROWS,
                           .n_in = N_IN, .importance = m->importance, .feedback = m->feedback};
        vg_quantise_loss loss = {0};
        vg_quantiser_pick(NULL)->rows(&job, &loss);
        vg_dequant(types[t], m->out, m->y, N);
        double after = output_error(m, N_ROWS, N_IN);
        if (after > 0.7 * before)
            fail_msg("%s: %g of the error without feedback", vg_dtype_get(types[t])->name,
                     after / before);
        double norm = m->loss.norm;
        assert_true(fabs(loss.norm - norm) < 1e-3 * norm);
        assert_true(loss.error > 0 && loss.error < m->loss.error);
    }
}

/* A run that is not full, a number of rows that is no multiple of eight, rows by themselves, and
 * weights that no model has. */
static void test_feedback_same_everywhere(void **state)
{
    matrix *m = *state;
    for (size_t t = 0; t < VG_COUNT(types); t++) {
        size_t n_in = vg_dtype_get(types[t])->block == 32 ? 352 : 512;
        size_t bytes = out_bytes(types[t], 1, n_in);
        fill_inputs(m, n_in, t);
        for (int temper = -1; temper < KERN_HOLES; temper++) {
            kern_random r = {t};
            fill(m, t);
            if (temper >= 0) kern_fill_floats(&r, m->x, N, (kern_temper)temper);
            vg_quantise job = {.type = types[t], .src = m->x, .dst = m->out, .n_rows = 11,
                               .n_in = n_in, .importance = m->importance,
                               .feedback = m->feedback};
            vg_quantise_loss loss = {0}, other = {0};
            memset(m->out, 0xa5, sizeof m->out);
            vg_quantiser_pick("c")->rows(&job, &loss);
            assert_int_equal(m->out[11 * bytes], 0xa5);
            vg_dequant(types[t], m->out, m->y, 11 * n_in);
            for (size_t i = 0; i < 11 * n_in; i++) assert_true(isfinite(m->y[i]));
            for (size_t i = 1; i < VG_COUNT(isas); i++) {
                const vg_quantiser *q = vg_quantiser_pick(isas[i]);
                if (!q) continue;
                job.dst = m->other;
                other = (vg_quantise_loss){0};
                q->rows(&job, &other);
                assert_memory_equal(m->out, m->other, 11 * bytes);
                assert_memory_equal(&loss, &other, sizeof loss);
            }
            other = (vg_quantise_loss){0};
            for (size_t row = 0; row < 11; row++) {
                vg_quantise one = job;
                one.src = m->x + row * n_in;
                one.dst = m->other;
                one.n_rows = 1;
                vg_quantiser_pick(NULL)->rows(&one, &other);
                assert_memory_equal(m->other, m->out + row * bytes, bytes);
            }
            assert_memory_equal(&loss, &other, sizeof loss);
        }
    }
}

static void test_feedback_refuses(void **state)
{
    matrix *m = *state;
    const float strange[] = {0.0f, NAN, INFINITY, -1.0f};
    assert_int_equal(vg_feedback_floats(256), 256 * 256);
    assert_int_equal(vg_feedback_floats(352), 256 * 256 + 96 * 96);
    for (size_t i = 0; i < VG_COUNT(strange); i++) {
        vg_err err;
        for (size_t k = 0; k < VG_COUNT(m->feedback); k++) m->feedback[k] = strange[i];
        assert_int_equal(vg_feedback_make(m->feedback, N_IN, &err), VG_E_NUMERIC);
    }
    /* Inputs that are all alike leave nothing to tell them apart by but what is added. */
    for (size_t k = 0; k < VG_COUNT(m->feedback); k++) m->feedback[k] = 4.0f;
    assert_int_equal(vg_feedback_make(m->feedback, N_IN, NULL), VG_OK);
    for (size_t k = 0; k < VG_FEEDBACK_COLS; k++) {
        float cost = m->feedback[k * VG_FEEDBACK_COLS + k];
        assert_true(cost >= 0.0099f && cost <= 1.0101f);
    }
}

static int setup(void **state)
{
    *state = calloc(1, sizeof(matrix));
    return *state ? 0 : -1;
}

static int teardown(void **state)
{
    free(*state);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_everywhere), cmocka_unit_test(test_better_than_rounding),
        cmocka_unit_test(test_importance_counts), cmocka_unit_test(test_edges),
        cmocka_unit_test(test_split_and_tail), cmocka_unit_test(test_floats),
        cmocka_unit_test(test_mixes), cmocka_unit_test(test_glob),
        cmocka_unit_test(test_feedback_makes_up),
        cmocka_unit_test(test_feedback_same_everywhere), cmocka_unit_test(test_feedback_refuses),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
