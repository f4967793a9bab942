/* The fields of a request, read by table. A message begins with the field's name, as the client
 * spelled it; what a field may be stands in the table that knows it, and nowhere else.
 *
 * It refuses what it does not know: a client that asks for something and does not get it has to be
 * told, since it cannot see it in the answer. */
#include <math.h>

#include "serve/fields.h"

static const char *const kind_name[] = {"null",   "a boolean", "an integer", "a number",
                                        "a text", "an array",  "an object"};

static vg_status wrong_kind(const vg_json *v, const char *wanted, vg_err *err)
{
    return VG_FAIL(err, VG_E_USAGE, "must be %s, not %s", wanted, kind_name[v->kind]);
}

static bool is_number(const vg_json *v)
{
    return v->kind == VG_JSON_INT || v->kind == VG_JSON_FLOAT;
}

/* ---- one value ------------------------------------------------------------------------------- */

vg_status vg_field_kind_is(const vg_json *v, vg_json_kind kind, vg_err *err)
{
    return v->kind == kind ? VG_OK : wrong_kind(v, kind_name[kind], err);
}

vg_status vg_field_bool(const vg_json *v, bool *out, vg_err *err)
{
    VG_TRY(vg_field_kind_is(v, VG_JSON_BOOL, err));
    *out = v->boolean;
    return VG_OK;
}

static vg_status check_range(double value, double min, double max, vg_err *err)
{
    if (value >= min && value <= max) return VG_OK;
    char low[VG_DOUBLE_LONG_TEXT], high[VG_DOUBLE_LONG_TEXT], seen[VG_DOUBLE_LONG_TEXT];
    vg_double_print(min, 'g', 12, low);
    vg_double_print(max, 'g', 12, high);
    vg_double_print(value, 'g', 12, seen);
    return VG_FAIL(err, VG_E_USAGE, "must be within %s and %s, not %s", low, high, seen);
}

vg_status vg_field_int(const vg_json *v, double min, double max, int64_t *out, vg_err *err)
{
    if (!is_number(v) || v->number != floor(v->number)) return wrong_kind(v, "an integer", err);
    VG_TRY(check_range(v->number, min, max, err));
    if (v->kind == VG_JSON_FLOAT) VG_TRY(check_range(v->number, -0x1p53, 0x1p53, err));
    *out = v->kind == VG_JSON_INT ? v->integer : (int64_t)v->number;
    return VG_OK;
}

vg_status vg_field_real(const vg_json *v, double min, double max, float *out, vg_err *err)
{
    if (!is_number(v)) return wrong_kind(v, "a number", err);
    VG_TRY(check_range(v->number, min, max, err));
    *out = (float)v->number;
    return VG_OK;
}

vg_status vg_field_text(const vg_json *v, vg_str *out, vg_err *err)
{
    VG_TRY(vg_field_kind_is(v, VG_JSON_STRING, err));
    *out = v->str;
    return VG_OK;
}

/* ---- by table -------------------------------------------------------------------------------- */

static bool asks_for_nothing(const vg_json *v)
{
    switch (v->kind) {
    case VG_JSON_NULL: return true;
    case VG_JSON_BOOL: return !v->boolean;
    case VG_JSON_INT:
    case VG_JSON_FLOAT: return v->number == 0;
    case VG_JSON_STRING: return v->str.n == 0;
    default: return v->n == 0;
    }
}

static vg_status read_count(const vg_field *f, const vg_json *v, uint32_t *out, vg_err *err)
{
    int64_t n = 0;
    VG_TRY(vg_field_int(v, f->min, f->max, &n, err));
    *out = (uint32_t)n;
    return VG_OK;
}

