/* safetensors.c: the header of a .safetensors file, from its bytes to a checked table. The file is
 * a length (u64), a JSON object of that many bytes (name -> dtype, shape, data_offsets from the
 * header's end), then the data. As the format demands, the tensors cover the data wholly, without
 * holes and without overlap, so that no byte has a meaning that was not looked at.
 * The header is at most 100 MB, the tree that it parses into at most TREE_CAP_BYTES, and the tree
 * is gone when the table stands. Format: the safetensors project's README. */
#include "compress/safetensors.h"

#include <stdlib.h>

#include "base/json.h"

enum {
    HEADER_MAX_BYTES = 100000000,
    TREE_CAP_BYTES = 256 << 20,
    TABLE_CAP_BYTES = 128 << 20,
    TENSORS_MAX = 1 << 18,
    NAME_MAX_BYTES = 1024,
    LABEL_BYTES = 128,
    PREFIX_BYTES = 8
};

typedef unsigned long long ull; /* for printf */

struct vg_safetensors {
    vg_arena *arena;
    vg_file file; /* data NULL: the bytes belong to the caller */
    char label[LABEL_BYTES];
    const uint8_t *data; /* after the header */
    uint64_t n_bytes;    /* of it */
    vg_st_tensor *tensor; /* [n] */
    size_t n;
};

static const struct {
    const char *name;
    uint8_t bytes;
} dtypes[VG_ST_N_DTYPES] = {
    [VG_ST_BOOL] = {"BOOL", 1},       [VG_ST_U8] = {"U8", 1},           [VG_ST_I8] = {"I8", 1},
    [VG_ST_F8_E4M3] = {"F8_E4M3", 1}, [VG_ST_F8_E5M2] = {"F8_E5M2", 1},
    [VG_ST_F8_E8M0] = {"F8_E8M0", 1}, [VG_ST_U16] = {"U16", 2},         [VG_ST_I16] = {"I16", 2},
    [VG_ST_F16] = {"F16", 2},         [VG_ST_BF16] = {"BF16", 2},       [VG_ST_U32] = {"U32", 4},
    [VG_ST_I32] = {"I32", 4},         [VG_ST_F32] = {"F32", 4},         [VG_ST_U64] = {"U64", 8},
    [VG_ST_I64] = {"I64", 8},         [VG_ST_F64] = {"F64", 8},         [VG_ST_C64] = {"C64", 8},
};

const char *vg_st_dtype_name(vg_st_dtype t)
{
    return dtypes[t].name;
}

size_t vg_st_dtype_bytes(vg_st_dtype t)
{
    return dtypes[t].bytes;
}

/* ---- one tensor ---------------------------------------------------------------------------- */

/* What is being read, for messages. */
typedef struct entry {
    const vg_safetensors *st;
    vg_str name;
    vg_err *err;
} entry;

#define FAIL_IN(e, code, ...) fail_in((e), VG_FAIL((e)->err, (code), __VA_ARGS__))

static vg_status fail_in(const entry *e, vg_status st)
{
    return vg_err_context(e->err, st, "%s: tensor '%.*s'", e->st->label, VG_STR_ARG(e->name));
}

static vg_status read_dtype(const entry *e, const vg_json *j, vg_st_dtype *out)
{
    const vg_json *name = vg_json_get(j, "dtype");
    if (!name || name->kind != VG_JSON_STRING)
        return FAIL_IN(e, VG_E_FORMAT, "no dtype");
    for (size_t i = 0; i < VG_ST_N_DTYPES; i++) {
        if (!vg_str_is(name->str, dtypes[i].name)) continue;
        *out = (vg_st_dtype)i;
        return VG_OK;
    }
    return FAIL_IN(e, VG_E_UNSUPPORTED, "the dtype '%.*s' is not known", VG_STR_ARG(name->str));
}

static vg_status read_size(const entry *e, const vg_json *j, const char *what, uint64_t *out)
{
    if (j->kind != VG_JSON_INT || j->integer < 0)
        return FAIL_IN(e, VG_E_FORMAT, "%s is no number from 0 to 2^63", what);
    *out = (uint64_t)j->integer;
    return VG_OK;
}

