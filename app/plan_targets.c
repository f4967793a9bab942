/* The devices that `verge plan` knows, read from JSON: the file in the program (app/targets.json)
 * or one of the user's. Every number is checked for its range; a name that stands twice, or a
 * target without memory, is refused, since a wrong plan is worse than none. */
#include <stdio.h>

#include "app/plan.h"
#include "base/json.h"

enum { CAP_BYTES = 16 << 20 };

static vg_status read_number(const vg_json *o, const char *key, double max, double *out,
                             const char *what, vg_err *err)
{
    const vg_json *v = vg_json_get(o, key);
    if (!v) return VG_OK;
    bool number = v->kind == VG_JSON_INT || v->kind == VG_JSON_FLOAT;
    if (!number || !(v->number >= 0 && v->number <= max))
        return VG_FAIL(err, VG_E_FORMAT, "%s: \"%s\" is not a number from 0 to %g", what, key, max);
    *out = v->number;
    return VG_OK;
}

static vg_status read_text(const vg_json *o, const char *key, char *out, size_t room,
                           const char *what, vg_err *err)
{
    const vg_json *v = vg_json_get(o, key);
    if (!v || v->kind != VG_JSON_STRING || v->str.n == 0 || v->str.n >= room ||
        memchr(v->str.p, '\0', v->str.n))
        return VG_FAIL(err, VG_E_FORMAT, "%s: \"%s\" is no text of 1 to %zu bytes", what, key,
                       room - 1);
    memcpy(out, v->str.p, v->str.n);
    out[v->str.n] = '\0';
    return VG_OK;
}

static vg_status read_types(const vg_json *o, plan_target *t, const char *what, vg_err *err)
{
    const vg_json *list = vg_json_get(o, "types");
    if (!list || list->kind != VG_JSON_ARRAY || list->n == 0)
        return VG_FAIL(err, VG_E_FORMAT, "%s: \"types\" is no list of fp32, fp16, int8, int4",
                       what);
    for (size_t i = 0; i < list->n; i++) {
        size_t k = 0;
        while (k < PLAN_N_TYPES && !(list->item[i]->kind == VG_JSON_STRING &&
                                     vg_str_is(list->item[i]->str, plan_type_names[k])))
            k++;
        if (k == PLAN_N_TYPES)
            return VG_FAIL(err, VG_E_FORMAT, "%s: \"types\" holds none of fp32, fp16, int8, int4",
                           what);
        t->has[k] = true;
    }
    return VG_OK;
}

static vg_status read_target(const vg_json *o, plan_target *t, const char *what, vg_err *err)
{
    double ram_mb = 0, model_mb = 0, gb_per_s = 0;
    VG_TRY(read_text(o, "name", t->name, sizeof t->name, what, err));
    VG_TRY(read_text(o, "title", t->title, sizeof t->title, what, err));
    VG_TRY(read_number(o, "ram_mb", 1e9, &ram_mb, what, err));
    VG_TRY(read_number(o, "model_mb", 1e9, &model_mb, what, err));
    VG_TRY(read_number(o, "os", 1, &t->os, what, err));
    VG_TRY(read_number(o, "margin", 1, &t->margin, what, err));
    VG_TRY(read_number(o, "gb_per_s", 1e6, &gb_per_s, what, err));
    VG_TRY(read_number(o, "reach", 1, &t->reach, what, err));
    VG_TRY(read_types(o, t, what, err));
    if (ram_mb <= 0) return VG_FAIL(err, VG_E_FORMAT, "%s: no \"ram_mb\"", what);
    t->ram_bytes = ram_mb * 1e6;
    t->model_bytes = model_mb * 1e6;
    t->bytes_per_s = gb_per_s * 1e9;
    return VG_OK;
}

static vg_status read_list(plan_targets *t, const char *name, const vg_json *list, vg_err *err)
{
    if (!list || list->kind != VG_JSON_ARRAY || list->n == 0 || list->n > PLAN_TARGETS_MAX)
        return VG_FAIL(err, VG_E_FORMAT, "%s: \"targets\" is no list of 1 to %d targets", name,
                       PLAN_TARGETS_MAX);
    for (; t->n < list->n; t->n++) {
        char what[300];
        plan_target *p = &t->at[t->n];
        snprintf(what, sizeof what, "%.250s: target %zu", name, t->n + 1);
        VG_TRY(read_target(list->item[t->n], p, what, err));
        for (size_t i = 0; i < t->n; i++)
            if (strcmp(t->at[i].name, p->name) == 0)
                return VG_FAIL(err, VG_E_FORMAT, "%s: '%s' stands twice", what, p->name);
    }
    return VG_OK;
}

vg_status plan_targets_read(plan_targets *t, const char *name, vg_str json, vg_err *err)
{
    vg_arena *a = NULL;
    vg_json *doc;
    *t = (plan_targets){0};
    VG_TRY(vg_arena_new(&a, CAP_BYTES, err));
    vg_status st = vg_json_parse(a, json.p, json.n, &doc, err);
    if (st) st = vg_err_context(err, st, "%s", name);
    else st = read_list(t, name, vg_json_get(doc, "targets"), err);
    vg_arena_free(a);
    return st;
}

vg_status plan_targets_keep(plan_targets *t, const char *name, vg_err *err)
{
    char names[300];
    size_t n = 0;
    if (strcmp(name, "all") == 0) return VG_OK;
    for (size_t i = 0; i < t->n; i++) {
        if (strcmp(t->at[i].name, name) == 0) {
            t->at[0] = t->at[i];
            t->n = 1;
            return VG_OK;
        }
        if (n < sizeof names)
            n += (size_t)snprintf(names + n, sizeof names - n, "%s%s", i ? ", " : "",
                                  t->at[i].name);
    }
    return VG_FAIL(err, VG_E_USAGE, "--target: '%.60s' is none of all, %s", name, names);
}