static vg_status read_one(const vg_field *f, const vg_json *v, void *into, vg_err *err)
{
    void *at = (char *)into + f->at;
    switch (f->kind) {
    case VG_FIELD_BOOL: return vg_field_bool(v, at, err);
    case VG_FIELD_COUNT: return read_count(f, v, at, err);
    case VG_FIELD_INT: return vg_field_int(v, f->min, f->max, at, err);
    case VG_FIELD_REAL: return vg_field_real(v, f->min, f->max, at, err);
    case VG_FIELD_TEXT: return vg_field_text(v, at, err);
    case VG_FIELD_JSON: memcpy(at, &v, sizeof v); return VG_OK;
    case VG_FIELD_OTHER: return f->read(into, v, err);
    case VG_FIELD_UNUSED: return VG_OK;
    case VG_FIELD_REFUSED:
        if (asks_for_nothing(v)) return VG_OK;
        return VG_FAIL(err, VG_E_UNSUPPORTED, "not supported: %s", f->why);
    }
    return VG_OK;
}

static vg_status check_known(const vg_json *object, const char *where, const vg_field *field,
                             size_t n, vg_err *err)
{
    for (size_t i = 0; i < object->n; i++) {
        size_t k = 0;
        while (k < n && !vg_str_is(object->key[i], field[k].name)) k++;
        if (k == n && object->item[i]->kind != VG_JSON_NULL)
            return VG_FAIL(err, VG_E_UNSUPPORTED, "%s%.*s: no field of that name is supported",
                           where, VG_STR_ARG(object->key[i]));
    }
    return VG_OK;
}

vg_status vg_fields_read(const vg_json *object, const char *where, const vg_field *field, size_t n,
                         void *into, vg_err *err)
{
    if (object->kind != VG_JSON_OBJECT) {
        size_t n_name = strlen(where);
        if (!n_name) return VG_FAIL(err, VG_E_USAGE, "the body must be a JSON object");
        return VG_FAIL(err, VG_E_USAGE, "%.*s: must be an object, not %s", (int)(n_name - 1), where,
                       kind_name[object->kind]);
    }
    VG_TRY(check_known(object, where, field, n, err));
    for (size_t i = 0; i < n; i++) {
        const vg_json *v = vg_json_get(object, field[i].name);
        if (!v || v->kind == VG_JSON_NULL) continue;
        vg_status st = read_one(&field[i], v, into, err);
        if (st) return vg_err_context(err, st, "%s%s", where, field[i].name);
    }
    return VG_OK;
}

/* ---- readers of what several dialects have --------------------------------------------------- */

vg_status vg_fields_stops(void *request, const vg_json *v, vg_err *err)
{
    vg_request *r = request;
    const vg_json *const *item = &v;
    size_t n = 1;
    if (v->kind == VG_JSON_ARRAY) {
        item = (const vg_json *const *)v->item;
        n = v->n;
    }
    if (n > VG_MAX_STOPS)
        return VG_FAIL(err, VG_E_USAGE, "%zu texts; at most %d are supported", n, VG_MAX_STOPS);
    vg_str *stop = VG_ARENA_ARRAY(r->arena, vg_str, n + 1);
    if (!stop) return VG_FAIL_MEMORY(err, n * sizeof *stop);
    size_t n_stop = 0;
    for (size_t i = 0; i < n; i++) {
        if (item[i]->kind != VG_JSON_STRING)
            return VG_FAIL(err, VG_E_USAGE, "must be a text or an array of texts, not %s%s",
                           n > 1 || v->kind == VG_JSON_ARRAY ? "an array with " : "",
                           kind_name[item[i]->kind]);
        if (item[i]->str.n) stop[n_stop++] = item[i]->str;
    }
    r->stop = stop;
    r->n_stop = n_stop;
    return VG_OK;
}

