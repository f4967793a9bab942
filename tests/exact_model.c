/* exact_model.c: the promise of exactness, held over whole models: every family of
 * tests/golden/arch with every kind of cache, a small model in every weight type, and some over a
 * context of several spans of attention, with windows. For each, the logits of one plain run (plain
 * C, one thread, the prompt in one piece, alone) are compared bit for bit with the runs in every
 * other instruction set of this CPU, 2 and 3 threads, chunks of 1, 7 and 64, in a crowd of other
 * sessions, and from a cached prefix; and their hash with golden/model.hash, which is the same on
 * every machine and compiler.
 *
 *     exact_model FOLDER GOLDEN   FOLDER: tests/golden/arch; a line a model, exit 1 at a difference
 *     exact_model FOLDER > GOLDEN writes the hashes anew, after the order of a formula was changed
 *
 * The vectors of encoders, and of some other models, are held to the same: texts of many lengths in
 * one call and each alone.
 *
 * It needs libc alone, so that it also runs in an emulator of another CPU. */
#include <stdio.h>
#include <stdlib.h>

#include "gguf_make.h"

enum { N_CHECKS = 5, MAX_TOK = 800, N_CROWD = 3, WIDTH = 256, N_VOCAB = 64, N_FF = 512 };

typedef struct timeline {
    uint32_t ctx_tok;
    size_t checks[N_CHECKS]; /* lengths at which logits are kept */
    int32_t tok[MAX_TOK];
} timeline;

static const char *const families[] = {
    "llama",    "llama-f16", "llama-bf16", "llama-bias",    "llama3",        "mistral",
    "qwen2",    "qwen3",     "qwen3moe",   "gemma2",        "gemma3",        "gemma3-linear",
    "phi3-swa", "granite",   "smollm3",    "phi3-longrope", "phi4-longrope"};

static const char *const kv_names[] = {"auto", "q8", "f16", "f32"};

typedef struct setup {
    const char *name, *isa;
    uint32_t n_threads, batch_tok;
    bool crowd, prefix;
} setup;

static const setup plain = {"plain", "c", 1, 256, false, false};
static const setup setups[] = {
    {"2 threads", NULL, 2, 256, false, false},    {"3 threads", NULL, 3, 256, false, false},
    {"chunks of 1", NULL, 1, 1, false, false},    {"chunks of 7", NULL, 2, 7, false, false},
    {"chunks of 64", NULL, 1, 64, false, false},  {"in a crowd", NULL, 2, 50, true, false},
    {"cached prefix", NULL, 1, 256, false, true},
};

typedef struct fixture {
    const char *golden; /* the file's text; NULL: only print */
    bool isa_only, failed;
} fixture;

static void must(vg_status st, const vg_err *err)
{
    if (!st) return;
    fprintf(stderr, "exact_model: %s: %s\n", vg_status_name(st), err->msg);
    exit(2);
}

/* Minimal generator of Lehmer: the same numbers everywhere. */
static uint32_t next_random(uint64_t *state)
{
    *state = *state * 48271 % 0x7fffffff;
    return (uint32_t)*state;
}

/* A short one is in one span of attention, a long one in two. */
static timeline make_timeline(bool is_long, uint64_t seed, size_t n_vocab)
{
    timeline t = {.ctx_tok = 200, .checks = {1, 20, 64, 65, 128}};
    if (is_long) t = (timeline){.ctx_tok = MAX_TOK, .checks = {100, 512, 513, 700, 701}};
    for (size_t i = 0; i < MAX_TOK; i++) t.tok[i] = (int32_t)(next_random(&seed) % n_vocab);
    return t;
}

/* ---- one run --------------------------------------------------------------------------------- */

static void step_all(vg_engine *e, vg_session *const *s, size_t n_s)
{
    vg_err err;
    for (size_t pending = 1; pending;) {
        must(vg_engine_step(e, s, n_s, &err), &err);
        pending = 0;
        for (size_t i = 0; i < n_s; i++) pending += vg_session_pending(s[i]);
    }
}

