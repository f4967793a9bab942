/* gguf_read.c: the header of one GGUF file, from its bytes to checked structs.
 *
 * One cursor reads everything. It knows the end of the file and refuses to pass it, and no number
 * that it gives is used before it is compared with a limit or with the bytes that are left, so that
 * neither memory nor time can exceed a small multiple of the file. Numbers are little endian and
 * may lie at any address. Every error names the file, the byte where the item begins, the key or
 * tensor, what was seen and what is allowed. Nothing is copied but the tables of pointers.
 * Format: ggml's docs/gguf.md. */
#include <stdlib.h>

#include "kern/kern.h"
#include "model/gguf_int.h"

/* The least bytes that one item takes in a file: a claimed count is checked against them. */
enum {
    MIN_KV_BYTES = 8 + 1 + 4 + 1,
    MIN_TENSOR_BYTES = 8 + 1 + 4 + 8 + 4 + 8,
    MIN_STRING_BYTES = 8
};

typedef unsigned long long ull; /* for printf */

typedef struct cursor {
    const gguf_part *part;
    uint64_t at;
    vg_str item; /* the key or tensor that is being read; n 0: the header itself */
    vg_err *err;
} cursor;

/* "file: byte 123: key 'x': " before what went wrong. */
#define FAIL_AT(c, pos, code, fmt, ...)                                                            \
    VG_FAIL((c)->err, code, "%s: byte %llu%s%.*s%s: " fmt, (c)->part->label, (ull)(pos),           \
            (c)->item.n ? ": '" : "", VG_STR_ARG((c)->item), (c)->item.n ? "'" : "", __VA_ARGS__)

/* Steps over `bytes` bytes and gives where they begin. */
static vg_status take(cursor *c, uint64_t bytes, const char *what, const uint8_t **p)
{
    if (!gguf_in_range(c->part->n, c->at, bytes))
        return FAIL_AT(c, c->at, VG_E_FORMAT, "%s takes %llu bytes, the file ends at byte %llu",
                       what, (ull)bytes, (ull)c->part->n);
    *p = c->part->data + c->at;
    c->at += bytes;
    return VG_OK;
}

static uint64_t little_endian(const uint8_t *p, size_t n)
{
    uint64_t v = 0;
    for (size_t i = 0; i < n; i++) v |= (uint64_t)p[i] << (8 * i);
    return v;
}

static vg_status take_u32(cursor *c, const char *what, uint32_t *out)
{
    const uint8_t *p = NULL;
    VG_TRY(take(c, 4, what, &p));
    *out = (uint32_t)little_endian(p, 4);
    return VG_OK;
}

static vg_status take_u64(cursor *c, const char *what, uint64_t *out)
{
    const uint8_t *p = NULL;
    VG_TRY(take(c, 8, what, &p));
    *out = little_endian(p, 8);
    return VG_OK;
}

static vg_status take_str(cursor *c, const char *what, uint64_t max_bytes, vg_str *out)
{
    uint64_t begin = c->at, n = 0;
    const uint8_t *p = NULL;
    VG_TRY(take_u64(c, what, &n));
    if (n > c->part->n - c->at)
        return FAIL_AT(c, begin, VG_E_FORMAT,
                       "%s has a length of %llu bytes, the file ends at byte %llu", what, (ull)n,
                       (ull)c->part->n);
    if (n > max_bytes)
        return FAIL_AT(c, begin, VG_E_LIMIT, "%s has a length of %llu bytes, %llu are allowed",
                       what, (ull)n, (ull)max_bytes);
    VG_TRY(take(c, n, what, &p));
    *out = (vg_str){(const char *)p, (size_t)n};
    return VG_OK;
}

/* A name: never empty. Until it is known, the item before it has ended. */
static vg_status take_name(cursor *c, const char *what, vg_str *out)
{
    uint64_t begin = c->at;
    c->item = VG_STR("");
    VG_TRY(take_str(c, what, GGUF_MAX_NAME_BYTES, out));
    if (out->n == 0) return FAIL_AT(c, begin, VG_E_FORMAT, "%s is empty", what);
    c->item = *out;
    return VG_OK;
}

