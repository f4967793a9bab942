/* exact_kern.c: every kernel of every table that this CPU runs, held against the plain C one bit
 * for bit at many shapes, and the C one held against the sums in golden/kern.hash, which are the
 * same on every machine and compiler.
 *
 *     exact_kern GOLDEN      prints a line per kernel, exits 1 at a difference
 *     exact_kern > GOLDEN    writes the sums anew, after the order of a formula was changed
 *
 * It needs libc alone, so that it also runs in an emulator of another CPU. A NaN equals any NaN:
 * sign and payload are left to the CPU. Buffers are allocated at their exact size, so that a
 * sanitiser sees a read past the end. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "kern_data.h"

enum { MAX_TABLES = 8, MAX_BYTES = 1 << 20 };

typedef struct fixture {
    const vg_kern *const *tables;
    const char *golden; /* the file's text; NULL: only print */
    kern_random random;
    bool failed;
    uint64_t hash; /* FNV-1a of what the kernel under test gave */
} fixture;

static const size_t lengths[] = {1, 7, 8, 31, 32, 33, 63, 64, 96, 172, 255, 256, 257, 1000};

static void *new_bytes(size_t n)
{
    void *p = calloc(n ? n : 1, 1);
    if (!p) exit(2);
    return p;
}

static float *new_floats(fixture *f, size_t n, kern_temper temper)
{
    float *x = new_bytes(n * sizeof *x);
    kern_fill_floats(&f->random, x, n, temper);
    return x;
}

static kern_temper temper_of(size_t i)
{
    return (kern_temper)(i % KERN_N_TEMPERS);
}

static void unify_nan(float *x, size_t n)
{
    const uint32_t nan = 0x7fc00000;
    for (size_t i = 0; i < n; i++)
        if (x[i] != x[i]) memcpy(x + i, &nan, sizeof nan);
}

static void add_to_hash(fixture *f, const void *p, size_t n)
{
    const uint8_t *b = p;
    for (size_t i = 0; i < n; i++) f->hash = (f->hash ^ b[i]) * 1099511628211u;
}

/* Results of table `i` of a case: the first goes into the hash, the others must equal it. */
static void check(fixture *f, size_t i, const char *what, void *first, const void *got, size_t n)
{
    if (i == 0) {
        add_to_hash(f, got, n);
        memcpy(first, got, n);
    } else if (memcmp(first, got, n)) {
        if (!f->failed) printf("DIFFERS %s: %s from c\n", what, f->tables[i]->isa);
        f->failed = true;
    }
}

static void check_floats(fixture *f, size_t i, const char *what, float *first, float *got, size_t n)
{
    unify_nan(got, n);
    check(f, i, what, first, got, n * sizeof *got);
}

/* The line of one kernel: name and hash, looked up in the golden text. */
static void finish(fixture *f, const char *kernel, const char *type)
{
    char line[100];
    snprintf(line, sizeof line, "%s%s%s %016llx\n", kernel, *type ? "." : "", type,
             (unsigned long long)f->hash);
    fputs(line, stdout);
    if (f->golden && !strstr(f->golden, line)) {
        printf("DIFFERS from the golden sum: %s", line);
        f->failed = true;
    }
    f->hash = 14695981039346656037u;
    f->random.state = 1;
}

/* ---- rows --------------------------------------------------------------------------------- */

typedef struct shape {
    size_t n, rows, cols;
} shape;

/* What was in it before must not matter: it is filled with NaN before each use. */
static void *new_scratch(size_t n_in)
{
    void *p = aligned_alloc(64, (vg_rows_scratch_bytes(n_in) + 63) / 64 * 64);
    if (!p) exit(2);
    return p;
}

/* The same product from interleaved rows, of every table, against `first`: the layout never shows.
 * w as the file has it; the columns of a are there already. */
static void run_interleaved(fixture *f, vg_dtype type, const vg_rows *a, size_t bytes,
                            const float *first, size_t n_out)
{
    size_t scratch_bytes = vg_rows_scratch_bytes(a->n_in);
    uint8_t *plain = new_bytes(bytes * a->n_rows), *w = new_bytes(bytes * a->n_rows);
    void *scratch = new_scratch(a->n_in);
    for (size_t r = 0; r < a->n_rows; r++)
        memcpy(plain + r * bytes, (const uint8_t *)a->w + r * a->w_stride, bytes);
    vg_interleave(type, plain, w, a->n_rows, a->n_in);
    for (size_t i = 0; f->tables[i]; i++) {
        vg_rows b = *a;
        b.w = w;
        b.w_stride = bytes;
        b.interleaved = true;
        b.scratch = scratch;
        for (size_t k = 0; k < n_out; k++) b.out[k] = -7.0f;
        memset(scratch, 255, scratch_bytes);
        f->tables[i]->rows(type, &b);
        unify_nan(b.out, n_out);
        if (!memcmp(first, b.out, n_out * sizeof *first)) continue;
        if (!f->failed)
            printf("DIFFERS %s: %s interleaved, %zu rows of %zu, %zu columns\n",
                   vg_dtype_get(type)->name, f->tables[i]->isa, a->n_rows, a->n_in, a->n_cols);
        f->failed = true;
    }
    free(plain), free(w), free(scratch);
}

