/* golden.h: the logits of tests/golden/arch, made by tools/oracle/families.py, and the running of
 * an engine over their tokens.
 *
 *     golden g;
 *     golden_read(&g, "qwen3");
 *     use(g.logits[k * g.n_vocab + v]); // after token g.tok[g.kept[k]]
 *     golden_free(&g);
 */
#ifndef TEST_GOLDEN_H
#define TEST_GOLDEN_H

#include "test.h"

typedef struct golden {
    char *bytes;
    uint32_t n_tok, n_vocab, n_kept;
    const int32_t *tok;
    const uint32_t *kept; /* positions, ascending */
    const float *logits;  /* [n_kept, n_vocab] */
} golden;

static inline void golden_read(golden *g, const char *name)
{
    char path[4096], file[256];
    snprintf(file, sizeof file, "golden/arch/%s.golden", name);
    test_path(path, file);
    size_t n;
    g->bytes = test_read(path, &n);
    const uint32_t *head = (const uint32_t *)(const void *)g->bytes;
    assert_memory_equal(g->bytes, "VGLG", 4);
    assert_int_equal(head[1], 1);
    g->n_tok = head[2];
    g->n_vocab = head[3];
    g->n_kept = head[4];
    g->tok = (const int32_t *)(const void *)(head + 5);
    g->kept = (const uint32_t *)(const void *)(g->tok + g->n_tok);
    g->logits = (const float *)(const void *)(g->kept + g->n_kept);
    assert_int_equal(n, 20 + 4 * (size_t)(g->n_tok + g->n_kept + g->n_kept * g->n_vocab));
}

static inline void golden_free(golden *g)
{
    free(g->bytes);
}

static inline vg_model *golden_model(const char *name)
{
    char path[4096], file[256];
    snprintf(file, sizeof file, "golden/arch/%s.gguf", name);
    test_path(path, file);
    vg_model *m = NULL;
    vg_err err;
    TEST_OK(vg_model_open(&m, path, NULL, &err));
    return m;
}

#endif
