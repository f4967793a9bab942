/* What a grammar adds to a token.
 *
 *     bench_grammar MODEL.gguf [TOKENS]
 *
 * For a list of schemas, a text is written by drawing among the allowed tokens, from a fixed seed:
 * the longest of three random ones, so that strings are as long as they may be. Prints milliseconds
 * to compile, and microseconds of mask and step a token: the first, the median, the 99th
 * percentile, the worst, the mean. The first line is the tree of the vocabulary, once a model. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "model/grammar.h"

enum { MAX_TOKENS = 20000 };

static const struct {
    const char *name, *schema;
} cases[] = {
    {"any JSON", "{}"},
    {"any object", "{\"type\":\"object\"}"},
    {"two strings",
     "{\"properties\":{\"a\":{\"type\":\"string\"},\"b\":{\"type\":\"string\"}},"
     "\"required\":[\"a\",\"b\"],\"additionalProperties\":false}"},
    {"list of records",
     "{\"type\":\"array\",\"items\":{\"properties\":{\"id\":{\"type\":\"integer\"},"
     "\"name\":{\"type\":\"string\"},\"kind\":{\"enum\":[\"a\",\"b\",\"c\"]},"
     "\"ok\":{\"type\":\"boolean\"}},\"required\":[\"id\",\"name\",\"kind\",\"ok\"]}}"},
    {"maxLength 60 each", "{\"items\":{\"type\":\"string\",\"maxLength\":60}}"},
    {"maxLength 2000", "{\"type\":\"string\",\"minLength\":1900,\"maxLength\":2000}"},
    {"tree",
     "{\"properties\":{\"v\":{\"type\":\"string\"},\"c\":{\"items\":{\"$ref\":\"#\"}}},"
     "\"required\":[\"v\",\"c\"]}"},
    {"patterns and formats",
     "{\"items\":{\"properties\":{\"d\":{\"format\":\"date-time\"},\"e\":{\"format\":"
     "\"email\"},\"p\":{\"pattern\":\"^[a-z]{3,20}( [a-z]{3,20}){0,5}$\"}},"
     "\"required\":[\"d\",\"e\",\"p\"]}}"},
};

static double now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

/* One of the allowed tokens; -1: only the end is left. */
static int32_t draw(const vg_model *m, const uint64_t *mask, uint64_t *rng)
{
    size_t n = vg_vocab_size(m->vocab), longest = 0;
    int32_t best = -1;
    char text[VG_DECODE_MAX];
    for (int k = 0; k < 3; k++) {
        *rng = *rng * 6364136223846793005u + 1442695040888963407u;
        size_t from = (size_t)(*rng >> 33) % n;
        for (size_t i = 0; i < n; i++) {
            int32_t id = (int32_t)((from + i) % n);
            if (!(mask[id / 64] >> id % 64 & 1) || vg_vocab_is_end(m->vocab, id)) continue;
            size_t len = vg_vocab_text(m->vocab, id, text);
            if (len > longest) {
                longest = len;
                best = id;
            }
            break;
        }
    }
    return best;
}

static vg_status measure(vg_model *m, const char *schema, size_t n, double *us, size_t *n_us,
                         double *compile_us, vg_err *err)
{
    vg_grammar *g = NULL;
    vg_matcher *matcher = NULL;
    double from = now_us();
    VG_TRY(vg_grammar_new_schema(&g, m, schema, strlen(schema), err));
    *compile_us = now_us() - from;
    vg_status st = vg_matcher_new(&matcher, g, err);
    uint64_t *mask = st ? NULL : calloc(vg_matcher_words(matcher), sizeof *mask), rng = 1;
    *n_us = 0;
    while (!st && mask && *n_us < n) {
        from = now_us();
        st = vg_matcher_mask(matcher, mask, err);
        double took = now_us() - from;
        int32_t id = st ? -1 : draw(m, mask, &rng);
        if (id < 0) { /* ended: the next text */
            vg_matcher_free(matcher);
            matcher = NULL;
            if (!st) st = vg_matcher_new(&matcher, g, err);
            continue;
        }
        from = now_us();
        st = vg_matcher_take(matcher, id, err);
        us[(*n_us)++] = took + now_us() - from;
    }
    free(mask);
    vg_matcher_free(matcher);
    vg_grammar_unref(g);
    return st;
}

int main(int argc, char **argv)
{
    double *us = malloc(MAX_TOKENS * sizeof *us);
    size_t n = argc > 2 ? strtoul(argv[2], NULL, 10) : 2000;
    vg_err err;
    vg_model *m = NULL;
    if (!us || argc < 2 || n < 1 || n > MAX_TOKENS) {
        fprintf(stderr, "bench_grammar: MODEL.gguf [TOKENS]\n");
        return 1;
    }
    vg_status st = vg_model_open(&m, argv[1], &(vg_model_opts){.vocab_only = true}, &err);
    for (size_t i = 0; i < VG_COUNT(cases) && !st; i++) {
        double compile_us, sum = 0;
        size_t n_us;
        if (i == 0) {
            double from = now_us();
            vg_grammar *g = NULL;
            st = vg_grammar_new_gbnf(&g, m, "root ::= \"a\"", 12, &err);
            double ms = (now_us() - from) / 1e3;
            if (!st) printf("%zu tokens: %.1f ms\n", vg_vocab_size(m->vocab), ms);
            vg_grammar_unref(g);
            if (st) break;
        }
        st = measure(m, cases[i].schema, n, us, &n_us, &compile_us, &err);
        if (st) break;
        double first = us[0];
        for (size_t k = 0; k < n_us; k++) sum += us[k];
        qsort(us, n_us, sizeof *us, by_size);
        printf("%-22s compile %6.2f ms; us a token: first %7.1f median %6.1f p99 %7.1f worst %7.1f "
               "mean %6.1f\n", cases[i].name, compile_us / 1e3, first, us[n_us / 2],
               us[n_us * 99 / 100], us[n_us - 1], sum / (double)n_us);
    }
    if (st) fprintf(stderr, "bench_grammar: %s\n", err.msg);
    vg_model_unref(m);
    free(us);
    return st ? 1 : 0;
}
