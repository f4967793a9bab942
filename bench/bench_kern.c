/* bench_kern.c: how fast the kernels are, one thread, per instruction set.
 *
 *     bench_kern [ISA [TYPE]]
 *
 * For each weight format and layout: a matrix that no cache holds times one column, in bytes of
 * weights per second (decoding is bound by this), the same for one that the cache holds, and that
 * one times 2, 4, 8, 16, 64 and 512 columns, in multiplies and adds per second (the prompt is bound
 * by that). With a TYPE only that, interleaved if it can be, and nothing else. Then attention by
 * head dimension and queries, in bytes of keys and values per second, from memory and from the
 * cache, and of 64 queries in multiplies and adds per second; and vector functions in numbers per
 * second.
 * Each is the best of several runs; the machine should have nothing else to do. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "../tests/kern_data.h"

enum { N_IN = 4096, BIG_BYTES = 96 << 20, SMALL_ROWS = 64, COLS = 512, RUNS = 9, MAX_DIM = 256 };

typedef struct buffers {
    uint8_t *w; /* BIG_BYTES */
    float *x;   /* [COLS, N_IN] */
    vg_act *act;
    float *out; /* [COLS, MAX_DIM], or a column of the widest matrix, which is less */
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
        bool interleaves = vg_interleaves((vg_dtype)t);
        if (!only || !interleaves) bench_type(k, b, (vg_dtype)t, false);
        if (interleaves) bench_type(k, b, (vg_dtype)t, true);
    }
}

typedef struct attn_shape {
    size_t dim, n_q;
} attn_shape;

/* N_Q queries over tiles that no cache holds, or over one that it does, again and again. */
static double attention_seconds(const vg_kern *k, const buffers *b, vg_kv_kind kind, attn_shape s,
                                size_t n_tiles, size_t n_apart)
{
    size_t tile_bytes = 2 * VG_TILE * vg_kv_row_bytes(kind, s.dim), blocks = vg_act_blocks(s.dim);
    float m[COLS], l[COLS] = {0};
    vg_seen seen[COLS];
    double seconds = 1e9;
    for (size_t i = 0; i < s.n_q; i++) {
        k->quantise(b->x + i * s.dim, b->act + i * blocks, s.dim);
        seen[i] = (vg_seen){0, VG_TILE};
        m[i] = -(float)INFINITY;
    }
    memset(b->out, 0, s.n_q * s.dim * sizeof *b->out);
    for (int run = 0; run < RUNS; run++) {
        double start = now();
        for (size_t i = 0; i < n_tiles; i++)
            k->attn_tile(&(vg_attn_tile){
                .kind = kind, .n_q = s.n_q, .dim_k = s.dim, .dim_v = s.dim, .q = b->x,
                .q_act = b->act, .kv = b->w + i * n_apart * tile_bytes,
                .next = b->w + VG_MIN(i + 1, n_tiles - 1) * n_apart * tile_bytes, .seen = seen,
                .scale = 0.1f, .state = {m, l, b->out}});
        seconds = fmin(seconds, now() - start);
    }
    return seconds;
}

static void bench_attention(const vg_kern *k, const buffers *b)
{
    static const char *const names[] = {"Q8", "F16", "F32"};
    static const attn_shape shapes[] = {{64, 1}, {64, 4}, {64, 7}, {64, 8}, {128, 1}, {128, 2},
                                        {128, 4}, {256, 4}};
    for (int kind = 0; kind < 3; kind++)
        for (size_t i = 0; i < VG_COUNT(shapes); i++) {
            vg_kv_kind kv = (vg_kv_kind)kind;
            attn_shape s = shapes[i], many = {s.dim, COLS};
            size_t tile_bytes = 2 * VG_TILE * vg_kv_row_bytes(kv, s.dim);
            size_t n = (k->isa[0] == 'c' ? BIG_BYTES / 8 : BIG_BYTES) / tile_bytes;
            for (size_t t = 0; t < n * VG_TILE; t++) {
                uint8_t *tile = b->w + t / VG_TILE * tile_bytes;
                k->store_key(kv, b->x + t % COLS * s.dim, tile, t % VG_TILE, s.dim);
                k->store_value(kv, b->x + t % COLS * s.dim, tile + tile_bytes / 2, t % VG_TILE,
                               s.dim);
            }
            double one = attention_seconds(k, b, kv, s, n, 1);
            double cached = attention_seconds(k, b, kv, s, COLS, 0);
            double all = attention_seconds(k, b, kv, many, COLS, 0);
            printf("%-5s attn %-4s %3zu x %zu %7.2f GB/s, cached %7.2f; x %d %8.1f GOP/s\n", k->isa,
                   names[kind], s.dim, s.n_q, 1e-9 * (double)(n * tile_bytes) / one,
                   1e-9 * (double)(COLS * tile_bytes) / cached, COLS,
                   4e-9 * COLS * VG_TILE * COLS * (double)s.dim / all);
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
                 .out = malloc(sizeof(float) * COLS * MAX_DIM),
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