static void run_rows(fixture *f, vg_dtype type, shape s, kern_temper temper, bool wild)
{
    const vg_dtype_info *info = vg_dtype_get(type);
    uint64_t bytes = 0;
    if (!vg_dtype_row_bytes(type, s.n, &bytes)) exit(2);
    size_t stride = bytes + 3, w_bytes = stride * (s.rows - 1) + bytes, x_stride = s.n + 5;
    size_t out_stride = s.rows + 2, n_out = out_stride * s.cols, n_act = vg_act_blocks(s.n);
    uint8_t *w = new_bytes(w_bytes);
    for (size_t r = 0; r < s.rows; r++)
        kern_fill_weights(&f->random, type, w + r * stride, bytes, wild);
    float *x = new_floats(f, x_stride * (s.cols - 1) + s.n, temper);
    float *first = new_bytes(n_out * 4), *out = new_bytes(n_out * 4);
    vg_act *act = new_bytes(n_act * s.cols * sizeof *act);
    for (size_t c = 0; c < s.cols; c++)
        f->tables[0]->quantise(x + c * x_stride, act + c * n_act, s.n);
    vg_rows a = {.w = w, .w_stride = stride, .n_rows = s.rows, .n_in = s.n, .act = act, .x = x,
                 .x_stride = x_stride, .n_cols = s.cols, .out = out, .out_stride = out_stride};
    a.scratch = info->quantised ? NULL : new_scratch(s.n);
    for (size_t i = 0; f->tables[i]; i++) {
        for (size_t k = 0; k < n_out; k++) out[k] = -7.0f;
        if (a.scratch) memset(a.scratch, 255, vg_rows_scratch_bytes(s.n));
        f->tables[i]->rows(type, &a);
        check_floats(f, i, info->name, first, out, n_out);
    }
    if (vg_interleaves(type)) run_interleaved(f, type, &a, bytes, first, n_out);
    free(w), free(x), free(first), free(out), free(act), free(a.scratch);
}

static void test_rows(fixture *f)
{
    for (uint32_t t = 0; t < VG_N_DTYPES; t++) {
        const vg_dtype_info *info = vg_dtype_get(t);
        if (!info) continue;
        size_t k = 0;
        for (size_t i = 0; i < VG_COUNT(lengths); i++) {
            size_t n = (lengths[i] + info->block - 1) / info->block * info->block;
            for (size_t rows = 1; rows <= 9; rows++)
                for (size_t cols = 1; cols <= 5; cols++, k++)
                    run_rows(f, (vg_dtype)t, (shape){n, rows, cols}, temper_of(k / 3), k % 3 == 2);
        }
        run_rows(f, (vg_dtype)t, (shape){2048, 27, 1}, KERN_TAME, false);
        run_rows(f, (vg_dtype)t, (shape){512, 19, 17}, KERN_WIDE, false);
        finish(f, "rows", info->name);
    }
}

/* Shapes around the edges of tiles and panels; run_rows compares, no sum is kept. */
static void test_tiles(fixture *f)
{
    for (uint32_t t = 0; t < VG_N_DTYPES; t++) {
        if (!vg_dtype_get(t) || !vg_dtype_get(t)->quantised) continue;
        size_t k = 0;
        for (size_t rows = 1; rows <= 17; rows += rows < 7 ? 6 : 1)
            for (size_t cols = 1; cols <= 17; cols++, k++)
                run_rows(f, (vg_dtype)t, (shape){256 * (1 + k % 3), rows, cols}, temper_of(k / 3),
                         k % 3 == 2);
        run_rows(f, (vg_dtype)t, (shape){2048 + 256, 8 * 9 + 3, 13}, KERN_WIDE, false);
        run_rows(f, (vg_dtype)t, (shape){4096, 8 * 3, 33}, KERN_TAME, true);
    }
    f->hash = 14695981039346656037u;
    f->random.state = 1;
}

