/* test_kern.c: what the kernels compute: formats against the golden values of the gguf package, all
 * else against the same formula in double. That all tables agree bit for bit is exact_kern.c's
 * matter, so most tests here look at the best table alone.
 *
 * u is the rounding error of one float operation, 2^-24. */
#include "test.h"

#include <math.h>

#include "kern_data.h"

#define U 0x1p-24

/* ---- formats ------------------------------------------------------------------------------ */

static uint32_t u32_at(const char *p)
{
    uint32_t v;
    memcpy(&v, p, 4);
    return v;
}

/* "VGDQ", u32 version 1, u32 type, u32 n, u32 raw bytes, the raw bytes, n floats. */
static void test_dequant_golden(void **state)
{
    VG_UNUSED(state);
    for (uint32_t t = 0; t < VG_N_DTYPES; t++) {
        const vg_dtype_info *info = vg_dtype_get(t);
        if (!info) continue;
        char path[4096], name[64];
        snprintf(name, sizeof name, "golden/dequant/%s.bin", info->name);
        test_path(path, name);
        size_t bytes;
        char *file = test_read(path, &bytes);
        assert_true(bytes > 20 && !memcmp(file, "VGDQ", 4) && u32_at(file + 4) == 1);
        assert_int_equal(u32_at(file + 8), t);
        size_t n = u32_at(file + 12), raw = u32_at(file + 16);
        uint64_t row_bytes = 0;
        assert_true(vg_dtype_row_bytes(t, n, &row_bytes));
        assert_int_equal(row_bytes, raw);
        assert_int_equal(bytes, 20 + raw + 4 * n);
        float *out = malloc(n * sizeof *out);
        assert_non_null(out);
        vg_dequant((vg_dtype)t, file + 20, out, n);
        if (memcmp(out, file + 20 + raw, n * sizeof *out)) fail_msg("%s differs", info->name);
        free(out);
        free(file);
    }
}

static void test_dtype_table(void **state)
{
    VG_UNUSED(state);
    uint64_t bytes = 7;
    assert_null(vg_dtype_get(4)); /* a number that ggml no longer uses */
    assert_null(vg_dtype_get(VG_N_DTYPES));
    assert_null(vg_dtype_get(UINT32_MAX));
    assert_false(vg_dtype_row_bytes(5, 32, &bytes));
    assert_false(vg_dtype_row_bytes(VG_Q4_0, 33, &bytes));
    assert_false(vg_dtype_row_bytes(VG_Q4_K, 32, &bytes));
    assert_false(vg_dtype_row_bytes(VG_F32, UINT64_MAX / 2, &bytes));
    assert_int_equal(bytes, 7);
    assert_true(vg_dtype_row_bytes(VG_Q4_K, 512, &bytes));
    assert_int_equal(bytes, 288);
    assert_true(vg_dtype_row_bytes(VG_Q6_K, 0, &bytes));
    assert_int_equal(bytes, 0);
    assert_string_equal(vg_dtype_get(VG_IQ4_XS)->name, "IQ4_XS");
    assert_int_equal(vg_kv_row_bytes(VG_KVK_Q8, 80), 3 * 34);
    assert_int_equal(vg_kv_row_bytes(VG_KVK_F16, 80), 160);
    assert_int_equal(vg_kv_row_bytes(VG_KVK_F32, 80), 320);
}

