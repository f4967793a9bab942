/* Prompts of a conversation, as the server makes them (serve/prompt.h), from what `verge run` keeps
 * of a talk. Without a template, or where none is wanted, the messages' text stands as it is, one
 * after the other. */
#include "app/prompt.h"

#include "base/json_out.h"
#include "serve/prompt.h"

enum { TEXT_CAP_BYTES = 256 << 20, CONTEXT_CAP_BYTES = 1 << 30 };

static vg_status make_raw(const prompt_style *s, const talk *t, vg_tokens *out, vg_err *err)
{
    vg_buf b;
    vg_buf_init(&b, TEXT_CAP_BYTES);
    for (size_t i = 0; i < t->n; i++) {
        /* An answer continues its message; the next message begins on a line of its own. */
        if (i > 0 && t->msg[i].role != TALK_ASSISTANT) vg_buf_char(&b, '\n');
        vg_buf_add(&b, t->msg[i].text, t->msg[i].n);
    }
    vg_piece piece = {.text = {b.data ? b.data : "", b.n}};
    vg_status st = vg_buf_check(&b, "the prompt", err);
    if (!st) st = vg_prompt_text(s->model, &(vg_prompt){&piece, 1}, false, true, out, err);
    vg_buf_clear(&b);
    return st;
}

/* The context of the chat template. */
static void write_context(const talk *t, vg_buf *b)
{
    vg_json_begin(b, NULL, '{');
    vg_json_bool(b, "add_generation_prompt", true);
    vg_json_begin(b, "messages", '[');
    for (size_t i = 0; i < t->n; i++) {
        vg_json_begin(b, NULL, '{');
        vg_json_text(b, "role", talk_role_names[t->msg[i].role]);
        vg_json_str(b, "content", (vg_str){t->msg[i].text, t->msg[i].n});
        vg_json_end(b, '}');
    }
    vg_json_end(b, ']');
    vg_json_end(b, '}');
}

static vg_status make_chat(const prompt_style *s, const talk *t, vg_tokens *out, vg_err *err)
{
    vg_buf b;
    vg_arena *arena = NULL;
    vg_json *context;
    vg_prompt_style style = {.model = s->model, .tmpl = {s->tmpl.data, s->tmpl.n}};
    vg_buf_init(&b, CONTEXT_CAP_BYTES);
    write_context(t, &b);
    vg_status st = vg_buf_check(&b, "the conversation", err);
    if (!st) st = vg_arena_new(&arena, CONTEXT_CAP_BYTES, err);
    if (!st) st = vg_json_parse(arena, b.data, b.n, &context, err);
    if (!st) st = vg_prompt_chat(&style, context, out, NULL, err);
    vg_arena_free(arena);
    vg_buf_clear(&b);
    return st;
}

vg_status prompt_make(const prompt_style *s, const talk *t, vg_tokens *out, vg_err *err)
{
    *out = (vg_tokens){0};
    vg_status st = s->raw ? make_raw(s, t, out, err) : make_chat(s, t, out, err);
    if (!st && out->n == 0) st = VG_FAIL(err, VG_E_FORMAT, "the prompt is empty");
    if (st) vg_tokens_free(out);
    return st;
}
