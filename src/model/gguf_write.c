/* gguf_write.c: a GGUF file from its parts. The metadata is collected as the bytes that it will be
 * in the file, the tensors as a list; with the first tensor data both go out as the header, and
 * from then on the writer only counts: which tensor it is in, how many of its bytes are there.
 * What it was told is checked before the first byte is written. It never goes back in the file, so
 * that memory does not grow with the model. Format: ggml's docs/gguf.md. */
#include "model/gguf_write.h"

#include <stdlib.h>

#include "model/gguf_int.h"

enum {
    HEADER_CAP_BYTES = 1 << 30,
    LIST_CAP_BYTES = 1 << 28,
    NAME_CAP_BYTES = 63 /* GGML_MAX_NAME with its NUL */
};

typedef unsigned long long ull; /* for printf */

typedef struct key {
    struct key *before;
    vg_str name;
} key;

typedef struct tensor {
    struct tensor *next;
    vg_str name;
    uint32_t type, n_dims;
    uint64_t dim[4], bytes;
} tensor;

struct vg_gguf_writer {
    vg_arena *arena; /* keys and tensors */
    vg_new_file file;
    vg_buf kv;
    uint64_t n_kv, n_tensors, data_bytes; /* data_bytes: with what pads each tensor */
    key *last_key;
    tensor *first, *last;
    vg_status failed; /* kept until somebody can be told */
    vg_err why;
    bool has_header;
    uint64_t file_bytes, done_bytes; /* the whole file's, those written */
    tensor *at;          /* the tensor that is being written; NULL: all are there */
    uint64_t left_bytes; /* of it */
};

/* Keeps the first failure. */
#define KEEP(w, code, ...)                                                                         \
    do {                                                                                           \
        if (!(w)->failed) (w)->failed = VG_FAIL(&(w)->why, code, __VA_ARGS__);                     \
    } while (0)

static void put_number(vg_buf *b, uint64_t v, size_t n_bytes)
{
    char bytes[8];
    for (size_t i = 0; i < n_bytes; i++) bytes[i] = (char)(v >> (8 * i) & 0xff);
    vg_buf_add(b, bytes, n_bytes);
}

static void put_string(vg_buf *b, vg_str s)
{
    put_number(b, s.n, 8);
    vg_buf_str(b, s);
}

static uint64_t padded(uint64_t n)
{
    return (n + GGUF_DEFAULT_ALIGN - 1) / GGUF_DEFAULT_ALIGN * GGUF_DEFAULT_ALIGN;
}

/* ---- keys ---------------------------------------------------------------------------------- */

static bool is_put(const key *k, vg_str name)
{
    for (; k; k = k->before)
        if (vg_str_eq(k->name, name)) return true;
    return false;
}

/* Writes name and type of a key that is not among `seen` yet; false: it is, or memory ran out. */
static bool begin_kv(vg_gguf_writer *w, const key *seen, vg_str name, vg_gguf_type type)
{
    assert(!w->has_header);
    if (w->failed || is_put(seen, name)) return false;
    key *k = VG_ARENA_NEW(w->arena, key);
    char *copy = k ? vg_arena_text(w->arena, name) : NULL;
    if (!copy) {
        KEEP(w, VG_E_NO_MEMORY, "%s: no memory for its list of keys", w->file.path);
        return false;
    }
    *k = (key){w->last_key, {copy, name.n}};
    w->last_key = k;
    w->n_kv++;
    put_string(&w->kv, name);
    put_number(&w->kv, type, 4);
    return true;
}

static bool begin_array(vg_gguf_writer *w, const char *name, vg_gguf_type item_type, size_t n)
{
    if (!begin_kv(w, w->last_key, vg_str_from(name), VG_GGUF_ARRAY)) return false;
    put_number(&w->kv, item_type, 4);
    put_number(&w->kv, n, 8);
    return true;
}

static uint32_t f32_bits(float v)
{
    uint32_t bits;
    memcpy(&bits, &v, sizeof bits);
    return bits;
}

static uint64_t f64_bits(double v)
{
    uint64_t bits;
    memcpy(&bits, &v, sizeof bits);
    return bits;
}

void vg_gguf_put_u32(vg_gguf_writer *w, const char *name, uint32_t v)
{
    if (begin_kv(w, w->last_key, vg_str_from(name), VG_GGUF_U32)) put_number(&w->kv, v, 4);
}