/* All 65536 halves there and back; and midpoints between neighbours go to the even one. */
static void test_f16(void **state)
{
    VG_UNUSED(state);
    for (uint32_t i = 0; i < 0x8000; i++) {
        int e = (int)(i >> 10), m = (int)(i & 0x3ff);
        float f = vg_f16_to_f32((uint16_t)i), minus = vg_f16_to_f32((uint16_t)(i | 0x8000));
        if (e == 31 && m) {
            assert_true(isnan(f) && isnan(minus));
            assert_true((vg_f32_to_f16(f) & 0x7fff) > 0x7c00);
            continue;
        }
        double want = e == 31 ? (double)INFINITY
                      : e     ? ldexp(1024 + m, e - 25)
                              : ldexp(m, -24);
        assert_true((double)f == want && (double)minus == -want && signbit(minus));
        assert_int_equal(vg_f32_to_f16(f), i);
        assert_int_equal(vg_f32_to_f16(minus), i | 0x8000);
        if (e == 31) continue;
        double next = i == 0x7bff ? 65536.0 : (double)vg_f16_to_f32((uint16_t)(i + 1));
        float middle = (float)((want + next) / 2);
        assert_int_equal(vg_f32_to_f16(middle), i + (i & 1));
        assert_int_equal(vg_f32_to_f16(nextafterf(middle, 0.0f)), i);
        assert_int_equal(vg_f32_to_f16(nextafterf(middle, 1e9f)), i + 1);
    }
    assert_int_equal(vg_f32_to_f16(1e30f), 0x7c00);
    assert_int_equal(vg_f32_to_f16(-1e-30f), 0x8000);
}

/* ---- tables ------------------------------------------------------------------------------- */

static void test_pick(void **state)
{
    VG_UNUSED(state);
    const vg_kern *const *all = vg_kern_all();
    assert_string_equal(all[0]->isa, "c");
    size_t n = 0;
    for (; all[n]; n++) assert_ptr_equal(vg_kern_pick(all[n]->isa), all[n]);
    assert_ptr_equal(vg_kern_pick(NULL), all[n - 1]);
    assert_null(vg_kern_pick("mmx"));
    assert_null(vg_kern_pick(""));
}

/* ---- rows --------------------------------------------------------------------------------- */

enum { ROWS = 21, COLS = 11, N_IN = 1024, BLOCKS = N_IN / 32 };

typedef struct matrix {
    uint8_t *w;  /* [ROWS, N_IN] */
    size_t stride;
    float *real; /* the same as floats */
    void *scratch;
    float x[COLS][N_IN];
    vg_act act[COLS][BLOCKS];
    float out[COLS][ROWS];
} matrix;

static matrix *matrix_new(const vg_kern *k, vg_dtype type)
{
    kern_random random = {7};
    uint64_t bytes = 0;
    matrix *m = calloc(1, sizeof *m);
    assert_non_null(m);
    assert_true(vg_dtype_row_bytes(type, N_IN, &bytes));
    m->stride = bytes;
    m->w = malloc(bytes * ROWS);
    m->real = malloc(sizeof(float) * N_IN * ROWS);
    m->scratch = aligned_alloc(64, (vg_rows_scratch_bytes(N_IN) + 63) / 64 * 64);
    assert_true(m->w && m->real && m->scratch);
    kern_fill_weights(&random, type, m->w, bytes * ROWS, false);
    vg_dequant(type, m->w, m->real, (size_t)N_IN * ROWS);
    for (size_t c = 0; c < COLS; c++) {
        kern_fill_floats(&random, m->x[c], N_IN, KERN_TAME);
        k->quantise(m->x[c], m->act[c], N_IN);
    }
    return m;
}

static void matrix_free(matrix *m)
{
    free(m->w);
    free(m->real);
    free(m->scratch);
    free(m);
}

/* Rows r0.. and columns c0.. into m->out. */
static void matrix_run(const vg_kern *k, vg_dtype type, matrix *m, size_t r0, size_t rows,
                       size_t c0, size_t cols)
{
    k->rows(type, &(vg_rows){.w = m->w + r0 * m->stride, .w_stride = m->stride, .n_rows = rows,
                             .n_in = N_IN, .act = m->act[c0], .x = m->x[c0], .x_stride = N_IN,
                             .n_cols = cols, .out = &m->out[c0][r0], .out_stride = ROWS,
                             .scratch = m->scratch});
}