/* ---- metadata ------------------------------------------------------------------------------ */

static const uint8_t type_bytes[VG_GGUF_N_TYPES] = {
    [VG_GGUF_U8] = 1,  [VG_GGUF_I8] = 1,  [VG_GGUF_U16] = 2,  [VG_GGUF_I16] = 2,
    [VG_GGUF_U32] = 4, [VG_GGUF_I32] = 4, [VG_GGUF_F32] = 4,  [VG_GGUF_BOOL] = 1,
    [VG_GGUF_U64] = 8, [VG_GGUF_I64] = 8, [VG_GGUF_F64] = 8,
};

static const char *const type_names[VG_GGUF_N_TYPES] = {
    "u8",   "i8",     "u16",   "i16", "u32", "i32", "f32",
    "bool", "string", "array", "u64", "i64", "f64"};

const char *vg_gguf_type_name(vg_gguf_type t)
{
    return (size_t)t < VG_GGUF_N_TYPES ? type_names[t] : "unknown";
}

/* Sign-extends the n bytes of a two's complement number. */
static int64_t signed_of(uint64_t u, size_t n)
{
    uint64_t sign = (uint64_t)1 << (8 * n - 1);
    return (int64_t)((u ^ sign) - sign);
}

static double float_of(uint64_t u, size_t n)
{
    if (n == 8) {
        double d;
        memcpy(&d, &u, sizeof d);
        return d;
    }
    uint32_t bits = (uint32_t)u;
    float f;
    memcpy(&f, &bits, sizeof f);
    return (double)f;
}

static bool is_signed(vg_gguf_type t)
{
    return t == VG_GGUF_I8 || t == VG_GGUF_I16 || t == VG_GGUF_I32 || t == VG_GGUF_I64;
}

static bool is_float(vg_gguf_type t)
{
    return t == VG_GGUF_F32 || t == VG_GGUF_F64;
}

double vg_gguf_item_f64(const vg_gguf_kv *kv, uint64_t i)
{
    assert(kv->items && i < kv->n);
    size_t n = type_bytes[kv->item_type];
    uint64_t u = little_endian(kv->items + i * n, n);
    if (is_float(kv->item_type)) return float_of(u, n);
    return is_signed(kv->item_type) ? (double)signed_of(u, n) : (double)u;
}

int64_t vg_gguf_item_i64(const vg_gguf_kv *kv, uint64_t i)
{
    assert(kv->items && i < kv->n);
    size_t n = type_bytes[kv->item_type];
    uint64_t u = little_endian(kv->items + i * n, n);
    if (is_signed(kv->item_type)) return signed_of(u, n);
    if (!is_float(kv->item_type)) return u > INT64_MAX ? INT64_MAX : (int64_t)u;
    double d = float_of(u, n);
    if (d >= 0x1p63) return INT64_MAX;
    return d >= -0x1p63 ? (int64_t)d : d < 0 ? INT64_MIN : 0; /* NaN: 0 */
}

static vg_status take_type(cursor *c, const char *what, vg_gguf_type *out)
{
    uint64_t begin = c->at;
    uint32_t t = 0;
    VG_TRY(take_u32(c, what, &t));
    if (t >= VG_GGUF_N_TYPES)
        return FAIL_AT(c, begin, VG_E_FORMAT, "%s is %u, 0 to %d are allowed", what, t,
                       VG_GGUF_N_TYPES - 1);
    *out = (vg_gguf_type)t;
    return VG_OK;
}

static vg_status check_bools(cursor *c, const uint8_t *p, uint64_t n)
{
    for (uint64_t i = 0; i < n; i++)
        if (p[i] > 1)
            return FAIL_AT(c, (uint64_t)(p - c->part->data) + i, VG_E_FORMAT,
                           "a bool is %u, 0 and 1 are allowed", p[i]);
    return VG_OK;
}