void vg_gguf_put_f32(vg_gguf_writer *w, const char *name, float v)
{
    if (begin_kv(w, w->last_key, vg_str_from(name), VG_GGUF_F32))
        put_number(&w->kv, f32_bits(v), 4);
}

void vg_gguf_put_bool(vg_gguf_writer *w, const char *name, bool v)
{
    if (begin_kv(w, w->last_key, vg_str_from(name), VG_GGUF_BOOL)) put_number(&w->kv, v, 1);
}

void vg_gguf_put_str(vg_gguf_writer *w, const char *name, vg_str v)
{
    if (begin_kv(w, w->last_key, vg_str_from(name), VG_GGUF_STRING)) put_string(&w->kv, v);
}

void vg_gguf_put_strs(vg_gguf_writer *w, const char *name, const vg_str *v, size_t n)
{
    if (!begin_array(w, name, VG_GGUF_STRING, n)) return;
    for (size_t i = 0; i < n; i++) put_string(&w->kv, v[i]);
}

void vg_gguf_put_f32s(vg_gguf_writer *w, const char *name, const float *v, size_t n)
{
    if (!begin_array(w, name, VG_GGUF_F32, n)) return;
    for (size_t i = 0; i < n; i++) put_number(&w->kv, f32_bits(v[i]), 4);
}

void vg_gguf_put_i32s(vg_gguf_writer *w, const char *name, const int32_t *v, size_t n)
{
    if (!begin_array(w, name, VG_GGUF_I32, n)) return;
    for (size_t i = 0; i < n; i++) put_number(&w->kv, (uint32_t)v[i], 4);
}

/* Bytes of a value; 0: of no fixed size. */
static size_t type_bytes(vg_gguf_type t)
{
    switch (t) {
    case VG_GGUF_U8: case VG_GGUF_I8: case VG_GGUF_BOOL: return 1;
    case VG_GGUF_U16: case VG_GGUF_I16: return 2;
    case VG_GGUF_U32: case VG_GGUF_I32: case VG_GGUF_F32: return 4;
    case VG_GGUF_U64: case VG_GGUF_I64: case VG_GGUF_F64: return 8;
    default: return 0;
    }
}

static void put_value(vg_buf *b, const vg_gguf_kv *kv)
{
    switch (kv->type) {
    case VG_GGUF_STRING: put_string(b, kv->str); return;
    case VG_GGUF_F32: put_number(b, f32_bits((float)kv->v.f), 4); return;
    case VG_GGUF_F64: put_number(b, f64_bits(kv->v.f), 8); return;
    case VG_GGUF_I8: case VG_GGUF_I16: case VG_GGUF_I32: case VG_GGUF_I64:
        put_number(b, (uint64_t)kv->v.i, type_bytes(kv->type));
        return;
    case VG_GGUF_ARRAY: break;
    default: put_number(b, kv->v.u, type_bytes(kv->type)); return;
    }
    put_number(b, kv->item_type, 4);
    put_number(b, kv->n, 8);
    if (kv->item_type != VG_GGUF_STRING)
        vg_buf_add(b, kv->items, (size_t)kv->n * type_bytes(kv->item_type));
    else
        for (uint64_t i = 0; i < kv->n; i++) put_string(b, kv->strs[i]);
}

void vg_gguf_put_kv(vg_gguf_writer *w, const vg_gguf_kv *kv)
{
    if (begin_kv(w, w->last_key, kv->key, kv->type)) put_value(&w->kv, kv);
}

/* A file has no key twice, so each is looked for among those that were put before alone. */
void vg_gguf_put_all(vg_gguf_writer *w, const vg_gguf *g)
{
    const key *seen = w->last_key;
    for (size_t i = 0; i < vg_gguf_n_kv(g); i++) {
        const vg_gguf_kv *kv = vg_gguf_kv_at(g, i);
        if (vg_str_starts(kv->key, VG_STR("split.")) || vg_str_is(kv->key, "general.alignment"))
            continue;
        if (begin_kv(w, seen, kv->key, kv->type)) put_value(&w->kv, kv);
    }
}

/* ---- tensors ------------------------------------------------------------------------------- */

static bool measure(const tensor *t, uint64_t *bytes)
{
    bool ok = vg_dtype_row_bytes(t->type, t->dim[0], bytes);
    for (uint32_t i = 1; ok && i < t->n_dims; i++) ok = vg_mul64(*bytes, t->dim[i], bytes);
    return ok && *bytes > 0 && *bytes < INT64_MAX;
}

