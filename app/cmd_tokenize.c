/* verge tokenize: text to token ids and back, with the tokenizer of a model file (a file with a
 * vocabulary alone will do). Text comes from the command line or standard input, which is read
 * whole; ids go out one line of numbers, as lines with their pieces, or as JSON. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "app/cli.h"
#include "app/json_print.h"
#include "model/model.h"

typedef struct tokenize_opts {
    bool json, pieces, decode, special, bos;
} tokenize_opts;

enum { LINE_CAP = 1 << 16 }; /* of one quoted piece */
static const size_t ids_cap = INT32_MAX; /* of ids as text */

static vg_status print_json(const vg_model *m, const vg_tokens *t, vg_err *err)
{
    vg_buf b;
    vg_buf_init(&b, SIZE_MAX / 2);
    vg_json_begin(&b, NULL, '{');
    vg_json_count(&b, "count", t->n);
    vg_json_begin(&b, "ids", '[');
    for (size_t i = 0; i < t->n; i++) vg_json_int(&b, NULL, t->id[i]);
    vg_json_end(&b, ']');
    vg_json_begin(&b, "pieces", '[');
    for (size_t i = 0; i < t->n; i++) vg_json_str(&b, NULL, vg_vocab_piece(m->vocab, t->id[i]));
    vg_json_end(&b, ']');
    vg_json_end(&b, '}');
    return json_print(&b, VG_OK, err);
}

static void print_lines(const vg_model *m, const tokenize_opts *o, const vg_tokens *t)
{
    vg_buf line;
    vg_buf_init(&line, LINE_CAP);
    for (size_t i = 0; i < t->n; i++) {
        if (!o->pieces) {
            printf("%s%d", i ? " " : "", t->id[i]);
            continue;
        }
        vg_buf_reset(&line);
        vg_json_str(&line, NULL, vg_vocab_piece(m->vocab, t->id[i]));
        printf("%d ", t->id[i]);
        fwrite(line.data, 1, line.n, stdout);
        putchar('\n');
    }
    if (!o->pieces) putchar('\n');
    vg_buf_clear(&line);
}

static vg_status print_tokens(const vg_model *m, const tokenize_opts *o, const vg_tokens *t,
                              vg_err *err)
{
    if (o->json) return print_json(m, t, err);
    print_lines(m, o, t);
    return VG_OK;
}

static vg_status encode(const vg_model *m, const tokenize_opts *o, const char *text, vg_err *err)
{
    vg_text input = {0};
    if (!text) VG_TRY(cli_read("-", VG_VOCAB_TEXT_MAX, &input, err));
    unsigned flags = (o->special ? VG_TOK_SPECIAL : 0u) | (o->bos ? VG_TOK_BOS : 0u);
    vg_str s = text ? vg_str_from(text) : (vg_str){input.data, input.n};
    vg_tokens t = {0};
    vg_status st = vg_tokenize(m, s.p, s.n, flags, &t, err);
    if (!st) st = print_tokens(m, o, &t, err);
    vg_tokens_free(&t);
    vg_text_free(&input);
    return st;
}

/* Adds the numbers of a text, parted by white space, commas or brackets, so that both kinds of our
 * own output can be read back. */
static vg_status read_ids(const char *text, vg_buf *ids, vg_err *err)
{
    for (const char *p = text;;) {
        p += strspn(p, " \t\r\n,[]");
        if (!*p) return vg_buf_check(ids, "the ids", err);
        char *end;
        errno = 0;
        long v = strtol(p, &end, 10);
        if (end == p || errno || v < 0 || v > INT32_MAX || !strchr(" \t\r\n,[]", *end))
            return VG_FAIL(err, VG_E_USAGE, "'%.*s' is no token id", (int)strcspn(p, " \t\r\n,[]"),
                           p);
        int32_t id = (int32_t)v;
        vg_buf_add(ids, &id, sizeof id);
        p = end;
    }
}

static vg_status print_text(const vg_model *m, const tokenize_opts *o, const vg_tokens *t,
                            vg_err *err)
{
    vg_text text;
    VG_TRY(vg_detokenize(m, t->id, t->n, o->special, &text, err));
    vg_status st = VG_OK;
    if (o->json) st = json_print_text("text", (vg_str){text.data, text.n}, err);
    else fwrite(text.data, 1, text.n, stdout);
    vg_text_free(&text);
    return st;
}

static vg_status decode(const vg_model *m, const tokenize_opts *o, int n, char **args, vg_err *err)
{
    vg_text input = {0};
    vg_buf ids;
    vg_buf_init(&ids, SIZE_MAX / 2);
    vg_status st = VG_OK;
    for (int i = 0; i < n && !st; i++) st = read_ids(args[i], &ids, err);
    if (n == 0) st = cli_read("-", ids_cap, &input, err);
    if (!st && n == 0) st = read_ids(input.data, &ids, err);
    vg_tokens t = {(int32_t *)(void *)ids.data, ids.n / sizeof(int32_t)};
    if (!st && o->pieces) st = print_tokens(m, o, &t, err);
    else if (!st) st = print_text(m, o, &t, err);
    vg_buf_clear(&ids);
    vg_text_free(&input);
    return st;
}

static int run(const cli_command *cmd, void *opts, int n_args, char **args)
{
    const tokenize_opts *o = opts;
    bool from_stdin = n_args == 1 || (n_args == 2 && strcmp(args[1], "-") == 0);
    if (n_args > 2 && !o->decode) return cli_usage(cmd, "the text is several arguments; quote it");
    if (n_args == 1 && isatty(STDIN_FILENO)) return cli_usage(cmd, "there is no text");
    vg_err err;
    vg_model *m = NULL;
    vg_status st = cli_open_model(args[0], &(vg_model_opts){.vocab_only = true}, &m, &err);
    if (st) return cli_fail(cmd, &err);
    if (o->decode) st = decode(m, o, from_stdin ? 0 : n_args - 1, args + 1, &err);
    else st = encode(m, o, from_stdin ? NULL : args[1], &err);
    vg_model_unref(m);
    return st ? cli_fail(cmd, &err) : cli_finish(cmd);
}

static const cli_opt opts[] = {
    CLI_FLAG("json", 0, tokenize_opts, json, "print JSON"),
    CLI_FLAG("pieces", 'p', tokenize_opts, pieces, "print a line a token, the id and its piece"),
    CLI_FLAG("decode", 'd', tokenize_opts, decode, "turn ids into text"),
    CLI_FLAG("special", 's', tokenize_opts, special,
             "take control tokens in the text for what they name, and print them when decoding"),
    CLI_FLAG("bos", 'b', tokenize_opts, bos, "add the tokens that the model wants around a text"),
};

const cli_command cmd_tokenize = {
    .name = "tokenize",
    .args = "MODEL [TEXT|-]",
    .min_args = 1,
    .max_args = INT_MAX,
    .summary = "turn text into token ids, or ids into text",
    .detail = "The text is the second argument, or standard input, of at most 1 GiB. With "
              "--decode the arguments after MODEL, or standard input, are ids; the text comes out "
              "as it is, without a newline of its own. Pieces are printed as the model file spells "
              "them.",
    .opts = opts,
    .n_opts = VG_COUNT(opts),
    .opts_bytes = sizeof(tokenize_opts),
    .run = run,
};
