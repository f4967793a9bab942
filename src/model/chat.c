/* The way into the template interpreter: context in, text out, within bounds. Everything of one
 * rendering lies in two arenas, the context's JSON and the interpreter's own, which end with it;
 * the text alone is handed out. */
#include "model/chat.h"

#include <stdio.h>

#include "base/json.h"
#include "model/jinja_int.h"

enum { JSON_ARENA_BYTES = 512 << 20, JSON_TEXT_BYTES = 64 << 20, UNITS = 64 };

vg_status vg_jfail(vg_jinja *j, const char *fmt, ...)
{
    char message[sizeof(((vg_err *)0)->msg)];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(message, sizeof message, fmt, ap);
    va_end(ap);
    return VG_FAIL(j->err, VG_E_TEMPLATE, "template line %u: %s", j->line, message);
}

/* Out of memory is the template's fault where it wants or has taken a good part of what it may
 * take, the machine's elsewhere. */
vg_status vg_jfail_memory_for(vg_jinja *j, size_t bytes)
{
    if (VG_MAX(bytes, vg_arena_used(j->arena)) > VG_J_ARENA_BYTES / 4)
        return VG_JFAIL(j, "over its limit of %d MiB of memory", VG_J_ARENA_BYTES >> 20);
    return VG_FAIL(j->err, VG_E_NO_MEMORY, "chat template: no memory");
}

vg_status vg_jcharge_bytes(vg_jinja *j, size_t bytes)
{
    if (bytes <= j->work_left) {
        j->work_left -= bytes;
        return VG_OK;
    }
    return VG_JFAIL(j, "over its limit of %llu steps", (unsigned long long)j->max_steps);
}

vg_status vg_jcharge(vg_jinja *j, uint64_t steps)
{
    return vg_jcharge_bytes(j, steps * UNITS);
}

vg_status vg_jenter(vg_jinja *j)
{
    if (++j->depth > VG_J_DEPTH)
        return VG_JFAIL(j, "over its limit of %d levels of nesting or recursion", VG_J_DEPTH);
    return VG_OK;
}

vg_status vg_jfail_memory(vg_jinja *j)
{
    return vg_jfail_memory_for(j, 0);
}

void vg_jleave(vg_jinja *j)
{
    j->depth--;
}

/* ---- the context ---------------------------------------------------------------------------- */

static vg_status set_default(vg_jinja *j, vg_jdict *d, vg_str name, vg_jval value)
{
    vg_jval key = vg_jval_str(name);
    return vg_jdict_find(d, name) ? VG_OK : vg_jdict_set(j, d, &key, &value);
}

static vg_status make_context(vg_jinja *j, const vg_json *doc, const vg_chat_opts *o)
{
    vg_jval ctx, messages;
    if (doc->kind == VG_JSON_OBJECT) {
        VG_TRY(vg_jval_from_json(j, doc, &ctx));
    } else if (doc->kind == VG_JSON_ARRAY) {
        VG_TRY(vg_jdict_make(j, 0, &ctx));
        VG_TRY(vg_jval_from_json(j, doc, &messages));
        VG_TRY(set_default(j, ctx.dict, VG_STR("messages"), messages));
        VG_TRY(set_default(j, ctx.dict, VG_STR("add_generation_prompt"), vg_jval_bool(true)));
    } else {
        return VG_FAIL(j->err, VG_E_FORMAT,
                       "a chat is an array of messages or an object that holds them");
    }
    if (o->bos.p) VG_TRY(set_default(j, ctx.dict, VG_STR("bos_token"), vg_jval_str(o->bos)));
    if (o->eos.p) VG_TRY(set_default(j, ctx.dict, VG_STR("eos_token"), vg_jval_str(o->eos)));
    j->context = ctx.dict;
    return VG_OK;
}

static vg_status render(vg_jinja *j, vg_arena *json_arena, vg_str tmpl, vg_str json,
                        const vg_chat_opts *o)
{
    vg_json *doc = NULL;
    vg_jnode *body = NULL;
    vg_jscope *root = NULL;
    if (json.n > JSON_TEXT_BYTES)
        return VG_FAIL(j->err, VG_E_LIMIT, "a chat of %zu bytes is over the limit of %d", json.n,
                       JSON_TEXT_BYTES);
    VG_TRY(vg_json_parse(json_arena, json.p, json.n, &doc, j->err));
    VG_TRY(make_context(j, doc, o));
    j->line = 1;
    VG_TRY(vg_jparse(j, tmpl, &body));
    VG_TRY(vg_jscope_resolve(j, body, &root));
    return vg_jexec(j, body, root);
}

vg_status vg_chat_run(vg_str tmpl, vg_str json, const vg_chat_opts *opts, vg_text *out, vg_err *err)
{
    static const vg_chat_opts defaults = {0};
    const vg_chat_opts *o = opts ? opts : &defaults;
    vg_arena *json_arena = NULL;
    vg_jinja j = {.err = err, .now = o->now};
    uint64_t steps = o->max_steps ? o->max_steps : VG_J_STEPS;
    j.max_steps = VG_MIN(steps, UINT64_MAX / UNITS);
    j.work_left = j.max_steps * UNITS;
    vg_buf_init(&j.out, o->max_out_bytes ? o->max_out_bytes : VG_J_OUT_BYTES);
    vg_status st = vg_arena_new(&j.arena, VG_J_ARENA_BYTES, err);
    if (!st) st = vg_arena_new(&json_arena, JSON_ARENA_BYTES, err);
    if (!st) st = render(&j, json_arena, tmpl, json, o);
    if (!st) st = vg_buf_take(&j.out, "the rendered chat", out, err);
    vg_buf_clear(&j.out);
    vg_arena_free(json_arena);
    vg_arena_free(j.arena);
    return st;
}
