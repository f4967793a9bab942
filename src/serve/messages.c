/* Conversations made anew. Chat templates disagree about much, but all of them read OpenAI's
 * messages with texts as content and calls whose arguments are objects: that is what every dialect
 * is turned into. Parts of a content become lines of one text, since most templates know no parts.
 */
#include <stdio.h>

#include "serve/messages.h"

enum { MEMBERS = 6 }; /* of a message at most */

vg_status vg_talk_begin(vg_talk *t, vg_request *r, size_t cap, vg_err *err)
{
    *t = (vg_talk){.request = r, .make = {.arena = r->arena}, .cap = cap};
    t->list = vg_make_array(&t->make, cap);
    return t->list ? VG_OK : VG_FAIL_MEMORY(err, cap * sizeof t->list);
}

static vg_json *last_of(const vg_talk *t)
{
    return t->list && t->list->n ? t->list->item[t->list->n - 1] : NULL;
}

void vg_talk_add(vg_talk *t, const char *role, vg_str content)
{
    assert(t->make.failed || t->list->n < t->cap);
    vg_json *out = vg_make_object(&t->make, MEMBERS);
    vg_make_add(&t->make, out, "role", vg_make_text(&t->make, vg_str_from(role)));
    vg_make_add(&t->make, out, "content", vg_make_text(&t->make, content));
    vg_make_add(&t->make, t->list, NULL, out);
    t->calls = NULL;
}

void vg_talk_set(vg_talk *t, const char *key, vg_str value)
{
    assert(t->make.failed || last_of(t)->n < MEMBERS);
    if (!t->make.failed) vg_make_add(&t->make, last_of(t), key, vg_make_text(&t->make, value));
}

/* Room for one more item: an array's capacity is its length when that is a power of two. */
static void push(vg_make *m, vg_json *array, const vg_json *v)
{
    if (m->failed) return;
    if (array->n && !(array->n & (array->n - 1))) {
        vg_json **item = VG_ARENA_ARRAY(m->arena, vg_json *, 2 * array->n);
        if (!item) {
            m->failed = true;
            return;
        }
        memcpy(item, array->item, array->n * sizeof *item);
        array->item = item;
    }
    vg_make_add(m, array, NULL, v);
}

void vg_talk_call(vg_talk *t, vg_str id, vg_str name, const vg_json *args)
{
    vg_make *m = &t->make;
    if (!vg_talk_last_is(t, "assistant")) vg_talk_add(t, "assistant", VG_STR(""));
    if (!t->calls) {
        t->calls = vg_make_array(m, 1);
        vg_make_add(m, last_of(t), "tool_calls", t->calls);
    }
    vg_json *function = vg_make_object(m, 2), *call = vg_make_object(m, 3);
    vg_make_add(m, function, "name", vg_make_text(m, name));
    vg_make_add(m, function, "arguments", args);
    vg_make_add(m, call, "id", vg_make_text(m, id));
    vg_make_add(m, call, "type", vg_make_text(m, VG_STR("function")));
    vg_make_add(m, call, "function", function);
    push(m, t->calls, call);
}

/* The name in the call of this id, looked for in the last message that has calls. */
static const vg_json *name_of_call(const vg_talk *t, vg_str id)
{
    for (size_t i = t->list->n; i-- > 0;) {
        const vg_json *calls = vg_json_get(t->list->item[i], "tool_calls");
        if (!calls) continue;
        for (size_t k = 0; k < calls->n; k++)
            if (vg_str_eq(vg_json_get(calls->item[k], "id")->str, id))
                return vg_json_get(vg_json_get(calls->item[k], "function"), "name");
        return NULL;
    }
    return NULL;
}

void vg_talk_answer(vg_talk *t, vg_str id, vg_str content)
{
    if (t->make.failed) return;
    const vg_json *name = name_of_call(t, id);
    vg_talk_add(t, "tool", content);
    vg_talk_set(t, "tool_call_id", id);
    if (name && !t->make.failed) vg_make_add(&t->make, last_of(t), "name", name);
}

bool vg_talk_last_is(const vg_talk *t, const char *role)
{
    const vg_json *last = last_of(t);
    return last && vg_str_is(vg_json_get(last, "role")->str, role);
}

vg_status vg_talk_end(vg_talk *t, vg_err *err)
{
    if (t->make.failed) return VG_FAIL_MEMORY(err, t->cap * sizeof(vg_json));
    if (!t->list->n) return VG_FAIL(err, VG_E_USAGE, "messages: there is none");
    t->request->messages = t->list;
    return VG_OK;
}

/* ---- content --------------------------------------------------------------------------------- */

