/* Answers told apart: the first byte chooses the template and the modes, the second how the rest is
 * cut. What is told has to be calls that begin and end one after the other. */
#include "fuzz.h"
#include "serve/parts.h"

static const char *const templates[] = {
    "",
    "<tool_call><function=<parameter=",
    "[TOOL_CALLS][THINK]",
    "<|tool_call|>",
    "<|python_tag|>",
    "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>",
    "<|tool_list_start|>",
    "<|START_ACTION|>",
    "<|start|><|channel|><|message|>",
    "<|tool_calls_section_begin|><|tool_call_begin|>",
};

static void put(void *user, vg_news news, vg_str text)
{
    size_t *n_calls = user;
    bool open = *n_calls & 1, begins = news == VG_NEWS_CALL_BEGIN;
    bool inside = news == VG_NEWS_CALL_ARGS || news == VG_NEWS_CALL_END;
    if (inside != open || (news != VG_NEWS_CALL_END && !text.n)) abort();
    if (begins || news == VG_NEWS_CALL_END) ++*n_calls;
    if (*n_calls > 2 * VG_MAX_CALLS) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static const char tools[] =
        "[{\"function\": {\"name\": \"a\", \"parameters\": {\"properties\": "
        "{\"n\": {\"type\": \"integer\"}}}}}]";
    vg_err err;
    vg_arena *a = NULL;
    vg_json *doc = NULL;
    vg_parts *p = NULL;
    size_t n_calls = 0;
    if (n < 2 || vg_arena_new(&a, 1 << 20, &err)) return 0;
    if (vg_json_parse(a, tools, sizeof tools - 1, &doc, &err)) abort();
    vg_parts_opts opts = {.tmpl = vg_str_from(templates[data[0] % VG_COUNT(templates)]),
                          .tools = data[0] & 128 ? NULL : doc, .keep_reasoning = data[1] & 128,
                          .in_reasoning = data[1] & 64, .put = put, .user = &n_calls};
    if (vg_parts_new(&p, a, &opts, &err)) abort();
    size_t step = 1 + (data[1] & 31);
    for (size_t i = 2; i < n; i += step)
        vg_parts_feed(p, (vg_str){(const char *)data + i, VG_MIN(step, n - i)});
    vg_parts_end(p);
    if (n_calls & 1) abort();
    vg_arena_free(a);
    return 0;
}
