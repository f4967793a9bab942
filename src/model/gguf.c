/* gguf.c: an opened GGUF model: one file or the parts of a split set, mapped, and lookups by name.
 *
 * The first part's metadata is the model's; the tensors of all parts are joined in order. The parts
 * of a set agree with what the first one says, or the set is refused: a set that was only half
 * replaced must not compute. What is returned points into the mappings or the arena. Reading the
 * bytes of a header is gguf_read.c's. */
#include <float.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "model/gguf_int.h"

typedef unsigned long long ull; /* for printf */

enum { ALIGN_OF_MEMORY = 64, PATH_BYTES = 4096, SUFFIX_BYTES = 32 };

/* The tables take at most 7 bytes for each byte of the headers, because every count is checked
 * against the bytes that are left, and never more than this, even for a file made of holes. */
enum { ARENA_CAP_BYTES = 1 << 29 };

/* ---- parts --------------------------------------------------------------------------------- */

/* The end of a long path says more than its beginning. */
static void set_label(gguf_part *p, const char *path)
{
    size_t n = strlen(path), room = sizeof p->label - 4;
    if (n <= room) snprintf(p->label, sizeof p->label, "%s", path);
    else snprintf(p->label, sizeof p->label, "...%s", path + n - room);
}

static vg_status map_part(gguf_part *p, const char *path, vg_err *err)
{
    set_label(p, path);
    VG_TRY(vg_file_map(&p->file, path, err));
    p->data = p->file.data;
    p->n = p->file.n;
    return VG_OK;
}

/* A number of the split set that a part's metadata names. Absent: *out stays. */
static vg_status split_number(const gguf_part *p, const char *key, uint64_t max, uint64_t *out,
                              vg_err *err)
{
    const vg_gguf_kv *kv = gguf_find(&p->kvs, vg_str_from(key));
    if (!kv) return VG_OK;
    bool is_signed = kv->type == VG_GGUF_I8 || kv->type == VG_GGUF_I16 ||
                     kv->type == VG_GGUF_I32 || kv->type == VG_GGUF_I64;
    bool is_unsigned = kv->type == VG_GGUF_U8 || kv->type == VG_GGUF_U16 ||
                       kv->type == VG_GGUF_U32 || kv->type == VG_GGUF_U64;
    if (!is_signed && !is_unsigned)
        return VG_FAIL(err, VG_E_FORMAT, "%s: %s has the type %s, an integer is allowed", p->label,
                       key, vg_gguf_type_name(kv->type));
    /* A negative number reads as one far above any limit. */
    uint64_t v = is_signed ? (uint64_t)kv->v.i : kv->v.u;
    if (v > max)
        return VG_FAIL(err, VG_E_FORMAT, "%s: %s is %lld, 0 to %llu are allowed", p->label, key,
                       (long long)v, (ull)max);
    *out = v;
    return VG_OK;
}

typedef struct split { /* a file that says nothing is the first of one */
    uint64_t no, count, n_tensors;
    bool has_n_tensors;
} split;

static vg_status read_split(const gguf_part *p, split *s, vg_err *err)
{
    *s = (split){.count = 1};
    VG_TRY(split_number(p, "split.no", UINT16_MAX, &s->no, err));
    VG_TRY(split_number(p, "split.count", UINT16_MAX, &s->count, err));
    VG_TRY(split_number(p, "split.tensors.count", INT32_MAX, &s->n_tensors, err));
    s->has_n_tensors = gguf_find(&p->kvs, VG_STR("split.tensors.count")) != NULL;
    if (s->count == 0) s->count = 1;
    if (s->count > GGUF_MAX_PARTS)
        return VG_FAIL(err, VG_E_LIMIT, "%s: a set of %llu files, %d are allowed", p->label,
                       (ull)s->count, GGUF_MAX_PARTS);
    if (s->no >= s->count)
        return VG_FAIL(err, VG_E_FORMAT, "%s: split.no is %llu in a set of %llu files", p->label,
                       (ull)s->no, (ull)s->count);
    return VG_OK;
}

