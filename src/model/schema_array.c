/* Arrays: the items of prefixItems one by one, then those of items, each with what every schema of
 * the set says of its place. A tuple (prefixItems without items) ends with its last place, unless
 * more are demanded. */
#include "model/schema_int.h"

/* prefixItems, or the list of that name's ancestor, items; NULL: none. */
static const vg_json *prefix_of(const vg_json *at)
{
    const vg_json *prefix = vg_json_get(at, "prefixItems"), *items = vg_json_get(at, "items");
    if (!prefix && items && items->kind == VG_JSON_ARRAY) prefix = items;
    return prefix && prefix->kind == VG_JSON_ARRAY ? prefix : NULL;
}

static const vg_json *rest_of(const vg_json *at)
{
    const vg_json *items = vg_json_get(at, "items");
    if (!items || items->kind != VG_JSON_ARRAY) return items;
    return vg_json_get(at, "prefixItems") ? NULL : vg_json_get(at, "additionalItems");
}

/* A call of the rule of what stands at place i; *open: some schema speaks of it. */
static gx *item_at(schema *s, const wants *w, size_t i, bool *spoken)
{
    wants item = {.n = 0};
    *spoken = false;
    for (size_t k = 0; k < w->n; k++) {
        const vg_json *at = w->item[k].schema, *prefix = prefix_of(at), *rest = rest_of(at);
        const vg_json *its = prefix && i < prefix->n ? prefix->item[i] : rest;
        if (w->item[k].part != PART_OWN || !its) continue;
        *spoken = true;
        wants_add(s, &item, its, PART_ALL);
    }
    return schema_rule(s, &item);
}

/* n places with items of their own, then `lo` to `hi` more; place i may be the end from min on. */
static gx *places(schema *s, const wants *w, size_t n, int32_t min, gx *more)
{
    gx_builder *b = s->b;
    gx *next = n ? GX_SEQ(b, more, s->ws) : more;
    for (size_t i = n; i-- > 0;) {
        bool spoken;
        gx *item = item_at(s, w, i, &spoken);
        gx *here = i ? GX_SEQ(b, s->comma, item, next) : GX_SEQ(b, item, next);
        if ((int32_t)i >= min) here = GX_ALT(b, i ? s->ws : gx_lit(b, ""), here);
        uint32_t rule = gx_rule_new(b, (vg_str){0});
        gx_define(b, rule, here);
        next = gx_ref(b, rule);
    }
    return next;
}

gx *schema_array(schema *s, const wants *w, const facts *f)
{
    gx_builder *b = s->b;
    int32_t min = f->min_items, max = f->max_items;
    size_t n = 0;
    for (size_t k = 0; k < w->n; k++) {
        const vg_json *prefix = w->item[k].part == PART_OWN ? prefix_of(w->item[k].schema) : NULL;
        if (prefix) n = VG_MAX(n, prefix->n);
    }
    if (max != GX_MANY) n = VG_MIN(n, (size_t)max);
    if (n > GX_COUNT || (max != GX_MANY && max < min)) return gx_alt(b, NULL, 0);
    bool spoken;
    gx *rest = item_at(s, w, SIZE_MAX, &spoken), *more;
    bool closed = n > 0 && !spoken && min <= (int32_t)n;
    int32_t lo = VG_MAX(min - (int32_t)n, 0), hi = max == GX_MANY ? GX_MANY : max - (int32_t)n;
    if (closed) hi = 0;
    if (n > 0) { /* each behind a comma */
        more = gx_repeat(b, GX_SEQ(b, s->comma, rest), lo, hi);
    } else if (hi == 0) {
        more = gx_lit(b, "");
    } else {
        int32_t others = hi == GX_MANY ? GX_MANY : hi - 1;
        more = GX_SEQ(b, rest, gx_repeat(b, GX_SEQ(b, s->comma, rest), VG_MAX(lo - 1, 0), others),
                      s->ws);
        if (lo == 0) more = GX_ALT(b, gx_lit(b, ""), more);
    }
    return GX_SEQ(b, gx_lit(b, "["), s->ws, places(s, w, n, min, more), gx_lit(b, "]"));
}