static vg_status part_text(const vg_json *part, const char *where, const char *const *types,
                           size_t n_types, vg_str *out, vg_err *err)
{
    const vg_json *type = vg_json_get(part, "type");
    if (!type || type->kind != VG_JSON_STRING)
        return VG_FAIL(err, VG_E_USAGE, "%s.type: must be a text", where);
    size_t i = 0;
    while (i < n_types && !vg_str_is(type->str, types[i])) i++;
    if (i == n_types)
        return VG_FAIL(err, VG_E_UNSUPPORTED,
                       "%s.type: \"%.*s\" is not supported: this server reads text alone", where,
                       VG_STR_ARG(type->str));
    const char *member = strstr(types[i], "text") ? "text" : types[i];
    static const char *const marks[] = {"type",        "cache_control", "prompt_cache_breakpoint",
                                        "annotations", "logprobs",      "citations"};
    for (size_t k = 0; k < part->n; k++) {
        bool known = vg_str_is(part->key[k], member) || part->item[k]->kind == VG_JSON_NULL;
        for (size_t w = 0; w < VG_COUNT(marks); w++)
            known = known || vg_str_is(part->key[k], marks[w]);
        if (!known)
            return VG_FAIL(err, VG_E_UNSUPPORTED, "%s.%.*s: no field of that name is supported",
                           where, VG_STR_ARG(part->key[k]));
    }
    const vg_json *text = vg_json_get(part, member);
    if (!text || text->kind != VG_JSON_STRING)
        return VG_FAIL(err, VG_E_USAGE, "%s.%s: must be a text", where, member);
    *out = text->str;
    return VG_OK;
}

static vg_status join(vg_make *m, const vg_str *s, size_t n, vg_str *out, vg_err *err)
{
    size_t bytes = 0, at = 0;
    for (size_t i = 0; i < n; i++) bytes += s[i].n + 1;
    char *p = vg_arena_alloc(m->arena, bytes + 1, 1);
    if (!p) return VG_FAIL_MEMORY(err, bytes);
    for (size_t i = 0; i < n; i++) {
        if (i) p[at++] = '\n';
        if (s[i].n) memcpy(p + at, s[i].p, s[i].n);
        at += s[i].n;
    }
    *out = (vg_str){p, at};
    return VG_OK;
}

vg_status vg_content_text(vg_make *m, const vg_json *content, const char *where,
                          const char *const *types, size_t n_types, vg_str *out, vg_err *err)
{
    *out = VG_STR("");
    if (!content || content->kind == VG_JSON_NULL) return VG_OK;
    if (content->kind == VG_JSON_STRING) return *out = content->str, VG_OK;
    if (content->kind != VG_JSON_ARRAY)
        return VG_FAIL(err, VG_E_USAGE, "%s: must be a text or an array of parts", where);
    vg_str *text = VG_ARENA_ARRAY(m->arena, vg_str, content->n + 1);
    if (!text) return VG_FAIL_MEMORY(err, content->n * sizeof *text);
    for (size_t i = 0; i < content->n; i++) {
        char name[96];
        snprintf(name, sizeof name, "%s[%zu]", where, i);
        VG_TRY(part_text(content->item[i], name, types, n_types, &text[i], err));
    }
    if (content->n == 1) return *out = text[0], VG_OK;
    return join(m, text, content->n, out, err);
}

vg_status vg_args_read(vg_make *m, vg_str text, const char *where, const vg_json **out, vg_err *err)
{
    vg_json *j = NULL;
    if (!text.n) {
        *out = vg_make_object(m, 0);
        return VG_OK;
    }
    vg_status st = vg_json_parse(m->arena, text.p, text.n, &j, err);
    if (st == VG_E_NO_MEMORY || st == VG_E_LIMIT) return vg_err_context(err, st, "%s", where);
    if (st || j->kind != VG_JSON_OBJECT)
        return VG_FAIL(err, VG_E_USAGE, "%s: must be the text of a JSON object", where);
    *out = j;
    return VG_OK;
}

/* ---- tools ----------------------------------------------------------------------------------- */

static bool is_name(vg_str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        bool ok = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  c == '_' || c == '-' || c == '.';
        if (!ok) return false;
    }
    return s.n && s.n <= 128;
}

