/* constrain [MODEL]: grammars for an oracle, by lines on stdin, each answered by a line on stdout:
 *
 *     S SCHEMA      a JSON Schema, or G GBNF: "ok", or the status and its message
 *     T "TEXT"      a text as a JSON string: 1 or 0, whether it fits
 *     M SEED N      what MODEL writes with this seed, as a JSON string; "..." behind it: cut at N
 *
 * tools/oracle/json_schema.py drives it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"

enum { LINE_BYTES = 1 << 22 };

typedef struct state {
    vg_model *model;
    vg_engine *engine;
    vg_grammar *grammar;
    vg_err err;
} state;

static vg_status sample_all(state *s, vg_session *session, size_t n, vg_buf *out, bool *ended)
{
    vg_decoder decoder = {.begun = true};
    char text[VG_DECODE_MAX];
    *ended = false;
    for (size_t i = 0; i < n && !*ended; i++) {
        int32_t id;
        size_t n_text;
        while (vg_session_pending(session))
            VG_TRY(vg_engine_step(s->engine, &session, 1, &s->err));
        VG_TRY(vg_session_sample(session, &id, &s->err));
        *ended = vg_token_is_end(s->model, id);
        if (*ended) break;
        VG_TRY(vg_decode(s->model, &decoder, id, text, sizeof text, &n_text, &s->err));
        vg_buf_add(out, text, n_text);
    }
    return VG_OK;
}

static vg_status write_text(state *s, const char *line)
{
    char *end;
    vg_session_opts opts = {.sampling = {.temp = 1, .seed = strtoull(line, &end, 10)}};
    size_t n = strtoull(end, NULL, 10);
    vg_session *session = NULL;
    vg_buf out, json;
    bool ended = false;
    vg_buf_init(&out, 1 << 24);
    vg_buf_init(&json, 1 << 26);
    int32_t first = 1;
    VG_TRY(vg_session_new(&session, s->engine, &opts, &s->err));
    vg_status st = vg_session_append(session, &first, 1, &s->err);
    if (!st) st = vg_session_constrain(session, s->grammar, &s->err);
    if (!st) st = sample_all(s, session, n, &out, &ended);
    if (!st) vg_json_put_str(&json, (vg_str){out.data, out.n});
    if (!st) printf("%s%s\n", json.n ? json.data : "\"\"", ended ? "" : "...");
    vg_session_free(session);
    vg_buf_clear(&out);
    vg_buf_clear(&json);
    return st;
}

static vg_status match(state *s, const char *line)
{
    vg_arena *a = NULL;
    vg_json *j = NULL;
    bool fits = false;
    VG_TRY(vg_arena_new(&a, 64 << 20, &s->err));
    vg_status st = vg_json_parse(a, line, strlen(line), &j, &s->err);
    if (!st) st = vg_grammar_matches(s->grammar, j->str.p, j->str.n, &fits, &s->err);
    if (!st) printf("%d\n", fits);
    vg_arena_free(a);
    return st;
}

static vg_status obey(state *s, const char *line)
{
    size_t n = strlen(line);
    if (line[0] == 'M') return write_text(s, line + 1);
    if (line[0] == 'T') return match(s, line + 2);
    vg_grammar_unref(s->grammar);
    s->grammar = NULL;
    if (n < 2) return VG_FAIL(&s->err, VG_E_USAGE, "an empty line");
    if (line[0] == 'S')
        VG_TRY(vg_grammar_new_schema(&s->grammar, s->model, line + 2, n - 2, &s->err));
    else VG_TRY(vg_grammar_new_gbnf(&s->grammar, s->model, line + 2, n - 2, &s->err));
    printf("ok\n");
    return VG_OK;
}

int main(int argc, char **argv)
{
    char *line = malloc(LINE_BYTES);
    state s = {.model = NULL};
    vg_engine_opts opts = {.n_threads = 1, .ctx_tok = 4096};
    if (argc > 1 && (vg_model_open(&s.model, argv[1], NULL, &s.err) ||
                     vg_engine_new(&s.engine, s.model, &opts, &s.err))) {
        fprintf(stderr, "constrain: %s\n", s.err.msg);
        return 1;
    }
    while (line && fgets(line, LINE_BYTES, stdin)) {
        line[strcspn(line, "\n")] = '\0';
        vg_status st = obey(&s, line);
        if (st) printf("%s %s\n", vg_status_name(st), s.err.msg);
        fflush(stdout);
    }
    vg_grammar_unref(s.grammar);
    vg_engine_free(s.engine);
    vg_model_unref(s.model);
    free(line);
    return 0;
}
