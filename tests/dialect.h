/* dialect.h: what the tests of the API's dialects share: a body's way into a request, and an
 * answer's way out, whole or as a stream.
 *
 *     dialect_case c;
 *     dialect_begin(&c, &vg_ollama);
 *     assert_int_equal(dialect_parse(&c, "/api/chat", "{\"model\": \"m\"}"), VG_OK);
 *     dialect_end(&c);
 */
#ifndef DIALECT_H
#define DIALECT_H

#include "test.h"

#include "base/json_out.h"
#include "serve/request.h"

typedef struct dialect_case {
    const vg_dialect *dialect;
    vg_arena *arena;
    vg_request request;
    vg_reply reply;
    vg_choice choice[4];
    vg_buf out;
    vg_err err;
} dialect_case;

static inline void dialect_begin(dialect_case *c, const vg_dialect *d)
{
    memset(c, 0, sizeof *c);
    c->dialect = d;
    if (vg_arena_new(&c->arena, 64 << 20, &c->err)) fail_msg("%s", c->err.msg);
    vg_buf_init(&c->out, 1 << 20);
    for (size_t i = 0; i < VG_COUNT(c->choice); i++) {
        vg_buf_init(&c->choice[i].text, 1 << 20);
        vg_buf_init(&c->choice[i].reasoning, 1 << 20);
        for (size_t k = 0; k < VG_MAX_CALLS; k++) vg_buf_init(&c->choice[i].call[k].args, 1 << 20);
    }
}

static inline void dialect_end(dialect_case *c)
{
    for (size_t i = 0; i < VG_COUNT(c->choice); i++) {
        vg_buf_clear(&c->choice[i].text);
        vg_buf_clear(&c->choice[i].reasoning);
        for (size_t k = 0; k < VG_MAX_CALLS; k++) vg_buf_clear(&c->choice[i].call[k].args);
    }
    vg_buf_clear(&c->out);
    vg_arena_free(c->arena);
}

static inline vg_status dialect_parse(dialect_case *c, const char *route, const char *body)
{
    vg_json *j = NULL;
    vg_arena_reset(c->arena);
    c->err = (vg_err){0};
    c->request = (vg_request){.arena = c->arena};
    if (vg_json_parse(c->arena, body, strlen(body), &j, &c->err))
        fail_msg("%s: %s", body, c->err.msg);
    return c->dialect->parse(&c->request, route, j, &c->err);
}

/* A body that must be taken. */
static inline const vg_request *dialect_take(dialect_case *c, const char *route, const char *body)
{
    if (dialect_parse(c, route, body)) fail_msg("%s: %s", body, c->err.msg);
    return &c->request;
}

/* Bodies that must be refused, with what their error begins with. */
typedef struct dialect_refusal {
    const char *route, *body, *message;
    vg_status code;
} dialect_refusal;

static inline void dialect_refuse(dialect_case *c, const dialect_refusal *r, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        vg_status st = dialect_parse(c, r[i].route, r[i].body);
        if (st != r[i].code || strncmp(c->err.msg, r[i].message, strlen(r[i].message)) != 0)
            fail_msg("%s %s: %s: %s", r[i].route, r[i].body, vg_status_name(st), c->err.msg);
    }
}

/* Every value of a wrong kind or size, one after the other, as the field of a body that is printed
 * with `format`: taken or refused, but with a message that names the field, and no crash. */
static inline void dialect_hostile(dialect_case *c, const char *route, const char *format,
                                   const char *const *field, size_t n)
{
    static const char *const values[] = {
        "-1", "-9223372036854775808", "9223372036854775807", "9223372036854775808", "1e308",
        "-1e308", "0.5", "1e-320", "-0", "\"1\"", "\"\"", "true", "false", "[]", "[[]]", "[-1]",
        "[null]", "{}", "{\"\": 1}", "{\"0\": 1e308}", "\"\\u0000\"", "[\"a\", 1, {}]"};
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < VG_COUNT(values); k++) {
            char body[1000], pair[200];
            snprintf(pair, sizeof pair, "\"%s\": %s", field[i], values[k]);
            snprintf(body, sizeof body, format, pair);
            vg_status st = dialect_parse(c, route, body);
            if (st && st != VG_E_USAGE && st != VG_E_UNSUPPORTED)
                fail_msg("%s: %s", body, c->err.msg);
            if (st && !strstr(c->err.msg, field[i]))
                fail_msg("%s does not name it: %s", body, c->err.msg);
        }
}

/* A reply of one choice to the request as parsed. */
static inline vg_choice *dialect_answer(dialect_case *c)
{
    vg_buf_reset(&c->out);
    vg_buf_reset(&c->choice[0].text);
    vg_buf_reset(&c->choice[0].reasoning);
    c->choice[0].n_calls = c->choice[0].n_tokens_told = 0;
    c->choice[0].finish = VG_FINISH_END;
    c->reply = (vg_reply){.request = &c->request, .arena = c->arena,
                          .id = VG_STR("0123456789abcdefghijklmn"), .created_s = 1700000000,
                          .created_ns = 5, .model = VG_STR("tiny"), .choice = c->choice,
                          .n_choices = 1, .load_ms = 1, .total_ms = 12.5};
    return &c->choice[0];
}

static inline void dialect_call(vg_choice *c, const char *id, const char *name, const char *args)
{
    vg_tool_call *call = &c->call[c->n_calls++];
    call->id = vg_str_from(id);
    call->name = vg_str_from(name);
    vg_buf_reset(&call->args);
    vg_buf_text(&call->args, args);
}

/* What the dialect wrote since the last look; NUL-terminated. */
static inline const char *dialect_wrote(dialect_case *c)
{
    vg_buf_char(&c->out, '\0');
    c->out.n = 0;
    return c->out.data;
}
#endif