/* Against double sums over the dequantised weights. With the integers that the kernel saw, the
 * error is that of rounding: N_IN / 8 additions in a lane or two for each block, and a few
 * operations on the way there, each at most u of the sum of magnitudes. A minimum is taken out of
 * both terms, so that magnitudes are those of scale * q and of the minimum: 40 times |w| covers
 * them here. With the floats that were quantised, half a step of each block comes on top. */
static void test_rows_accuracy(void **state)
{
    VG_UNUSED(state);
    const vg_kern *k = vg_kern_pick(NULL);
    for (uint32_t t = 0; t < VG_N_DTYPES; t++) {
        const vg_dtype_info *info = vg_dtype_get(t);
        if (!info) continue;
        matrix *m = matrix_new(k, (vg_dtype)t);
        matrix_run(k, (vg_dtype)t, m, 0, ROWS, 0, COLS);
        for (size_t c = 0; c < COLS; c++)
            for (size_t r = 0; r < ROWS; r++) {
                double sum = 0, exact = 0, size = 0, step = 0, got = (double)m->out[c][r];
                for (size_t i = 0; i < N_IN; i++) {
                    const vg_act *a = &m->act[c][i / 32];
                    double w = (double)m->real[r * N_IN + i], x = (double)m->x[c][i];
                    double seen = info->quantised ? (double)a->d * a->q[i % 32] : x;
                    sum += w * seen;
                    exact += w * x;
                    size += fabs(w * seen);
                    step += fabs(w) * (double)a->d * 0.5001;
                }
                double bound = 40 * 4 * U * size;
                if (fabs(got - sum) > bound) fail_msg("%s: %g, not %g", info->name, got, sum);
                if (info->quantised) bound += step;
                if (fabs(got - exact) > bound) fail_msg("%s: %g, not %g", info->name, got, exact);
            }
        matrix_free(m);
    }
}

/* A column has the same bits alone and in a batch, a row alone and among others. */
static void test_rows_batches(void **state)
{
    VG_UNUSED(state);
    for (const vg_kern *const *k = vg_kern_all(); *k; k++)
        for (uint32_t t = 0; t < VG_N_DTYPES; t++) {
            if (!vg_dtype_get(t)) continue;
            matrix *m = matrix_new(*k, (vg_dtype)t);
            float whole[COLS][ROWS];
            matrix_run(*k, (vg_dtype)t, m, 0, ROWS, 0, COLS);
            memcpy(whole, m->out, sizeof whole);
            for (size_t r = 0; r < ROWS; r += 5)
                for (size_t c = 0; c < COLS; c += 3) {
                    memset(m->out, 0, sizeof m->out);
                    matrix_run(*k, (vg_dtype)t, m, r, 1, c, 1);
                    assert_memory_equal(&m->out[c][r], &whole[c][r], sizeof(float));
                }
            memset(m->out, 0, sizeof m->out);
            matrix_run(*k, (vg_dtype)t, m, 0, 13, 0, 2);
            matrix_run(*k, (vg_dtype)t, m, 13, ROWS - 13, 0, 2);
            matrix_run(*k, (vg_dtype)t, m, 0, ROWS, 2, COLS - 2);
            assert_memory_equal(m->out, whole, sizeof whole);
            matrix_free(m);
        }
}

/* An interleaved matrix holds the same numbers, row by row, in the same number of bytes; rows past
 * the last whole 8 are those of the file. */