static void split_suffix(char out[SUFFIX_BYTES], uint64_t no, uint64_t count)
{
    snprintf(out, SUFFIX_BYTES, "-%05u-of-%05u.gguf", (unsigned)no + 1, (unsigned)count);
}

/* The path of another part of the set that `path` is part `s->no` of. */
static vg_status sibling_path(char out[PATH_BYTES], const char *path, const split *s, uint64_t no,
                              vg_err *err)
{
    char own[SUFFIX_BYTES], other[SUFFIX_BYTES];
    split_suffix(own, s->no, s->count);
    split_suffix(other, no, s->count);
    size_t n = strlen(path), len = strlen(own);
    if (n < len || strcmp(path + n - len, own) != 0)
        return VG_FAIL(err, VG_E_FORMAT,
                       "%.*s: part %llu of a set of %llu files, but its name does not end in %s, "
                       "so the others cannot be found",
                       300, path, (ull)s->no + 1, (ull)s->count, own);
    if (n >= PATH_BYTES) return VG_FAIL(err, VG_E_LIMIT, "a path of %zu bytes", n);
    snprintf(out, PATH_BYTES, "%.*s%s", (int)(n - len), path, other);
    return VG_OK;
}

/* Headers count as nothing of the bytes that loading has to do. */
static vg_status report(const vg_model_opts *o, uint64_t total, vg_err *err)
{
    if (o && o->progress && o->progress(o->user, 0, total))
        return VG_FAIL(err, VG_E_CANCELLED, "opening was cancelled by the caller");
    return VG_OK;
}

static vg_status read_other_part(vg_gguf *g, uint32_t i, const split *first, vg_err *err)
{
    split s;
    VG_TRY(gguf_read_part(g, i, err));
    VG_TRY(read_split(&g->part[i], &s, err));
    if (s.no != i || s.count != first->count)
        return VG_FAIL(err, VG_E_FORMAT,
                       "%s: says to be part %llu of %llu, part %u of %llu is expected",
                       g->part[i].label, (ull)s.no + 1, (ull)s.count, i + 1, (ull)first->count);
    return VG_OK;
}

static vg_status open_other_parts(vg_gguf *g, const char *path, const split *s,
                                  const vg_model_opts *opts, vg_err *err)
{
    gguf_part *all = VG_ARENA_ARRAY(g->arena, gguf_part, s->count);
    if (!all) return VG_FAIL_MEMORY(err, s->count * sizeof *all);
    all[0] = g->part[0];
    g->part = all;
    uint64_t total = all[0].n;
    for (uint32_t i = 1; i < s->count; i++) {
        char other[PATH_BYTES];
        VG_TRY(sibling_path(other, path, s, i, err));
        vg_status st = map_part(&all[i], other, err);
        if (st)
            return vg_err_context(err, st, "part %u of the %u files of %s", i + 1,
                                  (unsigned)s->count, all[0].label);
        g->n_parts = i + 1;
        total += all[i].n;
    }
    for (uint32_t i = 1; i < s->count; i++) {
        VG_TRY(report(opts, total, err));
        VG_TRY(read_other_part(g, i, s, err));
    }
    return VG_OK;
}

/* ---- tensors of all parts ------------------------------------------------------------------ */

static int compare_names(const void *a, const void *b)
{
    const vg_gguf_tensor *const *x = a, *const *y = b;
    return gguf_compare((*x)->name, (*y)->name);
}

