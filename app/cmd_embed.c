/* verge embed: a vector for each text, which is an argument or each line of standard input. The
 * numbers of a vector go out on one line, with as many digits as give the same float again; or an
 * object of JSON a line. The context is as long as the longest text needs it. */
#include <stdio.h>
#include <unistd.h>

#include "app/cli.h"
#include "app/json_print.h"

typedef struct embed_opts {
    bool json, raw;
    const char *pooling, *isa;
    int64_t dimensions, threads;
} embed_opts;

enum {
    INPUT_CAP_BYTES = 1 << 30,
    BATCH_TEXTS = 256,
    MIN_CTX_TOK = 1024, /* of cache, so that short texts fill a step together */
    DIGITS = 9          /* that give the same float again */
};

/* The texts of a run, as tokens. */
typedef struct texts {
    const vg_model *model;
    vg_buf tokens; /* vg_tokens, one behind the other */
    size_t n, longest;
} texts;

static vg_tokens *token_lists(const texts *t)
{
    return (vg_tokens *)(void *)t->tokens.data;
}

static vg_status add_text(texts *t, vg_str s, vg_err *err)
{
    vg_tokens ids = {0};
    VG_TRY(vg_tokenize(t->model, s.p, s.n, VG_TOK_BOS, &ids, err));
    vg_buf_add(&t->tokens, &ids, sizeof ids);
    vg_status st = vg_buf_check(&t->tokens, "the texts", err);
    if (st) {
        vg_tokens_free(&ids);
        return st;
    }
    t->n++;
    t->longest = VG_MAX(t->longest, ids.n);
    return VG_OK;
}

static vg_status add_lines(texts *t, vg_err *err)
{
    vg_text input = {0};
    VG_TRY(cli_read("-", INPUT_CAP_BYTES, &input, err));
    vg_status st = VG_OK;
    for (size_t i = 0; i < input.n && !st;) {
        const char *line = input.data + i, *end = memchr(line, '\n', input.n - i);
        size_t n = end ? (size_t)(end - line) : input.n - i;
        i += n + 1;
        if (n > 0 && line[n - 1] == '\r') n--;
        st = add_text(t, (vg_str){line, n}, err);
    }
    vg_text_free(&input);
    return st;
}

static void put_vector(vg_buf *b, const float *v, size_t n, const char *between)
{
    char text[VG_DOUBLE_LONG_TEXT];
    for (size_t i = 0; i < n; i++) {
        if (i > 0) vg_buf_text(b, between);
        vg_buf_add(b, text, vg_double_print((double)v[i], 'g', DIGITS, text));
    }
}

static vg_status print_vector(const embed_opts *o, size_t index, const vg_tokens *t,
                              const float *v, size_t n, vg_err *err)
{
    vg_buf b;
    vg_buf_init(&b, SIZE_MAX / 2);
    if (!o->json) {
        put_vector(&b, v, n, " ");
        return json_print(&b, VG_OK, err); /* the line alone, whatever is in it */
    }
    vg_json_begin(&b, NULL, '{');
    vg_json_count(&b, "index", index);
    vg_json_count(&b, "tokens", t->n);
    vg_json_begin(&b, "embedding", '[');
    put_vector(&b, v, n, ", ");
    vg_json_end(&b, ']');
    vg_json_end(&b, '}');
    return json_print(&b, VG_OK, err);
}

static vg_pooling pooling_of(const char *word)
{
    if (!word) return VG_POOL_AUTO;
    return *word == 'm' ? VG_POOL_MEAN : *word == 'c' ? VG_POOL_CLS : VG_POOL_LAST;
}

static vg_status embed(const embed_opts *o, vg_model *m, const texts *t, vg_err *err)
{
    vg_model_info info;
    vg_model_get_info(m, &info);
    size_t ctx = VG_MIN(VG_MAX(t->longest, (size_t)MIN_CTX_TOK), (size_t)info.ctx_train_tok);
    const vg_engine_opts engine = {.n_threads = (uint32_t)o->threads, .isa = o->isa,
                                   .ctx_tok = (uint32_t)ctx};
    const vg_embed_opts opts = {.pooling = pooling_of(o->pooling), .raw = o->raw,
                                .dimensions = (uint32_t)o->dimensions};
    size_t width = o->dimensions ? (size_t)o->dimensions : info.width;
    vg_engine *e = NULL;
    VG_TRY(vg_engine_new(&e, m, &engine, err));
    float *out = vg_mem_new(BATCH_TEXTS * width * sizeof *out);
    vg_status st = out ? VG_OK : VG_FAIL_MEMORY(err, BATCH_TEXTS * width * sizeof *out);
    for (size_t i = 0, n; i < t->n && !st; i += n) {
        n = VG_MIN(t->n - i, (size_t)BATCH_TEXTS);
        st = vg_engine_embed(e, token_lists(t) + i, n, &opts, out, err);
        for (size_t k = 0; k < n && !st; k++)
            st = print_vector(o, i + k, &token_lists(t)[i + k], out + k * width, width, err);
    }
    vg_mem_free(out);
    vg_engine_free(e);
    return st;
}

static int run(const cli_command *cmd, void *opts, int n_args, char **args)
{
    const embed_opts *o = opts;
    bool from_stdin = n_args == 1 || strcmp(args[1], "-") == 0;
    if (n_args == 1 && isatty(STDIN_FILENO)) return cli_usage(cmd, "there is no text");
    vg_err err;
    vg_model *m = NULL;
    if (cli_open_model(args[0], NULL, &m, &err)) return cli_fail(cmd, &err);
    texts t = {.model = m};
    vg_buf_init(&t.tokens, SIZE_MAX / 2);
    vg_status st = from_stdin ? add_lines(&t, &err) : add_text(&t, vg_str_from(args[1]), &err);
    if (!st) st = embed(o, m, &t, &err);
    for (size_t i = 0; i < t.n; i++) vg_tokens_free(&token_lists(&t)[i]);
    vg_buf_clear(&t.tokens);
    vg_model_unref(m);
    return st ? cli_fail(cmd, &err) : cli_finish(cmd);
}

static const cli_opt opts[] = {
    CLI_FLAG("json", 0, embed_opts, json, "print an object a line: index, tokens, embedding"),
    CLI_CHOICE("pooling", 'p', embed_opts, pooling, "mean|cls|last",
               "how the vectors of a text's tokens become one [as the model's file says; else mean "
               "of encoders, last of other models]"),
    CLI_INT("dimensions", 'd', embed_opts, dimensions, "N", 1, 1 << 20,
            "only the first N numbers of each vector [all]"),
    CLI_FLAG("no-normalize", 0, embed_opts, raw, "do not scale vectors to a length of 1"),
    CLI_INT("threads", 't', embed_opts, threads, "N", 1, 256, "threads [one a fast core]"),
    CLI_ISA(embed_opts, isa),
};

const cli_command cmd_embed = {
    .name = "embed",
    .args = "MODEL [TEXT|-]",
    .min_args = 1,
    .max_args = 2,
    .summary = "turn texts into vectors",
    .detail = "The text is the second argument; or each line of standard input is one, at most 1 "
              "GiB in all. A line of numbers comes out for each. The model is an encoder (bert, "
              "nomic-bert) or any other; what it was trained to see before a text, such as "
              "\"query: \", is the caller's to write. A text longer than the model's context is an "
              "error, and never cut.",
    .opts = opts,
    .n_opts = VG_COUNT(opts),
    .opts_bytes = sizeof(embed_opts),
    .run = run,
};
