/* inputs MODEL.gguf TEXT CTX N_SEQ: for each product of each layer the first tensor that reads its
 * input and the sums of the squares of its columns, a line a product. The text is cut as
 * llama-imatrix cuts it: its tokens in turn, the first of each sequence becoming BOS. For
 * comparisons with it (tools/oracle/compress.py). Not a test itself. */
#include <stdio.h>
#include <stdlib.h>

#include "infer/layers.h"
#include "model/gguf.h"

typedef struct sums {
    const vg_model *m;
    const uint8_t *of[1024]; /* data of the weights, by product */
    double *sum[1024];
    size_t n_in[1024], n;
} sums;

static void seen(void *user, const vg_tensor *w, const float *x, size_t n_rows)
{
    sums *s = user;
    size_t k = 0;
    while (k < s->n && s->of[k] != w->data) k++;
    if (k == VG_COUNT(s->of)) exit(1);
    if (k == s->n) {
        s->of[s->n++] = w->data;
        s->n_in[k] = w->n_in;
        s->sum[k] = calloc(w->n_in, sizeof(double));
        if (!s->sum[k]) exit(1);
    }
    for (size_t r = 0; r < n_rows; r++)
        for (size_t i = 0; i < w->n_in; i++) {
            double v = (double)x[r * w->n_in + i];
            s->sum[k][i] += v * v;
        }
}

static void print(const sums *s)
{
    for (size_t k = 0; k < s->n; k++) {
        for (size_t i = 0; i < vg_gguf_n_tensors(s->m->gguf); i++) {
            const vg_gguf_tensor *t = vg_gguf_tensor_at(s->m->gguf, i);
            if (t->data == s->of[k]) printf("%.*s", VG_STR_ARG(t->name));
        }
        for (size_t i = 0; i < s->n_in[k]; i++) printf(" %.9g", s->sum[k][i]);
        printf("\n");
        free(s->sum[k]);
    }
}

static int fail(const vg_err *err)
{
    fprintf(stderr, "inputs: %s\n", err->msg);
    return 1;
}

static char *read_file(const char *path, size_t *n)
{
    enum { CAP_BYTES = 1 << 26 };
    FILE *f = fopen(path, "rb");
    char *text = malloc(CAP_BYTES);
    *n = f && text ? fread(text, 1, CAP_BYTES, f) : 0;
    if (f) fclose(f);
    return text;
}

int main(int argc, char **argv)
{
    vg_err err;
    vg_model *m = NULL;
    vg_layers *l = NULL;
    vg_tokens all = {0};
    if (argc != 5) return 2;
    const size_t ctx = (size_t)atoi(argv[3]), n_seq = (size_t)atoi(argv[4]);
    const vg_model_opts how = {.no_repack = true};
    size_t n_text;
    char *text = read_file(argv[2], &n_text);
    if (vg_model_open(&m, argv[1], &how, &err)) return fail(&err);
    vg_model_info info;
    vg_model_get_info(m, &info);
    sums s = {.m = m};
    const vg_layers_opts opts = {.n_threads = 1, .seq_tok = (uint32_t)ctx, .seen = seen,
                                 .user = &s};
    if (vg_tokenize(m, text, n_text, VG_TOK_BOS, &all, &err) || vg_layers_new(&l, m, &opts, &err))
        return fail(&err);
    float *x = calloc(ctx * m->hp.width, sizeof *x);
    for (size_t i = 0; x && i < n_seq && (i + 1) * ctx <= all.n; i++) {
        int32_t *tok = all.id + i * ctx;
        if (info.add_bos) tok[0] = info.bos;
        vg_layers_embed(l, tok, ctx, x);
        for (uint32_t il = 0; il < m->hp.n_layers; il++) {
            vg_layers_attention(l, &m->layer[il], x, ctx);
            vg_layers_mlp(l, &m->layer[il], x, ctx);
        }
    }
    print(&s);
    free(x);
    free(text);
    vg_tokens_free(&all);
    vg_layers_free(l);
    vg_model_unref(m);
    return fflush(stdout) ? 1 : 0;
}
