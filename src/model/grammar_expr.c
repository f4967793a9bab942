/* Expressions: what the notations of a grammar have in common, in an arena. An expression is small
 * and immutable; a rule gives one a name, so that it can be used in many places and inside itself.
 * Failures are kept in the builder, so that a notation reads as the grammar that it writes. */
#include <stdio.h>
#include <stdlib.h>

#include "model/grammar_int.h"

vg_status gx_init(gx_builder *b, vg_err *err)
{
    *b = (gx_builder){.err = err};
    return vg_arena_new(&b->arena, GX_ARENA_BYTES, err);
}

void gx_clear(gx_builder *b)
{
    vg_arena_free(b->arena);
    vg_mem_free(b->rule);
    *b = (gx_builder){0};
}

vg_status gx_fail(gx_builder *b, vg_status code, const char *fmt, ...)
{
    if (b->failed) return b->failed;
    char msg[sizeof b->err->msg];
    va_list args;
    va_start(args, fmt);
    vsnprintf(msg, sizeof msg, fmt, args);
    va_end(args);
    return b->failed = VG_FAIL(b->err, code, "%s", msg);
}

/* An arena that is full is either the machine's memory or the cap that protects it. */
static vg_status fail_memory(gx_builder *b, size_t bytes)
{
    if (vg_arena_used(b->arena) + bytes > GX_ARENA_BYTES / 2)
        return gx_fail(b, VG_E_LIMIT, "the grammar needs more than %d bytes", GX_ARENA_BYTES);
    return gx_fail(b, VG_E_NO_MEMORY, "no memory for %zu bytes of a grammar", bytes);
}

void *gx_array(gx_builder *b, size_t n, size_t size)
{
    if (b->failed) return NULL;
    void *p = vg_arena_array(b->arena, n, size, _Alignof(max_align_t));
    if (!p) (void)fail_memory(b, n * size);
    return p;
}

bool gx_spend(gx_builder *b, size_t steps)
{
    if (steps > GX_WORK - b->work) {
        (void)gx_fail(b, VG_E_LIMIT, "the grammar takes too long to read");
        return false;
    }
    b->work += steps;
    return !b->failed;
}

static gx *make(gx_builder *b, gx_kind kind, size_t n, uint32_t depth)
{
    if (depth > GX_DEPTH) {
        (void)gx_fail(b, VG_E_LIMIT, "the grammar nests more than %d levels deep", GX_DEPTH);
        return NULL;
    }
    gx *x = gx_array(b, 1, sizeof *x);
    if (!x) return NULL;
    x->kind = kind;
    x->n = n;
    x->depth = depth;
    return x;
}

uint32_t gx_rule_new(gx_builder *b, vg_str name)
{
    if (b->n_rules == b->cap_rules && !b->failed) {
        size_t cap = b->cap_rules ? 2 * (size_t)b->cap_rules : 64;
        gx_rule *grown = NULL;
        if (cap > 2 * (size_t)GX_RULES)
            (void)gx_fail(b, VG_E_LIMIT, "a grammar of more than %d rules", GX_RULES);
        else grown = vg_mem_grow(b->rule, b->cap_rules * sizeof *grown, cap * sizeof *grown);
        if (grown) {
            b->rule = grown;
            b->cap_rules = (uint32_t)cap;
        } else {
            (void)gx_fail(b, VG_E_NO_MEMORY, "no memory for %zu rules", cap);
        }
    }
    if (b->failed) return 0;
    b->rule[b->n_rules] = (gx_rule){.name = name};
    return b->n_rules++;
}

void gx_define(gx_builder *b, uint32_t rule, gx *body)
{
    if (!b->failed) b->rule[rule].body = body;
}

gx *gx_text(gx_builder *b, vg_str s)
{
    gx *x = make(b, GX_TEXT, s.n, 1);
    char *copy = gx_array(b, s.n + 1, 1);
    if (!x || !copy) return NULL;
    if (s.n) memcpy(copy, s.p, s.n);
    x->text = copy;
    return x;
}

gx *gx_lit(gx_builder *b, const char *cstr)
{
    return gx_text(b, vg_str_from(cstr));
}

static int compare_words(const void *a, const void *b)
{
    const vg_str *x = a, *y = b;
    size_t n = VG_MIN(x->n, y->n);
    int c = n ? memcmp(x->p, y->p, n) : 0;
    return c ? c : x->n < y->n ? -1 : x->n > y->n;
}