static vg_status take_strings(vg_gguf *g, cursor *c, vg_gguf_kv *kv)
{
    if (kv->n > (c->part->n - c->at) / MIN_STRING_BYTES)
        return FAIL_AT(c, c->at, VG_E_FORMAT,
                       "an array of %llu strings, the file ends at byte %llu", (ull)kv->n,
                       (ull)c->part->n);
    if (kv->n > GGUF_MAX_STRINGS - g->n_strings)
        return FAIL_AT(c, c->at, VG_E_LIMIT, "%llu strings in arrays, %d are allowed in all",
                       (ull)(g->n_strings + kv->n), GGUF_MAX_STRINGS);
    g->n_strings += (size_t)kv->n;
    vg_str *s = VG_ARENA_ARRAY(g->arena, vg_str, (size_t)kv->n);
    if (!s) return VG_FAIL_MEMORY(c->err, kv->n * sizeof *s);
    for (uint64_t i = 0; i < kv->n; i++)
        VG_TRY(take_str(c, "a string of an array", GGUF_MAX_STRING_BYTES, &s[i]));
    kv->strs = s;
    return VG_OK;
}

static vg_status take_array(vg_gguf *g, cursor *c, vg_gguf_kv *kv)
{
    uint64_t begin = c->at;
    VG_TRY(take_type(c, "an array's type", &kv->item_type));
    if (kv->item_type == VG_GGUF_ARRAY)
        return FAIL_AT(c, begin, VG_E_UNSUPPORTED, "an array %s, which is not supported",
                       "of arrays");
    VG_TRY(take_u64(c, "an array's length", &kv->n));
    if (kv->item_type == VG_GGUF_STRING) return take_strings(g, c, kv);
    uint64_t bytes;
    if (!vg_mul64(kv->n, type_bytes[kv->item_type], &bytes) || bytes > c->part->n - c->at)
        return FAIL_AT(c, begin, VG_E_FORMAT, "an array of %llu %s, the file ends at byte %llu",
                       (ull)kv->n, type_names[kv->item_type], (ull)c->part->n);
    if (kv->n > GGUF_MAX_ITEMS)
        return FAIL_AT(c, begin, VG_E_LIMIT, "an array of %llu items, %d are allowed", (ull)kv->n,
                       GGUF_MAX_ITEMS);
    VG_TRY(take(c, bytes, "an array", &kv->items));
    return kv->item_type == VG_GGUF_BOOL ? check_bools(c, kv->items, kv->n) : VG_OK;
}

static vg_status take_kv(vg_gguf *g, cursor *c, vg_gguf_kv *kv)
{
    VG_TRY(take_name(c, "a key", &kv->key));
    VG_TRY(take_type(c, "the type", &kv->type));
    if (kv->type == VG_GGUF_ARRAY) return take_array(g, c, kv);
    if (kv->type == VG_GGUF_STRING)
        return take_str(c, "a string", GGUF_MAX_STRING_BYTES, &kv->str);
    const uint8_t *p = NULL;
    size_t n = type_bytes[kv->type];
    VG_TRY(take(c, n, "the value", &p));
    uint64_t u = little_endian(p, n);
    if (is_float(kv->type)) kv->v.f = float_of(u, n);
    else if (is_signed(kv->type)) kv->v.i = signed_of(u, n);
    else kv->v.u = u;
    return kv->type == VG_GGUF_BOOL ? check_bools(c, p, 1) : VG_OK;
}

/* Lengths first, because they are cheap to compare. */
int gguf_compare(vg_str a, vg_str b)
{
    if (a.n != b.n) return a.n < b.n ? -1 : 1;
    return a.n ? memcmp(a.p, b.p, a.n) : 0;
}

static int compare_keys(const void *a, const void *b)
{
    const vg_gguf_kv *const *x = a, *const *y = b;
    return gguf_compare((*x)->key, (*y)->key);
}

const vg_gguf_kv *gguf_find(const gguf_kvs *kvs, vg_str key)
{
    vg_gguf_kv wanted = {.key = key};
    const vg_gguf_kv *p = &wanted;
    const vg_gguf_kv **found = NULL;
    if (kvs->n) found = bsearch(&p, kvs->sorted, kvs->n, sizeof *kvs->sorted, compare_keys);
    return found ? *found : NULL;
}