void vg_gguf_add_tensor(vg_gguf_writer *w, vg_str name, vg_dtype type, uint32_t n_dims,
                        const uint64_t *dim)
{
    assert(!w->has_header && n_dims >= 1 && n_dims <= 4);
    if (w->failed) return;
    if (name.n == 0 || name.n > NAME_CAP_BYTES) {
        KEEP(w, VG_E_LIMIT, "%s: tensor '%.*s': a name of %zu bytes, 1 to %d are allowed",
             w->file.path, VG_STR_ARG(name), name.n, NAME_CAP_BYTES);
        return;
    }
    tensor *t = VG_ARENA_NEW(w->arena, tensor);
    char *copy = t ? vg_arena_text(w->arena, name) : NULL;
    if (!copy) {
        KEEP(w, VG_E_NO_MEMORY, "%s: no memory for its list of tensors", w->file.path);
        return;
    }
    *t = (tensor){.name = {copy, name.n}, .type = type, .n_dims = n_dims};
    memcpy(t->dim, dim, n_dims * sizeof *dim);
    uint64_t sum;
    if (!measure(t, &t->bytes) || !vg_add64(w->data_bytes, padded(t->bytes), &sum)) {
        KEEP(w, VG_E_FORMAT, "%s: tensor '%.*s': rows of %llu weights cannot be stored as %s",
             w->file.path, VG_STR_ARG(name), (ull)dim[0], vg_gguf_tensor_type_name(type));
        return;
    }
    w->data_bytes = sum;
    w->n_tensors++;
    if (w->last) w->last->next = t;
    else w->first = t;
    w->last = t;
}

static int compare_names(const void *a, const void *b)
{
    const tensor *const *x = a, *const *y = b;
    return gguf_compare((*x)->name, (*y)->name);
}

static vg_status check_names(const vg_gguf_writer *w, vg_err *err)
{
    const tensor **order = VG_ARENA_ARRAY(w->arena, const tensor *, (size_t)w->n_tensors);
    if (!order) return VG_FAIL_MEMORY(err, w->n_tensors * sizeof *order);
    size_t n = 0;
    for (const tensor *t = w->first; t; t = t->next) order[n++] = t;
    qsort(order, n, sizeof *order, compare_names);
    for (size_t i = 1; i < n; i++)
        if (compare_names(&order[i - 1], &order[i]) == 0)
            return VG_FAIL(err, VG_E_FORMAT, "%s: there are two tensors '%.*s'", w->file.path,
                           VG_STR_ARG(order[i]->name));
    return VG_OK;
}

/* ---- the file ------------------------------------------------------------------------------ */

static vg_status write_bytes(vg_gguf_writer *w, const void *p, size_t n, vg_err *err)
{
    vg_status st = vg_new_file_put(&w->file, p, n, err);
    if (st)
        return vg_err_context(err, st, "%llu of %llu bytes were written", (ull)w->done_bytes,
                              (ull)w->file_bytes);
    w->done_bytes += n;
    return VG_OK;
}

static void make_header(const vg_gguf_writer *w, vg_buf *b)
{
    uint64_t offset = 0;
    vg_buf_text(b, "GGUF");
    put_number(b, 3, 4);
    put_number(b, w->n_tensors, 8);
    put_number(b, w->n_kv, 8);
    vg_buf_add(b, w->kv.data, w->kv.n);
    for (const tensor *t = w->first; t; t = t->next) {
        put_string(b, t->name);
        put_number(b, t->n_dims, 4);
        for (uint32_t i = 0; i < t->n_dims; i++) put_number(b, t->dim[i], 8);
        put_number(b, t->type, 4);
        put_number(b, offset, 8);
        offset += padded(t->bytes);
    }
    for (uint64_t n = padded(b->n) - b->n; n > 0; n--) vg_buf_char(b, 0);
}

static void enter(vg_gguf_writer *w, tensor *t)
{
    w->at = t;
    w->left_bytes = t ? t->bytes : 0;
}

/* The header and the first n_kept tensors of an earlier life stay as they are. */
static vg_status keep_bytes(vg_gguf_writer *w, const vg_buf *header, size_t n_kept, vg_err *err)
{
    uint64_t n = header->n;
    tensor *t = w->first;
    for (size_t i = 0; i < n_kept && t; i++, t = t->next) n += padded(t->bytes);
    VG_TRY(vg_new_file_cut(&w->file, header->data, header->n, n, err));
    w->done_bytes = n;
    enter(w, t);
    return VG_OK;
}

