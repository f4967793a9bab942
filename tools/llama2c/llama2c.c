/* From llama2.c's format to GGUF. The tensors keep their values and their order of rows: llama2.c
 * rotates neighbouring pairs, as GGUF's llama family does. Sizes are checked against the file's
 * length before anything is read. */
#include "llama2c.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/os.h"
#include "gguf_make.h"

enum { N_HEADER = 7, MAX_VOCAB = 1 << 20, PIECE_BYTES = 512, TYPE_NORMAL = 1, TYPE_UNKNOWN = 2,
       TYPE_CONTROL = 3, TYPE_BYTE = 6 };

typedef struct config {
    size_t dim, n_ff, n_layers, n_heads, n_kv_heads, n_vocab, ctx;
    bool own_output; /* written as a negative vocabulary size */
} config;

static vg_status read_config(config *c, const vg_file *f, const char *path, vg_err *err)
{
    int32_t h[N_HEADER];
    if (f->n < sizeof h) return VG_FAIL(err, VG_E_FORMAT, "%s: shorter than its header", path);
    memcpy(h, f->data, sizeof h);
    c->own_output = h[5] < 0;
    if (h[5] < 0 && h[5] > INT32_MIN) h[5] = -h[5];
    for (int i = 0; i < N_HEADER; i++)
        if (h[i] < 1 || h[i] > MAX_VOCAB)
            return VG_FAIL(err, VG_E_FORMAT, "%s: header value %d is %d", path, i, h[i]);
    *c = (config){.dim = (size_t)h[0], .n_ff = (size_t)h[1], .n_layers = (size_t)h[2],
                  .n_heads = (size_t)h[3], .n_kv_heads = (size_t)h[4], .n_vocab = (size_t)h[5],
                  .ctx = (size_t)h[6], .own_output = c->own_output};
    if (c->dim % c->n_heads || c->n_heads % c->n_kv_heads || c->n_layers > 120)
        return VG_FAIL(err, VG_E_FORMAT, "%s: %zu heads, %zu key heads, width %zu, %zu layers",
                       path, c->n_heads, c->n_kv_heads, c->dim, c->n_layers);
    double head = (double)(c->dim / c->n_heads), kv = head * (double)c->n_kv_heads;
    double d = (double)c->dim, l = (double)c->n_layers, v = (double)c->n_vocab;
    double floats = v * d + l * (2 * d + 2 * d * d + 2 * kv * d + 3 * d * (double)c->n_ff) + d +
                    (double)c->ctx * head + (c->own_output ? v * d : 0);
    if (4 * floats + sizeof h > (double)f->n)
        return VG_FAIL(err, VG_E_FORMAT, "%s: %llu bytes, its header promises %.0f", path,
                       (unsigned long long)f->n, 4 * floats + sizeof h);
    return VG_OK;
}

/* ---- tensors -------------------------------------------------------------------------------- */

static void put(gguf_make *g, const char *name, size_t n_in, size_t n_rows, const uint8_t *data)
{
    make_tensor(g, name, VG_F32, n_rows ? 2 : 1, (uint64_t[]){n_in, n_rows ? n_rows : 1}, data);
}

/* One kind of tensor, of all layers in a row; *at moves past it. */
static void put_layers(gguf_make *g, const config *c, const char *suffix, size_t n_in,
                       size_t n_rows, const uint8_t **at)
{
    for (size_t i = 0; i < c->n_layers; i++) {
        char name[64];
        snprintf(name, sizeof name, "blk.%zu.%s.weight", i, suffix);
        put(g, name, n_in, n_rows, *at);
        *at += sizeof(float) * n_in * (n_rows ? n_rows : 1);
    }
}

static void put_tensors(gguf_make *g, const config *c, const uint8_t *at)
{
    size_t d = c->dim, head = d / c->n_heads, kv = head * c->n_kv_heads;
    put(g, "token_embd.weight", d, c->n_vocab, at);
    at += sizeof(float) * d * c->n_vocab;
    put_layers(g, c, "attn_norm", d, 0, &at);
    put_layers(g, c, "attn_q", d, d, &at);
    put_layers(g, c, "attn_k", d, kv, &at);
    put_layers(g, c, "attn_v", d, kv, &at);
    put_layers(g, c, "attn_output", d, d, &at);
    put_layers(g, c, "ffn_norm", d, 0, &at);
    put_layers(g, c, "ffn_gate", d, c->n_ff, &at);
    put_layers(g, c, "ffn_down", c->n_ff, d, &at);
    put_layers(g, c, "ffn_up", d, c->n_ff, &at);
    put(g, "output_norm.weight", d, 0, at);
    at += sizeof(float) * (d + c->ctx * head); /* and the tables of cosines and sines */
    if (c->own_output) put(g, "output.weight", d, c->n_vocab, at);
}

static void put_config(gguf_make *g, const config *c)
{
    make_str(g, "general.architecture", "llama");
    make_u32(g, "llama.context_length", (uint32_t)c->ctx);
    make_u32(g, "llama.embedding_length", (uint32_t)c->dim);
    make_u32(g, "llama.block_count", (uint32_t)c->n_layers);
    make_u32(g, "llama.feed_forward_length", (uint32_t)c->n_ff);
    make_u32(g, "llama.attention.head_count", (uint32_t)c->n_heads);
    make_u32(g, "llama.attention.head_count_kv", (uint32_t)c->n_kv_heads);
    make_f32(g, "llama.attention.layer_norm_rms_epsilon", 1e-5f);
    make_u32(g, "llama.rope.dimension_count", (uint32_t)(c->dim / c->n_heads));
    make_f32(g, "llama.rope.freq_base", 10000);
}

