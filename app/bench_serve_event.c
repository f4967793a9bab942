/* What the events and errors of OpenAI-compatible servers say, as far as a measurement wants it:
 * whether something was generated, what the usage is, whether it went wrong. Everything that is not
 * looked for is let through, because servers add fields of their own. */
#include <stdio.h>

#include "app/bench_serve_http.h"
#include "base/json.h"

static bool has_text(const vg_json *object, const char *key)
{
    const vg_json *v = vg_json_get(object, key);
    return v && ((v->kind == VG_JSON_STRING && v->str.n > 0) ||
                 (v->kind == VG_JSON_ARRAY && v->n > 0));
}

static void put_message(vg_str text, char out[BENCH_EVENT_ERROR])
{
    size_t n = 0;
    while (n < text.n && n + 1 < BENCH_EVENT_ERROR && text.p[n] != '\n') {
        unsigned char c = (unsigned char)text.p[n];
        out[n++] = (char)(c < 0x20 || c == 0x7f ? '?' : c);
    }
    n = vg_utf8_valid(out, n); /* a character that the end cuts goes */
    out[n] = '\0';
}

/* The message of an object that is an error: {"error": {"message": TEXT}}, {"error": TEXT},
 * {"message": TEXT}, {"detail": TEXT}. */
static bool find_message(const vg_json *doc, vg_str *out)
{
    const vg_json *error = vg_json_get(doc, "error");
    const vg_json *text = vg_json_get(error, "message");
    if (!text && error && error->kind == VG_JSON_STRING) text = error;
    if (!text) text = vg_json_get(doc, "message");
    if (!text) text = vg_json_get(doc, "detail");
    bool found = text && text->kind == VG_JSON_STRING && text->str.n > 0;
    if (found) *out = text->str;
    return found;
}

void bench_error_text(vg_arena *a, vg_str body, char out[BENCH_EVENT_ERROR])
{
    vg_json *doc;
    vg_str text = body;
    vg_arena_reset(a);
    if (body.n && vg_json_parse(a, body.p, body.n, &doc, NULL) == VG_OK)
        (void)find_message(doc, &text);
    put_message(text, out);
}

static uint64_t read_count(const vg_json *usage, const char *key)
{
    const vg_json *v = vg_json_get(usage, key);
    return v && v->kind == VG_JSON_INT && v->integer > 0 ? (uint64_t)v->integer : 0;
}

static void read_choice(const vg_json *choice, bench_event *out)
{
    static const char *const words[] = {"content", "reasoning_content", "reasoning", "tool_calls",
                                        "refusal"};
    const vg_json *delta = vg_json_get(choice, "delta");
    const vg_json *end = vg_json_get(choice, "finish_reason");
    for (size_t i = 0; i < VG_COUNT(words); i++) out->has_text |= has_text(delta, words[i]);
    out->has_text |= has_text(choice, "text");
    out->finished |= end && end->kind == VG_JSON_STRING;
}

vg_status bench_event_read(vg_arena *a, vg_str data, bench_event *out, vg_err *err)
{
    vg_json *doc;
    vg_str message = {0};
    *out = (bench_event){.done = vg_str_is(data, "[DONE]")};
    if (out->done) return VG_OK;
    vg_arena_reset(a);
    if (vg_json_parse(a, data.p, data.n, &doc, NULL) || doc->kind != VG_JSON_OBJECT)
        return VG_FAIL(err, VG_E_FORMAT, "an event of the stream is no JSON object: '%.*s'",
                       VG_STR_ARG(data));
    const vg_json *error = vg_json_get(doc, "error"), *usage = vg_json_get(doc, "usage");
    const vg_json *choices = vg_json_get(doc, "choices");
    if (error && error->kind != VG_JSON_NULL) {
        if (!find_message(doc, &message)) message = VG_STR("an error without a message");
        put_message(message, out->error);
    }
    for (size_t i = 0; choices && choices->kind == VG_JSON_ARRAY && i < choices->n; i++)
        read_choice(choices->item[i], out);
    if (usage && usage->kind == VG_JSON_OBJECT) {
        out->has_usage = true;
        out->prompt_tok = read_count(usage, "prompt_tokens");
        out->generated_tok = read_count(usage, "completion_tokens");
    }
    return VG_OK;
}