static void test_interleave(void **state)
{
    VG_UNUSED(state);
    kern_random random = {9};
    enum { N_ROWS = 27, N = 512 };
    uint8_t plain[N_ROWS * 544], w[N_ROWS * 544];
    for (uint32_t t = 0; t < VG_N_DTYPES; t++) {
        uint64_t row = 0;
        if (!vg_dtype_row_bytes(t, N, &row) || !vg_interleaves((vg_dtype)t)) continue;
        kern_fill_weights(&random, (vg_dtype)t, plain, N_ROWS * row, false);
        vg_interleave((vg_dtype)t, plain, w, N_ROWS, N);
        assert_memory_not_equal(plain, w, 24 * row);
        assert_memory_equal(plain + 24 * row, w + 24 * row, 3 * row);
        for (size_t r = 0; r < N_ROWS; r++) {
            float want[N], got[2][N];
            vg_dequant((vg_dtype)t, plain + r * row, want, N);
            vg_dequant_row((vg_dtype)t, plain, false, N_ROWS, r, got[0], N);
            vg_dequant_row((vg_dtype)t, w, true, N_ROWS, r, got[1], N);
            assert_memory_equal(got[0], want, sizeof want);
            if (memcmp(got[1], want, sizeof want))
                fail_msg("%s: row %zu differs", vg_dtype_get(t)->name, r);
        }
    }
}

/* The same block as 8 interleaved rows, times one column and times as many as take the other way:
 * each sum is `want`. */
static void check_interleaved(const vg_kern *k, vg_dtype type, const uint8_t *block,
                              const vg_act *act, float want)
{
    enum { N_COLS = 17 };
    size_t n = vg_dtype_get(type)->block, bytes = vg_dtype_get(type)->bytes;
    uint8_t plain[8 * 210], w[8 * 210];
    vg_act all[N_COLS * 8];
    float out[N_COLS * 8];
    void *scratch = aligned_alloc(64, (vg_rows_scratch_bytes(n) + 63) / 64 * 64);
    assert_non_null(scratch);
    for (size_t r = 0; r < 8; r++) memcpy(plain + r * bytes, block, bytes);
    for (size_t c = 0; c < N_COLS; c++) memcpy(all + c * n / 32, act, n / 32 * sizeof *act);
    vg_interleave(type, plain, w, 8, n);
    for (size_t cols = 1; cols <= N_COLS; cols += N_COLS - 1) {
        k->rows(type, &(vg_rows){.w = w, .w_stride = bytes, .n_rows = 8, .n_in = n, .act = all,
                                 .interleaved = true, .scratch = scratch, .n_cols = cols,
                                 .out = out, .out_stride = 8});
        for (size_t i = 0; i < 8 * cols; i++) assert_memory_equal(&out[i], &want, sizeof want);
    }
    free(scratch);
}

/* The largest integers that each format can hold, with signs that make them add up: nothing may
 * overflow on the way, not even in 16 bits. */
static void test_rows_extremes(void **state)
{
    VG_UNUSED(state);
    const vg_kern *const *all = vg_kern_all();
    for (uint32_t t = 0; t < VG_N_DTYPES; t++) {
        const vg_dtype_info *info = vg_dtype_get(t);
        if (!info || !info->quantised) continue;
        for (int fill = 0; fill < 256; fill++)
            for (int sign = -1; sign <= 1; sign += 2) {
                uint8_t w[256 * 2];
                float real[256], out[2];
                vg_act act[8];
                int at[2];
                uint16_t one = vg_f32_to_f16(1.0f);
                size_t n = info->block;
                memset(w, fill, sizeof w);
                kern_scale_places((vg_dtype)t, at);
                for (int i = 0; i < 2; i++)
                    if (at[i] >= 0) memcpy(w + at[i], &one, 2);
                if (t == VG_MXFP4) w[0] = 128;
                vg_dequant((vg_dtype)t, w, real, n);
                double sum = 0, size = 0;
                for (size_t i = 0; i < n / 32; i++) {
                    act[i] = (vg_act){.d = 1, .d_sum = (float)(sign * 32 * 127)};
                    act[i].sum[0] = act[i].sum[1] = (int16_t)(sign * 16 * 127);
                    memset(act[i].q, sign * 127, 32);
                }
                for (size_t i = 0; i < n; i++) sum += (double)real[i] * sign * 127;
                for (size_t i = 0; all[i]; i++) {
                    all[i]->rows((vg_dtype)t, &(vg_rows){.w = w, .n_rows = 1, .n_in = n, .act = act,
                                                         .n_cols = 1, .out = out, .out_stride = 1});
                    size = 256 * 127 * 127 * 64.0; /* each term, of at most 256 of them */
                    if (fabs((double)out[0] - sum) > 4 * U * size)
                        fail_msg("%s of %d: %g, not %g", info->name, fill, (double)out[0], sum);
                    if (vg_interleaves((vg_dtype)t))
                        check_interleaved(all[i], (vg_dtype)t, w, act, out[0]);
                }
            }
    }
}

