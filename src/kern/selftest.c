/* selftest.c: each kernel of a table once against the plain C one, bit for bit, on small blocks
 * that are the same everywhere.
 *
 * The tests of the repository prove the kernels on the machines of its developers. This one proves
 * them where they run: a CPU with an erratum, a virtual machine that claims what its host lacks, a
 * compiler that was wrong. Shapes are odd where a kernel has a path for what is left over. It looks
 * for kernels that are broken; the corners of arithmetic are the tests' work. */
#include <math.h>
#include <stdio.h>

#include "kern/kern_int.h"
#include "kern/selftest.h"

enum {
    N_IN = 512,                /* two of the largest blocks */
    N_ROWS = 19,               /* two groups of 8, and rows that fill none */
    N_COLS = 7,
    N_VECTOR = 173,
    N_Q = 3,                   /* query heads of one key head */
    DIM = 80,                  /* of a head: two and a half blocks of a cache row */
    ROW_BYTES = DIM * 4,       /* of a key or a value, at most */
    OUT_BYTES = VG_TILE * ROW_BYTES /* the largest result: a tile of keys */
};

/* Inputs, which a kernel's test fills from the same numbers for both tables. */
typedef struct bench {
    uint64_t random;
    float x[N_IN * N_COLS], y[N_IN], z[N_IN];
    vg_act act[N_COLS * N_IN / 32];
    uint8_t w[N_ROWS * N_IN * 4], w8[N_ROWS * N_IN * 4];
    uint8_t kv[2 * VG_TILE * ROW_BYTES];
    void *scratch;
} bench;

typedef union result {
    float f[OUT_BYTES / 4];
    uint8_t bytes[OUT_BYTES];
} result;

/* ---- numbers ------------------------------------------------------------------------------- */

/* The generator of Knuth's MMIX. */
static uint32_t next(bench *b)
{
    b->random = b->random * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(b->random >> 32);
}

/* In -4..4. */
static void fill(bench *b, float *x, size_t n)
{
    for (size_t i = 0; i < n; i++) x[i] = (float)((int32_t)(next(b) >> 8) - (1 << 23)) * 0x1p-21f;
}

/* Any codes, and scales that give no NaN: a float of the weights' own type, or f16 scales where
 * the format has them. */
static void fill_weights(bench *b, vg_dtype type)
{
    static const int8_t second[VG_N_DTYPES] = {
        [VG_Q4_1] = 2, [VG_Q5_1] = 2, [VG_Q4_K] = 2, [VG_Q5_K] = 2, [VG_Q2_K] = 82};
    static const uint8_t first[VG_N_DTYPES] = {[VG_Q2_K] = 80, [VG_Q3_K] = 108, [VG_Q6_K] = 208};
    size_t block = vg_dtype_get(type)->bytes, n = N_ROWS * N_IN / vg_dtype_get(type)->block;
    for (size_t i = 0; i < n * block; i++) b->w[i] = (uint8_t)next(b);
    for (uint8_t *p = b->w; n > 0; n--, p += block) {
        float f;
        fill(b, &f, 1);
        uint16_t h = vg_f32_to_f16(f * 0.01f);
        if (type == VG_F32) memcpy(p, &f, 4);
        else if (type == VG_BF16) memcpy(p, (const uint8_t *)&f + 2, 2);
        else if (type == VG_MXFP4) p[0] = (uint8_t)(120 + next(b) % 8);
        else memcpy(p + first[type], &h, 2);
        if (second[type]) memcpy(p + second[type], &h, 2);
    }
}

/* ---- kernels: each writes its result and returns its size in bytes -------------------------- */

typedef enum vector_kernel {
    RMS_NORM, LAYER_NORM, ADD, ADD_SCALED, MUL, SCALE, SILU_MUL, GELU_MUL, GELU_ERF, SOFTCAP,
    SOFTMAX, ROPE
} vector_kernel;

typedef struct test {
    const char *name;
    size_t entry; /* offset in vg_kern */
    size_t (*run)(const vg_kern *k, bench *b, const struct test *t, result *out);
    vg_dtype type;
    bool interleaved;
    vg_kv_kind kv;
    vector_kernel vector;
} test;

static size_t run_quantise(const vg_kern *k, bench *b, const test *t, result *out)
{
    VG_UNUSED(t);
    fill(b, b->x, N_IN);
    memset(b->x + 64, 0, 32 * sizeof *b->x);
    memset(b->act, 0, sizeof b->act);
    k->quantise(b->x, b->act, N_VECTOR);
    k->quantise(b->x, b->act + 8, N_IN);
    memcpy(out->bytes, b->act, sizeof b->act);
    return sizeof b->act;
}

