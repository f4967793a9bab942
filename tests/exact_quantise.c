/* exact_quantise.c: the search of every block format, by every table that this CPU runs, held
 * against the plain C one byte for byte, and the C one held against the sums in
 * golden/quantise.hash, which are the same on every machine and compiler: without importances, with
 * them, and with feedback; of ordinary weights and of all that floats can be.
 *
 *     exact_quantise GOLDEN      prints a line per type, exits 1 at a difference
 *     exact_quantise > GOLDEN    writes the sums anew, after the search was changed
 *
 * It needs libc alone, so that it also runs in an emulator of another CPU. */
#include <stdio.h>
#include <stdlib.h>

#include "compress/quantise.h"
#include "kern_data.h"

enum { MAX_IN = 512, N_ROWS = 11, N_INPUTS = 40, MAX_BYTES = 4 * N_ROWS * MAX_IN };

typedef enum kind { PLAIN, WEIGHTED, WITH_FEEDBACK, N_KINDS } kind;

typedef struct fixture {
    float x[N_ROWS * MAX_IN], input[N_INPUTS * MAX_IN], importance[MAX_IN];
    float feedback[VG_FEEDBACK_COLS * MAX_IN];
    uint8_t out[MAX_BYTES], other[MAX_BYTES];
    kern_random random;
    uint64_t hash; /* FNV-1a */
    bool failed;
} fixture;

static const vg_dtype types[] = {VG_F16,  VG_BF16, VG_Q4_0, VG_Q4_1, VG_Q5_0, VG_Q5_1,   VG_Q8_0,
                                 VG_Q2_K, VG_Q3_K, VG_Q4_K, VG_Q5_K, VG_Q6_K, VG_IQ4_NL, VG_IQ4_XS};
static const char *const isas[] = {"avx2", "avx512", "neon"};

static void add_to_hash(fixture *f, const void *p, size_t n)
{
    const uint8_t *b = p;
    for (size_t i = 0; i < n; i++) f->hash = (f->hash ^ b[i]) * UINT64_C(1099511628211);
}

/* Every table's products are those of the run's square, which vg_feedback_add made. */
static void check_products(fixture *f, size_t n_in)
{
    const size_t n = VG_MIN(n_in, (size_t)VG_FEEDBACK_COLS);
    float *square = calloc(n * n, sizeof *square);
    for (size_t i = 0; square && i <= VG_COUNT(isas); i++) {
        const vg_quantiser *q = vg_quantiser_pick(i < VG_COUNT(isas) ? isas[i] : "c");
        if (!q) continue;
        memset(square, 0, n * n * sizeof *square);
        q->products(f->input, n_in, N_INPUTS, n, square);
        if (!memcmp(square, f->feedback, n * n * sizeof *square)) continue;
        printf("DIFFERS products of %zu columns: %s\n", n, q->isa);
        f->failed = true;
    }
    free(square);
}

/* Neighbours among the inputs have half of their values in common. */
static void fill_inputs(fixture *f, size_t n_in)
{
    float before = 0;
    for (size_t i = 0; i < N_INPUTS * n_in; i++) {
        before = 0.5f * before + kern_uniform(&f->random);
        f->input[i] = before;
    }
    for (size_t i = 0; i < n_in; i++) {
        f->importance[i] = 1e-6f;
        for (size_t t = 0; t < N_INPUTS; t++)
            f->importance[i] += f->input[t * n_in + i] * f->input[t * n_in + i];
    }
    memset(f->feedback, 0, sizeof f->feedback);
    for (size_t run = 0; run * VG_FEEDBACK_COLS < n_in; run++)
        vg_feedback_add(f->feedback, run, f->input, n_in, N_INPUTS);
    check_products(f, n_in);
    if (vg_feedback_make(f->feedback, n_in, NULL)) exit(2);
    add_to_hash(f, f->feedback, vg_feedback_floats(n_in) * sizeof *f->feedback);
}

static void check(fixture *f, vg_quantise job, size_t n_bytes)
{
    vg_quantise_loss loss = {0};
    job.dst = f->out;
    vg_quantiser_pick("c")->rows(&job, &loss);
    add_to_hash(f, f->out, n_bytes);
    for (size_t i = 0; i < VG_COUNT(isas); i++) {
        const vg_quantiser *q = vg_quantiser_pick(isas[i]);
        vg_quantise_loss other = {0};
        if (!q) continue;
        job.dst = f->other;
        q->rows(&job, &other);
        bool same = !memcmp(f->out, f->other, n_bytes);
        if (loss.error == loss.error && loss.norm == loss.norm) /* else a NaN, of any sign */
            same &= !memcmp(&loss, &other, sizeof loss);
        if (same) continue;
        printf("DIFFERS %s: %s from c\n", vg_dtype_get(job.type)->name, isas[i]);
        f->failed = true;
    }
}

static void test_type(fixture *f, vg_dtype type)
{
    const size_t n_in = vg_dtype_get(type)->block == 256 ? MAX_IN : 352;
    uint64_t row = 0;
    if (!vg_dtype_row_bytes(type, n_in, &row)) exit(2);
    f->random.state = 1;
    f->hash = UINT64_C(14695981039346656037);
    fill_inputs(f, n_in);
    for (int temper = -1; temper < KERN_HOLES; temper++) {
        if (temper >= 0) kern_fill_floats(&f->random, f->x, N_ROWS * n_in, (kern_temper)temper);
        for (size_t i = 0; temper < 0 && i < N_ROWS * n_in; i++) /* most are small */
            f->x[i] = 0.02f * kern_uniform(&f->random) * kern_uniform(&f->random);
        for (kind k = PLAIN; k < N_KINDS; k++) {
            vg_quantise job = {.type = type, .src = f->x, .n_rows = N_ROWS, .n_in = n_in};
            if (k != PLAIN) job.importance = f->importance;
            if (k == WITH_FEEDBACK) job.feedback = f->feedback;
            check(f, job, (size_t)row * N_ROWS);
        }
    }
}

int main(int argc, char **argv)
{
    fixture *f = calloc(1, sizeof *f);
    char golden[4096] = {0};
    if (!f) return 2;
    if (argc > 1) {
        FILE *file = fopen(argv[1], "rb");
        if (!file || fread(golden, 1, sizeof golden - 1, file) == 0) {
            fprintf(stderr, "cannot read %s\n", argv[1]);
            return 2;
        }
        fclose(file);
    }
    for (size_t i = 0; i < VG_COUNT(isas); i++)
        if (vg_quantiser_pick(isas[i])) fprintf(stderr, "table %s\n", isas[i]);
    for (size_t i = 0; i < VG_COUNT(types); i++) {
        char line[100];
        test_type(f, types[i]);
        snprintf(line, sizeof line, "%s %016llx\n", vg_dtype_get(types[i])->name,
                 (unsigned long long)f->hash);
        fputs(line, stdout);
        if (argc > 1 && !strstr(golden, line)) {
            printf("DIFFERS from the golden sum: %s", line);
            f->failed = true;
        }
    }
    bool failed = f->failed;
    free(f);
    return failed;
}