/* ---- vectors ------------------------------------------------------------------------------ */

/* Errors in units of u, over the range where the results are normal numbers; the bounds are what
 * the formulas give (measured: silu 2.7, gelu 6, tanh 2.3, erf form 6) with some room. GELU's
 * exponent is a product of three roundings, which e^-2u magnifies by |2u|; that of the erf form
 * is a square, magnified by x^2 / 2. */
static void test_functions(void **state)
{
    VG_UNUSED(state);
    const vg_kern *k = vg_kern_pick(NULL);
    double worst[4] = {0};
    for (int i = -80000; i <= 80000; i++) {
        float x = (float)i * 0x1.0624dep-10f, one = 1.0f, got[4] = {0, 0, x * 0.125f, x};
        k->silu_mul(&x, &one, &got[0], 1);
        k->gelu_mul(&x, &one, &got[1], 1);
        k->softcap(&got[2], 1.0f, 1);
        k->gelu_erf(&got[3], 1);
        double d = (double)x, u2 = 2 * sqrt(2 / acos(-1.0)) * (d + 0.044715 * d * d * d);
        double want[4] = {d / (1 + exp(-d)), d / (1 + exp(-u2)), tanh((double)(x * 0.125f)),
                          d * erfc(-d * sqrt(0.5)) / 2};
        double loss[4] = {1, 1 + (u2 < 0 ? -u2 : 0), 1, 1 + (d < 0 ? d * d / 2 : 0)};
        for (int f = 0; f < 4; f++) {
            if (fabs(want[f]) < 1e-36) continue; /* e^88.7 is the largest float */
            double error = fabs((double)got[f] - want[f]) / fabs(want[f]) / U;
            worst[f] = fmax(worst[f], error / loss[f]);
        }
    }
    if (!(worst[0] < 4 && worst[1] < 8 && worst[2] < 3 && worst[3] < 8))
        fail_msg("errors in u: silu %g, gelu %g, tanh %g, erf form %g", worst[0], worst[1],
                 worst[2], worst[3]);
}

static void test_function_limits(void **state)
{
    VG_UNUSED(state);
    const vg_kern *k = vg_kern_pick(NULL);
    const float x[8] = {0.0f, -0.0f, 200.0f, -200.0f, 3e38f, -3e38f, (float)NAN, (float)INFINITY};
    float one[8] = {1, 1, 1, 1, 1, 1, 1, 1}, y[8];
    k->silu_mul(x, one, y, 8);
    assert_true(y[0] == 0.0f && y[1] == 0.0f && y[2] == 200.0f && y[3] == 0.0f && y[4] == 3e38f);
    assert_true(y[5] == 0.0f && isnan(y[6]) && isinf(y[7]));
    k->gelu_mul(x, one, y, 8);
    assert_true(y[0] == 0.0f && y[2] == 200.0f && y[3] == 0.0f && y[4] == 3e38f && y[5] == 0.0f);
    assert_true(isnan(y[6]) && isinf(y[7]));
    memcpy(y, x, sizeof y);
    k->gelu_erf(y, 8);
    assert_true(y[0] == 0.0f && y[2] == 200.0f && y[3] == 0.0f && y[4] == 3e38f && y[5] == 0.0f);
    assert_true(isnan(y[6]) && isinf(y[7]));
    memcpy(y, x, sizeof y);
    k->softcap(y, 50.0f, 8);
    assert_true(y[0] == 0.0f && !signbit(y[0]) && signbit(y[1]) && y[4] == 50.0f && y[5] == -50.0f);
    assert_true(isnan(y[6]) && y[7] == 50.0f && y[2] < 50.0f && y[2] > 49.9f);
}

