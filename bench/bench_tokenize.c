/* How fast a vocabulary is made ready and a text becomes tokens.
 *
 *     bench_tokenize MODEL.gguf TEXT [RUNS]
 *
 * Prints milliseconds of opening the file, milliseconds of making the vocabulary, its memory, and
 * millions of bytes a second on one thread: the best and the median of RUNS (default 7). */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "model/vocab.h"

enum { MAX_RUNS = 99 };

static double now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static int fail(const char *what)
{
    fprintf(stderr, "bench_tokenize: %s\n", what);
    return 1;
}

static char *read_all(const char *path, size_t *n)
{
    FILE *f = fopen(path, "rb");
    if (!f) return NULL;
    char *p = NULL;
    long size = fseek(f, 0, SEEK_END) ? -1 : ftell(f);
    rewind(f);
    if (size > 0) p = malloc((size_t)size);
    *n = p ? fread(p, 1, (size_t)size, f) : 0;
    fclose(f);
    return p;
}

/* The times of the best and the median of n runs. */
static vg_status measure(vg_vocab **v, const vg_gguf *g, vg_str text, int n, bool load,
                         double out[2], size_t *n_ids, vg_err *err)
{
    double ms[MAX_RUNS];
    for (int i = 0; i < n; i++) {
        vg_tokens t = {0};
        double from = now_ms();
        if (load) {
            vg_vocab_free(*v);
            *v = NULL;
            VG_TRY(vg_vocab_new(v, g, err));
        } else {
            VG_TRY(vg_vocab_encode(*v, text, 0, &t, err));
            *n_ids = t.n;
        }
        ms[i] = now_ms() - from;
        vg_tokens_free(&t);
    }
    qsort(ms, (size_t)n, sizeof *ms, by_size);
    out[0] = ms[0];
    out[1] = ms[n / 2];
    return VG_OK;
}

int main(int argc, char **argv)
{
    int runs = argc > 3 ? atoi(argv[3]) : 7;
    if (argc < 3 || runs < 1 || runs > MAX_RUNS) return fail("MODEL.gguf TEXT [RUNS]");
    vg_str text;
    char *data = read_all(argv[2], &text.n);
    if (!data) return fail("the text cannot be read");
    text.p = data;
    vg_err err;
    vg_gguf *g = NULL;
    vg_vocab *v = NULL;
    vg_model_opts opts = {.vocab_only = true};
    double from = now_ms(), load[2], encode[2];
    size_t n_ids = 0;
    vg_status st = vg_gguf_open(&g, argv[1], &opts, &err);
    double open_ms = now_ms() - from;
    if (!st) st = measure(&v, g, text, runs, true, load, &n_ids, &err);
    if (!st) st = measure(&v, g, text, runs, false, encode, &n_ids, &err);
    if (!st) {
        double mb = (double)text.n / 1e6;
        printf("%s, %zu tokens: open %.1f ms, ready %.1f ms (median %.1f), %.1f MB\n",
               vg_vocab_kind(v), vg_vocab_size(v), open_ms, load[0], load[1],
               (double)vg_vocab_bytes(v) / 1e6);
        printf("%.1f MB, %zu ids: %.1f MB/s (median %.1f)\n", mb, n_ids, mb / encode[0] * 1e3,
               mb / encode[1] * 1e3);
    }
    vg_vocab_free(v);
    vg_gguf_close(g);
    free(data);
    return st ? fail(err.msg) : 0;
}