static vg_status read_kvs(vg_gguf *g, cursor *c, gguf_kvs *kvs, uint64_t n)
{
    kvs->at = VG_ARENA_ARRAY(g->arena, vg_gguf_kv, (size_t)n);
    kvs->sorted = VG_ARENA_ARRAY(g->arena, const vg_gguf_kv *, (size_t)n);
    if (!kvs->at || !kvs->sorted) return VG_FAIL_MEMORY(c->err, n * sizeof *kvs->at);
    for (size_t i = 0; i < n; i++) {
        VG_TRY(take_kv(g, c, &kvs->at[i]));
        kvs->sorted[i] = &kvs->at[i];
    }
    c->item = VG_STR("");
    kvs->n = (size_t)n;
    qsort(kvs->sorted, kvs->n, sizeof *kvs->sorted, compare_keys);
    for (size_t i = 1; i < kvs->n; i++)
        if (compare_keys(&kvs->sorted[i - 1], &kvs->sorted[i]) == 0)
            return VG_FAIL(c->err, VG_E_FORMAT, "%s: the key '%.*s' stands there twice",
                           c->part->label, VG_STR_ARG(kvs->sorted[i]->key));
    return VG_OK;
}

static vg_status read_alignment(cursor *c, const gguf_kvs *kvs, uint64_t *out)
{
    *out = GGUF_DEFAULT_ALIGN;
    const vg_gguf_kv *kv = gguf_find(kvs, VG_STR("general.alignment"));
    if (!kv) return VG_OK;
    if (kv->type != VG_GGUF_U32)
        return VG_FAIL(c->err, VG_E_FORMAT, "%s: general.alignment has the type %s, u32 is allowed",
                       c->part->label, type_names[kv->type]);
    uint64_t a = kv->v.u;
    if (a < GGUF_MIN_ALIGN || a > GGUF_MAX_ALIGN || (a & (a - 1)))
        return VG_FAIL(c->err, VG_E_FORMAT,
                       "%s: general.alignment is %llu, a power of two from %d to %d is allowed",
                       c->part->label, (ull)a, GGUF_MIN_ALIGN, GGUF_MAX_ALIGN);
    *out = a;
    return VG_OK;
}

/* ---- tensors ------------------------------------------------------------------------------- */

static vg_status take_shape(cursor *c, vg_gguf_tensor *t)
{
    uint64_t begin = c->at, elements = 1;
    VG_TRY(take_u32(c, "the number of dimensions", &t->n_dims));
    if (t->n_dims < 1 || t->n_dims > 4)
        return FAIL_AT(c, begin, VG_E_FORMAT, "%u dimensions, 1 to 4 are allowed", t->n_dims);
    for (uint32_t i = 0; i < 4; i++) {
        begin = c->at;
        t->dim[i] = 1;
        if (i < t->n_dims) VG_TRY(take_u64(c, "a dimension", &t->dim[i]));
        if (t->dim[i] == 0 || t->dim[i] > INT64_MAX)
            return FAIL_AT(c, begin, VG_E_FORMAT, "dimension %u is %lld, it must be positive", i,
                           (long long)t->dim[i]);
        if (!vg_mul64(elements, t->dim[i], &elements) || elements > INT64_MAX)
            return FAIL_AT(c, begin, VG_E_FORMAT, "the dimensions up to %u overflow 63 bits", i);
    }
    return VG_OK;
}

/* Types of ggml that this build knows by name alone, so that a user can tell which file to take. */
const char *vg_gguf_tensor_type_name(uint32_t type)
{
    static const char *const names[] = {
        [9] = "Q8_1",    [15] = "Q8_K",   [16] = "IQ2_XXS", [17] = "IQ2_XS", [18] = "IQ3_XXS",
        [19] = "IQ1_S",  [21] = "IQ3_S",  [22] = "IQ2_S",   [24] = "I8",     [25] = "I16",
        [26] = "I32",    [27] = "I64",    [28] = "F64",     [29] = "IQ1_M",  [34] = "TQ1_0",
        [35] = "TQ2_0"};
    const vg_dtype_info *info = vg_dtype_get(type);
    if (info) return info->name;
    return type < VG_COUNT(names) && names[type] ? names[type] : "unknown";
}