/* Lets the session go through another timeline that begins as ours does. */
static void walk_another_way(vg_engine *e, vg_session *s, const int32_t *tok)
{
    vg_err err;
    int32_t other[90];
    memcpy(other, tok, sizeof other);
    for (size_t i = 13; i < 90; i++) other[i] = tok[90 - i];
    must(vg_session_sync(s, other, 90, NULL, &err), &err);
    step_all(e, &s, 1);
}

/* logits [N_CHECKS, n_vocab] */
static void run(vg_model *m, const setup *how, vg_kv_type kv, const timeline *t, size_t n_vocab,
                float *logits)
{
    vg_err err;
    vg_engine *e = NULL;
    vg_session *s[N_CROWD] = {NULL};
    size_t n_s = how->crowd ? N_CROWD : 1;
    vg_engine_opts opts = {.n_threads = how->n_threads,
                           .ctx_tok = t->ctx_tok,
                           .n_sessions = N_CROWD,
                           .batch_tok = how->batch_tok,
                           .kv = kv,
                           .isa = how->isa};
    must(vg_engine_new(&e, m, &opts, &err), &err);
    for (size_t i = 0; i < n_s; i++) must(vg_session_new(&s[i], e, NULL, &err), &err);
    if (how->prefix) walk_another_way(e, s[0], t->tok);
    for (size_t c = 0; c < N_CHECKS; c++) {
        must(vg_session_sync(s[0], t->tok, t->checks[c], NULL, &err), &err);
        for (size_t i = 1; i < n_s; i++)
            must(vg_session_append(s[i], t->tok + i, 10 * i, &err), &err);
        step_all(e, s, n_s);
        memcpy(logits + c * n_vocab, vg_session_logits(s[0]), n_vocab * sizeof *logits);
    }
    for (size_t i = 0; i < n_s; i++) vg_session_free(s[i]);
    vg_engine_free(e);
}

/* ---- one model ------------------------------------------------------------------------------- */

static void compare(fixture *f, const char *name, const setup *how, const float *want,
                    const float *got, size_t n)
{
    if (memcmp(want, got, n * sizeof *want) == 0) return;
    size_t i = 0;
    while (memcmp(want + i, got + i, sizeof *want) == 0) i++;
    printf("%s: %s%s%s differs at logit %zu: %a, plain C gives %a\n", name, how->name,
           how->isa ? " " : "", how->isa ? how->isa : "", i, (double)got[i], (double)want[i]);
    f->failed = true;
}

static void check_hash(fixture *f, const char *name, const float *logits, size_t n)
{
    char line[128];
    uint64_t h = 0xcbf29ce484222325u;
    const uint8_t *b = (const uint8_t *)logits;
    for (size_t i = 0; i < n * sizeof *logits; i++) h = (h ^ b[i]) * 0x100000001b3u;
    snprintf(line, sizeof line, "%s %016llx\n", name, (unsigned long long)h);
    fputs(line, stdout);
    if (!f->golden || strstr(f->golden, line)) return;
    printf("%s: the golden hash is another one\n", name);
    f->failed = true;
}

static void check_model(fixture *f, const char *model, vg_model *m, vg_kv_type kv,
                        const timeline *t)
{
    vg_model_info info;
    vg_model_get_info(m, &info);
    size_t n = N_CHECKS * info.n_vocab;
    float *want = malloc(n * sizeof *want), *got = malloc(n * sizeof *got);
    if (!want || !got) exit(2);
    char name[64];
    snprintf(name, sizeof name, "%s/%s", model, kv_names[kv]);
    run(m, &plain, kv, t, info.n_vocab, want);
    check_hash(f, name, want, n);
    for (const vg_kern *const *k = vg_kern_all() + 1; *k; k++) { /* the first is plain C */
        setup one = plain;
        one.isa = (*k)->isa;
        run(m, &one, kv, t, info.n_vocab, got);
        compare(f, name, &one, want, got, n);
    }
    for (size_t i = 0; !f->isa_only && i < VG_COUNT(setups); i++) {
        run(m, &setups[i], kv, t, info.n_vocab, got);
        compare(f, name, &setups[i], want, got, n);
    }
    free(want);
    free(got);
}

