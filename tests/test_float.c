/* Tests of float.inc: whatever tile, panel or stream a sum comes from, it is the one that the order
 * in kern.inc gives. exact_kern.c holds the tables against each other at many more shapes. */
#include "test.h"

#include "kern_data.h"

/* The order that kern.inc states, written down once more: 8 lanes over k, then their tree. */
static float dot_in_order(const float *w, const float *x, size_t n)
{
    float lane[8] = {0};
    for (size_t k = 0; k < (n + 7) / 8 * 8; k++) {
        float product = k < n ? w[k] * x[k] : 0.0f;
        lane[k % 8] = lane[k % 8] + product;
    }
    float even = (lane[0] + lane[4]) + (lane[2] + lane[6]);
    return even + ((lane[1] + lane[5]) + (lane[3] + lane[7]));
}

static void sums_keep_their_order(void **state)
{
    VG_UNUSED(state);
    enum { MAX_N = 1100, MAX_ROWS = 50, MAX_COLS = 50 };
    static const size_t shapes[][3] = {{1, 1, 1}, {9, 7, 2}, {512, 24, 48}, {1100, 50, 50},
                                       {519, 25, 5}};
    kern_random random = {1};
    float *w = malloc(sizeof(float) * MAX_N * MAX_ROWS);
    float *x = malloc(sizeof(float) * MAX_N * MAX_COLS);
    float *out = malloc(sizeof(float) * MAX_ROWS * MAX_COLS);
    void *scratch = aligned_alloc(64, (vg_rows_scratch_bytes(MAX_N) + 63) / 64 * 64);
    assert_true(w && x && out && scratch);
    kern_fill_floats(&random, w, MAX_N * MAX_ROWS, KERN_TAME);
    kern_fill_floats(&random, x, MAX_N * MAX_COLS, KERN_TAME);
    for (const vg_kern *const *k = vg_kern_all(); *k; k++)
        for (size_t s = 0; s < VG_COUNT(shapes); s++) {
            size_t n = shapes[s][0], rows = shapes[s][1], cols = shapes[s][2];
            (*k)->rows(VG_F32, &(vg_rows){.w = w, .w_stride = n * sizeof(float), .n_rows = rows,
                                          .n_in = n, .x = x, .x_stride = n, .n_cols = cols,
                                          .out = out, .out_stride = rows,
                                          .scratch = scratch});
            for (size_t c = 0; c < cols; c++)
                for (size_t r = 0; r < rows; r++) {
                    float want = dot_in_order(w + r * n, x + c * n, n);
                    assert_memory_equal(&out[c * rows + r], &want, sizeof want);
                }
        }
    free(w), free(x), free(out), free(scratch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sums_keep_their_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
