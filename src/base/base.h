/* base.h: what every folder stands on: errors, checked arithmetic, strings, arenas, buffers.
 *
 *     vg_arena *a = NULL;
 *     VG_TRY(vg_arena_new(&a, 1 << 20, err));
 *     size_t bytes;
 *     if (!vg_mul(n, sizeof(float), &bytes)) return VG_FAIL(err, VG_E_LIMIT, "%zu floats", n);
 *     float *x = vg_arena_alloc(a, bytes, 64);
 *     if (!x) return VG_FAIL_MEMORY(err, bytes);
 *     vg_arena_free(a);
 */
#ifndef VG_BASE_H
#define VG_BASE_H

#include <assert.h>
#include <stdarg.h>
#include <string.h>

#include "verge.h"

/* ---- compiler ----------------------------------------------------------------------------- */

#define VG_PRINTF(fmt, first) __attribute__((format(printf, fmt, first)))
#define VG_ALIGNED(n) __attribute__((aligned(n)))
#define VG_INLINE inline __attribute__((always_inline)) /* where a caller's constants must fold */
#define VG_PREFETCH(p) __builtin_prefetch(p)
/* Before a loop of a constant number of passes: all of them in a row, so that an array that it
 * walks over can live in registers. */
#if defined(__clang__)
#define VG_UNROLL _Pragma("clang loop unroll(full)")
#else
#define VG_UNROLL _Pragma("GCC unroll 16")
#endif
#define VG_UNUSED(x) ((void)(x))
#define VG_COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define VG_MIN(a, b) ((a) < (b) ? (a) : (b))
#define VG_MAX(a, b) ((a) > (b) ? (a) : (b))

/* ---- errors ------------------------------------------------------------------------------- */

/* Fills *err (may be NULL) and returns `code`. */
vg_status vg_err_set(vg_err *err, vg_status code, const char *fmt, ...) VG_PRINTF(3, 4);

/* Puts "context: " before the message that is there, for a caller who knows the file or the key. */
vg_status vg_err_context(vg_err *err, vg_status code, const char *fmt, ...) VG_PRINTF(3, 4);

#define VG_FAIL(err, code, ...) vg_err_set((err), (code), __VA_ARGS__)
#define VG_FAIL_MEMORY(err, bytes)                                                                 \
    vg_err_set((err), VG_E_NO_MEMORY, "%s: no memory for %zu bytes", __func__, (size_t)(bytes))

/* Passes a failure on at once. Where something must be freed: `if ((st = f())) goto out;`. */
#define VG_TRY(call)                                                                               \
    do {                                                                                           \
        vg_status vg_try_status = (call);                                                          \
        if (vg_try_status) return vg_try_status;                                                   \
    } while (0)

/* ---- checked arithmetic: false when the result does not fit, *out is then untouched ---------- */

bool vg_mul(size_t a, size_t b, size_t *out);
bool vg_add(size_t a, size_t b, size_t *out);
bool vg_mul64(uint64_t a, uint64_t b, uint64_t *out);
bool vg_add64(uint64_t a, uint64_t b, uint64_t *out);

/* Rounds up to a multiple of `to`, a power of two. */
bool vg_round_up(size_t a, size_t to, size_t *out);

/* ---- strings ------------------------------------------------------------------------------ */

/* Bytes somewhere else, not owned, not NUL-terminated. */
typedef struct vg_str {
    const char *p;
    size_t n;
} vg_str;

#define VG_STR(literal) ((vg_str){"" literal, sizeof(literal) - 1})
#define VG_STR_ARG(s) (int)VG_MIN((s).n, (size_t)200), (s).p /* for "%.*s", at most 200 bytes */

vg_str vg_str_from(const char *cstr);
bool vg_str_eq(vg_str a, vg_str b);
bool vg_str_is(vg_str a, const char *cstr);
bool vg_str_starts(vg_str a, vg_str prefix);

/* The same on every machine; finds damage and mix-ups, does not withstand an attacker. */
uint64_t vg_hash(const void *p, size_t n);

/* ---- UTF-8 -------------------------------------------------------------------------------- */

/* Decodes one character of s[0..n), n >= 1: *cp gets it and the return value is its length. For a
 * byte that begins no valid character, *cp is -1 and the length 1. Strict: no surrogates, no
 * overlong forms (RFC 3629). */
size_t vg_utf8_next(const char *s, size_t n, int32_t *cp);
/* Writes a character to out[4], returns its length. */
size_t vg_utf8_put(int32_t cp, char *out);
/* Bytes of the valid UTF-8 at the start of s. */
size_t vg_utf8_valid(const char *s, size_t n);

/* ---- memory ------------------------------------------------------------------------------- */

/* An arena: one lifetime, freed at once. Grows by chunks up to `cap_bytes`, fixed here. */
typedef struct vg_arena vg_arena;

VG_NODISCARD vg_status vg_arena_new(vg_arena **out, size_t cap_bytes, vg_err *err);
void vg_arena_free(vg_arena *a); /* NULL is fine */
void vg_arena_reset(vg_arena *a); /* forgets all that was given, keeps the first chunk */

/* Zeroed bytes at `align` (a power of two, at most 4096); NULL when cap or memory is reached. */
void *vg_arena_alloc(vg_arena *a, size_t bytes, size_t align);
#define VG_ARENA_NEW(a, type) ((type *)vg_arena_alloc((a), sizeof(type), _Alignof(type)))
#define VG_ARENA_ARRAY(a, type, n) ((type *)vg_arena_array((a), (n), sizeof(type), _Alignof(type)))
void *vg_arena_array(vg_arena *a, size_t n, size_t size, size_t align);
char *vg_arena_text(vg_arena *a, vg_str s); /* a NUL-terminated copy */
size_t vg_arena_used(const vg_arena *a);

/* A growing byte buffer with a cap fixed when it is made. Appending past the cap, or without
 * memory, sets `failed` and leaves the content as it was: check once at the end. */
typedef struct vg_buf {
    char *data; /* NUL-terminated once anything was appended */
    size_t n, room, cap_bytes;
    vg_status failed;
} vg_buf;

void vg_buf_init(vg_buf *b, size_t cap_bytes);
void vg_buf_clear(vg_buf *b); /* frees; the cap stays */
void vg_buf_reset(vg_buf *b); /* length 0, memory kept */
void vg_buf_add(vg_buf *b, const void *p, size_t n);
void vg_buf_str(vg_buf *b, vg_str s);
void vg_buf_text(vg_buf *b, const char *cstr);
void vg_buf_char(vg_buf *b, char c);
void vg_buf_cp(vg_buf *b, int32_t cp);
void vg_buf_fmt(vg_buf *b, const char *fmt, ...) VG_PRINTF(2, 3);
void *vg_buf_extend(vg_buf *b, size_t n); /* n more bytes, counted as there; NULL: failed */
/* The buffer's failure as a status with a message that names `what`. */
VG_NODISCARD vg_status vg_buf_check(const vg_buf *b, const char *what, vg_err *err);
/* Hands the bytes over as a vg_text and leaves the buffer empty. */
VG_NODISCARD vg_status vg_buf_take(vg_buf *b, const char *what, vg_text *out, vg_err *err);

/* Single allocations, for what has no arena (an arena itself, results given to the caller). */
void *vg_mem_new(size_t bytes); /* zeroed, or NULL */
void *vg_mem_grow(void *p, size_t old_bytes, size_t new_bytes); /* new bytes are zero, or NULL */
void vg_mem_free(void *p);

#endif