static void check_families(fixture *f, const char *folder)
{
    vg_err err;
    for (size_t i = 0; i < VG_COUNT(families); i++) {
        char path[4096];
        snprintf(path, sizeof path, "%s/%s.gguf", folder, families[i]);
        vg_model *m = NULL;
        must(vg_model_open(&m, path, NULL, &err), &err);
        vg_model_info info;
        vg_model_get_info(m, &info);
        timeline t = make_timeline(false, 7, info.n_vocab);
        for (vg_kv_type kv = VG_KV_Q8; kv <= VG_KV_F32; kv++)
            check_model(f, families[i], m, kv, &t);
        vg_model_unref(m);
    }
}

/* ---- a model in every weight type ----------------------------------------------------------- */

/* Where a block's F16 scales stand, so that random bytes become weights of a sane size. */
typedef struct scales {
    vg_dtype type;
    size_t at[2], n; /* byte offsets of F16 scales in a block */
    uint16_t value;  /* F16 bits of about 0.05 divided by the largest code times sub-scale */
} scales;

static const scales all_scales[] = {
    {VG_Q4_0, {0}, 1, 0x2000},    {VG_Q4_1, {0, 2}, 2, 0x2000}, {VG_Q5_0, {0}, 1, 0x1c00},
    {VG_Q5_1, {0, 2}, 2, 0x1c00}, {VG_Q8_0, {0}, 1, 0x1000},    {VG_Q2_K, {80, 82}, 2, 0x1400},
    {VG_Q3_K, {108}, 1, 0x1000},  {VG_Q4_K, {0, 2}, 2, 0x0800}, {VG_Q5_K, {0, 2}, 2, 0x0600},
    {VG_Q6_K, {208}, 1, 0x0400},  {VG_IQ4_NL, {0}, 1, 0x1000},  {VG_IQ4_XS, {0}, 1, 0x0400},
};

/* Bytes of a random matrix of one type. */
static uint8_t *random_weights(vg_dtype type, size_t n, uint64_t *state)
{
    const vg_dtype_info *info = vg_dtype_get(type);
    size_t n_bytes = n / info->block * info->bytes;
    uint8_t *w = malloc(n_bytes);
    if (!w) exit(2);
    for (size_t i = 0; i < n_bytes; i++) w[i] = (uint8_t)(next_random(state) >> 8);
    for (size_t i = 0; i < VG_COUNT(all_scales); i++) {
        const scales *s = &all_scales[i];
        for (size_t b = 0; s->type == type && b < n_bytes; b += info->bytes)
            for (size_t k = 0; k < s->n; k++) memcpy(w + b + s->at[k], &s->value, 2);
    }
    for (size_t b = 0; type == VG_MXFP4 && b < n_bytes; b += info->bytes) w[b] = 121;
    for (size_t i = 0; i < n && !info->quantised; i++) { /* F32, F16, BF16: small numbers */
        float v = ((float)(next_random(state) % 2001) - 1000) * 1e-4f;
        uint32_t bits;
        memcpy(&bits, &v, 4);
        uint16_t half = type == VG_F16 ? vg_f32_to_f16(v) : (uint16_t)(bits >> 16);
        if (type == VG_F32) memcpy(w + 4 * i, &v, 4);
        else memcpy(w + 2 * i, &half, 2);
    }
    return w;
}

static void put_matrix(gguf_make *g, const char *name, vg_dtype type, size_t n_in, size_t n_rows,
                       uint64_t *state)
{
    uint8_t *w = random_weights(type, n_in * n_rows, state);
    make_tensor(g, name, type, 2, (uint64_t[]){n_in, n_rows}, w);
    free(w);
}

static void put_norm(gguf_make *g, const char *name)
{
    float w[WIDTH];
    for (size_t i = 0; i < WIDTH; i++) w[i] = 1 + (float)(i % 7) / 16;
    make_tensor(g, name, VG_F32, 1, (uint64_t[]){WIDTH}, w);
}

static void put_u32(gguf_make *g, const char *arch, const char *name, uint32_t value)
{
    char key[64];
    snprintf(key, sizeof key, "%s.%s", arch, name);
    make_u32(g, key, value);
}