static vg_status join_tensors(vg_gguf *g, const split *s, vg_err *err)
{
    size_t n = 0, k = 0;
    for (uint32_t i = 0; i < g->n_parts; i++) n += g->part[i].n_tensors;
    if (s->has_n_tensors && s->n_tensors != n && g->n_parts == s->count)
        return VG_FAIL(err, VG_E_FORMAT, "%s: split.tensors.count is %llu, the files have %zu",
                       g->part[0].label, (ull)s->n_tensors, n);
    g->tensor = VG_ARENA_ARRAY(g->arena, const vg_gguf_tensor *, n);
    g->sorted = VG_ARENA_ARRAY(g->arena, const vg_gguf_tensor *, n);
    if (!g->tensor || !g->sorted) return VG_FAIL_MEMORY(err, n * sizeof *g->sorted);
    for (uint32_t i = 0; i < g->n_parts; i++)
        for (size_t j = 0; j < g->part[i].n_tensors; j++) g->tensor[k++] = &g->part[i].tensor[j];
    g->n_tensors = n;
    memcpy(g->sorted, g->tensor, n * sizeof *g->sorted);
    qsort(g->sorted, n, sizeof *g->sorted, compare_names);
    for (size_t i = 1; i < n; i++)
        if (compare_names(&g->sorted[i - 1], &g->sorted[i]) == 0)
            return VG_FAIL(err, VG_E_FORMAT, "%s: the tensor '%.*s' stands there twice",
                           g->part[g->sorted[i]->part].label, VG_STR_ARG(g->sorted[i]->name));
    return VG_OK;
}

/* ---- open and close ------------------------------------------------------------------------ */

/* Reads the first part, whose data is in place, and then the others. `path` NULL: memory. */
static vg_status read_all(vg_gguf *g, const char *path, const vg_model_opts *opts, vg_err *err)
{
    split s;
    uint64_t total = g->part[0].n;
    VG_TRY(report(opts, total, err));
    VG_TRY(gguf_read_part(g, 0, err));
    VG_TRY(read_split(&g->part[0], &s, err));
    if (s.no != 0) {
        char first[PATH_BYTES] = "its first part";
        if (path) VG_TRY(sibling_path(first, path, &s, 0, err));
        return VG_FAIL(err, VG_E_FORMAT, "%s: part %llu of a set of %llu files; open %.300s",
                       g->part[0].label, (ull)s.no + 1, (ull)s.count, first);
    }
    if (s.count > 1 && !g->no_data) {
        if (!path)
            return VG_FAIL(err, VG_E_UNSUPPORTED,
                           "a set of %llu files cannot be opened from memory", (ull)s.count);
        VG_TRY(open_other_parts(g, path, &s, opts, err));
    }
    VG_TRY(join_tensors(g, &s, err));
    return report(opts, vg_gguf_file_bytes(g), err);
}

static vg_status new_reader(vg_gguf **out, const vg_model_opts *opts, vg_err *err)
{
    vg_gguf *g = vg_mem_new(sizeof *g);
    if (!g) return VG_FAIL_MEMORY(err, sizeof *g);
    g->no_data = opts && opts->vocab_only;
    vg_status st = vg_arena_new(&g->arena, ARENA_CAP_BYTES, err);
    if (!st) g->part = VG_ARENA_NEW(g->arena, gguf_part);
    if (!st && !g->part) st = VG_FAIL_MEMORY(err, sizeof *g->part);
    if (st) vg_gguf_close(g);
    else *out = g;
    return st;
}

vg_status vg_gguf_open(vg_gguf **out, const char *path, const vg_model_opts *opts, vg_err *err)
{
    vg_gguf *g = NULL;
    VG_TRY(new_reader(&g, opts, err));
    vg_status st = map_part(&g->part[0], path, err);
    if (!st) g->n_parts = 1;
    if (!st) st = read_all(g, path, opts, err);
    if (st) vg_gguf_close(g);
    else *out = g;
    return st;
}

vg_status vg_gguf_open_memory(vg_gguf **out, const void *data, size_t n, const vg_model_opts *opts,
                              vg_err *err)
{
    if (!data || (uintptr_t)data % ALIGN_OF_MEMORY)
        return VG_FAIL(err, VG_E_USAGE, "a model in memory must lie at a multiple of %d bytes",
                       ALIGN_OF_MEMORY);
    vg_gguf *g = NULL;
    VG_TRY(new_reader(&g, opts, err));
    set_label(&g->part[0], "model in memory");
    g->part[0].data = data;
    g->part[0].n = n;
    g->n_parts = 1;
    vg_status st = read_all(g, NULL, opts, err);
    if (st) vg_gguf_close(g);
    else *out = g;
    return st;
}