/* *bytes gets what a tensor of this shape takes. */
static vg_status read_shape(const entry *e, const vg_json *j, vg_st_tensor *t, uint64_t *bytes)
{
    const vg_json *shape = vg_json_get(j, "shape");
    if (!shape || shape->kind != VG_JSON_ARRAY) return FAIL_IN(e, VG_E_FORMAT, "no shape");
    if (shape->n > VG_ST_MAX_DIMS)
        return FAIL_IN(e, VG_E_LIMIT, "%zu dimensions, %d are allowed", shape->n, VG_ST_MAX_DIMS);
    *bytes = dtypes[t->dtype].bytes;
    t->n_dims = (uint32_t)shape->n;
    for (size_t i = 0; i < shape->n; i++) {
        VG_TRY(read_size(e, shape->item[i], "a dimension", &t->dim[i]));
        if (!vg_mul64(*bytes, t->dim[i], bytes))
            return FAIL_IN(e, VG_E_FORMAT, "the size that the shape gives overflows 64 bits");
    }
    return VG_OK;
}

static vg_status read_tensor(const entry *e, const vg_json *j, vg_st_tensor *t)
{
    uint64_t bytes = 0, begin = 0, end = 0;
    if (j->kind != VG_JSON_OBJECT || j->repeats)
        return FAIL_IN(e, VG_E_FORMAT, "%s", j->repeats ? "a key stands there twice" : "no object");
    VG_TRY(read_dtype(e, j, &t->dtype));
    VG_TRY(read_shape(e, j, t, &bytes));
    const vg_json *at = vg_json_get(j, "data_offsets");
    if (!at || at->kind != VG_JSON_ARRAY || at->n != 2)
        return FAIL_IN(e, VG_E_FORMAT, "no two data_offsets");
    VG_TRY(read_size(e, at->item[0], "a data offset", &begin));
    VG_TRY(read_size(e, at->item[1], "a data offset", &end));
    if (begin > end || end > e->st->n_bytes)
        return FAIL_IN(e, VG_E_FORMAT,
                       "data from %llu to %llu, the file has %llu bytes of them (is it complete?)",
                       (ull)begin, (ull)end, (ull)e->st->n_bytes);
    if (end - begin != bytes)
        return FAIL_IN(e, VG_E_FORMAT, "%llu bytes of data, %s of that shape takes %llu",
                       (ull)(end - begin), dtypes[t->dtype].name, (ull)bytes);
    t->data = e->st->data + begin;
    t->n_bytes = bytes;
    t->file = e->st;
    return VG_OK;
}

/* ---- the header ---------------------------------------------------------------------------- */

static vg_status add_tensor(vg_safetensors *st, vg_str name, const vg_json *j, vg_err *err)
{
    entry e = {st, name, err};
    vg_st_tensor *t = &st->tensor[st->n++];
    if (name.n == 0 || name.n > NAME_MAX_BYTES)
        return VG_FAIL(err, VG_E_LIMIT, "%s: a tensor's name of %zu bytes, 1 to %d are allowed",
                       st->label, name.n, NAME_MAX_BYTES);
    VG_TRY(read_tensor(&e, j, t));
    char *copy = vg_arena_text(st->arena, name);
    if (!copy) return VG_FAIL_MEMORY(err, name.n);
    t->name = (vg_str){copy, name.n};
    return VG_OK;
}

/* Empty tensors stand before those that begin at the same place. */
static int compare_places(const void *a, const void *b)
{
    const vg_st_tensor *x = a, *y = b;
    if (x->data != y->data) return x->data < y->data ? -1 : 1;
    return x->n_bytes < y->n_bytes ? -1 : x->n_bytes > y->n_bytes;
}

/* The tensors in order of their data must follow each other from the first byte to the last. */
static vg_status check_cover(vg_safetensors *st, vg_err *err)
{
    qsort(st->tensor, st->n, sizeof *st->tensor, compare_places);
    uint64_t end = 0;
    for (size_t i = 0; i < st->n; i++) {
        const vg_st_tensor *t = &st->tensor[i];
        uint64_t begin = (uint64_t)(t->data - st->data);
        if (begin != end)
            return VG_FAIL(err, VG_E_FORMAT, "%s: tensor '%.*s' begins at byte %llu of the data, %s"
                           " %llu", st->label, VG_STR_ARG(t->name), (ull)begin,
                           begin < end ? "inside the one before, which ends at"
                                       : "after a hole that begins at", (ull)end);
        end += t->n_bytes;
    }
    if (end != st->n_bytes)
        return VG_FAIL(err, VG_E_FORMAT, "%s: %llu bytes of data belong to no tensor", st->label,
                       (ull)(st->n_bytes - end));
    return VG_OK;
}

