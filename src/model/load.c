/* load.c: the long work of opening a model, shared out over the processors: the vocabulary, and the
 * weights in the layout of the kernels, made now or kept in a file beside the model (image_int.h).
 * The vocabulary waits for the processor and the weights for memory, so one run of the pool does
 * both. Progress is told from the caller's thread alone. Nothing that an image lacks, and no lack
 * of memory, ends the opening: the model's note says what was done instead. */
#include <stdatomic.h>
#include <stdio.h>

#include "model/image_int.h"

enum {
    MAX_THREADS = 8,        /* more do not copy faster */
    SLICE_BYTES = 64 << 20, /* of an image that is written between two reports */
    NOTE_BYTES = 1024
};

typedef struct load {
    vg_model *m;
    const vg_model_opts *opts;
    vg_pool *pool;
    repack r;
    char image_path[VG_PATH_BYTES]; /* empty: a model in memory has none */
    vg_status vocab_status;
    vg_err vocab_err;
    atomic_bool cancelled;
    _Atomic uint64_t done_bytes;
    uint64_t total_bytes;
} load;

void vg_model_note(vg_model *m, const char *fmt, ...)
{
    char text[NOTE_BYTES];
    int n = m->note ? snprintf(text, sizeof text, "%s; ", m->note) : 0;
    va_list ap;
    va_start(ap, fmt);
    if (n >= 0 && (size_t)n < sizeof text) vsnprintf(text + n, sizeof text - (size_t)n, fmt, ap);
    va_end(ap);
    m->note = vg_arena_text(m->arena, vg_str_from(text));
}

/* ---- stages -------------------------------------------------------------------------------- */

static void advance(load *l, uint64_t bytes, bool tell)
{
    const vg_model_opts *o = l->opts;
    uint64_t done = atomic_fetch_add(&l->done_bytes, bytes) + bytes;
    if (tell && o && o->progress && o->progress(o->user, VG_MIN(done, l->total_bytes),
                                                l->total_bytes))
        atomic_store(&l->cancelled, true);
}

static vg_status check_cancelled(load *l, vg_err *err)
{
    if (!atomic_load(&l->cancelled)) return VG_OK;
    return VG_FAIL(err, VG_E_CANCELLED, "opening was cancelled by the caller");
}

static vg_status run(load *l, uint32_t n_parts, vg_part_fn *fn, void *arg, vg_err *err)
{
    vg_pool_run(l->pool, n_parts, fn, arg);
    return check_cancelled(l, err);
}

/* Part 0 is the vocabulary: the longest one begins first. The others are the weights. */
static void main_part(void *arg, uint32_t part, uint32_t thread)
{
    load *l = arg;
    vg_model *m = l->m;
    if (atomic_load(&l->cancelled)) return;
    if (part > 0) advance(l, repack_part(&l->r, part - 1), thread == 0);
    else if (m->has_vocab) l->vocab_status = vg_vocab_new(&m->vocab, m->gguf, &l->vocab_err);
}

typedef struct hashing {
    load *l;
    const uint8_t *data;
    uint64_t n;
    uint64_t *piece;
} hashing;

static void hash_part(void *arg, uint32_t part, uint32_t thread)
{
    const hashing *h = arg;
    uint64_t at = (uint64_t)part * IMAGE_HASH_BYTES;
    size_t n = (size_t)VG_MIN(h->n - at, (uint64_t)IMAGE_HASH_BYTES);
    if (atomic_load(&h->l->cancelled)) return;
    h->piece[part] = vg_hash(h->data + at, n);
    vg_gguf_drop(h->l->m->gguf, h->data + at, n);
    advance(h->l, n, thread == 0);
}

static vg_status hash_bytes(load *l, const uint8_t *data, uint64_t n, uint64_t *out, vg_err *err)
{
    uint64_t n_pieces = (n + IMAGE_HASH_BYTES - 1) / IMAGE_HASH_BYTES;
    hashing h = {.l = l, .data = data, .n = n};
    if (n_pieces > UINT32_MAX / 2) return VG_FAIL(err, VG_E_LIMIT, "too large to be hashed");
    h.piece = vg_mem_new((size_t)n_pieces * sizeof *h.piece);
    if (!h.piece) return VG_FAIL_MEMORY(err, n_pieces * sizeof *h.piece);
    vg_status st = run(l, (uint32_t)n_pieces, hash_part, &h, err);
    if (!st) *out = image_hash_pieces(h.piece, (size_t)n_pieces);
    vg_mem_free(h.piece);
    return st;
}