/* One column, and several: these are different code. */
static size_t run_rows(const vg_kern *k, bench *b, const test *t, result *out)
{
    uint64_t stride = 0;
    if (!vg_dtype_row_bytes(t->type, N_IN, &stride)) return 0;
    fill(b, b->x, N_IN * N_COLS);
    fill_weights(b, t->type);
    vg_interleave(t->type, b->w, b->w8, t->interleaved ? N_ROWS : 0, N_IN);
    for (size_t c = 0; c < N_COLS; c++)
        vg_kern_c.quantise(b->x + c * N_IN, b->act + c * vg_act_blocks(N_IN), N_IN);
    vg_rows a = {.w = t->interleaved ? b->w8 : b->w, .w_stride = (size_t)stride,
                 .n_rows = N_ROWS, .n_in = N_IN, .interleaved = t->interleaved,
                 .scratch = b->scratch, .act = b->act, .x = b->x, .x_stride = N_IN, .n_cols = 1,
                 .out = out->f, .out_stride = N_ROWS};
    k->rows(t->type, &a);
    a.n_cols = N_COLS;
    a.out += N_ROWS;
    k->rows(t->type, &a);
    return (N_COLS + 1) * N_ROWS * sizeof *out->f;
}

/* A kernel of vectors that works in place on f, or from x and y into it. */
static size_t run_vector(const vg_kern *k, bench *b, const test *t, result *out)
{
    size_t n = N_VECTOR;
    fill(b, b->x, n);
    fill(b, b->y, n);
    fill(b, b->z, n);
    memcpy(out->f, b->x, n * sizeof *out->f);
    switch (t->vector) {
    case RMS_NORM: k->rms_norm(b->x, b->y, out->f, n, 1e-5f); break;
    case LAYER_NORM: k->layer_norm(b->x, b->y, b->z, out->f, n, 1e-5f); break;
    case ADD: k->add(out->f, b->y, n); break;
    case ADD_SCALED: k->add_scaled(out->f, b->y, 0.3f, n); break;
    case MUL: k->mul(out->f, b->y, n); break;
    case SCALE: k->scale(out->f, 0.3f, n); break;
    case SILU_MUL: k->silu_mul(b->x, b->y, out->f, n); break;
    case GELU_MUL: k->gelu_mul(b->x, b->y, out->f, n); break;
    case GELU_ERF: k->gelu_erf(out->f, n); break;
    case SOFTCAP: k->softcap(out->f, 3, n); break;
    case SOFTMAX: k->softmax(out->f, n); break;
    case ROPE:
        k->rope(out->f, b->y, b->z, n / 2, false);
        k->rope(out->f, b->y, b->z, n / 2, true);
        break;
    }
    return n * sizeof *out->f;
}

/* The first and the last position of a tile. */
static size_t run_store(const vg_kern *k, bench *b, const test *t, result *out)
{
    bool key = t->entry == offsetof(vg_kern, store_key);
    for (size_t i = 0; i < VG_TILE; i += VG_TILE - 1) {
        fill(b, b->x, DIM);
        (key ? k->store_key : k->store_value)(t->kv, b->x, out->bytes, i, DIM);
    }
    return VG_TILE * vg_kv_row_bytes(t->kv, DIM);
}

/* One tile; the first query sees all of it, the others some. */
static void take_tile(const vg_kern *k, bench *b, const test *t, float softcap,
                      const vg_attn_state *s)
{
    static const vg_seen seen[N_Q] = {{0, VG_TILE}, {5, 42}, {5, 42}};
    for (size_t i = 0; i < VG_TILE; i++) {
        fill(b, b->y, 2 * DIM);
        vg_kern_c.store_key(t->kv, b->y, b->kv, i, DIM);
        vg_kern_c.store_value(t->kv, b->y + DIM, b->kv + VG_TILE * vg_kv_row_bytes(t->kv, DIM), i,
                              DIM);
    }
    k->attn_tile(&(vg_attn_tile){.kind = t->kv, .n_q = N_Q, .dim_k = DIM, .dim_v = DIM,
                                 .q = b->x, .q_act = b->act, .kv = b->kv, .next = b->kv,
                                 .seen = seen, .scale = 0.1f, .softcap = softcap, .state = *s});
}

/* A tile in one state, two with capped scores in another, and these merged. */
static size_t run_attention(const vg_kern *k, bench *b, const test *t, result *out)
{
    enum { FLOATS = (2 + DIM) * N_Q };
    fill(b, b->x, N_Q * DIM);
    for (size_t q = 0; q < N_Q; q++)
        vg_kern_c.quantise(b->x + q * DIM, b->act + q * vg_act_blocks(DIM), DIM);
    vg_attn_state s[2];
    memset(out->f, 0, 2 * FLOATS * sizeof *out->f);
    for (int i = 0; i < 2; i++) {
        float *m = out->f + i * FLOATS;
        s[i] = (vg_attn_state){m, m + N_Q, m + 2 * N_Q};
        for (size_t q = 0; q < N_Q; q++) m[q] = -INFINITY;
    }
    bool merge = t->entry == offsetof(vg_kern, attn_merge);
    for (int i = 0; i < 3; i++)
        take_tile(merge ? &vg_kern_c : k, b, t, i ? 2.0f : 0.0f, &s[i != 0]);
    (merge ? k : &vg_kern_c)->attn_merge(&s[0], &s[1], N_Q, DIM);
    return 2 * FLOATS * sizeof *out->f;
}