/* Float rows around the edges of tiles, groups, blocks and stretches; nothing enters a sum here. */
static void test_float_tiles(fixture *f)
{
    static const vg_dtype types[] = {VG_F32, VG_F16, VG_BF16};
    static const size_t rows[] = {1, 5, 6, 8, 23, 24, 25, 33};
    static const size_t cols[] = {2, 3, 4, 7, 47, 48, 49, 97};
    static const size_t n[] = {7, 64, 511, 512, 513, 1030, 1536};
    for (size_t t = 0; t < VG_COUNT(types); t++) {
        for (size_t k = 0; k < VG_COUNT(rows) * VG_COUNT(cols); k++) {
            size_t r = rows[k % VG_COUNT(rows)], c = cols[k / VG_COUNT(rows)];
            run_rows(f, types[t], (shape){n[k % VG_COUNT(n)], r, c}, temper_of(k), k % 3 == 2);
        }
        run_rows(f, types[t], (shape){4096, 49, 17}, KERN_WIDE, false);
    }
    f->hash = 14695981039346656037u;
    f->random.state = 1;
}

static void test_dequant(fixture *f)
{
    for (uint32_t t = 0; t < VG_N_DTYPES; t++) {
        const vg_dtype_info *info = vg_dtype_get(t);
        if (!info) continue;
        enum { N = 4096 };
        uint64_t bytes = 0;
        if (!vg_dtype_row_bytes(t, N, &bytes)) exit(2);
        uint8_t *w = new_bytes(bytes);
        float *out = new_bytes(N * sizeof *out);
        kern_fill_weights(&f->random, (vg_dtype)t, w, bytes, true);
        vg_dequant((vg_dtype)t, w, out, N);
        unify_nan(out, N);
        add_to_hash(f, out, N * sizeof *out);
        free(w), free(out);
        finish(f, "dequant", info->name);
    }
}

/* ---- vectors ------------------------------------------------------------------------------ */

enum vector_op { RMS_NORM, RMS_NORM_PLAIN, LAYER_NORM, ADD, ADD_SCALED, MUL, SCALE, SILU, GELU,
                 GELU_ERF, SOFTCAP, SOFTMAX, ROPE, ROPE_INTERLEAVED, N_VECTOR_OPS };
static const char *const vector_names[N_VECTOR_OPS] = {
    "rms_norm", "rms_norm_plain", "layer_norm", "add", "add_scaled", "mul", "scale", "silu_mul",
    "gelu_mul", "gelu_erf", "softcap", "softmax", "rope", "rope_interleaved"};

/* x = op(x, y), n floats each. */
static void run_vector(const vg_kern *k, enum vector_op op, float *x, const float *y, size_t n)
{
    switch (op) {
    case RMS_NORM: k->rms_norm(x, y, x, n, 1e-5f); break;
    case RMS_NORM_PLAIN: k->rms_norm(x, NULL, x, n, 1e-6f); break;
    case LAYER_NORM: k->layer_norm(x, y, y, x, n, 1e-5f); break;
    case ADD: k->add(x, y, n); break;
    case ADD_SCALED: k->add_scaled(x, y, 0.3f, n); break;
    case MUL: k->mul(x, y, n); break;
    case SCALE: k->scale(x, 0.7f, n); break;
    case SILU: k->silu_mul(x, y, x, n); break;
    case GELU: k->gelu_mul(x, y, x, n); break;
    case GELU_ERF: k->gelu_erf(x, n); break;
    case SOFTCAP: k->softcap(x, 30.0f, n); break;
    case SOFTMAX: k->softmax(x, n); break;
    case ROPE: k->rope(x, y, y + n / 2, n / 2, false); break;
    default: k->rope(x, y, y + n / 2, n / 2, true); break;
    }
}

static void test_vectors(fixture *f)
{
    for (int op = 0; op < N_VECTOR_OPS; op++) {
        for (size_t k = 0; k < VG_COUNT(lengths) * KERN_N_TEMPERS * 4; k++) {
            size_t n = lengths[k % VG_COUNT(lengths)];
            float *x = new_floats(f, n, temper_of(k / VG_COUNT(lengths)));
            float *y = new_floats(f, n, temper_of(k / 31)), *first = new_bytes(n * 4);
            /* Every fourth pass spreads the numbers over where exp and tanh bend. */
            for (size_t i = 0; k % 4 == 3 && i < n; i++) x[i] *= 120.0f;
            float *got = new_bytes(n * 4);
            for (size_t i = 0; f->tables[i]; i++) {
                memcpy(got, x, n * 4);
                run_vector(f->tables[i], (enum vector_op)op, got, y, n);
                check_floats(f, i, vector_names[op], first, got, n);
            }
            free(x), free(y), free(first), free(got);
        }
        finish(f, vector_names[op], "");
    }
}