/* One layer with all its matrices in one type, 4 query heads. With a window it is a phi3, whose
 * matrices are fused, else a llama. */
static uint8_t *make_model(vg_dtype type, uint32_t n_kv_heads, uint32_t window, size_t *n)
{
    gguf_make g;
    uint64_t state = 1 + (uint64_t)type;
    const char *arch = window ? "phi3" : "llama";
    size_t kv_width = WIDTH / 4 * n_kv_heads;
    make_begin(&g);
    make_str(&g, "general.architecture", arch);
    put_u32(&g, arch, "block_count", 1);
    put_u32(&g, arch, "embedding_length", WIDTH);
    put_u32(&g, arch, "context_length", MAX_TOK);
    put_u32(&g, arch, "feed_forward_length", N_FF);
    put_u32(&g, arch, "attention.head_count", 4);
    put_u32(&g, arch, "attention.head_count_kv", n_kv_heads);
    if (window) put_u32(&g, arch, "attention.sliding_window", window);
    make_f32(&g, window ? "phi3.attention.layer_norm_rms_epsilon"
                        : "llama.attention.layer_norm_rms_epsilon", 1e-5f);
    put_matrix(&g, "token_embd.weight", type, WIDTH, N_VOCAB, &state);
    if (window) {
        put_matrix(&g, "blk.0.attn_qkv.weight", type, WIDTH, WIDTH + 2 * kv_width, &state);
    } else {
        put_matrix(&g, "blk.0.attn_q.weight", type, WIDTH, WIDTH, &state);
        put_matrix(&g, "blk.0.attn_k.weight", type, WIDTH, kv_width, &state);
        put_matrix(&g, "blk.0.attn_v.weight", type, WIDTH, kv_width, &state);
    }
    put_matrix(&g, "blk.0.attn_output.weight", type, WIDTH, WIDTH, &state);
    if (!window) put_matrix(&g, "blk.0.ffn_gate.weight", type, WIDTH, N_FF, &state);
    put_matrix(&g, "blk.0.ffn_up.weight", type, WIDTH, window ? 2 * N_FF : N_FF, &state);
    put_matrix(&g, "blk.0.ffn_down.weight", type, N_FF, WIDTH, &state);
    put_norm(&g, "blk.0.attn_norm.weight");
    put_norm(&g, "blk.0.ffn_norm.weight");
    put_norm(&g, "output_norm.weight");
    return make_end(&g, n);
}

static void check_made(fixture *f, const char *name, uint8_t *file, size_t n, vg_kv_type kv,
                       const timeline *t)
{
    vg_err err;
    vg_model *m = NULL;
    must(vg_model_open_memory(&m, file, n, NULL, &err), &err);
    check_model(f, name, m, kv, t);
    vg_model_unref(m);
    free(file);
}

static void check_types(fixture *f)
{
    timeline t = make_timeline(false, 11, N_VOCAB);
    for (uint32_t type = 0; type < VG_N_DTYPES; type++) {
        const vg_dtype_info *info = vg_dtype_get(type);
        size_t n;
        if (!info) continue;
        uint8_t *file = make_model((vg_dtype)type, 4, 0, &n);
        check_made(f, info->name, file, n, VG_KV_Q8, &t);
    }
}

/* Spans of attention that merge, and windows smaller and larger than one. */
static void check_spans(fixture *f)
{
    static const struct { const char *name; uint32_t window; } cases[] = {
        {"spans", 0}, {"spans-window-100", 100}, {"spans-window-600", 600}};
    timeline t = make_timeline(true, 13, N_VOCAB);
    for (size_t i = 0; i < VG_COUNT(cases); i++)
        for (vg_kv_type kv = VG_KV_Q8; kv <= (i == 2 ? VG_KV_F32 : VG_KV_Q8); kv++) {
            size_t n;
            uint8_t *file = make_model(VG_Q8_0, 2, cases[i].window, &n);
            check_made(f, cases[i].name, file, n, kv, &t);
        }
}

/* ---- embeddings ------------------------------------------------------------------------------ */