static vg_status begin_data(vg_gguf_writer *w, size_t n_kept, vg_err *err)
{
    if (w->failed) {
        if (err) *err = w->why;
        return w->failed;
    }
    vg_buf b;
    vg_buf_init(&b, HEADER_CAP_BYTES);
    vg_status st = vg_buf_check(&w->kv, "the metadata", err);
    if (!st) st = check_names(w, err);
    if (!st) make_header(w, &b);
    if (!st) st = vg_buf_check(&b, "the header", err);
    if (!st && !vg_add64(b.n, w->data_bytes, &w->file_bytes))
        st = VG_FAIL(err, VG_E_LIMIT, "%s: a file of 2^64 bytes", w->file.path);
    if (!st) st = vg_new_file_reserve(&w->file, w->file_bytes, err);
    enter(w, w->first);
    if (!st) st = n_kept ? keep_bytes(w, &b, n_kept, err) : write_bytes(w, b.data, b.n, err);
    vg_buf_clear(&b);
    vg_buf_clear(&w->kv);
    w->has_header = !st;
    return st;
}

typedef vg_status begin_fn(vg_new_file *f, const char *path, vg_err *err);

static vg_status new_writer(vg_gguf_writer **out, const char *path, begin_fn *begin, vg_err *err)
{
    vg_arena *a = NULL;
    VG_TRY(vg_arena_new(&a, LIST_CAP_BYTES, err));
    vg_gguf_writer *w = VG_ARENA_NEW(a, vg_gguf_writer);
    vg_status st = w ? begin(&w->file, path, err) : VG_FAIL_MEMORY(err, sizeof *w);
    if (st) {
        vg_arena_free(a);
        return st;
    }
    w->arena = a;
    vg_buf_init(&w->kv, HEADER_CAP_BYTES);
    *out = w;
    return VG_OK;
}

vg_status vg_gguf_begin(vg_gguf_writer **out, const char *path, vg_err *err)
{
    return new_writer(out, path, vg_new_file_begin, err);
}

vg_status vg_gguf_resume(vg_gguf_writer **out, const char *path, vg_err *err)
{
    return new_writer(out, path, vg_new_file_again, err);
}

vg_status vg_gguf_skip(vg_gguf_writer *w, size_t n_tensors, vg_err *err)
{
    assert(!w->has_header && n_tensors > 0);
    return begin_data(w, n_tensors, err);
}

vg_status vg_gguf_sync(const vg_gguf_writer *w, vg_err *err)
{
    return vg_new_file_sync(&w->file, err);
}

vg_status vg_gguf_write(vg_gguf_writer *w, const void *p, size_t n, vg_err *err)
{
    static const uint8_t zeros[GGUF_DEFAULT_ALIGN];
    if (!w->has_header) VG_TRY(begin_data(w, 0, err));
    for (const uint8_t *from = p; n > 0;) {
        assert(w->at);
        size_t piece = (size_t)VG_MIN(w->left_bytes, (uint64_t)n);
        VG_TRY(write_bytes(w, from, piece, err));
        from += piece;
        n -= piece;
        w->left_bytes -= piece;
        if (w->left_bytes) continue;
        VG_TRY(write_bytes(w, zeros, (size_t)(padded(w->at->bytes) - w->at->bytes), err));
        enter(w, w->at->next);
    }
    return VG_OK;
}

uint64_t vg_gguf_writer_bytes(const vg_gguf_writer *w)
{
    return w->file_bytes;
}

static void free_writer(vg_gguf_writer *w)
{
    vg_buf_clear(&w->kv);
    vg_arena_free(w->arena);
}

void vg_gguf_abandon(vg_gguf_writer *w)
{
    if (!w) return;
    vg_new_file_abandon(&w->file);
    free_writer(w);
}

void vg_gguf_keep(vg_gguf_writer *w)
{
    vg_new_file_keep(&w->file);
    free_writer(w);
}

vg_status vg_gguf_end(vg_gguf_writer *w, vg_err *err)
{
    vg_status st = w->has_header ? VG_OK : begin_data(w, 0, err);
    assert(st || !w->at); /* every tensor was written */
    if (!st) st = vg_new_file_end(&w->file, err);
    else vg_new_file_abandon(&w->file);
    free_writer(w);
    return st;
}