static void test_softmax(void **state)
{
    VG_UNUSED(state);
    const vg_kern *k = vg_kern_pick(NULL);
    kern_random random = {3};
    float x[1001], y[1001];
    double sum = 0;
    kern_fill_floats(&random, x, 1001, KERN_TAME);
    for (int i = 0; i < 1001; i++) {
        x[i] = x[i] * 40.0f + 1000.0f;
        sum += exp((double)x[i] - 1040);
    }
    x[7] = -(float)INFINITY;
    sum = 0;
    for (int i = 0; i < 1001; i++) sum += exp((double)x[i] - 1040);
    memcpy(y, x, sizeof y);
    k->softmax(y, 1001);
    assert_true(y[7] == 0.0f && !signbit(y[7]));
    for (int i = 0; i < 1001; i++) { /* exp 2 u, its sum over 126 in a lane 130 u at worst */
        double want = exp((double)x[i] - 1040) / sum;
        assert_true(fabs((double)y[i] - want) <= 140 * U * want);
    }
    y[0] = -3.0f;
    k->softmax(y, 1);
    assert_true(y[0] == 1.0f);
    k->softmax(y, 0);
    memcpy(y, x, sizeof y);
    y[500] = (float)NAN;
    k->softmax(y, 1001);
    assert_true(isnan(y[0]) && isnan(y[500]) && isnan(y[1000]));
}

static void test_rms_norm(void **state)
{
    VG_UNUSED(state);
    const vg_kern *k = vg_kern_pick(NULL);
    kern_random random = {5};
    float x[8192], w[8192], y[8192] = {0};
    kern_fill_floats(&random, x, 8192, KERN_TAME);
    kern_fill_floats(&random, w, 8192, KERN_TAME);
    static const size_t lengths[] = {1, 7, 64, 100, 8192};
    for (size_t j = 0; j < VG_COUNT(lengths); j++) {
        size_t n = lengths[j];
        double sum = 0;
        for (size_t i = 0; i < n; i++) sum += (double)x[i] * (double)x[i];
        double s = 1 / sqrt(sum / (double)n + 1e-6);
        k->rms_norm(x, w, y, n, 1e-6f);
        for (size_t i = 0; i < n; i++) /* 1024 roundings in a lane, which mostly cancel */
            assert_true(fabs((double)y[i] - (double)x[i] * s * (double)w[i]) <= 1e-6);
        k->rms_norm(x, NULL, y, n, 1e-6f);
        for (size_t i = 0; i < n; i++)
            assert_true(fabs((double)y[i] - (double)x[i] * s) <= 1e-6 * s);
    }
    memset(y, 0, sizeof y);
    k->rms_norm(y, w, y, 100, 1e-6f);
    assert_true(y[0] == 0.0f && y[99] == 0.0f);
}

static void test_layer_norm(void **state)
{
    VG_UNUSED(state);
    const vg_kern *k = vg_kern_pick(NULL);
    kern_random random = {6};
    float x[1024], w[1024], b[1024], y[1024];
    kern_fill_floats(&random, x, 1024, KERN_TAME);
    kern_fill_floats(&random, w, 1024, KERN_TAME);
    kern_fill_floats(&random, b, 1024, KERN_TAME);
    static const size_t lengths[] = {2, 7, 64, 100, 1024};
    for (size_t j = 0; j < VG_COUNT(lengths); j++) {
        size_t n = lengths[j];
        double mean = 0, sum = 0;
        for (size_t i = 0; i < n; i++) mean += (double)x[i] / (double)n;
        for (size_t i = 0; i < n; i++) sum += ((double)x[i] - mean) * ((double)x[i] - mean);
        double s = 1 / sqrt(sum / (double)n + 1e-6);
        k->layer_norm(x, w, b, y, n, 1e-6f);
        for (size_t i = 0; i < n; i++) /* as of the RMS norm */
            assert_true(fabs((double)y[i] - (((double)x[i] - mean) * s * (double)w[i] +
                                             (double)b[i])) <= 1e-6);
    }
    for (size_t i = 0; i < 100; i++) y[i] = 3.0f;
    k->layer_norm(y, w, b, y, 100, 1e-6f); /* nothing but a mean */
    assert_true(y[0] == b[0] && y[99] == b[99]);
}

