/* count_kern.c: one product of a small interleaved matrix, again and again, for a counter of
 * instructions to look at from outside (bench/count-arm); it prints nothing.
 *
 *     count_kern ISA TYPE COLUMNS TIMES
 *
 * The difference of two runs is what the kernel takes for 8 rows of 2048 by the columns, once for
 * each time more. */
#include <stdio.h>
#include <stdlib.h>

#include "../tests/kern_data.h"

enum { ROWS = 8, N_IN = 2048, MAX_COLS = 512 };

/* `bytes` of a row; cols <= MAX_COLS. */
static void run(const vg_kern *k, vg_dtype type, size_t bytes, size_t cols, size_t times)
{
    kern_random random = {1};
    float x[N_IN];
    uint8_t *w = calloc(2 * ROWS, bytes);
    vg_act *act = calloc(cols, N_IN / 32 * sizeof *act);
    float *out = calloc(cols, ROWS * sizeof *out);
    void *scratch = aligned_alloc(64, (vg_rows_scratch_bytes(N_IN) + 63) / 64 * 64);
    if (!w || !act || !out || !scratch) exit(1);
    kern_fill_weights(&random, type, w, ROWS * bytes, false);
    vg_interleave(type, w, w + ROWS * bytes, ROWS, N_IN);
    kern_fill_floats(&random, x, N_IN, KERN_TAME);
    for (size_t c = 0; c < cols; c++) k->quantise(x, act + c * (N_IN / 32), N_IN);
    for (size_t i = 0; i < times; i++)
        k->rows(type, &(vg_rows){
            .w = w + ROWS * bytes, .w_stride = bytes, .n_rows = ROWS, .n_in = N_IN, .act = act,
            .n_cols = cols, .out = out, .out_stride = ROWS, .interleaved = true,
            .scratch = scratch});
    free(w), free(act), free(out), free(scratch);
}

int main(int argc, char **argv)
{
    const vg_kern *k = argc == 5 ? vg_kern_pick(argv[1]) : NULL;
    size_t cols = k ? strtoul(argv[3], NULL, 10) : 0, times = k ? strtoul(argv[4], NULL, 10) : 0;
    uint32_t type = 0;
    for (uint32_t t = 0; k && t < VG_N_DTYPES; t++)
        if (vg_dtype_get(t) && !strcmp(vg_dtype_get(t)->name, argv[2])) type = t;
    uint64_t bytes = 0;
    if (!vg_interleaves((vg_dtype)type) || cols < 1 || cols > MAX_COLS ||
        !vg_dtype_row_bytes(type, N_IN, &bytes)) {
        fprintf(stderr, "usage: count_kern ISA TYPE COLUMNS TIMES\n");
        return 2;
    }
    run(k, (vg_dtype)type, bytes, cols, times);
    return 0;
}