/* One prompt of the texts and ids of item[0..n): ids that stand side by side are one piece. */
static vg_status read_prompt(vg_arena *a, const vg_json *const *item, size_t n, vg_prompt *out,
                             vg_err *err)
{
    vg_piece *piece = VG_ARENA_ARRAY(a, vg_piece, n + 1);
    int32_t *id = VG_ARENA_ARRAY(a, int32_t, n + 1);
    if (!piece || !id) return VG_FAIL_MEMORY(err, n * sizeof *piece);
    size_t n_pieces = 0;
    for (size_t i = 0; i < n; i++) {
        if (item[i]->kind == VG_JSON_STRING) {
            piece[n_pieces++] = (vg_piece){.text = item[i]->str};
            continue;
        }
        if (!is_number(item[i])) return wrong_kind(item[i], "a text or a token id", err);
        int64_t value = 0;
        vg_status st = vg_field_int(item[i], 0, INT32_MAX, &value, err);
        if (st) return vg_err_context(err, st, "token id %zu", i);
        id[i] = (int32_t)value;
        if (!n_pieces || !piece[n_pieces - 1].id) piece[n_pieces++] = (vg_piece){.id = id + i};
        piece[n_pieces - 1].n_id++;
    }
    *out = (vg_prompt){.piece = piece, .n = n_pieces};
    return VG_OK;
}

/* True where the array is one prompt: token ids, with texts between them or without. */
static bool is_one_prompt(const vg_json *array)
{
    for (size_t i = 0; i < array->n; i++)
        if (is_number(array->item[i])) return true;
    return false;
}

vg_status vg_fields_prompts(void *request, const vg_json *v, vg_err *err)
{
    vg_request *r = request;
    bool several = v->kind == VG_JSON_ARRAY && !is_one_prompt(v);
    size_t n = several ? v->n : 1;
    if (several && !n) return VG_FAIL(err, VG_E_USAGE, "an empty array is no prompt");
    if (n > VG_MAX_PROMPTS)
        return VG_FAIL(err, VG_E_USAGE, "%zu prompts; at most %d are supported", n, VG_MAX_PROMPTS);
    vg_prompt *prompt = VG_ARENA_ARRAY(r->arena, vg_prompt, n);
    if (!prompt) return VG_FAIL_MEMORY(err, n * sizeof *prompt);
    for (size_t i = 0; i < n; i++) {
        const vg_json *one = several ? v->item[i] : v;
        bool list = one->kind == VG_JSON_ARRAY;
        if (!list && one->kind != VG_JSON_STRING)
            return wrong_kind(one, "a text or an array of token ids", err);
        if (list) VG_TRY(read_prompt(r->arena, (const vg_json *const *)one->item, one->n,
                                     &prompt[i], err));
        else VG_TRY(read_prompt(r->arena, &one, 1, &prompt[i], err));
    }
    r->prompt = prompt;
    r->n_prompts = n;
    return VG_OK;
}

/* ---- JSON made anew -------------------------------------------------------------------------- */

static vg_json *make(vg_make *m, vg_json_kind kind)
{
    vg_json *j = VG_ARENA_NEW(m->arena, vg_json);
    if (!j) m->failed = true;
    else j->kind = kind;
    return j;
}

vg_json *vg_make_array(vg_make *m, size_t cap)
{
    vg_json *j = make(m, VG_JSON_ARRAY);
    if (j) j->item = VG_ARENA_ARRAY(m->arena, vg_json *, cap + 1);
    if (j && !j->item) m->failed = true;
    return m->failed ? NULL : j;
}

vg_json *vg_make_object(vg_make *m, size_t cap)
{
    vg_json *j = vg_make_array(m, cap);
    if (!j) return NULL;
    j->kind = VG_JSON_OBJECT;
    j->key = VG_ARENA_ARRAY(m->arena, vg_str, cap + 1);
    if (!j->key) m->failed = true;
    return m->failed ? NULL : j;
}

vg_json *vg_make_text(vg_make *m, vg_str s)
{
    vg_json *j = make(m, VG_JSON_STRING);
    if (j) j->str = s;
    return j;
}

vg_json *vg_make_bool(vg_make *m, bool v)
{
    vg_json *j = make(m, VG_JSON_BOOL);
    if (j) j->boolean = v;
    return j;
}

void vg_make_add(vg_make *m, vg_json *to, const char *key, const vg_json *value)
{
    if (m->failed || !to || !value) return;
    assert((to->kind == VG_JSON_OBJECT) == (key != NULL));
    if (key) to->key[to->n] = vg_str_from(key);
    to->item[to->n++] = (vg_json *)value;
}