static vg_status read_table(vg_safetensors *st, const vg_json *doc, vg_err *err)
{
    if (doc->kind != VG_JSON_OBJECT)
        return VG_FAIL(err, VG_E_FORMAT, "%s: the header is no JSON object", st->label);
    if (doc->repeats)
        return VG_FAIL(err, VG_E_FORMAT, "%s: a tensor's name stands there twice", st->label);
    if (doc->n > TENSORS_MAX)
        return VG_FAIL(err, VG_E_LIMIT, "%s: %zu tensors, %d are allowed", st->label, doc->n,
                       TENSORS_MAX);
    st->tensor = VG_ARENA_ARRAY(st->arena, vg_st_tensor, doc->n);
    if (!st->tensor) return VG_FAIL_MEMORY(err, doc->n * sizeof *st->tensor);
    for (size_t i = 0; i < doc->n; i++)
        if (!vg_str_is(doc->key[i], "__metadata__"))
            VG_TRY(add_tensor(st, doc->key[i], doc->item[i], err));
    return check_cover(st, err);
}

static vg_status read_header(vg_safetensors *st, const uint8_t *p, uint64_t n, vg_err *err)
{
    uint64_t n_header = 0;
    if (n < PREFIX_BYTES)
        return VG_FAIL(err, VG_E_FORMAT, "%s: %llu bytes are no safetensors file", st->label,
                       (ull)n);
    for (size_t i = 0; i < PREFIX_BYTES; i++) n_header |= (uint64_t)p[i] << (8 * i);
    const char *text = (const char *)p + PREFIX_BYTES;
    if (n_header > HEADER_MAX_BYTES || n_header > n - PREFIX_BYTES || n_header == 0)
        return VG_FAIL(err, VG_E_FORMAT,
                       "%s: a header of %llu bytes; the file has %llu, %d are allowed (is it "
                       "complete, and a safetensors file?)",
                       st->label, (ull)n_header, (ull)n, HEADER_MAX_BYTES);
    if (text[0] != '{')
        return VG_FAIL(err, VG_E_FORMAT, "%s: the header does not begin with '{'", st->label);
    st->data = p + PREFIX_BYTES + n_header;
    st->n_bytes = n - PREFIX_BYTES - n_header;
    vg_arena *tree = NULL;
    vg_json *doc = NULL;
    VG_TRY(vg_arena_new(&tree, TREE_CAP_BYTES, err));
    vg_status s = vg_json_parse(tree, text, (size_t)n_header, &doc, err);
    if (s) s = vg_err_context(err, s, "%s: the header", st->label);
    else s = read_table(st, doc, err);
    vg_arena_free(tree);
    return s;
}

/* ---- outside ------------------------------------------------------------------------------- */

static vg_status new_file(vg_safetensors **out, const char *path, vg_err *err)
{
    vg_arena *a = NULL;
    VG_TRY(vg_arena_new(&a, TABLE_CAP_BYTES, err));
    vg_safetensors *st = VG_ARENA_NEW(a, vg_safetensors);
    if (!st) {
        vg_arena_free(a);
        return VG_FAIL_MEMORY(err, sizeof *st);
    }
    st->arena = a;
    /* The end of a long path says more than its beginning. */
    size_t n = strlen(path), room = sizeof st->label - 1;
    memcpy(st->label, path + (n > room ? n - room : 0), VG_MIN(n, room));
    *out = st;
    return VG_OK;
}

vg_status vg_safetensors_open(vg_safetensors **out, const char *path, vg_err *err)
{
    vg_safetensors *st = NULL;
    VG_TRY(new_file(&st, path, err));
    vg_status s = vg_file_map(&st->file, path, err);
    if (!s) s = read_header(st, st->file.data, st->file.n, err);
    if (s) vg_safetensors_close(st);
    else *out = st;
    return s;
}

vg_status vg_safetensors_open_memory(vg_safetensors **out, const void *data, size_t n, vg_err *err)
{
    vg_safetensors *st = NULL;
    VG_TRY(new_file(&st, "memory", err));
    vg_status s = read_header(st, data, n, err);
    if (s) vg_safetensors_close(st);
    else *out = st;
    return s;
}

void vg_safetensors_close(vg_safetensors *st)
{
    if (!st) return;
    if (st->file.data) vg_file_unmap(&st->file);
    vg_arena_free(st->arena);
}

size_t vg_safetensors_n(const vg_safetensors *st)
{
    return st->n;
}

const vg_st_tensor *vg_safetensors_at(const vg_safetensors *st, size_t i)
{
    assert(i < st->n);
    return &st->tensor[i];
}

void vg_safetensors_want(const vg_safetensors *st, const void *p, size_t n)
{
    if (st->file.data) vg_file_want(&st->file, p, n);
}

void vg_safetensors_drop(const vg_safetensors *st, const void *p, size_t n)
{
    if (st->file.data) vg_file_drop(&st->file, p, n);
}

bool vg_safetensors_intact(const vg_safetensors *st)
{
    return !st->file.data || vg_file_intact(&st->file);
}