/* The bytes of a tensor; 0 where a file opened for its metadata has a type unknown here. */
static vg_status measure(const vg_gguf *g, cursor *c, vg_gguf_tensor *t, uint64_t begin)
{
    const vg_dtype_info *info = vg_dtype_get(t->type);
    if (!info && g->no_data) return VG_OK;
    if (!info)
        return FAIL_AT(c, begin, VG_E_UNSUPPORTED, "tensor type %u (%s) is not supported", t->type,
                       vg_gguf_tensor_type_name(t->type));
    if (t->dim[0] % info->block)
        return FAIL_AT(c, begin, VG_E_FORMAT, "a row of %llu weights, %s needs a multiple of %u",
                       (ull)t->dim[0], info->name, info->block);
    uint64_t bytes, rows = t->dim[1] * t->dim[2] * t->dim[3]; /* take_shape saw the product fit */
    if (!vg_dtype_row_bytes(t->type, t->dim[0], &bytes) || !vg_mul64(bytes, rows, &t->n_bytes))
        return FAIL_AT(c, begin, VG_E_FORMAT, "the size in bytes of a %s tensor overflows 64 bits",
                       info->name);
    return VG_OK;
}

/* `offset` gets where the data begin, counted from the end of the padded header. */
static vg_status take_tensor(const vg_gguf *g, cursor *c, vg_gguf_tensor *t, uint64_t align,
                             uint64_t *offset)
{
    VG_TRY(take_name(c, "a tensor's name", &t->name));
    VG_TRY(take_shape(c, t));
    uint64_t begin = c->at;
    VG_TRY(take_u32(c, "the tensor's type", &t->type));
    VG_TRY(measure(g, c, t, begin));
    begin = c->at;
    VG_TRY(take_u64(c, "the tensor's offset", offset));
    if (*offset % align)
        return FAIL_AT(c, begin, VG_E_FORMAT, "offset %llu is no multiple of the alignment %llu",
                       (ull)*offset, (ull)align);
    return VG_OK;
}

/* Gives the tensor its place in the file. */
static vg_status place(cursor *c, vg_gguf_tensor *t, uint64_t data_begin, uint64_t offset)
{
    uint64_t at;
    if (!vg_add64(data_begin, offset, &at) || !gguf_in_range(c->part->n, at, t->n_bytes))
        return VG_FAIL(c->err, VG_E_FORMAT,
                       "%s: tensor '%.*s': %llu bytes at offset %llu of the data, which begin at "
                       "byte %llu; the file ends at byte %llu (is it complete?)",
                       c->part->label, VG_STR_ARG(t->name), (ull)t->n_bytes, (ull)offset,
                       (ull)data_begin, (ull)c->part->n);
    t->data = c->part->data + at;
    return VG_OK;
}

static int compare_places(const void *a, const void *b)
{
    const vg_gguf_tensor *const *x = a, *const *y = b;
    return (*x)->data < (*y)->data ? -1 : (*x)->data > (*y)->data;
}

static vg_status check_overlap(vg_gguf *g, cursor *c, const gguf_part *p)
{
    const vg_gguf_tensor **order = VG_ARENA_ARRAY(g->arena, const vg_gguf_tensor *, p->n_tensors);
    if (!order) return VG_FAIL_MEMORY(c->err, p->n_tensors * sizeof *order);
    for (size_t i = 0; i < p->n_tensors; i++) order[i] = &p->tensor[i];
    qsort(order, p->n_tensors, sizeof *order, compare_places);
    for (size_t i = 1; i < p->n_tensors; i++)
        if (order[i]->data < order[i - 1]->data + order[i - 1]->n_bytes)
            return VG_FAIL(c->err, VG_E_FORMAT, "%s: tensors '%.*s' and '%.*s' overlap",
                           p->label, VG_STR_ARG(order[i - 1]->name), VG_STR_ARG(order[i]->name));
    return VG_OK;
}