enum { N_TEXTS = 9, MAX_WIDTH = 64 };

/* vectors [N_TEXTS, width] of each pooling; in a crowd: all in one call. */
static void run_embed(vg_model *m, const setup *how, const vg_tokens *text, size_t n_texts,
                      size_t width, float *out)
{
    vg_err err;
    vg_engine *e = NULL;
    vg_engine_opts opts = {.n_threads = how->n_threads, .ctx_tok = MAX_TOK, .isa = how->isa,
                           .batch_tok = how->batch_tok};
    must(vg_engine_new(&e, m, &opts, &err), &err);
    for (vg_pooling p = VG_POOL_MEAN; p <= VG_POOL_LAST; p++, out += n_texts * width) {
        const vg_embed_opts o = {.pooling = p};
        size_t n = how->crowd ? n_texts : 1;
        for (size_t i = 0; i < n_texts; i += n)
            must(vg_engine_embed(e, text + i, n, &o, out + i * width, &err), &err);
    }
    vg_engine_free(e);
}

static void check_embed(fixture *f, const char *folder, const char *model)
{
    static const size_t lengths[N_TEXTS] = {1, 64, 3, 65, 80, 20, 513, 33, 600};
    vg_err err;
    char path[4096], name[64];
    snprintf(path, sizeof path, "%s/%s.gguf", folder, model);
    snprintf(name, sizeof name, "embed/%s", model);
    vg_model *m = NULL;
    must(vg_model_open(&m, path, NULL, &err), &err);
    vg_model_info info;
    vg_model_get_info(m, &info);
    timeline t = make_timeline(true, 17, info.n_vocab);
    vg_tokens text[N_TEXTS];
    size_t n = 0;
    for (size_t i = 0; i < N_TEXTS; i++)
        if (lengths[i] <= info.ctx_train_tok) text[n++] = (vg_tokens){t.tok + i, lengths[i]};
    float want[3 * N_TEXTS * MAX_WIDTH] = {0}, got[3 * N_TEXTS * MAX_WIDTH] = {0};
    size_t n_floats = 3 * n * info.width;
    run_embed(m, &plain, text, n, info.width, want);
    check_hash(f, name, want, n_floats);
    for (const vg_kern *const *k = vg_kern_all() + 1; *k; k++) {
        setup one = plain;
        one.isa = (*k)->isa;
        one.crowd = true;
        run_embed(m, &one, text, n, info.width, got);
        compare(f, name, &one, want, got, n_floats);
    }
    for (size_t i = 0; !f->isa_only && i < VG_COUNT(setups); i++) {
        run_embed(m, &setups[i], text, n, info.width, got);
        compare(f, name, &setups[i], want, got, n_floats);
    }
    vg_model_unref(m);
}

static void check_embeddings(fixture *f, const char *folder)
{
    static const char *const encoders[] = {"bert", "bert-f16", "bert-odd", "xlm-roberta",
                                           "nomic-bert"};
    static const char *const others[] = {"llama", "qwen3", "gemma3"};
    char beside[4096];
    snprintf(beside, sizeof beside, "%s/../encoder", folder);
    for (size_t i = 0; i < VG_COUNT(encoders); i++) check_embed(f, beside, encoders[i]);
    for (size_t i = 0; i < VG_COUNT(others); i++) check_embed(f, folder, others[i]);
}

static char *read_text(const char *path)
{
    FILE *file = fopen(path, "rb");
    char *text = calloc(1, 1 << 16);
    if (!file || !text || fread(text, 1, (1 << 16) - 1, file) == 0) {
        fprintf(stderr, "exact_model: cannot read %s\n", path);
        exit(2);
    }
    fclose(file);
    return text;
}

int main(int argc, char **argv)
{
    if (argc < 2) return 2;
    char *golden = argc > 2 ? read_text(argv[2]) : NULL;
    fixture f = {.golden = golden, .isa_only = argc > 3};
    check_families(&f, argv[1]);
    check_types(&f);
    check_spans(&f);
    check_embeddings(&f, argv[1]);
    free(golden);
    return f.failed;
}