static void test_elementwise(void **state)
{
    VG_UNUSED(state);
    const vg_kern *k = vg_kern_pick(NULL);
    float x[4] = {1, 2, 3, 4}, y[4] = {10, 20, 30, 40};
    const float cos[2] = {0.5f, 0.25f}, sin[2] = {2.0f, 4.0f};
    k->add(x, y, 4);
    assert_true(x[0] == 11 && x[3] == 44);
    k->add_scaled(x, y, -1.0f, 4);
    assert_true(x[0] == 1 && x[3] == 4);
    k->mul(x, y, 4);
    assert_true(x[0] == 10 && x[3] == 160);
    k->scale(y, 0.1f, 4);
    assert_true(y[0] == 1.0f && y[3] == 4.0f);
    k->rope(y, cos, sin, 2, false); /* (1, 3) and (2, 4) */
    assert_true(y[0] == 0.5f - 6 && y[2] == 2 + 1.5f && y[1] == 0.5f - 16 && y[3] == 8 + 1);
    float z[4] = {1, 2, 3, 4};
    k->rope(z, cos, sin, 2, true); /* (1, 2) and (3, 4) */
    assert_true(z[0] == 0.5f - 4 && z[1] == 2 + 1 && z[2] == 0.75f - 16 && z[3] == 12 + 1);
}

/* ---- 8-bit blocks ------------------------------------------------------------------------- */

static void test_quantise(void **state)
{
    VG_UNUSED(state);
    const vg_kern *k = vg_kern_pick(NULL);
    float x[70] = {127.0f, 0.5f, 1.5f, 2.5f, -0.5f, -1.5f, -126.5f};
    vg_act act[3];
    x[32] = 1e-42f; /* 127 / max is infinite: counts as zeros */
    x[64] = 2.0f;
    x[65] = -(float)INFINITY;
    k->quantise(x, act, 70);
    const int8_t want[8] = {127, 0, 2, 2, 0, -2, -126, 0};
    assert_true(act[0].d == 1.0f && act[0].sum[0] == 127 + 4 - 2 - 126);
    assert_true(act[0].sum[1] == 0 && act[0].d_sum == 3.0f);
    assert_memory_equal(act[0].q, want, 8);
    assert_true(act[1].d == 0.0f && act[1].sum[0] == 0 && act[1].q[0] == 0);
    assert_true(isnan(act[2].d) && act[2].sum[0] == 0 && act[2].q[0] == 0);
    x[65] = (float)NAN;
    k->quantise(x + 64, act, 3);
    assert_true(isnan(act[0].d) && act[0].q[0] == 0);

    kern_random random = {9};
    for (int pass = 0; pass < 2000; pass++) {
        kern_fill_floats(&random, x, 32, pass % 2 ? KERN_WIDE : KERN_TAME);
        k->quantise(x, act, 32);
        int32_t sum = 0;
        for (int i = 0; i < 32; i++) {
            sum += act[0].q[i];
            assert_in_range(act[0].q[i] + 127, 0, 254);
            assert_true(fabs((double)x[i] - (double)act[0].d * act[0].q[i])
                        <= (double)act[0].d * 0.5001);
        }
        assert_int_equal(sum, act[0].sum[0] + act[0].sum[1]);
    }
}

/* ---- mathematics in double ---------------------------------------------------------------- */

static double ulps(double got, double want)
{
    if (got == want) return 0;
    int e;
    frexp(want, &e);
    return fabs(got - want) / ldexp(1.0, e < -1021 ? -1074 : e - 53);
}

