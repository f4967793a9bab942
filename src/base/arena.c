/* Memory: the only file in the engine that calls malloc. An arena is a list of chunks, each larger
 * than the last, with a cap that is fixed when it is made: what is computed from a hostile file
 * ends in an ordinary error, not in a machine without memory. Chunks are zeroed (calloc), because
 * fresh pages are zero anyway and a forgotten field must never hold a stranger's bytes.
 * It never frees a single thing inside an arena. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/base.h"

enum { FIRST_CHUNK = 4096, LARGEST_STEP = 1 << 20, MAX_ALIGN = 4096 };

typedef struct chunk {
    struct chunk *next;
    size_t room, used;
} chunk;

struct vg_arena {
    chunk *first, *last;
    size_t cap_bytes, taken_bytes;
};

void *vg_mem_new(size_t bytes)
{
    return calloc(1, bytes ? bytes : 1);
}

void *vg_mem_grow(void *p, size_t old_bytes, size_t new_bytes)
{
    char *q = realloc(p, new_bytes ? new_bytes : 1);
    if (q && new_bytes > old_bytes) memset(q + old_bytes, 0, new_bytes - old_bytes);
    return q;
}

void vg_mem_free(void *p)
{
    free(p);
}

vg_status vg_arena_new(vg_arena **out, size_t cap_bytes, vg_err *err)
{
    vg_arena *a = vg_mem_new(sizeof *a);
    if (!a) return VG_FAIL_MEMORY(err, sizeof *a);
    a->cap_bytes = cap_bytes;
    *out = a;
    return VG_OK;
}

void vg_arena_free(vg_arena *a)
{
    if (!a) return;
    for (chunk *c = a->first; c;) {
        chunk *next = c->next;
        vg_mem_free(c);
        c = next;
    }
    vg_mem_free(a);
}

void vg_arena_reset(vg_arena *a)
{
    if (!a->first) return;
    for (chunk *c = a->first->next; c;) {
        chunk *next = c->next;
        vg_mem_free(c);
        c = next;
    }
    a->first->next = NULL;
    memset(a->first + 1, 0, a->first->used);
    a->first->used = 0;
    a->last = a->first;
    a->taken_bytes = a->first->room;
}

static void *take(chunk *c, size_t bytes, size_t align)
{
    uintptr_t base = (uintptr_t)(c + 1);
    size_t start = (size_t)(((base + c->used + align - 1) & ~(uintptr_t)(align - 1)) - base);
    if (start > c->room || bytes > c->room - start) return NULL;
    c->used = start + bytes;
    return (char *)(c + 1) + start;
}

void *vg_arena_alloc(vg_arena *a, size_t bytes, size_t align)
{
    assert(align && align <= MAX_ALIGN && (align & (align - 1)) == 0);
    void *p = a->last ? take(a->last, bytes, align) : NULL;
    if (p) return p;
    size_t want, step = a->last ? VG_MIN(a->last->room * 2, (size_t)LARGEST_STEP) : FIRST_CHUNK;
    if (!vg_add(bytes, align, &want) || want > a->cap_bytes - a->taken_bytes) return NULL;
    size_t room = VG_MIN(VG_MAX(want, step), a->cap_bytes - a->taken_bytes);
    size_t whole;
    chunk *c = vg_add(room, sizeof *c, &whole) ? vg_mem_new(whole) : NULL;
    if (!c) return NULL;
    c->room = room;
    a->taken_bytes += room;
    if (a->last) a->last->next = c;
    else a->first = c;
    a->last = c;
    return take(c, bytes, align);
}

void *vg_arena_array(vg_arena *a, size_t n, size_t size, size_t align)
{
    size_t bytes;
    return vg_mul(n, size, &bytes) ? vg_arena_alloc(a, bytes, align) : NULL;
}

char *vg_arena_text(vg_arena *a, vg_str s)
{
    size_t bytes;
    char *p = vg_add(s.n, 1, &bytes) ? vg_arena_alloc(a, bytes, 1) : NULL;
    if (p && s.n) memcpy(p, s.p, s.n);
    return p;
}

size_t vg_arena_used(const vg_arena *a)
{
    return a->taken_bytes;
}