static void test_quantise(fixture *f)
{
    for (size_t k = 0; k < VG_COUNT(lengths) * KERN_N_TEMPERS * 5; k++) {
        size_t n = lengths[k % VG_COUNT(lengths)], blocks = vg_act_blocks(n);
        float *x = new_floats(f, n, temper_of(k / VG_COUNT(lengths)));
        vg_act *first = new_bytes(blocks * sizeof *first), *act = new_bytes(blocks * sizeof *act);
        for (size_t i = 0; f->tables[i]; i++) {
            memset(act, 0x55, blocks * sizeof *act);
            f->tables[i]->quantise(x, act, n);
            for (size_t b = 0; b < blocks; b++) unify_nan(&act[b].d, 1);
            check(f, i, "quantise", first, act, blocks * sizeof *act);
        }
        free(x), free(first), free(act);
    }
    finish(f, "quantise", "");
}

typedef void store_fn(vg_kv_kind kind, const float *x, void *tile, size_t t, size_t n);

/* Some positions of a tile that held other bytes before. */
static void test_store(fixture *f, bool values)
{
    static const char *const kinds[] = {"Q8", "F16", "F32"};
    for (int kind = 0; kind < 3; kind++) {
        for (size_t k = 0; k < VG_COUNT(lengths) * KERN_N_TEMPERS; k++) {
            size_t n = lengths[k % VG_COUNT(lengths)];
            size_t bytes = VG_TILE * vg_kv_row_bytes((vg_kv_kind)kind, n);
            float *x = new_floats(f, n, temper_of(k / VG_COUNT(lengths)));
            uint8_t *first = new_bytes(bytes), *tile = new_bytes(bytes);
            for (size_t i = 0; f->tables[i]; i++) {
                store_fn *store = values ? f->tables[i]->store_value : f->tables[i]->store_key;
                memset(tile, 0x55, bytes);
                store((vg_kv_kind)kind, x, tile, k % VG_TILE, n);
                store((vg_kv_kind)kind, x, tile, VG_TILE - 1, n);
                check(f, i, "store", first, tile, bytes);
            }
            free(x), free(first), free(tile);
        }
        finish(f, values ? "store_value" : "store_key", kinds[kind]);
    }
}

/* ---- attention ---------------------------------------------------------------------------- */

typedef struct attn_case {
    vg_kv_kind kind;
    size_t n_q, dim_k, dim_v, n_stored;
    float softcap;
    bool whole; /* every query sees the whole tile */
    kern_temper temper;
} attn_case;

/* Keys and values of a tile, the last positions of which may never have been stored. */
static uint8_t *new_tile(fixture *f, attn_case c)
{
    const vg_kern *plain = f->tables[0];
    size_t k_bytes = VG_TILE * vg_kv_row_bytes(c.kind, c.dim_k);
    size_t bytes = k_bytes + VG_TILE * vg_kv_row_bytes(c.kind, c.dim_v);
    uint8_t *kv = new_bytes(bytes);
    memset(kv, 0x7f, bytes); /* scales and floats that are NaN */
    for (size_t t = 0; t < c.n_stored; t++) {
        float *x = new_floats(f, c.dim_k, c.temper), *y = new_floats(f, c.dim_v, c.temper);
        plain->store_key(c.kind, x, kv, t, c.dim_k);
        plain->store_value(c.kind, y, kv + k_bytes, t, c.dim_v);
        free(x), free(y);
    }
    return kv;
}