static double uniform64(kern_random *r)
{
    return (double)kern_next(r) / 4294967296.0 - 0.5;
}

/* Against the C library, itself within an ulp. pow in the range of rotary angles and beyond. */
static void test_math64(void **state)
{
    VG_UNUSED(state);
    kern_random r = {13};
    double worst[5] = {0};
    for (int i = 0; i < 300000; i++) {
        double x = uniform64(&r), s, c;
        double wide = x * (i % 3 == 0 ? 2e9 : i % 3 == 1 ? 1e5 : 10);
        double positive = exp(x * (i % 2 ? 1000 : 1));
        double base = 1 + 1e6 * (x + 0.5), y = uniform64(&r);
        vg_sincos_f64(wide, &s, &c);
        worst[0] = fmax(worst[0], ulps(vg_exp_f64(x * 1480), exp(x * 1480)));
        worst[1] = fmax(worst[1], ulps(vg_log_f64(positive), log(positive)));
        worst[2] = fmax(worst[2], ulps(vg_pow_f64(base, y * 4), pow(base, y * 4)));
        worst[3] = fmax(worst[3], ulps(s, sin(wide)));
        worst[4] = fmax(worst[4], ulps(c, cos(wide)));
    }
    for (int i = 0; i < 5; i++)
        if (worst[i] > 2) fail_msg("function %d: %g ulp", i, worst[i]);
    for (int n = 1; n < 1000000; n += 997) { /* next to multiples of pi / 2, where digits go */
        double x = n * 1.5707963267948966, s, c;
        vg_sincos_f64(x, &s, &c);
        assert_true(ulps(s, sin(x)) <= 2 && ulps(c, cos(x)) <= 2);
    }
}

static void test_math64_limits(void **state)
{
    VG_UNUSED(state);
    double s, c, inf = (double)INFINITY;
    assert_true(vg_exp_f64(0) == 1 && vg_exp_f64(-inf) == 0 && vg_exp_f64(inf) == inf);
    assert_true(vg_exp_f64(709.8) == inf && vg_exp_f64(-746) == 0);
    assert_true(vg_exp_f64(-745.1) == 0x1p-1074 && vg_exp_f64(709.7) < inf);
    assert_true(isnan(vg_exp_f64((double)NAN)));
    assert_true(vg_log_f64(1) == 0 && vg_log_f64(0) == -inf && vg_log_f64(inf) == inf);
    assert_true(isnan(vg_log_f64(-1)) && ulps(vg_log_f64(0x1p-1074), log(0x1p-1074)) <= 1);
    assert_true(vg_pow_f64(10000, 0) == 1 && vg_pow_f64(2, 10) == 1024);
    assert_true(vg_pow_f64(2, 5000) == inf && vg_pow_f64(2, -5000) == 0);
    assert_true(vg_pow_f64(1, 1e300) == 1);
    vg_sincos_f64(0, &s, &c);
    assert_true(s == 0 && c == 1);
    vg_sincos_f64(inf, &s, &c);
    assert_true(isnan(s) && isnan(c));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dequant_golden),
        cmocka_unit_test(test_dtype_table),
        cmocka_unit_test(test_f16),
        cmocka_unit_test(test_pick),
        cmocka_unit_test(test_rows_accuracy),
        cmocka_unit_test(test_rows_batches),
        cmocka_unit_test(test_interleave),
        cmocka_unit_test(test_rows_extremes),
        cmocka_unit_test(test_functions),
        cmocka_unit_test(test_function_limits),
        cmocka_unit_test(test_softmax),
        cmocka_unit_test(test_rms_norm),
        cmocka_unit_test(test_layer_norm),
        cmocka_unit_test(test_elementwise),
        cmocka_unit_test(test_quantise),
        cmocka_unit_test(test_math64),
        cmocka_unit_test(test_math64_limits),
    };
    return cmocka_run_group_tests_name("kern", tests, NULL, NULL);
}