static vg_status hash_model(load *l, uint64_t *out, vg_err *err)
{
    uint64_t all = 0;
    const vg_gguf *g = l->m->gguf;
    l->total_bytes += vg_gguf_file_bytes(g);
    for (uint32_t i = 0; i < vg_gguf_n_parts(g); i++) {
        uint64_t n, pair[2] = {all, 0};
        const uint8_t *data = vg_gguf_part_data(g, i, &n);
        VG_TRY(hash_bytes(l, data, n, &pair[1], err));
        all = vg_hash(pair, sizeof pair);
    }
    if (!vg_gguf_intact(g)) return VG_FAIL(err, VG_E_IO, "the model changed while it was read");
    *out = all;
    return VG_OK;
}

/* ---- the image ----------------------------------------------------------------------------- */

/* Both hashes, of the model's files and of the image's block, against what the image says. */
static vg_status check_content(load *l, const image_head *found, vg_err *err)
{
    uint64_t content = 0, data = 0;
    VG_TRY(hash_model(l, &content, err));
    if (content != found->content)
        return VG_FAIL(err, VG_E_FORMAT, "it was made of another model");
    l->total_bytes += found->n_bytes;
    VG_TRY(hash_bytes(l, l->m->image.data + IMAGE_DATA, found->n_bytes, &data, err));
    if (data != found->data) return VG_FAIL(err, VG_E_FORMAT, "its weights are damaged");
    return VG_OK;
}

/* Maps the image, if there is one and it is the model's. A model that was copied or touched since
 * is compared by content, once: its new identity is then written into the image's head. */
static vg_status find_image(load *l, const image_head *want, vg_err *err)
{
    vg_err why;
    image_head found;
    vg_file *f = &l->m->image;
    vg_status st = image_open(f, l->image_path, want, &found, &why);
    if (st == VG_E_NOT_FOUND) return VG_OK;
    if (!st && found.identity != want->identity) {
        st = check_content(l, &found, &why);
        found.identity = want->identity;
        image_seal(&found);
        if (!st) (void)vg_file_patch(f, l->image_path, &found, sizeof found);
    }
    if (!st) l->m->n_repacked_bytes = l->r.n_bytes;
    if (!st) return VG_OK;
    vg_file_unmap(f);
    if (st == VG_E_CANCELLED || st == VG_E_NO_MEMORY) return VG_FAIL(err, st, "%s", why.msg);
    bool made_anew = l->opts && l->opts->keep_image;
    if (!made_anew) vg_model_note(l->m, "%s is not used: %s", l->image_path, why.msg);
    return VG_OK;
}

static vg_status write_image(load *l, const image_head *head, vg_new_file *f, vg_err *err)
{
    uint8_t first[IMAGE_DATA] = {0};
    image_head now;
    memcpy(first, head, sizeof *head);
    VG_TRY(vg_new_file_put(f, first, sizeof first, err));
    for (size_t at = 0, n; at < l->r.n_bytes; at += n) {
        n = VG_MIN(l->r.n_bytes - at, (size_t)SLICE_BYTES);
        VG_TRY(vg_new_file_put(f, l->r.to + at, n, err));
        advance(l, n, true);
        VG_TRY(check_cancelled(l, err));
    }
    image_want(&now, &l->r, l->m);
    if (now.identity != head->identity)
        return VG_FAIL(err, VG_E_IO, "the model changed while it was read");
    return vg_new_file_end(f, err);
}

/* Keeps the repacked weights for the next start. Without room or leave for it, a note says so. */
static vg_status keep_image(load *l, image_head *head, vg_err *err)
{
    vg_err why;
    vg_new_file f;
    vg_status st = vg_new_file_begin(&f, l->image_path, &why);
    l->total_bytes += 2 * (uint64_t)l->r.n_bytes;
    if (!st) st = hash_model(l, &head->content, &why);
    if (!st) st = hash_bytes(l, l->r.to, l->r.n_bytes, &head->data, &why);
    image_seal(head);
    if (!st) st = write_image(l, head, &f, &why);
    if (!st) return VG_OK;
    vg_new_file_abandon(&f);
    if (st == VG_E_CANCELLED || st == VG_E_NO_MEMORY) return VG_FAIL(err, st, "%s", why.msg);
    vg_model_note(l->m, "the repacked weights could not be kept: %s", why.msg);
    return VG_OK;
}