static vg_status read_tensors(vg_gguf *g, cursor *c, gguf_part *p, uint32_t part_index)
{
    uint64_t align, data_begin;
    VG_TRY(read_alignment(c, &p->kvs, &align));
    uint64_t *offset = VG_ARENA_ARRAY(g->arena, uint64_t, p->n_tensors);
    p->tensor = VG_ARENA_ARRAY(g->arena, vg_gguf_tensor, p->n_tensors);
    if (!p->tensor || !offset) return VG_FAIL_MEMORY(c->err, p->n_tensors * sizeof *p->tensor);
    for (size_t i = 0; i < p->n_tensors; i++) {
        p->tensor[i].part = part_index;
        VG_TRY(take_tensor(g, c, &p->tensor[i], align, &offset[i]));
    }
    c->item = VG_STR("");
    if (g->no_data) return VG_OK;
    /* The file's size is below 2^63 and the alignment below 2^21: the sum fits. */
    data_begin = (c->at + align - 1) & ~(align - 1);
    for (size_t i = 0; i < p->n_tensors; i++)
        VG_TRY(place(c, &p->tensor[i], data_begin, offset[i]));
    return check_overlap(g, c, p);
}

/* ---- the header ---------------------------------------------------------------------------- */

/* What people take for a model by mistake gets a sentence of its own. */
static vg_status check_magic(cursor *c)
{
    const uint8_t *p = NULL;
    const char *hint = "";
    VG_TRY(take(c, 4, "the magic number", &p));
    if (memcmp(p, "GGUF", 4) == 0) return VG_OK;
    if (memcmp(p, "FUGG", 4) == 0) hint = "; it is big-endian, little-endian files are supported";
    if (memcmp(p, "vers", 4) == 0) hint = "; it may be a Git LFS pointer instead of the file";
    if (memcmp(p, "PK\3\4", 4) == 0) hint = "; it is a ZIP archive or a PyTorch checkpoint";
    if (memcmp(p, "tjgg", 4) == 0 || memcmp(p, "lmgg", 4) == 0) hint = "; it is the older GGML";
    return VG_FAIL(c->err, VG_E_FORMAT, "%s: not a GGUF file, it begins with '%.4s'%s",
                   c->part->label, (const char *)p, hint);
}

static vg_status check_version(cursor *c, uint32_t *out)
{
    VG_TRY(take_u32(c, "the version", out));
    uint32_t v = *out;
    if (v == 2 || v == 3) return VG_OK;
    if (v != 0 && (v & 0xffff) == 0)
        return VG_FAIL(c->err, VG_E_UNSUPPORTED,
                       "%s: the file is big-endian (its version reads as 0x%08x), little-endian "
                       "files are supported",
                       c->part->label, v);
    return VG_FAIL(c->err, VG_E_UNSUPPORTED, "%s: GGUF version %u, versions 2 and 3 are supported",
                   c->part->label, v);
}

static vg_status take_count(cursor *c, const char *what, uint64_t max, uint64_t *out)
{
    uint64_t begin = c->at;
    VG_TRY(take_u64(c, what, out));
    if (*out > max)
        return FAIL_AT(c, begin, VG_E_LIMIT, "%s is %llu, %llu are allowed", what, (ull)*out,
                       (ull)max);
    return VG_OK;
}

vg_status gguf_read_part(vg_gguf *g, uint32_t i, vg_err *err)
{
    gguf_part *p = &g->part[i];
    cursor c = {.part = p, .item = VG_STR(""), .err = err};
    uint64_t n_kv = 0, n_tensors = 0;
    VG_TRY(check_magic(&c));
    VG_TRY(check_version(&c, &p->version));
    VG_TRY(take_count(&c, "the number of tensors", GGUF_MAX_TENSORS, &n_tensors));
    VG_TRY(take_count(&c, "the number of keys", GGUF_MAX_KV, &n_kv));
    /* Both products fit easily: the counts have just been limited. */
    uint64_t least = n_kv * MIN_KV_BYTES + n_tensors * MIN_TENSOR_BYTES;
    if (!gguf_in_range(p->n, c.at, least))
        return FAIL_AT(&c, c.at, VG_E_FORMAT,
                       "%llu keys and %llu tensors take at least %llu bytes, the file ends at byte "
                       "%llu",
                       (ull)n_kv, (ull)n_tensors, (ull)least, (ull)p->n);
    p->n_tensors = (size_t)n_tensors;
    VG_TRY(read_kvs(g, &c, &p->kvs, n_kv));
    return read_tensors(g, &c, p, i);
}