/* ---- vocabulary ------------------------------------------------------------------------------ */

typedef struct vocabulary {
    char (*piece)[PIECE_BYTES]; /* [n_vocab] */
    float *score;
    int32_t *type;
} vocabulary;

/* llama2.c has spaces where SentencePiece has U+2581, and line feeds around its control tokens. */
static void set_piece(vocabulary *v, size_t id, const char *s, size_t n, float score)
{
    static const char *const control[] = {"<unk>", "<s>", "</s>"};
    char *out = v->piece[id];
    size_t at = 0;
    for (size_t i = 0; i < n && at + 4 < PIECE_BYTES; i++) {
        if (s[i] == ' ') at += vg_utf8_put(0x2581, out + at);
        else out[at++] = s[i];
    }
    out[at] = '\0';
    bool is_byte = n == 6 && memcmp(s, "<0x", 3) == 0;
    v->type[id] = is_byte ? TYPE_BYTE : TYPE_NORMAL;
    if (id < 3) v->type[id] = id == 0 ? TYPE_UNKNOWN : TYPE_CONTROL;
    if (id < VG_COUNT(control)) snprintf(out, PIECE_BYTES, "%s", control[id]);
    v->score[id] = score;
}

static vg_status read_binary(vocabulary *v, size_t n_vocab, const vg_file *f, const char *path,
                             vg_err *err)
{
    size_t at = 4; /* after the longest length */
    for (size_t id = 0; id < n_vocab; id++) {
        float score;
        int32_t n;
        if (at + 8 > f->n) return VG_FAIL(err, VG_E_FORMAT, "%s: ends at token %zu", path, id);
        memcpy(&score, f->data + at, 4);
        memcpy(&n, f->data + at + 4, 4);
        if (n < 0 || (uint64_t)n > f->n - at - 8)
            return VG_FAIL(err, VG_E_FORMAT, "%s: token %zu has the length %d", path, id, n);
        set_piece(v, id, (const char *)f->data + at + 8, (size_t)n, score);
        at += 8 + (size_t)n;
    }
    return VG_OK;
}

static vg_status read_lines(vocabulary *v, size_t n_vocab, const vg_file *f, const char *path,
                            vg_err *err)
{
    const char *at = (const char *)f->data, *end = at + f->n;
    for (size_t id = 0; id < n_vocab; id++) {
        const char *line_end = memchr(at, '\n', (size_t)(end - at));
        if (!line_end) return VG_FAIL(err, VG_E_FORMAT, "%s: ends at token %zu", path, id);
        const char *tab = memchr(at, '\t', (size_t)(line_end - at));
        if (!tab) return VG_FAIL(err, VG_E_FORMAT, "%s: line %zu has no tab", path, id + 1);
        char score[32];
        snprintf(score, sizeof score, "%.*s", (int)VG_MIN(line_end - tab - 1, 31), tab + 1);
        set_piece(v, id, at, (size_t)(tab - at), strtof(score, NULL));
        at = line_end + 1;
    }
    return VG_OK;
}

static vg_status put_vocabulary(gguf_make *g, size_t n, const char *path, vg_err *err)
{
    vocabulary v = {calloc(n, PIECE_BYTES), calloc(n, sizeof(float)), calloc(n, sizeof(int32_t))};
    const char **pieces = calloc(n, sizeof *pieces);
    vg_file f = {0};
    vg_status st = v.piece && v.score && v.type && pieces ? vg_file_map(&f, path, err)
                                                          : VG_FAIL_MEMORY(err, n * PIECE_BYTES);
    if (st) goto out;
    size_t len = strlen(path);
    bool text = len > 6 && strcmp(path + len - 6, ".vocab") == 0;
    st = text ? read_lines(&v, n, &f, path, err) : read_binary(&v, n, &f, path, err);
    if (st) goto out;
    for (size_t i = 0; i < n; i++) pieces[i] = v.piece[i];
    make_str(g, "tokenizer.ggml.model", "llama");
    make_strs(g, "tokenizer.ggml.tokens", pieces, n);
    make_f32s(g, "tokenizer.ggml.scores", v.score, n);
    make_i32s(g, "tokenizer.ggml.token_type", v.type, n);
    make_u32(g, "tokenizer.ggml.unknown_token_id", 0);
    make_u32(g, "tokenizer.ggml.bos_token_id", 1);
    make_u32(g, "tokenizer.ggml.eos_token_id", 2);
out:
    vg_file_unmap(&f);
    free(v.piece);
    free(v.score);
    free(v.type);
    free(pieces);
    return st;
}

uint8_t *llama2c_convert(const char *model, const char *tokens, size_t *n, vg_err *err)
{
    vg_file f = {0};
    config c = {0};
    gguf_make g;
    uint8_t *bytes = NULL;
    if (vg_file_map(&f, model, err)) return NULL;
    make_begin(&g);
    vg_status st = read_config(&c, &f, model, err);
    if (!st) {
        put_config(&g, &c);
        make_str(&g, "general.name", strrchr(model, '/') ? strrchr(model, '/') + 1 : model);
        st = put_vocabulary(&g, c.n_vocab, tokens, err);
    }
    if (!st) put_tensors(&g, &c, f.data + N_HEADER * sizeof(int32_t));
    uint8_t *made = make_end(&g, n); /* also frees what stands in the maker */
    if (st) free(made);
    else bytes = made;
    vg_file_unmap(&f);
    return bytes;
}
