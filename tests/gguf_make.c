/* Builds GGUF files for tests. It believes everything that it is told: the reader is what is
 * tested. Numbers are written little endian, whatever the machine. Programs without cmocka use it
 * too, so what goes wrong here ends the process. */
#include "gguf_make.h"

#include <stdio.h>
#include <stdlib.h>

enum { MAKE_CAP_BYTES = 1 << 30 };

static void put(vg_buf *b, uint64_t v, size_t n)
{
    for (size_t i = 0; i < n; i++) vg_buf_char(b, (char)(v >> (8 * i) & 0xff));
}

static void put_str(vg_buf *b, const char *s)
{
    put(b, strlen(s), 8);
    vg_buf_text(b, s);
}

void make_begin(gguf_make *m)
{
    *m = (gguf_make){.magic = "GGUF", .version = 3, .align = 32};
    vg_buf_init(&m->kv, MAKE_CAP_BYTES);
    vg_buf_init(&m->data, MAKE_CAP_BYTES);
}

static void begin_value(gguf_make *m, const char *key, uint32_t type)
{
    put_str(&m->kv, key);
    put(&m->kv, type, 4);
    m->n_kv++;
}

void make_value(gguf_make *m, const char *key, vg_gguf_type t, const void *v, size_t n_bytes)
{
    begin_value(m, key, t);
    vg_buf_add(&m->kv, v, n_bytes);
}

void make_array(gguf_make *m, const char *key, vg_gguf_type item, uint64_t n, const void *v,
                size_t n_bytes)
{
    begin_value(m, key, VG_GGUF_ARRAY);
    put(&m->kv, item, 4);
    put(&m->kv, n, 8);
    vg_buf_add(&m->kv, v, n_bytes);
}

void make_u32(gguf_make *m, const char *key, uint32_t v)
{
    begin_value(m, key, VG_GGUF_U32);
    put(&m->kv, v, 4);
}

static uint32_t bits_of(float v)
{
    uint32_t bits;
    memcpy(&bits, &v, sizeof bits);
    return bits;
}

void make_f32(gguf_make *m, const char *key, float v)
{
    begin_value(m, key, VG_GGUF_F32);
    put(&m->kv, bits_of(v), 4);
}

void make_bool(gguf_make *m, const char *key, bool v)
{
    begin_value(m, key, VG_GGUF_BOOL);
    put(&m->kv, v, 1);
}

void make_str(gguf_make *m, const char *key, const char *v)
{
    begin_value(m, key, VG_GGUF_STRING);
    put_str(&m->kv, v);
}

void make_strs(gguf_make *m, const char *key, const char *const *v, size_t n)
{
    make_array(m, key, VG_GGUF_STRING, n, NULL, 0);
    for (size_t i = 0; i < n; i++) put_str(&m->kv, v[i]);
}

void make_f32s(gguf_make *m, const char *key, const float *v, size_t n)
{
    make_array(m, key, VG_GGUF_F32, n, NULL, 0);
    for (size_t i = 0; i < n; i++) put(&m->kv, bits_of(v[i]), 4);
}

void make_i32s(gguf_make *m, const char *key, const int32_t *v, size_t n)
{
    make_array(m, key, VG_GGUF_I32, n, NULL, 0);
    for (size_t i = 0; i < n; i++) put(&m->kv, (uint32_t)v[i], 4);
}

static void pad(vg_buf *b, uint64_t align)
{
    while (align && b->n % align) vg_buf_char(b, 0);
}

make_info *make_tensor(gguf_make *m, const char *name, uint32_t type, uint32_t n_dims,
                       const uint64_t *dim, const void *data)
{
    assert(m->n_infos < MAKE_MAX_TENSORS);
    make_info *t = &m->tensor[m->n_infos++];
    *t = (make_info){.type = type, .n_dims = n_dims};
    snprintf(t->name, sizeof t->name, "%s", name);
    uint64_t bytes = 0, rows = 1;
    for (uint32_t i = 0; i < n_dims; i++) t->dim[i] = dim[i];
    for (uint32_t i = 1; i < n_dims; i++) rows *= dim[i];
    bool known = vg_dtype_row_bytes(type, dim[0], &bytes);
    assert(known);
    VG_UNUSED(known);
    pad(&m->data, m->align);
    t->offset = m->data.n;
    char *at = vg_buf_extend(&m->data, (size_t)(bytes * rows));
    assert(at);
    if (data) memcpy(at, data, (size_t)(bytes * rows));
    else memset(at, 0, (size_t)(bytes * rows));
    m->n_tensors++;
    return t;
}

uint8_t *make_end(gguf_make *m, size_t *n)
{
    vg_buf b;
    vg_buf_init(&b, MAKE_CAP_BYTES);
    vg_buf_add(&b, m->magic, 4);
    put(&b, m->version, 4);
    put(&b, m->n_tensors, 8);
    put(&b, m->n_kv, 8);
    vg_buf_add(&b, m->kv.data, m->kv.n);
    for (size_t i = 0; i < m->n_infos; i++) {
        const make_info *t = &m->tensor[i];
        put_str(&b, t->name);
        put(&b, t->n_dims, 4);
        for (uint32_t d = 0; d < VG_MIN(t->n_dims, (uint32_t)MAKE_MAX_DIMS); d++)
            put(&b, t->dim[d], 8);
        put(&b, t->type, 4);
        put(&b, t->offset, 8);
    }
    if (m->data.n) pad(&b, m->align);
    vg_buf_add(&b, m->data.data, m->data.n);
    assert(!b.failed && !m->kv.failed && !m->data.failed);
    uint8_t *file = aligned_alloc(64, (b.n + 63) / 64 * 64);
    assert(file);
    memcpy(file, b.data, b.n);
    *n = b.n;
    vg_buf_clear(&b);
    vg_buf_clear(&m->kv);
    vg_buf_clear(&m->data);
    make_begin(m);
    return file;
}

void make_end_file(gguf_make *m, const char *path)
{
    size_t n;
    uint8_t *bytes = make_end(m, &n);
    FILE *f = fopen(path, "wb");
    if (!f || fwrite(bytes, 1, n, f) != n || fclose(f)) {
        perror(path);
        abort();
    }
    free(bytes);
}