void vg_gguf_close(vg_gguf *g)
{
    if (!g) return;
    for (uint32_t i = 0; i < g->n_parts; i++) vg_file_unmap(&g->part[i].file);
    vg_arena_free(g->arena);
    vg_mem_free(g);
}

bool vg_gguf_intact(const vg_gguf *g)
{
    for (uint32_t i = 0; i < g->n_parts; i++)
        if (g->part[i].file.data && !vg_file_intact(&g->part[i].file)) return false;
    return true;
}

/* Hints outside a file's mapping do nothing, so every part may be asked. */
void vg_gguf_want(const vg_gguf *g, const void *p, size_t n)
{
    for (uint32_t i = 0; i < g->n_parts; i++) vg_file_want(&g->part[i].file, p, n);
}

void vg_gguf_drop(const vg_gguf *g, const void *p, size_t n)
{
    for (uint32_t i = 0; i < g->n_parts; i++) vg_file_drop(&g->part[i].file, p, n);
}

const uint8_t *vg_gguf_part_data(const vg_gguf *g, uint32_t part, uint64_t *n)
{
    assert(part < g->n_parts);
    *n = g->part[part].n;
    return g->part[part].data;
}

vg_file_stamp vg_gguf_stamp(const vg_gguf *g, uint32_t part)
{
    assert(part < g->n_parts);
    return vg_file_stamp_of(&g->part[part].file);
}

bool vg_gguf_mapped(const vg_gguf *g)
{
    return g->part[0].file.data != NULL;
}

/* ---- what is in it ------------------------------------------------------------------------- */

uint32_t vg_gguf_version(const vg_gguf *g)
{
    return g->part[0].version;
}

uint32_t vg_gguf_n_parts(const vg_gguf *g)
{
    return g->n_parts;
}

uint64_t vg_gguf_file_bytes(const vg_gguf *g)
{
    uint64_t n = 0;
    for (uint32_t i = 0; i < g->n_parts; i++) n += g->part[i].n;
    return n;
}

size_t vg_gguf_header_bytes(const vg_gguf *g)
{
    return vg_arena_used(g->arena);
}

size_t vg_gguf_n_kv(const vg_gguf *g)
{
    return g->part[0].kvs.n;
}

const vg_gguf_kv *vg_gguf_kv_at(const vg_gguf *g, size_t i)
{
    assert(i < g->part[0].kvs.n);
    return &g->part[0].kvs.at[i];
}

const vg_gguf_kv *vg_gguf_find(const vg_gguf *g, const char *key)
{
    return gguf_find(&g->part[0].kvs, vg_str_from(key));
}

size_t vg_gguf_n_tensors(const vg_gguf *g)
{
    return g->n_tensors;
}

const vg_gguf_tensor *vg_gguf_tensor_at(const vg_gguf *g, size_t i)
{
    assert(i < g->n_tensors);
    return g->tensor[i];
}

const vg_gguf_tensor *vg_gguf_tensor_find(const vg_gguf *g, const char *name)
{
    vg_gguf_tensor wanted = {.name = vg_str_from(name)};
    const vg_gguf_tensor *p = &wanted, **found = NULL;
    if (g->n_tensors)
        found = bsearch(&p, g->sorted, g->n_tensors, sizeof *g->sorted, compare_names);
    return found ? *found : NULL;
}

/* ---- typed values -------------------------------------------------------------------------- */

static vg_status find_value(const vg_gguf *g, const char *key, const vg_gguf_kv **out, vg_err *err)
{
    *out = vg_gguf_find(g, key);
    return *out ? VG_OK : VG_FAIL(err, VG_E_NOT_FOUND, "the key %s is missing", key);
}