#define ENTRY(kernel) .name = #kernel, .entry = offsetof(vg_kern, kernel)

static const test vectors[] = {
    {ENTRY(quantise), run_quantise},
    {ENTRY(rms_norm), run_vector, .vector = RMS_NORM},
    {ENTRY(layer_norm), run_vector, .vector = LAYER_NORM},
    {ENTRY(add), run_vector, .vector = ADD},
    {ENTRY(add_scaled), run_vector, .vector = ADD_SCALED},
    {ENTRY(mul), run_vector, .vector = MUL},
    {ENTRY(scale), run_vector, .vector = SCALE},
    {ENTRY(silu_mul), run_vector, .vector = SILU_MUL},
    {ENTRY(gelu_mul), run_vector, .vector = GELU_MUL},
    {ENTRY(gelu_erf), run_vector, .vector = GELU_ERF},
    {ENTRY(softcap), run_vector, .vector = SOFTCAP},
    {ENTRY(softmax), run_vector, .vector = SOFTMAX},
    {ENTRY(rope), run_vector, .vector = ROPE},
};
static const test caches[] = {{ENTRY(store_key), run_store},
                              {ENTRY(store_value), run_store},
                              {ENTRY(attn_tile), run_attention},
                              {ENTRY(attn_merge), run_attention}};
static const test rows = {ENTRY(rows), run_rows};

/* ---- the test ------------------------------------------------------------------------------ */

typedef struct selftest {
    const vg_kern *tested; /* the table as it was given */
    vg_kern *k;            /* the table that is mended */
    bench *b;
    result *plain, *got;
    vg_selftest_fn *fn;
    void *user;
} selftest;

static void run_test(const selftest *s, const test *t, const char *kind)
{
    memset(s->plain, 0, sizeof *s->plain);
    memset(s->got, 0, sizeof *s->got);
    s->b->random = 1;
    size_t n = t->run(&vg_kern_c, s->b, t, s->plain);
    s->b->random = 1;
    t->run(s->tested, s->b, t, s->got);
    bool ok = memcmp(s->plain->bytes, s->got->bytes, n) == 0;
    if (!ok)
        memcpy((char *)s->k + t->entry, (const char *)&vg_kern_c + t->entry, sizeof s->k->rows);
    char name[64];
    snprintf(name, sizeof name, "%s%s%s%s", t->name, *kind ? " " : "", kind,
             t->interleaved ? " interleaved" : "");
    if (s->fn) s->fn(s->user, name, ok);
}

static void run_all(const selftest *s, const vg_selftest_set *set)
{
    static const char *const kv_names[] = {"q8", "f16", "f32"};
    for (size_t i = 0; i < VG_COUNT(vectors); i++) run_test(s, &vectors[i], "");
    for (uint32_t type = 0; type < VG_N_DTYPES; type++) {
        const vg_dtype_info *info = vg_dtype_get(type);
        test t = rows;
        t.type = (vg_dtype)type;
        if (info && set->rows[type]) run_test(s, &t, info->name);
        t.interleaved = true;
        if (info && set->interleaved[type] && vg_interleaves(t.type)) run_test(s, &t, info->name);
    }
    for (size_t kv = 0; kv < VG_COUNT(set->kv); kv++) {
        for (size_t i = 0; set->kv[kv] && i < VG_COUNT(caches); i++) {
            test t = caches[i];
            t.kv = (vg_kv_kind)kv;
            run_test(s, &t, kv_names[kv]);
        }
    }
}

vg_selftest_set vg_selftest_all(void)
{
    vg_selftest_set set;
    for (size_t i = 0; i < VG_N_DTYPES; i++) set.rows[i] = set.interleaved[i] = true;
    for (size_t i = 0; i < VG_COUNT(set.kv); i++) set.kv[i] = true;
    return set;
}

vg_status vg_selftest(vg_kern *k, const vg_selftest_set *set, vg_selftest_fn *fn, void *user,
                      vg_err *err)
{
    enum { CAP_BYTES = 4 << 20, ALIGN = 64 };
    const vg_kern tested = *k;
    vg_arena *a = NULL;
    VG_TRY(vg_arena_new(&a, CAP_BYTES, err));
    selftest s = {.tested = &tested, .k = k, .fn = fn, .user = user};
    s.b = vg_arena_alloc(a, sizeof *s.b, ALIGN);
    s.plain = vg_arena_alloc(a, sizeof *s.plain, ALIGN);
    s.got = vg_arena_alloc(a, sizeof *s.got, ALIGN);
    if (s.b) s.b->scratch = vg_arena_alloc(a, vg_rows_scratch_bytes(N_IN), ALIGN);
    bool fits = s.b && s.plain && s.got && s.b->scratch;
    if (fits) run_all(&s, set);
    vg_arena_free(a);
    return fits ? VG_OK : VG_FAIL_MEMORY(err, sizeof *s.b + 2 * sizeof *s.got);
}