static void run_attn(fixture *f, attn_case c)
{
    size_t blocks = vg_act_blocks(c.dim_k);
    uint8_t *kv = new_tile(f, c);
    float *q = new_floats(f, c.n_q * c.dim_k, c.temper);
    vg_act *act = new_bytes(c.n_q * blocks * sizeof *act);
    vg_seen *seen = new_bytes(c.n_q * sizeof *seen);
    for (size_t i = 0; i < c.n_q; i++) {
        f->tables[0]->quantise(q + i * c.dim_k, act + i * blocks, c.dim_k);
        seen[i].begin = (uint8_t)(c.whole ? 0 : kern_next(&f->random) % c.n_stored);
        size_t rest = c.n_stored - seen[i].begin;
        seen[i].end = (uint8_t)(c.whole ? VG_TILE
                                        : seen[i].begin + 1 + kern_next(&f->random) % rest);
        if (i % 3) seen[i] = seen[i - 1];
    }
    size_t n_acc = c.n_q * c.dim_v, n = n_acc + 2 * c.n_q; /* acc, then m, then l */
    float *start = new_floats(f, n, KERN_TAME), *first = new_bytes(n * 4), *out = new_bytes(n * 4);
    float *merged = new_bytes(n * 4), *whole = new_bytes(n * 4);
    for (size_t i = 0; i < c.n_q; i += 2) {
        start[n_acc + i] = -(float)INFINITY;
        start[n_acc + c.n_q + i] = 0.0f;
    }
    for (size_t i = 0; f->tables[i]; i++) {
        vg_attn_state s = {out + n_acc, out + n_acc + c.n_q, out};
        vg_attn_state to = {whole + n_acc, whole + n_acc + c.n_q, whole};
        memcpy(out, start, n * 4);
        memcpy(whole, start, n * 4);
        f->tables[i]->attn_tile(&(vg_attn_tile){
            .kind = c.kind, .n_q = c.n_q, .dim_k = c.dim_k, .dim_v = c.dim_v, .q = q, .q_act = act,
            .kv = kv, .next = kv, .seen = seen, .scale = 0.25f, .softcap = c.softcap, .state = s});
        f->tables[i]->attn_merge(&to, &s, c.n_q, c.dim_v);
        check_floats(f, i, "attn_tile", first, out, n);
        check_floats(f, i, "attn_merge", merged, whole, n);
    }
    free(kv), free(q), free(act), free(seen), free(start), free(first), free(out), free(merged);
    free(whole);
}

static void test_attn(fixture *f)
{
    static const size_t dims[] = {1, 8, 12, 16, 33, 40, 64, 80, 96, 128, 256};
    static const char *const kinds[] = {"Q8", "F16", "F32"};
    for (int kind = 0; kind < 3; kind++) {
        size_t k = 0;
        for (size_t i = 0; i < VG_COUNT(dims); i++)
            for (size_t n_q = 1; n_q <= 9; n_q++, k++) {
                attn_case c = {.kind = (vg_kv_kind)kind, .n_q = n_q, .dim_k = dims[i],
                               .dim_v = dims[(i + k / 4) % VG_COUNT(dims)],
                               .n_stored = 1 + k * 11 % VG_TILE, .whole = k % 3 == 1,
                               .softcap = k % 5 < 3 ? 0.0f : 20.0f,
                               .temper = k % 4 ? KERN_TAME : temper_of(k / 4)};
                if (c.whole) c.n_stored = VG_TILE;
                run_attn(f, c);
            }
        finish(f, "attn_tile", kinds[kind]);
    }
}

/* ---- scalars ------------------------------------------------------------------------------ */

static void test_scalars(fixture *f)
{
    for (uint32_t i = 0; i < 65536; i++) {
        float w = vg_f16_to_f32((uint16_t)i);
        uint16_t back = vg_f32_to_f16(w);
        add_to_hash(f, &w, 4);
        add_to_hash(f, &back, 2);
    }
    for (int i = 0; i < 100000; i++) {
        uint16_t h = vg_f32_to_f16(kern_of_temper(&f->random, i % 2 ? KERN_WILD : KERN_WIDE));
        add_to_hash(f, &h, 2);
    }
    finish(f, "f16", "");
    for (int i = 0; i < 20000; i++) {
        double x = (double)kern_of_temper(&f->random, KERN_WIDE), out[5];
        out[0] = vg_exp_f64(x);
        out[1] = vg_log_f64(x < 0 ? -x : x);
        out[2] = vg_pow_f64(x < 0 ? -x : x, (double)kern_uniform(&f->random));
        vg_sincos_f64(x * 1e3, &out[3], &out[4]);
        add_to_hash(f, out, sizeof out);
    }
    finish(f, "math64", "");
}

int main(int argc, char **argv)
{
    fixture f = {.tables = vg_kern_all(), .random = {1}, .hash = 14695981039346656037u};
    char golden[1 << 16] = {0};
    if (argc > 1) {
        FILE *file = fopen(argv[1], "rb");
        if (!file || fread(golden, 1, sizeof golden - 1, file) == 0) {
            fprintf(stderr, "cannot read %s\n", argv[1]);
            return 2;
        }
        fclose(file);
        f.golden = golden;
    }
    for (size_t i = 0; f.tables[i]; i++) fprintf(stderr, "table %s\n", f.tables[i]->isa);
    test_scalars(&f);
    test_dequant(&f);
    test_quantise(&f);
    test_rows(&f);
    test_tiles(&f);
    test_float_tiles(&f);
    test_vectors(&f);
    test_store(&f, false);
    test_store(&f, true);
    test_attn(&f);
    return f.failed;
}