/* ---- the model ----------------------------------------------------------------------------- */

/* Memory for the repacked weights, or a note why there is none. An eighth of what is free is left
 * to others, the engine's cache among them. */
static void take_pages(load *l)
{
    vg_model *m = l->m;
    uint64_t free_bytes = vg_os_memory_bytes();
    bool fits = free_bytes == 0 || l->r.n_bytes <= free_bytes - free_bytes / 8;
    if (fits) m->pages = vg_os_pages_new(l->r.n_bytes);
    l->r.to = m->pages;
    if (m->pages) m->n_repacked_bytes = l->r.n_bytes;
    else
        vg_model_note(m, "memory is short: the weights are read from the file as they are, and "
                         "slower");
}

static vg_status load_all(load *l, vg_err *err)
{
    vg_model *m = l->m;
    image_head want = {0};
    bool has_path = l->image_path[0] != '\0' && l->r.n_bytes > 0;
    if (has_path) image_want(&want, &l->r, m);
    if (has_path) VG_TRY(find_image(l, &want, err));
    if (l->r.n_bytes > 0 && !m->image.data) take_pages(l);
    VG_TRY(run(l, 1 + (l->r.to ? l->r.n_parts : 0), main_part, l, err));
    if (l->vocab_status && err) *err = l->vocab_err;
    if (l->vocab_status) return l->vocab_status;
    if (!vg_model_intact(m)) return VG_FAIL(err, VG_E_IO, "the file changed while it was read");
    if (has_path && l->r.to && l->opts && l->opts->keep_image)
        VG_TRY(keep_image(l, &want, err));
    /* Reads may have mapped large pages around what they read, dropped parts among it. */
    for (uint32_t i = 0; m->n_repacked_bytes && i < vg_gguf_n_parts(m->gguf); i++) {
        uint64_t n;
        const uint8_t *data = vg_gguf_part_data(m->gguf, i, &n);
        vg_gguf_drop(m->gguf, data, (size_t)n);
    }
    bool tied = m->output.data == m->embed.data;
    if (l->r.to) repack_bind(&l->r, l->r.to);
    if (m->image.data) repack_bind(&l->r, m->image.data + IMAGE_DATA);
    if (tied) m->embed = m->output;
    l->done_bytes = l->total_bytes;
    advance(l, 0, true);
    return check_cancelled(l, err);
}

vg_status vg_model_load(vg_model *m, const char *path, const vg_model_opts *opts, vg_err *err)
{
    load l = {.m = m, .opts = opts, .total_bytes = vg_gguf_file_bytes(m->gguf)};
    if (!m->vocab_only && !(opts && opts->no_repack)) VG_TRY(repack_list(&l.r, m, err));
    if (path) vg_image_path(path, l.image_path);
    uint32_t n_threads = l.r.n_bytes ? VG_MIN(vg_os_cpus(), (uint32_t)MAX_THREADS) : 1;
    /* Where no thread can be started the caller does it alone. */
    if (vg_pool_new(&l.pool, n_threads, false, err)) VG_TRY(vg_pool_new(&l.pool, 1, false, err));
    vg_status st = load_all(&l, err);
    vg_pool_free(l.pool);
    return st;
}

void vg_image_path(const char *model_path, char out[VG_PATH_BYTES])
{
    int n = snprintf(out, VG_PATH_BYTES, "%s.repacked", model_path);
    if (n < 0 || n >= VG_PATH_BYTES) out[0] = '\0';
}

vg_status vg_image_verify(vg_model *m, const char *model_path, vg_err *err)
{
    image_head want, found;
    load l = {.m = m};
    VG_TRY(repack_list(&l.r, m, err));
    vg_image_path(model_path, l.image_path);
    image_want(&want, &l.r, m);
    VG_TRY(image_open(&m->image, l.image_path, &want, &found, err));
    vg_status st = vg_pool_new(&l.pool, 1, false, err);
    if (!st) st = check_content(&l, &found, err);
    vg_pool_free(l.pool);
    vg_file_unmap(&m->image);
    return st;
}