gx *gx_words(gx_builder *b, const vg_str *word, size_t n)
{
    gx *x = make(b, GX_WORDS, n, 1);
    vg_str *copy = gx_array(b, n + 1, sizeof *copy);
    if (!x || !copy) return NULL;
    memcpy(copy, word, n * sizeof *copy);
    if (n) qsort(copy, n, sizeof *copy, compare_words);
    x->word = copy;
    return x;
}

static int compare_ranges(const void *a, const void *b)
{
    const gx_range *x = a, *y = b;
    return x->lo != y->lo ? (x->lo < y->lo ? -1 : 1) : x->hi < y->hi ? -1 : x->hi > y->hi;
}

size_t gx_ranges_tidy(gx_range *r, size_t n)
{
    size_t kept = 0;
    if (n) qsort(r, n, sizeof *r, compare_ranges);
    for (size_t i = 0; i < n; i++) {
        if (kept && r[i].lo <= r[kept - 1].hi + 1) r[kept - 1].hi = VG_MAX(r[kept - 1].hi, r[i].hi);
        else r[kept++] = r[i];
    }
    return kept;
}

size_t gx_ranges_invert(const gx_range *r, size_t n, gx_range *out)
{
    static const gx_range gaps[] = {{0xD800, 0xDFFF}, {0x110000, 0x110000}};
    size_t kept = 0, i = 0, k = 0;
    int32_t from = 0;
    while (k < VG_COUNT(gaps)) { /* the ranges and the gaps, merged by where they begin */
        const gx_range *next = i < n && r[i].lo < gaps[k].lo ? &r[i++] : &gaps[k++];
        if (next->lo > from) out[kept++] = (gx_range){from, next->lo - 1};
        from = VG_MAX(from, next->hi + 1);
    }
    return kept;
}

gx *gx_chars(gx_builder *b, const gx_range *r, size_t n)
{
    gx *x = make(b, GX_CHARS, n, 1);
    gx_range *copy = gx_array(b, n + 1, sizeof *copy);
    if (!x || !copy) return NULL;
    if (n) memcpy(copy, r, n * sizeof *copy);
    x->n = gx_ranges_tidy(copy, n);
    x->range = copy;
    return x;
}

static gx *make_list(gx_builder *b, gx_kind kind, gx *const *item, size_t n)
{
    uint32_t depth = 0;
    for (size_t i = 0; i < n; i++) {
        if (!item[i]) return NULL;
        depth = VG_MAX(depth, item[i]->depth);
    }
    if (n == 1) return item[0];
    gx *x = make(b, kind, n, depth + 1);
    gx **copy = gx_array(b, n + 1, sizeof *copy);
    if (!x || !copy) return NULL;
    if (n) memcpy(copy, item, n * sizeof *copy);
    x->item = copy;
    return x;
}

gx *gx_seq(gx_builder *b, gx *const *item, size_t n)
{
    return make_list(b, GX_SEQ, item, n);
}

gx *gx_alt(gx_builder *b, gx *const *item, size_t n)
{
    return make_list(b, GX_ALT, item, n);
}

gx *gx_repeat(gx_builder *b, gx *body, int32_t min, int32_t max)
{
    if (!body) return NULL;
    if (VG_MAX(min, max) > GX_COUNT) {
        (void)gx_fail(b, VG_E_LIMIT, "a repetition of more than %d", GX_COUNT);
        return NULL;
    }
    if (min == 1 && max == 1) return body;
    bool counts = max != GX_MANY || min > 1;
    bool is_small = body->kind == GX_RULE || (body->kind == GX_TEXT && body->n == 1);
    if (counts && !is_small && VG_MAX(min, max) > 1) { /* copies are calls, not whole bodies */
        uint32_t rule = gx_rule_new(b, (vg_str){0});
        gx_define(b, rule, body);
        body = gx_ref(b, rule);
        if (!body) return NULL;
    }
    gx *x = make(b, GX_REPEAT, 1, body->depth + 1);
    if (!x) return NULL;
    x->body = body;
    x->min = min;
    x->max = max;
    return x;
}

gx *gx_ref(gx_builder *b, uint32_t rule)
{
    gx *x = make(b, GX_RULE, 0, 1);
    if (x) x->rule = rule;
    return x;
}