vg_status vg_tool_add(vg_make *m, vg_json *list, const vg_tool *t, const char *where, vg_err *err)
{
    if (!is_name(t->name))
        return VG_FAIL(err, VG_E_USAGE,
                       "%sname: must be 1 to 128 letters, digits and _ - . , not \"%.*s\"", where,
                       VG_STR_ARG(t->name));
    if (t->parameters && t->parameters->kind != VG_JSON_OBJECT)
        return VG_FAIL(err, VG_E_USAGE, "%sparameters: must be a JSON Schema", where);
    if (t->description && t->description->kind != VG_JSON_STRING)
        return VG_FAIL(err, VG_E_USAGE, "%sdescription: must be a text", where);
    vg_json *parameters = NULL;
    if (!t->parameters) {
        parameters = vg_make_object(m, 2);
        vg_make_add(m, parameters, "type", vg_make_text(m, VG_STR("object")));
        vg_make_add(m, parameters, "properties", vg_make_object(m, 0));
    }
    vg_json *function = vg_make_object(m, 4), *tool = vg_make_object(m, 2);
    vg_make_add(m, function, "name", vg_make_text(m, t->name));
    vg_make_add(m, function, "description",
                t->description ? t->description : vg_make_text(m, VG_STR("")));
    vg_make_add(m, function, "parameters", t->parameters ? t->parameters : parameters);
    if (t->strict) vg_make_add(m, function, "strict", vg_make_bool(m, true));
    vg_make_add(m, tool, "type", vg_make_text(m, VG_STR("function")));
    vg_make_add(m, tool, "function", function);
    vg_make_add(m, list, NULL, tool);
    return VG_OK;
}

vg_status vg_tools_read(vg_request *r, vg_tool_read *read, vg_err *err)
{
    const vg_json *v = r->tools;
    if (!v) return VG_OK;
    if (v->kind != VG_JSON_ARRAY) return VG_FAIL(err, VG_E_USAGE, "tools: must be an array");
    vg_make m = {.arena = r->arena};
    vg_json *list = vg_make_array(&m, v->n);
    for (size_t i = 0; i < v->n; i++) VG_TRY(read(&m, v->item[i], list, i, err));
    if (m.failed) return VG_FAIL_MEMORY(err, v->n * sizeof *list);
    r->tools = v->n ? list : NULL;
    return VG_OK;
}

vg_status vg_tool_check(const vg_request *r, const char *field, vg_err *err)
{
    if (r->tool_choice == VG_TOOLS_REQUIRED && (!r->tools || !r->tools->n))
        return VG_FAIL(err, VG_E_USAGE, "%s: a call is asked for, but there are no tools", field);
    if (!r->tool_name.n) return VG_OK;
    for (size_t i = 0; i < r->tools->n; i++) {
        const vg_json *f = vg_json_get(r->tools->item[i], "function");
        if (vg_str_eq(vg_json_get(f, "name")->str, r->tool_name)) return VG_OK;
    }
    return VG_FAIL(err, VG_E_USAGE, "%s: there is no tool \"%.*s\"", field,
                   VG_STR_ARG(r->tool_name));
}

/* ---- the template's variables ---------------------------------------------------------------- */

vg_status vg_template_set(vg_request *r, const char *key, const vg_json *value, vg_err *err)
{
    vg_make m = {.arena = r->arena};
    const vg_json *old = r->template_args;
    size_t n = old ? old->n : 0;
    if (!value) return VG_OK;
    vg_json *args = vg_make_object(&m, n + 1);
    if (m.failed) return VG_FAIL_MEMORY(err, n * sizeof(vg_json *));
    for (size_t i = 0; i < n; i++) {
        if (vg_str_is(old->key[i], key)) continue;
        args->key[args->n] = old->key[i];
        args->item[args->n++] = old->item[i];
    }
    vg_make_add(&m, args, key, value);
    r->template_args = args;
    return VG_OK;
}

vg_status vg_thinking_set(vg_request *r, bool on, vg_err *err)
{
    vg_make m = {.arena = r->arena};
    return vg_template_set(r, "enable_thinking", vg_make_bool(&m, on), err);
}

vg_status vg_effort_read(vg_request *r, const vg_json *v, vg_err *err)
{
    static const char *const efforts[] = {"none", "minimal", "low", "medium",
                                          "high", "xhigh",   "max"};
    size_t i;
    VG_TRY(vg_one_of(v, efforts, VG_COUNT(efforts), &i, err));
    VG_TRY(vg_thinking_set(r, i > 0, err));
    return i ? vg_template_set(r, "reasoning_effort", v, err) : VG_OK;
}

vg_status vg_one_of(const vg_json *v, const char *const *word, size_t n, size_t *out, vg_err *err)
{
    vg_str s;
    VG_TRY(vg_field_text(v, &s, err));
    char all[200] = "";
    for (size_t i = 0; i < n; i++) {
        if (vg_str_is(s, word[i])) return *out = i, VG_OK;
        size_t used = strlen(all);
        snprintf(all + used, sizeof all - used, "%s\"%s\"", i ? ", " : "", word[i]);
    }
    return VG_FAIL(err, VG_E_USAGE, "must be one of %s, not \"%.*s\"", all, VG_STR_ARG(s));
}
