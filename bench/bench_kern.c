/* bench_kern.c: how fast the kernels are, one thread, per instruction set.
 *
 *     bench_kern [ISA [TYPE]]
 *
 * For each weight format and layout: a matrix that no cache holds times one column, in bytes of
 * weights per second (decoding is bound by this), the same for one that the cache holds, and that
 * one times 2, 4, 8, 16, 64 and 512 columns, in multiplies and adds per second (the prompt is bound
 * by that). With a TYPE only its interleaved layout, and nothing else. Then attention over the
 * KV cache, in bytes of keys and values per second, and vector functions in numbers per second.
 * Each is the best of several runs; the machine should have nothing else to do. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "../tests/kern_data.h"

enum { N_IN = 4096, BIG_BYTES = 96 << 20, SMALL_ROWS = 64, COLS = 512, RUNS = 9 };

typedef struct buffers {
    uint8_t *w; /* BIG_BYTES */
    float *x;   /* [COLS, N_IN] */
    vg_act *act;
    float *out;
    void *scratch;
} buffers;

static double now(void)
{
    struct timespec t;
    timespec_get(&t, TIME_UTC);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Seconds of the best of RUNS. */
static double best(const vg_kern *k, vg_dtype type, const vg_rows *a)
{
    double seconds = 1e9;
    for (int i = 0; i < RUNS; i++) {
        double start = now();
        k->rows(type, a);
        seconds = fmin(seconds, now() - start);
    }
    return seconds;
}

/* One type in one layout: a line. */
static void bench_type(const vg_kern *k, const buffers *b, vg_dtype type, bool interleaved)
{
    static const size_t cols[] = {2, 4, 8, 16, 64, COLS};
    uint64_t bytes = 0;
    if (!vg_dtype_row_bytes(type, N_IN, &bytes)) return;
    /* The plain C table is slow: a part of the matrix says enough. */
    bool slow = k->isa[0] == 'c';
    size_t rows = (slow ? BIG_BYTES / 16 : BIG_BYTES) / bytes / 8 * 8;
    vg_rows a = {.w = b->w, .w_stride = bytes, .n_rows = rows, .n_in = N_IN, .act = b->act,
                 .x = b->x, .x_stride = N_IN, .n_cols = 1, .out = b->out, .out_stride = rows,
                 .interleaved = interleaved, .scratch = b->scratch};
    double one = best(k, type, &a);
    a.n_rows = a.out_stride = SMALL_ROWS;
    double cached = best(k, type, &a);
    printf("%-6s %-7s %-11s %6.2f GB/s, cached %6.2f; GOP/s", k->isa, vg_dtype_get(type)->name,
           interleaved ? "interleaved" : "plain", 1e-9 * (double)(rows * bytes) / one,
           1e-9 * (double)(SMALL_ROWS * bytes) / cached);
    for (size_t i = 0; i < VG_COUNT(cols); i++) {
        if (slow && cols[i] > 8) break;
        a.n_cols = cols[i];
        double ops = 2e-9 * N_IN * SMALL_ROWS * (double)cols[i];
        printf(" %6.1f", ops / best(k, type, &a));
    }
    printf("\n");
}

static void bench_rows(const vg_kern *k, const buffers *b, const char *only)
{
    for (uint32_t t = 0; t < VG_N_DTYPES; t++) {
        const vg_dtype_info *info = vg_dtype_get(t);
        if (!info || (only && strcmp(only, info->name))) continue;
        kern_random random = {1};
        kern_fill_weights(&random, (vg_dtype)t, b->w, BIG_BYTES, false);
        if (!only) bench_type(k, b, (vg_dtype)t, false);
        if (vg_interleaves((vg_dtype)t)) bench_type(k, b, (vg_dtype)t, true);
    }
}

static void bench_attention(const vg_kern *k, const buffers *b)
{
    static const char *const names[] = {"Q8", "F16", "F32"};
    enum { DIM = 128, N_Q = 4, TILES = 64 };
    for (int kind = 0; kind < 3; kind++) {
        size_t row = vg_kv_row_bytes((vg_kv_kind)kind, DIM);
        for (size_t t = 0; t < 2 * TILES * VG_TILE; t++)
            k->kv_store((vg_kv_kind)kind, b->x + t % COLS * DIM, b->w + t * row, DIM);
        float m[N_Q], l[N_Q] = {0}, acc[N_Q * DIM] = {0};
        for (int i = 0; i < N_Q; i++) m[i] = -(float)INFINITY;
        double seconds = 1e9;
        for (int run = 0; run < RUNS; run++) {
            double start = now();
            for (size_t i = 0; i < TILES; i++)
                k->attn_tile(&(vg_attn_tile){
                    .kind = (vg_kv_kind)kind, .n_q = N_Q, .dim_k = DIM, .dim_v = DIM, .q = b->x,
                    .q_act = b->act, .k = b->w + 2 * i * VG_TILE * row,
                    .v = b->w + (2 * i + 1) * VG_TILE * row, .k_stride = row, .v_stride = row,
                    .end = VG_TILE, .scale = 0.1f, .m = m, .l = l, .acc = acc});
            seconds = fmin(seconds, now() - start);
        }
        printf("%-5s attn %-7s %7.2f GB/s (%d queries of %d)\n", k->isa, names[kind],
               1e-9 * (double)(2 * TILES * VG_TILE * row) / seconds, N_Q, DIM);
    }
}

static void bench_vectors(const vg_kern *k, const buffers *b)
{
    static const char *const names[] = {"quantise", "rms_norm", "silu_mul", "softmax"};
    for (int op = 0; op < 4; op++) {
        double seconds = 1e9;
        for (int run = 0; run < RUNS; run++) {
            double start = now();
            for (size_t c = 0; c < COLS; c++) {
                const float *x = b->x + c * N_IN;
                if (op == 0) k->quantise(x, b->act + c * N_IN / 32, N_IN);
                if (op == 1) k->rms_norm(x, x, b->out, N_IN, 1e-5f);
                if (op == 2) k->silu_mul(x, x, b->out, N_IN);
                if (op == 3) k->softmax(b->out, N_IN);
            }
            seconds = fmin(seconds, now() - start);
        }
        printf("%-5s %-12s %7.2f G/s\n", k->isa, names[op], 1e-9 * COLS * N_IN / seconds);
    }
}

int main(int argc, char **argv)
{
    kern_random random = {1};
    buffers b = {.w = malloc(BIG_BYTES),
                 .x = malloc(sizeof(float) * COLS * N_IN),
                 .act = malloc(sizeof(vg_act) * COLS * N_IN / 32),
                 .out = malloc(sizeof(float) * BIG_BYTES / 1024),
                 .scratch = aligned_alloc(64, (vg_rows_scratch_bytes(N_IN) + 63) / 64 * 64)};
    if (!b.w || !b.x || !b.act || !b.out || !b.scratch) return 1;
    kern_fill_floats(&random, b.x, (size_t)COLS * N_IN, KERN_TAME);
    for (size_t c = 0; c < COLS; c++)
        vg_kern_pick("c")->quantise(b.x + c * N_IN, b.act + c * N_IN / 32, N_IN);
    for (const vg_kern *const *k = vg_kern_all(); *k; k++) {
        if (argc > 1 && strcmp(argv[1], (*k)->isa)) continue;
        bench_rows(*k, &b, argc > 2 ? argv[2] : NULL);
        if (argc > 2) continue;
        bench_attention(*k, &b);
        bench_vectors(*k, &b);
    }
    free(b.w), free(b.x), free(b.act), free(b.out), free(b.scratch);
    return 0;
}