static vg_status wrong_type(const vg_gguf_kv *kv, const char *wanted, vg_err *err)
{
    return VG_FAIL(err, VG_E_FORMAT, "the key %.*s has the type %s, %s is wanted",
                   VG_STR_ARG(kv->key), vg_gguf_type_name(kv->type), wanted);
}

vg_status vg_gguf_u32(const vg_gguf *g, const char *key, uint32_t *out, vg_err *err)
{
    const vg_gguf_kv *kv;
    VG_TRY(find_value(g, key, &kv, err));
    switch (kv->type) {
    case VG_GGUF_U8:
    case VG_GGUF_U16:
    case VG_GGUF_U32:
    case VG_GGUF_U64:
        if (kv->v.u > UINT32_MAX)
            return VG_FAIL(err, VG_E_FORMAT, "the key %s is %" PRIu64 ", at most %u is allowed",
                           key, kv->v.u, UINT32_MAX);
        *out = (uint32_t)kv->v.u;
        return VG_OK;
    case VG_GGUF_I8:
    case VG_GGUF_I16:
    case VG_GGUF_I32:
    case VG_GGUF_I64:
        if (kv->v.i < 0 || kv->v.i > UINT32_MAX)
            return VG_FAIL(err, VG_E_FORMAT, "the key %s is %" PRId64 ", 0 to %u are allowed", key,
                           kv->v.i, UINT32_MAX);
        *out = (uint32_t)kv->v.i;
        return VG_OK;
    default: return wrong_type(kv, "an integer", err);
    }
}

vg_status vg_gguf_f32(const vg_gguf *g, const char *key, float *out, vg_err *err)
{
    const vg_gguf_kv *kv;
    VG_TRY(find_value(g, key, &kv, err));
    if (kv->type != VG_GGUF_F32 && kv->type != VG_GGUF_F64)
        return wrong_type(kv, "f32 or f64", err);
    /* NaN passes no comparison: no key of a model may be NaN or infinite. */
    if (!(kv->v.f >= -FLT_MAX && kv->v.f <= FLT_MAX))
        return VG_FAIL(err, VG_E_FORMAT, "the key %s is %g, a finite float is wanted", key,
                       kv->v.f);
    *out = (float)kv->v.f;
    return VG_OK;
}

vg_status vg_gguf_bool(const vg_gguf *g, const char *key, bool *out, vg_err *err)
{
    const vg_gguf_kv *kv;
    VG_TRY(find_value(g, key, &kv, err));
    if (kv->type != VG_GGUF_BOOL) return wrong_type(kv, "bool", err);
    *out = kv->v.u != 0;
    return VG_OK;
}

vg_status vg_gguf_str(const vg_gguf *g, const char *key, vg_str *out, vg_err *err)
{
    const vg_gguf_kv *kv;
    VG_TRY(find_value(g, key, &kv, err));
    if (kv->type != VG_GGUF_STRING) return wrong_type(kv, "string", err);
    *out = kv->str;
    return VG_OK;
}

vg_status vg_gguf_opt_u32(const vg_gguf *g, const char *key, uint32_t *out, vg_err *err)
{
    return vg_gguf_find(g, key) ? vg_gguf_u32(g, key, out, err) : VG_OK;
}

vg_status vg_gguf_opt_f32(const vg_gguf *g, const char *key, float *out, vg_err *err)
{
    return vg_gguf_find(g, key) ? vg_gguf_f32(g, key, out, err) : VG_OK;
}

vg_status vg_gguf_opt_bool(const vg_gguf *g, const char *key, bool *out, vg_err *err)
{
    return vg_gguf_find(g, key) ? vg_gguf_bool(g, key, out, err) : VG_OK;
}

vg_status vg_gguf_opt_str(const vg_gguf *g, const char *key, vg_str *out, vg_err *err)
{
    return vg_gguf_find(g, key) ? vg_gguf_str(g, key, out, err) : VG_OK;
}
